// The rotation against its definition, element by element: orthonormal, its own inverse, and the
// same from both sides.
#include "quant/hadamard.h"

#include "tests/unit/quant/test.h"

enum { INPUTS = 256, ROWS = 5 };
static const uint32_t blocks[] = {32, 64, 128};
enum { BLOCKS = sizeof blocks / sizeof *blocks };

// R[i][j]
static double element(uint64_t i, uint64_t j, uint32_t block) {
  if (i / block != j / block) return 0;
  double size = 1 / sqrt((double)block);
  return __builtin_popcountll(i % block & j % block) % 2 ? -size : size;
}

static float *random_matrix(uint64_t N, uint64_t seed) {
  float *matrix = malloc(N * INPUTS * sizeof *matrix);
  assert_non_null(matrix);
  for (uint64_t i = 0; i < N * INPUTS; i++) matrix[i] = (float)test_normal(&seed);
  return matrix;
}

static void check_close(double got, double want) {
  if (fabs(got - want) > 1e-5) fail_msg("%.9g, should be %.9g", got, want);
}

static void check_rows(uint32_t block) {
  float *before = random_matrix(ROWS, 1), *after = random_matrix(ROWS, 1);
  hone_hadamard_columns(after, ROWS, INPUTS, block);
  for (uint64_t r = 0; r < ROWS; r++) {
    double length[2] = {0};
    for (uint64_t j = 0; j < INPUTS; j++) {
      double sum = 0, was = (double)before[r * INPUTS + j], is = (double)after[r * INPUTS + j];
      for (uint64_t i = 0; i < INPUTS; i++)
        sum += (double)before[r * INPUTS + i] * element(i, j, block);
      check_close(is, sum);
      length[0] += was * was;
      length[1] += is * is;
    }
    assert_true(fabs(length[0] - length[1]) < 1e-5 * length[0]);
  }
  hone_hadamard_columns(after, ROWS, INPUTS, block);
  for (uint64_t i = 0; i < ROWS * INPUTS; i++) check_close((double)after[i], (double)before[i]);
  free(before);
  free(after);
}

static void rows_are_multiplied(void **state) {
  (void)state;
  for (int i = 0; i < BLOCKS; i++) check_rows(blocks[i]);
}

static void check_both(uint32_t block) {
  float *before = random_matrix(INPUTS, 2), *after = random_matrix(INPUTS, 2);
  double trace[2] = {0};
  hone_hadamard_both(after, INPUTS, block);
  for (uint64_t i = 0; i < INPUTS; i += 7) {
    for (uint64_t j = 0; j < INPUTS; j += 5) {
      double sum = 0;
      uint64_t a_first = i / block * block, b_first = j / block * block;
      for (uint64_t a = a_first; a < a_first + block; a++)
        for (uint64_t b = b_first; b < b_first + block; b++)
          sum += element(i, a, block) * (double)before[a * INPUTS + b] * element(b, j, block);
      check_close((double)after[i * INPUTS + j], sum);
    }
  }
  for (uint64_t i = 0; i < INPUTS; i++) {
    trace[0] += (double)before[i * INPUTS + i];
    trace[1] += (double)after[i * INPUTS + i];
  }
  assert_true(fabs(trace[0] - trace[1]) < 1e-3);
  free(before);
  free(after);
}

static void both_sides_are_multiplied(void **state) {
  (void)state;
  for (int i = 0; i < BLOCKS; i++) check_both(blocks[i]);
}

static void an_outlier_is_spread(void **state) {
  (void)state;
  float row[64] = {[5] = 8};
  hone_hadamard_columns(row, 1, 64, 64);
  for (int i = 0; i < 64; i++) assert_true(fabsf(row[i]) == 1);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(rows_are_multiplied),
                                     cmocka_unit_test(both_sides_are_multiplied),
                                     cmocka_unit_test(an_outlier_is_spread)};
  return cmocka_run_group_tests_name("hadamard", tests, NULL, NULL);
}
