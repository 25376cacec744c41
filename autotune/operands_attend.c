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

// Element d of a position of a head, as it is stored: rounded to f16, or a code of a scale that
// depends on the position.
typedef struct element {
  uint64_t seed;
  uint32_t head, position, d;
} element_t;

static uint64_t place_of(const hone_operands_t *operands, const element_t *e) {
  return ((uint64_t)e->head * operands->capacity + e->position) * operands->spec.head_dim + e->d;
}

static float scale_of(const element_t *e) { return (float)(1 + e->position % 3) / 381; }

static int8_t code_of(const hone_operands_t *operands, const element_t *e) {
  return (int8_t)(127 * hone_operand_at(e->seed, place_of(operands, e)));
}

static uint16_t half_of(const hone_operands_t *operands, const element_t *e) {
  bool overflow = false;
  return hone_f16_from_f32(hone_operand_at(e->seed, place_of(operands, e)), &overflow);
}

static float cache_at(const hone_operands_t *operands, const element_t *e) {
  switch (operands->spec.cache) {
    case HONE_F16: return hone_f32_from_f16(half_of(operands, e));
    case HONE_Q8: return (float)code_of(operands, e) * scale_of(e);
    default: return hone_operand_at(e->seed, place_of(operands, e));
  }
}

// Writes an element where base/artefact.h says that it lies.
static void put_element(const hone_operands_t *operands, const element_t *e, uint8_t *cache) {
  const hone_kernel_spec_t *spec = &operands->spec;
  size_t block =
      (size_t)e->head * (operands->capacity / HONE_CACHE_BLOCK) + e->position / HONE_CACHE_BLOCK;
  size_t slot = e->position % HONE_CACHE_BLOCK, item = hone_cache_item_bytes(spec->cache);
  size_t index = e->seed == KEYS ? e->d * HONE_CACHE_BLOCK + slot
                                 : e->d / 16 * 16 * HONE_CACHE_BLOCK + slot * 16 + e->d % 16;
  uint8_t *base = cache + block * hone_cache_block_bytes(spec->cache, spec->head_dim);
  uint8_t *place = base + index * item;
  float real = hone_operand_at(e->seed, place_of(operands, e)), scale = scale_of(e);
  uint16_t half = half_of(operands, e);
  int8_t code = code_of(operands, e);
  memcpy(place, item == 4 ? (void *)&real : item == 2 ? (void *)&half : (void *)&code, item);
  size_t codes = (size_t)hone_head_padded(spec->head_dim) * HONE_CACHE_BLOCK;
  if (spec->cache == HONE_Q8) memcpy(base + codes + slot * sizeof scale, &scale, sizeof scale);
}

static bool make_cache(const hone_operands_spec_t *spec, hone_operands_t *operands, int index,
                       hone_status_t *status) {
  const hone_kernel_spec_t *problem = &operands->spec;
  size_t blocks = (size_t)problem->kv_heads * (operands->capacity / HONE_CACHE_BLOCK);
  size_t bytes = blocks * hone_cache_block_bytes(problem->cache, problem->head_dim);
  uint8_t *cache = calloc(1, bytes);
  if (!cache) return hone_fail(status, HONE_EXHAUSTED, "no memory for a cache of %zu bytes", bytes);
  element_t e = {.seed = index == 0 ? KEYS : VALUES};
  for (e.head = 0; e.head < problem->kv_heads; e.head++)
    for (e.position = 0; e.position < operands->capacity; e.position++)
      for (e.d = 0; e.d < problem->head_dim; e.d++) put_element(operands, &e, cache);
  bool ok = hone_operands_repeat(cache, bytes, spec->cold_bytes / 2, operands, index, status);
  free(cache);
  return ok;
}

// Room for the results of chunks of every row; what no kernel touches costs nothing.
static bool make_split(const hone_operands_spec_t *spec, hone_operands_t *operands,
                       hone_status_t *status) {
  const hone_kernel_spec_t *problem = &operands->spec;
  size_t heads = (size_t)(spec->rows + ROOM) * problem->kv_heads;
  size_t head_bytes =
      (size_t)(hone_chunk_count(problem->window, operands->capacity) *
               hone_chunk_bytes(problem->heads / problem->kv_heads, problem->head_dim));
  return hone_guarded_create(heads * HONE_COUNTER_BYTES, &operands->counters, status) &&
         hone_guarded_create(heads * head_bytes, &operands->chunks, status);
}

bool hone_operands_attend(const hone_operands_spec_t *spec, hone_operands_t *operands,
                          hone_status_t *status) {
  const hone_format_info_t *info = hone_format_info(operands->spec.cache);
  if (hone_cache_item_bytes(operands->spec.cache) == 0)
    return hone_fail(status, HONE_UNSUPPORTED, "attention over a cache of %s is not tuned",
                     info ? info->name : "an unknown format");
  operands->capacity =  // checks have rows of their own
      (spec->position + spec->rows + ROOM + HONE_CACHE_STEP - 1) / HONE_CACHE_STEP *
      HONE_CACHE_STEP;
  if (!make_split(spec, operands, status)) return false;
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
  element_t key = {.seed = KEYS, .head = head / (spec->heads / spec->kv_heads)}, value = key;
  value.seed = VALUES;
  uint32_t first = spec->window && last + 1 > spec->window ? last + 1 - spec->window : 0;
  double largest = -INFINITY, sum = 0;
  for (uint32_t j = first; j <= last; j++) {
    double score = 0;
    key.position = j;
    for (key.d = 0; key.d < D; key.d++)
      score += (double)q[key.d] * (double)cache_at(operands, &key);
    weights[j] = score * (double)spec->scale;
    largest = fmax(largest, weights[j]);
  }
  for (uint32_t d = 0; d < D; d++) out[d] = 0;
  for (uint32_t j = first; j <= last; j++) {
    double weight = exp(weights[j] - largest);
    sum += weight;
    value.position = j;
    for (value.d = 0; value.d < D; value.d++)
      out[value.d] += weight * (double)cache_at(operands, &value);
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
