/* What a daemon and a worker say to each other, as bytes. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "tests/lib/runner.h"
#include "wire/base/mem.h"
#include "wire/pack.h"
#include "wire/worker.h"

static uint8_t bulk[WIRE_INLINE_BYTES_MAX + 1];

static struct wire_worker_body inlined(size_t n)
{
    return (struct wire_worker_body){.bytes = n, .inlined = slice_of(bulk, n)};
}

static struct wire_worker_body in_fd(uint64_t n)
{
    return (struct wire_worker_body){.is_fd = true, .bytes = n};
}

static void assert_body_eq(const struct wire_worker_body *a, const struct wire_worker_body *b)
{
    ck_assert(a->is_fd == b->is_fd);
    ck_assert_uint_eq(a->bytes, b->bytes);
    ck_assert(slice_eq(a->inlined, b->inlined));
}

START_TEST(a_hello_comes_back_as_it_was)
{
    static char names[WIRE_FUNCTIONS_MAX][WIRE_FUNCTION_BYTES_MAX];
    static struct wire_worker_hello hello, back;
    const char *fault = NULL;
    struct buf buf;
    hello.version = WIRE_WORKER_VERSION;
    hello.library = slice_str("1.2.3");
    hello.n_functions = _i == 0 ? 0 : WIRE_FUNCTIONS_MAX;
    for (uint32_t i = 0; i < hello.n_functions; i++) {
        memset(names[i], 'a' + (int)(i % 26), sizeof names[i]);
        hello.functions[i] = slice_of(names[i], sizeof names[i]);
    }
    buf_init(&buf, WIRE_WORKER_BYTES_MAX);
    ck_assert_int_eq(wire_worker_hello_encode(&hello, &buf), 0);
    ck_assert_int_eq(wire_worker_hello_decode(buf_slice(&buf), &back, &fault), 0);
    ck_assert_uint_eq(back.version, WIRE_WORKER_VERSION);
    ck_assert(slice_eq(back.library, hello.library));
    ck_assert_uint_eq(back.n_functions, hello.n_functions);
    for (uint32_t i = 0; i < hello.n_functions; i++) {
        ck_assert(slice_eq(back.functions[i], hello.functions[i]));
    }
    buf_done(&buf);
}
END_TEST

static struct wire_worker_call full_call(void)
{
    struct wire_worker_call call = {
        .serial = UINT64_MAX,
        .function = slice_str("sum_primes"),
        .attempt = UINT32_MAX,
        .peer = slice_str("olive"),
        .args = inlined(WIRE_INLINE_BYTES_MAX),
        .n_refs = WIRE_CALL_REFS_MAX,
    };
    for (uint32_t i = 0; i < WIRE_CALL_REFS_MAX; i++) {
        call.ref_bytes[i] = (uint64_t)INT64_MAX - i;
    }
    return call;
}

START_TEST(a_call_comes_back_as_it_was)
{
    struct wire_worker_call call = full_call();
    struct wire_worker_call back;
    const char *fault = NULL;
    struct buf buf;
    call.args = _i == 0 ? call.args : _i == 1 ? inlined(0) : in_fd(UINT64_C(1) << 40);
    call.n_refs = _i == 1 ? 0 : WIRE_CALL_REFS_MAX;
    buf_init(&buf, WIRE_WORKER_BYTES_MAX);
    ck_assert_int_eq(wire_worker_call_encode(&call, &buf), 0);
    ck_assert_int_eq(wire_worker_call_decode(buf_slice(&buf), &back, &fault), 0);
    ck_assert_uint_eq(back.serial, call.serial);
    ck_assert(slice_eq(back.function, call.function));
    ck_assert_uint_eq(back.attempt, call.attempt);
    ck_assert(slice_eq(back.peer, call.peer));
    assert_body_eq(&back.args, &call.args);
    ck_assert_uint_eq(back.n_refs, call.n_refs);
    for (uint32_t i = 0; i < call.n_refs; i++) {
        ck_assert_uint_eq(back.ref_bytes[i], call.ref_bytes[i]);
    }
    ck_assert_uint_eq(wire_worker_call_fds(&back), call.n_refs + (_i == 2));
    buf_done(&buf);
}
END_TEST

static struct wire_worker_return full_return(void)
{
    return (struct wire_worker_return){
        .serial = 77,
        .status = WIRE_CALL_STATUS_MAX,
        .value = inlined(WIRE_INLINE_BYTES_MAX),
        .text = slice_of(bulk, WIRE_REASON_BYTES_MAX),
        .user_us = UINT64_MAX,
        .sys_us = 2,
        .peak_kib = 3,
    };
}

START_TEST(a_return_comes_back_as_it_was)
{
    struct wire_worker_return ret = full_return();
    struct wire_worker_return back;
    const char *fault = NULL;
    struct buf buf;
    ret.value = _i == 0 ? ret.value : _i == 1 ? inlined(0) : in_fd(INT64_MAX);
    buf_init(&buf, WIRE_WORKER_BYTES_MAX);
    ck_assert_int_eq(wire_worker_return_encode(&ret, &buf), 0);
    ck_assert_int_eq(wire_worker_return_decode(buf_slice(&buf), &back, &fault), 0);
    ck_assert_uint_eq(back.serial, 77);
    ck_assert_uint_eq(back.status, WIRE_CALL_STATUS_MAX);
    assert_body_eq(&back.value, &ret.value);
    ck_assert(slice_eq(back.text, ret.text));
    ck_assert_uint_eq(back.user_us, UINT64_MAX);
    ck_assert_uint_eq(back.sys_us, 2);
    ck_assert_uint_eq(back.peak_kib, 3);
    ck_assert_uint_eq(wire_worker_return_fds(&back), _i == 2);
    buf_done(&buf);
}
END_TEST

START_TEST(what_the_other_end_would_refuse_is_not_sent)
{
    static struct wire_worker_hello hello;
    static char name[WIRE_FUNCTION_BYTES_MAX + 1];
    struct buf buf;
    buf_init(&buf, WIRE_WORKER_BYTES_MAX);
    memset(name, 'x', sizeof name);
    const struct slice bad_names[] = {slice_of(name, sizeof name), slice_of(name, 0),
                                      slice_of("\xff", 1), slice_of("a\0b", 3)};
    for (size_t i = 0; i < ARRAY_LEN(bad_names); i++) {
        struct wire_worker_call call = full_call();
        hello = (struct wire_worker_hello){.n_functions = 1, .functions = {bad_names[i]}};
        ck_assert_int_eq(wire_worker_hello_encode(&hello, &buf), -EINVAL);
        call.function = bad_names[i];
        ck_assert_int_eq(wire_worker_call_encode(&call, &buf), -EINVAL);
    }
    hello = (struct wire_worker_hello){.n_functions = WIRE_FUNCTIONS_MAX + 1};
    ck_assert_int_eq(wire_worker_hello_encode(&hello, &buf), -EINVAL);
    struct wire_worker_call call = full_call();
    call.n_refs = WIRE_CALL_REFS_MAX + 1;
    ck_assert_int_eq(wire_worker_call_encode(&call, &buf), -EINVAL);
    call = full_call();
    call.args = inlined(WIRE_INLINE_BYTES_MAX + 1);
    ck_assert_int_eq(wire_worker_call_encode(&call, &buf), -EINVAL);
    struct wire_worker_return ret = full_return();
    ret.status++;
    ck_assert_int_eq(wire_worker_return_encode(&ret, &buf), -EINVAL);
    ret = full_return();
    ret.text.n++;
    ck_assert_int_eq(wire_worker_return_encode(&ret, &buf), -EINVAL);
    ret = full_return();
    ret.value = inlined(WIRE_INLINE_BYTES_MAX + 1);
    ck_assert_int_eq(wire_worker_return_encode(&ret, &buf), -EINVAL);
    ck_assert_uint_eq(buf.n, 0);
    buf_done(&buf);
}
END_TEST

START_TEST(a_packet_cut_anywhere_is_refused)
{
    struct wire_worker_call call = full_call();
    struct wire_worker_return ret = full_return();
    static struct wire_worker_hello hello = {.version = 1, .n_functions = 1};
    const char *fault;
    struct buf bufs[3];
    call.args = inlined(20);
    ret.value = inlined(20);
    hello.library = slice_str("1");
    hello.functions[0] = slice_str("f");
    for (int i = 0; i < 3; i++) {
        buf_init(&bufs[i], WIRE_WORKER_BYTES_MAX);
    }
    ck_assert_int_eq(wire_worker_hello_encode(&hello, &bufs[0]), 0);
    ck_assert_int_eq(wire_worker_call_encode(&call, &bufs[1]), 0);
    ck_assert_int_eq(wire_worker_return_encode(&ret, &bufs[2]), 0);
    for (int i = 0; i < 3; i++) {
        for (size_t n = 0; n < bufs[i].n; n++) {
            uint8_t *cut = mem_dup(bufs[i].p, n); /* so that a byte too far is seen */
            struct slice packet = slice_of(cut, n);
            fault = NULL;
            int rc = i == 0   ? wire_worker_hello_decode(packet, &hello, &fault)
                     : i == 1 ? wire_worker_call_decode(packet, &call, &fault)
                              : wire_worker_return_decode(packet, &ret, &fault);
            ck_assert_int_eq(rc, -EPROTO);
            ck_assert_ptr_nonnull(fault);
            mem_free(cut);
        }
        buf_append_u8(&bufs[i], 0);
        struct slice packet = buf_slice(&bufs[i]);
        int rc = i == 0   ? wire_worker_hello_decode(packet, &hello, &fault)
                 : i == 1 ? wire_worker_call_decode(packet, &call, &fault)
                          : wire_worker_return_decode(packet, &ret, &fault);
        ck_assert_int_eq(rc, -EPROTO);
        ck_assert_str_eq(fault, "something behind the message");
        buf_done(&bufs[i]);
    }
}
END_TEST

START_TEST(one_message_does_not_pass_for_another)
{
    struct wire_worker_return ret = full_return();
    struct wire_worker_call call;
    static struct wire_worker_hello hello;
    const char *fault = NULL;
    enum wire_worker_type type;
    struct buf buf;
    buf_init(&buf, WIRE_WORKER_BYTES_MAX);
    ck_assert_int_eq(wire_worker_return_encode(&ret, &buf), 0);
    ck_assert_int_eq(wire_worker_type_of(buf_slice(&buf), &type), 0);
    ck_assert_int_eq(type, WIRE_WORKER_RETURN);
    ck_assert_int_eq(wire_worker_call_decode(buf_slice(&buf), &call, &fault), -EPROTO);
    ck_assert_int_eq(wire_worker_hello_decode(buf_slice(&buf), &hello, &fault), -EPROTO);
    buf_clear(&buf);
    wire_pack_array(&buf, 1);
    wire_pack_uint(&buf, 99);
    ck_assert_int_eq(wire_worker_type_of(buf_slice(&buf), &type), 0);
    ck_assert_int_eq(type, WIRE_WORKER_NONE);
    ck_assert_int_eq(wire_worker_type_of(slice_str("rubbish"), &type), -EPROTO);
    ck_assert_int_eq(wire_worker_type_of(slice_of(NULL, 0), &type), -EPROTO);
    buf_done(&buf);
}
END_TEST

START_TEST(fields_of_a_newer_version_are_skipped)
{
    struct wire_worker_return ret = full_return();
    struct wire_worker_return back;
    const char *fault = NULL;
    struct buf buf;
    ret.value = inlined(3);
    buf_init(&buf, WIRE_WORKER_BYTES_MAX);
    ck_assert_int_eq(wire_worker_return_encode(&ret, &buf), 0);
    buf.p[0]++; /* the header of a short array counts its elements */
    wire_pack_str(&buf, slice_str("more"));
    ck_assert_int_eq(wire_worker_return_decode(buf_slice(&buf), &back, &fault), 0);
    ck_assert_uint_eq(back.peak_kib, 3);
    buf_done(&buf);
}
END_TEST

START_TEST(a_hello_of_another_version_tells_its_version_whatever_follows)
{
    static struct wire_worker_hello back;
    const char *fault = NULL;
    struct buf buf;
    buf_init(&buf, WIRE_WORKER_BYTES_MAX);
    wire_pack_array(&buf, 3);
    wire_pack_uint(&buf, WIRE_WORKER_HELLO);
    wire_pack_uint(&buf, 9);
    wire_pack_array(&buf, 0);
    ck_assert_int_eq(wire_worker_hello_decode(buf_slice(&buf), &back, &fault), 0);
    ck_assert_uint_eq(back.version, 9);
    ck_assert_uint_eq(back.n_functions, 0);
    buf_done(&buf);
}
END_TEST

START_TEST(memory_that_is_short_is_told)
{
    struct wire_worker_call call = full_call();
    struct buf buf;
    buf_init(&buf, WIRE_WORKER_BYTES_MAX);
    buf.error = -ENOMEM; /* as an append that found none leaves it */
    ck_assert_int_eq(wire_worker_call_encode(&call, &buf), -ENOMEM);
    buf_done(&buf);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("worker");
    TCase *tcase = tcase_create("all");
    tcase_add_loop_test(tcase, a_hello_comes_back_as_it_was, 0, 2);
    tcase_add_loop_test(tcase, a_call_comes_back_as_it_was, 0, 3);
    tcase_add_loop_test(tcase, a_return_comes_back_as_it_was, 0, 3);
    tcase_add_test(tcase, what_the_other_end_would_refuse_is_not_sent);
    tcase_add_test(tcase, a_packet_cut_anywhere_is_refused);
    tcase_add_test(tcase, one_message_does_not_pass_for_another);
    tcase_add_test(tcase, fields_of_a_newer_version_are_skipped);
    tcase_add_test(tcase, a_hello_of_another_version_tells_its_version_whatever_follows);
    tcase_add_test(tcase, memory_that_is_short_is_told);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
