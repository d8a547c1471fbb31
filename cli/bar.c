#include "cli/bar.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "mesh/client/clock.h"
#include "wire/base/ensure.h"
#include "wire/base/text.h"

#define DRAW_EVERY_MS   100
#define COLUMNS_MAX     240u
#define COLUMNS_DEFAULT 80u

static unsigned terminal_columns(void)
{
    struct winsize size;
    uint64_t columns;
    const char *text = getenv("COLUMNS");
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        return size.ws_col;
    }
    if (text != NULL && text_parse_u64(text, COLUMNS_MAX, &columns) == 0 && columns > 0) {
        return (unsigned)columns;
    }
    return COLUMNS_DEFAULT;
}

static void put(const char *text)
{
    IGNORE(write(STDERR_FILENO, text, strlen(text))); /* a bar that cannot be seen is no failure */
}

void cmd_bar_init(struct cmd_bar *bar, bool is_on)
{
    *bar = (struct cmd_bar){.is_on = is_on,
                            .is_terminal = isatty(STDERR_FILENO) == 1,
                            .start_ms = mesh_client_now_ms()};
    bar->drawn_ms = bar->start_ms - DRAW_EVERY_MS;
}

static void duration_text(int64_t ms, char *to, size_t n_to)
{
    int64_t s = (ms + 999) / 1000;
    if (s < 100) {
        snprintf(to, n_to, "%" PRId64 "s", s);
    } else if (s < 6000) {
        snprintf(to, n_to, "%" PRId64 "m%02" PRId64 "s", s / 60, s % 60);
    } else {
        snprintf(to, n_to, "%" PRId64 "h%02" PRId64 "m", s / 3600, s / 60 % 60);
    }
}

/* "12/40 tasks, 1 failed, ETA 5s" */
static void figures_text(const struct cmd_progress *p, int64_t elapsed_ms, char *to, size_t n_to)
{
    char time_text[32];
    char failed[40] = "";
    if (p->n_failed > 0) {
        snprintf(failed, sizeof(failed), ", %" PRIu64 " failed", p->n_failed);
    }
    bool has_eta = p->is_total && p->n_done > 0 && p->n_done < p->n_known;
    double rest = has_eta ? (double)(p->n_known - p->n_done) / (double)p->n_done : 0;
    duration_text(has_eta ? (int64_t)((double)elapsed_ms * rest) : elapsed_ms, time_text,
                  sizeof(time_text));
    snprintf(to, n_to, "%" PRIu64 "/%" PRIu64 "%s tasks%s, %s%s", p->n_done, p->n_known,
             p->is_total ? "" : "+", failed, has_eta ? "ETA " : "", time_text);
}

void cmd_bar_format(const struct cmd_progress *progress, int64_t elapsed_ms, unsigned n_columns,
                    char *to, unsigned n_to)
{
    char figures[128];
    figures_text(progress, elapsed_ms, figures, sizeof(figures));
    unsigned n_figures = (unsigned)strlen(figures);
    unsigned n_max = n_columns < n_to ? n_columns : n_to - 1;
    unsigned n_bar = n_max > n_figures + 20 && progress->is_total ? n_max - n_figures - 9 : 0;
    if (n_bar == 0) {
        snprintf(to, n_max + 1, "%s", figures);
        return;
    }
    uint64_t n_known = progress->n_known > 0 ? progress->n_known : 1;
    uint64_t n_full = progress->n_done >= n_known
                          ? n_bar
                          : (uint64_t)((double)progress->n_done / (double)n_known * n_bar);
    unsigned percent = (unsigned)((double)progress->n_done * 100 / (double)n_known);
    unsigned n = (unsigned)snprintf(to, n_to, "%3u%% [", percent <= 100 ? percent : 100);
    for (unsigned i = 0; i < n_bar; i++) {
        to[n++] = i < n_full ? '#' : ' ';
    }
    snprintf(to + n, n_to - n, "] %s", figures);
}

static void print_tenths(struct cmd_bar *bar, const struct cmd_progress *progress, bool is_last)
{
    uint64_t n_known = progress->n_known > 0 ? progress->n_known : 1;
    uint64_t tenths = progress->is_total ? progress->n_done * 10 / n_known : 0;
    if (tenths == bar->tenths && !(is_last && tenths < 10)) {
        return;
    }
    bar->tenths = tenths;
    char figures[128];
    char line[160];
    figures_text(progress, mesh_client_now_ms() - bar->start_ms, figures, sizeof(figures));
    snprintf(line, sizeof(line), "%s\n", figures);
    put(line);
}

void cmd_bar_update(struct cmd_bar *bar, const struct cmd_progress *progress, bool is_last)
{
    if (!bar->is_on) {
        return;
    }
    if (!bar->is_terminal) {
        print_tenths(bar, progress, is_last);
        return;
    }
    int64_t now = mesh_client_now_ms();
    if (!is_last && now - bar->drawn_ms < DRAW_EVERY_MS) {
        return;
    }
    char text[COLUMNS_MAX + 1];
    char line[COLUMNS_MAX + 16];
    unsigned n_columns = terminal_columns();
    n_columns = n_columns < COLUMNS_MAX ? n_columns : COLUMNS_MAX;
    cmd_bar_format(progress, now - bar->start_ms, n_columns - 1, text, sizeof(text));
    snprintf(line, sizeof(line), "\r%s\033[K%s", text, is_last ? "\n" : "");
    put(line);
    bar->drawn_ms = now;
    bar->is_shown = !is_last;
}

void cmd_bar_hide(struct cmd_bar *bar)
{
    if (bar->is_shown) {
        put("\r\033[K");
        bar->is_shown = false;
        bar->drawn_ms = 0; /* comes back as soon as there is time */
    }
}

int cmd_bar_timeout_ms(const struct cmd_bar *bar)
{
    return bar->is_on && bar->is_terminal ? DRAW_EVERY_MS : -1;
}
