/*
 * UTF-8 as strangers write it (RFC 3629), read strictly: in addresses, replies and reports. Pure.
 */
#ifndef LIB_UTF8_H
#define LIB_UTF8_H

#include <stddef.h>
#include <stdint.h>

/*
 * The length of the character above 0x7f at the start of text, which has len bytes or ends with NUL; its value in *value_r (may
 * be NULL). 0: there is none (overlong, surrogate, beyond U+10FFFF, cut short), or a C1 control (U+0080 to U+009F), which has no
 * business there.
 */
size_t	utf8_take(const char *text, size_t len, uint32_t *value_r);

#endif
