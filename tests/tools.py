#!/usr/bin/python3
"""
The tools as people and programs call them: sendmail in its many spellings, mailq, newaliases, minimtactl, and minimta
itself with a configuration that is wrong.

	tests/tools.py [-v]
"""
import argparse
import json
import os
import re
import socket
import subprocess
import sys
import tempfile

import fake_dns
import minimta_test as mt
import sink

LETTER = "From: Alice <alice@demo.example>\nTo: bob@demo.example\nSubject: {}\n\nline\n.dot\n.\nafter the dot\n"


class Tools:
	def __init__(self):
		self.far = sink.Sink("127.0.0.2", 0, ["rcpt reply 451 4.2.0 not now \\xe2\\x80\\xaeback"])
		self.dns = fake_dns.FakeDNS(["far.example MX 10 mx.far.example", "mx.far.example A 127.0.0.2"])
		self.server = mt.Server(replace={"filters": "yes", "trusted_networks": '{"127.0.0.0/8"}', "deliver_to_private_mx": "yes",
			"smtp_port": str(self.far.port), "dns_servers": f'{{"127.0.0.1:{self.dns.port}"}}'}, aliases="team: alice, bob\n")
		self.links = tempfile.mkdtemp(dir=self.server.folder)
		os.chmod(self.links, 0o755)
		for name in ("mailq", "newaliases"):
			os.symlink(os.path.join(mt.BIN, "sendmail"), os.path.join(self.links, name))

		# Half a minute beside the other tests.
		self.waiting = subprocess.Popen([os.path.join(mt.BIN, "sendmail"), "-i", "bob@demo.example"], stdin=subprocess.PIPE,
			stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
			env={**os.environ, "MINIMTA_CONTROL": self.server.folder + "/nowhere"})

	def close(self):
		self.far.close()
		self.dns.close()
		self.server.close()

	def call(self, name, *arguments, text="", code=0, **more):
		path = os.path.join(self.links if name in ("mailq", "newaliases") else mt.BIN, name)
		done = subprocess.run([path, *arguments], input=text, text=True, errors="replace", stdout=subprocess.PIPE,
			stderr=subprocess.STDOUT, timeout=mt.DEADLINE, env={**os.environ, "MINIMTA_CONTROL": self.server.control}, **more)
		if done.returncode != code:
			raise mt.Failed(f"{name} {' '.join(arguments)}: exit {done.returncode}, expected {code}\n{done.stdout}")
		return done.stdout

	def sendmail(self, *arguments, **more):
		return self.call("sendmail", *arguments, **more)

	def mail_with(self, user, text):
		self.server.log.wait_for(lambda: any(text.encode() in m for m in self.server.mailbox(user)), f"{user} has no mail with {text!r}")
		return [m for m in self.server.mailbox(user) if text.encode() in m][-1].decode().replace("\r\n", "\n")

	# The test cases.

	def plain(self):
		self.sendmail("-i", "bob@demo.example", text=LETTER.format("plain"))
		mail = self.mail_with("bob", "Subject: plain\n")
		if not mail.endswith("\n\nline\n.dot\n.\nafter the dot\n"):
			raise mt.Failed(f"arrived as {mail!r}")

	def dot_ends(self):
		self.sendmail("bob@demo.example", text=LETTER.format("until-dot"))
		if "after the dot" in self.mail_with("bob", "until-dot"):
			raise mt.Failed("a lone dot did not end the mail without -i")

	def from_headers(self):
		self.sendmail("-t", "-oi", "-f", "alice@demo.example",
			text="To: bob@demo.example, (comment) Team <team@demo.example>\nBcc: alice@demo.example\nSubject: by-t\n\nx\n")
		mail = self.mail_with("alice", "by-t")
		if "Bcc:" in mail or not mail.startswith("Return-Path: <alice@demo.example>"):
			raise mt.Failed(f"arrived as {mail!r}")
		self.mail_with("bob", "by-t")

	def sender_and_name(self):
		self.sendmail("-i", "-F", "Alice A.", "-falice@demo.example", "bob@demo.example", text="Subject: by-f\n\nx\n")
		mail = self.mail_with("bob", "by-f")
		for wanted in ("Return-Path: <alice@demo.example>", "From: ", "Alice A.", "Date: ", "Message-ID: "):
			if wanted.lower() not in mail.lower():
				raise mt.Failed(f"no {wanted!r} in {mail!r}")

	def odd_flags(self):
		"""What cron, PHP and the like pass along is accepted."""
		self.sendmail("-FCronDaemon", "-i", "-odi", "-oem", "-B8BITMIME", "-bm", "bob@demo.example", text="Subject: by-cron\n\nx\n")
		self.mail_with("bob", "by-cron")

	def usage(self):
		self.sendmail("-i", text="x\n", code=64)
		self.sendmail("-t", text="Subject: nobody\n\nx\n", code=64)

	def unknown_user(self):
		self.sendmail("-i", "nosuch@demo.example", text="Subject: x\n\nx\n", code=67)

	def away(self):
		"""No server: said so within the half minute that it waits, and 75, so that the caller keeps the mail."""
		said, _ = self.waiting.communicate(timeout=60)
		if self.waiting.returncode != 75 or not said:
			raise mt.Failed(f"exit {self.waiting.returncode}, expected 75\n{said}")

	def aliases(self):
		self.call("newaliases")

	def queue(self):
		"""list, show, retry, remove over one mail that waits."""
		self.sendmail("-i", "-f", "alice@demo.example", "x@far.example", text="Subject: waits\n\nx\n")
		self.server.log.wait(r"x@far\.example.*code=451")
		listed = self.call("mailq")
		m = re.search(r"^([0-9A-Z]{4,16})\b.*", listed, re.M)
		if not m or "x@far.example" not in listed or "451" not in listed:
			raise mt.Failed(f"mailq says {listed!r}")
		mail_id = m.group(1)
		if "x@far.example" not in self.call("minimtactl", "queue", "list"):
			raise mt.Failed("not in minimtactl queue list")
		if "451" not in self.call("minimtactl", "queue", "show", mail_id):
			raise mt.Failed("no reason in minimtactl queue show")
		attempts = len([s for s in self.far.seen if s.startswith("RCPT")])
		self.call("minimtactl", "queue", "retry", mail_id)
		self.server.log.wait_for(lambda: len([s for s in self.far.seen if s.startswith("RCPT")]) > attempts, "not tried again")
		self.call("minimtactl", "queue", "remove", mail_id)
		if "x@far.example" in self.call("mailq"):
			raise mt.Failed("still in mailq")

	def hostile_words(self):
		"""A header, or a server's reply, may hold what steers a terminal; it is shown, and steers nothing."""
		since = self.server.log.mark()
		self.sendmail("-i", "-f", "alice@demo.example", "x@far.example", text="Subject: \x1b]0;title\x07 \u202eback\n\nx\n")
		mail_id = self.server.log.wait(r"msg=(\w+) .*x@far\.example.*code=451", since).group(1)
		shown = self.call("minimtactl", "queue", "show", mail_id)
		if "Subject: ?]0;title? ?back" not in shown or "\x1b" in shown:
			raise mt.Failed(f"queue show says {shown!r}")
		if "\x1b]0;title" not in "".join(json.loads(self.call("minimtactl", "-j", "queue", "show", mail_id))["header"]):
			raise mt.Failed("the JSON has another header")
		shown = self.call("minimtactl", "queue", "deliver", mail_id)
		if "not now ?back\nE\n" not in shown:
			raise mt.Failed(f"queue deliver says {shown!r}")
		self.call("minimtactl", "queue", "remove", mail_id)

	def output_lost(self):
		"""A full disk, or a pipe that nobody reads: what was cut short does not look whole."""
		for name, *arguments in (("mailq",), ("sendmail", "-bp"), ("sendmail", "--help"), ("minimtactl", "-j", "queue", "list"),
		    ("minimtactl", "status"), ("minimtactl", "help"), ("mailstat",), ("mailstat", "--html")):
			path = os.path.join(self.links if name == "mailq" else mt.BIN, name)
			environment = {**os.environ, "MINIMTA_CONTROL": self.server.control}
			with open("/dev/full", "w") as full:
				done = subprocess.run([path, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, env=environment)
			if done.returncode != 74 or "No space left" not in done.stderr:
				raise mt.Failed(f"{name} {arguments} on a full disk: exit {done.returncode}, {done.stderr!r}")
			read, write = os.pipe()
			os.close(read)
			done = subprocess.run([path, *arguments], stdout=write, stderr=subprocess.PIPE, text=True, env=environment, restore_signals=False)
			os.close(write)
			if done.returncode != 74 or done.stderr:
				raise mt.Failed(f"{name} {arguments} into a closed pipe: exit {done.returncode}, {done.stderr!r}")
			done = subprocess.run(["sh", "-c", '"$0" "$@" >&-', path, *arguments], stderr=subprocess.PIPE, text=True, env=environment)
			if done.returncode != 0 or done.stderr:
				raise mt.Failed(f"{name} {arguments} without an output: exit {done.returncode}, {done.stderr!r}")
		# What was accepted must not be sent again for want of a transcript.
		with open("/dev/full", "w") as full:
			done = subprocess.run([os.path.join(mt.BIN, "sendmail"), "-v", "-f", "alice@demo.example", "bob@demo.example"], input="x\n",
				text=True, stdout=full, stderr=subprocess.PIPE, env=environment)
		if done.returncode != 0:
			raise mt.Failed(f"sendmail -v on a full disk: exit {done.returncode}, {done.stderr!r}")

	def status(self):
		text = self.call("minimtactl", "status")
		for process in mt.CHILDREN:
			if process not in text:
				raise mt.Failed(f"{process} is not in {text!r}")
		self.call("minimtactl", "nonsense", code=64)

	def second_master(self):
		"""Two masters on one spool: the second gives up."""
		with open(self.server.conf) as f:
			text = f.read()
		path = self.server.conf + ".second"
		with open(path, "w") as f:
			f.write(text)
		self.call("minimta", "-f", "-c", path, code=1)
		self.server.honest_mail()

	def bad_configuration(self):
		"""Each with file and line, and what would be right."""
		for line, wanted in (("no_such_option = 1", "no_such_option"), ("hostname = \"x.example\"\nhostname = \"y.example\"", ":2:"),
		    ("smtp_port = 70000", "65535"), ("listen = {\"nonsense\"}", "listen"), ("expire = \"5 parsecs\"", "expire"),
		    ("message_size = \"x\"", "message_size"), ("hostname = \"unclosed", ":1"), ("log_level = \"loud\"", "debug")):
			with tempfile.NamedTemporaryFile("w", suffix=".conf") as f:
				f.write(line + "\n")
				f.flush()
				said = self.call("minimta", "-n", "-c", f.name, code=78)
			if f.name + ":" not in said or wanted not in said:
				raise mt.Failed(f"for {line!r} it says {said!r}")

	def memory(self):
		"""What filters remember is shown, forgotten, and tried without being changed."""
		words = ("check", "greylist", "--ip", "192.0.2.1", "--helo", "mail.far.example", "--from", "s@far.example", "--to",
			f"alice@{mt.DOMAIN}", "--dns", f"127.0.0.1:{self.dns.port}")
		for _ in range(2):
			said = self.call("minimtactl", *words)
			if not said.startswith("new it would be deferred for 300 seconds") or "\nkey: 192.0.2.0/24, SPF says none\n" not in said:
				raise mt.Failed(said)
		said = json.loads(self.call("minimtactl", *words, "--json"))
		if (said["result"], said["left"]) != ("new", "300"):
			raise mt.Failed(f"as JSON: {said}")
		self.call("minimtactl", *words[:-4], code=64)
		self.call("minimtactl", *words[:3], "nowhere", *words[4:], code=64)
		self.sendmail("-i", "friend@far.example", text=LETTER.format("friend"))
		self.server.log.wait_for(lambda: "written_to=yes" in self.call("minimtactl", "memory", "show", "Friend@far.example"),
			"nobody remembers who was written to")
		self.call("minimtactl", "memory", "forget", "friend@far.example")
		if "written_to=no" not in self.call("minimtactl", "memory", "show", "friend@far.example"):
			raise mt.Failed("it is not forgotten")
		said = self.call("minimtactl", "memory", "forget", "friend@far.example", code=69)
		if "nothing is remembered of friend@far.example" not in said:
			raise mt.Failed(said)
		self.call("minimtactl", "memory", "show", code=64)

	def control_garbage(self):
		"""Nonsense on the control socket gets an error, an endless line an end."""
		first, _ = self.server.ask("nonsense", "x\x01\xff")
		if not first.startswith("error"):
			raise mt.Failed(first)
		with socket.socket(socket.AF_UNIX) as s:
			s.settimeout(mt.DEADLINE)
			s.connect(self.server.control)
			try:
				s.sendall(b"x" * 1000000)
				while s.recv(4096):
					pass
			except OSError:
				pass
		self.server.honest_mail()


CASES = ("plain", "dot_ends", "from_headers", "sender_and_name", "odd_flags", "usage", "unknown_user", "aliases", "queue", "hostile_words", "output_lost",
	"status",
	"second_master", "bad_configuration", "memory", "control_garbage", "away")


def main():
	options = argparse.ArgumentParser(description="The tools.")
	options.add_argument("-v", action="store_true")
	report = mt.Report(options.parse_args().v)
	tools = Tools()
	try:
		for name in CASES:
			report.case("tools: " + name.replace("_", " "), getattr(tools, name))
	finally:
		report.case("tools: a clean end", tools.close)
	return report.finish()


if __name__ == "__main__":
	sys.exit(main())
