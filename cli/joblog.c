#include "cli/joblog.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "cli/result.h"
#include "mesh/client/clock.h"
#include "wire/base/text.h"
#include "wire/limits.h"

int cmd_joblog_open(const char *path, FILE **ret_log, struct errmsg *err)
{
    FILE *log = fopen(path, "we");
    if (log == NULL) {
        int r = -errno;
        char shown[256];
        errmsg_set(err, "cannot write the joblog %s: %s",
                   text_printable(slice_str(path), shown, sizeof(shown)), strerror(-r));
        return r;
    }
    fputs("Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n", log);
    *ret_log = log;
    return 0;
}

/* A line's end or a tab inside the command would break the file's rows: they become spaces. */
static void put_command(FILE *log, struct slice command)
{
    for (size_t i = 0; i < command.n; i++) {
        int c = command.p[i];
        putc(c == '\n' || c == '\t' ? ' ' : c, log);
    }
}

int cmd_joblog_write(FILE *log, const struct wire_done *done, struct slice command,
                     struct errmsg *err)
{
    char host[WIRE_NAME_BYTES_MAX * 4 + 8];
    double runtime_s = (double)done->result.wall_us / 1e6;
    /* Seen from here, as parallel does; the executor's clock may differ. */
    double start_s = mesh_client_wall_s() - runtime_s;
    int exit_value;
    int signal;
    cmd_result_parallel(done, &exit_value, &signal);
    fprintf(log, "%" PRIu32 "\t%s\t%.3f\t%10.3f\t0\t%" PRIu64 "\t%d\t%d\t", done->task,
            done->peer_name.n > 0 ? text_printable(done->peer_name, host, sizeof(host)) : "-",
            start_s, runtime_s, done->result.out.bytes, exit_value, signal);
    put_command(log, command);
    putc('\n', log);
    if (fflush(log) != 0) {
        int r = -errno;
        errmsg_set(err, "cannot write the joblog: %s", strerror(-r));
        return r;
    }
    return 0;
}
