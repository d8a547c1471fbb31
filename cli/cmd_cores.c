/* mesh cores N: what this peer offers, from now on. */
#include <errno.h>
#include <stdio.h>

#include "cli/cmd.h"
#include "wire/base/text.h"
#include "wire/limits.h"

static int parse_cores(char *const *argv, unsigned n_argv, uint32_t *ret_cores, struct errmsg *err)
{
    if (n_argv != 1) {
        errmsg_set(err, "give the number of cores to offer");
        return -EINVAL;
    }
    /* A negative number looks like an option; it shall be refused as the number it is. */
    uint64_t cores;
    int r = text_parse_u64(argv[0], WIRE_CORES_MAX, &cores);
    if (r < 0) {
        char shown[64];
        errmsg_set(err, "'%s' is no number of cores: give 0 to %u",
                   text_printable(slice_str(argv[0]), shown, sizeof(shown)), WIRE_CORES_MAX);
        return -EINVAL;
    }
    *ret_cores = (uint32_t)cores;
    return 0;
}

static int run(const struct cmd_globals *globals, char *const *argv, unsigned n_argv)
{
    struct errmsg err;
    uint32_t cores;
    if (parse_cores(argv, n_argv, &cores, &err) < 0) {
        return cmd_misuse(&cmd_cores, &err);
    }
    struct mesh_client *client = NULL;
    if (cmd_open(globals, false, &client) < 0) {
        return CMD_EXIT_FAILED;
    }
    struct wire_message set = {.type = WIRE_MESSAGE_SET_CORES, .set_cores.cores = cores};
    const struct wire_message *answer;
    int r = cmd_ask(client, &set, WIRE_MESSAGE_OK, &answer);
    mesh_client_free(client);
    return r == 0 ? CMD_EXIT_OK : CMD_EXIT_FAILED;
}

const struct cmd_command cmd_cores = {
    .name = "cores",
    .synopsis = "N",
    .summary = "offer N cores from now on; 0 drains this peer",
    .text = "Changes how many cores this peer offers to the mesh while it runs. Running tasks are\n"
            "left to finish; with 0 nothing new starts here. Only the daemon's own user and root "
            "may.\n",
    .examples = "  mesh cores 4\n"
                "  mesh cores 0        # before a reboot: let what runs finish, take nothing new\n",
    .usage_exit = CMD_EXIT_USAGE,
    .run = run,
};
