"""
A name server for tests, UDP and TCP on one kernel-chosen port of 127.0.0.1. Its zone is a list of lines
"NAME TYPE VALUE" (A, AAAA, MX, CNAME, TXT, PTR, NS); every name below a name in the zone exists, all others do not.

A mode makes it misbehave for a name and all below it ("*" for everything): silence, servfail, refused, garbage,
truncated (UDP only, TCP answers), cut (the packet ends early), wrong-id, wrong-question, loop (a compression loop),
empty (no data), slow (answers only when told to: release()).

put() adds what no line can say: TXT of any bytes in strings of any length, and "TIMEOUT", a name that is silent about all
types that it has no record of.
"""
import ipaddress
import os
import socket
import struct
import threading

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28}


def wire_name(name):
	out = b""
	for label in name.rstrip(".").split("."):
		if label:
			raw = label.encode("utf-8", "surrogateescape").decode("unicode_escape").encode("latin-1")
			out += bytes([len(raw)]) + raw
	return out + b"\0"


def wire_value(kind, value):
	if kind == "A":
		return ipaddress.IPv4Address(value).packed
	if kind == "AAAA":
		return ipaddress.IPv6Address(value).packed
	if kind == "MX":
		preference, _, host = value.partition(" ")
		return struct.pack("!H", int(preference)) + wire_name(host.strip())
	if kind == "TXT" and isinstance(value, list):
		return b"".join(bytes([len(part)]) + part for part in value)
	if kind == "TXT":
		text = value.encode()
		return b"".join(bytes([len(text[i:i + 255])]) + text[i:i + 255] for i in range(0, len(text) or 1, 255))
	return wire_name(value)


class FakeDNS:
	def __init__(self, zone=(), modes=(), address=("127.0.0.1", 0)):
		self.zone = {}
		self.modes = {}
		self.questions = []
		self.released = threading.Event()
		for line in zone:
			self.add(line)
		for line in modes:
			self.set_mode(*line.split())
		while True:		# one port for both: the kernel chooses TCP's, UDP's may be taken
			self.tcp = socket.create_server(address)
			self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
			try:
				self.udp.bind(self.tcp.getsockname())
				break
			except OSError:
				self.tcp.close()
				self.udp.close()
		self.port = self.tcp.getsockname()[1]
		for loop in (self.serve_udp, self.serve_tcp):
			threading.Thread(target=loop, daemon=True).start()

	def add(self, line):
		name, kind, value = line.split(None, 2)
		self.zone.setdefault(name.lower().rstrip("."), []).append((kind.upper(), value))

	def put(self, name, kind, value):
		self.zone.setdefault(name.lower().rstrip("."), []).append((kind, value))

	def set_mode(self, name, mode):
		self.modes[name.lower()] = mode

	def clear_modes(self):
		self.modes = {}

	def release(self):
		self.released.set()

	def mode_of(self, name):
		labels = name.split(".")
		for i in range(len(labels)):
			if ".".join(labels[i:]) in self.modes:
				return self.modes[".".join(labels[i:])]
		return self.modes.get("*")

	def find(self, name, kind):
		"""(answers as (owner, type, value), whether the name exists), following CNAMEs within the zone."""
		answers = []
		for _ in range(12):
			rows = self.zone.get(name)
			if rows is None:
				return answers, bool(answers) or any(n.endswith("." + name) for n in self.zone)
			hits = [(name, k, v) for k, v in rows if k == kind]
			if hits:
				return answers + hits, True
			alias = [v for k, v in rows if k == "CNAME"]
			if not alias:
				return answers, True
			answers.append((name, "CNAME", alias[0]))
			name = alias[0].lower().rstrip(".")
		return answers, True

	def answer(self, packet, tcp):
		"""The packet to send, or None."""
		if len(packet) < 17:
			return None
		labels, at = [], 12
		while packet[at]:
			labels.append(packet[at + 1:at + 1 + packet[at]].decode("latin-1"))
			at += 1 + packet[at]
		number, = struct.unpack("!H", packet[at + 1:at + 3])
		question = packet[12:at + 5]
		name = ".".join(labels).lower()
		kind = {n: k for k, n in TYPES.items()}.get(number, "?")
		self.questions.append((name, kind))
		mode = self.mode_of(name)
		rows = [k for k, _ in self.zone.get(name, ())]
		if mode == "silence" or ("TIMEOUT" in rows and kind not in rows):
			return None
		if mode == "slow":
			self.released.wait()
		identity = packet[:2] if mode != "wrong-id" else bytes(b ^ 0x55 for b in packet[:2])
		if mode == "garbage":
			return identity + os.urandom(80)
		if mode in ("servfail", "refused"):
			return identity + struct.pack("!HHHHH", 0x8180 | (2 if mode == "servfail" else 5), 1, 0, 0, 0) + question
		if mode == "truncated" and not tcp:
			return identity + struct.pack("!HHHHH", 0x8380, 1, 0, 0, 0) + question
		if mode == "wrong-question":
			question = wire_name("other.example") + question[-4:]
		if mode == "loop":
			return identity + struct.pack("!HHHHH", 0x8180, 1, 1, 0, 0) + question + \
				struct.pack("!BBHHIH", 0xC0, len(question) + 12, number, 1, 60, 4) + b"\x7f\0\0\2"
		answers, exists = self.find(name, kind)
		if mode == "empty":
			answers = []
		body = b""
		for owner, k, value in answers:
			data = wire_value(k, value)
			body += wire_name(owner) + struct.pack("!HHIH", TYPES[k], 1, 60, len(data)) + data
		flags = 0x8180 | (0 if exists else 3)
		reply = identity + struct.pack("!HHHHH", flags, 1, len(answers), 0, 0) + question + body
		if mode == "cut":
			return reply[:-3]
		return reply

	def serve_udp(self):
		while True:
			try:
				packet, client = self.udp.recvfrom(4096)
			except OSError:
				return
			threading.Thread(target=self.answer_udp, args=(packet, client), daemon=True).start()

	def answer_udp(self, packet, client):
		try:
			reply = self.answer(packet, False)
			if reply is not None:
				self.udp.sendto(reply, client)
		except (OSError, IndexError):
			pass

	def serve_tcp(self):
		while True:
			try:
				conn, _ = self.tcp.accept()
			except OSError:
				return
			threading.Thread(target=self.answer_tcp, args=(conn,), daemon=True).start()

	def answer_tcp(self, conn):
		with conn, conn.makefile("rb") as f:
			try:
				while True:
					head = f.read(2)
					if len(head) < 2:
						return
					reply = self.answer(f.read(struct.unpack("!H", head)[0]), True)
					if reply is not None:
						conn.sendall(struct.pack("!H", len(reply)) + reply)
			except (OSError, IndexError):
				pass

	def close(self):
		self.released.set()
		for s in (self.tcp, self.udp):
			try:
				s.shutdown(socket.SHUT_RDWR)
			except OSError:
				pass
			s.close()
