// The sampler: known random numbers, right frequencies, the nucleus, refusal of NaN.
#include "runtime/sampler.h"

#include "tests/unit/runtime/toy.h"

enum { DRAWS = 200000 };

static int32_t pick(const float *probabilities, uint32_t vocab, float top_p, double unit) {
  hone_candidate_t scratch[64];
  hone_status_t status = {0};
  int32_t id = -1;
  if (!hone_sample_pick(probabilities, vocab, top_p, unit, scratch, &id, &status))
    fail_msg("%s", status.message);
  return id;
}

static void random_numbers_are_uniform_and_fixed(void **state) {
  (void)state;
  double sum = 0, square = 0;
  for (uint64_t i = 0; i < DRAWS; ++i) {
    double unit = hone_random_unit(42, i);
    assert_true(unit >= 0 && unit < 1);
    sum += unit;
    square += unit * unit;
  }
  assert_true(fabs(sum / DRAWS - 0.5) < 0.003);
  assert_true(fabs(square / DRAWS - 1.0 / 3) < 0.003);
  // These must never change: seeds are promises. SplitMix64 by hand for seed 0: mix(0) = 0, so this
  // is its first output.
  assert_true(hone_random_unit(0, 0) == (double)(0xe220a8397b1dcdafull >> 11) * 0x1p-53);
  assert_true(hone_random_unit(1, 0) != hone_random_unit(0, 0));
  assert_true(hone_random_unit(1, 5) == hone_random_unit(1, 5));
}

static void frequencies_follow_probabilities(void **state) {
  (void)state;
  static const float probabilities[] = {0.1f, 0, 0.4f, 0.2f, 0.3f};
  int counts[5] = {0};
  for (uint64_t i = 0; i < DRAWS; ++i)
    counts[pick(probabilities, 5, 0, hone_random_unit(7, i))] += 1;
  for (int i = 0; i < 5; ++i)
    assert_true(fabs((double)counts[i] / DRAWS - probabilities[i]) < 0.006);
  assert_int_equal(counts[1], 0);
  assert_int_equal(pick(probabilities, 5, 1, 0.0), 0);
  assert_int_equal(pick(probabilities, 5, 1, 1 - 0x1p-53), 4);
}

static void nucleus_keeps_the_likeliest(void **state) {
  (void)state;
  static const float probabilities[] = {0.05f, 0.4f, 0.15f, 0.3f, 0.1f};
  int counts[5] = {0};
  for (uint64_t i = 0; i < DRAWS; ++i)
    counts[pick(probabilities, 5, 0.75f, hone_random_unit(3, i))] += 1;
  // 0.4 + 0.3 < 0.75 <= 0.4 + 0.3 + 0.15
  assert_int_equal(counts[0] + counts[4], 0);
  assert_true(fabs((double)counts[1] / DRAWS - 0.4 / 0.85) < 0.006);
  assert_true(fabs((double)counts[2] / DRAWS - 0.15 / 0.85) < 0.006);
  for (uint64_t i = 0; i < 100; ++i)
    assert_int_equal(pick(probabilities, 5, 1e-6f, hone_random_unit(3, i)), 1);
}

static void nucleus_of_equals_takes_low_ids(void **state) {
  (void)state;
  float probabilities[64];
  for (int i = 0; i < 64; ++i) probabilities[i] = 1.0f / 64;
  for (uint64_t i = 0; i < 1000; ++i) {
    assert_int_equal(pick(probabilities, 64, 1e-6f, hone_random_unit(9, i)), 0);
    assert_true(pick(probabilities, 64, 0.5f, hone_random_unit(9, i)) < 32);
  }
  assert_int_equal(pick(probabilities, 1, 0.5f, 0.9), 0);
}

static void refuses_what_is_not_a_distribution(void **state) {
  (void)state;
  static const float bad[][2] = {{NAN, 0.5f}, {INFINITY, 0}, {0, 0}, {-0.1f, 1}};
  hone_candidate_t scratch[2];
  for (size_t i = 0; i < 4; ++i) {
    hone_status_t status = {0};
    int32_t id;
    assert_false(hone_sample_pick(bad[i], 2, 0.9f, 0.5, scratch, &id, &status));
    assert_int_equal(status.code, HONE_INVALID);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(random_numbers_are_uniform_and_fixed),
      cmocka_unit_test(frequencies_follow_probabilities),
      cmocka_unit_test(nucleus_keeps_the_likeliest),
      cmocka_unit_test(nucleus_of_equals_takes_low_ids),
      cmocka_unit_test(refuses_what_is_not_a_distribution),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
