// Packed layout of weights (base/packed.h): rows of floats, or of codes and scales, go to their
// places in a tile. Thread rule: pure functions.
#ifndef HONE_CODEGEN_PACK_LAYOUT_H
#define HONE_CODEGEN_PACK_LAYOUT_H

#include "base/packed.h"

// A tile of plain floats from its padded rows (Kp each). Returns -1, or the lane of the first row
// with a value that its format cannot hold.
HONE_MUST_CHECK int hone_layout_reals(hone_storage_t storage, uint64_t Kp,
                                      const float *const rows[HONE_TILE_ROWS], uint8_t *out);

// One row of a quantized tile: codes (Kp, one a byte) and scales (as hone_quantizer_row gives them)
// go to row `row` of the tile. Rows share bytes: one thread writes a tile.
void hone_layout_row(hone_format_t format, uint64_t K, int row, const uint8_t *codes,
                     const uint16_t *scales, uint8_t *tile_codes, uint8_t *tile_scales);

// A row by itself, as codegen/pack/store.h keeps it: its codes, then its scales.
uint64_t hone_layout_line_bytes(hone_format_t format, uint64_t K);
void hone_layout_line(hone_format_t format, uint64_t K, const uint8_t *codes,
                      const uint16_t *scales, uint8_t *out);
void hone_layout_line_read(hone_format_t format, uint64_t K, const uint8_t *in, uint8_t *codes,
                           uint16_t *scales);

#endif
