/* The closed mesh on a lab's hosts, as its users handle it: commands, what they print, and the one
 * file of the state directory. Each call fails the test when a command does not end as it should.
 */
#ifndef MESH_LAB_CLOSED_H
#define MESH_LAB_CLOSED_H

#include "tests/lab/daemons.h"
#include "wire/message.h"

#define CLOSED_CODE_BYTES 512
/* Things take longer on a loaded machine, under valgrind most of all. */
#define CLOSED_PATIENCE_MS 45000

/* `mesh trust --list --json`. */
struct closed_state {
    bool is_locked;
    unsigned generation;
    unsigned n_members;
    unsigned n_pins;
    unsigned n_bans;
};

/* A daemon whose tasks can write the lab's log. */
struct lab_process *closed_start(struct lab_host *host, const char *cores);

void closed_lock(struct lab_host *host);
/* `valid`: for --valid. The code without its line's end. */
void closed_invite(struct lab_host *host, const char *valid, char code[static CLOSED_CODE_BYTES]);
/* `mesh join`, with this text on standard input; still running. */
struct lab_process *closed_join_begin(struct lab_host *host, const char *code);
/* All of it: an invitation there, used here. */
void closed_take_in(struct lab_host *inviter, struct lab_host *joiner);
/* The first locks, and takes in the others. They all list one another as up when this returns. */
void closed_make(struct lab_host *const *hosts, unsigned n_hosts);
void closed_ban(struct lab_host *host, const char *peer);

/* Ends with this status and one line on standard error that holds `says`. */
void closed_expect_refusal(struct lab_process *process, const char *says);

struct closed_state closed_get_state(struct lab_host *host);
/* Waits until the host's mesh is of this generation. */
void closed_wait_generation(struct lab_host *host, unsigned generation);
/* Waits until this host lists the peer in this state, with a detail that holds `detail`. */
void closed_wait_detail(struct lab_host *host, const char *name, const char *state,
                        const char *detail);
/* The secret that the host keeps on disk. */
void closed_read_secret(struct lab_host *host, struct wire_secret *ret_secret);

/* A job of n tasks, with the inputs first, first + 1, ..., that take so long. */
struct lab_process *closed_submit(struct lab_host *host, unsigned first, unsigned n,
                                  const char *ms);
/* Of these inputs: how many have been started by the daemon of this host. */
unsigned closed_n_started(struct lab_host *host, unsigned first, unsigned n);

#endif
