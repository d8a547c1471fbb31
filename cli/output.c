#include "cli/output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/signals.h"
#include "wire/base/buf.h"
#include "wire/base/mem.h"
#include "wire/base/table.h"

#define MEMORY_DEFAULT (16u << 20)
#define COPY_BYTES     (64u << 10)
#define HELD_FDS_MAX   64u /* descriptors kept open for results that wait; more are copied */

/* Where a stream that waits is kept. */
struct store {
    uint8_t *bytes; /* owned; NULL: in the file, or nowhere */
    int fd;         /* owned; -1: none */
    off_t spilled;  /* offset in the spill file; -1: not there */
    uint64_t n;     /* bytes of the first and the last */
};

struct held {
    struct table_entry entry;
    uint64_t sequence;
    struct slice tag; /* owned */
    struct store streams[2];
};

struct cmd_output {
    struct cmd_output_options options;
    uint64_t next; /* the task whose turn it is */
    struct table held;
    size_t memory_bytes;
    unsigned n_fds;
    int spill_fd;
    off_t spill_end;
    struct buf line; /* a part of the output with its tags */
    uint8_t copy[COPY_BYTES];
};

struct cmd_output *cmd_output_new(const struct cmd_output_options *options)
{
    struct cmd_output *output = mem_alloc_or_die(1, sizeof(*output));
    output->options = *options;
    if (options->memory_bytes_max == 0) {
        output->options.memory_bytes_max = MEMORY_DEFAULT;
    }
    output->next = 1;
    output->spill_fd = -1;
    table_init(&output->held, sizeof(uint64_t), 1);
    buf_init(&output->line, 2 * COPY_BYTES + (1u << 20));
    return output;
}

static void store_done(struct cmd_output *output, struct store *store)
{
    if (store->bytes != NULL) {
        output->memory_bytes -= (size_t)store->n;
        store->bytes = mem_free(store->bytes);
    }
    if (store->fd >= 0) {
        close(store->fd);
        output->n_fds--;
        store->fd = -1;
    }
}

static void held_free(struct cmd_output *output, struct held *held)
{
    table_remove(&output->held, &held->entry);
    store_done(output, &held->streams[0]);
    store_done(output, &held->streams[1]);
    const void *tag = held->tag.p;
    mem_free((void *)(uintptr_t)tag);
    mem_free(held);
}

struct cmd_output *cmd_output_free(struct cmd_output *output)
{
    if (output == NULL) {
        return NULL;
    }
    table_for_each (it, &output->held) {
        held_free(output, CONTAINER_OF(it, struct held, entry));
    }
    table_done(&output->held);
    buf_done(&output->line);
    if (output->spill_fd >= 0) {
        close(output->spill_fd);
    }
    return mem_free(output);
}

/* --- writing -----------------------------------------------------------------------------------
 */

static int write_all(int fd, struct slice bytes, struct errmsg *err)
{
    while (bytes.n > 0) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n >= 0) {
            bytes = slice_from(bytes, (size_t)n);
        } else if (errno == EINTR) {
            if (cmd_signals_caught() != 0) {
                return -EINTR;
            }
        } else if (errno == EWOULDBLOCK) {
            struct pollfd p = {.fd = fd, .events = POLLOUT};
            if (poll(&p, 1, -1) < 0 && cmd_signals_caught() != 0) {
                return -EINTR;
            }
        } else if (fd == STDERR_FILENO && errno == EBADF) {
            return 0; /* closed on purpose */
        } else {
            int r = -errno;
            errmsg_set(err, "cannot write standard %s: %s",
                       fd == STDERR_FILENO ? "error" : "output", strerror(-r));
            return r;
        }
    }
    return 0;
}

int cmd_output_stream(struct cmd_output *output, bool is_err, struct slice bytes,
                      struct errmsg *err)
{
    if (bytes.n == 0) {
        return 0;
    }
    cmd_bar_hide(output->options.bar);
    return write_all(is_err ? STDERR_FILENO : STDOUT_FILENO, bytes, err);
}

/* Tags each line; *at_start says whether the next byte begins one, between calls. */
static int write_tagged(struct cmd_output *output, bool is_err, struct slice tag,
                        struct slice bytes, bool *at_start, struct errmsg *err)
{
    while (bytes.n > 0) {
        const uint8_t *newline = memchr(bytes.p, '\n', bytes.n);
        size_t n = newline != NULL ? (size_t)(newline - bytes.p) + 1 : bytes.n;
        if (*at_start) {
            buf_append_slice(&output->line, tag);
            buf_append_u8(&output->line, '\t');
        }
        buf_append(&output->line, bytes.p, n);
        *at_start = newline != NULL;
        bytes = slice_from(bytes, n);
        if (output->line.n >= COPY_BYTES || bytes.n == 0) {
            int r = cmd_output_stream(output, is_err, buf_slice(&output->line), err);
            buf_clear(&output->line);
            if (r < 0) {
                return r;
            }
        }
    }
    return 0;
}

static int write_part(struct cmd_output *output, bool is_err, struct slice tag, struct slice bytes,
                      bool *at_start, struct errmsg *err)
{
    return output->options.is_tagged ? write_tagged(output, is_err, tag, bytes, at_start, err)
                                     : cmd_output_stream(output, is_err, bytes, err);
}

int cmd_output_lines(struct cmd_output *output, bool is_err, struct slice tag, struct slice bytes,
                     struct errmsg *err)
{
    bool at_start = true;
    return write_part(output, is_err, tag, bytes, &at_start, err);
}

/* Reads `fd` from `from` on, n bytes or up to its end, and writes that. */
static int write_fd(struct cmd_output *output, bool is_err, struct slice tag, int fd, off_t from,
                    uint64_t n_max, struct errmsg *err)
{
    bool at_start = true;
    while (n_max > 0) {
        size_t n_want = n_max < COPY_BYTES ? (size_t)n_max : COPY_BYTES;
        ssize_t n = pread(fd, output->copy, n_want, from);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            int r = -errno;
            errmsg_set(err, "cannot read a task's output: %s", strerror(-r));
            return r;
        }
        if (n == 0) {
            return 0;
        }
        int r = write_part(output, is_err, tag, slice_of(output->copy, (size_t)n), &at_start, err);
        if (r < 0) {
            return r;
        }
        from += n;
        n_max -= (uint64_t)n;
    }
    return 0;
}

static int write_piece(struct cmd_output *output, bool is_err, struct slice tag,
                       const struct cmd_piece *piece, struct errmsg *err)
{
    if (piece->fd >= 0) {
        return write_fd(output, is_err, tag, piece->fd, 0, UINT64_MAX, err);
    }
    return cmd_output_lines(output, is_err, tag, piece->inlined, err);
}

static int write_store(struct cmd_output *output, bool is_err, struct slice tag,
                       const struct store *store, struct errmsg *err)
{
    if (store->fd >= 0) {
        return write_fd(output, is_err, tag, store->fd, 0, UINT64_MAX, err);
    }
    if (store->spilled >= 0) {
        return write_fd(output, is_err, tag, output->spill_fd, store->spilled, store->n, err);
    }
    return cmd_output_lines(output, is_err, tag, slice_of(store->bytes, (size_t)store->n), err);
}

/* --- waiting -----------------------------------------------------------------------------------
 */

static int open_spill(struct cmd_output *output, struct errmsg *err)
{
    if (output->spill_fd >= 0) {
        return 0;
    }
    const char *dir = getenv("TMPDIR");
    dir = dir != NULL && dir[0] != '\0' ? dir : "/tmp";
    output->spill_fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (output->spill_fd < 0) {
        char path[4096];
        snprintf(path, sizeof(path), "%s/mesh-XXXXXX", dir);
        output->spill_fd = mkostemp(path, O_CLOEXEC);
        if (output->spill_fd < 0) {
            int r = -errno;
            errmsg_set(err, "cannot keep output in order: no temporary file in %s: %s", dir,
                       strerror(-r));
            return r;
        }
        unlink(path);
    }
    return 0;
}

static int spill_bytes(struct cmd_output *output, struct slice bytes, struct errmsg *err)
{
    while (bytes.n > 0) {
        ssize_t n = pwrite(output->spill_fd, bytes.p, bytes.n, output->spill_end);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            int r = -errno;
            errmsg_set(err,
                       "cannot keep output in order: temporary file: %s (TMPDIR names another "
                       "place)",
                       strerror(-r));
            return r;
        }
        output->spill_end += n;
        bytes = slice_from(bytes, (size_t)n);
    }
    return 0;
}

static int spill_fd(struct cmd_output *output, int fd, struct errmsg *err)
{
    for (off_t from = 0;;) {
        ssize_t n = pread(fd, output->copy, COPY_BYTES, from);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            int r = -errno;
            errmsg_set(err, "cannot read a task's output: %s", strerror(-r));
            return r;
        }
        if (n == 0) {
            return 0;
        }
        int r = spill_bytes(output, slice_of(output->copy, (size_t)n), err);
        if (r < 0) {
            return r;
        }
        from += n;
    }
}

/* Takes the piece's descriptor when it returns 0. */
static int keep(struct cmd_output *output, struct cmd_piece *piece, struct store *store,
                struct errmsg *err)
{
    if (piece->fd >= 0 && output->n_fds < HELD_FDS_MAX) {
        store->fd = piece->fd;
        piece->fd = -1;
        output->n_fds++;
        return 0;
    }
    size_t n = piece->inlined.n;
    if (piece->fd < 0 && output->memory_bytes + n <= output->options.memory_bytes_max) {
        store->bytes = mem_dup(piece->inlined.p, n);
        ensure(store->bytes != NULL || n == 0);
        store->n = n;
        output->memory_bytes += store->bytes != NULL ? n : 0;
        return 0;
    }
    int r = open_spill(output, err);
    if (r < 0) {
        return r;
    }
    store->spilled = output->spill_end;
    r = piece->fd >= 0 ? spill_fd(output, piece->fd, err)
                       : spill_bytes(output, piece->inlined, err);
    store->n = (uint64_t)(output->spill_end - store->spilled);
    return r;
}

static int hold(struct cmd_output *output, uint64_t sequence, struct slice tag,
                struct cmd_piece *pieces, struct errmsg *err)
{
    struct held *held = mem_alloc_or_die(1, sizeof(*held));
    held->sequence = sequence;
    held->tag = slice_of(mem_dup(tag.p, tag.n), tag.n);
    ensure(held->tag.p != NULL || tag.n == 0);
    for (unsigned i = 0; i < 2; i++) {
        held->streams[i] = (struct store){.fd = -1, .spilled = -1};
    }
    table_insert(&output->held, &held->entry, &held->sequence);
    int r = keep(output, &pieces[0], &held->streams[0], err);
    return r < 0 ? r : keep(output, &pieces[1], &held->streams[1], err);
}

/* Writes all whose turn has come. */
static int release(struct cmd_output *output, struct errmsg *err)
{
    struct table_entry *entry;
    while ((entry = table_find(&output->held, &output->next)) != NULL) {
        struct held *held = CONTAINER_OF(entry, struct held, entry);
        int r = write_store(output, false, held->tag, &held->streams[0], err);
        if (r == 0) {
            r = write_store(output, true, held->tag, &held->streams[1], err);
        }
        held_free(output, held);
        output->next++;
        if (r < 0) {
            return r;
        }
    }
    if (output->held.n == 0 && output->spill_end > 0) {
        IGNORE(ftruncate(output->spill_fd, 0)); /* else it only stays large */
        output->spill_end = 0;
    }
    return 0;
}

static void close_pieces(struct cmd_piece *pieces)
{
    for (unsigned i = 0; i < 2; i++) {
        if (pieces[i].fd >= 0) {
            close(pieces[i].fd);
        }
    }
}

int cmd_output_piece(struct cmd_output *output, uint64_t sequence, struct slice tag,
                     struct cmd_piece out, struct cmd_piece err_piece, struct errmsg *err)
{
    struct cmd_piece pieces[2] = {out, err_piece};
    int r;
    if (output->options.is_keep_order && sequence != output->next) {
        r = hold(output, sequence, tag, pieces, err);
        close_pieces(pieces);
        return r;
    }
    r = write_piece(output, false, tag, &pieces[0], err);
    if (r == 0) {
        r = write_piece(output, true, tag, &pieces[1], err);
    }
    close_pieces(pieces);
    if (r == 0 && output->options.is_keep_order) {
        output->next++;
        r = release(output, err);
    }
    return r;
}

size_t cmd_output_n_held(const struct cmd_output *output)
{
    return output->held.n;
}
