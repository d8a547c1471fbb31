/* Incoming connections: the listening sockets, and the caps before anybody is proved. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "mesh/clock.h"
#include "mesh/link_internal.h"

#define LISTEN_BACKLOG 128
/* Port 0: how often the kernel is asked for one that is free in both families. */
#define ANY_PORT_TRIES 16u

/* --- accepting ---------------------------------------------------------------------------------
 */

/* The oldest handshake of the source that has the most of them. */
static struct meshd_link *most_crowded(const struct meshd_links *links)
{
    struct meshd_link *found = NULL;
    list_for_each (it, &links->all) {
        struct meshd_link *link = LIST_ENTRY(it, struct meshd_link, node);
        if (link->state == LINK_HANDSHAKE && link->dial == 0 &&
            (found == NULL || link->source->n_handshakes > found->source->n_handshakes)) {
            found = link;
        }
    }
    return found;
}

/* When all places are taken, who comes from where fewer came from gets one. */
static bool has_place(struct meshd_links *links, const struct meshd_source *source)
{
    if (source->n_handshakes >= MESHD_HANDSHAKES_SOURCE_MAX) {
        return false;
    }
    if (links->n_handshakes < MESHD_HANDSHAKES_MAX) {
        return true;
    }
    struct meshd_link *link = most_crowded(links);
    if (link == NULL || link->source->n_handshakes <= source->n_handshakes + 1) {
        return false;
    }
    link_close(link); /* nobody asked for it: nobody is told */
    return true;
}

static bool has_room(struct meshd_links *links, struct meshd_link *link)
{
    uint64_t now_ns = meshd_clock_ns();
    link->source = source_ref(&links->sources, &link->remote, now_ns);
    if (link->source == NULL || links->n_accepted >= MESHD_ACCEPTED_MAX ||
        link->source->n_accepted >= MESHD_ACCEPTED_SOURCE_MAX ||
        !source_may_connect(&links->sources, link->source, now_ns) ||
        !has_place(links, link->source)) {
        return false;
    }
    link->is_counted = true;
    link->source->n_accepted++;
    links->n_accepted++;
    return true;
}

static void accept_one(struct meshd_links *links, unsigned i)
{
    struct meshd_link *link = link_new(links, MESHD_HANDSHAKE_MS);
    links->is_accept_waiting[i] = link == NULL;
    if (link == NULL) {
        return;
    }
    int rc = uv_tcp_init(links->config.loop, &link->tcp);
    ensure(rc == 0); /* makes no socket yet */
    link->tcp.data = link;
    link->n_handles++;
    link->state = LINK_CONNECTING;
    int n = sizeof(link->remote);
    rc = uv_accept((uv_stream_t *)&links->listeners[i], (uv_stream_t *)&link->tcp);
    if (rc == 0) {
        rc = uv_tcp_getpeername(&link->tcp, (struct sockaddr *)&link->remote, &n);
    }
    if (rc < 0 || !has_room(links, link) || !link_is_interface_allowed(link)) {
        link_close(link);
        return;
    }
    link->must_be_on_link =
        !links->config.door->is_locked && !links_is_far_allowed(links, &link->remote);
    link_begin(link);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct meshd_links *links = listener->data;
    if (status == 0) { /* else it was gone before it was accepted */
        accept_one(links, listener == (uv_stream_t *)&links->listeners[1]);
    }
}

void listener_retry(struct meshd_links *links)
{
    for (unsigned i = 0; i < ARRAY_LEN(links->listeners); i++) {
        if (links->is_accept_waiting[i] && links->is_listening[i] && !links->is_closing) {
            accept_one(links, i);
        }
    }
}

/* --- listening ---------------------------------------------------------------------------------
 */

static bool must_be_on_link(const struct meshd_links *links)
{
    return !links->config.has_far_peers && !links->config.door->is_locked;
}

void listener_set_reach(struct meshd_links *links)
{
    for (unsigned i = 0; i < ARRAY_LEN(links->listeners); i++) {
        uv_os_fd_t fd;
        struct sockaddr_storage address = {0};
        socklen_t n = sizeof(address);
        if (!links->is_listening[i]) {
            continue;
        }
        int rc = uv_fileno((uv_handle_t *)&links->listeners[i], &fd);
        ensure(rc == 0); /* it listens */
        rc = getsockname(fd, (struct sockaddr *)&address, &n);
        if (rc == 0) {
            rc = meshd_socket_require_on_link(fd, address.ss_family, must_be_on_link(links));
        }
        ensure(rc == 0); /* it could be set when the socket was made */
    }
}

/* By hand, for libuv reports a taken port too late to try the next one on the same handle. */
static int open_listener(const struct meshd_links *links, const struct sockaddr_storage *address,
                         int *ret_fd)
{
    static const int on = 1;
    int family = address->ss_family;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return -errno;
    }
    int rc = meshd_socket_prepare(fd, family, link_user_timeout_ms(links));
    if (rc == 0) {
        rc = meshd_socket_require_on_link(fd, family, must_be_on_link(links));
    }
    if (rc == 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0) {
        rc = -errno;
    }
    if (rc == 0 && family == AF_INET6 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) < 0) {
        rc = -errno;
    }
    if (rc == 0 && bind(fd, (const struct sockaddr *)address, meshd_address_bytes(address)) < 0) {
        rc = -errno;
    }
    if (rc == 0 && listen(fd, LISTEN_BACKLOG) < 0) {
        rc = -errno;
    }
    if (rc < 0) {
        IGNORE(close(fd)); /* nothing was sent through it */
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

static int start_listener(struct meshd_links *links, unsigned i, int fd)
{
    uv_tcp_t *listener = &links->listeners[i];
    int rc = uv_tcp_init(links->config.loop, listener);
    ensure(rc == 0); /* makes no socket */
    listener->data = links;
    links->is_listening[i] = true;
    links->n_handles++;
    rc = uv_tcp_open(listener, fd);
    if (rc < 0) {
        IGNORE(close(fd));
        return rc;
    }
    return uv_listen((uv_stream_t *)listener, LISTEN_BACKLOG, on_connection);
}

static uint16_t bound_port(int fd)
{
    struct sockaddr_storage address = {0};
    socklen_t n = sizeof(address);
    return getsockname(fd, (struct sockaddr *)&address, &n) == 0 ? meshd_address_port(&address) : 0;
}

/* Opens the one address, or both families on one port. -1 in ret_fds: this one is not used. */
static int open_port(const struct meshd_links *links, const char *host, uint16_t port,
                     int ret_fds[static 2])
{
    struct sockaddr_storage address;
    int fds[2] = {-1, -1};
    int rc = meshd_address_set(host != NULL ? host : "0.0.0.0", port, &address);
    if (rc == 0) {
        rc = open_listener(links, &address, &fds[0]);
    }
    if (rc == 0 && host == NULL) {
        rc = meshd_address_set("::", bound_port(fds[0]), &address);
        ensure(rc == 0);
        rc = open_listener(links, &address, &fds[1]);
        if (rc == -EAFNOSUPPORT || rc == -EADDRNOTAVAIL) {
            rc = 0; /* a host without IPv6 */
        }
    }
    if (rc < 0) {
        if (fds[0] >= 0) {
            IGNORE(close(fds[0]));
        }
        return rc;
    }
    ret_fds[0] = fds[0];
    ret_fds[1] = fds[1];
    return 0;
}

int meshd_links_listen(struct meshd_links *links, const char *host, uint16_t port, unsigned n_tries,
                       struct errmsg *err)
{
    int fds[2];
    int rc = -EADDRINUSE;
    unsigned n_tries_left = port == 0 ? ANY_PORT_TRIES : n_tries;
    for (uint32_t p = port; rc == -EADDRINUSE && n_tries_left > 0 && p <= UINT16_MAX;
         n_tries_left--) {
        rc = open_port(links, host, (uint16_t)p, fds);
        p += port != 0;
    }
    if (rc < 0) {
        errmsg_set(err,
                   "cannot listen on %s port %u: %s; choose another with --listen "
                   "[ADDR:]PORT",
                   host != NULL ? host : "any address,", port, strerror(-rc));
        return rc;
    }
    links->port = bound_port(fds[0]);
    for (unsigned i = 0; i < ARRAY_LEN(fds) && rc == 0; i++) {
        if (fds[i] >= 0) {
            rc = start_listener(links, i, fds[i]);
        }
    }
    if (rc < 0) {
        errmsg_set(err, "cannot listen on port %u: %s", links->port, strerror(-rc));
    }
    return rc;
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct meshd_links *links = handle->data;
    links->n_handles--;
    links_maybe_closed(links);
}

void listener_close(struct meshd_links *links)
{
    for (unsigned i = 0; i < ARRAY_LEN(links->listeners); i++) {
        if (links->is_listening[i]) {
            links->is_listening[i] = false;
            uv_close((uv_handle_t *)&links->listeners[i], on_listener_closed);
        }
    }
}
