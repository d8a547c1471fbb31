/* What a daemon and a worker say to each other. A worker is a program, started once per cell, that
 * runs one call of a function after another; libmesh has its end, mesh/cell the daemon's.
 *
 * One SOCK_SEQPACKET pair. The worker finds its end at descriptor WIRE_WORKER_FD, and the
 * environment variable WIRE_WORKER_ENV holds that number. Each packet is one message, a msgpack
 * array [type, fields...] in the order below, of at most WIRE_WORKER_BYTES_MAX:
 *
 *     worker -> daemon   HELLO    once, before anything else, within WIRE_WORKER_HELLO_MS
 *     daemon -> worker   CALL     one at a time
 *     worker -> daemon   RETURN   one for each CALL, with its serial
 *
 * A body (a call's arguments, a value) is in the packet, or where it is large, in a descriptor that
 * travels with the packet as SCM_RIGHTS; what a call refers to is always in descriptors. All of
 * them are memory files, sealed with WIRE_WORKER_SEALS, whose size is the one that the message
 * says: wire_worker_call_fds() of them with a CALL, its arguments first; wire_worker_return_fds()
 * with a RETURN; none with a HELLO.
 *
 * A worker flushes what it printed before it sends RETURN: what is in the pipe of its output by
 * then belongs to the call. It ends when its socket does.
 *
 * Both ends take the other for a stranger. Trailing fields are skipped, so that either may be the
 * newer one; an end that cannot do with the other's version says so and ends. Slices that decoding
 * gives point into the packet. Nothing here allocates but the buffer that is encoded into. */
#ifndef MESH_WIRE_WORKER_H
#define MESH_WIRE_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire/base/buf.h"
#include "wire/base/ensure.h"
#include "wire/base/slice.h"
#include "wire/limits.h"

#define WIRE_WORKER_VERSION  1u
#define WIRE_WORKER_FD       3
#define WIRE_WORKER_ENV      "MESH_WORKER"
#define WIRE_WORKER_HELLO_MS 20000u
/* Of a memory file that is passed: nobody changes or cuts it under the other's eyes. */
#define WIRE_WORKER_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

enum wire_worker_type {
    WIRE_WORKER_NONE = 0, /* a type of a newer version */
    WIRE_WORKER_HELLO,
    WIRE_WORKER_CALL,
    WIRE_WORKER_RETURN,
};

struct wire_worker_hello {
    uint32_t version;     /* WIRE_WORKER_VERSION */
    struct slice library; /* the version of its libmesh, for people */
    uint32_t n_functions;
    struct slice functions[WIRE_FUNCTIONS_MAX]; /* their names: UTF-8, not empty */
};

struct wire_worker_body {
    bool is_fd; /* in a descriptor, else inlined */
    uint64_t bytes;
    struct slice inlined; /* at most WIRE_INLINE_BYTES_MAX; empty if is_fd */
};

struct wire_worker_call {
    uint64_t serial;
    struct slice function;
    uint32_t attempt;  /* counted from 1 */
    struct slice peer; /* the name of the one it runs on */
    struct wire_worker_body args;
    uint32_t n_refs;
    uint64_t ref_bytes[WIRE_CALL_REFS_MAX]; /* the size of each; its bytes are in a descriptor */
};

struct wire_worker_return {
    uint64_t serial;
    uint32_t status; /* of enum wire_call_status; at most WIRE_CALL_STATUS_MAX */
    struct wire_worker_body value;
    struct slice text; /* why it failed; at most WIRE_REASON_BYTES_MAX, need not be UTF-8 */
    uint64_t user_us;  /* processor time of the call, of all threads; not to be relied on */
    uint64_t sys_us;
    uint64_t peak_kib; /* of the worker since its start */
};

/* Each appends one packet to an empty buffer whose ceiling is WIRE_WORKER_BYTES_MAX. 0, -ENOMEM, or
 * -EINVAL when a field is beyond what the other end takes. */
int wire_worker_hello_encode(const struct wire_worker_hello *hello, struct buf *to) MUST_CHECK;
int wire_worker_call_encode(const struct wire_worker_call *call, struct buf *to) MUST_CHECK;
int wire_worker_return_encode(const struct wire_worker_return *ret, struct buf *to) MUST_CHECK;

/* What kind of message it is; 0 or -EPROTO. */
int wire_worker_type_of(struct slice packet, enum wire_worker_type *ret_type) MUST_CHECK;

/* The packet must be of that type. 0, or -EPROTO and in *reterr_fault a static text that says what
 * is wrong; *ret is then undefined. A hello of another version gives only its version. */
int wire_worker_hello_decode(struct slice packet, struct wire_worker_hello *ret,
                             const char **reterr_fault) MUST_CHECK;
int wire_worker_call_decode(struct slice packet, struct wire_worker_call *ret,
                            const char **reterr_fault) MUST_CHECK;
int wire_worker_return_decode(struct slice packet, struct wire_worker_return *ret,
                              const char **reterr_fault) MUST_CHECK;

/* How many descriptors travel with it. At most WIRE_WORKER_FDS_MAX. */
size_t wire_worker_call_fds(const struct wire_worker_call *call);
size_t wire_worker_return_fds(const struct wire_worker_return *ret);

#endif
