/*
 * Ids in Crockford's base 32, both ways. Decides only how a number looks; who gives it out and what it names is the
 * business of its owner (log_new_id for messages, id_random for sessions). Called by everybody.
 */
#include "lib/ids.h"

#include <stddef.h>
#include <string.h>
#include <sys/random.h>

#include "lib/log.h"

#define ID_BUFFERS	8
#define ID_RANDOM_BITS	40

static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

const char *
id_text(uint64_t id)
{
	static char buffers[ID_BUFFERS][ID_TEXT];
	static unsigned turn;
	char *p = buffers[turn++ % ID_BUFFERS] + ID_TEXT - 1;

	*p = '\0';
	do {
		*--p = digits[id & 31];
		id >>= 5;
	} while (id != 0);
	return p;
}

/* The value of one character; -1 for what is no digit. */
static int
digit_value(char c)
{
	const char *d;

	if (c >= 'a' && c <= 'z')
		c = (char)(c - 'a' + 'A');
	if (c == 'I' || c == 'L')
		c = '1';
	if (c == 'O')
		c = '0';
	if (c == '\0' || (d = strchr(digits, c)) == NULL)
		return -1;
	return (int)(d - digits);
}

int
id_parse(const char *text, uint64_t *id_r)
{
	uint64_t id = 0;
	int value;

	if (*text == '\0')
		return -1;
	for (; *text != '\0'; text++) {
		if ((value = digit_value(*text)) == -1 || id >> (64 - 5) != 0)
			return -1;
		id = id << 5 | (uint64_t)value;
	}
	*id_r = id;
	return 0;
}

uint64_t
id_random(void)
{
	uint64_t id = 0;

	do {
		if (getrandom(&id, ID_RANDOM_BITS / 8, 0) != ID_RANDOM_BITS / 8)
			log_fatal("event=no-randomness");
	} while (id == 0);
	return id;
}
