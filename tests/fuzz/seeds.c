/* Writes the messages' part of the corpus: one small and one empty message of every type, as
 * FOLDER/NAME and FOLDER/NAME-empty, where no such file is yet.
 *
 *   seeds FOLDER            writes what is missing
 *   seeds --check FOLDER    TAP: that nothing is missing, so that a new message comes with its seed
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/random_message.h"
#include "wire/base/buf.h"
#include "wire/message_codec.h"

static int write_seed(const char *path, uint32_t type, enum random_size size)
{
    struct arena arena;
    struct buf bytes;
    struct wire_message message;
    uint64_t seed = type;
    arena_init(&arena, 16u << 20);
    buf_init(&bytes, WIRE_BODY_BYTES_MAX);
    random_message(&seed, type, size, &arena, &message);
    int r = wire_message_encode(&message, &bytes);
    FILE *file = r == 0 ? fopen(path, "wbxe") : NULL;
    if (r == 0 && (file == NULL || fwrite(bytes.p, 1, bytes.n, file) != bytes.n)) {
        r = -errno;
    }
    if (file != NULL && fclose(file) != 0) {
        r = -errno;
    }
    arena_done(&arena);
    buf_done(&bytes);
    return r;
}

int main(int argc, char **argv)
{
    bool is_check = argc == 3 && strcmp(argv[1], "--check") == 0;
    if (argc != 2 && !is_check) {
        fprintf(stderr, "usage: %s [--check] FOLDER\n", argv[0]);
        return 2;
    }
    int n_failed = 0;
    if (is_check) {
        printf("1..%zu\n", random_n_types());
    }
    for (size_t i = 0; i < random_n_types(); i++) {
        char path[4096];
        const char *name = wire_message_name(random_type(i));
        bool is_there = true;
        for (int is_empty = 0; is_empty < 2; is_empty++) {
            snprintf(path, sizeof(path), "%s/%s%s", argv[argc - 1], name, is_empty ? "-empty" : "");
            bool is_file = access(path, R_OK) == 0;
            is_there = is_there && (is_file || is_empty);
            if (!is_check && !is_file &&
                write_seed(path, random_type(i), is_empty ? RANDOM_EMPTY : RANDOM_SMALL) < 0) {
                fprintf(stderr, "seeds: %s cannot be written: %s\n", path, strerror(errno));
                n_failed++;
            }
        }
        if (is_check) {
            printf("%s %zu - %s has a seed\n", is_there ? "ok" : "not ok", i + 1, name);
            n_failed += !is_there;
        }
    }
    return n_failed == 0 ? 0 : 1;
}
