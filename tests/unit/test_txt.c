#include <errno.h>

#include "discovery/txt.h"
#include "tests/lib/runner.h"

#define KEY_STRING "id=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static int parse(const char *const *texts, size_t n, struct disc_txt *ret_txt)
{
    struct slice strings[TXT_STRINGS_MAX];
    for (size_t i = 0; i < n; i++) {
        strings[i] = slice_str(texts[i]);
    }
    return disc_txt_parse(strings, n, ret_txt);
}

START_TEST(our_own_record_reads_back)
{
    struct disc_txt txt = {.version = 1, .cores = 16, .arch = "x86_64", .os = "linux", .mesh = "t"};
    for (unsigned i = 0; i < sizeof(txt.key); i++) {
        txt.key[i] = (uint8_t)(i * 7);
    }
    char strings[TXT_FORMAT_STRINGS][TXT_STRING_BYTES_MAX + 1];
    disc_txt_format(&txt, strings);
    const char *texts[TXT_FORMAT_STRINGS];
    for (unsigned i = 0; i < TXT_FORMAT_STRINGS; i++) {
        texts[i] = strings[i];
    }
    struct disc_txt back;
    ck_assert_int_eq(parse(texts, TXT_FORMAT_STRINGS, &back), 0);
    ck_assert_mem_eq(&back, &txt, sizeof(txt));
}
END_TEST

START_TEST(unknown_keys_are_skipped_and_the_first_of_two_counts)
{
    const char *texts[] = {"V=1", "flag", "later=x", KEY_STRING, "cores=8", "cores=9"};
    struct disc_txt txt;
    ck_assert_int_eq(parse(texts, ARRAY_LEN(texts), &txt), 0);
    ck_assert_uint_eq(txt.cores, 8);
    ck_assert_uint_eq(txt.key[31], 0x1f);
}
END_TEST

static const char *const bad_records[][3] = {
    {"v=1", NULL},
    {KEY_STRING, NULL},
    {"v=", KEY_STRING, NULL},
    {"v=-1", KEY_STRING, NULL},
    {"v=1x", KEY_STRING, NULL},
    {"v=65536", KEY_STRING, NULL},
    {"v=1", KEY_STRING "0", NULL},
    {"v=1", "id=zz0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", NULL},
    {"v=1", "id=00", NULL},
};

START_TEST(malformed_record_is_refused)
{
    size_t n = 0;
    while (n < 3 && bad_records[_i][n] != NULL) {
        n++;
    }
    struct disc_txt txt;
    ck_assert_int_eq(parse(bad_records[_i], n, &txt), -EINVAL);
}
END_TEST

static const char *const bad_values[] = {
    "cores=4097",
    "cores=99999999999999999999",
    "arch=12345678901234567890123456789012",
    "os=\xff\xfe",
    "mesh=12345678901234567890123456789012",
};

START_TEST(value_beyond_its_limit_is_refused)
{
    const char *texts[] = {"v=1", KEY_STRING, bad_values[_i]};
    struct disc_txt txt;
    ck_assert_int_eq(parse(texts, 3, &txt), -EINVAL);
}
END_TEST

START_TEST(number_with_a_nul_inside_is_refused)
{
    struct slice strings[] = {slice_str("v=1"), slice_str(KEY_STRING),
                              slice_of("cores=1\0", 9 - 1)};
    strings[2].n = 8;
    struct disc_txt txt;
    ck_assert_int_eq(disc_txt_parse(strings, 3, &txt), -EINVAL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("txt");
    TCase *tc = tcase_create("txt");
    tcase_add_test(tc, our_own_record_reads_back);
    tcase_add_test(tc, unknown_keys_are_skipped_and_the_first_of_two_counts);
    tcase_add_loop_test(tc, malformed_record_is_refused, 0, ARRAY_LEN(bad_records));
    tcase_add_loop_test(tc, value_beyond_its_limit_is_refused, 0, ARRAY_LEN(bad_values));
    tcase_add_test(tc, number_with_a_nul_inside_is_refused);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
