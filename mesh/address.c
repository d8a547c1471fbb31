#include "mesh/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>

#include "wire/base/text.h"

static const struct sockaddr_in *as_v4(const struct sockaddr_storage *address)
{
    return (const struct sockaddr_in *)(const void *)address;
}

static const struct sockaddr_in6 *as_v6(const struct sockaddr_storage *address)
{
    return (const struct sockaddr_in6 *)(const void *)address;
}

int meshd_address_split(struct slice text, char ret_host[static MESHD_HOST_BYTES],
                        uint16_t *ret_port)
{
    char whole[MESHD_HOST_BYTES + 16];
    if (text.n == 0 || text.n >= sizeof(whole) || memchr(text.p, '\0', text.n) != NULL) {
        return -EINVAL;
    }
    memcpy(whole, text.p, text.n);
    whole[text.n] = '\0';
    char *colon = strrchr(whole, ':');
    if (colon == NULL) {
        return -EINVAL;
    }
    *colon = '\0';
    char *host = whole;
    size_t n_host = (size_t)(colon - whole);
    if (host[0] == '[') {
        if (n_host < 3 || host[n_host - 1] != ']') {
            return -EINVAL;
        }
        host[n_host - 1] = '\0';
        host++;
        n_host -= 2;
    } else if (strchr(host, ':') != NULL) {
        return -EINVAL; /* IPv6 without brackets: where the port begins is anybody's guess */
    }
    uint64_t port;
    if (n_host == 0 || n_host >= MESHD_HOST_BYTES ||
        text_parse_u64(colon + 1, UINT16_MAX, &port) < 0) {
        return -EINVAL;
    }
    memcpy(ret_host, host, n_host + 1);
    *ret_port = (uint16_t)port;
    return 0;
}

static int parse_scope(const char *scope, uint32_t *ret_index)
{
    uint64_t number;
    unsigned index = if_nametoindex(scope);
    if (index == 0 && text_parse_u64(scope, UINT32_MAX, &number) == 0) {
        index = (unsigned)number;
    }
    if (index == 0) {
        return -EINVAL;
    }
    *ret_index = index;
    return 0;
}

int meshd_address_set(const char *host, uint16_t port, struct sockaddr_storage *ret_address)
{
    struct sockaddr_storage address = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)&address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)&address;
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        *ret_address = address;
        return 0;
    }
    char text[MESHD_HOST_BYTES];
    size_t n = strlen(host);
    if (n >= sizeof(text)) {
        return -EINVAL;
    }
    memcpy(text, host, n + 1);
    char *percent = strchr(text, '%');
    if (percent != NULL) {
        *percent = '\0';
        if (parse_scope(percent + 1, &v6->sin6_scope_id) < 0) {
            return -EINVAL;
        }
    }
    if (inet_pton(AF_INET6, text, &v6->sin6_addr) != 1) {
        return -EINVAL;
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    *ret_address = address;
    return 0;
}

const char *meshd_address_format(const struct sockaddr_storage *address,
                                 char to[static MESHD_ADDRESS_BYTES])
{
    char host[INET6_ADDRSTRLEN];
    char scope[IF_NAMESIZE];
    to[0] = '\0';
    unsigned port = meshd_address_port(address);
    if (address->ss_family == AF_INET) {
        if (inet_ntop(AF_INET, &as_v4(address)->sin_addr, host, sizeof(host)) != NULL) {
            IGNORE(snprintf(to, MESHD_ADDRESS_BYTES, "%s:%u", host, port)); /* fits: 15 + 6 */
        }
    } else if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = as_v6(address);
        if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
            if (inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], host, sizeof(host)) != NULL) {
                IGNORE(snprintf(to, MESHD_ADDRESS_BYTES, "%s:%u", host, port));
            }
        } else if (inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host)) != NULL) {
            bool has_scope =
                v6->sin6_scope_id != 0 && if_indextoname(v6->sin6_scope_id, scope) != NULL;
            /* Fits: 45 + 16 + 9. */
            IGNORE(snprintf(to, MESHD_ADDRESS_BYTES, "[%s%s%s]:%u", host, has_scope ? "%" : "",
                            has_scope ? scope : "", port));
        }
    }
    return to;
}

uint16_t meshd_address_port(const struct sockaddr_storage *address)
{
    return ntohs(address->ss_family == AF_INET ? as_v4(address)->sin_port
                                               : as_v6(address)->sin6_port);
}

void meshd_address_set_port(struct sockaddr_storage *address, uint16_t port)
{
    if (address->ss_family == AF_INET) {
        ((struct sockaddr_in *)(void *)address)->sin_port = htons(port);
    } else if (address->ss_family == AF_INET6) {
        ((struct sockaddr_in6 *)(void *)address)->sin6_port = htons(port);
    }
}

socklen_t meshd_address_bytes(const struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

bool meshd_address_is_same_host(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    if (a->ss_family != b->ss_family) {
        return false;
    }
    if (a->ss_family == AF_INET) {
        return as_v4(a)->sin_addr.s_addr == as_v4(b)->sin_addr.s_addr;
    }
    return a->ss_family == AF_INET6 &&
           memcmp(&as_v6(a)->sin6_addr, &as_v6(b)->sin6_addr, sizeof(as_v6(a)->sin6_addr)) == 0;
}
