/* An executor by itself: whose task starts next, what becomes free again, who may have what is
 * here. */
#include <string.h>

#include "tests/lib/core_host.h"

/* --- whose turn it is --------------------------------------------------------------------------
 */

START_TEST(a_core_that_comes_free_goes_to_the_owner_with_the_fewest)
{
    struct host host;
    host_init(&host, 4, 2);
    for (unsigned i = 0; i < 8; i++) {
        host_place(&host, ADA, ADA);
    }
    for (unsigned i = 0; i < 6; i++) {
        host_place(&host, BOB, BOB);
    }
    ck_assert_uint_eq(host_n_running(&host, ADA), 4);
    ck_assert_uint_eq(host_end_one(&host, ADA), BOB); /* 3 : 0 */
    ck_assert_uint_eq(host_end_one(&host, ADA), BOB); /* 2 : 1 */
    ck_assert_uint_eq(host_end_one(&host, ADA), ADA); /* 1 : 2 */
    ck_assert_uint_eq(host_end_one(&host, BOB), BOB); /* 2 : 1 */
    ck_assert_uint_eq(host_end_one(&host, ADA), ADA); /* 1 : 2 */
    host_done(&host);
}
END_TEST

START_TEST(owners_of_as_many_cores_take_turns)
{
    struct host host;
    host_init(&host, 1, 2);
    for (unsigned i = 0; i < 4; i++) {
        host_place(&host, ADA, ADA);
        host_place(&host, BOB, BOB);
    }
    for (unsigned i = 0; i < 3; i++) {
        ck_assert_uint_eq(host_end_one(&host, ADA), BOB);
        ck_assert_uint_eq(host_end_one(&host, BOB), ADA);
    }
    host_done(&host);
}
END_TEST

/* Four tasks of a client here. */
static void submit_own(struct host *host, struct wire_files files)
{
    host_step(host, (struct core_event){.type = CORE_EVENT_CLIENT_UP,
                                        .client_up = {.client = CLIENT, .is_privileged = true}});
    struct wire_message message = {
        .type = WIRE_MESSAGE_SUBMIT,
        .submit =
            {.spec = {.files = files, .cores = 1, .lease_ms = 10000, .output_bytes_max = 1 << 20},
             .name = slice_str("job"),
             .runs_max = 1},
    };
    struct core_event event = {.type = CORE_EVENT_CLIENT_MESSAGE,
                               .client_message = {.client = CLIENT, .message = &message}};
    host_step(host, event);
    host_pass(host, CORE_MS);
    ck_assert_uint_ne(host->own_job, 0);
    struct slice argv = slice_str("true");
    for (uint32_t task = 1; task <= 4; task++) {
        message = (struct wire_message){
            .type = WIRE_MESSAGE_ADD_TASK,
            .add_task = {.job = host->own_job, .task = task, .argv = {&argv, 1}}};
        host_step(host, event);
    }
}

START_TEST(own_tasks_go_first_up_to_half_of_the_cores_and_take_turns_beyond)
{
    struct host host;
    host_init(&host, 4, 3);
    for (unsigned i = 0; i < 3; i++) {
        host_place(&host, ADA, ADA);
        host_place(&host, BOB, BOB);
        if (i == 0) {
            submit_own(&host, (struct wire_files){0});
            ck_assert_uint_eq(host_n_running(&host, SELF), 2);
            ck_assert_uint_eq(host_end_one(&host, SELF), SELF); /* no other waits */
        }
        host_place(&host, CYD, CYD);
    }
    ck_assert_uint_eq(host_end_one(&host, SELF), SELF); /* 1 of 2, before CYD's 0 */
    ck_assert_uint_eq(host_end_one(&host, ADA), CYD);   /* half is reached: it is CYD's turn */
    ck_assert_uint_eq(host_n_running(&host, SELF), 2);
    ck_assert_uint_eq(host_n_running(&host, BOB), 1);
    host_done(&host);
}
END_TEST

START_TEST(cores_that_come_free_are_left_for_a_wide_task_whose_turn_it_is)
{
    struct host host;
    host_init(&host, 4, 2);
    host_name_job(&host, BOB, 9, (struct wire_job_spec){.cores = 3});
    for (unsigned i = 0; i < 2; i++) {
        host_place(&host, ADA, ADA);
    }
    for (unsigned i = 0; i < 2; i++) {
        host_place(&host, BOB, BOB);
    }
    struct wire_attempt_id wide = host_place(&host, BOB, 9);
    for (unsigned i = 0; i < 3; i++) {
        host_place(&host, ADA, ADA);
    }
    ck_assert_uint_eq(host.n_runs, 4);
    ck_assert_uint_eq(host_end_one(&host, BOB), NOBODY); /* 2 : 1, and 3 do not fit */
    ck_assert_uint_eq(host_end_one(&host, ADA), NOBODY); /* whose last turn is longer ago */
    if (_i == 0) {
        ck_assert_uint_eq(host_end_one(&host, ADA), BOB);
        ck_assert_uint_eq(host.runs[host.n_runs - 1].id.task, wide.task);
    } else { /* it goes away: so do its cores */
        host_say(&host, BOB,
                 &(struct wire_message){.type = WIRE_MESSAGE_CANCEL, .cancel = {.id = wide}});
        ck_assert_uint_eq(host.n_first, 2);
        ck_assert_uint_eq(host_n_running(&host, ADA), 3);
    }
    host_done(&host);
}
END_TEST

START_TEST(a_turn_kept_for_a_wide_task_is_not_for_what_comes_after_it)
{
    struct host host;
    host_init(&host, 4, 2);
    host_name_job(&host, BOB, 9, (struct wire_job_spec){.cores = 4});
    for (unsigned i = 0; i < 2; i++) {
        host_place(&host, ADA, ADA);
    }
    for (unsigned i = 0; i < 2; i++) {
        host_place(&host, BOB, BOB);
    }
    struct wire_attempt_id wide = host_place(&host, BOB, 9);
    host_place(&host, BOB, BOB);
    for (unsigned i = 0; i < 2; i++) {
        host_place(&host, ADA, ADA);
    }
    ck_assert_uint_eq(host_end_one(&host, BOB), NOBODY); /* its turn, but 4 do not fit */
    ck_assert_uint_eq(host_end_one(&host, ADA), NOBODY);
    ck_assert_uint_eq(host_end_one(&host, ADA), NOBODY);
    unsigned n_before = host.n_runs;
    host_say(&host, BOB,
             &(struct wire_message){.type = WIRE_MESSAGE_CANCEL, .cancel = {.id = wide}});
    ck_assert_uint_gt(host.n_runs, n_before);
    ck_assert_uint_eq(host.runs[n_before].owner, ADA); /* who has none, not who has one */
    host_done(&host);
}
END_TEST

START_TEST(an_owners_tasks_of_higher_priority_go_first_and_else_in_order)
{
    struct host host;
    host_init(&host, 1, 1);
    host_name_job(&host, ADA, 8, (struct wire_job_spec){.cores = 1, .priority = 1});
    host_name_job(&host, ADA, 9, (struct wire_job_spec){.cores = 1, .priority = 2});
    static const uint64_t placed[] = {ADA, ADA, 8, 9, 8, 9}, started[] = {9, 9, 8, 8, ADA};
    uint32_t last = 0;
    for (unsigned i = 0; i < ARRAY_LEN(placed); i++) {
        host_place(&host, ADA, placed[i]);
    }
    for (unsigned i = 0; i < ARRAY_LEN(started); i++) {
        ck_assert_uint_eq(host_end_one(&host, ADA), ADA);
        const struct wire_attempt_id *id = &host.runs[0].id;
        ck_assert_uint_eq(id->job, started[i]);
        ck_assert(i == 0 || started[i] != started[i - 1] || id->task > last);
        last = id->task;
    }
    host_done(&host);
}
END_TEST

START_TEST(a_task_beyond_the_credit_is_refused)
{
    struct host host;
    host_init(&host, 2, 2);
    unsigned n = host.credit[ADA].n_tasks;
    ck_assert_uint_gt(n, 2); /* the tasks are short */
    ck_assert_uint_lt(n, 30);
    for (unsigned i = 0; i < n; i++) {
        host_place(&host, ADA, ADA);
    }
    ck_assert_uint_eq(host.credit[ADA].n_tasks, n);
    host_try_to_place(&host, ADA, ADA);
    ck_assert_uint_eq(host.n_refused[ADA], 1);
    ck_assert_int_eq(host.refusal, WIRE_REFUSAL_NO_CREDIT);
    host_end_one(&host, ADA);
    host_place(&host, ADA, ADA);
    host_done(&host);
}
END_TEST

START_TEST(the_credit_is_for_as_many_tasks_as_fit_into_memory)
{
    struct host host;
    host_init(&host, 8, 1);
    host_name_job(&host, ADA, 9,
                  (struct wire_job_spec){.cores = 1, .mem_bytes = HOST_MEM_BYTES / 2});
    for (unsigned i = 0; i < 8; i++) {
        host_try_to_place(&host, ADA, 9);
    }
    host_pass(&host, 10 * CORE_MS);
    ck_assert_uint_eq(host_n_running(&host, ADA), 2);
    ck_assert_uint_eq(host.credit[ADA].cores, 2);
    host_done(&host);
}
END_TEST

/* --- what becomes free -------------------------------------------------------------------------
 */

START_TEST(cores_of_what_could_not_start_are_free_at_once)
{
    struct host host;
    host_init(&host, 2, 1);
    host_name_job(&host, ADA, 9, (struct wire_job_spec){.cores = 2});
    host_place(&host, ADA, 9);
    host_place(&host, ADA, 9);
    ck_assert_uint_eq(core_counts(host.core).cores_used, 2);
    struct run run = host_take_run(&host, ADA);
    host_step(&host, (struct core_event){.type = CORE_EVENT_ATTEMPT_REFUSED,
                                         .attempt_refused = {.owner = host_key_of(ADA),
                                                             .id = run.id,
                                                             .refusal = WIRE_REFUSAL_NO_CELL,
                                                             .is_cell_usable = false}});
    ck_assert_uint_eq(host.n_refused[ADA], 1);
    ck_assert_uint_eq(host.first, ADA); /* the other has them */
    ck_assert_uint_eq(core_counts(host.core).cores_used, 2);
    ck_assert_uint_eq(host_end_one(&host, ADA), NOBODY);
    ck_assert_uint_eq(core_counts(host.core).cores_used, 0);
    host_done(&host);
}
END_TEST

START_TEST(a_cell_closes_at_once_when_its_job_is_over)
{
    struct host host;
    host_init(&host, 2, 1);
    host_place(&host, ADA, ADA);
    host_place(&host, ADA, ADA);
    ck_assert_uint_eq(host_n_running(&host, ADA), 2);
    host_say(&host, ADA,
             &(struct wire_message){.type = WIRE_MESSAGE_JOB_END, .job_end = {.job = ADA}});
    struct run run = host_take_run(&host, ADA);
    host_end_run(&host, &run, (struct wire_result){.end = WIRE_END_EXITED});
    ck_assert_uint_eq(host.closed, run.cell); /* though the other one runs on */
    ck_assert_uint_eq(core_counts(host.core).n_cells, 1);
    host_done(&host);
}
END_TEST

static void set_cores(struct host *host, uint32_t cores)
{
    host_step(host, (struct core_event){.type = CORE_EVENT_CORES, .cores = {.cores = cores}});
}

START_TEST(what_waits_goes_back_when_no_cores_are_offered_any_more)
{
    struct host host;
    host_init(&host, 1, 1);
    for (unsigned i = 0; i < 4; i++) {
        host_place(&host, ADA, ADA);
    }
    set_cores(&host, 0);
    ck_assert_uint_eq(host.n_refused[ADA], 3);
    ck_assert_int_eq(host.refusal, WIRE_REFUSAL_DRAINING);
    ck_assert_uint_eq(host.n_kills, 0); /* what runs may end */
    ck_assert_uint_eq(core_counts(host.core).n_held_queued, 0);
    ck_assert_uint_eq(host.credit[ADA].n_tasks, 0);
    ck_assert_uint_eq(host_end_one(&host, ADA), NOBODY);
    host_try_to_place(&host, ADA, ADA); /* sent before it heard of this */
    ck_assert_uint_eq(host.n_refused[ADA], 4);
    ck_assert_int_eq(host.refusal, WIRE_REFUSAL_DRAINING);
    host_done(&host);
}
END_TEST

static void go_away(struct host *host, unsigned owner)
{
    host_step(host,
              (struct core_event){.type = CORE_EVENT_LINK_DOWN,
                                  .link_down = {.link = 10 + owner, .end = CORE_LINK_END_SILENT}});
}

START_TEST(what_waits_for_an_owner_that_is_away_goes_back_as_well)
{
    struct host host;
    host_init(&host, 1, 1);
    for (unsigned i = 0; i < 4; i++) {
        host_place(&host, ADA, ADA);
    }
    go_away(&host, ADA);
    set_cores(&host, 0);
    host_pass(&host, 10 * CORE_MS);
    ck_assert_uint_eq(core_counts(host.core).n_held_queued, 0);
    ck_assert_uint_eq(core_counts(host.core).n_held_running, 1);
    host_done(&host);
}
END_TEST

struct cut {
    enum core_link_end end;
    enum wire_reason reason;
    bool is_forged;
};

static const struct cut cuts[] = {
    {CORE_LINK_END_FAILED, WIRE_REASON_SIGNATURE, true},
    {CORE_LINK_END_FAILED, WIRE_REASON_LIMIT, false},
    {CORE_LINK_END_CLOSED, WIRE_REASON_SIGNATURE, false}, /* what he says of us is no proof */
    {CORE_LINK_END_SILENT, WIRE_REASON_NONE, false},
};

/* A task begins before the signature of the message that placed it is checked. */
START_TEST(what_a_bad_signature_began_is_killed_and_nothing_else_is)
{
    const struct cut *cut = &cuts[_i];
    struct host host;
    host_init(&host, 2, 2);
    for (unsigned i = 0; i < 3; i++) {
        host_place(&host, ADA, ADA);
    }
    host_place(&host, BOB, BOB);
    ck_assert_uint_eq(host_n_running(&host, ADA), 2);
    unsigned n_waiting = (unsigned)core_counts(host.core).n_held_queued;
    ck_assert_uint_eq(n_waiting, 2);
    host_step(&host, (struct core_event){
                         .type = CORE_EVENT_LINK_DOWN,
                         .link_down = {.link = 10 + ADA, .end = cut->end, .reason = cut->reason}});
    ck_assert_uint_eq(host.n_kills, cut->is_forged ? 2 : 0);
    ck_assert_uint_eq(core_counts(host.core).n_held_queued, cut->is_forged ? 1 : 2);
    if (cut->is_forged) {
        struct run run = host_take_run(&host, ADA);
        host_end_run(&host, &run, (struct wire_result){.end = WIRE_END_LEASE});
        ck_assert_uint_eq(host_n_running(&host, BOB), 1); /* the core is his now */
    }
    host_done(&host);
}
END_TEST

START_TEST(results_of_a_job_that_is_over_are_not_kept_past_its_lease)
{
    struct host host;
    host_init(&host, 1, 1);
    host_place(&host, ADA, ADA);
    struct run run = host_take_run(&host, ADA);
    host_end_run(&host, &run, (struct wire_result){.end = WIRE_END_EXITED});
    host_say(&host, ADA,
             &(struct wire_message){.type = WIRE_MESSAGE_JOB_END, .job_end = {.job = ADA}});
    ck_assert_uint_eq(core_counts(host.core).n_held_ended, 1);
    go_away(&host, ADA);
    host_pass_slowly(&host, 11 * CORE_S);
    ck_assert_uint_eq(core_counts(host.core).n_held_ended, 0);
    host_done(&host);
}
END_TEST

START_TEST(files_of_a_job_that_has_nothing_here_are_let_go_soon_after_its_owner)
{
    struct host host;
    host_init(&host, 1, 1);
    struct wire_file file = {.path = slice_str("data"), .hash = {{5}}, .bytes = 10};
    host_name_job(&host, ADA, 9,
                  (struct wire_job_spec){.cores = 1, .files = {&file, 1}, .is_durable = true});
    host_step(&host, (struct core_event){.type = CORE_EVENT_BLOB_STORED,
                                         .blob_stored = {.hash = file.hash}});
    ck_assert_uint_eq(core_counts(host.core).n_blob_refs, 1);
    go_away(&host, ADA);
    host_pass_slowly(&host, 11 * CORE_S); /* a lease of an hour is for results */
    ck_assert_uint_eq(core_counts(host.core).n_blob_refs, 0);
    host_done(&host);
}
END_TEST

START_TEST(leases_are_renewed_by_what_is_heard_and_not_by_what_is_said)
{
    struct host host;
    host_init(&host, 1, 1);
    host_place(&host, ADA, ADA);
    unsigned n_renewals = host.n_renewals;
    for (unsigned i = 0; i < 24; i++) { /* its beats go out all the time */
        host_pass(&host, 100 * CORE_MS);
    }
    ck_assert_uint_eq(host.n_renewals, n_renewals);
    ck_assert_uint_gt(host.n_beats, 2);
    host_say(&host, ADA,
             &(struct wire_message){.type = WIRE_MESSAGE_BEAT,
                                    .beat = {.token = 1, .interval_ms = 500}});
    ck_assert_uint_eq(host.n_renewals, n_renewals + 1);
    host_done(&host);
}
END_TEST

/* --- who may have what -------------------------------------------------------------------------
 */

/* Whether that owner is sent the blob for asking. */
static bool is_served(struct host *host, unsigned owner, const struct wire_hash *hash)
{
    unsigned n_served = host->n_served[owner];
    host_say(host, owner,
             &(struct wire_message){.type = WIRE_MESSAGE_BLOB_WANT, .blob_want = {.hash = *hash}});
    return host->n_served[owner] > n_served;
}

START_TEST(output_is_for_the_owner_of_its_task_until_it_has_the_result)
{
    struct host host;
    host_init(&host, 2, 2);
    struct wire_hash out = {{1, 2, 3}};
    struct wire_hash err = {{4, 5, 6}};
    host_place(&host, ADA, ADA);
    ck_assert(!is_served(&host, ADA, &out)); /* what is not known here */
    struct run run = host_take_run(&host, ADA);
    host_end_run(&host, &run,
                 (struct wire_result){.end = WIRE_END_EXITED,
                                      .out = {.bytes = 5000, .hash = out},
                                      .err = {.bytes = 5000, .hash = err}});
    ck_assert_uint_eq(core_counts(host.core).n_blob_refs, 2);
    ck_assert(is_served(&host, ADA, &out));
    ck_assert(is_served(&host, ADA, &err));
    ck_assert(!is_served(&host, BOB, &out));
    ck_assert(!is_served(&host, BOB, &err));
    host_acknowledge(&host, &run);
    ck_assert_uint_eq(core_counts(host.core).n_blob_refs, 0);
    ck_assert(!is_served(&host, ADA, &out));
    host_done(&host);
}
END_TEST

START_TEST(files_of_a_job_are_not_for_peers_that_have_no_part_in_it)
{
    struct host host;
    host_init(&host, 2, 1);
    struct wire_file file = {
        .path = slice_str("prog"), .mode = 0755, .hash = {{1, 2, 3}}, .bytes = 5000};
    submit_own(&host, (struct wire_files){.items = &file, .n = 1});
    ck_assert_uint_eq(host_n_running(&host, SELF), 2);
    ck_assert(!is_served(&host, ADA, &file.hash));
    host_done(&host);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_exec");
    TCase *tcase = tcase_create("turns");
    tcase_add_test(tcase, a_core_that_comes_free_goes_to_the_owner_with_the_fewest);
    tcase_add_test(tcase, owners_of_as_many_cores_take_turns);
    tcase_add_test(tcase, own_tasks_go_first_up_to_half_of_the_cores_and_take_turns_beyond);
    tcase_add_loop_test(tcase, cores_that_come_free_are_left_for_a_wide_task_whose_turn_it_is, 0,
                        2);
    tcase_add_test(tcase, a_turn_kept_for_a_wide_task_is_not_for_what_comes_after_it);
    tcase_add_test(tcase, an_owners_tasks_of_higher_priority_go_first_and_else_in_order);
    tcase_add_test(tcase, a_task_beyond_the_credit_is_refused);
    tcase_add_test(tcase, the_credit_is_for_as_many_tasks_as_fit_into_memory);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("free");
    tcase_add_test(tcase, cores_of_what_could_not_start_are_free_at_once);
    tcase_add_test(tcase, a_cell_closes_at_once_when_its_job_is_over);
    tcase_add_test(tcase, what_waits_goes_back_when_no_cores_are_offered_any_more);
    tcase_add_test(tcase, what_waits_for_an_owner_that_is_away_goes_back_as_well);
    tcase_add_loop_test(tcase, what_a_bad_signature_began_is_killed_and_nothing_else_is, 0,
                        ARRAY_LEN(cuts));
    tcase_add_test(tcase, leases_are_renewed_by_what_is_heard_and_not_by_what_is_said);
    tcase_add_test(tcase, results_of_a_job_that_is_over_are_not_kept_past_its_lease);
    tcase_add_test(tcase, files_of_a_job_that_has_nothing_here_are_let_go_soon_after_its_owner);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("blobs");
    tcase_add_test(tcase, output_is_for_the_owner_of_its_task_until_it_has_the_result);
    tcase_add_test(tcase, files_of_a_job_are_not_for_peers_that_have_no_part_in_it);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
