// See nested.h.
#include "quant/nested.h"

#include <math.h>

// 10^(i - 6) (0.1 + 0.9 (j + 0.5) / 2^i) at 2^i + j, with the rounding of bitsandbytes' own table.
static const float magnitudes[128] = {0.0f,
                                      5.50000038e-07f,
                                      3.25000019e-06f,
                                      7.7499999e-06f,
                                      2.12499981e-05f,
                                      4.37499984e-05f,
                                      6.62500024e-05f,
                                      8.87499991e-05f,
                                      0.000156250011f,
                                      0.000268750038f,
                                      0.000381250022f,
                                      0.000493750034f,
                                      0.000606250076f,
                                      0.00071875006f,
                                      0.000831249985f,
                                      0.000943750085f,
                                      0.00128124992f,
                                      0.00184375001f,
                                      0.00240624999f,
                                      0.00296874996f,
                                      0.00353124971f,
                                      0.00409374991f,
                                      0.00465624966f,
                                      0.00521875033f,
                                      0.00578125007f,
                                      0.00634374982f,
                                      0.00690625003f,
                                      0.00746874977f,
                                      0.00803124998f,
                                      0.00859375019f,
                                      0.00915624946f,
                                      0.00971874967f,
                                      0.0114062503f,
                                      0.0142187504f,
                                      0.0170312505f,
                                      0.0198437516f,
                                      0.0226562507f,
                                      0.0254687499f,
                                      0.028281251f,
                                      0.0310937501f,
                                      0.0339062512f,
                                      0.0367187522f,
                                      0.0395312496f,
                                      0.0423437469f,
                                      0.0451562516f,
                                      0.047968749f,
                                      0.05078125f,
                                      0.053593751f,
                                      0.0564062484f,
                                      0.0592187531f,
                                      0.0620312504f,
                                      0.0648437515f,
                                      0.0676562563f,
                                      0.0704687461f,
                                      0.0732812509f,
                                      0.0760937482f,
                                      0.078906253f,
                                      0.0817187577f,
                                      0.0845312476f,
                                      0.0873437524f,
                                      0.0901562497f,
                                      0.0929687545f,
                                      0.0957812592f,
                                      0.0985937491f,
                                      0.107031256f,
                                      0.12109375f,
                                      0.135156244f,
                                      0.149218753f,
                                      0.163281247f,
                                      0.177343756f,
                                      0.19140625f,
                                      0.205468744f,
                                      0.219531253f,
                                      0.233593747f,
                                      0.247656241f,
                                      0.26171875f,
                                      0.275781274f,
                                      0.289843738f,
                                      0.303906262f,
                                      0.317968726f,
                                      0.33203125f,
                                      0.346093744f,
                                      0.360156238f,
                                      0.374218762f,
                                      0.388281226f,
                                      0.40234375f,
                                      0.416406244f,
                                      0.430468738f,
                                      0.444531262f,
                                      0.458593726f,
                                      0.47265625f,
                                      0.486718714f,
                                      0.500781238f,
                                      0.514843702f,
                                      0.528906226f,
                                      0.54296875f,
                                      0.557031274f,
                                      0.571093798f,
                                      0.585156262f,
                                      0.599218726f,
                                      0.61328125f,
                                      0.627343774f,
                                      0.641406298f,
                                      0.655468762f,
                                      0.669531226f,
                                      0.68359375f,
                                      0.697656274f,
                                      0.711718798f,
                                      0.725781262f,
                                      0.739843726f,
                                      0.75390625f,
                                      0.767968774f,
                                      0.782031238f,
                                      0.796093762f,
                                      0.810156226f,
                                      0.82421875f,
                                      0.838281274f,
                                      0.852343738f,
                                      0.866406262f,
                                      0.880468726f,
                                      0.89453125f,
                                      0.908593774f,
                                      0.922656238f,
                                      0.936718762f,
                                      0.950781226f,
                                      0.96484375f,
                                      0.978906274f,
                                      0.992968738f};

enum { ZERO = 127, TOP = 255, TRIALS = 17 };

float hone_nested_level(uint8_t code) {
  if (code == TOP) return 1.0f;
  return code < ZERO ? -magnitudes[ZERO - code] : magnitudes[code - ZERO];
}

uint8_t hone_nested_nearest(float value) {
  int low = 0, high = TOP;  // the level at low is not above the value, or low is 0
  while (high - low > 1) {
    int middle = (low + high) / 2;
    if (hone_nested_level((uint8_t)middle) <= value)
      low = middle;
    else
      high = middle;
  }
  float below = hone_nested_level((uint8_t)low), above = hone_nested_level((uint8_t)high);
  return (uint8_t)(value - below <= above - value ? low : high);
}

static float mean_of(const float *scales, const float *weights, uint64_t count) {
  double sum = 0;
  uint64_t used = 0;
  for (uint64_t g = 0; g < count; g++) {
    if (!(weights[g] > 0)) continue;
    sum += (double)scales[g];
    used++;
  }
  return used ? (float)(sum / (double)used) : 0.0f;
}

static double error_of(const float *scales, const float *weights, uint64_t count, float second,
                       float offset) {
  double error = 0;
  for (uint64_t g = 0; g < count; g++) {
    if (!(weights[g] > 0)) continue;
    float code = hone_nested_level(hone_nested_nearest((scales[g] - offset) / second));
    double miss = (double)(code * second + offset) - (double)scales[g];
    error += (double)weights[g] * miss * miss;
  }
  return error;
}

// Tries second-level scales around the largest: where the map is dense its levels are 1.4 % of the
// largest apart, so that small changes move them against the scales.
static float fit_block(const float *scales, const float *weights, uint64_t count, float offset) {
  float largest = 0, best = 0;
  for (uint64_t g = 0; g < count; g++) {
    float size = weights[g] > 0 ? fabsf(scales[g] - offset) : 0.0f;
    largest = size > largest ? size : largest;
  }
  if (!isfinite(1.0f / largest)) return 0.0f;
  double least = INFINITY;
  for (int i = 0; i < TRIALS; i++) {
    float trial = largest * (0.985f + 0.0025f * (float)i);
    double error = error_of(scales, weights, count, trial, offset);
    if (error < least) least = error, best = trial;
  }
  return best;
}

void hone_nested_fit(const float *scales, const float *weights, uint64_t count, float *out_second,
                     float *out_offset) {
  float offset = mean_of(scales, weights, count);
  for (uint64_t g = 0; g < count; g += HONE_SCALE_BLOCK) {
    uint64_t part = count - g < HONE_SCALE_BLOCK ? count - g : HONE_SCALE_BLOCK;
    out_second[g / HONE_SCALE_BLOCK] = fit_block(scales + g, weights + g, part, offset);
  }
  *out_offset = offset;
}
