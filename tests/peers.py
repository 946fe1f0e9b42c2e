"""
The other side of the interop tests: programs that Debian has, each unpacked with all of its libraries into a root of
its own below build/peers and run there in a network namespace. Nothing is installed on the machine: apt-get only
downloads (with an empty package status, so that every library comes along), and dpkg-deb unpacks. What each program is
told, and at which address it is, stands in interop_hosts.py.

Two namespaces joined by a veth pair, with addresses of TEST-NET-1: minimta is "here", the others are "there".
Everything that was started ends, and the namespaces go, when close() is called.
"""
import concurrent.futures
import ctypes
import glob
import imaplib
import os
import re
import shutil
import signal
import smtplib
import socket
import stat
import subprocess

import minimta_test as mt

FOLDER = os.path.join(mt.TOP, "build", "peers")
ROOT = os.path.join(FOLDER, "postfix")		# this and PACKAGES: what unpack() does when it is told nothing
PACKAGES = ("postfix",)
MINIMTA = "192.0.2.10"
CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)

# Everybody whom any of the programs wants to be, and three who get mail.
USERS = (("root", 0, "/root"), ("nobody", 65534, "/nonexistent"), ("postfix", 2101, "/var/spool/postfix"),
	("bob", 2103, "/home/bob"), ("carol", 2104, "/home/carol"), ("dave", 2105, "/home/dave"), ("Debian-exim", 2106, "/var/spool/exim4"),
	("opensmtpd", 2107, "/var/lib/opensmtpd/empty"), ("opensmtpq", 2108, "/var/lib/opensmtpd/empty"),
	("dovecot", 2109, "/usr/lib/dovecot"), ("dovenull", 2110, "/nonexistent"))
GROUPS = "mail:x:8:\nnogroup:x:65534:\npostdrop:x:2102:\n"
MAILBOXES = ("bob", "carol", "dave")
# The services of postfix; the bench has them too.
MASTER_CF = """smtp inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""


def apt(archives, *words):
	status = os.path.join(FOLDER, "status")
	open(status, "w").close()
	return mt.run(["apt-get", "-o", f"Dir::State::status={status}", "-o", f"Dir::Cache::archives={archives}", "-o",
		"APT::Install-Recommends=0", "-o", "APT::Sandbox::User=root", "-y", "-qq", *words]).stdout


def download(archives, packages):
	"""(name, version) of all that they need, which is in the archives then."""
	wanted = re.findall(r"^Inst (\S+) (?:\[\S+\] )?\((\S+)", apt(archives, "-s", "install", *packages), re.M)
	apt(archives, "--download-only", "install", *packages)
	return wanted


def make_places(root):
	for name in ("bin", "sbin", "lib", "lib64"):
		os.makedirs(os.path.join(root, "usr", name), exist_ok=True)
		os.symlink("usr/" + name, os.path.join(root, name))
	for name in ("dev", "proc", "tmp", "etc", "root", "run", "var/log"):
		os.makedirs(os.path.join(root, name), exist_ok=True)
	for name, minor in (("null", 3), ("zero", 5), ("random", 8), ("urandom", 9)):
		os.mknod(os.path.join(root, "dev", name), 0o666 | stat.S_IFCHR, os.makedev(1, minor))
		os.chmod(os.path.join(root, "dev", name), 0o666)


def unpack(root=None, packages=None):
	"""Downloads and unpacks what is missing; a second call finds everything in place."""
	root, packages = root or ROOT, packages or PACKAGES
	done = os.path.join(root, ".unpacked")
	if os.path.exists(done) and open(done).read() == " ".join(packages):
		return
	shutil.rmtree(root, ignore_errors=True)
	archives = os.path.join(FOLDER, "archives")
	os.makedirs(os.path.join(archives, "partial"), exist_ok=True)
	try:
		wanted = download(archives, packages)
	except mt.Failed:		# a fresh machine has no package lists; an old one may have lists that name packages that are gone
		mt.run(["apt-get", "update", "-qq"])
		wanted = download(archives, packages)
	make_places(root)
	for name, version in wanted:
		package, = glob.glob(os.path.join(archives, f"{name}_{version.replace(':', '%3a')}_*.deb"))
		mt.run(["sh", "-c", 'dpkg-deb --fsys-tarfile "$0" | tar -x --keep-directory-symlink --exclude=./usr/share/doc'
			' --exclude=./usr/share/man --exclude=./usr/share/locale -C "$1"', package, root])
	with open(done, "w") as f:
		f.write(" ".join(packages))


def within(namespace):
	"""The beginning of a command that is to run there. (Not "ip netns exec": that changes mounts, which not every place allows.)"""
	return ["nsenter", f"--net=/run/netns/{namespace}"]


def connected(namespace, address, port, source):
	"""A TCP connection from inside a namespace: a socket belongs to the one in which its thread was when it made it."""
	def connect():
		with open(f"/run/netns/{namespace}") as f:
			if LIBC.setns(f.fileno(), CLONE_NEWNET) != 0:
				raise OSError(ctypes.get_errno(), f"setns {namespace}")
		return socket.create_connection((address, port), mt.DEADLINE, (source, 0) if source else None)
	with concurrent.futures.ThreadPoolExecutor(1) as thread:
		return thread.submit(connect).result()


class Smtp(smtplib.SMTP):
	"""Python's own client, in a namespace."""

	def __init__(self, namespace, address, source=None):
		self.way = namespace, address, 25, source
		super().__init__(address, 25, "client.example", mt.DEADLINE)

	def _get_socket(self, *_):
		return connected(*self.way)


class Imap(imaplib.IMAP4):
	def __init__(self, namespace, address):
		self.way = namespace, address, 143, None
		super().__init__(address)

	def _create_socket(self, *_):
		return connected(*self.way)


class Root:
	"""A folder with packages unpacked, in which programs run as if it were the whole machine."""

	def __init__(self, name, *packages):
		self.path = os.path.join(FOLDER, name)
		unpack(self.path, packages)
		self.write("etc/passwd", "".join(f"{n}:x:{i}:{i}::{h}:/bin/sh\n" for n, i, h in USERS))
		self.write("etc/group", GROUPS + "".join(f"{n}:x:{i}:\n" for n, i, _ in USERS if n != "nobody"))
		self.write("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")
		self.write("etc/hosts", "127.0.0.1 localhost\n")
		for user in MAILBOXES:
			self.fresh("home/" + user, user)

	def write(self, path, text, mode=0o644):
		path = os.path.join(self.path, path)
		os.makedirs(os.path.dirname(path), exist_ok=True)
		with open(path, "w") as f:
			f.write(text)
		os.chmod(path, mode)
		return path

	def fresh(self, path, user="root", group=None, mode=0o755):
		"""An empty folder, whatever was there before."""
		ids = {name: number for name, number, _ in USERS} | {"postdrop": 2102}
		path = os.path.join(self.path, path)
		shutil.rmtree(path, ignore_errors=True)
		os.makedirs(path)
		os.chown(path, ids[user], ids[group or user])
		os.chmod(path, mode)

	def command(self, *command):
		return ["chroot", self.path, *command]

	def mails(self, user):
		found = []
		for path in sorted(glob.glob(os.path.join(self.path, "home", user, "Maildir/new/*"))):
			with open(path, "rb") as f:
				found.append(f.read().replace(b"\r\n", b"\n"))
		return found


class Peers:
	"""Both namespaces, and whatever is started in them."""

	def __init__(self, addresses):
		self.here = f"mta-here-{os.getpid()}"
		self.there = f"mta-there-{os.getpid()}"
		self.children = []
		try:
			self.make_network(addresses)
		except BaseException:
			self.close()
			raise

	def make_network(self, addresses):
		a, b = f"mh{os.getpid()}", f"mt{os.getpid()}"
		for name in (self.here, self.there):
			mt.run(["ip", "netns", "add", name])
			mt.run([*within(name), "ip", "link", "set", "lo", "up"])
		mt.run(["ip", "link", "add", a, "netns", self.here, "type", "veth", "peer", "name", b, "netns", self.there])
		for name, link, own in ((self.here, a, (MINIMTA,)), (self.there, b, addresses)):
			for address in own:
				mt.run([*within(name), "ip", "address", "add", address + "/24", "dev", link])
			mt.run([*within(name), "ip", "link", "set", link, "up"])
		# Refused at once rather than waited for: nobody answers ARP for a host that is not there.
		mt.run([*within(self.here), "ip", "route", "add", "unreachable", "192.0.2.99/32"])

	def start(self, namespace, command):
		"""Runs it in a session of its own; returns its output as lines."""
		child = subprocess.Popen([*within(namespace), *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
			stdin=subprocess.DEVNULL, text=True, errors="replace", start_new_session=True)
		self.children.append(child)
		return mt.Lines(child.stdout)

	def follow(self, path):
		"""The lines of a file, as they come."""
		return self.start(self.there, ["tail", "-n", "+1", "-f", path])

	def close(self):
		for child in reversed(self.children):
			self.signal(child, signal.SIGTERM)
		for child in self.children:
			try:
				child.wait(5)
			except subprocess.TimeoutExpired:
				self.signal(child, signal.SIGKILL)
				child.wait()
		for name in (self.here, self.there):
			mt.run(["ip", "netns", "delete", name], check=False)

	@staticmethod
	def signal(child, number):
		try:
			os.killpg(child.pid, number)
		except ProcessLookupError:
			pass
