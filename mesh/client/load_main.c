/* mesh-worker: travels in place of a shared object, which cannot be executed, and loads it. The
 * functions that its constructors register are this worker's. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include "mesh/client/programs.h"

int main(void)
{
    const char *path = getenv(MESH_OBJECT_ENV);
    if (path == NULL) {
        fputs("mesh-worker: runs shared objects for meshd; there is nothing to do by hand\n",
              stderr);
        return 2;
    }
    if (dlopen(path, RTLD_NOW | RTLD_GLOBAL) == NULL) {
        fprintf(stderr, "mesh-worker: %s\n", dlerror());
        return 1;
    }
    mesh_init();
    fputs("mesh-worker: no worker's socket was given\n", stderr);
    return 2;
}
