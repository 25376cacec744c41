// See curvature.h: H, its factor, and the rows' driver. gptq.c and descent.c do the work on rows.
#include "quant/curvature.h"

#include <cblas.h>
#include <lapack.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "quant/curvature_internal.h"

void hone_curvature_set_threads(int threads) { openblas_set_num_threads(threads); }

typedef struct place {
  float size;
  uint32_t column;
} place_t;

static int by_falling_size(const void *a, const void *b) {
  const place_t *x = a, *y = b;
  if (x->size != y->size) return x->size < y->size ? 1 : -1;
  return x->column < y->column ? -1 : 1;
}

static bool make_order(hone_curvature_t *c) {
  place_t *places = malloc(c->K * sizeof *places);
  c->order = malloc(c->K * sizeof *c->order);
  if (!places || !c->order) {
    free(places);
    return false;
  }
  for (uint64_t k = 0; k < c->K; k++) places[k] = (place_t){c->H[k * c->K + k], (uint32_t)k};
  qsort(places, c->K, sizeof *places, by_falling_size);
  for (uint64_t k = 0; k < c->K; k++) c->order[k] = places[k].column;
  free(places);
  return true;
}

// H = L' L'^T with L' upper triangular is the Cholesky factor of H turned around (rows and columns
// reversed); its inverse is U with H^-1 = U^T U. So: turned copy, potrf, trtri, turn back. For
// LAPACK (column-major) the row-major lower triangle is its upper one.
static bool factorise(hone_curvature_t *c, hone_status_t *status) {
  uint64_t K = c->K;
  int n = (int)K, info = 0;
  c->U = malloc(K * K * sizeof *c->U);
  if (!c->U) return hone_fail(status, HONE_EXHAUSTED, "no memory for a factor of %d inputs", n);
  for (uint64_t i = 0; i < K; i++) {
    const float *row = c->H + (uint64_t)c->order[K - 1 - i] * K;
    for (uint64_t j = 0; j < K; j++) c->U[i * K + j] = row[c->order[K - 1 - j]];
  }
  LAPACK_spotrf("U", &n, c->U, &n, &info);
  if (info == 0) LAPACK_strtri("U", "N", &n, c->U, &n, &info);
  if (info != 0)
    return hone_fail(status, HONE_INVALID,
                     "the inputs' second moments are not positive definite (column %d)", info);
  for (uint64_t i = 0, j = K * K - 1; i < j; i++, j--) {
    float swap = c->U[i];
    c->U[i] = c->U[j];
    c->U[j] = swap;
  }
  return true;
}

static bool damp(hone_curvature_t *c, double damping, hone_status_t *status) {
  double sum = 0;
  for (uint64_t k = 0; k < c->K; k++) sum += (double)c->H[k * c->K + k];
  double mean = sum / (double)c->K;
  if (!isfinite(sum) || mean < 0)
    return hone_fail(status, HONE_INVALID, "the inputs' second moments are not finite");
  if (mean == 0) mean = 1;
  float add = (float)(mean * (damping > 0 ? damping : 0.01));
  for (uint64_t k = 0; k < c->K; k++) c->H[k * c->K + k] += add;
  c->damping = add;
  return true;
}

bool hone_curvature_init(hone_curvature_t *curvature, float *moments, uint64_t K,
                         const hone_curvature_options_t *options, hone_status_t *status) {
  hone_curvature_t c = {.K = K, .H = moments};
  bool ok = damp(&c, options->damping, status);
  if (ok && !make_order(&c))
    ok = hone_fail(status, HONE_EXHAUSTED, "no memory for the order of %llu inputs",
                   (unsigned long long)K);
  ok = ok && (!options->factor || factorise(&c, status));
  if (!ok) {
    hone_curvature_deinit(&c);
    return false;
  }
  *curvature = c;
  return true;
}

void hone_curvature_deinit(hone_curvature_t *curvature) {
  free(curvature->H);
  free(curvature->U);
  free(curvature->order);
  free(curvature->cross);
  free(curvature->residual);
  *curvature = (hone_curvature_t){0};
}

// X (count, K) becomes X H^-1 = X U^T U, columns in the factor's order in between.
static void solve_rows(const hone_curvature_t *c, float *X, int64_t count, float *scratch) {
  uint64_t K = c->K;
  for (int64_t r = 0; r < count; r++)
    for (uint64_t i = 0; i < K; i++)
      scratch[(uint64_t)r * K + i] = X[(uint64_t)r * K + c->order[i]];
  cblas_strmm(CblasRowMajor, CblasRight, CblasUpper, CblasTrans, CblasNonUnit, (int)count, (int)K,
              1.0f, c->U, (int)K, scratch, (int)K);
  cblas_strmm(CblasRowMajor, CblasRight, CblasUpper, CblasNoTrans, CblasNonUnit, (int)count, (int)K,
              1.0f, c->U, (int)K, scratch, (int)K);
  for (int64_t r = 0; r < count; r++)
    for (uint64_t i = 0; i < K; i++)
      X[(uint64_t)r * K + c->order[i]] = scratch[(uint64_t)r * K + i];
}

bool hone_curvature_correct(hone_curvature_t *curvature, float *cross, float *residual, int64_t N,
                            hone_status_t *status) {
  hone_curvature_t *c = curvature;
  uint64_t K = c->K;
  c->cross = cross;
  c->residual = residual;
  if (!c->U) return true;  // checked by the caller: descent alone corrects nothing
  for (uint64_t k = 0; k < K; k++) cross[k * K + k] += c->damping;
  // Few rows are solved one by one; for many it pays to solve C's rows once.
  c->is_solved = N > (int64_t)(2 * K);
  if (!c->is_solved) return true;
  float *scratch = malloc(K * K * sizeof *scratch);
  if (!scratch)
    return hone_fail(status, HONE_EXHAUSTED, "no memory to correct %llu inputs",
                     (unsigned long long)K);
  solve_rows(c, cross, (int64_t)K, scratch);
  free(scratch);
  if (!residual) return true;
  scratch = malloc((uint64_t)N * K * sizeof *scratch);
  if (!scratch)
    return hone_fail(status, HONE_EXHAUSTED, "no memory to correct %lld rows", (long long)N);
  solve_rows(c, residual, N, scratch);
  free(scratch);
  return true;
}

bool hone_curvature_apply(const hone_curvature_t *curvature, uint64_t Kp, int64_t first,
                          const float *values, int64_t count, float *out) {
  const hone_curvature_t *c = curvature;
  uint64_t K = c->K, bytes = (uint64_t)count * K * sizeof(float);
  float *target = malloc(bytes), *scratch = malloc(bytes);
  bool ok = target && scratch;
  if (ok) {
    if (c->residual) memcpy(target, c->residual + (uint64_t)first * K, bytes);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)count, (int)K, (int)K, 1.0f, values,
                (int)Kp, c->cross, (int)K, c->residual ? 1.0f : 0.0f, target, (int)K);
    if (!c->is_solved) solve_rows(c, target, count, scratch);
    for (int64_t r = 0; r < count; r++) {
      memcpy(out + (uint64_t)r * Kp, target + (uint64_t)r * K, K * sizeof *out);
      memset(out + (uint64_t)r * Kp + K, 0, (Kp - K) * sizeof *out);
    }
  }
  free(target);
  free(scratch);
  return ok;
}

static bool allocate(hone_rows_work_t *work, uint64_t count, uint64_t K, uint64_t scales) {
  uint64_t matrix = count * K;
  work->columns = malloc(count * HONE_GPTQ_COLUMNS * sizeof(float));
  work->moved = malloc(matrix * sizeof(float));
  work->decoded = malloc(matrix * sizeof(float));
  work->gradient = malloc(matrix * sizeof(float));
  work->real = malloc(count * scales * sizeof(float));
  return work->columns && work->moved && work->decoded && work->gradient && work->real;
}

// Signal w H w and noise d H d with d = decoded - w, of every eighth row: d H is the gradient that
// the descent leaves, w H is a matrix product of its own.
static void measure(const hone_curvature_t *c, const hone_quantizer_t *q, const float *values,
                    const hone_rows_work_t *work, int64_t count, hone_curvature_error_t *error) {
  enum { STEP = 8 };
  uint64_t K = c->K;
  int rows = (int)((count + STEP - 1) / STEP);
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows, (int)K, (int)K, 1.0f, values,
              (int)(STEP * q->Kp), c->H, (int)K, 0.0f, work->moved, (int)K);
  for (int64_t i = 0; i < rows; i++) {
    uint64_t r = (uint64_t)i * STEP;
    const float *w = values + r * q->Kp, *d = work->decoded + r * K,
                *moved = work->moved + (uint64_t)i * K, *g = work->gradient + r * K;
    double signal = 0, noise = 0;
    for (uint64_t k = 0; k < K; k++) {
      signal += (double)w[k] * (double)moved[k];
      noise += ((double)d[k] - (double)w[k]) * (double)g[k];
    }
    error->signal += signal;
    error->noise += noise > 0 ? noise : 0;
  }
}

int64_t hone_curvature_rows(const hone_curvature_t *c, const hone_quantizer_t *q, int sweeps,
                            int64_t first, const float *values, int64_t count, uint8_t *codes,
                            uint16_t *scales, hone_curvature_error_t *error) {
  size_t per_row = (size_t)q->scale_count * q->planes;
  hone_rows_work_t work = {0};
  int64_t bad = -1;
  if (!allocate(&work, (uint64_t)count, c->K, per_row)) bad = -2;
  for (int64_t r = 0; r < count && bad == -1; r++) {
    uint64_t n = (uint64_t)(first + r);
    const uint16_t *stored = scales + (size_t)r * per_row;
    if (!hone_quantizer_row(q, n, values + (uint64_t)r * q->Kp, codes + (uint64_t)r * q->Kp,
                            scales + (size_t)r * per_row))
      bad = r;
    for (size_t s = 0; s < per_row && bad == -1; s++)
      work.real[(size_t)r * per_row + s] =
          hone_quantizer_scale(q, hone_quantizer_group(q, n, s / q->planes), stored[s]);
  }
  if (bad == -1) {
    if (c->U) hone_gptq_rows(c, q, &work, values, count, codes);
    hone_descent_rows(c, q, sweeps, &work, first, values, count, codes, scales);
    measure(c, q, values, &work, count, error);
  }
  free(work.columns);
  free(work.moved);
  free(work.decoded);
  free(work.gradient);
  free(work.real);
  return bad;
}
