// What the kernel families share: the kernel being emitted, its operands, and vector helpers. The
// families are one file each (linear.c, norm.c, attend.c, ...); kernel_emit.c picks one.
#ifndef HONE_CODEGEN_CPU_KERNELS_KERNELS_H
#define HONE_CODEGEN_CPU_KERNELS_KERNELS_H

#include "codegen/cpu/isa.h"
#include "codegen/kernel.h"
#include "ir/emit.h"

typedef struct kernel {
  ir_builder_t *b;
  const hone_kernel_spec_t *spec;
  const hone_cpu_isa_t *isa;
  int lanes;                     // f32 lanes of a vector
  ir_value_t args;               // hone_kernel_args_t *
  ir_value_t begin, end;         // units, i64
  ir_value_t zero, one;          // i64 constants
  ir_type_t i8, i32, i64, real;  // scalars; real is f32
  ir_type_t reals;               // vector of `lanes` f32
  ir_type_t words;               // vector of `lanes` i32
} kernel_t;

enum {
  GROUP_VECTORS_LIMIT = HONE_GROUP / 8,  // f32 vectors in a group of 64, on the narrowest ISA
  SPAN_VECTORS_LIMIT = 128 / 8,          // and in a span (hone_kernel_spec_span)
  TOKENS_LIMIT = 16,                     // largest register block of tokens
  HEAD_LIMIT = 256,                      // largest head_dim of an attention kernel
};

// ---- operands (hone_kernel_args_t)
ir_value_t kernel_pointer(kernel_t *k, int index);
ir_value_t kernel_M(kernel_t *k);
ir_value_t kernel_position(kernel_t *k);
ir_value_t kernel_capacity(kernel_t *k);
ir_value_t kernel_scalar(kernel_t *k);  // as f32
// base + index * stride_bytes (+ extra bytes)
ir_value_t kernel_at(kernel_t *k, ir_value_t base, ir_value_t index, int64_t stride_bytes);
// i64 arithmetic with a constant
ir_value_t kernel_times(kernel_t *k, ir_value_t x, int64_t factor);
ir_value_t kernel_plus(kernel_t *k, ir_value_t x, int64_t term);

// ---- vectors (math.c)
ir_value_t math_max(kernel_t *k, ir_value_t x, ir_value_t y);  // y where x is NaN or not greater
ir_value_t math_exp(kernel_t *k, ir_value_t x);  // any vector of f32; 0 below -87.3, 2 ulp
ir_value_t math_activation(kernel_t *k, hone_activation_t activation, ir_value_t x);
ir_value_t math_half(kernel_t *k, ir_value_t halves);    // vector of f16 -> f32
ir_value_t math_bfloat(kernel_t *k, ir_value_t shorts);  // vector of i16 holding bfloat16 -> f32
ir_value_t math_sum(kernel_t *k, ir_value_t x);          // all lanes by a fixed tree; scalar
ir_value_t math_maximum(kernel_t *k, ir_value_t x);      // largest lane; scalar
// Sums of the lanes of `count` vectors (a power of two <= lanes) as one vector of `count` lanes, by
// a fixed tree.
ir_value_t math_sums(kernel_t *k, const ir_value_t *vectors, int count);
ir_value_t math_word_sums(kernel_t *k, const ir_value_t *vectors, int count);  // of i32
ir_value_t math_splat(kernel_t *k, ir_value_t scalar);                         // to `reals`

// ---- pieces: a run of `count` f32 that is no multiple of the vector, as vectors of 16, 8, 4, 2, 1
// lanes Width of the next piece when `rest` elements are left.
int piece_width(const kernel_t *k, int rest);
ir_type_t piece_type(const kernel_t *k, int width);
// Stores f32 lanes as the cache's storage (f32 or f16).
void piece_store(kernel_t *k, ir_value_t value, ir_value_t pointer, hone_storage_t storage);
// Writes zero bytes; `bytes` is a multiple of 4.
void zero_bytes(kernel_t *k, ir_value_t pointer, int64_t bytes);

// ---- families
void emit_linear(kernel_t *k);
void emit_embed(kernel_t *k);
void emit_norm(kernel_t *k);
void emit_quantize(kernel_t *k);
void emit_rope(kernel_t *k);
void emit_attend(kernel_t *k);
void emit_glu(kernel_t *k);
void emit_add(kernel_t *k);
void emit_argmax(kernel_t *k);
void emit_softmax(kernel_t *k);

// ---- quantized rows (quantize.c)
typedef struct quantized_row {
  ir_value_t codes, scales;  // pointers to the group's own codes and scale
  ir_value_t sums, parts;    // to minus the sum of its codes, and to those of every 16 columns
} quantized_row_t;
// Of a q8 row of K columns.
quantized_row_t quantized_row_at(kernel_t *k, uint32_t K, ir_value_t row, ir_value_t group);
// A span of f32 vectors to the codes of a row of K columns of spec->output, rotated first if the
// specification says so. Of b1 rows, *squares (`reals`, zero at first) gathers x^2 from span to
// span.
void quantize_span(kernel_t *k, uint32_t K, ir_value_t row, ir_value_t span, ir_value_t *vectors,
                   ir_value_t *squares);
// What comes after the last span: the scale of a b1 row, and zeros up to the row's end.
void quantize_end(kernel_t *k, uint32_t K, ir_value_t row, ir_value_t squares);

#endif
