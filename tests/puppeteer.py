"""
The test's side of lib/puppet.c: a server whose processes do, from inside their sandboxes, what they are told. A Puppet is
one process; it makes system calls with numbers, bytes and descriptors of its own as arguments. System calls' numbers are
libseccomp's, so that nothing here knows the machine. Used by puppet.py, puppet_deeds.py and puppet_lies.py.
"""
import ctypes
import os
import re
import socket
import struct
import threading

import minimta_test as mt

CALL, WRITE, READ, PEERS, HOLD, GO_ON = range(1, 7)
MEMORY = 256 * 1024
HEADERS = os.path.join(mt.TOP, "lib/messages.h")

seccomp = ctypes.CDLL("libseccomp.so.2")


def number(name):
	"""A system call's number; negative where this machine does not have it."""
	return seccomp.seccomp_syscall_resolve_name(name.encode())


class Died(mt.Failed):
	"""The puppet has ended while it was asked."""


class Puppet:
	def __init__(self, sock):
		self.sock = sock
		self.proc, self.pid, self.memory = struct.unpack("<3Q", self.take(24))
		self.name = PROCS[self.proc]
		self.used = 0

	def take(self, size):
		data = b""
		while len(data) < size:
			try:
				piece = self.sock.recv(size - len(data))
			except ConnectionResetError:
				piece = b""
			except socket.timeout:
				raise mt.Failed(f"{self.name} does not answer")
			if not piece:
				raise Died("the puppet has gone")
			data += piece
		return data

	def ask(self, operation, *numbers, more=b""):
		numbers = [n & (1 << 64) - 1 for n in numbers]
		try:
			self.sock.sendall(struct.pack("<8Q", operation, *numbers, *[0] * (7 - len(numbers))) + more)
		except (BrokenPipeError, ConnectionResetError):
			raise Died("the puppet has gone")
		return struct.unpack("<q", self.take(8))[0]

	def put(self, data):
		"""The address of these bytes in the puppet's memory, until the next call has been made."""
		at, self.used = self.used, self.used + (len(data) + 15) // 16 * 16
		if self.used > MEMORY:
			raise mt.Failed("more than the puppet's memory")
		self.ask(WRITE, at, len(data), more=data)
		return self.memory + at

	def call(self, name, *arguments):
		"""The result, or -errno. Strings and bytes are put into its memory; strings end with a NUL there."""
		self.used = max(self.used, 4096)	# below: what the puppet itself writes
		numbers = []
		for a in arguments:
			if isinstance(a, str):
				a = a.encode() + b"\0"
			numbers.append(self.put(a) if isinstance(a, bytes) else a)
		if number(name) < 0:
			return -38
		result = self.ask(CALL, number(name), *numbers)
		self.used = 0
		return result

	def read(self, address, size):
		n = self.ask(READ, address - self.memory, size)
		return self.take(n)

	def channels(self):
		"""{(name, instance): descriptor} of its channels to peers."""
		n = self.ask(PEERS)
		return {(PROCS[proc], instance): fd for proc, instance, fd in struct.iter_unpack("<3I", self.read(self.memory, n * 12))}

	def peers(self):
		"""{name: descriptor}, the newest of each; master's is always 3."""
		return {"minimta": 3, **{name: fd for (name, _), fd in sorted(self.channels().items())}}

	def send(self, fd, data, passed=None):
		"""Bytes on a descriptor, and with them another descriptor."""
		control = b"" if passed is None else struct.pack("<Qiiixxxx", 20, socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)
		self.used = 4096
		iov = self.put(struct.pack("<QQ", self.put(data), len(data)))
		to = self.put(control) if control else 0
		return self.call("sendmsg", fd, struct.pack("<QIIQQQQQ", 0, 0, 0, iov, 1, to, len(control), 0), 0x4000)

	def send_all(self, fd, data):
		"""However long the other side takes."""
		while data:
			n = self.send(fd, data)
			if n > 0:
				data = data[n:]
			elif self.call("poll", struct.pack("<ihh", fd, 4, 0), 1, 5000) != 1:
				raise mt.Failed(f"nobody reads what {self.name} says")

	def hold(self):
		self.ask(HOLD)

	def go_on(self):
		self.ask(GO_ON)

	def receive(self, fd, peek=False):
		"""While held: the next message from a peer as (type's name, id, payload). The process sees it only after a peek."""
		self.used = 4096
		events = struct.pack("<ihh", fd, 1, 0)
		if self.call("poll", events, 1, 5000) != 1:
			raise mt.Failed(f"nobody answers {self.name}")
		self.used = 8192
		n = self.call("recvfrom", fd, self.memory + 8192, 65536, 2 if peek else 0, 0, 0)
		data = self.read(self.memory + 8192, max(n, 0))
		if len(data) < 16:
			raise mt.Failed(f"{self.name} received {data!r}")
		size, kind, _, ident = struct.unpack("<IHHQ", data[:16])
		return MESSAGES[kind - 1].name, ident, data[16:16 + size]


class Stage(mt.Server):
	"""A server whose processes are puppets, each found by its name, also after it was restarted."""

	def __init__(self, **more):
		self.puppets = {}
		self.born = {}		# how many of each: what master calls its instance
		self.came = threading.Condition()
		self.place = mt.temporary("p-")
		path = os.path.join(self.place, "puppets")
		self.listener = socket.socket(socket.AF_UNIX)
		self.listener.bind(path)
		self.listener.listen(64)
		threading.Thread(target=self.accept, daemon=True).start()
		super().__init__(env={"MINIMTA_PUPPET": path}, **more)

	def accept(self):
		while True:
			try:
				sock, _ = self.listener.accept()
			except OSError:
				return
			sock.settimeout(mt.DEADLINE)
			try:
				puppet = Puppet(sock)
			except mt.Failed:
				continue
			with self.came:
				self.born[puppet.name] = puppet.instance = self.born.get(puppet.name, 0) + 1
				self.puppets[puppet.name] = puppet
				self.came.notify_all()

	def puppet(self, name, not_pid=None):
		def is_there():
			p = self.puppets.get(name)
			return p is not None and p.pid != not_pid and mt.alive(p.pid)
		with self.came:
			if not self.came.wait_for(is_there, mt.DEADLINE):
				raise mt.Failed(f"{name} has not come" + ("" if not_pid is None else " back"))
			return self.puppets[name]

	def channel(self, puppet, name):
		"""Its channel to the peer that runs now, which master may still be about to introduce."""
		if name == "minimta":
			return 3
		peer = name, self.puppet(name).instance
		return self.log.wait_for(lambda: puppet.channels().get(peer), f"{puppet.name} has no channel to {peer}")

	def await_restart(self, name, pid, since):
		"""Past the pause before a restart, by the clock; then the process that has taken its place."""
		self.log.wait(rf"event=died process={name} pid={pid}\b", since)
		self.move_clock(62)
		puppet = self.puppet(name, not_pid=pid)
		self.log.wait(rf"event=restarted process={name} pid={puppet.pid}\b", since)
		return puppet

	def close(self, check=True):
		self.listener.close()
		try:
			super().close(check=False)
			bad = [line for line in self.log.lines if re.search("AddressSanitizer|LeakSanitizer|runtime error:", line)]
			if bad:
				raise mt.Failed("\n".join(bad[:20]))
		finally:
			mt.shutil.rmtree(self.place, ignore_errors=True)


class Message:
	"""A row of the table in lib/messages.h."""

	def __init__(self, kind, row):
		self.kind = kind
		self.name, self.sender, self.receiver, self.phase, least, most, fd = row
		self.least, self.most = int(least), {"MSG_PAYLOAD_MAX": 160 * 1024}.get(most) or int(most)
		self.with_fd = fd == "FD"

	def fits(self, sender, receiver):
		"""Whether the table allows it from one to the other while both run."""
		return sender in SETS[self.sender] and receiver in SETS[self.receiver] and self.phase != "START"


def message(name):
	return next(m for m in MESSAGES if m.name == name)


def frame(kind, payload=b"", ident=0, with_fd=0, size=None):
	return struct.pack("<IHBBQ", len(payload) if size is None else size, kind, with_fd, 0, ident) + payload


def words(text):
	"""A string as lib/pack.c writes it."""
	data = text if isinstance(text, bytes) else text.encode()
	return struct.pack("<I", len(data)) + data


def read_headers():
	text = open(HEADERS).read()
	procs = re.findall(r"\bPROC_(\w+),", text[:text.index("PROC_COUNT,")])
	rows = re.findall(r"\tM\((\w+),\s*(\w+),\s*(\w+),\s*(\w+),\s*(\w+),\s*(\w+),\s*(NOFD|FD)\)", text)
	name = lambda p: {"MASTER": "minimta"}.get(p, p.lower())
	return [name(p) for p in procs], [Message(i + 1, (r[0], name(r[1]), name(r[2]), *r[3:])) for i, r in enumerate(rows)]


PROCS, MESSAGES = read_headers()
SETS = {p: {p} for p in PROCS} | {"any": set(PROCS) - {"minimta"}, "agents": {"delivery", "mda"}, "keepers": {"lookup", "queue"},
	"askers": {"smtpd", "delivery"}}
