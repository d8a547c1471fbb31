/* Jobs of owners, as their executor knows them. */
#include <errno.h>

#include "mesh/core/blob.h"
#include "mesh/core/exec.h"
#include "mesh/core/peer.h"
#include "wire/base/mem.h"

static struct core_xjob_key key_of(const struct core_peer *owner, uint64_t incarnation,
                                   uint64_t job)
{
    return (struct core_xjob_key){.owner = owner->key, .job = job, .incarnation = incarnation};
}

struct core_xjob *core_xjob_find(const struct core *core, const struct core_peer *owner,
                                 uint64_t incarnation, uint64_t job)
{
    struct core_xjob_key key = key_of(owner, incarnation, job);
    struct table_entry *entry = table_find(&core->xjobs, &key);
    return entry != NULL ? LIST_ENTRY(entry, struct core_xjob, by_key) : NULL;
}

/* A file came, or will not. */
static void file_done(struct core *core, struct core_need *need, int error)
{
    struct core_xjob *xjob = need->of;
    if (error == 0) {
        xjob->n_missing--;
    } else {
        xjob->failed_as = error == -ENOSPC ? WIRE_REFUSAL_NO_DISK : WIRE_REFUSAL_NO_BLOB;
        xjob->failed_ns = core->now_ns;
    }
    for (struct list *node = xjob->held.next; node != &xjob->held;) {
        struct core_held *held = LIST_ENTRY(node, struct core_held, of_xjob);
        node = node->next;
        if (xjob->failed_as != WIRE_REFUSAL_NONE && held->state == CORE_HELD_WANTING) {
            core_held_refuse(core, held, xjob->failed_as,
                             slice_str("a file of the job could not be had"));
        } else if (xjob->n_missing == 0) {
            core_held_maybe_ready(core, held);
        }
    }
}

static void lease_fire(struct core *core, struct core_timer *timer)
{
    struct core_xjob *xjob = CONTAINER_OF(timer, struct core_xjob, lease_timer);
    char job[WIRE_JOB_TEXT_BYTES];
    core_log(core, CORE_LOG_INFO, "job %s of %s: its lease ran out",
             wire_job_text(xjob->key.job, job), core_peer_label(xjob->owner));
    core_xjob_drop(core, xjob, WIRE_END_LEASE);
}

static void want_files(struct core *core, struct core_xjob *xjob)
{
    const struct wire_files *files = &xjob->spec.files;
    xjob->n_missing = 0;
    for (uint32_t i = 0; i < files->n; i++) {
        struct core_need *need = &xjob->needs[i];
        need->of = xjob;
        need->on_done = file_done;
        if (need->state == CORE_NEED_NONE) {
            core_need_want(core, need, xjob->owner, &files->items[i].hash, files->items[i].bytes);
        }
        xjob->n_missing += need->state != CORE_NEED_MET;
    }
}

void core_xjob_retry(struct core *core, struct core_xjob *xjob)
{
    bool is_passing = xjob->failed_as == WIRE_REFUSAL_NO_DISK && xjob->n_held == 0;
    if (is_passing && core->now_ns - xjob->failed_ns >= CORE_RETRY_FILES_NS) {
        xjob->failed_as = WIRE_REFUSAL_NONE;
        want_files(core, xjob);
    }
}

/* What is for other architectures is nothing to us. */
static int copy_spec(const struct core *core, struct core_xjob *xjob,
                     const struct wire_job_spec *from)
{
    struct wire_job_spec spec = *from;
    struct wire_file *files = arena_alloc(&xjob->arena, from->files.n, sizeof(*files));
    if (files == NULL) {
        return -ENOMEM;
    }
    spec.files = (struct wire_files){.items = files};
    for (uint32_t i = 0; i < from->files.n; i++) {
        const struct wire_file *file = &from->files.items[i];
        if (file->arch.n == 0 || slice_eq_str(file->arch, core->config.arch)) {
            files[spec.files.n++] = *file;
        }
    }
    return core_spec_copy(&xjob->arena, &spec, &xjob->spec);
}

struct core_xjob *core_xjob_new(struct core *core, struct core_peer *owner, uint64_t incarnation,
                                const struct wire_job *job)
{
    if (owner->n_xjobs >= CORE_OWNER_JOBS_MAX) {
        return NULL;
    }
    struct core_xjob *xjob = mem_alloc(1, sizeof(*xjob));
    if (xjob == NULL) {
        return NULL;
    }
    arena_init(&xjob->arena, WIRE_ARENA_BYTES_MAX);
    if (copy_spec(core, xjob, &job->spec) != 0) {
        arena_done(&xjob->arena);
        mem_free(xjob);
        return NULL;
    }
    xjob->bytes = sizeof(*xjob) + xjob->arena.used_bytes +
                  xjob->spec.files.n * (uint64_t)sizeof(struct core_need);
    if (!core_origin_has_room(core, owner, xjob->bytes)) {
        arena_done(&xjob->arena);
        mem_free(xjob);
        return NULL;
    }
    core_origin_weigh(core, owner, 0, xjob->bytes);
    struct wire_job_spec *spec = &xjob->spec;
    spec->cores = spec->cores > 0 ? spec->cores : 1;
    spec->lease_ms = spec->lease_ms < CORE_LEASE_MIN_MS   ? CORE_LEASE_MIN_MS
                     : spec->lease_ms < CORE_LEASE_MAX_MS ? spec->lease_ms
                                                          : CORE_LEASE_MAX_MS;
    xjob->key = key_of(owner, incarnation, job->job);
    xjob->owner = owner;
    xjob->link = owner->link != NULL ? owner->link->id : 0;
    list_init(&xjob->idle);
    list_init(&xjob->held);
    xjob->lease_timer.fire = lease_fire;
    table_insert(&core->xjobs, &xjob->by_key, &xjob->key);
    list_push_back(&owner->xjobs, &xjob->of_owner);
    owner->n_xjobs++;
    uint64_t lease_ns = spec->lease_ms * CORE_MS;
    owner->lease_ns =
        owner->lease_ns == 0 || lease_ns < owner->lease_ns ? lease_ns : owner->lease_ns;
    xjob->needs = mem_alloc_or_die(spec->files.n, sizeof(struct core_need));
    want_files(core, xjob);
    return xjob;
}

static void xjob_free(struct core_grave *grave)
{
    struct core_xjob *xjob = CONTAINER_OF(grave, struct core_xjob, grave);
    arena_done(&xjob->arena);
    mem_free(xjob->needs);
    mem_free(xjob);
}

/* Its last attempt may still be ending: cells find it until then. */
void core_xjob_maybe_free(struct core *core, struct core_xjob *xjob)
{
    /* A job that was not named in this session may have ended while its owner was away. Its owner
     * names it again before the next task, so nothing is lost. */
    const struct core_link *link = xjob->owner->link;
    if (!xjob->is_over && xjob->n_held == 0 && link != NULL && link->id != xjob->link) {
        core_xjob_over(core, xjob);
        return;
    }
    if (!xjob->is_over || xjob->n_held > 0) {
        return;
    }
    struct core_peer *owner = xjob->owner;
    core_cell_close_idle(core, xjob);
    for (uint32_t i = 0; i < xjob->spec.files.n; i++) {
        core_need_drop(core, &xjob->needs[i]);
    }
    core_timer_stop(core, &xjob->lease_timer);
    list_remove(&xjob->of_owner);
    core_origin_weigh(core, owner, xjob->bytes, 0);
    owner->n_xjobs--;
    owner->lease_ns = owner->n_xjobs > 0 ? owner->lease_ns : 0;
    core_bury(core, &xjob->grave, xjob_free);
    core_peer_maybe_forget(core, owner);
}

void core_xjob_over(struct core *core, struct core_xjob *xjob)
{
    if (!xjob->is_over) {
        xjob->is_over = true;
        table_remove(&core->xjobs, &xjob->by_key);
    }
    core_timer_stop(core, &xjob->lease_timer);
    core_cell_close_idle(core, xjob);
    core_xjob_maybe_free(core, xjob);
}

void core_xjob_drop(struct core *core, struct core_xjob *xjob, enum wire_end end)
{
    xjob->n_held++; /* stays while its attempts go */
    struct list *node = xjob->held.next;
    while (node != &xjob->held) {
        struct core_held *held = LIST_ENTRY(node, struct core_held, of_xjob);
        node = node->next;
        core_held_forget(core, held, end);
    }
    xjob->n_held--;
    core_xjob_over(core, xjob);
}

void core_xjob_discard(struct core *core, struct core_xjob *xjob)
{
    core_cell_close_idle(core, xjob);
    for (uint32_t i = 0; i < xjob->spec.files.n; i++) {
        core_need_drop(core, &xjob->needs[i]);
    }
    core_timer_stop(core, &xjob->lease_timer);
    if (!xjob->is_over) {
        table_remove(&core->xjobs, &xjob->by_key);
    }
    list_remove(&xjob->of_owner);
    core_origin_weigh(core, xjob->owner, xjob->bytes, 0);
    core_bury(core, &xjob->grave, xjob_free);
}
