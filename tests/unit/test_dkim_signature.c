/*
 * Tag-lists, signatures and key records: what is read, and what each mistake is called.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filters/dkim_signature.h"
#include "lib/header.h"
#include "tests/unit/run.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define BH	"bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=; "
#define OK	"v=1; a=rsa-sha256; d=example.org; s=sel; h=from:to; b=AAAA; " BH

static const struct {
	const char	*text;		/* between two tags: spaces around bars are not shown */
	const char	*tags;		/* "name|value name|value", or "-" */
} lists[] = {
	{ "", "" },
	{ "a=b", "a|b " },
	{ "a=b;", "a|b " },
	{ " a = b ; \r\n", "a|b " },
	{ "a=b;c=d e\r\n\tf", "a|b c|d e\r\n\tf " },
	{ "a=;b==", "a| b|= " },
	{ "a_1=x", "a_1|x " },
	{ ";", "-" },
	{ "a=b;;c=d", "a|b -" },
	{ "a", "-" },
	{ "=b", "-" },
	{ "1a=b", "-" },
	{ "a b=c", "-" },
	{ "a=\x01", "-" },
	{ "a=\x7f", "-" },
	{ "a=\xc3\xa4", "a|\xc3\xa4 " },
};

START_TEST(tag_lists)
{
	const char *text = lists[_i].text;
	struct dkim_tag tag;
	char got[200] = "";
	size_t at = 0, n = 0;
	int found;

	while ((found = dkim_tag_next(text, strlen(text), &at, &tag)) == 1)
		n += (size_t)snprintf(got + n, sizeof(got) - n, "%.*s|%.*s ", (int)tag.name_len, tag.name, (int)tag.value_len,
		    tag.value);
	if (found == -1)
		strncat(got, "-", 2);
	ck_assert_str_eq(got, lists[_i].tags);
}
END_TEST

static const struct {
	enum dkim_kind	 kind;
	const char	*value;
	enum dkim_result result;
	const char	*why;		/* a part of it */
} signatures[] = {
	{ DKIM_MESSAGE, OK, DKIM_PASS, "" },
	{ DKIM_MESSAGE, OK "unknown=x", DKIM_PASS, "" },
	{ DKIM_MESSAGE, OK "c=relaxed", DKIM_PASS, "" },
	{ DKIM_MESSAGE, OK "c=relaxed/simple; q=dns/txt; l=10; t=1; x=2; i=@a.example.org", DKIM_PASS, "" },
	{ DKIM_MESSAGE, OK "q=other:dns/txt", DKIM_PASS, "" },
	{ DKIM_MESSAGE, "", DKIM_NEUTRAL, "no d=" },
	{ DKIM_MESSAGE, OK "d=other.org", DKIM_NEUTRAL, "twice" },
	{ DKIM_MESSAGE, OK "c=nowsp", DKIM_NEUTRAL, "c=" },
	{ DKIM_MESSAGE, OK "c=relaxed/", DKIM_NEUTRAL, "c=" },
	{ DKIM_MESSAGE, OK "c=", DKIM_NEUTRAL, "c=" },
	{ DKIM_MESSAGE, OK "q=dns", DKIM_NEUTRAL, "q=" },
	{ DKIM_MESSAGE, OK "l=-1", DKIM_NEUTRAL, "l=" },
	{ DKIM_MESSAGE, OK "l=", DKIM_NEUTRAL, "l=" },
	{ DKIM_MESSAGE, OK "l=9999999999999999999", DKIM_NEUTRAL, "l=" },
	{ DKIM_MESSAGE, OK "t=", DKIM_NEUTRAL, "t=" },
	{ DKIM_MESSAGE, OK "x=tomorrow", DKIM_NEUTRAL, "x=" },
	{ DKIM_MESSAGE, OK "t=20; x=10", DKIM_NEUTRAL, "x= is before t=" },
	{ DKIM_MESSAGE, OK "i=@example.com", DKIM_NEUTRAL, "not in the domain" },
	{ DKIM_MESSAGE, OK "i=@anexample.org", DKIM_NEUTRAL, "not in the domain" },
	{ DKIM_MESSAGE, OK "i=nobody", DKIM_NEUTRAL, "i=" },
	{ DKIM_MESSAGE, "v=2; a=rsa-sha256; d=a.b; s=s; h=from; b=AAAA; " BH, DKIM_NEUTRAL, "version" },
	{ DKIM_MESSAGE, "a=rsa-sha256; d=a.b; s=s; h=from; b=AAAA; " BH, DKIM_NEUTRAL, "no v=" },
	{ DKIM_MESSAGE, "v=1; a=rsa-md5; d=a.b; s=s; h=from; b=AAAA; " BH, DKIM_NEUTRAL, "algorithm" },
	{ DKIM_MESSAGE, "v=1; a=RSA-SHA256; d=a.b; s=s; h=from; b=AAAA; " BH, DKIM_NEUTRAL, "algorithm" },
	{ DKIM_MESSAGE, "v=1; a=rsa-sha1; d=a.b; s=s; h=from; b=AAAA; bh=bIxxaeIQvmOBdTAitYfSNFgzPP4=", DKIM_POLICY, "sha1" },
	{ DKIM_MESSAGE, "v=1; a=rsa-sha256; d=a.b; s=s; h=to; b=AAAA; " BH, DKIM_PERMERROR, "From" },
	{ DKIM_MESSAGE, "v=1; a=rsa-sha256; d=a.b; s=s; h=; b=AAAA; " BH, DKIM_NEUTRAL, "h=" },
	{ DKIM_MESSAGE, "v=1; a=rsa-sha256; d=a.b; s=s; h=FROM; b=; " BH, DKIM_NEUTRAL, "b=" },
	{ DKIM_MESSAGE, "v=1; a=rsa-sha256; d=a.b; s=s; h=from; b=A!AA; " BH, DKIM_NEUTRAL, "b=" },
	{ DKIM_MESSAGE, "v=1; a=rsa-sha256; d=a.b; s=s; h=from; b=AAAA; bh=AAAA", DKIM_NEUTRAL, "bh=" },
	{ DKIM_MESSAGE, "v=1; a=rsa-sha256; d=; s=s; h=from; b=AAAA; " BH, DKIM_NEUTRAL, "d=" },
	{ DKIM_MESSAGE, "v=1; a=rsa-sha256; d=***; s=s; h=from; b=AAAA; " BH, DKIM_NEUTRAL, "d=" },
	{ DKIM_MESSAGE, "v=1; a=rsa-sha256; d=a..b; s=s; h=from; b=AAAA; " BH, DKIM_NEUTRAL, "d=" },
	{ DKIM_MESSAGE, "v=1; a=rsa-sha256; d=a.b; s=.; h=from; b=AAAA; " BH, DKIM_NEUTRAL, "s=" },
	{ ARC_MESSAGE, "i=1; a=rsa-sha256; d=a.b; s=s; h=; b=AAAA; " BH, DKIM_PASS, "" },
	{ ARC_MESSAGE, "i=51; a=rsa-sha256; d=a.b; s=s; h=from; b=AAAA; " BH, DKIM_NEUTRAL, "i=" },
	{ ARC_MESSAGE, "i=1; a=rsa-sha256; d=a.b; s=s; h=from:ARC-Seal; b=AAAA; " BH, DKIM_PERMERROR, "ARC-Seal" },
	{ ARC_SEAL, "i=1; a=rsa-sha256; d=a.b; s=s; cv=none; b=AAAA", DKIM_PASS, "" },
	{ ARC_SEAL, "i=1; a=rsa-sha256; d=a.b; s=s; cv=none; b=AAAA; h=from", DKIM_NEUTRAL, "h=" },
	{ ARC_SEAL, "i=1; a=rsa-sha256; d=a.b; s=s; cv=None; b=AAAA", DKIM_NEUTRAL, "cv=" },
	{ ARC_SEAL, "i=1; a=rsa-sha256; d=a.b; s=s; b=AAAA", DKIM_NEUTRAL, "cv=" },
	{ ARC_SEAL, "a=rsa-sha256; d=a.b; s=s; cv=none; b=AAAA", DKIM_NEUTRAL, "i=" },
};

START_TEST(signatures_are_read)
{
	const char *value = signatures[_i].value, *why;
	struct header_field f = { .name = value, .value = value, .value_len = strlen(value) };
	struct dkim_signature s;

	ck_assert_int_eq(dkim_signature_parse(&s, signatures[_i].kind, &f, &why), signatures[_i].result);
	ck_assert_msg(strstr(why, signatures[_i].why) != NULL, "%s: %s", value, why);
}
END_TEST

START_TEST(what_a_signature_says)
{
	static const char value[] = " v=1; a=ed25519-sha256; c=simple/relaxed; d=Example.ORG; s=a.b_c; i=x@y@sub.example.org;\r\n"
	    "\th= From : To\r\n\t:: Subject ; b = AA\r\n AA ; l=12; t=5; x=7; " BH;
	struct header_field f = { .name = value, .value = value, .value_len = strlen(value) };
	struct dkim_signature s;
	const char *why, *name;
	char names[100] = "", key[DKIM_KEY_NAME_MAX + 1];
	size_t at = 0, len;

	ck_assert_int_eq(dkim_signature_parse(&s, DKIM_MESSAGE, &f, &why), DKIM_PASS);
	ck_assert_str_eq(s.domain, "example.org");
	ck_assert_str_eq(s.identity_domain, "sub.example.org");
	ck_assert_str_eq(dkim_key_name(key, &s), "a.b_c._domainkey.example.org");
	ck_assert(!s.relaxed_header && s.relaxed_body && s.limited);
	ck_assert_uint_eq(s.limit, 12);
	ck_assert_int_eq(s.made, 5);
	ck_assert_int_eq(s.expires, 7);
	ck_assert_uint_eq(s.b_len, 3);
	ck_assert_mem_eq(value + s.b_at, " AA\r\n AA ;", 10);
	ck_assert_uint_eq(s.b_end - s.b_at, 9);
	while (dkim_signature_name(&s, &at, &name, &len))
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%.*s.", (int)len, name);
	ck_assert_str_eq(names, "From.To.Subject.");
	ck_assert(dkim_signature_signs(&s, "subject") && !dkim_signature_signs(&s, "sub"));
}
END_TEST

static const struct {
	const char	*text;
	bool		 right;
	size_t		 len;
	bool		 same_domain, testing;
	enum dkim_algorithm algorithm;
} keys[] = {
	{ "v=DKIM1; k=rsa; p=AAAA", true, 3, false, false, DKIM_RSA_SHA256 },
	{ "p=AA==", true, 1, false, false, DKIM_RSA_SHA256 },
	{ "v=DKIM1;k=ed25519;t=y:s;s=email;h=sha1:sha256;n=x y;p=AA AA", true, 3, true, true, DKIM_ED25519_SHA256 },
	{ "v=DKIM1; p=", true, 0, false, false, DKIM_RSA_SHA256 },
	{ "v=DKIM1; p=;", true, 0, false, false, DKIM_RSA_SHA256 },
	{ "v=DKIM1; s=*; p=AAAA; future=1", true, 3, false, false, DKIM_RSA_SHA256 },
	{ "v=DKIM2; p=AAAA", false, 0, false, false, 0 },
	{ "p=AAAA; v=DKIM1", false, 0, false, false, 0 },
	{ "v=DKIM1; k=rsa; omgwhatsgoingon", false, 0, false, false, 0 },
	{ "v=DKIM1; k=rsa", false, 0, false, false, 0 },
	{ "v=DKIM1; k=dsa; p=AAAA", false, 0, false, false, 0 },
	{ "v=DKIM1; h=sha1; p=AAAA", false, 0, false, false, 0 },
	{ "v=DKIM1; s=tlsrpt; p=AAAA", false, 0, false, false, 0 },
	{ "v=DKIM1; p=A", false, 0, false, false, 0 },
	{ "v=DKIM1; p=AAAA; p=AAAA", false, 0, false, false, 0 },
	{ "v=spf1 -all", false, 0, false, false, 0 },
	{ "", false, 0, false, false, 0 },
};

START_TEST(keys_are_read)
{
	struct dkim_key_record k;
	const char *why;

	ck_assert_int_eq(dkim_key_parse(&k, keys[_i].text, strlen(keys[_i].text), &why),
	    keys[_i].right ? DKIM_PASS : DKIM_PERMERROR);
	if (!keys[_i].right)
		return;
	ck_assert_uint_eq(k.len, keys[_i].len);
	ck_assert_int_eq(k.same_domain, keys[_i].same_domain);
	ck_assert_int_eq(k.testing, keys[_i].testing);
	ck_assert_int_eq(k.algorithm, keys[_i].algorithm);
}
END_TEST

static const struct {
	const char	*text, *bytes;	/* NULL: none */
} base64s[] = {
	{ "", "" }, { "Zg==", "f" }, { "Zm8=", "fo" }, { "Zm9v", "foo" }, { "Z m\r\n\t9v", "foo" }, { "Zm9vYg==", "foob" },
	{ "Zg=", NULL }, { "Zg", NULL }, { "Z", NULL }, { "Z===", NULL }, { "Zg==Zg==", NULL }, { "Zm9v=", NULL }, { "Zm-_", NULL },
	{ "Zm9vYmFyZm9v", NULL },		/* more than there is room for */
};

START_TEST(base64)
{
	uint8_t to[8];
	int n = dkim_base64(to, sizeof(to), base64s[_i].text, strlen(base64s[_i].text));

	ck_assert_int_eq(n, base64s[_i].bytes != NULL ? (int)strlen(base64s[_i].bytes) : -1);
	if (n > 0)
		ck_assert_mem_eq(to, base64s[_i].bytes, (size_t)n);
}
END_TEST

static const struct {
	const char	*value;
	unsigned	 instance;
} results[] = {
	{ " i=1; example.org; spf=pass", 1 }, { "i = 50 ;x; none", 50 }, { " i=0; x", 0 }, { " i=51; x", 0 }, { " i=1 x; y", 0 },
	{ " x; i=1; y", 0 }, { " i=; x", 0 }, { "", 0 }, { " i=1", 0 }, { " i=001; x", 0 },
};

START_TEST(results_have_an_instance)
{
	struct header_field f = { .value = results[_i].value, .value_len = strlen(results[_i].value) };

	ck_assert_uint_eq(arc_results_instance(&f), results[_i].instance);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("dkim_signature");

	tcase_add_loop_test(t, tag_lists, 0, COUNT(lists));
	tcase_add_loop_test(t, signatures_are_read, 0, COUNT(signatures));
	tcase_add_test(t, what_a_signature_says);
	tcase_add_loop_test(t, keys_are_read, 0, COUNT(keys));
	tcase_add_loop_test(t, base64, 0, COUNT(base64s));
	tcase_add_loop_test(t, results_have_an_instance, 0, COUNT(results));
	return run_case("dkim_signature", t);
}
