/* Networks that lose, delay, mix up, corrupt or carry little: jobs end all the same, with each
 * result right, and nobody who lives is taken for dead where the network is only bad. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lab/scenario.h"

#define N_TASKS 9
#define TASK_MS 1500
/* After a partition or a cut everybody sees everybody again within this. */
#define HEAL_MS 2000
#define MS      UINT64_C(1000000)

static const struct switch_fault no_fault;
static const struct scenario_setup late = {.is_late = true};

/* --- cables that are out ------------------------------------------------------------------- */

static void play_unplugged(struct scenario *sc, unsigned out_ms)
{
    struct scenario_job *job = scenario_submit(sc, 0, N_TASKS, TASK_MS);
    unsigned victim = scenario_wait_busy(sc, job);
    scenario_strike(sc, victim, "cable out");
    lab_unplug(sc->hosts[victim]);
    uint64_t in_ns = lab_now_ns() + out_ms * MS;
    if (out_ms > SCENARIO_SILENCE_MS) {
        scenario_expect_down(sc, victim, SCENARIO_SILENCE_MS);
    }
    uint64_t now_ns = lab_now_ns();
    lab_let_pass(now_ns < in_ns ? (unsigned)((in_ns - now_ns) / MS) : 0);
    scenario_mark(sc, (int)victim, "cable in");
    lab_plug(sc->hosts[victim]);
    scenario_figure(sc, "whole again after", scenario_wait_whole(sc), "ms", HEAL_MS);
    scenario_expect_results(sc, job);
    scenario_figure(sc, "taken for dead", scenario_downs(sc, 0, victim), "times", -1);
    scenario_expect_results(sc, scenario_submit(sc, 0, N_TASKS, 50));
    scenario_end(sc);
}

START_TEST(cable_out_for_1_s)
{
    struct scenario sc;
    scenario_begin(&sc, "cable out for 1 s", NULL);
    play_unplugged(&sc, 1000);
}
END_TEST

START_TEST(cable_out_for_5_s)
{
    struct scenario sc;
    scenario_begin(&sc, "cable out for 5 s", NULL);
    play_unplugged(&sc, 5000);
}
END_TEST

START_TEST(cable_out_for_30_s)
{
    struct scenario sc;
    scenario_begin(&sc, "cable out for 30 s", NULL);
    play_unplugged(&sc, 30000);
}
END_TEST

static void play_one_way(struct scenario *sc, enum switch_direction direction)
{
    struct scenario_job *job = scenario_submit(sc, 0, N_TASKS, TASK_MS);
    unsigned victim = scenario_wait_busy(sc, job);
    scenario_strike(sc, victim, direction == SWITCH_TO_HOST ? "hears nothing" : "is not heard");
    lab_fault(sc->hosts[victim], direction, (struct switch_fault){.is_cut = true});
    scenario_expect_down(sc, victim, direction == SWITCH_FROM_HOST ? SCENARIO_SILENCE_MS : -1);
    scenario_expect_results(sc, job);
    scenario_expect_reruns(sc, -1);
    scenario_mark(sc, (int)victim, "cable whole");
    lab_fault(sc->hosts[victim], direction, no_fault);
    scenario_figure(sc, "whole again after", scenario_wait_whole(sc), "ms", HEAL_MS);
    scenario_end(sc);
}

START_TEST(a_peer_that_is_not_heard)
{
    struct scenario sc;
    scenario_begin(&sc, "one-way loss: an executor is not heard", NULL);
    play_one_way(&sc, SWITCH_FROM_HOST);
}
END_TEST

START_TEST(a_peer_that_hears_nothing)
{
    struct scenario sc;
    scenario_begin(&sc, "one-way loss: an executor hears nothing", NULL);
    play_one_way(&sc, SWITCH_TO_HOST);
}
END_TEST

/* --- bad networks -------------------------------------------------------------------------- */

/* Bulk for every executor: a folder of the job's own, read by all tasks. */
static const char *const with_bulk[] = {"--basefile", "bulk", NULL};

static void make_bulk(struct scenario *sc, unsigned bytes)
{
    char line[128];
    snprintf(line, sizeof(line), "head -c %u /dev/urandom > %s/bulk", bytes, lab_share(sc->lab));
    scenario_shell(sc, 0, line);
    sc->job_options = with_bulk;
}

/* What was asked for by chance did happen; or the rest says nothing. */
static void expect_happened(struct scenario *sc, const char *what, uint32_t ppm, uint64_t n)
{
    if (ppm == 0) {
        return;
    }
    scenario_figure(sc, what, (double)n, "frames", -1);
    if (n == 0) {
        lab_fail(sc->lab, "frames %s: none, so this says nothing", what);
    }
}

static void expect_faults(struct scenario *sc, const struct switch_fault *fault)
{
    struct switch_counters sum = {.n_frames = 0};
    for (unsigned i = 1; i < sc->n_hosts; i++) {
        for (unsigned k = 0; k < SWITCH_N_DIRECTIONS; k++) {
            struct switch_counters counters = lab_counters(sc->hosts[i], (enum switch_direction)k);
            sum.n_dropped += counters.n_dropped;
            sum.n_doubled += counters.n_doubled;
            sum.n_held += counters.n_held;
            sum.n_flipped += counters.n_flipped;
            sum.n_swapped += counters.n_swapped;
        }
    }
    expect_happened(sc, "lost", fault->drop_ppm, sum.n_dropped);
    expect_happened(sc, "doubled", fault->duplicate_ppm, sum.n_doubled);
    expect_happened(sc, "overtaken", fault->hold_ppm, sum.n_held);
    expect_happened(sc, "with a wrong bit", fault->flip_ppm, sum.n_flipped);
    expect_happened(sc, "with words that changed places", fault->swap_ppm, sum.n_swapped);
}

/* Every cable has the fault from the beginning, and a job with bulk is done all the same;
 * `n_false_max` below 0: false deaths are counted and may be. `limit_ms`: what the job may take;
 * below 0: anything. */
static void play_bad_network(struct scenario *sc, struct switch_fault fault, unsigned bulk_bytes,
                             int n_false_max, double limit_ms)
{
    for (unsigned i = 1; i < sc->n_hosts; i++) {
        lab_fault_both(sc->hosts[i], fault);
    }
    for (unsigned i = 0; i < sc->n_hosts; i++) {
        scenario_start(sc, i);
    }
    scenario_figure(sc, "whole after", scenario_wait_whole(sc), "ms", -1);
    make_bulk(sc, bulk_bytes);
    uint64_t from_ns = lab_now_ns();
    struct scenario_job *job = scenario_submit(sc, 0, 2 * N_TASKS, 500);
    scenario_expect_results(sc, job);
    scenario_figure(sc, "job took", (double)(lab_now_ns() - from_ns) / 1e6, "ms", limit_ms);
    if (n_false_max == 0) {
        scenario_expect_no_downs(sc);
    } else {
        unsigned n = 0;
        for (unsigned i = 0; i < sc->n_hosts; i++) {
            for (unsigned k = 0; k < sc->n_hosts; k++) {
                n += scenario_downs(sc, i, k);
            }
        }
        scenario_figure(sc, "false deaths", n, "peers", -1);
    }
    expect_faults(sc, &fault);
    for (unsigned i = 1; i < sc->n_hosts; i++) {
        lab_fault_both(sc->hosts[i], no_fault);
    }
    scenario_wait_whole(sc);
    scenario_end(sc);
}

static struct switch_fault loss(unsigned percent)
{
    return (struct switch_fault){.drop_ppm = percent * (SWITCH_PPM / 100)};
}

START_TEST(loss_of_1_percent)
{
    struct scenario sc;
    scenario_begin(&sc, "1 % of packets lost", &late);
    play_bad_network(&sc, loss(1), 4000000, 0, -1);
}
END_TEST

START_TEST(loss_of_5_percent)
{
    struct scenario sc;
    scenario_begin(&sc, "5 % of packets lost", &late);
    play_bad_network(&sc, loss(5), 1000000, 0, -1);
}
END_TEST

START_TEST(loss_of_20_percent)
{
    struct scenario sc;
    scenario_begin(&sc, "20 % of packets lost", &late);
    play_bad_network(&sc, loss(20), 50000, -1, -1);
}
END_TEST

START_TEST(delay_of_200_ms)
{
    struct scenario sc;
    /* A beat that TCP must send again is late by more than a second there. */
    scenario_begin(&sc, "200 ms of delay, and up to 50 ms more",
                   &(struct scenario_setup){.is_late = true, .dead_after = "3"});
    play_bad_network(&sc, (struct switch_fault){.delay_ns = 200 * MS, .jitter_ns = 50 * MS}, 500000,
                     0, 15000); /* 50 round trips and some for what all begins with */
}
END_TEST

START_TEST(overtaking_and_doubling)
{
    struct scenario sc;
    scenario_begin(&sc, "packets overtake each other and come twice", &late);
    play_bad_network(
        &sc, (struct switch_fault){.hold_ppm = 100000, .hold_ns = 30 * MS, .duplicate_ppm = 100000},
        1000000, 0, -1);
}
END_TEST

START_TEST(corruption_that_checksums_find)
{
    struct scenario sc;
    scenario_begin(&sc, "1 % of packets with a wrong bit", &late);
    play_bad_network(&sc, (struct switch_fault){.flip_ppm = 10000}, 1000000, 0, -1);
}
END_TEST

/* Only the frames' own seal finds these: the session is ended and made again. Bulk goes through in
 * pieces, however often that happens. */
START_TEST(corruption_that_checksums_do_not_find)
{
    struct scenario sc;
    scenario_begin(&sc, "0.3 % of packets with words that changed places", &late);
    play_bad_network(&sc, (struct switch_fault){.swap_ppm = 3000}, 1500000, -1, -1);
}
END_TEST

START_TEST(slow_line)
{
    struct scenario sc;
    scenario_begin(&sc, "1 Mbit/s with bulk data", &late);
    play_bad_network(&sc, (struct switch_fault){.bytes_per_s = 125000}, 1000000, 0, -1);
}
END_TEST

/* --- partitions ---------------------------------------------------------------------------- */

START_TEST(partition_of_3_and_3)
{
    struct scenario sc;
    scenario_begin(&sc, "partition 3|3 and heal", &(struct scenario_setup){.n_executors = 5});
    /* More than there are cores: nobody idles, whose silence may be noticed later. */
    struct scenario_job *job = scenario_submit(&sc, 0, 4 * N_TASKS, TASK_MS);
    scenario_wait_busy(&sc, job);
    for (unsigned i = 3; i < 6; i++) {
        scenario_strike(&sc, i, "on the other side");
        lab_partition(sc.hosts[i], 1);
    }
    scenario_expect_down(&sc, 3, SCENARIO_SILENCE_MS);
    scenario_expect_down(&sc, 4, SCENARIO_SILENCE_MS);
    scenario_expect_down(&sc, 5, SCENARIO_SILENCE_MS);
    scenario_expect_results(&sc, job);
    scenario_expect_reruns(&sc, -1); /* the cores that are left have work of their own */
    for (unsigned i = 3; i < 6; i++) {
        lab_partition(sc.hosts[i], 0);
    }
    scenario_mark(&sc, -1, "healed");
    scenario_figure(&sc, "whole again after", scenario_wait_whole(&sc), "ms", HEAL_MS);
    scenario_expect_results(&sc, scenario_submit(&sc, 0, N_TASKS, 50));
    scenario_end(&sc);
}
END_TEST

/* Discovery by mDNS does not pass; whoever names a peer is in, and knows the others by it. */
START_TEST(multicast_blocked)
{
    struct scenario sc;
    static const char *const flags[] = {"--peer", "10.99.0.1:6374", NULL};
    scenario_begin(&sc, "multicast blocked, one --peer", &(struct scenario_setup){.is_late = true});
    for (unsigned i = 0; i < sc.n_hosts; i++) {
        lab_fault_both(sc.hosts[i], (struct switch_fault){.has_no_multicast = true});
    }
    scenario_mark(&sc, -1, "multicast is blocked");
    for (unsigned i = 0; i < sc.n_hosts; i++) {
        sc.setup.flags = i == 0 ? NULL : flags;
        scenario_start(&sc, i);
    }
    scenario_figure(&sc, "whole after", scenario_wait_whole(&sc), "ms", -1);
    scenario_expect_results(&sc, scenario_submit(&sc, 0, N_TASKS, 200));
    scenario_end(&sc);
}
END_TEST

/* --- names and addresses ------------------------------------------------------------------- */

struct moved {
    struct scenario *sc;
    unsigned host;
};

/* Whether this row shows the host up, and at the address that it had first. */
static bool is_old(const struct moved *moved, const struct daemon_peer *row)
{
    const struct lab_host *host = moved->sc->hosts[moved->host];
    char old[32];
    int n = snprintf(old, sizeof(old), "%s:", host->address);
    return strcmp(row->name, host->name) == 0 && strcmp(row->state, "up") == 0 &&
           strncmp(row->address, old, (size_t)n) == 0;
}

/* The submitter has no session with it there any more. */
static bool is_lost(void *context)
{
    const struct moved *moved = context;
    struct daemon_peers peers;
    ck_assert(daemon_get_peers(moved->sc->hosts[0], &peers));
    const struct daemon_peer *row = daemon_find(&peers, moved->sc->hosts[moved->host]->name);
    return row == NULL || !is_old(moved, row);
}

/* Everybody sees everybody, and this one where it is now. */
static bool has_moved(void *context)
{
    const struct moved *moved = context;
    for (unsigned i = 0; i < moved->sc->n_hosts; i++) {
        struct daemon_peers peers;
        unsigned n_good = 0;
        ck_assert(daemon_get_peers(moved->sc->hosts[i], &peers));
        for (unsigned k = 0; k < peers.n; k++) {
            const struct daemon_peer *row = &peers.rows[k];
            n_good += !row->is_local && strcmp(row->state, "up") == 0 && !is_old(moved, row);
        }
        if (n_good != moved->sc->n_hosts - 1) {
            return false;
        }
    }
    return true;
}

static void expect_moved(struct scenario *sc, unsigned host)
{
    struct moved moved = {.sc = sc, .host = host};
    if (!lab_until(is_lost, &moved, SCENARIO_PATIENCE_MS)) {
        lab_fail(sc->lab, "nobody misses %s at its old address", sc->hosts[host]->name);
    }
    scenario_mark(sc, (int)host, "missed at its old address");
    scenario_figure(sc, "noticed after", scenario_ms_since(sc->struck_ns), "ms", -1);
    if (!lab_until(has_moved, &moved, SCENARIO_PATIENCE_MS)) {
        lab_fail(sc->lab, "%s is not seen at its new address by all", sc->hosts[host]->name);
    }
    scenario_mark(sc, (int)host, "seen by all at its new address");
    scenario_figure(sc, "whole again after", scenario_ms_since(sc->struck_ns), "ms", -1);
}

/* There is no IPv6, whose addresses of the link would stay what they are. */
START_TEST(another_address_by_dhcp)
{
    struct scenario sc;
    char line[LAB_PATH_BYTES_MAX];
    scenario_begin(&sc, "another address by DHCP", &late);
    for (unsigned i = 0; i < sc.n_hosts; i++) {
        scenario_shell(&sc, i, "echo 1 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6");
        scenario_start(&sc, i);
    }
    scenario_wait_whole(&sc);
    struct scenario_job *job = scenario_submit(&sc, 0, N_TASKS, TASK_MS);
    unsigned victim = scenario_wait_busy(&sc, job);
    ck_assert(!is_lost(&(struct moved){.sc = &sc, .host = victim})); /* or it says nothing */
    scenario_strike(&sc, victim, "another address");
    scenario_shell(&sc, victim, "ip -4 addr flush dev eth0 && ip addr add 10.99.0.200/24 dev eth0");
    expect_moved(&sc, victim);
    scenario_expect_results(&sc, job);
    const char *name = sc.hosts[victim]->name;
    snprintf(line, sizeof(line), "test \"$(%s --socket %s submit --on %s 'echo $MESH_PEER')\" = %s",
             getenv("MESH"), DAEMON_SOCKET, name, name);
    scenario_shell(&sc, 0, line);
    scenario_expect_results(&sc, scenario_submit(&sc, 0, N_TASKS, 50));
    scenario_end(&sc);
}
END_TEST

/* The peer is its key: it is at work under its old name, and after a restart under the new one. */
START_TEST(another_host_name)
{
    struct scenario sc;
    scenario_begin(&sc, "a host is renamed", NULL);
    struct scenario_job *job = scenario_submit(&sc, 0, N_TASKS, TASK_MS);
    unsigned victim = scenario_wait_busy(&sc, job);
    scenario_strike(&sc, victim, "renamed");
    scenario_shell(&sc, victim, "hostname gustav");
    scenario_expect_results(&sc, job);
    ck_assert_uint_eq(scenario_count_runs(&sc, -1), N_TASKS);
    scenario_expect_no_downs(&sc);
    lab_stop(sc.daemons[victim], SCENARIO_PATIENCE_MS);
    scenario_start(&sc, victim);
    scenario_figure(&sc, "whole again after", scenario_wait_whole(&sc), "ms", -1);
    daemon_wait_state(sc.hosts[0], "gustav", "up", SCENARIO_PATIENCE_MS);
    scenario_expect_results(&sc, scenario_submit(&sc, 0, N_TASKS, 50));
    scenario_end(&sc);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cable");
    scenario_add(suite, cable_out_for_1_s);
    scenario_add(suite, cable_out_for_5_s);
    scenario_add(suite, cable_out_for_30_s);
    scenario_add(suite, a_peer_that_is_not_heard);
    scenario_add(suite, a_peer_that_hears_nothing);
    scenario_add(suite, loss_of_1_percent);
    scenario_add(suite, loss_of_5_percent);
    scenario_add(suite, loss_of_20_percent);
    scenario_add(suite, delay_of_200_ms);
    scenario_add(suite, overtaking_and_doubling);
    scenario_add(suite, corruption_that_checksums_find);
    scenario_add(suite, corruption_that_checksums_do_not_find);
    scenario_add(suite, slow_line);
    scenario_add(suite, partition_of_3_and_3);
    scenario_add(suite, multicast_blocked);
    scenario_add(suite, another_address_by_dhcp);
    scenario_add(suite, another_host_name);
    return lab_run_suite(suite);
}
