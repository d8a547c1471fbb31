/* The structures of named queues. Only for mesh/core; see queue.h. */
#ifndef MESH_CORE_QUEUE_STATE_H
#define MESH_CORE_QUEUE_STATE_H

/* Included by core_internal.h, behind timers, graves, needs and the base's lists and tables. */

#define CORE_QUEUE_NAME_BYTES (WIRE_NAME_BYTES_MAX + 1) /* zeros behind, so that it is a key */

/* --- at a queue's peer (queue.c, queue_recv.c, queue_blob.c, queue_kept.c) ---------------------
 */

struct core_queue_use { /* what items take, as they are counted */
    uint64_t bytes;     /* of memory */
    uint64_t blob_bytes;
};

/* Somebody who put something here: what must be known for a put that is said again. */
struct core_putter {
    struct table_entry by_key;
    struct wire_key key;
    uint64_t request;          /* of its last put that is on disk, */
    uint64_t pending;          /* and of the one that is on its way there */
    struct core_queue_use use; /* by its items */
    uint32_t n_items;
};

enum core_item_state {
    CORE_ITEM_NEW,     /* on its way to disk */
    CORE_ITEM_WAITING, /* nobody has it */
    CORE_ITEM_TAKEN,   /* handed out */
    CORE_ITEM_LEAVING, /* done; that is on its way to disk */
    CORE_ITEM_DONE,    /* only its hand is left, for a done that is said again */
};

struct core_item_blob { /* the bytes of a large item */
    struct wire_hash hash;
    uint64_t n_bytes;
    struct core_need need; /* of the item; until they are here */
    struct core_lot *lot;  /* that waits for them */
    bool is_here;
};

struct core_item {
    struct table_entry by_number; /* in core_queues.items */
    struct core_grave grave;
    struct core_queue *queue;
    struct core_putter *putter;
    struct core_taker *taker; /* TAKEN, LEAVING: who has it; NULL once it is gone */
    struct list in_queue;     /* in its lot, or in the queue's waiting, taken or done */
    uint64_t number;          /* never used again; also their order */
    uint64_t hand;            /* under which it was handed out last; 0: not in this life */
    uint64_t forgotten;       /* LEAVING: the one that makes room among those DONE; 0: none */
    enum core_item_state state;
    uint32_t n_bytes;
    uint8_t *bytes;              /* owned; NULL from LEAVING on */
    struct core_item_blob *blob; /* owned; NULL: the bytes are all of it */
};

struct core_lot { /* one put, on its way to disk */
    struct list node;
    struct core_queue *queue;
    struct core_putter *putter;
    uint64_t request;
    struct wire_key forgotten; /* not zero: a putter that made room for this one */
    uint32_t n_missing;        /* blobs that are still to come */
    struct list items;         /* of core_item.in_queue */
};

struct core_queue {
    struct table_entry by_name;
    struct core_grave grave;
    uint64_t id; /* never used again */
    uint32_t uid;
    bool is_kept; /* on disk: others are told of it */
    uint32_t n_waiting, n_taken, n_done, n_new;
    uint64_t n_finished; /* done in this life */
    struct core_queue_use use;
    struct list waiting, taken, done; /* of core_item.in_queue; taken: those LEAVING, too */
    struct list lots;                 /* of core_lot.node, in the order of their records; */
    struct list coming;               /* those that still lack a blob: nothing is said of them */
    struct list takers;               /* of core_taker.in_queue: those that wait */
    uint32_t n_takers;
    char name[CORE_QUEUE_NAME_BYTES];
};

struct core_taker_key {
    struct wire_key peer;
    uint64_t request;
};

struct core_taker { /* a get */
    struct table_entry by_key;
    struct core_taker_key key;
    struct core_peer *peer;
    struct list of_peer;
    struct core_queue *queue;
    struct list in_queue;   /* while it waits */
    struct core_item *item; /* that it has */
    bool is_seen;           /* named in the present session */
};

/* --- at a getter's or putter's peer (queue_ask.c, queue_where.c, queue_client.c) ---------------
 */

enum core_queue_ask_state {
    CORE_ASK_OPEN,    /* a put that was not said yet; a get that waits */
    CORE_ASK_SAID,    /* a put on its way */
    CORE_ASK_HOLDING, /* the client has the item */
    CORE_ASK_LATE,    /* the same, and somebody else may have it by now */
    CORE_ASK_DONE,    /* the client is done with it, and waits for the answer */
};

struct core_queue_ask { /* what a client wants of a queue */
    struct list node;   /* in core_queues.asks, in the order in which they came */
    struct core_grave grave;
    struct core_client *client; /* NULL: it left, and what was said is not answered yet */
    uint64_t id;                /* the client's own */
    uint64_t request;           /* 0: not said yet */
    struct table_entry by_request;
    enum core_queue_ask_state state;
    bool is_put;
    struct list posts; /* of core_post.of_ask; a put has one at most, as has what is beyond OPEN */
    uint64_t item, hand;
    struct wire_queue_bytes content; /* HOLDING and beyond: of an item that is a blob, */
    struct core_need need;           /* which comes; */
    bool is_told;                    /* and the client has it */
    struct core_timer gone_timer;    /* the one peer that knows is away */
    struct wire_queue_items items;
    void *block; /* owned: what the items point to */
    char name[CORE_QUEUE_NAME_BYTES];
    /* While peers are looked through for an OPEN put: */
    struct core_card *home; /* the best so far */
    bool is_awaited;        /* somebody who has it was here a moment ago */
};

struct core_post { /* an ask at a peer */
    struct list of_ask, of_peer;
    struct core_queue_ask *ask;
    struct core_peer *peer;
};

/* --- tables (queue_names.c) --------------------------------------------------------------------
 */

struct core_queue_look { /* a client that waits for the rows of all peers */
    struct list node;
    struct core_client *client;
    uint64_t request;
    struct core_timer timer;
    uint32_t n_awaited;
    struct arena arena; /* of what the rows point to */
    struct list answers;
};

struct core_queue_look_answer { /* of one peer; in the look's arena */
    struct list node;
    struct wire_key key;
    bool is_awaited, is_here;
    struct wire_queue_rows_list rows;
};

struct core_queues {
    struct table by_name, items, putters, takers; /* here */
    uint64_t next_item, next_hand, next_queue, next_request;
    struct core_queue_use use;
    bool is_holding; /* nothing is handed out: former getters speak first */
    bool is_due;     /* asks have to be looked at */
    bool are_names_changed;
    uint64_t names_bytes; /* of the names of others' queues */
    struct core_timer hold_timer, look_timer;
    struct list asks; /* of core_queue_ask.node */
    uint32_t n_asks;
    struct table by_request; /* of core_queue_ask.by_request */
    struct list looks;
};

#endif
