/* The lab itself: that its hosts are hosts, that its cables do as they are told, and that nothing
 * stays behind. */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lab/bounds.h"
#include "tests/lab/host.h"
#include "tests/lab/process.h"

#define ECHO_PORT     9999
#define PAYLOAD_BYTES 400
/* Long beside a round trip through the switch (0.1 ms), short beside a test. */
#define ANSWER_MS 200

static int bound_socket(uint16_t port)
{
    int sock = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (sock < 0 || bind(sock, (struct sockaddr *)&any, sizeof(any)) < 0) {
        return -1;
    }
    return sock;
}

/* Sends every datagram back to where it came from, for ever. */
static int echo(void *context)
{
    int sock = bound_socket(ECHO_PORT);
    if (sock < 0) {
        return 1;
    }
    printf("listening\n");
    fflush(stdout);
    for (;;) {
        char bytes[PAYLOAD_BYTES];
        struct sockaddr_in from;
        socklen_t n_from = sizeof(from);
        ssize_t n = recvfrom(sock, bytes, sizeof(bytes), 0, (struct sockaddr *)&from, &n_from);
        if (n > 0) {
            IGNORE(sendto(sock, bytes, (size_t)n, 0, (struct sockaddr *)&from, n_from));
        }
    }
}

struct pings {
    const char *address;
    unsigned n;
    unsigned wait_ms; /* for all answers, after the last was sent */
};

/* Prints how many answers came and how long the first took, in microseconds. */
static int ping(void *context)
{
    const struct pings *pings = context;
    int sock = bound_socket(0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(ECHO_PORT)};
    if (sock < 0 || inet_pton(AF_INET, pings->address, &to.sin_addr) != 1) {
        return 1;
    }
    uint64_t sent_ns = lab_now_ns();
    uint64_t first_ns = 0;
    unsigned n_answers = 0;
    for (unsigned i = 0; i < pings->n; i++) {
        IGNORE(sendto(sock, &i, sizeof(i), 0, (struct sockaddr *)&to, sizeof(to)));
        /* One at a time, so that no queue fills and only the switch loses anything. */
        struct pollfd wanted = {.fd = sock, .events = POLLIN};
        int wait_ms = i + 1 == pings->n ? (int)pings->wait_ms : 5;
        while (poll(&wanted, 1, wait_ms) == 1) {
            unsigned answer;
            if (recv(sock, &answer, sizeof(answer), 0) == sizeof(answer)) {
                n_answers++;
                first_ns = first_ns == 0 ? lab_now_ns() - sent_ns : first_ns;
                if (answer == i && i + 1 < pings->n) {
                    break;
                }
            }
        }
    }
    printf("%u answers, %llu us\n", n_answers, (unsigned long long)(first_ns / 1000));
    return 0;
}

static unsigned answers(struct lab_host *from, struct lab_host *to, unsigned n, unsigned *ret_us)
{
    struct pings pings = {.address = to->address, .n = n, .wait_ms = ANSWER_MS};
    struct lab_process *process = lab_call(from, ping, &pings);
    lab_expect(process, 30000, 0);
    unsigned n_answers = 0;
    unsigned us = 0;
    ck_assert_int_eq(sscanf(lab_output(process), "%u answers, %u us", &n_answers, &us), 2);
    if (ret_us != NULL) {
        *ret_us = us;
    }
    return n_answers;
}

/* The first datagram after a partition waits for ARP, which asks again each second. */
static bool hears_again(struct lab_host *from, struct lab_host *to)
{
    for (int i = 0; i < 10; i++) {
        if (answers(from, to, 1, NULL) > 0) {
            return true;
        }
    }
    return false;
}

static void listen_on(struct lab_host *host)
{
    if (!lab_wait_text(lab_call(host, echo, NULL), "listening", 2000)) {
        lab_fail(host->lab, "%s does not listen", host->name);
    }
}

START_TEST(hosts_hear_one_another_and_only_through_the_switch)
{
    struct lab *lab = lab_new();
    struct lab_host *hal = lab_host(lab, "hal");
    struct lab_host *lily = lab_host(lab, "lily");
    struct lab_host *max = lab_host(lab, "max");
    listen_on(lily);
    unsigned us;
    ck_assert_uint_eq(answers(hal, lily, 1, &us), 1);
    printf(
        "# figure: lab: round trip of the first datagram through the switch, ARP included: %u us\n",
        us);
    ck_assert_uint_eq(answers(max, lily, 20, NULL), 20);
    ck_assert_uint_ge(lab_counters(lily, SWITCH_TO_HOST).n_frames, 21);
    lab_cut(lily);
    ck_assert_uint_eq(answers(hal, lily, 1, NULL), 0);
    lab_plug(lily);
    ck_assert_uint_eq(answers(hal, lily, 1, NULL), 1);
    lab_free(lab);
}
END_TEST

START_TEST(a_cut_in_one_direction_leaves_the_other)
{
    struct lab *lab = lab_new();
    struct lab_host *hal = lab_host(lab, "hal");
    struct lab_host *lily = lab_host(lab, "lily");
    listen_on(lily);
    ck_assert_uint_eq(answers(hal, lily, 1, NULL), 1);
    uint64_t before = lab_counters(lily, SWITCH_TO_HOST).n_frames;
    lab_fault(lily, SWITCH_FROM_HOST, (struct switch_fault){.is_cut = true});
    ck_assert_uint_eq(answers(hal, lily, 1, NULL), 0);
    ck_assert_uint_gt(lab_counters(lily, SWITCH_TO_HOST).n_frames, before);
    ck_assert_uint_ge(lab_counters(lily, SWITCH_FROM_HOST).n_dropped, 1);
    lab_free(lab);
}
END_TEST

START_TEST(loss_is_about_what_was_asked_for)
{
    struct lab *lab = lab_new();
    struct lab_host *hal = lab_host(lab, "hal");
    struct lab_host *lily = lab_host(lab, "lily");
    listen_on(lily);
    ck_assert_uint_eq(answers(hal, lily, 1, NULL), 1); /* ARP is done, and not at stake */
    lab_fault(lily, SWITCH_TO_HOST, (struct switch_fault){.drop_ppm = 300000});
    unsigned n = answers(hal, lily, 300, NULL);
    printf("# figure: lab: %u of 300 datagrams passed at 30 %% loss one way\n", n);
    /* Six standard deviations (8 each) around 210: chance does not fail this test. */
    ck_assert_uint_ge(n, 162);
    ck_assert_uint_le(n, 258);
    lab_free(lab);
}
END_TEST

START_TEST(delay_is_added_in_each_direction)
{
    struct lab *lab = lab_new();
    struct lab_host *hal = lab_host(lab, "hal");
    struct lab_host *lily = lab_host(lab, "lily");
    listen_on(lily);
    ck_assert_uint_eq(answers(hal, lily, 1, NULL), 1);
    lab_delay(lily, 30, 0);
    unsigned us;
    ck_assert_uint_eq(answers(hal, lily, 1, &us), 1);
    ck_assert_uint_ge(us, 60000);
    ck_assert_uint_le(us, 1000000); /* not for ever; how late it was is the machine's affair */
    lab_free(lab);
}
END_TEST

START_TEST(doubled_frames_arrive_twice)
{
    struct lab *lab = lab_new();
    struct lab_host *hal = lab_host(lab, "hal");
    struct lab_host *lily = lab_host(lab, "lily");
    listen_on(lily);
    ck_assert_uint_eq(answers(hal, lily, 1, NULL), 1);
    ck_assert_uint_eq(lab_counters(lily, SWITCH_TO_HOST).n_doubled, 0);
    lab_fault(lily, SWITCH_TO_HOST, (struct switch_fault){.duplicate_ppm = SWITCH_PPM});
    ck_assert_uint_eq(answers(hal, lily, 1, NULL), 2);
    ck_assert_uint_ge(lab_counters(lily, SWITCH_TO_HOST).n_doubled, 1);
    lab_free(lab);
}
END_TEST

/* --- corruption --------------------------------------------------------------------------------
 */

/* Sends one datagram that is not the same everywhere and says what comes back: nothing, the same,
 * the same bytes in another order, or others. */
static int reflect(void *context)
{
    const char *address = context;
    uint8_t sent[PAYLOAD_BYTES];
    uint8_t got[PAYLOAD_BYTES];
    unsigned count[256] = {0};
    int sock = bound_socket(0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(ECHO_PORT)};
    if (sock < 0 || inet_pton(AF_INET, address, &to.sin_addr) != 1) {
        return 1;
    }
    for (unsigned i = 0; i < PAYLOAD_BYTES; i++) {
        sent[i] = (uint8_t)(i * 7);
    }
    IGNORE(sendto(sock, sent, sizeof(sent), 0, (struct sockaddr *)&to, sizeof(to)));
    struct pollfd wanted = {.fd = sock, .events = POLLIN};
    if (poll(&wanted, 1, ANSWER_MS) != 1 || recv(sock, got, sizeof(got), 0) != PAYLOAD_BYTES) {
        puts("nothing");
        return 0;
    }
    bool is_permuted = true;
    for (unsigned i = 0; i < PAYLOAD_BYTES; i++) {
        count[sent[i]]++;
        count[got[i]]--;
    }
    for (unsigned i = 0; i < 256; i++) {
        is_permuted &= count[i] == 0;
    }
    puts(memcmp(sent, got, sizeof(sent)) == 0 ? "same" : is_permuted ? "swapped" : "other");
    return 0;
}

static const char *reflected(struct lab_host *from, struct lab_host *to)
{
    struct lab_process *process = lab_call(from, reflect, to->address);
    lab_expect(process, 5000, 0);
    return lab_output(process);
}

START_TEST(corruption_is_told_by_checksums_or_is_not)
{
    struct lab *lab = lab_new();
    struct lab_host *hal = lab_host(lab, "hal");
    struct lab_host *lily = lab_host(lab, "lily");
    listen_on(lily);
    ck_assert_uint_eq(answers(hal, lily, 1, NULL), 1);
    ck_assert_str_eq(reflected(hal, lily), "same\n");
    lab_fault(lily, SWITCH_TO_HOST, (struct switch_fault){.flip_ppm = SWITCH_PPM});
    ck_assert_str_eq(reflected(hal, lily), "nothing\n"); /* the host's own UDP threw it away */
    ck_assert_uint_ge(lab_counters(lily, SWITCH_TO_HOST).n_flipped, 1);
    ck_assert_uint_eq(lab_counters(lily, SWITCH_TO_HOST).n_swapped, 0);
    lab_fault(lily, SWITCH_TO_HOST, (struct switch_fault){.swap_ppm = SWITCH_PPM});
    ck_assert_str_eq(reflected(hal, lily), "swapped\n");
    ck_assert_uint_ge(lab_counters(lily, SWITCH_TO_HOST).n_swapped, 1);
    lab_plug(lily);
    ck_assert_str_eq(reflected(hal, lily), "same\n");
    lab_free(lab);
}
END_TEST

#define BURST 40u

/* Sends numbered datagrams one behind the other, and prints how many answers came and how many of
 * them after one with a larger number. */
static int burst(void *context)
{
    const char *address = context;
    int sock = bound_socket(0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(ECHO_PORT)};
    if (sock < 0 || inet_pton(AF_INET, address, &to.sin_addr) != 1) {
        return 1;
    }
    for (unsigned i = 0; i < BURST; i++) {
        IGNORE(sendto(sock, &i, sizeof(i), 0, (struct sockaddr *)&to, sizeof(to)));
    }
    unsigned n = 0;
    unsigned n_late = 0;
    unsigned largest = 0;
    struct pollfd wanted = {.fd = sock, .events = POLLIN};
    while (n < BURST && poll(&wanted, 1, ANSWER_MS) == 1) {
        unsigned i = 0;
        IGNORE(recv(sock, &i, sizeof(i), 0));
        n++;
        n_late += i < largest;
        largest = i > largest ? i : largest;
    }
    printf("%u answers, %u late\n", n, n_late);
    return 0;
}

START_TEST(what_is_held_is_overtaken)
{
    struct lab *lab = lab_new();
    struct lab_host *hal = lab_host(lab, "hal");
    struct lab_host *lily = lab_host(lab, "lily");
    listen_on(lily);
    ck_assert_uint_eq(answers(hal, lily, 1, NULL), 1);
    lab_fault(lily, SWITCH_TO_HOST,
              (struct switch_fault){.hold_ppm = 300000, .hold_ns = UINT64_C(40000000)});
    struct lab_process *process = lab_call(hal, burst, lily->address);
    lab_expect(process, 5000, 0);
    unsigned n = 0;
    unsigned n_late = 0;
    ck_assert_int_eq(sscanf(lab_output(process), "%u answers, %u late", &n, &n_late), 2);
    ck_assert_uint_eq(n, BURST);
    ck_assert_uint_ge(n_late, 1);
    ck_assert_uint_lt(n_late, BURST - 1);
    ck_assert_uint_ge(lab_counters(lily, SWITCH_TO_HOST).n_held, 1);
    lab_free(lab);
}
END_TEST

/* Sends bytes as fast as TCP takes them, until nobody reads any more. */
static int pour(void *context)
{
    const char *address = context;
    int sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(ECHO_PORT)};
    if (sock < 0 || inet_pton(AF_INET, address, &to.sin_addr) != 1 ||
        connect(sock, (struct sockaddr *)&to, sizeof(to)) < 0) {
        return 1;
    }
    static const char bytes[65536];
    while (write(sock, bytes, sizeof(bytes)) > 0) {
    }
    return 0;
}

#define POUR_BYTES 100000u

/* Prints how long so many bytes took from the first to the last, in milliseconds. */
static int drain(void *context)
{
    int sock = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(ECHO_PORT)};
    if (sock < 0 || bind(sock, (struct sockaddr *)&any, sizeof(any)) < 0 || listen(sock, 1) < 0) {
        return 1;
    }
    puts("listening");
    fflush(stdout);
    int peer = accept4(sock, NULL, NULL, SOCK_CLOEXEC);
    char bytes[4096];
    uint64_t first_ns = 0;
    for (size_t n = 0; n < POUR_BYTES;) {
        ssize_t got = read(peer, bytes, sizeof(bytes));
        if (got <= 0) {
            return 1;
        }
        first_ns = first_ns == 0 ? lab_now_ns() : first_ns;
        n += (size_t)got;
    }
    printf("%u ms\n", (unsigned)((lab_now_ns() - first_ns) / 1000000));
    return 0;
}

START_TEST(a_slow_line_carries_what_it_can)
{
    struct lab *lab = lab_new();
    struct lab_host *hal = lab_host(lab, "hal");
    struct lab_host *lily = lab_host(lab, "lily");
    lab_slow(lily, 1000000);
    struct lab_process *sink = lab_call(lily, drain, NULL);
    ck_assert(lab_wait_text(sink, "listening", 2000));
    lab_call(hal, pour, lily->address);
    lab_expect(sink, 20000, 0);
    unsigned ms = 0;
    ck_assert_int_eq(sscanf(strchr(lab_output(sink), '\n') + 1, "%u ms", &ms), 1);
    printf("# figure: lab: %u bytes through 1 Mbit/s took %u ms (800 without headers)\n",
           POUR_BYTES, ms);
    ck_assert_uint_ge(ms, 750);
    ck_assert_uint_gt(lab_counters(lily, SWITCH_TO_HOST).n_dropped, 0); /* or TCP had not tried */
    lab_free(lab);
}
END_TEST

/* A datagram to the group of mDNS, whoever listens; by the interface of this address. */
static int call_group(void *context)
{
    const char *address = context;
    struct in_addr ours;
    int sock = bound_socket(0);
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(5353)};
    if (sock < 0 || inet_pton(AF_INET, "224.0.0.251", &to.sin_addr) != 1 ||
        inet_pton(AF_INET, address, &ours) != 1 ||
        setsockopt(sock, IPPROTO_IP, IP_MULTICAST_IF, &ours, sizeof(ours)) < 0) {
        return 1;
    }
    return sendto(sock, "x", 1, 0, (struct sockaddr *)&to, sizeof(to)) == 1 ? 0 : 1;
}

START_TEST(multicast_may_be_blocked_alone)
{
    struct lab *lab = lab_new();
    struct lab_host *hal = lab_host(lab, "hal");
    struct lab_host *lily = lab_host(lab, "lily");
    listen_on(lily);
    lab_fault(lily, SWITCH_TO_HOST, (struct switch_fault){.has_no_multicast = true});
    ck_assert_uint_eq(answers(hal, lily, 1, NULL), 1); /* ARP's broadcast and the datagram */
    uint64_t before = lab_counters(lily, SWITCH_TO_HOST).n_dropped;
    lab_expect(lab_call(hal, call_group, hal->address), 5000, 0);
    ck_assert_uint_gt(lab_counters(lily, SWITCH_TO_HOST).n_dropped, before);
    lab_free(lab);
}
END_TEST

START_TEST(a_partition_parts_groups_and_heals)
{
    struct lab *lab = lab_new();
    struct lab_host *a = lab_host(lab, "a");
    struct lab_host *b = lab_host(lab, "b");
    struct lab_host *c = lab_host(lab, "c");
    listen_on(b);
    lab_partition(a, 1);
    ck_assert_uint_eq(answers(a, b, 1, NULL), 0);
    ck_assert_uint_eq(answers(c, b, 1, NULL), 1);
    lab_partition(a, 0);
    ck_assert(hears_again(a, b));
    lab_free(lab);
}
END_TEST

/* Prints what a host sees of itself. */
static int describe(void *context)
{
    return execlp("sh", "sh", "-c",
                  "hostname; echo $$; ls -A /tmp /run /var/lib; ls /proc | grep -c '^[0-9]';"
                  "cat /sys/class/net/eth0/carrier; ls /sys/class/net",
                  (char *)NULL);
}

START_TEST(a_host_has_its_own_name_folders_processes_and_network)
{
    struct lab *lab = lab_new();
    struct lab_host *hal = lab_host(lab, "hal");
    struct lab_process *process = lab_call(hal, describe, NULL);
    lab_expect(process, 5000, 0);
    const char *out = lab_output(process);
    ck_assert_msg(strncmp(out, "hal\n", 4) == 0, "%s", out);
    ck_assert_ptr_nonnull(strstr(out, "eth0\nlo\n"));
    ck_assert_ptr_nonnull(strstr(out, "\n1\n"));
    ck_assert_ptr_null(strstr(out, "dbus"));
    lab_unplug(hal);
    process = lab_call(hal, describe, NULL);
    lab_expect(process, 5000, 0);
    ck_assert_ptr_nonnull(strstr(lab_output(process), "\n0\n"));
    /* What is shared is seen by both sides under one path. */
    char path[LAB_PATH_BYTES_MAX];
    snprintf(path, sizeof(path), "%s/hello", lab_share(lab));
    ck_assert_int_eq(lab_run(hal, 5000, NULL, "touch", path, NULL), 0);
    ck_assert_int_eq(access(path, F_OK), 0);
    lab_free(lab);
}
END_TEST

static int wait_for_ever(void *context)
{
    printf("waiting\n");
    fflush(stdout);
    while (pause() < 0) {
    }
    return 0;
}

START_TEST(processes_are_started_watched_frozen_and_killed)
{
    struct lab *lab = lab_new();
    struct lab_host *hal = lab_host(lab, "hal");
    struct lab_process *process = NULL;
    ck_assert_int_eq(
        lab_run(hal, 5000, &process, "sh", "-c", "echo out; echo err >&2; exit 7", NULL), 7);
    ck_assert_str_eq(lab_output(process), "out\n");
    ck_assert_str_eq(lab_errors(process), "err\n");
    ck_assert_int_eq(lab_run(hal, 5000, &process, "/no/such/program", NULL), 127);
    process = lab_call(hal, wait_for_ever, NULL);
    ck_assert(lab_wait_text(process, "waiting", 2000));
    int status;
    lab_freeze(process);
    kill(process->pid, SIGTERM); /* a frozen process does not even die of it */
    ck_assert_int_eq(lab_wait(process, 50, &status), -ETIMEDOUT);
    lab_thaw(process);
    lab_expect(process, 2000, 128 + SIGTERM);
    process = lab_call(hal, wait_for_ever, NULL);
    lab_kill(process);
    lab_expect(process, 0, 128 + SIGKILL);
    lab_free(lab);
}
END_TEST

START_TEST(a_host_without_power_has_no_process_left)
{
    struct lab *lab = lab_new();
    struct lab_host *hal = lab_host(lab, "hal");
    struct lab_host *lily = lab_host(lab, "lily");
    listen_on(lily);
    struct lab_process *process = lab_call(lily, wait_for_ever, NULL);
    ck_assert_uint_eq(answers(hal, lily, 1, NULL), 1);
    uint64_t n_frames = lab_counters(lily, SWITCH_FROM_HOST).n_frames;
    ck_assert_uint_gt(n_frames, 0);
    lab_power_off(lily);
    ck_assert(!lab_is_running(process));
    ck_assert_uint_ge(lab_counters(lily, SWITCH_FROM_HOST).n_frames, n_frames);
    ck_assert_uint_eq(answers(hal, lily, 1, NULL), 0);
    lab_free(lab);
}
END_TEST

/* Its cable was cut before, and its disk is small: the first is forgotten, the second is not. */
START_TEST(a_host_comes_back_with_its_disk_alone)
{
    struct lab *lab = lab_new();
    struct lab_host *hal = lab_host(lab, "hal");
    lab_limit_disks(lab, 1 << 20);
    struct lab_host *lily = lab_host(lab, "lily");
    lab_cut(lily);
    ck_assert_int_eq(lab_run(lily, 5000, NULL, "sh", "-c",
                             "echo kept > /var/lib/file; echo lost > /tmp/file; touch /run/file;"
                             "! head -c 2M /dev/zero > /var/lib/filler && rm /var/lib/filler",
                             NULL),
                     0);
    lab_power_off(lily);
    uint64_t n_frames = lab_counters(lily, SWITCH_FROM_HOST).n_frames;
    lab_power_on(lily);
    lab_power_on(lily); /* it is on */
    listen_on(lily);
    ck_assert_uint_eq(answers(hal, lily, 1, NULL), 1);
    ck_assert_uint_gt(lab_counters(lily, SWITCH_FROM_HOST).n_frames, n_frames);
    struct lab_process *process;
    ck_assert_int_eq(lab_run(lily, 5000, &process, "sh", "-c",
                             "cat /var/lib/file; ls -A /tmp /run; hostname", NULL),
                     0);
    ck_assert_str_eq(lab_output(process), "kept\n/run:\n\n/tmp:\nlily\n");
    ck_assert_int_eq(lab_run(hal, 5000, NULL, "test", "!", "-e", "/var/lib/file", NULL), 0);
    process = lab_forget(process);
    ck_assert_ptr_null(process);
    lab_free(lab);
}
END_TEST

/* --- the end -------------------------------------------------------------------------------- */

/* Builds a lab, says that it stands, and waits to be killed. What has a name on the machine is said
 * as well. */
static _Noreturn void live_until_killed(int report)
{
    struct lab *lab = lab_new();
    struct lab_host *hal = lab_host(lab, "hal");
    lab_host(lab, "lily");
    struct errmsg err;
    char folder[PATH_MAX] = "/none/may/be/made";
    if (lab_may_limit(LAB_LIMIT_CORES, &err)) {
        lab_limit_cores(hal, 1);
        snprintf(folder, sizeof(folder), "%s", hal->groups[0].folder);
        ck_assert_int_eq(access(folder, F_OK), 0);
    }
    listen_on(hal);
    /* One that has left its session and its parent, as a daemon does. */
    ck_assert_int_eq(lab_run(hal, 5000, NULL, "sh", "-c", "setsid sleep 1000 & exit 0", NULL), 0);
    IGNORE(write(report, folder, sizeof(folder)));
    for (;;) {
        pause();
    }
}

/* Everything that the dead test has started comes to us, and none of it may live on. */
static bool is_all_gone(void *context)
{
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
    return waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD;
}

START_TEST(nothing_is_left_when_the_test_is_killed)
{
    ck_assert_int_eq(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    int report[2];
    ck_assert_int_eq(pipe(report), 0);
    fflush(NULL);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        live_until_killed(report[1]);
    }
    close(report[1]);
    char folder[PATH_MAX];
    ck_assert_int_eq(read(report[0], folder, sizeof(folder)), sizeof(folder));
    kill(pid, SIGKILL);
    ck_assert_msg(lab_until(is_all_gone, NULL, 3000), "processes outlived their test by 3 s");
    /* The last holder of the pipe's end is gone, too, and so is the control group. */
    ck_assert_int_eq(read(report[0], folder, 1), 0);
    ck_assert_int_ne(access(folder, F_OK), 0);
    close(report[0]);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("lab");
    TCase *tc = tcase_create("lab");
    tcase_set_timeout(tc, 20);
    tcase_add_test(tc, hosts_hear_one_another_and_only_through_the_switch);
    tcase_add_test(tc, a_cut_in_one_direction_leaves_the_other);
    tcase_add_test(tc, loss_is_about_what_was_asked_for);
    tcase_add_test(tc, delay_is_added_in_each_direction);
    tcase_add_test(tc, doubled_frames_arrive_twice);
    tcase_add_test(tc, corruption_is_told_by_checksums_or_is_not);
    tcase_add_test(tc, what_is_held_is_overtaken);
    tcase_add_test(tc, a_slow_line_carries_what_it_can);
    tcase_add_test(tc, multicast_may_be_blocked_alone);
    tcase_add_test(tc, a_partition_parts_groups_and_heals);
    tcase_add_test(tc, a_host_has_its_own_name_folders_processes_and_network);
    tcase_add_test(tc, processes_are_started_watched_frozen_and_killed);
    tcase_add_test(tc, a_host_without_power_has_no_process_left);
    tcase_add_test(tc, a_host_comes_back_with_its_disk_alone);
    tcase_add_test(tc, nothing_is_left_when_the_test_is_killed);
    suite_add_tcase(suite, tc);
    return lab_run_suite(suite);
}
