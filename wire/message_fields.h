/* How the tables of message_layout.c are written. The macros hold each member's type against its
 * kind while compiling. Internal to that file. */
#ifndef MESH_WIRE_MESSAGE_FIELDS_H
#define MESH_WIRE_MESSAGE_FIELDS_H

#include <assert.h>

#include "wire/message_layout.h"

/* 0, or no compilation when the member is of another type. */
#define TYPED(s, m, type)                                                                          \
    (0 * sizeof(struct {                                                                           \
         static_assert(__builtin_types_compatible_p(__typeof__(((struct s *)0)->m), type),         \
                       "the member's type is not its field's kind");                               \
         char unused;                                                                              \
     }))

#define FIELD_SINCE(s, m, type, k, n)                                                              \
    .name = #m, .kind = WIRE_KIND_##k, .since = (n),                                               \
    .offset = offsetof(struct s, m) + TYPED(s, m, type)
#define FIELD(s, m, type, k) FIELD_SINCE(s, m, type, k, 1)
#define LATER(s, m, type, k) FIELD_SINCE(s, m, type, k, 2) /* may be missing */

#define RANGE(s, m, least, most)                                                                   \
    {                                                                                              \
        FIELD(s, m, uint32_t, U32), .min = (least), .max = (most)                                  \
    }
#define RANGE64(s, m, least, most)                                                                 \
    {                                                                                              \
        FIELD(s, m, uint64_t, U64), .min = (least), .max = (most)                                  \
    }
#define U32(s, m) RANGE(s, m, 0, UINT32_MAX)
#define U64(s, m) RANGE64(s, m, 0, UINT64_MAX)
#define BOOL(s, m)                                                                                 \
    {                                                                                              \
        FIELD(s, m, bool, BOOL), .max = 1                                                          \
    }
/* The last value is the list's length less one; message.c holds that no list has a gap. */
#define LIST_ONE(name, value, text) +1
#define ENUM(s, m, list, text_of)                                                                  \
    {                                                                                              \
        FIELD(s, m, uint32_t, ENUM), .max = (0 list(LIST_ONE)) - 1, .text = (text_of)              \
    }
#define STREAM(s, m)                                                                               \
    {                                                                                              \
        FIELD(s, m, uint32_t, ENUM), .max = WIRE_STREAM_ERR                                        \
    }
#define KEY(s, m)                                                                                  \
    {                                                                                              \
        FIELD(s, m, struct wire_key, FIXED), .max = WIRE_FIXED_BYTES                               \
    }
#define HASH(s, m)                                                                                 \
    {                                                                                              \
        FIELD(s, m, struct wire_hash, FIXED), .max = WIRE_FIXED_BYTES                              \
    }
#define SECRET(s, m)                                                                               \
    {                                                                                              \
        FIELD(s, m, struct wire_secret, SECRET), .max = WIRE_SECRET_BYTES                          \
    }
#define TOKEN(s, m)                                                                                \
    {                                                                                              \
        FIELD(s, m, struct wire_token, SECRET), .max = WIRE_TOKEN_BYTES                            \
    }
#define SLICE(s, m, k, most)                                                                       \
    {                                                                                              \
        FIELD(s, m, struct slice, k), .max = (most)                                                \
    }
#define TEXT(s, m, most)  SLICE(s, m, TEXT, most)
#define WORD(s, m, most)  SLICE(s, m, WORD, most)
#define BYTES(s, m, most) SLICE(s, m, BYTES, most)
#define SLICES(s, m, k, least, most, bytes_most)                                                   \
    {                                                                                              \
        FIELD(s, m, struct wire_slices, k), .min = (least), .max = (most),                         \
                                            .item_bytes_max = (bytes_most)                         \
    }
#define TEXTS(s, m, most, bytes_most) SLICES(s, m, TEXTS, 0, most, bytes_most)
/* A word's limit counts the NUL that the kernel wants behind it. */
#define WORDS(s, m, least, most) SLICES(s, m, WORDS, least, most, WIRE_ARG_BYTES_MAX - 1)
#define STRUCT(s, m, inner)                                                                        \
    {                                                                                              \
        FIELD(s, m, struct inner, STRUCT), .layout = &layout_##inner                               \
    }
/* `prefix` is empty or the member that holds items and n, with its dot. */
#define ITEMS_SINCE(s, label, prefix, inner, most, version)                                        \
    {                                                                                              \
        .name = (label), .kind = WIRE_KIND_ITEMS, .since = (version),                              \
        .offset = offsetof(struct s, prefix items) + TYPED(s, prefix items, const struct inner *), \
        .offset_n = offsetof(struct s, prefix n) + TYPED(s, prefix n, uint32_t), .max = (most),    \
        .layout = &layout_##inner                                                                  \
    }
#define ITEMS(s, label, prefix, inner, most) ITEMS_SINCE(s, label, prefix, inner, most, 1)

#define LAYOUT_RULED(s, label, rule_of)                                                            \
    static const struct wire_layout layout_##s = {.name = (label),                                 \
                                                  .fields = fields_##s,                            \
                                                  .n_fields = ARRAY_LEN(fields_##s),               \
                                                  .bytes = sizeof(struct s),                       \
                                                  .rule = (rule_of)}
#define LAYOUT(s, label) LAYOUT_RULED(s, label, NULL)
/* A message that says all by its type. */
#define LAYOUT_EMPTY(s, label)                                                                     \
    static const struct wire_layout layout_##s = {.name = (label), .bytes = sizeof(struct s)}

#endif
