/*
 * sendmail -odi (tools/deliver.h): asks the queue to deliver one message and reads a line for each recipient. Decides which
 * code of sysexits(3) a result is: what failed for good is worse than what is tried again.
 */
#include "tools/deliver.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "tools/call.h"
#include "tools/lines.h"

enum { KIND, ADDRESS, CODE, STATUS, REPLY, FIELDS };

static int
code_of(const char *status)
{
	static const struct { const char *status; int code; } table[] = {
		{ "5.1.2", EX_NOHOST }, { "5.1.10", EX_NOHOST }, { "5.4.4", EX_NOHOST }, { "5.1.", EX_NOUSER }, { "5.2.1", EX_NOUSER },
		{ "5.7.", EX_NOPERM }, { "5.6.", EX_DATAERR },
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (strncmp(status, table[i].status, strlen(table[i].status)) == 0)
			return table[i].code;
	return EX_UNAVAILABLE;
}

/* One recipient's line; the code that it means. */
static int
take_line(char *line, FILE *results, FILE *errors)
{
	const char *fields[FIELDS] = { "", "", "", "", "" };
	size_t n = 0;

	lines_tame(line);
	for (char *at = line, *f; n < FIELDS && (f = strsep(&at, "\t")) != NULL;)
		fields[n++] = f;
	if (strcmp(fields[KIND], "delivered") == 0) {
		if (results != NULL)
			fprintf(results, "%s: delivered\n", fields[ADDRESS]);
		return 0;
	}
	fprintf(errors, "sendmail: %s: %s: ", fields[ADDRESS][0] != '\0' ? fields[ADDRESS] : "a recipient", fields[KIND]);
	if (strcmp(fields[CODE], "0") != 0)		/* a reply, which mostly begins with the status */
		fprintf(errors, "%s ", fields[CODE]);
	if (strncmp(fields[REPLY], fields[STATUS], strlen(fields[STATUS])) != 0)
		fprintf(errors, "%s ", fields[STATUS]);
	fprintf(errors, "%s\n", fields[REPLY]);
	return strcmp(fields[KIND], "failed") == 0 ? code_of(fields[STATUS]) : EX_TEMPFAIL;
}

int
deliver_now(const char *path, const char *id, FILE *results, FILE *errors)
{
	const char *words[] = { "queue", "deliver", id, NULL };
	char why[8192], *line = NULL;
	size_t room = 0;
	bool complete = false;
	int rc = 0, code;
	ssize_t len;
	FILE *f;

	if ((f = call_command(path, words, &code, why, sizeof(why))) == NULL) {
		fprintf(errors, "sendmail: %s was accepted, but what becomes of it is not known: %s\n", id, why);
		return EX_TEMPFAIL;
	}
	call_wait_long(f);
	while (!complete && (len = getline(&line, &room, f)) > 0 && line[len - 1] == '\n') {
		line[len - 1] = '\0';
		complete = strcmp(line, "E") == 0;
		code = complete ? 0 : take_line(line, results, errors);
		rc = rc == 0 || (rc == EX_TEMPFAIL && code != 0) ? code : rc;
	}
	free(line);
	fclose(f);
	if (!complete)
		rc = rc != 0 ? rc : EX_TEMPFAIL;
	if (!complete || rc == EX_TEMPFAIL)
		fprintf(errors, "sendmail: %s stays in the queue and will be tried again; do not send it a second time\n", id);
	return rc;
}
