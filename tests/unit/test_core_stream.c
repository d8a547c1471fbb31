/* Output that travels as it comes: whole, once, and within the window, whatever is cut or lost. */
#include "tests/lib/core_world.h"
#include "tests/lib/runner.h"

/* The client of node 0 deals with what it has, and with the rest as it comes. */
static void acknowledge_stream(struct world *world)
{
    struct world_client *client = world_client(world, 0);
    struct wire_message ack = {.type = WIRE_MESSAGE_CLIENT_STREAM_ACK};
    ack.client_stream_ack = (struct wire_client_stream_ack){
        .job = client->job, .task = 1, .stream = WIRE_STREAM_OUT, .offset = client->stream.n};
    client->holds_stream_acks = false;
    world_client_say(world, 0, &ack);
}

START_TEST(streamed_output_arrives_whole_and_within_the_window)
{
    struct world *world = world_mesh(2, 25);
    struct wire_message job = world_job();
    job.submit.spec.is_streamed = true;
    struct slice on = slice_str("lily");
    job.submit.on = (struct wire_slices){.items = &on, .n = 1};
    world_client(world, 0)->holds_stream_acks = true;
    world_submit(world, 0, &job, 1, "stream", "1000");
    ck_assert(!world_run_job(world, 0, 3 * CORE_S));
    ck_assert_uint_le(world_client(world, 0)->stream.n, WIRE_STREAM_WINDOW_BYTES);
    ck_assert_uint_gt(world_client(world, 0)->stream.n, WIRE_STREAM_WINDOW_BYTES - 1001);
    acknowledge_stream(world);
    ck_assert(world_run_job(world, 0, 5 * CORE_S));
    ck_assert_uint_eq(world_client(world, 0)->stream.n, 1000000);
    world_end(world);
}
END_TEST

START_TEST(streamed_output_goes_on_where_it_was_when_its_peer_is_lost)
{
    struct world *world = world_mesh(3, 26);
    struct wire_message job = world_job();
    job.submit.spec.is_streamed = true;
    struct slice except = slice_str("hal");
    job.submit.except = (struct wire_slices){.items = &except, .n = 1};
    world_submit(world, 0, &job, 1, "stream", "500");
    world_run_for(world, 200 * CORE_MS);
    unsigned i = world_n_running(world, 1) > 0 ? 1 : 2;
    world_kill(world, i);
    ck_assert(world_run_job(world, 0, 5 * CORE_S));
    struct world_client *client = world_client(world, 0);
    ck_assert_uint_eq(client->stream.n, 500000);
    for (size_t k = 0; k < client->stream.n; k += 1000) {
        ck_assert_uint_eq(client->stream.p[k], (uint8_t)('a' + k / 1000 % 26));
    }
    ck_assert_ptr_nonnull(strstr(buf_cstr(&client->notices), "was lost; task 1 starts again on"));
    world_end(world);
}
END_TEST

static void submit_stream(struct world *world, const char *n_chunks)
{
    struct wire_message job = world_job();
    job.submit.spec.is_streamed = true;
    struct slice on = slice_str("lily");
    job.submit.on = (struct wire_slices){.items = &on, .n = 1};
    world_submit(world, 0, &job, 1, "stream", n_chunks);
}

/* What was on its way is lost with the session, and the program may end while the next is told
 * what is there: the result does not overtake what has to be said again. */
START_TEST(streamed_output_is_whole_whenever_its_session_is_cut)
{
    struct world *world = world_mesh(2, 31);
    world_set_latency(world, 4 * CORE_MS);
    submit_stream(world, "40");
    world_run_for(world, (uint64_t)_i * CORE_MS);
    world_reset_link(world, 0, 1);
    ck_assert(world_run_job(world, 0, 5 * CORE_S));
    ck_assert_uint_eq(world_client(world, 0)->stream.n, 40000);
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_succeeded, 1);
    world_end(world);
}
END_TEST

/* Its one peer is given up, and comes back with the end of it. */
START_TEST(streamed_output_that_ended_while_its_peer_was_away_comes_with_it)
{
    struct world *world = world_mesh(2, 32);
    submit_stream(world, "40");
    world_run_for(world, 20 * CORE_MS);
    world_cut(world, 1);
    world_run_for(world, 4500 * CORE_MS);
    ck_assert_uint_eq(core_counts(world_core(world, 0)).n_peers_up, 0);
    world_mend(world, 1);
    ck_assert(world_run_job(world, 0, 10 * CORE_S));
    ck_assert_uint_eq(world_client(world, 0)->stream.n, 40000);
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_succeeded, 1);
    ck_assert_uint_eq(world_n_started(world, 1), 1);
    world_end(world);
}
END_TEST

/* Then also what was not acknowledged is said again, in larger pieces. */
START_TEST(streamed_output_survives_a_short_cut)
{
    struct world *world = world_mesh(2, 27);
    struct wire_message job = world_job();
    job.submit.spec.is_streamed = true;
    struct slice on = slice_str("lily");
    job.submit.on = (struct wire_slices){.items = &on, .n = 1};
    world_client(world, 0)->holds_stream_acks = _i == 1;
    world_submit(world, 0, &job, 1, "stream", "500");
    world_run_for(world, 150 * CORE_MS);
    world_reset_link(world, 0, 1);
    world_run_for(world, 100 * CORE_MS);
    world_reset_link(world, 0, 1);
    acknowledge_stream(world);
    ck_assert(world_run_job(world, 0, 5 * CORE_S));
    ck_assert_uint_eq(world_client(world, 0)->stream.n, 500000);
    ck_assert_uint_eq(world_n_started(world, 1), 1);
    world_end(world);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_stream");
    TCase *tcase = tcase_create("streams");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, streamed_output_arrives_whole_and_within_the_window);
    tcase_add_test(tcase, streamed_output_goes_on_where_it_was_when_its_peer_is_lost);
    tcase_add_loop_test(tcase, streamed_output_survives_a_short_cut, 0, 2);
    tcase_add_loop_test(tcase, streamed_output_is_whole_whenever_its_session_is_cut, 1, 80);
    tcase_add_test(tcase, streamed_output_that_ended_while_its_peer_was_away_comes_with_it);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
