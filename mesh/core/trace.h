/* One readable line for each event and each effect: for the debug log, golden timelines in tests,
 * and the simulator. */
#ifndef MESH_CORE_TRACE_H
#define MESH_CORE_TRACE_H

#include "mesh/core/effect.h"
#include "mesh/core/event.h"
#include "wire/base/buf.h"

/* Appends the line, without a newline. Foreign text is made printable, bytes are counted. */
void core_event_print(const struct core_event *event, struct buf *to);
void core_effect_print(const struct core_effect *effect, struct buf *to);

#endif
