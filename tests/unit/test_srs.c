/*
 * SRS: there and back, over two forwarders, and everything that somebody could try with an address that he has seen.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "filters/srs.h"
#include "tests/unit/run.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define NOW	1795291200
#define DAY	86400

static const struct srs_secrets secrets = { { "new secret", "old secret" } };

START_TEST(test_there_and_back)
{
	static const char *const senders[] = { "user@example.com", "User+Tag@example.com", "\"a b\"@example.com", "a=b@example.com",
		"j\xc3\xb6rg@xn--bcher-kva.example", "srs@example.com", "SRS0x@example.com", "a@[192.0.2.1]", "a@b" };
	char out[ADDRESS_MAX], back[ADDRESS_MAX], second[ADDRESS_MAX], third[ADDRESS_MAX];

	for (size_t i = 0; i < COUNT(senders); i++) {
		ck_assert_int_eq(srs_forward(out, senders[i], "one.example", &secrets, NOW), SRS_OK);
		ck_assert_ptr_nonnull(strstr(out, "@one.example"));
		ck_assert_int_eq(srs_reverse(back, out, &secrets, NOW + 3 * DAY), SRS_OK);
		ck_assert_str_eq(back, senders[i]);
		/* A second and a third forwarder: bounces go straight to the first. */
		ck_assert_int_eq(srs_forward(second, out, "two.example", &secrets, NOW), SRS_OK);
		ck_assert_int_eq(srs_forward(third, second, "three.example", &secrets, NOW), SRS_OK);
		ck_assert_int_eq(srs_reverse(back, second, &secrets, NOW), SRS_OK);
		ck_assert_str_eq(back, out);
		ck_assert_int_eq(srs_reverse(back, third, &secrets, NOW), SRS_OK);
		ck_assert_str_eq(back, out);
	}
}
END_TEST

START_TEST(test_unchanged)
{
	char out[ADDRESS_MAX];

	ck_assert_int_eq(srs_forward(out, "", "one.example", &secrets, NOW), SRS_UNCHANGED);
	ck_assert_str_eq(out, "");
	ck_assert_int_eq(srs_forward(out, "a@ONE.example", "one.example", &secrets, NOW), SRS_UNCHANGED);
	ck_assert_str_eq(out, "a@one.example");
	ck_assert_int_eq(srs_reverse(out, "a@one.example", &secrets, NOW), SRS_UNCHANGED);
	ck_assert_str_eq(out, "a@one.example");
}
END_TEST

START_TEST(test_secrets)
{
	struct srs_secrets old = { { "old secret" } }, other = { { "other" } }, none = { { NULL } };
	char out[ADDRESS_MAX], back[ADDRESS_MAX];

	ck_assert_int_eq(srs_forward(out, "user@example.com", "one.example", &old, NOW), SRS_OK);
	ck_assert_int_eq(srs_reverse(back, out, &secrets, NOW), SRS_OK);
	ck_assert_int_eq(srs_reverse(back, out, &other, NOW), SRS_FORGED);
	ck_assert_int_eq(srs_reverse(back, out, &none, NOW), SRS_FORGED);
}
END_TEST

START_TEST(test_days)
{
	static const struct {
		int		 days;
		enum srs_result	 expected;
	} cases[] = {
		{ -2, SRS_EXPIRED }, { -1, SRS_OK }, { 0, SRS_OK }, { SRS_DAYS, SRS_OK }, { SRS_DAYS + 1, SRS_EXPIRED }, { 500, SRS_EXPIRED },
		{ 1022, SRS_EXPIRED },
	};
	char out[ADDRESS_MAX], back[ADDRESS_MAX];

	/* Over the end of the cycle too. */
	for (time_t start = NOW; start < NOW + 1024 * DAY; start += 100 * DAY)
		for (size_t i = 0; i < COUNT(cases); i++) {
			ck_assert_int_eq(srs_forward(out, "user@example.com", "one.example", &secrets, start), SRS_OK);
			ck_assert_int_eq(srs_reverse(back, out, &secrets, start + cases[i].days * DAY), cases[i].expected);
		}
}
END_TEST

/* Any change is noticed, but for letters' case. */
START_TEST(test_forged)
{
	char out[ADDRESS_MAX], back[ADDRESS_MAX], changed[ADDRESS_MAX];
	size_t end;

	ck_assert_int_eq(srs_forward(out, "user@example.com", "one.example", &secrets, NOW), SRS_OK);
	end = (size_t)(strchr(out, '@') - out);
	for (size_t i = 5; i < end; i++) {
		snprintf(changed, sizeof(changed), "%s", out);
		changed[i] = changed[i] == 'x' || changed[i] == 'X' ? 'y' : 'x';
		ck_assert_msg(srs_reverse(back, changed, &secrets, NOW) != SRS_OK, "%s", changed);
	}
	for (char *p = out; *p != '\0'; p++)
		if (*p >= 'A' && *p <= 'Z')
			*p |= 0x20;
	ck_assert_int_eq(srs_reverse(back, out, &secrets, NOW), SRS_OK);
	ck_assert_str_eq(back, "user@example.com");
}
END_TEST

START_TEST(test_malformed)
{
	static const struct {
		const char	*address;
		enum srs_result	 expected;
	} cases[] = {
		{ "SRS0=@one.example", SRS_MALFORMED }, { "SRS0=ABCDEF@one.example", SRS_MALFORMED }, { "SRS0==@one.example", SRS_FORGED },
		{ "SRS0=AB=CD=example.com=u@one.example", SRS_FORGED }, { "SRS1=ABCDEF=h==x@one.example", SRS_FORGED },
		{ "SRS0=ABCDEFGHIJKLMNOPQRSTUV=AA=e.example=u@one.example", SRS_FORGED }, { "SRS0", SRS_MALFORMED }, { "", SRS_MALFORMED },
	};
	char back[ADDRESS_MAX];

	for (size_t i = 0; i < COUNT(cases); i++)
		ck_assert_msg(srs_reverse(back, cases[i].address, &secrets, NOW) == cases[i].expected, "%s", cases[i].address);
	ck_assert_int_eq(srs_forward(back, "no address", "one.example", &secrets, NOW), SRS_MALFORMED);
	ck_assert_int_eq(srs_forward(back, "user@a-long-name-that-takes-its-room.of-a-long-domain.example.com", "one.example",
	    &secrets, NOW), SRS_TOO_LONG);
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("srs");

	tcase_add_test(tc, test_there_and_back);
	tcase_add_test(tc, test_unchanged);
	tcase_add_test(tc, test_secrets);
	tcase_add_test(tc, test_days);
	tcase_add_test(tc, test_forged);
	tcase_add_test(tc, test_malformed);
	return run_case("srs", tc);
}
