#include <stdio.h>
#include <string.h>

#include "mesh/known_peers.h"
#include "tests/lib/runner.h"
#include "wire/identity.h"

#define NOW_S 1000000000

static struct wire_key key_of(unsigned i)
{
    struct wire_key key = {0};
    key.b[0] = (uint8_t)(i >> 8);
    key.b[1] = (uint8_t)i;
    key.b[2] = 1;
    return key;
}

static bool remember(struct meshd_known_peers *known, unsigned i, const char *address, int64_t now)
{
    struct wire_key key = key_of(i);
    return meshd_known_peers_remember(known, &key, slice_str(address), slice_str("hal"), now);
}

START_TEST(the_last_reached_address_comes_first_and_four_are_kept)
{
    struct meshd_known_peers *known = meshd_known_peers_new();
    static const char *const addresses[] = {"10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1",
                                            "10.0.0.4:1", "10.0.0.5:1", "10.0.0.3:1"};
    for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
        ck_assert(remember(known, 1, addresses[i], NOW_S));
    }
    ck_assert_uint_eq(meshd_known_peers_count(known), 1);
    const struct meshd_known_peer *peer = meshd_known_peers_at(known, 0);
    ck_assert_uint_eq(peer->n_addresses, 4);
    ck_assert_str_eq(peer->addresses[0], "10.0.0.3:1");
    ck_assert_str_eq(peer->addresses[1], "10.0.0.5:1");
    ck_assert_str_eq(peer->addresses[2], "10.0.0.4:1");
    ck_assert_str_eq(peer->addresses[3], "10.0.0.2:1");
    meshd_known_peers_free(known);
}
END_TEST

START_TEST(what_is_known_already_needs_no_writing)
{
    struct meshd_known_peers *known = meshd_known_peers_new();
    ck_assert(remember(known, 1, "10.0.0.1:1", NOW_S));
    ck_assert(!remember(known, 1, "10.0.0.1:1", NOW_S + 10));
    ck_assert(remember(known, 1, "10.0.0.1:1", NOW_S + 7200));
    meshd_known_peers_free(known);
}
END_TEST

START_TEST(the_longest_unseen_peer_makes_room)
{
    struct meshd_known_peers *known = meshd_known_peers_new();
    for (unsigned i = 0; i < MESHD_KNOWN_PEERS_MAX; i++) {
        char address[32];
        snprintf(address, sizeof(address), "10.0.%u.%u:1", i >> 8, i & 0xff);
        ck_assert(remember(known, i, address, NOW_S + (i == 77 ? -1 : (int64_t)i)));
    }
    ck_assert(remember(known, MESHD_KNOWN_PEERS_MAX, "10.1.0.1:1", NOW_S));
    ck_assert_uint_eq(meshd_known_peers_count(known), MESHD_KNOWN_PEERS_MAX);
    struct wire_key gone = key_of(77);
    for (size_t i = 0; i < MESHD_KNOWN_PEERS_MAX; i++) {
        ck_assert(!wire_key_eq(&meshd_known_peers_at(known, i)->key, &gone));
    }
    meshd_known_peers_free(known);
}
END_TEST

START_TEST(a_host_with_many_keys_pushes_out_its_own)
{
    struct meshd_known_peers *known = meshd_known_peers_new();
    remember(known, 9999, "10.0.0.2:1", NOW_S - 1);
    for (unsigned i = 0; i < 10 * MESHD_KNOWN_HOST_MAX; i++) {
        char address[32];
        snprintf(address, sizeof(address), "10.0.0.1:%u", i + 1);
        ck_assert(remember(known, i, address, NOW_S + i));
    }
    ck_assert_uint_eq(meshd_known_peers_count(known), MESHD_KNOWN_HOST_MAX + 1);
    struct wire_key kept = key_of(9999);
    ck_assert(wire_key_eq(&meshd_known_peers_at(known, 0)->key, &kept));
    meshd_known_peers_free(known);
}
END_TEST

START_TEST(what_is_written_is_read_back)
{
    struct meshd_known_peers *known = meshd_known_peers_new();
    remember(known, 1, "[fe80::1%eth0]:6374", NOW_S);
    remember(known, 1, "10.0.0.1:6374", NOW_S);
    remember(known, 2, "10.0.0.2:6374", NOW_S + 1);
    struct buf first, second;
    buf_init(&first, 65536);
    buf_init(&second, 65536);
    meshd_known_peers_format(known, &first);
    struct meshd_known_peers *again = meshd_known_peers_new();
    ck_assert_uint_eq(meshd_known_peers_parse(again, buf_slice(&first), NOW_S + 2), 0);
    meshd_known_peers_format(again, &second);
    ck_assert(first.n > 0 && slice_eq(buf_slice(&first), buf_slice(&second)));
    buf_done(&first);
    buf_done(&second);
    meshd_known_peers_free(known);
    meshd_known_peers_free(again);
}
END_TEST

START_TEST(old_and_broken_lines_are_skipped_and_counted)
{
    char text[2048];
    char key[WIRE_KEY_TEXT_BYTES];
    struct wire_key one = key_of(1);
    wire_key_text(&one, key);
    snprintf(text, sizeof(text),
             "nonsense\n"
             "%s\n"
             "%s 12 10.0.0.1:1 old\n"
             "%s x 10.0.0.1:1 hal\n"
             "\n"
             "%s %d 10.0.0.1:1 hal\n"
             "%s %d 10.0.0.2:1 twice\n",
             key, key, key, key, NOW_S, key, NOW_S);
    struct meshd_known_peers *known = meshd_known_peers_new();
    ck_assert_uint_eq(meshd_known_peers_parse(known, slice_str(text), NOW_S + 5), 6);
    ck_assert_uint_eq(meshd_known_peers_count(known), 1);
    ck_assert_str_eq(meshd_known_peers_at(known, 0)->addresses[0], "10.0.0.1:1");
    meshd_known_peers_free(known);
}
END_TEST

START_TEST(an_address_that_would_break_the_file_is_not_kept)
{
    struct meshd_known_peers *known = meshd_known_peers_new();
    ck_assert(!remember(known, 1, "10.0.0.1:1\n", NOW_S));
    ck_assert(!remember(known, 1, "a,b", NOW_S));
    ck_assert(!remember(known, 1, "", NOW_S));
    ck_assert_uint_eq(meshd_known_peers_count(known), 0);
    meshd_known_peers_free(known);
}
END_TEST

START_TEST(a_file_cut_at_any_byte_is_read_without_harm)
{
    struct meshd_known_peers *known = meshd_known_peers_new();
    remember(known, 1, "10.0.0.1:6374", NOW_S);
    remember(known, 2, "10.0.0.2:6374", NOW_S);
    struct buf text;
    buf_init(&text, 65536);
    meshd_known_peers_format(known, &text);
    for (size_t n = 0; n < text.n; n++) {
        struct meshd_known_peers *cut = meshd_known_peers_new();
        meshd_known_peers_parse(cut, slice_of(text.p, n), NOW_S);
        ck_assert_uint_le(meshd_known_peers_count(cut), 2);
        meshd_known_peers_free(cut);
    }
    buf_done(&text);
    meshd_known_peers_free(known);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("known_peers");
    TCase *tcase = tcase_create("known_peers");
    tcase_add_test(tcase, the_last_reached_address_comes_first_and_four_are_kept);
    tcase_add_test(tcase, what_is_known_already_needs_no_writing);
    tcase_add_test(tcase, the_longest_unseen_peer_makes_room);
    tcase_add_test(tcase, a_host_with_many_keys_pushes_out_its_own);
    tcase_add_test(tcase, what_is_written_is_read_back);
    tcase_add_test(tcase, old_and_broken_lines_are_skipped_and_counted);
    tcase_add_test(tcase, an_address_that_would_break_the_file_is_not_kept);
    tcase_add_test(tcase, a_file_cut_at_any_byte_is_read_without_harm);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
