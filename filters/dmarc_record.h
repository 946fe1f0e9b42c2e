/*
 * A DMARC policy record as DNS gives it: RFC 9989, 4.7 and 4.8. Pure. What a domain asks for is here; whether it applies
 * to a message is decided by filters/dmarc.c.
 */
#ifndef FILTERS_DMARC_RECORD_H
#define FILTERS_DMARC_RECORD_H

#include <stdbool.h>
#include <stddef.h>

enum dmarc_policy {
	DMARC_POLICY_NONE,
	DMARC_POLICY_QUARANTINE,
	DMARC_POLICY_REJECT,
};

enum dmarc_psd {
	DMARC_PSD_UNKNOWN,		/* u, the default: the tree walk goes on */
	DMARC_PSD_NO,			/* n: an organizational domain */
	DMARC_PSD_YES,			/* y: a public suffix; the domain one label below is the organizational one */
};

struct dmarc_record {
	enum dmarc_policy	p, sp, np;	/* without p it is none (4.7); sp and np only where has_… says so */
	bool			has_sp, has_np;
	bool			bad_policy;	/* one of them has a value that is no policy (4.10.1) */
	enum dmarc_psd		psd;
	bool			strict_dkim, strict_spf;	/* adkim, aspf */
	bool			test;		/* t=y: one level below */
	unsigned		rua;		/* how many valid addresses want reports */
};

/*
 * 0, or -1 when it does not begin with v=DMARC1, and so is no such record. All else that is wrong in it, and every
 * unknown tag, is passed over (4.8); of a tag that comes twice the first counts.
 */
int		 dmarc_record_parse(struct dmarc_record *, const char *text, size_t len);
/*
 * 4.10.1: whether the record can be applied; with an invalid p, sp or np it is one of p=none where somebody wants reports, and
 * none at all otherwise.
 */
bool		 dmarc_record_applies(struct dmarc_record *);
/* What t=y makes of a policy. */
enum dmarc_policy dmarc_policy_lower(enum dmarc_policy);
const char	*dmarc_policy_name(enum dmarc_policy);		/* "none", "quarantine", "reject" */

#endif
