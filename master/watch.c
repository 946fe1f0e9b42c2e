/*
 * What master looks at every few seconds: whether each process still answers, and whether the resolver's file has changed.
 *
 * A process that does not answer is reported and left alone: one that was stopped by a debugger or waits for a disk comes
 * back with its work, a kill would lose what it has in hand and not help the disk; what is sent to it meanwhile is bounded
 * by lib/ipc.c, which ends a peer that lets too much pile up.
 */
#include <stdio.h>
#include <sys/stat.h>

#include "lib/log.h"
#include "master/master.h"

#define LOOK_MS		5000
#define ASK_TURNS	3	/* every third look: 15 s */
#define SILENT_MANY	4	/* questions in a row without an answer, counted rather than timed: a clock may jump */
#define RESOLV_CONF	"/etc/resolv.conf"

static void
ask(struct child *c)
{
	if (c->state != CHILD_READY || c->ipc == NULL)
		return;
	if (!c->asked) {
		c->asked = true;
		ipc_send(c->ipc, MSG_STATUS_ASK, 0, NULL, 0, -1);
	} else if (++c->silent == SILENT_MANY)
		log_error("event=silent process=%s pid=%d what=\"has not answered for a minute; it is stopped, or waits for "
		    "something outside of it\"", proc_name(c->proc), (int)c->pid);
}

void
watch_answered(struct child *c)
{
	if (c->silent >= SILENT_MANY)
		log_info("event=answers-again process=%s pid=%d", proc_name(c->proc), (int)c->pid);
	c->asked = false;
	c->silent = 0;
}

const char *
watch_says(const struct child *c, char to[64])
{
	to[0] = '\0';
	if (c->silent >= SILENT_MANY)
		snprintf(to, 64, "silent_s=%u ", c->silent * ASK_TURNS * LOOK_MS / 1000);
	return to;
}

void
watch_saw_resolv_conf(struct master *m)
{
	if (stat(RESOLV_CONF, &m->resolv_conf) != 0)
		m->resolv_conf = (struct stat){ 0 };
}

/* A file that has just gone will be back: programs that write it anew leave such a moment. */
static void
look_at_resolv_conf(struct master *m)
{
	struct stat st;

	if (m->conf->dns_servers[0] != NULL || stat(RESOLV_CONF, &st) != 0)
		return;
	if (m->resolv_conf.st_ino == 0 || launch_file_changed(&m->resolv_conf, RESOLV_CONF))
		reload_processes(m, 1U << PROC_RESOLVER, RESOLV_CONF " has changed");	/* takes note of the file, if it can */
}

static void
on_look(void *arg)
{
	struct master *m = arg;
	struct child *c;

	timer_start(&m->watch, LOOK_MS);
	if (++m->watch_turn % ASK_TURNS == 0)
		TAILQ_FOREACH(c, &m->children, next)
			ask(c);
	look_at_resolv_conf(m);
}

void
watch_start(struct master *m)
{
	watch_saw_resolv_conf(m);
	timer_set(&m->watch, on_look, m);
	timer_start(&m->watch, LOOK_MS);
}
