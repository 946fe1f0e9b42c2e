/*
 * The configuration: the table of its options, reading a file or a descriptor, and the questions asked of it later.
 *
 * Every option stands in the table once, with its type, bounds and default. How text becomes tokens is conf_parse.c's
 * business, how a token becomes a value conf_value.c's, what may not stand together conf_check.c's.
 */
#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "lib/address.h"
#include "lib/alloc.h"
#include "lib/conf_option.h"
#include "lib/log.h"
#include "lib/token.h"

#define SECOND	INT64_C(1000)
#define DAY	(86400 * SECOND)
#define KIB	INT64_C(1024)
#define MIB	(1024 * KIB)
#define GIB	(1024 * MIB)

#define AT(field)	offsetof(struct conf, field)

const struct conf_option conf_options[CONF_OPTIONS] = {
	{ "hostname",		CONF_HOSTNAME,	AT(hostname),		.value = NULL },
	{ "domains",		CONF_DOMAINS,	AT(domains),		.value = NULL },
	{ "listen",		CONF_LISTEN,	AT(listen),		.value = NULL },
	{ "trusted_networks",	CONF_NETWORKS,	AT(trusted),		.value = NULL },
	{ "proxy_networks",	CONF_NETWORKS,	AT(proxies),		.value = NULL },
	{ "xclient_networks",	CONF_NETWORKS,	AT(xclients),		.value = NULL },
	{ "aliases",		CONF_FILE,	AT(aliases),		.value = "/etc/aliases" },
	{ "root_mail",		CONF_MAILBOX,	AT(root_mail),		.value = "" },
	{ "maildir",		CONF_BELOW,	AT(maildir),		.value = "Maildir" },
	{ "virtual_directory",	CONF_FILE,	AT(virtual_directory),	.value = "" },
	{ "virtual_user",	CONF_USER,	AT(virtual_user),	.value = "_minimta_virtual" },
	{ "recipient_delimiter", CONF_DELIMITER, AT(delimiter),		.value = "+" },
	{ "mailbox",		CONF_MBOX,	AT(mailbox),		.value = "maildir" },
	{ "mailbox_size",	CONF_SIZE,	AT(mailbox_size),	0, 1024 * GIB, "0", NULL },
	{ "tag_folders",	CONF_WORD,	AT(tag_folders),	.value = "no", .choices = "no existing create" },
	{ "junk_folder",	CONF_FOLDER,	AT(junk_folder),	.value = "Junk" },
	{ "credentials",	CONF_FILE,	AT(credentials),	.value = "" },
	{ "canonical",		CONF_TEXTS,	AT(canonical),		.value = NULL },
	{ "masquerade",		CONF_DOMAINS,	AT(masquerade),		.value = NULL },
	{ "masquerade_not",	CONF_TEXTS,	AT(masquerade_not),	.value = NULL },
	{ "always_bcc",		CONF_MAILBOX,	AT(always_bcc),		.value = "" },
	{ "relay_domains",	CONF_DOMAINS,	AT(relay_domains),	.value = NULL },
	{ "relay_recipients",	CONF_FILE,	AT(relay_recipients),	.value = "" },
	{ "relay_callback",	CONF_BOOL,	AT(relay_callback),	.value = "no" },
	{ "relay_expire",	CONF_DURATION,	AT(relay_expire_ms),	SECOND, 365 * DAY, "30d", NULL },
	{ "lmtp",		CONF_ENDPOINT,	AT(lmtp),		.value = "" },
	{ "lmtp_domains",	CONF_DOMAINS,	AT(lmtp_domains),	.value = NULL },
	{ "lmtp_users",		CONF_WORD,	AT(lmtp_users),		.value = "known", .choices = "known any" },
	{ "forward_files",	CONF_BOOL,	AT(forward_files),	.value = "yes" },
	{ "command_user",	CONF_USER,	AT(command_user),	.value = "nobody" },
	{ "command_time",	CONF_DURATION,	AT(command_time_ms),	SECOND, 3600 * SECOND, "5m", NULL },
	{ "srs_secrets",	CONF_FILE,	AT(srs_secrets),	.value = "" },
	{ "srs_domain",		CONF_HOSTNAME,	AT(srs_domain),		.value = NULL },
	{ "inet",		CONF_WORD,	AT(inet),		.value = "any", .choices = "any ipv4 ipv6" },
	{ "smtp_port",		CONF_PORT,	AT(smtp_port),		1, 65535, "25", NULL },
	{ "deliver_to_private_mx", CONF_BOOL,	AT(private_mx),		.value = "no" },
	{ "retry_first",	CONF_DURATION,	AT(retry_first_ms),	SECOND, 7 * DAY, "5m", NULL },
	{ "retry_most",		CONF_DURATION,	AT(retry_most_ms),	SECOND, 7 * DAY, "4h", NULL },
	{ "expire",		CONF_DURATION,	AT(expire_ms),		SECOND, 365 * DAY, "5d", NULL },
	{ "retry_schedule",	CONF_DURATIONS,	AT(retry_schedule),	SECOND, 7 * DAY, "", NULL },
	{ "delay_warnings",	CONF_DURATIONS,	AT(delay_warnings),	60 * SECOND, 365 * DAY, "4h, 1d", NULL },
	{ "bounces_per_hour",	CONF_COUNT,	AT(bounces),		0, 1000000, "60", NULL },
	{ "double_bounce_to",	CONF_MAILBOX,	AT(double_bounce_to),	.value = "" },
	{ "delivery_connections", CONF_COUNT,	AT(delivery_connections), 1, 10000, "200", NULL },
	{ "destination_connections", CONF_COUNT, AT(destination_connections), 1, 10000, "10", NULL },
	{ "host_connections",	CONF_COUNT,	AT(host_connections),	1, 10000, "20", NULL },
	{ "callbacks",		CONF_COUNT,	AT(callbacks),		1, 500, "20", NULL },
	{ "message_size",	CONF_SIZE,	AT(message_size),	64 * KIB, 64 * GIB, "50M", NULL },
	{ "header_size",	CONF_SIZE,	AT(header_size),	4 * KIB, 16 * MIB, "256K", NULL },
	{ "recipients",		CONF_COUNT,	AT(recipients),		1, 100000, "1000", NULL },
	{ "errors",		CONF_COUNT,	AT(errors),		1, 100000, "20", NULL },
	{ "connections",	CONF_COUNT,	AT(connections),	1, 100000, "1000", NULL },
	{ "workers",		CONF_COUNT,	AT(workers),		1, 16, "1", NULL },
	{ "command_timeout",	CONF_DURATION,	AT(command_timeout_ms),	SECOND, TOKEN_LIFE_S * SECOND, "5m", NULL },
	{ "data_timeout",	CONF_DURATION,	AT(data_timeout_ms),	SECOND, TOKEN_LIFE_S * SECOND, "3m", NULL },
	/* lookup's tokens live as long, and one must not die before its session. */
	{ "session_timeout",	CONF_DURATION,	AT(session_timeout_ms),	SECOND, TOKEN_LIFE_S * SECOND, "2h", NULL },
	{ "hops",		CONF_COUNT,	AT(hops),		1, 1000, "50", NULL },
	{ "header_field_size",	CONF_SIZE,	AT(header_field_size),	1 * KIB, 16 * MIB, "64K", NULL },
	{ "junk_commands",	CONF_COUNT,	AT(junk_commands),	1, 100000, "100", NULL },
	{ "data_rate",		CONF_SIZE,	AT(data_rate),		0, 1 * GIB, "100", NULL },
	{ "data_rate_after",	CONF_DURATION,	AT(data_rate_after_ms),	SECOND, TOKEN_LIFE_S * SECOND, "60s", NULL },
	{ "session_memory",	CONF_SIZE,	AT(session_memory),	4 * MIB, 1024 * GIB, "256M", NULL },
	{ "network_connections", CONF_COUNT,	AT(network_connections), 0, 100000, "50", NULL },
	{ "network_connection_rate", CONF_COUNT, AT(network_connection_rate), 0, 1000000, "120", NULL },
	{ "network_message_rate", CONF_COUNT,	AT(network_message_rate), 0, 1000000, "300", NULL },
	{ "network_recipient_rate", CONF_COUNT,	AT(network_recipient_rate), 0, 1000000, "2000", NULL },
	{ "filters",		CONF_BOOL,	AT(filters),		.value = "yes" },
	{ "hermes",		CONF_BOOL,	AT(hermes),		.value = "no" },
	{ "defer_score",	CONF_COUNT,	AT(defer_score),	0, 1000, "5", NULL },
	{ "refuse_score",	CONF_COUNT,	AT(refuse_score),	1, 1000, "10", NULL },
	{ "refuse_temporarily",	CONF_BOOL,	AT(refuse_temporarily),	.value = "no" },
	{ "tag_only",		CONF_BOOL,	AT(tag_only),		.value = "no" },
	{ "delay_most",		CONF_DURATION,	AT(delay_most_ms),	0, 300 * SECOND, "60s", NULL },
	{ "dns_servers",	CONF_SERVERS,	AT(dns_servers),	.value = NULL },
	{ "spool",		CONF_PLACE,	AT(spool),		.value = "/var/spool/minimta" },
	{ "state",		CONF_PLACE,	AT(state),		.value = "/var/lib/minimta" },
	{ "control",		CONF_SOCKET,	AT(control),		.value = "/run/minimta/control" },
	{ "empty_directory",	CONF_PLACE,	AT(empty),		.value = "/run/minimta/empty" },
	{ "segment_size",	CONF_SIZE,	AT(segment_size),	MIB, 2 * GIB, "64M", NULL },
	{ "journal_size",	CONF_SIZE,	AT(journal_size),	0, 1024 * GIB, "100M", NULL },
	{ "journal_keep",	CONF_DURATION,	AT(journal_keep_ms),	60 * SECOND, 3650 * DAY, "14d", NULL },
	{ "log_to",		CONF_CHOICE,	AT(log_to),		.value = "", .choices = "stderr syslog" },
	{ "log_level",		CONF_CHOICE,	AT(log_level),		.value = "info",
	    .choices = "error warn info debug" },
};

#undef AT
#define AT(field)	offsetof(struct conf_destination, field)

const struct conf_option conf_destination_options[CONF_DESTINATION_OPTIONS] = {
	{ "host",		CONF_HOSTS,	AT(hosts),		.value = NULL },
	{ "mx",			CONF_BOOL,	AT(mx),			.value = "no" },
	{ "login",		CONF_TEXT,	AT(login),		.value = "" },
	{ "login_without_tls",	CONF_BOOL,	AT(login_without_tls),	.value = "no" },
	{ "inet",		CONF_WORD,	AT(inet),		.choices = "any ipv4 ipv6" },
	{ "connections",	CONF_COUNT,	AT(connections),	1, 10000, NULL, NULL },
	{ "source_ipv4",	CONF_ADDRESS,	AT(source_ipv4),	.value = "", .choices = "ipv4" },
	{ "source_ipv6",	CONF_ADDRESS,	AT(source_ipv6),	.value = "", .choices = "ipv6" },
	{ "helo",		CONF_HOSTNAME,	AT(helo),		.value = NULL },
};

const struct conf_option *
conf_option_find(const char *name)
{
	for (size_t i = 0; i < CONF_OPTIONS; i++)
		if (strcmp(conf_options[i].name, name) == 0)
			return &conf_options[i];
	return NULL;
}

const char *
conf_option_nearest(const char *name)
{
	const char *best = NULL;

	for (size_t i = 0; i < CONF_OPTIONS; i++)
		best = conf_nearer(name, best, conf_options[i].name);
	best = conf_nearer(name, best, "relay");
	best = conf_nearer(name, best, "destination");
	for (size_t i = 0; conf_section_kinds[i] != NULL; i++)
		best = conf_nearer(name, best, conf_section_kinds[i]);
	return best;
}

/* The system's own name with its domain, if that can be found out. */
static void
system_name(char *to, size_t size)
{
	struct addrinfo hints = { .ai_flags = AI_CANONNAME, .ai_socktype = SOCK_STREAM }, *found = NULL;
	size_t len;

	if (gethostname(to, size) != 0)
		snprintf(to, size, "localhost");
	to[size - 1] = '\0';
	if (strchr(to, '.') != NULL || getaddrinfo(to, NULL, &hints, &found) != 0)
		return;
	len = strlen(to);
	/* Only a longer form of the same name: a resolver that leads somewhere else must not rename us. */
	if (found->ai_canonname != NULL && strncasecmp(found->ai_canonname, to, len) == 0 &&
	    found->ai_canonname[len] == '.' && strlen(found->ai_canonname) < size)
		snprintf(to, size, "%s", found->ai_canonname);
	freeaddrinfo(found);
}

/* What is not there is an empty list. */
static void
complete_list(char ***to)
{
	if (*to == NULL)
		*to = alloc_new(1, sizeof(char *));
}

/* What is left open in a section. */
static void
complete_string(char **to, const char *with)
{
	if (*to == NULL)
		*to = alloc_text(with);
}

static void
complete_destinations(struct conf *c)
{
	for (size_t i = 0; i < c->n_destinations; i++) {
		struct conf_destination *d = &c->destinations[i];

		for (size_t h = 0; h < d->n_hosts; h++)
			if (d->hosts[h].port == 0)
				d->hosts[h].port = c->smtp_port;
		if (d->inet < 0)
			d->inet = c->inet;
		if (d->connections == 0)
			d->connections = c->destination_connections;
		complete_string(&d->login, "");
		complete_string(&d->source_ipv4, "");
		complete_string(&d->source_ipv6, "");
		complete_string(&d->helo, c->hostname);
	}
}

/* What the file left open and no constant can say. */
static int
complete(struct conf *c, const char *own_name, char why[CONF_WHY])
{
	static const char *const listen[] = { "127.0.0.1:25", "[::1]:25" };

	if (c->hostname == NULL &&
	    conf_option_set(c, conf_option_find("hostname"), own_name, why) != 0) {
		snprintf(why, CONF_WHY, "the system's name %s is no host name; set hostname", logq(own_name));
		return -1;
	}
	if (c->domains == NULL && conf_option_set(c, conf_option_find("domains"), c->hostname, why) != 0)
		return -1;
	if (c->srs_domain == NULL && conf_option_set(c, conf_option_find("srs_domain"), c->domains[0], why) != 0)
		return -1;
	for (size_t i = 0, none = c->n_listen == 0; none && i < 2; i++)
		if (conf_option_set(c, conf_option_find("listen"), listen[i], why) != 0)
			return -1;
	complete_destinations(c);
	complete_list(&c->lmtp_domains);
	complete_list(&c->relay_domains);
	complete_list(&c->canonical);
	complete_list(&c->masquerade);
	complete_list(&c->masquerade_not);
	if (c->dns_servers == NULL) {
		c->dns_servers = alloc_new(1, sizeof(char *));
	}
	return 0;
}

/* own_name NULL: ask the system when the text has none. */
static struct conf *
parse(const char *text, size_t len, const char *name, const char *own_name, char *err, size_t size)
{
	struct conf *c = alloc_new(1, sizeof(*c));
	const struct conf_option *wrong;
	int lines[CONF_OPTIONS] = { 0 }, line;
	char why[CONF_WHY], found[256];

	c->name = alloc_text(name);
	conf_table_defaults(c, conf_options, CONF_OPTIONS);
	if (conf_parse(c, text, len, name, lines, err, size) != 0)
		goto fail;
	if (own_name == NULL && c->hostname == NULL) {
		system_name(found, sizeof(found));
		own_name = found;
	}
	if (complete(c, own_name, why) != 0) {
		snprintf(err, size, "%s: %s", name, why);
		goto fail;
	}
	if ((wrong = conf_check(c, why)) != NULL) {
		line = lines[wrong - conf_options];
		if (line > 0)
			snprintf(err, size, "%s:%d: %s", name, line, why);
		else
			snprintf(err, size, "%s: %s", name, why);
		goto fail;
	}
	return c;
fail:
	conf_free(c);
	return NULL;
}

/* All of a descriptor as a new string, or NULL with a reason. */
static char *
slurp(int fd, size_t *len_r, const char **why_r)
{
	char *text = alloc_raw(CONF_FILE_MAX + 1);
	size_t len = 0;
	ssize_t n;

	while ((n = read(fd, text + len, CONF_FILE_MAX + 1 - len)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 || (len += (size_t)n) > CONF_FILE_MAX) {
			*why_r = n < 0 ? strerror(errno) : "longer than a megabyte; is it the configuration?";
			free(text);
			return NULL;
		}
	}
	*len_r = len;
	return text;
}

static struct conf *
read_fd(int fd, const char *name, const char *own_name, char *err, size_t size)
{
	const char *why;
	struct conf *c;
	size_t len;
	char *text = slurp(fd, &len, &why);

	if (text == NULL) {
		snprintf(err, size, "%s: %s", name, why);
		return NULL;
	}
	c = parse(text, len, name, own_name, err, size);
	free(text);
	return c;
}

struct conf *
conf_read(const char *path, char *err, size_t size)
{
	struct conf *c = NULL;
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0 || fstat(fd, &st) != 0)
		snprintf(err, size, "%s: %s; write the configuration there, or name another file with -c", path,
		    strerror(errno));
	else if (S_ISDIR(st.st_mode))
		snprintf(err, size, "%s: this is a directory; name a file", path);
	else if (geteuid() == 0 && (st.st_mode & S_IWOTH) != 0)
		snprintf(err, size, "%s: everybody may write to it; chmod o-w %s", path, path);
	else
		c = read_fd(fd, path, NULL, err, size);
	if (fd >= 0)
		close(fd);
	return c;
}

struct conf *
conf_parse_fd(int fd, char *err, size_t size)
{
	if (lseek(fd, 0, SEEK_SET) != 0) {
		snprintf(err, size, "configuration: %s", strerror(errno));
		return NULL;
	}
	return read_fd(fd, "configuration", "localhost", err, size);
}

struct conf *
conf_parse_text(const char *text, size_t len, const char *name, char *err, size_t size)
{
	return parse(text, len, name, "localhost", err, size);
}

void
conf_free(struct conf *c)
{
	if (c == NULL)
		return;
	conf_table_free(c, conf_options, CONF_OPTIONS);
	for (size_t i = 0; i < c->n_sections; i++)
		conf_section_free(&c->sections[i]);
	free(c->sections);
	free(c->name);
	for (size_t i = 0; i < c->n_destinations; i++) {
		for (size_t o = 0; o < CONF_DESTINATION_OPTIONS; o++)
			if (conf_destination_options[o].type <= CONF_CHOICE)
				free(*(char **)((char *)&c->destinations[i] + conf_destination_options[o].offset));
		free(c->destinations[i].domain);
		for (size_t h = 0; h < c->destinations[i].n_hosts; h++)
			free(c->destinations[i].hosts[h].name);
		free(c->destinations[i].hosts);
	}
	free(c->destinations);
	free(c);
}

bool
conf_is_local(const struct conf *c, const char *domain)
{
	for (size_t i = 0; c->domains[i] != NULL; i++)
		if (strcasecmp(c->domains[i], domain) == 0)
			return true;
	return strcasecmp(c->hostname, domain) == 0;
}

bool
conf_is_lmtp(const struct conf *c, const char *domain)
{
	if (c->lmtp[0] == '\0' || !conf_is_local(c, domain))
		return false;
	for (size_t i = 0; c->lmtp_domains[i] != NULL; i++)
		if (strcasecmp(c->lmtp_domains[i], domain) == 0)
			return true;
	return c->lmtp_domains[0] == NULL;
}

const char *
conf_origin(const struct conf *c)
{
	return c->domains[0] != NULL ? c->domains[0] : c->hostname;
}

static bool
same_network(const struct conf_network *n, int family, const uint8_t *address)
{
	unsigned whole = n->prefix / 8, rest = n->prefix % 8;
	uint8_t mask = (uint8_t)(0xff00U >> rest);

	return n->family == family && memcmp(n->address, address, whole) == 0 &&
	    (rest == 0 || ((n->address[whole] ^ address[whole]) & mask) == 0);
}

bool
conf_networks_have(const struct conf_networks *networks, const struct sockaddr *sa)
{
	const uint8_t *address;
	int family = sa->sa_family;

	if (family == AF_INET) {
		address = (const uint8_t *)&((const struct sockaddr_in *)(const void *)sa)->sin_addr;
	} else if (family == AF_INET6) {
		const struct in6_addr *a = &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr;

		address = a->s6_addr;
		if (IN6_IS_ADDR_V4MAPPED(a)) {
			family = AF_INET;
			address += 12;
		}
	} else {
		return false;
	}
	for (size_t i = 0; i < networks->n; i++)
		if (same_network(&networks->list[i], family, address))
			return true;
	return false;
}

bool
conf_is_trusted(const struct conf *c, const struct sockaddr *sa)
{
	return conf_networks_have(&c->trusted, sa);
}

const struct conf_destination *
conf_destination_for(const struct conf *c, const char *domain)
{
	return conf_route_for(c, "", domain);
}

const struct conf_destination *
conf_route_for(const struct conf *c, const char *sender, const char *domain)
{
	const struct conf_destination *all = NULL, *from = NULL, *d;
	const char *at = strrchr(sender, '@');

	for (size_t i = 0; i < c->n_destinations; i++) {
		d = &c->destinations[i];
		if (!d->by_sender && strcasecmp(d->domain, domain) == 0)
			return d;
		if (!d->by_sender && strcmp(d->domain, "*") == 0)
			all = d;
		if (d->by_sender && at != NULL && (strcasecmp(d->domain, sender) == 0 ||
		    (strcasecmp(d->domain, at) == 0 && from == NULL)))
			from = d;
	}
	return from != NULL ? from : all;
}

bool
conf_destination_is_own(const struct conf *c, const struct conf_destination *d)
{
	return d->login[0] != '\0' || d->source_ipv4[0] != '\0' || d->source_ipv6[0] != '\0' || strcmp(d->helo, c->hostname) != 0;
}
