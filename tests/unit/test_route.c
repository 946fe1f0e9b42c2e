/*
 * The next hop's name: made from a configuration, and taken apart again; what is no such name is refused.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "lib/route.h"
#include "tests/unit/run.h"

static struct conf *
must(const char *text)
{
	char err[512] = "";
	struct conf *c = conf_parse_text(text, strlen(text), "f", err, sizeof(err));

	ck_assert_msg(c != NULL, "%s", err);
	return c;
}

static const char config[] =
    "relay one.example { host = smtp.example.org }\n"
    "relay same.example { host = smtp.example.org:25 }\n"
    "relay two.example { host = { a.example:587, '[2001:db8::1]:26', 192.0.2.1 } inet = ipv6 connections = 3 }\n"
    "relay mx.example { host = b.example mx = yes }\n"
    "relay '*' { host = smart.example:587 }\n"
    "destination direct.example { inet = ipv4 connections = 40 }\n";

static const struct {
	const char	*domain, *hop;
	bool		 is_relay, mx;
	size_t		 n;
	const char	*last;
	uint16_t	 last_port;
	int		 inet;
	uint32_t	 connections;
} routes[] = {
	{ "one.example", "relay:smtp.example.org:25", true, false, 1, "smtp.example.org", 25, CONF_INET_ANY, 10 },
	{ "SAME.example", "relay:smtp.example.org:25", true, false, 1, "smtp.example.org", 25, CONF_INET_ANY, 10 },
	{ "two.example", "relay:a.example:587,[2001:db8::1]:26,192.0.2.1:25", true, false, 3, "192.0.2.1", 25, CONF_INET_IPV6, 3 },
	{ "mx.example", "relay-mx:b.example:25", true, true, 1, "b.example", 25, CONF_INET_ANY, 10 },
	{ "other.example", "relay:smart.example:587", true, false, 1, "smart.example", 587, CONF_INET_ANY, 10 },
	{ "[192.0.2.7]", "relay:smart.example:587", true, false, 1, "smart.example", 587, CONF_INET_ANY, 10 },
	{ "direct.example", "mx:direct.example", false, true, 1, "direct.example", 25, CONF_INET_IPV4, 40 },
};

START_TEST(there_and_back)
{
	struct conf *c = must(config);
	const struct conf_destination *d;
	char hop[ROUTE_HOP_MAX];
	struct route r;

	ck_assert_str_eq(route_hop(hop, c, "", routes[_i].domain), routes[_i].hop);
	ck_assert_int_eq(route_parse(&r, c, hop), 0);
	ck_assert_int_eq(r.is_relay, routes[_i].is_relay);
	ck_assert_int_eq(r.mx, routes[_i].mx);
	ck_assert_uint_eq(r.n, routes[_i].n);
	ck_assert_str_eq(r.hosts[r.n - 1].name, routes[_i].last);
	ck_assert_uint_eq(r.hosts[r.n - 1].port, routes[_i].last_port);
	d = route_destination(c, hop);
	ck_assert_ptr_nonnull(d);
	ck_assert_int_eq(d->inet, routes[_i].inet);
	ck_assert_uint_eq(route_connections(c, hop), routes[_i].connections);
	conf_free(c);
}
END_TEST

START_TEST(without_sections)
{
	struct conf *c = must("destination_connections = 4\nsmtp_port = 2525\n"), *other = must(config);
	char hop[ROUTE_HOP_MAX];
	struct route r;

	ck_assert_str_eq(route_hop(hop, c, "", "a.example"), "mx:a.example");
	ck_assert_int_eq(route_parse(&r, c, hop), 0);
	ck_assert_uint_eq(r.hosts[0].port, 2525);
	ck_assert_ptr_null(route_destination(c, hop));
	ck_assert_uint_eq(route_connections(c, hop), 4);
	/* A hop of another configuration still says where to go. */
	ck_assert_int_eq(route_parse(&r, c, "relay:gone.example:25"), 0);
	ck_assert_ptr_null(route_destination(c, "relay:gone.example:25"));
	ck_assert(route_same(c, c));
	ck_assert(!route_same(c, other));
	conf_free(c);
	conf_free(other);
}
END_TEST

/* By sender, and sections for the same hosts that must not be mixed up. */
START_TEST(own_sections)
{
	static const struct { const char *sender, *domain, *hop, *login; } rows[] = {
		{ "anna@our.example", "far.example", "relay:smtp.example.org:587/from=anna@our.example", "anna" },
		{ "Anna@our.example", "far.example", "relay:smtp.example.org:587/from=anna@our.example", "anna" },
		{ "bob@our.example", "far.example", "relay:smtp.example.org:587/from=@our.example", "all" },
		{ "bob@elsewhere.example", "far.example", "relay:smart.example:25", "" },
		{ "", "far.example", "relay:smart.example:25", "" },
		{ "anna@our.example", "one.example", "relay:smart.example:25/to=one.example", "" },
		{ "", "two.example", "relay:smart.example:25/to=two.example", "two" },
		{ "anna@our.example", "direct.example", "mx:direct.example", "" },
	};
	static const char text[] = "credentials = /x\n"
	    "sender '@our.example' { host = smtp.example.org:587 login = all login_without_tls = yes }\n"
	    "sender anna@OUR.example { host = smtp.example.org:587 login = anna login_without_tls = yes inet = ipv4 }\n"
	    "relay '*' { host = smart.example }\n"
	    "relay one.example { host = smart.example helo = out.example source_ipv6 = '2001:db8::5' }\n"
	    "relay two.example { host = smart.example login = two login_without_tls = yes connections = 2 }\n"
	    "destination direct.example { source_ipv4 = 192.0.2.7 }\n";
	struct conf *c = must(text), *other = must("relay '*' { host = smart.example }\n");
	char hop[ROUTE_HOP_MAX];
	struct route r;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ck_assert_str_eq(route_hop(hop, c, rows[i].sender, rows[i].domain), rows[i].hop);
		ck_assert_int_eq(route_parse(&r, c, hop), 0);
		ck_assert_str_eq(r.section->login, rows[i].login);
		/* Where the section is gone, nothing is sent without what it said. */
		ck_assert_int_eq(route_parse(&r, other, hop), strchr(hop, '/') != NULL ? -1 : 0);
	}
	ck_assert_ptr_eq(route_destination(c, "mx:direct.example")->source_ipv4, conf_route_for(c, "", "direct.example")->source_ipv4);
	ck_assert(route_same(c, c));
	conf_free(other);
	other = must("credentials = /x\nrelay '*' { host = smart.example }\n");
	conf_free(c);
	c = must("credentials = /x\nrelay '*' { host = smart.example login = two login_without_tls = yes }\n");
	ck_assert(!route_same(c, other));
	conf_free(c);
	conf_free(other);
}
END_TEST

START_TEST(by_lmtp)
{
	struct conf *socket = must("lmtp = /run/lmtp\n"), *host = must("domains = { a.example, b.example }\nlmtp = '[::1]:24'\n"
	    "lmtp_domains = b.example\n");
	char hop[ROUTE_HOP_MAX];
	struct route r;

	ck_assert_str_eq(route_hop_lmtp(hop, socket), "lmtp:/run/lmtp");
	ck_assert_int_eq(route_parse(&r, socket, hop), 0);
	ck_assert(r.lmtp && r.n == 0 && strcmp(r.socket, "/run/lmtp") == 0);
	ck_assert_int_eq(route_parse(&r, host, hop), -1);
	ck_assert_str_eq(route_hop_lmtp(hop, host), "lmtp:[::1]:24");
	ck_assert_int_eq(route_parse(&r, host, hop), 0);
	ck_assert(r.lmtp && r.n == 1 && r.is_relay && r.socket == NULL && r.hosts[0].port == 24 && strcmp(r.hosts[0].name, "::1") == 0);
	ck_assert(conf_is_lmtp(host, "B.example") && !conf_is_lmtp(host, "a.example") && !conf_is_lmtp(host, "c.example"));
	ck_assert(conf_is_lmtp(socket, socket->hostname));
	ck_assert(!route_same(socket, host) && route_same(host, host));
	conf_free(socket);
	conf_free(host);
}
END_TEST

/* The longest names that there can be. */
START_TEST(long_names)
{
	char text[4096] = "relay '*' { host = {", hop[ROUTE_HOP_MAX], name[254];
	struct conf *c;
	struct route r;

	for (int i = 0; i < CONF_HOSTS_MAX; i++) {
		size_t len = strlen(text);

		for (size_t k = 0; k < sizeof(name); k++)
			name[k] = k % 60 == 59 ? '.' : (char)('a' + i);
		name[253] = '\0';
		snprintf(text + len, sizeof(text) - len, "%s %s:65535", i > 0 ? "," : "", name);
	}
	strncat(text, " } helo = other.example }", 30);
	c = must(text);
	ck_assert_int_eq(route_parse(&r, c, route_hop(hop, c, "", "x.example")), 0);
	ck_assert_uint_eq(r.n, CONF_HOSTS_MAX);
	ck_assert_uint_eq(r.hosts[7].port, 65535);
	conf_free(c);
}
END_TEST

static const char *const nonsense[] = {
	"", "mx:", "relay:", "x", "relay:a", "relay:a:", "relay:a:0", "relay:a:65536", "relay:a:1x", "relay::25", "relay:a:25,",
	"relay:[::1]", "relay:[::1", "relay:[]:25", "relay:[::1]25", "relay:a:25,b", "relay-mx:", "local",
	"lmtp:", "lmtp:/x", "lmtp:a", "lmtp:a:24",
	"relay:a:1,a:2,a:3,a:4,a:5,a:6,a:7,a:8,a:9",
};

START_TEST(what_is_none)
{
	struct conf *c = must(config);
	struct route r;

	ck_assert_int_eq(route_parse(&r, c, nonsense[_i]), -1);
	conf_free(c);
}
END_TEST

#define COUNT(a)	((int)(sizeof(a) / sizeof((a)[0])))

int
main(void)
{
	TCase *t = tcase_create("route");

	tcase_add_loop_test(t, there_and_back, 0, COUNT(routes));
	tcase_add_test(t, without_sections);
	tcase_add_test(t, own_sections);
	tcase_add_test(t, by_lmtp);
	tcase_add_test(t, long_names);
	tcase_add_loop_test(t, what_is_none, 0, COUNT(nonsense));
	return run_case("route", t);
}
