#!/usr/bin/python3
"""
Runs the dialogs: tests/dialogs/*.txt, one behaviour per file, each against a server of its own.

	tests/dialogs.py [-v] [-j N] [NAME or FILE …]

A file begins with comment lines ("#": what it shows, "ATTACKS n" where it is a row of the list of attacks), then has
settings, a line "---", and steps. Settings:

	set NAME VALUE		a configuration setting, in place of the generated one if there is one
	config LINE		a line of configuration as it stands; {smtp_port}, and {folder} for a file:
	file NAME LINE		a line of a file in the server's folder
	trusted			127.0.0.0/8 may relay
	filters			strangers are judged and wait, as configured; without it no filter is on
	alias LINE		a line of the aliases file
	user NAME…		further virtual mailboxes at demo.example (alice and bob are there)
	zone NAME TYPE VALUE	a record of the fake name server; dns NAME MODE: it misbehaves (tests/fake_dns.py)
	peer ADDRESS [SCRIPT]	a next hop on 127.0.0.x or ::1, smtp_port is set to its port (tests/sink.py has the script lines)

Steps. TEXT has the escapes \\r \\n \\t \\0 \\e \\\\ \\xNN, and {300*x} for repetition; {port} is the server's port:

	C: TEXT			send TEXT and CRLF		C~ TEXT		send TEXT as it is
	S: CODE [REGEX]		the next reply has exactly this code, and its text a line that matches
	S& REGEX  S^ REGEX	the same reply also matches, does not match
	S! close		the server closes, having said nothing more
	C! close|reset|shutdown	the client closes, vanishes (RST), closes its sending side
	hello, bye		220, EHLO, 250; QUIT, 221, close
	envelope [TO…]		MAIL and RCPT (alice@demo.example), all 250
	letter FROM TO…		a whole small mail, 250, in the session under way
	connect NAME [ADDRESS], use NAME	another connection, from an address of this machine; back to one that is there
				("1" is the first and needs no connect)
	connects N ADDRESS	N further ones that stay as they are
	repeat N … end		the steps in between N times; {i} counts from 0, {n} from 1
	mail USER count N	the mailbox has exactly N mails (waits for them, and looks again at the end)
	mail USER contains|lacks REGEX	a mail of that mailbox (waits), none of them
	peer ADDRESS count N|contains REGEX|lacks REGEX|saw REGEX|sessions N	what a next hop has got
	script ADDRESS clear|LINE	changes its script
	dns NAME MODE, dns clear, dns release	the same for the name server
	dns asked NAME		waits until it was asked for that name
	clock +5m		moves the server's clock
	hurry STEP		a step while which the clock runs ahead
	log REGEX, nolog REGEX	a line since the start of the dialog (waits); none until its end
	logs N REGEX		so many of them (waits)
	kill PROCESS, stop PROCESS, cont PROCESS	SIGKILL, SIGSTOP, SIGCONT
	terminate, restart [HOW]	SIGTERM to master; the whole server stopped and started. HOW: kill (killed instead), memory-lost,
				memory-broken (what filters remember is gone meanwhile, or garbage)
	control WORD… => REGEX	an answer of the control socket (waits)

A dialog must say what becomes of each connection (S! close or C! …). After the last step the runner itself sends an
honest mail in a new session and waits until it is in alice's mailbox, then stops the server, whose log must show no
sanitizer's report and no system call that the sandbox refused.
"""
import argparse
import concurrent.futures
import glob
import os
import re
import shutil
import signal
import sys

import fake_dns
import minimta_test as mt
import sink
import text_form

FOLDER = os.path.join(mt.TOP, "tests/dialogs")
UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


class Dialog:
	"""A parsed file."""

	def __init__(self, path):
		self.name = os.path.splitext(os.path.basename(path))[0]
		self.settings, self.config, self.aliases, self.files = {}, "", "", {}
		self.users, self.zone, self.dns, self.peers = ["alice", "bob"], [], [], {}
		with open(path, encoding="utf-8", errors="surrogateescape") as f:
			lines = [(n, line.rstrip("\n")) for n, line in enumerate(f, 1)]
		if not lines or not lines[0][1].startswith("# "):
			raise mt.Failed(f"{path}:1: the first line says what the dialog shows: # …")
		lines = [(n, line.lstrip()) for n, line in lines if line.strip() and not line.lstrip().startswith("#")]
		split = [i for i, (_, line) in enumerate(lines) if line.strip() == "---"]
		if len(split) != 1:
			raise mt.Failed(f"{path}: one line --- between settings and steps")
		for n, line in lines[:split[0]]:
			if not self.setting(*(line.split(None, 1) + [""])[:2]):
				raise mt.Failed(f"{path}:{n}: not a setting: {line}")
		self.steps = self.block(path, lines[split[0] + 1:])

	def setting(self, word, rest):
		if word == "set":
			name, value = rest.split(None, 1)
			self.settings[name] = value
		elif word == "config":
			self.config += rest + "\n"
		elif word == "file":
			name, line = rest.split(None, 1)
			self.files[name] = self.files.get(name, "") + line + "\n"
		elif word == "trusted":
			self.settings["trusted_networks"] = '{"127.0.0.0/8"}'
		elif word == "filters":
			self.settings["filters"] = "yes"
		elif word == "alias":
			self.aliases += rest + "\n"
		elif word == "user":
			self.users += rest.split()
		elif word == "zone":
			self.zone.append(rest)
		elif word == "dns":
			self.dns.append(rest)
		elif word == "peer":
			address, _, script = rest.partition(" ")
			self.peers.setdefault(address, []).extend([script] if script else [])
		else:
			return False
		return True

	@staticmethod
	def block(path, lines):
		"""Repeats unrolled: [(line number, step)]."""
		steps, stack = [], []
		for n, line in lines:
			if line.startswith("repeat "):
				stack.append((int(line.split()[1]), steps))
				steps = []
			elif line == "end" and stack:
				count, outer = stack.pop()
				for i in range(count):
					outer += [(m, step.replace("{i}", str(i)).replace("{n}", str(i + 1))) for m, step in steps]
				steps = outer
			else:
				steps.append((n, line))
		if stack:
			raise mt.Failed(f"{path}: a repeat without its end")
		return steps


class Run:
	"""One dialog being held with a server."""

	def __init__(self, dialog):
		self.dialog = dialog
		self.connections, self.current = {}, "1"
		self.finished = set()
		self.filters = dialog.settings.get("filters") == "yes"
		self.crowd = []
		self.peers = {}
		self.counts, self.absent = {}, []
		self.last = []
		self.dns = fake_dns.FakeDNS(dialog.zone, dialog.dns)
		settings = {"dns_servers": f'{{"127.0.0.1:{self.dns.port}"}}', "network_connection_rate": None,
			"network_message_rate": None, "network_recipient_rate": None, **dialog.settings}
		self.server = mt.Server(start=False, config=dialog.config, replace=settings, aliases=dialog.aliases, users=dialog.users)
		names_folder = "{folder}" in dialog.config
		dialog.config = dialog.config.replace("{folder}", self.server.folder)
		self.write_files()
		try:
			port = self.make_peers()
			if port:
				self.server.settings.update({"smtp_port": str(port), "deliver_to_private_mx": "yes", **dialog.settings})
				for name, value in list(self.server.settings.items()):
					self.server.settings[name] = value and value.replace("{smtp_port}", str(port))
			if port or names_folder:
				self.server.write_files(dialog.config.replace("{smtp_port}", str(port)), dialog.aliases, dialog.users)
			self.server.start()
		except BaseException:
			self.close(False)
			raise

	def write_files(self):
		for name, text in self.dialog.files.items():
			path = os.path.join(self.server.folder, name)
			with open(path, "w") as f:
				f.write(text)
			os.chmod(path, 0o600 if name == "credentials" else 0o644)

	def make_peers(self):
		"""All next hops on one port, each on its own address. Returns the port, 0 where there are none."""
		port = 0
		for attempt in range(20):
			try:
				for address, script in self.dialog.peers.items():
					self.peers[address] = sink.Sink(address, port, script, self.poke)
					port = self.peers[address].port
				return port
			except OSError:		# taken on one of the other addresses
				for peer in self.peers.values():
					peer.close()
				self.peers, port = {}, 0
		raise mt.Failed("no port is free on all addresses")

	def poke(self):
		"""Something happened that a wait may be for."""
		log = self.server.log		# a restart puts another in its place
		if log:
			with log.changed:
				log.changed.notify_all()

	def close(self, check):
		for client in [*self.connections.values(), *self.crowd]:
			client.sock.close()
		for peer in self.peers.values():
			peer.close()
		self.dns.close()
		self.server.close(check)

	def hold(self):
		try:
			for n, step in self.dialog.steps:
				try:
					self.step(step)
				except mt.Failed as e:
					raise mt.Failed(f"line {n}: {step[:100]}: {e}{self.log_tail(str(e))}") from None
			open_ones = set(self.connections) - self.finished
			if open_ones:
				raise mt.Failed(f"the dialog does not say what becomes of connection {', '.join(open_ones)}")
			if self.filters:		# it waits as any stranger does
				with self.server.hurry():
					self.server.honest_mail()
			else:
				self.server.honest_mail()
			self.look_again()
		except BaseException:
			self.close(False)
			raise
		self.close(True)

	def log_tail(self, said):
		log = self.server.log
		return "" if "log line" in said or not log else "; the last log lines:\n" + "\n".join(log.lines[-8:])

	def look_again(self):
		for user, count in self.counts.items():
			if len(self.mails(user)) != count:
				raise mt.Failed(f"{user} has {len(self.mails(user))} mails at the end, expected {count}")
		for regex in self.absent:
			if self.server.log.find(regex):
				raise mt.Failed(f"a log line matches {regex!r}: {self.server.log.find(regex)[0].string}")

	def mails(self, user):
		return [m for m in self.server.mailbox(user) if b"Subject: honest-" not in m]

	def client(self):
		if self.current not in self.connections:
			self.connections[self.current] = mt.Client(self.server.address)
		return self.connections[self.current]

	def step(self, step):
		mark, rest = step[:2], step[2:]
		rest = rest[1:] if rest.startswith(" ") else rest
		if mark in ("C:", "C~"):
			data = text_form.expand(rest.replace("{port}", str(self.server.address[1])))
			self.client().send(data + (b"\r\n" if mark == "C:" else b""))
		elif mark == "S:":
			code, _, regex = rest.partition(" ")
			self.last = self.client().expect(int(code), regex or None)
		elif mark in ("S&", "S^"):
			if bool(re.search(rest, "\n".join(self.last), re.M)) != (mark == "S&"):
				raise mt.Failed("the reply was " + " / ".join(self.last))
		elif mark == "S!":
			if rest.strip() != "close":
				raise mt.Failed("S! close is all there is")
			self.client().expect_close()
			self.finished.add(self.current)
		elif mark == "C!":
			self.leave(rest.strip())
		else:
			self.directive(*(step.split(None, 1) + [""])[:2])

	def leave(self, how):
		client = self.client()
		if how == "shutdown":
			client.sock.shutdown(1)
			return
		self.finished.add(self.current)
		client.reset() if how == "reset" else client.sock.close()

	def directive(self, word, rest):
		handler = getattr(self, "do_" + word, None)
		if handler is None:
			raise mt.Failed("not a step")
		handler(rest)

	def do_hello(self, _):
		self.client().expect(220)
		self.last = self.client().say("EHLO client.example", 250)

	def do_bye(self, _):
		self.client().say("QUIT", 221)
		self.client().expect_close()
		self.finished.add(self.current)

	def do_envelope(self, recipients, sender="sender@client.example"):
		self.client().say(f"MAIL FROM:<{sender}>", 250)
		for recipient in recipients.split() or [f"alice@{mt.DOMAIN}"]:
			self.client().say(f"RCPT TO:<{recipient}>", 250)

	def do_letter(self, rest):
		sender, recipients = rest.split(None, 1)
		self.do_envelope(recipients, "" if sender == "<>" else sender)
		self.client().say("DATA", 354)
		self.last = self.client().say("Subject: a letter\r\n\r\nfirst line\r\nlast line\r\n.", 250)

	def do_connect(self, rest):
		self.current, _, source = rest.partition(" ")
		self.connections[self.current] = mt.Client(self.address_for(source), source or None)

	def address_for(self, source):
		"""The server's address in the family of the client's."""
		host, port = self.server.address
		return ("127.0.0.1" if host == "::" and "." in source else host), port

	def do_connects(self, rest):
		count, source = rest.split()
		for i in range(int(count)):
			self.crowd.append(mt.Client(self.address_for(source), source))

	def do_use(self, name):
		if name not in self.connections:
			raise mt.Failed("no such connection")
		self.current = name

	def do_clock(self, rest):
		m = re.fullmatch(r"\+(\d+)(ms|[smhd])", rest)
		if not m:
			raise mt.Failed("clock +5m")
		self.server.move_clock(int(m.group(1)) * UNITS[m.group(2)])

	def do_hurry(self, rest):
		with self.server.hurry():
			self.step(rest)

	def do_log(self, regex):
		self.server.log.wait(regex)

	def do_logs(self, rest):
		count, regex = rest.split(None, 1)
		self.server.log.wait(regex, count=int(count))

	def do_nolog(self, regex):
		self.absent.append(regex)

	def do_mail(self, rest):
		user, what, value = rest.split(None, 2)
		if what == "count":
			count = int(value)
			self.counts[user] = count
			self.server.log.wait_for(lambda: len(self.mails(user)) >= count, f"fewer than {count} mails")
			if len(self.mails(user)) > count:
				raise mt.Failed(f"{len(self.mails(user))} mails")
			return
		pattern = re.compile(self.pattern(value), re.M)
		look = lambda: any(pattern.search(m.decode("latin-1").replace("\r\n", "\n")) for m in self.mails(user))
		if what == "contains":
			self.server.log.wait_for(look, "no such mail")
		elif what == "lacks":
			if look():
				raise mt.Failed("there is such a mail")
		else:
			raise mt.Failed("count, contains or lacks")

	@staticmethod
	def pattern(value):
		"""Mails are compared as bytes, so what is UTF-8 in a pattern is too."""
		return value.encode("utf-8", "surrogateescape").decode("latin-1")

	def do_peer(self, rest):
		address, what, value = rest.split(None, 2)
		peer = self.peers[address]
		if what in ("count", "sessions"):
			seen = (lambda: len(peer.mails)) if what == "count" else (lambda: peer.sessions)
			self.server.log.wait_for(lambda: seen() >= int(value), f"fewer than {value}")
			if seen() != int(value):
				raise mt.Failed(f"{seen()} of them")
			return
		pattern = re.compile(self.pattern(value), re.M)
		look = {
			"contains": lambda: any(pattern.search(m[2].decode("latin-1").replace("\r\n", "\n")) for m in list(peer.mails)),
			"saw": lambda: any(re.search(value, line) for line in list(peer.seen)),
		}
		if what == "lacks":
			if look["contains"]() or look["saw"]():
				raise mt.Failed("there is such a thing")
		else:
			self.server.log.wait_for(look[what], f"nothing like it; commands: {peer.seen[-12:]}")

	def do_script(self, rest):
		address, line = rest.split(None, 1)
		self.peers[address].clear() if line == "clear" else self.peers[address].add(line)

	def do_dns(self, rest):
		words = rest.split()
		if words == ["clear"]:
			self.dns.clear_modes()
		elif words == ["release"]:
			self.dns.release()
		elif words[0] == "asked":
			self.server.log.wait_for(lambda: any(q[0] == words[1] for q in list(self.dns.questions)), "not asked")
		else:
			self.dns.set_mode(*words)

	def do_kill(self, process):
		self.server.signal(process)

	def do_stop(self, process):
		self.server.signal(process, signal.SIGSTOP)

	def do_cont(self, process):
		self.server.signal(process, signal.SIGCONT)

	def do_terminate(self, _):
		self.server.child.send_signal(signal.SIGTERM)

	def do_restart(self, how):
		if how == "kill":
			self.server.kill()
		else:
			self.server.stop()
		for path in glob.glob(os.path.join(self.server.folder, "state/memory/*.*")) if how.startswith("memory-") else []:
			if how == "memory-lost":
				os.unlink(path)
			else:
				with open(path, "r+b") as f:
					f.write(os.urandom(512))
		self.server.start()

	def do_control(self, rest):
		words, _, regex = rest.partition(" => ")
		ask = lambda: "\n".join(self.server.ask(*words.split()))
		try:
			self.server.log.wait_for(lambda: re.search(regex, ask(), re.M), "no such answer")
		except mt.Failed:
			raise mt.Failed(f"the answer was {ask()!r}") from None


def hold(path):
	Run(Dialog(path)).hold()


def paths_of(names):
	if not names:
		return sorted(glob.glob(os.path.join(FOLDER, "*.txt")))
	return [n if os.path.exists(n) else os.path.join(FOLDER, n + ".txt") for n in names]


def run_all(report, names=(), jobs=2, label="dialog"):
	with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
		for path in paths_of(names):
			name = f"{label} {os.path.splitext(os.path.basename(path))[0]}"
			pool.submit(report.case, name, hold, path)


def main():
	options = argparse.ArgumentParser(description="Runs dialogs against the server.")
	options.add_argument("-v", action="store_true", help="tell passed ones too")
	options.add_argument("-j", type=int, default=4, help="how many at a time")
	options.add_argument("names", nargs="*")
	options = options.parse_args()
	report = mt.Report(options.v)
	run_all(report, options.names, options.j)
	return report.finish()


if __name__ == "__main__":
	sys.exit(main())
