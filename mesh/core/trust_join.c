/* Joining a closed mesh: the inviter is dialled at all its addresses at once, with the invitation
 * in place of a secret; it says what it knows and goodbye; that is kept, and is the mesh we are in.
 */
#include <string.h>

#include "mesh/core/peer.h"
#include "mesh/core/trust.h"

static struct core_trust_op *joining(const struct core *core)
{
    return core->trust.stage == CORE_TRUST_JOINING ? core_trust_first_op(core) : NULL;
}

static void join_cancel_dials(struct core *core, struct core_trust_op *op)
{
    for (uint32_t i = 0; i < op->n_addresses; i++) {
        if (op->dials[i] != 0) {
            core_emit(core, CORE_EFFECT_CANCEL_DIAL)->cancel_dial.dial = op->dials[i];
            op->dials[i] = 0;
        }
    }
}

void core_trust_join_begin(struct core *core, struct core_trust_op *op)
{
    core->trust.stage = CORE_TRUST_JOINING;
    core_timer_set(core, &core->trust.op_timer, core->now_ns + CORE_JOIN_NS);
    for (uint32_t i = 0; i < op->n_addresses; i++) {
        op->dials[i] = core->next_dial++;
        struct core_effect *effect = core_emit(core, CORE_EFFECT_DIAL);
        effect->dial.dial = op->dials[i];
        effect->dial.address = core_batch_copy(core, slice_str(op->addresses[i]));
        effect->dial.timeout_ns = CORE_DIAL_TIMEOUT_NS;
        effect->dial.has_invitation = true;
        effect->dial.token = op->token;
        effect->dial.key = op->key;
    }
}

static void join_refused(struct core *core, enum wire_reason reason)
{
    bool is_void = reason == WIRE_REASON_INVITATION || reason == WIRE_REASON_MESH ||
                   reason == WIRE_REASON_SEAL;
    if (is_void) {
        core_trust_op_failed(
            core, WIRE_ERROR_DENIED,
            "the inviter knows no such invitation: it expired, another peer used it, or its "
            "daemon was started again; ask for a new one (mesh invite, there)");
    } else {
        core_trust_op_failed(
            core, WIRE_ERROR_UNAVAILABLE,
            "the inviter ended the session (%s); try again, or ask for a new invitation",
            wire_reason_text(reason));
    }
}

void core_trust_join_fire(struct core *core, struct core_timer *timer)
{
    struct core_trust_op *op = joining(core);
    if (op == NULL) {
        return;
    }
    join_cancel_dials(core, op);
    if (op->link != 0) {
        core_link_refuse(core, op->link, WIRE_REASON_TIMEOUT);
    }
    core_trust_op_failed(core, WIRE_ERROR_UNAVAILABLE,
                         "no answer from the inviter at %s; is its daemon still there?",
                         op->addresses[0]);
    core_trust_run(core);
}

void core_trust_dial_failed(struct core *core, const struct core_event *event)
{
    struct core_trust_op *op = joining(core);
    uint32_t n_left = 0;
    uint32_t i_failed = UINT32_MAX;
    for (uint32_t i = 0; op != NULL && i < op->n_addresses; i++) {
        if (op->dials[i] == event->dial_failed.dial) {
            op->dials[i] = 0;
            i_failed = i;
        }
        n_left += op->dials[i] != 0;
    }
    enum wire_reason reason = event->dial_failed.reason;
    if (i_failed == UINT32_MAX || op->link != 0 ||
        (n_left > 0 && reason != WIRE_REASON_INVITATION)) {
        return; /* another address may do */
    }
    join_cancel_dials(core, op);
    bool is_other = event->dial_failed.has_key && !wire_key_eq(&event->dial_failed.key, &op->key);
    if (reason != WIRE_REASON_NONE && !is_other) {
        join_refused(core, reason);
    } else if (is_other) {
        core_trust_op_failed(
            core, WIRE_ERROR_UNAVAILABLE,
            "another peer than the inviter answers at %s; was the inviter's state directory "
            "made anew? ask for a new invitation",
            op->addresses[i_failed]);
    } else {
        core_trust_op_failed(
            core, WIRE_ERROR_UNAVAILABLE,
            "no inviter at %s (errno %d); is its daemon running, and no firewall between?",
            op->addresses[i_failed], -event->dial_failed.error);
    }
    core_trust_run(core);
}

bool core_trust_join_takes(struct core *core, const struct core_event *event)
{
    struct core_trust_op *op = joining(core);
    bool is_ours = false;
    for (uint32_t i = 0; op != NULL && i < op->n_addresses; i++) {
        if (op->dials[i] == event->link_up.dial) {
            op->dials[i] = 0;
            is_ours = true;
        }
    }
    if (!is_ours || op->link != 0 || !wire_key_eq(&event->link_up.key, &op->key)) {
        return false;
    }
    op->link = event->link_up.link;
    join_cancel_dials(core, op);
    return true;
}

void core_trust_join_down(struct core *core, uint64_t link, enum wire_reason reason)
{
    struct core_trust_op *op = core_trust_first_op(core);
    if (op == NULL || op->link != link) {
        return;
    }
    op->link = 0;
    if (core->trust.stage == CORE_TRUST_JOINING) {
        join_refused(core, reason);
        core_trust_run(core);
    }
}

void core_trust_join_said(struct core *core, uint64_t link, const struct wire_membership *said)
{
    struct core_trust_op *op = joining(core);
    struct core_merged merged;
    if (op == NULL || op->link != link) {
        return;
    }
    struct core_book *next = core_trust_next_begin(core);
    if (!core_book_merge(next, &core->self->key, &op->key, said, &merged)) {
        core_link_refuse(core, link, WIRE_REASON_PROTOCOL);
        op->link = 0;
        core_trust_op_failed(core, WIRE_ERROR_UNAVAILABLE, "the inviter gave no secret; try again");
        core_trust_run(core);
        return;
    }
    next->is_renewal_due = false; /* whom we banned in the open mesh is no affair of this one */
    core_trust_next_keep(core);
}

/* No announcement may ever reach us of it: beyond the link there are none. */
void core_trust_join_done(struct core *core, const struct core_trust_op *op)
{
    struct slice addresses[WIRE_PEER_ADDRESSES_MAX];
    for (uint32_t i = 0; i < op->n_addresses; i++) {
        addresses[i] = slice_str(op->addresses[i]);
    }
    const struct core_event found = {
        .type = CORE_EVENT_PEER_FOUND,
        .peer_found = {.has_key = true,
                       .key = op->key,
                       .source = CORE_SOURCE_REMEMBERED,
                       .addresses = {.items = addresses, .n = op->n_addresses}},
    };
    core_dial_on_found(core, &found);
}
