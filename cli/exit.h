/* Every exit status of `mesh`. The same list stands in mesh(1), under EXIT STATUS; a test compares
 * them. */
#ifndef MESH_CLI_EXIT_H
#define MESH_CLI_EXIT_H

/* X(NAME, status, what it means) */
#define CMD_EXITS(X)                                                                               \
    X(OK, 0, "success; all tasks succeeded")                                                       \
    X(FAILED, 1, "a command other than submit failed")                                             \
    X(USAGE, 2, "a command other than submit was used wrongly")                                    \
    X(TASKS_MAX, 100, "1 to 100: that many tasks failed")                                          \
    X(TASKS_MORE, 101, "more than 100 tasks failed")                                               \
    X(MESH, 125, "submit: mesh itself failed, or was used wrongly")                                \
    X(NOT_EXECUTABLE, 126, "submit: the program is not executable")                                \
    X(NOT_FOUND, 127, "submit: the program was not found")                                         \
    X(SIGNAL, 128, "128+N: the one task was ended by signal N")                                    \
    X(SIGINT, 130, "ended by Ctrl-C")                                                              \
    X(SIGPIPE, 141, "whoever read the output went away")                                           \
    X(SIGTERM, 143, "ended by SIGTERM")

#define CMD_ENUM_EXIT(name, status, text) CMD_EXIT_##name = status,
enum cmd_exit { CMD_EXITS(CMD_ENUM_EXIT) };

#endif
