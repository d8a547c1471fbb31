#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/replace.h"
#include "tests/lib/runner.h"
#include "wire/limits.h"

#define N_MAX 8

/* Expands for these values (up to the first NULL) and gives the line back. */
static const char *expand(const char *const *words, enum cmd_form form, const char *const *values)
{
    static char line[4096];
    struct slice items[N_MAX];
    unsigned n_words = 0, n_values = 0;
    while (words[n_words] != NULL) {
        n_words++;
    }
    for (; values[n_values] != NULL; n_values++) {
        items[n_values] = slice_str(values[n_values]);
    }
    struct errmsg err;
    struct cmd_replace *replace;
    char *copies[N_MAX] = {NULL};
    for (unsigned i = 0; i < n_words; i++) {
        copies[i] = strdup(words[i]);
    }
    ck_assert_int_eq(cmd_replace_new(copies, n_words, form, n_values > 0, &replace, &err), 0);
    for (unsigned i = 0; i < n_words; i++) {
        free(copies[i]);
    }
    struct wire_slices argv;
    struct cmd_values given = {.items = items, .n = n_values, .sequence = 7};
    ck_assert_int_eq(cmd_replace_expand(replace, &given, &argv, &err), 0);
    struct buf buf;
    buf_init(&buf, sizeof(line) - 1);
    cmd_replace_line(replace, argv, &buf);
    snprintf(line, sizeof(line), "%s", buf_cstr(&buf));
    buf_done(&buf);
    cmd_replace_free(replace);
    return line;
}

/* What `parallel --dry-run` (20221122) prints for the same words and values. */
static const struct {
    const char *words[N_MAX];
    const char *values[N_MAX];
    const char *line;
} as_parallel[] = {
    {{"echo"}, {"a"}, "echo a"},
    {{"echo", "{}"}, {"a", "1"}, "echo a 1"},
    {{"echo", "x{}y"}, {"a", "1"}, "echo xa 1y"},
    {{"echo", "{2}"}, {"a"}, "echo ''"},
    {{"echo", "{#}"}, {"q"}, "echo 7"},
    {{"echo", "{.}", "{/}", "{//}", "{/.}"}, {"a/b.c/d.e.f"}, "echo a/b.c/d.e d.e.f a/b.c d.e"},
    {{"echo", "{.}", "{/}", "{//}", "{/.}"}, {"/x"}, "echo /x x / x"},
    {{"echo", "{.}", "{/}", "{//}", "{/.}"}, {"y/"}, "echo y/ '' . ''"},
    {{"echo", "{.}", "{/}", "{//}", "{/.}"}, {"/"}, "echo / '' / ''"},
    {{"echo", "{.}", "{/}", "{//}", "{/.}"}, {"a//b"}, "echo a//b b a b"},
    {{"echo", "{.}", "{/}", "{//}", "{/.}"}, {".bashrc"}, "echo '' .bashrc . ''"},
    {{"echo", "{.}", "{/}", "{//}", "{/.}"}, {"d/.x"}, "echo d/ .x d ''"},
    {{"echo", "{//}"}, {"//a"}, "echo /"},
    {{"echo", "{//}"}, {"/a/b/"}, "echo /a"},
    {{"echo", "{//}"}, {"a/b//"}, "echo a"},
    {{"echo", "{//}"}, {"//"}, "echo /"},
    {{"echo", "{//}"}, {"../x"}, "echo .."},
    {{"echo", "{.}"}, {"a."}, "echo a."},
    {{"echo", "{.}"}, {"a..b"}, "echo a."},
    {{"echo", "{1}", "{-1}", "{2.}", "{-2/}"}, {"a/b.c", "d/e.f"}, "echo a/b.c d/e.f d/e b.c"},
    {{"echo", "{.}", "{/}"}, {"a/b.c", "d/e.f"}, "echo a/b d/e b.c e.f"},
    {{"echo", "{+1}", "{1-}", "{ }", "{}"}, {"a"}, "echo '{+1}' '{1-}' '{ }' a"},
    {{"echo", "{{}}", "{{1}}", "{01}"}, {"a"}, "echo '{a}' '{a}' a"},
    {{"echo", "{--1}", "{.1}", "{..}", "{/1}", "{1//.}", "{///}"},
     {"a"},
     "echo '{--1}' '{.1}' '{..}' '{/1}' '{1//.}' '{///}' a"},
    {{"echo", "{}"}, {"it's"}, "echo 'it'\\''s'"},
};

START_TEST(argv_words_are_replaced_as_parallel_does)
{
    ck_assert_str_eq(expand(as_parallel[_i].words, CMD_FORM_ARGV, as_parallel[_i].values),
                     as_parallel[_i].line);
}
END_TEST

START_TEST(shell_lines_quote_the_values_and_nothing_else)
{
    const char *const values[] = {"x  y", NULL};
    const char *const words[] = {"echo", "a  b", "{}", ">", "{.}.x", NULL};
    ck_assert_str_eq(expand(words, CMD_FORM_SHELL, values), "echo a  b 'x  y' > 'x  y'.x");
    const char *const evil[] = {"$(rm -rf /); `id`", NULL};
    const char *const line[] = {"echo {} | wc", NULL};
    ck_assert_str_eq(expand(line, CMD_FORM_SHELL, evil), "echo '$(rm -rf /); `id`' | wc");
    const char *const two[] = {"a b", "c", NULL};
    ck_assert_str_eq(expand(line, CMD_FORM_SHELL, two), "echo 'a b' c | wc");
}
END_TEST

START_TEST(without_words_the_values_are_the_line)
{
    const char *const none[] = {NULL};
    const char *const values[] = {"echo a; echo b", NULL};
    ck_assert_str_eq(expand(none, CMD_FORM_LINES, values), "echo a; echo b");
}
END_TEST

START_TEST(without_inputs_nothing_is_appended)
{
    const char *const words[] = {"uname", "-n", NULL};
    const char *const none[] = {NULL};
    ck_assert_str_eq(expand(words, CMD_FORM_ARGV, none), "uname -n");
}
END_TEST

START_TEST(what_has_no_meaning_here_is_refused)
{
    static const char *const words[] = {"{%}", "a{= $_++ =}b"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        char word[32];
        char *const argv[] = {word};
        snprintf(word, sizeof(word), "%s", words[i]);
        struct cmd_replace *replace;
        struct errmsg err = {{0}};
        ck_assert_int_eq(cmd_replace_new(argv, 1, CMD_FORM_ARGV, true, &replace, &err), -EINVAL);
        ck_assert_int_gt((int)strlen(err.text), 10);
    }
}
END_TEST

static int expand_sized(size_t n_value, unsigned n_times, struct errmsg *err)
{
    char word[3] = "{}";
    char *words[32];
    ck_assert_uint_le(n_times, ARRAY_LEN(words));
    for (unsigned i = 0; i < n_times; i++) {
        words[i] = word;
    }
    char *value = calloc(n_value + 1, 1);
    memset(value, 'x', n_value);
    struct cmd_replace *replace;
    ck_assert_int_eq(cmd_replace_new(words, n_times, CMD_FORM_ARGV, true, &replace, err), 0);
    struct slice item = slice_of(value, n_value);
    struct cmd_values given = {.items = &item, .n = 1, .sequence = 1};
    struct wire_slices argv;
    int r = cmd_replace_expand(replace, &given, &argv, err);
    cmd_replace_free(replace);
    free(value);
    return r;
}

START_TEST(what_the_kernel_would_not_take_is_refused_by_its_limit)
{
    struct errmsg err;
    ck_assert_int_eq(expand_sized(WIRE_ARG_BYTES_MAX - 1, 1, &err), 0);
    ck_assert_int_eq(expand_sized(WIRE_ARG_BYTES_MAX, 1, &err), -E2BIG);
    ck_assert_ptr_nonnull(strstr(err.text, "131071"));
    ck_assert_ptr_nonnull(strstr(err.text, "MAX_ARG_STRLEN"));
    ck_assert_int_eq(expand_sized(WIRE_ARG_BYTES_MAX - 1, 8, &err), 0);
    ck_assert_int_eq(expand_sized(WIRE_ARG_BYTES_MAX - 1, 9, &err), -E2BIG);
    ck_assert_int_eq(expand_sized(0, 1, &err), -EINVAL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("replace");
    TCase *tc = tcase_create("replace");
    tcase_add_loop_test(tc, argv_words_are_replaced_as_parallel_does, 0,
                        (int)ARRAY_LEN(as_parallel));
    tcase_add_test(tc, shell_lines_quote_the_values_and_nothing_else);
    tcase_add_test(tc, without_words_the_values_are_the_line);
    tcase_add_test(tc, without_inputs_nothing_is_appended);
    tcase_add_test(tc, what_has_no_meaning_here_is_refused);
    tcase_add_test(tc, what_the_kernel_would_not_take_is_refused_by_its_limit);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
