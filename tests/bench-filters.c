/*
 * What the filters cost smtpd: processor time per message of each alone and of all together. DNS and memory answer within this
 * process at the loop's next turn, so that neither network nor other processes are measured: for profiles, and for
 * a column of `make bench ONLY=filters`, where the rest of it is measured on a server as it runs. `make bench-filters`.
 */
#include <event2/event.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "filters/chain.h"
#include "filters/dkim_key.h"
#include "filters/dkim_sign.h"
#include "filters/memory_core.h"
#include "filters/registry.h"
#include "lib/conf.h"
#include "lib/log.h"
#include "mx/dns_face.h"

#define BODY		4096
#define ALONE		2000		/* messages for each filter alone */
#define TOGETHER	4000		/* and for all */
#define SESSIONS	10		/* at a time */

static const char lists[] = "filter \"dnsbl\" { lists = { a.example, b.example, c.example } }\nfilter \"dnswl\" { lists = w.example }\n"
    "filter \"helo-lists\" { lists = d.example }\nfilter \"sender-lists\" { lists = d.example }\nfilter \"host-lists\" { lists = d.example }\n";

struct bench {
	struct event_base *base;
	struct dns	 dns;
	struct event	*answers;
	struct filters	*filters;
	char		*header, body[BODY];
	char		 key[600];		/* of the signature, as DNS has it */
	unsigned	 to_begin, to_end;
};

struct client {
	struct bench	*bench;
	struct chain	*chain;
	struct facts	 facts;
	struct event	*next;			/* its next command: as if it came by the net */
	enum facts_stage stage;			/* decided; STAGE_CONNECT: a new message is to begin */
};

static double
processor_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- DNS ---- */

static struct bench *the_bench;			/* a face has no place for whose it is */

static void
answer_text(struct dns_answer *a, const char *text)
{
	a->result = DNS_OK;
	a->n = 1;
	a->records = calloc(1, sizeof(*a->records));
	a->records->ttl = a->ttl = 300;
	a->records->bytes = strdup(text);
	a->records->len = strlen(text);
}

static void
answer_address(struct dns_answer *a, const uint8_t address[4])
{
	a->result = DNS_OK;
	a->n = 1;
	a->records = calloc(1, sizeof(*a->records));
	a->records->ttl = a->ttl = 300;
	memcpy(&a->records->a, address, 4);
}

static bool
begins(const char *name, const char *with)
{
	return strncmp(name, with, strlen(with)) == 0;
}

/* Answers come as they come from another process: by an event of the loop, all that were asked in a turn together. */
struct question {
	struct dns_question q;
	TAILQ_ENTRY(question) link;
	bool		 waits;
	struct dns_answer answer;
};

static TAILQ_HEAD(, question) asked = TAILQ_HEAD_INITIALIZER(asked);

static void
ask(struct dns_question *q, const char *name, uint32_t deadline_ms)
{
	struct question *own = (struct question *)q;
	struct dns_answer *a = &own->answer;

	(void)deadline_ms;
	*a = (struct dns_answer){ .result = DNS_NXDOMAIN, .type = q->answer.type, .why = "", .ttl = 60 };
	if (a->type == DNS_PTR)
		answer_text(a, "mail.client.example");
	else if (a->type == DNS_A && strcmp(name, "mail.client.example") == 0)
		answer_address(a, (const uint8_t[]){ 203, 0, 113, 7 });
	else if (a->type == DNS_A && (begins(name, "2.0.0.127.") || begins(name, "test.")))
		answer_address(a, (const uint8_t[]){ 127, 0, 0, 2 });
	else if (a->type == DNS_TXT && strcmp(name, "client.example") == 0)
		answer_text(a, "v=spf1 ip4:198.51.100.0/24 a:mail.client.example -all");
	else if (a->type == DNS_TXT && strcmp(name, "_dmarc.client.example") == 0)
		answer_text(a, "v=DMARC1; p=reject");
	else if (a->type == DNS_TXT && strcmp(name, "s._domainkey.client.example") == 0)
		answer_text(a, the_bench->key);
	a->canonical = strdup("");
	own->waits = true;
	TAILQ_INSERT_TAIL(&asked, own, link);
	event_active(the_bench->answers, EV_READ, 0);
}

static void
forget(struct dns_question *q)
{
	struct question *own = (struct question *)q;

	if (!own->waits)
		return;
	TAILQ_REMOVE(&asked, own, link);
	dns_free_answer(&own->answer);
}

static void
on_answers(evutil_socket_t fd, short what, void *arg)
{
	struct question *own;
	struct dns_answer a;

	(void)fd;
	(void)what;
	(void)arg;
	while ((own = TAILQ_FIRST(&asked)) != NULL) {
		TAILQ_REMOVE(&asked, own, link);
		own->waits = false;
		a = own->answer;
		dns_question_finish(&own->q, &a);
		dns_free_answer(&a);
	}
}

static const struct dns_face face = { .question_size = sizeof(struct question), .ask = ask, .forget = forget };

/* ---- messages ---- */

static void	on_decision(void *, const struct chain_decision *);

static void
client_decide(struct client *c, enum facts_stage stage)
{
	c->stage = stage;
	chain_decide(c->chain, stage, on_decision, c);
}

static void
on_decision(void *arg, const struct chain_decision *d)
{
	struct client *c = arg;

	if (d->outcome != CHAIN_PASS) {
		fprintf(stderr, "bench-filters: an honest mail was refused: %s by %s\n", d->text, d->filter);
		exit(1);
	}
	event_active(c->next, EV_READ, 0);
}

static void
client_end(struct client *c)
{
	char fields[16384];

	chain_fields(c->chain, fields, sizeof(fields));
	chain_free(c->chain);
	c->chain = NULL;
	c->bench->to_end--;
}

static void
client_begin(struct client *c)
{
	static char *domains[] = { NULL };
	struct sockaddr_in *sin = (struct sockaddr_in *)&c->facts.client;

	c->bench->to_begin--;
	c->facts = (struct facts){ .hostname = "mx.example.org", .domains = domains, .now = 1795291200, .client_text = "203.0.113.7",
	    .address = { .len = 4, .bytes = { 203, 0, 113, 7 } } };
	sin->sin_family = AF_INET;
	memcpy(&sin->sin_addr, c->facts.address.bytes, 4);
	c->chain = chain_new(c->bench->filters, &c->facts);
	chain_reach(c->chain, STAGE_CONNECT);
	c->facts.helo = "mail.client.example";
	chain_reach(c->chain, STAGE_HELO);
	c->facts.sender = "someone@client.example";
	chain_reach(c->chain, STAGE_MAIL);
	c->facts.recipient = "anna@example.org";
	chain_reach(c->chain, STAGE_RCPT);
	client_decide(c, STAGE_RCPT);
}

static void
on_next(evutil_socket_t fd, short what, void *arg)
{
	struct client *c = arg;
	struct bench *b = c->bench;

	(void)fd;
	(void)what;
	if (c->stage == STAGE_RCPT) {
		chain_reach(c->chain, STAGE_DATA);
		client_decide(c, STAGE_DATA);
		return;
	}
	if (c->stage == STAGE_DATA) {
		c->facts.header = b->header;
		c->facts.header_len = strlen(b->header);
		chain_reach(c->chain, STAGE_HEADER);
		chain_body(c->chain, b->body, BODY);
		chain_reach(c->chain, STAGE_END);
		client_decide(c, STAGE_END);
		return;
	}
	if (c->stage == STAGE_END)
		client_end(c);
	if (b->to_begin > 0)
		client_begin(c);
}

/* Processor seconds for each of n messages. */
static double
run(struct bench *b, unsigned n)
{
	static struct client clients[SESSIONS];
	double begin;

	b->to_begin = b->to_end = n;
	begin = processor_seconds();
	for (unsigned i = 0; i < SESSIONS && b->to_begin > 0; i++) {
		clients[i].bench = b;
		clients[i].stage = STAGE_CONNECT;
		if (clients[i].next == NULL)
			clients[i].next = event_new(b->base, -1, 0, on_next, &clients[i]);
		event_active(clients[i].next, EV_READ, 0);
	}
	while (b->to_end > 0)
		event_base_loop(b->base, EVLOOP_ONCE);
	return (processor_seconds() - begin) / n;
}

static double
run_with(struct bench *b, const char *configuration, unsigned n)
{
	char err[512];
	struct conf *conf = conf_parse_text(configuration, strlen(configuration), "bench", err, sizeof(err));
	struct memory_core *core = memory_core_new(NULL);
	struct memory *memory = memory_new_local(core);
	double cost;

	b->filters = conf != NULL ? filters_new(conf, &b->dns, memory, err, sizeof(err)) : NULL;
	if (b->filters == NULL) {
		fprintf(stderr, "bench-filters: %s\n", err);
		exit(1);
	}
	conf_free(conf);
	run(b, n / 10 + 1);		/* warm */
	cost = run(b, n);
	filters_free(b->filters);
	memory_free(memory);
	memory_core_free(core);
	return cost;
}

/* ---- what is sent ---- */

static void
make_message(struct bench *b)
{
	static const char plain[] = "From: someone@client.example\r\nTo: anna@example.org\r\nSubject: a letter\r\nDate: Sat, 21 Nov 2026 "
	    "20:00:00 +0000\r\nMessage-ID: <1@client.example>\r\n\r\n";
	struct dkim_sign_options o = { .kind = DKIM_MESSAGE, .algorithm = DKIM_RSA_SHA256, .relaxed_header = true, .relaxed_body = true,
	    .domain = "client.example", .selector = "s" };
	uint8_t hash[DKIM_HASH_BYTES], signature[DKIM_SIGNATURE_BYTES], der[400], *p = der;
	EVP_PKEY *key = EVP_RSA_gen(2048);
	const char *why = "";
	struct dkim_signer *s = dkim_signer_new(&o, plain, sizeof(plain) - 1, &why);
	char text[600], *field;
	size_t len;
	int n = i2d_PUBKEY(key, &p);

	for (size_t i = 0; i < BODY; i++)
		b->body[i] = i % 64 == 62 ? '\r' : i % 64 == 63 ? '\n' : 'x';
	EVP_EncodeBlock((unsigned char *)text, der, n);
	snprintf(b->key, sizeof(b->key), "v=DKIM1; p=%.580s", text);
	dkim_signer_body(s, b->body, BODY);
	dkim_signer_hash(s, hash);
	dkim_key_sign(key, hash, signature, &len);
	field = dkim_signer_field(s, signature, len);
	if (asprintf(&b->header, "%s%s", field, plain) == -1)
		exit(1);
	free(field);
	dkim_signer_free(s);
	EVP_PKEY_free(key);
}

/* ---- results ---- */

static bool
is_needed(const struct filter *other, const struct filter *f)
{
	return (other->gives & (f->insists | (f->insists != 0 ? f->needs : 0))) != 0;
}

/* A configuration with one filter on, those that it cannot do without if `with`, and nothing else. */
static char *
alone(const struct filter *f, bool itself)
{
	char *text = NULL;
	size_t len;
	FILE *to = open_memstream(&text, &len);

	for (size_t i = 0; i < filters_registry.n; i++) {
		const struct filter *other = filters_registry.list[i];
		const char *begin, *mode = "off";
		char quoted[64];

		snprintf(quoted, sizeof(quoted), "\"%s\"", other->name);
		begin = strstr(lists, quoted);

		if ((other == f && itself) || (f != NULL && is_needed(other, f)))
			mode = "observe";
		if (begin != NULL && strcmp(mode, "off") != 0)
			fprintf(to, "filter %.*s mode = %s }\n", (int)(strchr(begin, '\n') - begin - 1), begin, mode);
		else
			fprintf(to, "filter \"%s\" { mode = %s }\n", other->name, mode);
	}
	fclose(to);
	return text;
}

static void
each_alone(struct bench *b)
{
	char *with, *without;

	for (size_t i = 0; i < filters_registry.n; i++) {
		const struct filter *f = filters_registry.list[i];
		double more;

		with = alone(f, true);
		without = alone(f, false);
		more = run_with(b, with, ALONE) - run_with(b, without, ALONE);
		printf("  %-16s %6.1f us\n", f->name, more > 0 ? more * 1e6 : 0.0);
		free(with);
		free(without);
	}
}

int
main(void)
{
	static struct bench b;

	the_bench = &b;
	log_set_level(LOG_LEVEL_ERROR);
	b.base = event_base_new();
	clock_init(b.base);
	dns_face_init(&b.dns, &face);
	b.answers = event_new(b.base, -1, 0, on_answers, NULL);
	make_message(&b);
	each_alone(&b);
	printf("  %-16s %6.1f us\n", "all", run_with(&b, lists, TOGETHER) * 1e6);
	free(b.header);
	clock_init(NULL);
	event_base_free(b.base);
	return 0;
}
