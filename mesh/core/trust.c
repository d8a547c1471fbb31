/* What clients ask for. Happy path: a request becomes an op in a queue; the first is under way:
 * some need random bytes (DRAW), one needs an inviter (join); then the op makes the next state out
 * of the present one, the shell makes the door of it and writes it (TRUST), and once it is on disk
 * (TRUST_KEPT) it is the present one, sessions follow, and the client has its answer.
 *
 * A disk that fails: the present state stays, the shell is told so, the client gets the error. What
 * comes from other peers meanwhile is not taken in; they are told what we know at the end, and who
 * knows better answers. */
#include "mesh/core/trust.h"

#include <stdarg.h>
#include <string.h>

#include "mesh/core/client.h"
#include "mesh/core/job.h"
#include "mesh/core/peer.h"
#include "wire/base/mem.h"
#include "wire/base/text.h"

/* --- the shell ---------------------------------------------------------------------------------
 */

static void emit(struct core *core, const struct core_book *book, bool must_keep)
{
    struct core_trust *trust = &core->trust;
    struct core_trust_state *state = core_batch_alloc(core, 1, sizeof(*state));
    *state = core_book_state(book);
    state->invitations = trust->invitations;
    state->n_invitations = trust->n_invitations;
    struct core_effect *effect = core_emit(core, CORE_EFFECT_TRUST);
    effect->trust.number = ++trust->number;
    effect->trust.state = state;
    effect->trust.must_keep = must_keep;
}

static const struct core_book *book_told(const struct core *core)
{
    const struct core_trust *trust = &core->trust;
    return trust->stage == CORE_TRUST_KEEPING ? &trust->next : &trust->now;
}

/* --- life --------------------------------------------------------------------------------------
 */

static void retry_fire(struct core *core, struct core_timer *timer)
{
    core_trust_changed(core);
}

static void op_new(struct core *core, const struct core_trust_op *op)
{
    struct core_trust_op *copy = mem_alloc_or_die(1, sizeof(*copy));
    *copy = *op;
    list_push_back(&core->trust.ops, &copy->node);
    core->trust.n_ops++;
    core_trust_run(core);
}

static void renew_fire(struct core *core, struct core_timer *timer)
{
    if (core->trust.now.is_renewal_due && core->trust.n_ops == 0) {
        struct core_trust_op op = {.verb = CORE_TRUST_RENEW};
        op_new(core, &op);
    }
}

static void expiry_fire(struct core *core, struct core_timer *timer)
{
    struct core_trust *trust = &core->trust;
    uint64_t next_ns = UINT64_MAX;
    for (uint32_t i = trust->n_invitations; i-- > 0;) {
        uint64_t at_ns = trust->invitations[i].expires_ns;
        if (at_ns <= core->now_ns) {
            trust->invitations[i] = trust->invitations[--trust->n_invitations];
        } else {
            next_ns = at_ns < next_ns ? at_ns : next_ns;
        }
    }
    if (next_ns < UINT64_MAX) {
        core_timer_set(core, timer, next_ns);
    }
    emit(core, book_told(core), false); /* the door knows no time */
}

void core_trust_init(struct core *core)
{
    struct core_trust *trust = &core->trust;
    core_book_init(&trust->now);
    core_book_init(&trust->next);
    list_init(&trust->ops);
    list_init(&trust->visits);
    trust->op_timer.fire = core_trust_join_fire;
    trust->renew_timer.fire = renew_fire;
    trust->expiry_timer.fire = expiry_fire;
    trust->retry_timer.fire = retry_fire;
    if (core->config.trust != NULL) {
        core_book_load(&trust->now, core->config.trust);
        core->config.trust = NULL;
    }
    core_trust_renew_soon(core);
}

/* The one that is being carried out: there is one. */
static struct core_trust_op *op_now(const struct core *core)
{
    struct core_trust_op *op = core_trust_first_op(core);
    ensure(op != NULL);
    return op;
}

static void op_free(struct core_trust_op *op)
{
    list_remove(&op->node);
    explicit_bzero(op, sizeof(*op));
    mem_free(op);
}

void core_trust_free_all(struct core *core)
{
    struct core_trust *trust = &core->trust;
    while (!list_is_empty(&trust->ops)) {
        op_free(LIST_ENTRY(trust->ops.next, struct core_trust_op, node));
    }
    while (!list_is_empty(&trust->visits)) {
        struct core_visit *visit = LIST_ENTRY(trust->visits.next, struct core_visit, node);
        list_remove(&visit->node);
        core_timer_stop(core, &visit->timer);
        mem_free(visit);
    }
    core_timer_stop(core, &trust->op_timer);
    core_timer_stop(core, &trust->renew_timer);
    core_timer_stop(core, &trust->expiry_timer);
    core_timer_stop(core, &trust->retry_timer);
    core_book_done(&trust->now);
    core_book_done(&trust->next);
    explicit_bzero(trust->invitations, sizeof(trust->invitations));
}

bool core_trust_is_locked(const struct core *core)
{
    return core_book_is_locked(&core->trust.now);
}

bool core_trust_is_banned(const struct core *core, const struct wire_key *key)
{
    return core_book_is_banned(&core->trust.now, key);
}

/* --- what others change -------------------------------------------------------------------------
 */

void core_trust_changed(struct core *core)
{
    emit(core, book_told(core), true);
}

void core_trust_add_member(struct core *core, const struct wire_key *key, bool is_invited_here)
{
    struct core_trust *trust = &core->trust;
    if (trust->now.is_renewal_due && !is_invited_here) {
        return;
    }
    bool is_new = core_book_add_member(&trust->now, key, is_invited_here);
    if (trust->stage == CORE_TRUST_KEEPING && core_book_is_locked(&trust->next)) {
        is_new |= core_book_add_member(&trust->next, key, is_invited_here);
    }
    if (is_new || is_invited_here) {
        core_trust_changed(core);
    }
}

void core_trust_renew_soon(struct core *core)
{
    const struct core_book *now = &core->trust.now;
    struct core_timer *timer = &core->trust.renew_timer;
    if (!now->is_renewal_due || heap_has(&timer->entry)) {
        return;
    }
    uint64_t wait_ns = core_random(core, CORE_RENEW_SECRET_NS);
    for (uint32_t i = 0; i < now->n_rivals; i++) {
        if (core_secret_cmp(&now->rivals[i], &now->present) < 0) {
            wait_ns += CORE_RENEW_HIGHER_NS; /* theirs first, who have the lower one */
            break;
        }
    }
    core_timer_set(core, timer, core->now_ns + wait_ns);
}

/* --- answers -----------------------------------------------------------------------------------
 */

struct core_trust_op *core_trust_first_op(const struct core *core)
{
    struct list *first = list_first(&core->trust.ops);
    return first != NULL ? LIST_ENTRY(first, struct core_trust_op, node) : NULL;
}

/* The first op is over. */
static void op_over(struct core *core)
{
    struct core_trust *trust = &core->trust;
    core_timer_stop(core, &trust->op_timer);
    trust->stage = CORE_TRUST_IDLE;
    trust->n_ops--;
    op_free(op_now(core));
    core_trust_renew_soon(core);
}

static bool is_client(const struct core *core, uint64_t id)
{
    return id != 0 && table_find(&core->clients, &id) != NULL;
}

static void op_done(struct core *core)
{
    struct core_trust_op *op = op_now(core);
    if (is_client(core, op->client)) {
        struct wire_message message = {.type = WIRE_MESSAGE_OK};
        core_client_send(core, op->client, &message);
    }
    op_over(core);
}

void core_trust_op_failed(struct core *core, enum wire_error error, const char *format, ...)
{
    char text[WIRE_REASON_BYTES_MAX];
    va_list args;
    va_start(args, format);
    text_vformat(text, sizeof(text), format, args);
    va_end(args);
    struct core_trust_op *op = op_now(core);
    if (is_client(core, op->client)) {
        core_client_error(core, op->client, error, "%s", text);
    }
    op_over(core);
}

/* --- the next state ----------------------------------------------------------------------------
 */

struct core_book *core_trust_next_begin(struct core *core)
{
    struct core_trust *trust = &core->trust;
    core_book_done(&trust->next);
    core_book_copy(&trust->next, &trust->now);
    return &trust->next;
}

void core_trust_next_keep(struct core *core)
{
    struct core_trust *trust = &core->trust;
    core_timer_stop(core, &trust->op_timer);
    trust->stage = CORE_TRUST_KEEPING;
    emit(core, &trust->next, true);
    trust->awaited = trust->number;
}

static void log_change(struct core *core, const struct core_trust_op *op)
{
    char id[WIRE_ID_TEXT_BYTES];
    unsigned long long generation = core->trust.now.present.generation;
    switch (op->verb) {
    case CORE_TRUST_LOCK:
        core_log(core, CORE_LOG_INFO, "the mesh is closed: others need an invitation");
        return;
    case CORE_TRUST_UNLOCK:
        core_log(core, CORE_LOG_WARN,
                 "this peer is in the open mesh: anybody on the link takes part");
        return;
    case CORE_TRUST_JOIN:
        core_log(core, CORE_LOG_INFO, "joined the closed mesh of %s", wire_id_text(&op->key, id));
        return;
    case CORE_TRUST_BAN:
        core_log(core, CORE_LOG_WARN, "%s is %s here; generation %llu of the mesh",
                 wire_id_text(&op->key, id), op->is_removed ? "not banned any more" : "banned",
                 generation);
        return;
    case CORE_TRUST_RENEW:
        core_log(core, CORE_LOG_INFO, "generation %llu: bans from two sides", generation);
        return;
    case CORE_TRUST_PIN:
    case CORE_TRUST_INVITE:
        return;
    }
    ensure(!"reached");
}

/* It is on disk: what follows from it. */
static void commit(struct core *core)
{
    struct core_trust *trust = &core->trust;
    struct core_trust_op *op = op_now(core);
    core_book_done(&trust->now);
    trust->now = trust->next;
    core_book_init(&trust->next);
    log_change(core, op);
    bool is_other_mesh =
        op->verb == CORE_TRUST_LOCK || op->verb == CORE_TRUST_UNLOCK || op->verb == CORE_TRUST_JOIN;
    if (is_other_mesh) {
        trust->n_invitations = 0;
        explicit_bzero(trust->invitations, sizeof(trust->invitations));
        emit(core, &trust->now, false); /* without them */
    }
    core_trust_enforce(core, is_other_mesh);
    if (op->verb != CORE_TRUST_PIN && (is_other_mesh || core_trust_is_locked(core))) {
        core_dial_anew(core);
        core_trust_tell_all(core);
    }
    if (op->verb == CORE_TRUST_JOIN) {
        core_trust_join_done(core, op);
    }
    if (op->link != 0) {
        core_link_refuse(core, op->link, WIRE_REASON_REPLACED);
    }
    op_done(core);
}

static void on_kept(struct core *core, uint64_t number, int error)
{
    struct core_trust *trust = &core->trust;
    if (trust->stage == CORE_TRUST_KEEPING && number == trust->awaited) {
        if (error == 0) {
            commit(core);
            return;
        }
        core_book_done(&trust->next);
        trust->stage = CORE_TRUST_IDLE;
        emit(core, &trust->now, false);
        core_trust_op_failed(
            core, WIRE_ERROR_UNAVAILABLE,
            "the state directory cannot be written (errno %d): nothing was changed; "
            "make room there or mend its disk, then try again",
            -error);
        if (core_trust_is_locked(core)) {
            core_trust_tell_all(core); /* what was said meanwhile, they say again */
        }
        return;
    }
    if (error != 0) {
        core_log(core, CORE_LOG_ERROR,
                 "members and bans cannot be written into the state directory (errno %d): tried "
                 "again soon",
                 -error);
        core_timer_set(core, &trust->retry_timer, core->now_ns + CORE_TRUST_RETRY_NS);
    }
}

/* --- ops begin ---------------------------------------------------------------------------------
 */

static void begin_draw(struct core *core)
{
    core->trust.stage = CORE_TRUST_DRAWING;
    core_emit(core, CORE_EFFECT_DRAW);
}

static void begin_lock(struct core *core)
{
    if (core_trust_is_locked(core)) {
        core_trust_op_failed(core, WIRE_ERROR_INVALID,
                             "this peer is in a closed mesh already; to leave it: mesh unlock");
    } else {
        begin_draw(core);
    }
}

static void begin_unlock(struct core *core)
{
    if (!core_trust_is_locked(core)) {
        core_trust_op_failed(core, WIRE_ERROR_INVALID,
                             "this peer is in no closed mesh; to make one: mesh lock");
        return;
    }
    core_book_leave(core_trust_next_begin(core));
    core_trust_next_keep(core);
}

static void begin_invite(struct core *core, const struct core_trust_op *op)
{
    if (!core_trust_is_locked(core)) {
        core_trust_op_failed(
            core, WIRE_ERROR_INVALID,
            "this mesh is open: everybody on the link is in it, without an invitation; to "
            "close it: mesh lock");
    } else if (op->valid_s == 0 || op->valid_s > CORE_INVITE_SECONDS_MAX) {
        core_trust_op_failed(core, WIRE_ERROR_INVALID, "an invitation is valid for 1 s to 7 days");
    } else if (core->trust.n_invitations == CORE_INVITATIONS_MAX) {
        core_trust_op_failed(
            core, WIRE_ERROR_LIMIT,
            "%u invitations are open, which is all there may be; wait until one expires",
            CORE_INVITATIONS_MAX);
    } else if (core_book_n_members(&core->trust.now) >= WIRE_MEMBERS_MAX) {
        core_trust_op_failed(core, WIRE_ERROR_LIMIT,
                             "the mesh has %u members, which is all there may be",
                             WIRE_MEMBERS_MAX);
    } else {
        begin_draw(core);
    }
}

static void begin_join(struct core *core, struct core_trust_op *op)
{
    if (core_trust_is_locked(core)) {
        core_trust_op_failed(
            core, WIRE_ERROR_INVALID,
            "this peer is in a closed mesh already; to leave it first: mesh unlock");
    } else if (wire_key_is_zero(&op->key) || op->n_addresses == 0) {
        core_trust_op_failed(core, WIRE_ERROR_INVALID,
                             "the invitation names no inviter, or no address");
    } else if (wire_key_eq(&op->key, &core->self->key)) {
        core_trust_op_failed(core, WIRE_ERROR_INVALID,
                             "the invitation is this peer's own; use it on another");
    } else if (core_trust_is_banned(core, &op->key)) {
        core_trust_op_failed(core, WIRE_ERROR_DENIED,
                             "the inviter is banned here; to lift that first: mesh ban --remove");
    } else {
        core_trust_join_begin(core, op);
    }
}

static void begin_pin(struct core *core, const struct core_trust_op *op)
{
    struct slice name = slice_str(op->name);
    const struct core_pin *known = core_book_pin(&core->trust.now, name);
    char id[WIRE_ID_TEXT_BYTES];
    if (op->is_removed && known == NULL) {
        core_trust_op_failed(core, WIRE_ERROR_UNKNOWN, "the name %s is not pinned", op->name);
    } else if (op->is_removed) {
        core_book_drop_pin(core_trust_next_begin(core), name);
        core_trust_next_keep(core);
    } else if (wire_key_is_zero(&op->key)) {
        core_trust_op_failed(core, WIRE_ERROR_INVALID, "no key to pin the name %s to", op->name);
    } else if (known != NULL && wire_key_eq(&known->key, &op->key)) {
        op_done(core);
    } else if (known != NULL) {
        core_trust_op_failed(
            core, WIRE_ERROR_INVALID,
            "the name %s is pinned to %s; to take that back first: mesh trust --remove %s",
            op->name, wire_id_text(&known->key, id), op->name);
    } else if (core_book_n_pins(&core->trust.now) == WIRE_PINS_MAX) {
        core_trust_op_failed(core, WIRE_ERROR_LIMIT,
                             "%u names are pinned, which is all there may be", WIRE_PINS_MAX);
    } else {
        core_book_set_pin(core_trust_next_begin(core), name, &op->key);
        core_trust_next_keep(core);
    }
}

/* A ban of the closed mesh is everybody's, and takes a new secret; any other is our own. */
static void begin_ban(struct core *core, const struct core_trust_op *op)
{
    const struct core_book *now = &core->trust.now;
    const struct wire_ban *known = core_book_ban(now, &op->key);
    bool is_own = known != NULL && known->is_banned && known->generation == 0;
    char id[WIRE_ID_TEXT_BYTES];
    wire_id_text(&op->key, id);
    if (wire_key_is_zero(&op->key) || wire_key_eq(&op->key, &core->self->key)) {
        core_trust_op_failed(core, WIRE_ERROR_INVALID,
                             "%s is this very peer, or nobody: nothing to ban", id);
    } else if (op->is_removed && !core_book_is_banned(now, &op->key)) {
        core_trust_op_failed(core, WIRE_ERROR_UNKNOWN, "%s is not banned here", id);
    } else if (!op->is_removed && known != NULL && known->is_banned &&
               (known->generation > 0 || !core_book_is_locked(now))) {
        op_done(core);
    } else if (!op->is_removed && core_book_n_bans(now) == WIRE_BANS_MAX && known == NULL) {
        core_trust_op_failed(core, WIRE_ERROR_LIMIT,
                             "%u keys are banned, which is all there may be", WIRE_BANS_MAX);
    } else if (op->is_removed && is_own) {
        core_book_drop_ban(core_trust_next_begin(core), &op->key);
        core_trust_next_keep(core);
    } else if (core_book_is_locked(now)) {
        begin_draw(core);
    } else {
        struct wire_ban ban = {.key = op->key, .is_banned = true};
        core_book_put_ban(core_trust_next_begin(core), &ban);
        core_trust_next_keep(core);
    }
}

static void begin(struct core *core, struct core_trust_op *op)
{
    switch (op->verb) {
    case CORE_TRUST_LOCK:
        begin_lock(core);
        return;
    case CORE_TRUST_UNLOCK:
        begin_unlock(core);
        return;
    case CORE_TRUST_INVITE:
        begin_invite(core, op);
        return;
    case CORE_TRUST_JOIN:
        begin_join(core, op);
        return;
    case CORE_TRUST_PIN:
        begin_pin(core, op);
        return;
    case CORE_TRUST_BAN:
        begin_ban(core, op);
        return;
    case CORE_TRUST_RENEW:
        if (core_trust_is_locked(core) && core->trust.now.is_renewal_due) {
            begin_draw(core);
        } else {
            op_over(core);
        }
        return;
    }
    ensure(!"reached");
}

void core_trust_run(struct core *core)
{
    while (core->trust.stage == CORE_TRUST_IDLE && core->trust.n_ops > 0) {
        begin(core, core_trust_first_op(core));
    }
}

/* --- random bytes ------------------------------------------------------------------------------
 */

static void invite(struct core *core, const struct core_trust_op *op, const uint8_t *bytes)
{
    struct core_trust *trust = &core->trust;
    struct core_invitation *invitation = &trust->invitations[trust->n_invitations++];
    memset(invitation, 0, sizeof(*invitation));
    memcpy(invitation->token.b, bytes, sizeof(invitation->token.b));
    invitation->expires_ns = core->now_ns + op->valid_s * CORE_S;
    if (!heap_has(&trust->expiry_timer.entry) ||
        trust->expiry_timer.entry.at_ns > invitation->expires_ns) {
        core_timer_set(core, &trust->expiry_timer, invitation->expires_ns);
    }
    trust->stage = CORE_TRUST_IDLE;
    emit(core, &trust->now, false);
    if (is_client(core, op->client)) {
        struct slice *address = core_batch_alloc(core, 1, sizeof(*address));
        *address = core_batch_copy(core, slice_str(core->config.address));
        struct wire_message message = {.type = WIRE_MESSAGE_INVITATION};
        message.invitation = (struct wire_invitation){
            .key = core->self->key,
            .token = invitation->token,
            .addresses = {.items = address, .n = address->n > 0},
            .valid_s = op->valid_s,
        };
        core_client_send(core, op->client, &message);
    }
    op_over(core);
}

static void renew(struct core *core, const struct core_trust_op *op, const uint8_t *bytes)
{
    struct core_book *next = core_trust_next_begin(core);
    const struct wire_ban *known = core_book_ban(next, &op->key);
    uint64_t generation = next->present.generation + 1;
    if (op->verb == CORE_TRUST_BAN && known != NULL && known->generation >= generation) {
        generation = known->generation + 1;
    }
    if (generation > CORE_GENERATION_MAX) {
        generation = CORE_GENERATION_MAX; /* it names a secret, and orders nothing */
    }
    core_book_renew(next, generation, bytes);
    if (op->verb == CORE_TRUST_BAN) {
        struct wire_ban ban = {
            .key = op->key, .generation = generation, .is_banned = !op->is_removed};
        core_book_put_ban(next, &ban);
    }
    core_trust_next_keep(core);
}

static void on_drawn(struct core *core, const uint8_t *bytes)
{
    if (core->trust.stage != CORE_TRUST_DRAWING) {
        core->n_ignored++;
        return;
    }
    const struct core_trust_op *op = op_now(core);
    if (op->verb == CORE_TRUST_INVITE) {
        invite(core, op, bytes);
    } else {
        renew(core, op, bytes);
    }
}

void core_trust_on_event(struct core *core, const struct core_event *event)
{
    if (event->type == CORE_EVENT_DRAWN) {
        on_drawn(core, event->drawn.bytes);
    } else {
        on_kept(core, event->trust_kept.number, event->trust_kept.error);
    }
    core_trust_run(core);
}

/* --- requests ----------------------------------------------------------------------------------
 */

static struct core_trust_op join_op(const struct wire_join *join)
{
    struct core_trust_op op = {.verb = CORE_TRUST_JOIN, .key = join->key, .token = join->token};
    for (uint32_t i = 0; i < join->addresses.n && i < WIRE_PEER_ADDRESSES_MAX; i++) {
        core_text_set(op.addresses[op.n_addresses++], sizeof(op.addresses[0]),
                      join->addresses.items[i]);
    }
    return op;
}

static struct core_trust_op op_of(const struct wire_message *message)
{
    struct core_trust_op op = {0};
    switch ((unsigned)message->type) { /* as a number: core_client_on_event() sends only these */
    case WIRE_MESSAGE_LOCK:
        op.verb = CORE_TRUST_LOCK;
        return op;
    case WIRE_MESSAGE_UNLOCK:
        op.verb = CORE_TRUST_UNLOCK;
        return op;
    case WIRE_MESSAGE_INVITE:
        op.verb = CORE_TRUST_INVITE;
        op.valid_s = message->invite.valid_s;
        return op;
    case WIRE_MESSAGE_JOIN:
        return join_op(&message->join);
    case WIRE_MESSAGE_TRUST:
        op.verb = CORE_TRUST_PIN;
        op.key = message->trust.key;
        op.is_removed = message->trust.is_removed;
        core_text_set(op.name, sizeof(op.name), message->trust.name);
        return op;
    case WIRE_MESSAGE_BAN:
        op.verb = CORE_TRUST_BAN;
        op.key = message->ban.key;
        op.is_removed = message->ban.is_removed;
        return op;
    default:
        ensure(!"reached");
    }
}

void core_trust_on_request(struct core *core, struct core_client *client,
                           const struct wire_message *message)
{
    if (!client->is_privileged) {
        core_client_error(core, client->id, WIRE_ERROR_DENIED,
                          "only root and the daemon's own user may change whom it trusts");
    } else if (core->is_stopping) {
        core_client_error(core, client->id, WIRE_ERROR_LIMIT, "the daemon is ending");
    } else if (core->trust.n_ops >= CORE_TRUST_OPS_MAX) {
        core_client_error(core, client->id, WIRE_ERROR_LIMIT,
                          "%u changes of trust wait already; try again when they are done",
                          CORE_TRUST_OPS_MAX);
    } else {
        struct core_trust_op op = op_of(message);
        op.client = client->id;
        op_new(core, &op);
        explicit_bzero(&op, sizeof(op));
    }
}

void core_trust_send_list(struct core *core, struct core_client *client)
{
    const struct core_book *now = &core->trust.now;
    uint32_t n_pins = core_book_n_pins(now);
    struct wire_pin *pins = core_batch_alloc(core, n_pins, sizeof(*pins));
    for (uint32_t i = 0; i < n_pins; i++) {
        const struct core_pin *pin = &core_book_pins(now)[i];
        pins[i].key = pin->key;
        pins[i].name = core_batch_copy(core, slice_str(pin->name));
    }
    struct wire_ban *bans = core_batch_alloc(core, core_book_n_bans(now), sizeof(*bans));
    uint32_t n_bans = 0;
    for (uint32_t i = 0; i < core_book_n_bans(now); i++) {
        if (core_book_bans(now)[i].is_banned) {
            bans[n_bans++] = core_book_bans(now)[i];
        }
    }
    struct wire_message message = {.type = WIRE_MESSAGE_TRUST_LIST};
    message.trust_list = (struct wire_trust_list){
        .is_locked = core_book_is_locked(now),
        .generation = now->present.generation,
        .n_members = core_book_n_members(now) + core_book_is_locked(now), /* and we */
        .pins = {.items = pins, .n = n_pins},
        .bans = {.items = bans, .n = n_bans},
    };
    core_client_send(core, client->id, &message);
}

struct core_invitation *core_trust_invitation(struct core *core, const struct wire_token *token,
                                              const struct wire_key *key)
{
    struct core_trust *trust = &core->trust;
    for (uint32_t i = 0; i < trust->n_invitations; i++) {
        struct core_invitation *invitation = &trust->invitations[i];
        if (memcmp(invitation->token.b, token->b, sizeof(token->b)) == 0) {
            bool is_usable = invitation->expires_ns > core->now_ns &&
                             (!invitation->is_bound || wire_key_eq(&invitation->key, key));
            return is_usable ? invitation : NULL;
        }
    }
    return NULL;
}
