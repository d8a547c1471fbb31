#include "mesh/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include "mesh/clock.h"
#include "wire/base/buf.h"
#include "wire/base/rate.h"
#include "wire/base/text.h"

#define LOG_LINE_BYTES 1024

static const char *const level_texts[] = {
    [CORE_LOG_ERROR] = "error",
    [CORE_LOG_WARN] = "warn",
    [CORE_LOG_INFO] = "info",
    [CORE_LOG_DEBUG] = "debug",
};

const char *meshd_log_level_text(enum core_log_level level)
{
    ensure((size_t)level < ARRAY_LEN(level_texts));
    return level_texts[level];
}

static const char *text_prefix(enum core_log_level level)
{
    switch (level) {
    case CORE_LOG_ERROR:
        return "error: ";
    case CORE_LOG_WARN:
        return "warning: ";
    case CORE_LOG_INFO:
        return "";
    case CORE_LOG_DEBUG:
        return "debug: ";
    }
    ensure(!"reached");
    return "";
}

static void append_json_string(struct buf *to, const char *s)
{
    buf_append_u8(to, '"');
    for (; *s != '\0'; s++) {
        if (*s == '"' || *s == '\\') {
            buf_append_u8(to, '\\');
        }
        buf_append_u8(to, (uint8_t)*s);
    }
    buf_append_u8(to, '"');
}

static void write_line(const struct meshd_log *log, enum core_log_level level, struct slice text)
{
    char printable[LOG_LINE_BYTES];
    text_printable(text, printable, sizeof(printable));
    struct buf line;
    buf_init(&line, 4 * LOG_LINE_BYTES);
    if (log->is_json) {
        char now[MESHD_CLOCK_TEXT_BYTES];
        buf_printf(&line, "{\"time\":\"%s\",\"level\":\"%s\",\"text\":", meshd_clock_text(now),
                   meshd_log_level_text(level));
        append_json_string(&line, printable);
        buf_append_str(&line, "}\n");
    } else {
        buf_printf(&line, "meshd: %s%s\n", text_prefix(level), printable);
    }
    /* One write, so that lines of several daemons do not mix. A log that cannot be written is no
     * reason to stop working. */
    IGNORE(write(log->fd, line.p, line.n));
    buf_done(&line);
}

void meshd_log_slice(const struct meshd_log *log, enum core_log_level level, struct slice text)
{
    if (level > log->level) {
        return;
    }
    if (log->rate == NULL || log->level == CORE_LOG_DEBUG) {
        write_line(log, level, text);
    } else if (!rate_take(&log->rate->paid_ns, meshd_clock_ns(), MESHD_LOG_PER_S,
                          MESHD_LOG_BURST)) {
        log->rate->n_left_out++;
    } else {
        if (log->rate->n_left_out > 0) {
            char line[64];
            IGNORE(snprintf(line, sizeof(line), "%llu lines were left out here",
                            (unsigned long long)log->rate->n_left_out)); /* fits */
            log->rate->n_left_out = 0;
            write_line(log, CORE_LOG_WARN, slice_str(line));
        }
        write_line(log, level, text);
    }
}

void meshd_log(const struct meshd_log *log, enum core_log_level level, const char *format, ...)
{
    if (level > log->level) {
        return;
    }
    char text[LOG_LINE_BYTES];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    ensure(n >= 0);
    meshd_log_slice(log, level, slice_str(text));
}
