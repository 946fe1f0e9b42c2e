"""
Where the bench runs: a mount, network and process namespace of its own, in which the loopback addresses below belong
to nobody else and everything that was started ends with the bench. Here are also postfix' own load generators, run
from a root into which peers.py unpacks Debian's postfix; nothing is installed on the machine.
"""
import os
import re
import shutil
import socket
import subprocess
import sys
import time

import minimta_test as mt
import peers

MINIMTA, POSTFIX, SINK, DEAD, WATCH = "127.0.0.10", "127.0.0.20", "127.0.0.30", "127.0.0.31", "127.0.0.32"
PORT, SINK_PORT = 25, 2525
FORWARDED, DEFERRED, HELD, WATCHED = "to@live.example", "to@dead.example", "to@held.example", "to@watch.example"
# A root of its own: the interop tests' may be unpacked anew at any time.
peers.FOLDER = os.path.join(mt.TOP, "build", "bench")
peers.ROOT = os.path.join(peers.FOLDER, "root")
peers.PACKAGES = ("postfix",)
RUN_SECONDS = 900		# no single step takes longer

PASSWD = """root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534:nobody:/:/bin/false
postfix:x:2101:2101::/var/spool/postfix:/bin/false
"""
GROUP = """root:x:0:
nogroup:x:65534:
postfix:x:2101:
postdrop:x:2102:
"""


def enter():
	"""Starts this program again inside namespaces; returns in there."""
	if os.environ.get("BENCH_INSIDE") == "1":
		mt.run(["ip", "link", "set", "lo", "up"])
		mt.run(["ip", "address", "add", POSTFIX + "/8", "dev", "lo"])	# which postfix looks for
		return
	if os.geteuid() != 0:
		sys.exit("bench: must be run by root: postfix runs in a root folder and as a user of its own")
	peers.unpack()
	os.environ["BENCH_INSIDE"] = "1"
	os.execvp("unshare", ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc",
		sys.executable, *sys.argv])


class World:
	"""The folder with all that the bench writes, and postfix' root with files of the bench's own bound over it."""

	def __init__(self):
		self.folder = mt.temporary("bench-")
		self.children = []
		root = peers.ROOT
		for name in ("etc", "var/spool/postfix", "var/lib/postfix", "var/log"):
			own = os.path.join(self.folder, "postfix", name)
			if name == "etc":
				shutil.copytree(os.path.join(root, name), own, symlinks=True)
			else:
				os.makedirs(own)
			os.makedirs(os.path.join(root, name), exist_ok=True)
			mt.run(["mount", "--bind", own, os.path.join(root, name)])
		mt.run(["mount", "--bind", "/dev", os.path.join(root, "dev")])
		mt.run(["mount", "-t", "proc", "proc", os.path.join(root, "proc")])
		self.write("etc/resolv.conf", "nameserver 127.0.0.53\n")
		self.write("etc/passwd", PASSWD)
		self.write("etc/group", GROUP)
		self.write("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files\n")

	def write(self, path, text):
		with open(os.path.join(peers.ROOT, path), "w") as f:
			f.write(text)

	def inside(self, *command):
		return ["chroot", peers.ROOT, *command]

	def start(self, *command, **more):
		child = subprocess.Popen(self.inside(*command), stdin=subprocess.DEVNULL, start_new_session=True, **more)
		self.children.append(child)
		return child

	def end(self, child):
		if child.poll() is None:
			child.terminate()
			try:
				child.wait(10)
			except subprocess.TimeoutExpired:
				child.kill()
				child.wait()

	def close(self):
		for child in self.children:
			self.end(child)
		for name in ("proc", "dev", "var/log", "var/lib/postfix", "var/spool/postfix", "etc"):
			mt.run(["umount", "--lazy", os.path.join(peers.ROOT, name)], check=False)
		shutil.rmtree(self.folder, ignore_errors=True)


class Sink:
	"""postfix' smtp-sink, which counts the messages that it takes."""

	def __init__(self, world):
		self.world = world
		self.child = world.start("/usr/sbin/smtp-sink", "-u", "nobody", "-c", f"{SINK}:{SINK_PORT}", "1024", stdout=subprocess.PIPE)
		os.set_blocking(self.child.stdout.fileno(), False)
		self.text = b""
		self.messages = 0
		wait_port(SINK, SINK_PORT)

	def count(self):
		"""Messages since the start."""
		while True:
			try:
				piece = os.read(self.child.stdout.fileno(), 65536)
			except BlockingIOError:
				break
			if not piece:
				raise mt.Failed("smtp-sink has ended")
			self.text = self.text[-200:] + piece
		found = re.findall(rb"mesg=\s*(\d+)", self.text)
		if found:
			self.messages = int(found[-1])
		return self.messages

	def wait(self, count, seconds):
		"""Until so many have come; the pipe holds some thousand updates, hence the short pauses."""
		end = time.monotonic() + seconds
		while self.count() < count:
			if time.monotonic() > end:
				raise mt.Failed(f"smtp-sink has {self.messages} messages, expected {count}, after {seconds} s")
			time.sleep(0.004)

	def close(self):
		self.world.end(self.child)


def wait_port(address, port, seconds=60):
	"""Until somebody greets there; seconds that it took."""
	started = time.monotonic()
	while True:
		try:
			with socket.create_connection((address, port), 5) as s:
				if s.recv(3) == b"220":
					return time.monotonic() - started
		except OSError:
			pass
		if time.monotonic() - started > seconds:
			raise mt.Failed(f"nobody greets at {address}:{port}")
		time.sleep(0.002)


def source(world, address, port, to, count, sessions, kept, kib, tick=None):
	"""Sends `count` messages with postfix' smtp-source; seconds from its start to its end."""
	started = time.monotonic()
	child = world.start("/usr/sbin/smtp-source", *(["-d"] if kept else []), "-s", str(sessions), "-m", str(count),
		"-l", str(kib * 1024), "-M", "client.example", "-f", "from@client.example", "-t", to, f"{address}:{port}",
		stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
	while True:
		try:
			child.wait(0.005 if tick else RUN_SECONDS)
			break
		except subprocess.TimeoutExpired:
			if not tick or time.monotonic() - started > RUN_SECONDS:
				world.end(child)
				raise mt.Failed(f"smtp-source needs more than {RUN_SECONDS} s for {count} messages")
			tick()
	took = time.monotonic() - started
	said = child.stderr.read().decode(errors="replace")
	child.stderr.close()
	world.children.remove(child)
	if child.returncode != 0:
		raise mt.Failed(f"smtp-source: exit {child.returncode}: {said[-400:]}")
	return took


def disk_bytes(folder):
	"""Blocks that a folder's files take."""
	return sum(os.stat(os.path.join(at, name)).st_blocks * 512 for at, _, names in os.walk(folder) for name in names)
