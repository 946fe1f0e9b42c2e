/*
 * The aliases file and the lists that it includes, as they are on disk now.
 */
#ifndef LIB_ALIAS_FILE_H
#define LIB_ALIAS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "lib/aliases.h"

struct alias_file;

/* path "" : there are no aliases. Commands and files are believed in files of root and of who started minimta. quiet:
 * somebody else says what is wrong in it. */
struct alias_file	*alias_file_new(const char *path, uid_t started_by, bool quiet);
void			 alias_file_free(struct alias_file *);

/*
 * The aliases; the file is read again when it has changed, which is looked at once a second. A missing file has no
 * aliases. NULL when it cannot be read and never could. Holds until the next call.
 */
const struct aliases	*alias_file_get(struct alias_file *);
/* Reads it now, changed or not. 0; or -1 with what the operating system says (not mistakes in aliases) in err. */
int			 alias_file_read(struct alias_file *, char *err, size_t size);

/*
 * The text of a command or file that an alias names, itself or by its lists: by its kind and id. For the caller to free; or
 * NULL with a reason in err, and *later_r: a list cannot be read now.
 */
char			*alias_file_target(const struct alias *, enum alias_kind, uint64_t id, uid_t started_by, bool *later_r,
			    char *err, size_t size);
/* A list for :include:. 0, or -1 with a reason in err: not now, perhaps later. A mistake in it is l->error. */
int			 alias_file_include(struct alias_list *l, const char *path, uid_t started_by, char *err, size_t size);

#endif
