/*
 * A message as a program hands it to sendmail, on its way to being one that SMTP can carry: CRLF lines, the fields that
 * every message has, no Bcc. Reads from a FILE, else pure.
 */
#ifndef TOOLS_LETTER_H
#define TOOLS_LETTER_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#define LETTER_HEADER_MAX	(4U * 1024 * 1024)
#define LETTER_RCPTS_MAX	10000

struct letter {
	char	*header;		/* fields as they came, CRLF-ended; no empty line */
	size_t	 header_len;
	FILE	*body;			/* a temporary file without a name; CRLF-ended lines, not dot-stuffed */
	uint64_t body_size;
	bool	 eight_bit;		/* anywhere */
	char	*envelope_from;		/* who an mbox' first line says it is from, "user@host" or a name; NULL: nobody */
};

/* Reads all of in, up to a line with a lone dot unless dots. 0, or a code of sysexits(3) with why. Free it either way. */
int	letter_read(struct letter *, FILE *in, bool dots, char *why, size_t size);
void	letter_free(struct letter *);

struct letter_rcpts {
	char	**list;			/* as written: "local@domain" or "local"; no doubles */
	size_t	 n;
};

/* Adds the addresses in text, as on a command line or in a To field. 0, or a code with why. */
int	letter_add_rcpts(struct letter_rcpts *, const char *text, size_t len, char *why, size_t size);
/* Adds those of To, Cc and Bcc; where there are Resent- fields, those of Resent-To, Resent-Cc and Resent-Bcc. */
int	letter_header_rcpts(const struct letter *, struct letter_rcpts *, char *why, size_t size);
void	letter_free_rcpts(struct letter_rcpts *);

struct letter_facts {
	const char	*user, *full_name;	/* the caller; full_name "" when there is none */
	const char	*sender;		/* address for From when it is missing: with a domain */
	const char	*hostname;
	time_t		 now;
	uint64_t	 unique;		/* for Message-ID */
};

/* The header with From, Date and Message-ID where they were missing, without Bcc and Return-Path, ended by the empty
 * line, as a new string. */
char	*letter_complete(const struct letter *, const struct letter_facts *, size_t *len_r);

#endif
