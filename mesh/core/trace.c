#include "mesh/core/trace.h"

#include "wire/base/text.h"
#include "wire/key.h"
#include "wire/message.h"

#define NAME_TEXT(name, text) text,
static const char *const event_names[] = {CORE_EVENTS(NAME_TEXT)};
static const char *const effect_names[] = {CORE_EFFECTS(NAME_TEXT)};
static const char *const record_names[] = {CORE_RECORDS(NAME_TEXT)};
static const char *const link_ends[] = {CORE_LINK_ENDS(NAME_TEXT)};
static const char *const doors[] = {WIRE_DOOR_KINDS(NAME_TEXT)};

static void print_text(struct buf *to, const char *name, struct slice s)
{
    char printable[WIRE_REASON_BYTES_MAX];
    buf_printf(to, " %s=%s", name, text_printable(s, printable, sizeof(printable)));
}

static void print_key(struct buf *to, const struct wire_key *key)
{
    char id[WIRE_ID_TEXT_BYTES];
    buf_printf(to, " %s", wire_id_text(key, id));
}

static void print_attempt(struct buf *to, const struct wire_key *owner,
                          const struct wire_attempt_id *id)
{
    char job[WIRE_JOB_TEXT_BYTES];
    print_key(to, owner);
    buf_printf(to, " %s/%u#%u", wire_job_text(id->job, job), id->task, id->number);
}

static void print_hash(struct buf *to, const struct wire_hash *hash)
{
    char hex[9];
    text_hex(slice_of(hash->b, 4), hex, sizeof(hex));
    buf_printf(to, " %s", hex);
}

static void print_end(struct buf *to, const struct wire_result *result)
{
    buf_printf(to, " %s %u", wire_end_text(result->end), result->status);
}

/* Events of peers. */
static void print_peer_event(const struct core_event *event, struct buf *to)
{
    switch ((unsigned)event->type) { /* as a number: only these */
    case CORE_EVENT_PEER_FOUND:
        print_key(to, &event->peer_found.key);
        buf_printf(to, " %u addresses", event->peer_found.addresses.n);
        return;
    case CORE_EVENT_PEER_LOST:
        print_key(to, &event->peer_lost.key);
        return;
    case CORE_EVENT_PEER_CLONED:
        print_text(to, "text", event->peer_cloned.text);
        return;
    case CORE_EVENT_DIAL_FAILED:
        buf_printf(to, " %llu error %d %s", (unsigned long long)event->dial_failed.dial,
                   event->dial_failed.error, wire_reason_text(event->dial_failed.reason));
        return;
    case CORE_EVENT_LINK_UP:
        print_key(to, &event->link_up.key);
        buf_printf(to, " link %llu dial %llu", (unsigned long long)event->link_up.link,
                   (unsigned long long)event->link_up.dial);
        if (event->link_up.door != WIRE_DOOR_OPEN) {
            buf_printf(to, " door %s", doors[event->link_up.door]);
        }
        print_text(to, "name", event->link_up.name);
        return;
    case CORE_EVENT_LINK_DOWN:
        buf_printf(to, " link %llu %s %s", (unsigned long long)event->link_down.link,
                   link_ends[event->link_down.end], wire_reason_text(event->link_down.reason));
        return;
    case CORE_EVENT_MESSAGE:
        buf_printf(to, " link %llu ", (unsigned long long)event->message.link);
        wire_message_print(event->message.message, to);
        return;
    default:
        return;
    }
}

static const struct wire_hash *hash_of_event(const struct core_event *event)
{
    return event->type == CORE_EVENT_BLOB_STORED   ? &event->blob_stored.hash
           : event->type == CORE_EVENT_BLOB_FAILED ? &event->blob_failed.hash
                                                   : &event->blob_moving.hash;
}

static void print_journal_event(const struct core_event *event, struct buf *to)
{
    char job[WIRE_JOB_TEXT_BYTES];
    if (event->type == CORE_EVENT_JOURNALED) {
        buf_printf(to, " up to %llu error %d", (unsigned long long)event->journaled.number,
                   event->journaled.error);
    } else if (event->type == CORE_EVENT_JOURNAL_QUEUE) {
        buf_printf(to, " %s", wire_job_text(event->journal_queue.queue, job));
        print_text(to, "name", event->journal_queue.name);
    } else if (event->type == CORE_EVENT_JOURNAL_ITEMS) {
        buf_printf(to, " %s %u items", wire_job_text(event->journal_items.queue, job),
                   event->journal_items.n);
    } else if (event->type == CORE_EVENT_JOURNAL_PUTTER) {
        print_key(to, &event->journal_putter.key);
        buf_printf(to, " %llu", (unsigned long long)event->journal_putter.request);
    } else if (event->type == CORE_EVENT_JOURNAL_JOB) {
        buf_printf(to, " %s %u tasks %u results%s%s", wire_job_text(event->journal_job.job, job),
                   event->journal_job.n_tasks, event->journal_job.n_results,
                   event->journal_job.is_complete ? " complete" : "",
                   event->journal_job.is_cancelled ? " cancelled" : "");
    } else if (event->type == CORE_EVENT_JOURNAL_LOOKED) {
        buf_printf(to, " %llu error %d: %u results", (unsigned long long)event->journal_looked.look,
                   event->journal_looked.error, event->journal_looked.n);
    } else if (event->type == CORE_EVENT_JOURNAL_LISTED) {
        buf_printf(to, " %llu error %d: %u jobs", (unsigned long long)event->journal_listed.look,
                   event->journal_listed.error, event->journal_listed.n);
    } else {
        uint32_t n = event->journal_tasks.n;
        buf_printf(to, " %s %u tasks", wire_job_text(event->journal_tasks.job, job), n);
        if (n > 0) {
            buf_printf(to, " from %u", event->journal_tasks.items[0].task);
        }
        buf_printf(to, " error %d", event->journal_tasks.error);
    }
}

void core_event_print(const struct core_event *event, struct buf *to)
{
    buf_append_str(to, event_names[event->type]);
    switch (event->type) {
    case CORE_EVENT_TICK:
    case CORE_EVENT_STOP:
    case CORE_EVENT_JOURNAL_END:
    case CORE_EVENT_DRAWN:
        return;
    case CORE_EVENT_PEER_FOUND:
    case CORE_EVENT_PEER_LOST:
    case CORE_EVENT_PEER_CLONED:
    case CORE_EVENT_DIAL_FAILED:
    case CORE_EVENT_LINK_UP:
    case CORE_EVENT_LINK_DOWN:
    case CORE_EVENT_MESSAGE:
        print_peer_event(event, to);
        return;
    case CORE_EVENT_CLIENT_UP:
    case CORE_EVENT_CLIENT_DOWN:
        buf_printf(to, " %llu", (unsigned long long)event->client_down.client);
        return;
    case CORE_EVENT_CLIENT_MESSAGE:
        buf_printf(to, " %llu ", (unsigned long long)event->client_message.client);
        wire_message_print(event->client_message.message, to);
        return;
    case CORE_EVENT_ATTEMPT_STARTED:
        print_attempt(to, &event->attempt_started.owner, &event->attempt_started.id);
        return;
    case CORE_EVENT_ATTEMPT_STREAM:
        print_attempt(to, &event->attempt_stream.owner, &event->attempt_stream.data.id);
        buf_printf(to, " stream %u at %llu: %zu bytes", event->attempt_stream.data.stream,
                   (unsigned long long)event->attempt_stream.data.offset,
                   event->attempt_stream.data.bytes.n);
        return;
    case CORE_EVENT_ATTEMPT_ENDED:
        print_attempt(to, &event->attempt_ended.owner, &event->attempt_ended.id);
        print_end(to, &event->attempt_ended.result);
        return;
    case CORE_EVENT_ATTEMPT_REFUSED:
        print_attempt(to, &event->attempt_refused.owner, &event->attempt_refused.id);
        buf_printf(to, " %s", wire_refusal_text(event->attempt_refused.refusal));
        return;
    case CORE_EVENT_BLOB_STORED:
    case CORE_EVENT_BLOB_FAILED:
    case CORE_EVENT_BLOB_MOVING:
        print_hash(to, hash_of_event(event));
        return;
    case CORE_EVENT_CORES:
        buf_printf(to, " %u", event->cores.cores);
        return;
    case CORE_EVENT_ADDRESS:
        buf_printf(to, " %.*s", SLICE_FMT(event->address.text));
        return;
    case CORE_EVENT_JOURNALED:
    case CORE_EVENT_JOURNAL_JOB:
    case CORE_EVENT_JOURNAL_TASKS:
    case CORE_EVENT_JOURNAL_LOOKED:
    case CORE_EVENT_JOURNAL_LISTED:
    case CORE_EVENT_JOURNAL_QUEUE:
    case CORE_EVENT_JOURNAL_ITEMS:
    case CORE_EVENT_JOURNAL_PUTTER:
        print_journal_event(event, to);
        return;
    case CORE_EVENT_TRUST_KEPT:
        buf_printf(to, " %llu error %d", (unsigned long long)event->trust_kept.number,
                   event->trust_kept.error);
        return;
    }
    ensure(!"reached");
}

/* Effects about links, dials and clients. */
static void print_link_effect(const struct core_effect *effect, struct buf *to)
{
    switch ((unsigned)effect->type) { /* as a number: only these */
    case CORE_EFFECT_SEND:
        buf_printf(to, " link %llu ", (unsigned long long)effect->send.link);
        wire_message_print(&effect->send.message, to);
        return;
    case CORE_EFFECT_CLOSE_LINK:
        buf_printf(to, " %llu %s", (unsigned long long)effect->close_link.link,
                   wire_reason_text(effect->close_link.reason));
        return;
    case CORE_EFFECT_DIAL:
        buf_printf(to, " %llu", (unsigned long long)effect->dial.dial);
        print_text(to, "address", effect->dial.address);
        if (effect->dial.older > 0) {
            buf_printf(to, " older %u", effect->dial.older);
        }
        buf_append_str(to, effect->dial.has_invitation ? " invited" : "");
        return;
    case CORE_EFFECT_CANCEL_DIAL:
        buf_printf(to, " %llu", (unsigned long long)effect->cancel_dial.dial);
        return;
    case CORE_EFFECT_CLIENT_SEND:
        buf_printf(to, " %llu ", (unsigned long long)effect->client_send.client);
        wire_message_print(&effect->client_send.message, to);
        return;
    case CORE_EFFECT_CLIENT_CLOSE:
        buf_printf(to, " %llu", (unsigned long long)effect->client_close.client);
        return;
    default:
        return;
    }
}

static void print_record(const struct core_record *record, struct buf *to)
{
    char job[WIRE_JOB_TEXT_BYTES];
    buf_printf(to, " %llu %s %s", (unsigned long long)record->number, record_names[record->type],
               wire_job_text(record->job, job));
    if (record->type == CORE_RECORD_TASK) {
        buf_printf(to, "/%u", record->task.task);
    } else if (record->type == CORE_RECORD_RESULT) {
        buf_printf(to, "/%u#%u", record->result.done.task, record->result.done.attempt);
        print_end(to, &record->result.done.result);
    } else if (record->type == CORE_RECORD_QUEUE) {
        print_text(to, "name", record->queue.name);
    } else if (record->type == CORE_RECORD_QUEUE_PUT) {
        print_key(to, &record->queue_put.putter);
        buf_printf(to, " request %llu: %u items from %llu",
                   (unsigned long long)record->queue_put.request, record->queue_put.items.n,
                   (unsigned long long)record->queue_put.first);
    } else if (record->type == CORE_RECORD_QUEUE_DONE) {
        buf_printf(to, " item %llu hand %llu", (unsigned long long)record->queue_done.item,
                   (unsigned long long)record->queue_done.hand);
    }
}

/* Counts: none of the secrets. */
static void print_trust(const struct core_effect *effect, struct buf *to)
{
    const struct core_trust_state *state = effect->trust.state;
    buf_printf(to, " %llu generation %llu, %u olds, %u members, %u bans, %u pins, %u invitations%s",
               (unsigned long long)effect->trust.number,
               (unsigned long long)state->present.generation, state->n_olds, state->n_members,
               state->n_bans, state->n_pins, state->n_invitations,
               effect->trust.must_keep ? ", keep" : "");
}

static void print_journal_effect(const struct core_effect *effect, struct buf *to)
{
    char job[WIRE_JOB_TEXT_BYTES];
    if (effect->type == CORE_EFFECT_JOURNAL) {
        print_record(&effect->journal, to);
    } else if (effect->type == CORE_EFFECT_JOURNAL_READ) {
        buf_printf(to, " %s %u from %u", wire_job_text(effect->journal_read.job, job),
                   effect->journal_read.n, effect->journal_read.first);
    } else if (effect->type == CORE_EFFECT_JOURNAL_LOOK) {
        buf_printf(to, " %llu %s %u behind %llu", (unsigned long long)effect->journal_look.look,
                   wire_job_text(effect->journal_look.job, job), effect->journal_look.n,
                   (unsigned long long)effect->journal_look.after);
    } else {
        buf_printf(to, " %llu", (unsigned long long)effect->journal_list.look);
    }
}

static const struct wire_hash *hash_of(const struct core_effect *effect)
{
    switch ((unsigned)effect->type) { /* as a number: the others name none */
    case CORE_EFFECT_BLOB_FETCH:
        return &effect->blob_fetch.hash;
    case CORE_EFFECT_BLOB_STOP:
        return &effect->blob_stop.hash;
    case CORE_EFFECT_BLOB_SERVE:
        return &effect->blob_serve.hash;
    default:
        return &effect->blob_release.hash;
    }
}

void core_effect_print(const struct core_effect *effect, struct buf *to)
{
    buf_append_str(to, effect_names[effect->type]);
    switch (effect->type) {
    case CORE_EFFECT_SEND:
    case CORE_EFFECT_CLOSE_LINK:
    case CORE_EFFECT_DIAL:
    case CORE_EFFECT_CANCEL_DIAL:
    case CORE_EFFECT_CLIENT_SEND:
    case CORE_EFFECT_CLIENT_CLOSE:
        print_link_effect(effect, to);
        return;
    case CORE_EFFECT_START:
        print_attempt(to, &effect->start.owner, &effect->start.id);
        buf_printf(to, " cell %llu", (unsigned long long)effect->start.cell);
        return;
    case CORE_EFFECT_KILL:
        print_attempt(to, &effect->kill.owner, &effect->kill.id);
        buf_printf(to, " %s", wire_end_text(effect->kill.end));
        return;
    case CORE_EFFECT_PAUSE:
        print_attempt(to, &effect->pause.owner, &effect->pause.id);
        buf_append_str(to, effect->pause.is_paused ? " paused" : " goes on");
        return;
    case CORE_EFFECT_STREAM_WINDOW:
        print_attempt(to, &effect->stream_window.owner, &effect->stream_window.ack.id);
        buf_printf(to, " to %llu", (unsigned long long)effect->stream_window.ack.offset);
        return;
    case CORE_EFFECT_RENEW:
        print_key(to, &effect->renew.owner);
        return;
    case CORE_EFFECT_CELL_CLOSE:
        buf_printf(to, " %llu", (unsigned long long)effect->cell_close.cell);
        return;
    case CORE_EFFECT_BLOB_FETCH:
    case CORE_EFFECT_BLOB_STOP:
    case CORE_EFFECT_BLOB_SERVE:
    case CORE_EFFECT_BLOB_RELEASE:
        print_hash(to, hash_of(effect));
        return;
    case CORE_EFFECT_REMEMBER:
        print_key(to, &effect->remember.key);
        return;
    case CORE_EFFECT_ADVERTISE:
        buf_printf(to, " %u cores", effect->advertise.cores);
        return;
    case CORE_EFFECT_JOURNAL:
    case CORE_EFFECT_JOURNAL_READ:
    case CORE_EFFECT_JOURNAL_LOOK:
    case CORE_EFFECT_JOURNAL_LIST:
        print_journal_effect(effect, to);
        return;
    case CORE_EFFECT_TRUST:
        print_trust(effect, to);
        return;
    case CORE_EFFECT_DRAW:
        return;
    case CORE_EFFECT_LOG:
        print_text(to, "text", effect->log.text);
        return;
    case CORE_EFFECT_EXIT:
        buf_printf(to, " %d", effect->exit.status);
        return;
    }
    ensure(!"reached");
}
