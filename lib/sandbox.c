/*
 * What each process gives up (lib/sandbox.h): one table of users, roots and system calls. Called by lib/process.c at
 * the end of a process' start; master asks it for the users.
 */
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <ucontext.h>
#include <unistd.h>

#include "lib/sandbox.h"

/* Not system calls, but some with a condition: isatty(); socket() of this machine only, or of the Internet only. */
#define IS_TERMINAL	"is-terminal"
#define UNIX_SOCKET	"unix-socket"
#define INET_SOCKET	"inet-socket"

enum root { ROOT_EMPTY, ROOT_SPOOL, ROOT_KEEP };

struct row {
	const char	*user;		/* NULL: stays what it is */
	enum root	 root;
	const char	*calls;		/* beyond the common ones */
};

/* What libc, libevent, timers and channels need everywhere. */
static const char common[] =
	"read readv write writev recvmsg sendmsg recvfrom sendto close epoll_wait epoll_pwait epoll_ctl epoll_create1 poll "
	"ppoll futex clock_gettime clock_nanosleep gettimeofday time getrandom brk mmap munmap mprotect mremap madvise "
	"rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack exit exit_group getpid gettid tgkill restart_syscall fcntl "
	"fstat newfstatat lseek sched_yield set_robust_list rseq getuid geteuid getgid getegid shutdown setsockopt getsockopt "
	"getsockname getpeername sysinfo "	/* sysinfo: qsort() of much asks for the size of memory */
	IS_TERMINAL " ";		/* libconfuse asks, when another configuration is read */

/* Only in builds with a sanitizer, whose runtime does more. */
static const char sanitizer[] =
#ifdef __SANITIZE_ADDRESS__
	"openat open readlink readlinkat prctl sched_getaffinity getrlimit prlimit64 personality clone clone3 wait4 dup "
	"dup2 ioctl access stat getdents64 kill sysinfo uname getppid ";
#else
	"";
#endif

static const struct row rows[PROC_COUNT] = {
	[PROC_SMTPD] = { "_minimta_smtpd", ROOT_EMPTY, "accept4 accept dup" },
	/* openat: c-ares looks for /dev/urandom when it makes a channel (mx/resolver.c does not rely on it). */
	[PROC_RESOLVER] = { "_minimta_resolver", ROOT_EMPTY, "socket connect openat" },
	/* unix-socket and connect: the password file may be behind nscd or another daemon of this machine. */
	[PROC_LOOKUP] = { "_minimta_lookup", ROOT_KEEP,
	    "openat open access faccessat faccessat2 stat lstat statx getdents64 readlink readlinkat pread64 uname ioctl "
	    UNIX_SOCKET " connect" },
	[PROC_QUEUE] = { "_minimta_queue", ROOT_SPOOL,
	    "openat pread64 preadv pwrite64 pwritev fdatasync fsync fallocate ftruncate unlinkat renameat renameat2 mkdirat "
	    "linkat getdents64 flock fstatfs statfs statx eventfd2 clone clone3 fadvise64 sync_file_range prctl "
	    "sched_getaffinity" },
	[PROC_DELIVERY] = { "_minimta_delivery", ROOT_EMPTY, INET_SOCKET " connect" },
	/* The parent forks and becomes the recipient; the child writes a Maildir. Neither may execute anything. */
	[PROC_MDA] = { NULL, ROOT_KEEP,
	    "clone clone3 fork wait4 waitid kill pipe2 memfd_create close_range setgroups setresuid setresgid prctl umask "
	    "openat open access faccessat faccessat2 stat lstat statx readlink readlinkat pread64 pwrite64 fsync "
	    "unlinkat renameat renameat2 mkdirat uname ioctl " UNIX_SOCKET " connect" },
	[PROC_LOGGER] = { "_minimta_logger", ROOT_KEEP, "socket connect openat stat uname" },
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

static int
allow_socket(scmp_filter_ctx ctx, int family)
{
	return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)family));
}

static int
allow(scmp_filter_ctx ctx, const char *names)
{
	char name[64];
	size_t len;
	int nr;

	for (; *names != '\0'; names += len + (names[len] == ' ')) {
		len = strcspn(names, " ");
		if (len == 0)
			continue;
		snprintf(name, sizeof(name), "%.*s", (int)len, names);
		if (strcmp(name, IS_TERMINAL) == 0) {
			if (seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1, SCMP_A1(SCMP_CMP_EQ, TCGETS)) != 0)
				return -1;
			continue;
		}
		if (strcmp(name, UNIX_SOCKET) == 0) {
			if (allow_socket(ctx, AF_UNIX) != 0)
				return -1;
			continue;
		}
		if (strcmp(name, INET_SOCKET) == 0) {
			if (allow_socket(ctx, AF_INET) != 0 || allow_socket(ctx, AF_INET6) != 0)
				return -1;
			continue;
		}
		/* Calls that this architecture does not have cannot be made on it. */
		nr = seccomp_syscall_resolve_name(name);
		if (nr >= 0 && seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 0) != 0)
			return -1;
	}
	return 0;
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
	if (allow(ctx, common) == 0 && allow(ctx, sanitizer) == 0 && allow(ctx, row->calls) == 0)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
	if (rc != 0) {
		errno = -rc;
		return failed(err, size, "seccomp", "load");
	}
	return 0;
}

int
sandbox_enter(enum proc proc, const struct conf *conf, char *err, size_t size)
{
	const struct row *row = &rows[proc];

	if (geteuid() == 0 && drop_to_user(row, conf, err, size) != 0)
		return -1;
#ifndef __SANITIZE_ADDRESS__
	/* Changing the user has set it again. */
	prctl(PR_SET_DUMPABLE, 0);
#endif
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return failed(err, size, "prctl", "no_new_privs");
	return filter_calls(row, err, size);
}
