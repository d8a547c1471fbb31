/* Rehearsed in a child, then done: what a child could do a moment ago, its parent can. */
#include "mesh/privilege.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "wire/base/slice.h"

/* What bwrap itself asks for when it is installed setuid (its REQUIRED_CAPS). */
#define BWRAP_CAPS                                                                                 \
    (CAP_BIT(CAP_SYS_ADMIN) | CAP_BIT(CAP_SYS_CHROOT) | CAP_BIT(CAP_NET_ADMIN) |                   \
     CAP_BIT(CAP_SETUID) | CAP_BIT(CAP_SETGID) | CAP_BIT(CAP_SYS_PTRACE))
#define CAP_BIT(cap) (UINT64_C(1) << (cap))
#define CAPS_MAX     64u

/* --- giving up ---------------------------------------------------------------------------------
 */

static int fail(struct errmsg *reterr, const char *what)
{
    int error = errno;
    errmsg_set(reterr, "cannot %s: %s", what, strerror(error));
    return -error;
}

/* What no program that is started from here can ever have. */
static int limit_bounding_set(uint64_t kept, struct errmsg *reterr)
{
    for (unsigned cap = 0; cap < CAPS_MAX; cap++) {
        int is_in = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);
        if (is_in < 0) {
            break; /* the kernel knows no more */
        }
        if (is_in > 0 && (kept & CAP_BIT(cap)) == 0 && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0) {
            return fail(reterr, "limit what programs can regain");
        }
    }
    return 0;
}

/* The change of user empties the effective and permitted sets, not the inheritable one. */
static int clear_capabilities(struct errmsg *reterr)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL) {
        return fail(reterr, "give up its ambient capabilities");
    }
    return syscall(SYS_capset, &header, none) < 0 ? fail(reterr, "give up its capabilities") : 0;
}

/* A number that this namespace does not know is refused with EINVAL: asked of the saved ids first,
 * which changes nothing yet, so that this is told apart from what else root may not do here. */
static int check_is_known(const struct privilege_plan *plan, struct errmsg *reterr)
{
    if ((setresuid((uid_t)-1, (uid_t)-1, plan->uid) < 0 ||
         setresgid((gid_t)-1, (gid_t)-1, plan->gid) < 0) &&
        errno == EINVAL) {
        errmsg_set(reterr,
                   "user " PRIVILEGE_USER " (%lu) or its group (%lu) is unknown to this user "
                   "namespace",
                   (unsigned long)plan->uid, (unsigned long)plan->gid);
        return -EINVAL;
    }
    return 0;
}

static int become_user(const struct privilege_plan *plan, struct errmsg *reterr)
{
    if (setgroups(0, NULL) < 0) {
        return fail(reterr, "leave root's groups");
    }
    if (setresgid(plan->gid, plan->gid, plan->gid) < 0 ||
        setresuid(plan->uid, plan->uid, plan->uid) < 0) {
        return fail(reterr, "become user " PRIVILEGE_USER);
    }
    return 0;
}

int privilege_drop(const struct privilege_plan *plan, struct errmsg *reterr)
{
    if (plan->level == PRIVILEGE_KEPT) {
        return 0;
    }
    int r = check_is_known(plan, reterr);
    r = r < 0 ? r : limit_bounding_set(plan->level == PRIVILEGE_BWRAP ? BWRAP_CAPS : 0, reterr);
    r = r < 0 ? r : become_user(plan, reterr);
    r = r < 0 ? r : clear_capabilities(reterr);
    if (r < 0) {
        return r;
    }
    if (plan->level == PRIVILEGE_NONE && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        return fail(reterr, "refuse new privileges");
    }
    /* Others of this user (tasks, seen from outside of their cell) neither trace nor dump it. */
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
        return fail(reterr, "close its memory to others");
    }
    if (setresuid((uid_t)-1, 0, (uid_t)-1) == 0 || setresgid((gid_t)-1, 0, (gid_t)-1) == 0) {
        errmsg_set(reterr, "the kernel lets it become root again");
        return -EPERM;
    }
    return 0;
}

/* --- rehearsing ---------------------------------------------------------------------------------
 */

struct outcome {
    enum privilege_trial trial;
    struct errmsg why;
};

static _Noreturn void rehearse_in_child(const struct privilege_plan *plan, privilege_try_fn *try,
                                        void *context, int report_fd)
{
    struct outcome outcome;
    memset(&outcome, 0, sizeof outcome);
    IGNORE(prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0)); /* a trial ends by itself, too */
    if (privilege_drop(plan, &outcome.why) == 0) {
        outcome.trial = try(context, &outcome.why);
    }
    ssize_t n = write(report_fd, &outcome, sizeof outcome); /* in one piece: under PIPE_BUF */
    _exit(n == (ssize_t)sizeof outcome ? 0 : 1);
}

/* A child that fails in whatever way is a trial that failed. */
static void rehearse(const struct privilege_plan *plan, privilege_try_fn *try, void *context,
                     struct outcome *ret_outcome)
{
    struct outcome outcome;
    int report[2];
    memset(ret_outcome, 0, sizeof *ret_outcome);
    if (pipe2(report, O_CLOEXEC) < 0) {
        IGNORE(fail(&ret_outcome->why, "make a pipe"));
        return;
    }
    pid_t child = fork();
    if (child == 0) {
        rehearse_in_child(plan, try, context, report[1]);
    }
    if (child < 0) {
        IGNORE(fail(&ret_outcome->why, "start a process"));
    }
    close(report[1]);
    ssize_t n;
    do {
        n = read(report[0], &outcome, sizeof outcome);
    } while (n < 0 && errno == EINTR);
    close(report[0]);
    while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR) {
    }
    if (n == (ssize_t)sizeof outcome) {
        *ret_outcome = outcome;
    } else if (child > 0) {
        errmsg_set(&ret_outcome->why, "the trial did not end well");
    }
}

/* --- the plan -----------------------------------------------------------------------------------
 */

static void find_user(struct privilege_plan *plan)
{
    const struct passwd *user = getpwnam(PRIVILEGE_USER);
    plan->has_user = user != NULL && user->pw_uid != 0;
    if (plan->has_user) {
        plan->uid = user->pw_uid;
        plan->gid = user->pw_gid;
    }
    const struct group *group = getgrnam(PRIVILEGE_USER);
    plan->has_group = group != NULL;
    if (plan->has_group) {
        plan->gid = group->gr_gid;
    }
}

/* The fewest rights with which it comes furthest; why not fewer still. */
static void choose_level(privilege_try_fn *try, void *context, struct privilege_plan *plan)
{
    static const enum privilege_level levels[] = {PRIVILEGE_NONE, PRIVILEGE_BWRAP, PRIVILEGE_KEPT};
    enum privilege_trial best = PRIVILEGE_TRIAL_FAILS;
    struct privilege_plan tried = *plan;
    plan->level = PRIVILEGE_NONE;
    for (size_t i = 0; i < ARRAY_LEN(levels) && best < PRIVILEGE_TRIAL_WORKS_FULLY; i++) {
        struct outcome outcome;
        tried.level = levels[i];
        rehearse(&tried, try, context, &outcome);
        if (i == 0) {
            plan->why = outcome.why;
        }
        if (outcome.trial > best) {
            best = outcome.trial;
            plan->level = levels[i];
        }
    }
    if (plan->level != PRIVILEGE_KEPT) {
        plan->why.text[0] = '\0';
    }
}

void privilege_plan(privilege_try_fn *try, void *context, struct privilege_plan *ret_plan)
{
    struct privilege_plan plan = {.level = PRIVILEGE_KEPT};
    bool is_root = geteuid() == 0;
    if (is_root) {
        find_user(&plan);
    }
    if (is_root && !plan.has_user) {
        errmsg_set(&plan.why, "there is no user " PRIVILEGE_USER
                              " (useradd --system --user-group " PRIVILEGE_USER " makes one)");
    } else if (is_root) {
        choose_level(try, context, &plan);
    }
    *ret_plan = plan;
}
