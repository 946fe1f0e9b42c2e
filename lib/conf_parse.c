/*
 * From the text of a configuration to calls of conf_option_set: libconfuse does it, and this file guards what that
 * would do in silence or say badly: replace doubled options, expand ${…}, drop characters that it does not know, end
 * at NUL, in an open string, comment or section. Who calls: conf.c. Errors are "name:line: what is wrong; what would
 * be right", the first one only.
 */
#include <confuse.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/conf_option.h"
#include "lib/log.h"

#define WORD_LEN	64
#define NAMES_MAX	256		/* different names inside sections */
#define SECTIONS_MAX	1000		/* kept as they are */

struct parse {
	struct conf	*conf;
	const char	*name;
	int		*lines;			/* per option, 0: not set */
	struct conf_destination *section;	/* of relay or destination, the one being read; NULL before its first value */
	int		 section_lines[CONF_DESTINATION_OPTIONS];
	struct conf_section *kept;		/* one of those kept as they are, likewise */
	char		(*names)[WORD_LEN];	/* of all that is set inside sections: what those may hold is for others to say */
	size_t		 n_names;
	int		*kept_lines;		/* where each of them begins */
	size_t		 n_kept;
	char		*err;
	size_t		 size;
	bool		 failed;
};

/* libconfuse hands no argument of ours to its callbacks, and its lexer is static anyway: one parse at a time. */
static struct parse *current;

static int fail(struct parse *, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static int
fail(struct parse *p, int line, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	if (!p->failed) {
		va_start(ap, fmt);
		vsnprintf(text, sizeof(text), fmt, ap);
		va_end(ap);
		snprintf(p->err, p->size, "%s:%d: %s", p->name, line, text);
	}
	p->failed = true;
	return -1;
}

/* A first walk over the text, for what the lexer would not report. */
struct scan {
	struct parse	*parse;
	char		*p, *end;
	int		 line;
	int		 brace_line[2];		/* of the braces that are open */
	int		 depth;
	char		 word[WORD_LEN];	/* the last one, cut */
	char		 before[WORD_LEN];	/* the one before it */
	char		 last;			/* the last token: a sign, 'w' for a word or string, 0 at the start */
	char		 option[WORD_LEN];	/* the word before the last '=' */
	bool		 kept;			/* in a section that is kept as it is */
};

/* Comments become spaces, for libconfuse miscounts their lines. */
static int
scan_comment(struct scan *s)
{
	int from = s->line;
	bool closed = false;

	if (*s->p == '#') {
		while (s->p < s->end && *s->p != '\n')
			*s->p++ = ' ';
		return 0;
	}
	s->p[0] = s->p[1] = ' ';
	for (s->p += 2; s->p < s->end && !closed; s->p++) {
		closed = *s->p == '*' && s->end - s->p >= 2 && s->p[1] == '/';
		s->line += *s->p == '\n';
		if (*s->p != '\n')
			*s->p = ' ';
	}
	if (closed) {
		*s->p++ = ' ';
		return 0;
	}
	return fail(s->parse, from, "this comment does not end; close it with */");
}

static void
scan_keep_word(struct scan *s, const char *from)
{
	memcpy(s->before, s->word, sizeof(s->before));
	snprintf(s->word, sizeof(s->word), "%.*s", (int)(s->p - from > 63 ? 63 : s->p - from), from);
	s->last = 'w';
}

/* Of the escapes of "…" only those that are what anybody expects; the others are numbers, NUL among them. */
static int
scan_escape(struct scan *s)
{
	if (s->end - s->p >= 2 && strchr("\\\"'$nrt\n", s->p[1]) == NULL)
		return fail(s->parse, s->line, "a backslash before %s means nothing here; write \\\\, or the value between "
		    "single quotes", logqn(s->p + 1, 1));
	return 0;
}

static int
scan_string(struct scan *s)
{
	const char quote = *s->p, *from = s->p + 1;
	int first = s->line;

	for (s->p++; s->p < s->end && *s->p != quote; s->p++) {
		if (quote == '"' && s->end - s->p >= 2 && s->p[0] == '$' && s->p[1] == '{')
			return fail(s->parse, s->line, "${ in a value is not replaced by anything; write the value between "
			    "single quotes");
		if (*s->p == '\\') {
			if (quote == '"' && scan_escape(s) != 0)
				return -1;
			if (s->end - s->p >= 2)
				s->p++;
		}
		s->line += *s->p == '\n';
	}
	if (s->p >= s->end)
		return fail(s->parse, first, "this string does not end; close it with %c", quote);
	scan_keep_word(s, from);
	s->p++;
	return 0;
}

static int
scan_word(struct scan *s)
{
	const char *from = s->p;

	for (; s->p < s->end && strchr(" #\"'\t\n\r={}()+,*", *s->p) == NULL; s->p++) {
		if ((unsigned char)*s->p < 0x20 || *s->p == 0x7f)
			return fail(s->parse, s->line, "a control character (%s) stands outside quotes; write the value "
			    "between single quotes", logqn(s->p, 1));
		if (*s->p == ';')
			return fail(s->parse, s->line, "\";\" ends nothing here; leave it out, or write the value between "
			    "single quotes");
		if (*s->p == '$' && s->end - s->p >= 2 && s->p[1] == '{')
			return fail(s->parse, s->line, "${ in a value is not replaced by anything; write the value between "
			    "single quotes");
	}
	scan_keep_word(s, from);
	return 0;
}

static bool
is_kept(const char *kind)
{
	const char *const *k = conf_section_kinds;

	while (*k != NULL && strcmp(*k, kind) != 0)
		k++;
	return *k != NULL;
}

/* A section begins: which kind, and where. */
static int
scan_section(struct scan *s)
{
	struct parse *p = s->parse;

	s->kept = s->last == 'w' && is_kept(s->before);
	if (!s->kept)
		return 0;
	if (p->n_kept == SECTIONS_MAX)
		return fail(p, s->line, "this is one section too many; there may be %d", SECTIONS_MAX);
	if (p->n_kept % 32 == 0)
		p->kept_lines = alloc_resize(p->kept_lines, p->n_kept + 32, sizeof(int));
	p->kept_lines[p->n_kept++] = s->line;
	return 0;
}

/* A name inside such a section, for the table that libconfuse wants to have. */
static int
scan_name(struct scan *s)
{
	struct parse *p = s->parse;

	for (size_t i = 0; i < p->n_names; i++)
		if (strcmp(p->names[i], s->word) == 0)
			return 0;
	if (p->n_names == NAMES_MAX)
		return fail(p, s->line, "%s is one name too many; there may be %d", logq(s->word), NAMES_MAX);
	if (p->n_names % 32 == 0)
		p->names = alloc_resize(p->names, p->n_names + 32, WORD_LEN);
	memcpy(p->names[p->n_names++], s->word, WORD_LEN);
	return 0;
}

static int
scan_open(struct scan *s)
{
	const struct conf_option *o = s->kept ? NULL : conf_option_find(s->option);

	if (s->last == '=' && o != NULL && !conf_option_is_list(o))
		return fail(s->parse, s->line, "%s takes one value and no list; write %s = value", o->name, o->name);
	if (s->depth == 2)
		return fail(s->parse, s->line, "\"{\" is one too many; close the one of line %d first", s->brace_line[1]);
	if (s->depth == 0 && scan_section(s) != 0)
		return -1;
	s->brace_line[s->depth++] = s->line;
	return 0;
}

static int
scan_sign(struct scan *s)
{
	char c = *s->p;

	if (c == '*' || c == '+' || c == '(' || c == ')' || (c == '\r' && !(s->end - s->p >= 2 && s->p[1] == '\n')))
		return fail(s->parse, s->line, "%s has no meaning here; write a value that holds it between quotes",
		    c == '\r' ? "a bare CR" : (char[]){ '"', c, '"', '\0' });
	if (c == '=')
		memcpy(s->option, s->word, sizeof(s->option));
	if (c == '=' && s->kept && s->depth == 1 && s->last == 'w' && scan_name(s) != 0)
		return -1;
	if (c == '{' && scan_open(s) != 0)
		return -1;
	if (c == '}' && s->depth == 0)
		return fail(s->parse, s->line, "\"}\" closes nothing; leave it out");
	if (c == '}' && s->last == '{')
		return fail(s->parse, s->line, "there is nothing between { and }; leave the option out for its default");
	if (c == '}' && s->last == ',')
		return fail(s->parse, s->line, "a value is missing before \"}\"; leave out the last comma");
	s->depth -= c == '}';
	s->kept = s->kept && (s->depth > 0 || c == '{');
	if (c != '\r')
		s->last = c;
	s->p++;
	return 0;
}

static int
scan_token(struct scan *s)
{
	char c = *s->p, next = s->end - s->p >= 2 ? s->p[1] : '\0';

	if (c == '\n')
		s->line++;
	if (c == '\n' || c == ' ' || c == '\t') {
		s->p++;
		return 0;
	}
	if (c == '#' || (c == '/' && next == '*'))
		return scan_comment(s);
	if (c == '/' && next == '/')
		return fail(s->parse, s->line, "\"//\" begins neither a path nor a comment; begin a comment with #");
	if (c == '"' || c == '\'')
		return scan_string(s);
	if (strchr("={}()+,*\r", c) != NULL)
		return scan_sign(s);
	return scan_word(s);
}

static int
scan(struct parse *p, char *text, size_t len)
{
	struct scan s = { .parse = p, .p = text, .end = text + len, .line = 1 };
	const char *nul = memchr(text, '\0', len);

	if (nul != NULL) {
		for (const char *q = text; q < nul; q++)
			s.line += *q == '\n';
		return fail(p, s.line, "a NUL byte stands here; the configuration is plain text");
	}
	while (s.p < s.end)
		if (scan_token(&s) != 0)
			return -1;
	if (s.depth > 0)
		return fail(p, s.brace_line[s.depth - 1], "\"{\" is never closed; write } behind the last value");
	if (s.last == '=' || s.last == ',')
		return fail(p, s.line, "the file ends where a value is expected; write one, or leave the option out");
	return 0;
}

/* Each value that the file gives to an option of the table. */
static int
on_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	struct parse *p = current;
	const struct conf_option *o = conf_option_find(opt->name);
	size_t i = (size_t)(o - conf_options);
	char why[CONF_WHY];

	/* With the first value of an assignment libconfuse has just forgotten those of an earlier one. */
	if (opt->nvalues == 1) {
		if (p->lines[i] != 0)
			return fail(p, cfg->line, "%s is given twice, first on line %d; keep one", o->name, p->lines[i]);
		p->lines[i] = cfg->line;
	}
	if (conf_option_set(p->conf, o, value, why) != 0)
		return fail(p, cfg->line, "%s: %s", o->name, why);
	*(const char **)result = value;
	return 0;
}

/* Each value inside a section. */
static int
on_section_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	struct parse *p = current;
	const struct conf_option *o = conf_destination_options;
	char why[CONF_WHY];
	size_t i;

	while (strcmp(o->name, opt->name) != 0)
		o++;
	i = (size_t)(o - conf_destination_options);
	if (p->section == NULL)
		p->section = conf_destination_add(p->conf, cfg_name(cfg), cfg_title(cfg), why);
	if (p->section == NULL)
		return fail(p, cfg->line, "%s: %s", cfg_name(cfg), why);
	if (opt->nvalues == 1) {
		if (p->section_lines[i] != 0)
			return fail(p, cfg->line, "%s is given twice, first on line %d; keep one", o->name, p->section_lines[i]);
		p->section_lines[i] = cfg->line;
	}
	if (conf_destination_set(p->section, o, value, why) != 0)
		return fail(p, cfg->line, "%s: %s", cfg_name(cfg), why);
	*(const char **)result = value;
	return 0;
}

/* Each value inside a section that is kept as it is. */
static int
on_kept_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	struct parse *p = current;
	struct conf *c = p->conf;
	struct conf_section *s = p->kept;

	if (s == NULL)
		s = p->kept = conf_section_add(c, cfg_name(cfg), cfg_title(cfg),
		    c->n_sections < p->n_kept ? p->kept_lines[c->n_sections] : cfg->line);
	for (size_t i = 0; opt->nvalues == 1 && i < s->n; i++)
		if (strcmp(s->entries[i].name, opt->name) == 0)
			return fail(p, cfg->line, "%s is given twice, first on line %d; keep one", opt->name, s->entries[i].line);
	conf_section_put(s, opt->name, value, opt->nvalues == 1, cfg->line);
	*(const char **)result = value;
	return 0;
}

static int
on_kept(cfg_t *cfg, cfg_opt_t *opt)
{
	(void)cfg;
	(void)opt;
	current->kept = NULL;
	return 0;
}

/* The end of one. */
static int
on_section(cfg_t *cfg, cfg_opt_t *opt)
{
	struct parse *p = current;

	if (strcmp(opt->name, "destination") != 0 && (p->section == NULL || p->section->n_hosts == 0))
		return fail(p, cfg->line, "this %s has no host; write host = \"smtp.example.org:587\" inside", opt->name);
	p->section = NULL;
	memset(p->section_lines, 0, sizeof(p->section_lines));
	return 0;
}

static void
say_unknown(struct parse *p, cfg_t *cfg, const char *name)
{
	const char *near = conf_option_nearest(name);

	if (cfg_title(cfg) != NULL && is_kept(cfg_name(cfg)))
		fail(p, cfg->line, "%s is not expected here; write name = value", logq(name));
	else if (cfg_title(cfg) != NULL)
		fail(p, cfg->line, "no such option in %s: %s; there are %sinet, connections, source_ipv4, source_ipv6 and helo",
		    cfg_name(cfg), logq(name), strcmp(cfg_name(cfg), "destination") != 0 ? "host, mx, login, login_without_tls, " : "");
	else if (near != NULL)
		fail(p, cfg->line, "no such option: %s; did you mean %s?", logq(name), near);
	else
		fail(p, cfg->line, "no such option: %s; minimta.conf(5) has the list, and a value with spaces needs quotes",
		    logq(name));
}

/* libconfuse's own complaints, by their format, in words that help. */
static void
on_error(cfg_t *cfg, const char *fmt, va_list ap)
{
	static const char right[] = "write relay \"example.net\" { host = \"smtp.example.org:587\" }, or destination "
	    "\"example.net\" { inet = ipv4 }";
	struct parse *p = current;
	char text[256];

	if (strcmp(fmt, "no such option '%s'") == 0)
		say_unknown(p, cfg, va_arg(ap, const char *));
	else if (strcmp(fmt, "found duplicate title '%s'") == 0)
		fail(p, cfg->line, "the section %s is given twice; keep one", logq(va_arg(ap, const char *)));
	else if (strncmp(fmt, "missing title", 13) == 0 && is_kept(va_arg(ap, const char *)))
		fail(p, cfg->line, "a section stands without a title; write filter \"spf\" { mode = enforce }");
	else if (strncmp(fmt, "missing title", 13) == 0)
		fail(p, cfg->line, "a section stands without a domain; %s", right);
	else if (strncmp(fmt, "missing opening brace", 21) == 0)
		fail(p, cfg->line, "\"{\" is missing after a section's name and domain; %s", right);
	else if (strncmp(fmt, "missing equal sign", 18) == 0) {
		const char *name = va_arg(ap, const char *);

		fail(p, cfg->line, "\"=\" is missing after %s; write %s = value", name, name);
	} else if (strncmp(fmt, "unexpected token", 16) == 0)
		fail(p, cfg->line, "%s is not expected here; write name = value, or name = { value, value }",
		    logq(va_arg(ap, const char *)));
	else if (strncmp(fmt, "premature end", 13) == 0)
		fail(p, cfg->line, "the file ends in the middle of an option; write name = value");
	else {
		vsnprintf(text, sizeof(text), fmt, ap);
		fail(p, cfg->line, "%s; minimta.conf(5) says how options are written", text);
	}
}

/* A table as libconfuse wants it, one longer than n. */
static void
make_table(cfg_opt_t *to, const struct conf_option *table, size_t n, cfg_callback_t on)
{
	for (size_t i = 0; i < n; i++) {
		cfg_opt_t one = CFG_STR_CB(table[i].name, NULL, CFGF_NODEFAULT, on);

		if (conf_option_is_list(&table[i]))
			one.flags |= CFGF_LIST;
		to[i] = one;
	}
	to[n] = (cfg_opt_t)CFG_END();
}

/* All that was found in kept sections may stand in each of them: what is wrong there is said by others. */
static cfg_opt_t *
make_kept_table(const struct parse *p)
{
	cfg_opt_t *to = alloc_new(p->n_names + 1, sizeof(*to));

	for (size_t i = 0; i < p->n_names; i++)
		to[i] = (cfg_opt_t)CFG_STR_CB(p->names[i], NULL, CFGF_NODEFAULT | CFGF_LIST, on_kept_value);
	to[p->n_names] = (cfg_opt_t)CFG_END();
	return to;
}

static int
run(struct parse *p, const char *text)
{
	cfg_opt_t inside[CONF_DESTINATION_OPTIONS + 1], options[CONF_OPTIONS + 8], *kept = make_kept_table(p);
	const int flags = CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES;
	size_t n = CONF_OPTIONS;
	cfg_t *cfg;
	int rc;

	make_table(inside, conf_destination_options, CONF_DESTINATION_OPTIONS, on_section_value);
	make_table(options, conf_options, CONF_OPTIONS, on_value);
	options[n++] = (cfg_opt_t)CFG_SEC("relay", inside, flags);
	options[n++] = (cfg_opt_t)CFG_SEC("sender", inside, flags);
	options[n++] = (cfg_opt_t)CFG_SEC("destination", inside + CONF_RELAY_OPTIONS, flags);
	for (size_t i = 0; conf_section_kinds[i] != NULL; i++)
		options[n++] = (cfg_opt_t)CFG_SEC(conf_section_kinds[i], kept, flags);
	options[n] = (cfg_opt_t)CFG_END();
	cfg = alloc_must(cfg_init(options, CFGF_NONE));
	cfg_set_error_function(cfg, on_error);
	cfg_set_validate_func(cfg, "relay", on_section);
	cfg_set_validate_func(cfg, "sender", on_section);
	cfg_set_validate_func(cfg, "destination", on_section);
	for (size_t i = 0; conf_section_kinds[i] != NULL; i++)
		cfg_set_validate_func(cfg, conf_section_kinds[i], on_kept);
	rc = cfg_parse_buf(cfg, text);
	cfg_free(cfg);
	free(kept);
	if (rc != CFG_SUCCESS)
		fail(p, 1, "this is no configuration; minimta.conf(5) says how options are written");
	return p->failed ? -1 : 0;
}

int
conf_parse(struct conf *conf, const char *text, size_t len, const char *name, int lines[CONF_OPTIONS], char *err,
    size_t size)
{
	struct parse p = { .conf = conf, .name = name, .lines = lines, .err = err, .size = size };
	char *copy;
	int rc;

	copy = alloc_raw(len + 1);
	memcpy(copy, text, len);
	copy[len] = '\0';
	current = &p;
	rc = scan(&p, copy, len) != 0 ? -1 : run(&p, copy);
	current = NULL;
	free(copy);
	free(p.names);
	free(p.kept_lines);
	return rc;
}
