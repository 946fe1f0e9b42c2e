/*
 * Memory that is there or ends the process: nobody can go on with half of what was begun, master restarts who died, and
 * what was promised is on the disk. Who must survive want of memory asks alloc_has() before beginning.
 */
#ifndef LIB_ALLOC_H
#define LIB_ALLOC_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* All are free()d by the caller. None returns NULL, but alloc_text for NULL. */
void	*alloc_new(size_t n, size_t size) __attribute__((malloc, returns_nonnull));	/* n things, zeroed; n may be 0 */
void	*alloc_raw(size_t size) __attribute__((malloc, returns_nonnull));		/* not zeroed; size may be 0 */
void	*alloc_resize(void *, size_t n, size_t size) __attribute__((returns_nonnull));	/* to n things; the new are not zeroed */
char	*alloc_text(const char *) __attribute__((malloc));
char	*alloc_text_len(const char *, size_t len) __attribute__((malloc, returns_nonnull));	/* shorter if it ends before */
char	*alloc_printf(const char *fmt, ...) __attribute__((malloc, returns_nonnull, format(printf, 1, 2)));
char	*alloc_vprintf(const char *fmt, va_list) __attribute__((malloc, returns_nonnull, format(printf, 1, 0)));
/* open_memstream, and the end of writing there, after which the text stands where it was told to. */
FILE	*alloc_stream(char **text, size_t *len) __attribute__((returns_nonnull));
void	 alloc_stream_end(FILE *);
/* What another's function made, which is NULL only for want of memory. */
void	*alloc_must(void *) __attribute__((returns_nonnull));

/* Whether so many bytes more could be had now. They are not kept. */
bool	 alloc_has(size_t bytes);

#endif
