/*
 * Sender addresses of our own: what stands for them, and where they stand in a header; all else stays byte by byte.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "lib/conf.h"
#include "smtpd/rewrite.h"
#include "tests/unit/run.h"

#define N(a)	((int)(sizeof(a) / sizeof((a)[0])))

static struct conf *
configured(void)
{
	static const char text[] = "hostname = host.our.example\ndomains = { our.example, other.example }\n"
	    "canonical = { 'root=admin@our.example', 'web@host.our.example=www@other.example', '@old.example=@our.example',\n"
	    "\t'all@gone.example=admin@our.example', '@one.example=admin@our.example' }\n"
	    "masquerade = our.example masquerade_not = keep\n";
	char err[300];
	struct conf *c = conf_parse_text(text, strlen(text), "f", err, sizeof(err));

	ck_assert_msg(c != NULL, "%s", err);
	return c;
}

/* NULL: as it was. */
static const struct { const char *from, *to; } addresses[] = {
	{ "", NULL }, { "anna@far.example", NULL }, { "anna@our.example", NULL },
	{ "anna", "anna@our.example" }, { "root", "admin@our.example" }, { "ROOT@other.example", "admin@our.example" },
	{ "root@host.our.example", "admin@our.example" }, { "root@far.example", NULL },
	{ "web@host.our.example", "www@other.example" }, { "x@old.example", "x@our.example" }, { "x@sub.old.example", NULL },
	{ "all@gone.example", "admin@our.example" }, { "x@one.example", "admin@our.example" },
	{ "anna@a.b.our.example", "anna@our.example" }, { "keep@a.our.example", NULL }, { "x@notour.example", NULL },
	{ "\"a b\"@x.our.example", "\"a b\"@our.example" }, { "not an address", NULL }, { "anna@", NULL },
};

START_TEST(address)
{
	struct conf *c = configured();
	char to[ADDRESS_MAX] = "?";
	bool changed = rewrite_address(c, addresses[_i].from, to);

	ck_assert_msg(changed == (addresses[_i].to != NULL), "%s", addresses[_i].from);
	if (changed)
		ck_assert_str_eq(to, addresses[_i].to);
	conf_free(c);
}
END_TEST

static const struct { const char *from, *to; } headers[] = {
	{ "From: root\r\n\r\nbody root\r\n", "From: admin@our.example\r\n\r\nbody root\r\n" },
	{ "from:root@host.our.example (Root of all)\r\nSubject: root@host.our.example\r\n\r\n",
	    "from:admin@our.example (Root of all)\r\nSubject: root@host.our.example\r\n\r\n" },
	{ "From: \"root, x\" <root@host.our.example>\r\n\r\n", "From: \"root, x\" <admin@our.example>\r\n\r\n" },
	{ "From: =?utf-8?q?R?= (a, \"b) < root >\r\n\r\n", NULL },
	{ "From: Anna <anna@h.our.example>,\r\n\tBob <bob@far.example>, web@host.our.example\r\n\r\n",
	    "From: Anna <anna@our.example>,\r\n\tBob <bob@far.example>, www@other.example\r\n\r\n" },
	{ "Sender: root@host.our.example\r\nReply-To: <anna>\r\nResent-From: x@old.example\r\n\r\n",
	    "Sender: admin@our.example\r\nReply-To: <anna@our.example>\r\nResent-From: x@our.example\r\n\r\n" },
	/* Recipients only get a domain. */
	{ "To: anna, root@host.our.example\r\nCc: Us: bob, carl@x.example;\r\n\r\n",
	    "To: anna@our.example, root@host.our.example\r\nCc: Us: bob@our.example, carl@x.example;\r\n\r\n" },
	{ "To: undisclosed-recipients:;\r\nFrom: a@far.example\r\n\r\n", NULL },
	{ "To: John Doe\r\nFrom: two words\r\nCc: <a@b, c@d\r\nReply-To: \"open\r\n\r\n", NULL },
	{ "From: <@x.example:root@host.our.example>\r\n\r\n", NULL },		/* a route is nobody's any more */
	{ "From: \r\nTo: ,;:, <>\r\n\r\n", NULL },
	{ "X-From: root\r\nReceived: from root\r\n\r\nFrom: root\r\n", NULL },
	{ "From: root", "From: admin@our.example" },
	{ "From: (c1) root (c2 (nested \\) root)) \r\n\r\n", "From: (c1) admin@our.example (c2 (nested \\) root)) \r\n\r\n" },
	{ "", NULL }, { "\r\n", NULL }, { "no header\r\n", NULL },
};

START_TEST(header)
{
	struct conf *c = configured();
	size_t len = 0;
	char *to = rewrite_header(c, headers[_i].from, strlen(headers[_i].from), &len);

	ck_assert_msg((to != NULL) == (headers[_i].to != NULL), "%s -> %.*s", headers[_i].from, to != NULL ? (int)len : 0, to);
	if (to != NULL) {
		ck_assert_uint_eq(len, strlen(headers[_i].to));
		ck_assert_msg(memcmp(to, headers[_i].to, len) == 0, "%.*s", (int)len, to);
	}
	free(to);
	conf_free(c);
}
END_TEST

/* Nothing configured: only what is no address yet becomes one. */
START_TEST(plain)
{
	static const char text[] = "domains = our.example\n", in[] = "From: root\r\nTo: x@h.our.example\r\nSender: x@h.our.example\r\n\r\n";
	char err[300], *out, to[ADDRESS_MAX];
	struct conf *c = conf_parse_text(text, strlen(text), "f", err, sizeof(err));
	size_t len;

	ck_assert(!rewrite_address(c, "x@h.our.example", to));
	out = rewrite_header(c, in, strlen(in), &len);
	ck_assert_ptr_nonnull(out);
	ck_assert_int_eq(memcmp(out, "From: root@our.example\r\nTo: x@h.our.example\r\nSender: x@h.our.example\r\n\r\n", len), 0);
	free(out);
	conf_free(c);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("rewrite");

	tcase_add_loop_test(t, address, 0, N(addresses));
	tcase_add_loop_test(t, header, 0, N(headers));
	tcase_add_test(t, plain);
	return run_case("rewrite", t);
}
