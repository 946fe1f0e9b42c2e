/*
 * Jobs, results and recipients from other processes, a child among them that was the recipient: whatever unpacks is
 * well-formed, and packs to what unpacks to the same.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/job.h"
#include "mda/command.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_clean(const char *s)
{
	for (; *s != '\0'; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			abort();
}

static void
check_result(const uint8_t *data, size_t size)
{
	struct job_result r, again;
	struct unpack u;
	struct pack p;

	unpack_init(&u, data, size);
	if (job_unpack_result(&u, &r) != 0)
		return;
	if (r.outcome > JOB_EXPANDED || (r.outcome == JOB_EXPANDED) != (r.n_targets > 0) || r.n_targets > JOB_TARGETS_MAX)
		abort();
	for (uint32_t i = 0; i < r.n_targets; i++) {
		check_clean(r.targets[i].address);
		if (r.targets[i].address[0] == '\0' || r.targets[i].part > ENVELOPE_FORWARD_FILE)
			abort();
	}
	pack_init(&p);
	job_pack_result(&p, &r);
	unpack_init(&u, p.data, p.len);
	if (job_unpack_result(&u, &again) != 0 || again.n_targets != r.n_targets || strcmp(again.text, r.text) != 0)
		abort();
	pack_free(&p);
	job_free_result(&again);
	job_free_result(&r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct envelope_rcpt rcpt;
	struct job_begin begin;
	struct command command;
	struct unpack u;

	check_result(data, size);
	unpack_init(&u, data, size);
	if (envelope_unpack_rcpt(&u, &rcpt) == 0) {
		check_clean(rcpt.address);
		envelope_free_rcpt(&rcpt);
	}
	unpack_init(&u, data, size);
	if (job_unpack_begin(&u, &begin) == 0)
		job_free_begin(&begin);
	unpack_init(&u, data, size);
	if (command_unpack(&u, &command) == 0)
		command_free(&command);
	return 0;
}
