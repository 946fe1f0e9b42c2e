/*
 * Joins a terminal, or a file, to a session that the server holds as if with a client at some address. The server does the
 * talking and the commentary; here line ends are made right both ways, for people do not type CR.
 */
#include "tools/session.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "tools/call.h"

#define PIECE	16384

struct way {				/* one direction */
	int	from, to;
	bool	crlf;			/* line ends become CRLF; else LF */
	bool	after_cr;
};

static bool
write_all(int to, const char *data, size_t len)
{
	ssize_t n;

	for (; len > 0; data += n, len -= (size_t)n)
		if ((n = write(to, data, len)) < 0) {
			if (errno != EINTR)
				return false;
			n = 0;
		}
	return true;
}

static size_t
convert(struct way *w, const char *in, size_t len, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (in[i] == '\n' && w->crlf && !w->after_cr)
			out[n++] = '\r';
		w->after_cr = in[i] == '\r';
		if (in[i] != '\r' || w->crlf)
			out[n++] = in[i];
	}
	return n;
}

/* What is there, moved; false at its end. */
static bool
move(struct way *w)
{
	char in[PIECE], out[2 * PIECE];
	ssize_t n = read(w->from, in, sizeof(in));

	if (n < 0)
		return errno == EINTR;
	return n > 0 && write_all(w->to, out, convert(w, in, (size_t)n, out));
}

static int
talk(int server)
{
	struct way up = { STDIN_FILENO, server, true, false }, down = { server, STDOUT_FILENO, false, false };
	struct pollfd p[2] = { { STDIN_FILENO, POLLIN, 0 }, { server, POLLIN, 0 } };

	while (poll(p, 2, -1) > 0 || errno == EINTR) {
		if (p[1].revents != 0 && !move(&down))
			break;
		if (p[0].revents != 0 && !move(&up)) {
			shutdown(server, SHUT_WR);	/* the server may still have something to say */
			p[0].fd = -1;
		}
	}
	return 0;
}

/* The server may not want to: then it says so in a line, where a session begins with a commentary. */
static int
first_line(int server, char *why, size_t size)
{
	char line[600];
	ssize_t n = recv(server, line, sizeof(line) - 1, MSG_PEEK);

	if (n <= 0) {
		snprintf(why, size, "minimta closed the connection");
		return EX_TEMPFAIL;
	}
	line[n] = '\0';
	if (strncmp(line, "*** ", 4) == 0)
		return 0;
	line[strcspn(line, "\r\n")] = '\0';
	snprintf(why, size, "%s", line + (strncmp(line, "denied: ", 8) == 0 ? 8 : strncmp(line, "later: ", 7) == 0 ? 7 : 0));
	return strncmp(line, "denied: ", 8) == 0 ? EX_NOPERM : EX_TEMPFAIL;
}

int
session_hold(const char *path, const struct session_wish *wish, char *why, size_t size)
{
	char address[16], words[400];
	int server, code, n;

	if (inet_pton(AF_INET, wish->ip, address) != 1 && inet_pton(AF_INET6, wish->ip, address) != 1) {
		snprintf(why, size, "%.100s is not an address; write one as in 192.0.2.1 or 2001:db8::1", wish->ip);
		return EX_USAGE;
	}
	if (wish->helo != NULL && (strpbrk(wish->helo, "\r\n") != NULL || strlen(wish->helo) > 255)) {
		snprintf(why, size, "the name for EHLO is not one");
		return EX_USAGE;
	}
	if ((server = call_open(path, CALL_WAIT_MS, NULL, &code, why, size)) < 0)
		return code;
	n = snprintf(words, sizeof(words), "submit\tas=%s%s\n", wish->ip, wish->wait ? "\twait" : "");
	if (!write_all(server, words, (size_t)n) || (code = first_line(server, why, size)) != 0) {
		close(server);
		return code != 0 ? code : EX_TEMPFAIL;
	}
	if (wish->helo != NULL) {
		n = snprintf(words, sizeof(words), "EHLO %s\r\n", wish->helo);
		write_all(server, words, (size_t)n);
	}
	code = talk(server);
	close(server);
	return code;
}

/* ---- minimtactl ---- */

static int
usage(FILE *to, int code)
{
	fputs("usage: minimtactl session --ip ADDRESS [--helo NAME] [--wait]\n"
	    "  An SMTP session on standard input and output as if from that address, with what each filter thinks in lines that\n"
	    "  begin with \"*** \". Nothing is queued or remembered; delays are told, and waited for with --wait. For root.\n", to);
	return code;
}

int
session_main(int argc, char **argv, const char *config)
{
	static const struct option options[] = { { "ip", required_argument, NULL, 'i' }, { "helo", required_argument, NULL, 'l' },
	    { "wait", no_argument, NULL, 'w' }, { "help", no_argument, NULL, 'h' }, { 0 } };
	char path[CALL_PATH_SIZE], why[1024] = "";
	struct session_wish wish = { 0 };
	int letter, code;

	optind = 0;
	while ((letter = getopt_long(argc, argv, "+h", options, NULL)) != -1) {
		if (letter == 'i')
			wish.ip = optarg;
		else if (letter == 'l')
			wish.helo = optarg;
		else if (letter == 'w')
			wish.wait = true;
		else
			return letter == 'h' ? usage(stdout, 0) : usage(stderr, EX_USAGE);
	}
	if (wish.ip == NULL || optind < argc)
		return usage(stderr, EX_USAGE);
	if ((code = call_path(path, config, why, sizeof(why))) == 0)
		code = session_hold(path, &wish, why, sizeof(why));
	if (code != 0)
		fprintf(stderr, "minimtactl: %s\n", why);
	return code;
}
