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
#define STARTS_MAX  100000u
#define KILL_MS     100u

struct scene {
    struct daemon_scene of;
    struct lab_process *getters[N_GETTERS];
    char log[LAB_PATH_BYTES_MAX];
    unsigned n_items, n_starts, n_kills;
    uint64_t random;
    unsigned last[STARTS_MAX];           /* item that a getter was handed last; 0: none */
    unsigned n_taken[ITEMS_MAX + 1];     /* how often each item was handed to a getter, */
    unsigned n_confirmed[ITEMS_MAX + 1]; /* and said to be done, with the answer that it counts */
};

static unsigned draw(struct scene *scene, unsigned n)
{
    scene->random = scene->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(scene->random >> 33) % n;
}

/* One item after the other: each leaves a line, with the number of this start, before the getter
 * says that it is done. The next line of the same start is only written once that one counts. */
static void start_getter(struct scene *scene, unsigned i)
{
    static const char each[] = "read -r item; echo \"$0 $item\" >>\"$1\"";
    char start[16];
    ck_assert_uint_lt(scene->n_starts, STARTS_MAX);
    snprintf(start, sizeof(start), "%u", scene->n_starts++);
    scene->getters[i] = daemon_ask(scene->of.hosts[1 + i], "queue", "get", "jobs", "-n", "0", "sh",
                                   "-c", each, start, scene->log, NULL);
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
    const json_t *number = json_object_get(json_array_get(rows, 0), key);
    ck_assert(json_is_integer(number));
    json_int_t value = json_integer_value(number);
    json_decref(rows);
    return value;
}

static bool is_empty(struct scene *scene)
{
    return number_of(scene, "waiting") == 0 && number_of(scene, "taken") == 0;
}

/* How often an item was handed to a getter, in all. */
static unsigned read_log(struct scene *scene)
{
    char line[64];
    unsigned n_lines = 0;
    FILE *log = fopen(scene->log, "re");
    ck_assert_ptr_nonnull(log);
    while (fgets(line, sizeof(line), log) != NULL) {
        unsigned start;
        unsigned item;
        ck_assert_msg(sscanf(line, "%u %u", &start, &item) == 2, "a line '%s'", line);
        ck_assert_uint_lt(start, scene->n_starts);
        ck_assert(item >= 1 && item <= scene->n_items);
        scene->n_confirmed[scene->last[start]]++;
        scene->last[start] = item;
        scene->n_taken[item]++;
        n_lines++;
    }
    fclose(log);
    return n_lines;
}

/* The queue counts what it was told is done, and no item is gone from it otherwise: as many as were
 * put, each of which a getter had, were done once each. And no two getters were told of one item
 * that it counts. */
static void check_once(struct scene *scene)
{
    unsigned n_taken = read_log(scene);
    for (unsigned item = 1; item <= scene->n_items; item++) {
        ck_assert_msg(scene->n_taken[item] > 0, "item %u was handed to nobody", item);
        ck_assert_msg(scene->n_confirmed[item] <= 1, "item %u counted twice", item);
    }
    ck_assert_int_eq(number_of(scene, "done"), scene->n_items);
    printf("# figure: queue: %u items, each done exactly once: taken %u times, killed %u getters\n",
           scene->n_items, n_taken, scene->n_kills);
}

START_TEST(each_item_is_done_once_whatever_getters_are_killed)
{
    static struct scene scene; /* too large for a stack */
    const char *text = getenv("MESH_LAB_QUEUE_ITEMS");
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
    snprintf(scene.log, sizeof(scene.log), "%s/taken", lab_share(scene.of.lab));
    for (unsigned i = 0; i < N_GETTERS; i++) {
        start_getter(&scene, i);
    }
    do { /* the test's own time limit ends what does not end */
        lab_let_pass(KILL_MS);
        kill_one(&scene);
        keep_going(&scene);
    } while (!is_empty(&scene));
    printf("# figure: queue: emptied in %.1f s\n", (double)(lab_now_ns() - begin_ns) / 1e9);
    check_once(&scene);
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
