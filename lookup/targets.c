/*
 * What a local recipient expands to: aliases and included lists followed to mailboxes and remote addresses, each once.
 * Decides what is a loop and what a self-reference (an alias that names itself means the mailbox behind it). A target
 * here that nobody has is handed on as a mailbox, so that mda refuses that one and the others get their mail.
 *
 * A depth-first walk: a node (an alias in a domain, a list, root) is on the path while what it names is walked, and done
 * afterwards, which makes it cost nothing the second time. Its depth is bounded, so that recursion is.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/alloc.h"
#include "lib/hash.h"
#include "lib/mailbox.h"
#include "lib/alias_file.h"
#include "lookup/recipients.h"

#define DEPTH_MAX	50		/* aliases in aliases; more is a mistake in itself */
#define TARGETS_MAX	1000000
#define OWNER_STEPS	10		/* from an alias that is another name for a list */

struct node {
	char		*key;
	bool		 on_path, is_list;
	struct node	*above;		/* on the path */
	UT_hash_handle	 hh;
};

struct seen {
	UT_hash_handle	 hh;
	char		 address[];
};

struct walk {
	const struct recipients	*r;
	struct expansion	*out;
	struct node		*nodes, *path;
	struct seen		*seen;
	const struct address	*at;		/* whom the alias at hand was found for */
	const char		*sender;
	unsigned		 depth;
};

static void	walk_list(struct walk *, const struct alias_list *, const char *domain);
static void	walk_address(struct walk *, const struct address *);
static void	walk_local(struct walk *, const char *text, const char *domain, bool mailbox_only);

static void
fail(struct walk *w, enum expand_verdict verdict, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The first failure is the answer. */
static void
fail(struct walk *w, enum expand_verdict verdict, const char *fmt, ...)
{
	va_list ap;

	if (w->out->verdict != EXPAND_OK)
		return;
	w->out->verdict = verdict;
	va_start(ap, fmt);
	vsnprintf(w->out->text, sizeof(w->out->text), fmt, ap);
	va_end(ap);
}

static void
tell(const struct walk *w, unsigned depth, const char *kind, const char *value, const char *detail)
{
	if (w->r->tell != NULL)
		w->r->tell(w->r->tell_arg, depth, kind, value, detail);
}

/* One address may be there as itself and with each of its commands and files. */
static bool
has_seen(struct walk *w, const char *address, uint64_t id)
{
	size_t size = strlen(address) + 20;
	struct seen *s, *known;

	s = alloc_raw(sizeof(*s) + size);
	snprintf(s->address, size, "%s %llx", address, (unsigned long long)id);
	HASH_FIND_STR(w->seen, s->address, known);
	if (known != NULL) {
		free(s);
		return true;
	}
	HASH_ADD_STR(w->seen, address, s);
	return false;
}

/* detail: for who watches. */
static void
emit(struct walk *w, enum target_kind kind, const char *address, uint64_t id, const char *detail)
{
	static const char *const words[] = { [TARGET_MAILBOX] = "mailbox", [TARGET_REMOTE] = "remote",
	    [TARGET_OWN_MAILBOX] = "mailbox", [TARGET_COMMAND] = "command", [TARGET_FILE] = "file" };
	struct expansion *out = w->out;

	if (has_seen(w, address, id))
		return;
	tell(w, w->depth, words[kind], detail != NULL ? detail : address, "");
	if (out->n == TARGETS_MAX) {
		fail(w, EXPAND_ERROR, "more than %d targets", TARGETS_MAX);
		return;
	}
	if (out->n == out->room) {
		out->room = out->room > 0 ? out->room * 2 : 8;
		out->targets = alloc_resize(out->targets, out->room, sizeof(*out->targets));
	}
	out->targets[out->n++] = (struct target){ kind, alloc_text(address), id };
}

/* ---- nodes ---- */

enum entry { ENTERED, DONE_BEFORE, ITSELF, REFUSED };

/* What names the target at hand: for one in an included list, the alias that includes it. */
static const struct node *
naming_node(const struct walk *w, bool is_list)
{
	const struct node *node = w->path;

	while (!is_list && node != NULL && node->is_list)
		node = node->above;
	return node;
}

static enum entry
node_enter(struct walk *w, const char *key, bool is_list)
{
	struct node *node;

	HASH_FIND_STR(w->nodes, key, node);
	if (node != NULL && !node->on_path)
		return DONE_BEFORE;
	if (node != NULL && node == naming_node(w, is_list))
		return ITSELF;
	if (node != NULL || w->depth == DEPTH_MAX) {
		fail(w, EXPAND_LOOP, "%s leads back to itself, or through more than %d others", key, DEPTH_MAX);
		return REFUSED;
	}
	node = alloc_new(1, sizeof(*node));
	node->key = alloc_text(key);
	node->on_path = true;
	node->is_list = is_list;
	node->above = w->path;
	w->path = node;
	w->depth++;
	HASH_ADD_KEYPTR(hh, w->nodes, node->key, strlen(node->key), node);
	return ENTERED;
}

static void
node_leave(struct walk *w)
{
	w->path->on_path = false;
	w->path = w->path->above;
	w->depth--;
}

/* ---- the walk ---- */

/* The alias that names itself. Without a mailbox behind it there is nothing that could be meant. */
static void
walk_itself(struct walk *w, const struct address *a)
{
	switch (mailbox_find_tagged(w->r->conf, w->r->started_by, a->local, a->domain, NULL)) {
	case MAILBOX_FOUND:
		emit(w, TARGET_MAILBOX, a->text, 0, NULL);
		break;
	case MAILBOX_NONE:
		if (w->r->conf->lmtp_users == CONF_LMTP_ANY && conf_is_lmtp(w->r->conf, a->domain)) {
			emit(w, TARGET_MAILBOX, a->text, 0, NULL);
			break;
		}
		fail(w, EXPAND_LOOP, "alias %s names itself, and there is no mailbox of that name", a->local);
		break;
	case MAILBOX_TEMPORARY:
		fail(w, EXPAND_TEMPORARY, "%s: the user cannot be looked up now", a->local);
		break;
	}
}

static void
walk_alias(struct walk *w, const struct alias *alias, const struct address *a)
{
	char key[ADDRESS_LOCAL_MAX + ADDRESS_MAX + ADDRESS_DOMAIN_MAX + 16], line[32];
	const struct address *before = w->at;

	/* What a domain's alias leads to may differ with the address, as what a command gets to see does. */
	snprintf(key, sizeof(key), "alias %s for %s", alias->name, alias->name[0] == '@' ? a->text : a->domain);
	w->at = a;
	switch (node_enter(w, key, false)) {
	case ENTERED:
		snprintf(line, sizeof(line), "line %u", alias->line);
		tell(w, w->depth - 1, "alias", alias->name, line);
		walk_list(w, &alias->list, a->domain);
		node_leave(w);
		break;
	case ITSELF:
		walk_itself(w, a);
		break;
	case DONE_BEFORE:
	case REFUSED:
		break;
	}
	w->at = before;
}

static void
walk_include(struct walk *w, const char *path, const char *domain)
{
	struct alias_list list;
	char why[512], *key;

	key = alloc_printf("list %s for %s", path, domain);
	switch (node_enter(w, key, true)) {
	case ENTERED:
		tell(w, w->depth - 1, "list", path, "");
		if (alias_file_include(&list, path, w->r->started_by, why, sizeof(why)) == 0) {
			walk_list(w, &list, domain);
			alias_list_free(&list);
		} else {
			fail(w, EXPAND_TEMPORARY, "included list %s", why);
		}
		node_leave(w);
		break;
	case ITSELF:
		fail(w, EXPAND_LOOP, "%s includes itself", path);
		break;
	case DONE_BEFORE:
	case REFUSED:
		break;
	}
	free(key);
}

/* A local name in a domain. */
static void
walk_local(struct walk *w, const char *text, const char *domain, bool mailbox_only)
{
	char full[ADDRESS_MAX + ADDRESS_DOMAIN_MAX + 2];
	struct address a;

	snprintf(full, sizeof(full), "%s@%s", text, domain);
	if (address_parse(&a, full, ADDRESS_UTF8, NULL) != ADDRESS_OK)
		fail(w, EXPAND_ERROR, "%s is no address", text);
	else if (mailbox_only)
		emit(w, strcasecmp(a.local, "root") == 0 ? TARGET_MAILBOX : TARGET_OWN_MAILBOX, a.text, 0, NULL);
	else
		walk_address(w, &a);
}

/* root's mail, where no alias says otherwise; postmaster's goes the same way by way of root's aliases. */
static void
walk_root(struct walk *w, const struct address *a)
{
	const char *to = w->r->conf->root_mail;
	struct alias_list list;

	if (strcasecmp(a->local, "root") != 0 && aliases_find(w->r->aliases, "root") != NULL) {
		walk_local(w, "root", a->domain, false);
		return;
	}
	switch (to[0] == '\0' ? ITSELF : node_enter(w, "root_mail", false)) {
	case ENTERED:
		tell(w, w->depth - 1, "root_mail", to, "");
		alias_list_parse_one(&list, "root_mail", to);
		walk_list(w, &list, a->domain);
		alias_list_free(&list);
		node_leave(w);
		break;
	case ITSELF:
		walk_local(w, "root", a->domain, true);
		break;
	case DONE_BEFORE:
	case REFUSED:
		break;
	}
}

/* Anybody may have seen such an address: only what comes without a sender is a bounce. */
static void
walk_srs(struct walk *w, const struct address *a)
{
	char to[ADDRESS_MAX];

	if (w->sender[0] != '\0')
		fail(w, EXPAND_UNKNOWN, "%s takes bounces only", a->text);
	else if (recipients_srs(w->r, a->local, a->domain, to))
		emit(w, TARGET_REMOTE, to, 0, NULL);
}

/* The same local part in another domain, here or elsewhere. */
static void
walk_domain(struct walk *w, const char *domain)
{
	char local[ADDRESS_MAX];

	/* As it stands in the address: quoted where it must be. */
	snprintf(local, sizeof(local), "%.*s", (int)(strrchr(w->at->text, '@') - w->at->text), w->at->text);
	walk_local(w, local, domain, false);
}

static void
walk_address(struct walk *w, const struct address *a)
{
	enum recipient_kind kind;
	const struct alias *alias;

	if (!recipients_is_local(w->r, a)) {
		emit(w, TARGET_REMOTE, a->text, 0, NULL);
		return;
	}
	kind = w->depth == 0 ? recipients_find(w->r, a->local, a->domain, &alias) :
	    recipients_find_target(w->r, a->local, a->domain, &alias);
	/* One that is gone among others is refused by mda, and the others get their mail. */
	if (kind == RECIPIENT_NONE && w->depth > 0)
		kind = RECIPIENT_MAILBOX;
	switch (kind) {
	case RECIPIENT_ALIAS:
		walk_alias(w, alias, a);
		break;
	case RECIPIENT_ROOT:
		walk_root(w, a);
		break;
	case RECIPIENT_SRS:
		walk_srs(w, a);
		break;
	case RECIPIENT_TEMPORARY:
		fail(w, EXPAND_TEMPORARY, "%s: cannot be looked up now", a->text);
		break;
	case RECIPIENT_NONE:
		fail(w, EXPAND_UNKNOWN, "no such mailbox or alias any more");
		break;
	case RECIPIENT_MAILBOX:
		emit(w, TARGET_MAILBOX, a->text, 0, NULL);
		break;
	}
}

static void
walk_list(struct walk *w, const struct alias_list *list, const char *domain)
{
	struct address a;

	if (list->error != NULL)
		fail(w, EXPAND_ERROR, "%s", list->error);
	for (size_t i = 0; i < list->n && w->out->verdict == EXPAND_OK; i++) {
		const struct alias_target *t = &list->targets[i];

		switch (t->kind) {
		case ALIAS_ADDRESS:
			if (address_parse(&a, t->text, ADDRESS_UTF8, NULL) == ADDRESS_OK)
				walk_address(w, &a);
			break;
		case ALIAS_LOCAL:
		case ALIAS_MAILBOX:
			walk_local(w, t->text, domain, t->kind == ALIAS_MAILBOX);
			break;
		case ALIAS_INCLUDE:
			walk_include(w, t->text, domain);
			break;
		case ALIAS_DOMAIN:
			walk_domain(w, t->text);
			break;
		case ALIAS_COMMAND:
			emit(w, TARGET_COMMAND, w->at->text, alias_target_id(t), t->text);
			break;
		case ALIAS_FILE:
			emit(w, TARGET_FILE, w->at->text, alias_target_id(t), t->text);
			break;
		}
	}
}

static void
walk_free(struct walk *w)
{
	struct node *node, *next_node;
	struct seen *seen, *next_seen;

	HASH_ITER(hh, w->nodes, node, next_node) {
		HASH_DEL(w->nodes, node);
		free(node->key);
		free(node);
	}
	HASH_ITER(hh, w->seen, seen, next_seen) {
		HASH_DEL(w->seen, seen);
		free(seen);
	}
}

/*
 * Who hears of mail to a list that cannot be delivered: owner-NAME, where there is an alias of that name. An alias that
 * leads to one other only is another name for that one.
 */
static void
find_owner(struct walk *w, const struct address *address)
{
	struct address a = *address;
	char name[ADDRESS_LOCAL_MAX + 8], next[ADDRESS_MAX + ADDRESS_DOMAIN_MAX];
	const struct alias *alias;

	for (int i = 0; i < OWNER_STEPS && w->r->aliases != NULL && strncasecmp(a.local, "owner-", 6) != 0; i++) {
		if (recipients_find(w->r, a.local, a.domain, &alias) != RECIPIENT_ALIAS || alias->name[0] == '@')
			return;
		snprintf(name, sizeof(name), "owner-%.*s", (int)strcspn(alias->name, "@"), alias->name);
		if (aliases_find_in(w->r->aliases, name, a.domain) != NULL) {
			snprintf(w->out->owner, sizeof(w->out->owner), "%s@%s", name, a.domain);
			tell(w, 0, "owner", w->out->owner, "");
			return;
		}
		if (alias->list.n != 1 || alias->list.targets[0].kind != ALIAS_LOCAL)
			return;
		snprintf(next, sizeof(next), "%s@%s", alias->list.targets[0].text, a.domain);
		if (address_parse(&a, next, ADDRESS_UTF8, NULL) != ADDRESS_OK)
			return;
	}
}

void
targets_find(const struct recipients *r, const struct address *address, const char *sender, struct expansion *out)
{
	struct walk w = { .r = r, .out = out, .sender = sender };
	struct address a = *address;

	memset(out, 0, sizeof(*out));
	out->verdict = EXPAND_OK;
	if (a.domain[0] == '\0')
		walk_local(&w, a.text, r->conf->domains[0], false);
	else if (recipients_is_local(r, &a))
		walk_address(&w, &a);
	else
		fail(&w, EXPAND_UNKNOWN, "%s is no domain here any more", a.domain);
	if (out->verdict == EXPAND_OK && out->n == 0)
		fail(&w, EXPAND_ERROR, "the alias leads to nobody");
	/* What has no sender stays so: it may be a bounce itself. */
	if (out->verdict == EXPAND_OK && sender[0] != '\0' && a.domain[0] != '\0')
		find_owner(&w, &a);
	walk_free(&w);
}

void
expansion_free(struct expansion *out)
{
	for (size_t i = 0; i < out->n; i++)
		free(out->targets[i].address);
	free(out->targets);
	memset(out, 0, sizeof(*out));
}
