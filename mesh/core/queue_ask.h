/* What clients here want of queues: the asks, and the posts, one for each peer that one is, or will
 * be, said to. Shared by queue_ask.c, queue_where.c and queue_client.c, and by nobody else. */
#ifndef MESH_CORE_QUEUE_ASK_H
#define MESH_CORE_QUEUE_ASK_H

#include "mesh/core/queue.h"

/* --- queue_ask.c -------------------------------------------------------------------------------
 */

bool core_ask_is_reachable(const struct core_peer *peer);
struct core_post *core_post_new(struct core *core, struct core_queue_ask *ask,
                                struct core_peer *peer);
void core_post_free(struct core_post *post);
/* Nothing more is wanted there. In a session that is cut meanwhile it is not named any more. */
void core_post_call_off(struct core *core, struct core_post *post);
/* NULL: it is not said to that peer. */
struct core_post *core_post_at(const struct core_queue_ask *ask, const struct core_peer *peer);
/* The first, which there must be. */
struct core_post *core_ask_post(const struct core_queue_ask *ask);

struct core_queue_ask *core_ask_new(struct core *core, struct core_client *client, uint64_t id,
                                    struct slice name);
/* Its client is told nothing. */
void core_ask_free(struct core *core, struct core_queue_ask *ask);
/* By the number that peers know, and by its client's. NULL: there is none. */
struct core_queue_ask *core_ask_of(const struct core *core, uint64_t request);
struct core_queue_ask *core_ask_find(const struct core *core, const struct core_client *client,
                                     uint64_t id);
/* Tells its client, if that is here, and frees it. */
void core_ask_reply(struct core *core, struct core_queue_ask *ask, enum wire_error error,
                    struct slice text);

/* What was handed out and has not come whole is not ours: asked for anew, as if never. */
void core_ask_start_over(struct core *core, struct core_queue_ask *ask);

void core_ask_say_get(struct core *core, struct core_post *post);
void core_ask_say_done(struct core *core, struct core_peer *peer, uint64_t request, uint64_t item,
                       uint64_t hand, bool is_done);
/* The next put, when none is on its way there. */
void core_ask_say_next_put(struct core *core, struct core_peer *peer);

/* --- queue_where.c -----------------------------------------------------------------------------
 */

/* Looks for peers that have the queue of this ask; NULL: of each. Says gets to them. */
void core_ask_look_around(struct core *core, struct core_queue_ask *only);
/* To where it was found that it goes, or makes the queue here; it may be over then. */
void core_ask_send_put(struct core *core, struct core_queue_ask *ask);

#endif
