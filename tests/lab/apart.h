/* Processors of their own for those who attack, so that a lab on one machine measures what an
 * attack costs the attacked, and not that the attacker lives on the same machine.
 *
 * A host that is attacked over a LAN has its processors to itself: the attacker has others, and so
 * has the network between them. Here the attacker and the switch get one processor of the machine
 * (two where it has four or more), and all else the rest, with an attack and without. What a
 * host's kernel does with the frames that come stays with that host, as it would on a LAN: they
 * are steered to its processors before they are looked at. */
#ifndef MESH_LAB_APART_H
#define MESH_LAB_APART_H

#include <sched.h>
#include <stdbool.h>

#include "tests/lab/host.h"

struct apart {
    bool is_apart; /* there are processors enough */
    cpu_set_t honest;
    cpu_set_t hostile; /* the attacker's and the network's */
};

/* Shares out the processors that this process may use. */
void apart_init(struct apart *apart);
/* What this process starts from here on runs on those processors, and so does this process. Both
 * do nothing where there is one processor. */
void apart_be_honest(const struct apart *apart);
void apart_be_hostile(const struct apart *apart);
/* The host's kernel takes frames in on honest processors, whoever hands them over. A kernel that
 * cannot steer them leaves that work to the switch's processor. */
void apart_receive_honestly(const struct apart *apart, struct lab_host *host);

#endif
