#include "tests/lib/core_host.h"

#include <string.h>

struct wire_key host_key_of(unsigned owner)
{
    struct wire_key key;
    memset(key.b, 0x11 * ((int)owner + 1), sizeof(key.b));
    return key;
}

static unsigned owner_of(const struct wire_key *key)
{
    unsigned owner = key->b[0] / 0x11u - 1;
    ck_assert_uint_lt(owner, N_OWNERS);
    return owner;
}

/* --- the shell ---------------------------------------------------------------------------------
 */

static void on_start(struct host *host, const struct core_effect *effect)
{
    ck_assert_uint_lt(host->n_runs, RUNS_MAX);
    unsigned owner = owner_of(&effect->start.owner);
    if (host->n_first++ == 0) {
        host->first = owner;
        host->first_job = effect->start.id.job;
        host->first_task = effect->start.id.task;
    }
    host->runs[host->n_runs++] =
        (struct run){.owner = owner, .id = effect->start.id, .cell = effect->start.cell};
}

static void on_effect(struct host *host, const struct core_effect *effect)
{
    const struct wire_message *message = &effect->send.message;
    if (effect->type == CORE_EFFECT_START) {
        on_start(host, effect);
    } else if (effect->type == CORE_EFFECT_KILL) {
        host->n_kills++;
    } else if (effect->type == CORE_EFFECT_RENEW) {
        host->n_renewals++;
    } else if (effect->type == CORE_EFFECT_CELL_CLOSE) {
        host->closed = effect->cell_close.cell;
    } else if (effect->type == CORE_EFFECT_BLOB_SERVE) {
        host->n_served[effect->blob_serve.link % 10]++;
    } else if (effect->type == CORE_EFFECT_SEND && message->type == WIRE_MESSAGE_REFUSE) {
        host->n_refused[effect->send.link % 10]++;
        host->refusal = message->refuse.refusal;
    } else if (effect->type == CORE_EFFECT_SEND && message->type == WIRE_MESSAGE_BEAT) {
        host->n_beats++;
    } else if (effect->type == CORE_EFFECT_SEND && message->type == WIRE_MESSAGE_CREDIT) {
        host->credit[effect->send.link % 10] = message->credit;
    } else if (effect->type == CORE_EFFECT_CLIENT_SEND &&
               effect->client_send.message.type == WIRE_MESSAGE_ACCEPTED) {
        host->own_job = effect->client_send.message.accepted.job;
    }
}

void host_step(struct host *host, struct core_event event)
{
    event.now_ns = host->now_ns;
    host->first = NOBODY;
    host->n_first = 0;
    host->closed = 0;
    core_step(host->core, &event, &host->effects);
    core_check(host->core);
    for (size_t i = 0; i < host->effects.n; i++) {
        on_effect(host, &host->effects.items[i]);
    }
}

void host_pass(struct host *host, uint64_t ns)
{
    host->now_ns += ns;
    while (core_next_deadline(host->core) <= host->now_ns) {
        host_step(host, (struct core_event){.type = CORE_EVENT_TICK});
    }
}

void host_pass_slowly(struct host *host, uint64_t ns)
{
    for (uint64_t at = 0; at < ns; at += CORE_S / 10) {
        host_pass(host, CORE_S / 10);
    }
}

/* --- what owners do ----------------------------------------------------------------------------
 */

void host_say(struct host *host, unsigned owner, const struct wire_message *message)
{
    host_step(host, (struct core_event){.type = CORE_EVENT_MESSAGE,
                                        .message = {.link = 10 + owner, .message = message}});
}

static void link_up(struct host *host, unsigned owner)
{
    static const char *const addresses[] = {"10.0.0.1:7", "10.0.0.2:7", "10.0.0.3:7", "10.0.0.4:7"};
    host_step(host, (struct core_event){.type = CORE_EVENT_LINK_UP,
                                        .link_up = {.link = 10 + owner,
                                                    .key = host_key_of(owner),
                                                    .epoch = 100 + owner,
                                                    .incarnation = 1,
                                                    .protocol = 1,
                                                    .name = slice_str("owner"),
                                                    .arch = slice_str("x86_64"),
                                                    .os = slice_str("linux"),
                                                    .program = slice_str("test"),
                                                    .address = slice_str(addresses[owner]),
                                                    .is_on_link = true}});
}

void host_name_job(struct host *host, unsigned owner, uint64_t job, struct wire_job_spec spec)
{
    spec.lease_ms = spec.is_durable ? 3600000 : 10000;
    host_say(host, owner,
             &(struct wire_message){.type = WIRE_MESSAGE_JOB, .job = {.job = job, .spec = spec}});
}

struct wire_attempt_id host_try_to_place(struct host *host, unsigned owner, uint64_t job)
{
    struct slice argv = slice_str("true");
    struct wire_message message = {
        .type = WIRE_MESSAGE_TASK,
        .task = {.id = {.job = job, .task = ++host->n_tasks[owner], .incarnation = 1, .number = 1},
                 .argv = {&argv, 1}}};
    host_say(host, owner, &message);
    return message.task.id;
}

struct wire_attempt_id host_place(struct host *host, unsigned owner, uint64_t job)
{
    unsigned n_refused = host->n_refused[owner];
    struct wire_attempt_id id = host_try_to_place(host, owner, job);
    ck_assert_uint_eq(host->n_refused[owner], n_refused);
    return id;
}

unsigned host_n_running(const struct host *host, unsigned owner)
{
    unsigned n = 0;
    for (unsigned i = 0; i < host->n_runs; i++) {
        n += host->runs[i].owner == owner;
    }
    return n;
}

struct run host_take_run(struct host *host, unsigned owner)
{
    for (unsigned i = 0; i < host->n_runs; i++) {
        struct run run = host->runs[i];
        if (run.owner == owner) {
            host->n_runs--;
            memmove(&host->runs[i], &host->runs[i + 1], (host->n_runs - i) * sizeof(run));
            return run;
        }
    }
    ck_abort_msg("owner %u has nothing running", owner);
    return (struct run){0};
}

void host_end_run(struct host *host, const struct run *run, struct wire_result result)
{
    host_step(host, (struct core_event){
                        .type = CORE_EVENT_ATTEMPT_STARTED,
                        .attempt_started = {.owner = host_key_of(run->owner), .id = run->id}});
    host_pass(host, CORE_MS);
    host_step(host, (struct core_event){.type = CORE_EVENT_ATTEMPT_ENDED,
                                        .attempt_ended = {.owner = host_key_of(run->owner),
                                                          .id = run->id,
                                                          .result = result,
                                                          .is_cell_usable = true}});
}

void host_acknowledge(struct host *host, const struct run *run)
{
    host_say(
        host, run->owner,
        &(struct wire_message){.type = WIRE_MESSAGE_RESULT_ACK, .result_ack = {.id = run->id}});
}

unsigned host_end_one(struct host *host, unsigned owner)
{
    struct run run = host_take_run(host, owner);
    host_end_run(host, &run, (struct wire_result){.end = WIRE_END_EXITED});
    unsigned first = host->first;
    ck_assert_uint_le(host->n_first, 1);
    if (owner != SELF) {
        host_acknowledge(host, &run);
    }
    return first;
}

void host_init(struct host *host, uint32_t cores, unsigned n_owners)
{
    *host = (struct host){.now_ns = 1000 * CORE_S};
    struct core_config config = {
        .key = host_key_of(SELF),
        .epoch = 1,
        .incarnation = 1,
        .seed = 42,
        .now_ns = host->now_ns,
        .name = "hal",
        .arch = "x86_64",
        .os = "linux",
        .program = "test",
        .address = "10.0.0.1:7",
        .cores = cores,
        .cores_effective = cores,
        .dead_after_ns = 3 * CORE_S,
        .has_sandbox = true,
        .mem_bytes = HOST_MEM_BYTES,
    };
    host->core = core_new(&config);
    core_effects_init(&host->effects);
    for (unsigned owner = 1; owner <= n_owners; owner++) {
        link_up(host, owner);
        host_name_job(host, owner, owner, (struct wire_job_spec){.cores = 1});
        host_say(host, owner,
                 &(struct wire_message){.type = WIRE_MESSAGE_WANT,
                                        .want = {.n_tasks = 20, .cores = 20}});
        host_place(host, owner, owner);
        ck_assert_uint_eq(host_end_one(host, owner), NOBODY);
    }
    host_pass(host, CORE_MS);
    ck_assert_uint_eq(host->n_runs, 0);
}

void host_done(struct host *host)
{
    core_free(host->core);
    core_effects_done(&host->effects);
}
