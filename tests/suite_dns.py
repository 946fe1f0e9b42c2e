#!/usr/bin/python3
"""
DMARC, DNS lists and reverse names from the command line: `minimtactl check dmarc|dnsbl|iprev` beside a name server. The
cases are our own, after the examples of RFC 9989, 5782 and 8601; what is judged in detail is in tests/unit.
"""
import json
import subprocess
import sys

import minimta_test as mt
import suites
from fake_dns import FakeDNS

ZONE = [
	"_dmarc.example.com TXT v=DMARC1; p=reject; sp=quarantine; np=none; rua=mailto:d@example.com",
	"news.example.com A 198.51.100.1",
	"_dmarc.testing.example TXT v=DMARC1; p=reject; t=y",
	"_dmarc.suffix TXT v=DMARC1; p=reject; psd=y; rua=mailto:d@nic.suffix",
	"_dmarc.twice.example TXT v=DMARC1; p=reject",
	"_dmarc.twice.example TXT v=DMARC1; p=none",
	"7.113.0.203.one.test A 127.0.0.2",
	"7.113.0.203.one.test TXT Listed, see http://one.test/7",
	"7.113.0.203.two.test A 127.0.0.10",
	"7.113.0.203.refuses.test A 127.255.255.254",
	"2.0.0.127.one.test A 127.0.0.2",
	"2.0.0.127.all.test A 127.0.0.2",
	"1.0.0.127.all.test A 127.0.0.2",
	"bad.example.names.test A 127.0.1.2",
	"test.names.test A 127.0.1.2",
	"7.113.0.203.in-addr.arpa PTR mail.example.com",
	"mail.example.com A 203.0.113.7",
	"8.113.0.203.in-addr.arpa PTR mail.example.com",
	"9.113.0.203.in-addr.arpa PTR 203-0-113-9.dyn.example.net",
	"203-0-113-9.dyn.example.net A 203.0.113.9",
]
MODES = ["fail.example servfail", "slow.test servfail", "10.113.0.203.in-addr.arpa servfail"]

# Words behind "check", and what the answer begins with or has in it, line by line.
CASES = [
	("dmarc --header-from example.com --spf pass:example.com", ["pass p=reject", "policy-domain: example.com"]),
	("dmarc --header-from news.example.com --dkim pass:mail.example.com", ["pass p=quarantine"]),
	("dmarc --header-from news.example.com --spf pass:example.net --dkim fail:news.example.com", ["fail p=quarantine"]),
	("dmarc --header-from ghost.example.com", ["fail p=none", "published: np=none"]),
	("dmarc --header-from testing.example", ["fail p=quarantine", "published: p=reject, t=y"]),
	("dmarc --header-from a.b.suffix --dkim pass:b.suffix", ["pass p=reject", "organization: b.suffix"]),
	("dmarc --header-from a.b.suffix --dkim pass:c.suffix", ["fail p=reject"]),
	("dmarc --header-from twice.example", ["none "]),
	("dmarc --header-from none.example --spf pass:none.example", ["none "]),
	("dmarc --header-from fail.example", ["temperror "]),
	("dmarc --header-from example.com --dkim temperror:example.com", ["temperror p=reject"]),
	("dmarc --header-from a.b.c.d.e.f.g.h.i.j.mail.none.example", ["none ", "questions: 8"]),
	("dmarc --header-from [192.0.2.1]", ["permerror "]),
	("dnsbl --ip 203.0.113.7 --list one.test*5 --list two.test*3", ["listed by 2 of 2 lists (100 %), score 8",
		"one.test: listed 127.0.0.2: Listed, see http://one.test/7"]),
	("dnsbl --ip 203.0.113.7 --list one.test=127.0.0.3-9 --list two.test=&8", ["listed by 1 of 2 lists (50 %)",
		"one.test: not-listed 127.0.0.2: listed with a code that does not count"]),
	("dnsbl --ip 203.0.113.8 --list one.test", ["not-listed by 0 of 1"]),
	("dnsbl --ip 203.0.113.7 --list refuses.test --list slow.test", ["temperror ", "refuses.test: trouble 127.255.255.254"]),
	("dnsbl --ip 127.0.0.2 --list one.test", ["not-asked by 0 of 0", "one.test: not-asked: not a public address"]),
	("dnsbl --domain bad.example --list names.test", ["listed by 1 of 1"]),
	("dnsbl --test --list one.test --list all.test --list none.test", ["healthy one.test", "lists-all all.test", "dead none.test"]),
	("dnsbl --test --domains --list names.test", ["healthy names.test"]),
	("iprev --ip 203.0.113.7", ["pass ", "name: mail.example.com", "looks: own"]),
	("iprev --ip 203.0.113.7 --helo mail.example.com", ["pass ", "helo: the reverse name"]),
	("iprev --ip 203.0.113.8", ["fail "]),
	("iprev --ip 203.0.113.9", ["pass ", "looks: dynamic"]),
	("iprev --ip 203.0.113.10", ["temperror "]),
	("iprev --ip 203.0.113.11", ["permerror "]),
	("iprev --ip 2001:db8::1", ["permerror "]),
]

WRONG = [
	("dmarc", "expected --header-from"),
	("dmarc --header-from example.com --spf example.com", "expected one like pass:example.com"),
	("dmarc --header-from example.com more", "expected --header-from"),
	("dnsbl --list one.test", "expected one of --ip"),
	("dnsbl --ip 203.0.113.7", "expected --list"),
	("dnsbl --ip 203.0.113.7 --list one.test=1.2.3.4", "expected 127.0.0.2"),
	("dnsbl --ip 203.0.113 --list one.test", "is no address"),
	("iprev", "expected --ip"),
	("iprev --ip mail.example.com", "is no address"),
]


def check(dns, words, want):
	out = suites.minimtactl("check", *words.split(), "--dns", f"127.0.0.1:{dns.port}")
	if not out.startswith(want[0]):
		raise mt.Failed(f"expected {want[0]!r} first, got {out!r}")
	for line in want[1:]:
		if not any(got.startswith(line) for got in out.splitlines()):
			raise mt.Failed(f"no line {line!r} in {out!r}")


def check_json(dns, words, result):
	out = suites.minimtactl("check", *words.split(), "--json", "--dns", f"127.0.0.1:{dns.port}")
	got = json.loads(out)
	if (got[0] if isinstance(got, list) else got)["result"] != result:
		raise mt.Failed(f"expected {result}, got {out!r}")


def check_wrong(words, want):
	done = subprocess.run([suites.MINIMTACTL, "check", *words.split()], stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60,
		check=False)
	if done.returncode != 64 or done.stdout or want not in done.stderr.decode():
		raise mt.Failed(f"exit {done.returncode}, {done.stdout!r}, {done.stderr!r}")


def main():
	report = mt.Report("-v" in sys.argv[1:])
	dns = FakeDNS(ZONE, MODES)
	for words, want in CASES:
		report.case(f"check {words}", check, dns, words, want)
	for words, want in WRONG:
		report.case(f"check {words}: wrong", check_wrong, words, want)
	report.case("check dmarc as JSON", check_json, dns, "dmarc --header-from example.com", "fail")
	report.case("check dnsbl as JSON", check_json, dns, "dnsbl --ip 203.0.113.7 --list one.test", "listed")
	report.case("check dnsbl --test as JSON", check_json, dns, "dnsbl --test --list one.test --list all.test", "healthy")
	report.case("check iprev as JSON", check_json, dns, "iprev --ip 203.0.113.7", "pass")
	suites.finish(report, True)


if __name__ == "__main__":
	main()
