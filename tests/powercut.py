#!/usr/bin/python3
"""
Power cuts: spool and mailboxes lie on a small ext4 image on a loop device; in the middle of a stream of mail the file
system is told to forget all that was not synced (FS_IOC_SHUTDOWN with NOLOGFLUSH), mounted again, and the server
started on what is left. What was acknowledged must arrive, whole. A build that never syncs (BROKEN=nosync) must be
found out by the same test. Needs root.

	tests/powercut.py [-v]
"""
import argparse
import fcntl
import os
import shutil
import struct
import sys

import minimta_test as mt
import sink
import stream
import fake_dns

FS_IOC_SHUTDOWN = 2 << 30 | struct.calcsize("I") << 16 | ord("X") << 8 | 125	# _IOR('X', 125, __u32)
NOLOGFLUSH = 2
IMAGE_BYTES = 96 << 20
ROUNDS = 4
BROKEN = os.path.join(mt.TOP, "build/broken-nosync/bin")


class Disk:
	"""The image, its mount point, and the switch."""

	def __init__(self):
		self.base = mt.temporary("power-")
		self.image = os.path.join(self.base, "disk.img")
		self.folder = os.path.join(self.base, "mnt")
		os.mkdir(self.folder)
		with open(self.image, "wb") as f:
			f.truncate(IMAGE_BYTES)
		mt.run(["mkfs.ext4", "-q", "-F", "-b", "4096", self.image])
		self.mounted = False
		self.mount()

	def mount(self):
		# A commit interval longer than the test: only what was synced is in the journal.
		mt.run(["mount", "-o", "loop,commit=300", self.image, self.folder])
		os.chmod(self.folder, 0o755)
		self.mounted = True

	def cut(self):
		fd = os.open(self.folder, os.O_RDONLY)
		try:
			fcntl.ioctl(fd, FS_IOC_SHUTDOWN, struct.pack("I", NOLOGFLUSH))
		finally:
			os.close(fd)

	def unmount(self):
		if self.mounted:
			mt.run(["umount", self.folder])
			self.mounted = False

	def remove(self):
		self.unmount()
		shutil.rmtree(self.base)


class Machine:
	"""Disk, name server and next hop; the server is started on it before and after a cut."""

	def __init__(self):
		self.disk = Disk()
		self.far = sink.Sink("127.0.0.2", 0, ["mail reply 451 4.7.1 not now"])
		self.dns = fake_dns.FakeDNS([f"{stream.REMOTE} MX 10 mx.{stream.REMOTE}", f"mx.{stream.REMOTE} A 127.0.0.2"])
		self.server = None

	def start(self):
		self.server = mt.Server(folder=os.path.join(self.disk.folder, "minimta"), replace={
			"segment_size": "1M", "trusted_networks": '{"127.0.0.0/8"}', "deliver_to_private_mx": "yes",
			"smtp_port": str(self.far.port), "dns_servers": f'{{"127.0.0.1:{self.dns.port}"}}'})

	def run_until_cut(self, acknowledged):
		"""Mail until so many are acknowledged, then the power goes. Returns what was promised by then."""
		os.makedirs(os.path.join(self.disk.folder, "minimta"), exist_ok=True)
		os.chmod(os.path.join(self.disk.folder, "minimta"), 0o755)
		mt.run(["sync", "-f", self.disk.folder])
		self.start()
		# The folders made at the first start are the system's business, as an installation's would be.
		mt.run(["sync", "-f", self.disk.folder])
		mail = stream.Stream(self.server, remote=True)
		try:
			mail.wait(acknowledged)
			# What was acknowledged before the power went. (A sync that is under way while the file system is shut down
			# may return success for what is then forgotten; with real power its acknowledgement would not go out.)
			promises = list(mail.promises)
		finally:
			self.disk.cut()
			self.server.kill()
			mail.stop()
		self.server.child = None
		self.disk.unmount()
		self.disk.mount()
		self.far.clear()
		return promises

	def verdict(self, promises, moves=None):
		self.start()
		return stream.settle(self.server, promises, [self.far], moves)

	def close(self):
		try:
			if self.server:
				self.server.stop(check=False)
		finally:
			self.far.close()
			self.dns.close()
			self.disk.remove()


def round_with(acknowledged, moves=None):
	machine = Machine()
	try:
		promises = machine.run_until_cut(acknowledged)
		verdict = machine.verdict(promises, moves)
		log = list(machine.server.log.lines)
	finally:
		machine.close()
	return promises, verdict, log


def honest(acknowledged):
	promises, verdict, log = round_with(acknowledged)
	if verdict.lost or verdict.torn:
		raise mt.Failed(f"of {len(promises)} acknowledged mails {len(verdict.lost)} recipients' are lost, {len(verdict.torn)} torn: "
			f"{verdict.lost[:5]} {verdict.torn[:2]}; the last log lines:\n" + "\n".join(log[-12:]))
	print(f"        power cut after {acknowledged}: {verdict.kept} recipients' mails kept, {verdict.duplicates} twice", flush=True)


def filed():
	"""
	An mbox on a disk of its own. The lock of a delivery that was done, and that queue knows of as done, must not come back
	with the power: the next delivery would cut the mbox back to what it says, and so cut off what was delivered.
	"""
	disk, server = Disk(), None
	try:
		archive = os.path.join(disk.folder, "archive")
		os.mkdir(archive)
		shutil.chown(archive, "_minimta_virtual")
		mt.run(["sync", "-f", disk.folder])
		server = mt.Server(aliases=f"file: {archive}/mbox\n", replace={"command_user": "_minimta_virtual"})
		promises = [stream.Promise(f"filed{i}", stream.SMALL, [f"file@{mt.DOMAIN}"]) for i in range(4)]
		for i, promise in enumerate(promises):
			with mt.Client(server.address) as c:
				c.expect(220)
				c.say("EHLO filed.example", 250)
				stream.Stream.send(c, promise)
			server.log.wait(r"queue: msg=\w+ event=delivered to=file@", count=i % 2 + 1)
			if i == 1:
				server.stop()		# in order, so that queue has noted what was delivered
				disk.cut()
				disk.unmount()
				disk.mount()
				server.start()
		with open(os.path.join(archive, "mbox"), "rb") as f:
			text = f.read()
		lost = [p.id for p in promises if text.count(f"Subject: {p.id}\n".encode()) != 1]
		if lost:
			raise mt.Failed(f"not once in the mbox: {lost}; it has {len(text)} bytes; the last log lines:\n" + "\n".join(server.log.lines[-20:]))
	finally:
		if server:
			server.close(check=False)
		disk.remove()


def nosync():
	"""A build without fdatasync must lose something within a few rounds."""
	mt.run(["make", "-s", "-j2", "BROKEN=nosync", "all"], cwd=mt.TOP)
	good, mt.BIN = mt.BIN, BROKEN
	try:
		for i in range(3):
			_, verdict, _ = round_with(25 + 10 * i, moves=4)
			if verdict.lost:
				print(f"        without fdatasync {len(verdict.lost)} recipients' mails were lost: found out", flush=True)
				return
	finally:
		mt.BIN = good
	raise mt.Failed("the build without fdatasync has lost nothing: this test would not notice")


def main():
	options = argparse.ArgumentParser(description="Power cuts.")
	options.add_argument("-v", action="store_true")
	report = mt.Report(options.parse_args().v)
	if os.geteuid() != 0:
		report.fail("power cuts", "they need root")
		return report.finish()
	for i in range(ROUNDS):
		report.case(f"power cut {i + 1}", honest, (1, 12, 40, 90)[i])
	report.case("a power cut after a delivery to an mbox", filed)
	report.case("a build without fdatasync is found out", nosync)
	return report.finish()


if __name__ == "__main__":
	sys.exit(main())
