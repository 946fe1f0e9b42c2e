"""
How long a single message takes: from connect to the 250 after its dot, and to its arrival at the next hop. The next
hop is a process of its own here that notes the time at each final dot; both read the same clock.
"""
import multiprocessing
import socket
import statistics
import threading
import time

import minimta_test as mt
import world as w


def converse(conn, arrivals):
	f = conn.makefile("rb")
	conn.sendall(b"220 next.example ESMTP\r\n")
	while True:
		verb = f.readline().split(b" ")[0].strip().upper()
		if verb == b"DATA":
			conn.sendall(b"354 go on\r\n")
			while f.readline() not in (b".\r\n", b""):
				pass
			arrivals.send(time.monotonic())
			conn.sendall(b"250 2.0.0 taken\r\n")
		elif verb == b"EHLO":
			conn.sendall(b"250-next.example\r\n250-PIPELINING\r\n250 8BITMIME\r\n")
		elif verb in (b"QUIT", b""):
			return
		else:
			conn.sendall(b"250 2.0.0 ok\r\n")


def serve(listener, arrivals):
	while True:
		conn, _ = listener.accept()
		conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
		threading.Thread(target=converse, args=(conn, arrivals), daemon=True).start()


class NextHop:
	def __init__(self):
		listener = socket.create_server((w.WATCH, w.SINK_PORT))
		self.arrivals, there = multiprocessing.Pipe(False)
		self.child = multiprocessing.Process(target=serve, args=(listener, there), daemon=True)
		self.child.start()
		listener.close()

	def close(self):
		self.child.terminate()
		self.child.join()


def one(server, hop):
	"""(seconds to the 250, seconds to arrival) of one message of 1 KiB."""
	began = time.monotonic()
	with socket.create_connection((server.address, w.PORT), 30) as s:
		s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
		f = s.makefile("rb")
		for say, code in ((None, b"220"), (b"HELO client.example\r\n", b"250"), (b"MAIL FROM:<from@client.example>\r\n", b"250"),
		    (f"RCPT TO:<{w.WATCHED}>\r\n".encode(), b"250"), (b"DATA\r\n", b"354"),
		    (b"Subject: one\r\n\r\n" + 13 * (78 * b"x" + b"\r\n") + b".\r\n", b"250")):
			if say:
				s.sendall(say)
			line = f.readline()
			if not line.startswith(code):
				raise mt.Failed(f"{server.name} said {line!r} to {say!r}")
		accepted = time.monotonic()
		s.sendall(b"QUIT\r\n")
		f.readline()
	if not hop.arrivals.poll(60):
		raise mt.Failed(f"{server.name}: the message does not arrive")
	return accepted - began, hop.arrivals.recv() - began


def percentile(values, share):
	return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def measure(server, hop, count):
	"""{name: milliseconds} over count messages, one after the other."""
	for _ in range(20):
		one(server, hop)
	both = [one(server, hop) for _ in range(count)]
	found = {}
	for name, values in (("to 250", [a for a, _ in both]), ("to arrival", [b for _, b in both])):
		found[f"latency {name}, median"] = statistics.median(values) * 1000
		found[f"latency {name}, 99th percentile"] = percentile(values, 0.99) * 1000
	return found
