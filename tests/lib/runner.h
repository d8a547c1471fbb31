/* The main() of a unit test binary: one Check suite, TAP on standard output, fork mode. */
#ifndef MESH_TESTS_RUNNER_H
#define MESH_TESTS_RUNNER_H

#include <check.h>

/* Runs the suite and frees it; the number to return from main(). TAP goes to standard output,
 * unless $CK_TAP_LOG_FILE_NAME says otherwise. */
int run_suite(Suite *suite);

#endif
