/* A host's disk as its daemon's journal sees it: what is said is there a latency later, group by
 * group, in order; writes may fail; a kill leaves any first part of what was not there yet; what is
 * there outlives all but amnesia. Detached jobs are judged by what is on disk. */
#include <errno.h>
#include <stdio.h>

#include "tests/sim/sim_internal.h"
#include "wire/base/mem.h"
#include "wire/message_codec.h"

struct record { /* said, and not on disk */
    struct list node;
    enum core_record_type type;
    uint64_t number, job;
    uint32_t task, n_tasks;
    struct wire_job_done over;
    struct wire_message message; /* of JOB: the submit; of RESULT: the done. In arena */
    struct arena arena;
    bool is_success, is_lost;
    struct core_record of_queue; /* copied into arena, when it is that */
};

struct sim_kept { /* a job as the disk knows it */
    struct list node;
    uint64_t id, at_ns;
    struct wire_message submit;
    struct arena arena;
    uint32_t n_tasks, n_results, n_succeeded, n_lost;
    bool is_complete, is_cancelled, is_over, is_forgotten;
    struct wire_job_done over;
    uint8_t *has_result; /* by task */
    uint32_t n_slots;
};

static struct sim_kept *kept_find(const struct sim_node *node, uint64_t id)
{
    list_for_each (at, &node->kept) {
        struct sim_kept *kept = LIST_ENTRY(at, struct sim_kept, node);
        if (kept->id == id) {
            return kept;
        }
    }
    return NULL;
}

static void kept_free(struct sim_kept *kept)
{
    list_remove(&kept->node);
    arena_done(&kept->arena);
    mem_free(kept->has_result);
    mem_free(kept);
}

/* --- records -----------------------------------------------------------------------------------
 */

static void record_free(struct record *record)
{
    list_remove(&record->node);
    arena_done(&record->arena);
    mem_free(record);
}

static void apply_job(struct sim *sim, struct sim_node *node, const struct record *record)
{
    struct sim_kept *kept = mem_alloc_or_die(1, sizeof(*kept));
    kept->id = record->job;
    kept->at_ns = sim->now_ns;
    arena_init(&kept->arena, SIZE_MAX);
    int r = wire_message_copy(&record->message, &kept->arena, &kept->submit);
    ensure(r == 0);
    list_push_back(&node->kept, &kept->node);
}

static void apply_result(struct sim *sim, struct sim_node *node, struct sim_kept *kept,
                         const struct record *record)
{
    uint32_t task = record->message.done.task;
    if (task == 0 || task > kept->n_tasks || kept->has_result[task]) {
        sim_broken(sim, "%s writes a result of task %u, which has one or is none", node->name,
                   task);
    }
    kept->has_result[task] = 1;
    kept->n_results++;
    kept->n_succeeded += record->is_success;
    kept->n_lost += record->is_lost;
    struct sim_job *job = client_job(sim, &node->key, kept->id);
    ensure(job != NULL);
    oracle_done(sim, job, &record->message.done);
    job->n_done++;
    job->n_acked++;
}

static void apply_task(struct sim_kept *kept)
{
    if (++kept->n_tasks >= kept->n_slots) {
        uint32_t n = kept->n_slots == 0 ? 64 : kept->n_slots * 2;
        kept->has_result = mem_realloc(kept->has_result, n, 1);
        ensure(kept->has_result != NULL);
        memset(kept->has_result + kept->n_slots, 0, n - kept->n_slots);
        kept->n_slots = n;
    }
}

static void apply_over(struct sim *sim, struct sim_node *node, struct sim_kept *kept,
                       const struct record *record)
{
    kept->is_over = true;
    kept->over = record->over;
    struct sim_job *job = client_job(sim, &node->key, kept->id);
    if (kept->n_results != kept->n_tasks && !kept->is_cancelled) {
        sim_broken(sim, "%s says that a job is over with %u results of %u", node->name,
                   kept->n_results, kept->n_tasks);
    }
    job->is_done = true;
    job->done_ns = sim->now_ns;
    client_over(sim, job);
}

static void apply(struct sim *sim, struct sim_node *node, const struct record *record)
{
    struct sim_kept *kept = kept_find(node, record->job);
    node->n_on_disk = record->number;
    if (kept_is_of_queue(record->type)) {
        queues_apply(sim, node, &record->of_queue);
        return;
    }
    if (record->type == CORE_RECORD_JOB) {
        if (kept != NULL) {
            sim_broken(sim, "%s writes a job twice", node->name);
        }
        apply_job(sim, node, record);
        return;
    }
    if (kept == NULL && record->type == CORE_RECORD_FORGET) {
        return; /* its first record never came to be */
    }
    bool is_forget = record->type == CORE_RECORD_FORGET;
    if (kept == NULL || (kept->is_over && !is_forget) || kept->is_forgotten) {
        sim_broken(sim, "%s writes record %u of a job that is not on disk", node->name,
                   record->type);
    }
    switch (record->type) {
    case CORE_RECORD_TASK:
        apply_task(kept);
        return;
    case CORE_RECORD_COMPLETE:
        kept->is_complete = true;
        return;
    case CORE_RECORD_RESULT:
        apply_result(sim, node, kept, record);
        return;
    case CORE_RECORD_CANCEL: {
        struct sim_job *job = client_job(sim, &node->key, kept->id);
        kept->is_cancelled = true;
        if (job == NULL || !job->is_cancelled) {
            sim_broken(sim, "%s cancels a detached job that nobody wants cancelled", node->name);
        }
        return;
    }
    case CORE_RECORD_OVER:
        apply_over(sim, node, kept, record);
        return;
    case CORE_RECORD_FORGET: {
        struct sim_job *job = client_job(sim, &node->key, kept->id);
        if (job != NULL && job->is_kept && !job->is_forgetting) {
            sim_broken(sim, "%s forgets a job that it had accepted", node->name);
        }
        kept->is_forgotten = true;
        return;
    }
    case CORE_RECORD_QUEUE:
    case CORE_RECORD_QUEUE_PUT:
    case CORE_RECORD_QUEUE_DONE:
    case CORE_RECORD_QUEUE_REMOVED:
    case CORE_RECORD_JOB:
        return;
    }
}

/* --- writing -----------------------------------------------------------------------------------
 */

static void write_some(struct sim *sim, struct sim_node *node, uint64_t n)
{
    for (; n > 0 && !list_is_empty(&node->said); n--) {
        struct record *record = LIST_ENTRY(node->said.next, struct record, node);
        apply(sim, node, record);
        record_free(record);
    }
}

static void drop_said(struct sim_node *node)
{
    while (!list_is_empty(&node->said)) {
        record_free(LIST_ENTRY(node->said.next, struct record, node));
    }
    node->n_said = 0;
    node->is_writing = false;
}

static void written_fire(struct sim *sim, struct sim_event *event);

static void write_later(struct sim *sim, struct sim_node *node)
{
    if (!node->is_writing && node->n_said > 0) {
        node->is_writing = true;
        uint64_t in_ns = dice_log(&sim->dice, 1, node->is_disk_slow ? 10000 : 200) * SIM_MS / 10;
        sim_event_new(sim, SIM_DAEMON, node, in_ns, written_fire)->a = node->n_said;
    }
}

/* a: how many are in this group. */
static void written_fire(struct sim *sim, struct sim_event *event)
{
    struct sim_node *node = event->node;
    struct core_event told = {.type = CORE_EVENT_JOURNALED};
    node->is_writing = false;
    if (node->disk_error != 0) {
        drop_said(node);
        told.journaled.error = -(int)node->disk_error;
    } else {
        node->n_said -= event->a;
        write_some(sim, node, event->a);
    }
    told.journaled.number = node->n_on_disk;
    sim_step(sim, node, &told);
    write_later(sim, node);
}

void disk_say(struct sim *sim, struct sim_node *node, const struct core_effect *effect)
{
    const struct core_record *said = &effect->journal;
    struct record *record = mem_alloc_or_die(1, sizeof(*record));
    arena_init(&record->arena, SIZE_MAX);
    record->type = said->type;
    record->number = said->number;
    record->job = said->job;
    record->of_queue = kept_record_copy(&record->arena, said);
    struct wire_message message = {0};
    if (said->type == CORE_RECORD_JOB) {
        message.type = WIRE_MESSAGE_SUBMIT;
        message.submit = said->job_record.submit;
    } else if (said->type == CORE_RECORD_RESULT) {
        message.type = WIRE_MESSAGE_DONE;
        message.done = said->result.done;
        record->is_success = said->result.is_success;
        record->is_lost = said->result.is_lost;
    }
    if (said->type == CORE_RECORD_OVER) {
        record->over = said->over;
        record->over.text = (struct slice){0};
    }
    if (message.type != WIRE_MESSAGE_NONE) {
        int r = wire_message_copy(&message, &record->arena, &record->message);
        ensure(r == 0);
    }
    list_push_back(&node->said, &record->node);
    node->n_said++;
    write_later(sim, node);
}

/* --- reading -----------------------------------------------------------------------------------
 */

#define READ_MAX 512u

static void send_tasks(struct sim *sim, struct sim_node *node, const struct sim_kept *kept,
                       uint32_t first, uint32_t n_max, int error)
{
    static struct wire_add_task items[READ_MAX];
    static struct sim_words words[READ_MAX];
    const struct sim_job *job = client_job(sim, &node->key, kept->id);
    ensure(job != NULL);
    uint32_t n = 0;
    for (uint32_t i = first; i <= kept->n_tasks && n < n_max && n < READ_MAX; i++) {
        if (!kept->has_result[i]) {
            items[n] = client_task(job, i, &words[n]);
            n++;
        }
    }
    struct core_event event = {.type = CORE_EVENT_JOURNAL_TASKS};
    event.journal_tasks.job = kept->id;
    event.journal_tasks.items = items;
    event.journal_tasks.n = error == 0 ? n : 0;
    event.journal_tasks.error = error;
    sim_step(sim, node, &event);
}

/* a: job, b: first, c: n. */
static void read_fire(struct sim *sim, struct sim_event *event)
{
    const struct sim_kept *kept = kept_find(event->node, event->a);
    if (kept != NULL) {
        send_tasks(sim, event->node, kept, (uint32_t)event->b, (uint32_t)event->c,
                   -(int)event->node->disk_error);
    }
}

void disk_read(struct sim *sim, struct sim_node *node, const struct core_effect *effect)
{
    uint64_t in_ns = dice_log(&sim->dice, 1, 50) * SIM_MS / 10;
    struct sim_event *event = sim_event_new(sim, SIM_DAEMON, node, in_ns, read_fire);
    event->a = effect->journal_read.job;
    event->b = effect->journal_read.first;
    event->c = effect->journal_read.n;
}

/* a: look, b: job. */
static void look_fire(struct sim *sim, struct sim_event *event)
{
    struct sim_node *node = event->node;
    const struct sim_kept *kept = kept_find(node, event->b);
    struct core_event told = {.type = CORE_EVENT_JOURNAL_LOOKED};
    bool is_there = kept != NULL && !kept->is_forgotten;
    told.journal_looked.look = event->a;
    told.journal_looked.error = node->disk_error != 0 ? -(int)node->disk_error
                                : is_there            ? 0
                                                      : -ENOENT;
    if (told.journal_looked.error == 0) {
        told.journal_looked.submit = &kept->submit.submit;
        told.journal_looked.is_complete = kept->is_complete;
        told.journal_looked.is_cancelled = kept->is_cancelled;
        told.journal_looked.is_over = kept->is_over;
        told.journal_looked.over = kept->over;
    }
    sim_step(sim, node, &told);
}

void disk_look(struct sim *sim, struct sim_node *node, const struct core_effect *effect)
{
    uint64_t in_ns = dice_log(&sim->dice, 1, 50) * SIM_MS / 10;
    struct sim_event *event = sim_event_new(sim, SIM_DAEMON, node, in_ns, look_fire);
    event->a = effect->journal_look.look;
    event->b = effect->journal_look.job;
}

/* --- lives -------------------------------------------------------------------------------------
 */

struct reader {
    struct sim *sim;
    struct sim_node *node;
};

static void step_reader(void *user, struct core_event *event)
{
    const struct reader *reader = user;
    sim_step(reader->sim, reader->node, event);
}

void disk_start(struct sim *sim, struct sim_node *node)
{
    list_for_each (at, &node->kept) {
        const struct sim_kept *kept = LIST_ENTRY(at, struct sim_kept, node);
        if (kept->is_over || kept->is_forgotten) {
            continue;
        }
        struct core_event event = {.type = CORE_EVENT_JOURNAL_JOB};
        event.journal_job.job = kept->id;
        event.journal_job.submit = &kept->submit.submit;
        event.journal_job.age_ns = sim->now_ns - kept->at_ns;
        event.journal_job.is_complete = kept->is_complete;
        event.journal_job.is_cancelled = kept->is_cancelled;
        event.journal_job.n_tasks = kept->n_tasks;
        event.journal_job.n_results = kept->n_results;
        event.journal_job.n_succeeded = kept->n_succeeded;
        event.journal_job.n_lost = kept->n_lost;
        sim_step(sim, node, &event);
        if (kept->is_complete && !kept->is_cancelled) {
            send_tasks(sim, node, kept, 1, READ_MAX, 0);
        }
    }
    struct reader reader = {.sim = sim, .node = node};
    kept_queues_restore(&node->queues, step_reader, &reader);
    struct core_event event = {.type = CORE_EVENT_JOURNAL_END};
    sim_step(sim, node, &event);
}

void disk_kill(struct sim *sim, struct sim_node *node)
{
    if (node->disk_error == 0) {
        write_some(sim, node, dice_roll(&sim->dice, node->n_said + 1));
    }
    drop_said(node);
    node->n_on_disk = 0; /* numbers are of a life */
    list_for_each (at, &sim->jobs) {
        struct sim_job *job = LIST_ENTRY(at, struct sim_job, node);
        const struct sim_kept *kept =
            job->owner == node && job->is_detached ? kept_find(node, job->id) : NULL;
        if (kept != NULL && kept->is_complete && wire_key_eq(&job->owner_key, &node->key)) {
            job->is_kept = true; /* whether its client was told or not */
        }
    }
}

void disk_wipe(struct sim *sim, struct sim_node *node)
{
    drop_said(node);
    queues_wipe(sim, node);
    while (!list_is_empty(&node->kept)) {
        kept_free(LIST_ENTRY(node->kept.next, struct sim_kept, node));
    }
    list_for_each (at, &sim->jobs) {
        struct sim_job *job = LIST_ENTRY(at, struct sim_job, node);
        if (job->owner == node && wire_key_eq(&job->owner_key, &node->key) && !job->is_done) {
            job->is_kept = false;
            job->is_dead = true;
        }
    }
}

bool disk_has_result(const struct sim_node *node, uint64_t job, uint32_t task)
{
    const struct sim_kept *kept = kept_find(node, job);
    return kept != NULL && task <= kept->n_tasks && kept->has_result[task];
}

static bool is_ref_of(const struct sim_job *job, const struct wire_hash *hash)
{
    for (uint32_t i = 0; job != NULL && i < job->n_refs; i++) {
        if (memcmp(&job->refs[i].hash, hash, sizeof(*hash)) == 0) {
            return true;
        }
    }
    return false;
}

/* What a job on disk will need again. */
bool disk_names(const struct sim *sim, const struct sim_node *node, const struct wire_hash *hash)
{
    if (queues_names(node, hash)) {
        return true;
    }
    list_for_each (at, &node->kept) {
        const struct sim_kept *kept = LIST_ENTRY(at, struct sim_kept, node);
        const struct wire_files *files = &kept->submit.submit.spec.files;
        if (!kept->is_over && is_ref_of(client_job(sim, &node->key, kept->id), hash)) {
            return true;
        }
        for (uint32_t i = 0; !kept->is_over && i < files->n; i++) {
            if (memcmp(&files->items[i].hash, hash, sizeof(*hash)) == 0) {
                return true;
            }
        }
    }
    return false;
}
