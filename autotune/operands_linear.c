// Operands of linears: random weights through hone's own packer, so that every format and layout is
// what a compile makes, and rows of activations as base/artefact.h lays them out.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "autotune/operands_internal.h"
#include "base/file.h"
#include "codegen/pack/pack.h"

enum { WEIGHTS = 1, ROWS, RESIDUAL, BIAS };  // seeds
// How far plain sums may be from those of kernels with q8 rows, which round 4-bit levels to
// integers: errors of at most half of 1/60 of a weight, about that much of the sum's spread.
static const double rounding = 0.03, order = 2e-6;

// ---- weights
typedef struct source {  // of a checkpoint of one tensor
  int64_t N, K;
  float scale;
  hone_operands_t *operands;
} source_t;

static bool source_shape(void *user, const char *name, int64_t *out_N, int64_t *out_K,
                         hone_storage_t *out_storage, hone_status_t *status) {
  const source_t *source = user;
  (void)name, (void)status;
  *out_N = source->N, *out_K = source->K, *out_storage = HONE_F32;
  return true;
}

static bool source_rows(void *user, const char *name, int64_t row, int64_t count, float *out,
                        hone_status_t *status) {
  const source_t *source = user;
  (void)name, (void)status;
  for (int64_t i = 0; i < count * source->K; i++)
    out[i] = source->scale * hone_operand_at(WEIGHTS, (uint64_t)(row * source->K + i));
  return true;
}

// Statistics that know nothing, but are told what has become of each row.
static bool no_squares(void *self, const char *name, const float **out, hone_status_t *status) {
  (void)self, (void)name, (void)status;
  *out = NULL;
  return true;
}

static bool no_moments(void *self, const ir_recipe_t *recipe, hone_moment_set_t *out,
                       hone_status_t *status) {
  (void)self, (void)recipe, (void)status;
  *out = (hone_moment_set_t){0};
  return true;
}

static void take_row(void *self, const char *name, int64_t row, const float *values) {
  source_t *source = self;
  hone_operands_t *operands = source->operands;
  (void)name;
  for (uint32_t i = 0; i < operands->sample_count; i++)
    if (operands->samples[i] == row)
      memcpy(operands->sample_values + (size_t)i * (size_t)source->K, values,
             (size_t)source->K * sizeof *values);
}

// Rows of the first and the last tiles, and some between; gate and up come in pairs.
static bool choose_samples(source_t *source, hone_status_t *status) {
  hone_operands_t *operands = source->operands;
  uint32_t N = (uint32_t)source->N, pairs = (N + 1) / 2, most = HONE_OPERANDS_SAMPLES / 2;
  uint32_t chosen = pairs < most ? pairs : most;
  for (uint32_t i = 0; i < chosen; i++) {
    uint32_t pair = i < 8 || chosen == pairs ? i
                    : i >= chosen - 8        ? pairs - (chosen - i)
                                             : (uint32_t)((uint64_t)i * pairs / chosen);
    operands->samples[operands->sample_count++] = 2 * pair;
    if (2 * pair + 1 < N) operands->samples[operands->sample_count++] = 2 * pair + 1;
  }
  size_t count = (size_t)operands->sample_count * (size_t)source->K;
  operands->sample_values = malloc(count * sizeof(float));
  if (!operands->sample_values)
    return hone_fail(status, HONE_EXHAUSTED, "no memory for %zu sampled weights", count);
  for (uint32_t i = 0; i < operands->sample_count; i++) {  // plain formats are not told
    hone_status_t ignored = {0};
    (void)source_rows(source, "", operands->samples[i], 1,
                      operands->sample_values + (size_t)i * (size_t)source->K, &ignored);
  }
  return true;
}

// Packs into a file of the scratch folder, which then is read and removed.
static bool pack_weights(const hone_operands_spec_t *spec, source_t *source,
                         hone_operands_t *operands, hone_status_t *status) {
  static const hone_tensor_reader_t reader = {.shape = source_shape, .read_rows = source_rows};
  const hone_statistics_t statistics = {
      .self = source, .mean_squares = no_squares, .moments = no_moments, .replace = take_row};
  hone_pack_item_t item = {.recipe = {.name = "weights",
                                      .sources = {"weights"},
                                      .source_count = 1,
                                      .format = operands->spec.weight,
                                      .N = source->N,
                                      .K = source->K}};
  hone_arena_t *arena = hone_arena_create();
  hone_output_t *output = NULL;
  hone_mapping_t packed = {0};
  uint64_t hash;
  bool ok =
      hone_pack_measure(&item.recipe, &item.format, &item.bytes, status) &&
      hone_output_create(hone_path_join(arena, spec->scratch, "weights"), 0600, &output, status);
  hone_pack_job_t job = {.reader = &reader,
                         .source = source,
                         .output = output,
                         .items = &item,
                         .count = 1,
                         .solver = {.statistics = &statistics, .method = HONE_SOLVE_DESCENT},
                         .threads = spec->threads};
  ok = ok && hone_pack_run(&job, &hash, NULL, status) &&
       hone_mapping_open(hone_output_temporary_path(output), &packed, status) &&
       hone_operands_repeat(packed.data, item.bytes, spec->cold_bytes, operands, 0, status);
  hone_mapping_close(&packed);
  hone_output_destroy(output);
  hone_arena_destroy(arena);
  return ok;
}

static bool make_vector(uint64_t seed, size_t count, size_t padded, hone_guarded_t *out,
                        hone_status_t *status) {
  if (!hone_guarded_create(padded * sizeof(float), out, status)) return false;
  for (size_t i = 0; i < count; i++) ((float *)(void *)out->data)[i] = hone_operand_at(seed, i);
  hone_guarded_protect(out, true);
  return true;
}

bool hone_operands_linear(const hone_operands_spec_t *spec, hone_operands_t *operands,
                          hone_status_t *status) {
  uint32_t N = operands->spec.N, K = operands->spec.K;
  source_t source = {N, K, sqrtf(3 / (float)K), operands};  // outputs of about one
  return choose_samples(&source, status) && pack_weights(spec, &source, operands, status) &&
         (!operands->spec.bias || make_vector(BIAS, N, hone_padded(N), &operands->bias, status));
}

// ---- rows
// Element k of hard row m; the kinds repeat.
static float hard_at(uint32_t m, uint32_t k) {
  switch (m % 6) {
    case 0: return 0;
    case 1: return 1;
    case 2: return k % 2 ? -1.0f : 1.0f;
    case 3: return k == m * 7 % 64 ? 1e4f : 0;
    case 4: return 1e-30f * hone_operand_at(ROWS, k);
    default: return k / 64 % 2 ? 1e3f : -1e-3f;
  }
}

// Minus the sums of `size` codes each.
static void put_sums(uint8_t *row, const int8_t *codes, uint32_t Kp, uint32_t size) {
  for (uint32_t first = 0; first < Kp; first += size, row += sizeof(int32_t)) {
    int32_t sum = 0;
    for (uint32_t k = first; k < first + size; k++) sum -= codes[k];
    memcpy(row, &sum, sizeof sum);
  }
}

// Codes, scales and sums of one row (base/artefact.h); `values` becomes what they mean.
static void put_q8(uint8_t *row, float *values, uint32_t K) {
  uint32_t Kp = (uint32_t)hone_padded(K), groups = Kp / HONE_GROUP;
  int8_t *codes = (int8_t *)row;
  for (uint32_t g = 0; g < groups; g++) {
    uint32_t end = (g + 1) * HONE_GROUP < K ? (g + 1) * HONE_GROUP : K;
    float largest = 0;
    for (uint32_t k = g * HONE_GROUP; k < end; k++) largest = fmaxf(largest, fabsf(values[k]));
    float scale = largest / 127;
    for (uint32_t k = g * HONE_GROUP; k < end; k++) {
      codes[k] = (int8_t)(scale > 0 ? lrintf(values[k] / scale) : 0);
      values[k] = (float)codes[k] * scale;
    }
    memcpy(row + Kp + g * sizeof scale, &scale, sizeof scale);
  }
  put_sums(row + Kp + groups * 4, codes, Kp, HONE_GROUP);
  put_sums(row + Kp + groups * 8, codes, Kp, 16);
}

static void put_b1(uint8_t *row, float *values, uint32_t K) {
  float scale = 0;
  for (uint32_t k = 0; k < K; k++) scale += fabsf(values[k]) / (float)K;
  for (uint32_t k = 0; k < K; k++) {
    bool plus = values[k] >= 0;
    if (plus) row[k / 8] |= (uint8_t)(1 << k % 8);
    values[k] = plus ? scale : -scale;
  }
  memcpy(row + hone_padded(K) / 8, &scale, sizeof scale);
}

static bool make_rows(const hone_operands_t *operands, bool is_hard, hone_step_t *step,
                      hone_status_t *status) {
  uint32_t K = operands->spec.K;
  size_t stride = hone_row_bytes(operands->spec.input, K);
  step->values = malloc((size_t)step->M * K * sizeof(float));
  if (!step->values) return hone_fail(status, HONE_EXHAUSTED, "no memory for rows");
  if (!hone_guarded_create(stride * step->M, &step->x, status)) return false;
  for (uint32_t m = 0; m < step->M; m++) {
    float *values = step->values + (size_t)m * K;
    uint8_t *row = step->x.data + m * stride;
    for (uint32_t k = 0; k < K; k++)
      values[k] = is_hard ? hard_at(m, k) : hone_operand_at(ROWS + m * 16, k);
    if (operands->spec.input == HONE_F32) memcpy(row, values, K * sizeof(float));
    if (operands->spec.input == HONE_Q8) put_q8(row, values, K);
    if (operands->spec.input == HONE_B1) put_b1(row, values, K);
  }
  hone_guarded_protect(&step->x, true);
  return true;
}

bool hone_step_linear(const hone_operands_t *operands, bool is_hard, hone_step_t *step,
                      hone_status_t *status) {
  step->columns = operands->spec.glu ? operands->spec.N / 2 : operands->spec.N;
  size_t stride = hone_row_bytes(HONE_F32, step->columns);
  step->out_bytes = stride * step->M;
  if (!make_rows(operands, is_hard, step, status)) return false;
  uint64_t parts_bytes = hone_parts_bytes(operands->spec.N, operands->spec.K, step->M);
  if (!hone_guarded_create(parts_bytes, &step->parts, status)) return false;
  if (!operands->spec.residual) return true;
  if (!hone_guarded_create(step->out_bytes, &step->residual, status)) return false;
  for (uint32_t m = 0; m < step->M; m++) {
    float *row = (float *)(void *)(step->residual.data + m * stride);
    for (uint32_t n = 0; n < step->columns; n++) row[n] = hone_operand_at(RESIDUAL + m * 16, n);
  }
  hone_guarded_protect(&step->residual, true);
  return true;
}

// ---- plain sums
static double activate(uint8_t activation, double x) {
  switch (activation) {
    case HONE_ACTIVATION_SILU: return x / (1 + exp(-x));
    case HONE_ACTIVATION_GELU_TANH:
      return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1.0)) * (x + 0.044715 * x * x * x)));
    case HONE_ACTIVATION_RELU2: return x > 0 ? x * x : 0;
    default: return NAN;  // no reference: reported as wrong, so it is seen when one is added
  }
}

typedef struct sum {
  double value, tolerance;
} sum_t;

// Sampled row i of the weights times row m; the tolerance: rounded levels are off at random, other
// orders by a part of all that is added.
static sum_t dot(const hone_operands_t *operands, const hone_step_t *step, uint32_t m, uint32_t i) {
  uint32_t K = operands->spec.K;
  const float *w = operands->sample_values + (size_t)i * K, *x = step->values + (size_t)m * K;
  double value = 0, squares = 0, size = 0, largest = 0;
  for (uint32_t k = 0; k < K; k++) {
    value += (double)w[k] * (double)x[k];
    squares += (double)x[k] * (double)x[k];
    size += fabs((double)w[k] * (double)x[k]);
    largest = fmax(largest, fabs((double)w[k]));
  }
  if (operands->spec.bias) value += (double)hone_operand_at(BIAS, operands->samples[i]), size += 1;
  return (sum_t){value, rounding * largest * sqrt(squares) + order * size + 1e-6};
}

static sum_t gated(const hone_operands_t *operands, const hone_step_t *step, uint32_t m,
                   uint32_t i) {
  sum_t gate = dot(operands, step, m, i), up = dot(operands, step, m, i + 1);
  double act = activate(operands->spec.activation, gate.value);
  double slope = operands->spec.activation == HONE_ACTIVATION_RELU2
                     ? 2 * fabs(gate.value) + gate.tolerance
                     : 1.2;
  double error = slope * gate.tolerance;  // of act
  return (sum_t){act * up.value,
                 error * fabs(up.value) + (fabs(act) + error) * up.tolerance + 1e-6};
}

size_t hone_expect_linear(const hone_operands_t *operands, const hone_step_t *step, uint32_t m,
                          hone_expected_t out[HONE_OPERANDS_SAMPLES]) {
  uint32_t width = operands->spec.glu ? 2 : 1;
  size_t count = 0;
  for (uint32_t i = 0; i + width <= operands->sample_count; i += width) {
    sum_t sum = width == 2 ? gated(operands, step, m, i) : dot(operands, step, m, i);
    uint32_t column = operands->samples[i] / width;
    if (operands->spec.residual) sum.value += (double)hone_operand_at(RESIDUAL + m * 16, column);
    out[count++] = (hone_expected_t){column, sum.value, sum.tolerance};
  }
  return count;
}

double hone_tolerance_linear(const hone_operands_t *operands, const hone_step_t *step, uint32_t m) {
  uint32_t K = operands->spec.K;
  double size = 1;  // bias, residual
  for (uint32_t k = 0; k < K; k++) size += fabs((double)step->values[(size_t)m * K + k]);
  double sum = order * (1 + size * sqrt(3.0 / K));  // of a column: all weights are below sqrt(3/K)
  if (!operands->spec.glu) return sum;
  // Products of two sums: each as large as random weights make it, a few times the norm of x.
  double squares = 1;
  for (uint32_t k = 0; k < K; k++) squares += pow((double)step->values[(size_t)m * K + k], 2);
  double most = 8 * sqrt(squares / K);
  return operands->spec.activation == HONE_ACTIVATION_RELU2 ? sum * 3 * most * most
                                                            : sum * 3 * (1 + most);
}
