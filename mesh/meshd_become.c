/* What root does before it is root no more, in this order; each step is of use to the next.
 *
 *     1. the paths of state and socket, which differ for root; the state directory is made
 *     2. privilege_plan(): what to become. Nothing has changed so far but that directory
 *     3. the state of an earlier life changes hands (state_owner.h)
 *     4. the socket's address is taken where its folder is root's alone, and given to the new user;
 *        the folder /run/mesh as well
 *     5. the control group is made ready (cgroup.h)
 *     6. privilege_drop()
 *
 * All else comes after: the state's lock, the key, the network, clients and cells. One that was
 * started as user mesh (the unit meshd.service) does 1 and 5 and meets folders made ready by
 * others.
 *
 * In a folder that user mesh may write in, root touches nothing: a daemon that was taken over could
 * have put links there. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mesh/meshd_internal.h"
#include "mesh/privilege.h"
#include "mesh/sandbox.h"
#include "mesh/state_owner.h"

/* --- the trial ---------------------------------------------------------------------------------
 */

/* As the user that is tried: reach the state, make cells. */
static enum privilege_trial try_to_work(void *context, struct errmsg *reterr)
{
    const struct meshd *meshd = context;
    struct stat st;
    bool has_sandbox = false;
    if (stat(meshd->state_path, &st) < 0) {
        int error = errno;
        errmsg_set(reterr, "the state directory %s is out of its reach: %s", meshd->state_path,
                   strerror(error));
        return PRIVILEGE_TRIAL_FAILS;
    }
    if (meshd_executor_try(meshd->options, &has_sandbox, reterr) < 0) {
        return PRIVILEGE_TRIAL_FAILS;
    }
    return has_sandbox || meshd->options->is_sandbox_off ? PRIVILEGE_TRIAL_WORKS_FULLY
                                                         : PRIVILEGE_TRIAL_WORKS;
}

/* --- the state and the socket ------------------------------------------------------------------
 */

static int change_state(const struct meshd *meshd, const struct privilege_plan *plan,
                        struct errmsg *err)
{
    if (!plan->has_user) {
        return 0;
    }
    struct state_owners to_mesh = {.from = 0, .to = plan->uid, .gid = plan->gid};
    struct state_owners to_root = {.from = plan->uid, .to = 0, .gid = 0};
    return state_owner_change(meshd->state_path,
                              plan->level == PRIVILEGE_KEPT ? &to_root : &to_mesh, err);
}

/* Opens the folder that the socket is in. Ret_name points into the socket's path. */
static int open_socket_folder(const struct meshd *meshd, bool *ret_is_run, const char **ret_name)
{
    char folder[MESHD_PATH_BYTES];
    IGNORE(snprintf(folder, sizeof(folder), "%s", meshd->socket_path)); /* of the same size */
    char *slash = strrchr(folder, '/');
    *ret_name = slash != NULL ? meshd->socket_path + (slash - folder) + 1 : meshd->socket_path;
    if (slash == NULL) {
        memcpy(folder, ".", 2);
    } else {
        slash[slash == folder ? 1 : 0] = '\0';
    }
    *ret_is_run = strcmp(folder, MESHD_RUN_FOLDER) == 0;
    return open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (*ret_is_run ? O_NOFOLLOW : 0));
}

/* /run/mesh is for the daemon and, where there is one that this user namespace knows, its group. */
static int share_run_folder(int folder_fd, const struct privilege_plan *plan, struct errmsg *err)
{
    bool is_kept = plan->level == PRIVILEGE_KEPT;
    uid_t uid = is_kept ? 0 : plan->uid;
    gid_t gid = is_kept && !plan->has_group ? 0 : plan->gid;
    bool is_given = fchown(folder_fd, uid, gid) == 0 ||
                    (is_kept && errno == EINVAL && fchown(folder_fd, 0, 0) == 0);
    if (!is_given || fchmod(folder_fd, 0750) < 0) {
        int error = errno;
        errmsg_set(err, "cannot give %s to user %lu: %s", MESHD_RUN_FOLDER, (unsigned long)uid,
                   strerror(error));
        return -error;
    }
    return 0;
}

static int bind_in(struct meshd *meshd, int folder_fd, const char *name,
                   const struct privilege_plan *plan, struct errmsg *err)
{
    int rc = meshd_control_bind(meshd->socket_path, &meshd->socket_fd, err);
    if (rc < 0) {
        return rc;
    }
    meshd->is_socket_bound = true;
    if (plan->level != PRIVILEGE_KEPT &&
        fchownat(folder_fd, name, plan->uid, plan->gid, AT_SYMLINK_NOFOLLOW) < 0) {
        int error = errno;
        errmsg_set(err, "cannot give the socket %s to user " PRIVILEGE_USER ": %s",
                   meshd->socket_path, strerror(error));
        return -error;
    }
    return 0;
}

/* A folder that is not there, or not root's alone, is left to who listens later: it is then the
 * daemon's own, or it will say what is wrong. */
static int take_socket(struct meshd *meshd, const struct privilege_plan *plan, struct errmsg *err)
{
    bool is_run;
    const char *name;
    struct stat st;
    int folder_fd = open_socket_folder(meshd, &is_run, &name);
    if (folder_fd < 0) {
        return 0;
    }
    int rc = 0;
    if (plan->level != PRIVILEGE_KEPT && fstat(folder_fd, &st) == 0 && st.st_uid == 0 &&
        (st.st_mode & 0022) == 0) {
        rc = bind_in(meshd, folder_fd, name, plan, err);
    }
    if (rc == 0 && is_run) {
        rc = share_run_folder(folder_fd, plan, err);
    }
    IGNORE(close(folder_fd)); /* was opened for reading */
    return rc;
}

/* --- all of it ---------------------------------------------------------------------------------
 */

static void say_who(const struct meshd *meshd, const struct privilege_plan *plan)
{
    if (plan->why.text[0] != '\0') {
        meshd_log(&meshd->log, CORE_LOG_WARN, "this daemon stays root: %s%s", plan->why.text,
                  sandbox_drops_ids() ? "; tasks run as user 65534" : "");
    } else if (plan->level != PRIVILEGE_KEPT) {
        meshd_log(&meshd->log, CORE_LOG_INFO, "root became user " PRIVILEGE_USER " (%lu)%s",
                  (unsigned long)plan->uid,
                  plan->level == PRIVILEGE_BWRAP
                      ? "; a setuid bwrap may have what it needs, no_new_privs is not set"
                      : "");
    }
}

static void prepare_cgroup(struct meshd *meshd, const struct privilege_plan *plan)
{
    struct errmsg why;
    bool is_kept = plan->level == PRIVILEGE_KEPT;
    if (cgroup_prepare("", is_kept ? geteuid() : plan->uid, is_kept ? getegid() : plan->gid,
                       meshd->cgroup, &why) < 0) {
        meshd_log(&meshd->log, CORE_LOG_DEBUG, "%s", why.text);
    }
}

static int find_paths(struct meshd *meshd, struct errmsg *err)
{
    int rc = meshd_state_path(meshd->options->state, meshd->state_path, err);
    if (rc == 0) {
        rc = meshd_socket_path(meshd->options->socket, meshd->state_path, meshd->socket_path, err);
    }
    return rc;
}

int meshd_become(struct meshd *meshd, struct errmsg *err)
{
    struct privilege_plan plan;
    bool is_root = geteuid() == 0;
    int rc = find_paths(meshd, err);
    if (rc == 0 && is_root) {
        rc = state_owner_make_dir(meshd->state_path, err);
    }
    if (rc < 0) {
        return rc;
    }
    privilege_plan(try_to_work, meshd, &plan);
    if (is_root) {
        rc = change_state(meshd, &plan, err);
        rc = rc < 0 ? rc : take_socket(meshd, &plan, err);
    }
    if (rc == 0) {
        prepare_cgroup(meshd, &plan);
        rc = privilege_drop(&plan, err);
    }
    if (rc == 0) {
        say_who(meshd, &plan);
    }
    return rc;
}
