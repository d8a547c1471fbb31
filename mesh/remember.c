#include "mesh/remember.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "mesh/clock.h"
#include "mesh/state_dir.h"
#include "wire/base/buf.h"
#include "wire/base/mem.h"

#define SAVE_MS        5000u
#define FILE_BYTES_MAX (1u << 20)

struct meshd_remember {
    struct meshd_known_peers *known;
    const struct meshd_log *log;
    int dir_fd;
    uv_loop_t *loop;
    uv_timer_t timer; /* runs while something is to be saved */
    uv_work_t save_req;
    struct buf saving; /* the thread's, while is_saving */
    struct errmsg save_err;
    int save_error;
    bool is_dirty;
    bool is_saving;
    bool is_closing;
    bool is_timer_closed;
    void (*on_closed)(void *user);
    void *on_closed_user;
};

static int read_file(int dir_fd, struct buf *to)
{
    int fd = openat(dir_fd, "peers", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return errno == ENOENT ? 0 : -errno;
    }
    int rc = 0;
    for (ssize_t n = 1; rc == 0 && n > 0;) {
        uint8_t *room = buf_reserve(to, 4096);
        n = room != NULL ? read(fd, room, 4096) : 0;
        rc = n < 0 ? -errno : buf_error(to);
        if (n > 0) {
            buf_extend(to, (size_t)n);
        }
    }
    IGNORE(close(fd)); /* was only read */
    return rc;
}

struct meshd_remember *meshd_remember_new(uv_loop_t *loop, int dir_fd, const struct meshd_log *log)
{
    struct meshd_remember *remember = mem_alloc_or_die(1, sizeof(*remember));
    remember->known = meshd_known_peers_new();
    ensure(remember->known != NULL); /* at start, for ourselves */
    remember->log = log;
    remember->dir_fd = dir_fd;
    remember->loop = loop;
    buf_init(&remember->saving, FILE_BYTES_MAX);
    int rc = uv_timer_init(loop, &remember->timer);
    ensure(rc == 0);
    remember->timer.data = remember;
    struct buf text;
    buf_init(&text, FILE_BYTES_MAX);
    rc = read_file(dir_fd, &text);
    unsigned n_skipped = 0;
    if (rc == 0) {
        n_skipped =
            meshd_known_peers_parse(remember->known, buf_slice(&text), meshd_clock_wall_s());
    }
    buf_done(&text);
    if (rc < 0) {
        meshd_log(log, CORE_LOG_WARN, "cannot read the file of known peers: %s; beginning anew",
                  strerror(-rc));
    } else if (n_skipped > 0) {
        meshd_log(log, CORE_LOG_DEBUG,
                  "skipped %u old or unreadable lines of the file of known "
                  "peers",
                  n_skipped);
    }
    return remember;
}

static void maybe_closed(struct meshd_remember *remember)
{
    if (!remember->is_closing || remember->is_saving || !remember->is_timer_closed) {
        return;
    }
    void (*on_closed)(void *) = remember->on_closed;
    void *user = remember->on_closed_user;
    remember->known = meshd_known_peers_free(remember->known);
    buf_done(&remember->saving);
    mem_free(remember);
    on_closed(user);
}

static void run_save(uv_work_t *req)
{
    struct meshd_remember *remember = req->data;
    remember->save_error = meshd_file_write_whole(
        remember->dir_fd, "peers", buf_slice(&remember->saving), &remember->save_err);
}

static void save(struct meshd_remember *remember);

static void on_saved(uv_work_t *req, int status)
{
    struct meshd_remember *remember = req->data;
    remember->is_saving = false;
    buf_done(&remember->saving);
    if (remember->save_error < 0) {
        meshd_log(remember->log, CORE_LOG_WARN, "%s; known peers are kept in memory only",
                  remember->save_err.text);
    }
    if (remember->is_closing && remember->is_dirty) {
        save(remember);
    }
    maybe_closed(remember);
}

static void save(struct meshd_remember *remember)
{
    buf_clear(&remember->saving);
    meshd_known_peers_format(remember->known, &remember->saving);
    remember->is_dirty = false;
    remember->save_req.data = remember;
    remember->is_saving =
        buf_error(&remember->saving) == 0 &&
        uv_queue_work(remember->loop, &remember->save_req, run_save, on_saved) == 0;
}

static void on_save_due(uv_timer_t *timer)
{
    struct meshd_remember *remember = timer->data;
    if (!remember->is_saving) {
        save(remember);
    } else {
        IGNORE(uv_timer_start(timer, on_save_due, SAVE_MS, 0)); /* 0 for an open timer */
    }
}

void meshd_remember_add(struct meshd_remember *remember, const struct wire_key *key,
                        struct slice address, struct slice name)
{
    if (!meshd_known_peers_remember(remember->known, key, address, name, meshd_clock_wall_s())) {
        return;
    }
    remember->is_dirty = true;
    if (!uv_is_active((uv_handle_t *)&remember->timer)) {
        int rc = uv_timer_start(&remember->timer, on_save_due, SAVE_MS, 0);
        ensure(rc == 0);
    }
}

void meshd_remember_report(const struct meshd_remember *remember, const struct meshd_sink *sink)
{
    for (size_t i = 0; i < meshd_known_peers_count(remember->known); i++) {
        const struct meshd_known_peer *peer = meshd_known_peers_at(remember->known, i);
        struct slice addresses[MESHD_KNOWN_ADDRESSES_MAX];
        for (uint32_t j = 0; j < peer->n_addresses; j++) {
            addresses[j] = slice_str(peer->addresses[j]);
        }
        struct core_event event = {
            .type = CORE_EVENT_PEER_FOUND,
            .peer_found = {.has_key = true,
                           .key = peer->key,
                           .source = CORE_SOURCE_REMEMBERED,
                           .addresses = {.items = addresses, .n = peer->n_addresses}},
        };
        meshd_sink_put(sink, &event);
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct meshd_remember *remember = handle->data;
    remember->is_timer_closed = true;
    maybe_closed(remember);
}

void meshd_remember_close(struct meshd_remember *remember, void (*on_closed)(void *user),
                          void *user)
{
    remember->is_closing = true;
    remember->on_closed = on_closed;
    remember->on_closed_user = user;
    if (remember->is_dirty && !remember->is_saving) {
        save(remember);
    }
    uv_close((uv_handle_t *)&remember->timer, on_timer_closed);
}

bool meshd_remember_has(const struct meshd_remember *remember, const struct wire_key *key)
{
    return meshd_known_peers_has(remember->known, key);
}
