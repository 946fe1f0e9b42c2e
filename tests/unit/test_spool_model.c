/*
 * The model test of the queue's log: random messages, outcomes, expansions, bounces, reclaiming, failed syncs, full disks
 * and crashes, on a disk that forgets what was not synced (disk_model.h). After every start it is compared what the log
 * says with what was acknowledged: nothing lost, nothing torn, nothing that ended come back, parents and children both or
 * none, and what ended gone from the disk. SPOOL_SEEDS and SPOOL_SEED choose how many lives, and which one.
 */
#include <check.h>
#include <event2/event.h>
#include <limits.h>

#include "lib/ids.h"
#include "lib/log.h"
#include "queue/log_private.h"
#include "tests/unit/disk_model.h"

#define MESSAGES	4000
#define RCPTS		24
#define OPS		12
#define SEGMENT		(64U * 1024)
#define LIVES		12

/* What an operation said of a recipient; on disk its number is the outcome's text. */
struct op {
	unsigned	number;
	uint8_t		state;
	uint32_t	attempts;
	unsigned	child;		/* of an acceptance that settles: which message; 0 none */
	bool		doubtful;	/* a start could not tell it from another one */
};

struct rcpt {
	bool		there;		/* exists for sure */
	unsigned	added_by;	/* the operation that added it and is not acknowledged; 0 none */
	struct op	sure;		/* the last acknowledged word */
	struct op	maybe[OPS];	/* said since, not yet acknowledged, in order */
	unsigned	n_maybe;
};

struct mail {
	uint64_t	id;		/* 0: there is none */
	enum { NONE, ASKED, LIVE, GONE } state;
	uint64_t	size;
	bool		large;
	unsigned	parent, parent_rcpt;	/* place of the parent, and what this one settles of it */
	struct rcpt	rcpts[RCPTS];
	uint32_t	n_rcpts;
	unsigned	changes;	/* of its state, as the log was told */
	bool		busy;		/* an expansion is under way */
	bool		unsure;		/* it failed, and the next start may find it all the same */
};

/* An operation under way. */
struct call {
	unsigned	mail, number, life;
	bool		accept, expand;
	uint32_t	first, n;	/* recipients added */
	unsigned	changes;	/* reads: of the mail, when it was asked for */
};

static struct mail mails[MESSAGES];
static unsigned n_mails, number, life;
static struct log *the_log;
static struct event_base *base;
static uint64_t seed;
static bool scanned;
static unsigned calls_under_way;
static struct { uint64_t accepted, lost_unacked, crashes, ended, bounced, moved, freed, refused, reads; } seen;

#define FAIL(...)	do { \
		fprintf(stderr, "seed %llu life %u: ", (unsigned long long)seed, life); \
		fprintf(stderr, __VA_ARGS__); \
		fprintf(stderr, "\n"); \
		ck_abort_msg("see above"); \
	} while (0)

static bool
settled(uint8_t state)
{
	return state != LOG_OPEN && state != LOG_HELD;
}

/* A recipient's state as the log was told last. */
static const struct op *
told(const struct rcpt *r)
{
	return r->n_maybe > 0 ? &r->maybe[r->n_maybe - 1] : &r->sure;
}

static void
content_of(const struct mail *m, uint8_t *to, uint64_t size)
{
	char mark[32];
	size_t n = (size_t)snprintf(mark, sizeof(mark), "MAIL-%s-", id_text(m->id));

	for (uint64_t i = 0; i < size; i++)
		to[i] = i < n ? (uint8_t)mark[i] : (uint8_t)("abc@\n 0"[(i * 7 + m->id) % 7]);
}

static unsigned
mail_by_id(uint64_t id)
{
	for (unsigned i = n_mails; i > 0; i--)
		if (mails[i - 1].id == id && mails[i - 1].state != NONE)
			return i;
	return 0;
}

static void
step(void)
{
	switch (model_random(4)) {
	case 0:
		log_step(the_log, true);
		break;
	case 1:
		log_step(the_log, false);
		break;
	default:
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
}

/* Until nothing moves any more. */
static void
settle(void)
{
	for (int idle = 0; idle < 3;) {
		idle = log_step(the_log, true) || log_step(the_log, false) ? 0 : idle + 1;
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
}

static struct call *
call_new(unsigned mail)
{
	struct call *c = calloc(1, sizeof(*c));

	c->mail = mail;
	c->life = life;
	c->number = ++number;
	calls_under_way++;
	return c;
}

static void
check_gone(struct mail *m)
{
	for (uint32_t i = 0; i < m->n_rcpts; i++)
		if (!settled(m->rcpts[i].sure.state) || m->rcpts[i].n_maybe > 0)
			return;
	if (m->state == LIVE)
		seen.ended++;
	m->state = GONE;
}

/* The operation with this number is on the disk for sure, and so is all that was said before it. */
static void
op_sure(struct mail *m, unsigned n)
{
	struct rcpt *r;

	for (uint32_t i = 0; i < m->n_rcpts; i++) {
		r = &m->rcpts[i];
		while (r->n_maybe > 0 && r->maybe[0].number <= n && r->maybe[0].child == 0) {
			r->sure = r->maybe[0];
			memmove(r->maybe, r->maybe + 1, --r->n_maybe * sizeof(struct op));
		}
	}
	check_gone(m);
}

static void
child_settles(struct mail *m, struct mail *parent, bool sure)
{
	struct rcpt *r = &parent->rcpts[m->parent_rcpt];

	for (unsigned i = 0; i < r->n_maybe; i++)
		if (r->maybe[i].child == (unsigned)(m - mails) + 1) {
			if (sure)
				r->sure = r->maybe[i];
			memmove(r->maybe + i, r->maybe + i + 1, (--r->n_maybe - i) * sizeof(struct op));
			break;
		}
	parent->changes++;
	check_gone(parent);
}

static void
on_done(void *arg, const char *error)
{
	struct call *c = arg;
	struct mail *m = &mails[c->mail - 1];

	calls_under_way--;
	if (c->life != life || model.frozen) {		/* nobody heard of it any more */
		free(c);
		return;
	}
	if (c->accept) {
		if (error) {
			seen.refused++;
			m->unsure = strstr(error, "not known") != NULL;
			m->state = m->unsure ? ASKED : NONE;
			if (m->parent && !m->unsure)
				child_settles(m, &mails[m->parent - 1], false);
		} else {
			m->state = LIVE;
			seen.accepted++;
			if (m->parent) {
				seen.bounced++;
				child_settles(m, &mails[m->parent - 1], true);
			}
		}
	} else if (error == NULL) {
		op_sure(m, c->number);
		for (uint32_t i = 0; i < c->n; i++) {
			m->rcpts[c->first + i].there = true;
			m->rcpts[c->first + i].added_by = 0;
		}
	} else
		FAIL("outcome of %s refused: %s", id_text(m->id), error);
	if (c->expand)
		m->busy = false;
	free(c);
}

static void
on_piece(void *arg, const char *error)
{
	(void)arg;
	(void)error;
}

static void
do_accept(unsigned parent, uint32_t parent_rcpt)
{
	static uint8_t content[300 * 1024];
	struct envelope_sender sender = { .address = (char *)"from@example.org", .client = (char *)"", .session = (char *)"S" };
	struct envelope_rcpt rcpts[RCPTS];
	struct log_outcome outcome = { .index = parent_rcpt };
	char names[RCPTS][32], text[32];
	struct mail *m = &mails[n_mails];
	struct call *c;
	struct log_accept a = { .sender = &sender, .rcpts = rcpts, .head = "X: y\r\n" };
	uint64_t reserve;

	if (n_mails == MESSAGES)
		return;
	memset(m, 0, sizeof(*m));
	m->large = parent == 0 && model_random(25) == 0;
	m->size = m->large ? 130000 + model_random(150000) : model_random(20) == 0 ? model_random(30000) : model_random(3000);
	reserve = m->size;
	if (!log_reserve(the_log, reserve)) {
		seen.refused++;
		return;
	}
	n_mails++;
	m->id = log_new_id(the_log);
	m->state = ASKED;
	m->n_rcpts = 1 + (uint32_t)model_random(4);
	c = call_new(n_mails);
	c->accept = true;
	for (uint32_t i = 0; i < m->n_rcpts; i++) {
		snprintf(names[i], sizeof(names[i]), "r%u@%s", i, id_text(m->id));
		rcpts[i] = (struct envelope_rcpt){ .address = names[i], .local = i % 2 };
		m->rcpts[i].there = true;
	}
	content_of(m, content, m->size);
	a.id = m->id;
	a.arrived = 1000 + n_mails;
	a.n_rcpts = m->n_rcpts;
	if (m->large) {
		a.file = log_file_new(the_log, m->id);
		for (uint64_t at = 0; at < m->size; at += 50000) {
			log_file_write(a.file, content + at, m->size - at < 50000 ? m->size - at : 50000, on_piece, NULL);
			step();
		}
		if (model_random(10) == 0) {		/* the client went away */
			log_file_discard(a.file);
			log_release(the_log, reserve);
			m->state = NONE;
			calls_under_way--;
			free(c);
			return;
		}
	} else {
		a.content = content;
		a.content_len = m->size;
	}
	if (parent) {
		struct rcpt *r = &mails[parent - 1].rcpts[parent_rcpt];

		m->parent = parent;
		m->parent_rcpt = parent_rcpt;
		snprintf(text, sizeof(text), "%u", c->number);
		a.parent = mails[parent - 1].id;
		a.outcomes = &outcome;
		a.n_outcomes = 1;
		outcome.text = text;
		outcome.state = model_random(3) ? LOG_FAILED : LOG_OPEN;	/* a bounce, or a warning */
		outcome.attempts = told(r)->attempts + 1;
		outcome.past = "before";
		r->maybe[r->n_maybe++] = (struct op){ .number = c->number, .state = (uint8_t)outcome.state, .child = n_mails,
		    .attempts = outcome.state == LOG_OPEN ? outcome.attempts : 0 };
		mails[parent - 1].changes++;
	}
	log_accept(the_log, &a, reserve, on_done, c);
}

/* A live mail by chance, for something new: 0 none. */
static unsigned
pick(void)
{
	for (int i = 0; i < 20 && n_mails > 0; i++) {
		unsigned k = (unsigned)model_random(n_mails);
		struct log_message shown;

		if (mails[k].state == LIVE && log_find(the_log, mails[k].id, &shown))
			return k + 1;
	}
	return 0;
}

/* Recipients that nothing under way settles. */
static bool
is_free(const struct rcpt *r)
{
	for (unsigned i = 0; i < r->n_maybe; i++)
		if (settled(r->maybe[i].state) || r->maybe[i].child != 0)
			return false;
	return r->there && r->n_maybe < OPS - 1 && !settled(r->sure.state);
}

static void
do_outcomes(void)
{
	struct log_outcome o[RCPTS];
	unsigned k = pick();
	struct mail *m = &mails[k > 0 ? k - 1 : 0];
	struct call *c;
	char text[32];
	size_t n = 0;

	if (k == 0)
		return;
	c = call_new(k);
	snprintf(text, sizeof(text), "%u", c->number);
	for (uint32_t i = 0; i < m->n_rcpts; i++) {
		struct rcpt *r = &m->rcpts[i];

		if (!is_free(r) || model_random(2))
			continue;
		o[n] = (struct log_outcome){ .index = i, .attempts = told(r)->attempts + 1, .next_try = 77, .text = text };
		o[n].state = model_random(3) ? LOG_DELIVERED : LOG_OPEN;
		r->maybe[r->n_maybe++] = (struct op){ .number = c->number, .state = (uint8_t)o[n].state,
		    .attempts = settled((uint8_t)o[n].state) ? 0 : o[n].attempts };
		n++;
	}
	if (n == 0) {
		calls_under_way--;
		free(c);
		return;
	}
	m->changes++;
	log_outcomes(the_log, m->id, o, n, on_done, c);
}

static void
do_admin(void)
{
	unsigned k = pick();
	struct mail *m = &mails[k > 0 ? k - 1 : 0];
	enum log_state to = model_random(4) == 0 ? LOG_REMOVED : model_random(2) ? LOG_HELD : LOG_OPEN;
	struct log_outcome o[RCPTS];
	uint32_t n = 0;
	struct call *c;
	char text[32];

	if (k == 0)
		return;
	for (uint32_t i = 0; i < m->n_rcpts; i++)
		if (!is_free(&m->rcpts[i]) && !settled(told(&m->rcpts[i])->state))
			return;
	for (uint32_t i = 0; i < m->n_rcpts; i++)
		n += !settled(told(&m->rcpts[i])->state) && told(&m->rcpts[i])->state != to;
	if (n == 0)
		return;
	n = 0;
	for (uint32_t i = 0; i < m->n_rcpts; i++)		/* a bounce under way is not known to the log's index */
		for (unsigned j = 0; j < m->rcpts[i].n_maybe; j++)
			if (m->rcpts[i].maybe[j].child)
				return;
	c = call_new(k);
	snprintf(text, sizeof(text), "%u", c->number);
	for (uint32_t i = 0; i < m->n_rcpts; i++) {
		struct rcpt *r = &m->rcpts[i];

		if (settled(told(r)->state) || told(r)->state == to)
			continue;
		o[n++] = (struct log_outcome){ .index = i, .state = to, .attempts = told(r)->attempts, .text = text };
		r->maybe[r->n_maybe] = (struct op){ .number = c->number, .state = (uint8_t)to,
		    .attempts = settled((uint8_t)to) ? 0 : told(r)->attempts };
		r->n_maybe++;
	}
	m->changes++;
	log_edit(the_log, m->id, o, n, NULL, 0, on_done, c);
}

static void
do_expand(void)
{
	struct envelope_rcpt added[4];
	char names[4][32];
	unsigned k = pick();
	struct mail *m = &mails[k > 0 ? k - 1 : 0];
	uint32_t index, n = (uint32_t)model_random(4);
	struct call *c;

	if (k == 0 || m->busy || m->n_rcpts + n > RCPTS)
		return;
	index = (uint32_t)model_random(m->n_rcpts);
	if (!is_free(&m->rcpts[index]))
		return;
	c = call_new(k);
	c->expand = true;
	c->first = m->n_rcpts;
	c->n = n;
	m->busy = true;
	for (uint32_t i = 0; i < n; i++) {
		snprintf(names[i], sizeof(names[i]), "r%u@%s", m->n_rcpts, id_text(m->id));
		added[i] = (struct envelope_rcpt){ .address = names[i], .local = m->n_rcpts % 2 };
		memset(&m->rcpts[m->n_rcpts], 0, sizeof(struct rcpt));
		m->rcpts[m->n_rcpts++].added_by = c->number;
	}
	m->rcpts[index].maybe[m->rcpts[index].n_maybe++] = (struct op){ .number = c->number, .state = LOG_EXPANDED };
	m->changes++;
	log_expand(the_log, m->id, index, added, n, on_done, c);
}

static void
do_bounce(void)
{
	unsigned k = pick();
	uint32_t index;

	if (k == 0)
		return;
	index = (uint32_t)model_random(mails[k - 1].n_rcpts);
	if (is_free(&mails[k - 1].rcpts[index]) && mails[k - 1].rcpts[index].n_maybe == 0)
		do_accept(k, index);
}

static void
on_content(void *arg, const void *data, size_t len, const char *error)
{
	static uint8_t expected[300 * 1024];
	struct call *c = arg;
	struct mail *m = &mails[c->mail - 1];

	calls_under_way--;
	if (c->life == life && !model.frozen && !error) {
		content_of(m, expected, m->size);
		if (len > m->size - c->first || (len == 0) != (c->first == m->size) || memcmp(data, expected + c->first, len))
			FAIL("content of %s at %u is wrong (%zu bytes)", id_text(m->id), c->first, len);
		seen.reads++;
	} else if (c->life == life && !model.frozen && strcmp(error, "no such message") != 0)
		FAIL("content of %s: %s", id_text(m->id), error);
	free(c);
}

static void
on_envelope(void *arg, const struct log_envelope *e, const char *error)
{
	struct call *c = arg;
	struct mail *m = &mails[c->mail - 1];
	char text[32];

	calls_under_way--;
	for (uint32_t i = 0; i < m->n_rcpts; i++)
		for (unsigned j = 0; j < m->rcpts[i].n_maybe; j++)
			if (m->rcpts[i].maybe[j].child && mails[m->rcpts[i].maybe[j].child - 1].unsure)
				c->changes = UINT_MAX;
	if (c->life != life || model.frozen || c->changes != m->changes) {
		free(c);
		return;
	}
	if (error) {
		if (strcmp(error, "no such message") != 0 && !strstr(error, "written"))	/* closed while stalled */
			FAIL("envelope of %s: %s", id_text(m->id), error);
		free(c);
		return;
	}
	if (e->message.n_rcpts != m->n_rcpts)
		FAIL("envelope of %s has %u recipients, not %u", id_text(m->id), e->message.n_rcpts, m->n_rcpts);
	for (uint32_t i = 0; i < m->n_rcpts; i++) {
		const struct op *op = told(&m->rcpts[i]);

		snprintf(text, sizeof(text), "r%u@%s", i, id_text(m->id));
		if (strcmp(e->rcpts[i].rcpt.address, text) != 0)
			FAIL("recipient %u of %s is %s", i, id_text(m->id), e->rcpts[i].rcpt.address);
		snprintf(text, sizeof(text), "%u", op->number);
		if (settled(op->state) != settled((uint8_t)e->rcpts[i].state))
			FAIL("recipient %u of %s is %d, not %d", i, id_text(m->id), e->rcpts[i].state, op->state);
		if (op->doubtful)
			continue;
		if (op->state != e->rcpts[i].state || (op->number && op->state != LOG_EXPANDED && strcmp(e->rcpts[i].text, text)))
			FAIL("recipient %u of %s is %d \"%s\", not %d %u", i, id_text(m->id), e->rcpts[i].state, e->rcpts[i].text,
			    op->state, op->number);
	}
	seen.reads++;
	free(c);
}

static void
read_back(unsigned k, bool content)
{
	struct call *c = call_new(k);

	if (content) {
		c->first = (uint32_t)model_random(mails[k - 1].size + 1);
		log_read_content(the_log, mails[k - 1].id, c->first, 1 + model_random(70000), on_content, c);
	} else {
		c->changes = mails[k - 1].changes;
		log_read_envelope(the_log, mails[k - 1].id, on_envelope, c);
	}
}

/* For whoever looks into a failure: what the disk says of a message. */
static void
dump_record(void *arg, const struct segment *s, const struct record *r, uint64_t offset)
{
	if (r->id != *(uint64_t *)arg && r->parent != *(uint64_t *)arg)
		return;
	fprintf(stderr, "  %08x %6llu %s %s added %u from %u", s->header.number, (unsigned long long)offset,
	    record_kind_name(r->kind), id_text(r->id), r->n_added, r->first);
	for (uint32_t i = 0; i < r->n_outcomes; i++)
		fprintf(stderr, " [%u: %d attempts %u \"%s\"]", r->outcomes[i].index, r->outcomes[i].state,
		    r->outcomes[i].attempts, r->outcomes[i].text);
	fprintf(stderr, "\n");
}

static void
dump(uint64_t id)
{
	struct recover r = { .asidefd = -1, .all = true, .on_record = dump_record, .arg = &id };
	char err[200];

	r.dirfd = disk_open(-100, "log", O_RDONLY | O_DIRECTORY, "dir");
	if (recover_list(&r, err, sizeof(err)) == 0)
		recover_run(&r);
	recover_free(&r);
}

/* What a start found, against what may be. */

static void
check_rcpt(struct mail *m, uint32_t index, const struct log_envelope_rcpt *s)
{
	struct rcpt *r = &m->rcpts[index];
	const struct op *fit = NULL;
	unsigned fits = 0;

	if (s ? r->sure.state == s->state && r->sure.attempts == s->attempts : settled(r->sure.state))
		fit = &r->sure, fits++;
	for (unsigned i = 0; i < r->n_maybe; i++)
		if (s ? r->maybe[i].state == s->state && r->maybe[i].attempts == s->attempts : settled(r->maybe[i].state))
			fit = &r->maybe[i], fits++;
	if (fit == NULL) {
		dump(m->id);
		FAIL("recipient %u of %s was found %s %d (attempts %u), acknowledged %d (%u), %u pending", index, id_text(m->id),
		    s ? "open" : "settled", s ? (int)s->state : 0, s ? s->attempts : 0, r->sure.state, r->sure.attempts, r->n_maybe);
	}
	r->sure = *fit;
	r->sure.doubtful |= fits > 1;
	r->n_maybe = 0;
	r->there = true;
}

/* Children first: what they settle of their parents they settle whole. */
static void
child_found(struct mail *m, bool found)
{
	if (m->parent && m->state == ASKED)
		child_settles(m, &mails[m->parent - 1], found);
}

struct found {
	uint64_t			 id;
	struct log_envelope_rcpt	 rcpts[RCPTS];
	uint32_t			 n_rcpts;
};
static struct found founds[MESSAGES];
static unsigned n_founds;

static void
on_message(void *arg, const struct log_envelope *e)
{
	const struct log_message *m = &e->message;

	(void)arg;
	if (strcmp(e->sender.address, "from@example.org") != 0 || m->n_rcpts > RCPTS || m->n_open == 0)
		FAIL("message %s: sender %s, %u of %u open", id_text(m->id), e->sender.address, m->n_open, m->n_rcpts);
	founds[n_founds].id = m->id;
	founds[n_founds].n_rcpts = m->n_rcpts;
	memcpy(founds[n_founds++].rcpts, e->rcpts, m->n_rcpts * sizeof(*e->rcpts));
}

static void
on_scanned(void *arg, uint64_t messages)
{
	(void)arg;
	scanned = true;
	ck_assert_uint_eq(messages, n_founds);
}

static void
on_trouble(void *arg, const char *what)
{
	(void)arg;
	if (getenv("SPOOL_SEED"))
		fprintf(stderr, "  trouble: %s\n", what);
	if (strstr(what, "are damaged") || strstr(what, "cannot be read") || strstr(what, "no readable header") ||
	    strstr(what, "copied forward"))
		FAIL("%s", what);
}

static void
compare(struct mail *m, const struct found *f)
{
	enum log_state state;

	if (f == NULL) {
		if (m->state == ASKED)
			seen.lost_unacked++;
		for (uint32_t i = 0; i < m->n_rcpts && m->state == LIVE; i++)
			if (m->rcpts[i].there)
				check_rcpt(m, i, NULL);
		m->state = m->state == LIVE ? GONE : NONE;
		return;
	}
	m->state = LIVE;
	/* What was added without acknowledgement is there, all of one expansion, or not. */
	if (f->n_rcpts > m->n_rcpts)
		FAIL("%s has %u recipients, at most %u were added", id_text(m->id), f->n_rcpts, m->n_rcpts);
	for (uint32_t i = f->n_rcpts; i < m->n_rcpts; i++)
		if (m->rcpts[i].there)
			FAIL("%s has %u recipients, %u was acknowledged", id_text(m->id), f->n_rcpts, i);
	m->n_rcpts = f->n_rcpts;
	for (uint32_t i = 0; i < m->n_rcpts; i++) {
		check_rcpt(m, i, log_state_open(f->rcpts[i].state) ? &f->rcpts[i] : NULL);
		state = f->rcpts[i].state;
		if (log_is_open(the_log, m->id, i, &state) != log_state_open(f->rcpts[i].state) || state != f->rcpts[i].state)
			FAIL("recipient %u of %s is in state %d on the disk and %d in memory", i, id_text(m->id),
			    (int)f->rcpts[i].state, (int)state);
		m->rcpts[i].added_by = 0;
	}
	m->busy = false;
	m->changes++;
}

static const struct found *
found_of(const struct mail *m)
{
	for (unsigned i = 0; i < n_founds; i++)
		if (founds[i].id == m->id && m->state != NONE)
			return &founds[i];
	return NULL;
}

/* `before`: how many mails there were when this start began. */
static void
compare_all(unsigned before)
{
	for (unsigned i = 0; i < n_founds; i++) {
		unsigned k = mail_by_id(founds[i].id);

		if (k == 0 || mails[k - 1].state == GONE) {
			dump(founds[i].id);
			FAIL("message %s came back or was never accepted", id_text(founds[i].id));
		}
	}
	for (unsigned i = 0; i < before; i++)
		if (mails[i].state == ASKED)
			child_found(&mails[i], found_of(&mails[i]) != NULL);
	for (unsigned i = 0; i < before; i++)
		if (mails[i].state == ASKED || mails[i].state == LIVE)
			compare(&mails[i], found_of(&mails[i]));
	for (unsigned i = 0; i < n_mails; i++)
		if (mails[i].state == LIVE) {
			read_back(i + 1, true);
			read_back(i + 1, false);
			settle();
		}
}

static void
start(void)
{
	static const struct log_events events = { on_message, on_scanned, on_trouble };
	struct log_options options = { .segment_size = SEGMENT, .stepwise = true };
	char err[200];

	life++;
	n_founds = 0;
	scanned = false;
	model.fail_syncs = model_random(6) == 0 ? 80 : 0;
	the_log = log_open(base, -100, &options, &events, NULL, err, sizeof(err));
	if (the_log == NULL && model.fail_syncs > 0) {
		model.fail_syncs = 0;
		the_log = log_open(base, -100, &options, &events, NULL, err, sizeof(err));
	}
	if (the_log == NULL)
		FAIL("start: %s", err);
}

static void
act(void)
{
	unsigned k;

	switch (model_random(16)) {
	case 0: case 1: case 2:
		do_accept(0, 0);
		break;
	case 3: case 4: case 5:
		do_outcomes();
		break;
	case 6:
		do_expand();
		break;
	case 7:
		do_bounce();
		break;
	case 8:
		if (model_random(3) == 0)
			do_admin();
		break;
	case 9:
		if ((k = pick()) != 0)
			read_back(k, model_random(2));
		break;
	case 10:
		clock_shift(model.clock + (int64_t)model_random(3) * 7000 + 200);
		break;
	case 11:
		if (model_random(20) == 0)
			clock_shift(model.clock + 40 * 60 * 1000);
		break;
	default:
		step();
	}
}

/* Content of a mail that ended, anywhere on the disk. */
static void
check_marks(void)
{
	for (int d = 1; d < MODEL_DIRS; d++)
		for (int n = 0; n < MODEL_NAMES; n++) {
			struct model_inode *i = model.dirs[d].now[n].inode;
			const uint8_t *at = i ? i->now : NULL, *end = i ? i->now + i->size : NULL;
			char text[ID_TEXT + 1];
			uint64_t id;
			unsigned k;

			for (; at && (at = memmem(at, (size_t)(end - at), "MAIL-", 5)) != NULL; at += 5) {
				snprintf(text, sizeof(text), "%.*s", (int)strcspn((const char *)at + 5, "-"), at + 5);
				if (id_parse(text, &id) == 0 && (k = mail_by_id(id)) != 0 && mails[k - 1].state == GONE)
					FAIL("%s ended and is still on the disk, in %s", text, model.dirs[d].now[n].name);
			}
		}
}

/* Left alone for an hour: what ended is gone from the disk, and the disk holds not much more than what lives. */
static void
check_hour(void)
{
	uint64_t live = 0;
	size_t segments = 0;

	for (int i = 0; i < 200; i++) {
		clock_shift(model.clock + 20000);
		settle();
	}
	for (unsigned i = 0; i < n_mails; i++) {
		if (mails[i].state == LIVE)
			live += mails[i].large ? 2000 : mails[i].size + 4096;
	}
	check_marks();
	for (int n = 0; n < MODEL_NAMES; n++)
		segments += model.dirs[1].now[n].inode && strstr(model.dirs[1].now[n].name, ".seg") != NULL;
	if (segments > 3 + 4 * (live / SEGMENT + 1))
		FAIL("%zu segments for %llu live bytes", segments, (unsigned long long)live);
}

static void
run_life(void)
{
	unsigned n = 20 + (unsigned)model_random(400), before = n_mails;

	start();
	/* New mail is accepted while the scan is still to come; then everything is compared. */
	if (model_random(2))
		do_accept(0, 0);
	settle();
	if (!scanned)
		FAIL("the scan did not end");
	compare_all(before);
	model.fail_syncs = model_random(4) == 0 ? 60 : 0;
	model.room = model_random(5) == 0 ? model_used() + model_random(6) * SEGMENT : UINT64_MAX / 4;
	if (model_random(8) != 0)
		model.freeze_at = model.changes + 1 + model_random(300);
	for (unsigned i = 0; i < n && !model.frozen; i++)
		act();
	model.fail_syncs = 0;
	model.room = UINT64_MAX / 4;
	if (!model.frozen && model_random(2)) {
		model.freeze_at = 0;
		settle();
		check_hour();
	}
	if (model_random(4) == 0)			/* the power goes just now, or the log is closed */
		model.frozen = true;
	seen.crashes += model.frozen;
	seen.moved += the_log->reclaim.moved;
	seen.freed += the_log->reclaim.freed;
	log_close(the_log);
	event_base_loop(base, EVLOOP_NONBLOCK);
	if (model_random(3) == 0)
		model_kill();
	else
		model_crash();
	for (int i = 0; i < 64; i++)
		model.timers[i] = NULL;
	if (calls_under_way != 0)
		FAIL("%u calls were never answered", calls_under_way);
	for (int i = 0; i < MODEL_FDS; i++)
		if (model.fds[i].used)
			FAIL("a descriptor was left open");
}

static void
run_seed(uint64_t s)
{
	seed = s;
	model_reset(seed);
	n_mails = number = life = 0;
	for (int i = 0; i < LIVES; i++)
		run_life();
}

START_TEST(test_model)
{
	const char *one = getenv("SPOOL_SEED"), *many = getenv("SPOOL_SEEDS");
	uint64_t seeds = many ? strtoull(many, NULL, 10) : 25;

	base = event_base_new();
	if (one)
		run_seed(strtoull(one, NULL, 10));
	for (uint64_t s = 1; !one && s <= seeds; s++)
		run_seed(s);
	model_reset(0);
	event_base_free(base);
	printf("accepted %llu, unacknowledged lost %llu, refused %llu, ended %llu, bounced %llu, crashes %llu, moved %llu, "
	    "segments freed %llu, reads %llu\n", (unsigned long long)seen.accepted, (unsigned long long)seen.lost_unacked,
	    (unsigned long long)seen.refused, (unsigned long long)seen.ended, (unsigned long long)seen.bounced,
	    (unsigned long long)seen.crashes, (unsigned long long)seen.moved, (unsigned long long)seen.freed,
	    (unsigned long long)seen.reads);
	if (!one) {			/* the test itself is worth something */
		ck_assert_uint_gt(seen.accepted, seeds * 20);
		ck_assert_uint_gt(seen.crashes, seeds * 3);
		ck_assert_uint_gt(seen.moved, 0);
		ck_assert_uint_gt(seen.freed, seeds);
		ck_assert_uint_gt(seen.bounced, 0);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("spool_model");
	TCase *t = tcase_create("model");
	SRunner *r;
	int failed;

	tcase_set_timeout(t, 0);
	tcase_add_test(t, test_model);
	suite_add_tcase(s, t);
	r = srunner_create(s);
	srunner_set_fork_status(r, CK_NOFORK);
	srunner_run_all(r, CK_NORMAL);
	failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
