/* What the thread read, as events: messages decoded, rows filled in. */
#include <errno.h>

#include "mesh/clock.h"
#include "mesh/journal_internal.h"
#include "wire/local.h"

/* The next of the messages that stand one behind the other. 0, or -EBADMSG: not what it was when it
 * was written. */
int journal_next_message(struct slice *from, struct arena *arena, enum wire_message_type type,
                         struct wire_message *ret_message)
{
    size_t n = 0;
    if (from->n == 0 || wire_local_frame(*from, &n) < 0 || n == 0 ||
        wire_local_decode(slice_of(from->p, n), arena, ret_message, NULL) < 0 ||
        ret_message->type != type) {
        return -EBADMSG;
    }
    *from = slice_from(*from, n);
    return 0;
}

void journal_put_tasks(struct meshd_journal *journal, const struct journal_item *item)
{
    struct arena arena;
    struct wire_message message;
    arena_init(&arena, SIZE_MAX);
    struct wire_add_task *tasks = arena_alloc(&arena, item->n, sizeof(*tasks));
    struct slice rest = buf_slice(&item->bytes);
    int error = tasks == NULL ? -ENOMEM : item->error;
    uint32_t n = 0;
    for (; error == 0 && n < item->n; n++) {
        error = journal_next_message(&rest, &arena, WIRE_MESSAGE_ADD_TASK, &message);
        tasks[n] = message.add_task;
    }
    struct core_event event = {
        .type = CORE_EVENT_JOURNAL_TASKS,
        .journal_tasks = {.job = item->job,
                          .items = tasks,
                          .n = error == 0 ? n : 0,
                          .error = error},
    };
    meshd_sink_put(&journal->config.sink, &event);
    arena_done(&arena);
}

static int fill_looked(const struct journal_item *item, struct arena *arena,
                       struct core_event *event)
{
    struct slice rest = buf_slice(&item->bytes);
    struct wire_message *submit = arena_alloc(arena, 1, sizeof(*submit));
    struct wire_message *message = arena_alloc(arena, 1, sizeof(*message));
    struct wire_done *results = arena_alloc(arena, item->n, sizeof(*results));
    struct wire_add_task *tasks = arena_alloc(arena, item->n, sizeof(*tasks));
    if (submit == NULL || message == NULL || results == NULL || tasks == NULL) {
        return -ENOMEM;
    }
    int error = journal_next_message(&rest, arena, WIRE_MESSAGE_SUBMIT, submit);
    if (error == 0 && item->has_over) {
        error = journal_next_message(&rest, arena, WIRE_MESSAGE_JOB_DONE, message);
        event->journal_looked.over = message->job_done;
    }
    for (uint32_t i = 0; i < item->n && error == 0; i++) {
        if (item->has_tasks) {
            error = journal_next_message(&rest, arena, WIRE_MESSAGE_ADD_TASK, message);
            tasks[i] = message->add_task;
        }
        error = error == 0 ? journal_next_message(&rest, arena, WIRE_MESSAGE_DONE, message) : error;
        results[i] = message->done;
    }
    event->journal_looked.uid = item->found.uid;
    event->journal_looked.submit = &submit->submit;
    event->journal_looked.is_complete = item->found.is_complete;
    event->journal_looked.is_cancelled = item->found.is_cancelled;
    event->journal_looked.is_over = item->found.is_over;
    event->journal_looked.results = results;
    event->journal_looked.tasks = item->has_tasks ? tasks : NULL;
    event->journal_looked.n = item->n;
    event->journal_looked.last = item->last;
    return error;
}

static void put_looked(struct meshd_journal *journal, const struct journal_item *item)
{
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    struct core_event event = {.type = CORE_EVENT_JOURNAL_LOOKED,
                               .journal_looked = {.look = item->number}};
    event.journal_looked.error = item->error < 0 ? item->error : fill_looked(item, &arena, &event);
    meshd_sink_put(&journal->config.sink, &event);
    arena_done(&arena);
}

uint64_t journal_age_ns(const struct journal_job *job)
{
    uint64_t now_s = (uint64_t)meshd_clock_wall_s();
    return now_s > job->made_s ? (now_s - job->made_s) * UINT64_C(1000000000) : 0;
}

static int fill_row(const struct journal_job *job, struct slice *rest, struct arena *arena,
                    struct wire_job_row *row)
{
    struct wire_message submit;
    struct wire_message over;
    int error = journal_next_message(rest, arena, WIRE_MESSAGE_SUBMIT, &submit);
    error = error == 0 ? journal_next_message(rest, arena, WIRE_MESSAGE_JOB_DONE, &over) : error;
    if (error == 0) {
        *row = (struct wire_job_row){.job = job->job,
                                     .name = submit.submit.name,
                                     .uid = job->uid,
                                     .is_detached = true,
                                     .is_complete = true,
                                     .n_tasks = over.job_done.n_tasks,
                                     .n_succeeded = over.job_done.n_succeeded,
                                     .n_failed = over.job_done.n_failed,
                                     .age_us = journal_age_ns(job) / 1000,
                                     .text = over.job_done.text};
        row->state = job->is_cancelled ? WIRE_JOB_CANCELLED : WIRE_JOB_ENDED;
    }
    return error;
}

static void put_listed(struct meshd_journal *journal, const struct journal_item *item)
{
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    struct wire_job_row *rows = arena_alloc(&arena, item->n, sizeof(*rows));
    struct slice rest = buf_slice(&item->bytes);
    int error = rows == NULL ? -ENOMEM : item->error;
    for (uint32_t i = 0; i < item->n && error == 0; i++) {
        error = fill_row(&item->jobs[i], &rest, &arena, &rows[i]);
    }
    struct core_event event = {
        .type = CORE_EVENT_JOURNAL_LISTED,
        .journal_listed = {.look = item->number,
                           .error = error,
                           .rows = rows,
                           .n = error == 0 ? item->n : 0},
    };
    meshd_sink_put(&journal->config.sink, &event);
    arena_done(&arena);
}

void journal_put_read(struct meshd_journal *journal, const struct journal_item *item)
{
    switch (item->kind) {
    case JOURNAL_PUT:
        return;
    case JOURNAL_READ:
        journal_put_tasks(journal, item);
        return;
    case JOURNAL_LOOK:
        put_looked(journal, item);
        return;
    case JOURNAL_LIST:
        put_listed(journal, item);
        return;
    }
    ensure(!"reached");
}
