/* Who the daemon is. Started as root it becomes user `mesh`: it reads what strangers send, and
 * nothing that it does once it is set up needs root. It stays root only where it could not work as
 * well otherwise.
 *
 * Nothing is decided by looking: a child becomes what the daemon would be, tries what the daemon
 * will need (the caller's function), and says how far it came. Of the ways that come furthest the
 * one with the fewest rights is taken.
 *
 * What is done with the plan, in which order, stands in meshd_become.c. Not for a process that has
 * threads. */
#ifndef MESH_PRIVILEGE_H
#define MESH_PRIVILEGE_H

#include <stdbool.h>
#include <sys/types.h>

#include "wire/base/ensure.h"
#include "wire/base/errmsg.h"

/* The user that root becomes, and the group whose members may use the local socket. */
#define PRIVILEGE_USER "mesh"

/* From no rights to all. */
enum privilege_level {
    PRIVILEGE_NONE,  /* user mesh: no capability, no group but its own, no program can give it more
                      */
    PRIVILEGE_BWRAP, /* the same, but a setuid bwrap may have what it needs: so no_new_privs is not
                      * set, and the bounding set keeps its six capabilities */
    PRIVILEGE_KEPT,  /* what it was started with */
};

struct privilege_plan {
    enum privilege_level level;
    bool has_user; /* there is a user mesh, if perhaps none that can be become */
    uid_t uid;     /* of user mesh */
    bool has_group;
    gid_t gid;         /* of group mesh; where there is none, of the user */
    struct errmsg why; /* why root stays root, else empty */
};

/* How far the daemon would come. */
enum privilege_trial {
    PRIVILEGE_TRIAL_FAILS,
    PRIVILEGE_TRIAL_WORKS, /* but is refused something */
    PRIVILEGE_TRIAL_WORKS_FULLY,
};

/* Called in a child of this process, as the user that is tried. For what fails or is refused err
 * says why. */
typedef enum privilege_trial privilege_try_fn(void *context, struct errmsg *reterr);

/* What to become; changes nothing. Who is not root stays what it is. Takes as long as the trials,
 * of which there are three at most; none where root has nobody to become. */
void privilege_plan(privilege_try_fn *try, void *context, struct privilege_plan *ret_plan);

/* Becomes it, for good. 0, or -errno and err set: then nothing is certain, and the process is to
 * end. */
int privilege_drop(const struct privilege_plan *plan, struct errmsg *reterr) MUST_CHECK;

#endif
