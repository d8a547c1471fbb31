#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "mesh/client/client.h"
#include "mesh/client/client_internal.h"
#include "mesh/client/paths.h"
#include "mesh/client/program.h"
#include "tests/lib/fake_daemon.h"
#include "tests/lib/runner.h"

/* --- where the socket may be -------------------------------------------------------------------
 */

static const char *const *env_pairs;

static const char *get_test_env(const char *name)
{
    for (unsigned i = 0; env_pairs[i] != NULL; i += 2) {
        if (strcmp(env_pairs[i], name) == 0) {
            return env_pairs[i + 1];
        }
    }
    return NULL;
}

static const struct {
    const char *socket_path;
    bool is_root;
    bool is_explicit;
    const char *env[16];
    const char *list;
} lists[] = {
    {"/x/s", false, true, {"MESH_SOCKET", "/y"}, "/x/s|"},
    {NULL, false, true, {"MESH_SOCKET", "/y", "XDG_RUNTIME_DIR", "/r"}, "/y|"},
    {NULL,
     false,
     false,
     {"MESH_SOCKET", "", "RUNTIME_DIRECTORY", "/a", "XDG_RUNTIME_DIR", "/r", "HOME", "/h"},
     "/a/mesh.sock|/r/mesh.sock|/run/mesh/mesh.sock|/h/.local/state/mesh/mesh.sock|"},
    {NULL, true, false, {"HOME", "/root"}, "/run/mesh/mesh.sock|/var/lib/mesh/mesh.sock|"},
    {NULL,
     true,
     false,
     {"MESH_STATE", "/s", "STATE_DIRECTORY", "/t"},
     "/run/mesh/mesh.sock|/s/mesh.sock|"},
    {NULL,
     false,
     false,
     {"STATE_DIRECTORY", "/t", "XDG_STATE_HOME", "/u"},
     "/run/mesh/mesh.sock|/t/mesh.sock|"},
    {NULL,
     false,
     false,
     {"XDG_STATE_HOME", "/u", "HOME", "/h"},
     "/run/mesh/mesh.sock|/u/mesh/mesh.sock|"},
    {NULL, false, false, {"RUNTIME_DIRECTORY", "/run/mesh"}, "/run/mesh/mesh.sock|"},
};

START_TEST(socket_paths_come_in_the_documented_order)
{
    static struct mesh_paths paths;
    env_pairs = lists[_i].env;
    mesh_paths_list(lists[_i].socket_path, get_test_env, lists[_i].is_root, &paths);
    ck_assert_int_eq(paths.is_explicit, lists[_i].is_explicit);
    char line[1024] = "";
    size_t n = 0;
    for (unsigned i = 0; i < paths.n; i++) {
        n += (size_t)snprintf(line + n, sizeof(line) - n, "%s|", paths.items[i]);
    }
    ck_assert_str_eq(line, lists[_i].list);
}
END_TEST

/* --- programs ----------------------------------------------------------------------------------
 */

static const struct {
    uint8_t class, order, machine;
    const char *arch;
} programs[] = {
    {2, 1, 62, "x86_64"},   {2, 1, 183, "aarch64"}, {1, 1, 3, "i686"},   {1, 1, 40, "armv7l"},
    {2, 1, 243, "riscv64"}, {2, 1, 21, "ppc64le"},  {2, 2, 22, "s390x"}, {2, 1, 99, ""},
    {1, 1, 62, ""},         {2, 2, 62, ""},
};

START_TEST(an_elf_header_names_its_architecture)
{
    uint8_t head[20] = {0x7f, 'E', 'L', 'F', programs[_i].class, programs[_i].order, 1};
    head[programs[_i].order == 2 ? 19 : 18] = programs[_i].machine;
    ck_assert_str_eq(mesh_program_arch(slice_of(head, sizeof(head))), programs[_i].arch);
    for (size_t n = 0; n < sizeof(head); n++) {
        ck_assert_str_eq(mesh_program_arch(slice_of(head, n)), "");
    }
    ck_assert_str_eq(mesh_program_arch(slice_str("#!/bin/sh\necho 0123456789\n")), "");
}
END_TEST

/* --- opening -----------------------------------------------------------------------------------
 */

static int open_path(const char *path, struct errmsg *err)
{
    struct mesh_client_options options = {.socket_path = path};
    struct mesh_client *client = NULL;
    int r = mesh_client_open(&options, &client, err);
    mesh_client_free(client);
    return r;
}

START_TEST(a_daemon_that_answers_is_greeted)
{
    struct fake_daemon daemon;
    fake_daemon_start(&daemon, &(struct fake_daemon_options){0});
    struct mesh_client_options options = {.socket_path = daemon.path};
    struct mesh_client *client;
    struct errmsg err;
    ck_assert_int_eq(mesh_client_open(&options, &client, &err), 0);
    ck_assert(slice_eq_str(mesh_client_daemon(client)->name, "hal"));
    ck_assert_uint_eq(mesh_client_daemon(client)->cores, 4);
    ck_assert(!mesh_client_has_started_daemon(client));
    mesh_client_free(client);
    fake_daemon_stop(&daemon);
}
END_TEST

START_TEST(a_dead_socket_is_named_and_what_to_do)
{
    struct fake_daemon daemon;
    struct errmsg err;
    fake_daemon_start(&daemon, &(struct fake_daemon_options){0});
    char keep[128];
    snprintf(keep, sizeof(keep), "%s.kept", daemon.path);
    ck_assert_int_eq(link(daemon.path, keep), 0);
    unlink(daemon.path);
    char dir[64];
    snprintf(dir, sizeof(dir), "%s", daemon.dir);
    fake_daemon_stop(&daemon);
    ck_assert_int_eq(open_path(keep, &err), -ECONNREFUSED);
    ck_assert_ptr_nonnull(strstr(err.text, keep));
    ck_assert_ptr_nonnull(strstr(err.text, "meshd --socket"));
    unlink(keep);
    rmdir(dir);
    ck_assert_int_eq(open_path(keep, &err), -ENOENT);
    ck_assert_ptr_nonnull(strstr(err.text, "meshd --socket"));
}
END_TEST

START_TEST(a_file_that_is_no_socket_is_refused)
{
    struct errmsg err;
    ck_assert_int_eq(open_path("/etc/passwd", &err), -EPROTO);
    ck_assert_ptr_nonnull(strstr(err.text, "no socket"));
}
END_TEST

START_TEST(a_path_too_long_for_a_socket_is_refused)
{
    char path[300];
    memset(path, 'x', sizeof(path) - 1);
    path[0] = '/';
    path[sizeof(path) - 1] = '\0';
    struct errmsg err;
    ck_assert_int_eq(open_path(path, &err), -ENAMETOOLONG);
    ck_assert_ptr_nonnull(strstr(err.text, "107"));
}
END_TEST

START_TEST(another_users_daemon_is_handed_nothing)
{
    if (geteuid() != 0) {
        return; /* only root can be two users */
    }
    struct fake_daemon daemon;
    struct errmsg err;
    fake_daemon_start(&daemon, &(struct fake_daemon_options){.uid = 65534});
    ck_assert_int_eq(open_path(daemon.path, &err), -EPERM);
    ck_assert_ptr_nonnull(strstr(err.text, "65534"));
    ck_assert_ptr_nonnull(strstr(err.text, "--socket"));
    fake_daemon_stop(&daemon);
}
END_TEST

START_TEST(the_first_of_the_list_that_answers_is_taken)
{
    struct fake_daemon daemon;
    struct errmsg err;
    fake_daemon_start(&daemon, &(struct fake_daemon_options){0});
    unsetenv("MESH_SOCKET");
    setenv("RUNTIME_DIRECTORY", "/nonexistent", 1);
    setenv("XDG_RUNTIME_DIR", daemon.dir, 1);
    struct mesh_client_options options = {.may_start = false};
    struct mesh_client *client = NULL;
    ck_assert_int_eq(mesh_client_open(&options, &client, &err), 0);
    ck_assert_str_eq(mesh_client_socket_path(client), daemon.path);
    mesh_client_free(client);
    fake_daemon_stop(&daemon);
}
END_TEST

/* A `meshd` along PATH that is this script, and no place where another one could listen. */
static void plant_meshd(const char *dir, const char *script)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/meshd", dir);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fprintf(file, "#!/bin/sh\n%s\n", script);
    fclose(file);
    ck_assert_int_eq(chmod(path, 0755), 0);
    snprintf(path, sizeof(path), "%s:/usr/bin:/bin", dir);
    setenv("PATH", path, 1);
    unsetenv("MESH_SOCKET");
    unsetenv("RUNTIME_DIRECTORY");
    setenv("XDG_RUNTIME_DIR", dir, 1);
    setenv("MESH_STATE", dir, 1);
}

static void unplant(const char *dir)
{
    char path[256];
    snprintf(path, sizeof(path), "%s/meshd", dir);
    unlink(path);
    snprintf(path, sizeof(path), "%s/mesh.sock", dir);
    unlink(path);
    rmdir(dir);
}

static int open_started(struct mesh_client **client, struct errmsg *err)
{
    struct mesh_client_options options = {.may_start = true};
    *client = NULL;
    return mesh_client_open(&options, client, err);
}

START_TEST(a_daemon_that_is_started_is_waited_for)
{
    if (access("/run/mesh/mesh.sock", F_OK) == 0) {
        return; /* this machine has a daemon of its own */
    }
    struct fake_daemon daemon;
    struct errmsg err;
    struct mesh_client *client;
    fake_daemon_start(&daemon, &(struct fake_daemon_options){0});
    char dir[] = "/tmp/mesh-test-XXXXXX";
    ck_assert_ptr_nonnull(mkdtemp(dir));
    char script[512];
    /* Says with which options it was called, then appears on the list's first path. */
    snprintf(script, sizeof(script),
             "test \"$1 $2\" = '--exit-idle 60' && ln %s %s/mesh.sock && exec sleep 5", daemon.path,
             dir);
    plant_meshd(dir, script);
    int r = open_started(&client, &err);
    ck_assert_msg(r == 0, "%s", err.text);
    ck_assert(mesh_client_has_started_daemon(client));
    mesh_client_free(client);
    ck_assert_int_eq(open_started(&client, &err), 0);
    ck_assert(!mesh_client_has_started_daemon(client));
    mesh_client_free(client);
    unplant(dir);
    fake_daemon_stop(&daemon);
}
END_TEST

START_TEST(a_started_daemon_that_dies_has_its_line_passed_on)
{
    if (access("/run/mesh/mesh.sock", F_OK) == 0) {
        return;
    }
    struct errmsg err;
    struct mesh_client *client;
    char dir[] = "/tmp/mesh-test-XXXXXX";
    ck_assert_ptr_nonnull(mkdtemp(dir));
    plant_meshd(dir, "echo first >&2; echo 'meshd: /x: Read-only file system' >&2; exit 1");
    ck_assert_int_eq(open_started(&client, &err), -ECHILD);
    ck_assert_str_eq(err.text,
                     "meshd was started and ended at once: meshd: /x: Read-only file system");
    unplant(dir);
}
END_TEST

START_TEST(without_a_meshd_to_start_it_says_so)
{
    if (access("/run/mesh/mesh.sock", F_OK) == 0) {
        return;
    }
    struct errmsg err;
    struct mesh_client *client;
    char dir[] = "/tmp/mesh-test-XXXXXX";
    ck_assert_ptr_nonnull(mkdtemp(dir));
    plant_meshd(dir, "");
    char path[256];
    snprintf(path, sizeof(path), "%s/meshd", dir);
    unlink(path);
    setenv("PATH", dir, 1);
    ck_assert_int_eq(open_started(&client, &err), -ENOENT);
    ck_assert_ptr_nonnull(strstr(err.text, "install meshd"));
    unplant(dir);
}
END_TEST

/* --- messages and descriptors ------------------------------------------------------------------
 */

static void make_pair(struct mesh_client *ends[2])
{
    int fds[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    ends[0] = mesh_client_new(fds[0]);
    ends[1] = mesh_client_new(fds[1]);
}

static int fd_of(const char *text)
{
    int ends[2];
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    ck_assert_int_eq((int)write(ends[1], text, strlen(text)), (int)strlen(text));
    close(ends[1]);
    return ends[0];
}

static void check_fd(struct mesh_client *client, unsigned i, const char *text)
{
    char bytes[32] = "";
    int fd = mesh_client_take_fd(client, i);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq((int)read(fd, bytes, sizeof(bytes) - 1), (int)strlen(text));
    ck_assert_str_eq(bytes, text);
    close(fd);
    ck_assert_int_eq(mesh_client_take_fd(client, i), -1);
}

static void send_done(struct mesh_client *client, uint32_t task, int n_fds)
{
    struct errmsg err;
    char text[32];
    int fds[2];
    struct wire_message done = {.type = WIRE_MESSAGE_DONE, .done = {.job = 1, .task = task}};
    done.done.result.end = WIRE_END_EXITED;
    struct wire_output *outputs[2] = {&done.done.result.out, &done.done.result.err};
    for (int i = 0; i < n_fds; i++) {
        outputs[i]->bytes = WIRE_INLINE_BYTES_MAX + 1;
        outputs[i]->hash.b[0] = 1;
        snprintf(text, sizeof(text), "%u.%d", task, i);
        fds[i] = fd_of(text);
    }
    ck_assert_int_eq(mesh_client_send(client, &done, fds, (unsigned)n_fds, &err), 0);
}

START_TEST(descriptors_arrive_with_the_message_they_belong_to)
{
    struct mesh_client *ends[2];
    make_pair(ends);
    struct errmsg err;
    const struct wire_message *message;
    for (uint32_t task = 1; task <= 60; task++) {
        send_done(ends[0], task, (int)(task % 3));
    }
    for (uint32_t task = 1; task <= 60; task++) {
        while (mesh_client_unsent_bytes(ends[0]) > 0) {
            ck_assert_int_eq(mesh_client_next(ends[0], 0, &message, &err), -EAGAIN);
        }
        ck_assert_int_eq(mesh_client_next(ends[1], 1000, &message, &err), 0);
        ck_assert_uint_eq(message->done.task, task);
        for (unsigned i = 0; i < task % 3; i++) {
            char text[32];
            snprintf(text, sizeof(text), "%u.%u", task, i);
            if (task % 5 != 0) { /* now and then they are left to the client to close */
                check_fd(ends[1], i, text);
            }
        }
        ck_assert_int_eq(mesh_client_take_fd(ends[1], task % 3), -1);
    }
    mesh_client_free(ends[0]);
    mesh_client_free(ends[1]);
}
END_TEST

START_TEST(what_the_socket_does_not_take_is_queued_and_sent_later)
{
    struct mesh_client *ends[2];
    make_pair(ends);
    struct errmsg err;
    static char text[100000];
    memset(text, 'x', sizeof(text));
    struct slice argv[2] = {slice_str("echo"), slice_of(text, sizeof(text))};
    uint32_t n = 0;
    while (mesh_client_unsent_bytes(ends[0]) < 1000000) {
        struct wire_message add = {.type = WIRE_MESSAGE_ADD_TASK};
        add.add_task = (struct wire_add_task){.job = 1, .task = ++n, .argv = {argv, 2}};
        ck_assert_int_eq(mesh_client_send(ends[0], &add, NULL, 0, &err), 0);
    }
    for (uint32_t i = 1; i <= n; i++) {
        const struct wire_message *message;
        ck_assert_int_eq(mesh_client_next(ends[0], 0, &message, &err), -EAGAIN);
        int r;
        while ((r = mesh_client_next(ends[1], 0, &message, &err)) == -EAGAIN) {
            ck_assert_int_eq(mesh_client_next(ends[0], 0, &message, &err), -EAGAIN);
        }
        ck_assert_int_eq(r, 0);
        ck_assert_uint_eq(message->add_task.task, i);
        ck_assert_uint_eq(message->add_task.argv.items[1].n, sizeof(text));
    }
    ck_assert_uint_eq(mesh_client_unsent_bytes(ends[0]), 0);
    mesh_client_free(ends[0]);
    mesh_client_free(ends[1]);
}
END_TEST

START_TEST(what_was_sent_before_the_end_is_still_received)
{
    struct mesh_client *ends[2];
    make_pair(ends);
    struct errmsg err;
    send_done(ends[0], 1, 0);
    ends[0] = mesh_client_free(ends[0]);
    struct wire_message cancel = {.type = WIRE_MESSAGE_JOB_CANCEL, .job_cancel.job = 1};
    ck_assert_int_eq(mesh_client_send(ends[1], &cancel, NULL, 0, &err), -EPIPE);
    const struct wire_message *message;
    ck_assert_int_eq(mesh_client_next(ends[1], 1000, &message, &err), 0);
    ck_assert_uint_eq(message->done.task, 1);
    ck_assert_int_eq(mesh_client_next(ends[1], 1000, &message, &err), -ECONNRESET);
    mesh_client_free(ends[1]);
}
END_TEST

START_TEST(a_message_beyond_the_limits_is_refused_and_its_descriptors_closed)
{
    struct mesh_client *ends[2];
    make_pair(ends);
    struct errmsg err = {{0}};
    struct wire_message add = {.type = WIRE_MESSAGE_ADD_TASK};
    add.add_task = (struct wire_add_task){.job = 1, .task = 1, .has_input = true};
    int fd = fd_of("x");
    ck_assert_int_eq(mesh_client_send(ends[0], &add, &fd, 1, &err), -EINVAL);
    ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
    ck_assert_int_gt((int)strlen(err.text), 0);
    ck_assert_uint_eq(mesh_client_unsent_bytes(ends[0]), 0);
    mesh_client_free(ends[0]);
    mesh_client_free(ends[1]);
}
END_TEST

START_TEST(garbage_from_the_daemon_ends_the_client_not_the_host)
{
    int fds[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    struct mesh_client *client = mesh_client_new(fds[0]);
    const struct wire_message *message;
    struct errmsg err;
    ck_assert_int_eq((int)write(fds[1], "\xff\xff\xff\xff garbage", 12), 12);
    ck_assert_int_eq(mesh_client_next(client, 1000, &message, &err), -EPROTO);
    mesh_client_free(client);
    close(fds[1]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("client");
    TCase *tc = tcase_create("client");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, socket_paths_come_in_the_documented_order, 0, (int)ARRAY_LEN(lists));
    tcase_add_loop_test(tc, an_elf_header_names_its_architecture, 0, (int)ARRAY_LEN(programs));
    tcase_add_test(tc, a_daemon_that_answers_is_greeted);
    tcase_add_test(tc, a_dead_socket_is_named_and_what_to_do);
    tcase_add_test(tc, a_file_that_is_no_socket_is_refused);
    tcase_add_test(tc, a_path_too_long_for_a_socket_is_refused);
    tcase_add_test(tc, another_users_daemon_is_handed_nothing);
    tcase_add_test(tc, the_first_of_the_list_that_answers_is_taken);
    tcase_add_test(tc, a_daemon_that_is_started_is_waited_for);
    tcase_add_test(tc, a_started_daemon_that_dies_has_its_line_passed_on);
    tcase_add_test(tc, without_a_meshd_to_start_it_says_so);
    tcase_add_test(tc, descriptors_arrive_with_the_message_they_belong_to);
    tcase_add_test(tc, what_the_socket_does_not_take_is_queued_and_sent_later);
    tcase_add_test(tc, what_was_sent_before_the_end_is_still_received);
    tcase_add_test(tc, a_message_beyond_the_limits_is_refused_and_its_descriptors_closed);
    tcase_add_test(tc, garbage_from_the_daemon_ends_the_client_not_the_host);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
