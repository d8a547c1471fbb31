/* The messages of named queues. Included by wire/message.h, where all messages are listed.
 *
 * Between peers a `request` is a number of the asking daemon, which grows with each that it asks
 * for and is never used again, not even by a later life of it; between client and daemon an `id` is
 * a number of the client's. See wire/README.md, Queues. */
#ifndef MESH_WIRE_MESSAGE_QUEUE_H
#define MESH_WIRE_MESSAGE_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/limits.h"
#include "wire/message_parts.h"

/* Whether a queue may have this name: printable UTF-8 without a slash, 1 to
 * WIRE_NAME_BYTES_MAX bytes. */
bool wire_queue_name_is_good(struct slice name);

/* --- parts -------------------------------------------------------------------------------------
 */

struct wire_queue_bytes { /* what is in an item: */
    struct slice bytes;   /* these, WIRE_ITEM_BYTES_MAX; or, */
    struct wire_hash
        hash;            /* if blob_bytes is not zero, this blob: of queue_add a descriptor, and */
    uint64_t blob_bytes; /* the daemon fills in both. WIRE_ITEM_BLOB_BYTES_MAX */
};

struct wire_queue_items { /* WIRE_PUT_BYTES_MAX in all, and WIRE_PUT_BLOBS_MAX blobs */
    const struct wire_queue_bytes *items;
    uint32_t n;
};

struct wire_queue_row { /* how a queue stands */
    struct slice name;
    uint64_t n_waiting; /* items that nobody has */
    uint64_t n_taken;   /* handed out, and neither done nor given back */
    uint32_t n_getters; /* gets that wait */
    uint64_t bytes;     /* of all its items */
    bool is_known;      /* these numbers: else its peer did not answer in time */
    struct wire_key key;
    struct slice peer; /* whose it is: name and key; between peers the sender's, and left out */
    uint64_t n_done;   /* items that were done, since its peer's daemon began */
};

struct wire_queue_rows_list {
    const struct wire_queue_row *items;
    uint32_t n;
};

/* --- peer to peer ------------------------------------------------------------------------------
 */

struct wire_queue_put { /* all of these items behind the others, or none. Answered by queue_answer
                         * once they are on disk. The next put of the same peer follows that answer;
                         * until it came, the same one is said again in each new session */
    uint64_t request;
    struct slice name;
    struct wire_queue_items items;
};

struct wire_queue_get { /* one item, as soon as there is one: queue_item. Or queue_answer: there is
                         * no such queue (any more). Said again in each new session */
    uint64_t request;
    struct slice name;
    uint64_t item, hand; /* not zero: this one was handed out for that request already */
};

struct wire_queue_item {
    uint64_t request;
    uint64_t item; /* its number */
    uint64_t hand; /* the number of this handing out; 1 and up */
    struct wire_queue_bytes content;
};

struct wire_queue_done { /* the request is over. Done: answered by queue_answer once that is on
                          * disk, or with an error if the item is somebody else's by now; until then
                          * it is said again in each new session. Else given back, and not answered
                          */
    uint64_t request;
    uint64_t item, hand; /* zero: nothing was handed out yet */
    bool is_done;
};

struct wire_queue_answer {
    uint64_t request;
    uint32_t error; /* enum wire_error */
    struct slice text;
};

struct wire_queue_all { /* the gets of the sender that still hold were said, in this session: what
                         * the receiver knows besides is over, and its items are taken back */
    uint32_t unused;
};

struct wire_queue_query { /* answered by queue_rows */
    uint64_t request;
};

struct wire_queue_rows {
    uint64_t request;
    struct wire_queue_rows_list rows;
};

/* --- client and daemon -------------------------------------------------------------------------
 */

struct wire_queue_add { /* client: put. Answered by queue_reply */
    uint64_t id;
    struct slice name;
    struct wire_queue_items items;
};

struct wire_queue_take { /* client: get. Answered by queue_taken, once there is an item; or by
                          * queue_reply */
    uint64_t id;
    struct slice name;
};

struct wire_queue_taken { /* a descriptor of the blob, if it is one */
    uint64_t id;
    struct wire_queue_bytes content;
};

struct wire_queue_end { /* client: what was taken is done, or given back; or nothing was, and it
                         * waits no longer. Answered by queue_reply */
    uint64_t id;
    bool is_done;
};

struct wire_queue_reply { /* daemon: an add or a take is over */
    uint64_t id;
    uint32_t error; /* enum wire_error; UNKNOWN: the item was handed out again meanwhile */
    struct slice text;
};

struct wire_queue_remove { /* client: a queue of this very peer and all its items; for who made it,
                            * and root. Answered by ok or error */
    struct slice name;
};

struct wire_queues_query { /* client: answered by queues_list */
    uint32_t unused;
};

struct wire_queues_list { /* daemon: of all peers in sight */
    struct wire_queue_rows_list rows;
};

#endif
