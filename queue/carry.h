/*
 * `queue --export SPOOL FOLDER` and `queue --import SPOOL FOLDER`: the mail of a stopped spool as files, one for each message
 * (queue/message_file.h), and back as new messages of another spool.
 */
#ifndef QUEUE_CARRY_H
#define QUEUE_CARRY_H

#include <stdio.h>

/* Both descriptors borrowed. A line for each message to out. 0: all; 1: some could not be, as said; 2: none, as said. */
int	carry_export(int spool, int folder, FILE *out);
int	carry_import(int spool, int folder, FILE *out);

#endif
