/* A look goes through /proc once, and puts each process to the host that it is on: the one whose
 * first process, or one that the lab started there, is its ancestor. Of a host's daemon memory,
 * threads and descriptors are taken, of the host how many processes, files and blobs it has. Looks
 * are kept for the report's curves, one in SOAK_SAMPLE_MS; at a rest the median of several is kept.
 * What ends while we look is left out, and a host without power has zeros.
 *
 * At the end the first rests after SOAK_SETTLE_MINUTES and the last ones are chosen, one to three
 * on either side, and each gauge's median of one side is held against that of the other. With fewer
 * than two such rests nothing is judged. */
#include "tests/lab/soak_gauge.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "tests/lab/soak.h"

#define PIDS_MAX 4096
/* A chain of parents on a host: init, daemon, sandbox, init of a cell, task, and some more. */
#define DEPTH_MAX 64

const char *soak_gauge_text(enum soak_gauge gauge)
{
    static const char *const texts[SOAK_N_GAUGES] = {
#define X(name, text) text,
        SOAK_GAUGES(X)
#undef X
    };
    return texts[gauge];
}

/* --- the machine's processes -------------------------------------------------------------------
 */

struct seen {
    pid_t pid;
    pid_t parent;
    unsigned n_threads;
    uint32_t rss_kib;
    char name[20];
};

struct view {
    unsigned n;
    struct seen processes[PIDS_MAX];
};

/* proc(5): "pid (name) state ppid", the 20th is the number of threads, the 24th pages of memory. */
static bool read_stat(const char *pid, struct seen *seen)
{
    char path[64];
    char text[1024];
    snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false; /* it has just ended */
    }
    size_t n = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[n] = '\0';
    char *name = strchr(text, '(');
    char *rest = strrchr(text, ')');
    char state;
    long rss_pages;
    if (name == NULL || rest == NULL ||
        sscanf(rest + 1,
               " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %u %*d %*u %*u "
               "%ld",
               &state, &seen->parent, &seen->n_threads, &rss_pages) != 4) {
        return false;
    }
    seen->rss_kib = (uint32_t)((uint64_t)rss_pages * (uint64_t)sysconf(_SC_PAGESIZE) / 1024);
    snprintf(seen->name, sizeof(seen->name), "%.*s", (int)(rest - name - 1), name + 1);
    return sscanf(pid, "%d", &seen->pid) == 1 && state != 'Z';
}

static void look_at_processes(struct view *view)
{
    view->n = 0;
    DIR *folder = opendir("/proc");
    ck_assert_ptr_nonnull(folder);
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        if (isdigit((unsigned char)entry->d_name[0]) && view->n < PIDS_MAX &&
            read_stat(entry->d_name, &view->processes[view->n])) {
            view->n++;
        }
    }
    closedir(folder);
}

static const struct seen *find_process(const struct view *view, pid_t pid)
{
    for (unsigned i = 0; i < view->n; i++) {
        if (view->processes[i].pid == pid) {
            return &view->processes[i];
        }
    }
    return NULL;
}

/* The host's init, and what was started there, are our children; all else is theirs. */
static bool is_rooted(const struct lab_host *host, pid_t pid)
{
    bool is_one = pid == host->init;
    list_for_each (node, &host->processes) {
        const struct lab_process *process = LIST_ENTRY(node, struct lab_process, node);
        is_one |= process->is_running && process->pid == pid;
    }
    return is_one;
}

static bool is_on(const struct view *view, const struct lab_host *host, const struct seen *process)
{
    for (unsigned i = 0; process != NULL && i < DEPTH_MAX; i++) {
        if (is_rooted(host, process->pid)) {
            return true;
        }
        process = find_process(view, process->parent);
    }
    return false;
}

/* --- one look ----------------------------------------------------------------------------------
 */

static uint32_t count_entries(const char *path)
{
    uint32_t n = 0;
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return 0;
    }
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    }
    closedir(folder);
    return n;
}

static uint32_t count_of_pid(pid_t pid, const char *rest)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/%s", pid, rest);
    return count_entries(path);
}

/* Of a daemon's descriptors, those of blobs that come in, or of all others. */
static void count_fds(pid_t pid, uint32_t *values)
{
    char path[64];
    char target[256];
    snprintf(path, sizeof(path), "/proc/%d/fd", pid);
    DIR *folder = opendir(path);
    for (struct dirent *entry = folder != NULL ? readdir(folder) : NULL; entry != NULL;
         entry = readdir(folder)) {
        ssize_t n = readlinkat(dirfd(folder), entry->d_name, target, sizeof(target) - 1);
        if (n > 0) {
            target[n] = '\0';
            bool is_partial = strstr(target, "/blobs/new.") != NULL;
            values[is_partial ? SOAK_GAUGE_PARTIALS : SOAK_GAUGE_FDS]++;
        }
    }
    if (folder != NULL) {
        closedir(folder);
    }
}

static uint32_t disk_kib(pid_t init)
{
    char path[64];
    struct statvfs fs;
    snprintf(path, sizeof(path), "/proc/%d/root/var/lib", init);
    if (statvfs(path, &fs) < 0) {
        return 0;
    }
    return (uint32_t)((uint64_t)(fs.f_blocks - fs.f_bfree) * fs.f_frsize / 1024);
}

static void look_at_host(const struct view *view, struct soak_host *host, uint32_t *values)
{
    memset(values, 0, SOAK_N_GAUGES * sizeof(*values));
    if (host->host->init < 0) {
        return;
    }
    const struct seen *daemon = NULL;
    if (host->daemon != NULL && lab_is_running(host->daemon)) {
        daemon = find_process(view, host->daemon->pid);
    }
    if (daemon != NULL) {
        values[SOAK_GAUGE_RSS] = daemon->rss_kib;
        values[SOAK_GAUGE_THREADS] = daemon->n_threads;
        count_fds(daemon->pid, values);
    }
    for (unsigned i = 0; i < view->n; i++) {
        if (is_on(view, host->host, &view->processes[i])) {
            const struct seen *process = &view->processes[i];
            bool is_cell = process != daemon && process->pid != host->host->init;
            values[SOAK_GAUGE_PROCESSES]++;
            values[SOAK_GAUGE_CELLS_RSS] += is_cell ? process->rss_kib : 0;
        }
    }
    values[SOAK_GAUGE_FILES] =
        count_of_pid(host->host->init, "root/tmp") + count_of_pid(host->host->init, "root/run");
    values[SOAK_GAUGE_BLOBS] = count_of_pid(host->host->init, "root/var/lib/mesh/blobs");
    values[SOAK_GAUGE_DISK] = disk_kib(host->host->init);
}

static void look(struct soak *soak, struct soak_sample *sample)
{
    static struct view view;
    look_at_processes(&view);
    memset(sample, 0, sizeof(*sample));
    sample->at_ns = lab_now_ns();
    sample->round = soak->round;
    sample->n_tasks = soak->count.n_tasks;
    for (unsigned i = 0; i < soak->options.n_hosts; i++) {
        struct soak_host *host = &soak->hosts[i];
        look_at_host(&view, host, sample->values[i]);
        sample->life[i] = host->is_ready ? host->n_lives : 0;
    }
}

static void keep(struct soak_gauges *gauges, const struct soak_sample *sample)
{
    if (gauges->samples == NULL) {
        gauges->samples = calloc(SOAK_SAMPLES_MAX, sizeof(*gauges->samples));
        ck_assert_ptr_nonnull(gauges->samples);
    }
    if (gauges->n < SOAK_SAMPLES_MAX) {
        gauges->samples[gauges->n++] = *sample;
    }
}

void soak_gauges_take(struct soak *soak)
{
    struct soak_sample sample;
    look(soak, &sample);
    keep(&soak->gauges, &sample);
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static uint32_t median(uint32_t *values, unsigned n)
{
    qsort(values, n, sizeof(*values), compare);
    return values[n / 2];
}

void soak_gauges_take_rest(struct soak *soak)
{
    struct soak_sample looks[SOAK_LOOKS];
    for (unsigned i = 0; i < SOAK_LOOKS; i++) {
        look(soak, &looks[i]);
        lab_let_pass(SOAK_LOOK_MS);
    }
    struct soak_sample rest = looks[SOAK_LOOKS - 1];
    rest.is_rest = true;
    for (unsigned h = 0; h < soak->options.n_hosts; h++) {
        for (unsigned g = 0; g < SOAK_N_GAUGES; g++) {
            uint32_t values[SOAK_LOOKS];
            for (unsigned i = 0; i < SOAK_LOOKS; i++) {
                values[i] = looks[i].values[h][g];
            }
            rest.values[h][g] = median(values, SOAK_LOOKS);
        }
    }
    keep(&soak->gauges, &rest);
}

unsigned soak_gauges_processes(struct soak *soak, unsigned host, char *names, unsigned n_names)
{
    static struct view view;
    unsigned n = 0;
    size_t n_text = 0;
    look_at_processes(&view);
    names[0] = '\0';
    for (unsigned i = 0; i < view.n; i++) {
        if (is_on(&view, soak->hosts[host].host, &view.processes[i])) {
            n++;
            if (n_text < n_names) {
                n_text += (size_t)snprintf(names + n_text, n_names - n_text, "%s%s",
                                           n_text > 0 ? " " : "", view.processes[i].name);
            }
        }
    }
    return n;
}

/* --- growth -------------------------------------------------------------------------------------
 */

/* The rests after the mesh has settled. */
static unsigned list_rests(const struct soak *soak, const struct soak_sample **rests)
{
    unsigned n = 0;
    for (unsigned i = 0; i < soak->gauges.n; i++) {
        const struct soak_sample *sample = &soak->gauges.samples[i];
        if (sample->is_rest && soak_minutes(soak, sample->at_ns) >= SOAK_SETTLE_MINUTES) {
            rests[n++] = sample;
        }
    }
    return n;
}

/* The rests of one side; how many. */
static unsigned choose(const struct soak *soak, bool is_last,
                       const struct soak_sample *chosen[SOAK_WINDOW_MAX])
{
    const struct soak_sample **rests =
        calloc(soak->gauges.n + 1, sizeof(const struct soak_sample *));
    ck_assert_ptr_nonnull(rests);
    unsigned n = list_rests(soak, rests);
    unsigned window = n < 2 ? 0 : n < 4 ? 1 : n < 6 ? 2 : SOAK_WINDOW_MAX;
    for (unsigned i = 0; i < window; i++) {
        chosen[i] = rests[is_last ? n - window + i : i];
    }
    free(rests);
    return window;
}

unsigned soak_gauges_window(const struct soak *soak)
{
    const struct soak_sample *chosen[SOAK_WINDOW_MAX];
    return choose(soak, false, chosen);
}

void soak_gauges_span(const struct soak *soak, bool is_last, double *ret_from, double *ret_to)
{
    const struct soak_sample *chosen[SOAK_WINDOW_MAX];
    unsigned n = choose(soak, is_last, chosen);
    ensure(n > 0);
    *ret_from = soak_minutes(soak, chosen[0]->at_ns);
    *ret_to = soak_minutes(soak, chosen[n - 1]->at_ns);
}

uint64_t soak_gauges_tasks_between(const struct soak *soak)
{
    const struct soak_sample *sides[2][SOAK_WINDOW_MAX];
    unsigned n = 0;
    for (unsigned side = 0; side < 2; side++) {
        n = choose(soak, side == 1, sides[side]);
    }
    ensure(n > 0);
    return sides[1][n / 2]->n_tasks - sides[0][n / 2]->n_tasks;
}

/* A daemon that was started anew has less memory and fewer threads at first: nothing is held
 * against what it comes to. */
static bool is_too_much(enum soak_gauge gauge, uint32_t first, uint32_t last, bool is_same_life)
{
    switch (gauge) {
    case SOAK_GAUGE_RSS:
#ifdef __SANITIZE_ADDRESS__
        return false;
#else
        return is_same_life && last > first + SOAK_RSS_MORE_KIB;
#endif
    case SOAK_GAUGE_FDS:
        return last > first + SOAK_FDS_MORE;
    case SOAK_GAUGE_PARTIALS:
        return last > SOAK_PARTIALS_MAX;
    case SOAK_GAUGE_THREADS:
        return is_same_life && last > first;
    case SOAK_GAUGE_PROCESSES:
    case SOAK_GAUGE_CELLS_RSS:
    case SOAK_GAUGE_FILES:
        return last > first;
    case SOAK_GAUGE_BLOBS:
    case SOAK_GAUGE_DISK: /* the store keeps what fits, see the report */
    case SOAK_N_GAUGES:
        return false;
    }
    return false;
}

struct soak_growth soak_gauges_growth(const struct soak *soak, unsigned host, enum soak_gauge gauge)
{
    const struct soak_sample *sides[2][SOAK_WINDOW_MAX];
    uint32_t medians[2];
    unsigned n = 0;
    for (unsigned side = 0; side < 2; side++) {
        uint32_t values[SOAK_WINDOW_MAX];
        n = choose(soak, side == 1, sides[side]);
        ensure(n > 0);
        for (unsigned i = 0; i < n; i++) {
            values[i] = sides[side][i]->values[host][gauge];
        }
        medians[side] = median(values, n);
    }
    bool is_same_life = sides[0][0]->life[host] == sides[1][n - 1]->life[host];
    return (struct soak_growth){
        .first = medians[0],
        .last = medians[1],
        .is_same_life = is_same_life,
        .is_too_much = is_too_much(gauge, medians[0], medians[1], is_same_life),
    };
}
