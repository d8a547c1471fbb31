/* The core's attempts that are calls, in cells without a sandbox, and the blobs that they read. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mesh/executor_internal.h"
#include "tests/lib/runner.h"
#include "wire/identity.h"

#define MIB (1u << 20)

static uv_loop_t loop;
static uv_timer_t guard; /* nothing here takes this long */
static struct meshd_state state;
static struct meshd_options options;
static const struct meshd_log log_to = {.fd = STDERR_FILENO, .level = CORE_LOG_ERROR};
static struct meshd_blobs *blobs;
static struct meshd_executor *executor;
static unsigned n_closed;

static unsigned n_stored;
static struct wire_hash stored;

static unsigned n_ended, n_refused, n_started;
static struct wire_result result;
static uint8_t value[WIRE_INLINE_BYTES_MAX];
static char detail[512];
static enum wire_refusal refusal;
static bool is_cell_usable;

static struct wire_file files[2];
static struct wire_job_spec spec;
static uint32_t n_tasks;

static void on_closed(void *user)
{
    n_closed++;
}

static void on_put(void *user, int error, const struct wire_hash *hash, uint64_t bytes)
{
    ck_assert_int_eq(error, 0);
    stored = *hash;
    n_stored++;
}

/* Stores what is in the file, which it takes; the blob stays held. */
static struct wire_hash store(int fd)
{
    unsigned before = n_stored;
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(meshd_blobs_put(blobs, fd, on_put, NULL), 0);
    while (n_stored == before) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    return stored;
}

static struct wire_hash store_bytes(uint8_t each, size_t n)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    uint8_t *bytes = malloc(n);
    memset(bytes, each, n);
    ck_assert_int_eq(write(fd, bytes, n), (ssize_t)n);
    free(bytes);
    return store(fd);
}

static void put_event(void *user, struct core_event *event)
{
    if (event->type == CORE_EVENT_ATTEMPT_STARTED) {
        n_started++;
    } else if (event->type == CORE_EVENT_ATTEMPT_ENDED) {
        n_ended++;
        result = event->attempt_ended.result;
        is_cell_usable = event->attempt_ended.is_cell_usable;
        if (result.out.inlined.n > 0) {
            memcpy(value, result.out.inlined.p, result.out.inlined.n);
        }
        result.out.inlined.p = value;
    } else if (event->type == CORE_EVENT_ATTEMPT_REFUSED) {
        n_refused++;
        refusal = event->attempt_refused.refusal;
        is_cell_usable = event->attempt_refused.is_cell_usable;
        snprintf(detail, sizeof detail, "%.*s", SLICE_FMT(event->attempt_refused.text));
    }
}

static void on_guard(uv_timer_t *timer)
{
    ck_abort_msg("30 s passed");
}

/* The executor looks for mesh-cell beside its program. */
static void link_cell_program(void)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    ck_assert_int_gt(n, 0);
    self[n] = '\0';
    int dir_fd = -1;
    *strrchr(self, '/') = '\0';
    dir_fd = open(self, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert(symlinkat(MESH_CELL_PROGRAM, dir_fd, "mesh-cell") == 0 || errno == EEXIST);
    close(dir_fd);
}

static void set_up(void)
{
    struct errmsg err = {""};
    char folder[] = "/tmp/mesh-executor-XXXXXX";
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    ck_assert_int_eq(sigaction(SIGPIPE, &ignore, NULL), 0);
    ck_assert_int_eq(wire_init(), 0);
    link_cell_program();
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    uv_timer_init(&loop, &guard);
    uv_timer_start(&guard, on_guard, 30000, 0);
    uv_unref((uv_handle_t *)&guard);
    ck_assert_ptr_nonnull(mkdtemp(folder));
    ck_assert_msg(meshd_state_open(folder, &state, &err) == 0, "%s", err.text);
    ck_assert_int_eq(meshd_blobs_new(&loop, state.dir_fd, 0, &blobs, &err), 0);
    options.is_sandbox_off = true;
    const struct meshd_executor_config config = {.loop = &loop,
                                                 .control_group = "",
                                                 .sink = {.put = put_event},
                                                 .blobs = blobs,
                                                 .log = &log_to,
                                                 .options = &options,
                                                 .state = &state,
                                                 .peer_name = "olive",
                                                 .arch = "this",
                                                 .table_seed = 7};
    ck_assert_msg(meshd_executor_new(&config, &executor, &err) == 0, "%s", err.text);
    files[0] = (struct wire_file){.path = slice_str("worker"),
                                  .mode = 0755,
                                  .hash = store_bytes('x', 5),
                                  .arch = slice_str("other")};
    files[1] = (struct wire_file){.path = slice_str("worker"),
                                  .mode = 0755,
                                  .hash = store(open(MESH_CALL_WORKER, O_RDONLY | O_CLOEXEC)),
                                  .arch = slice_str("this")};
    spec = (struct wire_job_spec){.exec = slice_str("./worker"),
                                  .files = {files, 2},
                                  .cores = 1,
                                  .lease_ms = 20000,
                                  .output_bytes_max = MIB,
                                  .is_call = true};
}

static int remove_one(const char *name, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(name);
}

static void tear_down(void)
{
    unsigned before = n_closed;
    meshd_executor_close(executor, on_closed, NULL);
    while (n_closed == before) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    meshd_blobs_close(blobs, on_closed, NULL);
    uv_close((uv_handle_t *)&guard, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_uint_eq(n_closed, before + 2);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    meshd_state_close(&state);
    ck_assert_int_eq(nftw(state.path, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

struct need { /* of a call */
    const char *function;
    const char *args;
    const struct wire_hash *input;
    struct wire_ref refs[2];
    uint32_t n_refs;
};

static const char origin[CORE_ORIGIN_BYTES] = "10.0.0.1";

static struct core_effect effect_of(const struct need *need, struct slice *word)
{
    *word = slice_str(need->function);
    struct core_effect effect = {
        .type = CORE_EFFECT_START,
        .start = {.is_own = true,
                  .origin = origin,
                  .cell = 1,
                  .id = {.job = 1, .task = n_tasks, .number = 1},
                  .job = 1,
                  .spec = &spec,
                  .argv = {word, 1},
                  .args = slice_str(need->args),
                  .refs = {need->refs, need->n_refs}},
    };
    if (need->input != NULL) {
        effect.start.has_input = true;
        effect.start.input = *need->input;
        effect.start.args = (struct slice){0};
    }
    return effect;
}

static void start(const struct need *need)
{
    struct slice word;
    n_tasks++;
    const struct core_effect effect = effect_of(need, &word);
    n_ended = n_refused = n_started = 0;
    meshd_executor_carry_out(executor, &effect);
}

static void run(const struct need *need)
{
    start(need);
    while (n_ended + n_refused == 0) {
        uv_run(&loop, UV_RUN_ONCE);
    }
}

static void kill_it(enum wire_end end)
{
    const struct core_effect effect = {
        .type = CORE_EFFECT_KILL,
        .kill = {.id = {.job = 1, .task = n_tasks, .number = 1}, .end = end}};
    meshd_executor_carry_out(executor, &effect);
}

#define assert_value(text)                                                                         \
    do {                                                                                           \
        ck_assert_msg(n_refused == 0, "refused: %s", detail);                                      \
        ck_assert_uint_eq(result.end, WIRE_END_EXITED);                                            \
        ck_assert_uint_eq(result.status, 0);                                                       \
        ck_assert_uint_eq(result.out.inlined.n, strlen(text));                                     \
        ck_assert(slice_eq_str(result.out.inlined, text));                                         \
    } while (0)

START_TEST(calls_go_to_the_file_of_this_architecture)
{
    set_up();
    for (int i = 1; i <= 3; i++) {
        char number[16];
        snprintf(number, sizeof number, "%d", i);
        run(&(struct need){.function = "count"});
        assert_value(number);
        ck_assert(is_cell_usable);
    }
    run(&(struct need){.function = "who"});
    assert_value("olive 1");
    run(&(struct need){.function = "echo", .args = "to and fro"});
    assert_value("to and fro");
    ck_assert_uint_eq(shared_memory_counts(executor->memory).n_copies, 0);
    tear_down();
}
END_TEST

START_TEST(blobs_are_copied_once_whatever_the_number_of_calls)
{
    set_up();
    struct wire_hash args = store_bytes(1, 100000);
    struct need need = {.function = "sum-refs", .n_refs = 2};
    need.refs[0].hash = store_bytes(1, MIB);
    need.refs[1].hash = store_bytes(2, 10);
    char sum[24];
    snprintf(sum, sizeof sum, "%u", MIB + 20);
    for (int i = 0; i < 5; i++) {
        run(&need);
        assert_value(sum);
    }
    struct shared_memory_counts counts = shared_memory_counts(executor->memory);
    ck_assert_uint_eq(counts.n_copies, 2);
    ck_assert_uint_eq(counts.idle_bytes, MIB + 10);
    run(&(struct need){.function = "size", .input = &args});
    assert_value("100000 100000");
    ck_assert_uint_eq(shared_memory_counts(executor->memory).n_copies, 3);
    tear_down();
}
END_TEST

START_TEST(a_blob_that_is_not_there_refuses_the_call_and_not_the_cell)
{
    set_up();
    run(&(struct need){.function = "count"});
    struct need need = {.function = "sum-refs", .n_refs = 2};
    need.refs[0].hash = store_bytes(1, MIB); /* its copy is under way then */
    run(&need);
    ck_assert_uint_eq(n_refused, 1);
    ck_assert_uint_eq(refusal, WIRE_REFUSAL_NO_BLOB);
    ck_assert(is_cell_usable);
    run(&(struct need){.function = "count"});
    assert_value("2");
    tear_down();
}
END_TEST

START_TEST(a_call_that_waits_for_its_blobs_can_be_killed)
{
    set_up();
    struct need need = {.function = "sum-refs", .n_refs = 1};
    need.refs[0].hash = store_bytes(1, MIB);
    start(&need);
    ck_assert(executor_call_is_waiting(
        CONTAINER_OF(LIST_ENTRY(list_first(&executor->attempts.order), struct table_entry, order),
                     struct exec_attempt, by_key)));
    kill_it(WIRE_END_CANCELLED);
    ck_assert_uint_eq(n_ended, 0); /* not from within an effect */
    while (n_ended == 0) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    ck_assert_uint_eq(result.end, WIRE_END_CANCELLED);
    ck_assert(is_cell_usable);
    run(&(struct need){.function = "count"});
    assert_value("1");
    start(&(struct need){.function = "hang"});
    while (n_started == 0) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    kill_it(WIRE_END_TIMEOUT);
    while (n_ended == 0) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    ck_assert_uint_eq(result.end, WIRE_END_TIMEOUT);
    ck_assert_uint_eq(n_refused, 0);
    tear_down();
}
END_TEST

START_TEST(an_executor_that_closes_forgets_calls_that_wait)
{
    set_up();
    struct need need = {.function = "sum-refs", .n_refs = 1};
    need.refs[0].hash = store_bytes(1, 8 * MIB);
    start(&need);
    tear_down();
    ck_assert_uint_eq(n_ended + n_refused, 0);
}
END_TEST

START_TEST(a_large_value_becomes_a_blob)
{
    set_up();
    run(&(struct need){.function = "large", .args = "300000"});
    ck_assert_uint_eq(n_ended, 1);
    ck_assert_uint_eq(result.end, WIRE_END_EXITED);
    ck_assert_uint_eq(result.out.bytes, 300000);
    ck_assert_uint_eq(result.out.inlined.n, 0);
    ck_assert(meshd_blobs_has(blobs, &result.out.hash));
    struct need need = {.function = "sum-refs", .n_refs = 1};
    need.refs[0].hash = result.out.hash; /* and what another call reads */
    char sum[24];
    unsigned expected = 0;
    for (unsigned i = 0; i < 300000; i++) {
        expected += i % 251;
    }
    snprintf(sum, sizeof sum, "%u", expected);
    run(&need);
    assert_value(sum);
    tear_down();
}
END_TEST

START_TEST(copies_that_nobody_needs_go_with_time)
{
    set_up();
    struct need need = {.function = "sum-refs", .n_refs = 1};
    need.refs[0].hash = store_bytes(1, 1000);
    run(&need);
    ck_assert_uint_eq(shared_memory_counts(executor->memory).n_blobs, 1);
    while (shared_memory_counts(executor->memory).n_blobs > 0) {
        uv_run(&loop, UV_RUN_ONCE); /* the guard, and that timer */
    }
    tear_down();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("executor_call");
    TCase *tcase = tcase_create("all");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, calls_go_to_the_file_of_this_architecture);
    tcase_add_test(tcase, blobs_are_copied_once_whatever_the_number_of_calls);
    tcase_add_test(tcase, a_blob_that_is_not_there_refuses_the_call_and_not_the_cell);
    tcase_add_test(tcase, a_call_that_waits_for_its_blobs_can_be_killed);
    tcase_add_test(tcase, an_executor_that_closes_forgets_calls_that_wait);
    tcase_add_test(tcase, a_large_value_becomes_a_blob);
    tcase_add_test(tcase, copies_that_nobody_needs_go_with_time);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
