// Operands of attention: rows of q, k and v as rope_kv leaves them, and full caches.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "autotune/operands_internal.h"
#include "quant/real.h"

enum { QUERIES = 5, KEYS, VALUES, HEADS_CHECKED = 2, COLUMNS_CHECKED = 16, ROOM = 16 };

static uint32_t width_of(const hone_kernel_spec_t *spec) {
  return (spec->heads + 2 * spec->kv_heads) * spec->head_dim;
}

// Element of a cache: keys and values are rounded to f16 as they are stored in it.
static float cache_at(const hone_kernel_spec_t *spec, uint64_t seed, uint64_t element) {
  bool overflow = false;
  float value = hone_operand_at(seed, element);
  if (spec->cache == HONE_F32) return value;
  return hone_f32_from_f16(hone_f16_from_f32(value, &overflow));
}

// (kv_heads, capacity, head_dim padded), pads zero.
static bool make_cache(const hone_operands_spec_t *spec, hone_operands_t *operands, int index,
                       hone_status_t *status) {
  const hone_kernel_spec_t *problem = &operands->spec;
  size_t D = problem->head_dim, Dp = hone_head_padded(problem->head_dim);
  size_t rows = (size_t)problem->kv_heads * operands->capacity;
  size_t item = problem->cache == HONE_F32 ? 4 : 2, bytes = (rows * Dp * item + 63) / 64 * 64;
  uint8_t *cache = calloc(1, bytes);
  if (!cache) return hone_fail(status, HONE_EXHAUSTED, "no memory for a cache of %zu rows", rows);
  for (size_t i = 0; i < rows * D; i++) {
    bool overflow = false;
    uint8_t *place = cache + (i / D * Dp + i % D) * item;
    float value = cache_at(problem, index == 0 ? KEYS : VALUES, i);
    uint16_t half = hone_f16_from_f32(value, &overflow);
    if (item == 4)
      memcpy(place, &value, 4);
    else
      memcpy(place, &half, 2);
  }
  bool ok = hone_operands_repeat(cache, bytes, spec->cold_bytes / 2, operands, index, status);
  free(cache);
  return ok;
}

bool hone_operands_attend(const hone_operands_spec_t *spec, hone_operands_t *operands,
                          hone_status_t *status) {
  const hone_format_info_t *info = hone_format_info(operands->spec.cache);
  if (operands->spec.cache != HONE_F32 && operands->spec.cache != HONE_F16)
    return hone_fail(status, HONE_UNSUPPORTED, "attention over a cache of %s is not tuned",
                     info ? info->name : "an unknown format");
  // Checks have rows of their own.
  operands->capacity = (spec->position + spec->rows + ROOM + 63) / 64 * 64;
  return make_cache(spec, operands, 0, status) && make_cache(spec, operands, 1, status);
}

// Hard rows: zeros, and queries so large that one key takes it all.
bool hone_step_attend(const hone_operands_t *operands, bool is_hard, hone_step_t *step,
                      hone_status_t *status) {
  uint32_t width = width_of(&operands->spec);
  size_t stride = hone_row_bytes(HONE_F32, width);
  step->columns = operands->spec.heads * operands->spec.head_dim;
  step->out_bytes = hone_row_bytes(HONE_F32, step->columns) * step->M;
  step->values = malloc((size_t)step->M * width * sizeof(float));
  if (!step->values) return hone_fail(status, HONE_EXHAUSTED, "no memory for rows");
  if (!hone_guarded_create(stride * step->M, &step->x, status)) return false;
  for (uint32_t m = 0; m < step->M; m++) {
    float *values = step->values + (size_t)m * width;
    float factor = !is_hard ? 1 : m % 3 == 0 ? 0 : m % 3 == 1 ? 100 : 1;
    for (uint32_t i = 0; i < width; i++) values[i] = factor * hone_operand_at(QUERIES + m * 16, i);
    memcpy(step->x.data + m * stride, values, width * sizeof(float));
  }
  hone_guarded_protect(&step->x, true);
  return true;
}

// One head of one row, in double; `out` has head_dim elements.
static void attend(const hone_operands_t *operands, const float *q, uint32_t head, uint32_t last,
                   double *weights, double *out) {
  const hone_kernel_spec_t *spec = &operands->spec;
  uint32_t D = spec->head_dim;
  uint64_t base = (uint64_t)(head / (spec->heads / spec->kv_heads)) * operands->capacity;
  uint32_t first = spec->window && last + 1 > spec->window ? last + 1 - spec->window : 0;
  double largest = -INFINITY, sum = 0;
  for (uint32_t j = first; j <= last; j++) {
    double score = 0;
    for (uint32_t d = 0; d < D; d++)
      score += (double)q[d] * (double)cache_at(spec, KEYS, (base + j) * D + d);
    weights[j] = score * (double)spec->scale;
    largest = fmax(largest, weights[j]);
  }
  for (uint32_t d = 0; d < D; d++) out[d] = 0;
  for (uint32_t j = first; j <= last; j++) {
    double weight = exp(weights[j] - largest);
    sum += weight;
    for (uint32_t d = 0; d < D; d++)
      out[d] += weight * (double)cache_at(spec, VALUES, (base + j) * D + d);
  }
  for (uint32_t d = 0; d < D; d++) out[d] /= sum;
}

size_t hone_expect_attend(const hone_operands_t *operands, const hone_step_t *step, uint32_t m,
                          hone_expected_t out[HONE_OPERANDS_SAMPLES]) {
  uint32_t D = operands->spec.head_dim, last = operands->position + m;
  const float *row = step->values + (size_t)m * width_of(&operands->spec);
  double *weights = malloc((last + 1) * sizeof *weights), *head = malloc(D * sizeof *head);
  size_t count = 0;
  if (!weights || !head) hone_out_of_memory();
  for (uint32_t i = 0; i < HEADS_CHECKED; i++) {
    uint32_t h = (m + i * (operands->spec.heads - 1)) % operands->spec.heads;
    attend(operands, row + (size_t)h * D, h, last, weights, head);
    for (uint32_t c = 0; c < COLUMNS_CHECKED && c < D; c++) {
      uint32_t d = (c * 7 + m) % D;
      out[count++] = (hone_expected_t){h * D + d, head[d], 2e-4};
    }
  }
  free(weights);
  free(head);
  return count;
}
