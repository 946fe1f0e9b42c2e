/*
 * Commands that get mail (mda/command.h). Decides their environment and limits, and what their exit codes mean. No byte of
 * a message becomes an argument, and no shell is run unless the entry names one.
 */
#include "mda/command.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/address.h"
#include "lib/alloc.h"
#include "lib/command.h"
#include "mda/child.h"
#include "mda/forward.h"

#define STATUS_FD	3
#define OPEN_FILES	256
#define FILE_BYTES	(1024UL * 1024 * 1024)
#define MEMORY_BYTES	(4096UL * 1024 * 1024)
#define VARIABLES_MAX	16
#define SAFE		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%-_=+:,./!"

/* ---- on its way to the runner ---- */

void
command_pack(struct pack *p, const struct command *c)
{
	pack_u32(p, (uint32_t)c->uid);
	pack_u32(p, (uint32_t)c->gid);
	pack_str(p, c->user);
	pack_str(p, c->home);
	pack_str(p, c->text);
	pack_u64(p, c->id);
	pack_str(p, c->state);
	pack_str(p, c->extension);
	pack_u32(p, c->seconds);
	pack_str(p, c->mail.hostname);
	pack_str(p, c->mail.sender);
	pack_str(p, c->mail.recipient);
	pack_str(p, c->mail.head);
	pack_u32(p, c->mail.flags);
	pack_u64(p, c->mail.size);
}

int
command_unpack(struct unpack *u, struct command *c)
{
	memset(c, 0, sizeof(*c));
	c->uid = (uid_t)unpack_u32(u);
	c->gid = (gid_t)unpack_u32(u);
	c->user = unpack_str(u);
	c->home = unpack_str(u);
	c->text = unpack_str(u);
	c->id = unpack_u64(u);
	c->state = unpack_str(u);
	c->extension = unpack_str(u);
	c->seconds = unpack_u32(u);
	c->mail.hostname = unpack_str(u);
	c->mail.sender = unpack_str(u);
	c->mail.recipient = unpack_str(u);
	c->mail.head = unpack_str(u);
	c->mail.flags = unpack_u32(u);
	c->mail.size = unpack_u64(u);
	if (unpack_end(u))
		return 0;
	command_free(c);
	return -1;
}

void
command_free(struct command *c)
{
	free(c->user);
	free(c->home);
	free(c->text);
	free(c->state);
	free(c->extension);
	free((char *)(uintptr_t)c->mail.hostname);
	free((char *)(uintptr_t)c->mail.sender);
	free((char *)(uintptr_t)c->mail.recipient);
	free((char *)(uintptr_t)c->mail.head);
	memset(c, 0, sizeof(*c));
}

/* ---- what its exit means ---- */

/* sysexits.h. What an administrator or time can mend is temporary, what concerns this mail or recipient is not. */
static const struct meaning {
	int			 code;
	enum job_outcome	 outcome;
	const char		*enhanced, *words;
} meanings[] = {
	{ EX_OK,		JOB_DELIVERED,	"2.0.0", "" },
	{ EX_USAGE,		JOB_FAILED,	"5.3.5", "command line usage error" },
	{ EX_DATAERR,		JOB_FAILED,	"5.6.0", "data format error" },
	{ EX_NOINPUT,		JOB_FAILED,	"5.3.0", "cannot open input" },
	{ EX_NOUSER,		JOB_FAILED,	"5.1.1", "user unknown" },
	{ EX_NOHOST,		JOB_FAILED,	"5.1.2", "host name unknown" },
	{ EX_UNAVAILABLE,	JOB_FAILED,	"5.3.0", "service unavailable" },
	{ EX_SOFTWARE,		JOB_FAILED,	"5.3.0", "internal software error" },
	{ EX_OSERR,		JOB_DEFERRED,	"4.3.0", "system resource problem" },
	{ EX_OSFILE,		JOB_FAILED,	"5.3.0", "critical OS file missing" },
	{ EX_CANTCREAT,		JOB_DEFERRED,	"4.2.0", "cannot create an output file" },
	{ EX_IOERR,		JOB_DEFERRED,	"4.3.0", "input/output error" },
	{ EX_TEMPFAIL,		JOB_DEFERRED,	"4.3.0", "temporary failure" },
	{ EX_PROTOCOL,		JOB_FAILED,	"5.5.0", "remote error in protocol" },
	{ EX_NOPERM,		JOB_FAILED,	"5.7.0", "permission denied" },
	{ EX_CONFIG,		JOB_DEFERRED,	"4.3.5", "configuration error" },
	{ 126,			JOB_DEFERRED,	"4.3.5", "the program cannot be executed" },		/* as shells have it */
	{ 127,			JOB_DEFERRED,	"4.3.5", "the program cannot be executed" },
};

static const struct meaning *
meaning_of(int code)
{
	static const struct meaning other = { -1, JOB_FAILED, "5.3.0", "unknown exit code" };

	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
		if (meanings[i].code == code)
			return &meanings[i];
	return &other;
}

/* One line of what it said, for the log and the sender. */
static void
add_output(char *to, size_t size, const char *output, size_t len)
{
	size_t at = strlen(to);

	while (len > 0 && (output[len - 1] == '\n' || output[len - 1] == ' '))
		len--;
	if (len == 0)
		return;
	at += (size_t)snprintf(to + at, size - at, ": ");
	for (size_t i = 0; i < len && at + 1 < size; i++)
		to[at++] = (unsigned char)output[i] < 0x20 || output[i] == 0x7f ? ' ' : output[i];
	to[at] = '\0';
}

void
command_result(int status, const char *output, size_t len, struct mail_result *r)
{
	const struct meaning *m;

	if (WIFSIGNALED(status)) {
		mail_fail(r, JOB_DEFERRED, "4.3.0", "the command was ended by signal %d", WTERMSIG(status));
	} else if (WEXITSTATUS(status) == 0) {
		mail_fail(r, JOB_DELIVERED, "2.0.0", "given to the command");
	} else {
		m = meaning_of(WEXITSTATUS(status));
		mail_fail(r, m->outcome, m->enhanced, "the command exited with %d, %s", WEXITSTATUS(status), m->words);
	}
	add_output(r->text, sizeof(r->text), output, len);
}

/* ---- the command itself ---- */

/* Addresses are strangers' words: shells have run what they found in variables, and programs take "-x" for an option. */
char *
command_variable(const char *name, const char *value)
{
	char *text = alloc_printf("%s=%s", name, value);

	for (char *first = text + strlen(name) + 1, *p = first; *p != '\0'; p++)
		if (strchr(SAFE, *p) == NULL || (p == first && *p == '-'))
			*p = '_';
	return text;
}

static char *
plain_variable(const char *name, const char *value)
{
	char *text = alloc_printf("%s=%s", name, value);

	return text;
}

static void
make_environment(const struct command *c, char *env[VARIABLES_MAX])
{
	struct address a;		/* without quotes */
	int n = 0;

	if (address_parse(&a, c->mail.recipient, ADDRESS_UTF8 | ADDRESS_BARE, NULL) != ADDRESS_OK)
		memset(&a, 0, sizeof(a));
	env[n++] = plain_variable("PATH", "/usr/local/bin:/usr/bin:/bin");
	env[n++] = plain_variable("HOME", c->home);
	env[n++] = plain_variable("USER", c->user);
	env[n++] = plain_variable("LOGNAME", c->user);
	env[n++] = plain_variable("SHELL", "/bin/sh");
	env[n++] = plain_variable("LANG", "C");
	if (getenv("TZ") != NULL)
		env[n++] = plain_variable("TZ", getenv("TZ"));
	env[n++] = command_variable("SENDER", c->mail.sender);
	env[n++] = command_variable("RECIPIENT", c->mail.recipient);
	env[n++] = command_variable("LOCAL", a.local);
	env[n++] = command_variable("DOMAIN", a.domain);
	env[n++] = command_variable("EXTENSION", c->extension);
	env[n] = NULL;
}

static void	give_up(int status_fd, enum job_outcome, const char *enhanced, const char *what, const char *why)
		    __attribute__((noreturn));

static void
give_up(int status_fd, enum job_outcome outcome, const char *enhanced, const char *what, const char *why)
{
	struct mail_result result = { 0 };

	mail_fail(&result, outcome, enhanced, "%s: %s", what, why);
	child_say(status_fd, &result, NULL, 0);
	_exit(EX_TEMPFAIL);
}

static void
set_limit(int resource, rlim_t most)
{
	struct rlimit limit = { most, most };

	setrlimit(resource, &limit);
}

static void
become(const struct command *c, int status)
{
	if (c->uid == 0)
		give_up(status, JOB_DEFERRED, "4.3.5", "command", "root runs no commands; command_user names somebody else");
	if (geteuid() == 0 && (initgroups(c->user, c->gid) != 0 || setresgid(c->gid, c->gid, c->gid) != 0 ||
	    setresuid(c->uid, c->uid, c->uid) != 0))
		give_up(status, JOB_DEFERRED, "4.3.5", "become user", strerror(errno));
	if (getuid() != c->uid || geteuid() != c->uid || setresuid(0, 0, 0) == 0)
		give_up(status, JOB_DEFERRED, "4.3.5", "become user", "it did not work");
}

/* The entry that is meant; by then this is the user, and reads his own file. */
static const char *
find_text(const struct command *c, int status)
{
	char note[FORWARD_NOTE_MAX];
	struct alias_list list;
	const char *text;

	if (c->text[0] != '\0')
		return c->text;
	if (forward_read(c->home, c->uid, c->gid, &list, note) != FORWARD_FOUND)
		give_up(status, note[0] != '\0' ? JOB_DEFERRED : JOB_FAILED, note[0] != '\0' ? "4.3.0" : "5.3.0", "~/.forward",
		    note[0] != '\0' ? note : "there is none any more");
	if ((text = forward_find(&list, ALIAS_COMMAND, c->id)) == NULL)
		give_up(status, JOB_FAILED, "5.3.0", "~/.forward", "it does not name this command any more");
	return text;
}

static void
check_loop(const struct command *c, int status)
{
	struct mail_result result = { 0 };

	/* What a user has put there himself cannot be a loop. */
	if (c->text[0] == '\0' || mail_check_loop(&c->mail, &result) == 0)
		return;
	child_say(status, &result, NULL, 0);
	_exit(EX_TEMPFAIL);
}

static void
limit(const struct command *c)
{
	sigset_t none;

	umask(077);
	for (int s = 1; s < NSIG; s++)
		signal(s, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	set_limit(RLIMIT_CORE, 0);
	set_limit(RLIMIT_NOFILE, OPEN_FILES);
	set_limit(RLIMIT_FSIZE, FILE_BYTES);
	set_limit(RLIMIT_AS, MEMORY_BYTES);
	set_limit(RLIMIT_CPU, c->seconds);
}

void
command_exec(const struct command *c, int input, int output, int status)
{
	char *argv[COMMAND_WORDS_MAX + 1], *env[VARIABLES_MAX];
	const char *why;

	setsid();
	if (dup2(input, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0)
		_exit(EX_OSERR);
	become(c, status);
	check_loop(c, status);
	status = dup3(status, STATUS_FD, O_CLOEXEC);
	close_range(STATUS_FD + 1, ~0U, 0);
	limit(c);
	if (chdir(c->home) != 0 && chdir("/") != 0)
		give_up(status, JOB_DEFERRED, "4.3.0", "/", strerror(errno));
	if (command_split(find_text(c, status), argv, &why) < 0)
		give_up(status, JOB_FAILED, "5.3.5", "command", why);
	make_environment(c, env);
	execvpe(argv[0], argv, env);
	give_up(status, JOB_DEFERRED, "4.3.5", argv[0], strerror(errno));
}
