#include <errno.h>
#include <stdlib.h>

#include "tests/lib/runner.h"
#include "wire/base/arena.h"
#include "wire/base/buf.h"
#include "wire/base/heap.h"
#include "wire/base/mem.h"
#include "wire/base/rate.h"
#include "wire/base/table.h"
#include "wire/base/text.h"

START_TEST(buf_stops_at_its_ceiling_and_says_so)
{
    struct buf buf;
    buf_init(&buf, 300);
    for (int i = 0; i < 30; i++) {
        buf_append(&buf, "0123456789", 10);
    }
    ck_assert_int_eq(buf_error(&buf), 0);
    ck_assert_uint_eq(buf.n, 300);
    buf_append_u8(&buf, 'x');
    ck_assert_int_eq(buf_error(&buf), -ENOBUFS);
    ck_assert_uint_eq(buf.n, 300);
    buf_clear(&buf);
    buf_printf(&buf, "%d-%s", 7, "x");
    ck_assert_str_eq(buf_cstr(&buf), "7-x");
    buf_consume(&buf, 2);
    ck_assert_str_eq(buf_cstr(&buf), "x");
    buf_done(&buf);
}
END_TEST

START_TEST(arena_stops_at_its_ceiling)
{
    struct arena arena;
    arena_init(&arena, 100000);
    unsigned n = 0;
    while (arena_alloc(&arena, 1, 1000) != NULL) {
        n++;
    }
    ck_assert_uint_eq(n, 99); /* 1,008 bytes each, rounded for alignment */
    arena_clear(&arena);
    ck_assert_ptr_nonnull(arena_alloc(&arena, 99000, 1));
    ck_assert_ptr_null(arena_alloc(&arena, SIZE_MAX / 2, 3));
    arena_done(&arena);
}
END_TEST

START_TEST(heap_yields_deadlines_in_order_and_ties_in_order_of_setting)
{
    enum { N = 500 };
    static struct heap_entry entries[N];
    struct heap heap;
    heap_init(&heap);
    unsigned seed = 1;
    for (int i = 0; i < N; i++) {
        seed = seed * 1103515245u + 12345u;
        heap_set(&heap, &entries[i], (seed >> 16) % 50);
    }
    for (int i = 0; i < N; i += 3) {
        heap_remove(&heap, &entries[i]);
    }
    for (int i = 1; i < N; i += 3) {
        heap_set(&heap, &entries[i], entries[i].at_ns + 10);
    }
    uint64_t last_ns = 0;
    uint64_t last_sequence = 0;
    size_t n = 0;
    for (struct heap_entry *e; (e = heap_first(&heap)) != NULL; n++) {
        uint64_t sequence = heap.slots[0].sequence;
        ck_assert(e->at_ns > last_ns || (e->at_ns == last_ns && sequence >= last_sequence));
        last_ns = e->at_ns;
        last_sequence = sequence;
        heap_remove(&heap, e);
    }
    ck_assert_uint_eq(n, N - (N + 2) / 3);
    ck_assert_uint_eq(heap_first_ns(&heap), HEAP_NONE);
    heap_done(&heap);
}
END_TEST

struct row {
    uint32_t key;
    struct table_entry entry;
};

START_TEST(table_finds_all_and_walks_in_insertion_order)
{
    enum { N = 1000 };
    static struct row rows[N];
    struct table table;
    table_init(&table, sizeof(uint32_t), 42);
    for (uint32_t i = 0; i < N; i++) {
        rows[i].key = i * 7919;
        table_insert(&table, &rows[i].entry, &rows[i].key);
    }
    for (uint32_t i = 0; i < N; i += 2) {
        table_remove(&table, &rows[i].entry);
    }
    for (uint32_t i = 0; i < N; i++) {
        struct table_entry *found = table_find(&table, &rows[i].key);
        ck_assert_ptr_eq(found, i % 2 == 0 ? NULL : &rows[i].entry);
    }
    uint32_t i = 1;
    table_for_each (e, &table) {
        ck_assert_ptr_eq(CONTAINER_OF(e, struct row, entry), &rows[i]);
        i += 2;
    }
    ck_assert_uint_eq(i, N + 1);
    table_done(&table);
}
END_TEST

START_TEST(numbers_are_read_strictly)
{
    uint64_t v = 77;
    ck_assert_int_eq(text_parse_u64("0", 10, &v), 0);
    ck_assert_uint_eq(v, 0);
    ck_assert_int_eq(text_parse_u64("11", 10, &v), -ERANGE);
    ck_assert_int_eq(text_parse_u64("-1", 10, &v), -EINVAL);
    ck_assert_int_eq(text_parse_u64("", 10, &v), -EINVAL);
    ck_assert_int_eq(text_parse_u64("1 ", 10, &v), -EINVAL);
    ck_assert_int_eq(text_parse_u64("18446744073709551616", UINT64_MAX, &v), -ERANGE);
    ck_assert_uint_eq(v, 0);
    ck_assert_int_eq(text_parse_size("64K", &v), 0);
    ck_assert_uint_eq(v, 65536);
    ck_assert_int_eq(text_parse_size("1Q", &v), -EINVAL);
    ck_assert_int_eq(text_parse_duration("1.5", &v), 0);
    ck_assert_uint_eq(v, 1500000000);
    ck_assert_int_eq(text_parse_duration("2m", &v), 0);
    ck_assert_uint_eq(v, UINT64_C(120000000000));
    ck_assert_int_eq(text_parse_duration(".", &v), -EINVAL);
    ck_assert_int_eq(text_parse_duration("1x", &v), -EINVAL);
}
END_TEST

START_TEST(foreign_text_is_made_harmless)
{
    char to[64];
    ck_assert_str_eq(text_printable(slice_str("h\xc3\xa9llo"), to, sizeof(to)), "h\xc3\xa9llo");
    ck_assert_str_eq(text_printable(slice_str("a\x1b[2Jb\n"), to, sizeof(to)), "a\\x1b[2Jb\\x0a");
    ck_assert_str_eq(text_printable(slice_str("\xff\xe2\x80\xae"), to, sizeof(to)),
                     "\\xff\\xe2\\x80\\xae");
    char small[16];
    ck_assert_str_eq(text_printable(slice_str("0123456789abcdefgh"), small, sizeof(small)),
                     "0123456789ab...");
    ck_assert(!text_is_utf8(slice_str("\xed\xa0\x80")));
    ck_assert(!text_is_utf8(slice_str("\xc0\x80")));
    ck_assert(text_is_utf8(slice_str("\xf0\x9f\x8c\x8d")));
}
END_TEST

static size_t format(char *to, size_t n_to, const char *text, ...)
{
    va_list args;
    va_start(args, text);
    size_t n = text_vformat(to, n_to, "%s", args);
    va_end(args);
    return n;
}

START_TEST(formatted_text_is_never_cut_inside_a_character)
{
    char to[8];
    ck_assert_uint_eq(format(to, 8, "", "1234567"), 7);
    ck_assert_uint_eq(format(to, 8, "", "123456789"), 7);
    ck_assert_uint_eq(format(to, 8, "", "123456\xc3\xa9"), 6);
    ck_assert_str_eq(to, "123456");
    ck_assert_uint_eq(format(to, 8, "", "12345\xc3\xa9x"), 7);
    ck_assert_uint_eq(format(to, 8, "", "1234\xf0\x9f\x8c\x8d"), 4);
    ck_assert_uint_eq(format(to, 1, "", "x"), 0);
}
END_TEST

START_TEST(shell_quoting_survives_every_byte)
{
    struct buf buf;
    buf_init(&buf, 1000);
    text_shell_quote(&buf, slice_str("plain/x.c"));
    buf_append_u8(&buf, ' ');
    text_shell_quote(&buf, slice_str("it's $x"));
    buf_append_u8(&buf, ' ');
    text_shell_quote(&buf, slice_str(""));
    ck_assert_str_eq(buf_cstr(&buf), "plain/x.c 'it'\\''s $x' ''");
    buf_done(&buf);
}
END_TEST

START_TEST(a_rate_lets_a_burst_through_and_then_its_share_of_each_second)
{
    const uint64_t ms = 1000000;
    uint64_t paid_ns = 0, now_ns = 5000 * ms;
    for (unsigned round = 0; round < 3; round++) { /* a long pause brings one burst back, not two */
        for (unsigned i = 0; i < 4; i++) {
            ck_assert(rate_take(&paid_ns, now_ns, 10, 4));
        }
        ck_assert(!rate_take(&paid_ns, now_ns, 10, 4));
        ck_assert(!rate_take(&paid_ns, now_ns + 99 * ms, 10, 4));
        ck_assert(rate_take(&paid_ns, now_ns + 100 * ms, 10, 4));
        ck_assert(!rate_take(&paid_ns, now_ns + 100 * ms, 10, 4));
        now_ns += 60000 * ms;
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("base");
    TCase *tc = tcase_create("base");
    tcase_add_test(tc, buf_stops_at_its_ceiling_and_says_so);
    tcase_add_test(tc, arena_stops_at_its_ceiling);
    tcase_add_test(tc, heap_yields_deadlines_in_order_and_ties_in_order_of_setting);
    tcase_add_test(tc, table_finds_all_and_walks_in_insertion_order);
    tcase_add_test(tc, a_rate_lets_a_burst_through_and_then_its_share_of_each_second);
    tcase_add_test(tc, numbers_are_read_strictly);
    tcase_add_test(tc, foreign_text_is_made_harmless);
    tcase_add_test(tc, formatted_text_is_never_cut_inside_a_character);
    tcase_add_test(tc, shell_quoting_survives_every_byte);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
