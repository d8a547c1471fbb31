/* Groups: lists of calls, in the order they were submitted and in the order they were done. */
#include "mesh/client/handle.h"
#include "wire/base/mem.h"

mesh_group *mesh_group_new(mesh *m)
{
    mesh_group *group = m != NULL ? mem_alloc(1, sizeof(*group)) : NULL;
    if (group != NULL) {
        group->m = m;
        list_init(&group->calls);
        list_init(&group->done);
        mesh_lock(m);
        list_push_back(&m->groups, &group->node);
        mesh_unlock(m);
    }
    return group;
}

void mesh_group_on_done(mesh_future *future)
{
    struct mesh_group *group = future->extra->group;
    group->n_open--;
    future->extra->is_told = true;
    list_push_back(&group->done, &future->extra->in_done);
}

void mesh_group_forget(mesh_future *future)
{
    struct mesh_group *group = future->extra->group;
    if (group != NULL) {
        group->n_open -= !future->extra->is_told;
        list_remove(&future->extra->in_group);
        list_remove(&future->extra->in_done);
        future->extra->group = NULL;
    }
}

static mesh_future *call_of(struct list *node, bool is_done)
{
    struct mesh_extra *extra = is_done ? LIST_ENTRY(node, struct mesh_extra, in_done)
                                       : LIST_ENTRY(node, struct mesh_extra, in_group);
    return extra->future;
}

mesh_group *mesh_group_free(mesh_group *group)
{
    if (group == NULL) {
        return NULL;
    }
    mesh *m = group->m;
    mesh_lock(m);
    while (!list_is_empty(&group->calls)) {
        mesh_group_forget(call_of(group->calls.next, false));
    }
    list_remove(&group->node);
    mesh_unlock(m);
    mem_free(group);
    return NULL;
}

static bool is_group_done(struct mesh_wait *wait)
{
    const struct mesh_group *group = wait->what;
    return group->n_open == 0;
}

static bool is_all_done(struct mesh_wait *wait)
{
    const mesh *m = wait->what;
    return m->n_open == 0 && m->n_calling == 0;
}

/* Writes the in-out buffers of its calls. Which these are may change while the lock is away. */
static void settle_group(struct mesh_group *group)
{
    bool is_again = true;
    while (is_again) {
        is_again = false;
        list_for_each (it, &group->done) {
            mesh_future *future = call_of(it, true);
            if (future->extra->n_inouts > 0 && !future->extra->is_settled) {
                future->n_refs++; /* another thread may take it meanwhile, and free it */
                mesh_settle(future);
                mesh_future_unref(future);
                is_again = true;
                break;
            }
        }
    }
}

int mesh_group_wait(mesh *m, mesh_group *group, double timeout)
{
    if (m == NULL || (group != NULL && group->m != m)) {
        return MESH_EINVAL;
    }
    mesh_lock(m);
    struct mesh_wait wait = {.is_over = group != NULL ? is_group_done : is_all_done,
                             .what = group != NULL ? (const void *)group : m};
    int r = mesh_wait_until(m, &wait, timeout);
    if (r == 0 && group != NULL) {
        settle_group(group);
    } else if (r == 0) {
        IGNORE(mesh_ranges_settle(m, 0, UINTPTR_MAX)); /* each call tells its own error */
    }
    mesh_unlock(m);
    return r;
}

static bool is_next_there(struct mesh_wait *wait)
{
    const struct mesh_group *group = wait->what;
    return !list_is_empty(&group->done) || list_is_empty(&group->calls);
}

static bool is_first_there(struct mesh_wait *wait)
{
    const struct mesh_group *group = wait->what;
    return list_is_empty(&group->calls) || call_of(group->calls.next, false)->extra->is_told;
}

static mesh_future *take_next(mesh_group *group, double timeout, bool is_in_order)
{
    if (group == NULL) {
        return NULL;
    }
    mesh *m = group->m;
    mesh_future *future = NULL;
    mesh_lock(m);
    struct mesh_wait wait = {.is_over = is_in_order ? is_first_there : is_next_there,
                             .what = group};
    if (mesh_wait_until(m, &wait, timeout) == 0 && !list_is_empty(&group->calls)) {
        future = call_of(is_in_order ? group->calls.next : group->done.next, !is_in_order);
        mesh_group_forget(future);
        mesh_settle(future);
    }
    mesh_unlock(m);
    return future;
}

mesh_future *mesh_group_next(mesh_group *group, double timeout)
{
    return take_next(group, timeout, false);
}

mesh_future *mesh_group_next_in_order(mesh_group *group, double timeout)
{
    return take_next(group, timeout, true);
}
