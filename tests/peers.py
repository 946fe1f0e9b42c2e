"""
The other side of the interop tests: Debian's postfix as a mail server and knot as a name server, unpacked below
build/peers into a root of their own and run in a network namespace. Nothing is installed on the machine: apt-get only
downloads (with an empty package status, so that every library comes along), and dpkg-deb unpacks.

Two namespaces joined by a veth pair, addresses of TEST-NET-1: minimta runs in "here" as 192.0.2.10, postfix in
"there" as 192.0.2.20 and knot as 192.0.2.53. Everything goes when close() is called.
"""
import fcntl
import glob
import os
import shutil
import signal
import stat
import subprocess
import threading

import minimta_test as mt

FOLDER = os.path.join(mt.TOP, "build", "peers")
ROOT = os.path.join(FOLDER, "root")
PACKAGES = ("postfix", "knot")
MINIMTA, POSTFIX, DNS = "192.0.2.10", "192.0.2.20", "192.0.2.53"

# Accounts that postfix wants, and bob, whose mail it takes.
PASSWD = """root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
postfix:x:2101:2101::/var/spool/postfix:/usr/sbin/nologin
bob:x:2103:2103::/home/bob:/usr/sbin/nologin
"""
GROUP = """root:x:0:
nogroup:x:65534:
postfix:x:2101:
postdrop:x:2102:
bob:x:2103:
"""
MAIN_CF = """compatibility_level = 3.6
maillog_file = /var/log/mail.log
myhostname = postfix.there.example
mydomain = there.example
mydestination = there.example, postfix.there.example, localhost
mynetworks = 127.0.0.0/8, 192.0.2.20/32
inet_interfaces = 192.0.2.20
inet_protocols = ipv4
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
local_recipient_maps =
home_mailbox = Maildir/
alias_maps =
alias_database =
smtputf8_enable = yes
minimal_backoff_time = 1s
queue_run_delay = 1s
"""
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
ZONES = {
	"here.example": f"""@ 60 SOA ns.here.example. root.here.example. 1 60 60 60 60
@ 60 NS ns
ns 60 A {DNS}
@ 60 MX 10 mx
mx 60 A {MINIMTA}
""",
	"there.example": f"""@ 60 SOA ns.there.example. root.there.example. 1 60 60 60 60
@ 60 NS ns
ns 60 A {DNS}
@ 60 MX 20 postfix
@ 60 MX 10 gone
gone 60 A 192.0.2.99
postfix 60 A {POSTFIX}
null 60 MX 0 .
closed 60 MX 10 postfix
alias 60 CNAME postfix
""",
}


def unpack():
	"""Downloads and unpacks what is missing; a second call finds everything in place."""
	os.makedirs(FOLDER, exist_ok=True)
	with open(os.path.join(FOLDER, "one-at-a-time"), "w") as lock:
		fcntl.flock(lock, fcntl.LOCK_EX)
		done = os.path.join(FOLDER, "unpacked-" + "-".join(PACKAGES))
		if not os.path.exists(done):
			unpack_all()
			open(done, "w").close()


def unpack_all():
	shutil.rmtree(ROOT, ignore_errors=True)
	archives = os.path.join(FOLDER, "archives")
	os.makedirs(os.path.join(archives, "partial"), exist_ok=True)
	status = os.path.join(FOLDER, "status")
	open(status, "w").close()
	mt.run(["apt-get", "-o", f"Dir::State::status={status}", "-o", f"Dir::Cache::archives={archives}",
		"-o", "APT::Install-Recommends=0", "-o", "APT::Sandbox::User=root", "-y", "-qq", "--download-only", "install", *PACKAGES])
	for name in ("bin", "sbin", "lib", "lib64"):
		os.makedirs(os.path.join(ROOT, "usr", name), exist_ok=True)
		os.symlink("usr/" + name, os.path.join(ROOT, name))
	for name in ("dev", "proc", "tmp", "etc", "root", "var/log"):
		os.makedirs(os.path.join(ROOT, name), exist_ok=True)
	for name, minor in (("null", 3), ("zero", 5), ("random", 8), ("urandom", 9)):
		os.mknod(os.path.join(ROOT, "dev", name), 0o666 | stat.S_IFCHR, os.makedev(1, minor))
		os.chmod(os.path.join(ROOT, "dev", name), 0o666)
	for package in sorted(glob.glob(os.path.join(archives, "*.deb"))):
		mt.run(["sh", "-c", 'dpkg-deb --fsys-tarfile "$0" | tar -x --keep-directory-symlink -C "$1"', package, ROOT])


def within(namespace):
	"""The beginning of a command that is to run there. (Not "ip netns exec": that changes mounts, which not every place allows.)"""
	return ["nsenter", f"--net=/run/netns/{namespace}"]


def write(path, text, mode=0o644):
	path = os.path.join(ROOT, path)
	os.makedirs(os.path.dirname(path), exist_ok=True)
	with open(path, "w") as f:
		f.write(text)
	os.chmod(path, mode)


class Peers:
	"""Both namespaces, postfix and knot."""

	def __init__(self):
		unpack()
		self.here = f"mta-here-{os.getpid()}"
		self.there = f"mta-there-{os.getpid()}"
		self.children = []
		self.logs = {}
		self.changed = threading.Condition()
		try:
			self.make_network()
			self.make_files()
			self.start("knotd", ["/usr/sbin/knotd", "-c", "/etc/knot/test.conf"])
			self.wait_log("knotd", "server started")
			mt.run(["chroot", ROOT, "/usr/sbin/postalias", "-v", "/etc/aliases"], check=False)
			self.start("postfix", ["/usr/lib/postfix/sbin/master", "-s", "-c", "/etc/postfix"])
			self.follow_mail_log()
			self.wait_log("mail.log", "daemon started")
		except BaseException:
			self.close()
			raise

	def make_network(self):
		a, b = f"mh{os.getpid()}", f"mt{os.getpid()}"
		for name in (self.here, self.there):
			mt.run(["ip", "netns", "add", name])
			mt.run([*within(name), "ip", "link", "set", "lo", "up"])
		mt.run(["ip", "link", "add", a, "netns", self.here, "type", "veth", "peer", "name", b, "netns", self.there])
		for name, link, addresses in ((self.here, a, (MINIMTA,)), (self.there, b, (POSTFIX, DNS))):
			for address in addresses:
				mt.run([*within(name), "ip", "address", "add", address + "/24", "dev", link])
			mt.run([*within(name), "ip", "link", "set", link, "up"])
		# Refused at once rather than waited for: nobody answers ARP for a host that is not there.
		mt.run([*within(self.here), "ip", "route", "add", "unreachable", "192.0.2.99/32"])

	def make_files(self):
		write("etc/passwd", PASSWD)
		write("etc/group", GROUP)
		write("etc/resolv.conf", f"nameserver {DNS}\n")
		write("etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n")
		write("etc/hosts", "127.0.0.1 localhost\n")
		write("etc/aliases", "postmaster: bob\n")
		write("etc/postfix/main.cf", MAIN_CF)
		write("etc/postfix/master.cf", MASTER_CF)
		for name in ("var/spool/postfix", "var/lib/postfix", "var/lib/knot", "home/bob", "run/knot"):
			shutil.rmtree(os.path.join(ROOT, name), ignore_errors=True)
			os.makedirs(os.path.join(ROOT, name))
		spool = os.path.join(ROOT, "var/spool/postfix")
		for name in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private",
		    "saved", "trace", "maildrop", "public", "pid"):
			os.makedirs(os.path.join(spool, name))
			os.chmod(os.path.join(spool, name), 0o700)
			if name != "pid":
				os.chown(os.path.join(spool, name), 2101, 0)
		os.chmod(os.path.join(spool, "public"), 0o710)
		os.chown(os.path.join(spool, "public"), 2101, 2102)
		os.chown(os.path.join(spool, "maildrop"), 2101, 2102)
		os.chmod(os.path.join(spool, "maildrop"), 0o730)
		os.chown(os.path.join(ROOT, "var/lib/postfix"), 2101, 2101)
		os.chown(os.path.join(ROOT, "home/bob"), 2103, 2103)
		self.mail_log = os.path.join(ROOT, "var/log/mail.log")
		write("var/log/mail.log", "")
		conf = f"server:\n  rundir: /run/knot\n  listen: {DNS}@53\n  user: root\n" \
			"log:\n  - target: stdout\n    any: info\n" \
			"database:\n  storage: /var/lib/knot\nzone:\n"
		for zone, text in ZONES.items():
			conf += f"  - domain: {zone}\n    file: /etc/knot/{zone}.zone\n"
			write(f"etc/knot/{zone}.zone", f"$ORIGIN {zone}.\n{text}")
		write("etc/knot/test.conf", conf)

	def inside(self, namespace, command, **more):
		return subprocess.Popen([*within(namespace), *command], **more)

	def start(self, name, command):
		"""Runs it in the peers' root, in the far namespace; its output becomes log lines."""
		child = self.inside(self.there, ["chroot", ROOT, *command], stdout=subprocess.PIPE,
			stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, errors="replace", start_new_session=True)
		self.children.append(child)
		self.read_lines(name, child.stdout)

	def follow_mail_log(self):
		"""postlogd writes a file: tail turns it into lines as they come."""
		child = subprocess.Popen(["tail", "-n", "+1", "-f", self.mail_log], stdout=subprocess.PIPE, text=True, errors="replace")
		self.children.append(child)
		self.read_lines("mail.log", child.stdout)

	def read_lines(self, name, stream):
		self.logs[name] = []

		def reader():
			for line in stream:
				with self.changed:
					self.logs[name].append(line.rstrip("\n"))
					self.changed.notify_all()
		threading.Thread(target=reader, daemon=True).start()

	def wait_log(self, name, text, since=0):
		"""The first line that contains text."""
		found = []

		def look():
			found[:] = [line for line in self.logs[name][since:] if text in line]
			return bool(found)
		with self.changed:
			if not self.changed.wait_for(look, mt.DEADLINE):
				raise mt.Failed(f"{name}: no line with {text!r} in:\n" + "\n".join(self.logs[name][-15:]))
		return found[0]

	def bobs_mail(self):
		return [open(p, "rb").read() for p in sorted(glob.glob(os.path.join(ROOT, "home/bob/Maildir/new/*")))]

	def close(self):
		for child in reversed(self.children):
			try:
				os.killpg(child.pid, signal.SIGTERM) if child.pid == os.getpgid(child.pid) else child.terminate()
			except ProcessLookupError:
				pass
		for child in self.children:
			try:
				child.wait(5)
			except subprocess.TimeoutExpired:
				child.kill()
				child.wait()
		for name in (self.here, self.there):
			mt.run(["ip", "netns", "delete", name], check=False)
