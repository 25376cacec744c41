// What lowering's two files share: the walk's state (lower.c) and one function per op (lower_op.c).
// Never included outside codegen/plan.
#ifndef HONE_CODEGEN_PLAN_INTERNAL_H
#define HONE_CODEGEN_PLAN_INTERNAL_H

#include "codegen/plan/flow.h"
#include "codegen/plan/plan.h"

typedef struct hone_lower_value {
  ir_value_t value;
  hone_operand_t operand;
} hone_lower_value_t;

typedef struct hone_lower_choices {  // of one instruction set level
  hone_flow_choice_t items[HONE_FLOW_LIMIT];
  size_t count;
} hone_lower_choices_t;

typedef struct hone_lower_parts {  // of linears of one shape
  uint32_t N, K, rows;
  hone_operand_t operand;
} hone_lower_parts_t;

typedef struct hone_lower {
  const ir_model_t *model;
  const hone_plan_options_t *options;
  hone_arena_t *arena;
  hone_draft_t *draft;
  hone_status_t *status;
  ir_block_t block;                      // being walked
  bool is_head;                          // the block is the head
  ir_value_t argument;                   // of the block
  ir_value_t result;                     // what the block returns
  hone_operand_t stream;                 // where the previous block's result lies
  HONE_LIST(hone_lower_value_t) values;  // of the block: results of its ops
  HONE_LIST(hone_lower_parts_t) parts;
  const char *rope_block;  // who set the draft's rope, NULL at first
  hone_storage_t cache;
} hone_lower_t;

// Operand of a value of the current block. Fails on a value that no launch makes.
HONE_MUST_CHECK bool hone_lower_operand(hone_lower_t *lower, ir_value_t value,
                                        hone_operand_t *out_operand);
// The packed tensor behind a hone.weight, added to the draft on first use.
HONE_MUST_CHECK bool hone_lower_weight(hone_lower_t *lower, ir_value_t value,
                                       hone_operand_t *out_operand);
// Names the place of an op's result: its arena offset, or the logits.
HONE_MUST_CHECK bool hone_lower_result(hone_lower_t *lower, MlirOperation op,
                                       hone_operand_t *out_operand);
// Index of the flow that runs `spec` by `choices` (of each level; each sets family and schedule).
uint32_t hone_lower_flow(hone_lower_t *lower, const hone_kernel_spec_t *spec,
                         const hone_lower_choices_t *choices);
// The most rows that a kernel with `split` is chosen for, 0: none is.
uint32_t hone_lower_split_rows(const hone_lower_t *lower, const hone_lower_choices_t *levels);
// The place of a linear's parts if some rows have its columns split; none else. Linears of one
// shape share it.
HONE_MUST_CHECK bool hone_lower_parts(hone_lower_t *lower, const hone_kernel_spec_t *spec,
                                      const hone_lower_choices_t *choices,
                                      hone_operand_t *out_operand);
// The same for a spec whose one family has no schedules.
uint32_t hone_lower_only(hone_lower_t *lower, const hone_kernel_spec_t *spec);
// Storage of the KV cache by its name in the options, NULL: by default.
HONE_MUST_CHECK bool hone_lower_cache(const ir_model_t *model, const char *name,
                                      hone_storage_t *out_storage, hone_status_t *status);
void hone_lower_launch(hone_lower_t *lower, const char *part, uint32_t flow,
                       const hone_operand_t *operands, size_t count);
// One op to launches. HONE_UNSUPPORTED for ops without a kernel family.
HONE_MUST_CHECK bool hone_lower_op(hone_lower_t *lower, MlirOperation op);

#endif
