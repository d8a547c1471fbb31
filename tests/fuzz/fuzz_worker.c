/* One packet between a daemon and a worker. What is taken is within its limits, and says the same
 * when it is sent on. */
#include "tests/fuzz/fuzz.h"
#include "wire/worker.h"

static void take_hello(struct slice packet, struct buf *again)
{
    static struct wire_worker_hello hello, back;
    const char *fault;
    if (wire_worker_hello_decode(packet, &hello, &fault) == 0) {
        ensure(wire_worker_hello_encode(&hello, again) == 0);
        ensure(wire_worker_hello_decode(buf_slice(again), &back, &fault) == 0);
        ensure(back.version == hello.version);
        ensure(back.n_functions == hello.n_functions);
    }
}

static void take_call(struct slice packet, struct buf *again)
{
    struct wire_worker_call call, back;
    const char *fault;
    if (wire_worker_call_decode(packet, &call, &fault) == 0) {
        ensure(wire_worker_call_fds(&call) <= WIRE_WORKER_FDS_MAX);
        ensure(wire_worker_call_encode(&call, again) == 0);
        ensure(wire_worker_call_decode(buf_slice(again), &back, &fault) == 0);
        ensure(back.serial == call.serial);
        ensure(slice_eq(back.args.inlined, call.args.inlined));
    }
}

static void take_return(struct slice packet, struct buf *again)
{
    struct wire_worker_return ret, back;
    const char *fault;
    if (wire_worker_return_decode(packet, &ret, &fault) == 0) {
        ensure(ret.value.is_fd || ret.value.bytes == ret.value.inlined.n);
        ensure(wire_worker_return_encode(&ret, again) == 0);
        ensure(wire_worker_return_decode(buf_slice(again), &back, &fault) == 0);
        ensure(back.serial == ret.serial);
        ensure(slice_eq(back.value.inlined, ret.value.inlined));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct slice packet = slice_of(bytes, n);
    enum wire_worker_type type;
    struct buf again;
    if (wire_worker_type_of(packet, &type) < 0) {
        return 0;
    }
    buf_init(&again, WIRE_WORKER_BYTES_MAX);
    if (type == WIRE_WORKER_HELLO) {
        take_hello(packet, &again);
    } else if (type == WIRE_WORKER_CALL) {
        take_call(packet, &again);
    } else if (type == WIRE_WORKER_RETURN) {
        take_return(packet, &again);
    }
    buf_done(&again);
    return 0;
}
