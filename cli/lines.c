#include "cli/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire/base/text.h"
#include "wire/limits.h"

#define READ_BYTES (64u << 10)

static int fail(const struct cmd_lines *lines, int error, struct errmsg *err)
{
    char name[256];
    text_printable(slice_str(lines->name), name, sizeof(name));
    if (error == -E2BIG) {
        errmsg_set(err,
                   "%s, line %llu: longer than %u bytes, the kernel's limit for one argument "
                   "(MAX_ARG_STRLEN): pass long data through standard input",
                   name, (unsigned long long)lines->number + 1, WIRE_ARG_BYTES_MAX - 1);
    } else if (error == -EINVAL) {
        errmsg_set(err,
                   "%s, line %llu: holds a NUL byte, which no argument can: use -0 if NUL "
                   "separates the values",
                   name, (unsigned long long)lines->number + 1);
    } else {
        errmsg_set(err, "cannot read %s: %s", name, strerror(-error));
    }
    return error;
}

int cmd_lines_open(struct cmd_lines *lines, const char *path, char separator, struct errmsg *err)
{
    bool is_stdin = strcmp(path, "-") == 0;
    *lines = (struct cmd_lines){
        .fd = STDIN_FILENO, .name = is_stdin ? "standard input" : path, .separator = separator};
    /* A value, what was read beyond it, and room to read into. */
    buf_init(&lines->bytes, WIRE_ARG_BYTES_MAX + 4 * READ_BYTES);
    if (!is_stdin) {
        lines->fd = open(path, O_RDONLY | O_CLOEXEC);
        if (lines->fd < 0) {
            return fail(lines, -errno, err);
        }
    }
    struct stat st;
    int r = fstat(lines->fd, &st) < 0 ? -errno : S_ISDIR(st.st_mode) ? -EISDIR : 0;
    if (r < 0) {
        fail(lines, r, err);
        cmd_lines_close(lines);
    }
    return r;
}

void cmd_lines_close(struct cmd_lines *lines)
{
    if (lines->fd > STDIN_FILENO) {
        close(lines->fd);
    }
    lines->fd = -1;
    buf_done(&lines->bytes);
}

static int read_more(struct cmd_lines *lines)
{
    struct pollfd p = {.fd = lines->fd, .events = POLLIN};
    if (poll(&p, 1, 0) == 0) {
        return -EAGAIN;
    }
    uint8_t *room = buf_reserve(&lines->bytes, READ_BYTES);
    if (room == NULL) {
        return -ENOMEM;
    }
    ssize_t n = read(lines->fd, room, READ_BYTES);
    if (n < 0) {
        return errno == EINTR ? -EAGAIN : -errno;
    }
    lines->is_at_end = n == 0;
    buf_extend(&lines->bytes, (size_t)n);
    return 0;
}

/* A value's length is judged before its end is looked for any further. */
static int take(struct cmd_lines *lines, size_t n, size_t n_separator, struct slice *ret_value,
                struct errmsg *err)
{
    struct slice value = slice_part(buf_slice(&lines->bytes), lines->used, n);
    if (n >= WIRE_ARG_BYTES_MAX) {
        return fail(lines, -E2BIG, err);
    }
    if (lines->separator != '\0' && n > 0 && memchr(value.p, '\0', n) != NULL) {
        return fail(lines, -EINVAL, err);
    }
    lines->used += n + n_separator;
    lines->number++;
    *ret_value = value;
    return 0;
}

int cmd_lines_next(struct cmd_lines *lines, struct slice *ret_value, struct errmsg *err)
{
    size_t searched = 0;
    for (;;) {
        size_t n = lines->bytes.n - lines->used;
        const uint8_t *from = n > 0 ? lines->bytes.p + lines->used : NULL;
        const uint8_t *end =
            n > searched ? memchr(from + searched, lines->separator, n - searched) : NULL;
        if (end != NULL) {
            return take(lines, (size_t)(end - from), 1, ret_value, err);
        }
        if (lines->is_at_end) {
            return n > 0 ? take(lines, n, 0, ret_value, err) : -ENODATA;
        }
        if (n >= WIRE_ARG_BYTES_MAX) {
            return fail(lines, -E2BIG, err);
        }
        searched = n;
        buf_consume(&lines->bytes, lines->used);
        lines->used = 0;
        int r = read_more(lines);
        if (r == -EAGAIN) {
            return r;
        }
        if (r < 0) {
            return fail(lines, r, err);
        }
    }
}

int cmd_lines_count(struct cmd_lines *lines, uint64_t *ret_n, struct errmsg *err)
{
    struct stat st;
    off_t start = lseek(lines->fd, 0, SEEK_CUR);
    if (fstat(lines->fd, &st) < 0 || !S_ISREG(st.st_mode) || start < 0) {
        return -ESPIPE;
    }
    struct slice value;
    int r;
    do {
        r = cmd_lines_next(lines, &value, err);
    } while (r == 0);
    if (r != -ENODATA) {
        return r;
    }
    if (lseek(lines->fd, start, SEEK_SET) < 0) {
        return fail(lines, -errno, err);
    }
    *ret_n = lines->number;
    lines->number = 0;
    lines->used = 0;
    lines->is_at_end = false;
    buf_clear(&lines->bytes);
    return 0;
}
