/* mesh queue put: items from the command line or standard input, in as few messages as they fit.
 * What stands in a pipe is put as it comes. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/queue_cmd.h"
#include "cli/submit_stdin.h"
#include "wire/base/buf.h"
#include "wire/base/text.h"

#define READ_BYTES 65536u

struct put {
    struct mesh_client *client;
    const struct queue_options *how;
    uint64_t id; /* of the last message */
    uint64_t n;  /* items that are in the queue */
    struct wire_queue_bytes items[WIRE_PUT_ITEMS_MAX];
    uint32_t n_items;
    size_t n_bytes;
    int fds[WIRE_PUT_BLOBS_MAX]; /* of the large ones among them */
    unsigned n_fds;
};

static int failed(const struct put *put, const char *what)
{
    if (put->n > 0) {
        cmd_complain("%s (%llu items were put before)", what, (unsigned long long)put->n);
    } else {
        cmd_complain("%s", what);
    }
    return -EIO;
}

/* Waits as long as it takes: a queue's peer may be away for a while. */
static int await_reply(struct put *put)
{
    const struct wire_message *answer;
    struct errmsg err;
    char text[WIRE_REASON_BYTES_MAX + 1];
    int r;
    do {
        r = mesh_client_next(put->client, -1, &answer, &err);
    } while (r == -EINTR || (r == 0 && answer->type != WIRE_MESSAGE_QUEUE_REPLY &&
                             answer->type != WIRE_MESSAGE_ERROR));
    if (r < 0) {
        return failed(put, err.text);
    }
    if (answer->type == WIRE_MESSAGE_ERROR) {
        return failed(put, text_printable(answer->error.text, text, sizeof(text)));
    }
    return answer->queue_reply.error == WIRE_ERROR_NONE
               ? 0
               : failed(put, text_printable(answer->queue_reply.text, text, sizeof(text)));
}

/* Sends what was gathered, and waits until it is on the queue's disk. */
static int flush(struct put *put)
{
    struct wire_message message = {.type = WIRE_MESSAGE_QUEUE_ADD};
    struct errmsg err;
    if (put->n_items == 0) {
        return 0;
    }
    message.queue_add = (struct wire_queue_add){
        .id = ++put->id,
        .name = slice_str(put->how->name),
        .items = {.items = put->items, .n = put->n_items},
    };
    int r = mesh_client_send(put->client, &message, put->fds, put->n_fds, &err);
    put->n_fds = 0; /* sent or closed */
    r = r < 0 && r != -EPIPE ? failed(put, err.text) : await_reply(put);
    if (r == 0) {
        put->n += put->n_items;
        put->n_items = 0;
        put->n_bytes = 0;
    }
    return r;
}

static int too_long(const struct put *put)
{
    struct errmsg err;
    uint64_t number = put->n + put->n_items + 1;
    uint64_t n_mib = WIRE_ITEM_BLOB_BYTES_MAX >> 20;
    errmsg_set(&err, "item %" PRIu64 " is over %" PRIu64 " MiB, the most an item may have", number,
               n_mib);
    return failed(put, err.text);
}

/* Takes fd. */
static int add_file(struct put *put, int fd, uint64_t n_bytes)
{
    int r = n_bytes > WIRE_ITEM_BLOB_BYTES_MAX ? too_long(put) : 0;
    if (r == 0 && (put->n_items == WIRE_PUT_ITEMS_MAX || put->n_fds == WIRE_PUT_BLOBS_MAX)) {
        r = flush(put);
    }
    if (r < 0) {
        IGNORE(close(fd)); /* was never read */
        return r;
    }
    put->items[put->n_items++] = (struct wire_queue_bytes){.blob_bytes = n_bytes};
    put->fds[put->n_fds++] = fd;
    return 0;
}

/* The bytes are borrowed until the next flush(). */
static int add(struct put *put, struct slice bytes)
{
    if (bytes.n > WIRE_ITEM_BYTES_MAX) {
        int fd = queue_file_of(bytes);
        return fd < 0 ? fd : add_file(put, fd, bytes.n);
    }
    if (put->n_items == WIRE_PUT_ITEMS_MAX || put->n_bytes + bytes.n > WIRE_PUT_BYTES_MAX) {
        int r = flush(put);
        if (r < 0) {
            return r;
        }
    }
    put->items[put->n_items++] = (struct wire_queue_bytes){.bytes = bytes};
    put->n_bytes += bytes.n;
    return 0;
}

/* --- standard input ----------------------------------------------------------------------------
 */

/* 0 at its end. */
static ssize_t read_some(struct buf *to)
{
    uint8_t block[READ_BYTES];
    ssize_t n;
    do {
        n = read(STDIN_FILENO, block, sizeof(block));
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        n = -errno;
        cmd_complain("cannot read standard input: %s", strerror(errno));
    } else {
        buf_append(to, block, (size_t)n);
    }
    return n;
}

/* The items that are whole by now; at the end of the input what is left is one as well. */
static int add_lines(struct put *put, struct buf *bytes, char separator, bool is_at_end)
{
    size_t used = 0;
    int r = 0;
    while (r == 0 && used < bytes->n) {
        const uint8_t *from = bytes->p + used;
        size_t n_left = bytes->n - used;
        const uint8_t *end = memchr(from, separator, n_left);
        if (end == NULL && !is_at_end) {
            r = n_left > WIRE_ITEM_BLOB_BYTES_MAX ? too_long(put) : 0;
            break;
        }
        size_t n = end != NULL ? (size_t)(end - from) : n_left;
        r = add(put, slice_of(from, n));
        used += n + (end != NULL);
    }
    r = r == 0 ? flush(put) : r; /* before the bytes move */
    buf_consume(bytes, used);
    return r;
}

static int put_lines(struct put *put)
{
    struct buf bytes;
    char separator = put->how->is_null ? '\0' : '\n';
    ssize_t n = 1;
    int r = 0;
    buf_init(&bytes, WIRE_ITEM_BLOB_BYTES_MAX + 4 * READ_BYTES);
    while (r == 0 && n > 0) {
        n = read_some(&bytes);
        r = n < 0 ? (int)n : add_lines(put, &bytes, separator, n == 0);
    }
    buf_done(&bytes);
    return r;
}

static int put_whole(struct put *put)
{
    struct errmsg err;
    struct stat st;
    static uint8_t bytes[WIRE_ITEM_BYTES_MAX];
    int fd;
    int r = cmd_stdin_spool(&fd, &err);
    if (r < 0) {
        return failed(put, r == -EINTR ? "interrupted" : err.text);
    }
    if (fstat(fd, &st) < 0) {
        r = -errno;
    } else if (st.st_size > (off_t)sizeof(bytes)) {
        r = add_file(put, fd, (uint64_t)st.st_size);
        return r == 0 ? flush(put) : r;
    } else if (pread(fd, bytes, sizeof(bytes), 0) != st.st_size) {
        r = -EIO;
    }
    IGNORE(close(fd)); /* all of it was read */
    if (r < 0) {
        return failed(put, strerror(-r));
    }
    r = add(put, slice_of(bytes, (size_t)st.st_size));
    return r == 0 ? flush(put) : r;
}

static int put_words(struct put *put)
{
    int r = 0;
    for (unsigned i = 0; r == 0 && i < put->how->n_words; i++) {
        r = add(put, slice_str(put->how->words[i]));
    }
    return r == 0 ? flush(put) : r;
}

int queue_put_run(struct mesh_client *client, const struct queue_options *how)
{
    static struct put put; /* too large for a stack */
    put = (struct put){.client = client, .how = how};
    int r = how->n_words > 0 ? put_words(&put) : how->is_whole ? put_whole(&put) : put_lines(&put);
    return r == 0 ? CMD_EXIT_OK : CMD_EXIT_FAILED;
}
