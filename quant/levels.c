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

enum { LANES = 16, REFITS = 4 };

typedef float lanes_t __attribute__((vector_size(64)));
typedef int32_t words_t __attribute__((vector_size(64)));

typedef struct fit {
  float A, B;
} fit_t;

static inline float sum_lanes(const float *v) {
  float s[8];
  for (int i = 0; i < 8; i++) s[i] = v[i] + v[i + 8];
  for (int i = 0; i < 4; i++) s[i] += s[i + 4];
  return (s[0] + s[2]) + (s[1] + s[3]);
}

// A and B of a group whose values are divided by a scale (multiplied by its inverse).
static inline __attribute__((always_inline)) fit_t correlate(const hone_levels_t *g, const float *x,
                                                             const float *h, int n, float inverse) {
  lanes_t a = {0}, b = {0};
  for (int i = 0; i < n; i += LANES) {
    lanes_t values, weights;
    memcpy(&values, x + i, sizeof values);
    memcpy(&weights, h + i, sizeof weights);
    lanes_t u = values * inverse, level = (lanes_t){0} + g->value[0];
    for (int t = 0; t < g->count - 1; t++) {
      lanes_t step = (lanes_t){0} + g->step[t];
      words_t mask = u > g->threshold[t];
      level += (lanes_t)((words_t)step & mask);
    }
    lanes_t weighted = weights * level;
    a += weighted * values;
    b += weighted * level;
  }
  float lanes[2][LANES];
  memcpy(lanes[0], &a, sizeof a);
  memcpy(lanes[1], &b, sizeof b);
  return (fit_t){sum_lanes(lanes[0]), sum_lanes(lanes[1])};
}

static inline float gain(fit_t fit) { return fit.B > 0 ? fit.A * fit.A / fit.B : 0.0f; }

static inline float largest_of(const float *x, int n) {
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
  float best = -1.0f, scale = plain;
  for (int sign = 0; sign < (g->symmetric ? 1 : 2); sign++) {
    for (int i = 0; i < count; i++) {
      float trial = sign ? -plain * parts[i] : plain * parts[i];
      fit_t fit = correlate(g, x, h, n, 1.0f / trial);
      if (gain(fit) > best) best = gain(fit), scale = fit.B > 0 ? fit.A / fit.B : trial;
    }
  }
  for (int i = 0; i < REFITS && scale != 0 && isfinite(1.0f / scale); i++) {
    fit_t fit = correlate(g, x, h, n, 1.0f / scale);
    if (!(gain(fit) > best)) break;
    best = gain(fit);
    scale = fit.A / fit.B;
  }
  return scale;
}

// Of the stored scales [low, high] the one with the least error.
HONE_HOT static uint16_t search_steps(const hone_quantizer_t *q, const float *x, const float *h,
                                      int n, int low, int high) {
  float best = -INFINITY;
  int found = low;
  for (int code = low; code <= high; code++) {
    float scale = hone_quantizer_scale(q, (uint16_t)code);
    if (scale == 0 || !isfinite(1.0f / scale)) continue;
    fit_t fit = correlate(&q->levels, x, h, n, 1.0f / scale);
    float better = 2.0f * scale * fit.A - scale * scale * fit.B;
    if (better > best) best = better, found = code;
  }
  return (uint16_t)found;
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

static uint16_t nearest_e4m3(float value) {  // the largest code not above value
  if (value >= 448) return 0x7e;
  if (!(value >= 0x1p-6f)) return (uint16_t)(value * 512);  // subnormal: multiples of 2^-9
  int exponent;
  float part = frexpf(value, &exponent);  // in [1/2, 1)
  return (uint16_t)((exponent + 6) << 3 | ((int)(part * 16) & 7));
}

// The stored scale nearest to `scale`; of E4M3, which quotients by the factor may miss by a bit,
// the one below or above. 0 where there is none.
static uint16_t stored_scale(const hone_quantizer_t *q, float scale, int above) {
  int exponent;
  bool overflow = false;
  switch (hone_format_info(q->format.storage)->scale) {
    case HONE_SCALE_E8M0:
      if (above || frexpf(scale, &exponent) != 0.5f) return 0;
      return exponent + 126 >= 1 && exponent + 126 <= 254 ? (uint16_t)(exponent + 126) : 0;
    case HONE_SCALE_E4M3:
      if (!(q->factor > 0)) return 0;
      exponent = nearest_e4m3(scale / q->factor) + above;
      return exponent <= 0x7e ? (uint16_t)exponent : 0;
    default:
      if (above) return 0;
      exponent = hone_f16_from_f32(scale, &overflow);
      return overflow ? 0 : (uint16_t)exponent;
  }
}

// Whether the group is on the grid, its largest value at any level; levels of its sign first, and
// from the outermost on.
static bool find_on_grid(const hone_quantizer_t *q, const float *x, int n, uint16_t *out_scale) {
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
      for (int above = 0; above < 2; above++) {
        uint16_t stored = stored_scale(q, peak / level, above);
        float scale = stored ? hone_quantizer_scale(q, stored) : 0;
        if (scale == 0 || !isfinite(1.0f / scale) ||
            !is_on_grid(g, x, n, scale, 1.0f / scale, tolerance))
          continue;
        *out_scale = stored;
        return true;
      }
    }
  }
  return false;
}

bool hone_levels_fit(const hone_quantizer_t *q, const float *x, const float *h, int n,
                     uint16_t *out_scale) {
  const hone_levels_t *g = &q->levels;
  float largest = largest_of(x, n);
  float top = fmaxf(fabsf(g->value[0]), fabsf(g->value[g->count - 1]));
  float plain = largest / top;
  *out_scale = 0;
  if (largest == 0 || find_on_grid(q, x, n, out_scale)) return true;
  const hone_format_info_t *info = hone_format_info(q->format.storage);
  if (info->scale == HONE_SCALE_E8M0) {
    int exponent = 0;
    frexpf(largest, &exponent);         // largest in [2^(e-1), 2^e)
    int floor_rule = exponent - 1 - 2;  // OCP: floor(log2(largest)) - 2
    int code = floor_rule + 127;
    int low = code - 1 < 0 ? 0 : code - 1, high = code + 2 > 254 ? 254 : code + 2;
    *out_scale = search_steps(q, x, h, n, low, high < low ? low : high);
    return true;
  }
  if (info->scale == HONE_SCALE_E4M3) {
    float wanted = q->factor > 0 ? plain / q->factor : 0;
    int code = nearest_e4m3(wanted);
    int low = code - 7 < 1 ? 1 : code - 7, high = code + 5 > 0x7e ? 0x7e : code + 5;
    *out_scale = search_steps(q, x, h, n, low, high);
    return true;
  }
  if (!isfinite(1.0f / plain)) return true;  // too small for any scale: zeros
  bool overflow = false;
  *out_scale = hone_f16_from_f32(search(g, x, h, n, plain), &overflow);
  return !overflow;
}

HONE_HOT void hone_levels_codes(const hone_levels_t *levels, const float *x, int n, float scale,
                                uint8_t *codes) {
  if (scale == 0) {
    memset(codes, levels->zero, (size_t)n);
    return;
  }
  for (int i = 0; i < n; i += LANES) {
    lanes_t values;
    memcpy(&values, x + i, sizeof values);
    lanes_t u = values / scale;
    words_t rank = {0};
    for (int t = 0; t < levels->count - 1; t++) rank -= u > levels->threshold[t];
    for (int l = 0; l < LANES; l++) codes[i + l] = levels->code[rank[l]];
  }
}
