// Packed layout of weights (base/artefact.h): HONE_TILE_ROWS rows of f32 become one tile of codes
// and scales. Thread rule: pure functions.
#ifndef HONE_CODEGEN_PACK_LAYOUT_H
#define HONE_CODEGEN_PACK_LAYOUT_H

#include "base/artefact.h"
#include "hone/status.h"

uint64_t hone_layout_tile_code_bytes(hone_storage_t storage, uint64_t Kp);
uint64_t hone_layout_tile_scale_bytes(hone_storage_t storage, uint64_t Kp);  // 0 for plain floats

// Quantizes four padded rows (Kp values each, pads zero) into `codes` and `scales`. Returns -1, or
// the lane of the first row with a value that its format cannot hold.
HONE_MUST_CHECK int hone_layout_tile(hone_storage_t storage, uint64_t Kp,
                                     const float *const rows[HONE_TILE_ROWS], uint8_t *codes,
                                     uint16_t *scales);

#endif
