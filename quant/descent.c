// Coordinate descent on tr((W - Q) H (W - Q)^T): with the gradient g = (q - w) H, the best value of
// weight j given all others is q_j - g_j / H_jj; its nearest code is taken, and g follows by a row
// of H. Scales are refit along c = dq/ds of their group: ds = -(c . g) / (c H c), rounded to a
// scale that can be stored, and kept if the error falls.
#include <cblas.h>
#include <math.h>
#include <string.h>

#include "quant/curvature_internal.h"
#include "quant/hot_internal.h"
#include "quant/quantizer_internal.h"
#include "quant/real.h"

typedef struct row {
  uint64_t n;      // in the tensor
  const float *w;  // (Kp)
  uint8_t *codes;
  uint16_t *scales;
  float *real, *decoded, *gradient;
} row_t;

HONE_HOT static void add_scaled(float *g, const float *h, uint64_t count, float factor) {
  for (uint64_t i = 0; i < count; i++) g[i] += factor * h[i];
}

static bool sweep_codes(const hone_curvature_t *c, const hone_quantizer_t *q, row_t *row) {
  bool changed = false;
  for (uint64_t j = 0; j < c->K; j++) {
    const float *scales = row->real + j / q->format.group * q->planes;
    float diagonal = c->H[j * c->K + j], value;
    float wanted = row->decoded[j] - row->gradient[j] / diagonal;
    uint8_t code = hone_quantizer_nearest(q, scales, wanted, &value);
    if (code == row->codes[j]) continue;
    add_scaled(row->gradient, c->H + j * c->K, c->K, value - row->decoded[j]);
    row->decoded[j] = value;
    row->codes[j] = code;
    changed = true;
  }
  return changed;
}

// A stored scale near `wanted`; false if there is none.
static bool store_scale(const hone_quantizer_t *q, uint64_t group, float wanted, uint16_t old,
                        int step, uint16_t *out) {
  hone_scale_t kind = hone_format_info(q->format.storage)->scale;
  bool overflow = false;
  if (kind == HONE_SCALE_F16) {
    *out = hone_f16_from_f32(wanted, &overflow);
    return step == 0 && !overflow;
  }
  if (kind == HONE_SCALE_DQ8) {
    *out = hone_quantizer_nested_code(q, group, wanted);
    return step == 0;
  }
  int code = old + step, top = kind == HONE_SCALE_E8M0 ? 254 : 0x7e;
  *out = (uint16_t)code;
  return code >= 1 && code <= top;
}

// Refits scale p of group s. `direction` (group) is what one unit of the scale adds to each weight.
static void refit_scale(const hone_curvature_t *c, const hone_quantizer_t *q, row_t *row,
                        uint32_t s, uint32_t p) {
  uint64_t first = (uint64_t)s * q->format.group, K = c->K;
  uint64_t group = hone_quantizer_group(q, row->n, s);
  uint64_t n = K - first < q->format.group ? K - first : q->format.group;
  float direction[HONE_QUANT_GROUP], *real = row->real + s * q->planes;
  uint16_t *stored = row->scales + s * q->planes + p;
  float unit[HONE_QUANT_PLANES] = {0};
  if (real[p] == 0) return;
  unit[p] = 1.0f;
  double slope = 0, bend = 0;
  for (uint64_t i = 0; i < n; i++) {
    direction[i] = hone_quantizer_value(q, unit, row->codes[first + i]);
    slope += (double)direction[i] * (double)row->gradient[first + i];
  }
  for (uint64_t i = 0; i < n; i++) {
    const float *h = c->H + (first + i) * K + first;
    float sum = 0;
    for (uint64_t j = 0; j < n; j++) sum += h[j] * direction[j];
    bend += (double)direction[i] * (double)sum;
  }
  if (!(bend > 0)) return;
  float wanted = real[p] - (float)(slope / bend), best_move = 0;
  double best = 0;
  uint16_t best_code = *stored;
  for (int step = -1; step <= 1; step++) {
    uint16_t code;
    if (!store_scale(q, group, wanted, *stored, step, &code)) continue;
    double move = (double)hone_quantizer_scale(q, group, code) - (double)real[p];
    double change = move * (2 * slope + move * bend);
    if (change < best) best = change, best_code = code, best_move = (float)move;
  }
  if (best_move == 0) return;
  *stored = best_code;
  real[p] = hone_quantizer_scale(q, group, best_code);
  for (uint64_t i = 0; i < n; i++) {
    float value = hone_quantizer_value(q, real, row->codes[first + i]);
    float move = value - row->decoded[first + i];
    if (move == 0) continue;
    add_scaled(row->gradient, c->H + (first + i) * K, K, move);
    row->decoded[first + i] = value;
  }
}

void hone_descent_rows(const hone_curvature_t *c, const hone_quantizer_t *q, int sweeps,
                       hone_rows_work_t *work, int64_t first, const float *values, int64_t count,
                       uint8_t *codes, uint16_t *scales) {
  uint64_t K = c->K, per_row = (uint64_t)q->scale_count * q->planes;
  for (int64_t r = 0; r < count; r++) {  // moved: decoded - w, for the gradient
    float *decoded = work->decoded + (uint64_t)r * K, *moved = work->moved + (uint64_t)r * K;
    const float *w = values + (uint64_t)r * q->Kp;
    for (uint64_t k = 0; k < K; k++) {
      const float *real = work->real + (uint64_t)r * per_row + k / q->format.group * q->planes;
      decoded[k] = hone_quantizer_value(q, real, codes[(uint64_t)r * q->Kp + k]);
      moved[k] = decoded[k] - w[k];
    }
  }
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)count, (int)K, (int)K, 1.0f,
              work->moved, (int)K, c->H, (int)K, 0.0f, work->gradient, (int)K);
  for (int64_t r = 0; r < count; r++) {
    row_t row = {.n = (uint64_t)(first + r),
                 .w = values + (uint64_t)r * q->Kp,
                 .codes = codes + (uint64_t)r * q->Kp,
                 .scales = scales + (uint64_t)r * per_row,
                 .real = work->real + (uint64_t)r * per_row,
                 .decoded = work->decoded + (uint64_t)r * K,
                 .gradient = work->gradient + (uint64_t)r * K};
    for (int i = 0; i < sweeps; i++) {
      bool changed = sweep_codes(c, q, &row);
      for (uint32_t s = 0; s < q->scale_count; s++)
        for (uint32_t p = 0; p < q->planes; p++) refit_scale(c, q, &row, s, p);
      if (!changed) break;
    }
  }
}
