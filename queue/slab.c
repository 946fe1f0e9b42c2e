/*
 * Blocks of records (queue/slab.h). Decides only which number is given out next. Called by idmap.c and the scheduler.
 */
#include "queue/slab.h"

#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"

/* What was given back is nobody's: a build that looks for such mistakes (SAN=address) sees them here, too. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, size)	((void)(p), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(p, size)	((void)(p), (void)(size))
#endif

void
slab_init(struct slab *s, size_t size)
{
	*s = (struct slab){ .size = size };
}

void
slab_free(struct slab *s)
{
	for (uint32_t i = 0; i < s->n_blocks; i++)
		free(s->blocks[i]);
	free(s->blocks);
	slab_init(s, s->size);
}

uint32_t
slab_take(struct slab *s)
{
	uint32_t number = s->free;

	if (number != 0) {
		s->free = *(uint32_t *)slab_at(s, number);	/* the next one is written into it */
	} else {
		if (s->given == s->n_blocks * SLAB_BLOCK) {
			s->blocks = alloc_resize(s->blocks, s->n_blocks + 1, sizeof(*s->blocks));
			s->blocks[s->n_blocks++] = alloc_raw(SLAB_BLOCK * s->size);
		}
		number = ++s->given;
	}
	ASAN_UNPOISON_MEMORY_REGION(slab_at(s, number), s->size);
	memset(slab_at(s, number), 0, s->size);
	return number;
}

void
slab_give(struct slab *s, uint32_t number)
{
	unsigned char *record = slab_at(s, number);

	*(uint32_t *)(void *)record = s->free;
	s->free = number;
	ASAN_POISON_MEMORY_REGION(record + sizeof(uint64_t), s->size - sizeof(uint64_t));
}

uint32_t
slab_merge(struct slab *to, struct slab *from)
{
	uint32_t shift = to->n_blocks * SLAB_BLOCK, next;

	while (to->given < shift)			/* the rest of the last block, now in the middle */
		slab_give(to, ++to->given);
	to->blocks = alloc_resize(to->blocks, to->n_blocks + from->n_blocks, sizeof(*to->blocks));
	for (uint32_t i = 0; i < from->n_blocks; i++)
		to->blocks[to->n_blocks++] = from->blocks[i];
	to->given += from->given;
	for (uint32_t number = from->free; number != 0; number = next) {
		next = *(uint32_t *)slab_at(to, number + shift);
		slab_give(to, number + shift);
	}
	free(from->blocks);
	slab_init(from, from->size);
	return shift;
}
