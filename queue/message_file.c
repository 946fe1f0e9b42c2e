/*
 * Messages as files (queue/message_file.h). Decides their form: a word and its values on each line, bytes that would be no word
 * as %XX, "-" for nothing. What is read is believed no more than a stranger's: envelopes are checked as those of records are.
 * Called by queue/carry.c.
 */
#include "queue/message_file.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/ids.h"
#include "lib/log.h"
#include "lib/pack.h"

#define FORMAT		1
#define WORDS_MAX	20
#define WORD_LENGTH	(16U * 1024)	/* of a value: all of a sender's fit into one lib/pack.h */
#define RCPT_WORDS	16

/* ---- writing ---- */

static void
put_word(FILE *f, const char *text)
{
	if (text == NULL || *text == '\0') {
		fputs(" -", f);
		return;
	}
	putc(' ', f);
	for (const char *c = text; *c != '\0'; c++)
		if ((unsigned char)*c <= ' ' || *c == 0x7f || *c == '%' || (c == text && *c == '-'))
			fprintf(f, "%%%02X", (unsigned char)*c);
		else
			putc(*c, f);
}

static void
put_line(FILE *f, const char *name, const char *text)
{
	fputs(name, f);
	put_word(f, text);
	putc('\n', f);
}

static void
put_rcpt(FILE *f, const struct log_envelope_rcpt *e)
{
	const struct envelope_rcpt *r = &e->rcpt;

	fprintf(f, "rcpt %u %u %u %u %u %u %" PRIx64 " %u %" PRId64 " %" PRId64 " %u", e->state == LOG_HELD, r->local, r->final,
	    r->forwarded, r->notify, r->part, r->part_id, e->attempts, e->next_try, e->at, e->marks);
	put_word(f, r->address);
	put_word(f, r->orcpt);
	put_word(f, r->hop);
	put_word(f, e->text);
	put_word(f, e->past);
	putc('\n', f);
}

void
message_file_write(FILE *f, const struct log_envelope *e)
{
	fprintf(f, "minimta-message %d\nid %s\narrived %" PRId64 "\n", FORMAT, id_text(e->message.id), e->message.arrived);
	put_line(f, "sender", e->sender.address);
	put_line(f, "client", e->sender.client);
	put_line(f, "session", e->sender.session);
	fprintf(f, "session_id %" PRIu64 "\ndeclared %" PRIu64 "\nflags %" PRIu32 "\nret %u\n", e->sender.session_id, e->sender.size,
	    e->sender.flags, e->sender.ret);
	put_line(f, "envid", e->sender.envid);
	put_line(f, "head", e->head);
	for (uint32_t i = 0; i < e->message.n_rcpts; i++)
		if (log_state_open(e->rcpts[i].state))
			put_rcpt(f, &e->rcpts[i]);
	fprintf(f, "content %" PRIu64 "\n\n", e->message.size);
}

/* ---- reading ---- */

struct parse {
	struct message_file	*to;
	char			*words[WORDS_MAX];
	size_t			 n;
	unsigned		 line, had;
	uint32_t		 room;
	char			*why;
	size_t			 why_size;
};

static int __attribute__((format(printf, 2, 3)))
wrong(struct parse *p, const char *fmt, ...)
{
	int n = snprintf(p->why, p->why_size, "line %u: ", p->line);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(p->why + n, p->why_size - (size_t)n, fmt, ap);
	va_end(ap);
	return -1;
}

static int
hex(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* In place. -1: not one, or with a NUL. */
static int
decode(char *word)
{
	char *to = word;

	if (strcmp(word, "-") == 0)
		*word = '\0';
	for (; *word != '\0'; word++) {
		if (*word != '%') {
			*to++ = *word;
			continue;
		}
		if (hex(word[1]) < 0 || hex(word[2]) < 0 || (word[1] == '0' && word[2] == '0'))
			return -1;
		*to++ = (char)(hex(word[1]) << 4 | hex(word[2]));
		word += 2;
	}
	*to = '\0';
	return 0;
}

static bool
number(const char *text, int base, uint64_t most, uint64_t *r)
{
	char *end;

	errno = 0;
	*r = strtoull(text, &end, base);
	return isxdigit((unsigned char)*text) && *end == '\0' && errno == 0 && *r <= most;
}

static char *
copy_optional(const char *text)
{
	return *text == '\0' ? NULL : alloc_text(text);
}

static int
take_rcpt(struct parse *p)
{
	static const struct { int base; uint64_t most; } form[11] = { { 10, 1 }, { 10, 1 }, { 10, 1 }, { 10, 1 }, { 10, 15 },
	    { 10, 255 }, { 16, UINT64_MAX }, { 10, UINT32_MAX }, { 10, INT64_MAX }, { 10, INT64_MAX }, { 10, 255 } };
	struct message_file *m = p->to;
	struct envelope_rcpt *r;
	struct log_outcome *o;
	uint64_t v[11];

	if (p->n != RCPT_WORDS + 1)
		return wrong(p, "a recipient has %d values, and this has %zu", RCPT_WORDS, p->n - 1);
	for (size_t i = 0; i < 11; i++)
		if (!number(p->words[i + 1], form[i].base, form[i].most, &v[i]))
			return wrong(p, "the recipient's value %zu is no number that it can have", i + 1);
	if (m->n == p->room) {
		p->room = p->room == 0 ? 4 : 2 * p->room;
		m->rcpts = alloc_resize(m->rcpts, p->room, sizeof(*m->rcpts));
		m->outcomes = alloc_resize(m->outcomes, p->room, sizeof(*m->outcomes));
	}
	r = &m->rcpts[m->n];
	o = &m->outcomes[m->n];
	*r = (struct envelope_rcpt){ .local = v[1], .final = v[2], .forwarded = v[3], .notify = (uint8_t)v[4], .part = (uint8_t)v[5],
	    .part_id = v[6], .address = alloc_text(p->words[12]), .orcpt = copy_optional(p->words[13]), .hop = copy_optional(p->words[14]) };
	*o = (struct log_outcome){ .index = m->n, .state = v[0] != 0 ? LOG_HELD : LOG_OPEN, .attempts = (uint32_t)v[7],
	    .next_try = (int64_t)v[8], .at = (int64_t)v[9], .marks = (uint8_t)v[10], .text = alloc_text(p->words[15]),
	    .past = alloc_text(p->words[16]) };
	m->n++;
	return 0;
}

static int
take_number(struct parse *p, uint64_t most, uint64_t *r)
{
	return number(p->words[1], 10, most, r) ? 0 : wrong(p, "%s takes a number", p->words[0]);
}

enum name { ID, ARRIVED, SENDER, CLIENT, SESSION, SESSION_ID, DECLARED, FLAGS, RET, ENVID, HEAD, CONTENT, N_NAMES };

static const char *const names[N_NAMES] = { [ID] = "id", [ARRIVED] = "arrived", [SENDER] = "sender", [CLIENT] = "client",
    [SESSION] = "session", [SESSION_ID] = "session_id", [DECLARED] = "declared", [FLAGS] = "flags", [RET] = "ret",
    [ENVID] = "envid", [HEAD] = "head", [CONTENT] = "content" };

static int
take_value(struct parse *p, enum name which)
{
	struct message_file *m = p->to;
	struct envelope_sender *s = &m->sender;
	uint64_t n = 0;
	int rc = 0;

	switch (which) {
	case ID:	/* where it came from is of no importance */
		break;
	case ARRIVED:
		rc = take_number(p, INT64_MAX, &n);
		m->arrived = (int64_t)n;
		break;
	case SENDER:
		s->address = alloc_text(p->words[1]);
		break;
	case CLIENT:
		s->client = alloc_text(p->words[1]);
		break;
	case SESSION:
		s->session = alloc_text(p->words[1]);
		break;
	case SESSION_ID:
		return take_number(p, UINT64_MAX, &s->session_id);
	case DECLARED:
		return take_number(p, UINT64_MAX, &s->size);
	case FLAGS:
		rc = take_number(p, INT32_MAX, &n);
		s->flags = (uint32_t)n;
		break;
	case RET:
		rc = take_number(p, 2, &n);
		s->ret = (uint8_t)n;
		break;
	case ENVID:
		s->envid = copy_optional(p->words[1]);
		break;
	case HEAD:
		m->head = alloc_text(p->words[1]);
		break;
	case CONTENT:
		return take_number(p, INT64_MAX, &m->size);
	case N_NAMES:
		break;
	}
	return rc;
}

static int
take_line(struct parse *p, char *line)
{
	p->n = 0;
	for (char *word; (word = strsep(&line, " ")) != NULL;) {
		if (p->n == WORDS_MAX || strlen(word) > WORD_LENGTH || decode(word) != 0)
			return wrong(p, "%s", p->n == WORDS_MAX ? "it has too many values" : "a value is not written as it should be");
		p->words[p->n++] = word;
	}
	if (strcmp(p->words[0], "rcpt") == 0)
		return take_rcpt(p);
	for (size_t i = 0; i < N_NAMES; i++) {
		if (strcmp(p->words[0], names[i]) != 0)
			continue;
		if (p->n != 2 || (p->had & 1U << i) != 0)
			return wrong(p, "%s has one value, and is there once", names[i]);
		p->had |= 1U << i;
		return take_value(p, (enum name)i);
	}
	return wrong(p, "%.40s is not known", logq(p->words[0]));
}

/* As it would be read back from the log: whatever passes here is a record that can be read. */
static int
check_envelope(struct parse *p)
{
	struct message_file *m = p->to;
	struct envelope_sender sender;
	struct envelope_rcpt rcpt;
	struct unpack u;
	struct pack pack;
	int rc;

	pack_init(&pack);
	envelope_pack_sender(&pack, &m->sender);
	unpack_init(&u, pack.data, pack.len);
	rc = envelope_unpack_sender(&u, &sender);
	if (rc == 0)
		envelope_free_sender(&sender);
	for (uint32_t i = 0; i < m->n && rc == 0; i++) {
		pack.len = 0;
		envelope_pack_rcpt(&pack, &m->rcpts[i]);
		unpack_init(&u, pack.data, pack.len);
		if ((rc = envelope_unpack_rcpt(&u, &rcpt)) == 0)
			envelope_free_rcpt(&rcpt);
	}
	pack_free(&pack);
	return rc == 0 ? 0 : wrong(p, "sender or a recipient is not one that a message can have");
}

static int
check(struct parse *p)
{
	size_t len;

	for (size_t i = 0; i < N_NAMES; i++)
		if ((p->had & 1U << i) == 0)
			return wrong(p, "%s is missing", names[i]);
	len = strlen(p->to->head);
	if (p->to->n == 0)
		return wrong(p, "there is no recipient");
	if (len > 0 && (len < 2 || strcmp(p->to->head + len - 2, "\r\n") != 0))
		return wrong(p, "what goes in front of the content is no header field");
	return check_envelope(p);
}

int
message_file_parse(struct message_file *m, char *text, char *why, size_t size)
{
	struct parse p = { .to = m, .why = why, .why_size = size };
	char magic[40], *line;
	int rc = -1;

	*m = (struct message_file){ 0 };
	snprintf(magic, sizeof(magic), "minimta-message %d", FORMAT);
	while ((line = strsep(&text, "\n")) != NULL) {
		p.line++;
		if (p.line == 1 && strcmp(line, magic) != 0) {
			wrong(&p, "this is no message of the queue, or a newer one; expected \"%s\"", magic);
			break;
		}
		if (*line == '\0' && text != NULL) {
			rc = check(&p);
			break;
		}
		if (p.line > 1 && *line != '\0' && take_line(&p, line) != 0)
			break;
		if (text == NULL)
			wrong(&p, "it ends in the middle of its header");
	}
	if (rc != 0)
		message_file_free(m);
	return rc;
}

void
message_file_free(struct message_file *m)
{
	envelope_free_sender(&m->sender);
	free(m->head);
	for (uint32_t i = 0; i < m->n; i++) {
		envelope_free_rcpt(&m->rcpts[i]);
		free((char *)(uintptr_t)m->outcomes[i].text);
		free((char *)(uintptr_t)m->outcomes[i].past);
	}
	free(m->rcpts);
	free(m->outcomes);
	*m = (struct message_file){ 0 };
}
