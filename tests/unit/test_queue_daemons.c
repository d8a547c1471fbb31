/* Queues as their users meet them: `mesh queue` and libmesh, with one or two daemons on loopback.
 */
#include <ftw.h>
#include <mesh.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/command.h"
#include "tests/lib/runner.h"
#include "wire/base/ensure.h"
#include "wire/limits.h"

#define WORDS_MAX   12
#define LARGE_BYTES 3000000u
#define PATIENCE_MS 20000

static char folder[64];
static struct daemon {
    struct command process;
    char state[80], socket[80], port[8];
} daemons[2];

/* --- daemons -----------------------------------------------------------------------------------
 */

/* What it has said by now holds this text. */
static bool has_said(const struct daemon *daemon, const char *text, char *ret_word)
{
    char log[8192];
    ssize_t n = pread(daemon->process.err_fd, log, sizeof(log) - 1, 0);
    log[n > 0 ? n : 0] = '\0';
    const char *at = strstr(log, text);
    return at != NULL && strchr(at, '\n') != NULL &&
           (ret_word == NULL || sscanf(at + strlen(text), "%7[0-9]", ret_word) == 1);
}

static void start(unsigned i)
{
    struct daemon *daemon = &daemons[i];
    char listen[24];
    char peer[24];
    snprintf(listen, sizeof(listen), "127.0.0.1:%s", daemon->port[0] != '\0' ? daemon->port : "0");
    snprintf(peer, sizeof(peer), "127.0.0.1:%s", i > 0 ? daemons[0].port : "1");
    const char *argv[] = {
        MESHD,          "--state", daemon->state, "--socket", daemon->socket,
        "--interface",  "lo",      "--discovery", "off",      "--listen",
        listen,         "--cores", "0",           "--name",   i == 0 ? "hal" : "lily",
        "--dead-after", "1",       "--peer",      peer,       NULL};
    command_start(&daemon->process, argv, -1, -1);
    for (int ms = 0; !has_said(daemon, "listening on port ", daemon->port); ms += 5) {
        ck_assert_int_lt(ms, PATIENCE_MS);
        poll(NULL, 0, 5);
    }
}

static void end(unsigned i, int signal)
{
    kill(daemons[i].process.pid, signal);
    command_wait(&daemons[i].process);
    command_done(&daemons[i].process);
    daemons[i].process.pid = 0;
}

static void set_up(void)
{
    snprintf(folder, sizeof(folder), "/tmp/mesh-queue-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    memset(daemons, 0, sizeof(daemons));
    for (unsigned i = 0; i < ARRAY_LEN(daemons); i++) {
        snprintf(daemons[i].state, sizeof(daemons[i].state), "%s/state-%u", folder, i);
        snprintf(daemons[i].socket, sizeof(daemons[i].socket), "%s/socket-%u", folder, i);
    }
    start(0);
}

static void set_up_both(void)
{
    set_up();
    start(1);
}

static int remove_one(const char *name, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(name);
}

static void tear_down(void)
{
    for (unsigned i = 0; i < ARRAY_LEN(daemons); i++) {
        if (daemons[i].process.pid > 0) {
            end(i, SIGTERM);
        }
    }
    ck_assert_int_eq(nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

/* --- commands ----------------------------------------------------------------------------------
 */

static void begin(struct command *command, unsigned i, int stdin_fd, const char *const *words)
{
    const char *argv[WORDS_MAX + 5] = {MESH_COMMAND, "--socket", daemons[i].socket, "queue"};
    for (unsigned k = 0; words[k] != NULL; k++) {
        ck_assert_uint_lt(k, WORDS_MAX);
        argv[4 + k] = words[k];
    }
    command_start(command, argv, stdin_fd, -1);
}

/* Its status, what it printed and a part of what it complained of ("": nothing). */
static void run(unsigned i, int status, const char *out, const char *says, const char *const *words)
{
    struct command command;
    begin(&command, i, -1, words);
    command_wait(&command);
    ck_assert_msg(command.status == status, "%s: exits with %d: %s", words[0], command.status,
                  command.err);
    ck_assert_str_eq(command.out, out);
    ck_assert_msg(says[0] != '\0' ? strstr(command.err, says) != NULL : command.n_err == 0,
                  "it says '%s' and not '%s'", command.err, says);
    command_done(&command);
}

#define WORDS(...)                     ((const char *const[]){__VA_ARGS__, NULL})
#define RUN(i, status, out, says, ...) run(i, status, out, says, WORDS(__VA_ARGS__))

static void put_file(unsigned i, const char *name, const void *bytes, size_t n)
{
    struct command command;
    int fd = command_file(bytes, n);
    begin(&command, i, fd, WORDS("put", name, "--whole"));
    close(fd);
    command_wait(&command);
    ck_assert_msg(command.status == 0, "%s", command.err);
    command_done(&command);
}

static void expect_file(unsigned i, const char *name, const void *bytes, size_t n)
{
    struct command command;
    begin(&command, i, -1, WORDS("get", name, "--raw", "--timeout", "20"));
    command_wait(&command);
    ck_assert_msg(command.status == 0, "%s", command.err);
    ck_assert_uint_eq(command.n_out, n);
    ck_assert_mem_eq(command.out, bytes, n);
    command_done(&command);
}

static uint8_t *make_large(uint8_t first)
{
    uint8_t *bytes = malloc(LARGE_BYTES);
    ck_assert_ptr_nonnull(bytes);
    for (size_t k = 0; k < LARGE_BYTES; k++) {
        bytes[k] = (uint8_t)(first + k * k / 7);
    }
    return bytes;
}

START_TEST(items_come_in_their_order_printed_or_to_a_command)
{
    RUN(0, 0, "", "", "put", "order", "a", "b", "c", "d");
    RUN(0, 0, "a\n", "", "get", "order");
    RUN(0, 0, "b", "", "get", "order", "cat");
    RUN(0, 0, "c", "", "get", "--raw", "order");
    RUN(0, 1, "", "exited with 3: the item was given back", "get", "order", "sh", "-c", "exit 3");
    RUN(0, 1, "", "cannot run /nonexistent", "get", "order", "/nonexistent");
    RUN(0, 1, "", "ended by signal 9", "get", "order", "sh", "-c", "kill -9 $$");
    RUN(0, 0, "d\n", "", "get", "order");
    RUN(0, 0, "", "", "put", "order"); /* no lines */
}
END_TEST

START_TEST(a_get_that_is_in_vain_exits_with_1)
{
    RUN(0, 1, "", "nothing came from queue vain in time", "get", "vain", "--timeout", "0.05");
    RUN(0, 0, "", "", "put", "vain", "a");
    RUN(0, 0, "a\n", "", "get", "vain", "--timeout", "0.05", "-n", "0");
    RUN(0, 1, "", "nothing came from queue vain in time", "get", "vain", "--timeout", "0.05", "-n",
        "0");
}
END_TEST

START_TEST(a_queue_is_removed_where_it_lives)
{
    RUN(0, 0, "", "", "put", "removed", "a");
    RUN(1, 0, "a", "", "get", "removed", "cat"); /* it is in sight from there */
    RUN(0, 0, "", "", "put", "removed", "b");
    RUN(1, 1, "", "it is removed where it lives", "rm", "removed");
    RUN(0, 1, "", "no queue other lives at this peer", "rm", "other");
    RUN(0, 0, "", "", "rm", "removed");
    RUN(0, 1, "", "no queue removed lives", "rm", "removed");
    RUN(1, 1, "", "nothing came", "get", "removed", "--timeout", "0.05");
}
END_TEST

START_TEST(an_item_comes_back_when_its_getter_is_killed)
{
    char fifo[96];
    char script[256];
    struct command getter;
    snprintf(fifo, sizeof(fifo), "%s/fifo", folder);
    snprintf(script, sizeof(script), "echo >%s; read -r line <%s", fifo, fifo);
    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    RUN(0, 0, "", "", "put", "killed", "a");
    begin(&getter, 0, -1, WORDS("get", "killed", "sh", "-c", script));
    FILE *taken = fopen(fifo, "re"); /* opens once the command runs */
    ck_assert_ptr_nonnull(taken);
    ck_assert_int_eq(fgetc(taken), '\n');
    fclose(taken);
    RUN(0, 1, "", "nothing came", "get", "killed", "--timeout", "0.05");
    kill(getter.pid, SIGKILL);
    command_wait(&getter);
    command_done(&getter);
    RUN(0, 0, "a\n", "", "get", "killed", "--timeout", "20");
    FILE *over = fopen(fifo, "we"); /* its command ends */
    ck_assert_ptr_nonnull(over);
    fclose(over);
}
END_TEST

START_TEST(a_large_item_is_the_same_everywhere)
{
    uint8_t *first = make_large(1);
    uint8_t *second = make_large(2);
    put_file(0, "large", first, LARGE_BYTES);
    RUN(0, 0, "", "", "put", "large", "small");
    put_file(1, "large", second, LARGE_BYTES);
    expect_file(1, "large", first, LARGE_BYTES);
    RUN(1, 0, "small\n", "", "get", "large");
    expect_file(0, "large", second, LARGE_BYTES);
    put_file(1, "large", second,
             WIRE_ITEM_BYTES_MAX); /* the longest that goes in a message, and one more */
    put_file(1, "large", second, WIRE_ITEM_BYTES_MAX + 1);
    expect_file(1, "large", second, WIRE_ITEM_BYTES_MAX);
    expect_file(0, "large", second, WIRE_ITEM_BYTES_MAX + 1);
    free(first);
    free(second);
}
END_TEST

START_TEST(a_queue_outlives_its_daemon)
{
    uint8_t *large = make_large(3);
    start(1);
    put_file(0, "q", large, LARGE_BYTES);
    put_file(0, "q", large, LARGE_BYTES); /* two of the same bytes, one is done */
    RUN(1, 0, "", "", "put", "q", "b");
    expect_file(1, "q", large, LARGE_BYTES);
    end(0, SIGKILL);
    RUN(1, 1, "", "nothing came", "get", "q", "--timeout", "0.05");
    start(0);
    expect_file(1, "q", large, LARGE_BYTES);
    RUN(1, 0, "b\n", "", "get", "q", "--timeout", "20");
    RUN(1, 1, "", "nothing came", "get", "q", "--timeout", "0.05");
    free(large);
}
END_TEST

START_TEST(a_queue_of_a_peer_that_is_down_is_not_in_sight)
{
    start(1);
    RUN(0, 0, "", "", "put", "q", "a", "b");
    RUN(1, 0, "a", "", "get", "q", "cat");
    RUN(1, 0, "NAME WAITING TAKEN DONE GETTERS PEER\nq          1     0    1       0 hal\n", "",
        "ls");
    end(0, SIGTERM);
    RUN(1, 0, "", "", "ls");
    RUN(1, 0, "[]\n", "", "ls", "--json");
}
END_TEST

/* --- libmesh -----------------------------------------------------------------------------------
 */

static mesh *open_at(unsigned i)
{
    mesh *m = mesh_open(&(struct mesh_options){.socket = daemons[i].socket, .patience = 10});
    ck_assert_str_eq(mesh_error_text(m), "");
    return m;
}

static void expect_item(mesh *m, const char *queue, const void *bytes, size_t n, bool is_done)
{
    size_t n_got;
    mesh_queue_item *item = mesh_queue_get(m, queue, 20);
    ck_assert_msg(item != NULL, "%s", mesh_error_text(m));
    const void *got = mesh_queue_item_bytes(item, &n_got);
    ck_assert_uint_eq(n_got, n);
    ck_assert_mem_eq(got, bytes, n);
    ck_assert_int_eq(((const char *)got)[n], '\0');
    if (is_done) {
        ck_assert_int_eq(mesh_queue_item_done(item), 0);
    } else {
        ck_assert_ptr_null(mesh_queue_item_free(item));
    }
}

START_TEST(programs_put_get_give_back_and_list)
{
    struct mesh_queue_info infos[16];
    size_t n;
    uint8_t *large = make_large(4);
    mesh *m = open_at(0);
    ck_assert_int_eq(mesh_queue_put(m, "programs", "", 0), 0);
    ck_assert_int_eq(mesh_queue_put(m, "programs", large, LARGE_BYTES), 0);
    expect_item(m, "programs", "", 0, false);
    expect_item(m, "programs", "", 0, true);
    expect_item(m, "programs", large, LARGE_BYTES, false);
    ck_assert_int_eq(mesh_queue_list(m, infos, ARRAY_LEN(infos), &n), 0);
    ck_assert_uint_le(n, ARRAY_LEN(infos));
    const struct mesh_queue_info *info = infos;
    while (info < infos + n && strcmp(info->name, "programs") != 0) {
        info++;
    }
    ck_assert_ptr_ne(info, infos + n);
    ck_assert_str_eq(info->peer, "hal");
    ck_assert(info->is_known && info->n_waiting == 1 && info->n_taken == 0 && info->n_done == 1);
    expect_item(m, "programs", large, LARGE_BYTES, true);
    mesh_close(m);
    free(large);
}
END_TEST

START_TEST(programs_are_told_what_is_wrong)
{
    mesh *m = open_at(0);
    ck_assert_int_eq(mesh_queue_put(m, "a/b", "x", 1), MESH_EINVAL);
    ck_assert_int_eq(mesh_queue_put(m, "", "x", 1), MESH_EINVAL);
    ck_assert_int_eq(mesh_queue_put(m, NULL, "x", 1), MESH_EINVAL);
    ck_assert_int_eq(mesh_queue_put(m, "wrong", NULL, 1), MESH_EINVAL);
    ck_assert_int_eq(mesh_queue_put(NULL, "wrong", "x", 1), MESH_EINVAL);
    ck_assert_int_eq(mesh_queue_put(m, "wrong", "x", (UINT64_C(1) << 30) + 1), MESH_ELIMIT);
    ck_assert_ptr_null(mesh_queue_get(m, "a\nb", 0));
    ck_assert_int_eq(mesh_error(m), MESH_EINVAL);
    ck_assert_ptr_null(mesh_queue_get(m, "wrong", 0.05));
    ck_assert_int_eq(mesh_error(m), MESH_ETIMEDOUT);
    ck_assert_int_eq(mesh_queue_item_done(NULL), MESH_EINVAL);
    mesh_close(m);
}
END_TEST

START_TEST(an_item_of_a_daemon_that_is_gone_is_late)
{
    mesh *m = open_at(0);
    ck_assert_int_eq(mesh_queue_put(m, "q", "a", 1), 0);
    mesh_queue_item *item = mesh_queue_get(m, "q", 20);
    ck_assert_ptr_nonnull(item);
    end(0, SIGKILL);
    start(0);
    ck_assert_int_eq(mesh_queue_item_done(item), MESH_ELATE);
    expect_item(m, "q", "a", 1, true);
    mesh_close(m);
}
END_TEST

START_TEST(a_program_that_leaves_gives_back_what_it_has)
{
    mesh *m = open_at(0);
    ck_assert_int_eq(mesh_queue_put(m, "leaves", "a", 1), 0);
    pid_t pid = fork();
    if (pid == 0) {
        mesh *own = open_at(0);
        raise(mesh_queue_get(own, "leaves", 20) != NULL ? SIGKILL : SIGABRT);
    }
    int status;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    expect_item(m, "leaves", "a", 1, true);
    mesh_close(m);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("queue_daemons");
    TCase *shared = tcase_create("shared"); /* each test has a queue of its own */
    TCase *own = tcase_create("own");
    tcase_add_unchecked_fixture(shared, set_up_both, tear_down);
    tcase_set_timeout(shared, 60);
    tcase_add_test(shared, items_come_in_their_order_printed_or_to_a_command);
    tcase_add_test(shared, a_get_that_is_in_vain_exits_with_1);
    tcase_add_test(shared, a_queue_is_removed_where_it_lives);
    tcase_add_test(shared, an_item_comes_back_when_its_getter_is_killed);
    tcase_add_test(shared, a_large_item_is_the_same_everywhere);
    tcase_add_test(shared, programs_put_get_give_back_and_list);
    tcase_add_test(shared, programs_are_told_what_is_wrong);
    tcase_add_test(shared, a_program_that_leaves_gives_back_what_it_has);
    suite_add_tcase(s, shared);
    tcase_add_checked_fixture(own, set_up, tear_down);
    tcase_set_timeout(own, 60);
    tcase_add_test(own, a_queue_outlives_its_daemon);
    tcase_add_test(own, a_queue_of_a_peer_that_is_down_is_not_in_sight);
    tcase_add_test(own, an_item_of_a_daemon_that_is_gone_is_late);
    suite_add_tcase(s, own);
    return run_suite(s);
}
