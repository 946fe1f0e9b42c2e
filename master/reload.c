/*
 * Changes while everything runs: another configuration, other programs on disk, other DNS servers. Each is one transaction:
 * what can be wrong is found out first (the file, the ports), then candidates are started beside the processes that they
 * are to replace, and only when all of them are ready the old ones are told to drain. Until then the change can be taken
 * back, and is when a candidate dies or takes too long.
 *
 * smtpd and delivery are new with every reload; the others get the new configuration by message, but for those whose program
 * has changed, and the resolver when there are other servers to ask. queue alone cannot run twice, for it owns the spool: it
 * is stopped and started, and smtpd answers 451 in between.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filters/chain.h"
#include "lib/alloc.h"
#include "lib/log.h"
#include "master/master.h"

#define CANDIDATES_MS	30000	/* for all of them to be ready */
#define LEAVE_MS	5000	/* for predecessors to hear of it */
#define QUEUE_MS	60000	/* for queue to be back; it is restarted by children.c in any case */

#define BIT(proc)	(1U << (proc))
#define GENERATION	(BIT(PROC_SMTPD) | BIT(PROC_DELIVERY))

struct change {
	struct master	*master;
	unsigned	 procs;			/* which are replaced */
	bool		 replace_queue;
	bool		 decided;		/* the old ones drain: there is no way back */
	bool		 queue_stopped;		/* and is to come back */
	struct conf	*old_conf;		/* NULL: the configuration is not changed */
	struct listener	*old_listeners;		/* both: until it is decided */
	size_t		 n_old_listeners;
	char		 failed[1200];		/* the answer, when it has failed */
	char		*text;			/* the answer otherwise, as far as it goes */
	size_t		 text_size;
	FILE		*answer;
	reload_done_fn	*done;
	void		*arg;
	struct timer	 deadline;
};

static void	on_deadline(void *);

static struct change *
change_new(struct master *m, unsigned procs)
{
	struct change *ch = alloc_new(1, sizeof(*ch));

	ch->answer = alloc_stream(&ch->text, &ch->text_size);
	ch->master = m;
	ch->procs = procs;
	timer_set(&ch->deadline, on_deadline, ch);
	timer_start(&ch->deadline, CANDIDATES_MS);
	return ch;
}

/* Says how it ended to who asked, if anybody still waits. */
static void
change_end(struct change *ch)
{
	struct master *m = ch->master;

	timer_stop(&ch->deadline);
	m->change = NULL;
	if (m->stop_group < 0)
		notify_systemd("READY=1");
	fclose(ch->answer);
	if (ch->done != NULL)
		ch->done(ch->arg, ch->failed[0] != '\0' ? ch->failed : ch->text);
	free(ch->text);
	free(ch);
	if (m->reload_again && m->stop_group < 0) {
		m->reload_again = false;
		reload_start(m, NULL, NULL);
	}
}

/* ---- the configuration ---- */

static void
keep_string(struct change *ch, const char *option, char **new, char **old)
{
	char *other = *new;

	if (strcmp(*new, *old) == 0)
		return;
	log_warn("event=needs-restart option=%s value=%s", option, logq(*new));
	fprintf(ch->answer, "warning: %s changes only when minimta is restarted; until then it is %s\n", option, *old);
	*new = alloc_text(*old);
	free(other);
}

/* Places are taken when a process starts, and are shared by processes that go on. */
static void
keep_places(struct change *ch, struct conf *new, struct conf *old)
{
	keep_string(ch, "spool", &new->spool, &old->spool);
	keep_string(ch, "state", &new->state, &old->state);
	keep_string(ch, "control", &new->control, &old->control);
	keep_string(ch, "empty_directory", &new->empty, &old->empty);
	keep_string(ch, "log_to", &new->log_to, &old->log_to);
	if (new->segment_size != old->segment_size) {
		log_warn("event=needs-restart option=segment_size");
		fprintf(ch->answer, "warning: segment_size changes only when minimta is restarted\n");
		new->segment_size = old->segment_size;
	}
}

static bool
same_servers(const struct conf *a, const struct conf *b)
{
	size_t i = 0;

	while (a->dns_servers[i] != NULL && b->dns_servers[i] != NULL && strcmp(a->dns_servers[i], b->dns_servers[i]) == 0)
		i++;
	return a->dns_servers[i] == NULL && b->dns_servers[i] == NULL;
}

/* Reads and checks it, and opens the ports. -1 with a reason: nothing has changed. */
static int
take_configuration(struct change *ch, char *err, size_t size)
{
	struct master *m = ch->master;
	struct conf *new = conf_read(m->conf_path, err, size);
	struct listener *listeners;

	if (new == NULL)
		return -1;
	if (logins_check(new, err, size) != 0 || filters_check(new, err, size) != 0) {
		conf_free(new);
		return -1;
	}
	if (places_listen(new, m->listeners, m->n_listeners, &listeners, err, size) != 0) {
		conf_free(new);
		return -1;
	}
	master_choose_log(m, new);
	keep_places(ch, new, m->conf);
	if (!same_servers(new, m->conf))
		ch->procs |= BIT(PROC_RESOLVER);
	ch->old_conf = m->conf;
	ch->old_listeners = m->listeners;
	ch->n_old_listeners = m->n_listeners;
	m->conf = new;
	m->listeners = listeners;
	m->n_listeners = new->n_listen;
	return 0;
}

/* ---- programs ---- */

static void
look_for_programs(struct change *ch)
{
	struct master *m = ch->master;
	struct child *c;

	TAILQ_FOREACH(c, &m->children, next) {
		if (c->draining || !children_program_changed(c))
			continue;
		if (c->proc == PROC_QUEUE)
			ch->replace_queue = true;
		else
			ch->procs |= BIT(c->proc);
	}
	if (m->own_path[0] != '\0' && launch_file_changed(&m->own_program, m->own_path)) {
		log_warn("event=needs-restart program=minimta");
		fprintf(ch->answer, "warning: the program minimta itself has changed; restart it to run the new one\n");
	}
}

/* ---- the way back, and the way forward ---- */

static void
take_back(struct change *ch, const char *why)
{
	struct master *m = ch->master;
	struct child *c;

	TAILQ_FOREACH(c, &m->children, next)
		if (c->candidate) {
			c->candidate = false;
			c->draining = true;
			children_end(c, "taken back");
		}
	if (ch->old_conf != NULL) {
		conf_free(m->conf);
		places_close(m->listeners, m->n_listeners);
		m->conf = ch->old_conf;
		m->listeners = ch->old_listeners;
		m->n_listeners = ch->n_old_listeners;
		log_set_level(log_level_named(m->conf->log_level));
		children_reconfigure(m);
	}
	log_error("event=change-failed what=%s", logq(why));
	snprintf(ch->failed, sizeof(ch->failed), "error: %s; all is as it was before\n", why);
	change_end(ch);
}

static void
say_done(struct change *ch)
{
	struct master *m = ch->master;

	if (ch->old_conf == NULL)
		log_info("event=replaced");
	else
		log_info("event=reloaded hostname=%s listeners=%zu", logq(m->conf->hostname), m->n_listeners);
	conf_free(ch->old_conf);
	change_end(ch);
}

/* After the decision: who asked hears of it when nobody new gets to a predecessor any more, and queue is back. */
static void
go_on(struct change *ch)
{
	struct child *c;

	TAILQ_FOREACH(c, &ch->master->children, next)
		if (c->leaving && c->state == CHILD_READY && c->silent == 0)
			return;
	if (!ch->replace_queue || ch->queue_stopped || (c = children_find(ch->master, PROC_QUEUE)) == NULL) {
		say_done(ch);
		return;
	}
	ch->queue_stopped = true;
	timer_start(&ch->deadline, QUEUE_MS);
	children_replace(c);
}

static void
decide(struct change *ch)
{
	struct master *m = ch->master;
	struct child *c, *next;

	ch->decided = true;
	for (c = TAILQ_FIRST(&m->children); c != NULL; c = next) {
		next = TAILQ_NEXT(c, next);
		if (c->candidate)
			c->candidate = false;
		else if ((ch->procs & BIT(c->proc)) != 0 && !c->draining)
			children_drain(c);
	}
	if (ch->old_conf != NULL)
		places_close(ch->old_listeners, ch->n_old_listeners);
	timer_start(&ch->deadline, LEAVE_MS);
	go_on(ch);
}

static void
begin(struct change *ch)
{
	struct master *m = ch->master;

	m->change = ch;
	if ((ch->procs & BIT(PROC_RESOLVER)) != 0)
		watch_saw_resolv_conf(m);
	if (ch->old_conf != NULL) {
		log_set_level(log_level_named(m->conf->log_level));
		children_reconfigure(m);
	}
	if (children_add_generation(m, ch->procs) != 0)
		take_back(ch, "a process could not be started");
}

static void
on_deadline(void *arg)
{
	struct change *ch = arg;

	if (!ch->decided) {
		take_back(ch, "the new processes are not ready in time");
		return;
	}
	fprintf(ch->answer, "warning: %s\n", ch->queue_stopped ? "queue is not ready yet" : "a process does not answer");
	if (ch->replace_queue && !ch->queue_stopped) {
		ch->replace_queue = false;
		log_warn("event=not-replaced process=queue what=\"others have not answered; reload again\"");
	}
	say_done(ch);
}

void
reload_on_child(struct master *m, const struct child *c, bool ended)
{
	struct change *ch = m->change;
	struct child *other;
	char why[128];

	if (ch == NULL)
		return;
	if (ch->decided) {
		/* Once queue was stopped only its return matters. */
		if (!ch->queue_stopped || (c->proc == PROC_QUEUE && !ended))
			go_on(ch);
		return;
	}
	if (ended && c->candidate) {
		snprintf(why, sizeof(why), "the new %s does not start (the log says why)", proc_name(c->proc));
		take_back(ch, why);
		return;
	}
	TAILQ_FOREACH(other, &m->children, next)
		if (other->candidate && other->state != CHILD_READY)
			return;
	decide(ch);
}

/* ---- asked for ---- */

static void
refuse(struct change *ch, const char *why)
{
	log_error("event=reload-refused what=%s", logq(why));
	snprintf(ch->failed, sizeof(ch->failed), "error: %s\n", why);
	change_end(ch);
}

void
reload_start(struct master *m, reload_done_fn *done, void *arg)
{
	struct change *ch;
	char err[1024];

	if (m->change != NULL || !m->was_ready || m->stop_group >= 0) {
		m->reload_again |= m->change != NULL && done == NULL;
		if (done != NULL)
			done(arg, m->change != NULL ? "error: another change is under way; try again in a moment\n" :
			    "error: minimta is starting or stopping\n");
		return;
	}
	notify_systemd("RELOADING=1");
	ch = change_new(m, GENERATION);
	ch->done = done;
	ch->arg = arg;
	fprintf(ch->answer, "ok\n");
	if (take_configuration(ch, err, sizeof(err)) != 0) {
		refuse(ch, err);
		return;
	}
	look_for_programs(ch);
	begin(ch);
}

void
reload_forget(struct master *m, void *arg)
{
	if (m->change != NULL && m->change->arg == arg)
		m->change->done = NULL;
}

void
reload_processes(struct master *m, unsigned procs, const char *why)
{
	if (m->change != NULL || m->stop_group >= 0)
		return;
	log_info("event=replacing what=%s", logq(why));
	begin(change_new(m, procs));
}

/* Everything ends: candidates with the rest. */
void
reload_cancel(struct master *m)
{
	struct change *ch = m->change;

	if (ch == NULL)
		return;
	if (ch->old_conf != NULL && !ch->decided)
		places_close(ch->old_listeners, ch->n_old_listeners);
	conf_free(ch->old_conf);
	snprintf(ch->failed, sizeof(ch->failed), "error: minimta is stopping\n");
	change_end(ch);
}
