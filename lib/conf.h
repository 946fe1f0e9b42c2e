/*
 * minimta.conf: read, checked, printed back. Every option is documented in minimta.conf(5); the table in conf.c is the
 * one place that knows names, types, defaults and bounds. Errors name file and line and say what would be right.
 *
 * A child gets the same as text in a sealed memfd, in the form that conf_print() makes, and reads it with
 * conf_parse_fd(). All strings belong to the conf. Lists end with NULL. Durations are in milliseconds, sizes in bytes.
 */
#ifndef LIB_CONF_H
#define LIB_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>

struct conf_network {			/* an address with a prefix length: 192.0.2.0/24, 2001:db8::/32 */
	int	family;			/* AF_INET, AF_INET6 */
	uint8_t	address[16];
	unsigned prefix;
};

struct conf_networks {
	struct conf_network *list;
	size_t	n;
};

struct conf_listen {
	struct sockaddr_storage	address;
	socklen_t		length;
	char			name[80];	/* "127.0.0.1:2525", "[::1]:25" */
};

enum conf_lmtp_users {			/* in the order of the words in the table */
	CONF_LMTP_KNOWN,		/* who has a mailbox by the password file or virtual_directory */
	CONF_LMTP_ANY,			/* everybody: the LMTP server knows */
};

enum conf_tag_folders {			/* in the order of the words in the table */
	CONF_TAGS_NO,
	CONF_TAGS_EXISTING,		/* user+tag goes to the folder tag where there is one */
	CONF_TAGS_CREATE,
};

enum conf_inet {			/* in the order of the words in the table */
	CONF_INET_ANY,
	CONF_INET_IPV4,
	CONF_INET_IPV6,
};

struct conf_host {
	char	*name;			/* or an address, without brackets */
	uint16_t port;			/* default smtp_port */
};

#define CONF_HOSTS_MAX	8		/* of one relay */

/*
 * relay "example.net" { host = … }: with hosts. destination "example.net" { inet = … }: none, its mail goes by MX.
 * sender "@example.org" { host = … }: a relay for mail from there, whatever its destination.
 */
struct conf_destination {
	char	*domain;		/* lower case A-labels; "*" for all that no other one names; of a sender: what it is from */
	bool	 by_sender;		/* the domain is "someone@example.org" or "@example.org" */
	struct conf_host *hosts;	size_t n_hosts;		/* in the order to try them */
	bool	 mx;			/* the hosts' own MX records are asked for */
	char	*login;			/* the entry in `credentials` to log in with; "": none */
	bool	 login_without_tls;	/* though the password can be read on the way */
	int	 inet;			/* enum conf_inet; default: the option of that name */
	uint32_t connections;		/* default: destination_connections */
	char	*source_ipv4, *source_ipv6;	/* addresses of ours to connect from; "": any */
	char	*helo;			/* default: hostname */
};

/*
 * filter "spf" { … }, exempt, refuse and client_domains "TITLE" { … }: kept as they are; filters/config.c says what they mean.
 */
struct conf_entry {
	char	*name;
	char	**values;		size_t n;	/* at least one */
	int	 line;
};

struct conf_section {
	char	*kind, *title;
	int	 line;
	struct conf_entry *entries;	size_t n;
};

struct conf {
	char	 *name;			/* of the file, for errors */
	/* who we are */
	char	 *hostname;		/* default: the system's name, completed */
	char	**domains;		/* local domains, lower case A-labels; default: the hostname */
	struct conf_listen *listen;	size_t n_listen;	/* default 127.0.0.1:25 and [::1]:25 */
	struct conf_networks trusted;	/* may relay; default none */
	struct conf_networks proxies;	/* begin with a PROXY header that says who the client is; default none */
	struct conf_networks xclients;	/* may say who the client is by XCLIENT; default none */

	/* mailboxes */
	char	 *aliases;		/* file, aliases(5); default /etc/aliases; "" none */
	char	 *root_mail;		/* address or local name that gets root's mail; "" : Maildir under state */
	char	 *maildir;		/* in a system user's home; default "Maildir" */
	char	 *virtual_directory;	/* DOMAIN/USER below it are mailboxes; "" none */
	char	 *virtual_user;		/* owns them; default _minimta_virtual */
	char	 *delimiter;		/* user+tag; default "+"; "" none */
	char	 *mailbox;		/* of system users: "maildir", or an mbox: "/var/mail/%u", "~/mbox" */
	uint64_t  mailbox_size;		/* bytes that a mailbox may hold; 0 any, the default */
	int	  tag_folders;		/* enum conf_tag_folders; no */
	char	 *lmtp;			/* path of a socket, or "host:port": who gets local mail; "" : mda */
	char	**lmtp_domains;		/* whose; default: all local ones */
	int	  lmtp_users;		/* enum conf_lmtp_users */
	bool	  forward_files;	/* ~/.forward is looked at; yes */
	char	 *command_user;		/* runs the commands and writes the files of aliases; default nobody */
	int64_t	  command_time_ms;	/* that a command may take; default 5m */
	char	 *srs_secrets;		/* file with a line or two; "": senders are not rewritten */
	char	 *srs_domain;		/* ours, in rewritten senders; default: the first of domains */
	char	 *junk_folder;		/* of a Maildir, for mail taken for spam; default "Junk"; "" none */

	/* going out */
	struct conf_destination *destinations;	size_t n_destinations;
	char	 *credentials;		/* file with logins for relays; "" none */
	char	**canonical;		/* "from=to": what stands for senders of ours; default none */
	char	**masquerade;		/* domains below which senders lose their host's name; default none */
	char	**masquerade_not;	/* local parts that keep it; default none */
	char	 *always_bcc;		/* address or local name that gets a copy of all mail; "" none */
	char	**relay_domains;	/* not ours; their mail is taken and sent on; default none */
	char	 *relay_recipients;	/* file of those who are known there; "": all */
	bool	  relay_callback;	/* others are asked for there */
	int64_t	  relay_expire_ms;	/* how long that mail is tried, if longer than others; 30d */
	int	  inet;			/* enum conf_inet: which addresses to connect to; any */
	uint16_t  smtp_port;		/* of MX hosts; 25 */
	bool	  private_mx;		/* deliver to loopback and private addresses found by MX; default false */
	int64_t	  retry_first_ms;	/* default 5m; grows by half each time */
	int64_t	  retry_most_ms;	/* default 4h */
	int64_t	  expire_ms;		/* default 5d */
	char	 *retry_schedule;	/* intervals instead of those two, the last one again and again; default "" */
	char	 *delay_warnings;	/* after which times a sender hears that mail waits; default "4h, 1d" */
	uint32_t  bounces;		/* reports an hour that strangers' mail may cause to one address; 60; 0: any */
	char	 *double_bounce_to;	/* who gets bounces that come back; default "": nobody */
	uint32_t  delivery_connections;	/* in all; 200 */
	uint32_t  destination_connections; /* per next hop; 10 */
	uint32_t  host_connections;	/* per address, whoever's mail it is; 20 */
	uint32_t  callbacks;		/* that ask other servers about addresses, at a time; 20 */

	/* limits of an SMTP session */
	uint64_t  message_size;		/* default 50M */
	uint64_t  header_size;		/* default 256K */
	uint32_t  recipients;		/* per message; default 1000 */
	uint32_t  errors;		/* per session, then 421; default 20 */
	uint32_t  connections;		/* in all; default 1000 */
	uint32_t  workers;		/* smtpd processes; default 1 */
	int64_t	  command_timeout_ms;	/* default 5m */
	int64_t	  data_timeout_ms;	/* a body without a byte; default 3m */
	int64_t	  session_timeout_ms;	/* default 2h */
	uint32_t  hops;			/* Received fields; default 50 */
	uint64_t  header_field_size;	/* one field with its folded lines; default 64K */
	uint32_t  junk_commands;	/* commands without mail, then 421; default 100 */
	uint64_t  data_rate;		/* bytes a second that a body must bring on average; 0: any; default 100 */
	int64_t	  data_rate_after_ms;	/* from when it counts; default 60s */
	uint64_t  session_memory;	/* that all sessions together may hold; default 256M */

	/* limits of a client's network (/24, /64) outside trusted; 0: none */
	uint32_t  network_connections;	/* at a time; default 50 */
	uint32_t  network_connection_rate, network_message_rate, network_recipient_rate;
					/* a minute; default 120, 300, 2000 */

	/* what filters do; filters/config.c */
	bool	  filters;		/* whether there are any; default true */
	bool	  hermes;		/* Hermes' own set of them is the default */
	uint32_t  defer_score, refuse_score;	/* 5, 10 */
	bool	  refuse_temporarily;	/* 4xx in place of 5xx */
	bool	  tag_only;		/* refuses nothing, only marks */
	int64_t	  delay_most_ms;	/* of a session, in all; 60s */
	struct conf_section *sections;	size_t n_sections;

	/* DNS */
	char	**dns_servers;		/* "address:port"; default: resolv.conf */

	/* places */
	char	 *spool;		/* /var/spool/minimta */
	char	 *state;		/* /var/lib/minimta */
	char	 *control;		/* /run/minimta/control */
	char	 *empty;		/* /run/minimta/empty: chroot of those that own nothing */
	uint64_t  segment_size;		/* of the queue's log; default 64M, least 1M */
	uint64_t  journal_size;		/* of the journal of decisions, all together; 0: none; default 100M */
	int64_t	  journal_keep_ms;	/* default 14d */
	char	 *log_to;		/* "stderr", "syslog"; default: stderr in the foreground, else syslog */
	char	 *log_level;		/* error, warn, info, debug; default info */
};

/* The file, or -1 with "file:line: what is wrong; what would be right" in err. Frees nothing on success but what it must. */
struct conf	*conf_read(const char *path, char *err, size_t size);
struct conf	*conf_parse_fd(int fd, char *err, size_t size);		/* from conf_print; rewinds first */
/* The same from memory; asks nothing of the system: without a hostname it is "localhost". */
struct conf	*conf_parse_text(const char *text, size_t len, const char *name, char *err, size_t size);
void		 conf_free(struct conf *);
/* Every option with its value, quoted so that it parses to the same whatever characters it holds. */
void		 conf_print(const struct conf *, FILE *);

/* Whether mail for a domain ends here: the hostname always, and what `domains` names. Any case; A-labels. */
bool		 conf_is_local(const struct conf *, const char *domain);
/* Whether the mailboxes of a local domain are reached by LMTP. */
bool		 conf_is_lmtp(const struct conf *, const char *domain);
/* What completes a name without a domain: the first of domains. */
const char	*conf_origin(const struct conf *);
/* Whether an address is in trusted_networks; v4-mapped IPv6 counts as IPv4. */
bool		 conf_is_trusted(const struct conf *, const struct sockaddr *);
bool		 conf_networks_have(const struct conf_networks *, const struct sockaddr *);
/* The section that a domain's mail follows (most specific: exact, then "*"), or NULL: by MX, and as for all. */
const struct conf_destination *conf_destination_for(const struct conf *, const char *domain);
/* The same for mail from a sender ("" null): exact domain, sender, "@domain" of the sender, "*". */
const struct conf_destination *conf_route_for(const struct conf *, const char *sender, const char *domain);
/* Whether connections for it differ from those for others to the same host: by login, source address or HELO name. */
bool		 conf_destination_is_own(const struct conf *, const struct conf_destination *);

/* "5m, 30m 2h": what CONF_DURATIONS holds, up to `most` of them. How many, or -1. */
#define CONF_DURATIONS_MAX	16
int		 conf_durations(const char *, int64_t ms_r[], size_t most);
/* "5m", "1h30m", "2d", "90s", "250ms"; "10K", "50M", "2G". 0, or -1. A bare number is seconds, or bytes. */
int		 conf_duration(const char *, int64_t *ms_r);
int		 conf_size(const char *, uint64_t *bytes_r);

#endif
