// See layout.h; the picture is in base/packed.h.
#include "codegen/pack/layout.h"

#include <string.h>

#include "quant/real.h"

enum { R = HONE_TILE_ROWS, GROUP = 64, QUADS = GROUP / 4, LINE = 64, BLOCK = 64 };

// ---- plain floats: rows become columns, a block of columns at a time
static void put_words(const uint32_t *block, uint32_t *out) {
  for (int k = 0; k < BLOCK; k++)
    for (int r = 0; r < R; r++) out[k * R + r] = block[r * BLOCK + k];
}

static void put_shorts(const uint16_t *block, uint16_t *out) {
  for (int k = 0; k < BLOCK; k++)
    for (int r = 0; r < R; r++) out[k * R + r] = block[r * BLOCK + k];
}

int hone_layout_reals(hone_storage_t storage, uint64_t Kp, const float *const rows[HONE_TILE_ROWS],
                      uint8_t *out) {
  uint32_t words[R * BLOCK];
  uint16_t shorts[R * BLOCK];
  for (uint64_t k = 0; k < Kp; k += BLOCK) {
    for (int r = 0; r < R; r++) {
      bool fits = true;
      switch (storage) {
        case HONE_F32: memcpy(words + r * BLOCK, rows[r] + k, BLOCK * sizeof *words); break;
        case HONE_F16:
          fits = hone_quantize_f16(rows[r] + k, BLOCK, shorts + r * BLOCK, BLOCK / 4);
          break;
        case HONE_BF16:
          fits = hone_quantize_bf16(rows[r] + k, BLOCK, shorts + r * BLOCK, BLOCK / 4);
          break;
        default: fits = false; break;
      }
      if (!fits) return r;
    }
    if (storage == HONE_F32)
      put_words(words, (uint32_t *)out + k * R);
    else
      put_shorts(shorts, (uint16_t *)out + k * R);
  }
  return -1;
}

// ---- codes of a group of one row, in the lines of a tile

// The four codes of a quad, a byte each.
static uint32_t quad_of(const uint8_t *codes, int quad) {
  uint32_t word;
  memcpy(&word, codes + quad * 4, sizeof word);
  return word;
}

// Bits of each code, so many quads to a byte: the codes' bits from `shift` on.
static inline void put_bits(const uint8_t *codes, int bits, int shift, int row, uint8_t *lines) {
  uint32_t keep = ((1u << bits) - 1) * 0x01010101u;
  int per_byte = 8 / bits;
  for (int line = 0; line < QUADS / per_byte; line++) {
    uint32_t word = 0;
    for (int i = 0; i < per_byte; i++)
      word |= (quad_of(codes, line * per_byte + i) >> shift & keep) << bits * i;
    memcpy(lines + line * LINE + row * 4, &word, sizeof word);
  }
}

// Two rows share a byte.
static void put_plane(const uint8_t *codes, uint32_t plane, int row, uint8_t *out) {
  for (int quad = 0; quad < QUADS; quad++) {
    int shift = row % 2 * 4;
    // The four bits, 8 apart, side by side.
    uint32_t bits = (quad_of(codes, quad) >> plane & 0x01010101u) * 0x01020408u >> 24;
    uint8_t *byte = &out[quad * 8 + row / 2];
    *byte = (uint8_t)((*byte & ~(15 << shift)) | bits << shift);
  }
}

static void put_group(const hone_format_info_t *info, const uint8_t *codes, int row, uint8_t *out) {
  if (info->grid == HONE_GRID_PLANES) {
    for (uint32_t p = 0; p < info->planes; p++) put_plane(codes, p, row, out + p * QUADS * 8);
  } else if (info->code_bits == 6) {
    put_bits(codes, 4, 0, row, out);
    put_bits(codes, 2, 4, row, out + QUADS / 2 * LINE);
  } else if (info->code_bits == 4) {
    put_bits(codes, 4, 0, row, out);
  } else if (info->code_bits == 2) {
    put_bits(codes, 2, 0, row, out);
  } else {
    put_bits(codes, 8, 0, row, out);
  }
}

// ---- scales, `lanes` apart
static void put_scales(hone_format_t format, uint64_t K, uint64_t lanes, const uint16_t *scales,
                       uint8_t *out) {
  const hone_format_info_t *info = hone_format_info(format.storage);
  uint64_t count = hone_packed_scale_count(format, K) * info->planes;
  uint32_t bytes = hone_scale_bits(info->scale) / 8;
  for (uint64_t i = 0; i < count; i++)
    memcpy(out + i * lanes * bytes, &scales[i], bytes);  // little-endian
}

static void get_scales(hone_format_t format, uint64_t K, uint64_t lanes, const uint8_t *in,
                       uint16_t *scales) {
  const hone_format_info_t *info = hone_format_info(format.storage);
  uint64_t count = hone_packed_scale_count(format, K) * info->planes;
  uint32_t bytes = hone_scale_bits(info->scale) / 8;
  for (uint64_t i = 0; i < count; i++) {
    scales[i] = 0;
    memcpy(&scales[i], in + i * lanes * bytes, bytes);
  }
}

static uint64_t lane_scales(hone_format_t format, int row) {
  return (uint64_t)row * hone_scale_bits(hone_format_info(format.storage)->scale) / 8;
}

void hone_layout_row(hone_format_t format, uint64_t K, int row, const uint8_t *codes,
                     const uint16_t *scales, uint8_t *tile_codes, uint8_t *tile_scales) {
  const hone_format_info_t *info = hone_format_info(format.storage);
  uint64_t bytes = R * hone_packed_row_bytes(format.storage), groups = hone_padded(K) / GROUP;
  for (uint64_t g = 0; g < groups; g++)
    put_group(info, codes + g * GROUP, row, tile_codes + g * bytes);
  put_scales(format, K, R, scales, tile_scales + lane_scales(format, row));
}

// ---- a row by itself: each code's bits after the last one's, least significant first
uint64_t hone_layout_line_bytes(hone_format_t format, uint64_t K) {
  return (hone_packed_tile_code_bytes(format, K) + hone_packed_tile_scale_bytes(format, K)) / R;
}

void hone_layout_line(hone_format_t format, uint64_t K, const uint8_t *codes,
                      const uint16_t *scales, uint8_t *out) {
  uint64_t bits = hone_format_info(format.storage)->code_bits, Kp = hone_padded(K);
  memset(out, 0, Kp * bits / 8);
  for (uint64_t k = 0, at = 0; k < Kp; k++, at += bits) {
    uint32_t code = (uint32_t)(codes[k] & ((1u << bits) - 1)) << at % 8;
    out[at / 8] |= (uint8_t)code;
    if (code >> 8) out[at / 8 + 1] |= (uint8_t)(code >> 8);
  }
  put_scales(format, K, 1, scales, out + Kp * bits / 8);
}

void hone_layout_line_read(hone_format_t format, uint64_t K, const uint8_t *in, uint8_t *codes,
                           uint16_t *scales) {
  uint64_t bits = hone_format_info(format.storage)->code_bits, Kp = hone_padded(K);
  for (uint64_t k = 0, at = 0; k < Kp; k++, at += bits) {
    uint32_t upper = at % 8 + bits > 8 ? in[at / 8 + 1] : 0;
    codes[k] = (uint8_t)((in[at / 8] | upper << 8) >> at % 8 & ((1u << bits) - 1));
  }
  get_scales(format, K, 1, in + Kp * bits / 8, scales);
}
