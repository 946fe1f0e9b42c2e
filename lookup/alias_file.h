/*
 * The aliases file and the lists that it includes, as they are on disk now.
 */
#ifndef LOOKUP_ALIAS_FILE_H
#define LOOKUP_ALIAS_FILE_H

#include <stddef.h>

#include "lookup/aliases.h"

struct alias_file;

/* path "" : there are no aliases. */
struct alias_file	*alias_file_new(const char *path);
void			 alias_file_free(struct alias_file *);

/*
 * The aliases; the file is read again when it has changed, which is looked at once a second. A missing file has no
 * aliases. NULL when it cannot be read and never could. Holds until the next call.
 */
const struct aliases	*alias_file_get(struct alias_file *);
/* Reads it now, changed or not. 0; or -1 with what the operating system says (not mistakes in aliases) in err. */
int			 alias_file_read(struct alias_file *, char *err, size_t size);

/* A list for :include:. 0, or -1 with a reason in err: not now, perhaps later. A mistake in it is l->error. */
int			 alias_file_include(struct alias_list *l, const char *path, char *err, size_t size);

#endif
