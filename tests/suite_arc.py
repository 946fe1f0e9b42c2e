#!/usr/bin/python3
"""
ValiMail's ARC suite, the half about validation: each case is one `minimtactl check arc`, with a name server that has the
scenario's keys. Names that are doubled are cases of their own; those without a result are left out.

Two cases say "pass" for rsa-sha1, for they are older than RFC 8301, whose 3.1 says that rsa-sha1 must not be used for
verifying. There the RFC wins: DIFFERENT has what is expected instead.
"""
import concurrent.futures
import sys

import yaml

import minimta_test as mt
import suites
from fake_dns import FakeDNS

SUITE = "arc-validation-tests.yml"
CASES = 171
DIFFERENT = {"ams_fields_a_sha1": "fail", "as_fields_a_sha1": "fail"}


def pairs(node):
	"""A mapping as a list, so that doubled keys are kept."""
	return [(key.value, value) for key, value in node.value]


def scenarios(file):
	for document in yaml.compose_all(file, Loader=yaml.SafeLoader):
		if document is None:
			continue
		parts = dict(pairs(document))
		keys = {name: text.value for name, text in pairs(parts["txt-records"])} if parts.get("txt-records") else {}
		cases = []
		for name, node in pairs(parts["tests"]):
			case = {key: value.value for key, value in pairs(node)}
			if case.get("cv", "").strip():
				cases.append((name, case))
		yield parts["description"].value, keys, cases


def serve(keys):
	dns = FakeDNS()
	for name, text in keys.items():
		dns.put(name, "TXT", text)
	return dns


def try_case(dns, name, case):
	wanted = DIFFERENT.get(name, case["cv"].strip().lower())
	said = suites.minimtactl("check", "arc", "--dns", f"127.0.0.1:{dns.port}", stdin=case["message"].encode())
	if (said.split() or [""])[0] != wanted:
		raise mt.Failed(f"expected {wanted}, it says: {said}\n{case['description']}\n{case['message']}")


def main():
	report = mt.Report("-v" in sys.argv[1:])
	file = suites.open_suite(report, SUITE, CASES)
	if file is None:
		suites.finish(report, False)
	with file, concurrent.futures.ThreadPoolExecutor(4) as pool:
		for description, keys, cases in scenarios(file):
			dns = serve(keys)
			for name, case in cases:
				pool.submit(report.case, f"arc: {description}: {name}", try_case, dns, name, case)
	if report.passed + len(report.failed) != CASES:
		report.fail(SUITE, f"has {report.passed + len(report.failed)} cases, expected {CASES}")
	suites.finish(report, True)


if __name__ == "__main__":
	main()
