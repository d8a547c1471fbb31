/* A seed that breaks a rule: what it says, with how few of its faults it still does, and what
 * happened before. */
#ifndef MESH_TESTS_SIM_EXPLAIN_H
#define MESH_TESTS_SIM_EXPLAIN_H

#include "tests/sim/sim.h"

#define EXPLAIN_TEXT_BYTES 400u

/* Plays in a child of this process. True: it came to its end. Else `text` holds what it said last.
 */
bool explain_play(const struct sim_options *options, char text[static EXPLAIN_TEXT_BYTES]);
/* Shrinks the schedule and prints the seed, the fewest faults it fails with, and the timeline. */
void explain_seed(const struct sim_options *options);

#endif
