"""
What a stranger costs who says nothing: memory of smtpd for each, while it waits for its greeting and once it has said EHLO, with
filters as they come and lists to ask. What lookups took goes to those of the next ones, so that it matters how many come at once.
Every one is from a network of its own (by PROXY headers); DNS is a server on loopback.
"""
import time

import fake_dns
import minimta_test as mt
import processes
import servers
import world as w

PROXY = "127.0.0.99"		# who may name clients
FIRST = 20			# who come and go before it is measured: buffers and tables are there
GROUP = 25			# who come at a time, as their lookups go on at a time
LOOKUPS = 0.15			# seconds for those of a group, and …
SETTLED = 0.7			# … for the last ones; the greeting takes six, so that nearly all of them wait for it
SECTIONS = 'filter "dnsbl" { lists = { "bl1.example", "bl2.example" } }\nfilter "dnswl" { lists = { "wl.example" } }\n'


def address(i):
	return f"45.{i // 250 + 1}.{i % 250 + 1}.9"


def zone(count):
	"""All have names that lead back; the lists know nobody."""
	for i in range(count):
		name = f"mail{i}.client.example"
		yield ".".join(reversed(address(i).split("."))) + f".in-addr.arpa PTR {name}"
		yield f"{name} A {address(i)}"
	for name in ("bl1", "bl2", "wl"):
		yield f"2.0.0.127.{name}.example A 127.0.0.2"


def come(server, numbers):
	clients = []
	for i in numbers:
		c = mt.Client((server.address, w.PORT), PROXY)
		clients.append(c)
		c.send(f"PROXY TCP4 {address(i)} 127.0.0.1 40000 25\r\n")
	for c in clients:
		line = c.line()
		if not line.startswith("220-"):
			raise mt.Failed(f"{line!r} to a stranger who has to wait for the greeting")
	return clients


def greet(clients):
	for c in clients:
		c.expect(220)
		c.say("EHLO client.example", 250)


def go(clients):
	for c in clients:
		c.sock.close()


def measure_one(world, dns, count, group):
	"""Bytes for each that waits for the greeting, and for each after EHLO; so many of them come at a time."""
	server = servers.Filtering(world, dns.port)
	try:
		server.choose(SECTIONS)
		server.fresh()
		first = come(server, range(FIRST))
		greet(first)
		go(first)
		time.sleep(SETTLED)
		before = processes.pss_bytes(server.master(), "smtpd")
		clients = []
		for i in range(FIRST, FIRST + count, group):
			clients += come(server, range(i, min(i + group, FIRST + count)))
			time.sleep(LOOKUPS)
		time.sleep(SETTLED)
		waiting = processes.pss_bytes(server.master(), "smtpd") - before
		greet(clients)
		time.sleep(SETTLED)
		greeted = processes.pss_bytes(server.master(), "smtpd") - before
		go(clients)
		return waiting / count, greeted / count
	finally:
		server.close()


def measure(world, count):
	"""The same for those that come one group after the other, and what each takes when all of them come at once."""
	dns = fake_dns.FakeDNS(zone(FIRST + count))
	try:
		waiting, greeted = measure_one(world, dns, count, GROUP)
		return waiting, greeted, max(measure_one(world, dns, count, count))
	finally:
		dns.close()
