/*
 * Memory that the processes of smtpd share, so that limits by network hold for all of them together: each has a page that
 * it alone can write, and gets the others' for reading. Decides who has which page and how; what is in them is smtpd's
 * affair (smtpd/tally.h). Called by launch.c when processes start, and by children.c when one has ended.
 *
 * That a reader cannot write rests on two things: its descriptor was opened for reading, and the page belongs to root with
 * nobody's right to write, so that it cannot be opened again otherwise. Its size is sealed, so no reader meets its end.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/pack.h"
#include "master/master.h"

static void
send_page(const struct child *to, const struct child *whose, int fd)
{
	struct pack pk;

	pack_init(&pk);
	pack_u8(&pk, to == whose);
	pack_u32(&pk, whose->instance);
	pack_u64(&pk, to->master->tally_seed);
	ipc_send_pack(to->ipc, MSG_TALLY, 0, &pk, fd);
	pack_free(&pk);
}

int
pages_make(void)
{
	int fd = memfd_create("minimta.tally", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd >= 0 && ftruncate(fd, MSG_TALLY_SIZE) == 0 && fchmod(fd, 0400) == 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

int
pages_for_reading(int fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_RDONLY | O_CLOEXEC);
}

void
pages_give(struct child *c)
{
	int copy;

	c->page = pages_make();
	if (c->page >= 0 && (copy = fcntl(c->page, F_DUPFD_CLOEXEC, 0)) >= 0)
		send_page(c, c, copy);
	else
		log_warn("event=no-shared-counts process=smtpd what=%s", logq(strerror(errno)));
}

/* `whose` can be read by `to` from now on. */
static void
show(const struct child *to, const struct child *whose)
{
	int fd = whose->page >= 0 ? pages_for_reading(whose->page) : -1;

	if (fd >= 0)
		send_page(to, whose, fd);
	else
		log_warn("event=no-shared-counts process=smtpd what=%s", logq(strerror(errno)));
}

void
pages_share(struct master *m)
{
	struct child *a, *b;

	TAILQ_FOREACH(a, &m->children, next)
		TAILQ_FOREACH(b, &m->children, next)
			if (a != b && a->proc == PROC_SMTPD && b->proc == PROC_SMTPD && a->ipc != NULL && b->ipc != NULL &&
			    (a->fresh || b->fresh))
				show(a, b);
}

void
pages_take_back(struct child *c)
{
	struct child *other;
	struct pack pk;

	if (c->page < 0)
		return;
	close(c->page);
	c->page = -1;
	pack_init(&pk);
	TAILQ_FOREACH(other, &c->master->children, next)
		if (other != c && other->proc == PROC_SMTPD && other->ipc != NULL) {
			pack_u32(&pk, c->instance);
			ipc_send_pack(other->ipc, MSG_TALLY_GONE, 0, &pk, -1);
		}
	pack_free(&pk);
}
