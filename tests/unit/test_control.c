/* The local socket, with plain sockets as its clients. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "mesh/blobs.h"
#include "mesh/control.h"
#include "tests/lib/runner.h"
#include "wire/blob_hash.h"
#include "wire/identity.h"
#include "wire/local.h"

static uv_loop_t loop;
static char folder[64];
static char path[128];
static int dir_fd;
static struct meshd_blobs *blobs;
static struct meshd_control *control;
static struct meshd_log quiet;
static unsigned n_closed;

/* What the core would have heard. */
static unsigned n_up, n_down, n_messages;
static uint64_t client;
static uint32_t client_uid;
static bool is_privileged;
static uint32_t last_task;
static char told[512]; /* names of the messages, in order */
static struct wire_hash first_hash;
static uint64_t first_bytes;

static void on_event(void *user, struct core_event *event)
{
    if (event->type == CORE_EVENT_CLIENT_UP) {
        n_up++;
        client = event->client_up.client;
        client_uid = event->client_up.uid;
        is_privileged = event->client_up.is_privileged;
    } else if (event->type == CORE_EVENT_CLIENT_DOWN) {
        n_down++;
        ck_assert_uint_eq(event->client_down.client, client);
    } else if (event->type == CORE_EVENT_CLIENT_MESSAGE) {
        const struct wire_message *message = event->client_message.message;
        n_messages++;
        size_t n_told = strlen(told);
        snprintf(told + n_told, sizeof(told) - n_told, "%s ", wire_message_name(message->type));
        if (message->type == WIRE_MESSAGE_ADD_TASK) {
            ck_assert_uint_eq(message->add_task.task, ++last_task);
        }
        if (message->type == WIRE_MESSAGE_SUBMIT && message->submit.spec.files.n > 0) {
            first_hash = message->submit.spec.files.items[0].hash;
            first_bytes = message->submit.spec.files.items[0].bytes;
        } else if (message->type == WIRE_MESSAGE_ADD_TASK && message->add_task.has_input) {
            first_hash = message->add_task.input;
            first_bytes = message->add_task.input_bytes;
        } else if (message->type == WIRE_MESSAGE_PUT) {
            first_hash = message->put.hash;
            first_bytes = message->put.bytes;
        }
    } else {
        ck_abort_msg("unexpected event");
    }
}

static void on_closed(void *user)
{
    n_closed++;
}

static struct meshd_control_config config_of(void)
{
    return (struct meshd_control_config){
        .loop = &loop,
        .sink = {.put = on_event},
        .blobs = blobs,
        .log = &quiet,
        .hello = {.protocol = 1, .version = slice_str("0"), .name = slice_str("hal"), .cores = 3},
        .path = path,
        .hello_ms = 60000,
    };
}

static void set_up(void)
{
    struct errmsg err;
    ck_assert_int_eq(wire_init(), 0);
    quiet = (struct meshd_log){.fd = open("/dev/null", O_WRONLY | O_CLOEXEC)};
    last_task = 0;
    n_closed = n_up = n_down = n_messages = 0;
    told[0] = '\0';
    snprintf(folder, sizeof(folder), "/tmp/mesh-control-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/mesh.sock", folder);
    dir_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    ck_assert_int_eq(meshd_blobs_new(&loop, dir_fd, 1u << 20, &blobs, &err), 0);
    struct meshd_control_config config = config_of();
    ck_assert_int_eq(meshd_control_new(&config, &control, &err), 0);
}

static int remove_one(const char *name, const struct stat *st, int type, struct FTW *ftw)
{
    return remove(name);
}

static void tear_down(void)
{
    if (control != NULL) {
        meshd_control_close(control, on_closed, NULL);
        uv_run(&loop, UV_RUN_DEFAULT);
        ck_assert_uint_eq(n_closed, 1);
        ck_assert_int_lt(access(path, F_OK), 0);
    }
    meshd_blobs_close(blobs, on_closed, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
    close(dir_fd);
    close(quiet.fd);
    ck_assert_int_eq(nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

static void turn(void)
{
    meshd_control_flush(control);
    uv_run(&loop, UV_RUN_NOWAIT);
}

#define TURN_UNTIL(condition)                                                                      \
    do {                                                                                           \
        while (!(condition)) {                                                                     \
            turn();                                                                                \
        }                                                                                          \
    } while (0)

/* --- a client ----------------------------------------------------------------------------------
 */

static int connect_client(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static void say(int fd, const struct wire_message *message, const int *fds, unsigned n_fds)
{
    struct buf frame;
    buf_init(&frame, 4u << 20);
    ck_assert_int_eq(wire_local_encode(message, &frame), 0);
    char ancillary[CMSG_SPACE(4 * sizeof(int))] = {0};
    struct iovec iov = {.iov_base = frame.p, .iov_len = frame.n};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    if (n_fds > 0) {
        msg.msg_control = ancillary;
        msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&msg);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
        memcpy(CMSG_DATA(header), fds, n_fds * sizeof(int));
    }
    ck_assert_int_eq(sendmsg(fd, &msg, MSG_NOSIGNAL), (ssize_t)frame.n);
    buf_done(&frame);
}

static struct wire_put_done heard_put; /* the last, and its text */
static char heard_text[WIRE_REASON_BYTES_MAX + 1];

/* The next message's type; its text or the descriptors that came with it. 0: the end. */
static uint32_t hear(int fd, int *ret_fds, unsigned *ret_n_fds)
{
    static uint8_t bytes[1u << 20];
    size_t n_bytes = 0;
    size_t n_want = 4;
    *ret_n_fds = 0;
    while (n_bytes < n_want) {
        turn();
        char ancillary[CMSG_SPACE(4 * sizeof(int))];
        struct iovec iov = {.iov_base = bytes + n_bytes, .iov_len = n_want - n_bytes};
        struct msghdr msg = {.msg_iov = &iov,
                             .msg_iovlen = 1,
                             .msg_control = ancillary,
                             .msg_controllen = sizeof(ancillary)};
        ssize_t n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n < 0) {
            ck_assert_int_eq(errno, EAGAIN);
            continue;
        }
        if (n == 0) {
            return 0;
        }
        struct cmsghdr *header = CMSG_FIRSTHDR(&msg);
        if (header != NULL) {
            *ret_n_fds = (unsigned)((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
            memcpy(ret_fds, CMSG_DATA(header), *ret_n_fds * sizeof(int));
        }
        n_bytes += (size_t)n;
        if (n_bytes == 4) {
            n_want = 4 + ((size_t)bytes[0] << 24 | (size_t)bytes[1] << 16 | (size_t)bytes[2] << 8 |
                          bytes[3]);
            ck_assert_uint_lt(n_want, sizeof(bytes));
        }
    }
    struct arena arena;
    struct wire_message message;
    struct errmsg err;
    arena_init(&arena, WIRE_ARENA_BYTES_MAX);
    ck_assert_int_eq(wire_local_decode(slice_of(bytes, n_bytes), &arena, &message, &err), 0);
    uint32_t type = message.type;
    if (type == WIRE_MESSAGE_PUT_DONE) {
        heard_put = message.put_done;
        snprintf(heard_text, sizeof(heard_text), "%.*s", SLICE_FMT(message.put_done.text));
    }
    arena_done(&arena);
    return type;
}

static uint32_t hear_type(int fd)
{
    int fds[4];
    unsigned n_fds;
    uint32_t type = hear(fd, fds, &n_fds);
    ck_assert_uint_eq(n_fds, 0);
    return type;
}

static void say_hello(int fd)
{
    struct wire_message hello = {
        .type = WIRE_MESSAGE_CLIENT_HELLO,
        .client_hello = {.protocol = 1, .version = slice_str("0")},
    };
    say(fd, &hello, NULL, 0);
}

static int begin(void)
{
    int fd = connect_client();
    say_hello(fd);
    ck_assert_uint_eq(hear_type(fd), WIRE_MESSAGE_DAEMON_HELLO);
    return fd;
}

static int file_of(const char *text)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    return fd;
}

static void say_task(int fd, uint32_t task, bool has_input, int input_fd)
{
    struct slice argv = slice_str("true");
    struct wire_message add = {
        .type = WIRE_MESSAGE_ADD_TASK,
        .add_task = {.job = 1,
                     .task = task,
                     .argv = {.items = &argv, .n = 1},
                     .has_input = has_input},
    };
    say(fd, &add, &input_fd, has_input);
}

static void say_submit(int fd, unsigned n_files, const int *fds)
{
    struct wire_file files[4];
    for (unsigned i = 0; i < n_files; i++) {
        files[i] = (struct wire_file){.path = slice_str("file"), .mode = 0755};
    }
    struct wire_message submit = {
        .type = WIRE_MESSAGE_SUBMIT,
        .submit = {.spec = {.files = {.items = files, .n = n_files},
                            .cores = 1,
                            .lease_ms = 10000,
                            .output_bytes_max = 1u << 20}},
    };
    say(fd, &submit, fds, n_files);
}

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

/* In the place of the fixture's, one that waits for so long only. */
static void replace_control(uint32_t hello_ms)
{
    struct errmsg err;
    struct meshd_control_config config = config_of();
    meshd_control_close(control, on_closed, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert_uint_eq(n_closed, 1);
    n_closed = 0;
    config.hello_ms = hello_ms;
    ck_assert_int_eq(meshd_control_new(&config, &control, &err), 0);
}

START_TEST(who_says_no_hello_in_time_loses_the_place)
{
    replace_control(1);
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
    replace_control(300);
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
