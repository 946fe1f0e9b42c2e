/*
 * `minimtactl sign dkim` and `minimtactl sign arc`: the message from standard input to standard output with fields added on
 * top and nothing else changed; if its lines end with LF those of the fields do so too. filters/ says what is signed.
 */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>

#include "filters/arc.h"
#include "filters/arc_seal.h"
#include "filters/dkim_key.h"
#include "filters/dkim_sign.h"
#include "lib/alloc.h"
#include "lib/header.h"
#include "lib/log.h"
#include "tools/check.h"

#define MESSAGE_MAX	(256UL * 1024 * 1024)
#define KEY_FILE_MAX	65536

struct sign {
	struct check	check;
	struct dkim_sign_options options;
	const char	*key_file, *authserv_id, *algorithm;
	EVP_PKEY	*key;
	char		*raw, *message;		/* as it came, and with CRLF */
	size_t		 raw_len, len, header_len;
	bool		 finished;		/* of the chain's check */
	enum arc_cv	 cv;
};

/* ---- words ---- */

static const struct option own[] = {
	{ "key", required_argument, NULL, 'k' }, { "domain", required_argument, NULL, 'd' },
	{ "selector", required_argument, NULL, 's' }, { "algorithm", required_argument, NULL, 'a' },
	{ "canon", required_argument, NULL, 'c' }, { "headers", required_argument, NULL, 'H' },
	{ "timestamp", required_argument, NULL, 't' }, { "authserv-id", required_argument, NULL, 'i' }, { 0 },
};

/* "relaxed/simple"; the body is simple when it is not named, as in c=. */
static int
read_canon(struct dkim_sign_options *o, const char *text)
{
	static const struct {
		const char	*text;
		bool		 header, body;
	} canons[] = { { "relaxed/relaxed", true, true }, { "relaxed/simple", true, false }, { "relaxed", true, false },
	    { "simple/relaxed", false, true }, { "simple/simple", false, false }, { "simple", false, false } };

	for (size_t i = 0; i < sizeof(canons) / sizeof(canons[0]); i++)
		if (strcmp(text, canons[i].text) == 0) {
			o->relaxed_header = canons[i].header;
			o->relaxed_body = canons[i].body;
			return 0;
		}
	return -1;
}

/* 0, or the code after saying what is wrong. */
static int
take_option(struct sign *s, int letter)
{
	uint64_t seconds;

	switch (letter) {
	case 'k':
		s->key_file = optarg;
		return 0;
	case 'd':
		s->options.domain = optarg;
		return 0;
	case 's':
		s->options.selector = optarg;
		return 0;
	case 'a':
		s->algorithm = optarg;
		return 0;
	case 'H':
		s->options.names = optarg;
		return 0;
	case 'i':
		s->authserv_id = optarg;
		return 0;
	case 'c':
		if (read_canon(&s->options, optarg) == 0)
			return 0;
		return check_usage(&s->check, "--canon %s is not known; expected relaxed or simple, twice with a / between",
		    logq(optarg));
	case 't':
		if (check_number(optarg, 0, UINT64_C(999999999999), &seconds) != 0)
			return check_usage(&s->check, "--timestamp %s is no time; expected seconds since 1970, or 0 for none",
			    logq(optarg));
		s->options.now = (time_t)seconds;
		return 0;
	}
	return letter;
}

static int
take_options(struct sign *s, int argc, char **argv)
{
	int letter, code;

	s->options.relaxed_header = s->options.relaxed_body = true;
	s->options.now = -1;
	check_begin(&s->check, argc, argv, own);
	while ((letter = check_option(&s->check)) != -1)
		if ((code = take_option(s, letter)) != 0)
			return code;
	if (s->options.now == -1)
		s->options.now = s->check.now;
	if (s->check.n_args != 0)
		return check_usage(&s->check, "the message is expected on standard input, no further word");
	if (s->key_file == NULL || s->options.domain == NULL || s->options.selector == NULL)
		return check_usage(&s->check, "--key, --domain and --selector are needed");
	return 0;
}

/* ---- key and message ---- */

static int
read_key(struct sign *s)
{
	char pem[KEY_FILE_MAX];
	FILE *f = fopen(s->key_file, "re");
	const char *why;
	size_t len;

	if (f == NULL)
		return check_unable(&s->check, "cannot read the key %s: %m", logq(s->key_file));
	len = fread(pem, 1, sizeof(pem), f);
	fclose(f);
	s->key = dkim_key_private(pem, len, &why);
	OPENSSL_cleanse(pem, sizeof(pem));
	if (s->key == NULL)
		return check_unable(&s->check, "the key %s does not do: %s", logq(s->key_file), why);
	s->options.algorithm = dkim_key_algorithm(s->key);
	if (s->algorithm != NULL && strcmp(s->algorithm, dkim_algorithm_name(s->options.algorithm)) != 0)
		return check_usage(&s->check, "--algorithm %s is not for this key; expected %s", logq(s->algorithm),
		    dkim_algorithm_name(s->options.algorithm));
	return 0;
}

static int
read_message(struct sign *s)
{
	s->raw = check_input(&s->check, MESSAGE_MAX, &s->raw_len);
	if (s->raw == NULL)
		return EX_TEMPFAIL;
	s->message = check_crlf(s->raw, s->raw_len, &s->len);
	s->header_len = header_end(s->message, s->len);
	return 0;
}

/* The fields in the message's own kind of lines, then the message. */
static int
write_all(struct sign *s, const char *fields)
{
	const char *lf = memchr(s->raw, '\n', s->raw_len);
	bool bare = lf != NULL && (lf == s->raw || lf[-1] != '\r');

	for (const char *p = fields; *p != '\0'; p++)
		if (*p != '\r' || !bare)
			putchar(*p);
	fwrite(s->raw, 1, s->raw_len, stdout);
	if (fflush(stdout) != 0 || ferror(stdout))
		return check_unable(&s->check, "cannot write the message: %m");
	return 0;
}

static int
end(struct sign *s, int code)
{
	EVP_PKEY_free(s->key);
	free(s->raw);
	free(s->message);
	return check_end(&s->check, code);
}

static int
cannot_sign(struct sign *s)
{
	return check_unable(&s->check, "the key %s cannot sign", logq(s->key_file));
}

/* ---- dkim ---- */

static int
run_dkim(struct sign *s)
{
	uint8_t hash[DKIM_HASH_BYTES], b[DKIM_SIGNATURE_BYTES];
	struct dkim_signer *signer;
	const char *why;
	size_t b_len;
	char *field;
	int code;

	s->options.kind = DKIM_MESSAGE;
	signer = dkim_signer_new(&s->options, s->message, s->header_len, &why);
	if (signer == NULL)
		return check_usage(&s->check, "%s", why);
	dkim_signer_body(signer, s->message + s->header_len, s->len - s->header_len);
	dkim_signer_hash(signer, hash);
	if (dkim_key_sign(s->key, hash, b, &b_len) != 0) {
		dkim_signer_free(signer);
		return cannot_sign(s);
	}
	field = dkim_signer_field(signer, b, b_len);
	code = write_all(s, field);
	free(field);
	dkim_signer_free(signer);
	return code;
}

int
sign_dkim(int argc, char **argv)
{
	struct sign s = { .finished = false };
	int code;

	if ((code = take_options(&s, argc, argv)) == 0 && s.authserv_id != NULL)
		code = check_usage(&s.check, "--authserv-id belongs to sign arc");
	if (code == 0 && (code = read_key(&s)) == 0 && (code = read_message(&s)) == 0)
		code = run_dkim(&s);
	return end(&s, code);
}

/* ---- arc ---- */

static void
on_chain(void *arg, const struct arc_finding *f)
{
	struct sign *s = arg;

	s->cv = f->result;
	s->finished = true;
}

/* The chain as it came; without one nothing is asked. */
static int
check_chain(struct sign *s)
{
	struct arc *arc;

	if (check_dns(&s->check) != 0)
		return EX_TEMPFAIL;
	arc = arc_start(s->check.dns, s->message, s->header_len, 0, on_chain, s);
	arc_body(arc, s->message + s->header_len, s->len - s->header_len);
	arc_end(arc);
	check_wait(&s->check, &s->finished);
	return 0;
}

static bool
is_fws(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* What stands behind our own authserv-id in an Authentication-Results field: false when it is another's, or nothing. */
static bool
own_results(const struct header_field *f, const char *id, const char **text_r, size_t *len_r)
{
	const char *p = f->value, *last = p + f->value_len;
	size_t id_len = strlen(id);

	while (p < last && is_fws(*p))
		p++;
	if ((size_t)(last - p) <= id_len || strncasecmp(p, id, id_len) != 0 || (p[id_len] != ';' && !is_fws(p[id_len])))
		return false;
	p = memchr(p, ';', (size_t)(last - p));
	if (p == NULL)
		return false;
	while (++p < last && is_fws(*p))
		continue;
	while (last > p && (is_fws(last[-1]) || last[-1] == ';'))
		last--;
	*text_r = p;
	*len_r = (size_t)(last - p);
	return *len_r > 0 && !(*len_r == 4 && strncasecmp(p, "none", 4) == 0);
}

static char *
all_results(const struct sign *s)
{
	struct header_field f;
	const char *text;
	char *all = NULL;
	size_t size, len;
	FILE *to = alloc_stream(&all, &size);
	bool begun = false;

	for (size_t at = 0; header_next(s->message, s->header_len, &at, &f); )
		if (header_is(&f, "Authentication-Results") && own_results(&f, s->authserv_id, &text, &len)) {
			fprintf(to, "%s%.*s", begun ? ";\r\n\t" : "", (int)len, text);
			begun = true;
		}
	if (!begun)
		fprintf(to, "arc=%s", arc_cv_name(s->cv));
	alloc_stream_end(to);
	return all;
}

static int
seal(struct sign *s, struct arc_sealer *sealer)
{
	uint8_t hash[DKIM_HASH_BYTES], b[DKIM_SIGNATURE_BYTES];
	size_t b_len;
	char *fields;
	int code;

	arc_sealer_body(sealer, s->message + s->header_len, s->len - s->header_len);
	arc_sealer_message_hash(sealer, hash);
	if (dkim_key_sign(s->key, hash, b, &b_len) != 0)
		return cannot_sign(s);
	arc_sealer_seal_hash(sealer, b, b_len, hash);
	if (dkim_key_sign(s->key, hash, b, &b_len) != 0)
		return cannot_sign(s);
	fields = arc_sealer_fields(sealer, b, b_len);
	code = write_all(s, fields);
	free(fields);
	return code;
}

static int
run_arc(struct sign *s)
{
	struct arc_sealer *sealer;
	const char *why;
	char *results;
	int code;

	if ((code = check_chain(s)) != 0)
		return code;
	results = all_results(s);
	sealer = arc_sealer_new(&s->options, s->authserv_id, results, s->cv, s->message, s->header_len, &why);
	free(results);
	if (sealer == NULL)
		return check_unable(&s->check, "%s", why);
	code = seal(s, sealer);
	arc_sealer_free(sealer);
	return code;
}

int
sign_arc(int argc, char **argv)
{
	struct sign s = { .finished = false };
	int code;

	if ((code = take_options(&s, argc, argv)) == 0 && (s.authserv_id == NULL || s.authserv_id[0] == '\0' ||
	    strpbrk(s.authserv_id, "; \t\r\n\"()") != NULL))
		code = check_usage(&s.check, "--authserv-id is needed: the name that stands first in Authentication-Results");
	if (code == 0 && (code = read_key(&s)) == 0 && (code = read_message(&s)) == 0)
		code = run_arc(&s);
	return end(&s, code);
}
