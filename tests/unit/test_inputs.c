#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/inputs.h"
#include "tests/lib/runner.h"
#include "wire/base/buf.h"
#include "wire/limits.h"

/* A file that has a path and vanishes with its descriptor. */
static int file_with(const void *bytes, size_t n, char path[static 64])
{
    int fd = memfd_create("input", 0);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq((int)write(fd, bytes, n), (int)n);
    snprintf(path, 64, "/proc/self/fd/%d", fd);
    return fd;
}

/* All combinations as "a 1|a 2|". */
static const char *all(struct cmd_inputs *inputs, int expected_end)
{
    static char line[4096];
    struct errmsg err;
    struct buf buf;
    buf_init(&buf, sizeof(line) - 1);
    ck_assert_int_eq(cmd_inputs_open(inputs, &err), 0);
    const struct slice *values;
    int r;
    uint64_t n = 0;
    uint64_t total = 0;
    bool has_total = cmd_inputs_total(inputs, &total);
    for (; (r = cmd_inputs_next(inputs, &values, &err)) == 0; n++) {
        for (unsigned i = 0; i < cmd_inputs_n_sources(inputs); i++) {
            buf_append_str(&buf, i > 0 ? " " : "");
            buf_append_slice(&buf, values[i]);
        }
        buf_append_u8(&buf, '|');
    }
    ck_assert_int_eq(r, expected_end);
    if (has_total) {
        ck_assert_uint_eq(total, n);
    }
    snprintf(line, sizeof(line), "%s", buf_cstr(&buf));
    buf_done(&buf);
    return line;
}

static char *words_ab[] = {(char[]){"a"}, (char[]){"b"}};
static char *words_12[] = {(char[]){"1"}, (char[]){"2"}, (char[]){"3"}};
static char *words_xy[] = {(char[]){"x"}, (char[]){"y"}};

START_TEST(the_last_source_changes_fastest)
{
    struct errmsg err;
    struct cmd_inputs *inputs = cmd_inputs_new('\n');
    ck_assert_int_eq(cmd_inputs_add_words(inputs, words_ab, 2, false, &err), 0);
    ck_assert_int_eq(cmd_inputs_add_words(inputs, words_12, 3, false, &err), 0);
    ck_assert_int_eq(cmd_inputs_add_words(inputs, words_xy, 2, false, &err), 0);
    ck_assert_str_eq(all(inputs, -ENODATA), "a 1 x|a 1 y|a 2 x|a 2 y|a 3 x|a 3 y|"
                                            "b 1 x|b 1 y|b 2 x|b 2 y|b 3 x|b 3 y|");
    cmd_inputs_free(inputs);
}
END_TEST

START_TEST(linked_sources_move_together_and_the_shortest_ends_them)
{
    struct errmsg err;
    struct cmd_inputs *inputs = cmd_inputs_new('\n');
    ck_assert_int_eq(cmd_inputs_add_words(inputs, words_ab, 2, false, &err), 0);
    ck_assert_int_eq(cmd_inputs_add_words(inputs, words_12, 3, true, &err), 0);
    ck_assert_int_eq(cmd_inputs_add_words(inputs, words_xy, 2, false, &err), 0);
    ck_assert_str_eq(all(inputs, -ENODATA), "a 1 x|a 1 y|b 2 x|b 2 y|");
    cmd_inputs_free(inputs);
    inputs = cmd_inputs_new('\n');
    ck_assert_int_eq(cmd_inputs_add_words(inputs, words_12, 3, true, &err), -EINVAL);
    cmd_inputs_free(inputs);
}
END_TEST

START_TEST(an_empty_source_means_no_task)
{
    struct errmsg err;
    for (int i = 0; i < 2; i++) {
        struct cmd_inputs *inputs = cmd_inputs_new('\n');
        ck_assert_int_eq(cmd_inputs_add_words(inputs, words_ab, i == 0 ? 0 : 2, false, &err), 0);
        ck_assert_int_eq(cmd_inputs_add_words(inputs, words_12, i == 0 ? 3 : 0, false, &err), 0);
        ck_assert_str_eq(all(inputs, -ENODATA), "");
        cmd_inputs_free(inputs);
    }
}
END_TEST

static const struct {
    const char *bytes;
    size_t n;
    char separator;
    const char *all;
} files[] = {
    {"a\n\nb", 4, '\n', "a||b|"},
    {"a\nb\n", 4, '\n', "a|b|"},
    {"", 0, '\n', ""},
    {"\n", 1, '\n', "|"},
    {"a b \n", 5, '\n', "a b |"},
    {"a\r\n", 3, '\n', "a\r|"},
    {"a\0b\n\0c", 6, '\0', "a|b\n|c|"},
};

START_TEST(files_are_read_line_by_line_as_parallel_does)
{
    struct errmsg err;
    char path[64];
    int fd = file_with(files[_i].bytes, files[_i].n, path);
    struct cmd_inputs *inputs = cmd_inputs_new(files[_i].separator);
    ck_assert_int_eq(cmd_inputs_add_file(inputs, path, false, &err), 0);
    ck_assert_str_eq(all(inputs, -ENODATA), files[_i].all);
    cmd_inputs_free(inputs);
    /* As a later source, which is read whole. */
    inputs = cmd_inputs_new(files[_i].separator);
    ck_assert_int_eq(cmd_inputs_add_words(inputs, words_ab, 1, false, &err), 0);
    ck_assert_int_eq(cmd_inputs_add_file(inputs, path, true, &err), 0);
    struct cmd_inputs *later = cmd_inputs_new(files[_i].separator);
    ck_assert_int_eq(cmd_inputs_add_words(later, words_ab, 2, false, &err), 0);
    ck_assert_int_eq(cmd_inputs_add_file(later, path, false, &err), 0);
    ck_assert_int_eq(cmd_inputs_open(later, &err), 0);
    uint64_t total;
    ck_assert(cmd_inputs_total(later, &total));
    uint64_t n = 0;
    const struct slice *values;
    while (cmd_inputs_next(later, &values, &err) == 0) {
        n++;
    }
    ck_assert_uint_eq(n, total);
    cmd_inputs_free(later);
    cmd_inputs_free(inputs);
    close(fd);
}
END_TEST

START_TEST(a_line_longer_than_one_argument_is_refused_before_anything_runs)
{
    struct errmsg err;
    char path[64];
    size_t n = 1u << 20;
    char *bytes = malloc(n);
    memset(bytes, 'x', n);
    memcpy(bytes, "one\ntwo\n", 8);
    int fd = file_with(bytes, n, path);
    struct cmd_inputs *inputs = cmd_inputs_new('\n');
    ck_assert_int_eq(cmd_inputs_add_file(inputs, path, false, &err), 0);
    ck_assert_int_eq(cmd_inputs_open(inputs, &err), -E2BIG);
    ck_assert_ptr_nonnull(strstr(err.text, "line 3"));
    ck_assert_ptr_nonnull(strstr(err.text, "131071"));
    ck_assert_ptr_nonnull(strstr(err.text, "MAX_ARG_STRLEN"));
    cmd_inputs_free(inputs);
    close(fd);
    /* The longest that is allowed. */
    memset(bytes, 'x', WIRE_ARG_BYTES_MAX - 1);
    fd = file_with(bytes, WIRE_ARG_BYTES_MAX - 1, path);
    inputs = cmd_inputs_new('\n');
    ck_assert_int_eq(cmd_inputs_add_file(inputs, path, false, &err), 0);
    ck_assert_int_eq(cmd_inputs_open(inputs, &err), 0);
    const struct slice *values;
    ck_assert_int_eq(cmd_inputs_next(inputs, &values, &err), 0);
    ck_assert_uint_eq(values[0].n, WIRE_ARG_BYTES_MAX - 1);
    cmd_inputs_free(inputs);
    close(fd);
    free(bytes);
}
END_TEST

START_TEST(a_nul_byte_in_a_line_is_refused)
{
    struct errmsg err;
    char path[64];
    int fd = file_with("ab\ncd\0ef\n", 9, path);
    struct cmd_inputs *inputs = cmd_inputs_new('\n');
    ck_assert_int_eq(cmd_inputs_add_file(inputs, path, false, &err), 0);
    ck_assert_int_eq(cmd_inputs_open(inputs, &err), -EINVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "line 2"));
    ck_assert_ptr_nonnull(strstr(err.text, "-0"));
    cmd_inputs_free(inputs);
    close(fd);
}
END_TEST

START_TEST(what_cannot_be_read_is_named)
{
    struct errmsg err;
    struct cmd_inputs *inputs = cmd_inputs_new('\n');
    ck_assert_int_eq(cmd_inputs_add_file(inputs, "/nonexistent/x", false, &err), -ENOENT);
    ck_assert_ptr_nonnull(strstr(err.text, "/nonexistent/x"));
    ck_assert_int_eq(cmd_inputs_add_file(inputs, "/", false, &err), -EISDIR);
    cmd_inputs_free(inputs);
}
END_TEST

START_TEST(a_pipe_is_not_waited_for)
{
    struct errmsg err;
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", ends[0]);
    struct cmd_inputs *inputs = cmd_inputs_new('\n');
    ck_assert_int_eq(cmd_inputs_add_file(inputs, path, false, &err), 0);
    ck_assert_int_eq(cmd_inputs_add_words(inputs, words_12, 2, false, &err), 0);
    ck_assert_int_eq(cmd_inputs_open(inputs, &err), 0);
    uint64_t total;
    ck_assert(!cmd_inputs_total(inputs, &total));
    const struct slice *values;
    ck_assert_int_eq(cmd_inputs_next(inputs, &values, &err), -EAGAIN);
    ck_assert_int_ge(cmd_inputs_wait_fd(inputs), 0);
    ck_assert_int_eq((int)write(ends[1], "hel", 3), 3);
    ck_assert_int_eq(cmd_inputs_next(inputs, &values, &err), -EAGAIN);
    ck_assert_int_eq((int)write(ends[1], "lo\nx", 4), 4);
    ck_assert_int_eq(cmd_inputs_next(inputs, &values, &err), 0);
    ck_assert(slice_eq_str(values[0], "hello"));
    ck_assert(slice_eq_str(values[1], "1"));
    ck_assert_int_eq(cmd_inputs_next(inputs, &values, &err), 0);
    ck_assert(slice_eq_str(values[0], "hello"));
    ck_assert(slice_eq_str(values[1], "2"));
    ck_assert_int_eq(cmd_inputs_next(inputs, &values, &err), -EAGAIN);
    close(ends[1]);
    ck_assert_int_eq(cmd_inputs_next(inputs, &values, &err), 0);
    ck_assert(slice_eq_str(values[0], "x"));
    ck_assert_int_eq(cmd_inputs_next(inputs, &values, &err), 0);
    ck_assert_int_eq(cmd_inputs_next(inputs, &values, &err), -ENODATA);
    ck_assert_int_eq(cmd_inputs_next(inputs, &values, &err), -ENODATA);
    cmd_inputs_free(inputs);
    close(ends[0]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("inputs");
    TCase *tc = tcase_create("inputs");
    tcase_add_test(tc, the_last_source_changes_fastest);
    tcase_add_test(tc, linked_sources_move_together_and_the_shortest_ends_them);
    tcase_add_test(tc, an_empty_source_means_no_task);
    tcase_add_loop_test(tc, files_are_read_line_by_line_as_parallel_does, 0, (int)ARRAY_LEN(files));
    tcase_add_test(tc, a_line_longer_than_one_argument_is_refused_before_anything_runs);
    tcase_add_test(tc, a_nul_byte_in_a_line_is_refused);
    tcase_add_test(tc, what_cannot_be_read_is_named);
    tcase_add_test(tc, a_pipe_is_not_waited_for);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
