/* What may be asked of a call: whether it is done, how it ended, what it returned. */
#include <math.h>
#include <string.h>

#include "mesh/client/handle.h"
#include "wire/base/mem.h"

/* --- waiting and asking ------------------------------------------------------------------------
 */

/* Locks the handle, unless the future cannot be used: then MESH_EINVAL. */
static int enter(mesh_future *future)
{
    if (future == NULL) {
        return MESH_EINVAL;
    }
    mesh_lock(future->m);
    if (future->magic != MESH_MAGIC_LIVE || !future->is_user) {
        mesh_set_error(future->m, MESH_EINVAL, "a future was used after it was freed");
        mesh_unlock(future->m);
        return MESH_EINVAL;
    }
    return 0;
}

static bool is_done(struct mesh_wait *wait)
{
    const mesh_future *future = wait->what;
    return future->state == MESH_CALL_DONE;
}

static int wait_locked(mesh_future *future, double timeout)
{
    struct mesh_wait wait = {.is_over = is_done, .what = future};
    int r = future->state == MESH_CALL_DONE ? 0 : mesh_wait_until(future->m, &wait, timeout);
    if (r == 0) {
        mesh_settle(future);
    }
    return r;
}

int mesh_wait(mesh_future *future, double timeout)
{
    int r = enter(future);
    if (r == 0) {
        r = wait_locked(future, timeout);
        mesh_unlock(future->m);
    }
    return r;
}

bool mesh_is_done(mesh_future *future)
{
    return mesh_wait(future, 0) == 0;
}

int mesh_future_error(mesh_future *future)
{
    int r = enter(future);
    if (r == 0) {
        r = wait_locked(future, MESH_FOREVER);
        r = r == 0 ? future->error : r;
        r = r == 0 ? future->mistake : r;
        mesh_unlock(future->m);
    }
    return r;
}

const char *mesh_future_error_text(mesh_future *future)
{
    int r = enter(future);
    if (r < 0) {
        return future == NULL ? "no future: out of memory" : "a future was used after it was freed";
    }
    r = wait_locked(future, MESH_FOREVER);
    r = r == 0 ? future->error : r;
    const char *text = mesh_strerror(r);
    if (r == 0 && future->mistake != 0) {
        text = future->mistake == MESH_ENONE ? "the function set no result"
               : future->mistake == MESH_EINVAL
                   ? "the result is elsewhere: a callback may not wait for it"
                   : "the result is of another type";
    } else if (r == 0) {
        text = "";
    } else if (future->extra != NULL && future->extra->text != NULL) {
        text = future->extra->text;
    }
    mesh_unlock(future->m);
    return text;
}

void mesh_cancel(mesh_future *future)
{
    if (enter(future) == 0) {
        mesh *m = future->m;
        mesh_finish(future, MESH_ECANCELLED, "cancelled");
        mesh_wake_waits(m);
        mesh_unlock(m);
    }
}

/* --- results -----------------------------------------------------------------------------------
 */

/* What is away is asked for again where that came to nothing. */
static bool is_here(struct mesh_wait *wait)
{
    mesh_future *future = (mesh_future *)(uintptr_t)wait->what;
    return mesh_away_is_here(future);
}

/* The value it returned, with the lock held from here on where 0 is returned: then the caller
 * unlocks. */
static int begin_get(mesh_future *future, struct mesh_item *ret_item)
{
    int r = enter(future);
    if (r < 0) {
        return r;
    }
    struct mesh_items items;
    r = wait_locked(future, MESH_FOREVER);
    if (r == 0 && !mesh_away_is_here(future)) {
        struct mesh_wait wait = {.is_over = is_here, .what = future};
        r = mesh_wait_until(future->m, &wait, MESH_FOREVER);
        future->mistake = r; /* a callback may not wait for it */
    }
    r = r == 0 ? future->error : r;
    if (r == 0) {
        r = mesh_error_of(mesh_body_map(&future->result));
        if (r < 0) {
            future->error = r;
        }
    }
    if (r == 0) {
        bool is_there = mesh_items_init(&items, mesh_body_slice(&future->result)) == 0 &&
                        mesh_items_next(&items, ret_item) == 0 && ret_item->kind != MESH_ITEM_NIL;
        r = is_there ? 0 : MESH_ENONE;
        future->mistake = r;
    }
    if (r != 0) {
        mesh_unlock(future->m);
    }
    return r;
}

static void end_get(mesh_future *future, int mistake)
{
    future->mistake = mistake;
    mesh_unlock(future->m);
}

int64_t mesh_get_int(mesh_future *future)
{
    struct mesh_item item;
    if (begin_get(future, &item) != 0) {
        return 0;
    }
    bool is_int = item.kind == MESH_ITEM_INT;
    end_get(future, is_int ? 0 : MESH_ETYPE);
    return is_int ? item.integer : 0;
}

double mesh_get_double(mesh_future *future)
{
    struct mesh_item item;
    double value = (double)NAN;
    if (begin_get(future, &item) != 0) {
        return value;
    }
    if (item.kind == MESH_ITEM_DOUBLE) {
        value = item.real;
    } else if (item.kind == MESH_ITEM_INT && mesh_is_exact(item.integer)) {
        value = (double)item.integer;
    } else {
        end_get(future, MESH_ETYPE);
        return value;
    }
    end_get(future, 0);
    return value;
}

static bool has_bytes(const struct mesh_item *item)
{
    return item->kind == MESH_ITEM_STRING || item->kind == MESH_ITEM_BYTES ||
           (item->kind == MESH_ITEM_EXT && item->ext == MESH_EXT_RAW + (int)mesh_layout());
}

/* A copy that is aligned, ends with a NUL, and lives as long as the future. */
static const void *keep_copy(mesh_future *future, struct slice bytes)
{
    struct mesh_extra *extra = mesh_future_extra(future);
    if (extra != NULL && extra->string == NULL) {
        extra->string = mem_strndup((const char *)bytes.p, bytes.n);
    }
    return extra != NULL ? extra->string : NULL;
}

const char *mesh_get_string(mesh_future *future)
{
    struct mesh_item item;
    if (begin_get(future, &item) != 0) {
        return NULL;
    }
    bool is_string = item.kind == MESH_ITEM_STRING;
    const char *text = is_string ? keep_copy(future, item.bytes) : NULL;
    end_get(future, !is_string ? MESH_ETYPE : text == NULL ? MESH_ENOMEM : 0);
    return text;
}

const void *mesh_get_bytes(mesh_future *future, size_t *ret_bytes)
{
    struct mesh_item item;
    if (begin_get(future, &item) != 0) {
        return NULL;
    }
    if (!has_bytes(&item)) {
        end_get(future, MESH_ETYPE);
        return NULL;
    }
    bool is_aligned = (uintptr_t)item.bytes.p % MESH_ALIGN == 0;
    const void *bytes = is_aligned ? item.bytes.p : keep_copy(future, item.bytes);
    if (bytes != NULL && ret_bytes != NULL) {
        *ret_bytes = item.bytes.n;
    }
    end_get(future, bytes != NULL ? 0 : MESH_ENOMEM);
    return bytes;
}

int mesh_get_copy(mesh_future *future, void *buffer, size_t buffer_bytes, size_t *ret_bytes)
{
    struct mesh_item item;
    int r = begin_get(future, &item);
    if (r != 0) {
        return r;
    }
    if (!has_bytes(&item)) {
        r = MESH_ETYPE;
    } else {
        if (ret_bytes != NULL) {
            *ret_bytes = item.bytes.n;
        }
        r = item.bytes.n > buffer_bytes ? MESH_ESMALL : 0;
        if (r == 0 && item.bytes.n > 0) {
            memcpy(buffer, item.bytes.p, item.bytes.n);
        }
    }
    end_get(future, r == MESH_ETYPE ? r : 0);
    return r;
}

const char *mesh_future_peer(mesh_future *future)
{
    const char *name = "";
    if (enter(future) == 0) {
        name = future->peer != NULL ? future->peer->name : "";
        mesh_unlock(future->m);
    }
    return name;
}

double mesh_future_seconds(mesh_future *future)
{
    double seconds = 0;
    if (enter(future) == 0) {
        seconds = (double)future->wall_us / 1e6;
        mesh_unlock(future->m);
    }
    return seconds;
}

const char *mesh_future_printed(mesh_future *future)
{
    const char *text = NULL;
    if (enter(future) < 0) {
        return "";
    }
    struct mesh_extra *extra = future->extra;
    if (extra != NULL && extra->printed_text == NULL && extra->printed.n > 0 &&
        mesh_body_map(&extra->printed) == 0) {
        struct slice bytes = mesh_body_slice(&extra->printed);
        extra->printed_text = mem_strndup((const char *)bytes.p, bytes.n);
    }
    text = extra != NULL ? extra->printed_text : NULL;
    mesh_unlock(future->m);
    return text != NULL ? text : "";
}

/* --- several of them ---------------------------------------------------------------------------
 */

static bool is_any_done(struct mesh_wait *wait)
{
    mesh_future *const *futures = wait->what;
    for (size_t i = 0; i < wait->n; i++) {
        if (futures[i]->state == MESH_CALL_DONE) {
            wait->i = i;
            return true;
        }
    }
    return false;
}

static bool are_all_done(struct mesh_wait *wait)
{
    mesh_future *const *futures = wait->what;
    while (wait->i < wait->n && futures[wait->i]->state == MESH_CALL_DONE) {
        wait->i++; /* done once is done for ever */
    }
    return wait->i == wait->n;
}

static int wait_several(mesh_future *const *futures, size_t n_futures, double timeout,
                        struct mesh_wait *wait)
{
    if (n_futures == 0 || futures == NULL) {
        return MESH_EINVAL;
    }
    for (size_t i = 0; i < n_futures; i++) {
        if (futures[i] == NULL || futures[i]->m != futures[0]->m) {
            return MESH_EINVAL;
        }
    }
    mesh *m = futures[0]->m;
    wait->what = futures;
    wait->n = n_futures;
    mesh_lock(m);
    int r = mesh_wait_until(m, wait, timeout);
    mesh_unlock(m);
    return r;
}

int mesh_wait_all(mesh_future *const *futures, size_t n_futures, double timeout)
{
    struct mesh_wait wait = {.is_over = are_all_done};
    if (n_futures == 0) {
        return 0;
    }
    int r = wait_several(futures, n_futures, timeout, &wait);
    for (size_t i = 0; r == 0 && i < n_futures; i++) {
        r = mesh_wait(futures[i], 0); /* settles it, or says that it was freed */
    }
    return r;
}

int mesh_wait_any(mesh_future *const *futures, size_t n_futures, double timeout, size_t *ret_i)
{
    struct mesh_wait wait = {.is_over = is_any_done};
    int r = wait_several(futures, n_futures, timeout, &wait);
    if (r == 0) {
        r = mesh_wait(futures[wait.i], 0);
    }
    if (r == 0 && ret_i != NULL) {
        *ret_i = wait.i;
    }
    return r;
}
