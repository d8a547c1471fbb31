#include "tests/lab/host.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/lab/bounds.h"
#include "tests/lab/namespaces.h"
#include "tests/lab/process.h"
#include "tests/lib/runner.h"
#include "wire/base/text.h"

#define SEED_DEFAULT 1
/* Between two looks at a condition: short beside what is measured, long beside what a look costs.
 */
#define LOOK_MS 4
/* For all processes of a host to be gone, on a machine that is very busy. */
#define POWER_OFF_MS 60000

/* The folders that hosts must still see although they may lie below /tmp: those of the build and of
 * the sources, which meson names, and this binary's own. */
static void name_kept_folders(void)
{
    if (getenv("MESH_LAB_KEEP") != NULL) {
        return;
    }
    char path[LAB_PATH_BYTES_MAX];
    ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
    if (n > 0) {
        path[n] = '\0';
        char *slash = strrchr(path, '/');
        *slash = '\0';
        setenv("MESH_LAB_KEEP", path, 1);
    }
}

static int try_everything(struct errmsg *err)
{
    int error = namespaces_enter(err);
    if (error != 0) {
        return error;
    }
    error = namespaces_make_disk(1, 0, err);
    if (error != 0) {
        return error;
    }
    struct namespaces_host host;
    return namespaces_make_host("probe", 1, &host, err);
}

bool lab_is_possible(struct errmsg *err)
{
    name_kept_folders();
    int report[2];
    if (pipe(report) < 0) {
        errmsg_set(err, "cannot make a pipe: %s", strerror(errno));
        return false;
    }
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        struct errmsg text;
        memset(&text, 0, sizeof(text));
        int error = try_everything(&text);
        IGNORE(write(report[1], &text, sizeof(text)));
        _exit(error == 0 ? 0 : 1);
    }
    close(report[1]);
    struct errmsg text;
    memset(&text, 0, sizeof(text));
    IGNORE(read(report[0], &text, sizeof(text)));
    close(report[0]);
    int status = 1;
    if (pid > 0) {
        waitpid(pid, &status, 0);
    }
    if (status != 0) {
        errmsg_set(err, "%s", text.text[0] != '\0' ? text.text : "no process could be made");
    }
    return status == 0;
}

int lab_run_suite(Suite *suite)
{
    struct errmsg err;
    if (lab_is_possible(&err)) {
        return run_suite(suite);
    }
    printf("# skipped: no lab on this machine: %s\n1..0 # SKIP no lab on this machine: %s\n",
           err.text, err.text);
    SRunner *runner = srunner_create(suite);
    srunner_free(runner); /* and the suite */
    return EXIT_SUCCESS;
}

struct lab *lab_new(void)
{
    name_kept_folders();
    struct lab *lab = calloc(1, sizeof(*lab));
    ck_assert_ptr_nonnull(lab);
    const char *seed = getenv("MESH_LAB_SEED");
    lab->seed = SEED_DEFAULT;
    if (seed != NULL && text_parse_u64(seed, UINT64_MAX, &lab->seed) != 0) {
        ck_abort_msg("MESH_LAB_SEED=%s is no number", seed);
    }
    struct errmsg err;
    if (namespaces_enter(&err) != 0) {
        ck_abort_msg("lab: %s", err.text);
    }
    ck_assert_int_eq(switch_new(lab->seed, &lab->sw), 0);
    lab_show_on_failure(lab);
    return lab;
}

void lab_limit_disks(struct lab *lab, uint64_t bytes)
{
    lab->disk_bytes = bytes;
}

struct lab_host *lab_host(struct lab *lab, const char *name)
{
    ck_assert_uint_lt(lab->n_hosts, LAB_HOSTS_MAX);
    struct lab_host *host = calloc(1, sizeof(*host));
    ck_assert_ptr_nonnull(host);
    host->lab = lab;
    host->init = -1;
    list_init(&host->processes);
    host->number = lab->n_hosts + 1;
    snprintf(host->name, sizeof(host->name), "%s", name);
    snprintf(host->address, sizeof(host->address), "10.99.0.%u", host->number);
    struct errmsg err;
    if (namespaces_make_disk(host->number, lab->disk_bytes, &err) != 0) {
        ck_abort_msg("lab: %s", err.text);
    }
    lab_power_on(host);
    lab->hosts[lab->n_hosts++] = host;
    return host;
}

void lab_power_on(struct lab_host *host)
{
    if (host->init > 0) {
        return;
    }
    struct namespaces_host made;
    struct errmsg err;
    if (namespaces_make_host(host->name, host->number, &made, &err) != 0) {
        ck_abort_msg("lab: %s", err.text);
    }
    host->init = made.init;
    host->init_fd = made.init_fd;
    host->control = made.control;
    ck_assert_int_eq(switch_add(host->lab->sw, made.link_fd, &host->port), 0);
    close(made.link_fd);
}

const char *lab_share(const struct lab *lab)
{
    return NAMESPACES_SHARE;
}

/* The kernel lets go of process 1 only after all others of its pid namespace were waited for, and
 * those are children of ours. */
static bool is_init_gone(void *context)
{
    const struct lab_host *host = context;
    list_for_each (node, &host->processes) {
        IGNORE(lab_is_running(LIST_ENTRY(node, struct lab_process, node))); /* collects it */
    }
    return waitpid(host->init, NULL, WNOHANG) == host->init;
}

void lab_power_off(struct lab_host *host)
{
    if (host->init < 0) {
        return;
    }
    /* A host without power says no goodbye: the kernel would end its connections. */
    static const struct switch_fault cut = {.is_cut = true};
    IGNORE(switch_set_fault(host->lab->sw, host->port, SWITCH_FROM_HOST, &cut));
    for (unsigned i = 0; i < SWITCH_N_DIRECTIONS; i++) {
        host->before[i] = lab_counters(host, (enum switch_direction)i);
    }
    kill(host->init, SIGKILL);
    ck_assert_msg(lab_until(is_init_gone, host, POWER_OFF_MS), "lab: %s does not end", host->name);
    host->init = -1;
    close(host->control);
    close(host->init_fd);
    /* The kernel may have taken the interface away already, and the switch noticed. */
    IGNORE(switch_remove(host->lab->sw, host->port));
}

void lab_free(struct lab *lab)
{
    for (unsigned i = 0; i < lab->n_hosts; i++) {
        lab_power_off(lab->hosts[i]);
    }
    lab->sw = switch_free(lab->sw);
    lab_show_on_failure(NULL);
    for (unsigned i = 0; i < lab->n_hosts; i++) {
        lab_limits_end(lab->hosts[i]);
        lab_forget_processes(lab->hosts[i]);
        free(lab->hosts[i]);
    }
    free(lab);
}

/* --- the cable ------------------------------------------------------------------------------ */

void lab_fault(struct lab_host *host, enum switch_direction direction, struct switch_fault fault)
{
    ck_assert_int_eq(switch_set_fault(host->lab->sw, host->port, direction, &fault), 0);
}

void lab_fault_both(struct lab_host *host, struct switch_fault fault)
{
    lab_fault(host, SWITCH_FROM_HOST, fault);
    lab_fault(host, SWITCH_TO_HOST, fault);
}

void lab_cut(struct lab_host *host)
{
    lab_fault_both(host, (struct switch_fault){.is_cut = true});
}

void lab_unplug(struct lab_host *host)
{
    lab_cut(host);
    ck_assert_int_eq(switch_set_carrier(host->lab->sw, host->port, false), 0);
}

void lab_plug(struct lab_host *host)
{
    lab_fault_both(host, (struct switch_fault){.is_cut = false});
    ck_assert_int_eq(switch_set_carrier(host->lab->sw, host->port, true), 0);
}

void lab_loss(struct lab_host *host, unsigned percent)
{
    lab_fault_both(host, (struct switch_fault){.drop_ppm = percent * (SWITCH_PPM / 100)});
}

void lab_delay(struct lab_host *host, unsigned delay_ms, unsigned jitter_ms)
{
    lab_fault_both(host, (struct switch_fault){.delay_ns = delay_ms * UINT64_C(1000000),
                                               .jitter_ns = jitter_ms * UINT64_C(1000000)});
}

void lab_slow(struct lab_host *host, uint64_t bits_per_s)
{
    lab_fault_both(host, (struct switch_fault){.bytes_per_s = bits_per_s / 8});
}

void lab_partition(struct lab_host *host, unsigned group)
{
    ck_assert_int_eq(switch_set_group(host->lab->sw, host->port, group), 0);
}

struct switch_counters lab_counters(struct lab_host *host, enum switch_direction direction)
{
    struct switch_counters sum = host->before[direction];
    struct switch_counters now;
    if (host->init > 0 && switch_get_counters(host->lab->sw, host->port, direction, &now) == 0) {
        sum.n_frames += now.n_frames;
        sum.n_bytes += now.n_bytes;
        sum.n_dropped += now.n_dropped;
        sum.n_doubled += now.n_doubled;
        sum.n_held += now.n_held;
        sum.n_flipped += now.n_flipped;
        sum.n_swapped += now.n_swapped;
    }
    return sum;
}

void lab_capture(struct lab *lab, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(switch_capture(lab->sw, fd), 0);
    close(fd);
}

/* --- time ----------------------------------------------------------------------------------- */

uint64_t lab_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

void lab_let_pass(unsigned ms)
{
    uint64_t end_ns = lab_now_ns() + ms * UINT64_C(1000000);
    for (uint64_t now = lab_now_ns(); now < end_ns; now = lab_now_ns()) {
        poll(NULL, 0, (int)((end_ns - now + 999999) / 1000000));
    }
}

bool lab_until(bool (*condition)(void *context), void *context, unsigned deadline_ms)
{
    uint64_t end_ns = lab_now_ns() + deadline_ms * UINT64_C(1000000);
    for (;;) {
        if (condition(context)) {
            return true;
        }
        if (lab_now_ns() >= end_ns) {
            return false;
        }
        lab_let_pass(LOOK_MS);
    }
}
