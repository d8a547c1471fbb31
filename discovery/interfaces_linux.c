/* The happy path: getifaddrs() lists the addresses; a netlink socket tells that links or addresses
 * changed; a short timer gathers a burst of such news; if the list is another then, the owner is
 * told. Without a netlink socket the list is read again every few seconds. */
#include "discovery/interfaces.h"

#include <errno.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wire/base/mem.h"

#define SETTLE_MS 100
#define POLL_MS   5000

struct interfaces {
    uv_loop_t *loop;
    uv_poll_t poll;
    uv_timer_t timer;
    int netlink_fd; /* -1: none */
    unsigned n_open;
    void (*on_changed)(void *user);
    void *user;
    void (*on_closed)(void *user);
    void *on_closed_user;
    char (*names)[IF_NAMESIZE]; /* the wanted ones; owned */
    size_t n_names;
    struct interface_address addresses[INTERFACES_ADDRESSES_MAX];
    size_t n;
};

bool interfaces_is_container(const char *name)
{
    static const char *const prefixes[] = {"docker", "veth",  "virbr", "vmnet",  "br-",
                                           "vnet",   "lxcbr", "lxdbr", "podman", "cni"};
    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++) {
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_wanted(const struct interfaces *interfaces, const char *name, unsigned flags,
                      bool with_loopback)
{
    for (size_t i = 0; i < interfaces->n_names; i++) {
        if (strcmp(interfaces->names[i], name) == 0) {
            return true;
        }
    }
    if (interfaces->n_names > 0 || (flags & IFF_POINTOPOINT) != 0) {
        return false;
    }
    bool is_loopback = (flags & IFF_LOOPBACK) != 0;
    return is_loopback == with_loopback && !interfaces_is_container(name);
}

/* One row of getifaddrs(), if it counts. */
static bool take(const struct interfaces *interfaces, const struct ifaddrs *ifa, bool with_loopback,
                 struct interface_address *ret_address)
{
    if (ifa->ifa_addr == NULL || (ifa->ifa_flags & IFF_UP) == 0) {
        return false;
    }
    int family = ifa->ifa_addr->sa_family;
    if ((family != AF_INET && family != AF_INET6) ||
        !is_wanted(interfaces, ifa->ifa_name, ifa->ifa_flags, with_loopback)) {
        return false;
    }
    struct interface_address address = {.ifindex = (int)if_nametoindex(ifa->ifa_name)};
    if (address.ifindex == 0) {
        return false;
    }
    IGNORE(strlen(strncpy(address.name, ifa->ifa_name, IF_NAMESIZE - 1))); /* zeroed before */
    memcpy(&address.address, ifa->ifa_addr,
           family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
    *ret_address = address;
    return true;
}

/* Those of one interface together, and the same order whatever order the kernel has. */
static int compare_addresses(const void *a, const void *b)
{
    const struct interface_address *x = a;
    const struct interface_address *y = b;
    if (x->ifindex != y->ifindex) {
        return x->ifindex < y->ifindex ? -1 : 1;
    }
    return memcmp(&x->address, &y->address, sizeof(x->address));
}

/* False: the kernel does not say. */
static bool list_addresses(const struct interfaces *interfaces,
                           struct interface_address to[static INTERFACES_ADDRESSES_MAX],
                           size_t *ret_n)
{
    struct ifaddrs *all;
    if (getifaddrs(&all) != 0) {
        return false;
    }
    size_t n = 0;
    for (int with_loopback = 0; with_loopback < 2 && n == 0; with_loopback++) {
        for (const struct ifaddrs *ifa = all; ifa != NULL && n < INTERFACES_ADDRESSES_MAX;
             ifa = ifa->ifa_next) {
            n += take(interfaces, ifa, with_loopback == 1, &to[n]) ? 1 : 0;
        }
    }
    freeifaddrs(all);
    qsort(to, n, sizeof(to[0]), compare_addresses);
    *ret_n = n;
    return true;
}

static bool is_equal(const struct interface_address *a, const struct interface_address *b)
{
    return compare_addresses(a, b) == 0 && strcmp(a->name, b->name) == 0;
}

static bool look_again(struct interfaces *interfaces)
{
    struct interface_address now[INTERFACES_ADDRESSES_MAX];
    memset(now, 0, sizeof(now));
    size_t n;
    if (!list_addresses(interfaces, now, &n)) {
        return false; /* out of descriptors, perhaps: what was known stands */
    }
    bool is_same = n == interfaces->n;
    for (size_t i = 0; is_same && i < n; i++) {
        is_same = is_equal(&now[i], &interfaces->addresses[i]);
    }
    if (is_same) {
        return false;
    }
    memcpy(interfaces->addresses, now, sizeof(now));
    interfaces->n = n;
    return true;
}

static void on_timer(uv_timer_t *timer)
{
    struct interfaces *interfaces = timer->data;
    if (look_again(interfaces)) {
        interfaces->on_changed(interfaces->user);
    }
}

static void on_netlink(uv_poll_t *poll, int status, int events)
{
    struct interfaces *interfaces = poll->data;
    char buffer[8192];
    ssize_t got;
    do {
        got = recv(interfaces->netlink_fd, buffer, sizeof(buffer), MSG_DONTWAIT);
    } while (got > 0 || (got < 0 && (errno == EINTR || errno == ENOBUFS)));
    /* What changed does not matter: the list is read again, once the burst is over. */
    if (!uv_is_active((uv_handle_t *)&interfaces->timer)) {
        int r = uv_timer_start(&interfaces->timer, on_timer, SETTLE_MS, 0);
        ensure(r == 0);
    }
}

static int netlink_open(void)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (fd < 0) {
        return -1;
    }
    struct sockaddr_nl address = {
        .nl_family = AF_NETLINK,
        .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR,
    };
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        IGNORE(close(fd)); /* nothing was sent */
        return -1;
    }
    return fd;
}

static void start_following(struct interfaces *interfaces)
{
    int r = uv_timer_init(interfaces->loop, &interfaces->timer);
    ensure(r == 0);
    interfaces->timer.data = interfaces;
    interfaces->n_open = 1;
    interfaces->netlink_fd = netlink_open();
    if (interfaces->netlink_fd >= 0 &&
        uv_poll_init(interfaces->loop, &interfaces->poll, interfaces->netlink_fd) == 0) {
        interfaces->poll.data = interfaces;
        interfaces->n_open = 2;
        r = uv_poll_start(&interfaces->poll, UV_READABLE, on_netlink);
    } else {
        r = uv_timer_start(&interfaces->timer, on_timer, POLL_MS, POLL_MS);
    }
    ensure(r == 0);
}

int interfaces_new(uv_loop_t *loop, const char *const *names, size_t n,
                   void (*on_changed)(void *user), void *user, struct interfaces **ret_interfaces,
                   struct errmsg *err)
{
    struct interfaces *interfaces = mem_alloc(1, sizeof(*interfaces));
    if (interfaces == NULL) {
        errmsg_set(err, "out of memory for the list of interfaces");
        return -ENOMEM;
    }
    interfaces->loop = loop;
    interfaces->on_changed = on_changed;
    interfaces->user = user;
    interfaces->names = mem_alloc(n, IF_NAMESIZE);
    if (interfaces->names == NULL) {
        mem_free(interfaces);
        errmsg_set(err, "out of memory for the list of interfaces");
        return -ENOMEM;
    }
    for (size_t i = 0; i < n; i++) {
        if (strlen(names[i]) >= IF_NAMESIZE || if_nametoindex(names[i]) == 0) {
            errmsg_set(err, "there is no interface '%.64s' on this host; 'ip link' lists them",
                       names[i]);
            mem_free(interfaces->names);
            mem_free(interfaces);
            return -EINVAL;
        }
        memcpy(interfaces->names[i], names[i], strlen(names[i]));
    }
    interfaces->n_names = n;
    IGNORE(look_again(interfaces)); /* the first look: the owner asks for it */
    start_following(interfaces);
    *ret_interfaces = interfaces;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct interfaces *interfaces = handle->data;
    if (--interfaces->n_open > 0) {
        return;
    }
    void (*done)(void *user) = interfaces->on_closed;
    void *user = interfaces->on_closed_user;
    mem_free(interfaces->names);
    mem_free(interfaces);
    done(user);
}

void interfaces_close(struct interfaces *interfaces, void (*done)(void *user), void *user)
{
    interfaces->on_closed = done;
    interfaces->on_closed_user = user;
    bool has_poll = interfaces->n_open == 2;
    uv_close((uv_handle_t *)&interfaces->timer, on_closed);
    if (has_poll) {
        uv_close((uv_handle_t *)&interfaces->poll, on_closed);
    }
    if (interfaces->netlink_fd >= 0) {
        IGNORE(close(interfaces->netlink_fd)); /* nothing was sent */
    }
}

const struct interface_address *interfaces_addresses(const struct interfaces *interfaces,
                                                     size_t *ret_n)
{
    *ret_n = interfaces->n;
    return interfaces->addresses;
}

const char (*interfaces_names(const struct interfaces *interfaces, size_t *ret_n))[IF_NAMESIZE]
{
    *ret_n = interfaces->n_names;
    return (const char(*)[IF_NAMESIZE])interfaces->names;
}

bool interfaces_has(const struct interfaces *interfaces, int ifindex)
{
    for (size_t i = 0; i < interfaces->n; i++) {
        if (interfaces->addresses[i].ifindex == ifindex) {
            return true;
        }
    }
    return false;
}

bool interfaces_is_loopback(int ifindex)
{
    char name[IF_NAMESIZE];
    struct ifaddrs *all;
    if (if_indextoname((unsigned)ifindex, name) == NULL || getifaddrs(&all) != 0) {
        return false;
    }
    bool is_loopback = false;
    for (const struct ifaddrs *ifa = all; ifa != NULL && !is_loopback; ifa = ifa->ifa_next) {
        is_loopback = (ifa->ifa_flags & IFF_LOOPBACK) != 0 && strcmp(ifa->ifa_name, name) == 0;
    }
    freeifaddrs(all);
    return is_loopback;
}

bool interfaces_is_same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    if (a->ss_family != b->ss_family) {
        return false;
    }
    if (a->ss_family == AF_INET) {
        return ((const struct sockaddr_in *)a)->sin_addr.s_addr ==
               ((const struct sockaddr_in *)b)->sin_addr.s_addr;
    }
    return memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr,
                  &((const struct sockaddr_in6 *)b)->sin6_addr, sizeof(struct in6_addr)) == 0;
}

bool interfaces_is_ours(const struct sockaddr_storage *address)
{
    struct ifaddrs *all;
    if (getifaddrs(&all) != 0) {
        return false;
    }
    bool is_ours = false;
    for (const struct ifaddrs *ifa = all; ifa != NULL && !is_ours; ifa = ifa->ifa_next) {
        if (ifa->ifa_addr == NULL || ifa->ifa_addr->sa_family != address->ss_family) {
            continue;
        }
        struct sockaddr_storage own = {0};
        memcpy(&own, ifa->ifa_addr,
               address->ss_family == AF_INET ? sizeof(struct sockaddr_in)
                                             : sizeof(struct sockaddr_in6));
        is_ours = interfaces_is_same_host(&own, address);
    }
    freeifaddrs(all);
    return is_ours;
}
