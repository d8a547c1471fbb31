#include "tests/lab/soak_plan.h"

#include <string.h>

#include "tests/sim/dice.h"
#include "wire/base/ensure.h"

/* Between the end of one fault of a host's processes, or of its cable, and the next. */
#define GAP_LOW_MS  500
#define GAP_HIGH_MS 4000
/* Between the beginnings of two faults. */
#define STEP_LOW_MS  150
#define STEP_HIGH_MS 2200
/* A round in so many begins with a restart of all hosts, one after the other. */
#define ROLLING_PERCENT 30
#define ROLLING_STEP_MS 4000
#define TRIES_MAX       20

enum part { PROCESSES, CABLE, N_PARTS };

struct drawing {
    struct soak_plan *plan;
    struct dice dice;
    unsigned n_hosts;
    unsigned round_ms;
    unsigned free_ms[SOAK_HOSTS_MAX][N_PARTS];   /* from then on it may be struck again */
    unsigned struck_ms[SOAK_HOSTS_MAX][N_PARTS]; /* until then it is */
    unsigned cell_ms;                            /* when a cell may be killed again */
};

struct kind {
    const char *text;
    bool is_for_all;
    unsigned low_ms;
    unsigned high_ms;
};

static const struct kind kinds[SOAK_N_KINDS] = {
#define X(name, text, is_for_all, low_ms, high_ms) {text, is_for_all, low_ms, high_ms},
    SOAK_KINDS(X)
#undef X
};

const char *soak_kind_text(enum soak_kind kind)
{
    return kinds[kind].text;
}

bool soak_is_steady(unsigned host)
{
    return host == 0 || host == SOAK_SUBMITTERS;
}

static bool takes(enum soak_kind kind, enum part part)
{
    if (kind == SOAK_POWER) {
        return true;
    }
    return (kind <= SOAK_KILL_SUBMIT) == (part == PROCESSES);
}

static bool is_struck(const struct drawing *drawing, unsigned host, unsigned at_ms)
{
    return drawing->struck_ms[host][PROCESSES] > at_ms || drawing->struck_ms[host][CABLE] > at_ms;
}

static bool may_strike(const struct drawing *drawing, enum soak_kind kind, unsigned host,
                       unsigned at_ms)
{
    bool is_free = true;
    for (unsigned part = 0; part < N_PARTS; part++) {
        is_free &= !takes(kind, part) || drawing->free_ms[host][part] <= at_ms;
    }
    bool is_cell = kind == SOAK_KILL_CELL || kind == SOAK_KILL_WORKER;
    return is_free && (kinds[kind].is_for_all || !soak_is_steady(host)) &&
           (kind != SOAK_KILL_SUBMIT || host < SOAK_SUBMITTERS) &&
           (!is_cell || drawing->cell_ms <= at_ms);
}

static unsigned count_struck(const struct drawing *drawing, uint32_t more, unsigned at_ms)
{
    unsigned n = 0;
    for (unsigned i = 0; i < drawing->n_hosts; i++) {
        n += is_struck(drawing, i, at_ms) || (more >> i & 1) != 0;
    }
    return n;
}

static void add(struct drawing *drawing, const struct soak_fault *fault)
{
    ensure(drawing->plan->n < SOAK_FAULTS_MAX);
    ensure(fault->end_ms <= drawing->round_ms);
    drawing->plan->faults[drawing->plan->n++] = *fault;
    for (unsigned i = 0; i < drawing->n_hosts; i++) {
        unsigned gap_ms = (unsigned)dice_between(&drawing->dice, GAP_LOW_MS, GAP_HIGH_MS);
        for (unsigned part = 0; part < N_PARTS; part++) {
            if ((fault->hosts >> i & 1) != 0 && takes(fault->kind, part)) {
                drawing->struck_ms[i][part] = fault->end_ms;
                drawing->free_ms[i][part] = fault->end_ms + gap_ms;
            }
        }
    }
    if (fault->kind == SOAK_KILL_CELL || fault->kind == SOAK_KILL_WORKER) {
        drawing->cell_ms = fault->begin_ms + SOAK_CELL_GAP_MS;
    }
}

/* Hosts for this fault: one, or up to half for a partition. 0: none may be struck now. */
static uint32_t draw_hosts(struct drawing *drawing, enum soak_kind kind, unsigned at_ms)
{
    uint64_t n_wanted =
        kind == SOAK_PARTITION ? dice_between(&drawing->dice, 2, drawing->n_hosts / 2) : 1;
    uint32_t hosts = 0;
    for (unsigned i = 0; n_wanted > 0 && i < TRIES_MAX; i++) {
        unsigned host = (unsigned)dice_roll(&drawing->dice, drawing->n_hosts);
        uint32_t more = hosts | UINT32_C(1) << host;
        if (more != hosts && may_strike(drawing, kind, host, at_ms) &&
            count_struck(drawing, more, at_ms) <= drawing->n_hosts / 2) {
            hosts = more;
            n_wanted--;
        }
    }
    return hosts;
}

static unsigned draw_value(struct drawing *drawing, enum soak_kind kind)
{
    static const unsigned percents[] = {1, 5, 20};
    if (kind == SOAK_LOSS) {
        return percents[dice_roll(&drawing->dice, ARRAY_LEN(percents))];
    }
    return kind == SOAK_DELAY ? (unsigned)dice_between(&drawing->dice, 10, 250) : 0;
}

static void draw_one(struct drawing *drawing, unsigned at_ms)
{
    struct soak_fault fault;
    memset(&fault, 0, sizeof(fault));
    fault.kind = (enum soak_kind)dice_roll(&drawing->dice, SOAK_N_KINDS);
    const struct kind *kind = &kinds[fault.kind];
    fault.begin_ms = at_ms;
    fault.end_ms = at_ms;
    if (kind->high_ms > 0) {
        fault.end_ms += (unsigned)dice_log(&drawing->dice, kind->low_ms, kind->high_ms);
    }
    if (fault.end_ms > drawing->round_ms) {
        fault.end_ms = drawing->round_ms;
    }
    fault.value = draw_value(drawing, fault.kind);
    fault.hosts = draw_hosts(drawing, fault.kind, at_ms);
    if (fault.hosts != 0) {
        add(drawing, &fault);
    }
}

/* All whose daemons may be restarted, one after the other. */
static unsigned draw_rolling(struct drawing *drawing)
{
    unsigned at_ms = 1000;
    for (unsigned i = 0; i < drawing->n_hosts; i++) {
        if (!soak_is_steady(i) && at_ms < drawing->round_ms) {
            struct soak_fault fault = {
                .kind = SOAK_STOP, .begin_ms = at_ms, .end_ms = at_ms, .hosts = UINT32_C(1) << i};
            add(drawing, &fault);
            at_ms += ROLLING_STEP_MS;
        }
    }
    return at_ms;
}

void soak_plan_draw(struct soak_plan *plan, uint64_t seed, unsigned round, unsigned n_hosts,
                    unsigned round_ms)
{
    struct drawing drawing;
    ensure(n_hosts > SOAK_SUBMITTERS && n_hosts <= SOAK_HOSTS_MAX);
    memset(&drawing, 0, sizeof(drawing));
    memset(plan, 0, sizeof(*plan));
    drawing.plan = plan;
    drawing.dice.state = dice_mix(seed) + round;
    drawing.n_hosts = n_hosts;
    drawing.round_ms = round_ms;
    unsigned at_ms = 0;
    if (dice_chance(&drawing.dice, ROLLING_PERCENT)) {
        at_ms = draw_rolling(&drawing);
    }
    for (;;) {
        at_ms += (unsigned)dice_between(&drawing.dice, STEP_LOW_MS, STEP_HIGH_MS);
        if (at_ms >= round_ms || plan->n == SOAK_FAULTS_MAX) {
            return;
        }
        draw_one(&drawing, at_ms);
    }
}
