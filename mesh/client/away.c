/* Results that stay where they were made, until somebody reads them: the next call, over there, or
 * this program, for which the daemon fetches them then.
 *
 * Such a call is DONE as soon as another call waits for its result. What it was made of (function,
 * arguments, results it read) is kept until the result is here or nobody can ask for it any more:
 * if the peer that has it is lost, a call of our own makes it again, and so on back to what can be
 * had. A call that reads a lost result goes back to BLOCKED. A result that only calls could read,
 * and that no call reads now, is let go of: the peer's disk is not ours to fill. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "mesh/client/handle.h"
#include "wire/base/mem.h"

/* --- arguments ---------------------------------------------------------------------------------
 */

/* Of a call that is DONE: whether another can read its result, wherever it is. */
static bool is_readable(const mesh_future *future)
{
    bool is_dropped = future->extra != NULL && future->extra->is_dropped;
    return !is_dropped && (future->data == NULL || !future->data->is_lost);
}

static void maybe_drop(mesh_future *future)
{
    struct mesh_extra *extra = future->extra;
    if (future->state == MESH_CALL_DONE && !future->is_user && extra->has_lineage &&
        extra->n_readers == 0 && future->data != NULL && future->data->is_away) {
        struct mesh_data *data = future->data;
        future->data = NULL;
        data->maker = NULL;
        extra->is_dropped = true;
        mesh_data_unref(data);
    }
}

/* Results that the call read are no longer its affair; what was put for it stays with it. */
static void drop_results(mesh_future *future)
{
    struct mesh_extra *extra = future->extra;
    while (extra->n_refs > extra->n_own_refs) {
        mesh_data_unref(extra->refs[--extra->n_refs]);
    }
}

static void drop_lineage(mesh_future *future)
{
    struct mesh_extra *extra = future->extra;
    extra->has_lineage = false;
    mesh_body_done(&future->args);
    mesh_body_done(&extra->plan);
    mesh_drop_arguments(future);
}

static void forget_readings(mesh_future *future)
{
    struct mesh_extra *extra = future->extra;
    for (uint32_t i = 0; extra != NULL && i < extra->n_deps; i++) {
        extra->deps[i]->extra->n_readers--;
    }
}

void mesh_away_finish(mesh_future *future)
{
    struct mesh_extra *extra = future->extra;
    forget_readings(future);
    if (future->error == 0 && future->data != NULL && future->data->is_away) {
        extra->has_lineage = true;
        drop_results(future);
        if (extra->n_deps > 0) {
            mesh_body_done(&future->args); /* the plan has them as they were */
        }
    }
    for (uint32_t i = 0; i < extra->n_deps; i++) {
        maybe_drop(extra->deps[i]);
    }
    if (!extra->has_lineage) {
        drop_lineage(future);
    }
}

void mesh_away_freed(mesh_future *future)
{
    if (future->extra != NULL) {
        maybe_drop(future);
    }
}

/* --- making it again ---------------------------------------------------------------------------
 */

static int copy_body(const struct mesh_body *from, struct mesh_body *to)
{
    struct mesh_body copy = {.n = from->n, .fd = -1};
    if (from->fd >= 0) {
        copy.fd = fcntl(from->fd, F_DUPFD_CLOEXEC, 0);
        if (copy.fd < 0) {
            return -errno;
        }
    } else if (from->n > 0) {
        copy.p = mem_dup(from->p, (size_t)from->n);
        if (copy.p == NULL) {
            return -ENOMEM;
        }
    }
    *to = copy;
    return 0;
}

static int copy_arguments(mesh_future *to, const mesh_future *from)
{
    struct mesh_extra *extra = mesh_future_extra(to);
    const struct mesh_extra *of = from->extra;
    if (extra == NULL) {
        return -ENOMEM;
    }
    extra->refs = mem_alloc((size_t)of->n_own_refs + of->n_deps, sizeof(*extra->refs));
    extra->deps = mem_alloc(of->n_deps, sizeof(*extra->deps));
    if (extra->refs == NULL || extra->deps == NULL) {
        return -ENOMEM;
    }
    int r = copy_body(of->n_deps > 0 ? &of->plan : &from->args, &to->args);
    for (uint32_t i = 0; r == 0 && i < of->n_own_refs; i++) {
        extra->refs[i] = of->refs[i];
        extra->refs[i]->n_refs++;
        extra->n_refs = extra->n_own_refs = i + 1;
    }
    for (uint32_t i = 0; r == 0 && i < of->n_deps; i++) {
        extra->deps[i] = of->deps[i];
        extra->deps[i]->n_refs++;
        extra->deps[i]->extra->n_readers++;
        extra->n_deps = i + 1;
    }
    extra->needs = of->needs;
    extra->keeps_result = true;
    return r;
}

static void cannot_remake(mesh_future *future, int error, const char *why)
{
    struct errmsg err;
    errmsg_set(&err, "%s: its result was lost with the peer that had it, and %s",
               future->function->text, why);
    mesh_future_spoil(future, error, err.text);
    mesh_tell_dependents(future);
}

/* A call of our own that returns what this one did. */
static void remake(mesh_future *future)
{
    mesh *m = future->m;
    struct mesh_extra *extra = future->extra;
    if (extra->remake != NULL || future->error != 0) {
        return;
    }
    if (m->lost != 0) {
        cannot_remake(future, m->lost, "there is no daemon any more");
        return;
    }
    if (extra->needs.is_once != 0) {
        cannot_remake(future, MESH_ELOST, "it may not run again");
        return;
    }
    if (extra->n_remakes >= MESH_REMAKES_MAX) {
        cannot_remake(future, MESH_ELOST, "so it was again and again");
        return;
    }
    mesh_future *call = mesh_future_new(m);
    if (call == NULL || copy_arguments(call, future) < 0) {
        if (call != NULL) {
            forget_readings(call);
            mesh_future_unref(call);
        }
        cannot_remake(future, MESH_ENOMEM, "memory is short");
        return;
    }
    extra->n_remakes++;
    extra->remake = call;
    call->extra->remakes = future;
    future->n_refs++;
    call->function = future->function;
    call->serial = ++m->next_serial;
    list_push_back(&m->futures, &call->all);
    m->n_open++;
    call->state = MESH_CALL_BLOCKED;
    list_push_back(&m->blocked, &call->queue);
    mesh_wake(m);
}

void mesh_away_deliver(mesh_future *call)
{
    mesh_future *future = call->extra->remakes;
    struct mesh_extra *extra = future->extra;
    call->extra->remakes = NULL;
    extra->remake = NULL;
    if (call->error != 0) {
        mesh_future_spoil(future, call->error, call->extra->text);
    } else {
        struct mesh_data *old = future->data;
        future->data = call->data;
        call->data = NULL;
        future->result = call->result;
        mesh_body_init(&call->result);
        extra->is_dropped = false;
        if (future->data != NULL) {
            future->data->maker = future;
        }
        if (old != NULL) {
            old->maker = NULL;
            mesh_data_unref(old);
        }
        if (future->data == NULL || !future->data->is_away) {
            drop_lineage(future);
        }
    }
    mesh_tell_dependents(future);
    maybe_drop(future);
    mesh_future_unref(future);
}

/* --- calls that read what is lost --------------------------------------------------------------
 */

bool mesh_away_has_lost(const mesh_future *future)
{
    const struct mesh_extra *extra = future->extra;
    for (uint32_t i = 0; extra != NULL && i < extra->n_refs; i++) {
        if (extra->refs[i]->is_lost) {
            return true;
        }
    }
    return false;
}

void mesh_away_block(mesh_future *future)
{
    struct mesh_extra *extra = future->extra;
    list_remove(&future->queue);
    if (extra == NULL || extra->n_deps == 0 || ++future->n_losses > MESH_LOSSES_MAX) {
        mesh_finish(future, MESH_ELOST, "what it reads was lost, again and again");
        return;
    }
    drop_results(future);
    mesh_body_done(&future->args);
    future->args = extra->plan;
    mesh_body_init(&extra->plan);
    future->state = MESH_CALL_BLOCKED;
    list_push_back(&future->m->blocked, &future->queue);
    mesh_wake(future->m);
}

/* Waits for the result of that one, which is lost or is made again already. */
static int wait_for(mesh_future *dep, mesh_future *future)
{
    int r = mesh_add_dependent(dep, future);
    if (r == 0) {
        future->extra->n_deps_open++;
        remake(dep);
    }
    return r;
}

static void look_at(mesh_future *future)
{
    struct mesh_extra *extra = future->extra;
    int r = 0;
    future->n_refs++;       /* the loss of an argument may end it */
    extra->n_deps_open = 1; /* so that nobody sets it going meanwhile */
    for (uint32_t i = 0; r == 0 && i < extra->n_deps && future->state == MESH_CALL_BLOCKED; i++) {
        mesh_future *dep = extra->deps[i];
        if (dep->state != MESH_CALL_DONE) {
            r = mesh_add_dependent(dep, future);
            extra->n_deps_open += r == 0;
        } else if (dep->error == 0 && !is_readable(dep)) {
            r = wait_for(dep, future);
        }
    }
    if (r < 0) {
        mesh_finish(future, MESH_ENOMEM, NULL);
    } else if (future->state == MESH_CALL_BLOCKED && --extra->n_deps_open == 0) {
        list_push_back(&future->m->resolvable, &future->queue);
    }
    mesh_future_unref(future);
}

void mesh_away_run(mesh *m)
{
    while (!list_is_empty(&m->blocked)) { /* each may add those it reads */
        mesh_future *future = LIST_ENTRY(m->blocked.next, mesh_future, queue);
        list_remove(&future->queue);
        look_at(future);
    }
}

/* --- its way here ------------------------------------------------------------------------------
 */

static void ask(struct mesh_data *data)
{
    if (!data->is_asked) {
        data->is_asked = true;
        buf_append(&data->m->gets, &data->hash, sizeof(data->hash));
        mesh_wake(data->m);
    }
}

/* It ran, and what it returned is lost before it came here. */
static void run_again(mesh_future *future)
{
    struct mesh_extra *extra = future->extra;
    struct mesh_data *data = future->data;
    list_remove(&future->queue);
    future->data = NULL;
    data->maker = NULL;
    mesh_data_unref(data);
    if (extra->needs.is_once != 0) {
        mesh_finish(future, MESH_ELOST,
                    "its result was lost with the peer that had it, and it may "
                    "not run again");
    } else if (extra->n_deps > 0) {
        mesh_away_block(future);
    } else if (++future->n_losses > MESH_LOSSES_MAX) {
        mesh_finish(future, MESH_ELOST, "its result was lost, again and again");
    } else {
        mesh_queue_again(future);
    }
}

bool mesh_away_is_here(mesh_future *future)
{
    struct mesh_extra *extra = future->extra;
    if (future->error != 0 || (future->data == NULL && (extra == NULL || !extra->is_dropped)) ||
        (future->data != NULL && !future->data->is_away)) {
        return true;
    }
    if (is_readable(future)) {
        ask(future->data);
    } else {
        remake(future);
    }
    return future->error != 0;
}

void mesh_away_done(mesh_future *future, const struct wire_done *done)
{
    mesh *m = future->m;
    struct mesh_extra *extra = mesh_future_extra(future);
    struct mesh_data *data = extra != NULL ? mesh_data_new(m, -1, done->result.out.bytes) : NULL;
    if (data == NULL) {
        mesh_data_release(m, &done->result.out.hash);
        mesh_finish(future, MESH_ENOMEM, NULL);
        return;
    }
    data->hash = done->result.out.hash;
    data->generation = m->generation;
    data->is_away = true;
    data->maker = future;
    future->data = data;
    if (extra->n_deps == 0) {
        extra->needs = future->job->needs;
        extra->n_own_refs = extra->n_refs;
    }
    if (extra->n_dependents > 0 || extra->keeps_result) {
        mesh_finish(future, 0, NULL);
    } else {
        future->state = MESH_CALL_FETCHING;
        list_push_back(&m->fetching, &future->queue);
        ask(data);
    }
}

static struct mesh_data *find_asked(const mesh *m, const struct wire_hash *hash)
{
    list_for_each (it, &m->datas) {
        struct mesh_data *data = LIST_ENTRY(it, struct mesh_data, node);
        if (data->is_asked && data->is_away && data->generation == m->generation &&
            memcmp(&data->hash, hash, sizeof(*hash)) == 0) {
            return data;
        }
    }
    return NULL;
}

/* The bytes are here: for whoever reads them, and to be passed on. 0 or -errno. */
static int take(struct mesh_data *data, int fd)
{
    mesh_future *future = data->maker;
    data->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (data->fd < 0) {
        data->is_asked = false;
        return -errno;
    }
    data->is_away = data->is_asked = false;
    if (future == NULL) {
        close(fd);
        return 0;
    }
    future->result = mesh_body_of_file(fd, data->bytes);
    if (future->state == MESH_CALL_FETCHING) {
        mesh_finish(future, 0, NULL);
    } else {
        drop_lineage(future);
    }
    return 0;
}

static void failed(struct mesh_data *data, int error, const char *text)
{
    mesh_future *future = data->maker;
    data->is_asked = false;
    if (future != NULL && future->state == MESH_CALL_FETCHING) {
        mesh_finish(future, error, text);
    } else if (future != NULL) {
        mesh_future_spoil(future, error, text);
    }
}

void mesh_away_on_got(mesh *m, const struct wire_got *got)
{
    struct mesh_data *data = find_asked(m, &got->hash);
    if (data == NULL) {
        return; /* it was freed meanwhile; a descriptor is closed with the message */
    }
    if (got->error == WIRE_ERROR_NONE) {
        int fd = mesh_client_take_fd(m->client, 0);
        if (fd < 0 || take(data, fd) < 0) {
            if (fd >= 0) {
                close(fd);
            }
            failed(data, MESH_EIO, "no descriptor is left for its result");
        }
    } else if (got->error == WIRE_ERROR_UNAVAILABLE) {
        data->is_asked = false;
        data->is_lost = true;
        if (data->maker != NULL && data->maker->state == MESH_CALL_FETCHING) {
            run_again(data->maker);
        } else if (data->maker != NULL) {
            remake(data->maker); /* somebody waits for it */
        }
    } else {
        failed(data, MESH_EIO, "the daemon has no room for its result");
    }
}

void mesh_away_on_gone(mesh *m, const struct wire_hash *hash)
{
    list_for_each (it, &m->datas) {
        struct mesh_data *data = LIST_ENTRY(it, struct mesh_data, node);
        if (data->is_away && data->generation == m->generation &&
            memcmp(&data->hash, hash, sizeof(*hash)) == 0) {
            data->is_lost = true;
        }
    }
}

void mesh_away_lost(mesh *m)
{
    buf_clear(&m->gets);
    list_for_each (it, &m->datas) {
        struct mesh_data *data = LIST_ENTRY(it, struct mesh_data, node);
        data->is_lost |= data->is_away;
        if (data->is_asked && data->maker != NULL && data->maker->state == MESH_CALL_DONE) {
            remake(data->maker);
        }
        data->is_asked = false;
    }
    while (!list_is_empty(&m->fetching)) {
        run_again(LIST_ENTRY(m->fetching.next, mesh_future, queue));
    }
}
