/* Hosts that run the system's avahi-daemon beside hosts that run none, where meshd answers mDNS
 * itself: one mesh, also after the avahi-daemons have restarted or gone for good. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lab/daemons.h"

#define N_HOSTS     4
#define N_AVAHI     2 /* the first ones */
#define PATIENCE_MS 30000

/* Each host has its own /run, so the bus lies where everyone looks for it. No user is named, for in
 * a lab of an ordinary user there is but one. */
static const char bus_config[] =
    "<busconfig>\n"
    "<listen>unix:path=/run/dbus/system_bus_socket</listen>\n"
    "<policy context=\"default\"><allow user=\"*\"/><allow own=\"*\"/>\n"
    "<allow send_type=\"method_call\"/><allow send_type=\"signal\"/>\n"
    "<allow send_requested_reply=\"true\"/><allow receive_type=\"method_call\"/>\n"
    "<allow receive_type=\"method_return\"/><allow receive_type=\"error\"/>\n"
    "<allow receive_type=\"signal\"/></policy>\n"
    "</busconfig>\n";

struct scene {
    struct lab *lab;
    struct lab_host *hosts[N_HOSTS];
    struct lab_process *avahi[N_AVAHI];
    struct lab_process *daemons[N_HOSTS];
};

/* A file on the lab's tmpfs; *path is where every host sees it. */
static void write_shared(struct scene *scene, const char *name, const char *text,
                         char path[static LAB_PATH_BYTES_MAX])
{
    snprintf(path, LAB_PATH_BYTES_MAX, "%s/%s", lab_share(scene->lab), name);
    FILE *file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

static void run(struct lab_host *host, const char *program, const char *a, const char *b,
                const char *c)
{
    struct lab_process *process;
    ck_assert_int_eq(lab_run(host, PATIENCE_MS, &process, program, a, b, c, NULL), 0);
}

/* avahi-daemon wants its folder to be user avahi's, whose number a lab of an ordinary user does not
 * have: on these hosts it is the only one that there is. */
static void name_users(struct scene *scene, struct lab_host *host)
{
    char path[LAB_PATH_BYTES_MAX];
    write_shared(scene, "passwd", "root:x:0:0::/root:/bin/sh\navahi:x:0:0::/:/bin/false\n", path);
    run(host, "mount", "--bind", path, "/etc/passwd");
    write_shared(scene, "group", "root:x:0:\navahi:x:0:\n", path);
    run(host, "mount", "--bind", path, "/etc/group");
}

static void start_bus(struct scene *scene, struct lab_host *host)
{
    char path[LAB_PATH_BYTES_MAX];
    char option[LAB_PATH_BYTES_MAX + 32];
    write_shared(scene, "bus.conf", bus_config, path);
    name_users(scene, host);
    run(host, "mkdir", "-p", "/run/dbus", "/run/avahi-daemon");
    snprintf(option, sizeof(option), "--config-file=%s", path);
    struct lab_process *bus =
        lab_spawn(host, "dbus-daemon", option, "--nofork", "--nopidfile", "--print-address", NULL);
    if (!lab_wait_text(bus, "unix:path=", PATIENCE_MS)) {
        lab_fail(scene->lab, "no D-Bus daemon on %s", host->name);
    }
}

static void start_avahi(struct scene *scene, unsigned i)
{
    struct lab_process *avahi = lab_spawn(scene->hosts[i], "avahi-daemon", "--no-drop-root",
                                          "--no-chroot", "--no-rlimits", NULL);
    if (!lab_wait_text(avahi, "Server startup complete", PATIENCE_MS)) {
        lab_fail(scene->lab, "no avahi-daemon on %s", scene->hosts[i]->name);
    }
    scene->avahi[i] = avahi;
}

static void make_scene(struct scene *scene)
{
    static const char *const names[] = {"hal", "lily", "max", "rosa"};
    memset(scene, 0, sizeof(*scene));
    scene->lab = lab_new();
    for (unsigned i = 0; i < N_HOSTS; i++) {
        scene->hosts[i] = lab_host(scene->lab, names[i]);
    }
    for (unsigned i = 0; i < N_AVAHI; i++) {
        start_bus(scene, scene->hosts[i]);
        start_avahi(scene, i);
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
        start_avahi(&scene, i);
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
