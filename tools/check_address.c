/*
 * `minimtactl check address`: whether an address is one by RFC 5321 and 6531, and how minimta writes it. The server itself is
 * a little more generous about domains, for there is honest mail from such.
 */
#include <string.h>

#include "lib/address.h"
#include "tools/check.h"

/* NULL, or what RFC 5321, 4.1.2 does not have in a domain and the server takes. */
static const char *
too_generous(const struct address *a, const char *text)
{
	if (!a->literal && strchr(a->domain, '_') != NULL)
		return "the domain has an underscore, which minimta takes and RFC 5321 does not";
	if (text[strlen(text) - 1] == '.')
		return "the domain ends with a dot, which minimta takes and RFC 5321 does not";
	return NULL;
}

int
check_address(int argc, char **argv)
{
	struct address address;
	struct check check;
	const char *why = "";
	int code;

	check_begin(&check, argc, argv, NULL);
	if ((code = check_option(&check)) != -1)
		return check_end(&check, code);
	if (check.n_args != 1)
		return check_end(&check, check_usage(&check, "expected one address"));
	if (address_parse(&address, check.args[0], ADDRESS_UTF8, &why) == ADDRESS_OK &&
	    (why = too_generous(&address, check.args[0])) == NULL)
		check_result(&check, "valid", address.text);
	else
		check_result(&check, "invalid", why);
	return check_end(&check, 0);
}
