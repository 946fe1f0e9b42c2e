/*
 * Maps the pages in which processes of smtpd count clients by network for each other: its own for writing, those of
 * others for reading only. Where one cannot be mapped, limits by network are a little wider than they should be, which is
 * no reason to serve nobody: it is said in the log. Called by the loop for master's messages.
 */
#include "smtpd/tally_map.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/pack.h"
#include "smtpd/smtpd.h"

/* Closes the descriptor; the mapping keeps the memory. */
static void *
map(int fd, bool own)
{
	void *page = MAP_FAILED;
	struct stat st;

	errno = EBADF;
	if (fd >= 0 && fstat(fd, &st) == 0 && (errno = EINVAL, st.st_size >= MSG_TALLY_SIZE) && tally_page_size() <= MSG_TALLY_SIZE)
		page = mmap(NULL, MSG_TALLY_SIZE, own ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		log_warn("event=not-counted-together what=%s", logq(strerror(errno)));
	if (fd >= 0)
		close(fd);
	return page == MAP_FAILED ? NULL : page;
}

int
tally_map_on_page(void *smtpd, struct ipc *master, struct ipc_message *m)
{
	struct smtpd *srv = smtpd;
	struct unpack u;
	uint32_t instance;
	uint64_t seed;
	bool own;
	void *page;

	(void)master;
	unpack_init(&u, m->data, m->len);
	own = unpack_u8(&u) != 0;
	instance = unpack_u32(&u);
	seed = unpack_u64(&u);
	if ((page = map(m->fd, own)) == NULL)
		return 0;
	if (own)
		tallies_set_own(&srv->tallies, seed, page);
	else if (tallies_add(&srv->tallies, instance, page) != 0)
		munmap(page, MSG_TALLY_SIZE);
	return 0;
}

int
tally_map_on_gone(void *smtpd, struct ipc *master, struct ipc_message *m)
{
	struct smtpd *srv = smtpd;
	const struct tally_page *page;
	struct unpack u;

	(void)master;
	unpack_init(&u, m->data, m->len);
	if ((page = tallies_remove(&srv->tallies, unpack_u32(&u))) == NULL)
		return 0;
	networks_inherit(&srv->networks, page, clock_ms());
	munmap((void *)(uintptr_t)page, MSG_TALLY_SIZE);
	return 0;
}
