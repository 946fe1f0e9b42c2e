/*
 * Arguments of commands, taken apart: RFC 5321, 4.1; RFC 1870 (SIZE), 6152 (BODY), 6531 (SMTPUTF8), 3030 (BDAT), 3461 (DSN).
 * Pure.
 */
#ifndef SMTPD_PARAMS_H
#define SMTPD_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/dsn.h"

/* A refusal in a form that can be kept until it can be said. code 0: none. */
struct refusal {
	int	code;
	char	enhanced[12];
	char	text[512];
};

void	refusal_set(struct refusal *, int code, const char *enhanced, const char *fmt, ...)
	    __attribute__((format(printf, 4, 5)));
/* From words that may begin with an enhanced code of their own ("4.3.1 Disk full"); `enhanced` is used otherwise. */
void	refusal_from(struct refusal *, int code, const char *enhanced, const char *text);

struct params_mail {
	uint64_t size;			/* 0: not declared */
	bool	 eight_bit, utf8;
	bool	 later;			/* XLATER, our own, for local programs: first tried when the queue is run */
	uint8_t	 ret;			/* enum dsn_ret */
	char	 envid[DSN_ENVID_MAX + 1];	/* decoded, "" none */
};

struct params_rcpt {
	uint8_t	 notify;		/* enum dsn_notify */
	char	 orcpt[DSN_ORCPT_MAX + 1];	/* decoded, "" none */
};

/*
 * What follows the path of MAIL. 0, or -1 with what to reply. `most` is the size limit that SIZE= is held against; local: from
 * a program of this machine.
 */
int	params_mail(const char *text, uint64_t most, bool local, struct params_mail *, struct refusal *);
/* What follows the path of RCPT. utf8: MAIL said SMTPUTF8. */
int	params_rcpt(const char *text, bool utf8, struct params_rcpt *, struct refusal *);

enum params_bdat {
	PARAMS_BDAT_OK,
	PARAMS_BDAT_REST,		/* the size can be believed and the chunk must be eaten; what follows it is wrong */
	PARAMS_BDAT_BAD,		/* no size: nothing is known of a chunk */
};

enum params_bdat params_bdat(const char *text, uint64_t *size_r, bool *last_r);

/* "FROM:" or "TO:" without case, with a space before the path if the client likes: where the path begins, or NULL. */
const char	*params_after(const char *text, const char *keyword);
/* Decimal digits only, all of len; no sign, no overflow. 0 or -1. */
int	params_number(const char *text, size_t len, uint64_t *r);

#endif
