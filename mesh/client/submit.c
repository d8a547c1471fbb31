/* From values to a call that waits to be sent. The bytes of the arguments are made in the caller's
 * thread, without the lock; what refers to other calls and to data is hung on under it. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "mesh/client/handle.h"
#include "wire/base/mem.h"
#include "wire/base/text.h"

struct mesh_value mesh_string(const char *text)
{
    return mesh_value_of_bytes(MESH_STRING, text, text != NULL ? strlen(text) : 0);
}

/* --- what it is about --------------------------------------------------------------------------
 */

int mesh_name_get(mesh *m, const char *text, const struct mesh_name **ret_name)
{
    size_t n = text != NULL ? strlen(text) : 0;
    if (n == 0 || n >= MESH_FUNCTION_BYTES || !text_is_utf8(slice_of(text, n))) {
        return MESH_EINVAL;
    }
    list_for_each (it, &m->names) {
        struct mesh_name *name = LIST_ENTRY(it, struct mesh_name, node);
        if (name->n == n && memcmp(name->text, text, n) == 0) {
            *ret_name = name;
            return 0;
        }
    }
    struct mesh_name *name = mem_alloc(1, sizeof(*name) + n + 1);
    if (name == NULL) {
        return MESH_ENOMEM;
    }
    name->n = n;
    memcpy(name->text, text, n);
    list_push_back(&m->names, &name->node);
    *ret_name = name;
    return 0;
}

int mesh_needs_of(const mesh *m, const struct mesh_call *call, bool is_raw,
                  struct mesh_needs *ret_needs)
{
    struct mesh_needs needs;
    memset(&needs, 0, sizeof(needs)); /* compared as bytes */
    needs.cores = 1;
    needs.runs_max = 1;
    if (call != NULL) {
        if (call->cores > WIRE_CORES_MAX || !(call->timeout >= 0) ||
            (call->arch != NULL && strlen(call->arch) > WIRE_ARCH_BYTES_MAX)) {
            return MESH_EINVAL;
        }
        double ms = ceil(call->timeout * 1000);
        needs.cores = call->cores > 0 ? call->cores : 1;
        needs.runs_max = call->runs_max > 0 ? call->runs_max : 1;
        needs.timeout_ms = ms < 1e15 ? (uint64_t)ms : 0; /* for ever is none */
        needs.mem_bytes = call->mem_bytes;
        needs.priority = call->priority;
        needs.is_once = call->is_once;
        needs.no_speculate = call->no_speculate;
        snprintf(needs.arch, sizeof(needs.arch), "%s", call->arch != NULL ? call->arch : "");
    }
    if (is_raw && m->n_programs > 1) {
        if (needs.arch[0] != '\0' && strcmp(needs.arch, m->arch) != 0) {
            return MESH_EINVAL; /* the bytes would mean something else there */
        }
        snprintf(needs.arch, sizeof(needs.arch), "%s", m->arch);
    }
    *ret_needs = needs;
    return 0;
}

/* --- values ------------------------------------------------------------------------------------
 */

struct counts {
    uint32_t n_refs, n_deps, n_inouts;
    bool is_raw;
};

static int check_value(const mesh *m, const struct mesh_value *value, struct counts *counts)
{
    switch (value->type) {
    case MESH_INT:
    case MESH_DOUBLE:
        return 0;
    case MESH_STRING:
        return value->as.borrowed == NULL ? MESH_EINVAL : 0;
    case MESH_RAW:
        counts->is_raw = true;
        return value->as.borrowed == NULL && value->bytes > 0 ? MESH_EINVAL : 0;
    case MESH_BYTES:
        return value->as.borrowed == NULL && value->bytes > 0 ? MESH_EINVAL : 0;
    case MESH_INOUT:
        counts->is_raw = true;
        counts->n_inouts++;
        return value->as.inout == NULL && value->bytes > 0 ? MESH_EINVAL : 0;
    case MESH_DATA:
        counts->n_refs++;
        return value->as.data == NULL || value->as.data->m != m ? MESH_EINVAL : 0;
    case MESH_FUTURE:
        counts->n_deps++;
        return value->as.future == NULL || value->as.future->m != m ||
                       value->as.future->magic != MESH_MAGIC_LIVE
                   ? MESH_EINVAL
                   : 0;
    default:
        return MESH_EINVAL;
    }
}

int mesh_write_value(struct mesh_writer *writer, const struct mesh_value *value, uint32_t i_ref)
{
    struct slice bytes = slice_of(value->as.borrowed, value->bytes);
    switch (value->type) {
    case MESH_INT:
        mesh_writer_int(writer, value->as.integer);
        return 0;
    case MESH_DOUBLE:
        mesh_writer_double(writer, value->as.real);
        return 0;
    case MESH_STRING:
        mesh_writer_string(writer, bytes);
        return 0;
    case MESH_BYTES:
        mesh_writer_bytes(writer, bytes);
        return 0;
    case MESH_RAW:
        mesh_writer_ext(writer, MESH_EXT_RAW + (int)mesh_layout(), bytes);
        return 0;
    case MESH_INOUT:
        mesh_writer_ext(writer, MESH_EXT_INOUT, slice_of(value->as.inout, value->bytes));
        return 0;
    case MESH_DATA:
        mesh_writer_index(writer, MESH_EXT_REF, i_ref);
        return 0;
    case MESH_FUTURE:
        mesh_writer_index(writer, MESH_EXT_FUTURE, i_ref);
        return 0;
    default:
        return MESH_EINVAL;
    }
}

static int write_values(const struct mesh_value *values, size_t n_values, struct mesh_body *args)
{
    struct mesh_writer writer;
    uint32_t i_ref = 0;
    uint32_t i_dep = 0;
    mesh_writer_init(&writer);
    for (size_t i = 0; i < n_values; i++) {
        bool is_dep = values[i].type == MESH_FUTURE;
        int r = mesh_write_value(&writer, &values[i], is_dep ? i_dep : i_ref);
        if (r < 0) {
            mesh_writer_done(&writer);
            return r;
        }
        i_dep += is_dep;
        i_ref += values[i].type == MESH_DATA;
    }
    return mesh_error_of(mesh_writer_finish(&writer, WIRE_INLINE_BYTES_MAX, args));
}

/* --- hanging it on -----------------------------------------------------------------------------
 */

/* Arrays for what the values refer to. */
static int make_room(mesh_future *future, const struct counts *counts)
{
    if (counts->n_refs == 0 && counts->n_deps == 0 && counts->n_inouts == 0) {
        return 0;
    }
    struct mesh_extra *extra = mesh_future_extra(future);
    if (extra == NULL) {
        return MESH_ENOMEM;
    }
    size_t n_refs = (size_t)counts->n_refs + counts->n_deps; /* a result may come by reference */
    extra->refs = mem_alloc(n_refs, sizeof(*extra->refs));
    extra->deps = mem_alloc(counts->n_deps, sizeof(*extra->deps));
    extra->inouts = mem_alloc(counts->n_inouts, sizeof(*extra->inouts));
    extra->n_deps_open = counts->n_deps > 0; /* ours: nothing is put in before all is written */
    return extra->refs == NULL || extra->deps == NULL || extra->inouts == NULL ? MESH_ENOMEM : 0;
}

/* The buffers are ours from now on; those that are only read must not be another's. */
static int take_buffers(mesh_future *future, const struct mesh_value *values, size_t n_values)
{
    for (size_t i = 0; i < n_values; i++) {
        const struct mesh_value *value = &values[i];
        if ((value->type == MESH_BYTES || value->type == MESH_RAW) &&
            mesh_ranges_has(future->m, value->as.borrowed, value->bytes)) {
            return MESH_EBUSY;
        }
    }
    for (size_t i = 0; i < n_values; i++) {
        if (values[i].type == MESH_INOUT) {
            int r = mesh_ranges_add(future, values[i].as.inout, values[i].bytes);
            if (r < 0) {
                return r;
            }
            future->extra->inouts[future->extra->n_inouts++] =
                (struct mesh_inout){.p = values[i].as.inout, .n = values[i].bytes};
        }
    }
    return 0;
}

int mesh_add_dependent(mesh_future *dep, mesh_future *future)
{
    struct mesh_extra *extra = mesh_future_extra(dep);
    if (extra == NULL) {
        return MESH_ENOMEM;
    }
    if (extra->n_dependents == extra->cap_dependents) {
        uint32_t cap = extra->cap_dependents * 2 + 4;
        mesh_future **dependents = mem_realloc(extra->dependents, cap, sizeof(*dependents));
        if (dependents == NULL) {
            return MESH_ENOMEM;
        }
        extra->dependents = dependents;
        extra->cap_dependents = cap;
    }
    extra->dependents[extra->n_dependents++] = future;
    future->n_refs++;
    return 0;
}

static int take_refs(mesh_future *future, const struct mesh_value *values, size_t n_values)
{
    for (size_t i = 0; i < n_values; i++) {
        struct mesh_extra *extra = future->extra;
        if (values[i].type == MESH_DATA) {
            values[i].as.data->n_refs++;
            extra->refs[extra->n_refs++] = values[i].as.data;
        } else if (values[i].type == MESH_FUTURE) {
            mesh_future *dep = values[i].as.future;
            if (mesh_future_extra(dep) == NULL) {
                return MESH_ENOMEM;
            }
            if (dep->state != MESH_CALL_DONE) {
                int r = mesh_add_dependent(dep, future);
                if (r < 0) {
                    return r;
                }
                extra->n_deps_open++;
            }
            dep->n_refs++;
            dep->extra->n_readers++;
            extra->deps[extra->n_deps++] = dep;
        }
    }
    if (future->extra != NULL) {
        future->extra->n_own_refs = future->extra->n_refs;
    }
    return 0;
}

static int take_call(mesh_future *future, const struct mesh_call *call)
{
    if (call == NULL || (call->group == NULL && call->on_done == NULL && !call->keeps_result)) {
        return 0;
    }
    struct mesh_extra *extra = mesh_future_extra(future);
    if (extra == NULL) {
        return MESH_ENOMEM;
    }
    if (call->group != NULL && call->group->m != future->m) {
        return MESH_EINVAL;
    }
    extra->on_done = call->on_done;
    extra->user = call->user;
    extra->keeps_result = call->keeps_result;
    if (call->group != NULL) {
        extra->group = call->group;
        call->group->n_open++;
        list_push_back(&call->group->calls, &extra->in_group);
    }
    return 0;
}

/* The job is looked up only now: one that nothing waits for may go at any time. 0, MESH_ENOMEM,
 * MESH_ELIMIT. */
static int queue_call(mesh_future *future, const struct mesh_needs *needs)
{
    int r = mesh_job_get(future->m, needs, &future->job);
    if (r == 0) {
        future->state = MESH_CALL_WAITING;
        list_push_back(&future->job->waiting, &future->queue);
        mesh_wake(future->m);
    }
    return r;
}

void mesh_queue_again(mesh_future *future)
{
    int r = queue_call(future, &future->extra->needs);
    if (r < 0) {
        mesh_finish(future, r, NULL);
    }
}

static bool has_room(struct mesh_wait *wait)
{
    const mesh *m = wait->what;
    return m->n_open < MESH_CALLS_MAX || m->lost != 0;
}

/* What goes wrong has its text in err. */
static int prepare(mesh_future *future, const struct mesh_call *call, const char *function,
                   const struct mesh_value *values, size_t n_values, struct mesh_needs *ret_needs,
                   struct errmsg *err)
{
    mesh *m = future->m;
    struct counts counts = {0};
    if (n_values > MESH_VALUES_MAX) {
        errmsg_set(err, "a call takes %u values at most", MESH_VALUES_MAX);
        return MESH_ELIMIT;
    }
    for (size_t i = 0; i < n_values; i++) {
        if (check_value(m, &values[i], &counts) < 0) {
            bool was_not_put = values[i].type == MESH_DATA && values[i].as.data == NULL;
            errmsg_set(err, "argument %zu: %s", i,
                       was_not_put && m->error != 0
                           ? m->texts[m->i_text]
                           : "it is NULL, or was freed, or is another handle's");
            return MESH_EINVAL;
        }
    }
    int r = take_call(future, call);
    r = r == 0 ? mesh_needs_of(m, call, counts.is_raw, ret_needs) : r;
    if (r == 0) {
        r = mesh_name_get(m, function, &future->function);
    }
    if (r < 0) {
        errmsg_set(err, "%s",
                   r == MESH_EINVAL ? "the call's options or the function's name make "
                                      "no sense"
                                    : mesh_strerror(r));
        return r;
    }
    r = make_room(future, &counts);
    r = r == 0 ? take_refs(future, values, n_values) : r;
    r = r == 0 ? take_buffers(future, values, n_values) : r;
    if (r < 0) {
        errmsg_set(err, "%s", mesh_strerror(r));
    }
    return r;
}

/* Writes the values with the lock given up: buffers that are read are nobody else's by now. Who
 * ends the call meanwhile does not find them. */
static int write_late(mesh_future *future, const struct mesh_value *values, size_t n_values)
{
    struct mesh_body args;
    mesh_unlock(future->m);
    int r = write_values(values, n_values, &args);
    mesh_lock(future->m);
    if (r == 0 && future->state != MESH_CALL_DONE) {
        future->args = args;
    } else if (r == 0) {
        mesh_body_done(&args);
    }
    return r;
}

static void note_refused(const mesh_future *future, const struct mesh_value *values,
                         size_t n_values)
{
    struct mesh_refused *refused = &future->m->refused;
    for (size_t i = 0; i < n_values && refused->future == NULL; i++) {
        if (values[i].type == MESH_INOUT) {
            refused->future = future;
            refused->start = (uintptr_t)values[i].as.inout;
            refused->end = refused->start + values[i].bytes;
        }
    }
}

/* All that was passed is written: queues it, unless results are missing. 0 or an error. */
static int start_call(mesh_future *future, const struct mesh_needs *needs)
{
    struct mesh_extra *extra = future->extra;
    if (extra != NULL) {
        extra->needs = *needs;
    }
    if (extra == NULL || extra->n_deps == 0) {
        return queue_call(future, needs);
    }
    if (--extra->n_deps_open == 0) { /* what it reads is done, but may be lost since */
        list_push_back(&future->m->blocked, &future->queue);
        mesh_wake(future->m);
    }
    return 0;
}

mesh_future *mesh_submit_values(mesh *m, const struct mesh_call *call, const char *function,
                                const struct mesh_value *values, size_t n_values)
{
    struct errmsg err;
    struct mesh_needs needs;
    mesh_future *future = m != NULL ? mesh_future_new(m) : NULL;
    if (future == NULL) {
        return NULL;
    }
    /* Written before the lock is taken where nothing can be the matter with the buffers. */
    bool is_early = !atomic_load_explicit(&m->has_ranges, memory_order_relaxed);
    for (size_t i = 0; i < n_values && is_early; i++) {
        is_early = values[i].type == MESH_INT || values[i].type == MESH_DOUBLE ||
                   ((values[i].type == MESH_BYTES || values[i].type == MESH_RAW ||
                     values[i].type == MESH_STRING) &&
                    values[i].as.borrowed != NULL);
    }
    int r = is_early ? write_values(values, n_values, &future->args) : 0;
    mesh_lock(m);
    if (m->n_open >= MESH_CALLS_MAX) {
        struct mesh_wait wait = {.is_over = has_room, .what = m};
        IGNORE(mesh_wait_until(m, &wait, MESH_FOREVER)); /* a callback goes beyond the limit */
    }
    future->is_user = true;
    future->n_refs++;
    future->serial = ++m->next_serial;
    list_push_back(&m->futures, &future->all);
    m->n_open++;
    errmsg_set(&err, "%s", mesh_strerror(r));
    int prepared = prepare(future, call, function, values, n_values, &needs, &err);
    r = r == 0 ? prepared : r;
    future->n_refs++; /* of its own, for its callback may free it as soon as it is done */
    if (r == 0 && !is_early) {
        r = write_late(future, values, n_values);
        errmsg_set(&err, "%s", mesh_strerror(r));
    }
    if (r == 0 && future->state != MESH_CALL_DONE) { /* nobody ended it while it was written */
        r = start_call(future, &needs);
        errmsg_set(&err, "%s", mesh_strerror(r));
    }
    if (m->lost != 0) {
        r = m->lost;
        errmsg_set(&err, "%s", m->texts[m->i_text]);
    }
    if (r < 0) {
        note_refused(future, values, n_values);
        mesh_finish(future, r, err.text);
        mesh_wake_waits(m);
        if (!m->has_thread) {
            mesh_call_back(m);
        }
    }
    mesh_future_unref(future);
    mesh_unlock(m);
    return future;
}

mesh_future *mesh_submit_chunk(mesh *m, const struct mesh_needs *needs,
                               const struct mesh_name *function, struct mesh_body *args,
                               struct mesh_data *const *refs, uint32_t n_refs)
{
    mesh_future *future = mesh_future_new(m);
    if (future == NULL) {
        return NULL;
    }
    struct counts counts = {.n_refs = n_refs};
    future->is_chunk = true;
    if (make_room(future, &counts) < 0 || queue_call(future, needs) < 0) {
        mesh_future_delete(future);
        return NULL;
    }
    future->function = function;
    future->args = *args;
    mesh_body_init(args);
    for (uint32_t i = 0; i < n_refs; i++) {
        refs[i]->n_refs++;
        future->extra->refs[future->extra->n_refs++] = refs[i];
    }
    future->serial = ++m->next_serial;
    list_push_back(&m->futures, &future->all);
    m->n_open++;
    return future;
}

/* --- results as arguments ----------------------------------------------------------------------
 */

/* Writes the value that the call `dep` returned: as it is, or by reference to its blob. */
static int write_result(struct mesh_writer *writer, mesh_future *future, mesh_future *dep)
{
    struct mesh_items items;
    struct mesh_item item;
    struct mesh_extra *extra = future->extra;
    if (dep->data != NULL) {
        dep->data->n_refs++;
        mesh_writer_index(writer, MESH_EXT_RESULT, extra->n_refs);
        extra->refs[extra->n_refs++] = dep->data;
        return 0;
    }
    if (mesh_items_init(&items, mesh_body_slice(&dep->result)) < 0 ||
        mesh_items_next(&items, &item) < 0) {
        mesh_writer_nil(writer);
        return 0;
    }
    mesh_writer_copy(writer,
                     slice_part(mesh_body_slice(&dep->result), item.at, item.end - item.at));
    return 0;
}

static int write_resolved(struct mesh_writer *writer, mesh_future *future)
{
    struct mesh_items items;
    struct mesh_item item;
    int r = mesh_body_map(&future->args);
    r = r == 0 ? mesh_items_init(&items, mesh_body_slice(&future->args)) : r;
    while (r == 0 && (r = mesh_items_next(&items, &item)) == 0) {
        if (item.kind != MESH_ITEM_EXT) {
            /* Through the writer, so that what was aligned still is. */
            mesh_writer_item(writer, &item);
        } else if (item.ext != MESH_EXT_FUTURE) {
            mesh_writer_ext(writer, item.ext, item.bytes);
        } else {
            r = write_result(writer, future, future->extra->deps[mesh_item_index(&item)]);
        }
    }
    return r == -ENODATA ? 0 : r;
}

/* A dependency that failed: with its error the whole call fails. */
static bool has_failed_dep(mesh_future *future)
{
    struct errmsg err;
    for (uint32_t i = 0; i < future->extra->n_deps; i++) {
        const mesh_future *dep = future->extra->deps[i];
        if (dep->error != 0) {
            const char *why = dep->extra != NULL ? dep->extra->text : NULL;
            errmsg_set(&err, "%s, whose result is an argument: %s",
                       dep->function != NULL ? dep->function->text : "a call",
                       why != NULL ? why : mesh_strerror(dep->error));
            mesh_finish(future, dep->error, err.text);
            return true;
        }
    }
    return false;
}

/* One that was read a moment ago is lost by now. */
static bool has_lost_dep(const mesh_future *future)
{
    for (uint32_t i = 0; i < future->extra->n_deps; i++) {
        const mesh_future *dep = future->extra->deps[i];
        if (dep->extra->is_dropped || (dep->data != NULL && dep->data->is_lost)) {
            return true;
        }
    }
    return false;
}

void mesh_resolve(mesh_future *future)
{
    struct mesh_writer writer;
    struct mesh_body args;
    list_remove(&future->queue);
    if (has_failed_dep(future)) {
        return;
    }
    if (has_lost_dep(future)) {
        list_push_back(&future->m->blocked, &future->queue);
        mesh_wake(future->m);
        return;
    }
    mesh_writer_init(&writer);
    int r = write_resolved(&writer, future);
    if (r < 0) {
        mesh_writer_done(&writer);
    } else {
        r = mesh_writer_finish(&writer, WIRE_INLINE_BYTES_MAX, &args);
    }
    if (r == 0 && future->extra->n_refs > WIRE_CALL_REFS_MAX) {
        mesh_body_done(&args);
        r = -E2BIG;
    }
    if (r < 0) {
        mesh_finish(future, mesh_error_of(r), NULL);
        return;
    }
    future->extra->plan = future->args; /* for the case that a result is lost */
    future->args = args;
    mesh_queue_again(future);
}
