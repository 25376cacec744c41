// What the tests of codegen/ share beside tests/unit/unit.h: text checks and reproducible numbers.
// Not a test. Thread rule: one thread.
#ifndef HONE_TESTS_UNIT_CODEGEN_TEST_H
#define HONE_TESTS_UNIT_CODEGEN_TEST_H

#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/unit.h"

#define assert_ok(status, call) assert_works(call, status)

static inline void assert_contains(const char *text, const char *part) {
  if (!strstr(text, part)) fail_msg("\"%s\" does not contain \"%s\"", text, part);
}

// xorshift64*, as a double in [0, 1).
static inline double test_random(uint64_t *state) {
  uint64_t x = *state;
  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  *state = x;
  return (double)((x * 0x2545f4914f6cdd1dull) >> 11) * 0x1p-53;
}

#endif
