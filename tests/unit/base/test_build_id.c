// Build ids: the program's own is found, asked-for libraries' too, others are left out.
#include "base/build_id.h"

#include "tests/unit/unit.h"

static size_t lines(const hone_buffer_t *text) {
  size_t count = 0;
  for (size_t i = 0; i < text->bytes; i++) count += text->data[i] == '\n';
  return count;
}

static void the_program_has_one(void **state) {
  (void)state;
  static const char *const prefixes[] = {"libc.so"};
  hone_buffer_t own = {0}, again = {0}, more = {0};
  hone_status_t status = {0};
  assert_works(hone_build_ids(NULL, 0, &own, &status), &status);
  assert_works(hone_build_ids(NULL, 0, &again, &status), &status);
  assert_works(hone_build_ids(prefixes, 1, &more, &status), &status);
  assert_int_equal(lines(&own), 1);
  assert_int_equal(lines(&more), 2);
  assert_true(own.bytes > 16);
  assert_string_equal(own.data, again.data);
  assert_memory_equal(own.data, more.data, own.bytes);
  assert_int_equal(strspn(own.data, "0123456789abcdef\n"), own.bytes);
  hone_buffer_deinit(&own);
  hone_buffer_deinit(&again);
  hone_buffer_deinit(&more);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(the_program_has_one)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
