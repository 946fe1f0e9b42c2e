/*
 * Arguments of commands, taken apart; decides what is well-formed and what the reply to the rest is. Not whether the
 * command may come now (commands.c), and not addresses (lib/address.c). Pure.
 */
#include "smtpd/params.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define KEYWORD_MAX	32	/* of an unknown parameter, in the reply that names it */

void
refusal_set(struct refusal *r, int code, const char *enhanced, const char *fmt, ...)
{
	va_list ap;

	r->code = code;
	snprintf(r->enhanced, sizeof(r->enhanced), "%s", enhanced);
	va_start(ap, fmt);
	vsnprintf(r->text, sizeof(r->text), fmt, ap);
	va_end(ap);
}

/* The length of an enhanced status code (RFC 3463, 2) and the space after it, 0 without one. */
static size_t
enhanced_length(const char *text, int code)
{
	size_t n = 2, digits;

	if (text[0] != '0' + code / 100 || text[1] != '.')
		return 0;
	if ((digits = strspn(text + n, "0123456789")) < 1 || digits > 3 || text[n + digits] != '.')
		return 0;
	n += digits + 1;
	if ((digits = strspn(text + n, "0123456789")) < 1 || digits > 3 || text[n + digits] != ' ')
		return 0;
	return n + digits + 1;
}

void
refusal_from(struct refusal *r, int code, const char *enhanced, const char *text)
{
	size_t n = enhanced_length(text, code);

	refusal_set(r, code, enhanced, "%s", text + n);
	if (n > 0)
		snprintf(r->enhanced, sizeof(r->enhanced), "%.*s", (int)(n - 1), text);
}

int
params_number(const char *text, size_t len, uint64_t *r)
{
	uint64_t n = 0;

	if (len == 0)
		return -1;
	for (size_t i = 0; i < len; i++) {
		unsigned digit = (unsigned)(text[i] - '0');

		if (digit > 9 || n > (UINT64_MAX - digit) / 10)
			return -1;
		n = n * 10 + digit;
	}
	*r = n;
	return 0;
}

const char *
params_after(const char *text, const char *keyword)
{
	size_t n = strlen(keyword);

	if (strncasecmp(text, keyword, n) != 0)
		return NULL;
	return text + n + strspn(text + n, " ");
}

/* One parameter: keyword, and a value or NULL. */
struct parameter {
	const char	*name, *value;
	size_t		 name_len, value_len;
};

static bool
parameter_next(const char **text, struct parameter *p)
{
	size_t len;

	*text += strspn(*text, " ");
	len = strcspn(*text, " ");
	if (len == 0)
		return false;
	p->name = *text;
	p->name_len = len;
	p->value = memchr(*text, '=', len);
	p->value_len = 0;
	if (p->value != NULL) {
		p->name_len = (size_t)(p->value - p->name);
		p->value++;
		p->value_len = len - p->name_len - 1;
	}
	*text += len;
	return true;
}

static bool
same(const char *text, size_t len, const char *word)
{
	return len == strlen(word) && strncasecmp(text, word, len) == 0;
}

static int
refuse(struct refusal *r, const char *text)
{
	refusal_set(r, 501, "5.5.4", "%s", text);
	return -1;
}

static int
take_size(const struct parameter *p, uint64_t most, struct params_mail *m, struct refusal *r)
{
	if (p->value == NULL || params_number(p->value, p->value_len, &m->size) < 0)
		return refuse(r, "SIZE= takes the message's size in bytes, as SIZE=12345");
	if (m->size > most) {
		refusal_set(r, 552, "5.3.4", "Message too big: at most %llu bytes here", (unsigned long long)most);
		return -1;
	}
	return 0;
}

static int
take_body(const struct parameter *p, struct params_mail *m, struct refusal *r)
{
	if (p->value != NULL && same(p->value, p->value_len, "8BITMIME"))
		m->eight_bit = true;
	else if (p->value == NULL || !same(p->value, p->value_len, "7BIT"))
		return refuse(r, "BODY= is 7BIT or 8BITMIME");
	return 0;
}

static int
take_unknown(const struct parameter *p, struct refusal *r)
{
	refusal_set(r, 555, "5.5.4", "Parameter %.*s is not known here",
	    (int)(p->name_len < KEYWORD_MAX ? p->name_len : KEYWORD_MAX), p->name);
	return -1;
}

static int
take_utf8(const struct parameter *p, struct params_mail *m, struct refusal *r)
{
	m->utf8 = true;
	return p->value == NULL ? 0 : refuse(r, "SMTPUTF8 takes no value");
}

static int
take_ret(const struct parameter *p, struct params_mail *m, struct refusal *r)
{
	if (p->value != NULL && dsn_ret_parse(p->value, p->value_len, &m->ret) == 0)
		return 0;
	return refuse(r, "RET= is FULL or HDRS");
}

static int
take_envid(const struct parameter *p, struct params_mail *m, struct refusal *r)
{
	if (p->value != NULL && dsn_envid_parse(m->envid, p->value, p->value_len) == 0)
		return 0;
	return refuse(r, "ENVID= takes up to 100 characters of xtext (RFC 3461), which stand for printable ASCII");
}

static int
take_notify(const struct parameter *p, struct params_rcpt *m, struct refusal *r)
{
	if (p->value != NULL && dsn_notify_parse(p->value, p->value_len, &m->notify) == 0)
		return 0;
	return refuse(r, "NOTIFY= is NEVER, or a list of SUCCESS, FAILURE and DELAY");
}

static int
take_orcpt(const struct parameter *p, bool utf8, struct params_rcpt *m, struct refusal *r)
{
	if (p->value != NULL && dsn_orcpt_parse(m->orcpt, p->value, p->value_len, utf8) == 0)
		return 0;
	return refuse(r, "ORCPT= takes a type, a semicolon and an address in xtext, as ORCPT=rfc822;bob@example.org");
}

/* Each once. */
static int
take_once(unsigned *had, unsigned seen, struct refusal *r)
{
	if (*had & seen)
		return refuse(r, "A parameter was given twice");
	*had |= seen;
	return 0;
}

int
params_mail(const char *text, uint64_t most, bool local, struct params_mail *m, struct refusal *r)
{
	enum { SIZE = 1, BODY = 2, UTF8 = 4, RET = 8, ENVID = 16, LATER = 32 } seen;
	struct parameter p;
	unsigned had = 0;
	int status;

	memset(m, 0, sizeof(*m));
	if (*text != '\0' && *text != ' ')
		return refuse(r, "A space is needed between <address> and parameters");
	while (parameter_next(&text, &p)) {
		if (same(p.name, p.name_len, "SIZE")) {
			seen = SIZE;
			status = take_size(&p, most, m, r);
		} else if (same(p.name, p.name_len, "BODY")) {
			seen = BODY;
			status = take_body(&p, m, r);
		} else if (same(p.name, p.name_len, "SMTPUTF8")) {
			seen = UTF8;
			status = take_utf8(&p, m, r);
		} else if (same(p.name, p.name_len, "RET")) {
			seen = RET;
			status = take_ret(&p, m, r);
		} else if (same(p.name, p.name_len, "ENVID")) {
			seen = ENVID;
			status = take_envid(&p, m, r);
		} else if (local && same(p.name, p.name_len, "XLATER") && p.value == NULL) {
			seen = LATER;
			m->later = true;
			status = 0;
		} else
			return take_unknown(&p, r);
		if (status < 0 || take_once(&had, seen, r) < 0)
			return -1;
	}
	return 0;
}

int
params_rcpt(const char *text, bool utf8, struct params_rcpt *m, struct refusal *r)
{
	enum { NOTIFY = 1, ORCPT = 2 } seen;
	struct parameter p;
	unsigned had = 0;
	int status;

	memset(m, 0, sizeof(*m));
	if (*text != '\0' && *text != ' ')
		return refuse(r, "A space is needed between <address> and parameters");
	while (parameter_next(&text, &p)) {
		if (same(p.name, p.name_len, "NOTIFY")) {
			seen = NOTIFY;
			status = take_notify(&p, m, r);
		} else if (same(p.name, p.name_len, "ORCPT")) {
			seen = ORCPT;
			status = take_orcpt(&p, utf8, m, r);
		} else
			return take_unknown(&p, r);
		if (status < 0 || take_once(&had, seen, r) < 0)
			return -1;
	}
	return 0;
}

enum params_bdat
params_bdat(const char *text, uint64_t *size_r, bool *last_r)
{
	size_t len = strcspn(text, " ");

	*last_r = false;
	if (params_number(text, len, size_r) < 0)
		return PARAMS_BDAT_BAD;
	text += len;
	text += strspn(text, " ");
	if (*text == '\0')
		return PARAMS_BDAT_OK;
	*last_r = strcasecmp(text, "LAST") == 0;
	return *last_r ? PARAMS_BDAT_OK : PARAMS_BDAT_REST;
}
