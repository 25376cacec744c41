// What the tests of quant/ share: reproducible random weights. Not a test. Thread rule: one thread.
#ifndef HONE_TESTS_UNIT_QUANT_TEST_H
#define HONE_TESTS_UNIT_QUANT_TEST_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "quant/nested.h"
#include "quant/quantizer.h"
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

// Gives nf4dq the second level of its scales for all of rows (N, Kp); the caller frees. NULL for
// other formats.
static inline float *test_second(hone_quantizer_t *q, const float *rows, uint64_t N) {
  if (q->format.storage != HONE_NF4DQ) return NULL;
  uint64_t count = N * q->group_count;
  float *second = calloc(hone_packed_second_count(q->format, N, q->K), sizeof(float));
  hone_packed_second_t places;
  assert_true(hone_packed_second_init(&places, q->format, q->K, &N, 1, false));
  float *scales = malloc(count * sizeof(float)), *weights = malloc(count * sizeof(float));
  for (uint64_t n = 0; n < N; n++)
    hone_quantizer_free_scales(q, rows + n * q->Kp, scales + n * q->group_count,
                               weights + n * q->group_count);
  hone_nested_fit(scales, weights, count, second, &places.offset[0]);
  hone_quantizer_set_second(q, second, &places);
  free(scales);
  free(weights);
  return second;
}

#endif
