/*
 * One message, next hops and the processes' status, as they come from the server, made readable: for people, and as JSON.
 * Reads and writes FILEs, else pure. minimtactl(8) describes what is read.
 *
 * All return 0, or -1 where the answer was cut short or is none.
 */
#ifndef TOOLS_REPORT_H
#define TOOLS_REPORT_H

#include <stdio.h>

int	report_message(FILE *from, FILE *to);
int	report_message_json(FILE *from, FILE *to);
int	report_content(FILE *from, FILE *to);
int	report_hops(FILE *from, FILE *to);
int	report_hops_json(FILE *from, FILE *to);
int	report_status(FILE *from, FILE *to);
int	report_status_json(FILE *from, FILE *to);
/* hoststat's form of the next hops: what of them is not well, in sendmail's columns. */
int	report_hoststat(FILE *from, FILE *to);

#endif
