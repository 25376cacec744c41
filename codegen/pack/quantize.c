// Quantizers, written as short branch-free loops over 16 or 64 values that compilers turn into
// vector code. The functions marked HOT are compiled for plain x86-64 and for AVX2; both give the
// same bytes, since every operation is an IEEE operation and contraction is off.
#include "codegen/pack/quantize.h"

#include <string.h>

// Clang 14 and sanitizers have no part in this: they get the plain version.
#if defined(__x86_64__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define HOT __attribute__((target_clones("avx2", "default")))
#else
#define HOT
#endif

enum { GROUP = 64, LANES = 16 };

const float hone_nf4_table[16] = {
    -1.0f,
    -0.6961928009986877f,
    -0.5250730514526367f,
    -0.39491748809814453f,
    -0.28444138169288635f,
    -0.18477343022823334f,
    -0.09105003625154495f,
    0.0f,
    0.07958029955625534f,
    0.16093020141124725f,
    0.24611230194568634f,
    0.33791524171829224f,
    0.44070982933044434f,
    0.5626170039176941f,
    0.7229568362236023f,
    1.0f,
};

const float hone_nf4_thresholds[15] = {
    -0.8480964004993439f,  -0.6106329262256622f,  -0.4599952697753906f,   -0.33967943489551544f,
    -0.23460740596055984f, -0.13791173323988914f, -0.045525018125772476f, 0.03979014977812767f,
    0.1202552504837513f,   0.2035212516784668f,   0.2920137718319893f,    0.3893125355243683f,
    0.5016634166240692f,   0.6427869200706482f,   0.8614784181118011f,
};

static inline uint32_t bits_of(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

static inline float float_of(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

// Both halves of the range are computed and one is selected. Normal results: add half a unit in the
// last place (and one more for odd results), rebias the exponent, shift. Subnormal results: adding
// 0.5 lets the FPU round to a multiple of 2^-24, whose count is then the mantissa.
static inline uint32_t f16_bits(uint32_t bits) {
  uint32_t sign = bits >> 16 & 0x8000u;
  uint32_t magnitude = bits & 0x7fffffffu;
  uint32_t normal = (magnitude + 0xfffu + (magnitude >> 13 & 1u) - (112u << 23)) >> 13;
  uint32_t subnormal = bits_of(float_of(magnitude) + 0.5f) - 0x3f000000u;
  uint32_t is_normal = 0u - (uint32_t)(magnitude >= 113u << 23);
  return sign | (normal & is_normal) | (subnormal & ~is_normal);
}

enum {
  F16_OVERFLOW = 0x477ff000,
  BF16_OVERFLOW = 0x7f7f8000
};  // first magnitudes that round to infinity

uint16_t hone_f16_from_f32(float value, bool *overflow) {
  uint32_t bits = bits_of(value);
  if ((bits & 0x7fffffffu) >= F16_OVERFLOW) {
    *overflow = true;
    return (uint16_t)((bits >> 16 & 0x8000u) | 0x7c00u);
  }
  return (uint16_t)f16_bits(bits);
}

float hone_f32_from_f16(uint16_t bits) {
  uint32_t sign = (uint32_t)(bits & 0x8000u) << 16, exponent = bits >> 10 & 31u,
           mantissa = bits & 1023u;
  if (exponent == 31) return float_of(sign | 0x7f800000u | mantissa << 13);
  if (exponent == 0) {
    float value = (float)mantissa * 0x1p-24f;
    return sign ? -value : value;
  }
  return float_of(sign | (exponent + 112) << 23 | mantissa << 13);
}

HOT bool hone_quantize_f16(const float *row, size_t count, uint16_t *out, size_t stride) {
  uint32_t overflow = 0;
  for (size_t block = 0; block < count / LANES; block++) {
    const float *values = row + block * LANES;
    uint16_t *lanes = out + block * stride;
    for (int i = 0; i < LANES; i++) {
      uint32_t bits = bits_of(values[i]);
      overflow |= (uint32_t)((int32_t)(bits & 0x7fffffffu) >= F16_OVERFLOW);
      lanes[i] = (uint16_t)f16_bits(bits);
    }
  }
  return overflow == 0;
}

HOT bool hone_quantize_bf16(const float *row, size_t count, uint16_t *out, size_t stride) {
  uint32_t overflow = 0;
  for (size_t block = 0; block < count / LANES; block++) {
    const float *values = row + block * LANES;
    uint16_t *lanes = out + block * stride;
    for (int i = 0; i < LANES; i++) {
      uint32_t bits = bits_of(values[i]);
      overflow |= (uint32_t)((int32_t)(bits & 0x7fffffffu) >= BF16_OVERFLOW);
      lanes[i] = (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
    }
  }
  return overflow == 0;
}

// The largest magnitude of a group. Magnitudes of finite floats order as integers do.
static inline float group_maximum(const float *values) {
  int32_t largest = 0;
  for (int i = 0; i < GROUP; i++) {
    int32_t magnitude = (int32_t)(bits_of(values[i]) & 0x7fffffffu);
    largest = magnitude > largest ? magnitude : largest;
  }
  return float_of((uint32_t)largest);
}

// What to divide by: the stored scale, or 1 where it is zero (all values are then so small that
// they become zero).
static inline float divisor_of(uint16_t scale) {
  float value = hone_f32_from_f16(scale);
  return value == 0.0f ? 1.0f : value;
}

HOT bool hone_quantize_q8(const float *row, size_t groups, int8_t *codes, size_t code_stride,
                          uint16_t *scales, size_t scale_stride) {
  bool overflow = false;
  for (size_t g = 0; g < groups; g++) {
    const float *values = row + g * GROUP;
    int8_t *out = codes + g * code_stride;
    uint16_t scale = hone_f16_from_f32(group_maximum(values) / 127.0f, &overflow);
    float divisor = divisor_of(scale);
    scales[g * scale_stride] = scale;
    for (int i = 0; i < GROUP; i++) {
      // 1.5 * 2^23 leaves no fraction bits: the addition rounds to nearest even, the integer is the
      // difference of bits.
      // (|w / scale| is at most about 190, where the scale is a subnormal that was rounded down.)
      int32_t code = (int32_t)(bits_of(values[i] / divisor + 12582912.0f) - 0x4b400000u);
      code = code > 127 ? 127 : code;
      out[i] = (int8_t)(code < -127 ? -127 : code);
    }
  }
  return !overflow;
}

// Any table of 16 levels whose level 7 is zero: the code is the number of midpoints that lie below.
static inline __attribute__((always_inline)) bool quantize_table(const float thresholds[15],
                                                                 const float *row, size_t groups,
                                                                 uint8_t *codes, size_t code_stride,
                                                                 uint16_t *scales,
                                                                 size_t scale_stride) {
  bool overflow = false;
  for (size_t g = 0; g < groups; g++) {
    const float *values = row + g * GROUP;
    uint8_t *out = codes + g * code_stride;
    uint16_t scale = hone_f16_from_f32(group_maximum(values), &overflow);
    float divisor = divisor_of(scale);
    scales[g * scale_stride] = scale;
    int32_t level[GROUP];
    for (int i = 0; i < GROUP; i++) {
      float x = values[i] / divisor;
      int32_t above = 0;
      for (int t = 0; t < 15; t++) above += x > thresholds[t];
      level[i] = above;
    }
    for (int b = 0; b < GROUP / 2; b++) out[b] = (uint8_t)(level[b] | level[b + GROUP / 2] << 4);
  }
  return !overflow;
}

HOT bool hone_quantize_nf4(const float *row, size_t groups, uint8_t *codes, size_t code_stride,
                           uint16_t *scales, size_t scale_stride) {
  return quantize_table(hone_nf4_thresholds, row, groups, codes, code_stride, scales, scale_stride);
}
