/* What every message consists of, as tables: the one description from which messages are encoded,
 * decoded, checked, copied, compared and printed, so that none of these can disagree.
 *
 * Internal to wire/message_*.c and to the tests that make messages up. */
#ifndef MESH_WIRE_MESSAGE_LAYOUT_H
#define MESH_WIRE_MESSAGE_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

#include "wire/base/ensure.h"
#include "wire/message.h"

/* On the wire: what msgpack holds. In memory: the member's type. */
enum wire_kind {
    WIRE_KIND_U32,    /* integer; uint32_t of min..max */
    WIRE_KIND_U64,    /* integer; uint64_t of min..max */
    WIRE_KIND_BOOL,   /* boolean; bool */
    WIRE_KIND_ENUM,   /* integer; uint32_t; above max is taken as 0 */
    WIRE_KIND_FIXED,  /* bin of 32; struct wire_key or struct wire_hash */
    WIRE_KIND_SECRET, /* bin of exactly max; struct wire_secret or struct wire_token. Not printed */
    WIRE_KIND_TEXT,   /* str, UTF-8 without NUL; struct slice of at most max bytes */
    WIRE_KIND_WORD,   /* bin without NUL, what a kernel takes as a string; the same */
    WIRE_KIND_BYTES,  /* bin; the same */
    WIRE_KIND_TEXTS,  /* array of str; struct wire_slices of min..max, item_bytes_max bytes each */
    WIRE_KIND_WORDS,  /* array of bin without NUL; the same */
    WIRE_KIND_STRUCT, /* array of the fields of `layout`; that structure */
    WIRE_KIND_ITEMS,  /* array of arrays; members `items` and `n`, at most max */
};

#define WIRE_FIXED_BYTES 32u

struct wire_field {
    const char *name;
    enum wire_kind kind;
    uint16_t since;    /* the protocol version that added it at the end of its structure */
    uint16_t offset;   /* of the member; of `items` for ITEMS */
    uint16_t offset_n; /* ITEMS: of `n` */
    uint64_t min;
    uint64_t max;
    uint32_t item_bytes_max;          /* TEXTS, WORDS */
    const struct wire_layout *layout; /* STRUCT, ITEMS */
    const char *(*text)(uint32_t);    /* ENUM: its names; NULL: none */
};

struct wire_layout {
    const char *name;
    const struct wire_field *fields;
    uint16_t n_fields;
    uint16_t bytes; /* of the structure in memory */
    /* What fields cannot say alone. NULL, or a static text of what is wrong. */
    const char *(*rule)(const void *object);
};

/* NULL for a number that is no message's. */
const struct wire_layout *wire_layout_of(uint32_t type);

/* The fields that a sender of protocol version 1 writes; those behind may be missing. */
uint32_t wire_layout_n_mandatory(const struct wire_layout *layout);

/* The rules, in message_rules.c. */
const char *wire_rule_file(const void *object);
const char *wire_rule_ref(const void *object);
const char *wire_rule_task_file(const void *object);
const char *wire_rule_result_file(const void *object);
const char *wire_rule_output(const void *object);
const char *wire_rule_result(const void *object);
const char *wire_rule_job_spec(const void *object);
const char *wire_rule_task(const void *object);
const char *wire_rule_add_task(const void *object);
const char *wire_rule_kept_task(const void *object);
const char *wire_rule_stream_data(const void *object);
const char *wire_rule_client_stream(const void *object);
const char *wire_rule_blob_data(const void *object);
const char *wire_rule_trust(const void *object);
const char *wire_rule_queue_bytes(const void *object);
const char *wire_rule_queue_put(const void *object);
const char *wire_rule_queue_item(const void *object);
const char *wire_rule_queue_get(const void *object);
const char *wire_rule_queue_add(const void *object);
const char *wire_rule_queue_take(const void *object);
const char *wire_rule_queue_remove(const void *object);

/* Access to a member, for the walkers. */
static inline const void *wire_member(const void *object, size_t offset)
{
    return (const uint8_t *)object + offset;
}

static inline void *wire_member_of(void *object, size_t offset)
{
    return (uint8_t *)object + offset;
}

/* The array of an ITEMS field: a pointer of another type for each layout, hence by bytes. */
static inline const void *wire_items(const void *object, const struct wire_field *field)
{
    const void *items;
    memcpy(&items, wire_member(object, field->offset), sizeof(items));
    return items;
}

static inline void wire_set_items(void *object, const struct wire_field *field, const void *items,
                                  uint32_t n)
{
    memcpy(wire_member_of(object, field->offset), &items, sizeof(items));
    memcpy(wire_member_of(object, field->offset_n), &n, sizeof(n));
}

static inline uint32_t wire_n_items(const void *object, const struct wire_field *field)
{
    return *(const uint32_t *)wire_member(object, field->offset_n);
}

#endif
