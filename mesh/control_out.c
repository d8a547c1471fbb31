/* Writing to a client: segments of frames, each with the descriptors that go with its first byte.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mesh/control_internal.h"
#include "wire/base/mem.h"
#include "wire/base/text.h"
#include "wire/blob_hash.h"

/* Frames without descriptors share a segment up to this size. */
#define SEGMENT_BYTES (64u << 10)

static void segment_free(struct client_segment *segment)
{
    for (unsigned i = 0; i < segment->n_fds; i++) {
        IGNORE(close(segment->fds[i])); /* opened for reading */
    }
    list_remove(&segment->node);
    buf_done(&segment->bytes);
    mem_free(segment);
}

void client_free_out(struct control_client *client)
{
    list_for_each_safe (it, &client->out) {
        segment_free(LIST_ENTRY(it, struct client_segment, node));
    }
    client->out_bytes = 0;
}

/* The segment that the next frame goes into, or NULL. */
static struct client_segment *segment_for(struct control_client *client, bool has_fds)
{
    struct list *last = client->out.prev;
    if (!has_fds && last != &client->out) {
        struct client_segment *segment = LIST_ENTRY(last, struct client_segment, node);
        if (segment->bytes.n < SEGMENT_BYTES) {
            return segment;
        }
    }
    struct client_segment *segment = mem_alloc(1, sizeof(*segment));
    if (segment != NULL) {
        buf_init(&segment->bytes, SEGMENT_BYTES + 4 + WIRE_ARENA_BYTES_MAX);
        list_push_back(&client->out, &segment->node);
    }
    return segment;
}

/* --- a done's outputs --------------------------------------------------------------------------
 */

/* What is neither inlined nor a blob was streamed. */
static bool is_blob(const struct wire_output *output)
{
    return !wire_hash_is_zero(&output->hash);
}

static int open_output(struct control_client *client, const struct wire_output *output, int fds[2],
                       unsigned *n_fds)
{
    uint64_t bytes;
    if (!is_blob(output)) {
        return 0;
    }
    int rc = meshd_blobs_open(client->control->config.blobs, &output->hash, &fds[*n_fds], &bytes);
    if (rc == 0) {
        (*n_fds)++;
    }
    return rc;
}

/* Opens what goes along. Where that fails the done says so instead of the output: the task has its
 * one result in any case. */
static void open_outputs(struct control_client *client, struct wire_message *message, int fds[2],
                         unsigned *n_fds)
{
    struct wire_result *result = &message->done.result;
    int rc = message->done.is_away ? 0 : open_output(client, &result->out, fds, n_fds);
    if (rc == 0) {
        rc = open_output(client, &result->err, fds, n_fds);
    }
    if (rc == 0) {
        return;
    }
    meshd_log(client->control->config.log, CORE_LOG_ERROR,
              "cannot open the stored output of task %u: %s", message->done.task, strerror(-rc));
    for (unsigned i = 0; i < *n_fds; i++) {
        IGNORE(close(fds[i])); /* opened for reading */
    }
    *n_fds = 0;
    result->end = WIRE_END_NO_DISK;
    result->out = (struct wire_output){0};
    result->err = (struct wire_output){0};
    result->detail = slice_str("its output could not be read back from this peer's disk");
}

/* Where that fails its getter hears of an error: the item goes back when it leaves. */
static void open_taken(struct control_client *client, struct wire_message *message, int fds[2],
                       unsigned *n_fds)
{
    uint64_t id = message->queue_taken.id;
    uint64_t bytes;
    int rc = meshd_blobs_open(client->control->config.blobs, &message->queue_taken.content.hash,
                              &fds[0], &bytes);
    if (rc == 0) {
        *n_fds = 1;
        return;
    }
    meshd_log(client->control->config.log, CORE_LOG_ERROR, "cannot open a queue's item: %s",
              strerror(-rc));
    message->type = WIRE_MESSAGE_QUEUE_REPLY;
    message->queue_reply = (struct wire_queue_reply){
        .id = id,
        .error = WIRE_ERROR_UNAVAILABLE,
        .text = slice_str("the item could not be read back from this peer's disk")};
}

static void open_got(struct control_client *client, struct wire_message *message, int fds[2],
                     unsigned *n_fds)
{
    uint64_t bytes;
    int rc = meshd_blobs_open(client->control->config.blobs, &message->got.hash, &fds[0], &bytes);
    if (rc == 0) {
        *n_fds = 1;
        return;
    }
    meshd_log(client->control->config.log, CORE_LOG_ERROR, "cannot open a stored blob: %s",
              strerror(-rc));
    message->got.error = WIRE_ERROR_UNAVAILABLE;
    message->got.text = slice_str("it could not be read back from this peer's disk");
}

/* --- sending -----------------------------------------------------------------------------------
 */

void client_send(struct control_client *client, const struct wire_message *message)
{
    struct wire_message sent = *message;
    int fds[2];
    unsigned n_fds = 0;
    if (message->type == WIRE_MESSAGE_DONE) {
        open_outputs(client, &sent, fds, &n_fds);
    } else if (message->type == WIRE_MESSAGE_GOT && message->got.error == WIRE_ERROR_NONE) {
        open_got(client, &sent, fds, &n_fds);
    } else if (message->type == WIRE_MESSAGE_QUEUE_TAKEN && wire_local_n_fds(message) > 0) {
        open_taken(client, &sent, fds, &n_fds);
    }
    struct client_segment *segment = segment_for(client, n_fds > 0);
    size_t n_before = segment != NULL ? segment->bytes.n : 0;
    int rc = segment != NULL ? wire_local_encode(&sent, &segment->bytes) : -ENOMEM;
    if (rc == 0) {
        ensure(wire_local_n_fds(&sent) == n_fds);
        memcpy(segment->fds, fds, n_fds * sizeof(fds[0]));
        segment->n_fds += n_fds;
        client->out_bytes += segment->bytes.n - n_before;
    } else {
        for (unsigned i = 0; i < n_fds; i++) {
            IGNORE(close(fds[i]));
        }
    }
    if (rc < 0 || client->out_bytes > MESHD_CLIENT_OUT_BYTES_MAX) {
        meshd_log(client->control->config.log, CORE_LOG_WARN, "dropped a client of user %u: %s",
                  client->uid, rc < 0 ? strerror(-rc) : "it does not read what it asked for");
        client_drop(client);
        return;
    }
    if (!list_is_linked(&client->dirty)) {
        list_push_back(&client->control->dirty, &client->dirty);
    }
}

void client_send_error(struct control_client *client, enum wire_error error, const char *text)
{
    char line[WIRE_REASON_BYTES_MAX];
    text_printable(slice_str(text), line, sizeof(line));
    struct wire_message message = {
        .type = WIRE_MESSAGE_ERROR,
        .error = {.error = error, .text = slice_str(line)},
    };
    client_send(client, &message);
}

/* 1: all of the segment is sent; 0: the socket is full; -errno. */
static int send_segment(struct control_client *client, struct client_segment *segment)
{
    union {
        char bytes[CMSG_SPACE(2 * sizeof(int))];
        struct cmsghdr align;
    } control;
    while (segment->n_sent < segment->bytes.n) {
        struct iovec iov = {.iov_base = segment->bytes.p + segment->n_sent,
                            .iov_len = segment->bytes.n - segment->n_sent};
        struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
        if (segment->n_fds > 0) {
            size_t n_bytes = segment->n_fds * sizeof(int);
            msg.msg_control = control.bytes;
            memset(&control, 0, sizeof(control)); /* the padding goes to the kernel too */
            msg.msg_controllen = CMSG_SPACE(n_bytes);
            struct cmsghdr *header = CMSG_FIRSTHDR(&msg);
            ensure(header != NULL); /* there is room for one */
            *header = (struct cmsghdr){
                .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(n_bytes)};
            memcpy(CMSG_DATA(header), segment->fds, n_bytes);
        }
        ssize_t n = sendmsg(client->fd, &msg, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return errno == EAGAIN || errno == EWOULDBLOCK ? 0 : -errno;
        }
        segment->n_sent += (size_t)n;
        client->out_bytes -= (size_t)n;
        for (; segment->n_fds > 0; segment->n_fds--) {
            IGNORE(close(segment->fds[segment->n_fds - 1])); /* the client has its own now */
        }
    }
    return 1;
}

bool client_flush(struct control_client *client)
{
    for (struct list *first; (first = list_first(&client->out)) != NULL;) {
        struct client_segment *segment = LIST_ENTRY(first, struct client_segment, node);
        int rc = send_segment(client, segment);
        if (rc < 0) {
            client_drop(client);
            return false;
        }
        if (rc == 0) {
            break;
        }
        segment_free(segment);
    }
    if (client->state == CLIENT_ENDING && list_is_empty(&client->out)) {
        client_close(client);
        return false;
    }
    client_poll(client);
    return true;
}
