#include "mesh/own_addresses.h"

#include <netinet/in.h>
#include <string.h>
#include <uv.h>

#include "discovery/interfaces.h"

enum rank { RANK_V4, RANK_V6, RANK_LOOPBACK, RANK_NONE };

static bool is_in_use(const struct meshd_options *options, const char *name)
{
    for (uint32_t i = 0; i < options->n_interfaces; i++) {
        if (strcmp(name, options->interfaces[i]) == 0) {
            return true;
        }
    }
    return options->n_interfaces == 0 && !interfaces_is_container(name);
}

static enum rank rank_of(const struct meshd_options *options, const uv_interface_address_t *own)
{
    int family = own->address.address4.sin_family;
    bool is_v6 = family == AF_INET6;
    if ((!is_v6 && family != AF_INET) || !is_in_use(options, own->name) ||
        (is_v6 && IN6_IS_ADDR_LINKLOCAL(&own->address.address6.sin6_addr))) {
        return RANK_NONE;
    }
    return own->is_internal ? RANK_LOOPBACK : is_v6 ? RANK_V6 : RANK_V4;
}

static bool is_wildcard(const struct sockaddr_storage *address)
{
    if (address->ss_family == AF_INET) {
        return ((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr == INADDR_ANY;
    }
    return IN6_IS_ADDR_UNSPECIFIED(
        &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
}

static void put(const uv_interface_address_t *own, uint16_t port,
                char to[static MESHD_ADDRESS_BYTES])
{
    struct sockaddr_storage address = {0};
    memcpy(&address, &own->address, sizeof(own->address));
    meshd_address_set_port(&address, port);
    meshd_address_format(&address, to);
}

unsigned meshd_own_addresses(const struct meshd_options *options, uint16_t port,
                             char to[static WIRE_PEER_ADDRESSES_MAX][MESHD_ADDRESS_BYTES])
{
    struct sockaddr_storage address;
    const char *host = options->listen_host != NULL ? options->listen_host : "127.0.0.1";
    int rc = meshd_address_set(host, port, &address);
    ensure(rc == 0); /* the options were checked */
    meshd_address_format(&address, to[0]);
    uv_interface_address_t *list = NULL;
    int n_list = 0;
    if ((options->listen_host != NULL && !is_wildcard(&address)) ||
        uv_interface_addresses(&list, &n_list) < 0) {
        return 1;
    }
    unsigned n = 0;
    for (enum rank rank = RANK_V4; rank < RANK_NONE; rank++) {
        for (int i = 0;
             i < n_list && n < WIRE_PEER_ADDRESSES_MAX && (rank < RANK_LOOPBACK || n == 0); i++) {
            if (rank_of(options, &list[i]) == rank) {
                put(&list[i], port, to[n++]);
            }
        }
    }
    uv_free_interface_addresses(list, n_list);
    return n > 0 ? n : 1;
}
