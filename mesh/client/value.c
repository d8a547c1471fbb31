#include "mesh/client/value.h"

#include <errno.h>
#include <string.h>

enum {
    NIL = 0xc0,
    BIN8 = 0xc4,
    BIN16 = 0xc5,
    BIN32 = 0xc6,
    EXT8 = 0xc7,
    EXT16 = 0xc8,
    EXT32 = 0xc9,
    FLOAT32 = 0xca,
    FLOAT64 = 0xcb,
    UINT8 = 0xcc,
    INT8 = 0xd0,
    FIXEXT1 = 0xd4,
    STR8 = 0xd9,
    STR32 = 0xdb,
    ARRAY16 = 0xdc,
    ARRAY32 = 0xdd,
};

unsigned mesh_layout(void)
{
    const uint16_t probe = 1;
    uint8_t first;
    memcpy(&first, &probe, 1);
    return (first == 1 ? 0u : 1u) | (sizeof(void *) == 8 ? 0u : 2u);
}

bool mesh_is_exact(int64_t integer)
{
    /* -2^63 is one; what rounds up to 2^63 may not be turned back. */
    double real = (double)integer;
    return real < 9223372036854775808.0 && (int64_t)real == integer;
}

/* --- writing -----------------------------------------------------------------------------------
 */

static void pack_number(struct buf *to, uint8_t tag, uint64_t value, unsigned n_bytes)
{
    uint8_t bytes[9] = {tag};
    for (unsigned i = 0; i < n_bytes; i++) {
        bytes[1 + i] = (uint8_t)(value >> (8 * (n_bytes - 1 - i)));
    }
    buf_append(to, bytes, 1 + n_bytes);
}

void mesh_pack_nil(struct buf *to)
{
    buf_append_u8(to, NIL);
}

void mesh_pack_int(struct buf *to, int64_t value)
{
    if (value >= -32 && value <= 127) {
        buf_append_u8(to, (uint8_t)value);
    } else if (value >= INT8_MIN && value <= INT8_MAX) {
        pack_number(to, INT8, (uint64_t)value, 1);
    } else if (value >= INT16_MIN && value <= INT16_MAX) {
        pack_number(to, INT8 + 1, (uint64_t)value, 2);
    } else if (value >= INT32_MIN && value <= INT32_MAX) {
        pack_number(to, INT8 + 2, (uint64_t)value, 4);
    } else {
        pack_number(to, INT8 + 3, (uint64_t)value, 8);
    }
}

void mesh_pack_double(struct buf *to, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    pack_number(to, FLOAT64, bits, 8);
}

/* The head of a str, a bin or an ext, whose long forms are three tags in a row. */
static void pack_head(struct buf *to, uint8_t tag, uint32_t n_bytes)
{
    unsigned width = n_bytes <= UINT8_MAX ? 0 : n_bytes <= UINT16_MAX ? 1 : 2;
    pack_number(to, (uint8_t)(tag + width), n_bytes, 1u << width);
}

void mesh_pack_str_head(struct buf *to, uint32_t n_bytes)
{
    if (n_bytes < 32) {
        buf_append_u8(to, (uint8_t)(0xa0 | n_bytes));
    } else {
        pack_head(to, STR8, n_bytes);
    }
}

void mesh_pack_bin_head(struct buf *to, uint32_t n_bytes)
{
    pack_head(to, BIN8, n_bytes);
}

void mesh_pack_ext_head(struct buf *to, int type, uint32_t n_bytes)
{
    pack_head(to, EXT8, n_bytes);
    buf_append_u8(to, (uint8_t)type);
}

void mesh_pack_u32(struct buf *to, uint32_t value)
{
    uint8_t b[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
                    (uint8_t)value};
    buf_append(to, b, sizeof(b));
}

void mesh_pack_u64(struct buf *to, uint64_t value)
{
    mesh_pack_u32(to, (uint32_t)(value >> 32));
    mesh_pack_u32(to, (uint32_t)value);
}

void mesh_put_array(uint8_t to[static MESH_ARRAY_BYTES], uint32_t n)
{
    to[0] = ARRAY32;
    for (unsigned i = 0; i < 4; i++) {
        to[1 + i] = (uint8_t)(n >> (24 - 8 * i));
    }
}

bool mesh_pack_pad(struct buf *to, uint64_t at, unsigned head_bytes)
{
    static const uint8_t zeros[2 * MESH_ALIGN];
    if ((at + head_bytes) % MESH_ALIGN == 0) {
        return false;
    }
    /* 3 bytes of head are the least that padding takes. */
    unsigned n = (unsigned)(2 * MESH_ALIGN - (at + head_bytes + 3) % MESH_ALIGN) % MESH_ALIGN;
    mesh_pack_ext_head(to, MESH_EXT_PAD, n);
    buf_append(to, zeros, n);
    return true;
}

/* --- reading -----------------------------------------------------------------------------------
 */

/* The next n_bytes as a big-endian number. */
static int take_number(struct mesh_items *items, unsigned n_bytes, uint64_t *ret_value)
{
    if (n_bytes > items->body.n - items->at) {
        return -EPROTO;
    }
    uint64_t value = 0;
    for (unsigned i = 0; i < n_bytes; i++) {
        value = value << 8 | items->body.p[items->at++];
    }
    *ret_value = value;
    return 0;
}

static int take_bytes(struct mesh_items *items, uint64_t n_bytes, struct slice *ret_bytes)
{
    if (n_bytes > items->body.n - items->at) {
        return -EPROTO;
    }
    *ret_bytes = slice_part(items->body, items->at, (size_t)n_bytes);
    items->at += (size_t)n_bytes;
    return 0;
}

int mesh_items_init(struct mesh_items *items, struct slice body)
{
    *items = (struct mesh_items){.body = body};
    uint64_t tag;
    uint64_t n = 0;
    int r = take_number(items, 1, &tag);
    if (r == 0 && (tag & 0xf0) == 0x90) {
        n = tag & 0x0f;
    } else if (r == 0 && (tag == ARRAY16 || tag == ARRAY32)) {
        r = take_number(items, tag == ARRAY16 ? 2 : 4, &n);
    } else {
        r = -EPROTO;
    }
    items->n_left = (uint32_t)n;
    return r;
}

static int take_sized(struct mesh_items *items, struct mesh_item *item, unsigned width)
{
    uint64_t n_bytes;
    int r = take_number(items, 1u << width, &n_bytes);
    uint64_t type = 0;
    if (r == 0 && item->kind == MESH_ITEM_EXT) {
        r = take_number(items, 1, &type);
        item->ext = (int)type;
    }
    return r < 0 ? r : take_bytes(items, n_bytes, &item->bytes);
}

static int take_int(struct mesh_items *items, struct mesh_item *item, unsigned width,
                    bool is_signed)
{
    uint64_t value;
    unsigned n_bits = 8u << width;
    int r = take_number(items, 1u << width, &value);
    if (r < 0) {
        return r;
    }
    if (!is_signed && value > INT64_MAX) {
        return -EPROTO;
    }
    if (is_signed && n_bits < 64 && (value >> (n_bits - 1)) != 0) {
        value |= UINT64_MAX << n_bits;
    }
    item->kind = MESH_ITEM_INT;
    item->integer = (int64_t)value;
    return 0;
}

static int take_real(struct mesh_items *items, struct mesh_item *item, bool is_double)
{
    uint64_t bits;
    int r = take_number(items, is_double ? 8 : 4, &bits);
    if (r < 0) {
        return r;
    }
    item->kind = MESH_ITEM_DOUBLE;
    if (is_double) {
        memcpy(&item->real, &bits, sizeof(item->real));
    } else {
        uint32_t half = (uint32_t)bits;
        float real;
        memcpy(&real, &half, sizeof(real));
        item->real = (double)real;
    }
    return 0;
}

static int take_fixext(struct mesh_items *items, struct mesh_item *item, unsigned n_bytes)
{
    uint64_t type;
    int r = take_number(items, 1, &type);
    if (r < 0) {
        return r;
    }
    item->kind = MESH_ITEM_EXT;
    item->ext = (int)type;
    return take_bytes(items, n_bytes, &item->bytes);
}

static int take_item(struct mesh_items *items, struct mesh_item *item)
{
    uint64_t tag;
    int r = take_number(items, 1, &tag);
    if (r < 0) {
        return r;
    }
    if (tag <= 0x7f || tag >= 0xe0) {
        item->kind = MESH_ITEM_INT;
        item->integer = tag <= 0x7f ? (int64_t)tag : (int64_t)tag - 256;
        return 0;
    }
    if ((tag & 0xe0) == 0xa0) {
        item->kind = MESH_ITEM_STRING;
        return take_bytes(items, tag & 0x1f, &item->bytes);
    }
    if (tag >= BIN8 && tag <= BIN32) {
        item->kind = MESH_ITEM_BYTES;
        return take_sized(items, item, (unsigned)tag - BIN8);
    }
    if (tag >= EXT8 && tag <= EXT32) {
        item->kind = MESH_ITEM_EXT;
        return take_sized(items, item, (unsigned)tag - EXT8);
    }
    if (tag >= STR8 && tag <= STR32) {
        item->kind = MESH_ITEM_STRING;
        return take_sized(items, item, (unsigned)tag - STR8);
    }
    if (tag >= UINT8 && tag < FIXEXT1) {
        return take_int(items, item, ((unsigned)tag - UINT8) % 4, tag >= INT8);
    }
    if (tag >= FIXEXT1 && tag < STR8) {
        return take_fixext(items, item, 1u << (tag - FIXEXT1));
    }
    if (tag == FLOAT32 || tag == FLOAT64) {
        return take_real(items, item, tag == FLOAT64);
    }
    item->kind = MESH_ITEM_NIL;
    return tag == NIL ? 0 : -EPROTO;
}

int mesh_items_next(struct mesh_items *items, struct mesh_item *ret_item)
{
    while (items->n_left > 0) {
        struct mesh_item item = {.at = items->at};
        int r = take_item(items, &item);
        if (r < 0) {
            return r;
        }
        items->n_left--;
        if (item.kind != MESH_ITEM_EXT || item.ext != MESH_EXT_PAD) {
            item.end = items->at;
            *ret_item = item;
            return 0;
        }
    }
    return -ENODATA;
}

static uint64_t number_at(struct slice bytes, size_t at, unsigned n_bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < n_bytes; i++) {
        value = value << 8 | bytes.p[at + i];
    }
    return value;
}

uint32_t mesh_item_index(const struct mesh_item *item)
{
    return item->bytes.n < 4 ? UINT32_MAX : (uint32_t)number_at(item->bytes, 0, 4);
}

int mesh_item_chunk(const struct mesh_item *item, struct mesh_chunk *ret_chunk)
{
    if (item->kind != MESH_ITEM_EXT || item->ext != MESH_EXT_CHUNK || item->bytes.n != 24) {
        return -EPROTO;
    }
    *ret_chunk = (struct mesh_chunk){.n = number_at(item->bytes, 0, 8),
                                     .in_bytes = number_at(item->bytes, 8, 8),
                                     .out_bytes = number_at(item->bytes, 16, 8)};
    return 0;
}
