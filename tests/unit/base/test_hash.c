// Hashes: values fixed by the XXH3 specification, and streaming that does not depend on the pieces.
#include "base/hash.h"
#include "tests/unit/unit.h"

enum { BYTES = 100000 };
static unsigned char data[BYTES];

static void test_known_values(void **state) {
  (void)state;
  // Artefacts and caches hold these: they must never change.
  assert_true(hone_hash64("", 0) == 0x2d06800538d394c2u);
  char hex[33];
  hone_hash128_hex("", 0, hex);
  assert_string_equal(hex, "99aa06d3014798d86001c324468d497f");
}

static void test_streaming(void **state) {
  (void)state;
  for (size_t i = 0; i < BYTES; i++) data[i] = (unsigned char)(i * i >> 3);
  static const size_t sizes[] = {0, 1, 16, 17, 240, 241, 256, 1024, 4096, BYTES};
  static const size_t steps[] = {1, 7, 64, 255, 256, 257, 99999};
  hone_hasher_t *hasher = hone_hasher_create();
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    uint64_t expected = hone_hash64(data, sizes[i]);
    for (size_t j = 0; j < sizeof steps / sizeof *steps; j++) {
      hone_hasher_reset(hasher);
      for (size_t at = 0; at < sizes[i]; at += steps[j]) {
        size_t step = sizes[i] - at < steps[j] ? sizes[i] - at : steps[j];
        hone_hasher_add(hasher, data + at, step);
        hone_hasher_add(hasher, NULL, 0);
      }
      assert_true(hone_hasher_result(hasher) == expected);
      assert_true(hone_hasher_result(hasher) == expected);  // asking changes nothing
    }
  }
  hone_hasher_destroy(hasher);
  hone_hasher_destroy(NULL);
}

static void test_single_bits(void **state) {
  (void)state;
  memset(data, 0, 4096);
  uint64_t clean = hone_hash64(data, 4096);
  for (size_t bit = 0; bit < 4096 * 8; bit += 37) {
    data[bit / 8] ^= (unsigned char)(1u << bit % 8);
    assert_true(hone_hash64(data, 4096) != clean);
    data[bit / 8] ^= (unsigned char)(1u << bit % 8);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_known_values),
      cmocka_unit_test(test_streaming),
      cmocka_unit_test(test_single_bits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
