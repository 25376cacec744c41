// Groups on long integer grids (q8: -127..127, q6: -31..31): scale and codes by rounding.
#include <math.h>
#include <string.h>

#include "quant/hot_internal.h"
#include "quant/quantizer_internal.h"
#include "quant/real.h"

// 1.5 * 2^23 leaves no fraction bits: adding it rounds to nearest even, the integer is the
// difference of bits. |u| stays far below 2^22.
static inline int32_t round_even(float u) {
  float shifted = u + 12582912.0f;
  int32_t bits;
  memcpy(&bits, &shifted, sizeof bits);
  return bits - 0x4b400000;
}

static inline int32_t code_of(float u, int32_t limit) {
  int32_t code = round_even(u);
  code = code > limit ? limit : code;
  return code < -limit ? -limit : code;
}

// Trial scales as parts of max|w| / limit; clipping pays at 6 bits, hardly at 8.
static const float parts_q6[] = {1.0f, 0.96f, 0.92f, 0.88f, 0.84f, 0.80f, 1.02f};

HONE_HOT static float search(const float *x, const float *h, int n, float plain, int32_t limit) {
  float best = -1.0f, scale = plain;
  for (size_t p = 0; p < sizeof parts_q6 / sizeof *parts_q6; p++) {
    float inverse = 1.0f / (plain * parts_q6[p]);
    float a[16] = {0}, b[16] = {0};
    for (int i = 0; i < n; i += 16)
      for (int l = 0; l < 16; l++) {
        float level = (float)code_of(x[i + l] * inverse, limit), weighted = h[i + l] * level;
        a[l] += weighted * x[i + l];
        b[l] += weighted * level;
      }
    float A = 0, B = 0;
    for (int l = 0; l < 16; l++) A += a[l], B += b[l];
    float gain = B > 0 ? A * A / B : 0.0f;
    if (gain > best) best = gain, scale = B > 0 ? A / B : plain;
  }
  return scale;
}

bool hone_integers_fit(const hone_quantizer_t *q, const float *x, const float *h, int n,
                       uint16_t *out_scale) {
  int32_t limit = q->format.storage == HONE_Q8 ? 127 : 31;
  float largest = 0;
  for (int i = 0; i < n; i++) largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
  float plain = largest / (float)limit, scale = plain;
  bool overflow = false;
  if (limit < 127 && plain > 0 && isfinite(1.0f / plain)) scale = search(x, h, n, plain, limit);
  *out_scale = hone_f16_from_f32(scale, &overflow);
  return !overflow;
}

HONE_HOT void hone_integers_codes(int limit, const float *x, int n, float scale, uint8_t *codes,
                                  int bias) {
  // Where the stored scale is zero all values are so small that they become zero.
  float divisor = scale == 0 ? 1.0f : scale;
  for (int i = 0; i < n; i++) codes[i] = (uint8_t)(code_of(x[i] / divisor, limit) + bias);
}

HONE_HOT void hone_integers_nearest(int limit, const float *scales, const float *w, int count,
                                    uint8_t *codes, int bias, float *out_values) {
  for (int i = 0; i < count; i++) {
    int32_t code = code_of(w[i] / (scales[i] == 0 ? 1.0f : scales[i]), limit);
    codes[i] = (uint8_t)(code + bias);
    out_values[i] = (float)code * scales[i];
  }
}
