/*
 * From an option's text to its value: paths, names, lists; numbers and choices are read by conf_number.c, addresses,
 * networks and hosts by conf_address.c. Pure. Called by conf_parse.c for each value in the file.
 */
#include <arpa/inet.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "lib/address.h"
#include "lib/alloc.h"
#include "lib/conf_option.h"
#include "lib/log.h"
#include "lib/mailbox.h"

int
conf_wrong(char why[CONF_WHY], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, CONF_WHY, fmt, ap);
	va_end(ap);
	return -1;
}

static int
set_listen(struct conf_listen **list, size_t *n, const char *text, char why[CONF_WHY])
{
	struct conf_listen l;

	if (conf_address(&l, text, -1, why) != 0)
		return -1;
	for (size_t i = 0; i < *n; i++)
		if (strcmp((*list)[i].name, l.name) == 0 && strcmp(strrchr(l.name, ':'), ":0") != 0)
			return conf_wrong(why, "%s is given twice; name each address once", l.name);
	*list = alloc_resize(*list, *n + 1, sizeof(l));
	(*list)[(*n)++] = l;
	return 0;
}

static int
set_network(struct conf_networks *networks, const char *text, char why[CONF_WHY])
{
	struct conf_network n;

	if (conf_network(&n, text, why) != 0)
		return -1;
	networks->list = alloc_resize(networks->list, networks->n + 1, sizeof(n));
	networks->list[networks->n++] = n;
	return 0;
}

static int
append(char ***list, const char *text, char why[CONF_WHY])
{
	size_t n = 0;

	for (; *list != NULL && (*list)[n] != NULL; n++)
		if (strcmp((*list)[n], text) == 0)
			return conf_wrong(why, "%s is given twice; name each once", logq(text));
	*list = alloc_resize(*list, n + 2, sizeof(char *));
	(*list)[n] = alloc_text(text);
	(*list)[n + 1] = NULL;
	return 0;
}

/* Goes into replies and log lines. */
static int
check_text(const char *text, char why[CONF_WHY])
{
	for (const char *p = text; *p != '\0'; p++)
		if (*p < 0x20 || *p > 0x7e)
			return conf_wrong(why, "%s holds more than printable ASCII; write it without", logq(text));
	return 0;
}

static int
set_domain(char ***list, const char *text, char why[CONF_WHY])
{
	char domain[ADDRESS_DOMAIN_MAX + 1];

	if (address_domain(domain, text, ADDRESS_UTF8) != 0)
		return conf_wrong(why, "%s is not a domain; write a name as in example.org", logq(text));
	return append(list, domain, why);
}

static int
set_server(char ***list, const char *text, char why[CONF_WHY])
{
	struct conf_listen l;

	if (conf_address(&l, text, 53, why) != 0)
		return conf_wrong(why, "%s is not the address of a DNS server; write 192.0.2.53, 192.0.2.53:5353 or "
		    "[2001:db8::53]:53", logq(text));
	return append(list, l.name, why);
}

static int
set_text(char **to, const char *text)
{
	char *new = alloc_text(text);

	free(*to);
	*to = new;
	return 0;
}

static int
set_hostname(char **to, const char *text, char why[CONF_WHY])
{
	char domain[ADDRESS_DOMAIN_MAX + 1];

	if (address_domain(domain, text, ADDRESS_UTF8) != 0 || domain[0] == '[')
		return conf_wrong(why, "%s is not a host name; write a name as in mail.example.org", logq(text));
	return set_text(to, domain);
}

static int
set_mailbox(char **to, const char *text, char why[CONF_WHY])
{
	struct address a;
	const char *reason = "";

	if (text[0] == '\0')
		return set_text(to, "");
	if (address_parse(&a, text, ADDRESS_BARE | ADDRESS_UTF8, &reason) != ADDRESS_OK)
		return conf_wrong(why, "%s is not an address; write one as in admin@example.org, or a local name", logq(text));
	return set_text(to, a.text);
}

static int
set_path(char **to, const char *text, size_t most, char why[CONF_WHY])
{
	if (text[0] != '/')
		return conf_wrong(why, "%s is not an absolute path; begin it with a slash", logq(text));
	if (strlen(text) > most)
		return conf_wrong(why, "the path has %zu bytes; at most %zu are possible", strlen(text), most);
	return set_text(to, text);
}

/* A folder below a home directory must not lead out of it. */
static int
set_below(char **to, const char *text, char why[CONF_WHY])
{
	static const char right[] = "write a name below the home directory, as in Maildir";
	const char *p = text, *end;

	if (text[0] == '\0' || text[0] == '/' || strlen(text) > NAME_MAX)
		return conf_wrong(why, "%s is not a path below a home directory; %s", logq(text), right);
	for (; *p != '\0'; p = *end == '/' ? end + 1 : end) {
		end = strchrnul(p, '/');
		if (end == p || (end - p == 1 && p[0] == '.') || (end - p == 2 && p[0] == '.' && p[1] == '.'))
			return conf_wrong(why, "%s leads elsewhere; %s", logq(text), right);
	}
	return set_text(to, text);
}

static int
set_user(char **to, const char *text, char why[CONF_WHY])
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";

	if (text[0] == '\0' || text[0] == '-' || strlen(text) > 32 || text[strspn(text, allowed)] != '\0')
		return conf_wrong(why, "%s is not a user's name; write a name from the password file", logq(text));
	return set_text(to, text);
}

static int
set_delimiter(char **to, const char *text, char why[CONF_WHY])
{
	if (text[0] != '\0' && (text[1] != '\0' || strchr("+-_=#~^", text[0]) == NULL))
		return conf_wrong(why, "%s cannot stand between user and tag; write one of + - _ = # ~ ^, or ''", logq(text));
	return set_text(to, text);
}

/* %u, once, is the user; nothing else is replaced. */
static int
set_mbox(char **to, const char *text, char why[CONF_WHY])
{
	static const char right[] = "write maildir, or the path of an mbox with %u for the user, as in /var/mail/%u, or ~/mbox";
	const char *user = strstr(text, "%u");

	if (strcmp(text, "maildir") == 0)
		return set_text(to, text);
	if (strncmp(text, "~/", 2) == 0)
		return strchr(text, '%') == NULL ? set_below(to, text + 2, why) == 0 ? set_text(to, text) : -1 :
		    conf_wrong(why, "%s is not a place for mailboxes; %s", logq(text), right);
	if (text[0] != '/' || user == NULL || strchr(user + 1, '%') != NULL || strchr(text, '%') != user ||
	    strstr(text, "/../") != NULL || user[-1] != '/' || text[strlen(text) - 1] == '/')
		return conf_wrong(why, "%s is not a place for mailboxes; %s", logq(text), right);
	return set_path(to, text, PATH_MAX / 2, why);
}

/* Of a host its port must be said: LMTP has none of its own by right. */
static int
set_endpoint(char **to, const char *text, char why[CONF_WHY])
{
	char name[ADDRESS_DOMAIN_MAX + 1];
	unsigned port;

	if (text[0] == '\0')
		return set_text(to, text);
	if (text[0] == '/')
		return set_path(to, text, sizeof(((struct sockaddr_un *)0)->sun_path) - 1, why);
	if (conf_host(name, &port, text, why) == 0 && port != 0)
		return set_text(to, text);
	return conf_wrong(why, "%s is neither a socket nor a host with a port; write /run/dovecot/lmtp, or 127.0.0.1:24", logq(text));
}

static int
set_folder(char **to, const char *text, char why[CONF_WHY])
{
	char folder[MAILBOX_FOLDER_MAX];

	if (text[0] != '\0' && mailbox_folder(folder, text)[0] == '\0')
		return conf_wrong(why, "%s is no name for a folder; write letters, digits, - and _, and dots between levels, as in "
		    "Junk, or ''", logq(text));
	return set_text(to, text);
}

static int
set_choice(char **to, const struct conf_option *o, const char *text, char why[CONF_WHY])
{
	size_t len = strlen(text);

	/* "" is a choice where it is the default: "as fits how minimta was started". */
	if (len == 0 && o->value[0] == '\0')
		return set_text(to, text);
	for (const char *w = o->choices; len > 0 && *w != '\0'; w += strspn(w, " ")) {
		size_t n = strcspn(w, " ");

		if (n == len && strncmp(w, text, n) == 0)
			return set_text(to, text);
		w += n;
	}
	return conf_wrong(why, "%s is not possible for %s; choose one of: %s", logq(text), o->name, o->choices);
}

static int
set_word(int *to, const struct conf_option *o, const char *text, char why[CONF_WHY])
{
	const char *w = o->choices;
	size_t len;

	for (int n = 0; *w != '\0'; n++, w += len + (w[len] != '\0')) {
		len = strcspn(w, " ");
		if (strlen(text) == len && strncmp(w, text, len) == 0) {
			*to = n;
			return 0;
		}
	}
	return conf_wrong(why, "%s is not possible for %s; choose one of: %s", logq(text), o->name, o->choices);
}

static int
set_bool(bool *to, const char *text, char why[CONF_WHY])
{
	if (strcmp(text, "yes") != 0 && strcmp(text, "no") != 0)
		return conf_wrong(why, "%s is neither yes nor no; write one of them", logq(text));
	*to = text[0] == 'y';
	return 0;
}

static int
set_count(void *to, const struct conf_option *o, const char *text, char why[CONF_WHY])
{
	const char *p = text;
	uint64_t n;

	if (conf_digits(&p, &n) != 0 || *p != '\0')
		return conf_wrong(why, "%s is not a number; write one from %lld to %lld", logq(text), (long long)o->least,
		    (long long)o->most);
	if (n < (uint64_t)o->least || n > (uint64_t)o->most)
		return conf_wrong(why, "%s is out of range; write a number from %lld to %lld", logq(text), (long long)o->least,
		    (long long)o->most);
	if (o->type == CONF_PORT)
		*(uint16_t *)to = (uint16_t)n;
	else
		*(uint32_t *)to = (uint32_t)n;
	return 0;
}

static int
set_int(int *to, const struct conf_option *o, const char *text, char why[CONF_WHY])
{
	const char *p = text + (text[0] == '-');
	uint64_t n;

	if (conf_digits(&p, &n) != 0 || *p != '\0' || n > INT32_MAX)
		return conf_wrong(why, "%s is not a number; write one from %lld to %lld", logq(text), (long long)o->least,
		    (long long)o->most);
	*to = text[0] == '-' ? -(int)n : (int)n;
	if (*to < o->least || *to > o->most)
		return conf_wrong(why, "%s is out of range; write a number from %lld to %lld", logq(text), (long long)o->least,
		    (long long)o->most);
	return 0;
}

static int
set_duration(int64_t *to, const struct conf_option *o, const char *text, char why[CONF_WHY])
{
	char least[32], most[32];
	int64_t ms;

	if (conf_duration(text, &ms) != 0)
		return conf_wrong(why, "%s is not a duration; write it as in 90s, 5m, 1h30m or 2d", logq(text));
	if (ms < o->least || ms > o->most)
		return conf_wrong(why, "%s is out of range; write a duration from %s to %s", logq(text),
		    conf_duration_text(least, o->least), conf_duration_text(most, o->most));
	*to = ms;
	return 0;
}

static int
set_durations(char **to, const struct conf_option *o, const char *text, char why[CONF_WHY])
{
	char least[32], most[32];
	int64_t ms[CONF_DURATIONS_MAX];
	int n = conf_durations(text, ms, CONF_DURATIONS_MAX);

	if (n < 0)
		return conf_wrong(why, "%s is not a list of durations; write up to %d of them, none shorter than the one before, as in "
		    "\"5m, 30m, 2h\"", logq(text), CONF_DURATIONS_MAX);
	for (int i = 0; i < n; i++)
		if (ms[i] < o->least || ms[i] > o->most)
			return conf_wrong(why, "%s is out of range; write durations from %s to %s", logq(text),
			    conf_duration_text(least, o->least), conf_duration_text(most, o->most));
	return set_text(to, text);
}

static int
set_size(uint64_t *to, const struct conf_option *o, const char *text, char why[CONF_WHY])
{
	char least[32], most[32];
	uint64_t bytes;

	if (conf_size(text, &bytes) != 0)
		return conf_wrong(why, "%s is not a size; write it as in 100000, 512K, 50M or 2G", logq(text));
	if (bytes < (uint64_t)o->least || bytes > (uint64_t)o->most)
		return conf_wrong(why, "%s is out of range; write a size from %s to %s", logq(text),
		    conf_size_text(least, (uint64_t)o->least), conf_size_text(most, (uint64_t)o->most));
	*to = bytes;
	return 0;
}

static int
set_address(char **to, const struct conf_option *o, const char *text, char why[CONF_WHY])
{
	bool v4 = strcmp(o->choices, "ipv4") == 0;
	uint8_t bytes[16];

	if (text[0] != '\0' && inet_pton(v4 ? AF_INET : AF_INET6, text, bytes) != 1)
		return conf_wrong(why, "%s is not an %s address; write one as in %s", logq(text), v4 ? "IPv4" : "IPv6",
		    v4 ? "192.0.2.1" : "2001:db8::1");
	return set_text(to, text);
}

/* Of an array with its count right behind it. */
static size_t *
count_of(void *array)
{
	return (size_t *)(void *)((char *)array + sizeof(void *));
}

int
conf_value_set(void *base, const struct conf_option *o, const char *text, char why[CONF_WHY])
{
	void *to = (char *)base + o->offset;

	switch (o->type) {
	case CONF_HOSTNAME:
		return set_hostname(to, text, why);
	case CONF_MAILBOX:
		return set_mailbox(to, text, why);
	case CONF_FILE:
		return text[0] == '\0' ? set_text(to, text) : set_path(to, text, PATH_MAX / 2, why);
	case CONF_PLACE:
		return set_path(to, text, PATH_MAX / 2, why);
	case CONF_SOCKET:
		return set_path(to, text, sizeof(((struct sockaddr_un *)0)->sun_path) - 1, why);
	case CONF_BELOW:
		return set_below(to, text, why);
	case CONF_USER:
		return set_user(to, text, why);
	case CONF_DELIMITER:
		return set_delimiter(to, text, why);
	case CONF_MBOX:
		return set_mbox(to, text, why);
	case CONF_ENDPOINT:
		return set_endpoint(to, text, why);
	case CONF_FOLDER:
		return set_folder(to, text, why);
	case CONF_ADDRESS:
		return set_address(to, o, text, why);
	case CONF_DURATIONS:
		return set_durations(to, o, text, why);
	case CONF_TEXT:
		return check_text(text, why) != 0 ? -1 : set_text(to, text);
	case CONF_CHOICE:
		return set_choice(to, o, text, why);
	case CONF_BOOL:
		return set_bool(to, text, why);
	case CONF_PORT:
	case CONF_COUNT:
		return set_count(to, o, text, why);
	case CONF_INT:
		return set_int(to, o, text, why);
	case CONF_DURATION:
		return set_duration(to, o, text, why);
	case CONF_SIZE:
		return set_size(to, o, text, why);
	case CONF_WORD:
		return set_word(to, o, text, why);
	case CONF_DOMAINS:
		return set_domain(to, text, why);
	case CONF_TEXTS:
		return check_text(text, why) != 0 ? -1 : append(to, text, why);
	case CONF_SERVERS:
		return set_server(to, text, why);
	case CONF_LISTEN:
		return set_listen(to, count_of(to), text, why);
	case CONF_NETWORKS:
		return set_network(to, text, why);
	case CONF_HOSTS:
		break;
	}
	return conf_wrong(why, "%s is of no known type", o->name);
}

int
conf_option_set(struct conf *c, const struct conf_option *o, const char *text, char why[CONF_WHY])
{
	return conf_value_set(c, o, text, why);
}

const char *
conf_destination_kind(const struct conf_destination *d)
{
	return d->by_sender ? "sender" : d->n_hosts > 0 ? "relay" : "destination";
}

/* "someone@example.org" or "@example.org". */
static int
take_sender(char to[ADDRESS_MAX], const char *title, char why[CONF_WHY])
{
	struct address a;

	to[0] = '@';
	if (title[0] == '@' && address_domain(to + 1, title + 1, ADDRESS_UTF8) == 0)
		return 0;
	if (address_parse(&a, title, ADDRESS_UTF8, NULL) != ADDRESS_OK)
		return conf_wrong(why, "%s is not a sender; write an address as in anna@example.org, or @example.org for all of a domain",
		    logq(title));
	memcpy(to, a.text, ADDRESS_MAX);
	return 0;
}

static int
take_domain(char to[ADDRESS_MAX], const char *title, bool relay, char why[CONF_WHY])
{
	if (relay && strcmp(title, "*") == 0)
		memcpy(to, "*", 2);
	else if (address_domain(to, title, ADDRESS_UTF8) != 0)
		return conf_wrong(why, "%s is not a domain; write a name as in example.net%s", logq(title),
		    relay ? ", or '*' for all others" : "; for all others set the option outside");
	return 0;
}

struct conf_destination *
conf_destination_add(struct conf *c, const char *kind, const char *title, char why[CONF_WHY])
{
	bool relay = strcmp(kind, "relay") == 0, by_sender = strcmp(kind, "sender") == 0;
	struct conf_destination *d;
	char name[ADDRESS_MAX];

	if (by_sender ? take_sender(name, title, why) != 0 : take_domain(name, title, relay, why) != 0)
		return NULL;
	for (size_t i = 0; i < c->n_destinations; i++)
		if (strcasecmp(c->destinations[i].domain, name) == 0) {
			d = &c->destinations[i];
			conf_wrong(why, "%s is given twice%s; keep one", logq(name), (d->n_hosts > 0) != (relay || by_sender) ?
			    ", as a relay and as a destination" : "");
			return NULL;
		}
	c->destinations = alloc_resize(c->destinations, c->n_destinations + 1, sizeof(*c->destinations));
	d = &c->destinations[c->n_destinations++];
	*d = (struct conf_destination){ .domain = alloc_text(name), .by_sender = by_sender, .inet = -1 };
	return d;
}

static int
add_host(struct conf_destination *d, const char *text, char why[CONF_WHY])
{
	char name[ADDRESS_DOMAIN_MAX + 1];
	unsigned port;

	if (conf_host(name, &port, text, why) != 0)
		return -1;
	for (size_t i = 0; i < d->n_hosts; i++)
		if (strcmp(d->hosts[i].name, name) == 0 && d->hosts[i].port == port)
			return conf_wrong(why, "%s is given twice; name each once", logq(text));
	if (d->n_hosts == CONF_HOSTS_MAX)
		return conf_wrong(why, "%s is one host too many; name up to %d", logq(text), CONF_HOSTS_MAX);
	d->hosts = alloc_resize(d->hosts, d->n_hosts + 1, sizeof(*d->hosts));
	d->hosts[d->n_hosts++] = (struct conf_host){ alloc_text(name), (uint16_t)port };
	return 0;
}

int
conf_destination_set(struct conf_destination *d, const struct conf_option *o, const char *text, char why[CONF_WHY])
{
	return o->type == CONF_HOSTS ? add_host(d, text, why) : conf_value_set(d, o, text, why);
}
