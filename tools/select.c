/*
 * Options into words (tools/select.h). Decides how a time is written; what the words mean the server decides.
 */
#include <stdio.h>

#include "lib/alloc.h"
#include "lib/conf.h"
#include "lib/log.h"
#include "tools/select.h"

enum { TO, FROM, REASON, HOP, STATE, OLDER, NEWER, TEXT, DRY_RUN };

const struct option select_options[SELECT_OPTIONS] = {
	{ "to", required_argument, NULL, SELECT_FIRST + TO },
	{ "from", required_argument, NULL, SELECT_FIRST + FROM },
	{ "reason", required_argument, NULL, SELECT_FIRST + REASON },
	{ "hop", required_argument, NULL, SELECT_FIRST + HOP },
	{ "state", required_argument, NULL, SELECT_FIRST + STATE },
	{ "older", required_argument, NULL, SELECT_FIRST + OLDER },
	{ "newer", required_argument, NULL, SELECT_FIRST + NEWER },
	{ "text", required_argument, NULL, SELECT_FIRST + TEXT },
	{ "dry-run", no_argument, NULL, SELECT_FIRST + DRY_RUN },
};

char *
select_word(int number, const char *value, char *why, size_t size)
{
	const char *name = select_options[number - SELECT_FIRST].name;
	int64_t ms;

	switch (number - SELECT_FIRST) {
	case DRY_RUN:
		return alloc_text(name);
	case OLDER:
	case NEWER:
		if (conf_duration(value, &ms) != 0) {
			snprintf(why, size, "--%s %s is not a duration; expected one as in 90s, 30m, 1h30m or 2d", name, logq(value));
			return NULL;
		}
		return alloc_printf("%s=%lld", name, (long long)(ms / 1000));
	default:
		return alloc_printf("%s=%s", name, value);
	}
}
