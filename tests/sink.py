"""
A next hop for tests: an SMTP server on a loopback address of its own that takes every mail, unless its script says
otherwise. A script line is "STAGE [xN] ACTION [ARGUMENT]":

  stage	banner, ehlo, helo, mail, rcpt, data, body (after 354, within the content), dot (after the final dot), bdat,
	rset, quit; or reply-to-dot (the content is taken, then the action instead of the reply)
  xN	for the first N times only; else always
  action	close; reset (RST); silence (never answers); drip (a byte at a time, never a line's end);
	reply TEXT (escapes \\r \\n \\t \\xNN and {N*x}; CRLF is added unless the text ends with \\c);
	then-close TEXT (replies, closes)

"extensions NAME…" sets what EHLO offers (default PIPELINING SIZE 8BITMIME); "extensions none" refuses EHLO's list.
"recipients N": 452 to all beyond the N-th in a transaction. "users ADDRESS,…": 550 to all others; "users *": to nobody.
"lmtp": it speaks LMTP (LHLO, a reply to the content for each recipient, in whose stead a rule for "dot" may act).
"login MECHANISM,… USER PASSWORD": AUTH is offered, by these, and MAIL needs it; a rule for "auth" comes first.
"""
import re
import socket
import struct
import threading

import sink_login
import text_form


class Sink:
	def __init__(self, address, port, script=(), on_change=None):
		self.address = address
		self.script = []
		self.gate = threading.Event()	# clear: nothing is answered until it is set
		self.gate.set()
		self.most_recipients = 1000
		self.users = None		# who is taken; None: everybody
		self.login = None
		self.lmtp = False
		self.extensions = ["PIPELINING", "SIZE 52428800", "8BITMIME"]
		self.mails = []			# (sender, [recipients], content) of each that was answered 250
		self.seen = []			# command lines, in order, of all sessions; "(dot)", "(content)" where "body" has a rule
		self.sessions = 0
		self.open = set()
		self.lock = threading.Lock()
		self.on_change = on_change or (lambda: None)
		for line in script:
			self.add(line)
		if address.startswith("/"):
			self.listener = socket.socket(socket.AF_UNIX)
			self.listener.bind(address)
			self.listener.listen(50)
			self.port = 0
		else:
			self.listener = socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
			self.port = self.listener.getsockname()[1]
		threading.Thread(target=self.accept, daemon=True).start()

	def add(self, line):
		words = line.split(None, 1)
		if words[0] == "extensions":
			self.extensions = [] if words[1] == "none" else words[1].split(",")
			return
		if words[0] == "lmtp":
			self.lmtp = True
			return
		if words[0] == "recipients":
			self.most_recipients = int(words[1])
			return
		if words[0] == "users":
			self.users = None if words[1] == "*" else words[1].split(",")
			return
		if words[0] == "login":
			self.login = sink_login.Login(*words[1].split(None, 2))
			return
		m = re.fullmatch(r"(\S+)(?: x(\d+))? (close|reset|silence|drip|reply|then-close)(?: (.*))?", line)
		if not m:
			raise ValueError(f"not a script line: {line!r}")
		self.script.append({"stage": m.group(1), "left": int(m.group(2) or -1), "action": m.group(3), "text": m.group(4) or ""})

	def clear(self):
		with self.lock:
			self.script = []

	def rule(self, stage):
		with self.lock:
			for rule in self.script:
				if rule["stage"] == stage and rule["left"] != 0:
					rule["left"] -= 1
					return rule
		return None

	def accept(self):
		while True:
			try:
				conn, peer = self.listener.accept()
			except OSError:
				return
			self.seen.append(f"(from {peer[0] if peer else 'a socket'})")
			self.sessions += 1
			self.open.add(conn)
			threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

	def serve(self, conn):
		try:
			Session(self, conn).run()
		except (OSError, Gone):
			pass
		finally:
			self.open.discard(conn)
			conn.close()
			self.on_change()

	def close(self):
		try:
			self.listener.shutdown(socket.SHUT_RDWR)
		except OSError:
			pass
		self.listener.close()
		for conn in list(self.open):
			try:
				conn.shutdown(socket.SHUT_RDWR)
			except OSError:
				pass


class Gone(Exception):
	"""The session is over."""


class Session:
	def __init__(self, sink, conn):
		self.sink = sink
		self.conn = conn
		self.file = conn.makefile("rb")
		self.logged_in = False
		self.forget()

	def forget(self):
		self.sender, self.recipients, self.content = None, [], b""

	def act(self, stage, default, taken=()):
		"""
		The script's action for this stage, or the default reply (None: none). Whether the default was sent. It answers for the
		mails `taken`, which are there before it: who has read it may look for them at once.
		"""
		self.sink.gate.wait(60)
		rule = self.sink.rule(stage)
		if rule is None:
			self.sink.mails.extend(taken)
			if default is not None:
				self.conn.sendall(default.encode() + b"\r\n")
			return True
		action, text = rule["action"], text_form.expand(rule["text"])
		if action in ("reply", "then-close"):
			end = b"" if text.endswith(b"\\c") else b"\r\n"
			self.conn.sendall(text[:-2] if text.endswith(b"\\c") else text + end)
		if action == "reset":
			self.conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
		if action in ("close", "reset", "then-close"):
			raise Gone
		if action == "drip":
			self.conn.sendall(b"2")
		if action in ("silence", "drip"):
			while self.conn.recv(4096):
				pass
			raise Gone
		return False

	def run(self):
		self.act("banner", "220 sink.example ESMTP")
		while True:
			line = self.file.readline()
			if not line:
				return
			if not line.endswith(b"\r\n"):
				self.sink.seen.append("BARE LF " + repr(line))
				return
			line = line[:-2].decode("utf-8", "replace")
			self.sink.seen.append(line)
			self.sink.on_change()
			self.command(line, line.split(" ")[0].upper())

	def command(self, line, verb):
		if verb in ("EHLO", "HELO") and self.sink.lmtp:
			self.conn.sendall(b"500 5.5.1 this is LMTP\r\n")
		elif verb == ("LHLO" if self.sink.lmtp else "EHLO"):
			offered = [f"250-{e}" for e in self.sink.extensions]
			if self.sink.login:
				offered.append("250-AUTH " + " ".join(self.sink.login.mechanisms))
			self.act("ehlo", "\r\n".join(["250-sink.example", *offered, "250 HELP"]))
		elif verb == "HELO":
			self.act("helo", "250 sink.example")
		elif verb == "AUTH":
			if self.act("auth", None) and self.sink.login:
				self.log_in(line.split()[1:])
		elif verb == "MAIL" and self.sink.login and not self.logged_in:
			self.conn.sendall(b"530 5.7.0 log in first\r\n")
		elif verb == "MAIL":
			if self.act("mail", "250 2.1.0 ok"):
				self.sender = line
		elif verb == "RCPT":
			if self.sender is None:
				self.conn.sendall(b"503 5.5.1 no sender\r\n")
			elif len(self.recipients) >= self.sink.most_recipients:
				self.conn.sendall(b"452 4.5.3 too many recipients\r\n")
			else:
				address = re.search(r"<(.*?)>", line).group(1)
				known = self.sink.users is None or address in self.sink.users
				if self.act("rcpt", "250 2.1.5 ok" if known else "550 5.1.1 no such user here") and known:
					self.recipients.append(address)
		elif verb == "DATA":
			if not self.recipients:
				self.conn.sendall(b"503 5.5.1 no recipient\r\n")
			elif self.act("data", "354 go on"):
				self.take_data()
		elif verb == "BDAT":
			self.take_chunk(line.split())
		elif verb == "RSET":
			self.forget()
			self.act("rset", "250 2.0.0 ok")
		elif verb == "QUIT":
			self.act("quit", "221 2.0.0 bye")
			raise Gone
		elif verb == "NOOP":
			self.conn.sendall(b"250 2.0.0 ok\r\n")
		else:
			self.conn.sendall(b"500 5.5.1 what?\r\n")

	def log_in(self, words):
		def say(text):
			self.conn.sendall(text.encode() + b"\r\n")

		def hear():
			line = self.file.readline().decode("utf-8", "replace").rstrip("\r\n")
			self.sink.seen.append("(answer to 334)")
			return line

		self.logged_in = self.sink.login.exchange(words, say, hear)
		say("235 2.7.0 welcome" if self.logged_in else "535 5.7.8 wrong user or password")

	def take_data(self):
		rule = self.sink.rule("body")
		if rule:
			self.file.readline()
			self.sink.seen.append("(content)")
			self.sink.script.insert(0, {**rule, "stage": "now", "left": 1})
			self.act("now", None)
		while True:
			line = self.file.readline()
			if not line:
				raise Gone
			if line == b".\r\n":
				self.sink.seen.append("(dot)")
				break
			self.content += line[1:] if line.startswith(b".") else line
		self.finish()

	def take_chunk(self, words):
		size = int(words[1])
		data = self.file.read(size)
		if len(data) < size:
			raise Gone
		self.content += data
		if words[-1].upper() == "LAST":
			self.finish()
		else:
			self.act("bdat", "250 2.0.0 chunk")

	def finish(self):
		mail = (self.sender, self.recipients, self.content)
		self.forget()
		if self.sink.lmtp:
			for address in mail[1]:
				self.act("dot", f"250 2.0.0 stored for {address}", [(mail[0], [address], mail[2])])
			self.sink.on_change()
			return
		rule = self.sink.rule("reply-to-dot")
		if rule:		# taken, but the reply never comes or is another one
			self.sink.mails.append(mail)
			self.sink.script.insert(0, {**rule, "stage": "now", "left": 1})
			self.act("now", None)
		else:
			self.act("dot", "250 2.0.0 taken", [mail])
		self.sink.on_change()
