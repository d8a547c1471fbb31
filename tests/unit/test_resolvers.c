/* The services that are resolved: how many at once, how fast, and who makes room for whom. The
 * library that resolves is made up: it counts. */
#include <stdio.h>
#include <string.h>

#include "discovery/resolvers.h"
#include "tests/lib/runner.h"

#define N_MAX       400u
#define DEADLINE_MS 20000u

static uv_loop_t loop;
static struct disc *disc;
static struct resolvers resolvers;
static unsigned n_open, n_opened, n_first_open;

static void *open_one(void *source, struct resolver *resolver)
{
    ck_assert_ptr_eq(source, &loop);
    ck_assert_str_eq(resolver->domain, "local");
    n_open++;
    n_opened++;
    n_first_open += strcmp(resolver->id.instance, "s 0") == 0;
    return resolver;
}

static void close_one(void *avahi)
{
    const struct resolver *resolver = avahi;
    n_open--;
    n_first_open -= strcmp(resolver->id.instance, "s 0") == 0;
}

static void set_up(void)
{
    struct disc_config config = {.mode = DISC_MODE_OFF,
                                 .id_text = "id",
                                 .name = "us",
                                 .arch = "test",
                                 .os = "linux",
                                 .mesh = "",
                                 .version = 1,
                                 .port = 7};
    struct errmsg err;
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    ck_assert_int_eq(disc_start(&loop, &config, &disc, &err), 0);
    resolvers = (struct resolvers){
        .disc = disc, .n_max = N_MAX, .source = &loop, .open = open_one, .close = close_one};
    ck_assert_int_eq(resolvers_init(&resolvers), 0);
    n_opened = 0;
}

static void on_closed(void *user)
{
    *(bool *)user = true;
}

static void tear_down(void)
{
    bool is_closed = false;
    resolvers_done(&resolvers);
    ck_assert_uint_eq(n_open, 0);
    disc_close(disc, on_closed, &is_closed);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert(is_closed);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
}

static void browse(AvahiBrowserEvent event, unsigned number)
{
    char name[32];
    snprintf(name, sizeof(name), "s %u", number);
    resolvers_on_browse(&resolvers, 1, AVAHI_PROTO_INET, event, name, "local");
}

static void add(unsigned from, unsigned n)
{
    uv_update_time(&loop);
    for (unsigned i = 0; i < n; i++) {
        browse(AVAHI_BROWSER_NEW, from + i);
    }
}

/* Turns the loop until so many were opened. */
static void run_until_opened(unsigned n)
{
    uint64_t end_ns = uv_hrtime() + DEADLINE_MS * UINT64_C(1000000);
    while (n_opened < n) {
        ck_assert_msg(uv_hrtime() < end_ns, "%u of %u opened", n_opened, n);
        uv_run(&loop, UV_RUN_ONCE);
    }
}

START_TEST(a_service_that_comes_twice_is_resolved_once_and_closed_when_it_goes)
{
    add(0, 2);
    add(0, 2);
    ck_assert_uint_eq(n_open, 2);
    browse(AVAHI_BROWSER_REMOVE, 1);
    browse(AVAHI_BROWSER_REMOVE, 1);
    ck_assert_uint_eq(n_open, 1);
    ck_assert_uint_eq(resolvers.all.n, 1);
}
END_TEST

/* Each asks the link questions. */
START_TEST(many_at_once_are_resolved_one_after_the_other)
{
    add(0, RESOLVERS_BURST + 20);
    ck_assert_uint_eq(n_opened, RESOLVERS_BURST);
    browse(AVAHI_BROWSER_REMOVE, RESOLVERS_BURST + 1); /* one that waits goes without a word */
    ck_assert_uint_eq(n_open, RESOLVERS_BURST);
    uint64_t start_ns = uv_hrtime();
    run_until_opened(RESOLVERS_BURST + 19);
    uint64_t least_ns = 18 * (UINT64_C(1000000000) / RESOLVERS_PER_S);
    ck_assert_uint_ge(uv_hrtime() - start_ns + 10000000, least_ns);
    ck_assert(list_is_empty(&resolvers.waiting));
}
END_TEST

/* The flood: no more than there may be, and the first comer makes room, for some others a second.
 */
START_TEST(beyond_the_limit_strangers_make_room_for_some_others)
{
    add(0, N_MAX);
    ck_assert_uint_eq(n_first_open, 1);
    uint64_t start_ms = uv_now(&loop);
    add(N_MAX, 10000);
    uint64_t n_seconds = 1 + (uv_now(&loop) - start_ms) / 1000 + 1;
    ck_assert_uint_eq(resolvers.all.n, N_MAX);
    ck_assert_uint_eq(n_first_open, 0);
    unsigned n_new = 0;
    table_for_each (entry, &resolvers.all) {
        unsigned number = 0;
        const struct resolver *resolver = CONTAINER_OF(entry, struct resolver, by_id);
        ck_assert_int_eq(sscanf(resolver->id.instance, "s %u", &number), 1);
        n_new += number >= N_MAX;
    }
    ck_assert(n_new >= 1 && n_new <= n_seconds * DISC_STRANGERS_PER_S);
}
END_TEST

/* What a report says of a key that was ever proved is not what makes room. */
static bool is_known(void *user, const uint8_t key[DISC_KEY_BYTES])
{
    return key[0] == 0x42;
}

START_TEST(a_known_peer_makes_no_room)
{
    static const char id_text[] =
        "id=4242424242424242424242424242424242424242424242424242424242424242";
    const struct slice txt[] = {slice_str("v=1"), slice_str(id_text), slice_str("arch=test"),
                                slice_str("cores=4")};
    disc->callbacks.is_known = is_known;
    add(0, N_MAX);
    struct disc_report_id id = {.ifindex = 1, .protocol = AVAHI_PROTO_INET, .instance = "s 0"};
    AvahiAddress a;
    struct sockaddr_storage address;
    ck_assert_ptr_nonnull(avahi_address_parse("10.0.0.1", AVAHI_PROTO_UNSPEC, &a));
    disc_sockaddr(&a, 1, 7946, &address);
    disc_report(disc, &id, &address, txt, ARRAY_LEN(txt));
    add(N_MAX, 10000);
    ck_assert_uint_eq(resolvers.all.n, N_MAX);
    ck_assert_uint_eq(n_first_open, 1);
    ck_assert(disc_is_of_known(disc, &id));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("resolvers");
    TCase *tc = tcase_create("resolvers");
    tcase_set_timeout(tc, 30);
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, a_service_that_comes_twice_is_resolved_once_and_closed_when_it_goes);
    tcase_add_test(tc, many_at_once_are_resolved_one_after_the_other);
    tcase_add_test(tc, beyond_the_limit_strangers_make_room_for_some_others);
    tcase_add_test(tc, a_known_peer_makes_no_room);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
