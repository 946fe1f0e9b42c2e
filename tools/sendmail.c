/*
 * sendmail, mailq and newaliases: what programs on this machine use to send mail. Not set-user-id or set-group-id: it
 * has no rights but its caller's, and the server sees by the socket who that is.
 *
 * It hands over a message to all its recipients or to none: when one is refused, nothing is sent, the refusals are on
 * standard error, and the code of sysexits(3) says which kind they were.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/address.h"
#include "lib/alloc.h"
#include "lib/clock.h"
#include "lib/ids.h"
#include "lib/log.h"
#include "tools/args.h"
#include "tools/call.h"
#include "tools/changes.h"
#include "tools/deliver.h"
#include "tools/gecos.h"
#include "tools/letter.h"
#include "tools/mailq.h"
#include "tools/report.h"
#include "tools/session.h"
#include "tools/streams.h"
#include "tools/submit.h"
#include "tools/verify.h"

static int complain(int code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static int
complain(int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("sendmail: ", stderr);
	vfprintf(stderr, fmt, ap);
	putc('\n', stderr);
	va_end(ap);
	return code;
}

/* ---- one answer ---- */

static int
ask(const char *path, const char *const *words, int (*print)(FILE *, FILE *))
{
	char why[8192];
	FILE *f;
	int code;

	if ((f = call_command(path, words, &code, why, sizeof(why))) == NULL)
		return complain(code, "%s", why);
	code = print(f, stdout) != 0 ? complain(EX_TEMPFAIL, "the answer is cut short") : 0;
	fclose(f);
	return code;
}

static int
print_all(FILE *from, FILE *to)
{
	int c;

	while ((c = getc(from)) != EOF)
		putc(c, to);
	return 0;
}

/* ---- -q, -bv, -bt ---- */

static int
run_retry(const struct args *a, const char *path)
{
	const char *words[] = { "queue", "retry", NULL, NULL };
	char *what = alloc_printf("%s%s", a->retry_by, a->retry);
	int rc;

	words[2] = what;
	rc = ask(path, words, changes_print);
	free(what);
	return rc;
}

static int
verify_one(const char *path, const char *address)
{
	char why[8192];
	int code;
	FILE *f = verify_ask(path, address, &code, why, sizeof(why));

	if (f == NULL)
		return complain(code, "%s", why);
	if (verify_print(f, stdout) != 0)
		code = complain(EX_TEMPFAIL, "the answer is cut short");
	fclose(f);
	return code;
}

/* Addresses of the command line, or one in each line of standard input. The first failure is the whole's. */
static int
run_verify(const struct args *a, const char *path)
{
	char *line = NULL;
	size_t room = 0;
	int rc = 0, code;

	for (int i = 0; i < a->n_rcpts; i++)
		if ((code = verify_one(path, a->rcpts[i])) != 0 && rc == 0)
			rc = code;
	while (a->n_rcpts == 0 && getline(&line, &room, stdin) > 0) {
		line[strcspn(line, "\r\n")] = '\0';
		if (line[0] != '\0' && (code = verify_one(path, line)) != 0 && rc == 0)
			rc = code;
		fflush(stdout);
	}
	free(line);
	return rc;
}

/* ---- -bd ---- */

/* minimta beside this program, else where it is installed. It decides who may start it. */
static int
run_daemon(const struct args *a, const char *path)
{
	static const char installed[] = PREFIX "/sbin/minimta";
	static char name[] = "minimta", foreground[] = "-f", config[] = "-c";
	char why[512], self[4096], *slash, *words[5] = { name };
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - sizeof("/minimta"));
	int n = 1, code, fd;

	if ((fd = call_open(path, 0, NULL, &code, why, sizeof(why))) >= 0) {
		close(fd);
		return complain(0, "minimta is running already; minimtactl status shows it");
	}
	if (a->mode == ARGS_DAEMON_FOREGROUND)
		words[n++] = foreground;
	if (a->config != NULL) {
		words[n++] = config;
		words[n++] = alloc_text(a->config);
	}
	if (len > 0) {
		self[len] = '\0';
		if ((slash = strrchr(self, '/')) != NULL) {
			memcpy(slash, "/minimta", sizeof("/minimta"));
			execv(self, words);
		}
	}
	execv(installed, words);
	return complain(EX_UNAVAILABLE, "minimta(8) cannot be started: %s: %s", installed, strerror(errno));
}

/* ---- -bs ---- */

/* Moves what is there; false at the end. */
static bool
move(int from, int to, bool *open_r)
{
	char buffer[16384];
	ssize_t n = read(from, buffer, sizeof(buffer)), sent = 0, m;

	*open_r = n > 0 || (n < 0 && errno == EINTR);
	while (sent < n) {
		m = write(to, buffer + sent, (size_t)(n - sent));
		if (m <= 0 && errno != EINTR)
			return false;
		sent += m > 0 ? m : 0;
	}
	return true;
}

/* The server does the talking; this only joins the caller to it. */
static int
run_smtp(const char *path)
{
	struct pollfd p[2] = { { STDIN_FILENO, POLLIN, 0 }, { -1, POLLIN, 0 } };
	char why[512];
	bool open = true;
	int code;

	if ((p[1].fd = call_open(path, CALL_WAIT_MS, NULL, &code, why, sizeof(why))) < 0)
		return complain(code, "%s", why);
	if (write(p[1].fd, "submit\n", 7) != 7)
		return complain(EX_TEMPFAIL, "minimta closed the connection");
	while (open && (poll(p, 2, -1) > 0 || errno == EINTR)) {
		if (p[0].revents != 0 && !move(STDIN_FILENO, p[1].fd, &open))
			break;
		if (!open) {			/* the caller is done: the server may still have something to say */
			shutdown(p[1].fd, SHUT_WR);
			p[0].fd = -1;
			open = true;
		}
		if (p[1].revents != 0 && !move(p[1].fd, STDOUT_FILENO, &open))
			break;
	}
	close(p[1].fd);
	return 0;
}

/* ---- -bh ---- */

static int
run_try(const struct args *a, const char *path)
{
	struct session_wish wish = { .ip = a->n_rcpts > 0 ? a->rcpts[0] : "" };
	char why[1024] = "";
	int code;

	if (a->n_rcpts != 1)
		return complain(EX_USAGE, "-bh takes the address of a client, as in sendmail -bh 192.0.2.1");
	if ((code = session_hold(path, &wish, why, sizeof(why))) != 0)
		return complain(code, "%s", why);
	return 0;
}

/* ---- sending ---- */

struct caller {
	char	user[ADDRESS_LOCAL_MAX + 1];
	char	full_name[200];
};

static void
who_calls(struct caller *c, const struct args *a)
{
	const struct passwd *pw = getpwuid(getuid());

	if (pw != NULL && strlen(pw->pw_name) < sizeof(c->user))
		snprintf(c->user, sizeof(c->user), "%s", pw->pw_name);
	else
		snprintf(c->user, sizeof(c->user), "uid-%u", (unsigned)getuid());
	gecos_name(c->full_name, sizeof(c->full_name), a->full_name != NULL ? a->full_name : "");
	if (a->full_name == NULL && pw != NULL)
		gecos_of_user(c->full_name, sizeof(c->full_name), pw->pw_gecos, c->user);
}

/* Canonical, and with a domain; the caller frees it. NULL with why. */
static char *
canonical(const char *text, const char *origin, bool *utf8, char *why, size_t size)
{
	const char *reason = "it is no address";
	struct address a;

	if (address_parse(&a, text, ADDRESS_BARE | ADDRESS_UTF8, &reason) != ADDRESS_OK) {
		snprintf(why, size, "%s: %s", logq(text), reason);
		return NULL;
	}
	*utf8 |= a.utf8;
	return alloc_printf(a.domain[0] == '\0' ? "%s@%s" : "%s", a.text, origin);
}

/* -f's argument is an address as in a header: "Anna <anna@example.org>" too. */
static int
sender_address(const struct args *a, const struct caller *c, const char *envelope_from, const char *origin,
    struct submit_mail *m, char **to)
{
	struct letter_rcpts one = { 0 };
	const char *given = a->sender != NULL ? a->sender : a->rmail ? envelope_from : NULL;
	const char *text = given == NULL ? c->user : given == envelope_from && strcasecmp(given, "MAILER-DAEMON") == 0 ? "" : given;
	char why[512] = "";
	int rc = 0;

	*to = NULL;
	if (text[0] == '\0') {
		*to = alloc_text("");
		return 0;
	}
	if (given != NULL)
		rc = letter_add_rcpts(&one, text, strlen(text), why, sizeof(why));
	if (rc == 0 && given != NULL && one.n != 1)
		snprintf(why, sizeof(why), "-f needs one address");
	else if (rc == 0)
		*to = canonical(given != NULL ? one.list[0] : text, origin, &m->utf8, why, sizeof(why));
	letter_free_rcpts(&one);
	return *to == NULL ? complain(EX_DATAERR, "the sender: %s", why) : 0;
}

static int
canonical_rcpts(struct letter_rcpts *r, const char *origin, struct submit_mail *m)
{
	char why[512], *text;

	for (size_t i = 0; i < r->n; i++) {
		if ((text = canonical(r->list[i], origin, &m->utf8, why, sizeof(why))) == NULL)
			return complain(EX_DATAERR, "%s; nothing was sent", why);
		free(r->list[i]);
		r->list[i] = text;
	}
	m->rcpts = r->list;
	m->n_rcpts = r->n;
	return 0;
}

static int
hand_over(struct submit *s, const struct args *a, struct letter *l, struct letter_rcpts *r)
{
	struct submit_mail m = { .eight_bit = l->eight_bit, .body = l->body, .body_size = l->body_size,
	    .utf8 = a->utf8, .require_tls = a->require_tls, .later = a->when != ARGS_BACKGROUND, .dsn_notify = a->dsn_notify, .dsn_return = a->dsn_return, .dsn_envid = a->dsn_envid };
	const char *origin = submit_origin(s);
	char *sender = NULL, *header = NULL, from[2 * ADDRESS_MAX];
	struct letter_facts facts;
	struct caller c;
	int rc;

	who_calls(&c, a);
	if ((rc = sender_address(a, &c, l->envelope_from, origin, &m, &sender)) != 0 ||
	    (rc = canonical_rcpts(r, origin, &m)) != 0)
		goto done;
	snprintf(from, sizeof(from), sender[0] != '\0' ? "%s" : "%s@%s", sender[0] != '\0' ? sender : c.user, origin);
	facts = (struct letter_facts){ c.user, c.full_name, from, submit_hostname(s), clock_wall(), id_random() };
	if ((header = letter_complete(l, &facts, &m.header_len)) == NULL)
		log_fatal("event=out-of-memory");
	m.header = header;
	m.sender = sender;
	rc = submit_send(s, &m, stderr);
done:
	free(sender);
	free(header);
	return rc;
}

static int
gather(const struct args *a, struct letter *l, struct letter_rcpts *r, char *why, size_t size)
{
	int rc = 0;

	for (int i = 0; i < a->n_rcpts && rc == 0; i++)
		rc = letter_add_rcpts(r, a->rcpts[i], strlen(a->rcpts[i]), why, size);
	if (rc == 0)
		rc = letter_read(l, stdin, a->dots, why, size);
	if (rc == 0 && a->from_header)
		rc = letter_header_rcpts(l, r, why, size);
	if (rc == 0 && r->n == 0) {
		snprintf(why, size, "no recipients, neither behind the options nor in To, Cc or Bcc");
		rc = EX_USAGE;
	}
	return rc;
}

/* -odi: what was accepted waits in the queue until it is tried for us. */
static int
wait_for_result(const struct args *a, const struct submit *s, const char *path)
{
	if (!submit_can_wait(s) || submit_id(s)[0] == '\0')
		return complain(0, "the message was accepted; the server does not tell what becomes of it");
	return deliver_now(path, submit_id(s), a->verbose ? stdout : NULL, stderr);
}

static int
run_send(const struct args *a, const char *path)
{
	struct letter letter = { 0 };
	struct letter_rcpts rcpts = { 0 };
	struct submit *s = NULL;
	char why[1024] = "";
	int rc;

	if ((rc = gather(a, &letter, &rcpts, why, sizeof(why))) != 0)
		complain(rc, "%s", why);
	else if ((s = submit_open(path, a->verbose ? stdout : NULL, &rc, why, sizeof(why))) == NULL)
		complain(rc, "%s; nothing was sent", why);
	else
		rc = hand_over(s, a, &letter, &rcpts);
	if (s != NULL && rc == 0 && a->when == ARGS_INTERACTIVE)
		rc = wait_for_result(a, s, path);
	submit_close(s);
	letter_free(&letter);
	letter_free_rcpts(&rcpts);
	return rc;
}

/* ---- --help ---- */

static const struct { const char *name, *text; } helps[] = {
	{ "mailq", "usage: mailq [-j] [-C file]\n\nLists the mail that waits, and why; -j as JSON. minimtactl queue -h tells what can be done with it.\n" },
	{ "newaliases", "usage: newaliases [-C file]\n\nHas the file of aliases read again, and shows what is wrong in it. Changes are seen without it, too.\n" },
	{ "hoststat", "usage: hoststat [-C file]\n\nLists where mail waits to go, and what is wrong there, as minimtactl queue hops does.\n" },
	{ "rmail", "usage: rmail recipient ...\n\nSends the message on standard input; its first line may say, as UUCP does, who the sender is.\n" },
	{ "", "usage: sendmail [options] recipient ... < message\n"
	    "       sendmail -t [options] < message\n\n"
	    "Hands the message on standard input to minimta; with 0 as exit code it is on stable storage.\n\n"
	    "  -t           recipients are in To, Cc and Bcc of the message\n"
	    "  -i           a line with a lone dot does not end the message\n"
	    "  -f address   the sender, who hears of failures; '<>' for nobody\n"
	    "  -F name      the sender's full name\n"
	    "  -odi         wait until it is delivered; the exit code is the result\n"
	    "  -v           show the dialog with the server\n"
	    "  -C file      the configuration that names the server's socket\n\n"
	    "  -bp          list the queue, as mailq\n"
	    "  -bv address  what would become of mail for an address; sends none\n"
	    "  -bs          SMTP on standard input and output\n"
	    "  -q           try all waiting mail now\n\n"
	    "sendmail(8) has the rest. For example: printf 'Subject: test\\n\\nHello\\n' | sendmail -i root\n" },
};

static int
print_usage(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
	size_t i = 0;

	while (helps[i].name[0] != '\0' && strcmp(helps[i].name, name) != 0)
		i++;
	fputs(helps[i].text, stdout);
	return EX_OK;
}

/* All but sending. */
static int
obey(const struct args *a, const char *path)
{
	static const char *const list[] = { "queue", "list", NULL }, *const aliases[] = { "aliases", NULL };
	static const char *const hops[] = { "queue", "hops", NULL };

	switch (a->mode) {
	case ARGS_LIST:
		return ask(path, list, a->json ? mailq_print_json : mailq_print);
	case ARGS_ALIASES:
		return ask(path, aliases, print_all);
	case ARGS_RETRY:
		return run_retry(a, path);
	case ARGS_VERIFY:
		return run_verify(a, path);
	case ARGS_TRY:
		return run_try(a, path);
	case ARGS_HOPS:
		return ask(path, hops, report_hoststat);
	case ARGS_DAEMON:
	case ARGS_DAEMON_FOREGROUND:
		return run_daemon(a, path);
	case ARGS_SMTP:
		return run_smtp(path);
	case ARGS_SEND:
	case ARGS_HELP:
		break;
	}
	return EX_SOFTWARE;
}

int
main(int argc, char **argv)
{
	char path[CALL_PATH_SIZE], why[512];
	struct args a;
	int rc;

	if (streams_begin() != 0)
		return EX_OSERR;
	log_init("sendmail");
	if ((rc = args_parse(&a, argc, argv, why, sizeof(why))) != 0)
		return complain(rc, "%s", why);
	if (a.warning[0] != '\0')
		complain(0, "%s", a.warning);
	if (a.mode == ARGS_HELP)
		return streams_end("sendmail", print_usage(argv[0]));
	if ((rc = call_path(path, a.config, why, sizeof(why))) != 0)
		return complain(rc, "%s", why);
	/* Who sends hears of the message; that -v could not print must not have it sent again. */
	return a.mode == ARGS_SEND ? run_send(&a, path) : streams_end("sendmail", obey(&a, path));
}
