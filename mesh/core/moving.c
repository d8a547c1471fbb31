/* What users who wait are told of blobs that take long: how far one has come. Where several jobs
 * read the same one, the first that somebody waits for is told. */
#include "mesh/core/core_internal.h"
#include "mesh/core/job.h"
#include "mesh/core/load.h"
#include "mesh/core/peer.h"

struct what { /* what the blob is to a user */
    struct core_job *job;
    uint32_t task;
    struct slice path; /* of a file; else */
    const char *role;
};

static bool is(const struct wire_hash *a, const struct wire_hash *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

static bool find_in_job(struct core_job *job, const struct wire_hash *hash, struct what *ret)
{
    for (uint32_t i = 0; i < job->spec.files.n; i++) {
        const struct wire_file *file = &job->spec.files.items[i];
        if (is(&file->hash, hash)) {
            *ret = (struct what){.job = job, .path = file->path};
            return true;
        }
    }
    return false;
}

static bool find_in_task(const struct core_task *task, const struct wire_hash *hash,
                         struct what *ret)
{
    struct what what = {.job = task->job, .task = task->number, .role = "input"};
    bool is_found = task->input != NULL && is(&task->input->hash, hash);
    struct wire_refs refs = core_cargo_refs(task->cargo);
    for (uint32_t i = 0; i < refs.n && !is_found; i++) {
        is_found = is(&refs.items[i].hash, hash);
        for (uint32_t k = 0; is_found && k < task->cargo->files.n; k++) {
            const struct wire_task_file *file = &task->cargo->files.items[k];
            what.path = file->ref == i + 1 ? file->path : what.path;
        }
    }
    if (is_found) {
        *ret = what;
    }
    return is_found;
}

static bool find_in_result(const struct core_attempt *attempt, const struct wire_hash *hash,
                           struct what *ret)
{
    const struct core_task *task = attempt->task;
    if (task->returned == NULL || task->returned->attempt != attempt) {
        return false;
    }
    const struct wire_result *result = &task->returned->result;
    for (uint32_t i = 0; i < core_result_n_blobs(result); i++) {
        uint64_t n_bytes;
        if (is(core_result_blob(result, i, &n_bytes), hash)) {
            *ret = (struct what){
                .job = task->job, .task = task->number, .role = i == 0 ? "output" : "error output"};
            if (i >= 2) {
                ret->path = result->files.items[i - 2].path;
            }
            return true;
        }
    }
    return false;
}

static bool find(const struct core_peer *peer, const struct wire_hash *hash, bool is_in,
                 struct what *ret)
{
    list_for_each (node, &peer->placed) {
        const struct core_attempt *attempt = LIST_ENTRY(node, struct core_attempt, of_peer);
        if (attempt->task->job->client != NULL &&
            (is_in ? find_in_result(attempt, hash, ret) : find_in_task(attempt->task, hash, ret))) {
            return true;
        }
    }
    list_for_each (node, &peer->sites) {
        const struct core_site *site = LIST_ENTRY(node, struct core_site, of_peer);
        if (!is_in && site->job->client != NULL && site->job_link != 0 &&
            find_in_job(site->job, hash, ret)) {
            return true;
        }
    }
    return false;
}

void core_moving_on(struct core *core, const struct core_event *event)
{
    struct core_link *link = core_link_find(core, event->blob_moving.link);
    bool is_in = event->blob_moving.is_in;
    struct what what;
    if (link == NULL || link->peer == NULL ||
        !find(link->peer, &event->blob_moving.hash, is_in, &what)) {
        return;
    }
    uint64_t n_bytes = event->blob_moving.n_bytes;
    unsigned shift = n_bytes >> 24 > 0 ? 20 : 10;
    struct slice name = what.path; /* the last of the line, which it may not fit into */
    if (name.n == 0) {
        name = core_batch_printf(core, "%s of task %u", what.role, what.task);
    }
    struct wire_message message = {.type = WIRE_MESSAGE_NOTICE};
    message.notice.job = what.job->id;
    message.notice.text = core_batch_printf(
        core, "%llu of %llu %s (%u %%) %s %s: %.*s",
        (unsigned long long)(event->blob_moving.n_moved >> shift),
        (unsigned long long)(n_bytes >> shift), shift == 20 ? "MiB" : "KiB",
        (unsigned)((double)event->blob_moving.n_moved * 100 / (double)n_bytes),
        is_in ? "come from" : "sent to", core_peer_label(link->peer), SLICE_FMT(name));
    message.notice.is_progress = true;
    core_client_send(core, what.job->client->id, &message);
}
