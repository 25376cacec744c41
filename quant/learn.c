// Learned levels (nf4x): Lloyd's iteration on a sample of rows. With codes and scales fixed, the
// weighted squared error is least for level_i = sum h s w / sum h s^2 over the weights with code i.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "quant/quantizer_internal.h"

enum { ROUNDS = 8 };

typedef struct sums {
  double top[HONE_GRID_LEVELS], bottom[HONE_GRID_LEVELS];
} sums_t;

static void add_row(const hone_quantizer_t *q, const float *row, const uint8_t *codes,
                    const uint16_t *scales, sums_t *sums) {
  for (uint64_t k = 0; k < q->K; k++) {
    double s = (double)hone_quantizer_scale(q, k / q->format.group, scales[k / q->format.group]),
           h = (double)q->importance[k];
    sums->top[codes[k]] += h * s * (double)row[k];
    sums->bottom[codes[k]] += h * s * s;
  }
}

// The largest level becomes 127 and all stay apart: scales take up what is divided out.
static void round_levels(const double *level, int8_t *out) {
  double largest = fmax(fabs(level[0]), fabs(level[HONE_GRID_LEVELS - 1]));
  for (int i = 0; i < HONE_GRID_LEVELS; i++) {
    int value = (int)nearbyint(level[i] / largest * 127), low = i > 0 ? out[i - 1] + 1 : -127;
    int high = 127 - (HONE_GRID_LEVELS - 1 - i);  // room for the levels above
    out[i] = (int8_t)(value < low ? low : value > high ? high : value);
  }
}

bool hone_quantizer_learn(hone_quantizer_t *quantizer, const float *rows, int64_t count) {
  hone_quantizer_t *q = quantizer;
  uint8_t *codes = malloc(q->Kp);
  uint16_t *scales = malloc(q->scale_count * sizeof *scales);
  bool ok = codes && scales;
  for (int round = 0; round < ROUNDS && ok; round++) {
    sums_t sums = {0};
    for (int64_t n = 0; n < count; n++) {
      const float *row = rows + (uint64_t)n * q->Kp;
      // A row whose scale overflows is reported when it is packed; here it teaches nothing.
      if (hone_quantizer_row(q, (uint64_t)n, row, codes, scales))
        add_row(q, row, codes, scales, &sums);
    }
    double level[HONE_GRID_LEVELS];
    int8_t next[HONE_GRID_LEVELS];
    for (int i = 0; i < HONE_GRID_LEVELS; i++)
      level[i] = sums.bottom[i] > 0 ? sums.top[i] / sums.bottom[i] : (double)q->levels.value[i];
    if (!(fmax(fabs(level[0]), fabs(level[HONE_GRID_LEVELS - 1])) > 0)) break;
    round_levels(level, next);
    if (!memcmp(next, q->learned, sizeof next)) break;
    hone_quantizer_set_levels(q, next);
  }
  free(codes);
  free(scales);
  return ok;
}
