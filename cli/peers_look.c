#include "cli/peers_look.h"

#include <errno.h>

#include "cli/cmd.h"

#define FIRST_LOOK_MS 1000
#define LOOK_EVERY_MS 50

static bool is_alone(const struct wire_peers_list *list)
{
    for (uint32_t i = 0; i < list->n; i++) {
        if (!list->items[i].is_local && list->items[i].state == WIRE_PEER_UP) {
            return false;
        }
    }
    return true;
}

int cmd_peers_ask(struct mesh_client *client, const struct wire_message **ret_list)
{
    struct wire_message query = {.type = WIRE_MESSAGE_PEERS_QUERY};
    int n_looks = mesh_client_has_started_daemon(client) ? FIRST_LOOK_MS / LOOK_EVERY_MS : 1;
    for (int i = 1;; i++) {
        int r = cmd_ask(client, &query, WIRE_MESSAGE_PEERS_LIST, ret_list);
        if (r < 0 || i >= n_looks || !is_alone(&(*ret_list)->peers_list)) {
            return r;
        }
        /* Nothing comes unasked: this only waits. */
        r = mesh_client_next(client, LOOK_EVERY_MS, ret_list, NULL);
        if (r < 0 && r != -EAGAIN && r != -EINTR) {
            return r;
        }
    }
}
