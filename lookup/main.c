/*
 * lookup: is this a recipient here, may this client relay, what does this recipient expand to. It answers smtpd with
 * tokens that queue believes, and queue directly. It reads aliases, the password file and the names of virtual users'
 * directories, and writes nothing but what filters remember (lookup/state.h).
 */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <unistd.h>

#include "lib/address.h"
#include "lib/alloc.h"
#include "lib/clock.h"
#include "lib/ids.h"
#include "lib/log.h"
#include "lib/pack.h"
#include "lib/process.h"
#include "lib/token.h"
#include "lib/alias_file.h"
#include "filters/memory_pack.h"
#include "lookup/calling.h"
#include "lookup/judge.h"
#include "lookup/recipients.h"
#include "lookup/state.h"
#include "lookup/trust.h"
#include "lookup/verify.h"

#define EXPAND_BYTES	(48U * 1024)	/* of targets in one message; the next follows with `more` */
#define ANSWER_MAX	16384		/* bytes to a tool: what its socket takes without waiting */

struct lookup {
	struct process		 process;
	struct recipients	 recipients;
	struct alias_file	*aliases;
	struct state		*state;
	struct calling		*calling;
	struct judge		*judge;
	struct srs_secrets	 srs;
	char			 secrets[2][SRS_SECRET_MAX];
	uint64_t		 questions, expansions, trusts;
};

/* ---- RCPT ---- */

static void
answer_rcpt(struct lookup *l, struct ipc *peer, uint64_t id, uint64_t session, const struct address *a, bool trusted)
{
	l->questions++;
	l->recipients.aliases = alias_file_get(l->aliases);
	judge_answer(l->judge, peer, id, session, a, trusted);
}

/* smtpd gives the canonical form, and the token is for exactly that. */
static bool
take_address(struct address *a, struct unpack *u)
{
	char text[ADDRESS_MAX];

	unpack_str_to(u, text, sizeof(text));
	return unpack_ok(u) && address_parse(a, text, ADDRESS_UTF8 | ADDRESS_BARE, NULL) == ADDRESS_OK &&
	    strcmp(a->text, text) == 0;
}

static int
on_rcpt_ask(void *arg, struct ipc *peer, struct ipc_message *m)
{
	struct lookup *l = arg;
	struct address a;
	const void *trust;
	uint64_t session;
	struct unpack u;
	size_t len;
	bool ok;

	unpack_init(&u, m->data, m->len);
	session = unpack_u64(&u);
	ok = take_address(&a, &u);
	trust = unpack_blob(&u, &len);
	if (!ok || !unpack_end(&u))
		return ipc_fail(peer, "RCPT_ASK without a canonical address");
	answer_rcpt(l, peer, m->id, session, &a,
	    token_check(trust, len, l->process.secret, TOKEN_TRUSTED, session, "", clock_ms() / 1000));
	return 0;
}

/* ---- TRUST ---- */

static bool
answer_trust(struct lookup *l, struct ipc *peer, uint64_t id, uint64_t session, int fd, const char *claimed)
{
	uint8_t token[TOKEN_SIZE];
	char who[80];
	bool trusted = trust_client(l->process.conf, fd, claimed, who, sizeof(who));
	struct pack p;

	l->trusts++;
	if (trusted)
		token_make(token, l->process.secret, TOKEN_TRUSTED, session, "", clock_ms() / 1000);
	log_debug("session=%s event=trust client=%s claimed=%s trusted=%s", id_text(session), logq(who), logq(claimed),
	    trusted ? "yes" : "no");
	pack_init(&p);
	pack_u8(&p, trusted);
	pack_blob(&p, token, trusted ? sizeof(token) : 0);
	ipc_send_pack(peer, MSG_TRUST, id, &p, -1);
	pack_free(&p);
	return trusted;
}

/* Nothing can be said of a client whose descriptor did not come through. */
static void
answer_later(struct ipc *peer, uint64_t id)
{
	struct pack p;

	pack_init(&p);
	pack_u8(&p, RCPT_TEMPORARY);
	pack_str(&p, "");
	pack_blob(&p, "", 0);
	ipc_send_pack(peer, MSG_RCPT, id, &p, -1);
	pack_free(&p);
}

/* Most sessions have one recipient: it comes along, and both answers leave together. */
static int
on_trust_ask(void *arg, struct ipc *peer, struct ipc_message *m)
{
	struct lookup *l = arg;
	struct address a;
	struct unpack u;
	char claimed[64] = "";
	bool trusted = false, asks_rcpt, bad;
	uint64_t session;

	unpack_init(&u, m->data, m->len);
	session = unpack_u64(&u);
	if (m->fd < 0) {
		answer_later(peer, m->id);
		return 0;
	}
	asks_rcpt = !unpack_end(&u);
	bad = asks_rcpt && !take_address(&a, &u);
	if (!bad && !unpack_end(&u))
		unpack_str_to(&u, claimed, sizeof(claimed));
	bad |= !unpack_end(&u);
	if (!bad)
		trusted = answer_trust(l, peer, m->id, session, m->fd, claimed);
	close(m->fd);
	if (bad)
		return ipc_fail(peer, "TRUST_ASK with an address that is not canonical");
	if (asks_rcpt)
		answer_rcpt(l, peer, m->id, session, &a, trusted);
	return 0;
}

/* ---- EXPAND ---- */

/* How many targets from `first` fit into one message. */
static size_t
targets_that_fit(const struct expansion *e, size_t first)
{
	size_t bytes = 0, n = 0;

	while (first + n < e->n && n < UINT16_MAX && bytes < EXPAND_BYTES)
		bytes += 13 + strlen(e->targets[first + n++].address);
	return n;
}

static void
send_expansion(struct ipc *peer, uint64_t id, const struct expansion *e)
{
	size_t total = e->verdict == EXPAND_OK ? e->n : 0, at = 0, n;
	struct pack p;

	pack_init(&p);
	do {
		n = total > 0 ? targets_that_fit(e, at) : 0;
		pack_u8(&p, (uint8_t)e->verdict);
		pack_u8(&p, at + n < total);
		pack_u16(&p, (uint16_t)n);
		for (size_t i = at; i < at + n; i++) {
			pack_u8(&p, (uint8_t)e->targets[i].kind);
			pack_str(&p, e->targets[i].address);
			pack_u64(&p, e->targets[i].id);
		}
		pack_str(&p, e->text);
		pack_str(&p, e->owner);
		ipc_send_pack(peer, MSG_EXPAND, id, &p, -1);
		at += n;
	} while (at < total);
	pack_free(&p);
}

static int
on_expand_ask(void *arg, struct ipc *peer, struct ipc_message *m)
{
	struct lookup *l = arg;
	char text[ADDRESS_MAX], sender[ADDRESS_MAX];
	struct expansion e;
	struct address a;
	struct unpack u;

	unpack_init(&u, m->data, m->len);
	unpack_str_to(&u, text, sizeof(text));
	unpack_str_to(&u, sender, sizeof(sender));
	if (!unpack_end(&u) || address_parse(&a, text, ADDRESS_UTF8 | ADDRESS_BARE, NULL) != ADDRESS_OK)
		return ipc_fail(peer, "EXPAND_ASK without an address");
	l->expansions++;
	l->recipients.aliases = alias_file_get(l->aliases);
	targets_find(&l->recipients, &a, sender, &e);
	if (e.verdict != EXPAND_OK)
		log_warn("event=expand-failed to=%s what=%s", logq(text), logq(e.text));
	send_expansion(peer, m->id, &e);
	expansion_free(&e);
	return 0;
}

/* ---- SRS ---- */

static int
on_srs(void *arg, struct ipc *master, struct ipc_message *m)
{
	struct lookup *l = arg;
	struct unpack u;

	unpack_init(&u, m->data, m->len);
	for (int i = 0; i < 2; i++) {
		unpack_str_to(&u, l->secrets[i], sizeof(l->secrets[i]));
		l->srs.list[i] = l->secrets[i][0] != '\0' ? l->secrets[i] : NULL;
	}
	return unpack_end(&u) ? 0 : ipc_fail(master, "SRS is malformed");
}

/* ---- what filters remember ---- */

static void
send_memory(void *arg, uint64_t id, const struct memory_answer *a)
{
	struct pack p;

	pack_init(&p);
	memory_pack_answer(&p, a);
	ipc_send_pack(arg, MSG_MEMORY, id, &p, -1);
	pack_free(&p);
}

static int
take_question(struct lookup *l, struct ipc *peer, struct ipc_message *m, bool answered)
{
	struct memory_strings strings;
	struct memory_question q;
	struct unpack u;

	unpack_init(&u, m->data, m->len);
	if (memory_unpack_question(&u, &q, &strings) != 0)
		return ipc_fail(peer, "a question to memory that cannot be read");
	state_ask(l->state, &q, m->id, answered ? send_memory : NULL, peer);
	return 0;
}

static int
on_memory_ask(void *arg, struct ipc *peer, struct ipc_message *m)
{
	return take_question(arg, peer, m, true);
}

static int
on_memory_note(void *arg, struct ipc *peer, struct ipc_message *m)
{
	return take_question(arg, peer, m, false);
}

/* ---- callbacks ---- */

static int
on_callback_ask(void *arg, struct ipc *peer, struct ipc_message *m)
{
	return calling_on_ask(((struct lookup *)arg)->calling, peer, m);
}

static int
on_call(void *arg, struct ipc *peer, struct ipc_message *m)
{
	return calling_on_call(((struct lookup *)arg)->calling, peer, m);
}

/* ---- the tools ---- */

static void
check_aliases(struct lookup *l, FILE *out)
{
	const struct aliases *a;
	char err[512];

	if (l->process.conf->aliases[0] == '\0') {
		fprintf(out, "error: the configuration names no file of aliases\n");
		return;
	}
	if (alias_file_read(l->aliases, err, sizeof(err)) != 0) {
		fprintf(out, "error: %s\n", err);
		return;
	}
	a = alias_file_get(l->aliases);
	if (a->n_errors > 0)
		fprintf(out, "error: %u of the entries in %s\n", a->n_errors, l->process.conf->aliases);
	else
		fprintf(out, "ok\n");
	for (unsigned i = 0; i < a->n_errors && i < ALIASES_ERRORS_MAX; i++)
		fprintf(out, "%s\n", a->errors[i]);
	fprintf(out, "%s: %zu aliases, longest %zu bytes, %zu bytes in all\n", l->process.conf->aliases, aliases_count(a),
	    a->longest, a->bytes);
}

static int
on_control(void *arg, struct ipc *peer, struct ipc_message *m)
{
	struct lookup *l = arg;
	char answer[ANSWER_MAX];
	struct unpack u;
	char *line;
	FILE *out = alloc_must(fmemopen(answer, sizeof(answer), "w"));
	bool privileged;
	bool later = false;
	long len;

	unpack_init(&u, m->data, m->len);
	unpack_u32(&u);
	privileged = unpack_u8(&u) == 1;
	line = unpack_str(&u);
	l->recipients.aliases = alias_file_get(l->aliases);
	if (strcmp(line, "aliases") == 0)
		check_aliases(l, out);
	else if (strncmp(line, "verify\t", 7) == 0)
		verify_address(&l->recipients, line + 7, privileged, out, sizeof(answer));
	else if (strncmp(line, "memory\t", 7) == 0)
		state_command(l->state, line, privileged, out);
	else if (strncmp(line, "callback\t", 9) == 0)
		later = true;
	else
		fprintf(out, "error: unknown command; expected aliases, verify, callback or memory\n");
	len = ftell(out);
	fclose(out);
	/* An answer that a tool does not read is its own loss: nobody waits for it. */
	if (len > 0 && send(m->fd, answer, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		log_debug("event=tool-gone");
	if (later)
		calling_command(l->calling, line + 9, privileged, m->fd);
	else
		close(m->fd);
	free(line);
	return unpack_end(&u) ? 0 : ipc_fail(peer, "CONTROL is malformed");
}

static void
on_status(void *arg, char *to, size_t size)
{
	struct lookup *l = arg;
	const struct aliases *a = alias_file_get(l->aliases);
	int n;

	n = snprintf(to, size, "recipients=%llu expansions=%llu clients=%llu aliases=%zu alias_errors=%u",
	    (unsigned long long)l->questions, (unsigned long long)l->expansions, (unsigned long long)l->trusts,
	    a != NULL ? aliases_count(a) : 0, a != NULL ? a->n_errors : 0);
	if (n > 0 && (size_t)n + 1 < size) {
		to[n] = ' ';
		state_status(l->state, to + n + 1, size - (size_t)n - 1);
		n += (int)strlen(to + n);
		if ((size_t)n + 1 < size)
			to[n++] = ' ';
		calling_status(l->calling, to + n, size - (size_t)n);
	}
}

/* Mail for root must never be somewhere where nobody looks: say where. */
static void
log_roots_mail(struct lookup *l)
{
	const struct aliases *a = alias_file_get(l->aliases);

	if (a != NULL && aliases_find(a, "root") != NULL)
		log_info("event=root-mail to=alias file=%s", logq(l->process.conf->aliases));
	else if (l->process.conf->root_mail[0] != '\0')
		log_info("event=root-mail to=%s", logq(l->process.conf->root_mail));
	else
		log_info("event=root-mail to=%s/root/Maildir what=\"set root_mail, or an alias for root, to have it elsewhere\"",
		    l->process.conf->state);
}

static void
on_reconfigure(void *arg, const struct conf *old)
{
	struct lookup *l = arg;
	const struct conf *conf = l->process.conf;

	l->recipients.conf = conf;
	if (strcmp(old->aliases, conf->aliases) != 0) {
		alias_file_free(l->aliases);
		l->aliases = alias_file_new(conf->aliases, l->recipients.started_by, false);
		l->recipients.aliases = NULL;
	}
	calling_reconfigure(l->calling);
	log_roots_mail(l);
}

static void
on_peer(void *arg, struct ipc *peer)
{
	calling_peer_up(((struct lookup *)arg)->calling, peer);
}

static void
on_peer_down(void *arg, struct ipc *peer)
{
	struct lookup *l = arg;

	state_cancel(l->state, peer);
	judge_peer_down(l->judge, peer);
	calling_peer_down(l->calling, peer);
}

/* A successor runs, and waits for the files. */
static void
on_drain(void *arg)
{
	struct lookup *l = arg;

	state_stop(l->state, NULL, NULL);
}

/* Callbacks are waited for; all else is answered at once. */
static bool
is_drained(void *arg)
{
	return calling_is_idle(((struct lookup *)arg)->calling);
}

static void
on_state_stopped(void *arg)
{
	struct lookup *l = arg;

	process_quit(&l->process);
}

static void
on_stop(void *arg)
{
	struct lookup *l = arg;

	state_stop(l->state, on_state_stopped, l);
}

static const struct ipc_handler handlers[] = {
	{ MSG_TRUST_ASK, on_trust_ask },
	{ MSG_RCPT_ASK, on_rcpt_ask },
	{ MSG_EXPAND_ASK, on_expand_ask },
	{ MSG_SRS, on_srs },
	{ MSG_MEMORY_ASK, on_memory_ask },
	{ MSG_MEMORY_NOTE, on_memory_note },
	{ MSG_CALLBACK_ASK, on_callback_ask },
	{ MSG_CALL, on_call },
	{ MSG_CONTROL, on_control },
	{ MSG_NONE, NULL },
};

int
main(void)
{
	struct lookup l = { .process = { .handlers = handlers, .on_status = on_status, .on_reconfigure = on_reconfigure,
	    .on_peer = on_peer, .on_peer_down = on_peer_down, .is_drained = is_drained, .on_drain = on_drain, .on_stop = on_stop } };

	l.process.arg = &l;
	process_init(&l.process, PROC_LOOKUP);
	if (!l.process.has_secret)
		log_fatal("event=start-failed what=\"no key for tokens\"");
	l.recipients = (struct recipients){ .conf = l.process.conf, .started_by = geteuid(), .srs = &l.srs };
	l.aliases = alias_file_new(l.process.conf->aliases, l.recipients.started_by, false);
	/* Loads the system's modules for user names, some of which do more at their start than the sandbox allows. */
	getpwnam("no such user");
	l.state = state_new(l.process.base, l.process.conf);
	l.calling = calling_new(&l.process, l.state);
	l.judge = judge_new(&l.process, &l.recipients, l.calling);
	process_sandbox(&l.process);
	state_start(l.state);
	log_roots_mail(&l);
	return process_run(&l.process);
}
