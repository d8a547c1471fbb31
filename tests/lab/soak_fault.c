/* How each fault is done to a host, and undone; and the daemons, which are started again. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "tests/lab/soak.h"

#define MS       UINT64_C(1000000)
#define SHELL_MS 20000

static bool is_of(const struct soak_fault *fault, unsigned host)
{
    return (fault->hosts >> host & 1) != 0;
}

/* --- daemons ------------------------------------------------------------------------------------
 */

void soak_start_daemon(struct soak_host *host)
{
    const char *const flags[] = {"--cores", SOAK_CORES, "--bind-rw",
                                 daemon_log_folder(host->soak->lab), NULL};
    if (host->daemon != NULL) {
        soak_keep_log(host);
        host->daemon = lab_forget(host->daemon);
    }
    host->daemon = daemon_startv(host->host, flags);
    host->is_wanted = true;
    host->is_ready = false;
    host->n_lives++;
}

/* From here on it is no fault of its own that it ends. */
static void expect_end(struct soak_host *host)
{
    host->struck_ns = lab_now_ns();
    host->is_wanted = false;
    host->is_ready = false;
}

void soak_watch_daemons(struct soak *soak)
{
    for (unsigned i = 0; i < soak->options.n_hosts; i++) {
        struct soak_host *host = &soak->hosts[i];
        if (!host->is_wanted) {
            continue;
        }
        if (!lab_is_running(host->daemon)) {
            soak_blame(soak, SOAK_CRASHED, 1, "meshd of %s ended by itself (wait status %#x)",
                       host->host->name, (unsigned)host->daemon->status);
            expect_end(host);
            soak_start_daemon(host);
        } else if (!host->is_ready &&
                   strstr(lab_errors(host->daemon), "listening on port") != NULL) {
            host->is_ready = true;
        }
    }
}

/* --- what is done to processes -----------------------------------------------------------------
 */

static bool run_shell(struct soak_host *host, const char *line)
{
    struct lab_process *process;
    int status = lab_run(host->host, SHELL_MS, &process, "/bin/sh", "-c", line, NULL);
    process = lab_forget(process);
    return status == 0;
}

static bool has_daemon(const struct soak_host *host)
{
    return host->is_wanted && lab_is_running(host->daemon);
}

/* The newest process of that name in a cell, that is, in a pid namespace of its own: its first, or
 * another one. */
static bool kill_in_cell(struct soak_host *host, const char *name, bool is_first)
{
    char line[256];
    snprintf(line, sizeof(line),
             "for p in $(pgrep -x '%s' | sort -rn); do "
             "set -- $(sed -n 's/^NSpid://p' /proc/$p/status); "
             "test $# = 2 && test $2 %s 1 && kill -9 $p && exit 0; done; exit 1",
             name, is_first ? "=" : "!=");
    return run_shell(host, line);
}

static bool power_off(struct soak_host *host)
{
    if (!has_daemon(host)) {
        return false; /* it is still on its way down */
    }
    expect_end(host);
    lab_power_off(host->host);
    soak_jobs_on_power_off(host);
    return true;
}

static void note_freeze(struct soak_host *host)
{
    host->is_frozen = true;
    host->frozen_ns = lab_now_ns();
}

/* Whether there was something to strike. */
static bool strike_processes(struct soak_host *host, enum soak_kind kind)
{
    if (!has_daemon(host)) {
        return false;
    }
    if (kind == SOAK_KILL) {
        expect_end(host);
        lab_kill(host->daemon);
    } else if (kind == SOAK_STOP) {
        expect_end(host);
        kill(host->daemon->pid, SIGTERM);
    } else if (kind == SOAK_FREEZE_DAEMON) {
        lab_freeze(host->daemon);
        note_freeze(host);
    } else if (kind == SOAK_FREEZE_HOST) {
        lab_freeze_host(host->host);
        note_freeze(host);
    } else if (kind == SOAK_KILL_CELL) {
        return kill_in_cell(host, "mesh-cell", true);
    } else if (kind == SOAK_KILL_WORKER) {
        return kill_in_cell(host, "caller", false);
    } else if (kind == SOAK_KILL_SUBMIT) {
        return soak_jobs_kill_one(host);
    }
    return true;
}

/* --- what is done to cables ----------------------------------------------------------------------
 */

/* It is at its other address, or at its own again. */
static bool change_address(struct soak_host *host, bool is_other)
{
    char line[128];
    unsigned number = host->host->number + (is_other ? 100 : 0);
    snprintf(line, sizeof(line), "ip -4 addr flush dev eth0 && ip addr add 10.99.0.%u/24 dev eth0",
             number);
    return run_shell(host, line);
}

static struct switch_fault network_fault(const struct soak_fault *fault)
{
    switch ((int)fault->kind) {
    case SOAK_LOSS:
        return (struct switch_fault){.drop_ppm = fault->value * (SWITCH_PPM / 100)};
    case SOAK_DELAY:
        return (struct switch_fault){.delay_ns = fault->value * MS / 2,
                                     .jitter_ns = fault->value * MS / 8};
    case SOAK_REORDER:
        return (struct switch_fault){.hold_ppm = SWITCH_PPM / 10, .hold_ns = 30 * MS};
    case SOAK_DOUBLE:
        return (struct switch_fault){.duplicate_ppm = SWITCH_PPM / 10};
    case SOAK_FLIP:
        return (struct switch_fault){.flip_ppm = SWITCH_PPM / 100};
    case SOAK_SWAP:
        return (struct switch_fault){.swap_ppm = SWITCH_PPM / 1000};
    case SOAK_SLOW:
        return (struct switch_fault){.bytes_per_s = 1000000 / 8};
    case SOAK_NO_MULTICAST:
        return (struct switch_fault){.has_no_multicast = true};
    default:
        return (struct switch_fault){.is_cut = true};
    }
}

static bool strike_cable(struct soak_host *host, const struct soak_fault *fault)
{
    switch ((int)fault->kind) {
    case SOAK_UNPLUG:
        lab_unplug(host->host);
        return true;
    case SOAK_MUTE:
        lab_fault(host->host, SWITCH_FROM_HOST, network_fault(fault));
        return true;
    case SOAK_DEAF:
        lab_fault(host->host, SWITCH_TO_HOST, network_fault(fault));
        return true;
    case SOAK_PARTITION:
        lab_partition(host->host, (unsigned)(fault - host->soak->plan.faults) + 1);
        return true;
    case SOAK_ADDRESS:
        return change_address(host, true);
    default:
        lab_fault_both(host->host, network_fault(fault));
        return true;
    }
}

/* --- the plan ------------------------------------------------------------------------------------
 */

static void begin(struct soak *soak, struct soak_fault *fault)
{
    fault->is_begun = true;
    fault->is_missed = true;
    for (unsigned i = 0; i < soak->options.n_hosts; i++) {
        struct soak_host *host = &soak->hosts[i];
        if (!is_of(fault, i)) {
            continue;
        }
        bool is_struck = true;
        if (fault->kind == SOAK_POWER) {
            is_struck = power_off(host);
        } else if (fault->kind <= SOAK_KILL_SUBMIT) {
            is_struck = strike_processes(host, fault->kind);
        } else {
            is_struck = strike_cable(host, fault);
        }
        fault->is_missed &= !is_struck;
    }
    soak->n_faults[fault->kind] += !fault->is_missed;
    soak->n_missed += fault->is_missed;
    soak_note_fault(soak, fault);
}

/* What a daemon that does not end is at, for whoever looks for the reason. */
static void keep_state(struct soak_host *host)
{
    struct lab_process *process;
    IGNORE(lab_run(host->host, SHELL_MS, &process, "/bin/sh", "-c",
                   "ps -eLo pid,ppid,tid,stat,wchan:24,args; p=$(pgrep -x meshd); "
                   "ls -l /proc/$p/fd; command -v gdb && "
                   "gdb -p $p -batch -ex 'thread apply all backtrace'",
                   NULL));
    soak_keep_text(host->soak, "stuck", host->host->name, lab_output(process));
    process = lab_forget(process);
}

/* Whether it has ended, as it must; it is killed when it takes too long. */
static bool has_stopped(struct soak_host *host)
{
    int status = 0;
    if (lab_wait(host->daemon, 0, &status) != 0) {
        if (lab_now_ns() - host->struck_ns > SOAK_STOP_MS * MS) {
            soak_blame(host->soak, SOAK_BAD_END, 1, "meshd of %s does not end on SIGTERM",
                       host->host->name);
            keep_state(host);
            lab_kill(host->daemon);
        }
        return false;
    }
    if (status != 0 && status != 128 + SIGKILL) { /* that were we */
        soak_blame(host->soak, SOAK_CRASHED, 1, "meshd of %s ended with %d on SIGTERM",
                   host->host->name, status);
    }
    return true;
}

static void heal_cable(struct soak_host *host, const struct soak_fault *fault)
{
    if (fault->kind == SOAK_PARTITION) {
        lab_partition(host->host, 0);
    } else if (fault->kind == SOAK_ADDRESS) {
        change_address(host, false);
    } else {
        lab_plug(host->host);
    }
}

/* Whether it could be ended already. */
static bool end_on(struct soak_host *host, const struct soak_fault *fault)
{
    switch ((int)fault->kind) {
    case SOAK_STOP:
        if (!has_stopped(host)) {
            return false;
        }
        soak_start_daemon(host);
        return true;
    case SOAK_POWER:
        lab_power_on(host->host);
        soak_start_daemon(host);
        return true;
    case SOAK_KILL:
        soak_start_daemon(host);
        return true;
    case SOAK_FREEZE_DAEMON:
    case SOAK_FREEZE_HOST:
        if (fault->kind == SOAK_FREEZE_HOST) {
            lab_thaw_host(host->host);
        } else if (lab_is_running(host->daemon)) {
            lab_thaw(host->daemon);
        }
        host->is_frozen = false;
        host->thawed_ns = lab_now_ns();
        return true;
    case SOAK_KILL_CELL:
    case SOAK_KILL_WORKER:
    case SOAK_KILL_SUBMIT:
        return true;
    default:
        heal_cable(host, fault);
        return true;
    }
}

static void end(struct soak *soak, struct soak_fault *fault)
{
    bool is_over = true;
    for (unsigned i = 0; !fault->is_missed && i < soak->options.n_hosts; i++) {
        if (is_of(fault, i)) {
            is_over &= end_on(&soak->hosts[i], fault);
        }
    }
    fault->is_over = is_over;
    if (is_over) {
        soak_note_fault(soak, fault);
    }
}

bool soak_faults_step(struct soak *soak)
{
    bool is_all_over = true;
    uint64_t at_ms = (lab_now_ns() - soak->round_ns) / MS;
    for (unsigned i = 0; i < soak->plan.n; i++) {
        struct soak_fault *fault = &soak->plan.faults[i];
        if (!fault->is_begun && at_ms >= fault->begin_ms) {
            begin(soak, fault);
        }
        if (fault->is_begun && !fault->is_over && at_ms >= fault->end_ms) {
            end(soak, fault);
        }
        is_all_over &= fault->is_over;
    }
    return is_all_over && at_ms >= soak->options.round_ms;
}
