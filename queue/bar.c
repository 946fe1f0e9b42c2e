/*
 * Decides when a bar is drawn and how it looks (queue/bar.h). Called by check.c and carry.c.
 */
#include "queue/bar.h"

#include <stdio.h>
#include <unistd.h>

#include "lib/clock.h"

#define FIRST_MS	500
#define AGAIN_MS	100
#define WIDTH		40

char *
bar_text(char *to, size_t size, const char *what, uint64_t done, uint64_t total)
{
	static const char full[] = "########################################";
	unsigned percent = total == 0 || done >= total ? 100 : (unsigned)((double)done * 100 / (double)total);

	snprintf(to, size, "%s [%-*.*s] %3u %%", what, WIDTH, (int)(percent * WIDTH / 100), full, percent);
	return to;
}

void
bar_begin(struct bar *b, const char *what, uint64_t total)
{
	*b = (struct bar){ .what = what, .total = total, .next_ms = clock_ms() + FIRST_MS,
	    .on = isatty(STDERR_FILENO) && !isatty(STDOUT_FILENO) };
}

void
bar_at(struct bar *b, uint64_t done)
{
	char text[120];

	if (!b->on || clock_ms() < b->next_ms)
		return;
	fprintf(stderr, "\r%s", bar_text(text, sizeof(text), b->what, done, b->total));
	b->next_ms = clock_ms() + AGAIN_MS;
	b->drawn = true;
}

void
bar_end(struct bar *b)
{
	if (b->drawn)
		fputs("\r\033[K", stderr);
	b->on = b->drawn = false;
}
