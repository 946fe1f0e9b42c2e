#!/usr/bin/python3
"""
Runs all tests, or the parts that are named, and counts them. ./check calls it once the packages are there.

Parts run side by side, since most of them wait more than they work: each in a process of its own, which tells what it has
to tell when it has ended. A part that measures time runs alone, at the end. With one name, or -s, nothing runs beside it.

A part is a function with a report to fill. What a part needs and does not find is a failed case, never a silent gap;
without root the parts that need it are left out with a word, but for CI, where that is a failure.
"""
import argparse
import concurrent.futures
import glob
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import minimta_test as mt

JOBS = str(max(2, os.cpu_count() or 2))
LANES = 2 * (os.cpu_count() or 2)		# parts at a time: they wait, for the disk and for one another
ORDINARY = "nobody"		# the ordinary user of the part "user"
SAN = {"SAN": "address,undefined", "CFLAGS": "-O1 -g"}


def make(*targets, **variables):
	mt.run(["make", "-s", "-j" + JOBS, *[f"{k}={v}" for k, v in variables.items()], *targets], cwd=mt.TOP)


def build(report, label="plain", **variables):
	return report.case(f"build {label}", lambda: make("all", "units", "fuzzers", WERROR=1, **variables))


def listed(variable):
	"""The words of a list in the Makefile."""
	text = open(os.path.join(mt.TOP, "Makefile")).read()
	m = re.search(rf"^{variable}\s*:=(.*?)\n\s*\n", text, re.M | re.S)
	return m.group(1).replace("\\", " ").split() if m else []


def run_unit(report, variant, name):
	# Check's own 4 seconds, and what a test says instead, are for an idle machine; this only ends what hangs.
	done = subprocess.run([f"build/{variant}/tests/unit/test_{name}"], cwd=mt.TOP, text=True, errors="replace",
		stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env={**os.environ, "CK_DEFAULT_TIMEOUT": "60", "CK_TIMEOUT_MULTIPLIER": "5"})
	m = re.search(r"Checks: (\d+), Failures: (\d+), Errors: (\d+)", done.stdout)
	if not m or int(m.group(1)) == 0:
		report.fail(f"unit {name}", f"exit {done.returncode}, no count of checks\n" + done.stdout[-3000:])
		return
	bad = int(m.group(2)) + int(m.group(3))
	for _ in range(int(m.group(1)) - bad):
		report.ok(f"unit {name}")
	for line in done.stdout.splitlines():
		if re.match(r".*?:\d+:[FE]:", line):
			report.fail(f"unit {name}", line)
	if done.returncode != 0 and bad == 0:
		report.fail(f"unit {name}", f"exit {done.returncode}\n" + done.stdout[-3000:])


def part_unit(report, variant="plain"):
	names = listed("UNIT")
	if not names:
		report.fail("unit tests", "none in the Makefile's UNIT")
	with concurrent.futures.ThreadPoolExecutor(int(JOBS)) as pool:
		list(pool.map(lambda name: run_unit(report, variant, name), names))


def part_fuzz(report, variant="plain"):
	for name in listed("FUZZ"):
		report.case(f"corpus {name}", lambda: mt.run([f"build/{variant}/tests/fuzz/fuzz_{name}", f"tests/fuzz/corpus/{name}"],
			cwd=mt.TOP))
	if not listed("FUZZ"):
		report.fail("fuzz corpora", "none in the Makefile's FUZZ")


def part_man(report):
	pages = sorted(glob.glob(os.path.join(mt.TOP, "man/*.[1-8]")))
	if not pages:
		report.fail("manual pages", "none in man/")
	for page in pages:
		report.case(f"mandoc {os.path.basename(page)}", lambda: mt.run(["mandoc", "-T", "lint", "-W", "warning", page]))
	report.case("every command has a manual", every_command_has_a_manual)


def every_command_has_a_manual():
	text = open(os.path.join(mt.TOP, "man/minimtactl.8")).read()
	told = {" ".join(m.split()[:2]) for m in re.findall(r"(?:^\.It (?:Xo )?|, )Cm ([a-z]+(?: [a-z]+)?)", text, re.M)}
	listed = re.findall(r"^  ([a-z]+(?: [a-z]+)?)(?: | [A-Z[-].*?)  ", mt.run([os.path.join(mt.BIN, "minimtactl"), "-h"]).stdout, re.M)
	if len(listed) < 40 or set(listed) - told:
		raise mt.Failed(f"of {len(listed)} commands minimtactl(8) does not explain: {sorted(set(listed) - told)}")


def every_option_has_a_manual():
	text = mt.run([os.path.join(mt.BIN, "minimta"), "-n", "-c", os.path.join(mt.TOP, "minimta.conf")]).stdout
	names = re.findall(r"^(?:# )?([a-z_0-9]+) (?:=|is not set)", text, re.M)
	manual = open(os.path.join(mt.TOP, "man/minimta.conf.5")).read()
	example = open(os.path.join(mt.TOP, "minimta.conf")).read()
	silent = [n for n in names if f"\n.It Ic {n} No" not in manual or f"\n#{n} = " not in example]
	if len(names) < 70 or silent:
		raise mt.Failed(f"of {len(names)} options these are not in minimta.conf(5) or not in minimta.conf: {silent}")


def part_conf(report):
	"""The shipped example must be right, and what -n prints must parse to the same."""
	def round_trip():
		program = os.path.join(mt.BIN, "minimta")
		once = mt.run([program, "-n", "-c", os.path.join(mt.TOP, "minimta.conf")], stderr=subprocess.PIPE).stdout
		with tempfile.NamedTemporaryFile("w", suffix=".conf") as f:
			f.write(once)
			f.flush()
			twice = mt.run([program, "-n", "-c", f.name], stderr=subprocess.PIPE).stdout
		if once != twice or "hostname" not in once:
			raise mt.Failed(f"printed first:\n{once}\nthen:\n{twice}")
	report.case("example configuration", round_trip)
	report.case("every option has a manual", every_option_has_a_manual)


def part_install(report):
	"""make install puts everything where a package would."""
	def install():
		with tempfile.TemporaryDirectory() as folder:
			make("install", DESTDIR=folder, PREFIX="/usr")
			for name in ("usr/sbin/minimta", "usr/sbin/sendmail", "usr/sbin/minimtactl", *[f"usr/bin/{n}" for n in ("mailq", "newaliases", "hoststat", "rmail", "send-mail")],
			    *[f"usr/libexec/minimta/{p}" for p in mt.CHILDREN],
			    "usr/share/man/man5/minimta.conf.5", "usr/lib/systemd/system/minimta.service", "etc/minimta/minimta.conf"):
				if not os.path.lexists(os.path.join(folder, name)):
					raise mt.Failed(f"make install has not made {name}; there are:\n" + mt.run(["find", folder, "-type", "f"]).stdout)
				if os.path.isfile(os.path.join(folder, name)) and os.stat(os.path.join(folder, name)).st_mode & 0o6000:
					raise mt.Failed(f"{name} is set-id")
			linked = mt.run(["grep", "-rlaF", "libgdbm.so", os.path.join(folder, "usr")]).stdout.split()
			if [os.path.basename(path) for path in linked] != ["lookup"]:	# README.md says so: it is a matter of licences
				raise mt.Failed(f"only lookup may be linked with gdbm; these are: {linked}")
	report.case("make install", install)
	if os.geteuid() == 0:
		python_part(report, "install.py")


def tell_now(line):
	print(line, end="", flush=True)


def python_part(report, script, label=None, env=None, command=(), options=(), tell=tell_now):
	"""A part with a program of its own, whose cases are counted from its last line."""
	path = os.path.join(mt.TOP, "tests", script)
	arguments = [*command, "/usr/bin/python3", "-B", path, *(["-v"] if report.verbose else []), *options]
	child = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
		errors="replace", env={**os.environ, **(env or {})})
	last = ""
	for line in child.stdout:
		if last:
			tell((label + ": " if label and last.startswith(("FAILED", "ok ")) else "") + last)
		last = line
	code = child.wait()
	m = re.fullmatch(r"(\d+) passed, (\d+) failed\n?", last)
	if not m or (code != 0) != (int(m.group(2)) > 0 or int(m.group(1)) == 0):
		report.fail(label or script, f"exit {code}, the last line was: {last}")
		return
	with report.lock:
		report.passed += int(m.group(1))
		report.failed += [label or script] * int(m.group(2))


def part_dialogs(report):
	python_part(report, "dialogs.py")


def part_crowd(report):
	python_part(report, "crowd.py")


def part_badday(report):
	python_part(report, "badday.py")


def part_attacks(report):
	python_part(report, "attacks.py")


def part_tools(report):
	python_part(report, "tools.py")
	python_part(report, "admin.py")
	python_part(report, "sendmail.py")
	python_part(report, "checks.py")
	python_part(report, "session.py")


def part_suites(report):
	"""Public test cases, one program for each suite."""
	for path in sorted(glob.glob(os.path.join(mt.TOP, "tests/suite_*.py"))):
		python_part(report, path)


def part_journal(report):
	"""An hour of mail with filters, and whether the server can explain it."""
	python_part(report, "mixed_hour.py")
	python_part(report, "journal.py")


def part_reload(report):
	python_part(report, "reload.py")


def as_ordinary_user(report, variant, label, scripts):
	"""With a copy of what that needs."""
	folder = tempfile.mkdtemp(prefix="minimta-user.", dir="/var/tmp")
	programs = os.path.join(folder, f"build/{variant}/bin")
	try:
		os.chmod(folder, 0o755)
		shutil.copytree(os.path.join(mt.TOP, "tests"), os.path.join(folder, "tests"))
		shutil.copytree(os.path.join(mt.TOP, f"build/{variant}/bin"), programs, symlinks=True)
		mt.run(["chown", "-R", f"{ORDINARY}:", folder])
		user = ["setpriv", f"--reuid={ORDINARY}", f"--regid={mt.run(['id', '-g', ORDINARY]).stdout.strip()}", "--clear-groups",
			"env", f"HOME={folder}", f"USER={ORDINARY}", f"LOGNAME={ORDINARY}", f"MINIMTA_TMP={folder}/tmp", f"MINIMTA_BIN={programs}"]
		for script in scripts:
			path = os.path.join(folder, "tests", script)
			if os.path.exists(path):
				python_part(report, path, label=label, command=user)
	finally:
		shutil.rmtree(folder, ignore_errors=True)


def part_user(report):
	"""The tools once more, as an ordinary user; the dialogs are run so with sanitizers."""
	if os.geteuid() == 0:		# else they have just been run so
		as_ordinary_user(report, "plain", f"as {ORDINARY}", ("tools.py", "admin.py", "sendmail.py", "session.py"))


def part_san_dialogs(report, variant):
	"""As root they have been run with the real build: so both builds and both users are there, and not all four together."""
	if os.geteuid() == 0:
		as_ordinary_user(report, variant, f"{variant}, as {ORDINARY}", ("dialogs.py",))
	else:
		python_part(report, "dialogs.py", label=variant, env={"MINIMTA_BIN": os.path.join(mt.TOP, f"build/{variant}/bin")})


def part_san(report):
	if not build(report, "with sanitizers", **SAN):
		return
	with concurrent.futures.ThreadPoolExecutor(3) as pool:
		list(pool.map(lambda part: part(report, "san"), (part_san_dialogs, part_unit, part_fuzz)))


def part_root(report):
	python_part(report, "root.py")


def part_local(report):
	python_part(report, "local.py")


def part_puppet(report):
	"""A build whose processes obey the test from inside their sandboxes."""
	if report.case("build puppet", lambda: make("all", WERROR=1, PUPPET=1)):
		python_part(report, "puppet.py", env={"MINIMTA_BIN": os.path.join(mt.TOP, "build/puppet/bin")})


def part_kill(report):
	python_part(report, "kill_sweep.py")


def part_disk(report):
	python_part(report, "disk.py")


def part_power(report):
	python_part(report, "powercut.py")


def part_interop(report):
	python_part(report, "interop.py")


PARTS = {
	"unit": part_unit, "fuzz": part_fuzz, "man": part_man, "conf": part_conf, "install": part_install, "dialogs": part_dialogs,
	"crowd": part_crowd, "badday": part_badday, "attacks": part_attacks,
	"tools": part_tools, "suites": part_suites, "journal": part_journal, "reload": part_reload, "user": part_user, "root": part_root, "local": part_local, "puppet": part_puppet, "interop": part_interop, "disk": part_disk, "kill": part_kill, "power": part_power,
	"san": part_san,
}
NEED_ROOT = ("root", "local", "puppet", "interop", "power")
ALONE = ("crowd",)
# Of those that run side by side the longest first.
FIRST = ("san", "kill", "interop", "suites", "dialogs", "unit", "badday", "user", "tools", "puppet", "power")


def left_out(report, name):
	if name not in NEED_ROOT or os.geteuid() == 0:
		return False
	if os.environ.get("CI"):
		report.fail(name, "needs root")
	else:
		print(f"-- {name}: left out, it needs root", flush=True)
	return True


def processor_s():
	"""What our children and theirs have used."""
	used = resource.getrusage(resource.RUSAGE_CHILDREN)
	return used.ru_utime + used.ru_stime


def run_here(report, name):
	print(f"-- {name}", flush=True)
	before, started, used = report.passed, time.monotonic(), processor_s()
	PARTS[name](report)
	print(f"   {report.passed - before} passed in {time.monotonic() - started:.0f} s, {processor_s() - used:.0f} s of processor time", flush=True)


def run_beside(report, name):
	"""In a process of its own; what it says is told in one piece."""
	own, said = mt.Report(report.verbose), []
	python_part(own, "check.py", options=("--built", name), tell=said.append)
	with report.lock:
		print("".join(said), end="", flush=True)
		report.passed += own.passed
		report.failed += own.failed


def run_parts(report, names):
	names = [name for name in names if not left_out(report, name)]
	beside = [name for name in names if name not in ALONE]
	beside.sort(key=lambda name: FIRST.index(name) if name in FIRST else len(FIRST))
	with concurrent.futures.ThreadPoolExecutor(LANES) as pool:
		list(pool.map(lambda name: run_beside(report, name), beside))
	for name in names:
		if name in ALONE:
			run_here(report, name)


def main():
	options = argparse.ArgumentParser(prog="./check", description="Builds minimta and runs its tests.")
	options.add_argument("-v", action="store_true", help="tell passed cases too")
	options.add_argument("-s", action="store_true", help="one part after the other")
	options.add_argument("--built", action="store_true", help=argparse.SUPPRESS)
	options.add_argument("parts", nargs="*", metavar="PART", help="of: " + ", ".join(PARTS))
	options = options.parse_args()
	unknown = [p for p in options.parts if p not in PARTS]
	if unknown:
		sys.exit(f"./check: no part {unknown[0]!r}; there are: {', '.join(PARTS)}")
	report = mt.Report(options.v)
	names = options.parts or list(PARTS)
	if options.built or build(report):
		if options.s or len(names) == 1:
			for name in names:
				if not left_out(report, name):
					run_here(report, name)
		else:
			run_parts(report, names)
	return report.finish()


if __name__ == "__main__":
	sys.exit(main())
