/*
 * smtpd: the process that strangers talk to. It owns nothing: an empty root, connections that it accepts, and a channel
 * each to lookup, queue and logger. What a session is: session.h.
 */
#include <sys/resource.h>

#include "lib/alloc.h"
#include "lib/log.h"
#include "smtpd/crowd.h"
#include "smtpd/listener.h"
#include "smtpd/smtpd.h"

/* As many descriptors as the configured connections need, as far as we may. Returns how many there are. */
static uint64_t
raise_limit(const struct conf *conf)
{
	struct rlimit limit;
	rlim_t wanted = (rlim_t)conf->connections + SMTPD_OTHER_FDS;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return 0;
	if (limit.rlim_cur >= wanted)
		return limit.rlim_cur;
	limit.rlim_cur = wanted;
	if (limit.rlim_max < wanted && limit.rlim_max != RLIM_INFINITY)
		limit.rlim_max = wanted;
	if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
		return wanted;
	/* Only root may raise the hard limit. */
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur < wanted)
		log_warn("event=few-descriptors have=%llu want=%llu what=\"fewer connections will be taken\"",
		    (unsigned long long)limit.rlim_cur, (unsigned long long)wanted);
	return limit.rlim_cur;
}

int
main(void)
{
	struct smtpd *srv = alloc_raw(sizeof(*srv));

	smtpd_init(srv);
	process_init(&srv->process, PROC_SMTPD);
	smtpd_start(srv);
	crowd_start(srv, raise_limit(srv->process.conf));
	listener_start(srv);
	process_sandbox(&srv->process);
	return process_run(&srv->process);
}
