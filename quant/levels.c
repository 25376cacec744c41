// Groups on grids that are a list of levels: the scale search and the codes.
//
// First it is tried whether the group is on the grid already (weights that were quantized before),
// with any level as its largest. Everything else is searched for:
// // For a trial scale t the nearest levels L give A = sum h w L and B = sum h L^2; the best scale
// for those codes is A / B and lowers the error from sum h w^2 by A^2 / B. So trials are compared
// by A^2 / B alone, and the winner is refitted until it stands still (Lloyd's iteration). Scales
// that only come in steps (e8m0, e4m3) are compared by their error, 2 t A - t^2 B.
#include <math.h>
#include <string.h>

#include "quant/hot_internal.h"
#include "quant/quantizer_internal.h"
#include "quant/real.h"

#pragma GCC diagnostic ignored "-Wpsabi"  // vectors are only handed to inlined functions

enum { LANES = 8, REFITS = 4, STORED_TRIES = 5 };

typedef float lanes_t __attribute__((vector_size(32)));
typedef int32_t words_t __attribute__((vector_size(32)));

typedef struct fit {
  float A, B;
} fit_t;

#define INLINE static inline __attribute__((always_inline))

// table[index & 7] for each lane
INLINE lanes_t look_up(lanes_t table, words_t index) {
#ifdef __clang__
  lanes_t out;
  for (int l = 0; l < LANES; l++) out[l] = table[index[l] & 7];
  return out;
#else
  return __builtin_shuffle(table, index);
#endif
}

// The rank of a value among the levels by bisection: each step looks the next threshold up.
typedef struct ladder {
  float first;
  lanes_t second, third, fourth;  // thresholds 3 11; 1 5 9 13; 0 2 4 ... 14
  lanes_t low, high;              // the levels
} ladder_t;

INLINE ladder_t ladder_of(const hone_levels_t *g) {
  ladder_t ladder = {.first = g->threshold[7]};
  const float *t = g->threshold;
  for (int i = 0; i < LANES; i++) {
    ladder.second[i] = t[3 + 8 * (i & 1)];
    ladder.third[i] = t[1 + 4 * (i & 3)];
    ladder.fourth[i] = t[2 * i];
    ladder.low[i] = g->value[i];
    ladder.high[i] = g->value[i + 8];
  }
  return ladder;
}

INLINE words_t rank_of(const ladder_t *ladder, lanes_t u) {
  words_t rank = -(u > ladder->first);
  rank = rank + rank - (u > look_up(ladder->second, rank));
  rank = rank + rank - (u > look_up(ladder->third, rank));
  return rank + rank - (u > look_up(ladder->fourth, rank));
}

INLINE lanes_t level_of(const ladder_t *ladder, words_t rank) {
  words_t is_high = rank > 7;
  lanes_t low = look_up(ladder->low, rank), high = look_up(ladder->high, rank);
  return (lanes_t)(((words_t)high & is_high) | ((words_t)low & ~is_high));
}

INLINE float sum_lanes(lanes_t v) {
  return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7]));
}

// A and B of a group whose values are divided by a scale (multiplied by its inverse).
INLINE fit_t correlate(const ladder_t *ladder, const float *x, const float *h, int n,
                       float inverse) {
  lanes_t a = {0}, b = {0};
  for (int i = 0; i < n; i += LANES) {
    lanes_t values, weights;
    memcpy(&values, x + i, sizeof values);
    memcpy(&weights, h + i, sizeof weights);
    lanes_t level = level_of(ladder, rank_of(ladder, values * inverse));
    lanes_t weighted = weights * level;
    a += weighted * values;
    b += weighted * level;
  }
  return (fit_t){sum_lanes(a), sum_lanes(b)};
}

INLINE float gain(fit_t fit) { return fit.B > 0 ? fit.A * fit.A / fit.B : 0.0f; }

INLINE float largest_of(const float *x, int n) {
  float largest = 0;
  for (int i = 0; i < n; i++) {
    float size = fabsf(x[i]);
    largest = size > largest ? size : largest;
  }
  return largest;
}

// Trial scales as parts of max|w| / (largest level): near the plain rule where levels are many, far
// below it where they are few.
static const float many[] = {1.0f, 0.94f, 0.88f, 0.82f, 0.76f, 0.70f, 1.06f, 1.12f};
static const float few[] = {1.0f,  0.90f, 0.82f, 0.75f, 0.69f, 0.63f,
                            0.57f, 0.51f, 0.45f, 0.39f, 0.32f, 0.24f};

HONE_HOT static float search(const hone_levels_t *g, const float *x, const float *h, int n,
                             float plain) {
  const float *parts = g->count > 4 ? many : few;
  int count = (int)(g->count > 4 ? sizeof many / sizeof *many : sizeof few / sizeof *few);
  if (g->count == 2) count = 1;  // signs: the codes do not depend on the scale
  const ladder_t ladder = ladder_of(g);
  float best = -1.0f, scale = plain;
  for (int sign = 0; sign < (g->symmetric ? 1 : 2); sign++) {
    for (int i = 0; i < count; i++) {
      float trial = sign ? -plain * parts[i] : plain * parts[i];
      fit_t fit = correlate(&ladder, x, h, n, 1.0f / trial);
      if (gain(fit) > best) best = gain(fit), scale = fit.B > 0 ? fit.A / fit.B : trial;
    }
  }
  for (int i = 0; i < REFITS && scale != 0 && isfinite(1.0f / scale); i++) {
    fit_t fit = correlate(&ladder, x, h, n, 1.0f / scale);
    if (!(gain(fit) > best)) break;
    best = gain(fit);
    scale = fit.A / fit.B;
  }
  return scale;
}

// Of the stored scales [low, high] the one with the least error.
HONE_HOT static uint16_t search_steps(const hone_quantizer_t *q, uint64_t group, const float *x,
                                      const float *h, int n, int low, int high) {
  const ladder_t ladder = ladder_of(&q->levels);
  float best = -INFINITY;
  int found = low;
  for (int code = low; code <= high; code++) {
    float scale = hone_quantizer_scale(q, group, (uint16_t)code);
    if (scale == 0 || !isfinite(1.0f / scale)) continue;
    fit_t fit = correlate(&ladder, x, h, n, 1.0f / scale);
    float better = 2.0f * scale * fit.A - scale * scale * fit.B;
    if (better > best) best = better, found = code;
  }
  return (uint16_t)found;
}

// The largest E4M3 code that does not stand for more than value.
static int floor_e4m3(float value) {
  if (value >= 448.0f) return 0x7e;
  if (value < 0x1p-6f) return (int)(value * 512.0f);
  int exponent = ilogbf(value);
  return (exponent + 7) << 3 | (int)((ldexpf(value, -exponent) - 1.0f) * 8.0f);
}

// Whether every value is a level times the scale, but for a relative tolerance.
static bool is_on_grid(const hone_levels_t *g, const float *x, int n, float scale, float inverse,
                       float tolerance) {
  for (int i = 0; i < n; i++) {
    float u = x[i] * inverse;
    int rank = 0;
    for (int t = 0; t < g->count - 1; t++) rank += u > g->threshold[t];
    float value = scale * g->value[rank];
    if (!(fabsf(x[i] - value) <= tolerance * fabsf(value))) return false;
  }
  return true;
}

// The stored scale nearest to `scale`, which a quotient may miss by its rounding: of E4M3 the one
// below or above, of dq8, whose codes can be closer than that, also those of the next floats. `try`
// counts them; -1 where there is none.
static int stored_scale(const hone_quantizer_t *q, uint64_t group, float scale, int try) {
  int exponent;
  bool overflow = false;
  switch (hone_format_info(q->format.storage)->scale) {
    case HONE_SCALE_E8M0:
      if (try || frexpf(scale, &exponent) != 0.5f) return -1;
      return exponent + 126 >= 1 && exponent + 126 <= 254 ? exponent + 126 : -1;
    case HONE_SCALE_E4M3:
      if (try > 1 || !(q->factor > 0)) return -1;
      exponent = floor_e4m3(scale / q->factor) + try;
      return exponent <= 0x7e ? exponent : -1;
    case HONE_SCALE_DQ8:
      for (int i = 0; i < (try + 1) / 2; i++)
        scale = nextafterf(scale, try & 1 ? INFINITY : -INFINITY);
      return hone_quantizer_nested_code(q, group, scale);
    default:
      if (try) return -1;
      exponent = hone_f16_from_f32(scale, &overflow);
      return overflow ? -1 : exponent;
  }
}

// Whether the group is on the grid, its largest value at any level; levels of its sign first, and
// from the outermost on.
static bool find_on_grid(const hone_quantizer_t *q, uint64_t group, const float *x, int n,
                         uint16_t *out_scale) {
  const hone_levels_t *g = &q->levels;
  bool rounds = hone_format_info(q->format.storage)->scale == HONE_SCALE_F16;
  float tolerance = rounds ? 0x1.02p-11f : 0.0f, peak = 0;
  for (int i = 0; i < n; i++) peak = fabsf(x[i]) > fabsf(peak) ? x[i] : peak;
  float inverse = 1.0f / peak;
  for (int flip = 0; flip < (g->symmetric ? 1 : 2); flip++) {
    bool from_top = (peak > 0) != flip;
    for (int i = 0; i < g->count; i++) {
      float level = g->value[from_top ? g->count - 1 - i : i];
      if (level == 0 || (level > 0) != from_top) break;
      // Off the grid is off it for any rounding of the scale: most groups leave here.
      if (!is_on_grid(g, x, n, peak / level, level * inverse, 0x1p-20f)) continue;
      for (int try = 0; try < STORED_TRIES; try++) {
        int stored = stored_scale(q, group, peak / level, try);
        float scale = stored < 0 ? 0 : hone_quantizer_scale(q, group, (uint16_t)stored);
        if (scale == 0 || !isfinite(1.0f / scale) ||
            !is_on_grid(g, x, n, scale, 1.0f / scale, tolerance))
          continue;
        *out_scale = (uint16_t)stored;
        return true;
      }
    }
  }
  return false;
}

bool hone_levels_fit(const hone_quantizer_t *q, uint64_t group, const float *x, const float *h,
                     int n, uint16_t *out_scale) {
  const hone_levels_t *g = &q->levels;
  float largest = largest_of(x, n);
  float top = fmaxf(fabsf(g->value[0]), fabsf(g->value[g->count - 1]));
  float plain = largest / top;
  *out_scale = 0;
  if (largest == 0 || find_on_grid(q, group, x, n, out_scale)) return true;
  const hone_format_info_t *info = hone_format_info(q->format.storage);
  if (info->scale == HONE_SCALE_E8M0) {
    int exponent = 0;
    frexpf(largest, &exponent);         // largest in [2^(e-1), 2^e)
    int floor_rule = exponent - 1 - 2;  // OCP: floor(log2(largest)) - 2
    int code = floor_rule + 127;
    int low = code - 1 < 0 ? 0 : code - 1, high = code + 2 > 254 ? 254 : code + 2;
    *out_scale = search_steps(q, group, x, h, n, low, high < low ? low : high);
    return true;
  }
  if (info->scale == HONE_SCALE_E4M3) {
    float wanted = q->factor > 0 ? plain / q->factor : 0;
    int code = floor_e4m3(wanted);
    // Eight to an octave: down to where the largest value saturates, up to where it is level 3.
    int low = code - 7 < 1 ? 1 : code - 7, high = code + 9 > 0x7e ? 0x7e : code + 9;
    *out_scale = search_steps(q, group, x, h, n, low, high);
    return true;
  }
  if (!isfinite(1.0f / plain)) return true;  // too small for any scale: zeros
  if (info->scale == HONE_SCALE_DQ8) {
    int code = hone_quantizer_nested_code(q, group, search(g, x, h, n, plain));
    int low = code < 2 ? 0 : code - 2, high = code > 253 ? 255 : code + 2;
    *out_scale = search_steps(q, group, x, h, n, low, high);
    return true;
  }
  bool overflow = false;
  *out_scale = hone_f16_from_f32(search(g, x, h, n, plain), &overflow);
  return !overflow;
}

void hone_levels_free(const hone_levels_t *g, const float *x, const float *h, int n,
                      float *out_scale, float *out_weight) {
  float top = fmaxf(fabsf(g->value[0]), fabsf(g->value[g->count - 1]));
  float plain = largest_of(x, n) / top;
  *out_scale = *out_weight = 0;
  if (!isfinite(1.0f / plain)) return;
  const ladder_t ladder = ladder_of(g);
  *out_scale = search(g, x, h, n, plain);
  if (*out_scale != 0 && isfinite(1.0f / *out_scale))
    *out_weight = correlate(&ladder, x, h, n, 1.0f / *out_scale).B;
}

HONE_HOT void hone_levels_codes(const hone_levels_t *levels, const float *x, int n, float scale,
                                uint8_t *codes) {
  if (scale == 0) {
    memset(codes, levels->zero, (size_t)n);
    return;
  }
  const ladder_t ladder = ladder_of(levels);
  for (int i = 0; i < n; i += LANES) {
    lanes_t values;
    memcpy(&values, x + i, sizeof values);
    words_t rank = rank_of(&ladder, values / scale);
    for (int l = 0; l < LANES; l++) codes[i + l] = levels->code[rank[l]];
  }
}

HONE_HOT void hone_levels_nearest(const hone_levels_t *levels, const float *scales, const float *w,
                                  int count, uint8_t *codes, float *out_values) {
  const ladder_t ladder = ladder_of(levels);
  for (int i = 0; i < count; i += LANES) {
    lanes_t values, scale;
    memcpy(&values, w + i, sizeof values);
    memcpy(&scale, scales + i, sizeof scale);
    words_t rank = rank_of(&ladder, values / scale);
    lanes_t value = level_of(&ladder, rank) * scale;
    memcpy(out_values + i, &value, sizeof value);
    for (int l = 0; l < LANES; l++)
      codes[i + l] = scale[l] == 0 ? levels->zero : levels->code[rank[l]];
  }
}
