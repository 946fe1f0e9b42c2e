#!/usr/bin/python3
"""
Which attack is covered by which test: prints the list, and fails where a test is missing.

	tests/attacks.py [-v]		-v: all rows; without it only the count and what is wrong

A test names its rows in a comment: "ATTACKS 16, 17". The rows below are those that concern what there is; LATER are
those of parts that do not exist yet (TLS, AUTH, filters, mail that users handle by programs of their own).
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
	45: "SPF without end, macros, explanations",
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
LATER = "4-7, 9, 10, 56-59 (TLS, AUTH); 46-55 (filters)"


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
	for row in missing:
		print(f"FAILED  attack {row}: no test names it ({ROWS[row]})")
	print(f"{len(ROWS) - len(missing)} passed, {len(missing)} failed")
	return 1 if missing else 0


if __name__ == "__main__":
	sys.exit(main())
