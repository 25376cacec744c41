// See hadamard.h.
#include "quant/hadamard.h"

#include <math.h>

static float scale_of(uint32_t block) { return (float)(1 / sqrt((double)block)); }

static void rotate_block(float *restrict x, uint32_t block, float scale) {
  for (uint32_t far = 1; far < block; far *= 2) {
    for (uint32_t i = 0; i < block; i += 2 * far) {
      for (uint32_t j = i; j < i + far; j++) {
        float a = x[j], b = x[j + far];
        x[j] = a + b;
        x[j + far] = a - b;
      }
    }
  }
  for (uint32_t i = 0; i < block; i++) x[i] *= scale;
}

void hone_hadamard_columns(float *rows, uint64_t N, uint64_t K, uint32_t block) {
  float scale = scale_of(block);
  for (uint64_t i = 0; i < N * K; i += block) rotate_block(rows + i, block, scale);
}

// One butterfly of whole rows, scaled at the last stage.
static void turn_rows(float *restrict a, float *restrict b, uint64_t K, float factor) {
  for (uint64_t k = 0; k < K; k++) {
    float x = a[k], y = b[k];
    a[k] = (x + y) * factor;
    b[k] = (x - y) * factor;
  }
}

void hone_hadamard_both(float *matrix, uint64_t K, uint32_t block) {
  hone_hadamard_columns(matrix, K, K, block);
  for (uint64_t first = 0; first < K; first += block) {
    for (uint32_t far = 1; far < block; far *= 2) {
      float factor = far == block / 2 ? scale_of(block) : 1.0f;
      for (uint64_t i = first; i < first + block; i++)
        if (!((i - first) & far)) turn_rows(matrix + i * K, matrix + (i + far) * K, K, factor);
    }
  }
}
