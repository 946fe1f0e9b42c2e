"""
What a process that has been taken over could tell its peers. Table lies break a rule of lib/messages.h, and whoever hears
one must have its sender ended; the others are well-formed and untrue, and each says what must come of it. Called by
puppet.py. A process that talks to strangers cannot accuse: there the accuser is ended, and the channel with it.
"""
import re
import struct

import minimta_test as mt
from puppeteer import MESSAGES, PROCS, Died, frame, message, words

STRANGERS = ("smtpd", "delivery", "resolver")		# whose accusations end the accuser (master/children.c)
RELAYED = "someone@elsewhere.example"


class Lies:
	def __init__(self, server):
		self.server = server
		self.told = {}			# by liar: how many

	# ---- telling one, and what comes of it ----

	def tell(self, liar, hearer, data, passed=None):
		"""(the liar's puppet, the log's mark before it)."""
		puppet = self.server.puppet(liar)
		fd = self.server.channel(puppet, hearer)
		mark = self.server.log.mark()
		self.told[liar] = self.told.get(liar, 0) + 1
		try:
			for piece in [data] if isinstance(data, bytes) else data:
				puppet.send(fd, piece, passed)
		except Died:
			pass		# ended before it could say that it has sent it
		return puppet, mark

	def must_end(self, liar, hearer, data, passed=None, reason=""):
		"""One of the two is ended, for the lie, and replaced."""
		ended = hearer if hearer in STRANGERS else liar
		pid = self.server.puppet(ended).pid
		_, mark = self.tell(liar, hearer, data, passed)
		self.server.log.wait(rf"event=end-child process={ended} pid={pid} reason=.*{reason}", mark)
		self.server.await_restart(ended, pid, mark)

	def must_end_with(self, liar, hearer, frames, reason):
		self.must_end(liar, hearer, b"".join(frames), reason=reason)

	def harmless(self, liar, hearer, data, passed=None):
		"""Nobody is ended: the hearer goes on, and answers somebody else."""
		pids = self.server.pids()
		puppet, mark = self.tell(liar, hearer, data, passed)
		self.server.ask("status")
		self.server.honest_mail()
		if self.server.pids() != pids or self.server.log.find("event=(died|end-child)", mark):
			raise mt.Failed("somebody was ended:\n" + "\n".join(self.server.log.lines[mark:]))

	# ---- against the table ----

	def table_lies(self, liar, hearer):
		"""(what, bytes, descriptor to pass or None, what the log says) for a channel."""
		for m in MESSAGES:
			payload, passed = bytes(m.least), 2 if m.with_fd else None
			if not m.fits(liar, hearer):
				reason = "(not its message to send|not for this process|not in this phase|not expected here)"
				yield f"{m.name} that is not its to say", frame(m.kind, payload, 7, m.with_fd), passed, reason
				continue
			if m.least > 0:
				yield f"{m.name} too small", frame(m.kind, payload[:-1], 7, m.with_fd), passed, "impossible size"
			if m.most < 160 * 1024:
				yield f"{m.name} too large", frame(m.kind, bytes(m.most + 1), 7, m.with_fd), passed, "impossible size"
			if m.with_fd:
				yield f"{m.name} without a descriptor", frame(m.kind, payload, 7), None, "descriptor missing"
				yield f"{m.name} with a descriptor only announced", frame(m.kind, payload, 7, 1), None, "not sent"
			else:
				yield f"{m.name} with a descriptor", frame(m.kind, payload, 7, 1), 2, "none belongs"
		yield "an unknown type", frame(len(MESSAGES) + 1), None, "unknown type"
		yield "type 0", frame(0), None, "unknown type"
		yield "an impossible length", frame(1, size=1 << 31), None, "no message"
		yield "an impossible header", b"\xff" * 16, None, "no message"
		# Each byte of an unfinished message brings one.
		yield "a flood of descriptors", [bytes([byte]) for byte in frame(1, size=1000) + bytes(4)], 2, "more descriptors"

	# ---- smtpd and the tokens ----

	def ask_lookup(self, puppet, name, ident, payload, passed=None):
		puppet.hold()
		try:
			fd = self.server.channel(puppet, "lookup")
			puppet.send(fd, frame(message(name).kind, payload, ident, passed is not None), passed)
			kind, answered, data = puppet.receive(fd)
		finally:
			puppet.go_on()
		if answered != ident:
			raise mt.Failed(f"an answer {kind} to another question")
		return data

	def token_for(self, session, address):
		"""A genuine one from lookup, as any smtpd gets for a recipient here."""
		data = self.ask_lookup(self.server.puppet("smtpd"), "RCPT_ASK", 77, struct.pack("<Q", session) + words(address) + words(b""))
		if data[0] != 0:
			raise mt.Failed(f"verdict {data[0]} for {address}")
		return data[-24:]

	def begin(self, session, ident=9):
		return frame(message("MAIL_BEGIN").kind, words("liar@client.example") + words("client") + words("S") +
			struct.pack("<QQI", session, 0, 0), ident)

	def rcpt(self, address, flags, token, ident=9):
		return frame(message("MAIL_RCPT").kind, words(address) + bytes([flags]) + words(token), ident)

	def end(self, size, before=b"Received: by x id ", after=b";\r\n", flags=0, ident=9):
		return frame(message("MAIL_END").kind, struct.pack("<QI", size, flags) + words(before) + words(after), ident)

	def data(self, content, ident=9):
		return frame(message("MAIL_DATA").kind, content, ident)

	def case_forged_token(self):
		self.must_end_with("smtpd", "queue", [self.begin(5), self.rcpt("alice@demo.example", 1, bytes(24))], "without a valid token")

	def case_token_of_another_session(self):
		token = self.token_for(5, "alice@demo.example")
		self.must_end_with("smtpd", "queue", [self.begin(6), self.rcpt("alice@demo.example", 1, token)], "without a valid token")

	def case_token_of_another_recipient(self):
		token = self.token_for(5, "alice@demo.example")
		self.must_end_with("smtpd", "queue", [self.begin(5), self.rcpt("bob@demo.example", 1, token)], "without a valid token")

	def case_local_token_for_relaying(self):
		token = self.token_for(5, "alice@demo.example")
		self.must_end_with("smtpd", "queue", [self.begin(5), self.rcpt("alice@demo.example", 0, token)], "without a valid token")

	def case_relay_without_a_token(self):
		self.must_end_with("smtpd", "queue", [self.begin(5), self.rcpt(RELAYED, 0, b"")], "without a valid token")

	def case_final_bit(self):
		token = self.token_for(5, "alice@demo.example")
		self.must_end_with("smtpd", "queue", [self.begin(5), self.rcpt("alice@demo.example", 3, token)], "without a valid token")

	def good_start(self, session=5):
		return [self.begin(session), self.rcpt("alice@demo.example", 1, self.token_for(session, "alice@demo.example"))]

	def case_wrong_size_at_the_end(self):
		self.must_end_with("smtpd", "queue", [*self.good_start(), self.data(b"x\r\n"), self.end(4)], "MAIL_END of 4 bytes after 3")

	def case_flags_that_are_none(self):
		self.must_end_with("smtpd", "queue", [*self.good_start(), self.data(b"x\r\n"), self.end(3, flags=1 << 31)], "MAIL_END")

	def case_trace_that_does_not_end(self):
		self.must_end_with("smtpd", "queue", [*self.good_start(), self.data(b"x\r\n"), self.end(3, after=b"no end")], "no trace field")

	def case_content_before_recipients(self):
		self.must_end_with("smtpd", "queue", [self.begin(5), self.data(b"x\r\n")], "content before recipients")

	def case_recipient_after_content(self):
		start = self.good_start()
		self.must_end_with("smtpd", "queue", [*start, self.data(b"x\r\n"), start[1]], "recipient after content")

	def case_unknown_transaction(self):
		self.must_end("smtpd", "queue", self.data(b"x\r\n", ident=4711), reason="never begun")

	def case_begun_twice(self):
		self.must_end_with("smtpd", "queue", [self.begin(5), self.begin(5)], "begun twice")

	def case_controls_in_an_address(self):
		bad = frame(message("MAIL_BEGIN").kind, words("a\r\nX: y@client.example") + words("client") + words("S") +
			struct.pack("<QQI", 5, 0, 0), 9)
		self.must_end("smtpd", "queue", bad, reason="no sender")

	# ---- smtpd and trust ----

	def case_trust_for_what_is_no_client(self):
		"""Every descriptor that smtpd has: its channels (socketpairs made by root), its log, the test's own unix socket."""
		puppet = self.server.puppet("smtpd")
		tried = 0
		for fd in range(64):
			if puppet.call("fcntl", fd, 1, 0) < 0:
				continue
			answer = self.ask_lookup(puppet, "TRUST_ASK", 100 + fd, struct.pack("<Q", 5), passed=fd)
			self.told["smtpd"] = self.told.get("smtpd", 0) + 1
			tried += 1
			if answer[0] != 0 or len(answer) > 5:
				raise mt.Failed(f"lookup trusts descriptor {fd}")
		if tried < 6:
			raise mt.Failed(f"smtpd has only {tried} descriptors")
		self.server.honest_mail()

	def case_relay_with_a_forged_trust(self):
		for token in (b"", bytes(24), b"\xff" * 24, bytes(4096 - 100), self.token_for(5, "alice@demo.example")):
			answer = self.ask_lookup(self.server.puppet("smtpd"), "RCPT_ASK", 50, struct.pack("<Q", 5) + words(RELAYED) + words(token))
			self.told["smtpd"] = self.told.get("smtpd", 0) + 1
			if answer[0] != 3:
				raise mt.Failed(f"verdict {answer[0]} for a relay, with a token of {len(token)} bytes")

	# ---- jobs ----

	def result(self, ident=4711, index=0, outcome=0):
		return frame(message("JOB_RESULT").kind, struct.pack("<IBH", index, outcome, 250) + words("2.0.0") + words("") +
			words("ok") + b"\0", ident)

	def case_results_of_jobs_that_are_not_theirs(self):
		for liar in ("delivery", "mda"):
			for data in (self.result(), self.result(outcome=9), frame(message("JOB_DONE").kind, words(""), 4711),
			    frame(message("JOB_PULL").kind, struct.pack("<I", 1 << 31), 4711)):
				self.must_end(liar, "queue", data, reason="not one of its own")

	def case_result_of_a_job_that_mda_has(self):
		"""delivery knows the number of a job that is under way, and says that it is done."""
		mda = self.server.puppet("mda")
		fd = self.server.channel(mda, "queue")
		mda.hold()
		try:
			with mt.Client(self.server.address) as c:
				c.expect(220)
				for command, code in (("HELO a.example", 250), ("MAIL FROM:<a@a.example>", 250), ("RCPT TO:<bob@demo.example>", 250),
				    ("DATA", 354), ("Subject: held\r\n\r\nx\r\n.", 250)):
					c.say(command, code)
			name, ident, _ = mda.receive(fd, peek=True)
			if name != "JOB_BEGIN":
				raise mt.Failed(f"queue said {name} to mda")
			self.must_end("delivery", "queue", self.result(ident), reason="not one of its own")
			if self.server.mailbox("bob"):
				raise mt.Failed("mda was held, and bob has mail")
		finally:
			mda.go_on()
		self.server.wait_mail("bob")

	# ---- master ----

	def accusation(self, accused, instance=1):
		return frame(message("BAD_PEER").kind, bytes([PROCS.index(accused)]) + struct.pack("<I", instance) + words("it lies\n"))

	def case_accusations_by_those_who_talk_to_strangers(self):
		pids = self.server.pids()
		for liar in STRANGERS:
			for accused in ("queue", "mda", "lookup", "logger"):
				puppet, mark = self.tell(liar, "minimta", self.accusation(accused))
				self.server.log.wait(rf"event=end-child process={liar} pid={puppet.pid} ", mark)
				self.server.await_restart(liar, puppet.pid, mark)
		now = self.server.pids()
		if any(now[name] != pids[name] for name in ("queue", "mda", "lookup", "logger", "minimta")):
			raise mt.Failed(f"somebody else was ended: {pids} {now}")

	def case_accusations_that_are_none(self):
		for accused in ("minimta", "lookup"):
			self.must_end("lookup", "minimta", self.accusation(accused), reason="BAD_PEER")

	def case_ready_twice(self):
		for liar in mt.CHILDREN:
			self.must_end(liar, "minimta", frame(message("READY").kind), reason="READY")

	def case_draining_unasked(self):
		for liar in mt.CHILDREN:
			self.must_end(liar, "minimta", frame(message("DRAINING").kind), reason="DRAINING")

	def case_status_unasked(self):
		for liar in ("smtpd", "logger"):
			self.harmless(liar, "minimta", frame(message("STATUS").kind, words("memory=-1\nok queue=lies"), 4711))

	# ---- logger ----

	def line(self, text, level=2):
		return frame(message("LOG").kind, bytes([level]) + words(text))

	def case_log_injection(self):
		for liar in ("smtpd", "delivery"):
			puppet, mark = self.tell(liar, "logger", self.line(b"harmless\nmaster: event=forged\x1b[2J\r\x80"))
			self.server.log.wait(r"^harmless\\x0amaster: event=forged\\x1b\[2J\\x0d\\x80$", mark)
			if self.server.log.find(r"^master: event=forged", mark):
				raise mt.Failed("a forged line")

	def case_log_levels_that_are_none(self):
		for liar in ("smtpd", "mda"):
			self.must_end(liar, "logger", self.line("x", level=9), reason="LOG: no log line")

	def case_log_flood(self):
		puppet = self.server.puppet("smtpd")
		fd, piece = self.server.channel(puppet, "logger"), self.line("flood " + "x" * 1000) * 60
		mark = self.server.log.mark()
		for _ in range(60):
			puppet.send_all(fd, piece)
		self.told["smtpd"] = self.told.get("smtpd", 0) + 3600
		self.server.honest_mail()
		self.server.log.wait("flood", mark, count=3600)


def cases():
	return [(name[5:].replace("_", " "), name) for name in Lies.__dict__ if name.startswith("case_")]


CHANNELS = [
	("smtpd", "lookup"), ("smtpd", "queue"), ("smtpd", "resolver"), ("smtpd", "logger"),
	("delivery", "queue"), ("delivery", "resolver"), ("delivery", "lookup"), ("delivery", "logger"),
	("resolver", "smtpd"), ("resolver", "delivery"), ("resolver", "logger"),
	("lookup", "smtpd"), ("lookup", "queue"), ("lookup", "delivery"), ("lookup", "logger"),
	("queue", "smtpd"), ("queue", "lookup"), ("queue", "delivery"), ("queue", "mda"), ("queue", "logger"),
	("mda", "queue"), ("mda", "logger"),
	("logger", "smtpd"), ("logger", "queue"),
	*[(liar, "minimta") for liar in mt.CHILDREN],
]
