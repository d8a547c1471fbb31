#include "mesh/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "mesh/close_later.h"
#include "mesh/disk_share.h"
#include "wire/base/buf.h"
#include "wire/base/mem.h"

#define READ_BYTES 16384u
/* Bytes read in one turn of the loop, so that one chatty task does not starve the rest. */
#define TURN_BYTES_MAX (256u << 10)

struct output {
    struct output_config config;
    uv_poll_t poll;
    int read_fd;
    int spool_fd;      /* -1: none yet */
    struct buf held;   /* read and not in the spool */
    uint64_t bytes;    /* read in all */
    uint64_t spooled;  /* of these written to the spool */
    uint64_t taken;    /* of the share of the disk */
    uint64_t acked;    /* streamed: consumed by the receiver */
    size_t writing_at; /* into `held`, while a write is under way */
    uv_fs_t write_request;
    uint64_t n_due; /* is_cut: bytes still to be read */
    bool is_cut;
    bool is_polling;
    bool is_writing;
    bool is_at_end; /* no byte will come any more */
    bool is_broken; /* the spool failed: what is held is given up */
    bool is_draining;
    bool is_drained;
    bool is_closing;
    bool is_poll_closed;
    void (*on_closed)(void *user);
    void *closed_user;
};

static void pump(struct output *output);

static void stop(struct output *output, enum output_stop why, const struct errmsg *err)
{
    output->is_broken = why == OUTPUT_STOP_DISK;
    output->is_at_end = true;
    output->config.on_stop(output->config.user, output, why, err);
}

/* --- spool --- */

static int open_spool(struct output *output, struct errmsg *reterr)
{
    const char *dir = output->config.spool_dir;
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC | O_EXCL, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT)) {
        char path[4096];
        int n = snprintf(path, sizeof path, "%s/output-XXXXXX", dir);
        errno = ENAMETOOLONG;
        fd = n > 0 && (size_t)n < sizeof path ? mkostemp(path, O_CLOEXEC) : -1;
        if (fd >= 0) {
            unlink(path);
        }
    }
    if (fd < 0) {
        int r = -errno;
        errmsg_set(reterr, "keep a task's output in %s: %s", dir, strerror(errno));
        return r;
    }
    output->spool_fd = fd;
    return 0;
}

static void finish_close(struct output *output);

static void write_more(struct output *output);

static void on_written(uv_fs_t *request)
{
    struct output *output = CONTAINER_OF(request, struct output, write_request);
    ssize_t result = request->result;
    uv_fs_req_cleanup(request);
    output->is_writing = false;
    if (output->is_closing) {
        finish_close(output);
        return;
    }
    if (result <= 0) {
        struct errmsg err;
        errmsg_set(&err, "write a task's output to %s: %s", output->config.spool_dir,
                   result == 0 ? "nothing written" : uv_strerror((int)result));
        stop(output, OUTPUT_STOP_DISK, &err);
    } else {
        output->spooled += (uint64_t)result;
        output->writing_at += (size_t)result;
        if (output->writing_at < output->held.n) {
            write_more(output);
            return;
        }
        buf_clear(&output->held);
        output->writing_at = 0;
    }
    pump(output);
    if (output->is_drained && !output->is_closing) {
        output->config.on_drained(output->config.user, output);
    }
}

static void write_more(struct output *output)
{
    uv_buf_t bytes = uv_buf_init((char *)output->held.p + output->writing_at,
                                 (unsigned)(output->held.n - output->writing_at));
    int r = uv_fs_write(output->config.loop, &output->write_request, output->spool_fd, &bytes, 1,
                        (int64_t)output->spooled, on_written);
    ensure(r == 0); /* fails only without a callback or buffers */
    output->is_writing = true;
}

/* A stream may take as much of the disk as is still free, so there is something left for the next
 * one, and for everybody else. */
static bool has_disk(const struct output *output)
{
    struct statvfs st;
    return fstatvfs(output->spool_fd, &st) < 0 || /* then writing tells */
           output->spooled + output->held.n <= (uint64_t)st.f_bavail * st.f_frsize;
}

static void spool(struct output *output)
{
    struct errmsg err;
    if (output->spool_fd < 0 && open_spool(output, &err) < 0) {
        stop(output, OUTPUT_STOP_DISK, &err);
        return;
    }
    if (!has_disk(output)) {
        errmsg_set(&err, "keep a task's output in %s: it would fill the disk",
                   output->config.spool_dir);
        stop(output, OUTPUT_STOP_DISK, &err);
        return;
    }
    if (!disk_share_take(output->config.disk, output->held.n)) {
        errmsg_set(&err, "keep a task's output: its submitter's part of the disk here is full");
        stop(output, OUTPUT_STOP_DISK, &err);
        return;
    }
    output->taken += output->held.n;
    write_more(output);
}

/* --- reading --- */

/* At the limit one more byte is asked for, to tell "just reached" from "beyond". */
static uint64_t room(const struct output *output)
{
    uint64_t left = output->config.bytes_max - output->bytes;
    if (output->config.is_streamed) {
        uint64_t window = WIRE_STREAM_WINDOW_BYTES - (output->bytes - output->acked);
        return window < left ? window : left + 1;
    }
    return left < UINT64_MAX ? left + 1 : left;
}

/* Takes n bytes that were read; at the limit the rest is dropped and on_stop called. */
static void take(struct output *output, const uint8_t *p, size_t n)
{
    uint64_t left = output->config.bytes_max - output->bytes;
    size_t n_kept = n > left ? (size_t)left : n;
    uint64_t offset = output->bytes;
    output->bytes += n_kept;
    if (!output->config.is_streamed) {
        buf_append(&output->held, p, n_kept);
    } else if (n_kept > 0) {
        output->config.on_data(output->config.user, output, offset, slice_of(p, n_kept));
    }
    struct errmsg err;
    if (buf_error(&output->held) != 0) {
        errmsg_set(&err, "keep a task's output: out of memory");
        stop(output, OUTPUT_STOP_DISK, &err);
    } else if (n_kept < n) {
        errmsg_set(&err, "more than %llu bytes of output",
                   (unsigned long long)output->config.bytes_max);
        stop(output, OUTPUT_STOP_LIMIT, &err);
    }
}

/* Reads once. Returns false when there is nothing to read now. */
static bool read_some(struct output *output, uint64_t n_room)
{
    uint8_t bytes[READ_BYTES];
    ssize_t n;
    do {
        n = read(output->read_fd, bytes, n_room < sizeof bytes ? (size_t)n_room : sizeof bytes);
    } while (n < 0 && errno == EINTR);
    if (n > 0) {
        output->n_due -= output->is_cut ? (size_t)n : 0;
        take(output, bytes, (size_t)n);
        return true;
    }
    /* The writers are dead when draining, so that an empty pipe is the end even if somebody
     * outside still holds it open. */
    if (n == 0 || output->is_draining || errno != EAGAIN) {
        output->is_at_end = true;
    }
    return false;
}

/* Held bytes that must go to the spool before more is read. */
static bool must_spool(const struct output *output)
{
    if (output->spool_fd < 0) {
        return output->held.n > OUTPUT_MEMORY_BYTES_MAX;
    }
    return output->held.n >= OUTPUT_MEMORY_BYTES_MAX || (output->is_at_end && output->held.n > 0);
}

static void on_readable(uv_poll_t *poll, int status, int events);

static void set_polling(struct output *output, bool on)
{
    if (on == output->is_polling) {
        return;
    }
    int r =
        on ? uv_poll_start(&output->poll, UV_READABLE, on_readable) : uv_poll_stop(&output->poll);
    ensure(r == 0);
    output->is_polling = on;
}

/* Reads and spools as far as possible now; the one place where a stream goes on. */
static void pump(struct output *output)
{
    size_t n_turn = 0;
    while (!output->is_writing && !output->is_closing) {
        output->is_at_end = output->is_at_end || (output->is_cut && output->n_due == 0);
        if (!output->is_broken && must_spool(output)) {
            spool(output);
            continue;
        }
        uint64_t n_room = room(output);
        n_room = output->is_cut && output->n_due < n_room ? output->n_due : n_room;
        if (output->is_at_end || n_room == 0 ||
            (n_turn >= TURN_BYTES_MAX && !output->is_draining)) {
            break;
        }
        n_turn += READ_BYTES;
        if (!read_some(output, n_room) && !output->is_at_end) {
            break;
        }
    }
    if (output->is_closing) {
        return;
    }
    bool is_idle = !output->is_writing;
    output->is_drained = output->is_draining && output->is_at_end && is_idle;
    set_polling(output, is_idle && !output->is_at_end && room(output) > 0);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct output *output = CONTAINER_OF(poll, struct output, poll);
    pump(output);
    if (output->is_drained && !output->is_closing) {
        output->config.on_drained(output->config.user, output);
    }
}

/* --- public --- */

int output_new(const struct output_config *config, struct output **ret_output, int *ret_write_fd,
               struct errmsg *reterr)
{
    int ends[2];
    struct output *output = mem_alloc(1, sizeof *output);
    if (output == NULL) {
        errmsg_set(reterr, "out of memory");
        return -ENOMEM;
    }
    int r = pipe2(ends, O_CLOEXEC) < 0 ? -errno : 0;
    if (r == 0) {
        r = uv_poll_init(config->loop, &output->poll,
                         ends[0]); /* makes the read end non-blocking */
        if (r < 0) {
            close(ends[0]);
            close(ends[1]);
        }
    }
    if (r < 0) {
        mem_free(output);
        errmsg_set(reterr, "make a pipe for a task's output: %s", uv_strerror(r));
        return r;
    }
    output->config = *config;
    output->config.disk = disk_share_ref(config->disk);
    output->read_fd = ends[0];
    output->spool_fd = -1;
    buf_init(&output->held, OUTPUT_MEMORY_BYTES_MAX + READ_BYTES);
    set_polling(output, true);
    *ret_output = output;
    *ret_write_fd = ends[1];
    return 0;
}

void output_ack(struct output *output, uint64_t offset)
{
    ensure(output->config.is_streamed);
    if (offset <= output->acked || offset > output->bytes) {
        return;
    }
    output->acked = offset;
    bool was_drained = output->is_drained;
    pump(output);
    if (output->is_drained && !was_drained && !output->is_closing) {
        output->config.on_drained(output->config.user, output);
    }
}

bool output_drain(struct output *output)
{
    output->is_draining = true;
    pump(output);
    return output->is_drained;
}

bool output_cut(struct output *output)
{
    int n_due = 0;
    ensure(!output->config.is_streamed);
    if (ioctl(output->read_fd, FIONREAD, &n_due) < 0) {
        n_due = 0; /* no pipe fails this; then what is printed comes with the next */
    }
    if (n_due == 0 && !output->is_writing && output->spool_fd < 0) {
        output->is_drained = true; /* the common case costs one system call */
        return true;
    }
    output->is_cut = true;
    output->is_draining = true;
    output->n_due = (uint64_t)n_due;
    pump(output);
    return output->is_drained;
}

void output_next(struct output *output)
{
    ensure(!output->is_writing);
    meshd_close_later(output->config.loop, output->spool_fd); /* nobody wanted it */
    output->spool_fd = -1;
    disk_share_give(output->config.disk, output->taken);
    output->taken = 0;
    buf_clear(&output->held);
    output->bytes = 0;
    output->spooled = 0;
    output->writing_at = 0;
    output->n_due = 0;
    output->is_cut = false;
    output->is_at_end = false;
    output->is_broken = false;
    output->is_draining = false;
    output->is_drained = false;
    set_polling(output, true);
}

void output_get(const struct output *output, struct output_result *ret_result)
{
    *ret_result = (struct output_result){
        .bytes = output->bytes,
        .memory = output->spool_fd < 0 ? buf_slice(&output->held) : slice_of(NULL, 0),
        .spool_fd = output->spool_fd,
        .disk_bytes = output->spool_fd >= 0 ? output->taken : 0,
    };
}

int output_take_spool(struct output *output)
{
    int fd = output->spool_fd;
    output->taken = fd >= 0 ? 0 : output->taken;
    output->spool_fd = -1;
    return fd;
}

static void finish_close(struct output *output)
{
    if (!output->is_poll_closed || output->is_writing) {
        return;
    }
    close(output->read_fd);
    meshd_close_later(output->config.loop, output->spool_fd);
    disk_share_give(output->config.disk, output->taken);
    disk_share_unref(output->config.disk);
    buf_done(&output->held);
    void (*on_closed)(void *user) = output->on_closed;
    void *user = output->closed_user;
    mem_free(output);
    on_closed(user);
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct output *output = CONTAINER_OF((uv_poll_t *)handle, struct output, poll);
    output->is_poll_closed = true;
    finish_close(output);
}

void output_close(struct output *output, void (*on_closed)(void *user), void *user)
{
    ensure(!output->is_closing);
    output->is_closing = true;
    output->on_closed = on_closed;
    output->closed_user = user;
    uv_close((uv_handle_t *)&output->poll, on_poll_closed);
}
