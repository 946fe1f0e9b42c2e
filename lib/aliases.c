/*
 * Takes an aliases file apart. Decides what is a name, a target, a mistake, and says of a mistake what was expected; what
 * a target leads to is lookup/targets.c's business. One pass over the text.
 */
#include "lib/aliases.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <xxhash.h>

#include "lib/address.h"
#include "lib/alloc.h"
#include "lib/command.h"
#include "lib/log.h"
#include "lib/mailbox.h"

#define ITEM_MAX	1024		/* bytes of one name or target */

struct reader {
	const char	*file;
	const char	*p, *end;
	unsigned	 line;
	bool		 lines_separate;	/* a list: each line stands for itself */
	enum alias_source source;
	char		 item[ITEM_MAX + 1];
	size_t		 item_len;
};

static char *error_at(const struct reader *, unsigned line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static char *
error_at(const struct reader *r, unsigned line, const char *fmt, ...)
{
	char text[512], *error;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	error = alloc_printf("%s:%u: %s", r->file, line, text);
	return error;
}

/* ---- characters ---- */

static bool
is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static bool
at_blank(const struct reader *r)
{
	return r->p < r->end && is_blank(*r->p);
}

static void
skip_line(struct reader *r)
{
	const char *lf = r->p < r->end ? memchr(r->p, '\n', (size_t)(r->end - r->p)) : NULL;

	r->p = lf != NULL ? lf + 1 : r->end;
	r->line++;
}

/* Past lines that are empty or comments, where a line begins. */
static void
skip_empty_lines(struct reader *r)
{
	const char *start;

	for (;;) {
		start = r->p;
		while (at_blank(r))
			r->p++;
		if (r->p == r->end)
			return;
		if (*r->p != '\n' && *r->p != '#') {
			r->p = start;
			return;
		}
		skip_line(r);
	}
}

/*
 * Past white space, comments and ends of lines within one entry. False at its end, where the next one begins with a
 * line that does not begin with white space.
 */
static bool
skip_within(struct reader *r)
{
	for (;;) {
		while (at_blank(r))
			r->p++;
		if (r->p == r->end)
			return false;
		if (*r->p != '\n' && *r->p != '#')
			return true;
		skip_line(r);
		skip_empty_lines(r);
		if (r->p == r->end || (!is_blank(*r->p) && !r->lines_separate))
			return false;
	}
}

/* ---- items ---- */

static void
item_add(struct reader *r, char c)
{
	if (r->item_len <= ITEM_MAX)
		r->item[r->item_len++] = c;
}

/* A quoted string with its quotes. A line ends it, closed or not. */
static void
take_quoted(struct reader *r)
{
	item_add(r, *r->p++);
	while (r->p < r->end && *r->p != '\n') {
		item_add(r, *r->p);
		if (*r->p == '\\' && r->p + 1 < r->end && r->p[1] != '\n')
			item_add(r, *++r->p);
		else if (*r->p == '"') {
			r->p++;
			return;
		}
		r->p++;
	}
}

/*
 * Everything up to a comma, a stop character or the end of the line, into r->item, as it stands but for white space at
 * the end. 0, or -1: too long, or with a NUL or another control inside.
 */
static int
take_item(struct reader *r, char stop)
{
	char before = ' ';

	r->item_len = 0;
	while (r->p < r->end && *r->p != '\n' && *r->p != ',' && *r->p != stop) {
		if (*r->p == '#' && is_blank(before))
			break;
		before = *r->p;
		if (*r->p == '"')
			take_quoted(r);
		else
			item_add(r, *r->p++);
	}
	while (r->item_len > 0 && is_blank(r->item[r->item_len - 1]))
		r->item_len--;
	if (r->item_len > ITEM_MAX)
		return -1;
	r->item[r->item_len] = '\0';
	for (size_t i = 0; i < r->item_len; i++)
		if (((unsigned char)r->item[i] < 0x20 && r->item[i] != '\t') || r->item[i] == 0x7f)
			return -1;
	return 0;
}

/* Where the whole item is one quoted string, what is inside; otherwise NULL. */
static char *
unquote(const char *item)
{
	char *inside = alloc_text(item), *to = inside;

	if (*item != '"')
		goto no;
	for (item++; *item != '"'; item++) {
		if (*item == '\\')
			item++;
		if (*item == '\0')
			goto no;
		*to++ = *item;
	}
	*to = '\0';
	if (item[1] == '\0')
		return inside;
no:
	free(inside);
	return NULL;
}

/* ---- targets ---- */

static void
list_add(struct alias_list *l, enum alias_kind kind, const char *text)
{
	if (l->n == l->room) {
		l->room = l->room > 0 ? l->room * 2 : 4;
		l->targets = alloc_resize(l->targets, l->room, sizeof(*l->targets));
	}
	l->targets[l->n++] = (struct alias_target){ kind, alloc_text(text) };
}

static char *
check_address(struct alias_list *l, const struct reader *r, const char *text)
{
	enum alias_kind kind = *text == '\\' ? ALIAS_MAILBOX : ALIAS_LOCAL;
	const char *why;
	struct address a;

	if (address_parse(&a, text + (kind == ALIAS_MAILBOX), ADDRESS_UTF8 | ADDRESS_BARE, &why) != ADDRESS_OK)
		return error_at(r, r->line, "%s: %s; expected a local name, user@domain, :include:/path, |command or /file", logq(text), why);
	if (a.domain[0] != '\0' && kind == ALIAS_MAILBOX)
		return error_at(r, r->line, "%s: a backslash is for local names", logq(text));
	list_add(l, a.domain[0] != '\0' ? ALIAS_ADDRESS : kind, a.text);
	return NULL;
}

static char *
check_command(struct alias_list *l, const struct reader *r, const char *plain)
{
	char *argv[COMMAND_WORDS_MAX + 1];
	const char *why;

	if (r->source == ALIAS_OTHERS)
		return error_at(r, r->line, "%s: a command is taken only from a file that root owns and nobody "
		    "else may write to", logq(plain));
	if (command_split(plain + 1, argv, &why) < 0)
		return error_at(r, r->line, "%s: %s", logq(plain), why);
	free(argv[0]);
	list_add(l, ALIAS_COMMAND, plain + 1);
	return NULL;
}

static char *
check_file(struct alias_list *l, const struct reader *r, const char *plain)
{
	size_t len = strlen(plain);

	if (r->source == ALIAS_OTHERS)
		return error_at(r, r->line, "%s: a file is taken only from a file that root owns and nobody else "
		    "may write to", logq(plain));
	if (plain[len - 1] == '/' || strstr(plain, "/../") != NULL || (len >= 3 && strcmp(plain + len - 3, "/..") == 0))
		return error_at(r, r->line, "%s: expected the path of a file, without ..", logq(plain));
	list_add(l, ALIAS_FILE, plain);
	return NULL;
}

static char *
check_domain(struct alias_list *l, const struct reader *r, const char *plain)
{
	char domain[ADDRESS_DOMAIN_MAX + 1];

	if (address_domain(domain, plain + 1, ADDRESS_UTF8) != 0 || domain[0] == '[')
		return error_at(r, r->line, "%s: expected a domain behind the @", logq(plain));
	list_add(l, ALIAS_DOMAIN, domain);
	return NULL;
}

/* One target, unquoted where it was quoted as a whole. NULL, or what is wrong with it. */
static char *
check_target(struct alias_list *l, const struct reader *r, const char *raw, const char *plain)
{
	if (*plain == '|')
		return check_command(l, r, plain);
	if (*plain == '/')
		return check_file(l, r, plain);
	if (*plain == '@')
		return check_domain(l, r, plain);
	if (strncmp(plain, ":include:", 9) == 0 && r->source == ALIAS_USERS)
		return error_at(r, r->line, "%s: lists are for aliases; write the addresses here", logq(plain));
	if (strncmp(plain, ":include:", 9) == 0 && plain[9] == '/') {
		list_add(l, ALIAS_INCLUDE, plain + 9);
		return NULL;
	}
	if (*plain == ':')
		return error_at(r, r->line, "%s: expected :include: with an absolute path", logq(plain));
	return check_address(l, r, raw);
}

static void
list_take_target(struct alias_list *l, struct reader *r)
{
	char *plain, *error;

	if (take_item(r, ',') != 0) {
		error = error_at(r, r->line, "a target of more than %d bytes, or with a control character", ITEM_MAX);
	} else {
		plain = unquote(r->item);
		error = check_target(l, r, r->item, plain != NULL ? plain : r->item);
		free(plain);
	}
	l->bytes += r->item_len;
	if (l->error == NULL)
		l->error = error;
	else
		free(error);
}

/* All targets up to the end of the entry. */
static void
list_take(struct alias_list *l, struct reader *r)
{
	while (skip_within(r)) {
		if (*r->p == ',')
			r->p++;
		else
			list_take_target(l, r);
	}
}

void
alias_list_parse(struct alias_list *l, const char *file, const char *text, size_t len, enum alias_source source)
{
	struct reader r = { .file = file, .p = text, .end = text + len, .line = 1, .lines_separate = true, .source = source };

	memset(l, 0, sizeof(*l));
	list_take(l, &r);
}

void
alias_list_parse_one(struct alias_list *l, const char *file, const char *target)
{
	struct reader r = { .file = file, .line = 1, .source = ALIAS_OTHERS };

	memset(l, 0, sizeof(*l));
	l->error = check_target(l, &r, target, target);
}

uint64_t
alias_target_id(const struct alias_target *t)
{
	return XXH64(t->text, strlen(t->text), (XXH64_hash_t)t->kind);
}

void
alias_list_free(struct alias_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->targets[i].text);
	free(l->targets);
	free(l->error);
	memset(l, 0, sizeof(*l));
}

/* ---- the file ---- */

static void
remember_error(struct aliases *a, const char *error)
{
	if (a->n_errors < ALIASES_ERRORS_MAX)
		a->errors[a->n_errors] = alloc_text(error);
	a->n_errors++;
}

/* "@example.org", canonical. */
static char *
take_domain_name(const char *item)
{
	char name[ADDRESS_DOMAIN_MAX + 2] = "@", *plain = unquote(item);
	int rc = address_domain(name + 1, plain != NULL ? plain + 1 : item + 1, ADDRESS_UTF8);

	free(plain);
	return rc == 0 && name[1] != '[' ? mailbox_lower(alloc_text(name)) : NULL;
}

/* The name of an entry, canonical and in lower case, or NULL. */
static char *
take_name(struct reader *r)
{
	struct address a;
	char *name;

	if (take_item(r, ':') != 0 || r->p == r->end || *r->p != ':')
		return NULL;
	if (r->item[0] == '@' || (r->item[0] == '"' && r->item[1] == '@' && r->item[r->item_len - 1] == '"'))
		return take_domain_name(r->item);
	if (address_parse(&a, r->item, ADDRESS_UTF8 | ADDRESS_BARE, NULL) != ADDRESS_OK)
		return NULL;
	name = alloc_text(a.domain[0] != '\0' ? a.text : a.local);
	return mailbox_lower(name);
}

static void
skip_entry(struct reader *r)
{
	do {
		skip_line(r);
		skip_empty_lines(r);
	} while (at_blank(r));
}

static void
free_alias(struct alias *alias)
{
	alias_list_free(&alias->list);
	free(alias->name);
	free(alias);
}

static void
take_entry(struct aliases *a, struct reader *r)
{
	unsigned line = r->line;
	char *name = take_name(r), *error = NULL;
	struct alias *alias;

	if (name == NULL) {
		error = error_at(r, line, "expected \"name: target, target\"");
		remember_error(a, error);
		free(error);
		skip_entry(r);
		return;
	}
	r->p++;
	alias = alloc_new(1, sizeof(*alias));
	alias->name = name;
	alias->line = line;
	list_take(&alias->list, r);
	if (alias->list.error == NULL && alias->list.n == 0)
		alias->list.error = error_at(r, line, "%s: no target; expected \"name: target, target\"", logq(name));
	if (alias->list.error != NULL)
		remember_error(a, alias->list.error);
	if (aliases_find(a, name) != NULL) {
		error = error_at(r, line, "%s: is in line %u already, which holds", logq(name), aliases_find(a, name)->line);
		remember_error(a, error);
		free(error);
		free_alias(alias);
		return;
	}
	HASH_ADD_KEYPTR(hh, a->table, alias->name, strlen(alias->name), alias);
	a->bytes += alias->list.bytes;
	if (alias->list.bytes > a->longest)
		a->longest = alias->list.bytes;
}

struct aliases *
aliases_parse(const char *file, const char *text, size_t len, enum alias_source source)
{
	struct reader r = { .file = file, .p = text, .end = text + len, .line = 1, .source = source };
	struct aliases *a = alloc_new(1, sizeof(*a));
	char *error;

	for (skip_empty_lines(&r); r.p < r.end; skip_empty_lines(&r)) {
		if (!at_blank(&r)) {
			take_entry(a, &r);
			continue;
		}
		error = error_at(&r, r.line, "a continued line without an entry before it; expected \"name: target\"");
		remember_error(a, error);
		free(error);
		skip_entry(&r);
	}
	return a;
}

void
aliases_free(struct aliases *a)
{
	struct alias *alias, *next;

	if (a == NULL)
		return;
	HASH_ITER(hh, a->table, alias, next) {
		HASH_DEL(a->table, alias);
		free_alias(alias);
	}
	for (unsigned i = 0; i < ALIASES_ERRORS_MAX; i++)
		free(a->errors[i]);
	free(a);
}

const struct alias *
aliases_find(const struct aliases *a, const char *name)
{
	struct alias *alias;

	HASH_FIND_STR(a->table, name, alias);
	return alias;
}

const struct alias *
aliases_find_in(const struct aliases *a, const char *local, const char *domain)
{
	char name[ADDRESS_MAX + ADDRESS_DOMAIN_MAX];
	const struct alias *alias;

	snprintf(name, sizeof(name), "%s@%s", local, domain);
	if ((alias = aliases_find(a, mailbox_lower(name))) != NULL)
		return alias;
	snprintf(name, sizeof(name), "%s", local);
	return aliases_find(a, mailbox_lower(name));
}

const struct alias *
aliases_find_catch_all(const struct aliases *a, const char *domain)
{
	char name[ADDRESS_DOMAIN_MAX + 2];

	snprintf(name, sizeof(name), "@%s", domain);
	return aliases_find(a, mailbox_lower(name));
}

size_t
aliases_count(const struct aliases *a)
{
	return HASH_COUNT(a->table);
}
