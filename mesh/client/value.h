/* The values of calls as bytes: msgpack, with ext types of our own for what msgpack has not.
 *
 * Arguments of a call, and what it returns, are each one msgpack array. Its items are nil, integer,
 * float 64, str, bin, or an ext of enum mesh_ext. Padding makes large items begin at a multiple of
 * MESH_ALIGN bytes, so that a function reads them in place; readers skip it.
 *
 *     arguments   [item...]; of a map's chunk: [CHUNK, bin of its elements, item...]
 *     result      [value, INOUT...]; of a chunk: [bin of its results, FAILURE...]
 *
 * Raw bytes carry their layout in the ext's type: a reader of another layout refuses them. */
#ifndef MESH_CLIENT_VALUE_H
#define MESH_CLIENT_VALUE_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/base/buf.h"
#include "wire/base/ensure.h"
#include "wire/base/slice.h"

#define MESH_ALIGN 16u
/* Items from this size on are aligned; smaller ones are copied. */
#define MESH_ALIGNED_BYTES 1024u

#define MESH_HEAD_BYTES  24u /* the most that stands before an item's bytes, padding included */
#define MESH_ARRAY_BYTES 5u  /* the array's own head, always of the long form */

enum mesh_ext {
    MESH_EXT_PAD = 0,
    MESH_EXT_INOUT = 1,
    MESH_EXT_REF = 2,     /* u32: the bytes of the call's blob of that index */
    MESH_EXT_RESULT = 3,  /* u32: the same, and the value is the first item of what is in there */
    MESH_EXT_FUTURE = 4,  /* u32: never travels: a result that is not there yet */
    MESH_EXT_CHUNK = 5,   /* struct mesh_chunk, as 3 numbers of 8 bytes */
    MESH_EXT_FAILURE = 6, /* u32 index of the element, u32 status, text */
    MESH_EXT_RAW = 16,    /* + layout */
};

struct mesh_chunk { /* elements of a map in one call */
    uint64_t n, in_bytes, out_bytes;
};

/* Of this machine: byte order and pointer size. At most 3. */
unsigned mesh_layout(void);

enum mesh_item_kind {
    MESH_ITEM_NIL,
    MESH_ITEM_INT,
    MESH_ITEM_DOUBLE,
    MESH_ITEM_STRING,
    MESH_ITEM_BYTES,
    MESH_ITEM_EXT,
};

struct mesh_item {
    enum mesh_item_kind kind;
    int ext; /* its type, of an EXT */
    int64_t integer;
    double real;
    struct slice bytes; /* of STRING, BYTES, EXT: borrowed from the body */
    size_t at, end;     /* where the item stands in the body, padding before it not included */
};

struct mesh_items { /* reads a body */
    struct slice body;
    size_t at;
    uint32_t n_left;
};

/* 0, or -EPROTO when it is no such array. */
int mesh_items_init(struct mesh_items *items, struct slice body) MUST_CHECK;
/* The next item but padding. 0; -ENODATA behind the last; -EPROTO. */
int mesh_items_next(struct mesh_items *items, struct mesh_item *ret_item) MUST_CHECK;
/* The number in an ext of 4 or more bytes; UINT32_MAX if there is none. */
uint32_t mesh_item_index(const struct mesh_item *item);
/* 0 or -EPROTO. */
int mesh_item_chunk(const struct mesh_item *item, struct mesh_chunk *ret_chunk) MUST_CHECK;

/* Whether a double holds it exactly. */
bool mesh_is_exact(int64_t integer);

/* Each appends one item, or the head of one. */
void mesh_pack_nil(struct buf *to);
void mesh_pack_int(struct buf *to, int64_t value);
void mesh_pack_double(struct buf *to, double value);
void mesh_pack_str_head(struct buf *to, uint32_t n_bytes);
void mesh_pack_bin_head(struct buf *to, uint32_t n_bytes);
void mesh_pack_ext_head(struct buf *to, int type, uint32_t n_bytes);
void mesh_pack_u32(struct buf *to, uint32_t value);
void mesh_pack_u64(struct buf *to, uint64_t value);
/* The array's head, 5 bytes. */
void mesh_put_array(uint8_t to[static MESH_ARRAY_BYTES], uint32_t n);
/* Padding such that what stands head_bytes further on begins aligned, if it stood at `at` now.
 * Nothing where that is so already: false. */
bool mesh_pack_pad(struct buf *to, uint64_t at, unsigned head_bytes);

#endif
