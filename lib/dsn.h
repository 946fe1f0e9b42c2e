/*
 * Delivery status notifications as they are asked for: RFC 3461, 4 (NOTIFY, ORCPT, RET, ENVID) and RFC 6533, 3 (addresses
 * beyond ASCII). What is parsed is kept decoded and without controls, and is encoded anew wherever it goes. Pure.
 */
#ifndef LIB_DSN_H
#define LIB_DSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DSN_ENVID_MAX	100	/* RFC 3461, 4.4 */
#define DSN_ORCPT_MAX	500	/* RFC 3461, 4.2, with its type */

enum dsn_notify {		/* none of them: not said */
	DSN_NEVER = 1,		/* alone */
	DSN_SUCCESS = 2,
	DSN_FAILURE = 4,
	DSN_DELAY = 8,
};

enum dsn_ret {
	DSN_RET_NONE,		/* not said */
	DSN_RET_FULL,
	DSN_RET_HDRS,
};

/* The values of MAIL's and RCPT's parameters. 0, or -1: not well-formed. */
int	 dsn_notify_parse(const char *text, size_t len, uint8_t *r);
int	 dsn_ret_parse(const char *text, size_t len, uint8_t *r);
int	 dsn_envid_parse(char to[DSN_ENVID_MAX + 1], const char *text, size_t len);
/* "type;address", decoded. utf8: the message is one of SMTPUTF8, so that bytes beyond ASCII may stand there. */
int	 dsn_orcpt_parse(char to[DSN_ORCPT_MAX + 1], const char *text, size_t len, bool utf8);

/* And back, as the parameters take them. Return to. */
#define DSN_NOTIFY_TEXT	24
char	*dsn_notify_text(char to[DSN_NOTIFY_TEXT], uint8_t notify);
#define DSN_ENVID_TEXT	(3 * DSN_ENVID_MAX + 1)
char	*dsn_envid_text(char to[DSN_ENVID_TEXT], const char *envid);
#define DSN_ORCPT_TEXT	(8 * DSN_ORCPT_MAX + 1)
char	*dsn_orcpt_text(char to[DSN_ORCPT_TEXT], const char *orcpt, bool utf8);

/* An address for an ORCPT or a report's field: RFC 6533's 7-bit form where `utf8` is false. Returns its length. */
size_t	 dsn_utf8_address(char *to, size_t size, const char *address, bool utf8);
/* Whether somebody who said `notify` (0: nothing) wants to hear of that; `silent`: what holds when he said nothing. */
bool	 dsn_wants(uint8_t notify, enum dsn_notify event, bool silent);

#endif
