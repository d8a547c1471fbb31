/* Whether what a job printed and returned is right, and what it may be excused for. */
#ifndef MESH_LAB_SOAK_CHECK_H
#define MESH_LAB_SOAK_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/lab/soak_job.h"

/* For so long a command waits for an answer, ANSWER_TIMEOUT_MS in cli/cmd.c. */
#define SOAK_ANSWER_MS 10000
/* And so long its daemon must have been frozen for that to be why it got none: HELLO_TIMEOUT_MS of
 * mesh/client/open.c, which is less, without what a daemon takes on a loaded machine until it
 * answers again. */
#define SOAK_UNANSWERED_MS (5000 - 1500)

struct soak_span {
    uint64_t from_ns; /* 0: never */
    uint64_t until_ns;
};

struct soak_verdict {
    unsigned n_right;   /* results that are whole and right */
    unsigned n_doubled; /* results beyond one a task */
    unsigned n_wrong;   /* lines that are not what they must be, pieces that are mixed or torn */
    bool is_torn;       /* only the end of it is missing: a kill does that */
    uint64_t n_bytes;
    char what[160]; /* the first of the above */
};

/* The name of a task's input: of a file where files are sent. */
void soak_input_name(const struct soak_job *job, unsigned i, char *to, size_t n_to);

/* Pseudo-random bytes of a file: of input i, or, for the file that all read, of SOAK_BASE. */
#define SOAK_BASE SOAK_TASKS_MAX
void soak_fill(const struct soak_job *job, unsigned i, uint8_t *bytes);

/* Checks what was printed: all of the results, or only what is there of them. */
struct soak_verdict soak_check_output(const struct soak_job *job, const char *printed);

/* Checks that no task has begun twice, by the file that each adds its name to. */
void soak_check_begun(const struct soak_job *job, const char *path, struct soak_verdict *verdict);

/* Checks the files that came back into this folder; how many are there, whole and right, and *ret
 * gets what is wrong. */
unsigned soak_check_files(const struct soak_job *job, const char *folder,
                          struct soak_verdict *verdict);

/* Whether a command that lived then has no answer because its daemon was frozen then: for at least
 * SOAK_UNANSWERED_MS of the last SOAK_ANSWER_MS. A daemon that goes on and then hangs leaves other
 * commands without an answer, too, and those have no excuse. */
bool soak_is_for_freeze(const struct soak_span *command, const struct soak_span *freeze);

#endif
