/*
 * The queue process: what its parts share. Each part is made in main.c once the log is open, and gets this
 * struct with every message that is for it.
 */
#ifndef QUEUE_QUEUE_H
#define QUEUE_QUEUE_H

#include <sys/queue.h>

#include "filters/srs.h"
#include "lib/process.h"
#include "lib/rate.h"
#include "queue/log.h"

struct admin;
struct request;
struct dispatch;
struct expand;
struct intake;
struct schedule;

struct queue {
	struct process	 p;
	struct {
		uint32_t	connections, recipients;
		uint64_t	message_size;
	}		 most;		/* ever configured since the start: an older smtpd may still go by it */
	struct log	*log;
	struct intake	*intake;	/* messages on their way in */
	struct dispatch	*dispatch;	/* the schedule, and attempts under way */
	const struct schedule *schedule; /* dispatch's own, to look at */
	struct expand	*expand;	/* questions to lookup */
	struct srs_secrets srs;		/* that sign rewritten senders; list[0] NULL: none are */
	char		 srs_text[2][SRS_SECRET_MAX];
	struct admin	*admin;		/* mailq and minimtactl */
	LIST_HEAD(, request) awaiting;	/* who wait for the result of a delivery (await.c) */
	struct {
		struct rate	accepted, delivered, deferred, failed;	/* messages; then recipients' attempts */
	}		 rates;		/* for status */
	int64_t		 noticed_ms;	/* when postmaster was told last of a message that is held; 0: never */
	char		 trouble[256];	/* the log's last words, for status; "" none */
};

#endif
