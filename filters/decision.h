/*
 * The record of one decision, or of a session's end: who came, what each filter was given and found, what was said. smtpd writes
 * it and sends it to logger (MSG_JOURNAL), whose journal keeps it; `minimtactl explain` reads it. Pure, both ways.
 *
 *	decision_begin(&text, room, sizeof(room), &head, &decision);	or decision_begin_session()
 *	for (at = 0; chain_next(chain, &at, &entry);)
 *		decision_add(&text, &entry);
 *	len = decision_end(&text);			lines, each ended by LF
 *
 * Lines of key=value (lib/pairs.h), with a letter in front, so that nothing a stranger sends makes or ends one:
 *
 *	D v=1 t=1795300000123 session=… client=… from=… to=… stage=rcpt outcome=refuse code=550 ref=7K2QF filter=spf score=12 waited=6000 text=…
 *	S v=1 t=… session=… client=… helo=… waited=… messages=… end=quit
 *	F filter=spf mode=score stage=mail key=… value=… result=fail points=6 asks=refuse why=… ms=23 mark=counted
 *	E filters=9
 *
 * minimta-journal(5) says what each word means.
 */
#ifndef FILTERS_DECISION_H
#define FILTERS_DECISION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "filters/chain.h"
#include "lib/pairs.h"

#define DECISION_VERSION	1
#define DECISION_MAX		(32U * 1024)	/* bytes of a record */

struct decision_head {			/* strings may be NULL or "" where there is none */
	int64_t		 time_ms;	/* clock_wall_ms() */
	const char	*session;	/* the id in its short form */
	const char	*message;	/* ours, when it was taken */
	const char	*message_id;	/* the Message-ID field's, once the header is there */
	const char	*client;	/* its address as text, without a port */
	const char	*helo, *listener;
	const char	*from;		/* canonical; "" is the null sender */
	bool		 mail;		/* there was a MAIL: from counts */
	const char	*to;		/* RCPT: the one that is judged; at DATA and later: the first of them */
	unsigned	 recipients;	/* taken so far */
	enum facts_stage stage;
	int64_t		 waited_ms;	/* that this session was kept waiting so far: banner, throttle, penalties */
};

struct decision_session {		/* the end of one */
	int64_t		 time_ms;
	const char	*session, *client, *helo, *listener;
	int64_t		 waited_ms, lasted_ms;
	int64_t		 would_ms;	/* that filters which only observe would have kept it longer */
	unsigned	 messages;	/* taken */
	unsigned	 refused;	/* replies of 4xx and 5xx */
	const char	*end;		/* "quit", "lost", "early", … as in the log's reason= */
};

struct decision_text {			/* decision.c's own */
	struct pairs_text text;
	unsigned	 filters, left_out;
};

/* room: at least 8 KiB; DECISION_MAX is never too little for a head, and what of the filters' lines does not fit is counted. */
void	decision_begin(struct decision_text *, char *room, size_t size, const struct decision_head *,
	    const struct chain_decision *);
void	decision_begin_session(struct decision_text *, char *room, size_t size, const struct decision_session *);
void	decision_add(struct decision_text *, const struct chain_entry *);
size_t	decision_end(struct decision_text *);


/* ---- reading: any bytes ---- */

/* Whether a record is in order: D or S, then F lines, then E, printable ASCII, each line ended by LF, nothing else. */
bool	decision_is_sound(const char *, size_t len);
/* The letter in front of a line, whose pairs are cut in place; '\0' when it is none. line ends with NUL, without LF. */
char	decision_line(char *line, struct pairs *);

#endif
