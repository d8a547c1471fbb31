/* The smallest parts of messages: keys, hashes, secrets, lists of texts. Included by
 * wire/message.h. */
#ifndef MESH_WIRE_MESSAGE_PARTS_H
#define MESH_WIRE_MESSAGE_PARTS_H

#include <stdint.h>

#include "wire/base/slice.h"

#define WIRE_KEY_BYTES    32
#define WIRE_HASH_BYTES   32
#define WIRE_SECRET_BYTES 32
#define WIRE_TOKEN_BYTES  16

struct wire_key {
    uint8_t b[WIRE_KEY_BYTES]; /* Ed25519 public key: who a peer is */
};

struct wire_hash {
    uint8_t b[WIRE_HASH_BYTES]; /* BLAKE2b-256: the name of a blob */
};

struct wire_secret {
    uint8_t b[WIRE_SECRET_BYTES]; /* of a closed mesh; never printed, never on the wire in clear */
};

struct wire_token {
    uint8_t b[WIRE_TOKEN_BYTES]; /* of an invitation; never printed, never on the wire in clear */
};

struct wire_slices { /* an array of texts or byte strings */
    const struct slice *items;
    uint32_t n;
};

#endif
