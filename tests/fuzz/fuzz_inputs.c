/* Input files of `mesh submit`: the first byte chooses the separator and how often the file is a
 * source, the rest is the file. */
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/inputs.h"
#include "tests/fuzz/fuzz.h"
#include "wire/limits.h"

#define ROWS_MAX 10000

static void read_all(struct cmd_inputs *inputs)
{
    struct errmsg err;
    const struct slice *values;
    uint64_t total = 0;
    uint64_t n = 0;
    if (cmd_inputs_open(inputs, &err) < 0) {
        return;
    }
    ensure(cmd_inputs_total(inputs, &total)); /* a regular file is counted */
    int r = 0;
    while (n < ROWS_MAX && (r = cmd_inputs_next(inputs, &values, &err)) == 0) {
        n++;
        for (unsigned i = 0; i < cmd_inputs_n_sources(inputs); i++) {
            ensure(values[i].n < WIRE_ARG_BYTES_MAX);
        }
    }
    ensure(r == 0 || (r == -ENODATA && n == total));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static int fd = -1;
    char path[64];
    if (fd < 0) {
        fd = memfd_create("fuzz", MFD_CLOEXEC);
    }
    if (n < 1 || fd < 0 || ftruncate(fd, 0) < 0 || pwrite(fd, bytes + 1, n - 1, 0) < 0) {
        return 0;
    }
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    struct cmd_inputs *inputs = cmd_inputs_new(bytes[0] % 2 == 0 ? '\n' : '\0');
    struct errmsg err;
    int r = 0;
    for (unsigned i = 0; i <= bytes[0] / 2 % 3 && r == 0; i++) {
        r = cmd_inputs_add_file(inputs, path, i > 0 && bytes[0] / 8 % 2 == 0, &err);
    }
    if (r == 0) {
        read_all(inputs);
    }
    cmd_inputs_free(inputs);
    return 0;
}
