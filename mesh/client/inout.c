/* In-out buffers on their way, sorted by address. They never overlap, for that is refused: so
 * whether a new one does is a question to its two neighbours. */
#include <string.h>

#include "mesh/client/handle.h"
#include "wire/base/mem.h"

size_t mesh_ranges_find(const mesh *m, uintptr_t p)
{
    size_t from = 0;
    size_t to = m->n_ranges;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (m->ranges[middle].end <= p) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from;
}

bool mesh_ranges_has(const mesh *m, const void *p, size_t n_bytes)
{
    uintptr_t start = (uintptr_t)p;
    size_t i = mesh_ranges_find(m, start);
    return n_bytes > 0 && i < m->n_ranges && m->ranges[i].start < start + n_bytes;
}

int mesh_ranges_add(mesh_future *future, const void *p, size_t n_bytes)
{
    mesh *m = future->m;
    if (n_bytes == 0) {
        return 0;
    }
    if (mesh_ranges_has(m, p, n_bytes)) {
        return MESH_EBUSY;
    }
    if (m->n_ranges == m->cap_ranges) {
        size_t cap = m->cap_ranges > 0 ? m->cap_ranges * 2 : 16;
        struct mesh_range *ranges = mem_realloc(m->ranges, cap, sizeof(*ranges));
        if (ranges == NULL) {
            return MESH_ENOMEM;
        }
        m->ranges = ranges;
        m->cap_ranges = cap;
    }
    size_t i = mesh_ranges_find(m, (uintptr_t)p);
    memmove(m->ranges + i + 1, m->ranges + i, (m->n_ranges - i) * sizeof(*m->ranges));
    m->ranges[i] =
        (struct mesh_range){.start = (uintptr_t)p, .end = (uintptr_t)p + n_bytes, .future = future};
    m->n_ranges++;
    atomic_store_explicit(&m->has_ranges, true, memory_order_relaxed);
    return 0;
}

void mesh_ranges_drop(mesh_future *future)
{
    mesh *m = future->m;
    for (uint32_t k = 0; k < future->extra->n_inouts; k++) {
        const struct mesh_inout *inout = &future->extra->inouts[k];
        size_t i = mesh_ranges_find(m, (uintptr_t)inout->p);
        if (inout->n > 0 && i < m->n_ranges && m->ranges[i].future == future) {
            m->n_ranges--;
            memmove(m->ranges + i, m->ranges + i + 1, (m->n_ranges - i) * sizeof(*m->ranges));
        }
    }
    atomic_store_explicit(&m->has_ranges, m->n_ranges > 0, memory_order_relaxed);
}

int mesh_ranges_settle(mesh *m, uintptr_t start, uintptr_t end)
{
    int error = 0;
    uint64_t serial = UINT64_MAX;
    for (size_t i = mesh_ranges_find(m, start); i < m->n_ranges && m->ranges[i].start < end;
         i = mesh_ranges_find(m, start)) {
        mesh_future *future = m->ranges[i].future;
        start = m->ranges[i].end; /* the table changes while the lock is away */
        if (future->state != MESH_CALL_DONE) {
            continue;
        }
        future->n_refs++;
        mesh_settle(future);
        if (future->error != 0 && future->serial < serial) {
            const char *text = future->extra->text;
            serial = future->serial;
            error = mesh_set_error(m, future->error, "%s",
                                   text != NULL ? text : mesh_strerror(future->error));
        }
        mesh_future_unref(future);
    }
    return error;
}

struct span {
    const mesh *m;
    uintptr_t start, end;
};

static bool is_span_done(struct mesh_wait *wait)
{
    const struct span *span = wait->what;
    const mesh *m = span->m;
    for (size_t i = mesh_ranges_find(m, span->start);
         i < m->n_ranges && m->ranges[i].start < span->end; i++) {
        if (m->ranges[i].future->state != MESH_CALL_DONE) {
            return false;
        }
    }
    return true;
}

/* Settles what was begun; the error of what was not comes behind its errors. */
static int settle_span(mesh *m, const struct span *span)
{
    int r = mesh_ranges_settle(m, span->start, span->end);
    const mesh_future *future = m->refused.future;
    if (future != NULL && m->refused.start < span->end && span->start < m->refused.end) {
        const char *text = future->extra != NULL ? future->extra->text : NULL;
        m->refused.future = NULL;
        r = r == 0 ? mesh_set_error(m, future->error, "%s",
                                    text != NULL ? text : mesh_strerror(future->error))
                   : r;
    }
    return r;
}

int mesh_sync(mesh *m, const void *buffer, size_t n_bytes)
{
    if (m == NULL) {
        return MESH_EINVAL;
    }
    struct span span = {.m = m, .start = 0, .end = UINTPTR_MAX};
    if (buffer != NULL) {
        span.start = (uintptr_t)buffer;
        span.end = n_bytes < UINTPTR_MAX - span.start ? span.start + n_bytes : UINTPTR_MAX;
    }
    mesh_lock(m);
    struct mesh_wait wait = {.is_over = is_span_done, .what = &span};
    int r = mesh_wait_until(m, &wait, MESH_FOREVER);
    r = r == 0 ? settle_span(m, &span) : r;
    mesh_unlock(m);
    return r;
}
