// Quantizers against references written for clarity: tables searched by hand, halves rounded in
// double.
#include "tests/unit/codegen/test.h"

#include <math.h>

#include "codegen/pack/quantize.h"

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

// The tree of bitsandbytes: strictly greater goes up.
static int reference_nf4(float x) {
  int code = 0;
  while (code < 15 && x > hone_nf4_thresholds[code]) code++;
  return code;
}

static int code_nf4(const uint8_t codes[32], int i) {
  return i < 32 ? codes[i] & 15 : codes[i - 32] >> 4;
}

static void check_nf4(const float row[64]) {
  uint8_t codes[32];
  uint16_t scale;
  float largest = 0;
  assert_true(hone_quantize_nf4(row, 1, codes, 32, &scale, 1));
  for (int i = 0; i < 64; i++) largest = fmaxf(largest, fabsf(row[i]));
  assert_int_equal(scale, reference_f16(largest));
  float divisor = hone_f32_from_f16(scale);
  for (int i = 0; i < 64; i++)
    assert_int_equal(code_nf4(codes, i), divisor == 0 ? 7 : reference_nf4(row[i] / divisor));
}

static void nf4_follows_the_table(void **state) {
  (void)state;
  float row[64] = {1};
  uint64_t seed = 42;
  for (int t = 0; t < 15; t++) {  // ties go down, the next float goes up
    assert_true(hone_nf4_table[t] < hone_nf4_thresholds[t] &&
                hone_nf4_thresholds[t] < hone_nf4_table[t + 1]);
    row[2 * t + 1] = hone_nf4_thresholds[t];
    row[2 * t + 2] = nextafterf(hone_nf4_thresholds[t], 2);
  }
  check_nf4(row);
  uint8_t codes[32];
  uint16_t scale;
  assert_true(hone_quantize_nf4(row, 1, codes, 32, &scale, 1));
  for (int t = 0; t < 15; t++) {
    assert_int_equal(code_nf4(codes, 2 * t + 1), t);
    assert_int_equal(code_nf4(codes, 2 * t + 2), t + 1);
  }
  for (int i = 0; i < 16; i++) row[i] = hone_nf4_table[i];  // levels are kept
  assert_true(hone_quantize_nf4(row, 1, codes, 32, &scale, 1));
  for (int i = 0; i < 16; i++) assert_int_equal(code_nf4(codes, i), i);
  for (int n = 0; n < 2000; n++) {
    double size = ldexp(1, (int)(test_random(&seed) * 44) - 30);
    for (int i = 0; i < 64; i++) row[i] = (float)((test_random(&seed) - 0.5) * size);
    check_nf4(row);
  }
}

static void constant_groups_are_exact(void **state) {
  (void)state;
  const float constants[] = {0, -0.0f, 1, -2.5f, 0x1p-24f, 1e-30f, -65504};
  for (size_t n = 0; n < sizeof constants / sizeof *constants; n++) {
    float row[64];
    uint8_t nf4[32];
    int8_t q8[64];
    uint16_t nf4_scale, q8_scale;
    float value = constants[n], stored = hone_f32_from_f16(reference_f16(value));
    for (int i = 0; i < 64; i++) row[i] = value;
    assert_true(hone_quantize_nf4(row, 1, nf4, 32, &nf4_scale, 1));
    assert_true(hone_quantize_q8(row, 1, q8, 64, &q8_scale, 1));
    for (int i = 0; i < 64; i++) {
      assert_true(hone_nf4_table[code_nf4(nf4, i)] * hone_f32_from_f16(nf4_scale) == stored);
      double back = (double)q8[i] * (double)hone_f32_from_f16(q8_scale);
      assert_true(fabs(back - value) <= fabs(value) * 0x1p-8 + 0x1p-24 * 64);
    }
  }
}

static void q8_follows_its_rule(void **state) {
  (void)state;
  uint64_t seed = 99;
  for (int n = 0; n < 2000; n++) {
    float rows[128];
    int8_t codes[256];
    uint16_t scales[8] = {0};
    double size = ldexp(1, (int)(test_random(&seed) * 44) - 30);
    for (int i = 0; i < 128; i++) rows[i] = (float)((test_random(&seed) - 0.5) * size);
    memset(codes, 0x55, sizeof codes);
    assert_true(hone_quantize_q8(rows, 2, codes, 128, scales, 4));  // two groups, as in a tile
    for (int g = 0; g < 2; g++) {
      float largest = 0;
      for (int i = 0; i < 64; i++) largest = fmaxf(largest, fabsf(rows[g * 64 + i]));
      assert_int_equal(scales[g * 4], reference_f16(largest / 127.0f));
      float divisor = hone_f32_from_f16(scales[g * 4]);
      for (int i = 0; i < 64; i++) {
        float code = divisor == 0 ? 0 : nearbyintf(rows[g * 64 + i] / divisor);
        assert_int_equal(codes[g * 128 + i], (int)fmaxf(-127, fminf(127, code)));
        assert_int_equal(codes[g * 128 + 64 + i], 0x55);
      }
    }
  }
}

static void scales_that_overflow_are_reported(void **state) {
  (void)state;
  float row[64] = {65520};
  uint8_t codes[64];
  uint16_t scale;
  assert_false(hone_quantize_nf4(row, 1, codes, 32, &scale, 1));
  assert_true(hone_quantize_q8(row, 1, (int8_t *)codes, 64, &scale, 1));
  row[0] = 65520.0f * 127;
  assert_false(hone_quantize_q8(row, 1, (int8_t *)codes, 64, &scale, 1));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(halves_round_to_nearest_even),
      cmocka_unit_test(rows_of_halves_use_their_stride),
      cmocka_unit_test(bfloats_round_to_nearest_even),
      cmocka_unit_test(nf4_follows_the_table),
      cmocka_unit_test(constant_groups_are_exact),
      cmocka_unit_test(q8_follows_its_rule),
      cmocka_unit_test(scales_that_overflow_are_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
