/*
 * How many messages a second the queue's log makes durable, with 1, 10 and 100 writers that each wait for their last
 * message before they send the next, beside single writes with fdatasync on the same disk in the same run.
 * `make bench-log`; in a folder of its own under the one named (build by default). Messages end at once, as most do.
 */
#include <event2/event.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/clock.h"
#include "queue/log.h"

#define SECONDS		2.0
#define CONTENT		1024U
#define SEGMENT		(64U << 20)

struct bench {
	struct event_base	*base;
	struct log		*log;
	bool			 scanned;
	bool			 end;		/* each message is delivered at once, too */
	double			 until;
	unsigned long		 accepted, waiting;
	char			 content[CONTENT];
};

/* One who waits for each message. */
struct client {
	struct bench	*bench;
	uint64_t	 id;
};

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void	client_send(struct client *c);

static void
on_accepted(void *arg, const char *error)
{
	struct log_outcome o = { .state = LOG_DELIVERED, .text = "host=192.0.2.1 code=250 ok" };
	struct client *c = arg;
	struct bench *b = c->bench;

	if (error) {
		fprintf(stderr, "bench-log: %s\n", error);
		exit(1);
	}
	b->accepted++;
	b->waiting--;
	if (b->end)
		log_outcomes(b->log, c->id, &o, 1, NULL, NULL);
	if (now() < b->until)
		client_send(c);
	else if (b->waiting == 0)
		event_base_loopbreak(b->base);
}

static void
client_send(struct client *c)
{
	struct bench *b = c->bench;
	struct envelope_sender sender = { .address = (char *)"sender@example.org", .client = (char *)"192.0.2.1",
	    .session = (char *)"ABCDE" };
	struct envelope_rcpt rcpt = { .address = (char *)"recipient@example.net" };
	struct log_accept a = { .id = log_new_id(b->log), .arrived = clock_wall(), .sender = &sender, .rcpts = &rcpt, .n_rcpts = 1,
	    .head = "Received: from example.org by example.net\r\n", .content = b->content, .content_len = CONTENT };

	c->id = a.id;
	b->waiting++;
	log_accept(b->log, &a, 0, on_accepted, c);
}

static double
bench_single(int dirfd)
{
	int fd = openat(dirfd, "single", O_RDWR | O_CREAT | O_TRUNC, 0600);
	static char block[4096];
	double start, took;
	long n = 0;

	if (fd < 0 || fallocate(fd, 0, 0, SEGMENT) != 0 || fsync(fd) != 0) {
		perror("bench-log");
		exit(1);
	}
	for (start = now(); (took = now() - start) < SECONDS && (n + 1) * 4096 < (long)SEGMENT; n++)
		if (pwrite(fd, block, sizeof(block), n * 4096) < 0 || fdatasync(fd) != 0)
			exit(1);
	close(fd);
	unlinkat(dirfd, "single", 0);
	return (double)n / took;
}

static void
on_scanned(void *arg, uint64_t messages)
{
	(void)messages;
	((struct bench *)arg)->scanned = true;
}

static double
bench_writers(int dirfd, unsigned writers, bool end)
{
	struct log_options options = { .segment_size = SEGMENT };
	struct log_events events = { .on_scanned = on_scanned };
	struct bench b = { .base = event_base_new(), .end = end };
	struct client clients[100];
	char err[200];
	double start, took;

	clock_init(b.base);
	memset(b.content, 'x', sizeof(b.content));
	b.log = log_open(b.base, dirfd, &options, &events, &b, err, sizeof(err));
	if (b.log == NULL) {
		fprintf(stderr, "bench-log: %s\n", err);
		exit(1);
	}
	while (!b.scanned)
		event_base_loop(b.base, EVLOOP_ONCE);
	start = now();
	b.until = start + SECONDS;
	for (unsigned i = 0; i < writers; i++) {
		clients[i].bench = &b;
		client_send(&clients[i]);
	}
	event_base_dispatch(b.base);
	took = now() - start;
	log_close(b.log);
	clock_init(NULL);		/* its event goes before the base */
	event_base_free(b.base);
	return (double)b.accepted / took;
}

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *f)
{
	(void)st;
	(void)flag;
	(void)f;
	return remove(path);
}

/* A fresh spool for each measurement. */
static double
bench_fresh(const char *folder, unsigned writers, bool end)
{
	char path[400];
	double result;
	int dirfd;

	snprintf(path, sizeof(path), "%s/bench-log.XXXXXX", folder);
	if (mkdtemp(path) == NULL || (dirfd = open(path, O_RDONLY | O_DIRECTORY)) < 0) {
		perror(path);
		exit(1);
	}
	result = writers > 0 ? bench_writers(dirfd, writers, end) : bench_single(dirfd);
	close(dirfd);
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return result;
}

int
main(int argc, char **argv)
{
	static const unsigned writers[] = { 1, 10, 100 };
	const char *folder = argc > 1 ? argv[1] : "build";
	double single = bench_fresh(folder, 0, false), alone, ended;

	printf("%-40s %10s %14s\n", "messages of 1 KiB a second", "", "times single");
	printf("%-40s %10.0f\n", "write 4 KiB and fdatasync, one by one", single);
	for (size_t i = 0; i < sizeof(writers) / sizeof(writers[0]); i++) {
		alone = bench_fresh(folder, writers[i], false);
		ended = bench_fresh(folder, writers[i], true);
		printf("%3u writer%-2s accepted %29.0f %14.1f\n", writers[i], writers[i] > 1 ? "s" : "", alone, alone / single);
		printf("%3u writer%-2s accepted and delivered %15.0f %14.1f\n", writers[i], writers[i] > 1 ? "s" : "", ended,
		    ended / single);
	}
	return 0;
}
