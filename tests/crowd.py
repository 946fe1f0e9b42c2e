#!/usr/bin/python3
"""
Too much of everything: crowds of clients that sit silent, drip or never read, descriptors and memory that run out. An
honest client is served all the while, nothing that was acknowledged is lost, and smtpd neither spins nor stays broken.

	tests/crowd.py [-v] [NAME …]

Clients come from many addresses of 127.0.0.0/8, a network of 256 each; time is the server's clock, moved second by
second. ATTACKS 60, 61, 62, 63 and 67.
"""
import argparse
import contextlib
import glob
import os
import re
import resource
import socket
import sys
import tempfile
import time

import minimta_test as mt

STRANGERS, STRANGER_KB = 1000, 40
SILENT, DRIPPING, UNREADING = 500, 50, 20
ROUNDS = 20				# seconds of the server's clock
CROWD_S = 10				# of processor time, for all processes
NETWORK = 50				# connections of each network of the crowd
DEFAULTS = {"network_connection_rate": None, "network_message_rate": None, "network_recipient_rate": None}
QUICK_MS = 50				# for 95 of 100 commands of an honest client


class Visitor:
	"""A client of the crowd: it comes back when it is sent away, and never waits for anything."""

	def __init__(self, server, source):
		self.server, self.source = server, source
		self.sock = None
		self.come()

	def come(self):
		self.sock = socket.socket()
		self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
		self.sock.bind((self.source, 0))
		self.sock.connect(self.server.address)
		self.sock.setblocking(False)

	def sent_away(self):
		"""Whether the server has closed; what it said is thrown away."""
		try:
			while True:
				if not self.sock.recv(65536):
					return True
		except BlockingIOError:
			return False
		except OSError:
			return True

	def send(self, data):
		try:
			return self.sock.send(data)
		except (BlockingIOError, OSError):
			return 0

	def again(self):
		if self.sent_away():
			self.sock.close()
			self.come()

	def drip(self):
		"""A byte, of a command or of a body."""
		self.again()
		self.send(b"N")


class Honest:
	"""
	A small mail in a session of its own, each command's time measured: but for how long we and those who have a part in the answer
	were ready to run and no processor was free, which is other programs' doing.
	"""

	def __init__(self, server):
		self.server = server
		pids = server.pids()
		self.pids = [pids[name] for name in ("smtpd", "lookup", "queue")]
		self.times = []
		self.promised = []

	def kept_ms(self):
		kept = 0
		for path in ["/proc/thread-self/schedstat", *(p for pid in self.pids for p in glob.glob(f"/proc/{pid}/task/*/schedstat"))]:
			with open(path) as f:
				kept += int(f.read().split()[1])
		return kept / 1e6

	def timed(self, what, *arguments):
		kept, started = self.kept_ms(), time.monotonic()
		what(*arguments)
		took = (time.monotonic() - started) * 1000
		self.times.append(took - self.kept_ms() + kept)

	def mail(self, source):
		mark = f"honest-{len(self.promised)}-{os.urandom(4).hex()}"
		with mt.Client(self.server.address, source) as client:
			self.timed(client.expect, 220)
			for command, code in (("EHLO honest.example", 250), ("MAIL FROM:<honest@honest.example>", 250),
			    (f"RCPT TO:<alice@{mt.DOMAIN}>", 250), ("DATA", 354), (f"Subject: {mark}\r\n\r\nbody\r\n.", 250), ("QUIT", 221)):
				self.timed(client.say, command, code)
		self.promised.append(mark.encode())

	def all_arrived(self):
		self.server.log.wait_for(lambda: all(any(p in m for m in self.server.mailbox("alice")) for p in self.promised),
			"a promised mail has not arrived")

	def usual_ms(self):
		"""What 95 of 100 commands do not exceed."""
		return sorted(self.times)[len(self.times) * 95 // 100]


def sources(first, count):
	"""Addresses for so many clients, NETWORK of them in each /24."""
	return [f"127.{first}.{i // NETWORK}.{i % NETWORK + 1}" for i in range(count)]


@contextlib.contextmanager
def in_memory():
	"""A folder for a spool that no disk makes slow, where there is one."""
	with tempfile.TemporaryDirectory(prefix="minimta-crowd.", dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as folder:
		os.chmod(folder, 0o755)
		yield os.path.join(folder, "spool")


def crowd(connections):
	"""Hundreds of bad clients who come back at once when they are sent away; two honest ones a second, one of them unknown."""
	settings = {**DEFAULTS, "connections": str(connections)}
	with in_memory() as spool, mt.Server(replace=settings, spool=spool) as server:
		honest = Honest(server)
		honest.mail("127.0.0.1")
		silent = [Visitor(server, s) for s in sources(10, SILENT)]
		dripping = [Visitor(server, s) for s in sources(11, DRIPPING)]
		unreading = [Visitor(server, s) for s in sources(12, UNREADING)]
		for visitor in unreading:
			visitor.send(b"EHLO x\r\n" + b"HELP\r\n" * 90)
		server.move_clock(10)
		for i in range(ROUNDS):
			server.move_clock(1)
			for visitor in silent:
				visitor.again()
			for visitor in dripping:
				visitor.drip()
			honest.mail("127.0.0.1")
			honest.mail(f"127.20.{i}.1")
		honest.all_arrived()
		for visitor in silent + dripping + unreading:
			visitor.sock.close()
		return honest, sum(processor_s(pid) for pid in server.pids().values())


def honest_is_served(connections):
	honest, spent = crowd(connections)
	if mt.SANITIZED:
		return
	if honest.usual_ms() > QUICK_MS:
		raise mt.Failed(f"of {len(honest.times)} commands 95 % took up to {honest.usual_ms():.0f} ms, expected {QUICK_MS}")
	if spent > CROWD_S:		# where many spin, nobody is to blame for who waits
		raise mt.Failed(f"a crowd costs {spent:.1f} s of processor time, expected {CROWD_S}")


def status(server):
	"""What smtpd says of itself."""
	first, body = server.ask("status")
	line = next((line for line in (first + "\n" + body).splitlines() if "smtpd" in line), None)
	if line is None:
		raise mt.Failed(f"status has no smtpd: {first} {body}")
	return line


def processor_s(pid):
	with open(f"/proc/{pid}/stat") as f:
		text = f.read()
	fields = text[text.rindex(")") + 2:].split()
	return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def open_mail(server, source, command=None):
	"""A session with a recipient, and 0 or the code with which it stopped before that."""
	client = mt.Client(server.address, source)
	for what, wanted in ((None, 220), ("EHLO x.example", 250), ("MAIL FROM:<x@x.example>", 250),
	    (f"RCPT TO:<bob@{mt.DOMAIN}>", 250), *([(command, 354)] if command else [])):
		if what:
			client.send(what + "\r\n")
		code, _ = client.reply()
		if code != wanted:
			return client, code
	return client, 0


def never_reads():
	"""ATTACKS 62: replies pile up to a bound, then nothing more is read from that client, and after a minute it is dropped."""
	with mt.Server(replace={"trusted_networks": '{"127.0.9.0/24"}'}) as server:
		client, _ = open_mail(server, "127.0.9.1")
		client.sock.setblocking(False)
		command = f"RCPT TO:<bob@{mt.DOMAIN}>\r\n".encode()
		sent, refused = 0, 0
		while refused < 50:		# 50 times in a row not a byte could be sent: the server does not read any more
			try:
				sent += client.sock.send(command * 500)
				refused = 0
			except BlockingIOError:
				refused += 1
				time.sleep(0.01)
			if sent > 200 * 1024 * 1024:
				raise mt.Failed("smtpd reads on without end")
		held = int(re.search(r"memory=(\d+)", status(server)).group(1))
		if held > 200 * 1024:
			raise mt.Failed(f"smtpd holds {held} bytes for a client that does not read")
		server.honest_mail()
		server.move_clock(61)
		server.log.wait(r"event=session client=127\.0\.9\.1 .*reason=does-not-read")
		server.honest_mail()
		client.sock.close()


def descriptors_run_out():
	"""ATTACKS 63: 421 or another's place, never a spin, never a client that hangs."""
	with mt.Server() as server:
		pid = server.pids()["smtpd"]
		server.honest_mail()
		limit(pid, "--nofile=48:48")
		before = processor_s(pid)
		clients, codes = [], []
		for i in range(80):
			client, code = open_mail(server, f"127.0.30.{i + 1}" if i < 40 else f"127.0.31.{i + 1}")
			clients.append(client)
			codes.append(code)
		if not set(codes) <= {0, 421, 451} or 0 not in codes or 421 not in codes:
			raise mt.Failed(f"replies: {codes}")
		server.log.wait(r"event=turned-away client=127\.0\.3\d\.\d+ .*reason=descriptors")
		for client in clients:
			client.sock.close()
		server.log.wait(r"event=session .*reason=client-left", count=len(clients) - codes.count(421))
		server.honest_mail()
		# The same places taken by those who sit idle: they make room.
		idle = [mt.Client(server.address, f"127.0.32.{i + 1}") for i in range(45)]
		server.move_clock(11)
		server.honest_mail()
		server.honest_mail()
		spent = processor_s(pid) - before
		if spent > (10 if mt.SANITIZED else 2):
			raise mt.Failed(f"smtpd has used {spent} s")
		for client in idle:
			client.sock.close()


def limit(pid, what):
	"""prlimit(2) by the process' own user: root may lack the capability for others' limits."""
	with open(f"/proc/{pid}/status") as f:
		text = f.read()
	own = {}
	if os.geteuid() == 0:
		own = {"user": int(re.search(r"Uid:\s+(\d+)", text).group(1)), "group": int(re.search(r"Gid:\s+(\d+)", text).group(1)),
			"extra_groups": []}
	mt.run(["prlimit", "--pid", str(pid), what], **own)


def memory_of(pid):
	with open(f"/proc/{pid}/status") as f:
		return int(re.search(r"VmSize:\s+(\d+) kB", f.read()).group(1)) * 1024


def fill(server, count, size):
	"""Sessions with so much of a body each, none complete: those that got so far, and the codes of all."""
	clients, codes = [], []
	for i in range(count):
		try:
			client, code = open_mail(server, f"127.0.{40 + i // 40}.{i % 40 + 1}", "DATA")
		except mt.Failed:		# closed: smtpd has been started anew
			client, code = None, -1
		codes.append(code)
		if client and code:
			client.sock.close()
		elif client:
			client.send(f"Subject: filler {i}\r\n\r\n" + ("x" * 70 + "\r\n") * (size // 72))
			clients.append((i, client))
	return clients, codes


def finish(clients):
	"""The final dots; returns the numbers of those acknowledged. Who does not get 250 gets 4xx, or its connection ends."""
	promised = []
	for i, client in clients:
		client.send(".\r\n")
		try:
			code, lines = client.reply()
			if code == 250:
				promised.append(i)
			elif not 400 <= code < 500:
				raise mt.Failed(f"filler {i} got {code} {lines}")
		except mt.Failed as e:
			if "was closed" not in str(e):
				raise
		client.sock.close()
	return promised


def expect_fillers(server, promised):
	def arrived():
		mails = server.mailbox("bob")
		return all(sum(f"Subject: filler {i}\r\n".encode() in m.replace(b"\n", b"\r\n").replace(b"\r\r", b"\r") for m in mails) == 1
			for i in promised)
	server.log.wait_for(arrived, "an acknowledged mail is not there exactly once")


def memory_runs_out():
	"""ATTACKS 67: the kernel gives no more. What is refused is refused for now; what was acknowledged arrives."""
	if mt.SANITIZED:		# its shadow memory is larger than any limit
		return
	with mt.Server() as server:
		server.honest_mail()
		pid = server.pids()["smtpd"]
		limit(pid, f"--as={memory_of(pid) + 2 * 1024 * 1024}:")
		clients, codes = fill(server, 80, 100 * 1024)
		promised = finish(clients)
		if len(promised) == 80:
			raise mt.Failed("there was memory for all of it; the test tests nothing")
		server.log.wait(r"smtpd: event=memory-low")
		limit(pid, "--as=unlimited:")
		if server.log.find(r"event=died process=smtpd"):
			raise mt.Failed("smtpd has not survived it")
		server.wait_mail("alice")
		server.honest_mail()
		expect_fillers(server, promised)


def session_memory():
	"""The configured bound: beyond it no mail is begun, what was begun ends well, and then there is room again."""
	with mt.Server(replace={"session_memory": "4M"}) as server:
		clients, codes = fill(server, 60, 100 * 1024)
		if not set(codes) <= {0, 452} or codes[-1] != 452 or len(clients) < 20:
			raise mt.Failed(f"replies: {codes}")
		promised = finish(clients)
		if len(promised) != len(clients):
			raise mt.Failed(f"of {len(clients)} mails {len(promised)} were acknowledged")
		server.honest_mail()
		expect_fillers(server, promised)
		server.log.wait(r"event=session .*reason=client-left", count=len(clients))
		if int(re.search(r"memory=(\d+)", status(server)).group(1)) > 64 * 1024:
			raise mt.Failed("smtpd still holds " + status(server))


def strangers_wait():
	"""
	A thread that sleeps for each client is a mistake of others: here a thousand wait for their greeting, at some kilobytes each, and
	one who is known does not.
	"""
	with mt.Server(config='filter "greylist" { mode = off }\nfilter "early" { delay = 30s }\n', replace={**DEFAULTS, "filters": "yes",
	    "connections": "2500"}) as server:
		with server.hurry():
			server.honest_mail()		# it is known from now on
		pid = server.pids()["smtpd"]
		before, processor = memory_of(pid), processor_s(pid)
		waiting = [mt.Client(server.address, source) for source in sources(30, STRANGERS)]
		for client in waiting:
			client.line()			# the first line of two
		if f"delayed={STRANGERS} " not in status(server):
			raise mt.Failed(f"not all wait: {status(server)}")
		grown, used = memory_of(pid) - before, processor_s(pid) - processor
		if grown > STRANGERS * STRANGER_KB * 1024 and not mt.SANITIZED:
			raise mt.Failed(f"smtpd has grown by {grown >> 10} KiB for {STRANGERS} who wait")
		server.honest_mail()			# the clock stands still: whoever waits is not served
		if f"delayed={STRANGERS} " not in status(server) or used > 5:
			raise mt.Failed(f"{used} s of processor time, {status(server)}")
		server.move_clock(30.1)
		for client in waiting:
			client.data = b""
			client.expect(220)
			client.sock.close()


CASES = {
	"crowd with places enough": (honest_is_served, 1000),
	"crowd for few places": (honest_is_served, 300),
	"never reads": (never_reads,),
	"descriptors run out": (descriptors_run_out,),
	"memory runs out": (memory_runs_out,),
	"session memory": (session_memory,),
	"strangers wait": (strangers_wait,),
}


def main():
	options = argparse.ArgumentParser(description="Crowds of clients, and what runs out.")
	options.add_argument("-v", action="store_true", help="tell passed cases too")
	options.add_argument("names", nargs="*", help="words of cases")
	options = options.parse_args()
	soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
	resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
	report = mt.Report(options.v)
	for name, (case, *arguments) in CASES.items():
		if not options.names or any(word in name for word in options.names):
			report.case(name, case, *arguments)
	return report.finish()


if __name__ == "__main__":
	sys.exit(main())
