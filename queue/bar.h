/*
 * How far work has come that takes long, as a bar on standard error: for queue --check, --export and --import.
 */
#ifndef QUEUE_BAR_H
#define QUEUE_BAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bar {
	const char	*what;		/* a few words */
	uint64_t	 total;
	int64_t		 next_ms;	/* when it is drawn again */
	bool		 on, drawn;
};

/* Shown only where it is of use: on a terminal, with standard output going elsewhere, for what takes half a second or more. */
void	bar_begin(struct bar *, const char *what, uint64_t total);
void	bar_at(struct bar *, uint64_t done);
/* Leaves the terminal as it was. */
void	bar_end(struct bar *);

/* Pure: "what [#####     ]  50 %". Returns to. */
char	*bar_text(char *to, size_t size, const char *what, uint64_t done, uint64_t total);

#endif
