/*
 * Decides about a recipient that a client named (lookup/judge.h): ours, relayed for others, relayed for this client, or nothing
 * of these. Called by main.c.
 */
#include "lookup/judge.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "lib/alloc.h"
#include "lib/clock.h"
#include "lib/conf.h"
#include "lib/ipc.h"
#include "lib/messages.h"
#include "lib/pack.h"
#include "lib/process.h"
#include "lib/token.h"
#include "lookup/calling.h"
#include "lookup/recipients.h"
#include "lookup/relayed.h"

#define WAIT_MS		25000		/* smtpd waits for half a minute; what comes later is known when the client asks again */

struct verdict {
	enum rcpt_verdict	 code;
	const char		*text;
};

/* Of a relayed domain: a callback is under way. */
struct waiting {
	LIST_ENTRY(waiting)	 next;
	struct judge		*judge;
	struct ipc		*peer;
	uint64_t		 id, session;
	struct address		 address;
	struct callbacks_query	*query;
	struct timer		 patience;
};

struct judge {
	struct process		*process;
	struct recipients	*recipients;
	struct calling		*calling;
	struct relayed		*relayed;
	LIST_HEAD(, waiting)	 waiting;
};

static const struct verdict later = { RCPT_TEMPORARY, "the recipient cannot be looked up now, please try again later" };

/* ---- verdicts ---- */

static struct verdict
judge_local(struct judge *j, const struct address *a)
{
	const struct alias *alias;

	switch (recipients_find(j->recipients, a->local, a->domain, &alias)) {
	case RECIPIENT_ALIAS:
		/* To take its mail would be to send it back: to a sender who may be forged. */
		if (alias->list.error != NULL)
			return (struct verdict){ RCPT_TEMPORARY, "the alias is wrong, and has to be mended; please try again later" };
		return (struct verdict){ RCPT_LOCAL, "recipient ok" };
	case RECIPIENT_MAILBOX:
	case RECIPIENT_ROOT:
		return (struct verdict){ RCPT_LOCAL, "recipient ok" };
	case RECIPIENT_SRS:
		return (struct verdict){ RCPT_BOUNCES, "recipient ok" };
	case RECIPIENT_TEMPORARY:
		return later;
	case RECIPIENT_NONE:
		break;
	}
	return (struct verdict){ RCPT_UNKNOWN, "no such mailbox here" };
}

/* False: a callback has to say. */
static bool
judge_relayed(struct judge *j, const struct address *a, struct verdict *v)
{
	switch (relayed_find(j->relayed, j->process->conf, a)) {
	case RELAYED_NOT_OURS:
		*v = (struct verdict){ RCPT_DENIED, "relaying denied: this is no domain of ours and this client is not trusted" };
		return true;
	case RELAYED_KNOWN:
		*v = (struct verdict){ RCPT_RELAY, "recipient ok, mail will be relayed" };
		return true;
	case RELAYED_UNKNOWN:
		*v = (struct verdict){ RCPT_UNKNOWN, "no such recipient in a domain that is relayed here" };
		return true;
	case RELAYED_TEMPORARY:
		*v = later;
		return true;
	case RELAYED_ASK:
		break;
	}
	return false;
}

static bool
judge_address(struct judge *j, const struct address *a, bool trusted, struct verdict *v)
{
	if (recipients_is_local(j->recipients, a))
		*v = judge_local(j, a);
	else if (a->domain[0] == '\0')
		*v = (struct verdict){ RCPT_UNKNOWN, "a domain is missing: expected user@domain" };
	else if (trusted)
		*v = (struct verdict){ RCPT_RELAY, "recipient ok, mail will be relayed" };
	else
		return judge_relayed(j, a, v);
	return true;
}

/* ---- answers ---- */

static void
send_verdict(struct judge *j, struct ipc *peer, uint64_t id, uint64_t session, const struct address *a, const struct verdict *v)
{
	uint8_t token[TOKEN_SIZE];
	size_t token_len = 0;
	struct pack p;

	if (v->code == RCPT_LOCAL || v->code == RCPT_RELAY || v->code == RCPT_BOUNCES) {
		token_len = sizeof(token);
		token_make(token, j->process->secret, v->code == RCPT_RELAY ? TOKEN_RELAY : TOKEN_LOCAL, session, a->text,
		    clock_ms() / 1000);
	}
	pack_init(&p);
	pack_u8(&p, (uint8_t)v->code);
	pack_str(&p, v->text);
	pack_blob(&p, token, token_len);
	ipc_send_pack(peer, MSG_RCPT, id, &p, -1);
	pack_free(&p);
}

static void
waiting_end(struct waiting *w, const struct verdict *v)
{
	send_verdict(w->judge, w->peer, w->id, w->session, &w->address, v);
	timer_stop(&w->patience);
	LIST_REMOVE(w, next);
	free(w);
}

/* What nobody can say is no refusal: the client keeps the mail, and comes again. */
static void
on_callback(void *arg, const struct callbacks_answer *answer)
{
	struct waiting *w = arg;
	struct verdict v = later;

	if (answer->result == PROBE_GOOD || answer->result == PROBE_ALL)
		v = (struct verdict){ RCPT_RELAY, "recipient ok, mail will be relayed" };
	else if (answer->result == PROBE_BAD)
		v = (struct verdict){ RCPT_UNKNOWN, "the host that has the mailboxes of this domain does not know this one" };
	waiting_end(w, &v);
}

static void
on_patience(void *arg)
{
	struct waiting *w = arg;

	callbacks_cancel(w->query);
	waiting_end(w, &later);
}

static void
wait_for_callback(struct judge *j, struct ipc *peer, uint64_t id, uint64_t session, const struct address *a)
{
	struct waiting *w = alloc_new(1, sizeof(*w));

	*w = (struct waiting){ .judge = j, .peer = peer, .id = id, .session = session, .address = *a };
	timer_set(&w->patience, on_patience, w);
	timer_start(&w->patience, WAIT_MS);
	LIST_INSERT_HEAD(&j->waiting, w, next);
	w->query = calling_ask(j->calling, CALL_RECIPIENT, a->text, on_callback, w);
}

void
judge_answer(struct judge *j, struct ipc *peer, uint64_t id, uint64_t session, const struct address *a, bool trusted)
{
	struct verdict v;

	if (judge_address(j, a, trusted, &v))
		send_verdict(j, peer, id, session, a, &v);
	else
		wait_for_callback(j, peer, id, session, a);
}

void
judge_peer_down(struct judge *j, struct ipc *peer)
{
	struct waiting *w, *next;

	for (w = LIST_FIRST(&j->waiting); w != NULL; w = next) {
		next = LIST_NEXT(w, next);
		if (w->peer != peer)
			continue;
		callbacks_cancel(w->query);
		timer_stop(&w->patience);
		LIST_REMOVE(w, next);
		free(w);
	}
}

struct judge *
judge_new(struct process *process, struct recipients *recipients, struct calling *calling)
{
	struct judge *j = alloc_new(1, sizeof(*j));

	j->process = process;
	j->recipients = recipients;
	j->calling = calling;
	j->relayed = relayed_new();
	LIST_INIT(&j->waiting);
	return j;
}
