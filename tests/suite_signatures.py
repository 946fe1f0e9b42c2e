#!/usr/bin/python3
"""
DKIM and ARC against another implementation, dkimpy (Debian's python3-dkim), by `minimtactl check` and `sign`: what each
signs the other verifies, in all canonical forms over bodies and headers with odd corners, and about tampered mail they
agree. And the words of the commands themselves.
"""
import base64
import os
import random
import subprocess
import sys
import tempfile

import dkim

import minimta_test as mt
import suites
from fake_dns import FakeDNS

BODIES = (b"", b"\r\n", b"\r\n\r\n", b"hello", b"hello\r\n", b"a  b \t\r\n c\r\n \r\n\r\n", b" \r\n", b"x\r\n\t\r\n",
	b"\r\n\r\nx\r\n\r\n\r\n", b"a\tb  c   \r\n\r\n  \r\nend", b"long " * 3000 + b"\r\n")
HEADERS = (b"From: A <a@example.org>\r\nTo: b@example.net\r\nSubject: x\r\nDate: now\r\n",
	b"FROM:  A\r\n <a@example.org>\r\nTo: b\r\nTo:c\r\nSubject:  a\tb  \r\n\t c \r\nReceived: x\r\nX-Y:\r\n",
	b"From: a@example.org\r\nSubject: \r\n \r\n x\r\nCc: \r\n")
CANONS = [(header, body) for header in ("simple", "relaxed") for body in ("simple", "relaxed")]
TAMPERED = 40			# for each key
SEED = 6376


def der(tag, *parts):
	content = b"".join(parts)
	length = bytes([len(content)]) if len(content) < 128 else b"\x82" + len(content).to_bytes(2, "big")
	return bytes([tag]) + length + content


def rsa_record(modulus, exponent):
	"""A key record with any numbers."""
	numbers = [der(2, b"\0" + n.to_bytes((n.bit_length() + 7) // 8, "big")) for n in (modulus, exponent)]
	oid = bytes.fromhex("06092a864886f70d0101010500")
	key = der(0x30, der(0x30, oid), der(3, b"\0" + der(0x30, *numbers)))
	return "v=DKIM1; p=" + base64.b64encode(key).decode()


class Signatures:
	def __init__(self, folder):
		self.folder = folder
		self.dns = FakeDNS()
		self.records = {}
		self.make_key("rsa", "genrsa", "-traditional", "2048")
		self.make_key("ed25519", "genpkey", "-algorithm", "ed25519")

	def path(self, name):
		return os.path.join(self.folder, name)

	def openssl(self, *words):
		return subprocess.run(["openssl", *words], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout

	def make_key(self, kind, *words):
		"""A key in a file, and its record under the name of its kind."""
		with open(self.path(kind), "wb") as f:
			f.write(self.openssl(*words))
		public = self.openssl("pkey", "-in", self.path(kind), "-pubout", "-outform", "DER")
		text = base64.b64encode(public if kind == "rsa" else public[-32:]).decode()
		record = f"v=DKIM1; k={kind}; p={text}"
		self.dns.put(f"{kind}._domainkey.example.org", "TXT", record)
		self.records[f"{kind}._domainkey.example.org.".encode()] = record.encode()

	def key_for_dkimpy(self, kind):
		if kind == "rsa":
			return open(self.path(kind), "rb").read()
		return base64.b64encode(self.openssl("pkey", "-in", self.path(kind), "-outform", "DER")[-32:])

	def ask(self, name, timeout=5):
		return self.records.get(name if isinstance(name, bytes) else name.encode())

	def check(self, what, message):
		return suites.minimtactl("check", what, "--dns", f"127.0.0.1:{self.dns.port}", stdin=message)

	def sign(self, what, kind, message, *words, code=0):
		done = subprocess.run([suites.MINIMTACTL, "sign", what, "--dns", f"127.0.0.1:{self.dns.port}", "--key", self.path(kind),
			"--domain", "example.org", "--selector", kind, *words], input=message, stdout=subprocess.PIPE,
			stderr=subprocess.PIPE, timeout=60)
		if done.returncode != code:
			raise mt.Failed(f"exit {done.returncode}, expected {code}: {done.stderr.decode()}")
		return done.stdout

	def signed_by_dkimpy(self, kind, message, header, body):
		return dkim.sign(message, kind.encode(), b"example.org", self.key_for_dkimpy(kind), canonicalize=(header.encode(),
			body.encode()), signature_algorithm=f"{kind}-sha256".encode(),
			include_headers=[b"from", b"to", b"subject", b"date", b"to"]) + message

	def accepts_dkimpy(self, message):
		try:
			return dkim.verify(message, dnsfunc=self.ask)
		except Exception:		# it has many
			return False

	# The test cases.

	def both_ways(self, kind, header, body):
		for message in (h + b"\r\n" + b for h in HEADERS for b in BODIES):
			theirs = self.signed_by_dkimpy(kind, message, header, body)
			said = self.check("dkim", theirs)
			if said.split()[0] != "pass":
				raise mt.Failed(f"signed by dkimpy: {said}{theirs!r}")
			ours = self.sign("dkim", kind, message, "--canon", f"{header}/{body}")
			if not ours.endswith(b"\r\n" + message) or not self.accepts_dkimpy(ours):
				raise mt.Failed(f"signed by us: {ours!r}")

	def tampered(self, kind):
		"""One bit of a letter or digit is turned: both say the same."""
		chance = random.Random(SEED)
		message = HEADERS[0] + b"\r\n" + BODIES[5]
		for i in range(TAMPERED):
			header, body = CANONS[i % len(CANONS)]
			changed = bytearray(self.signed_by_dkimpy(kind, message, header, body))
			place = chance.choice([p for p, c in enumerate(changed) if chr(c).isalnum()])
			changed[place] ^= chance.choice((1, 2, 32))
			said = self.check("dkim", bytes(changed))
			if (said.split()[0] == "pass") != self.accepts_dkimpy(bytes(changed)):
				raise mt.Failed(f"we say {said}, dkimpy does not: {bytes(changed)!r}")

	def length(self):
		"""l= is right only when it covers all there is."""
		message = HEADERS[0] + b"\r\nhello\r\n"
		ours = dkim.sign(message, b"rsa", b"example.org", self.key_for_dkimpy("rsa"), length=True,
			include_headers=[b"from"]) + message
		for mail, wanted in ((ours, "pass"), (ours + b"more\r\n", "fail"), (ours + b"\r\n", "pass")):
			said = self.check("dkim", mail)
			if b"l=7" not in mail or said.split()[0] != wanted or "limited" not in said:
				raise mt.Failed(f"expected {wanted}: {said}{mail!r}")
		empty = dkim.sign(HEADERS[0] + b"\r\n", b"rsa", b"example.org", self.key_for_dkimpy("rsa"), length=True,
			canonicalize=(b"relaxed", b"relaxed"), include_headers=[b"from"]) + HEADERS[0] + b"\r\n"
		if b"l=0" not in empty or self.check("dkim", empty).split()[0] != "pass" or \
		    self.check("dkim", empty + b"anything\r\n").split()[0] != "fail":
			raise mt.Failed(f"l=0: {empty!r}")

	def odd_keys(self):
		"""Keys that nobody should have, each under a signature that fits its name."""
		message = HEADERS[0] + b"\r\n"
		for name, record, wanted in (("bits8", rsa_record(221, 3), "policy"), ("bits16384", rsa_record(2 ** 16383 + 1, 3), "permerror"),
		    ("bits5000", rsa_record(2 ** 4999 + 1, 3), "policy"), ("even", rsa_record(2 ** 2047, 2), "fail"),
		    ("zero", rsa_record(0, 0), "policy"), ("exponent", rsa_record(2 ** 2047 + 1, 2 ** 2000 + 1), "policy"),
		    ("giant", "v=DKIM1; p=" + "A" * 40000, "permerror")):
			self.dns.put(f"{name}._domainkey.example.org", "TXT", record)
			ours = self.sign("dkim", "rsa", message, "--selector", name)
			said = self.check("dkim", ours)
			if said.split()[0] != wanted:
				raise mt.Failed(f"{name}: expected {wanted}, it says {said}")

	def chain(self):
		"""Sets by both in turn are one chain for both."""
		message = HEADERS[0] + b"\r\n" + BODIES[5]
		for i in range(1, 6):
			results = b"Authentication-Results: mx.example.org; arc=" + (b"none" if i == 1 else b"pass") + b"\r\n"
			if i % 2 == 1:
				message = self.sign("arc", "rsa", results + message, "--authserv-id", "mx.example.org", "--timestamp", "12345",
					"--headers", "from:to:subject")
			else:
				bare = b"\r\n".join(l for l in message.split(b"\r\n") if not l.startswith(b"Authentication-Results"))
				message = b"".join(dkim.arc_sign(results + bare, b"rsa", b"example.org", self.key_for_dkimpy("rsa"),
					b"mx.example.org")) + bare
			said, (theirs, _, why) = self.check("arc", message), dkim.arc_verify(message, dnsfunc=self.ask)
			if not said.startswith(f"pass sets={i}") or theirs != b"pass":
				raise mt.Failed(f"at {i} we say {said}, dkimpy {theirs}: {why}\n{message.decode()}")
		broken = message.replace(b"Subject: x", b"Subject: y")
		if self.check("arc", broken).split()[0] != "fail" or dkim.arc_verify(broken, dnsfunc=self.ask)[0] == b"pass":
			raise mt.Failed("a changed Subject does not break the chain")
		again = self.sign("arc", "rsa", broken, "--authserv-id", "mx.example.org")
		if b"cv=fail" not in again:
			raise mt.Failed("a broken chain is sealed as if it were whole")
		self.sign("arc", "rsa", again, "--authserv-id", "mx.example.org", code=75)

	def lone_line_feeds(self):
		"""The field has the message's own kind of lines; nothing else is touched."""
		message = HEADERS[0].replace(b"\r\n", b"\n") + b"\nhello\n"
		ours = self.sign("dkim", "rsa", message)
		if b"\r" in ours or not ours.endswith(b"\n" + message) or self.check("dkim", ours).split()[0] != "pass":
			raise mt.Failed(repr(ours))

	def words(self):
		message = HEADERS[0] + b"\r\nhello\r\n"
		self.sign("dkim", "rsa", message, "--algorithm", "rsa-sha256")
		self.sign("dkim", "rsa", message, "--algorithm", "ed25519-sha256", code=64)
		self.sign("dkim", "rsa", message, "--canon", "nowsp", code=64)
		self.sign("dkim", "rsa", message, "--headers", "to:subject", code=64)
		self.sign("dkim", "rsa", message, "--timestamp", "now", code=64)
		self.sign("arc", "rsa", message, code=64)
		self.sign("dkim", "nowhere", message, code=75)
		said = self.check("dkim", self.sign("dkim", "ed25519", self.sign("dkim", "rsa", message)))
		if [line.split()[:3] for line in said.splitlines()] != [["pass", "d=example.org", "s=ed25519"],
		    ["pass", "d=example.org", "s=rsa"]]:
			raise mt.Failed(said)
		said = self.check("dkim", b"DKIM-Signature: v=1; a=rsa-md5; d=example.org; s=x; h=from; bh=AAAA; b=AAAA\r\n" + message)
		if not said.startswith("neutral d=example.org s=x (unknown algorithm"):
			raise mt.Failed(said)
		said = self.check("dkim", b">From somebody\r\n" + self.sign("dkim", "rsa", message))
		if said.split()[0] != "pass":
			raise mt.Failed(f"behind a line that is no field: {said}")
		if self.check("dkim", message).split()[0] != "none" or self.check("arc", message).split()[0] != "none":
			raise mt.Failed("unsigned mail is not none")


def main():
	report = mt.Report("-v" in sys.argv[1:])
	with tempfile.TemporaryDirectory() as folder:
		tests = Signatures(folder)
		for kind in ("rsa", "ed25519"):
			for header, body in CANONS:
				report.case(f"dkim: {kind} {header}/{body}, both ways", tests.both_ways, kind, header, body)
			report.case(f"dkim: {kind}, tampered", tests.tampered, kind)
		report.case("dkim: l=", tests.length)
		report.case("dkim: odd keys", tests.odd_keys)
		report.case("arc: a chain by two", tests.chain)
		report.case("sign: lone line feeds", tests.lone_line_feeds)
		report.case("sign: words", tests.words)
	suites.finish(report, True)


if __name__ == "__main__":
	main()
