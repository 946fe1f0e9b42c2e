"""
The clients that people have towards minimta's port (smtplib, swaks, msmtp, curl, s-nail, git send-email), and those who
call sendmail: cron, s-nail, and scripts with flags of forty years. Cases of interop.py, whose class they get.
"""
import functools
import os
import subprocess

import minimta_test as mt
import peers

TO = "alice@here.example"
LETTER = "From: c@client.example\nTo: alice@here.example\nSubject: {}\n\n.a dot first\n\n.\nlast \u20ac\n"
ARRIVES = ".a dot first\n\n.\nlast \u20ac\n"
# What stands in front of the recipient, and means nothing to us or little. (tests/sendmail.py has what each flag does.)
ODD_FLAGS = ("-i", "-oi", "-oitrue", "-oem -i", "-oee -i", "-oep -i", "-odb -i", "-odi -i", "-B 7BIT -i", "-B8BITMIME -i", "-O DeliveryMode=b -i",
	"-OsomethingUnknown=1 -i", "-o x -i", "-oA/etc/aliases -i", "-h 20 -i", "-n -i", "-m -i", "-L tag -i", "-Am -i", "-Ac -i", "-U -i", "-G -i", "-X /dev/null -i",
	"-p ESMTP:here -i", "-bm -i", "-N never -i", "-R hdrs -V id42 -i", "-fc@client.example -i", "-r c@client.example -i",
	"-F Full -i", "-FName -i", "-v -i", "-e m -i")


def arrived(interop, subject, body=ARRIVES, text=None):
	mail = interop.wait_alice(text or f"Subject: {subject}\n")
	if body is not None and not mail.decode().endswith("\n\n" + body):
		raise mt.Failed(f"arrived as {mail.decode(errors='replace')}")
	return mail.decode()


def tool(interop, *command, text="", inside=True):
	"""Runs a client beside minimta, in the root of the clients."""
	command = interop.tools.command(*command) if inside else command
	done = subprocess.run([*peers.within(interop.peers.here), *command], input=text, text=True, errors="replace", stdout=subprocess.PIPE,
		stderr=subprocess.STDOUT, timeout=mt.DEADLINE, env={"PATH": "/usr/bin:/usr/sbin", "HOME": "/root", "LC_ALL": "C"})
	if done.returncode != 0:
		raise mt.Failed(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout[-1500:]}")
	return done.stdout


def smtplib(interop):
	with interop.client() as s:
		s.ehlo()
		missing = [e for e in ("pipelining", "8bitmime", "smtputf8", "chunking", "size", "enhancedstatuscodes") if not s.has_extn(e)]
		if missing:
			raise mt.Failed(f"not announced: {missing}")
		s.sendmail("c@client.example", [TO], LETTER.format("by-smtplib").encode().replace(b"\n", b"\r\n"))
	arrived(interop, "by-smtplib")


def swaks(interop):
	for n, more in enumerate(([], ["--helo", "swaks.example", "--protocol", "SMTP"], ["--pipeline"])):
		tool(interop, "swaks", "--server", peers.MINIMTA, "--to", TO, "--from", "s@client.example", "--header", f"Subject: by-swaks-{n}",
			*more, inside=False)
		arrived(interop, f"by-swaks-{n}", None)


def msmtp(interop):
	tool(interop, "msmtp", f"--host={peers.MINIMTA}", "--from=c@client.example", TO, text=LETTER.format("by-msmtp"))
	arrived(interop, "by-msmtp")


def curl(interop):
	tool(interop, "curl", "-sS", f"smtp://{peers.MINIMTA}/client.example", "--mail-from", "c@client.example", "--mail-rcpt", TO,
		"--mail-rcpt", "bob@demo.example", "--crlf", "-T", "-", text=LETTER.format("by-curl"))
	arrived(interop, "by-curl")


def s_nail(interop):
	tool(interop, "s-nail", "-:/", "-Sv15-compat", f"-Smta=smtp://{peers.MINIMTA}:25", "-Ssmtp-config=-all", "-Ssmtp-auth=none",
		"-Ssmtp-hostname=client.example", "-Shostname=client.example", "-Sttycharset=utf-8", "-Ssendwait", "-r", "c@client.example",
		"-s", "by-s-nail", TO, text="Hello \u20ac\n.dot\n")
	arrived(interop, "by-s-nail", None)


def git_send_email(interop):
	"""Two patches in one thread, by SMTP."""
	interop.tools.fresh("root/repository")
	git = ["git", "-C", "/root/repository", "-c", "user.name=Carla", "-c", "user.email=c@client.example"]
	tool(interop, *git, "init", "-q")
	for name in ("one", "two"):
		interop.tools.write("root/repository/" + name, f".{name}\n")
		tool(interop, *git, "add", name)
		tool(interop, *git, "commit", "-q", "-m", f"by-git {name}")
	tool(interop, *git, "format-patch", "-q", "--root", "-o", "/root/repository/out")
	tool(interop, *git, "send-email", "--quiet", "--confirm=never", "--suppress-cc=all", f"--smtp-server={peers.MINIMTA}", "--smtp-domain=client.example",
		"--from=c@client.example", f"--to={TO}", "/root/repository/out")
	first = arrived(interop, "", None, "Subject: [PATCH 1/2] by-git one\n")
	second = arrived(interop, "", None, "Subject: [PATCH 2/2] by-git two\n")
	thread = [line.split(" ")[1] for line in first.splitlines() if line.lower().startswith("message-id:")][0]
	if f"In-Reply-To: {thread}\n" not in second or "+.two\n" not in second:
		raise mt.Failed(f"the second patch arrived as {second}")


# Those who call sendmail.

def sendmail(interop, *arguments, text, user=None):
	command = [os.path.join(mt.BIN, "sendmail"), *arguments]
	if user:
		group = mt.run(["id", "-g", user]).stdout.strip()
		command = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", *command]
	done = subprocess.run(command, input=text, text=True, errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
		timeout=mt.DEADLINE, env={**os.environ, "MINIMTA_CONTROL": interop.server.control})
	if done.returncode != 0:
		raise mt.Failed(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout[-1500:]}")
	return done.stdout


def cron(interop):
	"""Debian's cron, cronie and systemd-cron, as root and for a user; what cron mails has a To and no date."""
	for n, (flags, user) in enumerate((("-i -FCronDaemon -B8BITMIME -oem", None), ("-FCronDaemon -i -odi -oem -oi -t -f root", None),
	    ("-FCronDaemon -i -B8BITMIME -oem", "nobody"))):
		subject = f"Cron <root@here> echo {n}"
		words = flags.split()
		said = sendmail(interop, *words, *([] if "-t" in words else ["root"]), user=user, text=f"From: root (Cron Daemon)\nTo: root\nSubject: {subject}\n"
			"MIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit\nX-Cron-Env: <SHELL=/bin/sh>\n\n.\n\u20ac\n")
		mail = arrived(interop, subject, ".\n\u20ac\n")
		if said or "\nDate: " not in mail or "\nMessage-ID: <" not in mail or "(Cron Daemon)" not in mail:
			raise mt.Failed(f"said {said!r}, arrived as {mail}")


def odd_flags(interop):
	for n, flags in enumerate(ODD_FLAGS):
		try:
			sendmail(interop, *flags.split(), TO, text=LETTER.format(f"odd-{n}."))
		except mt.Failed as e:
			raise mt.Failed(f"with {flags}: {e}")
	for n, _ in enumerate(ODD_FLAGS):
		arrived(interop, f"odd-{n}.")


def s_nail_by_sendmail(interop):
	"""s-nail and its kin call a sendmail program."""
	root = interop.tools.path
	loader = [os.path.join(root, "usr/lib64/ld-linux-x86-64.so.2"), "--library-path", os.path.join(root, "usr/lib/x86_64-linux-gnu")]
	environment = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", "MINIMTA_CONTROL": interop.server.control}
	done = subprocess.run([*loader, os.path.join(root, "usr/bin/s-nail"), "-:/", "-Sv15-compat", f"-Smta=file://{mt.BIN}/sendmail", "-Ssendwait",
		"-Sttycharset=utf-8", "-r", "c@client.example", "-s", "by-mailx", "-c", "bob@demo.example", TO], input="Hello \u20ac\n.\nafter the dot\n", text=True,
		errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=mt.DEADLINE, env=environment)
	if done.returncode != 0:
		raise mt.Failed(f"s-nail: exit {done.returncode}\n{done.stdout}")
	mail = arrived(interop, "by-mailx", None)
	if "\nCc: bob@demo.example" not in mail:
		raise mt.Failed(f"arrived as {mail}")
	interop.server.log.wait_for(lambda: any(b"by-mailx" in m for m in interop.server.mailbox("bob")), "bob has no copy")


CASES = (smtplib, swaks, msmtp, curl, s_nail, git_send_email, cron, odd_flags, s_nail_by_sendmail)


def cases(interop):
	return [(case.__name__, functools.partial(case, interop)) for case in CASES]
