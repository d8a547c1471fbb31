/* Peers that the user named with --peer: "HOST:PORT". A numeric address is reported at once; a name
 * is looked up, and looked up again every minute, since addresses change (and so do the indices of
 * the interfaces in scopes); a look-up that fails is repeated with back-off from one second. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "discovery/discovery_internal.h"
#include "wire/base/mem.h"
#include "wire/base/text.h"

#define RETRY_FIRST_MS 1000
#define LOOKUP_MS      60000
#define HOST_BYTES_MAX 255

struct static_peer {
    struct static_peers *owner;
    char *text; /* as the user wrote it */
    char host[HOST_BYTES_MAX + 1];
    char port[6];
    bool is_fixed;    /* its addresses never change */
    uint64_t wait_ms; /* before the next look-up after one that failed; 0: it did not */
    uv_timer_t timer;
    uv_getaddrinfo_t lookup;
    bool is_looking_up;
    struct sockaddr_storage addresses[DISC_ADDRESSES_MAX]; /* as last reported */
    size_t n_addresses;
};

struct static_peers {
    struct disc *disc;
    unsigned n_open; /* timers and look-ups under way, and 1 */
    size_t n;
    struct static_peer items[];
};

static bool is_host_name(const char *host)
{
    return host[0] != '-' && strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                          "0123456789-_.") == strlen(host);
}

/* What is between the brackets. NULL or what is wrong with it. */
static const char *check_in6(const char *host)
{
    struct in6_addr in6;
    const char *scope = strchr(host, '%');
    if (uv_inet_pton(AF_INET6, host, &in6) != 0) { /* it skips the scope */
        return "has no IPv6 address in its brackets";
    }
    if (scope != NULL && (scope[1] == '\0' || strlen(scope + 1) >= IF_NAMESIZE)) {
        return "names no interface behind its '%'";
    }
    if (IN6_IS_ADDR_LINKLOCAL(&in6) && scope == NULL) {
        return "is link-local and needs its interface, as in [fe80::1%eth0]:PORT";
    }
    return NULL;
}

/* Splits "HOST:PORT" and "[V6]:PORT". NULL or what is wrong with it. */
static const char *split(const char *text, char host[static HOST_BYTES_MAX + 1],
                         char port[static 6])
{
    static const char shape[] = "is not HOST:PORT, nor [IPV6]:PORT";
    const char *colon = strrchr(text, ':');
    if (colon == NULL) {
        return shape;
    }
    bool has_brackets = *text == '[';
    const char *first = text;
    size_t n = (size_t)(colon - text);
    if (has_brackets) {
        if (n < 3 || text[n - 1] != ']') {
            return shape;
        }
        first++;
        n -= 2;
    } else if (memchr(text, ':', n) != NULL) {
        return shape; /* an IPv6 address without brackets: where does the port begin? */
    }
    if (n == 0 || n > HOST_BYTES_MAX) {
        return shape;
    }
    uint64_t number;
    if (text_parse_u64(colon + 1, UINT16_MAX, &number) < 0 || number == 0) {
        return "has no port from 1 to 65535 at its end";
    }
    memcpy(host, first, n);
    host[n] = '\0';
    IGNORE(snprintf(port, 6, "%u", (unsigned)number)); /* five digits at most */
    if (has_brackets) {
        return check_in6(host);
    }
    return is_host_name(host) ? NULL : "has a host name that cannot be one";
}

int disc_static_peer_check(const char *text, struct errmsg *err)
{
    char host[HOST_BYTES_MAX + 1];
    char port[6];
    const char *wrong = split(text, host, port);
    if (wrong != NULL) {
        char shown[100];
        errmsg_set(err, "--peer '%s' %s", text_printable(slice_str(text), shown, sizeof(shown)),
                   wrong);
        return -EINVAL;
    }
    return 0;
}

static void unref(struct static_peers *peers)
{
    ensure(peers->n_open > 0);
    if (--peers->n_open > 0) {
        return;
    }
    struct disc *disc = peers->disc;
    for (size_t i = 0; i < peers->n; i++) {
        mem_free(peers->items[i].text);
    }
    mem_free(peers);
    disc_part_closed(disc);
}

static void report(struct static_peer *peer, const struct addrinfo *list)
{
    struct sockaddr_storage addresses[DISC_ADDRESSES_MAX];
    memset(addresses, 0, sizeof(addresses));
    size_t n = 0;
    for (const struct addrinfo *a = list; a != NULL && n < DISC_ADDRESSES_MAX; a = a->ai_next) {
        if (a->ai_family == AF_INET || a->ai_family == AF_INET6) {
            memcpy(&addresses[n++], a->ai_addr, a->ai_addrlen);
        }
    }
    if (n == 0) {
        return; /* of families nobody can dial */
    }
    if (n == peer->n_addresses &&
        memcmp(addresses, peer->addresses, n * sizeof(addresses[0])) == 0) {
        return;
    }
    memcpy(peer->addresses, addresses, sizeof(addresses));
    peer->n_addresses = n;
    struct disc *disc = peer->owner->disc;
    struct disc_peer found = {
        .static_name = peer->text,
        .name = "",
        .arch = "",
        .os = "",
        .mesh = "",
        .addresses = peer->addresses,
        .n_addresses = n,
    };
    if (disc->callbacks.on_found != NULL) {
        disc->callbacks.on_found(disc->user, &found);
    }
}

static void on_timer(uv_timer_t *timer);

static void look_up_later(struct static_peer *peer, uint64_t wait_ms)
{
    int r = uv_timer_start(&peer->timer, on_timer, wait_ms, 0);
    ensure(r == 0);
}

static void on_failed(struct static_peer *peer, int status)
{
    char shown[100];
    /* Said once for each time it begins to fail. */
    disc_log(peer->owner->disc, peer->wait_ms == 0 ? DISC_LOG_WARN : DISC_LOG_DEBUG,
             "--peer %s: %s; trying again",
             text_printable(slice_str(peer->text), shown, sizeof(shown)), uv_strerror(status));
    peer->wait_ms = peer->wait_ms == 0              ? RETRY_FIRST_MS
                    : peer->wait_ms * 2 > LOOKUP_MS ? LOOKUP_MS
                                                    : peer->wait_ms * 2;
    look_up_later(peer, peer->wait_ms);
}

static void on_looked_up(uv_getaddrinfo_t *lookup, int status, struct addrinfo *list)
{
    struct static_peer *peer = lookup->data;
    peer->is_looking_up = false;
    if (!peer->owner->disc->is_closing) {
        if (status != 0) {
            on_failed(peer, status);
        } else {
            peer->wait_ms = 0;
            if (!peer->is_fixed) {
                look_up_later(peer, LOOKUP_MS);
            }
            report(peer, list);
        }
    }
    uv_freeaddrinfo(list);
    unref(peer->owner);
}

static void on_timer(uv_timer_t *timer)
{
    struct static_peer *peer = timer->data;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    peer->lookup.data = peer;
    int r = uv_getaddrinfo(peer->owner->disc->loop, &peer->lookup, on_looked_up, peer->host,
                           peer->port, &hints);
    if (r < 0) {
        on_failed(peer, r);
        return;
    }
    peer->is_looking_up = true;
    peer->owner->n_open++;
}

static bool is_fixed(const char *host)
{
    struct in6_addr any;
    return strchr(host, '%') == NULL &&
           (uv_inet_pton(AF_INET, host, &any) == 0 || uv_inet_pton(AF_INET6, host, &any) == 0);
}

struct static_peers *static_peers_new(struct disc *disc, const char *const *texts, size_t n,
                                      struct errmsg *err)
{
    struct static_peers *peers = mem_alloc(1, sizeof(*peers) + n * sizeof(struct static_peer));
    if (peers == NULL) {
        errmsg_set(err, "out of memory for the peers named with --peer");
        return NULL;
    }
    peers->disc = disc;
    peers->n_open = 1;
    disc->n_open++;
    for (size_t i = 0; i < n; i++) {
        struct static_peer *peer = &peers->items[i];
        peer->owner = peers;
        peer->text = mem_strndup(texts[i], strlen(texts[i]));
        const char *wrong = split(texts[i], peer->host, peer->port);
        ensure(wrong == NULL); /* disc_start() checked it */
        int r = uv_timer_init(disc->loop, &peer->timer);
        ensure(r == 0);
        peer->timer.data = peer;
        peers->n_open++;
        peers->n++;
        if (peer->text == NULL) {
            errmsg_set(err, "out of memory for the peers named with --peer");
            static_peers_close(peers);
            return NULL;
        }
        peer->is_fixed = is_fixed(peer->host);
        r = uv_timer_start(&peer->timer, on_timer, 0, 0);
        ensure(r == 0);
    }
    return peers;
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct static_peer *peer = handle->data;
    unref(peer->owner);
}

void static_peers_close(struct static_peers *peers)
{
    for (size_t i = 0; i < peers->n; i++) {
        struct static_peer *peer = &peers->items[i];
        uv_close((uv_handle_t *)&peer->timer, on_timer_closed);
        if (peer->is_looking_up) {
            IGNORE(uv_cancel((uv_req_t *)&peer->lookup)); /* its callback comes either way */
        }
    }
    unref(peers);
}
