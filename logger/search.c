/*
 * Searches (logger/search.h): a file at a time, a piece of it in each turn of the loop, three times over: what names the
 * thing, what belongs to that, and the lines themselves. Decides how much is read at a time; what fits, match.c.
 */
#include <event2/event.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "filters/decision.h"
#include "lib/alloc.h"
#include "lib/caller.h"
#include "lib/pairs.h"
#include "logger/journal.h"
#include "logger/match.h"
#include "logger/search.h"

#define SEARCHES_MAX	4		/* at once */
#define PIECE_BYTES	(64U * 1024)	/* in a turn of the loop */
#define LINE_MAX_HERE	(32U * 1024)	/* a longer one is none of ours */
#define LINKS_MAX	4		/* times that what belongs together is looked for */

enum step { FINDING, LINKING, TELLING };

struct search {
	LIST_ENTRY(search)	 next;
	struct searches		*all;
	struct caller		*caller;
	struct event		*turn;
	struct match		*match;
	enum step		 step;
	int64_t			 since_ms;
	unsigned		 links;
	bool			 new_links;
	bool			 telling;	/* the head of this record was told: its lines are, too */
	bool			 waits;		/* until the caller has read what it has */
	struct journal_file	 files[JOURNAL_FILES_MAX];
	size_t			 n_files, at;
	int			 fd;
	char			 buffer[PIECE_BYTES + LINE_MAX_HERE + 1];
	size_t			 len;
	uint64_t		 bytes;
};

struct searches {
	struct event_base	*base;
	struct journal		*journal;
	LIST_HEAD(, search)	 list;
	unsigned		 n;
};

static void
search_free(struct search *s)
{
	LIST_REMOVE(s, next);
	s->all->n--;
	caller_free(s->caller);
	event_free(s->turn);
	match_free(s->match);
	if (s->fd >= 0)
		close(s->fd);
	free(s);
}

static void
on_gone(void *arg)
{
	struct search *s = arg;

	s->caller = NULL;
	search_free(s);
}

static void
on_more(void *arg)
{
	struct search *s = arg;

	if (s->waits)
		event_active(s->turn, 0, 0);
	s->waits = false;
}

/* ---- lines ---- */

static void
look_at_line(struct search *s, char *line)
{
	char copy[LINE_MAX_HERE];
	struct pairs ps;
	char letter;

	if (s->step == TELLING)
		snprintf(copy, sizeof(copy), "%s", line);
	if (line[0] == 'L' && line[1] == ' ') {
		letter = 'L';
		pairs_cut(&ps, line + 2);
	} else if ((letter = decision_line(line, &ps)) == '\0')
		return;
	if (letter == 'F' || letter == 'E') {
		if (s->telling)
			caller_say(s->caller, "%s\n", copy);
		return;
	}
	s->telling = false;
	if (s->step == FINDING && pairs_number(&ps, "t") >= s->since_ms)
		match_find(s->match, &ps);
	if (s->step == LINKING)
		s->new_links |= match_link(s->match, &ps);
	if (s->step == TELLING && match_wants(s->match, &ps)) {
		s->telling = true;
		caller_say(s->caller, "%s\n", copy);
	}
}

/* All whole lines in the buffer; what is left of the last one stays in front. */
static void
look_at_lines(struct search *s)
{
	char *p = s->buffer, *lf;

	s->buffer[s->len] = '\0';
	while ((lf = memchr(p, '\n', s->len - (size_t)(p - s->buffer))) != NULL) {
		*lf = '\0';
		if ((size_t)(lf - p) < LINE_MAX_HERE)
			look_at_line(s, p);
		p = lf + 1;
	}
	s->len -= (size_t)(p - s->buffer);
	if (s->len >= LINE_MAX_HERE)
		s->len = 0;
	memmove(s->buffer, p, s->len);
}

/* ---- files ---- */

static void
finish(struct search *s)
{
	caller_say(s->caller, "Z found=%u bytes=%" PRIu64 " since=%" PRIu64 "%s\n", match_count(s->match), s->bytes,
	    s->n_files > 0 ? s->files[0].number : 0, match_left_out(s->match) ? " more=1" : "");
	caller_end(s->caller);
}

/* All files were read once. False: it is over. */
static bool
next_step(struct search *s)
{
	s->at = 0;
	s->telling = false;
	if (s->step == FINDING) {
		if (match_count(s->match) == 0)
			return false;
		s->step = LINKING;
	} else if (s->step == LINKING) {
		if (!s->new_links || ++s->links >= LINKS_MAX)
			s->step = TELLING;
		s->new_links = false;
	} else
		return false;
	return true;
}

/* One that is gone by now was too old. */
static void
read_piece(struct search *s)
{
	ssize_t n;

	if (s->fd < 0 && (s->fd = journal_open(s->all->journal, s->files[s->at].number)) < 0) {
		s->at++;
		return;
	}
	n = read(s->fd, s->buffer + s->len, PIECE_BYTES);
	if (n > 0) {
		s->len += (size_t)n;
		s->bytes += (size_t)n;
		look_at_lines(s);
		return;
	}
	close(s->fd);
	s->fd = -1;
	s->len = 0;
	s->at++;
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct search *s = arg;

	(void)fd;
	(void)what;
	if (s->at == s->n_files) {
		if (!next_step(s)) {
			finish(s);
			return;
		}
	} else
		read_piece(s);
	if (caller_is_full(s->caller))
		s->waits = true;
	else
		event_active(s->turn, 0, 0);
}

/* Those that begin before it, too, when the next one does not. */
static void
choose_files(struct search *s, int64_t since)
{
	size_t n = journal_files(s->all->journal, s->files), skip = 0;

	while (skip + 1 < n && (int64_t)s->files[skip + 1].number < since)
		skip++;
	s->n_files = n - skip;
	memmove(s->files, s->files + skip, s->n_files * sizeof(s->files[0]));
}

static void
refuse(int fd, const char *text)
{
	char line[600];
	int n = snprintf(line, sizeof(line), "error: %s\n", text);

	send(fd, line, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

void
search_start(struct searches *all, int fd, const char *what, int64_t since)
{
	const char *why = NULL;
	struct match *match;
	struct search *s;

	if (all->n >= SEARCHES_MAX) {
		refuse(fd, "too many are asking; try again in a moment");
		return;
	}
	if ((match = match_new(what, &why)) == NULL) {
		refuse(fd, why);
		return;
	}
	s = alloc_new(1, sizeof(*s));
	s->turn = alloc_must(event_new(all->base, -1, 0, on_turn, s));
	s->all = all;
	s->match = match;
	s->since_ms = since * 1000;
	s->fd = -1;
	s->caller = caller_new(all->base, fd, on_more, on_gone, s);
	journal_flush(all->journal);
	choose_files(s, since);
	LIST_INSERT_HEAD(&all->list, s, next);
	all->n++;
	caller_say(s->caller, "ok\n");
	event_active(s->turn, 0, 0);
}

struct searches *
searches_new(struct event_base *base, struct journal *journal)
{
	struct searches *all = alloc_new(1, sizeof(*all));

	all->base = base;
	all->journal = journal;
	LIST_INIT(&all->list);
	return all;
}

void
searches_free(struct searches *all)
{
	if (all == NULL)
		return;
	while (!LIST_EMPTY(&all->list))
		search_free(LIST_FIRST(&all->list));
	free(all);
}
