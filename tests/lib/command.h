/* Runs a program and keeps what it printed: for tests of commands as their users meet them. */
#ifndef MESH_TESTS_COMMAND_H
#define MESH_TESTS_COMMAND_H

#include <stddef.h>
#include <sys/types.h>

struct command {
    pid_t pid;
    int out_fd, err_fd; /* files that hold its output */
    int status;         /* its exit status; 128 + N when signal N ended it */
    char *out, *err;    /* NUL-terminated; owned; NULL until it ended */
    size_t n_out, n_err;
};

/* Starts argv (the last is NULL) with standard input from `stdin_fd`, or /dev/null for -1. With
 * `stdout_fd` >= 0 its standard output goes there and is not kept. */
void command_start(struct command *command, const char *const *argv, int stdin_fd, int stdout_fd);
/* Waits for its end and reads what it printed. */
void command_wait(struct command *command);
void command_done(struct command *command);

/* An unlinked file that holds these bytes, at its start. */
int command_file(const void *bytes, size_t n_bytes);

#endif
