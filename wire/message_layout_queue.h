/* The tables of the messages of queues: a part of message_layout.c, which includes this where its
 * macros are defined, and nobody else does. */
#ifndef MESH_WIRE_MESSAGE_LAYOUT_QUEUE_H
#define MESH_WIRE_MESSAGE_LAYOUT_QUEUE_H

#include "wire/message_layout.h"

/* --- peer to peer ------------------------------------------------------------------------------
 */

static const struct wire_field fields_wire_queue_bytes[] = {
    BYTES(wire_queue_bytes, bytes, WIRE_ITEM_BYTES_MAX),
    HASH(wire_queue_bytes, hash),
    U64(wire_queue_bytes, blob_bytes),
};
LAYOUT_RULED(wire_queue_bytes, "queue_bytes", wire_rule_queue_bytes);

static const struct wire_field fields_wire_queue_row[] = {
    TEXT(wire_queue_row, name, WIRE_NAME_BYTES_MAX),
    U64(wire_queue_row, n_waiting),
    U64(wire_queue_row, n_taken),
    U32(wire_queue_row, n_getters),
    U64(wire_queue_row, bytes),
    BOOL(wire_queue_row, is_known),
    KEY(wire_queue_row, key),
    TEXT(wire_queue_row, peer, WIRE_NAME_BYTES_MAX),
    U64(wire_queue_row, n_done),
};
LAYOUT(wire_queue_row, "queue_row");

static const struct wire_field fields_wire_queue_put[] = {
    U64(wire_queue_put, request),
    TEXT(wire_queue_put, name, WIRE_NAME_BYTES_MAX),
    ITEMS(wire_queue_put, "items", items., wire_queue_bytes, WIRE_PUT_ITEMS_MAX),
};
LAYOUT_RULED(wire_queue_put, "queue_put", wire_rule_queue_put);

static const struct wire_field fields_wire_queue_get[] = {
    U64(wire_queue_get, request),
    TEXT(wire_queue_get, name, WIRE_NAME_BYTES_MAX),
    U64(wire_queue_get, item),
    U64(wire_queue_get, hand),
};
LAYOUT_RULED(wire_queue_get, "queue_get", wire_rule_queue_get);

static const struct wire_field fields_wire_queue_item[] = {
    U64(wire_queue_item, request),
    U64(wire_queue_item, item),
    U64(wire_queue_item, hand),
    STRUCT(wire_queue_item, content, wire_queue_bytes),
};
LAYOUT_RULED(wire_queue_item, "queue_item", wire_rule_queue_item);

static const struct wire_field fields_wire_queue_done[] = {
    U64(wire_queue_done, request),
    U64(wire_queue_done, item),
    U64(wire_queue_done, hand),
    BOOL(wire_queue_done, is_done),
};
LAYOUT(wire_queue_done, "queue_done");

static const struct wire_field fields_wire_queue_answer[] = {
    U64(wire_queue_answer, request),
    ENUM(wire_queue_answer, error, WIRE_ERRORS, wire_error_text),
    TEXT(wire_queue_answer, text, WIRE_REASON_BYTES_MAX),
};
LAYOUT(wire_queue_answer, "queue_answer");

LAYOUT_EMPTY(wire_queue_all, "queue_all");

static const struct wire_field fields_wire_queue_query[] = {U64(wire_queue_query, request)};
LAYOUT(wire_queue_query, "queue_query");

static const struct wire_field fields_wire_queue_rows[] = {
    U64(wire_queue_rows, request),
    ITEMS(wire_queue_rows, "rows", rows., wire_queue_row, WIRE_QUEUES_MAX),
};
LAYOUT(wire_queue_rows, "queue_rows");

/* --- client and daemon -------------------------------------------------------------------------
 */

static const struct wire_field fields_wire_queue_add[] = {
    U64(wire_queue_add, id),
    TEXT(wire_queue_add, name, WIRE_NAME_BYTES_MAX),
    ITEMS(wire_queue_add, "items", items., wire_queue_bytes, WIRE_PUT_ITEMS_MAX),
};
LAYOUT_RULED(wire_queue_add, "queue_add", wire_rule_queue_add);

static const struct wire_field fields_wire_queue_take[] = {
    U64(wire_queue_take, id),
    TEXT(wire_queue_take, name, WIRE_NAME_BYTES_MAX),
};
LAYOUT_RULED(wire_queue_take, "queue_take", wire_rule_queue_take);

static const struct wire_field fields_wire_queue_taken[] = {
    U64(wire_queue_taken, id),
    STRUCT(wire_queue_taken, content, wire_queue_bytes),
};
LAYOUT(wire_queue_taken, "queue_taken");

static const struct wire_field fields_wire_queue_end[] = {
    U64(wire_queue_end, id),
    BOOL(wire_queue_end, is_done),
};
LAYOUT(wire_queue_end, "queue_end");

static const struct wire_field fields_wire_queue_reply[] = {
    U64(wire_queue_reply, id),
    ENUM(wire_queue_reply, error, WIRE_ERRORS, wire_error_text),
    TEXT(wire_queue_reply, text, WIRE_REASON_BYTES_MAX),
};
LAYOUT(wire_queue_reply, "queue_reply");

static const struct wire_field fields_wire_queue_remove[] = {
    TEXT(wire_queue_remove, name, WIRE_NAME_BYTES_MAX),
};
LAYOUT_RULED(wire_queue_remove, "queue_remove", wire_rule_queue_remove);

LAYOUT_EMPTY(wire_queues_query, "queues_query");

static const struct wire_field fields_wire_queues_list[] = {
    ITEMS(wire_queues_list, "rows", rows., wire_queue_row, WIRE_LIST_MAX),
};
LAYOUT(wire_queues_list, "queues_list");

#endif
