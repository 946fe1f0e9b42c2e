/*
 * Points at which a test can stop a process: every system call that changes a disk names one. Only in builds with
 * TEST_KILL=1; in all others nothing of it is left.
 *
 * MINIMTA_KILL_PROC	the process that counts ("queue"); without it: every one
 * MINIMTA_KILL_AT	the number of the point at which it is killed, from 1; without it none
 * MINIMTA_KILL_KIND	"call kind": only such points are counted
 * MINIMTA_KILL_LOG	a file; each point passed appends a line "process call kind", the fatal one "process call kind killed"
 */
#ifndef LIB_KILLPOINT_H
#define LIB_KILLPOINT_H

#include <stdbool.h>
#include <stdint.h>

#ifdef TEST_KILL

bool	killpoint_due(const char *call, const char *kind);	/* counts; whether this is the one */
void	killpoint_read(const char *where, uint64_t id);
void	killpoint_die(void) __attribute__((noreturn));		/* as if by kill -9: nothing is flushed */

#define KILLPOINT(call, kind) \
	do { \
		if (killpoint_due(call, kind)) \
			killpoint_die(); \
	} while (0)
/* Where a message is read: "read scan-100004" or the like, with the id in hexadecimal; 0 is none. */
#define KILLPOINT_READ(where, id) \
	do { \
		if ((id) != 0) \
			killpoint_read(where, id); \
	} while (0)
#define KILLPOINT_DUE(call, kind)	killpoint_due(call, kind)
#define KILLPOINT_DIE()			killpoint_die()

#else

#define KILLPOINT(call, kind)		((void)(kind))
#define KILLPOINT_READ(where, id)	((void)0)
#define KILLPOINT_DUE(call, kind)	((void)(kind), false)
#define KILLPOINT_DIE()			((void)0)

#endif
#endif
