/* Facts that come while effects are carried out: after those, in order, each once. The core and the
 * other parts are stood in for here. */
#include <string.h>

#include "mesh/clock.h"
#include "mesh/cores.h"
#include "mesh/meshd_internal.h"
#include "mesh/own_addresses.h"
#include "tests/lib/runner.h"

#define EVENTS_MAX 16

static struct meshd meshd;
static const struct core_event *within; /* told while the effects of the first event are done */
static size_t n_within;
static struct core_event seen[EVENTS_MAX];
static char texts[EVENTS_MAX][64]; /* of those refused */
static size_t n_seen;
static bool is_carrying_out;

/* --- who is stood in for -----------------------------------------------------------------------
 */

void core_step(struct core *core, const struct core_event *event, struct core_effects *effects)
{
    static struct core_effect effect = {.type = CORE_EFFECT_LOG};
    ck_assert(!is_carrying_out);
    ck_assert_uint_lt(n_seen, EVENTS_MAX);
    if (event->type == CORE_EVENT_ATTEMPT_REFUSED) {
        const struct slice *text = &event->attempt_refused.text;
        ck_assert_uint_lt(text->n, sizeof(texts[0]));
        memcpy(texts[n_seen], text->p, text->n);
    }
    seen[n_seen++] = *event;
    effects->items = &effect;
    effects->n = n_seen == 1 ? 1 : 0;
}

void meshd_carry_out(struct meshd *it, const struct core_effect *effect)
{
    char text[] = "no memory";
    is_carrying_out = true;
    for (size_t i = 0; i < n_within; i++) {
        struct core_event event = within[i];
        if (event.type == CORE_EVENT_ATTEMPT_REFUSED) {
            event.attempt_refused.text = slice_str(text);
        }
        meshd_put(it, &event);
    }
    memset(text, 'x', sizeof(text)); /* it was only lent */
    is_carrying_out = false;
}

uint64_t core_next_deadline(const struct core *core)
{
    return UINT64_MAX;
}

uint32_t cores_effective(const char *root)
{
    return meshd.cores_effective;
}

unsigned meshd_own_addresses(const struct meshd_options *options, uint16_t port,
                             char to[static WIRE_PEER_ADDRESSES_MAX][MESHD_ADDRESS_BYTES])
{
    memcpy(to[0], "10.0.0.1:6374", sizeof("10.0.0.1:6374"));
    return 1;
}

uint16_t meshd_links_port(const struct meshd_links *links)
{
    return 6374;
}

void meshd_transfers_on_data(struct meshd_transfers *transfers, uint64_t link,
                             const struct wire_blob_data *data)
{
}

void meshd_transfers_on_refuse(struct meshd_transfers *transfers, uint64_t link,
                               const struct wire_hash *hash)
{
}

void meshd_transfers_on_link_down(struct meshd_transfers *transfers, uint64_t link)
{
    ck_assert(!is_carrying_out);
}

void meshd_links_set_processors(struct meshd_links *links, uint32_t n_processors)
{
}

bool meshd_links_go_on(struct meshd_links *links)
{
    return false;
}

bool meshd_links_flush(struct meshd_links *links)
{
    return false;
}

void meshd_control_flush(struct meshd_control *control)
{
}

/* --- tests -------------------------------------------------------------------------------------
 */

static void set_up(void)
{
    memset(&meshd, 0, sizeof(meshd));
    meshd.host_checked_ns = meshd_clock_ns();
    meshd.deadline.data = &meshd;
    memset(seen, 0, sizeof(seen));
    memset(texts, 0, sizeof(texts));
    list_init(&meshd.deferred);
    n_seen = 0;
    n_within = 0;
}

static void tear_down(void)
{
    meshd_drop_deferred(&meshd);
}

static void put_first(const struct core_event *events, size_t n)
{
    struct core_event first = {.type = CORE_EVENT_CLIENT_MESSAGE};
    within = events;
    n_within = n;
    meshd_put(&meshd, &first);
}

START_TEST(what_comes_within_is_stepped_after_in_order)
{
    const struct core_event events[] = {
        {.type = CORE_EVENT_DIAL_FAILED, .dial_failed = {.dial = 1}},
        {.type = CORE_EVENT_LINK_DOWN, .link_down = {.link = 2}},
        {.type = CORE_EVENT_CLIENT_DOWN, .client_down = {.client = 3}},
        {.type = CORE_EVENT_BLOB_STORED},
        {.type = CORE_EVENT_BLOB_FAILED},
        {.type = CORE_EVENT_TRUST_KEPT, .trust_kept = {.number = 6}},
        {.type = CORE_EVENT_DRAWN},
    };
    put_first(events, ARRAY_LEN(events));
    ck_assert_uint_eq(n_seen, 1 + ARRAY_LEN(events));
    for (size_t i = 0; i < ARRAY_LEN(events); i++) {
        ck_assert_int_eq(seen[i + 1].type, events[i].type);
    }
    ck_assert_uint_eq(seen[1].dial_failed.dial, 1);
    ck_assert_uint_eq(seen[2].link_down.link, 2);
    ck_assert_uint_eq(seen[3].client_down.client, 3);
    ck_assert_uint_eq(seen[6].trust_kept.number, 6);
}
END_TEST

/* A blob that is asked for is served at once, and with its turn comes that of one that has been on
 * its way for long, of which it is time to tell. */
START_TEST(progress_may_be_told_within)
{
    const struct core_event event = {
        .type = CORE_EVENT_BLOB_MOVING,
        .blob_moving = {.link = 5, .n_moved = 100, .n_bytes = 1000, .is_in = true}};
    put_first(&event, 1);
    ck_assert_uint_eq(n_seen, 2);
    ck_assert_int_eq(seen[1].type, CORE_EVENT_BLOB_MOVING);
    ck_assert_uint_eq(seen[1].blob_moving.link, 5);
    ck_assert_uint_eq(seen[1].blob_moving.n_moved, 100);
}
END_TEST

START_TEST(the_text_of_a_refusal_is_kept)
{
    const struct core_event event = {.type = CORE_EVENT_ATTEMPT_REFUSED};
    put_first(&event, 1);
    ck_assert_uint_eq(n_seen, 2);
    ck_assert_str_eq(texts[1], "no memory");
}
END_TEST

/* It may have another address by now, or other processors. */
START_TEST(the_host_is_looked_at_again_from_time_to_time)
{
    meshd.host_checked_ns -= UINT64_C(30000000000); /* below 0, perhaps: it is the difference */
    put_first(NULL, 0);
    ck_assert_uint_eq(n_seen, 2);
    ck_assert_int_eq(seen[1].type, CORE_EVENT_ADDRESS);
    put_first(NULL, 0);
    ck_assert_uint_eq(n_seen, 3); /* not each time */
}
END_TEST

/* However long the journal takes to be read, nothing else comes before its end. */
START_TEST(the_host_is_not_looked_at_before_all_is_set_up)
{
    meshd.host_checked_ns -= UINT64_C(30000000000);
    meshd.deadline.data = NULL;
    put_first(NULL, 0);
    ck_assert_uint_eq(n_seen, 1);
}
END_TEST

START_TEST(nothing_is_heard_after_the_end_began)
{
    struct core_event event = {.type = CORE_EVENT_TICK};
    meshd.is_ending = true;
    meshd_put(&meshd, &event);
    ck_assert_uint_eq(n_seen, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("meshd_step");
    TCase *tc = tcase_create("step");
    tcase_add_checked_fixture(tc, set_up, tear_down);
    tcase_add_test(tc, what_comes_within_is_stepped_after_in_order);
    tcase_add_test(tc, progress_may_be_told_within);
    tcase_add_test(tc, the_text_of_a_refusal_is_kept);
    tcase_add_test(tc, the_host_is_looked_at_again_from_time_to_time);
    tcase_add_test(tc, the_host_is_not_looked_at_before_all_is_set_up);
    tcase_add_test(tc, nothing_is_heard_after_the_end_began);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
