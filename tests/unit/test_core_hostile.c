/* What a peer that was let in may say without end, and what of it is kept. */
#include <stdio.h>

#include "mesh/core/exec.h"
#include "mesh/core/peer.h"
#include "tests/lib/core_world.h"
#include "tests/lib/runner.h"

#define FIRST_LINK 1000u
#define ENV_BYTES  (100u << 10)
#define ENV_WORDS  9u
#define MANY_WORDS 20u
#define MEM_BYTES  (UINT64_C(256) << 20)

static struct wire_key key_of(uint32_t number)
{
    return (struct wire_key){
        {0xee, (uint8_t)number, (uint8_t)(number >> 8), (uint8_t)(number >> 16), 1}};
}

static void link_up(struct world *world, uint64_t link, uint32_t number, const char *address)
{
    struct core_event event = {.type = CORE_EVENT_LINK_UP};
    event.link_up.link = link;
    event.link_up.key = key_of(number);
    event.link_up.epoch = number + 1;
    event.link_up.incarnation = 1;
    event.link_up.protocol = WIRE_VERSION_MAX;
    event.link_up.cores = 2;
    event.link_up.name = slice_str("eve");
    event.link_up.arch = slice_str("x86_64");
    event.link_up.address = slice_str(address);
    event.link_up.is_on_link = true;
    world_event(world, 0, &event);
}

static void link_down(struct world *world, uint64_t link)
{
    struct core_event event = {.type = CORE_EVENT_LINK_DOWN};
    event.link_down.link = link;
    event.link_down.end = CORE_LINK_END_CLOSED;
    world_event(world, 0, &event);
}

static void say(struct world *world, uint64_t link, const struct wire_message *message)
{
    struct core_event event = {.type = CORE_EVENT_MESSAGE};
    event.message.link = link;
    event.message.message = message;
    world_event(world, 0, &event);
}

/* --- hearsay -----------------------------------------------------------------------------------
 */

/* Tells of n peers that are not there. */
static void tell(struct world *world, uint64_t link, uint32_t first, uint32_t n, uint64_t version)
{
    struct wire_peer_entry entries[WIRE_PEERS_MAX];
    struct slice address = slice_str("10.0.0.250:9");
    for (uint32_t at = 0; at < n; at += WIRE_PEERS_MAX) {
        uint32_t n_now = n - at < WIRE_PEERS_MAX ? n - at : WIRE_PEERS_MAX;
        for (uint32_t i = 0; i < n_now; i++) {
            entries[i] = (struct wire_peer_entry){.key = key_of(first + at + i),
                                                  .name = slice_str("legion"),
                                                  .addresses = {.items = &address, .n = 1},
                                                  .version = version,
                                                  .cores = WIRE_CORES_MAX};
        }
        struct wire_message peers = {.type = WIRE_MESSAGE_PEERS};
        peers.peers.items = entries;
        peers.peers.n = n_now;
        say(world, link, &peers);
    }
}

START_TEST(hearsay_leaves_records_for_who_comes)
{
    struct world *world = world_new(1);
    world_start(world, 0, false);
    for (uint32_t i = 0; i < 2 * CORE_HEARSAY_MAX / CORE_TOLD_MAX; i++) { /* hosts */
        char address[32];
        snprintf(address, sizeof(address), "10.0.1.%u:7", i);
        link_up(world, FIRST_LINK, 1 + i, address);
        tell(world, FIRST_LINK, 1000 * (i + 1), CORE_TOLD_MAX, UINT64_C(1) << 32);
        link_down(world, FIRST_LINK);
    }
    ck_assert_uint_ge(core_counts(world_core(world, 0)).n_peers, CORE_HEARSAY_MAX);
    ck_assert_uint_lt(core_counts(world_core(world, 0)).n_peers, CORE_HEARSAY_MAX + 64);
    world_start(world, 1, true);
    world_run_for(world, 2 * CORE_S);
    const struct core_peer *peer =
        core_peer_find(world_core(world, 0), &world_config(world, 1)->key);
    ck_assert(peer != NULL && peer->link != NULL);
    world_free(world);
}
END_TEST

/* Under however many keys it tells; and what has turned out to be there does not count. */
START_TEST(one_host_tells_of_so_many_and_no_more)
{
    struct world *world = world_new(1);
    world_start(world, 0, false);
    const struct core *core = world_core(world, 0);
    link_up(world, FIRST_LINK, 1, "10.0.0.66:7");
    link_up(world, FIRST_LINK + 1, 2, "10.0.0.66:8");
    link_up(world, FIRST_LINK + 2, 3, "10.0.0.67:7");
    uint32_t n_before = core_counts(core).n_peers;
    tell(world, FIRST_LINK, 1000, CORE_TOLD_MAX - 1, UINT64_C(1) << 32);
    tell(world, FIRST_LINK + 1, 2000, CORE_TOLD_MAX, UINT64_C(1) << 32);
    ck_assert_uint_eq(core_counts(core).n_peers, n_before + CORE_TOLD_MAX);
    tell(world, FIRST_LINK + 2, 3000, 10, UINT64_C(1) << 32); /* another one's word */
    ck_assert_uint_eq(core_counts(core).n_peers, n_before + CORE_TOLD_MAX + 10);
    link_up(world, FIRST_LINK + 3, 1000, "10.0.0.68:7");
    tell(world, FIRST_LINK, 4000, 10, UINT64_C(1) << 32);
    ck_assert_uint_eq(core_counts(core).n_peers, n_before + CORE_TOLD_MAX + 11);
    link_down(world, FIRST_LINK);
    link_down(world, FIRST_LINK + 1);
    link_up(world, FIRST_LINK + 4, 4, "10.0.0.66:9"); /* it comes back, under another key */
    n_before = core_counts(core).n_peers;
    tell(world, FIRST_LINK + 4, 5000, 10, UINT64_C(1) << 32);
    ck_assert_uint_eq(core_counts(core).n_peers, n_before);
    world_free(world);
}
END_TEST

/* How many of them are known under that version. */
static uint32_t n_of_version(struct world *world, uint32_t first, uint32_t n, uint64_t version)
{
    uint32_t n_found = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct wire_key key = key_of(first + i);
        const struct core_card *card = core_card_find(world_core(world, 0), &key);
        n_found += card != NULL && card->version == version;
    }
    return n_found;
}

START_TEST(one_host_is_heard_at_a_rate)
{
    struct world *world = world_new(2);
    world_start(world, 0, false);
    link_up(world, FIRST_LINK, 1, "10.0.0.66:7");
    link_up(world, FIRST_LINK + 1, 2, "10.0.0.66:8"); /* a second key of it */
    uint64_t version = UINT64_C(1) << 32;
    uint32_t n_told = 0;
    for (; n_told < CORE_HEAR_BURST; n_told += CORE_TOLD_MAX) {
        tell(world, FIRST_LINK, 1000, CORE_TOLD_MAX, ++version);
    }
    ck_assert_uint_eq(n_of_version(world, 1000, CORE_TOLD_MAX, version), CORE_TOLD_MAX);
    tell(world, FIRST_LINK + 1, 1000, CORE_TOLD_MAX, version + 1);
    ck_assert_uint_eq(n_of_version(world, 1000, CORE_TOLD_MAX, version + 1), 0);
    world_run_for(world, CORE_S / 2);
    tell(world, FIRST_LINK, 1000, CORE_TOLD_MAX, version + 1);
    uint32_t n = n_of_version(world, 1000, CORE_TOLD_MAX, version + 1);
    ck_assert(n >= CORE_HEAR_PER_S / 2 - 2 && n <= CORE_HEAR_PER_S / 2 + 2);
    world_free(world);
}
END_TEST

/* --- keys --------------------------------------------------------------------------------------
 */

START_TEST(a_host_that_changes_its_key_all_the_time_is_not_remembered_for_each)
{
    struct world *world = world_new(3);
    world_start(world, 0, false);
    for (uint32_t i = 0; i < 1000; i++) {
        char address[32];
        snprintf(address, sizeof(address), "10.0.0.66:%u", 1000 + i);
        link_up(world, FIRST_LINK + i % 8, 100 + i, address);
        world_run_for(world, CORE_MS);
        link_down(world, FIRST_LINK + i % 8);
        world_run_for(world, 200 * CORE_MS); /* it is given up by then */
        ck_assert_uint_le(core_counts(world_core(world, 0)).n_peers, CORE_HOST_KEYS_MAX + 4);
    }
    world_free(world);
}
END_TEST

/* --- work --------------------------------------------------------------------------------------
 */

static void say_job_of(struct world *world, uint64_t link, uint64_t job, uint32_t n_words)
{
    static char word[ENV_BYTES];
    memset(word, 'x', sizeof(word));
    memcpy(word, "A=", 2);
    struct slice env[MANY_WORDS];
    for (unsigned i = 0; i < n_words; i++) {
        env[i] = slice_of(word, sizeof(word));
    }
    struct wire_message message = {.type = WIRE_MESSAGE_JOB};
    message.job.job = job;
    message.job.spec.cores = 1;
    message.job.spec.lease_ms = 86400000;
    message.job.spec.env.items = env;
    message.job.spec.env.n = n_words;
    say(world, link, &message);
}

static void say_job(struct world *world, uint64_t link, uint64_t job)
{
    say_job_of(world, link, job, ENV_WORDS);
}

static bool has_job(struct world *world, uint32_t number, uint64_t job)
{
    struct wire_key key = key_of(number);
    const struct core_peer *owner = core_peer_find(world_core(world, 0), &key);
    return owner != NULL && core_xjob_find(world_core(world, 0), owner, 1, job) != NULL;
}

START_TEST(jobs_of_one_host_leave_memory_for_those_of_others)
{
    struct world *world = world_new(4);
    world_config(world, 0)->mem_bytes = MEM_BYTES;
    world_start(world, 0, false);
    link_up(world, FIRST_LINK, 1, "10.0.0.66:7");
    link_up(world, FIRST_LINK + 1, 2, "10.0.0.66:8");
    link_up(world, FIRST_LINK + 2, 3, "10.0.0.67:7");
    for (uint64_t i = 1; i <= 200; i++) { /* some 180 MiB from two keys */
        say_job(world, FIRST_LINK + i % 2, i);
    }
    const struct core *core = world_core(world, 0);
    ck_assert_uint_le(core->others_bytes, MEM_BYTES / 4 / 2);
    ck_assert(!has_job(world, 1, 200));
    say_job(world, FIRST_LINK + 2, 7);
    ck_assert(has_job(world, 3, 7));
    /* What is over makes room. */
    for (uint64_t i = 1; i <= 200; i++) {
        struct wire_message end = {.type = WIRE_MESSAGE_JOB_END, .job_end = {.job = i}};
        say(world, FIRST_LINK + i % 2, &end);
    }
    say_job(world, FIRST_LINK, 201);
    ck_assert(has_job(world, 1, 201));
    world_free(world);
}
END_TEST

START_TEST(jobs_of_all_hosts_have_a_limit)
{
    struct world *world = world_new(5);
    world_config(world, 0)->mem_bytes = MEM_BYTES;
    world_start(world, 0, false);
    const struct core *core = world_core(world, 0);
    uint32_t n_hosts = 0;
    for (uint64_t before = UINT64_MAX; before != core->others_bytes; n_hosts++) {
        char address[32];
        before = core->others_bytes;
        snprintf(address, sizeof(address), "10.0.1.%u:7", n_hosts + 1);
        link_up(world, FIRST_LINK + n_hosts, 1 + n_hosts, address);
        for (uint64_t job = 1; job <= 100; job++) {
            say_job(world, FIRST_LINK + n_hosts, job);
        }
    }
    ck_assert_uint_gt(n_hosts, 3);
    ck_assert_uint_gt(core->others_bytes + (uint64_t)MANY_WORDS * ENV_BYTES, MEM_BYTES / 4);
    say_job_of(world, FIRST_LINK + n_hosts - 1, 101, MANY_WORDS); /* larger than what is left */
    ck_assert_uint_le(core->others_bytes, MEM_BYTES / 4);
    ck_assert(!has_job(world, n_hosts, 101));
    world_free(world);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("core_hostile");
    TCase *tc = tcase_create("core_hostile");
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, hearsay_leaves_records_for_who_comes);
    tcase_add_test(tc, one_host_tells_of_so_many_and_no_more);
    tcase_add_test(tc, one_host_is_heard_at_a_rate);
    tcase_add_test(tc, a_host_that_changes_its_key_all_the_time_is_not_remembered_for_each);
    tcase_add_test(tc, jobs_of_one_host_leave_memory_for_those_of_others);
    tcase_add_test(tc, jobs_of_all_hosts_have_a_limit);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
