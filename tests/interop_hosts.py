"""
The programs that minimta meets in the interop tests, each in its own root (peers.py): the mail servers postfix, exim
and opensmtpd with three mailboxes each, knot as the name server of all zones with unbound before it, and dovecot, which
reads what minimta delivered. Here stands how each is configured, started, and known to be ready; the tests are
in interop.py.
"""
import os
import pwd
import re

import minimta_test as mt
import peers

HERE = "here.example"
KNOT = "192.0.2.53"
UNBOUND = "127.0.0.1"		# beside minimta: what a resolver says of signatures counts on loopback only
PEOPLE = " : ".join(peers.MAILBOXES)


class MailServer:
	"""What the three have in common."""
	name, domain, address, packages = "", "", "", ()
	smtputf8 = True

	def __init__(self, world):
		self.world = world
		self.hostname = "mx." + self.domain
		self.root = peers.Root(self.name, *self.packages, "dash")
		self.root.write("etc/resolv.conf", f"nameserver {KNOT}\n")
		self.prepare()
		self.log = self.start()

	def run(self, *command):
		return self.world.start(self.world.there, self.root.command(*command))

	def empty_log(self, path, user="root"):
		self.root.fresh(os.path.dirname(path), user)
		path = self.root.write(path, "")
		number = [n for name, n, _ in peers.USERS if name == user][0]
		os.chown(path, number, number)
		return path

	def client(self):
		"""A connection to it from its own address, which may relay."""
		return peers.Smtp(self.world.there, self.address, self.address)

	def wait_mail(self, text, user="bob"):
		"""The newest mail with this text."""
		def look():
			return [m for m in self.root.mails(user) if text.encode() in m]
		return self.log.wait_for(look, f"{user} at {self.domain} has no mail with {text!r}")[-1]


class Postfix(MailServer):
	name, domain, address, packages = "postfix", "there.example", "192.0.2.20", ("postfix",)
	took = r"nrcpt=3 "

	def prepare(self):
		self.root.write("etc/aliases", "postmaster: bob\n")
		self.root.write("etc/postfix/main.cf", f"""compatibility_level = 3.6
maillog_file = /var/log/postfix/log
maillog_file_prefixes = /var/log
myhostname = {self.hostname}
mydomain = {self.domain}
mydestination = {self.domain}, {self.hostname}, localhost
mynetworks = {self.address}/32
inet_interfaces = {self.address}
inet_protocols = ipv4
smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
local_recipient_maps = unix:passwd.byname
home_mailbox = Maildir/
alias_maps =
alias_database =
smtputf8_enable = yes
""")
		self.root.write("etc/postfix/master.cf", peers.MASTER_CF)
		self.root.fresh("var/spool/postfix")
		for name in ("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "incoming", "private", "saved", "trace"):
			self.root.fresh("var/spool/postfix/" + name, "postfix", "root", 0o700)
		self.root.fresh("var/spool/postfix/pid", mode=0o700)
		self.root.fresh("var/spool/postfix/public", "postfix", "postdrop", 0o710)
		self.root.fresh("var/spool/postfix/maildrop", "postfix", "postdrop", 0o730)
		self.root.fresh("var/lib/postfix", "postfix")

	def start(self):
		path = self.empty_log("var/log/postfix/log")
		self.run("/usr/lib/postfix/sbin/master", "-s", "-c", "/etc/postfix")
		log = self.world.follow(path)
		log.wait("daemon started")
		return log


class Exim(MailServer):
	name, domain, address, packages = "exim", "exim.example", "192.0.2.21", ("exim4-daemon-light",)
	busy_domain, busy_address = "busy.example", "192.0.2.24"		# where nobody has a connection that could be used again
	took = r" <= .* for bob@exim\.example carol@exim\.example dave@exim\.example"

	def prepare(self):
		self.root.write("etc/exim4/exim4.conf", f"""primary_hostname = {self.hostname}
domainlist local_domains = {self.domain} : {self.busy_domain}
local_interfaces = {self.address} : {self.busy_address}
log_file_path = /var/log/exim4/%slog
log_selector = +received_recipients
keep_environment =
smtputf8_advertise_hosts = *
tls_advertise_hosts =
smtp_accept_queue_per_connection = 0
rfc1413_query_timeout = 0s
acl_smtp_connect = acl_connect
acl_smtp_rcpt = acl_rcpt
acl_smtp_data = acl_data
begin acl
acl_connect:
	defer
		condition = ${{if eq{{$received_ip_address}}{{{self.busy_address}}}}}
		condition = ${{if exists{{/etc/exim4/busy}}}}
		message = too busy for a moment
	accept
acl_rcpt:
	accept hosts = {self.address}
	deny
		!domains = +local_domains
		message = relay not permitted
	deny
		!verify = recipient
		message = There is no such person here.\\nThose who left are listed at\\nhttps://people.exim.example/
	accept
acl_data:
	accept
begin routers
remote:
	driver = dnslookup
	domains = ! +local_domains
	transport = smtp
	no_more
local:
	driver = accept
	check_local_user
	local_parts = {PEOPLE}
	transport = maildir
begin transports
smtp:
	driver = smtp
	interface = {self.address}
maildir:
	driver = appendfile
	directory = $home/Maildir
	maildir_format
""")
		self.root.fresh("var/spool/exim4", "Debian-exim")

	def start(self):
		path = self.empty_log("var/log/exim4/mainlog", "Debian-exim")
		self.run("/usr/sbin/exim4", "-bdf")
		log = self.world.follow(path)
		log.wait("daemon started")
		return log

	def be_busy(self, busy):
		"""Greets with 4xx at the busy address, or no longer."""
		if busy:
			self.root.write("etc/exim4/busy", "")
		else:
			os.unlink(os.path.join(self.root.path, "etc/exim4/busy"))


class OpenSMTPD(MailServer):
	name, domain, address, packages = "opensmtpd", "opensmtpd.example", "192.0.2.22", ("opensmtpd",)
	smtputf8 = False
	took = r"smtp message .*nrcpt=3 "

	def prepare(self):
		self.root.write("etc/smtpd.conf", f"""listen on {self.address} hostname {self.hostname}
action "local" maildir
action "out" relay src {self.address} helo {self.hostname}
match from any for domain "{self.domain}" action "local"
match from src {self.address} for any action "out"
""", 0o600)
		self.root.write("etc/mailname", self.hostname + "\n")
		self.root.write("etc/ssl/certs/ca-certificates.crt", "")	# read at the start; no certificate is looked at
		self.root.fresh("var/run")
		self.root.fresh("var/spool/smtpd", mode=0o711)

	def start(self):
		log = self.run("/usr/sbin/smtpd", "-d", "-f", "/etc/smtpd.conf")
		log.wait("smtp: listen|server ready|info: OpenSMTPD .* starting")
		# It says so before it listens.
		log.wait_for(self.greets, "opensmtpd does not greet")
		return log

	def greets(self):
		try:
			self.client().quit()
		except OSError:
			return False
		return True


MAIL_SERVERS = (Postfix, Exim, OpenSMTPD)


def zone(address, *more):
	return f"@ 60 SOA ns.names.example. root.names.example. 1 60 60 60 60\n@ 60 NS ns.names.example.\n@ 60 MX 20 mx\n" \
		f"mx 60 A {address}\n" + "".join(line + "\n" for line in more)


# there.example and forged.example are signed; unbound has been told a wrong key for the latter.
ZONES = {
	".": f". 60 SOA ns.names.example. root.names.example. 1 60 60 60 60\n. 60 NS ns.names.example.\nns.names.example. 60 A {KNOT}\n",
	HERE: zone(peers.MINIMTA),
	Postfix.domain: zone(Postfix.address, "@ 60 MX 10 gone", "gone 60 A 192.0.2.99", "null 60 MX 0 .", "closed 60 MX 10 mx",
		'@ 60 TXT "v=spf1 mx -all"'),
	Exim.domain: zone(Exim.address),
	Exim.busy_domain: zone(Exim.busy_address),
	OpenSMTPD.domain: zone(OpenSMTPD.address),
	"forged.example": zone(Postfix.address),
}
SIGNED, FORGED = Postfix.domain, "forged.example"


class Names:
	"""knot, which has all zones, and unbound, which asks it and checks signatures."""

	def __init__(self, world, more):
		"""more: zones beside ours."""
		self.zones = ZONES | more
		self.root = peers.Root("names", "knot", "unbound")
		self.root.write("etc/resolv.conf", "")
		self.knot(world)
		self.unbound(world)

	def knot(self, world):
		conf = f"server:\n  rundir: /run/knot\n  listen: {KNOT}@53\n  user: root\n" \
			"log:\n  - target: stdout\n    any: info\ndatabase:\n  storage: /var/lib/knot\n" \
			"policy:\n  - id: test\n    single-type-signing: on\nzone:\n"
		for name, text in self.zones.items():
			file = f"etc/knot/{name.strip('.') or 'root'}.zone"
			conf += f"  - domain: {name}\n    file: /{file}\n    zonefile-sync: -1\n"
			conf += "    dnssec-signing: on\n    dnssec-policy: test\n" if name in (SIGNED, FORGED) else "    semantic-checks: off\n"
			self.root.write(file, f"$ORIGIN {name.rstrip('.')}.\n{text}")
		self.root.write("etc/knot/test.conf", conf)
		self.root.fresh("var/lib/knot")
		self.root.fresh("run/knot")
		log = world.start(world.there, self.root.command("/usr/sbin/knotd", "-c", "/etc/knot/test.conf"))
		for name in self.zones:
			log.wait(rf"\[{re.escape(name.rstrip('.') + '.')}\] zone file parsed|\[{re.escape(name.rstrip('.') + '.')}\] loaded")
		log.wait("server started")
		for name in (SIGNED, FORGED):
			log.wait(rf"\[{name}\.\] DNSSEC, (successfully signed|next signing)")

	def signer(self, name):
		"""The DS record of a signed zone."""
		said = mt.run(self.root.command("/usr/sbin/keymgr", "-c", "/etc/knot/test.conf", name, "ds")).stdout
		return re.search(rf"^{name}\. DS \d+ \d+ 2 \S+$", said, re.M).group(0)

	def unbound(self, world):
		wrong = self.signer(FORGED)
		wrong = wrong[:-1] + ("0" if wrong[-1] != "0" else "1")
		self.root.write("etc/unbound/root.hints", f". 60 NS ns.names.example.\nns.names.example. 60 A {KNOT}\n")
		self.root.write("etc/unbound/test.conf", f"""server:
	interface: {UNBOUND}
	username: ""
	chroot: ""
	directory: "/etc/unbound"
	pidfile: ""
	do-daemonize: no
	use-syslog: no
	logfile: ""
	verbosity: 1
	do-ip6: no
	local-zone: "2.0.192.in-addr.arpa." nodefault
	root-hints: "/etc/unbound/root.hints"
	module-config: "validator iterator"
	trust-anchor: "{self.signer(SIGNED)}"
	trust-anchor: "{wrong}"
remote-control:
	control-enable: no
""")
		log = world.start(world.here, self.root.command("/usr/sbin/unbound", "-d", "-c", "/etc/unbound/test.conf"))
		log.wait("start of service")


class Dovecot:
	"""Reads the mailboxes of minimta's virtual users over IMAP, at minimta's address, and takes mail for others by LMTP."""
	password = "secret"
	domain = "lmtp.example"
	users = ("alice@" + mt.DOMAIN, "carol@" + domain, "dave@" + domain)
	socket = os.path.join(peers.FOLDER, "dovecot/run/dovecot/lmtp")
	port = 24

	def __init__(self, world, mail):
		self.root = peers.Root("dovecot", "dovecot-imapd", "dovecot-lmtpd", "dash")
		self.world = world
		self.prepare()
		os.makedirs(os.path.join(self.root.path, "srv/mail"), exist_ok=True)
		path = self.root.write("var/log/dovecot", "")
		# The mailboxes appear in its root in a mount namespace of its own, which goes with it.
		script = f'mount --bind "{mail}" "{self.root.path}/srv/mail" && exec chroot "{self.root.path}" /usr/sbin/dovecot -F'
		self.said = world.start(world.here, ["unshare", "--mount", "sh", "-c", script])
		self.log = world.follow(path)
		self.log.wait("starting up")

	def prepare(self):
		owner = pwd.getpwnam("_minimta_virtual")
		self.root.fresh("run/dovecot")
		self.root.write("etc/dovecot/users", "".join(f"{user}:{{PLAIN}}{self.password}\n" for user in self.users))
		new = mt.run(["chroot", self.root.path, "/usr/sbin/dovecot", "--version"]).stdout >= "2.4"
		self.root.write("etc/dovecot/dovecot.conf", (self.words_of_24 if new else self.words_of_23)(owner) + f"""protocols = imap lmtp
listen = {peers.MINIMTA}
ssl = no
log_path = /var/log/dovecot
first_valid_uid = 1
recipient_delimiter = +
postmaster_address = postmaster@{self.domain}
hostname = {self.domain}
service lmtp {{
	unix_listener lmtp {{
		mode = 0600
	}}
	inet_listener lmtp {{
		{"listen" if new else "address"} = {peers.MINIMTA}
		port = {self.port}
	}}
}}
""")

	@staticmethod
	def words_of_23(owner):
		return f"""disable_plaintext_auth = no
mail_location = maildir:/srv/mail/%d/%n
passdb {{
	driver = passwd-file
	args = username_format=%u /etc/dovecot/users
}}
userdb {{
	driver = static
	args = uid={owner.pw_uid} gid={owner.pw_gid} home=/srv/mail/%d/%n
}}
"""

	@staticmethod
	def words_of_24(owner):
		return f"""dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
auth_allow_cleartext = yes
mail_driver = maildir
mail_path = /srv/mail/%{{user | domain}}/%{{user | username}}
passdb passwd-file {{
	passwd_file_path = /etc/dovecot/users
}}
userdb static {{
	fields {{
		uid = {owner.pw_uid}
		gid = {owner.pw_gid}
		home = /srv/mail/%{{user | domain}}/%{{user | username}}
	}}
}}
"""

	def login(self, user):
		imap = peers.Imap(self.world.here, peers.MINIMTA)
		imap.login(user, self.password)
		return imap
