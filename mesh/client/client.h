/* The client's side of the local socket: find the daemon or start it, send it messages with their
 * descriptors, receive its messages with theirs.
 *
 * Blocking with deadlines, no event loop of its own, no threads; a caller that has one polls
 * mesh_client_fd() for mesh_client_poll_events() and calls mesh_client_next() with no patience. It
 * never aborts, exits or prints, and changes no signal disposition of its host. One client object
 * is used by one thread at a time. */
#ifndef MESH_CLIENT_CLIENT_H
#define MESH_CLIENT_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/base/ensure.h"
#include "wire/base/errmsg.h"
#include "wire/message.h"

/* "k3vq-7d2m" and its NUL. */
#define MESH_CLIENT_ID_BYTES 10
/* 64 hexadecimal digits and a NUL. */
#define MESH_CLIENT_KEY_BYTES 65
/* Descriptors that one message of a daemon may bring. */
#define MESH_CLIENT_FDS_MAX 2

struct mesh_client;

struct mesh_client_options {
    const char *socket_path; /* --socket: this one and no other. NULL: $MESH_SOCKET, then the list
                              * of mesh/client/paths.h, the first that answers */
    bool may_start;          /* start `meshd` when nothing on the list answers */
};

/* Connects, and says hello both ways. On success *ret_client is owned by the caller.
 * 0; on failure -errno and one line in err that says what to do: -ENOENT or -ECONNREFUSED (nobody
 * answers), -EACCES (not ours to use), -EPERM (another user's daemon), -ETIMEDOUT (it does not
 * react), -EPROTO (it is no meshd, or of an unknown version), -ECHILD (meshd was started and ended
 * at once). */
int mesh_client_open(const struct mesh_client_options *options, struct mesh_client **ret_client,
                     struct errmsg *err) MUST_CHECK;
/* Closes the connection, the descriptors that were not sent and those that came with the last
 * message and were not taken. NULL is allowed. Returns NULL. */
struct mesh_client *mesh_client_free(struct mesh_client *client);

/* The daemon's hello; borrowed until the client is freed. */
const struct wire_daemon_hello *mesh_client_daemon(const struct mesh_client *client);
/* Whether mesh_client_open() had to start it. */
bool mesh_client_has_started_daemon(const struct mesh_client *client);
/* The path that answered; borrowed. */
const char *mesh_client_socket_path(const struct mesh_client *client);

/* Queues one message with the n_fds descriptors that wire_local_n_fds() says it has, and sends what
 * the socket takes now. The descriptors are closed once they are sent, and on failure too.
 * 0; -EINVAL (the message breaks a limit: err says which); -ENOMEM; -EPIPE (the daemon is gone;
 * what it had sent before can still be received). */
int mesh_client_send(struct mesh_client *client, const struct wire_message *message, const int *fds,
                     unsigned n_fds, struct errmsg *err) MUST_CHECK;
/* The two halves of it, for many messages that go in one piece. mesh_client_flush() sends what the
 * socket takes: 0, also when some is left; -EPIPE. */
int mesh_client_queue(struct mesh_client *client, const struct wire_message *message,
                      const int *fds, unsigned n_fds, struct errmsg *err) MUST_CHECK;
int mesh_client_flush(struct mesh_client *client, struct errmsg *err) MUST_CHECK;
/* Bytes queued and not sent yet. */
size_t mesh_client_unsent_bytes(const struct mesh_client *client);

/* The next message. Waits up to timeout_ms for one (0: not at all, -1: without end), and sends what
 * is queued meanwhile. *ret_message is borrowed until the next call on this client.
 * 0; -EAGAIN (none came in time); -EINTR (a signal came first); -ECONNRESET (the daemon is gone);
 * -EPROTO, -ENOMEM. After an error other than the first two the client is only good to be freed. */
int mesh_client_next(struct mesh_client *client, int timeout_ms,
                     const struct wire_message **ret_message, struct errmsg *err) MUST_CHECK;
/* Takes a descriptor that came with the message just received (0 is the first) out of the client's
 * hands; -1 when there is none or it was taken. */
int mesh_client_take_fd(struct mesh_client *client, unsigned i_fd);

/* For a caller's own poll(): the socket, and POLLIN with POLLOUT when something is queued. */
int mesh_client_fd(const struct mesh_client *client);
short mesh_client_poll_events(const struct mesh_client *client);

/* The short id of a peer, for people, and its whole key. Both return `to`. */
const char *mesh_client_id_text(const struct wire_key *key, char to[static MESH_CLIENT_ID_BYTES]);
const char *mesh_client_key_text(const struct wire_key *key, char to[static MESH_CLIENT_KEY_BYTES]);

#endif
