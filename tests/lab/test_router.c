/* How far a mesh reaches: an open one to the end of the link, a closed one over a router. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/lab/closed.h"

/* Long beside the way over the router (0.2 ms): a connection that is not there by then was not let
 * in. */
#define CONNECT_MS   1500
#define CONTROL_PORT 9999

enum { HAL, LILY, FAR, N_PEERS };

struct scene {
    struct lab *lab;
    struct lab_host *hosts[N_PEERS];
    struct lab_process *daemons[N_PEERS];
};

static void sh(struct lab_host *host, const char *line)
{
    if (lab_run(host, CLOSED_PATIENCE_MS, NULL, "sh", "-ec", line, NULL) != 0) {
        lab_fail(host->lab, "%s: %s", host->name, line);
    }
}

/* far is in a network of its own, 10.98.0.0/24; hal and lily reach it over the router. It is on the
 * same switch, so what it multicasts would reach them: it does not. */
static void make_scene(struct scene *scene)
{
    static const char *const names[N_PEERS] = {"hal", "lily", "far"};
    memset(scene, 0, sizeof(*scene));
    scene->lab = lab_new();
    struct lab_host *router = lab_host(scene->lab, "router"); /* 10.99.0.1 */
    for (unsigned i = 0; i < N_PEERS; i++) {
        scene->hosts[i] = lab_host(scene->lab, names[i]);
    }
    sh(router, "ip addr add 10.98.0.1/24 dev eth0; cd /proc/sys/net/ipv4; echo 1 > ip_forward;"
               "echo 0 > conf/all/send_redirects; echo 0 > conf/eth0/send_redirects");
    sh(scene->hosts[FAR], "ip addr flush dev eth0; ip addr add 10.98.0.2/24 dev eth0;"
                          "ip route add default via 10.98.0.1");
    sh(scene->hosts[HAL], "ip route add 10.98.0.0/24 via 10.99.0.1");
    sh(scene->hosts[LILY], "ip route add 10.98.0.0/24 via 10.99.0.1");
    scene->daemons[HAL] = closed_start(scene->hosts[HAL], "0");
    scene->daemons[LILY] = closed_start(scene->hosts[LILY], "0");
    scene->daemons[FAR] =
        daemon_start(scene->hosts[FAR], "--discovery", "off", "--cores", "2", "--bind-rw",
                     daemon_log_folder(scene->lab), "--log-level", "debug", NULL);
    daemon_wait_whole_mesh(scene->hosts, 2, CLOSED_PATIENCE_MS);
    daemon_wait_whole_mesh(&scene->hosts[FAR], 1, CLOSED_PATIENCE_MS);
}

struct way {
    const char *address;
    uint16_t port;
};

/* 0: connected; 3: nothing came back. */
static int try_connect(void *context)
{
    const struct way *way = context;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(way->port)};
    int sock = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (sock < 0 || inet_pton(AF_INET, way->address, &to.sin_addr) != 1) {
        return 1;
    }
    if (connect(sock, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS) {
        return 1;
    }
    struct pollfd wanted = {.fd = sock, .events = POLLOUT};
    int error = 0;
    socklen_t n = sizeof(error);
    if (poll(&wanted, 1, CONNECT_MS) == 0) {
        return 3;
    }
    return getsockopt(sock, SOL_SOCKET, SO_ERROR, &error, &n) == 0 && error == 0 ? 0 : 1;
}

static int listen_for_ever(void *context)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(CONTROL_PORT)};
    int sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (sock < 0 || bind(sock, (struct sockaddr *)&any, sizeof(any)) < 0 || listen(sock, 4) < 0) {
        return 1;
    }
    printf("listening\n");
    fflush(stdout);
    for (;;) {
        pause();
    }
}

/* From far to hal's daemon: whether it is answered. */
static void expect_way(struct scene *scene, bool is_there)
{
    struct daemon_peers peers;
    unsigned port;
    ck_assert(daemon_get_peers(scene->hosts[HAL], &peers));
    ck_assert_int_eq(sscanf(strrchr(peers.rows[0].address, ':'), ":%u", &port), 1);
    struct way way = {.address = scene->hosts[HAL]->address, .port = (uint16_t)port};
    lab_expect(lab_call(scene->hosts[FAR], try_connect, &way), CLOSED_PATIENCE_MS,
               is_there ? 0 : 3);
}

START_TEST(an_open_mesh_ends_with_its_link_and_a_closed_one_does_not)
{
    struct scene scene;
    make_scene(&scene);
    /* The way is there: other programs take it. */
    struct lab_process *control = lab_call(scene.hosts[HAL], listen_for_ever, NULL);
    ck_assert(lab_wait_text(control, "listening", CLOSED_PATIENCE_MS));
    struct way way = {.address = scene.hosts[HAL]->address, .port = CONTROL_PORT};
    lab_expect(lab_call(scene.hosts[FAR], try_connect, &way), CLOSED_PATIENCE_MS, 0);
    expect_way(&scene, false);

    closed_lock(scene.hosts[HAL]);
    expect_way(&scene, true);
    closed_take_in(scene.hosts[HAL], scene.hosts[LILY]);
    closed_take_in(scene.hosts[HAL], scene.hosts[FAR]);
    /* lily and far hear of one another from hal. */
    daemon_wait_whole_mesh(scene.hosts, N_PEERS, CLOSED_PATIENCE_MS);
    lab_expect(closed_submit(scene.hosts[LILY], 100, 4, "50"), CLOSED_PATIENCE_MS, 0);
    ck_assert_uint_eq(closed_n_started(scene.hosts[FAR], 100, 4), 4);
    /* A ban is told over the router, too, and takes what is there at once. */
    closed_ban(scene.hosts[FAR], "lily");
    closed_wait_detail(scene.hosts[HAL], "lily", "refused", "banned");
    ck_assert(daemon_sees_up(scene.hosts[FAR], 1));

    /* Open again, it ends with the link again: from the next packet on. */
    lab_expect(daemon_ask(scene.hosts[HAL], "unlock", NULL), CLOSED_PATIENCE_MS, 0);
    expect_way(&scene, false);
    lab_expect(daemon_ask(scene.hosts[FAR], "unlock", NULL), CLOSED_PATIENCE_MS, 0);
    lab_expect(daemon_ask(scene.hosts[LILY], "unlock", NULL), CLOSED_PATIENCE_MS, 0);
    daemon_wait_whole_mesh(scene.hosts, 2, CLOSED_PATIENCE_MS);
    ck_assert(daemon_sees_up(scene.hosts[FAR], 0));
    for (unsigned i = 0; i < N_PEERS; i++) {
        lab_stop(scene.daemons[i], CLOSED_PATIENCE_MS);
    }
    lab_free(scene.lab);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("router");
    TCase *tc = tcase_create("router");
    tcase_set_timeout(tc, getenv("MESH_LAB_WRAP") == NULL ? 120 : 280);
    tcase_add_test(tc, an_open_mesh_ends_with_its_link_and_a_closed_one_does_not);
    suite_add_tcase(suite, tc);
    return lab_run_suite(suite);
}
