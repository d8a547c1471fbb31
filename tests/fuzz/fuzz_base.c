/* wire/base under a program of three bytes a step: the heap and the table against arrays that do
 * the same slowly, buffers against their ceiling, and hashes in pieces against hashes in one. */
#include <stdarg.h>

#include "tests/fuzz/fuzz.h"
#include "wire/base/arena.h"
#include "wire/base/buf.h"
#include "wire/base/heap.h"
#include "wire/base/mem.h"
#include "wire/base/table.h"
#include "wire/base/text.h"
#include "wire/blob_hash.h"
#include "wire/identity.h"

#define THINGS    64u
#define KEY_BYTES 41u

struct thing {
    struct heap_entry due;
    struct table_entry entry;
    uint8_t key[KEY_BYTES];
    uint64_t set; /* when it got its deadline */
    bool is_in_table;
};

struct world {
    struct thing things[THINGS];
    struct heap heap;
    struct table table;
    struct buf buf;
    struct arena arena;
    uint64_t n_sets;
};

static const struct thing *slow_first(const struct world *world)
{
    const struct thing *first = NULL;
    for (unsigned i = 0; i < THINGS; i++) {
        const struct thing *thing = &world->things[i];
        if (heap_has(&thing->due) &&
            (first == NULL || thing->due.at_ns < first->due.at_ns ||
             (thing->due.at_ns == first->due.at_ns && thing->set < first->set))) {
            first = thing;
        }
    }
    return first;
}

static void check(const struct world *world)
{
    const struct thing *first = slow_first(world);
    ensure(heap_first(&world->heap) == (first != NULL ? &first->due : NULL));
    ensure(first == NULL || heap_first_ns(&world->heap) == first->due.at_ns);
    size_t n = 0;
    table_for_each (entry, &world->table) {
        n += table_find(&world->table, entry->key) == entry;
    }
    ensure(n == world->table.n);
    ensure(world->buf.n <= world->buf.bytes_max);
}

static void step(struct world *world, const uint8_t *op)
{
    struct thing *thing = &world->things[op[1] % THINGS];
    memset(thing->key, op[1] % THINGS, KEY_BYTES);
    switch (op[0] % 8) {
    case 0:
        heap_set(&world->heap, &thing->due, op[2]);
        thing->set = ++world->n_sets;
        break;
    case 1:
        heap_remove(&world->heap, &thing->due);
        break;
    case 2:
        if (!thing->is_in_table) {
            table_insert(&world->table, &thing->entry, thing->key);
            thing->is_in_table = true;
        }
        break;
    case 3:
        if (thing->is_in_table) {
            table_remove(&world->table, &thing->entry);
            thing->is_in_table = false;
        }
        break;
    case 4:
        ensure((table_find(&world->table, thing->key) == &thing->entry) == thing->is_in_table);
        break;
    case 5:
        buf_printf(&world->buf, "%u ", op[2]);
        text_shell_quote(&world->buf, slice_of(op + 1, 2));
        ensure(buf_cstr(&world->buf)[buf_error(&world->buf) == 0 ? world->buf.n : 0] == '\0');
        break;
    case 6:
        buf_consume(&world->buf, op[2] < world->buf.n ? op[2] : world->buf.n);
        if (buf_error(&world->buf) != 0) {
            buf_clear(&world->buf);
        }
        break;
    default:
        if (arena_alloc(&world->arena, op[1], op[2]) == NULL) {
            arena_clear(&world->arena);
        }
        break;
    }
}

/* Formats into little room: cut, but never within a character. */
static size_t __attribute__((format(printf, 3, 4)))
format(char *to, size_t n_to, const char *text, ...)
{
    va_list args;
    va_start(args, text);
    size_t n = text_vformat(to, n_to, text, args);
    va_end(args);
    return n;
}

static void format_cut(struct slice bytes)
{
    char whole[128], cut[32];
    size_t n = bytes.n < sizeof(whole) - 1 ? bytes.n : sizeof(whole) - 1;
    memcpy(whole, bytes.p, n);
    whole[n] = '\0';
    struct slice text = slice_str(whole);
    size_t n_cut = format(cut, 1 + n % sizeof(cut), "%s", whole);
    ensure(n_cut <= text.n && cut[n_cut] == '\0' && memcmp(cut, whole, n_cut) == 0);
    ensure(!text_is_utf8(text) || text_is_utf8(slice_of(cut, n_cut)));
}

/* However it is cut, it is one hash; and it reads back from its text. */
static void hash_in_pieces(struct slice bytes)
{
    struct wire_blob_hash hash;
    struct wire_hash one = wire_blob_hash(bytes), other, back;
    char text[WIRE_HASH_TEXT_BYTES];
    wire_blob_hash_init(&hash);
    for (size_t at = 0, n = 1; at < bytes.n; at += n, n = 1 + bytes.p[at - 1] % 64) {
        n = n < bytes.n - at ? n : bytes.n - at;
        wire_blob_hash_update(&hash, slice_of(bytes.p + at, n));
    }
    wire_blob_hash_final(&hash, &other);
    ensure(wire_hash_eq(&one, &other) && !wire_hash_is_zero(&one));
    ensure(wire_hash_parse(wire_hash_text(&one, text), &back) == 0 && wire_hash_eq(&one, &back));
    char *copy = mem_strndup((const char *)bytes.p, bytes.n);
    ensure(copy != NULL);
    if (wire_hash_parse(copy, &back) == 0) {
        ensure(strlen(copy) == WIRE_HASH_TEXT_BYTES - 1);
    }
    mem_free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct world world = {.n_sets = 0};
    if (n > 4096) {
        return 0;
    }
    ensure(wire_init() == 0);
    heap_init(&world.heap);
    table_init(&world.table, KEY_BYTES, n);
    buf_init(&world.buf, 512);
    arena_init(&world.arena, 1u << 20);
    for (size_t at = 0; at + 3 <= n; at += 3) {
        step(&world, bytes + at);
        check(&world);
    }
    heap_done(&world.heap);
    table_done(&world.table);
    buf_done(&world.buf);
    arena_done(&world.arena);
    hash_in_pieces(slice_of(bytes, n));
    format_cut(slice_of(bytes, n));
    return 0;
}
