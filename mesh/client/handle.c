/* A handle: opening, closing, errors, and how threads wait on it. */
#include "mesh/client/handle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "mesh/client/clock.h"
#include "mesh/client/programs.h"
#include "wire/base/mem.h"
#include "wire/base/text.h"

#define RELEASES_BYTES_MAX (1u << 20)

void mesh_lock(mesh *m)
{
    IGNORE(pthread_mutex_lock(&m->lock)); /* cannot fail: ours, not recursive, not robust */
}

void mesh_unlock(mesh *m)
{
    IGNORE(pthread_mutex_unlock(&m->lock)); /* as above */
}

int mesh_set_error(mesh *m, int error, const char *format, ...)
{
    va_list args;
    unsigned i = (m->i_text + 1) % MESH_TEXTS;
    va_start(args, format);
    text_vformat(m->texts[i], sizeof(m->texts[i]), format, args);
    va_end(args);
    m->i_text = i;
    m->error = error;
    return error;
}

int mesh_error(const mesh *m)
{
    if (m == NULL) {
        return MESH_ENOMEM;
    }
    mesh *changing = (mesh *)(uintptr_t)m; /* only its lock */
    mesh_lock(changing);
    int error = m->lost != 0 ? m->lost : m->error;
    mesh_unlock(changing);
    return error;
}

const char *mesh_error_text(const mesh *m)
{
    if (m == NULL) {
        return mesh_strerror(MESH_ENOMEM);
    }
    mesh *changing = (mesh *)(uintptr_t)m; /* only its lock */
    mesh_lock(changing);
    const char *text = m->texts[m->i_text];
    mesh_unlock(changing);
    return text;
}

/* --- waiting -----------------------------------------------------------------------------------
 */

void mesh_wake(mesh *m)
{
    m->is_woken = true;
    if (m->is_asleep) {
        m->is_asleep = false;
        IGNORE(eventfd_write(m->wake_fd, 1)); /* fails only when it is readable already */
    }
}

static int cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    int r = pthread_condattr_init(&attr);
    if (r == 0) {
        r = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        r = r == 0 ? pthread_cond_init(cond, &attr) : r;
        IGNORE(pthread_condattr_destroy(&attr)); /* it is one */
    }
    return r == 0 ? 0 : MESH_ENOMEM;
}

int mesh_wait_until(mesh *m, struct mesh_wait *wait, double timeout)
{
    if (wait->is_over(wait)) {
        return 0;
    }
    if (!(timeout > 0) && !(timeout < 0)) { /* so that NaN only looks, too */
        return MESH_ETIMEDOUT;
    }
    if (m->has_thread && pthread_equal(pthread_self(), m->thread)) {
        return MESH_EINVAL;
    }
    int64_t until_ms = -1;
    if (timeout > 0) {
        double ms = timeout * 1e3 < 1e15 ? timeout * 1e3 : 1e15;
        until_ms = mesh_client_now_ms() + (int64_t)ms + 1;
    }
    if (mesh_loop_lead(m, wait, until_ms)) {
        return wait->is_over(wait) ? 0 : MESH_ETIMEDOUT;
    }
    if (timeout > 0) { /* what is left of it */
        int64_t left_ms = until_ms - mesh_client_now_ms();
        timeout = left_ms > 0 ? (double)left_ms / 1e3 : 1e-3;
    }
    return mesh_wait_short(m, wait, timeout);
}

int mesh_wait_short(mesh *m, struct mesh_wait *wait, double timeout)
{
    if (wait->is_over(wait)) {
        return 0;
    }
    if (cond_init(&wait->cond) < 0) {
        return MESH_ENOMEM;
    }
    struct timespec at;
    mesh_client_deadline(timeout > 0 ? timeout : 0, &at);
    list_init(&wait->node);
    list_push_back(&m->waits, &wait->node);
    int r = 0;
    while (!wait->is_over(wait) && r == 0) {
        r = timeout < 0 ? pthread_cond_wait(&wait->cond, &m->lock)
                        : pthread_cond_timedwait(&wait->cond, &m->lock, &at);
    }
    list_remove(&wait->node);
    IGNORE(pthread_cond_destroy(&wait->cond)); /* nobody waits for it */
    return wait->is_over(wait) ? 0 : MESH_ETIMEDOUT;
}

void mesh_wake_waits(mesh *m)
{
    list_for_each (it, &m->waits) {
        struct mesh_wait *wait = LIST_ENTRY(it, struct mesh_wait, node);
        if (wait->is_over(wait)) {
            IGNORE(pthread_cond_signal(&wait->cond)); /* cannot fail */
            m->has_waited = true;
        }
    }
    if (m->is_led && m->is_asleep) {
        mesh_wake(m); /* the wait of the one that leads is in no list */
    }
}

/* --- opening -----------------------------------------------------------------------------------
 */

static mesh *handle_new(void)
{
    mesh *m = mem_alloc(1, sizeof(*m));
    if (m == NULL) {
        return NULL;
    }
    if (cond_init(&m->unpark) < 0) {
        return mem_free(m);
    }
    if (pthread_mutex_init(&m->lock, NULL) != 0) {
        IGNORE(pthread_cond_destroy(&m->unpark)); /* nobody waits for it */
        return mem_free(m);
    }
    m->pid = getpid();
    m->wake_fd = -1;
    m->tasks_per_job = MESH_TASKS_MAX;
    m->opened_ms = mesh_client_now_ms();
    struct list *const lists[] = {&m->names,     &m->jobs,       &m->futures, &m->datas,
                                  &m->groups,    &m->maps,       &m->waits,   &m->requests,
                                  &m->queue_ops, &m->resolvable, &m->called,  &m->freed,
                                  &m->ended,     &m->fetching,   &m->blocked, &m->dying};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        list_init(lists[i]);
    }
    buf_init(&m->releases, RELEASES_BYTES_MAX);
    buf_init(&m->gets, RELEASES_BYTES_MAX);
    struct utsname system;
    if (uname(&system) == 0) {
        snprintf(m->arch, sizeof(m->arch), "%.*s", (int)WIRE_ARCH_BYTES_MAX, system.machine);
    }
    return m;
}

static bool is_never_over(struct mesh_wait *wait)
{
    return false;
}

/* Until so many others are up. */
static int await_peers(mesh *m)
{
    static const double patience_s = 2.0; /* a daemon that has just been started looks around */
    bool is_new = mesh_client_has_started_daemon(m->client);
    int64_t until_ms = mesh_client_now_ms() + (int64_t)(is_new ? patience_s * 1000 : 0);
    for (;;) {
        struct mesh_request request = {.type = WIRE_MESSAGE_PEERS_QUERY};
        int r = mesh_ask(m, &request);
        if (r < 0) {
            return mesh_set_error(m, r, "%s", request.text.text);
        }
        if (request.n_up > m->require_peers) { /* ourselves among them */
            return 0;
        }
        if (mesh_client_now_ms() >= until_ms) {
            return mesh_set_error(m, MESH_EDAEMON, "%u other peers are up, %u are required",
                                  request.n_up > 0 ? request.n_up - 1 : 0, m->require_peers);
        }
        struct mesh_wait wait = {.is_over = is_never_over};
        IGNORE(mesh_wait_until(m, &wait, 0.05)); /* times out: that is what it is for */
    }
}

static int open_options(mesh *m, const struct mesh_options *options)
{
    m->patience_ms = (int64_t)((options->patience > 0 ? options->patience : MESH_PATIENCE_S) * 1e3);
    m->require_peers = options->require_peers;
    if (options->socket != NULL) {
        m->socket = mem_strndup(options->socket, strlen(options->socket));
        if (m->socket == NULL) {
            return mesh_set_error(m, MESH_ENOMEM, "out of memory");
        }
    }
    struct errmsg err;
    int r = mesh_functions_check(&err);
    if (r < 0) {
        return mesh_set_error(m, r, "%s", err.text);
    }
    return mesh_programs_open(m, options);
}

static int open_connection(mesh *m)
{
    struct errmsg err;
    m->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (m->wake_fd < 0) {
        return mesh_set_error(m, MESH_EIO, "cannot make a descriptor: %s", strerror(errno));
    }
    int r = mesh_loop_connect(m, &err);
    if (r < 0) {
        return mesh_set_error(m, MESH_EDAEMON, "%s", err.text);
    }
    r = mesh_loop_start(m);
    if (r < 0) {
        return mesh_set_error(m, r, "cannot start a thread");
    }
    return m->require_peers > 0 ? await_peers(m) : 0;
}

mesh *mesh_open(const struct mesh_options *options)
{
    static const struct mesh_options defaults;
    mesh *m = handle_new();
    if (m == NULL) {
        return NULL;
    }
    mesh_lock(m);
    int r = open_options(m, options != NULL ? options : &defaults);
    if (r == 0) {
        r = open_connection(m);
    }
    m->lost = r;
    mesh_unlock(m);
    return m;
}

/* --- closing -----------------------------------------------------------------------------------
 */

static void cancel_all(mesh *m)
{
    m->is_closing = true;
    m->lost = MESH_ECANCELLED;
    list_for_each (it, &m->maps) {
        mesh_map_kill(mesh_map_of(it), MESH_ECANCELLED, "the handle was closed");
    }
    while (!list_is_empty(&m->futures)) {
        mesh_finish(LIST_ENTRY(m->futures.next, mesh_future, all), MESH_ECANCELLED,
                    "the handle was closed");
    }
    mesh_wake(m);
}

static void free_calls(mesh *m)
{
    while (!list_is_empty(&m->maps)) {
        mesh_map_delete(mesh_map_of(m->maps.next));
    }
    while (!list_is_empty(&m->ended)) {
        mesh_future *future = LIST_ENTRY(m->ended.next, mesh_future, all);
        mesh_future_delete(future); /* in whatever order, and whoever has references */
    }
    while (!list_is_empty(&m->groups)) {
        struct mesh_group *group = LIST_ENTRY(m->groups.next, struct mesh_group, node);
        list_remove(&group->node);
        mem_free(group);
    }
}

static void handle_free(mesh *m)
{
    free_calls(m);
    while (!list_is_empty(&m->datas)) {
        struct mesh_data *data = LIST_ENTRY(m->datas.next, struct mesh_data, node);
        data->n_refs = 1;
        mesh_data_unref(data);
    }
    while (!list_is_empty(&m->jobs)) {
        mesh_job_free(m, LIST_ENTRY(m->jobs.next, struct mesh_job, node));
    }
    while (!list_is_empty(&m->names)) {
        struct mesh_name *name = LIST_ENTRY(m->names.next, struct mesh_name, node);
        list_remove(&name->node);
        mem_free(name);
    }
    for (size_t i = 0; i < m->n_peers; i++) {
        mem_free(m->peers[i]);
    }
    mesh_freed_done(m);
    mesh_programs_done(m);
    mesh_client_free(m->client);
    buf_done(&m->releases);
    buf_done(&m->gets);
    mem_free(m->peers);
    mem_free(m->ranges);
    mem_free(m->socket);
    if (m->wake_fd >= 0) {
        close(m->wake_fd);
    }
    IGNORE(pthread_cond_destroy(&m->unpark)); /* its thread is gone */
    IGNORE(pthread_mutex_destroy(&m->lock));  /* nobody holds it */
    mem_free(m);
}

mesh *mesh_close(mesh *m)
{
    if (m == NULL || m->pid != getpid()) {
        return NULL; /* after a fork the thread is the parent's, and so is the lock */
    }
    mesh_lock(m);
    cancel_all(m);
    mesh_loop_unpark(m);
    mesh_unlock(m);
    if (m->has_thread) {
        IGNORE(pthread_join(m->thread, NULL)); /* it is ours and was not joined */
        m->has_thread = false;
    }
    mesh_lock(m);
    mesh_call_back(m);
    mesh_unlock(m);
    handle_free(m);
    return NULL;
}
