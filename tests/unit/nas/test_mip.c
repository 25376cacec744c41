// The choice of one option per item under budgets, against trying everything.
#include "nas/mip.h"

#include <math.h>

#include "tests/unit/unit.h"

enum { ITEMS = 6, OPTIONS = 4 };

static double next(uint64_t *state) {
  *state = *state * 6364136223846793005ull + 1442695040888963407ull;
  return (double)(*state >> 33) / (double)(1ull << 31);
}

static void agrees_with_trying_everything(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 30; seed++) {
    uint64_t random = seed;
    double costs[ITEMS][OPTIONS][2], budget[2] = {9 + 3 * next(&random), 9 + 3 * next(&random)};
    hone_mip_option_t options[ITEMS][OPTIONS];
    hone_mip_item_t items[ITEMS];
    for (int i = 0; i < ITEMS; i++) {
      for (int o = 0; o < OPTIONS; o++) {
        costs[i][o][0] = 1 + o + next(&random), costs[i][o][1] = 1 + (o * o) % 3 + next(&random);
        options[i][o] = (hone_mip_option_t){exp(-o) * (1 + next(&random)) * 1e-3, costs[i][o]};
      }
      items[i] = (hone_mip_item_t){options[i], OPTIONS};
    }
    double best = INFINITY, value = 0;
    for (int code = 0; code < 4096; code++) {  // OPTIONS ^ ITEMS
      double sum = 0, used[2] = {0};
      for (int i = 0; i < ITEMS; i++) {
        int o = code >> (2 * i) & 3;
        sum += options[i][o].value;
        used[0] += costs[i][o][0], used[1] += costs[i][o][1];
      }
      if (used[0] <= budget[0] && used[1] <= budget[1]) best = fmin(best, sum);
    }
    hone_mip_t problem = {items, ITEMS, budget, 2};
    size_t choice[ITEMS];
    hone_status_t status = {0};
    bool found = hone_mip_solve(&problem, choice, &value, &status);
    assert_int_equal(found, isfinite(best));
    if (!found) {
      assert_int_equal(status.code, HONE_NOT_FOUND);
      continue;
    }
    double used[2] = {0};
    for (int i = 0; i < ITEMS; i++)
      used[0] += costs[i][choice[i]][0], used[1] += costs[i][choice[i]][1];
    assert_true(used[0] <= budget[0] * (1 + 1e-9) && used[1] <= budget[1] * (1 + 1e-9));
    if (!(value <= best * 1.0001)) fail_msg("seed %d: %g, best %g", (int)seed, value, best);
  }
}

static void impossible_budgets_are_said(void **state) {
  (void)state;
  double cost = 2, budget = 1, value;
  hone_mip_option_t option = {1, &cost};
  hone_mip_item_t item = {&option, 1};
  hone_mip_t problem = {&item, 1, &budget, 1};
  size_t choice;
  hone_status_t status = {0};
  assert_false(hone_mip_solve(&problem, &choice, &value, &status));
  assert_int_equal(status.code, HONE_NOT_FOUND);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(agrees_with_trying_everything),
      cmocka_unit_test(impossible_budgets_are_said),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
