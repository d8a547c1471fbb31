/* The soak's own parts that need no host: the plan keeps its rule, and what is lost, doubled,
 * mixed, torn or wrong in an output is found. */
#include <check.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lab/soak_check.h"
#include "tests/lab/soak_hash.h"
#include "tests/lab/soak_plan.h"
#include "tests/lib/runner.h"
#include "wire/base/ensure.h"

#define ROUND_MS 90000
#define SEEDS    300

/* --- the plan ------------------------------------------------------------------------------- */

static bool restarts(enum soak_kind kind)
{
    return kind == SOAK_KILL || kind == SOAK_STOP || kind == SOAK_POWER;
}

static bool is_of_cable(enum soak_kind kind)
{
    return kind > SOAK_KILL_SUBMIT;
}

static unsigned count_struck_at(const struct soak_plan *plan, unsigned at_ms)
{
    uint32_t struck = 0;
    for (unsigned i = 0; i < plan->n; i++) {
        const struct soak_fault *fault = &plan->faults[i];
        if (fault->begin_ms <= at_ms && at_ms < fault->end_ms) {
            struck |= fault->hosts;
        }
    }
    return (unsigned)__builtin_popcount(struck);
}

static void check_pair(const struct soak_fault *a, const struct soak_fault *b)
{
    bool is_same_part = is_of_cable(a->kind) == is_of_cable(b->kind) || a->kind == SOAK_POWER ||
                        b->kind == SOAK_POWER;
    bool overlap = a->begin_ms <= b->end_ms && b->begin_ms <= a->end_ms;
    ck_assert_msg(!((a->hosts & b->hosts) != 0 && is_same_part && overlap),
                  "two faults of one part of a host at once");
}

static unsigned check_plan(const struct soak_plan *plan, unsigned n_hosts)
{
    unsigned cell_ms = 0;
    unsigned n_kinds = 0;
    for (unsigned i = 0; i < plan->n; i++) {
        const struct soak_fault *fault = &plan->faults[i];
        ck_assert_uint_ne(fault->hosts, 0);
        ck_assert_uint_eq(fault->hosts >> n_hosts, 0);
        ck_assert_uint_le(fault->begin_ms, fault->end_ms);
        ck_assert_uint_le(fault->end_ms, ROUND_MS);
        ck_assert(i == 0 || plan->faults[i - 1].begin_ms <= fault->begin_ms);
        ck_assert_uint_le(count_struck_at(plan, fault->begin_ms), n_hosts / 2);
        for (unsigned h = 0; h < n_hosts; h++) {
            bool is_struck = (fault->hosts >> h & 1) != 0;
            ck_assert(!is_struck || !soak_is_steady(h) || !restarts(fault->kind));
        }
        if (fault->kind == SOAK_KILL_CELL || fault->kind == SOAK_KILL_WORKER) {
            ck_assert(cell_ms == 0 || fault->begin_ms >= cell_ms + SOAK_CELL_GAP_MS);
            cell_ms = fault->begin_ms;
        }
        for (unsigned k = 0; k < i; k++) {
            check_pair(&plan->faults[k], fault);
        }
        n_kinds |= 1u << fault->kind;
    }
    return n_kinds;
}

START_TEST(a_plan_keeps_its_rule_and_knows_every_fault)
{
    unsigned n_hosts = _i == 0 ? 4 : SOAK_HOSTS_MAX;
    unsigned kinds = 0;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct soak_plan plan;
        soak_plan_draw(&plan, seed, (unsigned)(seed % 7), n_hosts, ROUND_MS);
        ck_assert_uint_gt(plan.n, 20);
        kinds |= check_plan(&plan, n_hosts);
    }
    ck_assert_uint_eq(kinds, (1u << SOAK_N_KINDS) - 1);
}
END_TEST

START_TEST(a_plan_depends_on_seed_and_round_alone)
{
    struct soak_plan plans[2];
    soak_plan_draw(&plans[0], 5, 3, SOAK_HOSTS_MAX, ROUND_MS);
    soak_plan_draw(&plans[1], 5, 3, SOAK_HOSTS_MAX, ROUND_MS);
    ck_assert_mem_eq(&plans[0], &plans[1], sizeof(plans[0]));
    soak_plan_draw(&plans[1], 5, 4, SOAK_HOSTS_MAX, ROUND_MS);
    ck_assert_mem_ne(&plans[0], &plans[1], sizeof(plans[0]));
    soak_plan_draw(&plans[1], 6, 3, SOAK_HOSTS_MAX, ROUND_MS);
    ck_assert_mem_ne(&plans[0], &plans[1], sizeof(plans[0]));
}
END_TEST

/* --- what is printed ------------------------------------------------------------------------- */

static struct soak_job job_of(enum soak_job_kind kind)
{
    struct soak_job job;
    memset(&job, 0, sizeof(job));
    job.kind = kind;
    job.number = 7;
    job.n_tasks = 3;
    job.n_lines = 2;
    return job;
}

static void put_line(char *to, size_t n_to, const struct soak_job *job, unsigned task,
                     unsigned line)
{
    char name[32];
    size_t n = strlen(to);
    soak_input_name(job, task, name, sizeof(name));
    uint64_t hash = soak_hash_text(SOAK_HASH_BEGIN, name);
    snprintf(to + n, n_to - n, "%s %u %016" PRIx64 "\n", name, line, soak_hash_line(hash, line));
}

/* The output of these tasks, '0' to '2', each of two lines; '-' instead of a line's other half. */
static const char *print(const struct soak_job *job, const char *tasks)
{
    static char text[2048];
    text[0] = '\0';
    for (; *tasks != '\0'; tasks++) {
        put_line(text, sizeof(text), job, (unsigned)(*tasks - '0'), 0);
        put_line(text, sizeof(text), job, (unsigned)(*tasks - '0'), 1);
    }
    return text;
}

static const struct {
    const char *tasks;
    enum soak_job_kind kind;
    unsigned n_right, n_doubled, n_wrong;
} outputs[] = {
    {"012", SOAK_JOB_PLAIN, 3, 0, 0},   {"201", SOAK_JOB_PLAIN, 3, 0, 0},
    {"02", SOAK_JOB_PLAIN, 2, 0, 0},    {"0120", SOAK_JOB_PLAIN, 3, 1, 0},
    {"012", SOAK_JOB_ORDERED, 3, 0, 0}, {"021", SOAK_JOB_ORDERED, 3, 0, 2},
    {"12", SOAK_JOB_ORDERED, 2, 0, 1},  {"", SOAK_JOB_ORDERED, 0, 0, 0},
    {"013", SOAK_JOB_PLAIN, 2, 0, 2},
};

START_TEST(whole_results_are_counted_and_doubled_and_misplaced_ones_found)
{
    struct soak_job job = job_of(outputs[_i].kind);
    struct soak_verdict verdict = soak_check_output(&job, print(&job, outputs[_i].tasks));
    ck_assert_uint_eq(verdict.n_right, outputs[_i].n_right);
    ck_assert_uint_eq(verdict.n_doubled, outputs[_i].n_doubled);
    ck_assert_uint_eq(verdict.n_wrong, outputs[_i].n_wrong);
    ck_assert(!verdict.is_torn);
    ck_assert((verdict.what[0] != '\0') == (verdict.n_doubled + verdict.n_wrong > 0));
}
END_TEST

START_TEST(torn_mixed_and_wrong_results_are_found)
{
    struct soak_job job = job_of(SOAK_JOB_PLAIN);
    char text[2048];
    snprintf(text, sizeof(text), "%s", print(&job, "01"));
    size_t n = strlen(text);
    for (size_t i = 1; i < n; i++) { /* the end is missing, anywhere */
        char cut[2048];
        snprintf(cut, sizeof(cut), "%.*s", (int)i, text);
        struct soak_verdict verdict = soak_check_output(&job, cut);
        ck_assert_uint_eq(verdict.n_wrong, 0);
        ck_assert_uint_eq(verdict.is_torn, i != n / 2);
        ck_assert_uint_eq(verdict.n_right, i >= n / 2);
    }
    for (size_t i = 0; i < n; i++) { /* one byte is another */
        char wrong[2048];
        snprintf(wrong, sizeof(wrong), "%s", text);
        wrong[i] ^= 1;
        struct soak_verdict verdict = soak_check_output(&job, wrong);
        ck_assert(verdict.n_wrong > 0 || verdict.is_torn);
        ck_assert_uint_lt(verdict.n_right, 2);
    }
    text[0] = '\0'; /* the lines of two tasks are mixed */
    put_line(text, sizeof(text), &job, 0, 0);
    put_line(text, sizeof(text), &job, 1, 0);
    put_line(text, sizeof(text), &job, 0, 1);
    put_line(text, sizeof(text), &job, 1, 1);
    struct soak_verdict verdict = soak_check_output(&job, text);
    ck_assert_uint_eq(verdict.n_right, 0);
    ck_assert_uint_gt(verdict.n_wrong, 0);
}
END_TEST

START_TEST(a_task_that_began_twice_is_found)
{
    struct soak_job job = job_of(SOAK_JOB_ONCE);
    char path[] = "/tmp/mesh-soak-XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    for (unsigned n_times = 1; n_times <= 2; n_times++) {
        struct soak_verdict verdict;
        memset(&verdict, 0, sizeof(verdict));
        ck_assert_int_gt(dprintf(fd, n_times == 1 ? "t7-0\nt7-2\n" : "t7-2\n"), 0);
        soak_check_begun(&job, path, &verdict);
        ck_assert_uint_eq(verdict.n_doubled, n_times - 1);
        ck_assert_uint_eq(verdict.n_wrong, 0);
    }
    close(fd);
    unlink(path);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("soak");
    TCase *tcase = tcase_create("soak");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, a_plan_keeps_its_rule_and_knows_every_fault, 0, 2);
    tcase_add_test(tcase, a_plan_depends_on_seed_and_round_alone);
    tcase_add_loop_test(tcase, whole_results_are_counted_and_doubled_and_misplaced_ones_found, 0,
                        ARRAY_LEN(outputs));
    tcase_add_test(tcase, torn_mixed_and_wrong_results_are_found);
    tcase_add_test(tcase, a_task_that_began_twice_is_found);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
