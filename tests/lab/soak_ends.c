/* A process of a job has ended. Where all is well it ended with 0: what it printed is right, each
 * task's result is there once, and each file that came back is right (soak_check.c); that is
 * counted, and the job is dropped, or, of a detached one, goes on.
 *
 * Where it did not end with 0 somebody must have had a hand in it: we killed it; its daemon was
 * struck; its daemon was frozen, and it says that it got no answer; tasks of --once were lost with
 * their peer. What it printed until then is right as far as it goes. Any other end is blamed. */
#include "tests/lab/soak_ends.h"

#include <ftw.h>
#include <stdio.h>
#include <string.h>

#include "tests/lab/soak.h"
#include "tests/lab/soak_check.h"

#define EXIT_MESH 125
#define TOLD_MAX  10 /* lines of tasks that failed; the others are counted only */

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    return remove(path);
}

static void drop(struct soak_job *job)
{
    if (job->process != NULL) {
        job->process = lab_forget(job->process);
    }
    IGNORE(nftw(job->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS)); /* the share goes at the end */
    job->state = SOAK_JOB_NONE;
}

static void blame(struct soak_host *host, struct soak_job *job, enum soak_failure failure,
                  uint64_t n, const char *what)
{
    soak_keep_output(host, job);
    soak_blame(host->soak, failure, n, "job %u of %s (%s, %u tasks of %u ms): %s", job->number,
               host->host->name, soak_job_text(job->kind), job->n_tasks, job->ms, what);
}

/* Its daemon was killed or told to end while this process of the job's ran. */
static bool is_cut(const struct soak_host *host, const struct soak_job *job)
{
    return host->struck_ns >= job->begun_ns;
}

/* Blames what was printed and is not right, and returns the rest. */
static struct soak_verdict check(struct soak_host *host, struct soak_job *job, bool is_whole)
{
    struct soak_verdict verdict = soak_check_output(job, lab_output(job->process));
    if (job->kind == SOAK_JOB_ONCE) {
        soak_check_begun(job, soak_job_log_path(host, job), &verdict);
    }
    if (verdict.n_doubled > 0) {
        blame(host, job, SOAK_DOUBLED, verdict.n_doubled, verdict.what);
    }
    if (verdict.n_wrong > 0) {
        blame(host, job, SOAK_WRONG, verdict.n_wrong, verdict.what);
    } else if (verdict.is_torn && !job->is_killed && (is_whole || job->n_tasks > 1)) {
        blame(host, job, SOAK_WRONG, 1, "a result is torn");
    }
    return verdict;
}

/* So many tasks failed, and each that is told of because it or its cell was lost. */
static bool are_all_lost(struct soak_job *job, int n_failed)
{
    static const char failed[] = ") failed: ";
    int n_lost = 0;
    for (const char *at = strstr(lab_errors(job->process), failed); at != NULL;
         at = strstr(at, failed)) {
        at += strlen(failed);
        n_lost +=
            strncmp(at, "lost with its peer", strlen("lost with its peer")) == 0 ||
            strncmp(at, "given up, its sandbox died", strlen("given up, its sandbox died")) == 0;
    }
    return n_lost == (n_failed < TOLD_MAX ? n_failed : TOLD_MAX);
}

/* All results must be there, but for so many, and all files. */
static void check_whole(struct soak_host *host, struct soak_job *job, const char *files,
                        unsigned n_lost)
{
    char what[256];
    struct soak_count *count = &host->soak->count;
    struct soak_verdict verdict = check(host, job, true);
    unsigned n_files =
        soak_job_has_files(job) ? soak_check_files(job, files, &verdict) : job->n_tasks;
    if (soak_job_has_files(job) && verdict.n_wrong > 0) {
        blame(host, job, SOAK_WRONG, verdict.n_wrong, verdict.what);
    }
    unsigned n_right = verdict.n_right < n_files ? verdict.n_right : n_files;
    count->n_once_lost += n_lost;
    n_right += n_lost;
    if (n_right < job->n_tasks) {
        snprintf(what, sizeof(what), "%u results and %u files right; %s", verdict.n_right, n_files,
                 verdict.what);
        blame(host, job, SOAK_LOST, job->n_tasks - n_right, what);
        return;
    }
    count->n_jobs[job->kind]++;
    count->n_tasks += job->n_tasks;
    count->n_bytes += verdict.n_bytes;
    count->n_survived += soak_job_is_detached(job) && host->struck_ns >= job->first_ns;
}

/* The last line of what it complained of. */
static const char *complaint(struct soak_job *job)
{
    static char line[200];
    const char *errors = lab_errors(job->process);
    size_t n = strlen(errors);
    n -= n > 0 && errors[n - 1] == '\n';
    size_t from = n;
    while (from > 0 && errors[from - 1] != '\n') {
        from--;
    }
    snprintf(line, sizeof(line), "%.*s", (int)(n - from), errors + from);
    return line;
}

/* It says that nobody answered, and its daemon was frozen. */
static bool is_unanswered(const struct soak_host *host, struct soak_job *job)
{
    uint64_t ended_ns = job->process->ended_ns;
    const struct soak_span command = {job->begun_ns, ended_ns};
    const struct soak_span freeze = {host->frozen_ns, host->is_frozen ? ended_ns : host->thawed_ns};
    return soak_is_for_freeze(&command, &freeze) &&
           strstr(complaint(job), " does not answer: ") != NULL;
}

static void blame_end(struct soak_host *host, struct soak_job *job, const char *program, int status)
{
    char what[320];
    snprintf(what, sizeof(what), "%s ended with %d%s: %s", program, status,
             is_cut(host, job) ? " (its daemon was struck)" : "", complaint(job));
    blame(host, job, SOAK_BAD_END, 1, what);
}

/* "..: N of M+ tasks have no result": whether the others are what was printed. With -k some may
 * wait for those before them; where files come back a result is printed first. */
static bool counts_missing(struct soak_job *job, const struct soak_verdict *verdict)
{
    unsigned n_missing = 0;
    unsigned n_known = 0;
    const char *line = lab_errors(job->process);
    const char *end = strstr(line, " tasks have no result");
    if (end == NULL) {
        return verdict->n_right == 0; /* it had not come so far */
    }
    const char *at = end;
    while (at > line && strncmp(at, ": ", 2) != 0) {
        at--;
    }
    if (sscanf(at, ": %u of %u", &n_missing, &n_known) != 2 || n_missing > n_known ||
        n_known > job->n_tasks) {
        return false;
    }
    unsigned n_done = n_known - n_missing;
    switch (job->kind) {
    case SOAK_JOB_PLAIN:
    case SOAK_JOB_BASE:
        return verdict->n_right == n_done;
    case SOAK_JOB_FILES:
        return verdict->n_right >= n_done;
    case SOAK_JOB_ORDERED:
    case SOAK_JOB_OUTPUT:
        return verdict->n_right <= n_done;
    case SOAK_JOB_ONCE: /* some may have failed before */
    case SOAK_JOB_STDIN:
    case SOAK_JOB_DETACHED:
    case SOAK_JOB_DETACHED_FILES:
    case SOAK_JOB_CALLS:
    case SOAK_N_JOBS:
        return true;
    }
    return true;
}

static void end_attached(struct soak_host *host, struct soak_job *job, int status)
{
    struct soak_count *count = &host->soak->count;
    int cut_status = job->kind == SOAK_JOB_CALLS ? 1 : EXIT_MESH;
    bool may_lose = job->kind == SOAK_JOB_ONCE && status > 0 && status <= (int)job->n_tasks;
    if (status == 0 || (may_lose && are_all_lost(job, status))) {
        check_whole(host, job, job->folder, (unsigned)status);
    } else if (job->is_killed) {
        check(host, job, false);
        count->n_abandoned++;
    } else if (status == cut_status && is_unanswered(host, job)) {
        check(host, job, false);
        count->n_unanswered++;
    } else if (status == cut_status && is_cut(host, job)) {
        struct soak_verdict verdict = check(host, job, false);
        count->n_cut_jobs++;
        count->n_cut_tasks += verdict.n_right;
        if (job->kind != SOAK_JOB_CALLS && !counts_missing(job, &verdict)) {
            blame_end(host, job, "mesh submit (whose count is not that of what it printed)",
                      status);
        }
    } else {
        blame_end(host, job, job->kind == SOAK_JOB_CALLS ? "it" : "mesh submit", status);
    }
    drop(job);
}

/* Once its id is printed, the job is a promise. */
static void end_detaching(struct soak_host *host, struct soak_job *job, int status)
{
    const char *printed = lab_output(job->process);
    const char *end = strchr(printed, '\n');
    if (end != NULL && (status == 0 || job->is_killed || is_cut(host, job))) {
        snprintf(job->id, sizeof(job->id), "%.*s", (int)(end - printed), printed);
        job->process = lab_forget(job->process);
        job->state = SOAK_JOB_IS_KEPT;
        return;
    }
    if (job->is_killed) {
        host->soak->count.n_abandoned++;
    } else if (status == EXIT_MESH && is_unanswered(host, job)) {
        host->soak->count.n_unanswered++;
    } else if (status == EXIT_MESH && is_cut(host, job)) {
        host->soak->count.n_cut_jobs++;
    } else {
        blame_end(host, job, "mesh submit --detach", status);
    }
    drop(job);
}

/* `mesh wait` and `mesh forget`: whoever is cut, or gets no answer, asks again. */
static bool may_be_asked_again(struct soak_host *host, struct soak_job *job, int status)
{
    if (job->is_killed || (status == EXIT_MESH && is_cut(host, job))) {
        return true;
    }
    bool is_so = status == EXIT_MESH && is_unanswered(host, job);
    host->soak->count.n_asked_again += is_so;
    return is_so;
}

static void end_waiting(struct soak_host *host, struct soak_job *job, int status)
{
    char folder[256];
    if (status == 0) {
        snprintf(folder, sizeof(folder), "%s/out", job->folder);
        check_whole(host, job, folder, 0);
        job->state = SOAK_JOB_IS_OVER;
    } else if (may_be_asked_again(host, job, status)) {
        check(host, job, false);
        job->state = SOAK_JOB_IS_KEPT;
    } else {
        blame_end(host, job, "mesh wait", status);
        job->state = SOAK_JOB_IS_OVER;
    }
    job->process = lab_forget(job->process);
}

/* It may have been forgotten although nobody was told. */
static void end_forgetting(struct soak_host *host, struct soak_job *job, int status)
{
    if (status == 0 || job->n_forgets > 1) {
        drop(job);
    } else if (is_cut(host, job) || may_be_asked_again(host, job, status)) {
        job->process = lab_forget(job->process);
        job->state = SOAK_JOB_IS_OVER;
    } else {
        blame_end(host, job, "mesh forget", status);
        drop(job);
    }
}

void soak_job_end(struct soak_host *host, struct soak_job *job, int status)
{
    if (job->state == SOAK_JOB_IS_AWAITED) {
        end_waiting(host, job, status);
    } else if (job->state == SOAK_JOB_IS_FORGOTTEN) {
        end_forgetting(host, job, status);
    } else if (soak_job_is_detached(job)) {
        end_detaching(host, job, status);
    } else {
        end_attached(host, job, status);
    }
}

void soak_jobs_give_up(struct soak *soak)
{
    for (unsigned i = 0; i < SOAK_SUBMITTERS; i++) {
        struct soak_host *host = &soak->hosts[i];
        for (unsigned k = 0; k < SOAK_SLOTS; k++) {
            struct soak_job *job = &host->jobs[k];
            if (job->state != SOAK_JOB_NONE) {
                blame(host, job, SOAK_LOST, job->n_tasks, "it does not end");
                if (job->process != NULL) {
                    lab_kill(job->process);
                }
                drop(job);
            }
        }
    }
}
