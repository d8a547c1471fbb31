/* Outgoing connections: name -> address -> socket -> connected, then link_begin(). */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>

#include "mesh/link_internal.h"
#include "wire/base/mem.h"

struct lookup {
    uv_getaddrinfo_t req;
    struct meshd_link *link; /* NULL: it is closed */
    uint32_t *n_lookups;     /* of those who count, or NULL */
};

static void on_connected(uv_connect_t *req, int status)
{
    struct meshd_link *link = req->data;
    if (link->state == LINK_CLOSED) {
        return;
    }
    if (status < 0) {
        link_fail(link, status, CORE_LINK_END_CLOSED, WIRE_REASON_NONE);
        return;
    }
    if (!link_is_interface_allowed(link)) {
        link_fail(link, -ENETUNREACH, CORE_LINK_END_FAILED, WIRE_REASON_NONE);
        return;
    }
    link_begin(link);
}

static void link_connect(struct meshd_link *link)
{
    uv_loop_t *loop = link->links->config.loop;
    if (!link->must_be_on_link) {
        links_allow_far(link->links, &link->remote);
    }
    int rc = uv_tcp_init_ex(loop, &link->tcp, link->remote.ss_family);
    if (rc < 0) {
        link_fail(link, rc, CORE_LINK_END_CLOSED, WIRE_REASON_NONE);
        return;
    }
    link->state = LINK_CONNECTING;
    link->tcp.data = link;
    link->n_handles++;
    uv_os_fd_t fd;
    rc = uv_fileno((uv_handle_t *)&link->tcp, &fd);
    if (rc == 0) {
        rc = meshd_socket_prepare(fd, link->remote.ss_family, link_user_timeout_ms(link->links));
    }
    if (rc == 0) {
        link->connect_req.data = link;
        rc = uv_tcp_connect(&link->connect_req, &link->tcp, (struct sockaddr *)&link->remote,
                            on_connected);
    }
    if (rc < 0) {
        link_fail(link, rc, CORE_LINK_END_CLOSED, WIRE_REASON_NONE);
    }
}

static void on_looked_up(uv_getaddrinfo_t *req, int status, struct addrinfo *list)
{
    struct lookup *lookup = CONTAINER_OF(req, struct lookup, req);
    struct meshd_link *link = lookup->link;
    if (lookup->n_lookups != NULL) {
        --*lookup->n_lookups;
    }
    mem_free(lookup);
    if (link == NULL) {
        uv_freeaddrinfo(list);
        return;
    }
    link->lookup = NULL;
    uint16_t port = meshd_address_port(&link->remote);
    bool has_address = false;
    for (struct addrinfo *it = list; status == 0 && it != NULL && !has_address; it = it->ai_next) {
        if (it->ai_family == AF_INET || it->ai_family == AF_INET6) {
            memcpy(&link->remote, it->ai_addr, it->ai_addrlen);
            meshd_address_set_port(&link->remote, port);
            has_address = true;
        }
    }
    uv_freeaddrinfo(list);
    if (!has_address) {
        link_fail(link, -EHOSTUNREACH, CORE_LINK_END_SILENT, WIRE_REASON_NONE);
        return;
    }
    link_connect(link);
}

static int look_up(struct meshd_link *link, const char *host, uint16_t port)
{
    link->remote.ss_family = AF_INET; /* only keeps the port till the answer is there */
    meshd_address_set_port(&link->remote, port);
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct lookup *lookup = mem_alloc(1, sizeof(*lookup));
    if (lookup == NULL) {
        return -ENOMEM;
    }
    lookup->link = link;
    lookup->n_lookups = link->links->config.n_lookups;
    int rc =
        uv_getaddrinfo(link->links->config.loop, &lookup->req, on_looked_up, host, NULL, &hints);
    if (rc < 0) {
        mem_free(lookup);
        return rc;
    }
    link->lookup = lookup;
    if (lookup->n_lookups != NULL) {
        ++*lookup->n_lookups;
    }
    return 0;
}

void lookup_drop(struct lookup *lookup)
{
    lookup->link = NULL;
    IGNORE(uv_cancel((uv_req_t *)&lookup->req)); /* its callback comes in any case */
}

static void refuse_dial(struct meshd_links *links, uint64_t dial, int error)
{
    struct core_event event = {
        .type = CORE_EVENT_DIAL_FAILED,
        .dial_failed = {.dial = dial, .error = error},
    };
    meshd_sink_put(&links->config.sink, &event);
}

void meshd_links_dial(struct meshd_links *links, const struct meshd_dial *dial)
{
    char host[MESHD_HOST_BYTES];
    uint16_t port;
    ensure(dial->dial != 0);
    ensure(dial->older <= links->config.door->n_older);
    if (meshd_address_split(dial->address, host, &port) < 0) {
        refuse_dial(links, dial->dial, -EINVAL);
        return;
    }
    uint64_t timeout_ms = (dial->timeout_ns + 999999) / 1000000;
    struct meshd_link *link = links->n_links < MESHD_LINKS_MAX ? link_new(links, timeout_ms) : NULL;
    if (link == NULL) {
        refuse_dial(links, dial->dial, -ENOMEM);
        return;
    }
    link->dial = dial->dial;
    link->must_be_on_link = dial->must_be_on_link;
    link->older = dial->older;
    link->has_invitation = dial->has_invitation;
    link->invitation = dial->invitation;
    link->peer = dial->peer;
    link->state = LINK_RESOLVING;
    if (meshd_address_set(host, port, &link->remote) == 0) {
        link_connect(link);
    } else {
        int rc = look_up(link, host, port);
        if (rc < 0) {
            link_fail(link, rc, CORE_LINK_END_CLOSED, WIRE_REASON_NONE);
        }
    }
}

void meshd_links_cancel_dial(struct meshd_links *links, uint64_t dial)
{
    list_for_each (it, &links->all) {
        struct meshd_link *link = LIST_ENTRY(it, struct meshd_link, node);
        if (link->dial == dial && link->state < LINK_UP) {
            link_close(link);
            return;
        }
    }
}
