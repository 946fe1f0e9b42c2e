/*
 * What belongs to a story (logger/match.h). A session that was asked about comes with all its messages; one that is only
 * where a message came from, without its others.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <uthash.h>

#include "lib/alloc.h"
#include "lib/ids.h"
#include "logger/match.h"

#define WHAT_MAX	1000
#define NAME_MAX_HERE	24

struct named {				/* a session or a message */
	char		 name[NAME_MAX_HERE];	/* 's' or 'm', and its id */
	bool		 whole;		/* a session with all that is in it */
	UT_hash_handle	 hh;
};

struct match {
	enum { MATCH_ID, MATCH_ADDRESS, MATCH_DOMAIN, MATCH_CLIENT } kind;
	char		 what[WHAT_MAX + 1];
	struct named	*found;		/* in the order in which they were */
	bool		 left_out;
};

/* ---- what is asked ---- */

static bool
read_client(struct match *m, const char *what)
{
	unsigned char bytes[16];

	for (int family = AF_INET; family != 0; family = family == AF_INET ? AF_INET6 : 0)
		if (inet_pton(family, what, bytes) == 1) {
			inet_ntop(family, bytes, m->what, sizeof(m->what));
			m->kind = MATCH_CLIENT;
			return true;
		}
	return false;
}

/* As lib/ids.h reads them; but the noughts in front stay, for a refusal's code has them. */
static bool
read_id(char *to, const char *what)
{
	uint64_t id;

	if (strlen(what) >= ID_TEXT || id_parse(what, &id) != 0)
		return false;
	for (; *what != '\0'; what++) {
		char c = (char)toupper((unsigned char)*what);

		*to++ = (char)(c == 'O' ? '0' : c == 'I' || c == 'L' ? '1' : c);
	}
	*to = '\0';
	return true;
}

static bool
read_what(struct match *m, const char *what)
{
	size_t len = strlen(what);

	if (len == 0 || len > WHAT_MAX)
		return false;
	if (read_client(m, what))
		return true;
	if (what[0] == '<' && what[len - 1] == '>')
		snprintf(m->what, sizeof(m->what), "%.*s", (int)(len - 2), what + 1);
	else
		snprintf(m->what, sizeof(m->what), "%s", what);
	m->kind = m->what[0] == '@' ? MATCH_DOMAIN : MATCH_ADDRESS;
	if (strchr(m->what, '@') != NULL)
		return m->what[1] != '\0';
	m->kind = MATCH_ID;
	return read_id(m->what, what);
}

struct match *
match_new(const char *what, const char **why)
{
	struct match *m = alloc_new(1, sizeof(*m));

	if (read_what(m, what))
		return m;
	free(m);
	*why = "expected a refusal's code, an id of a session or message, an address, a Message-ID, @domain, or an IP address";
	return NULL;
}

void
match_free(struct match *m)
{
	struct named *n, *next;

	if (m == NULL)
		return;
	HASH_ITER(hh, m->found, n, next) {
		HASH_DEL(m->found, n);
		free(n);
	}
	free(m);
}

/* ---- the set ---- */

static struct named *
look_up(const struct match *m, char kind, const char *id)
{
	char name[NAME_MAX_HERE];
	struct named *n;

	if ((size_t)snprintf(name, sizeof(name), "%c%s", kind, id) >= sizeof(name))
		return NULL;
	HASH_FIND_STR(m->found, name, n);
	return n;
}

/* True: it was not there yet, or not whole. */
static bool
note(struct match *m, char kind, const char *id, bool whole, unsigned most)
{
	struct named *n = look_up(m, kind, id);

	if (id[0] == '\0' || strcmp(id, "-") == 0 || strlen(id) > NAME_MAX_HERE - 2)
		return false;
	if (n != NULL) {
		bool more = whole && !n->whole;

		n->whole |= whole;
		return more;
	}
	if (HASH_COUNT(m->found) >= most) {
		m->left_out = true;
		if (most != MATCH_STORIES_MAX)
			return false;
		n = m->found;		/* the oldest makes room */
		HASH_DEL(m->found, n);
		free(n);
	}
	n = alloc_new(1, sizeof(*n));
	snprintf(n->name, sizeof(n->name), "%c%s", kind, id);
	n->whole = whole;
	HASH_ADD_STR(m->found, name, n);
	return true;
}

/* ---- does a line name it ---- */

/* What an address may be made of: where one ends another thing begins. */
static bool
is_inside(unsigned char c)
{
	return isalnum(c) || c >= 0x80 || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~.@\"", c) != NULL);
}

static bool
holds(const struct match *m, const char *value)
{
	size_t len = strlen(m->what);

	for (const char *p = value; (p = strcasestr(p, m->what)) != NULL; p++) {
		bool begins = m->kind == MATCH_DOMAIN || p == value || !is_inside((unsigned char)p[-1]);

		if (begins && !is_inside((unsigned char)p[len]))
			return true;
	}
	return false;
}

static bool
is_one_of(const char *key, const char *const *keys)
{
	for (; *keys != NULL; keys++)
		if (strcmp(key, *keys) == 0)
			return true;
	return false;
}

static bool
names_it(const struct match *m, const struct pairs *ps)
{
	static const char *const ids[] = { "ref", "session", "msg", "parent", NULL };
	static const char *const addresses[] = { "from", "to", "command", "rcpt", "message-id", NULL };

	for (unsigned i = 0; i < ps->n; i++) {
		const char *key = ps->list[i].key, *value = ps->list[i].value;

		if (m->kind == MATCH_CLIENT ? strcmp(key, "client") == 0 && strcasecmp(value, m->what) == 0 :
		    m->kind == MATCH_ID ? is_one_of(key, ids) && strcmp(value, m->what) == 0 :
		    is_one_of(key, addresses) && holds(m, value))
			return true;
	}
	return false;
}

/*
 * A refusal's code, a session's id or its client: all that was in the session. A Message-ID likewise: it is known before the
 * message has an id of ours.
 */
static bool
is_about_session(const struct match *m, const struct pairs *ps)
{
	return m->kind == MATCH_CLIENT || (m->kind == MATCH_ADDRESS && holds(m, pairs_get(ps, "message-id"))) || (m->kind == MATCH_ID && (strcmp(pairs_get(ps, "session"), m->what) == 0 ||
	    strcmp(pairs_get(ps, "ref"), m->what) == 0));
}

void
match_find(struct match *m, const struct pairs *ps)
{
	bool whole;

	if (!names_it(m, ps))
		return;
	whole = is_about_session(m, ps);
	note(m, 's', pairs_get(ps, "session"), whole, MATCH_STORIES_MAX);
	note(m, 'm', pairs_get(ps, "msg"), false, MATCH_STORIES_MAX);
}

bool
match_link(struct match *m, const struct pairs *ps)
{
	const char *session = pairs_get(ps, "session"), *message = pairs_get(ps, "msg"), *parent = pairs_get(ps, "parent");
	const struct named *s;
	bool new = false;

	if (message[0] == '\0')
		return false;
	if (session[0] != '\0') {
		s = look_up(m, 's', session);
		if (s != NULL && s->whole)
			new |= note(m, 'm', message, false, MATCH_LINKED_MAX);
		else if (s == NULL && look_up(m, 'm', message) != NULL)
			new |= note(m, 's', session, false, MATCH_LINKED_MAX);
	}
	if (parent[0] == '\0')
		return new;
	if (look_up(m, 'm', parent) != NULL)
		new |= note(m, 'm', message, false, MATCH_LINKED_MAX);
	else if (look_up(m, 'm', message) != NULL)
		new |= note(m, 'm', parent, false, MATCH_LINKED_MAX);
	return new;
}

bool
match_wants(const struct match *m, const struct pairs *ps)
{
	const char *message = pairs_get(ps, "msg");

	if (message[0] != '\0' && strcmp(message, "-") != 0)
		return look_up(m, 'm', message) != NULL;
	return look_up(m, 's', pairs_get(ps, "session")) != NULL;
}

unsigned
match_count(const struct match *m)
{
	return HASH_COUNT(m->found);
}

bool
match_left_out(const struct match *m)
{
	return m->left_out;
}
