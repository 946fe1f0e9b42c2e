"""
A stream of mail that remembers what it was promised: every message carries an id and a body that follows from it, so
that afterwards each one that was acknowledged (250 after the final dot) can be looked for, whole. Used by the kill
sweep and the power cuts, and so made to go on through refusals, closed connections and a server that is away.
"""
import hashlib
import os
import re
import threading

import minimta_test as mt

SMALL, LARGE = 700, 200 * 1024		# below and above what travels to queue in one piece
REMOTE = "far.example"


def body_of(mail_id, size):
	"""Lines that follow from the id; the last one tells that it is the last."""
	lines, total, n = [], 0, 0
	while total < size:
		line = f"{n} " + hashlib.sha256(f"{mail_id}/{n}".encode()).hexdigest()
		if n % 7 == 3:
			line = "." + line
		lines.append(line)
		total += len(line) + 2
		n += 1
	return lines + [f"end of {mail_id}"]


class Promise:
	"""One message that got its 250."""

	def __init__(self, mail_id, size, recipients):
		self.id, self.size, self.recipients = mail_id, size, recipients


class Stream:
	"""
	Sends from a few threads until `most` messages are acknowledged or stop() is called. Recipients are local ones,
	every third message has two, every fifth is large; with remote=True every other one goes to far.example.
	"""

	def __init__(self, server, most=10**9, threads=3, remote=False, large=True, label="m", sizes=None):
		self.server = server
		self.most, self.remote, self.large, self.label = most, remote, large, label
		self.promises = []
		self.tried = 0
		self.strange = []		# replies that no accident explains
		self.stopped = False
		self.changed = threading.Condition()
		self.threads = [threading.Thread(target=self.work, daemon=True) for _ in range(threads)]
		for thread in self.threads:
			thread.start()

	def next_message(self):
		with self.changed:
			if self.stopped or len(self.promises) >= self.most:
				return None
			n = self.tried
			self.tried += 1
		recipients = [f"alice@{mt.DOMAIN}"]
		if n % 3 == 1:
			recipients.append(f"bob@{mt.DOMAIN}")
		if self.remote and n % 2:
			recipients = [f"user{n}@{REMOTE}"]
		return Promise(f"{self.label}{n}", LARGE if self.large and n % 5 == 4 else SMALL, recipients)

	def work(self):
		client = None
		while True:
			mail = self.next_message()
			if mail is None:
				break
			try:
				if client is None:
					client = mt.Client(self.server.address)
					client.expect(220)
					client.say("EHLO stream.example", 250)
				if self.send(client, mail):
					with self.changed:
						self.promises.append(mail)
						self.changed.notify_all()
			except (mt.Failed, OSError, ValueError) as e:
				self.note(e)
				if client:
					client.sock.close()
				client = None
				with self.changed:	# the server is away: no hurry, but no fixed wait either
					self.changed.wait(0.02)
		if client:
			client.sock.close()

	def note(self, e):
		if re.search(r"expected \d+, got 5", str(e)):
			self.strange.append(str(e))

	@staticmethod
	def send(client, mail):
		client.say(f"MAIL FROM:<sender-{mail.id}@stream.example>", 250)
		for recipient in mail.recipients:
			client.say(f"RCPT TO:<{recipient}>", 250)
		client.say("DATA", 354)
		lines = [f"Subject: {mail.id}", f"X-Size: {mail.size}", "", *body_of(mail.id, mail.size)]
		client.send("".join(("." + line if line.startswith(".") else line) + "\r\n" for line in lines) + ".\r\n")
		client.expect(250)
		return True

	def wait(self, count, deadline=None):
		"""Until so many are acknowledged."""
		with self.changed:
			if not self.changed.wait_for(lambda: len(self.promises) >= count, deadline or mt.DEADLINE):
				raise mt.Failed(f"{len(self.promises)} mails acknowledged, expected {count}; the last log lines:\n" +
					"\n".join(self.server.log.lines[-12:]))

	def stop(self):
		with self.changed:
			self.stopped = True
		self.join()

	def join(self):
		for thread in self.threads:
			thread.join(mt.DEADLINE)
			if thread.is_alive():
				raise mt.Failed("a client of the stream hangs")
		if self.strange:
			raise mt.Failed("refused for good: " + self.strange[0])


def parse(mail):
	"""(id, whether the mail is whole) of a delivered message as bytes, or None for one that is not of a stream."""
	text = mail.decode("latin-1").replace("\r\n", "\n")
	head, _, body = text.partition("\n\n")
	name = re.search(r"^Subject: (\S+)$", head, re.M)
	size = re.search(r"^X-Size: (\d+)$", head, re.M)
	if not name or not size:
		return None if "Subject: " in head or "Auto-Submitted" in head else ("?", False)
	return name.group(1), body == "\n".join(body_of(name.group(1), int(size.group(1)))) + "\n"


def in_mbox(path):
	"""Its messages, as bytes; what lacks its empty line at the end is not whole."""
	if not os.path.exists(path):
		return []
	with open(path, "rb") as f:
		parts = re.split(rb"(?:^|(?<=\n\n))From \S+ [^\n]*\n", f.read())[1:]
	return [part[:-1] if part.endswith(b"\n\n") else part + b"(torn)" for part in parts]


def arrived(server, sinks=()):
	"""{(id, where): count} and the torn ones, of all mailboxes and next hops; and of the mbox that stands for file@."""
	counts, torn = {}, []
	places = [(f"{u}@{mt.DOMAIN}", m) for u in ("alice", "bob") for m in server.mailbox(u)]
	places += [(f"file@{mt.DOMAIN}", m) for m in in_mbox(os.path.join(server.folder, "archive/mbox"))]
	for sink in sinks:
		places += [(r, content) for _, recipients, content in list(sink.mails) for r in recipients]
	for where, mail in places:
		what = parse(mail)
		if what is None:
			continue
		if not what[1]:		# nothing that has arrived: in an mbox it may be cut off again, or be under way
			torn.append(f"{where}: {mail[:300]!r}…")
			continue
		counts[(what[0], where)] = counts.get((what[0], where), 0) + 1
	return counts, torn


class Verdict:
	"""What became of the promises."""

	def __init__(self, promises, server, sinks=()):
		counts, self.torn = arrived(server, sinks)
		wanted = {(p.id, r) for p in promises for r in p.recipients}
		self.lost = sorted(wanted - set(counts))
		self.duplicates = sum(n - 1 for n in counts.values())
		self.kept = len(wanted) - len(self.lost)


def release_held(server):
	"""What was in flight at three deaths of a process is held for a person to look at, who says: go on."""
	message = None
	for line in server.ask("queue", "list")[1].splitlines():
		fields = line.split("\t")
		if fields[0] == "M":
			message = fields[1]
		elif fields[0] == "R" and fields[2] == "held" and message:
			server.ask("queue", "release", message)
			message = None


def settle(server, promises, sinks=(), moves=None):
	"""
	Waits until every promise has arrived, and nothing is torn: what died in the middle of an mbox is cut off by the next
	delivery to it, and nobody here keeps to its lock. Returns the verdict. Whenever nothing has happened for a while and nothing
	is under way (or only what never ends) the clock is moved, so that nothing waits for its retry; all together by less than the
	time after which mail is given up. With `moves` it is so many moves, after which nothing more is expected.
	"""
	state = {"quiet": 0, "mark": 0, "moves": 0}

	def all_there():
		verdict = state["verdict"] = Verdict(promises, server, sinks)
		mark = server.log.mark()
		state["quiet"] = state["quiet"] + 1 if mark == state["mark"] else 0
		state["mark"] = mark
		missing = verdict.lost or verdict.torn
		rests = missing and state["quiet"] >= 5 and (state["quiet"] >= 200 or server.at_rest())
		if rests and state["moves"] == moves:
			return True
		if rests and state["moves"] < 24:
			state["quiet"] = 0
			state["moves"] += 1
			release_held(server)
			server.move_clock(4 * 3600)
		return not missing
	try:
		server.log.wait_for(all_there, "not all has arrived")
	except mt.Failed:
		pass
	return state["verdict"]
