/*
 * Master's TALLY and TALLY_GONE: the memory behind the pages of tally.h. Private to smtpd/.
 */
#ifndef SMTPD_TALLY_MAP_H
#define SMTPD_TALLY_MAP_H

#include "lib/ipc.h"

int	tally_map_on_page(void *smtpd, struct ipc *, struct ipc_message *);
int	tally_map_on_gone(void *smtpd, struct ipc *, struct ipc_message *);

#endif
