#include "discovery/resolvers.h"

#include <errno.h>
#include <string.h>

#include "wire/base/mem.h"
#include "wire/base/rate.h"

static struct resolver *find(struct resolvers *resolvers, const struct disc_report_id *id)
{
    struct table_entry *entry = table_find(&resolvers->all, id);
    return entry != NULL ? CONTAINER_OF(entry, struct resolver, by_id) : NULL;
}

static void forget(struct resolver *resolver)
{
    table_remove(&resolver->owner->all, &resolver->by_id);
    list_remove(&resolver->waiting);
    mem_free(resolver);
}

static void close_one(struct resolver *resolver)
{
    if (resolver->avahi != NULL) {
        resolver->owner->close(resolver->avahi);
    }
    forget(resolver);
}

static bool make_room(struct resolvers *resolvers)
{
    uint64_t now_ns = uv_now(resolvers->disc->loop) * 1000000;
    if (!rate_take(&resolvers->paid_ns, now_ns, DISC_STRANGERS_PER_S, DISC_STRANGERS_PER_S)) {
        return false;
    }
    table_for_each (entry, &resolvers->all) { /* in the order in which they came */
        struct resolver *resolver = CONTAINER_OF(entry, struct resolver, by_id);
        if (!disc_is_of_known(resolvers->disc, &resolver->id)) {
            struct disc_report_id id = resolver->id;
            close_one(resolver);
            disc_unreport(resolvers->disc, &id);
            return true;
        }
    }
    return false;
}

/* False: not now, and the timer says when to look again. */
static bool open_in_turn(struct resolver *resolver)
{
    struct resolvers *resolvers = resolver->owner;
    uint64_t now_ns = uv_now(resolvers->disc->loop) * 1000000;
    if (!rate_take(&resolvers->opened_ns, now_ns, RESOLVERS_PER_S, RESOLVERS_BURST)) {
        disc_timer_start(resolvers->turn, 1000 / RESOLVERS_PER_S);
        return false;
    }
    list_remove(&resolver->waiting);
    resolver->avahi = resolvers->open(resolvers->source, resolver);
    if (resolver->avahi == NULL) {
        forget(resolver);
    }
    return true;
}

static void on_turn(void *user)
{
    struct resolvers *resolvers = user;
    struct list *first;
    while ((first = list_first(&resolvers->waiting)) != NULL &&
           open_in_turn(LIST_ENTRY(first, struct resolver, waiting))) {
    }
}

static void add(struct resolvers *resolvers, const struct disc_report_id *id, const char *domain)
{
    if (find(resolvers, id) != NULL ||
        (resolvers->all.n >= resolvers->n_max && !make_room(resolvers))) {
        return;
    }
    struct resolver *resolver = mem_alloc(1, sizeof(*resolver));
    if (resolver == NULL) {
        return;
    }
    *resolver = (struct resolver){.owner = resolvers, .id = *id};
    memcpy(resolver->domain, domain, strlen(domain) + 1);
    table_insert(&resolvers->all, &resolver->by_id, &resolver->id);
    list_push_back(&resolvers->waiting, &resolver->waiting);
    on_turn(resolvers);
}

void resolvers_on_browse(struct resolvers *resolvers, AvahiIfIndex ifindex, AvahiProtocol protocol,
                         AvahiBrowserEvent event, const char *name, const char *domain)
{
    if ((event != AVAHI_BROWSER_NEW && event != AVAHI_BROWSER_REMOVE) || name == NULL ||
        strlen(name) > DISC_INSTANCE_BYTES_MAX || domain == NULL ||
        strlen(domain) > DISC_DOMAIN_BYTES_MAX) {
        return;
    }
    struct disc_report_id id = {.ifindex = ifindex, .protocol = protocol};
    memcpy(id.instance, name, strlen(name) + 1);
    if (event == AVAHI_BROWSER_NEW) {
        add(resolvers, &id, domain);
        return;
    }
    struct resolver *resolver = find(resolvers, &id);
    if (resolver != NULL) {
        close_one(resolver);
    }
    disc_unreport(resolvers->disc, &id);
}

void resolver_on_result(struct resolver *resolver, AvahiIfIndex ifindex, AvahiResolverEvent event,
                        const AvahiAddress *address, uint16_t port, AvahiStringList *txt)
{
    struct disc *disc = resolver->owner->disc;
    if (event == AVAHI_RESOLVER_FAILURE || address == NULL) {
        disc_unreport(disc, &resolver->id); /* it may be found again */
        return;
    }
    struct slice strings[TXT_STRINGS_MAX];
    size_t n = 0;
    for (AvahiStringList *s = txt; s != NULL && n < TXT_STRINGS_MAX;
         s = avahi_string_list_get_next(s)) {
        strings[n++] = slice_of(avahi_string_list_get_text(s), avahi_string_list_get_size(s));
    }
    struct sockaddr_storage from;
    disc_sockaddr(address, ifindex, port, &from);
    disc_report(disc, &resolver->id, &from, strings, n);
}

void resolvers_clear(struct resolvers *resolvers)
{
    table_for_each (entry, &resolvers->all) {
        close_one(CONTAINER_OF(entry, struct resolver, by_id));
    }
}

int resolvers_init(struct resolvers *resolvers)
{
    list_init(&resolvers->waiting);
    table_init(&resolvers->all, sizeof(struct disc_report_id), resolvers->disc->peers.seed);
    resolvers->turn = disc_timer_new(resolvers->disc, on_turn, resolvers);
    return resolvers->turn != NULL ? 0 : -ENOMEM;
}

void resolvers_done(struct resolvers *resolvers)
{
    resolvers_clear(resolvers);
    resolvers->turn = disc_timer_free(resolvers->turn);
    table_done(&resolvers->all);
}

AvahiStringList *disc_own_txt(const struct disc *disc)
{
    char strings[TXT_FORMAT_STRINGS][TXT_STRING_BYTES_MAX + 1];
    disc_txt_format(&disc->txt, strings);
    AvahiStringList *list = NULL;
    for (size_t i = TXT_FORMAT_STRINGS; i-- > 0;) {
        list = avahi_string_list_add(list, strings[i]);
    }
    return list;
}
