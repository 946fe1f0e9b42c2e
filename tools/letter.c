/*
 * A message from a program: read line by line, the header into memory, the body into a temporary file, lines ended by
 * CRLF whatever they were ended by before; then recipients taken from its header, and the header completed (RFC 5322,
 * 3.6 and RFC 6409, 8). Decides nothing about sending: tools/submit.c does that.
 *
 * What no message may hold does not lose a report from cron: in the body a bare CR becomes an end of line, in the
 * header a space (there it could otherwise add fields that nobody wrote), and NUL becomes '?'.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sysexits.h>

#include "lib/clock.h"
#include "lib/header.h"
#include "lib/ids.h"
#include "tools/letter.h"

static int
trouble(char *why, size_t size, const char *what, int code)
{
	snprintf(why, size, "%s: %s", what, strerror(errno));
	return code;
}

/* Without a writable /tmp, memory. */
static FILE *
temporary(void)
{
	FILE *f = tmpfile();
	int fd;

	if (f == NULL && (fd = memfd_create("mail", MFD_CLOEXEC)) >= 0)
		f = fdopen(fd, "w+");
	return f;
}

/* ---- reading ---- */

/* A line as it came, its end cut off: LF with any CR before it (programs write CR CR LF, too). */
static size_t
chomp(char *line, size_t len)
{
	if (len > 0 && line[len - 1] == '\n')
		len--;
	while (len > 0 && line[len - 1] == '\r')
		len--;
	for (char *p = line; (p = memchr(p, '\0', (size_t)(line + len - p))) != NULL; p++)
		*p = '?';
	return len;
}

static bool
looks_like_field(const char *line, size_t len)
{
	size_t n = 0;

	while (n < len && line[n] > ' ' && line[n] < 0x7f && line[n] != ':')
		n++;
	while (n > 0 && n < len && (line[n] == ' ' || line[n] == '\t'))
		n++;
	return n > 0 && n < len && line[n] == ':';
}

static bool
has_eight_bit(const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)p[i] >= 0x80)
			return true;
	return false;
}

static void
put_header(struct letter *l, FILE *header, char *line, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (line[i] == '\r')
			line[i] = ' ';
	l->eight_bit |= has_eight_bit(line, len);
	fwrite(line, 1, len, header);
	fputs("\r\n", header);
}

static void
put_body(struct letter *l, const char *line, size_t len)
{
	const char *cr;
	size_t n;

	l->eight_bit |= has_eight_bit(line, len);
	while ((cr = memchr(line, '\r', len)) != NULL) {
		n = (size_t)(cr - line);
		fwrite(line, 1, n, l->body);
		fputs("\r\n", l->body);
		l->body_size += n + 2;
		line += n + 1;
		len -= n + 1;
	}
	fwrite(line, 1, len, l->body);
	fputs("\r\n", l->body);
	l->body_size += len + 2;
}

/* "From user date", "From user date remote from host", as UUCP writes it: the last "remote from" counts with a bare user. */
static void
take_envelope_from(struct letter *l, const char *line, size_t len)
{
	static const char remote[] = " remote from ";
	const char *word = line + 5, *end = line + len, *host = memmem(line, len, remote, sizeof(remote) - 1);
	size_t user_len, host_len = 0;

	while (word < end && *word == ' ')
		word++;
	user_len = 0;
	while (word + user_len < end && word[user_len] > ' ')
		user_len++;
	if (host != NULL && memchr(word, '@', user_len) == NULL)
		for (host += sizeof(remote) - 1; host + host_len < end && host[host_len] > ' ';)
			host_len++;
	free(l->envelope_from);
	l->envelope_from = NULL;
	if (user_len > 0 && asprintf(&l->envelope_from, "%.*s%s%.*s", (int)user_len, word, host_len > 0 ? "@" : "",
	    (int)host_len, host_len > 0 ? host : "") < 0)
		l->envelope_from = NULL;
}

/* One line of the header: false when it belongs to the body already. */
static bool
take_header_line(struct letter *l, FILE *header, char *line, size_t len, bool *first)
{
	bool was_first = *first, folded = len > 0 && (line[0] == ' ' || line[0] == '\t') && ftello(header) > 0;

	*first = false;
	if (len == 0)
		return false;
	/* An mbox' own first line is not part of the message. */
	if (was_first && (strncmp(line, "From ", 5) == 0 || strncmp(line, ">From ", 6) == 0)) {
		take_envelope_from(l, line + (line[0] == '>'), len - (line[0] == '>'));
		return true;
	}
	if (!folded && !looks_like_field(line, len)) {
		put_body(l, line, len);
		return false;
	}
	put_header(l, header, line, len);
	return true;
}

static int
read_lines(struct letter *l, FILE *in, FILE *header, bool dots, char *why, size_t size)
{
	bool in_header = true, first = true;
	char *line = NULL;
	size_t room = 0, len;
	ssize_t n;

	errno = 0;
	while ((n = getline(&line, &room, in)) >= 0) {
		if (!dots && (strcmp(line, ".\n") == 0 || strcmp(line, ".\r\n") == 0 || strcmp(line, ".") == 0))
			break;
		len = chomp(line, (size_t)n);
		if (in_header)
			in_header = take_header_line(l, header, line, len, &first);
		else
			put_body(l, line, len);
		if (in_header && ftello(header) > (off_t)LETTER_HEADER_MAX) {
			free(line);
			snprintf(why, size, "the header is larger than %u bytes", LETTER_HEADER_MAX);
			return EX_DATAERR;
		}
	}
	free(line);
	if (ferror(in))
		return trouble(why, size, "reading the message", EX_IOERR);
	if (fflush(l->body) != 0 || ferror(l->body))
		return trouble(why, size, "keeping the message in a temporary file", EX_TEMPFAIL);
	return 0;
}

int
letter_read(struct letter *l, FILE *in, bool dots, char *why, size_t size)
{
	FILE *header;
	int rc;

	memset(l, 0, sizeof(*l));
	if ((l->body = temporary()) == NULL || (header = open_memstream(&l->header, &l->header_len)) == NULL)
		return trouble(why, size, "making a temporary file", EX_TEMPFAIL);
	rc = read_lines(l, in, header, dots, why, size);
	if (fclose(header) != 0 && rc == 0)
		rc = trouble(why, size, "keeping the header", EX_TEMPFAIL);
	return rc;
}

void
letter_free(struct letter *l)
{
	free(l->header);
	free(l->envelope_from);
	if (l->body != NULL)
		fclose(l->body);
	memset(l, 0, sizeof(*l));
}

/* ---- recipients ---- */

struct adding {
	struct letter_rcpts	*rcpts;
	bool			 too_many;
};

static void
add(void *arg, const char *address)
{
	struct adding *a = arg;
	struct letter_rcpts *r = a->rcpts;
	char **list;

	for (size_t i = 0; i < r->n; i++)
		if (strcmp(r->list[i], address) == 0)
			return;
	if (r->n == LETTER_RCPTS_MAX || (list = reallocarray(r->list, r->n + 1, sizeof(*list))) == NULL ||
	    (list[r->n] = strdup(address)) == NULL) {
		a->too_many = true;
		return;
	}
	r->list = list;
	r->n++;
}

int
letter_add_rcpts(struct letter_rcpts *r, const char *text, size_t len, char *why, size_t size)
{
	struct adding a = { .rcpts = r };

	if (header_addresses(text, len, add, &a) < 0) {
		snprintf(why, size, "these are no addresses: %.*s", (int)(len > 200 ? 200 : len), text);
		for (char *p = why; *p != '\0'; p++)
			if (iscntrl((unsigned char)*p))
				*p = ' ';
		return EX_DATAERR;
	}
	if (a.too_many) {
		snprintf(why, size, "too many recipients; at most %d are possible", LETTER_RCPTS_MAX);
		return EX_DATAERR;
	}
	return 0;
}

static bool
is_resent(const struct header_field *f)
{
	return f->name_len > 7 && strncasecmp(f->name, "Resent-", 7) == 0;
}

int
letter_header_rcpts(const struct letter *l, struct letter_rcpts *r, char *why, size_t size)
{
	struct header_field f;
	bool resent = false;
	size_t at = 0;
	int rc;

	while (header_next(l->header, l->header_len, &at, &f))
		resent |= is_resent(&f);
	for (at = 0; header_next(l->header, l->header_len, &at, &f);) {
		if (is_resent(&f) != resent)
			continue;
		if (resent) {
			f.name += 7;
			f.name_len -= 7;
		}
		if (!header_is(&f, "To") && !header_is(&f, "Cc") && !header_is(&f, "Bcc"))
			continue;
		if ((rc = letter_add_rcpts(r, f.value, f.value_len, why, size)) != 0)
			return rc;
	}
	return 0;
}

void
letter_free_rcpts(struct letter_rcpts *r)
{
	for (size_t i = 0; i < r->n; i++)
		free(r->list[i]);
	free(r->list);
	memset(r, 0, sizeof(*r));
}

/* ---- completing ---- */

static bool
is_atom_text(unsigned char c)
{
	return isalnum(c) || c == ' ' || strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL;
}

/* RFC 2047: encoded words of at most 75 characters, none of which cuts a character of UTF-8 in two. */
static void
put_encoded(FILE *f, const char *text)
{
	static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t len = strlen(text), n;
	const char *gap = "";

	for (; len > 0; text += n, len -= n, gap = "\r\n ") {
		n = len > 42 ? 42 : len;
		while (n < len && n > 36 && ((unsigned char)text[n] & 0xc0) == 0x80)
			n--;
		fprintf(f, "%s=?UTF-8?B?", gap);
		for (size_t i = 0; i < n; i += 3) {
			uint32_t v = (uint32_t)(unsigned char)text[i] << 16;

			v |= i + 1 < n ? (uint32_t)(unsigned char)text[i + 1] << 8 : 0;
			v |= i + 2 < n ? (unsigned char)text[i + 2] : 0;
			fprintf(f, "%c%c%c%c", digit[v >> 18], digit[v >> 12 & 63], i + 1 < n ? digit[v >> 6 & 63] : '=',
			    i + 2 < n ? digit[v & 63] : '=');
		}
		fputs("?=", f);
	}
}

/* A person's name as a phrase of RFC 5322: plain, quoted or encoded. */
static void
put_name(FILE *f, const char *name)
{
	bool plain = true, ascii = true;

	for (const char *p = name; *p != '\0'; p++) {
		plain &= is_atom_text((unsigned char)*p);
		ascii &= (unsigned char)*p >= ' ' && (unsigned char)*p < 0x7f;
	}
	if (!ascii) {
		put_encoded(f, name);
		return;
	}
	if (!plain)
		putc('"', f);
	for (const char *p = name; *p != '\0'; p++) {
		if (*p == '"' || *p == '\\')
			putc('\\', f);
		putc(*p, f);
	}
	if (!plain)
		putc('"', f);
}

static void
put_missing(const struct letter *l, const struct letter_facts *facts, FILE *f)
{
	char date[64];

	if (header_count(l->header, l->header_len, "From") == 0) {
		fputs("From: ", f);
		if (facts->full_name[0] != '\0') {
			put_name(f, facts->full_name);
			putc(' ', f);
		}
		fprintf(f, "<%s>\r\n", facts->sender);
	}
	if (header_count(l->header, l->header_len, "Date") == 0)
		fprintf(f, "Date: %s\r\n", clock_rfc5322(date, sizeof(date), facts->now));
	if (header_count(l->header, l->header_len, "Message-ID") == 0)
		fprintf(f, "Message-ID: <%" PRId64 ".%s@%s>\r\n", (int64_t)facts->now, id_text(facts->unique),
		    facts->hostname);
}

char *
letter_complete(const struct letter *l, const struct letter_facts *facts, size_t *len_r)
{
	struct header_field field;
	char *text = NULL;
	FILE *f = open_memstream(&text, len_r);
	size_t at = 0;

	if (f == NULL)
		return NULL;
	while (header_next(l->header, l->header_len, &at, &field)) {
		if (header_is(&field, "Bcc") || header_is(&field, "Resent-Bcc") || header_is(&field, "Return-Path"))
			continue;
		fprintf(f, "%.*s:", (int)field.name_len, field.name);
		fwrite(field.value, 1, field.value_len, f);
	}
	put_missing(l, facts, f);
	fputs("\r\n", f);
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}
