/*
 * smtpd/tally.c over a page that another process writes: any bytes, placed where a network that is asked about is looked
 * for. Beside crashes, a finding is: a stamp that cannot be, or fewer connections than there are.
 *
 * The first byte of an input says where in the page the rest of it goes; it is repeated to the page's end.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/messages.h"
#include "smtpd/network.h"

#define NOW_MS		INT64_C(1000000)
#define MOST_US		((NOW_MS + 60000) * 1000)
#define ASKED		64

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
claim(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "finding: %s\n", what);
	abort();
}

/* A page that begins as an honest one does. */
static struct tally_page *
make_page(const uint8_t *data, size_t size)
{
	uint8_t *page = calloc(1, MSG_TALLY_SIZE);
	struct tallies writer = { .seed = 1 };

	if (page == NULL)
		abort();
	tallies_set_own(&writer, 1, (struct tally_page *)(void *)page);
	for (size_t at = 8 + data[0] % 64; size > 1 && at < MSG_TALLY_SIZE; at += size - 1)
		memcpy(page + at, data + 1, at + size - 1 <= MSG_TALLY_SIZE ? size - 1 : MSG_TALLY_SIZE - at);
	return (struct tally_page *)(void *)page;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sockaddr_in6 from = { .sin6_family = AF_INET6 };
	struct tallies all = { .seed = 1 };
	struct networks networks;
	struct tally_page *page, *own;
	struct network *n;
	uint8_t key[TALLY_KEY] = { 6 };
	struct tally t;

	if (size == 0)
		return 0;
	page = make_page(data, size);
	claim(tallies_add(&all, 1, page) == 0, "no room for one page");
	networks_init(&networks, 10, &all);
	for (unsigned i = 0; i < ASKED; i++) {
		memcpy(key + 1, data + (i < size ? i : 0), i < size && size - i < 8 ? size - i : i < size ? 8 : 1);
		tallies_ask(&all, key, MOST_US, &t);
		for (int stamp = 0; stamp < TALLY_STAMPS; stamp++)
			claim(t.stamp_us[stamp] >= 0 && t.stamp_us[stamp] <= MOST_US, "a stamp that cannot be");
	}
	memcpy(&from.sin6_addr, data, size < 16 ? size : 16);
	if ((own = calloc(1, MSG_TALLY_SIZE)) == NULL)
		abort();
	tallies_set_own(&all, 1, own);
	networks_inherit(&networks, page, NOW_MS);
	if ((n = network_enter(&networks, (const struct sockaddr *)&from, NOW_MS)) != NULL) {
		claim(network_connections(n) >= 1, "fewer connections than there are here");
		network_take(n, NETWORK_MESSAGES, 10, NOW_MS);
		claim(n->stamp_us[NETWORK_MESSAGES] <= MOST_US, "a stamp of our own that cannot be");
		network_leave(&networks, n, NOW_MS);
	}
	networks_free(&networks);
	free(page);
	free(own);
	return 0;
}
