/* Copying and comparing messages, driven by the tables of message_layout.c. */
#include <errno.h>

#include "wire/message_codec.h"
#include "wire/message_layout.h"

#define BODY_OFFSET offsetof(struct wire_message, goodbye)

/* --- copying -----------------------------------------------------------------------------------
 */

/* `copy` holds the original's bytes already; what they point to is replaced by copies. */
static int own_object(const struct wire_layout *layout, void *copy, struct arena *arena);

static int own_slice(struct slice *s, struct arena *arena)
{
    if (s->n == 0) {
        *s = (struct slice){0};
        return 0;
    }
    return arena_copy(arena, *s, s);
}

static int own_slices(struct wire_slices *slices, struct arena *arena)
{
    struct slice *items = arena_alloc(arena, slices->n, sizeof(*items));
    if (items == NULL) {
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < slices->n; i++) {
        items[i] = slices->items[i];
        int r = own_slice(&items[i], arena);
        if (r < 0) {
            return r;
        }
    }
    slices->items = items;
    return 0;
}

static int own_items(const struct wire_field *field, void *copy, struct arena *arena)
{
    const struct wire_layout *layout = field->layout;
    uint32_t n = wire_n_items(copy, field);
    void *items = arena_alloc(arena, n, layout->bytes);
    if (items == NULL) {
        return -ENOMEM;
    }
    if (n > 0) {
        memcpy(items, wire_items(copy, field), (size_t)n * layout->bytes);
    }
    for (uint32_t i = 0; i < n; i++) {
        int r = own_object(layout, wire_member_of(items, i * (size_t)layout->bytes), arena);
        if (r < 0) {
            return r;
        }
    }
    wire_set_items(copy, field, items, n);
    return 0;
}

static int own_field(const struct wire_field *field, void *copy, struct arena *arena)
{
    void *member = wire_member_of(copy, field->offset);
    switch (field->kind) {
    case WIRE_KIND_U32:
    case WIRE_KIND_U64:
    case WIRE_KIND_BOOL:
    case WIRE_KIND_ENUM:
    case WIRE_KIND_FIXED:
    case WIRE_KIND_SECRET:
        return 0;
    case WIRE_KIND_TEXT:
    case WIRE_KIND_WORD:
    case WIRE_KIND_BYTES:
        return own_slice(member, arena);
    case WIRE_KIND_TEXTS:
    case WIRE_KIND_WORDS:
        return own_slices(member, arena);
    case WIRE_KIND_STRUCT:
        return own_object(field->layout, member, arena);
    case WIRE_KIND_ITEMS:
        return own_items(field, copy, arena);
    }
    ensure(!"reached");
}

static int own_object(const struct wire_layout *layout, void *copy, struct arena *arena)
{
    for (uint32_t i = 0; i < layout->n_fields; i++) {
        int r = own_field(&layout->fields[i], copy, arena);
        if (r < 0) {
            return r;
        }
    }
    return 0;
}

int wire_message_copy(const struct wire_message *message, struct arena *arena,
                      struct wire_message *ret_copy)
{
    struct wire_message copy = *message;
    const struct wire_layout *layout = wire_layout_of(message->type);
    int r = layout != NULL ? own_object(layout, wire_member_of(&copy, BODY_OFFSET), arena) : 0;
    if (r < 0) {
        return r;
    }
    *ret_copy = copy;
    return 0;
}

/* --- comparing ---------------------------------------------------------------------------------
 */

static bool eq_objects(const struct wire_layout *layout, const void *a, const void *b);

static bool eq_slices(const struct wire_slices *a, const struct wire_slices *b)
{
    bool is_eq = a->n == b->n;
    for (uint32_t i = 0; i < a->n && is_eq; i++) {
        is_eq = slice_eq(a->items[i], b->items[i]);
    }
    return is_eq;
}

static bool eq_items(const struct wire_field *field, const void *a, const void *b)
{
    uint32_t n = wire_n_items(a, field);
    bool is_eq = n == wire_n_items(b, field);
    for (uint32_t i = 0; i < n && is_eq; i++) {
        size_t offset = i * (size_t)field->layout->bytes;
        is_eq = eq_objects(field->layout, wire_member(wire_items(a, field), offset),
                           wire_member(wire_items(b, field), offset));
    }
    return is_eq;
}

static bool eq_fields(const struct wire_field *field, const void *a, const void *b)
{
    const void *in_a = wire_member(a, field->offset);
    const void *in_b = wire_member(b, field->offset);
    switch (field->kind) {
    case WIRE_KIND_U32:
    case WIRE_KIND_ENUM:
        return *(const uint32_t *)in_a == *(const uint32_t *)in_b;
    case WIRE_KIND_U64:
        return *(const uint64_t *)in_a == *(const uint64_t *)in_b;
    case WIRE_KIND_BOOL:
        return *(const bool *)in_a == *(const bool *)in_b;
    case WIRE_KIND_FIXED:
        return memcmp(in_a, in_b, WIRE_FIXED_BYTES) == 0;
    case WIRE_KIND_SECRET:
        return memcmp(in_a, in_b, field->max) == 0;
    case WIRE_KIND_TEXT:
    case WIRE_KIND_WORD:
    case WIRE_KIND_BYTES:
        return slice_eq(*(const struct slice *)in_a, *(const struct slice *)in_b);
    case WIRE_KIND_TEXTS:
    case WIRE_KIND_WORDS:
        return eq_slices(in_a, in_b);
    case WIRE_KIND_STRUCT:
        return eq_objects(field->layout, in_a, in_b);
    case WIRE_KIND_ITEMS:
        return eq_items(field, a, b);
    }
    ensure(!"reached");
}

static bool eq_objects(const struct wire_layout *layout, const void *a, const void *b)
{
    bool is_eq = true;
    for (uint32_t i = 0; i < layout->n_fields && is_eq; i++) {
        is_eq = eq_fields(&layout->fields[i], a, b);
    }
    return is_eq;
}

bool wire_message_eq(const struct wire_message *a, const struct wire_message *b)
{
    const struct wire_layout *layout = wire_layout_of(a->type);
    return a->type == b->type && (layout == NULL || eq_objects(layout, wire_member(a, BODY_OFFSET),
                                                               wire_member(b, BODY_OFFSET)));
}
