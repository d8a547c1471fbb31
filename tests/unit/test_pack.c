#include <errno.h>
#include <stdlib.h>

#include "tests/lib/runner.h"
#include "wire/base/buf.h"
#include "wire/pack.h"
#include "wire/unpack.h"

#define BYTES(...) slice_of((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

static struct wire_unpack reader(struct slice s)
{
    struct wire_unpack from;
    wire_unpack_init(&from, s, 0);
    return from;
}

START_TEST(integers_take_their_shortest_form)
{
    static const struct {
        uint64_t v;
        size_t n;
    } cases[] = {
        {0, 1},     {127, 1},        {128, 2},        {255, 2},        {256, 3},       {65535, 3},
        {65536, 5}, {UINT32_MAX, 5}, {1ull << 32, 9}, {UINT64_MAX, 9}, {INT64_MAX, 9},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct buf buf;
        buf_init(&buf, 16);
        wire_pack_uint(&buf, cases[i].v);
        ck_assert_uint_eq(buf.n, cases[i].n);
        struct wire_unpack from = reader(buf_slice(&buf));
        ck_assert_uint_eq(wire_unpack_uint(&from, UINT64_MAX), cases[i].v);
        ck_assert_int_eq(wire_unpack_error(&from), 0);
        ck_assert_uint_eq(wire_unpack_rest(&from).n, 0);
        buf_done(&buf);
    }
}
END_TEST

START_TEST(integers_of_any_width_and_sign_bit_clear_are_read)
{
    struct slice fives[] = {
        BYTES(0x05),
        BYTES(0xcc, 5),
        BYTES(0xcd, 0, 5),
        BYTES(0xce, 0, 0, 0, 5),
        BYTES(0xcf, 0, 0, 0, 0, 0, 0, 0, 5),
        BYTES(0xd0, 5),
        BYTES(0xd1, 0, 5),
        BYTES(0xd2, 0, 0, 0, 5),
        BYTES(0xd3, 0, 0, 0, 0, 0, 0, 0, 5),
    };
    for (size_t i = 0; i < ARRAY_LEN(fives); i++) {
        struct wire_unpack from = reader(fives[i]);
        ck_assert_uint_eq(wire_unpack_uint(&from, 5), 5);
        ck_assert_int_eq(wire_unpack_error(&from), 0);
        from = reader(fives[i]);
        ck_assert_uint_eq(wire_unpack_uint(&from, 4), 0);
        ck_assert_int_eq(wire_unpack_error(&from), -EPROTO);
    }
}
END_TEST

START_TEST(what_is_no_natural_number_is_refused)
{
    struct slice others[] = {
        BYTES(0xff),                               /* -1 */
        BYTES(0xd0, 0x80),                         /* -128 */
        BYTES(0xd3, 0xff, 0, 0, 0, 0, 0, 0, 0),    /* negative, 64 bits */
        BYTES(0xca, 0x3f, 0x80, 0, 0),             /* 1.0 */
        BYTES(0xcb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0), /* 1.0 */
        BYTES(0xc0),
        BYTES(0xc2),
        BYTES(0xa1, '1'),
        BYTES(0x91, 1),
        BYTES(0xcd, 1),
        {0},
    };
    for (size_t i = 0; i < ARRAY_LEN(others); i++) {
        struct wire_unpack from = reader(others[i]);
        ck_assert_uint_eq(wire_unpack_uint(&from, UINT64_MAX), 0);
        ck_assert_int_eq(wire_unpack_error(&from), -EPROTO);
    }
}
END_TEST

START_TEST(texts_and_byte_strings_are_not_each_other)
{
    struct wire_unpack from = reader(BYTES(0xa1, 'x'));
    ck_assert(slice_eq_str(wire_unpack_str(&from, 1), "x"));
    from = reader(BYTES(0xd9, 1, 'x'));
    ck_assert(slice_eq_str(wire_unpack_str(&from, 1), "x"));
    from = reader(BYTES(0xa1, 'x'));
    ck_assert_uint_eq(wire_unpack_bin(&from, 9).n, 0);
    ck_assert_int_eq(wire_unpack_error(&from), -EPROTO);
    from = reader(BYTES(0xc4, 1, 'x'));
    ck_assert_uint_eq(wire_unpack_str(&from, 9).n, 0);
    ck_assert_int_eq(wire_unpack_error(&from), -EPROTO);
    from = reader(BYTES(0xc6, 0, 0, 0, 1, 'x'));
    ck_assert(slice_eq_str(wire_unpack_bin(&from, 1), "x"));
}
END_TEST

START_TEST(lengths_beyond_the_limit_or_the_bytes_are_refused)
{
    struct wire_unpack from = reader(BYTES(0xc4, 2, 'x', 'y'));
    ck_assert_uint_eq(wire_unpack_bin(&from, 1).n, 0);
    ck_assert_int_eq(wire_unpack_error(&from), -EPROTO);
    from = reader(BYTES(0xc6, 0xff, 0xff, 0xff, 0xff, 'x'));
    ck_assert_uint_eq(wire_unpack_bin(&from, SIZE_MAX).n, 0);
    ck_assert_int_eq(wire_unpack_error(&from), -EPROTO);
    uint8_t two[2] = {7, 7};
    from = reader(BYTES(0xc4, 1, 'x'));
    wire_unpack_fixed(&from, two, 2);
    ck_assert_int_eq(wire_unpack_error(&from), -EPROTO);
    ck_assert_uint_eq(two[0], 7);
}
END_TEST

START_TEST(counts_beyond_the_bytes_are_refused)
{
    struct wire_unpack from = reader(BYTES(0xdd, 0x0f, 0xff, 0xff, 0xff));
    ck_assert_uint_eq(wire_unpack_array_begin(&from, UINT32_MAX, 1), 0);
    ck_assert_int_eq(wire_unpack_error(&from), -EPROTO);
    from = reader(BYTES(0x93, 1, 2, 3));
    ck_assert_uint_eq(wire_unpack_array_begin(&from, 3, 2), 0);
    ck_assert_int_eq(wire_unpack_error(&from), -EPROTO);
    from = reader(BYTES(0x93, 1, 2, 3));
    ck_assert_uint_eq(wire_unpack_array_begin(&from, 2, 1), 0);
    ck_assert_int_eq(wire_unpack_error(&from), -EPROTO);
    from = reader(BYTES(0x93, 1, 2, 3));
    ck_assert_uint_eq(wire_unpack_array_begin(&from, 3, 1), 3);
    ck_assert_int_eq(wire_unpack_error(&from), 0);
}
END_TEST

START_TEST(an_error_sticks_and_keeps_its_first_cause)
{
    struct wire_unpack from = reader(BYTES(0xa1, 'x', 0xc3, 0x07));
    ck_assert_uint_eq(wire_unpack_uint(&from, 9), 0);
    const char *fault = from.fault;
    ck_assert_ptr_nonnull(fault);
    ck_assert(!wire_unpack_bool(&from));
    ck_assert_uint_eq(wire_unpack_uint(&from, 9), 0);
    wire_unpack_skip(&from);
    wire_unpack_fail(&from, "later");
    ck_assert_ptr_eq(from.fault, fault);
}
END_TEST

START_TEST(values_of_every_kind_are_skipped)
{
    struct slice values[] = {
        BYTES(0x00),
        BYTES(0xff),
        BYTES(0xc0),
        BYTES(0xc2),
        BYTES(0xc4, 1, 0),
        BYTES(0xc5, 0, 1, 0),
        BYTES(0xc6, 0, 0, 0, 1, 0),
        BYTES(0xc7, 1, 5, 0),
        BYTES(0xc8, 0, 1, 5, 0),
        BYTES(0xc9, 0, 0, 0, 1, 5, 0),
        BYTES(0xca, 0, 0, 0, 0),
        BYTES(0xcb, 0, 0, 0, 0, 0, 0, 0, 0),
        BYTES(0xcc, 0),
        BYTES(0xcd, 0, 0),
        BYTES(0xce, 0, 0, 0, 0),
        BYTES(0xcf, 0, 0, 0, 0, 0, 0, 0, 0),
        BYTES(0xd0, 0),
        BYTES(0xd1, 0, 0),
        BYTES(0xd2, 0, 0, 0, 0),
        BYTES(0xd3, 0, 0, 0, 0, 0, 0, 0, 0),
        BYTES(0xd4, 5, 0),
        BYTES(0xd5, 5, 0, 0),
        BYTES(0xd6, 5, 0, 0, 0, 0),
        BYTES(0xd7, 5, 0, 0, 0, 0, 0, 0, 0, 0),
        BYTES(0xd8, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
        BYTES(0xa1, 'x'),
        BYTES(0xd9, 1, 'x'),
        BYTES(0xda, 0, 1, 'x'),
        BYTES(0xdb, 0, 0, 0, 1, 'x'),
        BYTES(0x92, 0x91, 1, 2),
        BYTES(0xdc, 0, 1, 1),
        BYTES(0xdd, 0, 0, 0, 1, 1),
        BYTES(0x81, 0xa1, 'k', 0x91, 1),
        BYTES(0xde, 0, 1, 1, 2),
        BYTES(0xdf, 0, 0, 0, 1, 1, 2),
    };
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        struct wire_unpack from = reader(values[i]);
        wire_unpack_skip(&from);
        ck_assert_msg(from.fault == NULL, "value %zu: %s", i, from.fault);
        ck_assert_uint_eq(wire_unpack_rest(&from).n, 0);
        for (size_t n = 0; n < values[i].n; n++) {
            from = reader(slice_of(values[i].p, n));
            wire_unpack_skip(&from);
            ck_assert_int_eq(wire_unpack_error(&from), -EPROTO);
        }
    }
    struct wire_unpack from = reader(BYTES(0xc1));
    wire_unpack_skip(&from);
    ck_assert_int_eq(wire_unpack_error(&from), -EPROTO);
}
END_TEST

START_TEST(nesting_ends_at_its_limit)
{
    uint8_t nested[WIRE_DEPTH_MAX + 2];
    memset(nested, 0x91, sizeof(nested));
    nested[WIRE_DEPTH_MAX] = 0x01; /* inside WIRE_DEPTH_MAX arrays */
    struct wire_unpack from = reader(slice_of(nested, WIRE_DEPTH_MAX + 1));
    wire_unpack_skip(&from);
    ck_assert_int_eq(wire_unpack_error(&from), 0);

    nested[WIRE_DEPTH_MAX] = 0x91;
    nested[WIRE_DEPTH_MAX + 1] = 0x01;
    from = reader(slice_of(nested, WIRE_DEPTH_MAX + 2));
    wire_unpack_skip(&from);
    ck_assert_int_eq(wire_unpack_error(&from), -EPROTO);

    from = reader(slice_of(nested, WIRE_DEPTH_MAX + 2));
    for (unsigned i = 0; i < WIRE_DEPTH_MAX; i++) {
        ck_assert_uint_eq(wire_unpack_array_begin(&from, 1, 1), 1);
    }
    ck_assert_uint_eq(wire_unpack_array_begin(&from, 1, 1), 0);
    ck_assert_int_eq(wire_unpack_error(&from), -EPROTO);
}
END_TEST

START_TEST(a_full_buffer_remembers_that_it_was_full)
{
    struct buf buf;
    buf_init(&buf, 4);
    wire_pack_str(&buf, slice_str("longer"));
    wire_pack_bool(&buf, true);
    ck_assert_int_eq(buf_error(&buf), -ENOBUFS);
    buf_done(&buf);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pack");
    TCase *tc = tcase_create("pack");
    tcase_add_test(tc, integers_take_their_shortest_form);
    tcase_add_test(tc, integers_of_any_width_and_sign_bit_clear_are_read);
    tcase_add_test(tc, what_is_no_natural_number_is_refused);
    tcase_add_test(tc, texts_and_byte_strings_are_not_each_other);
    tcase_add_test(tc, lengths_beyond_the_limit_or_the_bytes_are_refused);
    tcase_add_test(tc, counts_beyond_the_bytes_are_refused);
    tcase_add_test(tc, an_error_sticks_and_keeps_its_first_cause);
    tcase_add_test(tc, values_of_every_kind_are_skipped);
    tcase_add_test(tc, nesting_ends_at_its_limit);
    tcase_add_test(tc, a_full_buffer_remembers_that_it_was_full);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
