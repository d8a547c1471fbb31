/* The name of a blob: the plain BLAKE2b-256 hash of its bytes, as `b2sum -l 256` prints it. */
#ifndef MESH_WIRE_BLOB_HASH_H
#define MESH_WIRE_BLOB_HASH_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/base/ensure.h"
#include "wire/base/slice.h"
#include "wire/message.h"

/* 64 hexadecimal digits and a NUL. */
#define WIRE_HASH_TEXT_BYTES 65

/* A hash being made; holds no other memory and may be copied or dropped at any time. */
struct wire_blob_hash {
    uint8_t state[384]; /* libsodium's, kept as bytes: it wants 64-byte alignment, owners do not */
};

void wire_blob_hash_init(struct wire_blob_hash *hash);
void wire_blob_hash_update(struct wire_blob_hash *hash, struct slice bytes);
/* The hash of all that was given; `hash` must be initialised again before its next use. */
void wire_blob_hash_final(struct wire_blob_hash *hash, struct wire_hash *ret_hash);

/* All at once. */
struct wire_hash wire_blob_hash(struct slice bytes);

const char *wire_hash_text(const struct wire_hash *hash, char to[static WIRE_HASH_TEXT_BYTES]);
/* 64 hexadecimal digits. 0 or -EINVAL. */
int wire_hash_parse(const char *text, struct wire_hash *ret_hash) MUST_CHECK;
bool wire_hash_is_zero(const struct wire_hash *hash);
bool wire_hash_eq(const struct wire_hash *a, const struct wire_hash *b);

#endif
