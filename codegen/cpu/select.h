// Phase 5 of the cpu target: dataflow selection (dataflow.h) for every op of a model, and what the
// manifest says of it. Thread rule: the session's thread.
#ifndef HONE_CODEGEN_CPU_SELECT_H
#define HONE_CODEGEN_CPU_SELECT_H

#include "base/json.h"
#include "codegen/cpu/dataflow.h"
#include "codegen/plan/plan.h"
#include "passes/pipeline.h"

typedef struct hone_cpu_selected {
  const char *problem;                   // hone_kernel_problem_name
  const char *text[HONE_CPU_ISA_COUNT];  // by number of the level among those selected for
  hone_cpu_dataflow_t flow[HONE_CPU_ISA_COUNT];
} hone_cpu_selected_t;

typedef struct hone_cpu_selection {  // in the compile's arena
  hone_cpu_levels_t levels;
  HONE_LIST(hone_cpu_selected_t) list;
} hone_cpu_selection_t;

// Sets `hone.dataflow` on every op that becomes a launch, and `hone.dataflow.LEVEL` where another
// level than the best of `levels` does otherwise. What the model brings along stays.
HONE_MUST_CHECK bool hone_cpu_select(hone_compile_t *compile, const hone_cpu_levels_t *levels,
                                     hone_cpu_selection_t *out, hone_status_t *status);
// Lowering for `levels`; NULL: for all of isa.def.
hone_plan_options_t hone_cpu_plan_options(const char *cache, const hone_cpu_levels_t *levels);
// The manifest's member "dataflow": for each group of launches that do one thing, the kernels of
// each level by number of rows, and why (docs/artefact.md).
void hone_cpu_selection_write(const hone_cpu_selection_t *selection, const hone_draft_t *draft,
                              hone_arena_t *arena, hone_json_t *json);

#endif
