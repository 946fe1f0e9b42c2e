/*
 * What a session says, command by command, and the content behind it. Each puts its command into the output and says what is
 * due then; in which order they come is client_steps.c's, who calls all of them, but for the content, which client.c pulls.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <event2/buffer.h>

#include "delivery/body.h"
#include "delivery/client_session.h"
#include "lib/dsn.h"
#include "lib/envelope.h"
#include "lib/log.h"

#define CONTENT_BYTES	(16 * 1024)		/* at a time into the output */

static void
put(struct client *c, const void *data, size_t len)
{
	if (evbuffer_add(c->out, data, len) != 0)
		log_fatal("event=memory where=client");
}

static void __attribute__((format(printf, 2, 3)))
putf(struct client *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (evbuffer_add_vprintf(c->out, fmt, ap) < 0)
		log_fatal("event=memory where=client");
	va_end(ap);
}

void
client_send_ehlo(struct client *c)
{
	putf(c, "%s %s\r\n", c->lmtp ? "LHLO" : "EHLO", c->hostname);
	c->step = STEP_EHLO;
	c->next = STEP_IDLE;
	client_expect(c);
}

void
client_send_helo(struct client *c)
{
	putf(c, "HELO %s\r\n", c->hostname);
	c->step = STEP_HELO;
	c->next = STEP_IDLE;
	client_expect(c);
}

void
client_send_auth(struct client *c)
{
	c->step = STEP_AUTH;
	c->next = STEP_IDLE;
	client_login_begin(c);
}

void
client_send_rset(struct client *c)
{
	put(c, "RSET\r\n", 6);
	c->step = STEP_RSET;
	c->next = STEP_MAIL;
	client_expect(c);
}

/* What the sender asked about reports, where the server knows what that is. */
static void
put_mail_dsn(struct client *c)
{
	char envid[DSN_ENVID_TEXT];

	if (!c->offers.dsn)
		return;
	if (c->mail->ret != DSN_RET_NONE)
		putf(c, " RET=%s", c->mail->ret == DSN_RET_FULL ? "FULL" : "HDRS");
	if (c->mail->envid != NULL && c->mail->envid[0] != '\0')
		putf(c, " ENVID=%s", dsn_envid_text(envid, c->mail->envid));
}

static void
put_rcpt_dsn(struct client *c, const struct client_rcpt *r)
{
	char notify[DSN_NOTIFY_TEXT], orcpt[DSN_ORCPT_TEXT];

	if (!c->offers.dsn)
		return;
	if (r->notify != 0)
		putf(c, " NOTIFY=%s", dsn_notify_text(notify, r->notify));
	if (r->orcpt != NULL && strlen(dsn_orcpt_text(orcpt, r->orcpt, c->utf8)) <= DSN_ORCPT_MAX)
		putf(c, " ORCPT=%s", orcpt);
}

void
client_send_mail(struct client *c)
{
	struct client_mail *m = c->mail;
	bool utf8 = m->sender_utf8 || m->flags & ENVELOPE_UTF8;

	for (uint32_t i = 0; i < m->n_rcpts && !utf8; i++)
		utf8 = m->rcpts[i].verdict == NULL && m->rcpts[i].utf8;
	putf(c, "MAIL FROM:<%s>", c->quiet ? "" : m->sender);
	if (c->offers.size)
		putf(c, " SIZE=%llu", (unsigned long long)body_total(m->body));
	if (c->offers.eight_bit && m->flags & ENVELOPE_8BIT)
		put(c, " BODY=8BITMIME", 14);
	c->utf8 = c->offers.utf8 && utf8;
	if (c->utf8)
		put(c, " SMTPUTF8", 9);
	put_mail_dsn(c);
	put(c, "\r\n", 2);
	if (c->awaited == 0)
		c->step = STEP_MAIL;
	c->next = STEP_RCPT;
	c->transactions++;
	client_expect(c);
}

static const char *
domain_of(const struct client_rcpt *r)
{
	const char *at = strrchr(r->address, '@');

	return at != NULL ? at + 1 : "";
}

/* Whether this recipient's domain has a place in the transaction; counts it. */
static bool
domain_fits(struct client *c, const struct client_rcpt *r)
{
	if (c->offers.domain_max == 0)
		return true;
	for (uint32_t i = 0; i < c->asking; i++)
		if (c->mail->rcpts[i].asked && strcasecmp(domain_of(&c->mail->rcpts[i]), domain_of(r)) == 0)
			return true;
	return c->n_domains < c->offers.domain_max && c->n_domains++ < UINT32_MAX;
}

/*
 * RFC 3461, 5.2.2: a server that cannot be told NOTIFY=NEVER reports to nobody where there is no sender. Not where mail is only
 * brought into a mailbox, nor where we are logged in: such a relay may refuse mail without a sender, and nobody would hear.
 */
bool
client_is_quiet(const struct client *c, const struct client_rcpt *r)
{
	return (r->notify & DSN_NEVER) != 0 && !c->offers.dsn && !c->lmtp && c->user == NULL;
}

static bool
may_ask(struct client *c, const struct client_rcpt *r)
{
	return r->verdict == NULL && client_is_quiet(c, r) == c->quiet && (c->offers.rcpt_max == 0 || c->n_asked < c->offers.rcpt_max) && domain_fits(c, r);
}

void
client_send_rcpt(struct client *c)
{
	struct client_mail *m = c->mail;

	while (c->asking < m->n_rcpts && !may_ask(c, &m->rcpts[c->asking]))
		c->asking++;
	if (c->asking == m->n_rcpts) {
		c->next = c->offers.chunking ? STEP_CONTENT : STEP_DATA;
		return;
	}
	putf(c, "RCPT TO:<%s>", m->rcpts[c->asking].address);
	put_rcpt_dsn(c, &m->rcpts[c->asking]);
	put(c, "\r\n", 2);
	m->rcpts[c->asking++].asked = true;
	c->n_asked++;
	c->n_live++;
	client_expect(c);
}

void
client_send_data(struct client *c)
{
	put(c, "DATA\r\n", 6);
	c->next = STEP_IDLE;
	client_expect(c);
}

/* By LMTP each recipient that was accepted has a reply of his own. */
void
client_expect_content(struct client *c)
{
	for (uint32_t i = 0, n = c->lmtp ? c->n_live : 1; i < n; i++)
		client_expect(c);
}

/* By BDAT: the size is known, so all of it is one chunk. */
void
client_send_content(struct client *c)
{
	putf(c, "BDAT %llu LAST\r\n", (unsigned long long)body_total(c->mail->body));
	c->next = STEP_IDLE;
	c->content = CONTENT_FLOWING;
	client_expect_content(c);
}

void
client_send_nothing(struct client *c)
{
	put(c, ".\r\n", 3);
	c->content = CONTENT_ENDED;
	client_expect(c);
}

/*
 * ENVELOPE_DOTS could say that no line begins with a dot. But smtpd set it, and a dot that is not stuffed would let
 * content speak SMTP to the next hop; looking costs next to nothing, and the common case is still copied as it is.
 */
static void
put_stuffed(struct client *c, const uint8_t *data, size_t len)
{
	uint8_t stuffed[2 * CONTENT_BYTES];

	if (wire_out_dots(&c->dots, data, len)) {
		put(c, stuffed, wire_out_put(&c->dots, data, len, stuffed));
	} else {
		put(c, data, len);
		c->dots.at_line_start = data[len - 1] == '\n';
	}
	c->ends_line = c->dots.at_line_start;
}

bool
client_put_content(struct client *c)
{
	struct body *body = c->mail->body;
	const uint8_t *data;
	bool any = false;
	size_t len;

	while (evbuffer_get_length(c->out) < CLIENT_OUT_BYTES && (len = body_peek(body, &data)) > 0) {
		if (len > CONTENT_BYTES)
			len = CONTENT_BYTES;
		if (c->offers.chunking)
			put(c, data, len);
		else
			put_stuffed(c, data, len);
		body_skip(body, len);
		any = true;
	}
	if (!body_at_end(body))
		return any;
	if (!c->offers.chunking)
		putf(c, "%s.\r\n", c->ends_line ? "" : "\r\n");
	c->content = CONTENT_ENDED;
	return true;
}
