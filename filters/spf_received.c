/*
 * Writes Received-SPF. Decides how what strangers said is written there, so that it can neither end the field nor be read as
 * another part of it. Called by smtpd when it accepts a message.
 */
#include <string.h>

#include "filters/spf_received.h"

#define REASON_MAX	300	/* bytes; with every one escaped a line is still shorter than 998 */
#define VALUE_MAX	330	/* a whole address, or a HELO name */

struct out {
	char	*to;
	size_t	 len;
};

static void
put(struct out *o, const char *text)
{
	size_t n = strlen(text);

	if (o->len + n < SPF_RECEIVED_MAX) {
		memcpy(o->to + o->len, text, n + 1);
		o->len += n;
	}
}

/* With a backslash in front of each of `special`. */
static void
put_escaped(struct out *o, const char *text, size_t most, const char *special)
{
	for (size_t i = 0; text[i] != '\0' && i < most; i++) {
		char two[3] = { '\\', text[i], '\0' };

		if (text[i] < ' ' || text[i] > '~')
			two[1] = '?';
		put(o, strchr(special, two[1]) != NULL ? two : two + 1);
	}
}

/* A dot-atom, or a quoted string (RFC 7208, 9.1). */
static void
put_value(struct out *o, const char *key, const char *value)
{
	static const char atom[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
	size_t len = strlen(value);
	bool quote = len == 0 || strspn(value, atom) != len || value[0] == '.' || value[len - 1] == '.' ||
	    strstr(value, "..") != NULL;

	put(o, key);
	put(o, quote ? "=\"" : "=");
	put_escaped(o, value, VALUE_MAX, "\"\\");
	put(o, quote ? "\";" : ";");
}

size_t
spf_received_write(char to[SPF_RECEIVED_MAX], const struct spf_received *r)
{
	struct out o = { .to = to };

	to[0] = '\0';
	put(&o, "Received-SPF: ");
	put(&o, spf_code_name(r->code));
	put(&o, "\r\n\t(");
	put_escaped(&o, r->reason, REASON_MAX, "()\\");
	put(&o, ")\r\n\t");
	put_value(&o, "client-ip", r->client);
	put(&o, "\r\n\t");
	put_value(&o, "envelope-from", r->sender);
	put(&o, "\r\n\t");
	put_value(&o, "helo", r->helo_name);
	put(&o, "\r\n\t");
	put_value(&o, "receiver", r->receiver);
	put(&o, r->helo ? " identity=helo\r\n" : " identity=mailfrom\r\n");
	return o.len;
}
