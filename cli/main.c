/* mesh: the command table and the global options. */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cmd.h"
#include "wire/base/text.h"

static const struct cmd_command *const commands[] = {
    &cmd_peers,  &cmd_submit, &cmd_jobs,  &cmd_wait,  &cmd_results, &cmd_cancel,
    &cmd_forget, &cmd_stats,  &cmd_cores, &cmd_lock,  &cmd_invite,  &cmd_join,
    &cmd_unlock, &cmd_trust,  &cmd_ban,   &cmd_queue,
};

enum { KEY_SOCKET = 1, KEY_VERSION, KEY_HELP };

static const struct cmd_option global_options[] = {
    {KEY_SOCKET, 0, "socket", "PATH", "talk to the meshd listening there"},
    {KEY_VERSION, 0, "version", NULL, "print the version and exit"},
    {KEY_HELP, 'h', "help", NULL, "print this help and exit"},
};

struct global_parse {
    struct cmd_globals globals;
    bool wants_version;
    bool wants_help;
};

static int on_global_option(void *to, int key, const char *value, struct errmsg *err)
{
    struct global_parse *parse = to;
    if (key == KEY_SOCKET) {
        if (value[0] == '\0') {
            errmsg_set(err, "--socket needs a path");
            return -EINVAL;
        }
        parse->globals.socket_path = value;
    }
    parse->wants_version = parse->wants_version || key == KEY_VERSION;
    parse->wants_help = parse->wants_help || key == KEY_HELP;
    return 0;
}

static void print_help(FILE *to)
{
    fputs("usage: mesh [--socket PATH] COMMAND ...\n\n"
          "Runs commands on all the machines of the local network that run meshd.\n\n"
          "commands:\n",
          to);
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        fprintf(to, "  %-8s %s\n", commands[i]->name, commands[i]->summary);
    }
    fputs("  help     explain a command: mesh help COMMAND\n\noptions:\n", to);
    cmd_options_print(global_options, ARRAY_LEN(global_options), to);
    fputs("\nexamples:\n"
          "  mesh peers\n"
          "  mesh submit uname -n                       # one task, somewhere\n"
          "  mesh submit --bar ./sum_primes {} ::: 500000 500100 500200\n"
          "  seq 100 | mesh submit -k --tag 'factor {} | cut -d: -f2'\n"
          "  mesh stats\n",
          to);
}

static void print_command_help(const struct cmd_command *command)
{
    const char *space = command->synopsis[0] != '\0' ? " " : "";
    printf("usage: mesh %s%s%s\n\n%s", command->name, space, command->synopsis, command->text);
    if (command->n_options > 0) {
        puts("\noptions:");
        cmd_options_print(command->options, command->n_options, stdout);
    }
    printf("\nexamples:\n%s", command->examples);
}

static const struct cmd_command *find_command(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (strcmp(commands[i]->name, name) == 0) {
            return commands[i];
        }
    }
    return NULL;
}

static int unknown_command(const char *name)
{
    const char *names[ARRAY_LEN(commands)];
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        names[i] = commands[i]->name;
    }
    char shown[64];
    text_printable(slice_str(name), shown, sizeof(shown));
    const char *nearest = cmd_nearest(name, names, ARRAY_LEN(names));
    if (nearest != NULL) {
        cmd_complain("unknown command '%s': did you mean %s? (see `mesh help`)", shown, nearest);
    } else {
        cmd_complain("unknown command '%s' (see `mesh help`; to run a program: mesh submit %s)",
                     shown, shown);
    }
    return CMD_EXIT_USAGE;
}

static int help(char *const *argv, unsigned n_argv)
{
    if (n_argv == 0) {
        print_help(stdout);
        return cmd_finish_output();
    }
    const struct cmd_command *command = find_command(argv[0]);
    if (command == NULL) {
        return unknown_command(argv[0]);
    }
    print_command_help(command);
    return cmd_finish_output();
}

/* "mesh COMMAND --help", as long as the command's own words have not begun. */
static bool asks_for_help(char *const *argv, unsigned n_argv)
{
    return n_argv > 0 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0);
}

static int run_command(const struct cmd_globals *globals, char *const *argv, unsigned n_argv)
{
    if (strcmp(argv[0], "help") == 0) {
        return help(argv + 1, n_argv - 1);
    }
    const struct cmd_command *command = find_command(argv[0]);
    if (command == NULL) {
        return unknown_command(argv[0]);
    }
    if (asks_for_help(argv + 1, n_argv - 1)) {
        return help(argv, 1);
    }
    return command->run(globals, argv + 1, n_argv - 1);
}

int cmd_main(int argc, char **argv)
{
    struct global_parse parse = {0};
    struct errmsg err;
    unsigned n;
    unsigned n_argv = argc > 0 ? (unsigned)argc - 1 : 0;
    /* A reader that went away is an error of write() here, not a death. */
    struct sigaction ignored = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignored, NULL);
    setlocale(LC_CTYPE, "");
    if (cmd_options_parse(global_options, ARRAY_LEN(global_options), argv + 1, n_argv,
                          on_global_option, &parse, &n, &err) < 0) {
        cmd_complain("%s (see `mesh help`)", err.text);
        return CMD_EXIT_USAGE;
    }
    if (parse.wants_version) {
        puts("mesh " MESH_VERSION);
        return cmd_finish_output();
    }
    if (parse.wants_help) {
        print_help(stdout);
        return cmd_finish_output();
    }
    if (n == n_argv) {
        print_help(stderr);
        return CMD_EXIT_USAGE;
    }
    return run_command(&parse.globals, argv + 1 + n, n_argv - n);
}

/* Were one of them closed, the daemon's socket would take its number, and output would go there.
 * Each is opened the wrong way around, so that using it is still the error it was. */
static int reserve_standard_fds(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        int flags = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY;
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", flags) != fd) {
            return -errno;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (reserve_standard_fds() < 0) {
        return CMD_EXIT_MESH;
    }
    return cmd_main(argc, argv);
}
