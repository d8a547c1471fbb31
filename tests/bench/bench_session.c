/* How many messages a second two sessions seal, sign, open and check in one thread: sent by both in
 * turn, as beats, alone in a frame and 64 to a frame; and bulk in MB/s. The median of several runs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "wire/base/buf.h"
#include "wire/message_codec.h"
#include "wire/session.h"

enum { N_RUNS = 7 };

static struct wire_door *door;
static struct wire_session *sessions[2];
static struct buf pipe_bytes;

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static uint64_t carry(int from)
{
    uint64_t n = 0;
    while (wire_session_has_output(sessions[from])) {
        buf_clear(&pipe_bytes);
        ensure(wire_session_drain(sessions[from], &pipe_bytes) == 0);
        ensure(wire_session_feed(sessions[1 - from], buf_slice(&pipe_bytes), NULL, NULL) == 0);
        struct wire_message message;
        int r;
        while ((r = wire_session_next(sessions[1 - from], &message, NULL, NULL)) > 0) {
            n++;
        }
        ensure(r == 0);
    }
    return n;
}

static void start(struct wire_identity *const identities[2])
{
    door = wire_door_new();
    ensure(door != NULL);
    for (int i = 0; i < 2; i++) {
        struct wire_session_config config = {
            .identity = identities[i],
            .door = door,
            .is_initiator = i == 0,
            .hello = {.version_min = 1, .version_max = 1, .name = slice_str("bench")},
        };
        memset(config.random, i + 1, sizeof(config.random));
        sessions[i] = wire_session_new(&config);
        ensure(sessions[i] != NULL);
    }
    for (int turn = 0; turn < 3; turn++) {
        IGNORE(carry(turn % 2));
    }
    ensure(wire_session_state(sessions[1]) == WIRE_SESSION_UP);
}

static void stop(void)
{
    sessions[0] = wire_session_free(sessions[0]);
    sessions[1] = wire_session_free(sessions[1]);
    door = wire_door_free(door);
}

/* Messages a second, when both sides send `batch` of them in turn. */
static double rate(const struct wire_message *message, bool is_bulk, unsigned batch, unsigned turns)
{
    double begin = now_s();
    uint64_t n = 0;
    for (unsigned turn = 0; turn < turns; turn++) {
        for (unsigned i = 0; i < batch; i++) {
            ensure(wire_session_send(sessions[turn % 2], message, is_bulk) == 0);
        }
        n += carry((int)(turn % 2));
    }
    ensure(n == (uint64_t)batch * turns);
    return (double)n / (now_s() - begin);
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values)
{
    qsort(values, N_RUNS, sizeof(*values), ascending);
    return values[N_RUNS / 2];
}

int main(void)
{
    static const uint8_t bytes[16u << 10];
    struct wire_message beat = {.type = WIRE_MESSAGE_BEAT,
                                .beat = {.token = 1, .interval_ms = 500, .cores = 8, .free = 4}};
    struct slice argv[] = {slice_str("./sum_primes"), slice_str("500000")};
    struct wire_message task = {
        .type = WIRE_MESSAGE_TASK,
        .task = {.id = {.job = 1u << 30, .task = 1000, .incarnation = 7, .number = 1},
                 .argv = {.items = argv, .n = 2}}};
    struct wire_message chunk = {
        .type = WIRE_MESSAGE_BLOB_DATA,
        .blob_data = {.total = 1u << 30, .bytes = slice_of(bytes, sizeof(bytes))}};
    double hands[N_RUNS], single[N_RUNS], batch[N_RUNS], tasks[N_RUNS], bulk[N_RUNS];
    struct wire_identity *identities[2];
    ensure(wire_init() == 0);
    for (int i = 0; i < 2; i++) {
        uint8_t seed[WIRE_SEED_BYTES] = {(uint8_t)(i + 1)};
        identities[i] = wire_identity_new(seed);
        ensure(identities[i] != NULL);
    }
    buf_init(&pipe_bytes, 4u << 20);
    for (int run = 0; run < N_RUNS; run++) {
        double begin = now_s();
        for (int i = 0; i < 200; i++) {
            start(identities);
            stop();
        }
        hands[run] = 200 / (now_s() - begin);
        start(identities);
        single[run] = rate(&beat, false, 1, 1500);
        batch[run] = rate(&beat, false, 64, 1000);
        tasks[run] = rate(&task, false, 64, 1000);
        bulk[run] = rate(&chunk, true, 16, 100) * sizeof(bytes) / 1e6;
        stop();
    }
    printf(
        "{\"handshakes_per_s\": %.0f, \"beats_single_per_s\": %.0f, \"beats_batch64_per_s\": %.0f, "
        "\"tasks_batch64_per_s\": %.0f, \"bulk_mb_per_s\": %.0f}\n",
        median(hands), median(single), median(batch), median(tasks), median(bulk));
    buf_done(&pipe_bytes);
    wire_identity_free(identities[0]);
    wire_identity_free(identities[1]);
    return EXIT_SUCCESS;
}
