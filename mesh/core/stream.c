/* Output that travels as it comes. The client has each byte once: a task that starts again repeats
 * its output from the beginning, and what was passed on already is skipped. */
#include "mesh/core/job.h"
#include "mesh/core/peer.h"

static struct core_attempt *live_attempt(const struct core_task *task)
{
    list_for_each (node, &task->attempts) {
        struct core_attempt *attempt = LIST_ENTRY(node, struct core_attempt, of_task);
        if (!attempt->is_lost && !attempt->is_cancelled) {
            return attempt;
        }
    }
    return NULL;
}

/* Opens the window as far as the client has written, and the attempt has come. */
static void send_ack(struct core *core, struct core_task *task, unsigned i)
{
    struct core_attempt *attempt = live_attempt(task);
    uint64_t acked = task->streams->of[i].acked;
    uint64_t come = task->streams->of[i].of_attempt;
    if (attempt == NULL || come == 0) {
        return;
    }
    struct wire_message message = {.type = WIRE_MESSAGE_STREAM_ACK};
    message.stream_ack.id = core_attempt_id(attempt);
    message.stream_ack.stream = i + 1;
    message.stream_ack.offset = acked < come ? acked : come;
    core_send(core, attempt->site->peer, &message);
}

static void pass_on(struct core *core, struct core_task *task, const struct wire_stream_data *data,
                    uint64_t from)
{
    if (task->job->client == NULL) {
        return;
    }
    size_t skip = (size_t)(from - data->offset);
    struct wire_message message = {.type = WIRE_MESSAGE_CLIENT_STREAM};
    message.client_stream.job = task->job->id;
    message.client_stream.task = task->number;
    message.client_stream.stream = data->stream;
    message.client_stream.offset = from;
    message.client_stream.bytes = core_batch_copy(core, slice_from(data->bytes, skip));
    core_client_send(core, task->job->client->id, &message);
}

void core_stream_on_data(struct core *core, struct core_peer *peer,
                         const struct wire_stream_data *data)
{
    struct core_job *job = core_job_find(core, data->id.job);
    struct core_task *task = job != NULL ? core_task_find(job, data->id.task) : NULL;
    struct core_attempt *attempt = task != NULL ? core_attempt_find(task, peer, &data->id) : NULL;
    bool is_stream = data->stream == WIRE_STREAM_OUT || data->stream == WIRE_STREAM_ERR;
    if (attempt == NULL || attempt != live_attempt(task) || task->streams == NULL || !is_stream) {
        core->n_ignored++;
        return;
    }
    unsigned i = data->stream - 1;
    uint64_t end = data->offset + data->bytes.n;
    /* What comes again after a cut begins where the client's word ended. */
    if (data->offset > task->streams->of[i].received || end < data->offset) {
        core->n_ignored++; /* a gap: nothing that a peer that keeps the rules would send */
        if (peer->link != NULL) {
            core_link_close(core, peer->link, WIRE_REASON_PROTOCOL, "a gap in streamed output");
            core_peer_move(core, peer, CORE_PEER_ON_CUT);
            core_dial_start(core, peer, CORE_REDIAL_NS);
        }
        return;
    }
    if (end > task->streams->of[i].of_attempt) {
        task->streams->of[i].of_attempt = end;
    }
    uint64_t received = task->streams->of[i].received;
    if (end > received) {
        task->streams->of[i].received = end;
        pass_on(core, task, data, received > data->offset ? received : data->offset);
    } else {
        send_ack(core, task, i);
    }
}

void core_stream_on_client_ack(struct core *core, struct core_job *job,
                               const struct wire_client_stream_ack *ack)
{
    struct core_task *task = core_task_find(job, ack->task);
    bool is_stream = ack->stream == WIRE_STREAM_OUT || ack->stream == WIRE_STREAM_ERR;
    if (task == NULL || task->streams == NULL || !is_stream) {
        return;
    }
    unsigned i = ack->stream - 1;
    if (ack->offset > task->streams->of[i].acked && ack->offset <= task->streams->of[i].received) {
        task->streams->of[i].acked = ack->offset;
        send_ack(core, task, i);
    }
}

void core_stream_found(struct core_task *task)
{
    for (unsigned i = 0; task->streams != NULL && i < 2; i++) {
        task->streams->of[i].of_attempt = 0; /* another may have come further meanwhile */
    }
}

void core_stream_placed(struct core *core, struct core_task *task, const struct core_peer *peer)
{
    if (task->streams == NULL) {
        return;
    }
    task->streams->of[0].of_attempt = 0;
    task->streams->of[1].of_attempt = 0;
    if (task->streams->lost_on[0] == '\0') {
        return;
    }
    core_job_notice(core, task->job,
                    "%s was lost; task %u starts again on %s, its output goes on from byte %llu",
                    task->streams->lost_on, task->number, core_peer_label(peer),
                    (unsigned long long)task->streams->of[0].received);
    task->streams->lost_on[0] = '\0';
}
