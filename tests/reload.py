#!/usr/bin/python3
"""
Changes while the server runs: another configuration, other programs on disk, several workers, processes that do not answer,
systemd's notices. Every case ends with an honest mail.

	tests/reload.py [-v] [NAME...]
"""
import argparse
import contextlib
import inspect
import os
import random
import re
import shutil
import signal
import socket
import sys

import minimta_test as mt
import sink


def rewrite(server, **settings):
	"""Another configuration: options by name, None takes one out."""
	text = open(server.conf).read()
	for name, value in settings.items():
		text = re.sub(rf"^{name} = .*\n", "", text, flags=re.M)
		if value is not None:
			text += f"{name} = {value}\n"
	with open(server.conf, "w") as f:
		f.write(text)


def reload(server, expected="ok"):
	first, body = server.ask("reload")
	if not re.search(expected, first):
		raise mt.Failed(f"reload says {first!r} and {body!r}, expected {expected!r}")
	return first, body


def status(server):
	"""{name: {key: value}}, and those that drain."""
	first, body = server.ask("status")
	if first != "ok":
		raise mt.Failed(f"status says {first!r}")
	return {line.split()[0]: dict(re.findall(r'(\w+)=("[^"]*"|\S*)', line)) for line in body.splitlines()}


def pid_of(server, name):
	return int(status(server)[name]["pid"])


def greet(client, extension=None):
	client.expect(220)
	lines = client.say("EHLO client.example", 250)
	return [line for line in lines if extension and line.startswith(extension)]


def send_mail(client, user="alice", text="hello"):
	client.say("MAIL FROM:<a@client.example>", 250)
	client.say(f"RCPT TO:<{user}@{mt.DOMAIN}>", 250)
	client.say("DATA", 354)
	client.say(f"Subject: test\r\n\r\n{text}\r\n.", 250)


def gone(server, pid):
	server.log.wait_for(lambda: not mt.alive(pid), f"process {pid} is still there")


# What a reload keeps, and what it changes.

def case_session_goes_on(server):
	"""A session that began under the old configuration ends under it; a new one has the new limits."""
	old_smtpd = pid_of(server, "smtpd")
	with mt.Client(server.address) as c:
		if greet(c, "SIZE") != ["SIZE 52428800"]:
			raise mt.Failed("the old size is not what was expected")
		c.say("MAIL FROM:<a@client.example>", 250)
		rewrite(server, message_size="1M")
		reload(server)
		with mt.Client(server.address) as new:
			if greet(new, "SIZE") != ["SIZE 1048576"]:
				raise mt.Failed("the new session has not the new size")
			send_mail(new, "bob")
		if not any(v.get("state") == "draining" and int(v["pid"]) == old_smtpd for v in status(server).values()):
			raise mt.Failed(f"the old smtpd does not drain: {status(server)}")
		c.say(f"RCPT TO:<alice@{mt.DOMAIN}>", 250)
		c.say("DATA", 354)
		for _ in range(32):		# two megabytes: allowed where it began
			c.send(("x" * 62 + "\r\n") * 1024)
		c.say(".", 250)
		c.say("QUIT", 221)
		c.expect_close()
	server.wait_mail("alice")
	server.wait_mail("bob")
	server.move_clock(2)
	gone(server, old_smtpd)


def case_drain_ends(server):
	"""Five minutes, then the old generation stops, idle sessions with it."""
	old_smtpd = pid_of(server, "smtpd")
	rewrite(server, command_timeout='"1h"')
	reload(server)
	with mt.Client(server.address) as c:
		greet(c)
		middle = pid_of(server, "smtpd")
		gone(server, old_smtpd)
		reload(server)
		server.move_clock(290)
		c.say("NOOP", 250)
		server.move_clock(20)
		c.expect(421)
		c.expect_close()
	gone(server, middle)


def case_bad_configuration(server):
	before = pid_of(server, "smtpd")
	mark = server.log.mark()
	good = open(server.conf).read()
	with open(server.conf, "a") as f:
		f.write("conections = 3\n")
	line = len(good.splitlines()) + 1
	first, _ = reload(server, r"^error: ")
	if f"minimta.conf:{line}:" not in first or "connections" not in first:
		raise mt.Failed(f"the answer does not name the line, or what was meant: {first}")
	server.log.wait(r"event=reload-refused .*minimta\.conf:" + str(line), mark)
	server.child.send_signal(signal.SIGHUP)
	server.log.wait(r"event=reload-refused", mark, count=2)
	if pid_of(server, "smtpd") != before:
		raise mt.Failed("smtpd is another one")
	with open(server.conf, "w") as f:
		f.write(good)
	server.child.send_signal(signal.SIGHUP)
	server.log.wait(r"event=reloaded", mark)


def case_needs_restart(server):
	rewrite(server, spool='"/nonexistent/spool"', segment_size="128M", message_size="2M")
	_, body = reload(server)
	for option in ("spool", "segment_size"):
		if not re.search(rf"^warning: {option} ", body, re.M):
			raise mt.Failed(f"no warning about {option}: {body!r}")
	with mt.Client(server.address) as c:
		if greet(c, "SIZE") != ["SIZE 2097152"]:
			raise mt.Failed("what can change has not changed")


def quiet_port():
	"""One that is free on all addresses, and below those that the kernel gives to other tests meanwhile."""
	while True:
		port = random.randrange(20000, 30000)
		with socket.socket() as s, contextlib.suppress(OSError):
			s.bind(("", port))
			return port


def case_listeners(server):
	"""One is added, one is kept, one goes; a wildcard takes the place of an address on the same port."""
	port = quiet_port()
	rewrite(server, listen=f'{{"127.0.0.1:0", "127.0.0.2:{port}"}}')
	reload(server)
	for address in (server.address, ("127.0.0.2", port)):
		with mt.Client(address) as c:
			greet(c)
			send_mail(c)
	rewrite(server, listen=f'{{"0.0.0.0:{port}"}}')
	reload(server)
	for host in ("127.0.0.2", "127.0.0.3"):
		with mt.Client((host, port)) as c:
			greet(c)
			send_mail(c)
	server.move_clock(2)
	try:
		mt.Client(server.address).sock.close()
		raise mt.Failed("the listener that was taken out still accepts")
	except ConnectionRefusedError:
		pass
	rewrite(server, listen=f'{{"127.0.0.2:{port}"}}')
	reload(server)
	with socket.socket() as other:
		other.bind(("127.0.0.1", 0))
		other.listen()
		rewrite(server, listen=f'{{"127.0.0.2:{port}", "127.0.0.1:{other.getsockname()[1]}"}}')
		first, _ = reload(server, "^error: ")
		if "Address already in use" not in first or str(other.getsockname()[1]) not in first:
			raise mt.Failed(f"not the reason: {first}")
	server.addresses = [("127.0.0.2", port)]


def case_domains_and_aliases(server):
	"""lookup, queue and mda take up the new configuration by message."""
	before = pid_of(server, "lookup")
	with mt.Client(server.address) as c:
		greet(c)
		c.say("MAIL FROM:<a@client.example>", 250)
		c.say("RCPT TO:<alice@second.example>", 550)
	with open(server.folder + "/aliases2", "w") as f:
		f.write("sales: alice\n")
	os.makedirs(os.path.join(server.mail, "second.example"), exist_ok=True)
	rewrite(server, domains=f'{{"{mt.DOMAIN}", "second.example"}}', aliases=f'"{server.folder}/aliases2"')
	reload(server)
	with mt.Client(server.address) as c:
		greet(c)
		send_mail(c, "sales")
		c.say("MAIL FROM:<a@client.example>", 250)
		c.say("RCPT TO:<nobody@second.example>", 550, "5.1.1")
	server.wait_mail("alice")
	if pid_of(server, "lookup") != before:
		raise mt.Failed("lookup was restarted")


def case_filters(server):
	"""New sessions have the new filters, those under way go on with what they began with."""
	with mt.Client(server.address) as before:
		greet(before)
		rewrite(server, filters="yes")
		reload(server)
		send_mail(before)		# it is not judged, and does not wait
		server.wait_mail("alice")
		with mt.Client(server.address) as stranger:
			if stranger.line() != "220-mx.demo.example":
				raise mt.Failed("the new filters do not hold")
			with server.hurry():
				if not stranger.line().startswith("220 mx.demo.example ESMTP"):
					raise mt.Failed("no greeting")
			# The same for one that is being waited with.
			with mt.Client((server.address[0], server.address[1]), "127.0.0.2") as waits:
				waits.line()
				rewrite(server, filters="no")
				reload(server)
				with server.hurry():
					if not waits.line().startswith("220 mx.demo.example ESMTP"):
						raise mt.Failed("no greeting")
		with mt.Client(server.address) as after:
			greet(after)
			send_mail(after)
	first, body = server.ask("status")
	if "delayed=" in [line for line in body.splitlines() if line.startswith("smtpd ")][0]:
		raise mt.Failed("the old filters hold still")


def case_relay_changes(server):
	"""Mail that waits for a relay which is not there goes by the new one at once."""
	dead = socket.socket()
	dead.bind(("127.0.0.1", 0))		# bound and not listening: refused
	with contextlib.closing(sink.Sink("127.0.0.1", 0)) as s:
		with open(server.conf, "a") as f:
			f.write(f'trusted_networks = {{ 127.0.0.0/8 }}\nrelay "far.example" {{ host = "127.0.0.1:{dead.getsockname()[1]}" }}\n')
		reload(server)
		mark = server.log.mark()
		with mt.Client(server.address) as c:
			greet(c)
			c.say("MAIL FROM:<a@client.example>", 250)
			c.say("RCPT TO:<x@far.example>", 250)
			c.say("DATA", 354)
			c.say("Subject: far\r\n\r\nfar\r\n.", 250)
		server.log.wait(r"event=deferred to=x@far\.example", mark)
		text = open(server.conf).read().replace(str(dead.getsockname()[1]), str(s.port))
		with open(server.conf, "w") as f:
			f.write(text)
		reload(server)
		server.log.wait(r"event=delivered to=x@far\.example", mark)
	dead.close()


def case_credentials(server):
	"""A file that others may read, or that lacks an entry, is no change; another password is tried at once. It is seen nowhere."""
	path, word = os.path.join(server.folder, "credentials"), "s3cret-" + os.urandom(4).hex()

	def write(text, mode=0o600):
		with open(path, "w") as f:
			f.write(text)
		os.chmod(path, mode)

	with contextlib.closing(sink.Sink("127.0.0.1", 0, [f"login PLAIN anna {word}"])) as s:
		with open(server.conf, "a") as f:
			f.write(f'''trusted_networks = {{ 127.0.0.0/8 }}\ncredentials = "{path}"
relay "far.example" {{ host = "127.0.0.1:{s.port}" login = out login_without_tls = yes }}\n''')
		reload(server, "error: .*No such file")
		write(f"out anna {word}\n", 0o644)
		reload(server, "error: .*others may read it")
		write(f"other anna {word}\n")
		reload(server, "error: .*there is no entry out")
		write("out anna\n")
		reload(server, "error: .*line 1: the password is missing")
		write(f"out anna wrong-{word}\n")
		reload(server)
		mark = server.log.mark()
		with mt.Client(server.address) as c:
			greet(c)
			c.say("MAIL FROM:<a@client.example>", 250)
			c.say("RCPT TO:<x@far.example>", 250)
			c.say("DATA", 354)
			c.say("Subject: far\r\n\r\nfar\r\n.", 250)
		server.log.wait(r"event=deferred to=x@far\.example .*code=535", mark)
		write(f"out anna {word}\n")
		reload(server)
		server.log.wait(r"event=delivered to=x@far\.example", mark)
		# A delivery that dies is given it again.
		server.signal("delivery")
		server.log.wait(r"event=restarted process=delivery", mark)
		printed = mt.run([os.path.join(server.bin, "minimta"), "-n", "-c", server.conf]).stdout
		for what, text in (("the log", "\n".join(server.log.lines)), ("minimta -n", printed), ("the answers", str(server.ask("status")))):
			if word in text:
				raise mt.Failed(f"the password stands in {what}")


def case_under_load(server):
	"""Mail in every moment of five reloads: all of it arrives once."""
	import threading
	sent, failed, stop = [], [], threading.Event()

	def sender(n):
		i = 0
		while not stop.is_set() or i == 0:
			mark = f"load-{n}-{i}"
			i += 1
			try:
				with mt.Client(server.address) as c:
					greet(c)
					send_mail(c, text=mark)
					c.say("QUIT", 221)
				sent.append(mark)
			except (mt.Failed, OSError) as e:
				failed.append(f"{mark}: {e}")
	threads = [threading.Thread(target=sender, args=(n,)) for n in range(4)]
	for t in threads:
		t.start()
	try:
		for size in (60, 61, 62, 63, 64):
			rewrite(server, message_size=f"{size}M")
			reload(server)
	finally:
		stop.set()
		for t in threads:
			t.join()
	if failed:
		raise mt.Failed(f"{len(failed)} of {len(sent) + len(failed)} sessions had trouble: {failed[0]}")
	server.wait_mail("alice", len(sent))
	arrived = sorted(re.search(rb"load-\d+-\d+", m).group().decode() for m in server.mailbox("alice"))
	if arrived != sorted(sent):
		raise mt.Failed(f"{len(sent)} sent, {len(arrived)} arrived")


def case_workers(server):
	"""Several processes share the listeners and the number of connections; one that dies is restarted alone."""
	rewrite(server, workers="3", connections="30")
	reload(server)
	lines = [v for k, v in status(server).items() if k.split(".")[0] == "smtpd" and v.get("state") == "running"]
	if len(lines) != 3:
		raise mt.Failed(f"{len(lines)} workers run")
	pids = {int(v["pid"]) for v in lines}
	# Whom the kernel wakes is its business: with one stopped, the others must accept.
	victim = min(pids)
	os.kill(victim, signal.SIGSTOP)
	try:
		for _ in range(3):
			server.honest_mail()
	finally:
		os.kill(victim, signal.SIGCONT)
	mark = server.log.mark()
	os.kill(victim, signal.SIGKILL)
	server.log.wait(rf"event=died process=smtpd pid={victim}", mark)
	server.move_clock(2)
	server.log.wait(r"event=restarted process=smtpd", mark)
	rewrite(server, workers="1")
	reload(server)
	for pid in pids - {victim}:
		server.move_clock(2)
		gone(server, pid)


def case_places_together(server):
	"""A worker takes the places that others leave, which are theirs again when they need them."""
	def come(code):
		client = mt.Client(server.address)
		client.expect(code)
		if code == 421:
			client.expect_close()
		else:		# within a mail, so that nobody's place is taken
			client.say("EHLO client.example", 250)
			client.say("MAIL FROM:<a@client.example>", 250)
		return client
	rewrite(server, workers="2", connections="20")
	reload(server)
	server.move_clock(2)		# the first one goes
	workers = server.log.wait_for(lambda: [v for k, v in status(server).items() if k.startswith("smtpd")
		and v.get("others") == "1"][1:] and status(server), "two workers know of each other")
	first, second = (int(v["pid"]) for k, v in workers.items() if k.startswith("smtpd"))
	os.kill(second, signal.SIGSTOP)
	clients = [come(220) for _ in range(18)]	# all but a tenth, which is not for strangers
	come(421)
	os.kill(first, signal.SIGSTOP)
	os.kill(second, signal.SIGCONT)
	clients += [come(220) for _ in range(9)]
	come(421)
	os.kill(first, signal.SIGCONT)
	for client in clients:
		client.say("QUIT", 221)
	server.honest_mail()


def case_counts_together(server):
	"""Limits by network hold for all workers together, for those of before a reload as long as they drain, and no longer."""
	def come(code=220):
		client = mt.Client(server.address)
		client.expect(code, r"^4\.7\.0" if code == 421 else None)
		if code == 421:
			client.expect_close()
		return client

	def meet(n):
		return lambda: [v for k, v in status(server).items() if k.startswith("smtpd") and v.get("others") == str(n)]
	rewrite(server, workers="2", network_connections="4", network_message_rate="3")
	reload(server)
	server.move_clock(2)		# the first one goes
	workers = server.log.wait_for(lambda: len(meet(1)()) == 2 and meet(1)(), "two workers know of each other")
	first, second = (int(v["pid"]) for v in workers)
	os.kill(first, signal.SIGSTOP)
	clients = [come(), come()]
	os.kill(first, signal.SIGCONT)
	os.kill(second, signal.SIGSTOP)
	clients += [come(), come()]
	come(421)
	os.kill(first, signal.SIGSTOP)
	os.kill(second, signal.SIGCONT)
	come(421)
	os.kill(first, signal.SIGCONT)
	for i, client in enumerate(clients):		# two in each
		client.say("EHLO client.example", 250)
		client.say("MAIL FROM:<a@client.example>", 250 if i < 3 else 450)
	reload(server)
	come(421)
	mark = server.log.mark()
	os.kill(first, signal.SIGKILL)
	server.log.wait(rf"event=drained process=smtpd pid={first}|event=died.* pid={first}", mark)
	server.log.wait_for(lambda: len(meet(2)()) == 3, "who has died is still counted")
	clients += [come(), come()]
	come(421)
	for client in clients:
		client.sock.close()
	server.move_clock(60)
	gone(server, second)


def turns_of(pid):
	"""How often a process got a processor, and whether it has nothing to do now."""
	with open(f"/proc/{pid}/schedstat") as f, open(f"/proc/{pid}/stat") as g:
		return int(f.read().split()[2]), g.read().rpartition(")")[2].split()[0] == "S"


def move_clock_without_waiting(server, seconds, others):
	"""Without waiting for who cannot answer; the others have had a turn, for on a busy machine they would seem silent, too."""
	before = {pid: turns_of(pid)[0] for pid in others}
	server.clock_offset += seconds * 1000
	s = socket.socket(socket.AF_UNIX)
	s.connect(server.control)
	s.sendall(f"clock\t{server.clock_offset}\t{server.wall_offset}\n".encode())
	for _ in range(3):
		server.ask("queue", "list")		# master has been through its loop
	for pid in others:
		server.log.wait_for(lambda: turns_of(pid)[0] > before[pid] and turns_of(pid)[1], f"process {pid} had no turn")
	return s


def case_silent_process(server):
	"""A stopped process is reported after a minute, in the log and in status, and is not killed."""
	pid = pid_of(server, "lookup")
	others = [p["pid"] for name, p in status(server).items() if name != "lookup"]
	mark = server.log.mark()
	os.kill(pid, signal.SIGSTOP)
	try:
		# While nobody knows that lookup is silent each of these would be waited for: the next one ends that.
		waiting = [move_clock_without_waiting(server, 5, others) for _ in range(12)]
		for _ in range(30):
			server.move_clock(5)
			if server.log.find(r"event=silent process=lookup", mark):
				break
		else:
			raise mt.Failed("not reported after 150 s")
		if "silent_s" not in status(server)["lookup"]:
			raise mt.Failed(f"status says {status(server)['lookup']}")
		if server.log.find(r"event=silent process=(?!lookup)", mark):
			raise mt.Failed("another process is reported too")
	finally:
		os.kill(pid, signal.SIGCONT)
		for s in waiting:
			s.close()
	server.log.wait(r"event=answers-again process=lookup", mark)
	if pid_of(server, "lookup") != pid:
		raise mt.Failed("lookup is another one")


def own_programs(server):
	"""A copy of the programs that may be replaced; their folder as `programs`."""
	folder = os.path.join(server.folder, "bin")
	shutil.copytree(mt.BIN, folder, symlinks=True)
	server.bin = folder
	server.start()
	return folder


def replace(folder, name):
	"""As install(1) does: another file takes its place."""
	path = os.path.join(folder, name)
	shutil.copy2(path, path + ".new")
	os.utime(path + ".new")
	os.rename(path + ".new", path)


def case_upgrade(server):
	"""Programs that were replaced on disk run after a reload, queue included; nothing is lost."""
	folder = own_programs(server)
	before = {name: int(v["pid"]) for name, v in status(server).items()}
	for name in mt.CHILDREN:
		replace(folder, name)
	with mt.Client(server.address) as c:
		greet(c)
		c.say("MAIL FROM:<a@client.example>", 250)
		reload(server)
		c.say(f"RCPT TO:<alice@{mt.DOMAIN}>", 250)
		c.say("DATA", 354)
		c.say("Subject: test\r\n\r\nacross\r\n.", 250)
	server.wait_mail("alice")
	after = {name: int(v["pid"]) for name, v in status(server).items()}
	same = [name for name in mt.CHILDREN if after[name] == before[name]]
	if same:
		raise mt.Failed(f"not replaced: {same}")
	if server.log.find(r"event=died|event=bad-peer"):
		raise mt.Failed("a process died")


def answer_to(server, sender):
	"""The code of the reply to RCPT, in a session of its own."""
	with mt.Client(server.address) as c:
		greet(c)
		c.say(f"MAIL FROM:<{sender}>", 250)
		c.send(f"RCPT TO:<alice@{mt.DOMAIN}>\r\n")
		code, _ = c.reply()
		c.say("QUIT", 221)
	return code


def case_upgrade_remembers(server):
	"""A lookup that takes another one's place waits for its files, and remembers what that one remembered."""
	folder = own_programs(server)
	with open(server.conf, "a") as f:
		for name in ("early", "throttle", "penalty", "pipelining"):
			f.write(f'filter "{name}" {{ mode = off }}\n')
	rewrite(server, filters="yes")
	reload(server)
	if answer_to(server, "one@far.example") != 450:
		raise mt.Failed("a stranger is not greylisted")
	mark = len(server.log.lines)
	replace(folder, "lookup")
	reload(server)
	server.log.wait(r"lookup: event=memory-read entries=1 ms=[0-9]+$", mark)
	if answer_to(server, "two@far.example") != 450:
		raise mt.Failed("another stranger is not greylisted")
	server.move_clock(301)
	for sender in ("one", "two"):
		if answer_to(server, f"{sender}@far.example") != 250:
			raise mt.Failed(f"{sender} has waited, and waits again")
	if server.log.find(r"event=died|event=memory-(late|set-aside|not-written)"):
		raise mt.Failed("something went wrong with memory")
	rewrite(server, filters="no")
	reload(server)


def case_broken_program(server):
	"""A program that does not start leaves everything as it was, the configuration too."""
	folder = own_programs(server)
	before = status(server)
	with open(os.path.join(folder, "delivery.new"), "w") as f:
		f.write("#!/bin/sh\nexit 3\n")
	os.chmod(os.path.join(folder, "delivery.new"), 0o755)
	os.rename(os.path.join(folder, "delivery.new"), os.path.join(folder, "delivery"))
	rewrite(server, message_size="1M", listen='{"127.0.0.1:0", "127.0.0.2:0"}')
	first, _ = reload(server, "^error: .*delivery does not start")
	for name in mt.CHILDREN:
		if status(server)[name]["pid"] != before[name]["pid"]:
			raise mt.Failed(f"{name} is another one")
	with mt.Client(server.address) as c:
		if greet(c, "SIZE") != ["SIZE 52428800"]:
			raise mt.Failed("the configuration is the new one")


def case_twice_at_once(server):
	"""Signals in quick succession are one more reload, and every caller gets an answer."""
	mark = server.log.mark()
	for _ in range(5):
		server.child.send_signal(signal.SIGHUP)
	server.log.wait(r"event=reloaded", mark)
	for _ in range(5):
		server.log.wait_for(lambda: server.ask("reload")[0] == "ok", "no reload succeeds")


def turned_away(server):
	"""Whether a caller came during a change, with a signal for another one just before."""
	smtpd, mark = pid_of(server, "smtpd"), server.log.mark()
	os.kill(smtpd, signal.SIGSTOP)		# a predecessor that does not say that it leaves holds a change open
	for n in (1, 2):
		server.child.send_signal(signal.SIGHUP)
		server.log.wait(r"event=reloading", mark, n)
	answer = server.ask("reload")[0]
	os.kill(smtpd, signal.SIGCONT)
	server.log.wait(r"event=reloaded", mark, 2)
	return answer.startswith("error: another change")


def case_signal_while_busy(server):
	"""A signal during a change leads to another one, even when a caller is told after it to come again."""
	if not any(turned_away(server) for _ in range(5)):
		raise mt.Failed("no reload is turned away while another is under way")


def case_only_root(server):
	if os.geteuid() != 0:
		return		# then the caller is always who started it
	done = mt.run(["setpriv", "--reuid=65534", "--clear-groups", os.path.join(mt.BIN, "minimtactl"), "-c", server.conf, "reload"],
		check=False)
	if done.returncode == 0 or "only root" not in done.stdout:
		raise mt.Failed(f"exit {done.returncode}: {done.stdout}")


def case_minimtactl(server):
	done = mt.run([os.path.join(mt.BIN, "minimtactl"), "-c", server.conf, "reload"])
	if done.stdout.strip() not in ("", "ok"):
		raise mt.Failed(done.stdout)


def case_notices(server):
	"""What systemd hears (sd_notify)."""
	path = os.path.join(server.folder, "notify")
	with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
		s.bind(path)
		s.settimeout(mt.DEADLINE)
		server.env["NOTIFY_SOCKET"] = path
		server.start()
		said = [s.recv(1000).decode()]
		reload(server)
		said += [s.recv(1000).decode(), s.recv(1000).decode()]
		server.child.send_signal(signal.SIGTERM)
		said.append(s.recv(1000).decode())
	first = [text.split("\n")[0] for text in said]
	if first != ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]:
		raise mt.Failed(f"systemd hears {first}")
	server.child.wait(mt.DEADLINE)


STARTS_ITSELF = ("upgrade", "upgrade_remembers", "broken_program", "notices")


def run(name, test):
	server = mt.Server(start=name not in STARTS_ITSELF)
	with server:
		test(server)
		if server.child.poll() is None:
			server.honest_mail("bob")


def main():
	options = argparse.ArgumentParser(description="Changes while the server runs.")
	options.add_argument("-v", action="store_true")
	options.add_argument("names", nargs="*")
	options = options.parse_args()
	report = mt.Report(options.v)
	cases = {n[5:]: f for n, f in globals().items() if n.startswith("case_") and inspect.isfunction(f)}
	for name in options.names or cases:
		report.case("reload " + name, run, name, cases[name])
	return report.finish()


if __name__ == "__main__":
	sys.exit(main())
