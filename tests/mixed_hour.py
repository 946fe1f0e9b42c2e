#!/usr/bin/python3
"""
An hour of mail as a small site has it, spam and honest clients mixed: which technique stopped what, and whether the server
tells the same story of it. Many clients come to one minimta with its filters as they are shipped, in an order that a seed
decides, over one simulated hour with fake DNS. For each it is known what must become of its mail; `minimtactl explain` must
name the same filter for each refusal's code, and the counters in `minimtactl status` and mailstat must add up to what the
clients were told.

	tests/mixed_hour.py [-v] [SEED]
"""
import heapq
import json
import os
import random
import re
import select
import subprocess
import sys
import time

import fake_dns
import minimta_test as mt

SEED = 20261121
PATIENCE = 0.01		# when no reply has come by then, the server is asked whether it lets the client wait
GREETING = 8		# seconds that a stranger waits in a session, 6 of them in fact; two replies that take a second would show
CONFIG = """
filter "dnsbl" { mode = enforce lists = { "bl.example" } }
filter "trap" { mode = enforce addresses = { "old@demo.example" } }
exempt "partner" { client = 61.77.7.77 }
refuse "the pest" { client = 45.66.7.66 text = "Not from you" }
"""
ZONE = [
	"2.0.0.127.bl.example A 127.0.0.2",		# what a list must have, so that it is believed
	"30.7.30.45.bl.example A 127.0.0.2",
	"31.7.31.45.bl.example A 127.0.0.2",
	"30.7.30.45.bl.example TXT Sends spam",
	"strict.example TXT v=spf1 ip4:61.10.7.10 -all",
	"pool.example TXT v=spf1 ip4:61.32.0.0/16 -all",
	"news.example TXT v=spf1 ip4:61.20.7.20 -all",
	"bank.example TXT v=spf1 ip4:61.90.7.90 -all",
	"honest.example TXT v=spf1 ip4:61.11.7.11 -all",
	"bounces.example TXT v=spf1 ip4:61.13.7.13 -all",
	"phish.example TXT v=spf1 ip4:45.50.7.50 -all",
	"lure.example TXT v=spf1 ip4:45.51.7.51 -all",
	"smuggler.example TXT v=spf1 ip4:45.80.7.80 -all",
	"_dmarc.bank.example TXT v=DMARC1; p=reject",
	"_dmarc.careful.example TXT v=DMARC1; p=quarantine",
]


def name_host(address, name):
	"""A host with a name that leads back to it."""
	ZONE.append(".".join(reversed(address.split("."))) + ".in-addr.arpa PTR " + name)
	ZONE.append(f"{name} A {address}")


class Session:
	"""One connection, from the address that a PROXY header names. The clock moves on while the server lets it wait."""

	def __init__(self, hour, address):
		self.hour, self.address = hour, address
		self.waited = 0			# seconds of the clock
		self.client = mt.Client(hour.server.address)
		self.client.send(f"PROXY TCP4 {address} 127.0.0.1 40000 25\r\n")
		hour.sessions += 1

	def line(self):
		until = time.monotonic() + mt.DEADLINE
		while b"\n" not in self.client.data and not self.client.ended:
			if select.select([self.client.sock], [], [], PATIENCE)[0]:
				self.client.more()
			elif self.is_delayed():
				self.hour.server.move_clock(1)
				self.waited += 1
			elif time.monotonic() > until:
				raise mt.Failed(f"{self.address}: no reply after {self.waited} seconds of the clock")
		return self.client.line() if b"\n" in self.client.data else None

	def is_delayed(self):
		"""Not while DNS is asked: its deadlines go by the clock, too."""
		status = self.hour.server.ask("status")[1]
		return re.search(r"^smtpd .*\bdelayed=1\b", status, re.M) and re.search(r"^resolver .*\bopen=0\b", status, re.M)

	def reply(self):
		"""(code, text of the last line); (0, "") when the server has closed."""
		while True:
			line = self.line()
			if line is None:
				return 0, ""
			if line[3:4] != "-":
				return self.hour.note(self.address, int(line[:3]), line[4:])

	def say(self, command):
		self.client.send(command + "\r\n")
		return self.reply()

	def end(self):
		if not self.client.ended:
			self.say("QUIT")
		self.client.sock.close()


class Sender:
	"""A client that does as RFC 5321 says. retry: minutes until it comes again when it was put off; None: it never does."""

	honest = True

	def __init__(self, name, addresses, sender, recipients=("alice@demo.example",), helo=None, header=None, retry=None, times=1,
			stopped=(), quick=False):
		self.name, self.addresses, self.sender = name, addresses, sender
		self.recipients, self.helo = recipients, helo or name + ".example"
		self.header = f"From: {sender or 'mailer@' + self.helo}\r\nDate: Sat, 21 Nov 2026 12:00:00 +0000\r\n" \
			f"Message-ID: <{name}@{self.helo}>\r\nSubject: {name}\r\n" if header is None else header
		self.retry, self.left, self.quick = retry, times, quick
		self.stopped = set(stopped)	# the filters that must have refused or put off something of it
		self.seen, self.accepted, self.attempts = set(), 0, 0

	def act(self, hour):
		"""Returns the minutes until it comes again, None when it is done."""
		session = Session(hour, self.addresses[self.attempts % len(self.addresses)])
		self.attempts += 1
		code = self.talk(session)
		session.end()
		if self.quick and session.waited:
			raise mt.Failed(f"{self.name} waited for {session.waited} seconds")
		if self.honest and session.waited > GREETING:
			raise mt.Failed(f"{self.name} waited for {session.waited} seconds, expected the greeting's {GREETING} at most")
		if code == 250:
			self.accepted += 1
			self.left -= 1
			return 9 if self.left else None
		return self.retry if self.retry and 400 <= code < 500 and self.attempts < 6 else None

	def talk(self, session):
		code, _ = session.reply()
		for command in (f"EHLO {self.helo}", f"MAIL FROM:<{self.sender.replace('{n}', str(self.attempts))}>"):
			if code // 100 == 2:
				code, _ = session.say(command)
		if code // 100 != 2:
			return code
		codes = [session.say(f"RCPT TO:<{to}>")[0] for to in self.recipients]
		if 250 not in codes:
			return codes[-1]
		code, _ = session.say("DATA")
		return session.say(self.header + "\r\nHello\r\n.")[0] if code == 354 else code

	def judge(self):
		if self.left > 0 or self.seen != self.stopped:
			raise mt.Failed(f"{self.name}: {self.accepted} messages taken, {self.left} not; stopped on the way by "
				f"{sorted(self.seen)}, expected {sorted(self.stopped)}")


class Spammer(Sender):
	"""Nothing of it may arrive."""

	honest = False

	def judge(self):
		if self.accepted or self.seen != self.stopped:
			raise mt.Failed(f"{self.name}: {self.accepted} messages taken; stopped by {sorted(self.seen)}, "
				f"expected {sorted(self.stopped)}")


class Dictionary(Spammer):
	"""Guesses names until it is sent away."""

	def talk(self, session):
		session.reply()
		session.say("EHLO " + self.helo)
		session.say(f"MAIL FROM:<{self.sender}>")
		codes = [0]
		for i in range(40):
			codes.append(session.say(f"RCPT TO:<guess{i}@demo.example>")[0])
			if codes[-1] in (0, 421):
				break
		if 421 not in codes and 0 not in codes[1:]:
			raise mt.Failed(f"{self.name} was not sent away: {codes}")
		if session.waited < 30:
			raise mt.Failed(f"{self.name} had to wait for {session.waited} seconds only")
		return codes[-1]


class EarlyTalker(Spammer):
	def talk(self, session):
		session.client.send(f"EHLO {self.helo}\r\n")
		session.reply()
		session.reply()
		session.say(f"MAIL FROM:<{self.sender}>")
		return session.say("RCPT TO:<alice@demo.example>")[0]


class Pipeliner(Spammer):
	"""Sends all at once, as bots do that never read a reply."""

	def talk(self, session):
		session.reply()
		session.say("EHLO " + self.helo)
		code, _ = session.say(f"MAIL FROM:<{self.sender}>\r\nRCPT TO:<alice@demo.example>\r\nDATA\r\n{self.header}\r\nBuy\r\n.\r\nQUIT")
		return code


class Smuggler(Spammer):
	def talk(self, session):
		session.reply()
		session.say("EHLO " + self.helo)
		session.say(f"MAIL FROM:<{self.sender}>")
		session.say("RCPT TO:<alice@demo.example>")
		session.say("DATA")
		return session.say(self.header + "\r\nHello\n.\nMAIL FROM:<x@bank.example>\r\n.")[0]


def cast():
	bots = [f"45.{n}.7.{n}" for n in (40, 41, 42, 43)]
	for address, name in (("61.10.7.10", "mx.strict.example"), ("61.11.7.11", "mail.honest.example"),
			("61.12.7.12", "list.lists.example"), ("61.20.7.20", "out.news.example"),
			("61.13.7.13", "mx.bounces.example"), ("61.14.7.14", "mx.plain.example"), ("61.15.7.15", "mx.bounces-plain.example"), ("61.77.7.77", "mail.partner.example"),
			("45.30.7.30", "a.listed.example"), ("45.50.7.50", "mail.phish.example"), ("45.51.7.51", "mail.lure.example"),
			("45.60.7.60", "mail.harvest.example"), ("45.66.7.66", "mail.pest.example"),
			("45.10.7.10", "mail.guesses.example"), ("45.70.7.70", "mail.liar.example"),
			("45.80.7.80", "mail.smuggler.example"), ("45.20.7.20", "mail.early.example"),
			("45.21.7.21", "mail.ahead.example")):
		name_host(address, name)
	for address in bots:
		name_host(address, "dsl-" + address.replace(".", "-") + ".pool.telecom.example")
	bare = "From: x@{}\r\nSubject: offer\r\n"
	return [
		# Nothing of these arrives.
		Dictionary("guesses", ["45.10.7.10"], "g@guesses.example"),
		EarlyTalker("early", ["45.20.7.20"], "e@early.example", stopped=["early"]),
		Pipeliner("ahead", ["45.21.7.21"], "p@ahead.example"),
		Spammer("listed", ["45.30.7.30"], "l@listed.example", stopped=["dnsbl"]),
		Spammer("listed-nameless", ["45.31.7.31"], "l@nameless.example", stopped=["dnsbl"]),
		*[Spammer(f"bot{i}", [address], f"b{i}@bots.example", helo="localhost.localdomain", header=bare.format("bots.example"),
			stopped=["greylist"]) for i, address in enumerate(bots)],
		Spammer("forger", ["45.90.7.90"], "boss@strict.example", retry=6, stopped=["greylist", "score"]),
		Spammer("phish", ["45.50.7.50"], "p@phish.example", stopped=["dmarc"], header="From: support@bank.example\r\n"
			"Date: Sat, 21 Nov 2026 12:00:00 +0000\r\nMessage-ID: <p@bank.example>\r\nSubject: your account\r\n"),
		Spammer("harvest", ["45.60.7.60"], "h@harvest.example", recipients=("old@demo.example",), stopped=["trap"]),
		Spammer("pest", ["45.66.7.66"], "p@pest.example", stopped=["refuse"]),
		Spammer("liar", ["45.70.7.70"], "l@liar.example", helo="mx.demo.example", stopped=["score"]),
		Smuggler("smuggler", ["45.80.7.80"], "s@smuggler.example"),
		# All of these arrives.
		Sender("honest", ["61.11.7.11"], "anna@honest.example", times=4),
		Sender("strict", ["61.10.7.10"], "ceo@strict.example", times=2),
		Sender("partner", ["61.77.7.77"], "orders@partner.example", times=3, quick=True),
		Sender("pool", [f"61.32.{n}.9" for n in range(12)], "someone@pool.example", retry=6, times=3,
			header="From: someone@pool.example\r\nSubject: hello\r\n", stopped=["greylist"]),
		Sender("nameless", ["61.201.7.201"], "me@nameless-but-honest.example", retry=7, times=2,
			header="From: me@nameless-but-honest.example\r\nSubject: hello\r\n", stopped=["greylist"]),
		Sender("forwarder", ["61.12.7.12"], "ceo@strict.example", retry=8, stopped=["greylist"]),
		Sender("plain", ["61.14.7.14"], "carl@plain.example", retry=6, times=2, stopped=["greylist"]),
		Sender("bounces", ["61.13.7.13"], "", times=2),
		Sender("bounces-plain", ["61.15.7.15"], "", retry=6, stopped=["greylist"]),
		Sender("news", ["61.20.7.20"], "bounce-{n}-alice=demo.example@news.example", times=4,
			header="From: news@news.example\r\nDate: Sat, 21 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@news.example>\r\n"),
		Sender("lure", ["45.51.7.51"], "l@lure.example", header="From: a@careful.example\r\n"
			"Date: Sat, 21 Nov 2026 12:00:00 +0000\r\nMessage-ID: <l@lure.example>\r\n"),	# marked as spam, not refused
	]


class Hour:
	def __init__(self, seed):
		self.random = random.Random(seed)
		self.cast = cast()
		self.sessions, self.refused, self.put_off, self.taken = 0, 0, 0, 0
		self.refs = {}			# code of a refusal -> (address, code of the reply)
		self.dns = fake_dns.FakeDNS(ZONE)
		self.server = mt.Server(config=CONFIG, users=("alice", "bob", "old"), replace={"dns_servers": f'{{"127.0.0.1:{self.dns.port}"}}', "filters": "yes",
			"proxy_networks": '{"127.0.0.1"}'})
		self.began = time.monotonic()

	def note(self, address, code, text):
		"""What a client was told, as the counters must have it."""
		see = re.search(r"\(see (\w+)\)", text)
		if see:
			self.refs[see.group(1)] = (address, code)
		if code == 250 and "Accepted as" in text:
			self.taken += 1
		elif code >= 510 or code == 421:	# one 550 too many, which is counted as such
			self.refused += 1
		elif 400 <= code < 500:
			self.put_off += 1
		return code, text

	def hold(self):
		"""All clients in the order of their times; the hour begins with each somewhere in its first half."""
		due = [(self.random.uniform(0, 30), i) for i in range(len(self.cast))]
		heapq.heapify(due)
		start = self.server.clock_offset
		while due:
			minute, i = heapq.heappop(due)
			ahead = start + minute * 60000 - self.server.clock_offset
			if ahead > 0:
				# A leap is no time for a delivery under way, which would take too long by it.
				self.server.log.wait("^queue: .* event=delivered ", count=self.taken) if self.taken else None
				self.server.move_clock(ahead / 1000)
			again = self.cast[i].act(self)
			if again is not None:
				now = (self.server.clock_offset - start) / 60000
				heapq.heappush(due, (now + again + self.random.uniform(0, 1), i))

	def run(self, *words):
		out = subprocess.run([os.path.join(mt.BIN, words[0]), *words[1:]], capture_output=True, text=True,
			env={**os.environ, "MINIMTA_CONTROL": self.server.control})
		if out.returncode:
			raise mt.Failed(f"{' '.join(words)}: exit {out.returncode}: {out.stderr}")
		return out.stdout

	def explain(self):
		"""Each code that a client was given leads to a decision; which filter it names is that client's. Returns how many each
		has stopped."""
		owners = {a: c for c in self.cast for a in c.addresses}
		stopped = {}
		for ref, (address, code) in self.refs.items():
			stories = json.loads(self.run("minimtactl", "-j", "explain", ref))["stories"]
			found = [e for s in stories for e in s if e["kind"] == "decision" and e.get("ref") == ref]
			if len(found) != 1 or found[0]["client"] != address or found[0]["code"] != code:
				raise mt.Failed(f"explain {ref} ({address}, {code}) tells {found}")
			name = found[0]["filter"]
			told = self.run("minimtactl", "explain", ref)
			if f"What decided: {name}" not in told and not (name == "score" and "The points of all checks" in told):
				raise mt.Failed(f"explain {ref} does not name {name}:\n{told}")
			if not owners[address].stopped and code >= 500:
				raise mt.Failed(f"{owners[address].name} was refused by {name}:\n{told}")
			owners[address].seen.add(name)
			stopped[name] = stopped.get(name, 0) + 1
		return stopped

	def check_mail(self):
		for who in self.cast:
			who.judge()
		self.server.wait_mail("alice", sum(c.accepted for c in self.cast) - 1)
		if any(b"From: a@careful.example" in mail for mail in self.server.mailbox("alice")):
			raise mt.Failed("what DMARC wants in quarantine is in the inbox")
		for mail in self.server.mailbox("alice"):
			if re.search(rb"^Subject: (offer|your account)", mail, re.M):
				raise mt.Failed(f"spam has arrived: {mail}")

	def check_counters(self, stopped):
		"""The same numbers in status and in mailstat as the clients have seen."""
		logger = [p for p in json.loads(self.run("minimtactl", "-j", "status"))["processes"] if p["name"] == "logger"][0]
		stats = json.loads(self.run("mailstat", "-j", "-d", "2"))
		in_stats = {f["filter"]: f["refused"] + f["put_off"] for f in stats["filters"] if f["refused"] + f["put_off"]}
		in_status = {}
		for key, n in logger.items():
			m = re.fullmatch(r"(refused|put_off)_(\w+?)", key)
			if m and not key.endswith("_today"):
				in_status[m.group(2)] = in_status.get(m.group(2), 0) + n
		expected = {**stopped, "pipelining": 1}		# who speaks ahead is sent away without a code
		if logger.get("quarantined_dmarc") != 1:
			raise mt.Failed(f"what DMARC marked is not in status: {logger}")
		for name, counted in (("status", in_status), ("mailstat", in_stats)):
			if counted != expected:
				raise mt.Failed(f"{name} counts {counted}, the clients were told {expected}")
		told = {"sessions": self.sessions, "accepted": self.taken, "refused": self.refused, "put_off": self.put_off,
			"quarantined": 1}
		counted = {key: stats["total"][key] for key in told}
		if counted != told:
			raise mt.Failed(f"mailstat counts {counted}, the clients were told {told}")
		if stats["delivery"]["count"] != self.taken or not stats["kept_waiting"]["p99_ms"]:
			raise mt.Failed(f"mailstat's delays: {stats['delivery']}, {stats['kept_waiting']}")

	def settle(self):
		"""logger hears of the last session a moment later."""
		def done():
			return json.loads(self.run("mailstat", "-j", "-d", "2"))["total"]
		until = time.monotonic() + mt.DEADLINE
		while time.monotonic() < until:
			now = done()
			if now["sessions"] >= self.sessions and now["delivered"] >= self.taken:
				return
			time.sleep(0.05)

	def close(self, check=True):
		self.server.close(check)
		self.dns.close()


def tell(hour, stopped):
	print(f"{hour.sessions} sessions, {hour.taken} messages taken, {hour.refused} refused, {hour.put_off} put off, in "
		f"{hour.server.clock_offset / 60000:.0f} minutes of the clock and {time.monotonic() - hour.began:.1f} seconds")
	for name, n in sorted(stopped.items(), key=lambda x: -x[1]):
		print(f"  {name:12} stopped {n}")
	for who in hour.cast:
		print(f"  {who.name:16} {'honest' if who.honest else 'spam':7} {who.accepted} taken in {who.attempts} attempts; "
			f"{', '.join(sorted(who.seen)) or '-'}")


def main():
	verbose = "-v" in sys.argv
	words = [w for w in sys.argv[1:] if w != "-v"]
	report = mt.Report(verbose)
	hour = Hour(int(words[0]) if words else SEED)
	try:
		stopped = {}
		report.case("an hour is held", hour.hold)
		hour.settle()
		report.case("each code is explained by the filter that decided", lambda: stopped.update(hour.explain()))
		report.case("honest mail has arrived, and no spam", hour.check_mail)
		report.case("status and mailstat count what the clients were told", hour.check_counters, stopped)
		if verbose:
			tell(hour, stopped)
			print(hour.run("minimtactl", "status"))
	finally:
		report.case("the server stops as it should", hour.close)
	return report.finish()


if __name__ == "__main__":
	sys.exit(main())
