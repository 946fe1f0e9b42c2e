"""
What filters cost: each of them alone, and all together, against the same server without, measured right before it. Sessions come from
many addresses (by PROXY headers), with a signed message for a domain that has all records; DNS is a server on loopback, whose
answers the resolver keeps after the first runs. Filters only observe, so that none of them changes what comes of a message;
what they let a client wait for on purpose is off.
"""
import asyncio
import base64
import json
import multiprocessing
import os
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
SESSIONS = (1, 100, 1000)
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
	"""The name server and the signed message."""

	def __init__(self, folder):
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
	return text + 'refuse "nobody" { client = 192.0.2.1 }\n'


# ---- load: a process of its own ----

async def one(host, port, number, letter, took):
	reader, writer = await asyncio.open_connection(host, port, local_addr=(PROXY, 0))
	began = time.monotonic()
	writer.write(f"PROXY TCP4 {ADDRESSES[number % len(ADDRESSES)]} 127.0.0.1 40000 25\r\n".encode())
	for say, code in ((None, b"220"), (b"EHLO mail.client.example\r\n", b"250"), (b"MAIL FROM:<anna@client.example>\r\n", b"250"),
			(b"RCPT TO:<drop@demo.example>\r\n", b"250"), (b"DATA\r\n", b"354"), (letter + b".\r\n", b"250")):
		if say:
			writer.write(say)
		line = b"   -"
		while line[3:4] == b"-":
			line = await reader.readline()
		if not line.startswith(code):
			raise SystemExit(f"{line!r} to {(say or b'the connection')[:40]!r}")
	took.append(time.monotonic() - began)
	writer.write(b"QUIT\r\n")
	await reader.read()
	writer.close()


async def load(host, port, sessions, count, letter):
	took, left = [], iter(range(count))

	async def client():
		for number in left:
			await one(host, port, number, letter, took)
	await asyncio.gather(*[client() for _ in range(sessions)])
	return took


def main():
	host, port, sessions, count, path = sys.argv[1:]
	letter = open(path, "rb").read()
	began = time.monotonic()
	took = asyncio.run(load(host, int(port), int(sessions), int(count), letter))
	json.dump({"took": took, "all": time.monotonic() - began}, sys.stdout)


# ---- measuring ----

def run(server, port, world, sessions, count):
	"""(median milliseconds of a message, messages per second)."""
	done = subprocess.run([sys.executable, "-B", os.path.abspath(__file__), server.address if isinstance(server.address, str) else
		server.address[0], str(port), str(sessions), str(count), world.letter], capture_output=True, text=True)
	if done.returncode:
		raise mt.Failed(f"{sessions} sessions: {done.stderr[-600:]}")
	found = json.loads(done.stdout)
	return statistics.median(found["took"]) * 1000, count / found["all"]


def counts(quick):
	return {1: 60, 100: 300, 1000: 1000} if quick else {1: 300, 100: 1500, 1000: 2000}


def measure_one(server, port, world, cpu_ns, quick, runs):
	"""{sessions: ms of a message}, {sessions: µs of processor time per message}."""
	ms, us = {}, {}
	run(server, port, world, 100, 500)		# the resolver, memory and all tables are warm
	for sessions in SESSIONS:
		count, found = counts(quick)[sessions], []
		for _ in range(runs):
			before = cpu_ns()
			took, _ = run(server, port, world, sessions, count)
			time.sleep(0.3)
			found.append((took, (cpu_ns() - before) / count / 1000))
		ms[sessions] = statistics.median(f[0] for f in found)
		us[sessions] = statistics.median(f[1] for f in found)
	return ms, us


if __name__ == "__main__":
	main()
