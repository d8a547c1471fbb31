/* Attempts that are calls: what they read stands in memory before they begin.
 *
 * A call that refers to nothing goes to its cell at once. One that does waits until its blobs are
 * copied (shared_memory.h), and holds the copies until it has ended. */
#include <errno.h>
#include <string.h>

#include "mesh/executor_internal.h"
#include "wire/base/mem.h"

/* What a call needs beside its few words. The uses come first the arguments' (has_args), then one
 * for each blob it refers to. */
struct exec_call {
    struct exec_attempt *attempt;
    bool has_args;
    uint32_t n_uses;
    uint32_t n_waits; /* uses that are not there yet */
    int error;        /* of the first that failed */
    enum wire_end kill_end;
    struct slice function; /* behind the uses */
    struct slice args;
    struct shared_use uses[];
};

void executor_call_done(struct exec_attempt *attempt)
{
    struct exec_call *call = attempt->call;
    for (uint32_t i = 0; call != NULL && i < call->n_uses; i++) {
        shared_memory_give(attempt->executor->memory, &call->uses[i]);
    }
    attempt->call = mem_free(call);
}

bool executor_call_is_waiting(const struct exec_attempt *attempt)
{
    return attempt->call != NULL && attempt->call->n_waits > 0;
}

void executor_call_kill(struct exec_attempt *attempt, enum wire_end end)
{
    struct exec_call *call = attempt->call;
    if (call->kill_end == WIRE_END_NONE) {
        call->kill_end = end; /* seen when the copies are there: no event may be put from here */
    }
}

static enum wire_refusal refusal_of(int error)
{
    if (error == -ENOENT) {
        return WIRE_REFUSAL_NO_BLOB;
    }
    return error == -ENOMEM || error == -ENOSPC ? WIRE_REFUSAL_NO_MEMORY : WIRE_REFUSAL_NO_CELL;
}

static int start(struct exec_attempt *attempt, struct slice function, struct slice args,
                 struct errmsg *err)
{
    const struct exec_call *with = attempt->call;
    struct cell_ref refs[1 + WIRE_CALL_REFS_MAX];
    uint32_t n_uses = with != NULL ? with->n_uses : 0;
    uint32_t n_args = with != NULL && with->has_args;
    for (uint32_t i = 0; i < n_uses; i++) {
        refs[i] = (struct cell_ref){.fd = shared_use_fd(&with->uses[i]),
                                    .bytes = shared_use_bytes(&with->uses[i])};
    }
    const struct cell_call call = {
        .function = function,
        .attempt = attempt->id.number,
        .args = args,
        .big_args = n_args > 0 ? &refs[0] : NULL,
        .refs = &refs[n_args],
        .n_refs = n_uses - n_args,
        .lease_ms = attempt->lease_ms,
    };
    return cell_call(attempt->cell->cell, &call, err);
}

/* The last copy is there, or has failed. */
static void go_on(struct exec_attempt *attempt)
{
    struct exec_call *call = attempt->call;
    struct errmsg err = {""};
    int rc = call->error;
    if (call->kill_end != WIRE_END_NONE) {
        executor_end_unbegun(attempt, call->kill_end);
        return;
    }
    if (rc < 0) {
        errmsg_set(&err, "cannot bring what the call reads into memory: %s", strerror(-rc));
    } else {
        rc = start(attempt, call->function, call->args, &err);
    }
    if (rc < 0) {
        executor_refuse(attempt, refusal_of(rc), &err, true);
    }
}

static void on_ready(void *user, int error)
{
    struct exec_call *call = user;
    ensure(call->n_waits > 0);
    call->n_waits--;
    call->error = call->error < 0 ? call->error : error;
    if (call->n_waits == 0) {
        go_on(call->attempt);
    }
}

static struct slice copy_slice(uint8_t **to, struct slice from)
{
    struct slice copy = slice_of(*to, from.n);
    if (from.n > 0) {
        memcpy(*to, from.p, from.n);
    }
    *to += from.n;
    return copy;
}

/* Begins to take every blob. 0, -EINPROGRESS, or another -errno. */
static int take_blobs(struct exec_call *call, const struct core_effect *effect)
{
    struct shared_memory *memory = call->attempt->executor->memory;
    for (uint32_t i = 0; i < call->n_uses; i++) {
        const struct wire_hash *hash = call->has_args && i == 0
                                           ? &effect->start.input
                                           : &effect->start.refs.items[i - call->has_args].hash;
        struct shared_use *use = &call->uses[i];
        use->on_ready = on_ready;
        use->user = call;
        int rc = shared_memory_take(memory, hash, use);
        if (rc == -EINPROGRESS) {
            call->n_waits++;
        } else if (rc < 0) {
            return rc;
        }
    }
    return call->n_waits > 0 ? -EINPROGRESS : 0;
}

static int prepare(struct exec_attempt *attempt, const struct core_effect *effect,
                   struct slice function)
{
    struct slice args = effect->start.args;
    uint32_t n_uses = effect->start.refs.n + effect->start.has_input;
    struct exec_call *call =
        mem_alloc(1, sizeof *call + n_uses * sizeof call->uses[0] + function.n + args.n);
    if (call == NULL) {
        return -ENOMEM;
    }
    uint8_t *to = (uint8_t *)&call->uses[n_uses];
    call->attempt = attempt;
    call->has_args = effect->start.has_input;
    call->n_uses = n_uses;
    call->function = copy_slice(&to, function);
    call->args = copy_slice(&to, args);
    attempt->call = call;
    return take_blobs(call, effect);
}

int executor_call_start(struct exec_attempt *attempt, const struct core_effect *effect,
                        enum wire_refusal *reterr_why, struct errmsg *err)
{
    struct slice function = effect->start.argv.items[0];
    int rc = 0;
    ensure(effect->start.refs.n <= WIRE_CALL_REFS_MAX); /* the codec saw to it */
    if (effect->start.has_input || effect->start.refs.n > 0) {
        rc = prepare(attempt, effect, function);
    }
    if (rc == -EINPROGRESS) {
        return 0;
    }
    if (rc < 0) {
        errmsg_set(err, "cannot bring what the call reads into memory: %s", strerror(-rc));
    } else {
        rc = start(attempt, function, effect->start.args, err);
    }
    if (rc < 0) {
        *reterr_why = refusal_of(rc);
        executor_call_done(attempt);
    }
    return rc;
}
