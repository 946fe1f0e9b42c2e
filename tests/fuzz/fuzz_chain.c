/*
 * All filters over a mail that is any bytes: HELO on the first line, the sender on the second, then the message. DNS never
 * answers, so that every wait ends by its deadline. What comes out must be a reply that fits on a line, and fields that are
 * whole and ours only.
 */
#include <event2/event.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "filters/chain.h"
#include "filters/senderid.h"
#include "lib/address.h"
#include "lib/clock.h"
#include "lib/conf.h"
#include "lib/header.h"
#include "lib/log.h"
#include "mx/dns.h"

#define LINE	600

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static const char configuration[] = "hostname = mx.example.org\nfilter dnsbl { lists = a.example }\nfilter sender-lists { lists = "
    "b.example }\nfilter sender-id { mode = score }\nfilter arc { sealers = c.example }\nexempt x { sender = d.example filters = spf }\n"
    "exempt y { sender = f.example }\nexempt z { host = g.example filters = greylist }\n"
    "refuse x { sender = e.example }\n";

struct world {
	struct event_base *base;
	struct dns	*dns;
	struct filters	*filters;
	int64_t		 shift_ms;
};

static struct world *
world(void)
{
	static struct world w;
	struct conf *c;
	char err[512];

	if (w.base != NULL)
		return &w;
	log_set_level(LOG_LEVEL_ERROR);
	w.base = event_base_new();
	clock_init(w.base);
	w.dns = dns_new_client(w.base);
	c = conf_parse_text(configuration, sizeof(configuration) - 1, "fuzz", err, sizeof(err));
	w.filters = c != NULL ? filters_new(c, w.dns, NULL, err, sizeof(err)) : NULL;
	if (w.filters == NULL)
		abort();
	conf_free(c);
	return &w;
}

static size_t
take_line(char to[LINE], const char *data, size_t len)
{
	const char *end = memchr(data, '\n', len);
	size_t n = end != NULL ? (size_t)(end - data) : len;

	snprintf(to, LINE, "%.*s", (int)(n < LINE - 1 ? n : LINE - 1), data);
	return end != NULL ? n + 1 : n;
}

static bool	decided;
static struct chain_decision decision;

static void
on_decision(void *arg, const struct chain_decision *d)
{
	(void)arg;
	if (decided)
		abort();
	decided = true;
	decision = *d;
	for (const char *p = d->text; *p != '\0'; p++)
		if (*p < 0x20 || *p > 0x7e)
			abort();
	if ((d->outcome == CHAIN_PASS) != (d->code == 0))
		abort();
}

static bool
passes(struct world *w, struct chain *c, enum facts_stage stage)
{
	decided = false;
	chain_decide(c, stage, on_decision, NULL);
	for (int i = 0; !decided; i++) {
		if (i == 50)
			abort();
		w->shift_ms += 5000;
		clock_shift(w->shift_ms);
		event_base_loop(w->base, EVLOOP_NONBLOCK);
	}
	return decision.outcome == CHAIN_PASS;
}

static void
look_at_fields(const struct chain *c)
{
	static const char *const ours[] = { "Authentication-Results", "Received-SPF", "X-Minimta-Score" };
	char fields[16384];
	size_t len = chain_fields(c, fields, sizeof(fields)), at = 0;
	struct header_field f;
	unsigned n = 0, known = 0;

	while (header_next(fields, len, &at, &f)) {
		n++;
		for (size_t i = 0; i < 3; i++)
			known += header_is(&f, ours[i]);
	}
	if (at != len || n != known || n > 3 || (len > 0 && fields[len - 1] != '\n'))
		abort();
}

static void
run_message(struct world *w, struct chain *c, struct facts *f, const char *message, size_t len)
{
	size_t header = header_end(message, len);

	f->recipient = NULL;
	chain_reach(c, STAGE_DATA);
	if (!passes(w, c, STAGE_DATA))
		return;
	f->header = message;
	f->header_len = header;
	chain_reach(c, STAGE_HEADER);
	for (size_t at = header; at < len; at += 7)
		chain_body(c, message + at, len - at < 7 ? len - at : 7);
	f->content = message;
	f->content_len = f->size = len;
	chain_reach(c, STAGE_END);
	passes(w, c, STAGE_END);
	look_at_fields(c);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world *w = world();
	struct facts f = { .hostname = "mx.example.org", .now = 1795291200, .address = { .len = 4, .bytes = { 203, 0, 113, 9 } },
	    .client_text = "203.0.113.9" };
	const char *text = (const char *)data, *field;
	char helo[LINE], sender[LINE], pra[ADDRESS_MAX];
	struct address a = { .literal = false };
	size_t at = take_line(helo, text, size);
	struct chain *c;

	at += take_line(sender, text + at, size - at);
	if (address_parse(&a, sender, ADDRESS_UTF8, NULL) != ADDRESS_OK)
		a.text[0] = '\0';
	((struct sockaddr_in *)&f.client)->sin_family = AF_INET;
	memcpy(&((struct sockaddr_in *)&f.client)->sin_addr, f.address.bytes, 4);
	senderid_pra(pra, &field, text + at, size - at);
	c = chain_new(w->filters, &f);
	chain_reach(c, STAGE_CONNECT);
	f.helo = helo;
	chain_reach(c, STAGE_HELO);
	f.sender = a.text;
	chain_reach(c, STAGE_MAIL);
	f.recipient = "anna@example.org";
	chain_reach(c, STAGE_RCPT);
	if (passes(w, c, STAGE_RCPT))
		run_message(w, c, &f, text + at, size - at);
	chain_free(c);
	return 0;
}
