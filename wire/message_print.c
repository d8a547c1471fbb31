/* A message as one line for people, driven by the tables of message_layout.c. A line stays short:
 * long texts are cut, and of an array the first few are shown. */
#include <inttypes.h>

#include "wire/base/text.h"
#include "wire/message_codec.h"
#include "wire/message_layout.h"

#define BODY_OFFSET       offsetof(struct wire_message, goodbye)
#define TEXT_BYTES_MAX    160u
#define ITEMS_PRINTED_MAX 8u
#define FIXED_PRINTED     8u /* bytes of a key or hash */

static void print_object(const struct wire_layout *layout, const void *object, struct buf *to);

static void print_text(struct slice s, struct buf *to)
{
    char text[TEXT_BYTES_MAX];
    buf_append_u8(to, '"');
    buf_append_str(to, text_printable(s, text, sizeof(text)));
    buf_append_u8(to, '"');
}

/* What follows the last item printed: what was left out, and the bracket. */
static void print_end(uint32_t n, struct buf *to)
{
    if (n > ITEMS_PRINTED_MAX) {
        buf_printf(to, " and %" PRIu32 " more", n - ITEMS_PRINTED_MAX);
    }
    buf_append_u8(to, ']');
}

static void print_slices(const struct wire_slices *slices, struct buf *to)
{
    buf_append_u8(to, '[');
    for (uint32_t i = 0; i < slices->n && i < ITEMS_PRINTED_MAX; i++) {
        buf_append_str(to, i > 0 ? " " : "");
        print_text(slices->items[i], to);
    }
    print_end(slices->n, to);
}

static void print_items(const struct wire_field *field, const void *object, struct buf *to)
{
    uint32_t n = wire_n_items(object, field);
    buf_append_u8(to, '[');
    for (uint32_t i = 0; i < n && i < ITEMS_PRINTED_MAX; i++) {
        buf_append_str(to, i > 0 ? " " : "");
        size_t offset = i * (size_t)field->layout->bytes;
        print_object(field->layout, wire_member(wire_items(object, field), offset), to);
    }
    print_end(n, to);
}

/* The beginning is enough to tell one from another; zero is none. */
static void print_fixed(const uint8_t *p, struct buf *to)
{
    static const uint8_t zero[WIRE_FIXED_BYTES];
    if (memcmp(p, zero, sizeof(zero)) == 0) {
        buf_append_u8(to, '-');
        return;
    }
    char hex[2 * FIXED_PRINTED + 1];
    text_hex(slice_of(p, FIXED_PRINTED), hex, sizeof(hex));
    buf_append_str(to, hex);
}

static void print_enum(const struct wire_field *field, uint32_t v, struct buf *to)
{
    if (field->text != NULL) {
        print_text(slice_str(field->text(v)), to);
    } else {
        buf_printf(to, "%" PRIu32, v);
    }
}

static void print_field(const struct wire_field *field, const void *object, struct buf *to)
{
    const void *member = wire_member(object, field->offset);
    switch (field->kind) {
    case WIRE_KIND_U32:
        buf_printf(to, "%" PRIu32, *(const uint32_t *)member);
        return;
    case WIRE_KIND_U64:
        buf_printf(to, "%" PRIu64, *(const uint64_t *)member);
        return;
    case WIRE_KIND_BOOL:
        buf_append_str(to, *(const bool *)member ? "true" : "false");
        return;
    case WIRE_KIND_ENUM:
        print_enum(field, *(const uint32_t *)member, to);
        return;
    case WIRE_KIND_FIXED:
        print_fixed(member, to);
        return;
    case WIRE_KIND_SECRET:
        buf_append_str(to, "(secret)");
        return;
    case WIRE_KIND_TEXT:
    case WIRE_KIND_WORD:
        print_text(*(const struct slice *)member, to);
        return;
    case WIRE_KIND_BYTES:
        buf_printf(to, "(%zu bytes)", ((const struct slice *)member)->n);
        return;
    case WIRE_KIND_TEXTS:
    case WIRE_KIND_WORDS:
        print_slices(member, to);
        return;
    case WIRE_KIND_STRUCT:
        print_object(field->layout, member, to);
        return;
    case WIRE_KIND_ITEMS:
        print_items(field, object, to);
        return;
    }
    ensure(!"reached");
}

static void print_object(const struct wire_layout *layout, const void *object, struct buf *to)
{
    buf_append_u8(to, '{');
    for (uint32_t i = 0; i < layout->n_fields; i++) {
        buf_append_str(to, i > 0 ? " " : "");
        buf_append_str(to, layout->fields[i].name);
        buf_append_u8(to, '=');
        print_field(&layout->fields[i], object, to);
    }
    buf_append_u8(to, '}');
}

void wire_message_print(const struct wire_message *message, struct buf *to)
{
    const struct wire_layout *layout = wire_layout_of(message->type);
    buf_append_str(to, wire_message_name(message->type));
    if (layout != NULL) {
        print_object(layout, wire_member(message, BODY_OFFSET), to);
    }
}
