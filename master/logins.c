/*
 * The file of names and passwords for relays (lib/credentials.h): read here, for only root may, and given to delivery alone.
 * Checks that it is nobody else's to read and has all that relays name. Nothing of it is logged, printed or kept. Called by
 * main.c, reload.c and launch.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/credentials.h"
#include "lib/log.h"
#include "master/master.h"

/* The descriptor, or -1 with a reason in err. */
static int
open_file(const char *path, char *err, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) != 0)
		snprintf(err, size, "%s: %s; it is named as credentials", path, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		snprintf(err, size, "%s: this is no file; name one as credentials", path);
	else if ((st.st_mode & 077) != 0)
		snprintf(err, size, "%s: others may read it, and it has passwords; chmod 600 %s", path, path);
	else if (st.st_uid != 0 && st.st_uid != geteuid())
		snprintf(err, size, "%s: it belongs to somebody else; chown root %s", path, path);
	else
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* All of it into text; the length, or -1 with a reason. */
static ssize_t
read_file(const char *path, char text[CREDENTIALS_FILE_MAX], char *err, size_t size)
{
	int fd = open_file(path, err, size);
	char more;
	ssize_t n;

	if (fd < 0)
		return -1;
	n = read(fd, text, CREDENTIALS_FILE_MAX);
	if (n < 0)
		snprintf(err, size, "%s: %s", path, strerror(errno));
	if (n == (ssize_t)CREDENTIALS_FILE_MAX && read(fd, &more, 1) != 0) {
		snprintf(err, size, "%s: longer than %u bytes; is it the right file?", path, CREDENTIALS_FILE_MAX);
		n = -1;
	}
	close(fd);
	return n;
}

/* 0, or -1: it cannot be read as such, or lacks an entry. */
static int
check_text(const struct conf *conf, const char *text, size_t len, char *err, size_t size)
{
	struct credentials *c;
	const struct conf_destination *d;
	char why[256];

	if ((c = credentials_parse(text, len, why, sizeof(why))) == NULL) {
		snprintf(err, size, "%s: %s", conf->credentials, why);
		return -1;
	}
	for (size_t i = 0; i < conf->n_destinations; i++) {
		d = &conf->destinations[i];
		if (d->login[0] == '\0' || credentials_find(c, d->login) != NULL)
			continue;
		snprintf(err, size, "%s: there is no entry %s, with which a relay (%s) is to be logged in; write a line %s USER "
		    "PASSWORD", conf->credentials, logq(d->login), d->domain, d->login);
		credentials_free(c);
		return -1;
	}
	credentials_free(c);
	return 0;
}

int
logins_check(const struct conf *conf, char *err, size_t size)
{
	char text[CREDENTIALS_FILE_MAX];
	ssize_t n;
	int rc;

	if (conf->credentials[0] == '\0')
		return 0;
	if ((n = read_file(conf->credentials, text, err, size)) < 0)
		return -1;
	rc = check_text(conf, text, (size_t)n, err, size);
	explicit_bzero(text, (size_t)n);
	return rc;
}

int
logins_descriptor(const struct conf *conf)
{
	char text[CREDENTIALS_FILE_MAX], err[512];
	ssize_t n;
	int fd;

	if (conf->credentials[0] == '\0')
		return -1;
	if ((n = read_file(conf->credentials, text, err, sizeof(err))) < 0 ||
	    check_text(conf, text, (size_t)n, err, sizeof(err)) != 0) {
		log_error("event=no-credentials what=%s", logq(err));
		return -1;
	}
	fd = memfd_create("credentials", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || write(fd, text, (size_t)n) != n ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0)
		log_fatal("event=no-credentials what=%s", logq(strerror(errno)));
	explicit_bzero(text, (size_t)n);
	return fd;
}
