#!/usr/bin/python3
"""
Deliveries to users of this machine: mbox, folders, commands, files, ~/.forward, rewritten senders. The server runs as root
in a mount namespace of its own, where /etc/passwd has users that the tests made up. Needs root.

	tests/local.py [-v] [NAME …]
"""
import argparse
import fcntl
import glob
import os
import re
import signal
import stat
import sys
import threading
import time

import minimta_test as mt
import sink

CAROL, DAVE = 41001, 41002		# users; their groups have the same numbers
NAMESPACE = ("unshare", "-m", "--propagation", "private", "sh", "-c",
	'mount --bind "$0/passwd" /etc/passwd && mount --bind "$0/group" /etc/group && sh "$0/mounts" && shift && exec "$@"')
EXITS = {0: "delivered 2.0.0", 1: "failed 5.3.0", 64: "failed 5.3.5", 65: "failed 5.6.0", 66: "failed 5.3.0", 67: "failed 5.1.1",
	68: "failed 5.1.2", 69: "failed 5.3.0", 70: "failed 5.3.0", 71: "deferred 4.3.0", 72: "failed 5.3.0", 73: "deferred 4.2.0",
	74: "deferred 4.3.0", 75: "deferred 4.3.0", 76: "failed 5.5.0", 77: "failed 5.7.0", 78: "deferred 4.3.5", 126: "deferred 4.3.5",
	127: "deferred 4.3.5", 255: "failed 5.3.0"}


class Site(mt.Server):
	"""A server with carol and dave, whose homes are in its folder."""

	def __init__(self, config="", aliases="", mounts="", **more):
		self.place = mt.temporary("local-")
		self.homes = {"carol": CAROL, "dave": DAVE}
		with open("/etc/passwd") as f, open(self.path("passwd"), "w") as to:
			to.write(f.read().rstrip("\n") + "\n")
			for name, uid in self.homes.items():
				to.write(f"{name}:x:{uid}:{uid}::{self.path(name)}:/bin/sh\n")
		with open("/etc/group") as f, open(self.path("group"), "w") as to:
			to.write(f.read().rstrip("\n") + "\n" + "".join(f"{n}:x:{u}:\n" for n, u in self.homes.items()))
		for name, uid in self.homes.items():
			os.mkdir(self.path(name), 0o755)
			os.chown(self.path(name), uid, uid)
		self.write("mounts", mounts.replace("PLACE", self.place), 0)
		super().__init__(config=(config + "\ncommand_user = dave").replace("PLACE", self.place),
			aliases=aliases.replace("PLACE", self.place), command=(*NAMESPACE, self.place, "-"), **more)

	def path(self, *names):
		return os.path.join(self.place, *names)

	def write(self, name, text, owner, mode=0o644):
		path = self.path(name)
		with open(path, "w") as f:
			f.write(text)
		os.chmod(path, mode)
		os.chown(path, owner, owner)
		return path

	def read(self, *names):
		with open(self.path(*names), "rb") as f:
			return f.read().decode()

	def send(self, *to, sender="s@client.example", text="Subject: x\r\n\r\nbody", utf8=False):
		with mt.Client(self.address) as c:
			c.expect(220)
			c.say("EHLO client.example", 250)
			c.say(f"MAIL FROM:<{sender}>", 250)
			for address in to:
				c.say(f"RCPT TO:<{address}>", 250)
			c.say("DATA", 354)
			c.say(text + "\r\n.", 250)
			c.say("QUIT", 221)

	def event(self, event, to, since=0):
		"""The enhanced code and the words of mda's line."""
		m = self.log.wait(rf"mda: .*event={event} to={re.escape(to)} enhanced=(\S+) what=(.*) ms=", since)
		return m.group(1), m.group(2)

	def maildir(self, user, folder=""):
		mails = []
		for path in sorted(glob.glob(glob.escape(self.path(user, "Maildir", folder)) + "/new/*"), key=lambda p: os.stat(p).st_mtime_ns):
			expect(os.stat(path).st_uid == self.homes[user], f"{path} belongs to {os.stat(path).st_uid}")
			with open(path, "rb") as f:
				mails.append(f.read().decode())
		return mails

	def wait_for(self, question, what):
		return self.log.wait_for(question, what)

	def close(self, check=True):
		import shutil
		try:
			super().close(check)
		finally:
			if not os.environ.get("MINIMTA_KEEP"):
				shutil.rmtree(self.place, ignore_errors=True)


def expect(condition, what):
	if not condition:
		raise mt.Failed(what)


def commands_of(mark):
	"""Processes of any user that have this word in their command line."""
	found = []
	for path in glob.glob("/proc/[0-9]*/cmdline"):
		try:
			with open(path, "rb") as f:
				words = f.read().split(b"\0")
		except OSError:
			continue
		if any(mark in word.decode(errors="replace") for word in words) and b"tests/local.py" not in b" ".join(words):
			found.append(path + ": " + b" ".join(words).decode(errors="replace"))
	return found


# ---- mailboxes ----

def mbox():
	with Site("mailbox = PLACE/spool/%u") as s:
		os.mkdir(s.path("spool"))
		os.chown(s.path("spool"), 0, 8)
		os.chmod(s.path("spool"), 0o2775)
		s.send("carol@demo.example", text="Subject: x\r\n\r\nFrom here\r\n..dot")
		_, words = s.event("delivered", "carol@demo.example")
		expect(f"appended to {s.path('spool', 'carol')}" in words, words)
		st = os.stat(s.path("spool", "carol"))
		expect((st.st_uid, st.st_gid, stat.S_IMODE(st.st_mode)) == (CAROL, 8, 0o660), f"the mbox is {st}")
		text = s.read("spool", "carol")
		expect(re.match(r"From s@client\.example \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}\nReturn-Path: <s@client\.example>\n"
			r"Delivered-To: carol@demo\.example\nReceived: ", text) and text.endswith("\n\n>From here\n.dot\n\n"), text)
		expect(os.listdir(s.path("spool")) == ["carol"], "a lock is left")


def mbox_locked():
	"""Another program has it: tried each second, then later."""
	with Site("mailbox = PLACE/spool/%u") as s:
		os.mkdir(s.path("spool"))
		os.chmod(s.path("spool"), 0o777)
		s.write("spool/carol", "From x Thu Jan  1 00:00:00 1970\n\nold\n\n", CAROL, 0o600)
		with open(s.path("spool/carol"), "r+b") as f:
			fcntl.lockf(f, fcntl.LOCK_EX)
			s.send("carol@demo.example")
			with mt.Hurry(s, 0.5):
				code, words = s.event("deferred", "carol@demo.example")
			expect(code == "4.2.0" and "is locked (fcntl)" in words, f"{code} {words}")
			expect(s.read("spool/carol").endswith("old\n\n"), "written though it was locked")
		s.move_clock(600)
		s.event("delivered", "carol@demo.example")


def mbox_torn():
	"""What a dead delivery left is cut off: its lock says where it began."""
	with Site("mailbox = ~/mbox") as s:
		whole = "From x Thu Jan  1 00:00:00 1970\n\nold\n\n"
		s.write("carol/mbox", whole + "From torn Thu", CAROL, 0o600)
		s.write("carol/mbox.lock", f"4711\nminimta {len(whole)}\n", CAROL, 0o600)
		s.send("carol@demo.example")
		s.event("delivered", "carol@demo.example")
		expect("torn" not in s.read("carol/mbox") and s.read("carol/mbox").startswith(whole + "From s@client"), s.read("carol/mbox"))


def kernel_protects():
	"""Others' files in such folders cannot be opened at all, as systemd sets it."""
	with open("/proc/sys/fs/protected_regular") as f:
		return f.read().strip() != "0"


def mbox_links():
	"""ATTACKS 74: links where the mbox should be, made by whoever may write to the folder."""
	with Site("mailbox = PLACE/spool/%u") as s:
		os.mkdir(s.path("spool"))
		os.chmod(s.path("spool"), 0o1777)
		victim = s.write("dave/precious", "mine\n", DAVE, 0o666)
		for number, link in enumerate((os.symlink, os.link)):
			link(victim, s.path("spool/carol"))
			mark = s.log.mark()
			s.send("carol@demo.example")
			code, words = s.event("deferred", "carol@demo.example", mark)
			expect(code == ("4.3.0" if link is os.link and kernel_protects() else "4.3.5"), f"{number}: {code} {words}")
			os.unlink(s.path("spool/carol"))
		expect(s.read("dave/precious") == "mine\n", "the other user's file was written to")


def folders():
	with Site("tag_folders = create\njunk_folder = Spam") as s:
		s.send("carol+lists.abc@demo.example", '"carol+../../x"@demo.example', "carol@demo.example")
		s.wait_for(lambda: len(s.maildir("carol")) == 2 and len(s.maildir("carol", ".lists.abc")) == 1,
			f"{s.maildir('carol')} {os.listdir(s.path('carol'))}")
		expect(sorted(os.listdir(s.path("carol"))) == ["Maildir"], "something lies beside the Maildir")


def full():
	"""A disk without room, one that is read-only, and a limit: the mail waits, and comes when it can."""
	mounts = 'mount -t tmpfs -o size=128k,mode=755,uid=%d tmpfs PLACE/carol && mount -t tmpfs -o ro tmpfs PLACE/dave' % CAROL
	with Site("mailbox_size = 1M", mounts=mounts, users=("alice", "bob")) as s:
		s.send("carol@demo.example", text="Subject: x\r\n\r\n" + ("x" * 70 + "\r\n") * 4000)
		code, words = s.event("deferred", "carol@demo.example")
		expect(code == "4.3.1" and "disk full" in words, f"{code} {words}")
		s.send("dave@demo.example")
		code, words = s.event("deferred", "dave@demo.example")
		expect(code.startswith("4.3.") and "Read-only file system" in words, f"{code} {words}")
		s.send("alice@demo.example", text="Subject: x\r\n\r\n" + ("x" * 70 + "\r\n") * 12000)
		s.event("delivered", "alice@demo.example")
		s.send("alice@demo.example", text="Subject: y\r\n\r\n" + ("x" * 70 + "\r\n") * 12000)
		code, words = s.event("deferred", "alice@demo.example")
		expect(code == "4.2.2" and "it may hold 1048576 bytes" in words, f"{code} {words}")
		s.honest_mail("bob")


# ---- commands and files of aliases ----

def command():
	"""What it gets: who it is, where, its environment, its input; and what it does not get."""
	script = '"|/bin/sh -c \'{ id -u; id -Gn; pwd; env | sort; ls /proc/self/fd | tr \\"\\\\n\\" \\" \\"; echo; ulimit -c; cat; } >PLACE/dave/out\'"'
	with Site(aliases=f"prog: {script}\n") as s:
		s.send('prog+tag.x@demo.example', sender='"() { :;}; id"@client.example')
		s.event("delivered", "prog+tag.x@demo.example")
		out = s.read("dave/out")
		lines = out.splitlines()
		expect(lines[:3] == [str(DAVE), "dave", s.path("dave")], out)
		env = dict(line.split("=", 1) for line in lines[3:] if re.match(r"[A-Z]+=", line))
		wanted = {"HOME": s.path("dave"), "USER": "dave", "LOGNAME": "dave", "SHELL": "/bin/sh", "LANG": "C",
			"PATH": "/usr/local/bin:/usr/bin:/bin", "RECIPIENT": "prog+tag.x@demo.example", "LOCAL": "prog+tag.x", "EXTENSION": "tag.x",
			"DOMAIN": "demo.example"}
		expect({k: env.get(k) for k in wanted} == wanted, env)
		expect(set(env) - set(wanted) <= {"SENDER", "PWD", "TZ"} and not re.search(r"[(){};\" ]", env["SENDER"]), env)
		expect("0 1 2 3 " in out and "\n0\nFrom " in out, out)		# 3 is the folder that ls reads
		expect(re.search(r"\nFrom \S+ .*\nReturn-Path: .*\nDelivered-To: prog\+tag\.x@demo\.example\nReceived: ", out) and
			out.endswith("\n\nbody\n"), out)


def exits():
	"""Every code of sysexits.h, and some more."""
	with Site(aliases="".join(f"exit{code}: \"|/bin/sh -c 'echo because of {code}; exit {code}'\"\n" for code in EXITS)) as s:
		s.send(*(f"exit{code}@demo.example" for code in EXITS))
		for code, wanted in EXITS.items():
			event, enhanced = wanted.split()
			got, words = s.event(event, f"exit{code}@demo.example")
			expect(got == enhanced and f"because of {code}" in words, f"exit {code}: {got} {words}")


def signals():
	"""Dies by a signal; is not there; is a folder; needs no input."""
	with Site(aliases="dies: \"|/bin/sh -c 'kill -SEGV $$'\"\ngone: |/nonexistent/x\nfolder: |/etc\ntrue: |/bin/true\n") as s:
		big = "Subject: x\r\n\r\n" + ("x" * 70 + "\r\n") * 20000
		s.send("dies@demo.example", "gone@demo.example", "folder@demo.example", "true@demo.example", text=big)
		for name, event, code, words in (("dies", "deferred", "4.3.0", "ended by signal 11"), ("gone", "deferred", "4.3.5", "No such file"),
		    ("folder", "deferred", "4.3.5", "Permission denied"), ("true", "delivered", "2.0.0", "given to the command")):
			got, said = s.event(event, f"{name}@demo.example")
			expect(got == code and words in said, f"{name}: {got} {said}")


def hangs():
	"""ATTACKS 80: hangs, with a child that has left its session; and one that is left running."""
	mark = "98765432" + str(os.getpid())
	aliases = f"hang: \"|/bin/sh -c 'setsid sleep {mark} & setsid sleep {mark} & sleep {mark}'\"\n" + \
		f"leave: \"|/bin/sh -c 'setsid sleep {mark}1 >/dev/null 2>&1 & (sleep {mark}1 &) ; exit 0'\"\n"
	with Site(aliases=aliases) as s:
		s.send("leave@demo.example")
		s.event("delivered", "leave@demo.example")
		expect(not commands_of(mark), f"processes of a command that has ended are left: {commands_of(mark)}")
		s.send("hang@demo.example")
		s.wait_for(lambda: len(commands_of(mark)) >= 4, "the command does not run")
		s.honest_mail()
		s.move_clock(301)
		code, words = s.event("deferred", "hang@demo.example")
		expect(code == "4.3.0" and "took longer than 300 s" in words, f"{code} {words}")
		left = commands_of(mark)
		expect(not left, f"processes of a command that hung are left: {left}; " + "\n".join(s.log.lines[-12:]))


def slow_commands():
	"""More of them than there are places: mailboxes get their mail all the same."""
	mark = "76543219" + str(os.getpid())
	with Site(aliases=f"hang: |/bin/sleep {mark}\n") as s:
		for _ in range(45):
			s.send("hang@demo.example")
		s.wait_for(lambda: len(commands_of(mark)) == 10, "not as many run as may")
		s.honest_mail()
		expect(s.ask("queue", "pause", "command")[0].startswith("ok"), "commands cannot be paused")
		s.move_clock(301)
		s.wait_for(lambda: len(s.log.find("mda: .*took longer than 300 s")) >= 10 and not commands_of(mark), "they are not ended")


def mda_dies():
	"""With mda goes what it has run."""
	mark = "87654321" + str(os.getpid())
	with Site(aliases=f"hang: |/bin/sleep {mark}\n") as s:
		s.send("hang@demo.example")
		s.wait_for(lambda: commands_of(mark), "the command does not run")
		s.signal("mda")
		s.wait_for(lambda: not commands_of(mark), "the command outlives mda")


def stop_in_append(s, path, content):
	"""Sends it, and stops its delivery in the middle: the pid; None: it was faster than we are."""
	mda, size, pids = s.pids()["mda"], os.stat(path).st_size, []

	def children():
		with open(f"/proc/{mda}/task/{mda}/children") as f:
			return {int(pid) for pid in f.read().split()}
	others, end = children(), time.monotonic() + mt.DEADLINE
	sender = threading.Thread(target=s.send, args=("carol@demo.example",), kwargs={"text": content})
	sender.start()
	while os.stat(path).st_size == size and time.monotonic() < end:
		pass		# a fraction of a second, and within it the message is being written
	for pid in children() - others:
		os.kill(pid, signal.SIGSTOP)
		pids.append(pid)
	sender.join()
	with open(path) as f:
		f.seek(size)
		if pids and not f.read().endswith("end of it\n\n"):
			return pids[0]
	for pid in pids:
		os.kill(pid, signal.SIGCONT)
	return None


def queue_dies():
	"""In the middle of an append to an mbox: mda ends it, for nobody would hear of it, and the next delivery cuts off what it wrote."""
	with Site("mailbox = ~/mbox") as s:
		path, lines, whole = s.write("carol/mbox", "", CAROL, 0o600), 110000, 0
		content = "Subject: x\r\n\r\n" + ("x" * 70 + "\r\n") * lines + "end of it"
		while (pid := stop_in_append(s, path, content)) is None:
			whole += 1
			expect(whole < 10, "no delivery was met in the middle")
			s.log.wait(r"queue: msg=\w+ event=delivered to=carol@", count=whole)
		s.signal("queue")
		s.wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "mda goes on with what nobody hears of")
		text = s.read("carol/mbox")
		expect(text.count("end of it\n\n") == whole and not text.endswith("end of it\n\n") and os.path.exists(path + ".lock"),
			"nothing is torn: nothing was tested")
		s.move_clock(61)
		s.log.wait(r"queue: msg=\w+ event=delivered to=carol@", count=whole + 1)
		text = s.read("carol/mbox")
		expect(len(re.findall("^From ", text, re.M)) == text.count("end of it\n\n") == whole + 1 and
			text.count("x" * 70 + "\n") == lines * (whole + 1), f"{len(text)} bytes, {text.count('end of it')} of {whole + 1} messages")
		expect(not os.path.exists(path + ".lock"), "a lock is left")


def runner_dies():
	"""Without it mda starts anew, with another one."""
	with Site(aliases="prog: |/bin/true\n") as s:
		mda = s.pids()["mda"]
		with open(f"/proc/{mda}/task/{mda}/children") as f:
			os.kill(int(f.read()), 9)
		s.log.wait(r"event=died process=mda")
		s.move_clock(61)
		s.log.wait(r"event=restarted process=mda")
		s.send("prog@demo.example")
		s.event("delivered", "prog@demo.example")


def chatters():
	"""Says gigabytes: what is kept of it is little, and it is not waited for."""
	with Site(aliases="yes: \"|/bin/sh -c 'echo first; exec yes'\"\nsome: \"|/bin/sh -c 'yes | head -c 500000; exit 67'\"\n") as s:
		s.send("some@demo.example", "yes@demo.example")
		code, words = s.event("failed", "some@demo.example")
		expect(code == "5.1.1" and len(words) < 600, f"{code} {words}")
		code, words = s.event("deferred", "yes@demo.example")
		expect(code == "4.3.0" and "signal 13: first" in words, f"{code} {words}")


def files():
	"""A file of an alias: written as command_user, and as an mbox; links and others' files are not."""
	aliases = "log: PLACE/dave/log\nother: PLACE/carol/log\nlink: PLACE/dave/link\nnull: /dev/null\ndevice: /dev/full\n"
	with Site(aliases=aliases) as s:
		s.write("carol/log", "", CAROL, 0o666)
		os.symlink(s.write("carol/shared", "", CAROL, 0o666), s.path("dave/link"))
		s.send("log@demo.example", "null@demo.example")
		s.event("delivered", "log@demo.example")
		s.event("delivered", "null@demo.example")
		st = os.stat(s.path("dave/log"))
		expect(st.st_uid == DAVE and stat.S_IMODE(st.st_mode) == 0o600 and s.read("dave/log").startswith("From s@client"), s.read("dave/log"))
		s.send("other@demo.example", "link@demo.example", "device@demo.example")
		for name in ("other", "link", "device"):
			code, words = s.event("deferred", f"{name}@demo.example")
			expect(code in ("4.3.5", "4.3.0"), f"{name}: {code} {words}")
		expect(s.read("carol/log") == s.read("carol/shared") == "", "somebody else's file was written to")


def root_runs_nothing():
	with Site(aliases="prog: |/bin/true\nfile: PLACE/x\n") as s:
		with open(s.conf) as f:
			text = f.read()
		with open(s.conf, "w") as f:
			f.write(text.replace("command_user = dave", "command_user = root"))
		expect(s.ask("reload")[0] == "ok", "no reload")
		s.send("prog@demo.example", "file@demo.example")
		for name in ("prog", "file"):
			code, words = s.event("deferred", f"{name}@demo.example")
			expect(code == "4.3.5" and "root runs no commands" in words, f"{code} {words}")


def alias_changes():
	"""What an alias names when the mail's turn comes is what counts; what it does not name any more is not run."""
	with Site(aliases="prog: |/bin/sh -c 'exit 75'\n".replace("|/bin/sh -c 'exit 75'", "\"|/bin/sh -c 'exit 75'\"")) as s:
		s.send("prog@demo.example")
		s.event("deferred", "prog@demo.example")
		with open(os.path.join(s.folder, "aliases"), "w") as f:
			f.write("prog: |/bin/false\n")
		s.move_clock(900)
		code, words = s.event("failed", "prog@demo.example")
		expect(code == "5.3.0" and "does not name this any more" in words, f"{code} {words}")


# ---- ~/.forward ----

def forward():
	"""A mailbox, a command, a file, an address: each has its own fate, and all get the mail once."""
	with Site('trusted_networks = 127.0.0.1\nrelay "*" { host = "127.0.0.2:PORT" }'.replace("PORT", str(PEER.port))) as s:
		s.write("carol/.forward", f"\\carol, dave\n\"|/bin/sh -c 'cat >>{s.path('carol/seen')}; test -e {s.path('carol/ready')} || exit 75'\"\n"
			f"{s.path('carol/file')}\nfar@far.example # and away\n", CAROL)
		s.send("carol+t@demo.example")
		code, words = s.event("deferred", "carol+t@demo.example")
		expect(code == "4.3.0" and "exited with 75" in words, f"{code} {words}")
		s.wait_for(lambda: s.maildir("carol") and s.maildir("dave") and PEER.mails and os.path.exists(s.path("carol/file")), "not all have it")
		for text in (s.maildir("carol")[0], s.maildir("dave")[0], s.read("carol/file"), PEER.mails[-1][2].decode().replace("\r\n", "\n")):
			expect("\nDelivered-To: carol+t@demo.example\n" in "\n" + text, text)
		expect(os.stat(s.path("carol/file")).st_uid == CAROL, "the file is not carol's")
		s.write("carol/ready", "", CAROL)
		s.move_clock(900)
		s.event("delivered", "carol+t@demo.example")
		s.log.wait(r"what=\"given to the command\"")
		expect(len(s.maildir("carol")) == len(s.maildir("dave")) == 1 and s.read("carol/seen").count("Subject: x") == 2, "delivered twice")


def forward_unsafe():
	"""ATTACKS 81: a file that others may write to, a link, a FIFO, a huge one, somebody else's, with a mistake; ignored, and said."""
	with Site() as s:
		path = s.path("carol/.forward")

		def unsafe(words):
			mark, before = s.log.mark(), len(s.maildir("carol"))
			s.send("carol@demo.example")
			s.wait_for(lambda: len(s.maildir("carol")) == before + 1, f"{words}: no mail in the mailbox")
			s.log.wait(rf"event=forward-file to=carol@demo\.example what=.*{words}", mark)
			os.unlink(path)

		s.write("carol/.forward", "dave\n", CAROL, 0o646)
		unsafe("others may write")
		s.write("carol/.forward", "dave\n", CAROL, 0o664)
		os.chown(path, CAROL, DAVE)
		unsafe("others may write")
		s.write("carol/.forward", "dave\n", DAVE, 0o644)
		unsafe("belongs to somebody else")
		os.symlink(s.write("dave/list", "dave\n", CAROL), path)
		unsafe("symbolic link")
		os.mkfifo(path)
		os.chown(path, CAROL, CAROL)
		unsafe("not a regular file")
		s.write("carol/.forward", "dave\n" * 4000, CAROL)
		unsafe("larger than 16 KiB")
		s.write("carol/.forward", "dave\n" * 200, CAROL)
		unsafe("more than 100 targets")
		s.write("carol/.forward", "dave, |cmd | more\n", CAROL)
		unsafe("no shell reads it")
		s.write("carol/.forward", ":include:/etc/shadow\n", CAROL)
		unsafe("lists are for aliases")
		os.chmod(s.path("carol"), 0o777)
		s.write("carol/.forward", "dave\n", CAROL)
		unsafe("others may write")
		os.chmod(s.path("carol"), 0o755)
		s.write("carol/.forward", "# nothing\n\n", CAROL)
		s.send("carol@demo.example")
		s.wait_for(lambda: len(s.maildir("carol")) == 11, "an empty file is not none")
		expect(s.maildir("dave") == [], "dave got mail")


def forward_user_group():
	"""Debian's umask 002 with a group of one's own is no danger."""
	with Site() as s:
		s.write("carol/.forward", "dave\n", CAROL, 0o664)
		s.send("carol@demo.example")
		s.wait_for(lambda: len(s.maildir("dave")) == 1, "it was not forwarded")


def forward_off():
	with Site("forward_files = no") as s:
		s.write("carol/.forward", "dave\n", CAROL)
		s.send("carol@demo.example")
		s.wait_for(lambda: len(s.maildir("carol")) == 1, "no mail in the mailbox")


def forward_loops():
	"""Between two users: the sender hears of it. To oneself by an alias: it is one's own copy."""
	with Site(aliases="back: carol\n") as s:
		s.write("carol/.forward", "dave\n", CAROL)
		s.write("dave/.forward", "carol\n", DAVE)
		s.send("carol@demo.example", sender="alice@demo.example")
		expect(s.event("failed", "carol@demo.example")[0] == "5.4.6", "no loop")
		s.wait_for(lambda: any("5.4.6" in m.decode() for m in s.mailbox("alice")), "alice has no report")
		s.write("carol/.forward", "back, \\carol\n", CAROL)
		s.send("carol@demo.example")
		s.wait_for(lambda: len(s.maildir("carol")) == 1, "carol's own copy")
		s.log.wait(r"event=expanded to=back@demo\.example n=0")
		s.write("carol/.forward", "carol+news\n", CAROL)
		s.send("carol@demo.example")
		s.wait_for(lambda: len(s.maildir("carol")) == 2, "a tag of one's own is no loop")


def forward_between_hosts():
	"""carol here forwards to a host whose alias brings it back."""
	with Site("trusted_networks = 127.0.0.1", start=False) as s:
		with mt.Server('trusted_networks = 127.0.0.1\n', aliases="x: carol@demo.example\n", start=False,
		    replace={"domains": '"b.example"', "hostname": '"b.example"'}) as b:
			s.start()
			with open(b.conf, "a") as f:
				f.write(f'relay "demo.example" {{ host = "127.0.0.1:{s.address[1]}" }}\n')
			b.start()
			with open(s.conf, "a") as f:
				f.write(f'relay "b.example" {{ host = "127.0.0.1:{b.address[1]}" }}\n')
			expect(s.ask("reload")[0] == "ok", "no reload")
			s.write("carol/.forward", "x@b.example\n", CAROL)
			s.send("carol@demo.example", sender="alice@demo.example")
			expect(s.event("failed", "carol@demo.example")[0] == "5.4.6", "no loop")
			s.wait_for(lambda: any("5.4.6" in m.decode() for m in s.mailbox("alice")), "alice has no report")


def forward_large():
	"""A large message is another one with the same content."""
	with Site() as s:
		s.write("carol/.forward", "dave, \\carol\n", CAROL)
		body = "".join(f"line {i:070}\r\n" for i in range(5000))
		s.send("carol@demo.example", text="Subject: x\r\n\r\n" + body.rstrip("\r\n"))
		s.wait_for(lambda: len(s.maildir("dave")) == len(s.maildir("carol")) == 1, "not both have it")
		for user in ("dave", "carol"):
			expect(s.maildir(user)[0].split("\n\n", 1)[1] == body.replace("\r\n", "\n"), f"{user}'s is not whole")


# ---- senders ----

def srs():
	"""A stranger's mail that is forwarded has a sender of ours, and bounces to that go back to him; nothing else does."""
	with Site('trusted_networks = 127.0.0.1\nsrs_secrets = PLACE/secrets\nrelay "*" { host = "127.0.0.2:PORT" }'.replace("PORT", str(PEER.port)),
	    aliases="away: x@far.example, alice\n", start=False) as s:
		s.write("secrets", "first secret\nolder secret\n", 0, 0o600)
		s.start()
		n = len(PEER.mails)
		s.send("away@demo.example", sender="anna@far.example")
		s.wait_for(lambda: len(PEER.mails) > n, "nothing was forwarded")
		rewritten = re.search(r"<(.*?)>", PEER.mails[-1][0]).group(1)
		expect(re.fullmatch(r"SRS0=\w{6}=\w\w=far\.example=anna@demo\.example", rewritten), rewritten)
		expect("Return-Path: <anna@far.example>" in s.wait_mail("alice")[0].decode(), "the local copy's sender was rewritten")
		s.send("away@demo.example", sender="bob@demo.example")
		s.wait_for(lambda: len(PEER.mails) > n + 1, "nothing was forwarded")
		expect("<bob@demo.example>" in PEER.mails[-1][0], "our own sender was rewritten")
		s.send("y@far.example", "away@demo.example", sender="anna@far.example")
		s.wait_for(lambda: len(PEER.mails) > n + 3, "two different senders, two mails")
		expect({"SRS0" in m[0] for m in PEER.mails[-2:]} == {True, False}, PEER.mails[-2:])
		n = len(PEER.mails)
		s.send(rewritten, sender="")
		s.wait_for(lambda: len(PEER.mails) > n, "the bounce did not go back")
		expect(PEER.mails[-1][1] == ["anna@far.example"], PEER.mails[-1])
		with mt.Client(s.address) as c:
			c.expect(220)
			c.say("HELO client.example", 250)
			c.say("MAIL FROM:<>", 250)
			c.say(f"RCPT TO:<{rewritten.replace('anna', 'bert')}>", 550)
			c.say("RSET", 250)
			c.say("MAIL FROM:<s@client.example>", 250)
			c.say(f"RCPT TO:<{rewritten}>", 550, "bounces only")
			c.say("QUIT", 221)


def srs_secrets_unsafe():
	with Site("srs_secrets = PLACE/secrets", start=False) as s:
		s.write("secrets", "first secret\n", 0, 0o644)
		s.start()
		s.log.wait(r"event=srs-off file=\S*/secrets what=\"others may read it")
		s.honest_mail()


def owner():
	"""A list's mail comes from its owner from here on; without a sender it stays without."""
	with Site('trusted_networks = 127.0.0.1\nrelay "*" { host = "127.0.0.2:PORT" }'.replace("PORT", str(PEER.port)),
	    aliases="list: x@far.example, bob\nowner-list: alice\n") as s:
		n = len(PEER.mails)
		s.send("list@demo.example", sender="anna@far.example")
		s.wait_for(lambda: len(PEER.mails) > n, "nothing was sent")
		expect("<owner-list@demo.example>" in PEER.mails[-1][0], PEER.mails[-1])
		expect("Return-Path: <owner-list@demo.example>" in s.wait_mail("bob")[0].decode(), "bob's copy")
		PEER.add("rcpt x1 reply 550 5.1.1 unknown")
		s.send("list@demo.example", sender="anna@far.example")
		s.wait_for(lambda: any("5.1.1" in m.decode() for m in s.mailbox("alice")), "the owner has no report")
		n = len(PEER.mails)
		s.send("list@demo.example", sender="")
		s.wait_for(lambda: len(PEER.mails) > n, "nothing was sent")
		expect("<>" in PEER.mails[-1][0], PEER.mails[-1])


# ---- LMTP ----

def lmtp_socket():
	"""By a socket in the file system, which delivery cannot see: master connects. By BDAT, too; and when nobody is there."""
	with Site("lmtp = PLACE/lmtp", aliases="prog: |/bin/true\n") as s:
		s.send("carol@demo.example")
		s.log.wait(r"event=deferred to=carol@demo\.example hop=lmtp:\S+ .*status=4\.4\.1 .*No such file or directory")
		server = sink.Sink(s.path("lmtp"), 0, ["lmtp", "extensions PIPELINING,CHUNKING,8BITMIME,ENHANCEDSTATUSCODES"])
		try:
			s.move_clock(900)
			s.wait_for(lambda: len(server.mails) == 1, "carol's mail did not come")
			server.add("dot x1 reply 550 5.2.1 closed")
			s.send("dave@demo.example", "carol+x@demo.example", text="Subject: x\r\n\r\n" + ("x" * 70 + "\r\n") * 3000)
			s.log.wait(r"event=failed to=dave@demo\.example .*status=5\.2\.1")
			s.wait_for(lambda: len(server.mails) == 2 and server.mails[-1][1] == ["carol+x@demo.example"], "carol's second mail")
			expect(server.mails[-1][2].count(b"x" * 70) == 3000, "it is not whole")
			expect(any(c.startswith("BDAT") for c in server.seen), server.seen)
			s.send("prog@demo.example", "root@demo.example")
			s.event("delivered", "prog@demo.example")
			s.event("delivered", "root@demo.example")
			with mt.Client(s.address) as c:
				c.expect(220)
				c.say("HELO client.example", 250)
				c.say("MAIL FROM:<>", 250)
				c.say("RCPT TO:<nosuch@demo.example>", 550)
				c.say("QUIT", 221)
			# What waits for it goes to the mailbox here when that is what the configuration says by then.
			server.add("rcpt reply 451 4.2.0 not now")
			s.send("dave@demo.example", text="Subject: fourth\r\n\r\nx")
			s.log.wait(r"event=deferred to=dave@demo\.example hop=lmtp:\S+ .*code=451")
			with open(s.conf) as f:
				text = f.read()
			with open(s.conf, "w") as f:
				f.write(text.replace("lmtp = ", "#lmtp = "))
			expect(s.ask("reload")[0] == "ok", "no reload")
			s.wait_for(lambda: any("Subject: fourth" in m for m in s.maildir("dave")), "it does not go another way")
		finally:
			server.close()


def lmtp_misbehaves():
	"""It knows no LHLO; closes between two replies; says more, or less, than it was asked for."""
	with Site("lmtp = PLACE/lmtp") as s:
		server = sink.Sink(s.path("lmtp"), 0, [])
		try:
			s.send("carol@demo.example")
			s.log.wait(r"event=deferred to=carol@demo\.example .*code=500")
			server.lmtp = True
			s.move_clock(900)
			s.wait_for(lambda: len(server.mails) == 1, "carol's mail did not come")
			server.add("dot x1 reply 250 first")
			server.add("dot x1 close")
			s.send("carol@demo.example", "dave@demo.example")
			s.log.wait(r"event=delivered to=carol@demo\.example .*reply=first")
			s.log.wait(r"event=deferred to=dave@demo\.example .*may be repeated")
			s.move_clock(1800)
			s.wait_for(lambda: server.mails[-1][1] == ["dave@demo.example"], "dave's mail did not come")
			server.add("dot x1 reply 250 one\\r\\n250 two")
			s.send("carol@demo.example")
			s.log.wait(r"event=delivered to=carol@demo\.example .*reply=one")
			n = len(server.mails)
			s.send("dave@demo.example")
			s.wait_for(lambda: len(server.mails) > n, "the next mail did not come")
		finally:
			server.close()


TESTS = (mbox, mbox_locked, mbox_torn, mbox_links, folders, full, command, exits, signals, hangs, slow_commands, mda_dies, queue_dies, runner_dies,
	chatters, files, root_runs_nothing, alias_changes, forward, forward_unsafe, forward_user_group, forward_off, forward_loops, forward_between_hosts,
	forward_large, lmtp_socket, lmtp_misbehaves, srs, srs_secrets_unsafe, owner)
PEER = None


def main():
	global PEER
	options = argparse.ArgumentParser(description="Deliveries to users of this machine.")
	options.add_argument("-v", action="store_true")
	options.add_argument("names", nargs="*")
	options = options.parse_args()
	report = mt.Report(options.v)
	if os.geteuid() != 0:
		report.fail("rights", "these tests need root")
		return report.finish()
	PEER = sink.Sink("127.0.0.2", 0)
	for test in TESTS:
		if not options.names or test.__name__ in options.names:
			report.case(test.__name__, test)
	PEER.close()
	return report.finish()


if __name__ == "__main__":
	sys.exit(main())
