/*
 * The queue's list, as it comes from the server, made readable. Reads and writes FILEs, else pure.
 *
 * The list: a line "M id arrived size flags sender" for each message, then "R index state attempts next address text" for
 * each open recipient, last "E messages bytes"; fields between tabs. minimtactl(8) describes it.
 */
#ifndef TOOLS_MAILQ_H
#define TOOLS_MAILQ_H

#include <stdio.h>

/* In the form that mailq has had since sendmail's time. 0, or -1: the list is cut short or is none. */
int	mailq_print(FILE *list, FILE *to);
/* The same as JSON: an array of messages with their recipients. */
int	mailq_print_json(FILE *list, FILE *to);

#endif
