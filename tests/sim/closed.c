/* A closed mesh, in some of the seeds: all begin as members; who forgot its state, or comes later,
 * is invited again; one or two of them are traitors, which do all that an honest peer does until
 * members ban them, at once, from two sides. What must hold: who has heard of a ban holds no
 * session with the banned; when all is well again, all members have one secret, and no traitor
 * knows it. */
#include <errno.h>

#include "tests/sim/sim_internal.h"
#include "wire/base/mem.h"

#define CLOSED_PERCENT 20u
#define LOOK_NS        SIM_S        /* for who has to be invited, and whom to ban */
#define JOIN_NS        (12 * SIM_S) /* a join is given up by then */

bool closed_is_drawn(const struct sim *sim)
{
    struct dice dice = {dice_mix(sim->options.seed + UINT64_C(0xc105ed))};
    return !sim->options.is_plain && sim->transport != SIM_TRANSPORT_BARE &&
           dice_chance(&dice, CLOSED_PERCENT);
}

/* --- the shell's part --------------------------------------------------------------------------
 */

static void make_door(struct sim_node *node, const struct core_trust_state *state)
{
    struct wire_door *door = node->door;
    wire_door_clear(door);
    if (state->present.generation > 0) {
        wire_door_lock(door, &state->present.secret);
    }
    for (uint32_t i = 0; i < state->n_olds; i++) {
        wire_door_add_older(door, &state->olds[i].secret);
    }
    for (uint32_t i = 0; i < state->n_members; i++) {
        wire_door_add_member(door, &state->members[i].key);
    }
    for (uint32_t i = 0; i < state->n_bans; i++) {
        if (state->bans[i].is_banned) {
            wire_door_add_ban(door, &state->bans[i].key);
        }
    }
    for (uint32_t i = 0; i < state->n_invitations; i++) {
        const struct core_invitation *invitation = &state->invitations[i];
        wire_door_add_invitation(door, &invitation->token,
                                 invitation->is_bound ? &invitation->key : NULL);
    }
}

/* a: number, b: errno. */
static void kept_fire(struct sim *sim, struct sim_event *event)
{
    struct core_event kept = {.type = CORE_EVENT_TRUST_KEPT};
    kept.trust_kept.number = event->a;
    kept.trust_kept.error = -(int)event->b;
    event->node->n_trust_kept = event->a;
    sim_step(sim, event->node, &kept);
}

void closed_trust(struct sim *sim, struct sim_node *node, const struct core_effect *effect)
{
    const struct core_trust_state *state = effect->trust.state;
    if (node->door == NULL) {
        return; /* the mesh of this seed is open: nobody asked for anything */
    }
    bool is_renewed = memcmp(&node->door->present.secret, &state->present.secret,
                             sizeof(state->present.secret)) != 0;
    make_door(node, state);
    if (is_renewed) {
        net_end_handshakes(sim, node);
    }
    if (!effect->trust.must_keep) {
        return;
    }
    if (node->disk_error == 0) {
        core_book_done(&node->trust);
        core_book_load(&node->trust, state);
    }
    struct sim_event *event =
        sim_event_new(sim, SIM_DAEMON, node, dice_roll(&sim->closed_dice, 5 * SIM_MS), kept_fire);
    event->a = node->n_trust_said = effect->trust.number;
    event->b = node->disk_error;
}

static void drawn_fire(struct sim *sim, struct sim_event *event)
{
    struct core_event drawn = {.type = CORE_EVENT_DRAWN};
    for (unsigned i = 0; i < sizeof(drawn.drawn.bytes); i++) {
        drawn.drawn.bytes[i] = (uint8_t)dice_next(&sim->closed_dice);
    }
    sim_step(sim, event->node, &drawn);
}

void closed_draw(struct sim *sim, struct sim_node *node)
{
    sim_event_new(sim, SIM_DAEMON, node, 0, drawn_fire);
}

static bool is_honest(const struct sim_node *node)
{
    return !node->is_traitor && node->clone_of == NULL;
}

/* --- nodes -------------------------------------------------------------------------------------
 */

void closed_new_node(struct sim *sim, struct sim_node *node)
{
    core_book_init(&node->trust);
    if (sim->is_closed) {
        node->door = wire_door_new();
        ensure(node->door != NULL);
        node->is_version_odd = node->is_version_old = false; /* older ones know no closed mesh */
    }
}

void closed_free_node(struct sim_node *node)
{
    node->door = wire_door_free(node->door);
    core_book_done(&node->trust);
}

void closed_forget(struct sim_node *node)
{
    core_book_done(&node->trust);
}

const struct core_trust_state *closed_start(struct sim_node *node, struct core_trust_state *state)
{
    if (node->door == NULL) {
        return NULL;
    }
    *state = core_book_state(&node->trust);
    node->n_trust_said = node->n_trust_kept = 0;
    make_door(node, state);
    return state;
}

/* The traitors, and what all know at the beginning: the first invited them. */
void closed_begin(struct sim *sim)
{
    if (!sim->is_closed) {
        return;
    }
    sim->closed_dice.state = dice_mix(sim->options.seed + UINT64_C(0xc105e));
    sim->n_traitors = (uint32_t)dice_between(&sim->closed_dice, 1, 2);
    for (uint32_t i = 0; i < sim->n_traitors; i++) {
        struct sim_node *traitor = sim_node_new(sim);
        traitor->is_traitor = true;
        traitor->config.cores = traitor->config.cores_effective = 0;
        sim->traitors[i] = traitor;
    }
    uint8_t secret[WIRE_SECRET_BYTES];
    for (unsigned i = 0; i < sizeof(secret); i++) {
        secret[i] = (uint8_t)dice_next(&sim->closed_dice);
    }
    for (unsigned i = 0; i < sim->n_nodes; i++) {
        core_book_renew(&sim->nodes[i]->trust, 1, secret);
        for (unsigned j = 0; j < sim->n_nodes; j++) {
            if (i != j) {
                core_book_add_member(&sim->nodes[i]->trust, &sim->nodes[j]->key, i == 0);
            }
        }
        struct sim_node *traitor = sim->traitors[sim->n_traitors - 1];
        if (is_honest(sim->nodes[i]) && dice_chance(&sim->closed_dice, 15)) {
            core_book_set_pin(&sim->nodes[i]->trust, slice_str(traitor->name), &sim->nodes[0]->key);
        }
    }
}

/* --- people who ask ----------------------------------------------------------------------------
 */

static bool is_at_hand(const struct sim_node *node)
{
    return sim_node_runs(node) && is_honest(node) && !node->is_stopping;
}

static void ask(struct sim *sim, struct sim_node *node, const struct wire_message *message)
{
    struct core_event up = {.type = CORE_EVENT_CLIENT_UP};
    up.client_up.client = sim->next_client++;
    up.client_up.is_privileged = true;
    node->trust_client = up.client_up.client;
    sim_step(sim, node, &up);
    struct core_event said = {.type = CORE_EVENT_CLIENT_MESSAGE};
    said.client_message.client = node->trust_client;
    said.client_message.message = message;
    sim_step(sim, node, &said);
}

static struct sim_node *somebody(struct sim *sim, const struct sim_node *but)
{
    unsigned from = (unsigned)dice_roll(&sim->closed_dice, sim->n_nodes);
    for (unsigned i = 0; i < sim->n_nodes; i++) {
        struct sim_node *node = sim->nodes[(from + i) % sim->n_nodes];
        if (is_at_hand(node) && node != but && core_book_is_locked(&node->trust) &&
            node->invites == 0 && node->bans == NULL) {
            return node;
        }
    }
    return NULL;
}

static void invite(struct sim *sim, struct sim_node *joiner)
{
    struct sim_node *inviter = somebody(sim, joiner);
    if (inviter != NULL) {
        struct wire_message message = {.type = WIRE_MESSAGE_INVITE, .invite = {.valid_s = 60}};
        joiner->join_until_ns = sim->now_ns + JOIN_NS;
        inviter->invites = 1 + joiner->index;
        inviter->asked_ns = sim->now_ns;
        ask(sim, inviter, &message);
    }
}

static void ban(struct sim *sim, struct sim_node *traitor, const struct sim_node *but)
{
    struct sim_node *member = somebody(sim, but);
    if (member != NULL) {
        struct wire_message message = {.type = WIRE_MESSAGE_BAN, .ban = {.key = traitor->key}};
        member->bans = traitor;
        member->asked_ns = sim->now_ns;
        ask(sim, member, &message);
    }
}

/* Some have the traitors' names pinned to another key, from the beginning or later. */
static void pin(struct sim *sim, struct sim_node *traitor)
{
    struct sim_node *member = somebody(sim, NULL);
    if (member != NULL) {
        struct wire_message message = {.type = WIRE_MESSAGE_TRUST};
        message.trust.name = slice_str(traitor->name);
        message.trust.key = member->key;
        ask(sim, member, &message);
        member->trust_client = 0; /* whatever it is told */
    }
}

/* Both traitors at the same time, as far as there is somebody to do it. */
static void ban_all(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->n_traitors; i++) {
        bool is_asked = false;
        for (unsigned k = 0; k < sim->n_nodes; k++) {
            is_asked |= sim->nodes[k]->bans == sim->traitors[i];
        }
        if (!sim->traitors[i]->is_banned && !is_asked) {
            ban(sim, sim->traitors[i], NULL);
        }
    }
}

static void look_fire(struct sim *sim, struct sim_event *event)
{
    sim_event_new(sim, SIM_WORLD, NULL, LOOK_NS, look_fire);
    for (unsigned i = 0; i < sim->n_nodes; i++) {
        struct sim_node *node = sim->nodes[i];
        if ((node->invites > 0 || node->bans != NULL) && sim->now_ns - node->asked_ns > JOIN_NS) {
            node->invites = 0; /* its daemon was gone, or still is */
            node->bans = NULL;
        }
    }
    for (unsigned i = 0; i < sim->n_nodes; i++) {
        struct sim_node *node = sim->nodes[i];
        if (is_at_hand(node) && !core_book_is_locked(&node->trust) &&
            sim->now_ns >= node->join_until_ns) {
            invite(sim, node);
        }
    }
    if (dice_chance(&sim->closed_dice, 5)) {
        pin(sim, sim->traitors[0]);
    }
    if (sim->now_ns >= sim->ban_ns) {
        ban_all(sim);
    }
}

void closed_play(struct sim *sim)
{
    if (sim->is_closed) {
        uint64_t span_ns = sim->faults_end_ns - sim->start_ns;
        sim->ban_ns = sim->start_ns + dice_between(&sim->closed_dice, span_ns / 8, span_ns);
        sim_event_new(sim, SIM_WORLD, NULL, LOOK_NS, look_fire);
    }
}

/* a: the joiner, key: the inviter, bytes: the token. */
static void join_fire(struct sim *sim, struct sim_event *event)
{
    struct sim_node *joiner = sim->nodes[event->a];
    const struct sim_node *inviter = sim_owner_of(sim, &event->key);
    if (!is_at_hand(joiner) || core_book_is_locked(&joiner->trust)) {
        return;
    }
    struct slice address = slice_str(inviter->address);
    struct wire_message message = {.type = WIRE_MESSAGE_JOIN};
    message.join.key = event->key;
    memcpy(message.join.token.b, event->bytes, sizeof(message.join.token.b));
    message.join.addresses = (struct wire_slices){.items = &address, .n = 1};
    ask(sim, joiner, &message);
}

/* a: client. */
static void leave_fire(struct sim *sim, struct sim_event *event)
{
    struct core_event down = {.type = CORE_EVENT_CLIENT_DOWN};
    down.client_down.client = event->a;
    sim_step(sim, event->node, &down);
}

bool closed_hears(struct sim *sim, struct sim_node *node, uint64_t client,
                  const struct wire_message *message)
{
    if (node->trust_client == 0 || client != node->trust_client) {
        return false;
    }
    if (message->type == WIRE_MESSAGE_INVITATION && node->invites > 0) {
        struct sim_event *event = sim_event_new(sim, SIM_WORLD, NULL, SIM_MS, join_fire);
        event->a = node->invites - 1;
        event->key = node->key;
        event->bytes = mem_dup(&message->invitation.token, sizeof(message->invitation.token));
    } else if (message->type == WIRE_MESSAGE_OK && node->bans != NULL) {
        sim_note(sim, node->name, "=", "has banned %s", node->bans->name);
        node->bans->is_banned = true;
        sim->report.n_bans++;
    } else if (message->type == WIRE_MESSAGE_OK) {
        sim->report.n_joins++;
    }
    node->invites = 0;
    node->bans = NULL;
    node->trust_client = 0;
    sim_event_new(sim, SIM_DAEMON, node, 0, leave_fire)->a = client;
    return true;
}

/* --- what must hold ----------------------------------------------------------------------------
 */

static void check_sessions(struct sim *sim, const struct sim_node *node)
{
    list_for_each (at, &node->ends) {
        const struct sim_end *end = LIST_ENTRY(at, struct sim_end, of_node);
        if (end->state != SIM_END_UP || end->session == NULL) {
            continue;
        }
        const struct wire_key *key = &wire_session_peer(end->session)->key;
        if (wire_door_is_banned(node->door, key)) {
            sim_broken(sim, "%s holds a session with %s, which is banned", node->name,
                       sim_owner_of(sim, key)->name);
        }
        if (!wire_door_is_member(node->door, key) && node->door->is_locked) {
            sim_broken(sim, "%s holds a session with %s, which is no member", node->name,
                       sim_owner_of(sim, key)->name);
        }
    }
}

void closed_watch(struct sim *sim)
{
    for (unsigned i = 0; sim->is_closed && i < sim->n_nodes; i++) {
        struct sim_node *node = sim->nodes[i];
        bool is_kept = node->n_trust_said == node->n_trust_kept; /* else it is about to act */
        if (sim_node_runs(node) && is_honest(node) && is_kept) {
            check_sessions(sim, node);
        }
    }
}

static bool knows(const struct sim_node *node, const struct core_secret *secret)
{
    bool does = core_secret_cmp(&node->trust.present, secret) == 0;
    for (uint32_t i = 0; i < node->trust.n_olds; i++) {
        does |= core_secret_cmp(&node->trust.olds[i], secret) == 0;
    }
    return does;
}

bool closed_is_settled(const struct sim *sim)
{
    const struct sim_node *first = NULL;
    for (unsigned i = 0; sim->is_closed && i < sim->n_nodes; i++) {
        const struct sim_node *node = sim->nodes[i];
        if (is_honest(node) && node->core != NULL) {
            first = first == NULL ? node : first;
            if (core_secret_cmp(&node->trust.present, &first->trust.present) != 0) {
                return false;
            }
        }
    }
    for (uint32_t i = 0; i < sim->n_traitors; i++) {
        if (!sim->traitors[i]->is_banned) {
            return false;
        }
    }
    return true;
}

void closed_quiet(struct sim *sim)
{
    const struct sim_node *first = NULL;
    for (unsigned i = 0; sim->is_closed && i < sim->n_nodes; i++) {
        const struct sim_node *node = sim->nodes[i];
        if (!is_honest(node) || node->core == NULL) {
            continue;
        }
        first = first == NULL ? node : first;
        if (core_secret_cmp(&node->trust.present, &first->trust.present) != 0) {
            sim_broken(sim, "%s has generation %llu of the mesh, and another secret than %s",
                       node->name, (unsigned long long)node->trust.present.generation, first->name);
        }
        /* Where the disks of all members are gone, so is the mesh, and what it knew. */
        uint32_t n_known = core_book_is_locked(&node->trust) ? sim->n_traitors : 0;
        for (uint32_t k = 0; k < n_known; k++) {
            const struct sim_node *traitor = sim->traitors[k];
            if (!core_book_is_banned(&node->trust, &traitor->key)) {
                sim_broken(sim, "%s never heard of the ban of %s", node->name, traitor->name);
            }
            if (knows(traitor, &node->trust.present)) {
                sim_broken(sim, "%s knows the secret of %s, and is banned", traitor->name,
                           node->name);
            }
            if (net_are_linked(sim, node, traitor)) {
                sim_broken(sim, "%s has a session with %s, which is banned", node->name,
                           traitor->name);
            }
        }
    }
}
