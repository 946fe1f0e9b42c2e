#!/usr/bin/python3
"""
sendmail beyond the sending of a mail (tests/tools.py has that): SMTP on standard input, addresses verified, the queue run by
parts, the server started, notices asked for, and the names that it is called by.

	tests/sendmail.py [-v]
"""
import argparse
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import threading

import fake_dns
import minimta_test as mt
import sink

NAMES = ("mailq", "newaliases", "hoststat", "rmail", "send-mail")


# Sessions until one is refused, and then connections that say nothing.
FLOOD = """
import socket, sys
held = []
def connect(words):
	s = socket.socket(socket.AF_UNIX)
	s.connect(sys.argv[1])
	if words:
		s.sendall(words)
	held.append(s)
	return s.recv(3).decode() if words else ""
n = 0
while (code := connect(b"submit\\n")) == "220":
	n += 1
for _ in range(100):
	connect(b"")
print(n, code, flush=True)
sys.stdin.read()
"""


class FakeServer:
	"""A control socket with an SMTP server behind it that offers DSN, and remembers what was said."""

	def __init__(self, folder, offers=b"250-fake\r\n250 DSN\r\n"):
		self.path = os.path.join(tempfile.mkdtemp(dir=folder), "fake")
		self.said, self.offers = [], offers
		self.socket = socket.socket(socket.AF_UNIX)
		self.socket.bind(self.path)
		os.chmod(self.path, 0o666)
		self.socket.listen(1)
		threading.Thread(target=self.serve, daemon=True).start()

	def serve(self):
		connection, _ = self.socket.accept()
		with connection, connection.makefile("rwb", buffering=0) as f:
			in_data = False
			for line in f:
				line = line.decode().rstrip("\r\n")
				self.said.append(line)
				if in_data and line != ".":
					continue
				in_data = line == "DATA"
				f.write({"submit": b"220 fake\r\n", "EHLO fake": self.offers, "DATA": b"354 go\r\n",
					"QUIT": b"221 bye\r\n"}.get(line, b"250 2.0.0 ok\r\n"))


class Sendmail:
	def __init__(self):
		self.far = sink.Sink("127.0.0.2", 0, ["rcpt reply 451 4.2.0 not now"])
		self.dns = fake_dns.FakeDNS(["far.example MX 10 mx.far.example", "mx.far.example A 127.0.0.2"])
		self.server = mt.Server(replace={"trusted_networks": '{"127.0.0.0/8"}', "deliver_to_private_mx": "yes",
			"smtp_port": str(self.far.port), "dns_servers": f'{{"127.0.0.1:{self.dns.port}"}}'}, aliases="team: alice, bob\n")
		self.links = tempfile.mkdtemp(dir=self.server.folder)
		os.chmod(self.links, 0o755)
		for name in NAMES:
			os.symlink(os.path.join(mt.BIN, "sendmail"), os.path.join(self.links, name))

	def close(self):
		self.far.close()
		self.dns.close()
		self.server.close()

	def call(self, name, *arguments, text="", code=0, control=None, user=None):
		command = [os.path.join(self.links if name in NAMES else mt.BIN, name), *arguments]
		if user:
			command = ["setpriv", f"--reuid={user}", "--clear-groups", *command]
		done = subprocess.run(command, input=text, text=True, errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
			timeout=mt.DEADLINE, env={**os.environ, "MINIMTA_CONTROL": control or self.server.control})
		if done.returncode != code:
			raise mt.Failed(f"{name} {' '.join(arguments)}: exit {done.returncode}, expected {code}\n{done.stdout}")
		return done.stdout

	def sendmail(self, *arguments, **more):
		return self.call("sendmail", *arguments, **more)

	def need(self, text, *wanted):
		for w in wanted:
			if not re.search(w, text):
				raise mt.Failed(f"no {w!r} in {text!r}")

	def mail_with(self, user, text):
		self.server.log.wait_for(lambda: any(text.encode() in m for m in self.server.mailbox(user)), f"{user} has no mail with {text!r}")
		return [m for m in self.server.mailbox(user) if text.encode() in m][-1].decode().replace("\r\n", "\n")

	# The test cases.

	def smtp(self):
		"""-bs, as mail programs use it, with everything written at once and line by line."""
		said = self.sendmail("-bs", text="EHLO here\r\nMAIL FROM:<alice@demo.example>\r\nRCPT TO:<bob@demo.example>\r\nDATA\r\n"
			"Subject: by-bs\r\n\r\nx\r\n.\r\nQUIT\r\n")
		self.need(said, "^220 ", "\n354 ", "\n221 ")
		self.mail_with("bob", "by-bs")
		self.need(self.sendmail("-bs", text="NOOP\r\n"), "^220 ")

	def verify(self):
		self.need(self.sendmail("-bv", "team"), "local, the alias team", "mailbox alice@demo.example", "mailbox bob@demo.example")
		self.need(self.sendmail("-bv", "z@far.example"), "by mx:far.example", "10 mx.far.example")
		self.need(self.sendmail("-bv", "bob@demo.example", "nosuch@demo.example", code=67), "bob@demo.example: local", "5.1.1")
		self.need(self.sendmail("-bt", text="bob@demo.example\n\nz@nowhere.example\n", code=68), "a mailbox here", "does not exist")
		self.need(self.sendmail("-bv", "two words@demo.example", code=65), "expected user@domain")

	def queue_runs(self):
		"""-q in its spellings, and who may not."""
		since = self.server.log.mark()
		self.sendmail("-i", "-f", "alice@demo.example", "first@far.example", text="Subject: q\n\nx\n")
		self.sendmail("-i", "-f", "bob@demo.example", "second@far.example", text="Subject: q\n\nx\n")
		ids = [self.server.log.wait(rf"msg=(\w+) event=deferred to={who}@", since).group(1) for who in ("first", "second")]
		for option, wanted in ((["-q"], 2), (["-qf"], 2), (["-q15m"], 2), (["-qI" + ids[0]], 1), (["-qI", ids[0]], 1), (["-qRsecond"], 1),
		    (["-qR@far.example"], 2), (["-qSalice"], 1), (["-qSnobody"], 0), (["-R", "first@"], 1)):
			self.need(self.sendmail(*option), rf"^{wanted} recipients? (is|are) due now\n$")
		if os.geteuid() == 0:
			self.need(self.sendmail("-q", code=77, user="nobody"), "is for root")
		self.need(self.sendmail("-qInosuchid", code=69), "is no message's id")
		if {m["id"] for m in json.loads(self.call("mailq", "-j"))} != set(ids):
			raise mt.Failed("mailq -j")
		self.need(self.call("hoststat"), "mx:far.example")
		for mail_id in ids:
			self.call("minimtactl", "queue", "remove", mail_id)

	def notices(self):
		"""-N, -R and -V go to a server that offers DSN and to no other; wrong ones cost nobody his mail."""
		fake = FakeServer(self.server.folder)
		self.sendmail("-i", "-N", "success,delay", "-R", "hdrs", "-V", "id 1", "-f", "a@b.example", "c@d.example", text="x\n",
			control=fake.path)
		if "MAIL FROM:<a@b.example> RET=hdrs ENVID=id+201" not in fake.said or "RCPT TO:<c@d.example> NOTIFY=success,delay" not in fake.said:
			raise mt.Failed(str(fake.said))
		self.sendmail("-i", "-N", "never", "-R", "full", "-V", "x", "bob@demo.example", text="Subject: by-dsn\n\nx\n")
		self.mail_with("bob", "by-dsn")
		self.sendmail("-i", "-f", "alice@demo.example", "-N", "success", "-V", "v 1", "bob@demo.example", text="Subject: by-success\n\nx\n")
		self.mail_with("alice", "Original-Envelope-Id: v 1")
		self.mail_with("alice", "Action: delivered")
		said = self.sendmail("-i", "-N", "sometimes", "bob@demo.example", text="Subject: by-bad-dsn\n\nx\n")
		self.need(said, "expected never, or a list")
		self.mail_with("bob", "by-bad-dsn")

	def odd_options(self):
		self.sendmail("-i", "-odb", "-oQ/tmp", "-ovv", "-O", "smtputf8=yes", "-OTimeout.connect=1s", "-om", "-oee", "-bm", "-G",
			"-XX", "-Am", "-dfoo", "bob@demo.example", text="Subject: by-odd\n\nx\n")
		self.mail_with("bob", "by-odd")

	def queued(self):
		"""The id of the one message that waits, once nothing else is being delivered."""
		def only():
			ids = [m["id"] for m in json.loads(self.call("mailq", "-j"))]
			return ids if len(ids) == 1 else None
		return self.server.log.wait_for(only, "there is not one message in the queue")[0]

	def queue_only(self):
		"""-odq: nothing is tried until the queue is run, by -q, by the server itself after a while, or after a restart likewise."""
		def wait_for_it(subject, option):
			self.sendmail("-i", option, "bob@demo.example", text=f"Subject: {subject}\n\nx\n")
			return self.queued()
		since = self.server.log.mark()
		mail_id = wait_for_it("by-odq", "-odq")
		self.sendmail("-i", "bob@demo.example", text="Subject: before-odq\n\nx\n")
		self.mail_with("bob", "before-odq")
		if self.server.log.find(rf"msg={mail_id} event=delivered", since) or self.queued() != mail_id:
			raise mt.Failed("it did not wait")
		self.need(self.sendmail("-qI" + mail_id), "^1 recipient is due now")
		self.mail_with("bob", "by-odq")
		wait_for_it("by-od-itself", "-odd")
		self.server.move_clock(3600)
		self.mail_with("bob", "by-od-itself")
		mail_id = wait_for_it("by-od-restart", "-ODeliveryMode=queueonly")
		since = self.server.log.mark()
		self.server.signal("queue")
		self.server.log.wait("event=died process=queue", since)
		self.server.move_clock(2)
		self.server.log.wait("queue: event=scanned", since)
		self.sendmail("-i", "bob@demo.example", text="Subject: after-od-restart\n\nx\n")
		self.mail_with("bob", "after-od-restart")
		if self.queued() != mail_id:
			raise mt.Failed("it did not wait after a restart")
		self.sendmail("-q")
		self.mail_with("bob", "by-od-restart")
		with mt.Client(self.server.address) as c:	# of strangers nobody asks that
			c.expect(220)
			if "XLATER" in c.say("EHLO x", 250):
				raise mt.Failed("XLATER is offered to strangers")
			c.say("MAIL FROM:<a@b.example> XLATER", 555)

	def interactive(self):
		"""-odi: the exit code is the result, and what is tried again stays in the queue."""
		if self.sendmail("-i", "-odi", "bob@demo.example", text="Subject: by-odi\n\nx\n") != "":
			raise mt.Failed("-odi says something")
		if not any(b"by-odi" in m for m in self.server.mailbox("bob")):
			raise mt.Failed("it ended before the mail was there")
		self.need(self.sendmail("-i", "-odi", "-v", "team", text="Subject: by-odi-team\n\nx\n"),
			"alice@demo.example: delivered", "bob@demo.example: delivered")
		said = self.sendmail("-i", "-odi", "bob@demo.example", "z@far.example", text="Subject: by-odi-later\n\nx\n", code=75)
		self.need(said, r"z@far.example: deferred: 451 4.2.0 not now", "stays in the queue and will be tried again")
		self.need(self.call("mailq"), "z@far.example")
		said = self.sendmail("-i", "-odi", "-f", "alice@demo.example", "z@nowhere.example", text="Subject: by-odi-never\n\nx\n", code=68)
		self.need(said, "z@nowhere.example: failed: .*5.1.2|z@nowhere.example: failed: .*5.4.4")
		self.call("minimtactl", "queue", "pause", "local")
		try:
			said = self.sendmail("-i", "-odi", "bob@demo.example", text="Subject: by-odi-paused\n\nx\n", code=75)
			self.need(said, "in trouble or paused")
		finally:
			self.call("minimtactl", "queue", "resume", "local")
		self.mail_with("bob", "by-odi-paused")
		self.call("minimtactl", "queue", "remove", "all")	# not one by one: what is delivered may just be leaving

	def deliver_own(self):
		"""queue deliver is for one's own mail."""
		self.sendmail("-i", "-odq", "bob@demo.example", text="Subject: by-deliver\n\nx\n")
		mail_id = self.queued()
		if os.geteuid() == 0:
			self.need(self.call("minimtactl", "queue", "deliver", mail_id, code=77, user="nobody"), "message's own sender")
			if self.sendmail("-i", "-odi", "bob@demo.example", text="Subject: by-nobody\n\nx\n", user="nobody"):
				raise mt.Failed("nobody may not wait for his mail")
		self.need(self.call("minimtactl", "queue", "deliver", mail_id), "^delivered\tbob@demo.example\t")
		self.need(self.call("minimtactl", "queue", "deliver", mail_id, code=69), "no message")

	def flood(self):
		"""One user's programs hold all the places that they can get, in sessions and before them: root's mail goes. ATTACKS 78"""
		if os.geteuid() != 0:
			return
		with subprocess.Popen(["setpriv", "--reuid=nobody", "--clear-groups", "/usr/bin/python3", "-c", FLOOD, self.server.control],
		    stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as flood:
			try:
				said = flood.stdout.readline().split()
				if said != ["32", "421"]:
					raise mt.Failed(f"sessions and the reply to the next: {said}")
				self.server.log.wait(r'event=turned-away client="local uid \d+" listener=control reason=local-programs')
				self.sendmail("-i", "bob@demo.example", text="Subject: by-root-in-flood\n\nx\n")
				self.mail_with("bob", "by-root-in-flood")
				self.server.log.wait_for(lambda: "empty" in self.call("mailq"), "mailq still has what was delivered")
			finally:
				flood.kill()
		self.server.log.wait(r'event=session client="local uid 65534".*reason=client-left', count=32)
		self.sendmail("-i", "bob@demo.example", text="Subject: after-flood\n\nx\n", user="nobody")
		self.mail_with("bob", "after-flood")

	def promises(self):
		"""-O smtputf8 and requiretls: kept, or refused; never forgotten."""
		fake = FakeServer(self.server.folder, b"250-fake\r\n250-SMTPUTF8\r\n250 REQUIRETLS\r\n")
		self.sendmail("-i", "-O", "smtputf8=yes", "-O", "RequireTLS=yes", "-f", "a@b.example", "c@d.example", text="x\n", control=fake.path)
		if "MAIL FROM:<a@b.example> SMTPUTF8 REQUIRETLS" not in fake.said:
			raise mt.Failed(str(fake.said))
		said = self.sendmail("-i", "-Orequiretls=yes", "bob@demo.example", text="Subject: by-tls\n\nx\n", code=69)
		self.need(said, "does not offer REQUIRETLS", "nothing was sent")
		self.need(self.sendmail("-i", "-O", "requiretls=perhaps", "bob@demo.example", text="x\n", code=64), "expected requiretls=yes")
		since = self.server.log.mark()
		self.sendmail("-i", "-O", "requiretls=no", "-O", "smtputf8=yes", "z@far.example", text="Subject: by-ütf8\n\nx\n")
		self.server.log.wait("event=failed to=z@far.example .*5\\.6\\.7", since)

	def transcript(self):
		self.need(self.sendmail("-v", "-i", "bob@demo.example", text="Subject: by-v\n\nx\n"), "<<< 220 ", ">>> MAIL FROM", "<<< 250 .*Accepted as")

	def uucp(self):
		"""rmail takes the sender from the first line, and a dot does not end the mail."""
		self.call("rmail", "bob@demo.example", text="From anna Sat Nov 21 19:11:34 2026 remote from far.example\nSubject: by-rmail\n\nx\n.\ny\n")
		mail = self.mail_with("bob", "by-rmail")
		if not mail.startswith("Return-Path: <anna@far.example>") or not mail.endswith("\nx\n.\ny\n"):
			raise mt.Failed(mail)
		self.call("rmail", "bob@demo.example", text="From MAILER-DAEMON Sat Nov 21 19:11:34 2026\nSubject: by-null\n\nx\n")
		self.need(self.mail_with("bob", "by-null"), "^Return-Path: <>")

	def send_mail(self):
		self.call("send-mail", "-i", "bob@demo.example", text="Subject: by-send-mail\n\nx\n")
		self.mail_with("bob", "by-send-mail")

	def daemon(self):
		"""-bd starts a server where there is none, and says so where there is one."""
		self.need(self.sendmail("-bd", "-q15m"), "is running already")
		other = mt.Server(start=False)
		try:
			since = subprocess.Popen([os.path.join(mt.BIN, "sendmail"), "-bD", "-q1h", "-C", other.conf], stdin=subprocess.DEVNULL,
				stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace",
				env={**other.env, "MINIMTA_CONTROL": ""})
			other.child, other.log = since, mt.Lines(since.stderr)
			other.wait_ready()
			other.honest_mail()
		finally:
			other.close()

	def refused(self):
		self.need(self.sendmail("-bx", code=64), "expected -bm")
		# More than a message may have will be so tomorrow, too.
		said = self.sendmail("-i", *(f"u{i}@far.example" for i in range(1001)), text="x\n", code=65)
		self.need(said, "^sendmail: 1001 recipients, and this server takes 1000 for one message; nothing was sent\n$")


CASES = ("smtp", "verify", "queue_runs", "notices", "odd_options", "queue_only", "interactive", "deliver_own", "flood", "promises",
	"transcript", "uucp", "send_mail", "daemon", "refused")


def main():
	options = argparse.ArgumentParser(description="sendmail, all of it.")
	options.add_argument("-v", action="store_true")
	report = mt.Report(options.parse_args().v)
	sendmail = Sendmail()
	try:
		for name in CASES:
			report.case("sendmail: " + name.replace("_", " "), getattr(sendmail, name))
	finally:
		report.case("sendmail: a clean end", sendmail.close)
	return report.finish()


if __name__ == "__main__":
	sys.exit(main())
