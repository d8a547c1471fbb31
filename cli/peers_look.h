/* Who is there, with some patience for a daemon that was started just now. */
#ifndef MESH_CLI_PEERS_LOOK_H
#define MESH_CLI_PEERS_LOOK_H

#include "mesh/client/client.h"

/* Asks for the list of peers, and goes on asking for up to a second, until one other than the local
 * one is up, if this daemon was started just now. 0 and the last list (borrowed until the client is
 * used again), or -errno. */
int cmd_peers_ask(struct mesh_client *client, const struct wire_message **ret_list) MUST_CHECK;

#endif
