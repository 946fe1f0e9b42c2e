/*
 * Files of exported messages. What is taken can be put into a record of the log and read back from it.
 */
#include <stdlib.h>
#include <string.h>

#include "queue/message_file.h"
#include "queue/record.h"
#include "queue/segment.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
check_record(const struct message_file *m)
{
	struct record r = { .kind = RECORD_ACCEPT, .id = 1, .arrived = m->arrived, .sender = m->sender, .head = m->head,
	    .n_added = m->n, .added = m->rcpts, .n_outcomes = m->n, .outcomes = m->outcomes }, back;
	struct blob *b = record_encode(&r);
	struct segment_frame f;

	if (b == NULL)
		return;
	if (segment_frame(&f, b->data, b->len) != 0 ||
	    record_decode(&back, f.kind, b->data + f.line, b->len - f.line, false) != 0)
		abort();
	record_free(&back);
	blob_unref(b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), why[300];
	struct message_file m;

	if (text == NULL)
		return 0;
	if (size > 0)
		memcpy(text, data, size);
	text[size] = '\0';
	if (message_file_parse(&m, text, why, sizeof(why)) == 0)
		check_record(&m);
	message_file_free(&m);
	free(text);
	return 0;
}
