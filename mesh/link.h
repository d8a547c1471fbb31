/* TCP connections to other peers, each with a session: those we dialled, those we accepted, and the
 * listening sockets. Bytes move between sockets and sessions; what is said is the core's affair.
 *
 * A dialled connection: resolve the name (static peers only) -> connect -> handshake -> LINK_UP; or
 * DIAL_FAILED at any point before. An accepted one: handshake -> LINK_UP; when it fails before,
 * nobody is told, for nobody asked. Once up: MESSAGE for each message, until LINK_DOWN. A link that
 * is down is gone for the core; its goodbye may still be on its way, for at most a second.
 *
 * Open mesh: packets leave with TTL 255, and a link is up only if the other side's arrived with it:
 * a proof that no router lies between. Excepted are dials that the core allows to reach further
 * (--peer), and connections from the hosts that --peer names. A closed mesh takes connections from
 * anywhere: its secret keeps strangers out.
 *
 * The shell flushes once per turn of the loop, so that what was queued in a turn leaves in one
 * frame. */
#ifndef MESH_LINK_H
#define MESH_LINK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <uv.h>

#include "mesh/sink.h"
#include "wire/session.h"

/* Connections accepted and not proved yet: in all, and from one source. */
#define MESHD_HANDSHAKES_MAX        64u
#define MESHD_HANDSHAKES_SOURCE_MAX 8u
#define MESHD_HANDSHAKE_MS          5000u
/* Connections accepted: in all, and from one source (sources.h says what that is). Those that we
 * dial ourselves always find room beside them. */
#define MESHD_ACCEPTED_MAX        1024u
#define MESHD_ACCEPTED_SOURCE_MAX 64u
#define MESHD_LINKS_MAX           (MESHD_ACCEPTED_MAX + 1024u)
/* How long messages are taken in one turn of the loop: from one source before others are looked at,
 * and from all together. What is left is taken in the next turns, source by source. While this
 * host works for others, a source that had its part of the processors (sources.h) rests. */
#define MESHD_TURN_SOURCE_NS UINT64_C(500000)
#define MESHD_TURN_NS        UINT64_C(5000000)

struct meshd_links;

struct meshd_links_config {
    uv_loop_t *loop;
    struct meshd_sink sink;
    const struct wire_identity *identity; /* borrowed */
    const struct wire_door *door;         /* borrowed; see meshd_links_door_changed() */
    struct wire_hello hello;              /* its texts are borrowed for the links' life */
    uint64_t dead_after_ns;
    const char *const *interfaces; /* borrowed; n_interfaces 0: all */
    uint32_t n_interfaces;
    bool has_far_peers;    /* --peer is in use: see meshd_links_dial() */
    uint32_t n_processors; /* of this host, that it may use; see meshd_links_set_processors() */
    /* Whether this host works for others than that peer; zeros: one that is not proved yet. NULL:
     * it never does. */
    bool (*is_wanted)(void *user, const struct wire_key *key);
    void *is_wanted_user;
    /* How many names are being looked up: that may outlast the links. NULL: nobody asks. */
    uint32_t *n_lookups;
};

/* NULL when memory is short. */
struct meshd_links *meshd_links_new(const struct meshd_links_config *config) MUST_CHECK;
/* Closes everything without a word. on_closed is called from the loop once all handles are closed,
 * and the links are freed after it; no event is put any more. */
void meshd_links_close(struct meshd_links *links, void (*on_closed)(void *user), void *user);

/* Listens on IPv4 and IPv6, or on one numeric address. port 0: any. n_tries: how many ports are
 * tried when this one is taken. 0, or -errno with err set. */
int meshd_links_listen(struct meshd_links *links, const char *host, uint16_t port, unsigned n_tries,
                       struct errmsg *err) MUST_CHECK;
/* Where it listens; 0: nowhere yet. */
uint16_t meshd_links_port(const struct meshd_links *links);
/* Calls on_room from the loop, or out of a flush, when a link took all it was given: more bulk may
 * follow. */
void meshd_links_on_room(struct meshd_links *links, void (*on_room)(void *user, uint64_t link),
                         void *user);
/* What later hellos say. */
void meshd_links_set_cores(struct meshd_links *links, uint32_t cores);
/* How many processors there are from now on, one at least. */
void meshd_links_set_processors(struct meshd_links *links, uint32_t n_processors);
/* The owner has written another state into the door. Listening sockets take what comes from beyond
 * this link only in a closed mesh. is_renewed: its present secret is another than before; then no
 * handshake that began before comes to an end: DIAL_FAILED (-ECANCELED) for those that were
 * dialled. What is up stays: the core closes what it does not want. */
void meshd_links_door_changed(struct meshd_links *links, bool is_renewed);

/* The effects of the core. None puts an event before it returned to the loop, but through the sink
 * while effects are carried out. A link or dial that is gone already is no error. */
struct meshd_dial {
    uint64_t dial;        /* its number, not 0 */
    struct slice address; /* borrowed for the call */
    /* false: the host may be further away than this link, and may connect to us from there too,
     * from this dial on. */
    bool must_be_on_link;
    uint64_t timeout_ns;
    uint32_t older; /* as in wire_session_config; of the door as it is now */
    bool has_invitation;
    struct wire_token invitation;
    struct wire_key peer; /* zero: whoever answers */
};
void meshd_links_dial(struct meshd_links *links, const struct meshd_dial *dial);
void meshd_links_cancel_dial(struct meshd_links *links, uint64_t dial);
void meshd_links_send(struct meshd_links *links, uint64_t link, const struct wire_message *message);
/* The same of a message that may wait, two milliseconds, for others to share its frame. */
void meshd_links_send_lazily(struct meshd_links *links, uint64_t link,
                             const struct wire_message *message);
void meshd_links_close_link(struct meshd_links *links, uint64_t link, enum wire_reason reason,
                            struct slice text);

/* Low priority: leaves when nothing else waits. Give at most meshd_links_bulk_room() bytes. */
void meshd_links_send_bulk(struct meshd_links *links, uint64_t link,
                           const struct wire_message *message);
/* How much bulk the link may be given now: nothing while it holds anything unsent, and never so
 * much that more is unacknowledged than the link moved in the last 250 ms, or in two round trips
 * where those take longer, or one chunk. */
size_t meshd_links_bulk_room(struct meshd_links *links, uint64_t link);

/* The proved peer at the other end. False: no such link. */
bool meshd_links_peer(const struct meshd_links *links, uint64_t link, struct wire_key *ret_key);

/* Takes messages that were left over in earlier turns of the loop, from each source some. Call
 * first in each turn. True: it took some; the loop should turn again without waiting. */
bool meshd_links_go_on(struct meshd_links *links) MUST_CHECK;
/* Writes what is queued. Call once per turn of the loop. True: there is more to write and sockets
 * that take it; the loop should turn again without waiting. */
bool meshd_links_flush(struct meshd_links *links) MUST_CHECK;

#endif
