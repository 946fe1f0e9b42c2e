#!/usr/bin/python3
"""
Trouble with the disk: a full one, and a spool that somebody or something has damaged while the server was stopped.

	tests/disk.py [-v]

The full disk is a small file system on a loop device and needs root; damage does not. ATTACKS 65 and 69.
"""
import argparse
import concurrent.futures
import glob
import os
import random
import sys

import fake_dns
import minimta_test as mt
import sink
import stream

QUEUED = 12		# mails in a spool that is damaged
DAMAGED_AT_ONCE = 6


class Spool:
	"""A server whose mail for far.example waits, as long as `hold` is in force."""

	def __init__(self, folder=None):
		self.far = sink.Sink("127.0.0.2", 0, ["mail reply 451 4.7.1 not now"])
		self.dns = fake_dns.FakeDNS([f"{stream.REMOTE} MX 10 mx.{stream.REMOTE}", f"mx.{stream.REMOTE} A 127.0.0.2"])
		self.server = mt.Server(folder=folder, replace={"segment_size": "1M", "trusted_networks": '{"127.0.0.0/8"}',
			"deliver_to_private_mx": "yes", "smtp_port": str(self.far.port), "dns_servers": f'{{"127.0.0.1:{self.dns.port}"}}'})
		self.promises = []

	def send(self, label, recipient, size=stream.SMALL):
		"""The code of the reply that decided."""
		promise = stream.Promise(label, size, [recipient])
		with mt.Client(self.server.address) as c:
			c.expect(220)
			c.say("EHLO disk.example", 250)
			c.send(f"MAIL FROM:<s@disk.example> SIZE={size}\r\nRCPT TO:<{recipient}>\r\n")
			code, _ = c.reply()
			if code != 250:
				return code
			code, _ = c.reply()
			if code != 250:
				return code
			c.say("DATA", 354)
			lines = [f"Subject: {label}", f"X-Size: {size}", "", *stream.body_of(label, size)]
			c.send("".join(("." + line if line.startswith(".") else line) + "\r\n" for line in lines) + ".\r\n")
			code, _ = c.reply()
		if code == 250:
			self.promises.append(promise)
		return code

	def release(self):
		self.far.clear()
		return stream.settle(self.server, self.promises, [self.far])

	def close(self, check=True):
		self.far.close()
		self.dns.close()
		self.server.close(check)


# A full disk.

def full_disk():
	"""452 while there is no room, deliveries go on, and all recovers by itself."""
	import powercut
	disk = powercut.Disk()
	spool = None
	try:
		folder = os.path.join(disk.folder, "minimta")
		os.mkdir(folder)
		os.chmod(folder, 0o755)
		spool = Spool(folder)
		for n in range(5):
			expect("a mail while there is room", spool.send(f"early{n}", f"u{n}@{stream.REMOTE}"), 250)
		fill(disk.folder)
		# What was reserved may still take some.
		codes = []
		while len(codes) < 3000 and (not codes or codes[-1] == 250):
			codes.append(spool.send(f"more{len(codes)}", f"m{len(codes)}@{stream.REMOTE}", 60 * 1024))
		expect(f"the reply when the disk is full, after {len(codes) - 1} mails", codes[-1], 452)
		expect("a large mail on a full disk", spool.send("large", f"l@{stream.REMOTE}", 4 << 20), 452)
		spool.far.clear()
		verdict = stream.settle(spool.server, spool.promises, [spool.far])
		if verdict.lost or verdict.torn:
			raise mt.Failed(f"not delivered from a full disk: {verdict.lost[:5]} {verdict.torn[:2]}; the last log lines:\n" +
				"\n".join(spool.server.log.lines[-10:]))
		os.unlink(os.path.join(disk.folder, "filler"))
		spool.server.move_clock(600)
		spool.server.log.wait_for(lambda: spool.send(f"after{len(spool.promises)}", f"alice@{mt.DOMAIN}") == 250,
			"no mail is taken although there is room again")
		spool.server.honest_mail()
		spool.close()
		spool = None
	finally:
		if spool:
			spool.close(check=False)
		disk.remove()


class Small:
	"""A tmpfs with so many bytes and files, for the server's folder."""

	def __init__(self, options):
		self.folder = mt.temporary("small-")
		mt.run(["mount", "-t", "tmpfs", "-o", f"{options},mode=755", "tmpfs", self.folder])

	def remove(self):
		mt.run(["umount", self.folder])
		os.rmdir(self.folder)


def use_up_inodes(folder):
	"""Empty files until there is no room for another; returns their folder."""
	where = os.path.join(folder, "files")
	os.mkdir(where)
	try:
		for n in range(1 << 20):
			with open(os.path.join(where, str(n)), "wb"):
				pass
	except OSError:
		pass
	return where


def no_inodes():
	"""
	No file can be made: what has room in open segments is taken, a large mail is 452 at once, and so is all when a new
	segment would be needed. Mail that waits goes out, and all recovers by itself, twice.
	"""
	disk = Small("size=96m,nr_inodes=400")
	spool = None
	try:
		folder = os.path.join(disk.folder, "minimta")
		os.mkdir(folder)
		os.chmod(folder, 0o755)
		spool = Spool(folder)
		for n in range(5):
			expect("a mail while there is room", spool.send(f"early{n}", f"u{n}@{stream.REMOTE}"), 250)
		for turn in range(2):
			files = use_up_inodes(disk.folder)
			codes = []
			while len(codes) < 10 and (not codes or codes[-1] == 250):	# the server may just have given one back
				codes.append(spool.send(f"large{turn}x{len(codes)}", f"l@{stream.REMOTE}", 1 << 20))
			expect(f"the reply to a large mail without inodes, after {len(codes) - 1} of them", codes[-1], 452)
			codes = []
			while len(codes) < 400 and (not codes or codes[-1] == 250):
				codes.append(spool.send(f"more{turn}x{len(codes)}", f"m{len(codes)}@{stream.REMOTE}", 60 * 1024))
			expect(f"the reply without inodes, after {len(codes) - 1} mails", codes[-1], 452)
			spool.far.clear()
			verdict = stream.settle(spool.server, spool.promises, [spool.far])
			if verdict.lost or verdict.torn:
				raise mt.Failed(f"not delivered without inodes: {verdict.lost[:5]} {verdict.torn[:2]}; the last log lines:\n" +
					"\n".join(spool.server.log.lines[-10:]))
			for name in os.listdir(files):
				os.unlink(os.path.join(files, name))
			os.rmdir(files)
			spool.server.move_clock(600)
			spool.server.log.wait_for(lambda: spool.send(f"after{turn}x{len(spool.promises)}", f"alice@{mt.DOMAIN}") == 250,
				"no mail is taken although files can be made again")
			spool.server.honest_mail()
			expect("a large mail again", spool.send(f"big{turn}", f"alice@{mt.DOMAIN}", 1 << 20), 250)
			verdict = stream.settle(spool.server, spool.promises, [spool.far])
			if verdict.lost or verdict.torn:
				raise mt.Failed(f"not delivered in the end: {verdict.lost[:5]} {verdict.torn[:2]}")
		spool.close()
		spool = None
	finally:
		if spool:
			spool.close(check=False)
		disk.remove()


def fill(folder):
	block = b"x" * (1 << 20)
	with open(os.path.join(folder, "filler"), "wb", buffering=0) as f:
		try:
			while True:
				f.write(block)
		except OSError:
			block = b"x" * 4096
		try:
			while True:
				f.write(block)
		except OSError:
			pass


def expect(what, got, wanted):
	if got != wanted:
		raise mt.Failed(f"{what}: {got}, expected {wanted}")


# What filters remember.

QUIET = "".join(f'filter "{name}" {{ mode = off }}\n' for name in ("early", "throttle", "penalty", "pipelining"))


def answer_to(server, sender):
	"""The code of the reply to RCPT, in a session of its own."""
	with mt.Client(server.address) as c:
		c.expect(220)
		c.say("EHLO client.example", 250)
		c.say(f"MAIL FROM:<{sender}>", 250)
		c.send(f"RCPT TO:<alice@{mt.DOMAIN}>\r\n")
		code, _ = c.reply()
		c.say("QUIT", 221)
	return code


def forgetful():
	"""Without room on the disk strangers are deferred and let in as ever, it is said once, and all is written in the end."""
	disk = Small("size=96m")
	dns = fake_dns.FakeDNS([])
	server = None
	try:
		folder = os.path.join(disk.folder, "minimta")
		os.mkdir(folder)
		os.chmod(folder, 0o755)
		server = mt.Server(config=QUIET, folder=folder, replace={"filters": "yes", "segment_size": "1M",
			"dns_servers": f'{{"127.0.0.1:{dns.port}"}}'})
		expect("a stranger", answer_to(server, "before@far.example"), 450)
		server.log.wait("event=memory-read")
		fill(disk.folder)
		for n in range(26 * 26):		# what a page of the file still has room for
			if any("event=memory-not-written" in line for line in server.log.lines):
				break
			expect("a stranger while the disk is full", answer_to(server, f"{chr(97 + n % 26)}{chr(97 + n // 26)}@far.example"), 450)
		server.log.wait("event=memory-not-written")
		for _ in range(3):
			server.move_clock(100)
			expect("a stranger while the disk is full", answer_to(server, "full@far.example"), 450)
		server.move_clock(200)
		expect("who came again", answer_to(server, "before@far.example"), 250)
		expect("who has waited while the disk was full", answer_to(server, "full@far.example"), 250)
		expect("how often it was said", sum("event=memory-not-written" in line for line in server.log.lines), 1)
		os.unlink(os.path.join(disk.folder, "filler"))
		server.move_clock(61)
		server.log.wait("event=memory-written")
		server.stop()
		server.start()
		expect("who has waited, after a restart", answer_to(server, "full@far.example"), 250)
		server.close()
		server = None
	finally:
		if server:
			server.close(False)
		dns.close()
		disk.remove()


# Damage.

def flip(data, rng):
	at = rng.randrange(len(data))
	return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1:]


def cut(data, rng):
	return data[:rng.randrange(len(data))]


def zeros(data, rng):
	at = rng.randrange(len(data)) & ~511
	return data[:at] + bytes(min(4096, len(data) - at)) + data[at + 4096:]


def garbage(data, rng):
	at = rng.randrange(len(data)) & ~511
	return data[:at] + rng.randbytes(min(4096, len(data) - at)) + data[at + 4096:]


def doubled(data, rng):
	"""A stale copy of one block in another's place."""
	a, b = (rng.randrange(max(1, len(data) // 4096)) * 4096 for _ in range(2))
	return data[:a] + data[b:b + 4096] + data[a + 4096:]


def empty(data, rng):
	return b""


def used_part(data):
	"""Segments are allocated whole: what lies behind their records is zeros, and damage there is none."""
	end = len(data.rstrip(b"\0"))
	return min(len(data), (end + 4095) & ~4095)


def queue_check(spool, wanted):
	done = mt.run([os.path.join(mt.BIN, "queue"), "--check", spool.server.spool], check=False)
	if done.returncode not in wanted:
		raise mt.Failed(f"queue --check: exit {done.returncode}, expected {wanted}\n{done.stdout[-2000:]}")
	return done.stdout


def damaged(name, how, seed):
	"""Whatever is broken: the server starts, says so where something is missing, and what is whole arrives whole."""
	rng = random.Random(f"{name}{seed}")
	spool = Spool()
	try:
		for n in range(QUEUED):
			expect("a mail for the queue", spool.send(f"d{n}", f"u{n}@{stream.REMOTE}", stream.LARGE if n == 5 else stream.SMALL * (n + 1)), 250)
		spool.server.log.wait("event=deferred", count=QUEUED)
		spool.server.stop()
		queue_check(spool, (0,))
		files = [p for p in sorted(glob.glob(os.path.join(spool.server.spool, "*/*"))) if os.path.getsize(p) and not p.endswith("spare")]
		path = files[seed % len(files)]
		with open(path, "rb") as f:
			data = f.read()
		used = used_part(data)
		broken = how(data[:used], rng) + data[used:]
		with open(path, "r+b") as f:
			f.truncate(0)
			f.write(broken)
		queue_check(spool, (0, 1))
		spool.server.start()
		spool.server.honest_mail()
		spool.far.clear()
		spool.server.move_clock(4 * 3600)
		verdict = wait_for_rest(spool)
		if verdict.torn:
			raise mt.Failed(f"{os.path.basename(path)}: delivered torn: {verdict.torn[:2]}")
		if verdict.lost and not spool.server.log.find("event=spool|event=unreadable|event=damage"):
			raise mt.Failed(f"{os.path.basename(path)}: {len(verdict.lost)} mails are gone and the log does not say so")
		if len(verdict.lost) > 6 and how in (flip, zeros, garbage, doubled):
			raise mt.Failed(f"{os.path.basename(path)}: one damaged place cost {len(verdict.lost)} of {QUEUED} mails: {verdict.lost}")
		spool.close()
		spool = None
	finally:
		if spool:
			spool.close(check=False)


def wait_for_rest(spool):
	"""Until the queue is empty, or nothing is done any more: what has not arrived by then is lost."""
	state = {"quiet": 0, "mark": 0}

	def looked():
		mark = spool.server.log.mark()
		rests = mark == state["mark"] and spool.server.at_rest()
		state.update(mark=mark, quiet=state["quiet"] + 1 if rests else 0)
		return state["quiet"] >= 20 or " messages=0 " in spool.server.ask("status")[1]
	spool.server.log.wait_for(looked, "the queue does not come to rest")
	return stream.Verdict(spool.promises, spool.server, [spool.far])


def main():
	options = argparse.ArgumentParser(description="Trouble with the disk.")
	options.add_argument("-v", action="store_true")
	report = mt.Report(options.parse_args().v)
	if os.geteuid() == 0:
		report.case("a full disk", full_disk)
		report.case("a disk without inodes", no_inodes)
		report.case("a full disk and what filters remember", forgetful)
	with concurrent.futures.ThreadPoolExecutor(DAMAGED_AT_ONCE) as pool:		# they mostly wait for what does not come
		for how in (flip, cut, zeros, garbage, doubled, empty):
			for seed in range(3):
				pool.submit(report.case, f"damaged spool: {how.__name__} {seed}", damaged, how.__name__, how, seed)
	return report.finish()


if __name__ == "__main__":
	sys.exit(main())
