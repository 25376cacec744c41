// Coordinate descent on tr((W - Q) H (W - Q)^T): with the gradient g = (q - w) H, the best value of
// weight j given all others is q_j - g_j / H_jj; its nearest code is taken, and g follows by a row
// of H. Scales are refit along c = dq/ds of their group: ds = -(c . g) / (c H c), rounded to a
// scale that can be stored, and kept if the error falls.
//
// Columns are taken in blocks. Within a block only the block's own part of g follows at once; the
// rest follows for all rows together by one matrix product, so that H is read once per chunk of
// rows.
#include <cblas.h>
#include <math.h>
#include <string.h>

#include "quant/curvature_internal.h"
#include "quant/hot_internal.h"
#include "quant/quantizer_internal.h"
#include "quant/real.h"

typedef struct block {
  const hone_curvature_t *c;
  const hone_quantizer_t *q;
  uint64_t first, last;  // columns
  // of the row under way
  uint64_t n;                  // in the tensor
  uint8_t *codes;              // (Kp)
  uint16_t *scales;            // (scales of a row)
  float *real;                 // the same as f32
  float *decoded;              // (K)
  float g[HONE_GPTQ_COLUMNS];  // the block's gradient
} block_t;

HONE_HOT static void add_scaled(float *g, const float *h, uint64_t count, float factor) {
  for (uint64_t i = 0; i < count; i++) g[i] += factor * h[i];
}

// Moves weight j (of the whole row) and lets the block's gradient follow.
static void move(block_t *b, uint64_t j, float value) {
  float change = value - b->decoded[j];
  if (change == 0) return;
  add_scaled(b->g, b->c->H + j * b->c->K + b->first, b->last - b->first, change);
  b->decoded[j] = value;
}

static bool sweep_codes(block_t *b) {
  bool changed = false;
  for (uint64_t j = b->first; j < b->last; j++) {
    const float *scales = b->real + j / b->q->format.group * b->q->planes;
    float value, wanted = b->decoded[j] - b->g[j - b->first] / b->c->H[j * b->c->K + j];
    uint8_t code = hone_quantizer_nearest(b->q, scales, wanted, &value);
    if (code == b->codes[j]) continue;
    move(b, j, value);
    b->codes[j] = code;
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

// c . g and c H c of scale p of the group at columns [first, last).
static void slopes(const block_t *b, const float *unit, uint64_t first, uint64_t last,
                   double *out_slope, double *out_bend) {
  float direction[HONE_QUANT_GROUP];
  uint64_t n = last - first;
  *out_slope = *out_bend = 0;
  for (uint64_t i = 0; i < n; i++) {
    direction[i] = hone_quantizer_value(b->q, unit, b->codes[first + i]);
    *out_slope += (double)direction[i] * (double)b->g[first + i - b->first];
  }
  for (uint64_t i = 0; i < n; i++) {
    const float *h = b->c->H + (first + i) * b->c->K + first;
    float sum = 0;
    for (uint64_t j = 0; j < n; j++) sum += h[j] * direction[j];
    *out_bend += (double)direction[i] * (double)sum;
  }
}

static void refit_scale(block_t *b, uint32_t s, uint32_t p) {
  const hone_quantizer_t *q = b->q;
  uint64_t first = (uint64_t)s * q->format.group, last = first + q->format.group;
  uint64_t group = hone_quantizer_group(q, b->n, s);
  float *real = b->real + s * q->planes, unit[HONE_QUANT_PLANES] = {0};
  uint16_t *stored = b->scales + s * q->planes + p, best_code = *stored;
  double slope, bend, best = 0;
  if (last > b->c->K) last = b->c->K;
  if (real[p] == 0) return;
  unit[p] = 1.0f;
  slopes(b, unit, first, last, &slope, &bend);
  if (!(bend > 0)) return;
  float wanted = real[p] - (float)(slope / bend);
  for (int step = -1; step <= 1; step++) {
    uint16_t code;
    if (!store_scale(q, group, wanted, *stored, step, &code)) continue;
    double ds = (double)hone_quantizer_scale(q, group, code) - (double)real[p];
    double change = ds * (2 * slope + ds * bend);
    if (change < best) best = change, best_code = code;
  }
  if (best_code == *stored) return;
  *stored = best_code;
  real[p] = hone_quantizer_scale(q, group, best_code);
  for (uint64_t j = first; j < last; j++) move(b, j, hone_quantizer_value(q, real, b->codes[j]));
}

// One block of one row; true if any code changed.
static bool improve(block_t *b) {
  bool changed = sweep_codes(b);
  uint32_t group = b->q->format.group;
  for (uint64_t j = b->first; j < b->last; j += group)
    for (uint32_t p = 0; p < b->q->planes; p++) refit_scale(b, (uint32_t)(j / group), p);
  return changed;
}

// Decoded weights and the gradient from scratch.
static void start(const hone_curvature_t *c, const hone_quantizer_t *q, hone_rows_work_t *work,
                  const float *values, int64_t count, const uint8_t *codes) {
  uint64_t K = c->K, per_row = (uint64_t)q->scale_count * q->planes;
  for (int64_t r = 0; r < count; r++) {  // moved: decoded - w
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
}

void hone_descent_rows(const hone_curvature_t *c, const hone_quantizer_t *q, int sweeps,
                       hone_rows_work_t *work, int64_t first_row, const float *values,
                       int64_t count, uint8_t *codes, uint16_t *scales) {
  uint64_t K = c->K, per_row = (uint64_t)q->scale_count * q->planes;
  start(c, q, work, values, count, codes);
  bool changed = true;
  for (int sweep = 0; sweep < sweeps && changed; sweep++) {
    changed = false;
    for (uint64_t first = 0; first < K; first += HONE_GPTQ_COLUMNS) {
      uint64_t last = first + HONE_GPTQ_COLUMNS < K ? first + HONE_GPTQ_COLUMNS : K,
               n = last - first;
      for (int64_t r = 0; r < count; r++) {
        block_t b = {.c = c,
                     .q = q,
                     .n = (uint64_t)(first_row + r),
                     .first = first,
                     .last = last,
                     .codes = codes + (uint64_t)r * q->Kp,
                     .scales = scales + (uint64_t)r * per_row,
                     .real = work->real + (uint64_t)r * per_row,
                     .decoded = work->decoded + (uint64_t)r * K};
        float *delta = work->columns + (uint64_t)r * HONE_GPTQ_COLUMNS;
        memcpy(b.g, work->gradient + (uint64_t)r * K + first, n * sizeof *b.g);
        for (uint64_t j = 0; j < n; j++) delta[j] = -b.decoded[first + j];
        changed |= improve(&b);
        for (uint64_t j = 0; j < n; j++) delta[j] += b.decoded[first + j];
      }
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)count, (int)K, (int)n, 1.0f,
                  work->columns, HONE_GPTQ_COLUMNS, c->H + first * K, (int)K, 1.0f, work->gradient,
                  (int)K);
    }
  }
}
