/* Shared by link.c, dialer.c and listener.c, and by nobody else. */
#ifndef MESH_LINK_INTERNAL_H
#define MESH_LINK_INTERNAL_H

#include "mesh/address.h"
#include "mesh/core/limits.h"
#include "mesh/link.h"
#include "mesh/socket.h"
#include "mesh/sources.h"
#include "wire/base/buf.h"
#include "wire/base/list.h"
#include "wire/base/table.h"

#define LINK_READ_BYTES (64u << 10)
/* How long a closed link may take to say its goodbye. */
#define LINK_LINGER_MS 1000u
#define LINK_FAR_MAX   256u

/* Messages that may wait for others leave when there are so many, or when so much time has passed;
 * the timer, which is coarse, is for the case that nothing happens any more. */
#define LINK_GATHER_MAX 64u
#define LINK_GATHER_NS  CORE_GATHER_WAIT_NS
#define LINK_GATHER_MS  (CORE_GATHER_WAIT_NS / 1000000)

/* Pacing looks back over so many slots at least, which are 250 ms, and further where a round trip
 * takes longer than half of that; up to 2 s. */
#define LINK_PACE_SLOT_NS   UINT64_C(31250000)
#define LINK_PACE_SLOTS_MIN 8u
#define LINK_PACE_SLOTS     64u
#define LINK_CHUNK_BYTES    (16u << 10)

enum link_state {
    LINK_RESOLVING,  /* dialled: the name is looked up; no socket yet */
    LINK_CONNECTING, /* dialled */
    LINK_HANDSHAKE,
    LINK_UP,
    LINK_LINGERING, /* the core knows it no more; the last bytes leave */
    LINK_CLOSED,    /* uv_close() was called; freed when the handles are */
};

/* A name that a thread of libuv asks a server for. Nothing ends that: it outlives its link. */
struct lookup;

struct meshd_link {
    struct meshd_links *links;
    struct list node;  /* in links->all */
    struct list dirty; /* in links->dirty while something waits to be flushed, in
                        * links->lazy while that may wait */
    uint32_t n_lazy;   /* messages that may, and since when */
    uint64_t lazy_ns;
    struct table_entry by_id; /* in links->up, while UP; key: id */
    uint64_t id;
    uint64_t dial; /* 0: accepted */
    enum link_state state;
    /* What a dial proves, until its session begins. */
    uint32_t older;
    bool has_invitation;
    struct wire_token invitation;
    struct wire_key peer; /* whom it must meet; zero: anybody */
    bool must_be_on_link;
    bool is_on_link;
    bool is_writing;    /* a uv_write holds `writing` */
    unsigned n_handles; /* open */
    uv_tcp_t tcp;
    uv_timer_t timer; /* handshake deadline, then linger */
    uv_write_t write_req;
    uv_connect_t connect_req;
    struct lookup *lookup; /* while LINK_RESOLVING */
    struct buf writing;    /* what the kernel did not take at once */
    struct wire_session *session;
    struct sockaddr_storage remote;
    struct meshd_source *source; /* of `remote`; NULL before that is known */
    struct list waiting;         /* in source->waiting: messages are left for its next turn */
    bool is_paused;              /* it is not read meanwhile */
    size_t bytes;                /* that it holds, as last accounted for */
    bool is_counted;             /* in source->n_accepted */
    /* Acknowledged bytes at the start of each slot of LINK_PACE_SLOT_NS. */
    uint64_t pace_acked[LINK_PACE_SLOTS];
    uint64_t pace_slot; /* number of the newest slot */
};

struct meshd_links {
    struct meshd_links_config config;
    struct list all; /* struct meshd_link.node */
    struct meshd_sources sources;
    struct list turns;   /* struct meshd_source.in_turn, next one first */
    struct list resting; /* the same: those that had their part of the processors */
    uv_timer_t rest;     /* until the first of them has rested enough */
    uint64_t turn;       /* number of the loop's turn */
    uint64_t spent_ns;   /* on messages, in this turn */
    struct list dirty;   /* struct meshd_link.dirty */
    struct list lazy;    /* the same: those whose messages may wait */
    uv_timer_t gather;   /* flushes them if nothing else does; runs while there are any */
    struct table up;     /* id -> link that the core knows */
    uint64_t next_id;
    unsigned n_links;
    unsigned n_accepted;   /* from others */
    unsigned n_handshakes; /* of these, not proved */
    unsigned n_handles;    /* of listeners, open */
    uv_tcp_t listeners[2];
    bool is_listening[2];
    bool is_accept_waiting[2]; /* libuv holds a connection that found no memory */
    uint16_t port;
    struct sockaddr_storage *far; /* owned: hosts that may connect from beyond this link */
    uint32_t n_far;
    void (*on_room)(void *user, uint64_t link);
    void *on_room_user;
    uint8_t *read_bytes; /* one for all: each read is consumed before the next */
    struct buf frame;    /* one for all */
    bool is_closing;
    void (*on_closed)(void *user);
    void *on_closed_user;
};

/* A link without a socket, its timer running out after timeout_ms. NULL when memory is short. */
struct meshd_link *link_new(struct meshd_links *links, uint64_t timeout_ms) MUST_CHECK;
/* The socket is connected: begins the session. */
void link_begin(struct meshd_link *link);
/* Ends it without a word more, telling the core in the form that its state calls for. */
void link_fail(struct meshd_link *link, int error, enum core_link_end end, enum wire_reason reason);
/* Closes it; the core is told nothing. */
void link_close(struct meshd_link *link);
/* The core knows it no more; what the session still holds (its goodbye) leaves, then it closes. */
void link_linger(struct meshd_link *link);
void link_tell_down(struct meshd_link *link, enum core_link_end end, enum wire_reason reason);
/* Something waits to be flushed. */
void link_mark_dirty(struct meshd_link *link);
/* The same, and may wait for more. */
void link_mark_lazy(struct meshd_link *link);
void link_flush(struct meshd_link *link);
/* Whether others are served first, because its source had its part. Its state is HANDSHAKE or UP.
 */
bool link_is_resting(const struct meshd_link *link, uint64_t now_ns);
/* Takes some of the messages that wait. */
void link_go_on(struct meshd_link *link);
/* It may hold more or less than before. False: it holds too much, and was closed. */
bool link_account(struct meshd_link *link);
/* Whether the local end of the connected socket is on an interface that may be used. */
bool link_is_interface_allowed(const struct meshd_link *link);
unsigned link_user_timeout_ms(const struct meshd_links *links);
void link_handle_closed(uv_handle_t *handle);
/* Calls on_closed and frees when nothing is open any more. */
void links_maybe_closed(struct meshd_links *links);

/* links.c */
bool links_is_far_allowed(const struct meshd_links *links, const struct sockaddr_storage *host);
void links_allow_far(struct meshd_links *links, const struct sockaddr_storage *host);

/* dialer.c */
/* Its link waits for it no more. It is freed when it is over. */
void lookup_drop(struct lookup *lookup);

/* listener.c */
/* A connection that could not be accepted for want of memory may be accepted now. */
void listener_retry(struct meshd_links *links);
void listener_close(struct meshd_links *links);
/* Takes connections from beyond this link, or no more. */
void listener_set_reach(struct meshd_links *links);

#endif
