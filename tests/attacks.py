#!/usr/bin/python3
"""
Which attack, and which mistake of other servers' filters, is covered by which test: prints the list, and fails where a test is missing.

	tests/attacks.py [-v]		-v: all rows; without it only the count and what is wrong

A test names its rows in a comment: "ATTACKS 16, 17". The rows below are those that concern what there is; LATER are
those of parts that do not exist yet.
"""
import argparse
import glob
import os
import re
import sys

TESTS = os.path.dirname(os.path.abspath(__file__))
PLACES = ("dialogs/*.txt", "unit/test_*.c", "fuzz/fuzz_*.c", "*.py")

ROWS = {
	1: "LF.LF as the end of a message",
	2: "other false ends: LF.CRLF, CR.CR, CRLF.CR, CRLF.LF, with NUL",
	8: "AUTH where it is not offered",
	11: "commands before the greeting, before EHLO, content before 354",
	12: "HTTP and TLS on the SMTP port",
	13: "NUL, control and 8-bit characters in commands",
	14: "bare LF and CR in commands",
	15: "command lines without end",
	16: "unknown commands",
	17: "NOOP, RSET, VRFY, EHLO again and again",
	18: "what is no address",
	19: "quoted local parts with shell code",
	20: "${...}, %n, $() in addresses",
	21: "a local part that begins with a hyphen",
	22: "files, pipes and includes as recipients",
	23: "line ends in HELO, addresses and parameters",
	24: "relay by percent, bang and source route",
	25: "addresses too long, too many dots",
	26: "UTF-8 where it was not asked for, and bad UTF-8",
	27: "SIZE that overflows, and mails over the limit",
	28: "BDAT: sizes that are none, endless, out of order, far too big",
	29: "too many recipients",
	30: "commands out of their order",
	31: "parameters of MAIL and RCPT that are wrong, unknown or twice",
	32: "lines and headers without end",
	33: "a header of very many fields",
	34: "NUL in a message",
	35: "too many Received fields",
	36: "aliases and MX that lead in a circle",
	37: "mail for unknown users",
	38: "bounces of bounces",
	39: "a remote's words in a bounce",
	40: "replies of a remote that are none",
	41: "a remote that vanishes after the final dot",
	42: "a remote that drips or is silent",
	43: "MX that lead to this machine, null MX",
	44: "names in DNS that are none, loops and giants in its answers",
	45: "SPF without end, macros, explanations",
	47: "ids and ports of DNS questions that can be guessed",
	48: "what was added behind a body that l= covers",
	49: "a second From or Subject",
	50: "a hundred signatures, keys too short and too long, sha1",
	51: "white space without end under a signature",
	52: "forged Authentication-Results in our name",
	60: "slow commands, slow bodies, silence",
	61: "hundreds of idle connections",
	62: "a client that does not read",
	63: "no descriptor left",
	66: "a flood of messages from one network",
	65: "no room on the disk, no inodes",
	67: "no memory left",
	69: "damaged records in the queue",
	70: "a clock that jumps, and the year 2038",
	71: "broken or cut-off databases",
	72: "control characters on their way to the log",
	73: "XCLIENT, XFORWARD and PROXY from strangers",
	74: "links where a mailbox should be",
	78: "a local user who floods the control socket",
	80: "a command that hangs, leaves processes, says gigabytes",
	81: "a ~/.forward that others may write to, huge, or a FIFO",
	82: "a process that was taken over and lies to its peers",
	83: "smtpd says that a recipient is here, or a client trusted",
	85: "a process that dies at every start",
	86: "a stop in the middle of a message",
}
LATER = "4-7, 9, 10, 56-59 (TLS, AUTH); 46 (nothing here validates DNSSEC), 53-55 (nothing reads MIME or has regular expressions)"
# What users report of other servers' filters, and what shows that it is not so here: a file and what stands in it.
MISTAKES = {
	"any answer of a DNS list taken for a listing": ("dialogs/dnsbl.txt", "198.51.100.1"),
	"error codes of a DNS list taken for listings": ("unit/test_filters.c", "error_codes_taken_for_listings"),
	"a list that died, or lists everybody, goes on counting": ("dialogs/dnsbl_lists_all.txt", "health=dead"),
	"a list's text breaks the reply": ("unit/test_filters.c", "text_of_a_list_breaks_the_reply"),
	"lists asked about private addresses": ("unit/test_filters.c", "a private address is not asked about"),
	"a white list that switches off DMARC": ("dialogs/dnswl.txt", "no check of the content"),
	"IPv4 only": ("unit/test_filters.c", "ipv6_client"),
	"softfail refused": ("unit/test_filters.c", "softfail_refused"),
	"HELO's SPF not looked at by itself": ("dialogs/spf_helo.txt", "not looked at by itself"),
	"forwarded mail refused for its SPF": ("unit/test_filters.c", "forwarded_mail_refused"),
	"forwarding refused in spite of ARC": ("dialogs/arc.txt", "sealers ="),
	"a v=spf1 record held against the author": ("dialogs/sender_id.txt", "v=spf1"),
	"greylisting before SPF": ("dialogs/greylist_pool.txt", "SPF proves"),
	"pools of senders greylisted for ever": ("unit/test_greylist.c", "pool_of_hosts_is_not_greylisted_for_ever"),
	"a new sender's tag each day greylisted each day": ("unit/test_greylist.c", "sender_with_a_new_tag_each_day"),
	"senders with odd characters taken for one": ("unit/test_greylist_key.c", "senders_with_odd_characters_taken_for_one"),
	"unknown users greylisted first": ("dialogs/greylist_unknown_user.txt", "Unknown users greylisted first"),
	"an early retry starts the wait anew": ("dialogs/greylist.txt", "too early does not"),
	"callbacks of others greylisted": ("dialogs/greylist_null_sender.txt", "waits at DATA"),
	"a lost database loses mail": ("dialogs/memory_survives.txt", "memory-lost"),
	"a refusal that takes the other recipients along": ("unit/test_chain_runs.c", "one_recipient_is_not_another"),
	"answers that depend on which lookup came first": ("unit/test_chain.c", "answers_that_depend_on_which_lookup_came_first"),
	"lookups repeated at every recipient": ("unit/test_chain_runs.c", "lookups_repeated_at_every_recipient"),
	"SERVFAIL taken for no name": ("unit/test_filters.c", "servfail_taken_for_no_name"),
	"mail refused because DNS is down": ("unit/test_filters.c", "mail_refused_because_dns_is_down"),
	"HELO and reverse name that differ are refused": ("dialogs/helo_filter.txt", "does not fit the address"),
	"pipelining hidden and not watched": ("dialogs/pipelining_strangers.txt", "reason=pipelining"),
	"a dot with QUIT behind it held against a client": ("dialogs/pipelining_strangers.txt", "the dot with QUIT behind it"),
	"a PROXY header taken for talking early": ("dialogs/proxy.txt", "but the header is not"),
	"a reset taken for talking early": ("dialogs/banner_delay.txt", "one that resets"),
	"the end of a message looked for in one read": ("dialogs/smuggle_crlf_dot_lf.txt", "S:"),
	"a thread that sleeps for each client": ("crowd.py", "A thread that sleeps for each client"),
	"a host that takes every address believed": ("dialogs/callback_accepts_all.txt", "takes every address"),
	"callbacks that flood their victim": ("dialogs/callback_once_a_minute.txt", "one call to a domain in a minute"),
	"results of others in our name believed": ("unit/test_filters.c", "forged_authentication_results"),
	"long lines refused": ("dialogs/long_lines.txt", "S: 250"),
}


def rows_of(path):
	with open(path, encoding="utf-8", errors="replace") as f:
		text = f.read()
	return {int(n) for m in re.finditer(r"ATTACKS (\d+(?:(?:,| and) *\d+)*)", text) for n in re.findall(r"\d+", m.group(1))}


def covered():
	"""{row: [names of tests]}"""
	found = {}
	for place in PLACES:
		for path in sorted(glob.glob(os.path.join(TESTS, place))):
			if os.path.samefile(path, __file__) or path.endswith("dialogs.py"):
				continue
			for row in rows_of(path):
				found.setdefault(row, []).append(os.path.relpath(path, TESTS))
	return found


def stands_in(place):
	path, text = place
	try:
		with open(os.path.join(TESTS, path), encoding="utf-8", errors="replace") as f:
			return text in f.read()
	except FileNotFoundError:
		return False


def main():
	options = argparse.ArgumentParser(description="Which attack is covered by which test.")
	options.add_argument("-v", action="store_true", help="print the list")
	options = options.parse_args()
	found = covered()
	missing = [row for row in ROWS if row not in found]
	if options.v:
		for row in sorted(ROWS.keys() | found.keys()):
			print(f"{row:3}  {ROWS.get(row, '')}\n     " + (", ".join(found.get(row, [])) or "NO TEST"))
		print(f"later: {LATER}")
		for what, (path, text) in MISTAKES.items():
			print(f"{what}\n     {path}: {text}")
	lost = [what for what, place in MISTAKES.items() if not stands_in(place)]
	for row in missing:
		print(f"FAILED  attack {row}: no test names it ({ROWS[row]})")
	for what in lost:
		print(f"FAILED  \"{what}\": its test is gone ({': '.join(MISTAKES[what])})")
	print(f"{len(ROWS) + len(MISTAKES) - len(missing) - len(lost)} passed, {len(missing) + len(lost)} failed")
	return 1 if missing or lost else 0


if __name__ == "__main__":
	sys.exit(main())
