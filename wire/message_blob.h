/* The messages that bring blobs from peer to peer, and that pass them between a client and its
 * daemon. Included by wire/message.h, where all messages are listed. */
#ifndef MESH_WIRE_MESSAGE_BLOB_H
#define MESH_WIRE_MESSAGE_BLOB_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/limits.h"
#include "wire/message_parts.h"

/* --- peer to peer ------------------------------------------------------------------------------
 */

struct wire_blob_want { /* send me this blob from here on */
    struct wire_hash hash;
    uint64_t offset;
    struct wire_key owner; /* of the result that it is of, when the receiver keeps that for a third
                            * peer: the owner's grant allows it. Zero: it is for the two of us */
    bool may_point;        /* the answer may be blob_from */
};

struct wire_blob_from { /* owner to executor, instead of the blob: ask this peer for it, in my name
                         */
    struct wire_hash hash;
    struct wire_key peer;
};

struct wire_blob_lend { /* owner to executor: this peer may have this blob, which you have from me
                         */
    struct wire_hash hash;
    struct wire_key peer;
};

struct wire_blob_had { /* executor to owner: I have it now, and others may be sent to me */
    struct wire_hash hash;
};

struct wire_blob_data { /* low priority, paced */
    struct wire_hash hash;
    uint64_t offset;
    uint64_t total; /* bytes of the whole blob */
    struct slice bytes;
};

struct wire_blob_refuse { /* it is not there, or not for you */
    struct wire_hash hash;
};

/* --- client and daemon -------------------------------------------------------------------------
 */

struct wire_put { /* client: bytes to be passed by reference; one descriptor. Answered by put_done.
                   * They are kept until the client's release or its end, and by tasks as long as
                   * these need them. Each put of the same bytes takes one release */
    uint64_t id;  /* the client's own, for the answer */
    struct wire_hash hash; /* filled in by the daemon */
    uint64_t bytes;
};

struct wire_put_done {
    uint64_t id;
    struct wire_hash hash; /* zero when it failed */
    uint64_t bytes;
    uint32_t error; /* enum wire_error; NONE: it is there */
    struct slice text;
};

struct wire_release { /* client: one put less of these bytes. Not answered */
    struct wire_hash hash;
};

struct wire_get { /* client: a blob that a done named, or this client put. Answered by got */
    struct wire_hash hash;
};

struct wire_got { /* daemon: one descriptor, unless there is an error */
    struct wire_hash hash;
    uint64_t bytes;
    uint32_t error; /* enum wire_error; UNAVAILABLE: they were lost */
    struct slice text;
};

struct wire_gone { /* daemon: bytes that a done left elsewhere were lost; they still take a release
                    */
    struct wire_hash hash;
};

#endif
