// Target: what a back end gives the pipeline. A filled const struct per folder under codegen/;
// `null` and `cpu` always exist. The pipeline calls down through this struct, so passes/ never
// includes codegen/. Thread rule: the struct is const; its functions run on the session's thread
// (weights are packed by several threads).
#ifndef HONE_PASSES_TARGET_H
#define HONE_PASSES_TARGET_H

#include "ir/model.h"

typedef struct hone_compile hone_compile_t;  // passes/pipeline.h

typedef struct hone_target {
  const char *name;     // "cpu"
  const char *summary;  // one line for `hone list targets`
  // Of "--target NAME:LEVELS": whether there are such instruction set levels, of which the artefact
  // is to have no others (options.levels). NULL: the target has none.
  bool (*check_levels)(const char *levels, hone_status_t *status);
  // Phase 5: names the kernel families for an op and from which M each is used, written onto the op
  // as the attribute `hone.dataflow` (e.g. "gemv < 2, gemm"). Called for every op that becomes a
  // launch.
  bool (*select_dataflow)(hone_compile_t *compile, hone_status_t *status);
  // Phase 7: kernels -> code objects kept in the compile.
  bool (*build_kernels)(hone_compile_t *compile, hone_status_t *status);
  // Phases 8 and 9: the artefact.
  bool (*pack_weights)(hone_compile_t *compile, hone_status_t *status);
  bool (*link)(hone_compile_t *compile, hone_status_t *status);
} hone_target_t;

#endif
