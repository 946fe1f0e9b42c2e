/*
 * The filters of a process, as minimta.conf has them: each with its mode and options, and what goes together. Called by
 * smtpd and the tools (filters_new), and by whoever only wants to know whether it can be read (filters_check).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "filters/chain_state.h"
#include "lib/alloc.h"
#include "lib/conf_table.h"
#include "lib/log.h"

/* What every section may hold beside what its filter's table names. */
static const struct conf_option mode_option = { "mode", CONF_WORD, 0, .choices = "off observe score enforce" };

size_t
registry_find(const struct registry *r, const char *name)
{
	size_t i = 0;

	while (i < r->n && strcmp(r->list[i]->name, name) != 0)
		i++;
	return i;
}

const char *
registry_nearest(const struct registry *r, const char *name)
{
	const char *best = NULL;

	for (size_t i = 0; i < r->n; i++)
		best = conf_nearer(name, best, r->list[i]->name);
	return best;
}

/* ---- one filter ---- */

static void
set_defaults(struct filter_config *c, const struct filter *f, bool hermes)
{
	const struct conf_option *o;
	char why[CONF_WHY], *value;

	c->mode = hermes ? f->hermes : f->mode;
	c->stage = f->stage;
	c->decides = f->decides;
	c->options = alloc_new(1, f->options_size > 0 ? f->options_size : 1);
	conf_table_defaults(c->options, f->options, f->n_options);
	for (const char *const *h = hermes ? f->hermes_values : NULL; h != NULL && h[0] != NULL; h += 2) {
		value = alloc_text(h[1]);
		o = conf_table_find(f->options, f->n_options, h[0]);
		if (o == NULL || conf_table_set(c->options, o, &value, 1, why) != 0)
			log_fatal("event=bad-default filter=%s option=%s", f->name, h[0]);
		free(value);
	}
}

static void
say_unknown(const struct filter *f, const char *name, char why[CONF_WHY])
{
	const char *near = conf_nearer(name, NULL, "mode");
	size_t len;

	for (size_t i = 0; i < f->n_options; i++)
		near = conf_nearer(name, near, f->options[i].name);
	if (near != NULL) {
		snprintf(why, CONF_WHY, "no such option: %s; did you mean %s?", logq(name), near);
		return;
	}
	len = (size_t)snprintf(why, CONF_WHY, "no such option: %.60s; there are mode", logq(name));
	for (size_t i = 0; i < f->n_options && len < CONF_WHY; i++)
		len += (size_t)snprintf(why + len, CONF_WHY - len, "%s %s", i + 1 < f->n_options ? "," : " and",
		    f->options[i].name);
}

static int
set_entry(struct filter_config *c, const struct filter *f, const struct conf_entry *e, char why[CONF_WHY])
{
	const struct conf_option *o = conf_table_find(f->options, f->n_options, e->name);
	char inner[CONF_WHY];
	int mode, rc;

	if (o == NULL && strcmp(e->name, mode_option.name) == 0) {
		o = &mode_option;
		rc = conf_table_set(&mode, o, e->values, e->n, inner);
		if (rc == 0)
			c->mode = (enum filter_mode)mode;
	} else if (o == NULL) {
		say_unknown(f, e->name, why);
		return -1;
	} else {
		rc = conf_table_set(c->options, o, e->values, e->n, inner);
	}
	if (rc != 0)
		snprintf(why, CONF_WHY, "%s: %.450s", o->name, inner);
	return rc;
}

/* ---- all of them ---- */

static int
fail(char *err, size_t size, const struct conf *conf, int line, const char *filter, const char *why)
{
	if (line > 0)
		snprintf(err, size, "%s:%d: filter %s: %s", conf->name, line, logq(filter), why);
	else
		snprintf(err, size, "%s: filter %s: %s", conf->name, logq(filter), why);
	return -1;
}

static int
read_section(struct filters *all, const struct conf *conf, const struct conf_section *s, char *err, size_t size)
{
	size_t i = registry_find(all->registry, s->title);
	const char *near;
	char why[CONF_WHY];

	if (i == all->registry->n) {
		near = registry_nearest(all->registry, s->title);
		if (near != NULL)
			snprintf(err, size, "%s:%d: there is no filter %s; did you mean %s?", conf->name, s->line,
			    logq(s->title), near);
		else
			snprintf(err, size, "%s:%d: there is no filter %s; minimta-filters(7) has the list", conf->name, s->line,
			    logq(s->title));
		return -1;
	}
	for (size_t e = 0; e < s->n; e++)
		if (set_entry(&all->configs[i], all->registry->list[i], &s->entries[e], why) != 0)
			return fail(err, size, conf, s->entries[e].line, s->title, why);
	return 0;
}

static int
line_of(const struct conf *conf, const char *filter)
{
	for (size_t i = 0; i < conf->n_sections; i++)
		if (strcmp(conf->sections[i].kind, "filter") == 0 && strcmp(conf->sections[i].title, filter) == 0)
			return conf->sections[i].line;
	return 0;
}

static int
configure(struct filters *all, const struct conf *conf, char *err, size_t size)
{
	const char *why = "";

	for (size_t i = 0; i < all->registry->n; i++) {
		const struct filter *f = all->registry->list[i];

		all->configs[i].access = &all->access;
		if (f->configure != NULL && f->configure(&all->configs[i], &why) != 0)
			return fail(err, size, conf, line_of(conf, f->name), f->name, why);
	}
	return 0;
}

/* Who gives facts, or "". */
static const char *
giver_of(const struct filters *all, unsigned fact)
{
	for (size_t i = 0; i < all->registry->n; i++)
		if ((all->registry->list[i]->gives & fact) != 0)
			return all->registry->list[i]->name;
	return "";
}

/* A filter that cannot do without another one, which is off. */
static int
check_needs(const struct filters *all, const struct conf *conf, char *err, size_t size)
{
	unsigned given = 0, lacks;
	char why[CONF_WHY];

	for (size_t i = 0; i < all->registry->n; i++)
		if (all->configs[i].mode != FILTER_OFF)
			given |= all->registry->list[i]->gives;
	for (size_t i = 0; i < all->registry->n; i++) {
		const struct filter *f = all->registry->list[i];

		lacks = f->insists & ~given;
		if (all->configs[i].mode == FILTER_OFF || lacks == 0)
			continue;
		snprintf(why, sizeof(why), "it needs what %s finds, which is off; set that one's mode to observe, or this "
		    "one's to off", giver_of(all, lacks & -lacks));
		return fail(err, size, conf, line_of(conf, f->name), f->name, why);
	}
	return 0;
}

static int
read_all(struct filters *all, const struct conf *conf, char *err, size_t size)
{
	for (size_t i = 0; i < all->registry->n; i++)
		set_defaults(&all->configs[i], all->registry->list[i], conf->hermes);
	for (size_t i = 0; i < conf->n_sections; i++)
		if (strcmp(conf->sections[i].kind, "filter") == 0 &&
		    read_section(all, conf, &conf->sections[i], err, size) != 0)
			return -1;
	if (access_read(&all->access, conf, all->registry, err, size) != 0)
		return -1;
	if (configure(all, conf, err, size) != 0 || check_needs(all, conf, err, size) != 0)
		return -1;
	for (size_t i = 0; i < all->registry->n && !conf->filters; i++)
		all->configs[i].mode = FILTER_OFF;
	return 0;
}

static struct filters *
filters_read(const struct registry *registry, const struct conf *conf, char *err, size_t size)
{
	struct filters *all = alloc_new(1, sizeof(*all));

	if (registry->n > REGISTRY_MAX)
		log_fatal("event=too-many-filters n=%zu", registry->n);
	all->registry = registry;
	all->defer_score = (int)conf->defer_score;
	all->refuse_score = (int)conf->refuse_score;
	all->refuse_temporarily = conf->refuse_temporarily;
	all->tag_only = conf->tag_only;
	if (read_all(all, conf, err, size) == 0)
		return all;
	filters_free(all);
	return NULL;
}

struct filters *
filters_new_of(const struct registry *registry, const struct conf *conf, struct dns *dns, struct memory *memory, char *err,
    size_t size)
{
	struct filters *all = filters_read(registry, conf, err, size);

	if (all == NULL)
		return NULL;
	all->dns = dns;
	all->memory = memory;
	for (size_t i = 0; i < registry->n; i++)
		if (registry->list[i]->start != NULL && all->configs[i].mode != FILTER_OFF)
			registry->list[i]->start(&all->configs[i], dns, memory);
	return all;
}

struct filters *
filters_new(const struct conf *conf, struct dns *dns, struct memory *memory, char *err, size_t size)
{
	return filters_new_of(&filters_registry, conf, dns, memory, err, size);
}

int
filters_check(const struct conf *conf, char *err, size_t size)
{
	struct filters *all = filters_read(&filters_registry, conf, err, size);

	filters_free(all);
	return all != NULL ? 0 : -1;
}

void
filters_free(struct filters *all)
{
	if (all == NULL)
		return;
	for (size_t i = 0; i < all->registry->n; i++) {
		const struct filter *f = all->registry->list[i];

		if (f->release != NULL)
			f->release(&all->configs[i]);
		if (all->configs[i].options != NULL)
			conf_table_free(all->configs[i].options, f->options, f->n_options);
		free(all->configs[i].options);
	}
	access_free(&all->access);
	free(all);
}

const struct filter_config *
filters_config(const struct filters *all, const char *name)
{
	size_t i = registry_find(all->registry, name);

	if (i == all->registry->n)
		log_fatal("event=no-such-filter name=%s", name);
	return &all->configs[i];
}

static size_t
put_count(char *to, size_t size, size_t len, const char *name, const struct filters_count *c)
{
	const struct { const char *what; uint64_t n; } counts[] = { { "refused", c->refused }, { "deferred", c->deferred },
	    { "late", c->late } };
	int n;

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		if (counts[i].n == 0)
			continue;
		n = snprintf(to + len, size - len, "%s%s_%s=%llu", len > 0 ? " " : "", name, counts[i].what,
		    (unsigned long long)counts[i].n);
		if (n < 0 || (size_t)n >= size - len) {
			to[len] = '\0';
			return len;
		}
		len += (size_t)n;
	}
	return len;
}

void
filters_status(const struct filters *all, char *to, size_t size)
{
	size_t len = 0;

	to[0] = '\0';
	for (size_t i = 0; i < all->registry->n; i++)
		len = put_count(to, size, len, all->registry->list[i]->name, &all->counts[i]);
	put_count(to, size, len, "score", &all->score);
}
