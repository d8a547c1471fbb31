#include "tests/sim/gauge.h"

#include <malloc.h>
#include <stdlib.h>
#include <time.h>

#include "wire/base/mem.h"

#define READINGS 200000u

/* --- memory ------------------------------------------------------------------------------------
 */

static struct gauge *present; /* the allocator's hooks have no argument for it */

static void count(size_t gone, size_t come)
{
    struct gauge_memory *memory = present->of_present;
    memory->bytes += come - gone;
    memory->peak = memory->bytes > memory->peak ? memory->bytes : memory->peak;
}

static void *counted_alloc(size_t n_bytes)
{
    void *p = calloc(1, n_bytes);
    if (present->of_present != NULL) {
        count(0, malloc_usable_size(p));
    }
    return p;
}

static void *counted_realloc(void *p, size_t n_bytes)
{
    size_t was = present->of_present != NULL ? malloc_usable_size(p) : 0;
    void *q = realloc(p, n_bytes);
    if (q != NULL && present->of_present != NULL) {
        count(was, malloc_usable_size(q));
    }
    return q;
}

static void counted_free(void *p)
{
    if (present->of_present != NULL) {
        count(malloc_usable_size(p), 0);
    }
    free(p);
}

static const struct mem_ops counted = {
    .alloc = counted_alloc, .realloc = counted_realloc, .free = counted_free};

/* --- time --------------------------------------------------------------------------------------
 */

static uint64_t clock_of(clockid_t id)
{
    struct timespec at;
    clock_gettime(id, &at);
    return (uint64_t)at.tv_sec * SIM_S + (uint64_t)at.tv_nsec;
}

static enum gauge_role role_of_message(enum wire_message_type type)
{
    switch ((unsigned)type) { /* as a number: the others are about peers */
    case WIRE_MESSAGE_CREDIT:
    case WIRE_MESSAGE_STARTED:
    case WIRE_MESSAGE_RESULT:
    case WIRE_MESSAGE_REFUSE:
    case WIRE_MESSAGE_STREAM:
        return GAUGE_OWNER;
    case WIRE_MESSAGE_WANT:
    case WIRE_MESSAGE_JOB:
    case WIRE_MESSAGE_TASK:
    case WIRE_MESSAGE_RESULT_ACK:
    case WIRE_MESSAGE_RECALL:
    case WIRE_MESSAGE_CANCEL:
    case WIRE_MESSAGE_JOB_END:
        return GAUGE_EXECUTOR;
    default:
        return GAUGE_REST;
    }
}

static enum gauge_role role_of(const struct core_event *event)
{
    switch ((unsigned)event->type) { /* as a number: the others are about peers */
    case CORE_EVENT_CLIENT_UP:
    case CORE_EVENT_CLIENT_DOWN:
    case CORE_EVENT_CLIENT_MESSAGE:
        return GAUGE_OWNER;
    case CORE_EVENT_ATTEMPT_STARTED:
    case CORE_EVENT_ATTEMPT_ENDED:
    case CORE_EVENT_ATTEMPT_REFUSED:
        return GAUGE_EXECUTOR;
    case CORE_EVENT_MESSAGE:
        return role_of_message(event->message.message->type);
    default:
        return GAUGE_REST;
    }
}

static void before(struct sim_gauge *told, struct sim_node *node, const struct core_event *event)
{
    struct gauge *gauge = CONTAINER_OF(told, struct gauge, told);
    gauge->of_present = &gauge->memory[node->index];
    gauge->from_ns = clock_of(CLOCK_MONOTONIC);
}

static void after(struct sim_gauge *told, struct sim_node *node, const struct core_event *event)
{
    uint64_t to_ns = clock_of(CLOCK_MONOTONIC);
    struct gauge *gauge = CONTAINER_OF(told, struct gauge, told);
    enum gauge_role role = event != NULL ? role_of(event) : GAUGE_REST;
    gauge->ns[role] += to_ns - gauge->from_ns;
    gauge->n_steps[role]++;
    gauge->of_present = NULL;
}

static double measure_pair(void)
{
    uint64_t sum_ns = 0;
    for (unsigned i = 0; i < READINGS; i++) {
        uint64_t from_ns = clock_of(CLOCK_MONOTONIC);
        uint64_t ns = clock_of(CLOCK_MONOTONIC) - from_ns;
        sum_ns += ns < 1000 ? ns : 0; /* else somebody came between */
    }
    return (double)sum_ns / READINGS;
}

void gauge_init(struct gauge *gauge, unsigned n_nodes)
{
    *gauge = (struct gauge){.told = {.before = before, .after = after}};
    gauge->pair_ns = measure_pair();
    present = gauge;
    mem_set_ops(&counted);
    gauge->memory = mem_alloc_or_die(n_nodes, sizeof(*gauge->memory));
}

void gauge_done(struct gauge *gauge)
{
    gauge->memory = mem_free(gauge->memory);
    mem_set_ops(NULL);
    present = NULL;
}

void gauge_span_begin(struct gauge *gauge)
{
    for (unsigned role = 0; role < GAUGE_N_ROLES; role++) {
        gauge->ns[role] = gauge->n_steps[role] = 0;
    }
    gauge->span_ns = clock_of(CLOCK_MONOTONIC);
    gauge->span_cpu_ns = clock_of(CLOCK_PROCESS_CPUTIME_ID);
}

struct gauge_times gauge_span_end(const struct gauge *gauge)
{
    struct gauge_times times = {0};
    double span_ns = (double)(clock_of(CLOCK_MONOTONIC) - gauge->span_ns);
    times.share = (double)(clock_of(CLOCK_PROCESS_CPUTIME_ID) - gauge->span_cpu_ns) / span_ns;
    for (unsigned role = 0; role < GAUGE_N_ROLES; role++) {
        double ns = (double)gauge->ns[role] - (double)gauge->n_steps[role] * gauge->pair_ns;
        times.cpu_ns[role] = ns * times.share;
        times.n_steps[role] = gauge->n_steps[role];
    }
    return times;
}
