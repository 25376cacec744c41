// Axes: nice ticks that cover the range, for every kind of range, and usable ones for nonsense.
#include <math.h>

#include "base/axis.h"
#include "tests/unit/unit.h"

static void check_axis(const hone_axis_t *axis) {
  assert_true(axis->tick_count >= 2 && axis->tick_count <= HONE_AXIS_TICKS);
  assert_true(isfinite(axis->low) && isfinite(axis->high) && axis->low < axis->high);
  assert_true(!axis->is_log || axis->low > 0);
  for (size_t i = 1; i < axis->tick_count; i++) assert_true(axis->ticks[i - 1] < axis->ticks[i]);
}

static void expect_labels(bool is_log, double low, double high, size_t wanted,
                          const char *expected) {
  hone_axis_t axis;
  char text[HONE_AXIS_TICKS * HONE_AXIS_LABEL_BYTES] = "", label[HONE_AXIS_LABEL_BYTES];
  hone_axis_init(&axis, is_log, low, high, wanted);
  check_axis(&axis);
  for (size_t i = 0; i < axis.tick_count; i++) {
    if (i) strcat(text, " ");
    strcat(text, hone_axis_label(&axis, axis.ticks[i], label));
  }
  assert_string_equal(text, expected);
}

static void test_linear(void **state) {
  (void)state;
  expect_labels(false, 0, 1, 5, "0.0 0.2 0.4 0.6 0.8 1.0");
  expect_labels(false, 0, 713, 5, "0 200 400 600 800");
  expect_labels(false, 128, 254, 8, "120 140 160 180 200 220 240 260");
  expect_labels(false, -3, 4, 5, "−4 −2 0 2 4");
  expect_labels(false, 0.0021, 0.0024, 4, "0.0021 0.0022 0.0023 0.0024");
  expect_labels(false, 0, 4e7, 4, "0 10⁷ 2×10⁷ 3×10⁷ 4×10⁷");
}

static void test_logarithmic(void **state) {
  (void)state;
  expect_labels(true, 2e-5, 3, 8, "10⁻⁵ 10⁻⁴ 0.001 0.01 0.1 1 10");
  expect_labels(true, 1e-30, 1e30, 4, "10⁻³⁰ 10⁻¹⁵ 1 10¹⁵ 10³⁰");
  expect_labels(true, 0.003, 0.06, 5, "0.002 0.005 0.01 0.02 0.05 0.1");
  expect_labels(true, 0.0062, 0.0076, 5, "0.0060 0.0065 0.0070 0.0075 0.0080");
  expect_labels(true, 3.512e-5, 3.528e-5, 4, "3.51×10⁻⁵ 3.515×10⁻⁵ 3.52×10⁻⁵ 3.525×10⁻⁵ 3.53×10⁻⁵");
}

static void test_place(void **state) {
  (void)state;
  hone_axis_t axis;
  hone_axis_init(&axis, false, 0, 10, 5);
  assert_true(hone_axis_place(&axis, 0) == 0 && hone_axis_place(&axis, 10) == 1);
  assert_true(fabs(hone_axis_place(&axis, 2.5) - 0.25) < 1e-12);
  assert_true(isnan(hone_axis_place(&axis, NAN)) && isnan(hone_axis_place(&axis, -INFINITY)));
  hone_axis_init(&axis, true, 0.01, 100, 5);
  assert_true(fabs(hone_axis_place(&axis, 1) - 0.5) < 1e-12);
  assert_true(isnan(hone_axis_place(&axis, 0)) && isnan(hone_axis_place(&axis, -1)));
}

static void test_nonsense_gives_an_axis(void **state) {
  (void)state;
  const double odd[] = {NAN,   INFINITY, -INFINITY, 0,     1,      -1,    1e-300,
                        1e300, -1e300,   5e-324,    1e308, -1e308, 1e-12, 123456789};
  const size_t count = sizeof odd / sizeof *odd;
  for (size_t i = 0; i < count; i++)
    for (size_t j = 0; j < count; j++)
      for (size_t wanted = 0; wanted < 20; wanted++) {
        hone_axis_t axis;
        char label[HONE_AXIS_LABEL_BYTES];
        hone_axis_init(&axis, false, odd[i], odd[j], wanted);
        check_axis(&axis);
        hone_axis_init(&axis, true, odd[i], odd[j], wanted);
        check_axis(&axis);
        assert_true(strlen(hone_axis_label(&axis, axis.ticks[0], label)) < sizeof label);
      }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_linear),
      cmocka_unit_test(test_logarithmic),
      cmocka_unit_test(test_place),
      cmocka_unit_test(test_nonsense_gives_an_axis),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
