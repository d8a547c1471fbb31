/* For scenario.c, scenario_faults.c and scenario_report.c only. */
#ifndef MESH_LAB_SCENARIO_INTERNAL_H
#define MESH_LAB_SCENARIO_INTERNAL_H

#include <stdbool.h>

#include "tests/lab/scenario.h"

/* The end of the run that this event is the start of, by the last look at the log, or NULL. */
const struct task_event *scenario_end_of(const struct scenario *sc, const struct task_event *start);

/* Looks at the log of tasks again. */
void scenario_read_log(struct scenario *sc);

/* Whether it is of a run on this host. */
bool scenario_is_run_by(const struct scenario *sc, const struct task_event *event, unsigned host);

/* For scenario_end(): the figures of what was lost and began again. */
void scenario_tell_reruns(struct scenario *sc);

/* Writes all that is known to NAME.json in $MESH_LAB_REPORT; nothing without it. What is there is
 * replaced as a whole. `is_over`: everything was as it must be. */
void scenario_report(struct scenario *sc, bool is_over);

#endif
