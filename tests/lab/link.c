#include "tests/lab/link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/ethtool.h>
#include <linux/if.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/veth.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOST_INTERFACE "eth0"
/* 10.99.0.0/24, as numbers. */
#define NETWORK   0x0a630000u
#define NETMASK   0xffffff00u
#define BROADCAST 0x0a6300ffu

static int fail(struct errmsg *err, const char *what)
{
    int error = errno > 0 ? errno : EIO;
    errmsg_set(err, "%s: %s", what, strerror(error));
    return -error;
}

/* TUN devices may be kept to root; then there is no use in asking for one. */
static bool has_tap(void)
{
    const char *kind = getenv("MESH_LAB_LINK");
    return (kind == NULL || strcmp(kind, "packet") != 0) &&
           access("/dev/net/tun", R_OK | W_OK) == 0;
}

static void write_setting(const char *interface, const char *name, const char *value)
{
    char path[128];
    snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%s/%s", interface, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0) { /* without IPv6 there is nothing to set */
        IGNORE(write(fd, value, strlen(value)));
        close(fd);
    }
}

static struct ifreq request_for(const char *interface)
{
    struct ifreq request;
    memset(&request, 0, sizeof(request));
    snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", interface);
    return request;
}

static int set_up(int sock, const char *interface)
{
    struct ifreq request = request_for(interface);
    if (ioctl(sock, SIOCGIFFLAGS, &request) < 0) {
        return -errno;
    }
    request.ifr_flags = (short)(request.ifr_flags | IFF_UP | IFF_RUNNING);
    return ioctl(sock, SIOCSIFFLAGS, &request) < 0 ? -errno : 0;
}

static int set_ipv4(int sock, unsigned long what, uint32_t address)
{
    struct ifreq request = request_for(HOST_INTERFACE);
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
    memcpy(&request.ifr_addr, &in, sizeof(in));
    return ioctl(sock, what, &request) < 0 ? -errno : 0;
}

/* A locally administered hardware address, so that the same lab has the same ones each time. */
static int set_hardware_address(int sock, unsigned number)
{
    struct ifreq request = request_for(HOST_INTERFACE);
    const uint8_t address[6] = {0x02, 'm', 'e', 's', 'h', (uint8_t)number};
    request.ifr_hwaddr.sa_family = 1; /* ARPHRD_ETHER */
    memcpy(request.ifr_hwaddr.sa_data, address, sizeof(address));
    return ioctl(sock, SIOCSIFHWADDR, &request) < 0 ? -errno : 0;
}

/* A veth hands its frames over without checksums and larger than the wire would take them, in the
 * belief that the other end is a network stack. Ours is a packet socket. */
static void end_offloading(int sock, const char *interface)
{
    static const uint32_t settings[] = {ETHTOOL_STXCSUM, ETHTOOL_STSO, ETHTOOL_SGSO};
    for (unsigned i = 0; i < ARRAY_LEN(settings); i++) {
        struct ethtool_value value = {.cmd = settings[i], .data = 0};
        struct ifreq request = request_for(interface);
        request.ifr_data = &value;
        IGNORE(ioctl(sock, SIOCETHTOOL, &request)); /* a TAP has none of these */
    }
}

static int make_tap(int *ret_fd)
{
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    struct ifreq request = request_for(HOST_INTERFACE);
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    if (ioctl(fd, TUNSETIFF, &request) < 0) {
        int error = -errno;
        close(fd);
        return error;
    }
    *ret_fd = fd;
    return 0;
}

int link_set_up_host(unsigned number, int *ret_fd, struct errmsg *err)
{
    int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (sock < 0) {
        return fail(err, "cannot make a socket");
    }
    int tap = -1;
    int error = has_tap() ? make_tap(&tap) : 0;
    if (error != 0) {
        errno = -error;
        error = fail(err, "cannot make a TAP through /dev/net/tun");
        close(sock);
        return error;
    }
    /* A machine that has been up for a second is past duplicate address detection; ours need not
     * wait for it. */
    write_setting(HOST_INTERFACE, "accept_dad", "0");
    end_offloading(sock, HOST_INTERFACE);
    if (set_hardware_address(sock, number) < 0 ||
        set_ipv4(sock, SIOCSIFADDR, NETWORK + number) < 0 ||
        set_ipv4(sock, SIOCSIFNETMASK, NETMASK) < 0 ||
        set_ipv4(sock, SIOCSIFBRDADDR, BROADCAST) < 0 || set_up(sock, HOST_INTERFACE) < 0 ||
        set_up(sock, "lo") < 0) {
        error = fail(err, "cannot set up the network");
        if (tap >= 0) {
            close(tap);
        }
    } else {
        *ret_fd = tap;
    }
    close(sock);
    return error;
}

/* --- the veth pair ------------------------------------------------------------------------------
 */

/* A netlink request under construction. Ours has some 200 bytes. */
struct netlink_request {
    struct nlmsghdr header;
    uint8_t body[512];
};

static void *put(struct netlink_request *request, const void *bytes, size_t n)
{
    uint8_t *at = (uint8_t *)request + NLMSG_ALIGN(request->header.nlmsg_len);
    ensure(at + n <= request->body + sizeof(request->body));
    if (n > 0) {
        memcpy(at, bytes, n);
    }
    request->header.nlmsg_len = (uint32_t)(at + n - (uint8_t *)request);
    return at;
}

/* An attribute, or, without bytes, the beginning of one that holds others. */
static struct rtattr *put_attribute(struct netlink_request *request, uint16_t type,
                                    const void *bytes, size_t n)
{
    struct rtattr attribute = {.rta_type = type, .rta_len = (uint16_t)RTA_LENGTH(n)};
    struct rtattr *at = put(request, &attribute, sizeof(attribute));
    if (n > 0) {
        put(request, bytes, n);
    }
    return at;
}

static void end_attribute(struct netlink_request *request, struct rtattr *at)
{
    at->rta_len = (uint16_t)((uint8_t *)request + request->header.nlmsg_len - (uint8_t *)at);
}

/* `name` here, and its other end as eth0 in the network of the process. */
static void build_veth(struct netlink_request *request, const char *name, pid_t init)
{
    const struct ifinfomsg nothing = {.ifi_family = AF_UNSPEC};
    uint32_t pid = (uint32_t)init;
    memset(request, 0, sizeof(*request));
    request->header.nlmsg_len = NLMSG_LENGTH(0);
    request->header.nlmsg_type = RTM_NEWLINK;
    request->header.nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK;
    put(request, &nothing, sizeof(nothing));
    put_attribute(request, IFLA_IFNAME, name, strlen(name) + 1);
    struct rtattr *info = put_attribute(request, IFLA_LINKINFO, NULL, 0);
    put_attribute(request, IFLA_INFO_KIND, "veth", strlen("veth"));
    struct rtattr *data = put_attribute(request, IFLA_INFO_DATA, NULL, 0);
    struct rtattr *peer = put_attribute(request, VETH_INFO_PEER, NULL, 0);
    put(request, &nothing, sizeof(nothing));
    put_attribute(request, IFLA_IFNAME, HOST_INTERFACE, sizeof(HOST_INTERFACE));
    put_attribute(request, IFLA_NET_NS_PID, &pid, sizeof(pid));
    end_attribute(request, peer);
    end_attribute(request, data);
    end_attribute(request, info);
}

static int make_veth(const char *name, pid_t init)
{
    int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (sock < 0) {
        return -errno;
    }
    struct netlink_request request;
    build_veth(&request, name, init);
    struct {
        struct nlmsghdr header;
        struct nlmsgerr error;
        uint8_t rest[1024];
    } answer;
    int error = 0;
    if (send(sock, &request, request.header.nlmsg_len, 0) < 0 ||
        recv(sock, &answer, sizeof(answer), 0) < (ssize_t)NLMSG_LENGTH(sizeof(answer.error))) {
        error = errno > 0 ? -errno : -EIO;
    } else {
        error = answer.header.nlmsg_type == NLMSG_ERROR ? answer.error.error : -EPROTO;
    }
    close(sock);
    return error;
}

static int open_packets(const char *name)
{
    int sock = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
    if (sock < 0) {
        return -errno;
    }
    struct ifreq request = request_for(name);
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    int error = 0;
    if (ioctl(sock, SIOCGIFINDEX, &request) < 0) {
        error = -errno;
    } else {
        address.sll_ifindex = request.ifr_ifindex;
        if (bind(sock, (struct sockaddr *)&address, sizeof(address)) < 0) {
            error = -errno;
        }
    }
    if (error == 0) {
        end_offloading(sock, name);
        error = set_up(sock, name);
    }
    if (error != 0) {
        close(sock);
        return error;
    }
    return sock;
}

int link_make(pid_t init, unsigned number, int *ret_fd, struct errmsg *err)
{
    if (has_tap()) {
        *ret_fd = -1;
        return 0;
    }
    char name[IFNAMSIZ];
    snprintf(name, sizeof(name), "port%u", number);
    int error = make_veth(name, init);
    if (error != 0) {
        errno = -error;
        return fail(err, "/dev/net/tun is not for this user, and no veth pair could be made");
    }
    /* Our end is a socket of the switch's, not an address. */
    write_setting(name, "disable_ipv6", "1");
    int fd = open_packets(name);
    if (fd < 0) {
        errno = -fd;
        return fail(err, "cannot open a packet socket");
    }
    *ret_fd = fd;
    return 0;
}
