/*
 * The queue's list for people and for programs, and lists that break off.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/run.h"
#include "tools/mailq.h"

static const char two[] =
    "M\t7K2QF\t1795288294\t1200\t*\tanna@example.org\n"
    "R\t0\topen\t2\t1795290000\tbob@example.net\t451 4.3.0 busy\n"
    "M\t8AAAA\t1795288294\t1000000\t!\t\n"
    "R\t1\theld\t0\t0\tcarl@example.net\t\n"
    "E\t2\t1001200\n";

static const struct {
	const char	*list, *text;
	int		 rc;
} lists[] = {
	{ "E\t0\t0\n", "Mail queue is empty\n", 0 },
	{ two, "-Queue ID-       --Size-- ----Arrival Time---- -Sender/Recipient-------\n"
	    "7K2QF*             1200 Sat Nov 21 19:11:34  anna@example.org\n"
	    "                         (451 4.3.0 busy)\n"
	    "                                             bob@example.net\n"
	    "\n"
	    "8AAAA!          1000000 Sat Nov 21 19:11:34  <>\n"
	    "                                             carl@example.net\n"
	    "\n-- 978 Kbytes in 2 Requests.\n", 0 },
	{ "M\t1\t0\t1\t\ta@b\nR\t0\topen\t1\t0\tc@d\thost=mx.e [192.0.2.1]:25 code=451 status=4.2.0 4.2.0 busy\n"
	    "R\t1\topen\t1\t0\te@f\tcode=0 status=4.4.3 no answer\n"
	    "R\t2\topen\t1\t0\tg@h\thost=mx.i code=0 status=4.4.1 refused\n"
	    "R\t3\topen\t1\t0\ti@j\thost=only\nE\t1\t1\n",
	    "-Queue ID-       --Size-- ----Arrival Time---- -Sender/Recipient-------\n"
	    "1                     1 Thu Jan  1 00:00:00  a@b\n"
	    "                         (host mx.e [192.0.2.1]:25 said: 451 4.2.0 busy)\n"
	    "                                             c@d\n"
	    "                         (no answer)\n"
	    "                                             e@f\n"
	    "                         (host mx.i: refused)\n"
	    "                                             g@h\n"
	    "                         (host=only)\n"
	    "                                             i@j\n"
	    "\n-- 1 Kbytes in 1 Request.\n", 0 },
	{ "", "", -1 },
	{ "M\t1\n\nnonsense\n", "", -1 },
};

static char *
run(int (*print)(FILE *, FILE *), const char *list, int expected)
{
	FILE *in = list[0] != '\0' ? fmemopen((void *)(uintptr_t)list, strlen(list), "r") : fopen("/dev/null", "r"), *out;
	char *text = NULL;
	size_t len;

	out = open_memstream(&text, &len);
	setenv("TZ", "UTC0", 1);
	ck_assert_int_eq(print(in, out), expected);
	fclose(in);
	fclose(out);
	return text;
}

START_TEST(for_people)
{
	char *text = run(mailq_print, lists[_i].list, lists[_i].rc);

	ck_assert_str_eq(text, lists[_i].text);
	free(text);
}
END_TEST

START_TEST(for_programs)
{
	char *text = run(mailq_print_json, two, 0);

	ck_assert_ptr_nonnull(strstr(text, "\"id\":\"7K2QF\""));
	ck_assert_ptr_nonnull(strstr(text, "\"size\":1000000"));
	ck_assert_ptr_nonnull(strstr(text, "\"reason\":\"451 4.3.0 busy\""));
	free(text);
	text = run(mailq_print_json, "E\t0\t0\n", 0);
	ck_assert_uint_eq(strspn(text, "[ \n]"), strlen(text));
	free(text);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("mailq");

	tcase_add_loop_test(t, for_people, 0, (int)(sizeof(lists) / sizeof(lists[0])));
	tcase_add_test(t, for_programs);
	return run_case("mailq", t);
}
