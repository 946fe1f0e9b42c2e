/*
 * `minimtactl check NAME …` and `minimtactl sign NAME …`: what all of them share. One table in check.c names them; each is a
 * function in a file of its own (tools/check_NAME.c), which reads its options, runs its filter and says what came out.
 *
 *	int
 *	check_spf(int argc, char **argv)		argv[0] is "spf"
 *	{
 *		static const struct option own[] = { { "ip", required_argument, NULL, 'i' }, { 0 } };
 *		struct check check;
 *		int letter;
 *
 *		check_begin(&check, argc, argv, own);
 *		while ((letter = check_option(&check)) != -1)
 *			if (letter == 'i') …			optarg is its argument
 *			else return check_end(&check, letter);	wrong, and said so
 *		if (check_dns(&check) != 0)
 *			return check_end(&check, EX_TEMPFAIL);
 *		spf_start(check.dns, …, done, …);
 *		check_wait(&check, &finished);			runs the loop until a callback has set it
 *		check_result(&check, "pass", "203.0.113.4 is in ip4:203.0.113.0/24");
 *		check_more(&check, "explanation", text);
 *		return check_end(&check, 0);
 *	}
 *
 * Exit: 0 the check ran, whatever it found; EX_USAGE (64); EX_TEMPFAIL (75) it could not run.
 */
#ifndef TOOLS_CHECK_H
#define TOOLS_CHECK_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

struct dns;
struct event_base;
struct json_object;
struct sockaddr_storage;

#define CHECK_OPTIONS_MAX	24
#define CHECK_HELP		(-2)	/* from check_option(): as good as an exit code of 0 */

struct check {
	const char	*name;
	bool		 json;			/* --json, -j */
	time_t		 now;			/* --now; else the clock's */
	struct event_base *base;		/* from check_dns() on */
	struct dns	*dns;			/* asks what --dns named and nothing else; else what resolv.conf names */
	char	 *const	*args;			/* what is left after the options, from when check_option() has returned -1 */
	int		 n_args;
	bool		 list;			/* set before the first result: there can be several, and JSON is an array */
	/* check.c's own */
	char		 dns_server[80];
	int		 argc;
	char		**argv;
	struct option	 options[CHECK_OPTIONS_MAX + 1];
	struct json_object *results;
};

void	 check_begin(struct check *, int argc, char **argv, const struct option *own);
/* The next option of one's own (its val); -1 at their end; EX_USAGE when there was something wrong, which has been said, or
 * CHECK_HELP when help was asked for and given: both go to check_end(). The vals of one's own are letters. */
int	 check_option(struct check *);
/* A sentence to standard error about what is wrong with the words, and the usage. Returns EX_USAGE for check_end(). */
int	 check_usage(struct check *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Likewise about what keeps the check from running. Returns EX_TEMPFAIL. */
int	 check_unable(struct check *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* --ip: a client's address. 0, or EX_USAGE after saying what was expected. */
int	 check_ip(struct check *, const char *text, struct sockaddr_storage *to);
/* A number in decimal digits from least to most. 0 or -1. */
int	 check_number(const char *text, uint64_t least, uint64_t most, uint64_t *value_r);

/* Makes base and dns. 0, or -1 after saying why not. */
int	 check_dns(struct check *);
void	 check_wait(struct check *, const bool *finished);
/* All of standard input as it is, at most `most` bytes; malloced. NULL after saying why not. */
char	*check_input(struct check *, size_t most, size_t *len_r);
/* A copy with line ends made CRLF, and a NUL behind it; malloced. */
char	*check_crlf(const char *raw, size_t len, size_t *len_r);
/* All of standard input with line ends made CRLF, at most `most` bytes; malloced. NULL after saying why not. */
char	*check_message(struct check *, size_t most, size_t *len_r);

/* A line "RESULT TEXT", then lines "KEY: VALUE"; as JSON { "result": …, "text": …, "KEY": … }. What a stranger gave is made
 * safe here: what is not printable ASCII or UTF-8 is escaped. text may be "". */
void	 check_result(struct check *, const char *result, const char *text);
void	 check_more(struct check *, const char *key, const char *value);
/* Frees everything; returns the exit code. */
int	 check_end(struct check *, int code);

/* For minimtactl: argv[0] is "check" or "sign". json: asked for before that. */
int	 check_main(int argc, char **argv, bool json);
/* The lines of them all for its help. */
void	 check_list(FILE *to);

/* ---- the checks, by name ---- */

int	 check_address(int argc, char **argv);
int	 check_arc(int argc, char **argv);
int	 check_dkim(int argc, char **argv);
int	 check_dmarc(int argc, char **argv);
int	 check_dnsbl(int argc, char **argv);
int	 check_iprev(int argc, char **argv);
int	 check_greylist(int argc, char **argv);
int	 check_mail(int argc, char **argv);
int	 check_sender(int argc, char **argv);
int	 check_spf(int argc, char **argv);
int	 check_srs(int argc, char **argv);
int	 sign_arc(int argc, char **argv);
int	 sign_dkim(int argc, char **argv);

#endif
