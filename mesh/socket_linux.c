#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "mesh/socket.h"

/* Debian 12's libc has it; older ones only the kernel's headers. */
#ifndef IPV6_MINHOPCOUNT
#define IPV6_MINHOPCOUNT 73
#endif

#define HOPS 255

static int set_int(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

int meshd_socket_prepare(int fd, int family, unsigned user_timeout_ms)
{
    int rc = set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (rc == 0) {
        rc = family == AF_INET ? set_int(fd, IPPROTO_IP, IP_TTL, HOPS)
                               : set_int(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, HOPS);
    }
    if (rc == 0) {
        rc = set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)user_timeout_ms);
    }
    if (rc == 0) {
        rc = set_int(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, (int)MESHD_NOTSENT_BYTES);
    }
    return rc;
}

int meshd_socket_require_on_link(int fd, int family, bool is_required)
{
    int hops = is_required ? HOPS : 0;
    return family == AF_INET ? set_int(fd, IPPROTO_IP, IP_MINTTL, hops)
                             : set_int(fd, IPPROTO_IPV6, IPV6_MINHOPCOUNT, hops);
}

size_t meshd_socket_unacked_bytes(int fd)
{
    int n = 0;
    return ioctl(fd, SIOCOUTQ, &n) == 0 && n > 0 ? (size_t)n : 0;
}

void meshd_socket_get_pace(int fd, struct meshd_socket_pace *ret_pace)
{
    struct tcp_info info = {0};
    socklen_t n = sizeof(info);
    bool has_info = getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) == 0 &&
                    n >= offsetof(struct tcp_info, tcpi_min_rtt) + sizeof(uint32_t);
    *ret_pace = (struct meshd_socket_pace){0};
    if (has_info) {
        ret_pace->acked = info.tcpi_bytes_acked;
        /* All ones before the first measurement. */
        ret_pace->min_rtt_ns = info.tcpi_min_rtt == UINT32_MAX ? 0 : info.tcpi_min_rtt * 1000ull;
    }
}
