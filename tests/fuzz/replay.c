/*
 * replay: runs files, or all files of folders, through a target without libFuzzer. So every build and every test run repeats
 * what fuzzing once found.
 */
#include "fuzz.h"
#include <dirent.h>
#include <sys/stat.h>

static int replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	static uint8_t data[1 << 22];
	size_t len;

	if (f == NULL) {
		fprintf(stderr, "%s: cannot be read\n", path);
		exit(1);
	}
	len = fread(data, 1, sizeof(data), f);
	fclose(f);
	/* a copy of just that size, so that a read past its end is seen */
	uint8_t *exact = bf_xmalloc(len + (len == 0));
	if (len > 0)
		memcpy(exact, data, len);
	LLVMFuzzerTestOneInput(exact, len);
	free(exact);
	return 1;
}

static int replay(const char *path)
{
	struct stat st;
	struct dirent *entry;
	int n = 0;
	DIR *dir;

	if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
		return replay_file(path);
	dir = opendir(path);
	if (dir == NULL) {
		fprintf(stderr, "%s: cannot be opened\n", path);
		exit(1);
	}
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] != '.') {
			char *inner = bf_xasprintf("%s/%s", path, entry->d_name);

			n += replay(inner);
			free(inner);
		}
	}
	closedir(dir);
	return n;
}

int main(int argc, char **argv)
{
	int n = 0;

	LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	for (int i = 1; i < argc; i++)
		n += replay(argv[i]);
	printf("ok 1 - %d inputs\n1..1\n", n);
	return 0;
}
