/* Starts a daemon for as long as it is needed. Internal to mesh/client. */
#ifndef MESH_CLIENT_START_H
#define MESH_CLIENT_START_H

#include <stdbool.h>
#include <stddef.h>

#include "wire/base/ensure.h"
#include "wire/base/errmsg.h"

struct mesh_started {
    int alive_fd; /* a pidfd, readable once it ended; -1 where the kernel has none */
    int pid;
    int log_fd; /* what it says on standard error */
};

/* Runs `meshd --exit-idle 60` in a session of its own, not as our child: found beside the running
 * program, in ../mesh/ of a build tree, or along PATH. 0 once it is executing; -ENOENT when there
 * is no meshd to be found; -errno. */
int mesh_start_daemon(struct mesh_started *ret_started, struct errmsg *err) MUST_CHECK;
/* Waits up to timeout_ms for its end. */
bool mesh_started_has_ended(const struct mesh_started *started, int timeout_ms);
/* The last line it wrote to standard error, printable; "" when it wrote none. */
void mesh_started_last_words(const struct mesh_started *started, char *to, size_t n_to);
void mesh_started_done(struct mesh_started *started);

#endif
