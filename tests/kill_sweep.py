#!/usr/bin/python3
"""
Kills over a stream of mail; what was acknowledged must arrive, whole, whatever dies when.

	tests/kill_sweep.py [-v] [-j N] [streams] [points] [starts] [broken]

streams	each process, then all at once, is killed again and again while mail comes in, is delivered here and goes out
points	a build with TEST_KILL dies at its 1st, 2nd, 3rd … system call that changes the disk, in queue and in mda, while
	mail of every kind goes through; then everything is killed and started again. The kinds of calls that were hit are
	printed, and a kind that occurs but was never hit is a failure
starts	the same build, whose queue dies of one message at every start
broken	a build that acknowledges before it has written (BROKEN=early) must be found out by the same kills
"""
import argparse
import collections
import concurrent.futures
import os
import shutil
import sys
import threading

import fake_dns
import minimta_test as mt
import sink
import stream

KILLS = 5			# of each process, over one stream
MAILS_BETWEEN = 6
SUSPECTS = 30
KILL_BIN = os.path.join(mt.TOP, "build/kill/bin")
BROKEN_BIN = os.path.join(mt.TOP, "build/broken-early/bin")
# What must have been hit for the sweep to mean anything, whether or not an undisturbed run shows it: calls and their kinds.
EXPECTED = {
	"queue": {f"{call} {kind}" for call in ("pwrite", "fdatasync") for kind in ("accept", "outcome", "expand", "admin", "end")} |
		{"pwrite large", "fdatasync large", "fsync large", "unlink large", "fallocate spare", "rename segment", "unlink segment",
		"pwrite header", "pwrite index", "rename index"},
	"mda": {"open message", "write message", "fsync message", "rename message", "fsync new", "open mbox", "open lock", "write lock",
		"fsync mbox", "unlink lock", "fsync unlock"},
}


class Site:
	"""A server with a name server and a next hop for far.example, and programs of one's choice."""

	def __init__(self, programs=None, env=None, folder=None, far=None, aliases=""):
		self.far = far or sink.Sink("127.0.0.2", 0)
		self.dns = fake_dns.FakeDNS([f"{stream.REMOTE} MX 10 mx.{stream.REMOTE}", f"mx.{stream.REMOTE} A 127.0.0.2"])
		self.server = mt.Server(start=False, folder=folder, env=env, aliases=aliases, replace={
			"segment_size": "1M", "trusted_networks": '{"127.0.0.0/8"}', "deliver_to_private_mx": "yes", "retry_first": "1m", "command_user": "_minimta_virtual",
			"smtp_port": str(self.far.port), "dns_servers": f'{{"127.0.0.1:{self.dns.port}"}}'})
		self.server.bin = programs or mt.BIN

	def close(self, check=True):
		self.far.close()
		self.dns.close()
		self.server.close(check)


def judge(verdict, promises, log):
	if verdict.lost or verdict.torn:
		raise mt.Failed(f"of {len(promises)} acknowledged mails {len(verdict.lost)} recipients' are lost, {len(verdict.torn)} torn: "
			f"{verdict.lost[:5]} {verdict.torn[:2]}; the last log lines:\n" + "\n".join(log[-15:]))


# Streams.

def kill_in_stream(process):
	"""One process (or "all"), KILLS times. Returns the verdict."""
	site = Site()
	server, check = site.server, False
	try:
		server.start()
		mail = stream.Stream(server, remote=True, label=process)
		try:
			for _ in range(KILLS):
				mail.wait(len(mail.promises) + MAILS_BETWEEN)
				kill_once(server, process)
			mail.wait(len(mail.promises) + MAILS_BETWEEN)
		finally:
			mail.stop()
		verdict = stream.settle(server, mail.promises, [site.far])
		judge(verdict, mail.promises, server.log.lines)
		check = True
	finally:
		site.close(check)
	return verdict


def kill_once(server, process):
	since = server.log.mark()
	if process in ("all", "minimta"):
		if process == "all":
			server.kill()
		else:
			pids = list(server.pids().values())
			server.child.kill()
			server.child.wait()
			server.await_gone(pids)		# they end when master is gone
		server.start()
		return
	server.signal(process)
	server.log.wait(rf"event=died process={process}", since)
	server.move_clock(61)		# the pause before a restart
	server.log.wait(rf"event=restarted process={process}", since)


def many_suspects():
	"""In flight at two deaths: each recipient is tried alone from then on, and when nothing dies of them they are done at once."""
	site = Site()
	server, check = site.server, False
	try:
		server.start()
		site.far.add("dot silence")
		promise = stream.Promise("suspects", stream.SMALL, [f"user{i}@{stream.REMOTE}" for i in range(SUSPECTS)])
		with mt.Client(server.address) as c:
			c.expect(220)
			c.say("EHLO suspects.example", 250)
			stream.Stream.send(c, promise)
		for death in range(1, 3):
			server.log.wait_for(lambda: site.far.seen.count("(dot)") >= death, "it is not in flight")
			mark = server.log.mark()
			kill_once(server, "delivery")
			server.log.wait(r"event=deferred to=user", mark, count=SUSPECTS)
		site.far.clear()
		server.move_clock(3600)		# once
		server.log.wait(r"queue: msg=\w+ event=delivered to=user", count=SUSPECTS)
		if len(site.far.mails) != SUSPECTS:
			raise mt.Failed(f"{len(site.far.mails)} mails for {SUSPECTS} recipients, of which each should have been tried alone")
		check = True
	finally:
		site.close(check)


def run_streams(report, jobs):
	duplicates = {}
	names = ("all", "minimta", *mt.CHILDREN)

	def one(process):
		duplicates[process] = kill_in_stream(process).duplicates
	with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
		for process in names:
			pool.submit(report.case, f"{process} killed {KILLS} times", one, process)
		pool.submit(report.case, f"{SUSPECTS} recipients in flight at two deaths", many_suspects)
	print("        delivered twice: " + ", ".join(f"{p} {duplicates[p]}" for p in names if p in duplicates), flush=True)


# Points.

class Scenario:
	"""Mail of every kind: small, large, many at once, expanded, bounced, deferred, removed; segments fill and are reclaimed."""

	def __init__(self, process, at=None, kind=None):
		self.process, self.at = process, at
		folder = mt.temporary("kill-")
		self.trace = os.path.join(folder, "points")
		open(self.trace, "w").close()
		os.chmod(self.trace, 0o666)
		env = {"MINIMTA_KILL_PROC": process, "MINIMTA_KILL_LOG": self.trace}
		if at:
			env["MINIMTA_KILL_AT"] = str(at)
		if kind:
			env["MINIMTA_KILL_KIND"] = kind
		self.site = Site(KILL_BIN, env, folder, aliases="team: alice, bob\none: two\ntwo: one\nlist: alice, bob\nowner-list: bob\n"
			f"file: {folder}/archive/mbox\n")
		os.mkdir(os.path.join(folder, "archive"))
		if os.geteuid() == 0:
			shutil.chown(os.path.join(folder, "archive"), "_minimta_virtual")
		self.site.server.own_folder = True
		self.promises = []

	def points(self):
		with open(self.trace) as f:
			return [line.split() for line in f.read().splitlines()]

	def dead(self):
		return any(words[-1] == "killed" for words in self.points())

	def send(self, label, recipients, size=stream.SMALL, expect=None):
		"""expect: where it arrives, when that is not the recipients themselves."""
		promise = stream.Promise(label, size, recipients)
		with mt.Client(self.site.server.address) as c:
			c.expect(220)
			c.say("EHLO points.example", 250)
			stream.Stream.send(c, promise)
		promise.recipients = recipients if expect is None else expect
		self.promises.append(promise)

	def go(self):
		"""All of it, or until the process is dead."""
		server = self.site.server
		for step in (server.start, self.first, self.many, self.deferred, self.reclaim):
			try:
				step()
			except (mt.Failed, OSError, ValueError):
				if not self.at or not self.dead():
					raise
			if self.at and self.dead():
				return

	def first(self):
		alice, bob = f"alice@{mt.DOMAIN}", f"bob@{mt.DOMAIN}"
		self.send("small", [alice])
		self.send("large", [alice, bob], stream.LARGE)
		self.send("team", [f"team@{mt.DOMAIN}"], expect=[alice, bob])
		self.send("list", [f"list@{mt.DOMAIN}"], expect=[alice, bob])
		self.send("large-list", [f"list@{mt.DOMAIN}"], stream.LARGE, expect=[alice, bob])
		for i in range(3):
			self.send(f"filed{i}", [f"file@{mt.DOMAIN}"], stream.LARGE if i == 1 else stream.SMALL)
		self.send("out", [f"x@{stream.REMOTE}", alice])
		self.send("loop", [f"one@{mt.DOMAIN}"], expect=[])
		self.wait()

	def many(self):
		"""More than one segment, several in a batch."""
		def worker(n):
			for i in range(4):
				self.send(f"many{n}-{i}", [f"alice@{mt.DOMAIN}"], 90 * 1024)
		threads = [threading.Thread(target=self.guard, args=(worker, n)) for n in range(4)]
		for thread in threads:
			thread.start()
		for thread in threads:
			thread.join()
		self.wait()

	def guard(self, work, *arguments):
		try:
			work(*arguments)
		except (mt.Failed, OSError, ValueError):
			pass		# the process died: the main thread finds out

	def deferred(self):
		"""One that waits for its next try, one that an administrator removes, one that he retries."""
		self.site.far.add("rcpt reply 451 4.2.0 not now")
		since = self.site.server.log.mark()
		self.send("removed", [f"gone@{stream.REMOTE}"], expect=[])
		self.send("later", [f"y@{stream.REMOTE}"])
		self.site.server.log.wait(r"event=deferred to=\S+ .*code=451", since, count=2)
		mail_id = self.site.server.log.wait(r"msg=(\w+) event=deferred to=gone@", since).group(1)
		self.site.server.ask("queue", "remove", mail_id)
		self.site.far.clear()
		self.site.server.move_clock(3600)
		self.wait()

	def reclaim(self):
		for _ in range(3):
			self.site.server.move_clock(3600)
			self.send(f"after{len(self.promises)}", [f"alice@{mt.DOMAIN}"])
			self.wait()

	def wait(self):
		"""Until all that was promised is there, or the process is dead."""
		def there():
			return self.dead() or not stream.Verdict(self.promises, self.site.server, [self.site.far]).lost
		self.site.server.log.wait_for(there, "not all has arrived")

	def restart_and_judge(self):
		"""Everything is killed as well, then started without a kill point."""
		server = self.site.server
		if server.child:
			server.kill()
		for name in ("MINIMTA_KILL_AT", "MINIMTA_KILL_LOG", "MINIMTA_KILL_PROC", "MINIMTA_KILL_KIND"):
			server.env.pop(name, None)
		self.site.far.clear()
		server.start()
		verdict = stream.settle(server, self.promises, [self.site.far])
		judge(verdict, self.promises, server.log.lines)
		marker = f"marker-{self.at}"
		self.send(marker, [f"alice@{mt.DOMAIN}"])
		self.wait()
		return verdict


def count_points(process):
	"""The calls of an undisturbed run, in order."""
	scenario = Scenario(process)
	try:
		scenario.go()
		return [(words[1], words[2]) for words in scenario.points()]
	finally:
		scenario.site.close(check=False)


def kinds_of(call, kinds):
	"""A batch may hold records of several kinds."""
	return [f"{call} {kind}" for kind in kinds.split("+")]


def die_at(process, number, hit, kind=None):
	scenario = Scenario(process, number, kind)
	check = False
	try:
		scenario.go()
		for words in scenario.points():
			if words[-1] == "killed":
				hit.update(kinds_of(words[1], words[2]))
		verdict = scenario.restart_and_judge()
		check = True
		return verdict
	finally:
		scenario.site.close(check)


def sweep(report, process, jobs):
	seen = []
	if not report.case(f"points of {process}: an undisturbed run", lambda: seen.extend(count_points(process))):
		return
	hit, duplicates = collections.Counter(), []

	def one(number, kind=None):
		duplicates.append(die_at(process, number, hit, kind).duplicates)
	# Each delivery is a process of its own and counts for itself: the largest passes about a dozen points.
	last = len(seen) if process == "queue" else 16
	with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
		for number in range(1, last + 1):
			pool.submit(report.case, f"{process} dies at its point {number}", one, number)
		# Runs differ in their order: the first of each kind is also hit by name.
		for kind in sorted(EXPECTED[process] | {k for point in seen for k in kinds_of(*point)}):
			pool.submit(report.case, f"{process} dies at its first {kind}", one, 1, kind)
	print(f"        {process}: {len(seen)} points, {sum(hit.values())} hit, {sum(duplicates)} deliveries twice: " +
		", ".join(f"{kind} {n}" for kind, n in sorted(hit.items())), flush=True)

	def every_kind():
		missed = sorted((EXPECTED[process] | {k for point in seen for k in kinds_of(*point)}) - set(hit))
		if missed:
			raise mt.Failed("kinds that were never hit: " + ", ".join(missed))
	report.case(f"points of {process}: every kind was hit", every_kind)


def run_points(report, jobs):
	if report.case("build with kill points", lambda: mt.run(["make", "-s", "-j2", "TEST_KILL=1", "all"], cwd=mt.TOP)):
		for process in ("queue", "mda"):
			sweep(report, process, jobs)


# A start that dies of what it reads.

VICTIM = 3			# of so many messages and two, the first of a new spool


def deadly_start(where):
	"""
	Queue dies of one message whenever a start reads it: of its record in the scan, or of all its records when it is told.
	After the third death that one is left out, told and kept, and all others arrive.
	"""
	site = Site(KILL_BIN, {"MINIMTA_KILL_PROC": "queue", "MINIMTA_KILL_AT": "1",
		"MINIMTA_KILL_KIND": f"read {where}-{(1 << 25) + VICTIM:x}"})
	server = site.server
	try:
		server.start()
		site.far.add("mail reply 451 4.7.1 not now")
		promises = []
		for i in range(1, VICTIM + 3):
			promise = stream.Promise(f"start{i}", stream.SMALL, [f"user{i}@{stream.REMOTE}"])
			with mt.Client(server.address) as c:
				c.expect(220)
				c.say("EHLO start.example", 250)
				stream.Stream.send(c, promise)
			if i != VICTIM:
				promises.append(promise)
		server.log.wait(r"event=deferred to=", count=VICTIM + 2)
		mark = server.log.mark()
		server.signal("queue")
		for deaths in range(1, 5):
			server.log.wait(r"event=died process=queue", mark, count=deaths)
			server.move_clock(61)
		said = {"scan": r"queue has died 3 times while it read bytes", "tell": r"is not read, for queue has died of it 3 times"}[where]
		server.log.wait(said, mark)
		server.log.wait(r"queue: event=scanned", mark)
		site.far.clear()
		verdict = stream.settle(server, promises, [site.far])
		judge(verdict, promises, server.log.lines)
		server.honest_mail()
		if len(server.log.find(r"event=died process=queue", mark)) != 4:
			raise mt.Failed("it has died again")
		if any(f"start{VICTIM}".encode() in bytes(content) for _, _, content in site.far.mails):
			raise mt.Failed("the message of which it died was delivered: nothing was tested")
		aside = os.path.join(server.spool, "damaged")
		kept = [open(os.path.join(aside, name), "rb").read() for name in os.listdir(aside)]
		if where == "scan" and not any(f"user{VICTIM}@".encode() in k for k in kept):
			raise mt.Failed(f"its record is not among the {len(kept)} that were set aside")
	finally:
		site.close(check=False)		# the sandbox says something about how the process ends itself


def run_starts(report):
	if report.case("build with kill points", lambda: mt.run(["make", "-s", "-j2", "TEST_KILL=1", "all"], cwd=mt.TOP)):
		for where in ("scan", "tell"):
			report.case(f"queue dies of a message at its start ({where})", deadly_start, where)


# Broken builds.

def early_is_found():
	mt.run(["make", "-s", "-j2", "BROKEN=early", "all"], cwd=mt.TOP)
	for i in range(8):
		site = Site(BROKEN_BIN)
		try:
			site.server.start()
			site.far.add("mail reply 451 4.7.1 not now")
			mail = stream.Stream(site.server, remote=True, threads=6, label=f"early{i}-")
			mail.wait(3 + 2 * i)
			site.server.kill()
			mail.stop()
			site.far.clear()
			site.server.start()
			if stream.settle(site.server, mail.promises, [site.far], moves=4).lost:
				return
		finally:
			site.close(check=False)
	raise mt.Failed("the build that acknowledges before it writes has lost nothing: these kills would not notice")


def main():
	options = argparse.ArgumentParser(description="Kills over a stream of mail.")
	options.add_argument("-v", action="store_true")
	options.add_argument("-j", type=int, default=4)
	options.add_argument("parts", nargs="*", metavar="streams|points|starts|broken")
	options = options.parse_args()
	report = mt.Report(options.v)
	parts = options.parts or ["streams", "points", "starts", "broken"]
	if "streams" in parts:
		run_streams(report, options.j)
	if "points" in parts:
		run_points(report, options.j)
	if "starts" in parts:
		run_starts(report)
	if "broken" in parts:
		report.case("a build that acknowledges before it writes is found out", early_is_found)
	return report.finish()


if __name__ == "__main__":
	sys.exit(main())
