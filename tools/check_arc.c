/*
 * `minimtactl check arc`: the chain of the message on standard input: pass, fail or none. filters/arc.c judges.
 */
#include <stdlib.h>
#include <sysexits.h>

#include "filters/arc.h"
#include "lib/header.h"
#include "tools/check.h"

#define MESSAGE_MAX	(256UL * 1024 * 1024)

struct run {
	struct check	check;
	bool		finished;
};

static void
on_done(void *arg, const struct arc_finding *f)
{
	struct run *run = arg;
	char text[640] = "the message has no ARC fields";

	if (f->result == ARC_CV_FAIL && f->at != 0)
		snprintf(text, sizeof(text), "at i=%u: %s", f->at, f->why);
	else if (f->result == ARC_CV_FAIL)
		snprintf(text, sizeof(text), "%s", f->why);
	else if (f->result == ARC_CV_PASS)
		snprintf(text, sizeof(text), "sets=%u, the last one sealed by d=%s s=%s", f->sets, f->seals[f->sets].domain,
		    f->seals[f->sets].selector);
	check_result(&run->check, arc_cv_name(f->result), text);
	run->finished = true;
}

int
check_arc(int argc, char **argv)
{
	struct run run = { .finished = false };
	struct arc *arc;
	size_t len, header_len;
	char *message;
	int code;

	check_begin(&run.check, argc, argv, NULL);
	if ((code = check_option(&run.check)) != -1)
		return check_end(&run.check, code);
	if (run.check.n_args != 0)
		return check_end(&run.check, check_usage(&run.check, "the message is expected on standard input, no further word"));
	if (check_dns(&run.check) != 0 || (message = check_message(&run.check, MESSAGE_MAX, &len)) == NULL)
		return check_end(&run.check, EX_TEMPFAIL);
	header_len = header_end(message, len);
	arc = arc_start(run.check.dns, message, header_len, 0, on_done, &run);
	arc_body(arc, message + header_len, len - header_len);
	arc_end(arc);
	check_wait(&run.check, &run.finished);
	free(message);
	return check_end(&run.check, 0);
}
