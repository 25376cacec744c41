// Scores against values worked out by hand.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tools/score.h"

static void near(double expected, double got) {
  assert_true(fabs(expected - got) < 1e-7 * (1 + fabs(expected)));
}

static void uniform_logits_give_the_vocabulary(void **state) {
  (void)state;
  hone_arena_t *arena = hone_arena_create();
  hone_score_t score;
  hone_score_result_t result;
  hone_score_init(&score, arena, 2, 0);
  float logits[5] = {3, 3, 3, 3, 3};
  hone_score_add(&score, 0, logits, NULL, 5, 0);
  hone_score_add(&score, 0, logits, NULL, 5, 4);
  hone_score_finish(&score, &result);
  assert_int_equal(result.count, 2);
  near(5, result.perplexity);
  near(0, result.perplexity_error);
  hone_arena_destroy(arena);
}

static void known_distributions(void **state) {
  (void)state;
  hone_arena_t *arena = hone_arena_create();
  hone_score_t score;
  hone_score_result_t result;
  hone_score_init(&score, arena, 2, 0);
  // q = (1/4, 3/4), p = (1/2, 1/2)
  float q[2] = {0, logf(3)}, p[2] = {7, 7};
  hone_score_add(&score, 0, q, p, 2, 0);
  hone_score_add(&score, 0, q, q, 2, 1);
  hone_score_finish(&score, &result);
  near(exp((log(4) + log(4.0 / 3)) / 2), result.perplexity);
  assert_true(fabs(result.kl_mean - (0.5 * log(2) + 0.5 * log(2.0 / 3)) / 2) < 1e-7);
  near(0.5, result.top1_agreement);  // p ties: the lowest index wins, q's top is 1
  hone_arena_destroy(arena);
}

static void huge_logits_do_not_overflow(void **state) {
  (void)state;
  hone_arena_t *arena = hone_arena_create();
  hone_score_t score;
  hone_score_result_t result;
  hone_score_init(&score, arena, 1, 0);
  float logits[3] = {1e30f, -1e30f, 0};
  hone_score_add(&score, 0, logits, logits, 3, 0);
  hone_score_finish(&score, &result);
  near(1, result.perplexity);
  near(0, result.kl_mean);
  near(1, result.top1_agreement);
  hone_arena_destroy(arena);
}

static void errors_of_the_comparison(void **state) {
  (void)state;
  hone_arena_t *arena = hone_arena_create();
  hone_score_t score;
  hone_score_result_t result;
  hone_score_init(&score, arena, 4, 2);
  float q[2] = {0, logf(3)}, p[2] = {7, 7};
  for (size_t i = 0; i < 4; i++) hone_score_add(&score, i / 2, q, p, 2, i % 2);
  hone_score_finish(&score, &result);
  // nll is log 4 and log 4/3 in turn, the reference's always log 2: the error of the difference is
  // that of the nll, and all tokens have the same divergence.
  near(2, result.reference_perplexity);
  near(0, result.reference_perplexity_error);
  near(result.perplexity / 2, result.perplexity_ratio);
  near(log(3) / 2 / sqrt(3) * result.perplexity_ratio, result.perplexity_ratio_error);
  assert_true(result.kl_mean_error < 1e-7);
  near(result.kl_mean, result.kl_max);
  near(result.kl_mean, result.kl_p99);
  hone_score_sums_t first = hone_score_range(&score, 0, 1), all = hone_score_range(&score, 0, 9);
  assert_int_equal(2, first.count);
  assert_int_equal(4, all.count);
  near(result.kl_mean * 4, all.kl);
  near(log(4) + log(4.0 / 3), first.nll);
  hone_arena_destroy(arena);
}

static void histogram_counts_every_token_once(void **state) {
  (void)state;
  hone_arena_t *arena = hone_arena_create();
  double values[] = {0, -1e-12, NAN, 1e-20, 0.011, 0.012, 0.5, 2};
  hone_score_t score = {.count = 8, .kl = values, .has_reference = true};
  hone_score_histogram_t histogram;
  hone_score_histogram(&score, arena, 5, 3, &histogram);
  size_t sum = histogram.below;
  for (size_t i = 0; i < histogram.bins; i++) sum += histogram.counts[i];
  assert_int_equal(8, sum);
  assert_int_equal(4, histogram.below);
  assert_int_equal(15, histogram.bins);
  assert_int_equal(1, histogram.counts[histogram.bins - 1]);
  near(2.5118864315, histogram.low * pow(10, 3));
  score.count = 3;  // nothing above zero
  hone_score_histogram(&score, arena, 5, 3, &histogram);
  assert_int_equal(0, histogram.bins);
  assert_int_equal(3, histogram.below);
  hone_arena_destroy(arena);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(uniform_logits_give_the_vocabulary),
      cmocka_unit_test(known_distributions),
      cmocka_unit_test(huge_logits_do_not_overflow),
      cmocka_unit_test(errors_of_the_comparison),
      cmocka_unit_test(histogram_counts_every_token_once),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
