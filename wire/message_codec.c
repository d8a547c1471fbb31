/* Encoding, decoding and checking of messages, all driven by the tables of message_layout.c.
 *
 * Decoding reads a structure field by field with the bounded reader; each value is held against its
 * limits as it comes, an array's count against its limit and the bytes left before room is made for
 * it, and the structure's own rule once it is whole. Recursion follows the tables, which are
 * finite, and never the bytes: what the tables do not know is skipped without it. The first fault
 * ends it all; the text is put together on the way up: "task: id: number: too small". */
#include "wire/message_codec.h"

#include <errno.h>

#include "wire/base/text.h"
#include "wire/message_layout.h"
#include "wire/pack.h"
#include "wire/unpack.h"

/* Where all messages of the union begin. */
#define BODY_OFFSET offsetof(struct wire_message, goodbye)

/* --- checking ----------------------------------------------------------------------------------
 */

static const char *slice_fault(enum wire_kind kind, struct slice s, uint64_t bytes_max)
{
    if (s.n > bytes_max) {
        return "too long";
    }
    if ((kind == WIRE_KIND_TEXT || kind == WIRE_KIND_TEXTS) && !text_is_utf8(s)) {
        return "not UTF-8 text";
    }
    if ((kind == WIRE_KIND_WORD || kind == WIRE_KIND_WORDS) && s.n > 0 &&
        memchr(s.p, '\0', s.n) != NULL) {
        return "holds a NUL";
    }
    return NULL;
}

static const char *number_fault(const struct wire_field *field, uint64_t v)
{
    return v < field->min ? "too small" : v > field->max ? "too large" : NULL;
}

static const char *count_fault(const struct wire_field *field, uint32_t n)
{
    return n < field->min ? "empty" : n > field->max ? "too many" : NULL;
}

static const char *slices_fault(const struct wire_field *field, const struct wire_slices *slices)
{
    const char *fault = count_fault(field, slices->n);
    for (uint32_t i = 0; i < slices->n && fault == NULL; i++) {
        fault = slice_fault(field->kind, slices->items[i], field->item_bytes_max);
    }
    return fault;
}

/* What is wrong with the field itself, structures inside it left aside; NULL: nothing. */
static const char *field_fault(const struct wire_field *field, const void *object)
{
    const void *member = wire_member(object, field->offset);
    switch (field->kind) {
    case WIRE_KIND_U32:
    case WIRE_KIND_ENUM:
        return number_fault(field, *(const uint32_t *)member);
    case WIRE_KIND_U64:
        return number_fault(field, *(const uint64_t *)member);
    case WIRE_KIND_TEXT:
    case WIRE_KIND_WORD:
    case WIRE_KIND_BYTES:
        return slice_fault(field->kind, *(const struct slice *)member, field->max);
    case WIRE_KIND_TEXTS:
    case WIRE_KIND_WORDS:
        return slices_fault(field, member);
    case WIRE_KIND_ITEMS:
        return count_fault(field, wire_n_items(object, field));
    case WIRE_KIND_BOOL:
    case WIRE_KIND_FIXED:
    case WIRE_KIND_SECRET:
    case WIRE_KIND_STRUCT:
        return NULL;
    }
    ensure(!"reached");
}

static int check_object(const struct wire_layout *layout, const void *object, struct errmsg *err);

static int check_inside(const struct wire_field *field, const void *object, struct errmsg *err)
{
    if (field->kind == WIRE_KIND_STRUCT) {
        return check_object(field->layout, wire_member(object, field->offset), err);
    }
    if (field->kind == WIRE_KIND_ITEMS) {
        const void *items = wire_items(object, field);
        uint32_t n = wire_n_items(object, field);
        for (uint32_t i = 0; i < n; i++) {
            int r = check_object(field->layout,
                                 wire_member(items, i * (size_t)field->layout->bytes), err);
            if (r < 0) {
                return r;
            }
        }
    }
    return 0;
}

static int check_object(const struct wire_layout *layout, const void *object, struct errmsg *err)
{
    for (uint32_t i = 0; i < layout->n_fields; i++) {
        const struct wire_field *field = &layout->fields[i];
        const char *fault = field_fault(field, object);
        if (fault != NULL) {
            errmsg_set(err, "%s: %s", field->name, fault);
            return -EINVAL;
        }
        int r = check_inside(field, object, err);
        if (r < 0) {
            errmsg_wrap(err, "%s", field->name);
            return r;
        }
    }
    const char *fault = layout->rule != NULL ? layout->rule(object) : NULL;
    if (fault != NULL) {
        errmsg_set(err, "%s", fault);
        return -EINVAL;
    }
    return 0;
}

int wire_message_check(const struct wire_message *message, struct errmsg *err)
{
    const struct wire_layout *layout = wire_layout_of(message->type);
    if (layout == NULL) {
        errmsg_set(err, "a message of type %u, which there is not", (unsigned)message->type);
        return -EINVAL;
    }
    int r = check_object(layout, wire_member(message, BODY_OFFSET), err);
    if (r < 0) {
        errmsg_wrap(err, "%s", layout->name);
    }
    return r;
}

/* --- encoding ----------------------------------------------------------------------------------
 */

static void pack_slices(const struct wire_field *field, const struct wire_slices *slices,
                        struct buf *to)
{
    wire_pack_array(to, slices->n);
    for (uint32_t i = 0; i < slices->n; i++) {
        if (field->kind == WIRE_KIND_TEXTS) {
            wire_pack_str(to, slices->items[i]);
        } else {
            wire_pack_bin(to, slices->items[i]);
        }
    }
}

static void pack_fields(const struct wire_layout *layout, const void *object, struct buf *to);

static void pack_object(const struct wire_layout *layout, const void *object, struct buf *to)
{
    wire_pack_array(to, layout->n_fields);
    pack_fields(layout, object, to);
}

static void pack_items(const struct wire_field *field, const void *object, struct buf *to)
{
    const void *items = wire_items(object, field);
    uint32_t n = wire_n_items(object, field);
    wire_pack_array(to, n);
    for (uint32_t i = 0; i < n && buf_error(to) == 0; i++) {
        pack_object(field->layout, wire_member(items, i * (size_t)field->layout->bytes), to);
    }
}

static void pack_field(const struct wire_field *field, const void *object, struct buf *to)
{
    const void *member = wire_member(object, field->offset);
    switch (field->kind) {
    case WIRE_KIND_U32:
    case WIRE_KIND_ENUM:
        wire_pack_uint(to, *(const uint32_t *)member);
        return;
    case WIRE_KIND_U64:
        wire_pack_uint(to, *(const uint64_t *)member);
        return;
    case WIRE_KIND_BOOL:
        wire_pack_bool(to, *(const bool *)member);
        return;
    case WIRE_KIND_FIXED:
        wire_pack_bin(to, slice_of(member, WIRE_FIXED_BYTES));
        return;
    case WIRE_KIND_SECRET:
        wire_pack_bin(to, slice_of(member, field->max));
        return;
    case WIRE_KIND_TEXT:
        wire_pack_str(to, *(const struct slice *)member);
        return;
    case WIRE_KIND_WORD:
    case WIRE_KIND_BYTES:
        wire_pack_bin(to, *(const struct slice *)member);
        return;
    case WIRE_KIND_TEXTS:
    case WIRE_KIND_WORDS:
        pack_slices(field, member, to);
        return;
    case WIRE_KIND_STRUCT:
        pack_object(field->layout, member, to);
        return;
    case WIRE_KIND_ITEMS:
        pack_items(field, object, to);
        return;
    }
    ensure(!"reached");
}

static void pack_fields(const struct wire_layout *layout, const void *object, struct buf *to)
{
    for (uint32_t i = 0; i < layout->n_fields; i++) {
        pack_field(&layout->fields[i], object, to);
    }
}

int wire_message_encode(const struct wire_message *message, struct buf *to)
{
    ensure(wire_message_check(message, NULL) == 0);
    int before = buf_error(to);
    if (before < 0) {
        return before;
    }
    const struct wire_layout *layout = wire_layout_of(message->type);
    size_t n_before = to->n;
    wire_pack_array(to, 1u + layout->n_fields);
    wire_pack_uint(to, message->type);
    pack_fields(layout, wire_member(message, BODY_OFFSET), to);
    int r = buf_error(to);
    if (r < 0) {
        to->n = n_before;
        to->error = 0;
    }
    return r;
}

void wire_body_begin(struct buf *to, uint32_t n_messages)
{
    ensure(n_messages <= WIRE_BATCH_MESSAGES_MAX);
    wire_pack_array(to, n_messages);
}

/* --- decoding ----------------------------------------------------------------------------------
 */

struct decoder {
    struct wire_unpack from;
    struct arena *arena;
    struct errmsg *err;
};

static int fault_in(struct decoder *d, const char *field_name, const char *fault)
{
    errmsg_set(d->err, "%s: %s", field_name, fault);
    return -EPROTO;
}

static int unpack_fields(struct decoder *d, const struct wire_layout *layout, void *object,
                         uint32_t n);

static int unpack_object(struct decoder *d, const struct wire_layout *layout, void *object)
{
    uint32_t n = wire_unpack_array_begin(&d->from, UINT32_MAX, 1);
    if (d->from.fault != NULL) {
        errmsg_set(d->err, "%s", d->from.fault);
        return -EPROTO;
    }
    return unpack_fields(d, layout, object, n);
}

static int unpack_slices(struct decoder *d, const struct wire_field *field,
                         struct wire_slices *slices)
{
    uint32_t n = wire_unpack_array_begin(&d->from, (uint32_t)field->max, 1);
    struct slice *items = n > 0 ? arena_alloc(d->arena, n, sizeof(*items)) : NULL;
    if (n > 0 && items == NULL) {
        errmsg_set(d->err, "%s: out of memory", field->name);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < n && d->from.fault == NULL; i++) {
        items[i] = field->kind == WIRE_KIND_TEXTS
                       ? wire_unpack_str(&d->from, field->item_bytes_max)
                       : wire_unpack_bin(&d->from, field->item_bytes_max);
    }
    wire_unpack_array_end(&d->from, 0);
    *slices = (struct wire_slices){.items = items, .n = n};
    return 0;
}

static int unpack_items(struct decoder *d, const struct wire_field *field, void *object)
{
    const struct wire_layout *layout = field->layout;
    /* An item is its array's header and a byte for each field, at the least. */
    uint32_t n = wire_unpack_array_begin(&d->from, (uint32_t)field->max,
                                         1u + wire_layout_n_mandatory(layout));
    void *items = n > 0 ? arena_alloc(d->arena, n, layout->bytes) : NULL;
    if (n > 0 && items == NULL) {
        errmsg_set(d->err, "%s: out of memory", field->name);
        return -ENOMEM;
    }
    for (uint32_t i = 0; i < n; i++) {
        int r = unpack_object(d, layout, wire_member_of(items, i * (size_t)layout->bytes));
        if (r < 0) {
            errmsg_wrap(d->err, "%s[%u]", field->name, (unsigned)i);
            return r;
        }
    }
    wire_unpack_array_end(&d->from, 0);
    wire_set_items(object, field, items, n);
    return 0;
}

/* A value from a newer version is taken as the first, which is none. */
static uint32_t unpack_enum(struct wire_unpack *from, uint64_t max)
{
    uint64_t v = wire_unpack_uint(from, UINT64_MAX);
    return v <= max ? (uint32_t)v : 0;
}

static int unpack_field(struct decoder *d, const struct wire_field *field, void *object)
{
    void *member = wire_member_of(object, field->offset);
    switch (field->kind) {
    case WIRE_KIND_U32:
        *(uint32_t *)member = (uint32_t)wire_unpack_uint(&d->from, UINT32_MAX);
        return 0;
    case WIRE_KIND_ENUM:
        *(uint32_t *)member = unpack_enum(&d->from, field->max);
        return 0;
    case WIRE_KIND_U64:
        *(uint64_t *)member = wire_unpack_uint(&d->from, UINT64_MAX);
        return 0;
    case WIRE_KIND_BOOL:
        *(bool *)member = wire_unpack_bool(&d->from);
        return 0;
    case WIRE_KIND_FIXED:
        wire_unpack_fixed(&d->from, member, WIRE_FIXED_BYTES);
        return 0;
    case WIRE_KIND_SECRET:
        wire_unpack_fixed(&d->from, member, field->max);
        return 0;
    case WIRE_KIND_TEXT:
        *(struct slice *)member = wire_unpack_str(&d->from, field->max);
        return 0;
    case WIRE_KIND_WORD:
    case WIRE_KIND_BYTES:
        *(struct slice *)member = wire_unpack_bin(&d->from, field->max);
        return 0;
    case WIRE_KIND_TEXTS:
    case WIRE_KIND_WORDS:
        return unpack_slices(d, field, member);
    case WIRE_KIND_ITEMS:
        return unpack_items(d, field, object);
    case WIRE_KIND_STRUCT: {
        int r = unpack_object(d, field->layout, member);
        if (r < 0) {
            errmsg_wrap(d->err, "%s", field->name);
        }
        return r;
    }
    }
    ensure(!"reached");
}

/* The fields of an array of n elements that has been begun, and its end. */
static int unpack_fields(struct decoder *d, const struct wire_layout *layout, void *object,
                         uint32_t n)
{
    if (n < wire_layout_n_mandatory(layout)) {
        return fault_in(d, layout->fields[n].name, "missing");
    }
    uint32_t n_known = n < layout->n_fields ? n : layout->n_fields;
    for (uint32_t i = 0; i < n_known; i++) {
        const struct wire_field *field = &layout->fields[i];
        int r = unpack_field(d, field, object);
        if (r < 0) {
            return r;
        }
        const char *fault = d->from.fault != NULL ? d->from.fault : field_fault(field, object);
        if (fault != NULL) {
            return fault_in(d, field->name, fault);
        }
    }
    wire_unpack_array_end(&d->from, n - n_known);
    const char *fault = d->from.fault;
    if (fault != NULL) {
        return fault_in(d, "a field behind the known ones", fault);
    }
    fault = layout->rule != NULL ? layout->rule(object) : NULL;
    if (fault != NULL) {
        errmsg_set(d->err, "%s", fault);
        return -EPROTO;
    }
    return 0;
}

static int unpack_message(struct decoder *d, struct wire_message *message)
{
    uint32_t n = wire_unpack_array_begin(&d->from, UINT32_MAX, 1);
    if (n == 0) {
        wire_unpack_fail(&d->from, "no type");
    }
    uint64_t type = wire_unpack_uint(&d->from, UINT64_MAX);
    if (d->from.fault != NULL) {
        return fault_in(d, "a message", d->from.fault);
    }
    const struct wire_layout *layout = type <= UINT32_MAX ? wire_layout_of((uint32_t)type) : NULL;
    if (layout == NULL) {
        wire_unpack_array_end(&d->from, n - 1);
        return d->from.fault == NULL ? 0 : fault_in(d, "an unknown message", d->from.fault);
    }
    message->type = (enum wire_message_type)type;
    int r = unpack_fields(d, layout, wire_member_of(message, BODY_OFFSET), n - 1);
    if (r < 0) {
        errmsg_wrap(d->err, "%s", layout->name);
    }
    return r;
}

int wire_message_decode(struct slice *from, struct arena *arena, struct wire_message *ret_message,
                        struct errmsg *err)
{
    struct decoder d = {.arena = arena, .err = err};
    wire_unpack_init(&d.from, *from, 1); /* inside the body's array */
    struct wire_message message = {.type = WIRE_MESSAGE_NONE};
    int r = unpack_message(&d, &message);
    if (r < 0) {
        return r;
    }
    *ret_message = message;
    *from = wire_unpack_rest(&d.from);
    return 0;
}

int wire_body_open(struct slice *from, uint32_t *ret_n_messages)
{
    struct wire_unpack unpack;
    wire_unpack_init(&unpack, *from, 0);
    uint32_t n = wire_unpack_array_begin(&unpack, WIRE_BATCH_MESSAGES_MAX, 2);
    int r = wire_unpack_error(&unpack);
    if (r < 0) {
        return r;
    }
    *ret_n_messages = n;
    *from = wire_unpack_rest(&unpack);
    return 0;
}
