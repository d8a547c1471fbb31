/* The client's inside, shared by client.c (the connection) and open.c (how it comes to be). */
#ifndef MESH_CLIENT_CLIENT_INTERNAL_H
#define MESH_CLIENT_CLIENT_INTERNAL_H

#include <assert.h>
#include <stdint.h>

#include "mesh/client/client.h"
#include "mesh/client/clock.h"
#include "mesh/client/paths.h"
#include "wire/base/arena.h"
#include "wire/base/buf.h"
#include "wire/base/list.h"

struct mesh_client {
    int fd;
    bool is_broken; /* sending failed: only reading is left */
    bool has_started_daemon;
    char socket_path[MESH_PATH_BYTES_MAX];

    struct buf out;         /* encoded frames */
    size_t out_sent;        /* of these sent */
    struct list out_rights; /* struct rights, by position */

    struct buf in;     /* received bytes */
    size_t in_used;    /* of these decoded */
    struct buf in_fds; /* received descriptors, as ints, in order */

    struct arena arena; /* of the message below */
    struct wire_message message;
    int message_fds[MESH_CLIENT_FDS_MAX]; /* that came with it and were not taken */

    struct arena hello_arena;
    struct wire_message hello; /* the daemon's, kept */
};

/* Takes the connected socket over, on success only. NULL when memory is short. */
struct mesh_client *mesh_client_new(int fd) MUST_CHECK;

#endif
