// JSON writer: layout, escapes, and numbers that read back to the same bits.
#include <math.h>
#include <stdlib.h>

#include "base/json.h"
#include "tests/unit/unit.h"

static void write_sample(hone_json_t *json) {
  hone_json_object_begin(json, NULL);
  hone_json_string(json, "name", "hone");
  hone_json_array_begin(json, "empty");
  hone_json_array_end(json);
  hone_json_array_begin(json, "rows");
  hone_json_i64(json, NULL, -1);
  hone_json_u64(json, NULL, UINT64_MAX);
  hone_json_object_begin(json, NULL);
  hone_json_object_end(json);
  hone_json_object_begin(json, NULL);
  hone_json_bool(json, "yes", true);
  hone_json_bool(json, "no", false);
  hone_json_object_end(json);
  hone_json_array_end(json);
  hone_json_string(json, "none", NULL);
  hone_json_object_end(json);
}

static void test_layout(void **state) {
  (void)state;
  hone_buffer_t out = {0};
  write_sample(&(hone_json_t){.out = &out});
  assert_string_equal(hone_buffer_cstr(&out),
                      "{\n  \"name\": \"hone\",\n  \"empty\": [],\n  \"rows\": [\n    -1,\n"
                      "    18446744073709551615,\n    {},\n    {\n      \"yes\": true,\n"
                      "      \"no\": false\n    }\n  ],\n  \"none\": null\n}");
  out.bytes = 0;
  write_sample(&(hone_json_t){.out = &out, .compact = true});
  assert_string_equal(hone_buffer_cstr(&out),
                      "{\"name\":\"hone\",\"empty\":[],\"rows\":[-1,18446744073709551615,{},"
                      "{\"yes\":true,\"no\":false}],\"none\":null}");
  hone_buffer_deinit(&out);
}

static void check_string(const char *text, size_t bytes, const char *expected) {
  hone_buffer_t out = {0};
  hone_json_slice(&(hone_json_t){.out = &out}, NULL, (hone_slice_t){text, bytes});
  assert_string_equal(hone_buffer_cstr(&out), expected);
  hone_buffer_deinit(&out);
}

static void test_strings(void **state) {
  (void)state;
  check_string("", 0, "\"\"");
  check_string("a\"b\\c/d", 7, "\"a\\\"b\\\\c/d\"");
  check_string("\b\f\n\r\t", 5, "\"\\b\\f\\n\\r\\t\"");
  check_string("\0\x1f\x7f", 3, "\"\\u0000\\u001f\\u007f\"");
  check_string("h\xc3\xa9 \xf0\x9f\x98\x80", 8, "\"h\xc3\xa9 \xf0\x9f\x98\x80\"");
  check_string("a\xff\x62\xc3", 4, "\"a\xef\xbf\xbd\x62\xef\xbf\xbd\"");
  check_string("\xed\xa0\x80", 3, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}

static void check_number(double value, const char *expected) {
  hone_buffer_t out = {0};
  hone_json_f64(&(hone_json_t){.out = &out}, NULL, value);
  assert_string_equal(hone_buffer_cstr(&out), expected);
  hone_buffer_deinit(&out);
}

static void test_numbers(void **state) {
  (void)state;
  check_number(0, "0");
  check_number(-0.0, "-0");
  check_number(0.1, "0.1");
  check_number(1.0 / 3, "0.3333333333333333");
  check_number(26.299381, "26.299381");
  check_number(1e100, "1e+100");
  check_number(5e-324, "4.94065645841247e-324");
  check_number(123456789012345680.0, "1.2345678901234568e+17");
  check_number(NAN, "null");
  check_number(INFINITY, "null");
  check_number(-INFINITY, "null");
  hone_buffer_t out = {0};
  hone_json_f64_digits(&(hone_json_t){.out = &out}, NULL, 1.0 / 3, 9);
  assert_string_equal(hone_buffer_cstr(&out), "0.333333333");
  out.bytes = 0;
  hone_json_f64_digits(&(hone_json_t){.out = &out}, NULL, NAN, 9);
  assert_string_equal(hone_buffer_cstr(&out), "null");
  hone_buffer_deinit(&out);
}

static void test_round_trip(void **state) {
  (void)state;
  hone_buffer_t out = {0};
  uint64_t random = 1;
  for (int i = 0; i < 20000; i++) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    double value;
    memcpy(&value, &random, sizeof value);
    if (!isfinite(value)) continue;
    out.bytes = 0;
    hone_json_f64(&(hone_json_t){.out = &out}, NULL, value);
    if (strtod(hone_buffer_cstr(&out), NULL) != value) fail_msg("%a became %s", value, out.data);
  }
  hone_buffer_deinit(&out);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_layout),
      cmocka_unit_test(test_strings),
      cmocka_unit_test(test_numbers),
      cmocka_unit_test(test_round_trip),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
