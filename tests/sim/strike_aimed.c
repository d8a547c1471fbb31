/* Where faults are aimed at what chance alone seldom meets: a job that only one host can run, a
 * program that was started elsewhere again, a job whose cells nobody can make, an owner that goes
 * while its files travel. Chance decides whether a fault is aimed at all. */
#include "tests/sim/strike.h"

/* --- a job that one host alone can run --------------------------------------------------------
 */

/* More than it has cores for, so that some of them wait. NULL: nobody may submit it. */
static struct sim_job *submit_to(struct sim *sim, struct dice *dice, const struct sim_node *host,
                                 bool has_output)
{
    struct sim_node *owner = strike_pick(sim, dice);
    struct sim_wish wish = {.host = host, .millis_min = 600, .has_output = has_output};
    uint32_t n_tasks = (uint32_t)dice_between(dice, 1, 3 * (uint64_t)host->config.cores + 1);
    return owner == NULL || owner == host
               ? NULL
               : client_submit_as(sim, owner, dice, n_tasks < 24 ? n_tasks : 24, &wish);
}

/* a: node, b: life, c: dice. */
static void absence(struct sim *sim, struct sim_event *event)
{
    struct sim_node *node = sim->nodes[event->a];
    struct dice dice = {event->c};
    if (node->life != event->b || !strike_runs(node) || sim->is_healed) {
        return;
    }
    uint64_t ns = sim->dead_after_ns + dice_between(&dice, 300, 4000) * SIM_MS;
    if (dice_chance(&dice, 50)) {
        strike_freeze_one(sim, node, ns);
    } else {
        strike_unplug(sim, node, ns);
    }
    if (dice_chance(&dice, 60)) { /* when it is back it has few cores to spare for a while */
        uint32_t cores = (uint32_t)dice_roll(&dice, 2);
        strike_cores_one(sim, node, cores, ns + dice_between(&dice, 500, 5000) * SIM_MS);
    }
}

/* Its one host is away for so long that it is given up; its tasks wait, and when the host is back
 * it has their results. */
bool strike_only_host(struct sim *sim, struct dice *dice)
{
    struct sim_node *node = strike_pick(sim, dice);
    bool is_slow = dice_chance(dice, 30); /* then output is on its way when it goes */
    if (node == NULL || submit_to(sim, dice, node, is_slow || dice_chance(dice, 15)) == NULL) {
        return false;
    }
    uint64_t in_ns = dice_between(dice, 100, 1000) * SIM_MS;
    if (is_slow && node->bandwidth == 0) {
        strike_slow_down(sim, dice, node, dice_log(dice, 24, 96) << 10);
        in_ns = dice_between(dice, 700, 2500) * SIM_MS;
    }
    struct sim_event *event = sim_event_new(sim, SIM_WORLD, NULL, in_ns, absence);
    event->a = node->index;
    event->b = node->life;
    event->c = dice_next(dice);
    return true;
}

/* --- a program that was started elsewhere again -----------------------------------------------
 */

/* a: host, b: life. */
static void out_of_memory(struct sim *sim, struct sim_event *event)
{
    struct sim_node *node = sim->nodes[event->a];
    if (node->life == event->b && node->is_frail) {
        node->is_frail = false;
        work_crash_all(sim, node);
    }
}

static void crash_soon(struct sim *sim, const struct sim_node *node, uint64_t within_ns)
{
    uint64_t in_ns = dice_roll(&sim->dice, within_ns);
    struct sim_event *event = sim_event_new(sim, SIM_WORLD, NULL, in_ns, out_of_memory);
    event->a = node->index;
    event->b = node->life;
}

static bool has_run_of(const struct sim_node *node, const struct sim_node *owner,
                       const struct wire_attempt_id *id)
{
    list_for_each (at, &node->runs) {
        const struct sim_run *run = LIST_ENTRY(at, struct sim_run, node);
        if (!run->is_ended && run->id.job == id->job && run->id.task == id->task &&
            wire_key_eq(&run->owner, &owner->key)) {
            return true;
        }
    }
    return false;
}

/* Cells of a host in trouble die just as another begins what they did not do. */
void strike_aim_at_second(struct sim *sim, const struct sim_node *owner,
                          const struct wire_task *sent)
{
    for (unsigned i = 0; i < sim->n_nodes && sent->id.number > 1; i++) {
        struct sim_node *node = sim->nodes[i];
        if (node->is_frail && has_run_of(node, owner, &sent->id)) {
            crash_soon(sim, node, 3 * SIM_MS);
        }
    }
}

/* --- a job whose cells cannot be made ---------------------------------------------------------
 */

/* a: client, b: dice, when the daemon is asked to end as well; else 0. */
static void no_patience(struct sim *sim, struct sim_event *event)
{
    list_for_each (at, &sim->jobs) {
        struct sim_job *job = LIST_ENTRY(at, struct sim_job, node);
        if (job->client == event->a && client_is_open(job) && job->is_accepted &&
            strike_runs(job->owner)) {
            client_cancel(sim, job);
            if (event->b != 0) {
                struct dice dice = {event->b};
                strike_stop_one(sim, &dice, job->owner);
            }
            return;
        }
    }
}

/* A host that cannot make cells gets a job all the same. */
void strike_give_up(struct sim *sim, struct dice *dice, struct sim_node *node)
{
    node->is_given_up = submit_to(sim, dice, node, false) != NULL;
}

/* Cells of a host in trouble die as another is made; or somebody cancels a job while a host still
 * tries to begin it, in vain. */
void strike_aim_at_start(struct sim *sim, const struct sim_run *run)
{
    struct sim_node *node = run->host;
    if (node->is_frail && dice_chance(&sim->dice, 4)) {
        crash_soon(sim, node, 2 * SIM_MS);
    }
    if (node->is_given_up && node->has_no_cells && !run->task->job->is_cancelled) {
        node->is_given_up = false;
        uint64_t in_ns = dice_log(&sim->dice, 100, 20000) * 1000;
        struct sim_event *event = sim_event_new(sim, SIM_WORLD, NULL, in_ns, no_patience);
        event->a = run->task->job->client;
        event->b = dice_chance(&sim->dice, 70) ? dice_next(&sim->dice) : 0;
    }
}

/* Somebody cancels a job when it is done, all but what it wrote. */
bool strike_cancel_late(struct sim *sim, struct dice *dice)
{
    struct sim_node *node = strike_pick(sim, dice);
    const struct sim_job *job =
        node != NULL && node->bandwidth == 0 ? submit_to(sim, dice, node, true) : NULL;
    if (job == NULL) {
        return false;
    }
    strike_slow_down(sim, dice, node, dice_log(dice, 16, 64) << 10);
    uint64_t in_ns = dice_between(dice, 700, 3000) * SIM_MS;
    sim_event_new(sim, SIM_WORLD, NULL, in_ns, no_patience)->a = job->client;
    return true;
}

/* --- an owner that goes while its files travel ------------------------------------------------
 */

/* The last that it took; NULL: none is open. */
static struct sim_job *open_job_of(const struct sim *sim, const struct sim_node *node)
{
    struct sim_job *last = NULL;
    list_for_each (at, &sim->jobs) {
        struct sim_job *job = LIST_ENTRY(at, struct sim_job, node);
        last = job->owner == node && client_is_open(job) && job->is_accepted ? job : last;
    }
    return last;
}

/* a: node, b: life, c: dice. */
static void go(struct sim *sim, struct sim_event *event)
{
    struct sim_node *node = sim->nodes[event->a];
    struct dice dice = {event->c};
    if (node->life != event->b || !strike_runs(node) || sim->is_healed) {
        return;
    }
    struct sim_job *job = dice_chance(&dice, 40) ? open_job_of(sim, node) : NULL;
    if (job != NULL) {
        client_cancel(sim, job);
    } else if (dice_chance(&dice, 50)) {
        strike_kill_one(sim, &dice, node);
    } else {
        strike_unplug(sim, node,
                      dice_between(&dice, 3000, 12000) * SIM_MS); /* or longer than leases */
    }
}

/* A job from a host with a bad link, which is soon gone altogether; or its user has seen enough. */
bool strike_submit_and_go(struct sim *sim, struct dice *dice, struct sim_node *node)
{
    if (node->bandwidth != 0) {
        return false;
    }
    strike_slow_down(sim, dice, node, dice_log(dice, 16, 64) << 10);
    struct sim_wish wish = {.has_files = true};
    if (client_submit_as(sim, node, dice, (uint32_t)dice_log(dice, 8, 60), &wish) == NULL) {
        return false;
    }
    uint64_t in_ns = dice_log(dice, 30, 3000) * SIM_MS;
    struct sim_event *event = sim_event_new(sim, SIM_WORLD, NULL, in_ns, go);
    event->a = node->index;
    event->b = node->life;
    event->c = dice_next(dice);
    return true;
}

/* --- a detached job that is never kept --------------------------------------------------------
 */

/* a: node, b: life, c: how the disk fails. */
static void fail(struct sim *sim, struct sim_event *event)
{
    struct sim_node *node = sim->nodes[event->a];
    if (node->life == event->b && node->disk_error == 0 && !sim->is_healed) {
        strike_disk_one(sim, node, (unsigned)event->c, 5 * SIM_S);
    }
}

/* a: client. */
static void leave(struct sim *sim, struct sim_event *event)
{
    list_for_each (at, &sim->jobs) {
        struct sim_job *job = LIST_ENTRY(at, struct sim_job, node);
        if (job->client == event->a && job->is_connected && strike_runs(job->owner)) {
            client_leave(sim, job);
            return;
        }
    }
}

/* Its disk fails while the job comes, its first results wait for it, and its client leaves. */
bool strike_keep_nothing(struct sim *sim, struct dice *dice, unsigned error)
{
    struct sim_node *node = strike_pick(sim, dice);
    struct sim_wish wish = {.is_detached = true};
    const struct sim_job *job =
        node != NULL && node->disk_error == 0
            ? client_submit_as(sim, node, dice, (uint32_t)dice_between(dice, 30, 150), &wish)
            : NULL;
    if (job == NULL) {
        return false;
    }
    struct sim_event *event =
        sim_event_new(sim, SIM_WORLD, NULL, dice_log(dice, 300, 30000) * 1000, fail);
    event->a = node->index;
    event->b = node->life;
    event->c = error;
    uint64_t in_ns = dice_between(dice, 300, 4000) * SIM_MS;
    sim_event_new(sim, SIM_WORLD, NULL, in_ns, leave)->a = job->client;
    return true;
}

/* --- a daemon that is asked to end while it hears nobody --------------------------------------
 */

/* a: node, b: life, c: dice. */
static void restart(struct sim *sim, struct sim_event *event)
{
    struct sim_node *node = sim->nodes[event->a];
    struct dice dice = {event->c};
    if (node->life == event->b && strike_runs(node) && !sim->is_healed) {
        strike_stop_one(sim, &dice, node);
    }
}

/* Before others are given up, whether they had work of each other or not. */
void strike_restart_soon(struct sim *sim, struct dice *dice, const struct sim_node *node)
{
    uint64_t half_ns = sim->dead_after_ns / 2;
    uint64_t in_ns = half_ns + dice_roll(dice, half_ns);
    in_ns += dice_chance(dice, 50) ? dice_roll(dice, 5 * SIM_S) : 0; /* a slow beat */
    struct sim_event *event = sim_event_new(sim, SIM_WORLD, NULL, in_ns, restart);
    event->a = node->index;
    event->b = node->life;
    event->c = dice_next(dice);
}
