// See encode.h.
#include "codegen/pack/encode.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"

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

bool hone_encoder_prepare(const hone_rows_t *rows, hone_format_t format,
                          hone_encoder_t *out_encoder, hone_status_t *status) {
  hone_encoder_t encoder = {0};
  uint64_t K = (uint64_t)rows->K;
  encoder.importance = aligned_alloc(64, hone_padded(K) * sizeof(float));
  if (!encoder.importance)
    return hone_fail(status, HONE_EXHAUSTED, "recipe %s: no memory", rows->recipe->name);
  hone_importance_fill(NULL, K, encoder.importance);
  hone_quantizer_init(&encoder.quantizer, format, K, encoder.importance);
  bool ok = true;
  if (hone_format_info(format.storage)->scale == HONE_SCALE_E4M3) {
    float largest = 0, factor = native_factor(rows, format);
    ok = factor > 0 || scan(rows, visit_largest, &largest, status);
    hone_quantizer_set_factor(&encoder.quantizer, largest);
    if (factor > 0) encoder.quantizer.factor = factor;
  }
  if (!ok) {
    hone_encoder_deinit(&encoder);
    return false;
  }
  *out_encoder = encoder;
  return true;
}

void hone_encoder_deinit(hone_encoder_t *encoder) {
  free(encoder->importance);
  *encoder = (hone_encoder_t){0};
}

static void measure(const hone_quantizer_t *q, const float *row, const uint8_t *codes,
                    const uint16_t *scales, float *decoded, hone_quant_error_t *error) {
  hone_quantizer_decode(q, codes, scales, decoded);
  double signal = 0, noise = 0;
  for (uint64_t k = 0; k < q->K; k++) {
    double miss = (double)row[k] - (double)decoded[k];
    signal += (double)row[k] * (double)row[k];
    noise += miss * miss;
  }
  error->signal += signal;
  error->noise += noise;
}

int64_t hone_encoder_rows(const hone_encoder_t *encoder, const float *values, int64_t count,
                          uint8_t *codes, uint16_t *scales, hone_quant_error_t *error) {
  const hone_quantizer_t *q = &encoder->quantizer;
  size_t per_row = (size_t)q->scale_count * q->planes;
  float *decoded = malloc(q->Kp * sizeof *decoded);
  int64_t bad = -1;
  for (int64_t i = 0; i < count && bad < 0; i++) {
    const float *row = values + (uint64_t)i * q->Kp;
    uint8_t *row_codes = codes + (uint64_t)i * q->Kp;
    uint16_t *row_scales = scales + (size_t)i * per_row;
    if (!hone_quantizer_row(q, row, row_codes, row_scales)) bad = i;
    if (bad < 0 && decoded) measure(q, row, row_codes, row_scales, decoded, error);
  }
  free(decoded);
  return bad;
}

void hone_encoder_parameters(const hone_encoder_t *encoder,
                             uint8_t out[HONE_PACKED_PARAMETER_BYTES]) {
  memset(out, 0, HONE_PACKED_PARAMETER_BYTES);
  memcpy(out + HONE_PACKED_FACTOR, &encoder->quantizer.factor, sizeof(float));
  memcpy(out + HONE_PACKED_LEVELS, encoder->quantizer.learned, HONE_GRID_LEVELS);
}
