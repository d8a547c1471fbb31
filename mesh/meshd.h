/* The daemon's life: set up, loop, close down. See meshd_internal.h for its parts. */
#ifndef MESH_MESHD_H
#define MESH_MESHD_H

#include "mesh/options.h"
#include "wire/base/ensure.h"

/* Runs a daemon until it is told to stop, has nothing more to do (--exit-idle) or cannot go on.
 * Returns the exit status: 0 ended as asked, 1 failed, said in one line on standard error. */
int meshd_run(const struct meshd_options *options) MUST_CHECK;

#endif
