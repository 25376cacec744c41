// Packed layout of weights: where each row's blocks lie within a tile. The quantizers do the number
// work.
#include "codegen/pack/layout.h"

#include <string.h>

#include "codegen/pack/quantize.h"

enum { R = HONE_TILE_ROWS, LANES = 16 };

uint64_t hone_layout_tile_code_bytes(hone_storage_t storage, uint64_t Kp) {
  return hone_packed_code_bytes(storage, HONE_PAD, Kp) / (HONE_PAD / R);
}

uint64_t hone_layout_tile_scale_bytes(hone_storage_t storage, uint64_t Kp) {
  return storage == HONE_Q8 || storage == HONE_NF4 ? Kp / HONE_GROUP * R * sizeof(uint16_t) : 0;
}

static void copy_f32(const float *row, uint64_t Kp, float *out) {
  for (uint64_t block = 0; block < Kp / LANES; block++)
    memcpy(out + block * R * LANES, row + block * LANES, LANES * sizeof(float));
}

int hone_layout_tile(hone_storage_t storage, uint64_t Kp, const float *const rows[HONE_TILE_ROWS],
                     uint8_t *codes, uint16_t *scales) {
  uint64_t groups = Kp / HONE_GROUP;
  for (int r = 0; r < R; r++) {
    bool fits = true;
    switch (storage) {
      case HONE_F32: copy_f32(rows[r], Kp, (float *)codes + r * LANES); break;
      case HONE_F16:
        fits = hone_quantize_f16(rows[r], Kp, (uint16_t *)codes + r * LANES, R * LANES);
        break;
      case HONE_BF16:
        fits = hone_quantize_bf16(rows[r], Kp, (uint16_t *)codes + r * LANES, R * LANES);
        break;
      case HONE_Q8:
        fits = hone_quantize_q8(rows[r], groups, (int8_t *)codes + r * 64, R * 64, scales + r, R);
        break;
      case HONE_NF4:
        fits = hone_quantize_nf4(rows[r], groups, codes + r * 32, R * 32, scales + r, R);
        break;
      default: fits = false; break;
    }
    if (!fits) return r;
  }
  return -1;
}
