// See dequantize.h. All layouts but BitNet's and those of int4 are one run of nibbles through the
// whole tensor, with a scale every `block` of them.
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

// ---- int4

static uint32_t load_u32(const checkpoint_tensor_t *tensor, uint64_t index) {
  uint32_t value;
  memcpy(&value, bytes_of(tensor) + index * sizeof value, sizeof value);
  return value;
}

// Where AWQ puts column c of eight: nibble i holds column 0 2 4 6 1 3 5 7 [i].
static unsigned awq_nibble(uint64_t column) { return (column & 1) * 4 + (column & 7) / 2; }

static int code_of(const prequantized_t *q, const checkpoint_tensor_t *codes, uint64_t n,
                   uint64_t k) {
  uint64_t N = q->shape[0], words = (q->shape[1] + 7) / 8;
  switch (q->layout) {
    case INT4_GPTQ: return (int)(load_u32(codes, k / 8 * N + n) >> 4 * (k & 7) & 15);
    case INT4_AWQ: return (int)(load_u32(codes, k * (N / 8) + n / 8) >> 4 * awq_nibble(n) & 15);
    default: return (int)(load_u32(codes, n * words + k / 8) >> 4 * (k & 7) & 15);
  }
}

// `groups` of a row.
static int zero_of(const prequantized_t *q, uint64_t n, uint64_t group, uint64_t groups) {
  if (!q->zeros) return 8;
  unsigned shift = 4 * (q->layout == INT4_AWQ ? awq_nibble(n) : (unsigned)(n & 7));
  uint64_t word =
      q->layout == INT4_ROWS ? n / 8 * groups + group : group * (q->shape[0] / 8) + n / 8;
  return (int)((load_u32(q->zeros, word) >> shift & 15) + q->zero_more);
}

static bool read_int4(const reader_t *r, uint64_t row, uint64_t count, float *out) {
  const prequantized_t *q = r->q;
  const hone_safetensors_entry_t *entry = q->scales->entry;
  uint64_t N = q->shape[0], K = q->shape[1], width = entry->dtype->bits / 8;
  uint64_t groups = (K + q->block - 1) / q->block;
  for (uint64_t n = row; n < row + count; n++) {
    uint64_t known = UINT64_MAX;
    float scale = 0;
    int zero = 8;
    for (uint64_t k = 0; k < K; k++) {
      uint64_t group = q->order ? load_u32(q->order, k) : k / q->block;
      if (group != known) {
        uint64_t at = q->layout == INT4_ROWS ? n * groups + group : group * N + n;
        bool finite =
            hone_convert_to_f32(entry->dtype->storage, bytes_of(q->scales) + at * width, 1, &scale);
        zero = zero_of(q, n, group, groups);
        if (!finite) return fail_at(r, n * K + k, entry->name, "NaN or infinite scale");
        if (!isfinite(scale * 16))
          return fail_at(r, n * K + k, entry->name, "a scale that makes weights infinite");
        if (zero > 15)
          return fail_at(r, n * K + k, q->zeros->entry->name,
                         "a zero point of 16, which programs read in different ways,");
        known = group;
      }
      *out++ = (float)(code_of(q, r->tensor, n, k) - zero) * scale;
    }
  }
  if (row + count == N) {  // rows are spread over all of GPTQ's and AWQ's tensors
    checkpoint_release(r->tensor, r->tensor->entry->begin, r->tensor->entry->end);
    checkpoint_release(q->scales, entry->begin, entry->end);
  }
  return true;
}

bool dequantize_rows(const checkpoint_tensor_t *tensor, uint64_t row, uint64_t count, float *out,
                     hone_status_t *status) {
  const reader_t r = {tensor, tensor->quantized, status};
  uint64_t K = r.q->shape[1];
  if (r.q->latent) return dequantize_latent(tensor, row, count, out, status);
  if (r.q->grid == HONE_INT4) return read_int4(&r, row, count, out);
  if (r.q->grid == HONE_TERNARY) return read_ternary(&r, row, count, out);
  return read_nibbles(&r, row * K, count * K, out);
}
