/*
 * What each process gives up (lib/sandbox.h): one table of users, roots, files and system calls. Called by lib/process.c at
 * the end of a process' start; master asks it for the users.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "lib/landlock.h"
#include "lib/sandbox.h"

enum root { ROOT_EMPTY, ROOT_SPOOL, ROOT_KEEP };
enum files { FILES_NONE, FILES_SPOOL, FILES_READ, FILES_MAIL, FILES_HERE, FILES_STATE };	/* what can be opened, where the kernel has Landlock */

struct row {
	const char	*user;		/* NULL: stays what it is */
	enum root	 root;
	enum files	 files;
	const char	*calls;		/* beyond the common ones */
};

/* Names in the lists below that are no system calls, but calls with conditions. With several rows, any of them will do. */
#define NEW_NAMESPACE	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)
#define FORK_FLAGS	(0xff | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | CLONE_PARENT_SETTID)
#define ANY_WRITING	(O_ACCMODE | O_CREAT | O_TRUNC | O_APPEND | (O_TMPFILE & ~O_DIRECTORY))

static const struct condition {
	const char		*name, *call;
	unsigned		 n;
	struct scmp_arg_cmp	 args[2];
} conditions[] = {
	{ "is-terminal", "ioctl", 1, { { 1, SCMP_CMP_EQ, TCGETS, 0 } } },
	{ "unix-socket", "socket", 1, { { 0, SCMP_CMP_EQ, AF_UNIX, 0 } } },
	{ "inet-socket", "socket", 1, { { 0, SCMP_CMP_EQ, AF_INET, 0 } } },
	{ "inet-socket", "socket", 1, { { 0, SCMP_CMP_EQ, AF_INET6, 0 } } },
	{ "tcp-socket", "socket", 2, { { 0, SCMP_CMP_EQ, AF_INET, 0 }, { 1, SCMP_CMP_MASKED_EQ, 0xf, SOCK_STREAM } } },
	{ "tcp-socket", "socket", 2, { { 0, SCMP_CMP_EQ, AF_INET6, 0 }, { 1, SCMP_CMP_MASKED_EQ, 0xf, SOCK_STREAM } } },
	/* Memory whose bytes are never executed. */
	{ "data-memory", "mmap", 1, { { 2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0 } } },
	{ "data-memory", "mprotect", 1, { { 2, SCMP_CMP_MASKED_EQ, PROT_EXEC, 0 } } },
	/* Or for libraries that the C library loads when it needs them: executed, and then not written. */
	{ "code-memory", "mmap", 1, { { 2, SCMP_CMP_MASKED_EQ, PROT_EXEC | PROT_WRITE, PROT_EXEC } } },
	{ "code-memory", "mprotect", 1, { { 2, SCMP_CMP_MASKED_EQ, PROT_EXEC | PROT_WRITE, PROT_EXEC } } },
	/* None that names a process that is to get signals. */
	{ "descriptor-flags", "fcntl", 1, { { 1, SCMP_CMP_LE, F_SETFL, 0 } } },
	{ "descriptor-flags", "fcntl", 1, { { 1, SCMP_CMP_EQ, F_DUPFD_CLOEXEC, 0 } } },
	{ "unix-pair", "socketpair", 1, { { 0, SCMP_CMP_EQ, AF_UNIX, 0 } } },
	{ "file-lock", "fcntl", 1, { { 1, SCMP_CMP_EQ, F_SETLK, 0 } } },
	{ "open-for-reading", "open", 1, { { 1, SCMP_CMP_MASKED_EQ, ANY_WRITING, 0 } } },
	{ "open-for-reading", "openat", 1, { { 2, SCMP_CMP_MASKED_EQ, ANY_WRITING, 0 } } },
	{ "thread", "clone", 1, { { 0, SCMP_CMP_MASKED_EQ, CLONE_THREAD | NEW_NAMESPACE, CLONE_THREAD } } },
	{ "fork", "clone", 1, { { 0, SCMP_CMP_MASKED_EQ, ~(scmp_datum_t)FORK_FLAGS, 0 } } },
	{ "fork", "fork", 0, { { 0 } } },
	/* One process, not a group or all. */
	{ "end-child", "kill", 2, { { 0, SCMP_CMP_LE, INT_MAX, 0 }, { 1, SCMP_CMP_EQ, SIGKILL, 0 } } },
	{ "thread-name", "prctl", 1, { { 0, SCMP_CMP_EQ, PR_SET_NAME, 0 } } },
	/* libcap does when it is loaded, as a part of the modules for user names. */
	{ "read-capabilities", "prctl", 1, { { 0, SCMP_CMP_EQ, PR_CAPBSET_READ, 0 } } },
	{ "die-with-parent", "prctl", 1, { { 0, SCMP_CMP_EQ, PR_SET_PDEATHSIG, 0 } } },
	{ "hide", "prctl", 2, { { 0, SCMP_CMP_EQ, PR_SET_DUMPABLE, 0 }, { 1, SCMP_CMP_EQ, 0, 0 } } },
};
#define N_CONDITIONS (sizeof(conditions) / sizeof(conditions[0]))

/* What libc, libevent, timers and channels need everywhere. */
static const char common[] =
	"read readv write writev recvmsg sendmsg recvfrom sendto close epoll_wait epoll_pwait epoll_ctl epoll_create1 poll "
	"ppoll futex clock_gettime clock_nanosleep gettimeofday time getrandom brk data-memory munmap mremap madvise "
	"rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack exit exit_group getpid gettid restart_syscall descriptor-flags "
	"fstat newfstatat lseek sched_yield set_robust_list rseq getuid geteuid getgid getegid shutdown setsockopt getsockopt "
	"getsockname getpeername sysinfo "	/* sysinfo: qsort() of much asks for the size of memory */
	"is-terminal ";			/* libconfuse asks, when another configuration is read */

/* Only in builds with a sanitizer, whose runtime does more. */
static const char sanitizer[] =
#ifdef __SANITIZE_ADDRESS__
	"openat open readlink readlinkat prctl sched_getaffinity getrlimit prlimit64 personality clone clone3 wait4 dup "
	"dup2 ioctl access stat getdents64 kill sysinfo uname getppid mmap mprotect fcntl tgkill ";
#else
	"";
#endif

static const struct row rows[PROC_COUNT] = {
	[PROC_SMTPD] = { "_minimta_smtpd", ROOT_EMPTY, FILES_NONE, "accept4 accept dup" },
	/* openat: c-ares looks for /dev/urandom when it makes a channel (mx/resolver.c does not rely on it). */
	[PROC_RESOLVER] = { "_minimta_resolver", ROOT_EMPTY, FILES_NONE, "inet-socket connect open-for-reading" },
	/* unix-socket and connect: the password file may be behind nscd or another daemon of this machine. */
	/* Files anywhere: an alias may name a list by its path. */
	/* From openat on: the thread that keeps what filters remember. */
	[PROC_LOOKUP] = { "_minimta_lookup", ROOT_KEEP, FILES_STATE,
	    "open-for-reading code-memory access faccessat faccessat2 stat lstat statx getdents64 readlink readlinkat pread64 "
	    "uname unix-socket connect "
	    "openat pwrite64 fsync fdatasync ftruncate unlinkat renameat renameat2 flock thread sched_getaffinity" },
	[PROC_QUEUE] = { "_minimta_queue", ROOT_SPOOL, FILES_SPOOL,
	    "openat pread64 preadv pwrite64 pwritev fdatasync fsync fallocate ftruncate unlinkat renameat renameat2 mkdirat "
	    "linkat getdents64 flock fstatfs statfs statx eventfd2 thread fadvise64 sync_file_range thread-name "
	    "sched_getaffinity" },
	[PROC_DELIVERY] = { "_minimta_delivery", ROOT_EMPTY, FILES_NONE, "tcp-socket connect bind" },
	/* The parent forks and becomes the recipient; the child writes a mailbox. Neither may execute anything: commands are
	 * run by the runner (mda/runner.c), which it asks. */
	[PROC_MDA] = { NULL, ROOT_KEEP, FILES_MAIL,
	    "fork wait4 waitid end-child pipe2 memfd_create close_range setgroups setresuid setresgid die-with-parent hide read-capabilities "
	    "unix-pair umask openat openat2 open file-lock flock ftruncate getdents64 code-memory access faccessat faccessat2 stat lstat statx readlink readlinkat pread64 pwrite64 fsync "
	    "unlinkat renameat renameat2 mkdirat uname unix-socket connect" },
	/* unix-socket: syslog(3) connects again when the daemon was restarted. Here: the journal's folder, which it has gone to. */
	[PROC_LOGGER] = { "_minimta_logger", ROOT_KEEP, FILES_HERE,
	    "unix-socket connect openat open-for-reading stat uname pread64 ftruncate unlinkat renameat renameat2 getdents64" },
};

const char *
sandbox_user(enum proc proc)
{
	return rows[proc].user;
}

bool
sandbox_users_exist(char *err, size_t size)
{
	int n = snprintf(err, size, "missing users; minimta --setup creates them, or:");
	bool all = true;

	for (unsigned p = 0; p < PROC_COUNT; p++) {
		if (rows[p].user == NULL || getpwnam(rows[p].user) != NULL)
			continue;
		if (n > 0 && (size_t)n < size)
			n += snprintf(err + n, size - (size_t)n, "%s useradd --system --user-group --no-create-home "
			    "--home-dir /nonexistent --shell /usr/sbin/nologin %s", all ? "" : ";", rows[p].user);
		all = false;
	}
	return all;
}

static int
failed(char *err, size_t size, const char *what, const char *which)
{
	snprintf(err, size, "%s %s: %s", what, which, strerror(errno));
	return -1;
}

static int
drop_to_user(const struct row *row, const struct conf *conf, char *err, size_t size)
{
	const char *root = row->root == ROOT_SPOOL ? conf->spool : conf->empty;
	struct passwd *pw = NULL;

	if (row->user != NULL && (pw = getpwnam(row->user)) == NULL) {
		errno = errno ? errno : ENOENT;
		return failed(err, size, "user", row->user);
	}
	if (row->root != ROOT_KEEP && (chroot(root) != 0 || chdir("/") != 0))
		return failed(err, size, "chroot to", root);
	if (pw == NULL)
		return 0;
	if (setgroups(1, &pw->pw_gid) != 0 || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) != 0 ||
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) != 0)
		return failed(err, size, "become", row->user);
	if (setuid(0) == 0) {
		errno = EPERM;
		return failed(err, size, "root came back after becoming", row->user);
	}
	return 0;
}

/* mda: to become the recipient, to reach folders that are others', and to end a child that has become one. */
static int
keep_capabilities(void)
{
	const uint32_t kept = 1U << CAP_SETUID | 1U << CAP_SETGID | 1U << CAP_KILL | 1U << CAP_DAC_OVERRIDE;
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { .effective = kept, .permitted = kept } };

	return (int)syscall(SYS_capset, &header, data);
}

/* Files anywhere to read, for lookup; and a folder of its own. */
static int
limit_files(const struct row *row, const char *spool, const struct conf *conf)
{
	char memory[4096];
	struct landlock_place places[2] = {
		{ .path = row->files == FILES_SPOOL ? spool : row->files == FILES_HERE ? "." : "/",
		    .rights = row->files == FILES_READ || row->files == FILES_STATE ? LANDLOCK_READ : LANDLOCK_MAIL },
		{ .path = memory, .rights = LANDLOCK_MAIL },
	};

	snprintf(memory, sizeof(memory), "%s/memory", conf->state);
	return landlock_enter(places, row->files == FILES_NONE ? 0 : row->files == FILES_STATE ? 2 : 1);
}

/* Says which call was refused and answers it with ENOSYS. Only what is safe in a signal handler. */
static void
on_sigsys(int sig, siginfo_t *info, void *context)
{
	char line[] = "event=seccomp what=\"system call 0000 is not allowed\"\n";
	char *digit = strstr(line, "0000") + 3;
	ucontext_t *uc = context;

	(void)sig;
	for (int nr = info->si_syscall; nr > 0 && *digit == '0'; nr /= 10)
		*digit-- = (char)('0' + nr % 10);
	if (write(STDERR_FILENO, line, sizeof(line) - 1) < 0)
		return;
#if defined(__x86_64__)
	uc->uc_mcontext.gregs[REG_RAX] = -ENOSYS;
#elif defined(__aarch64__)
	uc->uc_mcontext.regs[0] = (unsigned long long)-ENOSYS;
#else
	(void)uc;
#endif
}

/* A system call that this architecture does not have cannot be made on it. */
static int
allow_call(scmp_filter_ctx ctx, const char *call, unsigned n, const struct scmp_arg_cmp *args)
{
	int nr = seccomp_syscall_resolve_name(call);

	return nr < 0 ? 0 : seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, nr, n, args);
}

static int
allow_named(scmp_filter_ctx ctx, const char *name)
{
	bool found = false;
	int rc = 0;

	for (size_t i = 0; i < N_CONDITIONS && rc == 0; i++) {
		const struct condition *c = &conditions[i];

		if (strcmp(c->name, name) != 0)
			continue;
		rc = allow_call(ctx, c->call, c->n, c->args);
		found = true;
	}
	return found ? rc : allow_call(ctx, name, 0, NULL);
}

static int
allow(scmp_filter_ctx ctx, const char *names)
{
	char name[64];
	size_t len;
	int rc = 0;

	for (; *names != '\0' && rc == 0; names += len + (names[len] == ' ')) {
		len = strcspn(names, " ");
		snprintf(name, sizeof(name), "%.*s", (int)len, names);
		if (len > 0)
			rc = allow_named(ctx, name);
	}
	return rc;
}

/* To itself only, as abort() does. */
static int
allow_own_signals(scmp_filter_ctx ctx)
{
	struct scmp_arg_cmp self = { 0, SCMP_CMP_EQ, (scmp_datum_t)getpid(), 0 };

	return allow_call(ctx, "tgkill", 1, &self);
}

/* Its flags lie in memory, where no filter sees them; without it the C library uses clone(). */
static int
refuse_clone3(scmp_filter_ctx ctx)
{
#ifdef __SANITIZE_ADDRESS__
	(void)ctx;
	return 0;
#else
	int nr = seccomp_syscall_resolve_name("clone3");

	return nr < 0 ? 0 : seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), nr, 0);
#endif
}

static int
filter_calls(const struct row *row, char *err, size_t size)
{
	const char *mode = getenv("MINIMTA_SECCOMP");
	bool kill = mode != NULL && strcmp(mode, "kill") == 0;
	struct sigaction sa = { .sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO };
	scmp_filter_ctx ctx = seccomp_init(kill ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_TRAP);
	int rc = -1;

	if (ctx == NULL)
		return failed(err, size, "seccomp", "filter");
	sigaction(SIGSYS, &sa, NULL);
	if ((rc = allow(ctx, common)) == 0 && (rc = allow(ctx, sanitizer)) == 0 && (rc = allow(ctx, row->calls)) == 0 &&
	    (rc = allow_own_signals(ctx)) == 0 && (rc = refuse_clone3(ctx)) == 0)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
	if (rc != 0) {
		errno = -rc;
		return failed(err, size, "seccomp", "load");
	}
	return 0;
}

int
sandbox_runner(char *err, size_t size)
{
	prctl(PR_SET_DUMPABLE, 0);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return failed(err, size, "prctl", "no_new_privs");
	return geteuid() == 0 && keep_capabilities() != 0 ? failed(err, size, "capset", "for commands") : 0;
}

int
sandbox_enter(enum proc proc, const struct conf *conf, char *err, size_t size)
{
	const struct row *row = &rows[proc];
	bool is_root = geteuid() == 0;

	if (is_root && drop_to_user(row, conf, err, size) != 0)
		return -1;
#ifndef __SANITIZE_ADDRESS__
	/* Changing the user has set it again. */
	prctl(PR_SET_DUMPABLE, 0);
#endif
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return failed(err, size, "prctl", "no_new_privs");
	if (row->user == NULL && is_root && keep_capabilities() != 0)
		return failed(err, size, "capset", "for mda");
	if (limit_files(row, is_root ? "/" : conf->spool, conf) != 0)
		return failed(err, size, "landlock", "rules");
	return filter_calls(row, err, size);
}
