#!/usr/bin/python3
"""
What each process may do, asserted from /proc while the server runs as root: its user, its root folder, seccomp and no
new privileges, no core dumps, no capabilities. And what the resolver sends from its empty root folder. Needs root.

	tests/root.py [-v]
"""
import argparse
import os
import pwd
import re
import sys

import fake_dns
import minimta_test as mt

USERS = {"smtpd": "_minimta_smtpd", "resolver": "_minimta_resolver", "lookup": "_minimta_lookup", "queue": "_minimta_queue",
	"delivery": "_minimta_delivery", "logger": "_minimta_logger", "mda": "root"}
EMPTY_ROOT = ("smtpd", "resolver", "delivery")
STARTS = 3
HOSTS = 50			# that the resolver asks for at each of them, by an SPF record


def status(pid):
	with open(f"/proc/{pid}/status") as f:
		return dict(re.match(r"(\w+):\s*(.*)", line).groups() for line in f if ":" in line)


def expect(what, got, wanted):
	if got != wanted:
		raise mt.Failed(f"{what} is {got!r}, expected {wanted!r}")


def check_user(server, pids, name):
	wanted = str(pwd.getpwnam(USERS[name]).pw_uid)
	expect("the four user ids", status(pids[name])["Uid"].split(), [wanted] * 4)
	if wanted != "0":
		expect("the effective capabilities", int(status(pids[name])["CapEff"], 16), 0)
		expect("the permitted capabilities", int(status(pids[name])["CapPrm"], 16), 0)
		group = str(pwd.getpwnam(USERS[name]).pw_gid)
		expect("the four group ids", status(pids[name])["Gid"].split(), [group] * 4)
		expect("further groups", [g for g in status(pids[name])["Groups"].split() if g != group], [])


def check_root(server, pids, name):
	root = f"/proc/{pids[name]}/root"
	if name in EMPTY_ROOT:
		expect("its root folder", os.path.realpath(os.readlink(root)), os.path.realpath(os.path.join(server.folder, "run/empty")))
		expect("what it sees there", os.listdir(root), [])
		expect("the mode of it", os.stat(root).st_mode & 0o022, 0)
		expect("the owner of it", os.stat(root).st_uid, 0)
	elif name == "queue":
		expect("its root folder", os.path.realpath(os.readlink(root)), os.path.realpath(server.spool))


def check_fences(server, pids, name):
	expect("Seccomp", status(pids[name])["Seccomp"], "2")
	expect("NoNewPrivs", status(pids[name])["NoNewPrivs"], "1")
	with open(f"/proc/{pids[name]}/limits") as f:
		core = re.search(r"Max core file size\s+(\S+)\s+(\S+)", f.read())
	expect("the limit on core dumps", core.groups(), ("0", "0"))
	# Not dumpable: what belongs to it in /proc belongs to root.
	expect("the owner of its memory", os.stat(f"/proc/{pids[name]}/mem").st_uid, 0)


def check_sockets(server, pids, name):
	"""Only smtpd and master have the listening socket; mda and queue have no network at all."""
	inodes = {os.readlink(p) for p in (f"/proc/{pids[name]}/fd/{n}" for n in os.listdir(f"/proc/{pids[name]}/fd")) if os.path.islink(p)}
	network = set()
	for table in ("tcp", "tcp6", "udp", "udp6"):
		with open(f"/proc/net/{table}") as f:
			network |= {f"socket:[{line.split()[9]}]" for line in f.read().splitlines()[1:]}
	if name in ("mda", "queue", "logger", "lookup"):
		expect("its network sockets", sorted(inodes & network), [])


def name_of(pid):
	try:
		return status(pid)["Name"]
	except OSError:
		return ""


def check_runner(server, pids):
	"""What runs commands beside mda: a child of it, with root's rights to become others and nothing else, and one channel."""
	with open(f"/proc/{pids['mda']}/task/{pids['mda']}/children") as f:
		runner, = [pid for pid in f.read().split() if name_of(pid) == "mda-runner"]		# not who has just brought a mail
	expect("NoNewPrivs", status(runner)["NoNewPrivs"], "1")
	kept = sum(1 << bit for bit in (1, 5, 6, 7))		# CAP_DAC_OVERRIDE, CAP_KILL, CAP_SETGID, CAP_SETUID
	expect("the effective capabilities", int(status(runner)["CapEff"], 16), kept)
	expect("the permitted capabilities", int(status(runner)["CapPrm"], 16), kept)
	expect("its descriptors", sorted(os.listdir(f"/proc/{runner}/fd")), ["0", "1", "2", "3"])


def check_master(server, pids):
	expect("NoNewPrivs of master or a child", [n for n in mt.CHILDREN if n not in pids], [])
	with open(f"/proc/{pids['minimta']}/limits") as f:
		expect("the limit on core dumps", re.search(r"Max core file size\s+(\S+)", f.read()).group(1), "0")


class Listener(fake_dns.FakeDNS):
	"""A name server that notes the id and the port of each question."""

	def __init__(self):
		super().__init__([f"spoofed.example TXT v=spf1 {' '.join(f'mx:m{n}.example' for n in range(HOSTS // 10))} ?all"] +
			[f"m{n // 10}.example MX 10 h{n}.example" for n in range(HOSTS)] + [f"h{n}.example A 192.0.2.1" for n in range(HOSTS)])
		self.seen = []

	def answer_udp(self, packet, client):
		if client:			# None: the end
			self.seen.append((int.from_bytes(packet[:2], "big"), client[1]))
		super().answer_udp(packet, client)


def check_questions():
	"""Who can guess ids and ports answers in the server's place. ATTACKS 47: c-ares in an empty root folder began with the same ones."""
	dns, starts = Listener(), []
	off = "".join(f'filter "{name}" {{ mode = off }}\n' for name in ("early", "throttle", "pipelining", "greylist", "iprev", "conformity"))
	with mt.Server(off, {"filters": "yes", "dns_servers": f'{{"127.0.0.1:{dns.port}"}}'}, start=False) as server:
		for _ in range(STARTS):
			server.start()
			with mt.Client(server.address) as c:
				c.expect(220)
				for command, code in (("EHLO client.example", 250), ("MAIL FROM:<a@spoofed.example>", 250),
				    (f"RCPT TO:<alice@{mt.DOMAIN}>", 250), ("DATA", 354), (".", 250), ("QUIT", 221)):
					c.say(command, code)
			server.stop()
			starts.append(dns.seen)
			dns.seen = []
	dns.close()
	for seen in starts:
		ids = [i for i, _ in seen]
		if len(ids) < HOSTS or len(set(ids)) < len(ids) - 5:
			raise mt.Failed(f"{len(ids)} questions with {len(set(ids))} ids")
		if len({b - a for a, b in zip(ids, ids[1:])}) < len(ids) - 6:
			raise mt.Failed(f"ids that follow from each other: {ids}")
	if len({i for seen in starts for i, _ in seen}) < sum(len(seen) for seen in starts) - 10:
		raise mt.Failed(f"the same ids after a start: {starts}")
	if len({port for seen in starts for _, port in seen}) < 2:
		raise mt.Failed(f"the same port after each start: {starts}")


def main():
	options = argparse.ArgumentParser(description="What each process may do.")
	options.add_argument("-v", action="store_true")
	report = mt.Report(options.parse_args().v)
	if os.geteuid() != 0:
		report.fail("rights", "these assertions need root")
		return report.finish()
	server = mt.Server()
	try:
		server.honest_mail()
		pids = server.pids()
		report.case("all processes run", check_master, server, pids)
		report.case("the runner of commands", check_runner, server, pids)
		for name in mt.CHILDREN:
			for test in (check_user, check_root, check_fences, check_sockets):
				report.case(f"{name}: {test.__name__[6:]}", test, server, pids, name)
	finally:
		report.case("a clean end", server.close)
	report.case("ids and ports of questions to DNS", check_questions)
	return report.finish()


if __name__ == "__main__":
	sys.exit(main())
