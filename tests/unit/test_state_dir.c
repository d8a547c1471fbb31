#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mesh/state_dir.h"
#include "tests/lib/runner.h"

static char folder[64];
static char path[128];

static void make_folder(void)
{
    snprintf(folder, sizeof(folder), "/tmp/mesh-state-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/a/b", folder);
}

static void remove_folder(void)
{
    static const char *const names[] = {"lock", "incarnation", "peers"};
    char one[256];
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(one, sizeof(one), "%s/%s", path, names[i]);
        unlink(one);
    }
    snprintf(one, sizeof(one), "%s/a", folder);
    chmod(path, 0700);
    rmdir(path);
    rmdir(one);
    ck_assert_int_eq(rmdir(folder), 0);
}

START_TEST(missing_folders_are_made_for_the_owner_alone)
{
    struct meshd_state state;
    struct errmsg err;
    struct stat st;
    ck_assert_int_eq(meshd_state_open(path, &state, &err), 0);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0700);
    meshd_state_close(&state);
}
END_TEST

START_TEST(each_start_raises_the_incarnation)
{
    struct errmsg err;
    for (uint32_t i = 1; i <= 3; i++) {
        struct meshd_state state;
        ck_assert_int_eq(meshd_state_open(path, &state, &err), 0);
        ck_assert_uint_eq(state.incarnation, i);
        meshd_state_close(&state);
    }
}
END_TEST

START_TEST(an_incarnation_that_is_no_number_is_refused)
{
    struct meshd_state state;
    struct errmsg err;
    ck_assert_int_eq(meshd_state_open(path, &state, &err), 0);
    ck_assert_int_eq(
        meshd_file_write_whole(state.dir_fd, "incarnation", slice_str("seven\n"), &err), 0);
    meshd_state_close(&state);
    ck_assert_int_eq(meshd_state_open(path, &state, &err), -EINVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "incarnation"));
}
END_TEST

START_TEST(a_second_daemon_on_the_same_state_is_refused)
{
    struct meshd_state first, second;
    struct errmsg err;
    ck_assert_int_eq(meshd_state_open(path, &first, &err), 0);
    ck_assert_int_eq(meshd_state_open(path, &second, &err), -EBUSY);
    ck_assert_ptr_nonnull(strstr(err.text, "--state"));
    char pid[32];
    snprintf(pid, sizeof(pid), "(process %ld)", (long)getpid());
    ck_assert_ptr_nonnull(strstr(err.text, pid));
    meshd_state_close(&first);
    ck_assert_int_eq(meshd_state_open(path, &second, &err), 0);
    ck_assert_uint_eq(second.incarnation, 2); /* the refused one did not count */
    meshd_state_close(&second);
}
END_TEST

START_TEST(a_folder_that_others_can_write_is_refused)
{
    struct meshd_state state;
    struct errmsg err;
    ck_assert_int_eq(meshd_state_open(path, &state, &err), 0);
    meshd_state_close(&state);
    ck_assert_int_eq(chmod(path, 0770), 0);
    ck_assert_int_eq(meshd_state_open(path, &state, &err), -EPERM);
}
END_TEST

START_TEST(a_file_in_the_way_of_the_folder_is_said)
{
    struct meshd_state state;
    struct errmsg err;
    char file[160];
    snprintf(file, sizeof(file), "%s/file", folder);
    int fd = open(file, O_CREAT | O_WRONLY, 0600);
    ck_assert_int_ge(fd, 0);
    close(fd);
    char below[192];
    snprintf(below, sizeof(below), "%s/state", file);
    ck_assert_int_eq(meshd_state_open(below, &state, &err), -ENOTDIR);
    ck_assert_ptr_nonnull(strstr(err.text, below));
    unlink(file);
}
END_TEST

START_TEST(a_whole_file_replaces_the_old_one_and_is_private)
{
    struct meshd_state state;
    struct errmsg err;
    ck_assert_int_eq(meshd_state_open(path, &state, &err), 0);
    ck_assert_int_eq(meshd_file_write_whole(state.dir_fd, "peers", slice_str("long text"), &err),
                     0);
    ck_assert_int_eq(meshd_file_write_whole(state.dir_fd, "peers", slice_str("new"), &err), 0);
    struct stat st;
    ck_assert_int_eq(fstatat(state.dir_fd, "peers", &st, 0), 0);
    ck_assert_int_eq(st.st_size, 3);
    ck_assert_uint_eq(st.st_mode & 0777, 0600);
    ck_assert_int_ne(faccessat(state.dir_fd, ".peers.new", F_OK, 0), 0);
    meshd_state_close(&state);
}
END_TEST

START_TEST(the_environment_chooses_the_path_in_the_documented_order)
{
    char found[MESHD_PATH_BYTES];
    struct errmsg err;
    setenv("MESH_STATE", "/m", 1);
    setenv("STATE_DIRECTORY", "/s1:/s2", 1);
    setenv("XDG_STATE_HOME", "/x", 1);
    ck_assert_int_eq(meshd_state_path("/option", found, &err), 0);
    ck_assert_str_eq(found, "/option");
    ck_assert_int_eq(meshd_state_path(NULL, found, &err), 0);
    ck_assert_str_eq(found, "/m");
    unsetenv("MESH_STATE");
    ck_assert_int_eq(meshd_state_path(NULL, found, &err), 0);
    ck_assert_str_eq(found, "/s1");
    setenv("STATE_DIRECTORY", "", 1);
    ck_assert_int_eq(meshd_state_path(NULL, found, &err), 0);
    ck_assert_str_eq(found, geteuid() == 0 ? "/var/lib/mesh" : "/x/mesh");
}
END_TEST

START_TEST(a_path_that_is_too_long_is_refused)
{
    static char longer[MESHD_PATH_BYTES + 16];
    char found[MESHD_PATH_BYTES];
    struct errmsg err;
    memset(longer, 'a', sizeof(longer) - 1);
    ck_assert_int_eq(meshd_state_path(longer, found, &err), -ENAMETOOLONG);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("state_dir");
    TCase *tcase = tcase_create("state_dir");
    tcase_add_checked_fixture(tcase, make_folder, remove_folder);
    tcase_add_test(tcase, missing_folders_are_made_for_the_owner_alone);
    tcase_add_test(tcase, each_start_raises_the_incarnation);
    tcase_add_test(tcase, an_incarnation_that_is_no_number_is_refused);
    tcase_add_test(tcase, a_second_daemon_on_the_same_state_is_refused);
    tcase_add_test(tcase, a_folder_that_others_can_write_is_refused);
    tcase_add_test(tcase, a_file_in_the_way_of_the_folder_is_said);
    tcase_add_test(tcase, a_whole_file_replaces_the_old_one_and_is_private);
    tcase_add_test(tcase, the_environment_chooses_the_path_in_the_documented_order);
    tcase_add_test(tcase, a_path_that_is_too_long_is_refused);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
