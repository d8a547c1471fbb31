/* Reading msgpack from strangers: a pull reader over a borrowed slice.
 *
 * The caller says what it expects next; anything else sets a sticky error, after which every call
 * returns zero and moves nothing. So one may read a whole structure and look once, as long as
 * nothing is allocated or looped over in between. No count is believed before it was held against
 * the bytes that are left, and nothing here allocates or recurses.
 *
 * Integers are taken in any width msgpack has, as long as they are not negative. */
#ifndef MESH_WIRE_UNPACK_H
#define MESH_WIRE_UNPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/base/ensure.h"
#include "wire/base/slice.h"
#include "wire/limits.h"

struct wire_unpack {
    const uint8_t *p;   /* next byte */
    const uint8_t *end; /* behind the last */
    unsigned depth;     /* arrays begun and not ended; at most WIRE_DEPTH_MAX */
    const char *fault;  /* what was wrong, a static text; NULL: nothing so far */
};

/* `depth`: how many arrays already enclose these bytes. */
void wire_unpack_init(struct wire_unpack *from, struct slice bytes, unsigned depth);

/* 0 or -EPROTO. */
int wire_unpack_error(const struct wire_unpack *from) MUST_CHECK;
/* Sets the sticky error, if none is set yet: for callers that find a value to be off. */
void wire_unpack_fail(struct wire_unpack *from, const char *fault);
/* What has not been read yet. */
struct slice wire_unpack_rest(const struct wire_unpack *from);

uint64_t wire_unpack_uint(struct wire_unpack *from, uint64_t max);
bool wire_unpack_bool(struct wire_unpack *from);
/* Borrowed from the bytes given at init. Whether it is UTF-8 is the caller's to check. */
struct slice wire_unpack_str(struct wire_unpack *from, size_t bytes_max);
struct slice wire_unpack_bin(struct wire_unpack *from, size_t bytes_max);
/* A bin of exactly n_bytes; `to` is left alone on an error. */
void wire_unpack_fixed(struct wire_unpack *from, uint8_t *to, size_t n_bytes);

/* Begins an array: how many elements it claims, at most n_max, each of which takes at least
 * item_bytes_min (1 or more) of the bytes left. 0 on an error. */
uint32_t wire_unpack_array_begin(struct wire_unpack *from, uint32_t n_max, size_t item_bytes_min);
/* Ends it, skipping the n_left elements that were not read. */
void wire_unpack_array_end(struct wire_unpack *from, uint32_t n_left);

/* Skips one value of any kind, whatever it holds, within WIRE_DEPTH_MAX. */
void wire_unpack_skip(struct wire_unpack *from);

#endif
