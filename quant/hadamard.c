// See hadamard.h.
#include "quant/hadamard.h"

static const float scale = 0.125f;  // 1 / sqrt(64)

static void rotate_block(float *restrict x) {
  for (int far = 1; far < HONE_HADAMARD; far *= 2) {
    for (int i = 0; i < HONE_HADAMARD; i += 2 * far) {
      for (int j = i; j < i + far; j++) {
        float a = x[j], b = x[j + far];
        x[j] = a + b;
        x[j + far] = a - b;
      }
    }
  }
  for (int i = 0; i < HONE_HADAMARD; i++) x[i] *= scale;
}

void hone_hadamard_columns(float *rows, uint64_t N, uint64_t K) {
  for (uint64_t i = 0; i < N * K; i += HONE_HADAMARD) rotate_block(rows + i);
}

// One butterfly of whole rows, scaled at the last stage.
static void turn_rows(float *restrict a, float *restrict b, uint64_t K, float factor) {
  for (uint64_t k = 0; k < K; k++) {
    float x = a[k], y = b[k];
    a[k] = (x + y) * factor;
    b[k] = (x - y) * factor;
  }
}

void hone_hadamard_both(float *matrix, uint64_t K) {
  hone_hadamard_columns(matrix, K, K);
  for (uint64_t block = 0; block < K; block += HONE_HADAMARD) {
    for (uint64_t far = 1; far < HONE_HADAMARD; far *= 2) {
      float factor = far == HONE_HADAMARD / 2 ? scale : 1.0f;
      for (uint64_t i = block; i < block + HONE_HADAMARD; i++)
        if (!(i & far)) turn_rows(matrix + i * K, matrix + (i + far) * K, K, factor);
    }
  }
}
