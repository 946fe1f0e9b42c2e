/*
 * Decides whether a message gets the archive address as a recipient (queue/archive.h). What the queue writes itself (bounces,
 * reports) is not copied. Called by intake.c.
 */
#include "queue/archive.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/address.h"
#include "lib/alloc.h"
#include "lib/conf.h"
#include "lib/dsn.h"
#include "lib/envelope.h"

bool
archive_rcpt(const struct conf *conf, const struct envelope_rcpt *rcpts, uint32_t n, struct envelope_rcpt *to)
{
	const char *archive = conf->always_bcc;
	char *whole;

	if (archive[0] == '\0')
		return false;
	whole = alloc_printf(strchr(archive, '@') != NULL ? "%s" : "%s@%s", archive, conf_origin(conf));
	for (uint32_t i = 0; i < n; i++)
		if (strcasecmp(rcpts[i].address, whole) == 0) {
			free(whole);
			return false;
		}
	*to = (struct envelope_rcpt){ .address = whole, .local = conf_is_local(conf, strrchr(whole, '@') + 1), .notify = DSN_NEVER };
	return true;
}
