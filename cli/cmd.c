#include "cli/cmd.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "wire/base/text.h"

/* An answer to a question comes at once; a daemon that needs longer is stopped. */
#define ANSWER_TIMEOUT_MS 10000

void cmd_complain(const char *format, ...)
{
    char line[ERRMSG_BYTES + 64];
    size_t n = (size_t)snprintf(line, sizeof(line), "mesh: ");
    va_list args;
    va_start(args, format);
    int added = vsnprintf(line + n, sizeof(line) - n - 1, format, args);
    va_end(args);
    n = added < 0 ? n : n + (size_t)added;
    n = n < sizeof(line) - 2 ? n : sizeof(line) - 2;
    line[n++] = '\n';
    fflush(stderr);
    IGNORE(write(STDERR_FILENO, line, n)); /* there is nowhere else to say it */
}

int cmd_misuse(const struct cmd_command *command, const struct errmsg *err)
{
    cmd_complain("%s: %s (see `mesh help %s`)", command->name, err->text, command->name);
    return command->usage_exit;
}

static int on_simple_option(void *to, int key, const char *value, struct errmsg *err)
{
    struct cmd_simple_options *options = to;
    (void)value;
    (void)err;
    if (key == CMD_SIMPLE_JSON) {
        options->is_json = true;
    } else if (key == CMD_SIMPLE_WATCH) {
        options->is_watch = true;
    }
    return 0;
}

int cmd_simple_parse(const struct cmd_command *command, char *const *argv, unsigned n_argv,
                     struct cmd_simple_options *ret_options)
{
    struct cmd_simple_options options = {0};
    struct errmsg err;
    unsigned n;
    int r = cmd_options_parse(command->options, command->n_options, argv, n_argv, on_simple_option,
                              &options, &n, &err);
    if (r == 0 && n < n_argv) {
        char shown[64];
        errmsg_set(&err, "'%s' is too much: it takes options only",
                   text_printable(slice_str(argv[n]), shown, sizeof(shown)));
        r = -EINVAL;
    }
    if (r < 0) {
        cmd_misuse(command, &err);
        return r;
    }
    *ret_options = options;
    return 0;
}

int cmd_open(const struct cmd_globals *globals, bool may_start, struct mesh_client **ret_client)
{
    struct mesh_client_options options = {.socket_path = globals->socket_path,
                                          .may_start = may_start};
    struct errmsg err;
    int r = mesh_client_open(&options, ret_client, &err);
    if (r < 0) {
        cmd_complain("%s", err.text);
    }
    return r;
}

int cmd_question(struct mesh_client *client, const struct wire_message *question,
                 enum wire_message_type type, int timeout_ms,
                 const struct wire_message **ret_answer, struct errmsg *err)
{
    int r = mesh_client_send(client, question, NULL, 0, err);
    if (r < 0 && r != -EPIPE) {
        return r;
    }
    const struct wire_message *answer;
    do {
        r = mesh_client_next(client, timeout_ms, &answer, err);
    } while (r == -EINTR || (r == 0 && answer->type != type && answer->type != WIRE_MESSAGE_ERROR));
    if (r == -EAGAIN) {
        errmsg_set(err, "the meshd at %s does not answer: is it stopped?",
                   mesh_client_socket_path(client));
    } else if (r < 0) {
        errmsg_wrap(err, "%s", mesh_client_socket_path(client));
    } else if (answer->type == WIRE_MESSAGE_ERROR) {
        char text[WIRE_REASON_BYTES_MAX + 8];
        errmsg_set(err, "%s", text_printable(answer->error.text, text, sizeof(text)));
        r = -EINVAL;
    } else {
        *ret_answer = answer;
    }
    return r;
}

int cmd_ask(struct mesh_client *client, const struct wire_message *question,
            enum wire_message_type type, const struct wire_message **ret_answer)
{
    struct errmsg err;
    int r = cmd_question(client, question, type, ANSWER_TIMEOUT_MS, ret_answer, &err);
    if (r < 0) {
        cmd_complain("%s", err.text);
    }
    return r;
}

int cmd_run_plain(const struct cmd_command *command, const struct cmd_globals *globals,
                  char *const *argv, unsigned n_argv, enum wire_message_type question,
                  const char *done)
{
    struct cmd_simple_options none;
    if (cmd_simple_parse(command, argv, n_argv, &none) < 0) {
        return CMD_EXIT_USAGE;
    }
    struct mesh_client *client = NULL;
    if (cmd_open(globals, false, &client) < 0) {
        return CMD_EXIT_FAILED;
    }
    const struct wire_message message = {.type = question};
    const struct wire_message *answer;
    int r = cmd_ask(client, &message, WIRE_MESSAGE_OK, &answer);
    mesh_client_free(client);
    if (r < 0) {
        return CMD_EXIT_FAILED;
    }
    fputs(done, stdout);
    return cmd_finish_output();
}

int cmd_finish_output(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) {
        return CMD_EXIT_OK;
    }
    if (errno == EPIPE) {
        return CMD_EXIT_SIGPIPE;
    }
    cmd_complain("cannot write standard output: %s", strerror(errno));
    return CMD_EXIT_FAILED;
}
