/* Clients: each connects to the daemon of its host with one job, feeds it as it may, takes what it
 * is told, and leaves. The oracle sees all that it is told. */
#include <errno.h>
#include <stdio.h>

#include "tests/sim/sim_internal.h"
#include "wire/base/mem.h"
#include "wire/blob_hash.h"

/* --- what a job is made of ---------------------------------------------------------------------
 */

/* A name or a prefix of an id: "p6" is also each peer whose id begins with it. */
static bool is_any_meant(struct wire_slices texts, const struct sim_node *node)
{
    for (uint32_t i = 0; i < texts.n; i++) {
        char text[WIRE_NAME_BYTES_MAX + 1];
        snprintf(text, sizeof(text), "%.*s", (int)texts.items[i].n, (const char *)texts.items[i].p);
        if (strcmp(text, node->name) == 0 || wire_id_matches(&node->key, text)) {
            return true;
        }
    }
    return false;
}

bool client_needs_calls(const struct sim_job *job)
{
    return job->submit.submit.spec.is_call || job->n_refs > 0;
}

bool client_does_read(const struct sim_task *task, const struct wire_hash *hash)
{
    const struct sim_job *job = task->job;
    for (uint32_t i = 0; i < job->n_refs; i++) {
        if ((task->reads >> i & 1) != 0 && memcmp(&job->refs[i].hash, hash, sizeof(*hash)) == 0) {
            return true;
        }
    }
    return task->passed.bytes > 0 && wire_hash_eq(&task->passed.hash, hash);
}

bool client_is_eligible(const struct sim_job *job, const struct sim_node *node)
{
    const struct wire_submit *submit = &job->submit.submit;
    const struct core_config *config = &node->config;
    bool is_own = node == job->owner;
    bool is_meant = submit->on.n == 0 || is_any_meant(submit->on, node);
    is_meant &= !is_any_meant(submit->except, node);
    bool is_old = !is_own && (node->is_version_old || job->owner->is_version_old);
    return is_meant && !(is_old && client_needs_calls(job)) &&
           config->cores_effective >= submit->spec.cores &&
           (submit->spec.arch.n == 0 || slice_eq_str(submit->spec.arch, config->arch)) &&
           (config->mem_bytes == 0 || submit->spec.mem_bytes <= config->mem_bytes) &&
           (is_own || config->has_sandbox) && !node->has_no_command && !node->is_version_odd &&
           !node->is_black_hole && node->clone_of == NULL && config->cores > 0;
}

uint32_t client_n_eligible(const struct sim *sim, const struct sim_job *job)
{
    uint32_t n = 0;
    for (unsigned i = 0; i < sim->n_nodes; i++) {
        n += client_is_eligible(job, sim->nodes[i]);
    }
    return n;
}

/* --- talking -----------------------------------------------------------------------------------
 */

bool client_is_open(const struct sim_job *job)
{
    return (job->is_connected || job->is_kept) && !job->is_done && !job->is_dead &&
           !job->is_refused;
}

static void say(struct sim *sim, struct sim_job *job, const struct wire_message *message)
{
    struct core_event event = {.type = CORE_EVENT_CLIENT_MESSAGE};
    event.client_message.client = job->client;
    event.client_message.message = message;
    sim_step(sim, job->owner, &event);
}

struct sim_job *client_of(const struct sim *sim, uint64_t client)
{
    list_for_each (at, &sim->jobs) {
        struct sim_job *job = LIST_ENTRY(at, struct sim_job, node);
        if (job->client == client) {
            return job;
        }
    }
    return NULL;
}

struct sim_job *client_job(const struct sim *sim, const struct wire_key *owner, uint64_t id)
{
    list_for_each (at, &sim->jobs) {
        struct sim_job *job = LIST_ENTRY(at, struct sim_job, node);
        if (job->id == id && wire_key_eq(&job->owner_key, owner)) {
            return job;
        }
    }
    return NULL;
}

/* a: client. */
static void feed_fire(struct sim *sim, struct sim_event *event);

static void feed_later(struct sim *sim, struct sim_job *job)
{
    if (!job->is_feed_due && !job->is_fed) {
        job->is_feed_due = true;
        uint64_t in_ns = dice_roll(&sim->dice, job->plain_micros > 0 ? SIM_MS / 5 : 2 * SIM_MS);
        sim_event_new(sim, SIM_DAEMON, job->owner, in_ns, feed_fire)->a = job->client;
    }
}

struct wire_add_task client_task(const struct sim_job *job, uint32_t number,
                                 struct sim_words *words)
{
    bool is_call = job->submit.submit.spec.is_call;
    snprintf(words->number, sizeof(words->number), "%u", number);
    words->argv[0] = slice_str("program");
    words->argv[1] = slice_str(words->number);
    struct wire_add_task add = {.job = job->id, .task = number};
    add.argv = (struct wire_slices){.items = words->argv, .n = is_call ? 1 : 2};
    add.args = slice_str(is_call ? words->number : "");
    add.refs.items = words->refs;
    for (uint32_t i = 0; i < job->n_refs; i++) {
        if ((job->tasks[number].reads >> i & 1) != 0) {
            words->refs[add.refs.n++] = job->refs[i];
        }
    }
    if (job->tasks[number].passed.bytes > 0) {
        words->refs[add.refs.n++] = job->tasks[number].passed;
    }
    add.keeps_result = job->keeps_results;
    return add;
}

static void add_task(struct sim *sim, struct sim_job *job)
{
    struct sim_words words;
    struct wire_message message = {.type = WIRE_MESSAGE_ADD_TASK};
    pass_choose(sim, job, &job->tasks[++job->n_added]);
    message.add_task = client_task(job, job->n_added, &words);
    say(sim, job, &message);
}

/* Its tasks keep what they read. */
static void release_some(struct sim *sim, struct sim_job *job)
{
    for (uint32_t i = 0; i < job->n_refs && job->is_connected; i++) {
        struct wire_message message = {.type = WIRE_MESSAGE_RELEASE};
        message.release.hash = job->refs[i].hash;
        if (dice_chance(&sim->dice, 50)) {
            say(sim, job, &message);
        }
    }
}

/* One of its tasks, that may wait, run or have ended. */
static void cancel_one(struct sim *sim, struct sim_job *job)
{
    struct wire_message message = {.type = WIRE_MESSAGE_TASK_CANCEL};
    message.task_cancel.job = job->id;
    message.task_cancel.task = (uint32_t)dice_between(&sim->dice, 1, job->n_added);
    job->tasks[message.task_cancel.task].is_cancelled |= !job->is_detached;
    say(sim, job, &message);
}

static void feed_fire(struct sim *sim, struct sim_event *event)
{
    struct sim_job *job = client_of(sim, event->a);
    job->is_feed_due = false;
    for (unsigned i = 0; i < 32 && job->is_connected && job->n_added < job->n_tasks &&
                         job->n_added < job->tasks_max && !pass_is_held_back(job);
         i++) {
        add_task(sim, job);
    }
    if (job->is_fickle && job->is_connected && job->n_added > 0 && dice_chance(&sim->dice, 60)) {
        cancel_one(sim, job);
    }
    if (!job->is_connected || job->is_fed) {
        return;
    }
    if (job->n_added == job->n_tasks) {
        job->is_fed = true;
        struct wire_message message = {.type = WIRE_MESSAGE_SUBMIT_END};
        message.submit_end.job = job->id;
        message.submit_end.n_tasks = job->n_tasks;
        say(sim, job, &message);
        release_some(sim, job);
    } else if (job->n_added < job->tasks_max && !pass_is_held_back(job)) {
        feed_later(sim, job);
    }
}

/* a: client. */
static void ack_fire(struct sim *sim, struct sim_event *event)
{
    struct sim_job *job = client_of(sim, event->a);
    job->is_ack_due = false;
    if (!job->is_connected || job->is_stalled || job->is_done || job->is_detached) {
        return;
    }
    job->n_acked = job->n_done;
    struct wire_message message = {.type = WIRE_MESSAGE_DONE_ACK};
    message.done_ack.job = job->id;
    message.done_ack.n_done = job->n_done;
    say(sim, job, &message);
}

static void ack_later(struct sim *sim, struct sim_job *job)
{
    if (!job->is_ack_due && !job->is_stalled) {
        job->is_ack_due = true;
        uint64_t in_ns = dice_roll(&sim->dice, job->plain_micros > 0 ? SIM_MS : 10 * SIM_MS);
        sim_event_new(sim, SIM_DAEMON, job->owner, in_ns, ack_fire)->a = job->client;
    }
}

void client_stall(struct sim *sim, struct sim_job *job, bool is_stalled)
{
    job->is_stalled = is_stalled;
    if (!is_stalled && job->is_connected) {
        ack_later(sim, job);
    }
}

/* a: client, b: task, c: offset. */
static void stream_ack_fire(struct sim *sim, struct sim_event *event)
{
    struct sim_job *job = client_of(sim, event->a);
    if (!job->is_connected || job->is_done) {
        return;
    }
    struct wire_message message = {.type = WIRE_MESSAGE_CLIENT_STREAM_ACK};
    message.client_stream_ack.job = job->id;
    message.client_stream_ack.task = (uint32_t)event->b;
    message.client_stream_ack.stream = WIRE_STREAM_OUT;
    message.client_stream_ack.offset = event->c;
    say(sim, job, &message);
}

static void on_stream(struct sim *sim, struct sim_job *job, const struct wire_client_stream *data)
{
    struct sim_task *task = &job->tasks[data->task];
    if (data->offset != task->streamed) {
        sim_broken(sim, "job %u.%u: task %u has written %llu bytes, and goes on at %llu",
                   (unsigned)(job->id >> 32), (unsigned)job->id, task->number,
                   (unsigned long long)task->streamed, (unsigned long long)data->offset);
    }
    task->streamed += data->bytes.n;
    struct sim_event *event = sim_event_new(sim, SIM_DAEMON, job->owner,
                                            dice_roll(&sim->dice, 3 * SIM_MS), stream_ack_fire);
    event->a = job->client;
    event->b = task->number;
    event->c = task->streamed;
}

/* a: client. The client has what it came for. */
static void leave_later(struct sim *sim, struct sim_job *job);

static void leave_fire(struct sim *sim, struct sim_event *event)
{
    struct sim_job *job = client_of(sim, event->a);
    if (job->is_connected && job->n_gots < job->n_gets) {
        leave_later(sim, job); /* it waits for bytes that it asked for */
    } else if (job->is_connected) {
        client_leave(sim, job);
    }
}

static void leave_later(struct sim *sim, struct sim_job *job)
{
    sim_event_new(sim, SIM_DAEMON, job->owner, dice_roll(&sim->dice, 5 * SIM_MS), leave_fire)->a =
        job->client;
}

static void on_error(struct sim *sim, struct sim_job *job, const struct wire_error_reply *error)
{
    if (job->is_forgetting) {
        if (error->error != WIRE_ERROR_UNAVAILABLE && !job->owner->is_stopping) {
            sim_broken(sim, "%s does not forget a job that is over: %.*s", job->owner->name,
                       SLICE_FMT(error->text));
        }
        leave_later(sim, job);
        return;
    }
    if (job->is_cancelled && job->is_detached) {
        leave_later(sim, job); /* it was over, or disk is short: as it may be */
        return;
    }
    bool is_excused = job->owner->is_stopping || error->error == WIRE_ERROR_UNAVAILABLE ||
                      (job->is_cancelled && error->error == WIRE_ERROR_UNKNOWN);
    if (!is_excused) {
        sim_broken(sim, "a client of %s is refused: %.*s", job->owner->name,
                   SLICE_FMT(error->text));
    }
    if (!job->is_accepted || (job->is_detached && !job->is_kept)) {
        job->is_refused = true;
        leave_later(sim, job);
    }
}

void client_hear(struct sim *sim, struct sim_node *node, uint64_t client,
                 const struct wire_message *message)
{
    if (closed_hears(sim, node, client, message) || queues_hears(sim, node, client, message)) {
        return;
    }
    struct sim_job *job = client_of(sim, client);
    if (job == NULL || !job->is_connected) {
        return;
    }
    switch ((unsigned)message->type) { /* as a number: the others are nothing to it */
    case WIRE_MESSAGE_ACCEPTED:
        job->is_accepted = true;
        job->id = message->accepted.job;
        job->tasks_max = (uint32_t)message->accepted.tasks_max;
        feed_later(sim, job);
        return;
    case WIRE_MESSAGE_TASK_CREDIT:
        job->tasks_max = (uint32_t)message->task_credit.tasks_max;
        feed_later(sim, job);
        return;
    case WIRE_MESSAGE_DONE:
        oracle_done(sim, job, &message->done);
        job->n_done++;
        pass_on_done(sim, job, &message->done);
        if (job->keeps_results) {
            feed_later(sim, job);
        }
        fair_fewer(sim, job);
        ack_later(sim, job);
        return;
    case WIRE_MESSAGE_GOT:
        pass_on_got(sim, job, &message->got);
        return;
    case WIRE_MESSAGE_GONE:
        pass_on_gone(sim, job, &message->gone.hash);
        return;
    case WIRE_MESSAGE_CLIENT_STREAM:
        on_stream(sim, job, &message->client_stream);
        return;
    case WIRE_MESSAGE_JOB_DONE:
        oracle_job_done(sim, job, &message->job_done);
        job->is_done = true;
        job->done_ns = sim->now_ns;
        leave_later(sim, job);
        return;
    case WIRE_MESSAGE_JOB_KEPT:
        job->is_kept = true;
        leave_later(sim, job);
        return;
    case WIRE_MESSAGE_OK: /* cancelled or forgotten, by a client that came for it */
        if (job->is_detached) {
            job->is_kept = false;
            job->is_dead = true;
            leave_later(sim, job);
        }
        return;
    case WIRE_MESSAGE_ERROR:
        on_error(sim, job, &message->error);
        return;
    default:
        return;
    }
}

/* --- coming and going --------------------------------------------------------------------------
 */

void client_free(struct sim_job *job)
{
    list_remove(&job->node);
    arena_done(&job->arena);
    mem_free(job->tasks);
    mem_free(job);
}

/* Some detached jobs come after the last one that their owner has. */
static void draw_after(struct sim *sim, struct sim_job *job)
{
    if (!job->is_detached || !dice_chance(&sim->dice, 25)) {
        return;
    }
    list_for_each (at, &sim->jobs) {
        const struct sim_job *other = LIST_ENTRY(at, struct sim_job, node);
        bool is_its = other->owner == job->owner && other != job && other->is_detached &&
                      wire_key_eq(&other->owner_key, &job->owner->key);
        if (is_its && other->is_kept && !other->is_cancelled && !other->is_dead &&
            !other->is_forgetting) {
            job->after.job = other->id;
        }
    }
    job->submit.submit.after =
        (struct wire_job_refs){.items = &job->after, .n = job->after.job != 0};
    job->submit.submit.is_after_any = true; /* so that it is to end well, whatever became of that */
}

void client_connect(struct sim *sim, struct sim_job *job)
{
    draw_after(sim, job);
    struct core_event up = {.type = CORE_EVENT_CLIENT_UP};
    up.client_up.client = job->client;
    up.client_up.is_privileged = true;
    job->is_connected = true;
    sim_step(sim, job->owner, &up);
    struct wire_message hello = {.type = WIRE_MESSAGE_CLIENT_HELLO};
    hello.client_hello.protocol = WIRE_VERSION_MAX;
    say(sim, job, &hello);
    for (uint32_t i = 0; i < job->n_refs; i++) {
        shell_store(job->owner, &job->refs[i].hash, job->refs[i].bytes);
        struct wire_message put = {.type = WIRE_MESSAGE_PUT};
        put.put =
            (struct wire_put){.id = i, .hash = job->refs[i].hash, .bytes = job->refs[i].bytes};
        say(sim, job, &put);
    }
    say(sim, job, &job->submit);
}

void client_leave(struct sim *sim, struct sim_job *job)
{
    job->is_connected = false;
    job->is_dead |= !job->is_done && !job->is_kept;
    struct core_event down = {.type = CORE_EVENT_CLIENT_DOWN};
    down.client_down.client = job->client;
    sim_step(sim, job->owner, &down);
}

/* Its client left long ago: another comes for it. */
static void come_again(struct sim *sim, struct sim_job *job)
{
    job->client = sim->next_client++;
    struct core_event up = {.type = CORE_EVENT_CLIENT_UP};
    up.client_up.client = job->client;
    up.client_up.is_privileged = true;
    job->is_connected = true;
    sim_step(sim, job->owner, &up);
}

void client_cancel(struct sim *sim, struct sim_job *job)
{
    job->is_cancelled = true;
    if (!job->is_connected) {
        come_again(sim, job);
    }
    struct wire_message message = {.type = WIRE_MESSAGE_JOB_CANCEL};
    message.job_cancel.job = job->id;
    say(sim, job, &message);
}

static bool is_named(const struct sim *sim, const struct sim_job *job)
{
    list_for_each (at, &sim->jobs) {
        const struct sim_job *other = LIST_ENTRY(at, struct sim_job, node);
        if (other->owner == job->owner && other->after.job == job->id) {
            return true;
        }
    }
    return false;
}

static void forget_fire(struct sim *sim, struct sim_event *event)
{
    struct sim_job *job = client_job(sim, &event->node->key, event->a);
    if (job->is_connected || job->is_cancelled || job->owner->is_stopping || is_named(sim, job)) {
        return;
    }
    job->is_forgetting = true;
    come_again(sim, job);
    struct wire_message message = {.type = WIRE_MESSAGE_JOB_FORGET};
    message.job_forget.job = job->id;
    say(sim, job, &message);
}

void client_over(struct sim *sim, struct sim_job *job)
{
    struct dice dice = {.state = dice_mix(sim->options.seed) + job->id}; /* no draw of others' */
    if (dice_chance(&dice, 50)) {
        uint64_t in_ns = dice_log(&dice, 1, 3000) * SIM_MS;
        sim_event_new(sim, SIM_DAEMON, job->owner, in_ns, forget_fire)->a = job->id;
    }
}

void client_closed(struct sim *sim, struct sim_node *node, uint64_t client)
{
    struct sim_job *job = client_of(sim, client);
    if (job != NULL) {
        job->is_connected = false;
        job->is_dead |= !job->is_done && !job->is_kept;
    }
}

void client_daemon_gone(struct sim *sim, struct sim_node *node)
{
    queues_daemon_gone(sim, node);
    list_for_each (at, &sim->jobs) {
        struct sim_job *job = LIST_ENTRY(at, struct sim_job, node);
        if (job->owner == node && job->is_connected) {
            job->is_connected = false;
            job->is_dead |= !job->is_done && !job->is_kept;
        }
    }
}

bool client_are_all_over(const struct sim *sim)
{
    list_for_each (at, &sim->jobs) {
        if (client_is_open(LIST_ENTRY(at, struct sim_job, node))) {
            return false;
        }
    }
    return true;
}

void client_free_all(struct sim *sim)
{
    while (!list_is_empty(&sim->jobs)) {
        client_free(LIST_ENTRY(sim->jobs.next, struct sim_job, node));
    }
}
