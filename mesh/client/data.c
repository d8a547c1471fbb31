/* Data by reference: bytes that the daemon was given once, named by their hash. Ours stay at hand,
 * behind a descriptor, for a daemon that comes after this one. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mesh/client/handle.h"
#include "wire/base/mem.h"

struct mesh_data *mesh_data_new(mesh *m, int fd, uint64_t bytes)
{
    struct mesh_data *data = mem_alloc(1, sizeof(*data));
    if (data != NULL) {
        data->m = m;
        data->fd = fd; /* or -1, of bytes that are away */
        data->bytes = bytes;
        data->n_refs = 1;
        list_push_back(&m->datas, &data->node);
    }
    return data;
}

bool mesh_data_is_there(const struct mesh_data *data)
{
    return data->generation != 0 && data->generation == data->m->generation && !data->is_lost;
}

void mesh_data_release(mesh *m, const struct wire_hash *hash)
{
    buf_append(&m->releases, hash, sizeof(*hash));
    mesh_wake(m);
}

void mesh_data_unref(struct mesh_data *data)
{
    if (--data->n_refs > 0) {
        return;
    }
    bool is_counted = data->generation != 0 && data->generation == data->m->generation;
    if (is_counted && data->m->client != NULL) { /* what is lost, too */
        mesh_data_release(data->m, &data->hash);
    }
    list_remove(&data->node);
    if (data->fd >= 0) {
        close(data->fd);
    }
    mem_free(data);
}

/* --- sending ------------------------------------------------------------------------------------
 */

static int send_put(mesh *m, struct mesh_data *data, struct errmsg *err)
{
    int fd = fcntl(data->fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0) {
        data->error = MESH_EIO;
        errmsg_set(&data->text, "no descriptor is left: %s", strerror(errno));
        return 0;
    }
    struct wire_message message = {.type = WIRE_MESSAGE_PUT};
    message.put.id = ++m->next_put;
    int r = mesh_client_queue(m->client, &message, &fd, 1, err);
    if (r == 0) {
        data->put_id = message.put.id;
    }
    return r;
}

int mesh_data_send_puts(mesh *m, struct errmsg *err)
{
    int r = 0;
    if (!m->has_puts) {
        return 0;
    }
    list_for_each (it, &m->datas) {
        struct mesh_data *data = LIST_ENTRY(it, struct mesh_data, node);
        if (r == 0 && data->is_wanted && !mesh_data_is_there(data) && data->put_id == 0 &&
            data->error == 0) {
            r = send_put(m, data, err);
        }
    }
    m->has_puts = r < 0;
    return r;
}

/* --- for users ---------------------------------------------------------------------------------
 */

static bool is_put(struct mesh_wait *wait)
{
    const struct mesh_data *data = wait->what;
    return mesh_data_is_there(data) || data->error != 0 || data->m->lost != 0;
}

/* Takes fd. */
static mesh_data *put(mesh *m, int fd, uint64_t bytes)
{
    mesh_lock(m);
    struct mesh_data *data = m->lost == 0 ? mesh_data_new(m, fd, bytes) : NULL;
    if (data == NULL) {
        if (m->lost == 0) {
            mesh_set_error(m, MESH_ENOMEM, "out of memory");
        }
        mesh_unlock(m);
        close(fd);
        return NULL;
    }
    data->is_wanted = true;
    m->has_puts = true;
    m->n_putting++;
    mesh_wake(m);
    struct mesh_wait wait = {.is_over = is_put, .what = data};
    int r = mesh_wait_until(m, &wait, MESH_FOREVER);
    m->n_putting--;
    if (r < 0 || !mesh_data_is_there(data)) {
        if (m->lost == 0) {
            mesh_set_error(m, r < 0 ? r : data->error, "%s",
                           r == MESH_EINVAL ? "a callback may not wait"
                           : r < 0          ? mesh_strerror(r)
                                            : data->text.text);
        }
        mesh_data_unref(data);
        data = NULL;
    }
    mesh_unlock(m);
    return data;
}

static mesh_data *fail(mesh *m, int error, const char *what, const char *why)
{
    mesh_lock(m);
    mesh_set_error(m, error, "%s: %s", what, why);
    mesh_unlock(m);
    return NULL;
}

int mesh_memory_file(const void *bytes, size_t n_bytes, int *ret_fd)
{
    int fd = memfd_create("mesh-data", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0) {
        return -errno;
    }
    int r = mesh_write_at(fd, bytes, n_bytes, 0);
    if (r == 0 &&
        fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0) {
        r = -errno;
    }
    if (r < 0) {
        close(fd);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

mesh_data *mesh_put(mesh *m, const void *bytes, size_t n_bytes)
{
    if (m == NULL) {
        return NULL;
    }
    if (bytes == NULL && n_bytes > 0) {
        return fail(m, MESH_EINVAL, "mesh_put", "no bytes");
    }
    int fd = -1;
    int r = mesh_memory_file(bytes, n_bytes, &fd);
    if (r < 0) {
        return fail(m, mesh_error_of(r), "mesh_put", strerror(-r));
    }
    return put(m, fd, n_bytes);
}

mesh_data *mesh_put_file(mesh *m, const char *path)
{
    struct stat st;
    if (m == NULL) {
        return NULL;
    }
    if (path == NULL) {
        return fail(m, MESH_EINVAL, "mesh_put_file", "no path");
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0) {
        return fail(m, MESH_EIO, path, strerror(errno));
    }
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return fail(m, MESH_EINVAL, path, "not a regular file");
    }
    return put(m, fd, (uint64_t)st.st_size);
}

mesh_data *mesh_data_free(mesh_data *data)
{
    if (data != NULL) {
        mesh *m = data->m;
        mesh_lock(m);
        mesh_data_unref(data);
        mesh_unlock(m);
    }
    return NULL;
}
