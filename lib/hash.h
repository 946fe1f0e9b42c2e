/*
 * uthash as every process uses it: without memory it ends with a line in the log, as everything else does, and not with
 * the library's own exit(-1) that nobody could explain.
 */
#ifndef LIB_HASH_H
#define LIB_HASH_H

#include "lib/log.h"

#define uthash_fatal(msg)	log_fatal("event=out-of-memory")
#include <uthash.h>

#endif
