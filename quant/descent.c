// Coordinate descent on tr((W - Q) H (W - Q)^T): with the gradient g = (q - w) H, the best value of
// weight j given all others is q_j - g_j / H_jj; its nearest code is taken, and g follows by a row
// of H. Scales are refit along c = dq/ds of their group: ds = -(c . g) / (c H c), rounded to a
// scale that can be stored, and kept if the error falls.
//
// Columns are taken in blocks. The gradient of a block comes fresh from all columns by one product;
// within the block it follows what the block's own columns change.
#include <stdlib.h>
#include <string.h>

#include "quant/curvature_internal.h"
#include "quant/hot_internal.h"
#include "quant/quantizer_internal.h"
#include "quant/real.h"

enum { BLOCK = HONE_CURVATURE_BLOCK, LANES = HONE_CURVATURE_LANES, CODES = 256 };

typedef struct block {
  const hone_curvature_t *c;
  const hone_quantizer_t *q;
  const hone_lanes_t *lanes;
  int64_t first_row;                     // of lane 0
  float unit[HONE_QUANT_PLANES][CODES];  // what each code stands for at scale one of each plane
  uint64_t first, count;                 // columns
  float H[BLOCK][BLOCK];
  // of the strip under way
  uint64_t lane;
  float change[BLOCK][LANES];  // of the decoded weights since the block began
} block_t;

static void fill_units(block_t *b) {
  for (uint32_t p = 0; p < b->q->planes; p++) {
    float unit[HONE_QUANT_PLANES] = {0};
    unit[p] = 1.0f;
    for (unsigned code = 0; code < CODES; code++)
      b->unit[p][code] = hone_quantizer_value(b->q, unit, (uint8_t)code);
  }
}

static inline uint64_t place_of(const block_t *b, uint64_t i) {  // column i of the block
  return (b->first + i) * b->lanes->count + b->lane;
}

// The gradient of column i, given what columns [0, count) of the block have changed.
static inline __attribute__((always_inline)) void gradient_of(const block_t *b, uint64_t i,
                                                              uint64_t count, float *out) {
  memcpy(out, b->lanes->slope + i * b->lanes->count + b->lane, LANES * sizeof *out);
  for (uint64_t j = 0; j < count; j++) hone_lanes_add(out, b->change[j], b->H[i][j]);
}

// Column i of the block takes other values.
static inline __attribute__((always_inline)) void take(block_t *b, uint64_t i, const float *value) {
  const float *w = b->lanes->weights + place_of(b, i);
  float *decoded = b->lanes->decoded + place_of(b, i), *miss = b->lanes->miss + place_of(b, i);
  for (int l = 0; l < LANES; l++) {
    b->change[i][l] += value[l] - decoded[l];
    decoded[l] = value[l];
    miss[l] = value[l] - w[l];
  }
}

HONE_HOT static void sweep_codes(block_t *b) {
  const hone_lanes_t *lanes = b->lanes;
  float wanted[LANES], value[LANES], g[LANES];
  memset(b->change, 0, sizeof b->change);
  for (uint64_t i = 0; i < b->count; i++) {
    const float *decoded = lanes->decoded + place_of(b, i);
    float inverse = 1.0f / b->H[i][i];
    gradient_of(b, i, i, g);
    for (int l = 0; l < LANES; l++) wanted[l] = decoded[l] - g[l] * inverse;
    uint64_t scale = (b->first + i) / b->q->format.group * b->q->planes;
    hone_quantizer_nearest(b->q, lanes->scales + scale * lanes->count + b->lane, lanes->count,
                           wanted, LANES, lanes->codes + place_of(b, i), value);
    take(b, i, value);
  }
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

typedef struct slopes {  // c . g and c H c of a scale, for every lane
  double slope[LANES];
  float bend[LANES];
} slopes_t;

// Of plane p of the group at columns [first, last) of the block.
HONE_HOT static void find_slopes(block_t *b, uint32_t p, uint64_t first, uint64_t last,
                                 slopes_t *out) {
  float direction[HONE_QUANT_GROUP][LANES], g[LANES];
  memset(out, 0, sizeof *out);
  for (uint64_t i = first; i < last; i++) {
    const uint8_t *codes = b->lanes->codes + place_of(b, i);
    for (int l = 0; l < LANES; l++) direction[i - first][l] = b->unit[p][codes[l]];
  }
  for (uint64_t i = first; i < last; i++) {
    const float *c = direction[i - first];
    gradient_of(b, i, b->count, g);
    for (int l = 0; l < LANES; l++) out->slope[l] += (double)(c[l] * g[l]);
    float sum[LANES] = {0};
    for (uint64_t j = first; j < last; j++) hone_lanes_add(sum, direction[j - first], b->H[i][j]);
    for (int l = 0; l < LANES; l++) out->bend[l] += c[l] * sum[l];
  }
}

// One lane's best scale of those that can be stored; true if it is another one.
static bool choose_scale(const block_t *b, uint64_t group, double slope, double bend, float *real,
                         uint16_t *stored) {
  uint16_t best_code = *stored;
  double best = 0;
  if (*real == 0 || !(bend > 0)) return false;
  float wanted = *real - (float)(slope / bend);
  for (int step = -1; step <= 1; step++) {
    uint16_t code;
    if (!store_scale(b->q, group, wanted, *stored, step, &code)) continue;
    double ds = (double)hone_quantizer_scale(b->q, group, code) - (double)*real;
    double change = ds * (2 * slope + ds * bend);
    if (change < best) best = change, best_code = code;
  }
  if (best_code == *stored) return false;
  *stored = best_code;
  *real = hone_quantizer_scale(b->q, group, best_code);
  return true;
}

HONE_HOT static void follow_scales(block_t *b, uint64_t s, uint64_t first, uint64_t last) {
  uint64_t count = b->lanes->count;
  const float *scales = b->lanes->scales + s * b->q->planes * count + b->lane;
  for (uint64_t i = first; i < last; i++) {
    const uint8_t *codes = b->lanes->codes + place_of(b, i);
    float value[LANES] = {0};
    for (uint32_t p = 0; p < b->q->planes; p++)
      for (int l = 0; l < LANES; l++)
        value[l] += b->unit[p][codes[l]] * scales[p * count + (uint64_t)l];
    take(b, i, value);
  }
}

// Scale p of group s, at columns [first, last) of the block, in every lane.
static void refit_scales(block_t *b, uint64_t s, uint32_t p, uint64_t first, uint64_t last) {
  uint64_t at = (s * b->q->planes + p) * b->lanes->count + b->lane;
  bool changed = false;
  slopes_t slopes;
  find_slopes(b, p, first, last, &slopes);
  for (uint64_t l = 0; l < LANES; l++) {
    uint64_t row = (uint64_t)b->first_row + b->lane + l;
    changed |=
        choose_scale(b, hone_quantizer_group(b->q, row, s), slopes.slope[l], (double)slopes.bend[l],
                     &b->lanes->scales[at + l], &b->lanes->stored[at + l]);
  }
  if (changed) follow_scales(b, s, first, last);
}

// False: nothing changed.
static bool improve_strip(block_t *b, uint64_t lane) {
  uint64_t group = b->q->format.group;
  b->lane = lane;
  sweep_codes(b);
  for (uint64_t first = 0; first < b->count; first += group) {
    uint64_t last = first + group < b->count ? first + group : b->count;
    for (uint32_t p = 0; p < b->q->planes; p++)
      refit_scales(b, (b->first + first) / group, p, first, last);
  }
  for (uint64_t i = 0; i < b->count; i++)
    for (int l = 0; l < LANES; l++)
      if (b->change[i][l] != 0) return true;
  return false;
}

static bool improve_block(block_t *b, uint64_t first, bool *changed) {
  uint64_t K = b->c->K, lanes = b->lanes->count;
  b->first = first;
  b->count = K - first < BLOCK ? K - first : BLOCK;
  for (uint64_t i = 0; i < b->count; i++)
    memcpy(b->H[i], b->c->H + (first + i) * K + first, b->count * sizeof(float));
  if (!hone_matrix_multiply(&(hone_product_t){.M = b->count,
                                              .N = lanes,
                                              .K = K,
                                              .A = {b->c->H + first * K, K, 1},
                                              .B = {b->lanes->miss, lanes, 1},
                                              .C = b->lanes->slope,
                                              .row = lanes},
                            1))
    return false;
  for (uint64_t lane = 0; lane < lanes; lane += LANES) *changed |= improve_strip(b, lane);
  return true;
}

bool hone_descent_lanes(const hone_curvature_t *c, const hone_quantizer_t *q, int sweeps,
                        int64_t first, const hone_lanes_t *lanes) {
  block_t *b = malloc(sizeof *b);
  if (!b) return false;
  *b = (block_t){.c = c, .q = q, .lanes = lanes, .first_row = first};
  fill_units(b);
  bool ok = true, changed = true;
  for (int sweep = 0; sweep < sweeps && ok && changed; sweep++) {
    changed = false;
    for (uint64_t column = 0; column < c->K && ok; column += BLOCK)
      ok = improve_block(b, column, &changed);
  }
  free(b);
  return ok;
}
