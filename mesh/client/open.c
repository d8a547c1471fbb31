/* How a client finds its daemon: every path of the list is tried and the first that answers is
 * taken; when none does, a daemon is started and the list tried until it answers or has ended. A
 * path the user named is tried alone. Each way this fails has one line of its own. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "mesh/client/client_internal.h"
#include "mesh/client/start.h"
#include "wire/base/mem.h"
#include "wire/base/text.h"
#include "wire/message_codec.h"

#define HELLO_TIMEOUT_MS 5000  /* a daemon that does not greet in this time is stopped or stuck */
#define START_TIMEOUT_MS 10000 /* from fork to greeting, on a slow and busy machine */
#define START_POLL_MS    20

static void user_name(uid_t uid, char *to, size_t n_to)
{
    char space[4096];
    struct passwd entry;
    struct passwd *found = NULL;
    if (getpwuid_r(uid, &entry, space, sizeof(space), &found) == 0 && found != NULL) {
        snprintf(to, n_to, "%s (uid %lu)", found->pw_name, (unsigned long)uid);
    } else {
        snprintf(to, n_to, "uid %lu", (unsigned long)uid);
    }
}

static int say_why(const char *path, int error, struct errmsg *err)
{
    struct stat st;
    char owner[128] = "another user";
    switch (error) {
    case -ENOENT:
    case -ENOTDIR:
        errmsg_set(err, "no meshd at %s: start one with `meshd --socket %s`", path, path);
        return -ENOENT;
    case -ECONNREFUSED:
        errmsg_set(err,
                   "no meshd answers at %s, its socket is dead: start one with `meshd "
                   "--socket %s`",
                   path, path);
        return error;
    case -EACCES:
    case -EPERM:
        if (stat(path, &st) == 0) { /* a folder that is not for us hides it */
            user_name(st.st_uid, owner, sizeof(owner));
        }
        errmsg_set(err,
                   "may not use %s, which belongs to %s: join group mesh (usermod -aG mesh USER) "
                   "or run your own with `meshd --socket PATH`",
                   path, owner);
        return -EACCES;
    case -ENOTSOCK:
    case -EPROTOTYPE:
        errmsg_set(err, "%s is no socket of a meshd: give the path that meshd listens at", path);
        return -EPROTO;
    case -ENAMETOOLONG:
        errmsg_set(err, "socket path is too long (%zu bytes at most): %.40s...",
                   sizeof(((struct sockaddr_un *)0)->sun_path) - 1, path);
        return error;
    default:
        errmsg_set(err, "cannot connect to %s: %s", path, strerror(-error));
        return error;
    }
}

/* The user that root's daemon becomes, and that the system's service runs as. */
static bool is_mesh_user(uid_t uid)
{
    char space[4096];
    struct passwd entry;
    struct passwd *found = NULL;
    return getpwnam_r("mesh", &entry, space, sizeof(space), &found) == 0 && found != NULL &&
           found->pw_uid == uid;
}

/* A program is only handed to ourselves, to root or to user mesh. */
static int check_owner(int fd, const char *path, struct errmsg *err)
{
    struct ucred peer;
    socklen_t n = sizeof(peer);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &n) < 0) {
        return say_why(path, -errno, err);
    }
    if (peer.uid == geteuid() || peer.uid == 0 || is_mesh_user(peer.uid)) {
        return 0;
    }
    char owner[128];
    user_name(peer.uid, owner, sizeof(owner));
    errmsg_set(err,
               "the daemon at %s is run by %s, neither by you nor by root or mesh: name your own "
               "with --socket PATH",
               path, owner);
    return -EPERM;
}

static int connect_to(const char *path, int *ret_fd, struct errmsg *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t n = strlen(path);
    if (n >= sizeof(address.sun_path)) {
        return say_why(path, -ENAMETOOLONG, err);
    }
    memcpy(address.sun_path, path, n);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return say_why(path, -errno, err);
    }
    struct timeval patience = {.tv_sec = HELLO_TIMEOUT_MS / 1000};
    IGNORE(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)));
    int r = 0;
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        struct stat st;
        int error = -errno;
        bool is_other = error == -ECONNREFUSED && stat(path, &st) == 0 && !S_ISSOCK(st.st_mode);
        r = say_why(path, is_other ? -ENOTSOCK : error, err);
    } else {
        r = check_owner(fd, path, err);
    }
    if (r < 0) {
        close(fd);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

static int greet(struct mesh_client *client, struct errmsg *err)
{
    struct wire_message hello = {.type = WIRE_MESSAGE_CLIENT_HELLO};
    hello.client_hello.protocol = WIRE_VERSION_MAX;
    hello.client_hello.version = slice_str(MESH_VERSION);
    const struct wire_message *answer = NULL;
    /* A failure to send shows as the end of what can be received. */
    IGNORE(mesh_client_send(client, &hello, NULL, 0, NULL));
    int64_t deadline_ms = mesh_client_now_ms() + HELLO_TIMEOUT_MS;
    int r;
    do {
        int64_t left_ms = deadline_ms - mesh_client_now_ms();
        r = mesh_client_next(client, left_ms > 0 ? (int)left_ms : 0, &answer, err);
    } while (r == -EINTR);
    if (r == -EAGAIN) {
        errmsg_set(err, "the meshd at %s does not answer: is it stopped?", client->socket_path);
        return -ETIMEDOUT;
    }
    if (r < 0) {
        errmsg_wrap(err, "%s", client->socket_path);
        return r;
    }
    if (answer->type == WIRE_MESSAGE_ERROR) {
        char text[WIRE_REASON_BYTES_MAX + 8];
        text_printable(answer->error.text, text, sizeof(text));
        errmsg_set(err, "the meshd at %s refuses: %s", client->socket_path, text);
        return -EPROTO;
    }
    if (answer->type != WIRE_MESSAGE_DAEMON_HELLO ||
        answer->daemon_hello.protocol < WIRE_VERSION_MIN) {
        errmsg_set(err, "what listens at %s is no meshd of a known version", client->socket_path);
        return -EPROTO;
    }
    return wire_message_copy(answer, &client->hello_arena, &client->hello);
}

static int open_path(const char *path, struct mesh_client **ret_client, struct errmsg *err)
{
    int fd = -1;
    int r = connect_to(path, &fd, err);
    if (r < 0) {
        return r;
    }
    struct mesh_client *client = mesh_client_new(fd);
    if (client == NULL) {
        close(fd);
        errmsg_set(err, "out of memory");
        return -ENOMEM;
    }
    snprintf(client->socket_path, sizeof(client->socket_path), "%s", path);
    r = greet(client, err);
    if (r < 0) {
        mesh_client_free(client);
        return r;
    }
    *ret_client = client;
    return 0;
}

/* Whether this failure means that nobody is there, so that the next path may be tried. */
static bool is_absent(int error)
{
    return error == -ENOENT || error == -ECONNREFUSED || error == -EACCES || error == -EPERM ||
           error == -ENAMETOOLONG;
}

/* -ENOENT when every path is free or dead; the worst of what stood in the way else. */
static int open_list(const struct mesh_paths *paths, struct mesh_client **ret_client,
                     struct errmsg *err)
{
    int result = -ENOENT;
    for (unsigned i = 0; i < paths->n; i++) {
        struct errmsg why;
        int r = open_path(paths->items[i], ret_client, &why);
        if (r == 0) {
            return 0;
        }
        if (!is_absent(r) || r == -EPERM || (r == -EACCES && result == -ENOENT)) {
            errmsg_set(err, "%s", why.text);
            result = r;
        }
        if (!is_absent(r)) {
            return r;
        }
    }
    return result;
}

static int wait_for_daemon(const struct mesh_paths *paths, const struct mesh_started *started,
                           struct mesh_client **ret_client, struct errmsg *err)
{
    int64_t deadline_ms = mesh_client_now_ms() + START_TIMEOUT_MS;
    bool has_ended = false;
    do {
        int r = open_list(paths, ret_client, err);
        if (r == 0 || !is_absent(r)) {
            return r;
        }
        if (has_ended) {
            char words[ERRMSG_BYTES];
            mesh_started_last_words(started, words, sizeof(words));
            errmsg_set(err, "meshd was started and ended at once: %s",
                       words[0] != '\0' ? words : "it did not say why");
            return -ECHILD;
        }
        /* Once more after its end: another client's daemon may have been the quicker one. */
        has_ended = mesh_started_has_ended(started, START_POLL_MS);
    } while (mesh_client_now_ms() < deadline_ms);
    errmsg_set(err, "meshd was started and does not answer: see `meshd --log-level debug`");
    return -ETIMEDOUT;
}

static int start_and_open(const struct mesh_paths *paths, struct mesh_client **ret_client,
                          struct errmsg *err)
{
    struct mesh_started started;
    int r = mesh_start_daemon(&started, err);
    if (r < 0) {
        return r;
    }
    r = wait_for_daemon(paths, &started, ret_client, err);
    mesh_started_done(&started);
    if (r == 0) {
        (*ret_client)->has_started_daemon = true;
    }
    return r;
}

static const char *get_env(const char *name)
{
    return getenv(name);
}

int mesh_client_open(const struct mesh_client_options *options, struct mesh_client **ret_client,
                     struct errmsg *err)
{
    struct mesh_paths *paths = mem_alloc(1, sizeof(*paths));
    if (paths == NULL) {
        errmsg_set(err, "out of memory");
        return -ENOMEM;
    }
    mesh_paths_list(options->socket_path, get_env, geteuid() == 0, paths);
    int r;
    if (paths->is_explicit) {
        r = open_path(paths->items[0], ret_client, err);
    } else {
        r = open_list(paths, ret_client, err);
        if (r == -ENOENT && !options->may_start) {
            errmsg_set(err, "no meshd runs here: start one with `meshd &`");
        } else if ((r == -ENOENT || r == -EACCES) && options->may_start) {
            r = start_and_open(paths, ret_client, err);
        }
    }
    mem_free(paths);
    return r;
}
