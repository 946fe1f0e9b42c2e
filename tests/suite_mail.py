#!/usr/bin/python3
"""
Whole mails from the command line: `minimtactl check mail` beside a name server, with configuration files. What the filters
find is judged in tests/unit (test_filters, test_chain); here, that a person is told.
"""
import json
import subprocess
import sys
import tempfile

import minimta_test as mt
import suites
from fake_dns import FakeDNS

ZONE = [
	"7.113.0.203.in-addr.arpa PTR mail.example.com",
	"mail.example.com A 203.0.113.7",
	"example.com TXT v=spf1 ip4:203.0.113.7 -all",
	"_dmarc.example.com TXT v=DMARC1; p=reject",
	"_dmarc.marks.example TXT v=DMARC1; p=quarantine",
	"fails.example TXT v=spf1 -all",
	"9.113.0.203.one.test A 127.0.0.2",
	"9.113.0.203.one.test TXT a known source",
	"2.0.0.127.one.test A 127.0.0.2",
]
MODES = ["trouble.example servfail", "8.113.0.203.in-addr.arpa servfail"]

HONEST = "--ip 203.0.113.7 --helo mail.example.com --from a@example.com --to anna@example.org"
MESSAGE = b"From: a@example.com\nDate: Sat, 21 Nov 2026 20:00:00 +0000\nMessage-ID: <1@example.com>\n\nhello\n"
MARKED = MESSAGE.replace(b"a@example.com", b"a@marks.example")

# Name, words behind "check mail", the configuration, the message, what the answer begins with and lines that begin so.
CASES = [
	("honest", HONEST, "", MESSAGE, ["accept with 0 points", "spf: pass +0 example.com", "dmarc: pass", "iprev: pass +0 203.0.113.7",
		"Authentication-Results: ", "Received-SPF: pass", "X-Minimta-Score: 0 of 10;"]),
	("another's name", HONEST.replace("203.0.113.7", "203.0.113.9") + " --again", "", MESSAGE, ["refuse 550 5.7.1 The domain example.com wants",
		"spf: fail +6 asks to refuse", "dmarc: fail DECIDED +10 asks to refuse", "anna@example.org: accept"]),
	("an address without a name", HONEST.replace("203.0.113.7", "203.0.113.9").replace("a@example.com", "a@none.example"),
		'filter "iprev" { mode = enforce }', MESSAGE, ["refuse 550 5.7.25 "]),
	("p=quarantine", HONEST.replace("a@example.com", "a@none.example") + " --again", "", MARKED, ["quarantine with 4 points"]),
	("a DNS list", HONEST.replace("203.0.113.7", "203.0.113.9"), 'filter "dnsbl" { lists = { one.test } mode = enforce }', MESSAGE,
		["refuse 550 5.7.1 203.0.113.9 is listed by one.test: a known source (see", "dnsbl: listed DECIDED +10"]),
	("greylisting", HONEST.replace("203.0.113.7", "203.0.113.9").replace("a@example.com", "a@none.example"), "hermes = yes", MESSAGE,
		["defer 450 4.7.1 Greylisted", "greylist: "]),
	("greylisting, and again", HONEST.replace("203.0.113.7", "203.0.113.9").replace("a@example.com", "a@none.example") + " --again",
		"hermes = yes", MESSAGE.replace(b"a@example.com", b"a@none.example"), ["accept", "greylist: passed"]),
	("one recipient of two", HONEST + " --to postmaster@example.org --to bert@example.org",
		'refuse "him" { recipient = anna@example.org text = "Not her" }', MESSAGE, ["accept", "anna@example.org: refuse 550 5.7.1 Not her",
		"postmaster@example.org: accept", "bert@example.org: accept"]),
	("other rules", HONEST + " --to bert@example.org", 'exempt "x" { recipient = bert@example.org filters = dmarc }', MESSAGE,
		["accept", "bert@example.org: split 452 4.5.3"]),
	("exempt", HONEST.replace("a@example.com", "a@fails.example") + " --again", 'filter "spf" { mode = enforce strict = yes }\n'
		'exempt "x" { host = example.com filters = { spf } }', MESSAGE.replace(b"a@example.com", b"a@none.example"), ["accept",
		"spf: fail exempt +6"]),
	("DNS in trouble", HONEST.replace("a@example.com", "a@trouble.example").replace("203.0.113.7", "203.0.113.8"), "",
		MESSAGE.replace(b"a@example.com", b"a@trouble.example"), ["accept with 0 points", "iprev: temperror +0", "spf: temperror +0",
		"dmarc: temperror +0"]),
	("the null sender", HONEST.replace("a@example.com", "<>") + " --again", "", MESSAGE.replace(b"a@example.com", b"a@none.example"), ["accept"]),
	("filters = no", HONEST, "filters = no", MESSAGE, ["accept with 0 points"]),
]

# What is wrong: words, the configuration, the exit code, what is said.
WRONG = [
	("--ip 203.0.113.7 --helo x --from a@example.com", "", 64, "expected --ip, --helo, --from and --to"),
	(HONEST.replace("203.0.113.7", "203.0.113"), "", 64, "--ip 203.0.113 is no address"),
	(HONEST.replace("a@example.com", "a@@b"), "", 64, "--from a@@b is no address"),
	(HONEST, 'filter "spff" { mode = off }', 75, ":1: there is no filter spff; did you mean spf?"),
	(HONEST, 'filter "spf" { mode = off }', 75, "it needs what spf finds, which is off"),
]


def run(dns, words, configuration, message):
	with tempfile.NamedTemporaryFile("w", suffix=".conf") as f:
		f.write(configuration + "\nhostname = mx.example.org\n")
		f.flush()
		return subprocess.run([suites.MINIMTACTL, "check", "mail", *words.split(), "--config", f.name, "--dns", f"127.0.0.1:{dns.port}"],
			input=message, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False)


def check(dns, words, configuration, message, want):
	done = run(dns, words, configuration, message)
	out = done.stdout.decode()
	if done.returncode != 0 or done.stderr:
		raise mt.Failed(f"exit {done.returncode}, {done.stderr!r}")
	if not out.startswith(want[0]):
		raise mt.Failed(f"expected {want[0]!r} first, got {out!r}")
	for line in want[1:]:
		if not any(got.startswith(line) for got in out.splitlines()):
			raise mt.Failed(f"no line {line!r} in {out!r}")


def check_json(dns):
	got = json.loads(run(dns, HONEST + " --json", "", MESSAGE).stdout)
	if got["result"] != "accept" or not got["spf"].startswith("pass") or "Received-SPF: pass" not in got["fields"]:
		raise mt.Failed(repr(got))


def check_wrong(dns, words, configuration, code, want):
	done = run(dns, words, configuration, MESSAGE)
	if done.returncode != code or done.stdout or want not in done.stderr.decode():
		raise mt.Failed(f"exit {done.returncode}, {done.stdout!r}, {done.stderr!r}")


def main():
	report = mt.Report("-v" in sys.argv[1:])
	dns = FakeDNS(ZONE, MODES)
	for name, words, configuration, message, want in CASES:
		report.case(f"check mail: {name}", check, dns, words, configuration, message, want)
	for words, configuration, code, want in WRONG:
		report.case(f"check mail: {want}", check_wrong, dns, words, configuration, code, want)
	report.case("check mail as JSON", check_json, dns)
	suites.finish(report, True)


if __name__ == "__main__":
	main()
