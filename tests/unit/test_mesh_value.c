/* The bytes of arguments and results: read back by ours and by msgpack-c, cut and mangled. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "mesh/client/body.h"
#include "mesh/client/handle.h"
#include "tests/lib/runner.h"

static const int64_t integers[] = {0,          1,
                                   -1,         31,
                                   -32,        -33,
                                   127,        128,
                                   -128,       -129,
                                   255,        256,
                                   32767,      32768,
                                   -32768,     -32769,
                                   65535,      65536,
                                   2147483647, 2147483648,
                                   INT32_MIN,  INT64_C(-2147483649),
                                   4294967295, 4294967296,
                                   INT64_MAX,  INT64_MIN};

static struct mesh_body finish(struct mesh_writer *writer, size_t inline_max)
{
    struct mesh_body body;
    ck_assert_int_eq(mesh_writer_finish(writer, inline_max, &body), 0);
    ck_assert_int_eq(mesh_body_map(&body), 0);
    return body;
}

START_TEST(integers_come_back_and_msgpack_reads_them)
{
    struct mesh_writer writer;
    struct mesh_items items;
    struct mesh_item item;
    mesh_writer_init(&writer);
    for (size_t i = 0; i < ARRAY_LEN(integers); i++) {
        mesh_writer_int(&writer, integers[i]);
    }
    struct mesh_body body = finish(&writer, 65536);
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    ck_assert_int_eq(msgpack_unpack_next(&unpacked, (const char *)body.p, body.n, NULL),
                     MSGPACK_UNPACK_SUCCESS);
    ck_assert_uint_eq(unpacked.data.via.array.size, ARRAY_LEN(integers));
    ck_assert_int_eq(mesh_items_init(&items, mesh_body_slice(&body)), 0);
    for (size_t i = 0; i < ARRAY_LEN(integers); i++) {
        ck_assert_int_eq(mesh_items_next(&items, &item), 0);
        ck_assert_int_eq(item.kind, MESH_ITEM_INT);
        ck_assert_int_eq(item.integer, integers[i]);
        ck_assert_int_eq(unpacked.data.via.array.ptr[i].via.i64, integers[i]);
    }
    ck_assert_int_eq(mesh_items_next(&items, &item), -ENODATA);
    msgpack_unpacked_destroy(&unpacked);
    mesh_body_done(&body);
}
END_TEST

START_TEST(what_msgpack_packs_is_read)
{
    msgpack_sbuffer out;
    msgpack_packer packer;
    struct mesh_items items;
    struct mesh_item item;
    msgpack_sbuffer_init(&out);
    msgpack_packer_init(&packer, &out, msgpack_sbuffer_write);
    msgpack_pack_array(&packer, ARRAY_LEN(integers) + 5);
    for (size_t i = 0; i < ARRAY_LEN(integers); i++) {
        msgpack_pack_int64(&packer, integers[i]);
    }
    msgpack_pack_float(&packer, 0.5f);
    msgpack_pack_double(&packer, -0.1);
    msgpack_pack_str_with_body(&packer, "text", 4);
    msgpack_pack_ext_with_body(&packer, "8bytes..", 8, 99);
    msgpack_pack_nil(&packer);
    ck_assert_int_eq(mesh_items_init(&items, slice_of(out.data, out.size)), 0);
    for (size_t i = 0; i < ARRAY_LEN(integers); i++) {
        ck_assert_int_eq(mesh_items_next(&items, &item), 0);
        ck_assert_int_eq(item.integer, integers[i]);
    }
    ck_assert_int_eq(mesh_items_next(&items, &item), 0);
    ck_assert(item.kind == MESH_ITEM_DOUBLE && item.real == 0.5);
    ck_assert_int_eq(mesh_items_next(&items, &item), 0);
    ck_assert(item.kind == MESH_ITEM_DOUBLE && item.real == -0.1);
    ck_assert_int_eq(mesh_items_next(&items, &item), 0);
    ck_assert(item.kind == MESH_ITEM_STRING && slice_eq_str(item.bytes, "text"));
    ck_assert_int_eq(mesh_items_next(&items, &item), 0);
    ck_assert(item.kind == MESH_ITEM_EXT && item.ext == 99 && slice_eq_str(item.bytes, "8bytes.."));
    ck_assert_int_eq(mesh_items_next(&items, &item), 0);
    ck_assert_int_eq(item.kind, MESH_ITEM_NIL);
    msgpack_sbuffer_destroy(&out);
}
END_TEST

static const size_t sizes[] = {0,    1,     31,    32,    255,   256,    1023,    1024,
                               1025, 32767, 32768, 65535, 65536, 300000, 3000000, 1024 * 1024};

/* Three items of the size, with small ones between, such that each begins somewhere else. */
START_TEST(bytes_of_every_size_come_back_and_large_ones_are_aligned)
{
    size_t n = sizes[_i];
    uint8_t *bytes = malloc(n + 1);
    for (size_t i = 0; i < n; i++) {
        bytes[i] = (uint8_t)(i * 7 + 1);
    }
    struct mesh_writer writer;
    mesh_writer_init(&writer);
    for (int i = 0; i < 20; i++) {
        mesh_writer_int(&writer, i);
        mesh_writer_bytes(&writer, slice_of(bytes, n));
        mesh_writer_ext(&writer, MESH_EXT_INOUT, slice_of(bytes, n));
        mesh_writer_string(&writer, slice_of(bytes, n));
    }
    struct mesh_body body = finish(&writer, 65536);
    ck_assert_int_eq(body.fd >= 0, body.n > 65536);
    struct mesh_items items;
    struct mesh_item item;
    ck_assert_int_eq(mesh_items_init(&items, mesh_body_slice(&body)), 0);
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(mesh_items_next(&items, &item), 0);
        ck_assert_int_eq(item.integer, i);
        for (int k = 0; k < 3; k++) {
            ck_assert_int_eq(mesh_items_next(&items, &item), 0);
            ck_assert(slice_eq(item.bytes, slice_of(bytes, n)));
            if (n >= MESH_ALIGNED_BYTES) {
                ck_assert_uint_eq((size_t)(item.bytes.p - body.p) % MESH_ALIGN, 0);
            }
        }
    }
    ck_assert_int_eq(mesh_items_next(&items, &item), -ENODATA);
    mesh_body_done(&body);
    free(bytes);
}
END_TEST

START_TEST(a_large_body_is_sealed)
{
    static const uint8_t bytes[100000];
    struct mesh_writer writer;
    mesh_writer_init(&writer);
    mesh_writer_bytes(&writer, slice_of(bytes, sizeof(bytes)));
    struct mesh_body body;
    ck_assert_int_eq(mesh_writer_finish(&writer, 65536, &body), 0);
    int seals = fcntl(body.fd, F_GET_SEALS);
    ck_assert_int_eq(seals & (F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL),
                     F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    mesh_body_done(&body);
}
END_TEST

/* Every prefix of a body, and every byte of it changed: an error or values, never a crash or more
 * than was there. */
START_TEST(a_body_that_is_cut_or_mangled_is_refused)
{
    struct mesh_writer writer;
    static uint8_t large[1500];
    mesh_writer_init(&writer);
    mesh_writer_int(&writer, 70000);
    mesh_writer_double(&writer, 0.25);
    mesh_writer_string(&writer, slice_str("hello"));
    mesh_writer_bytes(&writer, slice_of(large, sizeof(large)));
    mesh_writer_index(&writer, MESH_EXT_REF, 3);
    mesh_writer_nil(&writer);
    struct mesh_body body = finish(&writer, 65536);
    for (size_t n = 0; n < body.n; n++) {
        uint8_t *cut = malloc(n + 1);
        memcpy(cut, body.p, n);
        struct mesh_items items;
        struct mesh_item item;
        int r = mesh_items_init(&items, slice_of(cut, n));
        while (r == 0) {
            r = mesh_items_next(&items, &item);
        }
        ck_assert_int_eq(r, -EPROTO);
        free(cut);
    }
    for (size_t at = 0; at < body.n * 256; at += at < 40 * 256 ? 1 : 251) {
        uint8_t *mangled = malloc(body.n);
        memcpy(mangled, body.p, body.n);
        mangled[at / 256] = (uint8_t)at;
        struct mesh_items items;
        struct mesh_item item;
        uint32_t n_items = 0;
        int r = mesh_items_init(&items, slice_of(mangled, body.n));
        while (r == 0 && (r = mesh_items_next(&items, &item)) == 0) {
            ck_assert_uint_le(++n_items, body.n);
            if (item.bytes.n > 0) {
                ck_assert(item.bytes.p >= mangled);
                ck_assert(item.bytes.p + item.bytes.n <= mangled + body.n);
            }
        }
        free(mangled);
    }
    mesh_body_done(&body);
}
END_TEST

START_TEST(only_integers_that_a_double_holds_are_exact)
{
    ck_assert(mesh_is_exact(0));
    ck_assert(mesh_is_exact(INT64_C(1) << 53));
    ck_assert(!mesh_is_exact((INT64_C(1) << 53) + 1));
    ck_assert(mesh_is_exact(INT64_MIN));
    ck_assert(!mesh_is_exact(INT64_MAX));
    ck_assert(!mesh_is_exact(INT64_MAX - 1));
}
END_TEST

static int do_nothing(mesh_task *task)
{
    return task == NULL;
}

START_TEST(functions_have_names_that_can_be_sent_each_its_own)
{
    static char longest[WIRE_FUNCTION_BYTES_MAX + 1];
    static char longer[WIRE_FUNCTION_BYTES_MAX + 2];
    static struct mesh_entry one = {"one", do_nothing, NULL};
    static struct mesh_entry other = {longest, do_nothing, NULL};
    const char *const bad[] = {longest, longer, "", "\xff"};
    struct errmsg err;
    memset(longest, 'x', sizeof(longest) - 1);
    memset(longer, 'x', sizeof(longer) - 1);
    mesh_register(&one);
    mesh_register(&other);
    ck_assert_int_eq(mesh_functions_check(&err), 0);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        one.name = bad[i];
        ck_assert_int_eq(mesh_functions_check(&err), MESH_EINVAL);
        ck_assert_ptr_nonnull(strstr(err.text, i == 0 ? "two functions" : "1 to 120 bytes"));
        mesh *m = mesh_open(NULL);
        ck_assert_int_eq(mesh_error(m), MESH_EINVAL);
        mesh_close(m);
    }
    one.name = "one";
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("mesh_value");
    TCase *tc = tcase_create("value");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, integers_come_back_and_msgpack_reads_them);
    tcase_add_test(tc, what_msgpack_packs_is_read);
    tcase_add_loop_test(tc, bytes_of_every_size_come_back_and_large_ones_are_aligned, 0,
                        ARRAY_LEN(sizes));
    tcase_add_test(tc, a_large_body_is_sealed);
    tcase_add_test(tc, a_body_that_is_cut_or_mangled_is_refused);
    tcase_add_test(tc, only_integers_that_a_double_holds_are_exact);
    tcase_add_test(tc, functions_have_names_that_can_be_sent_each_its_own);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
