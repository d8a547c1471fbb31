/* What travels: the program, for each architecture, or a shared object and what loads it. */
#ifndef MESH_CLIENT_PROGRAMS_H
#define MESH_CLIENT_PROGRAMS_H

#include "mesh/client/handle.h"

/* Opens the files, so that what travels later is what was there now. 0 or an error, which the
 * handle keeps. */
int mesh_programs_open(mesh *m, const struct mesh_options *options);
void mesh_programs_done(mesh *m);

/* The environment variable by which mesh-worker knows what to load. */
#define MESH_OBJECT_ENV "MESH_OBJECT"

#endif
