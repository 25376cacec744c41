// Typed access to configuration files: values, defaults, and errors that name the key.
#include "frontend/config.h"

#include "tests/unit/frontend/fixture.h"

static hone_config_t parse(fixture_t *f, const char *text) {
  hone_config_t config;
  assert_ok(f, hone_config_parse("config.json", text, strlen(text), &config, &f->status));
  return config;
}

static void test_values(void **state) {
  fixture_t *f = *state;
  hone_config_t config = parse(f, "{\"i\": 5, \"r\": 2.5, \"t\": true, \"s\": \"x\", \"n\": null}"),
                inner;
  int64_t i;
  double r;
  bool t;
  const char *s;
  assert_ok(f, hone_config_int(&config, "i", 0, 10, &i, &f->status));
  assert_int_equal(i, 5);
  assert_ok(f, hone_config_int_or(&config, "n", 7, 0, 10, &i, &f->status));
  assert_int_equal(i, 7);
  assert_ok(f, hone_config_real(&config, "r", 0, 10, &r, &f->status));
  assert_true(r == 2.5);
  assert_ok(f, hone_config_real_or(&config, "i", 0, 0, 10, &r, &f->status));
  assert_true(r == 5);
  assert_ok(f, hone_config_bool_or(&config, "t", false, &t, &f->status));
  assert_true(t);
  assert_ok(f, hone_config_text(&config, "s", &s, &f->status));
  assert_string_equal(s, "x");
  assert_ok(f, hone_config_text_or(&config, "absent", "y", &s, &f->status));
  assert_string_equal(s, "y");
  assert_true(hone_config_is_null(&config, "n") && !hone_config_has(&config, "n"));
  assert_true(!hone_config_is_null(&config, "absent") && !hone_config_has(&config, "absent"));
  assert_ok(f, hone_config_object(&config, "absent", "absent.", &inner, &t, &f->status));
  assert_false(t || hone_config_has(&inner, "x"));
  hone_config_close(&config);
}

static void test_wrong_values(void **state) {
  fixture_t *f = *state;
  hone_config_t config = parse(f,
                               "{\"i\": 5, \"r\": 2.5, \"s\": \"x\", \"n\": null, \"o\": {\"k\": "
                               "[]}, \"c\": \"\\u001b[2J\"}"),
                inner;
  int64_t i;
  double r;
  bool t;
  const char *s;
  hone_status_t *status = &f->status;
  assert_refuses(f, hone_config_int(&config, "absent", 0, 9, &i, status), HONE_INVALID,
                 "config.json: key 'absent' is missing; expected a whole number");
  assert_refuses(f, hone_config_int(&config, "n", 0, 9, &i, status), HONE_INVALID,
                 "key 'n' is missing");
  assert_refuses(f, hone_config_int(&config, "r", 0, 9, &i, status), HONE_INVALID,
                 "key 'r': expected a whole number, found a fraction");
  assert_refuses(f, hone_config_int(&config, "s", 0, 9, &i, status), HONE_INVALID,
                 "found a string");
  assert_refuses(f, hone_config_int(&config, "i", 6, 9, &i, status), HONE_INVALID,
                 "key 'i': 5 is outside 6 to 9");
  assert_refuses(f, hone_config_int_or(&config, "i", 0, 0, 4, &i, status), HONE_INVALID,
                 "5 is outside 0 to 4");
  assert_refuses(f, hone_config_real(&config, "absent", 0, 1, &r, status), HONE_INVALID,
                 "'absent' is missing");
  assert_refuses(f, hone_config_real_or(&config, "r", 0, 0, 1, &r, status), HONE_INVALID,
                 "2.5 is outside 0 to 1");
  assert_refuses(f, hone_config_real_or(&config, "o", 0, 0, 1, &r, status), HONE_INVALID,
                 "expected a number, found an object");
  assert_refuses(f, hone_config_bool_or(&config, "i", true, &t, status), HONE_INVALID,
                 "expected true or false");
  assert_refuses(f, hone_config_text(&config, "i", &s, status), HONE_INVALID, "expected a string");
  assert_refuses(f, hone_config_text(&config, "c", &s, status), HONE_INVALID,
                 "key 'c': control character in a string");
  assert_refuses(f, hone_config_object(&config, "i", "i.", &inner, &t, status), HONE_INVALID,
                 "expected an object");
  assert_ok(f, hone_config_object(&config, "o", "o.", &inner, &t, status));
  assert_refuses(f, hone_config_int(&inner, "k", 0, 9, &i, status), HONE_INVALID,
                 "key 'o.k': expected a whole number");
  hone_config_close(&config);
}

static void test_int_sets(void **state) {
  fixture_t *f = *state;
  hone_config_t config =
      parse(f, "{\"one\": 2, \"more\": [5, 2, 7], \"bad\": [1, \"x\"], \"far\": [9], \"r\": 1.5}");
  int64_t values[3];
  size_t count = 0;
  hone_status_t *status = &f->status;
  assert_ok(f, hone_config_int_set(&config, "one", 0, 8, 3, values, &count, status));
  assert_ok(f, hone_config_int_set(&config, "absent", 0, 8, 3, values, &count, status));
  assert_ok(f, hone_config_int_set(&config, "more", 0, 8, 3, values, &count, status));
  assert_int_equal(count, 3);
  assert_true(values[0] == 2 && values[1] == 5 && values[2] == 7);
  assert_refuses(f, hone_config_int_set(&config, "bad", 0, 8, 3, values, &count, status),
                 HONE_UNSUPPORTED, "more than 3 values");
  count = 0;
  assert_refuses(f, hone_config_int_set(&config, "bad", 0, 8, 3, values, &count, status),
                 HONE_INVALID, "found a string");
  assert_refuses(f, hone_config_int_set(&config, "far", 0, 8, 3, values, &count, status),
                 HONE_INVALID, "9 is outside");
  assert_refuses(f, hone_config_int_set(&config, "r", 0, 8, 3, values, &count, status),
                 HONE_INVALID, "a list of them");
  hone_config_close(&config);
}

static void test_bad_text(void **state) {
  fixture_t *f = *state;
  static const struct {
    const char *text, *message;
  } rows[] = {
      {"", "config.json: line 1, column 0"},
      {"{\n\"a\": }", "config.json: line 2"},
      {"[1]", "expected an object"},
      {"{\"a\": 1, \"a\": 2}", "duplicate"},
      {"{\"a\": 1} x", "end of file expected"},
      {"{\"a\": NaN}", "line 1"},
      {"{\"a\": 1e999}", "overflow"},
      {"{\"a\": 99999999999999999999}", "too big"},
      {"{\"a\": \"\xFF\"}", "unable to decode byte 0xff"},
  };
  hone_config_t config;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    assert_refuses(
        f,
        hone_config_parse("config.json", rows[i].text, strlen(rows[i].text), &config, &f->status),
        HONE_INVALID, rows[i].message);
  hone_buffer_t deep = {0};
  for (int i = 0; i < 100000; i++) hone_buffer_text(&deep, "{\"a\":[");
  assert_refuses(f, hone_config_parse("config.json", deep.data, deep.bytes, &config, &f->status),
                 HONE_INVALID, "depth");
  hone_buffer_deinit(&deep);
}

static void test_files(void **state) {
  fixture_t *f = *state;
  hone_config_t config;
  assert_refuses(f, hone_config_open(fixture_path(f, "absent.json"), &config, &f->status),
                 HONE_NOT_FOUND, "absent.json");
  fixture_text(f, "config.json", "{\"a\": 1}");
  assert_ok(f, hone_config_open(fixture_path(f, "config.json"), &config, &f->status));
  assert_true(hone_config_has(&config, "a"));
  hone_config_close(&config);
  // Larger than the limit: a sparse file.
  FILE *file = fopen(fixture_path(f, "large.json"), "wb");
  assert_non_null(file);
  assert_int_equal(fseek(file, HONE_CONFIG_LIMIT_BYTES, SEEK_SET), 0);
  fputc('x', file);
  fclose(file);
  assert_refuses(f, hone_config_open(fixture_path(f, "large.json"), &config, &f->status),
                 HONE_INVALID, "more than the");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_values, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_wrong_values, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_int_sets, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_bad_text, fixture_setup, fixture_teardown),
      cmocka_unit_test_setup_teardown(test_files, fixture_setup, fixture_teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
