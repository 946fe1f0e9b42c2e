#!/usr/bin/python3
"""
minimta among others: mail from and to postfix, exim and opensmtpd by MX, with knot and unbound as name servers; the
clients and tools that people have; and dovecot, which reads what arrived. All in network namespaces, as root. How the
other programs are set up is in interop_hosts.py, the cases with clients are in interop_clients.py, those about filters in interop_filters.py.

	tests/interop.py [-v] [CASE ...]	# a case by the beginning of its name
"""
import argparse
import json
import os
import re
import sys

import interop_clients
import interop_filters
import interop_hosts as hosts
import minimta_test as mt
import peers as peers_module
from interop_hosts import HERE

ALICE = "alice@" + HERE
# What a body must survive: dots, an 8-bit character set, UTF-8, lines of every length up to the limit, blank lines at the end.
BODY = (b".a dot first\n..two\n.\n.\xe4\xf6\xfc \xff\xfe latin\n\xc3\xa4 \xe2\x82\xac \xf0\x9f\x90\xa6\n\ttab \n" +
	b"".join(b"%d " % n + b"x" * (n - 4) + b"\n" for n in (100, 512, 997, 998)) + b"From here\n=20=\n \n\n\n")
UTF8_SUBJECT = "Grüße, 世界 "


def message(subject, body=BODY, sender=ALICE):
	text = b"From: <%s>\nSubject: %s\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n%s" % (
		sender.encode(), subject.encode(), body)
	return text.replace(b"\n", b"\r\n")


def same_body(mail, body=BODY):
	got = mail.replace(b"\r\n", b"\n").partition(b"\n\n")[2]
	if got == body:
		return
	for n, (a, b) in enumerate(zip(got.split(b"\n"), body.split(b"\n"))):
		if a != b:
			raise mt.Failed(f"line {n + 1} of the body was {b[:60]!r} ({len(b)} bytes) and is {a[:60]!r} ({len(a)} bytes)")
	raise mt.Failed(f"the body was {len(body)} bytes and is {len(got)}; it ends {got[-20:]!r}")


def unfolded(mail):
	return re.sub(rb"\s+", b" ", mail)


class Interop:
	def __init__(self):
		self.server, self.mail_servers = None, {}
		self.peers = peers_module.Peers([m.address for m in hosts.MAIL_SERVERS] + [hosts.Exim.busy_address, hosts.KNOT])
		try:
			hosts.Names(self.peers, interop_filters.zones())
			for make in hosts.MAIL_SERVERS:
				self.mail_servers[make.name] = make(self.peers)
			self.start_server()
			self.dovecot = hosts.Dovecot(self.peers, self.server.mail)
			self.tools = peers_module.Root("clients", "msmtp", "s-nail", "git-email", "libmailtools-perl", "curl", "dash")
		except BaseException:
			self.close(False)
			raise

	def start_server(self):
		self.server = mt.Server(command=peers_module.within(self.peers.here), listen=f"{peers_module.MINIMTA}:25", replace={
			"hostname": f'"mx.{HERE}"', "domains": f'{{"{HERE}", "{mt.DOMAIN}", "{hosts.Dovecot.domain}"}}',
			"lmtp": f'"{hosts.Dovecot.socket}"', "lmtp_domains": hosts.Dovecot.domain, "lmtp_users": "any",
			"trusted_networks": f'{{"{peers_module.MINIMTA}/32"}}', "deliver_to_private_mx": "yes",
			"dns_servers": f'{{"{hosts.UNBOUND}:53"}}'}, aliases="root: alice\n", start=False)
		# alice@here.example is the alice whose mailbox the library knows.
		os.symlink(mt.DOMAIN, os.path.join(self.server.mail, HERE))
		self.server.start()

	def close(self, check=True):
		try:
			if self.server:
				self.server.close(check)
		finally:
			self.peers.close()

	def client(self, source=None):
		return peers_module.Smtp(self.peers.here, peers_module.MINIMTA, source)

	def send(self, sender, recipients, data, options=()):
		with self.client() as s:
			s.sendmail(sender, recipients, data, options)

	def wait_alice(self, text):
		text = text if isinstance(text, bytes) else text.encode()
		self.server.log.wait_for(lambda: any(text in m for m in self.server.mailbox("alice")), f"alice has no mail with {text!r}")
		return [m for m in self.server.mailbox("alice") if text in m][-1].replace(b"\r\n", b"\n")

	def control(self, *words, check=True):
		"""What minimtactl says."""
		return mt.run([os.path.join(mt.BIN, "minimtactl"), "-c", self.server.conf, *words], check=check)

	# With each of the mail servers.

	def to_peer(self, peer):
		"""Every byte of the body arrives, at three recipients in one transaction."""
		subject = "to-" + peer.name
		people = [f"{who}@{peer.domain}" for who in peers_module.MAILBOXES]
		since = peer.log.mark()
		self.send(ALICE, people, message(subject), ["BODY=8BITMIME"])
		for who in peers_module.MAILBOXES:
			mail = peer.wait_mail(f"Subject: {subject}\n", who)
			same_body(mail)
			if b"mx." + HERE.encode() not in mail.partition(b"by " + peer.hostname.encode())[0]:
				raise mt.Failed(f"no trace of us in {mail[:800]!r}")
		peer.log.wait(peer.took, since)

	def from_peer(self, peer):
		"""It finds us by MX, and every byte arrives here."""
		subject = "from-" + peer.name
		with peer.client() as s:
			s.sendmail(f"bob@{peer.domain}", [ALICE], message(subject, sender=f"bob@{peer.domain}"), ["BODY=8BITMIME"])
		mail = self.wait_alice(f"Subject: {subject}\n")
		same_body(mail)
		if f"from {peer.hostname} ".encode() not in mail or f"[{peer.address}]".encode() not in mail:
			raise mt.Failed(f"no trace of it in {mail[:800]!r}")

	def utf8_to_peer(self, peer):
		"""An internationalised message goes to who takes it, and comes back from who does not."""
		subject = UTF8_SUBJECT + peer.name
		self.send(ALICE, [f"bob@{peer.domain}"], message(subject), ["SMTPUTF8", "BODY=8BITMIME"])
		if peer.smtputf8:
			same_body(peer.wait_mail(f"Subject: {subject}\n"))
		elif b"5.6.7" not in self.wait_alice(f"Final-Recipient: rfc822; bob@{peer.domain}\n"):
			raise mt.Failed("it came back for another reason than 5.6.7")

	def utf8_from_peer(self, peer):
		subject, sender = UTF8_SUBJECT + "from " + peer.name, f"jürgen@{peer.domain}"
		with peer.client() as s:
			s.sendmail(sender, [ALICE], message(subject, sender=sender), ["SMTPUTF8", "BODY=8BITMIME"])
		mail = self.wait_alice(f"Subject: {subject}\n")
		same_body(mail)
		if b"Return-Path: <" + sender.encode() + b">" not in mail or b" with UTF8SMTP" not in mail:
			raise mt.Failed(f"sender or protocol is not in {mail[:800]!r}")

	def unknown_there(self, peer):
		"""A bounce has the whole reply of the server that refused."""
		self.send(ALICE, [f"nosuch@{peer.domain}", f"bob@{peer.domain}"], message("unknown-at-" + peer.name))
		peer.wait_mail("unknown-at-" + peer.name)
		mail = self.wait_alice(f"Final-Recipient: rfc822; nosuch@{peer.domain}\n")
		replies = {"postfix": [b"550 5.1.1 <nosuch@there.example>: Recipient address rejected: User unknown in local recipient table"],
			"exim": [b"550", b"There is no such person here.", b"Those who left are listed at", b"https://people.exim.example/"],
			"opensmtpd": [b"550 ", b"Invalid recipient: <nosuch@opensmtpd.example>"]}
		for text in (b"multipart/report", b"Auto-Submitted: auto-", b"Action: failed", b"Remote-MTA: dns; " + peer.hostname.encode(),
		    *replies[peer.name]):
			if text not in unfolded(mail):
				raise mt.Failed(f"no {text!r} in {mail.decode(errors='replace')}")
		if f"bob@{peer.domain}".encode() in mail.partition(b"message/delivery-status")[2].partition(b"Subject:")[0]:
			raise mt.Failed("the report names bob, who got the mail")

	def unknown_here(self, peer):
		"""Refused in the session, so that it is the other server that writes a bounce."""
		with peer.client() as s:
			s.sendmail(f"carol@{peer.domain}", [f"nosuch.{peer.name}@{HERE}"], message("unknown-here"))
		mail = peer.wait_mail(f"nosuch.{peer.name}@{HERE}", "carol")
		if b"5.1.1" not in mail:
			raise mt.Failed(f"the bounce has not our reply: {mail!r}")

	def large(self, peer):
		"""Two megabytes each way, in lines of the longest length."""
		body = b"".join(b"%06d" % n + b"\xe4" * 992 + b"\n" for n in range(2100))
		self.send(ALICE, [f"bob@{peer.domain}"], message("large-to-" + peer.name, body), ["BODY=8BITMIME"])
		same_body(peer.wait_mail(f"Subject: large-to-{peer.name}\n"), body)
		with peer.client() as s:
			s.sendmail(f"bob@{peer.domain}", [ALICE], message("large-from-" + peer.name, body), ["BODY=8BITMIME"])
		same_body(self.wait_alice(f"Subject: large-from-{peer.name}\n"), body)

	# With one of them.

	def unreachable_best_mx(self):
		"""The best MX of there.example cannot be reached, the second one is postfix."""
		self.server.log.wait(r"(?i)192\.0\.2\.99")

	def relay_refused_by_peer(self):
		self.send(ALICE, ["x@closed.there.example"], message("to-closed"))
		mail = self.wait_alice("Final-Recipient: rfc822; x@closed.there.example\n")
		if b"554 5.7.1 <x@closed.there.example>: Relay access denied" not in unfolded(mail):
			raise mt.Failed(f"not postfix' reply: {mail!r}")

	def null_mx(self):
		self.send(ALICE, ["x@null.there.example"], message("to-null"))
		if b"5.1.10" not in self.wait_alice("Final-Recipient: rfc822; x@null.there.example\n"):
			raise mt.Failed("not the bounce of a null MX")

	def two_domains_at_one_host(self):
		self.send(ALICE, ["dave@there.example", "dave@mx.there.example", ALICE], message("to-three"))
		postfix = self.mail_servers["postfix"]
		postfix.log.wait_for(lambda: sum(b"to-three" in m for m in postfix.root.mails("dave")) == 2, "dave has not got both")
		self.wait_alice("Subject: to-three")

	def busy_at_greeting(self):
		"""A server greets with 4xx: the mail waits, says why, and goes when its time has come."""
		exim = self.mail_servers["exim"]
		exim.be_busy(True)
		since = self.server.log.mark()
		try:
			self.send(ALICE, ["bob@" + exim.busy_domain], message("when-busy"))
			self.server.log.wait(r"event=deferred to=bob@busy\.example\b.*too busy for a moment", since)
		finally:
			exim.be_busy(False)
		self.server.move_clock(3600)
		same_body(exim.wait_mail("Subject: when-busy\n"))

	def no_relay(self):
		"""Nobody but our own network may send through us."""
		for peer in self.mail_servers.values():
			with peers_module.Smtp(self.peers.there, peers_module.MINIMTA, peer.address) as s:
				s.ehlo()
				s.mail("c@client.example")
				code, text = s.rcpt("bob@there.example")
				if code != 550:
					raise mt.Failed(f"a stranger's recipient: {code} {text!r}")

	def bare_lf_does_not_travel(self):
		"""What postfix would make two mails of never comes through us."""
		postfix = self.mail_servers["postfix"]
		with self.client() as s:
			s.ehlo()
			s.mail(ALICE)
			s.rcpt("bob@there.example")
			s.docmd("DATA")
			s.send(b"Subject: smuggled\r\n\r\nx\n.\r\nMAIL FROM:<evil@x.example>\r\nRCPT TO:<bob@there.example>\r\nDATA\r\nSubject: second\r\n\r\n.\r\n")
			code, text = s.getreply()
			if code < 500:
				raise mt.Failed(f"bare LF: {code} {text!r}")
			s.close()
		self.send(ALICE, ["bob@there.example"], message("after-smuggling"))
		postfix.wait_mail("after-smuggling")
		if any(b"smuggled" in m or b"second" in m for m in postfix.root.mails("bob")):
			raise mt.Failed("bob has got a smuggled mail")

	def signed_names(self):
		"""unbound's word on signatures arrives; what it finds forged is no such domain's end, but a wait."""
		for domain, signed in ((hosts.SIGNED, True), ("exim.example", False)):
			said = self.control("verify", "x@" + domain).stdout
			if ("DNSSEC" in said) != signed:
				raise mt.Failed(f"{domain} should be {'signed' if signed else 'unsigned'}: {said}")
		since = self.server.log.mark()
		self.send(ALICE, [f"x@{hosts.FORGED}"], message("to-forged"))
		self.server.log.wait(rf"event=deferred to=x@{hosts.FORGED}\b", since)
		msg = json.loads(self.control("-j", "queue", "list").stdout)
		for m in msg:
			self.control("queue", "remove", m["id"])

	def dovecot_reads(self):
		"""What we delivered is mail to dovecot, with arrival times and sizes; what comes while it looks appears, and what it marks stays."""
		self.send("c@client.example", [ALICE], message("for-imap"), ["BODY=8BITMIME"])
		self.wait_alice("Subject: for-imap\n")
		imap = self.dovecot.login("alice@" + mt.DOMAIN)
		try:
			code, (count,) = imap.select()
			found = imap.search(None, "SUBJECT", "for-imap")[1][0].split()
			if code != "OK" or len(found) != 1 or int(count) != len(self.server.mailbox("alice")):
				raise mt.Failed(f"dovecot sees {count} mails, {found} with the subject; there are {len(self.server.mailbox('alice'))}")
			parts = imap.fetch(found[0], "(RFC822.SIZE INTERNALDATE BODY.PEEK[])")[1][0]
			same_body(parts[1])
			if int(re.search(rb"RFC822\.SIZE (\d+)", parts[0]).group(1)) != len(parts[1]):
				raise mt.Failed(f"sizes differ: {parts[0]!r}, {len(parts[1])}")
			imap.store(found[0], "+FLAGS", "\\Seen \\Answered")
			self.send("c@client.example", [ALICE], message("second-for-imap"))
			self.wait_alice("Subject: second-for-imap\n")
			self.server.log.wait_for(lambda: imap.noop() and imap.search(None, "SUBJECT", "second-for-imap")[1][0], "dovecot does not see the new mail")
			if imap.search(None, "SEEN", "ANSWERED")[1][0].split() != found:
				raise mt.Failed("the flags are gone")
		finally:
			imap.logout()


	def dovecot_takes(self):
		"""By LMTP, over its socket and over TCP: each recipient has an answer of his own, and what was taken is in the mailbox."""
		conf, domain = self.server.conf, self.dovecot.domain
		with open(conf) as f:
			text = f.read()
		try:
			for way in (self.dovecot.socket, f"{peers_module.MINIMTA}:{self.dovecot.port}"):
				with open(conf, "w") as f:
					f.write(text.replace(self.dovecot.socket, way))
				self.control("reload")
				subject, mark = "lmtp-" + str(len(way)), self.server.log.mark()
				self.send(ALICE, [f"{user}@{domain}" for user in ("carol", "nosuch", "dave+tag")], message(subject), ["BODY=8BITMIME"])
				for user in ("carol", r"dave\+tag"):
					self.server.log.wait(rf"event=delivered to={user}@\S* hop=lmtp:{re.escape(way)} .*code=250 .*Saved", mark)
				self.server.log.wait(rf"event=failed to=nosuch@\S* hop=lmtp:{re.escape(way)} .*code=550 status=5\.1\.1", mark)
				for user in ("carol", "dave"):
					imap = self.dovecot.login(f"{user}@{domain}")
					try:
						imap.select()
						found = imap.search(None, "SUBJECT", subject)[1][0].split()
						if len(found) != 1:
							raise mt.Failed(f"{user} has {found} with the subject {subject}")
						same_body(imap.fetch(found[0], "(BODY.PEEK[])")[1][0][1])
					finally:
						imap.logout()
		finally:
			with open(conf, "w") as f:
				f.write(text)
			self.control("reload")


WITH_EACH = ("to_peer", "from_peer", "utf8_to_peer", "unknown_there", "unknown_here", "large")
CASES = ("unreachable_best_mx", "relay_refused_by_peer", "null_mx", "two_domains_at_one_host", "busy_at_greeting", "no_relay",
	"bare_lf_does_not_travel", "signed_names", "dovecot_reads", "dovecot_takes")


def with_log(interop, test, *arguments):
	"""A failure is told with what minimta said last."""
	try:
		test(*arguments)
	except mt.Failed as e:
		raise mt.Failed(f"{e}\nminimta's log ends:\n" + "\n".join(interop.server.log.lines[-15:]))


def cases(interop):
	"""(name, function and its arguments) of each."""
	found = []
	for peer in interop.mail_servers.values():
		found += [(f"{name} {peer.name}", getattr(interop, name), peer) for name in WITH_EACH]
		if peer.smtputf8:
			found.append((f"utf8_from_peer {peer.name}", interop.utf8_from_peer, peer))
	found += [(name, getattr(interop, name)) for name in CASES]
	return found + interop_clients.cases(interop) + interop_filters.cases(interop)


def main():
	options = argparse.ArgumentParser(description="minimta with other mail servers, name servers, clients and dovecot.")
	options.add_argument("-v", action="store_true")
	options.add_argument("cases", nargs="*", metavar="CASE")
	options = options.parse_args()
	report = mt.Report(options.v)
	if os.geteuid() != 0:
		report.fail("interop", "network namespaces need root")
		return report.finish()
	try:
		interop = Interop()
	except Exception as e:
		report.fail("interop", f"could not be set up: {type(e).__name__}: {e}")
		return report.finish()
	try:
		for name, *test in cases(interop):
			if not options.cases or name.startswith(tuple(options.cases)):
				report.case("interop " + name, with_log, interop, *test)
	finally:
		report.case("interop: a clean end", interop.close)
	return report.finish()


if __name__ == "__main__":
	sys.exit(main())
