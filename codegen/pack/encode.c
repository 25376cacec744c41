// See encode.h.
#include "codegen/pack/encode.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "quant/nested.h"

enum { SCAN_VALUES = 256 * 1024 };

// Calls visit for every row of the tensor, in the order they are read.
typedef void visit_fn(void *user, const float *row, int64_t K);

static bool scan(const hone_rows_t *rows, visit_fn *visit, void *user, hone_status_t *status) {
  int64_t step = SCAN_VALUES / rows->K / 2 * 2;
  if (step < 2) step = 2;
  float *buffer = malloc((size_t)(step * rows->K) * sizeof *buffer);
  if (!buffer)
    return hone_fail(status, HONE_EXHAUSTED, "recipe %s: no memory to read it", rows->recipe->name);
  bool ok = true;
  for (int64_t first = 0; first < rows->N && ok; first += step) {
    int64_t count = rows->N - first < step ? rows->N - first : step;
    ok = hone_rows_read(rows, first, count, buffer, status);
    for (int64_t i = 0; i < count && ok; i++)
      visit(user, hone_rows_at(rows, buffer, count, i), rows->K);
  }
  free(buffer);
  return ok;
}

static void visit_largest(void *user, const float *row, int64_t K) {
  float *largest = user;
  for (int64_t k = 0; k < K; k++) *largest = fabsf(row[k]) > *largest ? fabsf(row[k]) : *largest;
}

bool hone_solver_read(const hone_compile_t *compile, hone_solver_t *out_solver,
                      hone_status_t *status) {
  static const char *const names[] = {"scales", "descent", "gptq"};
  const hone_compile_options_t *options = &compile->options;
  bool has_statistics = compile->statistics.self != NULL;
  *out_solver = (hone_solver_t){
      .statistics = has_statistics ? &compile->statistics : NULL,
      .method = has_statistics ? HONE_SOLVE_GPTQ : HONE_SOLVE_SCALES,
      .sweeps = (int)options->sweeps,
      .threads = options->threads > 0 ? (int)options->threads : 0,
  };
  if (!options->solver) return true;
  for (int i = 0; i < 3; i++) {
    if (strcmp(options->solver, names[i])) continue;
    if (i > 0 && !has_statistics)
      return hone_fail(status, HONE_INVALID, "--solver %s needs --calibrate TEXT", names[i]);
    out_solver->method = i;
    return true;
  }
  return hone_fail(status, HONE_INVALID, "--solver %s: use scales, descent or gptq",
                   options->solver);
}

// Statistics of what enters the tensor: all sources of a recipe share their input, so the first one
// stands for them.
static bool calibrate(const hone_rows_t *rows, const hone_solver_t *solver, hone_encoder_t *encoder,
                      hone_status_t *status) {
  const hone_statistics_t *statistics = solver->statistics;
  const char *source = rows->recipe->sources[0];
  uint64_t K = (uint64_t)rows->K;
  const float *squares = NULL;
  if (!statistics) return true;
  hone_moment_set_t moments = {0};
  if (solver->method != HONE_SOLVE_SCALES &&
      !statistics->moments(statistics->self, source, K, &moments, status))
    return false;
  encoder->correction = moments.cross;
  encoder->addition = moments.residual;
  if (!statistics->mean_squares(statistics->self, source, &squares, status)) {
    free(moments.second);
    return false;
  }
  hone_importance_fill(squares, K, encoder->importance);
  if (!moments.second) return true;
  hone_curvature_options_t options = {.factor = solver->method == HONE_SOLVE_GPTQ};
  encoder->sweeps = solver->sweeps;
  encoder->statistics = statistics;
  encoder->rows = rows;
  hone_curvature_set_threads(solver->threads);
  bool ok = hone_curvature_init(&encoder->curvature, moments.second, K, &options, status);
  ok = ok && (!moments.cross || hone_curvature_correct(&encoder->curvature, moments.cross,
                                                       moments.residual, rows->N, status));
  hone_curvature_set_threads(1);
  return ok || hone_note(status, "recipe %s", rows->recipe->name);
}

// The factor that all sources of the recipe have already in this format, 0 if there is none. Values
// on the grid of one factor are, with another, off the grid by the rounding of an E4M3 scale.
static float native_factor(const hone_rows_t *rows, hone_format_t format) {
  float common = 0;
  for (size_t i = 0; i < rows->recipe->source_count && rows->reader->native; i++) {
    hone_format_t native;
    float factor;
    const char *source = rows->recipe->sources[i];
    if (!rows->reader->native(rows->source, source, &native, &factor) ||
        !hone_format_equal(native, format) || (i > 0 && factor != common))
      return 0;
    common = factor;
  }
  return common;
}

typedef struct collector {  // of the scales that all groups would have
  const hone_quantizer_t *quantizer;
  float *row;  // (Kp)
  float *scales, *weights;
  uint64_t count;
} collector_t;

static void visit_scales(void *user, const float *row, int64_t K) {
  collector_t *to = user;
  memcpy(to->row, row, (size_t)K * sizeof *row);
  hone_quantizer_free_scales(to->quantizer, to->row, to->scales + to->count,
                             to->weights + to->count);
  to->count += to->quantizer->group_count;
}

// Second level and offset of nf4dq, from the scales that fit the groups best. A calibrated tensor's
// are those of its weights before they are corrected.
static bool fit_second(const hone_rows_t *rows, hone_encoder_t *encoder, hone_status_t *status) {
  hone_quantizer_t *q = &encoder->quantizer;
  uint64_t N = (uint64_t)rows->N, groups = N * q->group_count;
  collector_t to = {.quantizer = q,
                    .row = aligned_alloc(64, q->Kp * sizeof(float)),
                    .scales = malloc(groups * sizeof(float)),
                    .weights = malloc(groups * sizeof(float))};
  float offset = 0;
  encoder->second = calloc(hone_packed_second_count(q->format, N, q->K), sizeof(float));
  bool ok = to.row && to.scales && to.weights && encoder->second;
  if (ok) {
    memset(to.row, 0, q->Kp * sizeof(float));
    ok = scan(rows, visit_scales, &to, status);
  } else {
    hone_fail(status, HONE_EXHAUSTED, "recipe %s: no memory for its scales", rows->recipe->name);
  }
  if (ok) hone_nested_fit(to.scales, to.weights, groups, encoder->second, &offset);
  hone_quantizer_set_second(q, encoder->second, offset);
  free(to.row);
  free(to.scales);
  free(to.weights);
  return ok;
}

bool hone_encoder_prepare(const hone_rows_t *rows, hone_format_t format,
                          const hone_solver_t *solver, hone_encoder_t *out_encoder,
                          hone_status_t *status) {
  hone_encoder_t encoder = {0};
  uint64_t K = (uint64_t)rows->K;
  encoder.importance = aligned_alloc(64, hone_padded(K) * sizeof(float));
  if (!encoder.importance)
    return hone_fail(status, HONE_EXHAUSTED, "recipe %s: no memory", rows->recipe->name);
  hone_importance_fill(NULL, K, encoder.importance);
  hone_quantizer_init(&encoder.quantizer, format, K, encoder.importance);
  bool ok = !solver || calibrate(rows, solver, &encoder, status);
  if (ok && hone_format_info(format.storage)->scale == HONE_SCALE_E4M3) {
    float largest = 0, factor = native_factor(rows, format);
    ok = factor > 0 || scan(rows, visit_largest, &largest, status);
    hone_quantizer_set_factor(&encoder.quantizer, largest);
    if (factor > 0) encoder.quantizer.factor = factor;
  }
  if (ok && hone_format_info(format.storage)->scale == HONE_SCALE_DQ8)
    ok = fit_second(rows, &encoder, status);
  if (!ok) {
    hone_encoder_deinit(&encoder);
    return false;
  }
  *out_encoder = encoder;
  return true;
}

void hone_encoder_deinit(hone_encoder_t *encoder) {
  free(encoder->importance);
  free(encoder->second);
  free(encoder->correction);
  free(encoder->addition);
  hone_curvature_deinit(&encoder->curvature);
  *encoder = (hone_encoder_t){0};
}

static void measure(const hone_quantizer_t *q, uint64_t n, const float *row, const uint8_t *codes,
                    const uint16_t *scales, float *decoded, hone_quant_error_t *error) {
  hone_quantizer_decode(q, n, codes, scales, decoded);
  double signal = 0, noise = 0;
  for (uint64_t k = 0; k < q->K; k++) {
    double miss = (double)row[k] - (double)decoded[k];
    signal += (double)row[k] * (double)row[k];
    noise += miss * miss;
  }
  error->signal += signal;
  error->noise += noise;
}

// Solves for the rows as the calibration wants them: corrected for what the layers before did.
static int64_t solve(const hone_encoder_t *encoder, int64_t first, const float *values,
                     int64_t count, uint8_t *codes, uint16_t *scales, hone_quant_error_t *error) {
  const hone_quantizer_t *q = &encoder->quantizer;
  if (!encoder->correction)
    return hone_curvature_rows(&encoder->curvature, q, encoder->sweeps, first, values, count, codes,
                               scales, &error->output);
  float *corrected = aligned_alloc(64, (uint64_t)count * q->Kp * sizeof *corrected);
  if (!corrected) return -2;
  hone_curvature_apply(encoder->correction, q->K, q->Kp, values, count, corrected);
  for (int64_t i = 0; i < count && encoder->addition && first + i < encoder->rows->N; i++)
    for (uint64_t k = 0; k < q->K; k++)
      corrected[(uint64_t)i * q->Kp + k] += encoder->addition[(uint64_t)(first + i) * q->K + k];
  int64_t bad = hone_curvature_rows(&encoder->curvature, q, encoder->sweeps, first, corrected,
                                    count, codes, scales, &error->output);
  free(corrected);
  return bad;
}

static void tell(const hone_encoder_t *encoder, int64_t row, const float *decoded) {
  const char *source;
  int64_t source_row;
  if (!encoder->statistics || row >= encoder->rows->N) return;
  hone_rows_source(encoder->rows, row, &source, &source_row);
  encoder->statistics->replace(encoder->statistics->self, source, source_row, decoded);
}

int64_t hone_encoder_rows(const hone_encoder_t *encoder, int64_t first, const float *values,
                          int64_t count, uint8_t *codes, uint16_t *scales,
                          hone_quant_error_t *error) {
  const hone_quantizer_t *q = &encoder->quantizer;
  size_t per_row = (size_t)q->scale_count * q->planes;
  float *decoded = malloc(q->Kp * sizeof *decoded);
  bool is_calibrated = encoder->curvature.H != NULL;
  int64_t bad = decoded ? -1 : -2;
  if (is_calibrated && bad == -1) bad = solve(encoder, first, values, count, codes, scales, error);
  for (int64_t i = 0; i < count && bad == -1; i++) {
    uint64_t n = (uint64_t)(first + i);
    const float *row = values + (uint64_t)i * q->Kp;
    uint8_t *row_codes = codes + (uint64_t)i * q->Kp;
    uint16_t *row_scales = scales + (size_t)i * per_row;
    if (!is_calibrated && !hone_quantizer_row(q, n, row, row_codes, row_scales)) bad = i;
    if (bad == -1) measure(q, n, row, row_codes, row_scales, decoded, error);
    if (bad == -1 && is_calibrated) tell(encoder, first + i, decoded);
  }
  free(decoded);
  return bad;
}

void hone_encoder_parameters(const hone_encoder_t *encoder, uint64_t N, uint8_t *out) {
  const hone_quantizer_t *q = &encoder->quantizer;
  uint64_t second = hone_packed_second_count(q->format, N, q->K);
  memset(out, 0, hone_packed_parameter_bytes(q->format, N, q->K));
  memcpy(out + HONE_PACKED_FACTOR, &q->factor, sizeof(float));
  memcpy(out + HONE_PACKED_LEVELS, q->learned, HONE_GRID_LEVELS);
  if (second == 0) return;
  memcpy(out + HONE_PACKED_OFFSET, &q->offset, sizeof(float));
  memcpy(out + HONE_PACKED_SECOND, q->second, second * sizeof(float));
}
