/* Attempts at the network and at sockets of the host. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/lab/escape.h"

static int reach(int family, int type, const char *port_word)
{
    const char *text = escape_word(port_word);
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (text == NULL) {
        return ESCAPE_NO_TARGET;
    }
    unsigned port = (unsigned)strtoul(text, NULL, 10);
    four.sin_port = htons((uint16_t)port);
    six.sin6_port = htons((uint16_t)port);
    int fd = socket(family, type | SOCK_CLOEXEC, 0);
    const struct sockaddr *at =
        family == AF_INET ? (const struct sockaddr *)&four : (const struct sockaddr *)&six;
    if (fd < 0 || connect(fd, at, family == AF_INET ? sizeof four : sizeof six) < 0) {
        return errno;
    }
    if (type == SOCK_STREAM) {
        return 0;
    }
    /* An unreachable port answers with an error, a service with nothing at all. */
    char byte = 'x';
    if (send(fd, &byte, 1, 0) < 0) {
        return errno;
    }
    struct pollfd said = {.fd = fd, .events = POLLIN};
    if (poll(&said, 1, 300) == 1 && recv(fd, &byte, 1, MSG_DONTWAIT) < 0) {
        return errno;
    }
    return 0;
}

static int tcp(void)
{
    return reach(AF_INET, SOCK_STREAM, "tcp");
}

static int udp(void)
{
    return reach(AF_INET, SOCK_DGRAM, "udp");
}

static int tcp6(void)
{
    return reach(AF_INET6, SOCK_STREAM, "tcp6");
}

static int connect_to(const char *word, bool is_abstract)
{
    const char *path = escape_word(word);
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    if (path == NULL) {
        return ESCAPE_NO_TARGET;
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    size_t n =
        (size_t)snprintf(at.sun_path, sizeof at.sun_path, "%s%s", is_abstract ? "@" : "", path);
    if (is_abstract) {
        at.sun_path[0] = '\0';
    }
    socklen_t n_at = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    return fd < 0 ? errno : escape_result(connect(fd, (struct sockaddr *)&at, n_at));
}

static int control_socket(void)
{
    return connect_to("socket", false);
}

static int x11(void)
{
    return connect_to("x11", false);
}

static int system_bus(void)
{
    return connect_to("dbus", false);
}

static int session_bus(void)
{
    return connect_to("session", false);
}

static int ssh_agent(void)
{
    return connect_to("agent", false);
}

static int docker(void)
{
    return connect_to("docker", false);
}

static int abstract_socket(void)
{
    return connect_to("abstract", true);
}

static int make_socket(int family, int type, int protocol)
{
    return escape_result(socket(family, type | SOCK_CLOEXEC, protocol));
}

static int raw_socket(void)
{
    return make_socket(AF_INET, SOCK_RAW, IPPROTO_ICMP);
}

static int packet_socket(void)
{
    return make_socket(AF_PACKET, SOCK_RAW, htons(3));
}

static int kernel_events(void)
{
    return make_socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT);
}

/* What the kernel gives everybody and would load a module for. */
static int odd_families(void)
{
    static const int families[] = {38 /* ALG */,
                                   40 /* VSOCK */,
                                   30 /* TIPC */,
                                   29 /* CAN */,
                                   21 /* RDS */,
                                   15 /* KEY */,
                                   31 /* BLUETOOTH */};
    int result = EAFNOSUPPORT;
    for (size_t i = 0; i < sizeof families / sizeof families[0] && result != 0; i++) {
        int r = make_socket(families[i], SOCK_SEQPACKET, 0);
        r = r == 0 ? 0 : make_socket(families[i], SOCK_STREAM, 0);
        result = r == 0 || make_socket(families[i], SOCK_DGRAM, 0) == 0 ? 0 : r;
    }
    return result;
}

static int odd_protocols(void)
{
    int result = make_socket(AF_INET, SOCK_STREAM, 262); /* MPTCP */
    result = result == 0 ? 0 : make_socket(AF_INET, SOCK_SEQPACKET, 132);
    return result == 0 ? 0 : make_socket(AF_INET, SOCK_DGRAM, 136);
}

/* Makes an interface of its own, as the owner of a network namespace may. */
static int make_interface(void)
{
    struct {
        struct nlmsghdr header;
        struct ifinfomsg info;
        struct rtattr name;
        char text[8];
        struct rtattr link;
        struct rtattr kind;
        char kind_text[8];
    } ask = {
        .header = {.nlmsg_len = sizeof ask,
                   .nlmsg_type = RTM_NEWLINK,
                   .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL},
        .name = {.rta_len = sizeof(struct rtattr) + 8, .rta_type = IFLA_IFNAME},
        .text = "escape0",
        .link = {.rta_len = 2 * sizeof(struct rtattr) + 8, .rta_type = IFLA_LINKINFO},
        .kind = {.rta_len = sizeof(struct rtattr) + 6, .rta_type = IFLA_INFO_KIND},
        .kind_text = "dummy",
    };
    struct {
        struct nlmsghdr header;
        struct nlmsgerr error;
        char rest[512];
    } answer;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0 || send(fd, &ask, sizeof ask, 0) < 0 || recv(fd, &answer, sizeof answer, 0) < 0) {
        return errno;
    }
    return -answer.error.error;
}

const struct escape_attempt escape_sockets[] = {
    {"connect to a TCP service of the host", tcp, ESCAPE_ANYBODY},
    {"connect to a TCP service over IPv6", tcp6, ESCAPE_ANYBODY},
    {"reach a UDP service of the host", udp, ESCAPE_ANYBODY},
    {"connect to the control socket", control_socket, ESCAPE_ANYBODY},
    {"connect to X11", x11, ESCAPE_ANYBODY},
    {"connect to the system D-Bus", system_bus, ESCAPE_ANYBODY},
    {"connect to the session D-Bus", session_bus, ESCAPE_ANYBODY},
    {"connect to the ssh agent", ssh_agent, ESCAPE_ANYBODY},
    {"connect to docker", docker, ESCAPE_ANYBODY},
    {"connect to an abstract socket", abstract_socket, ESCAPE_ANYBODY},
    {"open a raw socket", raw_socket, ESCAPE_ROOT},
    {"open a packet socket", packet_socket, ESCAPE_ROOT},
    {"hear the kernel's events", kernel_events, ESCAPE_ANYBODY},
    {"use an odd family of sockets", odd_families, ESCAPE_NOBODY},
    {"use an odd protocol", odd_protocols, ESCAPE_NOBODY},
    {"make a network interface", make_interface, ESCAPE_NOBODY},
};
const size_t escape_n_sockets = sizeof escape_sockets / sizeof escape_sockets[0];
