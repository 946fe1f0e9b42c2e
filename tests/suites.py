"""
Public test cases, which are not part of minimta: where they are, and what is said where they are not. A suite is a program
tests/suite_NAME.py; ./check runs them all as its part "suites".

From the environment: MINIMTA_SUITES, the folder (shared/suites beside the folder of the sources).
"""
import os
import subprocess
import sys

import minimta_test as mt

FOLDER = os.environ.get("MINIMTA_SUITES") or os.path.join(os.path.dirname(mt.TOP), "shared/suites")
MINIMTACTL = os.path.join(mt.BIN, "minimtactl")


def open_suite(report, name, cases):
	"""
	The file, or None: not there, which is a failure in CI and elsewhere a line that says how many cases were not tried.
	"""
	path = os.path.join(FOLDER, name)
	if os.path.exists(path):
		return open(path, encoding="utf-8")
	if os.environ.get("CI"):
		report.fail(name, f"is not in {FOLDER}")
	else:
		print(f"{name} is not in {FOLDER}: {cases} cases were not tried", flush=True)
	return None


def minimtactl(*words, stdin=b""):
	"""What a check says: standard output as text. One that could not run is a failure."""
	done = subprocess.run([MINIMTACTL, *words], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
	if done.returncode != 0 or done.stderr:
		raise mt.Failed(f"{' '.join(words)}: exit {done.returncode}, {done.stderr.decode(errors='replace')}")
	return done.stdout.decode(errors="replace")


def finish(report, tried):
	"""The last line and the end of the program; nothing tried is no failure, for that has been said."""
	code = report.finish()
	sys.exit(code if tried or report.failed else 0)
