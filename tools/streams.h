/*
 * Standard input, output and error of a tool: there from the beginning, and at the end it is known whether all of the
 * output arrived. For the tools' mains.
 */
#ifndef TOOLS_STREAMS_H
#define TOOLS_STREAMS_H

/* First of all: what a caller closed is /dev/null. 0 or -1. */
int	streams_begin(void);
/* Last of all: the code to exit with, which is EX_IOERR, and said, where output got lost and nothing else was wrong. */
int	streams_end(const char *program, int code);

#endif
