#include "mesh/cell_proto.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "wire/base/text.h"

/* The next NUL-terminated string, or NULL when none is whole. */
static char *next_string(char **at, const char *end)
{
    char *s = *at;
    char *nul = s < end ? memchr(s, '\0', (size_t)(end - s)) : NULL;
    if (nul == NULL) {
        return NULL;
    }
    *at = nul + 1;
    return s;
}

static int next_strings(char **at, const char *end, uint32_t n, char **strings)
{
    for (uint32_t i = 0; i < n; i++) {
        strings[i] = next_string(at, end);
        if (strings[i] == NULL) {
            return -EPROTO;
        }
    }
    strings[n] = NULL;
    return 0;
}

int cell_body_parse(char *body, const struct cell_message *start, struct cell_body *to)
{
    const char *end = body + start->start.body_bytes;
    char *at = body;
    to->exec = next_string(&at, end);
    if (to->exec == NULL || start->start.n_args == 0 ||
        next_strings(&at, end, start->start.n_args, to->args) < 0 ||
        next_strings(&at, end, start->start.n_env, to->env) < 0) {
        return -EPROTO;
    }
    to->workdir = next_string(&at, end);
    if (to->workdir == NULL || next_strings(&at, end, start->start.n_files, to->files) < 0 ||
        next_strings(&at, end, start->start.n_returns, to->returns) < 0 || at != end) {
        return -EPROTO;
    }
    return 0;
}

int cell_body_file(char **file, bool *ret_is_dir, uint32_t *ret_mode)
{
    const char *word = *file;
    uint32_t mode = 0;
    if (strlen(word) < 6 || (word[0] != 'f' && word[0] != 'd') || word[4] != ':' ||
        !cell_path_is_inside(word + 5)) {
        return -EPROTO;
    }
    for (int i = 1; i < 4; i++) {
        if (word[i] < '0' || word[i] > '7') {
            return -EPROTO;
        }
        mode = mode << 3 | (uint32_t)(word[i] - '0');
    }
    *ret_is_dir = word[0] == 'd';
    *ret_mode = mode;
    *file += 5;
    return 0;
}

void cell_limits_format(const struct cell_limits *limits, char to[static CELL_LIMITS_BYTES])
{
    snprintf(to, CELL_LIMITS_BYTES, "%" PRIu64 ":%" PRIu64 ":%" PRIu64 ":%" PRIu32 ":%" PRIu32,
             limits->memory_bytes, limits->address_bytes, limits->file_bytes, limits->n_processes,
             limits->group_fd);
}

int cell_limits_parse(const char *text, struct cell_limits *ret_limits)
{
    static const uint64_t maxima[] = {INT64_MAX, INT64_MAX, INT64_MAX, INT32_MAX, INT16_MAX};
    uint64_t values[ARRAY_LEN(maxima)];
    for (size_t i = 0; i < ARRAY_LEN(maxima); i++) {
        char number[24];
        size_t n = strcspn(text, ":");
        bool is_last = i + 1 == ARRAY_LEN(maxima);
        if (n >= sizeof number || (text[n] == '\0') != is_last) {
            return -EINVAL;
        }
        memcpy(number, text, n);
        number[n] = '\0';
        if (text_parse_u64(number, maxima[i], &values[i]) < 0) {
            return -EINVAL;
        }
        text += n + !is_last;
    }
    *ret_limits = (struct cell_limits){.memory_bytes = values[0],
                                       .address_bytes = values[1],
                                       .file_bytes = values[2],
                                       .n_processes = (uint32_t)values[3],
                                       .group_fd = (uint32_t)values[4]};
    return 0;
}

bool cell_path_is_inside(const char *path)
{
    for (const char *part = path;; part++) {
        size_t n = strcspn(part, "/");
        if (n == 0 || (n == 1 && part[0] == '.') || (n == 2 && part[0] == '.' && part[1] == '.')) {
            return false;
        }
        part += n;
        if (*part == '\0') {
            return true;
        }
    }
}

int cell_packet_send(int socket_fd, struct slice packet, const int *fds, size_t n_fds, int flags)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * CELL_PACKET_FDS_MAX)];
    } control;
    struct iovec iov = {.iov_base = (void *)(uintptr_t)packet.p, .iov_len = packet.n};
    struct msghdr header = {.msg_iov = &iov, .msg_iovlen = 1};
    ensure(n_fds <= CELL_PACKET_FDS_MAX);
    if (n_fds > 0) {
        memset(control.bytes, 0, CMSG_SPACE(sizeof(int) * n_fds));
        header.msg_control = control.bytes;
        header.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
        struct cmsghdr *cmsg = CMSG_FIRSTHDR(&header);
        ensure(cmsg != NULL); /* there is room for one */
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
        memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * n_fds);
    }
    ssize_t n;
    do {
        n = sendmsg(socket_fd, &header, MSG_NOSIGNAL | flags);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : 0;
}

/* Only FILE has a path to send. */
static size_t bytes_of(const struct cell_message *message)
{
    return message->type == CELL_FILE
               ? sizeof *message
               : offsetof(struct cell_message, ended) + sizeof message->ended;
}

int cell_message_send(int socket_fd, const struct cell_message *message, const int *fds,
                      size_t n_fds)
{
    ensure(n_fds <= CELL_GIVE_MAX);
    return cell_packet_send(socket_fd, slice_of(message, bytes_of(message)), fds, n_fds, 0);
}

/* Takes the descriptors out of the control data. */
static size_t collect_fds(struct msghdr *header, int *fds)
{
    size_t n_fds = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c != NULL; c = CMSG_NXTHDR(header, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof fd);
            if (n_fds < CELL_GIVE_MAX) {
                fds[n_fds++] = fd;
            } else {
                close(fd);
            }
        }
    }
    return n_fds;
}

int cell_message_receive(int socket_fd, struct cell_message *ret_message, int *fds,
                         size_t *ret_n_fds)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * CELL_GIVE_MAX)];
    } control;
    struct cell_message message;
    struct iovec iov = {.iov_base = &message, .iov_len = sizeof message};
    struct msghdr header = {.msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = control.bytes,
                            .msg_controllen = sizeof control.bytes};
    ssize_t n;
    do {
        n = recvmsg(socket_fd, &header, MSG_CMSG_CLOEXEC);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return errno == ECONNRESET ? -EPIPE : -errno;
    }
    size_t n_fds = collect_fds(&header, fds);
    bool is_whole = n >= (ssize_t)sizeof message.type && n == (ssize_t)bytes_of(&message);
    if (is_whole && (header.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) == 0) {
        *ret_message = message;
        *ret_n_fds = n_fds;
        return 0;
    }
    while (n_fds > 0) {
        close(fds[--n_fds]);
    }
    return n == 0 ? -EPIPE : -EPROTO;
}
