/*
 * Every SMTP command. Decides what a line is, whether it may come now, and what is said to it; recipients are left to
 * recipient.c, messages to transaction.c and content.c. Called by stream.c with what was read. Errors are written for a
 * person with telnet: they say what was expected.
 */
#include "smtpd/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/address.h"
#include "lib/alloc.h"
#include "smtpd/client.h"
#include "smtpd/content.h"
#include "smtpd/crowd.h"
#include "smtpd/guard.h"
#include "smtpd/network.h"
#include "smtpd/pace.h"
#include "smtpd/pretend.h"
#include "smtpd/recipient.h"
#include "smtpd/session.h"
#include "smtpd/smtpd.h"
#include "smtpd/stream.h"
#include "smtpd/trace.h"
#include "smtpd/transaction.h"

static void	command_bdat(struct session *, const char *);
static void	command_data(struct session *, const char *);
static void	command_ehlo(struct session *, const char *);
static void	command_expn(struct session *, const char *);
static void	command_helo(struct session *, const char *);
static void	command_help(struct session *, const char *);
static void	command_mail(struct session *, const char *);
static void	command_noop(struct session *, const char *);
static void	command_quit(struct session *, const char *);
static void	command_rcpt(struct session *, const char *);
static void	command_rset(struct session *, const char *);
static void	command_vrfy(struct session *, const char *);
static void	command_xclient(struct session *, const char *);
static void	not_offered(struct session *, const char *);

#define ANY	SESSION_ANY
#define HIDDEN(verb)	{ verb, ANY, COMMAND_HIDDEN, not_offered, NULL, NULL }

static const struct command commands[] = {
	{ "EHLO", ANY, COMMAND_LAST | COMMAND_JUNK, command_ehlo, "EHLO your.host.name",
	    "Says who you are, and asks what this server can do. Comes first." },
	{ "HELO", ANY, COMMAND_LAST | COMMAND_JUNK, command_helo, "HELO your.host.name",
	    "Says who you are, for clients that know no extensions." },
	{ "MAIL", SESSION_READY, 0, command_mail, "MAIL FROM:<you@example.org>",
	    "Begins a message and names its sender; <> is a sender that gets no bounces.\n"
	    "After it may follow SIZE=bytes, BODY=7BIT or BODY=8BITMIME, SMTPUTF8, RET=FULL or\n"
	    "RET=HDRS, ENVID=id." },
	{ "RCPT", SESSION_MAIL | SESSION_RCPT, 0, command_rcpt, "RCPT TO:<somebody@example.com>",
	    "Names a recipient; once for each.\n"
	    "After it may follow NOTIFY=NEVER or of SUCCESS,FAILURE,DELAY, ORCPT=rfc822;address." },
	{ "DATA", SESSION_RCPT, COMMAND_LAST | COMMAND_BARE, command_data, "DATA",
	    "Then wait for 354 and send header, empty line and text. A line with only a dot ends it;\n"
	    "a line that begins with a dot gets one more in front." },
	{ "BDAT", ANY, 0, command_bdat, "BDAT bytes [LAST]",
	    "Sends the message in counted chunks, each right behind its BDAT line; the final one says LAST." },
	{ "RSET", ANY, COMMAND_JUNK | COMMAND_BARE, command_rset, "RSET",
	    "Forgets the message under way." },
	{ "NOOP", ANY, COMMAND_JUNK, command_noop, "NOOP",
	    "Does nothing." },
	{ "VRFY", ANY, COMMAND_JUNK, command_vrfy, "VRFY name",
	    "Is there somebody of that name? This server does not tell; RCPT does, for a message." },
	{ "EXPN", ANY, COMMAND_JUNK, command_expn, "EXPN list",
	    "Who is on that list? This server does not tell." },
	{ "HELP", ANY, COMMAND_JUNK, command_help, "HELP [command]",
	    "Explains a command, or lists them all." },
	{ "QUIT", ANY, COMMAND_BARE, command_quit, "QUIT",
	    "Ends the session." },
	HIDDEN("AUTH"), HIDDEN("STARTTLS"), HIDDEN("ETRN"), HIDDEN("TURN"), HIDDEN("SEND"), HIDDEN("SOML"),
	HIDDEN("SAML"), { "XCLIENT", ANY, COMMAND_LAST | COMMAND_HIDDEN, command_xclient, NULL, NULL },
	HIDDEN("XFORWARD"), HIDDEN("PROXY"), HIDDEN("BURL"),
};

#define N_COMMANDS	(sizeof(commands) / sizeof(commands[0]))

/* ---- lines ---- */

const struct command *
commands_find(const char *line, const char **argument_r)
{
	size_t len = strcspn(line, " ");

	*argument_r = line + len + strspn(line + len, " ");
	for (size_t i = 0; i < N_COMMANDS; i++)
		if (strlen(commands[i].verb) == len && strncasecmp(commands[i].verb, line, len) == 0)
			return &commands[i];
	return NULL;
}

bool
commands_is_http(const char *line)
{
	static const char *const words[] = { "GET", "POST", "PUT", "HEAD", "OPTIONS", "CONNECT", "PRI", "Host:" };
	size_t len = strcspn(line, " ");

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strlen(words[i]) == len && strncasecmp(words[i], line, len) == 0)
			return true;
	return false;
}

/* What to do instead, when a command comes in a state that it is not for. */
static void
not_now(struct session *s, const struct command *c)
{
	if (s->state == SESSION_START)
		session_reply(s, 503, "5.5.1", "First say who you are: EHLO your.host.name");
	else if (s->state == SESSION_CHUNKS)
		session_reply(s, 503, "5.5.1", "A message is being sent by BDAT; go on with BDAT, or RSET");
	else if (c->run == command_mail)
		session_reply(s, 503, "5.5.1", "There is a sender already; RSET forgets it");
	else if (s->state == SESSION_READY)
		session_reply(s, 503, "5.5.1", "First name the sender: MAIL FROM:<you@example.org>");
	else
		session_reply(s, 503, "5.5.1", "First name a recipient that is taken: RCPT TO:<somebody@example.com>");
}

/* A reply that the client did not wait for, where it had to. (BDAT's chunk is meant to follow at once.) */
static bool
spoke_too_soon(struct session *s, const struct command *c)
{
	if (s->local || s->pretend != NULL)	/* sendmail -bs < file: nobody stands between us */
		return false;
	if (c != NULL && (c->run == command_quit || c->run == command_bdat))
		return false;
	if (c != NULL && (c->flags & COMMAND_LAST) != 0)
		return stream_sent_ahead(s);
	if (!s->esmtp)
		return stream_sent_ahead(s);
	return !pace_may_pipeline(s) && stream_sent_ahead(s) && !pace_tolerates_ahead(s);
}

/* The first EHLO is none. */
static bool
is_junk(const struct session *s, const struct command *c)
{
	return c != NULL && (c->flags & COMMAND_JUNK) != 0 && (s->helo != NULL || (c->flags & COMMAND_LAST) == 0);
}

static bool
too_much_junk(struct session *s)
{
	if (s->junk <= crowd_count(s, s->srv->process.conf->junk_commands))
		return false;
	session_end(s, "junk", 421, "4.7.0", "So many commands and no mail; goodbye");
	return true;
}

static void
run(struct session *s, const struct command *c, const char *argument)
{
	if (spoke_too_soon(s, c)) {
		s->srv->total_ahead++;
		session_end(s, "pipelining", pace_may_pipeline(s) ? 503 : 554, "5.5.0", "You sent more without waiting for the reply to %s",
		    c != NULL ? c->verb : "your command");
		return;
	}
	s->junk += is_junk(s, c);
	if (too_much_junk(s))
		return;
	if (c == NULL)
		session_reply(s, 500, "5.5.2", "No such command; HELP lists those there are");
	else if ((c->states & s->state) == 0)
		not_now(s, c);
	else if ((c->flags & COMMAND_BARE) != 0 && *argument != '\0')
		session_reply(s, 501, "5.5.4", "Syntax: %s", c->syntax);
	else
		c->run(s, argument);
}

static bool
has_control(const char *line)
{
	for (; *line != '\0'; line++)
		if ((unsigned char)*line < ' ' || *line == 0x7f)
			return true;
	return false;
}

/* One whole line, without its CRLF. */
static void
take_line(struct session *s, char *line)
{
	const struct command *c;
	const char *argument;
	size_t len = strlen(line);

	while (len > 0 && line[len - 1] == ' ')
		line[--len] = '\0';
	s->commands++;
	s->line = line;
	if (commands_is_http(line))
		session_end(s, "http", 554, "5.5.0", "This is SMTP, not HTTP");
	else if (has_control(line))
		session_reply(s, 500, "5.5.2", "No command has a control character in it");
	else {
		c = commands_find(line, &argument);
		run(s, c, argument);
	}
	s->line = NULL;
}

static void
refuse_line(struct session *s, const char *why)
{
	s->commands++;
	session_await_command(s);
	session_reply(s, 500, "5.5.2", "%s", why);
}

/* What is left of a line that is too long: constant memory, however long it is. */
static size_t
skip_line(struct session *s, const uint8_t *data, size_t len)
{
	const uint8_t *end = memmem(data, len, "\r\n", 2);

	if (end == NULL)
		return len - (data[len - 1] == '\r');
	refuse_line(s, "The line is too long");
	return (size_t)(end - data) + 2;
}

size_t
commands_take(struct session *s, uint8_t *data, size_t len)
{
	bool bad = false;
	size_t n;

	if (s->input == INPUT_TOO_LONG)
		return skip_line(s, data, len);
	if (s->commands == 0 && data[0] == 0x16) {	/* a TLS record: a handshake */
		session_end(s, "tls", 554, "5.5.0", "This is SMTP without TLS");
		return len;
	}
	n = wire_command(data, len, &bad);
	if (n == 0 && len < COMMANDS_LINE_MAX)
		return 0;
	if (n == 0) {
		s->input = INPUT_TOO_LONG;
		return skip_line(s, data, len);
	}
	s->ahead = len - n;
	if (n > COMMANDS_LINE_MAX)
		refuse_line(s, "The line is too long");
	else if (bad)
		refuse_line(s, "Lines end with CR LF, and neither stands by itself; there is no NUL");
	else {
		data[n - 2] = '\0';
		session_await_command(s);
		take_line(s, (char *)data);
	}
	return n;
}

/* ---- greetings ---- */

static bool
hello(struct session *s, const char *argument, bool esmtp)
{
	if (!trace_helo_ok(argument)) {
		session_reply(s, 501, "5.5.4", "Syntax: %s your.host.name", esmtp ? "EHLO" : "HELO");
		return false;
	}
	transaction_free(s);
	free(s->helo);
	s->helo = alloc_text(argument);
	s->esmtp = esmtp;
	s->state = SESSION_READY;
	if (s->guard != NULL)
		guard_helo(s);
	return true;
}

static void
command_ehlo(struct session *s, const char *argument)
{
	const struct conf *conf = s->srv->process.conf;
	char own[ADDRESS_DOMAIN_MAX + 64] = "";
	bool ahead = pace_may_pipeline(s);

	/* A local program is also told which domain completes a bare name: sendmail(8) writes it into From. */
	if (s->local)
		snprintf(own, sizeof(own), "XORIGIN %s\nXLATER\n", conf_origin(conf));
	else if (s->may_xclient)
		snprintf(own, sizeof(own), "XCLIENT NAME ADDR PORT PROTO HELO\n");
	if (hello(s, argument, true))
		session_reply(s, 250, NULL, "%s greets %s\n%sSIZE %llu\n8BITMIME\nSMTPUTF8\n%sDSN\n"
		    "ENHANCEDSTATUSCODES\nLIMITS RCPTMAX=%u\n%sHELP", conf->hostname, s->helo, ahead ? "PIPELINING\n" : "",
		    (unsigned long long)conf->message_size, ahead ? "CHUNKING\n" : "", conf->recipients, own);
}

static void
command_helo(struct session *s, const char *argument)
{
	if (hello(s, argument, false))
		session_reply(s, 250, NULL, "%s greets %s", s->srv->process.conf->hostname, s->helo);
}

/* ---- the envelope ---- */

/* A name without a domain is one of ours: "<postmaster>" (RFC 5321, 4.5.1), what people type into telnet, root. */
static void
complete(struct session *s, struct address *a)
{
	size_t len = strlen(a->text);

	if (a->domain[0] != '\0' || a->text[0] == '\0')
		return;
	snprintf(a->domain, sizeof(a->domain), "%s", conf_origin(s->srv->process.conf));
	snprintf(a->text + len, sizeof(a->text) - len, "@%s", a->domain);
}

static void
refuse_address(struct session *s, enum address_result result, const char *enhanced, const char *why)
{
	if (result == ADDRESS_NEEDS_UTF8)
		session_reply(s, 553, "5.6.7", "An address beyond ASCII needs SMTPUTF8 in MAIL FROM");
	else
		session_reply(s, 501, enhanced, "Bad address: %s", why != NULL ? why : "expected <local@domain>");
}

/* The path after FROM: or TO:. True when it is a complete address; otherwise the reply is given. */
static bool
parse_path(struct session *s, struct address *a, const char *path, int flags, const char *enhanced,
    const char **end_r)
{
	const char *why = NULL;
	enum address_result result = address_parse_path(a, path, flags, end_r, &why);

	if (result != ADDRESS_OK)
		refuse_address(s, result, enhanced, why);
	else if (a->local[0] == '-')	/* would be an option where a program gets it as an argument */
		refuse_address(s, ADDRESS_SYNTAX, enhanced, "it begins with a hyphen");
	else {
		complete(s, a);
		return true;
	}
	return false;
}

/* Whether SMTPUTF8 was asked for stands behind the path, but decides how the path is read. */
static bool
needs_utf8(const char *path, const char *end)
{
	for (; path < end; path++)
		if ((unsigned char)*path >= 0x80)
			return true;
	return false;
}

/*
 * Whether its network keeps the pace. If not it is told to wait, and that counts among the commands without mail, so
 * that nobody goes on like that for ever.
 */
static bool
keeps_pace(struct session *s, enum network_rate rate, uint32_t per_minute, const char *what)
{
	if (s->network == NULL || s->exempt || network_take(s->network, rate, per_minute, clock_ms()))
		return true;
	s->junk++;
	if (!too_much_junk(s))
		session_reply(s, 450, "4.7.1", "%s from your network come too fast; try again in a minute", what);
	return false;
}

static void
command_mail(struct session *s, const char *argument)
{
	const char *path = params_after(argument, "FROM:"), *end;
	int flags = ADDRESS_NULL | ADDRESS_UTF8 | (s->exempt ? ADDRESS_BARE : 0);
	struct params_mail params;
	struct refusal refusal;
	struct address sender;

	if (path == NULL || *path != '<')
		session_reply(s, 501, "5.5.4", "Syntax: MAIL FROM:<you@example.org>");
	else if (!parse_path(s, &sender, path, flags, "5.1.7", &end))
		return;
	else if (params_mail(end, s->srv->process.conf->message_size, s->local, &params, &refusal) < 0)
		session_refuse(s, &refusal);
	else if (!params.utf8 && needs_utf8(path, end))
		refuse_address(s, ADDRESS_NEEDS_UTF8, "5.1.7", NULL);
	else if (!keeps_pace(s, NETWORK_MESSAGES, s->srv->process.conf->network_message_rate, "Messages"))
		return;
	else if (crowd_is_full(s->srv) || transaction_new(s, &sender, &params) < 0)
		session_reply(s, 452, "4.3.1", "Too much mail at once; try again later");
	else {
		s->tx->source_route = path[1] == '@';
		if (s->guard != NULL)
			guard_mail(s);
		session_reply(s, 250, "2.1.0", "Sender ok");
	}
}

static void
command_rcpt(struct session *s, const char *argument)
{
	const char *path = params_after(argument, "TO:"), *end;
	int flags = ADDRESS_BARE | (s->tx->utf8 ? ADDRESS_UTF8 : 0);
	struct params_rcpt params;
	struct refusal refusal;
	struct address to;

	if (path == NULL || *path != '<')
		session_reply(s, 501, "5.5.4", "Syntax: RCPT TO:<somebody@example.com>");
	else if (!parse_path(s, &to, path, flags, "5.1.3", &end))
		return;
	else if (params_rcpt(end, s->tx->utf8, &params, &refusal) < 0)
		session_refuse(s, &refusal);
	else if (!keeps_pace(s, NETWORK_RECIPIENTS, s->srv->process.conf->network_recipient_rate, "Recipients"))
		return;
	else if (transaction_has(s, to.text))
		session_reply(s, 250, "2.1.5", "Recipient ok, and named before");
	else if (HASH_COUNT(s->tx->recipients) >= s->srv->process.conf->recipients)
		session_reply(s, 452, "4.5.3", "Too many recipients for one message; send it again to the rest");
	else
		recipient_ask(s, to.text, &params);
}

static void
command_rset(struct session *s, const char *argument)
{
	(void)argument;
	transaction_free(s);
	session_reply(s, 250, "2.0.0", "Ok");
}

/* ---- content ---- */

static void
begin_data(struct session *s, const struct refusal *why)
{
	static char line[] = "DATA";

	if (why != NULL) {
		s->line = line;
		session_refuse(s, why);
		s->line = NULL;
		return;
	}
	session_reply(s, 354, NULL, "Send the message; a line with only a dot ends it");
	content_begin_data(s);
}

static void
command_data(struct session *s, const char *argument)
{
	(void)argument;
	if (s->guard != NULL)
		guard_data(s, begin_data);
	else
		begin_data(s, NULL);
}

/*
 * Its chunk follows whatever we think of it: it is eaten whenever its size can be believed (RFC 3030, 2), and when not
 * nobody knows where the next command begins.
 */
static void
command_bdat(struct session *s, const char *argument)
{
	static const struct refusal syntax = { 501, "5.5.4", "Syntax: BDAT bytes [LAST]" };
	static const struct refusal too_soon = { 503, "5.5.1", "First MAIL FROM:<...>, and RCPT TO:<...> that is taken" };
	const struct refusal *why = NULL;
	enum params_bdat form;
	uint64_t size;
	bool last;

	form = params_bdat(argument, &size, &last);
	if (form == PARAMS_BDAT_BAD) {
		session_end(s, "bdat", syntax.code, syntax.enhanced, "%s", syntax.text);
		return;
	}
	if (form == PARAMS_BDAT_REST)
		why = &syntax;
	else if (s->state != SESSION_RCPT && s->state != SESSION_CHUNKS)
		why = &too_soon;
	s->junk += size == 0 && !last;
	if (!too_much_junk(s))
		content_begin_chunk(s, size, last, why);
}

/* ---- the rest ---- */

static void
command_noop(struct session *s, const char *argument)
{
	(void)argument;
	session_reply(s, 250, "2.0.0", "Ok");
}

static void
command_vrfy(struct session *s, const char *argument)
{
	if (*argument == '\0')
		session_reply(s, 501, "5.5.4", "Syntax: VRFY name");
	else
		session_reply(s, 252, "2.0.0", "Not verified here, but mail to it will be tried");
}

static void
command_expn(struct session *s, const char *argument)
{
	if (*argument == '\0')
		session_reply(s, 501, "5.5.4", "Syntax: EXPN list");
	else
		session_reply(s, 252, "2.0.0", "Not expanded here, but mail to it will be tried");
}

/* All of them, one line each: what a person with telnet types first. */
static void
help_all(struct session *s)
{
	char text[1024];
	size_t n;

	n = (size_t)snprintf(text, sizeof(text), "minimta. HELP and a command's name says more about it.");
	for (size_t i = 0; i < N_COMMANDS; i++)
		if ((commands[i].flags & COMMAND_HIDDEN) == 0 && n < sizeof(text))
			n += (size_t)snprintf(text + n, sizeof(text) - n, "\n  %s", commands[i].syntax);
	session_reply(s, 214, "2.0.0", "%s", text);
}

static void
command_help(struct session *s, const char *argument)
{
	const char *rest;
	const struct command *c;

	if (*argument == '\0') {
		help_all(s);
		return;
	}
	c = commands_find(argument, &rest);
	if (c == NULL || c->help == NULL)
		session_reply(s, 504, "5.5.4", "No help on that; HELP lists the commands");
	else
		session_reply(s, 214, "2.0.0", "%s\n%s", c->syntax, c->help);
}

static void
not_offered(struct session *s, const char *argument)
{
	(void)argument;
	session_reply(s, 502, "5.5.1", "Not offered here; EHLO says what is");
}

static void
command_xclient(struct session *s, const char *argument)
{
	if (s->may_xclient)
		client_xclient(s, argument);
	else
		not_offered(s, argument);
}

static void
command_quit(struct session *s, const char *argument)
{
	(void)argument;
	if (s->pretend != NULL)
		pretend_findings(s);
	session_reply(s, 221, "2.0.0", "Goodbye");
	s->parted = !stream_sent_ahead(s);
	session_close(s, "quit");
}
