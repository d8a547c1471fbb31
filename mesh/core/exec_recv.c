/* What owners say to their executor. */
#include "mesh/core/exec.h"
#include "mesh/core/grant.h"
#include "mesh/core/peer.h"

static void on_want(struct core *core, struct core_peer *owner, const struct wire_want *want)
{
    owner->want = *want;
    core_credit_active(core, owner);
    core->is_credit_due = true;
}

static void on_job(struct core *core, struct core_peer *owner, const struct wire_job *job)
{
    struct core_xjob *known = core_xjob_find(core, owner, owner->incarnation, job->job);
    if (known != NULL) { /* sent again over a new session */
        known->link = owner->link != NULL ? owner->link->id : 0;
        return;
    }
    bool may_run = owner->is_self || core->config.has_sandbox;
    if (may_run && core_xjob_new(core, owner, owner->incarnation, job) == NULL) {
        core_log(core, CORE_LOG_WARN, "%s: one job too many here, or memory is short",
                 core_peer_label(owner));
    }
}

static void on_job_end(struct core *core, struct core_peer *owner, const struct wire_job_end *end)
{
    struct core_xjob *xjob = core_xjob_find(core, owner, owner->incarnation, end->job);
    if (xjob != NULL) {
        core_xjob_over(core, xjob);
    }
}

/* Why this task cannot be taken; NONE when it can. */
static enum wire_refusal refusal_of(struct core *core, const struct core_peer *owner,
                                    struct core_xjob *xjob, const struct wire_task *task)
{
    const struct core_config *config = &core->config;
    if (!owner->is_self && !config->has_sandbox) {
        return WIRE_REFUSAL_NO_SANDBOX;
    }
    bool is_for_others = owner->is_self || !core_exec_is_for_own(core);
    if (core->is_stopping || config->cores == 0 || !is_for_others) {
        return WIRE_REFUSAL_DRAINING;
    }
    if (xjob == NULL) {
        return WIRE_REFUSAL_UNKNOWN_JOB;
    }
    const struct wire_job_spec *spec = &xjob->spec;
    if (spec->is_call && task->refs.n > WIRE_CALL_REFS_MAX) {
        return WIRE_REFUSAL_TOO_LARGE;
    }
    if (spec->arch.n > 0 && !slice_eq_str(spec->arch, config->arch)) {
        return WIRE_REFUSAL_WRONG_ARCH;
    }
    if (config->mem_bytes > 0 && spec->mem_bytes > config->mem_bytes) {
        return WIRE_REFUSAL_NO_MEMORY;
    }
    if (spec->cores > config->cores) {
        return WIRE_REFUSAL_DRAINING;
    }
    core_xjob_retry(core, xjob);
    if (xjob->failed_as != WIRE_REFUSAL_NONE) {
        return xjob->failed_as;
    }
    if (!core_held_has_room(core, xjob, task)) {
        return WIRE_REFUSAL_BUSY;
    }
    return owner->n_open >= owner->credit_given.n_tasks ? WIRE_REFUSAL_NO_CREDIT
                                                        : WIRE_REFUSAL_NONE;
}

static void on_task(struct core *core, struct core_peer *owner, const struct wire_task *task)
{
    if (core_held_find(core, &owner->key, &task->id) != NULL) {
        core->n_ignored++;
        return;
    }
    struct core_xjob *xjob = core_xjob_find(core, owner, task->id.incarnation, task->id.job);
    enum wire_refusal refusal = refusal_of(core, owner, xjob, task);
    if (refusal != WIRE_REFUSAL_NONE) {
        core_refuse(core, owner, &task->id, refusal, slice_str(""));
        return;
    }
    struct core_held *held = core_held_new(core, xjob, task);
    if (held == NULL) {
        core_refuse(core, owner, &task->id, WIRE_REFUSAL_NO_MEMORY, slice_str(""));
        return;
    }
    core_held_maybe_ready(core, held);
}

static void on_cancel(struct core *core, struct core_peer *owner, const struct wire_attempt_id *id)
{
    struct core_held *held = core_held_find(core, &owner->key, id);
    if (held == NULL) {
        core->n_ignored++; /* refused or ended: that answer is on its way */
    } else if (core_held_has_cores(held)) {
        core_held_kill(core, held, WIRE_END_CANCELLED);
    } else if (held->state != CORE_HELD_ENDED) {
        struct wire_result result = {.end = WIRE_END_CANCELLED};
        core_held_end(core, held, &result);
    }
}

static void on_recall(struct core *core, struct core_peer *owner, const struct wire_recall *recall)
{
    for (uint32_t i = 0; i < recall->ids.n; i++) {
        struct core_held *held = core_held_find(core, &owner->key, &recall->ids.items[i]);
        if (held != NULL && (held->state == CORE_HELD_WANTING || held->state == CORE_HELD_QUEUED)) {
            core_held_refuse(core, held, WIRE_REFUSAL_RECALLED, slice_str(""));
        }
    }
}

static void on_keep(struct core *core, struct core_peer *owner, const struct wire_keep *keep)
{
    for (uint32_t i = 0; i < keep->ids.n; i++) {
        struct core_held *held = core_held_find(core, &owner->key, &keep->ids.items[i]);
        if (held != NULL && !held->is_forgotten) {
            core_held_repeat(core, held);
        }
    }
}

static void on_drop(struct core *core, struct core_peer *owner, const struct wire_drop *drop)
{
    for (uint32_t i = 0; i < drop->ids.n; i++) {
        struct core_held *held = core_held_find(core, &owner->key, &drop->ids.items[i]);
        if (held != NULL && !held->is_forgotten) {
            core_held_forget(core, held, WIRE_END_CANCELLED);
        }
    }
}

void core_exec_heard(struct core *core, struct core_peer *owner)
{
    if (owner->is_self || (owner->cores_used == 0 && owner->n_paused == 0)) {
        return;
    }
    uint64_t each_ns = owner->lease_ns / 10;
    each_ns = each_ns > 0 && each_ns < CORE_RENEW_NS ? each_ns : CORE_RENEW_NS;
    if (core->now_ns - owner->renew_ns >= each_ns) {
        owner->renew_ns = core->now_ns;
        core_emit(core, CORE_EFFECT_RENEW)->renew.owner = owner->key;
    }
}

bool core_exec_on_message(struct core *core, struct core_peer *peer,
                          const struct wire_message *message)
{
    switch ((unsigned)message->type) { /* as a number: the other messages are not for this role */
    case WIRE_MESSAGE_WANT:
        on_want(core, peer, &message->want);
        return true;
    case WIRE_MESSAGE_JOB:
        on_job(core, peer, &message->job);
        return true;
    case WIRE_MESSAGE_JOB_END:
        on_job_end(core, peer, &message->job_end);
        return true;
    case WIRE_MESSAGE_TASK:
        on_task(core, peer, &message->task);
        return true;
    case WIRE_MESSAGE_CANCEL:
        on_cancel(core, peer, &message->cancel.id);
        return true;
    case WIRE_MESSAGE_RECALL:
        on_recall(core, peer, &message->recall);
        return true;
    case WIRE_MESSAGE_KEEP:
        on_keep(core, peer, &message->keep);
        return true;
    case WIRE_MESSAGE_DROP:
        on_drop(core, peer, &message->drop);
        return true;
    case WIRE_MESSAGE_RESULT_ACK: {
        struct core_held *held = core_held_find(core, &peer->key, &message->result_ack.id);
        if (held != NULL) {
            core_held_ack(core, held);
        }
        return true;
    }
    case WIRE_MESSAGE_GRANT:
        core_grant_on_grant(core, peer, &message->grant);
        return true;
    case WIRE_MESSAGE_BLOB_LEND:
        core_grant_on_lend(core, peer, &message->blob_lend);
        return true;
    case WIRE_MESSAGE_STREAM_ACK: {
        struct core_held *held = core_held_find(core, &peer->key, &message->stream_ack.id);
        if (held != NULL) {
            core_held_on_stream_ack(core, held, &message->stream_ack);
        }
        return true;
    }
    default:
        return false;
    }
}
