/*
 * Asks for memory and gives it back (lib/memory.h). Called where work begins: by the resolver for a question, by logger
 * for a search in its journal.
 */
#include "lib/memory.h"

#include <stdlib.h>

bool
memory_has(size_t bytes)
{
	void *volatile tried = malloc(bytes);		/* volatile: or the pair is optimised away */
	bool has = tried != NULL;

	free(tried);
	return has;
}
