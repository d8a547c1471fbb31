/* A mesh that is closed while it runs: who is in, who is out, and that nobody has to be restarted.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lab/closed.h"

#define N_HOSTS 4
#define N_TASKS 12
#define TASK_MS "400"

enum { HAL, LILY, MAX, ROSA };

struct scene {
    struct lab *lab;
    struct lab_host *hosts[N_HOSTS];
    struct lab_process *daemons[N_HOSTS];
};

/* Four peers of an open mesh. hal only submits. */
static void make_scene(struct scene *scene)
{
    memset(scene, 0, sizeof(*scene));
    scene->lab = lab_new();
    for (unsigned i = 0; i < N_HOSTS; i++) {
        scene->hosts[i] = lab_host(scene->lab, daemon_names[i]);
    }
    for (unsigned i = 0; i < N_HOSTS; i++) {
        scene->daemons[i] = closed_start(scene->hosts[i], i == HAL ? "0" : "2");
    }
    daemon_wait_whole_mesh(scene->hosts, N_HOSTS, CLOSED_PATIENCE_MS);
}

static void end_scene(struct scene *scene)
{
    for (unsigned i = 0; i < N_HOSTS; i++) {
        if (scene->daemons[i] != NULL) {
            lab_stop(scene->daemons[i], CLOSED_PATIENCE_MS);
        }
    }
    lab_free(scene->lab);
}

static void restart(struct scene *scene, unsigned i)
{
    lab_stop(scene->daemons[i], CLOSED_PATIENCE_MS);
    scene->daemons[i] = closed_start(scene->hosts[i], i == HAL ? "0" : "2");
}

/* A job of hal's, each task of which ran once, on these two hosts and on no other. */
static void expect_spread(struct scene *scene, unsigned first, unsigned i_one, unsigned i_two)
{
    lab_expect(closed_submit(scene->hosts[HAL], first, N_TASKS, TASK_MS), CLOSED_PATIENCE_MS, 0);
    unsigned n_one = closed_n_started(scene->hosts[i_one], first, N_TASKS);
    unsigned n_two = closed_n_started(scene->hosts[i_two], first, N_TASKS);
    ck_assert_uint_gt(n_one, 0);
    ck_assert_uint_gt(n_two, 0);
    for (unsigned i = 0; i < N_HOSTS; i++) {
        if (i != i_one && i != i_two && scene->daemons[i] != NULL) {
            ck_assert_uint_eq(closed_n_started(scene->hosts[i], first, N_TASKS), 0);
        }
    }
}

/* A job of this host's runs there and nowhere else. */
static void expect_alone(struct scene *scene, unsigned i_host, unsigned first)
{
    lab_expect(closed_submit(scene->hosts[i_host], first, 4, "50"), CLOSED_PATIENCE_MS, 0);
    for (unsigned i = 0; i < N_HOSTS; i++) {
        ck_assert_uint_eq(closed_n_started(scene->hosts[i], first, 4), i == i_host ? 4 : 0);
    }
}

START_TEST(a_mesh_is_closed_around_those_who_were_invited)
{
    struct scene scene;
    make_scene(&scene);
    closed_lock(scene.hosts[HAL]);
    ck_assert(daemon_sees_up(scene.hosts[HAL], 0)); /* at once: nobody was invited yet */
    closed_take_in(scene.hosts[HAL], scene.hosts[LILY]);
    closed_take_in(scene.hosts[LILY], scene.hosts[MAX]); /* each member may invite */
    daemon_wait_whole_mesh(scene.hosts, 3, CLOSED_PATIENCE_MS);
    for (unsigned i = 0; i < 3; i++) {
        struct closed_state state = closed_get_state(scene.hosts[i]);
        ck_assert(state.is_locked);
        ck_assert_uint_eq(state.generation, 1);
    }
    expect_spread(&scene, 1000, LILY, MAX);
    /* Who was not invited sees why, and is alone. */
    for (unsigned i = 0; i < 3; i++) {
        closed_wait_detail(scene.hosts[ROSA], daemon_names[i], "refused", "another mesh");
        closed_wait_detail(scene.hosts[i], "rosa", "refused", "another mesh");
    }
    ck_assert(daemon_sees_up(scene.hosts[ROSA], 0));
    ck_assert(!closed_get_state(scene.hosts[ROSA]).is_locked);
    expect_alone(&scene, ROSA, 2000);
    /* It stays so over a restart of all. */
    for (unsigned i = 0; i < N_HOSTS; i++) {
        restart(&scene, i);
    }
    daemon_wait_whole_mesh(scene.hosts, 3, CLOSED_PATIENCE_MS);
    ck_assert(daemon_sees_up(scene.hosts[ROSA], 0));
    expect_spread(&scene, 3000, LILY, MAX);
    end_scene(&scene);
}
END_TEST

START_TEST(an_invitation_is_good_for_one_key_for_its_time_and_as_it_was_written)
{
    struct scene scene;
    char code[CLOSED_CODE_BYTES];
    make_scene(&scene);
    closed_expect_refusal(daemon_ask(scene.hosts[HAL], "invite", NULL), "this mesh is open");
    closed_lock(scene.hosts[HAL]);
    closed_expect_refusal(daemon_ask(scene.hosts[HAL], "lock", NULL), "closed mesh already");
    closed_invite(scene.hosts[HAL], "10", code);
    lab_expect(closed_join_begin(scene.hosts[LILY], code), CLOSED_PATIENCE_MS, 0);
    closed_expect_refusal(closed_join_begin(scene.hosts[MAX], code), "no such invitation");
    ck_assert(!closed_get_state(scene.hosts[MAX]).is_locked);
    closed_expect_refusal(closed_join_begin(scene.hosts[LILY], code), "closed mesh already");
    /* The key that used it may use it again. */
    lab_expect(daemon_ask(scene.hosts[LILY], "unlock", NULL), CLOSED_PATIENCE_MS, 0);
    lab_expect(closed_join_begin(scene.hosts[LILY], code), CLOSED_PATIENCE_MS, 0);
    daemon_wait_whole_mesh(scene.hosts, 2, CLOSED_PATIENCE_MS);

    closed_invite(scene.hosts[HAL], "1s", code);
    lab_let_pass(1500);
    closed_expect_refusal(closed_join_begin(scene.hosts[MAX], code), "no such invitation");

    closed_invite(scene.hosts[HAL], "10", code);
    char *digit = strchr(code, '-') + 1;
    char was = *digit;
    *digit = was == '7' ? '8' : '7';
    closed_expect_refusal(closed_join_begin(scene.hosts[MAX], code), "typo");
    *digit = was;
    restart(&scene, HAL); /* what is not used by then is void */
    daemon_wait_whole_mesh(scene.hosts, 2, CLOSED_PATIENCE_MS);
    closed_expect_refusal(closed_join_begin(scene.hosts[MAX], code), "no such invitation");
    lab_stop(scene.daemons[HAL], CLOSED_PATIENCE_MS);
    scene.daemons[HAL] = NULL;
    closed_expect_refusal(closed_join_begin(scene.hosts[MAX], code), "10.99.0.1:");
    ck_assert(!closed_get_state(scene.hosts[MAX]).is_locked);
    end_scene(&scene);
}
END_TEST

/* The TCP connections of this host with those others, one line for each. Rosa's are left out. */
static void list_connections(struct lab_host *host, char *to, size_t n_to)
{
    struct lab_process *process;
    ck_assert_int_eq(
        lab_run(host, CLOSED_PATIENCE_MS, &process, "cat", "/proc/net/tcp", "/proc/net/tcp6", NULL),
        0);
    size_t n = 0;
    to[0] = '\0';
    char copy[16384];
    snprintf(copy, sizeof(copy), "%s", lab_output(process));
    char *rest = copy;
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n")) {
        char local[64], remote[64], state[8];
        /* rosa is host 4: 10.99.0.4, and the end of the link-local address made of 02:...:68:04 */
        if (sscanf(line, "%*s %63s %63s %7s", local, remote, state) == 3 &&
            strcmp(state, "01") == 0 && strstr(remote, "0400630A:") == NULL &&
            strstr(remote, "046873FE:") == NULL) {
            n += (size_t)snprintf(to + n, n_to - n, "%s %s\n", local, remote);
            ck_assert_uint_lt(n, n_to);
        }
    }
}

static bool have_all_started(void *context)
{
    struct scene *scene = context;
    unsigned n = 0;
    for (unsigned i = LILY; i <= ROSA; i++) {
        n += closed_n_started(scene->hosts[i], 4000, 6);
    }
    return n >= 6;
}

START_TEST(a_ban_ends_one_members_sessions_and_no_others)
{
    struct scene scene;
    char before[4096], after[4096];
    make_scene(&scene);
    closed_make(scene.hosts, N_HOSTS);
    struct lab_process *job = closed_submit(scene.hosts[HAL], 4000, 6, "6000");
    ck_assert(lab_until(have_all_started, &scene, CLOSED_PATIENCE_MS));
    unsigned n_rosa = closed_n_started(scene.hosts[ROSA], 4000, 6);
    ck_assert_uint_gt(n_rosa, 0); /* two cores each for six tasks */
    list_connections(scene.hosts[LILY], before, sizeof(before));
    ck_assert_str_ne(before, "");

    closed_ban(scene.hosts[HAL], "rosa");
    for (unsigned i = HAL; i <= MAX; i++) {
        closed_wait_generation(scene.hosts[i], 2);
        closed_wait_detail(scene.hosts[i], "rosa", "refused", "banned");
        ck_assert_uint_eq(closed_get_state(scene.hosts[i]).n_bans, 1);
    }
    ck_assert(daemon_sees_up(scene.hosts[ROSA], 0));
    list_connections(scene.hosts[LILY], after, sizeof(after));
    ck_assert_str_eq(before, after);
    /* What rosa was at runs elsewhere; what the others were at went on. */
    lab_expect(job, CLOSED_PATIENCE_MS, 0);
    unsigned n_again =
        closed_n_started(scene.hosts[LILY], 4000, 6) + closed_n_started(scene.hosts[MAX], 4000, 6);
    ck_assert_uint_eq(n_again, 6);
    ck_assert_uint_eq(closed_n_started(scene.hosts[ROSA], 4000, 6), n_rosa);

    /* The old secret is worth nothing, to the daemon that knows it and to its next life. */
    restart(&scene, ROSA);
    closed_wait_detail(scene.hosts[ROSA], "", "refused", "banned"); /* they tell it no name */
    ck_assert_uint_eq(closed_get_state(scene.hosts[ROSA]).generation, 1);
    expect_alone(&scene, ROSA, 5000);
    ck_assert(daemon_sees_up(scene.hosts[ROSA], 0));
    daemon_wait_whole_mesh(scene.hosts, 3, CLOSED_PATIENCE_MS);
    expect_spread(&scene, 6000, LILY, MAX);

    /* Nor is an invitation, until the ban is lifted. */
    char code[CLOSED_CODE_BYTES];
    lab_expect(daemon_ask(scene.hosts[ROSA], "unlock", NULL), CLOSED_PATIENCE_MS, 0);
    closed_invite(scene.hosts[LILY], "10", code);
    lab_expect(closed_join_begin(scene.hosts[ROSA], code), CLOSED_PATIENCE_MS, 1);
    lab_expect(daemon_ask(scene.hosts[MAX], "ban", "--remove", "rosa", NULL), CLOSED_PATIENCE_MS,
               0);
    for (unsigned i = HAL; i <= MAX; i++) {
        closed_wait_generation(scene.hosts[i], 3);
    }
    closed_take_in(scene.hosts[LILY], scene.hosts[ROSA]);
    daemon_wait_whole_mesh(scene.hosts, N_HOSTS, CLOSED_PATIENCE_MS);
    end_scene(&scene);
}
END_TEST

START_TEST(a_member_that_was_away_during_a_ban_is_told_when_it_is_back)
{
    struct scene scene;
    make_scene(&scene);
    closed_make(scene.hosts, N_HOSTS);
    lab_stop(scene.daemons[MAX], CLOSED_PATIENCE_MS);
    scene.daemons[MAX] = NULL;
    closed_ban(scene.hosts[LILY], "rosa"); /* any member may; not only who locked */
    closed_wait_generation(scene.hosts[HAL], 2);
    scene.daemons[MAX] = closed_start(scene.hosts[MAX], "2");
    daemon_wait_whole_mesh(scene.hosts, 3, CLOSED_PATIENCE_MS);
    closed_wait_generation(scene.hosts[MAX], 2);
    ck_assert_uint_eq(closed_get_state(scene.hosts[MAX]).n_bans, 1);
    expect_spread(&scene, 7000, LILY, MAX);
    ck_assert(daemon_sees_up(scene.hosts[ROSA], 0));
    end_scene(&scene);
}
END_TEST

START_TEST(unlock_leads_back_into_the_open_mesh)
{
    struct scene scene;
    make_scene(&scene);
    closed_make(scene.hosts, 3);
    closed_expect_refusal(daemon_ask(scene.hosts[ROSA], "unlock", NULL), "in no closed mesh");
    lab_expect(daemon_ask(scene.hosts[MAX], "unlock", NULL), CLOSED_PATIENCE_MS, 0);
    daemon_wait_whole_mesh(&scene.hosts[MAX], 2, CLOSED_PATIENCE_MS); /* with rosa */
    daemon_wait_whole_mesh(&scene.hosts[HAL], 2, CLOSED_PATIENCE_MS); /* with lily */
    closed_wait_detail(scene.hosts[HAL], "max", "refused", "another mesh");
    lab_expect(daemon_ask(scene.hosts[LILY], "unlock", NULL), CLOSED_PATIENCE_MS, 0);
    lab_expect(daemon_ask(scene.hosts[HAL], "unlock", NULL), CLOSED_PATIENCE_MS, 0);
    daemon_wait_whole_mesh(scene.hosts, N_HOSTS, CLOSED_PATIENCE_MS);
    end_scene(&scene);
}
END_TEST

START_TEST(a_pinned_name_with_another_key_gets_no_tasks_and_gives_none)
{
    struct scene scene;
    make_scene(&scene);
    lab_expect(daemon_ask(scene.hosts[HAL], "trust", "lily", NULL), CLOSED_PATIENCE_MS, 0);
    lab_expect(daemon_ask(scene.hosts[MAX], "trust", "lily", NULL), CLOSED_PATIENCE_MS, 0);
    ck_assert_uint_eq(closed_get_state(scene.hosts[HAL]).n_pins, 1);
    lab_stop(scene.daemons[LILY], CLOSED_PATIENCE_MS);
    lab_stop(scene.daemons[ROSA], CLOSED_PATIENCE_MS);
    scene.daemons[LILY] = NULL;
    scene.daemons[ROSA] = daemon_start(scene.hosts[ROSA], "--cores", "2", "--name", "lily",
                                       "--bind-rw", daemon_log_folder(scene.lab), NULL);
    closed_wait_detail(scene.hosts[HAL], "lily", "conflict", "pinned");
    closed_wait_detail(scene.hosts[MAX], "lily", "conflict", "pinned");
    lab_expect(closed_submit(scene.hosts[HAL], 8000, N_TASKS, TASK_MS), CLOSED_PATIENCE_MS, 0);
    ck_assert_uint_eq(closed_n_started(scene.hosts[MAX], 8000, N_TASKS), N_TASKS);
    lab_expect(closed_submit(scene.hosts[ROSA], 8100, 6, "50"), CLOSED_PATIENCE_MS, 0);
    ck_assert_uint_eq(closed_n_started(scene.hosts[ROSA], 8100, 6), 6);
    /* Without the pin it is a peer like any other. */
    lab_expect(daemon_ask(scene.hosts[HAL], "trust", "--remove", "lily", NULL), CLOSED_PATIENCE_MS,
               0);
    lab_expect(daemon_ask(scene.hosts[MAX], "trust", "--remove", "lily", NULL), CLOSED_PATIENCE_MS,
               0);
    struct lab_host *rest[] = {scene.hosts[HAL], scene.hosts[MAX], scene.hosts[ROSA]};
    daemon_wait_whole_mesh(rest, 3, CLOSED_PATIENCE_MS);
    end_scene(&scene);
}
END_TEST

#define GROUP_MESH "4711"

/* Where the lab has one user only there are no others to try with. */
static bool has_other_users(struct lab_host *host)
{
    return lab_run(host, CLOSED_PATIENCE_MS, NULL, "setpriv", "--reuid", "1", "--regid", "1",
                   "--groups", GROUP_MESH, "true", NULL) == 0;
}

/* This host has a group mesh, which may use the socket. */
static void make_group(struct lab_host *host)
{
    char path[LAB_PATH_BYTES_MAX];
    snprintf(path, sizeof(path), "%s/group", lab_share(host->lab));
    FILE *file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    fputs("root:x:0:\ndaemon:x:1:\nmesh:x:" GROUP_MESH ":\n", file);
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_eq(
        lab_run(host, CLOSED_PATIENCE_MS, NULL, "mount", "--bind", path, "/etc/group", NULL), 0);
}

/* `mesh ...` as user 1, in this group besides. */
static struct lab_process *ask_as_other(struct lab_host *host, const char *group,
                                        const char *command, const char *argument)
{
    const char *argv[] = {"setpriv", "--reuid",      "1",        "--regid",     "1",     "--groups",
                          group,     getenv("MESH"), "--socket", DAEMON_SOCKET, command, argument,
                          NULL};
    return lab_spawnv(host, argv, NULL);
}

START_TEST(another_user_of_the_host_changes_nothing)
{
    static const char *const tries[][2] = {
        {"lock", NULL}, {"unlock", NULL}, {"invite", NULL}, {"trust", "hal"}, {"ban", "lily"}};
    struct lab *lab = lab_new();
    struct lab_host *hosts[] = {lab_host(lab, "hal"), lab_host(lab, "lily")};
    if (!has_other_users(hosts[0])) {
        printf("# skipped: this lab has no other users than root\n");
        lab_free(lab);
        return;
    }
    make_group(hosts[0]);
    for (unsigned i = 0; i < 2; i++) {
        IGNORE(closed_start(hosts[i], "1"));
    }
    daemon_wait_whole_mesh(hosts, 2, CLOSED_PATIENCE_MS);
    for (unsigned i = 0; i < ARRAY_LEN(tries); i++) {
        closed_expect_refusal(ask_as_other(hosts[0], "1", tries[i][0], tries[i][1]), DAEMON_SOCKET);
        closed_expect_refusal(ask_as_other(hosts[0], GROUP_MESH, tries[i][0], tries[i][1]),
                              "the daemon's own user");
    }
    struct closed_state state = closed_get_state(hosts[0]);
    ck_assert(!state.is_locked);
    ck_assert_uint_eq(state.n_pins + state.n_bans, 0);
    /* Who may use the socket may look. */
    lab_expect(ask_as_other(hosts[0], GROUP_MESH, "trust", "--list"), CLOSED_PATIENCE_MS, 0);
    lab_free(lab);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("closed");
    TCase *tc = tcase_create("closed");
    tcase_set_timeout(tc, getenv("MESH_LAB_WRAP") == NULL ? 120 : 280);
    tcase_add_test(tc, a_mesh_is_closed_around_those_who_were_invited);
    tcase_add_test(tc, an_invitation_is_good_for_one_key_for_its_time_and_as_it_was_written);
    tcase_add_test(tc, a_ban_ends_one_members_sessions_and_no_others);
    tcase_add_test(tc, a_member_that_was_away_during_a_ban_is_told_when_it_is_back);
    tcase_add_test(tc, unlock_leads_back_into_the_open_mesh);
    tcase_add_test(tc, a_pinned_name_with_another_key_gets_no_tasks_and_gives_none);
    tcase_add_test(tc, another_user_of_the_host_changes_nothing);
    suite_add_tcase(suite, tc);
    return lab_run_suite(suite);
}
