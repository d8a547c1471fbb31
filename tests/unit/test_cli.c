/* The commands other than submit, wrong use of all of them, and that --help and the man pages say
 * the same. */
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/bar.h"
#include "cli/exit.h"
#include "tests/lib/command.h"
#include "tests/lib/fake_daemon.h"
#include "tests/lib/runner.h"
#include "wire/base/ensure.h"

#define WORDS_MAX  16
#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define MAN_PAGE   MESH_SOURCE_ROOT "/cli/man/mesh.1"

static struct fake_daemon the_daemon;

static void run(struct command *command, const char *const *words)
{
    const char *argv[WORDS_MAX + 2] = {MESH_COMMAND};
    for (unsigned i = 0; i < WORDS_MAX && words[i] != NULL; i++) {
        argv[1 + i] = words[i];
    }
    command_start(command, argv, -1, -1);
    command_wait(command);
}

/* --- wrong use ---------------------------------------------------------------------------------
 */

/* Each is refused with this status and one line, before any daemon is asked. */
static const struct {
    const char *words[WORDS_MAX];
    int status;
    const char *says; /* a part of the line */
} bad[] = {
    {{"--nonsense"}, 2, "unknown option --nonsense"},
    {{"--socket"}, 2, "--socket needs a value"},
    {{"--socket", ""}, 2, "needs a path"},
    {{"nonsense"}, 2, "unknown command 'nonsense'"},
    {{"per\033s"}, 2, "did you mean peers"},
    {{"help", "nonsense"}, 2, "unknown command"},
    {{"peers", "--jsn"}, 2, "did you mean --json?"},
    {{"peers", "x"}, 2, "options only"},
    {{"jobs", "-x"}, 2, "unknown option -x"},
    {{"stats", "--json=1"}, 2, "takes no value"},
    {{"cancel"}, 2, "give one job"},
    {{"cancel", "1", "2"}, 2, "give one job"},
    {{"cancel", "x"}, 2, "'x' is no job"},
    {{"cancel", "3"}, 2, "'3' is no job"},
    {{"cancel", "1.4294967296"}, 2, "'1.4294967296' is no job"},
    {{"queue"}, 2, "give one of put, get, ls, rm"},
    {{"queue", "steal", "q"}, 2, "give one of put, get, ls, rm"},
    {{"queue", "put"}, 2, "queue put: give the name"},
    {{"queue", "rm"}, 2, "queue rm: give the name"},
    {{"queue", "put", "a/b", "x"}, 2, "no slash and no control characters"},
    {{"queue", "get", "a\033b"}, 2, "no slash and no control characters"},
    {{"queue", "get", ""}, 2, "1 to 64 bytes"},
    {{"queue", "get", "q", "--timeout", "soon"}, 2, "--timeout: soon is no time"},
    {{"queue", "get", "q", "-n", "some"}, 2, "-n: some is no number"},
    {{"queue", "get", "--raw", "q", "cat"}, 2, "-0 and --raw are for printing"},
    {{"queue", "put", "q", "--raw"}, 2, "an option that it does not have"},
    {{"queue", "put", "q", "-0", "x"}, 2, "not both"},
    {{"queue", "put", "q", "-0", "--whole"}, 2, "no meaning with --whole"},
    {{"queue", "ls", "q"}, 2, "a word too many"},
    {{"cores"}, 2, "give the number"},
    {{"cores", "-1"}, 2, "'-1' is no number of cores"},
    {{"cores", "many"}, 2, "'many' is no number of cores"},
    {{"cores", "4097"}, 2, "0 to 4096"},
    {{"cores", "1", "2"}, 2, "give the number"},
    {{"lock", "now"}, 2, "'now' is too much"},
    {{"unlock", "--all"}, 2, "unknown option --all"},
    {{"invite", "lily"}, 2, "'lily' is too much"},
    {{"invite", "--valid"}, 2, "--valid needs a value"},
    {{"invite", "--valid", "soon"}, 2, "--valid: 'soon' is not a time"},
    {{"invite", "--valid", ""}, 2, "--valid: '' is not a time"},
    {{"invite", "--valid", "0"}, 2, "--valid: out of range, give 1 to 10080 minutes"},
    {{"invite", "--valid", "10081"}, 2, "--valid: out of range"},
    {{"invite", "--valid", "-1"}, 2, "--valid: '-1' is not a time"},
    {{"invite", "--valid", "99999999999999999999"}, 2, "--valid: out of range"},
    {{"join", "--code"}, 2, "unknown option --code"},
    {{"trust"}, 2, "give one peer, or --remove NAME, or --list"},
    {{"trust", "hal", "lily"}, 2, "give one peer"},
    {{"trust", "--list", "hal"}, 2, "give one peer"},
    {{"trust", "--remove", "hal", "--list"}, 2, "give one peer"},
    {{"trust", "--remove", ""}, 2, "--remove: give a name"},
    {{"trust", "--json", "hal"}, 2, "--json goes with --list"},
    {{"ban"}, 2, "give one peer, or --remove PEER, or --list"},
    {{"ban", "--list", "hal"}, 2, "give one peer"},
    {{"ban", "--remove"}, 2, "--remove needs a value"},
    {{"--socket", "/nonexistent/s", "lock"}, 1, "no meshd at /nonexistent/s"},
    {{"--socket", "/nonexistent/s", "unlock"}, 1, "no meshd at /nonexistent/s"},
    {{"--socket", "/nonexistent/s", "invite", "--valid", "1h"}, 1, "no meshd at /nonexistent/s"},
    {{"--socket", "/nonexistent/s", "trust", "hal"}, 1, "no meshd at /nonexistent/s"},
    {{"--socket", "/nonexistent/s", "ban", "hal"}, 1, "no meshd at /nonexistent/s"},
    {{"--socket", "/nonexistent/s", "peers"}, 1, "no meshd at /nonexistent/s"},
    {{"--socket", "/nonexistent/s", "jobs"}, 1, "no meshd at /nonexistent/s"},
    {{"--socket", "/nonexistent/s", "stats"}, 1, "no meshd at /nonexistent/s"},
    {{"--socket", "/nonexistent/s", "cancel", "1.1"}, 1, "no meshd at /nonexistent/s"},
    {{"--socket", "/nonexistent/s", "cores", "1"}, 1, "no meshd at /nonexistent/s"},
    {{"--socket", "/nonexistent/s", "submit", "true"}, 125, "no meshd at /nonexistent/s"},
    {{"--socket", "/etc/passwd", "peers"}, 1, "no socket of a meshd"},
    {{"submit", "--detachh", "true"}, 125, "unknown option --detachh"},
    {{"submit", "--detach", "-k", "true"}, 125, "give -k to `mesh wait`"},
    {{"submit", "--detach", "-u", "true"}, 125, "nothing is printed here"},
    {{"submit", "--detach", "--results", "t", "true"}, 125, "give --results to `mesh wait`"},
    {{"submit", "--detach", "--return", "d/./f", "true"}, 125, "leave out what stands before"},
    {{"submit", "--detach", "--once", "true"}, 125, "cannot promise --once"},
    {{"submit", "--after", "7", "true"}, 125, "'7' is no job"},
    {{"submit", "--after", "7.1,", "true"}, 125, "is not a list"},
    {{"submit", "--after", "7.1", "--after-any", "7.2", "true"}, 125, "choose one"},
    {{"submit", "--resume", "true"}, 125, "go on from a --joblog"},
    {{"wait"}, 125, "give one job"},
    {{"wait", "x"}, 125, "'x' is no job"},
    {{"results", "--task", "0", "1.1"}, 2, "from 1 on"},
    {{"results", "1.1", "1.2"}, 2, "give one job"},
    {{"results", "--stream", "in", "1.1"}, 2, "give out or err"},
    {{"results", "--files", "", "1.1"}, 2, "the name of a folder"},
    {{"results", "--results", "", "1.1"}, 2, "--results: give a name"},
    {{"wait", "--results", "", "1.1"}, 125, "--results: give a name"},
    {{"submit", "--results", "", "true"}, 125, "--results: give a name"},
    {{"forget", "--all"}, 2, "unknown option --all"},
    {{"submit", "--sendfile", "x", "true"}, 125, "unknown option --sendfile"},
    {{"submit", "-Z", "true"}, 125, "unknown option -Z"},
    {{"submit", "-j"}, 125, "-j needs a value"},
    {{"submit", "-j", "-1", "true"}, 125, "--jobs: '-1' is not a number"},
    {{"submit", "-j", "50%", "true"}, 125, "--jobs: '50%' is not a number"},
    {{"submit", "-j", "99999999999", "true"}, 125, "--jobs: out of range"},
    {{"submit", "--cores", "-1", "true"}, 125, "--cores: '-1' is not a number"},
    {{"submit", "--cores", "0", "true"}, 125, "--cores: out of range, give 1 to 4096"},
    {{"submit", "--cores", "4097", "true"}, 125, "--cores: out of range"},
    {{"submit", "--cores", "two", "true"}, 125, "--cores: 'two' is not a number"},
    {{"submit", "--nice", "20", "true"}, 125, "--nice: out of range, give 0 to 19"},
    {{"submit", "--mem", "lots", "true"}, 125, "--mem: 'lots' is not a size"},
    {{"submit", "--mem", "0", "true"}, 125, "--mem: '0' is not a size"},
    {{"submit", "--timeout", "soon", "true"}, 125, "--timeout: 'soon' is not a time"},
    {{"submit", "--timeout", "200%", "true"}, 125, "--timeout: '200%' is not a time"},
    {{"submit", "--timeout", "0", "true"}, 125, "--timeout: too short"},
    {{"submit", "--lease", "0.5", "true"}, 125, "--lease: too short, give 1 seconds"},
    {{"submit", "--max-output", "-1", "true"}, 125, "--max-output: '-1' is not a size"},
    {{"submit", "--retries", "x", "true"}, 125, "--retries: 'x' is not a number"},
    {{"submit", "--require-peers", "-3", "true"}, 125, "--require-peers: '-3' is not a number"},
    {{"submit", "--on", "", "true"}, 125, "--on: '' is not a list"},
    {{"submit", "--on", "a,,b", "true"}, 125, "--on: 'a,,b' is not a list"},
    {{"submit", "--env", "NO_SUCH_VARIABLE", "true"}, 125, "NO_SUCH_VARIABLE is not set"},
    {{"submit", "--env", "A=B", "true"}, 125, "A=B is not set"},
    {{"submit", "--name", "", "true"}, 125, "--name: give 1 to 64 bytes"},
    {{"submit", "--arch", "a-very-long-architecture", "true"}, 125, "--arch: give 1 to 16"},
    {{"submit", "-k", "-u", "true"}, 125, "-k holds output back"},
    {{"submit", "--once", "--retries", "2", "true"}, 125, "--once forbids"},
    {{"submit", "echo", "{%}", ":::", "a"}, 125, "{%}, the job slot"},
    {{"submit", "echo", "{= 1 =}", ":::", "a"}, 125, "{= perl =}"},
    {{"submit", "echo", ":::+", "a"}, 125, "link to the input source before"},
    {{"submit", "echo", "::::"}, 125, ":::: needs a file"},
    {{"submit", "-a", "/nonexistent/list", "echo"}, 125, "/nonexistent/list: No such file"},
    {{"submit", "echo", "::::", "/nonexistent/list"}, 125, "/nonexistent/list: No such file"},
    {{"submit", "-a", "/", "echo"}, 125, "cannot read /: Is a directory"},
    {{"submit", "-a", "-", "-a", "-", "echo"}, 125, "standard input can be one"},
    {{"submit", "./no-such-program"}, 127, "./no-such-program: there is no such program here"},
    {{"submit", "/nonexistent/program"}, 127, "there is no such program here"},
    {{"submit", "./no-such-program | wc", ":::", "1"}, 127, "no such program here"},
    {{"submit", "/etc/passwd"}, 126, "/etc/passwd is not executable"},
    {{"submit", "/tmp/"}, 126, "/tmp/ is a directory"},
    {{"submit", "--joblog", "/nonexistent/log", "echo", ":::", "1"}, 125, "/nonexistent/log"},
};

START_TEST(wrong_use_is_refused_in_one_line_with_its_exit_status)
{
    struct command command;
    run(&command, bad[_i].words);
    ck_assert_msg(strstr(command.err, bad[_i].says) != NULL, "%s\n is not in: %s", bad[_i].says,
                  command.err);
    ck_assert_int_eq(command.status, bad[_i].status);
    ck_assert_str_eq(command.out, "");
    const char *newline = strchr(command.err, '\n');
    ck_assert_ptr_nonnull(newline);
    ck_assert_int_eq(newline[1], '\0');
    ck_assert(strncmp(command.err, "mesh: ", 6) == 0);
    ck_assert_ptr_null(strchr(command.err, '\033'));
    command_done(&command);
}
END_TEST

START_TEST(an_input_line_of_a_mebibyte_is_refused_naming_the_limit)
{
    struct command command;
    char path[] = "/tmp/mesh-test-XXXXXX";
    int fd = mkstemp(path);
    size_t n = 1u << 20;
    char *bytes = malloc(n);
    memset(bytes, 'x', n);
    ck_assert_int_eq((int)write(fd, bytes, n), (int)n);
    free(bytes);
    close(fd);
    run(&command, WORDS("submit", "-a", path, "echo"));
    unlink(path);
    ck_assert_int_eq(command.status, 125);
    ck_assert_ptr_nonnull(strstr(command.err,
                                 "line 1: longer than 131071 bytes, the kernel's limit "
                                 "for one argument"));
    command_done(&command);
}
END_TEST

START_TEST(a_file_that_may_not_be_read_is_refused)
{
    if (geteuid() == 0) {
        return; /* root may read everything */
    }
    struct command command;
    char path[] = "/tmp/mesh-test-XXXXXX";
    int fd = mkstemp(path);
    fchmod(fd, 0);
    close(fd);
    run(&command, WORDS("submit", "-a", path, "echo"));
    unlink(path);
    ck_assert_int_eq(command.status, 125);
    ck_assert_ptr_nonnull(strstr(command.err, "Permission denied"));
    command_done(&command);
}
END_TEST

START_TEST(without_a_command_the_help_is_shown)
{
    struct command command;
    run(&command, WORDS(NULL));
    ck_assert_int_eq(command.status, 2);
    ck_assert_ptr_nonnull(strstr(command.err, "usage: mesh"));
    command_done(&command);
    run(&command, WORDS("--help"));
    ck_assert_int_eq(command.status, 0);
    ck_assert_ptr_nonnull(strstr(command.out, "usage: mesh"));
    command_done(&command);
    run(&command, WORDS("--version"));
    ck_assert_str_eq(command.out, "mesh " MESH_VERSION "\n");
    command_done(&command);
}
END_TEST

/* --- asking ------------------------------------------------------------------------------------
 */

START_TEST(peers_are_listed_and_their_names_made_harmless)
{
    struct command command;
    fake_daemon_start(&the_daemon, &(struct fake_daemon_options){.n_peers = 3});
    run(&command, WORDS("--socket", the_daemon.path, "peers"));
    ck_assert_int_eq(command.status, 0);
    ck_assert(strncmp(command.out, "NAME", 4) == 0);
    ck_assert_ptr_nonnull(strstr(command.out, "local"));
    ck_assert_ptr_nonnull(strstr(command.out, "0.3ms"));
    ck_assert_ptr_null(strchr(command.out, '\033'));
    ck_assert_ptr_nonnull(strstr(command.out, "\\x1b"));
    command_done(&command);
    run(&command, WORDS("--socket", the_daemon.path, "peers", "--json"));
    ck_assert_int_eq(command.status, 0);
    ck_assert_ptr_nonnull(strstr(command.out, "\"rtt_ms\": null"));
    ck_assert_ptr_nonnull(strstr(command.out, "\"rtt_ms\": 0.312"));
    ck_assert_ptr_nonnull(strstr(command.out, "\"state\": \"up\""));
    ck_assert_ptr_nonnull(strstr(command.out, "\"local\": true"));
    ck_assert_ptr_nonnull(
        strstr(command.out,
               "\"key\": \"0202020202020202020202020202020202020202020202020202020202020202\""));
    ck_assert_ptr_null(strchr(command.out, '\033'));
    command_done(&command);
    fake_daemon_stop(&the_daemon);
}
END_TEST

START_TEST(stats_count_tasks_by_peer)
{
    struct command command;
    fake_daemon_start(&the_daemon, &(struct fake_daemon_options){0});
    run(&command, WORDS("--socket", the_daemon.path, "stats"));
    ck_assert_int_eq(command.status, 0);
    ck_assert_ptr_nonnull(strstr(command.out, "TASKS"));
    ck_assert_ptr_nonnull(strstr(command.out, "75.00"));
    ck_assert_ptr_nonnull(strstr(command.out, "2 active tasks, 8 cores"));
    ck_assert_ptr_nonnull(strstr(command.out, "Time elapsed since meshd started: 12.500 s"));
    command_done(&command);
    run(&command, WORDS("--socket", the_daemon.path, "stats", "--json"));
    ck_assert_ptr_nonnull(strstr(command.out, "\"time_per_task_s\": 1.0"));
    ck_assert_ptr_nonnull(strstr(command.out, "\"active_tasks\": 2"));
    command_done(&command);
    fake_daemon_stop(&the_daemon);
}
END_TEST

START_TEST(jobs_cancel_and_cores_ask_and_tell)
{
    struct command command;
    fake_daemon_start(&the_daemon, &(struct fake_daemon_options){0});
    run(&command, WORDS("--socket", the_daemon.path, "jobs"));
    ck_assert_ptr_nonnull(strstr(command.out, "render"));
    ck_assert_ptr_nonnull(strstr(command.out, "10+"));
    ck_assert_ptr_nonnull(strstr(command.out, "1m30s"));
    command_done(&command);
    run(&command, WORDS("--socket", the_daemon.path, "jobs", "--json"));
    ck_assert_ptr_nonnull(strstr(command.out, "\"job\": \"0.3\""));
    ck_assert_ptr_nonnull(strstr(command.out, "\"tasks\": 10"));
    ck_assert_ptr_nonnull(strstr(command.out, "\"complete\": false"));
    command_done(&command);
    run(&command, WORDS("--socket", the_daemon.path, "cancel", "0.3"));
    ck_assert_int_eq(command.status, 0);
    command_done(&command);
    run(&command, WORDS("--socket", the_daemon.path, "cancel", "0.4"));
    ck_assert_int_eq(command.status, 1);
    ck_assert_str_eq(command.err, "mesh: there is no such job: see mesh jobs\n");
    command_done(&command);
    run(&command, WORDS("--socket", the_daemon.path, "cores", "0"));
    ck_assert_int_eq(command.status, 0);
    command_done(&command);
    run(&command, WORDS("--socket", the_daemon.path, "cores", "13"));
    ck_assert_int_eq(command.status, 1);
    ck_assert_str_eq(command.err, "mesh: not your daemon\n");
    command_done(&command);
    fake_daemon_stop(&the_daemon);
}
END_TEST

START_TEST(a_full_standard_output_is_no_success)
{
    struct command command;
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    const char *const argv[] = {MESH_COMMAND, "--help", NULL};
    command_start(&command, argv, -1, full);
    command_wait(&command);
    close(full);
    ck_assert_int_eq(command.status, 1);
    ck_assert_ptr_nonnull(strstr(command.err, "No space left"));
    command_done(&command);
}
END_TEST

/* --- what is documented ------------------------------------------------------------------------
 */

static char *read_file(const char *path)
{
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    char *text = calloc(1, 1u << 18);
    size_t n = fread(text, 1, (1u << 18) - 1, file);
    ck_assert_uint_gt(n, 0);
    fclose(file);
    return text;
}

/* The page's text with its hyphens as they are typed. */
static char *read_man(const char *path)
{
    char *text = read_file(path);
    char *to = text;
    for (const char *p = text; *p != '\0'; p++) {
        if (p[0] == '\\' && p[1] == '-') {
            p++;
        }
        *to++ = *p;
    }
    *to = '\0';
    return text;
}

/* Every "--word" of a text; calls fn with it. */
static unsigned each_option(const char *text, const char *in)
{
    unsigned n = 0;
    for (const char *p = text; (p = strstr(p, "--")) != NULL;) {
        size_t length = 2 + strspn(p + 2, "abcdefghijklmnopqrstuvwxyz-");
        char word[64];
        if (length > 3 && length < sizeof(word) && (p == text || isspace((unsigned char)p[-1]))) {
            snprintf(word, sizeof(word), "%.*s", (int)length, p);
            ck_assert_msg(strstr(in, word) != NULL, "%s is not documented there", word);
            n++;
        }
        p += length;
    }
    return n;
}

static const struct {
    const char *words[3];
    unsigned n;
} helps[] = {
    {{"--help"}, 3},         {{"help", "peers"}, 2},  {{"help", "submit"}, 54},
    {{"help", "jobs"}, 1},   {{"help", "stats"}, 1},  {{"help", "cancel"}, 0},
    {{"help", "cores"}, 0},  {{"help", "lock"}, 0},   {{"help", "invite"}, 1},
    {{"help", "join"}, 0},   {{"help", "unlock"}, 0}, {{"help", "trust"}, 6},
    {{"help", "ban"}, 4},    {{"help", "wait"}, 8},   {{"help", "results"}, 8},
    {{"help", "forget"}, 1},
};

START_TEST(every_option_of_the_help_is_in_the_man_page)
{
    struct command command;
    char *page = read_man(MAN_PAGE);
    run(&command, helps[_i].words);
    ck_assert_int_eq(command.status, 0);
    /* The examples show options of other programs too. */
    char *end = strstr(command.out, "\nexamples:\n");
    ck_assert_ptr_nonnull(end);
    *end = '\0';
    unsigned n = each_option(command.out, page);
    *end = '\n';
    ck_assert_uint_eq(n, helps[_i].n);
    command_done(&command);
    free(page);
}
END_TEST

START_TEST(every_exit_status_is_in_the_man_page_with_its_meaning)
{
#define ROW(name, status, text) {status, text},
    static const struct {
        int status;
        const char *text;
    } exits[] = {CMD_EXITS(ROW)};
    char *page = read_man(MAN_PAGE);
    char *section = strstr(page, ".SH EXIT STATUS");
    ck_assert_ptr_nonnull(section);
    unsigned n_rows = 0;
    char *end = strstr(section, ".PP");
    *end = '\0';
    for (const char *p = section; (p = strstr(p, ".TP\n")) != NULL; p++) {
        n_rows++;
    }
    ck_assert_uint_eq(n_rows, ARRAY_LEN(exits));
    for (size_t i = 0; i < ARRAY_LEN(exits); i++) {
        char row[256];
        snprintf(row, sizeof(row), ".TP\n.B %d\n%s\n", exits[i].status, exits[i].text);
        ck_assert_msg(strstr(section, row) != NULL, "missing: %s", row);
    }
    free(page);
}
END_TEST

/* --- the bar -----------------------------------------------------------------------------------
 */

START_TEST(the_bar_fits_the_terminal_and_tells_the_rest)
{
    char line[256];
    struct cmd_progress progress = {.n_done = 50, .n_known = 200, .n_failed = 2, .is_total = true};
    cmd_bar_format(&progress, 10000, 80, line, sizeof(line));
    ck_assert_uint_le(strlen(line), 80);
    ck_assert_ptr_nonnull(strstr(line, " 25% ["));
    ck_assert_ptr_nonnull(strstr(line, "50/200 tasks, 2 failed, ETA 30s"));
    for (unsigned n = 1; n < 200; n++) {
        cmd_bar_format(&progress, 10000, n, line, sizeof(line));
        ck_assert_uint_le(strlen(line), n);
    }
    progress.is_total = false;
    cmd_bar_format(&progress, 10000, 80, line, sizeof(line));
    ck_assert_str_eq(line, "50/200+ tasks, 2 failed, 10s");
    progress = (struct cmd_progress){.is_total = true};
    cmd_bar_format(&progress, 0, 80, line, sizeof(line));
    ck_assert_ptr_nonnull(strstr(line, "0/0 tasks"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cli");
    TCase *tc = tcase_create("cli");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, wrong_use_is_refused_in_one_line_with_its_exit_status, 0,
                        (int)ARRAY_LEN(bad));
    tcase_add_test(tc, an_input_line_of_a_mebibyte_is_refused_naming_the_limit);
    tcase_add_test(tc, a_file_that_may_not_be_read_is_refused);
    tcase_add_test(tc, without_a_command_the_help_is_shown);
    tcase_add_test(tc, peers_are_listed_and_their_names_made_harmless);
    tcase_add_test(tc, stats_count_tasks_by_peer);
    tcase_add_test(tc, jobs_cancel_and_cores_ask_and_tell);
    tcase_add_test(tc, a_full_standard_output_is_no_success);
    tcase_add_loop_test(tc, every_option_of_the_help_is_in_the_man_page, 0, (int)ARRAY_LEN(helps));
    tcase_add_test(tc, every_exit_status_is_in_the_man_page_with_its_meaning);
    tcase_add_test(tc, the_bar_fits_the_terminal_and_tells_the_rest);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
