/*
 * Received-SPF: what it says, and that nothing a stranger says gets out of its place in it.
 */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "filters/spf_received.h"
#include "tests/unit/run.h"

START_TEST(test_plain)
{
	char to[SPF_RECEIVED_MAX];
	struct spf_received r = { .code = SPF_PASS, .reason = "ip4:192.0.2.0/24 of example.com", .client = "192.0.2.1",
		.sender = "a@example.com", .helo_name = "mail.example.com", .receiver = "mx.example.org" };

	ck_assert_uint_eq(spf_received_write(to, &r), strlen(to));
	ck_assert_str_eq(to, "Received-SPF: pass\r\n\t(ip4:192.0.2.0/24 of example.com)\r\n\tclient-ip=192.0.2.1;\r\n"
	    "\tenvelope-from=\"a@example.com\";\r\n\thelo=mail.example.com;\r\n\treceiver=mx.example.org; identity=mailfrom\r\n");
	r.helo = true;
	r.client = "2001:db8::1";
	r.sender = "";
	spf_received_write(to, &r);
	ck_assert_ptr_nonnull(strstr(to, "client-ip=\"2001:db8::1\";\r\n\tenvelope-from=\"\";"));
	ck_assert_ptr_nonnull(strstr(to, " identity=helo\r\n"));
}
END_TEST

START_TEST(test_strangers)
{
	char to[SPF_RECEIVED_MAX];
	struct spf_received r = { .code = SPF_FAIL, .reason = "x) pass (y\\", .client = "192.0.2.1",
		.sender = "\"a\\\"\r\nX-Evil: 1\"@example.com", .helo_name = "h\xc3\xb6; identity=mailfrom", .receiver = "mx.example.org" };

	spf_received_write(to, &r);
	ck_assert_ptr_nonnull(strstr(to, "(x\\) pass \\(y\\\\)\r\n"));
	ck_assert_ptr_nonnull(strstr(to, "envelope-from=\"\\\"a\\\\\\\"??X-Evil: 1\\\"@example.com\";\r\n"));
	ck_assert_ptr_nonnull(strstr(to, "helo=\"h??; identity=mailfrom\";\r\n"));
}
END_TEST

/* The longest there can be: whole, and no line over 998. */
START_TEST(test_long)
{
	char to[SPF_RECEIVED_MAX], odd[1000];
	struct spf_received r = { .code = SPF_PERMERROR, .reason = odd, .client = "2001:db8:1111:2222:3333:4444:5555:6666",
		.sender = odd, .helo_name = odd, .receiver = "mx.example.org" };
	static const char last[] = "receiver=mx.example.org; identity=mailfrom\r\n";
	size_t n;

	memset(odd, '\\', sizeof(odd) - 1);
	odd[sizeof(odd) - 1] = '\0';
	n = spf_received_write(to, &r);
	ck_assert_str_eq(to + n - strlen(last), last);
	for (const char *line = to; *line != '\0'; line = strstr(line, "\r\n") + 2)
		ck_assert_int_le(strstr(line, "\r\n") - line, 998);
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("spf_received");

	tcase_add_test(tc, test_plain);
	tcase_add_test(tc, test_strangers);
	tcase_add_test(tc, test_long);
	return run_case("spf_received", tc);
}
