/* Who told us of whom. What is only heard of may be made up, and one host can make up as many peers
 * as it likes: so no more of them are taken from one origin than CORE_TOLD_MAX. In a large mesh
 * every peer has dozens of neighbours, each of whom may tell of so many. A card counts for who told
 * of it first, until it was up with us or is forgotten. */
#include <string.h>

#include "mesh/core/peer.h"
#include "wire/base/mem.h"

static struct core_teller *teller_of(const struct core *core, const struct core_origin *origin)
{
    struct table_entry *entry = table_find(&core->tellers, origin->text);
    return entry != NULL ? LIST_ENTRY(entry, struct core_teller, by_text) : NULL;
}

bool core_teller_may_add(const struct core *core, const struct core_origin *origin)
{
    const struct core_teller *teller = teller_of(core, origin);
    return teller == NULL || teller->n_cards < CORE_TOLD_MAX;
}

void core_teller_add(struct core *core, const struct core_origin *origin, struct core_card *card)
{
    struct core_teller *teller = teller_of(core, origin);
    ensure(card->teller == NULL);
    if (teller == NULL) {
        teller = mem_alloc_or_die(1, sizeof(*teller));
        memcpy(teller->text, origin->text, sizeof(teller->text));
        table_insert(&core->tellers, &teller->by_text, teller->text);
    }
    teller->n_cards++;
    card->teller = teller;
}

void core_teller_drop(struct core *core, struct core_card *card)
{
    struct core_teller *teller = card->teller;
    card->teller = NULL;
    if (teller != NULL && --teller->n_cards == 0) {
        table_remove(&core->tellers, &teller->by_text);
        mem_free(teller);
    }
}
