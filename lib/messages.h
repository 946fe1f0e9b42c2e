/*
 * Every message that two processes can say to each other: the one table.
 *
 * The enum, the names and the check on receipt (lib/ipc.c) all come from it. A message that is not in the table, comes
 * from the wrong side, has an impossible size, or lacks or carries a descriptor against its row ends the peer that sent
 * it. Payloads are written and read with lib/pack.h, field by field in the order given beside each row.
 *
 * Columns: name, sender, receiver, phase, least and greatest payload in bytes, descriptor (NOFD, FD).
 * Sender and receiver are a process or a set of enum proc_set. Phase: START until the receiver has seen GO, RUN after it, ALWAYS.
 * What depends on one transaction or job (MAIL_DATA before MAIL_BEGIN, say) its handler checks, with ipc_fail. The header's `id` names what the message is about: a session, a
 * transaction, a job or a question, always chosen by the side that opened it.
 */
#ifndef LIB_MESSAGES_H
#define LIB_MESSAGES_H

#include <stdint.h>

#define MSG_PAYLOAD_MAX		(160U * 1024)	/* a chunk of content, or an envelope's longest part */
#define MSG_CHUNK_MAX		(64U * 1024)	/* content bytes in one *_DATA message */
#define MSG_INLINE_MAX		(128U * 1024)	/* content up to here travels whole, without credit */
#define MSG_CREDIT		(64U * 1024)	/* beyond it: unacknowledged content per message */
#define MSG_TALLY_SIZE		(448U * 1024)	/* the memory behind TALLY's descriptor */

enum proc {
	PROC_MASTER,
	PROC_SMTPD,		/* the instance for port 25 and the control socket's submissions */
	PROC_RESOLVER,
	PROC_LOOKUP,
	PROC_QUEUE,
	PROC_DELIVERY,
	PROC_MDA,
	PROC_LOGGER,
	PROC_COUNT,
};

/* Who may send or receive a message: one process, or a set. */
enum proc_set {
	SET_MASTER = 1 << PROC_MASTER,
	SET_SMTPD = 1 << PROC_SMTPD,
	SET_RESOLVER = 1 << PROC_RESOLVER,
	SET_LOOKUP = 1 << PROC_LOOKUP,
	SET_QUEUE = 1 << PROC_QUEUE,
	SET_DELIVERY = 1 << PROC_DELIVERY,
	SET_MDA = 1 << PROC_MDA,
	SET_LOGGER = 1 << PROC_LOGGER,
	SET_ANY = ((1 << PROC_COUNT) - 1) & ~SET_MASTER,	/* every child */
	SET_AGENTS = SET_DELIVERY | SET_MDA,			/* who run queue's jobs */
	SET_KEEPERS = SET_LOOKUP | SET_QUEUE,			/* who share the key of tokens */
	SET_ASKERS = SET_SMTPD | SET_DELIVERY,			/* who have a channel to resolver */
};

enum msg_phase {
	MSG_PHASE_START,	/* the receiver has not seen GO */
	MSG_PHASE_RUN,
	MSG_PHASE_ALWAYS,	/* in the table only */
};

#define MESSAGES(M) \
	/* master and its children: the start, in this order */ \
	M(CONFIG,	MASTER,	ANY, START,	0, 0, FD)		/* sealed memfd: configuration text */ \
	M(SECRET,	MASTER,	KEEPERS, START,	32, 32, NOFD)		/* key of lookup's tokens */ \
	M(SRS,		MASTER,	KEEPERS, ALWAYS,	8, 600, NOFD)		/* str, str: secrets that sign rewritten senders, "" none */ \
	M(CREDENTIALS,	MASTER,	DELIVERY, START, 0, 0, FD)		/* sealed memfd: lib/credentials.h; where the configuration names it */ \
	M(LISTENER,	MASTER,	SMTPD, START,	1, 300, FD)		/* str: "address:port", for the log */ \
	M(PEER,		MASTER,	ANY, ALWAYS,	5, 5, FD)		/* u8 proc, u32 instance: a channel to it; at any time */ \
	M(GO,		MASTER,	ANY, START,	0, 0, NOFD)		/* enter the sandbox and work */ \
	M(READY,	ANY,	MASTER, ALWAYS,	0, 0, NOFD)		/* sandbox entered */ \
	M(STOP,		MASTER,	ANY, ALWAYS,	0, 0, NOFD)		/* finish what is under way, then exit 0 */ \
	M(RECONFIGURE,	MASTER,	ANY, RUN,	0, 0, FD)		/* sealed memfd: the configuration from now on */ \
	M(DRAIN,	MASTER,	ANY, RUN,	0, 0, NOFD)		/* a successor runs: end when nobody needs you */ \
	M(DRAINING,	ANY,	MASTER, RUN,	0, 0, NOFD)		/* DRAIN was heard: nothing new is taken from outside */ \
	M(RETIRE,	ANY,	ANY, RUN,	0, 0, NOFD)		/* to each peer: ask my successor from now on */ \
	M(RETIRED,	ANY,	ANY, RUN,	0, 0, NOFD)		/* its answer: nothing new comes on this channel */ \
	M(CLOCK,	MASTER,	ANY, ALWAYS,	16, 16, NOFD)		/* i64 offset of all time, i64 of the wall clock alone, ms (tests only) */ \
	M(LOG_LEVEL,	MASTER,	ANY, ALWAYS,	1, 1, NOFD)		/* u8 enum log_level, until the next configuration */ \
	M(BAD_PEER,	ANY,	MASTER, ALWAYS,	6, 1024, NOFD)		/* u8 proc, u32 instance, str reason: end it */ \
	M(LOG,		ANY,	LOGGER, ALWAYS,	5, 16384, NOFD)		/* u8 level, str line */ \
	M(JOURNAL,	SMTPD,	LOGGER, RUN,	16, 32768, NOFD)	/* a record of filters/decision.h, as it is */ \
	/* delivery has no files: master connects to the configured LMTP socket for it; id = question */ \
	M(ENDPOINT_ASK,	DELIVERY, MASTER, RUN,	5, 300, NOFD)		/* str path */ \
	M(ENDPOINT,	MASTER,	DELIVERY, RUN,	0, 0, FD)		/* connected */ \
	M(NO_ENDPOINT,	MASTER,	DELIVERY, RUN,	4, 512, NOFD)		/* str why not */ \
	/* tools: master hands over a connection to the control socket */ \
	M(CONTROL,	MASTER,	ANY, RUN,	6, 65536, FD)		/* u32 uid, u8 root, str command line (minimtactl(8)) */ \
	/* u32 uid, str "": an SMTP session from a local program, or "as=ADDRESS": tried out as if from there */ \
	M(SUBMIT,	MASTER,	SMTPD, RUN,	8, 300, FD) \
	/* counts by network, shared by the processes of smtpd: each writes one memory and reads the others' */ \
	M(TALLY,	MASTER,	SMTPD, ALWAYS,	13, 13, FD)		/* u8 own, u32 instance whose it is, u64 seed */ \
	M(TALLY_GONE,	MASTER,	SMTPD, RUN,	4, 4, NOFD)		/* u32 instance: it has ended */ \
	M(STATUS_ASK,	MASTER,	ANY, RUN,	0, 0, NOFD) \
	M(STATUS,	ANY,	MASTER, RUN,	2, 65536, NOFD)		/* str: "key=value ..." of this process */ \
	/* smtpd asks lookup; id = question */ \
	M(TRUST_ASK,	SMTPD,	LOOKUP, RUN,	8, 4096, FD)		/* u64 session, str address if RCPT shall follow, str client */ \
						/* where a proxy or XCLIENT named another one; fd: who connected */ \
	M(TRUST,	LOOKUP,	SMTPD, RUN,	1, 256, NOFD)		/* u8 trusted, blob token */ \
	M(RCPT_ASK,	SMTPD,	LOOKUP, RUN,	14, 4096, NOFD)		/* u64 session, str address, blob trust token */ \
	M(RCPT,		LOOKUP,	SMTPD, RUN,	2, 4096, NOFD)		/* u8 enum rcpt_verdict, str text, blob token */ \
	/* what filters remember; id = question */ \
	M(MEMORY_ASK,	SMTPD,	LOOKUP, RUN,	27, 4096, NOFD)		/* filters/memory_pack.h: memory_pack_question; is answered */ \
	M(CALLBACK_ASK,	SMTPD,	LOOKUP, RUN,	5, 4096, NOFD)		/* str address of a sender */ \
	M(CALLBACK,	LOOKUP,	SMTPD, RUN,	5, 1024, NOFD)		/* u8 enum memory_callback, str why */ \
	M(MEMORY_NOTE,	SMTPD,	LOOKUP, RUN,	27, 4096, NOFD)		/* the same; is not */ \
	M(MEMORY,	LOOKUP,	SMTPD, RUN,	20, 20, NOFD)		/* memory_pack_answer */ \
	/* a message on its way in; id = transaction, chosen by smtpd */ \
	M(MAIL_BEGIN,	SMTPD,	QUEUE, RUN,	16, 8192, NOFD)		/* lib/envelope.h: envelope_pack_sender */ \
	M(MAIL_RCPT,	SMTPD,	QUEUE, RUN,	8, 8192, NOFD)		/* envelope_pack_rcpt, blob token */ \
	M(MAIL_DATA,	SMTPD,	QUEUE, RUN,	1, 65536, NOFD)		/* content, as it is stored: CRLF, no dot-stuffing */ \
	M(MAIL_CREDIT,	QUEUE,	SMTPD, RUN,	4, 4, NOFD)		/* u32 bytes taken since the last one */ \
	M(MAIL_END,	SMTPD,	QUEUE, RUN,	20, 65536, NOFD)	/* u64 size, u32 flags, str trace head, str trace tail */ \
	M(MAIL_ABORT,	SMTPD,	QUEUE, RUN,	0, 0, NOFD)		/* the transaction is forgotten; no answer */ \
	M(MAIL_DONE,	QUEUE,	SMTPD, RUN,	12, 4096, NOFD)		/* u16 code (250, 451, 452, 552, 554), str text, str id */ \
	/* queue asks lookup; id = question */ \
	M(EXPAND_ASK,	QUEUE,	LOOKUP, RUN,	5, 4096, NOFD)		/* str address of a local recipient, str sender of the mail */ \
	M(EXPAND,	LOOKUP,	QUEUE, RUN,	1, 65536, NOFD)		/* u8 enum expand_verdict, u8 more, u16 n, n * (u8 enum */ \
								/* target_kind, str address, u64 id), str text (on failure), */ \
								/* str new reverse-path, "" as it is */ \
	/* lookup has delivery ask a domain's own servers about an address; id = call. Nothing is sent */ \
	M(CALL_ASK,	LOOKUP,	DELIVERY, RUN,	6, 4096, NOFD)		/* u8 enum call_kind, str address */ \
	M(CALL,		DELIVERY, LOOKUP, RUN,	11, 4096, NOFD)		/* u8 enum probe_result, u16 code, str host, str text */ \
	/* an attempt; id = job, chosen by queue. The same words for delivery and mda */ \
	M(JOB_BEGIN,	QUEUE,	AGENTS, RUN,	16, 16384, NOFD)	/* lib/job.h: job_pack_begin */ \
	M(JOB_RCPT,	QUEUE,	AGENTS, RUN,	8, 8192, NOFD)		/* u32 index, envelope_pack_rcpt */ \
	M(JOB_DATA,	QUEUE,	AGENTS, RUN,	1, 65536, NOFD)		/* content; up to MSG_INLINE_MAX comes at once */ \
	M(JOB_START,	QUEUE,	AGENTS, RUN,	0, 0, NOFD)		/* all recipients named: begin (content may follow) */ \
	M(JOB_CANCEL,	QUEUE,	AGENTS, RUN,	0, 0, NOFD)		/* stop if it can still be stopped; JOB_DONE follows */ \
	M(JOB_PULL,	AGENTS,	QUEUE, RUN,	4, 4, NOFD)		/* u32 bytes wanted beyond those sent so far */ \
	M(JOB_RESULT,	AGENTS,	QUEUE, RUN,	17, 65536, NOFD)	/* lib/job.h: job_pack_result, one recipient */ \
	M(JOB_DONE,	AGENTS,	QUEUE, RUN,	0, 4096, NOFD)		/* str note for the log; every recipient had a result */ \
	/* DNS; id = question */ \
	M(DNS_ASK,	ASKERS,	RESOLVER, RUN,	8, 1024, NOFD)	/* u16 type, u32 deadline ms, str name */ \
	M(DNS_CANCEL,	ASKERS,	RESOLVER, RUN,	0, 0, NOFD) \
	M(DNS,		RESOLVER, ASKERS, RUN,	8, MSG_PAYLOAD_MAX, NOFD)	/* mx/dns.h: dns_pack_answer */

enum msg {
	MSG_NONE,
#define M(name, from, to, phase, least, most, fd) MSG_##name,
	MESSAGES(M)
#undef M
	MSG_COUNT
};

/* What lookup says of a recipient that a client named. */
enum rcpt_verdict {
	RCPT_LOCAL,		/* a mailbox or alias here: token given */
	RCPT_RELAY,		/* elsewhere, and this client may: token given */
	RCPT_UNKNOWN,		/* our domain, no such recipient: 550 5.1.1 */
	RCPT_DENIED,		/* elsewhere, and this client may not: 550 5.7.1 */
	RCPT_BOUNCES,		/* as RCPT_LOCAL, but for the null sender only: a rewritten sender's address */
	RCPT_TEMPORARY,		/* could not be looked up now: 451 4.3.0 */
};

enum expand_verdict {
	EXPAND_OK,		/* the targets follow */
	EXPAND_UNKNOWN,		/* gone since it was accepted: bounce, 5.1.1 */
	EXPAND_LOOP,		/* an alias leads back to itself: bounce, 5.4.6 */
	EXPAND_TEMPORARY,	/* ask again later: 4.3.0 */
	EXPAND_ERROR,		/* the alias is wrong and says how: bounce, 5.3.5 */
};

enum call_kind {
	CALL_SENDER,		/* would its own domain take a bounce: by MX */
	CALL_RECIPIENT,		/* does the host behind us know it: by the route that its mail takes */
};

enum target_kind {
	TARGET_MAILBOX,		/* local@domain: to mda as it stands */
	TARGET_REMOTE,		/* local@domain elsewhere: to delivery */
	TARGET_OWN_MAILBOX,	/* local@domain: its mailbox, whatever ~/.forward says */
	TARGET_COMMAND,		/* of the alias that local@domain is; mda finds it by the id */
	TARGET_FILE,		/* likewise */
};

/* The name of a process ("smtpd") or message ("RCPT_ASK"); "?" for what is out of range. */
const char	*proc_name(enum proc);
const char	*msg_name(enum msg);
/* A number that changes with the table: programs of different versions must not be put together. */
uint64_t	 msg_fingerprint(void);

#endif
