#!/usr/bin/python3
"""
minimta beside a tuned postfix, on one machine in one run: `make bench`.

	ONLY=forward,memory	some parts: direct accept forward latency memory depth filters; only by name: million
	QUICK=1			fewer messages, one run instead of the median of three

Load comes from postfix' own smtp-source and smtp-sink. Both servers have their spools on one file system and sync each
message before its 250. Everything runs in a mount, network and process namespace of its own and ends with the bench.
Prints versions, settings and a table in Markdown; the same goes to build/bench/.
"""
import json
import os
import platform
import statistics
import sys
import time

TOP = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [TOP, os.path.join(TOP, "bench")]
import minimta_test as mt
import filters
import latency
import processes
import report
import servers
import strangers
import world as w

QUICK = os.environ.get("QUICK", "") not in ("", "0")
PARTS = ("direct", "accept", "forward", "latency", "memory", "depth", "filters")
ASKED = ("million",)		# only when ONLY names them: they take long, or much of the disk
RUNS = 1 if QUICK else 3
SETTLE = 0.3			# seconds after the last message: what a server does behind it counts
DEPTHS = (0, 1000, 10000) if QUICK else (0, 100, 1000, 10000, 100000)
IDLE = 500
MILLION = 100_000 if QUICK else 1_000_000
# (sessions, a connection per message or kept, KiB)
CELLS = [(s, kept, 1) for s in (1, 10, 100) for kept in (False, True)] + [(10, kept, k) for k in (10, 100) for kept in (False, True)]
# Messages in one run: about two seconds' worth.
COUNTS = {"minimta": {1: 6000, 10: 4000, 100: 800}, "postfix": {1: 1000, 10: 800, 100: 400}, "direct": {1: 12000, 10: 8000, 100: 3000}}


def count_for(name, cell):
	sessions, _, kib = cell
	return max(100, COUNTS[name][kib] // (1 if sessions > 1 else 3) // (3 if QUICK else 1))


def cell_name(cell):
	sessions, kept, kib = cell
	return f"{sessions} session{'s' if sessions > 1 else ''}, {'kept' if kept else 'new'} connections, {kib} KiB"


class Bench:
	def __init__(self, parts):
		self.parts = parts
		self.world = w.World()
		self.sink = w.Sink(self.world)
		self.servers = [servers.Minimta(self.world), servers.Postfix(self.world)]
		self.results = {}
		self.series = {}
		self.tables = []

	def close(self):
		for server in self.servers:
			server.close()
		self.sink.close()
		self.world.close()

	def note(self, name, unit, who, value):
		self.results.setdefault((name, unit), {})[who] = value
		print(f"  {who:8} {name}: {report.number(value)} {unit}", flush=True)

	def send(self, server, to, cell, count):
		"""Messages accepted per second."""
		sessions, kept, kib = cell
		return count / w.source(self.world, server.address, w.PORT, to, count, sessions, kept, kib, self.sink.count)

	def direct(self):
		for cell in CELLS:
			sessions, kept, kib = cell
			count = count_for("direct", cell)
			rates = [count / w.source(self.world, w.SINK, w.SINK_PORT, w.FORWARDED, count, sessions, kept, kib, self.sink.count)
				for _ in range(RUNS)]
			for part in ("accepted", "forwarded"):
				if part[:6] in "".join(self.parts):
					self.note(f"{part}, {cell_name(cell)}", "messages/s", "direct", statistics.median(rates))

	def accept(self):
		for cell in CELLS:
			for server in self.servers:
				rates = []
				for _ in range(RUNS):
					server.fresh()
					self.send(server, server.stored_to(), cell, 100)
					rates.append(self.send(server, server.stored_to(), cell, count_for(server.name, cell)))
				server.stop()
				self.note(f"accepted, {cell_name(cell)}", "messages/s", server.name, statistics.median(rates))

	def forward_once(self, server, cell, count):
		"""(messages per second from the first connect to the last arrival, microseconds of processor time per message)."""
		before, seen = processes.cpu_ns(server.master()), self.sink.count()
		started = time.monotonic()
		self.send(server, w.FORWARDED, cell, count)
		self.sink.wait(seen + count, w.RUN_SECONDS)
		took = time.monotonic() - started
		time.sleep(SETTLE)
		return count / took, (processes.cpu_ns(server.master()) - before) / count / 1000

	def forward(self):
		for server in self.servers:
			server.fresh()
			self.forward_once(server, (10, False, 1), 200)
			for cell in CELLS:
				found = [self.forward_once(server, cell, count_for(server.name, cell)) for _ in range(RUNS)]
				self.note(f"forwarded, {cell_name(cell)}", "messages/s", server.name, statistics.median(f[0] for f in found))
				self.note(f"processor, {cell_name(cell)}", "µs/message", server.name, statistics.median(f[1] for f in found))
			server.stop()

	def latency(self):
		hop = latency.NextHop()
		try:
			for server in self.servers:
				server.fresh()
				found = [latency.measure(server, hop, 60 if QUICK else 300) for _ in range(RUNS)]
				for name in found[0]:
					self.note(name, "ms", server.name, statistics.median(f[name] for f in found))
				server.stop()
		finally:
			hop.close()

	def memory(self):
		for server in self.servers:
			server.fresh()
			self.forward_once(server, (1, False, 1), 20)
			idle = processes.pss_bytes(server.master())
			self.note("memory, idle", "KiB", server.name, idle / 1024)
			clients = []
			for _ in range(IDLE):
				c = mt.Client((server.address, w.PORT))
				clients.append(c)
				c.expect(220)
				c.say("EHLO client.example", 250)
			time.sleep(1)
			more = processes.pss_bytes(server.master()) - idle
			self.note(f"memory, per idle connection of {IDLE}", "KiB", server.name, more / IDLE / 1024)
			for c in clients:
				c.sock.close()
			server.stop()
		waiting, greeted, at_once = strangers.measure(self.world, IDLE)
		self.note("memory, per stranger in the greeting", "KiB", "minimta", waiting / 1024)
		self.note("memory, per stranger idle after EHLO", "KiB", "minimta", greeted / 1024)
		self.note(f"memory, per stranger of {IDLE} who come at once", "KiB", "minimta", at_once / 1024)

	def depth(self):
		for server in self.servers:
			server.fresh()
			self.forward_once(server, (10, False, 1), 200)
			filled = 0
			for depth in DEPTHS:
				self.fill(server, depth - filled, depth)
				filled = depth
				self.at_depth(server, depth)
			server.stop()

	def fill(self, server, count, depth):
		"""Until so many are deferred."""
		if count <= 0:
			return
		rate = self.send(server, w.DEFERRED, (20, True, 1), count)
		if depth >= 10000:
			self.note(f"{depth:,} deferred: accepted while filling", "messages/s", server.name, rate)
		end = time.monotonic() + w.RUN_SECONDS
		while not server.settled():
			if time.monotonic() > end:
				raise mt.Failed(f"{server.name} does not come to rest with {depth} deferred")
			time.sleep(0.5)
		time.sleep(SETTLE)

	def at_depth(self, server, depth):
		count = count_for(server.name, (10, False, 1))
		cost = [self.forward_once(server, (10, False, 1), count)[1] for _ in range(RUNS)]
		self.series.setdefault(server.name, {})[depth] = statistics.median(cost)
		if depth < 10000:
			return
		self.note(f"{depth:,} deferred: processor per forwarded message", "µs/message", server.name, statistics.median(cost))
		took, text = server.mailq()
		if text.count("dead.example") < depth:
			raise mt.Failed(f"mailq of {server.name} lists {text.count('dead.example')} of {depth} messages")
		self.note(f"{depth:,} deferred: mailq", "s", server.name, took)
		self.note(f"{depth:,} deferred: memory", "MiB", server.name, processes.pss_bytes(server.master()) / 1048576)
		server.stop()
		self.note(f"{depth:,} deferred: start to greeting", "s", server.name, server.start())
		server.stop()
		started = time.monotonic()
		server.start()
		self.send(server, w.FORWARDED, (1, False, 1), 1)
		self.note(f"{depth:,} deferred: start to first mail accepted", "s", server.name, time.monotonic() - started)

	def filters(self):
		"""minimta alone: what clients wait for, and what each filter adds to a message, by itself and all together."""
		world = filters.World(self.world.folder, self.sink.count)
		server = servers.Filtering(self.world, world.port)
		added = {}
		try:
			waits = self.filtering(server, filters.all_on(), lambda: filters.waits(server, w.PORT, world))
			print("\n".join(f"  {whose}: greeting {g:.2f} s, all replies {r * 1000:.1f} ms" for whose, (g, r) in waits.items()), flush=True)
			for name in (*filters.FILTERS, "all"):
				needs = filters.NEEDS.get(name, ())
				sets = (needs, filters.FILTERS if name == "all" else (name, *needs))
				added[name], whole = filters.difference([[self.filtering(server, filters.config(names), lambda: filters.measure(
					server, w.PORT, world, lambda: processes.cpu_ns(server.master()), QUICK)) for names in sets] for _ in range(RUNS)])
				print(f"  {name} adds " + ", ".join(f"{key}: {value:.2f}" for key, value in added[name].items()), flush=True)
			self.tables.append(report.filters(waits, added, whole, filters.in_smtpd()))
		finally:
			server.close()
			world.close()

	def filtering(self, server, sections, measure):
		server.choose(sections)
		server.fresh()
		try:
			return measure()
		finally:
			server.stop()

	def million(self):
		"""minimta alone: a queue that no small site has."""
		server = self.servers[0]
		server.fresh()
		memory = []
		for share in range(1, 11):
			rate = self.send(server, w.DEFERRED, (20, True, 1), MILLION // 10)
			self.note(f"{MILLION // 10 * share:,} deferred: accepted while filling", "messages/s", server.name, rate)
			if share in (2, 10):		# what does not grow with the queue, as queue's cache, is there by then
				time.sleep(5)
				memory.append(processes.pss_bytes(server.master()))
		self.note(f"{MILLION:,} deferred: memory of each", "bytes", server.name, (memory[1] - memory[0]) / (MILLION // 10 * 8))
		self.note(f"{MILLION:,} deferred: disk of each", "bytes", server.name, w.disk_bytes(server.spool) / MILLION)
		self.note(f"{MILLION:,} deferred: accepted", "messages/s", server.name, self.send(server, server.stored_to(), (10, True, 1), 8000))
		first, took, lines = server.mailq_timed()
		self.note(f"{MILLION:,} deferred: first line of mailq", "s", server.name, first)
		self.note(f"{MILLION:,} deferred: mailq", "s", server.name, took)
		if lines < MILLION:
			raise mt.Failed(f"mailq lists {lines} lines for {MILLION} messages")
		server.stop()
		started = time.monotonic()
		self.note(f"{MILLION:,} deferred: start to greeting", "s", server.name, server.start())
		self.send(server, w.FORWARDED, (1, False, 1), 1)
		self.note(f"{MILLION:,} deferred: start to first mail accepted", "s", server.name, time.monotonic() - started)
		while server.known() < MILLION:
			time.sleep(0.1)
		self.note(f"{MILLION:,} deferred: start to all of it known", "s", server.name, time.monotonic() - started)
		server.stop()

	def targets(self):
		def at_most(share):
			return lambda row: row.get("minimta") and row.get("postfix") and \
				f"at most 1/{share}: {'reached' if row['minimta'] * share <= row['postfix'] else 'missed'}"

		def of_direct(row):
			return row.get("minimta") and row.get("direct") and \
				f"60 % of direct: {row['minimta'] / row['direct'] * 100:.0f} %, {'reached' if row['minimta'] >= 0.6 * row['direct'] else 'missed'}"

		def under(limit, unit):
			return lambda row: row.get("minimta") is not None and \
				f"under {limit} {unit}: {'reached' if row['minimta'] < limit else 'missed'}"
		return {
			"processor, 10 sessions, new connections, 1 KiB": at_most(10),
			"processor, 10 sessions, kept connections, 1 KiB": at_most(30),
			"accepted, 10 sessions, new connections, 1 KiB": of_direct,
			"accepted, 10 sessions, kept connections, 1 KiB": of_direct,
			"latency to 250, median": at_most(2),
			"latency to arrival, median": at_most(2),
			f"memory, per idle connection of {IDLE}": under(8, "KiB"),
			"memory, per stranger in the greeting": under(8, "KiB"),
			"memory, per stranger idle after EHLO": under(8, "KiB"),
			**{f"{d:,} deferred: start to greeting": under(0.3, "s") for d in DEPTHS},
		}

	def run(self):
		for part in PARTS + ASKED:
			if part in self.parts or (part == "direct" and {"accept", "forward"} & set(self.parts)):
				print(f"{part}:", flush=True)
				getattr(self, part)()


def machine(folder):
	memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2 ** 30
	model = [line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
	fs = mt.run(["stat", "-f", "-c", "%T", folder]).stdout.strip()
	return f"{os.cpu_count()} cores ({model[0] if model else platform.machine()}), {memory:.0f} GiB, Linux {platform.release()}, " \
		f"{fs}; load average at the start {os.getloadavg()[0]:.1f}"


def main():
	parts = [p for p in os.environ.get("ONLY", "").replace(",", " ").split() if p] or list(PARTS)
	if set(parts) - set(PARTS + ASKED):
		sys.exit(f"bench: no such part: {' '.join(sorted(set(parts) - set(PARTS)))}; expected some of {' '.join(PARTS + ASKED)}")
	w.enter()
	bench = Bench(parts)
	try:
		text = ["machine: " + machine(bench.world.folder), ""]
		for server in bench.servers:
			text += ["; ".join(server.describe()), ""]
		print("\n".join(text), flush=True)
		said = len(text)
		try:
			bench.run()
		except mt.Failed as e:
			print(f"bench: {e}", file=sys.stderr)
		if bench.results:
			text.append(report.table(bench.results, bench.targets()))
		for table in bench.tables:
			text += ["", table]
		if bench.series:
			text += ["", report.plot(bench.series, "processor time per forwarded message", "µs")]
		print("\n" + "\n".join(text[said:]))
		out = os.path.join(os.path.dirname(TOP), "build/bench")
		os.makedirs(out, exist_ok=True)
		name = "-".join(parts) if parts != list(PARTS) else "all"
		with open(os.path.join(out, name + ".md"), "w") as f:
			f.write("\n".join(text) + "\n")
		with open(os.path.join(out, name + ".json"), "w") as f:
			json.dump({"results": [[*k, v] for k, v in bench.results.items()], "depth": bench.series}, f, indent=1)
	finally:
		bench.close()


if __name__ == "__main__":
	main()
