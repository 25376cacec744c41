// Slices, numbers, hints, byte amounts, UTF-8, buffers and checked arithmetic.
#include <math.h>

#include "base/checked.h"
#include "base/text.h"
#include "tests/unit/unit.h"

static void test_slices(void **state) {
  (void)state;
  hone_slice_t rest = hone_slice("a,,bc"), part;
  part = hone_slice_cut(&rest, ',');
  assert_true(hone_slice_is(part, "a"));
  part = hone_slice_cut(&rest, ',');
  assert_true(hone_slice_is(part, "") && rest.data);
  part = hone_slice_cut(&rest, ',');
  assert_true(hone_slice_is(part, "bc"));
  assert_null(rest.data);
  rest = hone_slice("a,");
  hone_slice_cut(&rest, ',');
  assert_non_null(rest.data);  // an empty last part is still to come
  assert_true(hone_slice_is(hone_slice_cut(&rest, ','), "") && !rest.data);
  assert_int_equal(hone_slice(NULL).bytes, 0);
  assert_true(hone_slice_is(hone_slice_trim(hone_slice(" \t x y\t ")), "x y"));
  assert_true(hone_slice_is(hone_slice_trim(hone_slice(" \t ")), ""));
  uint32_t number = 0;
  assert_true(hone_slice_number(hone_slice("999999999"), &number) && number == 999999999);
  const char *const not_numbers[] = {"", "-1", "+1", " 1", "1x", "1000000000"};
  for (size_t i = 0; i < sizeof not_numbers / sizeof *not_numbers; i++)
    assert_false(hone_slice_number(hone_slice(not_numbers[i]), &number));
  assert_true(hone_slice_equal((hone_slice_t){"a\0b", 3}, (hone_slice_t){"a\0b", 3}));
  assert_false(hone_slice_equal((hone_slice_t){"a\0b", 3}, (hone_slice_t){"a\0c", 3}));
  assert_true(hone_slice_equal(HONE_SLICE("xy"), hone_slice("xy")));
}

static void test_starts_ends(void **state) {
  (void)state;
  assert_true(hone_text_starts("--name", "--") && hone_text_starts("x", ""));
  assert_false(hone_text_starts("-", "--"));
  assert_true(hone_text_ends("a.mlir", ".mlir") && hone_text_ends("x", ""));
  assert_false(hone_text_ends("lir", ".mlir"));
}

static void test_whole_numbers(void **state) {
  (void)state;
  int64_t value = 7;
  assert_true(hone_text_parse_i64("-9223372036854775808", &value) && value == INT64_MIN);
  assert_true(hone_text_parse_i64("9223372036854775807", &value) && value == INT64_MAX);
  assert_true(hone_text_parse_i64("+12", &value) && value == 12);
  assert_true(hone_text_parse_i64("007", &value) && value == 7);
  static const char *const bad[] = {
      "", "-", "+", " 1", "1 ", "1x", "0x10", "1.0", "--1", "9223372036854775808", "1e3", "\t1"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    if (hone_text_parse_i64(bad[i], &value)) fail_msg("'%s' passed as a number", bad[i]);
    assert_int_equal(value, 7);
  }
}

static void test_real_numbers(void **state) {
  (void)state;
  double value = 7;
  assert_true(hone_text_parse_f64("0.1", &value) && value == 0.1);
  assert_true(hone_text_parse_f64("-2e-3", &value) && value == -2e-3);
  assert_true(hone_text_parse_f64(".5", &value) && value == 0.5);
  assert_true(hone_text_parse_f64("5.", &value) && value == 5);
  assert_true(hone_text_parse_f64("1E+300", &value) && value == 1e300);
  assert_true(hone_text_parse_f64("1e-999", &value) && value == 0);
  assert_true(hone_text_parse_f64("7", &value) && value == 7);
  static const char *const bad[] = {"",    ".",   "e5",    "1e", "1e+", "inf", "nan",
                                    "0x1", "1,5", "1e999", " 1", "1 ",  "-",   "1.2.3"};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    if (hone_text_parse_f64(bad[i], &value)) fail_msg("'%s' passed as a number", bad[i]);
    assert_true(value == 7);
  }
}

static void test_closest(void **state) {
  (void)state;
  static const char *const names[] = {"--weights", "--width", "--output", "--verbose", "nf4"};
  assert_string_equal(hone_text_closest("--wieghts", names, 5), "--weights");
  assert_string_equal(hone_text_closest("-weights", names, 5), "--weights");
  assert_string_equal(hone_text_closest("--WEIGHTS", names, 5), "--weights");
  assert_string_equal(hone_text_closest("--widht", names, 5), "--width");
  assert_string_equal(hone_text_closest("--verb", names, 5), "--verbose");
  assert_string_equal(hone_text_closest("nf", names, 5), "nf4");
  assert_null(hone_text_closest("--calibrate", names, 5));
  assert_null(hone_text_closest("", names, 5));
  assert_null(hone_text_closest("x", names, 5));
  char longest[300];
  memset(longest, 'a', sizeof longest);
  longest[sizeof longest - 1] = '\0';
  assert_null(hone_text_closest(longest, names, 5));
}

static void check_bytes(uint64_t bytes, const char *expected) {
  char text[16];
  assert_string_equal(hone_text_bytes(bytes, text), expected);
}

static void test_bytes(void **state) {
  (void)state;
  check_bytes(0, "0 B");
  check_bytes(999, "999 B");
  check_bytes(1000, "1.0 kB");
  check_bytes(1500000, "1.5 MB");
  check_bytes(96000000, "96.0 MB");
  check_bytes(999949, "999.9 kB");
  check_bytes(999960, "1.0 MB");
  check_bytes(1230000000, "1.23 GB");
  check_bytes(999996000000, "1.00 TB");
  check_bytes(UINT64_MAX, "18.45 EB");
}

static void test_utf8_round_trip(void **state) {
  (void)state;
  for (uint32_t code = 0; code <= 0x10ffff; code++) {
    if (code == 0xd800) code = 0xe000;
    char text[4];
    uint32_t got = 1;
    size_t bytes = hone_utf8_encode(code, text);
    if (hone_utf8_decode(text, bytes, &got) != bytes || got != code) fail_msg("U+%04X", code);
    if (bytes > 1 && hone_utf8_decode(text, bytes - 1, &got) != 0) fail_msg("cut U+%04X", code);
  }
}

static void test_utf8_invalid(void **state) {
  (void)state;
  static const char *const bad[] = {"\x80",
                                    "\xbf",
                                    "\xc0\x80",
                                    "\xc1\xbf",
                                    "\xe0\x80\x80",
                                    "\xe0\x9f\xbf",
                                    "\xed\xa0\x80",
                                    "\xed\xbf\xbf",
                                    "\xf0\x80\x80\x80",
                                    "\xf0\x8f\xbf\xbf",
                                    "\xf4\x90\x80\x80",
                                    "\xf5\x80\x80\x80",
                                    "\xff",
                                    "\xc3\x28",
                                    "\xe2\x82\x28"};
  uint32_t code = 5;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    if (hone_utf8_decode(bad[i], strlen(bad[i]), &code)) fail_msg("sequence %zu passed", i);
    assert_int_equal(code, 5);
  }
  assert_int_equal(hone_utf8_decode("", 0, &code), 0);
  assert_int_equal(hone_utf8_decode("\0", 1, &code), 1);
}

static void test_buffer(void **state) {
  (void)state;
  hone_buffer_t buffer = {0};
  assert_string_equal(hone_buffer_cstr(&buffer), "");
  hone_buffer_add(&buffer, NULL, 0);
  assert_string_equal(hone_buffer_cstr(&buffer), "");
  for (int i = 0; i < 1000; i++) hone_buffer_format(&buffer, "%d,", i);
  assert_int_equal(buffer.bytes, 10 * 2 + 90 * 3 + 900 * 4);
  assert_int_equal(strlen(buffer.data), buffer.bytes);
  hone_buffer_align(&buffer, 64);
  assert_int_equal(buffer.bytes % 64, 0);
  size_t bytes = buffer.bytes;
  hone_buffer_align(&buffer, 64);
  assert_int_equal(buffer.bytes, bytes);
  assert_int_equal(buffer.data[bytes - 1], 0);
  hone_buffer_text(&buffer, "end");
  assert_string_equal(buffer.data + bytes, "end");
  hone_buffer_deinit(&buffer);
  assert_null(buffer.data);
}

static void expect_power(double value, int digits, bool is_short, const char *expected) {
  char text[40];
  assert_string_equal(hone_text_power(value, digits, is_short, text), expected);
}

static void test_power(void **state) {
  (void)state;
  expect_power(3.51392726e-05, 3, false, "3.51×10⁻⁵");
  expect_power(1e-5, 3, false, "1.00×10⁻⁵");
  expect_power(1e-5, 3, true, "10⁻⁵");
  expect_power(-2.5e120, 3, true, "−2.5×10¹²⁰");
  expect_power(-1e3, 1, true, "−10³");
  expect_power(9.996e7, 3, true, "10⁸");
  expect_power(0, 2, true, "0×10⁰");
  expect_power((double)INFINITY, 2, true, "");
  expect_power(-1.23456789e-308, 9, false, "−1.23456789×10⁻³⁰⁸");
}

static void test_checked(void **state) {
  (void)state;
  uint64_t value = 3;
  assert_true(hone_checked_add(UINT64_MAX - 1, 1, &value) && value == UINT64_MAX);
  assert_true(hone_checked_mul(1ull << 32, 1ull << 31, &value) && value == 1ull << 63);
  assert_false(hone_checked_add(UINT64_MAX, 1, &value));
  assert_false(hone_checked_mul(1ull << 32, 1ull << 32, &value));
  assert_true(value == 1ull << 63);
  assert_int_equal(hone_round_up(0, 64), 0);
  assert_int_equal(hone_round_up(1, 64), 64);
  assert_int_equal(hone_round_up(64, 64), 64);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_slices),          cmocka_unit_test(test_starts_ends),
      cmocka_unit_test(test_whole_numbers),   cmocka_unit_test(test_real_numbers),
      cmocka_unit_test(test_closest),         cmocka_unit_test(test_bytes),
      cmocka_unit_test(test_utf8_round_trip), cmocka_unit_test(test_utf8_invalid),
      cmocka_unit_test(test_buffer),          cmocka_unit_test(test_checked),
      cmocka_unit_test(test_power),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
