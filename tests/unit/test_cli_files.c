/* Where files of tasks lie, as GNU parallel has it, and how what comes back is written. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/file_path.h"
#include "cli/file_write.h"
#include "tests/lib/runner.h"

/* parallel(1), --transferfile and --return: what stands before "/./" is here only. What it would
 * put at an absolute path is refused: a task has no such folders. */
static const struct {
    const char *text;
    const char *base; /* NULL: refused, and err holds: */
    const char *path;
} paths[] = {
    {"tmp/foo/bar", ".", "tmp/foo/bar"},
    {"/tmp/./foo/bar", "/tmp", "foo/bar"},
    {"tmp/./foo/bar", "tmp", "foo/bar"},
    {"out/./in/file.out", "out", "in/file.out"},
    {"../up/./file", "../up", "file"},
    {"/./etc", "/", "etc"},
    {"./foo", ".", "foo"},
    {"foo/", ".", "foo"},
    {"foo//bar/.", ".", "foo/bar"},
    {"a/./b/./c", "a", "b/c"},
    {".hidden", ".", ".hidden"},
    {"a..b/c..", ".", "a..b/c.."},
    {"/tmp/foo/bar", NULL, "a task has no such folder"},
    {"..", NULL, "leads out"},
    {"../foo", NULL, "leads out"},
    {"foo/../bar", NULL, "leads out"},
    {"tmp/./../bar", NULL, "leads out"},
    {"", NULL, "is empty"},
    {".", NULL, "names no file"},
    {"tmp/./", NULL, "names no file"},
};

START_TEST(paths_are_here_and_there_as_parallel_has_them)
{
    struct cmd_file_path path;
    struct errmsg err;
    int r = cmd_file_path_parse("--return", slice_str(paths[_i].text), &path, &err);
    if (paths[_i].base == NULL) {
        ck_assert_int_eq(r, -EINVAL);
        ck_assert_msg(strstr(err.text, paths[_i].path) != NULL, "%s", err.text);
        return;
    }
    ck_assert_msg(r == 0, "%s: %s", paths[_i].text, err.text);
    ck_assert_str_eq(path.base, paths[_i].base);
    ck_assert_str_eq(path.path, paths[_i].path);
}
END_TEST

START_TEST(paths_that_cannot_travel_are_refused)
{
    struct cmd_file_path path;
    struct errmsg err;
    char longest[WIRE_PATH_BYTES_MAX + 2];
    memset(longest, 'x', sizeof(longest));
    ck_assert_int_eq(
        cmd_file_path_parse("--return", slice_of(longest, WIRE_PATH_BYTES_MAX), &path, &err), 0);
    ck_assert_int_eq(
        cmd_file_path_parse("--return", slice_of(longest, WIRE_PATH_BYTES_MAX + 1), &path, &err),
        -EINVAL);
    ck_assert_int_eq(cmd_file_path_parse("--return", slice_of("a\0b", 3), &path, &err), -EINVAL);
}
END_TEST

START_TEST(a_workdir_is_below_the_scratch)
{
    static const char *const good[][2] = {
        {".", ""}, {"...", ""}, {"a", "a"}, {"./a//b/", "a/b"}, {"a/./b", "a/b"}};
    static const char *const bad[] = {"/tmp", "..", "a/../..", ""};
    char dir[WIRE_PATH_BYTES_MAX + 1];
    struct errmsg err;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        ck_assert_int_eq(cmd_workdir_parse(slice_str(good[i][0]), dir, &err), 0);
        ck_assert_str_eq(dir, good[i][1]);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        ck_assert_int_eq(cmd_workdir_parse(slice_str(bad[i]), dir, &err), -EINVAL);
    }
}
END_TEST

static char base[64];

static void set_up(void)
{
    snprintf(base, sizeof(base), "/tmp/test-files-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(base));
    ck_assert_int_eq(chdir(base), 0);
}

static void tear_down(void)
{
    char line[128];
    ck_assert_int_eq(chdir("/"), 0);
    snprintf(line, sizeof(line), "%s/a/b/f", base);
    const char *const files[] = {"a/b/f", "a/b", "a",        "link",   "file",
                                 "out/x", "out", "new/er/f", "new/er", "new"};
    for (size_t i = 0; i < ARRAY_LEN(files); i++) {
        snprintf(line, sizeof(line), "%s/%s", base, files[i]);
        IGNORE(remove(line)); /* most tests make few of them */
    }
    ck_assert_msg(rmdir(base) == 0, "something was left in %s", base);
}

static int put(const char *to, const char *path, const char *bytes, uint32_t mode)
{
    struct errmsg err;
    const struct cmd_content content = {.inlined = slice_str(bytes), .fd = -1};
    return cmd_file_write(to, slice_str(path), mode, &content, &err);
}

static void assert_file(const char *path, const char *bytes, mode_t mode)
{
    char found[64] = "";
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_ge(read(fd, found, sizeof(found) - 1), 0);
    ck_assert_int_eq(fstat(fd, &st), 0);
    ck_assert_str_eq(found, bytes);
    ck_assert_uint_eq(st.st_mode & 07777, mode);
    close(fd);
}

START_TEST(a_file_comes_whole_with_its_mode_and_the_folders_on_the_way)
{
    ck_assert_int_eq(put(".", "a/b/f", "new", 0640), 0);
    assert_file("a/b/f", "new", 0640);
    ck_assert_int_eq(put(".", "a/b/f", "newer", 0755), 0); /* in the place of the old one */
    assert_file("a/b/f", "newer", 0755);
    ck_assert_int_eq(put("new/er", "f", "made", 07777), 0); /* the folder too; no setuid */
    assert_file("new/er/f", "made", 0777);
}
END_TEST

START_TEST(no_link_below_the_folder_is_followed)
{
    ck_assert_int_eq(mkdir("out", 0700), 0);
    ck_assert_int_eq(symlink("out", "link"), 0);
    ck_assert_int_eq(put(".", "link/x", "bad", 0600), -ELOOP);
    ck_assert_int_ne(access("out/x", F_OK), 0);
    ck_assert_int_eq(put("link", "x", "the user's own", 0600), 0); /* who named the link */
    assert_file("out/x", "the user's own", 0600);
    ck_assert_int_eq(put(".", "link", "in its place", 0600), 0); /* what it points to stays */
    assert_file("link", "in its place", 0600);
    assert_file("out/x", "the user's own", 0600);
}
END_TEST

START_TEST(what_is_in_the_way_stays_and_nothing_else_is_left)
{
    ck_assert_int_eq(put(".", "file", "old", 0600), 0);
    ck_assert_int_eq(put(".", "file/x", "bad", 0600), -ENOTDIR);
    ck_assert_int_eq(mkdir("a", 0700), 0);
    ck_assert_int_eq(put(".", "a", "bad", 0600), -EISDIR);
    /* One that is shorter than was said is not taken for it. */
    int fd = open("file", O_RDONLY | O_CLOEXEC);
    struct errmsg err;
    const struct cmd_content content = {.fd = fd, .bytes = 4};
    ck_assert_int_eq(cmd_file_write(".", slice_str("file"), 0600, &content, &err), -EIO);
    close(fd);
    assert_file("file", "old", 0600);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("cli_files");
    TCase *tc = tcase_create("paths");
    tcase_add_loop_test(tc, paths_are_here_and_there_as_parallel_has_them, 0, ARRAY_LEN(paths));
    tcase_add_test(tc, paths_that_cannot_travel_are_refused);
    tcase_add_test(tc, a_workdir_is_below_the_scratch);
    suite_add_tcase(suite, tc);
    tc = tcase_create("writing");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_file_comes_whole_with_its_mode_and_the_folders_on_the_way);
    tcase_add_test(tc, no_link_below_the_folder_is_followed);
    tcase_add_test(tc, what_is_in_the_way_stays_and_nothing_else_is_left);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
