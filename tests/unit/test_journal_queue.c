/* Queues in the journal: what is told of them in the next life, and the blobs of large items. */
#include <string.h>

#include "tests/lib/journal_fixture.h"
#include "tests/lib/runner.h"

/* Items 1 and up of queue 1: these bytes, and the blob as often as asked. */
static void say_items(const char *bytes, const struct wire_hash *blob, uint32_t n_blobs)
{
    struct wire_queue_bytes items[4] = {{.bytes = slice_str(bytes)}};
    struct core_effect queue = jt_record(CORE_RECORD_QUEUE, 1);
    queue.journal.queue.name = slice_str("q");
    jt_say(&queue);
    for (uint32_t i = 1; i <= n_blobs; i++) {
        items[i] = (struct wire_queue_bytes){.hash = *blob, .blob_bytes = 100};
    }
    struct core_effect put = jt_record(CORE_RECORD_QUEUE_PUT, 1);
    put.journal.queue_put.name = slice_str("q");
    put.journal.queue_put.first = 1;
    put.journal.queue_put.request = 5;
    put.journal.queue_put.putter.b[0] = 1;
    put.journal.queue_put.items = (struct wire_queue_items){.items = items, .n = 1 + n_blobs};
    jt_say(&put);
    jt_await_said();
}

static void say_item_done(uint64_t item)
{
    struct core_effect effect = jt_record(CORE_RECORD_QUEUE_DONE, 1);
    effect.journal.queue_done.item = item;
    effect.journal.queue_done.hand = 9;
    jt_say(&effect);
    jt_await_said();
}

/* What nobody holds goes; waits until the thread has said so. */
static bool goes(const struct wire_hash *hash)
{
    for (unsigned i = 0; i < 200 && meshd_blobs_has(jt_blobs, hash); i++) {
        uv_run(&jt_loop, UV_RUN_NOWAIT);
        jt_crowd_out();
    }
    return !meshd_blobs_has(jt_blobs, hash);
}

START_TEST(a_large_item_stays_until_the_last_of_it_is_done)
{
    struct wire_hash blob = jt_put_blob('F', 100);
    say_items("abc", &blob, 2);
    jt_crowd_out();
    jt_stop();
    jt_start();
    jt_crowd_out();
    ck_assert_uint_eq(jt_seen.n_queues, 1);
    ck_assert_uint_eq(jt_seen.n_putters, 1);
    ck_assert_uint_eq(jt_seen.n_items, 3);
    ck_assert_str_eq(jt_seen.bytes[0], "abc");
    ck_assert_uint_eq(jt_seen.items[0].content.blob_bytes, 0);
    for (unsigned i = 1; i < 3; i++) {
        ck_assert_uint_eq(jt_seen.items[i].number, i + 1);
        ck_assert_uint_eq(jt_seen.items[i].content.blob_bytes, 100);
        ck_assert_mem_eq(&jt_seen.items[i].content.hash, &blob, sizeof(blob));
    }
    say_item_done(2);
    jt_crowd_out();
    jt_crowd_out();
    ck_assert(meshd_blobs_has(jt_blobs, &blob)); /* the third has it as well */
    say_item_done(3);
    ck_assert(goes(&blob));
    jt_stop();
    jt_start();
    ck_assert_uint_eq(jt_seen.n_items, 3); /* two of them done */
    ck_assert_uint_eq(jt_seen.items[2].content.blob_bytes, 0);
    ck_assert_uint_eq(jt_seen.items[2].hand, 9);
}
END_TEST

START_TEST(a_large_item_goes_with_its_queue)
{
    struct wire_hash blob = jt_put_blob('F', 100);
    say_items("abc", &blob, 1);
    jt_crowd_out();
    ck_assert(meshd_blobs_has(jt_blobs, &blob));
    jt_say_plain(CORE_RECORD_QUEUE_REMOVED, 1);
    jt_await_said();
    ck_assert(goes(&blob));
    jt_stop();
    jt_start();
    ck_assert_uint_eq(jt_seen.n_queues + jt_seen.n_items, 0);
}
END_TEST

/* The rest of the queue is there all the same. */
START_TEST(a_large_item_that_is_lost_is_left_out)
{
    struct wire_hash blob;
    memset(&blob, 7, sizeof(blob)); /* never stored */
    say_items("abc", &blob, 1);
    jt_stop();
    jt_start();
    ck_assert_uint_eq(jt_seen.n_items, 1);
    ck_assert_str_eq(jt_seen.bytes[0], "abc");
    ck_assert(jt_is_logged("an item of a queue is lost"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("journal_queue");
    TCase *tc = tcase_create("journal_queue");
    tcase_add_checked_fixture(tc, jt_set_up, jt_tear_down);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, a_large_item_stays_until_the_last_of_it_is_done);
    tcase_add_test(tc, a_large_item_goes_with_its_queue);
    tcase_add_test(tc, a_large_item_that_is_lost_is_left_out);
    suite_add_tcase(s, tc);
    return run_suite(s);
}
