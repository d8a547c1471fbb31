/* What kind of program a file is: which architecture may run it. */
#ifndef MESH_CLIENT_PROGRAM_H
#define MESH_CLIENT_PROGRAM_H

#include "wire/base/ensure.h"
#include "wire/base/slice.h"

/* The architecture of an ELF file as uname -m names it, from its first bytes (20 are enough), or ""
 * for scripts, for other files, and for machines this list does not know: then any peer may try. */
const char *mesh_program_arch(struct slice head);

#endif
