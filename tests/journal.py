#!/usr/bin/python3
"""
The journal and the counters of a running server: who may ask, what restarts, a killed logger and damage leave of them, that a
long search holds nothing up, that nothing a client says becomes a line, and mailstat's views, the page in a real browser.

	tests/journal.py [-v] [NAME…]
"""
import ctypes
import json
import os
import re
import struct
import subprocess
import sys
import time
import zlib

import minimta_test as mt

SPAN = 60		# seconds between two times that the counters are written


def run(server, *words, user=None, code=0):
	command = [os.path.join(mt.BIN, words[0]), *words[1:]]
	if user:
		command = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", *command]
	out = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "MINIMTA_CONTROL": server.control})
	if out.returncode != code:
		raise mt.Failed(f"{' '.join(words)}: exit {out.returncode}, expected {code}: {out.stdout}{out.stderr}")
	return out.stdout + out.stderr


def explain(server, *words):
	return run(server, "minimtactl", "explain", *words)


def stats(server):
	return json.loads(run(server, "mailstat", "--json"))["total"]


def wait_stats(server, **wanted):
	"""logger hears of the others a moment later."""
	until = time.monotonic() + mt.DEADLINE
	while True:
		now = stats(server)
		if all(now[key] == n for key, n in wanted.items()):
			return now
		if time.monotonic() > until:
			raise mt.Failed(f"mailstat counts {now}, expected {wanted}")
		time.sleep(0.02)


def must_have(text, *parts):
	for part in parts:
		if not re.search(part, text, re.M):
			raise mt.Failed(f"{part!r} is not in:\n{text}")


def session(server, *commands):
	"""Codes of the replies."""
	with mt.Client(server.address) as c:
		c.expect(220)
		codes = []
		for command in ("EHLO client.example", *commands, "QUIT"):
			c.send(command + "\r\n")
			codes.append(c.reply()[0])
		return codes


# ---- cases ----

def a_story(server):
	server.honest_mail()
	session(server, "MAIL FROM:<a@client.example>", "RCPT TO:<nosuch@demo.example>")
	wait_stats(server, accepted=1, refused=1, delivered=1, sessions=2)
	told = explain(server, "honest@honest.example")
	must_have(told, r"^Session \w+: the client 127\.0\.0\.1 came to \S+ and called itself honest\.example\.$",
		r"Message \w+ from honest@honest\.example to alice@demo\.example was taken", r"was delivered to alice@demo\.example",
		r"The session ended: the client took its leave; 1 message was taken")
	message = re.search(r"Message (\w+) from", told).group(1)
	if explain(server, message.lower()) != told:
		raise mt.Failed(f"by its id another story is told:\n{explain(server, message)}")
	told = explain(server, "nosuch@demo.example")
	must_have(told, r"The client, with mail from \S+, said RCPT TO:<nosuch@demo\.example> and was told:\n +550 5\.1\.1 ")
	must_have(explain(server, "127.0.0.1", "--since", "1h"), "honest@honest", "nosuch@demo")
	must_have(explain(server, "127.0.0.2"), r"Nothing is known of it\. The journal begins on ")
	must_have(run(server, "minimtactl", "explain", "two words", code=69), "expected a refusal's code")
	stories = json.loads(run(server, "minimtactl", "--json", "explain", message))["stories"]
	if len(stories) != 1 or not any(e.get("event") == "delivered" for e in stories[0]):
		raise mt.Failed(f"as JSON: {stories}")


def who_may_ask(server):
	server.honest_mail()
	if os.geteuid() != 0:
		return
	must_have(run(server, "minimtactl", "explain", "127.0.0.1", user="65534", code=77), "explain is for root")
	run(server, "mailstat", user="65534")
	folder = os.path.join(server.folder, "state/journal")
	if os.stat(folder).st_mode & 0o077 or any(os.stat(os.path.join(folder, f)).st_mode & 0o077 for f in os.listdir(folder)):
		raise mt.Failed("others may read the journal")


def nothing_is_forged(server):
	"""What a client says is a value, whatever it looks like."""
	mad = '"x\\" event=message msg=AAAA from=b@c.example code=250 text=\\"(see AAAAA)"@demo.example'
	codes = session(server, "MAIL FROM:<a@client.example>", f"RCPT TO:<{mad}>", "NOOP \x01\x1b[2J L t=1 p=queue msg=AAAA event=delivered to=x@y.z")
	if codes[2] // 100 != 5:
		raise mt.Failed(f"codes {codes}")
	now = wait_stats(server, sessions=1)
	if now["accepted"] or now["delivered"]:
		raise mt.Failed(f"counted: {now}")
	for what in ("AAAA", "AAAAA", "x@y.z", "b@c.example"):
		told = explain(server, what)
		if "was taken:" in told or "delivered" in told:
			raise mt.Failed(f"explain {what}:\n{told}")
	if "\x1b" in explain(server, "127.0.0.1"):
		raise mt.Failed("an escape reaches the terminal")


def over_restarts(server):
	server.honest_mail()
	wait_stats(server, accepted=1, delivered=1)
	server.stop()
	server.start()
	server.honest_mail()
	wait_stats(server, accepted=2, delivered=2)
	must_have(explain(server, "honest@honest.example"), r"(?s)was taken: .*\nSession .* was taken:")
	# A minute later they are on disk, whatever becomes of logger.
	server.move_clock(SPAN + 1)
	server.log.wait_for(lambda: b"accepted=2" in open(counters(server), "rb").read(), "the counters are not written")
	before = server.pids()["logger"]
	server.signal("logger")
	server.log.wait_for(lambda: server.pids().get("logger") not in (None, before), "logger did not come back")
	server.honest_mail()
	wait_stats(server, accepted=3, delivered=3)
	must_have(explain(server, "honest@honest.example"), r"(?s)(was taken: .*){3}")


def counters(server):
	return os.path.join(server.folder, "state/journal/counters")


def damaged_counters(server):
	server.honest_mail()
	wait_stats(server, accepted=1, delivered=1)
	server.stop()
	with open(counters(server), "r+b") as f:
		f.seek(30)
		f.write(b"9")
	server.start()
	server.log.wait("logger: event=counters-damaged what=\"damaged; begun anew\"")
	server.honest_mail()
	wait_stats(server, accepted=1, delivered=1)
	must_have(explain(server, "honest@honest.example"), r"(?s)(was taken: .*){2}")	# the journal is another thing
	server.stop()		# now there is one before the last
	server.start()
	server.honest_mail()
	wait_stats(server, accepted=2, delivered=2)
	server.stop()
	open(counters(server), "wb").close()
	server.start()
	server.log.wait("logger: event=counters-damaged what=\"damaged; those of a minute before count\"")
	wait_stats(server, accepted=1, delivered=1)


def torn_journal(server):
	server.honest_mail()
	wait_stats(server, delivered=1)
	server.kill()
	folder = os.path.join(server.folder, "state/journal")
	name = max(f for f in os.listdir(folder) if re.fullmatch(r"journal\.\d+", f))
	with open(os.path.join(folder, name), "ab") as f:
		f.write(b"L t=1 p=smtpd session=TORN event=message msg=TO")
	server.start()
	server.honest_mail()
	# Counts of the last minute may be lost by a kill; the journal's lines are not.
	server.log.wait_for(lambda: re.search(r"(?s)(was taken: .*){2}", explain(server, "honest@honest.example")), "no story of both")
	must_have(explain(server, "TORN"), "Nothing is known")


def long_search(server):
	"""Sixty megabytes of journal are searched while mail comes and goes, and old files go when there is too much."""
	folder = os.path.join(server.folder, "state/journal")
	server.stop()
	begin = int(time.time()) - 100000
	for i in range(6):
		path = os.path.join(folder, f"journal.{begin + i * 1000}")
		with open(path, "w") as f:
			f.write("minimta-journal 1\n")
			line = "L t=%d p=smtpd session=A%X event=session client=198.51.100.7 helo=%s messages=0 reason=quit\n"
			f.write("".join(line % ((begin + i * 1000 + n) * 1000, i << 20 | n, "x" * 90) for n in range(50000)))
		os.chown(path, os.stat(folder).st_uid, -1)
	server.start()
	asking = subprocess.Popen([os.path.join(mt.BIN, "minimtactl"), "explain", "198.51.100.7"], stdout=subprocess.PIPE,
		text=True, env={**os.environ, "MINIMTA_CONTROL": server.control})
	mails = 0
	while asking.poll() is None or mails == 0:
		server.honest_mail()
		mails += 1
	told = asking.stdout.read()
	must_have(told, r"There was more; these are the newest\.", r"^Session A50C34F: ")
	if told.count("Session ") != 40:
		raise mt.Failed(f"{told.count('Session ')} stories are told")
	wait_stats(server, accepted=mails, delivered=mails)
	must_have(explain(server, "A50C34F"), "198.51.100.7")
	must_have(explain(server, "A50C34F", "--since", "12h"), "Nothing is known")


def switched_off(server):
	server.settings["journal_size"] = "0"
	server.write_files("", "", ("alice", "bob"))
	server.ask("reload")
	server.honest_mail()
	wait_stats(server, accepted=1)		# counted all the same
	must_have(run(server, "minimtactl", "explain", "127.0.0.1", code=69), "there is no journal; .*journal_size")


def quiet_log(server):
	"""With log_level = warn the log is silent, the journal and the counters are not."""
	server.settings["log_level"] = '"warn"'
	server.write_files("", "", ("alice", "bob"))
	server.ask("reload")
	mark = server.log.mark()
	server.honest_mail()
	wait_stats(server, accepted=1, delivered=1)
	must_have(explain(server, "honest@honest.example"), "was taken", "was delivered")
	lines = [line for line in server.log.lines[mark:] if "event=message" in line or "event=delivered" in line]
	if lines:
		raise mt.Failed(f"logged all the same: {lines}")


# ---- mailstat ----

def history(server):
	"""Some weeks of a busy site, as the counters' file has them."""
	now = int(time.time())
	text = f"minimta-counters version=1 since={now - 40 * 86400}\n"
	for hour in range(48):
		text += f"hour at={now // 3600 - hour} sessions=90 accepted={20 + hour * 7 % 23} refused={hour * 5 % 31} put_off={hour % 9}" \
			f" delivered={18 + hour * 3 % 17} deferred={hour % 5} failed={hour % 3}\n"
	today = (now + time.localtime(now).tm_gmtoff) // 86400
	for day in range(31):
		text += f"day at={today - day} sessions=900 accepted={400 + day * 37 % 190} refused={300 + day * 53 % 210}" \
			f" put_off={50 + day * 7 % 40} quarantined=9 delivered={380 + day * 31 % 170} deferred={20 + day % 7} failed={day % 11} bounces=3\n"
		for row in ("filter=spf refused=40 observed=3", "filter=dnsbl refused=90", "filter=greylist put_off=70", "filter=dmarc refused=11 quarantined=9",
				"domain=example.org accepted=120 delivered=100", "domain=\"<img src=x onerror=alert(1)>\" refused=7",
				"domain=example.net accepted=80 refused=20 delivered=95 deferred=10", "reason=\"550 No such recipient here\" n=66",
				"reason=\"deferred 4.4.1\" n=12"):
			name, _, rest = row.rpartition('" ') if '"' in row else row.partition(" ")
			if '"' in row:
				name += '"'
			text += f"row {name} at={today - day} {rest}\n"
	text += f"spread of=delay at={today} ms=0:50,30:200,40:90,60:10,80:2\nspread of=waited at={today} ms=45:300,52:20\n"
	path = os.path.join(server.folder, "state/journal/counters")
	server.stop()
	owner = os.stat(os.path.dirname(path))
	text += f"end sum={xxh3(text.encode()):016x}\n"
	with open(path, "w") as f:
		f.write(text)
	os.chown(path, owner.st_uid, owner.st_gid)
	server.start()


def xxh3(data):
	"""The sum that ends the file."""
	hashed = ctypes.CDLL("libxxhash.so.0").XXH3_64bits
	hashed.restype, hashed.argtypes = ctypes.c_uint64, [ctypes.c_char_p, ctypes.c_size_t]
	return hashed(data, len(data))


def pixels(path):
	"""(width, height, rows of RGB bytes) of a PNG as browsers write it: 8 bits, RGB or RGBA, not interlaced."""
	data = open(path, "rb").read()
	at, packed, head = 8, b"", None
	while at < len(data):
		size, kind = struct.unpack(">I4s", data[at:at + 8])
		body = data[at + 8:at + 8 + size]
		if kind == b"IHDR":
			head = struct.unpack(">IIBBBBB", body)
		elif kind == b"IDAT":
			packed += body
		at += 12 + size
	width, height, depth, colour = head[:4]
	if depth != 8 or colour not in (2, 6) or head[6]:
		raise mt.Failed(f"a picture of another kind: {head}")
	step = 3 if colour == 2 else 4
	raw, rows, before = zlib.decompress(packed), [], bytearray(width * step)
	for y in range(height):
		line = bytearray(raw[y * (width * step + 1) + 1:(y + 1) * (width * step + 1)])
		unfilter(raw[y * (width * step + 1)], line, before, step)
		rows.append(line)
		before = line
	return width, height, [[tuple(row[x * step:x * step + 3]) for x in range(width)] for row in rows]


def unfilter(kind, line, before, step):
	for i in range(len(line)):
		left = line[i - step] if i >= step else 0
		up, corner = before[i], before[i - step] if i >= step else 0
		if kind == 1:
			line[i] = (line[i] + left) & 255
		elif kind == 2:
			line[i] = (line[i] + up) & 255
		elif kind == 3:
			line[i] = (line[i] + (left + up) // 2) & 255
		elif kind == 4:
			a, b, c = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
			line[i] = (line[i] + (left if a <= b and a <= c else up if b <= c else corner)) & 255


def mailstat_views(server):
	history(server)
	text = run(server, "mailstat")
	must_have(text, r"^messages taken +\d+ +\d+$", r"^By day$", r"^By hour$", r"^dnsbl +630 +0", r"^greylist +0 +490 ", r"^<img src=x",
		r"^550 No such recipient here +462 ", r"^from arrival to delivery +0\.", r"^clients were kept waiting +")
	if max(len(line) for line in text.splitlines()) > 100:
		raise mt.Failed(f"a line is too wide:\n{text}")
	data = json.loads(run(server, "mailstat", "--json", "--days", "31"))
	if len(data["days"]) != 31 or data["filters"][0] != {"filter": "dnsbl", "refused": 2790, "put_off": 0, "quarantined": 0, "observed": 0,
			"exempt": 0}:
		raise mt.Failed(f"as JSON: {len(data['days'])} days, {data['filters'][0]}")
	must_have(run(server, "mailstat", "--days", "32", code=64), "expected a number from 1 to 31")
	must_have(run(server, "mailstat", "more", code=64), "options only")


def mailstat_page(server):
	"""The page as a browser shows it: the charts are there, in their colours, and nothing of it runs or is fetched."""
	history(server)
	folder = mt.temporary("page-")
	page, picture = os.path.join(folder, "mail.html"), os.path.join(folder, "mail.png")
	with open(page, "w") as f:
		f.write(run(server, "mailstat", "--html", "--days", "31"))
	out = subprocess.run(["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--enable-logging=stderr",
		f"--user-data-dir={folder}/profile", "--window-size=900,1500", f"--screenshot={picture}", f"file://{page}"],
		capture_output=True, text=True, timeout=120)
	if not os.path.exists(picture):
		raise mt.Failed(f"no picture: {out.stderr[-2000:]}")
	if re.search(r"CONSOLE|Uncaught|net::ERR", out.stderr):
		raise mt.Failed(f"the browser complains: {out.stderr[-2000:]}")
	width, height, rows = pixels(picture)
	counts = {}
	for row in rows:
		for colour in row:
			counts[colour] = counts.get(colour, 0) + 1
	for name, colour in (("taken", (0x2f, 0x7d, 0x5b)), ("refused", (0xc2, 0x55, 0x3d)), ("put off", (0xd3, 0x9a, 0x2d)),
			("delivered", (0x35, 0x67, 0xa8))):
		if counts.get(colour, 0) < 300:
			raise mt.Failed(f"of {width} x {height} pixels {counts.get(colour, 0)} have the colour of \"{name}\"")
	# Nothing stands beyond the right edge of the column of text.
	edge = [rows[y][x] for y in range(height) for x in range(width - 8, width)]
	if len(set(edge)) != 1:
		raise mt.Failed("the page is wider than its window")


CASES = [a_story, who_may_ask, nothing_is_forged, over_restarts, damaged_counters, torn_journal, long_search, switched_off, quiet_log,
	mailstat_views, mailstat_page]


def hold(case):
	server = mt.Server()
	try:
		case(server)
	except BaseException:
		server.close(False)
		raise
	server.close()


def main():
	words = [w for w in sys.argv[1:] if w != "-v"]
	report = mt.Report("-v" in sys.argv)
	for case in CASES:
		if not words or case.__name__ in words:
			report.case(case.__name__.replace("_", " "), hold, case)
	return report.finish()


if __name__ == "__main__":
	sys.exit(main())
