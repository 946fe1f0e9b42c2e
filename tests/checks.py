#!/usr/bin/python3
"""
`minimtactl check …` from the command line: its words, its JSON, its exit codes, whom it asks, and the checks that need no
suite of their own.
"""
import json
import subprocess
import sys

import minimta_test as mt
import suites
from fake_dns import FakeDNS
from sink import Sink

ADDRESSES = {
	"valid": ("a@example.com", "a.b+c@example.com", '"a b"@example.com', '"\\""@example.com', "a@[192.0.2.1]", "a@[IPv6:2001:db8::1]",
		"jörg@example.com", "a@bücher.example", "a@xn--bcher-kva.example", "a" * 64 + "@example.com", "!#$%&'*+-/=?^_`{|}~@example.com",
		'""@example.com', "a@192.0.2.1"),
	"invalid": ("", "a", "@example.com", "a@", "a@@example.com", "a b@example.com", ".a@example.com", "a.@example.com", "a..b@example.com",
		'"a@example.com', "a@-.example", "a@example..com", "a@[192.0.2]", "a@[IPv6:x]", "a" * 65 + "@example.com",
		"a@" + "b" * 64 + ".example", "<a@example.com>", "a@example.com\n", "a@exa mple.com", "a@b_c.example", "a@example.com."),
}
SPF_ZONE = ("example.com TXT v=spf1 ip4:192.0.2.0/24 -all exp=why.example.com", "why.example.com TXT %{i} is none of ours")


def said(code, *words):
	done = subprocess.run([suites.MINIMTACTL, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
		text=True, timeout=60)
	if done.returncode != code:
		raise mt.Failed(f"{words}: exit {done.returncode}, expected {code}\n{done.stdout}{done.stderr}")
	return done


def expect(condition, what):
	if not condition:
		raise mt.Failed(what)


def addresses(result):
	for address in ADDRESSES[result]:
		out = said(0, "check", "address", "--", address).stdout
		expect(out.split()[0] == result, f"{address!r}: {out}")


def wrong_words():
	"""Each says what would be right, on standard error only."""
	for words in ((), ("nothing",), ("address",), ("address", "a", "b"), ("address", "--nonsense", "a@b.example"), ("address", "--now", "soon", "a@b"),
	    ("address", "--now"), ("spf",), ("spf", "--ip", "1.2.3", "--helo", "a.example"), ("spf", "--ip", "192.0.2.1"),
	    ("spf", "--ip", "192.0.2.1", "--helo", "x", "extra"), ("spf", "--ip", "192.0.2.1", "--helo", "x", "--dns", "ns.example:53"),
	    ("srs", "forward", "a@b.example"), ("srs", "sideways", "--secret", "x", "a@b.example"), ("srs", "forward", "--secret", "x", "a@b.example"),
	    ("srs", "reverse", "--secret", "", "a@b.example")):
		done = said(64, "check", *words)
		expect(done.stdout == "" and "minimtactl: check" in done.stderr, f"{words}: {done.stdout}{done.stderr}")


def help_texts():
	names = [line.split()[1] for line in said(0, "check", "-h").stdout.splitlines() if line.startswith("  check ")]
	expect({"address", "spf", "srs"} <= set(names), f"named are {names}")
	for name in names:
		out = said(0, "check", name, "--help").stdout
		expect(out.startswith(f"usage: minimtactl check {name} ") and "For example:" in out, out)


def as_json():
	for words in (("--json", "check", "address", "a@b.example"), ("-j", "check", "address", "a@b.example"),
	    ("check", "address", "-j", "a@b.example"), ("check", "address", "a@b.example", "--json")):
		answer = json.loads(said(0, *words).stdout)
		expect(answer == {"result": "valid", "text": "a@b.example"}, answer)


def spf_answers(mode=None):
	dns = FakeDNS(SPF_ZONE, modes=[f"* {mode}"] if mode else ())
	words = ("check", "spf", "--dns", f"localhost:{dns.port}", "--helo", "mx.example.com", "--from", "a@example.com", "--ip")
	lines = said(0, *words, "192.0.2.7").stdout.splitlines()
	expect(len(lines) == 1 and lines[0].split()[0] == "pass" and "ip4:192.0.2.0/24" in lines[0], lines)
	lines = said(0, *words, "2001:db8::1").stdout.splitlines()
	expect(lines[0].split()[0] == "fail" and lines[1].startswith("explanation: 2.0.0.1.0."), lines)
	answer = json.loads(said(0, *words, "192.0.3.1", "--json").stdout)
	expect(answer["result"] == "fail" and answer["explanation"] == "192.0.3.1 is none of ours", answer)
	expect({name for name, _ in dns.questions} == {"example.com", "why.example.com"}, dns.questions)
	dns.close()


def spf_trouble():
	for mode in ("servfail", "refused", "cut", "loop"):
		dns = FakeDNS(SPF_ZONE, modes=[f"* {mode}"])
		out = said(0, "check", "spf", "--dns", f"127.0.0.1:{dns.port}", "--ip", "192.0.2.7", "--helo", "example.com").stdout
		expect(out.split()[0] == "temperror", f"{mode}: {out}")
		dns.close()


def srs():
	out = said(0, "check", "srs", "forward", "--secret", "s", "--domain", "two.example", "--now", "1795291200", "User@one.example").stdout.strip()
	expect(out.startswith("SRS0=") and out.endswith("=one.example=User@two.example"), out)
	for secret, now, expected in (("s", 1795291200, "User@one.example"), ("s", 1795291200 + 22 * 86400, "expired"), ("t", 1795291200, "forged")):
		back = said(0, "check", "srs", "reverse", "--secret", secret, "--now", str(now), out.lower().replace("user", "User")).stdout.strip()
		expect(back == expected, back)
	expect(said(0, "check", "srs", "reverse", "--secret", "s", "a@b.example").stdout.split()[0] == "unchanged", "no SRS address")


SENDER_ZONE = ("far.example MX 10 mx.far.example", "mx.far.example A 127.0.0.1", "all.example MX 10 mx.all.example",
	"mx.all.example A 127.0.0.1")


def sender():
	"""By itself: it asks the DNS server that is named, and whom that names."""
	dns, peer = FakeDNS(SENDER_ZONE), Sink("127.0.0.1", 0, ["users anna@far.example"])
	words = ("check", "sender", "--dns", f"127.0.0.1:{dns.port}", "--port", str(peer.port), "--helo", "us.example")
	for address, result in (("anna@far.example", "good"), ("bob@far.example", "bad"), ("anna@gone.example", "unknown")):
		out = said(0, *words, "--private", address).stdout
		expect(out.split()[0] == result, f"{address}: {out}")
	expect("EHLO us.example" in peer.seen and "MAIL FROM:<>" in peer.seen and peer.sessions == 2 and not peer.mails, peer.seen)
	expect(json.loads(said(0, *words, "--private", "--json", "bob@far.example").stdout)["result"] == "bad", "JSON")
	before = peer.sessions
	expect(said(0, *words, "anna@far.example").stdout.split()[0] == "unknown" and peer.sessions == before, "a private address")
	peer.add("rcpt reply 250 2.1.5 everybody is welcome")
	expect(said(0, *words, "--private", "x@all.example").stdout.split()[0] == "accepts-all", "accepts all")
	for more in ((), ("a", "b"), ("nobody",), ("a@[127.0.0.1]",), ("--port", "0", "a@b.example"), ("--helo", "no name", "a@b.example")):
		said(64, "check", "sender", *more)
	dns.close()
	peer.close()


def sender_by_server():
	dns, peer = FakeDNS(SENDER_ZONE), Sink("127.0.0.1", 0, ["users anna@far.example"])
	settings = {"dns_servers": f'{{"127.0.0.1:{dns.port}"}}', "smtp_port": str(peer.port), "deliver_to_private_mx": "yes"}
	with mt.Server(replace=settings) as server:
		words = ("check", "sender", "--config", server.conf)
		for _ in range(2):
			out = said(0, *words, "anna@far.example").stdout
			expect(out.split()[0] == "good" and peer.sessions == 1, f"{out}, {peer.sessions} sessions")
		expect("less than a minute" in said(75, *words, "bob@far.example").stderr, "a minute between two calls")
		server.move_clock(61)
		expect(said(0, *words, "bob@far.example").stdout.split()[0] == "bad", "bob")
		said(75, *words, "alice@demo.example")
		# What is known survives a start.
		server.stop()
		server.start()
		expect(said(0, *words, "bob@far.example").stdout.split()[0] == "bad" and peer.sessions == 2, "after a start")
		server.stop()
		said(75, *words, "carl@far.example")
	dns.close()
	peer.close()


def sender_flood():
	"""More questions than can ever be asked: each has an answer, few are under way, and the server goes on."""
	dns = FakeDNS([f"d{i}.flood.example MX 10 mx.flood.example" for i in range(30)] + ["mx.flood.example A 127.0.0.1"])
	peer = Sink("127.0.0.1", 0, ["mail silence"])
	settings = {"dns_servers": f'{{"127.0.0.1:{dns.port}"}}', "smtp_port": str(peer.port), "deliver_to_private_mx": "yes", "callbacks": "5"}
	with mt.Server(replace=settings) as server:
		tools = [subprocess.Popen([suites.MINIMTACTL, "check", "sender", "--config", server.conf, f"x@d{i}.flood.example"],
			stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) for i in range(30)]
		server.log.wait_for(lambda: "callbacks_now=5 callbacks_waiting=25" in server.ask("status")[1], "all questions")
		server.log.wait_for(lambda: peer.sessions >= 5, "five calls")
		status = server.ask("status")[1]
		expect("callbacks_now=5" in status and peer.sessions == 5, status)

		def all_told():
			server.move_clock(31)
			return all(tool.poll() is not None for tool in tools)
		server.log.wait_for(all_told, "not all have an answer")
		for tool in tools:
			out = tool.communicate(timeout=mt.DEADLINE)[0]
			expect(tool.returncode == 0 and out.split()[0] == "unknown", f"exit {tool.returncode}: {out}")
		server.honest_mail()
	dns.close()
	peer.close()


def main():
	report = mt.Report("-v" in sys.argv[1:])
	for result in ADDRESSES:
		report.case(f"check address: {result}", addresses, result)
	report.case("check: wrong words", wrong_words)
	report.case("check: help", help_texts)
	report.case("check: JSON", as_json)
	report.case("check spf: answers", spf_answers)
	report.case("check spf: over TCP", spf_answers, "truncated")
	report.case("check spf: DNS in trouble", spf_trouble)
	report.case("check srs", srs)
	report.case("check sender", sender)
	report.case("check sender: by the server", sender_by_server)
	report.case("check sender: a flood", sender_flood)
	return report.finish()


if __name__ == "__main__":
	sys.exit(main())
