#!/usr/bin/python3
"""
What an administrator does to a running server with minimtactl: looking at the queue in every form, next hops paused and
resumed, addresses verified; and what others may not do.

	tests/admin.py [-v]
"""
import argparse
import json
import os
import re
import socket
import subprocess
import sys

import fake_dns
import minimta_test as mt
import sink


EVERYBODY = 50000
# Asks as often as it is let, and keeps what it was given; says how often that was.
WAITERS = """
import socket, sys
held = []
while len(held) < 100:
	s = socket.socket(socket.AF_UNIX)
	s.connect(sys.argv[1])
	s.sendall(f"queue\\tdeliver\\t{sys.argv[2]}\\n".encode())
	if s.makefile().readline() != "ok\\n":
		break
	held.append(s)
print(len(held), flush=True)
sys.stdin.read()
"""


class Admin:
	def __init__(self):
		self.far = sink.Sink("127.0.0.2", 0, ["rcpt reply 451 4.2.0 not now"])
		self.dns = fake_dns.FakeDNS(["far.example MX 10 mx.far.example", "far.example MX 20 mx2.far.example",
			"mx.far.example A 127.0.0.2", "mx2.far.example A 127.0.0.2"])
		self.server = mt.Server(replace={"trusted_networks": '{"127.0.0.0/8"}', "deliver_to_private_mx": "yes",
			"smtp_port": str(self.far.port), "dns_servers": f'{{"127.0.0.1:{self.dns.port}"}}'},
			aliases="team: alice, far\nfar: y@far.example\nround: about\nabout: round\npostmaster: bob\n" +
			"everybody: " + ", ".join(f"u{i}@many.example" for i in range(EVERYBODY)) + "\n")

	def close(self):
		self.far.close()
		self.dns.close()
		self.server.close()

	def call(self, name, *arguments, text="", code=0, user=None):
		command = [os.path.join(mt.BIN, name), *arguments]
		if user:
			command = ["setpriv", f"--reuid={user}", "--clear-groups", *command]
		done = subprocess.run(command, input=text, text=True, errors="replace", stdout=subprocess.PIPE,
			stderr=subprocess.STDOUT, timeout=mt.DEADLINE, env={**os.environ, "MINIMTA_CONTROL": self.server.control})
		if done.returncode != code:
			raise mt.Failed(f"{name} {' '.join(arguments)}: exit {done.returncode}, expected {code}\n{done.stdout}")
		return done.stdout

	def ctl(self, *arguments, **more):
		return self.call("minimtactl", *arguments, **more)

	def json(self, *arguments, **more):
		return json.loads(self.ctl("-j", *arguments, **more))

	def need(self, text, *wanted):
		for w in wanted:
			if not re.search(w, text):
				raise mt.Failed(f"no {w!r} in {text!r}")

	def waiting(self, to="x@far.example", subject="waits"):
		"""A mail that waits, and its id."""
		since = self.server.log.mark()
		self.call("sendmail", "-i", "-f", "alice@demo.example", to, text=f"Subject: {subject}\n\nline\n")
		return self.server.log.wait(rf"msg=(\w+) event=deferred to={to}", since).group(1)

	def offered(self):
		return len([s for s in self.far.seen if s.startswith("RCPT")])

	def remove_all(self):
		self.ctl("queue", "remove", "all")

	# The test cases.

	def forms_of_a_message(self):
		"""show and cat, for people and for programs."""
		mail_id = self.waiting()
		self.need(self.ctl("queue", "show", mail_id), rf"message +{mail_id}\n", "sender +<alice@demo.example>", "451 4.2.0 not now",
			"open, 1 attempt, next: ", "next hop mx:far.example", "Subject: waits")
		shown = self.json("queue", "show", mail_id.lower() + "*")
		rcpt = shown["recipients"][0]
		if (rcpt["hop"], rcpt["state"], rcpt["attempts"]) != ("mx:far.example", "open", 1) or "Subject: waits" not in shown["header"]:
			raise mt.Failed(str(shown))
		self.need(self.ctl("queue", "cat", mail_id), r"^Received: ", r"Subject: waits\n", r"\n\nline\n$")
		self.ctl("-j", "queue", "cat", mail_id, code=64)
		self.remove_all()

	def large_content(self):
		"""cat of more than fits anywhere at once."""
		body = "".join(f"{i:078}\n" for i in range(40000))
		since = self.server.log.mark()
		self.call("sendmail", "-i", "-f", "alice@demo.example", "x@far.example", text="Subject: large\n\n" + body)
		mail_id = self.server.log.wait(r"msg=(\w+) event=deferred", since).group(1)
		if self.ctl("queue", "cat", mail_id).replace("\r", "").partition("\n\n")[2] != body:
			raise mt.Failed("cat shows something else")
		self.remove_all()

	def filters(self):
		first, second = self.waiting(), self.waiting("Other.User@far.example")
		for words, wanted in (([], {first, second}), (["to=other.u"], {second}), (["from=ALICE"], {first, second}),
		    (["@far.example"], {first, second}), (["@near.example"], set()), (["to=nobody"], set()), (["from="], set()),
		    (["--to", "other.*@far.example"], {second}), (["--to", "ther.*"], set()), (["--reason", "*not now*"], {first, second}),
		    (["--reason", "quota"], set()), (["--state", "deferred", "--from", "alice@*"], {first, second}),
		    (["--state", "held"], set()), (["--older", "1h"], set()), (["--newer", "1h", "--hop", "mx:far.example"], {first, second}),
		    ([first], {first}), ([first, second, "--to", "x@"], {first})):
			found = {m["id"] for m in self.json("queue", "list", *words)}
			if found != wanted:
				raise mt.Failed(f"queue list {words}: {found}, expected {wanted}")
		self.need(self.ctl("queue", "list", "--to", "nobody"), "^No mail in the queue is like that\n$")
		since = self.server.log.mark()
		if self.json("queue", "retry", "to=other.u")["text"] != "1 recipient is due now":
			raise mt.Failed("retry by recipient")
		self.server.log.wait(rf"msg={second} event=deferred .*attempt=2", since)
		self.need(self.ctl("queue", "list", "oth/er", code=69), "expected messages' ids, @domain, to=")
		self.need(self.ctl("queue", "list", "--state", "lost", code=69), "open, deferred, active, paused or held")
		self.need(self.ctl("queue", "list", "--older", "soon", code=64), "is not a duration")
		self.need(self.ctl("queue", "list", "--to", "a", "--to", "b", code=69), "given twice")
		self.remove_all()

	def pause_and_resume(self):
		"""A paused next hop is left alone, retry or not, and says so; after that the mail goes."""
		mail_id = self.waiting()
		self.need(self.ctl("queue", "pause", "far.example"), "mx:far.example is paused")
		self.ctl("queue", "pause", "@far.example", code=69)
		self.need(self.ctl("queue", "hops"), r"mx:far\.example +paused +1 +0")
		self.need(self.call("mailq"), "next hop is paused")
		if self.json("queue", "list")[0]["recipients"][0]["state"] != "paused":
			raise mt.Failed("the recipient is not called paused")
		since, seen = self.server.log.mark(), self.offered()
		self.need(self.ctl("queue", "retry", "all"), "0 recipients")
		self.server.move_clock(8 * 86400)
		self.server.honest_mail()
		if self.server.log.find(rf"msg={mail_id} event=(expired|deferred)", since):
			raise mt.Failed("tried or given up while paused")
		if self.offered() != seen:
			raise mt.Failed("offered while paused")
		self.ctl("queue", "resume", "mx:far.example")
		self.server.log.wait(rf"msg={mail_id} event=expired", since)
		self.ctl("queue", "resume", "far.example", code=69)
		self.need(self.ctl("queue", "pause", "no domain!", code=69), "neither a domain nor a next hop")

	def pause_local(self):
		self.ctl("queue", "pause", "local")
		self.call("sendmail", "-i", "bob@demo.example", text="Subject: paused-local\n\nx\n")
		self.server.log.wait_for(lambda: "paused" in self.call("mailq"), "not paused")
		self.ctl("queue", "resume", "local")
		self.server.log.wait_for(lambda: any(b"paused-local" in m for m in self.server.mailbox("bob")), "not delivered")

	def hold_and_release(self):
		mail_id = self.waiting()
		self.need(self.ctl("queue", "hold", mail_id, "--dry-run"), rf"{mail_id} +x@far.example\n", "1 recipient of 1 message would be held")
		if "!" in self.call("mailq"):
			raise mt.Failed("held by a dry run")
		self.need(self.ctl("queue", "hold", mail_id), rf"{mail_id} +x@far.example\n", "\n1 recipient of 1 message is held\n")
		self.need(self.call("mailq"), mail_id + "!", "held by uid")
		self.need(self.ctl("queue", "retry", mail_id), "0 recipients")
		since = self.server.log.mark()
		if not self.json("queue", "release", mail_id)["ok"]:
			raise mt.Failed("not released")
		self.server.log.wait(rf"msg={mail_id} event=deferred", since)
		if self.json("queue", "release", mail_id)["recipients"] != 0:
			raise mt.Failed("released twice")
		self.remove_all()

	def held_in_flight(self):
		"""What a server answers to an attempt under way does not undo what was decided meanwhile, and is not told as if it did."""
		self.far.clear()
		self.far.add("rcpt x2 reply 550 5.1.1 nobody")
		self.far.gate.clear()
		before = len(self.far.seen)
		self.call("sendmail", "-i", "-f", "alice@demo.example", "x@far.example", text="Subject: held in flight\n\nline\n")
		self.server.log.wait_for(lambda: len(self.far.seen) > before, "no attempt")
		mail_id = self.json("queue", "list")[0]["id"]
		self.ctl("queue", "hold", mail_id)
		self.far.gate.set()
		self.server.log.wait_for(lambda: [p["jobs"] for p in self.json("status")["processes"] if p["name"] == "delivery"] == [0],
			"the attempt does not end")
		self.need(self.call("mailq"), mail_id + "!", "held by uid")
		self.ctl("queue", "release", mail_id)
		self.server.log.wait_for(lambda: any(b"held in flight" in m for m in self.server.mailbox("alice")), "no report after the release")
		self.server.log.wait(rf"queue: msg={mail_id} event=done")	# the log may come later than the report
		if len(self.server.log.find(rf"queue: msg={mail_id} event=failed to=x@far\.example")) != 1:
			raise mt.Failed("told as failed while it was held")
		self.far.clear()
		self.far.add("rcpt reply 451 4.2.0 not now")

	def changes_by_filter(self):
		"""What is asked of recipients holds for them only, and what was done is remembered with what was tried."""
		self.ctl("queue", "pause", "other.example")
		since = self.server.log.mark()
		self.call("sendmail", "-i", "-f", "alice@demo.example", "x@far.example", "y@other.example", text="Subject: two\n\nx\n")
		mail_id = self.server.log.wait(r"msg=(\w+) event=deferred to=x@far", since).group(1)
		done = self.json("queue", "hold", "--to", "*@other.example", "--from", "alice@*")
		if (done["messages"], done["recipients"], done["done"], done["dry_run"]) != (1, 1, "held", False) or \
		    [c["address"] for c in done["changed"]] != ["y@other.example"]:
			raise mt.Failed(str(done))
		states = {r["address"]: r["state"] for r in self.json("queue", "show", mail_id)["recipients"]}
		if states != {"x@far.example": "open", "y@other.example": "held"}:
			raise mt.Failed(str(states))
		self.server.move_clock(3600)
		self.ctl("queue", "retry", "--to", "x@far*")
		self.server.log.wait(r"event=deferred to=x@far.example .*attempt=2", since)
		self.ctl("queue", "hold", "--to", "x@far*")
		history = self.json("queue", "show", mail_id)["recipients"][0]["history"]
		if [h["reason"].split()[-1] for h in history] != [str(os.geteuid()), "now", "now"] or not history[0]["at"] >= history[1]["at"] > history[2]["at"] + 3000:
			raise mt.Failed(str(history))
		self.need(self.ctl("queue", "show", mail_id), r"held by uid", r"Nov|Dec|Jan|\d\d:\d\d:\d\d \(host mx.far.example")
		self.server.stop()
		self.server.start()
		self.server.log.wait("event=scanned")
		if len(self.json("queue", "show", mail_id)["recipients"][0]["history"]) != 3:
			raise mt.Failed("forgotten")
		done = self.json("queue", "remove", "--to", "y@other.example", "--state", "held")
		if done["recipients"] != 1:
			raise mt.Failed(str(done))
		self.ctl("queue", "remove", mail_id)
		if self.json("queue", "list"):
			raise mt.Failed("still there")
		self.need(self.ctl("queue", "hops"), r"mx:other\.example +paused")		# also after the start
		self.ctl("queue", "resume", "other.example")
		self.ctl("queue", "resume", "other.example", code=69)

	def many(self):
		"""A change of many messages at once, and a list of them while a start still reads them."""
		since = self.server.log.mark()
		self.ctl("queue", "pause", "far.example")
		for i in range(150):
			self.call("sendmail", "-i", "-f", "alice@demo.example", f"m{i}@far.example", text="Subject: many\n\nx\n")
		done = self.json("queue", "hold", "--to", "m*@far.example")
		if (done["messages"], done["recipients"], len(done["changed"])) != (150, 150, 150):
			raise mt.Failed(str(done)[:300])
		self.server.stop()
		self.server.start()
		if len(self.json("queue", "list", "--state", "held")) != 150:
			raise mt.Failed("not all are held")
		self.need(self.ctl("queue", "remove", "--state", "held", "--older", "0s"), "150 recipients of 150 messages are removed")
		if self.json("queue", "list"):
			raise mt.Failed("not all are gone")
		self.ctl("queue", "resume", "far.example")
		self.server.log.wait(r"event=removed to=m149@far.example uid=0" if os.geteuid() == 0 else r"event=removed to=m149@far", since)

	def long_list(self):
		"""50,000 recipients of one alias: one message, and one change for all of them; other mail goes on."""
		self.ctl("queue", "pause", "many.example")
		self.call("sendmail", "-i", "-f", "alice@demo.example", "everybody", text="Subject: to all\n\nline\n")
		self.server.log.wait(rf"event=expanded to=everybody@demo\.example n={EVERYBODY}\b")
		self.server.honest_mail()
		listed = self.json("queue", "list", "--hop", "mx:many.example")	# the honest one may just be leaving
		if len(listed) != 1 or {r["state"] for r in listed[0]["recipients"]} != {"paused"}:
			raise mt.Failed(f"{len(listed)} messages, the first with {listed[0]['recipients'][:3]}")
		if sorted(r["address"] for r in listed[0]["recipients"]) != sorted(f"u{i}@many.example" for i in range(EVERYBODY)):
			raise mt.Failed(f"{len(listed[0]['recipients'])} recipients, not everybody")
		self.need(self.ctl("queue", "remove", "--to", "*@many.example"), f"\n{EVERYBODY} recipients of 1 message are removed\n$")
		if self.json("queue", "list", "--hop", "mx:many.example"):
			raise mt.Failed("something is left")
		self.ctl("queue", "resume", "many.example")

	def bounce(self):
		mail_id = self.waiting(subject="to-be-returned")
		since = self.server.log.mark()
		self.need(self.ctl("queue", "bounce", mail_id, "--text", "Far is gone, sorry."), "1 recipient of 1 message is returned to")
		self.server.log.wait(rf"event=bounce parent={mail_id} to=alice@demo.example", since)
		self.server.log.wait_for(lambda: any(b"Far is gone, sorry." in m and b"to-be-returned" in m for m in self.server.mailbox("alice")),
			"no bounce")
		self.server.log.wait_for(lambda: not self.json("queue", "list"), "still there")

	def reroute(self):
		"""By another host, which a restart does not change; and back."""
		other = sink.Sink("127.0.0.3", 0, [])
		try:
			mail_id = self.waiting(subject="rerouted")
			self.need(self.ctl("queue", "reroute", "no host!", mail_id, code=69), "is no next hop")
			self.ctl("queue", "pause", f"relay:127.0.0.3:{other.port}")
			self.need(self.ctl("queue", "reroute", f"127.0.0.3:{other.port}", mail_id), "1 recipient of 1 message is rerouted")
			self.server.log.wait_for(lambda: "paused" in self.ctl("queue", "show", mail_id), "not there")
			self.server.stop()
			self.server.start()
			self.ctl("queue", "resume", f"relay:127.0.0.3:{other.port}")
			self.server.log.wait(rf"msg={mail_id} event=delivered to=x@far.example hop=relay:127.0.0.3:{other.port}")
			if len(other.mails) != 1:
				raise mt.Failed(f"{len(other.mails)} mails")
		finally:
			other.close()
		mail_id = self.waiting(subject="normal")
		self.ctl("queue", "hold", mail_id)
		self.ctl("queue", "reroute", "127.0.0.9:1", mail_id)
		self.need(self.ctl("queue", "show", mail_id), "held")
		self.ctl("queue", "reroute", "normal", mail_id)
		since = self.server.log.mark()
		self.ctl("queue", "release", mail_id)
		self.server.log.wait(rf"msg={mail_id} event=deferred to=x@far.example hop=mx:far.example", since)
		self.remove_all()

	def other_recipients(self):
		"""Replaced and added, also one that is a mailbox or an alias here."""
		mail_id = self.waiting(subject="replaced")
		self.need(self.ctl("queue", "add", "bob@demo.example", mail_id), "1 recipient of 1 message is added")
		self.server.log.wait_for(lambda: any(b"Subject: replaced" in m for m in self.server.mailbox("bob")), "not added")
		self.need(self.ctl("queue", "add", "X@far.example", mail_id), "has this recipient already", "0 recipients are added")
		self.need(self.ctl("queue", "replace", "alice", "--to", "x@far.example"), "1 recipient of 1 message is replaced")
		self.server.log.wait_for(lambda: any(b"Subject: replaced" in m for m in self.server.mailbox("alice")), "not replaced")
		self.need(self.ctl("queue", "replace", "a b@demo.example", mail_id, code=69), "is no address|no message")
		self.server.log.wait_for(lambda: not self.json("queue", "list"), "still there")

	def spool(self):
		"""All mail of a stopped server out and in again: the same envelope, state and content, and no second time."""
		self.ctl("queue", "pause", "far.example")
		body = "".join(f"{i:078}\n" for i in range(4000))
		for to, text in (("s1@far.example", "Subject: small\n\nx\n"), ("s2@far.example", "Subject: large\n\n" + body)):
			self.call("sendmail", "-i", "-f", "alice@demo.example", "-N", "success,delay", "-V", "id 7", to, text=text)
		self.ctl("queue", "hold", "--to", "s1@far.example")
		self.ctl("queue", "reroute", "127.0.0.9:1", "--to", "s2@far.example")
		keep = ("address", "state", "notify", "hop", "history")
		shown = lambda: sorted(([r.get(k) for k in keep if k != "hop" or r["state"] != "held"], m["arrived"], m["size"], m["envid"], m["session"],
			m["header"]) for m in (self.json("queue", "show", e["id"]) for e in self.json("queue", "list")) for r in m["recipients"]
			if r["state"] in ("open", "paused", "held"))
		before, folder = shown(), os.path.join(self.server.folder, "carried")
		run = lambda *words, code=0: self.ctl("-c", self.server.conf, "spool", *words, code=code)
		self.need(run("export", folder, code=2), "in use")
		self.server.stop()
		self.need(run("export", folder), "2 messages exported, 0 not")
		names = os.listdir(folder)
		if len(names) != 2 or not all(n.endswith(".message") for n in names):
			raise mt.Failed(str(names))
		text = open(os.path.join(folder, names[0]), "rb").read()
		self.need(text.decode(), "^minimta-message 1\nid ", r"\nsender alice@demo.example\n", r"\n\n")
		self.need(run("import", folder), "is in the spool already", "2 messages imported, 0 not")
		for name in ("log", "large"):
			for file in os.listdir(os.path.join(self.server.spool, name)):
				os.remove(os.path.join(self.server.spool, name, file))
		for name in names:
			os.rename(os.path.join(folder, name + ".done"), os.path.join(folder, name))
		with open(os.path.join(folder, "broken.message"), "wb") as f:
			f.write(text[:len(text) // 2].replace(b"\narrived 1", b"\narrived 2"))
		self.need(run("import", folder, code=1), "imported as", "broken.message: ", "2 messages imported, 1 not")
		self.need(run("check"), "damage=no")
		with open("/dev/full", "w") as full:		# a list that is cut short is not a clean one
			done = subprocess.run([os.path.join(mt.BIN, "minimtactl"), "-c", self.server.conf, "spool", "check"], stdout=full,
				stderr=subprocess.PIPE, text=True)
		if done.returncode != 2 or "not complete" not in done.stderr:
			raise mt.Failed(f"spool check on a full disk: exit {done.returncode}, {done.stderr!r}")
		self.need(run("import", folder, code=1), "0 messages imported, 1 not")
		self.server.start()
		self.server.log.wait("event=scanned")
		if shown() != before:
			raise mt.Failed(f"{shown()}\n{before}")
		large = [m["id"] for m in self.json("queue", "list", "--to", "s2@")][0]
		if self.ctl("queue", "cat", large).replace("\r", "").partition("\n\n")[2] != body:
			raise mt.Failed("another content")
		self.ctl("queue", "resume", "far.example")
		self.remove_all()
		self.need(run("import", os.path.join(folder, "nowhere"), code=2), "No such file")

	def verify(self):
		"""The path of a decision: aliases, next hops, their hosts; and each kind of no."""
		self.need(self.ctl("verify", "team"), r"team@demo.example: local, the alias team \(.*line 1\)", "mailbox alice@demo.example",
			r"alias far \(line 2\)", r"y@far.example by mx:far.example\n +10 mx.far.example \[127.0.0.2\]\n +20 mx2.far.example")
		if [h["host"] for h in self.json("verify", "z@far.example")["hosts"]] != ["mx.far.example", "mx2.far.example"]:
			raise mt.Failed("hosts")
		self.need(self.ctl("verify", "nosuch@demo.example", code=67), "unknown", "5.1.1")
		self.need(self.ctl("verify", "round", code=67), "leads back to itself")
		self.need(self.ctl("verify", "z@nowhere.example", code=68), "does not exist")
		self.need(self.ctl("verify", "a b@demo.example", code=65), "expected user@domain")

	def status(self):
		status = self.json("status")
		for process in status["processes"]:
			if process["rss_kb"] < 500 or process["uptime_s"] < 0 or process["starts"] < 1:
				raise mt.Failed(str(process))
		queue = [p for p in status["processes"] if p["name"] == "queue"][0]
		if queue["accepted_total"] < 1 or queue["accepted_5m"] > queue["accepted_total"]:
			raise mt.Failed(str(queue))
		self.need(self.ctl("status"), r"smtpd +running +\d+ ", r" MB ", "messages accepted +[0-9]+ ", "connections")

	def help(self):
		"""Every command has an explanation and an example, and what is wrong is answered with what would be right."""
		for line in self.ctl("-h").splitlines():
			m = re.match(r"  ([a-z]+(?: [a-z]+)?)(?: [\[A-Z]\S*)*  +\S", line)
			if m:
				self.need(self.ctl("help", *m.group(1).split()), "usage: minimtactl " + m.group(1), "For example:\n  minimta")
		self.need(self.ctl("queue", "hold", code=64), "expected: minimtactl queue hold FILTER", "for example")
		self.need(self.ctl("queue", "reroute", "far.example", code=64), "expected: minimtactl queue reroute HOST FILTER")
		self.need(self.ctl("queue", "frob", code=64), "expected list, hops")
		self.need(self.ctl("queue", "show", "!!", code=69), "is no message's id")
		self.need(self.ctl("queue", "show", "7K2QF", code=69), "no message 7K2QF")

	def others(self):
		"""Who may not is told so, with 77."""
		if os.geteuid() != 0:
			return
		mail_id = self.waiting()
		for words in (["queue", "show", mail_id], ["queue", "cat", mail_id], ["queue", "remove", mail_id], ["queue", "pause", "local"],
		    ["queue", "retry", "all"]):
			self.need(self.ctl(*words, code=77, user="nobody"), "is for root")
		self.need(self.ctl("queue", "list", user="nobody"), mail_id)
		self.need(self.ctl("verify", "team", user="nobody"), "shown to root only")
		self.remove_all()


	def log_level(self):
		if self.ctl("log", "level") != "info\n":
			raise mt.Failed("not info at first")
		self.ctl("log", "level", "debug")
		since = self.server.log.mark()
		self.server.honest_mail()
		self.server.log.wait("event=trust", since)
		self.need(self.ctl("log", "level"), "^debug$")
		self.need(self.ctl("log", "level", "loud", code=69), "error, warn, info or debug")
		if os.geteuid() == 0:
			self.ctl("log", "level", "debug", code=77, user="nobody")
		self.ctl("log", "level", "info")

	def wait_for_attempt(self, before):
		"""The clock moves only while nothing is under way: it would shift away that one's deadlines."""
		def tried():
			if self.server.at_rest() and self.far.seen.count("DATA") <= before:
				self.server.move_clock(600)
			return self.far.seen.count("DATA") > before
		self.server.log.wait_for(tried, "it is not tried again")

	def poison(self):
		"""A message under which delivery dies three times is held, postmaster hears of it, and a release tries it again."""
		self.far.clear()
		self.far.add("data silence")
		since, seen = self.server.log.mark(), self.far.seen.count("DATA")
		self.call("sendmail", "-i", "-f", "alice@demo.example", "x@far.example", text="Subject: poison\n\nx\n")
		for death in range(3):
			self.wait_for_attempt(seen)
			seen, mark = self.far.seen.count("DATA"), self.server.log.mark()
			self.server.signal("delivery")
			self.server.log.wait("event=died process=delivery", mark)
			self.server.move_clock(61)
			self.server.log.wait("event=restarted process=delivery", mark)
		mail_id = self.server.log.wait(r"msg=(\w+) event=held to=x@far.example", since).group(1)
		self.server.log.wait(rf"event=notice about={mail_id}", since)
		self.server.log.wait_for(lambda: any(f"Message {mail_id} is held".encode() in m for m in self.server.mailbox("bob")), "no notice")
		notice = [m for m in self.server.mailbox("bob") if b"is held" in m][-1].decode()
		self.need(notice, "^Return-Path: <>", "Auto-Submitted: auto-generated", "process delivery died", f"queue release {mail_id}",
			"to +x@far.example")
		self.need(self.call("mailq"), mail_id + "!")
		self.far.clear()
		self.ctl("queue", "release", mail_id)
		self.server.log.wait(rf"msg={mail_id} event=delivered", since)
		self.far.add("rcpt reply 451 4.2.0 not now")

	def deliver_waits(self):
		"""Who waits for a delivery hears what comes of it however long it takes: nothing to read is not slow reading."""
		mail_id = self.waiting()
		self.far.gate.clear()
		try:
			with socket.socket(socket.AF_UNIX) as s:
				s.settimeout(mt.DEADLINE)
				s.connect(self.server.control)
				s.sendall(f"queue\tdeliver\t{mail_id}\n".encode())
				answer = s.makefile()
				self.need(answer.readline(), "^ok$")
				self.server.move_clock(45)
				self.far.gate.set()
				self.need(answer.read(), "deferred", "(?m)^E$")
			self.far.gate.clear()
			mark = self.server.log.mark()
			tool = subprocess.Popen([os.path.join(mt.BIN, "minimtactl"), "queue", "deliver", mail_id], stdout=subprocess.PIPE,
				stderr=subprocess.STDOUT, text=True, env={**os.environ, "MINIMTA_CONTROL": self.server.control})
			self.server.log.wait_for(lambda: [p["jobs"] for p in self.json("status")["processes"] if p["name"] == "delivery"] == [1],
				"no delivery is under way")
			self.server.signal("queue")
			self.need(tool.communicate(timeout=mt.DEADLINE)[0], "the answer is cut short")
			if tool.returncode != 75:
				raise mt.Failed(f"a delivery of which nothing was heard: exit {tool.returncode}, expected 75")
			self.server.log.wait("event=died process=queue", mark)
			self.server.move_clock(2)
			self.server.log.wait("event=restarted process=queue", mark)
		finally:
			self.far.gate.set()
		self.remove_all()

	def waiters(self):
		"""One user waits for a delivery in all places that he gets: root has places of his own."""
		if os.geteuid() != 0:
			return
		since = self.server.log.mark()
		self.far.gate.clear()
		try:
			self.call("sendmail", "-i", "x@far.example", text="Subject: waits\n\nx\n", user="nobody")
			mail_id = self.server.log.wait(r"event=message msg=(\w+)", since).group(1)
			with subprocess.Popen(["setpriv", "--reuid=nobody", "--clear-groups", "/usr/bin/python3", "-c", WAITERS, self.server.control,
				mail_id], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
				held = int(child.stdout.readline())
				try:
					self.need(self.ctl("queue", "list"), "x@far.example")
				finally:
					child.stdin.close()
			if not 1 < held < 100:
				raise mt.Failed(f"{held} waited at once")
		finally:
			self.far.gate.set()
		self.remove_all()

	def domain_becomes_ours(self):
		"""What waits for another host is delivered here once its domain is ours."""
		mail_id = self.waiting("carol@far.example")
		folder = os.path.join(self.server.mail, "far.example", "carol")
		os.makedirs(folder)
		owner = os.stat(os.path.join(self.server.mail, mt.DOMAIN))
		for path in (folder, os.path.dirname(folder)):
			os.chown(path, owner.st_uid, owner.st_gid)
		with open(self.server.conf) as f:
			text = f.read()
		with open(self.server.conf, "w") as f:
			f.write(text.replace('domains = {', 'domains = {"far.example", '))
		since = self.server.log.mark()
		self.ctl("reload")
		self.ctl("queue", "retry", "all")
		self.server.log.wait(rf"msg={mail_id} event=delivered to=carol@far.example", since)
		with open(self.server.conf, "w") as f:
			f.write(text)
		self.ctl("reload")

CASES = ("forms_of_a_message", "large_content", "filters", "hold_and_release", "held_in_flight", "changes_by_filter", "many", "long_list", "bounce", "reroute",
	"other_recipients", "spool", "pause_local", "verify", "status", "log_level",
	"help", "others", "deliver_waits", "waiters", "poison", "domain_becomes_ours", "pause_and_resume")


def main():
	options = argparse.ArgumentParser(description="An administrator's tools.")
	options.add_argument("-v", action="store_true")
	report = mt.Report(options.parse_args().v)
	admin = Admin()
	try:
		for name in CASES:
			report.case("admin: " + name.replace("_", " "), getattr(admin, name))
	finally:
		report.case("admin: a clean end", admin.close)
	return report.finish()


if __name__ == "__main__":
	sys.exit(main())
