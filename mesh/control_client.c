/* Reading from a client, and the order of what it says.
 *
 * Happy path: on_ready() -> read_some() -> take_frames() -> take_message(), which hands a message
 * to the core at once, or, when it brings files or stands behind one that does, keeps it in
 * `pending` until the blob store has the files; deliver() then goes on in order. A client that
 * breaks the protocol is told so and dropped. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mesh/control_internal.h"
#include "wire/base/mem.h"
#include "wire/base/text.h"
#include "wire/message_codec.h"

#define READS_PER_TURN 4

static void on_ready(uv_poll_t *poll, int status, int events);
static void take_frames(struct control_client *client);

/* --- life --------------------------------------------------------------------------------------
 */

static void pending_free(struct client_pending *pending)
{
    arena_done(&pending->arena);
    mem_free(pending);
}

static void on_client_closed(uv_handle_t *handle)
{
    struct control_client *client = handle->data;
    struct meshd_control *control = client->control;
    IGNORE(close(client->fd)); /* all was sent or is given up */
    for (unsigned i = 0; i < client->n_in_fds; i++) {
        IGNORE(close(client->in_fds[i]));
    }
    mem_free(client->in_fds);
    buf_done(&client->in);
    list_remove(&client->node);
    control->n_clients--;
    mem_free(client);
    control_accept_again(control);
    control_maybe_closed(control);
}

void client_begin(struct meshd_control *control, int fd, uint32_t uid)
{
    struct control_client *client = mem_alloc(1, sizeof(*client));
    if (client == NULL || uv_poll_init(control->config.loop, &client->poll, fd) < 0) {
        IGNORE(close(fd));
        mem_free(client);
        return;
    }
    client->control = control;
    client->id = control->next_id++;
    client->uid = uid;
    client->fd = fd;
    client->hello_by_ms = uv_now(control->config.loop) + control->config.hello_ms;
    client->poll.data = client;
    buf_init(&client->in, CLIENT_IN_BYTES_MAX);
    list_init(&client->pending);
    list_init(&client->out);
    list_init(&client->dirty);
    list_push_back(&control->all, &client->node);
    control->n_clients++;
    client_poll(client);
    control_await_hello(control);
    on_ready(&client->poll, 0, UV_READABLE); /* most have said hello by now: it saves a turn */
}

void client_poll(struct control_client *client)
{
    int events = 0;
    if (client->state == CLIENT_CLOSED) {
        return;
    }
    if (client->n_pending < MESHD_CLIENT_PENDING_MAX && client->state != CLIENT_ENDING) {
        events |= UV_READABLE;
    }
    if (!list_is_empty(&client->out)) {
        events |= UV_WRITABLE;
    }
    /* Somebody who hangs up is noticed even while nothing is read from him. */
    events |= UV_DISCONNECT;
    if (events != client->poll_events) {
        client->poll_events = events;
        int rc = uv_poll_start(&client->poll, events, on_ready);
        ensure(rc == 0); /* a descriptor that epoll knows */
    }
}

/* The puts that are under way find no client any more; the others are done with. */
static void drop_pending(struct control_client *client)
{
    struct meshd_control *control = client->control;
    list_for_each_safe (it, &client->pending) {
        struct client_pending *pending = LIST_ENTRY(it, struct client_pending, node);
        list_remove(&pending->node);
        for (uint32_t i = 0; i < pending->n_files; i++) {
            if (pending->files[i].bytes != UINT64_MAX) {
                meshd_blobs_unhold(control->config.blobs, &pending->files[i].hash);
            }
        }
        if (pending->n_waiting > 0) {
            pending->client = NULL;
            control->n_orphans++;
        } else {
            pending_free(pending);
        }
    }
    client->n_pending = 0;
}

void client_close(struct control_client *client)
{
    if (client->state == CLIENT_CLOSED) {
        return;
    }
    if (client->state == CLIENT_UP) {
        table_remove(&client->control->by_id, &client->by_id);
    }
    client->state = CLIENT_CLOSED;
    list_remove(&client->dirty);
    drop_pending(client);
    client_free_out(client);
    uv_close((uv_handle_t *)&client->poll, on_client_closed);
}

void client_drop(struct control_client *client)
{
    bool is_known = client->state == CLIENT_UP;
    uint64_t id = client->id;
    struct meshd_control *control = client->control;
    client_close(client);
    if (is_known && !control->is_closing) {
        struct core_event event = {
            .type = CORE_EVENT_CLIENT_DOWN,
            .client_down = {.client = id},
        };
        meshd_sink_put(&control->config.sink, &event);
    }
}

/* Tells it why and lets it go once it has read that. */
static void client_refuse(struct control_client *client, enum wire_error error, const char *text)
{
    client_send_error(client, error, text);
    if (client->state == CLIENT_CLOSED) {
        return;
    }
    bool is_known = client->state == CLIENT_UP;
    if (is_known) {
        table_remove(&client->control->by_id, &client->by_id);
    }
    client->state = CLIENT_ENDING;
    drop_pending(client);
    client_poll(client);
    if (is_known) {
        struct core_event event = {
            .type = CORE_EVENT_CLIENT_DOWN,
            .client_down = {.client = client->id},
        };
        meshd_sink_put(&client->control->config.sink, &event);
    }
}

/* --- messages in order -------------------------------------------------------------------------
 */

static void put_message(struct control_client *client, const struct wire_message *message)
{
    struct core_event event = {
        .type = CORE_EVENT_CLIENT_MESSAGE,
        .client_message = {.client = client->id, .message = message},
    };
    meshd_sink_put(&client->control->config.sink, &event);
}

/* Nothing but the put itself comes to nothing. */
static void answer_put(struct control_client *client, const struct client_pending *pending,
                       const char *text)
{
    uint32_t error = pending->error == -EINVAL ? WIRE_ERROR_INVALID : WIRE_ERROR_UNAVAILABLE;
    struct wire_message message = {.type = WIRE_MESSAGE_PUT_DONE};
    if (pending->message.type == WIRE_MESSAGE_PUT) {
        message.put_done = (struct wire_put_done){
            .id = pending->message.put.id, .error = error, .text = slice_str(text)};
    } else {
        message.type = WIRE_MESSAGE_QUEUE_REPLY;
        message.queue_reply = (struct wire_queue_reply){
            .id = pending->message.queue_add.id, .error = error, .text = slice_str(text)};
    }
    client_send(client, &message);
}

static bool is_put(enum wire_message_type type)
{
    return type == WIRE_MESSAGE_PUT || type == WIRE_MESSAGE_QUEUE_ADD;
}

static const char *files_text(enum wire_message_type type)
{
    return type == WIRE_MESSAGE_SUBMIT ? "the job's files"
           : is_put(type)              ? "what is put"
                                       : "a task's input";
}

static void refuse_files(struct control_client *client, const struct client_pending *pending)
{
    char text[WIRE_REASON_BYTES_MAX];
    const char *what = files_text(pending->message.type);
    const char *why = pending->error == -EINVAL ? "not a regular file" : strerror(-pending->error);
    IGNORE(snprintf(text, sizeof(text), "cannot store %s: %s%s", what, why,
                    pending->error == -ENOSPC ? "; the daemon's store is full" : ""));
    if (pending->message.type == WIRE_MESSAGE_SUBMIT) {
        client_send_error(client, WIRE_ERROR_UNAVAILABLE, text);
    } else if (is_put(pending->message.type)) {
        answer_put(client, pending, text);
    } else {
        client_refuse(client, WIRE_ERROR_UNAVAILABLE, text); /* its job lacks a task now */
    }
}

/* The files of the message's items, in order. -ENODATA, -EFBIG: one is shorter or longer than such
 * an item may be. */
static int fill_in_items(struct client_pending *pending)
{
    struct wire_queue_items *items = &pending->message.queue_add.items;
    struct wire_queue_bytes *filled = arena_alloc(&pending->arena, items->n, sizeof(*filled));
    uint32_t i_file = 0;
    if (filled == NULL) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < items->n; i++) {
        filled[i] = items->items[i];
        if (filled[i].blob_bytes > 0) {
            const struct wire_file *file = &pending->files[i_file++];
            filled[i].hash = file->hash;
            filled[i].blob_bytes = file->bytes;
            if (file->bytes == 0 || file->bytes > WIRE_ITEM_BLOB_BYTES_MAX) {
                return file->bytes == 0 ? -ENODATA : -EFBIG;
            }
        }
    }
    items->items = filled;
    return 0;
}

static int fill_in(struct client_pending *pending)
{
    const struct wire_file *file = &pending->files[0];
    if (pending->message.type == WIRE_MESSAGE_ADD_TASK && pending->n_files == 1) {
        pending->message.add_task.input = file->hash;
        pending->message.add_task.input_bytes = file->bytes;
    }
    if (pending->message.type == WIRE_MESSAGE_PUT) {
        pending->message.put.hash = file->hash;
        pending->message.put.bytes = file->bytes;
    }
    return pending->message.type == WIRE_MESSAGE_QUEUE_ADD ? fill_in_items(pending) : 0;
}

/* All its files are stored, or one could not be. Takes the pending. */
static void deliver_one(struct control_client *client, struct client_pending *pending)
{
    struct meshd_blobs *blobs = client->control->config.blobs;
    if (pending->error == 0 && pending->n_files > 0) {
        pending->error = fill_in(pending);
    }
    for (uint32_t i = 0; i < pending->n_files && pending->error == 0; i++) {
        meshd_blobs_pin(blobs, &pending->files[i].hash); /* before the core may release it */
    }
    for (uint32_t i = 0; i < pending->n_files; i++) {
        if (pending->files[i].bytes != UINT64_MAX) {
            meshd_blobs_unhold(blobs, &pending->files[i].hash);
        }
    }
    if (pending->error == 0) {
        put_message(client, &pending->message);
    } else {
        refuse_files(client, pending);
    }
    pending_free(pending);
}

static void deliver(struct control_client *client)
{
    for (struct list *first;
         client->state == CLIENT_UP && (first = list_first(&client->pending)) != NULL;) {
        struct client_pending *pending = LIST_ENTRY(first, struct client_pending, node);
        if (pending->n_waiting > 0) {
            break;
        }
        list_remove(&pending->node);
        client->n_pending--;
        deliver_one(client, pending);
    }
    take_frames(client);
    client_poll(client);
}

/* --- files -------------------------------------------------------------------------------------
 */

struct file_put {
    struct client_pending *pending;
    uint32_t i_file;
};

static void on_put(void *user, int error, const struct wire_hash *hash, uint64_t bytes)
{
    struct file_put *put = user;
    struct client_pending *pending = put->pending;
    struct wire_file *file = &pending->files[put->i_file];
    struct meshd_control *control = pending->control;
    mem_free(put);
    pending->n_waiting--;
    if (error == 0 && pending->client != NULL) {
        file->hash = *hash;
        file->bytes = bytes;
    } else if (error == 0) {
        meshd_blobs_unhold(control->config.blobs, hash);
    } else if (pending->error == 0) {
        pending->error = error;
    }
    if (pending->n_waiting > 0) {
        return;
    }
    if (pending->client != NULL) {
        deliver(pending->client);
    } else {
        control->n_orphans--;
        pending_free(pending);
        control_maybe_closed(control);
    }
}

static void start_put(struct client_pending *pending, uint32_t i_file, int fd)
{
    struct file_put *put = mem_alloc(1, sizeof(*put));
    int rc = -ENOMEM;
    if (put != NULL) {
        *put = (struct file_put){.pending = pending, .i_file = i_file};
        rc = meshd_blobs_put(pending->control->config.blobs, fd, on_put, put);
    } else {
        IGNORE(close(fd)); /* was never read */
    }
    if (rc < 0) {
        mem_free(put);
        pending->error = pending->error == 0 ? rc : pending->error;
        return;
    }
    pending->n_waiting++;
}

/* The message's own list of files, to be filled in; UINT64_MAX bytes: not stored (yet). */
static int copy_files(struct client_pending *pending, unsigned n_fds)
{
    struct wire_message *message = &pending->message;
    pending->files = arena_alloc(&pending->arena, n_fds, sizeof(*pending->files));
    if (pending->files == NULL) {
        return -ENOMEM;
    }
    pending->n_files = n_fds;
    for (unsigned i = 0; i < n_fds; i++) {
        if (message->type == WIRE_MESSAGE_SUBMIT) {
            pending->files[i] = message->submit.spec.files.items[i];
        }
        pending->files[i].bytes = UINT64_MAX;
    }
    if (message->type == WIRE_MESSAGE_SUBMIT) {
        message->submit.spec.files.items = pending->files;
    }
    return 0;
}

/* Keeps the message until its turn. Takes the descriptors. 0 or -ENOMEM. */
static int add_pending(struct control_client *client, const struct wire_message *message,
                       const int *fds, unsigned n_fds)
{
    struct client_pending *pending = mem_alloc(1, sizeof(*pending));
    int rc = -ENOMEM;
    if (pending != NULL) {
        pending->client = client;
        pending->control = client->control;
        arena_init(&pending->arena, WIRE_ARENA_BYTES_MAX);
        rc = wire_message_copy(message, &pending->arena, &pending->message);
    }
    if (rc == 0 && n_fds > 0) {
        rc = copy_files(pending, n_fds);
    }
    if (rc < 0) {
        for (unsigned i = 0; i < n_fds; i++) {
            IGNORE(close(fds[i])); /* were never read */
        }
        if (pending != NULL) {
            pending_free(pending);
        }
        return rc;
    }
    list_push_back(&client->pending, &pending->node);
    client->n_pending++;
    for (unsigned i = 0; i < n_fds; i++) {
        start_put(pending, i, fds[i]);
    }
    return 0;
}

/* --- frames ------------------------------------------------------------------------------------
 */

static void say_hello(struct control_client *client, const struct wire_message *message)
{
    struct meshd_control *control = client->control;
    if (message->type != WIRE_MESSAGE_CLIENT_HELLO) {
        client_refuse(client, WIRE_ERROR_INVALID, "a client says hello first");
        return;
    }
    if (message->client_hello.protocol < WIRE_VERSION_MIN) {
        client_refuse(client, WIRE_ERROR_INVALID,
                      "this client is too old for its daemon; update the mesh command");
        return;
    }
    client->state = CLIENT_UP;
    table_insert(&control->by_id, &client->by_id, &client->id);
    struct wire_message hello = {
        .type = WIRE_MESSAGE_DAEMON_HELLO,
        .daemon_hello = control->config.hello,
    };
    client_send(client, &hello);
    struct core_event event = {
        .type = CORE_EVENT_CLIENT_UP,
        .client_up = {.client = client->id,
                      .uid = client->uid,
                      .is_privileged = client->uid == 0 || client->uid == geteuid()},
    };
    meshd_sink_put(&control->config.sink, &event);
}

static void take_message(struct control_client *client, const struct wire_message *message)
{
    if (client->state == CLIENT_HELLO) {
        say_hello(client, message);
        return;
    }
    unsigned n_fds = wire_local_n_fds(message);
    if (n_fds > client->n_in_fds) {
        client_refuse(client, WIRE_ERROR_INVALID, "a message came without its descriptors");
        return;
    }
    if (n_fds == 0 && list_is_empty(&client->pending)) {
        put_message(client, message);
        return;
    }
    int fds[CONTROL_FDS_MAX];
    ensure(n_fds <= CONTROL_FDS_MAX); /* the codec's limits are below it */
    if (n_fds > 0) {
        memcpy(fds, client->in_fds, n_fds * sizeof(fds[0]));
        client->n_in_fds -= n_fds;
        memmove(client->in_fds, client->in_fds + n_fds, client->n_in_fds * sizeof(fds[0]));
    }
    if (add_pending(client, message, fds, n_fds) < 0) {
        client_refuse(client, WIRE_ERROR_UNAVAILABLE, "the daemon is out of memory");
        return;
    }
    deliver(client); /* when none of its files can even be tried, nothing is waited for */
}

static bool may_take(const struct control_client *client)
{
    return (client->state == CLIENT_HELLO || client->state == CLIENT_UP) &&
           client->n_pending < MESHD_CLIENT_PENDING_MAX;
}

/* Takes the frames that are whole, as far as the client's messages may be taken now. */
static void take_frames(struct control_client *client)
{
    struct meshd_control *control = client->control;
    if (client->is_reading) {
        return;
    }
    client->is_reading = true;
    size_t n_used = 0;
    while (may_take(client)) {
        struct slice rest = slice_from(buf_slice(&client->in), n_used);
        struct wire_message message;
        struct errmsg err;
        size_t n_frame = 0;
        int rc = rest.n > 0 ? wire_local_frame(rest, &n_frame) : 0;
        if (rc == 0 && n_frame == 0) {
            break;
        }
        if (rc == 0) {
            arena_clear(&control->arena);
            rc = wire_local_decode(slice_of(rest.p, n_frame), &control->arena, &message, &err);
        } else {
            errmsg_set(&err, "a frame is too long");
        }
        if (rc != 0) {
            client_refuse(client, WIRE_ERROR_INVALID, err.text);
            break;
        }
        n_used += n_frame;
        take_message(client, &message);
    }
    buf_consume(&client->in, n_used);
    if (client->in.n == 0 && client->in.cap > 2 * CONTROL_READ_BYTES) {
        buf_done(&client->in);
    }
    client->is_reading = false;
}

/* --- reading -----------------------------------------------------------------------------------
 */

/* Queues what came along. 0, or -EPROTO when there are too many. */
static int take_fds(struct control_client *client, struct msghdr *msg)
{
    int rc = (msg->msg_flags & MSG_CTRUNC) != 0 ? -EPROTO : 0;
    for (struct cmsghdr *it = CMSG_FIRSTHDR(msg); it != NULL; it = CMSG_NXTHDR(msg, it)) {
        if (it->cmsg_level != SOL_SOCKET || it->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        int fds[CONTROL_FDS_MAX];
        size_t n = (it->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        ensure(n <= CONTROL_FDS_MAX); /* no more fit into the room we gave */
        memcpy(fds, CMSG_DATA(it), n * sizeof(int));
        if (client->in_fds == NULL) {
            client->in_fds = mem_alloc(CLIENT_FDS_MAX, sizeof(int));
        }
        for (size_t i = 0; i < n; i++) {
            if (client->in_fds != NULL && client->n_in_fds < CLIENT_FDS_MAX) {
                client->in_fds[client->n_in_fds++] = fds[i];
            } else {
                IGNORE(close(fds[i]));
                rc = -EPROTO;
            }
        }
    }
    return rc;
}

/* 1: something came; 0: nothing more now; -errno; -ECONNRESET at the end. */
static int read_some(struct control_client *client)
{
    union {
        char bytes[CMSG_SPACE(CONTROL_FDS_MAX * sizeof(int))];
        struct cmsghdr align;
    } ancillary;
    struct iovec iov = {.iov_base = client->control->read_bytes, .iov_len = CONTROL_READ_BYTES};
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = ancillary.bytes,
        .msg_controllen = sizeof(ancillary.bytes),
    };
    ssize_t n = recvmsg(client->fd, &msg, MSG_CMSG_CLOEXEC);
    if (n < 0) {
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    }
    int rc = take_fds(client, &msg);
    if (rc < 0 || n == 0) {
        return rc < 0 ? rc : -ECONNRESET;
    }
    buf_append(&client->in, iov.iov_base, (size_t)n);
    rc = buf_error(&client->in);
    return rc < 0 ? rc : 1;
}

static void on_ready(uv_poll_t *poll, int status, int events)
{
    struct control_client *client = poll->data;
    if (status < 0) {
        client_drop(client);
        return;
    }
    if ((events & UV_WRITABLE) != 0 && !client_flush(client)) {
        return;
    }
    for (int i = 0; (events & UV_READABLE) != 0 && i < READS_PER_TURN && may_take(client); i++) {
        int rc = read_some(client);
        if (rc < 0) {
            client_drop(client);
            return;
        }
        if (rc == 0) {
            break;
        }
        take_frames(client);
    }
    if ((events & UV_DISCONNECT) != 0 && (events & UV_READABLE) == 0 &&
        client->state != CLIENT_CLOSED) {
        client_drop(client);
        return;
    }
    client_poll(client);
}

void client_hello_due(struct control_client *client)
{
    on_ready(&client->poll, 0, UV_READABLE);
    if (client->state == CLIENT_HELLO) {
        client_refuse(client, WIRE_ERROR_INVALID, "no hello came in time: connect again");
    }
}
