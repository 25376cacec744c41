// See curvature.h: H, its factor, and the rows' driver. gptq.c and descent.c do the work on rows.
#include "quant/curvature.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "quant/curvature_internal.h"

typedef struct place {
  float size;
  uint32_t column;
} place_t;

static int by_size(const void *a, const void *b) {
  const place_t *x = a, *y = b;
  if (x->size != y->size) return x->size < y->size ? -1 : 1;
  return x->column > y->column ? -1 : 1;
}

static bool make_order(hone_curvature_t *c) {
  place_t *places = malloc(c->K * sizeof *places);
  c->order = malloc(c->K * sizeof *c->order);
  if (!places || !c->order) {
    free(places);
    return false;
  }
  for (uint64_t k = 0; k < c->K; k++) places[k] = (place_t){c->H[k * c->K + k], (uint32_t)k};
  qsort(places, c->K, sizeof *places, by_size);
  for (uint64_t k = 0; k < c->K; k++) c->order[k] = places[k].column;
  free(places);
  return true;
}

static bool factorise(hone_curvature_t *c, int threads, hone_status_t *status) {
  uint64_t K = c->K;
  float *G = malloc(K * K * sizeof *G);
  if (!G)
    return hone_fail(status, HONE_EXHAUSTED, "no memory for a factor of %llu inputs",
                     (unsigned long long)K);
  for (uint64_t i = 0; i < K; i++) {
    const float *row = c->H + (uint64_t)c->order[i] * K;
    for (uint64_t j = 0; j < K; j++) G[i * K + j] = row[c->order[j]];
  }
  return hone_cholesky_init(&c->factor, G, K, threads, status) ||
         hone_note(status, "the second moments of its inputs");
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
  ok = ok && (!options->factor || factorise(&c, options->threads, status));
  if (!ok) {
    hone_curvature_deinit(&c);
    return false;
  }
  *curvature = c;
  return true;
}

void hone_curvature_deinit(hone_curvature_t *curvature) {
  free(curvature->H);
  hone_cholesky_deinit(&curvature->factor);
  free(curvature->order);
  free(curvature->cross);
  free(curvature->residual);
  *curvature = (hone_curvature_t){0};
}

// X (N, K) becomes X H^-1, columns in the factor's order in between.
static bool solve_rows(const hone_curvature_t *c, float *X, uint64_t N, int threads) {
  uint64_t K = c->K;
  float *row = malloc(K * sizeof *row);
  bool ok = row != NULL;
  for (uint64_t n = 0; n < N && ok; n++) {
    memcpy(row, X + n * K, K * sizeof *row);
    for (uint64_t i = 0; i < K; i++) X[n * K + i] = row[c->order[i]];
  }
  ok = ok && hone_cholesky_solve(&c->factor, X, N, threads);
  for (uint64_t n = 0; n < N && ok; n++) {
    memcpy(row, X + n * K, K * sizeof *row);
    for (uint64_t i = 0; i < K; i++) X[n * K + c->order[i]] = row[i];
  }
  free(row);
  return ok;
}

bool hone_curvature_correct(hone_curvature_t *curvature, float *cross, float *residual, int64_t N,
                            int threads, hone_status_t *status) {
  hone_curvature_t *c = curvature;
  uint64_t K = c->K;
  c->cross = cross;
  c->residual = residual;
  for (uint64_t k = 0; k < K && cross; k++) cross[k * K + k] += c->damping;
  if ((!cross || solve_rows(c, cross, K, threads)) &&
      (!residual || solve_rows(c, residual, (uint64_t)N, threads)))
    return true;
  return hone_fail(status, HONE_EXHAUSTED, "no memory to correct %llu inputs",
                   (unsigned long long)K);
}

bool hone_curvature_apply(const hone_curvature_t *curvature, uint64_t Kp, int64_t first,
                          const float *values, int64_t count, float *out) {
  const hone_curvature_t *c = curvature;
  uint64_t K = c->K;
  hone_product_t product = {.M = (uint64_t)count,
                            .N = K,
                            .K = K,
                            .A = {values, Kp, 1},
                            .B = {c->cross, K, 1},
                            .C = out,
                            .row = Kp};
  if (c->cross && !hone_matrix_multiply(&product, 1)) return false;
  for (uint64_t r = 0; r < (uint64_t)count; r++) {
    float *row = out + r * Kp;
    if (!c->cross) memcpy(row, values + r * Kp, K * sizeof *row);
    for (uint64_t k = 0; k < K && c->residual; k++)
      row[k] += c->residual[((uint64_t)first + r) * K + k];
    memset(row + K, 0, (Kp - K) * sizeof *row);
  }
  return true;
}

// ---- rows

static bool allocate(hone_lanes_t *lanes, uint64_t K, uint64_t scales) {
  uint64_t count = lanes->count;
  lanes->weights = calloc(K * count, sizeof(float));
  lanes->decoded = calloc(K * count, sizeof(float));
  lanes->miss = calloc(K * count, sizeof(float));
  lanes->ordered = malloc(K * count * sizeof(float));
  lanes->slope = malloc(HONE_CURVATURE_BLOCK * count * sizeof(float));
  lanes->scales = calloc(scales * count, sizeof(float));
  lanes->stored = calloc(scales * count, sizeof(uint16_t));
  lanes->codes = calloc(K * count, 1);
  return lanes->weights && lanes->decoded && lanes->miss && lanes->ordered && lanes->slope &&
         lanes->scales && lanes->stored && lanes->codes;
}

static void release(hone_lanes_t *lanes) {
  free(lanes->weights);
  free(lanes->decoded);
  free(lanes->miss);
  free(lanes->ordered);
  free(lanes->slope);
  free(lanes->scales);
  free(lanes->stored);
  free(lanes->codes);
}

// rows (count, stride) -> columns (K, lanes).
static void spread(const float *rows, uint64_t stride, uint64_t count, uint64_t K, float *columns,
                   uint64_t lanes) {
  enum { PIECE = 16 };  // columns at a time: what is written stays in the cache
  for (uint64_t first = 0; first < K; first += PIECE) {
    uint64_t last = first + PIECE < K ? first + PIECE : K;
    for (uint64_t r = 0; r < count; r++)
      for (uint64_t k = first; k < last; k++) columns[k * lanes + r] = rows[r * stride + k];
  }
}

// Scales of every row, and what the plain codes stand for; returns as hone_curvature_rows.
static int64_t begin(const hone_curvature_t *c, const hone_quantizer_t *q, int64_t first,
                     const float *values, int64_t count, uint8_t *codes, uint16_t *scales,
                     hone_lanes_t *lanes) {
  uint64_t per_row = (uint64_t)q->scale_count * q->planes;
  float *decoded = aligned_alloc(64, q->Kp * sizeof *decoded);
  int64_t bad = decoded ? -1 : -2;
  for (int64_t r = 0; r < count && bad == -1; r++) {
    uint64_t n = (uint64_t)(first + r), lane = (uint64_t)r;
    uint8_t *row_codes = codes + lane * q->Kp;
    uint16_t *stored = scales + lane * per_row;
    if (!hone_quantizer_row(q, n, values + lane * q->Kp, row_codes, stored)) {
      bad = r;
      break;
    }
    for (uint64_t s = 0; s < per_row; s++) {
      lanes->stored[s * lanes->count + lane] = stored[s];
      lanes->scales[s * lanes->count + lane] =
          hone_quantizer_scale(q, hone_quantizer_group(q, n, s / q->planes), stored[s]);
    }
    if (c->factor.G) continue;  // GPTQ begins without codes
    hone_quantizer_decode(q, n, row_codes, stored, decoded);
    for (uint64_t k = 0; k < c->K; k++) {
      uint64_t at = k * lanes->count + lane;
      lanes->codes[at] = row_codes[k];
      lanes->decoded[at] = decoded[k];
      lanes->miss[at] = decoded[k] - values[lane * q->Kp + k];
    }
  }
  free(decoded);
  return bad;
}

// Pads keep the codes that they had.
static void finish(const hone_quantizer_t *q, const hone_lanes_t *lanes, int64_t count,
                   uint8_t *codes, uint16_t *scales) {
  uint64_t per_row = (uint64_t)q->scale_count * q->planes;
  for (uint64_t r = 0; r < (uint64_t)count; r++) {
    for (uint64_t s = 0; s < per_row; s++)
      scales[r * per_row + s] = lanes->stored[s * lanes->count + r];
  }
  enum { PIECE = 64 };
  for (uint64_t first = 0; first < q->K; first += PIECE) {
    uint64_t last = first + PIECE < q->K ? first + PIECE : q->K;
    for (uint64_t r = 0; r < (uint64_t)count; r++)
      for (uint64_t k = first; k < last; k++)
        codes[r * q->Kp + k] = lanes->codes[k * lanes->count + r];
  }
}

// Signal w H w and noise d H d with d = q - w, of every eighth row.
static bool measure(const hone_curvature_t *c, const hone_lanes_t *lanes, int64_t count,
                    hone_curvature_error_t *error) {
  enum { STEP = 8 };
  uint64_t K = c->K, rows = ((uint64_t)count + STEP - 1) / STEP;
  float *X = malloc(2 * rows * K * sizeof *X), *Y = malloc(2 * rows * K * sizeof *Y);
  bool ok = X && Y;
  for (uint64_t k = 0; k < K && ok; k++)
    for (uint64_t i = 0; i < rows; i++) {
      X[2 * i * K + k] = lanes->weights[k * lanes->count + i * STEP];
      X[(2 * i + 1) * K + k] = lanes->miss[k * lanes->count + i * STEP];
    }
  ok = ok &&
       hone_matrix_multiply(
           &(hone_product_t){
               .M = 2 * rows, .N = K, .K = K, .A = {X, K, 1}, .B = {c->H, K, 1}, .C = Y, .row = K},
           1);
  for (uint64_t i = 0; i < 2 * rows && ok; i++) {
    double sum = 0;
    for (uint64_t k = 0; k < K; k++) sum += (double)X[i * K + k] * (double)Y[i * K + k];
    *(i & 1 ? &error->noise : &error->signal) += sum > 0 ? sum : 0;
  }
  free(X);
  free(Y);
  return ok;
}

int64_t hone_curvature_rows(const hone_curvature_t *c, const hone_quantizer_t *q, int sweeps,
                            int64_t first, const float *values, int64_t count, uint8_t *codes,
                            uint16_t *scales, hone_curvature_error_t *error) {
  enum { LANES = HONE_CURVATURE_LANES };
  hone_lanes_t lanes = {.count = ((uint64_t)count + LANES - 1) / LANES * LANES};
  int64_t bad = -2;
  if (allocate(&lanes, c->K, (uint64_t)q->scale_count * q->planes)) {
    spread(values, q->Kp, (uint64_t)count, c->K, lanes.weights, lanes.count);
    bad = begin(c, q, first, values, count, codes, scales, &lanes);
  }
  if (bad == -1 &&
      !((!c->factor.G || hone_gptq_lanes(c, q, &lanes)) &&
        hone_descent_lanes(c, q, sweeps, first, &lanes) && measure(c, &lanes, count, error)))
    bad = -2;
  if (bad == -1) finish(q, &lanes, count, codes, scales);
  release(&lanes);
  return bad;
}
