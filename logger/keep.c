/*
 * The journal and the counters put together (logger/keep.h): each line that is about a session or a message goes into
 * both. Decides which lines those are, when counters are written, and who may look things up.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "filters/decision.h"
#include "lib/alloc.h"
#include "lib/caller.h"
#include "lib/clock.h"
#include "lib/conf.h"
#include "lib/log.h"
#include "lib/pairs.h"
#include "lib/sandbox.h"
#include "logger/counters.h"
#include "logger/journal.h"
#include "logger/keep.h"
#include "logger/search.h"
#include "logger/tallies.h"

#define FOLDER		"/journal"
#define TIDY_MS		60000
#define LINE_ROOM	(LOG_LINE_MAX * 4 + 128)

struct keep {
	int		 folder;	/* -1: none */
	uint64_t	 size_most;
	int64_t		 keep_ms;
	struct event_base *base;
	struct journal	*journal;
	struct counters	*counters;
	struct searches	*searches;
	struct event	*turn;		/* the end of a turn of the loop: what was gathered is written */
	struct timer	 tidy;
	bool		 counted, save_failed;
};

/* ---- start and end ---- */

/* Its own, and nobody else's. -1 with errno. */
static int
make_folder(const char *path)
{
	struct passwd *pw = geteuid() == 0 ? getpwnam(sandbox_user(PROC_LOGGER)) : NULL;
	struct stat st;
	int fd;

	if (mkdir(path, 0700) != 0 && errno != EEXIST)
		return -1;
	if ((fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)) < 0)
		return -1;
	if (fstat(fd, &st) == 0 && (pw == NULL || st.st_uid == pw->pw_uid || (st.st_uid == 0 && fchown(fd, pw->pw_uid, pw->pw_gid) == 0)))
		return fd;
	close(fd);
	errno = EPERM;
	return -1;
}

struct keep *
keep_open(const struct conf *conf)
{
	struct keep *k = alloc_new(1, sizeof(*k));
	char path[4096];

	snprintf(path, sizeof(path), "%s" FOLDER, conf->state);
	k->folder = make_folder(path);
	if (k->folder < 0)
		log_error("event=no-journal path=%s what=%s", logq(path), logq(strerror(errno)));
	/* The sandbox leaves it what is below the folder that it is in. */
	if ((k->folder < 0 || fchdir(k->folder) != 0) && chdir(conf->empty) != 0)
		log_fatal("event=start-failed what=\"%s: %s\"", conf->empty, strerror(errno));
	keep_limit(k, conf);
	return k;
}

void
keep_limit(struct keep *k, const struct conf *conf)
{
	k->size_most = conf->journal_size;
	k->keep_ms = conf->journal_keep_ms;
	if (k->journal != NULL)
		journal_limit(k->journal, k->size_most, k->keep_ms);
}

void
keep_save(struct keep *k)
{
	bool failed;

	if (!k->counted || k->folder < 0)
		return;
	k->counted = false;
	failed = tallies_save(k->counters, k->folder) != 0;
	if (failed && !k->save_failed)
		log_error("event=counters-not-saved what=%s", logq(strerror(errno)));
	k->save_failed = failed;
	k->counted = failed;
}

static void
tell_trouble(struct keep *k)
{
	uint64_t lost = 0;
	const char *what = journal_trouble(k->journal, &lost);

	if (what == NULL)
		return;
	if (what[0] != '\0')
		log_error("event=journal-lost what=%s lines=%" PRIu64, logq(what), lost);
	else
		log_warn("event=journal-back lost=%" PRIu64, lost);
}

static void
on_tidy(void *arg)
{
	struct keep *k = arg;

	keep_save(k);
	journal_tidy(k->journal, clock_wall());
	tell_trouble(k);
	timer_start(&k->tidy, TIDY_MS);
}

static void
on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct keep *k = arg;

	(void)fd;
	(void)what;
	journal_flush(k->journal);
	tell_trouble(k);
}

void
keep_start(struct keep *k, struct event_base *base)
{
	const char *why = "";

	k->base = base;
	k->journal = journal_new(k->folder, k->size_most, k->keep_ms);
	k->counters = counters_new();
	if (k->folder >= 0 && tallies_load(k->counters, k->folder, &why) < 0)
		log_error("event=counters-damaged what=%s", logq(why));
	k->searches = searches_new(base, k->journal);
	k->turn = alloc_must(event_new(base, -1, 0, on_turn, k));
	timer_set(&k->tidy, on_tidy, k);
	timer_start(&k->tidy, TIDY_MS);
}

void
keep_free(struct keep *k)
{
	keep_save(k);
	timer_stop(&k->tidy);
	searches_free(k->searches);
	journal_free(k->journal);
	counters_free(k->counters);
	event_free(k->turn);
	if (k->folder >= 0)
		close(k->folder);
	free(k);
}

/* ---- lines ---- */

static void
add(struct keep *k, const char *lines, size_t len)
{
	if (journal_add(k->journal, lines, len))
		event_active(k->turn, 0, 0);
}

static void
count(struct keep *k, char *line)
{
	struct pairs ps;
	char letter = line[0];

	if (letter == 'L')
		pairs_cut(&ps, line + 2);
	else if ((letter = decision_line(line, &ps)) == '\0')
		return;
	counters_line(k->counters, clock_wall(), letter, &ps);
	k->counted = true;
}

void
keep_line(struct keep *k, const char *process, const char *line)
{
	size_t name = strlen(process), len;
	char text[LINE_ROOM];

	if (strncmp(line, process, name) == 0 && strncmp(line + name, ": ", 2) == 0)
		line += name + 2;
	if (strncmp(line, "session=", 8) != 0 && strncmp(line, "msg=", 4) != 0)
		return;
	len = (size_t)snprintf(text, sizeof(text), "L t=%" PRId64 " p=%s ", clock_wall_ms(), process);
	len += log_printable(text + len, sizeof(text) - len - 1, line);
	text[len] = '\n';
	add(k, text, len + 1);
	text[len] = '\0';
	if (strcmp(process, "smtpd") == 0 || strcmp(process, "queue") == 0)	/* what others say these say, too */
		count(k, text);
}

int
keep_record(struct keep *k, const char *record, size_t len)
{
	char line[DECISION_MAX];
	const char *lf;

	if (!decision_is_sound(record, len))
		return -1;
	add(k, record, len);
	for (const char *p = record, *end = record + len; p < end; p = lf + 1) {
		lf = memchr(p, '\n', (size_t)(end - p));
		memcpy(line, p, (size_t)(lf - p));
		line[lf - p] = '\0';
		count(k, line);
	}
	return 0;
}

/* ---- answers ---- */

static void
on_gone(void *arg)
{
	(void)arg;
}

static void
tell_counters(struct keep *k, int fd)
{
	struct caller *c = caller_new(k->base, fd, NULL, on_gone, NULL);
	char *text = NULL;
	size_t len = 0;
	FILE *f = alloc_stream(&text, &len);

	fprintf(f, "ok\nnow=%" PRId64 "\n", (int64_t)clock_wall());
	counters_print(k->counters, f);
	fclose(f);
	caller_put(c, text, len);
	caller_end(c);
	free(text);
}

static void
refuse(int fd, const char *text)
{
	send(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

void
keep_answer(struct keep *k, int fd, bool may_read, char *line)
{
	const char *words[4] = { "", "", "", "" };

	for (size_t n = 0; n < 4 && (words[n] = strsep(&line, "\t")) != NULL; n++)
		if (line == NULL)
			break;
	if (strcmp(words[0], "stats") == 0) {
		tell_counters(k, fd);
	} else if (strcmp(words[0], "explain") != 0 || words[1][0] == '\0') {
		refuse(fd, "error: expected explain and what, or stats\n");
	} else if (!may_read) {
		refuse(fd, "denied: explain is for root and for the user that started minimta\n");
	} else if (k->size_most == 0 || k->folder < 0) {
		refuse(fd, "error: there is no journal; minimta.conf(5) explains journal_size\n");
	} else
		search_start(k->searches, fd, words[1], strtoll(words[2], NULL, 10));
}

void
keep_status(const struct keep *k, char *to, size_t size)
{
	int n = snprintf(to, size, " journal_bytes=%" PRIu64, journal_bytes(k->journal));

	counters_status(k->counters, clock_wall(), to + n, size - (size_t)n);
}
