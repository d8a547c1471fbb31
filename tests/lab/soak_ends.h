/* The soak's jobs: whether a process of one may end as it did (soak_job.h has the rule), and what
 * becomes of the job then. */
#ifndef MESH_LAB_SOAK_ENDS_H
#define MESH_LAB_SOAK_ENDS_H

#include "tests/lab/soak_job.h"

/* The job's process has ended with this status: checks that, and sets what state the job is in. */
void soak_job_end(struct soak_host *host, struct soak_job *job, int status);

/* Jobs that are still there have not ended when they must have: blamed, and given up. */
void soak_jobs_give_up(struct soak *soak);

#endif
