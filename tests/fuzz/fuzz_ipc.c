/*
 * Bytes from a hostile process into a channel (lib/ipc.c), and into every field reader of lib/pack.c. Descriptors are not
 * sent; tests/unit/test_ipc.c has those.
 */
#include <event2/event.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/ipc.h"
#include "lib/log.h"
#include "lib/pack.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static int
on_any(void *arg, struct ipc *ipc, struct ipc_message *m)
{
	struct unpack u;
	size_t len;
	char small[8];

	(void)arg;
	(void)ipc;
	unpack_init(&u, m->data, m->len);
	while (unpack_ok(&u) && !unpack_end(&u)) {
		switch (unpack_u8(&u) % 6) {
		case 0: free(unpack_str(&u)); break;
		case 1: unpack_str_to(&u, small, sizeof(small)); break;
		case 2: unpack_blob(&u, &len); break;
		case 3: unpack_u64(&u); break;
		case 4: unpack_u16(&u); break;
		default: unpack_u32(&u); break;
		}
	}
	return 0;
}

static const struct ipc_handler handlers[] = {
	{ MSG_MAIL_BEGIN, on_any },
	{ MSG_MAIL_RCPT, on_any },
	{ MSG_MAIL_DATA, on_any },
	{ MSG_MAIL_END, on_any },
	{ MSG_MAIL_ABORT, on_any },
	{ MSG_NONE, NULL },
};

static void
on_down(void *arg, struct ipc *ipc, const char *why)
{
	(void)ipc;
	(void)why;
	*(struct ipc **)arg = NULL;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct event_base *base = event_base_new();
	struct ipc *ipc = NULL;
	int sv[2];

	if (base == NULL || socketpair(AF_UNIX, SOCK_STREAM, 0, sv) != 0)
		abort();
	log_set_level(LOG_LEVEL_ERROR);
	ipc = ipc_new(base, sv[0], PROC_QUEUE, PROC_SMTPD, 1, handlers, on_down, &ipc);
	ipc_set_arg(ipc, NULL);
	for (size_t at = 0; at < len && ipc != NULL; ) {
		size_t piece = len - at < 100 ? len - at : 100;

		if (write(sv[1], data + at, piece) != (ssize_t)piece)
			break;
		at += piece;
		event_base_loop(base, EVLOOP_NONBLOCK);
	}
	close(sv[1]);
	for (int i = 0; i < 4; i++)
		event_base_loop(base, EVLOOP_NONBLOCK);
	ipc_free(ipc);
	event_base_free(base);
	return 0;
}
