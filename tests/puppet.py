#!/usr/bin/python3
"""
Numbers for the sandbox: processes of a test build (make PUPPET=1) do, from inside their sandboxes, what somebody would
try who has taken them over. Every deed must be refused but those that a process is meant to be able to do (BY_DESIGN,
told in SECURITY.md), and every lie to a peer must cost the liar or nothing, while master and the others go on and the
next honest mail arrives. Needs root. Deeds that only Landlock 6 refuses (Linux 6.12) are left out where there is none,
with a word. ATTACKS 82, 83

	tests/puppet.py [-v]
"""
import argparse
import ctypes
import os
import sys

import minimta_test as mt
import puppet_deeds
import puppet_lies
from puppeteer import Died, Stage, number

READABLE = {"open the password file", "open minimta's configuration", "open the aliases", "open the own program",
	"open a file above the root", "list /"}
BY_DESIGN = {
	"smtpd": {"accept on what was inherited"},
	"resolver": {"connect to a program on loopback", "connect to minimta's own port", "send a datagram",
		"connect a datagram socket to the Internet"},
	# Aliases may name lists anywhere; its user reads what everybody may read.
	"lookup": READABLE,
	# Its root is the spool.
	"queue": {"list /", "create a file in /"},
	"delivery": {"connect to a program on loopback", "connect to minimta's own port"},
	# Root's files, to become any recipient and to write to any mailbox; a pair of sockets for each command that the runner runs.
	"mda": READABLE | {"a socketpair", "open the shadow passwords", "open another user's file", "open a mail", "open a segment of the spool",
		"open the password file for writing", "open the configuration for writing",
		"create a file in /", "create a file in /etc", "create a file in /tmp", "create a file in /dev/shm",
		"create a file in another user's home", "create a file in the state directory",
		"remove another user's file", "rename another user's file", "make a directory in another user's home",
		"fork", "become root in all ways", "become root's group", "join a group"},
	"logger": set(),
}


# On an older kernel mda can do it, and would end the server under test.
ONLY_BY_LANDLOCK = ("kill master", "kill a peer", "kill an alien process", "connect to an abstract unix socket")


def leave_out():
	"""As lib/landlock.c asks for the version."""
	if ctypes.CDLL(None).syscall(number("landlock_create_ruleset"), None, 0, 1) < 6:
		print(f"   without Landlock 6, so not tried: {', '.join(ONLY_BY_LANDLOCK)}")
		for name in ONLY_BY_LANDLOCK:
			del puppet_deeds.DEEDS[name]


def do_deeds(server, scene, name, numbers):
	"""All deeds of one process, then an honest mail; nobody may have ended."""
	pids, puppet, succeeded = server.pids(), server.puppet(name), set()
	for what, deed in puppet_deeds.DEEDS.items():
		try:
			if deed(puppet, scene) >= 0:
				succeeded.add(what)
		except Died:
			raise mt.Failed(f"{name} died of: {what}")
	numbers[name] = (len(puppet_deeds.DEEDS), len(succeeded))
	if succeeded - BY_DESIGN[name]:
		raise mt.Failed(f"{name} could: " + "; ".join(sorted(succeeded - BY_DESIGN[name])))
	if BY_DESIGN[name] - succeeded:
		raise mt.Failed(f"{name} could not, and by the table it can: " + "; ".join(sorted(BY_DESIGN[name] - succeeded)))
	if server.pids() != pids or scene.victim.poll() is not None:
		raise mt.Failed(f"somebody was ended: {pids} {server.pids()}")
	server.honest_mail()


def tell_lies(report):
	# Each queue that is killed leaves a segment behind, which its successors read.
	server = Stage(replace={"segment_size": '"1M"'})
	try:
		lies = puppet_lies.Lies(server)
		master = server.child.pid
		for what, name in puppet_lies.cases():
			report.case(f"lie: {what}", getattr(lies, name))
		for liar, hearer in puppet_lies.CHANNELS:
			report.case(f"lies: {liar} to {hearer}", tell_channel, server, lies, liar, hearer)
		report.case("master is still the first", lambda: server.pids()["minimta"] == master or 1 / 0)
		report.case("honest mail after all lies", server.honest_mail)
		return lies.told
	finally:
		report.case("a clean end after lies", server.close)


def tell_channel(server, lies, liar, hearer):
	for what, data, passed, reason in lies.table_lies(liar, hearer):
		try:
			lies.must_end(liar, hearer, data, passed, reason)
		except mt.Failed as e:
			raise mt.Failed(f"{what}: {e}")
	server.honest_mail()


def main():
	options = argparse.ArgumentParser(description="What a process could do that was taken over.")
	options.add_argument("-v", action="store_true")
	report = mt.Report(options.parse_args().v)
	if os.geteuid() != 0:
		report.fail("sandbox", "these deeds need root")
		return report.finish()
	leave_out()
	os.chdir("/")		# the processes' folder, too: not one that only root may enter
	server, numbers = Stage(), {}
	scene = None
	try:
		server.honest_mail()
		scene = puppet_deeds.Scene(server)
		for name in mt.CHILDREN:
			report.case(f"deeds of {name}", do_deeds, server, scene, name, numbers)
	finally:
		if scene is not None:
			scene.close()
		report.case("a clean end", server.close)
	told = tell_lies(report)
	for name, (tried, allowed) in numbers.items():
		print(f"   {name}: {tried} deeds tried, {tried - allowed} refused, {allowed} by design; {told.get(name, 0)} lies")
	print(f"   all: {sum(n[0] for n in numbers.values())} deeds tried, {sum(n[0] - n[1] for n in numbers.values())} refused, "
		f"{sum(n[1] for n in numbers.values())} by design; {sum(told.values())} lies, none believed")
	return report.finish()


if __name__ == "__main__":
	sys.exit(main())
