// Figures: every value that has a place is drawn once, nothing else is, and no text breaks out.
#include <math.h>
#include <stdio.h>

#include "base/svg.h"
#include "tests/unit/unit.h"

static size_t count(const char *text, const char *part) {
  size_t found = 0;
  for (const char *at = text; (at = strstr(at, part)); at += strlen(part)) found++;
  return found;
}

// The marks in the text are those that were returned and announced; no number is NaN or infinite.
static void check_figure(const hone_buffer_t *out, size_t marks, size_t expected) {
  const char *text = hone_buffer_cstr(out);
  char announced[40];
  snprintf(announced, sizeof announced, "data-marks=\"%zu\"", expected);
  assert_int_equal(marks, expected);
  assert_int_equal(count(text, "class=\"mark"), expected);
  assert_non_null(strstr(text, announced));
  assert_null(strstr(text, "nan"));
  assert_null(strstr(text, "inf"));
  assert_int_equal(count(text, "<g "), count(text, "</g>"));
  assert_int_equal(count(text, "no data"), expected == 0);
}

static const hone_svg_plot_t frame = {.id = "p",
                                      .title = "Title & <more>",
                                      .description = "about",
                                      .x = {.name = "x"},
                                      .y = {.name = "y"}};

static void test_points_and_lines(void **state) {
  (void)state;
  const double x[] = {1, 2, 3, 4, NAN, 6}, y[] = {1, 10, 0, 100, 5, INFINITY};
  const double error[] = {0.5, 20, 1, NAN, 1, 1};
  const char *const labels[] = {"<first>", "b", "c", "d", "e", "f"};
  hone_svg_series_t series = {.name = "a<b",
                              .marks = HONE_SVG_POINTS | HONE_SVG_LINE,
                              .count = 6,
                              .x = x,
                              .y = y,
                              .error = error,
                              .labels = labels};
  hone_svg_plot_t plot = frame;
  plot.y.is_log = true;
  plot.series = &series;
  plot.series_count = 1;
  hone_buffer_t out = {0};
  size_t marks = hone_svg_plot(&plot, &out);
  check_figure(&out, marks, 4);  // points 1, 2, 4, and one line: zero has no logarithm
  const char *text = hone_buffer_cstr(&out);
  assert_non_null(strstr(text, "<title>&lt;first&gt;</title>"));
  assert_non_null(strstr(text, "Title &amp; &lt;more&gt;"));
  assert_non_null(strstr(text, "a&lt;b"));
  assert_non_null(strstr(text, "role=\"img\""));
  assert_non_null(strstr(text, "<desc id=\"p-about\">about</desc>"));
  hone_buffer_deinit(&out);
}

static void test_histogram_with_rules(void **state) {
  (void)state;
  const double x[] = {1e-4, 1e-3, 1e-2}, end[] = {1e-3, 1e-2, 1e-1}, y[] = {5, 0, 7};
  hone_svg_series_t series = {.marks = HONE_SVG_BARS, .count = 3, .x = x, .x_end = end, .y = y};
  const hone_svg_rule_t rules[] = {{.value = 2e-3, .label = "median"},
                                   {.value = NAN, .label = "nothing"},
                                   {.value = 4, .is_horizontal = true, .label = "mean"}};
  hone_svg_plot_t plot = frame;
  plot.x.is_log = true;
  plot.y.from_zero = true;
  plot.series = &series;
  plot.series_count = 1;
  plot.rules = rules;
  plot.rule_count = 3;
  hone_buffer_t out = {0};
  size_t marks = hone_svg_plot(&plot, &out);
  check_figure(&out, marks, 3);
  assert_int_equal(count(hone_buffer_cstr(&out), "class=\"rule\""), 2);
  hone_buffer_deinit(&out);
}

static void test_many_names_are_thinned(void **state) {
  (void)state;
  enum { COUNT = 200 };
  char texts[COUNT][8];
  const char *names[COUNT];
  double x[COUNT], y[COUNT];
  for (size_t i = 0; i < COUNT; i++) {
    snprintf(texts[i], sizeof texts[i], "%zu", i);
    names[i] = texts[i];
    x[i] = (double)i;
    y[i] = 3;  // a range of nothing
  }
  hone_svg_series_t series = {.marks = HONE_SVG_POINTS, .count = COUNT, .x = x, .y = y};
  hone_svg_plot_t plot = frame;
  plot.x.names = names;
  plot.x.name_count = COUNT;
  plot.series = &series;
  plot.series_count = 1;
  hone_buffer_t out = {0};
  size_t marks = hone_svg_plot(&plot, &out);
  check_figure(&out, marks, COUNT);
  assert_true(count(hone_buffer_cstr(&out), "<text") < 60);
  hone_buffer_deinit(&out);
}

static void test_empty(void **state) {
  (void)state;
  hone_buffer_t out = {0};
  size_t marks = hone_svg_plot(&frame, &out);
  check_figure(&out, marks, 0);
  out.bytes = 0;
  hone_svg_series_t series = {.name = "s", .marks = HONE_SVG_POINTS | HONE_SVG_LINE};
  const double nothing[] = {NAN};
  hone_svg_series_t lost = {.marks = HONE_SVG_LINE, .count = 1, .x = nothing, .y = nothing};
  const hone_svg_series_t both[] = {series, lost};
  hone_svg_plot_t plot = frame;
  plot.x.is_log = plot.y.is_log = true;
  plot.series = both;
  plot.series_count = 2;
  marks = hone_svg_plot(&plot, &out);
  check_figure(&out, marks, 0);
  out.bytes = 0;
  hone_svg_bars_t bars = {.id = "b", .title = "t", .description = "d"};
  marks = hone_svg_bars(&bars, &out);
  check_figure(&out, marks, 0);
  hone_buffer_deinit(&out);
}

static void test_bars(void **state) {
  (void)state;
  const char *const rows[] = {"attention", "<ffn>", "none"}, *const segments[] = {"q8", "nf4"};
  const double values[] = {10, 20, 0, 1e12, NAN, -1};
  const char *const totals[] = {"30", "40", "0"};
  hone_svg_bars_t bars = {.id = "b",
                          .title = "t",
                          .description = "d",
                          .rows = rows,
                          .row_count = 3,
                          .segments = segments,
                          .segment_count = 2,
                          .values = values,
                          .totals = totals};
  hone_buffer_t out = {0};
  size_t marks = hone_svg_bars(&bars, &out);
  check_figure(&out, marks, 3);
  assert_non_null(strstr(hone_buffer_cstr(&out), "&lt;ffn&gt;"));
  hone_buffer_deinit(&out);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_points_and_lines),
      cmocka_unit_test(test_histogram_with_rules),
      cmocka_unit_test(test_many_names_are_thinned),
      cmocka_unit_test(test_empty),
      cmocka_unit_test(test_bars),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
