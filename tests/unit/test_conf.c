/*
 * The configuration: every kind of mistake with the exact line that it gets, what is printed parses to the same, the
 * shipped file parses and changes nothing, and every option has its place in the manual.
 */
#include <check.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/conf_option.h"
#include "tests/unit/run.h"

static const struct {
	const char *text, *error;
} mistakes[] = {
	/* names */
	{ "hostnme = a.example\n", "f:1: no such option: hostnme; did you mean hostname?" },
	{ "\n\n# x\nlisten_on = a\n", "f:4: no such option: listen_on; did you mean listen?" },
	{ "completely_other = a\n", "f:1: no such option: completely_other; minimta.conf(5) has the list, and a value "
	    "with spaces needs quotes" },
	{ "spool = /a b\n", "f:1: no such option: b; minimta.conf(5) has the list, and a value with spaces needs quotes" },
	{ "include(\"/etc/passwd\")\n", "f:1: \"(\" has no meaning here; write a value that holds it between quotes" },
	{ "relay \"a.example\" { hots = b }\n", "f:1: no such option in relay: hots; there are host, mx, login, "
	    "login_without_tls, inet, connections, source_ipv4, source_ipv6 and helo" },
	{ "destination a.example { host = b }\n", "f:1: no such option in destination: host; there are inet, connections, "
	    "source_ipv4, source_ipv6 and helo" },
	{ "sender a.example { host = b.example }\n", "f:1: sender: a.example is not a sender; write an address as in "
	    "anna@example.org, or @example.org for all of a domain" },
	{ "sender '@a.example' { inet = ipv4 }\n", "f:1: this sender has no host; write host = \"smtp.example.org:587\" inside" },
	{ "sender '@a.example' { host = b.example }\nsender '@A.example' { host = b.example }\n",
	    "f:2: sender: @a.example is given twice; keep one" },
	{ "destination a.example { source_ipv4 = ::1 }\n", "f:1: destination: ::1 is not an IPv4 address; write one as in 192.0.2.1" },
	{ "destination a.example { source_ipv6 = 192.0.2.1 }\n", "f:1: destination: 192.0.2.1 is not an IPv6 address; write one as in "
	    "2001:db8::1" },
	{ "relay a.example { host = b.example login = x login_without_tls = yes }\n", "f: relay a.example has a login, and no file of "
	    "credentials is named; write credentials = /etc/minimta/credentials" },
	{ "domains = a.example\nrelay_domains = { b.example, A.example }\n", "f:2: a.example is ours (domains, hostname) and in "
	    "relay_domains; take it out of one of them" },
	{ "credentials = /x\nsender c@a.example { host = b.example login = x }\n", "f:1: sender c@a.example has a login, and its "
	    "connections are not encrypted; write login_without_tls = yes inside if the password may be readable on the way" },
	/* doubles */
	{ "maildir = a\n\nmaildir = b\n", "f:3: maildir is given twice, first on line 1; keep one" },
	{ "domains = { a.example }\ndomains = b.example\n", "f:2: domains is given twice, first on line 1; keep one" },
	{ "domains = { a.example, A.example }\n", "f:1: domains: a.example is given twice; name each once" },
	{ "listen = { 127.0.0.1:25,\n127.0.0.1:25 }\n", "f:2: listen: 127.0.0.1:25 is given twice; name each address once" },
	{ "relay a.example { host = b.example }\nrelay a.example { host = c.example }\n",
	    "f:2: the section a.example is given twice; keep one" },
	{ "relay a.example { host = b.example }\nrelay A.EXAMPLE { host = c.example }\n",
	    "f:2: relay: a.example is given twice; keep one" },
	{ "relay a.example { host = b.example }\ndestination a.example { inet = ipv4 }\n",
	    "f:2: destination: a.example is given twice, as a relay and as a destination; keep one" },
	{ "relay a.example { host = b.example\n inet = ipv4 inet = ipv6 }\n",
	    "f:2: inet is given twice, first on line 2; keep one" },
	{ "relay a.example { host = b.example\n host = c.example }\n",
	    "f:2: host is given twice, first on line 1; keep one" },
	/* sections that others read */
	{ "fliter a { b = c }\n", "f:1: no such option: fliter; did you mean filter?" },
	{ "filter a { b = c\n b = d }\n", "f:2: b is given twice, first on line 1; keep one" },
	{ "filter a { b = c }\nfilter a { b = d }\n", "f:2: the section a is given twice; keep one" },
	{ "filter a { b }\n", "f:1: b is not expected here; write name = value" },
	{ "exempt a { b = { c, { d } } }\n", "f:1: \"{\" is one too many; close the one of line 1 first" },
	{ "filter a { b = c\n", "f:1: \"{\" is never closed; write } behind the last value" },
	{ "filter { b = c }\n", "f:1: a section stands without a title; write filter \"spf\" { mode = enforce }" },
	/* form */
	{ "hostname = \"a", "f:1: this string does not end; close it with \"" },
	{ "\nhostname = 'a\n\n\n", "f:2: this string does not end; close it with '" },
	{ "\n/* never closed\n\n", "f:2: this comment does not end; close it with */" },
	{ "// comment\n", "f:1: \"//\" begins neither a path nor a comment; begin a comment with #" },
	{ "hostname\n", "f:2: the file ends in the middle of an option; write name = value" },
	{ "hostname = \n", "f:2: the file ends where a value is expected; write one, or leave the option out" },
	{ "hostname a.example\n", "f:1: \"=\" is missing after hostname; write hostname = value" },
	{ "hostname = { a.example }\n", "f:1: hostname takes one value and no list; write hostname = value" },
	{ "hostname = = a\n", "f:1: \"=\" is not expected here; write name = value, or name = { value, value }" },
	{ "hostname = a.example;\n", "f:1: \";\" ends nothing here; leave it out, or write the value between single quotes" },
	{ "domains = { }\n", "f:1: there is nothing between { and }; leave the option out for its default" },
	{ "domains = { a.example, }\n", "f:1: a value is missing before \"}\"; leave out the last comma" },
	{ "domains = { a.example\nspool = /x\n", "f:1: \"{\" is never closed; write } behind the last value" },
	{ "}\n", "f:1: \"}\" closes nothing; leave it out" },
	{ "relay a.example {\nhost = b.example\n", "f:1: \"{\" is never closed; write } behind the last value" },
	{ "relay { host = b.example }\n", "f:1: a section stands without a domain; write relay \"example.net\" { host = "
	    "\"smtp.example.org:587\" }, or destination \"example.net\" { inet = ipv4 }" },
	{ "relay a.example = b.example\n", "f:1: \"{\" is missing after a section's name and domain; write relay "
	    "\"example.net\" { host = \"smtp.example.org:587\" }, or destination \"example.net\" { inet = ipv4 }" },
	{ "relay a.example { inet = ipv4 }\n", "f:1: this relay has no host; write host = \"smtp.example.org:587\" inside" },
	{ "relay * { host = a.example }\n", "f:1: \"*\" has no meaning here; write a value that holds it between quotes" },
	{ "domains += a.example\n", "f:1: \"+\" has no meaning here; write a value that holds it between quotes" },
	{ "spool = /${HOME}\n", "f:1: ${ in a value is not replaced by anything; write the value between single quotes" },
	{ "spool = \"/${HOME}\"\n", "f:1: ${ in a value is not replaced by anything; write the value between single quotes" },
	{ "spool = \"/\\0\"\n", "f:1: a backslash before 0 means nothing here; write \\\\, or the value between single "
	    "quotes" },
	{ "spool = /a\x01\n", "f:1: a control character (\\x01) stands outside quotes; write the value between single "
	    "quotes" },
	/* types */
	{ "smtp_port = smtp\n", "f:1: smtp_port: smtp is not a number; write one from 1 to 65535" },
	{ "smtp_port = 65536\n", "f:1: smtp_port: 65536 is out of range; write a number from 1 to 65535" },
	{ "hops = 99999999999999999999999\n", "f:1: hops: 99999999999999999999999 is not a number; write one from 1 to 1000" },
	{ "hops = -1\n", "f:1: hops: -1 is not a number; write one from 1 to 1000" },
	{ "retry_first = soon\n", "f:1: retry_first: soon is not a duration; write it as in 90s, 5m, 1h30m or 2d" },
	{ "expire = 9d9\n", "f:1: expire: 9d9 is not a duration; write it as in 90s, 5m, 1h30m or 2d" },
	{ "expire = 2y\n", "f:1: expire: 2y is not a duration; write it as in 90s, 5m, 1h30m or 2d" },
	{ "session_timeout = 3h\n", "f:1: session_timeout: 3h is out of range; write a duration from 1s to 2h" },
	{ "message_size = big\n", "f:1: message_size: big is not a size; write it as in 100000, 512K, 50M or 2G" },
	{ "message_size = 63K\n", "f:1: message_size: 63K is out of range; write a size from 64K to 64G" },
	{ "message_size = 18014398509481984K\n", "f:1: message_size: 18014398509481984K is not a size; write it as in "
	    "100000, 512K, 50M or 2G" },
	{ "segment_size = 100K\n", "f:1: segment_size: 100K is out of range; write a size from 1M to 2G" },
	{ "deliver_to_private_mx = maybe\n", "f:1: deliver_to_private_mx: maybe is neither yes nor no; write one of them" },
	{ "log_level = loud\n", "f:1: log_level: loud is not possible for log_level; choose one of: error warn info debug" },
	{ "log_to = ''\nlog_level = ''\n", "f:2: log_level: \"\" is not possible for log_level; choose one of: error warn "
	    "info debug" },
	{ "hostname = 'a b'\n", "f:1: hostname: \"a b\" is not a host name; write a name as in mail.example.org" },
	{ "hostname = [192.0.2.1]\n", "f:1: hostname: [192.0.2.1] is not a host name; write a name as in mail.example.org" },
	{ "domains = { a..b }\n", "f:1: domains: a..b is not a domain; write a name as in example.org" },
	{ "listen = 25\n", "f:1: listen: 25 has no port; write an address and a port, as in 127.0.0.1:25 or [::1]:25" },
	{ "listen = localhost:25\n", "f:1: listen: localhost:25 is not a numeric address; write an address and a port, as in "
	    "127.0.0.1:25 or [::1]:25" },
	{ "listen = ::1:25\n", "f:1: listen: ::1:25 has no port; write an address and a port, as in 127.0.0.1:25 or "
	    "[::1]:25" },
	{ "listen = 127.0.0.1:99999\n", "f:1: listen: 127.0.0.1:99999 has an impossible port; a port is a number from 0 to "
	    "65535" },
	{ "trusted_networks = 192.0.2.1/24\n", "f:1: trusted_networks: 192.0.2.1/24 has bits set beyond its prefix; clear "
	    "them, or write /32 for the one address" },
	{ "trusted_networks = 192.0.2.0/33\n", "f:1: trusted_networks: 192.0.2.0/33 has an impossible prefix length; it is a "
	    "number from 1 to 32" },
	{ "trusted_networks = home\n", "f:1: trusted_networks: home is not a network; write it as 192.0.2.0/24 or "
	    "2001:db8::/32" },
	{ "trusted_networks = 0.0.0.0/0\n", "f:1: trusted_networks: 0.0.0.0/0 lets everybody send mail through this server; "
	    "name your own networks" },
	{ "trusted_networks = '::ffff:0.0.0.0/96'\n", "f:1: trusted_networks: ::ffff:0.0.0.0/96 lets everybody send mail "
	    "through this server; name your own networks" },
	{ "dns_servers = ns.example\n", "f:1: dns_servers: ns.example is not the address of a DNS server; write 192.0.2.53, "
	    "192.0.2.53:5353 or [2001:db8::53]:53" },
	{ "spool = spool\n", "f:1: spool: spool is not an absolute path; begin it with a slash" },
	{ "spool = ''\n", "f:1: spool: \"\" is not an absolute path; begin it with a slash" },
	{ "virtual_directory = mail\n", "f:1: virtual_directory: mail is not an absolute path; begin it with a slash" },
	{ "maildir = /var/mail\n", "f:1: maildir: /var/mail is not a path below a home directory; write a name below the home "
	    "directory, as in Maildir" },
	{ "maildir = ../x\n", "f:1: maildir: ../x leads elsewhere; write a name below the home directory, as in Maildir" },
	{ "virtual_user = '-x'\n", "f:1: virtual_user: -x is not a user's name; write a name from the password file" },
	{ "lmtp = localhost\n", "f:1: lmtp: localhost is neither a socket nor a host with a port; write /run/dovecot/lmtp, or 127.0.0.1:24" },
	{ "lmtp = '::1:24'\n", "f:1: lmtp: ::1:24 is neither a socket nor a host with a port; write /run/dovecot/lmtp, or 127.0.0.1:24" },
	{ "domains = a.example\nlmtp_domains = b.example\n", "f:2: b.example is not ours (domains, hostname); name some that are" },
	{ "domains = a.example\nsrs_domain = b.example\n", "f:2: b.example is not ours (domains, hostname); name one that is" },
	{ "mailbox = mbox\n", "f:1: mailbox: mbox is not a place for mailboxes; write maildir, or the path of an mbox with %u for the "
	    "user, as in /var/mail/%u, or ~/mbox" },
	{ "mailbox = /var/mail\n", "f:1: mailbox: /var/mail is not a place for mailboxes; write maildir, or the path of an mbox with %u "
	    "for the user, as in /var/mail/%u, or ~/mbox" },
	{ "mailbox = /var/mail/%u%u\n", "f:1: mailbox: /var/mail/%u%u is not a place for mailboxes; write maildir, or the path of an mbox "
	    "with %u for the user, as in /var/mail/%u, or ~/mbox" },
	{ "mailbox = /var/mail/a%u\n", "f:1: mailbox: /var/mail/a%u is not a place for mailboxes; write maildir, or the path of an mbox "
	    "with %u for the user, as in /var/mail/%u, or ~/mbox" },
	{ "mailbox = '~/../x'\n", "f:1: mailbox: ../x leads elsewhere; write a name below the home directory, as in Maildir" },
	{ "junk_folder = a/b\n", "f:1: junk_folder: a/b is no name for a folder; write letters, digits, - and _, and dots between levels, "
	    "as in Junk, or ''" },
	{ "tag_folders = maybe\n", "f:1: tag_folders: maybe is not possible for tag_folders; choose one of: no existing create" },
	{ "recipient_delimiter = ab\n", "f:1: recipient_delimiter: ab cannot stand between user and tag; write one of + - _ "
	    "= # ~ ^, or ''" },
	{ "root_mail = 'a@@b'\n", "f:1: root_mail: a@@b is not an address; write one as in admin@example.org, or a local "
	    "name" },
	{ "relay a.example { host = 'b:c:d' }\n", "f:1: relay: b:c:d is not a host; write a name or an address, and a port if "
	    "it is not smtp_port, as in smtp.example.org:587" },
	{ "relay a.example { host = b.example:0 }\n", "f:1: relay: b.example:0 has an impossible port; a port is a number from "
	    "1 to 65535" },
	{ "relay a.example { host = { b.example, B.example } }\n", "f:1: relay: B.example is given twice; name each once" },
	{ "relay a.example { host = { a1, a2, a3, a4, a5, a6, a7, a8, a9 } }\n", "f:1: relay: a9 is one host too many; name "
	    "up to 8" },
	{ "relay a.example { host = b.example inet = ipv5 }\n", "f:1: relay: ipv5 is not possible for inet; choose one of: "
	    "any ipv4 ipv6" },
	{ "inet = both\n", "f:1: inet: both is not possible for inet; choose one of: any ipv4 ipv6" },
	{ "destination '*' { inet = ipv4 }\n", "f:1: destination: * is not a domain; write a name as in example.net; for all "
	    "others set the option outside" },
	{ "destination a.example { connections = 0 }\n", "f:1: destination: 0 is out of range; write a number from 1 to "
	    "10000" },
	{ "relay 'a b' { host = b.example }\n", "f:1: relay: \"a b\" is not a domain; write a name as in example.net, or '*' "
	    "for all others" },
	/* together */
	{ "retry_first = 1h\n\nretry_most = 5m\n", "f:3: retry_most (5m) is shorter than retry_first (1h); make it as long or "
	    "longer" },
	{ "retry_schedule = '5m, 1m'\n", "f:1: retry_schedule: \"5m, 1m\" is not a list of durations; write up to 16 of them, none shorter than the one "
	    "before, as in \"5m, 30m, 2h\"" },
	{ "\ndelay_warnings = '1h, 2h, 3h, 4h'\n", "f:2: \"1h, 2h, 3h, 4h\" are more than 3; write up to 3, as in \"4h, 1d\"" },
	{ "delay_warnings = '1s'\n", "f:1: delay_warnings: 1s is out of range; write durations from 1m to 365d" },
	{ "retry_first = 5h\n", "f: retry_most (4h) is shorter than retry_first (5h); make it as long or longer" },
	{ "retry_first = 2h\nexpire = 1h\n", "f:2: expire (1h) is shorter than retry_first (2h); nothing would be tried again" },
	{ "message_size = 64K\nheader_size = 1M\n", "f:2: header_size (1M) is greater than message_size (64K); make it "
	    "smaller" },
	{ "spool = /a\nstate = /a\n", "f:2: spool and state are the same place; give each its own" },
	{ "domains = a.example\nrelay a.example { host = b.example }\n", "f:1: a.example is ours (domains, hostname) and has a relay; "
	    "take it out of one of them" },
	{ "relay a.example { host = c.example }\nrelay b.example { host = c.example inet = ipv4 }\n", "f: relay a.example and "
	    "relay b.example name the same hosts with different inet or connections; give them the same" },
};

START_TEST(every_mistake_has_its_line)
{
	char err[2048] = "";
	struct conf *c = conf_parse_text(mistakes[_i].text, strlen(mistakes[_i].text), "f", err, sizeof(err));

	ck_assert_msg(c == NULL, "accepted: %s", mistakes[_i].text);
	ck_assert_str_eq(err, mistakes[_i].error);
}
END_TEST

START_TEST(nul_is_named)
{
	char err[512];

	ck_assert_ptr_null(conf_parse_text("\nhops = 1\0", 10, "f", err, sizeof(err)));
	ck_assert_str_eq(err, "f:2: a NUL byte stands here; the configuration is plain text");
}
END_TEST

static struct conf *
must(const char *text)
{
	char err[2048] = "";
	struct conf *c = conf_parse_text(text, strlen(text), "f", err, sizeof(err));

	ck_assert_msg(c != NULL, "%s", err);
	return c;
}

static char *
printed(const struct conf *c)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	conf_print(c, f);
	fclose(f);
	return text;
}

START_TEST(defaults)
{
	struct conf *c = must("");

	ck_assert_str_eq(c->hostname, "localhost");
	ck_assert_str_eq(c->domains[0], "localhost");
	ck_assert_ptr_null(c->domains[1]);
	ck_assert_uint_eq(c->n_listen, 2);
	ck_assert_str_eq(c->listen[0].name, "127.0.0.1:25");
	ck_assert_str_eq(c->listen[1].name, "[::1]:25");
	ck_assert_int_eq(c->retry_first_ms, 300000);
	ck_assert_int_eq(c->expire_ms, 5 * 86400000LL);
	ck_assert_uint_eq(c->message_size, 50U << 20);
	ck_assert_uint_eq(c->hops, 50);
	ck_assert_str_eq(c->log_to, "");
	ck_assert(!c->private_mx);
	ck_assert_ptr_null(c->dns_servers[0]);
	conf_free(c);
}
END_TEST

static void
check_parses_to_same(const char *text)
{
	struct conf *c = must(text), *again;
	char *first = printed(c), *second;

	again = must(first);
	second = printed(again);
	ck_assert_str_eq(first, second);
	free(first);
	free(second);
	conf_free(c);
	conf_free(again);
}

START_TEST(all_options_round_trip)
{
	check_parses_to_same("hostname = MX.Example.ORG domains = { Example.org, example.net }\n"
	    "listen = { 127.0.0.1:2525, '[::1]:2525', 0.0.0.0:0 }\n"
	    "trusted_networks = { 127.0.0.0/8, '::1', 2001:db8::/32, '::ffff:10.0.0.0/104' }\n"
	    "proxy_networks = { 192.0.2.7, '::2' } xclient_networks = 127.0.0.1\n"
	    "aliases = '' root_mail = admin@example.org maildir = Mail/in virtual_directory = /srv/mail\n"
	    "lmtp = '[::1]:24' lmtp_domains = example.net lmtp_users = any srs_secrets = /s srs_domain = example.net\n"
	    "forward_files = no command_user = daemon command_time = 90s\n"
	    "mailbox = /var/mail/%u mailbox_size = 3M junk_folder = a.b tag_folders = create\n"
	    "virtual_user = vmail recipient_delimiter = '' smtp_port = 2626 deliver_to_private_mx = yes\n"
	    "retry_first = 1500ms retry_most = 1h1m1s expire = 2d3h message_size = 65537 header_size = 4K\n"
	    "dns_servers = { 127.0.0.1:5353, '[::1]:53', 192.0.2.1 } log_to = stderr log_level = debug\n"
	    "relay example.com { host = smtp.example.com:587 } relay '*' { host = '[2001:db8::1]' }\n"
	    "retry_schedule = '1m 10m,2h' delay_warnings = '' bounces_per_hour = 0 double_bounce_to = postmaster\n"
	    "inet = ipv6 host_connections = 5 destination_connections = 7\n"
	    "relay example.info { host = { a.example:587, '[2001:db8::2]:26', b.example } inet = ipv4 connections = 3 mx = yes }\n"
	    "destination example.biz { inet = any } credentials = /etc/x\n"
	    "destination example.name { source_ipv4 = 192.0.2.1 source_ipv6 = '2001:db8::1' helo = OUT.example }\n"
	    "sender Anna@Example.org { host = a.example login = 'x y' login_without_tls = yes }\n"
	    "sender '@example.org' { host = a.example:26 connections = 3 }\n"
	    "relay_domains = { a.example, B.example } relay_recipients = /x relay_callback = yes relay_expire = 2d\n"
	    "filters = no hermes = yes defer_score = 0 refuse_score = 20 refuse_temporarily = yes tag_only = yes delay_most = 10s\n"
	    "filter spf { mode = off fail = { 1, 'a b' } }\nexempt 'it\\'s' { client = 192.0.2.1\n filters = { spf } }\n"
	    "relay example.edu { host = 192.0.2.9 } spool = /a state = /b control = /c empty_directory = /d\n");
}
END_TEST

START_TEST(any_bytes_round_trip)
{
	unsigned long seed = 12345 + (unsigned long)_i;
	char value[200] = "/", escaped[420], text[600], *copy, *again;
	size_t n = 1, e = 0;
	struct conf *c;

	/* The first run has every byte; the others mixtures of those that mean something to the lexer. */
	for (int b = 1; _i == 0 && b < 128; b++)
		value[n++] = (char)b;
	while (n < sizeof(value) - 1) {
		seed = seed * 6364136223846793005UL + 1442695040888963407UL;
		value[n++] = seed >> 62 == 0 ? (char)(1 + (seed >> 33) % 255) : "\\'\"#${}\n \r=,(/*+n0"[(seed >> 33) % 18];
	}
	for (size_t i = 0; i < n; i++) {
		if (strchr("\\'", value[i]) != NULL)
			escaped[e++] = '\\';
		escaped[e++] = value[i];
	}
	escaped[e] = '\0';
	snprintf(text, sizeof(text), "spool = '%s'\n", escaped);
	c = must(text);
	ck_assert_str_eq(c->spool, value);
	copy = printed(c);
	conf_free(c);
	c = must(copy);
	ck_assert_str_eq(c->spool, value);
	again = printed(c);
	ck_assert_str_eq(copy, again);
	free(copy);
	free(again);
	conf_free(c);
}
END_TEST

START_TEST(from_a_descriptor)
{
	struct conf *c = must("hostname = a.example\nhops = 7\n"), *again;
	int fd = memfd_create("conf", 0);
	FILE *f = fdopen(dup(fd), "w");
	char err[512];

	conf_print(c, f);
	fclose(f);
	again = conf_parse_fd(fd, err, sizeof(err));
	ck_assert_ptr_nonnull(again);
	ck_assert_uint_eq(again->hops, 7);
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	ck_assert_int_eq(pwrite(fd, "x\n", 2, 0), 2);
	ck_assert_ptr_null(conf_parse_fd(fd, err, sizeof(err)));
	ck_assert_msg(strncmp(err, "configuration:1: no such option: x;", 35) == 0, "%s", err);
	close(fd);
	conf_free(c);
	conf_free(again);
}
END_TEST

static const struct {
	const char *text;
	int64_t ms;
} durations[] = {
	{ "90", 90000 }, { "5m", 300000 }, { "1h30m", 5400000 }, { "2d", 172800000 }, { "250ms", 250 }, { "1m1ms", 60001 },
	{ "", -1 }, { "m", -1 }, { "-1", -1 }, { "1 m", -1 }, { "1x", -1 }, { "1h30", -1 }, { "106751991168d", -1 },
	{ "99999999999999999999", -1 },
};

START_TEST(durations_as_written)
{
	int64_t ms = -1;

	ck_assert_int_eq(conf_duration(durations[_i].text, &ms), durations[_i].ms < 0 ? -1 : 0);
	ck_assert_int_eq(ms, durations[_i].ms);
}
END_TEST

static const struct {
	const char *text;
	uint64_t bytes;
} sizes[] = {
	{ "10K", 10240 }, { "50M", 50U << 20 }, { "2g", 2ULL << 30 }, { "1T", 1ULL << 40 }, { "17", 17 },
	{ "", 1 }, { "K", 1 }, { "10KB", 1 }, { "-5", 1 }, { "16777216T", 1 }, { "1.5M", 1 },
};

START_TEST(sizes_as_written)
{
	uint64_t bytes = 1;

	ck_assert_int_eq(conf_size(sizes[_i].text, &bytes), sizes[_i].bytes == 1 ? -1 : 0);
	ck_assert_uint_eq(bytes, sizes[_i].bytes);
}
END_TEST

static bool
trusts(const struct conf *c, const char *text)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
	struct sockaddr_in four = { .sin_family = AF_INET };

	if (inet_pton(AF_INET, text, &four.sin_addr) == 1)
		return conf_is_trusted(c, (struct sockaddr *)&four);
	ck_assert_int_eq(inet_pton(AF_INET6, text, &six.sin6_addr), 1);
	return conf_is_trusted(c, (struct sockaddr *)&six);
}

START_TEST(questions)
{
	struct conf *c = must("hostname = mx.example\ndomains = { example.org, xn--bcher-kva.example }\n"
	    "trusted_networks = { 192.0.2.128/25, 10.1.2.3, 2001:db8:8000::/33 } proxy_networks = 192.0.2.7\n"
	    "relay '*' { host = out.example } relay example.net { host = net.example:587 }\n");
	struct sockaddr un = { .sa_family = AF_UNIX };
	struct sockaddr_in proxy = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc0000207) };

	ck_assert(conf_networks_have(&c->proxies, (struct sockaddr *)&proxy));
	ck_assert(!conf_networks_have(&c->xclients, (struct sockaddr *)&proxy));
	ck_assert(!conf_is_trusted(c, (struct sockaddr *)&proxy));
	ck_assert(conf_is_local(c, "EXAMPLE.org"));
	ck_assert(conf_is_local(c, "MX.example"));
	ck_assert(!conf_is_local(c, "sub.example.org"));
	ck_assert_str_eq(conf_origin(c), "example.org");
	ck_assert(trusts(c, "192.0.2.128"));
	ck_assert(trusts(c, "::ffff:192.0.2.255"));
	ck_assert(!trusts(c, "192.0.2.127"));
	ck_assert(trusts(c, "10.1.2.3"));
	ck_assert(!trusts(c, "10.1.2.2"));
	ck_assert(trusts(c, "2001:db8:ffff::1"));
	ck_assert(!trusts(c, "2001:db8:7fff::1"));
	ck_assert(!trusts(c, "127.0.0.1"));
	ck_assert(!conf_is_trusted(c, &un));
	ck_assert_str_eq(conf_destination_for(c, "example.NET")->hosts[0].name, "net.example");
	ck_assert_uint_eq(conf_destination_for(c, "example.net")->hosts[0].port, 587);
	ck_assert_str_eq(conf_destination_for(c, "other.example")->hosts[0].name, "out.example");
	ck_assert_uint_eq(conf_destination_for(c, "other.example")->hosts[0].port, 25);
	conf_free(c);
}
END_TEST

static char *
whole_file(const char *path)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = fopen(path, "r");

	ck_assert_msg(f != NULL, "%s is not here: run the tests from the root", path);
	ck_assert_int_gt(getdelim(&text, &len, '\0', f), 0);
	fclose(f);
	return text;
}

START_TEST(shipped_file_parses)
{
	char *text = whole_file("minimta.conf"), *p;

	conf_free(must(text));
	/* What is commented out is right as well, and it is the default. */
	for (p = text; (p = strstr(p, "\n#")) != NULL; p++)
		if (p[2] != ' ' && p[2] != '\n' && p[2] != '#')
			p[1] = ' ';
	conf_free(must(text));
	free(text);
}
END_TEST

START_TEST(manual_has_every_option)
{
	char *manual = whole_file("man/minimta.conf.5"), *shipped = whole_file("minimta.conf"), item[80];

	for (size_t i = 0; i < CONF_OPTIONS; i++) {
		snprintf(item, sizeof(item), "\n.It Ic %s", conf_options[i].name);
		ck_assert_msg(strstr(manual, item) != NULL, "%s is not in the manual", conf_options[i].name);
		ck_assert_msg(strstr(shipped, conf_options[i].name) != NULL, "%s is not in minimta.conf",
		    conf_options[i].name);
	}
	free(manual);
	free(shipped);
}
END_TEST

#define COUNT(a)	((int)(sizeof(a) / sizeof((a)[0])))

int
main(void)
{
	TCase *t = tcase_create("conf");

	tcase_add_loop_test(t, every_mistake_has_its_line, 0, COUNT(mistakes));
	tcase_add_test(t, nul_is_named);
	tcase_add_test(t, defaults);
	tcase_add_test(t, all_options_round_trip);
	tcase_add_loop_test(t, any_bytes_round_trip, 0, 50);
	tcase_add_test(t, from_a_descriptor);
	tcase_add_loop_test(t, durations_as_written, 0, COUNT(durations));
	tcase_add_loop_test(t, sizes_as_written, 0, COUNT(sizes));
	tcase_add_test(t, questions);
	tcase_add_test(t, shipped_file_parses);
	tcase_add_test(t, manual_has_every_option);
	return run_case("conf", t);
}
