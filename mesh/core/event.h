/* Everything that can happen to the core. The shell (or the simulator) turns a fact into one of
 * these, calls core_step(), and carries the effects out.
 *
 * All pointers in an event are borrowed for the duration of core_step(). */
#ifndef MESH_CORE_EVENT_H
#define MESH_CORE_EVENT_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/message.h"

/* How a link ended, as far as the kernel or the session told. */
#define CORE_LINK_ENDS(X)                                                                          \
    X(CLOSED, "closed")      /* the other side closed or reset it, or said goodbye */              \
    X(SILENT, "silent")      /* unacknowledged data timed out, host or network unreachable */      \
    X(FAILED, "failed")      /* the session broke a rule; `reason` says which */                   \
    X(BY_US, "closed by us") /* an effect asked for it */

#define CORE_ENUM_LINK_END(name, text) CORE_LINK_END_##name,
enum core_link_end { CORE_LINK_ENDS(CORE_ENUM_LINK_END) };

enum core_source {
    CORE_SOURCE_MDNS,
    CORE_SOURCE_STATIC,     /* --peer: dialled for ever, and may be off-link */
    CORE_SOURCE_REMEMBERED, /* reached in an earlier life; the file of known peers */
};

#define CORE_EVENTS(X)                                                                             \
    X(TICK, "tick")               /* time passed: core_next_deadline() is due */                   \
    X(PEER_FOUND, "peer found")   /* discovery reports addresses of a peer */                      \
    X(PEER_LOST, "peer lost")     /* discovery's last report of it is gone */                      \
    X(PEER_CLONED, "peer cloned") /* discovery: another machine announces our key */               \
    X(DIAL_FAILED, "dial failed") /* a dial never became a link */                                 \
    X(LINK_UP, "link up")         /* a session is proved */                                        \
    X(LINK_DOWN, "link down")     /* a link that was up is gone */                                 \
    X(MESSAGE, "message")         /* from a peer, over a link that is up */                        \
    X(CLIENT_UP, "client up")     /* a local client connected */                                   \
    X(CLIENT_DOWN, "client down") /* and left */                                                   \
    X(CLIENT_MESSAGE, "client message")                                                            \
    X(ATTEMPT_STARTED, "attempt started") /* its program runs */                                   \
    X(ATTEMPT_STREAM, "attempt stream")   /* output of a streamed attempt */                       \
    X(ATTEMPT_ENDED, "attempt ended")     /* its program ended, or was killed */                   \
    X(ATTEMPT_REFUSED, "attempt refused") /* it could not be started here */                       \
    X(BLOB_STORED, "blob stored")         /* a fetched blob is whole and its hash was right */     \
    X(BLOB_FAILED, "blob failed")         /* it cannot be had over that link, or not kept */       \
    X(BLOB_MOVING, "blob moving")         /* one that takes long has come so far */                \
    X(CORES, "cores")                     /* the effective processors changed */                   \
    X(ADDRESS, "address")                 /* our own, as others most likely reach us now */        \
    X(STOP, "stop")                       /* the daemon is asked to end */                         \
    X(JOURNALED, "journaled")             /* records are on disk, or could not be written */       \
    X(JOURNAL_JOB, "journal job")         /* at start: a job on disk that has not ended */         \
    X(JOURNAL_TASKS, "journal tasks")     /* its tasks without result, as far as asked for */      \
    X(JOURNAL_QUEUE, "journal queue")     /* at start: a queue on disk */                          \
    X(JOURNAL_ITEMS, "journal items")     /* behind it: all its items, in one piece or several */  \
    X(JOURNAL_PUTTER, "journal putter")   /* at start: somebody's last put that is on disk */      \
    X(JOURNAL_END, "journal end")         /* at start: that was all */                             \
    X(JOURNAL_LOOKED, "journal looked")   /* what is on disk of a job */                           \
    X(JOURNAL_LISTED, "journal listed")   /* jobs that ended */                                    \
    X(TRUST_KEPT, "trust kept")           /* the state of trust is on disk, or could not be */     \
    X(DRAWN, "drawn")                     /* random bytes that were asked for */

#define CORE_ENUM_EVENT(name, text) CORE_EVENT_##name,
enum core_event_type { CORE_EVENTS(CORE_ENUM_EVENT) };

struct core_kept_item { /* of a queue, on disk */
    uint64_t number;
    uint64_t hand; /* not zero: it is done, under this one, and has no bytes */
    struct wire_key putter;
    struct wire_queue_bytes content;
};

struct core_event {
    enum core_event_type type;
    uint64_t now_ns; /* CLOCK_BOOTTIME of this host, never going back: time asleep counts */
    union {
        struct {
            bool has_key; /* false for --peer, whose key shows at the handshake */
            struct wire_key key;
            enum core_source source;
            struct wire_slices
                addresses;            /* "HOST:PORT" numeric, "[fe80::1%eth0]:PORT"; all that are
                                       * known now, replacing what this source said before */
            struct slice static_name; /* of a static peer: as the user wrote it; else empty */
        } peer_found;
        struct {
            struct wire_key key;
        } peer_lost;
        struct {
            struct slice text; /* who or what, for people */
        } peer_cloned;
        struct {
            uint64_t dial;           /* of the dial effect */
            int error;               /* negative errno: -ECONNREFUSED, -ETIMEDOUT, -EPROTO, ... */
            enum wire_reason reason; /* when the peer or its session said why */
            bool has_key;            /* the other side's hello was seen (not proved) */
            struct wire_key key;
        } dial_failed;
        struct {
            uint64_t link; /* never used before */
            uint64_t dial; /* 0: the peer dialled us */
            struct wire_key key;
            uint64_t epoch;
            uint32_t incarnation;
            uint32_t protocol; /* the version both speak */
            uint32_t cores;
            struct slice name, arch, os, program;
            struct slice address; /* where it can be dialled: its address and listening port */
            bool is_on_link;      /* proved to be one hop away */
            enum wire_door_kind door;
            struct wire_token token; /* of the invitation, when the door is that; else zero */
        } link_up;
        struct {
            uint64_t link;
            enum core_link_end end;
            enum wire_reason reason;
        } link_down;
        struct {
            uint64_t link;
            const struct wire_message *message;
        } message;
        struct {
            uint64_t client;    /* never used before */
            uint32_t uid;       /* as the kernel says */
            bool is_privileged; /* root or the daemon's own user */
        } client_up;
        struct {
            uint64_t client;
        } client_down;
        struct {
            uint64_t client;
            const struct wire_message *message; /* files of a submit, input of a task: stored, with
                                                 * hash and bytes filled in */
        } client_message;
        struct {
            struct wire_key owner;
            struct wire_attempt_id id;
        } attempt_started;
        struct {
            struct wire_key owner;
            struct wire_stream_data data;
        } attempt_stream;
        struct {
            struct wire_key owner;
            struct wire_attempt_id id;
            struct wire_result result; /* outputs over the inline limit are stored as blobs */
            bool is_cell_usable;       /* false: the cell is gone, do not use its number again */
        } attempt_ended;
        struct {
            struct wire_key owner;
            struct wire_attempt_id id;
            enum wire_refusal refusal;
            struct slice text;
            bool is_cell_usable;
        } attempt_refused;
        struct {
            struct wire_hash hash;
        } blob_stored;
        struct {
            struct wire_hash hash;
            bool is_ours; /* no disk or memory here; else the peer has it not or sent it wrong */
        } blob_failed;
        struct {
            uint64_t link;
            struct wire_hash hash;
            uint64_t n_moved, n_bytes; /* of so many */
            bool is_in;                /* it comes; else it goes */
        } blob_moving;
        struct {
            uint32_t cores;
        } cores;
        struct {
            struct slice text; /* as core_config.address */
        } address;
        struct {
            uint64_t number; /* records up to this one are on disk, for good */
            /* 0, or negative errno: no later record that was said before this event is kept, nor
             * will be; the core says again, under new numbers, what is still to be said.
             * -EBADMSG: nothing is that was there before, either; the journal is empty now. */
            int error;
        } journaled;
        struct {
            uint64_t job;
            uint32_t uid;
            const struct wire_submit *submit;        /* of its JOB record */
            uint64_t age_ns;                         /* since that record was said */
            bool is_complete, is_cancelled;          /* there is a COMPLETE, a CANCEL record */
            uint32_t n_tasks;                        /* TASK records */
            uint32_t n_results, n_succeeded, n_lost; /* RESULT records, and what these say */
        } journal_job;
        struct {
            uint64_t job;
            const struct wire_add_task *items; /* by number, the gaps have results */
            uint32_t n;
            int error; /* 0, or negative errno: they could not be read; asked for again later */
        } journal_tasks;
        struct {
            uint64_t look; /* of the effect */
            int error;     /* 0; -ENOENT: no such job; -errno. Then that is all */
            uint32_t uid;
            const struct wire_submit *submit; /* of its JOB record */
            bool is_complete, is_cancelled;   /* there is a COMPLETE, a CANCEL record */
            bool is_over;                     /* there is an OVER record: */
            struct wire_job_done over;        /* this one */
            const struct wire_done *results;
            const struct wire_add_task *tasks; /* of these results; NULL: not asked for */
            uint32_t n;
            uint64_t last; /* number of the last one, in their order; `after` when there are none */
        } journal_looked;
        struct {
            uint64_t look;
            int error;
            const struct wire_job_row *rows; /* the last one first; their state is the core's */
            uint32_t n;
        } journal_listed;
        struct {
            uint64_t queue;
            uint32_t uid;
            struct slice name;
        } journal_queue;
        struct {
            uint64_t queue;
            const struct core_kept_item *items; /* by number */
            uint32_t n;
        } journal_items;
        struct {
            struct wire_key key;
            uint64_t request;
        } journal_putter;
        struct {
            uint64_t number; /* of the effect */
            int error;       /* 0: on disk, for good. Else negative errno: what was there stays */
        } trust_kept;
        struct {
            uint8_t bytes[WIRE_SECRET_BYTES];
        } drawn;
    };
};

#endif
