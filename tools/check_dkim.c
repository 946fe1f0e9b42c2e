/*
 * `minimtactl check dkim`: the signatures of the message on standard input, a line for each in the order of the header, or
 * "none". filters/dkim.c judges.
 */
#include <stdlib.h>
#include <sysexits.h>

#include "filters/dkim.h"
#include "lib/header.h"
#include "tools/check.h"

#define MESSAGE_MAX	(256UL * 1024 * 1024)

struct run {
	struct check	check;
	bool		finished;
};

static void
print_finding(struct check *check, const struct dkim_finding *f)
{
	char text[1024];
	int n = snprintf(text, sizeof(text), "d=%s s=%s", f->domain, f->selector);

	if (f->result != DKIM_NEUTRAL)		/* else it may not have been read */
		n += snprintf(text + n, sizeof(text) - (size_t)n, " a=%s", dkim_algorithm_name(f->algorithm));
	if (f->bits != 0)
		n += snprintf(text + n, sizeof(text) - (size_t)n, " bits=%u", f->bits);
	snprintf(text + n, sizeof(text) - (size_t)n, "%s%s%s%s%s", f->testing ? " testing" : "", f->limited ? " limited" : "",
	    f->why[0] != '\0' ? " (" : "", f->why, f->why[0] != '\0' ? ")" : "");
	check_result(check, dkim_result_name(f->result), text);
}

static void
on_done(void *arg, const struct dkim_finding *findings, size_t n)
{
	struct run *run = arg;

	for (size_t i = 0; i < n; i++)
		print_finding(&run->check, &findings[i]);
	if (n == 0)
		check_result(&run->check, "none", "the message has no DKIM-Signature");
	run->finished = true;
}

int
check_dkim(int argc, char **argv)
{
	struct run run = { .finished = false };
	struct dkim *dkim;
	size_t len, header_len;
	char *message;
	int code;

	check_begin(&run.check, argc, argv, NULL);
	run.check.list = true;
	if ((code = check_option(&run.check)) != -1)
		return check_end(&run.check, code);
	if (run.check.n_args != 0)
		return check_end(&run.check, check_usage(&run.check, "the message is expected on standard input, no further word"));
	if (check_dns(&run.check) != 0 || (message = check_message(&run.check, MESSAGE_MAX, &len)) == NULL)
		return check_end(&run.check, EX_TEMPFAIL);
	header_len = header_end(message, len);
	dkim = dkim_start(run.check.dns, message, header_len, run.check.now, 0, on_done, &run);
	dkim_body(dkim, message + header_len, len - header_len);
	dkim_end(dkim);
	check_wait(&run.check, &run.finished);
	free(message);
	return check_end(&run.check, 0);
}
