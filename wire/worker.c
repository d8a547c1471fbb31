#include "wire/worker.h"

#include <assert.h>
#include <errno.h>

#include "wire/base/text.h"
#include "wire/pack.h"
#include "wire/unpack.h"

/* The largest number takes 9 bytes, the header of a string 5; nothing that the limits allow fails
 * to fit a packet. */
static_assert(WIRE_FUNCTIONS_MAX * (WIRE_FUNCTION_BYTES_MAX + 5u) + WIRE_VERSION_BYTES_MAX + 64u <=
                  WIRE_WORKER_BYTES_MAX,
              "a hello fits a packet");
static_assert(WIRE_INLINE_BYTES_MAX + WIRE_FUNCTION_BYTES_MAX + WIRE_NAME_BYTES_MAX +
                      WIRE_CALL_REFS_MAX * 9u + 64u <=
                  WIRE_WORKER_BYTES_MAX,
              "a call fits a packet");
static_assert(WIRE_INLINE_BYTES_MAX + WIRE_REASON_BYTES_MAX + 128u <= WIRE_WORKER_BYTES_MAX,
              "a return fits a packet");
static_assert(1u + WIRE_CALL_REFS_MAX <= WIRE_WORKER_FDS_MAX, "as many descriptors travel as may");

/* Fields of this version; a newer one may have more. */
#define HELLO_FIELDS  4u
#define CALL_FIELDS   8u
#define RETURN_FIELDS 9u
#define FIELDS_MAX    64u

/* --- bodies ------------------------------------------------------------------------------------
 */

static bool is_body_sound(const struct wire_worker_body *body)
{
    if (body->is_fd) {
        return body->inlined.n == 0;
    }
    return body->inlined.n <= WIRE_INLINE_BYTES_MAX && body->bytes == body->inlined.n;
}

/* The bytes, or how many there are in the descriptor. */
static void pack_body(struct buf *to, const struct wire_worker_body *body)
{
    wire_pack_bool(to, body->is_fd);
    if (body->is_fd) {
        wire_pack_uint(to, body->bytes);
    } else {
        wire_pack_bin(to, body->inlined);
    }
}

static void unpack_body(struct wire_unpack *from, struct wire_worker_body *ret)
{
    *ret = (struct wire_worker_body){.is_fd = wire_unpack_bool(from)};
    if (ret->is_fd) {
        ret->bytes = wire_unpack_uint(from, INT64_MAX); /* as large as a file may be */
    } else {
        ret->inlined = wire_unpack_bin(from, WIRE_INLINE_BYTES_MAX);
        ret->bytes = ret->inlined.n;
    }
}

static bool is_function_name(struct slice name)
{
    return name.n > 0 && name.n <= WIRE_FUNCTION_BYTES_MAX && text_is_utf8(name);
}

static void unpack_function_name(struct wire_unpack *from, struct slice *ret)
{
    *ret = wire_unpack_str(from, WIRE_FUNCTION_BYTES_MAX);
    if (!is_function_name(*ret)) {
        wire_unpack_fail(from, "not a name of a function");
    }
}

/* --- encoding ----------------------------------------------------------------------------------
 */

static int result_of(const struct buf *to)
{
    ensure(buf_error(to) != -ENOBUFS); /* see the assertions at the top */
    return buf_error(to);
}

int wire_worker_hello_encode(const struct wire_worker_hello *hello, struct buf *to)
{
    if (hello->n_functions > WIRE_FUNCTIONS_MAX || hello->library.n > WIRE_VERSION_BYTES_MAX) {
        return -EINVAL;
    }
    for (uint32_t i = 0; i < hello->n_functions; i++) {
        if (!is_function_name(hello->functions[i])) {
            return -EINVAL;
        }
    }
    wire_pack_array(to, HELLO_FIELDS);
    wire_pack_uint(to, WIRE_WORKER_HELLO);
    wire_pack_uint(to, hello->version);
    wire_pack_str(to, hello->library);
    wire_pack_array(to, hello->n_functions);
    for (uint32_t i = 0; i < hello->n_functions; i++) {
        wire_pack_str(to, hello->functions[i]);
    }
    return result_of(to);
}

int wire_worker_call_encode(const struct wire_worker_call *call, struct buf *to)
{
    if (!is_function_name(call->function) || call->peer.n > WIRE_NAME_BYTES_MAX ||
        !is_body_sound(&call->args) || call->n_refs > WIRE_CALL_REFS_MAX) {
        return -EINVAL;
    }
    wire_pack_array(to, CALL_FIELDS);
    wire_pack_uint(to, WIRE_WORKER_CALL);
    wire_pack_uint(to, call->serial);
    wire_pack_str(to, call->function);
    wire_pack_uint(to, call->attempt);
    wire_pack_str(to, call->peer);
    pack_body(to, &call->args);
    wire_pack_array(to, call->n_refs);
    for (uint32_t i = 0; i < call->n_refs; i++) {
        wire_pack_uint(to, call->ref_bytes[i]);
    }
    return result_of(to);
}

int wire_worker_return_encode(const struct wire_worker_return *ret, struct buf *to)
{
    if (ret->status > WIRE_CALL_STATUS_MAX || ret->text.n > WIRE_REASON_BYTES_MAX ||
        !is_body_sound(&ret->value)) {
        return -EINVAL;
    }
    wire_pack_array(to, RETURN_FIELDS);
    wire_pack_uint(to, WIRE_WORKER_RETURN);
    wire_pack_uint(to, ret->serial);
    wire_pack_uint(to, ret->status);
    pack_body(to, &ret->value);
    wire_pack_str(to, ret->text);
    wire_pack_uint(to, ret->user_us);
    wire_pack_uint(to, ret->sys_us);
    wire_pack_uint(to, ret->peak_kib);
    return result_of(to);
}

/* --- decoding ----------------------------------------------------------------------------------
 */

/* How many fields there are behind the type, which must be `type` where that is not NONE. */
static uint32_t begin(struct wire_unpack *from, struct slice packet, enum wire_worker_type type,
                      uint64_t *ret_type)
{
    wire_unpack_init(from, packet, 0);
    if (packet.n > WIRE_WORKER_BYTES_MAX) {
        wire_unpack_fail(from, "a packet that is too large");
    }
    uint32_t n = wire_unpack_array_begin(from, FIELDS_MAX, 1);
    *ret_type = wire_unpack_uint(from, UINT32_MAX);
    if (type != WIRE_WORKER_NONE && *ret_type != type) {
        wire_unpack_fail(from, "not the message that is due");
    }
    return n > 0 ? n - 1 : 0;
}

/* Skips what a newer version added, and looks that nothing follows. */
static int end(struct wire_unpack *from, uint32_t n_fields, uint32_t n_read,
               const char **reterr_fault)
{
    if (n_fields < n_read) {
        wire_unpack_fail(from, "too few fields");
    } else {
        wire_unpack_array_end(from, n_fields - n_read);
    }
    if (wire_unpack_rest(from).n > 0) {
        wire_unpack_fail(from, "something behind the message");
    }
    int rc = wire_unpack_error(from);
    if (rc < 0) {
        *reterr_fault = from->fault;
    }
    return rc;
}

int wire_worker_type_of(struct slice packet, enum wire_worker_type *ret_type)
{
    struct wire_unpack from;
    uint64_t type;
    IGNORE(begin(&from, packet, WIRE_WORKER_NONE, &type)); /* its fields are read by others */
    if (wire_unpack_error(&from) < 0) {
        return -EPROTO;
    }
    *ret_type = type <= WIRE_WORKER_RETURN ? (enum wire_worker_type)type : WIRE_WORKER_NONE;
    return 0;
}

int wire_worker_hello_decode(struct slice packet, struct wire_worker_hello *ret,
                             const char **reterr_fault)
{
    struct wire_unpack from;
    uint64_t type;
    uint32_t n_fields = begin(&from, packet, WIRE_WORKER_HELLO, &type);
    ret->n_functions = 0;
    ret->version = (uint32_t)wire_unpack_uint(&from, UINT32_MAX);
    if (wire_unpack_error(&from) == 0 && ret->version != WIRE_WORKER_VERSION) {
        ret->library = (struct slice){0};
        return end(&from, n_fields, 1, reterr_fault);
    }
    ret->library = wire_unpack_str(&from, WIRE_VERSION_BYTES_MAX);
    uint32_t n = wire_unpack_array_begin(&from, WIRE_FUNCTIONS_MAX, 2);
    for (uint32_t i = 0; i < n; i++) {
        unpack_function_name(&from, &ret->functions[i]);
    }
    wire_unpack_array_end(&from, 0);
    ret->n_functions = n;
    return end(&from, n_fields, HELLO_FIELDS - 1, reterr_fault);
}

int wire_worker_call_decode(struct slice packet, struct wire_worker_call *ret,
                            const char **reterr_fault)
{
    struct wire_unpack from;
    uint64_t type;
    uint32_t n_fields = begin(&from, packet, WIRE_WORKER_CALL, &type);
    ret->serial = wire_unpack_uint(&from, UINT64_MAX);
    unpack_function_name(&from, &ret->function);
    ret->attempt = (uint32_t)wire_unpack_uint(&from, UINT32_MAX);
    ret->peer = wire_unpack_str(&from, WIRE_NAME_BYTES_MAX);
    unpack_body(&from, &ret->args);
    ret->n_refs = wire_unpack_array_begin(&from, WIRE_CALL_REFS_MAX, 1);
    for (uint32_t i = 0; i < ret->n_refs; i++) {
        ret->ref_bytes[i] = wire_unpack_uint(&from, INT64_MAX);
    }
    wire_unpack_array_end(&from, 0);
    return end(&from, n_fields, CALL_FIELDS - 1, reterr_fault);
}

int wire_worker_return_decode(struct slice packet, struct wire_worker_return *ret,
                              const char **reterr_fault)
{
    struct wire_unpack from;
    uint64_t type;
    uint32_t n_fields = begin(&from, packet, WIRE_WORKER_RETURN, &type);
    ret->serial = wire_unpack_uint(&from, UINT64_MAX);
    ret->status = (uint32_t)wire_unpack_uint(&from, WIRE_CALL_STATUS_MAX);
    unpack_body(&from, &ret->value);
    ret->text = wire_unpack_str(&from, WIRE_REASON_BYTES_MAX);
    ret->user_us = wire_unpack_uint(&from, UINT64_MAX);
    ret->sys_us = wire_unpack_uint(&from, UINT64_MAX);
    ret->peak_kib = wire_unpack_uint(&from, UINT64_MAX);
    return end(&from, n_fields, RETURN_FIELDS - 1, reterr_fault);
}

size_t wire_worker_call_fds(const struct wire_worker_call *call)
{
    return (call->args.is_fd ? 1u : 0u) + call->n_refs;
}

size_t wire_worker_return_fds(const struct wire_worker_return *ret)
{
    return ret->value.is_fd ? 1u : 0u;
}
