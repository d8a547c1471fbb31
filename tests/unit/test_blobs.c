/* The blob store on a real directory and a real loop. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mesh/blobs.h"
#include "mesh/partials.h"
#include "tests/lib/runner.h"
#include "wire/blob_hash.h"
#include "wire/identity.h"

static uv_loop_t loop;
static char folder[64];
static int dir_fd;
static struct meshd_blobs *blobs;
static unsigned n_closed;

static unsigned n_puts;
static int put_error;
static struct wire_hash put_hash;
static uint64_t put_bytes;

static void on_closed(void *user)
{
    n_closed++;
}

static void on_put(void *user, int error, const struct wire_hash *hash, uint64_t bytes)
{
    n_puts++;
    put_error = error;
    if (error == 0) {
        put_hash = *hash;
        put_bytes = bytes;
    }
}

static void open_store(uint64_t quota)
{
    struct errmsg err;
    ck_assert_int_eq(meshd_blobs_new(&loop, dir_fd, quota, &blobs, &err), 0);
}

static void close_store(void)
{
    unsigned before = n_closed;
    meshd_blobs_close(blobs, on_closed, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_uint_eq(n_closed, before + 1);
    blobs = NULL;
}

static void set_up(void)
{
    ck_assert_int_eq(wire_init(), 0);
    snprintf(folder, sizeof(folder), "/tmp/mesh-blobs-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    dir_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    n_puts = 0;
    open_store(1000000);
}

static int remove_one(const char *name, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(name);
}

static void tear_down(void)
{
    if (blobs != NULL) {
        close_store();
    }
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    close(dir_fd);
    ck_assert_int_eq(nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static int file_of(const void *p, size_t n)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, p, n), (ssize_t)n);
    return fd;
}

/* Stores n bytes of this value and gives their hash; the blob is not held afterwards. */
static struct wire_hash put(int value, size_t n)
{
    uint8_t *bytes = malloc(n);
    memset(bytes, value, n);
    unsigned before = n_puts;
    ck_assert_int_eq(meshd_blobs_put(blobs, file_of(bytes, n), on_put, NULL), 0);
    ck_assert_uint_eq(n_puts, before);
    while (n_puts == before) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    free(bytes);
    ck_assert_int_eq(put_error, 0);
    meshd_blobs_unhold(blobs, &put_hash);
    return put_hash;
}

static int count_files(void)
{
    int fd = openat(dir_fd, "blobs", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fdopendir(fd);
    int n = 0;
    ck_assert_ptr_nonnull(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        n += entry->d_name[0] != '.';
    }
    closedir(dir);
    return n;
}

START_TEST(a_file_is_stored_under_its_hash_and_read_back)
{
    char text[8] = {0};
    struct wire_hash wanted = wire_blob_hash(slice_str("aaaaa"));
    struct wire_hash hash = put('a', 5);
    int fd;
    uint64_t bytes;
    ck_assert(wire_hash_eq(&hash, &wanted));
    ck_assert_uint_eq(put_bytes, 5);
    ck_assert_int_eq(meshd_blobs_open(blobs, &hash, &fd, &bytes), 0);
    ck_assert_uint_eq(bytes, 5);
    ck_assert_int_eq(read(fd, text, sizeof(text)), 5);
    ck_assert_str_eq(text, "aaaaa");
    ck_assert_int_lt(write(fd, "x", 1), 0);
    close(fd);
}
END_TEST

START_TEST(an_empty_file_is_a_blob_too)
{
    struct wire_hash hash = put('a', 0);
    ck_assert(meshd_blobs_has(blobs, &hash));
    ck_assert_uint_eq(put_bytes, 0);
}
END_TEST

START_TEST(the_same_bytes_are_stored_once)
{
    put('a', 1000);
    put('a', 1000);
    ck_assert_uint_eq(meshd_blobs_counts(blobs).n_blobs, 1);
    ck_assert_uint_eq(meshd_blobs_counts(blobs).used_bytes, 1000);
    ck_assert_int_eq(count_files(), 1);
}
END_TEST

START_TEST(what_is_no_regular_file_is_refused)
{
    int fds[2];
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    ck_assert_int_eq(meshd_blobs_put(blobs, fds[0], on_put, NULL), -EINVAL);
    close(fds[1]);
    ck_assert_int_lt(fcntl(fds[0], F_GETFD), 0); /* taken all the same */
}
END_TEST

START_TEST(the_longest_unused_goes_when_room_is_needed)
{
    struct wire_hash a = put('a', 400000), b = put('b', 400000);
    int fd;
    uint64_t bytes;
    ck_assert_int_eq(meshd_blobs_open(blobs, &a, &fd, &bytes), 0);
    close(fd);
    struct wire_hash c = put('c', 400000);
    ck_assert(meshd_blobs_has(blobs, &a) && meshd_blobs_has(blobs, &c));
    ck_assert(!meshd_blobs_has(blobs, &b));
    ck_assert_uint_eq(meshd_blobs_counts(blobs).used_bytes, 800000);
    ck_assert_int_eq(count_files(), 2);
}
END_TEST

START_TEST(what_is_pinned_or_held_is_never_dropped)
{
    struct wire_hash a = put('a', 400000), b = put('b', 400000);
    meshd_blobs_pin(blobs, &a);
    meshd_blobs_hold(blobs, &b);
    uint8_t *bytes = calloc(1, 400000);
    ck_assert_int_eq(meshd_blobs_put(blobs, file_of(bytes, 400000), on_put, NULL), -ENOSPC);
    ck_assert(meshd_blobs_has(blobs, &a) && meshd_blobs_has(blobs, &b));
    meshd_blobs_unpin(blobs, &a);
    put('c', 400000);
    ck_assert(!meshd_blobs_has(blobs, &a) && meshd_blobs_has(blobs, &b));
    meshd_blobs_unhold(blobs, &b);
    free(bytes);
}
END_TEST

START_TEST(more_than_the_quota_is_refused_without_dropping_what_is_pinned)
{
    struct wire_hash a = put('a', 10);
    meshd_blobs_pin(blobs, &a);
    struct meshd_blob_part *part;
    ck_assert_int_eq(meshd_blob_part_new(blobs, 1000001, &part), -ENOSPC);
    ck_assert_int_eq(meshd_blob_part_new(blobs, UINT64_MAX, &part), -ENOSPC);
    ck_assert(meshd_blobs_has(blobs, &a));
}
END_TEST

START_TEST(a_blob_in_pieces_is_whole_or_not_there)
{
    struct wire_hash hash = wire_blob_hash(slice_str("hello world"));
    struct meshd_blob_part *part;
    ck_assert_int_eq(meshd_blob_part_new(blobs, 11, &part), 0);
    ck_assert_uint_eq(meshd_blobs_counts(blobs).used_bytes, 11);
    ck_assert_int_eq(meshd_blob_part_append(part, slice_str("hello ")), 0);
    ck_assert(!meshd_blobs_has(blobs, &hash));
    ck_assert_int_eq(meshd_blob_part_append(part, slice_str("world!")), -EFBIG);
    ck_assert_int_eq(meshd_blob_part_append(part, slice_str("world")), 0);
    ck_assert_uint_eq(meshd_blob_part_bytes(part), 11);
    ck_assert_int_eq(meshd_blob_part_finish(part, &hash), 0);
    meshd_blob_part_free(part);
    ck_assert(meshd_blobs_has(blobs, &hash));
    ck_assert_int_eq(count_files(), 1);
    meshd_blobs_unhold(blobs, &hash);
}
END_TEST

START_TEST(pieces_of_another_hash_are_thrown_away)
{
    struct wire_hash hash = wire_blob_hash(slice_str("hello"));
    struct meshd_blob_part *part;
    ck_assert_int_eq(meshd_blob_part_new(blobs, 5, &part), 0);
    ck_assert_int_eq(meshd_blob_part_append(part, slice_str("hallo")), 0);
    ck_assert_int_eq(meshd_blob_part_finish(part, &hash), -EBADMSG);
    meshd_blob_part_free(part);
    ck_assert(!meshd_blobs_has(blobs, &hash));
    ck_assert_uint_eq(meshd_blobs_counts(blobs).used_bytes, 0);
    ck_assert_int_eq(count_files(), 0);
}
END_TEST

/* --- unfinished ones ------------------------------------------------------------------------- */

static const struct wire_key lily = {{1}};
static const struct wire_key max = {{2}};

/* A blob of 11 bytes, of which some came. */
static struct meshd_blob_part *begun(const char *text)
{
    struct meshd_blob_part *part;
    ck_assert_int_eq(meshd_blob_part_new(blobs, 11, &part), 0);
    ck_assert_int_eq(meshd_blob_part_append(part, slice_str(text)), 0);
    return part;
}

static void close_partials(struct meshd_partials *partials)
{
    unsigned before = n_closed;
    meshd_partials_close(partials, on_closed, NULL);
    while (n_closed == before) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    ck_assert_uint_eq(meshd_blobs_counts(blobs).used_bytes, 0);
    ck_assert_int_eq(count_files(), 0);
}

START_TEST(an_unfinished_blob_is_gone_on_with_from_the_same_peer)
{
    struct meshd_partials partials;
    struct wire_hash hash = wire_blob_hash(slice_str("hello world"));
    struct wire_hash other = wire_blob_hash(slice_str("hello there"));
    meshd_partials_init(&partials, &loop, 60000);
    meshd_partials_keep(&partials, &lily, &hash, 11, begun("hello "));
    ck_assert_ptr_null(meshd_partials_take(&partials, &max, &hash, 11));
    ck_assert_ptr_null(meshd_partials_take(&partials, &lily, &other, 11));
    ck_assert_ptr_null(meshd_partials_take(&partials, &lily, &hash, 12));
    struct meshd_blob_part *part = meshd_partials_take(&partials, &lily, &hash, 11);
    ck_assert_ptr_nonnull(part);
    ck_assert_uint_eq(meshd_blob_part_bytes(part), 6);
    ck_assert_ptr_null(meshd_partials_take(&partials, &lily, &hash, 11));
    part = meshd_blob_part_free(part);
    close_partials(&partials);
}
END_TEST

START_TEST(unfinished_blobs_are_few_and_none_is_kept_that_has_not_begun)
{
    struct meshd_partials partials;
    struct wire_hash hash = wire_blob_hash(slice_str("hello world"));
    meshd_partials_init(&partials, &loop, 60000);
    for (unsigned i = 0; i < MESHD_PARTIALS_MAX + 3; i++) {
        struct wire_key key = {{(uint8_t)i}};
        meshd_partials_keep(&partials, &key, &hash, 11, begun("hello "));
        meshd_partials_keep(&partials, &max, &hash, 11, begun(""));
    }
    ck_assert_uint_eq(partials.n, MESHD_PARTIALS_MAX);
    ck_assert_int_eq(count_files(), MESHD_PARTIALS_MAX);
    ck_assert_ptr_null(meshd_partials_take(&partials, &max, &hash, 11)); /* it was the third */
    close_partials(&partials);
}
END_TEST

START_TEST(an_unfinished_blob_that_nobody_wants_is_dropped_after_a_while)
{
    struct meshd_partials partials;
    struct wire_hash hash = wire_blob_hash(slice_str("hello world"));
    meshd_partials_init(&partials, &loop, 20);
    uv_update_time(&loop);
    meshd_partials_keep(&partials, &lily, &hash, 11, begun("hello "));
    meshd_partials_keep(&partials, &max, &hash, 11, begun("hello "));
    ck_assert_int_eq(count_files(), 2);
    uv_run(&loop, UV_RUN_DEFAULT); /* until no timer is left */
    ck_assert_uint_eq(partials.n, 0);
    ck_assert_int_eq(count_files(), 0);
    close_partials(&partials);
}
END_TEST

START_TEST(a_restart_finds_the_blobs_and_drops_what_was_unfinished)
{
    struct wire_hash a = put('a', 1000);
    close_store();
    int fd = openat(dir_fd, "blobs/new.99", O_CREAT | O_WRONLY, 0600);
    close(fd);
    open_store(1000000);
    ck_assert(meshd_blobs_has(blobs, &a));
    ck_assert_uint_eq(meshd_blobs_counts(blobs).used_bytes, 1000);
    ck_assert_int_eq(count_files(), 1);
}
END_TEST

START_TEST(a_smaller_quota_at_a_restart_drops_the_rest)
{
    put('a', 1000);
    put('b', 1000);
    close_store();
    open_store(1500);
    ck_assert_uint_eq(meshd_blobs_counts(blobs).n_blobs, 1);
}
END_TEST

static void verify(const struct wire_hash *hash)
{
    unsigned before = n_puts;
    ck_assert_int_eq(meshd_blobs_verify(blobs, hash, on_put, NULL), 0);
    while (n_puts == before) {
        uv_run(&loop, UV_RUN_ONCE);
    }
}

START_TEST(a_blob_of_an_earlier_life_is_hashed_before_use)
{
    struct wire_hash a = put('a', 1000);
    close_store();
    open_store(1000000);
    verify(&a);
    ck_assert_int_eq(put_error, 0);
    meshd_blobs_unhold(blobs, &a);
}
END_TEST

START_TEST(a_torn_blob_is_found_and_dropped)
{
    char name[WIRE_HASH_TEXT_BYTES], path[160];
    struct wire_hash a = put('a', 1000);
    close_store();
    snprintf(path, sizeof(path), "%s/blobs/%s", folder, wire_hash_text(&a, name));
    int fd = open(path, O_WRONLY);
    ck_assert_int_eq(pwrite(fd, "x", 1, 500), 1);
    close(fd);
    open_store(1000000);
    verify(&a);
    ck_assert_int_eq(put_error, -ENOENT);
    ck_assert(!meshd_blobs_has(blobs, &a));
    ck_assert_int_eq(meshd_blobs_verify(blobs, &a, on_put, NULL), -ENOENT);
}
END_TEST

START_TEST(only_a_peer_that_sent_a_blob_is_known_to_have_it)
{
    struct wire_hash a = put('a', 10);
    struct wire_key keys[5] = {0};
    for (uint8_t i = 0; i < 5; i++) {
        keys[i].b[0] = i;
    }
    ck_assert(!meshd_blobs_is_known(blobs, &a, &keys[0]));
    meshd_blobs_set_known(blobs, &a, &keys[0]);
    ck_assert(meshd_blobs_is_known(blobs, &a, &keys[0]));
    ck_assert(!meshd_blobs_is_known(blobs, &a, &keys[1]));
    for (unsigned i = 1; i < 5; i++) { /* the oldest has to show it again */
        meshd_blobs_set_known(blobs, &a, &keys[i]);
    }
    ck_assert(!meshd_blobs_is_known(blobs, &a, &keys[0]));
    ck_assert(meshd_blobs_is_known(blobs, &a, &keys[4]));
}
END_TEST

START_TEST(closing_waits_for_what_is_under_way_and_says_nothing_more)
{
    static uint8_t bytes[300000];
    for (int i = 0; i < 3; i++) {
        bytes[0] = (uint8_t)i;
        ck_assert_int_eq(meshd_blobs_put(blobs, file_of(bytes, sizeof(bytes)), on_put, NULL), 0);
    }
    close_store();
    ck_assert_uint_eq(n_puts, 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("blobs");
    TCase *tcase = tcase_create("blobs");
    tcase_set_timeout(tcase, 30);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, a_file_is_stored_under_its_hash_and_read_back);
    tcase_add_test(tcase, an_empty_file_is_a_blob_too);
    tcase_add_test(tcase, the_same_bytes_are_stored_once);
    tcase_add_test(tcase, what_is_no_regular_file_is_refused);
    tcase_add_test(tcase, the_longest_unused_goes_when_room_is_needed);
    tcase_add_test(tcase, what_is_pinned_or_held_is_never_dropped);
    tcase_add_test(tcase, more_than_the_quota_is_refused_without_dropping_what_is_pinned);
    tcase_add_test(tcase, a_blob_in_pieces_is_whole_or_not_there);
    tcase_add_test(tcase, pieces_of_another_hash_are_thrown_away);
    tcase_add_test(tcase, an_unfinished_blob_is_gone_on_with_from_the_same_peer);
    tcase_add_test(tcase, unfinished_blobs_are_few_and_none_is_kept_that_has_not_begun);
    tcase_add_test(tcase, an_unfinished_blob_that_nobody_wants_is_dropped_after_a_while);
    tcase_add_test(tcase, a_restart_finds_the_blobs_and_drops_what_was_unfinished);
    tcase_add_test(tcase, a_smaller_quota_at_a_restart_drops_the_rest);
    tcase_add_test(tcase, a_blob_of_an_earlier_life_is_hashed_before_use);
    tcase_add_test(tcase, a_torn_blob_is_found_and_dropped);
    tcase_add_test(tcase, only_a_peer_that_sent_a_blob_is_known_to_have_it);
    tcase_add_test(tcase, closing_waits_for_what_is_under_way_and_says_nothing_more);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
