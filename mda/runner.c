/*
 * Runs commands (mda/runner.h). For each there is an attendant, a fork that has the command run, keeps the beginning of
 * what it says, and sees to it that nothing of it is left: what leaves its process group to live on comes back to the
 * attendant as a child (a subreaper), and is killed with the rest. How long a command may take mda decides, by the leash.
 */
#include "mda/runner.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/messages.h"
#include "lib/sandbox.h"
#include "mda/child.h"

#define DRAIN_MAX	(1024U * 1024)	/* of output that is read; then nobody listens any more */
#define KILL_ROUNDS	1000
#define RUNNER_FD	3		/* orders come by it */

struct attendant {
	struct command	 command;
	int		 leash, output;
	pid_t		 pid;
	int		 status;
	size_t		 n_kept, n_read;
	char		 kept[COMMAND_OUTPUT_MAX];
};

/* ---- the command's input and output ---- */

/* All of the message, as its standard input: it may read it or not, as fast as it likes. */
static int
make_input(struct attendant *a)
{
	struct mail_result result;
	int fd = -1;

	if (a->command.mail.size > MSG_INLINE_MAX)
		fd = open(a->command.state, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd == -1)
		fd = memfd_create("message", MFD_CLOEXEC);
	if (fd == -1 || mail_write(&a->command.mail, fd, MAIL_COMMAND, &result) != 0 || lseek(fd, 0, SEEK_SET) != 0)
		return -1;
	return fd;
}

/* False at its end. */
static bool
take_output(struct attendant *a)
{
	char piece[4096];
	ssize_t n = read(a->output, piece, sizeof(piece));
	size_t room = sizeof(a->kept) - a->n_kept;

	if (n <= 0 || (a->n_read += (size_t)n) > DRAIN_MAX)
		return false;
	if ((size_t)n < room)
		room = (size_t)n;
	memcpy(a->kept + a->n_kept, piece, room);
	a->n_kept += room;
	return true;
}

/* ---- its end ---- */

/* Whether any was seen: one that comes back to us, or another that ends, may be left out of the list. */
static bool
kill_children(void)
{
	char path[64], text[4096];
	bool any = false;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	if ((fd = open(path, O_RDONLY | O_CLOEXEC)) == -1)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	for (char *p = text, *end; (end = p) != NULL; p = end) {
		long pid = strtol(p, &end, 10);

		if (end == p)
			break;
		kill((pid_t)pid, SIGKILL);
		any = true;
	}
	return any;
}

/* Those that are killed hand their own children on to us, so again, until there are none. */
static void
kill_all(struct attendant *a)
{
	int status;
	pid_t pid;

	kill(-a->pid, SIGKILL);
	for (int round = 0; round < KILL_ROUNDS; round++) {
		if ((pid = waitpid(-1, &status, kill_children() ? 0 : WNOHANG)) == -1 && errno == ECHILD)
			return;
		if (pid == a->pid)
			a->status = status;
	}
}

/* Until it has ended (true), or the leash is pulled. */
static bool
watch(struct attendant *a)
{
	int pidfd = (int)syscall(SYS_pidfd_open, a->pid, 0);
	struct pollfd fds[3] = { { .fd = pidfd, .events = POLLIN }, { .fd = a->leash, .events = POLLIN | POLLRDHUP },
	    { .fd = a->output, .events = POLLIN } };

	while (pidfd != -1 && (poll(fds, 3, -1) > 0 || errno == EINTR)) {
		if (fds[1].revents != 0)
			return false;
		if (fds[2].revents != 0 && !take_output(a)) {
			close(a->output);
			a->output = fds[2].fd = -1;
			fds[2].revents = 0;
		}
		if (fds[0].revents != 0) {
			while (a->output != -1 && fds[2].revents != 0 && poll(&fds[2], 1, 0) > 0 && take_output(a))
				continue;
			return true;
		}
	}
	return false;
}

/* What hindered the program from being run goes on as it is; mda checks it. */
static bool
relay_status(int from, int to)
{
	uint8_t bytes[4096];
	ssize_t n = read(from, bytes, sizeof(bytes));

	return n > 0 && write(to, bytes, (size_t)n) == n;
}

static void __attribute__((noreturn))
attend(struct attendant *a)
{
	struct mail_result result = { .outcome = JOB_DEFERRED, .enhanced = "4.3.0",
	    .text = "no process, or no room, for the command" };
	int input = make_input(a), output[2], status[2];

	close(RUNNER_FD);
	signal(SIGCHLD, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if (input == -1 || pipe2(output, O_CLOEXEC) != 0 || pipe2(status, O_CLOEXEC | O_NONBLOCK) != 0 ||
	    (a->pid = fork()) == -1) {
		child_say(a->leash, &result, NULL, 0);
		_exit(0);
	}
	if (a->pid == 0)
		command_exec(&a->command, input, output[1], status[1]);
	close(output[1]);
	close(status[1]);
	close(input);
	a->output = output[0];
	fcntl(a->output, F_SETFL, O_NONBLOCK);
	if (!watch(a)) {
		kill_all(a);		/* and say nothing: it was not wanted any more */
		_exit(0);
	}
	kill_all(a);
	if (!relay_status(status[0], a->leash)) {
		command_result(a->status, a->kept, a->n_kept, &result);
		child_say(a->leash, &result, NULL, 0);
	}
	_exit(0);
}

/* ---- the runner ---- */

static void
take_order(const uint8_t *data, size_t len, int content_fd, int leash)
{
	struct attendant a = { .leash = leash, .output = -1 };
	struct unpack u;

	unpack_init(&u, data, len);
	if (command_unpack(&u, &a.command) != 0)
		return;
	a.command.mail.content_fd = content_fd;
	if (fork() == 0)
		attend(&a);
	command_free(&a.command);
}

static void __attribute__((noreturn))
run(int fd)
{
	uint8_t *data = malloc(MSG_PAYLOAD_MAX);
	union { struct cmsghdr align; char bytes[CMSG_SPACE(2 * sizeof(int))]; } control;
	struct cmsghdr *c;
	int fds[2];
	ssize_t n;

	while (data != NULL) {
		struct iovec iov = { data, MSG_PAYLOAD_MAX };
		struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };

		n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			_exit(0);		/* mda has gone */
		c = CMSG_FIRSTHDR(&msg);
		if (c == NULL || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof(fds)))
			continue;
		memcpy(fds, CMSG_DATA(c), sizeof(fds));
		take_order(data, (size_t)n, fds[0], fds[1]);
		close(fds[0]);
		close(fds[1]);
	}
	_exit(1);
}

int
runner_start(void)
{
	char err[256];
	int sv[2], fd;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) != 0)
		return -1;
	if ((pid = fork()) != 0) {
		close(sv[1]);
		return pid == -1 ? -1 : sv[0];
	}
	/* Master's channel must not stay open here, or nobody would see that mda has gone. */
	fd = dup2(sv[1], RUNNER_FD);
	close_range(RUNNER_FD + 1, ~0U, 0);
	signal(SIGCHLD, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	prctl(PR_SET_NAME, "mda-runner");
	if (fd != RUNNER_FD || sandbox_runner(err, sizeof(err)) != 0)
		_exit(1);
	run(fd);
}

int
runner_ask(int runner_fd, const struct command *command, int content_fd)
{
	union { struct cmsghdr align; char bytes[CMSG_SPACE(2 * sizeof(int))]; } control = { 0 };
	struct iovec iov;
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	int sv[2], fds[2];
	struct pack p;
	ssize_t n;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, sv) != 0)
		return -1;
	pack_init(&p);
	command_pack(&p, command);
	iov = (struct iovec){ p.data, p.len };
	fds[0] = content_fd;
	fds[1] = sv[1];
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(c), fds, sizeof(fds));
	n = sendmsg(runner_fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	pack_free(&p);
	close(sv[1]);
	if (n >= 0)
		return sv[0];
	close(sv[0]);
	return -1;
}
