/*
 * DMARC records: what is one, what its tags say, and what of a bad one is left (RFC 9989, 4.7, 4.8 and 4.10.1).
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filters/dmarc_record.h"
#include "tests/unit/run.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* All that was read, in one line; "-" for no record. */
static const char *
describe(const char *text)
{
	static char line[256];
	static const char psd[] = "uny";
	struct dmarc_record r;
	bool applies;

	if (dmarc_record_parse(&r, text, strlen(text)) == -1)
		return "-";
	applies = dmarc_record_applies(&r);
	snprintf(line, sizeof(line), "p=%s%s%s%s%s psd=%c adkim=%c aspf=%c t=%c rua=%u%s", dmarc_policy_name(r.p),
	    r.has_sp ? " sp=" : "", r.has_sp ? dmarc_policy_name(r.sp) : "", r.has_np ? " np=" : "",
	    r.has_np ? dmarc_policy_name(r.np) : "", psd[r.psd], r.strict_dkim ? 's' : 'r', r.strict_spf ? 's' : 'r',
	    r.test ? 'y' : 'n', r.rua, applies ? "" : " never");
	return line;
}

static const struct {
	const char *text, *want;
} records[] = {
	/* a record or none: v comes first, its value counts to the letter */
	{ "v=DMARC1; p=none", "p=none psd=u adkim=r aspf=r t=n rua=0" },
	{ "v=DMARC1;p=reject", "p=reject psd=u adkim=r aspf=r t=n rua=0" },
	{ "V = DMARC1 ; P = Reject ;", "p=reject psd=u adkim=r aspf=r t=n rua=0" },
	{ "v=DMARC1\t;\tp\t=\tquarantine\t;", "p=quarantine psd=u adkim=r aspf=r t=n rua=0" },
	{ "v=dmarc1; p=none", "-" },
	{ "v=DMARC2; p=none", "-" },
	{ "v=DMARC1a; p=none", "-" },
	{ "v=DMARC1 p=none", "-" },
	{ " v=DMARC1; p=none", "-" },
	{ "p=none; v=DMARC1", "-" },
	{ "; v=DMARC1; p=none", "-" },
	{ "v=spf1 -all", "-" },
	{ "v", "-" },
	{ "", "-" },
	/* all tags */
	{ "v=DMARC1; p=reject; sp=quarantine; np=none; adkim=s; aspf=s; psd=n; t=y; rua=mailto:d@example.com",
	    "p=reject sp=quarantine np=none psd=n adkim=s aspf=s t=y rua=1" },
	{ "v=DMARC1; p=none; psd=y", "p=none psd=y adkim=r aspf=r t=n rua=0" },
	{ "v=DMARC1; p=none; psd=Y; t=Y; adkim=S; aspf=S", "p=none psd=y adkim=s aspf=s t=y rua=0" },
	{ "v=DMARC1; t=y; p=reject", "p=reject psd=u adkim=r aspf=r t=y rua=0" },
	/* what RFC 9989 took out, and what nobody knows */
	{ "v=DMARC1; p=reject; pct=10; ri=3600; rf=afrf; fo=1:d", "p=reject psd=u adkim=r aspf=r t=n rua=0" },
	{ "v=DMARC1; p=reject; zz=1; =; ;; x", "p=reject psd=u adkim=r aspf=r t=n rua=0" },
	/* mistakes: the default instead */
	{ "v=DMARC1; p=reject; adkim=x; aspf=strict; psd=q; t=1", "p=reject psd=u adkim=r aspf=r t=n rua=0" },
	/* of a tag that comes twice the first counts */
	{ "v=DMARC1; p=reject; p=none", "p=reject psd=u adkim=r aspf=r t=n rua=0" },
	{ "v=DMARC1; p=reject; psd=n; psd=y", "p=reject psd=n adkim=r aspf=r t=n rua=0" },
	/* 4.7: without p it is none, for what sp and np do not say */
	{ "v=DMARC1", "p=none psd=u adkim=r aspf=r t=n rua=0" },
	{ "v=DMARC1; sp=reject; np=quarantine", "p=none sp=reject np=quarantine psd=u adkim=r aspf=r t=n rua=0" },
	/* 4.10.1: a policy that is none */
	{ "v=DMARC1; rua=mailto:d@example.com", "p=none psd=u adkim=r aspf=r t=n rua=1" },
	{ "v=DMARC1; p=rejected", "p=none psd=u adkim=r aspf=r t=n rua=0 never" },
	{ "v=DMARC1; p=; rua=mailto:d@example.com", "p=none psd=u adkim=r aspf=r t=n rua=1" },
	{ "v=DMARC1; p=reject; sp=all", "p=none psd=u adkim=r aspf=r t=n rua=0 never" },
	{ "v=DMARC1; p=reject; np=all; sp=reject; rua=mailto:d@example.com", "p=none psd=u adkim=r aspf=r t=n rua=1" },
	/* reports: only valid ones count, an old limit of size is passed over */
	{ "v=DMARC1; p=none; rua=mailto:a@example.com,mailto:b@example.com!10m , https://r.example.com/in",
	    "p=none psd=u adkim=r aspf=r t=n rua=3" },
	{ "v=DMARC1; p=none; rua=a@example.com,mailto:,mailto:x,mailto:@b,mailto:a@,,:x,mailto:a b@c",
	    "p=none psd=u adkim=r aspf=r t=n rua=0" },
};

START_TEST(test_records)
{
	ck_assert_msg(strcmp(describe(records[_i].text), records[_i].want) == 0, "%s\n  is   %s\n  want %s", records[_i].text,
	    describe(records[_i].text), records[_i].want);
}
END_TEST

START_TEST(test_bytes)
{
	static const char nul[] = "v=DMARC1; p=reject\0; sp=none", high[] = "v=DMARC1; p=none; \xff\xfe=\x80; sp=reject";
	struct dmarc_record r;

	ck_assert_int_eq(dmarc_record_parse(&r, nul, sizeof(nul) - 1), 0);
	ck_assert(r.bad_policy && r.has_sp);
	ck_assert_int_eq(dmarc_record_parse(&r, high, sizeof(high) - 1), 0);
	ck_assert(!r.bad_policy && r.has_sp);
	ck_assert_int_eq(dmarc_record_parse(&r, NULL, 0), -1);
}
END_TEST

START_TEST(test_test_mode)
{
	ck_assert_int_eq(dmarc_policy_lower(DMARC_POLICY_REJECT), DMARC_POLICY_QUARANTINE);
	ck_assert_int_eq(dmarc_policy_lower(DMARC_POLICY_QUARANTINE), DMARC_POLICY_NONE);
	ck_assert_int_eq(dmarc_policy_lower(DMARC_POLICY_NONE), DMARC_POLICY_NONE);
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("dmarc_record");

	tcase_add_loop_test(tc, test_records, 0, COUNT(records));
	tcase_add_test(tc, test_bytes);
	tcase_add_test(tc, test_test_mode);
	return run_case("dmarc_record", tc);
}
