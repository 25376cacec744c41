// How a packed weight lies in memory: what the packer writes and kernels read. Logical shape (N,
// K), Np and Kp padded to HONE_PAD, R = HONE_TILE_ROWS, G = Kp / 64, tile t = n / R, lane r = n %
// R, group of codes g = k / 64, j = k % 64. Up to three planes, each starting at a multiple of 64,
// so that codes and scales are read as one sequential stream per tile:
//
//   codes
//     f32 f16 bf16   element at ((t * Kp/16 + k/16) * R + r) * 16 + k % 16
//     others         row_bytes (below) at ((t * G + g) * R + r) * row_bytes:
//       8 bits       64 bytes, an int8 each
//       6 bits       32 bytes: the low 4 bits of j in the low nibble of byte j, of j + 32 in its
//       high
//                    one; then 16 bytes: bits 2i and 2i + 1 of byte b are the upper two bits of
//                    j = b + 16 i; q6 stores code + 32
//       4 bits       32 bytes: byte b holds the code of j = b in its low nibble, of j = b + 32 in
//                    its high one
//       2 bits       16 bytes: bits 2i and 2i + 1 of byte b are the code of j = b + 16 i; ternary
//                    stores code + 1
//       planes       8 bytes per plane: bit j (little-endian) is 1 for plus, 0 for minus
//   scales           one per group of the format (16 ... 128 elements; the last may be short) and
//                    plane: element ((t * S + s) * P + p) * R + r, S = ceil(Kp / group), P planes;
//                    f16, or a byte (e8m0, e4m3, dq8)
//   parameters       64 bytes, only nvfp4 (f32 factor of all scales at 0), nf4x (16 int8 levels
//                    at 16, in units of 1/127) and nf4dq (f32 offset of all scales at 0). Of nf4dq
//                    the second level of the scales follows at 64: f32, for scale s of row n at
//                    (n * ceil(K / group) + s) / 256, up to those of the last pads
//
// Pads decode to zero, or have a scale of zero (rows past N; nf4dq cannot
// store one: its readers know N); pads past K of formats without a zero
// (planes, iq4nl) decode to anything, and meet activations that are zero. Thread rule: pure
// functions.
#ifndef HONE_BASE_PACKED_H
#define HONE_BASE_PACKED_H

#include "base/format.h"

enum {
  HONE_PACKED_PARAMETER_BYTES = 64,
  HONE_PACKED_FACTOR = 0,
  HONE_PACKED_OFFSET = 0,
  HONE_PACKED_LEVELS = 16,
  HONE_PACKED_SECOND = 64
};

uint64_t hone_packed_row_bytes(hone_storage_t storage);  // codes of 64 elements of one row
uint64_t hone_packed_scale_count(hone_format_t format, uint64_t K);  // groups in a row: S
uint64_t hone_packed_tile_code_bytes(hone_format_t format, uint64_t K);
uint64_t hone_packed_tile_scale_bytes(hone_format_t format, uint64_t K);
uint64_t hone_packed_group_count(hone_format_t format, uint64_t K);  // ... without pads
// f32 of the scales' second level, those that only pads use included; 0 but for dq8.
uint64_t hone_packed_second_count(hone_format_t format, uint64_t N, uint64_t K);
uint64_t hone_packed_parameter_bytes(hone_format_t format, uint64_t N, uint64_t K);
uint64_t hone_packed_scale_offset(hone_format_t format, uint64_t N, uint64_t K);
uint64_t hone_packed_parameter_offset(hone_format_t format, uint64_t N, uint64_t K);
uint64_t hone_packed_bytes(hone_format_t format, uint64_t N, uint64_t K);

#endif
