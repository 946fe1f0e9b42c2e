/*
 * A look at a message's header while it streams by: its size and its Received fields (RFC 5321, 6.3), in constant
 * memory whatever comes. It ends at the empty line, or at a line that is no field (RFC 5322, 2.2): what a person types
 * into telnet often has no header at all. content.c asks it and decides.
 */
#include "smtpd/headscan.h"

#include <string.h>

enum {
	LINE_START,
	NAME,			/* in a field's name */
	NAME_SPACE,		/* blanks before its colon: obsolete, seen in practice */
	VALUE,			/* after the colon, or in a folded line */
	OVER,
};

static const char received[] = "received";

void
headscan_init(struct headscan *h)
{
	memset(h, 0, sizeof(*h));
}

bool
headscan_over(const struct headscan *h)
{
	return h->state == OVER;
}

static void
take_name(struct headscan *h, uint8_t c)
{
	if (c == ':') {
		if (h->match == sizeof(received) - 1)
			h->hops++;
		h->state = VALUE;
	} else if (c == ' ' || c == '\t')
		h->state = NAME_SPACE;
	else if (c <= ' ' || c >= 0x7f || h->state == NAME_SPACE)
		h->state = OVER;
	else if (h->match < sizeof(received) - 1 && (c | 0x20) == received[h->match])
		h->match++;
	else
		h->match = sizeof(received);	/* another name */
}

/* The field under way is known to reach up to there. */
static void
measure(struct headscan *h, uint64_t end)
{
	if (end - h->field > h->longest)
		h->longest = end - h->field;
}

static void
take_byte(struct headscan *h, uint8_t c)
{
	switch (h->state) {
	case LINE_START:
		h->match = 0;
		measure(h, h->size - 1);
		if (c == ' ' || c == '\t')
			h->state = h->size > 1 ? VALUE : OVER;	/* a fold needs a field before it */
		else if (c == '\r' || c == '\n' || c == ':')
			h->state = OVER;
		else {
			h->state = NAME;
			h->field = h->size - 1;
			take_name(h, c);
		}
		break;
	case NAME:
	case NAME_SPACE:
		take_name(h, c);
		break;
	default:
		if (c == '\n')
			h->state = LINE_START;
	}
}

static bool
has_eight_bit(const uint8_t *data, size_t len)
{
	uint64_t word, all = 0;

	for (; len >= sizeof(word); data += sizeof(word), len -= sizeof(word)) {
		memcpy(&word, data, sizeof(word));
		all |= word;
	}
	while (len-- > 0)
		all |= *data++;
	return (all & UINT64_C(0x8080808080808080)) != 0;
}

void
headscan_take(struct headscan *h, const uint8_t *data, size_t len)
{
	const uint8_t *end = data + len, *lf;

	while (data < end && h->state != OVER) {
		if (h->state == VALUE) {	/* most of a header is values: skip to the line's end */
			lf = memchr(data, '\n', (size_t)(end - data));
			h->size += (size_t)((lf != NULL ? lf : end) - data);
			if (!h->eight_bit)
				h->eight_bit = has_eight_bit(data, (size_t)((lf != NULL ? lf : end) - data));
			if (lf == NULL)
				break;
			data = lf;
		}
		h->size++;
		take_byte(h, *data++);
	}
	if (h->state != OVER)
		measure(h, h->size);
}
