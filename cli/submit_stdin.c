#include "cli/submit_stdin.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cli/signals.h"

#define COPY_BYTES 65536u

bool cmd_stdin_is_input(void)
{
    struct stat st;
    if (isatty(STDIN_FILENO) || fstat(STDIN_FILENO, &st) < 0 || S_ISDIR(st.st_mode)) {
        return false;
    }
    bool is_null = S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3);
    int flags = fcntl(STDIN_FILENO, F_GETFL);
    return !is_null && flags >= 0 && (flags & O_ACCMODE) != O_WRONLY;
}

static int open_spool(struct errmsg *err)
{
    const char *dir = getenv("TMPDIR");
    dir = dir != NULL && dir[0] != '\0' ? dir : "/tmp";
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) {
        fd = memfd_create("mesh-input", MFD_CLOEXEC);
    }
    if (fd < 0) {
        int r = -errno;
        errmsg_set(err, "no place to keep standard input: %s", strerror(-r));
        return r;
    }
    return fd;
}

static int write_spool(int fd, const uint8_t *bytes, size_t n_bytes, struct errmsg *err)
{
    while (n_bytes > 0) {
        ssize_t n = write(fd, bytes, n_bytes);
        if (n < 0 && errno != EINTR) {
            int r = -errno;
            errmsg_set(err, "cannot keep standard input: %s (TMPDIR names another place)",
                       strerror(-r));
            return r;
        }
        bytes += n > 0 ? n : 0;
        n_bytes -= n > 0 ? (size_t)n : 0;
    }
    return 0;
}

int cmd_stdin_spool(int *ret_fd, struct errmsg *err)
{
    int fd = open_spool(err);
    if (fd < 0) {
        return fd;
    }
    static uint8_t bytes[COPY_BYTES];
    int r = 0;
    for (;;) {
        ssize_t n = read(STDIN_FILENO, bytes, sizeof(bytes));
        if (n > 0) {
            r = write_spool(fd, bytes, (size_t)n, err);
        } else if (n == 0) {
            break;
        } else if (errno != EINTR || cmd_signals_caught() != 0) {
            r = -errno;
            errmsg_set(err, "cannot read standard input: %s", strerror(-r));
        }
        if (r < 0) {
            close(fd);
            return r;
        }
    }
    *ret_fd = fd;
    return 0;
}
