/* Clients: each connects to the daemon of its host with one job, feeds it as it may, takes what it
 * is told, and leaves. The oracle sees all that it is told. */
#include <errno.h>
#include <stdio.h>

#include "tests/sim/sim_internal.h"
#include "wire/base/mem.h"

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
    return false;
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

static struct slice text(struct sim_job *job, const char *s)
{
    struct slice copy;
    int r = arena_copy(&job->arena, slice_str(s), &copy);
    ensure(r == 0);
    return copy;
}

static struct wire_slices one_name(struct sim *sim, struct sim_job *job, struct dice *dice)
{
    struct slice *items = arena_alloc(&job->arena, 1, sizeof(*items));
    items[0] = text(job, sim->nodes[dice_roll(dice, sim->n_nodes)]->name);
    return (struct wire_slices){.items = items, .n = 1};
}

/* What a job asks of peers; nothing that nobody here has. */
static void draw_needs(struct sim *sim, struct sim_job *job, struct dice *dice)
{
    struct wire_submit *submit = &job->submit.submit;
    struct wire_submit plain = *submit;
    if (dice_chance(dice, 20)) {
        submit->spec.cores = (uint32_t)dice_between(dice, 2, 4);
    }
    if (dice_chance(dice, 10)) {
        submit->spec.mem_bytes = dice_between(dice, 1, 3) << 30;
    }
    if (dice_chance(dice, 8)) {
        submit->spec.arch = text(job, dice_chance(dice, 50) ? "aarch64" : "x86_64");
    }
    if (dice_chance(dice, 6)) {
        submit->on = one_name(sim, job, dice);
    } else if (dice_chance(dice, 8)) {
        submit->except = one_name(sim, job, dice);
    }
    if (client_n_eligible(sim, job) == 0) {
        *submit = plain;
    }
}

static void draw_files(struct sim_job *job, const struct sim_wish *wish, struct dice *dice)
{
    uint32_t n = wish->has_files || dice_chance(dice, 40) ? (uint32_t)dice_between(dice, 1, 2) : 0;
    struct wire_file *files = arena_alloc(&job->arena, n, sizeof(*files));
    for (uint32_t i = 0; i < n; i++) {
        uint64_t words[4] = {dice_roll(dice, 4) + 1, 7, 7, i}; /* some jobs share them */
        words[0] = wish->has_files ? 4 : words[0];
        memcpy(files[i].hash.b, words, sizeof(words));
        files[i].path = text(job, i == 0 ? "program" : "data");
        files[i].mode = 0755;
        files[i].bytes = (words[0] + i) * (words[0] == 4 ? 400000 : 20000);
        shell_store(job->owner, &files[i].hash, files[i].bytes);
    }
    job->submit.submit.spec.files = (struct wire_files){.items = files, .n = n};
}

/* Calls, and blobs that tasks read: some jobs share them. Not where nobody could run it. */
static void draw_calls(struct sim *sim, struct sim_job *job, struct dice *dice)
{
    struct wire_job_spec *spec = &job->submit.submit.spec;
    spec->is_call = !spec->is_streamed && dice_chance(dice, 25);
    spec->exec = text(job, spec->is_call ? "./program" : "");
    job->n_refs = dice_chance(dice, 25) ? (uint32_t)dice_between(dice, 1, SIM_REFS_MAX) : 0;
    for (uint32_t i = 0; i < job->n_refs; i++) {
        uint64_t words[4] = {dice_roll(dice, 4) + 1, 9, 9, i};
        memcpy(job->refs[i].hash.b, words, sizeof(words));
        job->refs[i].bytes = (words[0] + i) * (words[0] == 4 ? 400000 : 20000);
    }
    if (client_n_eligible(sim, job) == 0) {
        spec->is_call = false;
        spec->exec = text(job, "");
        job->n_refs = 0;
    }
}

static void draw_options(struct sim *sim, struct sim_job *job, const struct sim_wish *wish,
                         struct dice *dice)
{
    struct wire_submit *submit = &job->submit.submit;
    submit->spec.cores = 1;
    submit->spec.lease_ms = dice_between(dice, 1000, 10000);
    submit->spec.priority = (uint32_t)dice_roll(dice, 3);
    submit->runs_max = dice_chance(dice, 60) ? 1 : (uint32_t)dice_roll(dice, 5);
    submit->is_once = dice_chance(dice, 6);
    submit->jobs_max = dice_chance(dice, 15) ? (uint32_t)dice_between(dice, 1, 6) : 0;
    submit->may_speculate = dice_chance(dice, 70);
    job->is_detached = submit->is_detached =
        (dice_chance(dice, 25) || wish->is_detached) && !submit->is_once;
    submit->spec.is_streamed = !job->is_detached && dice_chance(dice, 6);
    if (job->is_detached && dice_chance(dice, 50)) {
        submit->spec.lease_ms = 0; /* an hour */
    }
    draw_files(job, wish, dice);
    draw_needs(sim, job, dice);
    if (wish->host != NULL) {
        struct slice *name = arena_alloc(&job->arena, 1, sizeof(*name));
        *name = text(job, wish->host->name);
        submit->on = (struct wire_slices){.items = name, .n = 1};
        submit->except = (struct wire_slices){0};
        submit->spec.lease_ms = submit->spec.lease_ms > 0 ? 10000 : 0; /* while it is away */
    }
    draw_calls(sim, job, dice);
}

static enum sim_program draw_program(const struct sim_job *job, unsigned mix, struct dice *dice)
{
    if (job->submit.submit.spec.is_streamed) {
        return SIM_STREAM;
    }
    if (mix < 50 || dice_chance(dice, 70)) { /* half the jobs are of one kind */
        return mix % 5 == 4 ? SIM_BLOB : SIM_SLEEP;
    }
    switch (dice_roll(dice, 12)) {
    case 0:
        return SIM_POISON;
    case 1:
        return SIM_SIGNAL;
    case 2:
    case 3:
        return SIM_EXIT;
    case 4:
    case 5:
        return SIM_FLAKY;
    case 6:
    case 7:
        return SIM_BLOB;
    case 8:
        return job->may_hang ? SIM_HANG : SIM_SLEEP;
    default:
        return SIM_SLEEP;
    }
}

/* How long a task may take, so that all of them do not take for ever. */
static uint32_t draw_millis(const struct sim *sim, const struct sim_job *job, uint32_t n_tasks,
                            uint32_t millis_min, struct dice *dice)
{
    static const uint32_t steps[] = {1, 3, 10, 30, 100, 300, 1000, 4000};
    uint64_t n_cores = 0;
    for (unsigned i = 0; i < sim->n_nodes; i++) {
        const struct sim_node *node = sim->nodes[i];
        n_cores += client_is_eligible(job, node) ? node->config.cores_effective : 0;
    }
    uint64_t per_core = (uint64_t)n_tasks * job->submit.submit.spec.cores / (n_cores + 1) + 1;
    uint32_t most = job->submit.submit.jobs_max;
    if (most > 0 && n_tasks / most > per_core) {
        per_core = n_tasks / most;
    }
    uint32_t millis = steps[dice_roll(dice, ARRAY_LEN(steps))];
    millis = millis > millis_min ? millis : millis_min;
    return millis * per_core > 12000 ? (uint32_t)(12000 / per_core) + 1 : millis;
}

static void note_shortest(struct sim_node *node, uint32_t millis)
{
    millis = millis > 0 ? millis : 1;
    node->shortest_ms =
        node->shortest_ms == 0 || millis < node->shortest_ms ? millis : node->shortest_ms;
}

static void draw_tasks(struct sim *sim, struct sim_job *job, uint32_t n_tasks,
                       const struct sim_wish *wish, struct dice *dice)
{
    struct wire_submit *submit = &job->submit.submit;
    n_tasks = submit->spec.is_streamed && n_tasks > 5 ? 5 : n_tasks;
    job->n_tasks = n_tasks;
    job->tasks = mem_alloc_or_die(n_tasks + 1, sizeof(struct sim_task));
    uint32_t millis = draw_millis(sim, job, n_tasks, wish->millis_min, dice);
    if (dice_chance(dice, 12)) {
        submit->spec.timeout_ms = millis * 12 + 500;
    }
    unsigned mix = (unsigned)dice_roll(dice, 100);
    mix = wish->has_output ? 4 : mix;
    job->may_hang = submit->spec.timeout_ms > 0 && submit->spec.timeout_ms < 8000 &&
                    submit->runs_max > 0; /* else for ever */
    uint32_t tries = submit->runs_max == 0 ? 6 : submit->runs_max;
    job->is_simple = submit->spec.files.n == 0 && submit->spec.mem_bytes == 0 &&
                     submit->jobs_max == 0 && !job->is_detached;
    note_shortest(job->owner, millis - millis / 2);
    for (uint32_t i = 1; i <= n_tasks; i++) {
        struct sim_task *task = &job->tasks[i];
        task->job = job;
        task->number = i;
        task->reads = (uint32_t)dice_roll(dice, 1u << job->n_refs);
        task->program = draw_program(job, mix, dice);
        task->status = (uint32_t)dice_between(dice, 1, 255);
        if (submit->runs_max == 0 && (task->program == SIM_EXIT || task->program == SIM_SIGNAL)) {
            task->program = SIM_FLAKY; /* else it would run for ever */
        }
        task->millis = millis - (uint32_t)dice_roll(dice, millis / 2 + 1);
        task->bytes =
            task->program == SIM_STREAM ? dice_log(dice, 1, 400000) : dice_log(dice, 65537, 200000);
        uint64_t ns = (uint64_t)task->millis * SIM_MS;
        ns += task->program == SIM_STREAM ? task->bytes / 1000 * SIM_MS : 0;
        ns = task->program == SIM_HANG ? submit->spec.timeout_ms * SIM_MS : ns;
        bool is_again = task->program != SIM_SLEEP && task->program != SIM_BLOB;
        job->work_ns += (ns + 4 * SIM_MS) * submit->spec.cores * (is_again ? tries : 1);
        job->longest_ns = ns > job->longest_ns ? ns : job->longest_ns;
        job->has_failures |= is_again;
        job->is_simple &= task->program == SIM_SLEEP;
    }
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

static struct sim_job *job_of(struct sim *sim, uint64_t client)
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
    return add;
}

static void add_task(struct sim *sim, struct sim_job *job)
{
    struct sim_words words;
    struct wire_message message = {.type = WIRE_MESSAGE_ADD_TASK};
    message.add_task = client_task(job, ++job->n_added, &words);
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

static void feed_fire(struct sim *sim, struct sim_event *event)
{
    struct sim_job *job = job_of(sim, event->a);
    job->is_feed_due = false;
    for (unsigned i = 0; i < 32 && job->is_connected && job->n_added < job->n_tasks &&
                         job->n_added < job->tasks_max;
         i++) {
        add_task(sim, job);
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
    } else if (job->n_added < job->tasks_max) {
        feed_later(sim, job);
    }
}

/* a: client. */
static void ack_fire(struct sim *sim, struct sim_event *event)
{
    struct sim_job *job = job_of(sim, event->a);
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
    struct sim_job *job = job_of(sim, event->a);
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
static void leave_fire(struct sim *sim, struct sim_event *event)
{
    struct sim_job *job = job_of(sim, event->a);
    if (job->is_connected) {
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
    struct sim_job *job = job_of(sim, client);
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
        fair_fewer(sim, job);
        ack_later(sim, job);
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
    case WIRE_MESSAGE_OK: /* cancelled, by a client that came for it */
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

static struct sim_job *job_new(struct sim *sim, struct sim_node *node)
{
    struct sim_job *job = mem_alloc_or_die(1, sizeof(*job));
    job->owner = node;
    job->owner_key = node->key;
    job->life = node->life;
    job->client = sim->next_client++;
    job->at_ns = sim->now_ns;
    arena_init(&job->arena, SIZE_MAX);
    job->refusals = arena_alloc(&job->arena, sim->nodes_max, sizeof(*job->refusals));
    job->submit.type = WIRE_MESSAGE_SUBMIT;
    return job;
}

static void job_free(struct sim_job *job)
{
    list_remove(&job->node);
    arena_done(&job->arena);
    mem_free(job->tasks);
    mem_free(job);
}

static void submit(struct sim *sim, struct sim_job *job)
{
    list_push_back(&sim->jobs, &job->node);
    sim->report.n_jobs++;
    sim->report.n_tasks += job->n_tasks;
    client_connect(sim, job);
}

struct sim_job *client_submit(struct sim *sim, struct sim_node *node, struct dice *dice,
                              uint32_t n_tasks)
{
    struct sim_wish none = {0};
    return client_submit_as(sim, node, dice, n_tasks, &none);
}

struct sim_job *client_submit_as(struct sim *sim, struct sim_node *node, struct dice *dice,
                                 uint32_t n_tasks, const struct sim_wish *wish)
{
    if (!sim_node_runs(node) || node->is_stopping || node->clone_of != NULL || node->has_clone) {
        return NULL;
    }
    struct sim_job *job = job_new(sim, node);
    draw_options(sim, job, wish, dice);
    if (wish->host != NULL && !client_is_eligible(job, wish->host)) {
        job_free(job);
        return NULL;
    }
    draw_tasks(sim, job, n_tasks, wish, dice);
    submit(sim, job);
    return job;
}

struct sim_job *client_submit_plain(struct sim *sim, struct sim_node *node, uint32_t n_tasks,
                                    uint32_t micros)
{
    struct sim_job *job = job_new(sim, node);
    job->submit.submit.spec.cores = 1;
    job->submit.submit.runs_max = 1;
    job->submit.submit.may_speculate = true;
    job->plain_micros = micros;
    job->n_tasks = n_tasks;
    job->tasks = mem_alloc_or_die(n_tasks + 1, sizeof(struct sim_task));
    for (uint32_t i = 1; i <= n_tasks; i++) {
        job->tasks[i].job = job;
        job->tasks[i].number = i;
        job->tasks[i].program = SIM_SLEEP;
    }
    submit(sim, job);
    return job;
}

void client_submit_wish(struct sim *sim, struct sim_node *node, const struct client_wish *wish)
{
    struct sim_job *job = job_new(sim, node);
    struct wire_submit *wanted = &job->submit.submit;
    wanted->spec.cores = wish->cores;
    wanted->spec.priority = wish->priority;
    wanted->spec.lease_ms = 5000;
    wanted->runs_max = 1;
    wanted->may_speculate = wish->may_speculate;
    struct slice *on = arena_alloc(&job->arena, wish->on.n, sizeof(*on));
    for (uint32_t i = 0; i < wish->on.n; i++) {
        int r = arena_copy(&job->arena, wish->on.items[i], &on[i]);
        ensure(r == 0);
    }
    wanted->on = (struct wire_slices){.items = on, .n = wish->on.n};
    job->n_tasks = wish->n_tasks;
    job->tasks = mem_alloc_or_die(wish->n_tasks + 1, sizeof(struct sim_task));
    for (uint32_t i = 1; i <= wish->n_tasks; i++) {
        uint32_t millis = wish->millis - (uint32_t)dice_roll(&sim->dice, wish->millis / 4 + 1);
        job->tasks[i] =
            (struct sim_task){.job = job, .number = i, .program = SIM_SLEEP, .millis = millis};
        job->work_ns += (millis + 4) * SIM_MS * wish->cores;
    }
    job->longest_ns = wish->millis * SIM_MS;
    note_shortest(node, wish->millis - wish->millis / 4);
    job->is_simple = true;
    submit(sim, job);
}

void client_connect(struct sim *sim, struct sim_job *job)
{
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

void client_cancel(struct sim *sim, struct sim_job *job)
{
    job->is_cancelled = true;
    if (!job->is_connected) { /* its client left long ago: another comes */
        job->client = sim->next_client++;
        struct core_event up = {.type = CORE_EVENT_CLIENT_UP};
        up.client_up.client = job->client;
        up.client_up.is_privileged = true;
        job->is_connected = true;
        sim_step(sim, job->owner, &up);
    }
    struct wire_message message = {.type = WIRE_MESSAGE_JOB_CANCEL};
    message.job_cancel.job = job->id;
    say(sim, job, &message);
}

void client_closed(struct sim *sim, struct sim_node *node, uint64_t client)
{
    struct sim_job *job = job_of(sim, client);
    if (job != NULL) {
        job->is_connected = false;
        job->is_dead |= !job->is_done && !job->is_kept;
    }
}

void client_daemon_gone(struct sim *sim, struct sim_node *node)
{
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
        job_free(LIST_ENTRY(sim->jobs.next, struct sim_job, node));
    }
}
