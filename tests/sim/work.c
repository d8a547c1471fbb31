/* Cells and the programs in them. What a program does happens in the host, whether its daemon runs
 * or not; the daemon hears of it when it does. A cell kills its task when its lease was not renewed
 * in time, and all cells die with their daemon. */
#include <errno.h>
#include <stdio.h>

#include "tests/sim/sim_internal.h"
#include "wire/base/mem.h"

#define STREAM_CHUNK 1000u
#define BLOB_SALT    0x5eedu

static uint8_t letters[STREAM_CHUNK];

static struct sim_run *run_of(const struct sim_event *event)
{
    list_for_each (at, &event->node->runs) {
        struct sim_run *run = LIST_ENTRY(at, struct sim_run, node);
        if (run->number == event->a) {
            return run;
        }
    }
    return NULL;
}

static struct sim_run *run_find(struct sim_node *node, const struct wire_key *owner,
                                const struct wire_attempt_id *id)
{
    list_for_each (at, &node->runs) {
        struct sim_run *run = LIST_ENTRY(at, struct sim_run, node);
        if (run->id.job == id->job && run->id.task == id->task && run->id.number == id->number &&
            run->id.incarnation == id->incarnation && wire_key_eq(&run->owner, owner)) {
            return run;
        }
    }
    return NULL;
}

static void later(struct sim *sim, struct sim_run *run, enum sim_layer layer, uint64_t in_ns,
                  void (*fire)(struct sim *sim, struct sim_event *event))
{
    sim_event_new(sim, layer, run->host, in_ns, fire)->a = run->number;
}

static void run_drop(struct sim *sim, struct sim_run *run)
{
    if (!run->is_paused) {
        oracle_cores(sim, run, false);
    }
    list_remove(&run->node);
    mem_free(run);
}

void work_drop_all(struct sim *sim, struct sim_node *node)
{
    while (!list_is_empty(&node->runs)) {
        run_drop(sim, LIST_ENTRY(node->runs.next, struct sim_run, node));
    }
}

/* --- the end -----------------------------------------------------------------------------------
 */

static void tell_ended_fire(struct sim *sim, struct sim_event *event)
{
    struct sim_run *run = run_of(event);
    struct core_event told = {0};
    char text[64];
    if (run->refusal != WIRE_REFUSAL_NONE) {
        told.type = CORE_EVENT_ATTEMPT_REFUSED;
        told.attempt_refused.owner = run->owner;
        told.attempt_refused.id = run->id;
        told.attempt_refused.refusal = run->refusal;
        told.attempt_refused.is_cell_usable = run->is_cell_usable;
    } else {
        told.type = CORE_EVENT_ATTEMPT_ENDED;
        told.attempt_ended.owner = run->owner;
        told.attempt_ended.id = run->id;
        told.attempt_ended.result = run->result;
        told.attempt_ended.is_cell_usable = run->is_cell_usable;
        if (run->is_own) {
            oracle_own_result(sim, run);
        }
        if (run->has_output) { /* what only this task says */
            int n = snprintf(text, sizeof(text), "%llu/%u", (unsigned long long)run->id.job,
                             run->id.task);
            told.attempt_ended.result.out.inlined = slice_of(text, (size_t)n);
            told.attempt_ended.result.out.bytes = (uint64_t)n;
        }
    }
    struct sim_node *node = run->host;
    run_drop(sim, run);
    sim_step(sim, node, &told);
}

static void ended(struct sim *sim, struct sim_run *run, enum wire_end end, uint32_t status)
{
    if (run->is_ended) {
        return;
    }
    run->is_ended = true;
    run->result.end = end;
    run->result.status = status;
    run->result.wall_us = (sim->now_ns - run->begun_ns) / 1000;
    run->is_cell_usable = end != WIRE_END_CELL_DIED;
    struct sim_task *task = run->task;
    bool is_own = end == WIRE_END_EXITED || end == WIRE_END_SIGNALED;
    task->n_ended += is_own;
    task->n_failed += is_own && (end != WIRE_END_EXITED || status != 0);
    task->n_deaths += end == WIRE_END_CELL_DIED || end == WIRE_END_NO_DISK;
    task->n_timeouts += end == WIRE_END_TIMEOUT;
    task->job->has_deaths |= end == WIRE_END_CELL_DIED || end == WIRE_END_NO_DISK;
    later(sim, run, SIM_DAEMON, 0, tell_ended_fire);
}

static void refused(struct sim *sim, struct sim_run *run, enum wire_refusal refusal)
{
    run->is_ended = true;
    run->refusal = refusal;
    run->is_cell_usable = refusal != WIRE_REFUSAL_NO_CELL;
    run->task->job->n_refusals++;
    if (run->is_own) {
        oracle_refused(sim, run->task->job, run->host, refusal);
    }
    later(sim, run, SIM_DAEMON, 0, tell_ended_fire);
}

/* A blob for what the program wrote; its host may have no room for it. */
static bool keep_output(struct sim *sim, struct sim_run *run)
{
    if (run->host->disk_error != 0) {
        return false;
    }
    struct wire_hash hash = {{0}};
    uint64_t owner;
    memcpy(&owner, run->owner.b, sizeof(owner));
    uint64_t words[4] = {BLOB_SALT, run->id.job ^ owner,
                         (uint64_t)run->id.incarnation << 32 | run->id.task, run->id.number};
    memcpy(hash.b, words, sizeof(hash));
    run->result.out.hash = hash;
    run->result.out.bytes = run->task->bytes;
    shell_store(run->host, &hash, run->task->bytes);
    return true;
}

static void program_ends(struct sim *sim, struct sim_run *run)
{
    const struct sim_task *task = run->task;
    if (run->host->is_black_hole) {
        ended(sim, run, WIRE_END_EXITED, 1);
        return;
    }
    switch (task->program) {
    case SIM_SLEEP:
        run->has_output = true;
        ended(sim, run, WIRE_END_EXITED, 0);
        return;
    case SIM_EXIT:
        ended(sim, run, WIRE_END_EXITED, task->status);
        return;
    case SIM_SIGNAL:
        ended(sim, run, WIRE_END_SIGNALED, 11);
        return;
    case SIM_FLAKY:
        ended(sim, run, WIRE_END_EXITED, dice_chance(&sim->dice, 50) ? 0 : 3);
        return;
    case SIM_BLOB:
        if (keep_output(sim, run)) {
            ended(sim, run, WIRE_END_EXITED, 0);
        } else {
            ended(sim, run, WIRE_END_NO_DISK, 0);
        }
        return;
    case SIM_STREAM:
        ended(sim, run, WIRE_END_EXITED, 0);
        return;
    case SIM_POISON:
        ended(sim, run, WIRE_END_CELL_DIED, 0);
        return;
    case SIM_HANG:
    case SIM_N_PROGRAMS:
        return;
    }
}

static void end_fire(struct sim *sim, struct sim_event *event)
{
    struct sim_run *run = run_of(event);
    if (run != NULL && run->is_paused) {
        run->is_due = true;
    } else if (run != NULL && !run->is_ended && !run->is_hung) {
        program_ends(sim, run);
    }
}

/* --- streams -----------------------------------------------------------------------------------
 */

/* The daemon reads what the program wrote, as far as the window goes. */
static void stream_fire(struct sim *sim, struct sim_event *event)
{
    struct sim_run *run = run_of(event);
    if (run == NULL || run->is_ended || run->is_hung) {
        return;
    }
    if (run->is_paused) {
        run->is_due = true;
        return;
    }
    if (run->sent == run->task->bytes) {
        program_ends(sim, run);
        return;
    }
    later(sim, run, SIM_DAEMON, SIM_MS, stream_fire);
    uint64_t left = run->task->bytes - run->sent;
    uint64_t n = left < STREAM_CHUNK ? left : STREAM_CHUNK;
    if (run->sent + n > run->window + WIRE_STREAM_WINDOW_BYTES) {
        return;
    }
    struct core_event told = {.type = CORE_EVENT_ATTEMPT_STREAM};
    told.attempt_stream.owner = run->owner;
    told.attempt_stream.data.id = run->id;
    told.attempt_stream.data.stream = WIRE_STREAM_OUT;
    told.attempt_stream.data.offset = run->sent;
    told.attempt_stream.data.bytes = slice_of(letters, (size_t)n);
    run->sent += n;
    sim_step(sim, run->host, &told);
}

void work_window(struct sim *sim, struct sim_node *node, const struct core_effect *effect)
{
    const struct wire_stream_ack *ack = &effect->stream_window.ack;
    struct sim_run *run = run_find(node, &effect->stream_window.owner, &ack->id);
    if (run != NULL && ack->offset > run->window) {
        run->window = ack->offset;
    }
}

/* --- the beginning -----------------------------------------------------------------------------
 */

static void tell_started_fire(struct sim *sim, struct sim_event *event)
{
    struct sim_run *run = run_of(event);
    if (run == NULL) {
        return;
    }
    struct core_event told = {.type = CORE_EVENT_ATTEMPT_STARTED};
    told.attempt_started.owner = run->owner;
    told.attempt_started.id = run->id;
    sim_step(sim, run->host, &told);
}

static void killed_fire(struct sim *sim, struct sim_event *event)
{
    struct sim_run *run = run_of(event);
    if (run != NULL) {
        ended(sim, run, run->killed_as, 0);
    }
}

static void begin_fire(struct sim *sim, struct sim_event *event)
{
    struct sim_run *run = run_of(event);
    struct sim_node *node = event->node;
    if (run == NULL || run->is_ended) {
        return;
    }
    if (run->is_killed && !node->has_no_cells && !node->has_no_command) {
        if (dice_chance(&sim->dice, 50)) {
            ended(sim, run, run->killed_as, 0);
            return;
        }
        later(sim, run, SIM_HOST, dice_roll(&sim->dice, 20 * SIM_MS), killed_fire); /* it began */
    }
    if (node->has_no_cells) {
        refused(sim, run, WIRE_REFUSAL_NO_CELL);
        return;
    }
    if (node->has_no_command) {
        refused(sim, run, WIRE_REFUSAL_NOT_FOUND);
        return;
    }
    run->is_begun = true;
    run->begun_ns = sim->now_ns;
    run->task->n_begun++;
    later(sim, run, SIM_DAEMON, 0, tell_started_fire);
    uint64_t ns = (uint64_t)run->task->millis * SIM_MS * node->slowness / 10;
    ns = node->is_black_hole ? SIM_MS : ns + dice_roll(&sim->dice, ns / 8 + 1);
    if (run->task->job->plain_micros > 0) {
        ns = dice_roll(&sim->dice, run->task->job->plain_micros + 1) * 1000;
    }
    if (run->task->program == SIM_STREAM && !node->is_black_hole) {
        later(sim, run, SIM_DAEMON, ns, stream_fire);
    } else {
        later(sim, run, SIM_HOST, ns, end_fire);
    }
}

/* --- leases ------------------------------------------------------------------------------------
 */

static void lease_fire(struct sim *sim, struct sim_event *event)
{
    struct sim_run *run = run_of(event);
    if (run == NULL || run->is_ended) {
        return;
    }
    if (run->lease_end_ns > sim->now_ns) {
        later(sim, run, SIM_HOST, run->lease_end_ns - sim->now_ns, lease_fire);
        return;
    }
    ended(sim, run, WIRE_END_LEASE, 0);
}

void work_renew(struct sim *sim, struct sim_node *node, const struct wire_key *owner)
{
    list_for_each (at, &node->runs) {
        struct sim_run *run = LIST_ENTRY(at, struct sim_run, node);
        if (wire_key_eq(&run->owner, owner)) {
            oracle_lease(sim, run);
            run->lease_end_ns = sim->now_ns + run->lease_ns;
        }
    }
}

/* --- effects and faults ------------------------------------------------------------------------
 */

void work_start(struct sim *sim, struct sim_node *node, const struct core_effect *effect)
{
    struct sim_run *run = mem_alloc_or_die(1, sizeof(*run));
    run->host = node;
    run->owner = effect->start.owner;
    run->id = effect->start.id;
    run->number = sim->next_run++;
    run->cell = effect->start.cell;
    run->cores = effect->start.spec->cores;
    run->mem_bytes = effect->start.spec->mem_bytes;
    run->is_own = effect->start.is_own;
    run->lease_ns = effect->start.spec->lease_ms * SIM_MS;
    run->start_ns = run->heard_ns = run->begun_ns = sim->now_ns;
    run->lease_end_ns = sim->now_ns + run->lease_ns;
    oracle_start(sim, node, effect, &run->task);
    list_push_back(&node->runs, &run->node);
    oracle_cores(sim, run, true);
    strike_aim_at_start(sim, run);
    if (run->task->job->plain_micros == 0) { /* else nobody leaves */
        later(sim, run, SIM_HOST, run->lease_ns, lease_fire);
    }
    uint64_t spawn_us = dice_chance(&sim->dice, 5) ? dice_log(&sim->dice, 3000, 300000)
                                                   : dice_between(&sim->dice, 300, 3300);
    if (run->task->job->plain_micros > 0) { /* a cell is there already */
        spawn_us = 100;
    } else if (node->has_no_cells || node->has_no_command) {
        spawn_us += dice_log(&sim->dice, 1000, 200000); /* it tries hard */
    }
    later(sim, run, SIM_HOST, spawn_us * 1000, begin_fire);
}

void work_kill(struct sim *sim, struct sim_node *node, const struct core_effect *effect)
{
    struct sim_run *run = run_find(node, &effect->kill.owner, &effect->kill.id);
    if (run != NULL && !run->is_killed) { /* it may just have ended */
        run->is_killed = true;
        run->killed_as = effect->kill.end;
        if (!run->is_begun) {
            return; /* begin_fire() sees to it */
        }
        later(sim, run, SIM_HOST, dice_roll(&sim->dice, 20 * SIM_MS), killed_fire);
    }
}

void work_pause(struct sim *sim, struct sim_node *node, const struct core_effect *effect)
{
    struct sim_run *run = run_find(node, &effect->pause.owner, &effect->pause.id);
    if (run == NULL) {
        return; /* it has just ended */
    }
    if (run->is_own || !run->is_begun || run->is_paused == effect->pause.is_paused) {
        sim_broken(sim, "%s pauses what may not be", node->name);
    }
    run->is_paused = effect->pause.is_paused;
    oracle_cores(sim, run, !run->is_paused);
    if (!run->is_paused) {
        oracle_room(sim, run);
    }
    if (!run->is_paused && run->is_due) {
        run->is_due = false;
        bool is_stream = run->task->program == SIM_STREAM && !node->is_black_hole;
        later(sim, run, is_stream ? SIM_DAEMON : SIM_HOST, 0, is_stream ? stream_fire : end_fire);
    }
}

void work_crash_all(struct sim *sim, struct sim_node *node)
{
    list_for_each (at, &node->runs) {
        struct sim_run *run = LIST_ENTRY(at, struct sim_run, node);
        ended(sim, run, WIRE_END_CELL_DIED, 0);
    }
}

void work_hang_all(struct sim *sim, struct sim_node *node, bool is_hung)
{
    list_for_each (at, &node->runs) {
        struct sim_run *run = LIST_ENTRY(at, struct sim_run, node);
        if (run->is_hung && !is_hung) {
            later(sim, run, SIM_HOST, 0, end_fire);
        }
        run->is_hung = is_hung && run->task->program != SIM_STREAM;
    }
}
