/*
 * Aliases and included lists: anything parses, and what comes of it is well-formed. Lists may belong to their owners.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/address.h"
#include "lib/aliases.h"
#include "lib/command.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check(const struct alias_list *l)
{
	char *argv[COMMAND_WORDS_MAX + 1];
	struct address a;
	const char *why;

	for (size_t i = 0; i < l->n; i++) {
		const char *text = l->targets[i].text;

		if (l->targets[i].kind == ALIAS_COMMAND) {
			if (command_split(text, argv, &why) <= 0)
				abort();
			free(argv[0]);
		} else if (l->targets[i].kind == ALIAS_DOMAIN) {
			if (text[0] == '\0' || strchr(text, '@') != NULL)
				abort();
		} else if (l->targets[i].kind == ALIAS_INCLUDE || l->targets[i].kind == ALIAS_FILE ? text[0] != '/' :
		    address_parse(&a, text, ADDRESS_UTF8 | ADDRESS_BARE, NULL) != ADDRESS_OK || strcmp(a.text, text) != 0)
			abort();
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	const struct alias *alias;
	struct alias_list l;
	struct aliases *a;

	memcpy(text, data, size);	/* a buffer of its own size, so that a step too far is seen */
	a = aliases_parse("file", text, size, ALIAS_ROOTS);
	for (alias = a->table; alias != NULL; alias = alias->hh.next) {
		check(&alias->list);
		if (alias->name[0] == '\0' || (alias->list.n == 0 && alias->list.error == NULL))
			abort();
	}
	aliases_free(a);
	for (int source = ALIAS_ROOTS; source <= ALIAS_USERS; source++) {
		alias_list_parse(&l, "list", text, size, (enum alias_source)source);
		check(&l);
		alias_list_free(&l);
	}
	free(text);
	return 0;
}
