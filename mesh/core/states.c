#include "mesh/core/states.h"

#include <assert.h>

#include "wire/base/ensure.h"

struct row {
    uint8_t from, cause, to;
};

#define PEER_ROW(from, on, to) {CORE_PEER_##from, CORE_PEER_ON_##on, CORE_PEER_##to},
#define TASK_ROW(from, on, to) {CORE_TASK_##from, CORE_TASK_ON_##on, CORE_TASK_##to},
#define HELD_ROW(from, on, to) {CORE_HELD_##from, CORE_HELD_ON_##on, CORE_HELD_##to},
static const struct row peer_rows[] = {CORE_PEER_TABLE(PEER_ROW)};
static const struct row task_rows[] = {CORE_TASK_TABLE(TASK_ROW)};
static const struct row held_rows[] = {CORE_HELD_TABLE(HELD_ROW)};

/* 1 + row of each (state, cause), 0 where there is none. */
#define CAUSES_MAX 16
#define STATES_MAX 8
static_assert((int)CORE_N_PEER_CAUSES <= CAUSES_MAX, "causes");
static_assert((int)CORE_N_TASK_CAUSES <= CAUSES_MAX, "causes");
static_assert((int)CORE_N_HELD_CAUSES <= CAUSES_MAX, "causes");
static_assert((int)CORE_N_PEER_STATES <= STATES_MAX, "states");
static_assert((int)CORE_N_TASK_STATES <= STATES_MAX, "states");
static_assert((int)CORE_N_HELD_STATES <= STATES_MAX, "states");
static_assert((int)CORE_N_PEER_ROWS <= (int)CORE_ROWS_MAX, "rows");
static_assert((int)CORE_N_TASK_ROWS <= (int)CORE_ROWS_MAX, "rows");
static_assert((int)CORE_N_HELD_ROWS <= (int)CORE_ROWS_MAX, "rows");

#define PEER_AT(from, on, to)                                                                      \
    [CORE_PEER_##from][CORE_PEER_ON_##on] = 1 + CORE_PEER_ROW_##from##_##on,
#define TASK_AT(from, on, to)                                                                      \
    [CORE_TASK_##from][CORE_TASK_ON_##on] = 1 + CORE_TASK_ROW_##from##_##on,
#define HELD_AT(from, on, to)                                                                      \
    [CORE_HELD_##from][CORE_HELD_ON_##on] = 1 + CORE_HELD_ROW_##from##_##on,
static const uint8_t peer_at[STATES_MAX][CAUSES_MAX] = {CORE_PEER_TABLE(PEER_AT)};
static const uint8_t task_at[STATES_MAX][CAUSES_MAX] = {CORE_TASK_TABLE(TASK_AT)};
static const uint8_t held_at[STATES_MAX][CAUSES_MAX] = {CORE_HELD_TABLE(HELD_AT)};

#define NAME_TEXT(name, text) text,
static const char *const peer_states[] = {CORE_PEER_STATES(NAME_TEXT)};
static const char *const peer_causes[] = {CORE_PEER_CAUSES(NAME_TEXT)};
static const char *const task_states[] = {CORE_TASK_STATES(NAME_TEXT)};
static const char *const task_causes[] = {CORE_TASK_CAUSES(NAME_TEXT)};
static const char *const held_states[] = {CORE_HELD_STATES(NAME_TEXT)};
static const char *const held_causes[] = {CORE_HELD_CAUSES(NAME_TEXT)};

static const struct machine {
    const struct row *rows;
    unsigned n_rows;
    const uint8_t (*at)[CAUSES_MAX];
    const char *const *states, *const *causes;
    unsigned n_states, n_causes;
} machines[CORE_N_MACHINES] = {
    [CORE_MACHINE_PEER] = {peer_rows, ARRAY_LEN(peer_rows), peer_at, peer_states, peer_causes,
                           ARRAY_LEN(peer_states), ARRAY_LEN(peer_causes)},
    [CORE_MACHINE_TASK] = {task_rows, ARRAY_LEN(task_rows), task_at, task_states, task_causes,
                           ARRAY_LEN(task_states), ARRAY_LEN(task_causes)},
    [CORE_MACHINE_HELD] = {held_rows, ARRAY_LEN(held_rows), held_at, held_states, held_causes,
                           ARRAY_LEN(held_states), ARRAY_LEN(held_causes)},
};

bool core_move(struct core_moves *moves, enum core_machine machine, unsigned *state, unsigned cause)
{
    const struct machine *m = &machines[machine];
    ensure(*state < m->n_states);
    ensure(cause < m->n_causes);
    unsigned row = m->at[*state][cause];
    if (row == 0) {
        moves->n_refused[machine]++;
        return false;
    }
    moves->n_taken[machine][row - 1]++;
    *state = m->rows[row - 1].to;
    return true;
}

const char *core_state_text(enum core_machine machine, unsigned state)
{
    return state < machines[machine].n_states ? machines[machine].states[state] : "?";
}

const char *core_cause_text(enum core_machine machine, unsigned cause)
{
    return cause < machines[machine].n_causes ? machines[machine].causes[cause] : "?";
}

unsigned core_n_rows(enum core_machine machine)
{
    return machines[machine].n_rows;
}

struct core_row_text core_row_text(enum core_machine machine, unsigned row)
{
    const struct machine *m = &machines[machine];
    ensure(row < m->n_rows);
    return (struct core_row_text){.from = m->states[m->rows[row].from],
                                  .cause = m->causes[m->rows[row].cause],
                                  .to = m->states[m->rows[row].to]};
}
