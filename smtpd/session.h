/*
 * A session: one client's connection, its input line by line, its replies gathered, and at most one thing that it waits
 * for. Private to smtpd/: commands.c, content.c and transaction.c work on the same struct.
 *
 * A handler replies at once, or calls session_suspend() after asking somebody; then input waits in the socket until the
 * answer's handler has replied and calls session_resume(). Everything that happens to a session from outside its own
 * input (an answer, a peer that went away, STOP) ends with stream_go_on(). Sessions are freed by the loop alone.
 */
#ifndef SMTPD_SESSION_H
#define SMTPD_SESSION_H

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "lib/clock.h"
#include "lib/hash.h"
#include "lib/ids.h"
#include "smtpd/params.h"

struct guard;
struct network;
struct pretend;
struct smtpd;
struct transaction;

enum session_state {
	SESSION_START = 1,	/* greeted; neither EHLO nor HELO yet */
	SESSION_READY = 2,	/* no transaction */
	SESSION_MAIL = 4,	/* a sender, no recipient yet */
	SESSION_RCPT = 8,	/* at least one recipient */
	SESSION_CHUNKS = 16,	/* a BDAT was taken, not the last */
	SESSION_ANY = 31,
};

/* What comes from the client next. */
enum session_input {
	INPUT_COMMANDS,
	INPUT_PROXY,		/* a header that says who the client is */
	INPUT_TOO_LONG,		/* the rest of a line over its limit, thrown away */
	INPUT_DATA,		/* content, to its final dot */
	INPUT_CHUNK,		/* chunk_left bytes of a BDAT */
};

enum session_wait {
	WAIT_NONE,
	WAIT_GREETING,		/* a stranger: the rest of the greeting has its time */
	WAIT_PACE,		/* likewise for replies that are ready */
	WAIT_TRUST,		/* lookup: may this client relay */
	WAIT_RCPT,		/* lookup: is this a recipient */
	WAIT_FILTERS,		/* filters: a decision (guard.h) */
	WAIT_CREDIT,		/* queue: room for more of this message */
	WAIT_ROOM,		/* so much is on its way to queue that more must wait */
	WAIT_DONE,		/* queue: the message is safe, or not */
};

/* What the event on the client's socket is set to. */
enum session_listening {
	LISTENING_NOT,
	LISTENING_READ,		/* there is something to read */
	LISTENING_EDGE,		/* suspended, with input waiting in the socket: only news, to see the client leave */
};

struct session {
	struct smtpd		*srv;
	TAILQ_ENTRY(session)	 next;
	UT_hash_handle		 hh;
	uint64_t		 number;	/* of this process' run: in questions' ids */
	uint64_t		 id;		/* random: in the log, in tokens */
	char			 id_word[ID_TEXT];

	/* who */
	int			 fd;
	bool			 local;		/* a program of this machine, by the control socket */
	struct network		*network;	/* its /24 or /64, borrowed until the end; NULL when local */
	bool			 exempt;	/* local or in trusted_networks: no paces, no hurry */
	bool			 may_xclient;	/* who connected is in xclient_networks */
	bool			 claimed;	/* the client is whom a proxy or XCLIENT named */
	struct pretend		*pretend;	/* a person tries out what would become of such a client's mail; NULL: it is real */
	struct guard		*guard;		/* NULL: trusted, local, or no filters */
	const char		*listener;	/* borrowed from the process */
	char			 client[56];	/* "192.0.2.1", "2001:db8::1", "local uid 1000" */
	char			*helo;		/* trace_helo_ok; NULL before EHLO */
	bool			 esmtp;		/* EHLO, not HELO */
	bool			 trust_known, trusted;
	bool			 copied;	/* lookup was given a copy of fd, and has not answered */
	uint8_t			 trust_len;
	uint8_t			 trust[64];	/* lookup's token that says so */

	/* input */
	struct event		 ev_in, ev_out;
	enum session_listening	 listening;
	uint8_t			*in;		/* what was read and not used yet; NULL when nothing */
	size_t			 in_len;
	size_t			 ahead;		/* bytes read beyond the command that is being handled */
	enum session_input	 input;
	enum session_state	 state;
	const char		*line;		/* the command being handled, for the log; borrowed */

	/* output */
	char			*out;
	size_t			 out_len, out_room;

	/* waiting */
	enum session_wait	 wait;
	uint64_t		 ask;		/* id of the question that is open at lookup; 0: none */
	uint64_t		 asked;		/* questions so far */
	struct timer		 timer;		/* the wait under way, whatever it is for */
	struct timer		 lifetime;
	int64_t			 deadline_ms;	/* when the wait is over; for a command it is progress_ms that counts */
	int64_t			 progress_ms;	/* when the last whole command came, or its answer */
	int64_t			 stuck_ms;	/* since when the client has not read; 0: it reads */

	/* a message */
	struct transaction	*tx;		/* NULL outside one */
	uint64_t		 chunk_left;
	bool			 chunk_last;
	struct refusal		*chunk_refusal;	/* said when a chunk that is not taken has been eaten */
	int64_t			 content_ms;	/* when reading it began, without the time that we did not read */
	int64_t			 paused_ms;	/* since when we do not */
	int64_t			 last_ms;	/* when bytes last came */
	uint64_t		 content_in;	/* raw bytes of it */

	/* the account */
	int64_t			 began_ms;
	uint64_t		 held;		/* bytes of memory: session_hold() */
	char			 last_refusal[80]; /* for the log */
	unsigned		 errors, junk, commands, messages, recipients;
	bool			 closing;	/* nothing is read any more; ends when `out` is empty */
	bool			 lingering;	/* closed for writing: reads until the client has seen it */
	bool			 parted;	/* the client has left, or has said QUIT: nothing to linger for */
	const char		*reason;	/* why it ends, for the log */
};

/*
 * Takes over fd, which does not block, and the network, which is left at the end; says the banner. address and network
 * NULL: a local program of that uid. 0, or -1 without memory: then both are still the caller's.
 */
int	session_new(struct smtpd *, int fd, const struct sockaddr *address, struct network *, unsigned uid,
	    const char *listener);
/* The same for one that is only tried out, whose `pretend` it takes over. */
int	session_new_pretended(struct smtpd *, int fd, const struct sockaddr *address, struct pretend *, unsigned uid);
void	session_free(struct session *);		/* from the reaper and smtpd_free only */
struct session	*session_find(struct smtpd *, uint64_t question);

/* A reply. 5xx counts as an error, and one too many becomes 421 and the end. enhanced NULL: none (220, 250 EHLO, 354). */
void	session_reply(struct session *, int code, const char *enhanced, const char *fmt, ...)
	    __attribute__((format(printf, 4, 5)));
void	session_refuse(struct session *, const struct refusal *);
/* The same, and then the connection ends. `reason` is a constant for the log. */
void	session_end(struct session *, const char *reason, int code, const char *enhanced, const char *fmt, ...)
	    __attribute__((format(printf, 5, 6)));
/* Ends without a word more than is gathered already. */
void	session_close(struct session *, const char *reason);

/* Commands are read from here on, the next one within the command timeout. */
void	session_await_command(struct session *);
/* The next question's id, under which session_find() finds it. */
uint64_t session_question(struct session *);
void	session_suspend(struct session *, enum session_wait, int64_t deadline_ms);
/* The answer has come and has been dealt with: input goes on (call stream_go_on). */
void	session_resume(struct session *);
/* Off all lists, descriptor closed; freed when the loop comes round. stream.c decides when. */
void	session_finish(struct session *);
/* The wait under way has lasted long enough. */
void	session_timeout(struct session *);
/* No message under way: STOP need not wait for it, and its place may go to another. */
bool	session_idle(const struct session *);
/* So many bytes of memory more (or less) are held for it; what is left at its end is taken off. */
void	session_hold(struct session *, int64_t bytes);

#endif
