/* The life of a task and of its attempts. A task has one result, whatever happens to how many of
 * its attempts: that is the one way into DONE, here. */
#include <string.h>

#include "mesh/core/blob.h"
#include "mesh/core/job.h"
#include "mesh/core/journal.h"
#include "mesh/core/left.h"
#include "mesh/core/peer.h"
#include "mesh/core/put.h"
#include "wire/base/mem.h"

struct core_task *core_task_find(const struct core_job *job, uint32_t number)
{
    struct table_entry *entry = table_find(&job->tasks, &number);
    return entry != NULL ? LIST_ENTRY(entry, struct core_task, by_number) : NULL;
}

static bool is_active(unsigned state)
{
    return state == CORE_TASK_PLACED || state == CORE_TASK_RUNNING || state == CORE_TASK_FETCHING;
}

/* Attempts that are out beyond the one that an active task has. */
static uint32_t extra_of(const struct core_task *task)
{
    uint32_t n = is_active(task->state);
    return task->n_out > n ? task->n_out - n : 0;
}

/* Keeps the counts of the job and its list of waiting tasks right; one that waits again goes
 * first. */
bool core_task_move(struct core *core, struct core_task *task, enum core_task_cause cause)
{
    struct core_job *job = task->job;
    unsigned from = task->state;
    uint32_t extra = extra_of(task);
    if (!core_move(&core->moves, CORE_MACHINE_TASK, &task->state, cause)) {
        core_log(core, CORE_LOG_DEBUG, "task %llu/%u is %s: %s is nothing to it",
                 (unsigned long long)job->id, task->number,
                 core_state_text(CORE_MACHINE_TASK, from),
                 core_cause_text(CORE_MACHINE_TASK, cause));
        return false;
    }
    if (from == CORE_TASK_WAITING && task->state != CORE_TASK_WAITING) {
        list_remove(&task->in_waiting);
        job->n_waiting--;
    }
    if (task->state == CORE_TASK_WAITING) {
        list_push_front(&job->waiting, &task->in_waiting);
        job->n_waiting++;
        core->is_check_due |= job->n_refused > 0; /* there may be nobody left to take it */
    }
    job->n_active -= is_active(from);
    job->n_active += is_active(task->state);
    job->n_extra += extra_of(task) - extra;
    return true;
}

/* --- attempts ----------------------------------------------------------------------------------
 */

struct wire_attempt_id core_attempt_id(const struct core_attempt *attempt)
{
    return (struct wire_attempt_id){.job = attempt->task->job->id,
                                    .task = attempt->task->number,
                                    .incarnation = attempt->incarnation,
                                    .number = attempt->number};
}

struct core_attempt *core_attempt_find(const struct core_task *task, const struct core_peer *peer,
                                       const struct wire_attempt_id *id)
{
    list_for_each (node, &task->attempts) {
        struct core_attempt *attempt = LIST_ENTRY(node, struct core_attempt, of_task);
        if (attempt->number == id->number && attempt->incarnation == id->incarnation &&
            attempt->site->peer == peer) {
            return attempt;
        }
    }
    return NULL;
}

static void count_out_of_task(struct core_task *task, uint32_t n_out)
{
    uint32_t extra = extra_of(task);
    task->n_out = n_out;
    task->job->n_extra += extra_of(task) - extra;
}

static void count_in(struct core *core, struct core_attempt *attempt)
{
    struct core_peer *peer = attempt->site->peer;
    struct core_job *job = attempt->task->job;
    list_push_back(&peer->placed, &attempt->of_peer);
    peer->cores_placed += job->spec.cores;
    job->cores_placed += job->spec.cores;
    attempt->site->n_placed++;
    count_out_of_task(attempt->task, attempt->task->n_out + 1);
    if (peer->n_placed++ == 0) {
        core_beat_hurry(core, peer);
    }
    core_place_update_spare(core, peer);
}

static void count_out(struct core *core, struct core_attempt *attempt)
{
    struct core_peer *peer = attempt->site->peer;
    struct core_job *job = attempt->task->job;
    list_remove(&attempt->of_peer);
    if (!attempt->is_lost) {
        peer->n_placed--;
        peer->cores_placed -= job->spec.cores;
        job->cores_placed -= job->spec.cores;
        attempt->site->n_placed--;
        count_out_of_task(attempt->task, attempt->task->n_out - 1);
        core_place_update_spare(core, peer);
    }
}

void core_attempt_free(struct core *core, struct core_attempt *attempt)
{
    struct core_peer *peer = attempt->site->peer;
    count_out(core, attempt);
    list_remove(&attempt->of_task);
    attempt->task->n_attempts--;
    core->n_attempts--;
    bool was_lost = attempt->is_lost;
    mem_free(attempt);
    if (was_lost && core->effects != NULL) {
        core_peer_maybe_forget(core, peer);
    }
}

/* One that has begun, where there is one; NULL: none counts any more. */
static const struct core_attempt *live_attempt(const struct core_task *task)
{
    const struct core_attempt *live = NULL;
    list_for_each (node, &task->attempts) {
        const struct core_attempt *attempt = LIST_ENTRY(node, struct core_attempt, of_task);
        if (!attempt->is_lost && !attempt->is_cancelled && (live == NULL || attempt->is_begun)) {
            live = attempt;
        }
    }
    return live;
}

static void send_cancel(struct core *core, struct core_attempt *attempt)
{
    attempt->is_cancelled = true;
    struct wire_message message = {.type = WIRE_MESSAGE_CANCEL};
    message.cancel.id = core_attempt_id(attempt);
    core_send(core, attempt->site->peer, &message);
}

/* Nothing that is still out can count any more. */
static void cancel_attempts(struct core *core, struct core_task *task)
{
    struct list *node = task->attempts.next;
    while (node != &task->attempts) {
        struct core_attempt *attempt = LIST_ENTRY(node, struct core_attempt, of_task);
        node = node->next;
        bool has_ended = task->returned != NULL && task->returned->attempt == attempt;
        if (has_ended || attempt->is_answered) {
            struct wire_attempt_id id = core_attempt_id(attempt);
            core_result_ack(core, attempt->site->peer, &id);
        }
        if (attempt->is_lost || has_ended) {
            core_attempt_free(core, attempt);
        } else if (!attempt->is_cancelled) {
            send_cancel(core, attempt);
        }
    }
}

static void trim_lost(struct core *core, struct core_task *task)
{
    unsigned n_lost = 0;
    struct list *node = task->attempts.prev;
    while (node != &task->attempts) {
        struct core_attempt *attempt = LIST_ENTRY(node, struct core_attempt, of_task);
        node = node->prev;
        n_lost += attempt->is_lost;
        if (attempt->is_lost && n_lost > CORE_OLD_ATTEMPTS_MAX) {
            core_attempt_free(core, attempt);
        }
    }
}

/* --- the task ----------------------------------------------------------------------------------
 */

static void task_free(struct core_grave *grave)
{
    struct core_task *task = CONTAINER_OF(grave, struct core_task, grave);
    mem_free(task->streams);
    mem_free(task->input);
    mem_free(task->died_on);
    mem_free(task);
}

struct core_task *core_task_new(struct core *core, struct core_job *job,
                                const struct wire_add_task *add)
{
    struct core_cargo cargo = core_cargo_of_add(add);
    size_t n_bytes = core_load_bytes(add->argv, cargo);
    struct core_task *task = mem_alloc_or_die(1, sizeof(*task) + n_bytes);
    task->job = job;
    task->number = add->task;
    task->argv = core_load_put(task + 1, add->argv, cargo, &task->cargo);
    task->argv_bytes = n_bytes;
    task->keeps_result = add->keeps_result;
    if (job->spec.is_streamed) {
        task->streams = mem_alloc_or_die(1, sizeof(*task->streams));
    }
    list_init(&task->attempts);
    table_insert(&job->tasks, &task->by_number, &task->number);
    list_push_back(&job->waiting, &task->in_waiting);
    job->n_waiting++;
    core->n_tasks++;
    if (add->has_input) {
        task->input = mem_alloc_or_die(1, sizeof(*task->input));
        *task->input = (struct core_task_input){.hash = add->input, .bytes = add->input_bytes};
        core_blob_ref(core, &task->input->hash);
    }
    for (uint32_t i = 0; i < add->refs.n; i++) {
        core_blob_ref(core, &add->refs.items[i].hash);
    }
    core_put_pin(job->is_detached ? NULL : job->client, add->refs);
    return task;
}

void core_task_maybe_free(struct core *core, struct core_task *task)
{
    struct core_job *job = task->job;
    if (task->state != CORE_TASK_DONE || task->n_attempts > 0) {
        return;
    }
    core_task_drop_returned(core, task);
    list_remove(&task->in_waiting);
    if (task->input != NULL) {
        core_blob_unref(core, &task->input->hash);
    }
    struct wire_refs refs = core_cargo_refs(task->cargo);
    for (uint32_t i = 0; i < refs.n; i++) {
        core_blob_unref(core, &refs.items[i].hash);
    }
    core_put_unpin(core, job->is_detached ? NULL : job->client, refs);
    table_remove(&job->tasks, &task->by_number);
    core->n_tasks--;
    core_bury(core, &task->grave, task_free);
}

static struct core_attempt *attempt_new(struct core *core, struct core_task *task,
                                        struct core_site *site)
{
    struct core_attempt *attempt = mem_alloc_or_die(1, sizeof(*attempt));
    attempt->task = task;
    attempt->site = site;
    attempt->incarnation = core->config.incarnation;
    attempt->at_ns = core->now_ns;
    list_push_back(&task->attempts, &attempt->of_task);
    task->n_attempts++;
    core->n_attempts++;
    return attempt;
}

struct core_attempt *core_attempt_adopt(struct core *core, struct core_task *task,
                                        struct core_peer *peer, const struct wire_attempt_id *id,
                                        bool is_live)
{
    if (is_live) {
        bool did_move = core_task_move(core, task, CORE_TASK_ON_PLACE);
        ensure(did_move);
    }
    struct core_attempt *attempt = attempt_new(core, task, core_site_get(core, task->job, peer));
    attempt->number = id->number;
    attempt->incarnation = id->incarnation;
    task->n_numbers = id->number > task->n_numbers ? id->number : task->n_numbers;
    attempt->is_seen = true;
    if (is_live) {
        count_in(core, attempt);
        core_job_update(core, task->job);
    } else {
        attempt->is_lost = true;
        list_push_back(&peer->past, &attempt->of_peer);
        trim_lost(core, task);
    }
    return attempt;
}

void core_attempt_begun(struct core *core, struct core_attempt *attempt, uint64_t begun_ns)
{
    struct core_peer *peer = attempt->site->peer;
    attempt->is_begun = true;
    attempt->begun_ns = begun_ns;
    attempt->site->has_begun = true;
    attempt->site->n_rests = 0;
    peer->begun_ns = begun_ns > peer->begun_ns ? begun_ns : peer->begun_ns;
    if (!attempt->is_lost && attempt->task->state == CORE_TASK_PLACED) {
        core_task_move(core, attempt->task, CORE_TASK_ON_BEGIN);
    }
}

static void place_at(struct core *core, struct core_task *task, struct core_site *site)
{
    struct core_job *job = task->job;
    struct core_peer *peer = site->peer;
    struct core_attempt *attempt = attempt_new(core, task, site);
    attempt->number = ++task->n_numbers;
    count_in(core, attempt);
    uint64_t link = peer->is_self ? 1 : peer->link->id;
    struct wire_message message = {.type = WIRE_MESSAGE_JOB};
    if (site->job_link != link) {
        site->job_link = link;
        message.job.job = job->id;
        message.job.spec = job->spec;
        core_send(core, peer, &message);
    }
    message = (struct wire_message){.type = WIRE_MESSAGE_TASK};
    message.task = (struct wire_task){.id = core_attempt_id(attempt), .argv = task->argv};
    core_cargo_put(task->cargo, &message.task);
    message.task.refs = core_left_refs_for(core, task, peer);
    if (task->input != NULL) {
        message.task.has_input = true;
        message.task.input = task->input->hash;
        message.task.input_bytes = task->input->bytes;
    }
    if (peer->n_placed > (uint64_t)CORE_GATHER_TASKS * peer->credit.cores &&
        peer->n_placed > peer->credit.n_tasks / 2) {
        core_send_lazily(core, peer, &message);
    } else {
        core_send(core, peer, &message);
    }
    for (uint32_t i = 0; i < message.task.refs.n; i++) {
        core_blob_note_holder(core, &message.task.refs.items[i].hash, peer);
    }
    core_stream_placed(core, task, peer);
}

void core_task_place(struct core *core, struct core_task *task, struct core_site *site)
{
    bool did_move = core_task_move(core, task, CORE_TASK_ON_PLACE);
    ensure(did_move);
    place_at(core, task, site);
}

void core_task_second(struct core *core, struct core_task *task, struct core_site *site)
{
    bool did_move = core_task_move(core, task, CORE_TASK_ON_SECOND);
    ensure(did_move);
    place_at(core, task, site);
}

bool core_task_is_own_end(uint32_t end)
{
    return end == WIRE_END_EXITED || end == WIRE_END_SIGNALED || end == WIRE_END_TIMEOUT ||
           end == WIRE_END_OUTPUT_LIMIT || end == WIRE_END_NO_RETURN;
}

static void count_result(struct core_task *task, struct core_peer *peer,
                         const struct wire_result *result)
{
    struct core_job *job = task->job;
    bool is_success = result->end == WIRE_END_EXITED && result->status == 0;
    job->n_done++;
    job->n_succeeded += is_success;
    job->n_failed += !is_success;
    job->n_lost += !core_task_is_own_end(result->end);
    job->argv_bytes -= task->argv_bytes;
    job->unacked_bytes += core_result_inlined_bytes(result);
    if (peer != NULL) {
        struct core_stats *stats = &peer->stats;
        stats->n_tasks++;
        stats->n_failed += !is_success;
        stats->wall_us += result->wall_us;
        stats->cpu_us += result->user_us + result->sys_us;
    }
}

/* What a call returned, where it is large: other tasks may read it as if it were put. */
static void put_output(struct core *core, const struct core_attempt *attempt,
                       const struct wire_output *output, bool is_left)
{
    struct core_peer *peer = attempt->site->peer;
    struct core_put *put =
        core_put_add(core, attempt->task->job->client, &output->hash, output->bytes, !is_left);
    core_blob_note_holder(core, &output->hash, peer);
    if (put != NULL && is_left) {
        struct wire_attempt_id id = core_attempt_id(attempt);
        core_left_add(core, put, peer, &id);
    }
}

void core_task_put_files(struct core *core, struct core_client *client,
                         const struct wire_result *result)
{
    for (uint32_t i = 0; i < result->files.n; i++) {
        const struct wire_result_file *file = &result->files.items[i];
        core_put_add(core, client, &file->hash, file->bytes, true);
    }
}

static void send_done(struct core *core, const struct core_task *task,
                      const struct core_attempt *attempt, enum wire_refusal refusal,
                      const struct wire_result *result, bool is_left)
{
    struct wire_message message = {.type = WIRE_MESSAGE_DONE};
    struct wire_done *done = &message.done;
    done->job = task->job->id;
    done->task = task->number;
    done->n_runs = task->n_runs + task->n_lost_runs;
    done->refusal = refusal;
    done->is_away = is_left;
    int r = core_result_copy(&core->effects->arena, result, &done->result);
    ensure(r == 0); /* the batch's arena has no limit */
    if (attempt != NULL) {
        done->attempt = attempt->number;
        done->peer = attempt->site->peer->key;
        done->peer_name = core_batch_copy(core, slice_str(attempt->site->peer->name));
    }
    core_client_send(core, task->job->client->id, &message);
    if (task->job->spec.is_call && attempt != NULL) {
        put_output(core, attempt, &result->out, is_left);
        put_output(core, attempt, &result->err, false);
    }
    core_task_put_files(core, task->job->client, result);
}

/* The one way into DONE: what there is to be told or acknowledged was, or is by the caller. */
static bool finish(struct core *core, struct core_task *task, enum core_task_cause cause,
                   struct core_peer *peer, const struct wire_result *result)
{
    if (!core_task_move(core, task, cause)) {
        return false;
    }
    count_result(task, peer, result);
    return true;
}

/* And what is left of it. */
static void clear(struct core *core, struct core_task *task)
{
    struct core_job *job = task->job;
    core_journal_drop_keeping(core, task);
    cancel_attempts(core, task);
    core_task_drop_returned(core, task);
    core_task_maybe_free(core, task);
    core_job_update(core, job);
}

void core_task_report(struct core *core, struct core_task *task, struct core_attempt *attempt,
                      enum wire_refusal refusal, const struct wire_result *result)
{
    if (task->job->is_detached) {
        core_journal_result(core, task, attempt, refusal, result);
        return;
    }
    struct core_peer *peer = attempt != NULL ? attempt->site->peer : NULL;
    bool is_left = attempt != NULL && core_left_may(attempt, result);
    if (!finish(core, task, CORE_TASK_ON_REPORT, peer, result)) {
        return;
    }
    if (task->job->client != NULL) {
        send_done(core, task, attempt, refusal, result, is_left);
    }
    if (attempt != NULL) {
        struct wire_attempt_id id = core_attempt_id(attempt);
        if (!is_left) { /* else that would be the end of it */
            core_result_ack(core, peer, &id);
        }
        core_attempt_free(core, attempt);
    }
    clear(core, task);
}

void core_task_kept(struct core *core, struct core_task *task)
{
    const struct core_keeping *keeping = task->keeping;
    struct core_peer *peer = core_peer_find(core, &keeping->done.peer);
    if (finish(core, task, CORE_TASK_ON_REPORT, peer, &keeping->done.result)) {
        clear(core, task);
    }
}

void core_task_give_up(struct core *core, struct core_task *task, enum wire_end end,
                       enum wire_refusal refusal, struct slice detail)
{
    struct wire_result result = {.end = end, .detail = detail};
    if (task->job->is_detached && end != WIRE_END_CANCELLED) {
        core_journal_result(core, task, NULL, refusal, &result);
        return;
    }
    if (!finish(core, task, CORE_TASK_ON_GIVE_UP, NULL, &result)) {
        return;
    }
    if (task->job->client != NULL && !task->job->is_detached) {
        send_done(core, task, NULL, refusal, &result, false);
    }
    clear(core, task);
}

void core_task_requeue(struct core *core, struct core_task *task)
{
    if (task->state == CORE_TASK_DONE) {
        core_task_maybe_free(core, task);
        core_job_update(core, task->job);
        return;
    }
    if (task->returned != NULL || task->state == CORE_TASK_KEEPING) {
        return; /* another attempt's output is on its way, or its result to disk */
    }
    const struct core_attempt *live = live_attempt(task);
    if (live != NULL) {
        if (task->state == CORE_TASK_FETCHING) { /* the other attempt stands for it now */
            core_task_move(core, task, CORE_TASK_ON_REQUEUE);
            core_task_move(core, task, CORE_TASK_ON_PLACE);
        } else if (task->state == CORE_TASK_RUNNING && !live->is_begun) {
            core_task_move(core, task, CORE_TASK_ON_RESUME);
        }
        if (task->state == CORE_TASK_PLACED && live->is_begun) {
            core_task_move(core, task, CORE_TASK_ON_BEGIN);
        }
    } else if (task->state != CORE_TASK_WAITING) {
        core_task_move(core, task, CORE_TASK_ON_REQUEUE);
    }
    core_job_update(core, task->job);
}

void core_attempt_put_aside(struct core *core, struct core_attempt *attempt)
{
    if (!attempt->is_lost) {
        count_out(core, attempt);
        attempt->is_lost = true;
        list_push_back(&attempt->site->peer->past, &attempt->of_peer);
    }
}

void core_attempt_lost(struct core *core, struct core_attempt *attempt)
{
    struct core_task *task = attempt->task;
    struct core_peer *peer = attempt->site->peer;
    if (task->state == CORE_TASK_KEEPING && !attempt->is_cancelled) {
        core_attempt_put_aside(core, attempt); /* its result is here */
        return;
    }
    if (task->returned != NULL && task->returned->attempt == attempt) {
        core_task_drop_returned(core, task);
    }
    if (task->state == CORE_TASK_DONE || attempt->is_cancelled) {
        core_attempt_free(core, attempt);
        core_task_requeue(core, task);
        return;
    }
    if (attempt->is_lost) {
        core_task_requeue(core, task);
        return;
    }
    peer->stats.n_lost++;
    task->n_lost_runs += attempt->is_begun;
    if (task->streams != NULL) {
        memcpy(task->streams->lost_on, peer->name, sizeof(peer->name));
    }
    core_attempt_put_aside(core, attempt);
    trim_lost(core, task);
    if (task->job->is_once) {
        core_task_give_up(core, task, WIRE_END_LOST, WIRE_REFUSAL_NONE,
                          core_batch_printf(core, "%s was lost", core_peer_label(peer)));
    } else {
        core_task_requeue(core, task);
    }
}

/* It is with its executor after all, and counts. */
static void bring_back(struct core *core, struct core_attempt *attempt)
{
    ensure(attempt->is_lost);
    list_remove(&attempt->of_peer);
    attempt->is_lost = false;
    count_in(core, attempt);
}

void core_attempt_found(struct core *core, struct core_attempt *attempt)
{
    if (core_task_move(core, attempt->task, CORE_TASK_ON_PLACE)) {
        bring_back(core, attempt);
        if (attempt->is_begun) {
            core_task_move(core, attempt->task, CORE_TASK_ON_BEGIN);
        }
        core_job_update(core, attempt->task->job);
    }
}

bool core_attempt_overtake(struct core *core, struct core_attempt *attempt)
{
    struct core_task *task = attempt->task;
    bool is_placed = task->state == CORE_TASK_PLACED || task->state == CORE_TASK_RUNNING;
    if (!is_placed || !attempt->is_begun || task->streams != NULL || core_job_is_full(task->job)) {
        return false;
    }
    list_for_each (node, &task->attempts) {
        const struct core_attempt *other = LIST_ENTRY(node, struct core_attempt, of_task);
        if (!other->is_lost && !other->is_cancelled && other->is_begun &&
            other->begun_ns <= attempt->begun_ns) {
            return false;
        }
    }
    bool is_running = task->state == CORE_TASK_RUNNING;
    if (!core_task_move(core, task, is_running ? CORE_TASK_ON_SECOND : CORE_TASK_ON_BEGIN)) {
        return false;
    }
    list_for_each (node, &task->attempts) {
        struct core_attempt *other = LIST_ENTRY(node, struct core_attempt, of_task);
        if (!other->is_lost && !other->is_cancelled) {
            send_cancel(core, other);
        }
    }
    bring_back(core, attempt);
    core_job_update(core, task->job);
    return true;
}
