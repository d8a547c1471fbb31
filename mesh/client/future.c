/* One call, as its submitter sees it: how it ends, and what may be asked of it. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "mesh/client/handle.h"
#include "wire/base/mem.h"
#include "wire/base/text.h"

mesh_future *mesh_future_new(mesh *m)
{
    mesh_future *future = mem_alloc(1, sizeof(*future));
    if (future != NULL) {
        future->magic = MESH_MAGIC_LIVE;
        future->m = m;
        future->n_refs = 1; /* ours, until it is done */
        mesh_body_init(&future->args);
        mesh_body_init(&future->result);
    }
    return future;
}

struct mesh_extra *mesh_future_extra(mesh_future *future)
{
    if (future->extra == NULL) {
        future->extra = mem_alloc(1, sizeof(*future->extra));
        if (future->extra != NULL) {
            future->extra->future = future;
            mesh_body_init(&future->extra->printed);
            mesh_body_init(&future->extra->plan);
        }
    }
    return future->extra;
}

/* --- freeing -----------------------------------------------------------------------------------
 */

static void extra_free(struct mesh_extra *extra)
{
    if (extra == NULL) {
        return;
    }
    mesh_body_done(&extra->printed);
    mesh_body_done(&extra->plan);
    mem_free(extra->refs);
    mem_free(extra->deps);
    mem_free(extra->dependents);
    mem_free(extra->inouts);
    mem_free(extra->text);
    mem_free(extra->string);
    mem_free(extra->printed_text);
    mem_free(extra);
}

/* What is left of it where freed futures are recognised. */
static bool keep_freed(mesh_future *future)
{
#ifdef MESH_CHECKED
    mesh *m = future->m;
    if (future->is_chunk || m->is_closing) {
        return false;
    }
    list_push_back(&m->freed, &future->queue);
    if (++m->n_freed > MESH_FREED_MAX) {
        struct list *oldest = m->freed.next;
        list_remove(oldest);
        m->n_freed--;
        mem_free(LIST_ENTRY(oldest, mesh_future, queue));
    }
    return true;
#else
    return false;
#endif
}

void mesh_freed_done(mesh *m)
{
    while (!list_is_empty(&m->freed)) {
        struct list *first = m->freed.next;
        list_remove(first);
        mem_free(LIST_ENTRY(first, mesh_future, queue));
    }
}

static void forget_refused(const mesh_future *future)
{
    if (future->m->refused.future == future) {
        future->m->refused.future = NULL;
    }
}

void mesh_future_delete(mesh_future *future)
{
    future->magic = MESH_MAGIC_FREED;
    forget_refused(future);
    list_remove(&future->all);
    list_remove(&future->queue);
    if (future->extra != NULL) {
        mesh_group_forget(future);
        if (future->m->is_closing) { /* others that it refers to may be gone */
            future->extra->n_deps = 0;
        }
        mesh_drop_arguments(future);
        if (!future->extra->is_settled) {
            mesh_ranges_drop(future);
        }
    }
    if (future->data != NULL) {
        future->data->maker = NULL;
        mesh_data_unref(future->data);
    }
    mesh_body_done(&future->args);
    mesh_body_done(&future->result);
    extra_free(future->extra);
    future->extra = NULL;
    if (!keep_freed(future)) {
        mem_free(future);
    }
}

void mesh_future_unref(mesh_future *future)
{
    mesh *m = future->m;
    if (--future->n_refs > 0) {
        return;
    }
    list_remove(&future->queue);
    list_push_back(&m->dying, &future->queue);
    if (m->is_burying) {
        return; /* a chain of them may be long: not by recursion */
    }
    m->is_burying = true;
    while (!list_is_empty(&m->dying)) {
        mesh_future_delete(LIST_ENTRY(m->dying.next, mesh_future, queue));
    }
    m->is_burying = false;
}

mesh_future *mesh_free(mesh_future *future)
{
    if (future == NULL) {
        return NULL;
    }
    mesh *m = future->m;
    mesh_lock(m);
    if (!future->is_user) {
        mesh_set_error(m, MESH_EINVAL, "a future was freed twice");
        mesh_unlock(m);
        return NULL;
    }
    struct mesh_extra *extra = future->extra;
    if (extra != NULL) {
        mesh_group_forget(future);
        if (extra->on_done != NULL) {
            extra->on_done = NULL;
        }
        if (extra->is_settling) {
            mesh_settle(future); /* another thread writes: until it has, the buffers are not free */
        } else if (!extra->is_settled) {
            mesh_ranges_drop(future);
            extra->is_settled = true;
        }
    }
    if (future->state != MESH_CALL_DONE && (extra == NULL || extra->n_dependents == 0)) {
        mesh_finish(future, MESH_ECANCELLED, "freed before it was done");
    }
    future->is_user = false;
    mesh_away_freed(future);
    mesh_future_unref(future);
    mesh_wake_waits(m);
    mesh_unlock(m);
    return NULL;
}

/* --- ending ------------------------------------------------------------------------------------
 */

static void set_text(mesh_future *future, const char *text)
{
    struct mesh_extra *extra = text != NULL ? mesh_future_extra(future) : NULL;
    if (extra != NULL && extra->text == NULL) {
        extra->text = mem_strndup(text, strlen(text)); /* NULL: the error's own words stand in */
    }
}

/* Out of whatever list or table holds calls of its state. */
static void take_out(mesh_future *future)
{
    if (future->state == MESH_CALL_SENT) {
        mesh_tasks_take(&future->job->sent, future->task);
        mesh_job_cancel_call(future);
    }
    list_remove(&future->queue);
}

void mesh_tell_dependents(mesh_future *future)
{
    struct mesh_extra *extra = future->extra;
    for (uint32_t i = 0; i < extra->n_dependents; i++) {
        mesh_future *dependent = extra->dependents[i];
        if (dependent->state == MESH_CALL_BLOCKED && --dependent->extra->n_deps_open == 0) {
            list_push_back(&future->m->resolvable, &dependent->queue);
            mesh_wake(future->m);
        }
        mesh_future_unref(dependent);
    }
    extra->n_dependents = 0;
}

void mesh_drop_arguments(mesh_future *future)
{
    struct mesh_extra *extra = future->extra;
    uint32_t n_refs = extra->n_refs;
    uint32_t n_deps = extra->n_deps;
    extra->n_refs = extra->n_deps = 0;
    for (uint32_t i = 0; i < n_refs; i++) {
        mesh_data_unref(extra->refs[i]);
    }
    for (uint32_t i = 0; i < n_deps; i++) {
        mesh_future_unref(extra->deps[i]);
    }
}

void mesh_finish(mesh_future *future, int error, const char *text)
{
    mesh *m = future->m;
    if (future->state == MESH_CALL_DONE) {
        return;
    }
    take_out(future);
    future->state = MESH_CALL_DONE;
    future->error = error;
    set_text(future, text);
    list_remove(&future->all);
    list_push_back(&m->ended, &future->all);
    m->n_open--;
    if (future->extra == NULL) {
        mesh_body_done(&future->args);
    } else {
        mesh_away_finish(future);
        mesh_tell_dependents(future);
        future->extra->is_settled |= future->extra->n_inouts == 0;
        if (future->extra->on_done != NULL) {
            future->n_refs++;
            future->extra->is_calling = true;
            m->n_calling++;
            list_push_back(&m->called, &future->queue);
            mesh_wake(m);
        } else if (future->extra->group != NULL) {
            mesh_group_on_done(future);
        }
    }
    if (future->piece != NULL) {
        mesh_map_on_done(future);
    }
    if (future->extra != NULL && future->extra->remakes != NULL) {
        mesh_away_deliver(future);
    }
    mesh_future_unref(future);
}

void mesh_future_spoil(mesh_future *future, int error, const char *text)
{
    future->error = error;
    set_text(future, text);
    mesh_wake_waits(future->m);
}

static int error_of_status(uint32_t status)
{
    switch (status) {
    case WIRE_CALL_OK:
        return MESH_OK;
    case WIRE_CALL_NO_FUNCTION:
        return MESH_EFUNCTION;
    case WIRE_CALL_BAD_ARGUMENT:
        return MESH_ETYPE;
    case WIRE_CALL_NO_RESULT:
        return MESH_ENONE;
    case WIRE_CALL_NO_MEMORY:
        return MESH_ENOMEM;
    default:
        return status >= WIRE_CALL_EXITED ? MESH_ECRASHED : MESH_EFAILED;
    }
}

static int error_of_end(const struct wire_result *result)
{
    switch (result->end) {
    case WIRE_END_EXITED:
        return error_of_status(result->status);
    case WIRE_END_SIGNALED:
        return MESH_ECRASHED;
    case WIRE_END_TIMEOUT:
        return MESH_ELATE;
    case WIRE_END_CANCELLED:
        return MESH_ECANCELLED;
    case WIRE_END_OUTPUT_LIMIT:
        return MESH_ELIMIT;
    case WIRE_END_NO_DISK:
        return MESH_EIO;
    case WIRE_END_NOT_STARTED:
        return MESH_ESTART;
    default:
        return MESH_ELOST;
    }
}

/* Why there is no result: what happened, then the remote end's words. */
static void describe(const mesh_future *future, const struct wire_done *done, struct errmsg *err)
{
    const struct wire_result *result = &done->result;
    char detail[WIRE_REASON_BYTES_MAX * 2];
    char peer[WIRE_NAME_BYTES_MAX + 1];
    text_printable(result->detail, detail, sizeof(detail));
    text_printable(done->peer_name, peer, sizeof(peer));
    const char *function = future->function->text;
    const char *colon = detail[0] != '\0' ? ": " : "";
    switch (result->end) {
    case WIRE_END_EXITED:
        if (result->status >= WIRE_CALL_EXITED) {
            errmsg_set(err, "%s: its worker on %s exited with status %u%s%s", function, peer,
                       result->status - WIRE_CALL_EXITED, colon, detail);
        } else if (detail[0] != '\0') {
            errmsg_set(err, "%s", detail);
        } else {
            errmsg_set(err, "%s: %s", function, mesh_strerror(error_of_status(result->status)));
        }
        return;
    case WIRE_END_SIGNALED:
        errmsg_set(err, "%s: its worker on %s was killed by signal %u (%s)%s%s", function, peer,
                   result->status, strsignal((int)result->status), colon, detail);
        return;
    case WIRE_END_NOT_STARTED:
        errmsg_set(err, "%s: %s%s%s", function, wire_refusal_text(done->refusal), colon, detail);
        return;
    default:
        errmsg_set(err, "%s: %s%s%s", function, wire_end_text(result->end), colon, detail);
    }
}

/* 0 or -errno. */
static int take_inline(struct mesh_body *body, struct slice bytes)
{
    void *p = bytes.n > 0 ? mem_dup(bytes.p, bytes.n) : NULL;
    if (p == NULL && bytes.n > 0) {
        return -ENOMEM;
    }
    *body = (struct mesh_body){.p = p, .n = bytes.n, .fd = -1};
    return 0;
}

/* A value in a blob: the descriptor is both what we read and what may be passed on. */
static int take_blob(mesh_future *future, const struct wire_output *out, int fd)
{
    mesh *m = future->m;
    int copy = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    int r = copy >= 0 ? -ENOMEM : -EMFILE;
    struct mesh_data *data = copy >= 0 ? mesh_data_new(m, copy, out->bytes) : NULL;
    if (data == NULL) {
        mesh_data_release(m, &out->hash);
        if (copy >= 0) {
            close(copy);
        }
        if (fd >= 0) {
            close(fd);
        }
        return r;
    }
    data->hash = out->hash;
    data->generation = m->generation;
    data->maker = future;
    future->data = data;
    future->result = mesh_body_of_file(fd, out->bytes);
    return 0;
}

static int take_printed(mesh_future *future, const struct wire_output *err, unsigned i_fd)
{
    if (err->bytes == 0) {
        return 0;
    }
    bool is_blob = err->bytes > err->inlined.n;
    int fd = is_blob ? mesh_client_take_fd(future->m->client, i_fd) : -1;
    if (is_blob) {
        mesh_data_release(future->m, &err->hash);
    }
    struct mesh_extra *extra = mesh_future_extra(future);
    if (extra == NULL) {
        if (fd >= 0) {
            close(fd);
        }
        return -ENOMEM;
    }
    if (is_blob) {
        extra->printed = (struct mesh_body){.n = err->bytes, .fd = fd};
        return 0;
    }
    return take_inline(&extra->printed, err->inlined);
}

void mesh_finish_done(mesh_future *future, const struct wire_done *done)
{
    const struct wire_result *result = &done->result;
    struct errmsg err = {{0}};
    bool is_blob = result->out.bytes > result->out.inlined.n;
    int error = error_of_end(result);
    /* It was taken out of the table by its number already. */
    future->state = MESH_CALL_WAITING;
    if (result->end == WIRE_END_NO_DATA && mesh_away_has_lost(future)) {
        mesh_away_block(future);
        return;
    }
    int r = 0;
    if (done->is_away) {
        is_blob = false; /* the descriptor of what it printed is the first */
    } else if (is_blob) {
        r = take_blob(future, &result->out, mesh_client_take_fd(future->m->client, 0));
    } else {
        r = take_inline(&future->result, result->out.inlined);
    }
    int printed = take_printed(future, &result->err, is_blob);
    r = r == 0 ? printed : r;
    future->wall_us = result->wall_us;
    mesh_count(future, done, error != 0);
    if (error != 0) {
        describe(future, done, &err);
    } else if (r < 0) {
        error = mesh_error_of(r);
    }
    if (done->is_away && error == 0) {
        mesh_away_done(future, done);
        return;
    }
    if (done->is_away) {
        mesh_data_release(future->m, &result->out.hash);
    }
    mesh_finish(future, error, error != 0 && err.text[0] != '\0' ? err.text : NULL);
}

/* --- in-out buffers and callbacks --------------------------------------------------------------
 */

/* Without the lock: nobody else looks at the result meanwhile. 0, or -EPROTO or -errno. */
static int write_back(mesh_future *future)
{
    struct mesh_items items;
    struct mesh_item item;
    int r = mesh_body_map(&future->result);
    r = r == 0 ? mesh_items_init(&items, mesh_body_slice(&future->result)) : r;
    r = r == 0 ? mesh_items_next(&items, &item) : r; /* the value */
    struct mesh_items from = items;
    const struct mesh_extra *extra = future->extra;
    for (uint32_t i = 0; r == 0 && i < extra->n_inouts; i++) {
        r = mesh_items_next(&items, &item);
        if (r == 0 && (item.kind != MESH_ITEM_EXT || item.ext != MESH_EXT_INOUT ||
                       item.bytes.n != extra->inouts[i].n)) {
            r = -EPROTO;
        }
    }
    for (uint32_t i = 0; r == 0 && i < extra->n_inouts; i++) {
        r = mesh_items_next(&from, &item);
        if (r == 0 && item.bytes.n > 0) {
            memcpy(extra->inouts[i].p, item.bytes.p, item.bytes.n);
        }
    }
    return r == -ENODATA ? -EPROTO : r;
}

static bool is_settled(struct mesh_wait *wait)
{
    const mesh_future *future = wait->what;
    return future->extra->is_settled;
}

void mesh_settle(mesh_future *future)
{
    mesh *m = future->m;
    struct mesh_extra *extra = future->extra;
    forget_refused(future);
    if (extra == NULL || extra->n_inouts == 0 || extra->is_settled) {
        return;
    }
    if (extra->is_settling) {
        struct mesh_wait wait = {.is_over = is_settled, .what = future};
        IGNORE(mesh_wait_short(m, &wait, MESH_FOREVER)); /* want of memory: too early for once */
        return;
    }
    extra->is_settling = true;
    if (future->error == 0) {
        mesh_unlock(m);
        int r = write_back(future);
        mesh_lock(m);
        if (r < 0) {
            future->error = r == -EPROTO ? MESH_ETYPE : mesh_error_of(r);
            set_text(future, r == -EPROTO ? "the in-out arguments did not come back" : NULL);
        }
    }
    mesh_ranges_drop(future);
    extra->is_settled = true;
    extra->is_settling = false;
    mesh_wake_waits(m);
}

void mesh_call_back(mesh *m)
{
    while (!list_is_empty(&m->called)) {
        mesh_future *future = LIST_ENTRY(m->called.next, mesh_future, queue);
        list_remove(&future->queue);
        if (future->is_user && future->extra->on_done != NULL) {
            mesh_settle(future);
            void (*on_done)(mesh_future *, void *) = future->extra->on_done;
            void *user = future->extra->user;
            future->extra->on_done = NULL;
            mesh_wake_waits(m); /* callbacks may take long */
            mesh_unlock(m);
            on_done(future, user);
            mesh_lock(m);
        }
        future->extra->is_calling = false;
        m->n_calling--;
        if (future->extra->group != NULL) {
            mesh_group_on_done(future);
        }
        mesh_future_unref(future);
    }
}
