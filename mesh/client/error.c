#include <errno.h>

#include "mesh/client/handle.h"

const char *mesh_strerror(int error)
{
    switch (error) {
    case MESH_OK:
        return "no error";
    case MESH_EINVAL:
        return "invalid argument";
    case MESH_ENOMEM:
        return "out of memory";
    case MESH_ETIMEDOUT:
        return "timed out";
    case MESH_EDAEMON:
        return "no daemon";
    case MESH_EFUNCTION:
        return "no such function";
    case MESH_ETYPE:
        return "wrong type";
    case MESH_ENONE:
        return "no such value";
    case MESH_ESMALL:
        return "buffer too small";
    case MESH_EFAILED:
        return "the function failed";
    case MESH_ECRASHED:
        return "the worker crashed";
    case MESH_ECANCELLED:
        return "cancelled";
    case MESH_ELATE:
        return "ran longer than its timeout";
    case MESH_ELOST:
        return "lost with its peer";
    case MESH_ESTART:
        return "the program could not be started";
    case MESH_EBUSY:
        return "the buffer is on its way with another call";
    case MESH_ELIMIT:
        return "too large or too many";
    case MESH_EIO:
        return "input or output failed";
    default:
        return "unknown error";
    }
}

int mesh_error_of(int negative_errno)
{
    switch (-negative_errno) {
    case 0:
        return MESH_OK;
    case ENOMEM:
        return MESH_ENOMEM;
    case E2BIG:
    case ENOBUFS:
    case EFBIG:
        return MESH_ELIMIT;
    case EINVAL:
        return MESH_EINVAL;
    default:
        return MESH_EIO;
    }
}
