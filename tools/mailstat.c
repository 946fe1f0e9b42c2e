/*
 * mailstat: what mail came, went, was refused, deferred and bounced, from the counters of a running server. Asks, and shows
 * the answer; what was counted is logger's business.
 */
#include <getopt.h>
#include <locale.h>
#include <stdlib.h>
#include <sysexits.h>

#include "lib/log.h"
#include "tools/call.h"
#include "tools/stats.h"
#include "tools/streams.h"

#define DAYS	7

static void
print_help(FILE *to)
{
	fputs("usage: mailstat [-hj] [-c file] [-d days] [--html]\n\n"
	    "What mail came, went, was refused, put off, deferred and bounced: by hour and day, by filter, domain and reason.\n\n"
	    "  -c, --config file   the configuration that names the control socket\n"
	    "  -d, --days days     how many days are added up, today included: 1 to 31; 7 without it\n"
	    "  -j, --json          as JSON\n"
	    "      --html          as one page of HTML with charts: mailstat --html > mail.html\n"
	    "  -h, --help          this\n", to);
}

static int
wrong(const char *why)
{
	fprintf(stderr, "mailstat: %s; mailstat -h explains the options\n", why);
	return EX_USAGE;
}

static int
ask(const char *config, unsigned days, void (*print)(const struct stats *, FILE *))
{
	static const char *const words[] = { "stats", NULL };
	char path[CALL_PATH_SIZE], why[2048] = "the answer is cut short";
	struct stats stats;
	int code = call_path(path, config, why, sizeof(why));
	FILE *f = code == 0 ? call_command(path, words, &code, why, sizeof(why)) : NULL;

	if (f != NULL) {
		code = stats_read(&stats, f, days) == 0 ? 0 : EX_TEMPFAIL;
		if (code == 0)
			print(&stats, stdout);
		stats_free(&stats);
		fclose(f);
	}
	if (code != 0)
		fprintf(stderr, "mailstat: %s\n", why);
	return code;
}

static int
obey(int argc, char **argv)
{
	static const struct option longs[] = { { "config", required_argument, NULL, 'c' }, { "days", required_argument, NULL, 'd' },
	    { "json", no_argument, NULL, 'j' }, { "html", no_argument, NULL, 'H' }, { "help", no_argument, NULL, 'h' }, { 0 } };
	void (*print)(const struct stats *, FILE *) = stats_print;
	unsigned long days = DAYS;
	const char *config = NULL;
	char *end;
	int letter;

	setlocale(LC_CTYPE, "");
	while ((letter = getopt_long(argc, argv, "c:d:hj", longs, NULL)) != -1)
		switch (letter) {
		case 'c':
			config = optarg;
			break;
		case 'd':
			days = strtoul(optarg, &end, 10);
			if (*end != '\0' || end == optarg || days < 1 || days > STATS_DAYS_MAX)
				return wrong("days: expected a number from 1 to 31");
			break;
		case 'j':
			print = stats_print_json;
			break;
		case 'H':
			print = stats_print_html;
			break;
		case 'h':
			print_help(stdout);
			return 0;
		default:
			print_help(stderr);
			return EX_USAGE;
		}
	if (optind < argc)
		return wrong("it takes options only");
	return ask(config, (unsigned)days, print);
}

int
main(int argc, char **argv)
{
	if (streams_begin() != 0)
		return EX_OSERR;
	log_init("mailstat");
	return streams_end("mailstat", obey(argc, argv));
}
