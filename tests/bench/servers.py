"""
The two that are measured, under one interface: start, stop, fresh (an empty spool), master's pid, what they say of
their versions and settings, and how many messages are deferred. Both keep their spools in one folder, log to a file,
take mail from every loopback address for anywhere, and send it to the sink, or to DEAD where nobody listens.
"""
import glob
import os
import re
import shutil
import subprocess
import time

import minimta_test as mt
import peers
import world as w

MINIMTA_SETTINGS = {		# all others as they come
	"connections": "2000",
	"destination_connections": "20",
}
MAIN_CF = f"""compatibility_level = 3.6
maillog_file = /var/log/mail.log
myhostname = mx.demo.example
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = {w.POSTFIX}
inet_protocols = ipv4
alias_maps =
alias_database =
relayhost = [{w.SINK}]:{w.SINK_PORT}
transport_maps = inline:{{ {{ dead.example = smtp:[{w.DEAD}]:{w.SINK_PORT} }}, {{ watch.example = smtp:[{w.WATCH}]:{w.SINK_PORT} }} }}
smtpd_recipient_restrictions = check_recipient_access inline:{{ {{ held.example = HOLD }} }}
smtpd_relay_restrictions = permit_mynetworks, reject
smtp_tls_security_level = none
smtpd_tls_security_level = none
"""
TUNED_CF = """default_process_limit = 1000
max_use = 100000
in_flow_delay = 0
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
smtputf8_enable = no
smtpd_client_connection_count_limit = 0
smtpd_client_event_limit_exceptions = static:all
initial_destination_concurrency = 20
default_destination_concurrency_limit = 20
smtp_connection_cache_destinations = 127.0.0.30, 127.0.0.32
smtp_connection_reuse_time_limit = 1h
"""


class Minimta(mt.Server):
	name = "minimta"
	address = w.MINIMTA

	def __init__(self, world, **replace):
		self.world = world
		self.spools = 0
		super().__init__(replace={
			"trusted_networks": "{127.0.0.0/8}",
			"aliases": '""',
			"virtual_directory": None, "virtual_user": None,
			**MINIMTA_SETTINGS, **replace},
			config=f'relay "*" {{ host = "[{w.SINK}]:{w.SINK_PORT}" }}\n'
			f'relay "dead.example" {{ host = "[{w.DEAD}]:{w.SINK_PORT}" }}\n'
			f'relay "watch.example" {{ host = "[{w.WATCH}]:{w.SINK_PORT}" }}\n',
			folder=os.path.join(world.folder, "minimta"), clock=False, start=False, users=(), listen=f"{w.MINIMTA}:{w.PORT}")
		self.env.pop("MINIMTA_SECCOMP", None)

	def start(self):
		"""Logs to a file: a pipe would cost the reader's time on the processors that are measured."""
		path = os.path.join(self.folder, "log")
		with open(path, "w") as f:
			self.child = subprocess.Popen([os.path.join(self.bin, "minimta"), "-f", "-c", self.conf],
				stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=f, env=self.env)
		try:
			return w.wait_port(self.address, w.PORT)
		except mt.Failed as e:
			raise mt.Failed(f"{e}; the log:\n" + open(path, errors="replace").read()[-2000:])

	def master(self):
		return self.child.pid

	def stop(self, check=True):
		if self.child is None:
			return
		if self.child.poll() is None:
			self.child.terminate()
			try:
				self.child.wait(60)
			except subprocess.TimeoutExpired:
				self.child.kill()
				self.child.wait()
		self.child = None

	def fresh(self):
		self.stop()
		shutil.rmtree(self.spool)
		self.write_files(self.config_text, "", ())
		self.start()

	def write_files(self, config, aliases, users):
		self.config_text = config
		super().write_files(config, aliases, users)

	def mailq(self):
		"""Seconds for a list of all mail, and its lines."""
		started = time.monotonic()
		text = subprocess.run([os.path.join(self.bin, "mailq")], env={**self.env, "MINIMTA_CONTROL": self.control},
			stdin=subprocess.DEVNULL, capture_output=True, timeout=w.RUN_SECONDS, text=True).stdout
		return time.monotonic() - started, text

	def mailq_timed(self):
		"""Seconds to the first line of a list of all mail and to its end, and how many lines name the host that is away."""
		started, first, lines = time.monotonic(), None, 0
		with subprocess.Popen([os.path.join(self.bin, "mailq")], env={**self.env, "MINIMTA_CONTROL": self.control},
			stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as child:
			for line in child.stdout:
				first = first or time.monotonic() - started
				lines += b"dead.example" in line
		return first, time.monotonic() - started, lines

	def known(self):
		"""How many messages queue knows of by now."""
		text = subprocess.run([os.path.join(self.bin, "minimtactl"), "status", "--json"], stdin=subprocess.DEVNULL,
			env={**self.env, "MINIMTA_CONTROL": self.control}, capture_output=True, timeout=60, text=True).stdout
		return sum(int(n) for n in re.findall(r'"messages"\s*:\s*"?(\d+)', text))

	def settled(self):
		"""Whether all that came in has been tried: attempts wait for the dead host's next probe at once."""
		return True

	def stored_to(self):
		"""Mail for there is only taken and kept."""
		return w.DEFERRED

	def describe(self):
		return ["minimta of this tree"] + [f"{k} = {v}" for k, v in MINIMTA_SETTINGS.items()]


class Filtering(Minimta):
	"""With the filters that are chosen; its only mailbox is an alias that leads to the sink."""

	def __init__(self, world, dns_port):
		path = os.path.join(world.folder, "filtering")
		os.makedirs(path, exist_ok=True)
		self.aliases_path = os.path.join(path, "aliases")
		with open(self.aliases_path, "w") as f:
			f.write(f"drop: {w.FORWARDED}\nold: {w.FORWARDED}\n")
		super().__init__(world, filters="yes", proxy_networks='{"127.0.0.99"}', dns_servers=f'{{"127.0.0.1:{dns_port}"}}',
			aliases=f'"{self.aliases_path}"', trusted_networks=None, domains='{"demo.example"}')
		self.common = self.config_text

	def choose(self, sections):
		self.config_text = self.common + sections


class Postfix:
	name = "postfix"
	address = w.POSTFIX

	def __init__(self, world):
		self.world = world
		self.child = None
		world.write("etc/postfix/main.cf", MAIN_CF + TUNED_CF)
		world.write("etc/postfix/master.cf", peers.MASTER_CF)
		self.spool = os.path.join(peers.ROOT, "var/spool/postfix")
		self.clear()

	def clear(self):
		for path in glob.glob(self.spool + "/*"):
			shutil.rmtree(path)
		for name in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private",
		    "saved", "trace", "maildrop", "public", "pid"):
			path = os.path.join(self.spool, name)
			os.makedirs(path)
			os.chmod(path, {"public": 0o710, "maildrop": 0o730}.get(name, 0o700))
			if name != "pid":
				os.chown(path, 2101, 2102 if name in ("public", "maildrop") else 0)
		lib = os.path.join(peers.ROOT, "var/lib/postfix")
		os.chown(lib, 2101, 2101)
		with open(os.path.join(peers.ROOT, "var/log/mail.log"), "w"):
			pass

	def start(self):
		self.child = self.world.start("/usr/lib/postfix/sbin/master", "-s", "-c", "/etc/postfix",
			stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
		return w.wait_port(self.address, w.PORT)

	def master(self):
		return self.child.pid

	def stop(self):
		if self.child is not None:
			self.world.end(self.child)
			self.world.children.remove(self.child)
		self.child = None

	def fresh(self):
		self.stop()
		self.clear()
		self.start()

	def mailq(self):
		started = time.monotonic()
		text = subprocess.run(self.world.inside("/usr/sbin/postqueue", "-p"), stdin=subprocess.DEVNULL,
			capture_output=True, timeout=w.RUN_SECONDS, text=True).stdout
		return time.monotonic() - started, text

	def settled(self):
		for name in ("incoming", "active"):
			for _, _, files in os.walk(os.path.join(self.spool, name)):
				if files:
					return False
		return True

	def stored_to(self):
		"""On hold, where postfix does least with it."""
		return w.HELD

	def describe(self):
		version = mt.run(self.world.inside("/usr/sbin/postconf", "-h", "mail_version")).stdout.strip()
		return [f"postfix {version}"] + TUNED_CF.splitlines()

	def close(self, check=True):
		self.stop()
