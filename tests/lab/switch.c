/* The happy path: poll() says that a TAP is readable, a frame is read, its sender's address learnt,
 * and it is written to the port where its receiver was last heard, or to all others. A frame that
 * is delayed waits in a heap by its due time, and poll() ends when the first is due.
 *
 * The caller talks to the process in requests and replies over a socket pair; when that closes,
 * the process ends. */
#include "tests/lab/switch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/lab/fdpass.h"
#include "wire/base/heap.h"

/* Frames read from one port before the others get their turn. */
#define BURST_MAX 64
/* An Ethernet header: two addresses and a type. */
#define HEADER_BYTES  14
#define ADDRESS_BYTES 6
/* Behind these lies nothing but payload, whatever the options of IPv6 and TCP: an even number, as
 * the words of checksums are counted from an even place. */
#define HEADERS_BYTES 114

enum request_type {
    REQUEST_ADD,
    REQUEST_REMOVE,
    REQUEST_FAULT,
    REQUEST_GROUP,
    REQUEST_CARRIER,
    REQUEST_COUNTERS,
    REQUEST_CAPTURE,
};

struct request {
    enum request_type type;
    unsigned port;
    enum switch_direction direction;
    struct switch_fault fault;
    unsigned group;
    bool is_on;
};

struct reply {
    int error;
    unsigned port;
    struct switch_counters counters;
};

struct switch_process {
    pid_t pid;
    int control; /* owned */
};

/* --- inside the process ------------------------------------------------------------------- */

struct frame {
    struct heap_entry due;
    struct frame *next_free;
    unsigned port; /* where it goes */
    size_t n;
    uint8_t bytes[SWITCH_FRAME_BYTES];
};

struct port {
    int fd; /* owned; -1: nothing is plugged in */
    unsigned group;
    bool has_address;
    uint8_t address[ADDRESS_BYTES];
    struct switch_fault fault[SWITCH_N_DIRECTIONS];
    struct switch_counters counters[SWITCH_N_DIRECTIONS];
    uint64_t free_ns[SWITCH_N_DIRECTIONS]; /* when a slow line has carried all that waits for it */
};

struct state {
    struct port ports[SWITCH_PORTS_MAX];
    struct heap delayed; /* of struct frame */
    struct frame *first_free;
    unsigned n_frames; /* that were ever allocated */
    uint64_t random;
    int capture; /* owned; -1: none */
};

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* SplitMix64: small, and any seed will do. */
static uint64_t draw(struct state *st)
{
    uint64_t z = (st->random += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static bool happens(struct state *st, uint32_t ppm)
{
    return ppm > 0 && draw(st) % SWITCH_PPM < ppm;
}

static bool is_multicast(const uint8_t *bytes)
{
    static const uint8_t broadcast[ADDRESS_BYTES] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    return (bytes[0] & 1) != 0 && memcmp(bytes, broadcast, ADDRESS_BYTES) != 0;
}

/* Waits for its turn on a slow line, and is carried; false if too many wait already. */
static bool gets_through(struct port *port, enum switch_direction direction, size_t n,
                         uint64_t *late_ns)
{
    uint64_t here_ns = now_ns() + *late_ns;
    uint64_t *free_ns = &port->free_ns[direction];
    uint64_t begin_ns = *free_ns > here_ns ? *free_ns : here_ns;
    if (begin_ns - here_ns > SWITCH_QUEUE_NS) {
        return false;
    }
    *free_ns = begin_ns + n * UINT64_C(1000000000) / port->fault[direction].bytes_per_s;
    *late_ns += *free_ns - here_ns;
    return true;
}

/* Whether the frame survives this end of its way, and by how much it is late afterwards. */
static bool survives(struct state *st, struct port *port, enum switch_direction direction,
                     const uint8_t *bytes, size_t n, uint64_t *late_ns)
{
    const struct switch_fault *fault = &port->fault[direction];
    struct switch_counters *counters = &port->counters[direction];
    counters->n_frames++;
    counters->n_bytes += n;
    if (fault->is_cut || happens(st, fault->drop_ppm) ||
        (fault->has_no_multicast && is_multicast(bytes))) {
        counters->n_dropped++;
        return false;
    }
    *late_ns += fault->delay_ns;
    if (fault->jitter_ns > 0) {
        *late_ns += draw(st) % fault->jitter_ns;
    }
    if (happens(st, fault->hold_ppm)) {
        counters->n_held++;
        *late_ns += fault->hold_ns;
    }
    if (fault->bytes_per_s > 0 && !gets_through(port, direction, n, late_ns)) {
        counters->n_dropped++;
        return false;
    }
    return true;
}

/* What the fault does to the bytes of a frame. Nothing of a frame that is too short to have a
 * payload behind the longest headers. */
static void corrupt(struct state *st, struct port *port, enum switch_direction direction,
                    uint8_t *bytes, size_t n)
{
    const struct switch_fault *fault = &port->fault[direction];
    struct switch_counters *counters = &port->counters[direction];
    if (n < HEADERS_BYTES + 4) {
        return;
    }
    size_t n_words = (n - HEADERS_BYTES) / 2;
    if (happens(st, fault->flip_ppm)) {
        counters->n_flipped++;
        bytes[HEADERS_BYTES + draw(st) % (2 * n_words)] ^= (uint8_t)(1u << draw(st) % 8);
    }
    if (happens(st, fault->swap_ppm)) {
        uint8_t *a = bytes + HEADERS_BYTES + 2 * (draw(st) % n_words);
        uint8_t *b = bytes + HEADERS_BYTES + 2 * (draw(st) % n_words);
        uint8_t word[2] = {a[0], a[1]};
        counters->n_swapped += memcmp(a, b, sizeof(word)) != 0;
        memmove(a, b, sizeof(word));
        memcpy(b, word, sizeof(word));
    }
}

static unsigned count_copies(struct state *st, struct port *port, enum switch_direction direction)
{
    bool is_doubled = happens(st, port->fault[direction].duplicate_ppm);
    port->counters[direction].n_doubled += is_doubled;
    return is_doubled ? 2 : 1;
}

static void put_out(struct port *port, const uint8_t *bytes, size_t n)
{
    if (port->fd >= 0 && write(port->fd, bytes, n) < 0) {
        /* The interface is down, or its queue is full: a wire loses such a frame, too. */
        port->counters[SWITCH_TO_HOST].n_dropped++;
    }
}

static struct frame *take_frame(struct state *st)
{
    struct frame *frame = st->first_free;
    if (frame != NULL) {
        st->first_free = frame->next_free;
        return frame;
    }
    if (st->n_frames == SWITCH_FRAMES_MAX) {
        return NULL;
    }
    frame = calloc(1, sizeof(*frame));
    st->n_frames += frame != NULL;
    return frame;
}

static void send_later(struct state *st, unsigned i_port, const uint8_t *bytes, size_t n,
                       uint64_t at_ns)
{
    struct frame *frame = take_frame(st);
    if (frame == NULL) {
        st->ports[i_port].counters[SWITCH_TO_HOST].n_dropped++;
        return;
    }
    frame->port = i_port;
    frame->n = n;
    memcpy(frame->bytes, bytes, n);
    heap_set(&st->delayed, &frame->due, at_ns);
}

static void deliver(struct state *st, unsigned i_port, const uint8_t *sent, size_t n,
                    uint64_t late_ns)
{
    struct port *port = &st->ports[i_port];
    uint8_t bytes[SWITCH_FRAME_BYTES]; /* others may be sent the same */
    if (!survives(st, port, SWITCH_TO_HOST, sent, n, &late_ns)) {
        return;
    }
    memcpy(bytes, sent, n);
    corrupt(st, port, SWITCH_TO_HOST, bytes, n);
    unsigned n_copies = count_copies(st, port, SWITCH_TO_HOST);
    for (unsigned i = 0; i < n_copies; i++) {
        if (late_ns == 0) {
            put_out(port, bytes, n);
        } else {
            send_later(st, i_port, bytes, n, now_ns() + late_ns);
        }
    }
}

/* The port where this address was last heard; SWITCH_PORTS_MAX for all. */
static unsigned find_receiver(const struct state *st, const uint8_t *address)
{
    if ((address[0] & 1) != 0) { /* a group address */
        return SWITCH_PORTS_MAX;
    }
    for (unsigned i = 0; i < SWITCH_PORTS_MAX; i++) {
        const struct port *port = &st->ports[i];
        if (port->fd >= 0 && port->has_address &&
            memcmp(port->address, address, ADDRESS_BYTES) == 0) {
            return i;
        }
    }
    return SWITCH_PORTS_MAX;
}

static void forward(struct state *st, unsigned i_from, uint8_t *bytes, size_t n)
{
    struct port *from = &st->ports[i_from];
    uint64_t late_ns = 0;
    if (!survives(st, from, SWITCH_FROM_HOST, bytes, n, &late_ns)) {
        return;
    }
    corrupt(st, from, SWITCH_FROM_HOST, bytes, n);
    memcpy(from->address, bytes + ADDRESS_BYTES, ADDRESS_BYTES);
    from->has_address = true;
    unsigned i_to = find_receiver(st, bytes);
    unsigned n_copies = count_copies(st, from, SWITCH_FROM_HOST);
    for (unsigned i = 0; i < SWITCH_PORTS_MAX; i++) {
        if (i == i_from || st->ports[i].fd < 0 || st->ports[i].group != from->group ||
            (i_to != SWITCH_PORTS_MAX && i != i_to)) {
            continue;
        }
        for (unsigned i_copy = 0; i_copy < n_copies; i_copy++) {
            deliver(st, i, bytes, n, late_ns);
        }
    }
}

static void read_port(struct state *st, unsigned i_port)
{
    uint8_t bytes[SWITCH_FRAME_BYTES];
    for (int i = 0; i < BURST_MAX; i++) {
        ssize_t n = read(st->ports[i_port].fd, bytes, sizeof(bytes));
        if (n < 0 && errno == EBADFD) {
            close(st->ports[i_port].fd); /* the host is gone, and its interface with it */
            st->ports[i_port].fd = -1;
            return;
        }
        if (n < HEADER_BYTES) {
            return; /* EAGAIN: that was all; EIO, ENETDOWN: the interface is down */
        }
        if (st->capture >= 0 && write(st->capture, bytes, (size_t)n) != n) {
            _exit(1); /* whoever reads it believes that it is all */
        }
        forward(st, i_port, bytes, (size_t)n);
    }
}

static void send_due(struct state *st)
{
    while (heap_first_ns(&st->delayed) <= now_ns()) {
        struct frame *frame = CONTAINER_OF(heap_first(&st->delayed), struct frame, due);
        heap_remove(&st->delayed, &frame->due);
        put_out(&st->ports[frame->port], frame->bytes, frame->n);
        frame->next_free = st->first_free;
        st->first_free = frame;
    }
}

static int add_port(struct state *st, int fd, unsigned *ret_port)
{
    if (fd < 0) {
        return -EBADF;
    }
    for (unsigned i = 0; i < SWITCH_PORTS_MAX; i++) {
        if (st->ports[i].fd < 0) {
            memset(&st->ports[i], 0, sizeof(st->ports[i]));
            st->ports[i].fd = fd;
            *ret_port = i;
            return fcntl(fd, F_SETFL, O_NONBLOCK) < 0 ? -errno : 0;
        }
    }
    close(fd);
    return -ENOSPC;
}

/* A TAP can be told; the other end of a packet socket's interface sees whether that one is up. */
static int set_carrier(struct port *port, bool is_on)
{
    int value = is_on;
    if (ioctl(port->fd, TUNSETCARRIER, &value) == 0) {
        return 0;
    }
    struct sockaddr_ll address;
    socklen_t n = sizeof(address);
    struct ifreq request;
    memset(&request, 0, sizeof(request));
    if (getsockname(port->fd, (struct sockaddr *)&address, &n) < 0) {
        return -errno;
    }
    request.ifr_ifindex = address.sll_ifindex;
    if (ioctl(port->fd, SIOCGIFNAME, &request) < 0 || ioctl(port->fd, SIOCGIFFLAGS, &request) < 0) {
        return -errno;
    }
    request.ifr_flags = (short)(is_on ? request.ifr_flags | IFF_UP : request.ifr_flags & ~IFF_UP);
    return ioctl(port->fd, SIOCSIFFLAGS, &request) < 0 ? -errno : 0;
}

static void carry_out(struct state *st, const struct request *request, int fd, struct reply *reply)
{
    if (request->type == REQUEST_ADD) {
        reply->error = add_port(st, fd, &reply->port);
        return;
    }
    if (request->type == REQUEST_CAPTURE) {
        st->capture = fd;
        reply->error = fd < 0 ? -EBADF : 0;
        return;
    }
    struct port *port = &st->ports[request->port];
    if (port->fd < 0) {
        reply->error = -ENODEV;
        return;
    }
    switch (request->type) {
    case REQUEST_ADD:
    case REQUEST_CAPTURE:
        break;
    case REQUEST_REMOVE:
        close(port->fd);
        port->fd = -1;
        break;
    case REQUEST_FAULT:
        port->fault[request->direction] = request->fault;
        break;
    case REQUEST_GROUP:
        port->group = request->group;
        break;
    case REQUEST_CARRIER:
        reply->error = set_carrier(port, request->is_on);
        break;
    case REQUEST_COUNTERS:
        reply->counters = port->counters[request->direction];
        break;
    }
}

/* Until the next delayed frame is due, rounded up; NULL for no end. */
static const struct timespec *time_left(const struct state *st, struct timespec *left)
{
    uint64_t due_ns = heap_first_ns(&st->delayed);
    if (due_ns == HEAP_NONE) {
        return NULL;
    }
    uint64_t now = now_ns();
    uint64_t left_ns = due_ns > now ? due_ns - now : 0;
    left->tv_sec = (time_t)(left_ns / UINT64_C(1000000000));
    left->tv_nsec = (long)(left_ns % UINT64_C(1000000000));
    return left;
}

static _Noreturn void run_switch(int control, uint64_t seed)
{
    struct state *st = calloc(1, sizeof(*st));
    ensure(st != NULL);
    for (unsigned i = 0; i < SWITCH_PORTS_MAX; i++) {
        st->ports[i].fd = -1;
    }
    heap_init(&st->delayed);
    st->random = seed;
    st->capture = -1;
    for (;;) {
        struct pollfd fds[SWITCH_PORTS_MAX + 1];
        for (unsigned i = 0; i < SWITCH_PORTS_MAX; i++) {
            fds[i] = (struct pollfd){.fd = st->ports[i].fd, .events = POLLIN};
        }
        fds[SWITCH_PORTS_MAX] = (struct pollfd){.fd = control, .events = POLLIN};
        struct timespec left;
        if (ppoll(fds, SWITCH_PORTS_MAX + 1, time_left(st, &left), NULL) < 0 && errno != EINTR) {
            _exit(1);
        }
        send_due(st);
        for (unsigned i = 0; i < SWITCH_PORTS_MAX; i++) {
            if (fds[i].revents != 0) {
                read_port(st, i);
            }
        }
        if (fds[SWITCH_PORTS_MAX].revents != 0) {
            struct request request;
            struct reply reply;
            int fd = -1;
            memset(&reply, 0, sizeof(reply));
            if (fdpass_receive(control, &request, sizeof(request), &fd) != 0) {
                _exit(0); /* whoever made the switch is gone */
            }
            carry_out(st, &request, fd, &reply);
            if (fdpass_send(control, &reply, sizeof(reply), -1) != 0) {
                _exit(0);
            }
        }
    }
}

/* --- the caller's side --------------------------------------------------------------------- */

int switch_new(uint64_t seed, struct switch_process **ret_sw)
{
    struct switch_process *sw = calloc(1, sizeof(*sw));
    int pair[2];
    if (sw == NULL || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        free(sw);
        return -errno;
    }
    pid_t parent = getpid();
    sw->pid = fork();
    if (sw->pid < 0) {
        int error = -errno;
        close(pair[0]);
        close(pair[1]);
        free(sw);
        return error;
    }
    if (sw->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) {
            _exit(0);
        }
        /* Nothing else of the parent's may be kept open here: others wait for its end. */
        int control = dup2(pair[1], 3);
        close_range(4, ~0U, 0);
        run_switch(control, seed);
    }
    close(pair[1]);
    sw->control = pair[0];
    *ret_sw = sw;
    return 0;
}

struct switch_process *switch_free(struct switch_process *sw)
{
    if (sw != NULL) {
        close(sw->control);
        kill(sw->pid, SIGKILL);
        while (waitpid(sw->pid, NULL, 0) < 0 && errno == EINTR) {
        }
        free(sw);
    }
    return NULL;
}

static int ask(struct switch_process *sw, const struct request *request, int fd,
               struct reply *ret_reply)
{
    if (request->type != REQUEST_ADD && request->port >= SWITCH_PORTS_MAX) {
        return -ENODEV;
    }
    int error = fdpass_send(sw->control, request, sizeof(*request), fd);
    if (error == 0) {
        error = fdpass_receive(sw->control, ret_reply, sizeof(*ret_reply), NULL);
    }
    return error != 0 ? error : ret_reply->error;
}

int switch_add(struct switch_process *sw, int link_fd, unsigned *ret_port)
{
    struct request request = {.type = REQUEST_ADD};
    struct reply reply;
    int error = ask(sw, &request, link_fd, &reply);
    if (error == 0) {
        *ret_port = reply.port;
    }
    return error;
}

int switch_remove(struct switch_process *sw, unsigned port)
{
    struct request request = {.type = REQUEST_REMOVE, .port = port};
    struct reply reply;
    return ask(sw, &request, -1, &reply);
}

int switch_set_fault(struct switch_process *sw, unsigned port, enum switch_direction direction,
                     const struct switch_fault *fault)
{
    struct request request = {
        .type = REQUEST_FAULT, .port = port, .direction = direction, .fault = *fault};
    struct reply reply;
    return ask(sw, &request, -1, &reply);
}

int switch_set_group(struct switch_process *sw, unsigned port, unsigned group)
{
    struct request request = {.type = REQUEST_GROUP, .port = port, .group = group};
    struct reply reply;
    return ask(sw, &request, -1, &reply);
}

int switch_set_carrier(struct switch_process *sw, unsigned port, bool is_on)
{
    struct request request = {.type = REQUEST_CARRIER, .port = port, .is_on = is_on};
    struct reply reply;
    return ask(sw, &request, -1, &reply);
}

int switch_capture(struct switch_process *sw, int file_fd)
{
    struct request request = {.type = REQUEST_CAPTURE};
    struct reply reply;
    return ask(sw, &request, file_fd, &reply);
}

int switch_get_counters(struct switch_process *sw, unsigned port, enum switch_direction direction,
                        struct switch_counters *ret_counters)
{
    struct request request = {.type = REQUEST_COUNTERS, .port = port, .direction = direction};
    struct reply reply;
    int error = ask(sw, &request, -1, &reply);
    if (error == 0) {
        *ret_counters = reply.counters;
    }
    return error;
}
