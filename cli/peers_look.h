/* Whether anybody else is there before a job is submitted. */
#ifndef MESH_CLI_PEERS_LOOK_H
#define MESH_CLI_PEERS_LOOK_H

#include "mesh/client/client.h"

/* Says in a line that the job will run here alone when no other peer is up. A daemon that was
 * started just now has a second to find one. Failures are left to what is sent next. */
void cmd_peers_look(struct mesh_client *client);

/* Asks for the list of peers, and goes on asking for up to a second, until one other than the local
 * one is up, if this daemon was started just now. 0 and the last list (borrowed until the client is
 * used again), or -errno. */
int cmd_peers_ask(struct mesh_client *client, const struct wire_message **ret_list) MUST_CHECK;

#endif
