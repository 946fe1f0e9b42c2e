/*
 * What postmaster reads of a held message: CRLF lines of 7 bits, whatever strangers wrote.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "queue/notice.h"
#include "tests/unit/run.h"

START_TEST(clean_whatever_comes)
{
	struct notice n = { .hostname = "mx.example.org", .to = "postmaster@example.org", .id = "7K2QG", .held = "7K2QF",
	    .session = "YE9", .sender = "gr\xc3\xbc\xc3\x9f@example.net\r\nBcc: x", .rcpt = "anna@example.org", .why = "it was so",
	    .now = 1795288294, .arrived = 1795288200, .size = 1234 };
	size_t len;
	char *text;

	setenv("TZ", "UTC0", 1);
	text = notice_write(&n, &len);
	ck_assert_uint_eq(len, strlen(text));
	for (size_t i = 0; i < len; i++) {
		ck_assert((unsigned char)text[i] < 0x80);
		ck_assert(text[i] != '\n' || (i > 0 && text[i - 1] == '\r'));
		ck_assert(text[i] != '\r' || text[i + 1] == '\n');
	}
	ck_assert(strncmp(text, "Date: Sat, 21 Nov 2026 19:11:34 +0000\r\n", 39) == 0);
	ck_assert_ptr_nonnull(strstr(text, "\r\nAuto-Submitted: auto-generated\r\n"));
	ck_assert_ptr_nonnull(strstr(text, "\r\nTo: <postmaster@example.org>\r\n"));
	ck_assert_ptr_nonnull(strstr(text, "minimtactl queue release 7K2QF\r\n"));
	ck_assert_ptr_nonnull(strstr(text, "it was so.\r\n"));
	ck_assert_ptr_null(strstr(text, "\r\nBcc"));
	free(text);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("notice");

	tcase_add_test(t, clean_whatever_comes);
	return run_case("notice", t);
}
