/* Where the daemon's socket may be. Pure: the environment comes in as an argument. */
#ifndef MESH_CLIENT_PATHS_H
#define MESH_CLIENT_PATHS_H

#include <stdbool.h>

#include "wire/base/ensure.h"

#define MESH_PATHS_MAX      5
#define MESH_PATH_BYTES_MAX 4096

struct mesh_paths {
    char items[MESH_PATHS_MAX][MESH_PATH_BYTES_MAX];
    unsigned n;
    bool is_explicit; /* named by the user: try this one only and start no daemon */
};

/* Reads one variable; NULL when it is not set. */
typedef const char *mesh_getenv_fn(const char *name);

/* The list of DESIGN's section 5: `socket_path` or $MESH_SOCKET alone; else $RUNTIME_DIRECTORY,
 * $XDG_RUNTIME_DIR, /run/mesh and the state directory, each with mesh.sock. Empty variables count
 * as not set; a path that is too long is left out. */
void mesh_paths_list(const char *socket_path, mesh_getenv_fn *get, bool is_root,
                     struct mesh_paths *ret_paths);

#endif
