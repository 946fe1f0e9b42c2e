/*
 * Canonical forms of header fields and bodies: RFC 6376, 3.4. Pure. Bytes go out through a function, piece by piece; the
 * time is linear in what comes in. Lines end with CRLF; other CRs and LFs are bytes like any other.
 */
#ifndef FILTERS_DKIM_CANON_H
#define FILTERS_DKIM_CANON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct header_field;

#define DKIM_CANON_PIECE	512

typedef void	dkim_put_fn(void *arg, const void *bytes, size_t len);

/* One field. Without `end` no CRLF is put behind it (the signature's own field). */
void	dkim_canon_field(const struct header_field *, bool relaxed, bool end, dkim_put_fn *, void *arg);

/* State of a body, over any division into pieces. */
struct dkim_canon {
	bool		 relaxed;
	bool		 cr;		/* the last byte was a CR */
	bool		 space;		/* relaxed: white space that becomes one SP if the line goes on */
	bool		 content;	/* something was put out, or waits in `out` */
	uint64_t	 lines;		/* ends of lines held back: empty lines at the end do not count */
	size_t		 used;
	dkim_put_fn	*put;
	void		*arg;
	uint8_t		 out[DKIM_CANON_PIECE];
};

void	dkim_canon_init(struct dkim_canon *, bool relaxed, dkim_put_fn *, void *arg);
void	dkim_canon_body(struct dkim_canon *, const void *, size_t);
void	dkim_canon_finish(struct dkim_canon *);

#endif
