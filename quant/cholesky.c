// Cholesky's factor, left-looking: a block of columns takes in what the columns before it
// contribute by one product, its diagonal block is factored and inverted in double precision, and
// the rows below are multiplied by that inverse, which turns triangular solves into products.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "quant/hot_internal.h"
#include "quant/matrix.h"

enum { BLOCK = HONE_CHOLESKY_BLOCK };

HONE_HOT static void subtract_scaled(double *y, const double *x, int count, double factor) {
  for (int i = 0; i < count; i++) y[i] -= factor * x[i];
}

// Of a block (n, n): U with H = U^T U, in place. Returns the column that has no positive pivot, or
// -1.
static int factor_block(double *h, int n) {
  for (int k = 0; k < n; k++) {
    double pivot = h[k * BLOCK + k];
    if (!(pivot > 0) || !isfinite(pivot)) return k;
    double inverse = 1 / sqrt(pivot);
    for (int j = k; j < n; j++) h[k * BLOCK + j] *= inverse;
    for (int i = k + 1; i < n; i++)
      subtract_scaled(h + i * BLOCK + i, h + k * BLOCK + i, n - i, h[k * BLOCK + i]);
  }
  return -1;
}

// Inverse of L = U^T, row by row: L Z = I.
static void invert_block(const double *u, int n, double *z) {
  for (int i = 0; i < n; i++) {
    double *row = z + i * BLOCK, inverse = 1 / u[i * BLOCK + i];
    for (int j = 0; j < BLOCK; j++) row[j] = j == i ? 1 : 0;
    for (int j = 0; j < i; j++) subtract_scaled(row, z + j * BLOCK, j + 1, u[j * BLOCK + i]);
    for (int j = 0; j <= i; j++) row[j] *= inverse;
  }
}

// The diagonal block at k: G's block and its inverse, via scratch (2, BLOCK, BLOCK).
static int finish_diagonal(hone_cholesky_t *c, uint64_t k, int n, double *scratch) {
  double *u = scratch, *z = scratch + BLOCK * BLOCK;
  for (int i = 0; i < n; i++)
    for (int j = i; j < n; j++)  // the lower triangle counts
      u[i * BLOCK + j] = (double)c->G[(k + (uint64_t)j) * c->K + k + (uint64_t)i];
  int bad = factor_block(u, n);
  if (bad >= 0) return bad;
  invert_block(u, n, z);
  for (int i = 0; i < n; i++) {
    for (int j = 0; j < n; j++)
      c->G[(k + (uint64_t)i) * c->K + k + (uint64_t)j] = j <= i ? (float)u[j * BLOCK + i] : 0.0f;
    for (int j = 0; j < BLOCK; j++)
      c->inverse[(k + (uint64_t)i) * BLOCK + (uint64_t)j] = (float)z[i * BLOCK + j];
  }
  return -1;
}

// Columns [k, k + n) of X, M rows that are K apart, times a block's inverse or its transpose.
static bool multiply_inverse(const hone_cholesky_t *c, float *X, uint64_t M, uint64_t k, uint64_t n,
                             bool transposed, float *copy, int threads) {
  for (uint64_t i = 0; i < M; i++) memcpy(copy + i * BLOCK, X + i * c->K + k, n * sizeof *copy);
  hone_matrix_t B = {c->inverse + k * BLOCK, BLOCK, 1};
  if (transposed) B.row = 1, B.column = BLOCK;
  return hone_matrix_multiply(
      &(hone_product_t){
          .M = M, .N = n, .K = n, .A = {copy, BLOCK, 1}, .B = B, .C = X + k, .row = c->K},
      threads);
}

static uint64_t width_at(const hone_cholesky_t *c, uint64_t k) {
  return c->K - k < BLOCK ? c->K - k : BLOCK;
}

static bool factor_columns(hone_cholesky_t *c, uint64_t k, double *scratch, float *copy,
                           int threads, bool *out_is_definite) {
  uint64_t K = c->K, n = width_at(c, k), below = K - k - n;
  float *panel = c->G + k * K + k;
  hone_product_t before = {.M = K - k,
                           .N = n,
                           .K = k,
                           .A = {c->G + k * K, K, 1},
                           .B = {c->G + k * K, 1, K},
                           .C = panel,
                           .row = K,
                           .subtract = true};
  *out_is_definite = true;
  if (!hone_matrix_multiply(&before, threads)) return false;
  *out_is_definite = finish_diagonal(c, k, (int)n, scratch) < 0;
  if (!*out_is_definite || below == 0) return true;
  return multiply_inverse(c, c->G + (k + n) * K, below, k, n, true, copy, threads);
}

bool hone_cholesky_init(hone_cholesky_t *cholesky, float *G, uint64_t K, int threads,
                        hone_status_t *status) {
  hone_cholesky_t c = {.K = K, .G = G, .inverse = malloc(K * BLOCK * sizeof(float))};
  double *scratch = malloc(2 * BLOCK * BLOCK * sizeof *scratch);
  float *copy = malloc(K * BLOCK * sizeof *copy);
  bool ok = c.inverse && scratch && copy, is_definite = true;
  for (uint64_t k = 0; k < K && ok && is_definite; k += BLOCK)
    ok = factor_columns(&c, k, scratch, copy, threads, &is_definite);
  free(scratch);
  free(copy);
  if (ok && is_definite) {
    *cholesky = c;
    return true;
  }
  hone_cholesky_deinit(&c);
  return ok ? hone_fail(status, HONE_INVALID, "the matrix is not positive definite")
            : hone_fail(status, HONE_EXHAUSTED, "no memory to factor a matrix of %llu columns",
                        (unsigned long long)K);
}

void hone_cholesky_deinit(hone_cholesky_t *cholesky) {
  free(cholesky->G);
  free(cholesky->inverse);
  *cholesky = (hone_cholesky_t){0};
}

// Subtracts from columns [k, k + n) of X what columns [from, from + depth), solved, contribute:
// X G^T forwards, X G backwards.
static bool take_in(const hone_cholesky_t *c, float *X, uint64_t N, uint64_t k, uint64_t n,
                    uint64_t from, uint64_t depth, int threads) {
  uint64_t K = c->K;
  hone_matrix_t B = {c->G + k * K + from, 1, K};
  if (from > k) B = (hone_matrix_t){c->G + from * K + k, K, 1};
  return hone_matrix_multiply(&(hone_product_t){.M = N,
                                                .N = n,
                                                .K = depth,
                                                .A = {X + from, K, 1},
                                                .B = B,
                                                .C = X + k,
                                                .row = K,
                                                .subtract = true},
                              threads);
}

// X H^-1 = (X G^-T) G^-1.
bool hone_cholesky_solve(const hone_cholesky_t *c, float *X, uint64_t N, int threads) {
  uint64_t K = c->K, blocks = (K + BLOCK - 1) / BLOCK;
  float *copy = malloc(N * BLOCK * sizeof *copy);
  bool ok = copy != NULL;
  for (uint64_t b = 0; b < blocks && ok; b++) {
    uint64_t k = b * BLOCK, n = width_at(c, k);
    ok = take_in(c, X, N, k, n, 0, k, threads) &&
         multiply_inverse(c, X, N, k, n, true, copy, threads);
  }
  for (uint64_t b = blocks; b-- > 0 && ok;) {
    uint64_t k = b * BLOCK, n = width_at(c, k);
    ok = take_in(c, X, N, k, n, k + n, K - k - n, threads) &&
         multiply_inverse(c, X, N, k, n, false, copy, threads);
  }
  free(copy);
  return ok;
}
