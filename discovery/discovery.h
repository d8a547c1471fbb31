/* Who is out there: announces this peer on the link and reports the others.
 *
 * Three sources: the avahi-daemon of the machine (mdns_client.c), an mDNS responder inside this
 * process where no daemon runs (mdns_embedded.c), and peers the user named (static_peers.c). Their
 * reports are merged by key: one peer, however many interfaces and address families it was heard
 * on.
 *
 * What is reported is an introduction and no more: nothing here is authenticated, and a peer that
 * is not reported any more may well live. Knows nothing of jobs or sessions. README.md tells the
 * records, the timings and the traps. */
#ifndef MESH_DISCOVERY_DISCOVERY_H
#define MESH_DISCOVERY_DISCOVERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

#include "wire/base/ensure.h"
#include "wire/base/errmsg.h"

#define DISC_KEY_BYTES       32
#define DISC_ADDRESSES_MAX   16   /* kept of one peer; the oldest reports stay */
#define DISC_PEERS_MAX       1024 /* kept at once; then the stranger heard of first makes room, */
#define DISC_STRANGERS_PER_S 16   /* for so many others */
#define DISC_NAME_BYTES_MAX  63   /* of a host: a DNS label */
#define DISC_TEXT_BYTES_MAX  31   /* arch, os, mesh tag */

enum disc_mode {
    DISC_MODE_AUTO,     /* the avahi-daemon where it runs, else embedded */
    DISC_MODE_AVAHI,    /* only through avahi-daemon; waits for it */
    DISC_MODE_EMBEDDED, /* only the responder in this process */
    DISC_MODE_OFF,      /* only static peers */
};

enum disc_log_level { DISC_LOG_ERROR, DISC_LOG_WARN, DISC_LOG_INFO, DISC_LOG_DEBUG };

/* A peer as the sources tell it. Borrowed for the duration of the callback. */
struct disc_peer {
    bool has_key; /* false for a static peer: its key shows at the handshake */
    uint8_t key[DISC_KEY_BYTES];
    const char *static_name; /* "HOST:PORT" as the user wrote it; NULL for others */
    const char *name;        /* of its host; "" when unknown. Foreign text */
    const char *arch, *os;   /* the same */
    const char *mesh;        /* tag of its mesh, "" when open */
    uint32_t version;        /* of the protocol; 0: not said */
    uint32_t cores;
    /* Where it can be dialled: IPv6 link-local ones carry their scope id. */
    const struct sockaddr_storage *addresses;
    size_t n_addresses;
};

struct disc_callbacks {
    /* A peer appeared, or what is known of it changed. */
    void (*on_found)(void *user, const struct disc_peer *peer);
    /* The last report of it is gone: it said goodbye, or its records ran out. */
    void (*on_lost)(void *user, const uint8_t key[DISC_KEY_BYTES]);
    /* Somebody else announces our key: the machine was cloned with its state. At most once a
     * minute. */
    void (*on_cloned)(void *user, const char *text);
    void (*on_log)(void *user, enum disc_log_level level, const char *text);
    /* Whether this key was ever proved: such a peer is always let in, and never makes room. May be
     * NULL: nobody was. */
    bool (*is_known)(void *user, const uint8_t key[DISC_KEY_BYTES]);
};

/* All strings are copied. */
struct disc_config {
    enum disc_mode mode;
    uint8_t key[DISC_KEY_BYTES];
    const char *id_text; /* "k3vq-7d2m": goes into the names of our records */
    const char *name;    /* of the host, for people */
    const char *arch, *os, *mesh;
    uint32_t version;
    uint32_t cores;
    uint16_t port;                 /* where we listen */
    const char *const *interfaces; /* only these; n 0: all but bridges of containers and VMs */
    size_t n_interfaces;
    const char *const *static_peers; /* "HOST:PORT", "[V6%IF]:PORT" */
    size_t n_static_peers;
    struct disc_callbacks callbacks;
    void *user;
};

struct disc;

/* Checks "HOST:PORT" or "[V6]:PORT". 0 or -EINVAL and one line. */
int disc_static_peer_check(const char *text, struct errmsg *err) MUST_CHECK;

/* Starts announcing and listening on `loop`. Callbacks may run before it returns only for log
 * lines. -EINVAL: a static peer or interface makes no sense; -ENOTSUP: the mode is not built in;
 * -ENOMEM. A missing daemon or network is no error: it is waited for. After an error the loop must
 * run once more, to close what was opened. */
int disc_start(uv_loop_t *loop, const struct disc_config *config, struct disc **ret_disc,
               struct errmsg *err) MUST_CHECK;

/* Announces another number of cores. The last value always arrives; changes in between may not. */
void disc_update_cores(struct disc *disc, uint32_t cores);
/* Announces another mesh tag; the same holds. */
void disc_update_mesh(struct disc *disc, const char *mesh);

/* Calls on_found, before it returns, for every peer that is there: for an owner that sees them with
 * other eyes. Not from inside one of the callbacks. */
void disc_report_all(struct disc *disc);

/* Says goodbye and closes; not from inside one of the callbacks. No callback but on_closed runs
 * after it returns; the memory is freed before on_closed, which may be NULL, runs from the loop. */
void disc_close(struct disc *disc, void (*on_closed)(void *user), void *user);

#endif
