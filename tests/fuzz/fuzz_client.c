/*
 * delivery/client.c with a server that says whatever the input says. The first byte chooses how: bit 0, all recipients
 * ASCII or not; bit 1, two messages over one connection. Then pieces, each sent after the client has had its turn; a
 * NUL ends a piece. Whatever comes, the session ends once and no recipient is without verdict or reason.
 */
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "delivery/body.h"
#include "delivery/client.h"
#include "delivery/client_verdict.h"
#include "lib/clock.h"
#include "lib/log.h"
#include "mx/mx.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

#define RCPTS	3

static const char content[] = "Subject: fuzz\r\n\r\n.dot\r\nend\r\n";

struct fuzz {
	struct event_base	*base;
	struct client_rcpt	 rcpts[RCPTS];
	struct client_mail	 mail;
	unsigned		 done;
	enum client_end		 end;
};

static void
on_done(void *arg, enum client_end end)
{
	struct fuzz *f = arg;

	f->done++;
	f->end = end;
}

static void
no_pull(void *arg, uint32_t bytes)
{
	(void)arg;
	(void)bytes;
	abort();			/* all content is at hand */
}

static void
no_log(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

static void
must(bool condition)
{
	if (!condition)
		abort();
}

static int
listener(struct mx_address *a)
{
	struct sockaddr_in *sin = (struct sockaddr_in *)&a->address;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memset(a, 0, sizeof(*a));
	memcpy(a->host, "mx", 3);
	sin->sin_family = AF_INET;
	sin->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	a->length = sizeof(*sin);
	must(fd >= 0 && bind(fd, (struct sockaddr *)sin, sizeof(*sin)) == 0 && listen(fd, 4) == 0 &&
	    getsockname(fd, (struct sockaddr *)&a->address, &a->length) == 0);
	return fd;
}

static void
mail_begin(struct fuzz *f, bool utf8)
{
	f->done = 0;
	f->mail = (struct client_mail){ .message = "F", .sender = "s@example.net", .rcpts = f->rcpts, .n_rcpts = RCPTS,
	    .n_open = RCPTS };
	for (int i = 0; i < RCPTS; i++)
		f->rcpts[i] = (struct client_rcpt){ .address = "r@example.org", .utf8 = utf8 && i == 1 };
	f->mail.body = body_new("Received: x\r\n", strlen(content), no_pull, NULL);
	must(body_put(f->mail.body, content, strlen(content)) == 0);
}

static void
mail_end(struct fuzz *f, const struct client *c)
{
	uint32_t open = 0;

	must(f->done == 1);
	for (int i = 0; i < RCPTS; i++) {
		open += f->rcpts[i].verdict == NULL;
		verdict_drop(f->rcpts[i].verdict);
	}
	must(open == f->mail.n_open && (open > 0) == (f->end == CLIENT_FAILED));
	must(f->end != CLIENT_FAILED || client_why(c) != NULL);
	body_free(f->mail.body);
}

/* The next piece goes out, or the end of all. Returns what is left. */
static size_t
server_turn(int fd, const uint8_t **data, size_t len)
{
	const uint8_t *nul = memchr(*data, 0, len);
	size_t n = nul != NULL ? (size_t)(nul - *data) : len;
	char sink[4096];

	while (recv(fd, sink, sizeof(sink), MSG_DONTWAIT) > 0)
		;
	if (len == 0) {
		shutdown(fd, SHUT_WR);
		return 0;
	}
	(void)send(fd, *data, n, MSG_NOSIGNAL | MSG_DONTWAIT);
	n += nul != NULL;
	*data += n;
	return len - n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct mx_address address;
	static int listening = -1;
	struct fuzz f = { .base = event_base_new() };
	struct client *c;
	int fd, messages;
	size_t left;

	if (listening == -1) {
		signal(SIGPIPE, SIG_IGN);
		log_set_sink(no_log, NULL);
		listening = listener(&address);
	}
	clock_init(f.base);
	messages = size > 0 && data[0] & 2 ? 2 : 1;
	c = client_new(f.base, &address, "us.example.net");
	mail_begin(&f, size > 0 && data[0] & 1);
	client_send(c, &f.mail, on_done, &f);
	fd = accept(listening, NULL, NULL);
	must(fd >= 0);
	left = size > 0 ? size - 1 : 0;
	data += size > 0;
	for (;;) {
		for (int i = 0; i < 4; i++)
			event_base_loop(f.base, EVLOOP_NONBLOCK);
		if (f.done > 0 && (f.end != CLIENT_KEPT || --messages == 0))
			break;
		if (f.done > 0) {
			mail_end(&f, c);
			mail_begin(&f, false);
			client_send(c, &f.mail, on_done, &f);
		}
		left = server_turn(fd, &data, left);
	}
	mail_end(&f, c);
	client_quit(c);
	close(fd);
	clock_init(NULL);
	event_base_free(f.base);
	return 0;
}
