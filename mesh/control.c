#include "mesh/control.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "mesh/control_internal.h"
#include "wire/base/mem.h"

#define ACCEPTS_PER_TURN 16

/* --- the path ----------------------------------------------------------------------------------
 */

static bool is_folder(const char *path, bool is_mine)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode) && (!is_mine || st.st_uid == geteuid());
}

/* "DIR/mesh.sock" of the first of several folders in `value`; false when it is unset or no folder,
 * or is to be this user's and is not. */
static bool try_folder(const char *value, bool is_mine, char to[static MESHD_PATH_BYTES])
{
    if (value == NULL || value[0] == '\0') {
        return false;
    }
    char folder[MESHD_PATH_BYTES];
    size_t n = strcspn(value, ":");
    if (n >= sizeof(folder)) {
        return false;
    }
    memcpy(folder, value, n);
    folder[n] = '\0';
    int n_path = snprintf(to, MESHD_PATH_BYTES, "%s/mesh.sock", folder);
    return n_path > 0 && n_path < MESHD_PATH_BYTES && is_folder(folder, is_mine);
}

int meshd_socket_path(const char *option, const char *state_path,
                      char ret_path[static MESHD_PATH_BYTES], struct errmsg *err)
{
    const char *direct = option != NULL ? option : getenv("MESH_SOCKET");
    int n;
    if (direct != NULL && direct[0] != '\0') {
        n = snprintf(ret_path, MESHD_PATH_BYTES, "%s", direct);
    } else if (try_folder(getenv("RUNTIME_DIRECTORY"), false, ret_path) ||
               /* su(1) leaves root the folder of whoever called it */
               try_folder(getenv("XDG_RUNTIME_DIR"), true, ret_path)) {
        n = (int)strlen(ret_path);
    } else if (geteuid() == 0 && meshd_make_dirs(MESHD_RUN_FOLDER, 0750) == 0) {
        n = snprintf(ret_path, MESHD_PATH_BYTES, MESHD_RUN_FOLDER "/mesh.sock");
    } else {
        n = snprintf(ret_path, MESHD_PATH_BYTES, "%s/mesh.sock", state_path);
    }
    size_t n_max = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;
    if (n < 0 || (size_t)n > n_max) {
        errmsg_set(err,
                   "the socket's path is %d bytes long, the kernel takes %zu; choose a "
                   "shorter one with --socket PATH",
                   n, n_max);
        return -ENAMETOOLONG;
    }
    return 0;
}

/* --- binding -----------------------------------------------------------------------------------
 */

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t n = strlen(path);
    ensure(n < sizeof(address.sun_path)); /* meshd_socket_path() saw to it */
    memcpy(address.sun_path, path, n + 1);
    return address;
}

/* Whether somebody answers there. 0: nobody does, the file is stale; -EADDRINUSE; -errno. */
static int probe(const char *path)
{
    struct sockaddr_un address = address_of(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -errno;
    }
    int rc = connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
    IGNORE(close(fd)); /* nothing was said */
    if (rc == 0 || rc == -EAGAIN) {
        return -EADDRINUSE;
    }
    return rc == -ECONNREFUSED || rc == -ENOENT ? 0 : rc;
}

static int clear_stale(const char *path, struct errmsg *err)
{
    struct stat st;
    if (lstat(path, &st) < 0) {
        return 0; /* nothing there, or binding will say what is wrong */
    }
    if (!S_ISSOCK(st.st_mode)) {
        errmsg_set(err,
                   "%s exists and is no socket; remove it, or choose another with --socket "
                   "PATH",
                   path);
        return -EEXIST;
    }
    int rc = probe(path);
    if (rc == -EADDRINUSE) {
        errmsg_set(err,
                   "another daemon answers on %s; stop it, or give this one its own --state "
                   "DIR and --socket PATH",
                   path);
        return rc;
    }
    if (rc < 0 || unlink(path) < 0) {
        int error = rc < 0 ? -rc : errno;
        errmsg_set(err,
                   "cannot replace the old socket %s: %s; remove it, or choose another with "
                   "--socket PATH",
                   path, strerror(error));
        return -error;
    }
    return 0;
}

/* Members of the group reach the socket; who is let in is seen to again at each connection. */
static void share_with_group(struct meshd_control *control)
{
    struct group *group = getgrnam(control->config.group);
    if (group == NULL) {
        return;
    }
    control->has_group = true;
    control->group = group->gr_gid;
    IGNORE(chown(control->path, (uid_t)-1, group->gr_gid)); /* only as root or a member: else for
                                                             * the owner alone */
}

int meshd_control_bind(const char *path, int *ret_fd, struct errmsg *err)
{
    int rc = clear_stale(path, err);
    if (rc < 0) {
        return rc;
    }
    struct sockaddr_un address = address_of(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    rc = fd < 0 ? -errno : 0;
    mode_t mask = umask(0117); /* 0660 from birth */
    if (rc == 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        rc = -errno;
    }
    umask(mask);
    if (rc < 0) {
        errmsg_set(err, "cannot make the socket %s: %s; choose another with --socket PATH", path,
                   strerror(-rc));
        if (fd >= 0) {
            IGNORE(close(fd)); /* has no address */
        }
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

static int start_listening(struct meshd_control *control, struct errmsg *err)
{
    int rc = 0;
    if (control->config.is_bound) {
        control->fd = control->config.bound_fd;
    } else {
        rc = meshd_control_bind(control->path, &control->fd, err);
    }
    struct stat st = {0};
    if (rc == 0 && (listen(control->fd, 64) < 0 || lstat(control->path, &st) < 0)) {
        rc = -errno;
        errmsg_set(err, "cannot listen at %s: %s; choose another with --socket PATH", control->path,
                   strerror(-rc));
    }
    if (rc < 0) {
        return rc;
    }
    control->path_inode = st.st_ino;
    share_with_group(control);
    return 0;
}

/* --- who may -----------------------------------------------------------------------------------
 */

/* The kernel's own list of the groups the client was in when it connected. */
static bool is_in_group(int fd, const struct ucred *cred, uint32_t group)
{
    if (cred->gid == group) {
        return true;
    }
    gid_t groups[1024];
    socklen_t n = sizeof(groups);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &n) < 0) {
        return false; /* more groups than that, or a kernel without it */
    }
    for (size_t i = 0; i < n / sizeof(groups[0]); i++) {
        if (groups[i] == group) {
            return true;
        }
    }
    return false;
}

static bool may_connect(const struct meshd_control *control, int fd, uint32_t *ret_uid)
{
    struct ucred cred;
    socklen_t n = sizeof(cred);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &n) < 0) {
        return false;
    }
    *ret_uid = cred.uid;
    return cred.uid == 0 || cred.uid == geteuid() ||
           (control->has_group && is_in_group(fd, &cred, control->group));
}

/* To one that gets no further: it has just connected, so its socket takes a line. */
static void turn_away(int fd, enum wire_error error, const char *text)
{
    struct wire_message message = {
        .type = WIRE_MESSAGE_ERROR,
        .error = {.error = error, .text = slice_str(text)},
    };
    struct buf bytes;
    buf_init(&bytes, 4096);
    if (wire_local_encode(&message, &bytes) == 0) {
        IGNORE(
            send(fd, bytes.p, bytes.n, MSG_NOSIGNAL | MSG_DONTWAIT)); /* it is closed either way */
    }
    buf_done(&bytes);
    IGNORE(close(fd));
}

static void admit(struct meshd_control *control, int fd)
{
    uint32_t uid = UINT32_MAX;
    if (!may_connect(control, fd, &uid)) {
        meshd_log(control->config.log, CORE_LOG_WARN,
                  "refused a local client of user %u: it is neither root nor this daemon's user "
                  "nor in group mesh",
                  uid);
        turn_away(fd, WIRE_ERROR_DENIED,
                  "this daemon serves its own user, root and members of group mesh");
    } else if (control->n_clients >= MESHD_CLIENTS_MAX) {
        turn_away(fd, WIRE_ERROR_LIMIT, "too many clients; try again when some have ended");
    } else {
        client_begin(control, fd, uid);
    }
}

static void on_acceptable(uv_poll_t *poll, int status, int events)
{
    struct meshd_control *control = poll->data;
    /* What the first one says may be what makes the daemon end. */
    for (int i = 0; i < ACCEPTS_PER_TURN && !control->is_closing; i++) {
        int fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
                control->is_out_of_fds = true;
                IGNORE(uv_poll_stop(poll)); /* always 0 */
            }
            return;
        }
        admit(control, fd);
    }
}

/* Lets those go whose time is over, and waits for the next. */
static void on_hello_due(uv_timer_t *timer)
{
    struct meshd_control *control = timer->data;
    uint64_t now_ms = uv_now(control->config.loop);
    list_for_each (it, &control->all) {
        struct control_client *client = LIST_ENTRY(it, struct control_client, node);
        if (client->state != CLIENT_HELLO) {
            continue;
        }
        if (client->hello_by_ms > now_ms) { /* and so is that of all behind it */
            int rc = uv_timer_start(timer, on_hello_due, client->hello_by_ms - now_ms, 0);
            ensure(rc == 0); /* fails only without a callback or while closing */
            return;
        }
        client_hello_due(client);
    }
}

void control_await_hello(struct meshd_control *control)
{
    if (!uv_is_active((uv_handle_t *)&control->hello_timer)) {
        int rc = uv_timer_start(&control->hello_timer, on_hello_due, control->config.hello_ms, 0);
        ensure(rc == 0); /* clients come only while nothing is closing */
    }
}

void control_accept_again(struct meshd_control *control)
{
    if (control->is_out_of_fds && !control->is_closing) {
        control->is_out_of_fds = false;
        int rc = uv_poll_start(&control->poll, UV_READABLE, on_acceptable);
        ensure(rc == 0); /* it was polled before */
    }
}

/* --- life --------------------------------------------------------------------------------------
 */

static void control_free(struct meshd_control *control)
{
    if (control->fd >= 0) {
        IGNORE(close(control->fd)); /* a listening socket */
    }
    table_done(&control->by_id);
    arena_done(&control->arena);
    mem_free(control->read_bytes);
    mem_free(control);
}

int meshd_control_new(const struct meshd_control_config *config, struct meshd_control **ret_control,
                      struct errmsg *err)
{
    struct meshd_control *control = mem_alloc_or_die(1, sizeof(*control));
    control->config = *config;
    control->fd = -1;
    control->next_id = 1;
    control->read_bytes = mem_alloc_or_die(1, CONTROL_READ_BYTES);
    list_init(&control->all);
    list_init(&control->dirty);
    table_init(&control->by_id, sizeof(uint64_t), 0); /* our own numbers */
    arena_init(&control->arena, WIRE_ARENA_BYTES_MAX);
    int n = snprintf(control->path, sizeof(control->path), "%s", config->path);
    ensure(n > 0 && (size_t)n < sizeof(control->path));
    int rc = start_listening(control, err);
    if (rc == 0) {
        rc = uv_poll_init(config->loop, &control->poll, control->fd);
        if (rc < 0) {
            errmsg_set(err, "cannot watch the socket %s: %s", control->path, uv_strerror(rc));
        }
    }
    if (rc < 0) {
        control_free(control);
        return rc;
    }
    control->n_handles = 2;
    rc = uv_timer_init(config->loop, &control->hello_timer);
    ensure(rc == 0); /* always 0 */
    control->hello_timer.data = control;
    control->poll.data = control;
    rc = uv_poll_start(&control->poll, UV_READABLE, on_acceptable);
    ensure(rc == 0); /* a descriptor that epoll knows */
    *ret_control = control;
    return 0;
}

void control_maybe_closed(struct meshd_control *control)
{
    if (!control->is_closing || control->n_handles > 0 || control->n_clients > 0 ||
        control->n_orphans > 0) {
        return;
    }
    void (*on_closed)(void *) = control->on_closed;
    void *user = control->on_closed_user;
    control_free(control);
    on_closed(user);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct meshd_control *control = handle->data;
    control->n_handles--;
    control_maybe_closed(control);
}

void meshd_control_close(struct meshd_control *control, void (*on_closed)(void *user), void *user)
{
    struct stat st;
    control->is_closing = true;
    control->on_closed = on_closed;
    control->on_closed_user = user;
    if (lstat(control->path, &st) == 0 && st.st_ino == control->path_inode) {
        IGNORE(unlink(control->path)); /* a stale one is replaced at the next start */
    }
    list_for_each_safe (it, &control->all) {
        struct control_client *client = LIST_ENTRY(it, struct control_client, node);
        if (client->state != CLIENT_CLOSED && client_flush(client)) {
            client_close(client);
        }
    }
    uv_close((uv_handle_t *)&control->poll, on_handle_closed);
    uv_close((uv_handle_t *)&control->hello_timer, on_handle_closed);
}

/* --- the effects -------------------------------------------------------------------------------
 */

static struct control_client *find_client(const struct meshd_control *control, uint64_t id)
{
    struct table_entry *entry = table_find(&control->by_id, &id);
    return entry != NULL ? CONTAINER_OF(entry, struct control_client, by_id) : NULL;
}

void meshd_control_send(struct meshd_control *control, uint64_t id,
                        const struct wire_message *message)
{
    struct control_client *client = find_client(control, id);
    if (client != NULL) {
        client_send(client, message);
    }
}

void meshd_control_close_client(struct meshd_control *control, uint64_t id)
{
    struct control_client *client = find_client(control, id);
    if (client != NULL) {
        table_remove(&control->by_id, &client->by_id);
        client->state = CLIENT_ENDING;
        client_poll(client);
        if (!list_is_linked(&client->dirty)) {
            list_push_back(&control->dirty, &client->dirty);
        }
    }
}

void meshd_control_set_cores(struct meshd_control *control, uint32_t cores)
{
    control->config.hello.cores = cores;
}

void meshd_control_flush(struct meshd_control *control)
{
    for (struct list *first; (first = list_first(&control->dirty)) != NULL;) {
        struct control_client *client = LIST_ENTRY(first, struct control_client, dirty);
        list_remove(&client->dirty);
        IGNORE(client_flush(client)); /* closed or not, it is out of the list */
    }
}
