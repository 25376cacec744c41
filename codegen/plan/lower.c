// Lowering: walks the blocks that @forward calls, in order, and gives every op its launches. This
// file is the walk and the tables (values, tensors, kernels, flows); lower_op.c knows the ops.
#include <inttypes.h>
#include <string.h>

#include "codegen/plan/plan_internal.h"

bool hone_lower_operand(hone_lower_t *lower, ir_value_t value, hone_operand_t *out_operand) {
  if (mlirValueEqual(value, lower->argument)) {
    *out_operand = lower->stream;
    return true;
  }
  for (size_t i = lower->values.count; i-- > 0;) {
    if (!mlirValueEqual(lower->values.items[i].value, value)) continue;
    *out_operand = lower->values.items[i].operand;
    return true;
  }
  return hone_fail(lower->status, HONE_INTERNAL, "an operand is made by no op of the block");
}

static bool find_tensor(const hone_draft_t *draft, const char *name, uint64_t *out_offset) {
  for (size_t i = 0; i < draft->tensors.count; i++) {
    if (strcmp(draft->tensors.items[i].recipe.name, name)) continue;
    *out_offset = draft->tensors.items[i].offset;
    return true;
  }
  return false;
}

bool hone_lower_weight(hone_lower_t *lower, ir_value_t value, hone_operand_t *out_operand) {
  const char *name = ir_value_recipe(value, lower->model->session);
  hone_operand_t operand = {.space = HONE_SPACE_WEIGHTS};
  if (!name) return hone_fail(lower->status, HONE_INVALID, "a weight operand is no hone.weight");
  if (!find_tensor(lower->draft, name, &operand.offset)) {
    hone_pack_item_t item = {.offset = lower->draft->header.weight_bytes};
    if (!ir_recipe_get(lower->model, name, &item.recipe, lower->status)) return false;
    if (!hone_pack_measure(&item.recipe, &item.format, &item.bytes, lower->status)) return false;
    operand.offset = item.offset;
    lower->draft->header.weight_bytes += item.bytes;
    hone_list_push(lower->arena, &lower->draft->tensors, item);
  }
  *out_operand = operand;
  return true;
}

bool hone_lower_result(hone_lower_t *lower, MlirOperation op, hone_operand_t *out_operand) {
  ir_value_t value = mlirOperationGetResult(op, 0);
  hone_format_t format;
  int64_t rows, columns, offset = ir_op_int(op, "hone.arena", -1);
  bool is_logits = lower->is_head && mlirValueEqual(value, lower->result);
  if (!ir_value_shape(value, &format, &rows, &columns))
    return hone_fail(lower->status, HONE_INTERNAL, "a result has no shape");
  uint64_t row_bytes = hone_row_bytes(format.storage, (uint64_t)columns);
  if (row_bytes > UINT32_MAX)
    return hone_fail(lower->status, HONE_UNSUPPORTED, "a row of %" PRId64 " columns is too wide",
                     columns);
  if (!is_logits && offset < 0)
    return hone_fail(lower->status, HONE_INVALID,
                     "no place in the arena (hone.arena): run the pass plan-memory first");
  *out_operand = (hone_operand_t){
      .space = is_logits ? HONE_SPACE_LOGITS : HONE_SPACE_ARENA,
      .row_bytes = (uint32_t)row_bytes,
      .offset = is_logits ? 0 : (uint64_t)offset,
  };
  hone_list_push(lower->arena, &lower->values, (hone_lower_value_t){value, *out_operand});
  return true;
}

static uint32_t add_kernel(hone_lower_t *lower, const hone_kernel_spec_t *spec, size_t isa) {
  hone_draft_t *draft = lower->draft;
  const char *name = hone_kernel_spec_name(spec, lower->arena);
  size_t i = 0;
  while (i < draft->kernels.count && strcmp(draft->kernels.items[i].name, name)) i++;
  if (i == draft->kernels.count)
    hone_list_push(lower->arena, &draft->kernels, (hone_draft_kernel_t){name, *spec, 0});
  draft->kernels.items[i].isas |= 1u << isa;
  return (uint32_t)i;
}

static hone_flow_t make_flow(hone_lower_t *lower, const hone_kernel_spec_t *spec,
                             const hone_lower_choices_t *choices, size_t isa) {
  hone_flow_t flow;
  memset(&flow, 0, sizeof flow);  // equal flows are found by their bytes
  flow.count = (uint32_t)choices->count;
  for (size_t i = 0; i < choices->count; i++) {
    hone_kernel_spec_t chosen = *spec;
    chosen.family = choices->items[i].family;
    chosen.schedule = choices->items[i].schedule;
    flow.below[i] = choices->items[i].below;
    flow.kernel[i] = add_kernel(lower, &chosen, isa);
    hone_kernel_spec_units(&chosen, &flow.unit_count[i], &flow.unit_rows[i]);
  }
  return flow;
}

static bool is_flow(const hone_lower_t *lower, size_t index, const hone_flow_t *flows) {
  for (size_t isa = 0; isa < lower->options->isa_count; isa++)
    if (memcmp(&lower->draft->flows[isa].items[index], &flows[isa], sizeof *flows)) return false;
  return true;
}

uint32_t hone_lower_flow(hone_lower_t *lower, const hone_kernel_spec_t *spec,
                         const hone_lower_choices_t *choices) {
  hone_draft_t *draft = lower->draft;
  hone_flow_t flows[HONE_ISA_LIMIT];
  for (size_t isa = 0; isa < lower->options->isa_count; isa++)
    flows[isa] = make_flow(lower, spec, &choices[isa], isa);
  for (size_t i = 0; i < draft->flows[0].count; i++)
    if (is_flow(lower, i, flows)) return (uint32_t)i;
  for (size_t isa = 0; isa < lower->options->isa_count; isa++)
    hone_list_push(lower->arena, &draft->flows[isa], flows[isa]);
  return (uint32_t)draft->flows[0].count - 1;
}

uint32_t hone_lower_split_rows(const hone_lower_t *lower, const hone_lower_choices_t *levels) {
  uint32_t most = 0,
           batch = lower->is_head ? lower->draft->header.head_batch : lower->draft->header.batch;
  for (size_t isa = 0; isa < lower->options->isa_count; isa++) {
    for (size_t i = 0; i < levels[isa].count; i++) {
      const hone_flow_choice_t *choice = &levels[isa].items[i];
      uint32_t rows = choice->below <= batch ? choice->below - 1 : batch;
      if (choice->schedule.split > 1 && rows > most) most = rows;
    }
  }
  return most;
}

bool hone_lower_parts(hone_lower_t *lower, const hone_kernel_spec_t *spec,
                      const hone_lower_choices_t *choices, hone_operand_t *out_operand) {
  uint32_t rows = hone_lower_split_rows(lower, choices);
  if (rows == 0) return true;
  for (size_t i = 0; i < lower->parts.count; i++) {
    const hone_lower_parts_t *known = &lower->parts.items[i];
    if (known->N != spec->N || known->K != spec->K || known->rows < rows) continue;
    *out_operand = known->operand;
    return true;
  }
  uint64_t bytes = hone_parts_bytes(spec->N, spec->K, rows);
  if (bytes > UINT32_MAX)
    return hone_fail(lower->status, HONE_UNSUPPORTED,
                     "the parts of %u split rows of %u columns are too large: leave split out of "
                     "hone.dataflow, or bound it by '< M'",
                     rows, spec->K);
  *out_operand = (hone_operand_t){.space = HONE_SPACE_PARTS,
                                  .row_bytes = (uint32_t)bytes,
                                  .offset = lower->draft->header.parts_bytes};
  lower->draft->header.parts_bytes += bytes;
  hone_lower_parts_t parts = {spec->N, spec->K, rows, *out_operand};
  hone_list_push(lower->arena, &lower->parts, parts);
  return true;
}

uint32_t hone_lower_only(hone_lower_t *lower, const hone_kernel_spec_t *spec) {
  hone_lower_choices_t choices[HONE_ISA_LIMIT] = {0};
  for (size_t isa = 0; isa < lower->options->isa_count; isa++)
    choices[isa] = (hone_lower_choices_t){{{.family = spec->family, .below = UINT32_MAX}}, 1};
  return hone_lower_flow(lower, spec, choices);
}

void hone_lower_launch(hone_lower_t *lower, const char *part, uint32_t flow,
                       const hone_operand_t *operands, size_t count) {
  hone_draft_launch_t launch = {
      .name = hone_arena_format(lower->arena, "%s/%s", lower->block.name, part),
      .flow = flow,
  };
  memcpy(launch.operands, operands, count * sizeof *operands);
  hone_list_push(lower->arena, &lower->draft->launches, launch);
}

static bool lower_block(hone_lower_t *lower) {
  MlirBlock body = mlirRegionGetFirstBlock(mlirOperationGetRegion(lower->block.function, 0));
  MlirOperation end = mlirBlockGetTerminator(body);
  lower->argument = mlirBlockGetArgument(body, 0);
  lower->result = mlirOperationGetOperand(end, 0);
  lower->values.count = 0;
  size_t first = lower->draft->launches.count;
  for (MlirOperation op = mlirBlockGetFirstOperation(body); !mlirOperationEqual(op, end);
       op = mlirOperationGetNextInBlock(op)) {
    MlirStringRef name = mlirIdentifierStr(mlirOperationGetName(op));
    if (ir_op_kind(op) == IR_OP_WEIGHT) continue;
    if (!hone_lower_op(lower, op))
      return hone_note(lower->status, "while lowering %.*s in @%s", (int)name.length, name.data,
                       lower->block.name);
  }
  if (lower->draft->launches.count == first)
    return hone_fail(lower->status, HONE_UNSUPPORTED, "@%s does nothing; remove its call",
                     lower->block.name);
  return hone_lower_operand(lower, lower->result, &lower->stream);
}

// The runtime starts head steps at any row of the body's result: it moves operand 0 of the first
// head launch. So nothing else of the head may read that result, or any other body buffer.
static bool check_head(hone_lower_t *lower) {
  const hone_draft_t *draft = lower->draft;
  size_t first = draft->header.body_count;
  MlirBlock body = mlirRegionGetFirstBlock(mlirOperationGetRegion(lower->block.function, 0));
  size_t uses = 0;
  MlirOpOperand use = mlirValueGetFirstUse(mlirBlockGetArgument(body, 0));
  for (; !mlirOpOperandIsNull(use); use = mlirOpOperandGetNextUse(use)) uses++;
  const hone_operand_t *last = draft->launches.items[draft->launches.count - 1].operands;
  bool has_logits = false;
  for (int i = 0; i < HONE_KERNEL_POINTERS; i++) has_logits |= last[i].space == HONE_SPACE_LOGITS;
  if (draft->launches.items[first].operands[0].space != HONE_SPACE_ARENA || uses != 1)
    return hone_fail(lower->status, HONE_UNSUPPORTED,
                     "@%s must read the model's last activation once, in its first op",
                     lower->block.name);
  if (has_logits && lower->stream.row_bytes == hone_row_bytes(HONE_F32, draft->header.vocab))
    return true;
  return hone_fail(lower->status, HONE_UNSUPPORTED,
                   "@%s must end with f32 logits over the vocabulary (%u)", lower->block.name,
                   draft->header.vocab);
}

static bool read_header(hone_lower_t *lower) {
  hone_plan_t *header = &lower->draft->header;
  MlirOperation module = mlirModuleGetOperation(lower->model->module);
  ir_config_t config;
  if (!ir_model_config(lower->model, &config, lower->status)) return false;
  int64_t arena = ir_op_int(module, "hone.arena_bytes", -1);
  int64_t batch = ir_op_int(module, "hone.batch", -1);
  int64_t head_batch = ir_op_int(module, "hone.head_batch", -1);
  if (arena < 0 || batch < 1 || head_batch < 1 || batch > UINT32_MAX || head_batch > UINT32_MAX)
    return hone_fail(lower->status, HONE_INVALID,
                     "the module has no memory plan (hone.arena_bytes, hone.batch, "
                     "hone.head_batch): run the pass plan-memory first");
  lower->draft->family = hone_arena_strdup(lower->arena, config.family);
  header->vocab = (uint32_t)config.vocab;
  header->width = (uint32_t)config.width;
  header->context = (uint32_t)config.context;
  header->batch = (uint32_t)batch;
  header->head_batch = (uint32_t)head_batch;
  header->arena_bytes = (uint64_t)arena;
  header->bos = (int32_t)config.bos;
  header->add_bos = config.add_bos;
  header->eos_count = (uint32_t)config.eos_count;
  for (size_t i = 0; i < config.eos_count; i++) header->eos[i] = (int32_t)config.eos[i];
  header->rope_scale = 1;
  return true;
}

// f32 where every linear before the head is f32: such a model is compiled for exactness.
static hone_storage_t default_cache(const ir_model_t *model) {
  for (size_t i = 0; i < ir_block_count(model); i++) {
    ir_block_t block;
    if (!ir_block_at(model, i, &block) || !strcmp(block.kind, "head")) continue;
    MlirBlock body = mlirRegionGetFirstBlock(mlirOperationGetRegion(block.function, 0));
    MlirOperation op = mlirBlockGetFirstOperation(body);
    for (; !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op)) {
      hone_format_t format;
      int64_t N, K;
      if (ir_op_kind(op) != IR_OP_LINEAR) continue;
      if (!ir_value_shape(ir_op_operand(op, 1), &format, &N, &K)) continue;
      if (format.storage != HONE_F32) return HONE_F16;
    }
  }
  return HONE_F32;
}

bool hone_lower_cache(const ir_model_t *model, const char *name, hone_storage_t *out_storage,
                      hone_status_t *status) {
  hone_format_t format;
  *out_storage = default_cache(model);
  if (!name) return true;
  if (!hone_format_parse(name, &format, status)) return false;
  if (!hone_cache_item_bytes(format.storage))
    return hone_fail(status, HONE_UNSUPPORTED, "the KV cache can be f32, f16 or q8, not %s (--kv)",
                     name);
  *out_storage = format.storage;
  return true;
}

// Kernels that the runtime's sampler calls on rows of logits; they belong to no op.
static void add_sampling(hone_lower_t *lower) {
  hone_plan_t *header = &lower->draft->header;
  hone_kernel_spec_t spec = {.family = HONE_FAMILY_ARGMAX, .K = header->vocab};
  header->argmax_flow = hone_lower_only(lower, &spec);
  spec.family = HONE_FAMILY_SOFTMAX;
  header->softmax_flow = hone_lower_only(lower, &spec);
}

static bool lower_blocks(hone_lower_t *lower) {
  size_t count = ir_block_count(lower->model);
  for (size_t i = 0; i < count; i++) {
    if (!ir_block_at(lower->model, i, &lower->block))
      return hone_fail(lower->status, HONE_INTERNAL, "@forward's call %zu has no function", i);
    lower->is_head = !strcmp(lower->block.kind, "head");
    if (lower->is_head != (i + 1 == count) || (lower->is_head && i == 0))
      return hone_fail(lower->status, HONE_UNSUPPORTED,
                       "@forward must end with its one head block, after at least one other (@%s)",
                       lower->block.name);
    if (lower->is_head) lower->draft->header.body_count = (uint32_t)lower->draft->launches.count;
    if (!lower_block(lower)) return false;
  }
  if (count == 0) return hone_fail(lower->status, HONE_INVALID, "@forward calls no block");
  return check_head(lower);
}

bool hone_plan_lower(const ir_model_t *model, const hone_plan_options_t *options,
                     hone_arena_t *arena, hone_draft_t *out_draft, hone_status_t *status) {
  memset(out_draft, 0, sizeof *out_draft);
  hone_lower_t lower = {
      .model = model,
      .options = options,
      .arena = arena,
      .draft = out_draft,
      .status = status,
      .stream = {.space = HONE_SPACE_IDS, .row_bytes = sizeof(int32_t)},
  };
  if (!read_header(&lower) || !hone_lower_cache(model, options->cache, &lower.cache, status))
    return false;
  out_draft->header.cache_storage = (uint32_t)lower.cache;
  out_draft->header.isa_count = (uint32_t)options->isa_count;
  if (!lower_blocks(&lower)) return false;
  if (out_draft->header.layers == 0)
    return hone_fail(status, HONE_UNSUPPORTED, "the model has no attention; nothing to cache");
  add_sampling(&lower);
  return true;
}
