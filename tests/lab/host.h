/* The lab: hosts made of namespaces, and the switch that they hang on.
 *
 * A host has its own network (one interface, `eth0`, with an IPv4 address 10.99.0.N/24 and an IPv6
 * link-local one), host name, processes, and its own empty /tmp, /run and /var/lib, so that nothing
 * of the machine's Avahi or D-Bus is reached. /var/lib is its disk: what is there is there again
 * when the power is. It sees the rest of the machine's files as they are, and one folder that it
 * shares with all hosts and with the test (lab_share()).
 *
 * Needs root, or a kernel that gives user namespaces to everyone; where neither works,
 * lab_is_possible() says so and the test is to be skipped. Everything is anonymous and held by
 * processes that die with the test, however it ends: nothing is left on the machine. (A host that
 * is limited by bounds.h has a control group, which has a name; that says what becomes of it.)
 *
 * A lab belongs to one test in a process of its own (Check's fork mode), for making it moves that
 * process into namespaces for good. Whatever cannot be set up fails the test with one line. Nothing
 * here knows of mesh. */
#ifndef MESH_LAB_HOST_H
#define MESH_LAB_HOST_H

#include <check.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "tests/lab/switch.h"
#include "wire/base/ensure.h"
#include "wire/base/errmsg.h"
#include "wire/base/list.h"

#define LAB_HOSTS_MAX      SWITCH_PORTS_MAX
#define LAB_NAME_BYTES_MAX 32
#define LAB_GROUPS_MAX     2
#define LAB_PATH_BYTES_MAX 512

/* What limits a host: bounds.c has it. */
struct lab_group {
    char *folder;   /* of the control group. Owned */
    int procs_fd;   /* who writes "0" to it is in the group. Owned */
    pid_t watcher;  /* removes the folder */
    int watcher_fd; /* once this is closed. Owned */
};

/* A machine. Read its fields; only host.c writes them. */
struct lab_host {
    struct lab *lab;
    struct list processes; /* of struct lab_process, see process.h */
    char name[LAB_NAME_BYTES_MAX];
    unsigned number;  /* 1, 2, ... in order of making */
    char address[16]; /* its IPv4 address as text */
    pid_t init;       /* process 1 of the host, as the test sees it; -1: the power is off */
    int control;      /* to the init; its closing ends the host. Owned */
    int init_fd;      /* pidfd of the init. Owned */
    unsigned port;    /* its cable on the switch */
    struct switch_counters before[SWITCH_N_DIRECTIONS]; /* of its cables up to the last power off */
    struct lab_group groups[LAB_GROUPS_MAX];
    unsigned n_groups;
};

struct lab {
    struct switch_process *sw;             /* owned */
    struct lab_host *hosts[LAB_HOSTS_MAX]; /* owned */
    unsigned n_hosts;
    unsigned n_processes; /* that were ever started; names their output files */
    uint64_t disk_bytes;  /* of each host's disk; 0: no limit of its own */
    uint64_t seed;
};

/* Whether this machine allows it to this user; if not, *err says why. Changes nothing. */
bool lab_is_possible(struct errmsg *err);

/* main() of a scenario binary: runs the suite as run_suite() does, or, where no lab is possible,
 * skips all of it aloud. Takes and frees the suite. */
int lab_run_suite(Suite *suite);

/* A lab without hosts. $MESH_LAB_SEED, or a fixed number, seeds what the switch draws by chance. */
struct lab *lab_new(void);

/* Ends every process of every host, and the switch. Fails the test if one of them left a
 * sanitizer's or valgrind's report. */
void lab_free(struct lab *lab);

/* Hosts made from now on have a disk of so many bytes. */
void lab_limit_disks(struct lab *lab, uint64_t bytes);

/* A new host, up and plugged in. Its name is its host name. Belongs to the lab. */
struct lab_host *lab_host(struct lab *lab, const char *name);

/* The folder that the test and all hosts see under this same path; on a tmpfs, so that it goes when
 * the last of them does. */
const char *lab_share(const struct lab *lab);

/* The power fails: all processes of the host are gone, and its cable, when this returns. */
void lab_power_off(struct lab_host *host);

/* The power is back: the host has its name, its address and its disk, a cable without faults, and
 * no process. Does nothing to a host that has power. */
void lab_power_on(struct lab_host *host);

/* --- the cable ------------------------------------------------------------------------------ */

/* The cable is cut somewhere beyond the next switch: no frame passes, and the host is not told. */
void lab_cut(struct lab_host *host);
/* The plug is pulled: no frame passes, and the interface loses its carrier. */
void lab_unplug(struct lab_host *host);
/* Undoes both, and every other fault of this cable. */
void lab_plug(struct lab_host *host);
/* From now on frames in one direction meet this fault. */
void lab_fault(struct lab_host *host, enum switch_direction direction, struct switch_fault fault);
/* The same in both directions. */
void lab_fault_both(struct lab_host *host, struct switch_fault fault);
/* Both directions lose so many percent. */
void lab_loss(struct lab_host *host, unsigned percent);
/* Both directions are late by so much. */
void lab_delay(struct lab_host *host, unsigned delay_ms, unsigned jitter_ms);
/* Both directions carry so many bits a second, and drop what would have to wait too long. */
void lab_slow(struct lab_host *host, uint64_t bits_per_s);
/* Only hosts of the same group hear one another; all start in group 0. */
void lab_partition(struct lab_host *host, unsigned group);
/* Since the host was made, whether or not it has power. */
struct switch_counters lab_counters(struct lab_host *host, enum switch_direction direction);
/* From now on every frame that any host sends is also written to this file of the test's, one
 * behind the other, for what is to be looked for in them. */
void lab_capture(struct lab *lab, const char *path);

/* --- time ----------------------------------------------------------------------------------- */

/* The machine's monotonic clock, which all hosts share. */
uint64_t lab_now_ns(void);

/* Asks again and again until the condition holds or so many ms passed; whether it held. Meant for
 * what is done by others: the test's own process is asleep in between. */
bool lab_until(bool (*condition)(void *context), void *context, unsigned deadline_ms) MUST_CHECK;

/* Waits without a condition: only where the passing of time is the thing tested. */
void lab_let_pass(unsigned ms);

#endif
