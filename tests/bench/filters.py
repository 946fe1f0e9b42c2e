"""
What filters cost, on a server as it runs. First what clients wait for with all of them on as they come: one that nobody knows, the same
when it comes again after greylisting, and when it is known. Then the time and the processor time that each filter adds to a message,
and all of them together, against the same server without, in turns; and beside that what of it is smtpd's own.

Sessions come from many addresses (by PROXY headers), with a signed message for a domain that has all records; DNS is a server on
loopback, whose answers the resolver keeps. For the second part filters only observe, so that none of them changes what comes of
a message, and what they let a client wait for on purpose is off. Sessions pause between commands, so that however many there
are at a time, messages come at one rate: what is measured is the wait for replies, not for a processor that has too much to do.
"""
import asyncio
import base64
import json
import multiprocessing
import os
import random
import re
import statistics
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
if __name__ == "__main__":
	sys.path[:0] = [TOP, os.path.join(TOP, "bench")]
import fake_dns
import minimta_test as mt

PROXY = "127.0.0.99"		# who may name clients
ADDRESSES = [f"45.{i}.7.9" for i in range(1, 251)]
WAITS = ("early", "throttle", "penalty", "pipelining")
FILTERS = {				# with what each needs to have something to do
	"standing": "", "correspondents": "", "trap": 'addresses = { "old@demo.example" }', "rate": "client = 1000000 sender = 1000000",
	"dnswl": 'lists = { "wl.example" }', "refuse": "", "iprev": "", "helo": "", "spf": "",
	"dnsbl": 'lists = { "bl1.example", "bl2.example" }', "from": "", "dkim": "", "arc": "", "dmarc": "", "sender-id": "",
	"conformity": "", "greylist": "who = all",
}
NEEDS = {"dmarc": ("spf", "dkim"), "greylist": ("standing", "correspondents", "iprev", "spf")}	# on before and after
REFUSE = 'refuse "nobody" { client = 192.0.2.1 }\n'
SESSIONS = (1, 100, 1000)
RATE = 300			# messages a second, from all sessions together
GREYLISTED = 2			# seconds, in place of five minutes
TICK = 0.2
WARM = 300			# messages until the resolver, memory and all tables know what there is to know
LETTER = "From: Anna <anna@client.example>\r\nTo: drop@demo.example\r\nSubject: numbers\r\nDate: Sat, 21 Nov 2026 12:00:00 +0000\r\n" \
	"Message-ID: <1@client.example>\r\n\r\n" + 50 * (76 * "x" + "\r\n")


def zone(key):
	lines = ["client.example TXT v=spf1 include:_spf.client.example -all", "_spf.client.example TXT v=spf1 ip4:45.0.0.0/8 -all",
		"_dmarc.client.example TXT v=DMARC1; p=reject", f"s1._domainkey.client.example TXT v=DKIM1; k=rsa; p={key}"]
	for address in ADDRESSES:
		name = "h-" + address.replace(".", "-") + ".client.example"
		lines += [".".join(reversed(address.split("."))) + f".in-addr.arpa PTR {name}", f"{name} A {address}"]
	for name in ("bl1", "bl2", "wl"):
		lines.append(f"2.0.0.127.{name}.example A 127.0.0.2")
	return lines


def serve_dns(lines, pipe):
	dns = fake_dns.FakeDNS(lines)
	pipe.send(dns.port)
	pipe.recv()


class World:
	"""The name server and the signed message. tick: to be called now and then, so that the sink has room for what it tells."""

	def __init__(self, folder, tick):
		self.tick = tick
		self.key = os.path.join(folder, "dkim.pem")
		mt.run(["openssl", "genrsa", "-out", self.key, "2048"])
		public = subprocess.run(["openssl", "rsa", "-in", self.key, "-pubout", "-outform", "DER"], capture_output=True, check=True).stdout
		self.pipe, there = multiprocessing.Pipe()
		self.child = multiprocessing.Process(target=serve_dns, args=(zone(base64.b64encode(public).decode()), there), daemon=True)
		self.child.start()
		self.port = self.pipe.recv()
		done = subprocess.run([os.path.join(mt.BIN, "minimtactl"), "sign", "dkim", "--key", self.key, "--domain", "client.example",
			"--selector", "s1"], input=LETTER.encode(), capture_output=True)
		if done.returncode:
			raise mt.Failed(f"sign dkim: {done.stderr.decode()}")
		self.letter = os.path.join(folder, "letter")
		with open(self.letter, "wb") as f:
			f.write(done.stdout)

	def close(self):
		self.child.terminate()
		self.child.join()


def config(on):
	"""Sections that leave on, of all filters, these."""
	text = "".join(f'filter "{name}" {{ mode = off }}\n' for name in WAITS)
	for name, options in FILTERS.items():
		text += f'filter "{name}" {{ mode = {"observe" if name in on else "off"} {options} }}\n'
	return text + REFUSE


def all_on():
	"""Sections that leave all of them on as they come, and greylist every stranger."""
	text = "".join(f'filter "{name}" {{ {options} }}\n' for name, options in FILTERS.items()
		if options and name != "greylist")
	return text + f'filter "sender-id" {{ mode = score }}\nfilter "greylist" {{ who = all wait = {GREYLISTED}s }}\n' + REFUSE


# ---- what clients wait for ----

COMMANDS = ("EHLO mail.client.example", "MAIL FROM:<anna@client.example>", "RCPT TO:<drop@demo.example>", "DATA")
CODES = (250, 250, 250, 354)


def session(server, port, client, letter, greylisted):
	"""(seconds for the greeting, seconds for all replies behind it)."""
	with mt.Client((server.address, port), PROXY) as c:
		began = time.monotonic()
		c.send(f"PROXY TCP4 {client} 127.0.0.1 40000 25\r\n")
		c.expect(220)
		greeted = time.monotonic()
		for command, code in list(zip(COMMANDS, CODES))[:3 if greylisted else 4]:
			c.say(command, 450 if greylisted and code == 250 and command.startswith("RCPT") else code)
		if not greylisted:
			c.send(letter + b".\r\n")
			c.expect(250)
		c.say("QUIT", 221)
		return greeted - began, time.monotonic() - greeted


def waits(server, port, world):
	"""{whose session: (seconds for the greeting, seconds for all replies)}."""
	with open(world.letter, "rb") as f:
		letter = f.read()
	found = {"unknown, and greylisted": session(server, port, ADDRESSES[0], letter, True)}
	time.sleep(GREYLISTED + 1)
	found["the same, when it comes again"] = session(server, port, ADDRESSES[0], letter, False)
	found["known"] = session(server, port, ADDRESSES[0], letter, False)
	return found


# ---- load: a process of its own ----

async def one(host, port, number, letter, pause):
	"""Seconds that it waited for: from connect to greeting, and for each reply."""
	began = time.monotonic()
	reader, writer = await asyncio.open_connection(host, port, local_addr=(PROXY, 0))
	writer.write(f"PROXY TCP4 {ADDRESSES[number % len(ADDRESSES)]} 127.0.0.1 40000 25\r\n".encode())
	waited = 0
	for say, code in ((None, 220), *((c.encode() + b"\r\n", code) for c, code in zip(COMMANDS, CODES)), (letter + b".\r\n", 250)):
		if say:
			await asyncio.sleep(random.uniform(0, 2 * pause))
			began = time.monotonic()
			writer.write(say)
		line = b"   -"
		while line[3:4] == b"-":
			line = await reader.readline()
		waited += time.monotonic() - began
		if not line.startswith(str(code).encode()):
			raise SystemExit(f"{line!r} to {(say or b'the connection')[:40]!r}")
	writer.write(b"QUIT\r\n")
	await reader.read()
	writer.close()
	return waited


async def load(host, port, sessions, count, letter):
	waited, left = [], iter(range(count))

	async def client(i):
		await asyncio.sleep(i / RATE)
		for number in left:
			waited.append(await one(host, port, number, letter, sessions / RATE / 5 if sessions > 1 else 0))
	await asyncio.gather(*[client(i) for i in range(sessions)])
	return waited


def main():
	host, port, sessions, count, path = sys.argv[1:]
	with open(path, "rb") as f:
		letter = f.read()
	random.seed(1)
	json.dump(asyncio.run(load(host, int(port), int(sessions), int(count), letter)), sys.stdout)


# ---- measuring ----

def run(server, port, world, sessions, count):
	"""Median milliseconds that a message waited."""
	with subprocess.Popen([sys.executable, "-B", os.path.abspath(__file__), server.address, str(port), str(sessions), str(count),
			world.letter], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
		said = None
		while said is None:
			try:
				said, wrong = child.communicate(timeout=TICK)
			except subprocess.TimeoutExpired:
				world.tick()
	if child.returncode:
		raise mt.Failed(f"{sessions} sessions: {wrong[-600:]}")
	return statistics.median(json.loads(said)) * 1000


def counts(quick):
	return {1: 60, 100: 300, 1000: 1000} if quick else {1: 300, 100: 600, 1000: 1000}


def measure(server, port, world, cpu_ns, quick):
	"""{sessions: ms of a message, "processor": µs of it per message, with 100 sessions}."""
	found = {}
	run(server, port, world, 100, WARM)
	for sessions in SESSIONS:
		count, before = counts(quick)[sessions], cpu_ns()
		found[sessions] = run(server, port, world, sessions, count)
		if sessions == 100:
			time.sleep(0.3)
			found["processor"] = (cpu_ns() - before) / count / 1000
	return found


def in_smtpd():
	"""{filter: µs of processor time per message}, of the chain alone: tests/bench-filters.c."""
	said = mt.run([os.path.join(os.path.dirname(mt.BIN), "tests", "bench-filters")]).stdout
	return {name: float(us) for name, us in re.findall(r"^ +(\S+) +([\d.]+) us$", said, re.M)}


def difference(pairs):
	"""Medians of what the second of each pair has more than the first, and of the second."""
	return ({key: statistics.median(after[key] - before[key] for before, after in pairs) for key in pairs[0][0]},
		{key: statistics.median(after[key] for _, after in pairs) for key in pairs[0][0]})


if __name__ == "__main__":
	main()
