/*
 * The path of mail for an address (tools/verify.h): lookup/verify.c tells what is ours and what aliases lead to, mx/explain.c
 * which hosts a domain has. Here the two are put together and made readable.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "tools/call.h"
#include "lib/alloc.h"
#include "tools/lines.h"
#include "tools/verify.h"

#define HOPS_MAX	10		/* that DNS is asked about; a list has more, and they are only named */

/* ---- asking ---- */

static int
code_of(const char *verdict)
{
	return strcmp(verdict, "unknown") == 0 ? EX_NOUSER : strcmp(verdict, "temporary") == 0 ? EX_TEMPFAIL : 0;
}

struct route {
	const char	*hop;
	FILE		*to;
	int		 code;
};

/* A line of resolver behind the one that named the hop, which it repeats: "A<tab>hop<tab>…". */
static void
take_host(void *arg, char *const *f)
{
	struct route *r = arg;

	if (f[0][0] == 'A' || f[0][0] == 'N' || f[0][0] == 'D')
		fprintf(r->to, "%s\t%s\t%s\t%s\t%s\n", f[0], r->hop, f[1], f[2], f[3]);
	if (f[0][0] == 'N')
		r->code = strcmp(f[1], "temporary") == 0 ? EX_TEMPFAIL : EX_NOHOST;
}

static int
ask_hosts(const char *path, const char *hop, FILE *to)
{
	const char *words[] = { "route", hop + 3, NULL };
	struct route r = { hop, to, 0 };
	char why[1024];
	int code;
	FILE *from = call_command(path, words, &code, why, sizeof(why));

	if (from == NULL) {
		fprintf(to, "N\t%s\ttemporary\t%s\n", hop, why);
		return EX_TEMPFAIL;
	}
	lines_read(from, false, take_host, &r);
	fclose(from);
	return r.code;
}

struct hops {
	char		*names[HOPS_MAX];
	unsigned	 n;
};

static bool
is_new(struct hops *h, const char *hop)
{
	for (unsigned i = 0; i < h->n; i++)
		if (strcmp(h->names[i], hop) == 0)
			return false;
	if (h->n == HOPS_MAX || strncmp(hop, "mx:", 3) != 0)
		return false;
	h->names[h->n++] = alloc_text(hop);
	return true;
}

/* Copies lookup's answer, and after each next hop that is new its hosts. */
static int
gather(const char *path, FILE *from, FILE *to)
{
	char *line = NULL, *copy, *f[LINES_FIELDS_MAX];
	struct hops hops = { .n = 0 };
	size_t room = 0;
	int rc = 0, hosts;

	while (getline(&line, &room, from) > 0) {
		if (line[0] == 'E')
			continue;
		copy = alloc_text(line);
		fputs(line, to);
		lines_cut(copy, f, LINES_FIELDS_MAX);
		if (f[0][0] == 'V')
			rc = code_of(f[2]);
		if (f[0][0] == 'S' && strcmp(f[2], "error") == 0 && rc == 0)
			rc = EX_NOUSER;
		if (f[0][0] == 'S' && strcmp(f[2], "remote") == 0 && is_new(&hops, f[4])) {
			hosts = ask_hosts(path, f[4], to);
			rc = rc != 0 ? rc : hosts;
		}
		free(copy);
	}
	fputs("E\n", to);
	for (unsigned i = 0; i < hops.n; i++)
		free(hops.names[i]);
	free(line);
	return rc;
}

FILE *
verify_ask(const char *path, const char *address, int *code_r, char *why, size_t size)
{
	const char *words[] = { "verify", address, NULL };
	FILE *from = call_command(path, words, code_r, why, size), *to;

	if (from == NULL) {
		if (*code_r == EX_UNAVAILABLE)		/* it is no address: lookup says what is wrong with it */
			*code_r = EX_DATAERR;
		return NULL;
	}
	if ((to = tmpfile()) == NULL) {
		snprintf(why, size, "no temporary file can be made");
		*code_r = EX_CANTCREAT;
	} else {
		*code_r = gather(path, from, to);
		rewind(to);
	}
	fclose(from);
	return to;
}

/* ---- showing ---- */

static void
print_step(char *const *f, int *depth_r, FILE *to)
{
	const char *kind = f[2];

	*depth_r = (int)lines_number(f[1]);
	if (*depth_r > 50 || *depth_r < 0)
		*depth_r = 50;
	fprintf(to, "%*s", 2 + 2 * *depth_r, "");
	if (strcmp(kind, "error") == 0)
		fprintf(to, "but no mail could be delivered: %s\n", f[3]);
	else if (strcmp(kind, "note") == 0 || strcmp(kind, "more") == 0)
		fprintf(to, "(%s)\n", f[3]);
	else if (strcmp(kind, "alias") == 0)
		fprintf(to, "alias %s (%s) leads to\n", f[3], f[4]);
	else if (strcmp(kind, "list") == 0)
		fprintf(to, "list %s has\n", f[3]);
	else if (strcmp(kind, "root_mail") == 0)
		fprintf(to, "root_mail in the configuration leads to %s\n", f[3]);
	else if (strcmp(kind, "remote") == 0)
		fprintf(to, "%s by %s\n", f[3], f[4]);
	else
		fprintf(to, "%s %s\n", kind, f[3]);
}

struct path {
	FILE			*to;
	int			 depth;
	struct json_object	*all, *steps, *hosts, *is_signed;
};

static void
print_line(void *arg, char *const *f)
{
	struct path *p = arg;
	int indent = 4 + 2 * p->depth;

	switch (f[0][0]) {
	case 'V':
		fprintf(p->to, "%s: %s, %s\n", f[1], f[2], f[3]);
		break;
	case 'S':
		print_step(f, &p->depth, p->to);
		break;
	case 'A':
		fprintf(p->to, "%*s%s %s [%s]\n", indent, "", f[2], f[3], f[4]);
		break;
	case 'D':
		fprintf(p->to, "%*s(signed: all of this was verified by DNSSEC)\n", indent, "");
		break;
	case 'N':
		fprintf(p->to, "%*sno host: %s (%s)\n", indent, "", f[3], f[2]);
		break;
	}
}

int
verify_print(FILE *from, FILE *to)
{
	struct path p = { .to = to };

	return lines_read(from, true, print_line, &p);
}

static struct json_object *
json_step(char *const *f)
{
	struct json_object *o = json_object_new_object();

	lines_put_number(o, "depth", f[1]);
	lines_put(o, "kind", f[2]);
	lines_put(o, "value", f[3]);
	if (f[4][0] != '\0')
		lines_put(o, strcmp(f[2], "remote") == 0 ? "hop" : "detail", f[4]);
	return o;
}

static struct json_object *
json_host(char *const *f)
{
	struct json_object *o = json_object_new_object();

	lines_put(o, "hop", f[1]);
	if (f[0][0] == 'A') {
		lines_put_number(o, "preference", f[2]);
		lines_put(o, "host", f[3]);
		lines_put(o, "address", f[4]);
	} else {
		lines_put(o, "failure", f[2]);
		lines_put(o, "reason", f[3]);
	}
	return o;
}

static void
add_line(void *arg, char *const *f)
{
	struct path *p = arg;

	if (f[0][0] == 'V') {
		lines_put(p->all, "address", f[1]);
		lines_put(p->all, "verdict", f[2]);
		lines_put(p->all, "text", f[3]);
	} else if (f[0][0] == 'S') {
		json_object_array_add(p->steps, json_step(f));
	} else if (f[0][0] == 'A' || f[0][0] == 'N') {
		json_object_array_add(p->hosts, json_host(f));
	} else if (f[0][0] == 'D') {
		json_object_array_add(p->is_signed, json_object_new_string(f[1]));
	}
}

int
verify_print_json(FILE *from, FILE *to)
{
	struct path p = { .all = json_object_new_object(), .steps = json_object_new_array(), .hosts = json_object_new_array(),
	    .is_signed = json_object_new_array() };
	int rc = lines_read(from, false, add_line, &p);

	json_object_object_add(p.all, "path", p.steps);
	json_object_object_add(p.all, "hosts", p.hosts);
	json_object_object_add(p.all, "signed", p.is_signed);
	return lines_end_json(rc, p.all, to);
}
