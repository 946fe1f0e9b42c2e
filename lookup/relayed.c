/*
 * The file of known recipients of relayed domains (lookup/relayed.h): an address or @domain in each line. Decides who is known
 * by it; whether anybody else is asked is the configuration's decision. Called by judge.c.
 */
#include "lookup/relayed.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/alloc.h"
#include "lib/clock.h"
#include "lib/conf.h"
#include "lib/hash.h"
#include "lib/log.h"

#define FILE_MAX	(64L * 1024 * 1024)	/* a million addresses */
#define LOOK_AGAIN_MS	1000

struct entry {
	UT_hash_handle	 hh;
	char		 name[];	/* lower case: an address, or "@" and a domain */
};

struct relayed {
	struct entry	*entries;
	char		*path;		/* of what is here; NULL: nothing was read */
	struct stat	 seen;
	int64_t		 looked_ms;
	bool		 readable, complained;
};

/* ---- the text ---- */

static void
lower(char *text)
{
	for (; *text != '\0'; text++)
		*text = (char)tolower((unsigned char)*text);
}

static void
forget(struct relayed *r)
{
	struct entry *e, *next;

	HASH_ITER(hh, r->entries, e, next) {
		HASH_DEL(r->entries, e);
		free(e);
	}
}

static void
put(struct relayed *r, const char *name)
{
	size_t len = strlen(name);
	struct entry *e;

	HASH_FIND_STR(r->entries, name, e);
	if (e != NULL)
		return;
	e = alloc_raw(sizeof(*e) + len + 1);
	memcpy(e->name, name, len + 1);
	HASH_ADD_STR(r->entries, name, e);
}

/* The first word of a line; what stands behind it, as in other servers' maps, does not matter. */
static bool
take_line(struct relayed *r, const char *line, size_t len)
{
	char word[RELAYED_LINE_MAX], domain[ADDRESS_DOMAIN_MAX + 2] = "@";
	struct address a;
	size_t n = 0;

	while (n < len && !isspace((unsigned char)line[n]))
		n++;
	if (n >= sizeof(word))
		return false;
	memcpy(word, line, n);
	word[n] = '\0';
	if (word[0] == '@') {
		if (address_domain(domain + 1, word + 1, ADDRESS_UTF8) != 0)
			return false;
		put(r, domain);
		return true;
	}
	if (strlen(word) != n || address_parse(&a, word, ADDRESS_UTF8, NULL) != ADDRESS_OK)
		return false;
	lower(a.text);
	put(r, a.text);
	return true;
}

unsigned
relayed_take(struct relayed *r, const char *text, size_t len)
{
	const char *end = text + len, *line_end;
	unsigned wrong = 0;

	forget(r);
	for (; text < end; text = line_end + 1) {
		if ((line_end = memchr(text, '\n', (size_t)(end - text))) == NULL)
			line_end = end;
		while (text < line_end && isspace((unsigned char)*text))
			text++;
		if (text < line_end && *text != '#' && !take_line(r, text, (size_t)(line_end - text)))
			wrong++;
	}
	return wrong;
}

static bool
has(const struct relayed *r, const char *name)
{
	struct entry *e;

	HASH_FIND_STR(r->entries, name, e);
	return e != NULL;
}

bool
relayed_has(const struct relayed *r, const char *delimiter, const struct address *a)
{
	char name[ADDRESS_MAX + ADDRESS_DOMAIN_MAX];
	const char *tag;

	snprintf(name, sizeof(name), "@%s", a->domain);
	if (has(r, name))
		return true;
	snprintf(name, sizeof(name), "%s", a->text);
	lower(name);
	if (has(r, name))
		return true;
	if (delimiter[0] == '\0' || a->text[0] == '"' || (tag = strchr(a->local, delimiter[0])) == NULL || tag == a->local)
		return false;
	snprintf(name, sizeof(name), "%.*s@%s", (int)(tag - a->local), a->local, a->domain);
	lower(name);
	return has(r, name);
}

size_t
relayed_count(const struct relayed *r)
{
	return HASH_COUNT(r->entries);
}

/* ---- the file ---- */

static bool
complain(struct relayed *r, const char *path, const char *what)
{
	if (!r->complained)
		log_error("event=relay-recipients-unreadable file=%s what=%s", logq(path), logq(what));
	r->complained = true;
	return false;
}

static bool
read_file(struct relayed *r, const char *path, int fd, const struct stat *st)
{
	size_t size = (size_t)st->st_size, len = 0;
	char *text;
	unsigned wrong;
	ssize_t n = 1;

	if (!S_ISREG(st->st_mode) || st->st_size > FILE_MAX)
		return complain(r, path, S_ISREG(st->st_mode) ? "absurdly large" : "this is no file");
	if ((st->st_mode & S_IWOTH) != 0)
		return complain(r, path, "everybody may write to it");
	text = alloc_raw(size + 1);
	while (len < size && (n = read(fd, text + len, size - len)) > 0)
		len += (size_t)n;
	if (n < 0) {
		free(text);
		return complain(r, path, strerror(errno));
	}
	wrong = relayed_take(r, text, len);
	free(text);
	r->seen = *st;
	r->complained = false;
	log_info("event=relay-recipients-read file=%s recipients=%zu", logq(path), relayed_count(r));
	if (wrong > 0)
		log_warn("event=relay-recipients-wrong file=%s lines=%u what=\"expected someone@example.org, or @example.org for all\"",
		    logq(path), wrong);
	return true;
}

static bool
is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	    a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static bool
look(struct relayed *r, const char *path)
{
	struct stat st;
	bool ok;
	int fd;

	if ((fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)) < 0)
		return complain(r, path, strerror(errno));
	if (fstat(fd, &st) != 0)
		ok = complain(r, path, strerror(errno));
	else
		ok = (r->readable && is_same(&st, &r->seen)) || read_file(r, path, fd, &st);
	close(fd);
	return ok;
}

/* What was read once is better than nothing while the file is being written anew. */
static bool
refresh(struct relayed *r, const char *path)
{
	int64_t now = clock_ms();

	if (r->path == NULL || strcmp(r->path, path) != 0) {
		free(r->path);
		r->path = alloc_text(path);
		forget(r);
		r->readable = false;
	} else if (r->looked_ms != 0 && now - r->looked_ms < LOOK_AGAIN_MS)
		return r->readable;
	r->looked_ms = now;
	if (look(r, path))
		r->readable = true;
	return r->readable;
}

/* ---- the verdict ---- */

bool
relayed_domain(const struct conf *conf, const char *domain)
{
	for (size_t i = 0; conf->relay_domains[i] != NULL; i++)
		if (strcasecmp(conf->relay_domains[i], domain) == 0)
			return true;
	return false;
}

enum relayed_verdict
relayed_find(struct relayed *r, const struct conf *conf, const struct address *a)
{
	if (!relayed_domain(conf, a->domain))
		return RELAYED_NOT_OURS;
	if (strcasecmp(a->local, "postmaster") == 0)		/* RFC 5321, 4.5.1 */
		return RELAYED_KNOWN;
	if (conf->relay_recipients[0] != '\0') {
		if (!refresh(r, conf->relay_recipients))
			return conf->relay_callback ? RELAYED_ASK : RELAYED_TEMPORARY;
		if (relayed_has(r, conf->delimiter, a))
			return RELAYED_KNOWN;
	} else if (!conf->relay_callback)
		return RELAYED_KNOWN;
	return conf->relay_callback ? RELAYED_ASK : RELAYED_UNKNOWN;
}

struct relayed *
relayed_new(void)
{
	struct relayed *r = alloc_new(1, sizeof(*r));

	return r;
}

void
relayed_free(struct relayed *r)
{
	if (r == NULL)
		return;
	forget(r);
	free(r->path);
	free(r);
}
