/*
 * What is remembered, for people (lookup/state_show.h). Shows and forgets; learns nothing.
 */
#include "lookup/state_show.h"

#include <stdlib.h>
#include <string.h>

#include "filters/greylist_key.h"
#include "filters/memory_core.h"
#include "lib/alloc.h"
#include "lib/log.h"

#define WORDS_MAX	6U

/* A tab between two; empty ones count. */
static unsigned
split(char *line, char *words[WORDS_MAX])
{
	unsigned n = 0;

	while (n < WORDS_MAX && line != NULL)
		words[n++] = strsep(&line, "\t");
	return line == NULL ? n : 0;
}

/* An address stands for itself as a client and for its network. */
struct keys {
	char	client[MEMORY_KEY_MAX], network[MEMORY_KEY_MAX];
};

static void
find_keys(struct keys *k, const char *text)
{
	struct reverse_address address;

	snprintf(k->client, sizeof(k->client), "%s", text);
	snprintf(k->network, sizeof(k->network), "%s", text);
	if (reverse_address_parse(&address, text) != 0)
		return;
	memory_client_key(k->client, &address);
	greylist_key_network(k->network, &address);
}

static struct memory_answer
peek(struct memory_core *m, enum memory_op op, const char *key, const char *other, time_t now)
{
	struct memory_question q = { .op = op, .key = key, .other = other, .peek = true };
	struct memory_answer a;

	memory_core_times(m, &q);
	memory_core_ask(m, &q, now, &a);
	return a;
}

static const char *
yes(bool is)
{
	return is ? "yes" : "no";
}

static void
show(struct memory_core *m, const char *text, time_t now, FILE *out)
{
	struct memory_answer client, network, person;
	struct keys k;

	find_keys(&k, text);
	client = peek(m, MEMORY_CLIENT, k.client, "", now);
	network = peek(m, MEMORY_GREYLIST, k.network, "", now);
	person = peek(m, MEMORY_SENDER, text, "", now);
	fprintf(out, "ok\n");
	fprintf(out, "client %s good=%u bad=%u known=%s greeted=%s trapped=%s\n", k.client, client.standing.good, client.standing.bad,
	    yes(client.standing.known), yes(client.standing.passed), yes(client.standing.trapped));
	fprintf(out, "network %s passes=%u greylisted=%s\n", k.network, network.count, yes(network.grey != MEMORY_GREY_KNOWN));
	fprintf(out, "person %s written_to=%s\n", text, yes(person.written_to));
}

static void
forget(struct memory_core *m, const char *text, FILE *out)
{
	struct keys k;
	unsigned n;

	find_keys(&k, text);
	n = memory_core_forget(m, k.client, "");
	if (strcmp(k.network, k.client) != 0)
		n += memory_core_forget(m, k.network, "");
	log_info("event=memory-forgotten what=%s entries=%u", logq(text), n);
	if (n > 0)
		fprintf(out, "ok\nforgot %u of %s\n", n, text);
	else
		fprintf(out, "error: nothing is remembered of %s\n", text);
}

static void
try_greylist(struct memory_core *m, char *const words[WORDS_MAX], time_t now, FILE *out)
{
	char other[MEMORY_OTHER_MAX];
	struct memory_answer a = peek(m, MEMORY_GREYLIST, words[2], greylist_key_other(other, words[3], words[4], words[5]), now);

	fprintf(out, "ok\n%s %u %u\n", memory_grey_name(a.grey), a.left_s, a.count);
}

void
state_show(struct memory_core *m, const char *line, time_t now, FILE *out)
{
	char *copy = alloc_text(line), *words[WORDS_MAX];
	unsigned n;

	n = split(copy, words);
	if (n == 3 && strcmp(words[1], "show") == 0)
		show(m, words[2], now, out);
	else if (n == 3 && strcmp(words[1], "forget") == 0)
		forget(m, words[2], out);
	else if (n == 6 && strcmp(words[1], "greylist") == 0)
		try_greylist(m, words, now, out);
	else
		fprintf(out, "error: expected memory show or memory forget, and an address, network, domain or host address\n");
	free(copy);
}
