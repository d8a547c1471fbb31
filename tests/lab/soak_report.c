/* What the soak says: a line a minute, the report, and all of it as JSON. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lab/soak.h"

#define PATH_BYTES 512

const char *soak_failure_text(enum soak_failure failure)
{
    static const char *const texts[SOAK_N_FAILURES] = {
#define X(name, text) text,
        SOAK_FAILURES(X)
#undef X
    };
    return texts[failure];
}

void soak_blame(struct soak *soak, enum soak_failure failure, uint64_t n, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    soak->n_failures[failure] += n;
    char line[512];
    snprintf(line, sizeof(line), "minute %.1f, second %.1f of round %u: %s: %s",
             soak_minutes(soak, lab_now_ns()), (double)(lab_now_ns() - soak->round_ns) / 1e9,
             soak->round, soak_failure_text(failure), text);
    if (soak->n_blames < SOAK_BLAMES_KEPT) {
        snprintf(soak->blames[soak->n_blames++], sizeof(soak->blames[0]), "%s", line);
    }
    printf("FAILURE %s\n", line);
}

void soak_keep_log(struct soak_host *host)
{
    const char *folder = host->soak->options.folder;
    if (folder == NULL || host->daemon == NULL) {
        return;
    }
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), "%s/meshd-%s.log", folder, host->host->name);
    FILE *file = fopen(path, "ae");
    if (file != NULL) { /* the report is more than its logs */
        fprintf(file, "--- daemon %u, started at minute %.2f, until %.2f\n%s", host->n_lives,
                soak_minutes(host->soak, host->daemon->started_ns),
                soak_minutes(host->soak, lab_now_ns()), lab_errors(host->daemon));
        fclose(file);
    }
}

void soak_keep_text(struct soak *soak, const char *what, const char *name, const char *text)
{
    char path[PATH_BYTES];
    if (soak->options.folder == NULL) {
        return;
    }
    snprintf(path, sizeof(path), "%s/%s-%s", soak->options.folder, what, name);
    FILE *file = fopen(path, "we");
    if (file != NULL) { /* the report is more than that */
        fputs(text, file);
        fclose(file);
    }
}

void soak_keep_output(struct soak_host *host, struct soak_job *job)
{
    const char *folder = host->soak->options.folder;
    if (folder == NULL || job->process == NULL) {
        return;
    }
    char path[PATH_BYTES];
    snprintf(path, sizeof(path), "%s/job-%s-%u", folder, host->host->name, job->number);
    FILE *file = fopen(path, "we");
    if (file != NULL) {
        fprintf(file, "--- %s\n--- its errors:\n%s--- its output:\n%s", job->process->what,
                lab_errors(job->process), lab_output(job->process));
        fclose(file);
    }
}

/* --- sums ----------------------------------------------------------------------------------------
 */

static unsigned count_jobs(const struct soak *soak)
{
    unsigned n = 0;
    for (unsigned i = 0; i < SOAK_N_JOBS; i++) {
        n += soak->count.n_jobs[i];
    }
    return n;
}

static unsigned count_faults(const struct soak *soak)
{
    unsigned n = 0;
    for (unsigned i = 0; i < SOAK_N_KINDS; i++) {
        n += soak->n_faults[i];
    }
    return n;
}

static uint64_t count_failures(const struct soak *soak)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < SOAK_N_FAILURES; i++) {
        n += soak->n_failures[i];
    }
    return n;
}

void soak_print_progress(struct soak *soak)
{
    printf("minute %.0f, round %u: %" PRIu64 " tasks in %u jobs, %u faults; %" PRIu64
           " lost, %" PRIu64 " doubled, %" PRIu64 " wrong, %" PRIu64 " failures\n",
           soak_minutes(soak, lab_now_ns()), soak->round, soak->count.n_tasks, count_jobs(soak),
           count_faults(soak), soak->n_failures[SOAK_LOST], soak->n_failures[SOAK_DOUBLED],
           soak->n_failures[SOAK_WRONG], count_failures(soak));
}

/* --- growth --------------------------------------------------------------------------------------
 */

static void judge_growth(struct soak *soak)
{
    for (unsigned i = 0; i < soak->options.n_hosts; i++) {
        for (unsigned g = 0; g < SOAK_N_GAUGES; g++) {
            struct soak_growth growth = soak_gauges_growth(soak, i, (enum soak_gauge)g);
            if (growth.is_too_much) {
                soak_blame(soak, SOAK_GREW, 1, "%s of %s: from %" PRIu32 " to %" PRIu32,
                           soak_gauge_text((enum soak_gauge)g), soak->hosts[i].host->name,
                           growth.first, growth.last);
            }
        }
    }
}

static void print_pair(const struct soak *soak, unsigned host, enum soak_gauge gauge)
{
    struct soak_growth growth = soak_gauges_growth(soak, host, gauge);
    char pair[48];
    snprintf(pair, sizeof(pair), "%" PRIu32 " -> %" PRIu32, growth.first, growth.last);
    printf("  %-16s", pair);
}

/* How many KiB more a daemon has, for each 1,000 tasks of the mesh. */
static double kib_by_task(const struct soak *soak, const struct soak_growth *growth)
{
    uint64_t n = soak_gauges_tasks_between(soak);
    return n > 0 ? ((double)growth->last - (double)growth->first) * 1000 / (double)n : 0;
}

static void print_growth_by_task(const struct soak *soak)
{
    printf("  %" PRIu64 " tasks in between; memory, KiB for 1,000 of them:",
           soak_gauges_tasks_between(soak));
    for (unsigned i = 0; i < soak->options.n_hosts; i++) {
        struct soak_growth growth = soak_gauges_growth(soak, i, SOAK_GAUGE_RSS);
        if (growth.is_same_life) {
            printf(" %s %+.1f", soak->hosts[i].host->name, kib_by_task(soak, &growth));
        }
    }
    printf(" (daemons that were not restarted in between)\n");
}

static void print_growth(const struct soak *soak)
{
    static const struct {
        const char *title;
        enum soak_gauge gauge;
    } columns[] = {{"meshd, RSS KiB", SOAK_GAUGE_RSS},
                   {"descriptors", SOAK_GAUGE_FDS},
                   {"unfinished blobs", SOAK_GAUGE_PARTIALS},
                   {"threads", SOAK_GAUGE_THREADS},
                   {"processes", SOAK_GAUGE_PROCESSES},
                   {"files, /tmp+/run", SOAK_GAUGE_FILES},
                   {"blobs", SOAK_GAUGE_BLOBS},
                   {"disk, KiB", SOAK_GAUGE_DISK}};
    double from[2];
    double to[2];
    soak_gauges_span(soak, false, &from[0], &to[0]);
    soak_gauges_span(soak, true, &from[1], &to[1]);
    printf("\nGrowth: medians of %u rests, at minutes %.1f to %.1f and %.1f to %.1f\n",
           soak_gauges_window(soak), from[0], to[0], from[1], to[1]);
    printf("  %-5s %-15s", "host", "its meshd was");
    for (unsigned i = 0; i < ARRAY_LEN(columns); i++) {
        printf("  %-16s", columns[i].title);
    }
    printf("\n");
    for (unsigned i = 0; i < soak->options.n_hosts; i++) {
        char lives[32];
        unsigned n = soak->hosts[i].n_lives;
        snprintf(lives, sizeof(lives), n == 1 ? "never restarted" : "started %u times", n);
        printf("  %-5s %-15s", soak->hosts[i].host->name, lives);
        for (unsigned k = 0; k < ARRAY_LEN(columns); k++) {
            print_pair(soak, i, columns[k].gauge);
        }
        printf("\n");
    }
    print_growth_by_task(soak);
    printf(
        "  At most %u KiB more of memory and %u descriptors, no more threads, processes and files; "
        "memory and threads where the daemon is the same.\n",
        SOAK_RSS_MORE_KIB, SOAK_FDS_MORE);
#ifdef __SANITIZE_ADDRESS__
    printf("  Memory is not judged under a sanitizer.\n");
#endif
}

/* --- the report ----------------------------------------------------------------------------------
 */

static void print_work(const struct soak *soak)
{
    const struct soak_count *count = &soak->count;
    printf("\n%" PRIu64 " tasks in %u jobs ended as they must, with %.1f MiB of output and files, "
           "all checked:\n",
           count->n_tasks, count_jobs(soak), (double)count->n_bytes / 1048576);
    for (unsigned i = 0; i < SOAK_N_JOBS; i++) {
        printf("  %5u  %s\n", count->n_jobs[i], soak_job_text((enum soak_job_kind)i));
    }
    printf("  %u of the detached jobs outlived a kill or restart of their daemon\n",
           count->n_survived);
    printf("  %u jobs more ended with 125, as their daemon was killed or stopped; %" PRIu64
           " results they had\n",
           count->n_cut_jobs, count->n_cut_tasks);
    printf("  %u jobs more were abandoned: kill -9 of mesh submit, or no power\n",
           count->n_abandoned);
    printf("  %u jobs more ended with 125, as their daemon was frozen for as long as one waits for "
           "it; mesh wait and mesh forget were asked again %u times for that reason\n",
           count->n_unanswered, count->n_asked_again);
    printf("  %" PRIu64
           " tasks of --once were lost with their peer and not run again, as was said\n",
           count->n_once_lost);
    if (count->n_unasked > 0) {
        printf("  %u detached jobs of these were kept, though nobody had learned their number\n",
               count->n_unasked);
    }
}

static void print_faults(const struct soak *soak)
{
    printf("\n%u faults (and %u kills that found nothing to kill):\n", count_faults(soak),
           soak->n_missed);
    for (unsigned i = 0; i < SOAK_N_KINDS; i++) {
        printf("  %5u  %s\n", soak->n_faults[i], soak_kind_text((enum soak_kind)i));
    }
}

static void print_verdict(const struct soak *soak)
{
    printf("\n");
    for (unsigned i = 0; i < SOAK_N_FAILURES; i++) {
        printf("%s%" PRIu64 " %s", i > 0 ? ", " : "", soak->n_failures[i],
               soak_failure_text((enum soak_failure)i));
    }
    printf("\n");
    for (unsigned i = 0; i < soak->n_blames; i++) {
        printf("  %s\n", soak->blames[i]);
    }
    printf("%s: %.1f minutes, %u rounds, seed %" PRIu64 "\n",
           count_failures(soak) == 0 ? "PASSED" : "FAILED", soak_minutes(soak, lab_now_ns()),
           soak->round, soak->options.seed);
}

/* --- JSON ----------------------------------------------------------------------------------------
 */

static json_t *name_hosts(const struct soak *soak, uint32_t hosts)
{
    json_t *names = json_array();
    for (unsigned i = 0; i < soak->options.n_hosts; i++) {
        if ((hosts >> i & 1) != 0) {
            json_array_append_new(names, json_string(soak->hosts[i].host->name));
        }
    }
    return names;
}

/* Begun, missed, or over: the last of these is when it was over. */
void soak_note_fault(struct soak *soak, const struct soak_fault *fault)
{
    double minute = soak_minutes(soak, lab_now_ns());
    if (fault->is_over && !fault->is_missed) {
        size_t n = json_array_size(soak->schedule);
        for (size_t i = n; i > 0; i--) {
            json_t *row = json_array_get(soak->schedule, i - 1);
            if (json_integer_value(json_object_get(row, "round")) == soak->round &&
                json_integer_value(json_object_get(row, "number")) == fault - soak->plan.faults) {
                json_object_set_new(row, "over_minute", json_real(minute));
                return;
            }
        }
    }
    if (fault->is_over) {
        return;
    }
    json_array_append_new(
        soak->schedule,
        json_pack("{s:i, s:i, s:s, s:o, s:i, s:i, s:i, s:b, s:f}", "round", (int)soak->round,
                  "number", (int)(fault - soak->plan.faults), "kind", soak_kind_text(fault->kind),
                  "hosts", name_hosts(soak, fault->hosts), "begin_ms", (int)fault->begin_ms,
                  "end_ms", (int)fault->end_ms, "value", (int)fault->value, "found_nothing",
                  (int)fault->is_missed, "minute", minute));
}

static json_t *list_samples(const struct soak *soak)
{
    json_t *array = json_array();
    for (unsigned i = 0; i < soak->gauges.n; i++) {
        const struct soak_sample *sample = &soak->gauges.samples[i];
        json_t *hosts = json_object();
        for (unsigned h = 0; h < soak->options.n_hosts; h++) {
            json_t *values = json_pack("{s:i}", "life", (int)sample->life[h]);
            for (unsigned g = 0; g < SOAK_N_GAUGES; g++) {
                json_object_set_new(values, soak_gauge_text((enum soak_gauge)g),
                                    json_integer(sample->values[h][g]));
            }
            json_object_set_new(hosts, soak->hosts[h].host->name, values);
        }
        json_array_append_new(array, json_pack("{s:f, s:i, s:b, s:o}", "minute",
                                               soak_minutes(soak, sample->at_ns), "round",
                                               (int)sample->round, "rest", (int)sample->is_rest,
                                               "hosts", hosts));
    }
    return array;
}

/* Of each host each gauge: before, after, and whether that is too much. Empty: too few rests. */
static json_t *list_growth(const struct soak *soak)
{
    json_t *hosts = json_object();
    for (unsigned i = 0; soak_gauges_window(soak) > 0 && i < soak->options.n_hosts; i++) {
        json_t *gauges = json_pack("{s:i}", "lives", (int)soak->hosts[i].n_lives);
        for (unsigned g = 0; g < SOAK_N_GAUGES; g++) {
            struct soak_growth growth = soak_gauges_growth(soak, i, (enum soak_gauge)g);
            json_object_set_new(gauges, soak_gauge_text((enum soak_gauge)g),
                                json_pack("{s:I, s:I, s:b}", "first", (json_int_t)growth.first,
                                          "last", (json_int_t)growth.last, "too_much",
                                          (int)growth.is_too_much));
        }
        struct soak_growth rss = soak_gauges_growth(soak, i, SOAK_GAUGE_RSS);
        json_object_set_new(gauges, "kib_by_1000_tasks",
                            rss.is_same_life ? json_real(kib_by_task(soak, &rss)) : json_null());
        json_object_set_new(hosts, soak->hosts[i].host->name, gauges);
    }
    return hosts;
}

static json_t *list_counts(const struct soak *soak)
{
    const struct soak_count *count = &soak->count;
    json_t *jobs = json_object();
    for (unsigned i = 0; i < SOAK_N_JOBS; i++) {
        json_object_set_new(jobs, soak_job_text((enum soak_job_kind)i),
                            json_integer(count->n_jobs[i]));
    }
    return json_pack("{s:I, s:o, s:I, s:i, s:i, s:i, s:i, s:i, s:i, s:I}", "tasks",
                     (json_int_t)count->n_tasks, "jobs", jobs, "bytes_checked",
                     (json_int_t)count->n_bytes, "ended_with_125", (int)count->n_cut_jobs,
                     "abandoned", (int)count->n_abandoned, "unanswered", (int)count->n_unanswered,
                     "asked_again", (int)count->n_asked_again,
                     "detached_that_outlived_their_daemon", (int)count->n_survived, "unasked",
                     (int)count->n_unasked, "lost_of_once", (json_int_t)count->n_once_lost);
}

static void write_json(const struct soak *soak)
{
    char path[PATH_BYTES];
    json_t *failures = json_object();
    json_t *faults = json_object();
    json_t *blames = json_array();
    for (unsigned i = 0; i < SOAK_N_FAILURES; i++) {
        json_object_set_new(failures, soak_failure_text((enum soak_failure)i),
                            json_integer((json_int_t)soak->n_failures[i]));
    }
    for (unsigned i = 0; i < SOAK_N_KINDS; i++) {
        json_object_set_new(faults, soak_kind_text((enum soak_kind)i),
                            json_integer(soak->n_faults[i]));
    }
    for (unsigned i = 0; i < soak->n_blames; i++) {
        json_array_append_new(blames, json_string(soak->blames[i]));
    }
    json_t *all = json_pack(
        "{s:I, s:f, s:i, s:b, s:o, s:o, s:o, s:o, s:O, s:o, s:o}", "seed",
        (json_int_t)soak->options.seed, "minutes", soak_minutes(soak, lab_now_ns()), "rounds",
        (int)soak->round, "passed", (int)(count_failures(soak) == 0), "failures", failures,
        "blames", blames, "counts", list_counts(soak), "faults", faults, "schedule", soak->schedule,
        "samples", list_samples(soak), "growth", list_growth(soak));
    snprintf(path, sizeof(path), "%s/soak.json", soak->options.folder);
    if (all == NULL || json_dump_file(all, path, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) < 0) {
        ck_abort_msg("soak: cannot write %s: %s", path, strerror(errno));
    }
    json_decref(all);
}

bool soak_report(struct soak *soak)
{
    bool can_judge = soak_gauges_window(soak) > 0;
    if (can_judge) {
        judge_growth(soak);
    }
    print_work(soak);
    print_faults(soak);
    if (can_judge) {
        print_growth(soak);
    } else {
        printf("\nGrowth: nothing is said of it: no two rests after minute %d\n",
               SOAK_SETTLE_MINUTES);
    }
    print_verdict(soak);
    if (soak->options.folder != NULL) {
        write_json(soak);
    }
    return count_failures(soak) == 0;
}
