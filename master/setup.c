/*
 * `minimta --setup`: makes what a first start needs and says line by line what it did and what was there already: the
 * configuration, the users, the directories. It changes nothing that exists. Called by main.c, as root, before anything runs.
 */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/sandbox.h"
#include "master/master.h"

#ifndef PREFIX
#define PREFIX	"/usr/local"
#endif
#define EXAMPLE	PREFIX "/share/minimta/minimta.conf"
#define SENDMAIL	"/usr/sbin/sendmail"		/* where programs look for it */

extern char **environ;

static void
quiet(void *arg, enum log_level level, const char *line)
{
	(void)arg;
	(void)level;
	(void)line;
}

static void
say(bool made, const char *what, const char *name)
{
	printf("%-9s %s %s\n", made ? "made" : "is there:", what, name);
}

static int
failed(const char *what, const char *name)
{
	fprintf(stderr, "minimta: %s %s: %s\n", what, name, strerror(errno));
	return EX_CANTCREAT;
}

/* ---- the configuration ---- */

/* The folders above it. */
static int
make_parents(const char *path)
{
	char copy[4096];
	struct stat st;

	if ((size_t)snprintf(copy, sizeof(copy), "%s", path) >= sizeof(copy)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	for (char *slash = copy + 1; (slash = strchr(slash, '/')) != NULL; *slash++ = '/') {
		*slash = '\0';
		if (mkdir(copy, 0755) == 0) {
			if (chmod(copy, 0755) != 0)
				return -1;
			say(true, "directory", copy);
		} else if (stat(copy, &st) != 0)
			return -1;
	}
	return 0;
}

/* The example that make install left, in which everything is a comment; else one line of it. */
static int
write_configuration(int fd)
{
	static const char text[] = "# minimta.conf(5) explains every option; `minimta -n` shows the values that hold.\n";
	int from = open(EXAMPLE, O_RDONLY | O_CLOEXEC);
	char part[8192];
	ssize_t n;

	if (from < 0)
		return write(fd, text, sizeof(text) - 1) == (ssize_t)sizeof(text) - 1 ? 0 : -1;
	while ((n = read(from, part, sizeof(part))) > 0)
		if (write(fd, part, (size_t)n) != n)
			n = -2;
	close(from);
	return n == 0 ? 0 : -1;
}

static int
make_configuration(const char *path)
{
	int fd, rc = 0;

	if (access(path, F_OK) == 0) {
		say(false, "configuration", path);
		return 0;
	}
	if (make_parents(path) != 0 || (fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644)) < 0)
		return failed("configuration", path);
	if (fchmod(fd, 0644) != 0 || write_configuration(fd) != 0)
		rc = failed("configuration", path);
	close(fd);
	if (rc == 0)
		say(true, "configuration", path);
	return rc;
}

/* ---- users ---- */

static int
make_user(const char *name)
{
	char *argv[] = { (char[]){ "useradd" }, (char[]){ "--system" }, (char[]){ "--user-group" }, (char[]){ "--no-create-home" },
	    (char[]){ "--home-dir" }, (char[]){ "/nonexistent" }, (char[]){ "--shell" }, (char[]){ "/usr/sbin/nologin" },
	    (char *)(uintptr_t)name, NULL };
	int status;
	pid_t pid;

	if (getpwnam(name) != NULL) {
		say(false, "user", name);
		return 0;
	}
	if ((errno = posix_spawnp(&pid, "useradd", NULL, NULL, argv, environ)) != 0 || waitpid(pid, &status, 0) != pid)
		return failed("useradd for", name);
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || getpwnam(name) == NULL) {
		fprintf(stderr, "minimta: useradd has not made the user %s\n", name);
		return EX_NOUSER;
	}
	say(true, "user", name);
	return 0;
}

static int
make_users(const struct conf *conf)
{
	int rc = 0;

	for (unsigned p = PROC_MASTER + 1; p < PROC_COUNT && rc == 0; p++)
		if (sandbox_user((enum proc)p) != NULL)
			rc = make_user(sandbox_user((enum proc)p));
	return rc != 0 ? rc : make_user(conf->virtual_user);
}

/* ---- directories ---- */

static int
make_virtual_directory(const struct conf *conf)
{
	const struct passwd *pw;

	if (conf->virtual_directory[0] == '\0' || access(conf->virtual_directory, F_OK) == 0)
		return 0;
	if ((pw = getpwnam(conf->virtual_user)) == NULL || make_parents(conf->virtual_directory) != 0 ||
	    mkdir(conf->virtual_directory, 0755) != 0 || chmod(conf->virtual_directory, 0755) != 0 ||
	    chown(conf->virtual_directory, pw->pw_uid, pw->pw_gid) != 0)
		return failed("directory", conf->virtual_directory);
	return 0;
}

static int
make_directories(const struct conf *conf)
{
	const char *paths[] = { conf->spool, conf->state, conf->empty, conf->virtual_directory };
	const size_t n = sizeof(paths) / sizeof(paths[0]);
	bool was_there[sizeof(paths) / sizeof(paths[0])];
	char err[1024];
	int rc;

	for (size_t i = 0; i < n; i++)
		was_there[i] = access(paths[i], F_OK) == 0;
	log_set_sink(quiet, NULL);
	rc = places_make(conf, err, sizeof(err));
	log_set_sink(NULL, NULL);
	if (rc != 0) {
		fprintf(stderr, "minimta: %s\n", err);
		return EX_CANTCREAT;
	}
	rc = make_virtual_directory(conf);
	for (size_t i = 0; i < n && rc == 0; i++)
		if (paths[i][0] != '\0')
			say(!was_there[i], "directory", paths[i]);
	return rc;
}

/* Not made here: the place may be a package's. */
static void
say_sendmail(void)
{
	char there[4096], own[] = PREFIX "/sbin/sendmail", *found = realpath(SENDMAIL, NULL);

	if (realpath(own, there) != NULL && (found == NULL || strcmp(found, there) != 0))
		printf("Programs call " SENDMAIL ", which %s: ln -sf %s " SENDMAIL "\n",
		    found == NULL ? "is not there" : "is another mailer's", own);
	free(found);
}

static void
say_next(const struct conf *conf, const char *path)
{
	printf("\nHere it is %s, for the domains:", conf->hostname);
	for (size_t i = 0; conf->domains[i] != NULL; i++)
		printf(" %s", conf->domains[i]);
	printf("\nMail for root goes to %s%s.\n", conf->root_mail[0] != '\0' ? conf->root_mail : conf->state,
	    conf->root_mail[0] != '\0' ? "" : "/root/Maildir, unless an alias says otherwise");
	printf("Next: look into %s (minimta.conf(5)), then start it: systemctl enable --now minimta, or minimta.\n", path);
	say_sendmail();
}

int
setup_run(const char *conf_path)
{
	struct conf *conf;
	char err[1024];
	int rc;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (geteuid() != 0) {
		fprintf(stderr, "minimta: --setup makes users and directories of the system; run it as root\n"
		    "(an ordinary user needs none of it: see EXAMPLES in minimta.conf(5))\n");
		return EX_NOPERM;
	}
	umask(022);
	if ((rc = make_configuration(conf_path)) != 0)
		return rc;
	if ((conf = conf_read(conf_path, err, sizeof(err))) == NULL) {
		fprintf(stderr, "%s\n", err);
		return EX_CONFIG;
	}
	if ((rc = make_users(conf)) == 0 && (rc = make_directories(conf)) == 0)
		say_next(conf, conf_path);
	conf_free(conf);
	return rc;
}
