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
int	mailq_print_chosen(FILE *list, FILE *to);	/* of a part of the queue */
/* The same as JSON: an array of messages with their recipients. */
int	mailq_print_json(FILE *list, FILE *to);

/* For tools/report.c: "host=H code=N status=S text", as queue keeps it, in the words that people know from other mailers, in
 * parentheses behind `indent` spaces; and the objects of an M and an R line. */
struct json_object;
void	mailq_reason(const char *reason, int indent, FILE *to);
struct json_object *mailq_json_message(char *const *fields, struct json_object **rcpts_r);
struct json_object *mailq_json_recipient(char *const *fields);

#endif
