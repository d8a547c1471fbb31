/* What the core knows of blobs: which are needed here, whence they come, who else has them.
 * Included by core_internal.h, and only for mesh/core. */
#ifndef MESH_CORE_BLOB_STATE_H
#define MESH_CORE_BLOB_STATE_H

#ifndef MESH_CORE_INTERNAL_H
#error "include mesh/core/core_internal.h"
#endif

struct core_blob { /* something here needs this blob */
    struct table_entry by_hash;
    struct wire_hash hash;
    uint32_t n_refs;           /* fetches and holders */
    struct core_fetch *active; /* asked of the shell, not answered yet: one at a time */
    struct list fetches;       /* of core_fetch.of_blob */
    struct list holders;       /* of core_holder.of_blob, the last noted first */
    uint32_t n_holders;
    struct list readers; /* of core_reader.of_blob, in the order in which they asked */
};

/* A peer that was sent a task that reads the blob: as far as we know it is there, or on its way. A
 * hint for placing, no promise. */
struct core_holder {
    struct list of_blob, of_peer;
    struct core_blob *blob;
    struct core_peer *peer;
};

enum core_reader_state {
    CORE_READER_WAITING, /* asked, and is told more when another has it, or after a while */
    CORE_READER_SENT,    /* is sent it by us */
    CORE_READER_POINTED, /* was told to have it from `source` */
    CORE_READER_HAS,     /* said so */
};

/* A peer to which a large blob of ours goes, as long as it is needed here and the session stands.
 */
struct core_reader {
    struct list of_blob, of_peer;
    struct core_blob *blob;
    struct core_peer *peer;
    enum core_reader_state state;
    struct core_reader *source; /* POINTED: NULL once that is gone */
    uint32_t n_failed;          /* peers that were sent to it in vain */
    uint64_t offset;            /* WAITING: as it asked */
    struct core_timer timer;    /* WAITING */
};

/* At whom a blob is: its owner lets this peer have it from us. */
struct core_lend {
    struct list node;
    struct wire_hash hash;
    struct wire_key peer;
};

struct core_fetch { /* one blob from one peer */
    struct core_blob *blob;
    struct core_peer *peer;
    struct list of_blob, of_peer;
    struct list needs; /* of core_need.node */
    uint64_t bytes;
    uint64_t link;         /* over which it was asked */
    struct wire_key owner; /* of what the peer only keeps, and may give us; zero: it is its own */
    bool is_stored;
    bool is_direct; /* the peer was asked whom else to ask, and answered */
    bool is_moving; /* from the peer's link to that, when the shell has stopped */
    uint64_t via;   /* link of the peer that it named; 0: none */
    struct core_timer via_timer;
};

enum core_need_state { CORE_NEED_NONE, CORE_NEED_PENDING, CORE_NEED_MET };

struct core_need { /* one reason to have it */
    struct list node;
    struct core_fetch *fetch;
    enum core_need_state state;
    bool is_of_holder; /* asked of a peer that only keeps it: its owner may still have it */
    void *of;          /* whose need it is */
    /* error 0: met. -ENOENT: the peer has it not; -ENOSPC: no room here. The need is then dropped
     * already. */
    void (*on_done)(struct core *core, struct core_need *need, int error);
};

#endif
