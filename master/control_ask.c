/*
 * Questions that the control socket makes master ask all processes: how they are (`status`), and whether they have a test's
 * new time (`clock`). Decides who is waited for and how long, and writes the answer. Called by control.c for a caller, and
 * by children.c with what processes say.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/alloc.h"
#include "lib/pack.h"
#include "master/control_caller.h"

#define STATUS_MS	2000	/* for all processes to answer */
#define SILENT_SOME	2	/* signs of life that a process has not given: it is not waited for */

/* One that is known not to answer is asked, and not waited for. */
static void
await(struct caller *c, const struct child *ch)
{
	bool awaited = ch->silent < SILENT_SOME;

	c->answers = alloc_resize(c->answers, c->n_answers + 1, sizeof(*c->answers));
	c->answers[c->n_answers++] = (struct said){ ch->proc, ch->instance, awaited, NULL };
	c->waiting += awaited;
}

static void
ask_all(struct caller *c)
{
	struct child *ch;

	c->question = ++c->control->questions;
	control_ask_forget(c);
	TAILQ_FOREACH(ch, &c->control->master->children, next)
		if (ch->state == CHILD_READY && ch->ipc != NULL) {
			ipc_send(ch->ipc, MSG_STATUS_ASK, c->question, NULL, 0, -1);
			await(c, ch);
		}
	timer_start(&c->deadline, c->waiting > 0 ? STATUS_MS : 0);
}

static struct said *
find_said(const struct caller *c, enum proc proc, uint32_t instance)
{
	for (size_t i = 0; i < c->n_answers; i++)
		if (c->answers[i].proc == proc && c->answers[i].instance == instance)
			return &c->answers[i];
	return NULL;
}

/* Memory in use, from the kernel: 0 when it does not say. */
static unsigned long
rss_kb(pid_t pid)
{
	unsigned long pages = 0;
	char path[40];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
	if ((f = fopen(path, "re")) == NULL)
		return 0;
	if (fscanf(f, "%*u %lu", &pages) != 1)
		pages = 0;
	fclose(f);
	return pages * ((unsigned long)sysconf(_SC_PAGESIZE) / 1024);
}

/* The first of a kind has its name alone, others their number behind it. */
static void
report_child(const struct caller *c, const struct child *ch, bool first, FILE *f)
{
	static const char *const states[] = { "away", "starting", "running" };
	const struct said *said = find_said(c, ch->proc, ch->instance);
	char number[16] = "", silent[64];

	if (!first)
		snprintf(number, sizeof(number), ".%u", ch->instance);
	fprintf(f, "%s%s state=%s pid=%d starts=%u ", proc_name(ch->proc), number, ch->draining ? "draining" : states[ch->state],
	    (int)ch->pid, ch->starts);
	if (ch->state != CHILD_AWAY)
		fprintf(f, "uptime_s=%" PRId64 " rss_kb=%lu ", (clock_ms() - ch->started_ms) / 1000, rss_kb(ch->pid));
	fprintf(f, "%s%s\n", watch_says(ch, silent),
	    said != NULL && said->text != NULL ? said->text : ch->state == CHILD_READY ? "what=\"did not answer\"" : "");
}

static void
report_children(const struct caller *c, FILE *f)
{
	const struct child *ch;
	bool first;

	for (unsigned p = PROC_MASTER + 1; p < PROC_COUNT; p++) {
		first = true;
		TAILQ_FOREACH(ch, &c->control->master->children, next)
			if (ch->proc == (enum proc)p && !ch->draining) {
				report_child(c, ch, first, f);
				first = false;
			}
		TAILQ_FOREACH(ch, &c->control->master->children, next)
			if (ch->proc == (enum proc)p && ch->draining)
				report_child(c, ch, false, f);
	}
}

static void
report(struct caller *c)
{
	struct master *m = c->control->master;
	char *text = NULL;
	size_t size;
	FILE *f = alloc_stream(&text, &size);

	fprintf(f, "ok\n");
	if (!c->quiet) {
		fprintf(f, "minimta version=%s pid=%d uptime_s=%" PRId64 " rss_kb=%lu hostname=%s\n", MASTER_VERSION,
		    (int)getpid(), (clock_ms() - m->started_ms) / 1000, rss_kb(getpid()), m->conf->hostname);
		report_children(c, f);
	}
	fclose(f);
	control_answer(c, text);
	free(text);
}

void
control_ask_forget(struct caller *c)
{
	for (size_t i = 0; i < c->n_answers; i++)
		free(c->answers[i].text);
	free(c->answers);
	c->answers = NULL;
	c->n_answers = c->waiting = 0;
}

/* All have answered, or had the time to. */
void
control_ask_over(struct caller *c)
{
	if (!c->queue_waits) {
		report(c);
		return;
	}
	c->queue_waits = false;
	children_shift_clock(c->control->master, c->control->master->clock_offset_ms, c->control->master->clock_wall_ms, true);
	ask_all(c);
}

static void
settle(struct caller *c, struct said *said)
{
	if (!said->awaited)
		return;
	said->awaited = false;
	if (--c->waiting == 0)
		control_ask_over(c);
}

int
control_on_status(struct master *m, struct ipc *ipc, struct ipc_message *msg)
{
	struct said *said;
	struct caller *c;
	struct unpack u;

	LIST_FOREACH(c, &m->control->callers, next)
		if (c->question == msg->id)
			break;
	if (c == NULL || (said = find_said(c, ipc_peer(ipc), ipc_instance(ipc))) == NULL || said->text != NULL)
		return 0;	/* too late; or watch.c asked */
	unpack_init(&u, msg->data, msg->len);
	said->text = unpack_str(&u);
	if (!unpack_end(&u))
		return -1;
	settle(c, said);
	return 0;
}

/* It has ended, and will not answer. */
void
control_on_exit(struct master *m, const struct child *ch)
{
	struct caller *c, *next;
	struct said *said;

	for (c = LIST_FIRST(&m->control->callers); c != NULL; c = next) {
		next = LIST_NEXT(c, next);
		if ((said = find_said(c, ch->proc, ch->instance)) != NULL)
			settle(c, said);
	}
}

void
control_run_status(struct caller *c)
{
	ask_all(c);
}

/*
 * "ok" comes when every process has the new time; queue has it last, so that no attempt that becomes due by it begins in
 * a process whose deadlines for that attempt would then be shifted away.
 */
void
control_run_clock(struct caller *c)
{
	int64_t offset, wall = 0;
	char end;
	int n = sscanf(c->line, "clock\t%" SCNd64 "\t%" SCNd64 "%c", &offset, &wall, &end);

	if (!c->control->master->test_clock || !control_may_change(c)) {
		control_answer(c, "error: the clock can be set only under minimta -T\n");
	} else if (n != 2 && sscanf(c->line, "clock\t%" SCNd64 "%c", &offset, &end) != 1) {
		control_answer(c, "error: expected: clock <milliseconds from real time> [<milliseconds more for the wall clock>]\n");
	} else {
		children_shift_clock(c->control->master, offset, wall, false);
		c->quiet = c->queue_waits = true;
		ask_all(c);
	}
}
