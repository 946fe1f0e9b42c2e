"""
The filters' techniques against programs that people trust: knot and unbound answer their questions, and opendkim signs
what minimta verifies and verifies what minimta signs. Cases of interop.py, whose class they get; the zones here join those
of interop_hosts.py.
"""
import base64
import contextlib
import functools
import json
import os
import random
import re
import signal
import struct
import subprocess

import minimta_test as mt
import peers
from interop_hosts import HERE

SIGNER = "signed.example"
SELECTORS = {"rsa": ("genrsa", "-traditional", "2048"), "short": ("genrsa", "-traditional", "512")}
TAMPERED = 60
SEED = 6376
LEADING_SPACE = 0x100000		# of the milter protocol: values keep the space behind the colon
HEADERS = (b"From: A <a@signed.example>\r\nTo: b@here.example\r\nSubject: x\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n",
	b"FROM:  A\r\n <a@signed.example>\r\nTo: b@here.example\r\nSubject:  a\tb  \r\n\t c \r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\n")
BODIES = (b"\r\n", b"hello\r\n", b"a  b \t\r\n c\r\n \r\n\r\n", b".dot\r\n..\r\n", b" \r\nx\r\n", b"x" * 998 + b"\r\n")
# The resolver, beside minimta; and where it may not be asked by the name of anybody else.
DNS = "127.0.0.1:53"


def folder():
	path = os.path.join(peers.FOLDER, "keys")
	os.makedirs(path, exist_ok=True)
	return path


def openssl(*words):
	return subprocess.run(["openssl", *words], check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout


def make_key(selector):
	"""A key in a file; its record as strings of a zone file."""
	path = os.path.join(folder(), selector)
	if not os.path.exists(path):
		with open(path, "wb") as f:
			f.write(openssl(*SELECTORS[selector]))
	public = base64.b64encode(openssl("pkey", "-in", path, "-pubout", "-outform", "DER")).decode()
	record = "v=DKIM1; k=rsa; p=" + public
	return " ".join(f'"{record[i:i + 120]}"' for i in range(0, len(record), 120))


def zones():
	"""What knot serves for these cases, by name."""
	begin = "@ 60 SOA ns.names.example. root.names.example. 1 60 60 60 60\n@ 60 NS ns.names.example.\n"
	bulk = "".join(f'many 60 TXT "{n:03} {"x" * 200}"\n' for n in range(60))	# 12 KiB: over TCP
	return {
		SIGNER: begin + '@ 60 TXT "v=spf1 ip4:192.0.2.20 -all"\n_dmarc 60 TXT "v=DMARC1; p=reject; sp=quarantine"\n'
			'sub 60 TXT "v=spf1 include:" "signed.example ~all"\n' + bulk + 'many 60 TXT "v=spf1 ip4:192.0.2.30 -all"\n'
			'broken 60 TXT "v=spf1 include:forged.example -all"\n'
			'away 60 TXT "v=spf1 include:x.nobody.example -all"\n' +
			"".join(f"{name}._domainkey 60 TXT {make_key(name)}\n" for name in SELECTORS),
		"list.example": begin + '2.0.0.127 60 A 127.0.0.2\n21.2.0.192 60 A 127.0.0.4\n21.2.0.192 60 TXT "sends what nobody wants"\n'
			"22.2.0.192 60 A 127.255.255.254\n",
		"2.0.192.in-addr.arpa": begin + "20 60 PTR mx.there.example.\n21 60 PTR mx.there.example.\n",
	}


def check(interop, *words, stdin=b"", code=0):
	"""What minimtactl check finds, where the resolver is."""
	done = subprocess.run([*peers.within(interop.peers.here), os.path.join(mt.BIN, "minimtactl"), "check", *words, "--dns", DNS],
		input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=mt.DEADLINE)
	if done.returncode != code:
		raise mt.Failed(f"check {' '.join(words)}: exit {done.returncode}: {done.stderr.decode()}")
	return done.stdout.decode()


def expect(said, wanted, what):
	if said.split()[0] != wanted:
		raise mt.Failed(f"{what}: expected {wanted}, it says {said}")


# By knot and unbound.

def spf_by_real_dns(interop):
	for ip, sender, wanted in (("192.0.2.20", SIGNER, "pass"), ("192.0.2.21", SIGNER, "fail"), ("192.0.2.20", "sub." + SIGNER, "pass"),
	    ("192.0.2.21", "sub." + SIGNER, "softfail"), ("192.0.2.30", "many." + SIGNER, "pass"), ("192.0.2.31", "many." + SIGNER, "fail"),
	    ("192.0.2.20", "nothing." + SIGNER, "none"), ("192.0.2.20", "broken." + SIGNER, "temperror"), ("192.0.2.20", "away." + SIGNER, "permerror")):
		expect(check(interop, "spf", "--ip", ip, "--helo", "mx.there.example", "--from", "a@" + sender), wanted, f"{ip} as {sender}")


def dmarc_by_real_dns(interop):
	for domain, words, wanted, policy in ((SIGNER, ("--spf", "pass:" + SIGNER), "pass", "reject"), (SIGNER, (), "fail", "reject"),
	    ("a.b." + SIGNER, ("--dkim", "pass:x.example"), "fail", "quarantine"), ("there.example", (), "none", None)):
		said = json.loads(check(interop, "dmarc", "--header-from", domain, *words, "--json"))
		if said["result"] != wanted or (policy and policy not in json.dumps(said)):
			raise mt.Failed(f"{domain}: expected {wanted} {policy}, it says {said}")


def lists_by_real_dns(interop):
	for ip, wanted in (("192.0.2.21", "listed"), ("192.0.2.20", "not-listed"), ("192.0.2.22", "trouble")):
		said = check(interop, "dnsbl", "--ip", ip, "--list", "list.example")
		if wanted not in said:
			raise mt.Failed(f"{ip}: expected {wanted}, it says {said}")
		if wanted == "listed" and "sends what nobody wants" not in said:
			raise mt.Failed(f"no text: {said}")


def reverse_names_by_real_dns(interop):
	for ip, wanted in (("192.0.2.20", "pass"), ("192.0.2.21", "fail"), ("192.0.2.22", "permerror")):
		expect(check(interop, "iprev", "--ip", ip), wanted, ip)


# By opendkim: as a milter it signs, its opendkim-testmsg verifies. (That one would sign with rsa-sha1 only.)

class Milter:
	"""As much of the milter protocol as it takes to have a message signed: what a mail server says to opendkim."""

	def __init__(self, namespace, port):
		self.sock = peers.connected(namespace, "127.0.0.1", port, None)
		self.command(b"O", struct.pack("!III", 6, 0x1ff, LEADING_SPACE), b"O")
		self.command(b"C", b"mx.here.example\0" + b"4" + struct.pack("!H", 25) + b"127.0.0.1\0")
		self.command(b"H", b"mx.here.example\0")

	def send(self, letter, data=b""):
		self.sock.sendall(struct.pack("!I", len(data) + 1) + letter + data)

	def answer(self):
		"""(letter, data)"""
		def exactly(n):
			got = b""
			while len(got) < n:
				piece = self.sock.recv(n - len(got))
				if not piece:
					raise mt.Failed("opendkim hangs up")
				got += piece
			return got
		packet = exactly(struct.unpack("!I", exactly(4))[0])
		return packet[:1], packet[1:]

	def command(self, letter, data=b"", wanted=b"c"):
		self.send(letter, data)
		got, data = self.answer()
		if got != wanted:
			raise mt.Failed(f"opendkim answers {letter!r} with {got!r} {data!r}")

	def sign(self, message):
		"""The fields that it would put on top."""
		header, _, body = message.partition(b"\r\n\r\n")
		self.command(b"M", b"<a@signed.example>\0")
		self.command(b"R", b"<b@here.example>\0")
		for field in re.split(rb"\r\n(?![ \t])", header):
			name, _, value = field.partition(b":")
			# Values with the space behind the colon (LEADING_SPACE), and their lines end with LF.
			self.command(b"L", name + b"\0" + value.replace(b"\r\n", b"\n") + b"\0")
		self.command(b"N")
		if body:
			self.command(b"B", body)
		self.send(b"E")
		fields, letter = b"", b""
		while letter not in (b"c", b"a"):
			letter, data = self.answer()
			if letter == b"i":
				name, value = data[4:].split(b"\0")[:2]
				fields += name + b":" + value.replace(b"\n", b"\r\n") + b"\r\n"
			elif letter in (b"r", b"t", b"d", b"y"):
				raise mt.Failed(f"opendkim says {letter!r} {data!r}")
		return fields


@contextlib.contextmanager
def running_opendkim(interop, canon, port, selector="rsa"):
	"""A Milter that speaks to one of its own. (Told to end, it would wait for several seconds.)"""
	interop.opendkim.write(f"etc/opendkim-{port}.conf", f"""Mode s
Domain {SIGNER}
Selector {selector}
KeyFile /etc/keys/{selector}
Canonicalization {canon}
SignatureAlgorithm rsa-sha256
Socket inet:{port}@127.0.0.1
Background no
UserID root
InternalHosts 127.0.0.1
MinimumKeyBits 512
RequireSafeKeys no
""")
	interop.peers.start(interop.peers.here, interop.opendkim.command("/usr/sbin/opendkim", "-f", "-x", f"/etc/opendkim-{port}.conf"))

	def connected():
		try:
			return Milter(interop.peers.here, port)
		except OSError:
			return None
	child = interop.peers.children[-1]
	try:
		yield interop.server.log.wait_for(connected, "opendkim does not answer")
	finally:
		interop.peers.signal(child, signal.SIGKILL)


def opendkim_verdict(interop, message):
	"""Of opendkim-testmsg: exit status and output. It finds names through unbound."""
	command = interop.opendkim.command("/usr/sbin/opendkim-testmsg", "-C")
	done = subprocess.run([*peers.within(interop.peers.here), *command], input=message, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
		timeout=mt.DEADLINE)
	return done.returncode, done.stdout


def signed_by_us(selector, message, canon):
	return subprocess.run([os.path.join(mt.BIN, "minimtactl"), "sign", "dkim", "--key", os.path.join(folder(), selector), "--domain", SIGNER,
		"--selector", selector, "--canon", canon], input=message, stdout=subprocess.PIPE, timeout=mt.DEADLINE, check=True).stdout


def messages():
	return [header + b"\r\n" + body for header in HEADERS for body in BODIES]


def prepare_opendkim(interop):
	"""Its root has our keys and asks our resolver."""
	if getattr(interop, "opendkim", None) is not None:
		return
	interop.opendkim = peers.Root("opendkim", "opendkim", "opendkim-tools", "dash")
	interop.opendkim.write("etc/resolv.conf", f"nameserver {DNS.partition(':')[0]}\n")
	for selector in SELECTORS:
		with open(os.path.join(folder(), selector)) as f:
			interop.opendkim.write(f"etc/keys/{selector}", f.read(), 0o600)


CANONS = ("simple/simple", "simple/relaxed", "relaxed/simple", "relaxed/relaxed")


def opendkim_signs(interop):
	prepare_opendkim(interop)
	for port, canon in enumerate(CANONS, 8891):
		with running_opendkim(interop, canon, port) as milter:
			for message in messages():
				theirs = milter.sign(message) + message
				if f"c={canon};".encode() not in theirs or b"a=rsa-sha256" not in theirs:
					raise mt.Failed(f"opendkim signs otherwise than asked: {theirs!r}")
				expect(check(interop, "dkim", stdin=theirs), "pass", f"signed by opendkim: {theirs!r}")
				changed = theirs[:-2] + b"more\r\n"
				expect(check(interop, "dkim", stdin=changed), "fail", f"changed: {changed!r}")


def opendkim_verifies(interop):
	prepare_opendkim(interop)
	for message in messages():
		for canon in CANONS:
			ours = signed_by_us("rsa", message, canon)
			code, text = opendkim_verdict(interop, ours)
			if code != 0:
				raise mt.Failed(f"opendkim refuses {canon}: {code} {text!r} of {ours!r}")


def opendkim_agrees_on_tampered(interop):
	"""One bit of a letter or digit is turned: both say the same."""
	prepare_opendkim(interop)
	chance = random.Random(SEED)
	passed = 0
	for i in range(TAMPERED):
		canon = ("simple/simple", "relaxed/relaxed")[i % 2]
		changed = bytearray(signed_by_us("rsa", HEADERS[0] + b"\r\n" + BODIES[2], canon))
		place = chance.choice([p for p, c in enumerate(changed) if chr(c).isalnum()])
		changed[place] ^= chance.choice((1, 2, 32))
		said = check(interop, "dkim", stdin=bytes(changed)).split()[0]
		code, text = opendkim_verdict(interop, bytes(changed))
		# A field that is no signature any more is none to us and nothing to complain of to it.
		theirs = code == 0 and said != "none"
		passed += said == "pass"
		if (said == "pass") != theirs:
			raise mt.Failed(f"we say {said}, opendkim {code} {text!r}: {bytes(changed)!r}")
	if not 0 < passed < TAMPERED:
		raise mt.Failed(f"{passed} of {TAMPERED} passed: this shows nothing")


def short_keys_do_not_count(interop):
	"""512 bits, with which opendkim signs when it is told to (RFC 8301, 3.2)."""
	prepare_opendkim(interop)
	message = HEADERS[0] + b"\r\n" + BODIES[1]
	with running_opendkim(interop, "relaxed/relaxed", 8890, "short") as milter:
		theirs = milter.sign(message) + message
	expect(check(interop, "dkim", stdin=theirs), "policy", "a key of 512 bits")


# The whole way: opendkim signs, postfix brings it, and every filter looks.

@contextlib.contextmanager
def filters_on(interop):
	"""As a new site has them. The clock runs ahead, since postfix is a stranger and waits."""
	conf = interop.server.conf
	with open(conf) as f:
		text = f.read()
	try:
		with open(conf, "w") as f:
			f.write(text.replace("filters = no\n", "filters = yes\n"))
		interop.control("reload")
		with interop.server.hurry(0.1):
			yield
	finally:
		with open(conf, "w") as f:
			f.write(text)
		interop.control("reload")


def signed_by_opendkim(interop, subject):
	prepare_opendkim(interop)
	message = HEADERS[0].replace(b"Subject: x", b"Subject: " + subject.encode()) + b"Message-ID: <%s@signed.example>\r\n\r\n" % \
		subject.encode() + b"As it was signed.\r\n"
	with running_opendkim(interop, "relaxed/simple", 8889) as milter:
		return milter.sign(message) + message


def through_postfix(interop, sender, message):
	with interop.mail_servers["postfix"].client() as s:
		s.sendmail(sender, ["alice@" + HERE], message)


def postfix_brings_signed_mail(interop):
	message = signed_by_opendkim(interop, "signed-by-opendkim")
	with filters_on(interop):
		through_postfix(interop, "a@" + SIGNER, message)
		mail = interop.wait_alice("Subject: signed-by-opendkim\n")
	top = re.sub(rb"\s+", b" ", mail.partition(b"\nReceived:")[0]).decode()
	found = re.search(r"Authentication-Results: mx\.here\.example; (.*?) (?:Received-SPF|X-Minimta-Score):", top)
	for wanted in ("spf=pass smtp.mailfrom=a@" + SIGNER, f"dkim=pass header.d={SIGNER} header.s=rsa", "dmarc=pass header.from=" + SIGNER,
	    "iprev=pass"):
		if not found or wanted not in found.group(1):
			raise mt.Failed(f"no {wanted} in {top}")


def postfix_bounces_what_dmarc_refuses(interop):
	"""Changed after it was signed, and sent for a domain of which SPF says nothing."""
	message = signed_by_opendkim(interop, "changed-on-the-way").replace(b"As it was", b"Not as it was")
	postfix, since, ours = interop.mail_servers["postfix"], interop.mail_servers["postfix"].log.mark(), interop.server.log.mark()
	with filters_on(interop):
		through_postfix(interop, "bob@there.example", message)
		postfix.log.wait(r"status=bounced \(host mx\.here\.example\S* said: 550 5\.7\.1 The domain signed\.example", since)
	mail = postfix.wait_mail("Diagnostic-Code: smtp; 550 5.7.1 The domain signed.example")
	if b"Status: 5.7.1" not in mail or b"changed-on-the-way" not in mail:
		raise mt.Failed(f"that is no bounce of it: {mail!r}")
	code = interop.server.log.wait(r"event=filtered .*outcome=refused filter=dmarc .*code=(\w+)", ours).group(1)
	told = interop.control("explain", code).stdout
	if not re.search(r"(?s)\n +dkim +fail .*\n[ *]+dmarc +fail ", told):
		raise mt.Failed(f"the story of {code} has not that dkim and dmarc failed: {told}")
	if any(b"changed-on-the-way" in m for m in interop.server.mailbox("alice")):
		raise mt.Failed("alice has got it")


CASES = (spf_by_real_dns, dmarc_by_real_dns, lists_by_real_dns, reverse_names_by_real_dns, opendkim_signs, opendkim_verifies,
	opendkim_agrees_on_tampered, short_keys_do_not_count, postfix_brings_signed_mail,
	postfix_bounces_what_dmarc_refuses)


def cases(interop):
	return [(case.__name__, functools.partial(case, interop)) for case in CASES]
