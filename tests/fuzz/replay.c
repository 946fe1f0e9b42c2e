/*
 * Runs a fuzz target over files and folders of inputs without a fuzzer, so that `make check` replays every corpus.
 * A finding is a crash or a sanitizer's report; the count on the last line shows that there was something to replay.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static unsigned long inputs;

static void
replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data;
	size_t len;
	long size;

	if (f == NULL || fseek(f, 0, SEEK_END) != 0 || (size = ftell(f)) < 0) {
		perror(path);
		exit(1);
	}
	rewind(f);
	data = malloc(size > 0 ? (size_t)size : 1);
	len = fread(data, 1, (size_t)size, f);
	fclose(f);
	LLVMFuzzerTestOneInput(data, len);
	free(data);
	inputs++;
}

static void
replay_folder(const char *path)
{
	struct dirent *e;
	char name[4096];
	DIR *d = opendir(path);

	if (d == NULL) {
		replay_file(path);
		return;
	}
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		replay_file(name);
	}
	closedir(d);
}

int
main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		replay_folder(argv[i]);
	printf("%lu inputs replayed\n", inputs);
	return inputs > 0 ? 0 : 1;
}
