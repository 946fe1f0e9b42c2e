/*
 * A scripted SMTP server in the loop of a unit test, on a port that the kernel chooses. By itself it takes everything;
 * rules say what it does instead at a step. Header only: included by the tests of delivery.
 */
#ifndef TESTS_UNIT_FAKE_SERVER_H
#define TESTS_UNIT_FAKE_SERVER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>

enum fake_act {
	FAKE_SAY,		/* the text, as it is, instead of the reply */
	FAKE_SAY_CLOSE,		/* the text, then close */
	FAKE_CLOSE,		/* without a word */
	FAKE_STALL,		/* says and reads nothing more */
};

/* step: "greeting", a verb, "content" (after its end), "inside" (when content begins). nth: 0 always, else only then. */
struct fake_rule {
	const char	*step;
	unsigned	 nth;
	enum fake_act	 act;
	const char	*text;
};

#define FAKE_RULES	8

struct fake_conn {
	struct fake		*fake;
	struct bufferevent	*bev;
	bool			 content, stalled, closing;
	size_t			 chunk;		/* of BDAT, still to come */
	struct fake_conn	*next;
};

struct fake {
	struct event_base	*base;
	struct evconnlistener	*listener;
	struct sockaddr_in	 address;
	const char		*ehlo;		/* EHLO's reply */
	struct fake_rule	 rules[FAKE_RULES + 1];
	struct { const char *step; unsigned n; } seen[16];
	char			 log[2000];	/* "EHLO MAIL RCPT …" */
	char			 line[4][1000];	/* last MAIL, last RCPT, last BDAT, last EHLO as sent */
	struct evbuffer		*content;	/* of the last message, unstuffed */
	unsigned		 sessions, messages, stalls;
	struct fake_conn	*conns;
};

#define FAKE_PLAIN	"250 fake\r\n"
#define FAKE_PIPE	"250-fake\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 1000000\r\n"
#define FAKE_CHUNK	"250-fake\r\n250-PIPELINING\r\n250-SMTPUTF8\r\n250-8BITMIME\r\n250 CHUNKING\r\n"
#define FAKE_CHUNK_ONLY	"250-fake\r\n250 CHUNKING\r\n"

static inline void
fake_free_conn(struct fake_conn *c)
{
	struct fake_conn **p = &c->fake->conns;

	while (*p != c)
		p = &(*p)->next;
	*p = c->next;
	bufferevent_free(c->bev);
	free(c);
}

static inline unsigned
fake_count(struct fake *f, const char *step)
{
	unsigned i = 0;

	while (f->seen[i].step != NULL && strcmp(f->seen[i].step, step) != 0)
		i++;
	f->seen[i].step = step;
	return ++f->seen[i].n;
}

/* True: go on; false: stalled, or the connection is gone or going. */
static inline bool
fake_reply(struct fake_conn *c, const char *step, const char *usual)
{
	struct fake *f = c->fake;
	unsigned n = fake_count(f, step);
	const struct fake_rule *r;

	if (strlen(f->log) + strlen(step) + 2 < sizeof(f->log) && strcmp(step, "inside") != 0) {
		strncat(f->log, f->log[0] != '\0' ? " " : "", 2);
		strncat(f->log, step, 20);
	}
	for (r = f->rules; r->step != NULL; r++)
		if (strcmp(r->step, step) == 0 && (r->nth == 0 || r->nth == n))
			break;
	if (r->step == NULL || r->act == FAKE_SAY || r->act == FAKE_SAY_CLOSE)
		evbuffer_add_printf(bufferevent_get_output(c->bev), "%s", r->step != NULL ? r->text : usual);
	if (r->step == NULL || r->act == FAKE_SAY)
		return true;
	if (r->act == FAKE_STALL) {
		c->stalled = true;
		f->stalls++;
		bufferevent_disable(c->bev, EV_READ);
		return false;
	}
	c->closing = true;
	if (evbuffer_get_length(bufferevent_get_output(c->bev)) == 0)
		fake_free_conn(c);
	return false;
}

static inline bool
fake_bdat(struct fake_conn *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	size_t len = evbuffer_get_length(in);
	int n = evbuffer_remove_buffer(in, c->fake->content, len < c->chunk ? len : c->chunk);

	c->chunk -= (size_t)n;
	if (c->chunk > 0)
		return false;
	c->content = false;
	c->fake->messages++;
	return fake_reply(c, "content", "250 2.0.0 stored\r\n");
}

static inline bool
fake_data(struct fake_conn *c, const char *line, size_t len)
{
	if (strcmp(line, ".") != 0) {
		evbuffer_add(c->fake->content, line + (line[0] == '.'), len - (line[0] == '.'));
		evbuffer_add(c->fake->content, "\r\n", 2);
		return true;
	}
	c->content = false;
	c->fake->messages++;
	return fake_reply(c, "content", "250 2.0.0 stored\r\n");
}

static inline void
fake_keep_line(struct fake *f, int which, const char *line)
{
	snprintf(f->line[which], sizeof(f->line[which]), "%s", line);
}

static inline void
fake_begin_content(struct fake_conn *c)
{
	c->content = true;
	evbuffer_drain(c->fake->content, evbuffer_get_length(c->fake->content));
}

static inline bool
fake_command(struct fake_conn *c, const char *line)
{
	struct fake *f = c->fake;

	if (strncmp(line, "EHLO", 4) == 0) {
		fake_keep_line(f, 3, line);
		return fake_reply(c, "EHLO", f->ehlo);
	}
	if (strncmp(line, "HELO", 4) == 0)
		return fake_reply(c, "HELO", "250 fake\r\n");
	if (strncmp(line, "AUTH", 4) == 0)
		return fake_reply(c, "AUTH", "235 2.7.0 welcome\r\n");
	if (strncmp(line, "MAIL", 4) == 0) {
		fake_keep_line(f, 0, line);
		return fake_reply(c, "MAIL", "250 2.1.0 sender\r\n");
	}
	if (strncmp(line, "RCPT", 4) == 0) {
		fake_keep_line(f, 1, line);
		return fake_reply(c, "RCPT", "250 2.1.5 recipient\r\n");
	}
	if (strcmp(line, "DATA") == 0) {
		if (!fake_reply(c, "DATA", "354 go\r\n"))
			return false;
		for (struct fake_rule *r = f->rules; r->step != NULL; r++)
			if (strcmp(r->step, "DATA") == 0 && r->text[0] != '3')
				return true;
		fake_begin_content(c);
		return fake_reply(c, "inside", "");
	}
	if (strncmp(line, "BDAT ", 5) == 0) {
		fake_keep_line(f, 2, line);
		fake_begin_content(c);
		c->chunk = strtoul(line + 5, NULL, 10);
		return fake_reply(c, "BDAT", "") && fake_reply(c, "inside", "");
	}
	if (strcmp(line, "RSET") == 0)
		return fake_reply(c, "RSET", "250 2.0.0 reset\r\n");
	if (strcmp(line, "QUIT") == 0)
		return fake_reply(c, "QUIT", "221 2.0.0 bye\r\n");
	return fake_reply(c, "?", "500 5.5.2 what?\r\n");
}

static inline void
fake_on_read(struct bufferevent *bev, void *arg)
{
	struct fake_conn *c = arg;
	struct evbuffer *in = bufferevent_get_input(bev);
	bool go_on = true;
	size_t len;
	char *line;

	if (c->stalled || c->closing)
		return;
	while (go_on && evbuffer_get_length(in) > 0) {
		if (c->chunk > 0) {
			go_on = fake_bdat(c);
			continue;
		}
		if ((line = evbuffer_readln(in, &len, EVBUFFER_EOL_CRLF_STRICT)) == NULL)
			return;
		go_on = c->content ? fake_data(c, line, len) : fake_command(c, line);
		free(line);
	}
}

static inline void
fake_on_written(struct bufferevent *bev, void *arg)
{
	struct fake_conn *c = arg;

	(void)bev;
	if (c->closing)
		fake_free_conn(c);
}

static inline void
fake_on_event(struct bufferevent *bev, short what, void *arg)
{
	(void)bev;
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		fake_free_conn(arg);
}

static inline void
fake_on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *sa, int len, void *arg)
{
	struct fake_conn *c = calloc(1, sizeof(*c));

	(void)l;
	(void)sa;
	(void)len;
	c->fake = arg;
	c->bev = bufferevent_socket_new(c->fake->base, fd, BEV_OPT_CLOSE_ON_FREE);
	c->next = c->fake->conns;
	c->fake->conns = c;
	c->fake->sessions++;
	bufferevent_setcb(c->bev, fake_on_read, fake_on_written, fake_on_event, c);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
	fake_reply(c, "greeting", "220 fake ESMTP\r\n");
}

/* rules: up to FAKE_RULES, ended by a NULL step; NULL: none. */
static inline struct fake *
fake_new(struct event_base *base, const char *ehlo, const struct fake_rule *rules)
{
	struct fake *f = calloc(1, sizeof(*f));
	socklen_t len = sizeof(f->address);

	f->base = base;
	f->ehlo = ehlo;
	for (int i = 0; rules != NULL && rules[i].step != NULL; i++)
		f->rules[i] = rules[i];
	f->content = evbuffer_new();
	f->address.sin_family = AF_INET;
	f->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	f->listener = evconnlistener_new_bind(base, fake_on_accept, f, LEV_OPT_CLOSE_ON_FREE, 16,
	    (struct sockaddr *)&f->address, sizeof(f->address));
	if (f->listener == NULL ||
	    getsockname(evconnlistener_get_fd(f->listener), (struct sockaddr *)&f->address, &len) != 0) {
		perror("fake server");
		exit(1);
	}
	return f;
}

/* Refuses connections from now on; the port stays known. */
static inline void
fake_shut(struct fake *f)
{
	evconnlistener_free(f->listener);
	f->listener = NULL;
}

static inline void
fake_free(struct fake *f)
{
	while (f->conns != NULL)
		fake_free_conn(f->conns);
	if (f->listener != NULL)
		evconnlistener_free(f->listener);
	evbuffer_free(f->content);
	free(f);
}

#endif
