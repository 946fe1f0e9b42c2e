#!/usr/bin/python3
"""
A bad day on this machine: processes that stand still, that run out of memory or descriptors or die at every start, a
clock that jumps, two masters, a master that is killed. Under each of them a stream of mail runs; nothing acknowledged
is lost, nobody waits for ever, log and status say what is wrong, and the next honest mail arrives.

	tests/badday.py [-v] [NAME …]

Names are words of cases ("stalled smtpd", "memory", "clock"). Time is the server's clock. ATTACKS 67, 70 and 85.
"""
import argparse
import concurrent.futures
import os
import re
import signal
import socket
import sys
import threading
import time

import crowd
import fake_dns
import kill_sweep
import minimta_test as mt
import reload
import stream

MAILS = 10			# before, during and after a trouble
STREAM = 60			# in whose middle it begins
LINES = 4000			# of log, more than smtpd keeps
TROUBLES = 60			# mails that are tried while something has run out
DEATHS = 5
AT_ONCE = 3			# cases
STEP_S = 5			# master looks every five seconds whether a process answers
SPIN = 0.3			# of a processor: what idles uses far less
WATCH_S = 0.4			# how long a process is looked at


class World(kill_sweep.Site):
	"""A server, its next hop and a stream of mail."""

	def __init__(self, settings=None, start=True, **more):
		super().__init__(**more)
		for name, value in (settings or {}).items():
			self.server.settings[name] = value
		self.server.write_files("", "", ("alice", "bob"))
		if start:
			self.server.start()
		self.mail = None
		self.flows = 0
		self.promises = []

	def flow(self, count=MAILS, wait=True, **more):
		"""So many more mails; each flow is a stream of its own."""
		self.finish_flow()
		self.flows += 1
		self.mail = stream.Stream(self.server, most=count, remote=True, label=f"flow{self.flows}x", **more)
		if wait:
			self.mail.wait(count)

	def finish_flow(self):
		"""What has begun is sent to its end."""
		if self.mail:
			self.mail.join()
			self.promises += self.mail.promises
			self.mail = None

	def settle(self):
		"""Everything that was acknowledged arrives, and the next mail too."""
		self.finish_flow()
		verdict = stream.settle(self.server, self.promises, [self.far])
		kill_sweep.judge(verdict, self.promises, self.server.log.lines)
		self.server.honest_mail()

	def __enter__(self):
		return self

	def __exit__(self, kind, value, trace):
		if self.mail:
			with self.mail.changed:
				self.mail.stopped = True
		self.close(check=kind is None)


class Stopped:
	"""SIGSTOP for the time of a block."""

	def __init__(self, pid):
		self.pid = pid

	def __enter__(self):
		os.kill(self.pid, signal.SIGSTOP)

	def __exit__(self, *_):
		os.kill(self.pid, signal.SIGCONT)


def pass_time(server, seconds):
	"""
	The clock goes on in steps although a process stands still: that one's answer is not waited for. An answer to another
	command says that master has been through its loop, and so has seen what a step made due.
	"""
	waiting = []
	for _ in range(0, seconds, STEP_S):
		server.clock_offset += STEP_S * 1000
		s = socket.socket(socket.AF_UNIX)
		s.connect(server.control)
		s.sendall(f"clock\t{server.clock_offset}\t{server.wall_offset}\n".encode())
		waiting.append(s)
		for _ in range(2):
			server.ask("nothing")
	for s in waiting:
		s.close()


def expect_no_death(server, since=0):
	found = [line for line in server.log.lines[since:] if re.search(r"event=(died|end-child|bad-peer)", line)]
	if found:
		raise mt.Failed("somebody did not survive it:\n" + "\n".join(found[:5]))


def expect_alone(server, name):
	found = [line for line in server.log.lines if re.search(rf"event=(died process=(?!{name})|end-child|bad-peer)", line)]
	if found:
		raise mt.Failed("another one had to suffer for it:\n" + "\n".join(found[:5]))


def processor_use(pid):
	"""How much of a processor it uses."""
	before, started = crowd.processor_s(pid), time.monotonic()
	threading.Event().wait(WATCH_S)
	return (crowd.processor_s(pid) - before) / (time.monotonic() - started)


def expect_no_spin(server, name, pid):
	server.log.wait_for(lambda: processor_use(pid) < SPIN, f"{name} does not come to rest")


# Standing still.

def reply_within(server, step_name, client, seconds):
	"""The reply that a client gets while time passes."""
	pass_time(server, seconds)
	client.sock.settimeout(mt.DEADLINE)
	try:
		return client.reply()[0]
	except mt.Failed as e:
		raise mt.Failed(f"{step_name}: {e}; the last log lines:\n" + "\n".join(server.log.lines[-12:]))


def client_at(server, *commands):
	client = mt.Client(server.address)
	client.expect(220)
	client.say("HELO client.example", 250)
	for command, code in commands:
		client.say(command, code)
	return client


FROM = ("MAIL FROM:<c@client.example>", 250)
TO = (f"RCPT TO:<alice@{mt.DOMAIN}>", 250)


def while_lookup_stands(server):
	"""The reply to RCPT is 451 after half a minute."""
	client = client_at(server, FROM)
	client.send(TO[0] + "\r\n")
	code = reply_within(server, "RCPT", client, 40)
	if code != 451:
		raise mt.Failed(f"RCPT is answered {code}")
	client.say("QUIT", 221)
	client.expect_close()


def while_queue_stands(server):
	"""The reply to the final dot is 451 after five minutes."""
	client = client_at(server, FROM, TO, ("DATA", 354))
	client.send("Subject: late\r\n\r\nbody\r\n.\r\n")
	code = reply_within(server, "the final dot", client, 330)
	if code != 451:
		raise mt.Failed(f"the final dot is answered {code}")
	client.say("QUIT", 221)
	client.expect_close()


def while_smtpd_stands(server):
	"""Clients wait; the kernel takes their connections."""
	mt.Client(server.address).sock.close()


def others_accept(server):
	client = client_at(server, FROM, TO, ("DATA", 354))
	client.say("Subject: meanwhile\r\n\r\nbody\r\n.", 250)
	client.say("QUIT", 221)
	client.expect_close()


WHILE = {"lookup": while_lookup_stands, "queue": while_queue_stands, "smtpd": while_smtpd_stands}


def stalled(name, busy):
	with World() as world:
		server = world.server
		pid = server.pids()[name]
		if busy:
			world.flow(STREAM, wait=False)
			world.mail.wait(STREAM // 4)
		else:
			server.honest_mail()
		mark = server.log.mark()
		with Stopped(pid):
			WHILE.get(name, others_accept)(server)
			pass_time(server, 90)
			server.log.wait(rf"event=silent process={name}", mark)
			said = reload.status(server)
			if [n for n in said if "silent_s" in said[n]] != [name]:	# others may answer late on a busy machine
				server.log.wait_for(lambda: [n for n, s in reload.status(server).items() if "silent_s" in s] == [name],
					f"status says {said}")
		server.log.wait(rf"event=answers-again process={name}", mark)
		if server.pids()[name] != pid:
			raise mt.Failed(f"{name} is another one")
		expect_no_death(server)
		world.flow()
		world.settle()


def stalled_master():
	with World() as world:
		world.flow()
		with Stopped(world.server.child.pid):
			world.flow()
			world.server.honest_mail()
		world.flow()
		expect_no_death(world.server)
		world.settle()


def stalled_logger():
	"""Lines pile up to a bound; then they are counted, and the count is told."""
	with World({"errors": "100000", "junk_commands": "100000"}) as world:
		server = world.server
		world.flow()
		pids = server.pids()
		with Stopped(pids["logger"]):
			world.flow()
			before = crowd.memory_of(pids["smtpd"])
			talk(server)
			server.honest_mail()
			grown = crowd.memory_of(pids["smtpd"]) - before
			if grown > 6 << 20 and not mt.SANITIZED:
				raise mt.Failed(f"smtpd has grown by {grown} bytes")
		end = time.monotonic() + mt.DEADLINE
		while not server.log.find(r"smtpd: event=log-lines-dropped count=[1-9]"):
			reload.status(server)		# what master asks now and then, too
			if time.monotonic() > end:
				raise mt.Failed("dropped lines are not told")
		expect_no_death(server)
		world.flow()
		world.settle()


def talk(server):
	"""Makes smtpd say more than it may keep: each refused command is a line."""
	with mt.Client(server.address) as c:
		c.expect(220)
		c.say("EHLO talker.example", 250)
		for _ in range(LINES // 50):
			c.send(f"RCPT TO:<{'n' * 300}@{mt.DOMAIN}>\r\n" * 50)
			for _ in range(50):
				if c.reply()[0] not in (500, 503):
					raise mt.Failed("not refused")


# Running out: memory, and descriptors.

def limit(pid, what):
	if mt.alive(pid):
		crowd.limit(pid, what)


def trouble(world, tries):
	"""Mail comes, in whatever way it is received, and time passes. What was acknowledged by then counts."""
	world.finish_flow()
	world.mail = stream.Stream(world.server, remote=True, label="trouble")

	def enough():
		pass_time(world.server, STEP_S)
		return world.mail.tried >= tries
	world.server.log.wait_for(enough, "the stream stands still")
	with world.mail.changed:
		world.mail.stopped = True
	while any(t.is_alive() for t in world.mail.threads):
		pass_time(world.server, 60)
		world.mail.threads[0].join(0.01)
	world.finish_flow()


def came_back(server, name):
	"""It runs, the same or another one."""
	def up():
		pass_time(server, STEP_S)
		return name in server.pids() and reload.status(server)[name].get("state") == "running"
	server.log.wait_for(up, f"{name} does not come back")


def memory_runs_out(name):
	"""What it gives back cannot be had again, and a peer that is started anew needs a channel. It lives on or is replaced."""
	if mt.SANITIZED:		# its shadow memory is larger than any limit
		return
	with World() as world:
		server = world.server
		world.flow()
		pid = server.pids()[name]
		limit(pid, f"--as={crowd.memory_of(pid) - (1 << 20)}:")
		peer = "delivery" if name in ("resolver", "queue") else "queue"
		server.signal(peer)
		trouble(world, TROUBLES)
		limit(pid, "--as=unlimited:")
		came_back(server, name)
		came_back(server, peer)
		expect_alone(server, f"({name}|{peer})")
		world.flow()
		world.settle()


def memory_met(name):
	"""The process needs more than there is: it puts that one thing off, lives on, and does it when there is memory again."""
	if mt.SANITIZED:
		return
	with World() as world:
		server = world.server
		server.honest_mail()
		pid = server.pids()[name]
		limit(pid, f"--as={crowd.memory_of(pid)}:")
		MEETS[name](world)
		limit(pid, "--as=unlimited:")
		expect_no_death(server)
		if server.pids()[name] != pid:
			raise mt.Failed(f"{name} is another one")
		world.settle()


def resolver_puts_off(world):
	"""Mail for elsewhere waits; mail for here arrives."""
	world.flow()
	world.server.log.wait("resolver: event=memory-low")
	world.server.log.wait("event=deferred .*no memory for a DNS question")
	world.server.honest_mail()


def smtpd_puts_off(world):
	"""Mails whose content grows are refused for now; their senders keep them."""
	clients, _ = crowd.fill(world.server, 60, 100 * 1024)
	promised = crowd.finish(clients)
	if len(promised) == 60:
		raise mt.Failed("there was memory for all of it; the test tests nothing")
	world.server.log.wait("smtpd: event=memory-low")


def logger_puts_off(world):
	"""Lines are written; a search in the journal is not begun."""
	first, _ = world.server.ask("explain", "alice@demo.example")
	if not re.match("later: .*memory", first):
		raise mt.Failed(f"explain says {first!r}")
	mark = world.server.log.mark()
	world.flow()
	world.server.log.wait("event=delivered", mark)


MEETS = {"resolver": resolver_puts_off, "smtpd": smtpd_puts_off, "logger": logger_puts_off}


def memory_of_master():
	"""It cannot start anybody, or dies of it; in the end all is as before."""
	if mt.SANITIZED:
		return
	with World() as world:
		server = world.server
		world.flow()
		limit(server.child.pid, f"--as={crowd.memory_of(server.child.pid)}:")
		server.signal("lookup")
		for _ in range(30):
			try:
				server.ask("status")
			except OSError:
				break
		limit(server.child.pid, "--as=unlimited:")
		if server.child.poll() is None:
			came_back(server, "lookup")
		else:
			server.start()
		world.flow()
		world.settle()


def no_descriptor_for(pid):
	"""The limit becomes the first number that is free."""
	used = {int(n) for n in os.listdir(f"/proc/{pid}/fd")}
	return f"--nofile={min(set(range(len(used) + 1)) - used)}:"


def descriptors_run_out(name):
	with World() as world:
		server = world.server
		world.flow()
		pid = server.pids()[name]
		limit(pid, no_descriptor_for(pid))
		trouble(world, TROUBLES)
		waiting = [socket.create_connection(server.address) for _ in range(5)]
		if mt.alive(pid):
			expect_no_spin(server, name, pid)
		limit(pid, "--nofile=1024:")
		for s in waiting:
			s.close()
		came_back(server, name)
		expect_alone(server, name)
		world.flow()
		world.settle()


def descriptors_of_master():
	"""Tools wait, nobody is started, the others go on; and nothing spins."""
	with World() as world:
		server = world.server
		world.flow()
		pid = server.child.pid
		limit(pid, no_descriptor_for(pid))
		mark = server.log.mark()
		waiting = []
		for _ in range(5):
			waiting.append(socket.socket(socket.AF_UNIX))
			waiting[-1].connect(server.control)
		world.flow()
		server.signal("resolver")
		server.log.wait(r"event=died process=resolver", mark)
		expect_no_spin(server, "master", pid)
		server.honest_mail()
		limit(pid, "--nofile=1024:")
		for s in waiting:
			s.close()
		came_back(server, "resolver")
		world.flow()
		world.settle()


# Dying again and again.

def crash_loop(name):
	"""Each pause before the next start is longer; meanwhile the others carry on; then all is as before."""
	with World() as world:
		server = world.server
		world.flow()
		world.settle()		# what is in flight at three deaths of queue is held, for it may be the reason
		pauses = []
		for _ in range(DEATHS):
			mark = server.log.mark()
			server.signal(name)
			pauses.append(int(server.log.wait(rf"event=died process={name} .*restart_ms=(\d+)", mark).group(1)))
			if name not in ("smtpd", "lookup", "queue"):
				send_one(world)
			server.move_clock(pauses[-1] / 1000 + 1)
			server.log.wait(rf"event=restarted process={name}", mark)
		if pauses != [1000 << n for n in range(DEATHS)]:
			raise mt.Failed(f"the pauses are {pauses}")
		expect_alone(server, name)
		world.flow()
		world.settle()
		server.move_clock(120)
		mark = server.log.mark()
		server.signal(name)
		server.log.wait(rf"event=died process={name} .*restart_ms=1000\b", mark)
		came_back(server, name)


def send_one(world):
	world.flow(1)


# The clock.

YEAR = 365 * 86400


def clock_jumps():
	"""A year forward and back: what waits is tried before it is given up, and nothing else happens."""
	with World() as world:
		server = world.server
		world.far.add("mail reply 451 4.7.1 not now")
		world.flow()
		server.log.wait(r"event=deferred to=user\d+@far\.example", count=MAILS // 2)
		world.far.clear()
		server.move_clock(YEAR)
		world.settle()
		if server.log.find(r"event=(expired|failed|bounced)"):
			raise mt.Failed("something was given up")
		world.far.add("mail reply 451 4.7.1 not now")
		mark = server.log.mark()
		world.flow()
		server.log.wait(r"event=deferred to=user\d+@far\.example", mark, count=MAILS // 2)
		server.move_clock(-YEAR)
		server.honest_mail()
		for name, pid in server.pids().items():
			expect_no_spin(server, name, pid)
		server.stop()
		server.start()
		world.far.clear()
		server.honest_mail()
		world.settle()
		if server.log.find(r"event=(expired|failed|bounced)"):
			raise mt.Failed("something was given up")


def wall_clock_jumps(years):
	"""
	It is set, as by hand, or by NTP after a start without a battery; time itself goes on. Nothing that waits notices: no
	session, no recipient's turn, no expiry; and a queue that starts after it gives up nothing untried.
	"""
	with World() as world:
		server = world.server
		world.far.add("mail reply 451 4.7.1 not now")
		world.flow()
		server.log.wait(r"event=deferred to=user\d+@far\.example", count=MAILS // 2)
		client = client_at(server, FROM, TO)
		mark = server.log.mark()
		server.set_clock(server.clock_offset, years * YEAR * 1000)
		client.say("DATA", 354)
		client.say("Subject: across\r\n\r\nbody\r\n.", 250)
		client.say("QUIT", 221)
		mail = server.log.wait_for(lambda: [m for m in server.mailbox("alice") if b"Subject: across" in m], "a mail across the jump")[0]
		year = time.localtime(time.time() + server.clock_offset / 1000 + years * YEAR).tm_year
		if f" {year} ".encode() not in mail.split(b"\nSubject:")[0]:
			raise mt.Failed(f"no {year} in the header: {mail!r}")
		world.flow()
		server.log.wait(r"event=deferred to=user\d+@far\.example", mark, count=MAILS // 2)
		if server.log.find(r"event=deferred .*attempt=[2-9]", mark):
			raise mt.Failed("what waited was tried again")
		odd = [line for line in server.log.lines[mark:] if re.search(r"\b(delay|ms)=(-|\d{5})", line)]
		if odd:
			raise mt.Failed(f"an odd time: {odd[0]}")
		server.move_clock(3600)
		server.log.wait(r"event=deferred to=user\d+@far\.example .*attempt=2", mark, count=MAILS)
		for name, pid in server.pids().items():
			expect_no_spin(server, name, pid)
		world.far.clear()
		mark = server.log.mark()
		server.signal("queue")
		server.log.wait(r"event=died process=queue", mark)
		came_back(server, "queue")
		world.settle()
		if server.log.find(r"event=(expired|failed|bounced)"):
			raise mt.Failed("something was given up")


# Masters.

def start_beside(server, **settings):
	"""Another master, which is expected to give up: what it says."""
	path = os.path.join(server.folder, "second.conf")
	text = open(server.conf).read()
	for name, value in settings.items():
		text = re.sub(rf"^{name} = .*$", f"{name} = {value}", text, flags=re.M)
	with open(path, "w") as f:
		f.write(text)
	done = mt.run([os.path.join(mt.BIN, "minimta"), "-f", "-c", path], check=False, timeout=mt.DEADLINE)
	if done.returncode == 0:
		raise mt.Failed("it ended well")
	return done.stdout


def two_masters():
	"""The second one says why not, and harms nothing: neither on the spool, nor at the control socket, nor at the port."""
	with World() as world:
		server = world.server
		world.flow()
		said = start_beside(server)
		if "another minimta runs on this spool" not in said:
			raise mt.Failed(said)
		said = start_beside(server, spool=f'"{server.folder}/spool2"')
		if server.control not in said:
			raise mt.Failed(said)
		said = start_beside(server, spool=f'"{server.folder}/spool3"', control=f'"{server.folder}/run/control3"',
			listen=f'{{"127.0.0.1:{server.address[1]}"}}')
		if str(server.address[1]) not in said:
			raise mt.Failed(said)
		reload.status(server)
		expect_no_death(server)
		world.flow()
		world.settle()


def master_killed():
	"""Its children leave; another one starts at once on what is there: spool, port, and a socket that nobody listens at."""
	with World() as world:
		server = world.server
		world.flow(STREAM, wait=False)
		world.mail.wait(STREAM // 4)
		pids = list(server.pids().values())
		port = server.address[1]
		server.child.kill()
		server.child.wait()
		if not os.path.exists(server.control):
			raise mt.Failed("there is no socket left behind; the test tests nothing")
		server.settings["listen"] = f'{{"127.0.0.1:{port}"}}'
		server.write_files("", "", ("alice", "bob"))
		server.start()
		server.log.wait_for(lambda: not any(mt.alive(pid) for pid in pids), "children outlive their master")
		if server.address[1] != port:
			raise mt.Failed("the port is another one")
		world.flow()
		world.settle()


# DNS.

def resolver_dies():
	"""While it is away mail waits, and needs no minutes after it is back."""
	with World() as world:
		server = world.server
		world.flow()
		for _ in range(3):
			mark = server.log.mark()
			server.signal("resolver")
			server.log.wait(r"event=died process=resolver", mark)
			world.flow()
			came_back(server, "resolver")
		world.settle()


def resolv_conf_changes():
	"""Another name server in the file is asked without a word from anybody. In a mount namespace of its own."""
	if os.geteuid() != 0:
		return
	done = mt.run(["unshare", "--mount", "true"], check=False)
	if done.returncode != 0:
		return		# this machine does not allow it
	world = World({"dns_servers": None}, start=False)
	file = os.path.join(world.server.folder, "resolv.conf")
	with open(file, "w") as f:
		f.write("nameserver 127.0.0.2\noptions timeout:1\n")
	os.chmod(file, 0o644)
	address = f"127.{os.getpid() % 200 + 20}.{os.getpid() // 200 % 250 + 1}.53"
	with world:
		server = world.server
		server.command = ["unshare", "--mount", "sh", "-c", f'mount --bind {file} /etc/resolv.conf && exec "$@"', "sh"]
		server.start()
		world.flow()
		dns = fake_dns.FakeDNS([f"{stream.REMOTE} MX 10 mx.{stream.REMOTE}", f"mx.{stream.REMOTE} A 127.0.0.2"],
			address=(address, 53))
		try:
			with open(file, "w") as f:
				f.write(f"nameserver {address}\n")
			server.move_clock(2 * STEP_S)
			server.log.wait(r"resolv\.conf has changed")
			world.settle()
			if not dns.questions:
				raise mt.Failed("the new name server was not asked")
		finally:
			dns.close()


CASES = {}
for process in mt.CHILDREN:
	if process != "logger":
		CASES[f"stalled {process}"] = (stalled, process, True)
		CASES[f"stalled idle {process}"] = (stalled, process, False)
CASES["stalled master"] = (stalled_master,)
CASES["stalled logger"] = (stalled_logger,)
for process in mt.CHILDREN:
	CASES[f"memory of {process}"] = (memory_runs_out, process)
for process in ("smtpd", "resolver", "logger"):
	CASES[f"memory met by {process}"] = (memory_met, process)
CASES["memory of master"] = (memory_of_master,)
for process in mt.CHILDREN:
	CASES[f"descriptors of {process}"] = (descriptors_run_out, process)
CASES["descriptors of master"] = (descriptors_of_master,)
for process in mt.CHILDREN:
	CASES[f"{process} dies at every start"] = (crash_loop, process)
CASES["the clock jumps"] = (clock_jumps,)
CASES["the wall clock goes a year forward"] = (wall_clock_jumps, 1)
CASES["the wall clock goes a year back"] = (wall_clock_jumps, -1)
CASES["the wall clock goes past 2038"] = (wall_clock_jumps, 20)
CASES["two masters"] = (two_masters,)
CASES["master is killed"] = (master_killed,)
CASES["resolver dies and comes back"] = (resolver_dies,)
CASES["resolv.conf changes"] = (resolv_conf_changes,)


def main():
	options = argparse.ArgumentParser(description="A bad day: what stands still, runs out, or dies.")
	options.add_argument("-v", action="store_true", help="tell passed cases too")
	options.add_argument("names", nargs="*", help="words of cases")
	options = options.parse_args()
	report = mt.Report(options.v)
	with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
		for name, (case, *arguments) in CASES.items():
			if not options.names or any(word in name for word in options.names):
				pool.submit(report.case, name, case, *arguments)
	return report.finish()


if __name__ == "__main__":
	sys.exit(main())
