/* msgpack's first bytes, as its specification lists them:
 *
 *   00-7f positive fixint   80-8f fixmap   90-9f fixarray   a0-bf fixstr   e0-ff negative fixint
 *   c0 nil  c1 (never used)  c2 false  c3 true   c4-c6 bin 8/16/32   c7-c9 ext 8/16/32
 *   ca-cb float   cc-cf uint 8/16/32/64   d0-d3 int 8/16/32/64   d4-d8 fixext 1/2/4/8/16
 *   d9-db str 8/16/32   dc-dd array 16/32   de-df map 16/32 */
#include "wire/unpack.h"

#include <errno.h>

void wire_unpack_init(struct wire_unpack *from, struct slice bytes, unsigned depth)
{
    ensure(depth <= WIRE_DEPTH_MAX);
    static const uint8_t none[1];
    const uint8_t *p = bytes.n > 0 ? bytes.p : none;
    *from = (struct wire_unpack){.p = p, .end = p + bytes.n, .depth = depth};
}

int wire_unpack_error(const struct wire_unpack *from)
{
    return from->fault != NULL ? -EPROTO : 0;
}

void wire_unpack_fail(struct wire_unpack *from, const char *fault)
{
    if (from->fault == NULL) {
        from->fault = fault;
    }
}

struct slice wire_unpack_rest(const struct wire_unpack *from)
{
    return slice_of(from->p, (size_t)(from->end - from->p));
}

static size_t n_left(const struct wire_unpack *from)
{
    return (size_t)(from->end - from->p);
}

/* The next n_bytes (1..8) as a big-endian number; 0 on an error. */
static uint64_t take_be(struct wire_unpack *from, size_t n_bytes)
{
    if (from->fault != NULL || n_left(from) < n_bytes) {
        wire_unpack_fail(from, "cut short");
        return 0;
    }
    uint64_t v = 0;
    for (size_t i = 0; i < n_bytes; i++) {
        v = v << 8 | from->p[i];
    }
    from->p += n_bytes;
    return v;
}

uint64_t wire_unpack_uint(struct wire_unpack *from, uint64_t max)
{
    uint8_t first = (uint8_t)take_be(from, 1);
    uint64_t v = first;
    if (first >= 0xcc && first <= 0xcf) {
        v = take_be(from, (size_t)1 << (first - 0xcc));
    } else if (first >= 0xd0 && first <= 0xd3) {
        size_t n_bytes = (size_t)1 << (first - 0xd0);
        v = take_be(from, n_bytes);
        if (v >> (8 * n_bytes - 1) != 0) {
            wire_unpack_fail(from, "a negative number");
        }
    } else if (first >= 0xe0) {
        wire_unpack_fail(from, "a negative number");
    } else if (first >= 0x80) {
        wire_unpack_fail(from, "not an integer");
    }
    if (v > max) {
        wire_unpack_fail(from, "a number that is too large");
    }
    return from->fault == NULL ? v : 0;
}

bool wire_unpack_bool(struct wire_unpack *from)
{
    uint8_t first = (uint8_t)take_be(from, 1);
    if (first != 0xc2 && first != 0xc3) {
        wire_unpack_fail(from, "not a boolean");
    }
    return from->fault == NULL && first == 0xc3;
}

/* The next n_bytes, if there are that many and no more are claimed than may be. */
static struct slice take_bytes(struct wire_unpack *from, uint64_t n_bytes, size_t bytes_max)
{
    if (n_bytes > bytes_max) {
        wire_unpack_fail(from, "too long");
    } else if (n_bytes > n_left(from)) {
        wire_unpack_fail(from, "cut short");
    }
    if (from->fault != NULL) {
        return (struct slice){0};
    }
    struct slice s = slice_of(from->p, (size_t)n_bytes);
    from->p += s.n;
    return s;
}

struct slice wire_unpack_str(struct wire_unpack *from, size_t bytes_max)
{
    uint8_t first = (uint8_t)take_be(from, 1);
    uint64_t n_bytes = 0;
    if (first >= 0xa0 && first <= 0xbf) {
        n_bytes = first & 0x1f;
    } else if (first >= 0xd9 && first <= 0xdb) {
        n_bytes = take_be(from, (size_t)1 << (first - 0xd9));
    } else {
        wire_unpack_fail(from, "not a text");
    }
    return take_bytes(from, n_bytes, bytes_max);
}

struct slice wire_unpack_bin(struct wire_unpack *from, size_t bytes_max)
{
    uint8_t first = (uint8_t)take_be(from, 1);
    uint64_t n_bytes = 0;
    if (first >= 0xc4 && first <= 0xc6) {
        n_bytes = take_be(from, (size_t)1 << (first - 0xc4));
    } else {
        wire_unpack_fail(from, "not a byte string");
    }
    return take_bytes(from, n_bytes, bytes_max);
}

void wire_unpack_fixed(struct wire_unpack *from, uint8_t *to, size_t n_bytes)
{
    struct slice s = wire_unpack_bin(from, n_bytes);
    if (s.n != n_bytes) {
        wire_unpack_fail(from, "too short");
    }
    if (from->fault == NULL) {
        memcpy(to, s.p, n_bytes);
    }
}

uint32_t wire_unpack_array_begin(struct wire_unpack *from, uint32_t n_max, size_t item_bytes_min)
{
    ensure(item_bytes_min > 0);
    uint8_t first = (uint8_t)take_be(from, 1);
    uint64_t n = 0;
    if (first >= 0x90 && first <= 0x9f) {
        n = first & 0x0f;
    } else if (first == 0xdc || first == 0xdd) {
        n = take_be(from, first == 0xdc ? 2 : 4);
    } else {
        wire_unpack_fail(from, "not an array");
    }
    if (n > n_max) {
        wire_unpack_fail(from, "too many elements");
    } else if (n > n_left(from) / item_bytes_min) {
        wire_unpack_fail(from, "more elements than bytes");
    } else if (from->depth >= WIRE_DEPTH_MAX) {
        wire_unpack_fail(from, "nested too deep");
    }
    if (from->fault != NULL) {
        return 0;
    }
    from->depth++;
    return (uint32_t)n;
}

void wire_unpack_array_end(struct wire_unpack *from, uint32_t n_not_read)
{
    for (uint32_t i = 0; i < n_not_read && from->fault == NULL; i++) {
        wire_unpack_skip(from);
    }
    if (from->fault == NULL) {
        ensure(from->depth > 0);
        from->depth--;
    }
}

/* What a first byte announces: so many bytes of content, or so many values inside. */
struct extent {
    uint64_t n_bytes;
    uint64_t n_values;
    bool is_nested;
};

static struct extent read_extent(struct wire_unpack *from)
{
    uint8_t first = (uint8_t)take_be(from, 1);
    struct extent e = {0};
    if (first < 0x80 || first >= 0xe0 || first == 0xc0 || first == 0xc2 || first == 0xc3) {
        return e; /* all in the first byte */
    }
    if (first < 0xa0) {
        e.is_nested = true;
        e.n_values = (uint64_t)(first & 0x0f) * (first < 0x90 ? 2 : 1);
    } else if (first < 0xc0) {
        e.n_bytes = first & 0x1f;
    } else if (first == 0xc1) {
        wire_unpack_fail(from, "no msgpack");
    } else if (first <= 0xc6) {
        e.n_bytes = take_be(from, (size_t)1 << (first - 0xc4));
    } else if (first <= 0xc9) {
        e.n_bytes = take_be(from, (size_t)1 << (first - 0xc7)) + 1;
    } else if (first <= 0xcb) {
        e.n_bytes = first == 0xca ? 4 : 8;
    } else if (first <= 0xcf) {
        e.n_bytes = UINT64_C(1) << (first - 0xcc);
    } else if (first <= 0xd3) {
        e.n_bytes = UINT64_C(1) << (first - 0xd0);
    } else if (first <= 0xd8) {
        e.n_bytes = (UINT64_C(1) << (first - 0xd4)) + 1;
    } else if (first <= 0xdb) {
        e.n_bytes = take_be(from, (size_t)1 << (first - 0xd9));
    } else {
        e.is_nested = true;
        e.n_values = take_be(from, first % 2 == 0 ? 2 : 4) * (first < 0xde ? 1 : 2);
    }
    return e;
}

void wire_unpack_skip(struct wire_unpack *from)
{
    uint64_t n_values[WIRE_DEPTH_MAX + 1]; /* still to be skipped, per level below this one */
    unsigned level = 0;
    n_values[0] = 1;
    for (;;) {
        while (n_values[level] == 0) {
            if (level == 0) {
                return;
            }
            level--;
        }
        n_values[level]--;
        struct extent e = read_extent(from);
        if (e.n_bytes > n_left(from) || e.n_values > n_left(from)) {
            wire_unpack_fail(from, "cut short");
        } else if (e.is_nested && from->depth + level >= WIRE_DEPTH_MAX) {
            wire_unpack_fail(from, "nested too deep");
        }
        if (from->fault != NULL) {
            return;
        }
        from->p += e.n_bytes;
        if (e.is_nested) {
            n_values[++level] = e.n_values;
        }
    }
}
