/* One connection: a queue of bytes and descriptors out, a buffer of bytes and a queue of
 * descriptors in. The order of both is the order of the messages (wire/local.h). */
#include "mesh/client/client_internal.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire/base/mem.h"
#include "wire/base/text.h"
#include "wire/key.h"
#include "wire/limits.h"
#include "wire/local.h"
#include "wire/message_codec.h"

#define READ_BYTES      (64u << 10)
#define OUT_BYTES_MAX   (64u << 20)
#define RIGHTS_MAX      WIRE_FILES_MAX
#define COMPACT_AT      (256u << 10) /* consumed bytes that are worth moving the rest down for */
#define CLIENT_FDS_HELD 1024u        /* received and not yet taken: more is a daemon gone mad */

static_assert(RIGHTS_MAX <= 253, "SCM_RIGHTS carries no more at once");

/* Descriptors that go with the byte at `at` of the outgoing buffer. */
struct rights {
    struct list order;
    size_t at;
    unsigned n;
    int fds[];
};

struct mesh_client *mesh_client_new(int fd)
{
    struct mesh_client *client = mem_alloc(1, sizeof(*client));
    if (client == NULL) {
        return NULL;
    }
    client->fd = fd;
    buf_init(&client->out, OUT_BYTES_MAX);
    list_init(&client->out_rights);
    buf_init(&client->in, (WIRE_BODY_BYTES_MAX + READ_BYTES) * 2 + COMPACT_AT);
    arena_init(&client->arena, WIRE_ARENA_BYTES_MAX);
    arena_init(&client->hello_arena, WIRE_ARENA_BYTES_MAX);
    buf_init(&client->in_fds, CLIENT_FDS_HELD * sizeof(int));
    client->message_fds[0] = client->message_fds[1] = -1;
    return client;
}

static void close_fds(const int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
}

static void rights_free(struct rights *rights)
{
    list_remove(&rights->order);
    close_fds(rights->fds, rights->n);
    mem_free(rights);
}

/* Those of the last message that nobody took. */
static void close_message_fds(struct mesh_client *client)
{
    close_fds(client->message_fds, ARRAY_LEN(client->message_fds));
    for (size_t i = 0; i < ARRAY_LEN(client->message_fds); i++) {
        client->message_fds[i] = -1;
    }
}

static size_t n_in_fds(const struct mesh_client *client)
{
    return client->in_fds.n / sizeof(int);
}

static int in_fd_at(const struct mesh_client *client, size_t i)
{
    int fd;
    memcpy(&fd, client->in_fds.p + i * sizeof(int), sizeof(int));
    return fd;
}

struct mesh_client *mesh_client_free(struct mesh_client *client)
{
    if (client == NULL) {
        return NULL;
    }
    list_for_each_safe (it, &client->out_rights) {
        rights_free(LIST_ENTRY(it, struct rights, order));
    }
    for (size_t i = 0; i < n_in_fds(client); i++) {
        close(in_fd_at(client, i));
    }
    close_message_fds(client);
    if (client->fd >= 0) {
        close(client->fd);
    }
    buf_done(&client->out);
    buf_done(&client->in);
    buf_done(&client->in_fds);
    arena_done(&client->arena);
    arena_done(&client->hello_arena);
    return mem_free(client);
}

/* --- sending -----------------------------------------------------------------------------------
 */

/* The bytes that may go in one sendmsg(): up to the next message that has descriptors. */
static size_t sendable_bytes(struct mesh_client *client, struct rights **ret_first)
{
    struct list *first = list_first(&client->out_rights);
    size_t n_bytes = client->out.n - client->out_sent;
    *ret_first = NULL;
    if (first == NULL) {
        return n_bytes;
    }
    struct rights *rights = LIST_ENTRY(first, struct rights, order);
    if (rights->at > client->out_sent) {
        return rights->at - client->out_sent;
    }
    *ret_first = rights;
    if (first->next != &client->out_rights) {
        n_bytes = LIST_ENTRY(first->next, struct rights, order)->at - client->out_sent;
    }
    return n_bytes;
}

static void drop_sent(struct mesh_client *client)
{
    if (client->out_sent < client->out.n && client->out_sent < COMPACT_AT) {
        return;
    }
    buf_consume(&client->out, client->out_sent);
    list_for_each (it, &client->out_rights) {
        LIST_ENTRY(it, struct rights, order)->at -= client->out_sent;
    }
    client->out_sent = 0;
}

static int send_some(struct mesh_client *client)
{
    struct rights *rights;
    size_t n_bytes = sendable_bytes(client, &rights);
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(RIGHTS_MAX * sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = client->out.p + client->out_sent, .iov_len = n_bytes};
    struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
    if (rights != NULL) {
        memset(&control, 0, sizeof(control));
        header.msg_control = &control;
        header.msg_controllen = CMSG_SPACE(rights->n * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&header);
        ensure(c != NULL); /* there is room for one */
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(rights->n * sizeof(int));
        memcpy(CMSG_DATA(c), rights->fds, rights->n * sizeof(int));
    }
    ssize_t n = sendmsg(client->fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0) {
        return errno == EINTR || errno == EWOULDBLOCK ? -EAGAIN : -errno;
    }
    if (rights != NULL) {
        rights_free(rights);
    }
    client->out_sent += (size_t)n;
    return 0;
}

/* Sends what the socket takes. 0, also when some is left; -EPIPE. */
static int flush(struct mesh_client *client)
{
    int r = client->is_broken ? -EPIPE : 0;
    while (r == 0 && client->out_sent < client->out.n) {
        r = send_some(client);
    }
    if (r == -EAGAIN) {
        r = 0;
    } else if (r < 0) {
        client->is_broken = true;
        r = -EPIPE;
    }
    drop_sent(client);
    return r;
}

/* Queues the message whole or not at all. */
static int enqueue(struct mesh_client *client, const struct wire_message *message, const int *fds,
                   unsigned n_fds, struct errmsg *err)
{
    if (wire_local_n_fds(message) != n_fds || n_fds > RIGHTS_MAX) {
        errmsg_set(err, "%s: wrong number of descriptors", wire_message_name(message->type));
        return -EINVAL;
    }
    int r = wire_message_check(message, err);
    if (r < 0) {
        return r;
    }
    struct rights *rights = NULL;
    if (n_fds > 0) {
        rights = mem_alloc(1, sizeof(*rights) + n_fds * sizeof(int));
        if (rights == NULL) {
            errmsg_set(err, "out of memory");
            return -ENOMEM;
        }
        rights->at = client->out.n;
        rights->n = n_fds;
        memcpy(rights->fds, fds, n_fds * sizeof(int));
    }
    r = wire_local_encode(message, &client->out);
    if (r < 0) {
        mem_free(rights);
        errmsg_set(err, "out of memory");
        return r;
    }
    if (rights != NULL) {
        list_push_back(&client->out_rights, &rights->order);
    }
    return 0;
}

int mesh_client_queue(struct mesh_client *client, const struct wire_message *message,
                      const int *fds, unsigned n_fds, struct errmsg *err)
{
    int r = enqueue(client, message, fds, n_fds, err);
    if (r < 0) {
        close_fds(fds, n_fds);
    }
    return r;
}

int mesh_client_flush(struct mesh_client *client, struct errmsg *err)
{
    int r = flush(client);
    if (r < 0) {
        errmsg_set(err, "meshd is gone");
    }
    return r;
}

int mesh_client_send(struct mesh_client *client, const struct wire_message *message, const int *fds,
                     unsigned n_fds, struct errmsg *err)
{
    int r = mesh_client_queue(client, message, fds, n_fds, err);
    return r < 0 ? r : mesh_client_flush(client, err);
}

size_t mesh_client_unsent_bytes(const struct mesh_client *client)
{
    return client->out.n - client->out_sent;
}

/* --- receiving ---------------------------------------------------------------------------------
 */

/* Queues the descriptors that came; all of them are closed if there is no room. */
static int take_rights(struct mesh_client *client, struct msghdr *header)
{
    int r = (header->msg_flags & MSG_CTRUNC) != 0 ? -EPROTO : 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c != NULL; c = CMSG_NXTHDR(header, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
            buf_append(&client->in_fds, &fd, sizeof(fd));
            if (buf_error(&client->in_fds) < 0) {
                close(fd);
                r = -EPROTO;
            }
        }
    }
    return r;
}

static int receive_some(struct mesh_client *client)
{
    uint8_t *room = buf_reserve(&client->in, READ_BYTES);
    if (room == NULL) {
        return -ENOMEM;
    }
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(RIGHTS_MAX * sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = room, .iov_len = READ_BYTES};
    struct msghdr header = {.msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = &control,
                            .msg_controllen = sizeof(control)};
    ssize_t n = recvmsg(client->fd, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n < 0) {
        return errno == EINTR || errno == EWOULDBLOCK ? -EAGAIN : -ECONNRESET;
    }
    if (n == 0) {
        return -ECONNRESET;
    }
    buf_extend(&client->in, (size_t)n);
    return take_rights(client, &header);
}

/* Gives the message its descriptors out of the queue. */
static int attach_fds(struct mesh_client *client, const struct wire_message *message)
{
    unsigned n = wire_local_n_fds(message);
    if (n > ARRAY_LEN(client->message_fds) || n > n_in_fds(client)) {
        return -EPROTO;
    }
    for (unsigned i = 0; i < n; i++) {
        client->message_fds[i] = in_fd_at(client, i);
    }
    buf_consume(&client->in_fds, n * sizeof(int));
    return 0;
}

/* The first whole frame of the buffer, decoded. -EAGAIN when there is none. */
static int decode_next(struct mesh_client *client, struct errmsg *err)
{
    struct slice rest = slice_from(buf_slice(&client->in), client->in_used);
    size_t frame_bytes = 0;
    int r = wire_local_frame(rest, &frame_bytes);
    if (r < 0) {
        errmsg_set(err, "meshd sent a frame that is too long");
        return r;
    }
    if (frame_bytes == 0) {
        return -EAGAIN;
    }
    arena_clear(&client->arena);
    r = wire_local_decode(slice_of(rest.p, frame_bytes), &client->arena, &client->message, err);
    if (r == 0) {
        client->in_used += frame_bytes;
        r = attach_fds(client, &client->message);
        if (r < 0) {
            errmsg_set(err, "meshd sent a message without its descriptors");
        }
    }
    return r;
}

/* Moves what is not read yet to the front once that is worth it. */
static void drop_used(struct mesh_client *client)
{
    if (client->in_used == client->in.n || client->in_used >= COMPACT_AT) {
        buf_consume(&client->in, client->in_used);
        client->in_used = 0;
    }
}

/* Waits for the socket and sends what is queued. */
static int wait_for_input(struct mesh_client *client, int timeout_ms)
{
    struct pollfd p = {.fd = client->fd, .events = mesh_client_poll_events(client)};
    int n = poll(&p, 1, timeout_ms);
    if (n < 0) {
        return errno == EINTR ? -EINTR : -errno;
    }
    if (n == 0) {
        return -EAGAIN;
    }
    if ((p.revents & POLLOUT) != 0) {
        IGNORE(flush(client)); /* what the daemon had sent is read first; its end shows there */
    }
    return 0;
}

int mesh_client_next(struct mesh_client *client, int timeout_ms,
                     const struct wire_message **ret_message, struct errmsg *err)
{
    int64_t deadline_ms = timeout_ms >= 0 ? mesh_client_now_ms() + timeout_ms : 0;
    close_message_fds(client);
    drop_used(client);
    for (;;) {
        int r = decode_next(client, err);
        if (r == 0) {
            *ret_message = &client->message;
            return 0;
        }
        if (r != -EAGAIN) {
            return r;
        }
        r = receive_some(client);
        if (r == -EAGAIN) {
            int64_t left_ms = timeout_ms >= 0 ? deadline_ms - mesh_client_now_ms() : -1;
            if (timeout_ms >= 0 && left_ms <= 0) {
                IGNORE(flush(client)); /* as in wait_for_input() */
                return -EAGAIN;
            }
            r = wait_for_input(client, left_ms > INT_MAX ? INT_MAX : (int)left_ms);
            if (r == -EAGAIN || r == -EINTR) {
                return r;
            }
        }
        if (r < 0) {
            errmsg_set(err, r == -ECONNRESET ? "meshd is gone" : "cannot receive from meshd: %s",
                       strerror(-r));
            return r;
        }
    }
}

int mesh_client_take_fd(struct mesh_client *client, unsigned i_fd)
{
    if (i_fd >= ARRAY_LEN(client->message_fds)) {
        return -1;
    }
    int fd = client->message_fds[i_fd];
    client->message_fds[i_fd] = -1;
    return fd;
}

int mesh_client_fd(const struct mesh_client *client)
{
    return client->fd;
}

short mesh_client_poll_events(const struct mesh_client *client)
{
    bool has_more = mesh_client_unsent_bytes(client) > 0 && !client->is_broken;
    return (short)(has_more ? POLLIN | POLLOUT : POLLIN);
}

const struct wire_daemon_hello *mesh_client_daemon(const struct mesh_client *client)
{
    return &client->hello.daemon_hello;
}

bool mesh_client_has_started_daemon(const struct mesh_client *client)
{
    return client->has_started_daemon;
}

const char *mesh_client_socket_path(const struct mesh_client *client)
{
    return client->socket_path;
}

const char *mesh_client_id_text(const struct wire_key *key, char to[static MESH_CLIENT_ID_BYTES])
{
    static_assert(MESH_CLIENT_ID_BYTES == WIRE_ID_TEXT_BYTES, "one id, one length");
    return wire_id_text(key, to);
}

const char *mesh_client_key_text(const struct wire_key *key, char to[static MESH_CLIENT_KEY_BYTES])
{
    static_assert(MESH_CLIENT_KEY_BYTES == 2 * WIRE_KEY_BYTES + 1, "two digits a byte");
    text_hex(slice_of(key->b, sizeof(key->b)), to, MESH_CLIENT_KEY_BYTES);
    return to;
}
