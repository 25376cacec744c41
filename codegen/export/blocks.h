// Tensor types of GGUF: which of them holds which format, and a row of codes and scales in their
// blocks (ggml-common.h and ggml-quants.c of llama.cpp). Thread rule: pure functions.
#ifndef HONE_CODEGEN_EXPORT_BLOCKS_H
#define HONE_CODEGEN_EXPORT_BLOCKS_H

#include "quant/quantizer.h"

enum { HONE_BLOCK_LIMIT = 256 };  // weights in a block

typedef struct hone_block_type {
  const char *name;          // "Q4_0"
  hone_format_t format;      // what it holds; group 0: any, of plain floats none
  uint32_t id;               // enum ggml_type
  uint32_t file_type;        // enum llama_ftype, for general.file_type
  uint32_t elements, bytes;  // of a block
  bool is_dense;             // of two types for a format, the smaller one
} hone_block_type_t;

// NULL: no type holds the format. A type whose group differs from the format's is found too, so
// that a message can say which group would do.
const hone_block_type_t *hone_block_type_find(hone_storage_t storage, bool dense);
bool hone_block_type_fits(const hone_block_type_t *type, hone_format_t format);
// "f32, f16, bf16, q8<32>, ..." in the order of the table; `out` holds at least 128 bytes.
const char *hone_block_type_list(char out[128]);

// Codes (Kp) and scales of a row of K weights, whole blocks -> K / elements * bytes. The scale of a
// ternary block is refitted by least squares to the groups it covers, s = sum h c^2 s_g / sum h
// c^2: equal scales stay as they are. False: that scale overflows.
HONE_MUST_CHECK bool hone_block_row(const hone_block_type_t *type,
                                    const hone_quantizer_t *quantizer, const uint8_t *codes,
                                    const uint16_t *scales, uint8_t *out);

#endif
