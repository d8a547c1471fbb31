/* Where the shell's parts put what happened. Each part turns its facts into events of the core; the
 * daemon (meshd.c) stamps the time, steps the core and carries the effects out. Tests put a sink
 * that records in its place. */
#ifndef MESH_SINK_H
#define MESH_SINK_H

#include "mesh/core/event.h"

struct meshd_sink {
    /* May be called from any of the loop's callbacks and while an effect is carried out; in the
     * second case the event waits until the effects are done. What it points to is borrowed for the
     * call. now_ns is filled in. */
    void (*put)(void *user, struct core_event *event);
    void *user;
};

static inline void meshd_sink_put(const struct meshd_sink *sink, struct core_event *event)
{
    sink->put(sink->user, event);
}

#endif
