// Status: the first failure wins, notes prefix, long messages are cut and stay terminated.
#include <stdio.h>

#include "tests/unit/unit.h"

static void test_first_failure_wins(void **state) {
  (void)state;
  hone_status_t status = {0};
  assert_false(hone_fail(&status, HONE_NOT_FOUND, "no %s here", "tensor"));
  int line = status.line;
  assert_false(hone_fail(&status, HONE_IO, "later"));
  assert_int_equal(status.code, HONE_NOT_FOUND);
  assert_string_equal(status.message, "no tensor here");
  assert_int_equal(status.line, line);
  assert_non_null(strstr(status.file, "test_status.c"));
}

static void test_notes(void **state) {
  (void)state;
  hone_status_t status = {0};
  assert_false(hone_note(&status, "nothing failed"));
  assert_int_equal(status.code, HONE_OK);
  assert_string_equal(status.message, "");
  hone_fail(&status, HONE_INVALID, "inner");
  assert_false(hone_note(&status, "while %s", "lowering"));
  hone_note(&status, "compile");
  assert_string_equal(status.message, "compile: while lowering: inner");
}

static void test_long_messages(void **state) {
  (void)state;
  char text[4000];
  memset(text, 'x', sizeof text - 1);
  text[sizeof text - 1] = '\0';
  hone_status_t status = {0};
  hone_fail(&status, HONE_INVALID, "%s", text);
  assert_int_equal(strlen(status.message), HONE_STATUS_MESSAGE_BYTES - 1);
  hone_note(&status, "%s", text);
  assert_int_equal(strlen(status.message), HONE_STATUS_MESSAGE_BYTES - 1);
}

static void test_own_message_as_argument(void **state) {
  (void)state;
  hone_status_t status = {0};
  snprintf(status.message, sizeof status.message, "old");
  hone_fail(&status, HONE_IO, "%s and new", status.message);
  assert_string_equal(status.message, "old and new");
  hone_note(&status, "%s", status.message);
  assert_string_equal(status.message, "old and new: old and new");
}

static void test_odd_codes(void **state) {
  (void)state;
  hone_fail(NULL, HONE_IO, "nobody listens");
  hone_status_t status = {0};
  hone_fail(&status, HONE_OK, "a failure is never ok");
  assert_int_equal(status.code, HONE_INTERNAL);
  assert_string_equal(hone_code_name(HONE_UNSUPPORTED), "unsupported");
  assert_string_equal(hone_code_name((hone_code_t)99), "unknown");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_first_failure_wins), cmocka_unit_test(test_notes),
      cmocka_unit_test(test_long_messages),      cmocka_unit_test(test_own_message_as_argument),
      cmocka_unit_test(test_odd_codes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
