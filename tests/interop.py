#!/usr/bin/python3
"""
minimta among others: mail from Debian's postfix by MX, mail to it by MX, with knot as the name server, all in network
namespaces; and clients that are in every toolbox, Python's smtplib and swaks. Needs root.

	tests/interop.py [-v]
"""
import argparse
import os
import sys

import minimta_test as mt
import peers as peers_module

HERE, THERE = "here.example", "there.example"
SMTPLIB = """
import smtplib, sys
with smtplib.SMTP(sys.argv[1], 25, timeout=20) as s:
	s.ehlo("client.example")
	assert s.has_extn("pipelining") and s.has_extn("8bitmime") and s.has_extn("smtputf8") and s.has_extn("chunking")
	s.sendmail(sys.argv[2], sys.argv[3].split(","), sys.argv[4].encode() + b"\\r\\n\\r\\n.a dot first\\r\\nlast\\r\\n")
"""


class Interop:
	def __init__(self):
		self.peers = peers_module.Peers()
		self.server = None
		try:
			self.server = mt.Server(command=peers_module.within(self.peers.here), listen=f"{peers_module.MINIMTA}:25", replace={
				"hostname": f'"mx.{HERE}"', "domains": f'{{"{HERE}", "{mt.DOMAIN}"}}',
				"trusted_networks": f'{{"{peers_module.MINIMTA}/32"}}', "deliver_to_private_mx": "yes",
				"dns_servers": f'{{"{peers_module.DNS}:53"}}'}, start=False)
			self.link_mailbox()
			self.server.start()
		except BaseException:
			self.close(False)
			raise

	def link_mailbox(self):
		"""alice@here.example is the alice whose mailbox the library knows."""
		os.symlink(mt.DOMAIN, os.path.join(self.server.mail, HERE))

	def close(self, check=True):
		try:
			if self.server:
				self.server.close(check)
		finally:
			self.peers.close()

	def client(self, where, target, sender, recipients, subject):
		"""smtplib in one of the namespaces."""
		done = mt.run([*peers_module.within(where), "/usr/bin/python3", "-c", SMTPLIB, target, sender, recipients, subject], check=False)
		return done

	def sent(self, done):
		if done.returncode != 0:
			raise mt.Failed(done.stdout[-1500:])

	def wait_alice(self, text):
		self.server.log.wait_for(lambda: any(text.encode() in m for m in self.server.mailbox("alice")), f"alice has no mail with {text!r}")
		return [m for m in self.server.mailbox("alice") if text.encode() in m][-1]

	def wait_bob(self, text):
		self.server.log.wait_for(lambda: any(text.encode() in m for m in self.peers.bobs_mail()),
			f"bob has no mail with {text!r}; postfix says:\n" + "\n".join(self.peers.logs["mail.log"][-10:]))
		return [m for m in self.peers.bobs_mail() if text.encode() in m][-1]

	# The test cases.

	def smtplib_here(self):
		self.sent(self.client(self.peers.here, peers_module.MINIMTA, "c@client.example", f"alice@{HERE}", "Subject: by-smtplib"))
		mail = self.wait_alice("by-smtplib").replace(b"\r\n", b"\n")
		if not mail.endswith(b"\n\n.a dot first\nlast\n"):
			raise mt.Failed(f"arrived as {mail!r}")

	def to_postfix(self):
		"""The best MX is a host that cannot be reached, the second one is postfix."""
		self.sent(self.client(self.peers.here, peers_module.MINIMTA, "c@client.example", f"bob@{THERE}", "Subject: to-postfix"))
		mail = self.wait_bob("to-postfix")
		if not mail.endswith(b"\n\n.a dot first\nlast\n") or b"mx.here.example" not in mail:
			raise mt.Failed(f"arrived as {mail!r}")

	def to_postfix_many(self):
		self.sent(self.client(self.peers.here, peers_module.MINIMTA, "c@client.example",
			",".join(f"bob@{d}" for d in (THERE, "postfix." + THERE)) + f",alice@{HERE}", "Subject: to-three"))
		self.server.log.wait_for(lambda: sum(b"to-three" in m for m in self.peers.bobs_mail()) == 2, "bob has not got both")
		self.wait_alice("to-three")

	def refused_by_postfix(self):
		"""What postfix refuses comes back as a bounce that quotes it."""
		self.sent(self.client(self.peers.here, peers_module.MINIMTA, f"alice@{HERE}", "x@closed.there.example", "Subject: to-nowhere"))
		mail = self.wait_alice("closed.there.example")
		if b"multipart/report" not in mail or b"Auto-Submitted: auto-" not in mail:
			raise mt.Failed(f"not a bounce: {mail!r}")

	def null_mx(self):
		self.sent(self.client(self.peers.here, peers_module.MINIMTA, f"alice@{HERE}", "x@null.there.example", "Subject: to-null"))
		mail = self.wait_alice("null.there.example")
		if b"5.1.10" not in mail:
			raise mt.Failed(f"not the bounce of a null MX: {mail!r}")

	def from_postfix(self):
		"""postfix finds us by MX."""
		self.sent(self.client_there("from-postfix", f"alice@{HERE}"))
		mail = self.wait_alice("from-postfix")
		if b"postfix.there.example" not in mail or not mail.replace(b"\r\n", b"\n").endswith(b"\n\n.a dot first\nlast\n"):
			raise mt.Failed(f"arrived as {mail!r}")
		self.peers.wait_log("mail.log", f"to=<alice@{HERE}>, relay=mx.{HERE}[{peers_module.MINIMTA}]:25")

	def client_there(self, subject, recipient):
		script = SMTPLIB.replace('assert s.has_extn("pipelining") and s.has_extn("8bitmime") and s.has_extn("smtputf8") and s.has_extn("chunking")', "pass")
		return mt.run([*peers_module.within(self.peers.there), "/usr/bin/python3", "-c", script, peers_module.POSTFIX,
			f"bob@{THERE}", recipient, f"Subject: {subject}"], check=False)

	def postfix_hears_unknown(self):
		"""An unknown user is refused to postfix in the session, which makes the bounce."""
		self.sent(self.client_there("to-unknown", f"nosuch@{HERE}"))
		line = self.peers.wait_log("mail.log", f"to=<nosuch@{HERE}>")
		if "status=bounced" not in line or "550" not in line:
			raise mt.Failed(line)

	def no_relay(self):
		done = self.client(self.peers.there, peers_module.MINIMTA, "c@client.example", f"bob@{THERE}", "Subject: relay")
		if done.returncode == 0 or "550" not in done.stdout:
			raise mt.Failed(f"a stranger could relay, or was told otherwise: {done.stdout[-500:]}")

	def swaks(self):
		for more in ([], ["--helo", "swaks.example", "--protocol", "SMTP"], ["--pipeline"]):
			mt.run([*peers_module.within(self.peers.here), "swaks", "--server", peers_module.MINIMTA, "--to", f"alice@{HERE}", "--from",
				"s@client.example", "--header", "Subject: by-swaks" + "-".join(more)] + more)
			self.wait_alice("by-swaks" + "-".join(more))

	def bare_lf_does_not_travel(self):
		"""What postfix would make two mails of never comes through us."""
		program = """
import socket, sys
s = socket.create_connection((sys.argv[1], 25), 20)
f = s.makefile("rb")
def say(data, code):
	s.sendall(data)
	line = f.readline()
	while line[3:4] == b"-":
		line = f.readline()
	assert line.startswith(code), line
say(b"", b"220")
say(b"HELO c.example\\r\\n", b"250")
say(b"MAIL FROM:<c@client.example>\\r\\n", b"250")
say(b"RCPT TO:<bob@there.example>\\r\\n", b"250")
say(b"DATA\\r\\n", b"354")
say(b"Subject: smuggled\\r\\n\\r\\nx\\n.\\r\\nMAIL FROM:<evil@x.example>\\r\\nRCPT TO:<bob@there.example>\\r\\nDATA\\r\\nSubject: second\\r\\n\\r\\n.\\r\\n", b"5")
"""
		mt.run([*peers_module.within(self.peers.here), "/usr/bin/python3", "-c", program, peers_module.MINIMTA])
		self.to_postfix()
		if any(b"smuggled" in m or b"second" in m for m in self.peers.bobs_mail()):
			raise mt.Failed("bob has got a smuggled mail")


CASES = ("smtplib_here", "to_postfix", "to_postfix_many", "refused_by_postfix", "null_mx", "from_postfix", "postfix_hears_unknown",
	"no_relay", "swaks", "bare_lf_does_not_travel")


def main():
	options = argparse.ArgumentParser(description="minimta with postfix, knot, smtplib and swaks.")
	options.add_argument("-v", action="store_true")
	report = mt.Report(options.parse_args().v)
	if os.geteuid() != 0:
		report.fail("interop", "network namespaces need root")
		return report.finish()
	try:
		interop = Interop()
	except Exception as e:
		report.fail("interop", f"could not be set up: {type(e).__name__}: {e}")
		return report.finish()
	try:
		for name in CASES:
			report.case("interop " + name, getattr(interop, name))
	finally:
		report.case("interop: a clean end", interop.close)
	return report.finish()


if __name__ == "__main__":
	sys.exit(main())
