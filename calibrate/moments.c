// Sums of squares and of outer products of rows.
#include <stdlib.h>

#include "calibrate/calibrate_internal.h"
#include "quant/matrix.h"

bool hone_moments_init(hone_moments_t *moments, const hone_moments_options_t *options,
                       hone_status_t *status) {
  uint32_t K = options->K, N = options->N;
  size_t matrix = (size_t)K * K;
  *moments = (hone_moments_t){.K = K, .N = N, .threads = options->threads};
  moments->squares = calloc(K, sizeof(double));
  moments->mean_squares = calloc(K, sizeof(float));
  moments->sums = calloc((size_t)K * 2 + N, sizeof(double));
  bool ok = moments->squares && moments->mean_squares && moments->sums;
  if (options->second) ok = ok && (moments->second = calloc(matrix, sizeof(float)));
  if (options->cross) ok = ok && (moments->cross = calloc(matrix, sizeof(float)));
  if (N) ok = ok && (moments->residual = calloc((size_t)N * K, sizeof(float)));
  if (ok) return true;
  hone_moments_deinit(moments);
  return hone_fail(status, HONE_EXHAUSTED, "no memory for the second moments of %u inputs", K);
}

// sum (N, K) += a^T x, a (M, N).
static bool add_product(const hone_moments_t *moments, const float *a, uint32_t N, const float *x,
                        uint32_t M, bool upper, float *sum) {
  return hone_matrix_multiply(&(hone_product_t){.M = N,
                                                .N = moments->K,
                                                .K = M,
                                                .A = {a, 1, N},
                                                .B = {x, moments->K, 1},
                                                .C = sum,
                                                .row = moments->K,
                                                .add = true,
                                                .upper = upper},
                              moments->threads);
}

static void add_sums(const float *rows, uint32_t M, uint32_t K, double *sums) {
  for (uint32_t m = 0; m < M; m++)
    for (uint32_t k = 0; k < K; k++) sums[k] += (double)rows[(size_t)m * K + k];
}

bool hone_moments_add(hone_moments_t *moments, const float *x, const float *y, const float *gap,
                      uint32_t M) {
  uint32_t K = moments->K;
  for (uint32_t m = 0; m < M; m++)
    for (uint32_t k = 0; k < K; k++) {
      double value = (double)x[(size_t)m * K + k];
      moments->squares[k] += value * value;
    }
  moments->rows += M;
  add_sums(x, M, K, moments->sums);
  add_sums(y, M, K, moments->sums + K);
  add_sums(gap, M, moments->N, moments->sums + 2 * (size_t)K);
  return (!moments->second || add_product(moments, x, K, x, M, true, moments->second)) &&
         (!moments->cross || add_product(moments, y, K, x, M, false, moments->cross)) &&
         (!moments->residual ||
          add_product(moments, gap, moments->N, x, M, false, moments->residual));
}

// The upper triangle, times `factor`, becomes the whole; in squares that stay in the cache.
static void make_whole(float *matrix, uint64_t K, float factor) {
  enum { SIDE = 64 };
  for (uint64_t row = 0; row < K; row += SIDE)
    for (uint64_t column = row; column < K; column += SIDE)
      for (uint64_t i = row; i < row + SIDE && i < K; i++)
        for (uint64_t j = column > i ? column : i; j < column + SIDE && j < K; j++)
          matrix[j * K + i] = matrix[i * K + j] *= factor;
}

void hone_moments_finish(hone_moments_t *moments) {
  uint64_t K = moments->K;
  double inverse = moments->rows ? 1.0 / (double)moments->rows : 0;
  for (uint64_t k = 0; k < K; k++)
    moments->mean_squares[k] = (float)(moments->squares[k] * inverse);
  for (uint64_t i = 0; i < 2 * K + moments->N; i++) moments->sums[i] *= inverse;
  for (uint64_t i = 0; i < K * K && moments->cross; i++) moments->cross[i] *= (float)inverse;
  for (uint64_t i = 0; i < moments->N * K && moments->residual; i++)
    moments->residual[i] *= (float)inverse;
  if (moments->second) make_whole(moments->second, K, (float)inverse);
}

void hone_moments_drop_second(hone_moments_t *moments) {
  free(moments->second);
  free(moments->cross);
  free(moments->residual);
  moments->second = moments->cross = moments->residual = NULL;
}

void hone_moments_deinit(hone_moments_t *moments) {
  free(moments->squares);
  free(moments->mean_squares);
  free(moments->sums);
  hone_moments_drop_second(moments);
  *moments = (hone_moments_t){0};
}
