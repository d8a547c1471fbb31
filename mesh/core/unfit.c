/* The one line that says why no peer in sight can run a job: what is asked for, and what each of
 * those who were meant lacks. */
#include <string.h>

#include "mesh/core/job.h"
#include "mesh/core/peer.h"
#include "wire/base/text.h"

/* Told in full; further ones are counted. */
#define REASONS_MAX 4u

struct line {
    char text[WIRE_REASON_BYTES_MAX];
    size_t n;
    uint32_t n_reasons;
};

static void append(struct line *line, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void append(struct line *line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    line->n += text_vformat(line->text + line->n, sizeof(line->text) - line->n, format, args);
    va_end(args);
}

/* Whether there is room for one more; begins it. */
static bool begin_reason(struct line *line)
{
    if (line->n_reasons++ >= REASONS_MAX) {
        return false;
    }
    append(line, "%s", line->n_reasons == 1 ? ": " : ", ");
    return true;
}

static bool is_in_sight(const struct core_peer *peer)
{
    return peer->is_self || core_peer_is_here(peer);
}

static bool is_in_sight_as(const struct core *core, const char *text)
{
    table_for_each (entry, &core->peers) {
        const struct core_peer *peer = LIST_ENTRY(entry, struct core_peer, by_key);
        if (is_in_sight(peer) && core_card_is_meant(peer->card, text)) {
            return true;
        }
    }
    return false;
}

static bool is_among(const struct core_peer *peer, char *const *texts, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (core_card_is_meant(peer->card, texts[i])) {
            return true;
        }
    }
    return false;
}

static void say_asked(struct line *line, const struct core_job *job)
{
    uint32_t cores = job->spec.cores;
    append(line, "no peer in sight can run this job (%u core%s a task", cores,
           cores == 1 ? "" : "s");
    if (job->spec.arch.n > 0) {
        append(line, ", %.*s", SLICE_FMT(job->spec.arch));
    }
    append(line, ")");
}

static void say_missing(struct line *line, const struct core *core, const struct core_job *job)
{
    for (uint32_t i = 0; i < job->n_on; i++) {
        if (!is_in_sight_as(core, job->on[i]) && begin_reason(line)) {
            append(line, "%s is not in sight", job->on[i]);
        }
    }
}

static void say_unfit(struct line *line, const struct core_job *job, const struct core_peer *peer)
{
    append(line, "%s ", core_peer_label(peer));
    if (is_among(peer, job->except, job->n_except)) {
        append(line, "is left out by --except");
    } else if (job->spec.arch.n > 0 && !slice_eq_str(job->spec.arch, peer->arch)) {
        append(line, "is %s", peer->arch);
    } else if (!core_job_has_exec_for(job, peer->arch)) {
        append(line, "is %s, for which there is no program", peer->arch);
    } else if (peer->protocol > 0 && peer->protocol < job->protocol_min) {
        append(line, "runs an older mesh, which knows no calls");
    } else if (peer->cores == 0) {
        append(line, "offers no cores");
    } else {
        append(line, "offers %u core%s", peer->cores, peer->cores == 1 ? "" : "s");
    }
}

void core_job_say_unfit(struct core *core, struct core_job *job)
{
    struct line line = {.n = 0};
    say_asked(&line, job);
    say_missing(&line, core, job);
    table_for_each (entry, &core->peers) {
        const struct core_peer *peer = LIST_ENTRY(entry, struct core_peer, by_key);
        if (is_in_sight(peer) && (job->n_on == 0 || is_among(peer, job->on, job->n_on)) &&
            begin_reason(&line)) {
            say_unfit(&line, job, peer);
        }
    }
    if (line.n_reasons > REASONS_MAX) {
        append(&line, ", and %u more", line.n_reasons - REASONS_MAX);
    }
    core_job_notice(core, job, "%s; it waits for one that can", line.text);
}
