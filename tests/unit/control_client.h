/* A local socket over a blob store, what the core would have heard of it, and plain sockets as its
 * clients: for test_control.c. */
#ifndef MESH_TESTS_CONTROL_CLIENT_H
#define MESH_TESTS_CONTROL_CLIENT_H

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
        .group = "daemon", /* which every system has, and the tests' user is not in */
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

#endif
