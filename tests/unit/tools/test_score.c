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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(uniform_logits_give_the_vocabulary),
      cmocka_unit_test(known_distributions),
      cmocka_unit_test(huge_logits_do_not_overflow),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
