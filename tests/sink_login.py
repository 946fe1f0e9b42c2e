"""
SMTP AUTH from a server's side, for sink.py: PLAIN, LOGIN, CRAM-MD5 and SCRAM-SHA-256 with one user and his password.
"""
import base64
import hashlib
import hmac
import os

ITERATIONS = 4096


def b64(data):
	return base64.b64encode(data).decode()


class Login:
	def __init__(self, mechanisms, user, password):
		self.user, self.password = user.encode(), password.encode()
		self.mechanisms = mechanisms.split(",")
		self.used = []

	def exchange(self, words, say, hear):
		"""Whether the login is right. say sends a line, hear returns one."""
		mechanism = words[0].upper()
		if mechanism not in self.mechanisms:
			return False
		self.used.append(mechanism)
		run = getattr(self, mechanism.lower().replace("-", "_"))
		try:
			return run(words[1] if len(words) > 1 else None, lambda data: say("334 " + b64(data)) or base64.b64decode(hear()))
		except (ValueError, KeyError, IndexError):
			return False

	def plain(self, first, ask):
		data = base64.b64decode(first) if first else ask(b"")
		return data.split(b"\0")[1:] == [self.user, self.password]

	def login(self, _, ask):
		return [ask(b"Username:"), ask(b"Password:")] == [self.user, self.password]

	def cram_md5(self, _, ask):
		challenge = f"<{os.urandom(6).hex()}@sink.example>".encode()
		user, digest = ask(challenge).rsplit(b" ", 1)
		return user == self.user and digest.decode() == hmac.new(self.password, challenge, "md5").hexdigest()

	def scram_sha_256(self, first, ask):
		bare = base64.b64decode(first)[3:]
		fields = dict(f.split(b"=", 1) for f in bare.split(b","))
		nonce, salt = fields[b"r"] + os.urandom(9).hex().encode(), os.urandom(16)
		server_first = b"r=%s,s=%s,i=%d" % (nonce, b64(salt).encode(), ITERATIONS)
		final = ask(server_first)
		without_proof, _, proof = final.rpartition(b",p=")
		if without_proof != b"c=biws,r=" + nonce or fields[b"n"] != self.user:
			return False
		salted = hashlib.pbkdf2_hmac("sha256", self.password, salt, ITERATIONS)
		client_key = hmac.new(salted, b"Client Key", "sha256").digest()
		message = b",".join([bare, server_first, without_proof])
		signature = hmac.new(hashlib.sha256(client_key).digest(), message, "sha256").digest()
		if bytes(a ^ b for a, b in zip(client_key, signature)) != base64.b64decode(proof):
			return False
		server_key = hmac.new(salted, b"Server Key", "sha256").digest()
		return ask(b"v=" + b64(hmac.new(server_key, message, "sha256").digest()).encode()) == b""
