/* The local socket: the daemon's clients. Who may connect is decided here, by what the kernel says
 * of them (SO_PEERCRED): root, the daemon's own user, members of group `mesh`. What they ask is the
 * core's affair.
 *
 * A client's life: CLIENT_HELLO -> CLIENT_UP and DAEMON_HELLO -> CLIENT_MESSAGE for each message,
 * in their order -> CLIENT_DOWN. Files that come with a message as descriptors are stored in the
 * blob store first; all that the client says behind it waits meanwhile. One that says no hello in
 * time is told so and let go: places are few. */
#ifndef MESH_CONTROL_H
#define MESH_CONTROL_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "mesh/blobs.h"
#include "mesh/log.h"
#include "mesh/sink.h"
#include "mesh/state_dir.h"

/* Where root's daemon listens, and that of user mesh as a service. */
#define MESHD_RUN_FOLDER  "/run/mesh"
#define MESHD_CLIENTS_MAX 256u
/* How long a client may keep its place without having said hello. */
#define MESHD_CLIENT_HELLO_MS 10000u
/* What may wait for a client that does not read; one that falls further behind is dropped. */
#define MESHD_CLIENT_OUT_BYTES_MAX (256u << 20)
/* Messages of one client that wait for their files; it is not read from meanwhile. */
#define MESHD_CLIENT_PENDING_MAX 64u

struct meshd_control;

struct meshd_control_config {
    uv_loop_t *loop;
    struct meshd_sink sink;
    struct meshd_blobs *blobs;      /* borrowed */
    const struct meshd_log *log;    /* borrowed */
    struct wire_daemon_hello hello; /* its texts are borrowed */
    const char *path;               /* copied */
    bool is_bound;                  /* meshd_control_bind() was called for it */
    int bound_fd;                   /* what it returned; the control's from now on */
    const char *group;              /* borrowed: whose members may connect, if there is one */
    uint32_t hello_ms;              /* MESHD_CLIENT_HELLO_MS */
};

/* Where the socket is: `option` (--socket) if not NULL, $MESH_SOCKET, $RUNTIME_DIRECTORY/mesh.sock,
 * $XDG_RUNTIME_DIR/mesh.sock, /run/mesh/mesh.sock for root, STATE/mesh.sock. 0 or -errno, err set.
 */
int meshd_socket_path(const char *option, const char *state_path,
                      char ret_path[static MESHD_PATH_BYTES], struct errmsg *err) MUST_CHECK;

/* Takes the address, and does not listen yet: for a folder that only root may write in. A socket
 * that a dead daemon left is replaced; a live daemon's is not (-EADDRINUSE). 0 or -errno with one
 * line in err. */
int meshd_control_bind(const char *path, int *ret_fd, struct errmsg *err) MUST_CHECK;

/* Listens, as the user that clients will see in the socket's credentials; takes the address first
 * where that was not done. 0 or -errno with one line in err. */
int meshd_control_new(const struct meshd_control_config *config, struct meshd_control **ret_control,
                      struct errmsg *err) MUST_CHECK;
/* Sends what can be sent at once, closes all and removes the socket. No event is put any more.
 * on_closed is called from the loop, and the control is freed before it. */
void meshd_control_close(struct meshd_control *control, void (*on_closed)(void *user), void *user);

/* The effects. A client that is gone already is no error. For a done the outputs' blobs are opened
 * and their descriptors go along. */
void meshd_control_send(struct meshd_control *control, uint64_t client,
                        const struct wire_message *message);
void meshd_control_close_client(struct meshd_control *control, uint64_t client);

/* What later hellos say. */
void meshd_control_set_cores(struct meshd_control *control, uint32_t cores);
/* Writes what is queued. Call once per turn of the loop. */
void meshd_control_flush(struct meshd_control *control);

#endif
