/* A queue on real hosts: one has it, the others get from it, and are killed at random meanwhile.
 * $MESH_LAB_QUEUE_ITEMS says how many items; 300 without it. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lab/daemons.h"

#define PATIENCE_MS 60000
#define N_GETTERS   DAEMON_EXECUTORS
#define ITEMS       300u
#define ITEMS_MAX   100000u
#define KILL_MS     250u

struct scene {
    struct daemon_scene of;
    struct lab_process *getters[N_GETTERS];
    char logs[N_GETTERS][LAB_PATH_BYTES_MAX];
    unsigned n_items, n_kills;
    uint64_t random;
    uint8_t n_logged[ITEMS_MAX + 1];
};

static unsigned draw(struct scene *scene, unsigned n)
{
    scene->random = scene->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(scene->random >> 33) % n;
}

/* One item after the other. A line stands in the log once the item counts as done. */
static void start_getter(struct scene *scene, unsigned i)
{
    static const char script[] = "while item=$(\"$0\" --socket " DAEMON_SOCKET
                                 " queue get jobs --timeout 20); do echo \"$item\" >>\"$1\"; done";
    const char *argv[] = {"sh", "-c", script, getenv("MESH"), scene->logs[i], NULL};
    scene->getters[i] = lab_spawnv(scene->of.hosts[1 + i], argv, NULL);
}

static void start_daemon(struct scene *scene, unsigned i)
{
    scene->of.daemons[1 + i] =
        daemon_start(scene->of.hosts[1 + i], "--cores", "1", "--dead-after", "1", NULL);
}

/* A getter, or the daemon that holds its item. */
static void kill_one(struct scene *scene)
{
    unsigned i = draw(scene, N_GETTERS);
    scene->n_kills++;
    if (draw(scene, 4) == 0) {
        lab_kill(scene->of.daemons[1 + i]);
        start_daemon(scene, i);
    } else {
        lab_kill(scene->getters[i]);
        start_getter(scene, i);
    }
}

static void keep_going(struct scene *scene)
{
    for (unsigned i = 0; i < N_GETTERS; i++) {
        if (!lab_is_running(scene->getters[i])) { /* its daemon was gone under it */
            start_getter(scene, i);
        }
    }
}

/* What `mesh queue ls --json` says of one number, in the only row. */
static json_int_t number_of(struct scene *scene, const char *key)
{
    struct lab_process *ls = daemon_ask(scene->of.hosts[0], "queue", "ls", "--json", NULL);
    lab_expect(ls, PATIENCE_MS, 0);
    json_t *rows = json_loads(lab_output(ls), 0, NULL);
    ck_assert_uint_eq(json_array_size(rows), 1);
    json_int_t number = json_integer_value(json_object_get(json_array_get(rows, 0), key));
    json_decref(rows);
    return number;
}

static bool is_empty(struct scene *scene)
{
    return number_of(scene, "waiting") == 0 && number_of(scene, "taken") == 0;
}

static void read_logs(struct scene *scene, unsigned *ret_n_done, unsigned *ret_n_doubled)
{
    char line[64];
    *ret_n_done = *ret_n_doubled = 0;
    for (unsigned i = 0; i < N_GETTERS; i++) {
        FILE *log = fopen(scene->logs[i], "re");
        while (log != NULL && fgets(line, sizeof(line), log) != NULL) {
            int number = atoi(line);
            ck_assert_msg(number >= 1 && (unsigned)number <= scene->n_items, "an item '%s'", line);
            *ret_n_doubled += scene->n_logged[number]++ > 0;
            ++*ret_n_done;
        }
        if (log != NULL) {
            fclose(log);
        }
    }
}

START_TEST(each_item_is_done_once_whatever_getters_are_killed)
{
    static struct scene scene; /* too large for a stack */
    const char *text = getenv("MESH_LAB_QUEUE_ITEMS");
    unsigned n_done;
    unsigned n_doubled;
    scene.n_items = text != NULL ? (unsigned)atoi(text) : ITEMS;
    ck_assert(scene.n_items > 0 && scene.n_items <= ITEMS_MAX);
    daemon_scene_make(&scene.of, "1", PATIENCE_MS);
    scene.random = scene.of.lab->seed;
    char command[256];
    snprintf(command, sizeof(command), "seq %u | \"$0\" --socket " DAEMON_SOCKET " queue put jobs",
             scene.n_items);
    const char *argv[] = {"sh", "-c", command, getenv("MESH"), NULL};
    lab_expect(lab_spawnv(scene.of.hosts[0], argv, NULL), PATIENCE_MS, 0);
    uint64_t begin_ns = lab_now_ns();
    for (unsigned i = 0; i < N_GETTERS; i++) {
        snprintf(scene.logs[i], sizeof(scene.logs[i]), "%s/got-%u", lab_share(scene.of.lab), i);
        start_getter(&scene, i);
    }
    do { /* the test's own time limit ends what does not end */
        lab_let_pass(KILL_MS);
        kill_one(&scene);
        keep_going(&scene);
    } while (!is_empty(&scene));
    double seconds = (double)(lab_now_ns() - begin_ns) / 1e9;
    for (unsigned i = 0; i < N_GETTERS; i++) {
        lab_kill(scene.getters[i]);
    }
    read_logs(&scene, &n_done, &n_doubled);
    printf(
        "# figure: queue: %u items, %u getters, %u kills, %.1f s: %u seen done, %u of them twice, "
        "%u by a getter that was killed before it could say so\n",
        scene.n_items, N_GETTERS, scene.n_kills, seconds, n_done, n_doubled,
        scene.n_items - n_done);
    ck_assert_uint_eq(n_doubled, 0);
    ck_assert_uint_le(scene.n_items - n_done, scene.n_kills); /* each kill hides one at most */
    lab_free(scene.of.lab);
}
END_TEST

/* While its host has no power a put waits; then all is there. */
START_TEST(a_queue_is_back_with_its_daemon)
{
    struct daemon_scene scene;
    daemon_scene_make(&scene, "1", PATIENCE_MS);
    lab_expect(daemon_ask(scene.hosts[1], "queue", "put", "jobs", "a", "b", "c", NULL), PATIENCE_MS,
               0);
    struct lab_process *holder =
        daemon_ask(scene.hosts[2], "queue", "get", "jobs", "sh", "-c", "cat; echo; sleep 8", NULL);
    ck_assert(lab_wait_text(holder, "a\n", PATIENCE_MS));
    lab_kill(scene.daemons[1]);
    struct lab_process *put = daemon_ask(scene.hosts[3], "queue", "put", "jobs", "d", NULL);
    scene.daemons[1] = daemon_start(scene.hosts[1], "--cores", "1", "--dead-after", "1", NULL);
    lab_expect(put, PATIENCE_MS, 0);
    struct lab_process *rest = daemon_ask(scene.hosts[3], "queue", "get", "jobs", "-n", "3", NULL);
    lab_expect(rest, PATIENCE_MS, 0);
    ck_assert_str_eq(lab_output(rest), "b\nc\nd\n"); /* the first is the other one's still */
    lab_expect(holder, PATIENCE_MS, 0);
    lab_free(scene.lab);
}
END_TEST

/* The example, which is libmesh: one puts, two on other hosts work, one of them is killed. */
START_TEST(programs_of_libmesh_share_a_queue)
{
    struct daemon_scene scene;
    const char *program = getenv("EXAMPLE_QUEUE");
    const char *env[] = {"MESH_SOCKET=" DAEMON_SOCKET, NULL};
    struct lab_start how = {.env = env};
    ck_assert_ptr_nonnull(program);
    const char *put[] = {program, "put", "60", NULL};
    const char *work[] = {program, "work", NULL};
    daemon_scene_make(&scene, "1", PATIENCE_MS);
    lab_expect(lab_spawnv(scene.hosts[0], put, &how), PATIENCE_MS, 0);
    struct lab_process *first = lab_spawnv(scene.hosts[1], work, &how);
    lab_let_pass(300); /* it may be anywhere in its work */
    lab_kill(first);
    struct lab_process *second = lab_spawnv(scene.hosts[2], work, &how);
    lab_expect(second, PATIENCE_MS, 0);
    struct lab_process *ls = daemon_ask(scene.hosts[3], "queue", "ls", "--json", NULL);
    lab_expect(ls, PATIENCE_MS, 0);
    ck_assert_ptr_nonnull(strstr(lab_output(ls), "\"waiting\": 0"));
    ck_assert_ptr_nonnull(strstr(lab_output(ls), "\"taken\": 0"));
    lab_free(scene.lab);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("queue");
    TCase *tc = tcase_create("queue");
    tcase_set_timeout(tc, getenv("MESH_LAB_QUEUE_ITEMS") != NULL ? 3000 : 280);
    tcase_add_test(tc, each_item_is_done_once_whatever_getters_are_killed);
    tcase_add_test(tc, a_queue_is_back_with_its_daemon);
    tcase_add_test(tc, programs_of_libmesh_share_a_queue);
    suite_add_tcase(suite, tc);
    return lab_run_suite(suite);
}
