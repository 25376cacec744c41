// A kernel specification: plain data that says everything a CPU kernel's code depends on. Equal
// specs give equal code; the spec's string form is its identity (manifest, database, symbol name).
// Zero = not applicable. Thread rule: values.
#ifndef HONE_CODEGEN_KERNEL_H
#define HONE_CODEGEN_KERNEL_H

#include <stdint.h>

#include "base/arena.h"
#include "base/format.h"
#include "hone/status.h"

typedef enum hone_family {
#define FAMILY(name, ENUM, operands, units, summary) HONE_FAMILY_##ENUM,
#include "codegen/families.def"
#undef FAMILY
  HONE_FAMILY_COUNT
} hone_family_t;

typedef enum hone_activation {
  HONE_ACTIVATION_NONE,
  HONE_ACTIVATION_SILU,
  HONE_ACTIVATION_GELU_TANH
} hone_activation_t;

typedef struct hone_kernel_spec {
  hone_family_t family;
  hone_format_t weight;   // embed, gemv, gemm
  hone_storage_t input;   // gemv, gemm: HONE_F32 or HONE_Q8
  hone_storage_t output;  // norm: HONE_F32 or HONE_Q8
  uint32_t N, K;          // logical dimensions; row kernels use K (argmax, softmax: the vocabulary)
  // gemv, gemm epilogue, in this order: + bias, then glu, then + residual.
  // glu: weight rows come in pairs (gate i, up i), N counts both; out has N / 2 columns: act(gate)
  // * up.
  uint8_t bias, residual, glu;
  uint8_t activation;  // hone_activation_t, with glu and family glu
  uint8_t rotate;      // quantize, norm to q8: 64 or 0, columns of a block that is rotated
  uint8_t gain;        // norm: times a gain
  float epsilon;       // norm
  // rope_kv, attend_*: the qkv row is q (heads * head_dim), k, v (kv_heads * head_dim each), padded
  // at the end only
  uint32_t heads, kv_heads, head_dim, window;
  hone_storage_t cache;  // HONE_F32 or HONE_F16
  float scale;           // attention: 1 / sqrt(head_dim) usually
  // schedule
  // gemm: rows per register block, cut to what the ISA has registers for, 0: its best;
  // attend_prefill: rows per unit, 1..64.
  uint32_t tokens;
  uint32_t unroll;  // gemv, gemm: groups per loop trip
} hone_kernel_spec_t;

// "gemm.nf4.q8 N=2048 K=2048 residual tokens=4 unroll=1"; deterministic, in the arena.
const char *hone_kernel_spec_name(const hone_kernel_spec_t *spec, hone_arena_t *arena);
const char *hone_family_name(hone_family_t family);
// How units are counted (see hone_flow_t).
void hone_kernel_spec_units(const hone_kernel_spec_t *spec, uint32_t *out_unit_count,
                            uint32_t *out_unit_rows);

#endif
