/* Peers that nobody has told of one another. No flag but --state and --socket, no daemon of
 * Avahi's, an own /run without any D-Bus. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lab/daemons.h"

#define N_PEERS  4
#define N_ROUNDS 5
/* Under valgrind or on a loaded machine things take longer; that they happen is what is tested
 * first, and how fast against its own limit. */
#define PATIENCE_MS 20000

static const char *const names[N_PEERS] = {"hal", "lily", "max", "rosa"};

struct mesh {
    struct lab *lab;
    struct lab_host *hosts[N_PEERS];
    struct lab_process *daemons[N_PEERS];
};

/* Figures are held to their limits unless daemons run under a checker that slows them. */
static bool is_timed(void)
{
    return getenv("MESH_LAB_WRAP") == NULL;
}

static void make_hosts(struct mesh *mesh)
{
    mesh->lab = lab_new();
    for (unsigned i = 0; i < N_PEERS; i++) {
        mesh->hosts[i] = lab_host(mesh->lab, names[i]);
    }
}

static void start_first(struct mesh *mesh, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        mesh->daemons[i] = daemon_start(mesh->hosts[i], NULL);
    }
}

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a;
    const uint64_t *y = b;
    return (*x > *y) - (*x < *y);
}

static double median_ms(uint64_t *times_ns, unsigned n)
{
    qsort(times_ns, n, sizeof(*times_ns), compare);
    return (double)times_ns[n / 2] / 1e6;
}

static void stop_all(struct mesh *mesh)
{
    for (unsigned i = 0; i < N_PEERS; i++) {
        lab_stop(mesh->daemons[i], PATIENCE_MS);
    }
}

static void wipe_state(struct mesh *mesh)
{
    for (unsigned i = 0; i < N_PEERS; i++) {
        ck_assert_int_eq(
            lab_run(mesh->hosts[i], PATIENCE_MS, NULL, "rm", "-rf", "/var/lib/mesh", NULL), 0);
    }
}

START_TEST(four_peers_find_one_another_without_configuration)
{
    struct mesh mesh;
    make_hosts(&mesh);
    uint64_t times_ns[N_ROUNDS];
    for (unsigned i_round = 0; i_round < N_ROUNDS; i_round++) {
        uint64_t started_ns = lab_now_ns();
        start_first(&mesh, N_PEERS);
        times_ns[i_round] = daemon_wait_whole_mesh(mesh.hosts, N_PEERS, PATIENCE_MS) - started_ns;
        stop_all(&mesh);
        wipe_state(&mesh); /* nobody is remembered: each round is a first meeting */
    }
    double ms = median_ms(times_ns, N_ROUNDS);
    printf("# figure: discovery: 4 peers started at once all list one another as up after %.0f ms"
           " (median of %d, slowest %.0f)\n",
           ms, N_ROUNDS, (double)times_ns[N_ROUNDS - 1] / 1e6);
    ck_assert_msg(!is_timed() || ms < 800, "%.0f ms", ms);
    lab_free(mesh.lab);
}
END_TEST

START_TEST(a_late_joiner_sees_and_is_seen_at_once)
{
    struct mesh mesh;
    make_hosts(&mesh);
    uint64_t times_ns[N_ROUNDS];
    start_first(&mesh, N_PEERS - 1);
    daemon_wait_whole_mesh(mesh.hosts, N_PEERS - 1, PATIENCE_MS);
    for (unsigned i_round = 0; i_round < N_ROUNDS; i_round++) {
        uint64_t started_ns = lab_now_ns();
        mesh.daemons[N_PEERS - 1] = daemon_start(mesh.hosts[N_PEERS - 1], NULL);
        times_ns[i_round] = daemon_wait_whole_mesh(mesh.hosts, N_PEERS, PATIENCE_MS) - started_ns;
        lab_stop(mesh.daemons[N_PEERS - 1], PATIENCE_MS);
        /* It comes back as somebody who was never here. */
        ck_assert_int_eq(
            lab_run(mesh.hosts[N_PEERS - 1], PATIENCE_MS, NULL, "rm", "-rf", "/var/lib/mesh", NULL),
            0);
        daemon_wait_whole_mesh(mesh.hosts, N_PEERS - 1, PATIENCE_MS);
    }
    double ms = median_ms(times_ns, N_ROUNDS);
    printf("# figure: discovery: a late joiner and 3 others list one another as up after %.0f ms"
           " (median of %d, slowest %.0f)\n",
           ms, N_ROUNDS, (double)times_ns[N_ROUNDS - 1] / 1e6);
    ck_assert_msg(!is_timed() || ms < 500, "%.0f ms", ms);
    lab_free(mesh.lab);
}
END_TEST

START_TEST(peers_lists_who_is_here_local_first)
{
    struct mesh mesh;
    make_hosts(&mesh);
    start_first(&mesh, N_PEERS - 1);
    mesh.daemons[N_PEERS - 1] =
        daemon_start(mesh.hosts[N_PEERS - 1], "--cores", "7", "--name", "shelf", NULL);
    daemon_wait_whole_mesh(mesh.hosts, N_PEERS, PATIENCE_MS);
    struct daemon_peers peers;
    ck_assert(daemon_get_peers(mesh.hosts[0], &peers));
    ck_assert_uint_eq(peers.n, N_PEERS);
    ck_assert(peers.rows[0].is_local);
    ck_assert_str_eq(peers.rows[0].name, "hal");
    ck_assert(!peers.rows[0].has_rtt);
    for (unsigned i = 1; i < peers.n; i++) {
        ck_assert(!peers.rows[i].is_local);
        ck_assert_uint_eq(strlen(peers.rows[i].id), strlen("k3vq-7d2m"));
        ck_assert_str_ne(peers.rows[i].id, peers.rows[i - 1].id);
        ck_assert_str_eq(peers.rows[i].arch, peers.rows[0].arch);
        ck_assert_str_ne(peers.rows[i].address, "");
    }
    const struct daemon_peer *shelf = daemon_find(&peers, "shelf");
    ck_assert_ptr_nonnull(shelf);
    ck_assert_uint_eq(shelf->cores, 7);
    /* Cores that change while it runs are seen by the others. */
    lab_expect(daemon_ask(mesh.hosts[N_PEERS - 1], "cores", "3", NULL), PATIENCE_MS, 0);
    bool is_seen = false;
    for (unsigned i = 0; i < 200 && !is_seen; i++) {
        ck_assert(daemon_get_peers(mesh.hosts[0], &peers));
        shelf = daemon_find(&peers, "shelf");
        is_seen = shelf != NULL && shelf->cores == 3;
    }
    ck_assert(is_seen);
    stop_all(&mesh);
    lab_free(mesh.lab);
}
END_TEST

START_TEST(a_peer_keeps_its_identity_over_a_restart_and_comes_back_after_a_cut)
{
    struct mesh mesh;
    make_hosts(&mesh);
    start_first(&mesh, N_PEERS);
    daemon_wait_whole_mesh(mesh.hosts, N_PEERS, PATIENCE_MS);
    struct daemon_peers before;
    ck_assert(daemon_get_peers(mesh.hosts[1], &before));
    lab_kill(mesh.daemons[1]);
    mesh.daemons[1] = daemon_start(mesh.hosts[1], NULL);
    daemon_wait_whole_mesh(mesh.hosts, N_PEERS, PATIENCE_MS);
    struct daemon_peers after;
    ck_assert(daemon_get_peers(mesh.hosts[1], &after));
    ck_assert_str_eq(before.rows[0].key, after.rows[0].key);
    lab_cut(mesh.hosts[2]);
    daemon_wait_state(mesh.hosts[0], "max", "down", PATIENCE_MS);
    daemon_wait_state(mesh.hosts[2], "hal", "down", PATIENCE_MS);
    uint64_t healed_ns = lab_now_ns();
    lab_plug(mesh.hosts[2]);
    uint64_t whole_ns = daemon_wait_whole_mesh(mesh.hosts, N_PEERS, PATIENCE_MS);
    printf("# figure: discovery: whole again %.0f ms after a cut cable was restored\n",
           (double)(whole_ns - healed_ns) / 1e6);
    stop_all(&mesh);
    lab_free(mesh.lab);
}
END_TEST

/* Whether its kernel looks for the host that names are asked of. */
static bool asks_a_server(void *context)
{
    return lab_run(context, PATIENCE_MS, NULL, "/bin/sh", "-c",
                   "ip neighbour show 10.99.0.77 | grep -q .", NULL) == 0;
}

/* The name server is a host that is not there: a look-up takes 15 s and more, and cannot be ended.
 */
START_TEST(a_name_that_is_being_looked_up_does_not_hold_up_the_end)
{
    struct lab *lab = lab_new();
    struct lab_host *hal = lab_host(lab, "hal");
    int status = lab_run(hal, PATIENCE_MS, NULL, "/bin/sh", "-c",
                         "echo 'nameserver 10.99.0.77' >/run/resolv.conf && "
                         "echo 'options timeout:30 attempts:5' >>/run/resolv.conf && "
                         "real=$(readlink -m /etc/resolv.conf) && "
                         "mkdir -p $(dirname $real) && touch $real && "
                         "{ [ $real = /run/resolv.conf ] || mount --bind /run/resolv.conf $real; }",
                         NULL);
    ck_assert_int_eq(status, 0);
    struct lab_process *daemon = daemon_start(hal, "--peer", "peer.example:6374", NULL);
    daemon_wait_whole_mesh(&hal, 1, PATIENCE_MS);
    ck_assert(lab_until(asks_a_server, hal, PATIENCE_MS));
    uint64_t told_ns = lab_now_ns();
    lab_stop(daemon, PATIENCE_MS);
    double ms = (double)(lab_now_ns() - told_ns) / 1e6;
    ck_assert_msg(!is_timed() || ms < 8000, "%.0f ms", ms);
    lab_free(lab);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("discovery");
    TCase *tc = tcase_create("discovery");
    tcase_set_timeout(tc, is_timed() ? 60 : 280);
    tcase_add_test(tc, four_peers_find_one_another_without_configuration);
    tcase_add_test(tc, a_late_joiner_sees_and_is_seen_at_once);
    tcase_add_test(tc, peers_lists_who_is_here_local_first);
    tcase_add_test(tc, a_peer_keeps_its_identity_over_a_restart_and_comes_back_after_a_cut);
    tcase_add_test(tc, a_name_that_is_being_looked_up_does_not_hold_up_the_end);
    suite_add_tcase(suite, tc);
    return lab_run_suite(suite);
}
