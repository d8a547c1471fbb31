/* mesh on a lab's hosts: starting `meshd`, asking `mesh`, and the tasks that leave a log.
 *
 * Only what a user can do is done here: flags, commands and their --json. Needs $MESHD, $MESH and
 * $LAB_TASK, which meson sets. With $MESH_LAB_WRAP (words parted by spaces) every meshd runs under
 * that program, as in MESH_LAB_WRAP="valgrind -q --error-exitcode=99". */
#ifndef MESH_LAB_DAEMONS_H
#define MESH_LAB_DAEMONS_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/lab/host.h"
#include "tests/lab/process.h"

#define DAEMON_SOCKET     "/run/mesh.sock"
#define DAEMON_PEERS_MAX  32
#define DAEMON_EVENTS_MAX 16384

/* One row of `mesh peers --json`. */
struct daemon_peer {
    char id[16];
    char key[80];
    char name[80];
    char arch[32];
    char state[16];
    char address[80];
    char detail[160]; /* why it is refused or in conflict */
    unsigned cores;
    unsigned free;
    bool is_local;
    bool has_rtt;
};

struct daemon_peers {
    unsigned n;
    struct daemon_peer rows[DAEMON_PEERS_MAX];
};

/* Starts meshd with --state and --socket, and with these flags, up to NULL, besides. */
struct lab_process *daemon_start(struct lab_host *host, ...) __attribute__((sentinel));
/* The same with a list that NULL ends. */
struct lab_process *daemon_startv(struct lab_host *host, const char *const *flags);

/* A submitter that runs nothing itself, hosts[0], and three executors, which all see one another.
 */
#define DAEMON_EXECUTORS 3
extern const char *const daemon_names[DAEMON_EXECUTORS + 1]; /* of the hosts */
struct daemon_scene {
    struct lab *lab;
    struct lab_host *hosts[DAEMON_EXECUTORS + 1];
    struct lab_process *daemons[DAEMON_EXECUTORS + 1];
};

/* Executors offer so many cores; who is silent for a second is down. */
void daemon_scene_make(struct daemon_scene *scene, const char *cores, unsigned deadline_ms);

/* `mesh --socket ... ARGS...` on this host. */
struct lab_process *daemon_ask(struct lab_host *host, const char *command, ...)
    __attribute__((sentinel));

/* `mesh peers --json` on this host. False while no daemon answers; anything but the documented
 * array fails the test. */
bool daemon_get_peers(struct lab_host *host, struct daemon_peers *ret_peers) MUST_CHECK;

/* Whether this host's daemon lists a peer of this name in this state, among however many. */
bool daemon_lists(struct lab_host *host, const char *name, const char *state) MUST_CHECK;

/* The row of the peer of this name, or NULL. */
const struct daemon_peer *daemon_find(const struct daemon_peers *peers, const char *name);

/* Whether this host's daemon lists exactly n others as up. */
bool daemon_sees_up(struct lab_host *host, unsigned n) MUST_CHECK;

/* Waits until each of the hosts lists all others of them as up; the time when the last one did, in
 * lab_now_ns(). Fails the test after the deadline. */
uint64_t daemon_wait_whole_mesh(struct lab_host *const *hosts, unsigned n_hosts,
                                unsigned deadline_ms);

/* Waits until this host lists the peer of this name in this state; fails the test otherwise. */
uint64_t daemon_wait_state(struct lab_host *host, const char *name, const char *state,
                           unsigned deadline_ms);

/* --- tasks that leave a log --------------------------------------------------------------------
 */

/* task.c appends these lines to LOG/events: what was done where and when, by the shared clock. */
struct task_event {
    bool is_end; /* else it is a start */
    unsigned input;
    char peer[80]; /* $MESH_PEER */
    unsigned attempt;
    uint64_t at_ns;
};

struct task_log {
    unsigned n;
    struct task_event events[DAEMON_EVENTS_MAX]; /* in order of writing */
};

/* The folder for the log, made if need be: give it to executors as --bind-rw, and to the task. */
const char *daemon_log_folder(struct lab *lab);

/* What is in the log by now. */
void daemon_read_log(struct lab *lab, struct task_log *ret_log);

/* What task.c prints for this input: the sum of the primes below it. */
uint64_t daemon_prime_sum(unsigned below);

#endif
