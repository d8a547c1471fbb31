/* Each kind of fault as it strikes; only for tests/sim/fault.c and the strike_*.c. */
#ifndef MESH_TESTS_SIM_STRIKE_H
#define MESH_TESTS_SIM_STRIKE_H

#include "tests/sim/sim_internal.h"

/* A peer that runs, and is not about to end. */
bool strike_runs(const struct sim_node *node);
/* One of those; NULL: there is none. */
struct sim_node *strike_pick(struct sim *sim, struct dice *dice);
/* How long it lasts. */
uint64_t strike_span_ns(struct dice *dice);
/* Calls `fire` when the fault is over; a: index of the node, b, c: what it needs. */
struct sim_event *strike_undo(struct sim *sim, struct dice *dice, const struct sim_node *node,
                              void (*fire)(struct sim *sim, struct sim_event *event));
/* The same, in so long; a: index of the node. */
struct sim_event *strike_undo_in(struct sim *sim, const struct sim_node *node, uint64_t in_ns,
                                 void (*fire)(struct sim *sim, struct sim_event *event));
/* a: what the node offers from now on. */
void strike_cores_fire(struct sim *sim, struct sim_event *event);

/* What several faults do, to one that runs; each ends by itself. */
void strike_kill_one(struct sim *sim, struct dice *dice, struct sim_node *node);
void strike_stop_one(struct sim *sim, struct dice *dice, struct sim_node *node);
void strike_freeze_one(struct sim *sim, struct sim_node *node, uint64_t for_ns);
void strike_cores_one(struct sim *sim, struct sim_node *node, uint32_t cores, uint64_t for_ns);
void strike_disk_one(struct sim *sim, struct sim_node *node, unsigned error, uint64_t for_ns);
void strike_unplug(struct sim *sim, const struct sim_node *node, uint64_t for_ns);
void strike_slow_down(struct sim *sim, struct dice *dice, struct sim_node *node,
                      uint64_t bandwidth);

/* strike_aimed.c */
bool strike_only_host(struct sim *sim, struct dice *dice);
bool strike_cancel_late(struct sim *sim, struct dice *dice);
bool strike_keep_nothing(struct sim *sim, struct dice *dice, unsigned error);
void strike_give_up(struct sim *sim, struct dice *dice, struct sim_node *node);
bool strike_submit_and_go(struct sim *sim, struct dice *dice, struct sim_node *node);
void strike_restart_soon(struct sim *sim, struct dice *dice, const struct sim_node *node);

/* False: there is nobody whom it could strike. */
bool strike_reset(struct sim *sim, struct dice *dice);
bool strike_half_open(struct sim *sim, struct dice *dice);
bool strike_one_way(struct sim *sim, struct dice *dice);
bool strike_partition(struct sim *sim, struct dice *dice);
bool strike_cable(struct sim *sim, struct dice *dice);
bool strike_slow_link(struct sim *sim, struct dice *dice);
bool strike_delay(struct sim *sim, struct dice *dice);
bool strike_loss(struct sim *sim, struct dice *dice);
bool strike_kill(struct sim *sim, struct dice *dice);
bool strike_power(struct sim *sim, struct dice *dice);
bool strike_amnesia(struct sim *sim, struct dice *dice);
bool strike_stop(struct sim *sim, struct dice *dice);
bool strike_freeze(struct sim *sim, struct dice *dice);
bool strike_suspend(struct sim *sim, struct dice *dice);
bool strike_late_loop(struct sim *sim, struct dice *dice);
bool strike_clock_jump(struct sim *sim, struct dice *dice);
bool strike_clock_drift(struct sim *sim, struct dice *dice);
bool strike_disk_fail(struct sim *sim, struct dice *dice);
bool strike_disk_full(struct sim *sim, struct dice *dice);
bool strike_blob_gone(struct sim *sim, struct dice *dice);
bool strike_cell_crash(struct sim *sim, struct dice *dice);
bool strike_cell_hang(struct sim *sim, struct dice *dice);
bool strike_cell_none(struct sim *sim, struct dice *dice);
bool strike_client_gone(struct sim *sim, struct dice *dice);
bool strike_client_cancel(struct sim *sim, struct dice *dice);
bool strike_client_stall(struct sim *sim, struct dice *dice);
bool strike_cores(struct sim *sim, struct dice *dice);
bool strike_join(struct sim *sim, struct dice *dice);
bool strike_submit(struct sim *sim, struct dice *dice);
bool strike_found_again(struct sim *sim, struct dice *dice);
bool strike_found_stale(struct sim *sim, struct dice *dice);
bool strike_found_lost(struct sim *sim, struct dice *dice);
bool strike_renumber(struct sim *sim, struct dice *dice);
bool strike_clone(struct sim *sim, struct dice *dice);
bool strike_version(struct sim *sim, struct dice *dice);

#endif
