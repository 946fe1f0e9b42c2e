/*
 * A configuration as text that parses to the same, whatever characters its values hold: for `minimta -n` and for the
 * children, who get it in a memfd. Strings stand between single quotes, where libconfuse expands nothing.
 */
#include <arpa/inet.h>
#include <string.h>

#include "lib/conf_option.h"

static void
quoted(FILE *f, const char *text)
{
	putc('\'', f);
	for (; *text != '\0'; text++) {
		if (*text == '\\' || *text == '\'')
			putc('\\', f);
		putc(*text, f);
	}
	putc('\'', f);
}

/* The n-th value of a list as text, or NULL past its end. */
static const char *
item(const struct conf *c, const struct conf_option *o, size_t n, char buffer[80])
{
	const void *at = (const char *)c + o->offset;
	const struct conf_networks *networks;
	char address[INET6_ADDRSTRLEN];

	if (o->type == CONF_LISTEN)
		return n < c->n_listen ? c->listen[n].name : NULL;
	if (o->type != CONF_NETWORKS)
		return (*(char *const *const *)at)[n];
	networks = at;
	if (n >= networks->n)
		return NULL;
	inet_ntop(networks->list[n].family, networks->list[n].address, address, sizeof(address));
	snprintf(buffer, 80, "%s/%u", address, networks->list[n].prefix);
	return buffer;
}

static void
print_list(const struct conf *c, const struct conf_option *o, FILE *f)
{
	const char *text;
	char buffer[80];

	if (item(c, o, 0, buffer) == NULL) {		/* it cannot be written, and is the default where it is one */
		fprintf(f, "# %s is not set\n", o->name);
		return;
	}
	fprintf(f, "%s = { ", o->name);
	for (size_t n = 0; (text = item(c, o, n, buffer)) != NULL; n++) {
		fputs(n > 0 ? ", " : "", f);
		quoted(f, text);
	}
	fputs(" }\n", f);
}

static void
print_value(const void *at, const struct conf_option *o, FILE *f)
{
	char text[32];

	fprintf(f, "%s = ", o->name);
	switch (o->type) {
	case CONF_BOOL:
		fputs(*(const bool *)at ? "yes" : "no", f);
		break;
	case CONF_WORD:
		fputs(conf_word_text(text, o->choices, *(const int *)at), f);
		break;
	case CONF_PORT:
		fprintf(f, "%u", (unsigned)*(const uint16_t *)at);
		break;
	case CONF_COUNT:
		fprintf(f, "%u", *(const uint32_t *)at);
		break;
	case CONF_INT:
		fprintf(f, "%d", *(const int *)at);
		break;
	case CONF_DURATION:
		fputs(conf_duration_text(text, *(const int64_t *)at), f);
		break;
	case CONF_SIZE:
		fputs(conf_size_text(text, *(const uint64_t *)at), f);
		break;
	default:
		quoted(f, *(char *const *)at);
	}
}

static void
print_destination(const struct conf_destination *d, FILE *f)
{
	char host[300];

	fprintf(f, "%s ", conf_destination_kind(d));
	quoted(f, d->domain);
	fputs(" {", f);
	for (size_t i = 0; i < d->n_hosts; i++) {
		snprintf(host, sizeof(host), strchr(d->hosts[i].name, ':') != NULL ? "[%s]:%u" : "%s:%u", d->hosts[i].name,
		    (unsigned)d->hosts[i].port);
		fputs(i == 0 ? " host = { " : ", ", f);
		quoted(f, host);
	}
	fputs(d->n_hosts > 0 ? " }" : "", f);
	for (size_t i = d->n_hosts > 0 ? 1 : CONF_RELAY_OPTIONS; i < CONF_DESTINATION_OPTIONS; i++) {
		putc(' ', f);
		print_value((const char *)d + conf_destination_options[i].offset, &conf_destination_options[i], f);
	}
	fputs(" }\n", f);
}

static void
print_section(const struct conf_section *s, FILE *f)
{
	fprintf(f, "%s ", s->kind);
	quoted(f, s->title);
	fputs(" {", f);
	for (size_t i = 0; i < s->n; i++) {
		fprintf(f, " %s = {", s->entries[i].name);
		for (size_t v = 0; v < s->entries[i].n; v++) {
			fputs(v > 0 ? ", " : " ", f);
			quoted(f, s->entries[i].values[v]);
		}
		fputs(" }", f);
	}
	fputs(" }\n", f);
}

void
conf_print(const struct conf *c, FILE *f)
{
	for (size_t i = 0; i < CONF_OPTIONS; i++) {
		if (conf_option_is_list(&conf_options[i])) {
			print_list(c, &conf_options[i], f);
			continue;
		}
		print_value((const char *)c + conf_options[i].offset, &conf_options[i], f);
		putc('\n', f);
	}
	for (size_t i = 0; i < c->n_destinations; i++)
		print_destination(&c->destinations[i], f);
	for (size_t i = 0; i < c->n_sections; i++)
		print_section(&c->sections[i], f);
}
