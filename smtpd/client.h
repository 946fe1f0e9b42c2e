/*
 * Who a session's client is: whoever connected, or whom a trusted proxy names (PROXY header, XCLIENT). Private to smtpd/.
 */
#ifndef SMTPD_CLIENT_H
#define SMTPD_CLIENT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct network;
struct session;

#define CLIENT_PROXY_MS	5000		/* for a PROXY header to come */

/* At the start; address NULL: a local program of that uid. The network is borrowed until client_forget(). */
void	client_connected(struct session *, const struct sockaddr *address, struct network *, unsigned uid);
void	client_forget(struct session *);
/* A PROXY header, as far as it has come; then the session is greeted. Returns the bytes used, 0 for more. */
size_t	client_take_proxy(struct session *, const uint8_t *, size_t);
/* The command of that name, from who may say it. */
void	client_xclient(struct session *, const char *argument);
/* "192.0.2.1", "2001:db8::1"; v4-mapped IPv6 is IPv4. At least 56 bytes. */
void	client_name(char *to, size_t size, const struct sockaddr *);

#endif
