// See dequantize.h. All layouts but BitNet's are one run of nibbles through the whole tensor, with
// a scale every `block` of them.
#include "frontend/dequantize.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "frontend/convert.h"
#include "frontend/dequantize_latent.h"
#include "quant/grid.h"

typedef struct reader {
  const checkpoint_tensor_t *tensor;
  const prequantized_t *q;
  hone_status_t *status;
} reader_t;

static const uint8_t *bytes_of(const checkpoint_tensor_t *tensor) {
  return tensor->file->mapping.data + tensor->entry->begin;
}

static float load_f32(const checkpoint_tensor_t *tensor, uint64_t index) {
  float value;  // the file need not be aligned
  memcpy(&value, bytes_of(tensor) + index * sizeof value, sizeof value);
  return value;
}

// The scale of block `index`; NaN where the stored code stands for none.
static float scale_of(const prequantized_t *q, uint64_t index) {
  if (q->nested_map) {
    uint8_t code = bytes_of(q->scales)[index];
    float part =
        load_f32(q->nested_map, code) * load_f32(q->nested_scales, index / q->nested_block);
    return part + q->offset;
  }
  if (q->grid == HONE_NF4 || q->grid == HONE_FP4) return load_f32(q->scales, index);
  uint8_t code = bytes_of(q->scales)[index];
  if (q->grid == HONE_MXFP4) return code == 0xFF ? NAN : hone_f32_from_e8m0(code);
  float size = (code & 0x7F) == 0x7F ? NAN : hone_f32_from_e4m3(code & 0x7F) * q->factor;
  return code & 0x80 ? -size : size;
}

static bool fail_at(const reader_t *r, uint64_t element, const char *companion, const char *what) {
  uint64_t K = r->q->shape[1];
  return hone_fail(r->status, HONE_INVALID,
                   "%.300s: tensor '%.200s': %s%.200s%s%s at row %" PRIu64 ", column %" PRIu64,
                   r->tensor->file->path, r->q->name, companion ? "companion '" : "",
                   companion ? companion : "", companion ? "': " : "", what, element / K,
                   element % K);
}

// A scale's products have to be finite too. Only bitsandbytes knows negative scales.
static bool check_scale(const reader_t *r, uint64_t element, float scale, float largest) {
  const char *companion = r->q->scales->entry->name;
  if (isnan(scale)) return fail_at(r, element, companion, "NaN scale");
  if (r->q->grid == HONE_NVFP4 && scale < 0)
    return fail_at(r, element, companion, "negative scale");
  return isfinite(scale * largest) ||
         fail_at(r, element, companion, "a scale that makes weights infinite");
}

// `count` nibbles from number `first` on.
static void decode(const uint8_t *codes, uint64_t first, uint64_t count, bool high_first,
                   const float values[HONE_GRID_LEVELS], float *out) {
  for (uint64_t i = 0; i < count; i++) {
    uint64_t at = first + i;
    unsigned shift = (at & 1) != high_first ? 4 : 0;
    out[i] = values[codes[at / 2] >> shift & 15];
  }
}

static bool read_nibbles(const reader_t *r, uint64_t first, uint64_t count, float *out) {
  const prequantized_t *q = r->q;
  const float *level = hone_grid_get(q->grid)->level;
  bool is_bitsandbytes = q->grid == HONE_NF4 || q->grid == HONE_FP4;
  float largest = is_bitsandbytes ? 1.0f : 6.0f;
  for (uint64_t at = first, end = first + count; at < end;) {
    uint64_t block = at / q->block, block_end = (block + 1) * q->block;
    uint64_t part = (block_end < end ? block_end : end) - at;
    float scale = scale_of(q, block), values[HONE_GRID_LEVELS];
    if (!check_scale(r, at, scale, largest)) return false;
    for (int code = 0; code < HONE_GRID_LEVELS; code++) values[code] = level[code] * scale;
    decode(bytes_of(r->tensor), at, part, is_bitsandbytes, values, out);
    out += part;
    at += part;
  }
  checkpoint_release(r->tensor, r->tensor->entry->begin + first / 2,
                     r->tensor->entry->begin + (first + count) / 2);
  uint64_t scale_bytes = q->scales->entry->dtype->bits / 8, begin = q->scales->entry->begin;
  checkpoint_release(q->scales, begin + first / q->block * scale_bytes,
                     begin + (first + count) / q->block * scale_bytes);
  return true;
}

// Byte (r, k) holds rows r, r + R, r + 2R, r + 3R in its bit pairs, R = N / 4.
static bool read_ternary(const reader_t *r, uint64_t row, uint64_t count, float *out) {
  uint64_t K = r->q->shape[1], R = r->q->shape[0] / 4;
  for (uint64_t n = row; n < row + count; n++) {
    const uint8_t *codes = bytes_of(r->tensor) + n % R * K;
    unsigned shift = 2 * (unsigned)(n / R);
    for (uint64_t k = 0; k < K; k++) {
      int code = codes[k] >> shift & 3;
      if (code == 3) return fail_at(r, n * K + k, NULL, "3 is no ternary code,");
      *out++ = (float)(code - 1) * r->q->factor;
    }
  }
  if (row + count == 4 * R)  // each byte is read four times
    checkpoint_release(r->tensor, r->tensor->entry->begin, r->tensor->entry->end);
  return true;
}

bool dequantize_rows(const checkpoint_tensor_t *tensor, uint64_t row, uint64_t count, float *out,
                     hone_status_t *status) {
  const reader_t r = {tensor, tensor->quantized, status};
  uint64_t K = r.q->shape[1];
  if (r.q->latent) return dequantize_latent(tensor, row, count, out, status);
  if (r.q->grid == HONE_TERNARY) return read_ternary(&r, row, count, out);
  return read_nibbles(&r, row * K, count * K, out);
}
