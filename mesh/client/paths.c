#include "mesh/client/paths.h"

#include <stdio.h>
#include <string.h>

static const char *get_set(mesh_getenv_fn *get, const char *name)
{
    const char *value = get(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* Adds "DIR[/SUB]/mesh.sock" unless it is too long or there already. */
static void add(struct mesh_paths *paths, const char *dir, const char *sub)
{
    ensure(paths->n < MESH_PATHS_MAX);
    char *to = paths->items[paths->n];
    int n = snprintf(to, MESH_PATH_BYTES_MAX, "%s%s/mesh.sock", dir, sub);
    if (n < 0 || n >= MESH_PATH_BYTES_MAX) {
        return;
    }
    for (unsigned i = 0; i < paths->n; i++) {
        if (strcmp(paths->items[i], to) == 0) {
            return;
        }
    }
    paths->n++;
}

static void add_state(struct mesh_paths *paths, mesh_getenv_fn *get, bool is_root)
{
    const char *dir;
    if ((dir = get_set(get, "MESH_STATE")) != NULL ||
        (dir = get_set(get, "STATE_DIRECTORY")) != NULL) {
        add(paths, dir, "");
    } else if (is_root) {
        add(paths, "/var/lib/mesh", "");
    } else if ((dir = get_set(get, "XDG_STATE_HOME")) != NULL) {
        add(paths, dir, "/mesh");
    } else if ((dir = get_set(get, "HOME")) != NULL) {
        add(paths, dir, "/.local/state/mesh");
    }
}

void mesh_paths_list(const char *socket_path, mesh_getenv_fn *get, bool is_root,
                     struct mesh_paths *ret_paths)
{
    ret_paths->n = 0;
    ret_paths->is_explicit = false;
    const char *path = socket_path != NULL ? socket_path : get_set(get, "MESH_SOCKET");
    if (path != NULL) {
        ret_paths->is_explicit = true;
        /* One byte too long for any sockaddr_un stays too long when it is cut here. */
        snprintf(ret_paths->items[0], MESH_PATH_BYTES_MAX, "%s", path);
        ret_paths->n = 1;
        return;
    }
    const char *dir;
    if ((dir = get_set(get, "RUNTIME_DIRECTORY")) != NULL) {
        add(ret_paths, dir, "");
    }
    if ((dir = get_set(get, "XDG_RUNTIME_DIR")) != NULL) {
        add(ret_paths, dir, "");
    }
    /* Root's daemon serves the group `mesh` too, so that everyone looks there. */
    add(ret_paths, "/run/mesh", "");
    add_state(ret_paths, get, is_root);
}
