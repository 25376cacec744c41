// A kernel specification: plain data that says everything a CPU kernel's code depends on. Equal
// specs give equal code; the spec's string form is its identity (manifest, database, symbol name).
// Zero = not applicable. Thread rule: values.
#ifndef HONE_CODEGEN_KERNEL_H
#define HONE_CODEGEN_KERNEL_H

#include <stdint.h>

#include "base/arena.h"
#include "base/format.h"
#include "base/text.h"
#include "codegen/schedule.h"
#include "hone/status.h"

typedef enum hone_family {
#define FAMILY(name, ENUM, operands, units, summary) HONE_FAMILY_##ENUM,
#include "codegen/families.def"
#undef FAMILY
  HONE_FAMILY_COUNT
} hone_family_t;

typedef enum hone_activation {
  HONE_ACTIVATION_NONE,
#define ACTIVATION(name, ENUM, summary) HONE_ACTIVATION_##ENUM,
#include "ir/activations.def"
#undef ACTIVATION
  HONE_ACTIVATION_COUNT
} hone_activation_t;

typedef struct hone_kernel_spec {
  hone_family_t family;
  hone_format_t weight;   // embed, gemv, gemm
  hone_storage_t input;   // gemv, gemm: HONE_F32, HONE_Q8 or HONE_B1
  hone_storage_t output;  // norm: HONE_F32, HONE_Q8 or HONE_B1; quantize: not HONE_F32; linears
                          // with glu, attention: HONE_F32 or HONE_Q8
  uint32_t N, K;          // logical dimensions; row kernels use K (argmax, softmax: the vocabulary)
  // gemv, gemm epilogue, in this order: + bias, then glu, then + residual, or rope.
  // glu: weight rows come in pairs (gate i, up i), N counts both; out has N / 2 columns: act(gate)
  // * up.
  // rope: the rows are heads of q, k and v (heads, kv_heads, head_dim, cache below); each goes
  // through what rope_kv does to it. Without residual and glu; head_dim is a multiple of 16.
  uint8_t bias, residual, glu, rope;
  uint8_t activation;  // hone_activation_t, with glu and family glu
  uint8_t rotate;      // what gives q8 or b1: columns of a Hadamard block, 0: none
  uint8_t gain;        // norm: times a gain
  float epsilon;       // norm
  // rope, rope_kv, attend_*: the qkv row is q (heads * head_dim), k, v (kv_heads * head_dim each),
  // padded at the end only
  uint32_t heads, kv_heads, head_dim, window;
  hone_storage_t cache;  // HONE_F32, HONE_F16 or HONE_Q8
  float scale;           // attention: 1 / sqrt(head_dim) usually
  uint8_t unified;       // attention: weights are exp(score) wherever their sums allow
  hone_schedule_t schedule;
} hone_kernel_spec_t;

// "gemm.nf4.q8 N=2048 K=2048 residual tokens=4 unroll=1"; deterministic, in the arena.
const char *hone_kernel_spec_name(const hone_kernel_spec_t *spec, hone_arena_t *arena);
// What is computed, without how: "linear.nf4<64>.q8 N=2048 K=2048 residual"; gemv, flat and gemm of
// one op have the same, and so do the two forms of attention ("attend.f16 ..."). Others: their
// name.
const char *hone_kernel_problem_name(const hone_kernel_spec_t *spec, hone_arena_t *arena);
const char *hone_family_name(hone_family_t family);
bool hone_family_is_linear(hone_family_t family);     // gemv, flat, gemm
bool hone_family_is_attention(hone_family_t family);  // attend_decode, attend_prefill
// By its name in ir/activations.def; false if there is none.
bool hone_activation_find(hone_slice_t name, hone_activation_t *out_activation);
// Columns that quantize and norm bring to q8 or b1 together: groups, or blocks that are rotated.
uint32_t hone_kernel_spec_span(const hone_kernel_spec_t *spec);
// Rows of weights that a unit of a linear family covers: of the register blocks, or as many as make
// a group of outputs that are quantized together, or of whole blocks and whole heads.
uint32_t hone_kernel_spec_rows(const hone_kernel_spec_t *spec);
// How units are counted (see hone_flow_t).
void hone_kernel_spec_units(const hone_kernel_spec_t *spec, uint32_t *out_unit_count,
                            uint32_t *out_unit_rows);

#endif
