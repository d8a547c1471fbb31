#include "wire/base/ensure.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void ensure_failed(const char *what, const char *file, int line, const char *func)
{
    fprintf(stderr, "mesh: internal error: %s:%d: %s: %s\n", file, line, func, what);
    abort();
}
