// See encode.h.
#include "codegen/pack/encode.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "codegen/pack/encode_internal.h"
#include "quant/hadamard.h"

enum { SCAN_VALUES = 256 * 1024, LEARN_ROWS = 128, COARSE_SWEEPS = 4, FINE_SWEEPS = 1 };

bool hone_encode_scan(const hone_rows_t *rows, hone_encode_visit_fn *visit, void *user,
                      hone_status_t *status) {
  int64_t step = SCAN_VALUES / rows->K / 2 * 2;
  if (step < 2) step = 2;
  float *buffer = malloc((size_t)(step * rows->K) * sizeof *buffer);
  if (!buffer)
    return hone_fail(status, HONE_EXHAUSTED, "recipe %s: no memory to read it", rows->recipe->name);
  bool ok = true;
  for (int64_t first = 0; first < rows->N && ok; first += step) {
    int64_t count = rows->N - first < step ? rows->N - first : step;
    ok = hone_rows_read(rows, first, count, buffer, status);
    if (ok && rows->recipe->rotate)
      hone_hadamard_columns(buffer, (uint64_t)count, (uint64_t)rows->K,
                            (uint32_t)rows->recipe->rotate);
    for (int64_t i = 0; i < count && ok; i++)
      visit(user, hone_rows_at(rows, buffer, count, i), rows->K);
  }
  free(buffer);
  return ok;
}

// Levels from rows spread over the tensor.
static bool learn_levels(const hone_rows_t *rows, hone_quantizer_t *quantizer,
                         hone_status_t *status) {
  int64_t count = rows->N < LEARN_ROWS ? rows->N : LEARN_ROWS;
  uint64_t Kp = quantizer->Kp, K = quantizer->K;
  float *sample = aligned_alloc(64, (uint64_t)count * Kp * sizeof *sample);
  float *pair = malloc(2 * K * sizeof *pair);
  bool ok = sample && pair;
  if (!ok) hone_fail(status, HONE_EXHAUSTED, "recipe %s: no memory", rows->recipe->name);
  for (int64_t i = 0; i < count && ok; i++) {
    int64_t row = i * rows->N / count, first = row / 2 * 2;  // interleaved rows come in pairs
    int64_t got = rows->N - first < 2 ? 1 : 2;
    float *to = sample + (uint64_t)i * Kp;
    ok = hone_rows_read(rows, first, got, pair, status);
    if (ok) memcpy(to, hone_rows_at(rows, pair, got, row - first), K * sizeof *to);
    if (ok && rows->recipe->rotate) hone_hadamard_columns(to, 1, K, (uint32_t)rows->recipe->rotate);
    memset(to + K, 0, (Kp - K) * sizeof *to);
  }
  if (ok && !hone_quantizer_learn(quantizer, sample, count))
    ok = hone_fail(status, HONE_EXHAUSTED, "recipe %s: no memory", rows->recipe->name);
  free(sample);
  free(pair);
  return ok;
}

static void visit_largest(void *user, const float *row, int64_t K) {
  float *largest = user;
  for (int64_t k = 0; k < K; k++) *largest = fabsf(row[k]) > *largest ? fabsf(row[k]) : *largest;
}

bool hone_solver_read(const hone_compile_t *compile, const char *writer, hone_solver_t *out_solver,
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
  if (!hone_store_open(compile, writer, &out_solver->store, status)) return false;
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

// E[(x R)(x R)^T] = R H R, and likewise for what else is known.
static void rotate_moments(hone_moment_set_t *moments, uint64_t N, uint64_t K, uint32_t block) {
  if (moments->second) hone_hadamard_both(moments->second, K, block);
  if (moments->cross) hone_hadamard_both(moments->cross, K, block);
  if (moments->residual) hone_hadamard_columns(moments->residual, N, K, block);
}

// Mean squares (K) of the rotated inputs: the diagonal of their second moments where those are
// known. Else each gets the mean of its block, which is what it would be if the inputs were
// uncorrelated: every element of R squared is 1 / block.
static void rotate_squares(const float *squares, const float *second, uint64_t K, uint32_t block,
                           float *out) {
  for (uint64_t first = 0; first < K; first += block) {
    double sum = 0;
    for (uint64_t k = first; k < first + block; k++) sum += (double)squares[k];
    for (uint64_t k = first; k < first + block; k++)
      out[k] = second ? second[k * K + k] : (float)(sum / block);
  }
}

static bool fill_importance(const float *squares, const hone_moment_set_t *moments, uint64_t K,
                            hone_encoder_t *encoder, hone_status_t *status) {
  float *rotated = NULL;
  if (encoder->rotate && squares) {
    rotated = malloc(K * sizeof *rotated);
    if (!rotated)
      return hone_fail(status, HONE_EXHAUSTED, "no memory for %llu mean squares",
                       (unsigned long long)K);
    rotate_squares(squares, moments->second, K, encoder->rotate, rotated);
    squares = rotated;
  }
  hone_importance_fill(squares, K, encoder->importance);
  free(rotated);
  return true;
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
  encoder->rows = rows;
  if (solver->method != HONE_SOLVE_SCALES) encoder->statistics = statistics;
  hone_moment_set_t moments = {0};
  if (solver->method != HONE_SOLVE_SCALES &&
      !statistics->moments(statistics->self, rows->recipe, &moments, status))
    return false;
  if (encoder->rotate) rotate_moments(&moments, (uint64_t)rows->N, K, encoder->rotate);
  if (!statistics->mean_squares(statistics->self, source, &squares, status) ||
      !fill_importance(squares, &moments, K, encoder, status)) {
    free(moments.second);
    free(moments.cross);
    free(moments.residual);
    return false;
  }
  if (!moments.second) return true;
  hone_curvature_options_t options = {.factor = solver->method == HONE_SOLVE_GPTQ,
                                      .threads = solver->threads};
  bool is_coarse = hone_format_info(encoder->quantizer.format.storage)->code_bits < 4;
  encoder->sweeps = solver->sweeps >= 0 ? solver->sweeps : is_coarse ? COARSE_SWEEPS : FINE_SWEEPS;
  bool ok = hone_curvature_init(&encoder->curvature, moments.second, K, &options, status);
  if (ok && options.factor) {
    ok = hone_curvature_correct(&encoder->curvature, moments.cross, moments.residual, rows->N,
                                solver->threads, status);
  } else {
    free(moments.cross);
    free(moments.residual);
  }
  return ok || hone_note(status, "recipe %s", rows->recipe->name);
}

// A tensor that is known already: the statistics only have to be where its rows can be told.
static bool follow_kept(const hone_rows_t *rows, const hone_solver_t *solver,
                        hone_encoder_t *encoder, hone_status_t *status) {
  const hone_statistics_t *statistics = solver->statistics;
  hone_moment_set_t none;
  encoder->rows = rows;
  if (solver->method == HONE_SOLVE_SCALES) return true;
  encoder->statistics = statistics;
  return statistics->moments(statistics->self, rows->recipe, &none, status);
}

bool hone_encode_native(const hone_rows_t *rows, size_t source, hone_native_t *out_native) {
  return !rows->recipe->rotate && !rows->gain && rows->reader->native &&
         rows->reader->native(rows->source, rows->recipe->sources[source], out_native);
}

// The factor that all sources of the recipe have already in this format, 0 if there is none. Values
// on the grid of one factor are, with another, off the grid by the rounding of an E4M3 scale.
static float native_factor(const hone_rows_t *rows, hone_format_t format) {
  hone_native_t native;
  float common = 0;
  for (size_t i = 0; i < rows->recipe->source_count; i++) {
    if (!hone_encode_native(rows, i, &native) || !hone_format_equal(native.format, format) ||
        (i > 0 && native.factor != common))
      return 0;
    common = native.factor;
  }
  return common;
}

bool hone_encoder_prepare(const hone_rows_t *rows, hone_format_t format,
                          const hone_solver_t *solver, hone_encoder_t *out_encoder,
                          hone_status_t *status) {
  hone_encoder_t encoder = {.rotate = (uint32_t)rows->recipe->rotate};
  uint64_t K = (uint64_t)rows->K;
  encoder.importance = aligned_alloc(64, hone_padded(K) * sizeof(float));
  if (!encoder.importance)
    return hone_fail(status, HONE_EXHAUSTED, "recipe %s: no memory", rows->recipe->name);
  hone_importance_fill(NULL, K, encoder.importance);
  hone_quantizer_init(&encoder.quantizer, format, K, encoder.importance);
  bool ok = !solver || hone_stored_open(solver->store, rows->recipe, &encoder.quantizer,
                                        &encoder.stored, status);
  bool is_kept = ok && hone_stored_is_kept(encoder.stored);
  if (is_kept) ok = follow_kept(rows, solver, &encoder, status);
  if (ok && !is_kept && solver) ok = calibrate(rows, solver, &encoder, status);
  if (ok && !is_kept && hone_format_info(format.storage)->scale == HONE_SCALE_E4M3) {
    float largest = 0, factor = native_factor(rows, format);
    ok = factor > 0 || hone_encode_scan(rows, visit_largest, &largest, status);
    hone_quantizer_set_factor(&encoder.quantizer, largest);
    if (factor > 0) encoder.quantizer.factor = factor;
  }
  if (ok && !is_kept && hone_format_info(format.storage)->grid == HONE_GRID_LEARNED)
    ok = learn_levels(rows, &encoder.quantizer, status);
  if (ok && !is_kept && hone_format_info(format.storage)->scale == HONE_SCALE_DQ8)
    ok = hone_encode_second(rows, &encoder, status);
  if (!ok) {
    hone_encoder_deinit(&encoder);
    return false;
  }
  *out_encoder = encoder;
  return true;
}

bool hone_encoder_correct(hone_encoder_t *encoder, const hone_rows_t *rows,
                          const hone_statistics_t *statistics, float *out_correction,
                          hone_status_t *status) {
  uint64_t K = encoder->quantizer.K;
  hone_mean_set_t *means = &encoder->means;
  if (!statistics->means(statistics->self, rows->recipe->sources[0], means, status)) return false;
  if (!means->input) return true;
  if (encoder->rotate) hone_hadamard_columns(means->input, 1, K, encoder->rotate);
  if (encoder->rotate) hone_hadamard_columns(means->original, 1, K, encoder->rotate);
  encoder->rows = rows;
  encoder->statistics = statistics;  // inputs of the layers behind depend on the rows and on it
  encoder->correction = out_correction;
  return true;
}

void hone_encoder_deinit(hone_encoder_t *encoder) {
  free(encoder->means.input);
  free(encoder->means.original);
  free(encoder->means.gap);
  free(encoder->importance);
  free(encoder->second);
  hone_curvature_deinit(&encoder->curvature);
  hone_stored_close(encoder->stored);
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

// Solves for the rows as the calibration wants them: corrected for what the layers before did. Pads
// past the last row stay zero.
static int64_t solve(const hone_encoder_t *encoder, int64_t first, const float *values,
                     int64_t count, uint8_t *codes, uint16_t *scales, hone_quant_error_t *error) {
  const hone_quantizer_t *q = &encoder->quantizer;
  int64_t left = encoder->rows->N - first, real = left < 0 ? 0 : left < count ? left : count;
  if ((!encoder->curvature.cross && !encoder->curvature.residual) || real == 0)
    return hone_curvature_rows(&encoder->curvature, q, encoder->sweeps, first, values, count, codes,
                               scales, &error->output);
  float *corrected = aligned_alloc(64, (uint64_t)count * q->Kp * sizeof *corrected);
  if (!corrected) return -2;
  memset(corrected + (uint64_t)real * q->Kp, 0, (uint64_t)(count - real) * q->Kp * sizeof(float));
  int64_t bad = -2;
  if (hone_curvature_apply(&encoder->curvature, q->Kp, first, values, real, corrected))
    bad = hone_curvature_rows(&encoder->curvature, q, encoder->sweeps, first, corrected, count,
                              codes, scales, &error->output);
  free(corrected);
  return bad;
}

// Where the solver fits rows to the outputs of the original model, so does the correction; else it
// is for the row's own error. (Fitted to the original's means while codes that are fitted to the
// weights shrink what varies, it would make their balance worse.)
static void correct(const hone_encoder_t *encoder, int64_t n, const float *row,
                    const float *decoded) {
  const hone_mean_set_t *means = &encoder->means;
  const char *source;
  int64_t source_row;
  if (!encoder->correction || n >= encoder->rows->N) return;
  bool is_fitted = encoder->curvature.cross || encoder->curvature.residual;
  const float *original = is_fitted ? means->original : means->input;
  double miss = is_fitted && means->gap ? (double)means->gap[n] : 0;
  for (uint64_t k = 0; k < encoder->quantizer.K; k++)
    miss += (double)row[k] * (double)original[k] - (double)decoded[k] * (double)means->input[k];
  encoder->correction[n] = (float)miss;
  hone_rows_source(encoder->rows, n, &source, &source_row);
  encoder->statistics->correct(encoder->statistics->self, source, source_row, (float)miss);
}

// The reference is not rotated, so the row is turned back, in place.
static void tell(const hone_encoder_t *encoder, int64_t row, float *decoded) {
  const char *source;
  int64_t source_row;
  if (!encoder->statistics || row >= encoder->rows->N) return;
  if (encoder->rotate) hone_hadamard_columns(decoded, 1, encoder->quantizer.K, encoder->rotate);
  hone_rows_source(encoder->rows, row, &source, &source_row);
  encoder->statistics->replace(encoder->statistics->self, source, source_row, decoded);
}

static int64_t kept_rows(const hone_encoder_t *encoder, int64_t first, int64_t count,
                         uint8_t *codes, uint16_t *scales) {
  const hone_quantizer_t *q = &encoder->quantizer;
  size_t per_row = (size_t)q->scale_count * q->planes;
  float *decoded = malloc(q->Kp * sizeof *decoded);
  if (!decoded) return -2;
  for (int64_t i = 0; i < count; i++) {
    uint8_t *row_codes = codes + (uint64_t)i * q->Kp;
    uint16_t *row_scales = scales + (size_t)i * per_row;
    hone_stored_read(encoder->stored, q, first + i, row_codes, row_scales);
    hone_quantizer_decode(q, (uint64_t)(first + i), row_codes, row_scales, decoded);
    tell(encoder, first + i, decoded);
  }
  free(decoded);
  return -1;
}

int64_t hone_encoder_rows(const hone_encoder_t *encoder, int64_t first, float *values,
                          int64_t count, uint8_t *codes, uint16_t *scales,
                          hone_quant_error_t *error) {
  if (hone_stored_is_kept(encoder->stored)) return kept_rows(encoder, first, count, codes, scales);
  const hone_quantizer_t *q = &encoder->quantizer;
  size_t per_row = (size_t)q->scale_count * q->planes;
  float *decoded = malloc(q->Kp * sizeof *decoded);
  bool is_calibrated = encoder->curvature.H != NULL;
  int64_t bad = decoded ? -1 : -2;
  if (encoder->rotate) hone_hadamard_columns(values, (uint64_t)count, q->Kp, encoder->rotate);
  if (is_calibrated && bad == -1) bad = solve(encoder, first, values, count, codes, scales, error);
  for (int64_t i = 0; i < count && bad == -1; i++) {
    uint64_t n = (uint64_t)(first + i);
    const float *row = values + (uint64_t)i * q->Kp;
    uint8_t *row_codes = codes + (uint64_t)i * q->Kp;
    uint16_t *row_scales = scales + (size_t)i * per_row;
    if (!is_calibrated && !hone_quantizer_row(q, n, row, row_codes, row_scales)) bad = i;
    if (bad == -1) measure(q, n, row, row_codes, row_scales, decoded, error);
    if (bad == -1) correct(encoder, first + i, row, decoded);
    if (bad == -1) tell(encoder, first + i, decoded);
  }
  free(decoded);
  if (bad == -1 && encoder->stored)
    hone_stored_write(encoder->stored, q, first, count, codes, scales);
  return bad;
}

bool hone_encoder_finish(const hone_encoder_t *encoder, hone_quant_error_t *error,
                         hone_status_t *status) {
  return hone_stored_finish(encoder->stored, &encoder->quantizer, error, status);
}

void hone_encoder_parameters(const hone_encoder_t *encoder, uint64_t N, uint8_t *out) {
  const hone_quantizer_t *q = &encoder->quantizer;
  uint64_t second = hone_packed_second_count(q->format, N, q->K);
  memset(out, 0, hone_packed_parameter_bytes(q->format, N, q->K));
  memcpy(out + HONE_PACKED_FACTOR, &q->factor, sizeof(float));
  memcpy(out + HONE_PACKED_LEVELS, q->learned, HONE_GRID_LEVELS);
  if (second == 0) return;
  memcpy(out, &q->places, sizeof q->places);
  memcpy(out + HONE_PACKED_SECOND, q->second, second * sizeof(float));
}
