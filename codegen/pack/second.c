// The second level of nf4dq's scales, source by source (base/packed.h): that of a source that is
// double-quantized already is taken over, so that its scales keep their codes; others get the one
// that fits the scales their groups would have by themselves best. A calibrated tensor's are those
// of its weights before they are corrected.
#include <stdlib.h>
#include <string.h>

#include "codegen/pack/encode_internal.h"
#include "quant/nested.h"

typedef struct collector {  // of the scales that all groups would have
  const hone_quantizer_t *quantizer;
  float *row;               // (Kp)
  float *scales, *weights;  // by number
  uint64_t n;
} collector_t;

static void visit_scales(void *user, const float *row, int64_t K) {
  collector_t *to = user;
  const hone_quantizer_t *q = to->quantizer;
  memcpy(to->row, row, (size_t)K * sizeof *row);
  uint64_t first = hone_packed_second_number(&q->places, q->group_count, to->n++, 0);
  hone_quantizer_free_scales(q, to->row, to->scales + first, to->weights + first);
}

// Numbers of a source's first scale and of its scales.
static uint64_t source_first(const hone_rows_t *rows, const hone_quantizer_t *q, size_t source) {
  uint64_t n = rows->recipe->combine == IR_INTERLEAVE ? source : 0;
  for (size_t i = 0; i < source && rows->recipe->combine != IR_INTERLEAVE; i++)
    n += (uint64_t)rows->source_rows[i];
  return hone_packed_second_number(&q->places, q->group_count, n, 0);
}

static uint64_t source_count(const hone_rows_t *rows, const hone_quantizer_t *q, size_t source) {
  return (uint64_t)rows->source_rows[source] * q->group_count;
}

static bool take_native(const hone_rows_t *rows, hone_encoder_t *encoder, size_t source) {
  hone_quantizer_t *q = &encoder->quantizer;
  hone_native_t native;
  uint64_t blocks = (source_count(rows, q, source) + HONE_SCALE_BLOCK - 1) / HONE_SCALE_BLOCK;
  if (!hone_encode_native(rows, source, &native) || !hone_format_equal(native.format, q->format) ||
      native.second_count != blocks)
    return false;
  memcpy(encoder->second + source_first(rows, q, source) / HONE_SCALE_BLOCK, native.second,
         blocks * sizeof(float));
  q->places.offset[source] = native.offset;
  return true;
}

// Fits all sources but the `done` ones.
static bool fit(const hone_rows_t *rows, hone_encoder_t *encoder, const bool *done,
                hone_status_t *status) {
  hone_quantizer_t *q = &encoder->quantizer;
  uint64_t numbers =
      hone_packed_second_count(q->format, (uint64_t)rows->N, q->K) * HONE_SCALE_BLOCK;
  collector_t to = {.quantizer = q,
                    .row = aligned_alloc(64, q->Kp * sizeof(float)),
                    .scales = malloc(numbers * sizeof(float)),
                    .weights = malloc(numbers * sizeof(float))};
  bool ok = to.row && to.scales && to.weights;
  if (ok) {
    memset(to.row, 0, q->Kp * sizeof(float));
    ok = hone_encode_scan(rows, visit_scales, &to, status);
  } else {
    hone_fail(status, HONE_EXHAUSTED, "recipe %s: no memory for its scales", rows->recipe->name);
  }
  for (size_t i = 0; i < rows->recipe->source_count && ok; i++) {
    uint64_t first = source_first(rows, q, i);
    if (!done[i])
      hone_nested_fit(to.scales + first, to.weights + first, source_count(rows, q, i),
                      encoder->second + first / HONE_SCALE_BLOCK, &q->places.offset[i]);
  }
  free(to.row);
  free(to.scales);
  free(to.weights);
  return ok;
}

bool hone_encode_second(const hone_rows_t *rows, hone_encoder_t *encoder, hone_status_t *status) {
  hone_quantizer_t *q = &encoder->quantizer;
  const ir_recipe_t *recipe = rows->recipe;
  uint64_t source_rows[IR_SOURCE_LIMIT];
  bool done[IR_SOURCE_LIMIT] = {false}, all_done = true;
  hone_packed_second_t places;
  _Static_assert((int)IR_SOURCE_LIMIT <= (int)HONE_PACKED_SOURCES, "each source has a place");
  for (size_t i = 0; i < recipe->source_count; i++) source_rows[i] = (uint64_t)rows->source_rows[i];
  if (!hone_packed_second_init(&places, q->format, q->K, source_rows, recipe->source_count,
                               recipe->combine == IR_INTERLEAVE))
    return hone_fail(status, HONE_UNSUPPORTED, "recipe %s: too many groups for %s", recipe->name,
                     hone_format_info(q->format.storage)->name);
  encoder->second =
      calloc(hone_packed_second_count(q->format, (uint64_t)rows->N, q->K), sizeof(float));
  if (!encoder->second)
    return hone_fail(status, HONE_EXHAUSTED, "recipe %s: no memory for its scales", recipe->name);
  hone_quantizer_set_second(q, encoder->second, &places);
  for (size_t i = 0; i < recipe->source_count; i++) {
    done[i] = take_native(rows, encoder, i);
    all_done &= done[i];
  }
  return all_done || fit(rows, encoder, done, status);
}
