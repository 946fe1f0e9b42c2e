/*
 * Writes and accepts notices to postmaster (queue/notice.h). Decides when one is due; who is held, queue/outcome.c.
 */
#include "queue/notice.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/clock.h"
#include "lib/ids.h"
#include "lib/log.h"
#include "queue/dispatch.h"

/* Strangers' bytes only by way of logq: printable ASCII, and no longer than LOG_VALUE_MAX. */
char *
notice_write(const struct notice *n, size_t *len_r)
{
	char date[64], *text = NULL;
	FILE *f = alloc_stream(&text, len_r);

	fprintf(f, "Date: %s\r\nFrom: Mail Delivery System <MAILER-DAEMON@%s>\r\nTo: <%s>\r\n",
	    clock_rfc5322(date, sizeof(date), (time_t)n->now), n->hostname, n->to);
	fprintf(f, "Subject: Message %s is held\r\nMessage-ID: <%s.notice@%s>\r\nAuto-Submitted: auto-generated\r\n", n->held, n->id,
	    n->hostname);
	fprintf(f, "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n");
	fprintf(f, "This is the mail server at %s.\r\n\r\nIt holds a message, and will not try to deliver it until you say so:\r\n"
	    "%s.\r\n\r\n", n->hostname, n->why);
	fprintf(f, "  message    %s\r\n  session    %s\r\n  from       %s\r\n  to         %s\r\n", n->held, logq(n->session),
	    logq(n->sender), logq(n->rcpt));
	fprintf(f, "  size       %" PRIu64 " bytes\r\n  arrived    %s\r\n\r\n", n->size,
	    clock_rfc5322(date, sizeof(date), (time_t)n->arrived));
	fprintf(f, "To look at it, to try it again, or to forget it:\r\n\r\n  minimtactl queue show %s\r\n"
	    "  minimtactl queue cat %s\r\n  minimtactl queue release %s\r\n  minimtactl queue remove %s\r\n\r\n", n->held, n->held,
	    n->held, n->held);
	fprintf(f, "There may be others: \"minimtactl queue list\" marks them with a \"!\" behind their number.\r\n"
	    "A message that ends a process shows a fault in this program. Please keep it for its authors.\r\n");
	alloc_stream_end(f);
	return text;
}

struct accepting {
	struct queue		*queue;
	uint64_t		 id, about;
	int64_t			 now;
	struct envelope_rcpt	 to;
};

static void
on_accepted(void *arg, const char *error)
{
	struct accepting *a = arg;

	if (error != NULL) {
		log_error("msg=%s event=notice-failed reason=%s", id_text(a->about), logq(error));
	} else {
		log_info("msg=%s event=notice about=%s to=%s", id_text(a->id), id_text(a->about), logq(a->to.address));
		dispatch_add(a->queue->dispatch, a->id, clock_ms(), "", &a->to, 0, 1);
	}
	envelope_free_rcpt(&a->to);
	free(a);
}

static void
accept_notice(struct queue *q, uint64_t message, const struct notice *n, struct accepting *a)
{
	struct envelope_sender nobody = { .address = (char []){ "" }, .client = (char []){ "" },
	    .session = (char []){ NOTICE_SESSION } };
	struct log_accept accept = { .id = a->id, .arrived = a->now, .sender = &nobody, .rcpts = &a->to, .n_rcpts = 1, .head = "" };
	char *text = notice_write(n, &accept.content_len);

	accept.content = text;
	nobody.size = accept.content_len;
	a->about = message;
	if (log_reserve(q->log, accept.content_len))
		log_accept(q->log, &accept, accept.content_len, on_accepted, a);
	else
		on_accepted(a, "no room");
	free(text);
}

void
notice_held(struct queue *q, uint64_t message, const struct notice *about)
{
	struct accepting *a;
	struct notice n = *about;

	if (strcmp(n.session, NOTICE_SESSION) == 0)
		return;
	if (q->noticed_ms != 0 && clock_ms() - q->noticed_ms < NOTICE_EVERY_MS)
		return;
	q->noticed_ms = clock_ms();
	a = alloc_new(1, sizeof(*a));
	a->to.address = alloc_printf("postmaster@%s", conf_origin(q->p.conf));
	a->queue = q;
	a->to.local = true;
	a->id = log_new_id(q->log);
	a->now = n.now = clock_wall();
	n.hostname = q->p.conf->hostname;
	n.to = a->to.address;
	n.id = id_text(a->id);
	n.held = id_text(message);
	accept_notice(q, message, &n, a);
}
