/* What a fuzz target defines. libFuzzer calls it in a fuzzing build, replay.c in every other. */
#ifndef MESH_TESTS_FUZZ_H
#define MESH_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Reads n bytes as if a stranger had sent them. Keeps nothing, prints nothing, always gives 0;
 * what may not be is an ensure(), an abort() or a sanitizer's finding. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

#endif
