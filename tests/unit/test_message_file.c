/*
 * queue/message_file.c: a message as a file and back, and files that are none.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/dsn.h"
#include "queue/message_file.h"
#include "tests/unit/run.h"

static char *
written(const struct log_envelope *e)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	message_file_write(f, e);
	fclose(f);
	return text;
}

START_TEST(there_and_back)
{
	struct log_envelope_rcpt rcpts[] = {
		{ .rcpt = { .address = (char *)"\"a b\"@x.example", .notify = DSN_SUCCESS | DSN_DELAY, .orcpt = (char *)"rfc822;a%b@y",
		    .hop = (char *)"relay:h:25" }, .state = LOG_HELD, .attempts = 3, .next_try = 99, .text = "code=450 \xc3\xb6 later",
		    .past = "1 2\tfirst\n0\tzeroth\n", .at = 77, .marks = 5 },
		{ .rcpt = { .address = (char *)"gone@x.example" }, .state = LOG_DELIVERED, .text = "", .past = "" },
		{ .rcpt = { .address = (char *)"-odd@x.example", .local = true, .final = true }, .state = LOG_OPEN, .text = "", .past = "" },
	};
	struct log_envelope e = { .message = { .id = 1 << 25 | 5, .arrived = 1800000000, .size = 12, .n_rcpts = 3 },
	    .sender = { .address = (char *)"", .client = (char *)"192.0.2.1 (h e l o)", .session = (char *)"S1", .session_id = UINT64_MAX,
	    .size = 12, .flags = ENVELOPE_UTF8 | ENVELOPE_TRUSTED, .envid = (char *)"id 7", .ret = DSN_RET_HDRS },
	    .head = "Received: from x\r\n\tby y; today\r\n", .rcpts = rcpts };
	char *text = written(&e), why[200];
	struct message_file m;

	ck_assert_ptr_nonnull(strstr(text, "\ncontent 12\n\n"));
	ck_assert_msg(message_file_parse(&m, text, why, sizeof(why)) == 0, "%s", why);
	ck_assert_int_eq(m.arrived, 1800000000);
	ck_assert_uint_eq(m.size, 12);
	ck_assert_str_eq(m.sender.address, "");
	ck_assert_str_eq(m.sender.client, "192.0.2.1 (h e l o)");
	ck_assert_uint_eq(m.sender.session_id, UINT64_MAX);
	ck_assert_uint_eq(m.sender.flags, ENVELOPE_UTF8 | ENVELOPE_TRUSTED);
	ck_assert_str_eq(m.sender.envid, "id 7");
	ck_assert_uint_eq(m.sender.ret, DSN_RET_HDRS);
	ck_assert_str_eq(m.head, e.head);
	ck_assert_uint_eq(m.n, 2);
	ck_assert_str_eq(m.rcpts[0].address, "\"a b\"@x.example");
	ck_assert_str_eq(m.rcpts[0].orcpt, "rfc822;a%b@y");
	ck_assert_str_eq(m.rcpts[0].hop, "relay:h:25");
	ck_assert_uint_eq(m.rcpts[0].notify, DSN_SUCCESS | DSN_DELAY);
	ck_assert_int_eq(m.outcomes[0].state, LOG_HELD);
	ck_assert_uint_eq(m.outcomes[0].attempts, 3);
	ck_assert_int_eq(m.outcomes[0].next_try, 99);
	ck_assert_str_eq(m.outcomes[0].text, "code=450 \xc3\xb6 later");
	ck_assert_str_eq(m.outcomes[0].past, "1 2\tfirst\n0\tzeroth\n");
	ck_assert_uint_eq(m.outcomes[0].marks, 5);
	ck_assert_str_eq(m.rcpts[1].address, "-odd@x.example");
	ck_assert(m.rcpts[1].local && m.rcpts[1].final && m.rcpts[1].orcpt == NULL);
	ck_assert_uint_eq(m.outcomes[1].index, 1);
	message_file_free(&m);
	free(text);
}
END_TEST

#define FIRST	"minimta-message 1\nid 1\narrived 5\nsender a@b\nclient -\nsession -\nsession_id 1\ndeclared 0\nflags 0\nret 0\nenvid -\nhead -\n"
#define RCPT	"rcpt 0 0 0 0 0 0 0 0 0 0 0 c@d - - - -\n"

static const struct {
	const char	*text, *why;	/* "" good */
} files[] = {
	{ FIRST RCPT "content 0\n\n", "" },
	{ FIRST "content 0\n\n", "no recipient" },
	{ FIRST RCPT "\n", "content is missing" },
	{ FIRST RCPT "content 0\n", "in the middle" },
	{ FIRST RCPT "content 0", "in the middle" },
	{ FIRST RCPT "content -1\n\n", "takes a number" },
	{ FIRST RCPT "content 99999999999999999999\n\n", "takes a number" },
	{ FIRST RCPT "content 0\ncontent 0\n\n", "is there once" },
	{ FIRST RCPT "content 0 0\n\n", "has one value" },
	{ FIRST RCPT "surprise 0\n\n", "is not known" },
	{ FIRST "rcpt 0 0 0\n\n", "has 16 values" },
	{ FIRST "rcpt 2 0 0 0 0 0 0 0 0 0 0 c@d - - - -\ncontent 0\n\n", "value 1 is no number" },
	{ FIRST "rcpt 0 0 0 0 3 0 0 0 0 0 0 c@d - - - -\ncontent 0\n\n", "not one that a message can have" },	/* NEVER,SUCCESS */
	{ FIRST "rcpt 0 0 0 0 0 0 0 0 0 0 0 - - - - -\ncontent 0\n\n", "not one that a message can have" },
	{ FIRST "rcpt 0 0 0 0 0 0 0 0 0 0 0 a%0Ab - - - -\ncontent 0\n\n", "not one that a message can have" },
	{ FIRST "rcpt 0 0 0 0 0 0 0 0 0 0 0 a%00b - - - -\ncontent 0\n\n", "not written as it should" },
	{ FIRST "rcpt 0 0 0 0 0 0 0 0 0 0 0 a%4 - - - -\ncontent 0\n\n", "not written as it should" },
	{ "minimta-message 2\n\n", "or a newer one" },
	{ "From: x\n\n", "this is no message" },
	{ "", "this is no message" },
};

START_TEST(what_is_one)
{
	char *text = strdup(files[_i].text), why[300] = "";
	struct message_file m;
	int rc = message_file_parse(&m, text, why, sizeof(why));

	ck_assert_int_eq(rc, files[_i].why[0] == '\0' ? 0 : -1);
	ck_assert_msg(strstr(why, files[_i].why) != NULL, "%s", why);
	message_file_free(&m);
	free(text);
}
END_TEST

START_TEST(long_values)
{
	static const char *const names[] = { "client", "head", "rcpt" };
	size_t n = 1000000;
	char *text = malloc(n + sizeof(FIRST)), why[300] = "";
	struct message_file m;
	int len = snprintf(text, sizeof(FIRST), "minimta-message 1\n%s ", names[_i]);

	memset(text + len, 'x', n);
	memcpy(text + len + n - 2, "\n\n", 3);
	ck_assert_int_eq(message_file_parse(&m, text, why, sizeof(why)), -1);
	ck_assert_ptr_nonnull(strstr(why, "line 2: "));
	free(text);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("message_file");

	tcase_add_test(t, there_and_back);
	tcase_add_loop_test(t, what_is_one, 0, sizeof(files) / sizeof(files[0]));
	tcase_add_loop_test(t, long_values, 0, 3);
	return run_case("message_file", t);
}
