// Half-precision numbers against a reference that rounds in double.
#include "tests/unit/quant/test.h"

#include <math.h>

#include "quant/real.h"

// Nearest f16 by arithmetic, ties to the even mantissa; infinity from 65520 on.
static uint16_t reference_f16(double x) {
  uint16_t sign = signbit(x) ? 0x8000 : 0;
  double a = fabs(x);
  if (a >= 65520) return sign | 0x7c00;
  if (a < 0x1p-24 / 2) return sign;
  int exponent = ilogb(a) < -14 ? -14 : ilogb(a);
  double unit = ldexp(1, exponent - 10);
  int mantissa = (int)nearbyint(a / unit);  // the default mode is to nearest even
  if (mantissa == 2048) mantissa = 1024, exponent++;
  int biased = mantissa < 1024 ? 0 : exponent + 15;
  return (uint16_t)(sign | biased << 10 | (mantissa & 1023));
}

static float of_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static void check_f16(float x) {
  bool overflow = false;
  uint16_t got = hone_f16_from_f32(x, &overflow);
  if (got != reference_f16(x))
    fail_msg("%a: %04x, expected %04x", (double)x, got, reference_f16(x));
  assert_int_equal(overflow, fabsf(x) >= 65520);
}

static void halves_round_to_nearest_even(void **state) {
  (void)state;
  const float edges[] = {0,          -0.0f,      1,          65504,        65519.996f,
                         65520,      -65520,     0x1p-14f,   0x1.ffcp-15f, 0x1p-24f,
                         0x1p-25f,   0x1.8p-25f, 0x1.8p-24f, 0x1.ffep-15f, 0x1.002p0f,
                         0x1.006p0f, 1e-30f,     0x1p-149f};
  for (size_t i = 0; i < sizeof edges / sizeof *edges; i++) check_f16(edges[i]);
  for (uint32_t bits = 0x2f000000; bits < 0x48000000; bits += 997) check_f16(of_bits(bits));
  for (uint32_t half = 0; half < 0x7c00; half++) {  // every finite half survives
    bool overflow = false;
    float value = hone_f32_from_f16((uint16_t)half);
    assert_int_equal(hone_f16_from_f32(value, &overflow), half);
    assert_int_equal(hone_f16_from_f32(-value, &overflow), half | 0x8000);
    assert_false(overflow);
  }
}

static void rows_of_halves_use_their_stride(void **state) {
  (void)state;
  float row[64];
  uint16_t out[256];
  uint64_t seed = 7;
  for (int i = 0; i < 64; i++)
    row[i] = (float)ldexp(test_random(&seed) - 0.5, (int)(test_random(&seed) * 30) - 20);
  memset(out, 0xee, sizeof out);
  assert_true(hone_quantize_f16(row, 64, out, 64));
  for (int i = 0; i < 256; i++)
    assert_int_equal(out[i], i % 64 < 16 ? reference_f16(row[i / 64 * 16 + i % 64]) : 0xeeee);
  row[40] = 70000;
  assert_false(hone_quantize_f16(row, 64, out, 64));
}

static void bfloats_round_to_nearest_even(void **state) {
  (void)state;
  const struct {
    uint32_t from;
    uint16_t to;
  } cases[] = {{0x3f800000, 0x3f80}, {0x3f808000, 0x3f80}, {0x3f818000, 0x3f82},
               {0x3f808001, 0x3f81}, {0xbf807fff, 0xbf80}, {0x7f7f7fff, 0x7f7f},
               {0x00000001, 0x0000}, {0x80008001, 0x8001}};
  float row[16] = {0};
  uint16_t out[16];
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    row[i] = of_bits(cases[i].from);
    assert_true(hone_quantize_bf16(row, 16, out, 16));
    assert_int_equal(out[i], cases[i].to);
  }
  row[15] = of_bits(0x7f7f8000);  // finite, but nearest to infinity
  assert_false(hone_quantize_bf16(row, 16, out, 16));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(halves_round_to_nearest_even),
      cmocka_unit_test(rows_of_halves_use_their_stride),
      cmocka_unit_test(bfloats_round_to_nearest_even),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
