// Sums of squares and of outer products of rows.
#include <cblas.h>
#include <stdlib.h>

#include "calibrate/calibrate_internal.h"

bool hone_moments_init(hone_moments_t *moments, uint32_t K, uint32_t N, bool second, bool cross,
                       hone_status_t *status) {
  size_t matrix = (size_t)K * K;
  *moments = (hone_moments_t){.K = K, .N = N};
  moments->squares = calloc(K, sizeof(double));
  moments->mean_squares = calloc(K, sizeof(float));
  bool ok = moments->squares && moments->mean_squares;
  if (second) ok = ok && (moments->second = calloc(matrix, sizeof(float)));
  if (cross) ok = ok && (moments->cross = calloc(matrix, sizeof(float)));
  if (N) ok = ok && (moments->residual = calloc((size_t)N * K, sizeof(float)));
  if (ok) return true;
  hone_moments_deinit(moments);
  return hone_fail(status, HONE_EXHAUSTED, "no memory for the second moments of %u inputs", K);
}

void hone_moments_add(hone_moments_t *moments, const float *x, const float *y, const float *gap,
                      uint32_t M) {
  int K = (int)moments->K, N = (int)moments->N, rows = (int)M;
  for (uint32_t m = 0; m < M; m++)
    for (int k = 0; k < K; k++) {
      double value = (double)x[(size_t)m * moments->K + (size_t)k];
      moments->squares[k] += value * value;
    }
  if (moments->second)
    cblas_ssyrk(CblasRowMajor, CblasUpper, CblasTrans, K, rows, 1.0f, x, K, 1.0f, moments->second,
                K);
  if (moments->cross)
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, K, K, rows, 1.0f, y, K, x, K, 1.0f,
                moments->cross, K);
  if (moments->residual)
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, N, K, rows, 1.0f, gap, N, x, K, 1.0f,
                moments->residual, K);
  moments->rows += M;
}

void hone_moments_finish(hone_moments_t *moments) {
  uint64_t K = moments->K;
  double inverse = moments->rows ? 1.0 / (double)moments->rows : 0;
  for (uint64_t k = 0; k < K; k++)
    moments->mean_squares[k] = (float)(moments->squares[k] * inverse);
  for (uint64_t i = 0; i < K * K && moments->cross; i++) moments->cross[i] *= (float)inverse;
  for (uint64_t i = 0; i < moments->N * K; i++) moments->residual[i] *= (float)inverse;
  if (!moments->second) return;
  for (uint64_t i = 0; i < K; i++)
    for (uint64_t j = i; j < K; j++)
      moments->second[j * K + i] = moments->second[i * K + j] *= (float)inverse;
}

void hone_moments_drop_second(hone_moments_t *moments) {
  free(moments->second);
  free(moments->cross);
  free(moments->residual);
  moments->second = moments->cross = moments->residual = NULL;
  moments->N = 0;
}

void hone_moments_deinit(hone_moments_t *moments) {
  free(moments->squares);
  free(moments->mean_squares);
  hone_moments_drop_second(moments);
  *moments = (hone_moments_t){0};
}
