/* The key file of the state directory, with whatever is in it; no bytes at all: there is none. What
 * is taken is the key that the file spells. The file lies in a folder of memory of this process. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "wire/base/ensure.h"
#include "wire/identity.h"

static char folder[] = "/dev/shm/mesh-fuzz-XXXXXX";

static void remove_folder(void)
{
    IGNORE(rmdir(folder));
}

static int open_folder(void)
{
    static int fd = -1;
    if (fd < 0) {
        ensure(wire_init() == 0);
        ensure(mkdtemp(folder) != NULL);
        fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        ensure(fd >= 0);
        ensure(atexit(remove_folder) == 0);
    }
    return fd;
}

/* The first byte says what the file is: a mode too wide, a link, a folder, or, mostly, all right.
 */
static void put_file(int dir_fd, const uint8_t *bytes, size_t n)
{
    if (bytes[0] == 0x80) {
        ensure(symlinkat("elsewhere", dir_fd, "key") == 0);
        return;
    }
    if (bytes[0] == 0x81) {
        ensure(mkdirat(dir_fd, "key", 0700) == 0);
        return;
    }
    int fd = openat(dir_fd, "key", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    ensure(fd >= 0);
    ensure(write(fd, bytes + 1, n - 1) == (ssize_t)(n - 1));
    ensure(fchmod(fd, bytes[0] % 2 == 0 ? 0600 : 0600 | (bytes[0] & 077)) == 0);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    int dir_fd = open_folder();
    struct wire_identity *identity = NULL, *again = NULL;
    struct errmsg err = {""};
    if (n > 0) {
        put_file(dir_fd, bytes, n);
    }
    int r = wire_identity_load(dir_fd, &identity, &err);
    ensure(n > 0 || r == 0);
    ensure(r == 0 || err.text[0] != '\0');
    if (r == 0) {
        ensure(wire_identity_load(dir_fd, &again, &err) == 0);
        ensure(wire_key_eq(wire_identity_key(identity), wire_identity_key(again)));
        wire_identity_free(identity);
        wire_identity_free(again);
    }
    ensure(unlinkat(dir_fd, "key", n > 0 && bytes[0] == 0x81 ? AT_REMOVEDIR : 0) == 0);
    return 0;
}
