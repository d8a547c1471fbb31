/* What a command is made of: shell or not, and the program that travels with it. */
#ifndef MESH_CLI_SUBMIT_COMMAND_H
#define MESH_CLI_SUBMIT_COMMAND_H

#include "cli/replace.h"
#include "cli/submit_options.h"

struct cmd_program {
    enum cmd_form form;
    int fd;           /* of the program that travels; owned; -1: none does */
    const char *path; /* borrowed, where it lies here; NULL when none travels */
    char sent_path[WIRE_PATH_BYTES_MAX + 1]; /* where it will lie in the task's directory */
    char exec[WIRE_PATH_BYTES_MAX + 3];      /* for the job's spec; "": argv[0] */
    uint32_t mode;
    const char *arch; /* of the program; "": any */
};

/* Finds the form, and opens the program if one travels: a command whose first word holds a slash
 * and no replacement string, unless it is an absolute path under /usr, /bin or /lib; in the shell
 * form the line's first word, when it is a relative path.
 * 0; -ENOENT (there is no such program: exit 127), -EACCES (it cannot be executed: exit 126) with
 * err. */
int cmd_program_open(struct cmd_program *program, const struct cmd_submit_options *options,
                     struct errmsg *err) MUST_CHECK;
void cmd_program_close(struct cmd_program *program);

/* Whether an argument names a local file that was not sent along, so that the task will not find
 * it: a hint, not a judgement. */
bool cmd_program_misses(const struct cmd_program *program, struct slice argument) MUST_CHECK;

#endif
