/*
 * Logging in, as a part of a client's session (delivery/login.h has the mechanisms). Decides that nothing is sent without the
 * login that is asked for. Called by client_steps.c.
 */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include <event2/buffer.h>

#include "delivery/client_session.h"
#include "delivery/login.h"
#include "lib/log.h"

static void
put(struct client *c, char *line, size_t len)
{
	if (evbuffer_add(c->out, line, len) != 0)
		log_fatal("event=memory where=client");
	explicit_bzero(line, len);
	client_expect(c);
}

/* Mechanisms that the server does not offer are not tried. */
void
client_login_begin(struct client *c)
{
	char line[LOGIN_LINE_MAX], nonce[LOGIN_NONCE_MAX + 1];
	uint8_t random[LOGIN_NONCE_MAX / 2];

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		log_fatal("event=no-random");
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(nonce + 2 * i, 3, "%02x", random[i]);
	if ((c->login = login_new(c->offers.login, c->user, c->password, nonce)) == NULL)
		client_fail(c, verdict_new(JOB_DEFERRED, true, c->host, 0, "4.7.0",
		    "the server offers no way to log in that is known here, and nothing is sent without"));
	else
		put(c, line, login_command(c->login, line));
}

/* 334: the server wants to hear more. */
bool
client_login_is_done(struct client *c)
{
	char line[LOGIN_LINE_MAX];
	const char *challenge = "";
	size_t len = 0;

	if (c->reply.code == 334) {
		reply_line(&c->reply, 0, &challenge, &len);
		if ((len = login_answer(c->login, challenge, len, line)) > 0)
			put(c, line, len);
		else
			client_senseless(c, "what it asks for at the login makes no sense, or is not genuine");
		return false;
	}
	if (!login_may_end(c->login)) {
		client_senseless(c, "it accepts a login that has not taken place");
		return false;
	}
	login_free(c->login);
	c->login = NULL;
	return true;
}
