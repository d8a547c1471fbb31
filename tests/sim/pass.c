/* Calls whose results stay where they were made, and calls that read such results: what clients do
 * with them, and what they may hear.
 *
 * Such a job has few tasks under way at a time, so that the later ones find results to read. */
#include "tests/sim/sim_internal.h"
#include "wire/base/mem.h"
#include "wire/blob_hash.h"

bool pass_draw(struct sim_job *job, struct dice *dice)
{
    struct wire_submit *submit = &job->submit.submit;
    job->keeps_results =
        submit->spec.is_call && !job->is_detached && !submit->is_once && dice_chance(dice, 60);
    if (job->keeps_results) {
        submit->jobs_max = (uint32_t)dice_between(dice, 1, 4);
    }
    return job->keeps_results;
}

bool pass_is_held_back(const struct sim_job *job)
{
    return job->keeps_results && job->n_added >= job->n_done + job->submit.submit.jobs_max;
}

void pass_choose(struct sim *sim, struct sim_job *job, struct sim_task *task)
{
    if (job->keeps_results && job->away.bytes > 0 && dice_chance(&sim->dice, 75)) {
        task->passed = job->away;
        task->is_passed_gone = job->is_away_gone;
        sim->report.n_passed++;
    }
}

static void say(struct sim *sim, struct sim_job *job, const struct wire_message *message)
{
    struct core_event event = {.type = CORE_EVENT_CLIENT_MESSAGE};
    event.client_message.client = job->client;
    event.client_message.message = message;
    sim_step(sim, job->owner, &event);
}

/* a: client; b: whether it is a get; bytes: the hash. */
static void say_fire(struct sim *sim, struct sim_event *event)
{
    struct sim_job *job = client_of(sim, event->a);
    struct wire_message message = {.type = WIRE_MESSAGE_RELEASE};
    if (!job->is_connected) {
        return;
    }
    if (event->b != 0) {
        message.type = WIRE_MESSAGE_GET;
        message.get.hash = *(const struct wire_hash *)event->bytes;
        job->n_gets++;
    } else {
        message.release.hash = *(const struct wire_hash *)event->bytes;
        if (wire_hash_eq(&job->away.hash, &message.release.hash)) {
            job->away = (struct wire_ref){.bytes = 0};
        }
    }
    say(sim, job, &message);
}

static void say_later(struct sim *sim, struct sim_job *job, const struct wire_hash *hash,
                      bool is_get)
{
    uint64_t in_ns = dice_roll(&sim->dice, is_get ? 100 * SIM_MS : SIM_S);
    struct sim_event *event = sim_event_new(sim, SIM_DAEMON, job->owner, in_ns, say_fire);
    event->a = job->client;
    event->b = is_get;
    event->bytes = mem_dup(hash, sizeof(*hash));
}

void pass_on_done(struct sim *sim, struct sim_job *job, const struct wire_done *done)
{
    const struct wire_output *out = &done->result.out;
    if (done->is_away && (!job->keeps_results || wire_key_eq(&done->peer, &job->owner_key))) {
        sim_broken(sim, "a client of %s is told that a result stayed elsewhere, and did not ask",
                   job->owner->name);
    }
    if (!job->keeps_results || out->bytes <= out->inlined.n) {
        return;
    }
    sim->report.n_away += done->is_away;
    job->away = (struct wire_ref){.hash = out->hash, .bytes = out->bytes};
    job->is_away_gone = false;
    if (dice_chance(&sim->dice, 25)) {
        say_later(sim, job, &out->hash, true);
    }
    if (dice_chance(&sim->dice, 40)) {
        say_later(sim, job, &out->hash, false);
    }
}

void pass_on_gone(struct sim *sim, struct sim_job *job, const struct wire_hash *hash)
{
    if (sim->report.n_faults == 0) {
        sim_broken(sim, "a result of %s is lost, and nothing went wrong", job->owner->name);
    }
    sim->report.n_gone++;
    for (uint32_t i = 1; i <= job->n_added; i++) {
        job->tasks[i].is_passed_gone |= wire_hash_eq(&job->tasks[i].passed.hash, hash);
    }
    /* The client may hear of it only after it passed it on. */
    if (wire_hash_eq(&job->away.hash, hash) && dice_chance(&sim->dice, 50)) {
        job->away = (struct wire_ref){.bytes = 0};
    } else if (wire_hash_eq(&job->away.hash, hash)) {
        job->is_away_gone = true;
    }
}

void pass_on_got(struct sim *sim, struct sim_job *job, const struct wire_got *got)
{
    if (++job->n_gots > job->n_gets) {
        sim_broken(sim, "a client of %s is given what it did not ask for", job->owner->name);
    }
    bool is_stored = shell_stored(job->owner, &got->hash) != NULL;
    if (got->error == WIRE_ERROR_NONE && !is_stored && !job->owner->had_disk_fault) {
        sim_broken(sim, "%s gives its client bytes that it has not", job->owner->name);
    }
    bool is_lost = got->error == WIRE_ERROR_UNAVAILABLE || got->error == WIRE_ERROR_LIMIT;
    if (is_lost && sim->report.n_faults == 0) {
        sim_broken(sim, "%s cannot give its client a result, and nothing went wrong",
                   job->owner->name);
    }
}

const char *pass_fault_of_no_data(const struct sim *sim, const struct sim_task *task)
{
    if (task->passed.bytes == 0) {
        return "and reads nothing that could be lost";
    }
    if (!task->is_passed_gone) {
        return "and its client did not hear of a loss";
    }
    return sim->report.n_faults == 0 ? "and nothing went wrong" : NULL;
}

bool pass_is_any_open(const struct sim *sim, const struct sim_node *owner)
{
    list_for_each (at, &sim->jobs) {
        const struct sim_job *job = LIST_ENTRY(at, struct sim_job, node);
        if (job->owner == owner && job->keeps_results && client_is_open(job)) {
            return true;
        }
    }
    return false;
}
