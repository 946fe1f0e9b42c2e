/*
 * Starts queue for a stopped spool (tools/spool.h): beside this program, or where it is installed. It does the work, knows by the
 * spool's lock that no server runs, and becomes the spool's owner.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/conf.h"
#include "tools/call.h"
#include "tools/spool.h"

static const char installed[] = PREFIX "/libexec/minimta/queue";

int
spool_run(const char *config, const char *what, const char *folder)
{
	char why[512] = "", self[4096], option[16], name[] = "queue", *slash;
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - sizeof("/queue"));
	struct conf *conf = call_config(config, why, sizeof(why));
	char *words[] = { name, option, conf == NULL ? NULL : conf->spool, (char *)(uintptr_t)folder, NULL };

	if (conf == NULL) {
		fprintf(stderr, "minimtactl: %s\n", why);
		return EX_CONFIG;
	}
	snprintf(option, sizeof(option), "--%s", what);
	if (len > 0) {
		self[len] = '\0';
		if ((slash = strrchr(self, '/')) != NULL) {
			memcpy(slash, "/queue", sizeof("/queue"));
			execv(self, words);
		}
	}
	execv(installed, words);
	fprintf(stderr, "minimtactl: %s cannot be started: %s\n", installed, strerror(errno));
	conf_free(conf);
	return EX_UNAVAILABLE;
}
