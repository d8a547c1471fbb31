/* Everything the core can ask for. The shell (or the simulator) carries the effects of a step out
 * in their order, after the step; none of them calls back into the core.
 *
 * All pointers of an effect point into the batch's arena or into the core, and are valid until the
 * next core_step() of that core, which clears the batch at its start, or core_free(). */
#ifndef MESH_CORE_EFFECT_H
#define MESH_CORE_EFFECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mesh/core/trust_state.h"
#include "wire/base/arena.h"
#include "wire/message.h"

/* Of the text that tells where an owner comes from, zeros behind. */
#define CORE_ORIGIN_BYTES (WIRE_ADDRESS_BYTES_MAX + 1)

#define CORE_EFFECTS(X)                                                                            \
    X(SEND, "send")                   /* a message to a peer */                                    \
    X(CLOSE_LINK, "close link")       /* say goodbye and close; LINK_DOWN(BY_US) follows */        \
    X(DIAL, "dial")                   /* LINK_UP or DIAL_FAILED follows */                         \
    X(CANCEL_DIAL, "cancel dial")     /* nothing follows */                                        \
    X(CLIENT_SEND, "client send")     /* a message to a client */                                  \
    X(CLIENT_CLOSE, "client close")   /* after what was sent; CLIENT_DOWN does not follow */       \
    X(START, "start")                 /* run an attempt in a cell; ATTEMPT_* follow */             \
    X(KILL, "kill")                   /* end it; ATTEMPT_ENDED follows with this end */            \
    X(PAUSE, "pause")                 /* all its processes stand still, or go on */                \
    X(STREAM_WINDOW, "stream window") /* a streamed attempt may send up to here + window */        \
    X(RENEW, "renew")                 /* the leases of an owner's running attempts */              \
    X(CELL_CLOSE, "cell close")       /* nothing runs in it; nothing follows */                    \
    X(BLOB_FETCH, "blob fetch")       /* ask a peer for a blob; BLOB_STORED or _FAILED follows */  \
    X(BLOB_STOP, "blob stop")         /* give a fetch up: BLOB_FAILED, if it is under way */       \
    X(BLOB_SERVE, "blob serve")       /* send a blob to a peer that may have it */                 \
    X(BLOB_RELEASE, "blob release")   /* the core needs it no more: it may be evicted */           \
    X(REMEMBER, "remember")           /* keep a proved peer's address for later lives */           \
    X(ADVERTISE, "advertise")         /* put the offered cores into the announcement */            \
    X(JOURNAL, "journal")             /* write a record; JOURNALED follows */                      \
    X(JOURNAL_READ, "journal read")   /* tasks without result; JOURNAL_TASKS follows */            \
    X(JOURNAL_LOOK, "journal look")   /* a job and results of it; JOURNAL_LOOKED follows */        \
    X(JOURNAL_LIST, "journal list")   /* jobs that ended; JOURNAL_LISTED follows */                \
    X(TRUST, "trust")                 /* who may have sessions; TRUST_KEPT may follow */           \
    X(DRAW, "draw")                   /* random bytes, please; DRAWN follows */                    \
    X(LOG, "log")                     /* a line for the daemon's log */                            \
    X(EXIT, "exit")                   /* all is said and done: end the daemon */

#define CORE_ENUM_EFFECT(name, text) CORE_EFFECT_##name,
enum core_effect_type { CORE_EFFECTS(CORE_ENUM_EFFECT) };

enum core_log_level { CORE_LOG_ERROR, CORE_LOG_WARN, CORE_LOG_INFO, CORE_LOG_DEBUG };

/* What is kept of a detached job, each on its own. A record names blobs (the files of JOB, the
 * input and the refs of TASK, the output and the files of RESULT); the shell keeps these until the
 * job's FORGET, whatever BLOB_RELEASE says. */
#define CORE_RECORDS(X)                                                                            \
    X(JOB, "job")                                                                                  \
    X(TASK, "task")                                                                                \
    X(COMPLETE, "complete")     /* all its tasks were said: it is accepted */                      \
    X(RESULT, "result")         /* the one result of a task */                                     \
    X(CANCEL, "cancel")         /* no task of it that has no result shall run */                   \
    X(OVER, "over")             /* it has ended: not to be told of at the next start */            \
    X(FORGET, "forget")         /* all of it may go; also for a job of which nothing is known */   \
    X(QUEUE, "queue")           /* one was made. In this and the next three `job` is its number */ \
    X(QUEUE_PUT, "queue put")   /* items behind those that are there */                            \
    X(QUEUE_DONE, "queue done") /* of an item; its bytes may go */                                 \
    X(QUEUE_REMOVED, "queue removed") /* all of it may go */

#define CORE_ENUM_RECORD(name, text) CORE_RECORD_##name,
enum core_record_type { CORE_RECORDS(CORE_ENUM_RECORD) };

struct core_record {
    enum core_record_type type;
    uint64_t number; /* 1, 2, 3, ... of this life; on disk in this order, a later never without an
                      * earlier one */
    uint64_t job;
    union {
        struct {
            uint32_t uid;
            struct wire_submit submit; /* as it holds: with defaults filled in */
        } job_record;
        struct wire_add_task task;
        struct {
            uint32_t n_tasks;
        } complete;
        struct {
            struct wire_done done;
            bool is_success; /* exit status 0 */
            bool is_lost;    /* without an end of its own */
        } result;
        struct wire_job_done over;
        struct {
            uint32_t uid;
            struct slice name;
        } queue;
        struct {
            uint32_t uid; /* as in queue, which may be lost with a journal that was corrupt */
            struct slice name;
            uint64_t first; /* number of the first item; the others follow by one */
            struct wire_queue_items items;
            struct wire_key putter;
            uint64_t request;          /* to be kept as this putter's last, whatever its queue */
            struct wire_key forgotten; /* not zero: the putter whose last one makes room */
        } queue_put;
        struct {
            uint64_t item, hand; /* the hand is kept in place of the bytes */
            uint64_t forgotten;  /* not zero: an item done before, of which nothing stays */
        } queue_done;
    };
};

struct core_effect {
    enum core_effect_type type;
    union {
        struct {
            uint64_t link;
            bool may_wait; /* a moment, for others to share its frame */
            struct wire_message message;
        } send;
        struct {
            uint64_t link;
            enum wire_reason reason;
            struct slice text;
        } close_link;
        struct {
            uint64_t dial;        /* never used before */
            struct slice address; /* "HOST:PORT", numeric; a static peer's may be a name */
            bool must_be_on_link; /* use and require TTL 255 */
            uint64_t timeout_ns;  /* for connect and handshake together */
            /* What it is proved with, if the mesh is closed: the present secret; or, counted from
             * 1, that one of the older ones in the last TRUST (or the config): LINK_UP then says
             * OLDER; or the token. Once it is up, the door is looked at no more. */
            uint32_t older;
            bool has_invitation;
            struct wire_token token;
            /* Not zero: another key at the other end is a failure: -EPROTO, reason NONE, with that
             * key. */
            struct wire_key key;
        } dial;
        struct {
            uint64_t dial;
        } cancel_dial;
        struct {
            uint64_t client;
            /* A done's blobs: attach a descriptor for each. An invitation's addresses: put in all
             * that this host listens at, for the core knows one at most. */
            struct wire_message message;
        } client_send;
        struct {
            uint64_t client;
        } client_close;
        struct {
            struct wire_key owner;
            bool is_own;        /* the owner is this very peer: may run without a sandbox */
            const char *origin; /* CORE_ORIGIN_BYTES: owners with the same one share as one */
            uint64_t cell;      /* a number chosen by the core; a new one makes a new cell */
            struct wire_attempt_id id;
            uint64_t job;
            const struct wire_job_spec *spec; /* its files are stored */
            struct wire_slices argv;
            bool has_input; /* stored */
            struct wire_hash input;
            struct slice args;     /* of a call, when spec->is_call and there is no input */
            struct wire_refs refs; /* stored, each of them */
            struct wire_task_files files;
            struct wire_slices returns;
            struct slice workdir;
        } start;
        struct {
            struct wire_key owner;
            struct wire_attempt_id id;
            enum wire_end end; /* TIMEOUT, CANCELLED or LEASE: what ATTEMPT_ENDED shall say */
        } kill;
        struct {
            struct wire_key owner;
            struct wire_attempt_id id;
            bool is_paused;
        } pause;
        struct {
            struct wire_key owner;
            struct wire_stream_ack ack;
        } stream_window;
        struct {
            struct wire_key owner;
        } renew;
        struct {
            uint64_t cell;
        } cell_close;
        struct {
            uint64_t link;
            struct wire_hash hash;
            uint64_t bytes; /* as announced; more is refused */
            /* Zero, or a third peer's, for which that one keeps the blob: to be asked for in its
             * name, and what is here may be used if the third one may use it. */
            struct wire_key owner;
            bool may_point; /* as in blob_want */
        } blob_fetch;
        struct {
            struct wire_hash hash;
        } blob_stop;
        struct {
            uint64_t link;
            struct wire_hash hash;
            uint64_t offset;
        } blob_serve;
        struct {
            struct wire_hash hash;
        } blob_release;
        struct {
            struct wire_key key;
            struct slice address;
            struct slice name;
        } remember;
        struct {
            uint32_t cores;
        } advertise;
        struct core_record journal;
        struct {
            uint64_t job;
            /* At most n tasks without result, by number, from this one on; fewer, but not none,
             * once their arguments take that many bytes. */
            uint32_t first, n;
            uint64_t bytes;
        } journal_read;
        struct {
            uint64_t look; /* 1, 2, 3, ... of this life */
            uint64_t job;
            /* At most n of its results, in the order in which they came to disk, behind number
             * `after` of that order, of one task only unless that is 0; fewer, but not none, once
             * they take that many bytes. */
            uint64_t after;
            uint32_t task, n;
            uint64_t bytes;
            bool has_tasks; /* the tasks, too, as they were added */
        } journal_look;
        struct {
            uint64_t look;
            uint32_t n; /* at most; the last ones */
        } journal_list;
        struct {
            uint64_t number; /* 1, 2, 3, ... of this life */
            /* The whole of it, replacing what was said before: first the door (announced tag, rule
             * of hops, and who is let in), then, when it must be kept, the disk; TRUST_KEPT
             * follows, in the order of the numbers. Where the present secret is another than
             * before, handshakes that are not up yet are ended: no LINK_UP says a door of before.
             */
            const struct core_trust_state *state;
            bool must_keep;
        } trust;
        struct {
            enum core_log_level level;
            struct slice text;
        } log;
        struct {
            int status; /* of the process */
        } exit;
    };
};

/* A batch: what one step asks for. Owned by the caller of core_step(), reused from step to step. */
struct core_effects {
    struct core_effect *items; /* owned */
    size_t n;
    size_t cap;
    struct arena arena;
};

void core_effects_init(struct core_effects *effects);
void core_effects_done(struct core_effects *effects);

#endif
