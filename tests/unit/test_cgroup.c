/* A made-up /proc and control group tree; the real one is in tests/lab/test_service.sh. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mesh/cgroup.h"
#include "tests/lib/runner.h"

#define OTHER_ID 4242

static char root[64];
/* Whom the group is for: as root another, who else would have nothing to give. */
static uid_t uid;
static gid_t gid;

static void path_of(const char *name, char to[256])
{
    ck_assert_int_lt(snprintf(to, 256, "%s/%s", root, name), 256);
}

static void make_dir(const char *name)
{
    char path[256];
    path_of(name, path);
    ck_assert_int_eq(mkdir(path, 0755), 0);
}

static void write_text(const char *name, const char *text)
{
    char path[256];
    path_of(name, path);
    FILE *file = fopen(path, "we");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

static void check_text(const char *name, const char *wanted)
{
    char path[256];
    char text[256] = "";
    path_of(name, path);
    FILE *file = fopen(path, "re");
    ck_assert_ptr_nonnull(file);
    size_t n = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[n] = '\0';
    ck_assert_str_eq(text, wanted);
}

static void give_group(const char *name)
{
    char path[256];
    path_of(name, path);
    ck_assert_int_eq(chown(path, uid, gid), 0);
}

/* A machine with a unit whose only process is this one. The kernel's files are plain ones here, and
 * the daemon's group has its file before it is made. */
static void set_up(void)
{
    char self[32];
    snprintf(root, sizeof(root), "/tmp/mesh-cgroup-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(root));
    uid = geteuid() == 0 ? OTHER_ID : geteuid();
    gid = geteuid() == 0 ? OTHER_ID : getegid();
    static const char *const dirs[] = {"proc",        "proc/self",          "run",
                                       "run/systemd", "run/systemd/system", "cg",
                                       "cg/unit",     "cg/unit/daemon"};
    for (size_t i = 0; i < ARRAY_LEN(dirs); i++) {
        make_dir(dirs[i]);
    }
    write_text("proc/self/cgroup", "2:memory:/elsewhere\n0::/unit\n");
    write_text("proc/self/mountinfo",
               "20 1 0:19 / /proc rw - proc proc rw\n30 1 0:26 / /cg rw - cgroup2 cgroup2 rw\n");
    snprintf(self, sizeof(self), "%ld\n", (long)getpid());
    write_text("cg/unit/cgroup.procs", self);
    write_text("cg/unit/cgroup.controllers", "cpu memory\n");
    write_text("cg/unit/cgroup.subtree_control", "");
    write_text("cg/unit/daemon/cgroup.procs", "");
}

static void tear_down(void)
{
    pid_t rm = fork();
    if (rm == 0) {
        execlp("rm", "rm", "-rf", root, NULL);
        _exit(127);
    }
    waitpid(rm, NULL, 0);
}

START_TEST(a_group_that_was_given_is_divided)
{
    char base[CGROUP_PATH_BYTES];
    char wanted[256];
    struct errmsg err;
    struct stat st;
    give_group("cg/unit");
    ck_assert_msg(cgroup_prepare(root, uid, gid, base, &err) == 0, "%s", err.text);
    path_of("cg/unit", wanted);
    ck_assert_str_eq(base, wanted);
    check_text("cg/unit/daemon/cgroup.procs", "0");
    check_text("cg/unit/cgroup.subtree_control", "+memory");
    path_of("cg/unit/cgroup.procs", wanted);
    ck_assert_int_eq(stat(wanted, &st), 0);
    ck_assert_uint_eq(st.st_uid, uid);
}
END_TEST

START_TEST(one_that_others_are_in_is_left_alone)
{
    char base[CGROUP_PATH_BYTES] = "untouched";
    char others[64];
    struct errmsg err;
    give_group("cg/unit");
    snprintf(others, sizeof(others), "1\n%ld\n", (long)getpid());
    write_text("cg/unit/cgroup.procs", others);
    ck_assert_int_eq(cgroup_prepare(root, uid, gid, base, &err), -EBUSY);
    ck_assert_str_eq(base, "untouched");
    check_text("cg/unit/daemon/cgroup.procs", "");
    check_text("cg/unit/cgroup.subtree_control", "");
}
END_TEST

/* Where systemd divides, a group is not ours for being writable. */
START_TEST(one_that_was_not_given_is_left_alone)
{
    char base[CGROUP_PATH_BYTES];
    struct errmsg err;
    uid_t other = geteuid() == 0 ? uid : uid + 1; /* it is ours, and to be another's */
    ck_assert_int_eq(cgroup_prepare(root, other, gid, base, &err), -EPERM);
    check_text("cg/unit/daemon/cgroup.procs", "");
}
END_TEST

START_TEST(without_version_2_there_is_none)
{
    char base[CGROUP_PATH_BYTES];
    struct errmsg err;
    write_text("proc/self/cgroup", "2:memory:/elsewhere\n");
    ck_assert_int_eq(cgroup_prepare(root, uid, gid, base, &err), -ENOENT);
    ck_assert_ptr_nonnull(strstr(err.text, "no control group for tasks"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cgroup");
    TCase *tcase = tcase_create("cgroup");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, a_group_that_was_given_is_divided);
    tcase_add_test(tcase, one_that_others_are_in_is_left_alone);
    tcase_add_test(tcase, one_that_was_not_given_is_left_alone);
    tcase_add_test(tcase, without_version_2_there_is_none);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
