#include "mesh/sources.h"

#include <assert.h>
#include <netinet/in.h>
#include <string.h>

#include "wire/base/mem.h"
#include "wire/base/rate.h"

static_assert(MESHD_SOURCE_KEY_BYTES >= 1 + 16 + 4, "a family, an address and a scope");

/* --- what a source is --------------------------------------------------------------------------
 */

static void put_v4(uint8_t key[static MESHD_SOURCE_KEY_BYTES], const void *address)
{
    key[0] = 4;
    memcpy(&key[1], address, 4);
}

static void key_of(const struct sockaddr_storage *address,
                   uint8_t key[static MESHD_SOURCE_KEY_BYTES])
{
    memset(key, 0, MESHD_SOURCE_KEY_BYTES);
    if (address->ss_family == AF_INET) {
        put_v4(key, &((const struct sockaddr_in *)(const void *)address)->sin_addr);
        return;
    }
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
    if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
        put_v4(key, &v6->sin6_addr.s6_addr[12]);
        return;
    }
    bool is_of_link = IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr);
    key[0] = 6;
    memcpy(&key[1], &v6->sin6_addr, is_of_link ? 16 : 8);
    if (is_of_link) {
        memcpy(&key[17], &v6->sin6_scope_id, sizeof(v6->sin6_scope_id));
    }
}

/* --- life --------------------------------------------------------------------------------------
 */

void sources_init(struct meshd_sources *sources, uint64_t seed)
{
    *sources = (struct meshd_sources){0};
    table_init(&sources->all, MESHD_SOURCE_KEY_BYTES, seed);
    list_init(&sources->idle);
}

static void source_free(struct meshd_sources *sources, struct meshd_source *source)
{
    if (list_is_linked(&source->idle)) {
        list_remove(&source->idle);
        sources->n_idle--;
    }
    table_remove(&sources->all, &source->by_key);
    mem_free(source);
}

/* Those whose rate is nothing to remember any more, and the oldest where they are too many. */
static void sweep(struct meshd_sources *sources, uint64_t now_ns, unsigned n_max)
{
    for (struct list *first; (first = list_first(&sources->idle)) != NULL;) {
        struct meshd_source *source = LIST_ENTRY(first, struct meshd_source, idle);
        if (source->paid_ns > now_ns && sources->n_idle <= n_max) {
            return;
        }
        source_free(sources, source);
    }
}

void sources_done(struct meshd_sources *sources)
{
    sweep(sources, UINT64_MAX, 0);
    ensure(sources->all.n == 0);
    table_done(&sources->all);
}

struct meshd_source *source_ref(struct meshd_sources *sources,
                                const struct sockaddr_storage *address, uint64_t now_ns)
{
    uint8_t key[MESHD_SOURCE_KEY_BYTES];
    key_of(address, key);
    struct table_entry *entry = table_find(&sources->all, key);
    struct meshd_source *source;
    if (entry != NULL) {
        source = CONTAINER_OF(entry, struct meshd_source, by_key);
    } else {
        sweep(sources, now_ns, MESHD_SOURCES_IDLE_MAX);
        source = mem_alloc(1, sizeof(*source));
        if (source == NULL) {
            return NULL;
        }
        memcpy(source->key, key, sizeof(key));
        list_init(&source->idle);
        list_init(&source->in_turn);
        list_init(&source->waiting);
        table_insert(&sources->all, &source->by_key, source->key);
    }
    if (list_is_linked(&source->idle)) {
        list_remove(&source->idle);
        sources->n_idle--;
    }
    source->n_links++;
    return source;
}

void source_unref(struct meshd_sources *sources, struct meshd_source *source, uint64_t now_ns)
{
    ensure(source->n_links > 0);
    if (--source->n_links > 0) {
        return;
    }
    ensure(source->bytes == 0);
    list_remove(&source->in_turn); /* nothing of it waits any more */
    if (source->paid_ns <= now_ns) {
        source_free(sources, source);
        return;
    }
    list_push_back(&sources->idle, &source->idle);
    sources->n_idle++;
}

/* --- bounds ------------------------------------------------------------------------------------
 */

bool source_may_connect(struct meshd_sources *sources, struct meshd_source *source, uint64_t now_ns)
{
    return rate_take(&source->paid_ns, now_ns, MESHD_ACCEPTS_SOURCE_PER_S,
                     MESHD_ACCEPTS_SOURCE_BURST) &&
           rate_take(&sources->paid_ns, now_ns, MESHD_ACCEPTS_PER_S, MESHD_ACCEPTS_BURST);
}

void source_spend(struct meshd_source *source, uint64_t took_ns, uint64_t now_ns,
                  uint32_t n_processors)
{
    uint64_t from_ns = source->due_ns > now_ns ? source->due_ns : now_ns;
    took_ns = took_ns < MESHD_SOURCE_TOOK_MAX_NS ? took_ns : MESHD_SOURCE_TOOK_MAX_NS;
    source->due_ns = from_ns + took_ns * MESHD_SOURCE_PART / n_processors;
}

uint64_t source_rest_ns(const struct meshd_source *source, uint64_t now_ns)
{
    uint64_t until_ns = now_ns + MESHD_SOURCE_AHEAD_NS;
    return source->due_ns > until_ns ? source->due_ns - until_ns : 0;
}

bool source_account(struct meshd_sources *sources, struct meshd_source *source, size_t before,
                    size_t after)
{
    ensure(source->bytes >= before);
    ensure(sources->bytes >= before);
    source->bytes += after - before;
    sources->bytes += after - before;
    return after <= before || (sources->bytes <= MESHD_LINKS_BYTES_MAX &&
                               source->bytes <= MESHD_LINKS_BYTES_MAX - sources->bytes);
}
