/*
 * The filters that there are, together: whole mails through the chain beside a name server in the same loop. What each finds,
 * what it costs, what is said and where; and by name the mistakes that others have made.
 */
#include <limits.h>
#include <openssl/evp.h>

#include "filters/access.h"
#include "filters/arc_seal.h"
#include "filters/authres.h"
#include "filters/chain.h"
#include "filters/dkim_key.h"
#include "filters/dkim_sign.h"
#include "lib/header.h"
#include "lib/log.h"
#include "tests/unit/fake_dns.h"
#include "tests/unit/run.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define FINE	"Date: Sat, 21 Nov 2026 20:00:00 +0000\r\nMessage-ID: <1@example.com>\r\n"

static char made_key[256];

static const struct zone zone[] = {
	/* an honest client */
	{ "1.113.0.203.in-addr.arpa", DNS_PTR, "mail.example.com", 0 },
	{ "mail.example.com", DNS_A, "203.0.113.1", 0 },
	{ "example.com", DNS_TXT, "v=spf1 ip4:203.0.113.1 -all", 0 },
	{ "_dmarc.example.com", DNS_TXT, "v=DMARC1; p=reject", 0 },
	/* others */
	{ "2.113.0.203.in-addr.arpa", DNS_PTR, "mail.example.com", 0 },
	{ "3.113.0.203.in-addr.arpa", DNS_PTR, "!SERVFAIL", 0 },
	{ "4.113.0.203.in-addr.arpa", DNS_PTR, "dsl-203-0-113-4.pool.example.net", 0 },
	{ "dsl-203-0-113-4.pool.example.net", DNS_A, "203.0.113.4", 0 },
	{ "5.113.0.203.in-addr.arpa", DNS_PTR, "mail.trouble.test", 0 },
	{ "mail.trouble.test", DNS_A, "!SERVFAIL", 0 },
	/* domains */
	{ "fails.test", DNS_TXT, "v=spf1 exp=why.fails.test -all", 0 },
	{ "why.fails.test", DNS_TXT, "see http://fails.test/", 0 },
	{ "soft.test", DNS_TXT, "v=spf1 ~all", 0 },
	{ "neutral.test", DNS_TXT, "v=spf1 ?all", 0 },
	{ "broken.test", DNS_TXT, "v=spf1 ip4:nonsense -all", 0 },
	{ "trouble.test", DNS_TXT, "!SERVFAIL", 0 },
	{ "_dmarc.trouble.test", DNS_TXT, "!SERVFAIL", 0 },
	{ "marks.test", DNS_TXT, "v=spf1 -all", 0 },
	{ "_dmarc.marks.test", DNS_TXT, "v=DMARC1; p=quarantine", 0 },
	{ "rejects.test", DNS_TXT, "v=spf1 -all", 0 },
	{ "_dmarc.rejects.test", DNS_TXT, "v=DMARC1; p=reject", 0 },
	{ "made.test", DNS_TXT, "v=spf1 -all", 0 },
	{ "_dmarc.made.test", DNS_TXT, "v=DMARC1; p=reject", 0 },
	{ "nodmarc.test", DNS_TXT, "v=spf1 -all", 0 },
	{ "s._domainkey.made.test", DNS_TXT, made_key, 0 },
	{ "s._domainkey.nodmarc.test", DNS_TXT, made_key, 0 },
	{ "s._domainkey.sealer.test", DNS_TXT, made_key, 0 },
	{ "only1.test", DNS_TXT, "v=spf1 -all", 0 },
	{ "pra.test", DNS_TXT, "spf2.0/mfrom,pra -all", 0 },
	{ "pra.test", DNS_TXT, "v=spf1 +all", 0 },
	/* lists */
	{ "2.113.0.203.a.list", DNS_A, "127.0.0.2", 0 },
	{ "2.113.0.203.a.list", DNS_TXT, "spam source\r\n250 injected", 0 },
	{ "2.113.0.203.b.list", DNS_A, "127.0.0.3", 0 },
	{ "1.113.0.203.refuses.list", DNS_A, "127.255.255.254", 0 },
	{ "1.113.0.203.typo.list", DNS_A, "127.255.255.252", 0 },
	{ "1.113.0.203.many.list", DNS_A, "127.255.255.255", 0 },
	{ "1.113.0.203.parked.list", DNS_A, "198.51.100.7", 0 },
	{ "1.113.0.203.slow.list", DNS_A, "!SERVFAIL", 0 },
	{ "2.113.0.203.white.list", DNS_A, "127.0.0.2", 0 },
	{ "fails.test.names.list", DNS_A, "127.0.1.2", 0 },
	{ "mail.example.com.names.list", DNS_A, "127.0.1.2", 0 },
	/* their test points */
	{ "2.0.0.127.a.list", DNS_A, "127.0.0.2", 0 },
	{ "2.0.0.127.b.list", DNS_A, "127.0.0.2", 0 },
	{ "2.0.0.127.c.list", DNS_A, "127.0.0.2", 0 },
	{ "test.names.list", DNS_A, "127.0.1.2", 0 },
	{ NULL, 0, NULL, 0 },
};

static EVP_PKEY *key;

static void
setup(void)
{
	uint8_t raw[64];
	size_t len = sizeof(raw);
	char text[128];

	fake_setup(zone);
	key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	ck_assert_int_eq(EVP_PKEY_get_raw_public_key(key, raw, &len), 1);
	EVP_EncodeBlock((unsigned char *)text, raw, (int)len);
	snprintf(made_key, sizeof(made_key), "v=DKIM1; k=ed25519; p=%s", text);
}

static void
teardown(void)
{
	EVP_PKEY_free(key);
	fake_teardown();
}

/* ---- one mail ---- */

struct mail {
	const char	*ip, *helo, *from, *header, *body, *conf;
	bool		 early, route, long_lines;
	unsigned	 recipients;
};

struct got {
	struct chain_decision d;
	enum facts_stage stage;
	bool		 done;
	char		 words[2048];	/* " spf=fail+6 …" */
	char		 fields[16384];
};

static void
on_decision(void *arg, const struct chain_decision *d)
{
	struct got *g = arg;

	g->d = *d;
	g->done = true;
}

static unsigned turns_left = UINT_MAX;	/* of the loop, after which a session is given up */

static bool
passes(struct chain *c, struct got *g, enum facts_stage stage)
{
	g->stage = stage;
	g->done = false;
	chain_decide(c, stage, on_decision, g);
	if (turns_left == UINT_MAX)
		run_until(&g->done);
	for (; !g->done && turns_left > 0; turns_left--)
		event_base_loop(base, EVLOOP_ONCE);
	return g->done && g->d.outcome == CHAIN_PASS;
}

static void
keep_words(struct got *g, const struct chain *c)
{
	struct chain_entry e;
	size_t len = 0;

	for (size_t at = 0; chain_next(c, &at, &e);)
		len += (size_t)snprintf(g->words + len, sizeof(g->words) - len, " %s=%s%+d", e.filter->name, e.finding->result,
		    e.finding->score);
	snprintf(g->words + len, sizeof(g->words) - len, " ");
	g->fields[chain_fields(c, g->fields, sizeof(g->fields) - 1)] = '\0';
}

static void
to_end(struct chain *c, struct facts *f, struct got *g, const struct mail *m)
{
	chain_reach(c, STAGE_DATA);
	f->n_recipients = m->recipients > 0 ? m->recipients : 1;
	if (!passes(c, g, STAGE_DATA))
		return;
	f->header = m->header;
	f->header_len = strlen(m->header);
	f->long_lines = m->long_lines;
	chain_reach(c, STAGE_HEADER);
	chain_body(c, m->body, strlen(m->body));
	chain_reach(c, STAGE_END);
	passes(c, g, STAGE_END);
}

static void
set_facts(struct facts *f, const struct mail *m)
{
	static char *domains[] = { (char *)(uintptr_t)"example.org", NULL };

	*f = (struct facts){ .hostname = "mx.example.org", .domains = domains, .now = 1795291200, .early = m->early,
	    .own = { .len = 4, .bytes = { 203, 0, 113, 99 } } };
	ck_assert_int_eq(reverse_address_parse(&f->address, m->ip), 0);
	if (f->address.len == 4) {
		((struct sockaddr_in *)&f->client)->sin_family = AF_INET;
		memcpy(&((struct sockaddr_in *)&f->client)->sin_addr, f->address.bytes, 4);
	} else {
		((struct sockaddr_in6 *)&f->client)->sin6_family = AF_INET6;
		memcpy(&((struct sockaddr_in6 *)&f->client)->sin6_addr, f->address.bytes, 16);
	}
	snprintf(f->client_text, sizeof(f->client_text), "%s", m->ip);
}

static struct got
run_mail(const struct mail *m)
{
	const char *text = m->conf != NULL ? m->conf : "";
	char err[512];
	struct conf *conf = conf_parse_text(text, strlen(text), "f", err, sizeof(err));
	struct filters *filters;
	struct got g = { .done = false };
	struct chain *c;
	struct facts f;

	ck_assert_msg(conf != NULL, "%s", err);
	filters = filters_new(conf, dns, NULL, err, sizeof(err));
	ck_assert_msg(filters != NULL, "%s", err);
	conf_free(conf);
	set_facts(&f, m);
	c = chain_new(filters, &f);
	chain_reach(c, STAGE_CONNECT);
	f.helo = m->helo;
	chain_reach(c, STAGE_HELO);
	f.sender = m->from;
	f.source_route = m->route;
	chain_reach(c, STAGE_MAIL);
	f.recipient = "anna@example.org";
	chain_reach(c, STAGE_RCPT);
	if (passes(c, &g, STAGE_RCPT))
		to_end(c, &f, &g, m);
	keep_words(&g, c);
	chain_free(c);
	filters_free(filters);
	return g;
}

static const struct mail honest = { .ip = "203.0.113.1", .helo = "mail.example.com", .from = "someone@example.com",
    .header = FINE "From: someone@example.com\r\n\r\n", .body = "hello\r\n" };

static void
check_words(const struct got *g, const char *words, const char *name)
{
	char copy[512], word[128];

	snprintf(copy, sizeof(copy), "%s", words);
	for (char *save = NULL, *w = strtok_r(copy, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save)) {
		bool absent = w[0] == '!';

		snprintf(word, sizeof(word), " %s ", w + absent);
		if (absent)		/* a name that must not be there at all */
			snprintf(word, sizeof(word), " %s=", w + 1);
		ck_assert_msg((strstr(g->words, word) == NULL) == absent, "%s: wanted %s, got%s", name, w, g->words);
	}
}

/* ---- tables ---- */

static const struct {
	const char	*name;
	struct mail	 mail;			/* what is NULL is as in an honest one */
	enum facts_stage stage;
	enum chain_outcome outcome;
	int		 code;
	const char	*enhanced, *filter, *words;
} cases[] = {
	{ "honest", { 0 }, STAGE_END, CHAIN_PASS, 0, "", "", "early=pass+0 iprev=pass+0 helo=pass+0 spf=pass+0 dmarc=pass+0 "
	    "dkim=none+0 conformity=pass+0 from=pass+0 !sender-id !dnsbl !refuse" },
	{ "early", { .early = true }, STAGE_RCPT, CHAIN_REFUSE, 550, "5.5.0", "early", "" },
	/* reverse names */
	{ "no reverse name", { .ip = "203.0.113.200" }, STAGE_END, CHAIN_REFUSE, 550, "5.7.1", "dmarc", "iprev=permerror+4" },
	{ "no match", { .ip = "203.0.113.2", .from = "a@neutral.test", .header = FINE "From: a@neutral.test\r\n\r\n" }, STAGE_END,
	    CHAIN_PASS, 0, "", "", "iprev=fail+2 spf=neutral+0" },
	{ "dynamic", { .ip = "203.0.113.4", .from = "a@neutral.test", .header = FINE "From: a@neutral.test\r\n\r\n" }, STAGE_END,
	    CHAIN_PASS, 0, "", "", "iprev=pass+2" },
	{ "no reverse name, enforced", { .ip = "203.0.113.200", .conf = "filter iprev { mode = enforce }\n" }, STAGE_RCPT,
	    CHAIN_REFUSE, 550, "5.7.25", "iprev", "" },
	{ "no reverse name, exempt", { .ip = "203.0.113.200", .from = "a@neutral.test",
	    .header = FINE "From: a@neutral.test\r\n\r\n", .conf = "filter iprev { mode = enforce }\nexempt x { client = 203.0.113.200 "
	    "filters = iprev }\n" }, STAGE_END, CHAIN_PASS, 0, "", "", "!iprev" },
	{ "SERVFAIL, tempfail", { .ip = "203.0.113.3", .conf = "filter iprev { mode = enforce tempfail = yes }\n" }, STAGE_RCPT,
	    CHAIN_DEFER, 451, "4.7.25", "iprev", "iprev=temperror+0" },
	/* HELO */
	{ "HELO is us", { .helo = "MX.example.org" }, STAGE_RCPT, CHAIN_REFUSE, 550, "5.7.1", "score", "helo=ours+10" },
	{ "HELO is our domain", { .helo = "example.org" }, STAGE_RCPT, CHAIN_REFUSE, 550, "5.7.1", "score", "helo=ours+10" },
	{ "HELO is our address", { .helo = "[203.0.113.99]" }, STAGE_RCPT, CHAIN_REFUSE, 550, "5.7.1", "score", "helo=ours+10" },
	{ "HELO is its address", { .helo = "[203.0.113.1]" }, STAGE_END, CHAIN_PASS, 0, "", "", "helo=pass+0" },
	{ "HELO is another address", { .helo = "[203.0.113.2]" }, STAGE_END, CHAIN_PASS, 0, "", "", "helo=other-address+3" },
	{ "HELO without a dot", { .helo = "localhost" }, STAGE_END, CHAIN_PASS, 0, "", "", "helo=invalid+3" },
	{ "HELO with an underscore or worse", { .helo = "a b" }, STAGE_END, CHAIN_PASS, 0, "", "", "helo=invalid+3" },
	{ "HELO, enforced", { .helo = "localhost", .conf = "filter helo { mode = enforce }\n" }, STAGE_RCPT, CHAIN_REFUSE, 550,
	    "5.5.2", "helo", "" },
	/* SPF */
	{ "fail alone is no reason", { .from = "a@fails.test", .header = FINE "From: a@neutral.test\r\n\r\n" }, STAGE_END, CHAIN_PASS,
	    0, "", "", "spf=fail+6 dmarc=none+0" },
	{ "fail and more", { .ip = "203.0.113.200", .from = "a@fails.test", .header = FINE "From: a@neutral.test\r\n\r\n" }, STAGE_END,
	    CHAIN_REFUSE, 550, "5.7.1", "score", "spf=fail+6 iprev=permerror+4" },
	{ "fail, enforced at the end", { .from = "a@fails.test", .header = FINE "From: a@neutral.test\r\n\r\n",
	    .conf = "filter spf { mode = enforce }\n" }, STAGE_END, CHAIN_REFUSE, 550, "5.7.23", "spf", "" },
	{ "fail, strict", { .from = "a@fails.test", .conf = "filter spf { mode = enforce strict = yes }\n" }, STAGE_RCPT,
	    CHAIN_REFUSE, 550, "5.7.23", "spf", "spf=fail+6 !dkim" },
	{ "fail, strict, for a time", { .from = "a@fails.test", .conf = "filter spf { mode = enforce strict = yes }\n"
	    "refuse_temporarily = yes\n" }, STAGE_RCPT, CHAIN_DEFER, 450, "4.7.23", "spf", "" },
	{ "fail, strict, observed", { .from = "a@fails.test", .header = FINE "From: a@neutral.test\r\n\r\n",
	    .conf = "filter spf { mode = observe strict = yes }\n" }, STAGE_END, CHAIN_PASS, 0, "", "", "spf=fail+6" },
	{ "softfail", { .from = "a@soft.test", .header = FINE "From: a@neutral.test\r\n\r\n", .conf = "filter spf { mode = enforce "
	    "strict = yes }\n" }, STAGE_END, CHAIN_PASS, 0, "", "", "spf=softfail+2" },
	{ "permerror", { .from = "a@broken.test", .header = FINE "From: a@neutral.test\r\n\r\n" }, STAGE_END, CHAIN_PASS, 0, "", "",
	    "spf=permerror+0" },
	{ "temperror", { .from = "a@trouble.test", .header = FINE "From: a@neutral.test\r\n\r\n", .conf = "filter spf { mode = enforce "
	    "strict = yes }\n" }, STAGE_END, CHAIN_PASS, 0, "", "", "spf=temperror+0" },
	{ "temperror, tempfail", { .from = "a@trouble.test", .conf = "filter spf { mode = enforce tempfail = yes }\n" }, STAGE_RCPT,
	    CHAIN_DEFER, 451, "4.7.24", "spf", "" },
	{ "tempfail is not strict", { .from = "a@fails.test", .header = FINE "From: a@neutral.test\r\n\r\n",
	    .conf = "filter spf { mode = enforce tempfail = yes }\n" }, STAGE_END, CHAIN_REFUSE, 550, "5.7.23", "spf", "" },
	{ "HELO's own SPF fails", { .helo = "fails.test", .header = FINE "From: a@neutral.test\r\n\r\n" }, STAGE_END, CHAIN_PASS, 0, "", "", "spf=pass+3" },
	{ "the null sender is HELO's", { .from = "", .helo = "fails.test", .header = FINE "From: a@neutral.test\r\n\r\n" }, STAGE_END,
	    CHAIN_PASS, 0, "", "", "spf=fail+6" },
	{ "a forwarder is exempt", { .from = "a@fails.test", .conf = "filter spf { mode = enforce strict = yes }\n"
	    "exempt f { client = 203.0.113.0/24 filters = { spf, dmarc } }\n" }, STAGE_END, CHAIN_PASS, 0, "", "", "!spf !dmarc" },
	/* lists */
	{ "listed", { .ip = "203.0.113.2", .conf = "filter dnsbl { lists = a.list }\n" }, STAGE_RCPT, CHAIN_REFUSE, 550, "5.7.1",
	    "score", "dnsbl=listed+10" },
	{ "listed, light", { .ip = "203.0.113.2", .from = "a@neutral.test", .header = FINE "From: a@neutral.test\r\n\r\n",
	    .conf = "filter dnsbl { lists = 'a.list*3' }\n" }, STAGE_END, CHAIN_PASS, 0, "", "", "dnsbl=listed+3" },
	{ "weights add up", { .ip = "203.0.113.2", .conf = "filter dnsbl { lists = { 'a.list*5', 'b.list*4' } }\n" }, STAGE_RCPT,
	    CHAIN_REFUSE, 550, "5.7.1", "score", "dnsbl=listed+9" },
	{ "a part of the lists", { .ip = "203.0.113.2", .from = "a@neutral.test", .header = FINE "From: a@neutral.test\r\n\r\n",
	    .conf = "filter dnsbl { lists = { a.list, c.list } percent = 60 mode = enforce }\n" }, STAGE_END, CHAIN_PASS, 0, "", "",
	    "dnsbl=listed+0" },
	{ "enough of the lists", { .ip = "203.0.113.2", .conf = "filter dnsbl { lists = { a.list, c.list } percent = 50 "
	    "mode = enforce }\n" }, STAGE_RCPT, CHAIN_REFUSE, 550, "5.7.1", "dnsbl", "" },
	{ "a domain list", { .from = "a@fails.test", .header = FINE "From: a@neutral.test\r\n\r\n",
	    .conf = "filter sender-lists { lists = names.list }\nfilter helo-lists { lists = names.list }\nfilter host-lists { lists = "
	    "'names.list*1' }\n" }, STAGE_RCPT, CHAIN_REFUSE, 550, "5.7.1", "score", "sender-lists=listed+5 helo-lists=listed+5 "
	    "host-lists=listed+1" },
	{ "a private address is not asked about", { .ip = "10.0.0.1", .from = "a@neutral.test",
	    .header = FINE "From: a@neutral.test\r\n\r\n", .conf = "filter dnsbl { lists = a.list }\n" }, STAGE_END, CHAIN_PASS, 0, "",
	    "", "dnsbl=not-asked+0" },
	/* DMARC */
	{ "p=reject", { .from = "a@neutral.test", .header = FINE "From: a@rejects.test\r\n\r\n" }, STAGE_END, CHAIN_REFUSE, 550,
	    "5.7.1", "dmarc", "dmarc=fail+10" },
	{ "p=reject, for points", { .from = "a@neutral.test", .header = FINE "From: a@rejects.test\r\n\r\n",
	    .conf = "filter dmarc { mode = score reject = 4 }\n" }, STAGE_END, CHAIN_PASS, 0, "", "", "dmarc=fail+4" },
	{ "a forwarder without DMARC", { .from = "a@neutral.test", .header = FINE "From: a@rejects.test\r\n\r\n",
	    .conf = "exempt f { host = mail.example.com filters = dmarc }\n" }, STAGE_END, CHAIN_PASS, 0, "", "", "!dmarc" },
	{ "trouble is neutral", { .from = "a@neutral.test", .header = FINE "From: a@trouble.test\r\n\r\n" }, STAGE_END, CHAIN_PASS, 0,
	    "", "", "dmarc=temperror+0" },
	{ "SPF has trouble, so DMARC is not known", { .from = "a@trouble.test", .header = FINE "From: a@trouble.test\r\n\r\n" },
	    STAGE_END, CHAIN_PASS, 0, "", "", "dmarc=temperror+0" },
	/* one more address does not take away what the first one's domain wants (RFC 9989, 11.5) */
	{ "several authors, one forged", { .header = FINE "From: a@rejects.test, b@example.com\r\n\r\n" }, STAGE_END, CHAIN_REFUSE,
	    550, "5.7.1", "dmarc", "dmarc=fail+10" },
	{ "several authors, the other way round", { .header = FINE "From: b@example.com, a@rejects.test\r\n\r\n" }, STAGE_END,
	    CHAIN_REFUSE, 550, "5.7.1", "dmarc", "dmarc=fail+10" },
	{ "the strictest of several", { .header = FINE "From: b@marks.test, c@none.test, a@rejects.test\r\n\r\n" }, STAGE_END,
	    CHAIN_REFUSE, 550, "5.7.1", "dmarc", "dmarc=fail+10" },
	{ "an author beside what is no address", { .header = FINE "From: a@rejects.test, nobody\r\n\r\n" }, STAGE_END,
	    CHAIN_REFUSE, 550, "5.7.1", "dmarc", "dmarc=fail+10" },
	{ "an author before a mistake", { .header = FINE "From: a@rejects.test, <b@example.com\r\n\r\n" }, STAGE_END,
	    CHAIN_REFUSE, 550, "5.7.1", "dmarc", "dmarc=fail+10" },
	{ "several authors, none of whom is known to be forged", { .header = FINE "From: a@example.com, b@nodmarc.test\r\n\r\n" },
	    STAGE_END, CHAIN_PASS, 0, "", "", "dmarc=permerror+0 conformity=odd+3" },
	{ "several authors, one in trouble", { .header = FINE "From: a@trouble.test, b@example.com\r\n\r\n" }, STAGE_END, CHAIN_PASS,
	    0, "", "", "dmarc=temperror+0" },
	/* the form of messages */
	{ "an author behind a line that is no field", { .from = "a@neutral.test", .header = FINE "no field\r\nFrom: a@rejects.test\r\n\r\n" },
	    STAGE_END, CHAIN_REFUSE, 550, "5.7.1", "dmarc", "dmarc=fail+10 from=pass+0" },
	{ "a second From behind it", { .header = FINE "From: someone@example.com\r\nno field\r\nFrom: a@rejects.test\r\n\r\n" },
	    STAGE_END, CHAIN_REFUSE, 554, "5.6.0", "from", "from=doubled+10" },
	{ "two From", { .header = FINE "From: someone@example.com\r\nFrom: a@rejects.test\r\n\r\n" }, STAGE_END, CHAIN_REFUSE, 554,
	    "5.6.0", "from", "" },
	{ "nothing in it", { .header = "Subject: x\r\n\r\n" }, STAGE_END, CHAIN_PASS, 0, "", "", "conformity=odd+5" },
	{ "doubled", { .header = FINE FINE "From: someone@example.com\r\n\r\n" }, STAGE_END, CHAIN_PASS, 0, "", "", "conformity=odd+4" },
	/* A From that DMARC cannot be asked about, whatever is wrong with it. */
	{ "authors of two domains", { .header = FINE "From: a@neutral.test, b@nodmarc.test\r\n\r\n" }, STAGE_END, CHAIN_PASS, 0, "", "", "conformity=odd+3" },
	{ "two addresses for one", { .header = FINE "From: <a@neutral.test> <b@nodmarc.test>\r\n\r\n" }, STAGE_END, CHAIN_PASS, 0, "", "", "conformity=odd+3" },
	{ "two addresses for one, and one is forged", { .header = FINE "From: <a@neutral.test> <b@rejects.test>\r\n\r\n" }, STAGE_END,
	    CHAIN_REFUSE, 550, "5.7.1", "dmarc", "dmarc=fail+10" },
	{ "an author that can be seen and not be read", { .header = FINE "From: (a@rejects.test\r\n\r\n" }, STAGE_END, CHAIN_REFUSE,
	    550, "5.7.1", "dmarc", "dmarc=fail+10" },
	{ "empty", { .header = FINE "From:\r\n\r\n" }, STAGE_END, CHAIN_PASS, 0, "", "", "conformity=odd+3" },
	{ "a folded one", { .header = FINE "From:\r\n \r\n someone@example.com\r\n\r\n" }, STAGE_END, CHAIN_PASS, 0, "", "", "conformity=pass+0" },
	{ "a group without members", { .header = FINE "From: \"b@rejects.test\":;\r\n\r\n" }, STAGE_END, CHAIN_PASS, 0, "", "", "conformity=odd+3" },
	{ "a route and long lines", { .route = true, .long_lines = true }, STAGE_END, CHAIN_PASS, 0, "", "", "conformity=odd+2" },
	{ "a bounce for two", { .from = "", .recipients = 2, .header = FINE "From: a@neutral.test\r\n\r\n" }, STAGE_END, CHAIN_PASS, 0, "", "", "conformity=odd+2" },
	/* lists here */
	{ "refused by a list", { .conf = "refuse nobody { sender = example.com text = 'Go away' }\n" }, STAGE_RCPT, CHAIN_REFUSE, 550,
	    "5.7.1", "refuse", "refuse=listed+10" },
	{ "refused and exempt", { .conf = "refuse nobody { sender = example.com }\nexempt x { sender = someone@example.com }\n" },
	    STAGE_END, CHAIN_PASS, 0, "", "", "" },
	{ "not its domain", { .conf = "client_domains x { client = 203.0.113.0/24 domains = { example.net } }\n" }, STAGE_RCPT,
	    CHAIN_REFUSE, 550, "5.7.1", "client-domains", "" },
	{ "its domain", { .conf = "client_domains x { client = 203.0.113.0/24 domains = { example.com } }\n" }, STAGE_END, CHAIN_PASS,
	    0, "", "", "client-domains=pass+0" },
	/* Sender ID */
	{ "never v=spf1 against the header", { .header = FINE "From: a@only1.test\r\n\r\n", .conf = "filter sender-id { mode = enforce }\n" },
	    STAGE_END, CHAIN_PASS, 0, "", "", "sender-id=none+0" },
	{ "by its own record", { .header = FINE "From: a@pra.test\r\n\r\n", .conf = "filter sender-id { mode = score }\n" },
	    STAGE_END, CHAIN_PASS, 0, "", "", "sender-id=fail+3" },
	{ "without an answer", { .header = FINE "From: a@trouble.test\r\n\r\n", .conf = "filter sender-id { mode = enforce }\n"
	    "filter dmarc { mode = off }\n" }, STAGE_END, CHAIN_PASS, 0, "", "", "sender-id=temperror+0" },
	{ "without an answer, put off", { .header = FINE "From: a@trouble.test\r\n\r\n", .conf = "filter sender-id { mode = enforce "
	    "tempfail = yes }\nfilter dmarc { mode = off }\n" }, STAGE_END, CHAIN_DEFER, 451, "4.7.1", "sender-id", "sender-id=temperror+0" },
	/* Hermes */
	{ "Hermes refuses an SPF fail at RCPT", { .from = "a@fails.test", .conf = "hermes = yes\n" }, STAGE_RCPT, CHAIN_REFUSE, 550,
	    "5.7.23", "spf", "" },
	{ "Hermes refuses no softfail", { .from = "a@soft.test", .header = FINE "From: a@neutral.test\r\n\r\n", .conf = "hermes = yes\n" },
	    STAGE_RCPT, CHAIN_PASS, 0, "", "", "spf=softfail+2" },
	{ "Hermes and all lists", { .ip = "203.0.113.2", .from = "a@neutral.test", .conf = "hermes = yes\nfilter dnsbl { lists = { "
	    "a.list, b.list } }\n" }, STAGE_RCPT, CHAIN_REFUSE, 550, "5.7.1", "dnsbl", "" },
	{ "Hermes and half of them", { .ip = "203.0.113.2", .from = "a@neutral.test", .header = FINE "From: a@neutral.test\r\n\r\n",
	    .conf = "hermes = yes\nfilter dnsbl { lists = { a.list, c.list } }\n" }, STAGE_RCPT, CHAIN_PASS, 0, "", "",
	    "dnsbl=listed+0" },
};

START_TEST(mails)
{
	struct mail m = cases[_i].mail;
	struct got g;

	m.ip = m.ip != NULL ? m.ip : honest.ip;
	m.helo = m.helo != NULL ? m.helo : honest.helo;
	m.from = m.from != NULL ? m.from : honest.from;
	m.header = m.header != NULL ? m.header : honest.header;
	m.body = m.body != NULL ? m.body : honest.body;
	g = run_mail(&m);
	ck_assert_msg(g.d.outcome == cases[_i].outcome && g.stage >= cases[_i].stage, "%s: outcome %d at %s: %d %s %s by %s;%s",
	    cases[_i].name, g.d.outcome, facts_stage_name(g.stage), g.d.code, g.d.enhanced, g.d.text, g.d.filter, g.words);
	ck_assert_msg(g.d.outcome == CHAIN_PASS || g.stage == cases[_i].stage, "%s at %s", cases[_i].name, facts_stage_name(g.stage));
	ck_assert_msg(g.d.code == cases[_i].code, "%s: %d", cases[_i].name, g.d.code);
	ck_assert_str_eq(g.d.enhanced, cases[_i].enhanced);
	ck_assert_msg(strcmp(g.d.filter, cases[_i].filter) == 0, "%s: by %s", cases[_i].name, g.d.filter);
	check_words(&g, cases[_i].words, cases[_i].name);
}
END_TEST

/* ---- mistakes of others ---- */

/* Every error code and nonsense of a list, all at once, with weights that would refuse. */
START_TEST(error_codes_taken_for_listings)
{
	struct mail m = honest;
	struct got g;

	m.conf = "filter dnsbl { mode = enforce lists = { refuses.list, typo.list, many.list, parked.list, slow.list } }\n";
	g = run_mail(&m);
	ck_assert_int_eq(g.d.outcome, CHAIN_PASS);
	check_words(&g, "dnsbl=temperror+0", "error codes");
}
END_TEST

START_TEST(servfail_taken_for_no_name)
{
	struct mail m = honest;
	struct got g;

	m.conf = "filter iprev { mode = enforce }\n";
	m.from = "a@neutral.test";
	m.header = FINE "From: a@neutral.test\r\n\r\n";
	m.ip = "203.0.113.3";
	g = run_mail(&m);
	ck_assert_int_eq(g.d.outcome, CHAIN_PASS);
	check_words(&g, "iprev=temperror+0", "PTR");
	m.ip = "203.0.113.5";
	g = run_mail(&m);
	ck_assert_int_eq(g.d.outcome, CHAIN_PASS);
	check_words(&g, "iprev=temperror+0", "A");
}
END_TEST

/* No answer from anywhere: with all that could refuse switched on, an honest mail comes through. */
START_TEST(mail_refused_because_dns_is_down)
{
	char *servers[] = { (char *)(uintptr_t)"127.0.0.1:1", NULL }, err[200];
	struct mail m = honest;
	struct got g;

	m.conf = "filter dnsbl { mode = enforce lists = { a.list } }\nfilter spf { mode = enforce strict = yes }\n"
	    "filter iprev { mode = enforce }\nfilter sender-id { mode = enforce }\nfilter sender-lists { mode = enforce lists = a.list }\n";
	dns_free(dns);
	dns = dns_new_direct(base, servers, err, sizeof(err));
	ck_assert_ptr_nonnull(dns);
	g = run_mail(&m);
	ck_assert_msg(g.d.outcome == CHAIN_PASS, "%s", g.words);
	check_words(&g, "spf=temperror+0 iprev=temperror+0 dnsbl=temperror+0 sender-lists=temperror+0 dmarc=temperror+0 "
	    "sender-id=temperror+0", "down");
}
END_TEST

/* A text of a list goes into a reply: no line end of it, nothing that is not printable. */
START_TEST(text_of_a_list_breaks_the_reply)
{
	struct mail m = honest;
	struct got g;

	m.ip = "203.0.113.2";
	m.conf = "filter dnsbl { mode = enforce lists = a.list }\n";
	g = run_mail(&m);
	ck_assert_int_eq(g.d.outcome, CHAIN_REFUSE);
	ck_assert_ptr_nonnull(strstr(g.d.text, "203.0.113.2 is listed by a.list: spam source"));
	for (const char *p = g.d.text; *p != '\0'; p++)
		ck_assert_msg(*p >= 0x20 && *p <= 0x7e, "%s", g.d.text);
	ck_assert_uint_lt(strlen(g.d.text), 400);
}
END_TEST

START_TEST(softfail_refused)
{
	struct mail m = honest;
	struct got g;

	m.from = "a@soft.test";
	m.header = FINE "From: a@soft.test\r\n\r\n";
	m.conf = "hermes = yes\n";
	g = run_mail(&m);
	ck_assert_int_eq(g.d.outcome, CHAIN_PASS);
}
END_TEST

/* ---- signatures and forwarders ---- */

static char *
sign(const char *message, const char *domain)
{
	struct dkim_sign_options o = { .kind = DKIM_MESSAGE, .algorithm = DKIM_ED25519_SHA256, .relaxed_header = true,
	    .relaxed_body = true, .domain = domain, .selector = "s" };
	uint8_t hash[DKIM_HASH_BYTES], b[DKIM_SIGNATURE_BYTES];
	size_t b_len;
	const char *why;
	struct dkim_signer *s = dkim_signer_new(&o, message, strlen(message), &why);
	char *field, *all;

	ck_assert_msg(s != NULL, "%s", why);
	dkim_signer_body(s, honest.body, strlen(honest.body));
	dkim_signer_hash(s, hash);
	ck_assert_int_eq(dkim_key_sign(key, hash, b, &b_len), 0);
	field = dkim_signer_field(s, b, b_len);
	ck_assert_int_ne(asprintf(&all, "%s%s", field, message), -1);
	free(field);
	dkim_signer_free(s);
	return all;
}

static char *
seal(const char *message, const char *results)
{
	struct dkim_sign_options o = { .algorithm = DKIM_ED25519_SHA256, .relaxed_header = true, .relaxed_body = true,
	    .domain = "sealer.test", .selector = "s", .now = 12345 };
	uint8_t hash[DKIM_HASH_BYTES], b[DKIM_SIGNATURE_BYTES];
	size_t b_len;
	const char *why;
	struct arc_sealer *s = arc_sealer_new(&o, "mx.sealer.test", results, ARC_CV_NONE, message, strlen(message), &why);
	char *fields, *all;

	ck_assert_msg(s != NULL, "%s", why);
	arc_sealer_body(s, honest.body, strlen(honest.body));
	arc_sealer_message_hash(s, hash);
	ck_assert_int_eq(dkim_key_sign(key, hash, b, &b_len), 0);
	arc_sealer_seal_hash(s, b, b_len, hash);
	ck_assert_int_eq(dkim_key_sign(key, hash, b, &b_len), 0);
	fields = arc_sealer_fields(s, b, b_len);
	ck_assert_int_ne(asprintf(&all, "%s%s", fields, message), -1);
	free(fields);
	arc_sealer_free(s);
	return all;
}

/* SPF fails at a forwarder, and the signature is the author's: what SPF alone would refuse is taken. */
static const struct {
	const char *from, *signer;
	enum chain_outcome outcome;
	const char *words;
} forwarded[] = {
	{ "made.test", "made.test", CHAIN_PASS, "spf=fail+0 dkim=pass+0 dmarc=pass+0" },
	{ "nodmarc.test", "nodmarc.test", CHAIN_PASS, "spf=fail+0 dkim=pass+0 dmarc=none+0" },
	{ "nodmarc.test", "made.test", CHAIN_REFUSE, "spf=fail+6 dkim=pass+0 dmarc=none+0" },
	{ "nodmarc.test", NULL, CHAIN_REFUSE, "spf=fail+6 dkim=none+0" },
};

START_TEST(forwarded_mail_refused)
{
	struct mail m = honest;
	char header[512], sender[64], *with = NULL;
	struct got g;

	snprintf(header, sizeof(header), FINE "From: a@%s\r\n\r\n", forwarded[_i].from);
	snprintf(sender, sizeof(sender), "a@%s", forwarded[_i].from);
	m.from = sender;
	m.header = forwarded[_i].signer != NULL ? (with = sign(header, forwarded[_i].signer)) : header;
	m.conf = "filter spf { mode = enforce }\n";
	g = run_mail(&m);
	ck_assert_msg(g.d.outcome == forwarded[_i].outcome, "%d %s %s;%s", _i, g.d.filter, g.d.text, g.words);
	check_words(&g, forwarded[_i].words, "forwarded");
	free(with);
}
END_TEST

/* A list has changed the message; its ARC set says that it was genuine before. Only of who is named is that believed. */
static const struct {
	const char *results, *conf;
	enum chain_outcome outcome;
} sealed[] = {
	{ "dmarc=pass header.from=rejects.test", "filter arc { sealers = sealer.test }\n", CHAIN_PASS },
	{ "spf=pass;\r\n DMARC (a; b) = pass header.from=rejects.test", "filter arc { sealers = sealer.test }\n", CHAIN_PASS },
	{ "dmarc=pass header.from=rejects.test", "", CHAIN_REFUSE },
	{ "dmarc=pass header.from=rejects.test", "filter arc { sealers = other.test }\n", CHAIN_REFUSE },
	{ "dmarc=fail header.from=rejects.test", "filter arc { sealers = sealer.test }\n", CHAIN_REFUSE },
	{ "spf=pass smtp.mailfrom=\"x; dmarc=pass\"", "filter arc { sealers = sealer.test }\n", CHAIN_REFUSE },
	{ "spf=pass (; dmarc=pass)", "filter arc { sealers = sealer.test }\n", CHAIN_REFUSE },
	{ "dmarc=passed", "filter arc { sealers = sealer.test }\n", CHAIN_REFUSE },
	{ "xdmarc=pass", "filter arc { sealers = sealer.test }\n", CHAIN_REFUSE },
};

START_TEST(chain_of_forwarders)
{
	struct mail m = honest;
	char *header = seal(FINE "From: a@rejects.test\r\n\r\n", sealed[_i].results);
	struct got g;

	m.from = "list@neutral.test";
	m.header = header;
	m.conf = sealed[_i].conf;
	g = run_mail(&m);
	ck_assert_msg(g.d.outcome == sealed[_i].outcome, "%s: %s %s;%s", sealed[_i].results, g.d.filter, g.d.text, g.words);
	check_words(&g, sealed[_i].outcome == CHAIN_PASS ? "arc=pass+0 dmarc=fail+0" : "arc=pass+0 dmarc=fail+10", sealed[_i].results);
	free(header);
}
END_TEST

START_TEST(quarantine_marks)
{
	struct mail m = honest;
	struct got g;

	m.from = "a@neutral.test";
	m.header = FINE "From: a@marks.test\r\n\r\n";
	g = run_mail(&m);
	ck_assert(g.d.outcome == CHAIN_PASS && g.d.quarantine);
	ck_assert_ptr_nonnull(strstr(g.fields, "quarantine"));
}
END_TEST

/* ---- fields ---- */

START_TEST(fields)
{
	struct mail m = honest;
	struct got g = run_mail(&m);
	struct header_field f;
	size_t at = 0;

	ck_assert_ptr_nonnull(strstr(g.fields, "Authentication-Results: mx.example.org;"));
	ck_assert_ptr_nonnull(strstr(g.fields, "spf=pass smtp.mailfrom=someone@example.com"));
	ck_assert_ptr_nonnull(strstr(g.fields, "dmarc=pass header.from=example.com"));
	ck_assert_ptr_nonnull(strstr(g.fields, "iprev=pass policy.iprev=203.0.113.1"));
	ck_assert_ptr_nonnull(strstr(g.fields, "Received-SPF: pass"));
	ck_assert_ptr_nonnull(strstr(g.fields, "X-Minimta-Score: 0 of 10;"));
	ck_assert_uint_eq(header_count(g.fields, strlen(g.fields), "Received-SPF"), 1);
	while (header_next(g.fields, strlen(g.fields), &at, &f))
		;
	ck_assert_uint_eq(at, strlen(g.fields));
}
END_TEST

/* What strangers choose cannot add a field or end one. */
START_TEST(fields_that_strangers_fill)
{
	struct mail m = honest;
	struct got g;

	m.from = "\"a\\\"; dmarc=pass\"@fails.test";
	m.helo = "x;dkim=pass";
	m.header = FINE "From: a@neutral.test\r\n\r\n";
	g = run_mail(&m);
	ck_assert_uint_eq(header_count(g.fields, strlen(g.fields), "Authentication-Results"), 1);
	ck_assert_ptr_null(strstr(g.fields, "; dkim=pass"));
	ck_assert_ptr_null(strstr(g.fields, "\tdmarc=pass"));
	ck_assert_ptr_nonnull(strstr(g.fields, "\tdmarc=none"));
	m.header = FINE "DKIM-Signature:\r\nFrom:\r\n\r\n";
	g = run_mail(&m);
	ck_assert_ptr_nonnull(strstr(g.fields, "\tdmarc=none"));
	ck_assert_ptr_nonnull(strstr(g.fields, "\tdkim=neutral"));
	ck_assert_ptr_null(strstr(g.fields, " header."));
}
END_TEST

START_TEST(forged_authentication_results)
{
	char block[] = "Authentication-Results: mx.example.org; dmarc=pass header.from=rejects.test\r\nFrom: a@rejects.test\r\n\r\n";
	struct mail m = honest;
	unsigned removed;
	struct got g;

	m.from = "a@neutral.test";
	m.header = block;
	g = run_mail(&m);
	ck_assert_int_eq(g.d.outcome, CHAIN_REFUSE);
	ck_assert_str_eq(g.d.filter, "dmarc");
	authres_strip(block, strlen(block), "mx.example.org", &removed);
	ck_assert_uint_eq(removed, 1);
}
END_TEST

START_TEST(tagged_and_taken)
{
	struct mail m = honest;
	struct got g;

	m.from = "a@fails.test";
	m.header = FINE "From: a@rejects.test\r\n\r\n";
	m.conf = "tag_only = yes\nfilter spf { mode = enforce strict = yes }\n";
	g = run_mail(&m);
	ck_assert(g.d.outcome == CHAIN_PASS && g.stage == STAGE_END);
	ck_assert_ptr_nonnull(strstr(g.fields, "tagged=spf"));
}
END_TEST

/* The client leaves while lookups are under way, at any point: nobody is called, and nothing is left behind. */
START_TEST(given_up_at_every_point)
{
	char *signed_one = sign(FINE "From: a@made.test\r\n\r\n", "made.test"), *header = seal(signed_one, "dmarc=pass");
	struct mail m = honest;
	struct got g = { .done = false };
	unsigned n;

	m.header = header;
	m.conf = "filter dnsbl { lists = { a.list, b.list, slow.list } }\nfilter dnswl { lists = white.list }\nfilter sender-lists { lists = "
	    "names.list }\nfilter helo-lists { lists = 'names.list*1' }\nfilter host-lists { lists = 'names.list*1' }\nfilter sender-id { mode = "
	    "observe }\n";
	for (n = 0; !g.done || g.stage != STAGE_END; n++) {
		ck_assert_uint_lt(n, 500);
		turns_left = n;
		g = run_mail(&m);
	}
	ck_assert_uint_gt(n, 10);
	ck_assert_int_eq(g.d.outcome, CHAIN_PASS);
	free(signed_one);
	free(header);
}
END_TEST

START_TEST(ipv6_client)
{
	struct mail m = honest;
	struct got g;

	m.ip = "2a01:db8::1";
	m.from = "a@neutral.test";
	m.header = FINE "From: a@neutral.test\r\n\r\n";
	m.conf = "filter dnsbl { lists = a.list }\n";
	g = run_mail(&m);
	ck_assert_int_eq(g.d.outcome, CHAIN_PASS);
	check_words(&g, "iprev=permerror+4 dnsbl=not-listed+0 spf=neutral+0", "IPv6");
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("filters");

	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, mails, 0, COUNT(cases));
	tcase_add_test(t, error_codes_taken_for_listings);
	tcase_add_test(t, servfail_taken_for_no_name);
	tcase_add_test(t, mail_refused_because_dns_is_down);
	tcase_add_test(t, text_of_a_list_breaks_the_reply);
	tcase_add_test(t, softfail_refused);
	tcase_add_loop_test(t, forwarded_mail_refused, 0, COUNT(forwarded));
	tcase_add_loop_test(t, chain_of_forwarders, 0, COUNT(sealed));
	tcase_add_test(t, quarantine_marks);
	tcase_add_test(t, fields);
	tcase_add_test(t, fields_that_strangers_fill);
	tcase_add_test(t, forged_authentication_results);
	tcase_add_test(t, tagged_and_taken);
	tcase_add_test(t, given_up_at_every_point);
	tcase_add_test(t, ipv6_client);
	tcase_set_timeout(t, 60);
	return run_case("filters", t);
}
