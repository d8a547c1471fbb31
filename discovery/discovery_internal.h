/* What the sources share: the peer table they report to, the interfaces in use, our own record.
 * Included by discovery/ alone. */
#ifndef MESH_DISCOVERY_DISCOVERY_INTERNAL_H
#define MESH_DISCOVERY_DISCOVERY_INTERNAL_H

#include <avahi-common/address.h>
#include <avahi-common/domain.h>
#include <net/if.h>

#include "discovery/discovery.h"
#include "discovery/interfaces.h"
#include "discovery/txt.h"
#include "wire/base/list.h"
#include "wire/base/table.h"

#define DISC_SERVICE_TYPE       "_meshd._tcp"
#define DISC_INSTANCE_BYTES_MAX 63 /* a DNS label */
/* Bursts of TXT updates starve (README.md): one in this time. */
#define DISC_UPDATE_MS         2000
#define DISC_OWN_ADDRESSES_MAX 64

struct mdns_client;
struct mdns_embedded;
struct static_peers;
struct avahi_poll_uv;

/* Who said it: one peer is heard once for each interface and address family. A key of tables. */
struct disc_report_id {
    int ifindex;
    int protocol;                               /* AVAHI_PROTO_* */
    char instance[DISC_INSTANCE_BYTES_MAX + 1]; /* zeros behind the text */
};

struct disc_report {
    struct list in_peer;
    struct table_entry by_id;
    struct disc_report_id id;
    struct disc_txt txt;
    struct sockaddr_storage address;
    struct disc_peer_entry *peer;
    bool counts; /* its interface is in use */
};

struct disc_peer_entry {
    struct table_entry by_key;
    uint8_t key[DISC_KEY_BYTES];
    char name[DISC_NAME_BYTES_MAX + 1];
    struct list reports; /* of disc_report.in_peer, oldest first */
    bool is_told;        /* the owner knows it */
};

struct disc {
    uv_loop_t *loop;
    enum disc_mode mode;
    struct disc_callbacks callbacks;
    void *user;

    struct disc_txt txt; /* our own record */
    char id_text[16];
    char name[DISC_NAME_BYTES_MAX + 1];
    uint16_t port;

    struct interfaces *interfaces;
    struct sockaddr_storage own[DISC_OWN_ADDRESSES_MAX]; /* ours, now or earlier in this life */
    size_t n_own, next_own;
    uint64_t nonce; /* tells this process from a clone of it */

    struct table peers;   /* of disc_peer_entry */
    struct table reports; /* of disc_report.by_id */
    bool is_full_told;
    uint64_t strangers_ns; /* let in beyond DISC_PEERS_MAX on account up to then */

    struct avahi_poll_uv *poll;
    struct mdns_client *client;     /* NULL unless in use */
    struct mdns_embedded *embedded; /* NULL unless in use */
    struct static_peers *static_peers;

    uv_timer_t update_timer; /* runs while an update must wait */
    uint64_t updated_ms;     /* when the record last went out */
    bool is_update_wanted;
    uint64_t cloned_ms; /* when on_cloned was last called; 0: never */

    bool is_closing;
    unsigned n_open; /* handles and parts that are still to close */
    void (*on_closed)(void *user);
    void *on_closed_user;
};

/* --- reports.c --- */

/* A service was resolved, or resolved anew: replaces what this id said before. Ignores what is our
 * own, and records that make no sense; on interfaces that are not in use it waits until they are.
 */
void disc_report(struct disc *disc, const struct disc_report_id *id,
                 const struct sockaddr_storage *address, const struct slice *txt, size_t n_txt);
/* What this id said is gone. */
void disc_unreport(struct disc *disc, const struct disc_report_id *id);
/* Whether this id speaks for a peer that was ever proved. */
bool disc_is_of_known(const struct disc *disc, const struct disc_report_id *id);
/* The source stops: nothing it said stands. */
void disc_unreport_all(struct disc *disc);
/* Other interfaces are in use than before. */
void disc_refilter(struct disc *disc);
/* Remembers the addresses in use as ours. */
void disc_note_own_addresses(struct disc *disc);
/* Another machine has our identity. */
void disc_cloned(struct disc *disc, const char *text);
/* An Avahi address as a socket address; `ifindex` becomes the scope of a link-local one. */
void disc_sockaddr(const AvahiAddress *a, int ifindex, uint16_t port,
                   struct sockaddr_storage *ret_address);

/* --- discovery.c --- */

/* Whether a responder takes over where no daemon runs. */
bool disc_may_embed(const struct disc *disc);
/* The client source lost its daemon for good: frees it and embeds. Only where disc_may_embed(). */
void disc_client_gone(struct disc *disc);

void disc_log(struct disc *disc, enum disc_log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* "<host> <id>": the name of our service. */
void disc_instance_name(const struct disc *disc, char to[static DISC_INSTANCE_BYTES_MAX + 1]);
/* "meshd-<id>.local": the name of our embedded host record. */
void disc_host_name(const struct disc *disc, char to[static AVAHI_DOMAIN_NAME_MAX]);
/* --- the sources: each is born by new, told of a changed record, and ended by free --- */

/* NULL: no memory, or the library is not built in. A missing daemon is waited for. */
struct mdns_client *mdns_client_new(struct disc *disc) MUST_CHECK;
/* Whether the daemon was there at birth. */
bool mdns_client_is_running(const struct mdns_client *client);
/* Our record or the interfaces changed. */
void mdns_client_announce(struct mdns_client *client, bool are_interfaces_new);
/* Frees at once; timers close through the loop. */
struct mdns_client *mdns_client_free(struct mdns_client *client);

struct mdns_embedded *mdns_embedded_new(struct disc *disc) MUST_CHECK;
void mdns_embedded_announce(struct mdns_embedded *embedded, bool are_interfaces_new);
struct mdns_embedded *mdns_embedded_free(struct mdns_embedded *embedded);

/* Whether the source is built in. */
extern const bool mdns_client_is_built;
extern const bool mdns_embedded_is_built;

struct static_peers *static_peers_new(struct disc *disc, const char *const *peers, size_t n,
                                      struct errmsg *err) MUST_CHECK;
/* Closes through the loop, counted in disc->n_open. */
void static_peers_close(struct static_peers *peers);

/* A timer that belongs to a part which is freed before libuv has closed it. NULL: no memory. */
struct disc_timer;
struct disc_timer *disc_timer_new(struct disc *disc, void (*on_due)(void *user),
                                  void *user) MUST_CHECK;
void disc_timer_start(struct disc_timer *timer, uint64_t wait_ms);
void disc_timer_stop(struct disc_timer *timer);
struct disc_timer *disc_timer_free(struct disc_timer *timer);

/* A part of disc is closed; the last one frees disc and calls on_closed. */
void disc_part_closed(struct disc *disc);

#endif
