/*
 * Payloads of messages: fields one after the other, integers little-endian, strings and blobs with a 32-bit length
 * before them. The reader never reads past the end and never has to be checked field by field: the first thing that
 * does not fit makes everything after it zero or empty, and unpack_ok() false.
 */
#ifndef LIB_PACK_H
#define LIB_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Grows as needed. */
struct pack {
	uint8_t	*data;
	size_t	 len, room;
	size_t	 most;
	bool	 over;		/* what went beyond `most` is missing */
};

void	pack_init(struct pack *);		/* up to MSG_PAYLOAD_MAX; a larger one aborts: the caller broke its own limit */
void	pack_init_most(struct pack *, size_t most);	/* what is no message */
void	pack_free(struct pack *);		/* frees the bytes, not the struct; may be used again */
void	pack_u8(struct pack *, uint8_t);
void	pack_u16(struct pack *, uint16_t);
void	pack_u32(struct pack *, uint32_t);
void	pack_u64(struct pack *, uint64_t);
void	pack_i64(struct pack *, int64_t);
void	pack_str(struct pack *, const char *);		/* NULL is written as "" */
void	pack_blob(struct pack *, const void *, size_t);
void	pack_raw(struct pack *, const void *, size_t);		/* without a length */

struct unpack {
	const uint8_t	*p, *end;
	bool		 bad;
};

void		 unpack_init(struct unpack *, const void *, size_t);
uint8_t		 unpack_u8(struct unpack *);
uint16_t	 unpack_u16(struct unpack *);
uint32_t	 unpack_u32(struct unpack *);
uint64_t	 unpack_u64(struct unpack *);
int64_t		 unpack_i64(struct unpack *);
/* A new NUL-terminated string for the caller to free, never NULL; a NUL inside it makes the payload bad. */
char		*unpack_str(struct unpack *);
/* Into `to` (size bytes with the NUL); a longer one makes the payload bad and `to` empty. */
void		 unpack_str_to(struct unpack *, char *to, size_t size);
/* Borrowed: points into the payload. */
const void	*unpack_blob(struct unpack *, size_t *len_r);
/* Whether all was there so far; with unpack_end also whether nothing is left over. */
bool		 unpack_ok(const struct unpack *);
bool		 unpack_end(const struct unpack *);

#endif
