/* The glue between discovery/ and the core: its reports become events. Peers that announce another
 * mesh are not reported: they would only be dialled to be refused. Peers named by --peer need
 * no discovery: they are reported once, as they were written, and looked up at each dial. */
#ifndef MESH_FINDER_H
#define MESH_FINDER_H

#include <uv.h>

#include "mesh/log.h"
#include "mesh/options.h"
#include "mesh/remember.h"
#include "mesh/sink.h"
#include "wire/door.h"

struct meshd_finder;

struct meshd_finder_config {
    uv_loop_t *loop;
    struct meshd_sink sink;
    const struct meshd_log *log;           /* borrowed */
    const struct meshd_options *options;   /* borrowed */
    const struct wire_door *door;          /* borrowed: its tags are those of our mesh */
    const struct meshd_remember *remember; /* borrowed: who was ever proved */
    struct wire_key key;
    const char *name, *arch, *os;
    uint32_t cores;
    uint16_t port;
};

/* Announces and listens, unless --discovery off. 0 or -errno with err set. */
int meshd_finder_new(const struct meshd_finder_config *config, struct meshd_finder **ret_finder,
                     struct errmsg *err) MUST_CHECK;
/* Puts PEER_FOUND for each --peer. */
void meshd_finder_report_static(struct meshd_finder *finder);
/* Says goodbye and closes; the finder is freed before on_closed is called from the loop. */
void meshd_finder_close(struct meshd_finder *finder, void (*on_closed)(void *user), void *user);

/* The effect. */
void meshd_finder_set_cores(struct meshd_finder *finder, uint32_t cores);
/* The door is that of another mesh: announces its tag, and puts PEER_FOUND and PEER_LOST anew from
 * the next turn of the loop on. */
void meshd_finder_mesh_changed(struct meshd_finder *finder);

#endif
