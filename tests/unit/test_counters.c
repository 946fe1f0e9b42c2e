/* logger/counters.c and counters_text.c: what counts as what, and that all of it is there again after a restart. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "filters/decision.h"
#include "logger/counters.h"
#include "tests/unit/run.h"

#define NOON	1795262400	/* Saturday 21 November 2026, 12:00 UTC */

static void
count(struct counters *c, time_t now, const char *text)
{
	char line[600];
	struct pairs ps;

	snprintf(line, sizeof(line), "%s", text);
	pairs_cut(&ps, line + 2);
	counters_line(c, now, line[0], &ps);
}

static char *
print(const struct counters *c, size_t *len)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, len);

	counters_print(c, f);
	fclose(f);
	return text;
}

static const struct { const char *line, *there; } lines[] = {
	{ "L p=smtpd session=A event=session", "sessions=1" },
	{ "L p=smtpd session=A event=message msg=B from=a@Client.Example code=250", "row domain=client.example at=20778 accepted=1" },
	{ "L p=smtpd session=A event=message msg=B from=\"\" code=250", "row domain=<> at=20778 accepted=1" },
	{ "L p=smtpd session=A event=message msg=B from=a@client.example code=250", "day at=20778 accepted=1" },
	{ "L p=smtpd session=A event=message msg=- from=a@client.example code=451", "since=0" },
	{ "L p=smtpd session=A event=refused code=550 text=\"No such recipient here\"", "row reason=\"550 No such recipient here\" at=20778 n=1" },
	{ "L p=smtpd session=A event=refused code=550 text=\"No such recipient here\"", "hour at=498684 refused=1" },
	{ "L p=smtpd session=A event=refused code=451 text=\"Not now, 17\"", "hour at=498684 put_off=1" },
	{ "L p=smtpd session=A event=refused code=500 text=\"No such command\"", "since=0" },
	{ "L p=smtpd session=A event=refused code=550 text=\"It is listed (see 7K2QF)\"", "since=0" },
	{ "L p=queue msg=B event=delivered to=x@dest.example delay=7", "row domain=dest.example at=20778 delivered=1" },
	{ "L p=queue msg=B event=delivered to=x@dest.example delay=7", "spread of=delay at=20778 ms=46:1" },
	{ "L p=mda msg=B event=delivered to=x@dest.example", "since=0" },
	{ "L p=smtpd msg=B event=delivered to=x@dest.example", "since=0" },
	{ "L p=queue msg=B event=deferred to=x@dest.example status=4.4.1", "row reason=\"deferred 4.4.1\" at=20778 n=1" },
	{ "L p=queue msg=B event=expired to=x@dest.example status=4.4.1", "row domain=dest.example at=20778 failed=1" },
	{ "L p=queue msg=C event=bounce parent=B to=a@client.example", "bounces=1" },
	{ "D outcome=refuse filter=spf from=a@client.example", "row filter=spf at=20778 refused=1" },
	{ "D outcome=refuse filter=spf from=a@client.example", "row domain=client.example at=20778 refused=1" },
	{ "D outcome=defer filter=greylist", "row filter=greylist at=20778 put_off=1" },
	{ "D outcome=pass quarantine=yes", "day at=20778 quarantined=1" },
	{ "D outcome=pass", "since=0" },
	{ "D outcome=pass filter=spf tagged=yes", "row filter=spf at=20778 observed=1" },
	{ "F filter=dkim mode=observe asks=refuse", "row filter=dkim at=20778 observed=1" },
	{ "F filter=dkim mode=enforce asks=refuse mark=exempt", "row filter=dkim at=20778 exempt=1" },
	{ "F filter=dkim mode=enforce asks=refuse mark=counted", "since=0" },
	{ "S waited=0 end=early-talker", "row filter=early at=20778 refused=1" },
	{ "S waited=0 end=pipelining", "row filter=pipelining at=20778 refused=1" },
	{ "S waited=6000", "spread of=waited at=20778 ms=45:1" },
};

START_TEST(what_counts)
{
	struct counters *c = counters_new();
	size_t len;
	char *text;

	count(c, NOON, lines[_i].line);
	text = print(c, &len);
	ck_assert_msg(strstr(text, lines[_i].there) != NULL, "%s is not in:\n%s", lines[_i].there, text);
	free(text);
	counters_free(c);
}
END_TEST

START_TEST(there_and_back)
{
	struct counters *c = counters_new(), *d = counters_new();
	char *text, *copy, *again;
	size_t len, len_again;

	for (int day = 0; day < 50; day++)
		for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
			count(c, NOON + day * 86400 + (time_t)i * 1800, lines[i].line);
	text = print(c, &len);
	copy = strdup(text);
	ck_assert_int_eq(counters_read(d, copy, len), 0);
	again = print(d, &len_again);
	ck_assert_str_eq(text, again);
	free(text);
	free(copy);
	free(again);
	counters_free(c);
	counters_free(d);
}
END_TEST

/* Whatever of it is damaged: all of it is begun anew. */
START_TEST(damaged)
{
	struct counters *c = counters_new(), *d = counters_new();
	char *text, *copy, *empty;
	size_t len, len_empty;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		count(c, NOON, lines[i].line);
	text = print(c, &len);
	for (size_t i = 0; i < len; i += 7) {
		copy = malloc(len + 1);
		memcpy(copy, text, len + 1);
		copy[i] ^= 1;
		ck_assert_int_eq(counters_read(d, copy, len), -1);
		memcpy(copy, text, len + 1);
		ck_assert_int_eq(counters_read(d, copy, i), -1);
		free(copy);
	}
	free(text);
	empty = print(d, &len_empty);
	ck_assert_ptr_ne(strstr(empty, "since=0"), NULL);
	free(empty);
	counters_free(c);
	counters_free(d);
}
END_TEST

/* A stranger names ten thousand domains: the one with much mail stays, and no mail is lost from the sum. */
START_TEST(many_domains)
{
	struct counters *c = counters_new();
	unsigned long sum = 0, n;
	char line[200], *text;
	size_t len;

	for (int i = 0; i < 100; i++)
		count(c, NOON, "L p=smtpd session=A event=message from=a@good.example code=250");
	for (int i = 0; i < 2000; i++) {
		snprintf(line, sizeof(line), "D outcome=refuse filter=spf from=a@d%d.example", i);
		count(c, NOON, line);
	}
	text = print(c, &len);
	ck_assert_ptr_ne(strstr(text, "row domain=good.example at=20778 accepted=100"), NULL);
	for (const char *p = text; (p = strstr(p, "row domain=")) != NULL; p++)
		if (sscanf(p, "row domain=%*s at=20778 refused=%lu", &n) == 1)
			sum += n;
	ck_assert_uint_eq(sum, 2000);
	ck_assert_uint_lt(len, 100 * 1024);
	free(text);
	counters_free(c);
}
END_TEST

/* The finding behind it says who marked a message; and only once. */
START_TEST(marked)
{
	struct counters *c = counters_new();
	char text[200];

	count(c, NOON, "F filter=dmarc mode=enforce asks=quarantine");
	counters_status(c, NOON, text, sizeof(text));
	ck_assert_str_eq(text, "");
	count(c, NOON, "D outcome=pass quarantine=yes");
	count(c, NOON, "F filter=spf mode=enforce asks=defer");
	count(c, NOON, "F filter=dmarc mode=enforce asks=quarantine");
	count(c, NOON, "F filter=dkim mode=enforce asks=quarantine");
	counters_status(c, NOON, text, sizeof(text));
	ck_assert_str_eq(text, " quarantined_dmarc=1 quarantined_dmarc_today=1");
	counters_free(c);
}
END_TEST

START_TEST(status)
{
	struct counters *c = counters_new();
	char text[500];

	count(c, NOON - 2 * 86400, "D outcome=refuse filter=spf");
	count(c, NOON, "D outcome=refuse filter=spf");
	count(c, NOON, "D outcome=defer filter=greylist");
	counters_status(c, NOON, text, sizeof(text));
	ck_assert_str_eq(text, " refused_spf=2 refused_spf_today=1 put_off_greylist=1 put_off_greylist_today=1");
	counters_status(c, NOON + 32 * 86400, text, sizeof(text));
	ck_assert_str_eq(text, "");
	counters_free(c);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("counters");

	setenv("TZ", "UTC", 1);
	tcase_add_loop_test(t, what_counts, 0, (int)(sizeof(lines) / sizeof(lines[0])));
	tcase_add_test(t, there_and_back);
	tcase_add_test(t, damaged);
	tcase_add_test(t, many_domains);
	tcase_add_test(t, marked);
	tcase_add_test(t, status);
	return run_case("counters", t);
}
