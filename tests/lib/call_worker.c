/* A worker for tests of cells and the daemon: speaks wire/worker.h itself, well or badly, as the
 * called function and the variable MODE say. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire/base/buf.h"
#include "wire/worker.h"

/* In a cell no leaks can be looked for: that takes ptrace(). */
int __lsan_is_turned_off(void);
__attribute__((visibility("default"))) int __lsan_is_turned_off(void)
{
    return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 2;
}

static struct buf out;
static uint8_t packet[WIRE_WORKER_BYTES_MAX];
static int fds[WIRE_WORKER_FDS_MAX];
static size_t n_fds;
static unsigned n_calls;

static void send_bytes(struct slice bytes, const int *with, size_t n_with)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * WIRE_WORKER_FDS_MAX)];
    } control = {.bytes = {0}};
    struct iovec iov = {.iov_base = (void *)(uintptr_t)bytes.p, .iov_len = bytes.n};
    struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
    if (n_with > 0) {
        header.msg_control = control.bytes;
        header.msg_controllen = CMSG_SPACE(sizeof(int) * n_with);
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&header);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int) * n_with);
        memcpy(CMSG_DATA(cmsg), with, sizeof(int) * n_with);
    }
    fflush(NULL);
    if (sendmsg(WIRE_WORKER_FD, &header, MSG_NOSIGNAL) < 0) {
        _exit(91);
    }
}

static void answer_with(const struct wire_worker_return *ret, const int *with, size_t n_with)
{
    buf_clear(&out);
    if (wire_worker_return_encode(ret, &out) < 0) {
        _exit(92);
    }
    send_bytes(buf_slice(&out), with, n_with);
}

static void answer(uint64_t serial, struct slice value)
{
    struct wire_worker_return ret = {
        .serial = serial, .value = {.bytes = value.n, .inlined = value}, .user_us = 5};
    answer_with(&ret, NULL, 0);
}

static void answer_text(uint64_t serial, const char *text)
{
    answer(serial, slice_str(text));
}

static size_t receive(void)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * WIRE_WORKER_FDS_MAX)];
    } control;
    struct iovec iov = {.iov_base = packet, .iov_len = sizeof packet};
    struct msghdr header = {.msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = control.bytes,
                            .msg_controllen = sizeof control.bytes};
    ssize_t n = recvmsg(WIRE_WORKER_FD, &header, MSG_CMSG_CLOEXEC);
    if (n <= 0) {
        _exit(0); /* the daemon is gone */
    }
    struct cmsghdr *c = CMSG_FIRSTHDR(&header);
    n_fds = c != NULL ? (c->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;
    if (n_fds > 0) {
        memcpy(fds, CMSG_DATA(c), n_fds * sizeof(int));
    }
    return (size_t)n;
}

/* --- functions that behave --- */

static void sum_refs(const struct wire_worker_call *call)
{
    unsigned long long sum = 0;
    char text[64];
    for (uint32_t i = 0; i < call->n_refs; i++) {
        size_t n = (size_t)call->ref_bytes[i];
        const uint8_t *p = n > 0 ? mmap(NULL, n, PROT_READ, MAP_PRIVATE, fds[i], 0) : NULL;
        for (size_t j = 0; j < n; j++) {
            sum += p[j];
        }
    }
    snprintf(text, sizeof text, "%llu", sum);
    answer_text(call->serial, text);
}

/* Says what of its ref it could change: nothing, one hopes. */
static void attack_ref(const struct wire_worker_call *call)
{
    char path[64];
    char text[4] = "";
    size_t n = 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fds[0]);
    int again = open(path, O_RDWR);
    int cut = open(path, O_RDONLY | O_TRUNC);
    if (write(fds[0], "x", 1) >= 0 || (again >= 0 && pwrite(again, "x", 1, 0) >= 0)) {
        text[n++] = 'w';
    }
    if (mmap(NULL, 1, PROT_READ | PROT_WRITE, MAP_SHARED, again >= 0 ? again : fds[0], 0) !=
        MAP_FAILED) {
        text[n++] = 'm';
    }
    if (cut >= 0 || ftruncate(fds[0], 0) == 0 || (again >= 0 && ftruncate(again, 0) == 0)) {
        text[n++] = 'c';
    }
    answer_text(call->serial, text);
}

static int make_file(size_t n_bytes, int seals)
{
    int fd = memfd_create("value", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || ftruncate(fd, (off_t)n_bytes) < 0) {
        _exit(93);
    }
    uint8_t *p = n_bytes > 0 ? mmap(NULL, n_bytes, PROT_WRITE, MAP_SHARED, fd, 0) : NULL;
    for (size_t i = 0; i < n_bytes; i++) {
        p[i] = (uint8_t)(i % 251);
    }
    if (n_bytes > 0) {
        munmap(p, n_bytes);
    }
    if (fcntl(fd, F_ADD_SEALS, seals) < 0) {
        _exit(94);
    }
    return fd;
}

static void answer_file(uint64_t serial, size_t n_bytes, size_t n_said, int seals)
{
    int fd = make_file(n_bytes, seals);
    struct wire_worker_return ret = {.serial = serial, .value = {.is_fd = true, .bytes = n_said}};
    answer_with(&ret, &fd, 1);
    close(fd);
}

static void list_fds(const struct wire_worker_call *call)
{
    char text[256] = "";
    for (int fd = 0; fd < 1024; fd++) {
        if (fcntl(fd, F_GETFD) >= 0) {
            snprintf(text + strlen(text), sizeof text - strlen(text), "%d ", fd);
        }
    }
    answer_text(call->serial, text);
}

/* --- functions that do not --- */

static void misbehave(const struct wire_worker_call *call, const char *how)
{
    if (strcmp(how, "garbage") == 0) {
        send_bytes(slice_str("garbage"), NULL, 0);
    } else if (strcmp(how, "oversize") == 0) {
        static uint8_t bytes[WIRE_WORKER_BYTES_MAX + 1];
        send_bytes(slice_of(bytes, sizeof bytes), NULL, 0);
    } else if (strcmp(how, "serial") == 0) {
        answer_text(call->serial + 1, "too early");
    } else if (strcmp(how, "descriptors") == 0) {
        const int many[] = {0, 1, 2};
        struct wire_worker_return ret = {.serial = call->serial};
        answer_with(&ret, many, 3);
    } else if (strcmp(how, "descriptor") == 0) {
        const int one[] = {0};
        struct wire_worker_return ret = {.serial = call->serial};
        answer_with(&ret, one, 1);
    } else if (strcmp(how, "no-descriptor") == 0) {
        struct wire_worker_return ret = {.serial = call->serial, .value = {.is_fd = true}};
        answer_with(&ret, NULL, 0);
    } else if (strcmp(how, "unsealed") == 0) {
        answer_file(call->serial, 100000, 100000, F_SEAL_SHRINK | F_SEAL_GROW);
    } else if (strcmp(how, "other-size") == 0) {
        answer_file(call->serial, 100000, 100001,
                    F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
    } else if (strcmp(how, "no-memory-file") == 0) {
        const int fd = open("a-file", O_RDWR | O_CREAT, 0600);
        struct wire_worker_return ret = {.serial = call->serial, .value = {.is_fd = true}};
        answer_with(&ret, &fd, 1);
    } else if (strcmp(how, "hang-up") == 0) {
        close(WIRE_WORKER_FD);
    } else if (strcmp(how, "packets") == 0) {
        for (;;) {
            send_bytes(slice_str("garbage"), NULL, 0);
        }
    } else {
        return;
    }
    for (;;) {
        pause();
    }
}

/* Functions that print, and such that do not come back. False: it is none of them. */
static bool call_rude(const struct wire_worker_call *call, const char *f, const char *text)
{
    if (strcmp(f, "print") == 0) {
        printf("%s", text);
        fprintf(stderr, "!");
        answer(call->serial, slice_of(NULL, 0));
    } else if (strcmp(f, "print-much") == 0) {
        for (int i = 0; i < 20000; i++) {
            printf("0123456789\n");
        }
        answer(call->serial, slice_of(NULL, 0));
    } else if (strcmp(f, "print-for-ever") == 0) {
        for (;;) {
            printf("y\n");
        }
    } else if (strcmp(f, "signal") == 0) {
        int number = (int)strtoul(text, NULL, 10);
        printf("last words");
        fflush(NULL);
        struct sigaction normal = {.sa_handler = SIG_DFL};
        sigaction(number, &normal, NULL);
        raise(number);
    } else if (strcmp(f, "exit") == 0) {
        _exit((int)strtoul(text, NULL, 10));
    } else if (strcmp(f, "hang") == 0) {
        for (;;) {
            pause();
        }
    } else {
        return false;
    }
    return true;
}

static void call_one(const struct wire_worker_call *call, const char *f, struct slice args)
{
    char text[4096];
    snprintf(text, sizeof text, "%.*s", SLICE_FMT(args));
    n_calls++;
    misbehave(call, f);
    if (call_rude(call, f, text)) {
        return;
    }
    if (strcmp(f, "echo") == 0) {
        answer(call->serial, args);
    } else if (strcmp(f, "nothing") == 0) {
        answer(call->serial, slice_of(NULL, 0));
    } else if (strcmp(f, "count") == 0) {
        snprintf(text, sizeof text, "%u", n_calls);
        answer_text(call->serial, text);
    } else if (strcmp(f, "who") == 0) {
        snprintf(text, sizeof text, "%.*s %u", SLICE_FMT(call->peer), call->attempt);
        answer_text(call->serial, text);
    } else if (strcmp(f, "size") == 0) {
        struct stat st;
        snprintf(text, sizeof text, "%llu %lld", (unsigned long long)call->args.bytes,
                 call->args.is_fd && fstat(fds[0], &st) == 0 ? (long long)st.st_size : -1);
        answer_text(call->serial, text);
    } else if (strcmp(f, "sum-refs") == 0) {
        sum_refs(call);
    } else if (strcmp(f, "attack-ref") == 0) {
        attack_ref(call);
    } else if (strcmp(f, "list-fds") == 0) {
        list_fds(call);
    } else if (strcmp(f, "fail") == 0) {
        struct wire_worker_return ret = {.serial = call->serial, .status = 1, .text = args};
        answer_with(&ret, NULL, 0);
    } else if (strcmp(f, "large") == 0) {
        size_t n = (size_t)strtoul(text, NULL, 10);
        answer_file(call->serial, n, n, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
    } else if (strcmp(f, "answer-and-exit") == 0) {
        answer(call->serial, args);
        _exit(3);
    } else if (strcmp(f, "twice") == 0) {
        answer(call->serial, args);
        answer(call->serial, args);
    } else if (strcmp(f, "leave") == 0) {
        IGNORE(open("left-here", O_RDWR | O_CREAT, 0600));
        if (fork() == 0) {
            for (;;) {
                pause();
            }
        }
        answer(call->serial, args);
    } else if (strcmp(f, "look") == 0) {
        answer_text(call->serial, access("left-here", F_OK) == 0 ? "there" : "gone");
    } else {
        struct wire_worker_return ret = {
            .serial = call->serial, .status = 2, .text = slice_str("no such function")};
        answer_with(&ret, NULL, 0);
    }
}

static void say_hello(const char *mode)
{
    static struct wire_worker_hello hello;
    hello.version = strcmp(mode, "version") == 0 ? 99 : WIRE_WORKER_VERSION;
    hello.library = slice_str("test");
    hello.n_functions = strcmp(mode, "no-functions") == 0 ? 0 : 2;
    hello.functions[0] = slice_str("echo");
    hello.functions[1] = slice_str("count");
    if (wire_worker_hello_encode(&hello, &out) < 0) {
        _exit(95);
    }
    send_bytes(strcmp(mode, "garbage") == 0 ? slice_str("hello there") : buf_slice(&out), NULL, 0);
}

int main(void)
{
    const char *number = getenv(WIRE_WORKER_ENV);
    const char *mode = getenv("MODE");
    mode = mode != NULL ? mode : "";
    if (number == NULL || strcmp(number, "3") != 0) {
        return 96;
    }
    if (strcmp(mode, "quit") == 0) {
        printf("usage: something else\nand more\n");
        return 5;
    }
    if (strcmp(mode, "loader") == 0) {
        fprintf(stderr, "./worker: error while loading shared libraries: libnone.so.1: cannot open "
                        "shared object file: No such file or directory\n");
        fflush(NULL);
        _exit(127);
    }
    while (strcmp(mode, "silent") == 0) {
        pause();
    }
    buf_init(&out, WIRE_WORKER_BYTES_MAX);
    say_hello(mode);
    for (;;) {
        struct wire_worker_call call;
        const char *fault = "";
        char name[WIRE_FUNCTION_BYTES_MAX + 1];
        struct slice bytes = slice_of(packet, receive());
        if (wire_worker_call_decode(bytes, &call, &fault) < 0 ||
            n_fds != wire_worker_call_fds(&call)) {
            _exit(97);
        }
        snprintf(name, sizeof name, "%.*s", SLICE_FMT(call.function));
        call_one(&call, name, call.args.inlined);
        while (n_fds > 0) {
            close(fds[--n_fds]);
        }
    }
}
