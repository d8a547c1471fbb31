/* A task of the soak: `soak_task MS INPUT [-r FILE] [-w FILE] [-l LINES] [-b FILE]` takes about MS
 * milliseconds and prints lines `INPUT NUMBER HASH`: one, or LINES of them. The hash is of INPUT,
 * of the file that it reads (-r; - is standard input) and of the line's number, so whoever knows
 * these can tell whether it is right. What it read, changed, goes to the file -w. The file
 * -b gets a line INPUT when it begins. libc only: it travels. */
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lab/soak_hash.h"

#define FILE_BYTES_MAX (4u << 20)

static unsigned number(const char *text)
{
    unsigned value = 0;
    return sscanf(text, "%u", &value) == 1 ? value : 0;
}

static size_t read_file(const char *path, uint8_t *bytes)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    if (file == NULL) {
        perror(path);
        exit(3);
    }
    size_t n = fread(bytes, 1, FILE_BYTES_MAX, file);
    if (ferror(file)) {
        perror(path);
        exit(3);
    }
    return n;
}

static void write_file(const char *path, const uint8_t *bytes, size_t n)
{
    FILE *file = fopen(path, "w");
    if (file == NULL || fwrite(bytes, 1, n, file) != n || fclose(file) != 0) {
        perror(path);
        exit(3);
    }
}

/* One write to a file opened with O_APPEND: lines of many tasks do not mix. */
static void note_begin(const char *path, const char *input)
{
    char line[128];
    int n = snprintf(line, sizeof(line), "%s\n", input);
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0 || write(fd, line, (size_t)n) != n || close(fd) < 0) {
        perror(path);
        exit(3);
    }
}

int main(int argc, char **argv)
{
    static uint8_t bytes[FILE_BYTES_MAX];
    const char *to = NULL;
    size_t n = 0;
    unsigned n_lines = 1;
    if (argc < 3) {
        fprintf(stderr, "usage: soak_task MS INPUT [-r FILE] [-w FILE] [-l LINES] "
                        "[-b FILE]\n");
        return 2;
    }
    for (int i = 3; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "-b") == 0) {
            note_begin(argv[i + 1], argv[2]);
        }
    }
    uint64_t hash = soak_hash_text(SOAK_HASH_BEGIN, argv[2]);
    unsigned ms = number(argv[1]);
    /* Some take half as long, others half as long again. */
    poll(NULL, 0, (int)(ms / 2 + (ms > 0 ? hash % ms : 0)));
    for (int i = 3; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "-r") == 0) {
            n = read_file(argv[i + 1], bytes);
            hash = soak_hash(hash, bytes, n);
        } else if (strcmp(argv[i], "-w") == 0) {
            to = argv[i + 1];
        } else if (strcmp(argv[i], "-l") == 0) {
            n_lines = number(argv[i + 1]);
        }
    }
    for (unsigned i = 0; i < n_lines; i++) {
        printf("%s %u %016" PRIx64 "\n", argv[2], i, soak_hash_line(hash, i));
    }
    if (to != NULL) {
        soak_transform(bytes, n);
        write_file(to, bytes, n);
    }
    return fflush(stdout) == 0 ? 0 : 3;
}
