/*
 * Asks for memory, and for whether there is some (lib/alloc.h). Decides nothing but how it ends when there is none.
 * Called everywhere.
 */
#include "lib/alloc.h"

#include <stdlib.h>
#include <string.h>

#include "lib/log.h"

void *
alloc_must(void *p)
{
	if (p == NULL)
		log_fatal("event=out-of-memory");
	return p;
}

void *
alloc_new(size_t n, size_t size)
{
	return alloc_must(calloc(n > 0 ? n : 1, size));
}

void *
alloc_raw(size_t size)
{
	return alloc_must(malloc(size > 0 ? size : 1));
}

void *
alloc_resize(void *p, size_t n, size_t size)
{
	return alloc_must(reallocarray(p, n > 0 ? n : 1, size));
}

char *
alloc_text(const char *text)
{
	return text == NULL ? NULL : alloc_must(strdup(text));
}

char *
alloc_text_len(const char *text, size_t len)
{
	return alloc_must(strndup(text, len));
}

char *
alloc_vprintf(const char *fmt, va_list ap)
{
	char *text;

	return alloc_must(vasprintf(&text, fmt, ap) == -1 ? NULL : text);
}

char *
alloc_printf(const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	text = alloc_vprintf(fmt, ap);
	va_end(ap);
	return text;
}

FILE *
alloc_stream(char **text, size_t *len)
{
	return alloc_must(open_memstream(text, len));
}

void
alloc_stream_end(FILE *f)
{
	if (fclose(f) != 0)
		alloc_must(NULL);
}

bool
alloc_has(size_t bytes)
{
	void *volatile tried = malloc(bytes);		/* volatile: or the pair is optimised away */
	bool has = tried != NULL;

	free(tried);
	return has;
}
