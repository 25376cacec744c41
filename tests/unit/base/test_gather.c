// Gathering writes: the file is what was put, whatever the sizes; gaps are zero.
#include "base/gather.h"

#include "tests/unit/base/output_fixture.h"

enum { PIECE = 2 << 20, LIMIT = 3 * PIECE };

static void test_pieces(void **state) {
  fixture_t *f = *state;
  hone_output_t *output;
  assert_works(hone_output_create(f->path, 0644, &output, &f->status), &f->status);
  hone_gather_t *gather = hone_gather_create(output, 100);
  uint8_t *data = malloc(PIECE + 1), *expected = calloc(1, LIMIT);
  uint64_t at = 100, end = 0, seed = 1;
  const uint64_t sizes[] = {1, 0, 700, PIECE - 5000, PIECE + 1, 64, 63, 4096 * 3};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    for (uint64_t j = 0; j < sizes[i]; j++) {
      seed = seed * 6364136223846793005u + 1442695040888963407u;
      expected[at + j] = data[j] = (uint8_t)(seed >> 56);
    }
    assert_works(hone_gather_put(gather, at, data, sizes[i], &f->status), &f->status);
    end = at + sizes[i];
    at = end + 64 * (i % 3);  // a gap
  }
  assert_fails(hone_gather_put(gather, 99, data, 1, &f->status), &f->status, HONE_INTERNAL,
               "byte 99 is put after byte");
  f->status = (hone_status_t){0};
  assert_works(hone_gather_flush(gather, &f->status), &f->status);
  hone_gather_destroy(gather);
  free(data);
  assert_works(hone_output_commit(output, &f->status), &f->status);
  hone_output_destroy(output);
  hone_mapping_t file;
  assert_works(hone_mapping_open(f->path, &file, &f->status), &f->status);
  assert_true(file.bytes > 2 * PIECE && file.bytes <= LIMIT);
  assert_int_equal(file.bytes, end);
  assert_memory_equal(file.data, expected, file.bytes);
  hone_mapping_close(&file);
  free(expected);
}

static void test_no_room(void **state) {
  fixture_t *f = *state;
  hone_output_t *output;
  static const uint8_t data[PIECE];
  assert_works(hone_output_create(f->path, 0644, &output, &f->status), &f->status);
  hone_gather_t *gather = hone_gather_create(output, 0);
  limit_room(f, PIECE / 2);
  assert_works(hone_gather_put(gather, 0, data, 10, &f->status), &f->status);
  bool ok = hone_gather_put(gather, 10, data, PIECE, &f->status);
  restore_room(f);
  assert_fails(ok, &f->status, HONE_EXHAUSTED, "cannot write");
  hone_gather_destroy(gather);
  hone_output_destroy(output);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_pieces, setup, teardown),
      cmocka_unit_test_setup_teardown(test_no_room, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
