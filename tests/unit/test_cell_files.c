/* Files that come into a task's directory before it starts, and what it brings back: in bare cells
 * and in sandboxes. What a task does to be given, or to have returned, what is not its own. */
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/cell_fixture.h"

struct task {
    struct wire_task_file files[64];
    uint32_t n_files;
    struct slice returns[8];
    uint32_t n_returns;
    const char *workdir;
};

static void run_task(struct cell_fixture *fx, const struct task *task, const char *script)
{
    struct slice words[] = {slice_str("sh"), slice_str("-c"), slice_str(script)};
    struct cell_start start = cell_command(words, 3);
    start.files = (struct wire_task_files){.items = task->files, .n = task->n_files};
    start.returns = (struct wire_slices){.items = task->returns, .n = task->n_returns};
    start.workdir = slice_str(task->workdir != NULL ? task->workdir : "");
    fx->n_opened = 0;
    buf_clear(&fx->returned);
    cell_run(fx, &start);
}

/* By name: the order of a directory is nobody's promise. */
static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void assert_returned(struct cell_fixture *fx, const char *expected)
{
    char *lines[64];
    size_t n = 0;
    struct buf sorted;
    buf_init(&sorted, MIB);
    for (char *save, *at = strtok_r((char *)(uintptr_t)buf_cstr(&fx->returned), "\n", &save);
         at != NULL && n < ARRAY_LEN(lines); at = strtok_r(NULL, "\n", &save)) {
        lines[n++] = at;
    }
    qsort(lines, n, sizeof lines[0], by_text);
    for (size_t i = 0; i < n; i++) {
        buf_printf(&sorted, "%s\n", lines[i]);
    }
    ck_assert_str_eq(buf_cstr(&sorted), expected);
    buf_done(&sorted);
}

START_TEST(files_stand_in_the_tasks_directory_and_are_its_own)
{
    static const char *const contents[] = {"one", "two", ""};
    const struct task task = {.files = {{.path = slice_str("d/e"), .mode = 0555},
                                        {.path = slice_str("d/f"), .mode = 0640, .ref = 1},
                                        {.path = slice_str("g"), .mode = 0755, .ref = 2},
                                        {.path = slice_str("deep/er/h"), .mode = 0444, .ref = 1}},
                              .n_files = 4,
                              .workdir = "w/x"};
    struct cell_fixture fx;
    if (cell_skips(_i)) {
        return;
    }
    cell_fixture_init(&fx);
    cell_fixture_add(&fx, "job", "of the job", 10, false);
    cell_fixture_make(&fx, _i);
    fx.contents = contents;
    for (int round = 0; round < 2; round++) { /* the cell is as new after the first */
        run_task(&fx, &task,
                 "cat d/f g deep/er/h job; stat -c ' %a %n' d/e d/f g deep/er/h; ls -A d/e;"
                 "echo more >> d/f && cat d/f; pwd | grep -c 'task/w/x$'; touch left $HOME/left");
        cell_assert_end(&fx, WIRE_END_EXITED, 0);
        ck_assert_str_eq(
            buf_cstr(&fx.out),
            "onetwoof the job 755 d/e\n 640 d/f\n 755 g\n 444 deep/er/h\nonemore\n1\n");
        buf_clear(&fx.out);
    }
    cell_fixture_done(&fx);
}
END_TEST

START_TEST(more_files_come_than_descriptors_go_at_once)
{
    const char *contents[64];
    char names[64][8];
    struct task task = {.n_files = 64};
    for (uint32_t i = 0; i < 64; i++) {
        snprintf(names[i], sizeof names[i], "f%02u", i);
        contents[i] = names[i];
        task.files[i] =
            (struct wire_task_file){.path = slice_str(names[i]), .mode = 0600, .ref = 1};
    }
    struct cell_fixture fx;
    if (!cell_fixture_begin(&fx, _i)) {
        return;
    }
    fx.contents = contents;
    run_task(&fx, &task, "for f in f*; do [ $(cat $f) = $f ] || echo $f; done; ls | wc -l");
    cell_assert_end(&fx, WIRE_END_EXITED, 0);
    ck_assert_str_eq(buf_cstr(&fx.out), "64\n");
    ck_assert_uint_eq(fx.n_opened, 64);
    cell_fixture_done(&fx);
}
END_TEST

START_TEST(what_is_returned_is_what_was_asked_for)
{
    const struct task task = {
        .returns = {slice_str("f"), slice_str("d"), slice_str("d/in"), slice_str("none")},
        .n_returns = 4};
    struct cell_fixture fx;
    if (!cell_fixture_begin(&fx, _i)) {
        return;
    }
    run_task(&fx, &task,
             "umask 0; echo -n F > f; chmod 4711 f; mkdir -p d/in d/no; echo -n G > d/in/g;"
             "chmod 700 d/no; echo not asked > h; exit 3");
    cell_assert_end(&fx, WIRE_END_EXITED, 3);
    assert_returned(&fx, "*d 777/\n*d/in 777/\n*f 711: F\n*none! it is not there\n"
                         "d/in 777/\nd/in/g 666: G\nd/in/g 666: G\nd/no 700/\n");
    cell_fixture_done(&fx);
}
END_TEST

START_TEST(no_link_is_followed_and_nothing_but_files_taken)
{
    const struct task task = {.returns = {slice_str("link"), slice_str("dirlink/passwd"),
                                          slice_str("d"), slice_str("job"), slice_str("pipe"),
                                          slice_str("f/x")},
                              .n_returns = 6};
    struct cell_fixture fx;
    if (cell_skips(_i)) {
        return;
    }
    cell_fixture_init(&fx);
    cell_fixture_add(&fx, "job", "J", 1, false);
    cell_fixture_make(&fx, _i);
    run_task(&fx, &task,
             "ln -s /etc/passwd link; ln -s /etc dirlink; mkdir d; ln -s / d/root;"
             "ln -s ../../../../etc/passwd d/up; mkfifo pipe d/pipe; echo -n x > d/f; touch f;"
             "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"d/s\")' 2>/dev/null;"
             "[ -S d/s ] || mkfifo d/s");
    cell_assert_end(&fx, WIRE_END_EXITED, 0);
    assert_returned(&fx, "*d 755/\n"
                         "*dirlink/passwd! it is a symbolic link, or lies behind one\n"
                         "*f/x! it is not there\n"
                         "*job! it is a symbolic link, or lies behind one\n"
                         "*link! it is a symbolic link, or lies behind one\n"
                         "*pipe! it is neither a file nor a directory\n"
                         "d/f 644: x\n"
                         "d/pipe! it is neither a file nor a directory\n"
                         "d/root! it is a symbolic link, or lies behind one\n"
                         "d/s! it is neither a file nor a directory\n"
                         "d/up! it is a symbolic link, or lies behind one\n");
    cell_fixture_done(&fx);
}
END_TEST

/* A directory that was moved away and replaced is still the one that the task started in. */
START_TEST(the_tasks_directory_is_no_name)
{
    const struct task task = {.returns = {slice_str("f")}, .n_returns = 1, .workdir = "w"};
    struct cell_fixture fx;
    if (!cell_fixture_begin(&fx, _i)) {
        return;
    }
    run_task(&fx, &task, "echo -n right > f; cd ..; mv w v; ln -s /etc w; mkdir x; echo no > x/f");
    cell_assert_end(&fx, WIRE_END_EXITED, 0);
    assert_returned(&fx, "*f 644: right\n");
    cell_fixture_done(&fx);
}
END_TEST

START_TEST(nothing_runs_while_files_are_taken)
{
    const struct task task = {.returns = {slice_str("f"), slice_str("pid")}, .n_returns = 2};
    struct cell_fixture fx;
    if (!cell_fixture_begin(&fx, _i)) {
        return;
    }
    run_task(&fx, &task,
             "echo -n stays > f; (setsid sh -c 'trap \"\" TERM HUP; while :; do echo -n bad > f;"
             "sleep 1; echo -n stays > f; sleep 0.1; done' &) ; sleep 0.05;"
             "echo -n stays > f; echo -n 1 > pid");
    cell_assert_end(&fx, WIRE_END_EXITED, 0);
    ck_assert(fx.is_usable); /* all is dead and gone */
    ck_assert_ptr_nonnull(strstr(buf_cstr(&fx.returned), "*pid 644: 1"));
    cell_fixture_done(&fx);
}
END_TEST

START_TEST(a_content_that_cannot_be_had_refuses_the_task)
{
    static const char *const contents[] = {"one", NULL};
    static const char *const good[] = {"one", "two"};
    const struct task task = {.files = {{.path = slice_str("a"), .mode = 0600, .ref = 1},
                                        {.path = slice_str("b"), .mode = 0600, .ref = 2}},
                              .n_files = 2};
    struct cell_fixture fx;
    if (!cell_fixture_begin(&fx, _i)) {
        return;
    }
    fx.contents = contents;
    run_task(&fx, &task, "cat a b");
    ck_assert(fx.is_refused);
    ck_assert_int_eq(fx.refusal, WIRE_REFUSAL_NO_BLOB);
    ck_assert(fx.is_usable);
    ck_assert(!fx.is_started);
    fx.contents = good;
    fx.is_refused = false;
    run_task(&fx, &task, "cat a b");
    cell_assert_end(&fx, WIRE_END_EXITED, 0);
    ck_assert_str_eq(buf_cstr(&fx.out), "onetwo");
    cell_fixture_done(&fx);
}
END_TEST

START_TEST(places_that_cannot_be_refuse_the_task)
{
    static const char *const contents[] = {"one", "two"};
    const struct task task = {.files = {{.path = slice_str("a"), .mode = 0600, .ref = 1},
                                        {.path = slice_str("a/b"), .mode = 0600, .ref = 2}},
                              .n_files = 2};
    struct cell_fixture fx;
    if (cell_skips(_i)) {
        return;
    }
    cell_fixture_init(&fx);
    cell_fixture_add(&fx, "a", "of the job", 10, false);
    cell_fixture_make(&fx, _i);
    fx.contents = contents;
    run_task(&fx, &task, "true");
    ck_assert(fx.is_refused);
    ck_assert(fx.is_usable);
    cell_fixture_done(&fx);
}
END_TEST

static void kill_it(struct cell_fixture *fx)
{
    cell_kill(fx->cell, WIRE_END_CANCELLED); /* and the file is never taken */
}

START_TEST(one_that_is_killed_while_it_returns_is_killed)
{
    const struct task task = {.returns = {slice_str("f"), slice_str("g")}, .n_returns = 2};
    struct cell_fixture fx;
    if (!cell_fixture_begin(&fx, _i)) {
        return;
    }
    fx.when_returned = kill_it;
    run_task(&fx, &task, "touch f g");
    ck_assert_int_eq(fx.result.end, WIRE_END_CANCELLED);
    ck_assert(fx.is_usable);
    fx.when_returned = NULL;
    run_task(&fx, &task, "touch f; ls");
    cell_assert_end(&fx, WIRE_END_EXITED, 0);
    assert_returned(&fx, "*f 644: \n*g! it is not there\n");
    cell_fixture_done(&fx);
}
END_TEST

int main(void)
{
    cell_find_sandbox();
    Suite *suite = suite_create("cell_files");
    TCase *tc = tcase_create("cell_files");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, files_stand_in_the_tasks_directory_and_are_its_own, 0, CELL_MODES);
    tcase_add_loop_test(tc, more_files_come_than_descriptors_go_at_once, 0, CELL_MODES);
    tcase_add_loop_test(tc, what_is_returned_is_what_was_asked_for, 0, CELL_MODES);
    tcase_add_loop_test(tc, no_link_is_followed_and_nothing_but_files_taken, 0, CELL_MODES);
    tcase_add_loop_test(tc, the_tasks_directory_is_no_name, 0, CELL_MODES);
    tcase_add_loop_test(tc, nothing_runs_while_files_are_taken, 0, CELL_MODES);
    tcase_add_loop_test(tc, a_content_that_cannot_be_had_refuses_the_task, 0, CELL_MODES);
    tcase_add_loop_test(tc, places_that_cannot_be_refuse_the_task, 0, CELL_MODES);
    tcase_add_loop_test(tc, one_that_is_killed_while_it_returns_is_killed, 0, CELL_MODES);
    suite_add_tcase(suite, tc);
    return run_suite(suite);
}
