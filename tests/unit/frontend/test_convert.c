// Stored numbers to f32: every half and every bfloat16, against the definitions.
#include "frontend/convert.h"

#include <math.h>

#include "tests/unit/frontend/fixture.h"

enum { ALL = 65536 };

static double half_value(uint32_t bits) {
  int exponent = (int)(bits >> 10 & 31);
  double mantissa = bits & 1023, sign = bits & 0x8000 ? -1 : 1;
  return sign * (exponent ? ldexp(1 + mantissa / 1024, exponent - 15) : ldexp(mantissa, -24));
}

static void test_every_half(void **state) {
  (void)state;
  for (uint32_t bits = 0; bits < ALL; bits++) {
    // At an odd address, and among others.
    uint8_t source[1 + 2 * 19] = {0};
    float out[19];
    source[1 + 2 * 7] = (uint8_t)bits;
    source[1 + 2 * 7 + 1] = (uint8_t)(bits >> 8);
    bool finite = (bits >> 10 & 31) != 31;
    assert_int_equal(hone_convert_to_f32(HONE_F16, source + 1, 19, out), finite);
    if (!finite) continue;
    assert_true(out[7] == (float)half_value(bits));
    assert_int_equal(signbit(out[7]) != 0, bits >> 15);
    assert_true(out[6] == 0 && out[8] == 0);
  }
}

static void test_every_bfloat(void **state) {
  (void)state;
  for (uint32_t bits = 0; bits < ALL; bits++) {
    uint8_t source[2] = {(uint8_t)bits, (uint8_t)(bits >> 8)};
    float out;
    uint32_t got;
    assert_int_equal(hone_convert_to_f32(HONE_BF16, source, 1, &out), (bits >> 7 & 255) != 255);
    memcpy(&got, &out, 4);
    assert_int_equal(got, bits << 16);
  }
}

static void test_floats(void **state) {
  (void)state;
  float values[37], out[37];
  for (int i = 0; i < 37; i++) values[i] = (float)(i - 18) * 0.37f;
  assert_true(hone_convert_to_f32(HONE_F32, (const uint8_t *)values, 37, out));
  assert_memory_equal(values, out, sizeof values);
  const float bad[] = {INFINITY, -INFINITY, NAN};
  for (int i = 0; i < 37 * 3; i++) {
    float changed[37];
    memcpy(changed, values, sizeof values);
    changed[i / 3] = bad[i % 3];
    assert_false(hone_convert_to_f32(HONE_F32, (const uint8_t *)changed, 37, out));
  }
  assert_true(hone_convert_to_f32(HONE_F32, (const uint8_t *)values, 0, out));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_every_half),
      cmocka_unit_test(test_every_bfloat),
      cmocka_unit_test(test_floats),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
