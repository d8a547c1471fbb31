/* What one source of connections may take. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "mesh/sources.h"
#include "tests/lib/runner.h"

#define S_NS UINT64_C(1000000000)

static struct meshd_sources sources;

/* "HOST" or "HOST%INTERFACE", with the interface's number. */
static struct meshd_source *source_at(const char *text, uint64_t now_ns)
{
    struct sockaddr_storage address = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address;
    char host[64];
    unsigned scope = 0;
    ck_assert_int_ge(sscanf(text, "%63[^%]%%%u", host, &scope), 1);
    v6->sin6_scope_id = scope;
    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
    } else {
        ck_assert_int_eq(inet_pton(AF_INET6, host, &v6->sin6_addr), 1);
        v6->sin6_family = AF_INET6;
    }
    struct meshd_source *source = source_ref(&sources, &address, now_ns);
    ck_assert_ptr_nonnull(source);
    return source;
}

static void set_up(void)
{
    sources_init(&sources, 1);
}

static void tear_down(void)
{
    sources_done(&sources);
}

START_TEST(a_source_is_a_host_or_its_prefix)
{
    static const struct {
        const char *a;
        const char *b;
        bool is_same;
    } pairs[] = {
        {"10.0.0.1", "10.0.0.1", true},
        {"10.0.0.1", "10.0.0.2", false},
        {"10.0.0.1", "::ffff:10.0.0.1", true},
        {"2001:db8::1", "2001:db8::2", true},
        {"2001:db8::1", "2001:db8:0:1::1", false},
        {"fe80::1", "fe80::1", true},
        {"fe80::1", "fe80::2", false},
        {"fe80::1%2", "fe80::1%2", true},
        {"fe80::1%2", "fe80::1%3", false},
        {"2001:db8::1%2", "2001:db8::1%3", true},
    };
    for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
        struct meshd_source *a = source_at(pairs[i].a, 0);
        struct meshd_source *b = source_at(pairs[i].b, 0);
        ck_assert_msg((a == b) == pairs[i].is_same, "%s and %s", pairs[i].a, pairs[i].b);
        source_unref(&sources, a, 0);
        source_unref(&sources, b, 0);
    }
    ck_assert_uint_eq(sources.all.n, 0);
}
END_TEST

static unsigned n_accepted(struct meshd_source *source, unsigned n, uint64_t now_ns)
{
    unsigned n_taken = 0;
    for (unsigned i = 0; i < n; i++) {
        n_taken += source_may_connect(&sources, source, now_ns);
    }
    return n_taken;
}

START_TEST(connections_of_a_source_have_a_rate_which_outlives_them)
{
    uint64_t now_ns = 100 * S_NS;
    struct meshd_source *source = source_at("10.0.0.1", now_ns);
    ck_assert_uint_eq(n_accepted(source, 1000, now_ns), MESHD_ACCEPTS_SOURCE_BURST);
    source_unref(&sources, source, now_ns);
    now_ns += S_NS;
    source = source_at("10.0.0.1", now_ns);
    ck_assert_uint_eq(n_accepted(source, 1000, now_ns), MESHD_ACCEPTS_SOURCE_PER_S);
    struct meshd_source *other = source_at("10.0.0.2", now_ns);
    ck_assert_uint_gt(n_accepted(other, 1, now_ns), 0);
    source_unref(&sources, source, now_ns);
    source_unref(&sources, other, now_ns);
}
END_TEST

START_TEST(connections_of_all_sources_have_a_rate)
{
    uint64_t now_ns = 100 * S_NS;
    unsigned n = 0;
    for (unsigned i = 0; i < 2 * MESHD_ACCEPTS_BURST; i++) {
        char host[32];
        snprintf(host, sizeof(host), "10.1.%u.%u", i >> 8, i & 0xff);
        struct meshd_source *source = source_at(host, now_ns);
        n += n_accepted(source, 1, now_ns);
        source_unref(&sources, source, now_ns);
    }
    ck_assert_uint_eq(n, MESHD_ACCEPTS_BURST);
}
END_TEST

START_TEST(sources_that_were_are_forgotten)
{
    uint64_t now_ns = S_NS;
    for (unsigned i = 0; i < 3 * MESHD_SOURCES_IDLE_MAX; i++) {
        char host[32];
        snprintf(host, sizeof(host), "10.%u.%u.%u", i >> 16, i >> 8 & 0xff, i & 0xff);
        struct meshd_source *source = source_at(host, now_ns);
        source->paid_ns = now_ns + S_NS; /* it has a rate to be remembered */
        source_unref(&sources, source, now_ns);
        ck_assert_uint_le(sources.all.n, MESHD_SOURCES_IDLE_MAX + 1);
    }
    now_ns += 2 * S_NS;
    source_unref(&sources, source_at("10.9.9.9", now_ns), now_ns);
    ck_assert_uint_eq(sources.all.n, 0);
}
END_TEST

/* A quarter of two processors: the clock must be half as far on as its messages took, but for what
 * it may be ahead. */
START_TEST(a_source_that_had_its_part_rests)
{
    const uint64_t ms_ns = 1000000;
    uint64_t now_ns = 100 * S_NS;
    struct meshd_source *source = source_at("10.0.0.1", now_ns);
    ck_assert_uint_eq(source_rest_ns(source, now_ns), 0);
    source_spend(source, 10 * ms_ns, now_ns, 2);
    ck_assert_uint_eq(source_rest_ns(source, now_ns), 0);
    source_spend(source, 15 * ms_ns, now_ns, 2);
    ck_assert_uint_eq(source_rest_ns(source, now_ns), 50 * ms_ns - MESHD_SOURCE_AHEAD_NS);
    now_ns += 40 * ms_ns;
    ck_assert_uint_eq(source_rest_ns(source, now_ns), 0);
    now_ns += S_NS; /* what it did not use is not kept for it */
    source_spend(source, 20 * ms_ns, now_ns, 2);
    ck_assert_uint_eq(source_rest_ns(source, now_ns), 40 * ms_ns - MESHD_SOURCE_AHEAD_NS);
    now_ns += 3600 * S_NS; /* the host was asleep in the middle of a message */
    source_spend(source, 3600 * S_NS, now_ns, 2);
    ck_assert_uint_lt(source_rest_ns(source, now_ns), S_NS / 4);
    source_unref(&sources, source, now_ns);
}
END_TEST

/* Grows in steps until it may not; how far it came. */
static size_t grow(struct meshd_source *source)
{
    const size_t step = 64u << 10;
    size_t held = 0;
    while (source_account(&sources, source, held, held + step)) {
        held += step;
    }
    source_account(&sources, source, held + step, held); /* what was too much is given back */
    return held;
}

START_TEST(a_source_holds_as_much_as_is_free)
{
    struct meshd_source *all[5];
    size_t held[ARRAY_LEN(all)];
    char host[] = "10.0.0.1";
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        host[7] = (char)('1' + i);
        all[i] = source_at(host, 0);
        held[i] = grow(all[i]);
        ck_assert_uint_gt(held[i], MESHD_LINKS_BYTES_MAX >> (i + 2));
    }
    ck_assert_uint_le(held[0], MESHD_LINKS_BYTES_MAX / 2);
    ck_assert_uint_lt(sources.bytes, MESHD_LINKS_BYTES_MAX);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        source_account(&sources, all[i], held[i], 0);
        source_unref(&sources, all[i], 0);
    }
    ck_assert_uint_eq(sources.bytes, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("sources");
    TCase *tc = tcase_create("sources");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_source_is_a_host_or_its_prefix);
    tcase_add_test(tc, connections_of_a_source_have_a_rate_which_outlives_them);
    tcase_add_test(tc, connections_of_all_sources_have_a_rate);
    tcase_add_test(tc, sources_that_were_are_forgotten);
    tcase_add_test(tc, a_source_that_had_its_part_rests);
    tcase_add_test(tc, a_source_holds_as_much_as_is_free);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
