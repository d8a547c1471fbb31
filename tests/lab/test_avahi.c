/* Hosts that run the system's avahi-daemon beside hosts that run none, where meshd answers mDNS
 * itself: one mesh, also after the avahi-daemons have restarted or gone for good. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lab/avahi.h"
#include "tests/lab/daemons.h"

#define N_HOSTS     4
#define N_AVAHI     2 /* the first ones */
#define PATIENCE_MS 30000

struct scene {
    struct lab *lab;
    struct lab_host *hosts[N_HOSTS];
    struct lab_process *avahi[N_AVAHI];
    struct lab_process *daemons[N_HOSTS];
};

static void make_scene(struct scene *scene)
{
    static const char *const names[] = {"hal", "lily", "max", "rosa"};
    memset(scene, 0, sizeof(*scene));
    scene->lab = lab_new();
    for (unsigned i = 0; i < N_HOSTS; i++) {
        scene->hosts[i] = lab_host(scene->lab, names[i]);
    }
    for (unsigned i = 0; i < N_AVAHI; i++) {
        lab_start_bus(scene->hosts[i]);
        scene->avahi[i] = lab_start_avahi(scene->hosts[i]);
    }
    for (unsigned i = 0; i < N_HOSTS; i++) {
        scene->daemons[i] = daemon_start(scene->hosts[i], NULL);
    }
    daemon_wait_whole_mesh(scene->hosts, N_HOSTS, PATIENCE_MS);
    for (unsigned i = 0; i < N_HOSTS; i++) {
        const char *text = i < N_AVAHI ? "mDNS goes through avahi-daemon" : "mDNS is answered here";
        if (!lab_wait_text(scene->daemons[i], text, PATIENCE_MS)) {
            lab_fail(scene->lab, "%s does not say: %s", names[i], text);
        }
    }
}

/* One without avahi-daemon comes to those that had one. The others are gone by then, for they would
 * tell of everyone. */
static void expect_newcomer(struct scene *scene)
{
    struct lab_host *hosts[N_AVAHI + 1];
    for (unsigned i = N_AVAHI; i < N_HOSTS; i++) {
        lab_stop(scene->daemons[i], PATIENCE_MS);
    }
    memcpy(hosts, scene->hosts, N_AVAHI * sizeof(hosts[0]));
    hosts[N_AVAHI] = lab_host(scene->lab, "zoe");
    struct lab_process *daemon = daemon_start(hosts[N_AVAHI], NULL);
    daemon_wait_whole_mesh(hosts, N_AVAHI + 1, PATIENCE_MS);
    for (unsigned i = 0; i < N_AVAHI; i++) {
        lab_stop(scene->daemons[i], PATIENCE_MS);
    }
    lab_stop(daemon, PATIENCE_MS);
    lab_free(scene->lab);
}

START_TEST(peers_with_and_without_avahi_daemon_are_one_mesh_through_its_restart)
{
    struct scene scene;
    make_scene(&scene);
    for (unsigned i = 0; i < N_AVAHI; i++) {
        lab_kill(scene.avahi[i]);
        ck_assert(daemon_sees_up(scene.hosts[i], N_HOSTS - 1)); /* mDNS only introduces */
        scene.avahi[i] = lab_start_avahi(scene.hosts[i]);
        /* Under a checker it may have taken too long, and be embedded by now: as good. */
        if (!lab_wait_text(scene.daemons[i], "avahi-daemon answers", PATIENCE_MS) &&
            getenv("MESH_LAB_WRAP") == NULL) {
            lab_fail(scene.lab, "%s does not use the new avahi-daemon", scene.hosts[i]->name);
        }
    }
    expect_newcomer(&scene);
}
END_TEST

START_TEST(where_avahi_daemon_goes_for_good_meshd_answers_itself)
{
    struct scene scene;
    make_scene(&scene);
    for (unsigned i = 0; i < N_AVAHI; i++) {
        lab_kill(scene.avahi[i]);
    }
    for (unsigned i = 0; i < N_AVAHI; i++) {
        if (!lab_wait_text(scene.daemons[i], "answering mDNS ourselves", PATIENCE_MS)) {
            lab_fail(scene.lab, "%s does not embed a responder", scene.hosts[i]->name);
        }
    }
    expect_newcomer(&scene);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("avahi");
    TCase *tc = tcase_create("avahi");
    tcase_set_timeout(tc, getenv("MESH_LAB_WRAP") == NULL ? 60 : 280);
    tcase_add_test(tc, peers_with_and_without_avahi_daemon_are_one_mesh_through_its_restart);
    tcase_add_test(tc, where_avahi_daemon_goes_for_good_meshd_answers_itself);
    suite_add_tcase(suite, tc);
    return lab_run_suite(suite);
}
