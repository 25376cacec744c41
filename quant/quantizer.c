// See quantizer.h: what the kinds of grids have in common.
#include "quant/quantizer.h"

#include <math.h>
#include <string.h>

#include "quant/nested.h"
#include "quant/quantizer_internal.h"
#include "quant/real.h"

static void sort_levels(const float *level, int count, hone_levels_t *out) {
  *out = (hone_levels_t){0};
  for (int code = 0; code < count; code++) {
    int at = out->count;
    bool known = false;  // minus zero is zero
    for (int i = 0; i < out->count; i++) known |= out->value[i] == level[code];
    if (known) continue;
    while (at > 0 && out->value[at - 1] > level[code]) {
      out->value[at] = out->value[at - 1];
      out->code[at] = out->code[at - 1];
      at--;
    }
    out->value[at] = level[code];
    out->code[at] = (uint8_t)code;
    out->count++;
  }
  out->symmetric = true;
  int nearest = 0;
  for (int i = 0; i < out->count; i++) {
    out->symmetric &= out->value[i] == -out->value[out->count - 1 - i];
    if (fabsf(out->value[i]) < fabsf(out->value[nearest])) nearest = i;
  }
  for (int i = 0; i < HONE_LEVEL_LIMIT; i++) {
    bool is_last = i + 1 >= out->count;
    out->threshold[i] = is_last ? INFINITY : (out->value[i] + out->value[i + 1]) / 2;
    if (i >= out->count) out->value[i] = out->value[out->count - 1];
  }
  out->zero = out->code[nearest];
}

void hone_quantizer_init(hone_quantizer_t *q, hone_format_t format, uint64_t K,
                         const float *importance) {
  const hone_format_info_t *info = hone_format_info(format.storage);
  *q = (hone_quantizer_t){.format = format,
                          .K = K,
                          .Kp = hone_padded(K),
                          .planes = info->planes,
                          .scale_count = (uint32_t)hone_packed_scale_count(format, K),
                          .group_count = (uint32_t)hone_packed_group_count(format, K),
                          .importance = importance};
  const hone_grid_t *grid = hone_grid_get(format.storage);
  static const float signs[] = {-1, 1}, three[] = {-1, 0, 1};
  if (grid) sort_levels(grid->level, HONE_GRID_LEVELS, &q->levels);
  if (format.storage == HONE_TERNARY) sort_levels(three, 3, &q->levels);
  if (format.storage == HONE_B1) sort_levels(signs, 2, &q->levels);
  if (info->grid == HONE_GRID_LEARNED)
    hone_quantizer_set_levels(q, hone_grid_get(HONE_NF4)->integer);
}

void hone_quantizer_set_factor(hone_quantizer_t *q, float largest) {
  q->factor = largest / (448.0f * 6.0f);
}

void hone_quantizer_set_levels(hone_quantizer_t *q, const int8_t levels[HONE_GRID_LEVELS]) {
  float values[HONE_GRID_LEVELS];
  for (int i = 0; i < HONE_GRID_LEVELS; i++) values[i] = (float)levels[i] / 127.0f;
  memcpy(q->learned, levels, sizeof q->learned);
  sort_levels(values, HONE_GRID_LEVELS, &q->levels);
}

void hone_quantizer_set_second(hone_quantizer_t *q, const float *second,
                               const hone_packed_second_t *places) {
  q->second = second;
  q->places = *places;
}

void hone_importance_fill(const float *mean_squares, uint64_t K, float *out) {
  uint64_t Kp = hone_padded(K);
  double sum = 0;
  for (uint64_t k = 0; k < K && mean_squares; k++) sum += (double)mean_squares[k];
  float damping = (float)(sum / (double)K * 0.01);
  bool is_usable = mean_squares && damping > 0 && isfinite(damping);
  for (uint64_t k = 0; k < Kp; k++)
    out[k] = k >= K ? 0.0f : is_usable ? mean_squares[k] + damping : 1.0f;
}

// The second-level scale of a group and the offset of its source.
static float second_of(const hone_quantizer_t *q, uint64_t group, float *out_offset) {
  uint64_t n = group / q->group_count, s = group % q->group_count;
  *out_offset = q->places.offset[hone_packed_second_source(&q->places, n)];
  return q->second[hone_packed_second_number(&q->places, q->group_count, n, s) / HONE_SCALE_BLOCK];
}

float hone_quantizer_scale(const hone_quantizer_t *q, uint64_t group, uint16_t stored) {
  float offset, second;
  switch (hone_format_info(q->format.storage)->scale) {
    case HONE_SCALE_E8M0: return stored == 0 ? 0.0f : hone_f32_from_e8m0((uint8_t)stored);
    case HONE_SCALE_E4M3: return hone_f32_from_e4m3((uint8_t)stored) * q->factor;
    case HONE_SCALE_DQ8:
      second = second_of(q, group, &offset);
      return hone_nested_level((uint8_t)stored) * second + offset;
    default: return hone_f32_from_f16(stored);
  }
}

uint8_t hone_quantizer_nested_code(const hone_quantizer_t *q, uint64_t group, float wanted) {
  float offset, second = second_of(q, group, &offset);
  return hone_nested_nearest(second > 0 ? (wanted - offset) / second : 0.0f);
}

static bool quantize_group(const hone_quantizer_t *q, uint64_t group, const float *x,
                           const float *h, int n, uint8_t *codes, uint16_t *scales) {
  float real[HONE_QUANT_PLANES];
  bool fits = true;
  if (q->planes > 1) {
    bool is_power = hone_format_info(q->format.storage)->scale == HONE_SCALE_E8M0;
    fits = hone_planes_fit((int)q->planes, is_power, x, h, n, scales);
    for (uint32_t p = 0; p < q->planes; p++) real[p] = hone_quantizer_scale(q, group, scales[p]);
    hone_planes_codes((int)q->planes, real, x, n, codes);
  } else if (q->levels.count > 0) {
    fits = hone_levels_fit(q, group, x, h, n, scales);
    hone_levels_codes(&q->levels, x, n, hone_quantizer_scale(q, group, *scales), codes);
  } else {
    bool is_q8 = q->format.storage == HONE_Q8;
    fits = hone_integers_fit(q, x, h, n, scales);
    hone_integers_codes(is_q8 ? 127 : 31, x, n, hone_quantizer_scale(q, group, *scales), codes,
                        is_q8 ? 0 : 32);
  }
  return fits;
}

static int width_of(const hone_quantizer_t *q, uint64_t first) {
  return (int)(q->Kp - first < q->format.group ? q->Kp - first : q->format.group);
}

static bool is_finite(const float *x, uint64_t count) {
  uint32_t largest = 0;
  for (uint64_t k = 0; k < count; k++) {
    uint32_t bits;
    memcpy(&bits, &x[k], sizeof bits);
    bits &= 0x7fffffff;
    largest = bits > largest ? bits : largest;
  }
  return largest < 0x7f800000;
}

bool hone_quantizer_row(const hone_quantizer_t *q, uint64_t n, const float *row, uint8_t *codes,
                        uint16_t *scales) {
  if (!is_finite(row, q->Kp)) return false;
  for (uint32_t s = 0; s < q->scale_count; s++) {
    uint64_t first = (uint64_t)s * q->format.group;
    if (!quantize_group(q, hone_quantizer_group(q, n, s), row + first, q->importance + first,
                        width_of(q, first), codes + first, scales + (size_t)s * q->planes))
      return false;
  }
  return true;
}

void hone_quantizer_free_scales(const hone_quantizer_t *q, const float *row, float *scales,
                                float *weights) {
  for (uint32_t s = 0; s < q->group_count; s++) {
    uint64_t first = (uint64_t)s * q->format.group;
    hone_levels_free(&q->levels, row + first, q->importance + first, width_of(q, first), &scales[s],
                     &weights[s]);
  }
}

float hone_quantizer_value(const hone_quantizer_t *q, const float *scales, uint8_t code) {
  switch (q->format.storage) {
    case HONE_Q8: return (float)(int8_t)code * scales[0];
    case HONE_Q6: return (float)((int)code - 32) * scales[0];
    case HONE_TERNARY: return (float)((int)code - 1) * scales[0];
    case HONE_NF4X: return (float)q->learned[code & 15] / 127.0f * scales[0];
    case HONE_B1:
    case HONE_BCQ2:
    case HONE_BCQ3:
    case HONE_BCQ2P:
    case HONE_BCQ3P: return hone_planes_value((int)q->planes, scales, code);
    default: return hone_grid_get(q->format.storage)->level[code & 15] * scales[0];
  }
}

void hone_quantizer_decode(const hone_quantizer_t *q, uint64_t n, const uint8_t *codes,
                           const uint16_t *scales, float *out) {
  unsigned count = q->format.storage == HONE_Q8 ? 256 : 64;
  for (uint32_t s = 0; s < q->scale_count; s++) {
    uint64_t first = (uint64_t)s * q->format.group, last = first + q->format.group;
    float real[HONE_QUANT_PLANES], value[256];
    for (uint32_t p = 0; p < q->planes; p++)
      real[p] = hone_quantizer_scale(q, hone_quantizer_group(q, n, s), scales[s * q->planes + p]);
    if (q->levels.count > 0) count = HONE_GRID_LEVELS;
    if (q->planes > 1) count = 1u << q->planes;
    if (last > q->K) last = q->K;
    if (count > last - first) {  // more codes than weights: one by one
      for (uint64_t k = first; k < last; k++) out[k] = hone_quantizer_value(q, real, codes[k]);
      continue;
    }
    for (unsigned code = 0; code < count; code++)
      value[code] = hone_quantizer_value(q, real, (uint8_t)code);
    for (uint64_t k = first; k < last; k++) out[k] = value[codes[k]];
  }
  memset(out + q->K, 0, (q->Kp - q->K) * sizeof *out);
}

void hone_quantizer_nearest(const hone_quantizer_t *q, const float *scales, uint64_t stride,
                            const float *w, int count, uint8_t *codes, float *out_values) {
  bool is_q8 = q->format.storage == HONE_Q8;
  if (q->planes > 1)
    hone_planes_nearest((int)q->planes, scales, stride, w, count, codes, out_values);
  else if (q->levels.count > 0)
    hone_levels_nearest(&q->levels, scales, w, count, codes, out_values);
  else
    hone_integers_nearest(is_q8 ? 127 : 31, scales, w, count, codes, is_q8 ? 0 : 32, out_values);
}
