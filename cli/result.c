#include "cli/result.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli/exit.h"
#include "wire/base/text.h"
#include "wire/limits.h"

bool cmd_result_is_success(const struct wire_done *done)
{
    return done->result.end == WIRE_END_EXITED && done->result.status == 0;
}

static int refusal_exit(uint32_t refusal)
{
    switch (refusal) {
    case WIRE_REFUSAL_NOT_FOUND:
        return CMD_EXIT_NOT_FOUND;
    case WIRE_REFUSAL_NOT_EXECUTABLE:
    case WIRE_REFUSAL_NO_INTERPRETER:
    case WIRE_REFUSAL_WRONG_ARCH:
        return CMD_EXIT_NOT_EXECUTABLE;
    default:
        return CMD_EXIT_MESH;
    }
}

int cmd_result_exit(const struct wire_done *done)
{
    switch (done->result.end) {
    case WIRE_END_EXITED:
        return (int)(done->result.status & 0xff);
    case WIRE_END_SIGNALED:
        return CMD_EXIT_SIGNAL + (int)(done->result.status & 0x7f);
    case WIRE_END_TIMEOUT:
    case WIRE_END_OUTPUT_LIMIT:
        return CMD_EXIT_SIGNAL + SIGKILL;
    case WIRE_END_NOT_STARTED:
        return refusal_exit(done->refusal);
    default:
        return CMD_EXIT_MESH;
    }
}

void cmd_result_parallel(const struct wire_done *done, int *ret_exit, int *ret_signal)
{
    *ret_exit = -1;
    *ret_signal = 0;
    switch (done->result.end) {
    case WIRE_END_EXITED:
        *ret_exit = (int)done->result.status;
        break;
    case WIRE_END_SIGNALED:
        *ret_exit = 0;
        *ret_signal = (int)done->result.status;
        break;
    case WIRE_END_TIMEOUT:
    case WIRE_END_OUTPUT_LIMIT:
        *ret_signal = SIGKILL;
        break;
    case WIRE_END_NO_RETURN:
        *ret_exit = CMD_EXIT_MESH;
        break;
    case WIRE_END_NOT_STARTED:
        *ret_exit = refusal_exit(done->refusal);
        break;
    default:
        break;
    }
}

static void what_text(const struct wire_done *done, char *to, size_t n_to)
{
    const char *name;
    switch (done->result.end) {
    case WIRE_END_EXITED:
        snprintf(to, n_to, "exit status %u", done->result.status);
        return;
    case WIRE_END_SIGNALED:
        name = sigabbrev_np((int)done->result.status);
        snprintf(to, n_to, "ended by signal %u%s%s%s", done->result.status, name ? " (SIG" : "",
                 name ? name : "", name ? ")" : "");
        return;
    case WIRE_END_TIMEOUT:
        snprintf(to, n_to, "killed, it ran longer than --timeout");
        return;
    case WIRE_END_OUTPUT_LIMIT:
        snprintf(to, n_to, "killed, it printed more than --max-output");
        return;
    case WIRE_END_LOST:
        snprintf(to, n_to, "lost with its peer after it was started: it may have run in part");
        return;
    case WIRE_END_CELL_DIED:
        snprintf(to, n_to, "given up, its sandbox died under it each time");
        return;
    case WIRE_END_NO_DISK:
        snprintf(to, n_to, "no disk space for its output");
        return;
    case WIRE_END_NOT_STARTED:
        /* The detail, which follows, is the peer's own wording of the refusal. */
        snprintf(to, n_to, "no peer could start it%s%s", done->result.detail.n > 0 ? "" : ": ",
                 done->result.detail.n > 0 ? "" : wire_refusal_text(done->refusal));
        return;
    default:
        snprintf(to, n_to, "%s", wire_end_text(done->result.end));
        return;
    }
}

const char *cmd_result_text(const struct wire_done *done, char *to, size_t n_to)
{
    char what[160];
    char peer[WIRE_NAME_BYTES_MAX * 4 + 8];
    char detail[WIRE_REASON_BYTES_MAX + 16];
    what_text(done, what, sizeof(what));
    text_printable(done->peer_name, peer, sizeof(peer));
    text_printable(done->result.detail, detail, sizeof(detail));
    bool has_peer = done->peer_name.n > 0;
    bool has_detail = done->result.detail.n > 0;
    snprintf(to, n_to, "%s%s%s%s%s", what, has_peer ? " on " : "", has_peer ? peer : "",
             has_detail ? ": " : "", has_detail ? detail : "");
    return to;
}
