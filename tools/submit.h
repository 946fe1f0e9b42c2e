/*
 * Handing a message to the running server: an SMTP session over its control socket.
 */
#ifndef TOOLS_SUBMIT_H
#define TOOLS_SUBMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct submit;

struct submit_mail {
	const char	*sender;		/* canonical address, "" null */
	char *const	*rcpts;			/* canonical addresses */
	size_t		 n_rcpts;
	bool		 utf8, eight_bit;
	bool		 later;			/* not to be delivered before the queue is run; said to a server that knows it */
	bool		 require_tls;		/* RFC 8689; a server that does not offer it gets nothing */
	const char	*header;		/* with the empty line */
	size_t		 header_len;
	/* RFC 3461; NULL or "": not asked for. Said to a server that knows them only. */
	const char	*dsn_notify, *dsn_return, *dsn_envid;
	FILE		*body;
	uint64_t	 body_size;
};

/* Connects, waiting for a server that is away, and reads its greeting. transcript: NULL, or where the dialog is shown.
 * NULL with a code of sysexits(3) and why. */
struct submit	*submit_open(const char *path, FILE *transcript, int *code_r, char *why, size_t size);
/* The name in the greeting. */
const char	*submit_hostname(const struct submit *);
/* Whether the server holds mail back when it is asked to. */
bool		 submit_can_wait(const struct submit *);
/* After submit_send: the message's id in the queue, "" unknown. */
const char	*submit_id(const struct submit *);
/* The domain that completes names without one. */
const char	*submit_origin(const struct submit *);
/* All recipients or none: when one is refused nothing is sent. 0, or a code; each refusal is told to errors, a line. */
int		 submit_send(struct submit *, const struct submit_mail *, FILE *errors);
/* Says QUIT. NULL is fine. */
void		 submit_close(struct submit *);

#endif
