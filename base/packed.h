// How a packed weight lies in memory: what the packer writes and kernels read. Logical shape (N,
// K), Np and Kp padded to HONE_PAD, R = HONE_TILE_ROWS, G = Kp / 64, tile t = n / R, lane r = n %
// R, group of codes g = k / 64, j = k % 64. Up to three planes, each starting at a multiple of 64,
// so that codes and scales are read as one sequential stream per tile:
//
//   codes
//     f32 f16 bf16   element at (t * Kp + k) * R + r
//     others         R * row_bytes (below) at (t * G + g) * R * row_bytes, in lines of 64 bytes: a
//                    line holds codes of four neighbouring columns, of quad q = j / 4, of all rows;
//                    byte 4 r + j % 4 is row r's. That is what a vector of rows multiplies with
//                    four activations at once.
//       8 bits       line q: an int8 each
//       4 bits       line q / 2: the low nibbles if q is even, the high ones if it is odd
//       2 bits       line q / 4: bits 2 (q % 4) and the next; ternary stores code + 1
//       6 bits       the low 4 bits as 4 bits, then the upper two as 2 bits; q6 stores code + 32
//       planes       plane after plane, 128 bytes each: bit 4 r + j % 4 of the 8 bytes at 8 q
//                    (little-endian) is 1 for plus, 0 for minus
//   scales           one per group of the format (16 ... 128 elements; the last may be short) and
//                    plane: element ((t * S + s) * P + p) * R + r, S = ceil(Kp / group), P planes;
//                    f16, or a byte (e8m0, e4m3, dq8)
//   parameters       64 bytes, only nvfp4 (f32 factor of all scales at 0), nf4x (16 int8 levels
//                    at 16, in units of 1/127) and nf4dq (hone_packed_second_t). Of nf4dq the
//                    second level of the scales follows at 64: f32, at hone_packed_second_number /
//                    256 of a scale, up to those of the last pads
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
  HONE_PACKED_LEVELS = 16,
  HONE_PACKED_SECOND = 64,
  HONE_PACKED_SOURCES = 4  // tensors that one may be merged from
};

// Second level of nf4dq's scales. Each source of a merged tensor (q, k and v; gate and up) has its
// own: their scales are numbered row by row, each source's from a multiple of 256 on, so that
// tensors that come double-quantized keep theirs. The source of row n is how many of begin[1 ...]
// are at most n & mask: rows of concatenated sources follow each other (mask -1, shift 0), those of
// two interleaved ones alternate (mask 1, shift 1).
typedef struct hone_packed_second {
  float offset[HONE_PACKED_SOURCES];   // of all scales of a source
  int32_t base[HONE_PACKED_SOURCES];   // scale s of row n is number (n >> shift) * G + s + base,
  int32_t begin[HONE_PACKED_SOURCES];  // with G = ceil(K / group); begin[0] is 0
  int32_t mask, shift;
  int32_t unused[2];
} hone_packed_second_t;
_Static_assert(sizeof(hone_packed_second_t) == HONE_PACKED_PARAMETER_BYTES, "as kernels read it");

uint64_t hone_packed_row_bytes(hone_storage_t storage);  // codes of 64 elements of one row
uint64_t hone_packed_scale_count(hone_format_t format, uint64_t K);  // groups in a row: S
uint64_t hone_packed_tile_code_bytes(hone_format_t format, uint64_t K);
uint64_t hone_packed_tile_scale_bytes(hone_format_t format, uint64_t K);
uint64_t hone_packed_group_count(hone_format_t format, uint64_t K);  // ... without pads
// f32 of the scales' second level for any sources, those that only pads use included; 0 but for
// dq8.
uint64_t hone_packed_second_count(hone_format_t format, uint64_t N, uint64_t K);
// Places for sources of `rows` rows each, offsets 0; two of equal rows if they are interleaved.
// False: the numbers would not fit.
HONE_MUST_CHECK bool hone_packed_second_init(hone_packed_second_t *out, hone_format_t format,
                                             uint64_t K, const uint64_t *rows, size_t count,
                                             bool interleaved);
size_t hone_packed_second_source(const hone_packed_second_t *second, uint64_t n);
uint64_t hone_packed_second_number(const hone_packed_second_t *second, uint64_t groups, uint64_t n,
                                   uint64_t s);
uint64_t hone_packed_parameter_bytes(hone_format_t format, uint64_t N, uint64_t K);
uint64_t hone_packed_scale_offset(hone_format_t format, uint64_t N, uint64_t K);
uint64_t hone_packed_parameter_offset(hone_format_t format, uint64_t N, uint64_t K);
uint64_t hone_packed_bytes(hone_format_t format, uint64_t N, uint64_t K);

#endif
