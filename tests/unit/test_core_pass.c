/* Results of calls that stay with the peer that made them: who gets them, by whose leave, and what
 * becomes of those who read one that is lost. */
#include <stdio.h>

#include "tests/lib/core_world.h"
#include "tests/lib/runner.h"

/* Nodes: 0 owns, the others run. By name: hal, lily, mona, ... */
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

static struct world *mesh(void)
{
    return mesh_of(4, (const uint32_t[]){0, 1, 1, 1});
}

static void end(struct world *world)
{
    if (world_client(world, 0)->is_up) {
        world_client_down(world, 0);
    }
    world_run_for(world, 30 * CORE_S);
    world_assert_quiet(world);
    world_free(world);
}

/* A call on that node, of these refs. */
static void call(struct world *world, const char *node, const char *function, const char *args,
                 const struct wire_ref *refs, uint32_t n_refs)
{
    struct slice on = slice_str(node);
    struct wire_message job = world_job();
    job.submit.spec.is_call = true;
    job.submit.spec.exec = slice_str("./prog");
    if (node[0] != '\0') {
        job.submit.on = (struct wire_slices){.items = &on, .n = 1};
    }
    struct world_client *client = world_client(world, 0);
    client->args = slice_str(args);
    client->refs = (struct wire_refs){.items = refs, .n = n_refs};
    client->keeps_result = true;
    world_submit(world, 0, &job, 1, function, NULL);
}

/* One that returns so many bytes; *ret_maker made them. */
static struct wire_ref make(struct world *world, const char *node, const char *n_bytes,
                            unsigned *ret_maker)
{
    uint32_t n_before[8];
    for (unsigned i = 0; i < 4; i++) {
        n_before[i] = world_core(world, i) != NULL ? world_n_started(world, i) : 0;
    }
    call(world, node, "blob", n_bytes, NULL, 0);
    ck_assert(world_run_job(world, 0, 10 * CORE_S));
    const struct wire_output *out = &world_client(world, 0)->last.result.out;
    for (unsigned i = 0; i < 4; i++) {
        if (world_core(world, i) != NULL && world_n_started(world, i) > n_before[i]) {
            *ret_maker = i;
        }
    }
    world_watch(world, &out->hash);
    world_keep(world, *ret_maker, &out->hash);
    return (struct wire_ref){.hash = out->hash, .bytes = out->bytes};
}

static uint64_t n_fetches(const struct world *world, unsigned i)
{
    return world_n_effects(world, i, CORE_EFFECT_BLOB_FETCH);
}

static uint64_t n_serves(const struct world *world, unsigned i)
{
    return world_n_effects(world, i, CORE_EFFECT_BLOB_SERVE);
}

static uint32_t n_ended(struct world *world, unsigned i)
{
    return core_counts(world_core(world, i)).n_held_ended;
}

static uint32_t n_lefts(struct world *world)
{
    return core_counts(world_core(world, 0)).n_lefts;
}

static void check_ok(struct world *world)
{
    ck_assert(world_run_job(world, 0, 20 * CORE_S));
    ck_assert(!world_client(world, 0)->has_error);
    ck_assert_uint_eq(world_client(world, 0)->job_done.n_succeeded, 1);
}

/* --- staying -----------------------------------------------------------------------------------
 */

START_TEST(a_large_result_stays_where_it_was_made_until_it_is_released)
{
    struct world *world = mesh();
    unsigned maker = 0;
    const struct wire_ref ref = make(world, "", "70000", &maker);
    ck_assert(world_client(world, 0)->last.is_away);
    ck_assert_uint_eq(n_fetches(world, 0), 0);
    world_run_for(world, 60 * CORE_S); /* longer than any lease, with its owner here */
    ck_assert_uint_eq(n_ended(world, maker), 1);
    ck_assert_uint_eq(n_lefts(world), 1);
    world_release(world, 0, &ref);
    world_run_for(world, CORE_MS * 10);
    ck_assert_uint_eq(n_ended(world, maker), 0);
    ck_assert_uint_eq(n_lefts(world), 0);
    end(world);
}
END_TEST

START_TEST(small_results_and_those_of_calls_that_did_not_say_so_come_as_ever)
{
    struct world *world = mesh();
    call(world, "", "exit", "3", NULL, 0);
    ck_assert(world_run_job(world, 0, 10 * CORE_S));
    ck_assert(!world_client(world, 0)->last.is_away);
    struct wire_message job = world_job();
    job.submit.spec.is_call = true;
    job.submit.spec.exec = slice_str("./prog");
    world_client(world, 0)->args = slice_str("70000");
    world_client(world, 0)->keeps_result = false;
    world_submit(world, 0, &job, 1, "blob", NULL);
    ck_assert(world_run_job(world, 0, 10 * CORE_S));
    ck_assert(!world_client(world, 0)->last.is_away);
    ck_assert_uint_eq(n_fetches(world, 0), 1);
    ck_assert_uint_eq(n_lefts(world), 0);
    end(world);
}
END_TEST

START_TEST(what_the_owner_itself_made_is_here)
{
    struct world *world = mesh_of(1, (const uint32_t[]){1});
    call(world, "", "blob", "70000", NULL, 0);
    check_ok(world);
    ck_assert(!world_client(world, 0)->last.is_away);
    end(world);
}
END_TEST

START_TEST(a_peer_is_left_so_much_and_no_more)
{
    struct world *world = mesh_of(2, (const uint32_t[]){0, 4});
    struct wire_message job = world_job();
    job.submit.spec.is_call = true;
    job.submit.spec.exec = slice_str("./prog");
    world_client(world, 0)->args = slice_str("70000");
    world_client(world, 0)->keeps_result = true;
    world_submit(world, 0, &job, CORE_LEFTS_MAX + 44, "blob", NULL);
    ck_assert(world_run_job(world, 0, 60 * CORE_S));
    ck_assert_uint_eq(n_lefts(world), CORE_LEFTS_MAX);
    ck_assert_uint_eq(n_fetches(world, 0), 44);
    world_client_down(world, 0);
    world_run_for(world, CORE_MS * 10);
    ck_assert_uint_eq(n_lefts(world), 0);
    ck_assert_uint_eq(n_ended(world, 1), 0);
    end(world);
}
END_TEST

START_TEST(a_result_of_too_many_bytes_does_not_stay)
{
    struct world *world = mesh_of(2, (const uint32_t[]){0, 1});
    char bytes[32];
    snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)CORE_LEFT_BYTES_MAX + 1);
    call(world, "", "blob", bytes, NULL, 0);
    check_ok(world);
    ck_assert(!world_client(world, 0)->last.is_away);
    end(world);
}
END_TEST

/* --- passing on --------------------------------------------------------------------------------
 */

START_TEST(a_result_passes_from_peer_to_peer_and_not_by_its_owner)
{
    struct world *world = mesh();
    unsigned maker = 0;
    const struct wire_ref ref = make(world, "lily", "70000", &maker);
    call(world, "mona", "exit", "0", &ref, 1);
    check_ok(world);
    ck_assert_uint_eq(n_fetches(world, 0), 0);
    ck_assert_uint_eq(n_serves(world, 0), 0);
    ck_assert_uint_eq(n_serves(world, maker), 1);
    end(world);
}
END_TEST

START_TEST(who_made_it_reads_it_without_a_word)
{
    struct world *world = mesh();
    unsigned maker = 0;
    const struct wire_ref ref = make(world, "", "70000", &maker);
    uint32_t n_before = world_n_started(world, maker);
    call(world, "", "exit", "0", &ref, 1);
    check_ok(world);
    ck_assert_uint_eq(world_n_started(world, maker), n_before + 1); /* it goes to where that is */
    for (unsigned i = 0; i < 4; i++) {
        ck_assert_uint_eq(n_fetches(world, i), 0);
    }
    end(world);
}
END_TEST

START_TEST(a_task_keeps_what_it_reads_though_that_is_released)
{
    struct world *world = mesh();
    unsigned maker = 0;
    const struct wire_ref ref = make(world, "lily", "70000", &maker);
    call(world, "mona", "sleep", "500", &ref, 1);
    world_run_for(world, CORE_MS);
    world_release(world, 0, &ref);
    world_run_for(world, 100 * CORE_MS);
    ck_assert_uint_eq(n_ended(world, maker), 1);
    check_ok(world);
    world_run_for(world, 10 * CORE_MS);
    ck_assert_uint_eq(n_ended(world, maker), 0);
    end(world);
}
END_TEST

START_TEST(the_owner_reads_it_itself)
{
    struct world *world = mesh_of(2, (const uint32_t[]){1, 1});
    unsigned maker = 0;
    const struct wire_ref ref = make(world, "lily", "70000", &maker);
    ck_assert_uint_eq(maker, 1);
    call(world, "hal", "exit", "0", &ref, 1);
    check_ok(world);
    ck_assert_uint_eq(n_fetches(world, 0), 1);
    ck_assert_uint_eq(world_n_started(world, 0), 1);
    end(world);
}
END_TEST

START_TEST(who_cannot_have_it_there_has_it_from_the_owner)
{
    struct world *world = mesh();
    unsigned maker = 0;
    const struct wire_ref ref = make(world, "lily", "70000", &maker);
    world_lose(world, WIRE_MESSAGE_GRANT);
    call(world, "mona", "exit", "0", &ref, 1);
    check_ok(world);
    ck_assert_uint_eq(n_fetches(world, 0), 1);
    ck_assert_uint_eq(n_serves(world, 0), 1);
    end(world);
}
END_TEST

START_TEST(who_has_no_session_with_the_holder_asks_the_owner)
{
    struct world *world = mesh();
    unsigned maker = 0;
    const struct wire_ref ref = make(world, "lily", "70000", &maker);
    world_set_latency(world, 20 * CORE_MS);
    call(world, "mona", "exit", "0", &ref, 1);
    world_run_for(world, 30 * CORE_MS);
    world_reset_link(world, 1, 2); /* while it is on its way */
    check_ok(world);
    end(world);
}
END_TEST

/* --- by whose leave ----------------------------------------------------------------------------
 */

static struct wire_message guess(struct world *world, const struct wire_ref *ref)
{
    struct wire_message want = {.type = WIRE_MESSAGE_BLOB_WANT};
    want.blob_want.hash = ref->hash;
    want.blob_want.owner = world_config(world, 0)->key;
    return want;
}

START_TEST(who_guesses_a_name_learns_nothing)
{
    struct world *world = mesh();
    unsigned maker = 0;
    const struct wire_ref ref = make(world, "lily", "70000", &maker);
    const struct wire_ref other = world_ref('x', 9);
    const struct wire_ref *const refs[] = {&ref, &other};
    for (unsigned i = 0; i < 2; i++) { /* what is there, and what is not: the same answer */
        struct wire_message want = guess(world, refs[i]);
        uint64_t n_before = world_n_sent(world, maker, WIRE_MESSAGE_BLOB_REFUSE);
        world_forge(world, 2, maker, &want);
        world_run_for(world, CORE_WAITER_NS - 2 * CORE_MS);
        ck_assert_uint_eq(world_n_sent(world, maker, WIRE_MESSAGE_BLOB_REFUSE), n_before);
        ck_assert_uint_eq(core_counts(world_core(world, maker)).n_waiters, 1);
        world_run_for(world, 4 * CORE_MS);
        ck_assert_uint_eq(world_n_sent(world, maker, WIRE_MESSAGE_BLOB_REFUSE), n_before + 1);
    }
    ck_assert_uint_eq(n_serves(world, maker), 0);
    struct wire_message plain = guess(world, &ref);
    plain.blob_want.owner = (struct wire_key){{0}};
    world_forge(world, 2, maker, &plain);
    world_run_for(world, CORE_MS);
    ck_assert_uint_eq(n_serves(world, maker), 0);
    end(world);
}
END_TEST

START_TEST(only_the_owner_of_a_result_gives_leave)
{
    struct world *world = mesh();
    unsigned maker = 0;
    const struct wire_ref ref = make(world, "lily", "70000", &maker);
    const struct wire_done *done = &world_client(world, 0)->last;
    struct wire_message grant = {.type = WIRE_MESSAGE_GRANT};
    grant.grant.id = (struct wire_attempt_id){.job = done->job,
                                              .task = done->task,
                                              .incarnation = world_config(world, 0)->incarnation,
                                              .number = done->attempt};
    grant.grant.peer = world_config(world, 2)->key;
    struct wire_message want = guess(world, &ref);
    world_forge(world, 3, maker, &grant); /* as if that were mona's to give */
    world_forge(world, 2, maker, &want);
    world_run_for(world, 2 * CORE_S);
    ck_assert_uint_eq(n_serves(world, maker), 0);
    world_forge(world, 2, maker, &want); /* and before the owner's own word comes */
    world_run_for(world, 100 * CORE_MS);
    world_forge(world, 0, maker, &grant);
    world_run_for(world, CORE_MS);
    ck_assert_uint_eq(n_serves(world, maker), 1);
    world_forge(world, 3, maker, &want); /* it is for one peer */
    world_run_for(world, 2 * CORE_S);
    ck_assert_uint_eq(n_serves(world, maker), 1);
    world_release(world, 0, &ref); /* and for as long as it is kept */
    world_run_for(world, 10 * CORE_MS);
    world_forge(world, 2, maker, &want);
    world_run_for(world, 2 * CORE_S);
    ck_assert_uint_eq(n_serves(world, maker), 1);
    end(world);
}
END_TEST

START_TEST(who_asks_for_everything_is_kept_short)
{
    struct world *world = mesh();
    for (unsigned i = 0; i < CORE_WAITERS_MAX + 10; i++) {
        struct wire_ref ref = world_ref('x', 9);
        memcpy(ref.hash.b, &i, sizeof(i));
        struct wire_message want = guess(world, &ref);
        world_forge(world, 2, 1, &want);
    }
    world_run_for(world, CORE_MS);
    ck_assert_uint_eq(core_counts(world_core(world, 1)).n_waiters, CORE_WAITERS_MAX);
    ck_assert_uint_eq(world_n_sent(world, 1, WIRE_MESSAGE_BLOB_REFUSE), 10);
    world_run_for(world, 2 * CORE_S);
    ck_assert_uint_eq(core_counts(world_core(world, 1)).n_waiters, 0);
    end(world);
}
END_TEST

/* --- reading it --------------------------------------------------------------------------------
 */

START_TEST(what_is_asked_for_is_fetched_once_and_let_go)
{
    struct world *world = mesh();
    unsigned maker = 0;
    const struct wire_ref ref = make(world, "", "70000", &maker);
    world_get(world, 0, &ref);
    world_get(world, 0, &ref);
    world_run_for(world, 100 * CORE_MS);
    const struct world_client *client = world_client(world, 0);
    ck_assert_uint_eq(client->n_gots, 2);
    ck_assert_uint_eq(client->got.error, WIRE_ERROR_NONE);
    ck_assert_uint_eq(client->got.bytes, 70000);
    ck_assert_uint_eq(n_fetches(world, 0), 1);
    ck_assert_uint_eq(n_ended(world, maker), 0);
    world_get(world, 0, &ref); /* it stays here */
    world_run_for(world, CORE_MS);
    ck_assert_uint_eq(client->n_gots, 3);
    ck_assert_uint_eq(n_fetches(world, 0), 1);
    world_release(world, 0, &ref);
    world_get(world, 0, &ref);
    world_run_for(world, CORE_MS);
    ck_assert_uint_eq(client->n_gots, 4);
    ck_assert_uint_eq(client->got.error, WIRE_ERROR_UNKNOWN);
    end(world);
}
END_TEST

START_TEST(what_is_released_while_it_comes_is_answered)
{
    struct world *world = mesh();
    unsigned maker = 0;
    const struct wire_ref ref = make(world, "", "70000", &maker);
    world_set_latency(world, 50 * CORE_MS);
    world_get(world, 0, &ref);
    world_run_for(world, 20 * CORE_MS);
    world_release(world, 0, &ref);
    world_run_for(world, CORE_MS);
    ck_assert_uint_eq(world_client(world, 0)->n_gots, 1);
    ck_assert_uint_eq(world_client(world, 0)->got.error, WIRE_ERROR_UNKNOWN);
    world_run_for(world, CORE_S);
    ck_assert_uint_eq(n_ended(world, maker), 0);
    end(world);
}
END_TEST

START_TEST(where_there_is_no_room_for_it_is_said_and_it_stays)
{
    struct world *world = mesh();
    unsigned maker = 0;
    const struct wire_ref ref = make(world, "", "70000", &maker);
    world_set_room(world, 0, 1000);
    world_get(world, 0, &ref);
    world_run_for(world, 100 * CORE_MS);
    ck_assert_uint_eq(world_client(world, 0)->got.error, WIRE_ERROR_LIMIT);
    ck_assert_uint_eq(n_ended(world, maker), 1);
    end(world);
}
END_TEST

/* --- losing it ---------------------------------------------------------------------------------
 */

START_TEST(what_is_lost_with_its_peer_is_told_and_not_waited_for)
{
    struct world *world = mesh();
    unsigned maker = 0;
    const struct wire_ref ref = make(world, "", "70000", &maker);
    world_kill(world, maker);
    world_run_for(world, 5 * CORE_S);
    const struct world_client *client = world_client(world, 0);
    ck_assert_uint_eq(client->n_gone, 1);
    ck_assert_mem_eq(&client->gone.hash, &ref.hash, sizeof(ref.hash));
    world_get(world, 0, &ref);
    world_run_for(world, CORE_MS);
    ck_assert_uint_eq(client->got.error, WIRE_ERROR_UNAVAILABLE);
    call(world, "", "exit", "0", &ref, 1);
    ck_assert(world_run_job(world, 0, 10 * CORE_S));
    ck_assert(!client->has_error);
    ck_assert_uint_eq(client->last.result.end, WIRE_END_NO_DATA);
    end(world);
}
END_TEST

START_TEST(who_waits_for_what_is_lost_hears_of_it)
{
    for (unsigned is_asked = 0; is_asked < 2; is_asked++) {
        struct world *world = mesh();
        unsigned maker = 0;
        const struct wire_ref ref = make(world, "lily", "70000", &maker);
        world_set_latency(world, 50 * CORE_MS);
        if (is_asked != 0) {
            world_get(world, 0, &ref);
        }
        call(world, "mona", "exit", "0", &ref, 1);
        world_run_for(world, 40 * CORE_MS); /* the task is on its way to mona */
        world_kill(world, maker);
        ck_assert(world_run_job(world, 0, 20 * CORE_S));
        const struct world_client *client = world_client(world, 0);
        ck_assert_uint_eq(client->last.result.end, WIRE_END_NO_DATA);
        ck_assert_uint_eq(client->n_gone, 1);
        ck_assert_uint_eq(client->n_gots, is_asked);
        ck_assert(is_asked == 0 || client->got.error == WIRE_ERROR_UNAVAILABLE);
        end(world);
    }
}
END_TEST

START_TEST(who_has_it_already_does_not_mind_that_it_is_lost)
{
    struct world *world = mesh();
    unsigned maker = 0;
    const struct wire_ref ref = make(world, "lily", "70000", &maker);
    call(world, "mona", "sleep", "3000", &ref, 1);
    world_run_for(world, 500 * CORE_MS); /* it runs */
    world_kill(world, maker);
    check_ok(world);
    ck_assert_uint_eq(world_client(world, 0)->n_gone, 1);
    end(world);
}
END_TEST

START_TEST(it_outlives_a_session_and_not_a_lease)
{
    struct world *world = mesh();
    unsigned maker = 0;
    const struct wire_ref ref = make(world, "lily", "70000", &maker);
    world_reset_link(world, 0, maker);
    world_run_for(world, 2 * CORE_S);
    ck_assert_uint_eq(world_client(world, 0)->n_gone, 0);
    call(world, "mona", "exit", "0", &ref, 1);
    check_ok(world);
    ck_assert_uint_eq(n_serves(world, maker), 1);
    world_cut(world, maker);
    world_run_for(world, 30 * CORE_S);
    ck_assert_uint_eq(world_client(world, 0)->n_gone, 1);
    ck_assert_uint_eq(n_ended(world, maker), 0);
    world_mend(world, maker);
    world_run_for(world, 5 * CORE_S);
    end(world);
}
END_TEST

START_TEST(an_executor_that_starts_anew_has_nothing_of_it)
{
    struct world *world = mesh();
    unsigned maker = 0;
    const struct wire_ref ref = make(world, "lily", "70000", &maker);
    world_kill(world, maker);
    world_restart(world, maker);
    world_run_for(world, 5 * CORE_S);
    ck_assert_uint_eq(world_client(world, 0)->n_gone, 1);
    world_release(world, 0, &ref);
    end(world);
}
END_TEST

START_TEST(an_owner_that_dies_leaves_nothing)
{
    struct world *world = mesh();
    unsigned maker = 0;
    make(world, "lily", "70000", &maker);
    ck_assert_uint_eq(n_ended(world, maker), 1);
    world_kill(world, 0);
    world_run_for(world, 30 * CORE_S);
    ck_assert_uint_eq(n_ended(world, maker), 0);
    world_assert_quiet(world);
    world_free(world);
}
END_TEST

/* A disk that is full of what others made is not the task's fault. */
START_TEST(who_has_no_room_left_is_relieved)
{
    struct world *world = mesh();
    unsigned maker = 0;
    const struct wire_ref ref = make(world, "lily", "70000", &maker);
    call(world, "lily", "full", "", NULL, 0);
    world_run_for(world, CORE_S);
    ck_assert_uint_eq(n_fetches(world, 0), 1);
    ck_assert_uint_eq(n_lefts(world), 0);
    ck_assert_uint_eq(n_ended(world, maker), 0);
    world_get(world, 0, &ref);
    world_run_for(world, CORE_MS);
    ck_assert_uint_eq(world_client(world, 0)->got.error, WIRE_ERROR_NONE);
    ck_assert(world_run_job(world, 0, 60 * CORE_S));
    end(world);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_pass");
    TCase *tcase = tcase_create("pass");
    tcase_set_timeout(tcase, 120);
    tcase_add_test(tcase, a_large_result_stays_where_it_was_made_until_it_is_released);
    tcase_add_test(tcase, small_results_and_those_of_calls_that_did_not_say_so_come_as_ever);
    tcase_add_test(tcase, what_the_owner_itself_made_is_here);
    tcase_add_test(tcase, a_peer_is_left_so_much_and_no_more);
    tcase_add_test(tcase, a_result_of_too_many_bytes_does_not_stay);
    tcase_add_test(tcase, a_result_passes_from_peer_to_peer_and_not_by_its_owner);
    tcase_add_test(tcase, who_made_it_reads_it_without_a_word);
    tcase_add_test(tcase, a_task_keeps_what_it_reads_though_that_is_released);
    tcase_add_test(tcase, the_owner_reads_it_itself);
    tcase_add_test(tcase, who_cannot_have_it_there_has_it_from_the_owner);
    tcase_add_test(tcase, who_has_no_session_with_the_holder_asks_the_owner);
    tcase_add_test(tcase, who_guesses_a_name_learns_nothing);
    tcase_add_test(tcase, only_the_owner_of_a_result_gives_leave);
    tcase_add_test(tcase, who_asks_for_everything_is_kept_short);
    tcase_add_test(tcase, what_is_asked_for_is_fetched_once_and_let_go);
    tcase_add_test(tcase, what_is_released_while_it_comes_is_answered);
    tcase_add_test(tcase, where_there_is_no_room_for_it_is_said_and_it_stays);
    tcase_add_test(tcase, who_has_no_room_left_is_relieved);
    tcase_add_test(tcase, what_is_lost_with_its_peer_is_told_and_not_waited_for);
    tcase_add_test(tcase, who_waits_for_what_is_lost_hears_of_it);
    tcase_add_test(tcase, who_has_it_already_does_not_mind_that_it_is_lost);
    tcase_add_test(tcase, it_outlives_a_session_and_not_a_lease);
    tcase_add_test(tcase, an_executor_that_starts_anew_has_nothing_of_it);
    tcase_add_test(tcase, an_owner_that_dies_leaves_nothing);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
