#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mesh/cell_proto.h"
#include "mesh/sandbox.h"
#include "mesh/sandbox_filter.h"
#include "tests/lib/runner.h"

static const struct sandbox_bind binds[] = {{"/data/ro", false}, {"/data/rw", true}};

/* With a filter since main(). */
static struct sandbox host = {
    .cell_program = MESH_CELL_PROGRAM,
    .bwrap = "/usr/bin/bwrap",
    .binds = binds,
    .n_binds = 2,
};

static const struct sandbox_size size = {.scratch_bytes = 4096,
                                         .limits = {.memory_bytes = 1 << 20, .n_processes = 7}};

static bool has_words(const struct sandbox_command *command, const char *a, const char *b,
                      const char *c)
{
    for (size_t i = 0; i + 2 < command->n_args; i++) {
        if (strcmp(command->argv[i], a) == 0 &&
            (b == NULL || strcmp(command->argv[i + 1], b) == 0) &&
            (c == NULL || strcmp(command->argv[i + 2], c) == 0)) {
            return true;
        }
    }
    return false;
}

START_TEST(only_what_is_allowed_is_shown)
{
    static const char *const allowed[] = {"/usr",
                                          "/bin",
                                          "/sbin",
                                          "/lib",
                                          "/lib32",
                                          "/lib64",
                                          "/libx32",
                                          "/etc/ld.so.cache",
                                          "/etc/alternatives",
                                          "/etc/localtime",
                                          "/etc/ssl/certs",
                                          "/proc/sys",
                                          "/data/ro"};
    struct sandbox_command command;
    struct errmsg err;
    ck_assert_int_eq(
        sandbox_command_make(&host, CELL_ARG_SANDBOX, &size, NULL, 0, -1, -1, &command, &err), 0);
    for (size_t i = 0; i + 1 < command.n_args; i++) {
        const char *word = command.argv[i];
        if (strcmp(word, "--bind") == 0) {
            ck_assert_str_eq(command.argv[i + 1], "/data/rw");
        }
        ck_assert(strcmp(word, "--dev-bind") != 0 && strcmp(word, "--share-net") != 0);
        if (strcmp(word, "--ro-bind") == 0 || strcmp(word, "--ro-bind-try") == 0) {
            bool found = false;
            for (size_t j = 0; j < sizeof allowed / sizeof allowed[0]; j++) {
                found = found || strcmp(command.argv[i + 1], allowed[j]) == 0;
            }
            ck_assert_msg(found, "%s is shown", command.argv[i + 1]);
            ck_assert_str_eq(command.argv[i + 1], command.argv[i + 2]);
        }
    }
    sandbox_command_done(&command);
}
END_TEST

START_TEST(every_namespace_is_new_and_no_capability_is_kept)
{
    static const char *const words[] = {"--unshare-user", "--unshare-pid", "--unshare-ipc",
                                        "--unshare-net",  "--unshare-uts", "--die-with-parent",
                                        "--new-session",  "--as-pid-1",    "--clearenv"};
    struct sandbox_command command;
    struct errmsg err;
    ck_assert_int_eq(
        sandbox_command_make(&host, CELL_ARG_SANDBOX, &size, NULL, 0, -1, -1, &command, &err), 0);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        ck_assert_msg(has_words(&command, words[i], NULL, NULL), "%s is missing", words[i]);
    }
    ck_assert(has_words(&command, "--cap-drop", "ALL", NULL));
    ck_assert(has_words(&command, "4096", "--tmpfs", CELL_SCRATCH_DIR));
    ck_assert(has_words(&command, "4096", "--tmpfs", "/tmp"));
    ck_assert(has_words(&command, "4096", "--tmpfs", "/dev/shm"));
    ck_assert(has_words(&command, "--remount-ro", "/", NULL));
    ck_assert(has_words(&command, "--remount-ro", "/dev", NULL));
    ck_assert(has_words(&command, "--seccomp", NULL, NULL));
    ck_assert(has_words(&command, CELL_SCRATCH_DIR, CELL_JOB_DIR, "1048576:0:0:7:0"));
    sandbox_command_done(&command);
}
END_TEST

START_TEST(limits_come_out_as_they_went_in)
{
    static const char *const bad[] = {"",
                                      "1:2:3:4",
                                      "1:2:3:4:99999",
                                      "1:2:3:4:1:",
                                      "1:2:3:x:0",
                                      "1::3:4:0",
                                      "-1:2:3:4:0",
                                      "1:2:3:99999999999:0",
                                      "99999999999999999999999999:2:3:4:0"};
    const struct cell_limits limits = {INT64_MAX, INT64_MAX - 1, 3, INT32_MAX, INT16_MAX};
    struct cell_limits back = {0};
    char text[CELL_LIMITS_BYTES];
    cell_limits_format(&limits, text);
    ck_assert_int_eq(cell_limits_parse(text, &back), 0);
    ck_assert_uint_eq(back.memory_bytes, limits.memory_bytes);
    ck_assert_uint_eq(back.address_bytes, limits.address_bytes);
    ck_assert_uint_eq(back.file_bytes, limits.file_bytes);
    ck_assert_uint_eq(back.n_processes, limits.n_processes);
    ck_assert_uint_eq(back.group_fd, limits.group_fd);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_msg(cell_limits_parse(bad[i], &back) == -EINVAL, "taken: %s", bad[i]);
    }
}
END_TEST

START_TEST(files_get_descriptors_of_their_own)
{
    char name[] = "/tmp/test-sandbox-XXXXXX";
    struct sandbox_command command;
    struct errmsg err;
    char byte;
    int fd = mkstemp(name);
    unlink(name);
    ck_assert_int_eq(write(fd, "x", 1), 1); /* the position is at the end now */
    struct cell_file file = {.fd = fd, .path = "bin/x", .is_executable = true};
    ck_assert_int_eq(
        sandbox_command_make(&host, CELL_ARG_SANDBOX, &size, &file, 1, fd, fd, &command, &err), 0);
    char number[16];
    snprintf(number, sizeof number, "%zu", command.n_fds - 1);
    ck_assert(has_words(&command, "--file", number, "/job/bin/x"));
    ck_assert_int_eq(read(command.fds[command.n_fds - 1], &byte, 1), 1);
    ck_assert_str_eq(command.argv[command.n_args - 1], "x:bin/x");
    ck_assert_int_eq(command.fds[0], -1);
    ck_assert_int_ge(command.fds[CELL_SOCKET_FD], 0);
    sandbox_command_done(&command);
    ck_assert_int_eq(sandbox_bare_command_make(&host, "/w/c", &file, 1, fd, fd, &command, &err), 0);
    ck_assert_int_eq(read(command.fds[CELL_FIRST_FILE_FD], &byte, 1), 1);
    ck_assert_str_eq(command.argv[2], "/w/c/task");
    ck_assert_str_eq(command.argv[3], "/w/c/job");
    sandbox_command_done(&command);
    close(fd);
}
END_TEST

START_TEST(a_path_that_leads_out_is_refused)
{
    struct cell_file file = {.fd = -1, .path = "../x"};
    struct sandbox_command command;
    struct errmsg err;
    ck_assert_int_eq(
        sandbox_command_make(&host, CELL_ARG_SANDBOX, &size, &file, 1, -1, -1, &command, &err),
        -EINVAL);
    ck_assert_int_eq(sandbox_bare_command_make(&host, "/w", &file, 1, -1, -1, &command, &err),
                     -EINVAL);
}
END_TEST

START_TEST(a_probe_that_fails_says_why)
{
    struct sandbox sandbox = {.cell_program = MESH_CELL_PROGRAM, .filter_fd = host.filter_fd};
    struct errmsg err = {""};
    ck_assert_int_eq(sandbox_probe(&sandbox, &err), -ENOENT);
    sandbox.bwrap = "/no/such/bwrap";
    ck_assert_int_eq(sandbox_probe(&sandbox, &err), -ENOENT);
    ck_assert_ptr_nonnull(strstr(err.text, "/no/such/bwrap"));
    sandbox.bwrap = "/bin/false";
    ck_assert_int_eq(sandbox_probe(&sandbox, &err), -EPERM);
    ck_assert_ptr_nonnull(strstr(err.text, "did not say why"));
    sandbox.bwrap = "/bin/cat"; /* does not know bwrap's options, and says so */
    ck_assert_int_eq(sandbox_probe(&sandbox, &err), -EPERM);
    ck_assert_ptr_nonnull(strstr(err.text, "as-pid-1"));
}
END_TEST

START_TEST(bwrap_is_looked_for_along_the_path)
{
    char path[256];
    char short_path[4];
    struct errmsg err = {""};
    setenv("PATH", "/no/such:", 1);
    ck_assert_int_eq(sandbox_find_bwrap(path, sizeof path, &err), -ENOENT);
    ck_assert_ptr_nonnull(strstr(err.text, "bubblewrap"));
    setenv("PATH", "/usr/bin", 1);
    ck_assert_int_eq(sandbox_find_bwrap(short_path, sizeof short_path, &err), -ENOENT);
}
END_TEST

/* In a fork, for entering a user namespace is for good. 2: not allowed here. */
static int drops_ids_where_only_root_exists(void)
{
    if (unshare(CLONE_NEWUSER) < 0) {
        return 2;
    }
    const char map[] = "0 0 1";
    int fd = open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, map, strlen(map)) < 0) {
        return 2;
    }
    close(fd);
    return geteuid() == 0 && !sandbox_drops_ids() ? 0 : 1;
}

START_TEST(root_of_a_namespace_without_others_stays_who_it_is)
{
    unsigned n_ids = 0;
    FILE *map = fopen("/proc/self/uid_map", "re");
    ck_assert_ptr_nonnull(map);
    char line[128] = "";
    ck_assert_ptr_nonnull(fgets(line, sizeof line, map));
    ck_assert_int_eq(sscanf(line, "%*u %*u %u", &n_ids), 1);
    fclose(map);
    ck_assert_int_eq(sandbox_drops_ids(), geteuid() == 0 && n_ids > SANDBOX_OUTSIDE_ID);
    if (geteuid() != 0) {
        return;
    }
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        _exit(drops_ids_where_only_root_exists());
    }
    int status = -1;
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status));
    if (WEXITSTATUS(status) == 2) {
        printf("# skipped: no user namespaces on this machine\n");
        return;
    }
    ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

int main(void)
{
    struct errmsg err = {""};
    if (sandbox_filter_make(&host.filter_fd, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return EXIT_FAILURE;
    }
    Suite *suite = suite_create("sandbox");
    TCase *tc = tcase_create("sandbox");
    tcase_set_timeout(tc, 30);
    tcase_add_test(tc, only_what_is_allowed_is_shown);
    tcase_add_test(tc, every_namespace_is_new_and_no_capability_is_kept);
    tcase_add_test(tc, limits_come_out_as_they_went_in);
    tcase_add_test(tc, files_get_descriptors_of_their_own);
    tcase_add_test(tc, a_path_that_leads_out_is_refused);
    tcase_add_test(tc, a_probe_that_fails_says_why);
    tcase_add_test(tc, bwrap_is_looked_for_along_the_path);
    tcase_add_test(tc, root_of_a_namespace_without_others_stays_who_it_is);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
