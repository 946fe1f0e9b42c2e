/*
 * Signatures verified and made, through a name server in the same loop: the examples of RFC 6376 (appendix A) and 8463
 * (appendix A), tampered mail, keys of all kinds, and chains. ATTACKS 48, 49, 50
 */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "filters/arc.h"
#include "filters/arc_seal.h"
#include "filters/dkim.h"
#include "filters/dkim_key.h"
#include "filters/dkim_sign.h"
#include "lib/header.h"
#include "tests/unit/fake_dns.h"
#include "tests/unit/run.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define KEY_8463 "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W" \
	"91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB"
#define KEY_6376 "MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYtIxN2SnFCjxOCKG9v3b4jYfcTNh5ijS" \
	"sq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhitdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB"
#define OTHERS	"; h=from; b=AAAA; bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=\r\n"

static const char rfc8463[] =
    "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n"
    " d=football.example.com; i=@football.example.com;\r\n"
    " q=dns/txt; s=brisbane; t=1528637909; h=from : to :\r\n"
    " subject : date : message-id : from : subject : date;\r\n"
    " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
    " b=/gCrinpcQOoIfuHNQIbq4pgh9kyIK3AQUdt9OdqQehSwhEIug4D11Bus\r\n"
    " Fa3bT3FY5OsU7ZbnKELq+eXdp1Q1Dw==\r\n"
    "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed;\r\n"
    " d=football.example.com; i=@football.example.com;\r\n"
    " q=dns/txt; s=test; t=1528637909; h=from : to : subject :\r\n"
    " date : message-id : from : subject : date;\r\n"
    " bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
    " b=F45dVWDfMbQDGHJFlXUNB2HKfbCeLRyhDXgFpEL8GwpsRe0IeIixNTe3\r\n"
    " DhCVlUrSjV4BwcVcOF6+FF3Zo9Rpo1tFOeS9mPYQTnGdaSGsgeefOsk2Jz\r\n"
    " dA+L10TeYt9BgDfQNZtKdN1WO//KgIqXP7OdEFE4LjFYNcUxZQ4FADY+8=\r\n"
    "From: Joe SixPack <joe@football.example.com>\r\n"
    "To: Suzie Q <suzie@shopping.example.net>\r\n"
    "Subject: Is dinner ready?\r\n"
    "Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n"
    "Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n"
    "\r\n"
    "Hi.\r\n"
    "\r\n"
    "We lost the game.  Are you hungry yet?\r\n"
    "\r\n"
    "Joe.\r\n";

static const char rfc6376[] =
    "DKIM-Signature: v=1; a=rsa-sha256; s=brisbane; d=example.com;\r\n"
    "      c=simple/simple; q=dns/txt; i=joe@football.example.com;\r\n"
    "      h=Received : From : To : Subject : Date : Message-ID;\r\n"
    "      bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=;\r\n"
    "      b=AuUoFEfDxTDkHlLXSZEpZj79LICEps6eda7W3deTVFOk4yAUoqOB\r\n"
    "      4nujc7YopdG5dWLSdNg6xNAZpOPr+kHxt1IrE+NahM6L/LbvaHut\r\n"
    "      KVdkLLkpVaVVQPzeRDI009SO2Il5Lu7rDNH6mZckBdrIx0orEtZV\r\n"
    "      4bmp/YzhwvcubU4=;\r\n"
    "Received: from client1.football.example.com  [192.0.2.1]\r\n"
    "      by submitserver.example.com with SUBMISSION;\r\n"
    "      Fri, 11 Jul 2003 21:01:54 -0700 (PDT)\r\n"
    "From: Joe SixPack <joe@football.example.com>\r\n"
    "To: Suzie Q <suzie@shopping.example.net>\r\n"
    "Subject: Is dinner ready?\r\n"
    "Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n"
    "Message-ID: <20030712040037.46341.5F8J@football.example.com>\r\n"
    "\r\n"
    "Hi.\r\n"
    "\r\n"
    "We lost the game. Are you hungry yet?\r\n"
    "\r\n"
    "Joe.\r\n";

static char made_key[4096];			/* the record of a key made here, at made.test */

static const struct zone zone[] = {
	{ "brisbane._domainkey.football.example.com", DNS_TXT,
	    "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", 0 },
	{ "test._domainkey.football.example.com", DNS_TXT, "v=DKIM1; k=rsa; p=" KEY_8463, 0 },
	{ "brisbane._domainkey.example.com", DNS_TXT, "v=DKIM1; p=" KEY_6376, 0 },
	{ "y._domainkey.example.com", DNS_TXT, "v=DKIM1; t=y; p=" KEY_6376, 0 },
	{ "strict._domainkey.example.com", DNS_TXT, "v=DKIM1; t=s; p=" KEY_6376, 0 },
	{ "revoked._domainkey.example.com", DNS_TXT, "v=DKIM1; p=", 0 },
	{ "rubbish._domainkey.example.com", DNS_TXT, "hello", 0 },
	{ "other._domainkey.example.com", DNS_TXT, "v=DKIM1; p=" KEY_8463, 0 },
	{ "notkey._domainkey.example.com", DNS_TXT, "v=DKIM1; p=AAAAAAAA", 0 },
	{ "ed._domainkey.example.com", DNS_TXT, "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", 0 },
	{ "two._domainkey.example.com", DNS_TXT, "something else", 0 },
	{ "two._domainkey.example.com", DNS_TXT, "v=DKIM1; p=" KEY_6376, 0 },
	{ "silent._domainkey.example.com", DNS_TXT, "!DROP", 0 },
	{ "fail._domainkey.example.com", DNS_TXT, "!SERVFAIL", 0 },
	{ "s._domainkey.made.test", DNS_TXT, made_key, 0 },
	{ NULL, 0, NULL, 0 },
};

struct got {
	bool		 done;
	size_t		 n;
	struct dkim_finding findings[DKIM_SIGNATURES_MAX];
	struct arc_finding arc;
};

static void
setup(void)
{
	fake_setup(zone);
}

static void
on_done(void *arg, const struct dkim_finding *findings, size_t n)
{
	struct got *g = arg;

	ck_assert(!g->done);
	ck_assert_uint_le(n, DKIM_SIGNATURES_MAX);
	g->done = true;
	g->n = n;
	for (size_t i = 0; i < n; i++)
		g->findings[i] = findings[i];
}

static struct got
verify_at(const char *message, time_t now)
{
	size_t header = header_end(message, strlen(message));
	struct got g = { .done = false };
	struct dkim *d = dkim_start(dns, message, header, now, 300, on_done, &g);

	for (const char *p = message + header; *p != '\0'; p++)
		dkim_body(d, p, 1);
	dkim_end(d);
	ck_assert(!g.done);
	run_until(&g.done);
	return g;
}

static struct got
verify(const char *message)
{
	return verify_at(message, 1795291200);
}

/* The message with a part replaced once; freed by the caller. */
static char *
replaced(const char *message, const char *from, const char *to)
{
	const char *at = strstr(message, from);
	char *text;

	ck_assert_msg(at != NULL, "there is no %s", from);
	ck_assert_int_ne(asprintf(&text, "%.*s%s%s", (int)(at - message), message, to, at + strlen(from)), -1);
	return text;
}

START_TEST(examples_of_the_rfcs)
{
	struct got g = verify(rfc8463);

	ck_assert_uint_eq(g.n, 2);
	ck_assert_int_eq(g.findings[0].result, DKIM_PASS);
	ck_assert_int_eq(g.findings[1].result, DKIM_PASS);
	ck_assert_str_eq(g.findings[0].domain, "football.example.com");
	ck_assert_str_eq(g.findings[0].selector, "brisbane");
	ck_assert_uint_eq(g.findings[1].bits, 1024);
	g = verify(rfc6376);
	ck_assert_uint_eq(g.n, 1);
	ck_assert_int_eq(g.findings[0].result, DKIM_PASS);
	ck_assert_str_eq(g.findings[0].identity_domain, "football.example.com");
}
END_TEST

/* One thing changed in the example of RFC 6376 (simple/simple). */
static const struct {
	const char	*from, *to;
	enum dkim_result result;
	const char	*why;
} changes[] = {
	{ "We lost", "We won", DKIM_FAIL, "body" },
	{ "Joe.\r\n", "Joe. \r\n", DKIM_FAIL, "body" },
	{ "Joe.\r\n", "Joe.\r\n\r\n\r\n", DKIM_PASS, "" },
	{ "Joe.\r\n", "Joe.", DKIM_PASS, "" },
	{ "dinner", "supper", DKIM_FAIL, "header" },
	{ "Subject: Is", "Subject:  Is", DKIM_FAIL, "header" },
	{ "To: Suzie", "X-New: field\r\nTo: Suzie", DKIM_PASS, "" },
	{ "Message-ID", "Message-Id", DKIM_FAIL, "header" },
	{ "Subject: Is", "Subject: another\r\nSubject: Is", DKIM_PASS, "" },
	{ "\r\n\r\nHi", "\r\nSubject: another\r\n\r\nHi", DKIM_FAIL, "header" },
	{ "b=AuUoFEfD", "b=AuUoFEfE", DKIM_FAIL, "header" },
	{ "b=AuUo", "b=Au Uo", DKIM_PASS, "" },
	{ "b=Au", "l=5; b=Au", DKIM_FAIL, "body" },
	{ "s=brisbane", "s=other", DKIM_FAIL, "header" },
	{ "s=brisbane", "s=revoked", DKIM_PERMERROR, "revoked" },
	{ "s=brisbane", "s=rubbish", DKIM_PERMERROR, "key record" },
	{ "s=brisbane", "s=notkey", DKIM_PERMERROR, "cannot be read" },
	{ "s=brisbane", "s=nowhere", DKIM_PERMERROR, "no key in DNS" },
	{ "s=brisbane", "s=ed", DKIM_PERMERROR, "another kind" },
	{ "s=brisbane", "s=strict", DKIM_PERMERROR, "very domain" },
	{ "s=brisbane", "s=fail", DKIM_TEMPERROR, "no answer" },
	{ "s=brisbane", "s=silent", DKIM_TEMPERROR, "no answer" },
	{ "s=brisbane", "s=two", DKIM_FAIL, "header" },
	{ "s=brisbane", "s=y", DKIM_FAIL, "header" },
	{ "h=Received : From", "h=Received : Fro", DKIM_PERMERROR, "From" },
	{ "q=dns/txt;", "q=dns/txt; x=1795291199;", DKIM_PERMERROR, "expired" },
	{ "q=dns/txt;", "q=dns/txt; x=1795291200;", DKIM_FAIL, "header" },
	{ "a=rsa-sha256", "a=rsa-sha1", DKIM_POLICY, "sha1" },
};

START_TEST(changed_mail)
{
	char *message = replaced(rfc6376, changes[_i].from, changes[_i].to);
	struct got g = verify(message);

	ck_assert_uint_eq(g.n, 1);
	ck_assert_msg(g.findings[0].result == changes[_i].result, "%s: %s (%s)", changes[_i].to,
	    dkim_result_name(g.findings[0].result), g.findings[0].why);
	ck_assert_msg(strstr(g.findings[0].why, changes[_i].why) != NULL, "%s", g.findings[0].why);
	free(message);
}
END_TEST

/* Ten are looked at, however many there are, and each costs one question at most. */
START_TEST(a_hundred_signatures)
{
	char *message = calloc(1, 100 * 300 + sizeof(rfc6376));
	size_t len = 0;
	struct got g;

	for (int i = 0; i < 100; i++)
		len += (size_t)snprintf(message + len, 300, "DKIM-Signature: v=1; a=rsa-sha256; d=n%d.example.com; s=x" OTHERS, i);
	memcpy(message + len, rfc6376, sizeof(rfc6376));
	g = verify(message);
	ck_assert_uint_eq(g.n, DKIM_SIGNATURES_MAX);
	ck_assert_uint_le(fake.n_udp, DKIM_SIGNATURES_MAX);
	for (size_t i = 0; i < g.n; i++)
		ck_assert_int_eq(g.findings[i].result, DKIM_PERMERROR);
	free(message);
}
END_TEST

START_TEST(no_signature)
{
	ck_assert_uint_eq(verify("From: a@b\r\n\r\nx\r\n").n, 0);
	ck_assert_uint_eq(verify("").n, 0);
	ck_assert_uint_eq(fake.n_udp, 0);
}
END_TEST

START_TEST(cancelled)
{
	struct got g = { .done = false };
	struct dkim *d = dkim_start(dns, rfc6376, header_end(rfc6376, sizeof(rfc6376) - 1), 0, 0, on_done, &g);

	dkim_body(d, "x", 1);
	dkim_cancel(d);
	d = dkim_start(dns, "A: b\r\n", 6, 0, 0, on_done, &g);
	dkim_end(d);
	dkim_cancel(d);
	dkim_cancel(NULL);
	for (int i = 0; i < 20; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert(!g.done);
}
END_TEST

/* ---- made here ---- */

static void
publish(const char *kind, const uint8_t *key, size_t len)
{
	char text[3000];

	ck_assert_uint_lt(len, sizeof(text) / 4 * 3);
	EVP_EncodeBlock((unsigned char *)text, key, (int)len);
	snprintf(made_key, sizeof(made_key), "v=DKIM1; k=%s; p=%s", kind, text);
}

/* A key, and its record for DNS: rsa of so many bits, or ed25519 with 0. */
static EVP_PKEY *
make_key(unsigned bits)
{
	EVP_PKEY *key = bits != 0 ? EVP_RSA_gen(bits) : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	uint8_t der[1024], *p = der;
	size_t len = sizeof(der);

	ck_assert_ptr_nonnull(key);
	if (bits != 0)
		len = (size_t)i2d_PUBKEY(key, &p);
	else
		ck_assert_int_eq(EVP_PKEY_get_raw_public_key(key, der, &len), 1);
	publish(bits != 0 ? "rsa" : "ed25519", der, len);
	return key;
}

static char *
sign(EVP_PKEY *key, const char *message, bool relaxed_header, bool relaxed_body)
{
	struct dkim_sign_options o = { .kind = DKIM_MESSAGE, .algorithm = dkim_key_algorithm(key), .relaxed_header = relaxed_header,
	    .relaxed_body = relaxed_body, .domain = "made.test", .selector = "s", .now = 1795291200 };
	uint8_t hash[DKIM_HASH_BYTES], b[DKIM_SIGNATURE_BYTES];
	size_t header = header_end(message, strlen(message)), b_len;
	const char *why;
	struct dkim_signer *s = dkim_signer_new(&o, message, header, &why);
	char *field, *all;

	ck_assert_msg(s != NULL, "%s", why);
	dkim_signer_body(s, message + header, strlen(message + header));
	dkim_signer_hash(s, hash);
	ck_assert_int_eq(dkim_key_sign(key, hash, b, &b_len), 0);
	field = dkim_signer_field(s, b, b_len);
	ck_assert_int_ne(asprintf(&all, "%s%s", field, message), -1);
	free(field);
	dkim_signer_free(s);
	return all;
}

static const struct {
	unsigned	 bits;
	enum dkim_result result;
} lengths[] = { { 0, DKIM_PASS }, { 512, DKIM_POLICY }, { 1023, DKIM_POLICY }, { 1024, DKIM_PASS }, { 2048, DKIM_PASS } };

START_TEST(what_is_signed_verifies)
{
	EVP_PKEY *key = make_key(lengths[_i].bits);
	struct got g;
	char *signed_mail, *changed;

	for (int canon = 0; canon < 4; canon++) {
		signed_mail = sign(key, rfc6376, (canon & 1) != 0, (canon & 2) != 0);
		g = verify(signed_mail);
		ck_assert_uint_eq(g.n, 2);
		ck_assert_int_eq(g.findings[0].result, lengths[_i].result);
		ck_assert_int_eq(g.findings[1].result, DKIM_PASS);
		/* Nothing that a reader sees can be added. */
		changed = replaced(signed_mail, "\r\nReceived:", "\r\nReply-To: me@made.test\r\nReceived:");
		ck_assert_int_ne(verify(changed).findings[0].result, DKIM_PASS);
		free(changed);
		changed = replaced(signed_mail, "\r\nReceived:", "\r\nFrom: me@made.test\r\nReceived:");
		ck_assert_int_ne(verify(changed).findings[0].result, DKIM_PASS);
		free(changed);
		free(signed_mail);
	}
	EVP_PKEY_free(key);
}
END_TEST

/* The record of an RSA key whose number is all ones. */
static void
make_number(unsigned bits)
{
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
	BIGNUM *n = BN_new(), *e = BN_new();
	OSSL_PARAM *params;
	EVP_PKEY *key = NULL;
	uint8_t der[2200], *p = der;

	ck_assert(BN_lshift(n, BN_value_one(), (int)bits) == 1 && BN_sub_word(n, 1) == 1 && BN_set_word(e, 65537) == 1);
	ck_assert(OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, n) == 1);
	ck_assert(OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, e) == 1);
	params = OSSL_PARAM_BLD_to_param(build);
	ck_assert(EVP_PKEY_fromdata_init(ctx) == 1 && EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) == 1);
	publish("rsa", der, (size_t)i2d_PUBKEY(key, &p));
	EVP_PKEY_free(key);
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(build);
	BN_free(n);
	BN_free(e);
}

static const struct {
	unsigned	 bits;
	const char	*why;
} sizes[] = { { 8, "less than 1024" }, { 4097, "more than 4096" }, { 16384, "" } };

/* Some are no good to anybody, some dear to calculate with. */
START_TEST(keys_of_8_to_16384_bits)
{
	char *message = replaced(rfc6376, "d=example.com", "d=made.test"), *other = replaced(message, "s=brisbane", "s=s");
	char *last = replaced(other, " i=", " was=");
	struct got g;

	make_number(sizes[_i].bits);
	g = verify(last);
	ck_assert_uint_eq(g.n, 1);
	ck_assert_msg(g.findings[0].result == DKIM_POLICY || (sizes[_i].why[0] == '\0' && g.findings[0].result == DKIM_PERMERROR), "%s (%s)",
	    dkim_result_name(g.findings[0].result), g.findings[0].why);
	ck_assert_msg(strstr(g.findings[0].why, sizes[_i].why) != NULL, "%s", g.findings[0].why);
	free(message);
	free(other);
	free(last);
}
END_TEST

START_TEST(wrong_wishes)
{
	struct dkim_sign_options o = { .kind = DKIM_MESSAGE, .domain = "a b", .selector = "s" };
	const char *why = NULL;

	ck_assert_ptr_null(dkim_signer_new(&o, "", 0, &why));
	o.domain = "made.test";
	for (size_t i = 0; i < 4; i++) {
		o.names = ((const char *[]){ "to:subject", "from; d=x", "from::to", "" })[i];
		ck_assert_ptr_null(dkim_signer_new(&o, "", 0, &why));
		ck_assert_ptr_nonnull(why);
	}
}
END_TEST

/* ---- chains ---- */

static void
on_arc(void *arg, const struct arc_finding *f)
{
	struct got *g = arg;

	ck_assert(!g->done);
	g->done = true;
	g->arc = *f;
}

static struct arc_finding
verify_arc(const char *message)
{
	size_t header = header_end(message, strlen(message));
	struct got g = { .done = false };
	struct arc *a = arc_start(dns, message, header, 300, on_arc, &g);

	arc_body(a, message + header, strlen(message + header));
	arc_end(a);
	ck_assert(!g.done);
	run_until(&g.done);
	return g.arc;
}

/* NULL when it must not be sealed. */
static char *
seal(EVP_PKEY *key, const char *message, enum arc_cv cv)
{
	struct dkim_sign_options o = { .algorithm = dkim_key_algorithm(key), .relaxed_header = true, .relaxed_body = true,
	    .domain = "made.test", .selector = "s", .now = 12345 };
	uint8_t hash[DKIM_HASH_BYTES], b[DKIM_SIGNATURE_BYTES];
	size_t header = header_end(message, strlen(message)), b_len;
	const char *why;
	struct arc_sealer *s = arc_sealer_new(&o, "mx.made.test", "spf=pass", cv, message, header, &why);
	char *fields, *all;

	if (s == NULL)
		return NULL;
	arc_sealer_body(s, message + header, strlen(message + header));
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

/* Fifty seals of one key: one question. The fifty-first is not made. */
START_TEST(long_chain)
{
	EVP_PKEY *key = make_key(0);
	char *message = strdup(rfc6376), *next;
	struct arc_finding f = verify_arc(message);

	ck_assert_int_eq(f.result, ARC_CV_NONE);
	for (unsigned i = 1; i <= ARC_SETS_MAX; i++) {
		next = seal(key, message, f.result);
		ck_assert_ptr_nonnull(next);
		free(message);
		message = next;
		fake.n_udp = fake.n_tcp = 0;
		f = verify_arc(message);
		ck_assert_msg(f.result == ARC_CV_PASS, "at %u: %s", f.at, f.why);
		ck_assert_uint_eq(f.sets, i);
		ck_assert_uint_le(fake.n_udp, 1);
	}
	ck_assert_ptr_null(seal(key, message, f.result));
	next = replaced(message, "i=7; mx.made.test", "i=7; mx.else.test");
	f = verify_arc(next);
	ck_assert_int_eq(f.result, ARC_CV_FAIL);
	free(next);
	free(message);
	EVP_PKEY_free(key);
}
END_TEST

/* A broken chain is sealed once more, saying so, and never again. */
START_TEST(broken_chain)
{
	EVP_PKEY *key = make_key(0);
	char *one = seal(key, rfc6376, ARC_CV_NONE), *changed = replaced(one, "We lost", "We won"), *two;
	struct arc_finding f = verify_arc(changed);

	ck_assert_int_eq(f.result, ARC_CV_FAIL);
	ck_assert_uint_eq(f.at, 1);
	two = seal(key, changed, f.result);
	ck_assert_ptr_nonnull(strstr(two, "cv=fail"));
	f = verify_arc(two);
	ck_assert_int_eq(f.result, ARC_CV_FAIL);
	ck_assert_uint_eq(f.at, 2);
	ck_assert_ptr_null(seal(key, two, f.result));
	free(two);
	free(changed);
	free(one);
	EVP_PKEY_free(key);
}
END_TEST

START_TEST(arc_cancelled)
{
	EVP_PKEY *key = make_key(0);
	char *one = seal(key, rfc6376, ARC_CV_NONE);
	struct got g = { .done = false };

	arc_cancel(arc_start(dns, one, header_end(one, strlen(one)), 0, on_arc, &g));
	arc_cancel(NULL);
	for (int i = 0; i < 20; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	ck_assert(!g.done);
	free(one);
	EVP_PKEY_free(key);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("dkim");

	tcase_add_checked_fixture(t, setup, fake_teardown);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, examples_of_the_rfcs);
	tcase_add_loop_test(t, changed_mail, 0, COUNT(changes));
	tcase_add_test(t, a_hundred_signatures);
	tcase_add_test(t, no_signature);
	tcase_add_test(t, cancelled);
	tcase_add_loop_test(t, what_is_signed_verifies, 0, COUNT(lengths));
	tcase_add_loop_test(t, keys_of_8_to_16384_bits, 0, COUNT(sizes));
	tcase_add_test(t, wrong_wishes);
	tcase_add_test(t, long_chain);
	tcase_add_test(t, broken_chain);
	tcase_add_test(t, arc_cancelled);
	return run_case("dkim", t);
}
