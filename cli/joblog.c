#include "cli/joblog.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "cli/result.h"
#include "mesh/client/clock.h"
#include "wire/base/buf.h"
#include "wire/base/mem.h"
#include "wire/base/text.h"
#include "wire/limits.h"

#define JOBLOG_FIELDS 8u /* up to Signal; the command is behind them */
#define READ_BYTES    (1u << 20)

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

/* The next of a line's fields, which tabs part; `rest` moves behind it. */
static struct slice take_field(struct slice *rest)
{
    const uint8_t *tab = memchr(rest->p, '\t', rest->n);
    struct slice field = slice_of(rest->p, tab != NULL ? (size_t)(tab - rest->p) : rest->n);
    *rest = slice_from(*rest, tab != NULL ? field.n + 1 : field.n);
    return field;
}

static bool is_number(struct slice field, uint64_t max, uint64_t *ret_number)
{
    char text[24];
    size_t n_sign = field.n > 0 && field.p[0] == '-' ? 1 : 0;
    if (field.n - n_sign >= sizeof(text)) {
        return false;
    }
    snprintf(text, sizeof(text), "%.*s", SLICE_FMT(slice_from(field, n_sign)));
    return text_parse_u64(text, max, ret_number) == 0;
}

/* A line of the log: its number, and whether it says exit status 0 and no signal. 0 or -EINVAL. */
static int parse_line(struct slice line, uint32_t *ret_sequence, bool *ret_is_success)
{
    uint64_t sequence = 0;
    uint64_t exit_value = 0;
    uint64_t signal = 0;
    struct slice fields[JOBLOG_FIELDS];
    for (unsigned i = 0; i < JOBLOG_FIELDS; i++) {
        fields[i] = take_field(&line);
    }
    if (!is_number(fields[0], UINT32_MAX, &sequence) || sequence == 0 ||
        !is_number(fields[6], UINT32_MAX, &exit_value) ||
        !is_number(fields[7], UINT32_MAX, &signal)) {
        return -EINVAL;
    }
    *ret_sequence = (uint32_t)sequence;
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

static int read_all(FILE *log, struct buf *to)
{
    size_t n;
    do {
        uint8_t *room = buf_reserve(to, READ_BYTES);
        if (room == NULL) {
            return -ENOMEM;
        }
        n = fread(room, 1, READ_BYTES, log);
        buf_extend(to, n);
    } while (n > 0);
    return ferror(log) ? -EIO : 0;
}

/* *ret_whole is where the last whole line ends. */
static int read_lines(struct slice text, bool is_failed_again, struct cmd_joblog_ran *ran,
                      size_t *ret_whole, unsigned *ret_line)
{
    const uint8_t *end;
    int r = 0;
    *ret_whole = 0;
    *ret_line = 0;
    while (r == 0 && text.n > 0 && (end = memchr(text.p, '\n', text.n)) != NULL) {
        struct slice line = slice_of(text.p, (size_t)(end - text.p));
        uint32_t sequence;
        bool is_success;
        text = slice_from(text, line.n + 1);
        *ret_whole += line.n + 1;
        if (++*ret_line == 1 && line.n >= 4 && memcmp(line.p, "Seq\t", 4) == 0) {
            continue;
        }
        r = parse_line(line, &sequence, &is_success);
        if (r == 0 && (is_success || !is_failed_again)) {
            r = note_ran(ran, sequence);
        }
    }
    return r;
}

int cmd_joblog_read(const char *path, bool is_failed_again, struct cmd_joblog_ran *ret_ran,
                    struct errmsg *err)
{
    char shown[256];
    size_t whole = 0;
    unsigned i_line = 0;
    struct buf text;
    buf_init(&text, SIZE_MAX);
    text_printable(slice_str(path), shown, sizeof(shown));
    *ret_ran = (struct cmd_joblog_ran){0};
    FILE *log = fopen(path, "r+e");
    if (log == NULL && errno == ENOENT) {
        return 0;
    }
    int r = log == NULL ? -errno : read_all(log, &text);
    if (r == 0) {
        r = read_lines(buf_slice(&text), is_failed_again, ret_ran, &whole, &i_line);
    }
    if (r == 0 && ftruncate(fileno(log), (off_t)whole) < 0) {
        r = -errno;
    }
    buf_done(&text);
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
