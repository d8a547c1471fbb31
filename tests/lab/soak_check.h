/* Whether what a job printed and returned is right. */
#ifndef MESH_LAB_SOAK_CHECK_H
#define MESH_LAB_SOAK_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/lab/soak_job.h"

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

#endif
