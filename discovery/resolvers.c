#include "discovery/resolvers.h"

#include <string.h>

#include "wire/base/mem.h"
#include "wire/base/rate.h"

static struct resolver *find(struct resolvers *resolvers, const struct disc_report_id *id)
{
    list_for_each (it, &resolvers->all) {
        struct resolver *resolver = LIST_ENTRY(it, struct resolver, node);
        if (resolver->id.ifindex == id->ifindex && resolver->id.protocol == id->protocol &&
            strcmp(resolver->id.instance, id->instance) == 0) {
            return resolver;
        }
    }
    return NULL;
}

static void forget(struct resolver *resolver)
{
    list_remove(&resolver->node);
    resolver->owner->n--;
    mem_free(resolver);
}

static void close_one(struct resolver *resolver)
{
    resolver->owner->close(resolver->avahi);
    forget(resolver);
}

static bool make_room(struct resolvers *resolvers)
{
    uint64_t now_ns = uv_now(resolvers->disc->loop) * 1000000;
    if (!rate_take(&resolvers->paid_ns, now_ns, DISC_STRANGERS_PER_S, DISC_STRANGERS_PER_S)) {
        return false;
    }
    list_for_each (it, &resolvers->all) {
        struct resolver *resolver = LIST_ENTRY(it, struct resolver, node);
        if (!disc_is_of_known(resolvers->disc, &resolver->id)) {
            struct disc_report_id id = resolver->id;
            close_one(resolver);
            disc_unreport(resolvers->disc, &id);
            return true;
        }
    }
    return false;
}

static void open_one(struct resolvers *resolvers, const struct disc_report_id *id,
                     const char *domain)
{
    if (find(resolvers, id) != NULL ||
        (resolvers->n >= resolvers->n_max && !make_room(resolvers))) {
        return;
    }
    struct resolver *resolver = mem_alloc(1, sizeof(*resolver));
    if (resolver == NULL) {
        return;
    }
    *resolver = (struct resolver){.owner = resolvers, .id = *id};
    list_push_back(&resolvers->all, &resolver->node);
    resolvers->n++;
    resolver->avahi = resolvers->open(resolvers->source, resolver, domain);
    if (resolver->avahi == NULL) {
        forget(resolver);
    }
}

void resolvers_on_browse(struct resolvers *resolvers, AvahiIfIndex ifindex, AvahiProtocol protocol,
                         AvahiBrowserEvent event, const char *name, const char *domain)
{
    if ((event != AVAHI_BROWSER_NEW && event != AVAHI_BROWSER_REMOVE) || name == NULL ||
        strlen(name) > DISC_INSTANCE_BYTES_MAX) {
        return;
    }
    struct disc_report_id id = {.ifindex = ifindex, .protocol = protocol};
    memcpy(id.instance, name, strlen(name) + 1);
    if (event == AVAHI_BROWSER_NEW) {
        open_one(resolvers, &id, domain);
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
    list_for_each_safe (it, &resolvers->all) {
        close_one(LIST_ENTRY(it, struct resolver, node));
    }
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
