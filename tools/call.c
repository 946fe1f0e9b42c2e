/*
 * The way of a tool to the running server. It needs no rights but those of the caller: the server sees by the socket
 * who that is and decides what he may do.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/clock.h"
#include "lib/conf.h"
#include "tools/call.h"

#define CONFIG		"/etc/minimta/minimta.conf"
#define CONTROL		"/run/minimta/control"
#define CONFIG_MAX	(1024 * 1024)
#define PAUSE_MS	250
#define ANSWER_MS	60000
#define DELIVERY_MS	(30 * 60000)	/* the queue itself tries for hours */

/* Not conf_read: a tool must not wait for the DNS to tell it a host name that it does not need. */
static struct conf *
read_config(const char *path, char *why, size_t size)
{
	char *text = malloc(CONFIG_MAX);
	FILE *f = fopen(path, "re");
	struct conf *c = NULL;
	size_t len;

	if (text == NULL || f == NULL)
		snprintf(why, size, "%s: %s", path, strerror(errno));
	else {
		len = fread(text, 1, CONFIG_MAX, f);
		if (ferror(f))
			snprintf(why, size, "%s: %s", path, strerror(errno));
		else
			c = conf_parse_text(text, len, path, why, size);
	}
	if (f != NULL)
		fclose(f);
	free(text);
	return c;
}

struct conf *
call_config(const char *config, char *why, size_t size)
{
	return read_config(config != NULL ? config : CONFIG, why, size);
}

int
call_path(char to[CALL_PATH_SIZE], const char *config, char *why, size_t size)
{
	const char *from = getenv("MINIMTA_CONTROL");
	struct conf *c = NULL;

	if (config != NULL || from == NULL || from[0] == '\0') {
		c = read_config(config != NULL ? config : CONFIG, why, size);
		if (c == NULL && config != NULL)
			return EX_CONFIG;
		from = c != NULL ? c->control : CONTROL;
	}
	if ((size_t)snprintf(to, CALL_PATH_SIZE, "%s", from) >= CALL_PATH_SIZE) {
		snprintf(why, size, "MINIMTA_CONTROL is longer than a socket's path may be (%zu bytes)", CALL_PATH_SIZE - 1);
		conf_free(c);
		return EX_CONFIG;
	}
	conf_free(c);
	return 0;
}

static int
try(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
		int error = errno;

		close(fd);
		errno = error;
		fd = -1;
	}
	return fd;
}

static bool
may_come_back(int error)
{
	return error == ENOENT || error == ECONNREFUSED || error == EAGAIN || error == ENOTDIR || error == EINTR;
}

int
call_open(const char *path, int wait_ms, void (*waiting)(const char *why), int *code_r, char *why, size_t size)
{
	int64_t until = clock_ms() + wait_ms;
	bool said = false;
	int fd;

	while ((fd = try(path)) < 0) {
		snprintf(why, size, "minimta does not answer at %s: %s%s", path, strerror(errno),
		    errno == ENOENT || errno == ECONNREFUSED ? "; is it running?" : "");
		*code_r = errno == EACCES || errno == EPERM ? EX_NOPERM : EX_TEMPFAIL;
		if (!may_come_back(errno) || clock_ms() >= until)
			return -1;
		if (!said && waiting != NULL)
			waiting(why);
		said = true;
		poll(NULL, 0, PAUSE_MS);
	}
	return fd;
}

static int
send_words(int fd, const char *const *words)
{
	FILE *f;
	char *line = NULL;
	size_t len = 0, sent = 0;
	ssize_t n = 0;

	if ((f = open_memstream(&line, &len)) == NULL)
		return -1;
	for (size_t i = 0; words[i] != NULL; i++)
		fprintf(f, "%s%s", i > 0 ? "\t" : "", words[i]);
	putc('\n', f);
	fclose(f);
	for (; sent < len && (n = send(fd, line + sent, len - sent, MSG_NOSIGNAL)) > 0; sent += (size_t)n)
		;
	free(line);
	return n > 0 ? 0 : -1;
}

static bool
has_control(const char *const *words)
{
	for (size_t i = 0; words[i] != NULL; i++)
		for (const char *p = words[i]; *p != '\0'; p++)
			if ((unsigned char)*p < ' ')
				return true;
	return false;
}

/* "error:", "denied:" or "later:", a sentence, and lines that say more. Returns the code. */
static int
read_error(FILE *f, const char *first, char *why, size_t size)
{
	static const struct { const char *word; int code; } words[] = {
		{ "error: ", EX_UNAVAILABLE }, { "denied: ", EX_NOPERM }, { "later: ", EX_TEMPFAIL } };
	int code = EX_UNAVAILABLE;
	size_t skip = 0, len;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strncmp(first, words[i].word, strlen(words[i].word)) == 0) {
			skip = strlen(words[i].word);
			code = words[i].code;
		}
	len = (size_t)snprintf(why, size, "%s", first + skip);

	if (len < size)
		len += fread(why + len, 1, size - len - 1, f);
	if (len >= size)
		len = size - 1;
	why[len] = '\0';
	while (len > 0 && why[len - 1] == '\n')
		why[--len] = '\0';
	return code;
}

FILE *
call_command(const char *path, const char *const *words, int *code_r, char *why, size_t size)
{
	struct timeval patience = { .tv_sec = ANSWER_MS / 1000 };
	char first[2048];
	FILE *f = NULL;
	int fd;

	if (has_control(words)) {
		*code_r = EX_USAGE;
		snprintf(why, size, "an argument holds a control character; ids, addresses and commands have none");
		return NULL;
	}
	if ((fd = call_open(path, 0, NULL, code_r, why, size)) < 0)
		return NULL;
	*code_r = EX_TEMPFAIL;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (send_words(fd, words) != 0 || (f = fdopen(fd, "r")) == NULL || fgets(first, sizeof(first), f) == NULL) {
		snprintf(why, size, "minimta gave no answer; look into its log");
	} else if (strcmp(first, "ok\n") == 0) {
		return f;
	} else {
		*code_r = read_error(f, first, why, size);
	}
	if (f != NULL)
		fclose(f);
	else
		close(fd);
	return NULL;
}

void
call_wait_long(FILE *f)
{
	struct timeval patience = { .tv_sec = DELIVERY_MS / 1000 };

	setsockopt(fileno(f), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
}
