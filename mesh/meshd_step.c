#include <string.h>

#include "mesh/clock.h"
#include "mesh/cores.h"
#include "mesh/meshd_internal.h"
#include "mesh/own_addresses.h"
#include "wire/base/mem.h"

/* The host is looked at again with the first event after so long: no timer of its own. */
#define HOST_CHECK_NS UINT64_C(30000000000)

struct deferred {
    struct list node;
    struct core_event event;
    char text[WIRE_REASON_BYTES_MAX];
};

/* Only events that carrying an effect out can cause come here: none of them holds more than a line
 * of text. */
static void defer(struct meshd *meshd, const struct core_event *event)
{
    struct deferred *deferred = mem_alloc_or_die(1, sizeof(*deferred));
    deferred->event = *event;
    if (event->type == CORE_EVENT_ATTEMPT_REFUSED) {
        struct slice *text = &deferred->event.attempt_refused.text;
        size_t n = text->n < sizeof(deferred->text) ? text->n : sizeof(deferred->text);
        if (n > 0) {
            memcpy(deferred->text, text->p, n);
        }
        *text = slice_of(deferred->text, n);
    } else {
        ensure(event->type == CORE_EVENT_DIAL_FAILED || event->type == CORE_EVENT_LINK_DOWN ||
               event->type == CORE_EVENT_CLIENT_DOWN || event->type == CORE_EVENT_BLOB_STORED ||
               event->type == CORE_EVENT_BLOB_FAILED || event->type == CORE_EVENT_BLOB_MOVING ||
               event->type == CORE_EVENT_TRUST_KEPT || event->type == CORE_EVENT_DRAWN);
    }
    list_push_back(&meshd->deferred, &deferred->node);
}

/* Blob bytes go past the core: it decides who gets what, not how. */
static bool take_transfer(struct meshd *meshd, const struct core_event *event)
{
    if (event->type != CORE_EVENT_MESSAGE) {
        return false;
    }
    const struct wire_message *message = event->message.message;
    if (message->type == WIRE_MESSAGE_BLOB_DATA) {
        meshd_transfers_on_data(meshd->transfers, event->message.link, &message->blob_data);
        return true;
    }
    if (message->type == WIRE_MESSAGE_BLOB_REFUSE) {
        meshd_transfers_on_refuse(meshd->transfers, event->message.link,
                                  &message->blob_refuse.hash);
        return true;
    }
    return false;
}

static void step(struct meshd *meshd, struct core_event *event)
{
    ensure(!meshd->is_stepping);
    meshd->is_stepping = true;
    event->now_ns = meshd_clock_ns();
    core_step(meshd->core, event, &meshd->effects);
    for (size_t i = 0; i < meshd->effects.n; i++) {
        meshd_carry_out(meshd, &meshd->effects.items[i]);
    }
    meshd->is_stepping = false;
    if (event->type == CORE_EVENT_LINK_DOWN) {
        meshd_transfers_on_link_down(meshd->transfers, event->link_down.link);
    }
}

static void check_address(struct meshd *meshd)
{
    char texts[WIRE_PEER_ADDRESSES_MAX][MESHD_ADDRESS_BYTES];
    IGNORE(meshd_own_addresses(meshd->options, meshd_links_port(meshd->links), texts)); /* >= 1 */
    struct core_event event = {
        .type = CORE_EVENT_ADDRESS,
        .address = {.text = slice_str(texts[0])},
    };
    step(meshd, &event); /* most often it is the same */
}

static void check_cores(struct meshd *meshd)
{
    uint32_t cores = cores_effective("");
    if (cores != meshd->cores_effective) {
        meshd->cores_effective = cores;
        meshd_links_set_processors(meshd->links, cores);
        struct core_event event = {.type = CORE_EVENT_CORES, .cores = {.cores = cores}};
        step(meshd, &event);
    }
}

static void check_host(struct meshd *meshd)
{
    uint64_t now_ns = meshd_clock_ns();
    if (now_ns - meshd->host_checked_ns >= HOST_CHECK_NS) {
        meshd->host_checked_ns = now_ns;
        check_cores(meshd);
        check_address(meshd);
    }
}

static void step_deferred(struct meshd *meshd)
{
    for (struct list *first; !meshd->is_ending && (first = list_first(&meshd->deferred)) != NULL;) {
        struct deferred *deferred = LIST_ENTRY(first, struct deferred, node);
        list_remove(first);
        step(meshd, &deferred->event);
        explicit_bzero(deferred, sizeof(*deferred)); /* random bytes become secrets */
        mem_free(deferred);
    }
}

void meshd_drop_deferred(struct meshd *meshd)
{
    list_for_each_safe (it, &meshd->deferred) {
        list_remove(it);
        mem_free(LIST_ENTRY(it, struct deferred, node));
    }
}

void meshd_put(void *user, struct core_event *event)
{
    struct meshd *meshd = user;
    if (meshd->is_ending || take_transfer(meshd, event)) {
        return;
    }
    if (meshd->is_stepping) {
        defer(meshd, event);
        return;
    }
    step(meshd, event);
    step_deferred(meshd);
    bool is_set_up = meshd->deadline.data != NULL; /* the core has read the journal by then */
    if (is_set_up && !meshd->is_ending) {
        check_host(meshd);
        step_deferred(meshd);
    }
}

/* --- the loop's turn ---------------------------------------------------------------------------
 */

static void on_deadline(uv_timer_t *timer)
{
    struct meshd *meshd = timer->data;
    struct core_event event = {.type = CORE_EVENT_TICK};
    meshd->deadline_ns = UINT64_MAX;
    meshd_put(meshd, &event);
}

static void on_again(uv_idle_t *idle)
{
    /* Its being started is what makes the loop turn at once. */
}

static void arm_deadline(struct meshd *meshd)
{
    uint64_t deadline_ns = core_next_deadline(meshd->core);
    if (deadline_ns == meshd->deadline_ns) {
        return;
    }
    meshd->deadline_ns = deadline_ns;
    int rc = 0;
    if (deadline_ns == UINT64_MAX) {
        rc = uv_timer_stop(&meshd->deadline);
    } else {
        uint64_t now_ns = meshd_clock_ns();
        uint64_t ms = deadline_ns > now_ns ? (deadline_ns - now_ns + 999999) / 1000000 : 0;
        uv_update_time(&meshd->loop); /* the timer counts from the loop's time, which may be old */
        rc = uv_timer_start(&meshd->deadline, on_deadline, ms, 0);
    }
    ensure(rc == 0);
}

void meshd_settle(struct meshd *meshd)
{
    bool is_more = meshd_links_go_on(meshd->links);
    meshd_control_flush(meshd->control);
    is_more = meshd_links_flush(meshd->links) || is_more;
    int rc = is_more ? uv_idle_start(&meshd->again, on_again) : uv_idle_stop(&meshd->again);
    ensure(rc == 0);
    if (!meshd->is_ending) {
        arm_deadline(meshd);
    }
}
