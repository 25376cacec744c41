// Mapping files: what is mapped, and where, so that huge pages fit.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/pages.h"
#include "tests/unit/unit.h"

enum { HUGE = 2 << 20, OFFSET = 3 * 4096, BYTES = 2 * HUGE + 4096 + 17 };

static int make_file(void) {
  FILE *file = tmpfile();
  assert_non_null(file);
  int fd = dup(fileno(file));
  fclose(file);
  assert_true(fd >= 0);
  assert_int_equal(ftruncate(fd, OFFSET + BYTES), 0);
  assert_int_equal(pwrite(fd, "begin", 5, OFFSET), 5);
  assert_int_equal(pwrite(fd, "end", 3, OFFSET + BYTES - 3), 3);
  return fd;
}

static void test_large_file(void **state) {
  (void)state;
  int fd = make_file();
  for (int is_private = 0; is_private < 2; is_private++) {
    uint8_t *pages = hone_pages_map_file(fd, OFFSET, BYTES, is_private);
    assert_non_null(pages);
    assert_int_equal((uintptr_t)pages % HUGE, OFFSET % HUGE);
    assert_memory_equal(pages, "begin", 5);
    assert_memory_equal(pages + BYTES - 3, "end", 3);
    if (is_private) pages[0] = 'x';
    hone_pages_unmap(pages, BYTES);
  }
  char there[5];
  assert_int_equal(pread(fd, there, 5, OFFSET), 5);
  assert_memory_equal(there, "begin", 5);
  close(fd);
}

static void test_small_file(void **state) {
  (void)state;
  int fd = make_file();
  uint8_t *pages = hone_pages_map_file(fd, OFFSET, 5, false);
  assert_non_null(pages);
  assert_memory_equal(pages, "begin", 5);
  hone_pages_unmap(pages, 5);
  close(fd);
}

static void test_no_file(void **state) {
  (void)state;
  assert_null(hone_pages_map_file(-1, 0, 5, false));
  assert_null(hone_pages_map_file(-1, 0, BYTES, false));
}

static void test_memory(void **state) {
  (void)state;
  for (int is_huge = 0; is_huge < 2; is_huge++) {
    uint8_t *pages = hone_pages_map(BYTES, is_huge);
    assert_non_null(pages);
    assert_int_equal(pages[0] + pages[BYTES - 1], 0);
    pages[BYTES - 1] = 1;
    hone_pages_unmap(pages, BYTES);
  }
  assert_null(hone_pages_map(UINT64_MAX, false));
  hone_pages_unmap(NULL, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_large_file),
      cmocka_unit_test(test_small_file),
      cmocka_unit_test(test_no_file),
      cmocka_unit_test(test_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
