"""
What somebody who has taken over a process would try: each deed is a name and a function that makes a puppet do it and
returns what came of it, negative when it was refused. Called by puppet.py, which knows what is allowed by design.
Where success would harm the machine that runs the test, the arguments are such that a kernel without the sandbox
refuses them too; then only ENOSYS, the sandbox's own answer, counts as refused.
"""
import errno
import os
import re
import signal
import socket
import struct
import subprocess

import minimta_test as mt

AT_FDCWD = -100
O_DIRECTORY, O_CREAT, O_RDWR, O_WRONLY, O_PATH = 0o200000, 0o100, 2, 1, 0o10000000
DEEDS = {}


class Scene:
	"""What the deeds are done to: the server, another user's file, a listener, and a process that is not minimta's."""

	def __init__(self, server):
		self.server = server
		self.pids = server.pids()
		self.home = mt.temporary("h-")
		self.secret = os.path.join(self.home, "secret")
		for path in (self.secret, self.home + "/removed", self.home + "/renamed"):
			with open(path, "w") as f:
				f.write("secret\n")
		for path, mode in ((self.secret, 0o600), (self.home, 0o711)):
			os.chown(path, 65534, 65534)
			os.chmod(path, mode)
		self.victim = subprocess.Popen(["sleep", "1000"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
		self.tcp = socket.create_server(("127.0.0.1", 0))
		self.abstract = socket.socket(socket.AF_UNIX)
		self.abstract.bind(f"\0minimta-test-{os.getpid()}")
		self.abstract.listen(8)

	def peer(self, puppet):
		"""Another process of the server."""
		return self.pids["queue" if puppet.name != "queue" else "mda"]

	def close(self):
		self.victim.kill()
		self.victim.wait()
		self.tcp.close()
		self.abstract.close()
		mt.shutil.rmtree(self.home)


def deed(name):
	def add(function):
		DEEDS[name] = function
		return function
	return add


def closed(p, fd):
	"""A descriptor was made: it is given back, and that it was made remains."""
	if fd >= 0:
		p.call("close", fd)
	return fd


def only_by_sandbox(result):
	return -1 if result == -errno.ENOSYS else 0


# ---- files ----

def opens(path, flags=0, at=AT_FDCWD):
	return lambda p, s: closed(p, p.call("openat", at, path(s) if callable(path) else path, flags, 0o600))


for what, where in {
	"the shadow passwords": "/etc/shadow",
	"the password file": "/etc/passwd",
	"minimta's configuration": lambda s: s.server.conf,
	"the aliases": lambda s: s.server.folder + "/aliases",
	"another user's file": lambda s: s.secret,
	"a mail": lambda s: next(os.path.join(path, files[0]) for path, _, files in os.walk(s.server.mail) if files),
	"a segment of the spool": lambda s: next(os.path.join(path, files[0]) for path, _, files in os.walk(s.server.spool) if files),
	"the own program": "/proc/self/exe",
	"the kernel's memory": "/proc/kcore",
	"master's environment": lambda s: f"/proc/{s.pids['minimta']}/environ",
	"a file above the root": "../../../../../../etc/passwd",
}.items():
	DEEDS["open " + what] = opens(where)
DEEDS["open master's memory"] = opens(lambda s: f"/proc/{s.pids['minimta']}/mem", O_RDWR)
DEEDS["open the password file for writing"] = opens("/etc/passwd", O_WRONLY)
DEEDS["open the configuration for writing"] = opens(lambda s: s.server.conf, O_WRONLY)
DEEDS["open a terminal"] = opens("/dev/tty", O_RDWR)
DEEDS["open /dev/mem"] = opens("/dev/mem", O_RDWR)


@deed("open a peer's memory")
def _(p, s):
	return closed(p, p.call("openat", AT_FDCWD, f"/proc/{s.peer(p)}/mem", O_RDWR, 0))


@deed("open the memory of an alien process")
def _(p, s):
	return closed(p, p.call("openat", AT_FDCWD, f"/proc/{s.victim.pid}/mem", O_RDWR, 0))


@deed("list /")
def _(p, s):
	fd = p.call("openat", AT_FDCWD, "/", O_DIRECTORY, 0)
	if fd < 0:
		return fd
	result = p.call("getdents64", fd, p.memory, 2048)
	p.call("close", fd)
	return result


def creates(folder):
	def create(p, s):
		path = os.path.join(folder(s) if callable(folder) else folder, "minimta-puppet")
		fd = closed(p, p.call("openat", AT_FDCWD, path, O_CREAT | O_RDWR, 0o600))
		if fd >= 0:
			p.call("unlinkat", AT_FDCWD, path, 0)
			if os.path.exists(path):
				os.unlink(path)
		return fd
	return create


for what, where in {"/": "/", "/etc": "/etc", "/tmp": "/tmp", "/dev/shm": "/dev/shm", "another user's home": lambda s: s.home,
	"the state directory": lambda s: s.server.folder + "/state"}.items():
	DEEDS["create a file in " + what] = creates(where)

for name, call in {
	"remove another user's file": lambda p, s: p.call("unlinkat", AT_FDCWD, s.home + "/removed", 0),
	"rename another user's file": lambda p, s: p.call("renameat", AT_FDCWD, s.home + "/renamed", AT_FDCWD, s.home + "/renamed2"),
	"make a directory in another user's home": lambda p, s: p.call("mkdirat", AT_FDCWD, s.home + "/made", 0o700),
	"link the shadow passwords": lambda p, s: p.call("linkat", AT_FDCWD, "/etc/shadow", AT_FDCWD, "/tmp/minimta-puppet", 0),
	"make a symbolic link": lambda p, s: p.call("symlinkat", "/etc/shadow", AT_FDCWD, "/tmp/minimta-puppet"),
	"make a device": lambda p, s: p.call("mknodat", AT_FDCWD, "/tmp/minimta-puppet", 0o020600, os.makedev(1, 1)),
	"make a fifo": lambda p, s: p.call("mknodat", AT_FDCWD, "/tmp/minimta-puppet", 0o010600, 0),
	"change a mode": lambda p, s: p.call("fchmodat", AT_FDCWD, s.secret, 0o666, 0),
	"change an owner": lambda p, s: p.call("fchownat", AT_FDCWD, s.secret, 0, 0, 0),
	"truncate a file": lambda p, s: p.call("truncate", s.secret, 0),
	"set an attribute": lambda p, s: p.call("setxattr", s.secret, "user.x", b"x", 1, 0),
	"change the folder": lambda p, s: p.call("chdir", "/"),
	"watch files": lambda p, s: p.call("inotify_init1", 0),
}.items():
	DEEDS[name] = call


# ---- the network and other programs ----

def address(sock):
	if sock.family == socket.AF_UNIX:
		return struct.pack("<H", socket.AF_UNIX) + sock.getsockname()
	host, port = sock.getsockname()
	return struct.pack("<H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton(host) + bytes(8)


def connects(family, kind, to):
	def connect(p, s):
		fd = p.call("socket", family, kind, 0)
		if fd < 0:
			return fd
		where = to(p, s)
		result = p.call("connect", fd, where, len(where))
		p.call("close", fd)
		return result
	return connect


def sends(family, to):
	def send(p, s):
		fd = p.call("socket", family, socket.SOCK_DGRAM, 0)
		if fd < 0:
			return fd
		where = to(p, s)
		result = p.call("sendto", fd, b"x", 1, 0, where, len(where))
		p.call("close", fd)
		return result
	return send


def control(p, s):
	path = s.server.control.encode()
	return struct.pack("<H", socket.AF_UNIX) + path + b"\0"


def own_port(p, s):
	return struct.pack("<H", socket.AF_INET) + struct.pack("!H", s.server.address[1]) + socket.inet_aton("127.0.0.1") + bytes(8)


# 192.0.2.1 is nobody's (RFC 5737): a datagram's connect sends nothing.
outside = struct.pack("<H", socket.AF_INET) + struct.pack("!H", 53) + socket.inet_aton("192.0.2.1") + bytes(8)
inet, inet6, unix = socket.AF_INET, socket.AF_INET6, socket.AF_UNIX

DEEDS["connect to a program on loopback"] = connects(inet, socket.SOCK_STREAM, lambda p, s: address(s.tcp))
DEEDS["connect to minimta's own port"] = connects(inet, socket.SOCK_STREAM, own_port)
DEEDS["connect a datagram socket to the Internet"] = connects(inet, socket.SOCK_DGRAM, lambda p, s: outside)
@deed("be heard on the control socket")
def _(p, s):
	"""Connecting is not refused: that the socket is there anybody may see."""
	fd = p.call("socket", unix, socket.SOCK_STREAM, 0)
	if fd < 0:
		return fd
	where = control(p, s)
	if p.call("connect", fd, where, len(where)) < 0:
		return -1
	p.call("sendto", fd, b"status\n", 7, 0x4000, 0, 0)
	result = p.call("recvfrom", fd, p.memory, 4096, 0, 0, 0)
	p.call("close", fd)
	return result if result > 0 else -1


DEEDS["connect to an abstract unix socket"] = connects(unix, socket.SOCK_STREAM, lambda p, s: address(s.abstract))
DEEDS["send a datagram"] = sends(inet, lambda p, s: address(s.tcp))
for what, (family, kind) in {"raw": (inet, socket.SOCK_RAW), "raw IPv6": (inet6, socket.SOCK_RAW),
	"netlink": (16, socket.SOCK_RAW), "packet": (17, socket.SOCK_RAW), "vsock": (40, socket.SOCK_STREAM),
	"kernel crypto": (38, 5), "bluetooth": (31, socket.SOCK_RAW)}.items():
	DEEDS[f"open a {what} socket"] = lambda p, s, f=family, k=kind: closed(p, p.call("socket", f, k, 0 if f != inet else 255))


@deed("listen on a port")
def _(p, s):
	fd = p.call("socket", inet, socket.SOCK_STREAM, 0)
	if fd < 0:
		return fd
	where = struct.pack("<H", inet) + bytes(14)
	result = p.call("bind", fd, where, 16)
	if result >= 0:
		result = p.call("listen", fd, 5)
	p.call("close", fd)
	return result


@deed("listen without a bind")
def _(p, s):
	fd = p.call("socket", inet, socket.SOCK_STREAM, 0)
	if fd < 0:
		return fd
	result = p.call("listen", fd, 5)
	p.call("close", fd)
	return result


@deed("accept on what was inherited")
def _(p, s):
	"""Nothing waits there, so EAGAIN is what success looks like."""
	best = -1
	for fd in range(64):
		result = p.call("accept4", fd, 0, 0, 0o4000)
		if result >= 0 or result == -errno.EAGAIN:
			best = 0
	return best


@deed("a socketpair")
def _(p, s):
	return p.call("socketpair", unix, socket.SOCK_STREAM, 0, bytes(8))


# ---- processes ----

def kills(who, sig=signal.SIGKILL):
	return lambda p, s: p.call("kill", who(p, s), sig)


master, alien, peer = (lambda p, s: s.pids["minimta"]), (lambda p, s: s.victim.pid), (lambda p, s: s.peer(p))
for what, who in {"master": master, "a peer": peer, "an alien process": alien}.items():
	DEEDS["kill " + what] = kills(who)
	DEEDS["stop " + what] = kills(who, signal.SIGSTOP)
	DEEDS["kill a thread of " + what] = lambda p, s, who=who: p.call("tgkill", who(p, s), who(p, s), signal.SIGKILL)
	DEEDS["open a descriptor for " + what] = lambda p, s, who=who: closed(p, p.call("pidfd_open", who(p, s), 0))
	DEEDS["trace " + what] = lambda p, s, who=who: p.call("ptrace", 16, who(p, s), 0, 0)
	DEEDS["limit " + what] = lambda p, s, who=who: p.call("prlimit64", who(p, s), 7, struct.pack("<QQ", 64, 64), 0)
	DEEDS["slow down " + what] = lambda p, s, who=who: p.call("setpriority", 0, who(p, s), 1)


@deed("signal every process there is")
def _(p, s):
	return p.call("kill", -1, 0)


@deed("signal the own group")
def _(p, s):
	return p.call("kill", 0, 0)


def reads_memory(who):
	def read(p, s):
		p.used = 4096
		local = p.put(struct.pack("<QQ", p.memory + 8192, 8))
		remote = p.put(struct.pack("<QQ", p.memory, 8))
		return p.call("process_vm_readv", who(p, s), local, 1, remote, 1, 0)
	return read


DEEDS["read a peer's memory"] = reads_memory(peer)
DEEDS["read an alien process' memory"] = reads_memory(alien)


@deed("have the kernel signal master for it")
def _(p, s):
	return p.call("fcntl", p.peers()["logger" if p.name != "logger" else "queue"], 8, s.pids["minimta"])	# F_SETOWN


@deed("choose the signal of a descriptor")
def _(p, s):
	return p.call("fcntl", 3, 10, signal.SIGKILL)		# F_SETSIG


def executes(p, s):
	p.used = 4096
	argv = p.put(struct.pack("<QQ", p.put(b"sh\0"), 0))
	return p.call("execve", "/bin/sh", argv, p.put(bytes(8)))


DEEDS["execute a shell"] = executes
DEEDS["execute through a descriptor"] = lambda p, s: p.call("execveat", AT_FDCWD, "/bin/sh", bytes(8), bytes(8), 0)
DEEDS["fork"] = lambda p, s: p.call("clone", signal.SIGCHLD, 0, 0, 0, 0)
DEEDS["vfork by clone"] = lambda p, s: only_by_sandbox(p.call("clone", 0x4000 | 0x800, 0, 0, 0, 0))	# impossible flags
DEEDS["fork into a new user namespace"] = lambda p, s: p.call("clone", 0x10000000 | signal.SIGCHLD, 0, 0, 0, 0)
DEEDS["clone3 into a new user namespace"] = lambda p, s: p.call("clone3",
	struct.pack("<11Q", 0x10000000, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, 0), 88)


# ---- rights ----

for name, call in {
	"become root": lambda p, s: p.call("setuid", 0),
	"become root in all ways": lambda p, s: p.call("setresuid", 0, 0, 0),
	"become root's group": lambda p, s: p.call("setresgid", 0, 0, 0),
	"join a group": lambda p, s: p.call("setgroups", 1, struct.pack("<I", 42)),
	"take another file-system user": lambda p, s: p.call("setfsuid", 0),
	"take capabilities": lambda p, s: p.call("capset", struct.pack("<II", 0x20080522, 0), struct.pack("<6I", *[0xffffffff] * 6)),
	"change the root": lambda p, s: p.call("chroot", "/"),
	"pivot the root": lambda p, s: p.call("pivot_root", "/", "/"),
	"mount": lambda p, s: p.call("mount", "none", "/tmp", "tmpfs", 0, 0),
	"open a mount": lambda p, s: closed(p, p.call("open_tree", AT_FDCWD, "/", 1)),
	"unmount": lambda p, s: only_by_sandbox(p.call("umount2", "/nowhere", 0)),
	"a new namespace": lambda p, s: p.call("unshare", 0x10000000),
	"another namespace": lambda p, s: only_by_sandbox(p.call("setns", 3, 0)),
	"more descriptors": lambda p, s: p.call("prlimit64", 0, 7, struct.pack("<QQ", 1 << 20, 1 << 20), 0),
	"more processes": lambda p, s: p.call("setrlimit", 6, struct.pack("<QQ", 1 << 20, 1 << 20)),
	"a core dump": lambda p, s: p.call("prlimit64", 0, 4, struct.pack("<QQ", 1 << 30, 1 << 30), 0),
	"let itself be traced": lambda p, s: p.call("prctl", 4, 1, 0, 0, 0),
	"keep capabilities": lambda p, s: p.call("prctl", 8, 1, 0, 0, 0),
	"adopt orphans": lambda p, s: p.call("prctl", 36, 1, 0, 0, 0),
	"memory that is written and executed": lambda p, s: p.call("mmap", 0, 4096, 7, 0x22, -1, 0),
	"make memory executable": lambda p, s: p.call("mprotect", p.memory & ~4095, 4096, 7),
	"make memory executable by a key": lambda p, s: p.call("pkey_mprotect", p.memory & ~4095, 4096, 7, -1),
	"type into a terminal": lambda p, s: only_by_sandbox(p.call("ioctl", 2, 0x5412, b"x")),
	"an ioctl": lambda p, s: only_by_sandbox(p.call("ioctl", 2, 0x5413, bytes(8))),
	"write past the page cache to a pipe": lambda p, s: only_by_sandbox(p.call("vmsplice", -1, 0, 0, 0)),
}.items():
	DEEDS[name] = call

# Parts of the kernel that have had holes, or belong to the administrator: called with nothing that could work.
for name in ("bpf", "perf_event_open", "io_uring_setup", "userfaultfd", "keyctl", "add_key", "request_key", "init_module",
	"finit_module", "delete_module", "kexec_load", "reboot", "swapon", "swapoff", "settimeofday", "clock_settime", "adjtimex",
	"sethostname", "setdomainname", "acct", "quotactl", "syslog", "personality", "memfd_secret", "name_to_handle_at",
	"open_by_handle_at", "fanotify_init", "move_pages", "migrate_pages", "mbind", "pidfd_getfd", "process_madvise", "kcmp",
	"rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal", "tkill", "splice", "tee", "sched_setaffinity",
	"sched_setscheduler", "ioprio_set", "modify_ldt", "iopl", "ioperm", "shmget", "msgget", "semget", "mq_open", "timer_create",
	"fsopen", "fsmount", "move_mount", "mount_setattr", "landlock_create_ruleset", "seccomp", "vhangup", "nfsservctl"):
	DEEDS[f"call {name}"] = lambda p, s, n=name: only_by_sandbox(p.call(n, -1, 0, 0, 0, 0, 0))
