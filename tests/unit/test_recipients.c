/*
 * lookup/recipients.c, targets.c, alias_file.c and lib/mailbox.c, over files and directories in a temporary place. The
 * user "daemon", who exists everywhere, stands for whoever started minimta.
 */
#include <check.h>
#include <ftw.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/mailbox.h"
#include "lib/alias_file.h"
#include "lib/clock.h"
#include "lookup/recipients.h"
#include "tests/unit/run.h"

static struct conf *conf;
static struct alias_file *file;
static struct recipients r;
static char dir[128];

static void
write_file(const char *name, const char *text)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	ck_assert_ptr_nonnull(f = fopen(path, "w"));
	fputs(text, f);
	fclose(f);
}

static void
make_directory(const char *name)
{
	char path[512];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	ck_assert_int_eq(mkdir(path, 0755), 0);
}

static void
ignore_line(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

static void
set_up_with(const char *aliases, const char *root_mail)
{
	char text[1024], path[512], err[512];

	log_set_sink(ignore_line, NULL);
	snprintf(dir, sizeof(dir), "/tmp/minimta-test.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(text, sizeof(text), "hostname = mail.example.org\ndomains = { example.org, example.net, example.com }\naliases = %s/aliases\n"
	    "virtual_directory = %s/virtual\nstate = %s\nroot_mail = \"%s\"\n", dir, dir, dir, root_mail);
	write_file("minimta.conf", text);
	make_directory("virtual");
	make_directory("virtual/example.org");
	make_directory("virtual/example.org/anna");
	make_directory("virtual/example.org/x+y");
	write_file("virtual/example.org/file", "");
	write_file("aliases", aliases);
	snprintf(path, sizeof(path), "%s/minimta.conf", dir);
	conf = conf_read(path, err, sizeof(err));
	ck_assert_msg(conf != NULL, "%s", err);
	snprintf(path, sizeof(path), "%s/aliases", dir);
	file = alias_file_new(path, geteuid(), false);
	r = (struct recipients){ .conf = conf, .aliases = alias_file_get(file), .started_by = getpwnam("daemon")->pw_uid };
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void
tear_down(void)
{
	alias_file_free(file);
	conf_free(conf);
	ck_assert_int_eq(nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static const char *sender = "s@far.example";

/* What an address expands to: "m:a@x r:b@y", or the verdict in words. o: a mailbox as it is; c: a command, f: a file. */
static const char *
expanded(const char *address)
{
	static const char *const verdicts[] = { "ok", "unknown", "loop", "temporary", "error" };
	static const char kinds[] = { [TARGET_MAILBOX] = 'm', [TARGET_REMOTE] = 'r', [TARGET_OWN_MAILBOX] = 'o', [TARGET_COMMAND] = 'c',
	    [TARGET_FILE] = 'f' };
	static char text[1024];
	struct expansion e;
	struct address a;

	ck_assert_int_eq(address_parse(&a, address, ADDRESS_UTF8 | ADDRESS_BARE, NULL), ADDRESS_OK);
	targets_find(&r, &a, sender, &e);
	snprintf(text, sizeof(text), "%s", e.verdict == EXPAND_OK ? "" : verdicts[e.verdict]);
	for (size_t i = 0; e.verdict == EXPAND_OK && i < e.n; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%c:%s", i > 0 ? " " : "",
		    kinds[e.targets[i].kind], e.targets[i].address);
	if (e.owner[0] != '\0')
		snprintf(text + strlen(text), sizeof(text) - strlen(text), " from:%s", e.owner);
	ck_assert(e.verdict == EXPAND_OK || e.text[0] != '\0');
	expansion_free(&e);
	return text;
}

static enum recipient_kind
found(const char *local, const char *domain)
{
	const struct alias *alias;

	return recipients_find(&r, local, domain, &alias);
}

START_TEST(test_find)
{
	static const struct { const char *local, *domain; enum recipient_kind kind; } want[] = {
		{ "daemon", "example.org", RECIPIENT_MAILBOX }, { "DAEMON", "example.net", RECIPIENT_MAILBOX },
		{ "daemon+tag", "example.org", RECIPIENT_MAILBOX }, { "daemon+", "example.org", RECIPIENT_MAILBOX },
		{ "+daemon", "example.org", RECIPIENT_NONE }, { "bin", "example.org", RECIPIENT_NONE },
		{ "nobody", "example.org", RECIPIENT_NONE }, { "", "example.org", RECIPIENT_NONE },
		{ "anna", "example.org", RECIPIENT_MAILBOX }, { "ANNA+x", "example.org", RECIPIENT_MAILBOX },
		{ "anna", "example.net", RECIPIENT_NONE }, { "x+y", "example.org", RECIPIENT_MAILBOX },
		{ "x+z", "example.org", RECIPIENT_NONE }, { "file", "example.org", RECIPIENT_NONE },
		{ ".", "example.org", RECIPIENT_NONE }, { "..", "example.org", RECIPIENT_NONE },
		{ "../example.org/anna", "example.org", RECIPIENT_NONE }, { "anna/", "example.org", RECIPIENT_NONE },
		{ "root", "example.org", RECIPIENT_ROOT }, { "Root+x", "example.net", RECIPIENT_ROOT },
		{ "postmaster", "example.org", RECIPIENT_ROOT }, { "PostMaster", "", RECIPIENT_ROOT },
		{ "team", "example.org", RECIPIENT_ALIAS }, { "Team+x", "example.net", RECIPIENT_ALIAS },
		{ "info", "example.net", RECIPIENT_ALIAS }, { "info", "example.org", RECIPIENT_NONE },
		{ "wrong", "example.org", RECIPIENT_ALIAS },
	};

	set_up_with("team: daemon\ninfo@example.net: daemon\nwrong: |cmd; x\n", "");
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		ck_assert_msg(found(want[i].local, want[i].domain) == want[i].kind, "%s@%s", want[i].local, want[i].domain);
	r.aliases = NULL;
	ck_assert_int_eq(found("daemon", "example.org"), RECIPIENT_TEMPORARY);
	tear_down();
}
END_TEST

/* Started by root, services are no mailboxes. */
START_TEST(test_people)
{
	struct mailbox mb;

	set_up_with("", "");
	ck_assert_int_eq(mailbox_find(conf, 0, "daemon", "example.org", &mb), MAILBOX_NONE);
	ck_assert_int_eq(mailbox_find(conf, 0, "nobody", "example.org", &mb), MAILBOX_NONE);
	ck_assert_int_eq(mailbox_find(conf, 0, "root", "example.org", &mb), MAILBOX_FOUND);
	ck_assert(mb.root && mb.uid == 0);
	ck_assert_str_eq(mb.maildir, "root/Maildir");
	ck_assert_str_eq(mb.base, dir);
	ck_assert_int_eq(mailbox_find_tagged(conf, r.started_by, "Daemon+a+b", "example.org", &mb), MAILBOX_FOUND);
	ck_assert_str_eq(mb.base, getpwnam("daemon")->pw_dir);
	ck_assert_int_eq(mailbox_find_tagged(conf, r.started_by, "anna+a", "example.org", &mb), MAILBOX_FOUND);
	ck_assert_str_eq(mb.maildir, "anna");
	ck_assert_str_eq(mb.user, "example.org/anna");
	ck_assert_uint_eq(mb.uid, r.started_by);
	tear_down();
}
END_TEST

static const char aliases_text[] =
	"one: daemon\n"
	"tag: \\anna+x\n"
	"far: a@far.example, A@FAR.example\n"
	"two: one, far, one, daemon@example.org, daemon@EXAMPLE.org\n"
	"daemon: daemon, copy@far.example\n"
	"anna@example.org: \\anna, daemon\n"
	"loop: loop2\nloop2: loop3\nloop3: daemon, loop\n"
	"self: self\n"
	"gone: nosuch, b@far.example\n"
	"wrong: daemon, |cmd; x\nuses: wrong\n"
	"net: daemon@example.net\n"
	"webmaster: postmaster\n";

START_TEST(test_expand)
{
	static const struct { const char *address, *want; } rows[] = {
		{ "one@example.org", "m:daemon@example.org r:copy@far.example" },
		{ "daemon@example.net", "m:daemon@example.net r:copy@far.example" },
		{ "daemon+t@example.org", "m:daemon@example.org r:copy@far.example" },
		{ "anna+t@example.net", "unknown" },
		{ "tag@example.org", "o:anna+x@example.org" },
		{ "far@example.org", "r:a@far.example r:A@far.example" },
		{ "two@example.org", "m:daemon@example.org r:copy@far.example r:a@far.example r:A@far.example" },
		{ "anna@example.org", "o:anna@example.org m:daemon@example.org r:copy@far.example" },
		{ "loop@example.org", "loop" }, { "loop3@example.org", "loop" }, { "self@example.org", "loop" },
		{ "gone@example.org", "m:nosuch@example.org r:b@far.example" },
		{ "wrong@example.org", "error" }, { "uses@example.org", "error" },
		{ "net@example.org", "m:daemon@example.net r:copy@far.example" },
		{ "nosuch@example.org", "unknown" }, { "a@far.example", "unknown" },
		{ "root@example.org", "m:root@example.org" }, { "postmaster", "m:root@example.org" },
		{ "Postmaster@example.net", "m:root@example.net" }, { "webmaster@example.org", "m:root@example.org" },
	};

	set_up_with(aliases_text, "");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_msg(strcmp(expanded(rows[i].address), rows[i].want) == 0, "%s: %s", rows[i].address,
		    expanded(rows[i].address));
	tear_down();
}
END_TEST

/* What a whole domain has; commands and files, which are told by the address that they are for. */
START_TEST(test_more_targets)
{
	static const struct { const char *address, *want; } rows[] = {
		{ "nosuch@example.net", "m:daemon@example.net" },
		{ "daemon@example.net", "m:daemon@example.net" },
		{ "list@example.net", "r:x@far.example m:daemon@example.net" },
		{ "nosuch@example.org", "unknown" },
		{ "all@example.org", "r:all@other.example" },
		{ "\"a b\"@example.com", "r:\"a b\"@other.example" },
		{ "tickets@example.org", "c:tickets@example.org f:tickets@example.org" },
		{ "tickets+7@example.org", "c:tickets+7@example.org f:tickets+7@example.org" },
		{ "both@example.org", "c:tickets@example.org f:tickets@example.org c:both@example.org" },
	};

	set_up_with("@example.net: daemon\nlist: x@far.example, nosuch\nall: @other.example\n@example.com: @other.example\n"
	    "tickets: |cmd, /a/b\nboth: tickets, |cmd\n", "");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_msg(strcmp(expanded(rows[i].address), rows[i].want) == 0, "%s: %s", rows[i].address,
		    expanded(rows[i].address));
	ck_assert_int_eq(found("nosuch", "example.net"), RECIPIENT_ALIAS);
	ck_assert_int_eq(found("nosuch", "example.org"), RECIPIENT_NONE);
	tear_down();
}
END_TEST

/* Commands only from files that are root's, or his who started minimta. */
START_TEST(test_untrusted_file)
{
	char path[256];

	set_up_with("tickets: |cmd\nlist: :include:/nonexistent\n", "");
	snprintf(path, sizeof(path), "%s/aliases", dir);
	chmod(path, 0664);
	ck_assert_int_eq(alias_file_read(file, path, sizeof(path)), 0);
	r.aliases = alias_file_get(file);
	ck_assert_str_eq(expanded("tickets@example.org"), "error");
	tear_down();
}
END_TEST

START_TEST(test_owner)
{
	set_up_with("list: daemon, x@far.example\nowner-list: boss@far.example\nother: list\nthird: list, daemon\n"
	    "owner-owner-list: x@far.example\nnews@example.net: x@far.example\n", "");
	ck_assert_str_eq(expanded("list@example.org"), "m:daemon@example.org r:x@far.example from:owner-list@example.org");
	ck_assert_str_eq(expanded("List+x@example.net"), "m:daemon@example.net r:x@far.example from:owner-list@example.net");
	ck_assert_str_eq(expanded("other@example.org"), "m:daemon@example.org r:x@far.example from:owner-list@example.org");
	ck_assert_str_eq(expanded("third@example.org"), "m:daemon@example.org r:x@far.example");
	ck_assert_str_eq(expanded("owner-list@example.org"), "r:boss@far.example");
	ck_assert_str_eq(expanded("news@example.net"), "r:x@far.example");
	sender = "";
	ck_assert_str_eq(expanded("list@example.org"), "m:daemon@example.org r:x@far.example");
	sender = "s@far.example";
	tear_down();
}
END_TEST

START_TEST(test_srs)
{
	const struct srs_secrets secrets = { { "secret", "older" } }, others = { { "guess", NULL } };
	char ours[ADDRESS_MAX], forged[ADDRESS_MAX], old[ADDRESS_MAX];

	set_up_with("", "");
	ck_assert_int_eq(srs_forward(ours, "anna@far.example", "example.org", &secrets, (time_t)clock_wall()), SRS_OK);
	ck_assert_int_eq(srs_forward(forged, "anna@far.example", "example.org", &others, (time_t)clock_wall()), SRS_OK);
	ck_assert_int_eq(srs_forward(old, "anna@far.example", "example.org", &secrets, (time_t)clock_wall() - 40 * 86400), SRS_OK);
	sender = "";
	ck_assert_str_eq(expanded(ours), "unknown");	/* no secrets: nobody */
	r.srs = &secrets;
	ck_assert_str_eq(expanded(ours), "r:anna@far.example");
	ck_assert_str_eq(expanded(forged), "unknown");
	ck_assert_str_eq(expanded(old), "unknown");
	sender = "s@far.example";
	ck_assert_str_eq(expanded(ours), "unknown");
	tear_down();
}
END_TEST

START_TEST(test_root_mail)
{
	set_up_with("both: root, postmaster\n", "anna@example.org");
	ck_assert_str_eq(expanded("root@example.net"), "m:anna@example.org");
	ck_assert_str_eq(expanded("postmaster"), "m:anna@example.org");
	ck_assert_str_eq(expanded("both@example.org"), "m:anna@example.org");
	tear_down();
}
END_TEST

START_TEST(test_root_mail_is_root)
{
	set_up_with("anna@example.org: root\n", "anna@example.org");
	ck_assert_str_eq(expanded("anna@example.org"), "loop");
	tear_down();
}
END_TEST

START_TEST(test_root_alias)
{
	set_up_with("root: \\root, daemon\npostmaster: root\n", "far@far.example");
	ck_assert_str_eq(expanded("postmaster@example.org"), "m:root@example.org m:daemon@example.org");
	tear_down();
}
END_TEST

/* Fifty thousand members, with doubles; a list that includes itself, and one that is not there. */
START_TEST(test_include)
{
	char text[2048], path[256], *list = malloc(2 << 20);
	struct expansion e;
	struct address a;
	size_t len = 0;

	set_up_with("", "");
	snprintf(text, sizeof(text), "all: :include:%s/list, u1@far.example\nself: :include:%s/self\nnone: :include:%s/none\n"
	    "member: :include:%s/member\nopen: :include:%s/open\nbad: :include:%s/bad\ndaemon: :include:%s/own\n", dir, dir, dir, dir,
	    dir, dir, dir);
	write_file("aliases", text);
	ck_assert_int_eq(alias_file_read(file, text, sizeof(text)), 0);
	r.aliases = alias_file_get(file);
	for (int i = 0; i < 100000; i++)
		len += (size_t)snprintf(list + len, (2 << 20) - len, "u%d@far.example\n", i % 50000);
	write_file("list", list);
	snprintf(text, sizeof(text), "a@far.example\n:include:%s/self\n", dir);
	write_file("self", text);
	write_file("member", "a@far.example, member\n");
	write_file("own", "a@far.example, daemon\n");
	write_file("open", "a@far.example\n");
	write_file("bad", "a@far.example\n|cmd; x\n");
	snprintf(path, sizeof(path), "%s/open", dir);
	chmod(path, 0666);
	address_parse(&a, "all@example.org", 0, NULL);
	targets_find(&r, &a, "", &e);
	ck_assert_int_eq(e.verdict, EXPAND_OK);
	ck_assert_uint_eq(e.n, 50000);
	ck_assert_str_eq(e.targets[49999].address, "u49999@far.example");
	expansion_free(&e);
	ck_assert_str_eq(expanded("self@example.org"), "loop");
	ck_assert_str_eq(expanded("member@example.org"), "loop");
	ck_assert_str_eq(expanded("daemon@example.org"), "r:a@far.example m:daemon@example.org");
	ck_assert_str_eq(expanded("none@example.org"), "temporary");
	ck_assert_str_eq(expanded("open@example.org"), "temporary");
	ck_assert_str_eq(expanded("bad@example.org"), "error");
	free(list);
	tear_down();
}
END_TEST

/* A chain deeper than any sane one must end, and not by running out of stack. */
START_TEST(test_deep)
{
	char *text = malloc(4 << 20);
	size_t len = 0;

	for (int i = 0; i < 100000; i++)
		len += (size_t)snprintf(text + len, (4 << 20) - len, "a%d: a%d\n", i, i + 1);
	set_up_with(text, "");
	ck_assert_str_eq(expanded("a0@example.org"), "loop");
	free(text);
	tear_down();
}
END_TEST

START_TEST(test_file)
{
	char err[512], path[256];

	set_up_with("a: daemon\n", "");
	ck_assert_ptr_nonnull(aliases_find(alias_file_get(file), "a"));
	write_file("aliases", "b: daemon\n");
	ck_assert_int_eq(alias_file_read(file, err, sizeof(err)), 0);
	ck_assert_ptr_null(aliases_find(alias_file_get(file), "a"));
	snprintf(path, sizeof(path), "%s/aliases", dir);
	chmod(path, 0666);
	ck_assert_int_eq(alias_file_read(file, err, sizeof(err)), -1);
	ck_assert_ptr_nonnull(strstr(err, "everybody may write"));
	ck_assert_ptr_nonnull(aliases_find(alias_file_get(file), "b"));
	unlink(path);
	mkdir(path, 0755);
	ck_assert_int_eq(alias_file_read(file, err, sizeof(err)), -1);
	rmdir(path);
	ck_assert_int_eq(alias_file_read(file, err, sizeof(err)), 0);
	ck_assert_uint_eq(aliases_count(alias_file_get(file)), 0);
	tear_down();
}
END_TEST

int
main(void)
{
	TCase *tests = tcase_create("recipients");

	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, test_find);
	tcase_add_test(tests, test_people);
	tcase_add_test(tests, test_expand);
	tcase_add_test(tests, test_more_targets);
	tcase_add_test(tests, test_untrusted_file);
	tcase_add_test(tests, test_owner);
	tcase_add_test(tests, test_srs);
	tcase_add_test(tests, test_root_mail);
	tcase_add_test(tests, test_root_mail_is_root);
	tcase_add_test(tests, test_root_alias);
	tcase_add_test(tests, test_include);
	tcase_add_test(tests, test_deep);
	tcase_add_test(tests, test_file);
	return run_case("recipients", tests);
}
