#include "cli/joblog.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/result.h"
#include "mesh/client/clock.h"
#include "wire/base/mem.h"
#include "wire/base/text.h"
#include "wire/limits.h"

int cmd_joblog_open(const char *path, bool is_append, FILE **ret_log, struct errmsg *err)
{
    FILE *log = fopen(path, is_append ? "ae" : "we");
    if (log == NULL) {
        int r = -errno;
        char shown[256];
        errmsg_set(err, "cannot write the joblog %s: %s",
                   text_printable(slice_str(path), shown, sizeof(shown)), strerror(-r));
        return r;
    }
    *ret_log = log;
    if (fseek(log, 0, SEEK_END) == 0 && ftell(log) > 0) {
        return 0;
    }
    fputs("Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n", log);
    return 0;
}

/* --- what ran before ---------------------------------------------------------------------------
 */

/* A line of the log: its number, and whether it says exit status 0 and no signal. 0 or -EINVAL. */
static int parse_line(const char *line, uint32_t *ret_sequence, bool *ret_is_success)
{
    unsigned sequence;
    int exit_value;
    int signal;
    int n = 0;
    if (sscanf(line, "%u\t%*[^\t]\t%*[^\t]\t%*[^\t]\t%*[^\t]\t%*[^\t]\t%d\t%d\t%n", &sequence,
               &exit_value, &signal, &n) < 3 ||
        n == 0 || sequence == 0) {
        return -EINVAL;
    }
    *ret_sequence = sequence;
    *ret_is_success = exit_value == 0 && signal == 0;
    return 0;
}

static int note_ran(struct cmd_joblog_ran *ran, uint32_t sequence)
{
    size_t i_byte = sequence / 8;
    if (i_byte >= ran->n_bytes) {
        size_t n = i_byte * 2 + 64;
        uint8_t *bits = mem_realloc(ran->bits, n, 1);
        if (bits == NULL) {
            return -ENOMEM;
        }
        memset(bits + ran->n_bytes, 0, n - ran->n_bytes);
        ran->bits = bits;
        ran->n_bytes = n;
    }
    ran->bits[i_byte] |= (uint8_t)(1u << sequence % 8);
    return 0;
}

bool cmd_joblog_has_run(const struct cmd_joblog_ran *ran, uint64_t sequence)
{
    return sequence / 8 < ran->n_bytes && (ran->bits[sequence / 8] >> sequence % 8 & 1) != 0;
}

void cmd_joblog_ran_done(struct cmd_joblog_ran *ran)
{
    ran->bits = mem_free(ran->bits);
    ran->n_bytes = 0;
}

static int read_lines(FILE *log, bool is_failed_again, struct cmd_joblog_ran *ran, off_t *ret_whole,
                      unsigned *ret_line)
{
    char *line = NULL;
    size_t n_room = 0;
    int r = 0;
    off_t whole = 0;
    unsigned i_line = 0;
    for (ssize_t n; r == 0 && (n = getline(&line, &n_room, log)) > 0 && line[n - 1] == '\n';) {
        uint32_t sequence;
        bool is_success;
        whole += n;
        if (i_line++ == 0 && strncmp(line, "Seq\t", 4) == 0) {
            continue;
        }
        r = parse_line(line, &sequence, &is_success);
        if (r == 0 && (is_success || !is_failed_again)) {
            r = note_ran(ran, sequence);
        }
    }
    r = r == 0 && ferror(log) ? -EIO : r;
    free(line); /* getline()'s */
    *ret_whole = whole;
    *ret_line = i_line;
    return r;
}

int cmd_joblog_read(const char *path, bool is_failed_again, struct cmd_joblog_ran *ret_ran,
                    struct errmsg *err)
{
    char shown[256];
    off_t whole = 0;
    unsigned i_line = 0;
    text_printable(slice_str(path), shown, sizeof(shown));
    *ret_ran = (struct cmd_joblog_ran){0};
    FILE *log = fopen(path, "r+e");
    if (log == NULL && errno == ENOENT) {
        return 0;
    }
    int r = log == NULL ? -errno : read_lines(log, is_failed_again, ret_ran, &whole, &i_line);
    if (r == 0 && ftruncate(fileno(log), whole) < 0) {
        r = -errno;
    }
    if (log != NULL) {
        fclose(log); /* was only read, and cut */
    }
    if (r == -EINVAL) {
        errmsg_set(err, "%s is no joblog: line %u is none of one", shown, i_line);
    } else if (r < 0) {
        errmsg_set(err, "cannot read the joblog %s: %s", shown, strerror(-r));
    }
    if (r < 0) {
        cmd_joblog_ran_done(ret_ran);
    }
    return r;
}

/* --- writing -----------------------------------------------------------------------------------
 */

/* A line's end or a tab inside the command would break the file's rows: they become spaces. */
static void put_command(FILE *log, struct slice command)
{
    for (size_t i = 0; i < command.n; i++) {
        int c = command.p[i];
        putc(c == '\n' || c == '\t' ? ' ' : c, log);
    }
}

int cmd_joblog_write(FILE *log, uint64_t sequence, const struct wire_done *done,
                     struct slice command, struct errmsg *err)
{
    char host[WIRE_NAME_BYTES_MAX * 4 + 8];
    double runtime_s = (double)done->result.wall_us / 1e6;
    /* Seen from here, as parallel does; the executor's clock may differ. */
    double start_s = mesh_client_wall_s() - runtime_s;
    int exit_value;
    int signal;
    cmd_result_parallel(done, &exit_value, &signal);
    fprintf(log, "%" PRIu64 "\t%s\t%.3f\t%10.3f\t0\t%" PRIu64 "\t%d\t%d\t", sequence,
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
