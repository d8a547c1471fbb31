/* The soak's jobs: whether a process of one may end as it did (soak_job.h has the rule), and what
 * becomes of the job then. */
#ifndef MESH_LAB_SOAK_ENDS_H
#define MESH_LAB_SOAK_ENDS_H

#include "tests/lab/soak_job.h"

/* For so long a command waits for an answer, ANSWER_TIMEOUT_MS in cli/cmd.c. */
#define SOAK_ANSWER_MS 10000
/* And so long its daemon must have been frozen for that to be why it got none: HELLO_TIMEOUT_MS of
 * mesh/client/open.c, which is less, without what a daemon takes on a loaded machine until it
 * answers again. */
#define SOAK_UNANSWERED_MS (5000 - 1500)

/* The job's process has ended with this status: checks that, and sets what state the job is in. */
void soak_job_end(struct soak_host *host, struct soak_job *job, int status);

/* Jobs that are still there have not ended when they must have: blamed, and given up. */
void soak_jobs_give_up(struct soak *soak);

#endif
