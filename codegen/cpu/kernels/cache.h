// Where keys and values lie in the KV cache (layout: base/artefact.h), for the kernels that write
// it (rope.c) and read it (attend*.c).
#ifndef HONE_CODEGEN_CPU_KERNELS_CACHE_H
#define HONE_CODEGEN_CPU_KERNELS_CACHE_H

#include "codegen/cpu/kernels/kernels.h"

typedef struct cache {
  int item;             // bytes of an element
  bool has_scales;      // q8
  int64_t block_bytes;  // HONE_CACHE_BLOCK positions of one head
  int64_t scales;       // where the scales of a block begin
} cache_t;

cache_t cache_open(const kernel_t *k);
// Vector of `lanes` elements as f32, without their scale.
ir_value_t cache_load(kernel_t *k, ir_value_t pointer);
// What f32 elements are multiplied with to become q8 codes, `largest` being their largest size.
ir_value_t cache_factor(kernel_t *k, ir_value_t largest);
// f32 lanes as the cache's elements; those of q8 are multiplied already.
ir_value_t cache_narrow(kernel_t *k, ir_value_t reals);

#endif
