/*
 * A process that does what a test tells it, after it has entered its sandbox: it makes the system call it is told and
 * says what came of it. So a test can try out what somebody could do who has taken over the process (tests/puppet.py).
 * Only in builds with PUPPET=1; in all others nothing of it is left.
 *
 * MINIMTA_PUPPET	the test's unix socket; each process connects to it before its sandbox
 */
#ifndef LIB_PUPPET_H
#define LIB_PUPPET_H

struct process;

#ifdef PUPPET

void	puppet_connect(const struct process *);
void	puppet_obey(struct process *);		/* from the loop, as soon as that runs */

#else

#define puppet_connect(p)	((void)(p))
#define puppet_obey(p)		((void)(p))

#endif
#endif
