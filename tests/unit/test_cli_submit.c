/* `mesh submit` against a daemon that runs the tasks itself. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/command.h"
#include "tests/lib/fake_daemon.h"
#include "tests/lib/runner.h"
#include "wire/base/ensure.h"
#include "wire/message.h"

#define WORDS_MAX 64

static struct fake_daemon the_daemon;

static void start(struct command *command, const char *const *words, int stdin_fd, int stdout_fd)
{
    const char *argv[WORDS_MAX + 5] = {MESH_COMMAND, "--socket", the_daemon.path, "submit"};
    for (unsigned i = 0; i < WORDS_MAX && words[i] != NULL; i++) {
        argv[4 + i] = words[i];
    }
    command_start(command, argv, stdin_fd, stdout_fd);
}

static void run(struct command *command, const char *const *words, int stdin_fd)
{
    start(command, words, stdin_fd, -1);
    command_wait(command);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void daemon_with(const struct fake_daemon_options *options)
{
    struct fake_daemon_options with_peer = *options;
    with_peer.n_peers = options->n_peers != 0 ? options->n_peers : 1;
    fake_daemon_start(&the_daemon, &with_peer);
}

/* A command line, what it prints and how it exits. */
static const struct {
    const char *words[16];
    const char *in; /* standard input, or NULL */
    const char *out;
    const char *err;
    int status;
} cases[] = {
    {{"echo", "hi"}, NULL, "hi\n", "", 0},
    {{"sh", "-c", "exit 3"}, NULL, "", "", 3},
    {{"exit 3"}, NULL, "", "", 3},
    {{"echo a; echo b >&2"}, NULL, "a\n", "b\n", 0},
    {{"@signal", "9"},
     NULL,
     "",
     "mesh: task 1 (@signal 9) failed: ended by signal 9 (SIGKILL) on "
     "lily\n",
     137},
    {{"@lost"},
     NULL,
     "",
     "mesh: task 1 (@lost) failed: lost with its peer after it was started: "
     "it may have run in part on lily\n",
     125},
    {{"@missing"},
     NULL,
     "",
     "mesh: task 1 (@missing) failed: no peer could start it: command not "
     "found\n",
     127},
    {{"@gone"},
     NULL,
     "",
     "mesh: task 1 (@gone) failed: no peer could start it: command not "
     "found (No such file or directory)\n",
     127},
    {{"@wrong-arch"},
     NULL,
     "",
     "mesh: task 1 (@wrong-arch) failed: no peer could start it: wrong "
     "architecture\n",
     126},
    {{"@timeout"},
     NULL,
     "",
     "mesh: task 1 (@timeout) failed: killed, it ran longer than --timeout "
     "on lily\n",
     137},
    {{"cat"}, "some\ninput", "some\ninput", "", 0},
    {{"wc", "-c"}, "", "0\n", "", 0},
    {{"echo", ":::", "a", "b"}, NULL, "a\nb\n", "", 0},
    {{"echo", "{}-{#}", ":::", "a", "b", ":::", "1", "2"},
     NULL,
     "a 1-1\na 2-2\nb 1-3\nb 2-4\n",
     "",
     0},
    {{"echo", "{1}", "{2}", ":::", "a", "b", ":::+", "1", "2"}, NULL, "a 1\nb 2\n", "", 0},
    {{"echo", "{.}"}, "x.c\ny.d\n", "x\ny\n", "", 0},
    {{"-0", "-a", "-", "echo"}, "x\0y\0", "x\ny\n", "", 0},
    {{"-a", "-", "echo", "{1}", "{2}", ":::", "1", "2"}, "x\ny\n", "x 1\nx 2\ny 1\ny 2\n", "", 0},
    {{"echo {} | tr a-z A-Z", ":::", "it's", "$HOME"}, NULL, "IT'S\n$HOME\n", "", 0},
    {{"echo", "{}", "|", "tr", "a-z", "A-Z", ":::", "x"}, NULL, "X\n", "", 0},
    {{"-q", "echo", "{}", "|", "tr", ":::", "x"}, NULL, "x | tr\n", "", 0},
    {{":::", "echo a; echo b", "echo c"}, NULL, "a\nb\nc\n", "", 0},
    {{"echo", ":::"}, NULL, "", "", 0},
    {{"echo", "{}"}, "", "", "", 0},
    {{"--tag", "printf", "1\\n2%.0s%.0s", ":::", "a", ":::", "b"}, NULL, "a b\t1\na b\t2", "", 0},
    {{"--line-buffer", "--tag", "printf", "1\\n2%.0s%.0s", ":::", "a"}, NULL, "a\t1\na\t2", "", 0},
    {{"-u", "echo", ":::", "a"}, NULL, "a\n", "", 0},
    {{"sh", "-c", "exit $1", "x", "{}", ":::", "0", "1", "2"},
     NULL,
     "",
     "mesh: task 2 (sh -c 'exit $1' x 1) failed: exit status 1 on lily\n"
     "mesh: task 3 (sh -c 'exit $1' x 2) failed: exit status 2 on lily\n"
     "mesh: 2 of 3 tasks failed\n",
     2},
    {{"@evil", ":::", "x"},
     NULL,
     "",
     "mesh: task 1 (@evil x) failed: exit status 1 on \\x1b[31mevil\n",
     1},
    {{"--dry-run", "echo", "{}", "it's", ":::", "a b"}, NULL, "echo 'a b' 'it'\\''s'\n", "", 0},
    {{"--dry-run", "echo {} | wc", ":::", "a b"}, NULL, "echo 'a b' | wc\n", "", 0},
};

START_TEST(submit_prints_and_exits_as_documented)
{
    struct command command;
    daemon_with(&(struct fake_daemon_options){0});
    const char *in = cases[_i].in;
    size_t n_in = in == NULL ? 0 : strcmp(cases[_i].words[0], "-0") == 0 ? 4 : strlen(in);
    int in_fd = in != NULL ? command_file(in, n_in) : -1;
    run(&command, cases[_i].words, in_fd);
    ck_assert_str_eq(command.err, cases[_i].err);
    ck_assert_str_eq(command.out, cases[_i].out);
    ck_assert_int_eq(command.status, cases[_i].status);
    command_done(&command);
    fake_daemon_stop(&the_daemon);
}
END_TEST

START_TEST(results_come_in_input_order_with_k_and_as_they_end_without)
{
    struct command command;
    daemon_with(&(struct fake_daemon_options){.is_reversed = true, .credit = 16});
    run(&command, WORDS("@ok", ":::", "a", "b", "c", "d"), -1);
    ck_assert_str_eq(command.out, "d\nc\nb\na\n");
    command_done(&command);
    run(&command, WORDS("-k", "--tag", "@ok", ":::", "a", "b", "c", "d"), -1);
    ck_assert_str_eq(command.out, "a\ta\nb\tb\nc\tc\nd\td\n");
    ck_assert_int_eq(command.status, 0);
    command_done(&command);
    fake_daemon_stop(&the_daemon);
}
END_TEST

START_TEST(big_outputs_come_whole_and_apart_in_order)
{
    struct command command;
    daemon_with(&(struct fake_daemon_options){.is_reversed = true, .credit = 100});
    run(&command,
        WORDS("-k", "head -c 300000 /dev/zero | tr '\\0' {}; echo {} >&2", ":::", "1", "2", "3",
              "4"),
        -1);
    ck_assert_str_eq(command.err, "1\n2\n3\n4\n");
    ck_assert_uint_eq(command.n_out, 1200000);
    for (size_t i = 0; i < command.n_out; i++) {
        ck_assert_int_eq(command.out[i], (int)('1' + i / 300000));
    }
    command_done(&command);
    fake_daemon_stop(&the_daemon);
}
END_TEST

START_TEST(more_than_a_hundred_failures_exit_with_101)
{
    struct command command;
    daemon_with(&(struct fake_daemon_options){0});
    char text[1024];
    size_t n = 0;
    for (int i = 0; i < 102; i++) {
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%d\n", i);
    }
    int in = command_file(text, n);
    run(&command, WORDS("-a", "-", "@timeout"), in);
    ck_assert_int_eq(command.status, 101);
    ck_assert_ptr_nonnull(strstr(command.err, "102 of 102 tasks failed"));
    close(in);
    command_done(&command);
    in = command_file(text, strlen("0\n") * 10 + strlen("10\n") * 90);
    run(&command, WORDS("-a", "-", "@timeout"), in);
    ck_assert_int_eq(command.status, 100);
    close(in);
    command_done(&command);
    fake_daemon_stop(&the_daemon);
}
END_TEST

START_TEST(a_hundred_thousand_inputs_simply_work)
{
    struct command command;
    daemon_with(&(struct fake_daemon_options){.credit = 512});
    size_t n = 0;
    size_t n_max = 100000 * 7;
    char *text = malloc(n_max);
    for (int i = 0; i < 100000; i++) {
        n += (size_t)snprintf(text + n, n_max - n, "%d\n", i);
    }
    int in = command_file(text, n);
    run(&command, WORDS("-k", "-a", "-", "@ok"), in);
    ck_assert_int_eq(command.status, 0);
    ck_assert_str_eq(command.err, "");
    ck_assert_uint_eq(command.n_out, n);
    ck_assert(memcmp(command.out, text, n) == 0);
    close(in);
    command_done(&command);
    free(text);
    fake_daemon_stop(&the_daemon);
}
END_TEST

START_TEST(a_hundred_thousand_inputs_by_argv_simply_work)
{
    struct command command;
    daemon_with(&(struct fake_daemon_options){.credit = 512});
    char line[512];
    snprintf(line, sizeof(line), "exec '%s' --socket '%s' submit -k @ok ::: $(seq 100000)",
             MESH_COMMAND, the_daemon.path);
    command_start(&command, WORDS("/bin/bash", "-c", line), -1, -1);
    command_wait(&command);
    ck_assert_str_eq(command.err, "");
    ck_assert_int_eq(command.status, 0);
    size_t n_lines = 0;
    for (size_t i = 0; i < command.n_out; i++) {
        n_lines += command.out[i] == '\n';
    }
    ck_assert_uint_eq(n_lines, 100000);
    ck_assert_str_eq(command.out + command.n_out - 7, "100000\n");
    command_done(&command);
    fake_daemon_stop(&the_daemon);
}
END_TEST

START_TEST(a_local_program_travels)
{
    struct command command;
    daemon_with(&(struct fake_daemon_options){0});
    char path[128];
    snprintf(path, sizeof(path), "%s/prog", the_daemon.dir);
    FILE *file = fopen(path, "w");
    fputs("#!/bin/sh\necho \"ran with $*\"\n", file);
    fclose(file);
    chmod(path, 0755);
    run(&command, WORDS(path, ":::", "a", "b"), -1);
    ck_assert_str_eq(command.out, "ran with a\nran with b\n");
    ck_assert_int_eq(command.status, 0);
    command_done(&command);
    chmod(path, 0644);
    run(&command, WORDS(path, ":::", "a", "b"), -1);
    ck_assert_int_eq(command.status, 126);
    command_done(&command);
    unlink(path);
    run(&command, WORDS(path), -1);
    ck_assert_int_eq(command.status, 127);
    command_done(&command);
    fake_daemon_stop(&the_daemon);
}
END_TEST

START_TEST(a_file_that_does_not_travel_earns_one_hint)
{
    struct command command;
    daemon_with(&(struct fake_daemon_options){0});
    run(&command, WORDS("@ok", ":::", "/etc/passwd", "/etc/group"), -1);
    ck_assert_ptr_nonnull(strstr(command.err, "note: /etc/passwd is a file here"));
    ck_assert_ptr_null(strstr(command.err, "/etc/group"));
    ck_assert_int_eq(command.status, 0);
    command_done(&command);
    run(&command, WORDS("@ok", ":::", "/usr/bin/env"), -1);
    ck_assert_str_eq(command.err, "");
    command_done(&command);
    fake_daemon_stop(&the_daemon);
}
END_TEST

START_TEST(notices_of_the_daemon_are_told_and_harmless)
{
    struct command command;
    fake_daemon_start(&the_daemon, &(struct fake_daemon_options){0});
    run(&command, WORDS("echo", "x"), -1);
    ck_assert_str_eq(command.out, "x\n");
    ck_assert_str_eq(command.err, "mesh: no other peer in sight: \\x1b[31mrunning here\n");
    command_done(&command);
    fake_daemon_stop(&the_daemon);
}
END_TEST

START_TEST(a_restarted_streamed_task_prints_nothing_twice)
{
    struct command command;
    daemon_with(&(struct fake_daemon_options){.stream_offset = 1});
    run(&command, WORDS("seq", "1", "3000"), -1);
    ck_assert_uint_eq(command.n_out, 13893);
    ck_assert_str_eq(command.out + command.n_out - 10, "2999\n3000\n");
    command_done(&command);
    fake_daemon_stop(&the_daemon);
}
END_TEST

static const struct {
    uint32_t error;
    int status;
} refusals[] = {{WIRE_ERROR_INVALID, 125},
                {WIRE_ERROR_UNAVAILABLE, 125},
                {WIRE_ERROR_NOT_FOUND, 127},
                {WIRE_ERROR_NOT_EXECUTABLE, 126}};

START_TEST(a_refused_job_is_told_in_a_line)
{
    struct command command;
    daemon_with(&(struct fake_daemon_options){.refuse = refusals[_i].error});
    run(&command, WORDS("echo", ":::", "1", "2"), -1);
    ck_assert_str_eq(command.err, "mesh: the fake daemon refuses\n");
    ck_assert_int_eq(command.status, refusals[_i].status);
    command_done(&command);
    fake_daemon_stop(&the_daemon);
}
END_TEST

START_TEST(a_daemon_that_vanishes_is_told_with_what_is_missing)
{
    struct command command;
    daemon_with(&(struct fake_daemon_options){0});
    run(&command, WORDS("sh", "-c", "test {} != 3 || kill -9 $PPID", ":::", "1", "2", "3", "4"),
        -1);
    ck_assert_str_eq(command.err, "mesh: meshd is gone: 2 of 4 tasks have no result\n");
    ck_assert_int_eq(command.status, 125);
    command_done(&command);
    fake_daemon_stop(&the_daemon);
}
END_TEST

/* Waits until the file that the command prints to holds something. */
static void wait_for_output(int fd)
{
    struct stat st = {0};
    while (st.st_size == 0) {
        ck_assert_int_eq(fstat(fd, &st), 0);
        sched_yield();
    }
}

static const struct {
    int signal;
    int status;
} stops[] = {{SIGINT, 130}, {SIGTERM, 143}};

START_TEST(a_signal_cancels_the_job_and_waits_for_it)
{
    struct command command;
    daemon_with(&(struct fake_daemon_options){0});
    start(&command, WORDS(":::", "echo started; true", "@hang"), -1, -1);
    wait_for_output(command.out_fd);
    kill(command.pid, stops[_i].signal);
    command_wait(&command);
    ck_assert_str_eq(command.out, "started\n");
    ck_assert_str_eq(command.err, "");
    ck_assert_int_eq(command.status, stops[_i].status);
    command_done(&command);
    fake_daemon_stop(&the_daemon);
}
END_TEST

static const struct {
    int first, second;
    int status;
} leaves[] = {{SIGINT, SIGINT, 130}, {SIGTERM, SIGTERM, 143}, {SIGINT, SIGTERM, 143}};

/* The daemon says that the cancel has come, so the first signal has been dealt with; it never
 * answers, so that nothing but the second signal can end the command. */
START_TEST(a_second_signal_leaves_at_once)
{
    int cancels[2];
    ck_assert_int_eq(pipe2(cancels, O_CLOEXEC), 0);
    struct command command;
    daemon_with(&(struct fake_daemon_options){.cancel_fd = cancels[1]});
    close(cancels[1]);
    start(&command, WORDS(":::", "echo started; true", "@hang"), -1, -1);
    wait_for_output(command.out_fd);
    kill(command.pid, leaves[_i].first);
    char byte;
    ck_assert_int_eq((int)read(cancels[0], &byte, 1), 1);
    ck_assert_int_eq(waitpid(command.pid, NULL, WNOHANG), 0);
    kill(command.pid, leaves[_i].second);
    command_wait(&command);
    ck_assert_str_eq(command.out, "started\n");
    ck_assert_str_eq(command.err, "");
    ck_assert_int_eq(command.status, leaves[_i].status);
    close(cancels[0]);
    command_done(&command);
    fake_daemon_stop(&the_daemon);
}
END_TEST

START_TEST(a_reader_that_goes_away_ends_it_cleanly)
{
    struct command command;
    daemon_with(&(struct fake_daemon_options){0});
    int ends[2];
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    start(&command, WORDS("seq", "{}", "100000", ":::", "1", "2", "3"), -1, ends[1]);
    close(ends[1]);
    char bytes[10];
    ck_assert_int_gt((int)read(ends[0], bytes, sizeof(bytes)), 0);
    close(ends[0]);
    command_wait(&command);
    ck_assert_str_eq(command.err, "");
    ck_assert_int_eq(command.status, 141);
    command_done(&command);
    fake_daemon_stop(&the_daemon);
}
END_TEST

START_TEST(a_full_disk_under_standard_output_is_told)
{
    struct command command;
    daemon_with(&(struct fake_daemon_options){0});
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    start(&command, WORDS("@ok", ":::", "a", "b"), -1, full);
    command_wait(&command);
    ck_assert_str_eq(command.err, "mesh: cannot write standard output: No space left on device\n");
    ck_assert_int_eq(command.status, 125);
    close(full);
    command_done(&command);
    fake_daemon_stop(&the_daemon);
}
END_TEST

/* Runs the command by a shell, which can close or redirect what command_start() cannot. */
static int shell(const char *redirections, const char *words, char *ret_err, size_t n_err)
{
    struct command command;
    char line[512];
    snprintf(line, sizeof(line), "\"$0\" --socket \"$1\" %s %s", words, redirections);
    const char *const argv[] = {"/bin/sh", "-c", line, MESH_COMMAND, the_daemon.path, NULL};
    command_start(&command, argv, -1, -1);
    command_wait(&command);
    snprintf(ret_err, n_err, "%s", command.err);
    int status = command.status;
    command_done(&command);
    return status;
}

START_TEST(closed_and_full_descriptors_are_no_success)
{
    char err[256];
    daemon_with(&(struct fake_daemon_options){0});
    ck_assert_int_eq(shell(">&-", "peers", err, sizeof(err)), 1);
    ck_assert_str_eq(err, "mesh: cannot write standard output: Bad file descriptor\n");
    ck_assert_int_eq(shell(">&-", "submit echo hi", err, sizeof(err)), 125);
    ck_assert_str_eq(err, "mesh: cannot write standard output: Bad file descriptor\n");
    ck_assert_int_eq(shell("2>/dev/full", "submit 'echo a >&2'", err, sizeof(err)), 125);
    /* closed on purpose: the daemon's socket must not take its place */
    ck_assert_int_eq(shell("2>&-", "submit 'echo a >&2'", err, sizeof(err)), 0);
    ck_assert_int_eq(shell("<&-", "submit echo hi", err, sizeof(err)), 0);
    ck_assert_str_eq(err, "");
    fake_daemon_stop(&the_daemon);
}
END_TEST

START_TEST(the_joblog_has_parallels_columns)
{
    struct command command;
    daemon_with(&(struct fake_daemon_options){0});
    char path[128];
    snprintf(path, sizeof(path), "%s/log", the_daemon.dir);
    run(&command, WORDS("--joblog", path, ":::", "echo hi", "exit 4", "kill -9 $$", "@missing"),
        -1);
    command_done(&command);
    char line[512];
    FILE *log = fopen(path, "r");
    ck_assert_ptr_nonnull(fgets(line, sizeof(line), log));
    ck_assert_str_eq(line,
                     "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n");
    static const char *const ends[] = {"0\t3\t0\t0\techo hi\n", "0\t0\t4\t0\texit 4\n",
                                       "0\t0\t0\t9\tkill -9 $$\n"};
    for (int i = 0; i < 3; i++) {
        ck_assert_ptr_nonnull(fgets(line, sizeof(line), log));
        ck_assert_int_eq(line[0], '1' + i);
        ck_assert(memcmp(line + 1, "\tlily\t", 6) == 0);
        ck_assert_ptr_nonnull(strstr(line, "\t     0.00"));
        ck_assert_str_eq(line + strlen(line) - strlen(ends[i]), ends[i]);
    }
    fclose(log);
    unlink(path);
    fake_daemon_stop(&the_daemon);
}
END_TEST

static void write_log(const char *path, const char *mode, const char *text)
{
    FILE *log = fopen(path, mode);
    ck_assert_ptr_nonnull(log);
    fputs(text, log);
    fclose(log);
}

static void expect_run(const char *const *words, int status, const char *out)
{
    struct command command;
    run(&command, words, -1);
    ck_assert_msg(command.status == status, "%s", command.err);
    ck_assert_str_eq(command.out, out);
    command_done(&command);
}

/* As parallel does it; but a last line that is not whole it takes for one that is. */
START_TEST(a_joblog_is_gone_on_with)
{
    daemon_with(&(struct fake_daemon_options){0});
    char path[128];
    snprintf(path, sizeof(path), "%s/log", the_daemon.dir);
    const char *const resume[] = {
        "-k", "--joblog", path, "--resume", ":::", "echo a", "exit 4", "echo c", NULL};
    const char *const again[] = {"-k",     "--joblog", path,     "--resume-failed", ":::",
                                 "echo a", "exit 4",   "echo c", "echo d",          NULL};
    expect_run(WORDS("--joblog", path, ":::", "echo a", "exit 4"), 1, "a\n");
    write_log(path, "a", "3\tlily\t0.0");
    expect_run(resume, 0, "c\n");
    expect_run(resume, 0, "");
    expect_run(again, 1, "d\n");
    write_log(path, "w", "3\n");
    expect_run(resume, 125, "");
    write_log(path, "w", "");
    expect_run(resume, 1, "a\nc\n");
    unlink(path);
    fake_daemon_stop(&the_daemon);
}
END_TEST

START_TEST(a_bar_off_the_terminal_is_a_line_for_each_tenth)
{
    struct command command;
    daemon_with(&(struct fake_daemon_options){0});
    run(&command, WORDS("--bar", "@ok", ":::", "1", "2", "3", "4"), -1);
    ck_assert_ptr_nonnull(strstr(command.err, "4/4 tasks"));
    ck_assert_ptr_null(strchr(command.err, '\033'));
    ck_assert_str_eq(command.out, "1\n2\n3\n4\n");
    command_done(&command);
    fake_daemon_stop(&the_daemon);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cli_submit");
    TCase *tc = tcase_create("cli_submit");
    tcase_set_timeout(tc, 100);
    tcase_add_loop_test(tc, submit_prints_and_exits_as_documented, 0, (int)ARRAY_LEN(cases));
    tcase_add_test(tc, results_come_in_input_order_with_k_and_as_they_end_without);
    tcase_add_test(tc, big_outputs_come_whole_and_apart_in_order);
    tcase_add_test(tc, more_than_a_hundred_failures_exit_with_101);
    tcase_add_test(tc, a_hundred_thousand_inputs_simply_work);
    tcase_add_test(tc, a_hundred_thousand_inputs_by_argv_simply_work);
    tcase_add_test(tc, a_local_program_travels);
    tcase_add_test(tc, a_file_that_does_not_travel_earns_one_hint);
    tcase_add_test(tc, notices_of_the_daemon_are_told_and_harmless);
    tcase_add_test(tc, a_restarted_streamed_task_prints_nothing_twice);
    tcase_add_loop_test(tc, a_refused_job_is_told_in_a_line, 0, (int)ARRAY_LEN(refusals));
    tcase_add_test(tc, a_daemon_that_vanishes_is_told_with_what_is_missing);
    tcase_add_loop_test(tc, a_signal_cancels_the_job_and_waits_for_it, 0, (int)ARRAY_LEN(stops));
    tcase_add_loop_test(tc, a_second_signal_leaves_at_once, 0, (int)ARRAY_LEN(leaves));
    tcase_add_test(tc, a_reader_that_goes_away_ends_it_cleanly);
    tcase_add_test(tc, a_full_disk_under_standard_output_is_told);
    tcase_add_test(tc, closed_and_full_descriptors_are_no_success);
    tcase_add_test(tc, the_joblog_has_parallels_columns);
    tcase_add_test(tc, a_joblog_is_gone_on_with);
    tcase_add_test(tc, a_bar_off_the_terminal_is_a_line_for_each_tenth);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
