/*
 * Content: DATA (RFC 5321, 4.1.1.4) and BDAT (RFC 3030), from the socket into the transaction. Private to smtpd/.
 */
#ifndef SMTPD_CONTENT_H
#define SMTPD_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct refusal;
struct session;

void	content_begin_data(struct session *);
/* The chunk's bytes follow. why NULL: they belong to the transaction; else they are eaten and that is the reply. */
void	content_begin_chunk(struct session *, uint64_t size, bool last, const struct refusal *why);
/* Takes content from what was read; returns the bytes used, which may be 0 when the session had to be suspended. */
size_t	content_take(struct session *, const uint8_t *, size_t);
/* How much to read at once; 0: the session had to be suspended. */
size_t	content_read_size(struct session *);
/* Looks whether content comes fast enough. */
void	content_timeout(struct session *);

#endif
