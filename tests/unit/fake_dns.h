/*
 * A name server inside the test's own event loop, UDP and TCP on one port of 127.0.0.1 chosen by the kernel. It
 * answers from a zone of one record per row; data beginning with '!' is a behaviour instead:
 *
 *	!SERVFAIL !REFUSED !NOTIMP	that response code
 *	!DROP				no answer at all
 *	!GARBAGE			bytes that are no DNS message behind the id
 *	!WRONGID			an answer with another id, and no other
 *	!WRONGNAME			an answer to another question
 *	!LOOP				an MX whose name is compressed into itself
 *	!MANY n				n records, over UDP cut to none with the TC bit
 *
 * A name that has no row does not exist; one with rows of other types has no such record. Both come with an SOA of 60 s.
 */
#include <arpa/inet.h>
#include <check.h>
#include <event2/event.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "lib/clock.h"
#include "mx/dns.h"

#define T_CNAME	5
#define T_SOA	6

struct zone {
	const char	*name;
	int		 type;
	const char	*data;
	uint32_t	 ttl;		/* 0: 300 */
};

struct fake_dns {
	struct event_base	*base;
	const struct zone	*zone;	/* ends with a NULL name */
	struct event		*udp, *tcp;
	char			 address[32];
	unsigned		 n_udp, n_tcp;
	uint16_t		 ids[64];	/* of the first UDP queries */
	uint16_t		 port;		/* that the last one came from; */
	unsigned		 n_ports;	/* how often it was another one than before */
	uint8_t			 last[600];	/* query */
	size_t			 last_len;
	bool			 ad;		/* set the AD bit in answers */
	bool			 silent;	/* answer nothing at all */
};

struct out {
	uint8_t	bytes[65535];
	size_t	len;
};

static void
out16(struct out *o, unsigned v)
{
	o->bytes[o->len++] = (uint8_t)(v >> 8);
	o->bytes[o->len++] = (uint8_t)v;
}

static void
out32(struct out *o, uint32_t v)
{
	out16(o, v >> 16);
	out16(o, v & 0xffff);
}

/* "\ddd" is a byte, so that odd names can be written. */
static void
out_name(struct out *o, const char *name)
{
	size_t at = o->len++;

	for (; *name != '\0'; name++) {
		if (*name == '.') {
			o->bytes[at] = (uint8_t)(o->len - at - 1);
			at = o->len++;
		} else if (*name == '\\') {
			char digits[4] = { name[1], name[2], name[3], 0 };

			o->bytes[o->len++] = (uint8_t)strtoul(digits, NULL, 10);
			name += 3;
		} else {
			o->bytes[o->len++] = (uint8_t)*name;
		}
	}
	o->bytes[at] = (uint8_t)(o->len - at - 1);
	if (o->bytes[at] != 0)
		o->bytes[o->len++] = 0;
}

static void
out_rdata(struct out *o, int type, const char *data)
{
	unsigned preference = 0;
	int used = 0;
	uint8_t address[16];

	switch (type) {
	case DNS_A:
	case DNS_AAAA:
		ck_assert_int_eq(inet_pton(type == DNS_A ? AF_INET : AF_INET6, data, address), 1);
		memcpy(o->bytes + o->len, address, type == DNS_A ? 4 : 16);
		o->len += type == DNS_A ? 4 : 16;
		break;
	case DNS_MX:
		ck_assert_int_eq(sscanf(data, "%u %n", &preference, &used), 1);
		out16(o, preference);
		out_name(o, data + used);
		break;
	case DNS_TXT:
		for (size_t left = strlen(data), part; left > 0; left -= part, data += part) {
			part = left > 255 ? 255 : left;
			o->bytes[o->len++] = (uint8_t)part;
			memcpy(o->bytes + o->len, data, part);
			o->len += part;
		}
		break;
	default:
		out_name(o, data);
	}
}

static void
out_record(struct out *o, const char *owner, int type, uint32_t ttl, const char *data)
{
	size_t at;

	out_name(o, owner);
	out16(o, (unsigned)type);
	out16(o, 1);
	out32(o, ttl);
	at = o->len;
	o->len += 2;
	if (type == T_SOA) {
		out_name(o, "ns.test");
		out_name(o, "hostmaster.test");
		for (int i = 0; i < 5; i++)
			out32(o, 60);
	} else {
		out_rdata(o, type, data);
	}
	o->bytes[at] = (uint8_t)((o->len - at - 2) >> 8);
	o->bytes[at + 1] = (uint8_t)(o->len - at - 2);
}

static void
out_set16(struct out *o, size_t at, unsigned v)
{
	o->bytes[at] = (uint8_t)(v >> 8);
	o->bytes[at + 1] = (uint8_t)v;
}

static void
out_many(struct out *o, const char *name, int type, unsigned n, bool tcp)
{
	char data[64];

	if (!tcp) {
		o->bytes[2] |= 0x02;
		return;
	}
	for (unsigned i = 0; i < n; i++) {
		snprintf(data, sizeof(data), type == DNS_MX ? "%u mx%u.test" : type == DNS_A ? "198.%u.0.%u" : "%u-%u",
		    i / 200, i % 200);
		out_record(o, name, type, 300, data);
	}
	out_set16(o, 6, n);
}

/* A behaviour; false: send nothing. */
static bool
out_behaviour(struct out *o, const struct zone *z, int type, bool tcp)
{
	if (strcmp(z->data, "!DROP") == 0)
		return false;
	if (strcmp(z->data, "!SERVFAIL") == 0)
		o->bytes[3] |= 2;
	else if (strcmp(z->data, "!NOTIMP") == 0)
		o->bytes[3] |= 4;
	else if (strcmp(z->data, "!REFUSED") == 0)
		o->bytes[3] |= 5;
	else if (strcmp(z->data, "!WRONGID") == 0)
		o->bytes[0] ^= 0x55;
	else if (strcmp(z->data, "!WRONGNAME") == 0)
		o->bytes[13] ^= 1;
	else if (strcmp(z->data, "!GARBAGE") == 0)
		out_set16(o, 6, 4000);
	else if (strncmp(z->data, "!MANY ", 6) == 0)
		out_many(o, z->name, type, (unsigned)strtoul(z->data + 6, NULL, 10), tcp);
	else if (strcmp(z->data, "!LOOP") == 0) {
		out_record(o, z->name, DNS_MX, 300, "10 x");
		out_set16(o, o->len - 3, 0xc000 | (unsigned)(o->len - 3));
		o->len--;
		out_set16(o, o->len - 6, 4);
		out_set16(o, 6, 1);
	} else {
		ck_abort_msg("unknown behaviour %s", z->data);
	}
	return true;
}

/* Rows of `type` at `name` and of what its CNAMEs lead to. */
static bool
out_answer(struct fake_dns *f, struct out *o, const char *name, int type, bool tcp)
{
	bool exists = false, found = false;
	unsigned n = 0;

	for (const struct zone *z = f->zone; z->name != NULL; z++) {
		if (strcasecmp(z->name, name) != 0)
			continue;
		exists = true;
		if (z->type != type && z->type != T_CNAME)
			continue;
		if (z->data[0] == '!')
			return out_behaviour(o, z, type, tcp);
		out_record(o, name, z->type, z->ttl ? z->ttl : 300, z->data);
		n++;
		found |= z->type == type;
		if (z->type == T_CNAME && n < 20) {
			exists = false;
			name = z->data;
			z = f->zone - 1;
		}
	}
	out_set16(o, 6, n);
	if (!exists)
		o->bytes[3] |= 3;
	if (!found) {
		out_record(o, "test", T_SOA, 100, NULL);
		out_set16(o, 8, 1);
	}
	return true;
}

static bool
fake_reply(struct fake_dns *f, struct out *o, const uint8_t *query, size_t len, bool tcp)
{
	char name[256];
	size_t at = 12, n = 0;
	int type;

	ck_assert_uint_ge(len, 17);
	while (query[at] != 0) {
		memcpy(name + n, query + at + 1, query[at]);
		n += query[at];
		name[n++] = '.';
		at += 1 + query[at];
	}
	name[n - 1] = '\0';
	type = query[at + 1] << 8 | query[at + 2];
	memcpy(f->last, query, len < sizeof(f->last) ? len : sizeof(f->last));
	f->last_len = len;
	memset(o->bytes, 0, 12);
	memcpy(o->bytes, query, at + 5);
	o->len = at + 5;
	o->bytes[2] = 0x81;
	o->bytes[3] = 0x80 | (f->ad ? 0x20 : 0);
	memset(o->bytes + 6, 0, 6);
	return out_answer(f, o, name, type, tcp);
}

static void
fake_on_udp(evutil_socket_t fd, short what, void *arg)
{
	struct fake_dns *f = arg;
	struct sockaddr_storage from;
	socklen_t from_len = sizeof(from);
	static struct out o;
	uint8_t query[600];
	ssize_t n = recvfrom(fd, query, sizeof(query), 0, (struct sockaddr *)&from, &from_len);

	(void)what;
	ck_assert_int_gt(n, 0);
	if (f->n_udp < 64)
		f->ids[f->n_udp] = (uint16_t)(query[0] << 8 | query[1]);
	f->n_udp++;
	f->n_ports += f->port != ((struct sockaddr_in *)&from)->sin_port;
	f->port = ((struct sockaddr_in *)&from)->sin_port;
	if (fake_reply(f, &o, query, (size_t)n, false) && !f->silent)
		sendto(fd, o.bytes, o.len, 0, (struct sockaddr *)&from, from_len);
}

/* One question per connection, which c-ares sends in one piece; the answer fits into the socket's buffer. */
static void
fake_on_question(evutil_socket_t fd, short what, void *arg)
{
	struct fake_dns *f = arg;
	static struct out o;
	uint8_t query[602], length[2];
	ssize_t n = recv(fd, query, sizeof(query), 0);

	(void)what;
	f->n_tcp++;
	if (n > 2 && fake_reply(f, &o, query + 2, (size_t)n - 2, true)) {
		length[0] = (uint8_t)(o.len >> 8);
		length[1] = (uint8_t)o.len;
		ck_assert_int_eq(send(fd, length, 2, MSG_NOSIGNAL | MSG_MORE), 2);
		ck_assert_int_eq(send(fd, o.bytes, o.len, MSG_NOSIGNAL), (ssize_t)o.len);
	}
	close(fd);
}

static void
fake_on_tcp(evutil_socket_t listener, short what, void *arg)
{
	struct fake_dns *f = arg;
	int fd = accept(listener, NULL, NULL);

	(void)what;
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(event_base_once(f->base, fd, EV_READ, fake_on_question, f, NULL), 0);
}

/* -- for the tests -- */

static void
fake_start(struct fake_dns *f, struct event_base *base, const struct zone *zone)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(sin);
	int udp, tcp;

	*f = (struct fake_dns){ .base = base, .zone = zone };
	for (int attempt = 0;; attempt++) {
		sin.sin_port = 0;
		tcp = socket(AF_INET, SOCK_STREAM, 0);
		udp = socket(AF_INET, SOCK_DGRAM, 0);
		ck_assert_int_eq(bind(tcp, (struct sockaddr *)&sin, sizeof(sin)), 0);
		getsockname(tcp, (struct sockaddr *)&sin, &len);
		if (bind(udp, (struct sockaddr *)&sin, sizeof(sin)) == 0)
			break;
		ck_assert_int_lt(attempt, 50);
		close(tcp);
		close(udp);
	}
	ck_assert_int_eq(listen(tcp, 16), 0);
	snprintf(f->address, sizeof(f->address), "127.0.0.1:%u", ntohs(sin.sin_port));
	f->udp = event_new(base, udp, EV_READ | EV_PERSIST, fake_on_udp, f);
	f->tcp = event_new(base, tcp, EV_READ | EV_PERSIST, fake_on_tcp, f);
	event_add(f->udp, NULL);
	event_add(f->tcp, NULL);
}

static void
fake_stop(struct fake_dns *f)
{
	close(event_get_fd(f->udp));
	close(event_get_fd(f->tcp));
	event_free(f->udp);
	event_free(f->tcp);
}

static struct dns *
fake_face(struct fake_dns *f)
{
	char *servers[] = { f->address, NULL }, err[256];
	struct dns *dns = dns_new_direct(f->base, servers, err, sizeof(err));

	ck_assert_msg(dns != NULL, "%s", err);
	return dns;
}

/* -- what each test has one of -- */

static struct event_base *base;
static struct fake_dns fake;
static struct dns *dns;
static struct event *quiet;
static int64_t began_ms;

static void
pass_ms(int64_t ms)
{
	clock_shift(clock_ms() - began_ms + ms);
}

/* Nothing happened for a moment. Time goes on if nothing was asked since the last look, else it was only the machine that
 * was slow. */
static void
on_quiet(evutil_socket_t fd, short what, void *arg)
{
	static unsigned asked = UINT_MAX;

	(void)fd;
	(void)what;
	(void)arg;
	if (asked == fake.n_udp + fake.n_tcp)
		pass_ms(100);
	asked = fake.n_udp + fake.n_tcp;
}

static void
fake_setup(const struct zone *zone)
{
	base = event_base_new();
	clock_init(base);
	clock_hold(true);
	clock_shift(0);
	began_ms = clock_ms();
	quiet = event_new(base, -1, 0, on_quiet, NULL);
	fake_start(&fake, base, zone);
	dns = fake_face(&fake);
}

static void
fake_teardown(void)
{
	dns_free(dns);
	fake_stop(&fake);
	event_free(quiet);
	clock_init(NULL);
	event_base_free(base);
}

/* Runs the loop until *done; a test's own limit ends what never comes. */
static void
run_until(const bool *done)
{
	static const struct timeval moment = { .tv_usec = 1000 };

	while (!*done) {
		event_add(quiet, &moment);
		event_base_loop(base, EVLOOP_ONCE);
	}
	event_del(quiet);
}
