// Sums of squares and of outer products. Rows are gathered and added 256 at a time, which is what
// makes the rank update run at the speed of a matrix product.
#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "calibrate/calibrate_internal.h"

bool hone_moments_init(hone_moments_t *moments, uint32_t K, bool second, hone_status_t *status) {
  *moments = (hone_moments_t){.K = K};
  moments->squares = calloc(K, sizeof(double));
  moments->mean_squares = calloc(K, sizeof(float));
  bool ok = moments->squares && moments->mean_squares;
  if (ok && second) {
    moments->second = calloc((size_t)K * K, sizeof(float));
    moments->pending = malloc((size_t)HONE_MOMENTS_ROWS * K * sizeof(float));
    ok = moments->second && moments->pending;
  }
  if (ok) return true;
  hone_moments_deinit(moments);
  return hone_fail(status, HONE_EXHAUSTED, "no memory for the second moments of %u inputs", K);
}

static void flush(hone_moments_t *m) {
  if (m->pending_count == 0) return;
  cblas_ssyrk(CblasRowMajor, CblasUpper, CblasTrans, (int)m->K, (int)m->pending_count, 1.0f,
              m->pending, (int)m->K, 1.0f, m->second, (int)m->K);
  m->pending_count = 0;
}

void hone_moments_add(hone_moments_t *moments, const float *rows, size_t stride, uint32_t M) {
  for (uint32_t m = 0; m < M; m++) {
    const float *row = rows + (size_t)m * stride;
    for (uint32_t k = 0; k < moments->K; k++)
      moments->squares[k] += (double)row[k] * (double)row[k];
    if (!moments->second) continue;
    if (moments->pending_count == HONE_MOMENTS_ROWS) flush(moments);
    memcpy(moments->pending + (size_t)moments->pending_count++ * moments->K, row,
           moments->K * sizeof(float));
  }
  moments->rows += M;
}

void hone_moments_finish(hone_moments_t *moments) {
  uint64_t K = moments->K;
  double inverse = moments->rows ? 1.0 / (double)moments->rows : 0;
  for (uint64_t k = 0; k < K; k++) moments->mean_squares[k] = (float)(moments->squares[k] * inverse);
  if (!moments->second) return;
  flush(moments);
  free(moments->pending);
  moments->pending = NULL;
  for (uint64_t i = 0; i < K; i++)
    for (uint64_t j = i; j < K; j++)
      moments->second[j * K + i] = moments->second[i * K + j] *= (float)inverse;
}

void hone_moments_drop_second(hone_moments_t *moments) {
  free(moments->second);
  moments->second = NULL;
}

void hone_moments_deinit(hone_moments_t *moments) {
  free(moments->squares);
  free(moments->mean_squares);
  free(moments->second);
  free(moments->pending);
  *moments = (hone_moments_t){0};
}
