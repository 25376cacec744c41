// What the tests of quant/ share: reproducible random weights. Not a test. Thread rule: one thread.
#ifndef HONE_TESTS_UNIT_QUANT_TEST_H
#define HONE_TESTS_UNIT_QUANT_TEST_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/unit.h"

// xorshift64*, as a double in [0, 1).
static inline double test_random(uint64_t *state) {
  uint64_t x = *state;
  x ^= x >> 12;
  x ^= x << 25;
  x ^= x >> 27;
  *state = x;
  return (double)((x * 0x2545f4914f6cdd1dull) >> 11) * 0x1p-53;
}

static inline double test_normal(uint64_t *state) {
  double u = test_random(state) + 1e-12, v = test_random(state);
  return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

#endif
