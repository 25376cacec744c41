// See layout.h; the picture is in base/packed.h.
#include "codegen/pack/layout.h"

#include <string.h>

#include "quant/real.h"

enum { R = HONE_TILE_ROWS, LANES = 16, GROUP = 64 };

static void copy_f32(const float *row, uint64_t Kp, float *out) {
  for (uint64_t block = 0; block < Kp / LANES; block++)
    memcpy(out + block * R * LANES, row + block * LANES, LANES * sizeof(float));
}

int hone_layout_reals(hone_storage_t storage, uint64_t Kp, const float *const rows[HONE_TILE_ROWS],
                      uint8_t *out) {
  for (int r = 0; r < R; r++) {
    bool fits = true;
    switch (storage) {
      case HONE_F32: copy_f32(rows[r], Kp, (float *)out + r * LANES); break;
      case HONE_F16:
        fits = hone_quantize_f16(rows[r], Kp, (uint16_t *)out + r * LANES, R * LANES);
        break;
      case HONE_BF16:
        fits = hone_quantize_bf16(rows[r], Kp, (uint16_t *)out + r * LANES, R * LANES);
        break;
      default: fits = false; break;
    }
    if (!fits) return r;
  }
  return -1;
}

// ---- 64 codes of one row

static void put_nibbles(const uint8_t *codes, uint8_t *out) {
  for (int b = 0; b < 32; b++) out[b] = (uint8_t)((codes[b] & 15) | (codes[b + 32] & 15) << 4);
}

static void put_pairs(const uint8_t *codes, uint8_t *out) {
  for (int b = 0; b < 16; b++)
    out[b] = (uint8_t)((codes[b] & 3) | (codes[b + 16] & 3) << 2 | (codes[b + 32] & 3) << 4 |
                       (codes[b + 48] & 3) << 6);
}

static void put_group(uint32_t bits, bool planes, const uint8_t *codes, uint8_t *out) {
  if (planes) {
    memset(out, 0, bits * 8);
    for (uint32_t p = 0; p < bits; p++)
      for (int j = 0; j < GROUP; j++)
        out[p * 8 + (uint32_t)j / 8] |= (uint8_t)((codes[j] >> p & 1) << j % 8);
  } else if (bits == 2) {
    put_pairs(codes, out);
  } else if (bits == 4) {
    put_nibbles(codes, out);
  } else if (bits == 6) {
    uint8_t upper[GROUP];
    for (int j = 0; j < GROUP; j++) upper[j] = codes[j] >> 4;
    put_nibbles(codes, out);
    put_pairs(upper, out + 32);
  } else {
    memcpy(out, codes, GROUP);
  }
}

static void get_group(uint32_t bits, bool planes, const uint8_t *in, uint8_t *codes) {
  for (int j = 0; j < GROUP; j++) {
    uint32_t nibble = in[j % 32] >> (j < 32 ? 0 : 4) & 15;
    if (planes) {
      codes[j] = 0;
      for (uint32_t p = 0; p < bits; p++)
        codes[j] |= (uint8_t)((in[p * 8 + (uint32_t)j / 8] >> j % 8 & 1) << p);
    } else if (bits == 2) {
      codes[j] = in[j % 16] >> j / 16 * 2 & 3;
    } else if (bits == 4) {
      codes[j] = (uint8_t)nibble;
    } else if (bits == 6) {
      codes[j] = (uint8_t)(nibble | (in[32 + j % 16] >> j / 16 * 2 & 3) << 4);
    } else {
      codes[j] = in[j];
    }
  }
}

// Groups of codes and scales of one row, each `lanes` apart.
static void put_row(hone_format_t format, uint64_t K, uint64_t lanes, const uint8_t *codes,
                    const uint16_t *scales, uint8_t *out_codes, uint8_t *out_scales) {
  const hone_format_info_t *info = hone_format_info(format.storage);
  uint64_t row_bytes = hone_packed_row_bytes(format.storage), groups = hone_padded(K) / GROUP;
  uint64_t count = hone_packed_scale_count(format, K) * info->planes;
  uint32_t bytes = hone_scale_bits(info->scale) / 8;
  for (uint64_t g = 0; g < groups; g++)
    put_group(info->code_bits, info->grid == HONE_GRID_PLANES, codes + g * GROUP,
              out_codes + g * lanes * row_bytes);
  for (uint64_t i = 0; i < count; i++)
    memcpy(out_scales + i * lanes * bytes, &scales[i], bytes);  // little-endian
}

static void get_row(hone_format_t format, uint64_t K, uint64_t lanes, const uint8_t *in_codes,
                    const uint8_t *in_scales, uint8_t *codes, uint16_t *scales) {
  const hone_format_info_t *info = hone_format_info(format.storage);
  uint64_t row_bytes = hone_packed_row_bytes(format.storage), groups = hone_padded(K) / GROUP;
  uint64_t count = hone_packed_scale_count(format, K) * info->planes;
  uint32_t bytes = hone_scale_bits(info->scale) / 8;
  for (uint64_t g = 0; g < groups; g++)
    get_group(info->code_bits, info->grid == HONE_GRID_PLANES, in_codes + g * lanes * row_bytes,
              codes + g * GROUP);
  for (uint64_t i = 0; i < count; i++) {
    scales[i] = 0;
    memcpy(&scales[i], in_scales + i * lanes * bytes, bytes);
  }
}

static uint64_t lane_codes(hone_format_t format, int lane) {
  return (uint64_t)lane * hone_packed_row_bytes(format.storage);
}

static uint64_t lane_scales(hone_format_t format, int lane) {
  return (uint64_t)lane * hone_scale_bits(hone_format_info(format.storage)->scale) / 8;
}

void hone_layout_row(hone_format_t format, uint64_t K, int lane, const uint8_t *codes,
                     const uint16_t *scales, uint8_t *tile_codes, uint8_t *tile_scales) {
  put_row(format, K, R, codes, scales, tile_codes + lane_codes(format, lane),
          tile_scales + lane_scales(format, lane));
}

void hone_layout_row_read(hone_format_t format, uint64_t K, int lane, const uint8_t *tile_codes,
                          const uint8_t *tile_scales, uint8_t *codes, uint16_t *scales) {
  get_row(format, K, R, tile_codes + lane_codes(format, lane),
          tile_scales + lane_scales(format, lane), codes, scales);
}

uint64_t hone_layout_line_bytes(hone_format_t format, uint64_t K) {
  return (hone_packed_tile_code_bytes(format, K) + hone_packed_tile_scale_bytes(format, K)) / R;
}

void hone_layout_line(hone_format_t format, uint64_t K, const uint8_t *codes,
                      const uint16_t *scales, uint8_t *out) {
  put_row(format, K, 1, codes, scales, out, out + hone_packed_tile_code_bytes(format, K) / R);
}

void hone_layout_line_read(hone_format_t format, uint64_t K, const uint8_t *in, uint8_t *codes,
                           uint16_t *scales) {
  get_row(format, K, 1, in, in + hone_packed_tile_code_bytes(format, K) / R, codes, scales);
}
