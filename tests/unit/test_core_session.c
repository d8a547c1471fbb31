/* Two cores that talk through real sessions: every message between them is encoded, signed, sealed,
 * opened, checked and decoded, with no socket in sight. What the daemon does over libuv is done
 * here by a loop over two byte pipes. */
#include <stdlib.h>

#include "mesh/core/core.h"
#include "tests/lib/runner.h"
#include "wire/session.h"

#define STEPS_MAX 100000u
#define NS_PER_MS UINT64_C(1000000)
#define CLIENT    9u
#define N_TASKS   50u
#define ADDRESS   "10.0.0.2:6374"

struct started { /* an attempt that runs, for a millisecond */
    uint64_t since_ns;
    struct wire_key owner;
    struct wire_attempt_id id;
};

struct side {
    struct core *core;
    struct wire_identity *identity;
    struct wire_door *door;
    struct core_effects effects;
    struct wire_session *session;
    bool is_initiator, is_up;
    uint64_t dial;
    struct buf said; /* bytes on their way to the other side */
    struct started started[64];
    size_t n_started, n_ran;
};

struct duo {
    struct side side[2]; /* 0 submits */
    uint64_t now_ns;
    bool is_accepted, is_job_done;
    uint64_t job;
    uint32_t n_reports[N_TASKS + 1];
    uint32_t n_done, n_elsewhere;
};

static void step(struct duo *duo, int i, struct core_event *event);

static void hear_client(struct duo *duo, const struct wire_message *message)
{
    if (message->type == WIRE_MESSAGE_ACCEPTED) {
        duo->is_accepted = true;
        duo->job = message->accepted.job;
    } else if (message->type == WIRE_MESSAGE_DONE) {
        const struct wire_done *done = &message->done;
        ck_assert_uint_ge(done->task, 1);
        ck_assert_uint_le(done->task, N_TASKS);
        ck_assert_uint_eq(done->result.end, WIRE_END_EXITED);
        ck_assert_uint_eq(done->result.status, 0);
        ck_assert(slice_eq_str(done->result.out.inlined, "an output\n"));
        duo->n_reports[done->task]++;
        duo->n_done++;
        duo->n_elsewhere +=
            wire_key_eq(&done->peer, wire_identity_key(duo->side[1].identity)) ? 1 : 0;
    } else if (message->type == WIRE_MESSAGE_JOB_DONE) {
        duo->is_job_done = true;
        ck_assert_uint_eq(message->job_done.n_succeeded, N_TASKS);
    }
}

static struct wire_session *new_session(const struct side *side, int i, bool is_initiator)
{
    struct wire_session_config config = {
        .identity = side->identity,
        .door = side->door,
        .is_initiator = is_initiator,
        .hello = {.version_min = WIRE_VERSION_MIN,
                  .version_max = WIRE_VERSION_MAX,
                  .epoch = 100 + (uint64_t)i,
                  .incarnation = 1,
                  .cores = 2,
                  .port = 6374,
                  .name = slice_str(i == 0 ? "hal" : "lily"),
                  .arch = slice_str("x86_64"),
                  .os = slice_str("linux"),
                  .program = slice_str("test")},
    };
    memset(config.random, 1 + i, sizeof(config.random));
    struct wire_session *session = wire_session_new(&config);
    ck_assert_ptr_nonnull(session);
    return session;
}

static void dial(struct duo *duo, int i, uint64_t id)
{
    struct side *side = &duo->side[i];
    struct side *other = &duo->side[1 - i];
    ck_assert_ptr_null(side->session); /* only one side was told of the other */
    side->dial = id;
    side->is_initiator = true;
    side->session = new_session(side, i, true);
    other->session = new_session(other, 1 - i, false);
}

static void carry_out(struct duo *duo, int i, const struct core_effect *effect)
{
    struct side *side = &duo->side[i];
    if (effect->type == CORE_EFFECT_SEND) {
        ck_assert_int_eq(wire_session_send(side->session, &effect->send.message, false), 0);
    } else if (effect->type == CORE_EFFECT_DIAL) {
        dial(duo, i, effect->dial.dial);
    } else if (effect->type == CORE_EFFECT_CLIENT_SEND) {
        hear_client(duo, &effect->client_send.message);
    } else if (effect->type == CORE_EFFECT_START) {
        ck_assert_uint_lt(side->n_started, ARRAY_LEN(side->started));
        side->started[side->n_started++] = (struct started){
            .since_ns = duo->now_ns, .owner = effect->start.owner, .id = effect->start.id};
        side->n_ran++;
    }
    ck_assert_int_ne(effect->type, CORE_EFFECT_CLOSE_LINK);
    ck_assert_int_ne(effect->type, CORE_EFFECT_EXIT);
}

static void step(struct duo *duo, int i, struct core_event *event)
{
    struct side *side = &duo->side[i];
    event->now_ns = duo->now_ns;
    core_step(side->core, event, &side->effects);
    core_check(side->core);
    for (size_t k = 0; k < side->effects.n; k++) {
        carry_out(duo, i, &side->effects.items[k]);
    }
}

static void link_up(struct duo *duo, int i)
{
    struct side *side = &duo->side[i];
    const struct wire_hello *hello = wire_session_peer(side->session);
    side->is_up = true;
    struct core_event event = {
        .type = CORE_EVENT_LINK_UP,
        .link_up = {.link = 1,
                    .dial = side->dial,
                    .key = hello->key,
                    .epoch = hello->epoch,
                    .incarnation = hello->incarnation,
                    .protocol = wire_session_version(side->session),
                    .cores = hello->cores,
                    .name = hello->name,
                    .arch = hello->arch,
                    .os = hello->os,
                    .program = hello->program,
                    .address = slice_str(ADDRESS),
                    .is_on_link = true},
    };
    step(duo, i, &event);
}

/* Gives side i the bytes that the other side said. Whether there were any. */
static bool hear(struct duo *duo, int i)
{
    struct side *side = &duo->side[i];
    struct buf *said = &duo->side[1 - i].said;
    if (said->n == 0) {
        return false;
    }
    enum wire_reason reason;
    struct errmsg err = {""};
    /* In odd pieces, as a network would. */
    size_t n = said->n < 777 ? said->n : 777;
    int r = wire_session_feed(side->session, slice_of(said->p, n), &reason, &err);
    ck_assert_msg(r == 0, "%s", err.text);
    buf_consume(said, n);
    struct wire_message message;
    if (!side->is_up && wire_session_state(side->session) == WIRE_SESSION_UP) {
        link_up(duo, i);
    }
    while ((r = wire_session_next(side->session, &message, &reason, &err)) == 1) {
        ck_assert(side->is_up);
        struct core_event event = {.type = CORE_EVENT_MESSAGE,
                                   .message = {.link = 1, .message = &message}};
        step(duo, i, &event);
    }
    ck_assert_msg(r == 0, "%s", err.text);
    return true;
}

static bool end_attempts(struct duo *duo, int i)
{
    struct side *side = &duo->side[i];
    if (side->n_started == 0 || duo->now_ns - side->started[0].since_ns < NS_PER_MS) {
        return false;
    }
    struct started ended = side->started[0];
    side->started[0] = side->started[--side->n_started];
    struct core_event event = {.type = CORE_EVENT_ATTEMPT_STARTED,
                               .attempt_started = {.owner = ended.owner, .id = ended.id}};
    step(duo, i, &event);
    struct wire_output out = {.bytes = 10, .inlined = slice_str("an output\n")};
    event = (struct core_event){
        .type = CORE_EVENT_ATTEMPT_ENDED,
        .attempt_ended = {.owner = ended.owner,
                          .id = ended.id,
                          .result = {.end = WIRE_END_EXITED, .wall_us = 900, .out = out},
                          .is_cell_usable = true}};
    step(duo, i, &event);
    return true;
}

static bool tick(struct duo *duo, int i)
{
    if (core_next_deadline(duo->side[i].core) > duo->now_ns) {
        return false;
    }
    struct core_event event = {.type = CORE_EVENT_TICK};
    step(duo, i, &event);
    return true;
}

/* One turn of both loops; time moves on where nothing else happens. */
static void turn(struct duo *duo)
{
    bool is_busy = false;
    for (int i = 0; i < 2; i++) {
        struct side *side = &duo->side[i];
        if (side->session != NULL) {
            ck_assert_int_eq(wire_session_drain(side->session, &side->said), 0);
        }
        is_busy |= hear(duo, i);
        is_busy |= end_attempts(duo, i);
        is_busy |= tick(duo, i);
    }
    if (!is_busy) {
        duo->now_ns += NS_PER_MS;
    }
}

static void client_says(struct duo *duo, const struct wire_message *message)
{
    struct core_event event = {.type = CORE_EVENT_CLIENT_MESSAGE,
                               .client_message = {.client = CLIENT, .message = message}};
    step(duo, 0, &event);
}

static void submit(struct duo *duo)
{
    struct core_event event = {.type = CORE_EVENT_CLIENT_UP,
                               .client_up = {.client = CLIENT, .is_privileged = true}};
    step(duo, 0, &event);
    struct wire_message message = {
        .type = WIRE_MESSAGE_SUBMIT,
        .submit = {.spec = {.cores = 1, .lease_ms = 10000, .output_bytes_max = 1 << 20},
                   .name = slice_str("job"),
                   .runs_max = 1},
    };
    client_says(duo, &message);
    for (unsigned k = 0; k < STEPS_MAX && !duo->is_accepted; k++) {
        turn(duo);
    }
    ck_assert(duo->is_accepted);
    for (uint32_t task = 1; task <= N_TASKS; task++) {
        struct slice argv[] = {slice_str("work"), slice_str("hard")};
        message = (struct wire_message){
            .type = WIRE_MESSAGE_ADD_TASK,
            .add_task = {.job = duo->job, .task = task, .argv = {argv, ARRAY_LEN(argv)}}};
        client_says(duo, &message);
    }
    message = (struct wire_message){.type = WIRE_MESSAGE_SUBMIT_END,
                                    .submit_end = {.job = duo->job, .n_tasks = N_TASKS}};
    client_says(duo, &message);
}

static void duo_init(struct duo *duo)
{
    *duo = (struct duo){.now_ns = 1000 * NS_PER_MS};
    ck_assert_int_eq(wire_init(), 0);
    for (int i = 0; i < 2; i++) {
        struct side *side = &duo->side[i];
        uint8_t seed[WIRE_SEED_BYTES];
        memset(seed, 7 + i, sizeof(seed));
        side->identity = wire_identity_new(seed);
        ck_assert_ptr_nonnull(side->identity);
        side->door = wire_door_new();
        ck_assert_ptr_nonnull(side->door);
        struct core_config config = {
            .key = *wire_identity_key(side->identity),
            .epoch = 100 + (uint64_t)i,
            .incarnation = 1,
            .seed = 42,
            .now_ns = duo->now_ns,
            .name = i == 0 ? "hal" : "lily",
            .arch = "x86_64",
            .os = "linux",
            .program = "test",
            .address = ADDRESS,
            .cores = 2,
            .cores_effective = 2,
            .dead_after_ns = 3000 * NS_PER_MS,
            .has_sandbox = true,
        };
        side->core = core_new(&config);
        core_effects_init(&side->effects);
        buf_init(&side->said, 64 << 20);
    }
}

static void duo_done(struct duo *duo)
{
    for (int i = 0; i < 2; i++) {
        core_free(duo->side[i].core);
        core_effects_done(&duo->side[i].effects);
        wire_session_free(duo->side[i].session);
        wire_identity_free(duo->side[i].identity);
        wire_door_free(duo->side[i].door);
        buf_done(&duo->side[i].said);
    }
}

START_TEST(job_runs_on_both_through_signed_and_sealed_frames)
{
    static struct duo duo;
    duo_init(&duo);
    struct slice address = slice_str(ADDRESS);
    struct core_event event = {
        .type = CORE_EVENT_PEER_FOUND,
        .peer_found = {.has_key = true,
                       .key = *wire_identity_key(duo.side[1].identity),
                       .source = CORE_SOURCE_MDNS,
                       .addresses = {&address, 1}},
    };
    step(&duo, 0, &event);
    for (unsigned k = 0; k < STEPS_MAX && !(duo.side[0].is_up && duo.side[1].is_up); k++) {
        turn(&duo);
    }
    ck_assert(duo.side[0].is_up);
    ck_assert(duo.side[1].is_up);
    submit(&duo);
    for (unsigned k = 0; k < STEPS_MAX && !duo.is_job_done; k++) {
        turn(&duo);
    }
    ck_assert(duo.is_job_done);
    for (uint32_t task = 1; task <= N_TASKS; task++) {
        ck_assert_uint_eq(duo.n_reports[task], 1);
    }
    /* Both did their part, and the frames were real ones. */
    ck_assert_uint_gt(duo.n_elsewhere, 0);
    ck_assert_uint_lt(duo.n_elsewhere, N_TASKS);
    ck_assert_uint_eq(duo.side[1].n_ran, duo.n_elsewhere);
    struct wire_session_counts counts = wire_session_counts(duo.side[1].session);
    ck_assert_uint_gt(counts.n_frames_in, 2);
    ck_assert_uint_ge(counts.n_messages_in, duo.n_elsewhere);
    duo_done(&duo);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_session");
    TCase *tcase = tcase_create("two cores");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, job_runs_on_both_through_signed_and_sealed_frames);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
