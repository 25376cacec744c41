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
  *curvature = (hone_curvature_t){0};
}

bool hone_curvature_correct(const hone_curvature_t *curvature, float *cross, float *residual,
                            int64_t N, hone_status_t *status) {
  uint64_t K = curvature->K;
  int n = (int)K, rows = (int)N, info = 0;
  float *factor = malloc(K * K * sizeof *factor);
  if (!factor) return hone_fail(status, HONE_EXHAUSTED, "no memory to correct %d inputs", n);
  memcpy(factor, curvature->H, K * K * sizeof *factor);
  for (uint64_t k = 0; k < K; k++) cross[k * K + k] += curvature->damping;
  // Row-major C is LAPACK's C^T, and H^-1 C^T = (C H^-1)^T: solving its columns solves C's rows.
  LAPACK_spotrf("U", &n, factor, &n, &info);
  if (info == 0) LAPACK_spotrs("U", &n, &n, factor, &n, cross, &n, &info);
  if (info == 0 && residual) LAPACK_spotrs("U", &n, &rows, factor, &n, residual, &n, &info);
  free(factor);
  return info == 0 ||
         hone_fail(status, HONE_INVALID,
                   "the inputs' second moments are not positive definite (column %d)", info);
}

void hone_curvature_apply(const float *M, uint64_t K, uint64_t Kp, const float *values,
                          int64_t count, float *out) {
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)count, (int)K, (int)K, 1.0f, values,
              (int)Kp, M, (int)K, 0.0f, out, (int)Kp);
  for (int64_t r = 0; r < count; r++) memset(out + (uint64_t)r * Kp + K, 0, (Kp - K) * sizeof *out);
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

// Signal w H w and noise d H d with d = decoded - w, whose gradient d H the descent needs anyway.
static void measure(const hone_curvature_t *c, const hone_quantizer_t *q, const float *values,
                    const hone_rows_work_t *work, int64_t count, hone_curvature_error_t *error) {
  uint64_t K = c->K;
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)count, (int)K, (int)K, 1.0f, values,
              (int)q->Kp, c->H, (int)K, 0.0f, work->moved, (int)K);
  for (int64_t r = 0; r < count; r++) {
    const float *w = values + (uint64_t)r * q->Kp, *d = work->decoded + (uint64_t)r * K,
                *moved = work->moved + (uint64_t)r * K, *g = work->gradient + (uint64_t)r * K;
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
