/* All connections together: what the shell asks of them, pacing, and the end of all. */
#include <errno.h>
#include <netinet/in.h>

#include "mesh/clock.h"
#include "mesh/link_internal.h"
#include "wire/base/mem.h"

/* Writes in one turn of the loop, at most: some megabytes. */
#define FLUSH_ROUNDS 32u

struct meshd_links *meshd_links_new(const struct meshd_links_config *config)
{
    struct meshd_links *links = mem_alloc(1, sizeof(*links));
    uint8_t *read_bytes = mem_alloc(1, LINK_READ_BYTES);
    if (links == NULL || read_bytes == NULL) {
        mem_free(read_bytes);
        return mem_free(links);
    }
    links->config = *config;
    links->read_bytes = read_bytes;
    links->next_id = 1;
    list_init(&links->all);
    list_init(&links->turns);
    list_init(&links->resting);
    sources_init(&links->sources, config->hello.epoch); /* random, and ours alone */
    list_init(&links->dirty);
    list_init(&links->lazy);
    int rc = uv_timer_init(links->config.loop, &links->gather);
    ensure(rc == 0);
    links->gather.data = links;
    rc = uv_timer_init(links->config.loop, &links->rest);
    ensure(rc == 0);
    links->rest.data = links;
    links->n_handles = 2;
    /* Keys are our own numbers: nobody chooses collisions. */
    table_init(&links->up, sizeof(uint64_t), 0);
    buf_init(&links->frame, 2u * WIRE_BODY_BYTES_MAX);
    return links;
}

void links_maybe_closed(struct meshd_links *links)
{
    if (!links->is_closing || links->n_links > 0 || links->n_handles > 0) {
        return;
    }
    void (*on_closed)(void *) = links->on_closed;
    void *user = links->on_closed_user;
    table_done(&links->up);
    sources_done(&links->sources);
    buf_done(&links->frame);
    mem_free(links->far);
    mem_free(links->read_bytes);
    mem_free(links);
    on_closed(user);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct meshd_links *links = handle->data;
    links->n_handles--;
    links_maybe_closed(links);
}

void meshd_links_close(struct meshd_links *links, void (*on_closed)(void *user), void *user)
{
    ensure(!links->is_closing);
    links->on_closed = on_closed;
    links->on_closed_user = user;
    listener_close(links);
    uv_close((uv_handle_t *)&links->gather, on_timer_closed);
    uv_close((uv_handle_t *)&links->rest, on_timer_closed);
    list_for_each (it, &links->all) {
        link_close(LIST_ENTRY(it, struct meshd_link, node));
    }
    links->is_closing = true;
    links_maybe_closed(links);
}

uint16_t meshd_links_port(const struct meshd_links *links)
{
    return links->port;
}

void meshd_links_on_room(struct meshd_links *links, void (*on_room)(void *user, uint64_t link),
                         void *user)
{
    links->on_room = on_room;
    links->on_room_user = user;
}

bool links_is_far_allowed(const struct meshd_links *links, const struct sockaddr_storage *host)
{
    for (uint32_t i = 0; i < links->n_far; i++) {
        if (meshd_address_is_same_host(&links->far[i], host)) {
            return true;
        }
    }
    return false;
}

void links_allow_far(struct meshd_links *links, const struct sockaddr_storage *host)
{
    if (links->n_far == LINK_FAR_MAX || links_is_far_allowed(links, host)) {
        return;
    }
    struct sockaddr_storage *far = mem_realloc(links->far, links->n_far + 1u, sizeof(*far));
    if (far != NULL) {
        links->far = far;
        links->far[links->n_far++] = *host;
    }
}

void meshd_links_set_cores(struct meshd_links *links, uint32_t cores)
{
    links->config.hello.cores = cores;
}

void meshd_links_set_processors(struct meshd_links *links, uint32_t n_processors)
{
    links->config.n_processors = n_processors;
}

/* A session is as good as the door that it began at. What was accepted and is not proved owes
 * nobody a word; whoever dialled is told. */
static void end_handshakes(struct meshd_links *links)
{
    list_for_each_safe (it, &links->all) {
        struct meshd_link *link = LIST_ENTRY(it, struct meshd_link, node);
        if (link->state < LINK_UP) {
            link_fail(link, -ECANCELED, CORE_LINK_END_FAILED, WIRE_REASON_NONE);
        }
    }
}

void meshd_links_door_changed(struct meshd_links *links, bool is_renewed)
{
    listener_set_reach(links);
    if (is_renewed) {
        end_handshakes(links);
    }
}

static struct meshd_link *find_up(const struct meshd_links *links, uint64_t id)
{
    struct table_entry *entry = table_find(&links->up, &id);
    return entry != NULL ? CONTAINER_OF(entry, struct meshd_link, by_id) : NULL;
}

bool meshd_links_peer(const struct meshd_links *links, uint64_t id, struct wire_key *ret_key)
{
    const struct meshd_link *link = find_up(links, id);
    if (link == NULL) {
        return false;
    }
    *ret_key = wire_session_peer(link->session)->key;
    return true;
}

enum urgency {
    URGENT,
    LAZY,
    BULK,
};

static void send_message(struct meshd_links *links, uint64_t id, const struct wire_message *message,
                         enum urgency urgency)
{
    struct meshd_link *link = find_up(links, id);
    if (link == NULL) {
        return;
    }
    int rc = wire_session_send(link->session, message, urgency == BULK);
    if (rc < 0) {
        /* It does not read, or there is no memory for what it should. */
        link_fail(link, rc, CORE_LINK_END_FAILED, WIRE_REASON_LIMIT);
        return;
    }
    if (!link_account(link)) {
        return;
    }
    if (urgency == LAZY) {
        link_mark_lazy(link);
    } else {
        link_mark_dirty(link);
    }
}

void meshd_links_send(struct meshd_links *links, uint64_t id, const struct wire_message *message)
{
    send_message(links, id, message, URGENT);
}

void meshd_links_send_lazily(struct meshd_links *links, uint64_t id,
                             const struct wire_message *message)
{
    send_message(links, id, message, LAZY);
}

void meshd_links_send_bulk(struct meshd_links *links, uint64_t id,
                           const struct wire_message *message)
{
    send_message(links, id, message, BULK);
}

void meshd_links_close_link(struct meshd_links *links, uint64_t id, enum wire_reason reason,
                            struct slice text)
{
    struct meshd_link *link = find_up(links, id);
    if (link == NULL) {
        return;
    }
    wire_session_close(link->session, reason, text);
    link_linger(link);
    link_tell_down(link, CORE_LINK_END_BY_US, reason);
}

/* Bytes that the link moved lately: in 250 ms, or in two round trips. In less than one it would
 * have acknowledged nothing of what it was given, and never be given more. */
static uint64_t moved_bytes(struct meshd_link *link, const struct meshd_socket_pace *pace,
                            uint64_t now_ns)
{
    uint64_t slot = now_ns / LINK_PACE_SLOT_NS;
    uint64_t from = link->pace_slot + 1;
    if (slot - link->pace_slot > LINK_PACE_SLOTS) {
        from = slot + 1 - LINK_PACE_SLOTS;
    }
    for (uint64_t i = from; i <= slot; i++) {
        link->pace_acked[i % LINK_PACE_SLOTS] = pace->acked;
    }
    link->pace_slot = slot;
    uint64_t n_back = 2 * pace->min_rtt_ns / LINK_PACE_SLOT_NS;
    n_back = n_back < LINK_PACE_SLOTS_MIN - 1 ? LINK_PACE_SLOTS_MIN - 1 : n_back;
    n_back = n_back > LINK_PACE_SLOTS - 1 ? LINK_PACE_SLOTS - 1 : n_back;
    return pace->acked - link->pace_acked[(slot - n_back) % LINK_PACE_SLOTS];
}

size_t meshd_links_bulk_room(struct meshd_links *links, uint64_t id)
{
    struct meshd_link *link = find_up(links, id);
    uv_os_fd_t fd;
    if (link == NULL || link->is_writing || wire_session_queued_bytes(link->session) > 0 ||
        wire_session_has_output(link->session) || uv_fileno((uv_handle_t *)&link->tcp, &fd) < 0) {
        return 0;
    }
    struct meshd_socket_pace pace;
    meshd_socket_get_pace(fd, &pace);
    uint64_t moved = moved_bytes(link, &pace, meshd_clock_ns());
    uint64_t unacked = meshd_socket_unacked_bytes(fd);
    uint64_t allowed = moved > LINK_CHUNK_BYTES ? moved : LINK_CHUNK_BYTES;
    if (unacked > 0 && unacked + LINK_CHUNK_BYTES > allowed) {
        return 0;
    }
    uint64_t room = allowed - unacked;
    return room < WIRE_CHUNK_BYTES_MAX ? (size_t)room : WIRE_CHUNK_BYTES_MAX;
}

static void on_gather(uv_timer_t *timer)
{
    struct meshd_links *links = timer->data;
    list_for_each_safe (it, &links->lazy) {
        link_mark_dirty(
            LIST_ENTRY(it, struct meshd_link, dirty)); /* and the turn ends with a flush */
    }
}

/* What waited long enough leaves now; the rest when its time comes. */
static void look_at_lazy(struct meshd_links *links)
{
    if (list_is_empty(&links->lazy)) {
        return;
    }
    uint64_t now_ns = meshd_clock_ns();
    list_for_each_safe (it, &links->lazy) {
        struct meshd_link *link = LIST_ENTRY(it, struct meshd_link, dirty);
        if (link->n_lazy >= LINK_GATHER_MAX || now_ns - link->lazy_ns >= LINK_GATHER_NS) {
            link_mark_dirty(link);
        }
    }
    if (!list_is_empty(&links->lazy) && !uv_is_active((uv_handle_t *)&links->gather)) {
        uv_update_time(links->config.loop); /* the timer counts from it, and it may be old */
        int rc = uv_timer_start(&links->gather, on_gather, LINK_GATHER_MS, 0);
        ensure(rc == 0);
    }
}

static struct meshd_link *first_waiting(const struct meshd_source *source)
{
    struct list *first = list_first(&source->waiting);
    return first != NULL ? LIST_ENTRY(first, struct meshd_link, waiting) : NULL;
}

/* Whoever has rested enough, or rests for nobody any more, gets turns again. */
static void wake(struct meshd_links *links, uint64_t now_ns)
{
    list_for_each_safe (it, &links->resting) {
        struct meshd_source *source = LIST_ENTRY(it, struct meshd_source, in_turn);
        const struct meshd_link *link = first_waiting(source);
        if (link == NULL || !link_is_resting(link, now_ns)) {
            list_remove(it);
            list_push_back(&links->turns, it);
        }
    }
}

static void on_rested(uv_timer_t *timer)
{
    /* The turn of the loop that it makes is what it is for. */
}

/* The loop turns at the latest when the first of them has rested enough. */
static void await_rested(struct meshd_links *links, uint64_t now_ns)
{
    uint64_t least_ns = UINT64_MAX;
    list_for_each (it, &links->resting) {
        uint64_t ns = source_rest_ns(LIST_ENTRY(it, struct meshd_source, in_turn), now_ns);
        least_ns = ns < least_ns ? ns : least_ns;
    }
    if (least_ns == UINT64_MAX) {
        IGNORE(uv_timer_stop(&links->rest)); /* always 0 */
        return;
    }
    uv_update_time(links->config.loop); /* the timer counts from it, and it may be old */
    int rc = uv_timer_start(&links->rest, on_rested, least_ns / 1000000 + 1, 0);
    ensure(rc == 0);
}

bool meshd_links_go_on(struct meshd_links *links)
{
    links->turn++;
    links->spent_ns = 0;
    if (!list_is_empty(&links->resting)) {
        wake(links, meshd_clock_ns());
    }
    bool is_any = !list_is_empty(&links->turns);
    for (struct list *first;
         links->spent_ns < MESHD_TURN_NS && (first = list_first(&links->turns)) != NULL;) {
        struct meshd_source *source = LIST_ENTRY(first, struct meshd_source, in_turn);
        struct meshd_link *next = first_waiting(source);
        list_remove(&source->in_turn);
        source->spent_ns = 0;
        if (next == NULL) {
            continue; /* they were closed meanwhile */
        }
        if (link_is_resting(next, meshd_clock_ns())) {
            list_push_back(&links->resting, &source->in_turn);
            continue;
        }
        list_remove(&next->waiting);
        if (!list_is_empty(&source->waiting)) {
            list_push_back(&links->turns, &source->in_turn);
        }
        link_go_on(next);
    }
    if (!list_is_empty(&links->resting)) {
        await_rested(links, meshd_clock_ns());
    }
    return is_any;
}

bool meshd_links_flush(struct meshd_links *links)
{
    look_at_lazy(links);
    for (unsigned round = 0; round < FLUSH_ROUNDS && !list_is_empty(&links->dirty); round++) {
        /* Once around: a link that found room for more bulk is at the end of the list again. */
        struct list turn = links->dirty;
        turn.next->prev = &turn;
        turn.prev->next = &turn;
        list_init(&links->dirty);
        for (struct list *first; (first = list_first(&turn)) != NULL;) {
            link_flush(LIST_ENTRY(first, struct meshd_link, dirty));
        }
    }
    if (links->frame.cap > 4 * LINK_READ_BYTES) {
        buf_done(&links->frame);
    }
    return !list_is_empty(&links->dirty);
}

unsigned link_user_timeout_ms(const struct meshd_links *links)
{
    /* The core calls a peer down after dead_after; the kernel only cleans up what it left. */
    return (unsigned)(2 * links->config.dead_after_ns / 1000000);
}

static bool is_own_address(const uv_interface_address_t *own, const struct sockaddr_storage *local)
{
    struct sockaddr_storage address = {0};
    memcpy(&address, &own->address, sizeof(own->address));
    const struct sockaddr_in6 *local_v6 = (const struct sockaddr_in6 *)(const void *)local;
    bool has_scope = local->ss_family == AF_INET6 && local_v6->sin6_scope_id != 0;
    return meshd_address_is_same_host(&address, local) &&
           (!has_scope || local_v6->sin6_scope_id == own->address.address6.sin6_scope_id);
}

bool link_is_interface_allowed(const struct meshd_link *link)
{
    const struct meshd_links_config *config = &link->links->config;
    struct sockaddr_storage local = {0};
    int n_local = sizeof(local);
    uv_interface_address_t *list = NULL;
    int n = 0;
    if (config->n_interfaces == 0) {
        return true;
    }
    if (uv_tcp_getsockname(&link->tcp, (struct sockaddr *)&local, &n_local) < 0 ||
        uv_interface_addresses(&list, &n) < 0) {
        return false;
    }
    bool is_allowed = false;
    for (int i = 0; i < n; i++) {
        bool is_it = is_own_address(&list[i], &local);
        for (uint32_t j = 0; is_it && j < config->n_interfaces; j++) {
            is_allowed = is_allowed || strcmp(list[i].name, config->interfaces[j]) == 0;
        }
    }
    uv_free_interface_addresses(list, n);
    return is_allowed;
}
