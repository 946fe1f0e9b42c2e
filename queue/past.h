/*
 * What was tried for a recipient before its last outcome: a text that travels from outcome to outcome, so that all attempts can
 * be shown as long as the message lives. Pure.
 *
 * Lines, newest first: times of attempts with the same answer, newest first and between spaces, a tab, and the answer.
 */
#ifndef QUEUE_PAST_H
#define QUEUE_PAST_H

#include <stddef.h>
#include <stdint.h>

#define PAST_TEXT_MAX	200		/* bytes of an answer that are kept */
#define PAST_MANY_RCPTS	20		/* a message to more than that keeps PAST_LITTLE bytes for each */
#define PAST_LITTLE	512

/* The past, with one more outcome in front; `most` bytes of it, the oldest go. at 0 or text "": nothing to add. For the caller
 * to free. */
char	*past_add(const char *past, int64_t at, const char *text, size_t most);
/* Calls fn for each attempt, newest first; the text borrowed and not terminated. */
void	 past_each(const char *past, void (*fn)(void *arg, int64_t at, const char *text, size_t len), void *arg);

#endif
