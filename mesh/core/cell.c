/* Cells as numbers: which of them are idle, and when an idle one has to go. */
#include "mesh/core/exec.h"
#include "wire/base/mem.h"

static void cell_free(struct core *core, struct core_cell *cell, bool is_told)
{
    if (is_told && core->effects != NULL) {
        struct core_effect *effect = core_emit(core, CORE_EFFECT_CELL_CLOSE);
        effect->cell_close.cell = cell->number;
    }
    list_remove(&cell->of_core);
    list_remove(&cell->of_xjob);
    core->n_cells--;
    mem_free(cell);
}

static void arm(struct core *core)
{
    struct list *first = list_first(&core->idle_cells);
    if (first == NULL) {
        core_timer_stop(core, &core->cell_timer);
        return;
    }
    core_timer_set(core, &core->cell_timer,
                   LIST_ENTRY(first, struct core_cell, of_core)->idle_ns + CORE_CELL_IDLE_NS);
}

static void cell_fire(struct core *core, struct core_timer *timer)
{
    while (!list_is_empty(&core->idle_cells)) {
        struct core_cell *cell = LIST_ENTRY(core->idle_cells.next, struct core_cell, of_core);
        if (core->now_ns - cell->idle_ns < CORE_CELL_IDLE_NS) {
            break;
        }
        cell_free(core, cell, true);
    }
    arm(core);
}

void core_cell_init(struct core *core)
{
    core->cell_timer.fire = cell_fire;
}

struct core_cell *core_cell_take(struct core *core, struct core_xjob *xjob)
{
    struct list *idle = list_first(&xjob->idle);
    if (idle != NULL) {
        struct core_cell *cell = LIST_ENTRY(idle, struct core_cell, of_xjob);
        list_remove(&cell->of_xjob);
        list_remove(&cell->of_core);
        return cell;
    }
    uint32_t n_max = core->config.cores + (xjob->spec.files.n == 0 ? CORE_CELLS_SPARE : 0);
    if (core->n_cells >= n_max && !list_is_empty(&core->idle_cells)) {
        cell_free(core, LIST_ENTRY(core->idle_cells.next, struct core_cell, of_core), true);
    }
    struct core_cell *cell = mem_alloc_or_die(1, sizeof(*cell));
    cell->number = core->next_cell++;
    cell->xjob = xjob;
    core->n_cells++;
    return cell;
}

void core_cell_give(struct core *core, struct core_cell *cell, bool is_usable)
{
    if (!is_usable) {
        cell_free(core, cell, false);
        return;
    }
    if (cell->xjob->is_over || core->is_stopping) {
        cell_free(core, cell, true);
        return;
    }
    cell->idle_ns = core->now_ns;
    list_push_front(&cell->xjob->idle, &cell->of_xjob);
    list_push_back(&core->idle_cells, &cell->of_core);
    if (!heap_has(&core->cell_timer.entry)) {
        arm(core);
    }
}

void core_cell_close_idle(struct core *core, struct core_xjob *xjob)
{
    while (!list_is_empty(&xjob->idle)) {
        cell_free(core, LIST_ENTRY(xjob->idle.next, struct core_cell, of_xjob), true);
    }
}
