/* Two or three instances in one process on loopback: what the sources report, and how they end.
 * Each test draws its own keys, so that other tests on this host's loopback do not matter. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "discovery/discovery.h"
#include "tests/lib/runner.h"
#include "wire/base/text.h"

#define DEADLINE_MS 10000

struct side {
    struct disc *disc;
    uint8_t key[DISC_KEY_BYTES];
    char id[16];
    const struct side *other; /* what it waits for */
    unsigned n_found, n_lost, n_cloned;
    uint32_t cores;
    size_t n_addresses;
    bool is_static_found;
    struct sockaddr_storage first;
    bool is_closed;
};

static void on_found(void *user, const struct disc_peer *peer)
{
    struct side *side = user;
    if (!peer->has_key) {
        side->is_static_found = true;
        side->n_addresses = peer->n_addresses;
        side->first = peer->addresses[0];
    } else if (side->other != NULL && memcmp(peer->key, side->other->key, sizeof(peer->key)) == 0) {
        side->n_found++;
        side->cores = peer->cores;
        side->n_addresses = peer->n_addresses;
        ck_assert_str_eq(peer->arch, "test");
    }
}

static void on_lost(void *user, const uint8_t key[DISC_KEY_BYTES])
{
    struct side *side = user;
    side->n_lost += side->other != NULL && memcmp(key, side->other->key, DISC_KEY_BYTES) == 0;
}

static void on_cloned(void *user, const char *text)
{
    ((struct side *)user)->n_cloned++;
}

static void on_log(void *user, enum disc_log_level level, const char *text)
{
}

static void on_closed(void *user)
{
    ((struct side *)user)->is_closed = true;
}

static struct disc_config config_of(struct side *side, enum disc_mode mode)
{
    static const char *const lo[] = {"lo"};
    ck_assert_int_eq(getrandom(side->key, sizeof(side->key), 0), sizeof(side->key));
    text_hex(slice_of(side->key, 4), side->id, sizeof(side->id));
    struct disc_config config = {
        .mode = mode,
        .id_text = side->id,
        .name = "host",
        .arch = "test",
        .os = "linux",
        .mesh = "",
        .version = 1,
        .cores = 4,
        .port = 7777,
        .interfaces = lo,
        .n_interfaces = 1,
        .callbacks = {on_found, on_lost, on_cloned, on_log},
        .user = side,
    };
    memcpy(config.key, side->key, sizeof(config.key));
    return config;
}

static void start(uv_loop_t *loop, struct side *side, enum disc_mode mode)
{
    struct disc_config config = config_of(side, mode);
    struct errmsg err;
    int r = disc_start(loop, &config, &side->disc, &err);
    ck_assert_msg(r == 0, "%s", err.text);
}

static void on_deadline(uv_timer_t *timer)
{
    ck_abort_msg("not within the deadline");
}

/* Runs the loop until `is_so` holds. */
static void until(uv_loop_t *loop, bool (*is_so)(const struct side *), const struct side *side)
{
    uv_timer_t timer;
    ck_assert_int_eq(uv_timer_init(loop, &timer), 0);
    ck_assert_int_eq(uv_timer_start(&timer, on_deadline, DEADLINE_MS, 0), 0);
    while (!is_so(side)) {
        uv_run(loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(loop, UV_RUN_NOWAIT);
}

static bool is_found(const struct side *side)
{
    return side->n_found > 0;
}

static bool is_lost(const struct side *side)
{
    return side->n_lost > 0;
}

static bool has_nine_cores(const struct side *side)
{
    return side->cores == 9;
}

static bool is_static_found(const struct side *side)
{
    return side->is_static_found;
}

static void finish(uv_loop_t *loop, struct side *a, struct side *b)
{
    if (a != NULL) {
        disc_close(a->disc, on_closed, a);
    }
    if (b != NULL) {
        disc_close(b->disc, on_closed, b);
    }
    uv_run(loop, UV_RUN_DEFAULT);
    ck_assert(a == NULL || a->is_closed);
    ck_assert(b == NULL || b->is_closed);
    ck_assert_int_eq(uv_loop_close(loop), 0);
}

START_TEST(two_embedded_find_each_other_see_changes_and_goodbyes)
{
    uv_loop_t loop;
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    struct side a = {0};
    struct side b = {0};
    a.other = &b;
    b.other = &a;
    start(&loop, &a, DISC_MODE_EMBEDDED);
    start(&loop, &b, DISC_MODE_EMBEDDED);
    until(&loop, is_found, &a);
    until(&loop, is_found, &b);
    ck_assert_uint_eq(a.cores, 4);
    ck_assert_uint_ge(a.n_addresses, 1);
    /* A burst of changes: the last one arrives. */
    for (uint32_t cores = 5; cores <= 9; cores++) {
        disc_update_cores(b.disc, cores);
    }
    until(&loop, has_nine_cores, &a);
    disc_close(b.disc, on_closed, &b);
    until(&loop, is_lost, &a);
    ck_assert(b.is_closed);
    ck_assert_uint_eq(a.n_cloned, 0);
    finish(&loop, &a, NULL);
}
END_TEST

START_TEST(numeric_static_peer_is_reported_with_its_scope)
{
    uv_loop_t loop;
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    struct side a = {0};
    struct disc_config config = config_of(&a, DISC_MODE_OFF);
    static const char *const peers[] = {"[fe80::1%lo]:7946"};
    config.static_peers = peers;
    config.n_static_peers = 1;
    struct errmsg err;
    ck_assert_int_eq(disc_start(&loop, &config, &a.disc, &err), 0);
    until(&loop, is_static_found, &a);
    ck_assert_uint_eq(a.n_addresses, 1);
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&a.first;
    ck_assert_int_eq(in6->sin6_family, AF_INET6);
    ck_assert_uint_eq(in6->sin6_scope_id, 1);
    ck_assert_uint_eq(ntohs(in6->sin6_port), 7946);
    finish(&loop, &a, NULL);
}
END_TEST

START_TEST(closing_at_once_leaves_nothing_behind)
{
    uv_loop_t loop;
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    struct side a = {0};
    start(&loop, &a, (enum disc_mode)_i);
    finish(&loop, &a, NULL);
}
END_TEST

static const char *const bad_peers[] = {"host",  "host:", "host:0", "host:65536", ":7946",
                                        "::1:1", "[::1]", "[::1:1", "host:1x",    "[]:5"};

START_TEST(static_peer_that_makes_no_sense_is_refused)
{
    struct errmsg err = {""};
    ck_assert_int_eq(disc_static_peer_check(bad_peers[_i], &err), -EINVAL);
    ck_assert_ptr_nonnull(strstr(err.text, bad_peers[_i]));
}
END_TEST

START_TEST(unknown_interface_is_refused)
{
    uv_loop_t loop;
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    struct side a = {0};
    struct disc_config config = config_of(&a, DISC_MODE_OFF);
    static const char *const names[] = {"nosuch0"};
    config.interfaces = names;
    struct errmsg err;
    ck_assert_int_eq(disc_start(&loop, &config, &a.disc, &err), -EINVAL);
    ck_assert_ptr_nonnull(strstr(err.text, "nosuch0"));
    finish(&loop, NULL, NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("discovery");
    TCase *tc = tcase_create("discovery");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, two_embedded_find_each_other_see_changes_and_goodbyes);
    tcase_add_test(tc, numeric_static_peer_is_reported_with_its_scope);
    tcase_add_loop_test(tc, closing_at_once_leaves_nothing_behind, DISC_MODE_AUTO,
                        DISC_MODE_OFF + 1);
    tcase_add_loop_test(tc, static_peer_that_makes_no_sense_is_refused, 0, ARRAY_LEN(bad_peers));
    tcase_add_test(tc, unknown_interface_is_refused);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
