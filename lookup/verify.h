/*
 * What would become of mail for an address, told to a person: minimtactl verify, sendmail -bv and -bt.
 */
#ifndef LOOKUP_VERIFY_H
#define LOOKUP_VERIFY_H

#include <stdio.h>

#include "lookup/recipients.h"

/*
 * Writes "ok" and lines of fields between tabs, as minimtactl(8) describes them, or "error: why"; at most `most` bytes. What
 * aliases lead to is told to those who may see it only.
 */
void	verify_address(const struct recipients *, const char *text, bool privileged, FILE *out, long most);

#endif
