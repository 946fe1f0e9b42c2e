"""
What every test that runs the real server stands on: starts a master with a configuration of its own below build/, on
ports that the kernel chose, reads its log through a pipe, sets its clock, speaks SMTP with it, and looks into its
mailboxes and processes. Standard library only. Nothing here sleeps: every wait is for an event, with a deadline.

From the environment: MINIMTA_BIN, the folder of programs (build/plain/bin); MINIMTA_TMP, where temporary folders go.
"""
import glob
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BIN = os.environ.get("MINIMTA_BIN") or os.path.join(TOP, "build/plain/bin")
SANITIZED = "/san/" in BIN + "/"
DEADLINE = 180		# seconds, for anything that is expected to happen: it only ends what hangs
CHILDREN = ("smtpd", "resolver", "lookup", "queue", "delivery", "mda", "logger")
DOMAIN = "demo.example"
# Lines that no test may leave behind, whatever else it asserts.
FORBIDDEN = re.compile(r"AddressSanitizer|LeakSanitizer|runtime error:|event=seccomp")


class Failed(Exception):
	"""What a test expected did not happen."""


def run(command, check=True, **more):
	more.setdefault("stdout", subprocess.PIPE)
	more.setdefault("stderr", subprocess.STDOUT)
	done = subprocess.run(command, text=True, errors="replace", stdin=subprocess.DEVNULL, **more)
	if check and done.returncode != 0:
		said = "\n".join((done.stdout or "").splitlines()[-25:])
		raise Failed(f"{' '.join(command)}: exit {done.returncode}\n{said}")
	return done


def reachable(path):
	"""Whether other users may pass through every folder above."""
	while path != "/":
		if os.path.isdir(path) and not os.stat(path).st_mode & 0o001:
			return False
		path = os.path.dirname(path)
	return True


def temporary(prefix="t-"):
	"""A new folder that every process of minimta can reach: below build/, else below /var/tmp."""
	base = os.environ.get("MINIMTA_TMP") or os.path.join(TOP, "build/tests/tmp")
	try:
		os.makedirs(base, exist_ok=True)
	except PermissionError:
		base = "/var/tmp"
	if not os.access(base, os.W_OK) or (os.geteuid() == 0 and not reachable(base)):
		base = "/var/tmp"
	path = tempfile.mkdtemp(prefix=prefix, dir=base)
	os.chmod(path, 0o755)
	return path


class Lines:
	"""Lines as they come from a pipe, for any number of readers that wait for one."""

	def __init__(self, stream):
		self.lines = []
		self.changed = threading.Condition()
		self.closed = False
		threading.Thread(target=self.read, args=(stream,), daemon=True).start()

	def read(self, stream):
		for line in stream:
			with self.changed:
				self.lines.append(line.rstrip("\n"))
				self.changed.notify_all()
		stream.close()
		with self.changed:
			self.closed = True
			self.changed.notify_all()

	def mark(self):
		with self.changed:
			return len(self.lines)

	def find(self, regex, since=0):
		return [m for m in (re.search(regex, line) for line in self.lines[since:]) if m]

	def wait(self, regex, since=0, count=1, deadline=None):
		"""The count-th match since a mark; Failed when the stream ends or the deadline passes first."""
		found = []

		def look():
			found[:] = self.find(regex, since)
			return len(found) >= count or self.closed
		with self.changed:
			self.changed.wait_for(look, deadline or DEADLINE)
			if len(found) >= count:
				return found[count - 1]
			raise Failed(f"no log line {regex!r}" + (" (the log has ended)" if self.closed else "") +
				"; the last ones:\n" + "\n".join(self.lines[-12:]))

	def wait_for(self, question, what, deadline=None):
		"""Asks again after every line, and now and then between lines, until the question says yes."""
		end = time.monotonic() + (deadline or DEADLINE)
		with self.changed:
			while True:
				answer = question()
				if answer:
					return answer
				left = end - time.monotonic()
				if left <= 0:
					raise Failed(f"{what}; the last log lines:\n" + "\n".join(self.lines[-12:]))
				self.changed.wait(min(left, 0.02))


class Server:
	"""
	One minimta. `config` is text that follows (and so may not repeat) the generated settings; settings in `replace`
	take the place of generated ones. `users` are virtual mailboxes at demo.example. With `folder` an earlier server's
	files are used again, spool and all.
	"""

	def __init__(self, config="", replace=None, aliases="", users=("alice", "bob"), folder=None, env=None,
	    clock=True, start=True, command=(), listen="127.0.0.1:0", spool=None):
		self.bin = BIN
		self.folder = folder or temporary()
		self.own_folder = folder is None
		self.command = list(command)
		# Leaks are looked for in the unit tests: here /proc, which that takes, is outside the chroot.
		self.env = {"ASAN_OPTIONS": "detect_leaks=0", **os.environ, "MINIMTA_SECCOMP": "log", **(env or {})}
		self.clock_offset = self.wall_offset = 0
		self.clock_allowed = clock
		self.child = None
		self.log = None
		self.mail = os.path.join(self.folder, "mail")
		self.spool = spool or os.path.join(self.folder, "spool")
		self.control = os.path.join(self.folder, "run/control")
		self.settings = {
			"hostname": '"mx.demo.example"',
			"domains": f'{{"{DOMAIN}"}}',
			"listen": f'{{"{listen}"}}',
			"virtual_directory": f'"{self.mail}"',
			"aliases": f'"{self.folder}/aliases"',
			"spool": f'"{self.spool}"',
			"state": f'"{self.folder}/state"',
			"control": f'"{self.control}"',
			"empty_directory": f'"{self.folder}/run/empty"',
			"log_to": '"stderr"',
			# Whole streams of mail come from this one address; the dialogs have the defaults.
			"network_connection_rate": "0",
			"network_message_rate": "0",
			"network_recipient_rate": "0",
			# A stranger's session waits and is judged only in tests about that.
			"filters": "no",
		}
		if os.geteuid() != 0:
			import pwd
			self.settings["virtual_user"] = f'"{pwd.getpwuid(os.geteuid()).pw_name}"'
		self.settings.update(replace or {})
		self.write_files(config, aliases, users)
		if start:
			self.start()

	def write_files(self, config, aliases, users):
		for name in ("state", "run/empty"):
			os.makedirs(os.path.join(self.folder, name), exist_ok=True)
		os.chmod(os.path.join(self.folder, "run/empty"), 0o755)
		os.makedirs(self.spool, exist_ok=True)
		for user in users:
			os.makedirs(os.path.join(self.mail, DOMAIN, user), exist_ok=True)
		if os.geteuid() == 0:
			import pwd
			owner = pwd.getpwnam("_minimta_virtual")
			for path, _, _ in os.walk(self.mail):
				os.chown(path, owner.pw_uid, owner.pw_gid)
			owner = pwd.getpwnam("_minimta_queue")
			os.chown(self.spool, owner.pw_uid, owner.pw_gid)
			os.chmod(self.spool, 0o700)
			owner = pwd.getpwnam("_minimta_lookup")
			os.chown(os.path.join(self.folder, "state"), owner.pw_uid, owner.pw_gid)
		with open(os.path.join(self.folder, "aliases"), "w") as f:
			f.write(aliases)
		self.conf = os.path.join(self.folder, "minimta.conf")
		with open(self.conf, "w") as f:
			for name, value in self.settings.items():
				if value is not None:
					f.write(f"{name} = {value}\n")
			f.write(config if config.endswith("\n") or not config else config + "\n")

	def start(self, wait=True):
		arguments = [os.path.join(self.bin, "minimta"), "-f", "-c", self.conf]
		if self.clock_allowed:
			arguments.append("-T")
		self.child = subprocess.Popen(self.command + arguments, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
			stderr=subprocess.PIPE, text=True, errors="replace", env=self.env)
		self.log = Lines(self.child.stderr)
		if wait:
			self.wait_ready()

	def wait_ready(self, since=0):
		self.log.wait(r"event=ready\b", since)
		self.addresses = []
		for found in self.log.find(r"event=listen address=\"?(\S+?):(\d+)\"?(\s|$)", since):
			self.addresses.append((found.group(1).strip("[]"), int(found.group(2))))
		if self.clock_offset or self.wall_offset:
			self.set_clock(self.clock_offset)

	@property
	def address(self):
		return self.addresses[0]

	def ask(self, *words):
		"""One command to the control socket: (first line, body)."""
		with socket.socket(socket.AF_UNIX) as s:
			s.settimeout(DEADLINE)
			s.connect(self.control)
			s.sendall("\t".join(words).encode() + b"\n")
			data = b""
			while True:
				piece = s.recv(65536)
				if not piece:
					break
				data += piece
		first, _, body = data.decode(errors="replace").partition("\n")
		return first, body

	def set_clock(self, offset_ms, wall_ms=None):
		"""All time; the wall clock alone differs from it by wall_ms, from then on."""
		self.clock_offset = offset_ms
		self.wall_offset = self.wall_offset if wall_ms is None else wall_ms
		first, _ = self.ask("clock", str(offset_ms), str(self.wall_offset))
		if first != "ok":
			raise Failed(f"clock: {first!r}")

	def move_clock(self, seconds):
		self.set_clock(self.clock_offset + int(seconds * 1000))

	def at_rest(self):
		"""Whether no mail is on its way and nobody asks DNS: then a move of the clock takes nobody's deadline away."""
		busy = re.compile(r"^((delivery|mda) .*\bjobs|resolver .*\bopen)=[1-9]", re.M)
		idle = re.compile(r"^queue state=running .*\bexpanding=0 local=0 remote=0 .*\bincoming=0 ", re.M)
		mark = self.log.mark()
		said = [self.ask("status")[1] for _ in range(3)]
		return all(idle.search(s) and not busy.search(s) for s in said) and mark == self.log.mark()

	def hurry(self, step=0.5):
		"""In `with`: the clock runs ahead, so that what waits for its time comes soon."""
		return Hurry(self, step)

	def pids(self):
		"""{name: pid} of master and its children, from /proc."""
		found = {"minimta": self.child.pid}
		for path in glob.glob("/proc/[0-9]*/stat"):
			try:
				with open(path) as f:
					text = f.read()
			except OSError:
				continue
			name = text[text.index("(") + 1:text.rindex(")")]
			rest = text[text.rindex(")") + 2:].split()
			if int(rest[1]) == self.child.pid and rest[0] != "Z":
				found[name] = int(text.split()[0])
		return found

	def signal(self, process, number=signal.SIGKILL):
		os.kill(self.pids()[process], number)

	def kill(self):
		"""SIGKILL for all at once, as a power cut does but for what the kernel still has in its cache."""
		self.child.send_signal(signal.SIGSTOP)		# starts nobody anew meanwhile
		pids = list(self.pids().values())
		for pid in pids:
			try:
				os.kill(pid, signal.SIGKILL)
			except ProcessLookupError:
				pass
		self.child.wait()
		self.await_gone(pids)

	def await_gone(self, pids):
		self.log.wait_for(lambda: not any(alive(pid) for pid in pids), "processes outlive their master")

	def stop(self, check=True):
		"""SIGTERM, and what every test asserts of the log and the exit."""
		if self.child is None:
			return
		pids = list(self.pids().values())
		if self.child.poll() is None:
			self.child.send_signal(signal.SIGTERM)
		try:
			code = self.child.wait(DEADLINE)
		except subprocess.TimeoutExpired:
			self.kill()
			raise Failed("master does not end on SIGTERM; the last log lines:\n" + "\n".join(self.log.lines[-12:]))
		self.await_gone(pids)
		self.log.wait_for(lambda: self.log.closed, "the log has not ended")
		self.child = None
		if not check:
			return
		bad = [line for line in self.log.lines if FORBIDDEN.search(line)]
		if bad:
			start = self.log.lines.index(bad[0])
			raise Failed("in the log:\n" + "\n".join(self.log.lines[start:start + 30]))
		if code != 0:
			raise Failed(f"master exits {code}; the last log lines:\n" + "\n".join(self.log.lines[-12:]))

	def close(self, check=True):
		"""Stops it and removes its files; a test that failed keeps them when MINIMTA_KEEP is set."""
		try:
			self.stop(check)
		finally:
			if self.child is not None and self.child.poll() is None:
				self.kill()
			if self.own_folder and not os.environ.get("MINIMTA_KEEP"):
				shutil.rmtree(self.folder, ignore_errors=True)

	def __enter__(self):
		return self

	def __exit__(self, kind, value, trace):
		self.close(check=kind is None)

	# Mailboxes.

	def mailbox(self, user):
		"""Every mail in a Maildir's new and cur, as bytes, oldest first; and what lies in tmp is not mail."""
		paths = []
		for sub in ("new", "cur"):
			for base in ("", "Maildir/"):
				paths += glob.glob(os.path.join(self.mail, DOMAIN, user, base + sub, "*"))
		mails = []
		for path in sorted(paths, key=lambda p: (os.stat(p).st_mtime_ns, p)):
			with open(path, "rb") as f:
				mails.append(f.read())
		return mails

	def wait_mail(self, user, count=1):
		self.log.wait_for(lambda: len(self.mailbox(user)) >= count,
			f"{user} has {len(self.mailbox(user))} mails, expected {count}")
		return self.mailbox(user)

	def honest_mail(self, user="alice"):
		"""What must work after everything else: a stranger's plain mail, in a session of its own, arrives whole."""
		mark = f"honest-{os.urandom(6).hex()}"
		with Client(self.address) as c:
			c.expect(220)
			for command, code in (("HELO honest.example", 250), ("MAIL FROM:<honest@honest.example>", 250),
			    (f"RCPT TO:<{user}@{DOMAIN}>", 250), ("DATA", 354),
			    (f"Subject: {mark}\r\n\r\n..dot\r\nlast line\r\n.", 250), ("QUIT", 221)):
				c.send(command + "\r\n")
				c.expect(code)
			c.expect_close()
		self.log.wait_for(lambda: any(mark.encode() in m for m in self.mailbox(user)), "the honest mail has not arrived")
		mail = [m for m in self.mailbox(user) if mark.encode() in m][0]
		body = mail.replace(b"\r\n", b"\n").split(b"\n\n", 1)[1]
		if body != b".dot\nlast line\n":
			raise Failed(f"the honest mail arrived as {body!r}")


def alive(pid):
	try:
		with open(f"/proc/{pid}/stat") as f:
			text = f.read()
		# A leader may be a zombie while a thread is still in the disk, with every file open.
		return text[text.rindex(")") + 2] != "Z" or len(os.listdir(f"/proc/{pid}/task")) > 1
	except OSError:
		return False


class Hurry:
	"""Moves a server's clock on by a step, again and again, from a thread of its own."""

	def __init__(self, server, step):
		self.server, self.step = server, step
		self.over = threading.Event()
		self.thread = threading.Thread(target=self.run, daemon=True)

	def run(self):
		while not self.over.wait(0.01):
			self.server.move_clock(self.step)

	def __enter__(self):
		self.thread.start()

	def __exit__(self, kind, value, trace):
		self.over.set()
		self.thread.join()


class Client:
	"""One SMTP connection, seen byte by byte."""

	def __init__(self, address, source=None):
		self.sock = socket.create_connection(address, DEADLINE, source and (source, 0))
		self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
		self.data = b""
		self.ended = False

	def send(self, data):
		"""May find the other side gone: what it said before is still to be read."""
		if isinstance(data, str):
			data = data.encode("utf-8", "surrogateescape")
		try:
			self.sock.sendall(data)
		except (BrokenPipeError, ConnectionResetError):
			pass

	def more(self):
		try:
			piece = self.sock.recv(65536)
		except ConnectionResetError:
			piece = b""
		except socket.timeout:
			raise Failed(f"silence; received so far: {self.data!r}")
		if not piece:
			self.ended = True
		self.data += piece
		return bool(piece)

	def line(self):
		while b"\n" not in self.data:
			if not self.more():
				raise Failed(f"the connection was closed; before that: {self.data!r}")
		line, self.data = self.data.split(b"\n", 1)
		if not line.endswith(b"\r"):
			raise Failed(f"a reply line ends with a bare LF: {line!r}")
		line = line[:-1]
		if len(line) > 510:
			raise Failed(f"a reply line of {len(line) + 2} bytes")
		if re.search(rb"[^\x20-\x7e]", line) and not self.utf8(line):
			raise Failed(f"a reply line with control characters: {line!r}")
		return line.decode()

	@staticmethod
	def utf8(line):
		try:
			return line.decode().isprintable()
		except UnicodeDecodeError:
			return False

	def reply(self):
		"""(code, [text of each line]) of one reply, whose lines must agree on the code."""
		lines, code = [], None
		while True:
			line = self.line()
			m = re.fullmatch(r"([2-5]\d\d)([ -])(.*)", line)
			greeting_cut = code == 220 and m and m.group(1)[0] in "45"	# it was to be a greeting, and ends otherwise
			if not m or (code is not None and code != int(m.group(1)) and not greeting_cut):
				raise Failed(f"not a reply: {line!r}")
			code = int(m.group(1))
			lines.append(m.group(3))
			if m.group(2) == " ":
				return code, lines

	def expect(self, code, text=None):
		got, lines = self.reply()
		if got != code or (text and not re.search(text, "\n".join(lines), re.M)):
			raise Failed(f"expected {code}{' ' + text if text else ''}, got {got} " + " / ".join(lines))
		return lines

	def say(self, command, code, text=None):
		self.send(command + "\r\n")
		return self.expect(code, text)

	def expect_close(self):
		while not self.ended:
			if self.data:
				raise Failed(f"expected a close, got {self.data!r}")
			self.more()

	def reset(self):
		"""Vanishes with RST, as a machine that lost power and came back does."""
		self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
		self.sock.close()

	def __enter__(self):
		return self

	def __exit__(self, *_):
		self.sock.close()


class Report:
	"""Counts test cases and tells the failed ones; `verbose` tells the others too."""

	def __init__(self, verbose=False):
		self.verbose = verbose
		self.passed = 0
		self.failed = []
		self.lock = threading.Lock()

	def ok(self, name, took=None):
		with self.lock:
			self.passed += 1
			if self.verbose:
				print(f"ok      {name}" + (f" ({took:.1f} s)" if took is not None else ""), flush=True)

	def fail(self, name, why):
		with self.lock:
			self.failed.append(name)
			print(f"FAILED  {name}\n        " + str(why).replace("\n", "\n        "), flush=True)

	def case(self, name, test, *arguments):
		"""Runs one test case; whatever it raises is its failure."""
		started = time.monotonic()
		try:
			test(*arguments)
		except Failed as e:
			self.fail(name, e)
		except Exception as e:		# a broken test fails, the others go on
			where = e.__traceback__
			while where.tb_next:
				where = where.tb_next
			self.fail(name, f"{type(e).__name__}: {e} ({os.path.basename(where.tb_frame.f_code.co_filename)}:{where.tb_lineno})")
		else:
			self.ok(name, time.monotonic() - started)
			return True
		return False

	def finish(self):
		"""The last line, and the exit code."""
		print(f"{self.passed} passed, {len(self.failed)} failed", flush=True)
		return 1 if self.failed or self.passed == 0 else 0
