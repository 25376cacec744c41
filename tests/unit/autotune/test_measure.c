// Medians, and who leaves a measurement early.
#include "autotune/measure.h"

#include "tests/unit/autotune/fixture.h"

static void test_summary(void **state) {
  (void)state;
  double values[] = {9, 1, 100, 3, 5}, median, mad;
  hone_measure_summary(values, 5, &median, &mad);
  assert_true(median == 5 && mad == 4);
  double two[] = {4, 2};
  hone_measure_summary(two, 2, &median, &mad);
  assert_true(median == 3 && mad == 1);
}

enum { COUNT = 8, ROUNDS = 15 };
typedef struct script {
  uint32_t calls[COUNT];
  uint32_t next_round, openers;  // rounds that candidate 0 did not open
} script_t;

// Candidate i takes 100 + 10 i; every fourth round of candidate 1 is disturbed.
static double sample(void *user, uint32_t index, uint32_t round) {
  script_t *script = user;
  script->calls[index]++;
  if (round == script->next_round) script->next_round++, script->openers += index != 0;
  if (index == 1 && round % 4 == 0) return 5000;
  return 100 + 10 * index + (round % 2);
}

static void test_rounds(void **state) {
  (void)state;
  script_t script = {0};
  bool is_in[COUNT] = {true, true, true, true, true, true, false, true};
  hone_evidence_t evidence[COUNT] = {0};
  hone_evidence_reject(&evidence[6], HONE_VERDICT_WRONG, "kept");
  hone_measure_run(COUNT, is_in, ROUNDS, sample, &script, evidence);
  assert_int_equal(script.calls[0], ROUNDS);
  assert_int_equal(script.calls[6], 0);
  assert_string_equal(evidence[6].reason, "kept");
  assert_true(script.calls[7] < script.calls[0]);
  assert_true(script.calls[5] <= script.calls[1]);
  for (uint32_t i = 0; i < COUNT; i++) {
    if (i == 6) continue;
    assert_int_equal(evidence[i].verdict, HONE_VERDICT_OK);
    assert_int_equal(evidence[i].samples, script.calls[i]);
    assert_true(evidence[i].median_ns >= 100 + 10 * i && evidence[i].median_ns <= 101 + 10 * i);
  }
  assert_int_equal(script.next_round, ROUNDS);
  assert_true(script.openers >= 3);  // no one always begins
}

// The first one stays, however slow.
static double slow_first(void *user, uint32_t index, uint32_t round) {
  uint32_t *calls = user;
  (void)round;
  calls[index]++;
  return index == 0 ? 1000 : 10;
}

static void test_first(void **state) {
  (void)state;
  uint32_t calls[2] = {0};
  bool is_in[2] = {true, true};
  hone_evidence_t evidence[2];
  hone_measure_run(2, is_in, 9, slow_first, calls, evidence);
  assert_int_equal(calls[0], 9);
  assert_int_equal(calls[1], 9);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_summary), cmocka_unit_test(test_rounds),
                                     cmocka_unit_test(test_first)};
  return cmocka_run_group_tests_name("measure", tests, NULL, NULL);
}
