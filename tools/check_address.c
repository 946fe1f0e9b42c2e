/*
 * `minimtactl check address`: whether an address is one by RFC 5321 and 6531, and how minimta writes it. What the server
 * takes differs a little from the letter (ADDRESS_GRAMMAR).
 */
#include "lib/address.h"
#include "tools/check.h"

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
	if (address_parse(&address, check.args[0], ADDRESS_UTF8 | ADDRESS_GRAMMAR, &why) == ADDRESS_OK)
		check_result(&check, "valid", address.text);
	else
		check_result(&check, "invalid", why);
	return check_end(&check, 0);
}
