/*
 * A job: one attempt to bring one message to some of its recipients, given by queue to delivery or mda; and what came
 * of it. Pure: forms for lib/messages.h' JOB_* messages. JOB_BEGIN, JOB_RCPT (one each), JOB_DATA (what is at hand, up
 * to MSG_INLINE_MAX), JOB_START; then JOB_RESULT for every recipient, once, and JOB_DONE. Content beyond what came is
 * pulled with JOB_PULL. Content is `head` and then the stored bytes: CRLF lines, no dot-stuffing, ends with CRLF.
 */
#ifndef LIB_JOB_H
#define LIB_JOB_H

#include <stdint.h>

#include "lib/envelope.h"
#include "lib/pack.h"

struct job_begin {
	char	*message;		/* the message's id, for log and reply */
	char	*hop;			/* delivery: "mx:example.org" or "relay:host:port"; mda: "local" */
	char	*sender;		/* reverse-path, "" null */
	char	*head;			/* fields to put in front: Received (CRLF-ended) */
	uint32_t flags;			/* enum envelope_flags */
	uint64_t size;			/* of the content without head */
	int64_t	 arrived;		/* seconds since the epoch */
	uint8_t	 ret;			/* RET=: enum dsn_ret */
	char	*envid;			/* ENVID=, decoded; "" or NULL none */
};

enum job_outcome {
	JOB_DELIVERED,			/* 2xx, or stored and synced */
	JOB_DEFERRED,			/* try again later */
	JOB_FAILED,			/* bounce */
	JOB_EXPANDED,			/* mda: his ~/.forward names others, in `targets`; nothing is delivered yet */
};

#define JOB_TARGETS_MAX	1000		/* of JOB_EXPANDED */

struct job_result {
	uint32_t	 index;		/* of the recipient, as in JOB_RCPT */
	enum job_outcome outcome;
	uint16_t	 code;		/* SMTP reply code, 0 where there was none */
	char		*enhanced;	/* "5.1.1", never empty */
	char		*host;		/* who said so: "mx1.example.org [192.0.2.1]:25"; "" for ourselves */
	char		*text;		/* the whole reply, lines joined with '\n', or our own words */
	bool		 dsn;		/* delivered, and who took it reports what becomes of it (RFC 3461) */
	bool		 host_trouble;	/* deferred because the next hop as a whole could not take mail: back off from it */
	struct envelope_rcpt *targets;	/* of JOB_EXPANDED */
	uint32_t	 n_targets;
};

void	job_pack_begin(struct pack *, const struct job_begin *);
int	job_unpack_begin(struct unpack *, struct job_begin *r);		/* 0 or -1; strings are new */
void	job_free_begin(struct job_begin *);
void	job_pack_result(struct pack *, const struct job_result *);
int	job_unpack_result(struct unpack *, struct job_result *r);
void	job_free_result(struct job_result *);

#endif
