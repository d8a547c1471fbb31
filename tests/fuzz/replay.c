/* The main() of a fuzz target in an ordinary build: gives it every file of its corpus, one TAP line
 * each. A crash, a sanitizer's finding or a leak ends the program, which the runner reports with
 * the name of the file, since that is printed before the target sees it. */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

/* A corpus file is small: the targets bound their input, and the repository stays light. */
#define FILE_BYTES_MAX ((size_t)1 << 20)

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* 0 and the whole file in *ret_bytes, to be freed; else -errno. */
static int read_whole(const char *path, uint8_t **ret_bytes, size_t *ret_n)
{
    FILE *file = fopen(path, "rbe");
    if (file == NULL) {
        return -errno;
    }
    uint8_t *bytes = malloc(FILE_BYTES_MAX);
    if (bytes == NULL) {
        fclose(file);
        return -ENOMEM;
    }
    size_t n = fread(bytes, 1, FILE_BYTES_MAX, file);
    int error = ferror(file) != 0 ? -EIO : 0;
    if (error == 0 && n == FILE_BYTES_MAX && fgetc(file) != EOF) {
        error = -EFBIG;
    }
    fclose(file);
    if (error != 0) {
        free(bytes);
        return error;
    }
    *ret_bytes = bytes;
    *ret_n = n;
    return 0;
}

/* The target sees a copy of exactly n bytes, so that ASan notices one byte too far. */
static void feed(const uint8_t *bytes, size_t n)
{
    uint8_t *exact = malloc(n > 0 ? n : 1);
    if (exact == NULL) {
        abort();
    }
    memcpy(exact, bytes, n);
    LLVMFuzzerTestOneInput(exact, n);
    free(exact);
}

static int replay_file(const char *folder, const char *name)
{
    char path[4096];
    if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path)) {
        return -ENAMETOOLONG;
    }
    uint8_t *bytes = NULL;
    size_t n = 0;
    int error = read_whole(path, &bytes, &n);
    if (error != 0) {
        return error;
    }
    printf("# %s, %zu bytes\n", name, n);
    fflush(stdout);
    feed(bytes, n);
    free(bytes);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s CORPUS-FOLDER\n", argv[0]);
        return 2;
    }
    struct dirent **entries = NULL;
    int n_entries = scandir(argv[1], &entries, is_visible, alphasort);
    if (n_entries <= 0) {
        printf("1..1\nnot ok 1 - the corpus %s is missing or empty\n", argv[1]);
        free(entries);
        return 1;
    }
    printf("1..%d\n", n_entries + 1);
    int n_failed = 0;
    for (int i = 0; i < n_entries; i++) {
        int error = replay_file(argv[1], entries[i]->d_name);
        printf("%s %d - %s%s%s\n", error == 0 ? "ok" : "not ok", i + 1, entries[i]->d_name,
               error == 0 ? "" : ": ", error == 0 ? "" : strerror(-error));
        n_failed += error != 0;
        free(entries[i]);
    }
    free(entries);
    feed((const uint8_t *)"", 0);
    printf("ok %d - no bytes at all\n", n_entries + 1);
    return n_failed == 0 ? 0 : 1;
}
