/*
 * What would become of mail for an address: asks the running server's processes, and shows the path. Sends no mail.
 */
#ifndef TOOLS_VERIFY_H
#define TOOLS_VERIFY_H

#include <stddef.h>
#include <stdio.h>

/*
 * Asks lookup about the address and resolver about the next hops that are domains. All lines together, in a stream of its own
 * that the caller closes; *code_r is then 0, EX_NOUSER, EX_NOHOST or EX_TEMPFAIL, the worst that mail would meet. NULL: the
 * server could not be asked, with a code and why.
 */
FILE	*verify_ask(const char *path, const char *address, int *code_r, char *why, size_t size);
/* 0, or -1: cut short. */
int	 verify_print(FILE *from, FILE *to);
int	 verify_print_json(FILE *from, FILE *to);

#endif
