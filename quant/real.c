// See real.h. Short branch-free loops over 16 values that compilers turn into vector code.
#include "quant/real.h"

#include <string.h>

#include "quant/hot_internal.h"

enum { LANES = 16 };

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

HONE_HOT bool hone_quantize_f16(const float *row, size_t count, uint16_t *out, size_t stride) {
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

HONE_HOT bool hone_quantize_bf16(const float *row, size_t count, uint16_t *out, size_t stride) {
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
