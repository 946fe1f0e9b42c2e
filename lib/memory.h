/*
 * Whether the system has memory left, asked before something is begun: whoever finds none refuses the new and ends what is
 * under way in what there is, instead of dying of a small allocation later.
 */
#ifndef LIB_MEMORY_H
#define LIB_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/* Whether so many bytes more could be had now. They are not kept. */
bool	memory_has(size_t bytes);

#endif
