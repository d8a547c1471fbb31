/* The local socket, with plain sockets as its clients. */
#include <grp.h>

#include "tests/unit/control_client.h"

/* --- rules -------------------------------------------------------------------------------------
 */

START_TEST(a_client_is_known_by_the_kernels_word_after_its_hello)
{
    int fd = connect_client();
    for (int i = 0; i < 10; i++) {
        turn();
    }
    ck_assert_uint_eq(n_up, 0);
    say_hello(fd);
    ck_assert_uint_eq(hear_type(fd), WIRE_MESSAGE_DAEMON_HELLO);
    ck_assert_uint_eq(n_up, 1);
    ck_assert_uint_eq(client_uid, geteuid());
    ck_assert(is_privileged);
    close(fd);
    TURN_UNTIL(n_down == 1);
}
END_TEST

START_TEST(the_socket_is_for_owner_and_group)
{
    struct stat st;
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0660);
}
END_TEST

/* A connection that the kernel says is of this user, in these groups. For root only. */
static int connect_as(uid_t uid, gid_t gid, gid_t other)
{
    gid_t own = getegid();
    ck_assert_int_eq(chmod(folder, 0755), 0);
    ck_assert_int_eq(setgroups(1, &other), 0);
    ck_assert_int_eq(setegid(gid), 0);
    ck_assert_int_eq(seteuid(uid), 0);
    int fd = connect_client();
    ck_assert_int_eq(seteuid(0), 0);
    ck_assert_int_eq(setegid(own), 0);
    return fd;
}

enum { SOMEBODY = 54321 };

START_TEST(who_is_neither_owner_nor_root_nor_in_the_group_is_turned_away)
{
    if (geteuid() != 0) {
        return; /* only root can be somebody else */
    }
    ck_assert_int_eq(chmod(path, 0666), 0); /* as if the modes had not kept it out */
    int fd = connect_as(SOMEBODY, SOMEBODY, SOMEBODY);
    ck_assert_uint_eq(hear_type(fd), WIRE_MESSAGE_ERROR);
    ck_assert_uint_eq(hear_type(fd), 0);
    ck_assert_uint_eq(n_up + n_messages, 0);
    close(fd);
}
END_TEST

START_TEST(the_modes_of_the_socket_keep_strangers_out_and_let_the_group_in)
{
    if (geteuid() != 0) {
        return; /* only root can be somebody else */
    }
    struct group *group = getgrnam("daemon");
    struct stat st;
    ck_assert_ptr_nonnull(group);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_uint_eq(st.st_gid, group->gr_gid);
    /* As its first group, and as one of the others. */
    for (unsigned i = 0; i < 2; i++) {
        int fd = connect_as(SOMEBODY, i == 0 ? group->gr_gid : SOMEBODY,
                            i == 0 ? SOMEBODY : group->gr_gid);
        say_hello(fd);
        ck_assert_uint_eq(hear_type(fd), WIRE_MESSAGE_DAEMON_HELLO);
        ck_assert_uint_eq(client_uid, SOMEBODY);
        ck_assert(!is_privileged); /* it may not lock, invite, join, trust, ban or set cores */
        close(fd);
        TURN_UNTIL(n_down == i + 1);
    }
    gid_t own = getegid(), nowhere = SOMEBODY;
    ck_assert_int_eq(setgroups(1, &nowhere), 0);
    ck_assert_int_eq(setegid(nowhere), 0);
    ck_assert_int_eq(seteuid(SOMEBODY), 0);
    ck_assert_int_lt(faccessat(AT_FDCWD, path, W_OK, AT_EACCESS), 0);
    ck_assert_int_eq(errno, EACCES);
    ck_assert_int_eq(seteuid(0), 0);
    ck_assert_int_eq(setegid(own), 0);
}
END_TEST

START_TEST(who_does_not_say_hello_first_is_refused)
{
    int fd = connect_client();
    say_task(fd, 1, false, -1);
    ck_assert_uint_eq(hear_type(fd), WIRE_MESSAGE_ERROR);
    ck_assert_uint_eq(hear_type(fd), 0);
    ck_assert_uint_eq(n_up + n_down + n_messages, 0);
    close(fd);
}
END_TEST

/* In the place of the fixture's. */
static void replace_control(const struct meshd_control_config *config)
{
    struct errmsg err;
    meshd_control_close(control, on_closed, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_uint_eq(n_closed, 1);
    n_closed = 0;
    ck_assert_int_eq(meshd_control_new(config, &control, &err), 0);
}

static void replace_control_by_hasty(uint32_t hello_ms)
{
    struct meshd_control_config config = config_of();
    config.hello_ms = hello_ms;
    replace_control(&config);
}

static void end_with_the_first(void *user, struct core_event *event)
{
    ck_assert_uint_eq(event->type, CORE_EVENT_CLIENT_UP);
    n_up++;
    meshd_control_close(STEAL(control), on_closed, NULL);
}

/* The first of two that are there makes the core end the daemon: the second is not let in, and both
 * hear the end. */
START_TEST(nobody_is_let_in_when_the_daemon_ends)
{
    struct meshd_control_config config = config_of();
    config.sink = (struct meshd_sink){.put = end_with_the_first};
    replace_control(&config);
    int fds[] = {connect_client(), connect_client()};
    say_hello(fds[0]);
    say_hello(fds[1]);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_uint_eq(n_closed, 1);
    ck_assert_uint_eq(n_up, 1);
    for (unsigned i = 0; i < ARRAY_LEN(fds); i++) {
        uint8_t bytes[4096];
        ssize_t n;
        while ((n = recv(fds[i], bytes, sizeof(bytes), MSG_DONTWAIT)) > 0) {
        }
        ck_assert(n == 0 || errno == ECONNRESET); /* it had not been read from */
        close(fds[i]);
    }
}
END_TEST

START_TEST(who_says_no_hello_in_time_loses_the_place)
{
    replace_control_by_hasty(1);
    /* Its hello is there when its time is over, and nobody has read it yet: that is in time. */
    int good = connect_client();
    say_hello(good);
    turn();
    for (uint64_t from_ns = uv_hrtime(); uv_hrtime() - from_ns < 3000000;) {
    }
    ck_assert_uint_eq(hear_type(good), WIRE_MESSAGE_DAEMON_HELLO);
    int mute = connect_client();
    int slow = connect_client();
    static const uint8_t half[] = {0, 0}; /* of a length: bytes alone are no hello */
    ck_assert_int_eq(send(slow, half, sizeof(half), MSG_NOSIGNAL), sizeof(half));
    ck_assert_uint_eq(hear_type(mute), WIRE_MESSAGE_ERROR);
    ck_assert_uint_eq(hear_type(mute), 0);
    ck_assert_uint_eq(hear_type(slow), WIRE_MESSAGE_ERROR);
    ck_assert_uint_eq(hear_type(slow), 0);
    /* One that said hello may be silent for as long as it likes; and the next is waited for. */
    ck_assert_uint_eq(n_up, 1);
    ck_assert_uint_eq(n_down, 0);
    int later = connect_client();
    ck_assert_uint_eq(hear_type(later), WIRE_MESSAGE_ERROR);
    say_task(good, 1, false, -1);
    TURN_UNTIL(n_messages == 1);
    close(good);
    close(mute);
    close(slow);
    close(later);
    TURN_UNTIL(n_down == 1);
}
END_TEST

START_TEST(places_that_mute_clients_took_are_free_again)
{
    replace_control_by_hasty(300);
    static int mute[MESHD_CLIENTS_MAX];
    for (unsigned i = 0; i < MESHD_CLIENTS_MAX; i++) {
        mute[i] = connect_client();
        turn();
    }
    int fd = connect_client();
    ck_assert_uint_eq(hear_type(fd), WIRE_MESSAGE_ERROR); /* too many */
    close(fd);
    for (unsigned i = 0; i < MESHD_CLIENTS_MAX; i++) {
        ck_assert_uint_eq(hear_type(mute[i]), WIRE_MESSAGE_ERROR);
        ck_assert_uint_eq(hear_type(mute[i]), 0);
        close(mute[i]);
    }
    fd = begin();
    close(fd);
    TURN_UNTIL(n_down == 1);
}
END_TEST

START_TEST(garbage_is_refused_and_the_core_hears_that_the_client_left)
{
    static const uint8_t garbage[] = {0, 0, 0, 3, 0xc1, 0xc1, 0xc1};
    int fd = begin();
    ck_assert_int_eq(send(fd, garbage, sizeof(garbage), MSG_NOSIGNAL), sizeof(garbage));
    ck_assert_uint_eq(hear_type(fd), WIRE_MESSAGE_ERROR);
    ck_assert_uint_eq(hear_type(fd), 0);
    ck_assert_uint_eq(n_down, 1);
    close(fd);
}
END_TEST

START_TEST(a_frame_that_claims_too_much_is_refused)
{
    static const uint8_t huge[] = {0xff, 0xff, 0xff, 0xff};
    int fd = begin();
    ck_assert_int_eq(send(fd, huge, sizeof(huge), MSG_NOSIGNAL), sizeof(huge));
    ck_assert_uint_eq(hear_type(fd), WIRE_MESSAGE_ERROR);
    close(fd);
}
END_TEST

START_TEST(a_message_that_lacks_its_descriptors_is_refused)
{
    int fd = begin();
    struct slice argv = slice_str("true");
    struct wire_message add = {
        .type = WIRE_MESSAGE_ADD_TASK,
        .add_task = {.job = 1, .task = 1, .argv = {.items = &argv, .n = 1}, .has_input = true},
    };
    say(fd, &add, NULL, 0);
    ck_assert_uint_eq(hear_type(fd), WIRE_MESSAGE_ERROR);
    ck_assert_uint_eq(n_messages, 0);
    close(fd);
}
END_TEST

START_TEST(files_are_stored_and_named_before_the_core_hears)
{
    struct wire_hash wanted = wire_blob_hash(slice_str("content"));
    int fd = begin();
    int file = file_of("content");
    say_submit(fd, 1, &file);
    TURN_UNTIL(n_messages == 1);
    ck_assert(wire_hash_eq(&first_hash, &wanted));
    ck_assert_uint_eq(first_bytes, 7);
    ck_assert(meshd_blobs_has(blobs, &wanted));
    close(file);
    close(fd);
    TURN_UNTIL(n_down == 1);
}
END_TEST

START_TEST(what_follows_a_file_waits_for_it)
{
    int fd = begin();
    int files[2] = {file_of("one"), file_of("two")};
    int input = file_of("input");
    say_submit(fd, 2, files);
    say_task(fd, 1, false, -1);
    say_task(fd, 2, true, input);
    say_submit(fd, 0, NULL);
    TURN_UNTIL(n_messages == 4);
    ck_assert_str_eq(told, "submit add_task add_task submit ");
    struct wire_hash wanted = wire_blob_hash(slice_str("input"));
    ck_assert(wire_hash_eq(&first_hash, &wanted));
    close(files[0]);
    close(files[1]);
    close(input);
    close(fd);
    TURN_UNTIL(n_down == 1);
}
END_TEST

START_TEST(ten_thousand_tasks_come_in_order_through_a_full_socket)
{
    int fd = begin();
    fcntl(fd, F_SETFL, O_NONBLOCK);
    struct buf frames;
    buf_init(&frames, 16u << 20);
    for (uint32_t i = 1; i <= 10000; i++) {
        struct slice argv = slice_str("true");
        struct wire_message add = {
            .type = WIRE_MESSAGE_ADD_TASK,
            .add_task = {.job = 1, .task = i, .argv = {.items = &argv, .n = 1}},
        };
        ck_assert_int_eq(wire_local_encode(&add, &frames), 0);
    }
    for (size_t done = 0; done < frames.n || n_messages < 10000;) {
        ssize_t n = send(fd, frames.p + done, frames.n - done, MSG_NOSIGNAL);
        done += n > 0 ? (size_t)n : 0;
        turn();
    }
    buf_done(&frames);
    close(fd);
    TURN_UNTIL(n_down == 1);
}
END_TEST

START_TEST(a_file_that_cannot_be_stored_fails_its_submit_alone)
{
    int pipes[2];
    ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
    int fd = begin();
    say_submit(fd, 1, pipes);
    ck_assert_uint_eq(hear_type(fd), WIRE_MESSAGE_ERROR);
    say_submit(fd, 0, NULL);
    TURN_UNTIL(n_messages == 1);
    close(pipes[0]);
    close(pipes[1]);
    close(fd);
    TURN_UNTIL(n_down == 1);
}
END_TEST

START_TEST(a_client_that_leaves_while_its_files_are_stored_leaves_nothing_held)
{
    int fd = begin();
    int files[2] = {file_of("one"), file_of("two")};
    say_submit(fd, 2, files);
    close(fd);
    TURN_UNTIL(n_down == 1);
    TURN_UNTIL(meshd_blobs_counts(blobs).n_works == 0);
    ck_assert_uint_le(n_messages, 1);
    close(files[0]);
    close(files[1]);
}
END_TEST

static void say_put(int fd, uint64_t id, int file)
{
    struct wire_message put = {.type = WIRE_MESSAGE_PUT, .put = {.id = id}};
    say(fd, &put, &file, 1);
}

START_TEST(what_is_put_is_stored_and_named_before_the_core_hears_and_what_reads_it_waits)
{
    struct wire_hash wanted = wire_blob_hash(slice_str("large"));
    int fd = begin();
    int file = file_of("large");
    say_put(fd, 7, file);
    say_task(fd, 1, false, -1);
    TURN_UNTIL(n_messages == 2);
    ck_assert_str_eq(told, "put add_task ");
    ck_assert(wire_hash_eq(&first_hash, &wanted));
    ck_assert_uint_eq(first_bytes, 5);
    close(file);
    close(fd);
    TURN_UNTIL(n_down == 1);
    /* Pinned until the core releases it, whatever else comes. */
    ck_assert(meshd_blobs_has(blobs, &wanted));
}
END_TEST

START_TEST(a_put_that_cannot_be_stored_is_answered_and_hurts_nothing_else)
{
    static char large[(1u << 20) + 2]; /* the store's quota, and more */
    memset(large, 'x', sizeof(large) - 1);
    int fd = begin();
    int file = file_of(large);
    say_put(fd, 7, file);
    ck_assert_uint_eq(hear_type(fd), WIRE_MESSAGE_PUT_DONE);
    ck_assert_uint_eq(heard_put.id, 7);
    ck_assert_uint_eq(heard_put.error, WIRE_ERROR_UNAVAILABLE);
    ck_assert_ptr_nonnull(strstr(heard_text, "the daemon's store is full"));
    int pipes[2];
    ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
    say_put(fd, 8, pipes[0]);
    ck_assert_uint_eq(hear_type(fd), WIRE_MESSAGE_PUT_DONE);
    ck_assert_uint_eq(heard_put.id, 8);
    ck_assert_uint_eq(heard_put.error, WIRE_ERROR_INVALID);
    say_task(fd, 1, false, -1);
    TURN_UNTIL(n_messages == 1);
    close(pipes[0]);
    close(pipes[1]);
    close(file);
    close(fd);
    TURN_UNTIL(n_down == 1);
}
END_TEST

START_TEST(a_done_brings_its_outputs_as_descriptors)
{
    static char output[70000]; /* more than travels inside a message */
    static char text[sizeof(output) + 1];
    int fds[4];
    unsigned n_fds;
    int fd = begin();
    memset(output, 'x', sizeof(output) - 1);
    int file = file_of(output);
    say_submit(fd, 1, &file); /* puts the blob into the store */
    TURN_UNTIL(n_messages == 1);
    struct wire_message done = {
        .type = WIRE_MESSAGE_DONE,
        .done = {.job = 1,
                 .task = 1,
                 .result = {.end = WIRE_END_EXITED,
                            .out = {.bytes = first_bytes, .hash = first_hash}}},
    };
    struct wire_message plain = {.type = WIRE_MESSAGE_OK};
    meshd_control_send(control, client, &plain);
    meshd_control_send(control, client, &done);
    meshd_control_send(control, client, &plain);
    ck_assert_uint_eq(hear_type(fd), WIRE_MESSAGE_OK);
    ck_assert_uint_eq(hear(fd, fds, &n_fds), WIRE_MESSAGE_DONE);
    ck_assert_uint_eq(n_fds, 1);
    ck_assert_int_eq(read(fds[0], text, sizeof(text)), sizeof(output) - 1);
    ck_assert_str_eq(text, output);
    ck_assert_uint_eq(hear_type(fd), WIRE_MESSAGE_OK);
    close(fds[0]);
    close(file);
    close(fd);
    TURN_UNTIL(n_down == 1);
}
END_TEST

START_TEST(a_done_whose_output_is_gone_says_so)
{
    int fd = begin();
    struct wire_message done = {
        .type = WIRE_MESSAGE_DONE,
        .done = {.job = 1,
                 .task = 1,
                 .result = {.end = WIRE_END_EXITED, .err = {.bytes = 70000, .hash = {{1}}}}},
    };
    meshd_control_send(control, client, &done);
    ck_assert_uint_eq(hear_type(fd), WIRE_MESSAGE_DONE);
    close(fd);
    TURN_UNTIL(n_down == 1);
}
END_TEST

START_TEST(a_closed_client_still_gets_what_was_sent)
{
    int fd = begin();
    struct wire_message ok = {.type = WIRE_MESSAGE_OK};
    meshd_control_send(control, client, &ok);
    meshd_control_close_client(control, client);
    meshd_control_send(control, client, &ok);
    ck_assert_uint_eq(hear_type(fd), WIRE_MESSAGE_OK);
    ck_assert_uint_eq(hear_type(fd), 0);
    ck_assert_uint_eq(n_down, 0); /* the core asked for it */
    close(fd);
}
END_TEST

START_TEST(a_live_daemons_socket_is_left_alone)
{
    struct meshd_control *second;
    struct errmsg err;
    struct meshd_control_config config = config_of();
    ck_assert_int_eq(meshd_control_new(&config, &second, &err), -EADDRINUSE);
    ck_assert_ptr_nonnull(strstr(err.text, "--socket"));
    int fd = begin();
    close(fd);
    TURN_UNTIL(n_down == 1);
}
END_TEST

START_TEST(a_dead_daemons_socket_is_replaced)
{
    struct errmsg err;
    char aside[160];
    snprintf(aside, sizeof(aside), "%s.aside", path);
    ck_assert_int_eq(rename(path, aside), 0); /* out of close()'s reach, as a crash leaves it */
    meshd_control_close(control, on_closed, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(rename(aside, path), 0);
    n_closed = 0;
    struct meshd_control_config config = config_of();
    ck_assert_int_eq(meshd_control_new(&config, &control, &err), 0);
    int fd = begin();
    close(fd);
    TURN_UNTIL(n_down == 1);
}
END_TEST

START_TEST(a_file_in_the_sockets_place_is_never_removed)
{
    struct meshd_control *second;
    struct errmsg err;
    struct meshd_control_config config = config_of();
    char file[160];
    snprintf(file, sizeof(file), "%s/file", folder);
    close(open(file, O_CREAT | O_WRONLY, 0600));
    config.path = file;
    ck_assert_int_eq(meshd_control_new(&config, &second, &err), -EEXIST);
    ck_assert_int_eq(access(file, F_OK), 0);
}
END_TEST

START_TEST(a_path_that_no_socket_can_have_is_refused)
{
    char found[MESHD_PATH_BYTES];
    char longer[200];
    struct errmsg err;
    memset(longer, 'a', sizeof(longer));
    longer[sizeof(longer) - 1] = '\0';
    ck_assert_int_eq(meshd_socket_path(longer, "/s", found, &err), -ENAMETOOLONG);
    setenv("MESH_SOCKET", "/from/env", 1);
    ck_assert_int_eq(meshd_socket_path("/option", "/s", found, &err), 0);
    ck_assert_str_eq(found, "/option");
    ck_assert_int_eq(meshd_socket_path(NULL, "/s", found, &err), 0);
    ck_assert_str_eq(found, "/from/env");
    unsetenv("MESH_SOCKET");
    setenv("RUNTIME_DIRECTORY", "/nonexistent", 1);
    setenv("XDG_RUNTIME_DIR", folder, 1);
    ck_assert_int_eq(meshd_socket_path(NULL, "/s", found, &err), 0);
    ck_assert_str_eq(found, path);
    if (geteuid() != 0) { /* as root: tests/lab/test_privilege.c */
        setenv("XDG_RUNTIME_DIR", "/", 1);
        ck_assert_int_eq(meshd_socket_path(NULL, "/s", found, &err), 0);
        ck_assert_str_eq(found, "/s/mesh.sock");
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("control");
    TCase *tcase = tcase_create("control");
    tcase_set_timeout(tcase, 30);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    tcase_add_test(tcase, a_client_is_known_by_the_kernels_word_after_its_hello);
    tcase_add_test(tcase, the_socket_is_for_owner_and_group);
    tcase_add_test(tcase, nobody_is_let_in_when_the_daemon_ends);
    tcase_add_test(tcase, who_is_neither_owner_nor_root_nor_in_the_group_is_turned_away);
    tcase_add_test(tcase, the_modes_of_the_socket_keep_strangers_out_and_let_the_group_in);
    tcase_add_test(tcase, who_does_not_say_hello_first_is_refused);
    tcase_add_test(tcase, who_says_no_hello_in_time_loses_the_place);
    tcase_add_test(tcase, places_that_mute_clients_took_are_free_again);
    tcase_add_test(tcase, garbage_is_refused_and_the_core_hears_that_the_client_left);
    tcase_add_test(tcase, a_frame_that_claims_too_much_is_refused);
    tcase_add_test(tcase, a_message_that_lacks_its_descriptors_is_refused);
    tcase_add_test(tcase, files_are_stored_and_named_before_the_core_hears);
    tcase_add_test(tcase, what_follows_a_file_waits_for_it);
    tcase_add_test(tcase, ten_thousand_tasks_come_in_order_through_a_full_socket);
    tcase_add_test(tcase, a_file_that_cannot_be_stored_fails_its_submit_alone);
    tcase_add_test(tcase, a_client_that_leaves_while_its_files_are_stored_leaves_nothing_held);
    tcase_add_test(tcase,
                   what_is_put_is_stored_and_named_before_the_core_hears_and_what_reads_it_waits);
    tcase_add_test(tcase, a_put_that_cannot_be_stored_is_answered_and_hurts_nothing_else);
    tcase_add_test(tcase, a_done_brings_its_outputs_as_descriptors);
    tcase_add_test(tcase, a_done_whose_output_is_gone_says_so);
    tcase_add_test(tcase, a_closed_client_still_gets_what_was_sent);
    tcase_add_test(tcase, a_live_daemons_socket_is_left_alone);
    tcase_add_test(tcase, a_dead_daemons_socket_is_replaced);
    tcase_add_test(tcase, a_file_in_the_sockets_place_is_never_removed);
    tcase_add_test(tcase, a_path_that_no_socket_can_have_is_refused);
    suite_add_tcase(suite, tcase);
    return run_suite(suite);
}
