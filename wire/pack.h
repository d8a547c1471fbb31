/* Writing msgpack: thin names over msgpack-c's packer, onto a struct buf.
 *
 * Nothing here fails by itself: the buffer's sticky error says at the end whether all of it fitted.
 * Every value takes its shortest form, so that equal values give equal bytes. */
#ifndef MESH_WIRE_PACK_H
#define MESH_WIRE_PACK_H

#include <stdbool.h>
#include <stdint.h>

#include "wire/base/buf.h"
#include "wire/base/slice.h"

/* The header of an array; its n elements follow through further calls. */
void wire_pack_array(struct buf *to, uint32_t n);
void wire_pack_uint(struct buf *to, uint64_t v);
void wire_pack_bool(struct buf *to, bool v);
/* Text; the caller vouches for UTF-8. At most UINT32_MAX bytes. */
void wire_pack_str(struct buf *to, struct slice s);
void wire_pack_bin(struct buf *to, struct slice s);

#endif
