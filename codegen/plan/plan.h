// The plan while it is made: lowering walks the scheduled IR and fills a draft; serialising turns
// the draft into the blob of base/artefact.h. Nothing here knows a target's code; kernels are
// specifications. Thread rule: the session's thread.
#ifndef HONE_CODEGEN_PLAN_PLAN_H
#define HONE_CODEGEN_PLAN_PLAN_H

#include "codegen/kernel.h"
#include "codegen/pack/pack.h"

typedef struct hone_draft_launch {
  const char *name;  // "layers.3.attention/qkv"
  uint32_t flow;
  hone_operand_t operands[HONE_KERNEL_POINTERS];
} hone_draft_launch_t;

typedef struct hone_draft_kernel {
  const char *name;  // hone_kernel_spec_name: unique within the draft
  hone_kernel_spec_t spec;
  uint32_t isas;  // bit i: flows of level i lead to it
} hone_draft_kernel_t;

typedef struct hone_draft {  // strings and lists lie in the arena given to hone_plan_lower
  hone_plan_t header;        // everything but counts and offsets of the arrays
  const char *family;
  const double *rope;  // header.rope_count inverse frequencies
  HONE_LIST(hone_draft_launch_t) launches;
  HONE_LIST(hone_flow_t) flows[HONE_ISA_LIMIT];  // of each level; equally many
  HONE_LIST(hone_pack_item_t) tensors;  // in order of first use, which is their order in the file
  HONE_LIST(hone_draft_kernel_t) kernels;
} hone_draft_t;

typedef struct hone_plan_options {
  const char *cache;  // KV cache: "f32", "f16" or NULL (f32 if all body linears have f32 weights,
                      // else f16)
  const char *isas[HONE_ISA_LIMIT];  // names of the levels, best first
  size_t isa_count;
  const char *known[HONE_ISA_LIMIT];  // those that an attribute hone.dataflow.LEVEL may name
  size_t known_count;
} hone_plan_options_t;

// Needs phases 4 to 6 (fuse, dataflow, memory). HONE_UNSUPPORTED names block and op where the IR
// holds what no kernel family does.
HONE_MUST_CHECK bool hone_plan_lower(const ir_model_t *model, const hone_plan_options_t *options,
                                     hone_arena_t *arena, hone_draft_t *out_draft,
                                     hone_status_t *status);
// What the kernels of an op compute if several families can do it (linear, attend_packed): the
// specification with one of them and no schedule, and which they are, as bits 1 << family. Other
// ops: no families.
HONE_MUST_CHECK bool hone_plan_choices(const ir_model_t *model, MlirOperation op, const char *cache,
                                       hone_kernel_spec_t *out_spec, uint32_t *out_families,
                                       hone_status_t *status);

// Appends the blob to an empty buffer. Equal drafts give equal bytes.
void hone_plan_serialise(const hone_draft_t *draft, hone_arena_t *arena, hone_buffer_t *out);

#endif
