#!/usr/bin/python3
"""
Sessions that are only tried out: minimtactl session and sendmail -bh say what each filter thinks of a client at some
address, and nothing comes of it.

	tests/session.py [-v]
"""
import argparse
import os
import re
import subprocess
import sys

import fake_dns
import minimta_test as mt

ZONE = ["client.example TXT v=spf1 ip4:192.0.2.1 -all", "_dmarc.strict.example TXT v=DMARC1; p=reject",
	"1.2.0.192.in-addr.arpa PTR mail.client.example", "mail.client.example A 192.0.2.1"]
LETTER = "From: {}\nTo: alice@demo.example\nSubject: {}\nDate: Sat, 21 Nov 2026 22:00:00 +0000\nMessage-ID: <1@client.example>\n\n{}\n"


class Session:
	def __init__(self):
		self.dns = fake_dns.FakeDNS(ZONE)
		self.server = mt.Server(replace={"filters": "yes", "trusted_networks": '{"198.51.100.0/24"}',
			"dns_servers": f'{{"127.0.0.1:{self.dns.port}"}}'})

	def close(self):
		self.dns.close()
		self.server.close()

	def call(self, *words, text="", code=0, name="minimtactl", end="\n"):
		done = subprocess.run([os.path.join(mt.BIN, name), *words], input=text.replace("\n", end), text=True, errors="replace",
			stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=mt.DEADLINE,
			env={**os.environ, "MINIMTA_CONTROL": self.server.control})
		if done.returncode != code:
			raise mt.Failed(f"{name} {' '.join(words)}: exit {done.returncode}, expected {code}\n{done.stdout}")
		return done.stdout

	def letter(self, ip, author="a@client.example", subject="x", body="hello", recipient="alice@demo.example", **more):
		text = f"EHLO mail.client.example\nMAIL FROM:<a@client.example>\nRCPT TO:<{recipient}>\nDATA\n" + \
			LETTER.format(author, subject, body) + ".\nQUIT\n"
		return self.call("session", "--ip", ip, text=text, **more)

	@staticmethod
	def expect(text, *patterns):
		for pattern in patterns:
			if not re.search(pattern, text, re.M):
				raise mt.Failed(f"nothing like {pattern!r} in:\n{text}")

	def nothing_came_of_it(self):
		if self.server.mailbox("alice"):
			raise mt.Failed("there is mail")

	# The test cases.

	def test_taken(self):
		said = self.letter("192.0.2.1", subject="taken")
		self.expect(said, r"^\*\*\* You are 192\.0\.2\.1, a stranger", r"^\*\*\* a stranger waits 6\.0 s for the greeting$",
			r"^220 mx\.demo\.example ESMTP", r"^\*\*\* spf: pass",
			r"^\*\*\* iprev: pass", r"^\*\*\* the recipient passes", r"^354 ", r"^\*\*\* the message passes",
			r"^\*\*\* Authentication-Results: mx\.demo\.example", r"^250 2\.0\.0 It would be accepted$", r"^221 ")
		if said.count(" waits ") != 1:		# it is honest: for the greeting, and for nothing else
			raise mt.Failed(said)
		self.nothing_came_of_it()
		# The same again, for nothing was remembered.
		self.expect(self.letter("192.0.2.1", end="\r\n"), r"waits 6\.0 s for the greeting", r"^\*\*\* standing: stranger")

	def test_refused(self):
		said = self.letter("192.0.2.1", author="a@strict.example")
		self.expect(said, r"^\*\*\* dmarc: fail.*asks to refuse", r"^\*\*\* the message is refused .*by dmarc",
			r"^550 5\.7\.1 .*\(see \w{5}\)$")

	def test_deferred(self):
		said = self.letter("203.0.113.9")
		self.expect(said, r"^\*\*\* spf: fail", r"^\*\*\* the recipient is deferred .*by greylist", r"^450 4\.7\.1 ")

	def test_unknown_recipient(self):
		self.expect(self.letter("192.0.2.1", recipient="nosuch@demo.example"), r"^550 5\.1\.1")

	def test_no_relay_for_strangers(self):
		self.expect(self.letter("192.0.2.1", recipient="far@far.example"), r"^550 5\.7\.1")

	def test_trusted(self):
		said = self.letter("198.51.100.7", recipient="far@far.example")
		self.expect(said, r"^\*\*\* You are 198\.51\.100\.7, which is in trusted_networks", r"^250 2\.0\.0 It would be accepted$")
		if "waits" in said:
			raise mt.Failed(said)

	def test_ipv6(self):
		self.expect(self.letter("2001:db8::1"), r"^\*\*\* You are 2001:db8::1")

	def test_large(self):
		said = self.letter("192.0.2.1", body="0123456789\n" * 30000)
		self.expect(said, r"^250 2\.0\.0 It would be accepted$")
		self.nothing_came_of_it()

	def test_cut_short(self):
		said = self.call("session", "--ip", "192.0.2.1", "--helo", "mail.client.example",
			text="MAIL FROM:<a@client.example>\nRCPT TO:<alice@demo.example>\n")
		self.expect(said, r"^250.mx\.demo\.example greets mail\.client\.example", r"^\*\*\* the recipient passes", r"^250 2\.1\.5")

	def test_wait(self):
		with self.server.hurry():
			said = self.call("session", "--ip", "192.0.2.77", "--wait", text="")
		self.expect(said, r"^220-mx\.demo\.example$", r"^220 mx\.demo\.example ESMTP")

	def test_sendmail(self):
		said = self.call("-bh", "192.0.2.1", name="sendmail", text="EHLO mail.client.example\nQUIT\n")
		self.expect(said, r"^\*\*\* You are 192\.0\.2\.1", r"^221 ")
		self.expect(self.call("-bh", name="sendmail", code=64), r"-bh takes the address of a client")

	def test_wrong_words(self):
		self.expect(self.call("session", code=64), r"^usage: minimtactl session")
		self.expect(self.call("session", "--ip", "mail.example.org", code=64), r"mail\.example\.org is not an address")
		self.expect(self.call("session", "--help"), r"^usage: minimtactl session")
		first, _ = self.server.ask("submit", "as=nonsense")
		if first:
			raise mt.Failed(first)

	def test_not_for_everybody(self):
		if os.geteuid() != 0:
			return
		ask = "import socket,sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); " \
			"s.sendall(b'submit\\tas=192.0.2.1\\n'); print(s.recv(1000).decode())"
		said = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-c", ask, self.server.control],
			text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=mt.DEADLINE).stdout
		self.expect(said, r"^denied: ")

	def test_it_leaves_a_line(self):
		self.letter("192.0.2.200")
		self.server.log.wait(r"event=tried client=192\.0\.2\.200")
		if self.server.log.find(r"event=(session|message|refused|filtered) .*client=192\.0\.2\.200"):
			raise mt.Failed("the log takes it for a real one")


def main():
	options = argparse.ArgumentParser(description="Sessions that are only tried out.")
	options.add_argument("-v", action="store_true")
	options = options.parse_args()
	report = mt.Report(options.v)
	session = Session()
	for name in sorted(n for n in dir(session) if n.startswith("test_")):
		report.case("session " + name[5:].replace("_", " "), getattr(session, name))
	report.case("session: the server stops in order", session.close)
	return report.finish()


if __name__ == "__main__":
	sys.exit(main())
