/* What executors say to the owner of tasks. Every answer is settled: a result is acknowledged when
 * the owner has it for good, or when nobody wants it any more. */
#include "mesh/core/blob.h"
#include "mesh/core/job.h"
#include "mesh/core/journal.h"
#include "mesh/core/left.h"
#include "mesh/core/peer.h"
#include "wire/base/mem.h"

struct found {
    struct core_task *task;
    struct core_attempt *attempt;
};

/* NULL members where there is none (any more). */
static struct found find(const struct core *core, const struct core_peer *peer,
                         const struct wire_attempt_id *id)
{
    struct found found = {0};
    struct core_job *job = core_job_find(core, id->job);
    if (job != NULL) {
        found.task = core_task_find(job, id->task);
    }
    if (found.task != NULL) {
        found.attempt = core_attempt_find(found.task, peer, id);
    }
    return found;
}

void core_result_ack(struct core *core, struct core_peer *peer, const struct wire_attempt_id *id)
{
    struct wire_message message = {.type = WIRE_MESSAGE_RESULT_ACK};
    message.result_ack.id = *id;
    core_send_lazily(core, peer, &message);
}

static void on_credit(struct core *core, struct core_peer *peer, const struct wire_credit *credit)
{
    peer->credit = *credit;
    peer->credit.n_tasks = credit->n_tasks < WIRE_CREDIT_MAX ? credit->n_tasks : WIRE_CREDIT_MAX;
    core_place_update_spare(core, peer);
}

static void on_started(struct core *core, struct core_peer *peer, const struct wire_attempt_id *id)
{
    struct found found = find(core, peer, id);
    if (found.attempt == NULL || found.attempt->is_lost) {
        core->n_ignored++;
        return;
    }
    if (!found.attempt->is_begun) {
        core_attempt_begun(core, found.attempt, core->now_ns);
    }
    found.attempt->site->n_rests = 0;
    if (found.task->state == CORE_TASK_PLACED) {
        core_task_move(core, found.task, CORE_TASK_ON_BEGIN);
    }
}

/* --- results -----------------------------------------------------------------------------------
 */

/* Takes the attempt off the books: its answer did not end the task. */
static void settle(struct core *core, struct core_attempt *attempt, bool is_acked)
{
    struct core_task *task = attempt->task;
    if (is_acked) {
        struct wire_attempt_id id = core_attempt_id(attempt);
        core_result_ack(core, attempt->site->peer, &id);
    }
    core_attempt_free(core, attempt);
    core_task_requeue(core, task);
}

static bool is_run_left(const struct core_job *job, const struct core_task *task)
{
    return !job->is_once && (job->runs_max == 0 || task->n_runs < job->runs_max);
}

/* For how long it ran. What an earlier life of ours began may have begun before this host did: of
 * that only its executor knows. */
static uint64_t run_time(const struct core *core, const struct core_attempt *attempt,
                         const struct wire_result *result)
{
    if (attempt->incarnation == core->config.incarnation) {
        return core->now_ns - attempt->begun_ns;
    }
    return result->wall_us < CORE_RUN_MAX_NS / 1000 ? result->wall_us * 1000 : CORE_RUN_MAX_NS;
}

static void on_own_end(struct core *core, struct core_attempt *attempt,
                       const struct wire_result *result)
{
    struct core_task *task = attempt->task;
    if (task->returned != NULL && task->returned->attempt == attempt) {
        return; /* sent again; its output is on the way */
    }
    bool is_success = result->end == WIRE_END_EXITED && result->status == 0;
    attempt->site->n_rests = 0;
    if (is_success && attempt->is_begun && !attempt->is_lost) {
        core_tail_note_run(attempt->site, run_time(core, attempt, result));
    }
    if (result->end == WIRE_END_EXITED || result->end == WIRE_END_SIGNALED) {
        core_site_note_end(core, attempt->site, is_success);
    }
    task->n_runs++;
    if (!is_success && is_run_left(task->job, task)) {
        settle(core, attempt, true);
    } else {
        core_task_result(core, attempt, result);
    }
}

static void on_cell_died(struct core *core, struct core_attempt *attempt,
                         const struct wire_result *result)
{
    struct core_task *task = attempt->task;
    if (task->n_cell_deaths + 1 >= CORE_CELL_DEATHS_MAX || task->job->is_once) {
        core_task_report(core, task, attempt, WIRE_REFUSAL_NONE, result);
        return;
    }
    if (task->died_on == NULL) {
        task->died_on = mem_alloc_or_die(CORE_CELL_DEATHS_MAX - 1, sizeof(*task->died_on));
    }
    task->died_on[task->n_cell_deaths++] = attempt->site->key;
    settle(core, attempt, true);
}

static void rest_peer(struct core *core, struct core_peer *peer, uint64_t for_ns)
{
    peer->is_resting = true;
    core_timer_set(core, &peer->rest_timer, core->now_ns + for_ns);
    core_place_update_spare(core, peer);
}

static void on_mesh_end(struct core *core, struct core_attempt *attempt,
                        const struct wire_result *result)
{
    struct core_task *task = attempt->task;
    if (task->job->is_once && attempt->is_begun) {
        struct wire_attempt_id id = core_attempt_id(attempt);
        core_result_ack(core, attempt->site->peer, &id);
        core_attempt_free(core, attempt);
        core_task_give_up(core, task, WIRE_END_LOST, WIRE_REFUSAL_NONE,
                          core_batch_copy(core, slice_str(wire_end_text(result->end))));
        return;
    }
    settle(core, attempt, true);
}

/* Files of a task that is to return none are not fetched. */
static const struct wire_result *asked_for(struct core *core, const struct core_task *task,
                                           const struct wire_result *result)
{
    bool returns = task != NULL && task->cargo != NULL && task->cargo->returns.n > 0;
    if (result->files.n == 0 || returns) {
        return result;
    }
    struct wire_result *bare = core_batch_alloc(core, 1, sizeof(*bare));
    *bare = *result;
    bare->files = (struct wire_result_files){0};
    return bare;
}

static void on_result(struct core *core, struct core_peer *peer,
                      const struct wire_attempt_result *message)
{
    struct found found = find(core, peer, &message->id);
    const struct wire_result *result = asked_for(core, found.task, &message->result);
    if (found.attempt == NULL) {
        if (core_left_find(peer, &message->id) == NULL) { /* else it stays there */
            core_result_ack(core, peer, &message->id);
        }
        return;
    }
    struct core_attempt *attempt = found.attempt;
    if (found.task->state == CORE_TASK_DONE) {
        settle(core, attempt, true);
        return;
    }
    if (found.task->state == CORE_TASK_KEEPING) {
        if (!core_journal_is_of(found.task, attempt)) {
            attempt->is_answered = true;
            core_attempt_put_aside(core, attempt);
        } /* else it was sent again. Answered when a result is on disk, either way */
        return;
    }
    bool is_by_itself = result->end == WIRE_END_EXITED || result->end == WIRE_END_SIGNALED ||
                        result->end == WIRE_END_NO_RETURN;
    if (attempt->is_lost && !is_by_itself) {
        settle(core, attempt, true);
        return;
    }
    if (found.task->returned != NULL && found.task->returned->attempt != attempt) {
        settle(core, attempt, true); /* another answered first, its output is on the way */
        return;
    }
    switch ((enum wire_end)result->end) {
    case WIRE_END_EXITED:
    case WIRE_END_SIGNALED:
    case WIRE_END_TIMEOUT:
    case WIRE_END_OUTPUT_LIMIT:
    case WIRE_END_NO_RETURN:
        on_own_end(core, attempt, result);
        return;
    case WIRE_END_CELL_DIED:
        core_site_note_end(core, attempt->site, false);
        on_cell_died(core, attempt, result);
        return;
    case WIRE_END_NO_DISK:
        /* As a cell that died: elsewhere if there is room, but not for ever. */
        rest_peer(core, attempt->site->peer, CORE_REST_NS);
        core_left_bring(core, attempt->site->peer);
        on_cell_died(core, attempt, result);
        return;
    case WIRE_END_NONE:
    case WIRE_END_CANCELLED:
    case WIRE_END_LEASE:
    case WIRE_END_LOST:
    case WIRE_END_NOT_STARTED:
    case WIRE_END_NO_DATA:
        on_mesh_end(core, attempt, result);
        return;
    }
    settle(core, attempt, true); /* an end of a newer version: not one of ours */
}

/* --- refusals ----------------------------------------------------------------------------------
 */

static void site_out(struct core *core, struct core_site *site, const struct wire_refuse *refuse)
{
    if (site->refusal != WIRE_REFUSAL_NONE) {
        return;
    }
    site->refusal = (enum wire_refusal)refuse->refusal;
    core_text_set(site->detail, sizeof(site->detail), refuse->text);
    site->job->n_refused++;
    core->is_check_due = true;
    core->is_want_due = true;
    char job[WIRE_JOB_TEXT_BYTES];
    core_log(core, CORE_LOG_INFO, "%s is out for job %s: %s", core_peer_label(site->peer),
             wire_job_text(site->job->id, job), wire_refusal_text(refuse->refusal));
}

/* Out at the third rest in a row. What was placed before the last one says nothing new: as many
 * starts as there are cores may fail at one moment. */
static void rest_or_out(struct core *core, const struct core_attempt *attempt,
                        const struct wire_refuse *refuse)
{
    struct core_site *site = attempt->site;
    rest_peer(core, site->peer, CORE_REST_NS);
    if (site->n_rests > 0 && attempt->at_ns <= site->rested_ns) {
        return;
    }
    site->rested_ns = core->now_ns;
    if (++site->n_rests >= CORE_RESTS_MAX) {
        site_out(core, site, refuse);
    }
}

static void blame(struct core *core, const struct core_attempt *attempt,
                  const struct wire_refuse *refuse)
{
    struct core_site *site = attempt->site;
    switch ((enum wire_refusal)refuse->refusal) {
    case WIRE_REFUSAL_NONE:
    case WIRE_REFUSAL_RECALLED:
    case WIRE_REFUSAL_NO_CREDIT:
        return;
    case WIRE_REFUSAL_UNKNOWN_JOB:
        site->job_link = 0;
        rest_peer(core, site->peer, CORE_REST_NS / 5);
        return;
    case WIRE_REFUSAL_DRAINING:
    case WIRE_REFUSAL_BUSY:
        rest_peer(core, site->peer, CORE_REST_NS / 5);
        return;
    case WIRE_REFUSAL_NO_DISK:
        core_left_bring(core, site->peer);
        rest_or_out(core, attempt, refuse);
        return;
    case WIRE_REFUSAL_NO_CELL:
    case WIRE_REFUSAL_NO_MEMORY:
        rest_or_out(core, attempt, refuse);
        return;
    case WIRE_REFUSAL_NOT_FOUND:
    case WIRE_REFUSAL_NOT_EXECUTABLE:
    case WIRE_REFUSAL_NO_INTERPRETER:
    case WIRE_REFUSAL_WRONG_ARCH:
    case WIRE_REFUSAL_NO_SANDBOX:
    case WIRE_REFUSAL_NO_BLOB:
        if (core_left_state_of(attempt->task) == CORE_LEFT_GONE) {
            return;
        }
        if (core_left_bytes_away(attempt->task) > 0) { /* it may be another's fault */
            rest_peer(core, site->peer, CORE_REST_NS / 5);
            return;
        }
        site_out(core, site, refuse);
        return;
    case WIRE_REFUSAL_TOO_LARGE:
        site_out(core, site, refuse);
        return;
    }
    site_out(core, site, refuse); /* of a newer version */
}

static void on_refuse(struct core *core, struct core_peer *peer, const struct wire_refuse *refuse)
{
    struct found found = find(core, peer, &refuse->id);
    if (found.attempt == NULL) {
        core->n_ignored++;
        return;
    }
    if (refuse->refusal == WIRE_REFUSAL_NO_BLOB || refuse->refusal == WIRE_REFUSAL_NO_DISK) {
        struct wire_refs refs = core_cargo_refs(found.task->cargo);
        for (uint32_t i = 0; i < refs.n; i++) {
            core_blob_drop_holder(core, &refs.items[i].hash, peer);
        }
    }
    if (!found.attempt->is_cancelled) {
        blame(core, found.attempt, refuse);
    }
    settle(core, found.attempt, false);
}

/* --- dispatch ----------------------------------------------------------------------------------
 */

static bool is_file_of(const struct core_job *job, const struct wire_hash *hash,
                       uint64_t *ret_bytes)
{
    for (uint32_t i = 0; i < job->spec.files.n; i++) {
        const struct wire_file *file = &job->spec.files.items[i];
        if (memcmp(&file->hash, hash, sizeof(*hash)) == 0) {
            *ret_bytes = file->bytes;
            return true;
        }
    }
    return false;
}

static bool is_ref_of(const struct core_task *task, const struct wire_hash *hash,
                      uint64_t *ret_bytes)
{
    struct wire_refs refs = core_cargo_refs(task->cargo);
    for (uint32_t i = 0; i < refs.n; i++) {
        if (memcmp(&refs.items[i].hash, hash, sizeof(*hash)) == 0) {
            *ret_bytes = refs.items[i].bytes;
            return true;
        }
    }
    return false;
}

bool core_owner_may_serve(const struct core *core, const struct core_peer *peer,
                          const struct wire_hash *hash, uint64_t *ret_bytes)
{
    list_for_each (node, &peer->sites) {
        const struct core_site *site = LIST_ENTRY(node, struct core_site, of_peer);
        if (site->job_link != 0 && is_file_of(site->job, hash, ret_bytes)) {
            return true;
        }
    }
    list_for_each (node, &peer->placed) {
        const struct core_task *task = LIST_ENTRY(node, struct core_attempt, of_peer)->task;
        if (task->input != NULL && memcmp(&task->input->hash, hash, sizeof(*hash)) == 0) {
            *ret_bytes = 0; /* of one task: nobody else reads it */
            return true;
        }
        if (is_ref_of(task, hash, ret_bytes) && core_left_has(task, hash)) {
            return true;
        }
        if (task->job->is_restored && is_file_of(task->job, hash, ret_bytes)) {
            return true; /* an earlier life of ours named the job there */
        }
    }
    return false;
}

bool core_owner_on_message(struct core *core, struct core_peer *peer,
                           const struct wire_message *message)
{
    switch ((unsigned)message->type) { /* as a number: the other messages are not for this role */
    case WIRE_MESSAGE_CREDIT:
        on_credit(core, peer, &message->credit);
        return true;
    case WIRE_MESSAGE_STARTED:
        on_started(core, peer, &message->started.id);
        return true;
    case WIRE_MESSAGE_STREAM:
        core_stream_on_data(core, peer, &message->stream);
        return true;
    case WIRE_MESSAGE_RESULT:
        on_result(core, peer, &message->result);
        return true;
    case WIRE_MESSAGE_REFUSE:
        on_refuse(core, peer, &message->refuse);
        return true;
    case WIRE_MESSAGE_INVENTORY:
        core_owner_on_inventory(core, peer, &message->inventory);
        return true;
    default:
        return false;
    }
}
