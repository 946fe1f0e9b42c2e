"""The text form of bytes in dialogs and scripts: \\r \\n \\t \\0 \\\\ \\xNN, and {N*text} for text N times; else UTF-8."""
import re

ESCAPES = {b"r": b"\r", b"n": b"\n", b"t": b"\t", b"0": b"\0", b"\\": b"\\", b"e": b"\x1b"}


def expand(text):
	data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
	data = re.sub(rb"\{(\d+)\*(.*?)\}", lambda m: m.group(2) * int(m.group(1)), data, flags=re.S)
	return re.sub(rb"\\(x[0-9a-fA-F]{2}|[rnt0e\\])", escape, data)


def escape(m):
	what = m.group(1)
	return bytes([int(what[1:], 16)]) if what.startswith(b"x") else ESCAPES[what]
