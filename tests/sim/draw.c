/* Jobs as they are drawn: what they ask for, what their tasks do, and how large they are. */
#include <stdio.h>

#include "tests/sim/sim_internal.h"
#include "wire/base/mem.h"

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

/* --- what is drawn -------------------------------------------------------------------------------
 */

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
    pass_draw(job, dice);
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
    job->is_fickle = dice_chance(dice, 10);
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
    mix = wish->has_output || job->keeps_results ? 4 : mix;
    job->may_hang = submit->spec.timeout_ms > 0 && submit->spec.timeout_ms < 8000 &&
                    submit->runs_max > 0; /* else for ever */
    uint32_t tries = submit->runs_max == 0 ? 6 : submit->runs_max;
    job->is_simple = submit->spec.files.n == 0 && job->n_refs == 0 && submit->spec.mem_bytes == 0 &&
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

/* --- submitting --------------------------------------------------------------------------------
 */

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
    if (!sim_node_runs(node) || node->is_stopping || node->clone_of != NULL || node->has_clone ||
        node->is_traitor) {
        return NULL;
    }
    struct sim_job *job = job_new(sim, node);
    draw_options(sim, job, wish, dice);
    if (wish->host != NULL && !client_is_eligible(job, wish->host)) {
        client_free(job);
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
    wanted->spec.lease_ms = wish->lease_ms > 0 ? wish->lease_ms : 5000;
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
