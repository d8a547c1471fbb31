/* Figures of a mesh of four on the lab's hosts, as one line to read and one JSON object each. Run
 * by tests/bench/lab on a release build; built on Check as all users of the lab are. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/lab/daemons.h"
#include "wire/base/text.h"

#define N_PEERS     4
#define N_ROUNDS    11
#define PATIENCE_MS 20000
/* How long an idle mesh is watched, and how long it may settle before. */
#define WATCH_S_DEFAULT 30
#define SETTLE_MS       6000

static const char *const names[N_PEERS] = {"hal", "lily", "max", "rosa"};

struct usage {
    double cpu_s;
    unsigned rss_kib;
};

/* The kernel's account of a process; the test still sees the machine's /proc. */
static struct usage read_usage(pid_t pid)
{
    struct usage usage = {0};
    char path[64];
    char line[1024];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    ck_assert_ptr_nonnull(file);
    ck_assert_ptr_nonnull(fgets(line, sizeof(line), file));
    fclose(file);
    const char *rest = strrchr(line, ')'); /* the name before it may hold anything */
    ck_assert_ptr_nonnull(rest);
    unsigned long user;
    unsigned long kernel;
    ck_assert_int_eq(
        sscanf(rest, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel), 2);
    usage.cpu_s = (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK);
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    file = fopen(path, "re");
    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "VmRSS: %u", &usage.rss_kib) == 1) {
            break;
        }
    }
    fclose(file);
    return usage;
}

static int compare(const void *a, const void *b)
{
    const double *x = a;
    const double *y = b;
    return (*x > *y) - (*x < *y);
}

static double median(double *values, unsigned n)
{
    qsort(values, n, sizeof(*values), compare);
    return values[n / 2];
}

static struct lab *make_mesh(struct lab_host *hosts[N_PEERS], struct lab_process *daemons[N_PEERS],
                             unsigned n_started)
{
    struct lab *lab = lab_new();
    for (unsigned i = 0; i < N_PEERS; i++) {
        hosts[i] = lab_host(lab, names[i]);
    }
    for (unsigned i = 0; i < n_started; i++) {
        daemons[i] = daemon_start(hosts[i], NULL);
    }
    return lab;
}

START_TEST(idle)
{
    struct lab_host *hosts[N_PEERS];
    struct lab_process *daemons[N_PEERS];
    struct lab *lab = make_mesh(hosts, daemons, N_PEERS);
    daemon_wait_whole_mesh(hosts, N_PEERS, PATIENCE_MS);
    uint64_t watch_s = WATCH_S_DEFAULT;
    const char *wanted = getenv("BENCH_SECONDS");
    ck_assert(wanted == NULL || text_parse_u64(wanted, 3600, &watch_s) == 0);
    lab_let_pass(SETTLE_MS);
    struct usage before[N_PEERS];
    for (unsigned i = 0; i < N_PEERS; i++) {
        before[i] = read_usage(daemons[i]->pid);
    }
    uint64_t start_ns = lab_now_ns();
    lab_let_pass((unsigned)watch_s * 1000);
    double passed_s = (double)(lab_now_ns() - start_ns) / 1e9;
    double share_max = 0;
    unsigned rss_max_kib = 0;
    for (unsigned i = 0; i < N_PEERS; i++) {
        struct usage after = read_usage(daemons[i]->pid);
        double share = (after.cpu_s - before[i].cpu_s) / passed_s * 100;
        share_max = share > share_max ? share : share_max;
        rss_max_kib = after.rss_kib > rss_max_kib ? after.rss_kib : rss_max_kib;
    }
    /* The kernel counts in ticks: one tick more or less is what this cannot tell apart. */
    double grain = 100.0 / (double)sysconf(_SC_CLK_TCK) / passed_s;
    printf("# figure: idle meshd in a mesh of %d, the largest of each: %.1f MiB resident (limit 8),"
           " %.2f %% of one core over %.0f s (limit 0.3; grain %.2f)\n",
           N_PEERS, rss_max_kib / 1024.0, share_max, passed_s, grain);
    printf("{\"bench\": \"idle\", \"peers\": %d, \"seconds\": %.1f, \"rss_max_kib\": %u,"
           " \"cpu_percent_max\": %.3f, \"cpu_percent_grain\": %.3f}\n",
           N_PEERS, passed_s, rss_max_kib, share_max, grain);
    ck_assert_uint_lt(rss_max_kib, 8 * 1024);
    ck_assert_msg(share_max < 0.3, "%.2f %%", share_max);
    lab_free(lab);
}
END_TEST

static void forget(struct lab_host *host)
{
    ck_assert_int_eq(lab_run(host, PATIENCE_MS, NULL, "rm", "-rf", "/var/lib/mesh", NULL), 0);
}

static void report(const char *what, const char *text, double *times_ms, unsigned limit_ms)
{
    double middle = median(times_ms, N_ROUNDS);
    printf("# figure: %s: %.0f ms, median of %d; fastest %.0f, slowest %.0f (limit %u)\n", text,
           middle, N_ROUNDS, times_ms[0], times_ms[N_ROUNDS - 1], limit_ms);
    printf("{\"bench\": \"%s\", \"peers\": %d, \"rounds\": %d, \"median_ms\": %.1f,"
           " \"fastest_ms\": %.1f, \"slowest_ms\": %.1f}\n",
           what, N_PEERS, N_ROUNDS, middle, times_ms[0], times_ms[N_ROUNDS - 1]);
    ck_assert_msg(middle < limit_ms, "%.0f ms", middle);
}

START_TEST(discovery_at_once)
{
    struct lab_host *hosts[N_PEERS];
    struct lab_process *daemons[N_PEERS];
    struct lab *lab = make_mesh(hosts, daemons, 0);
    double times_ms[N_ROUNDS];
    for (unsigned i_round = 0; i_round < N_ROUNDS; i_round++) {
        uint64_t start_ns = lab_now_ns();
        for (unsigned i = 0; i < N_PEERS; i++) {
            daemons[i] = daemon_start(hosts[i], NULL);
        }
        uint64_t whole_ns = daemon_wait_whole_mesh(hosts, N_PEERS, PATIENCE_MS);
        times_ms[i_round] = (double)(whole_ns - start_ns) / 1e6;
        for (unsigned i = 0; i < N_PEERS; i++) {
            lab_stop(daemons[i], PATIENCE_MS);
            forget(hosts[i]);
        }
    }
    report("discovery", "4 peers started at once list one another as up", times_ms, 800);
    lab_free(lab);
}
END_TEST

START_TEST(discovery_late_joiner)
{
    struct lab_host *hosts[N_PEERS];
    struct lab_process *daemons[N_PEERS];
    struct lab *lab = make_mesh(hosts, daemons, N_PEERS - 1);
    daemon_wait_whole_mesh(hosts, N_PEERS - 1, PATIENCE_MS);
    double times_ms[N_ROUNDS];
    for (unsigned i_round = 0; i_round < N_ROUNDS; i_round++) {
        uint64_t start_ns = lab_now_ns();
        daemons[N_PEERS - 1] = daemon_start(hosts[N_PEERS - 1], NULL);
        uint64_t whole_ns = daemon_wait_whole_mesh(hosts, N_PEERS, PATIENCE_MS);
        times_ms[i_round] = (double)(whole_ns - start_ns) / 1e6;
        lab_stop(daemons[N_PEERS - 1], PATIENCE_MS);
        forget(hosts[N_PEERS - 1]);
        daemon_wait_whole_mesh(hosts, N_PEERS - 1, PATIENCE_MS);
    }
    report("late_joiner", "a late joiner and 3 others list one another as up", times_ms, 500);
    lab_free(lab);
}
END_TEST

/* A value that 100 calls refer to: what each executor receives is counted where it comes in. */
#define REF_CALLS "100"
/* Headers, signatures, beats, and what a full queue of the switch drops and TCP sends again. A
 * second copy would be 200. */
#define REF_PERCENT_MAX 120

static const char *call(struct lab_host *host, const char *bytes, const char *n_calls)
{
    const char *argv[] = {getenv("LAB_CALLER"), "share", bytes, n_calls, NULL};
    const char *env[] = {"MESH_SOCKET=" DAEMON_SOCKET, NULL};
    struct lab_start how = {.env = env};
    ck_assert_ptr_nonnull(argv[0]);
    struct lab_process *process = lab_spawnv(host, argv, &how);
    lab_expect(process, 1000 * 1000, 0);
    return lab_output(process);
}

START_TEST(reference)
{
    struct lab_host *hosts[N_PEERS];
    struct lab_process *daemons[N_PEERS];
    struct lab *lab = make_mesh(hosts, daemons, 0);
    uint64_t mib;
    ck_assert_int_eq(text_parse_u64(getenv("BENCH_REF_MIB"), 1024 * 1024, &mib), 0);
    for (unsigned i = 0; i < N_PEERS; i++) {
        daemons[i] = daemon_start(hosts[i], "--cores", i == 0 ? "0" : "1", NULL);
    }
    daemon_wait_whole_mesh(hosts, N_PEERS, PATIENCE_MS);
    call(hosts[0], "1", "12"); /* the program is there from now on */
    uint64_t before[N_PEERS];
    for (unsigned i = 1; i < N_PEERS; i++) {
        before[i] = lab_counters(hosts[i], SWITCH_TO_HOST).n_bytes;
    }
    char bytes[32];
    snprintf(bytes, sizeof(bytes), "%llu", (unsigned long long)mib << 20);
    uint64_t start_ns = lab_now_ns();
    ck_assert_str_eq(call(hosts[0], bytes, REF_CALLS), REF_CALLS " right\n");
    double took_s = (double)(lab_now_ns() - start_ns) / 1e9;
    double percent_max = 0;
    for (unsigned i = 1; i < N_PEERS; i++) {
        uint64_t n = lab_counters(hosts[i], SWITCH_TO_HOST).n_bytes - before[i];
        double percent = 100.0 * (double)n / (double)(mib << 20);
        percent_max = percent > percent_max ? percent : percent_max;
        printf("# figure: %s received %.1f %% of the value (limit %d)\n", names[i], percent,
               REF_PERCENT_MAX);
        ck_assert_msg(percent > 99 && percent < REF_PERCENT_MAX, "%s: %.1f %%", names[i], percent);
    }
    printf("{\"bench\": \"reference\", \"mib\": %llu, \"calls\": %s, \"peers\": %d,"
           " \"percent_max\": %.1f, \"seconds\": %.1f}\n",
           (unsigned long long)mib, REF_CALLS, N_PEERS - 1, percent_max, took_s);
    lab_free(lab);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("bench");
    TCase *tc = tcase_create("idle");
    tcase_set_timeout(tc, 3700);
    tcase_add_test(tc, idle);
    suite_add_tcase(suite, tc);
    tc = tcase_create("discovery");
    tcase_set_timeout(tc, 300);
    tcase_add_test(tc, discovery_at_once);
    tcase_add_test(tc, discovery_late_joiner);
    suite_add_tcase(suite, tc);
    if (getenv("BENCH_REF_MIB") != NULL) { /* takes minutes: tests/bench/calls asks for it */
        tc = tcase_create("reference");
        tcase_set_timeout(tc, 1200);
        tcase_add_test(tc, reference);
        suite_add_tcase(suite, tc);
    }
    return lab_run_suite(suite);
}
