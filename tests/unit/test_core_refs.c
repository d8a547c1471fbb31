/* Blobs that tasks read, calls of functions, files for one architecture: where such tasks go, what
 * is sent to whom and how often, and how long it is kept. */
#include <stdio.h>

#include "tests/lib/core_world.h"
#include "tests/lib/runner.h"

#define GIB (UINT64_C(1) << 30)

static struct world *mesh_of(unsigned n, const uint32_t *cores)
{
    struct world *world = world_new(42);
    for (unsigned i = 0; i < n; i++) {
        world_config(world, i)->cores = cores[i];
        world_start(world, i, true);
    }
    world_run_for(world, 2 * CORE_S);
    return world;
}

static void end(struct world *world)
{
    world_run_for(world, 30 * CORE_S);
    world_assert_quiet(world);
    world_free(world);
}

static void read_by_all(struct world *world, unsigned i, const struct wire_ref *refs, uint32_t n)
{
    world_client(world, i)->refs = (struct wire_refs){.items = refs, .n = n};
}

/* By whomever: who has it may give it to the next. */
static uint64_t n_serves(const struct world *world)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < 4; i++) {
        n += world_n_effects(world, i, CORE_EFFECT_BLOB_SERVE);
    }
    return n;
}

static struct wire_message calls(void)
{
    struct wire_message job = world_job();
    job.submit.spec.is_call = true;
    job.submit.spec.exec = slice_str("./prog");
    return job;
}

/* --- once to each ------------------------------------------------------------------------------
 */

START_TEST(what_many_tasks_read_comes_to_each_executor_once)
{
    struct world *world = mesh_of(4, (const uint32_t[]){0, 2, 2, 2});
    const struct wire_ref ref = world_ref('a', GIB);
    world_put(world, 0, &ref);
    read_by_all(world, 0, &ref, 1);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 100, "exit", "0");
    ck_assert(world_run_job(world, 0, 60 * CORE_S));
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_succeeded, 100);
    for (unsigned i = 1; i < 4; i++) {
        ck_assert_uint_gt(world_n_started(world, i), 0);
        ck_assert(world_keeps(world, i, &ref.hash));
    }
    ck_assert_uint_eq(n_serves(world), 3);
    world_client_down(world, 0);
    end(world);
}
END_TEST

START_TEST(the_owner_needs_no_copy_of_its_own)
{
    struct world *world = mesh_of(1, (const uint32_t[]){2});
    const struct wire_ref ref = world_ref('a', GIB);
    world_put(world, 0, &ref);
    read_by_all(world, 0, &ref, 1);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 10, "exit", "0");
    ck_assert(world_run_job(world, 0, 60 * CORE_S));
    ck_assert_uint_eq(world_n_effects(world, 0, CORE_EFFECT_BLOB_FETCH), 0);
    world_client_down(world, 0);
    end(world);
}
END_TEST

START_TEST(tasks_that_wait_for_one_blob_share_its_fetch)
{
    struct world *world = mesh_of(2, (const uint32_t[]){0, 4});
    world_set_latency(world, 50 * CORE_MS);
    const struct wire_ref refs[] = {world_ref('a', GIB), world_ref('b', 7), world_ref('a', GIB)};
    world_put(world, 0, &refs[0]);
    world_put(world, 0, &refs[1]);
    read_by_all(world, 0, refs, ARRAY_LEN(refs)); /* one of them twice */
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 4, "exit", "0");
    world_run_for(world, 120 * CORE_MS);
    ck_assert_uint_eq(core_counts(world_core(world, 1)).n_held_queued, 4); /* all want it */
    ck_assert_uint_eq(world_n_effects(world, 1, CORE_EFFECT_BLOB_FETCH), 2);
    ck_assert(world_run_job(world, 0, 10 * CORE_S));
    ck_assert_uint_eq(world_n_effects(world, 1, CORE_EFFECT_BLOB_FETCH), 2);
    world_client_down(world, 0);
    end(world);
}
END_TEST

/* A cut in the middle: the attempt waits, and begins once the blob came over the next session. */
START_TEST(a_fetch_that_a_cut_broke_goes_on_over_the_next_session)
{
    struct world *world = mesh_of(2, (const uint32_t[]){0, 1});
    world_set_latency(world, 20 * CORE_MS);
    const struct wire_ref ref = world_ref('a', GIB);
    world_put(world, 0, &ref);
    read_by_all(world, 0, &ref, 1);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 1, "exit", "0");
    world_run_for(world, 30 * CORE_MS); /* the task is there, the blob on its way */
    ck_assert_uint_eq(world_n_started(world, 1), 0);
    world_reset_link(world, 0, 1);
    ck_assert(world_run_job(world, 0, 10 * CORE_S));
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_succeeded, 1);
    world_client_down(world, 0);
    end(world);
}
END_TEST

/* However many one message names, no more are asked for than can be on their way. */
START_TEST(many_blobs_of_one_task_are_asked_for_in_turn)
{
    enum { N = 3 * CORE_REFS_PENDING_MAX / 2 };
    static struct wire_ref refs[N + 2];
    struct world *world = mesh_of(2, (const uint32_t[]){0, 1});
    world_set_latency(world, 50 * CORE_MS);
    for (unsigned i = 0; i < N; i++) {
        refs[i] = world_ref((uint8_t)i, 7);
        refs[i].hash.b[2] = (uint8_t)(i >> 8);
        world_put(world, 0, &refs[i]);
    }
    refs[N] = refs[0];         /* it is there when its turn comes, */
    refs[N + 1] = refs[N - 1]; /* and this one is on its way */
    read_by_all(world, 0, refs, N + 2);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 1, "exit", "0");
    world_run_for(world, 120 * CORE_MS);
    ck_assert_uint_eq(world_n_effects(world, 1, CORE_EFFECT_BLOB_FETCH), CORE_REFS_PENDING_MAX);
    ck_assert_uint_eq(world_n_started(world, 1), 0);
    ck_assert(world_run_job(world, 0, 30 * CORE_S));
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_succeeded, 1);
    ck_assert_uint_eq(world_n_effects(world, 1, CORE_EFFECT_BLOB_FETCH), N);
    world_client_down(world, 0);
    end(world);
}
END_TEST

/* --- where to ----------------------------------------------------------------------------------
 */

START_TEST(a_task_goes_where_most_of_what_it_reads_is)
{
    struct world *world = mesh_of(3, (const uint32_t[]){0, 2, 8});
    const struct wire_ref refs[] = {world_ref('a', 10 * GIB), world_ref('b', GIB)};
    for (unsigned i = 0; i < 2; i++) {
        struct slice on = slice_str(i == 0 ? "lily" : "mona");
        world_put(world, 0, &refs[i]);
        read_by_all(world, 0, &refs[i], 1);
        struct wire_message job = world_job();
        job.submit.on = (struct wire_slices){.items = &on, .n = 1};
        world_submit(world, 0, &job, 1, "exit", "0");
        ck_assert(world_run_job(world, 0, 10 * CORE_S));
    }
    ck_assert_uint_eq(world_n_started(world, 1), 1);
    ck_assert_uint_eq(world_n_started(world, 2), 1);
    read_by_all(world, 0, refs, 2);
    struct wire_message job = world_job(); /* mona has more idle cores, and a smaller part */
    world_submit(world, 0, &job, 1, "exit", "0");
    ck_assert(world_run_job(world, 0, 10 * CORE_S));
    ck_assert_uint_eq(world_n_started(world, 1), 2);
    ck_assert_uint_eq(world_n_started(world, 2), 1);
    world_client_down(world, 0);
    end(world);
}
END_TEST

START_TEST(idle_cores_count_for_more_than_what_is_there_already)
{
    struct world *world = mesh_of(3, (const uint32_t[]){0, 1, 1});
    const struct wire_ref ref = world_ref('a', GIB);
    world_put(world, 0, &ref);
    read_by_all(world, 0, &ref, 1);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 2, "sleep", "1000");
    world_run_for(world, 200 * CORE_MS);
    ck_assert_uint_eq(world_n_running(world, 1), 1);
    ck_assert_uint_eq(world_n_running(world, 2), 1);
    ck_assert(world_run_job(world, 0, 10 * CORE_S));
    world_client_down(world, 0);
    end(world);
}
END_TEST

START_TEST(large_refs_are_not_sent_about_for_a_core_that_idles)
{
    for (unsigned is_large = 0; is_large < 2; is_large++) {
        struct world *world = mesh_of(2, (const uint32_t[]){0, 1});
        const struct wire_ref ref = world_ref('a', CORE_REFS_MOVE_MAX + is_large);
        world_put(world, 0, &ref);
        read_by_all(world, 0, &ref, 1);
        struct wire_message job = world_job();
        job.submit.may_speculate = true;
        world_submit(world, 0, &job, 4, "sleep", "20");
        while (world_client(world, 0)->n_done < 2) {
            world_run_for(world, CORE_MS);
        }
        world_set_slowness(world, 1, 1000); /* for the fourth: a straggler */
        world_run_for(world, CORE_S);
        world_config(world, 2)->cores = 1;
        world_start(world, 2, true); /* idle, and without the blob */
        ck_assert_int_eq(world_run_job(world, 0, 5 * CORE_S), !is_large);
        ck_assert_uint_eq(n_serves(world), is_large ? 1 : 2);
        ck_assert(world_run_job(world, 0, 30 * CORE_S));
        world_client_down(world, 0);
        end(world);
    }
}
END_TEST

START_TEST(where_there_is_no_room_is_said_and_others_take_it)
{
    struct world *world = mesh_of(3, (const uint32_t[]){0, 2, 2});
    const struct wire_ref ref = world_ref('a', GIB);
    world_set_room(world, 1, GIB - 1);
    world_put(world, 0, &ref);
    read_by_all(world, 0, &ref, 1);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 20, "exit", "0");
    ck_assert(world_run_job(world, 0, 30 * CORE_S));
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_succeeded, 20);
    ck_assert_uint_eq(world_n_started(world, 1), 0);
    world_client_down(world, 0);
    end(world);
}
END_TEST

START_TEST(what_fits_nowhere_is_not_started_for_want_of_room)
{
    struct world *world = mesh_of(3, (const uint32_t[]){0, 2, 2});
    const struct wire_ref ref = world_ref('a', GIB);
    world_set_room(world, 1, GIB - 1);
    world_set_room(world, 2, GIB - 1);
    world_put(world, 0, &ref);
    read_by_all(world, 0, &ref, 1);
    struct wire_message job = world_job();
    world_trace(world);
    world_submit(world, 0, &job, 3, "exit", "0");
    ck_assert(world_run_job(world, 0, 60 * CORE_S));
    const struct world_client *client = world_client(world, 0);
    ck_assert_uint_eq(client->n_by_end[WIRE_END_NOT_STARTED], 3);
    ck_assert_uint_eq(client->last.refusal, WIRE_REFUSAL_NO_DISK);
    char text[] = "no room here for a blob that the task reads";
    struct slice trace = world_trace_text(world);
    ck_assert_ptr_nonnull(memmem(trace.p, trace.n, text, strlen(text)));
    world_client_down(world, 0);
    end(world);
}
END_TEST

/* --- puts --------------------------------------------------------------------------------------
 */

START_TEST(what_was_put_stays_until_it_was_released_as_often)
{
    struct world *world = mesh_of(1, (const uint32_t[]){1});
    const struct wire_ref ref = world_ref('a', 9);
    world_put(world, 0, &ref);
    world_put(world, 0, &ref);
    world_run_for(world, CORE_MS);
    ck_assert_uint_eq(world_client(world, 0)->n_puts, 2);
    ck_assert_uint_eq(world_client(world, 0)->put_error, WIRE_ERROR_NONE);
    world_release(world, 0, &ref);
    world_run_for(world, CORE_MS);
    ck_assert_uint_eq(world_n_effects(world, 0, CORE_EFFECT_BLOB_RELEASE), 0);
    world_release(world, 0, &ref);
    world_run_for(world, CORE_MS);
    ck_assert_uint_eq(world_n_effects(world, 0, CORE_EFFECT_BLOB_RELEASE), 1);
    world_release(world, 0, &ref); /* once too often: nothing */
    world_client_down(world, 0);
    end(world);
}
END_TEST

START_TEST(what_a_client_put_goes_with_it)
{
    struct world *world = mesh_of(1, (const uint32_t[]){1});
    const struct wire_ref refs[] = {world_ref('a', 9), world_ref('b', 0)};
    world_put(world, 0, &refs[0]);
    world_put(world, 0, &refs[1]);
    world_run_for(world, CORE_MS);
    ck_assert_uint_eq(core_counts(world_core(world, 0)).n_blob_refs, 2);
    world_client_down(world, 0);
    ck_assert_uint_eq(world_n_effects(world, 0, CORE_EFFECT_BLOB_RELEASE), 2);
    end(world);
}
END_TEST

START_TEST(a_task_keeps_what_it_reads_when_that_is_released)
{
    struct world *world = mesh_of(2, (const uint32_t[]){0, 1});
    const struct wire_ref ref = world_ref('a', 9);
    world_put(world, 0, &ref);
    read_by_all(world, 0, &ref, 1);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 3, "sleep", "100");
    world_run_for(world, 50 * CORE_MS);
    world_release(world, 0, &ref);
    world_run_for(world, CORE_MS);
    ck_assert_uint_eq(world_n_effects(world, 0, CORE_EFFECT_BLOB_RELEASE), 0);
    ck_assert(world_run_job(world, 0, 10 * CORE_S));
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_succeeded, 3);
    ck_assert_uint_eq(world_n_effects(world, 0, CORE_EFFECT_BLOB_RELEASE), 1);
    world_client_down(world, 0);
    end(world);
}
END_TEST

/* The second ref of the last task is what is wrong. */
static void check_refused(const struct wire_ref *put, const struct wire_ref *wrong)
{
    struct world *world = mesh_of(1, (const uint32_t[]){1});
    const struct wire_ref refs[] = {*put, *wrong};
    world_put(world, 0, put);
    read_by_all(world, 0, refs, 2);
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 1, "exit", "0");
    ck_assert(world_run_job(world, 0, CORE_S));
    ck_assert(world_client(world, 0)->has_error);
    ck_assert_uint_eq(world_client(world, 0)->error, WIRE_ERROR_INVALID);
    ck_assert_uint_eq(world_n_started(world, 0), 0);
    world_client_down(world, 0);
    end(world);
}

START_TEST(a_task_that_reads_what_its_client_did_not_put_cancels_the_job)
{
    const struct wire_ref put = world_ref('a', 9);
    const struct wire_ref other = world_ref('b', 9);
    const struct wire_ref longer = world_ref('a', 10);
    check_refused(&put, &other);
    check_refused(&put, &longer);
}
END_TEST

/* --- calls -------------------------------------------------------------------------------------
 */

START_TEST(a_call_comes_with_its_arguments_to_whoever_runs_it)
{
    struct world *world = mesh_of(2, (const uint32_t[]){1, 1});
    world_client(world, 0)->args = slice_str("17");
    struct wire_message job = calls();
    world_submit(world, 0, &job, 40, "exit", NULL); /* returns its argument as its status */
    ck_assert(world_run_job(world, 0, 10 * CORE_S));
    ck_assert_uint_eq(world_client(world, 0)->n_failed_status, 40);
    ck_assert_uint_eq(world_client(world, 0)->last.result.status, 17);
    ck_assert_uint_gt(world_n_started(world, 1), 0);
    end(world);
}
END_TEST

static void check_wrong_task(struct wire_message job, const char *second, const char *args)
{
    struct world *world = mesh_of(1, (const uint32_t[]){1});
    world_client(world, 0)->args = slice_str(args);
    world_submit(world, 0, &job, 1, "exit", second);
    ck_assert(world_run_job(world, 0, CORE_S));
    ck_assert(world_client(world, 0)->has_error);
    ck_assert_uint_eq(world_client(world, 0)->error, WIRE_ERROR_INVALID);
    end(world);
}

START_TEST(a_call_has_one_word_and_only_calls_have_arguments)
{
    check_wrong_task(calls(), "0", "");
    check_wrong_task(world_job(), NULL, "0");
}
END_TEST

START_TEST(calls_are_not_streamed)
{
    struct world *world = mesh_of(1, (const uint32_t[]){1});
    struct wire_message job = calls();
    job.submit.spec.is_streamed = true;
    world_submit(world, 0, &job, 1, "exit", NULL);
    world_run_for(world, CORE_MS);
    ck_assert_uint_eq(world_client(world, 0)->error, WIRE_ERROR_INVALID);
    ck_assert(!world_client(world, 0)->is_accepted);
    end(world);
}
END_TEST

START_TEST(what_a_call_returned_may_be_read_by_others_and_is_not_sent_back)
{
    struct world *world = mesh_of(3, (const uint32_t[]){0, 1, 1});
    world_client(world, 0)->args = slice_str("70000");
    struct wire_message job = calls();
    world_submit(world, 0, &job, 1, "blob", NULL);
    ck_assert(world_run_job(world, 0, 10 * CORE_S));
    const struct wire_output *out = &world_client(world, 0)->last.result.out;
    const struct wire_ref ref = {.hash = out->hash, .bytes = out->bytes};
    unsigned maker = world_n_started(world, 1) == 1 ? 1 : 2;
    ck_assert_uint_eq(ref.bytes, 70000);
    ck_assert_uint_eq(core_counts(world_core(world, 0)).n_blob_refs, 1);
    world_watch(world, &ref.hash);
    world_keep(world, 0, &ref.hash);
    world_keep(world, maker, &ref.hash);
    world_client(world, 0)->args = slice_str("0");
    read_by_all(world, 0, &ref, 1);
    world_submit(world, 0, &job, 1, "exit", NULL);
    ck_assert(world_run_job(world, 0, 10 * CORE_S));
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_succeeded, 1);
    ck_assert_uint_eq(world_n_started(world, maker), 2);
    ck_assert_uint_eq(world_n_effects(world, 0, CORE_EFFECT_BLOB_SERVE), 0);
    world_release(world, 0, &ref);
    world_run_for(world, CORE_MS);
    ck_assert_uint_eq(core_counts(world_core(world, 0)).n_blob_refs, 0);
    end(world);
}
END_TEST

START_TEST(large_output_of_other_tasks_does_not_count_as_put)
{
    struct world *world = mesh_of(2, (const uint32_t[]){0, 1});
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 1, "blob", "70000");
    ck_assert(world_run_job(world, 0, 10 * CORE_S));
    world_run_for(world, CORE_MS);
    ck_assert_uint_eq(core_counts(world_core(world, 0)).n_blob_refs, 0);
    end(world);
}
END_TEST

/* --- versions and architectures ----------------------------------------------------------------
 */

static struct world *mesh_with_an_old_peer(void)
{
    struct world *world = world_new(42);
    for (unsigned i = 0; i < 3; i++) {
        world_config(world, i)->cores = i == 0 ? 0 : 2;
        world_set_protocol(world, i, i == 1 ? 1 : WIRE_VERSION_MAX);
        world_start(world, i, true);
    }
    world_run_for(world, 2 * CORE_S);
    return world;
}

START_TEST(peers_of_version_1_get_what_they_know)
{
    struct world *world = mesh_with_an_old_peer();
    struct wire_message job = world_job();
    world_submit(world, 0, &job, 20, "exit", "0");
    ck_assert(world_run_job(world, 0, 10 * CORE_S));
    uint32_t n_plain = world_n_started(world, 1);
    ck_assert_uint_gt(n_plain, 0);

    world_client(world, 0)->args = slice_str("0");
    struct wire_message call = calls();
    world_submit(world, 0, &call, 20, "exit", NULL);
    ck_assert(world_run_job(world, 0, 10 * CORE_S));

    const struct wire_ref ref = world_ref('a', 9);
    world_client(world, 0)->args = slice_str("");
    world_put(world, 0, &ref);
    read_by_all(world, 0, &ref, 1);
    world_submit(world, 0, &job, 20, "exit", "0");
    ck_assert(world_run_job(world, 0, 10 * CORE_S));
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_succeeded, 20);
    ck_assert_uint_eq(world_n_started(world, 1), n_plain);
    world_client_down(world, 0);
    end(world);
}
END_TEST

START_TEST(a_job_that_only_old_peers_could_run_waits_and_says_why)
{
    struct world *world = mesh_with_an_old_peer();
    world_kill(world, 2);
    world_run_for(world, 10 * CORE_S);
    world_client(world, 0)->args = slice_str("0");
    struct wire_message job = calls();
    world_submit(world, 0, &job, 1, "exit", NULL);
    world_run_for(world, 10 * CORE_S);
    ck_assert(!world_client(world, 0)->is_job_done);
    ck_assert_ptr_nonnull(strstr(buf_cstr(&world_client(world, 0)->notices),
                                 "lily runs an older mesh, which knows no calls"));
    world_restart(world, 2);
    ck_assert(world_run_job(world, 0, 10 * CORE_S));
    end(world);
}
END_TEST

START_TEST(files_of_other_architectures_stay_away)
{
    struct world *world = world_new(42);
    static const char *const archs[] = {"x86_64", "x86_64", "aarch64", "riscv64"};
    for (unsigned i = 0; i < 4; i++) {
        world_config(world, i)->cores = i == 0 ? 0 : 2;
        world_config(world, i)->arch = archs[i];
        world_start(world, i, true);
    }
    world_run_for(world, 2 * CORE_S);
    struct wire_file files[3];
    for (unsigned i = 0; i < 3; i++) {
        struct wire_ref ref = world_ref((uint8_t)('a' + i), 1000);
        files[i] = (struct wire_file){.path = slice_str(i < 2 ? "prog" : "data"),
                                      .hash = ref.hash,
                                      .bytes = ref.bytes,
                                      .arch = slice_str(i < 2 ? archs[i + 1] : "")};
        world_watch(world, &ref.hash);
        world_keep(world, 0, &ref.hash);
    }
    world_client(world, 0)->args = slice_str("0");
    struct wire_message job = calls();
    job.submit.spec.files = (struct wire_files){.items = files, .n = 3};
    world_submit(world, 0, &job, 40, "exit", NULL);
    ck_assert(world_run_job(world, 0, 10 * CORE_S));
    for (unsigned i = 1; i < 3; i++) {
        ck_assert_uint_gt(world_n_started(world, i), 0);
        ck_assert(world_keeps(world, i, &files[i - 1].hash));
        ck_assert(!world_keeps(world, i, &files[2 - i].hash));
        ck_assert(world_keeps(world, i, &files[2].hash));
    }
    ck_assert_uint_eq(world_n_started(world, 3), 0); /* there is no program for it */
    end(world);
}
END_TEST

START_TEST(two_files_at_one_place_are_refused)
{
    struct world *world = mesh_of(1, (const uint32_t[]){1});
    struct wire_file files[] = {{.path = slice_str("p"), .arch = slice_str("x86_64")},
                                {.path = slice_str("q")},
                                {.path = slice_str("p")}};
    struct wire_message job = world_job();
    job.submit.spec.files = (struct wire_files){.items = files, .n = 3};
    world_submit(world, 0, &job, 1, "exit", "0");
    world_run_for(world, CORE_MS);
    ck_assert_uint_eq(world_client(world, 0)->error, WIRE_ERROR_INVALID);
    ck_assert(!world_client(world, 0)->is_accepted);
    files[2].arch = slice_str("aarch64");
    world_submit(world, 0, &job, 1, "exit", "0");
    ck_assert(world_run_job(world, 0, 10 * CORE_S));
    end(world);
}
END_TEST

/* --- another life ------------------------------------------------------------------------------
 */

START_TEST(arguments_and_refs_come_back_from_disk)
{
    struct world *world = world_new(42);
    for (unsigned i = 0; i < 2; i++) {
        world_config(world, i)->cores = i;
        world_config(world, i)->has_journal = i == 0;
        world_start(world, i, true);
    }
    world_run_for(world, 2 * CORE_S);
    const struct wire_ref ref = world_ref('a', GIB);
    world_put(world, 0, &ref);
    read_by_all(world, 0, &ref, 1);
    world_client(world, 0)->args = slice_str("0");
    struct wire_message job = calls();
    job.submit.is_detached = true;
    world_submit(world, 0, &job, 4500, "exit", NULL); /* more than are in memory at once */
    while (!world_client(world, 0)->is_kept) {
        world_run_for(world, CORE_MS);
        ck_assert_uint_lt(world_now(world), 1100 * CORE_S);
    }
    uint64_t id = world_client(world, 0)->job;
    ck_assert_uint_lt(world_kept(world, 0, id).n_results, 3000);
    world_kill(world, 0);
    world_run_for(world, 5 * CORE_S);
    world_restart(world, 0);
    for (unsigned i = 0; i < 200 && !world_kept(world, 0, id).is_over; i++) {
        world_run_for(world, CORE_S);
    }
    struct world_kept kept = world_kept(world, 0, id);
    ck_assert(kept.is_over);
    ck_assert_uint_eq(kept.n_succeeded, 4500); /* a call without its argument would not start */
    end(world);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_refs");
    TCase *tcase = tcase_create("refs");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, what_many_tasks_read_comes_to_each_executor_once);
    tcase_add_test(tcase, the_owner_needs_no_copy_of_its_own);
    tcase_add_test(tcase, tasks_that_wait_for_one_blob_share_its_fetch);
    tcase_add_test(tcase, a_fetch_that_a_cut_broke_goes_on_over_the_next_session);
    tcase_add_test(tcase, many_blobs_of_one_task_are_asked_for_in_turn);
    tcase_add_test(tcase, a_task_goes_where_most_of_what_it_reads_is);
    tcase_add_test(tcase, idle_cores_count_for_more_than_what_is_there_already);
    tcase_add_test(tcase, large_refs_are_not_sent_about_for_a_core_that_idles);
    tcase_add_test(tcase, where_there_is_no_room_is_said_and_others_take_it);
    tcase_add_test(tcase, what_fits_nowhere_is_not_started_for_want_of_room);
    tcase_add_test(tcase, what_was_put_stays_until_it_was_released_as_often);
    tcase_add_test(tcase, what_a_client_put_goes_with_it);
    tcase_add_test(tcase, a_task_keeps_what_it_reads_when_that_is_released);
    tcase_add_test(tcase, a_task_that_reads_what_its_client_did_not_put_cancels_the_job);
    tcase_add_test(tcase, a_call_comes_with_its_arguments_to_whoever_runs_it);
    tcase_add_test(tcase, a_call_has_one_word_and_only_calls_have_arguments);
    tcase_add_test(tcase, calls_are_not_streamed);
    tcase_add_test(tcase, what_a_call_returned_may_be_read_by_others_and_is_not_sent_back);
    tcase_add_test(tcase, large_output_of_other_tasks_does_not_count_as_put);
    tcase_add_test(tcase, peers_of_version_1_get_what_they_know);
    tcase_add_test(tcase, a_job_that_only_old_peers_could_run_waits_and_says_why);
    tcase_add_test(tcase, files_of_other_architectures_stay_away);
    tcase_add_test(tcase, two_files_at_one_place_are_refused);
    tcase_add_test(tcase, arguments_and_refs_come_back_from_disk);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
