/* The handle's thread: keeps the connection, sends what is queued, receives what comes, calls back.
 *
 * One turn: questions, data and calls are queued as far as the daemon's credit and our own buffer
 * go, and leave in one piece; all that came is dealt with and acknowledged in one piece; then those
 * who wait are woken, once, and the thread sleeps until the socket or another thread wakes it.
 *
 * What goes wrong: the daemon ends, or says what makes no sense. Then everything it had goes back
 * to where it was before it was sent, and another daemon is looked for, for as long as the
 * handle's patience lasts; after that every call ends with MESH_EDAEMON. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "mesh/client/clock.h"
#include "mesh/client/handle.h"
#include "wire/base/mem.h"
#include "wire/base/text.h"

#define UNSENT_BYTES_MAX (256u << 10)
#define TASKS_AT_ONCE    256u  /* of a job, before others have a turn */
#define MESSAGES_AT_ONCE 1024u /* before the lock is given up */
#define PARK_S           1e-3
#define BRISK_US         500
#define BACK_OFF_MIN_MS  20
#define BACK_OFF_MAX_MS  1000

/* --- losing the connection, and finding another ------------------------------------------------
 */

static void on_lost(mesh *m)
{
    m->client = mesh_client_free(m->client);
    m->lost_ms = mesh_client_now_ms();
    m->submitting = NULL;
    m->has_puts = m->n_putting > 0;
    buf_clear(&m->releases);
    list_for_each_safe (it, &m->jobs) {
        mesh_job_lost(m, LIST_ENTRY(it, struct mesh_job, node));
    }
    mesh_away_lost(m);
    mesh_queue_lost(m);
    list_for_each (it, &m->requests) {
        struct mesh_request *request = LIST_ENTRY(it, struct mesh_request, node);
        request->is_sent = false;
    }
    list_for_each (it, &m->datas) {
        struct mesh_data *data = LIST_ENTRY(it, struct mesh_data, node);
        data->put_id = 0;
        data->is_wanted = data->generation == 0; /* of a thread in mesh_put() */
    }
}

static void end_request(struct mesh_request *request, int error, const char *text)
{
    list_remove(&request->node);
    request->is_done = true;
    request->error = error;
    errmsg_set(&request->text, "%s", text);
}

/* Nothing is to be had any more. */
static void give_up(mesh *m, const char *text)
{
    m->lost = mesh_set_error(m, MESH_EDAEMON, "%s", text);
    list_for_each (it, &m->maps) {
        mesh_map_kill(mesh_map_of(it), MESH_EDAEMON, text);
    }
    while (!list_is_empty(&m->futures)) {
        mesh_finish(LIST_ENTRY(m->futures.next, mesh_future, all), MESH_EDAEMON, text);
    }
    list_for_each_safe (it, &m->requests) {
        end_request(LIST_ENTRY(it, struct mesh_request, node), MESH_EDAEMON, text);
    }
}

int mesh_loop_connect(mesh *m, struct errmsg *err)
{
    struct mesh_client_options options = {.socket_path = m->socket, .may_start = true};
    struct mesh_client *client = NULL;
    mesh_unlock(m);
    int r = mesh_client_open(&options, &client, err);
    mesh_lock(m);
    if (r == 0) {
        m->client = client;
        m->generation++;
    }
    return r;
}

/* Looks again and again, lets others go first, and does not sleep: to wake a processor that went
 * idle takes some 40 us. Without the lock. Whether something came. */
static bool look(struct pollfd *fds, nfds_t n_fds, int64_t until_us)
{
    do {
        if (poll(fds, n_fds, 0) != 0) {
            return true;
        }
        IGNORE(sched_yield()); /* cannot fail */
    } while (mesh_client_now_us() < until_us);
    return false;
}

/* Sleeps until the socket has something, or another thread, or the time is over. */
static void sleep_until_something(mesh *m, int timeout_ms)
{
    if (m->is_woken) {
        m->is_woken = false; /* while the lock was away */
        return;
    }
    struct pollfd fds[2] = {{.fd = m->wake_fd, .events = POLLIN}, {.fd = -1}};
    if (m->client != NULL) {
        fds[1].fd = mesh_client_fd(m->client);
        fds[1].events = mesh_client_poll_events(m->client);
    }
    m->is_asleep = true;
    bool is_led = m->is_led;
    bool is_brisk = is_led && m->is_brisk && timeout_ms != 0;
    int64_t since_us = mesh_client_now_us();
    mesh_unlock(m);
    if (!is_brisk || !look(fds, ARRAY_LEN(fds), since_us + BRISK_US)) {
        IGNORE(poll(fds, ARRAY_LEN(fds), timeout_ms)); /* whatever woke us is looked at anyway */
    }
    mesh_lock(m);
    if (is_led) {
        m->is_brisk = mesh_client_now_us() - since_us < BRISK_US;
    }
    m->is_asleep = false;
    m->is_woken = false;
    if ((fds[0].revents & POLLIN) != 0) {
        eventfd_t count;
        IGNORE(eventfd_read(m->wake_fd, &count)); /* only to empty it */
    }
}

static bool is_needed(const mesh *m)
{
    return m->n_open > 0 || !list_is_empty(&m->requests) || m->n_putting > 0 ||
           !list_is_empty(&m->queue_ops);
}

/* With no connection: finds one, if there is anything to be done with it. */
static void reconnect(mesh *m, int *back_off_ms)
{
    struct errmsg err;
    if (!is_needed(m)) {
        m->lost_ms = mesh_client_now_ms(); /* patience is counted from the first need */
        sleep_until_something(m, -1);
        return;
    }
    if (mesh_loop_connect(m, &err) == 0) {
        *back_off_ms = BACK_OFF_MIN_MS;
        return;
    }
    if (mesh_client_now_ms() - m->lost_ms >= m->patience_ms) {
        give_up(m, err.text);
        return;
    }
    sleep_until_something(m, *back_off_ms);
    *back_off_ms = *back_off_ms * 2 < BACK_OFF_MAX_MS ? *back_off_ms * 2 : BACK_OFF_MAX_MS;
}

/* --- sending -----------------------------------------------------------------------------------
 */

static int send_requests(mesh *m, struct errmsg *err)
{
    int r = 0;
    list_for_each (it, &m->requests) {
        struct mesh_request *request = LIST_ENTRY(it, struct mesh_request, node);
        if (request->is_sent) {
            continue;
        }
        struct wire_message message = {.type = request->type};
        if (request->type == WIRE_MESSAGE_SET_CORES) {
            message.set_cores.cores = request->cores;
        }
        r = mesh_client_queue(m->client, &message, NULL, 0, err);
        if (r < 0) {
            break;
        }
        request->is_sent = true;
    }
    return r;
}

static int send_releases(mesh *m, struct errmsg *err)
{
    int r = 0;
    struct wire_message message = {.type = WIRE_MESSAGE_RELEASE};
    for (size_t at = 0; r == 0 && at < m->releases.n; at += sizeof(struct wire_hash)) {
        memcpy(&message.release.hash, m->releases.p + at, sizeof(struct wire_hash));
        r = mesh_client_queue(m->client, &message, NULL, 0, err);
    }
    buf_clear(&m->releases);
    return r;
}

static int send_gets(mesh *m, struct errmsg *err)
{
    int r = 0;
    struct wire_message message = {.type = WIRE_MESSAGE_GET};
    for (size_t at = 0; r == 0 && at < m->gets.n; at += sizeof(struct wire_hash)) {
        memcpy(&message.get.hash, m->gets.p + at, sizeof(struct wire_hash));
        r = mesh_client_queue(m->client, &message, NULL, 0, err);
    }
    buf_clear(&m->gets);
    return r;
}

/* *ret_has_more: there would be more to send, had the socket taken this. */
static int send_jobs(mesh *m, bool *ret_has_more, struct errmsg *err)
{
    int r = 0;
    *ret_has_more = false;
    list_for_each_safe (it, &m->jobs) {
        struct mesh_job *job = LIST_ENTRY(it, struct mesh_job, node);
        if (r == 0 && !job->is_sent && m->submitting == NULL && !list_is_empty(&job->waiting)) {
            r = mesh_job_send(m, job, err);
        }
        if (r == 0 && job->cancels.n > 0) {
            r = mesh_job_send_cancels(m, job, err);
        }
        unsigned n = 0;
        if (r == 0 && job->is_accepted && mesh_client_unsent_bytes(m->client) < UNSENT_BYTES_MAX) {
            r = mesh_job_send_tasks(m, job, TASKS_AT_ONCE, &n, err);
        }
        *ret_has_more |= n == TASKS_AT_ONCE;
    }
    return r;
}

static int send_all(mesh *m, bool *ret_has_more, struct errmsg *err)
{
    mesh_away_run(m);
    while (!list_is_empty(&m->resolvable)) {
        mesh_resolve(LIST_ENTRY(m->resolvable.next, mesh_future, queue));
        mesh_away_run(m);
    }
    bool asks = false;
    mesh_maps_feed(m, &asks);
    int r = send_requests(m, err);
    if (r == 0 && asks) { /* the answer is taken without anybody who waits for it */
        struct wire_message query = {.type = WIRE_MESSAGE_PEERS_QUERY};
        r = mesh_client_queue(m->client, &query, NULL, 0, err);
    }
    r = r == 0 ? mesh_data_send_puts(m, err) : r;
    r = r == 0 ? mesh_queue_send(m, err) : r;
    r = r == 0 ? send_jobs(m, ret_has_more, err) : r;
    r = r == 0 ? send_gets(m, err) : r;
    r = r == 0 ? send_releases(m, err) : r;
    /* A daemon that is gone shows when receiving, behind what it had said before. */
    if (r == 0 && mesh_client_flush(m->client, NULL) < 0) {
        *ret_has_more = false;
    }
    return r;
}

/* --- receiving ---------------------------------------------------------------------------------
 */

static struct mesh_job *find_job(const mesh *m, uint64_t id)
{
    list_for_each (it, &m->jobs) {
        struct mesh_job *job = LIST_ENTRY(it, struct mesh_job, node);
        if (job->is_accepted && job->id == id) {
            return job;
        }
    }
    return NULL;
}

static struct mesh_request *find_request(const mesh *m, enum wire_message_type type)
{
    list_for_each (it, &m->requests) {
        struct mesh_request *request = LIST_ENTRY(it, struct mesh_request, node);
        if (request->type == type && request->is_sent) {
            return request;
        }
    }
    return NULL;
}

/* A result of a call that nobody wants any more. */
static void drop_done(mesh *m, const struct wire_done *done)
{
    const struct wire_output *outputs[] = {&done->result.out, &done->result.err};
    for (size_t i = 0; i < ARRAY_LEN(outputs); i++) {
        if (outputs[i]->bytes > outputs[i]->inlined.n) {
            mesh_data_release(m, &outputs[i]->hash);
        }
    }
}

static void on_done(mesh *m, const struct wire_done *done)
{
    struct mesh_job *job = find_job(m, done->job);
    if (job == NULL) {
        drop_done(m, done);
        return;
    }
    job->n_done++;
    mesh_future *future = mesh_tasks_take(&job->sent, done->task);
    if (future != NULL) {
        mesh_finish_done(future, done);
    } else {
        drop_done(m, done);
    }
}

static void on_put_done(mesh *m, const struct wire_put_done *put)
{
    list_for_each (it, &m->datas) {
        struct mesh_data *data = LIST_ENTRY(it, struct mesh_data, node);
        if (data->put_id != put->id) {
            continue;
        }
        data->put_id = 0;
        if (put->error == WIRE_ERROR_NONE) {
            data->hash = put->hash;
            data->generation = m->generation;
        } else {
            char text[WIRE_REASON_BYTES_MAX * 4 + 1];
            text_printable(put->text, text, sizeof(text));
            data->error = put->error == WIRE_ERROR_LIMIT ? MESH_ELIMIT : MESH_EIO;
            errmsg_set(&data->text, "the daemon does not take the data: %s",
                       put->text.n > 0 ? text : wire_error_text(put->error));
        }
        return;
    }
    if (put->error == WIRE_ERROR_NONE) {
        mesh_data_release(m, &put->hash); /* it was freed meanwhile */
    }
}

static int call_error_of(uint32_t wire_error)
{
    switch (wire_error) {
    case WIRE_ERROR_INVALID:
        return MESH_EINVAL;
    case WIRE_ERROR_LIMIT:
        return MESH_ELIMIT;
    case WIRE_ERROR_NOT_FOUND:
    case WIRE_ERROR_NOT_EXECUTABLE:
        return MESH_ESTART;
    default:
        return MESH_EDAEMON;
    }
}

/* 0, or -EPROTO when nothing of ours explains it: then we and the daemon disagree. */
static int on_error(mesh *m, const struct wire_error_reply *error)
{
    char text[WIRE_REASON_BYTES_MAX * 4 + 1];
    text_printable(error->text, text, sizeof(text));
    const char *why = error->text.n > 0 ? text : wire_error_text(error->error);
    struct mesh_request *request = find_request(m, WIRE_MESSAGE_SET_CORES);
    if (request != NULL && (m->submitting == NULL || error->error == WIRE_ERROR_DENIED)) {
        end_request(request, call_error_of(error->error), why);
        return 0;
    }
    if (m->submitting != NULL) {
        mesh_job_fail(m, m->submitting, call_error_of(error->error), why);
        return 0;
    }
    return -EPROTO;
}

static void on_accepted(mesh *m, const struct wire_accepted *accepted)
{
    struct mesh_job *job = m->submitting;
    if (job != NULL) {
        job->is_accepted = true;
        job->id = accepted->job;
        job->tasks_max = accepted->tasks_max;
        m->submitting = NULL;
    }
}

static void on_peers(mesh *m, const struct wire_peers_list *list)
{
    struct mesh_request nobody = {.peers_max = 0};
    struct mesh_request *request = find_request(m, WIRE_MESSAGE_PEERS_QUERY);
    struct mesh_request *to = request != NULL ? request : &nobody;
    mesh_take_peers(to, list);
    m->cores_known = to->cores_up;
    if (request != NULL) {
        end_request(request, 0, "");
    }
}

static int on_message(mesh *m, const struct wire_message *message)
{
    struct mesh_request *request;
    struct mesh_job *job;
    if (mesh_queue_on_message(m, message)) {
        return 0;
    }
    switch ((unsigned)message->type) { /* as a number: others are newer than we are */
    case WIRE_MESSAGE_ACCEPTED:
        on_accepted(m, &message->accepted);
        return 0;
    case WIRE_MESSAGE_TASK_CREDIT:
        job = find_job(m, message->task_credit.job);
        if (job != NULL && message->task_credit.tasks_max > job->tasks_max) {
            job->tasks_max = message->task_credit.tasks_max;
        }
        return 0;
    case WIRE_MESSAGE_DONE:
        on_done(m, &message->done);
        return 0;
    case WIRE_MESSAGE_JOB_DONE:
        job = find_job(m, message->job_done.job);
        if (job != NULL && job->is_full) {
            mesh_job_free(m, job);
        } else if (job != NULL) {
            mesh_job_fail(m, job, MESH_ECANCELLED, "its job was cancelled");
        }
        return 0;
    case WIRE_MESSAGE_GOT:
        mesh_away_on_got(m, &message->got);
        return 0;
    case WIRE_MESSAGE_GONE:
        mesh_away_on_gone(m, &message->gone.hash);
        return 0;
    case WIRE_MESSAGE_PUT_DONE:
        on_put_done(m, &message->put_done);
        return 0;
    case WIRE_MESSAGE_PEERS_LIST:
        on_peers(m, &message->peers_list);
        return 0;
    case WIRE_MESSAGE_OK:
        request = find_request(m, WIRE_MESSAGE_SET_CORES);
        if (request != NULL) {
            end_request(request, 0, "");
        }
        return 0;
    case WIRE_MESSAGE_ERROR:
        return on_error(m, &message->error);
    default:
        return 0;
    }
}

static int send_acks(mesh *m, struct errmsg *err)
{
    int r = 0;
    list_for_each (it, &m->jobs) {
        struct mesh_job *job = LIST_ENTRY(it, struct mesh_job, node);
        if (r == 0 && job->n_acked < job->n_done) {
            struct wire_message ack = {.type = WIRE_MESSAGE_DONE_ACK};
            ack.done_ack.job = job->id;
            ack.done_ack.n_done = job->n_done;
            r = mesh_client_queue(m->client, &ack, NULL, 0, err);
            job->n_acked = job->n_done;
        }
    }
    return r;
}

/* 0; 1 when there may be more; -errno when the connection is good for nothing any more. */
static int receive_all(mesh *m, struct errmsg *err)
{
    const struct wire_message *message;
    int r = 0;
    for (unsigned i = 0; i < MESSAGES_AT_ONCE; i++) {
        r = mesh_client_next(m->client, 0, &message, err);
        r = r == 0 ? on_message(m, message) : r;
        if (r < 0) {
            break;
        }
    }
    int acked = r == 0 || r == -EAGAIN || r == -EINTR ? send_acks(m, err) : 0;
    if (acked < 0) {
        return acked;
    }
    return r == -EAGAIN || r == -EINTR ? 0 : r == 0 ? 1 : r;
}

/* --- who does it -------------------------------------------------------------------------------
 * A thread that waits for a call would have to be woken by ours, which the socket woke: so it looks
 * after the socket itself, and ours stands aside ("parked"). Ours does so in the hope of a next
 * wait when it has just ended the last one there was, for PARK_S; as long as the waits follow upon
 * each other it stays. Callbacks remain its own: when one is due it takes all of its work back. */

static bool is_anybody_waiting(const mesh *m)
{
    list_for_each (it, &m->waits) {
        struct mesh_wait *wait = LIST_ENTRY(it, struct mesh_wait, node);
        if (!wait->is_over(wait)) {
            return true;
        }
    }
    return false;
}

static void park(mesh *m)
{
    m->is_parked = true;
    m->is_brief = true;
    while (!m->is_closing && m->is_parked) {
        struct timespec at;
        uint64_t n_leads = m->n_leads;
        mesh_client_deadline(PARK_S, &at);
        int r = m->is_brief ? pthread_cond_timedwait(&m->unpark, &m->lock, &at)
                            : pthread_cond_wait(&m->unpark, &m->lock);
        if (r != 0 && m->n_leads == n_leads) {
            m->is_parked = m->is_led; /* nobody came, or the one that leads stays long */
            m->is_brief = false;
        }
    }
    m->is_parked = false;
}

void mesh_loop_unpark(mesh *m)
{
    if (m->is_parked && !m->is_led) {
        m->is_parked = false;
        IGNORE(pthread_cond_signal(&m->unpark)); /* cannot fail */
    }
}

/* One turn, of a thread that waits. 0 or -errno. */
static int lead_turn(mesh *m, struct mesh_wait *wait, int timeout_ms)
{
    struct errmsg err;
    bool has_more = false;
    m->is_woken = false;
    int r = send_all(m, &has_more, &err);
    if (r < 0) {
        return r;
    }
    mesh_wake_waits(m); /* a call whose argument failed has ended by now */
    bool is_sending = mesh_client_unsent_bytes(m->client) >= UNSENT_BYTES_MAX;
    if (!wait->is_over(wait) && list_is_empty(&m->called) &&
        ((!has_more && !m->has_puts) || is_sending)) {
        sleep_until_something(m, timeout_ms);
    }
    do {
        r = receive_all(m, &err);
        mesh_wake_waits(m);
    } while (r > 0);
    return r;
}

static bool can_lead(const mesh *m)
{
    return m->client != NULL && m->lost == 0 && !m->is_closing && list_is_empty(&m->called);
}

bool mesh_loop_lead(mesh *m, struct mesh_wait *wait, int64_t until_ms)
{
    if (!m->is_parked || m->is_led || !can_lead(m)) {
        return false;
    }
    m->is_led = true;
    m->n_leads++;
    int r = 0;
    int64_t left_ms = -1;
    while (r == 0 && can_lead(m) && !wait->is_over(wait)) {
        left_ms = until_ms >= 0 ? until_ms - mesh_client_now_ms() : -1;
        if (until_ms >= 0 && left_ms <= 0) {
            break;
        }
        r = lead_turn(m, wait, left_ms < INT_MAX ? (int)left_ms : INT_MAX);
    }
    if (r < 0) {
        on_lost(m);
    }
    m->is_led = false;
    if (r < 0 || m->is_closing || !m->is_brief || is_anybody_waiting(m) ||
        !list_is_empty(&m->called)) {
        mesh_loop_unpark(m);
    }
    return wait->is_over(wait) || (until_ms >= 0 && left_ms <= 0);
}

/* --- the thread --------------------------------------------------------------------------------
 */

static void turn(mesh *m, int *back_off_ms)
{
    struct errmsg err;
    bool has_more = false;
    m->is_woken = false;
    m->has_waited = false;
    if (m->client == NULL) {
        reconnect(m, back_off_ms);
        mesh_call_back(m);
        mesh_wake_waits(m);
        return;
    }
    int r = receive_all(m, &err);
    bool is_again = r > 0;
    if (r >= 0) {
        r = send_all(m, &has_more, &err);
    }
    if (r < 0) {
        on_lost(m);
    }
    mesh_call_back(m);
    mesh_wake_waits(m);
    if (is_again || r < 0) {
        return;
    }
    bool is_sending = mesh_client_unsent_bytes(m->client) >= UNSENT_BYTES_MAX;
    if (m->has_waited && !has_more && !is_sending && !is_anybody_waiting(m)) {
        park(m);
    } else if ((!has_more && !m->has_puts) || is_sending) {
        sleep_until_something(m, -1);
    }
}

static void *run(void *user)
{
    mesh *m = user;
    int back_off_ms = BACK_OFF_MIN_MS;
    mesh_lock(m);
    while (!m->is_closing) {
        if (m->lost != 0 && m->client == NULL) {
            mesh_call_back(m);
            mesh_wake_waits(m);
            sleep_until_something(m, -1);
        } else {
            turn(m, &back_off_ms);
        }
    }
    mesh_unlock(m);
    return NULL;
}

int mesh_loop_start(mesh *m)
{
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    IGNORE(pthread_sigmask(SIG_SETMASK, &all, &before)); /* cannot fail */
    m->has_thread = pthread_create(&m->thread, NULL, run, m) == 0;
    IGNORE(pthread_sigmask(SIG_SETMASK, &before, NULL));
    return m->has_thread ? 0 : MESH_ENOMEM;
}

static bool is_answered(struct mesh_wait *wait)
{
    const struct mesh_request *request = wait->what;
    return request->is_done;
}

int mesh_ask(mesh *m, struct mesh_request *request)
{
    if (m->lost != 0) {
        errmsg_set(&request->text, "%s", m->texts[m->i_text]);
        return m->lost;
    }
    list_init(&request->node);
    list_push_back(&m->requests, &request->node);
    mesh_wake(m);
    struct mesh_wait wait = {.is_over = is_answered, .what = request};
    int r = mesh_wait_until(m, &wait, MESH_FOREVER);
    if (r < 0) {
        list_remove(&request->node);
        errmsg_set(&request->text, "%s",
                   r == MESH_EINVAL ? "a callback may not wait" : mesh_strerror(r));
        return r;
    }
    return request->error;
}
