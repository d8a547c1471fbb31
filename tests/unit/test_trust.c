/* What a peer keeps of its mesh: the file, and the door and the events that the shell makes of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mesh/state_dir.h"
#include "mesh/trust.h"
#include "mesh/trust_file.h"
#include "tests/lib/runner.h"
#include "wire/identity.h"

static char folder[64];
static int dir_fd;
static struct errmsg err;

static void set_up(void)
{
    ck_assert_int_eq(wire_init(), 0);
    snprintf(folder, sizeof(folder), "/tmp/mesh-trust-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    dir_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_ge(dir_fd, 0);
    err.text[0] = '\0';
}

static void tear_down(void)
{
    static const char *const names[] = {"trust", ".trust.new", "elsewhere"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (unlinkat(dir_fd, names[i], 0) < 0) {
            IGNORE(unlinkat(dir_fd, names[i], AT_REMOVEDIR)); /* most are not there */
        }
    }
    close(dir_fd);
    ck_assert_int_eq(rmdir(folder), 0);
}

/* A state with some of everything, or with as much as there can be. */
static struct meshd_trust_kept *make(bool is_full)
{
    struct meshd_trust_kept *kept;
    ck_assert_int_eq(meshd_trust_load(dir_fd, &kept, &err), 0);
    struct core_trust_state *state = &kept->state;
    uint64_t generation = is_full ? (UINT64_C(1) << 63) - 1 : 9;
    state->present = (struct core_secret){generation, {{0x5e, 1}}};
    state->n_olds = is_full ? CORE_OLDS_MAX : 2;
    for (uint32_t i = 0; i < state->n_olds; i++) {
        state->olds[i] = (struct core_secret){generation - 1 - i, {{0x0d, (uint8_t)i}}};
    }
    state->is_renewal_due = is_full;
    state->n_members = is_full ? WIRE_MEMBERS_MAX : 3;
    for (uint32_t i = 0; i < state->n_members; i++) {
        kept->members[i].key = (struct wire_key){{1, (uint8_t)(i >> 8), (uint8_t)i}};
        kept->members[i].is_invited_here = i % 2 != 0;
    }
    state->n_bans = is_full ? WIRE_BANS_MAX : 2;
    for (uint32_t i = 0; i < state->n_bans; i++) {
        kept->bans[i].key = (struct wire_key){{2, (uint8_t)(i >> 8), (uint8_t)i}};
        kept->bans[i].generation = is_full ? generation : i;
        kept->bans[i].is_banned = i % 2 == 0;
    }
    state->n_pins = is_full ? WIRE_PINS_MAX : 2;
    for (uint32_t i = 0; i < state->n_pins; i++) {
        kept->pins[i].key = (struct wire_key){{3, (uint8_t)i}};
        kept->pins[i].key.b[31] = 1;
        memset(kept->pins[i].name, 'n', WIRE_NAME_BYTES_MAX);
        snprintf(kept->pins[i].name, 20, "%u\nrenew \xc3\xa4", i); /* which is no line */
    }
    return kept;
}

static void is_same(const struct core_trust_state *a, const struct core_trust_state *b)
{
    ck_assert_mem_eq(&a->present.secret, &b->present.secret, sizeof(a->present.secret));
    ck_assert_uint_eq(a->present.generation, b->present.generation);
    ck_assert_uint_eq(a->n_olds, b->n_olds);
    for (uint32_t i = 0; i < a->n_olds; i++) {
        ck_assert_uint_eq(a->olds[i].generation, b->olds[i].generation);
        ck_assert_mem_eq(&a->olds[i].secret, &b->olds[i].secret, sizeof(a->olds[i].secret));
    }
    ck_assert(a->is_renewal_due == b->is_renewal_due);
    ck_assert_uint_eq(a->n_members, b->n_members);
    for (uint32_t i = 0; i < a->n_members; i++) {
        ck_assert(wire_key_eq(&a->members[i].key, &b->members[i].key));
        ck_assert(a->members[i].is_invited_here == b->members[i].is_invited_here);
    }
    ck_assert_uint_eq(a->n_bans, b->n_bans);
    for (uint32_t i = 0; i < a->n_bans; i++) {
        ck_assert(wire_key_eq(&a->bans[i].key, &b->bans[i].key));
        ck_assert_uint_eq(a->bans[i].generation, b->bans[i].generation);
        ck_assert(a->bans[i].is_banned == b->bans[i].is_banned);
    }
    ck_assert_uint_eq(a->n_pins, b->n_pins);
    for (uint32_t i = 0; i < a->n_pins; i++) {
        ck_assert(wire_key_eq(&a->pins[i].key, &b->pins[i].key));
        ck_assert_str_eq(a->pins[i].name, b->pins[i].name);
    }
}

static void save(const struct core_trust_state *state)
{
    struct buf text;
    ck_assert_int_eq(meshd_trust_format(state, &text), 0);
    ck_assert_int_eq(meshd_trust_save(dir_fd, buf_slice(&text), &err), 0);
    meshd_trust_wipe(&text);
}

/* The file cannot be used, and one line says so. */
static void is_refused(int error)
{
    struct meshd_trust_kept *kept = NULL;
    ck_assert_int_eq(meshd_trust_load(dir_fd, &kept, &err), error);
    ck_assert_ptr_null(kept);
    ck_assert_uint_gt(strlen(err.text), 0);
    ck_assert_ptr_null(strchr(err.text, '\n'));
}

/* --- the file --- */

START_TEST(without_a_file_nothing_is_known)
{
    struct meshd_trust_kept *kept;
    ck_assert_int_eq(meshd_trust_load(dir_fd, &kept, &err), 0);
    ck_assert_uint_eq(kept->state.present.generation, 0);
    ck_assert_uint_eq(kept->state.n_members + kept->state.n_bans + kept->state.n_pins, 0);
    meshd_trust_kept_free(kept);
}
END_TEST

START_TEST(what_is_kept_comes_back)
{
    struct meshd_trust_kept *kept = make(_i == 1), *back;
    save(&kept->state);
    ck_assert_msg(meshd_trust_load(dir_fd, &back, &err) == 0, "%s", err.text);
    is_same(&back->state, &kept->state);
    meshd_trust_kept_free(back);
    meshd_trust_kept_free(kept);
}
END_TEST

START_TEST(an_open_mesh_keeps_its_own_bans_and_pins)
{
    struct meshd_trust_kept *kept = make(false), *back;
    kept->state.present = (struct core_secret){0};
    kept->state.n_olds = kept->state.n_members = 0;
    save(&kept->state);
    ck_assert_int_eq(meshd_trust_load(dir_fd, &back, &err), 0);
    is_same(&back->state, &kept->state);
    meshd_trust_kept_free(back);
    meshd_trust_kept_free(kept);
}
END_TEST

START_TEST(the_file_is_its_owners_alone_and_no_other_is_left)
{
    struct meshd_trust_kept *kept = make(false);
    struct stat st;
    mode_t mask = umask(0);
    save(&kept->state);
    umask(mask);
    ck_assert_int_eq(fstatat(dir_fd, "trust", &st, AT_SYMLINK_NOFOLLOW), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0600);
    ck_assert_int_lt(fstatat(dir_fd, ".trust.new", &st, 0), 0);
    meshd_trust_kept_free(kept);
}
END_TEST

START_TEST(a_file_that_others_could_read_is_refused)
{
    static const mode_t modes[] = {0640, 0604, 0620, 0601, 0644};
    struct meshd_trust_kept *kept = make(false);
    save(&kept->state);
    meshd_trust_kept_free(kept);
    ck_assert_int_eq(fchmodat(dir_fd, "trust", modes[_i], 0), 0);
    is_refused(-EPERM);
    ck_assert_ptr_nonnull(strstr(err.text, "others may have read"));
}
END_TEST

START_TEST(what_is_no_file_is_refused)
{
    ck_assert_int_eq(mkdirat(dir_fd, "trust", 0700), 0);
    is_refused(-EINVAL);
    ck_assert_int_eq(unlinkat(dir_fd, "trust", AT_REMOVEDIR), 0);
    struct meshd_trust_kept *kept = make(false);
    save(&kept->state);
    meshd_trust_kept_free(kept);
    ck_assert_int_eq(renameat(dir_fd, "trust", dir_fd, "elsewhere"), 0);
    ck_assert_int_eq(symlinkat("elsewhere", dir_fd, "trust"), 0);
    is_refused(-ELOOP);
    ck_assert_int_eq(unlinkat(dir_fd, "trust", 0), 0);
    ck_assert_int_eq(mkfifoat(dir_fd, "trust", 0600), 0);
    is_refused(-EINVAL);
}
END_TEST

START_TEST(a_file_that_is_too_long_is_refused_unread)
{
    int fd = openat(dir_fd, "trust", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_eq(ftruncate(fd, MESHD_TRUST_BYTES_MAX + 1), 0);
    close(fd);
    is_refused(-EINVAL);
}
END_TEST

START_TEST(a_cut_or_a_flipped_bit_anywhere_is_damage_and_never_an_open_mesh)
{
    struct meshd_trust_kept *kept = make(false), *back = NULL;
    struct buf text;
    ck_assert_int_eq(meshd_trust_format(&kept->state, &text), 0);
    ck_assert_uint_gt(text.n, 700);
    for (size_t at = 0; at < text.n; at++) {
        ck_assert_int_eq(meshd_trust_parse(slice_of(text.p, at), &back, &err), -EINVAL);
        for (unsigned bit = 0; bit < 8; bit++) {
            text.p[at] ^= (uint8_t)(1u << bit);
            ck_assert_int_eq(meshd_trust_parse(buf_slice(&text), &back, &err), -EINVAL);
            text.p[at] ^= (uint8_t)(1u << bit);
        }
    }
    ck_assert_ptr_null(back);
    ck_assert_ptr_nonnull(strstr(err.text, "damaged"));
    meshd_trust_wipe(&text);
    meshd_trust_kept_free(kept);
}
END_TEST

START_TEST(a_state_that_makes_no_sense_is_refused_though_its_hash_is_right)
{
    struct meshd_trust_kept *kept = make(false), *back = NULL;
    struct core_trust_state *state = &kept->state;
    switch (_i) {
    case 0: /* members of an open mesh */
        state->present.generation = 0;
        break;
    case 1: /* a secret of zeros */
        memset(&state->present.secret, 0, sizeof(state->present.secret));
        break;
    case 2: /* members not by key */
        kept->members[0].key.b[0] = 9;
        break;
    case 3: /* one of them twice */
        kept->bans[1].key = kept->bans[0].key;
        break;
    case 4: /* an older one of the open mesh */
        state->olds[1].generation = 0;
        break;
    default: /* a pin of no name */
        kept->pins[0].name[0] = '\0';
        break;
    }
    struct buf text;
    ck_assert_int_eq(meshd_trust_format(state, &text), 0);
    ck_assert_int_eq(meshd_trust_parse(buf_slice(&text), &back, &err), -EINVAL);
    meshd_trust_wipe(&text);
    meshd_trust_kept_free(kept);
}
END_TEST

/* --- the door and the events --- */

static uv_loop_t loop;
static struct meshd_log log_of; /* into a file that nobody reads */
static uint64_t kept_numbers[8];
static int kept_error;
static unsigned n_kept;
static bool is_closed;

static void on_event(void *user, struct core_event *event)
{
    ck_assert_int_eq(event->type, CORE_EVENT_TRUST_KEPT);
    ck_assert_uint_lt(n_kept, ARRAY_LEN(kept_numbers));
    kept_numbers[n_kept++] = event->trust_kept.number;
    kept_error = event->trust_kept.error;
}

static void on_closed(void *user)
{
    is_closed = true;
}

static int begin(struct meshd_trust **ret_trust)
{
    struct meshd_sink sink = {.put = on_event};
    log_of.fd = openat(dir_fd, "elsewhere", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_ge(log_of.fd, 0);
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    n_kept = 0;
    is_closed = false;
    return meshd_trust_new(&loop, &sink, dir_fd, &log_of, ret_trust, &err);
}

static void finish(struct meshd_trust *trust)
{
    if (trust != NULL) {
        meshd_trust_close(trust, on_closed, NULL);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert(trust == NULL || is_closed);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    close(log_of.fd);
}

START_TEST(the_door_is_as_the_state_says)
{
    struct meshd_trust_kept *kept = make(false);
    struct core_invitation invitation = {.token = {{7}}, .is_bound = true, .key = {{8}}};
    struct meshd_trust *trust;
    save(&kept->state);
    ck_assert_int_eq(begin(&trust), 0);
    is_same(meshd_trust_state(trust), &kept->state);
    const struct wire_door *door = meshd_trust_door(trust);
    ck_assert(door->is_locked);
    ck_assert_mem_eq(&door->present.secret, &kept->state.present.secret, WIRE_SECRET_BYTES);
    ck_assert_uint_eq(door->n_older, 2);
    ck_assert_mem_eq(&door->older[1].secret, &kept->state.olds[1].secret, WIRE_SECRET_BYTES);
    ck_assert_uint_eq(door->n_members, 3);
    ck_assert_uint_eq(door->n_bans, 1); /* the other was lifted */
    ck_assert(wire_door_is_banned(door, &kept->bans[0].key));
    ck_assert(!wire_door_is_banned(door, &kept->bans[1].key));
    meshd_trust_forget(trust);

    kept->state.invitations = &invitation;
    kept->state.n_invitations = 1;
    ck_assert(!meshd_trust_set(trust, &kept->state)); /* the same secret */
    ck_assert_uint_eq(door->n_invitations, 1);
    ck_assert(door->invitations[0].is_bound);
    kept->state.present.secret.b[31] ^= 1;
    ck_assert(meshd_trust_set(trust, &kept->state));
    static const struct core_trust_state open;
    ck_assert(meshd_trust_set(trust, &open));
    ck_assert(!door->is_locked);
    ck_assert_uint_eq(door->n_bans + door->n_invitations + door->n_older, 0);
    ck_assert(!meshd_trust_set(trust, &open));
    finish(trust);
    meshd_trust_kept_free(kept);
}
END_TEST

START_TEST(what_is_to_be_kept_is_on_disk_when_it_is_told_in_order)
{
    struct meshd_trust_kept *kept = make(false), *back;
    struct meshd_trust *trust;
    ck_assert_int_eq(begin(&trust), 0);
    for (uint64_t i = 1; i <= 5; i++) {
        kept->state.present.generation = 100 + i;
        meshd_trust_keep(trust, i, &kept->state);
    }
    ck_assert_uint_eq(n_kept, 0); /* not before it returned to the loop */
    while (n_kept < 5) {
        uv_run(&loop, UV_RUN_ONCE);
        ck_assert_int_eq(kept_error, 0);
        ck_assert_int_eq(meshd_trust_load(dir_fd, &back, &err), 0);
        ck_assert_uint_ge(back->state.present.generation, 100 + n_kept);
        meshd_trust_kept_free(back);
    }
    for (uint64_t i = 1; i <= 5; i++) {
        ck_assert_uint_eq(kept_numbers[i - 1], i);
    }
    finish(trust);
    meshd_trust_kept_free(kept);
}
END_TEST

START_TEST(what_waits_is_written_before_the_end)
{
    struct meshd_trust_kept *kept = make(false), *back;
    struct meshd_trust *trust;
    ck_assert_int_eq(begin(&trust), 0);
    for (uint64_t i = 1; i <= 3; i++) {
        kept->state.present.generation = 100 + i;
        meshd_trust_keep(trust, i, &kept->state);
    }
    finish(trust);
    ck_assert_uint_eq(n_kept, 0);
    ck_assert_int_eq(meshd_trust_load(dir_fd, &back, &err), 0);
    ck_assert_uint_eq(back->state.present.generation, 103);
    meshd_trust_kept_free(back);
    meshd_trust_kept_free(kept);
}
END_TEST

START_TEST(a_disk_that_takes_nothing_is_told_and_what_was_there_stays)
{
    struct meshd_trust_kept *kept = make(false), *back;
    struct meshd_trust *trust;
    save(&kept->state);
    ck_assert_int_eq(mkdirat(dir_fd, ".trust.new", 0700), 0); /* in the way, for root too */
    ck_assert_int_eq(begin(&trust), 0);
    kept->state.present.generation = 77;
    meshd_trust_keep(trust, 4, &kept->state);
    while (n_kept < 1) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    ck_assert_uint_eq(kept_numbers[0], 4);
    ck_assert_int_lt(kept_error, 0);
    ck_assert_int_eq(meshd_trust_load(dir_fd, &back, &err), 0);
    ck_assert_uint_eq(back->state.present.generation, 9);
    finish(trust);
    meshd_trust_kept_free(back);
    meshd_trust_kept_free(kept);
}
END_TEST

START_TEST(a_damaged_file_stops_the_start)
{
    struct meshd_trust *trust = NULL;
    ck_assert_int_eq(meshd_trust_save(dir_fd, slice_str("mesh trust 1\n"), &err), 0);
    ck_assert_int_eq(begin(&trust), -EINVAL);
    ck_assert_ptr_null(trust);
    finish(NULL);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("trust");
    TCase *tcase = tcase_create("file");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, without_a_file_nothing_is_known);
    tcase_add_loop_test(tcase, what_is_kept_comes_back, 0, 2);
    tcase_add_test(tcase, an_open_mesh_keeps_its_own_bans_and_pins);
    tcase_add_test(tcase, the_file_is_its_owners_alone_and_no_other_is_left);
    tcase_add_loop_test(tcase, a_file_that_others_could_read_is_refused, 0, 5);
    tcase_add_test(tcase, what_is_no_file_is_refused);
    tcase_add_test(tcase, a_file_that_is_too_long_is_refused_unread);
    tcase_add_test(tcase, a_cut_or_a_flipped_bit_anywhere_is_damage_and_never_an_open_mesh);
    tcase_add_loop_test(tcase, a_state_that_makes_no_sense_is_refused_though_its_hash_is_right, 0,
                        6);
    suite_add_tcase(suite, tcase);
    tcase = tcase_create("door and disk");
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, the_door_is_as_the_state_says);
    tcase_add_test(tcase, what_is_to_be_kept_is_on_disk_when_it_is_told_in_order);
    tcase_add_test(tcase, what_waits_is_written_before_the_end);
    tcase_add_test(tcase, a_disk_that_takes_nothing_is_told_and_what_was_there_stays);
    tcase_add_test(tcase, a_damaged_file_stops_the_start);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
