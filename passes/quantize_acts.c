// Quantizes activations where a linear's weight format prefers int8 input (base/formats.def), or
// everywhere (acts=q8), or nowhere (acts=f32): q8 rows, one scale per 64 values. An input that
// several linears share is quantized once. Models that were trained with quantized activations come
// with hone.quantize in them (frontend/llama.c): those stay, and `acts` must not say otherwise.
// Needs: weight formats chosen (quantize). Changes: adds hone.quantize before linears. Keeps:
// weights, and linears of plain float weights (their kernels take f32).
#include <string.h>

#include "passes/pass_internal.h"

static const hone_format_t act_format = {HONE_Q8, HONE_GROUP};

// The quantized form of x that an earlier op of the block made, or a null value.
static ir_value_t find_quantized(ir_value_t x, MlirOperation linear) {
  MlirOpOperand use = mlirValueGetFirstUse(x);
  for (; !mlirOpOperandIsNull(use); use = mlirOpOperandGetNextUse(use)) {
    MlirOperation user = mlirOpOperandGetOwner(use);
    hone_format_t format;
    int64_t rows, columns;
    if (ir_op_kind(user) != IR_OP_QUANTIZE || !mlirOperationIsBeforeInBlock(user, linear)) continue;
    if (ir_op_int(user, "rotate", 0)) continue;  // a weight that meets f32 rows is not rotated
    ir_value_t quantized = mlirOperationGetResult(user, 0);
    if (ir_value_shape(quantized, &format, &rows, &columns) &&
        hone_format_equal(format, act_format))
      return quantized;
  }
  return (ir_value_t){0};
}

// Rows that the model quantizes itself have to be what `acts` asks for. Signs are never made here.
static bool check_own(MlirOperation linear, bool is_head, const char *acts, hone_status_t *status) {
  hone_format_t format;
  int64_t rows, columns;
  if (!acts || !ir_value_shape(ir_op_operand(linear, 0), &format, &rows, &columns)) return true;
  const char *own = hone_format_info(format.storage)->name;
  if (format.storage != HONE_F32 && strcmp(acts, own))
    return hone_fail(status, HONE_UNSUPPORTED,
                     "acts=%s: the model was trained with %s activations and quantizes them "
                     "itself; leave out --acts, and --calibrate and --target-bpw, which run it "
                     "with f32 ones",
                     acts, own);
  if (format.storage != HONE_F32 || is_head || strcmp(acts, "b1")) return true;
  return hone_fail(status, HONE_UNSUPPORTED,
                   "acts=b1: this model was not trained with activations of one bit, and nothing "
                   "of it would be left: even models trained so pay 0.6 nats (QuEST, arXiv "
                   "2502.05003). They say so in config.json (docs/import.md); for any other use "
                   "q8 activations, with weights of one bit too (--weights b1)");
}

static bool wants_quantized(ir_model_t *model, MlirOperation linear, const char *acts,
                            bool *out_wants, hone_status_t *status) {
  hone_format_t format;
  int64_t N, K;
  ir_value_t weight = ir_op_operand(linear, 1);
  if (!ir_value_shape(weight, &format, &N, &K))
    return hone_fail(status, HONE_INTERNAL, "a linear's weight has no format");
  const hone_format_info_t *info = hone_format_info(format.storage);
  bool is_asked = acts && strcmp(acts, "b1");  // the head of a model with b1 activations is not
  *out_wants = is_asked ? !strcmp(acts, "q8") : info->compute == HONE_Q8;
  if (*out_wants && !hone_format_is_quantized(info->storage))
    return hone_fail(status, HONE_UNSUPPORTED,
                     "%s: kernels with q8 activations need quantized weights, not %s; leave "
                     "activations f32, or give weights=q8 or nf4",
                     ir_value_recipe(weight, model->session), info->name);
  return true;
}

static bool quantize_input(ir_model_t *model, MlirOperation linear, hone_status_t *status) {
  ir_value_t x = ir_op_operand(linear, 0);
  hone_format_t format;
  int64_t rows, columns;
  if (!ir_value_shape(x, &format, &rows, &columns) || format.storage != HONE_F32) return true;
  ir_value_t quantized = find_quantized(x, linear);
  if (ir_value_is_null(quantized)) {
    hone_rewrite_t rewrite;
    hone_rewrite_begin(&rewrite, model, linear, status);
    quantized = ir_quantize(&rewrite.builder, x, act_format, 0);
    if (!hone_rewrite_end(&rewrite)) return false;
  }
  mlirOperationSetOperand(linear, 0, quantized);
  return true;
}

bool hone_pass_quantize_acts(ir_model_t *model, const char *options, hone_status_t *status) {
  const char *acts = hone_pass_option(model, options, "acts");
  if (acts && strcmp(acts, "f32") && strcmp(acts, "q8") && strcmp(acts, "b1"))
    return hone_fail(status, HONE_INVALID, "acts=%s: activations are f32, q8 or b1", acts);
  for (size_t i = 0; i < ir_block_count(model); i++) {
    ir_block_t block;
    if (!ir_block_at(model, i, &block)) continue;
    MlirOperation op = hone_block_first(&block);
    for (; !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op)) {
      bool wants = false;
      if (ir_op_kind(op) != IR_OP_LINEAR) continue;
      if (!check_own(op, !strcmp(block.kind, "head"), acts, status) ||
          !wants_quantized(model, op, acts, &wants, status))
        return hone_note(status, "@%s", block.name);
      if (wants && !quantize_input(model, op, status)) return hone_note(status, "@%s", block.name);
    }
  }
  return true;
}
