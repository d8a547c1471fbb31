/* Jobs: one for each distinct set of needs. A call waits in its job's queue until the daemon's
 * credit lets it be added; then it is found again by its task's number. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "mesh/client/handle.h"
#include "wire/base/mem.h"
#include "wire/base/text.h"

#define LEASE_MS          10000u
#define CANCELS_BYTES_MAX (sizeof(uint32_t) * MESH_CALLS_MAX)
#define OUTPUT_BYTES_MAX  (UINT64_C(1) << 40) /* of a value: the executor's disk is the limit */

/* --- tasks by number ---------------------------------------------------------------------------
 */

static size_t slot_of(const struct mesh_tasks *tasks, uint32_t task)
{
    return (task * UINT32_C(2654435769)) & (tasks->n_slots - 1);
}

static void put_in(struct mesh_tasks *tasks, mesh_future *future)
{
    size_t i = slot_of(tasks, future->task);
    while (tasks->slots[i] != NULL) {
        i = (i + 1) & (tasks->n_slots - 1);
    }
    tasks->slots[i] = future;
}

static int grow(struct mesh_tasks *tasks)
{
    struct mesh_tasks larger = {.n_slots = tasks->n_slots > 0 ? tasks->n_slots * 2 : 64,
                                .n = tasks->n};
    larger.slots = mem_alloc(larger.n_slots, sizeof(*larger.slots));
    if (larger.slots == NULL) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < tasks->n_slots; i++) {
        if (tasks->slots[i] != NULL) {
            put_in(&larger, tasks->slots[i]);
        }
    }
    mem_free(tasks->slots);
    *tasks = larger;
    return 0;
}

int mesh_tasks_add(struct mesh_tasks *tasks, mesh_future *future)
{
    if (tasks->n * 2 >= tasks->n_slots && grow(tasks) < 0) {
        return -ENOMEM;
    }
    put_in(tasks, future);
    tasks->n++;
    return 0;
}

mesh_future *mesh_tasks_take(struct mesh_tasks *tasks, uint32_t task)
{
    if (tasks->n_slots == 0) {
        return NULL;
    }
    size_t mask = tasks->n_slots - 1;
    size_t i = slot_of(tasks, task);
    while (tasks->slots[i] != NULL && tasks->slots[i]->task != task) {
        i = (i + 1) & mask;
    }
    mesh_future *found = tasks->slots[i];
    if (found == NULL) {
        return NULL;
    }
    tasks->n--;
    /* Those behind it move up, unless that would put them before where they belong. */
    for (size_t j = (i + 1) & mask; tasks->slots[j] != NULL; j = (j + 1) & mask) {
        size_t home = slot_of(tasks, tasks->slots[j]->task);
        if (((j - home) & mask) >= ((j - i) & mask)) {
            tasks->slots[i] = tasks->slots[j];
            i = j;
        }
    }
    tasks->slots[i] = NULL;
    return found;
}

/* --- jobs --------------------------------------------------------------------------------------
 */

static struct mesh_job *job_new(mesh *m, const struct mesh_needs *needs)
{
    struct mesh_job *job = mem_alloc(1, sizeof(*job));
    if (job != NULL) {
        job->needs = *needs;
        list_init(&job->waiting);
        buf_init(&job->cancels, CANCELS_BYTES_MAX);
        list_push_front(&m->jobs, &job->node);
        m->n_jobs++;
    }
    return job;
}

/* One that nothing waits for may go. */
static struct mesh_job *find_idle(const mesh *m)
{
    struct mesh_job *idle = NULL;
    list_for_each (it, &m->jobs) {
        struct mesh_job *job = LIST_ENTRY(it, struct mesh_job, node);
        if (!job->is_full && job->sent.n == 0 && list_is_empty(&job->waiting) &&
            job != m->submitting) {
            idle = job; /* the last one is the one not used longest */
        }
    }
    return idle;
}

static void end_job(mesh *m, struct mesh_job *job)
{
    job->is_full = true;
    if (!job->is_accepted || m->client == NULL) {
        mesh_job_free(m, job);
        return;
    }
    struct wire_message end = {.type = WIRE_MESSAGE_SUBMIT_END};
    end.submit_end.job = job->id;
    end.submit_end.n_tasks = job->n_added;
    IGNORE(mesh_client_queue(m->client, &end, NULL, 0, NULL)); /* want of memory: it just stays */
}

int mesh_job_get(mesh *m, const struct mesh_needs *needs, struct mesh_job **ret_job)
{
    list_for_each (it, &m->jobs) {
        struct mesh_job *job = LIST_ENTRY(it, struct mesh_job, node);
        if (!job->is_full && memcmp(&job->needs, needs, sizeof(*needs)) == 0) {
            if (m->jobs.next != &job->node) {
                list_remove(&job->node);
                list_push_front(&m->jobs, &job->node);
            }
            *ret_job = job;
            return 0;
        }
    }
    if (m->n_jobs >= MESH_JOBS_MAX) {
        struct mesh_job *idle = find_idle(m);
        if (idle == NULL) {
            return MESH_ELIMIT;
        }
        end_job(m, idle);
    }
    *ret_job = job_new(m, needs);
    return *ret_job != NULL ? 0 : MESH_ENOMEM;
}

int mesh_job_renew(mesh *m, struct mesh_job *job)
{
    struct mesh_job *next = job_new(m, &job->needs);
    if (next == NULL) {
        return MESH_ENOMEM;
    }
    while (!list_is_empty(&job->waiting)) {
        mesh_future *future = LIST_ENTRY(job->waiting.next, mesh_future, queue);
        list_remove(&future->queue);
        future->job = next;
        list_push_back(&next->waiting, &future->queue);
    }
    end_job(m, job);
    return 0;
}

void mesh_job_free(mesh *m, struct mesh_job *job)
{
    if (m->submitting == job) {
        m->submitting = NULL;
    }
    list_remove(&job->node);
    m->n_jobs--;
    mem_free(job->sent.slots);
    buf_done(&job->cancels);
    mem_free(job);
}

void mesh_job_fail(mesh *m, struct mesh_job *job, int error, const char *text)
{
    for (size_t i = 0; i < job->sent.n_slots;) {
        if (job->sent.slots[i] != NULL) {
            mesh_finish(job->sent.slots[i], error, text); /* takes it out; others may move here */
        } else {
            i++;
        }
    }
    while (!list_is_empty(&job->waiting)) {
        mesh_finish(LIST_ENTRY(job->waiting.next, mesh_future, queue), error, text);
    }
    mesh_job_free(m, job);
}

static int by_task(const void *a, const void *b)
{
    const mesh_future *const *one = a;
    const mesh_future *const *other = b;
    return (*one)->task < (*other)->task ? -1 : (*one)->task > (*other)->task;
}

/* All that was sent, oldest first, at the start of the slots. */
static size_t gather(struct mesh_tasks *tasks)
{
    size_t n = 0;
    for (size_t i = 0; i < tasks->n_slots; i++) {
        if (tasks->slots[i] != NULL) {
            tasks->slots[n++] = tasks->slots[i];
        }
    }
    qsort(tasks->slots, n, sizeof(mesh_future *), by_task);
    return n;
}

void mesh_job_lost(mesh *m, struct mesh_job *job)
{
    size_t n = job->sent.n_slots > 0 ? gather(&job->sent) : 0;
    struct list *before = job->waiting.next;
    struct mesh_future **sent = job->sent.slots;
    job->sent = (struct mesh_tasks){0};
    buf_clear(&job->cancels);
    job->is_sent = false;
    job->is_accepted = false;
    job->id = job->n_done = job->n_acked = job->n_added = 0;
    for (size_t i = 0; i < n; i++) {
        mesh_future *future = sent[i];
        future->state = MESH_CALL_WAITING;
        future->task = 0;
        list_insert_before(before, &future->queue);
        if (job->needs.is_once != 0) {
            mesh_finish(future, MESH_ELOST, "the daemon died, and it may not run again");
        } else if (++future->n_losses >= MESH_LOSSES_MAX) {
            mesh_finish(future, MESH_ELOST, "daemons died under it, again and again");
        }
    }
    mem_free(sent);
    if (job->is_full && list_is_empty(&job->waiting)) {
        mesh_job_free(m, job);
    } else {
        job->is_full = false;
    }
}

/* --- sending -----------------------------------------------------------------------------------
 */

int mesh_job_send(mesh *m, struct mesh_job *job, struct errmsg *err)
{
    struct wire_message message = {.type = WIRE_MESSAGE_SUBMIT};
    struct wire_submit *submit = &message.submit;
    struct wire_file files[MESH_PROGRAMS_MAX] = {0};
    int fds[MESH_PROGRAMS_MAX];
    for (unsigned i = 0; i < m->n_programs; i++) {
        const struct mesh_program *program = &m->programs[i];
        files[i].path = slice_str(program->path);
        files[i].mode = 0755;
        files[i].arch = slice_str(program->arch);
        fds[i] = fcntl(program->fd, F_DUPFD_CLOEXEC, 0);
        if (fds[i] < 0) {
            errmsg_set(err, "no descriptor is left: %s", strerror(errno));
            while (i > 0) {
                close(fds[--i]);
            }
            mesh_job_fail(m, job, MESH_EIO, err->text);
            return 0;
        }
    }
    struct slice object = slice_str(m->object);
    submit->spec = (struct wire_job_spec){
        .exec = slice_str(m->exec),
        .files = {.items = files, .n = m->n_programs},
        .env = {.items = &object, .n = object.n > 0 ? 1 : 0},
        .arch = slice_str(job->needs.arch),
        .cores = job->needs.cores,
        .mem_bytes = job->needs.mem_bytes,
        .timeout_ms = job->needs.timeout_ms,
        .lease_ms = LEASE_MS,
        .output_bytes_max = OUTPUT_BYTES_MAX,
        .priority = job->needs.priority,
        .is_call = true,
    };
    submit->name = slice_str(m->name);
    submit->runs_max = job->needs.runs_max;
    submit->is_once = job->needs.is_once != 0;
    submit->may_speculate = job->needs.no_speculate == 0 && job->needs.is_once == 0;
    submit->require_peers = m->require_peers;
    int r = mesh_client_queue(m->client, &message, fds, m->n_programs, err);
    if (r == 0) {
        job->is_sent = true;
        m->submitting = job;
    }
    return r;
}

/* What is missing before it can be sent: 1 when it must wait for data, an error when it failed. */
static int check_refs(mesh_future *future)
{
    for (uint32_t i = 0; future->extra != NULL && i < future->extra->n_refs; i++) {
        struct mesh_data *data = future->extra->refs[i];
        if (data->error != 0) {
            return data->error;
        }
        if (!mesh_data_is_there(data) && !data->is_lost) {
            data->is_wanted = true;
            future->m->has_puts |= data->put_id == 0;
            return 1;
        }
    }
    return 0;
}

static int send_task(struct mesh_job *job, mesh_future *future, struct errmsg *err)
{
    mesh *m = future->m;
    struct wire_message message = {.type = WIRE_MESSAGE_ADD_TASK};
    struct wire_add_task *add = &message.add_task;
    struct wire_ref refs[WIRE_CALL_REFS_MAX];
    struct slice argv = slice_of(future->function->text, future->function->n);
    int fd = -1;
    add->job = job->id;
    add->task = job->n_added + 1;
    add->argv = (struct wire_slices){.items = &argv, .n = 1};
    const struct mesh_extra *extra = future->extra;
    add->keeps_result =
        !future->is_chunk && (extra == NULL || (extra->on_done == NULL && extra->n_inouts == 0));
    add->refs.items = refs;
    add->refs.n = future->extra != NULL ? future->extra->n_refs : 0;
    for (uint32_t i = 0; i < add->refs.n; i++) {
        const struct mesh_data *data = future->extra->refs[i];
        refs[i] = (struct wire_ref){.hash = data->hash, .bytes = data->bytes};
    }
    if (future->args.fd >= 0) {
        fd = fcntl(future->args.fd, F_DUPFD_CLOEXEC, 0);
        if (fd < 0) {
            errmsg_set(err, "no descriptor is left: %s", strerror(errno));
            return -EMFILE;
        }
        add->has_input = true;
    } else {
        add->args = mesh_body_slice(&future->args);
    }
    future->task = add->task;
    int r = mesh_tasks_add(&job->sent, future);
    if (r < 0) {
        IGNORE(fd >= 0 ? close(fd) : 0); /* nothing was written */
        return r;
    }
    r = mesh_client_queue(m->client, &message, &fd, fd >= 0 ? 1 : 0, err);
    if (r < 0) {
        mesh_tasks_take(&job->sent, future->task);
        return r;
    }
    job->n_added++;
    list_remove(&future->queue);
    future->state = MESH_CALL_SENT;
    return 0;
}

void mesh_job_cancel_call(mesh_future *future)
{
    /* Want of memory: it runs to its end, and its result is thrown away. */
    buf_append(&future->job->cancels, &future->task, sizeof(future->task));
    mesh_wake(future->m);
}

int mesh_job_send_cancels(mesh *m, struct mesh_job *job, struct errmsg *err)
{
    int r = 0;
    struct wire_message message = {.type = WIRE_MESSAGE_TASK_CANCEL};
    message.task_cancel.job = job->id;
    for (size_t at = 0; r == 0 && at < job->cancels.n; at += sizeof(uint32_t)) {
        memcpy(&message.task_cancel.task, job->cancels.p + at, sizeof(uint32_t));
        r = mesh_client_queue(m->client, &message, NULL, 0, err);
    }
    buf_clear(&job->cancels);
    return r;
}

int mesh_job_send_tasks(mesh *m, struct mesh_job *job, unsigned n_max, unsigned *ret_n,
                        struct errmsg *err)
{
    unsigned n = 0;
    while (n < n_max && !list_is_empty(&job->waiting) && job->n_added < job->tasks_max) {
        mesh_future *future = LIST_ENTRY(job->waiting.next, mesh_future, queue);
        if (job->n_added >= m->tasks_per_job) {
            IGNORE(mesh_job_renew(m, job)); /* want of memory: at the next turn */
            break;
        }
        if (mesh_away_has_lost(future)) {
            mesh_away_block(future);
            continue;
        }
        int r = check_refs(future);
        if (r > 0) {
            break;
        }
        if (r < 0) {
            mesh_finish(future, r, "data that it needs is not to be had");
            continue;
        }
        r = send_task(job, future, err);
        if (r == -EINVAL || r == -EMFILE) {
            mesh_finish(future, r == -EINVAL ? MESH_EINVAL : MESH_EIO, err->text);
            continue;
        }
        if (r < 0) {
            return r;
        }
        n++;
    }
    *ret_n = n;
    return 0;
}
