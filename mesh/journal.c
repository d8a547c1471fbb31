/* The loop's side: effects become items for the thread, and what comes back becomes events.
 *
 * Happy path: carry_out() -> item -> journal_thread.c -> on_answered() -> one JOURNALED for all
 * records of a group. When writing fails, everything said up to now is settled with that one event:
 * what the thread had not taken yet is dropped here, what it has comes back refused and is ignored.
 */
#include "mesh/journal.h"

#include <errno.h>
#include <string.h>

#include "mesh/clock.h"
#include "mesh/core/limits.h"
#include "mesh/journal_internal.h"
#include "wire/base/mem.h"
#include "wire/blob_hash.h"
#include "wire/local.h"

/* A blob that records name: held in the store as long as they do. */
struct pin {
    struct table_entry by_hash;
    struct wire_hash hash;
    uint64_t n;   /* jobs on disk that name it, and records on their way */
    bool is_held; /* it was there when one of them came */
};

/* --- blobs -------------------------------------------------------------------------------------
 */

static void pin_add(struct meshd_journal *journal, const struct wire_hash *hash)
{
    struct table_entry *entry = table_find(&journal->pins, hash);
    struct pin *pin = entry != NULL ? CONTAINER_OF(entry, struct pin, by_hash) : NULL;
    if (pin == NULL) {
        pin = mem_alloc_or_die(1, sizeof(*pin));
        pin->hash = *hash;
        table_insert(&journal->pins, &pin->by_hash, &pin->hash);
    }
    pin->n++;
    if (!pin->is_held && meshd_blobs_has(journal->config.blobs, hash)) {
        meshd_blobs_hold(journal->config.blobs, hash);
        pin->is_held = true;
    }
}

static void pin_free(struct meshd_journal *journal, struct pin *pin)
{
    if (pin->is_held) {
        meshd_blobs_unhold(journal->config.blobs, &pin->hash);
    }
    table_remove(&journal->pins, &pin->by_hash);
    mem_free(pin);
}

static void pin_drop(struct meshd_journal *journal, const struct wire_hash *hash)
{
    struct table_entry *entry = table_find(&journal->pins, hash);
    if (entry == NULL) {
        return; /* the journal it was in is gone */
    }
    struct pin *pin = CONTAINER_OF(entry, struct pin, by_hash);
    if (--pin->n == 0) {
        pin_free(journal, pin);
    }
}

static void drop_all_pins(struct meshd_journal *journal)
{
    table_for_each (it, &journal->pins) {
        pin_free(journal, CONTAINER_OF(it, struct pin, by_hash));
    }
}

static void on_blob(void *user, const struct wire_hash *hash)
{
    pin_add(user, hash);
}

/* --- items -------------------------------------------------------------------------------------
 */

static struct journal_item *item_new(enum journal_kind kind, uint64_t job)
{
    struct journal_item *item = mem_alloc_or_die(1, sizeof(*item));
    item->kind = kind;
    item->job = job;
    item->hashes = item->hashes_few;
    item->are_new = item->are_new_few;
    buf_init(&item->bytes, JOURNAL_ANSWER_BYTES_MAX);
    return item;
}

void journal_item_free(struct journal_item *item)
{
    if (item->hashes != item->hashes_few) {
        mem_free(item->hashes);
        mem_free(item->are_new);
    }
    buf_done(&item->bytes);
    mem_free(item->jobs);
    mem_free(item);
}

static void send_item(struct meshd_journal *journal, struct journal_item *item)
{
    uv_mutex_lock(&journal->lock);
    bool was_empty = list_is_empty(&journal->queue);
    list_push_back(&journal->queue, &item->node);
    uv_mutex_unlock(&journal->lock);
    if (was_empty) {
        uv_cond_signal(&journal->wake);
    }
}

/* --- records -----------------------------------------------------------------------------------
 */

static void make_room(struct journal_item *item, uint32_t n_hashes)
{
    if (n_hashes > ARRAY_LEN(item->hashes_few)) {
        item->hashes = mem_alloc_or_die(n_hashes, sizeof(*item->hashes));
        item->are_new = mem_alloc_or_die(n_hashes, sizeof(*item->are_new));
    }
}

static void add_hash(struct journal_item *item, const struct wire_hash *hash)
{
    if (!wire_hash_is_zero(hash)) {
        item->hashes[item->put.n_hashes++] = *hash;
    }
}

/* The one place that knows which blobs a record names. */
static void collect_hashes(struct journal_item *item, const struct core_record *record)
{
    if (record->type == CORE_RECORD_JOB) {
        const struct wire_files *files = &record->job_record.submit.spec.files;
        make_room(item, files->n);
        for (uint32_t i = 0; i < files->n; i++) {
            add_hash(item, &files->items[i].hash);
        }
    } else if (record->type == CORE_RECORD_TASK) {
        const struct wire_add_task *task = &record->task;
        make_room(item, 1 + task->refs.n);
        add_hash(item, &task->input);
        for (uint32_t i = 0; i < task->refs.n; i++) {
            add_hash(item, &task->refs.items[i].hash);
        }
    } else if (record->type == CORE_RECORD_RESULT) {
        const struct wire_result *result = &record->result.done.result;
        make_room(item, 2 + result->files.n);
        add_hash(item, &result->out.hash);
        add_hash(item, &result->err.hash);
        for (uint32_t i = 0; i < result->files.n; i++) {
            add_hash(item, &result->files.items[i].hash);
        }
    } else if (record->type == CORE_RECORD_QUEUE_PUT) {
        const struct wire_queue_items *items = &record->queue_put.items;
        make_room(item, items->n);
        for (uint32_t i = 0; i < items->n; i++) {
            if (items->items[i].blob_bytes > 0) {
                add_hash(item, &items->items[i].hash);
            }
        }
    }
}

static struct wire_message message_of(const struct core_record *record)
{
    struct wire_message message = {.type = WIRE_MESSAGE_NONE};
    switch (record->type) {
    case CORE_RECORD_JOB:
        message.type = WIRE_MESSAGE_SUBMIT;
        message.submit = record->job_record.submit;
        return message;
    case CORE_RECORD_TASK:
        message.type = WIRE_MESSAGE_ADD_TASK;
        message.add_task = record->task;
        return message;
    case CORE_RECORD_RESULT:
        message.type = WIRE_MESSAGE_DONE;
        message.done = record->result.done;
        return message;
    case CORE_RECORD_OVER:
        message.type = WIRE_MESSAGE_JOB_DONE;
        message.job_done = record->over;
        return message;
    case CORE_RECORD_COMPLETE:
    case CORE_RECORD_CANCEL:
    case CORE_RECORD_FORGET:
    case CORE_RECORD_QUEUE:
    case CORE_RECORD_QUEUE_PUT:
    case CORE_RECORD_QUEUE_DONE:
    case CORE_RECORD_QUEUE_REMOVED:
        return message;
    }
    ensure(!"reached");
}

static void say(struct meshd_journal *journal, const struct core_record *record)
{
    struct journal_item *item = item_new(JOURNAL_PUT, record->job);
    struct wire_message message = message_of(record);
    item->number = record->number;
    item->put = (struct journal_put){
        .type = record->type, .job = record->job, .at_s = (uint64_t)meshd_clock_wall_s()};
    if (message.type != WIRE_MESSAGE_NONE) {
        int rc = wire_local_encode(&message, &item->bytes);
        ensure(rc == 0); /* it came as one, or fits into one; for ourselves */
    }
    if (record->type == CORE_RECORD_JOB) {
        item->put.uid = record->job_record.uid;
    } else if (record->type == CORE_RECORD_TASK) {
        item->put.task = record->task.task;
    } else if (record->type == CORE_RECORD_RESULT) {
        item->put.task = record->result.done.task;
        item->put.is_success = record->result.is_success;
        item->put.is_lost = record->result.is_lost;
    }
    journal_queue_fill(item, record);
    collect_hashes(item, record);
    for (uint32_t i = 0; i < item->put.n_hashes; i++) {
        pin_add(journal, &item->hashes[i]);
    }
    item->put.hashes = item->hashes;
    item->put.are_new = item->are_new;
    item->put.bytes = buf_slice(&item->bytes);
    journal->said = record->number;
    send_item(journal, item);
}

void meshd_journal_carry_out(struct meshd_journal *journal, const struct core_effect *effect)
{
    if (effect->type == CORE_EFFECT_JOURNAL) {
        say(journal, &effect->journal);
        return;
    }
    struct journal_item *item = NULL;
    if (effect->type == CORE_EFFECT_JOURNAL_READ) {
        item = item_new(JOURNAL_READ, effect->journal_read.job);
        item->first = effect->journal_read.first;
        item->n = effect->journal_read.n;
        item->bytes_max = effect->journal_read.bytes;
    } else if (effect->type == CORE_EFFECT_JOURNAL_LOOK) {
        item = item_new(JOURNAL_LOOK, effect->journal_look.job);
        item->number = effect->journal_look.look;
        item->after = effect->journal_look.after;
        item->first = effect->journal_look.task;
        item->n = effect->journal_look.n;
        item->bytes_max = effect->journal_look.bytes;
        item->has_tasks = effect->journal_look.has_tasks;
    } else {
        ensure(effect->type == CORE_EFFECT_JOURNAL_LIST);
        item = item_new(JOURNAL_LIST, 0);
        item->number = effect->journal_list.look;
        item->n = effect->journal_list.n;
    }
    send_item(journal, item);
}

/* --- records that are settled ------------------------------------------------------------------
 */

static void unpin(struct meshd_journal *journal, const struct journal_item *item, bool is_kept)
{
    for (uint32_t i = 0; i < item->put.n_hashes; i++) {
        if (!is_kept || !item->are_new[i]) {
            pin_drop(journal, &item->hashes[i]);
        }
    }
}

/* After a failure: what was said and has not been taken by the thread. */
static void drop_said(struct meshd_journal *journal)
{
    struct list dropped;
    list_init(&dropped);
    uv_mutex_lock(&journal->lock);
    list_for_each_safe (it, &journal->queue) {
        if (LIST_ENTRY(it, struct journal_item, node)->kind == JOURNAL_PUT) {
            list_remove(it);
            list_push_back(&dropped, it);
        }
    }
    journal->is_failed = false;
    uv_mutex_unlock(&journal->lock);
    journal->dropped = journal->said;
    list_for_each_safe (it, &dropped) {
        struct journal_item *item = LIST_ENTRY(it, struct journal_item, node);
        unpin(journal, item, false);
        list_remove(it);
        journal_item_free(item);
    }
}

/* Takes the record. What it says is put together with that of others: `told` is 0 in the end where
 * there is nothing to be told. */
static void settle(struct meshd_journal *journal, struct journal_item *item,
                   struct core_event *told)
{
    bool is_kept = item->error == 0;
    uint64_t number = item->number;
    unpin(journal, item, is_kept);
    if (number > journal->dropped && is_kept) {
        told->journaled.number = number;
    } else if (number > journal->dropped && item->error != -EBADMSG) { /* that is told by lose() */
        told->journaled.number = told->journaled.number != 0 ? told->journaled.number : number - 1;
        told->journaled.error = item->error;
        drop_said(journal);
    }
    journal_item_free(item);
}

static void tell(struct meshd_journal *journal, struct core_event *told)
{
    if (told->journaled.number > 0 || told->journaled.error < 0) {
        meshd_sink_put(&journal->config.sink, told);
    }
    *told = (struct core_event){.type = CORE_EVENT_JOURNALED};
}

/* What was on disk is not there any more, nor what was on its way there. */
static void lose(struct meshd_journal *journal)
{
    struct core_event event = {.type = CORE_EVENT_JOURNALED, .journaled = {.error = -EBADMSG}};
    drop_said(journal);
    drop_all_pins(journal);
    meshd_sink_put(&journal->config.sink, &event);
}

static void take_answers(struct meshd_journal *journal, struct list *answers)
{
    struct core_event told = {.type = CORE_EVENT_JOURNALED};
    for (struct list *first; (first = list_first(answers)) != NULL;) {
        struct journal_item *item = LIST_ENTRY(first, struct journal_item, node);
        list_remove(first);
        if (item->kind == JOURNAL_PUT) {
            settle(journal, item, &told);
            if (told.journaled.error == 0) {
                continue;
            }
            tell(journal, &told);
            continue;
        }
        tell(journal, &told);
        journal_put_read(journal, item);
        journal_item_free(item);
    }
    tell(journal, &told);
}

static void drop_freed(struct meshd_journal *journal, const struct buf *freed)
{
    for (size_t i = 0; i + sizeof(struct wire_hash) <= freed->n; i += sizeof(struct wire_hash)) {
        struct wire_hash hash;
        memcpy(&hash, freed->p + i, sizeof(hash));
        pin_drop(journal, &hash);
    }
}

static void maybe_closed(struct meshd_journal *journal);

static void on_answered(uv_async_t *async)
{
    struct meshd_journal *journal = async->data;
    struct list answers;
    list_init(&answers);
    uv_mutex_lock(&journal->lock);
    for (struct list *first; (first = list_first(&journal->answers)) != NULL;) {
        list_remove(first);
        list_push_back(&answers, first);
    }
    struct buf freed = journal->freed;
    buf_init(&journal->freed, SIZE_MAX);
    struct errmsg text = journal->said_text;
    journal->said_text.text[0] = '\0';
    bool is_ended = journal->is_ended;
    bool is_lost = journal->is_lost;
    journal->is_lost = false;
    bool is_closing = journal->is_closing;
    uv_mutex_unlock(&journal->lock);
    if (text.text[0] != '\0') {
        meshd_log(journal->config.log, CORE_LOG_ERROR, "%s", text.text);
    }
    drop_freed(journal, &freed);
    buf_done(&freed);
    if (is_closing) {
        list_for_each_safe (it, &answers) {
            list_remove(it);
            journal_item_free(LIST_ENTRY(it, struct journal_item, node));
        }
    } else {
        take_answers(journal, &answers);
        if (is_lost) {
            lose(journal);
        }
    }
    if (is_ended) {
        maybe_closed(journal);
    }
}

/* --- life --------------------------------------------------------------------------------------
 */

static void journal_free(struct meshd_journal *journal)
{
    journal->db = journal_db_close(journal->db);
    list_for_each_safe (it, &journal->queue) {
        list_remove(it);
        journal_item_free(LIST_ENTRY(it, struct journal_item, node));
    }
    drop_all_pins(journal);
    table_done(&journal->pins);
    buf_done(&journal->freed);
    uv_mutex_destroy(&journal->lock);
    uv_cond_destroy(&journal->wake);
    mem_free(journal);
}

int meshd_journal_new(const struct meshd_journal_config *config, struct meshd_journal **ret_journal,
                      struct errmsg *err)
{
    struct errmsg said;
    struct meshd_journal *journal = mem_alloc_or_die(1, sizeof(*journal));
    journal->config = *config;
    table_init(&journal->pins, sizeof(struct wire_hash), 0); /* hashes of bytes of our own users */
    list_init(&journal->queue);
    list_init(&journal->answers);
    buf_init(&journal->freed, SIZE_MAX);
    int rc = uv_mutex_init(&journal->lock);
    ensure(rc == 0); /* at start, for ourselves; so is the next */
    rc = uv_cond_init(&journal->wake);
    ensure(rc == 0);
    rc = journal_db_open(config->dir_path, config->dir_fd, meshd_blobs_dir_fd(config->blobs),
                         &journal->db, &said, err);
    if (rc == 0) {
        rc = journal_db_each_blob(journal->db, on_blob, journal);
        if (rc < 0) {
            errmsg_set(err, "cannot read the journal: %s", strerror(-rc));
        }
    }
    if (rc < 0) {
        journal_free(journal);
        return rc;
    }
    if (said.text[0] != '\0') {
        meshd_log(config->log, CORE_LOG_ERROR, "%s", said.text);
    }
    *ret_journal = journal;
    return 0;
}

struct report {
    struct meshd_journal *journal;
    int error;
};

/* The first tasks of a job, as many as the core takes into memory. */
static int report_tasks(struct meshd_journal *journal, const struct journal_job *job)
{
    uint32_t n_left = job->n_tasks - job->n_results;
    n_left = n_left < CORE_JOB_TASKS_MAX ? n_left : CORE_JOB_TASKS_MAX;
    if (n_left == 0 || !job->is_complete || job->is_cancelled) {
        return 0;
    }
    struct journal_item *item = item_new(JOURNAL_READ, job->job);
    int error = journal_db_tasks(journal->db, job->job, 1, n_left, CORE_JOB_BYTES_MAX, &item->bytes,
                                 &item->n);
    if (error == 0) {
        journal_put_tasks(journal, item);
    }
    journal_item_free(item);
    return error;
}

static void report_job(void *user, const struct journal_job *job)
{
    struct report *report = user;
    struct arena arena;
    struct wire_message submit;
    struct slice rest = job->submit;
    if (report->error < 0) {
        return;
    }
    arena_init(&arena, SIZE_MAX);
    report->error = journal_next_message(&rest, &arena, WIRE_MESSAGE_SUBMIT, &submit);
    if (report->error == 0) {
        struct core_event event = {
            .type = CORE_EVENT_JOURNAL_JOB,
            .journal_job = {.job = job->job,
                            .uid = job->uid,
                            .submit = &submit.submit,
                            .age_ns = journal_age_ns(job),
                            .is_complete = job->is_complete,
                            .is_cancelled = job->is_cancelled,
                            .n_tasks = job->n_tasks,
                            .n_results = job->n_results,
                            .n_succeeded = job->n_succeeded,
                            .n_lost = job->n_lost},
        };
        meshd_sink_put(&report->journal->config.sink, &event);
        report->error = report_tasks(report->journal, job);
    }
    arena_done(&arena);
}

int meshd_journal_report(struct meshd_journal *journal, struct errmsg *err)
{
    struct report report = {.journal = journal};
    int error = journal_db_each_open(journal->db, report_job, &report);
    error = error == 0 ? report.error : error;
    error = error == 0 ? journal_queue_report(journal) : error;
    if (error < 0) {
        errmsg_set(err, "cannot read the journal: %s", strerror(-error));
        return error;
    }
    struct core_event end = {.type = CORE_EVENT_JOURNAL_END};
    meshd_sink_put(&journal->config.sink, &end);
    int rc = uv_async_init(journal->config.loop, &journal->answered, on_answered);
    if (rc == 0) {
        journal->answered.data = journal;
        journal->is_async_up = true;
        rc = uv_thread_create(&journal->thread, journal_thread, journal);
        journal->is_thread_up = rc == 0;
    }
    if (rc < 0) {
        errmsg_set(err, "cannot start the journal's thread: %s", uv_strerror(rc));
    }
    return rc;
}

static void finish(struct meshd_journal *journal)
{
    void (*on_closed)(void *) = journal->on_closed;
    void *user = journal->on_closed_user;
    journal_free(journal);
    on_closed(user);
}

static void on_async_closed(uv_handle_t *handle)
{
    finish(handle->data);
}

static void maybe_closed(struct meshd_journal *journal)
{
    if (journal->is_thread_up) {
        int rc = uv_thread_join(&journal->thread); /* it has ended */
        ensure(rc == 0);
        journal->is_thread_up = false;
    }
    if (!uv_is_closing((uv_handle_t *)&journal->answered)) {
        uv_close((uv_handle_t *)&journal->answered, on_async_closed);
    }
}

void meshd_journal_close(struct meshd_journal *journal, void (*on_closed)(void *user), void *user)
{
    journal->on_closed = on_closed;
    journal->on_closed_user = user;
    uv_mutex_lock(&journal->lock);
    journal->is_closing = true;
    uv_mutex_unlock(&journal->lock);
    uv_cond_signal(&journal->wake);
    if (!journal->is_async_up) {
        finish(journal);
    } else if (!journal->is_thread_up) {
        maybe_closed(journal);
    }
}
