#!/usr/bin/python3
"""
A new machine: make install, minimta --setup, a first start with the configuration as it comes, mail, an upgrade, another
resolv.conf, make uninstall. It enters namespaces of its own first, where /etc is a copy without minimta's users, and
/usr/local, /var/spool, /var/lib and /run are empty. Needs root.

	tests/install.py [-v]
"""
import argparse
import glob
import os
import pwd
import re
import shutil
import smtplib
import subprocess
import sys

import minimta_test as mt

NAMES = ("mailq", "newaliases", "hoststat", "rmail", "send-mail")	# of sendmail
EMPTY = ("/usr/local", "/var/spool", "/var/lib", "/run", "/srv")


INSIDE = "MINIMTA_NEW_MACHINE"		# set in the namespaces, and only there


def enter_namespaces():
	"""Never again in this program: what follows would hide the real machine's folders."""
	os.environ[INSIDE] = "1"
	os.execvp("unshare", ["unshare", "-m", "-n", sys.executable, "-B", os.path.abspath(__file__), *sys.argv[1:]])


def new_machine(folder):
	"""Everything here is gone with the namespace."""
	mt.run(["mount", "--make-rprivate", "/"])
	etc = os.path.join(folder, "etc")
	shutil.copytree("/etc", etc, symlinks=True)
	shutil.rmtree(os.path.join(etc, "minimta"), ignore_errors=True)
	for name in ("passwd", "shadow", "group", "gshadow"):
		path = os.path.join(etc, name)
		lines = [line for line in open(path) if not line.startswith("_minimta_")]
		with open(path, "w") as f:
			f.writelines(lines)
	os.path.lexists(os.path.join(etc, "resolv.conf")) and os.unlink(os.path.join(etc, "resolv.conf"))
	with open(os.path.join(etc, "resolv.conf"), "w") as f:
		f.write("nameserver 127.0.0.1\n")
	with open(os.path.join(etc, "hostname"), "w") as f:
		f.write("new.example\n")
	mt.run(["mount", "--bind", etc, "/etc"])
	for path in EMPTY:
		mt.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", path])
	mt.run(["ip", "link", "set", "lo", "up"])


def make(target):
	mt.run(["make", target, "PREFIX=/usr/local", "DESTDIR="], cwd=mt.TOP)


def setup(expected=0):
	done = mt.run(["/usr/local/sbin/minimta", "--setup"], check=False)
	if done.returncode != expected:
		raise mt.Failed(f"--setup exits {done.returncode}:\n{done.stdout}")
	return done.stdout


def case_install():
	make("install")
	for path in ("/usr/local/sbin/minimta", "/usr/local/libexec/minimta/queue", "/etc/minimta/minimta.conf",
	    "/etc/systemd/system/minimta.service", *[f"/usr/local/bin/{n}" for n in NAMES]):
		if not os.path.exists(path):
			raise mt.Failed(f"{path} is missing")
	unit = open("/etc/systemd/system/minimta.service").read()
	if "@PREFIX@" in unit or "ExecStart=/usr/local/sbin/minimta -f" not in unit:
		raise mt.Failed("the unit does not name the program")


def case_start_without_users():
	done = mt.run(["/usr/local/sbin/minimta"], check=False)
	if done.returncode != 1:
		raise mt.Failed(f"exit {done.returncode}: {done.stdout}")
	done = mt.run(["/usr/local/sbin/minimta", "-f"], check=False)
	if "--setup" not in done.stdout:
		raise mt.Failed(f"it does not say what to do: {done.stdout}")


def case_setup():
	os.unlink("/etc/minimta/minimta.conf")
	os.rmdir("/etc/minimta")
	said = setup()
	for what in ("configuration /etc/minimta/minimta.conf", "user _minimta_smtpd", "user _minimta_virtual",
	    "directory /var/spool/minimta", "directory /var/lib/minimta", "directory /run/minimta/empty"):
		if not re.search(rf"^made +{what}$", said, re.M):
			raise mt.Failed(f"not said to be made: {what}\n{said}")
	if os.path.realpath("/usr/sbin/sendmail") != "/usr/local/sbin/sendmail" and \
	    not re.search("^Programs call /usr/sbin/sendmail, which .*: ln -sf /usr/local/sbin/sendmail /usr/sbin/sendmail$", said, re.M):
		raise mt.Failed(f"it does not say where programs look for sendmail:\n{said}")
	if open("/etc/minimta/minimta.conf").read() != open(os.path.join(mt.TOP, "minimta.conf")).read():
		raise mt.Failed("the configuration is not the example")
	st = os.stat("/var/spool/minimta")
	if pwd.getpwuid(st.st_uid).pw_name != "_minimta_queue" or st.st_mode & 0o777 != 0o700:
		raise mt.Failed(f"the spool has mode {st.st_mode:o} and owner {st.st_uid}")


def case_setup_again():
	with open("/etc/minimta/minimta.conf", "a") as f:
		f.write('virtual_directory = "/srv/mail"\n')
	said = setup()
	made = re.findall(r"^made +(.*)$", said, re.M)
	if made != ["directory /srv/mail"]:
		raise mt.Failed(f"made: {made}\n{said}")
	if pwd.getpwuid(os.stat("/srv/mail").st_uid).pw_name != "_minimta_virtual":
		raise mt.Failed("the virtual directory has another owner")
	if re.findall(r"^made", setup(), re.M):
		raise mt.Failed("the third time something is made")


def case_setup_mistakes():
	with open("/etc/minimta/wrong.conf", "w") as f:
		f.write("hostnam = x\n")
	done = mt.run(["/usr/local/sbin/minimta", "--setup", "-c", "/etc/minimta/wrong.conf"], check=False)
	if done.returncode != 78 or "wrong.conf:1:" not in done.stdout:
		raise mt.Failed(f"exit {done.returncode}: {done.stdout}")
	os.unlink("/etc/minimta/wrong.conf")
	done = mt.run(["setpriv", "--reuid=65534", "--clear-groups", "/usr/local/sbin/minimta", "--setup"], check=False)
	if done.returncode != 77 or "root" not in done.stdout:
		raise mt.Failed(f"as an ordinary user: exit {done.returncode}: {done.stdout}")


def wait_mail(pattern, text):
	found = mt.Lines(subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True).stdout)
	found.wait_for(lambda: any(text in open(p, errors="replace").read() for p in glob.glob(pattern)), f"no mail with {text} in {pattern}")


def case_first_start():
	"""In the background, on port 25, with what --setup wrote and a name."""
	with open("/etc/minimta/minimta.conf", "a") as f:
		f.write("hostname = new.example\n")
	mt.run(["/usr/local/sbin/minimta"])
	with smtplib.SMTP("127.0.0.1", 25, "client.example", mt.DEADLINE) as s:
		s.sendmail("a@client.example", ["root@new.example"], "Subject: first\n\nfrom the net\n")
	wait_mail("/var/lib/minimta/root/Maildir/new/*", "from the net")
	subprocess.run(["/usr/local/sbin/sendmail", "root"], input="Subject: second\n\nfrom a program\n", text=True, check=True)
	wait_mail("/var/lib/minimta/root/Maildir/new/*", "from a program")
	for name in ("send-mail", "rmail"):
		subprocess.run([f"/usr/local/bin/{name}", "root"], input=f"Subject: x\n\nby {name}\n", text=True, check=True)
		wait_mail("/var/lib/minimta/root/Maildir/new/*", f"by {name}")
	for name in ("hoststat", "mailq", "newaliases"):
		mt.run([f"/usr/local/bin/{name}"])


def case_upgrade():
	"""make install over a running server, and a reload: all processes but minimta itself are new."""
	before = status()
	make("install")
	done = mt.run(["/usr/local/sbin/minimtactl", "reload"])
	if "restart it" not in done.stdout:
		raise mt.Failed(f"not said that minimta itself needs a restart: {done.stdout}")
	after = status()
	same = [name for name in mt.CHILDREN if before[name] == after[name]]
	if same:
		raise mt.Failed(f"not replaced: {same}")
	with smtplib.SMTP("127.0.0.1", 25, "client.example", mt.DEADLINE) as s:
		s.sendmail("a@client.example", ["root@new.example"], "Subject: third\n\nafter the upgrade\n")
	wait_mail("/var/lib/minimta/root/Maildir/new/*", "after the upgrade")


def status():
	said = mt.run(["/usr/local/sbin/minimtactl", "-j", "status"]).stdout
	import json
	return {p["name"]: p["pid"] for p in json.loads(said)["processes"] if p.get("state") == "running" or "pid" in p}


def case_stop():
	pid = status()["queue"]
	mt.run(["/usr/local/sbin/minimtactl", "stop"])
	lines = mt.Lines(subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True).stdout)
	lines.wait_for(lambda: not mt.alive(pid) and not os.path.exists("/run/minimta/control"), "it does not stop")


def case_resolv_conf(folder):
	"""A new resolver asks the new servers, at once and without a pause."""
	server = mt.Server()
	with server:
		server.honest_mail()
		mark, old = server.log.mark(), server.pids()["resolver"]
		with open("/etc/resolv.conf.new", "w") as f:
			f.write("nameserver 127.0.0.2\n")
		os.rename("/etc/resolv.conf.new", "/etc/resolv.conf")
		server.move_clock(6)
		server.log.wait(r"event=replacing what=\"/etc/resolv\.conf has changed\"", mark)
		server.log.wait(r"event=replaced", mark)
		server.log.wait(rf"event=drained process=resolver pid={old} exit=0", mark)
		server.move_clock(6)
		if len(server.log.find(r"event=replacing", mark)) != 1:
			raise mt.Failed("replaced again without a reason")
		server.honest_mail()


def case_uninstall():
	make("uninstall")
	left = mt.run(["find", "/usr/local", "-not", "-type", "d"]).stdout
	if left:
		raise mt.Failed(f"left:\n{left}")
	for path in ("/etc/minimta/minimta.conf", "/var/spool/minimta", "/var/lib/minimta"):
		if not os.path.exists(path):
			raise mt.Failed(f"{path} is gone")


def main():
	options = argparse.ArgumentParser(description="A new machine.")
	options.add_argument("-v", action="store_true")
	report = mt.Report(options.parse_args().v)
	if os.environ.pop(INSIDE, None) is None:
		enter_namespaces()
	folder = mt.temporary()
	try:
		if report.case("a new machine", new_machine, folder):
			for name, test in [(n[5:], f) for n, f in globals().items() if n.startswith("case_")]:
				report.case(name.replace("_", " "), *([test, folder] if name == "resolv_conf" else [test]))
	finally:
		subprocess.run(["umount", "/etc"])
		shutil.rmtree(folder, ignore_errors=True)
	return report.finish()


if __name__ == "__main__":
	sys.exit(main())
