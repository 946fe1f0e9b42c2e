/*
 * The files of lookup's memory as gdbm keeps them: for the thread of state_store.c alone, but for state_file_new(). Every record
 * carries a checksum, and every file says what it is; what fits neither is not believed. The format is in minimta-state(5).
 */
#ifndef LOOKUP_STATE_FILE_H
#define LOOKUP_STATE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lookup/state_store.h"

struct state_files;

struct files_events {
	void	(*words)(void *arg, bool failed, const char *);	/* a line for the log; failed: nothing is written from now on */
	void	(*header)(void *arg, const struct store_header *);
	void	(*record)(void *arg, const struct store_record *);
	void	(*fatal)(void *arg);		/* gdbm would end the process: must not return, but end the thread */
};

/* dir: the folder, open, which is taken over; named so in the log. */
struct state_files *state_file_new(int dir, const char *folder, const char *const *names, unsigned n_names,
		    const struct files_events *, void *arg);
void		 state_file_free(struct state_files *);	/* closed before */
/* For another thread, after `fatal` has ended one: what that had open is lost, and a file that it read will be set aside. */
void		 state_file_take_over(struct state_files *);
/* Whether nobody else has it. */
bool		 state_file_lock(struct state_files *);
/* Reads all that is there, newest first. Whether it was left in order and is whole. */
bool		 state_file_load(struct state_files *);
/* These two do nothing after a failure, which is told once, until state_file_resume(). */
void		 state_file_begin(struct state_files *, const struct store_header *);
void		 state_file_put(struct state_files *, const struct store_record *);
void		 state_file_drop(struct state_files *, unsigned table, uint32_t generation);
/* All will be written anew, from here to state_file_anew(): before that an end is not in order. */
void		 state_file_resume(struct state_files *);
/* Whether it was written. */
bool		 state_file_anew(struct state_files *);
/* What was written since the last one, when that is so many seconds ago. */
void		 state_file_sync(struct state_files *, int every_s);
/* Closes them, and notes that they are in order, unless they are not. Lets go of the lock. */
void		 state_file_close(struct state_files *);

#endif
