#!/usr/bin/python3
"""
DMARC against a model of RFC 9989: the walk, the policy and the alignment as sections 4.7 to 4.10 say them step by step, one
question after the other and without a thought about cost, over made-up zones. `minimtactl check dmarc` must find the same.
"""
import random
import sys

import minimta_test as mt
import suites
from fake_dns import FakeDNS

ZONES = 80
MESSAGES = 5			# for each zone
SEED = 9989
POLICIES = ("none", "quarantine", "reject")
# What a record may say, and how often it does.
TAGS = {
	"p": (0.9, POLICIES + ("reject", "Reject", "rejected")),
	"sp": (0.3, POLICIES + ("all",)),
	"np": (0.3, POLICIES),
	"psd": (0.3, ("y", "n", "u", "Y")),
	"t": (0.2, ("y", "n")),
	"adkim": (0.3, ("s", "r")),
	"aspf": (0.3, ("s", "r")),
	"rua": (0.4, ("mailto:a@reports.example", "nonsense")),
	"pct": (0.1, ("0",)),
}


def parse(text):
	"""4.7, 4.8: {tag: value}, or None for what is no record."""
	version, *rest = (part.strip() for part in text.split(";"))
	if version.replace(" ", "") != "v=DMARC1":
		return None
	tags = {}
	for part in rest:
		name, _, value = part.partition("=")
		tags.setdefault(name.strip(), value.strip().lower())
	return tags


class Model:
	def __init__(self, records, names):
		self.records, self.names = records, names

	def record(self, domain):
		"""4.10, 2 and 6: what is left when all that is none is thrown away, and both of two."""
		found = [tags for tags in map(parse, self.records.get(domain, ())) if tags is not None]
		return found[0] if len(found) == 1 else None

	def exists(self, domain):
		return any(name == domain or name.endswith("." + domain) for name in self.names)

	def walk(self, start):
		"""4.10: [(domain, record)] from the longest to the shortest."""
		found, labels, n = [], start.split("."), len(start.split("."))
		while n > 0:
			domain = ".".join(labels[-n:])
			record = self.record(domain)
			if record is not None:
				found.append((domain, record))
				if record.get("psd") in ("y", "n"):
					break
			n = n - 1 if n < 8 else 7
		return found

	def organization(self, start):
		"""4.10.2"""
		found = self.walk(start)
		for domain, record in found:
			if record.get("psd") == "n":
				return domain
			if record.get("psd") == "y" and domain != start:
				return ".".join(start.split(".")[-(domain.count(".") + 2):])
		return found[-1][0] if found else start

	def policy_record(self, author):
		"""4.10.1: the author's own, the organization's, the public suffix'."""
		suffixes = [domain for domain, record in self.walk(author) if record.get("psd") == "y"]
		for domain in [author, self.organization(author)] + suffixes:
			if self.record(domain) is not None:
				return domain, dict(self.record(domain))
		return None, None

	def policy(self, author, domain, record):
		"""4.7 and 4.10.1; None: the record is not applied."""
		if any(record.get(tag, "none") not in POLICIES for tag in ("p", "sp", "np")):
			if not record.get("rua", "").startswith("mailto:"):
				return None
			record = {"p": "none", "t": record.get("t")}
		policy = record.get("p", "none")
		if domain != author:
			policy = record.get("sp", policy)
			if not self.exists(author):
				policy = record.get("np", policy)
		if record.get("t") == "y":
			policy = POLICIES[max(0, POLICIES.index(policy) - 1)]
		return policy

	def is_aligned(self, author, record, method, domain):
		strict = record.get("adkim" if method == "dkim" else "aspf") == "s"
		return domain == author or (not strict and self.organization(domain) == self.organization(author))

	def evaluate(self, author, passed):
		"""What is to be said first."""
		domain, record = self.policy_record(author)
		policy = self.policy(author, domain, record) if record is not None else None
		if policy is None:
			return "none"
		result = "pass" if any(self.is_aligned(author, record, *one) for one in passed) else "fail"
		return f"{result} p={policy}:"


def some_domain(chance):
	below = [chance.choice("abc") for _ in range(chance.choice((0, 1, 1, 2, 3, 7, 9)))]
	return ".".join(below + [chance.choice(("one", "two")), chance.choice(("test", "example"))])


def some_record(chance):
	if chance.random() < 0.05:
		return "another kind of record"
	tags = [f"{name}={chance.choice(values)}" for name, (share, values) in TAGS.items() if chance.random() < share]
	chance.shuffle(tags)
	return chance.choice(("; ", ";", " ; ")).join(["v=DMARC1"] + tags) + chance.choice(("", ";"))


def check_zone(seed):
	chance = random.Random(seed)
	records = {}
	for _ in range(chance.randint(1, 6)):
		domain = chance.choice((some_domain(chance), some_domain(chance), "test", "example", "one.test"))
		records.setdefault(domain, []).append(some_record(chance))
	others = [some_domain(chance) for _ in range(4)]
	zone = [f"_dmarc.{domain} TXT {text}" for domain, texts in records.items() for text in texts]
	dns = FakeDNS(zone + [f"{name} A 192.0.2.1" for name in others])
	model = Model(records, {"_dmarc." + domain for domain in records} | set(others))
	for _ in range(MESSAGES):
		author = chance.choice((some_domain(chance), chance.choice(others), chance.choice(sorted(records))))
		near = [author, author.partition(".")[2] or author, some_domain(chance), chance.choice(others)]
		passed = [(chance.choice(("spf", "dkim")), chance.choice(near)) for _ in range(chance.randint(0, 3))]
		words = [word for method, domain in passed for word in (f"--{method}", f"pass:{domain}")]
		said = suites.minimtactl("check", "dmarc", "--header-from", author, *words, "--dns", f"127.0.0.1:{dns.port}")
		wanted = model.evaluate(author, passed)
		if not said.startswith(wanted + " "):
			raise mt.Failed(f"{author} with {passed}: expected {wanted}, it says {said}\n" + "\n".join(zone))
	dns.close()


def main():
	report = mt.Report("-v" in sys.argv[1:])
	for i in range(ZONES):
		report.case(f"dmarc: made-up zone {i}", check_zone, SEED + i)
	suites.finish(report, True)


if __name__ == "__main__":
	main()
