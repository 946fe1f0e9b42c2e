/*
 * smtpd/proxy.c: headers of the PROXY protocol, in any pieces and with any lie about their length, and XCLIENT.
 */
#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "smtpd/proxy.h"
#include "tests/unit/run.h"

#define V2	"\r\n\r\n\0\r\nQUIT\n"
#define ROW(text)	text, sizeof(text) - 1

/* "192.0.2.1:1234", "[2001:db8::1]:25". */
static const char *
name(const struct sockaddr_storage *from)
{
	const struct sockaddr_in *four = (const void *)from;
	const struct sockaddr_in6 *six = (const void *)from;
	static char text[80];
	char address[INET6_ADDRSTRLEN];

	if (from->ss_family == AF_INET)
		snprintf(text, sizeof(text), "%s:%u", inet_ntop(AF_INET, &four->sin_addr, address, sizeof(address)),
		    ntohs(four->sin_port));
	else if (from->ss_family == AF_INET6)
		snprintf(text, sizeof(text), "[%s]:%u", inet_ntop(AF_INET6, &six->sin6_addr, address, sizeof(address)),
		    ntohs(six->sin6_port));
	else
		snprintf(text, sizeof(text), "none");
	return text;
}

static const struct {
	const char	*in;
	size_t		 len;
	enum proxy_result result;
	size_t		 used;
	const char	*client;
} headers[] = {
	{ ROW("PROXY TCP4 192.0.2.1 192.0.2.2 1234 25\r\n"), PROXY_ADDRESS, 40, "192.0.2.1:1234" },
	{ ROW("PROXY TCP4 192.0.2.1 192.0.2.2 1234 25\r\nEHLO x\r\n"), PROXY_ADDRESS, 40, "192.0.2.1:1234" },
	{ ROW("PROXY TCP6 2001:db8::1 ::1 65535 25\r\n"), PROXY_ADDRESS, 37, "[2001:db8::1]:65535" },
	{ ROW("PROXY TCP6 ::ffff:192.0.2.9 ::1 1 25\r\n"), PROXY_ADDRESS, 38, "192.0.2.9:1" },
	{ ROW("PROXY UNKNOWN\r\n"), PROXY_ITSELF, 15, "none" },
	{ ROW("PROXY UNKNOWN 1 2 3 anything\r\n"), PROXY_ITSELF, 30, "none" },
	{ ROW("PROXY UNKNOWNS\r\n"), PROXY_BAD, 0, NULL },
	{ ROW("PROXY TCP4 192.0.2.1 192.0.2.2 1234 25\n"), PROXY_BAD, 0, NULL },
	{ ROW("PROXY TCP4 192.0.2.1 192.0.2.2 1234\r\n"), PROXY_BAD, 0, NULL },
	{ ROW("PROXY TCP4 192.0.2.1 192.0.2.2 1234 25 26\r\n"), PROXY_BAD, 0, NULL },
	{ ROW("PROXY TCP4  192.0.2.1 192.0.2.2 1234 25\r\n"), PROXY_BAD, 0, NULL },
	{ ROW("PROXY TCP4 192.0.2.1 192.0.2.2 1234 \r\n"), PROXY_BAD, 0, NULL },
	{ ROW("PROXY TCP4 2001:db8::1 192.0.2.2 1234 25\r\n"), PROXY_BAD, 0, NULL },
	{ ROW("PROXY TCP4 192.0.2.1 ::1 1234 25\r\n"), PROXY_BAD, 0, NULL },
	{ ROW("PROXY TCP4 192.0.2.1 192.0.2.2 65536 25\r\n"), PROXY_BAD, 0, NULL },
	{ ROW("PROXY TCP4 192.0.2.1 192.0.2.2 -1 25\r\n"), PROXY_BAD, 0, NULL },
	{ ROW("PROXY TCP4 192.0.2.1 192.0.2.2 1 25\0\r\n"), PROXY_BAD, 0, NULL },
	{ ROW("PROXY SCTP 192.0.2.1 192.0.2.2 1 25\r\n"), PROXY_BAD, 0, NULL },
	{ ROW("proxy TCP4 192.0.2.1 192.0.2.2 1 25\r\n"), PROXY_BAD, 0, NULL },
	{ ROW("PROXY TCP4 192.0.2.1 192.0.2.2 1 "), PROXY_MORE, 0, NULL },
	{ ROW("PROXY UNKNOWN xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
	    PROXY_BAD, 0, NULL },
	{ ROW("EHLO x\r\n"), PROXY_BAD, 0, NULL },
	{ ROW(""), PROXY_MORE, 0, NULL },
	{ ROW("PRO"), PROXY_MORE, 0, NULL },
	{ ROW("\r\n\r"), PROXY_MORE, 0, NULL },
	{ ROW("\r\n\r\nX"), PROXY_BAD, 0, NULL },
	{ ROW(V2 "\x21\x11\0\x0c" "\xc0\0\2\1" "\xc0\0\2\2" "\4\xd2" "\0\x19"), PROXY_ADDRESS, 28, "192.0.2.1:1234" },
	{ ROW(V2 "\x21\x11\0\x10" "\xc0\0\2\1" "\xc0\0\2\2" "\4\xd2" "\0\x19" "\4\0\1x" "EHLO"), PROXY_ADDRESS, 32,
	    "192.0.2.1:1234" },
	{ ROW(V2 "\x21\x21\0\x24" "\x20\1\r\xb8\0\0\0\0\0\0\0\0\0\0\0\1" "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1" "\0\1" "\0\x19"),
	    PROXY_ADDRESS, 52, "[2001:db8::1]:1" },
	{ ROW(V2 "\x21\x21\0\x24" "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\5" "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1" "\0\1" "\0\x19"),
	    PROXY_ADDRESS, 52, "192.0.2.5:1" },
	{ ROW(V2 "\x20\0\0\0"), PROXY_ITSELF, 16, "none" },
	{ ROW(V2 "\x20\x11\0\4abcd"), PROXY_ITSELF, 20, "none" },
	{ ROW(V2 "\x21\x31\0\2ab"), PROXY_ITSELF, 18, "none" },	/* a Unix socket */
	{ ROW(V2 "\x21\0\0\0"), PROXY_ITSELF, 16, "none" },
	{ ROW(V2 "\x21\x11\0\x0b" "\xc0\0\2\1" "\xc0\0\2\2" "\4\xd2" "\0"), PROXY_BAD, 0, NULL },
	{ ROW(V2 "\x21\x21\0\x0c" "\xc0\0\2\1" "\xc0\0\2\2" "\4\xd2" "\0\x19"), PROXY_BAD, 0, NULL },
	{ ROW(V2 "\x11\x11\0\x0c" "\xc0\0\2\1" "\xc0\0\2\2" "\4\xd2" "\0\x19"), PROXY_BAD, 0, NULL },
	{ ROW(V2 "\x22\x11\0\x0c" "\xc0\0\2\1" "\xc0\0\2\2" "\4\xd2" "\0\x19"), PROXY_BAD, 0, NULL },
	{ ROW(V2 "\x21\x11\xff\xff"), PROXY_BAD, 0, NULL },
	{ ROW(V2 "\x21\x11\0\x0c" "\xc0\0\2\1"), PROXY_MORE, 0, NULL },
	{ ROW(V2), PROXY_MORE, 0, NULL },
};

START_TEST(header)
{
	struct sockaddr_storage client = { 0 };
	enum proxy_result result;
	size_t used;

	result = proxy_header((const uint8_t *)headers[_i].in, headers[_i].len, &client, &used);
	ck_assert_int_eq(result, headers[_i].result);
	if (headers[_i].client == NULL)
		return;
	ck_assert_uint_eq(used, headers[_i].used);
	ck_assert_str_eq(name(&client), headers[_i].client);
	/* With less of it there was more to come. */
	for (size_t n = 0; n < headers[_i].used; n++)
		ck_assert_int_eq(proxy_header((const uint8_t *)headers[_i].in, n, &client, &used), PROXY_MORE);
}
END_TEST

static const struct {
	const char	*in;
	int		 status;
	const char	*client, *name, *helo;
	bool		 esmtp;
} words[] = {
	{ "ADDR=192.0.2.1", 0, "192.0.2.1:0", "", "", false },
	{ "addr=192.0.2.1 Name=mail.example.org proto=ESMTP HELO=me.example PORT=99", 0, "192.0.2.1:0", "mail.example.org",
	    "me.example", true },
	{ "ADDR=IPV6:2001:db8::1", 0, "[2001:db8::1]:0", "", "", false },
	{ "ADDR=IPv6:::ffff:192.0.2.3", 0, "192.0.2.3:0", "", "", false },
	{ "ADDR=[UNAVAILABLE] NAME=[TEMPUNAVAIL]", 0, "none", "", "", false },
	{ "HELO=+5B192.0.2.1+5D", 0, "none", "", "[192.0.2.1]", false },
	{ "", -1, NULL, NULL, NULL, false },
	{ "ADDR", -1, NULL, NULL, NULL, false },
	{ "ADDR=", -1, NULL, NULL, NULL, false },
	{ "ADDR=2001:db8::1", -1, NULL, NULL, NULL, false },
	{ "ADDR=localhost", -1, NULL, NULL, NULL, false },
	{ "PORT=70000", -1, NULL, NULL, NULL, false },
	{ "PROTO=HTTP", -1, NULL, NULL, NULL, false },
	{ "LOGIN=anna", -1, NULL, NULL, NULL, false },
	{ "HELO=a+0Db", -1, NULL, NULL, NULL, false },
	{ "HELO=a+20b", -1, NULL, NULL, NULL, false },
	{ "HELO=a+4", -1, NULL, NULL, NULL, false },
	{ "HELO=a+4g", -1, NULL, NULL, NULL, false },
	{ "HELO=a=b", -1, NULL, NULL, NULL, false },
	{ "HELO=\xc3\xa4", -1, NULL, NULL, NULL, false },
};

START_TEST(xclient)
{
	struct proxy_xclient x;
	const char *why = "";

	ck_assert_int_eq(proxy_xclient(words[_i].in, &x, &why), words[_i].status);
	if (words[_i].status != 0) {
		ck_assert_str_ne(why, "");
		return;
	}
	ck_assert_str_eq(name(&x.client), words[_i].client);
	ck_assert_str_eq(x.name, words[_i].name);
	ck_assert_str_eq(x.helo, words[_i].helo);
	ck_assert(x.esmtp == words[_i].esmtp);
}
END_TEST

START_TEST(long_word)
{
	struct proxy_xclient x;
	char text[600] = "HELO=";
	const char *why;

	memset(text + 5, 'a', PROXY_WORD_MAX);
	ck_assert_int_eq(proxy_xclient(text, &x, &why), 0);
	ck_assert_uint_eq(strlen(x.helo), PROXY_WORD_MAX);
	text[5 + PROXY_WORD_MAX] = 'a';
	ck_assert_int_eq(proxy_xclient(text, &x, &why), -1);
}
END_TEST

int
main(void)
{
	TCase *t = tcase_create("proxy");

	tcase_add_loop_test(t, header, 0, sizeof(headers) / sizeof(headers[0]));
	tcase_add_loop_test(t, xclient, 0, sizeof(words) / sizeof(words[0]));
	tcase_add_test(t, long_word);
	return run_case("proxy", t);
}
