/*
 * Jobs and their results as packed fields. Decides their order and what can never be true of one (an outcome that does
 * not exist, a result without an enhanced code); what a result leads to is queue's decision. Called by queue, delivery
 * and mda.
 */
#include "lib/job.h"

#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/dsn.h"

#define RESULT_IS_TROUBLE	1
#define RESULT_HAS_DSN		2

void
job_pack_begin(struct pack *p, const struct job_begin *b)
{
	pack_str(p, b->message);
	pack_str(p, b->hop);
	pack_str(p, b->sender);
	pack_str(p, b->head);
	pack_u32(p, b->flags);
	pack_u64(p, b->size);
	pack_i64(p, b->arrived);
	pack_u8(p, b->ret);
	pack_str(p, b->envid);
}

int
job_unpack_begin(struct unpack *u, struct job_begin *r)
{
	memset(r, 0, sizeof(*r));
	r->message = unpack_str(u);
	r->hop = unpack_str(u);
	r->sender = unpack_str(u);
	r->head = unpack_str(u);
	r->flags = unpack_u32(u);
	r->size = unpack_u64(u);
	r->arrived = unpack_i64(u);
	r->ret = unpack_u8(u);
	r->envid = unpack_str(u);
	if (!unpack_end(u) || r->message[0] == '\0' || r->hop[0] == '\0' || r->ret > DSN_RET_HDRS) {
		job_free_begin(r);
		return -1;
	}
	return 0;
}

void
job_free_begin(struct job_begin *b)
{
	free(b->message);
	free(b->hop);
	free(b->sender);
	free(b->head);
	free(b->envid);
	memset(b, 0, sizeof(*b));
}

void
job_pack_result(struct pack *p, const struct job_result *r)
{
	pack_u32(p, r->index);
	pack_u8(p, (uint8_t)r->outcome);
	pack_u16(p, r->code);
	pack_str(p, r->enhanced);
	pack_str(p, r->host);
	pack_str(p, r->text);
	pack_u8(p, (uint8_t)((r->host_trouble ? RESULT_IS_TROUBLE : 0) | (r->dsn ? RESULT_HAS_DSN : 0)));
	if (r->outcome != JOB_EXPANDED)
		return;
	pack_u32(p, r->n_targets);
	for (uint32_t i = 0; i < r->n_targets; i++)
		envelope_pack_rcpt(p, &r->targets[i]);
}

static int
unpack_targets(struct unpack *u, struct job_result *r)
{
	uint32_t n = unpack_u32(u);

	if (!unpack_ok(u) || n == 0 || n > JOB_TARGETS_MAX)
		return -1;
	r->targets = alloc_new(n, sizeof(*r->targets));
	for (; r->n_targets < n; r->n_targets++)
		if (envelope_unpack_rcpt(u, &r->targets[r->n_targets]) != 0)
			return -1;
	return 0;
}

int
job_unpack_result(struct unpack *u, struct job_result *r)
{
	uint8_t outcome, trouble;

	memset(r, 0, sizeof(*r));
	r->index = unpack_u32(u);
	outcome = unpack_u8(u);
	r->code = unpack_u16(u);
	r->enhanced = unpack_str(u);
	r->host = unpack_str(u);
	r->text = unpack_str(u);
	trouble = unpack_u8(u);
	r->outcome = (enum job_outcome)outcome;
	r->host_trouble = (trouble & RESULT_IS_TROUBLE) != 0;
	r->dsn = (trouble & RESULT_HAS_DSN) != 0;
	if (outcome == JOB_EXPANDED && unpack_targets(u, r) != 0) {
		job_free_result(r);
		return -1;
	}
	if (!unpack_end(u) || outcome > JOB_EXPANDED || trouble > (RESULT_IS_TROUBLE | RESULT_HAS_DSN) || r->code > 599 || r->enhanced[0] == '\0') {
		job_free_result(r);
		return -1;
	}
	return 0;
}

void
job_free_result(struct job_result *r)
{
	free(r->enhanced);
	free(r->host);
	free(r->text);
	for (uint32_t i = 0; i < r->n_targets; i++)
		envelope_free_rcpt(&r->targets[i]);
	free(r->targets);
	memset(r, 0, sizeof(*r));
}
