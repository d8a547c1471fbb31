#include "mesh/core/client.h"

#include "mesh/core/exec.h"
#include "mesh/core/job.h"
#include "mesh/core/journal.h"
#include "mesh/core/left.h"
#include "mesh/core/look.h"
#include "mesh/core/put.h"
#include "mesh/core/queue.h"
#include "mesh/core/trust.h"
#include "wire/base/mem.h"

static struct core_client *client_find(const struct core *core, uint64_t id)
{
    struct table_entry *entry = table_find(&core->clients, &id);
    return entry != NULL ? LIST_ENTRY(entry, struct core_client, by_id) : NULL;
}

static void send_list(struct core *core, struct core_client *client)
{
    client->listed_ns = core->now_ns;
    client->is_watch_due = false;
    core_stats_send_peers(core, client);
}

static void watch_fire(struct core *core, struct core_timer *timer)
{
    struct core_client *client = CONTAINER_OF(timer, struct core_client, watch_timer);
    if (client->is_watch_due) {
        send_list(core, client);
    }
}

static void on_up(struct core *core, const struct core_event *event)
{
    if (core->clients.n >= CORE_CLIENTS_MAX || core->is_stopping) {
        core_client_error(core, event->client_up.client, WIRE_ERROR_LIMIT,
                          core->is_stopping ? "the daemon is ending" : "too many clients");
        core_emit(core, CORE_EFFECT_CLIENT_CLOSE)->client_close.client = event->client_up.client;
        return;
    }
    struct core_client *client = mem_alloc_or_die(1, sizeof(*client));
    client->id = event->client_up.client;
    client->uid = event->client_up.uid;
    client->is_privileged = event->client_up.is_privileged;
    client->watch_timer.fire = watch_fire;
    table_init(&client->puts, sizeof(struct wire_hash), core->config.seed);
    table_insert(&core->clients, &client->by_id, &client->id);
}

static void client_free(struct core *core, struct core_client *client)
{
    core_timer_stop(core, &client->watch_timer);
    core_put_drop_all(core, client);
    table_remove(&core->clients, &client->by_id);
    mem_free(client);
}

static void on_down(struct core *core, uint64_t id)
{
    struct core_client *client = client_find(core, id);
    if (client == NULL) {
        return;
    }
    table_for_each (entry, &core->jobs) {
        struct core_job *job = LIST_ENTRY(entry, struct core_job, by_id);
        if (job->client == client) {
            job->client = NULL;
            core_job_cancel(core, job);
        }
    }
    core_look_on_client_down(core, client->id);
    core_queue_client_gone(core, client);
    client_free(core, client);
}

void core_client_close_all(struct core *core)
{
    table_for_each (entry, &core->clients) {
        struct core_client *client = LIST_ENTRY(entry, struct core_client, by_id);
        core_emit(core, CORE_EFFECT_CLIENT_CLOSE)->client_close.client = client->id;
        on_down(core, client->id);
    }
}

void core_client_free_all(struct core *core)
{
    table_for_each (entry, &core->jobs) {
        LIST_ENTRY(entry, struct core_job, by_id)->client = NULL;
    }
    table_for_each (entry, &core->clients) {
        client_free(core, LIST_ENTRY(entry, struct core_client, by_id));
    }
}

/* --- requests ----------------------------------------------------------------------------------
 */

static void on_hello(struct core *core, struct core_client *client)
{
    struct wire_message message = {.type = WIRE_MESSAGE_DAEMON_HELLO};
    message.daemon_hello = (struct wire_daemon_hello){.protocol = WIRE_VERSION_MAX,
                                                      .version = slice_str(core->config.program),
                                                      .key = core->self->key,
                                                      .name = slice_str(core->config.name),
                                                      .cores = core->config.cores};
    core_client_send(core, client->id, &message);
}

static void on_cancel(struct core *core, struct core_client *client, uint64_t id)
{
    char text[WIRE_JOB_TEXT_BYTES];
    struct core_job *job = core_job_find(core, id);
    if (job == NULL || job->is_over) {
        core_look_on_cancel(core, client, id);
    } else if (client->uid != job->uid && client->uid != 0) {
        core_client_error(core, client->id, WIRE_ERROR_DENIED,
                          "job %s is another user's: only its owner and root may cancel it",
                          wire_job_text(id, text));
    } else if (job->is_kept) {
        core_journal_cancel(core, job, client->id); /* it answers */
        core_job_cancel(core, job);
    } else {
        bool is_owner = job->client == client;
        core_job_cancel(core, job);
        if (!is_owner) {
            struct wire_message message = {.type = WIRE_MESSAGE_OK};
            core_client_send(core, client->id, &message);
        }
    }
}

static void on_set_cores(struct core *core, struct core_client *client, uint32_t cores)
{
    if (!client->is_privileged) {
        core_client_error(core, client->id, WIRE_ERROR_DENIED,
                          "only root and the daemon's own user may change its cores");
        return;
    }
    if (cores > WIRE_CORES_MAX) {
        core_client_error(core, client->id, WIRE_ERROR_INVALID, "at most %u cores", WIRE_CORES_MAX);
        return;
    }
    core->config.are_cores_fixed = true;
    core_exec_set_cores(core, cores);
    struct wire_message message = {.type = WIRE_MESSAGE_OK};
    core_client_send(core, client->id, &message);
}

/* The client's own job that still runs; NULL: it is gone, or not this client's. */
static struct core_job *own_job(struct core *core, const struct core_client *client, uint64_t id)
{
    struct core_job *job = core_job_find(core, id);
    if (job == NULL || job->client != client) {
        core->n_ignored++;
        return NULL;
    }
    return job;
}

/* Messages within a job that runs. False: not one of those. */
static bool on_job_message(struct core *core, struct core_client *client,
                           const struct wire_message *message)
{
    struct core_job *job;
    switch ((unsigned)message->type) { /* as a number: the others are handled below */
    case WIRE_MESSAGE_ADD_TASK:
        core_job_add_task(core, client, &message->add_task);
        return true;
    case WIRE_MESSAGE_SUBMIT_END:
        job = own_job(core, client, message->submit_end.job);
        if (job != NULL) {
            core_job_submit_end(core, job, message->submit_end.n_tasks);
        }
        return true;
    case WIRE_MESSAGE_CLIENT_STREAM_ACK:
        job = own_job(core, client, message->client_stream_ack.job);
        if (job != NULL) {
            core_stream_on_client_ack(core, job, &message->client_stream_ack);
        }
        return true;
    case WIRE_MESSAGE_TASK_CANCEL:
        job = own_job(core, client, message->task_cancel.job);
        if (job != NULL) {
            core_job_cancel_task(core, job, message->task_cancel.task);
        }
        return true;
    case WIRE_MESSAGE_DONE_ACK:
        if (core_look_on_done_ack(core, client, &message->done_ack)) {
            return true;
        }
        job = own_job(core, client, message->done_ack.job);
        if (job != NULL) {
            core_job_on_done_ack(core, job, message->done_ack.n_done);
        }
        return true;
    default:
        return false;
    }
}

static void on_message(struct core *core, struct core_client *client,
                       const struct wire_message *message)
{
    if (on_job_message(core, client, message) ||
        core_queue_on_client_message(core, client, message)) {
        return;
    }
    switch ((unsigned)message->type) { /* as a number: what is no request is refused */
    case WIRE_MESSAGE_CLIENT_HELLO:
        on_hello(core, client);
        return;
    case WIRE_MESSAGE_SUBMIT:
        core_job_submit(core, client, &message->submit);
        return;
    case WIRE_MESSAGE_JOB_CANCEL:
        on_cancel(core, client, message->job_cancel.job);
        return;
    case WIRE_MESSAGE_PUT:
        core_put_on_put(core, client, &message->put);
        return;
    case WIRE_MESSAGE_RELEASE:
        core_put_on_release(core, client, &message->release.hash);
        return;
    case WIRE_MESSAGE_GET:
        core_left_on_get(core, client, &message->get.hash);
        return;
    case WIRE_MESSAGE_PEERS_QUERY:
        client->is_watching = message->peers_query.is_watch;
        send_list(core, client);
        return;
    case WIRE_MESSAGE_STATS_QUERY:
        core_stats_send_stats(core, client);
        return;
    case WIRE_MESSAGE_JOBS_QUERY:
        if (core->config.has_journal) {
            core_look_on_list(core, client);
        } else {
            core_stats_send_jobs(core, client, NULL, 0);
        }
        return;
    case WIRE_MESSAGE_ATTACH:
        core_look_on_attach(core, client, &message->attach);
        return;
    case WIRE_MESSAGE_JOB_FORGET:
        core_look_on_forget(core, client, message->job_forget.job);
        return;
    case WIRE_MESSAGE_SET_CORES:
        on_set_cores(core, client, message->set_cores.cores);
        return;
    case WIRE_MESSAGE_LOCK:
    case WIRE_MESSAGE_UNLOCK:
    case WIRE_MESSAGE_INVITE:
    case WIRE_MESSAGE_JOIN:
    case WIRE_MESSAGE_TRUST:
    case WIRE_MESSAGE_BAN:
        core_trust_on_request(core, client, message);
        return;
    case WIRE_MESSAGE_TRUST_QUERY:
        core_trust_send_list(core, client);
        return;
    default:
        core_client_error(core, client->id, WIRE_ERROR_INVALID,
                          "this daemon knows no such request");
    }
}

void core_client_on_event(struct core *core, const struct core_event *event)
{
    switch ((unsigned)event->type) { /* as a number: dispatch() in core.c sends only these */
    case CORE_EVENT_CLIENT_UP:
        on_up(core, event);
        return;
    case CORE_EVENT_CLIENT_DOWN:
        on_down(core, event->client_down.client);
        return;
    case CORE_EVENT_CLIENT_MESSAGE: {
        struct core_client *client = client_find(core, event->client_message.client);
        if (client != NULL) {
            on_message(core, client, event->client_message.message);
        }
        return;
    }
    default:
        ensure(!"reached");
    }
}

/* --- after each step ---------------------------------------------------------------------------
 */

static void tell_watchers(struct core *core)
{
    table_for_each (entry, &core->clients) {
        struct core_client *client = LIST_ENTRY(entry, struct core_client, by_id);
        if (!client->is_watching) {
            continue;
        }
        client->is_watch_due = true;
        uint64_t at_ns = client->listed_ns + CORE_WATCH_NS;
        if (core->now_ns >= at_ns) {
            send_list(core, client);
        } else {
            core_timer_set(core, &client->watch_timer, at_ns);
        }
    }
}

static bool is_needed(const struct core *core)
{
    return core->clients.n > 0 || core->jobs.n > 0 || core->held.n > 0 ||
           core_queue_is_needed(core);
}

static void idle_fire(struct core *core, struct core_timer *timer)
{
    if (!is_needed(core)) {
        core_stop(core);
    }
}

void core_client_after_step(struct core *core)
{
    if (core->are_peers_changed) {
        core->are_peers_changed = false;
        tell_watchers(core);
    }
    if (core->config.exit_idle_ns == 0) {
        return;
    }
    core->idle_timer.fire = idle_fire;
    if (is_needed(core)) {
        core_timer_stop(core, &core->idle_timer);
    } else if (!heap_has(&core->idle_timer.entry) && !core->is_stopping) {
        core_timer_set(core, &core->idle_timer, core->now_ns + core->config.exit_idle_ns);
    }
}
