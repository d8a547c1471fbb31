/* What makes a meshd of the protocol's next version out of this one, by the linker (--wrap), so
 * that nothing of it is in the programs that users run: its hello names the version and has a field
 * more; every message to a peer, and every structure in it, has one more field behind those that
 * there are; now and then a message goes out of a kind that nobody knows. All of it is what a later
 * version may do (wire/README.md), and what this one has to skip.
 *
 * At its end it says what it did, for the scenario to see that it was done. */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "discovery/discovery.h"
#include "wire/message_codec.h"
#include "wire/message_layout.h"
#include "wire/outbox.h"
#include "wire/pack.h"
#include "wire/session.h"
#include "wire/unpack.h"

#define NEXT_VERSION      (WIRE_VERSION_MAX + 1)
#define UNKNOWN_KIND      60000u
#define UNKNOWN_EVERY     4u
#define HELLO_TEXTS       4u /* the last of them is its last field */
#define BODY_ENCLOSES     1u /* an array: the body's */
#define ENCODED_BYTES_MAX (4u << 20)

static unsigned hello_texts_left; /* of the hello that is being made */
static bool is_to_peer;           /* and not to a local client, or to disk */
static bool is_unknown_wanted;
static unsigned n_messages, n_unknown, n_longer, n_hellos, highest_version;

int __real_disc_start(uv_loop_t *loop, const struct disc_config *config, struct disc **ret_disc,
                      struct errmsg *err);
int __wrap_disc_start(uv_loop_t *loop, const struct disc_config *config, struct disc **ret_disc,
                      struct errmsg *err);
struct wire_session *__real_wire_session_new(const struct wire_session_config *config);
struct wire_session *__wrap_wire_session_new(const struct wire_session_config *config);
void __real_wire_pack_array(struct buf *to, uint32_t n);
void __wrap_wire_pack_array(struct buf *to, uint32_t n);
void __real_wire_pack_str(struct buf *to, struct slice s);
void __wrap_wire_pack_str(struct buf *to, struct slice s);
int __real_wire_message_encode(const struct wire_message *message, struct buf *to);
int __wrap_wire_message_encode(const struct wire_message *message, struct buf *to);
int __real_wire_outbox_put(struct wire_outbox *outbox, const struct wire_message *message,
                           bool is_bulk, bool is_final);
int __wrap_wire_outbox_put(struct wire_outbox *outbox, const struct wire_message *message,
                           bool is_bulk, bool is_final);
uint32_t __real_wire_session_version(const struct wire_session *session);
uint32_t __wrap_wire_session_version(const struct wire_session *session);

/* --- who it says it is ---------------------------------------------------------------------- */

int __wrap_disc_start(uv_loop_t *loop, const struct disc_config *config, struct disc **ret_disc,
                      struct errmsg *err)
{
    struct disc_config next = *config;
    next.version = NEXT_VERSION;
    return __real_disc_start(loop, &next, ret_disc, err);
}

struct wire_session *__wrap_wire_session_new(const struct wire_session_config *config)
{
    struct wire_session_config next = *config;
    next.hello.version_max = NEXT_VERSION;
    hello_texts_left = HELLO_TEXTS;
    struct wire_session *session = __real_wire_session_new(&next);
    n_hellos += hello_texts_left == 0;
    hello_texts_left = 0;
    return session;
}

void __wrap_wire_pack_array(struct buf *to, uint32_t n)
{
    __real_wire_pack_array(to, hello_texts_left > 0 ? n + 1 : n);
}

void __wrap_wire_pack_str(struct buf *to, struct slice s)
{
    __real_wire_pack_str(to, s);
    if (hello_texts_left > 0 && --hello_texts_left == 0) {
        __real_wire_pack_str(to, slice_str("a field of the next version"));
    }
}

uint32_t __wrap_wire_session_version(const struct wire_session *session)
{
    uint32_t version = __real_wire_session_version(session);
    highest_version = version > highest_version ? version : highest_version;
    return version;
}

/* --- what it sends -------------------------------------------------------------------------- */

/* A field that there is not yet: not just a number, for those who skip it have to look into it. */
static void pack_new_field(struct buf *to)
{
    __real_wire_pack_array(to, 2);
    wire_pack_uint(to, 7);
    __real_wire_pack_str(to, slice_str("next"));
}

static void copy_fields(const struct wire_layout *layout, struct wire_unpack *from, struct buf *to);

static void copy_one(struct wire_unpack *from, struct buf *to)
{
    const uint8_t *begin = from->p;
    wire_unpack_skip(from);
    buf_append(to, begin, (size_t)(from->p - begin));
}

static void copy_object(const struct wire_layout *layout, struct wire_unpack *from, struct buf *to)
{
    uint32_t n = wire_unpack_array_begin(from, UINT32_MAX, 1);
    ensure(n == layout->n_fields);
    __real_wire_pack_array(to, n + 1);
    copy_fields(layout, from, to);
    wire_unpack_array_end(from, 0);
    pack_new_field(to);
}

static void copy_fields(const struct wire_layout *layout, struct wire_unpack *from, struct buf *to)
{
    for (uint32_t i = 0; i < layout->n_fields; i++) {
        const struct wire_field *field = &layout->fields[i];
        if (field->kind == WIRE_KIND_STRUCT) {
            copy_object(field->layout, from, to);
        } else if (field->kind == WIRE_KIND_ITEMS) {
            uint32_t n = wire_unpack_array_begin(from, UINT32_MAX, 1);
            __real_wire_pack_array(to, n);
            for (uint32_t k = 0; k < n; k++) {
                copy_object(field->layout, from, to);
            }
            wire_unpack_array_end(from, 0);
        } else {
            copy_one(from, to);
        }
    }
}

static void pack_longer(struct slice encoded, uint32_t type, struct buf *to)
{
    const struct wire_layout *layout = wire_layout_of(type);
    struct wire_unpack from;
    wire_unpack_init(&from, encoded, BODY_ENCLOSES);
    uint32_t n = wire_unpack_array_begin(&from, UINT32_MAX, 1);
    __real_wire_pack_array(to, n + 1);
    copy_one(&from, to); /* its number */
    copy_fields(layout, &from, to);
    wire_unpack_array_end(&from, 0);
    pack_new_field(to);
    ensure(wire_unpack_error(&from) == 0);
    ensure(wire_unpack_rest(&from).n == 0);
    n_longer++;
}

static void pack_unknown(struct buf *to)
{
    __real_wire_pack_array(to, 3);
    wire_pack_uint(to, UNKNOWN_KIND);
    pack_new_field(to);
    wire_pack_bool(to, true);
    n_unknown++;
}

int __wrap_wire_message_encode(const struct wire_message *message, struct buf *to)
{
    if (!is_to_peer) {
        return __real_wire_message_encode(message, to);
    }
    size_t n_before = to->n;
    struct buf encoded;
    buf_init(&encoded, ENCODED_BYTES_MAX);
    int r = buf_error(to);
    if (r == 0) {
        r = __real_wire_message_encode(message, &encoded);
    }
    if (r == 0) {
        if (is_unknown_wanted) {
            pack_unknown(to);
        } else {
            pack_longer(buf_slice(&encoded), message->type, to);
        }
        r = buf_error(to);
        if (r < 0) {
            to->n = n_before;
            to->error = 0;
        }
    }
    buf_done(&encoded);
    return r;
}

int __wrap_wire_outbox_put(struct wire_outbox *outbox, const struct wire_message *message,
                           bool is_bulk, bool is_final)
{
    is_to_peer = true;
    if (!is_final && ++n_messages % UNKNOWN_EVERY == 0) {
        is_unknown_wanted = true;
        IGNORE(__real_wire_outbox_put(outbox, message, is_bulk, false)); /* nobody waits for it */
        is_unknown_wanted = false;
    }
    int r = __real_wire_outbox_put(outbox, message, is_bulk, is_final);
    is_to_peer = false;
    return r;
}

__attribute__((destructor)) static void say(void)
{
    fprintf(stderr, "next version: %u hellos, %u longer messages, %u unknown ones, version %u\n",
            n_hellos, n_longer, n_unknown, highest_version);
}
