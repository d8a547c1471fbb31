/* A node's disk: the shell's side of the core's journal. What it says is on disk a latency later,
 * group by group; a kill leaves a part of what was under way. */
#include <check.h>
#include <errno.h>

#include "tests/lib/core_world_internal.h"
#include "wire/base/mem.h"
#include "wire/message_codec.h"

struct disk_record { /* said, and not on disk */
    struct list node;
    struct core_record record;
    struct wire_message message; /* a copy of what is in it */
    struct arena arena;
};

struct disk_task {
    struct wire_add_task task;
    bool has_result;
    struct wire_done done;
};

struct disk_job {
    struct list node;
    uint64_t id, made_ns;
    uint32_t uid;
    struct arena arena;
    struct wire_submit submit;
    struct disk_task *tasks; /* task 1 at 0 */
    uint32_t *order;         /* of results: their tasks, as they came */
    size_t cap;
    struct wire_job_done over;
    struct world_kept kept;
};

/* --- what is on it -----------------------------------------------------------------------------
 */

static struct disk_job *job_find(const struct disk *disk, uint64_t id)
{
    list_for_each (node, &disk->jobs) {
        struct disk_job *job = LIST_ENTRY(node, struct disk_job, node);
        if (job->id == id) {
            return job;
        }
    }
    return NULL;
}

static void job_free(struct disk_job *job)
{
    list_remove(&job->node);
    arena_done(&job->arena);
    mem_free(job->tasks);
    mem_free(job->order);
    mem_free(job);
}

static struct wire_message copy_into(struct arena *arena, const struct wire_message *message)
{
    struct wire_message copy;
    int r = wire_message_copy(message, arena, &copy);
    ck_assert_int_eq(r, 0);
    return copy;
}

static void apply_job(struct world *world, struct disk *disk, const struct disk_record *record)
{
    ck_assert_ptr_null(job_find(disk, record->record.job));
    struct disk_job *job = mem_alloc_or_die(1, sizeof(*job));
    job->id = record->record.job;
    job->uid = record->record.job_record.uid;
    job->made_ns = world->now_ns;
    job->kept.is_known = true;
    arena_init(&job->arena, SIZE_MAX);
    job->submit = copy_into(&job->arena, &record->message).submit;
    ck_assert(job->submit.is_detached && job->submit.spec.is_durable);
    list_push_back(&disk->jobs, &job->node);
}

static void apply_task(struct disk_job *job, const struct disk_record *record)
{
    ck_assert(!job->kept.is_complete);
    ck_assert_uint_eq(record->record.task.task, job->kept.n_tasks + 1);
    if (job->kept.n_tasks == job->cap) {
        job->cap = job->cap > 0 ? 2 * job->cap : 64;
        job->tasks = mem_realloc(job->tasks, job->cap, sizeof(*job->tasks));
        job->order = mem_realloc(job->order, job->cap, sizeof(*job->order));
        ck_assert(job->tasks != NULL && job->order != NULL);
    }
    job->tasks[job->kept.n_tasks++] =
        (struct disk_task){.task = copy_into(&job->arena, &record->message).add_task};
}

static void apply_result(struct disk_job *job, const struct disk_record *at)
{
    const struct core_record *record = &at->record;
    uint32_t number = record->result.done.task;
    ck_assert_uint_le(number, job->kept.n_tasks);
    ck_assert_msg(!job->tasks[number - 1].has_result, "task %u has its result once", number);
    ck_assert(!job->kept.is_over);
    job->tasks[number - 1].has_result = true;
    job->tasks[number - 1].done = copy_into(&job->arena, &at->message).done;
    job->order[job->kept.n_results++] = number;
    job->kept.n_succeeded += record->result.is_success;
    job->kept.n_lost += record->result.is_lost;
}

static void apply(struct world *world, struct disk *disk, const struct disk_record *at)
{
    const struct core_record *record = &at->record;
    struct disk_job *job = job_find(disk, record->job);
    disk->number = record->number;
    if (kept_is_of_queue(record->type)) {
        const char *fault = kept_queues_apply(&disk->queues, record);
        ck_assert_msg(fault == NULL, "%s", fault);
        return;
    }
    if (record->type == CORE_RECORD_JOB) {
        apply_job(world, disk, at);
        return;
    }
    ck_assert(job != NULL || record->type == CORE_RECORD_FORGET);
    switch (record->type) {
    case CORE_RECORD_JOB:
    case CORE_RECORD_TASK:
        apply_task(job, at);
        return;
    case CORE_RECORD_COMPLETE:
        ck_assert_uint_eq(record->complete.n_tasks, job->kept.n_tasks);
        job->kept.is_complete = true;
        return;
    case CORE_RECORD_RESULT:
        apply_result(job, at);
        return;
    case CORE_RECORD_CANCEL:
        job->kept.is_cancelled = true;
        return;
    case CORE_RECORD_OVER:
        ck_assert(job->kept.is_complete && !job->kept.is_over);
        ck_assert(job->kept.is_cancelled || job->kept.n_results == job->kept.n_tasks);
        ck_assert_uint_eq(record->over.n_tasks, job->kept.n_tasks);
        ck_assert_uint_eq(record->over.n_succeeded, job->kept.n_succeeded);
        job->kept.is_over = true;
        job->over = record->over;
        job->over.text = (struct slice){0};
        return;
    case CORE_RECORD_FORGET:
        if (job != NULL) {
            job_free(job);
        }
        return;
    case CORE_RECORD_QUEUE:
    case CORE_RECORD_QUEUE_PUT:
    case CORE_RECORD_QUEUE_DONE:
    case CORE_RECORD_QUEUE_REMOVED:
        break;
    }
    ensure(!"reached");
}

/* --- writing -----------------------------------------------------------------------------------
 */

static void record_free(struct disk_record *record)
{
    list_remove(&record->node);
    arena_done(&record->arena);
    mem_free(record);
}

static void drop_queue(struct disk *disk)
{
    while (!list_is_empty(&disk->queue)) {
        record_free(LIST_ENTRY(disk->queue.next, struct disk_record, node));
    }
    disk->n_queued = disk->n_writing = 0;
}

static void apply_some(struct world *world, struct disk *disk, unsigned n)
{
    for (unsigned k = 0; k < n; k++) {
        struct disk_record *record = LIST_ENTRY(disk->queue.next, struct disk_record, node);
        apply(world, disk, record);
        record_free(record);
        disk->n_queued--;
    }
}

static void write_next(struct world *world, unsigned i)
{
    struct disk *disk = &world->nodes[i].disk;
    if (disk->n_writing == 0 && disk->n_queued > 0) {
        disk->n_writing = disk->n_queued;
        world_item_new(world, ITEM_WRITTEN, i, disk->latency_ns);
    }
}

void world_disk_on_journal(struct world *world, unsigned i, const struct core_record *record)
{
    struct disk *disk = &world->nodes[i].disk;
    struct disk_record *copy = mem_alloc_or_die(1, sizeof(*copy));
    arena_init(&copy->arena, SIZE_MAX);
    struct wire_message message = {.type = WIRE_MESSAGE_NONE};
    if (record->type == CORE_RECORD_JOB) {
        message.type = WIRE_MESSAGE_SUBMIT;
        message.submit = record->job_record.submit;
    } else if (record->type == CORE_RECORD_TASK) {
        message.type = WIRE_MESSAGE_ADD_TASK;
        message.add_task = record->task;
    } else if (record->type == CORE_RECORD_RESULT) {
        message.type = WIRE_MESSAGE_DONE;
        message.done = record->result.done;
    }
    ck_assert_uint_gt(record->number, disk->said);
    disk->said = record->number;
    copy->record = kept_record_copy(&copy->arena, record);
    copy->message = message.type != WIRE_MESSAGE_NONE ? copy_into(&copy->arena, &message) : message;
    list_push_back(&disk->queue, &copy->node);
    disk->n_queued++;
    disk->n_said[record->type]++;
    write_next(world, i);
}

void world_disk_written(struct world *world, unsigned i)
{
    struct disk *disk = &world->nodes[i].disk;
    struct core_event event = {.type = CORE_EVENT_JOURNALED};
    unsigned n = disk->n_writing;
    disk->n_writing = 0;
    if (disk->is_full || disk->is_torn) {
        apply_some(world, disk, disk->is_full ? 0 : n / 2);
        event.journaled.error = disk->is_full ? -ENOSPC : -EIO;
        disk->is_torn = false;
        drop_queue(disk);
    } else {
        apply_some(world, disk, n);
    }
    event.journaled.number = disk->number;
    write_next(world, i);
    world_step(world, i, &event);
}

void world_disk_kill(struct world *world, unsigned i)
{
    struct disk *disk = &world->nodes[i].disk;
    disk->random = disk->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    if (!disk->is_full) {
        apply_some(world, disk, (unsigned)((disk->random >> 33) % (disk->n_queued + 1)));
    }
    drop_queue(disk);
    disk->number = disk->said = 0; /* of the next life */
}

/* --- reading -----------------------------------------------------------------------------------
 */

#define BATCH 500u

static uint32_t send_tasks(struct world *world, unsigned i, const struct disk_job *job,
                           uint32_t first, uint32_t n_max, uint64_t bytes_max)
{
    struct wire_add_task items[CORE_READ_TASKS_MAX];
    struct core_event event = {.type = CORE_EVENT_JOURNAL_TASKS};
    uint64_t n_bytes = 0;
    uint32_t n = 0;
    ck_assert_uint_ge(first, 1);
    for (uint32_t k = first; k <= job->kept.n_tasks && n < n_max && n_bytes < bytes_max; k++) {
        const struct disk_task *task = &job->tasks[k - 1];
        if (!task->has_result) {
            items[n++] = task->task;
            for (uint32_t a = 0; a < task->task.argv.n; a++) {
                n_bytes += task->task.argv.items[a].n;
            }
        }
    }
    event.journal_tasks.job = job->id;
    event.journal_tasks.items = items;
    event.journal_tasks.n = n;
    if (n > 0) {
        world_step(world, i, &event);
    }
    return n > 0 ? items[n - 1].task : 0;
}

void world_disk_on_read(struct world *world, unsigned i, const struct core_effect *effect)
{
    struct disk *disk = &world->nodes[i].disk;
    ck_assert_uint_le(effect->journal_read.n, CORE_READ_TASKS_MAX);
    disk->n_reads++;
    struct item *item = world_item_new(world, ITEM_READ, i, disk->latency_ns);
    item->id.job = effect->journal_read.job;
    item->id.task = effect->journal_read.first;
    item->id.number = effect->journal_read.n;
    item->link = effect->journal_read.bytes;
}

void world_disk_read(struct world *world, const struct item *item)
{
    struct disk *disk = &world->nodes[item->node].disk;
    struct disk_job *job = job_find(disk, item->id.job);
    if (disk->is_unreadable) {
        struct core_event event = {.type = CORE_EVENT_JOURNAL_TASKS};
        event.journal_tasks.job = item->id.job;
        event.journal_tasks.error = -EIO;
        world_step(world, item->node, &event);
    } else if (job != NULL) {
        ck_assert_uint_ne(
            send_tasks(world, item->node, job, item->id.task, item->id.number, item->link), 0);
    }
}

void world_disk_on_look(struct world *world, unsigned i, const struct core_effect *effect)
{
    struct item *item = world_item_new(world, ITEM_LOOK, i, world->nodes[i].disk.latency_ns);
    item->asked = *effect;
}

static void send_list(struct world *world, unsigned i, uint64_t look)
{
    struct wire_job_row rows[64];
    struct core_event event = {.type = CORE_EVENT_JOURNAL_LISTED};
    uint32_t n = 0;
    list_for_each (node, &world->nodes[i].disk.jobs) {
        const struct disk_job *job = LIST_ENTRY(node, struct disk_job, node);
        if (job->kept.is_over && n < ARRAY_LEN(rows)) {
            rows[n++] = (struct wire_job_row){.job = job->id,
                                              .uid = job->uid,
                                              .is_detached = true,
                                              .n_tasks = job->kept.n_tasks,
                                              .n_succeeded = job->kept.n_succeeded,
                                              .state = WIRE_JOB_ENDED};
        }
    }
    event.journal_listed.look = look;
    event.journal_listed.rows = rows;
    event.journal_listed.n = n;
    world_step(world, i, &event);
}

/* Results behind number `after` of the order, as many as asked for. */
static void fill_results(const struct disk_job *job, const struct core_effect *asked,
                         struct wire_done *results, struct wire_add_task *tasks,
                         struct core_event *event)
{
    uint32_t n = 0;
    uint64_t at = asked->journal_look.after;
    for (; at < job->kept.n_results && n < asked->journal_look.n; at++) {
        const struct disk_task *task = &job->tasks[job->order[at] - 1];
        if (asked->journal_look.task == 0 || asked->journal_look.task == task->task.task) {
            results[n] = task->done;
            tasks[n++] = task->task;
        }
    }
    event->journal_looked.results = results;
    event->journal_looked.tasks = asked->journal_look.has_tasks ? tasks : NULL;
    event->journal_looked.n = n;
    event->journal_looked.last = at;
}

void world_disk_look(struct world *world, const struct item *item)
{
    struct disk *disk = &world->nodes[item->node].disk;
    const struct core_effect *asked = &item->asked;
    struct wire_done results[WIRE_ATTACH_AHEAD];
    struct wire_add_task tasks[WIRE_ATTACH_AHEAD];
    struct core_event event = {.type = CORE_EVENT_JOURNAL_LOOKED};
    if (asked->type == CORE_EFFECT_JOURNAL_LIST) {
        send_list(world, item->node, asked->journal_list.look);
        return;
    }
    const struct disk_job *job = job_find(disk, asked->journal_look.job);
    ck_assert_uint_le(asked->journal_look.n, WIRE_ATTACH_AHEAD);
    event.journal_looked.look = asked->journal_look.look;
    event.journal_looked.error = disk->is_unreadable ? -EIO : job == NULL ? -ENOENT : 0;
    if (event.journal_looked.error == 0) {
        event.journal_looked.uid = job->uid;
        event.journal_looked.submit = &job->submit;
        event.journal_looked.is_complete = job->kept.is_complete;
        event.journal_looked.is_cancelled = job->kept.is_cancelled;
        event.journal_looked.is_over = job->kept.is_over;
        event.journal_looked.over = job->over;
        fill_results(job, asked, results, tasks, &event);
    }
    world_step(world, item->node, &event);
}

static void send_job(struct world *world, unsigned i, const struct disk_job *job)
{
    struct core_event event = {.type = CORE_EVENT_JOURNAL_JOB};
    event.journal_job.job = job->id;
    event.journal_job.uid = job->uid;
    event.journal_job.submit = &job->submit;
    event.journal_job.age_ns = world->now_ns - job->made_ns;
    event.journal_job.is_complete = job->kept.is_complete;
    event.journal_job.is_cancelled = job->kept.is_cancelled;
    event.journal_job.n_tasks = job->kept.n_tasks;
    event.journal_job.n_results = job->kept.n_results;
    event.journal_job.n_succeeded = job->kept.n_succeeded;
    event.journal_job.n_lost = job->kept.n_lost;
    world_step(world, i, &event);
    uint32_t last = 0;
    uint32_t n_left = job->kept.n_tasks - job->kept.n_results;
    n_left = n_left < CORE_JOB_TASKS_MAX ? n_left : CORE_JOB_TASKS_MAX;
    while (n_left > 0 && job->kept.is_complete && !job->kept.is_cancelled) {
        uint32_t n = n_left < BATCH ? n_left : BATCH;
        last = send_tasks(world, i, job, last + 1, n, UINT64_MAX);
        n_left -= n;
    }
}

struct disk_reader {
    struct world *world;
    unsigned node;
};

static void step_reader(void *user, struct core_event *event)
{
    const struct disk_reader *reader = user;
    world_step(reader->world, reader->node, event);
}

void world_disk_start(struct world *world, unsigned i)
{
    struct disk *disk = &world->nodes[i].disk;
    if (!world->nodes[i].config.has_journal) {
        return;
    }
    list_for_each (node, &disk->jobs) {
        const struct disk_job *job = LIST_ENTRY(node, struct disk_job, node);
        if (!job->kept.is_over) {
            send_job(world, i, job);
        }
    }
    struct disk_reader reader = {.world = world, .node = i};
    kept_queues_restore(&disk->queues, step_reader, &reader);
    struct core_event event = {.type = CORE_EVENT_JOURNAL_END};
    world_step(world, i, &event);
}

/* --- for tests ---------------------------------------------------------------------------------
 */

void world_disk_init(struct world *world, unsigned i)
{
    struct disk *disk = &world->nodes[i].disk;
    list_init(&disk->jobs);
    list_init(&disk->queue);
    kept_queues_init(&disk->queues);
    disk->latency_ns = 2 * CORE_MS;
    disk->random = world->seed + i;
}

void world_disk_wipe(struct world *world, unsigned i)
{
    struct disk *disk = &world->nodes[i].disk;
    drop_queue(disk);
    kept_queues_wipe(&disk->queues);
    while (!list_is_empty(&disk->jobs)) {
        job_free(LIST_ENTRY(disk->jobs.next, struct disk_job, node));
    }
}

void world_disk_lose(struct world *world, unsigned i)
{
    struct core_event event = {.type = CORE_EVENT_JOURNALED, .journaled = {.error = -EBADMSG}};
    world_disk_wipe(world, i);
    world_step(world, i, &event);
}

void world_disk_set_full(struct world *world, unsigned i, bool is_full)
{
    world->nodes[i].disk.is_full = is_full;
}

void world_disk_tear(struct world *world, unsigned i)
{
    world->nodes[i].disk.is_torn = true;
}

void world_disk_set_unreadable(struct world *world, unsigned i, bool is_unreadable)
{
    world->nodes[i].disk.is_unreadable = is_unreadable;
}

void world_disk_set_latency(struct world *world, unsigned i, uint64_t latency_ns)
{
    world->nodes[i].disk.latency_ns = latency_ns;
}

struct world_kept world_kept(const struct world *world, unsigned i, uint64_t id)
{
    const struct disk_job *job = job_find(&world->nodes[i].disk, id);
    return job != NULL ? job->kept : (struct world_kept){0};
}

bool world_has_result(const struct world *world, unsigned i, uint64_t id, uint32_t task)
{
    const struct disk_job *job = job_find(&world->nodes[i].disk, id);
    return job == NULL || !job->kept.is_complete || job->tasks[task - 1].has_result;
}

unsigned world_n_kept_jobs(const struct world *world, unsigned i)
{
    unsigned n = 0;
    list_for_each (node, &world->nodes[i].disk.jobs) {
        n++;
    }
    return n;
}

uint64_t world_n_records(const struct world *world, unsigned i, enum core_record_type type)
{
    return world->nodes[i].disk.n_said[type];
}

uint64_t world_n_reads(const struct world *world, unsigned i)
{
    return world->nodes[i].disk.n_reads;
}
