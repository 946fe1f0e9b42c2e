#!/usr/bin/python3
"""
The openspf suite for RFC 7208: each case is one `minimtactl check spf`, with a name server that has the scenario's zone.
All cases agree with the RFC as minimta reads it; none is left out.
"""
import concurrent.futures
import ctypes
import re
import sys

import yaml

import minimta_test as mt
import suites
from fake_dns import FakeDNS

SUITE = "rfc7208-tests.yml"
CASES = 203


def txt_strings(value):
	"""The strings of a TXT record as bytes: what is longer than a string may be goes into several."""
	parts = [p.encode("latin-1") for p in (value if isinstance(value, list) else [value])]
	return [p[i:i + 255] for p in parts for i in range(0, len(p) or 1, 255)] or [b""]


def serve(zonedata):
	"""Records of type SPF are served as TXT where there are no others, and "TXT: NONE" says that there shall be none."""
	dns = FakeDNS()
	for name, rows in (zonedata or {}).items():
		rows = [("TIMEOUT", None) if row == "TIMEOUT" else next(iter(row.items())) for row in rows]
		has_txt = any(kind == "TXT" for kind, _ in rows)
		for kind, value in rows:
			if kind == "SPF" and not has_txt:
				kind = "TXT"
			if kind == "SPF" or (kind == "TXT" and value == "NONE"):
				continue
			if kind == "TXT":
				value = txt_strings(value)
			elif kind == "MX":
				value = f"{value[0]} {value[1]}"
			dns.put(str(name), kind, value)
		dns.zone.setdefault(str(name).lower(), [])
	return dns


def library_is_strict():
	"""Debian 12's c-ares asks for every name, Debian 13's for those only that hosts may have; that is said, as a temperror."""
	library = ctypes.CDLL("libcares.so.2")
	library.ares_version.restype = ctypes.c_char_p
	return [int(n) for n in library.ares_version(None).split(b".")] > [1, 18, 1]


def try_case(dns, case):
	wanted = case["result"] if isinstance(case["result"], list) else [case["result"]]
	said = suites.minimtactl("check", "spf", "--dns", f"127.0.0.1:{dns.port}", "--ip", str(case["host"]), "--helo",
		str(case["helo"]), "--from", str(case["mailfrom"]))
	lines = said.splitlines()
	if library_is_strict() and re.match(r"temperror .*: the DNS library asks for no such name$", lines[0]):
		return
	if lines[0].split()[0] not in wanted:
		raise mt.Failed(f"expected {' or '.join(wanted)}, it says: {said}\n{case}")
	explanations = [line.split(": ", 1)[1] for line in lines[1:] if line.startswith("explanation: ")]
	# "DEFAULT" is what one says oneself when the domain has no explanation.
	if "explanation" in case and explanations != ([] if case["explanation"] == "DEFAULT" else [str(case["explanation"])]):
		raise mt.Failed(f"expected the explanation {case['explanation']!r}, it says: {said}\n{case}")


def main():
	report = mt.Report("-v" in sys.argv[1:])
	file = suites.open_suite(report, SUITE, CASES)
	if file is None:
		suites.finish(report, False)
	with file, concurrent.futures.ThreadPoolExecutor(12) as pool:
		for scenario in yaml.safe_load_all(file):
			if not scenario:
				continue
			dns = serve(scenario["zonedata"])
			for name, case in scenario["tests"].items():
				pool.submit(report.case, f"spf: {scenario['description']}: {name}", try_case, dns, case)
	if report.passed + len(report.failed) != CASES:
		report.fail(SUITE, f"has {report.passed + len(report.failed)} cases, expected {CASES}")
	suites.finish(report, True)


if __name__ == "__main__":
	main()
