/*
 * A finding as it is kept once its run is over: the same as struct filter_finding (filters/filter.h), whose arrays are for
 * writing, with the texts as long as they are. A chain has a dozen of them for as long as its session lasts. Pure.
 */
#ifndef FILTERS_FINDING_H
#define FILTERS_FINDING_H

#include <stdint.h>

#include "filters/filter.h"

struct finding {
	int32_t		 score;
	int16_t		 code;
	uint8_t		 action;	/* enum filter_action */
	bool		 at_data, at_end;
	uint16_t	 len;		/* of `texts` */
	char		 texts[];	/* each with its NUL: enhanced, text, result, key, value, why */
};

struct finding	*finding_pack(const struct filter_finding *);	/* to be freed; log_fatal without memory */
struct finding	*finding_copy(const struct finding *);		/* likewise */
void		 finding_unpack(struct filter_finding *, const struct finding *);
const char	*finding_enhanced(const struct finding *);
const char	*finding_text(const struct finding *);

#endif
