/*
 * What is to be done for a recipient: found in root's files, never in a message.
 */
#ifndef MDA_ORDER_H
#define MDA_ORDER_H

#include "mda/child.h"
#include "mda/command.h"

enum order_kind {
	ORDER_NONE,			/* nothing can be: *why says it */
	ORDER_CHILD,			/* *child */
	ORDER_COMMAND,			/* *command; mail's strings are the job's */
};

/* One that is not to be done is left empty; both are freed with order_free. */
enum order_kind	order_find(const struct delivery *, struct child_order *child, struct command *command, struct mail_result *why);
void		order_free(struct child_order *, struct command *);

#endif
