// Packing: executes weight recipes and streams the packed tensors into the artefact, with bounded
// memory (one chunk of a few MB per thread, and the scales of one tensor). Same bytes and hashes
// for any number of threads. Thread rule: called on one thread; starts and joins its own.
#ifndef HONE_CODEGEN_PACK_PACK_H
#define HONE_CODEGEN_PACK_PACK_H

#include "base/file.h"
#include "codegen/pack/encode.h"
#include "passes/pipeline.h"

// One tensor of .hone.weights. Vectors (K == 1) are f32 whatever the recipe's format says.
typedef struct hone_pack_item {
  ir_recipe_t recipe;
  hone_format_t format;
  uint64_t offset;  // in .hone.weights, a multiple of 64
  uint64_t bytes;
} hone_pack_item_t;

typedef struct hone_pack_job {
  const hone_tensor_reader_t *reader;
  void *source;
  hone_output_t *output;
  uint64_t base;  // where .hone.weights begins in the output
  const hone_pack_item_t *items;
  size_t count;
  hone_solver_t solver;
  int64_t threads;       // 0: number of CPUs this process may use
  int64_t chunk_values;  // f32 values a thread reads at once; 0: the default (tests use small ones)
  bool progress;
} hone_pack_job_t;

// Format and size of a recipe's packed tensor. HONE_INVALID if the sizes overflow.
HONE_MUST_CHECK bool hone_pack_measure(const ir_recipe_t *recipe, hone_format_t *out_format,
                                       uint64_t *out_bytes, hone_status_t *status);

// Writes every item; a vector that corrects a matrix (ir_recipe_t.corrects) comes after it;
// out_hashes (count) gets the XXH3 of each item's bytes, out_errors (count, zeroed; may be NULL)
// what quantization did to it. Of several errors, the one of the first rows in file order is
// reported, naming the tensor.
HONE_MUST_CHECK bool hone_pack_run(const hone_pack_job_t *job, uint64_t *out_hashes,
                                   hone_quant_error_t *out_errors, hone_status_t *status);

#endif
