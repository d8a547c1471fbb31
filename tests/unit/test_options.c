#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mesh/options.h"
#include "tests/lib/runner.h"

static struct meshd_options options;
static struct errmsg err;

/* Up to two arguments; NULL ends. */
static int parse(const char *a, const char *b)
{
    char *argv[4] = {strdup("meshd"), a != NULL ? strdup(a) : NULL,
                     a != NULL && b != NULL ? strdup(b) : NULL, NULL};
    int argc = 1 + (a != NULL) + (a != NULL && b != NULL);
    int rc = meshd_options_parse(argc, argv, &options, &err);
    for (int i = 0; i < argc; i++) {
        free(argv[i]); /* only numbers and flags of `options` are looked at after this */
    }
    return rc;
}

START_TEST(without_options_the_defaults_stand)
{
    ck_assert_int_eq(parse(NULL, NULL), 0);
    ck_assert(!options.has_cores && !options.has_port && !options.is_sandbox_off);
    ck_assert_uint_eq(options.port, MESHD_PORT_DEFAULT);
    ck_assert_uint_eq(options.dead_after_ns, 3000000000u);
    ck_assert_uint_eq(options.exit_idle_ns, 0);
    ck_assert_int_eq(options.log_level, CORE_LOG_INFO);
    ck_assert_int_eq(options.discovery, MESHD_DISCOVERY_AUTO);
}
END_TEST

static const struct {
    const char *a, *b;
} wrong[] = {
    {"--cores", "-1"},
    {"--cores", "two"},
    {"--cores", "4097"},
    {"--cores", ""},
    {"--cores", "1.5"},
    {"--cores", NULL},
    {"--core", "1"},
    {"-c", "1"},
    {"stray", NULL},
    {"--listen", "65536"},
    {"--listen", "host:1"},
    {"--listen", "::1:1"},
    {"--peer", "host"},
    {"--peer", "host:0"},
    {"--peer", ":1"},
    {"--discovery", "on"},
    {"--interface", "nope-77"},
    {"--sandbox", "no"},
    {"--bind", "relative"},
    {"--bind-rw", ""},
    {"--dead-after", "0.5"},
    {"--dead-after", "2h"},
    {"--exit-idle", "0"},
    {"--log-level", "loud"},
    {"--log-json=yes", NULL},
    {"--state", ""},
    {"--name", ""},
};

START_TEST(what_makes_no_sense_is_refused_naming_the_option)
{
    ck_assert_int_eq(parse(wrong[_i].a, wrong[_i].b), -EINVAL);
    char option[32] = {0};
    strncpy(option, wrong[_i].a, strcspn(wrong[_i].a, "="));
    ck_assert_msg(strstr(err.text, option) != NULL, "%s", err.text);
    ck_assert_ptr_null(strchr(err.text, '\n'));
}
END_TEST

START_TEST(values_follow_or_stand_behind_an_equals_sign)
{
    ck_assert_int_eq(parse("--cores=3", NULL), 0);
    ck_assert_uint_eq(options.cores, 3);
    ck_assert_int_eq(parse("--cores", "0"), 0);
    ck_assert(options.has_cores);
    ck_assert_uint_eq(options.cores, 0);
    ck_assert_int_eq(parse("--dead-after", "1.5"), 0);
    ck_assert_uint_eq(options.dead_after_ns, 1500000000u);
    ck_assert_int_eq(parse("--listen", "[::1]:7000"), 0);
    ck_assert_str_eq(options.listen_host, "::1");
    ck_assert_uint_eq(options.port, 7000);
    ck_assert_int_eq(parse("--interface", "lo"), 0);
    ck_assert_uint_eq(options.n_interfaces, 1);
}
END_TEST

START_TEST(the_help_names_every_option)
{
    static const char *const names[] = {
        "--cores",     "--name",     "--listen",    "--peer",    "--discovery", "--interface",
        "--state",     "--socket",   "--sandbox",   "--bind",    "--bind-rw",   "--dead-after",
        "--log-level", "--log-json", "--exit-idle", "--version", "--help"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        ck_assert_msg(strstr(meshd_options_help(), names[i]) != NULL, "%s", names[i]);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("options");
    TCase *tcase = tcase_create("options");
    tcase_add_test(tcase, without_options_the_defaults_stand);
    tcase_add_loop_test(tcase, what_makes_no_sense_is_refused_naming_the_option, 0,
                        (int)ARRAY_LEN(wrong));
    tcase_add_test(tcase, values_follow_or_stand_behind_an_equals_sign);
    tcase_add_test(tcase, the_help_names_every_option);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
