/* Turns by the clock. Tasks that never end would keep the cores that were idle when they came, and
 * everybody else out. So an origin that waits while another one has more cores than it would have
 * with one task more gets what is missing within a second: tasks of the other are paused, keep all
 * that they have, and go on when it is their turn again. Nothing is lost by it, and nothing is
 * stopped for good.
 *
 * Our own tasks are never paused. No more cores than are offered can be paused at a time: memory
 * that stands still is memory all the same. */
#include "mesh/core/exec.h"
#include "mesh/core/peer.h"

static bool is_due(const struct core *core, const struct core_held *held)
{
    return core->now_ns - held->turn_ns >= (held->is_paused ? CORE_PAUSE_NS : CORE_TURN_NS);
}

/* What a task needs to be free; what is wider than all of us waits for all. */
static uint32_t cores_of(const struct core *core, const struct core_held *held)
{
    uint32_t cores = held->xjob->spec.cores;
    return cores < core->config.cores ? cores : core->config.cores;
}

/* --- pausing and going on ----------------------------------------------------------------------
 */

static void tell(struct core *core, const struct core_held *held)
{
    struct core_effect *effect = core_emit(core, CORE_EFFECT_PAUSE);
    effect->pause.owner = held->key.owner;
    effect->pause.id = held->key.id;
    effect->pause.is_paused = held->is_paused;
}

static void pause(struct core *core, struct core_held *held)
{
    uint32_t cores = held->xjob->spec.cores;
    core_held_use_cores(core, held, false);
    held->is_paused = true;
    held->turn_ns = core->now_ns;
    core->cores_paused += cores;
    held->owner->n_paused++;
    list_push_back(&core->paused, &held->in_paused);
    held->timeout_left_ns = 0;
    if (heap_has(&held->timeout_timer.entry)) {
        held->timeout_left_ns = held->timeout_timer.entry.at_ns - core->now_ns;
        core_timer_stop(core, &held->timeout_timer);
    }
    tell(core, held);
}

void core_turn_forget(struct core *core, struct core_held *held)
{
    list_remove(&held->in_paused);
    core->cores_paused -= held->xjob->spec.cores;
    held->owner->n_paused--;
    held->is_paused = false;
}

void core_turn_resume(struct core *core, struct core_held *held)
{
    core_turn_forget(core, held);
    core_held_use_cores(core, held, true);
    held->start_ns += core->now_ns - held->turn_ns; /* its run time is what it ran */
    held->turn_ns = core->now_ns;
    if (held->timeout_left_ns > 0) {
        core_timer_set(core, &held->timeout_timer, core->now_ns + held->timeout_left_ns);
    }
    tell(core, held);
}

void core_turn_resume_all(struct core *core)
{
    list_for_each_safe (node, &core->paused) {
        struct core_held *held = LIST_ENTRY(node, struct core_held, in_paused);
        if (held->state == CORE_HELD_RUNNING) {
            core_turn_resume(core, held);
        }
    }
}

struct core_held *core_turn_next(const struct core *core, const struct core_origin *rival)
{
    struct core_held *best = NULL;
    list_for_each (node, &core->paused) {
        struct core_held *held = LIST_ENTRY(node, struct core_held, in_paused);
        const struct core_origin *origin = held->owner->origin;
        bool may =
            held->state == CORE_HELD_RUNNING &&
            (rival == NULL || (is_due(core, held) && origin->cores_used <= rival->cores_used));
        if (may && (best == NULL || origin->cores_used < best->owner->origin->cores_used)) {
            best = held;
        }
    }
    return best;
}

bool core_turn_has_room(const struct core *core, const struct core_held *held)
{
    uint32_t used = core->cores_used;
    return used < core->config.cores && cores_of(core, held) <= core->config.cores - used;
}

/* --- whose turn is over ------------------------------------------------------------------------
 */

static bool may_pause(const struct core *core, const struct core_held *held)
{
    return held->state == CORE_HELD_RUNNING && !held->is_paused && !held->is_forgotten &&
           !held->owner->is_self && is_due(core, held) &&
           core->cores_paused + held->xjob->spec.cores <= core->config.cores;
}

static bool is_better(const struct core_held *held, const struct core_held *than)
{
    uint32_t cores = held->owner->origin->cores_used;
    uint32_t most = than != NULL ? than->owner->origin->cores_used : 0;
    return cores > most || (cores == most && than != NULL && held->turn_ns > than->turn_ns);
}

/* Of the origin that has the most cores, and no fewer than so many: the one that began last. */
static struct core_held *find_victim(const struct core *core, const struct core_origin *waiting,
                                     uint32_t cores_min)
{
    struct core_held *victim = NULL;
    list_for_each (at, &core->active) { /* whoever has something open here */
        const struct core_peer *owner = LIST_ENTRY(at, struct core_peer, active);
        if (owner->origin == waiting || owner->origin->cores_used < cores_min) {
            continue;
        }
        list_for_each (node, &owner->held) {
            struct core_held *held = LIST_ENTRY(node, struct core_held, of_owner);
            victim = may_pause(core, held) && is_better(held, victim) ? held : victim;
        }
    }
    return victim;
}

/* Makes some room for whoever is next. False: it may not have any, or nobody's turn is over. */
static bool make_room(struct core *core)
{
    struct core_held *next = core_exec_next(core);
    if (next == NULL || core_turn_has_room(core, next)) {
        return false;
    }
    uint64_t mem = core->config.mem_bytes;
    if (!next->is_paused && mem > 0 && next->xjob->spec.mem_bytes > mem - core->mem_used) {
        return false; /* not for want of cores alone */
    }
    const struct core_origin *origin = next->owner->origin;
    uint32_t cores = origin->cores_used + cores_of(core, next);
    bool is_own_half = next->owner->is_self && cores <= (core->config.cores + 1) / 2;
    struct core_held *victim = find_victim(core, origin, is_own_half ? 1 : cores);
    if (victim == NULL) {
        return false;
    }
    pause(core, victim);
    return true;
}

void core_turn_watch(struct core *core)
{
    bool is_anybody = heap_first(&core->turns) != NULL && core->n_active > 1;
    if ((is_anybody || !list_is_empty(&core->paused)) && !heap_has(&core->turn_timer.entry)) {
        core_timer_set(core, &core->turn_timer, core->now_ns + CORE_TURN_LOOK_NS);
    }
}

static void turn_fire(struct core *core, struct core_timer *timer)
{
    for (uint32_t i = 0; !core->is_stopping && i < core->config.cores && make_room(core); i++) {
        core_exec_run(core);
    }
    core->n_quiet_looks = core->cores_used < core->config.cores ? core->n_quiet_looks + 1 : 0;
    core_turn_watch(core);
    core->is_start_due = true;
}

void core_turn_init(struct core *core)
{
    list_init(&core->paused);
    core->turn_timer.fire = turn_fire;
}
