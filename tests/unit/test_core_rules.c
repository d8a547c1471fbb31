/* The pure parts of the core: tables of states, shares of cores, prefetch, which session stays. */
#include <string.h>

#include "mesh/core/exec.h"
#include "mesh/core/peer.h"
#include "mesh/core/states.h"
#include "tests/lib/runner.h"

START_TEST(a_change_that_is_not_in_the_table_is_counted_and_changes_nothing)
{
    struct core_moves moves = {0};
    unsigned state = CORE_TASK_DONE;
    ck_assert(!core_move(&moves, CORE_MACHINE_TASK, &state, CORE_TASK_ON_REPORT));
    ck_assert_uint_eq(state, CORE_TASK_DONE);
    ck_assert_uint_eq(moves.n_refused[CORE_MACHINE_TASK], 1);
    state = CORE_TASK_WAITING;
    ck_assert(core_move(&moves, CORE_MACHINE_TASK, &state, CORE_TASK_ON_PLACE));
    ck_assert_uint_eq(state, CORE_TASK_PLACED);
    ck_assert_uint_eq(moves.n_taken[CORE_MACHINE_TASK][CORE_TASK_ROW_WAITING_PLACE], 1);
}
END_TEST

START_TEST(nothing_leaves_done_or_gone)
{
    for (unsigned cause = 0; cause < CORE_N_TASK_CAUSES; cause++) {
        struct core_moves moves = {0};
        unsigned state = CORE_TASK_DONE;
        ck_assert(!core_move(&moves, CORE_MACHINE_TASK, &state, cause));
    }
    for (unsigned cause = 0; cause < CORE_N_HELD_CAUSES; cause++) {
        struct core_moves moves = {0};
        unsigned state = CORE_HELD_GONE;
        ck_assert(!core_move(&moves, CORE_MACHINE_HELD, &state, cause));
    }
}
END_TEST

START_TEST(every_row_has_names)
{
    for (unsigned machine = 0; machine < CORE_N_MACHINES; machine++) {
        for (unsigned row = 0; row < core_n_rows(machine); row++) {
            struct core_row_text text = core_row_text(machine, row);
            ck_assert_str_ne(text.from, "?");
            ck_assert_str_ne(text.cause, "?");
            ck_assert_str_ne(text.to, "?");
        }
    }
    ck_assert_str_eq(core_state_text(CORE_MACHINE_PEER, 99), "?");
}
END_TEST

START_TEST(cores_are_shared_by_demand_and_evenly)
{
    static const struct {
        uint32_t cores;
        bool has_self;
        uint32_t n, demands[4], shares[4];
    } cases[] = {
        {8, false, 2, {100, 100}, {4, 4}},
        {8, false, 2, {1, 100}, {1, 7}},
        {8, false, 3, {100, 100, 100}, {3, 3, 2}},
        {8, true, 2, {100, 100}, {4, 4}},
        {8, true, 3, {100, 100, 100}, {4, 2, 2}},
        {8, true, 3, {1, 100, 100}, {1, 4, 3}},
        {8, true, 2, {100, 1}, {7, 1}},
        {2, false, 4, {5, 5, 5, 5}, {1, 1, 0, 0}},
        {0, true, 2, {5, 5}, {0, 0}},
        {1, true, 2, {5, 5}, {1, 0}},
        {4096, false, 1, {4096}, {4096}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint32_t shares[4];
        core_credit_share(cases[i].cores, cases[i].has_self, cases[i].demands, shares, cases[i].n);
        for (uint32_t k = 0; k < cases[i].n; k++) {
            ck_assert_msg(shares[k] == cases[i].shares[k], "case %zu: share %u is %u, not %u", i, k,
                          shares[k], cases[i].shares[k]);
        }
    }
}
END_TEST

START_TEST(shares_use_all_cores_and_exceed_no_demand)
{
    uint64_t x = 1;
    for (unsigned round = 0; round < 20000; round++) {
        uint32_t demands[6];
        uint32_t shares[6];
        uint64_t wanted = 0;
        uint64_t given = 0;
        x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint32_t n = 1 + (uint32_t)(x >> 40) % 6;
        uint32_t cores = (uint32_t)(x >> 50) % 40;
        for (uint32_t i = 0; i < n; i++) {
            x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            demands[i] = (uint32_t)(x >> 48) % 20;
            wanted += demands[i];
        }
        core_credit_share(cores, round % 2 == 0, demands, shares, n);
        for (uint32_t i = 0; i < n; i++) {
            ck_assert_uint_le(shares[i], demands[i]);
            given += shares[i];
        }
        ck_assert_uint_eq(given, wanted < cores ? wanted : cores);
    }
}
END_TEST

START_TEST(shares_of_all_at_once_are_those_that_each_has_alone)
{
    uint64_t x = 1;
    for (unsigned round = 0; round < 20000; round++) {
        uint32_t demands[12];
        uint32_t shares[12];
        uint32_t alone[12];
        uint32_t room[2 * 41];
        x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint32_t n = 1 + (uint32_t)(x >> 40) % 12;
        uint32_t cores = (uint32_t)(x >> 50) % 41;
        for (uint32_t i = 0; i < n; i++) {
            x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            demands[i] = (uint32_t)(x >> 48) % (round % 3 == 0 ? 60 : 6);
        }
        bool has_self = round % 2 == 0;
        core_credit_share_each(cores, has_self, demands, shares, n, room);
        for (uint32_t i = 0; i < n; i++) {
            uint32_t demand = demands[i];
            demands[i] = WIRE_CORES_MAX;
            core_credit_share(cores, has_self, demands, alone, n);
            demands[i] = demand;
            ck_assert_msg(shares[i] == alone[i], "round %u: share %u is %u, not %u", round, i,
                          shares[i], alone[i]);
        }
    }
}
END_TEST

START_TEST(short_tasks_are_prefetched_and_long_ones_are_not)
{
    ck_assert_uint_eq(core_credit_prefetch(4, 0, CORE_MS), 0); /* nothing measured */
    ck_assert_uint_eq(core_credit_prefetch(4, 2 * CORE_S, CORE_MS), 0);
    ck_assert_uint_eq(core_credit_prefetch(4, CORE_MS, 0), 20);            /* 5 ms of work */
    ck_assert_uint_eq(core_credit_prefetch(4, CORE_MS, 10 * CORE_MS), 80); /* two round trips */
    ck_assert_uint_eq(core_credit_prefetch(4, 1, CORE_MS), WIRE_CREDIT_MAX);
    ck_assert_uint_eq(core_credit_prefetch(1, 900 * CORE_MS, CORE_MS), 1);
}
END_TEST

START_TEST(run_times_are_smoothed_and_soon_short_when_tasks_become_so)
{
    uint64_t ns = core_credit_smooth(0, 300 * CORE_MS);
    ck_assert_uint_eq(ns, 300 * CORE_MS);
    for (unsigned i = 0; i < 8; i++) {
        ns = core_credit_smooth(ns, CORE_MS);
    }
    ck_assert_uint_gt(core_credit_prefetch(1, ns, 0), 1); /* below 5 ms */
    ns = core_credit_smooth(8 * CORE_MS, 16 * CORE_MS);
    ck_assert_uint_eq(ns, 9 * CORE_MS); /* one that is longer says little */
}
END_TEST

START_TEST(of_two_overlapping_sessions_both_ends_keep_the_same)
{
    struct wire_key small = {{1}};
    struct wire_key large = {{2}};
    /* The small one's dial is "ours" at the small end and "theirs" at the large end. */
    ck_assert(core_link_is_older_kept(&small, &large, true, false, CORE_MS));
    ck_assert(!core_link_is_older_kept(&large, &small, true, false, CORE_MS));
    ck_assert(core_link_is_older_kept(&large, &small, false, true, CORE_MS));
    ck_assert(!core_link_is_older_kept(&small, &large, false, true, CORE_MS));
    /* Apart in time, or both dialled by one end: the newer stands. */
    ck_assert(!core_link_is_older_kept(&small, &large, true, false, CORE_OVERLAP_NS + 1));
    /* Each end sees the two half a round trip apart, and may not take the other's for the newer. */
    ck_assert(core_link_is_older_kept(&small, &large, true, false, CORE_S));
    ck_assert(!core_link_is_older_kept(&small, &large, true, true, CORE_MS));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_rules");
    TCase *tcase = tcase_create("rules");
    tcase_add_test(tcase, a_change_that_is_not_in_the_table_is_counted_and_changes_nothing);
    tcase_add_test(tcase, nothing_leaves_done_or_gone);
    tcase_add_test(tcase, every_row_has_names);
    tcase_add_test(tcase, cores_are_shared_by_demand_and_evenly);
    tcase_add_test(tcase, shares_use_all_cores_and_exceed_no_demand);
    tcase_add_test(tcase, shares_of_all_at_once_are_those_that_each_has_alone);
    tcase_add_test(tcase, short_tasks_are_prefetched_and_long_ones_are_not);
    tcase_add_test(tcase, run_times_are_smoothed_and_soon_short_when_tasks_become_so);
    tcase_add_test(tcase, of_two_overlapping_sessions_both_ends_keep_the_same);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
