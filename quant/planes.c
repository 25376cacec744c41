// Binary coding: w = sum_p scale_p * (±1), with scales by alternating weighted least squares
// (Xu et al. 2018; ShiftAddLLM, arXiv 2406.05981): greedy start, then in turn the best scales for
// the signs (normal equations) and the nearest of the 2^P sums for every weight. Scales that must
// be powers of two are rounded together, in every round.
#include <math.h>
#include <string.h>

#include "quant/hot_internal.h"
#include "quant/quantizer_internal.h"
#include "quant/real.h"

enum { ROUNDS = 12, SUMS = 1 << HONE_QUANT_PLANES };

static void sums_of(int planes, const float *scales, float *out) {
  for (unsigned code = 0; code < 1u << planes; code++)
    out[code] = hone_planes_value(planes, scales, code);
}

HONE_HOT void hone_planes_codes(int planes, const float *scales, const float *x, int n,
                                uint8_t *codes) {
  float sums[SUMS];
  sums_of(planes, scales, sums);
  for (int i = 0; i < n; i += 16) {
    float best[16];
    int32_t code[16];
    for (int l = 0; l < 16; l++) best[l] = fabsf(x[i + l] - sums[0]), code[l] = 0;
    for (int c = 1; c < 1 << planes; c++)
      for (int l = 0; l < 16; l++) {
        float far = fabsf(x[i + l] - sums[c]);
        code[l] = far < best[l] ? c : code[l];
        best[l] = far < best[l] ? far : best[l];
      }
    for (int l = 0; l < 16; l++) codes[i + l] = (uint8_t)code[l];
  }
}

HONE_HOT void hone_planes_nearest(int planes, const float *scales, uint64_t stride, const float *w,
                                  int count, uint8_t *codes, float *out_values) {
  for (int i = 0; i < count; i += 16) {
    float best[16], found[16] = {0};
    int32_t code[16] = {0};
    for (int l = 0; l < 16; l++) best[l] = INFINITY;
    for (int c = 0; c < 1 << planes; c++) {
      float value[16] = {0};
      for (int p = 0; p < planes; p++) {
        const float *scale = scales + (uint64_t)p * stride + i;
        float sign = c >> p & 1 ? 1.0f : -1.0f;
        for (int l = 0; l < 16; l++) value[l] += sign * scale[l];
      }
      for (int l = 0; l < 16; l++) {
        float far = fabsf(w[i + l] - value[l]);
        code[l] = far < best[l] ? c : code[l];
        found[l] = far < best[l] ? value[l] : found[l];
        best[l] = far < best[l] ? far : best[l];
      }
    }
    for (int l = 0; l < 16; l++) codes[i + l] = (uint8_t)code[l], out_values[i + l] = found[l];
  }
}

typedef struct normal {
  float right[HONE_QUANT_PLANES];                     // sum h b_p w
  float cross[HONE_QUANT_PLANES][HONE_QUANT_PLANES];  // sum h b_p b_q
} normal_t;

HONE_HOT static void collect(int planes, const float *x, const float *h, int n,
                             const uint8_t *codes, normal_t *out) {
  *out = (normal_t){0};
  for (int p = 0; p < planes; p++) {
    float right[16] = {0};
    for (int i = 0; i < n; i += 16)
      for (int l = 0; l < 16; l++) {
        float weighted = h[i + l] * x[i + l];
        right[l] += codes[i + l] >> p & 1 ? weighted : -weighted;
      }
    for (int l = 0; l < 16; l++) out->right[p] += right[l];
    for (int o = 0; o <= p; o++) {
      float cross[16] = {0};
      for (int i = 0; i < n; i += 16)
        for (int l = 0; l < 16; l++) {
          int same = (codes[i + l] >> p & 1) == (codes[i + l] >> o & 1);
          cross[l] += same ? h[i + l] : -h[i + l];
        }
      float sum = 0;
      for (int l = 0; l < 16; l++) sum += cross[l];
      out->cross[p][o] = out->cross[o][p] = sum;
    }
  }
}

// Cholesky with a whisper of damping: planes can coincide.
static bool solve(int planes, const normal_t *m, float *out) {
  double L[HONE_QUANT_PLANES][HONE_QUANT_PLANES] = {{0}}, y[HONE_QUANT_PLANES];
  for (int i = 0; i < planes; i++) {
    for (int j = 0; j <= i; j++) {
      double sum = (double)m->cross[i][j] * (i == j ? 1.0 + 1e-5 : 1.0);
      for (int k = 0; k < j; k++) sum -= L[i][k] * L[j][k];
      if (i == j) {
        if (!(sum > 0)) return false;
        L[i][i] = sqrt(sum);
      } else {
        L[i][j] = sum / L[j][j];
      }
    }
  }
  for (int i = 0; i < planes; i++) {
    y[i] = m->right[i];
    for (int k = 0; k < i; k++) y[i] -= L[i][k] * y[k];
    y[i] /= L[i][i];
  }
  for (int i = planes - 1; i >= 0; i--) {
    for (int k = i + 1; k < planes; k++) y[i] -= L[k][i] * y[k];
    y[i] /= L[i][i];
  }
  for (int i = 0; i < planes; i++) out[i] = (float)y[i];
  return true;
}

// Each plane takes the signs of what the planes before it left over.
static void start(int planes, const float *x, const float *h, int n, float *scales) {
  float rest[HONE_QUANT_GROUP];
  memcpy(rest, x, (size_t)n * sizeof *rest);
  for (int p = 0; p < planes; p++) {
    float sum = 0, total = 0;
    for (int i = 0; i < n; i++) sum += h[i] * fabsf(rest[i]), total += h[i];
    scales[p] = total > 0 ? sum / total : 0;
    for (int i = 0; i < n; i++) rest[i] -= rest[i] < 0 ? -scales[p] : scales[p];
  }
}

static float error_of(int planes, const float *scales, const float *x, const float *h, int n,
                      const uint8_t *codes) {
  float sums[SUMS], total = 0;
  sums_of(planes, scales, sums);
  for (int i = 0; i < n; i++) {
    float miss = x[i] - sums[codes[i]];
    total += h[i] * miss * miss;
  }
  return total;
}

// The powers of two around each scale whose combination is best: what e8m0 can store. Negative
// scales are turned around; codes follow. Zero stays zero.
static void snap(int planes, const float *x, const float *h, int n, float *scales) {
  float lower[HONE_QUANT_PLANES], best[HONE_QUANT_PLANES] = {0}, least = INFINITY;
  uint8_t codes[HONE_QUANT_GROUP];
  for (int p = 0; p < planes; p++) {
    int exponent;
    (void)frexpf(fabsf(scales[p]), &exponent);
    bool is_tiny = fabsf(scales[p]) < 0x1p-126f;
    lower[p] = is_tiny ? 0.0f : ldexpf(1, exponent - 1 < 126 ? exponent - 1 : 126);
  }
  for (unsigned above = 0; above < 1u << planes; above++) {
    float trial[HONE_QUANT_PLANES] = {0};
    for (int p = 0; p < planes; p++) trial[p] = above >> p & 1 ? 2 * lower[p] : lower[p];
    hone_planes_codes(planes, trial, x, n, codes);
    float error = error_of(planes, trial, x, h, n, codes);
    if (error < least) least = error, memcpy(best, trial, sizeof best);
  }
  memcpy(scales, best, (size_t)planes * sizeof *scales);
}

static uint16_t store(float scale, bool is_power, bool *overflow) {
  int exponent;
  if (!is_power) return hone_f16_from_f32(scale, overflow);
  (void)frexpf(scale, &exponent);
  return scale == 0 ? 0 : (uint16_t)(exponent + 126);  // 1 ... 254
}

bool hone_planes_fit(int planes, bool is_power, const float *x, const float *h, int n,
                     uint16_t *out_scales) {
  float best[HONE_QUANT_PLANES] = {0}, scales[HONE_QUANT_PLANES] = {0}, least = INFINITY;
  uint8_t codes[HONE_QUANT_GROUP];
  bool overflow = false;
  start(planes, x, h, n, scales);
  for (int round = 0; round < ROUNDS; round++) {
    if (is_power) snap(planes, x, h, n, scales);
    hone_planes_codes(planes, scales, x, n, codes);
    float error = error_of(planes, scales, x, h, n, codes);
    if (!(error < least)) break;
    least = error;
    memcpy(best, scales, sizeof best);
    normal_t m;
    collect(planes, x, h, n, codes, &m);
    if (!solve(planes, &m, scales)) break;
  }
  for (int p = 0; p < planes; p++) out_scales[p] = store(best[p], is_power, &overflow);
  return !overflow;
}
