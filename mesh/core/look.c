/* Questions to the disk, and the clients that wait for what it says.
 *
 * Happy path of an attach: one look for the first results; attached; each result's kept_task and
 * done; the client's done_ack for all of them; the next look; and so on until a look finds no more.
 * Then, if the job goes on and the client waits, until the next result is on disk; else job_done.
 * Whether a job is in memory makes no difference: what is on disk is what is told. */
#include "mesh/core/look.h"

#include <errno.h>

#include "mesh/core/client.h"
#include "mesh/core/job.h"
#include "mesh/core/journal.h"
#include "wire/base/mem.h"

static struct core_client *client_of(const struct core *core, const struct core_look *look)
{
    struct table_entry *entry =
        look->client != 0 ? table_find(&core->clients, &look->client) : NULL;
    return entry != NULL ? LIST_ENTRY(entry, struct core_client, by_id) : NULL;
}

static void look_free(struct core *core, struct core_look *look)
{
    core_timer_stop(core, &look->timer);
    list_remove(&look->node);
    core->n_looks--;
    mem_free(look);
}

/* Asks the disk. */
static void ask(struct core *core, struct core_look *look)
{
    look->number = ++core->last_look;
    look->is_out = true;
    look->is_news = false;
    if (look->what == CORE_LOOK_LIST) {
        struct core_effect *list = core_emit(core, CORE_EFFECT_JOURNAL_LIST);
        list->journal_list.look = look->number;
        list->journal_list.n = CORE_LIST_OVER_MAX;
        return;
    }
    struct core_effect *effect = core_emit(core, CORE_EFFECT_JOURNAL_LOOK);
    effect->journal_look.look = look->number;
    effect->journal_look.job = look->job;
    if (look->what == CORE_LOOK_ATTACH) {
        effect->journal_look.after = look->after;
        effect->journal_look.task = look->task;
        effect->journal_look.n = WIRE_ATTACH_AHEAD;
        effect->journal_look.bytes = CORE_LOOK_BYTES;
        effect->journal_look.has_tasks = look->wants_tasks;
    }
}

static void again_fire(struct core *core, struct core_timer *timer)
{
    ask(core, CONTAINER_OF(timer, struct core_look, timer));
}

static struct core_look *look_new(struct core *core, enum core_look_for what, uint64_t client,
                                  uint64_t job)
{
    struct core_look *look = mem_alloc_or_die(1, sizeof(*look));
    look->what = what;
    look->client = client;
    look->job = job;
    look->timer.fire = again_fire;
    list_push_back(&core->looks, &look->node);
    core->n_looks++;
    return look;
}

/* --- requests ----------------------------------------------------------------------------------
 */

static void say_unknown(struct core *core, uint64_t client, uint64_t job)
{
    char text[WIRE_JOB_TEXT_BYTES];
    core_client_error(core, client, WIRE_ERROR_UNKNOWN, "there is no job %s",
                      wire_job_text(job, text));
}

/* Whether the client may ask for one more; else it was told. */
static bool may_look(struct core *core, const struct core_client *client, uint64_t job)
{
    if (!core->config.has_journal) {
        say_unknown(core, client->id, job);
        return false;
    }
    if (core->n_looks >= CORE_LOOKS_MAX) {
        core_client_error(core, client->id, WIRE_ERROR_LIMIT,
                          "too many wait for jobs here already");
        return false;
    }
    return true;
}

static bool is_others(const struct core_client *client, uint32_t uid)
{
    return client->uid != uid && client->uid != 0;
}

static void say_others(struct core *core, const struct core_client *client, uint64_t job)
{
    char text[WIRE_JOB_TEXT_BYTES];
    core_client_error(core, client->id, WIRE_ERROR_DENIED,
                      "job %s is another user's: only its owner and root may ask for it",
                      wire_job_text(job, text));
}

void core_look_on_attach(struct core *core, struct core_client *client,
                         const struct wire_attach *attach)
{
    char text[WIRE_JOB_TEXT_BYTES];
    const struct core_job *job = core_job_find(core, attach->job);
    wire_job_text(attach->job, text);
    if (job != NULL && is_others(client, job->uid)) {
        say_others(core, client, attach->job);
    } else if (job != NULL && !job->is_detached) {
        core_client_error(
            core, client->id, WIRE_ERROR_INVALID,
            "job %s was not detached: its results go to the command that submitted it", text);
    } else if (job != NULL && !job->is_kept) {
        core_client_error(core, client->id, WIRE_ERROR_UNAVAILABLE,
                          "job %s is still being submitted", text);
    } else if (may_look(core, client, attach->job)) {
        struct core_look *look = look_new(core, CORE_LOOK_ATTACH, client->id, attach->job);
        look->task = attach->task;
        look->is_wait = attach->is_wait;
        look->wants_tasks = attach->wants_tasks;
        ask(core, look);
    }
}

void core_look_on_forget(struct core *core, struct core_client *client, uint64_t id)
{
    char text[WIRE_JOB_TEXT_BYTES];
    const struct core_job *job = core_job_find(core, id);
    if (job != NULL && is_others(client, job->uid)) {
        say_others(core, client, id);
    } else if (job != NULL && !job->is_over) {
        core_client_error(core, client->id, WIRE_ERROR_INVALID,
                          "job %s has not ended: cancel it first", wire_job_text(id, text));
    } else if (may_look(core, client, id)) {
        ask(core, look_new(core, CORE_LOOK_FORGET, client->id, id));
    }
}

void core_look_on_cancel(struct core *core, struct core_client *client, uint64_t id)
{
    if (may_look(core, client, id)) {
        ask(core, look_new(core, CORE_LOOK_CANCEL, client->id, id));
    }
}

void core_look_on_list(struct core *core, struct core_client *client)
{
    if (may_look(core, client, 0)) {
        ask(core, look_new(core, CORE_LOOK_LIST, client->id, 0));
    }
}

void core_look_for_after(struct core *core, struct core_job *waiter, uint64_t job)
{
    waiter->n_looked_for++;
    struct core_look *look = look_new(core, CORE_LOOK_AFTER, 0, job);
    look->waiter = waiter->id;
    ask(core, look);
}

void core_look_drop_waiter(struct core *core, const struct core_job *waiter)
{
    list_for_each_safe (node, &core->looks) {
        struct core_look *look = LIST_ENTRY(node, struct core_look, node);
        if (look->what == CORE_LOOK_AFTER && look->waiter == waiter->id) {
            look_free(core, look); /* an answer that comes finds nobody */
        }
    }
}

void core_look_on_client_down(struct core *core, uint64_t client)
{
    list_for_each_safe (node, &core->looks) {
        struct core_look *look = LIST_ENTRY(node, struct core_look, node);
        if (look->client == client && look->what != CORE_LOOK_AFTER) {
            look_free(core, look);
        }
    }
}

/* --- attached ----------------------------------------------------------------------------------
 */

static void send_attached(struct core *core, struct core_look *look, const struct core_event *event)
{
    const struct wire_submit *submit = event->journal_looked.submit;
    const struct core_job *job = core_job_find(core, look->job);
    struct wire_message message = {.type = WIRE_MESSAGE_ATTACHED};
    message.attached = (struct wire_attached){
        .job = look->job,
        .name = core_batch_copy(core, submit->name),
        .n_tasks = job != NULL ? job->n_added : event->journal_looked.over.n_tasks,
        .is_single = submit->is_single,
        .is_shell = submit->is_shell};
    core_client_send(core, look->client, &message);
    look->is_told = true;
}

static struct wire_slices copy_words(struct core *core, struct wire_slices words)
{
    struct slice *copies = core_batch_alloc(core, words.n, sizeof(*copies));
    for (uint32_t i = 0; i < words.n; i++) {
        copies[i] = core_batch_copy(core, words.items[i]);
    }
    return (struct wire_slices){.items = copies, .n = words.n};
}

static void send_result(struct core *core, struct core_look *look, const struct wire_add_task *task,
                        const struct wire_done *done)
{
    if (task != NULL) {
        struct wire_message message = {.type = WIRE_MESSAGE_KEPT_TASK};
        message.kept_task = (struct wire_kept_task){.job = look->job,
                                                    .task = task->task,
                                                    .argv = copy_words(core, task->argv),
                                                    .values = copy_words(core, task->values),
                                                    .returns = copy_words(core, task->returns)};
        core_client_send(core, look->client, &message);
    }
    struct wire_message message = {.type = WIRE_MESSAGE_DONE};
    message.done = *done;
    message.done.peer_name = core_batch_copy(core, done->peer_name);
    int r = core_result_copy(&core->effects->arena, &done->result, &message.done.result);
    ensure(r == 0); /* the batch's arena has no limit */
    core_client_send(core, look->client, &message);
    core_task_put_files(core, client_of(core, look), &done->result);
    look->n_sent++;
}

static void send_end(struct core *core, const struct core_look *look,
                     const struct core_event *event)
{
    const struct core_job *job = core_job_find(core, look->job);
    struct wire_message message = {.type = WIRE_MESSAGE_JOB_DONE};
    if (event->journal_looked.is_over || job == NULL) {
        message.job_done = event->journal_looked.over;
        message.job_done.text = core_batch_copy(core, message.job_done.text);
    } else {
        message.job_done = core_job_outcome(job);
        message.job_done.is_running = true;
    }
    core_client_send(core, look->client, &message);
}

/* Whether more is to come from it: else it is freed. */
static bool go_on(struct core *core, struct core_look *look, const struct core_event *event)
{
    bool is_all = event->journal_looked.n == 0 || look->task != 0;
    if (!is_all) {
        return true; /* with the client's ack */
    }
    bool is_end = event->journal_looked.is_over || !look->is_wait ||
                  (look->task != 0 && event->journal_looked.n > 0);
    if (is_end) {
        send_end(core, look, event);
        return false;
    }
    if (look->is_news) {
        ask(core, look);
    }
    return true; /* with the next result */
}

static void on_attach_looked(struct core *core, struct core_look *look,
                             const struct core_event *event)
{
    char text[WIRE_JOB_TEXT_BYTES];
    if (!event->journal_looked.is_complete) { /* it is given up just now */
        say_unknown(core, look->client, look->job);
        look_free(core, look);
        return;
    }
    if (!look->is_told) {
        send_attached(core, look, event);
        const struct core_job *job = core_job_find(core, look->job);
        uint32_t n_tasks = job != NULL ? job->n_added : event->journal_looked.over.n_tasks;
        if (look->task > n_tasks) {
            core_client_error(core, look->client, WIRE_ERROR_INVALID, "job %s has %u tasks",
                              wire_job_text(look->job, text), n_tasks);
            look_free(core, look);
            return;
        }
    }
    for (uint32_t i = 0; i < event->journal_looked.n; i++) {
        const struct wire_add_task *tasks = event->journal_looked.tasks;
        send_result(core, look, tasks != NULL ? &tasks[i] : NULL,
                    &event->journal_looked.results[i]);
    }
    look->after = event->journal_looked.last;
    if (!go_on(core, look, event)) {
        look_free(core, look);
    }
}

bool core_look_on_done_ack(struct core *core, const struct core_client *client,
                           const struct wire_done_ack *ack)
{
    list_for_each (node, &core->looks) {
        struct core_look *look = LIST_ENTRY(node, struct core_look, node);
        if (look->what != CORE_LOOK_ATTACH || look->client != client->id || look->job != ack->job) {
            continue;
        }
        if (ack->n_done > look->n_acked && ack->n_done <= look->n_sent) {
            look->n_acked = ack->n_done;
            if (look->n_acked == look->n_sent && !look->is_out) {
                ask(core, look);
            }
        }
        return true;
    }
    return false;
}

void core_look_on_news(struct core *core, uint64_t job)
{
    list_for_each (node, &core->looks) {
        struct core_look *look = LIST_ENTRY(node, struct core_look, node);
        if (look->what != CORE_LOOK_ATTACH || look->job != job) {
            continue;
        }
        if (look->is_out || look->n_acked < look->n_sent || !look->is_told) {
            look->is_news = true; /* what is asked for next shows it, or once more after that */
        } else {
            ask(core, look);
        }
    }
}

/* --- the others --------------------------------------------------------------------------------
 */

static void on_forget_looked(struct core *core, struct core_look *look,
                             const struct core_event *event)
{
    char text[WIRE_JOB_TEXT_BYTES];
    if (!event->journal_looked.is_over) {
        core_client_error(core, look->client, WIRE_ERROR_INVALID, "job %s has not ended",
                          wire_job_text(look->job, text));
    } else {
        core_journal_forget(core, look->job, look->client); /* it answers */
    }
    look_free(core, look);
}

static void on_cancel_looked(struct core *core, struct core_look *look)
{
    char text[WIRE_JOB_TEXT_BYTES];
    core_client_error(core, look->client, WIRE_ERROR_INVALID, "job %s has ended already",
                      wire_job_text(look->job, text));
    look_free(core, look);
}

static void on_after_looked(struct core *core, struct core_look *look,
                            const struct core_event *event)
{
    struct core_job *waiter = core_job_find(core, look->waiter);
    uint64_t job = look->job;
    int error = event->journal_looked.error;
    ensure(waiter != NULL); /* else core_look_drop_waiter() was called */
    if (waiter->is_restored && error < 0 && error != -ENOENT) {
        core_timer_set(core, &look->timer, core->now_ns + CORE_JOURNAL_RETRY_NS);
        return;
    }
    look_free(core, look);
    core_after_on_looked(core, waiter, event, job);
}

static struct core_look *find(const struct core *core, uint64_t number)
{
    list_for_each (node, &core->looks) {
        struct core_look *look = LIST_ENTRY(node, struct core_look, node);
        if (look->is_out && look->number == number) {
            return look;
        }
    }
    return NULL;
}

void core_look_on_looked(struct core *core, const struct core_event *event)
{
    struct core_look *look = find(core, event->journal_looked.look);
    int error = event->journal_looked.error;
    if (look == NULL) {
        core->n_ignored++; /* whoever asked left */
        return;
    }
    look->is_out = false;
    if (look->what == CORE_LOOK_AFTER) {
        on_after_looked(core, look, event);
        return;
    }
    const struct core_client *client = client_of(core, look);
    ensure(client != NULL && look->what != CORE_LOOK_LIST);
    if (error == -ENOENT) {
        say_unknown(core, look->client, look->job);
    } else if (error < 0) {
        core_client_error(core, look->client, WIRE_ERROR_UNAVAILABLE,
                          "the journal cannot be read (errno %d)", -error);
    } else if (is_others(client, event->journal_looked.uid)) {
        say_others(core, client, look->job);
    } else if (look->what == CORE_LOOK_ATTACH) {
        on_attach_looked(core, look, event);
        return;
    } else if (look->what == CORE_LOOK_FORGET) {
        on_forget_looked(core, look, event);
        return;
    } else {
        on_cancel_looked(core, look);
        return;
    }
    look_free(core, look);
}

void core_look_on_listed(struct core *core, const struct core_event *event)
{
    struct core_look *look = find(core, event->journal_listed.look);
    if (look == NULL) {
        core->n_ignored++; /* whoever asked left */
        return;
    }
    struct core_client *client = client_of(core, look);
    ensure(client != NULL && look->what == CORE_LOOK_LIST);
    if (event->journal_listed.error < 0) {
        core_client_error(core, look->client, WIRE_ERROR_UNAVAILABLE,
                          "the journal cannot be read (errno %d)", -event->journal_listed.error);
    } else {
        core_stats_send_jobs(core, client, event->journal_listed.rows, event->journal_listed.n);
    }
    look_free(core, look);
}

void core_look_init(struct core *core)
{
    list_init(&core->looks);
    list_init(&core->ended);
}

void core_look_free_all(struct core *core)
{
    core_after_free_all(core);
    while (!list_is_empty(&core->looks)) {
        look_free(core, LIST_ENTRY(core->looks.next, struct core_look, node));
    }
}
