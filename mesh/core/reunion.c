/* What is where after a cut. The executor says what it holds; what may go on is kept, the rest is
 * dropped there, and what we believe to be there and is not goes back to waiting. */
#include "mesh/core/job.h"
#include "mesh/core/left.h"
#include "mesh/core/peer.h"

void core_owner_link_up(struct core *core, struct core_peer *peer)
{
    peer->credit = (struct wire_credit){0};
    peer->want_sent = (struct wire_want){0};
    list_for_each (node, &peer->placed) {
        struct core_attempt *attempt = LIST_ENTRY(node, struct core_attempt, of_peer);
        attempt->is_seen = false;
        attempt->is_recalled = false; /* the word of it may be lost with the session */
    }
    core_left_link_up(peer);
    core_place_peer_changed(core, peer);
    core_job_on_peer_up(core);
}

/* It began while nobody here listened. How long it has run decides which of two goes on, and how
 * long tasks of its job take; one of ours cannot have begun before it was placed. */
static void note_begin(struct core *core, struct core_attempt *attempt,
                       const struct wire_held_attempt *held)
{
    if (held->run_ms == 0 || attempt->is_begun) {
        return;
    }
    bool is_of_this_life = attempt->incarnation == core->config.incarnation;
    uint64_t placed_ns = is_of_this_life ? attempt->at_ns : 0;
    uint64_t age_ns = core->now_ns - placed_ns;
    uint64_t run_ns = held->run_ms < age_ns / CORE_MS ? held->run_ms * CORE_MS : age_ns;
    core_attempt_begun(core, attempt, core->now_ns - run_ns);
}

/* An attempt of a detached job that an earlier life of ours placed, of a task without result: it
 * goes on, or its result counts, unless the task has begun elsewhere meanwhile. */
static bool is_adopted(struct core *core, struct core_peer *peer, struct core_task *task,
                       const struct wire_held_attempt *held)
{
    struct core_job *job = task->job;
    if (!job->is_restored || held->id.incarnation >= core->config.incarnation ||
        task->state == CORE_TASK_KEEPING || task->state == CORE_TASK_DONE) {
        return false;
    }
    bool is_live = task->state == CORE_TASK_WAITING && !core_job_is_full(job);
    if (!is_live && held->held != WIRE_HELD_ENDED) {
        return false;
    }
    note_begin(core, core_attempt_adopt(core, task, peer, &held->id, is_live), held);
    return true;
}

/* Whether the attempt may go on where it is. */
static bool is_kept(struct core *core, struct core_peer *peer, const struct wire_held_attempt *held)
{
    struct core_left *left = core_left_find(peer, &held->id);
    if (left != NULL) {
        left->is_seen = true;
        return true;
    }
    struct core_job *job = core_job_find(core, held->id.job);
    struct core_task *task = job != NULL ? core_task_find(job, held->id.task) : NULL;
    struct core_attempt *attempt = task != NULL ? core_attempt_find(task, peer, &held->id) : NULL;
    if (attempt == NULL) {
        return task != NULL && is_adopted(core, peer, task, held);
    }
    attempt->is_seen = true;
    note_begin(core, attempt, held);
    if (task->state == CORE_TASK_DONE || attempt->is_cancelled) {
        core_attempt_free(core, attempt);
        core_task_requeue(core, task);
        return false;
    }
    /* Whether it runs, has ended or still waits there: to place the task again would be to run it
     * twice, for what waits now may have begun before the word to drop it comes. */
    if (attempt->is_lost && task->state == CORE_TASK_WAITING && !core_job_is_full(job)) {
        core_attempt_found(core, attempt);
        core_stream_found(task);
        return true;
    }
    if (attempt->is_lost && held->held == WIRE_HELD_RUNNING &&
        core_attempt_overtake(core, attempt)) {
        return true;
    }
    /* The result of a streamed task is nothing without its output, which only one may send. */
    bool may_count = task->streams == NULL && held->held == WIRE_HELD_ENDED;
    if (attempt->is_lost && !may_count) {
        core_attempt_free(core, attempt);
        return false;
    }
    return true;
}

static void send_verdict(struct core *core, struct core_peer *peer, enum wire_message_type type,
                         const struct wire_attempt_id *ids, uint32_t n)
{
    if (n == 0) {
        return;
    }
    struct wire_message message = {.type = type};
    struct wire_attempt_ids list = {.items = ids, .n = n};
    if (type == WIRE_MESSAGE_KEEP) {
        message.keep.ids = list;
    } else {
        message.drop.ids = list;
    }
    core_send(core, peer, &message);
}

/* The attempts of this peer that its inventory did not name. */
static void lose_unseen(struct core *core, struct core_peer *peer)
{
    struct core_attempt *attempt;
    do {
        attempt = NULL;
        list_for_each (node, &peer->placed) {
            struct core_attempt *at = LIST_ENTRY(node, struct core_attempt, of_peer);
            if (!at->is_seen) {
                attempt = at;
                break;
            }
        }
        if (attempt != NULL) {
            core_attempt_lost(core, attempt);
        }
    } while (attempt != NULL);
}

void core_owner_on_inventory(struct core *core, struct core_peer *peer,
                             const struct wire_inventory *inventory)
{
    if (peer->is_self || peer->is_inventoried) {
        core->n_ignored++;
        return;
    }
    struct wire_attempt_id *keep = core_batch_alloc(core, inventory->n, sizeof(*keep));
    struct wire_attempt_id *drop = core_batch_alloc(core, inventory->n, sizeof(*drop));
    uint32_t n_keep = 0;
    uint32_t n_drop = 0;
    for (uint32_t i = 0; i < inventory->n; i++) {
        if (is_kept(core, peer, &inventory->items[i])) {
            keep[n_keep++] = inventory->items[i].id;
        } else {
            drop[n_drop++] = inventory->items[i].id;
        }
    }
    send_verdict(core, peer, WIRE_MESSAGE_KEEP, keep, n_keep);
    send_verdict(core, peer, WIRE_MESSAGE_DROP, drop, n_drop);
    if (inventory->is_last) {
        lose_unseen(core, peer);
        core_left_lose(core, peer, true);
        peer->is_inventoried = true;
        core_place_peer_changed(core, peer);
    }
}

void core_owner_peer_lost(struct core *core, struct core_peer *peer)
{
    peer->credit = (struct wire_credit){0};
    while (!list_is_empty(&peer->placed)) {
        core_attempt_lost(core, LIST_ENTRY(peer->placed.next, struct core_attempt, of_peer));
    }
    core_left_lose(core, peer, false);
}
