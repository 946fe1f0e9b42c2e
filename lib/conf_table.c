/*
 * A struct filled from a table of options, and sections that others interpret, kept as they stand. Called by conf_parse.c,
 * conf.c and whoever has a table of its own (filters/config.c). Pure.
 */
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/conf_option.h"
#include "lib/log.h"

#define WORD_MAX	63		/* longer ones are like nothing */

const char *const conf_section_kinds[] = { "filter", "exempt", "refuse", "client_domains", NULL };

/* ---- tables ---- */

bool
conf_option_is_list(const struct conf_option *o)
{
	return o->type >= CONF_DOMAINS;
}

const struct conf_option *
conf_table_find(const struct conf_option *table, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(table[i].name, name) == 0)
			return &table[i];
	return NULL;
}

void
conf_table_defaults(void *to, const struct conf_option *table, size_t n)
{
	char why[CONF_WHY];

	for (size_t i = 0; i < n; i++)
		if (table[i].value != NULL && conf_value_set(to, &table[i], table[i].value, why) != 0)
			log_fatal("event=bad-default option=%s why=%s", table[i].name, logq(why));
}

static void
free_value(void *base, const struct conf_option *o)
{
	void *to = (char *)base + o->offset;
	char **texts;

	if (o->type <= CONF_CHOICE || o->type == CONF_LISTEN || o->type == CONF_NETWORKS) {
		free(*(void **)to);
		*(void **)to = NULL;
		if (conf_option_is_list(o))
			*(size_t *)(void *)((char *)to + sizeof(void *)) = 0;
	} else if (conf_option_is_list(o)) {
		texts = *(char ***)to;
		for (size_t i = 0; texts != NULL && texts[i] != NULL; i++)
			free(texts[i]);
		free(texts);
		*(char ***)to = NULL;
	}
}

int
conf_table_set(void *to, const struct conf_option *o, char *const *values, size_t n_values, char why[CONF_WHY])
{
	if (n_values > 1 && !conf_option_is_list(o)) {
		snprintf(why, CONF_WHY, "%s takes one value and no list; write %s = value", o->name, o->name);
		return -1;
	}
	free_value(to, o);
	for (size_t i = 0; i < n_values; i++)
		if (conf_value_set(to, o, values[i], why) != 0)
			return -1;
	return 0;
}

void
conf_table_free(void *base, const struct conf_option *table, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free_value(base, &table[i]);
}

/* ---- what might have been meant ---- */

/* How many letters must change, come or go to make one word of the other; neither longer than WORD_MAX. */
static unsigned
distance(const char *a, const char *b)
{
	unsigned row[WORD_MAX + 1], above, left_above;
	size_t n = strlen(b);

	for (size_t j = 0; j <= n; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; a[i - 1] != '\0'; i++) {
		left_above = row[0];
		row[0] = (unsigned)i;
		for (size_t j = 1; j <= n; j++) {
			above = row[j];
			row[j] = left_above + (a[i - 1] != b[j - 1]);
			if (above + 1 < row[j])
				row[j] = above + 1;
			if (row[j - 1] + 1 < row[j])
				row[j] = row[j - 1] + 1;
			left_above = above;
		}
	}
	return row[n];
}

const char *
conf_nearer(const char *wrong, const char *best, const char *candidate)
{
	unsigned d, least;

	if (strlen(wrong) > WORD_MAX || strlen(candidate) > WORD_MAX)
		return best;
	d = distance(wrong, candidate);
	least = best != NULL ? distance(wrong, best) : 4;
	return d < least && d < strlen(wrong) ? candidate : best;
}

/* ---- sections ---- */

struct conf_section *
conf_section_add(struct conf *c, const char *kind, const char *title, int line)
{
	struct conf_section *s;

	c->sections = alloc_resize(c->sections, c->n_sections + 1, sizeof(*c->sections));
	s = &c->sections[c->n_sections++];
	*s = (struct conf_section){ .kind = alloc_text(kind), .title = alloc_text(title), .line = line };
	return s;
}

void
conf_section_put(struct conf_section *s, const char *name, const char *value, bool first, int line)
{
	struct conf_entry *e;

	if (first) {
		s->entries = alloc_resize(s->entries, s->n + 1, sizeof(*s->entries));
		s->entries[s->n++] = (struct conf_entry){ .name = alloc_text(name), .line = line };
	}
	e = &s->entries[s->n - 1];
	e->values = alloc_resize(e->values, e->n + 1, sizeof(*e->values));
	e->values[e->n++] = alloc_text(value);
}

void
conf_section_free(struct conf_section *s)
{
	for (size_t i = 0; i < s->n; i++) {
		for (size_t v = 0; v < s->entries[i].n; v++)
			free(s->entries[i].values[v]);
		free(s->entries[i].values);
		free(s->entries[i].name);
	}
	free(s->entries);
	free(s->kind);
	free(s->title);
}
