/*
 * Who may be here. Decides whether a newcomer gets a place (counts and paces of its network, places in all, a share of
 * them for those whose mail was taken before and for trusted networks), whose place it gets when there is none, and when
 * limits tighten for everybody. How much they tighten is in stress.c, the counting in network.c. Called by listener.c,
 * session.c and all who hold memory for a session.
 */
#include "smtpd/crowd.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/log.h"
#include "smtpd/network.h"
#include "smtpd/session.h"
#include "smtpd/smtpd.h"
#include "smtpd/stream.h"
#include "smtpd/stress.h"

#define NETWORKS_MOST	4096		/* remembered without a connection, of strangers and of known ones each */
#define LOCAL_MOST	96U		/* sessions of programs on this machine; sendmail(8) waits for a place … */
#define LOCAL_OF_USER	32U		/* … and of one user's */
#define KEPT_SHARE	10		/* one place in so many is not for strangers */
#define FULL_SHARE	95		/* per cent of session_memory: no further mail is begun */
#define SLACK		(512U << 10)	/* bytes of memory beside the reserve without which nothing is begun … */
#define SLACK_EVERY	4		/* … looked at at every so manieth connection and message */
#define RESERVE		(2U << 20)	/* address space that is given back when the system has no more: what is under way ends in it */

static const struct crowd_reason no_place = { "connections", "421 4.3.2 Too many connections; try again later\r\n" };
static const struct crowd_reason no_memory = { "memory", "421 4.3.2 Not enough memory; try again later\r\n" };
static const struct crowd_reason too_many = { "network-connections",
    "421 4.7.0 Too many connections from your network; try again later\r\n" };
static const struct crowd_reason too_fast = { "connection-rate",
    "421 4.7.0 Connections from your network come too fast; try again in a minute\r\n" };

static const struct crowd_reason too_many_local = { "local-programs",
    "421 4.3.2 Too many programs here send mail at once; try again later\r\n" };

/*
 * Idle outside of any mail for so long that a place may go to somebody else; the same where its network has more places
 * than the newcomer's, and where it has very many more. No patience at all in the end: a crowd that comes back as soon as
 * it is sent away is always fresh.
 */
#define SWARM		8		/* places more than the newcomer's network */
static const struct { int64_t any_ms, crowded_ms, swarm_ms; } patience[STRESS_MOST + 1] = {
	{ 10000, 10000, 10000 }, { 10000, 5000, 2000 }, { 5000, 2000, 500 }, { 3000, 1000, 0 },
};

void
crowd_start(struct smtpd *srv, uint64_t descriptors)
{
	networks_init(&srv->networks, NETWORKS_MOST, &srv->tallies);
	srv->descriptors = descriptors;
	srv->reserve = malloc(RESERVE);		/* never touched, so it costs nothing */
}

/* ---- memory ---- */

void
crowd_starve(struct smtpd *srv)
{
	if (srv->reserve == NULL)
		return;
	free(srv->reserve);		/* first: to say so takes memory, too */
	srv->reserve = NULL;
	log_warn("event=memory-low what=\"nothing new is begun until the system has memory again\" sessions=%u held=%llu",
	    srv->n_sessions, (unsigned long long)srv->held);
}

/*
 * Nothing is begun while the reserve and something beyond it cannot be had; while it is held, one looks now and then whether
 * there is anything beside it.
 */
static bool
has_memory(struct smtpd *srv)
{
	if (srv->reserve != NULL && (srv->memory_asked++ % SLACK_EVERY != 0 || alloc_has(SLACK)))
		return true;
	if (srv->reserve != NULL) {
		crowd_starve(srv);
		return false;
	}
	malloc_trim(0);
	if (!alloc_has(RESERVE + 2 * SLACK) || (srv->reserve = malloc(RESERVE)) == NULL)
		return false;
	log_info("event=memory-back sessions=%u", srv->n_sessions);
	return true;
}

/* ---- whose place ---- */

/* Whether a is to go rather than b. */
static bool
goes_first(const struct session *a, const struct session *b, int64_t now_ms)
{
	bool a_known = network_known(a->network, now_ms), b_known = network_known(b->network, now_ms);

	if (a_known != b_known)
		return b_known;
	if (a->network->connections != b->network->connections)
		return a->network->connections > b->network->connections;
	return a->progress_ms < b->progress_ms;
}

static bool
may_go(const struct session *s, const struct network *newcomer, int64_t now_ms)
{
	unsigned level = s->srv->stress, more = 0;
	int64_t idle = now_ms - s->progress_ms;

	if (s->network == NULL || s->exempt || s->closing || !session_idle(s))
		return false;
	if (newcomer != NULL && s->network->connections > newcomer->connections)
		more = s->network->connections - newcomer->connections;
	return idle >= (more >= SWARM ? patience[level].swarm_ms : more > 1 ? patience[level].crowded_ms :
	    patience[level].any_ms);
}

/* The best one to go, of one network or (NULL) of all. */
static struct session *
victim(struct smtpd *srv, const struct network *newcomer, const struct network *of)
{
	struct session *s, *best = NULL;
	int64_t now = clock_ms();

	TAILQ_FOREACH(s, &srv->sessions, next)
		if ((of == NULL || s->network == of) && may_go(s, newcomer, now) &&
		    (best == NULL || goes_first(s, best, now)))
			best = s;
	return best;
}

static bool
evict(struct smtpd *srv, struct session *s)
{
	if (s == NULL)
		return false;
	srv->total_evicted++;
	s->parted = true;		/* idle: nothing of it is unread */
	if (s->stuck_ms != 0) {		/* who does not read is not told */
		s->out_len = 0;
		session_close(s, "evicted");
	} else
		session_end(s, "evicted", 421, "4.3.2", "Others need this place; come back later");
	stream_go_on(s);
	return true;
}

bool
crowd_evict(struct smtpd *srv, const struct network *newcomer)
{
	return evict(srv, victim(srv, newcomer, NULL));
}

/* ---- who comes in ---- */

/*
 * Of all places those that are here: this worker's share, and what others leave of theirs, for whom the kernel gives a
 * connection to is its own business. It is given back as sessions here end, and fast under the stress that comes of that.
 */
static uint64_t
own_places(const struct smtpd *srv)
{
	uint64_t all = srv->process.conf->connections, workers = srv->process.conf->workers, share, others;

	share = (all + workers - 1) / workers;
	others = tallies_sessions(&srv->tallies);
	return srv->tallies.n_others == 0 || others + share >= all ? share : all - others;
}

/* Places for a client: all of them for who is known, most for a stranger; and no more than there are descriptors. */
static uint64_t
places(const struct smtpd *srv, bool stranger)
{
	uint64_t n = own_places(srv), spare = SMTPD_OTHER_FDS;

	if (srv->descriptors > 0 && srv->descriptors < n + spare)
		n = srv->descriptors > 2 * spare ? srv->descriptors - spare : srv->descriptors / 2;
	return stranger ? n - n / KEPT_SHARE : n;
}

const struct crowd_reason *
crowd_admit(struct smtpd *srv, const struct sockaddr *address, bool has_one, struct network **network_r)
{
	const struct conf *conf = srv->process.conf;
	int64_t now = clock_ms();
	struct network *n = network_enter(&srv->networks, address, now);
	bool exempt = conf_is_trusted(conf, address) || conf_networks_have(&conf->proxies, address);

	if ((*network_r = n) == NULL)
		crowd_starve(srv);
	if (n == NULL || !has_memory(srv))
		return &no_memory;
	if (!exempt && !network_take(n, NETWORK_CONNECTIONS, conf->network_connection_rate, now))
		return &too_fast;
	if (!exempt && conf->network_connections > 0 && network_connections(n) > conf->network_connections &&
	    !evict(srv, victim(srv, n, n)))
		return &too_many;
	if (srv->n_sessions - srv->n_local - has_one >= places(srv, !exempt && !network_known(n, now)) && !crowd_evict(srv, n))
		return &no_place;
	return NULL;
}

/* Their descriptors are counted in SMTPD_OTHER_FDS. A single user does not take all places from the others. */
const struct crowd_reason *
crowd_admit_local(const struct smtpd *srv, unsigned uid)
{
	const struct session *s;
	unsigned own = 0;
	char client[sizeof(s->client)];

	snprintf(client, sizeof(client), "local uid %u", uid);
	TAILQ_FOREACH(s, &srv->sessions, next)
		own += s->local && strcmp(s->client, client) == 0;
	return own >= LOCAL_OF_USER || srv->n_local >= LOCAL_MOST ? &too_many_local : NULL;
}

/* ---- how much of everything ---- */

static void
tighten(struct smtpd *srv)
{
	struct session *s;

	TAILQ_FOREACH(s, &srv->sessions, next)
		stream_hurry(s);
}

static void
weigh(struct smtpd *srv)
{
	const struct stress_share shares[] = {
		{ srv->n_sessions - srv->n_local, places(srv, true) },
		{ srv->n_sessions + SMTPD_OTHER_FDS / 4, srv->descriptors },
		{ srv->held, srv->process.conf->session_memory },
	};
	unsigned level = stress_level(srv->stress, shares, sizeof(shares) / sizeof(shares[0]));

	tallies_tell_sessions(&srv->tallies, srv->n_sessions - srv->n_local);
	if (level == srv->stress)
		return;
	log_warn("event=stress level=%u was=%u sessions=%u memory=%llu", level, srv->stress, srv->n_sessions,
	    (unsigned long long)srv->held);
	srv->stress = level;
	tighten(srv);
}

void
crowd_hold(struct smtpd *srv, int64_t bytes)
{
	srv->held += (uint64_t)bytes;
	weigh(srv);
}

bool
crowd_is_full(struct smtpd *srv)
{
	uint64_t most = srv->process.conf->session_memory;

	if (!has_memory(srv))
		return true;
	return most > 0 && srv->held / FULL_SHARE >= most / 100;
}

/* Who is trusted by configuration, or sits at this machine, is never hurried. */
static unsigned
level_for(const struct session *s)
{
	return s->exempt ? 0 : s->srv->stress;
}

int64_t
crowd_time(const struct session *s, int64_t ms)
{
	return stress_time(level_for(s), ms);
}

uint32_t
crowd_count(const struct session *s, uint32_t count)
{
	return stress_count(level_for(s), count);
}
