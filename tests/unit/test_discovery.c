/* Two or three instances in one process on loopback: what the sources report, and how they end.
 * Each test draws its own keys, so that other tests on this host's loopback do not matter. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#include "discovery/discovery_internal.h"
#include "tests/lib/runner.h"
#include "wire/base/text.h"

#define DEADLINE_MS 10000

struct side {
    struct disc *disc;
    uint8_t key[DISC_KEY_BYTES];
    char id[16];
    const struct side *other; /* what it waits for */
    unsigned n_found, n_lost, n_cloned, n_warnings;
    char name[DISC_NAME_BYTES_MAX + 1];
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
        side->first = peer->addresses[0];
        snprintf(side->name, sizeof(side->name), "%s", peer->name);
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
    ((struct side *)user)->n_warnings += level == DISC_LOG_WARN;
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

/* Two that share a key, as a copied state directory makes them. */
static bool is_cloned(const struct side *side)
{
    return side->n_cloned > 0;
}

static void start_clone(uv_loop_t *loop, struct side *side, const struct side *of, const char *name)
{
    struct disc_config config = config_of(side, DISC_MODE_EMBEDDED);
    memcpy(side->key, of->key, sizeof(side->key));
    memcpy(config.key, of->key, sizeof(config.key));
    config.id_text = of->id;
    config.name = name;
    struct errmsg err;
    ck_assert_int_eq(disc_start(loop, &config, &side->disc, &err), 0);
}

START_TEST(embedded_clones_are_told_and_one_of_them_stays)
{
    uv_loop_t loop;
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    struct side a = {0};
    struct side b = {0};
    struct side witness = {.other = &a};
    start(&loop, &a, DISC_MODE_EMBEDDED);
    start_clone(&loop, &b, &a, _i == 0 ? "host" : "copy");
    until(&loop, is_cloned, &a);
    until(&loop, is_cloned, &b);
    start(&loop, &witness, DISC_MODE_EMBEDDED);
    until(&loop, is_found, &witness);
    /* When one of the two goes, the other is there, whichever was silent. */
    disc_close(a.disc, on_closed, &a);
    disc_update_cores(b.disc, 9);
    until(&loop, has_nine_cores, &witness);
    ck_assert(a.is_closed);
    ck_assert_uint_eq(a.n_cloned, 1);
    ck_assert_uint_eq(b.n_cloned, 1);
    finish(&loop, &b, &witness);
}
END_TEST

/* --- merging, without a network: reports as the sources make them --- */

#define PEER_KEY_HEX "4242424242424242424242424242424242424242424242424242424242424242"

struct merging {
    uv_loop_t loop;
    struct side side;
    struct side peer;
    int lo;
};

static void merging_init(struct merging *m)
{
    *m = (struct merging){.lo = (int)if_nametoindex("lo")};
    ck_assert_int_eq(uv_loop_init(&m->loop), 0);
    memset(m->peer.key, 0x42, sizeof(m->peer.key));
    m->side.other = &m->peer;
    start(&m->loop, &m->side, DISC_MODE_OFF);
}

static void merging_done(struct merging *m)
{
    finish(&m->loop, &m->side, NULL);
}

static struct disc_report_id id_of(const struct merging *m, int protocol, const char *instance)
{
    struct disc_report_id id = {.ifindex = m->lo, .protocol = protocol};
    ck_assert_uint_le(strlen(instance), DISC_INSTANCE_BYTES_MAX);
    memcpy(id.instance, instance, strlen(instance) + 1);
    return id;
}

static void report_key(struct merging *m, const struct disc_report_id *id, const char *address,
                       uint16_t port, const char *key, const char *cores)
{
    AvahiAddress a;
    ck_assert_ptr_nonnull(avahi_address_parse(address, AVAHI_PROTO_UNSPEC, &a));
    struct sockaddr_storage to;
    disc_sockaddr(&a, id->ifindex, port, &to);
    char id_text[80];
    snprintf(id_text, sizeof(id_text), "id=%s", key);
    const struct slice txt[] = {slice_str("v=1"), slice_str(id_text), slice_str("arch=test"),
                                slice_str(cores)};
    disc_report(m->side.disc, id, &to, txt, ARRAY_LEN(txt));
}

static void report(struct merging *m, const struct disc_report_id *id, const char *address,
                   const char *cores)
{
    report_key(m, id, address, 7946, PEER_KEY_HEX, cores);
}

START_TEST(reports_of_one_key_are_one_peer_until_the_last_is_gone)
{
    struct merging m;
    merging_init(&m);
    struct disc_report_id v4 = id_of(&m, AVAHI_PROTO_INET, "hal k3vq-7d2m");
    struct disc_report_id v6 = id_of(&m, AVAHI_PROTO_INET6, "hal k3vq-7d2m");
    report(&m, &v6, "fe80::1", "cores=4");
    report(&m, &v4, "10.0.0.1", "cores=4");
    ck_assert_uint_eq(m.side.n_found, 2);
    ck_assert_uint_eq(m.side.n_addresses, 2);
    ck_assert_int_eq(m.side.first.ss_family, AF_INET); /* the link-local one stands last */
    report(&m, &v4, "10.0.0.1", "cores=4");            /* nothing new */
    ck_assert_uint_eq(m.side.n_found, 2);
    report(&m, &v4, "10.0.0.1", "cores=8");
    ck_assert_uint_eq(m.side.n_found, 3);
    ck_assert_uint_eq(m.side.cores, 8);
    disc_unreport(m.side.disc, &v4);
    ck_assert_uint_eq(m.side.n_addresses, 1);
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&m.side.first;
    ck_assert_int_eq((int)in6->sin6_scope_id, m.lo);
    ck_assert_uint_eq(m.side.n_lost, 0);
    disc_unreport(m.side.disc, &v6);
    disc_unreport(m.side.disc, &v6);
    ck_assert_uint_eq(m.side.n_lost, 1);
    merging_done(&m);
}
END_TEST

START_TEST(source_that_ends_loses_each_peer_once)
{
    struct merging m;
    merging_init(&m);
    struct disc_report_id v4 = id_of(&m, AVAHI_PROTO_INET, "hal k3vq-7d2m");
    struct disc_report_id v6 = id_of(&m, AVAHI_PROTO_INET6, "hal k3vq-7d2m");
    report(&m, &v4, "10.0.0.1", "cores=4");
    report(&m, &v6, "fe80::1", "cores=4");
    m.side.n_found = 0;
    disc_unreport_all(m.side.disc);
    ck_assert_uint_eq(m.side.n_found, 0);
    ck_assert_uint_eq(m.side.n_lost, 1);
    merging_done(&m);
}
END_TEST

START_TEST(report_from_an_interface_that_is_not_in_use_waits)
{
    struct merging m;
    merging_init(&m);
    struct disc_report_id id = id_of(&m, AVAHI_PROTO_INET, "hal k3vq-7d2m");
    id.ifindex = 1 << 20;
    report(&m, &id, "10.0.0.1", "cores=4");
    ck_assert_uint_eq(m.side.n_found, 0);
    disc_unreport(m.side.disc, &id);
    ck_assert_uint_eq(m.side.n_lost, 0); /* never told of, so not lost */
    report(&m, &id, "10.0.0.1", "cores=4");
    struct disc_report *kept =
        LIST_ENTRY(list_first(&m.side.disc->reports.order), struct disc_report, by_id.order);
    kept->id.ifindex = m.lo; /* as if that interface came into use */
    disc_refilter(m.side.disc);
    ck_assert_uint_eq(m.side.n_found, 1);
    kept->id.ifindex = 1 << 20;
    disc_refilter(m.side.disc);
    ck_assert_uint_eq(m.side.n_lost, 1);
    merging_done(&m);
}
END_TEST

static const char *const not_dialable[] = {"0.0.0.0", "224.0.0.251", "255.255.255.255",
                                           "::",      "ff02::fb",    "::ffff:10.0.0.1"};

START_TEST(address_nobody_can_be_at_is_not_reported)
{
    struct merging m;
    merging_init(&m);
    struct disc_report_id id = id_of(&m, AVAHI_PROTO_INET, "hal k3vq-7d2m");
    report(&m, &id, not_dialable[_i], "cores=4");
    report_key(&m, &id, "10.0.0.1", 0, PEER_KEY_HEX, "cores=4");
    ck_assert_uint_eq(m.side.n_found, 0);
    merging_done(&m);
}
END_TEST

START_TEST(loopback_address_counts_only_from_the_loopback_interface)
{
    struct merging m;
    merging_init(&m);
    struct disc_report_id id = id_of(&m, AVAHI_PROTO_INET, "hal k3vq-7d2m");
    report(&m, &id, "127.0.0.1", "cores=4");
    ck_assert_uint_eq(m.side.n_found, 1);
    id.ifindex = 1 << 20;
    report(&m, &id, "127.0.0.1", "cores=4");
    ck_assert_uint_eq(m.side.disc->reports.n, 1);
    merging_done(&m);
}
END_TEST

START_TEST(own_key_is_ours_at_our_addresses_and_a_clone_elsewhere)
{
    struct merging m;
    merging_init(&m);
    struct disc_report_id id = id_of(&m, AVAHI_PROTO_INET, "hal k3vq-7d2m");
    char own[2 * DISC_KEY_BYTES + 1];
    text_hex(slice_of(m.side.key, sizeof(m.side.key)), own, sizeof(own));
    report_key(&m, &id, "127.0.0.1", 7777, own, "cores=4");
    ck_assert_uint_eq(m.side.n_cloned, 0);
    report_key(&m, &id, "198.51.100.7", 7777, own, "cores=4");
    report_key(&m, &id, "198.51.100.8", 7777, own, "cores=4");
    ck_assert_uint_eq(m.side.n_cloned, 1); /* not a line for each packet */
    ck_assert_uint_eq(m.side.n_found, 0);
    merging_done(&m);
}
END_TEST

static const char *const instances[][2] = {
    {"hal k3vq-7d2m", "hal"},
    {"hal k3vq-7d2m #2", "hal"},
    {"my host k3vq-7d2m", "my host"},
    {"my #1 k3vq-7d2m #12", "my #1"},
    {"nospace", "nospace"},
    {"hal #x", "hal"},
    {" k3vq-7d2m", ""},
    {"#2", "#2"},
};

START_TEST(host_name_is_the_instance_without_id_and_number)
{
    struct merging m;
    merging_init(&m);
    struct disc_report_id id = id_of(&m, AVAHI_PROTO_INET, instances[_i][0]);
    report(&m, &id, "10.0.0.1", "cores=4");
    ck_assert_str_eq(m.side.name, instances[_i][1]);
    merging_done(&m);
}
END_TEST

START_TEST(strangers_beyond_the_limit_are_told_of_once)
{
    struct merging m;
    merging_init(&m);
    for (unsigned i = 0; i < DISC_PEERS_MAX + 2; i++) {
        char instance[32];
        char key[2 * DISC_KEY_BYTES + 1];
        snprintf(instance, sizeof(instance), "h %u", i);
        snprintf(key, sizeof(key), "%064x", i);
        struct disc_report_id id = id_of(&m, AVAHI_PROTO_INET, instance);
        report_key(&m, &id, "10.0.0.1", 7946, key, "cores=4");
    }
    ck_assert_uint_eq(m.side.disc->peers.n, DISC_PEERS_MAX);
    ck_assert_uint_eq(m.side.n_warnings, 1);
    merging_done(&m);
}
END_TEST

static void report_number(struct merging *m, unsigned i)
{
    char instance[32];
    char key[2 * DISC_KEY_BYTES + 1];
    snprintf(instance, sizeof(instance), "h %u", i);
    snprintf(key, sizeof(key), "%064x", i);
    struct disc_report_id id = id_of(m, AVAHI_PROTO_INET, instance);
    report_key(m, &id, "10.0.0.1", 7946, key, "cores=4");
}

static bool has_number(const struct merging *m, unsigned i)
{
    uint8_t key[DISC_KEY_BYTES] = {0};
    key[DISC_KEY_BYTES - 2] = (uint8_t)(i >> 8);
    key[DISC_KEY_BYTES - 1] = (uint8_t)i;
    return table_find(&m->side.disc->peers, key) != NULL;
}

#define KNOWN_UP_TO 3u

static bool is_among_the_first(void *user, const uint8_t key[DISC_KEY_BYTES])
{
    return key[DISC_KEY_BYTES - 1] < KNOWN_UP_TO && key[DISC_KEY_BYTES - 2] == 0;
}

/* A flood of strangers: those that were ever proved stay, and come in; newcomers get a chance. */
START_TEST(known_peers_stay_and_strangers_make_room_for_some_others)
{
    struct merging m;
    merging_init(&m);
    m.side.disc->callbacks.is_known = is_among_the_first;
    for (unsigned i = 1; i < 11000; i++) {
        report_number(&m, i);
    }
    ck_assert_uint_eq(m.side.disc->peers.n, DISC_PEERS_MAX);
    ck_assert(has_number(&m, 1) && has_number(&m, 2)); /* known, and the first to come */
    ck_assert(!has_number(&m, 3));                     /* the first stranger */
    ck_assert(has_number(&m, DISC_PEERS_MAX + 1));
    ck_assert(!has_number(&m, 10999)); /* one too many for this second */
    report_number(&m, 0);
    ck_assert(has_number(&m, 0)); /* known, however many wait */
    ck_assert_uint_eq(m.side.disc->peers.n, DISC_PEERS_MAX);
    ck_assert_uint_eq(m.side.n_warnings, 1);
    merging_done(&m);
}
END_TEST

static bool has_warning(const struct side *side)
{
    return side->n_warnings > 0;
}

START_TEST(static_peer_that_cannot_be_looked_up_is_warned_of)
{
    uv_loop_t loop;
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    struct side a = {0};
    struct disc_config config = config_of(&a, DISC_MODE_OFF);
    static const char *const peers[] = {"[fe80::1%nosuch0]:7946"};
    config.static_peers = peers;
    config.n_static_peers = 1;
    struct errmsg err;
    ck_assert_int_eq(disc_start(&loop, &config, &a.disc, &err), 0);
    until(&loop, has_warning, &a);
    ck_assert(!a.is_static_found);
    finish(&loop, &a, NULL); /* with a look-up planned */
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
    const uint8_t port[] = {7946 >> 8, 7946 & 0xff}; /* network order */
    ck_assert_mem_eq(&in6->sin6_port, port, sizeof(port));
    finish(&loop, &a, NULL);
}
END_TEST

static bool is_built(enum disc_mode mode)
{
    return mode == DISC_MODE_AVAHI      ? mdns_client_is_built
           : mode == DISC_MODE_EMBEDDED ? mdns_embedded_is_built
                                        : true;
}

START_TEST(mode_that_is_not_built_is_refused_with_another)
{
    uv_loop_t loop;
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    struct side a = {0};
    struct disc_config config = config_of(&a, (enum disc_mode)_i);
    struct errmsg err = {""};
    int r = disc_start(&loop, &config, &a.disc, &err);
    if (is_built((enum disc_mode)_i)) {
        ck_assert_msg(r == 0, "%s", err.text);
        finish(&loop, &a, NULL);
        return;
    }
    ck_assert_int_eq(r, -ENOTSUP);
    ck_assert_ptr_nonnull(strstr(err.text, "; use --discovery "));
    finish(&loop, NULL, NULL);
}
END_TEST

START_TEST(closing_at_once_leaves_nothing_behind)
{
    if (!is_built((enum disc_mode)_i)) {
        return; /* mode_that_is_not_built_is_refused_with_another */
    }
    uv_loop_t loop;
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    struct side a = {0};
    start(&loop, &a, (enum disc_mode)_i);
    finish(&loop, &a, NULL);
}
END_TEST

static const char *const bad_peers[][2] = {
    {"host", "HOST:PORT"},
    {"", "HOST:PORT"},
    {":7946", "HOST:PORT"},
    {"::1:1", "HOST:PORT"},
    {"[::1]", "HOST:PORT"},
    {"[::1:1", "HOST:PORT"},
    {"[]:5", "HOST:PORT"},
    {"host:", "port"},
    {"host:0", "port"},
    {"host:65536", "port"},
    {"host:1x", "port"},
    {"host: 1", "port"},
    {"-host:1", "host name"},
    {"a b:1", "host name"},
    {"fe80%eth0:1", "host name"},
    {"[host]:1", "IPv6"},
    {"[10.0.0.1]:1", "IPv6"},
    {"[fe80::1]:1", "needs its interface"},
    {"[fe80::1%]:1", "interface"},
    {"[fe80::1%sixteen-and-more]:1", "interface"},
};

static const char *const good_peers[] = {"host:1",          "my-host.example.org:65535",
                                         "10.0.0.1:7946",   "[::1]:7946",
                                         "[fe80::1%lo]:80", "[2001:db8::1]:7946"};

START_TEST(static_peer_that_makes_sense_is_accepted)
{
    struct errmsg err = {""};
    int r = disc_static_peer_check(good_peers[_i], &err);
    ck_assert_msg(r == 0, "%s", err.text);
}
END_TEST

START_TEST(static_peer_that_makes_no_sense_is_refused)
{
    struct errmsg err = {""};
    ck_assert_int_eq(disc_static_peer_check(bad_peers[_i][0], &err), -EINVAL);
    ck_assert_ptr_nonnull(strstr(err.text, bad_peers[_i][0]));
    ck_assert_ptr_nonnull(strstr(err.text, bad_peers[_i][1]));
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
    if (mdns_embedded_is_built) {
        tcase_add_test(tc, two_embedded_find_each_other_see_changes_and_goodbyes);
        tcase_add_loop_test(tc, embedded_clones_are_told_and_one_of_them_stays, 0, 2);
    }
    tcase_add_loop_test(tc, mode_that_is_not_built_is_refused_with_another, DISC_MODE_AUTO,
                        DISC_MODE_OFF + 1);
    tcase_add_test(tc, reports_of_one_key_are_one_peer_until_the_last_is_gone);
    tcase_add_test(tc, source_that_ends_loses_each_peer_once);
    tcase_add_test(tc, report_from_an_interface_that_is_not_in_use_waits);
    tcase_add_loop_test(tc, address_nobody_can_be_at_is_not_reported, 0, ARRAY_LEN(not_dialable));
    tcase_add_test(tc, loopback_address_counts_only_from_the_loopback_interface);
    tcase_add_test(tc, own_key_is_ours_at_our_addresses_and_a_clone_elsewhere);
    tcase_add_loop_test(tc, host_name_is_the_instance_without_id_and_number, 0,
                        ARRAY_LEN(instances));
    tcase_add_test(tc, strangers_beyond_the_limit_are_told_of_once);
    tcase_add_test(tc, known_peers_stay_and_strangers_make_room_for_some_others);
    tcase_add_test(tc, static_peer_that_cannot_be_looked_up_is_warned_of);
    tcase_add_test(tc, numeric_static_peer_is_reported_with_its_scope);
    tcase_add_loop_test(tc, closing_at_once_leaves_nothing_behind, DISC_MODE_AUTO,
                        DISC_MODE_OFF + 1);
    tcase_add_loop_test(tc, static_peer_that_makes_sense_is_accepted, 0, ARRAY_LEN(good_peers));
    tcase_add_loop_test(tc, static_peer_that_makes_no_sense_is_refused, 0, ARRAY_LEN(bad_peers));
    tcase_add_test(tc, unknown_interface_is_refused);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
