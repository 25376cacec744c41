// Gives linears a bias that corrects the mean error of their outputs:
//   x W^T + b  ->  x W'^T + (b + E[x] (W - W')^T)
// with W' the weight as quantized and x what enters it (which outputs they are to have the mean of,
// codegen/pack/encode.h says). They are known when the weight has been quantized, so the bias is a
// recipe that names the weight (ir_recipe_t.corrects), and the packer fills it in.
// Needs: fused linears with formats. Changes: linears, recipes. Keeps: the value of every block but
// for what quantization does. What stays as it is: linears of floats (unless of=all), heads, and
// weights that several linears share.
#include <string.h>

#include "base/map.h"
#include "ir/simplify.h"
#include "passes/pass_internal.h"

typedef struct correct {
  ir_model_t *model;
  bool all;          // floats too
  hone_map_t *uses;  // recipe -> how many uses (size_t *)
} correct_t;

static void count_uses(correct_t *c, hone_arena_t *arena) {
  for (size_t i = 0; i < ir_block_count(c->model); i++) {
    ir_block_t block;
    if (!ir_block_at(c->model, i, &block)) continue;
    MlirOperation op = hone_block_first(&block);
    for (; !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op)) {
      if (ir_op_kind(op) != IR_OP_WEIGHT) continue;
      ir_value_t weight = mlirOperationGetResult(op, 0);
      const char *name = ir_value_recipe(weight, c->model->session);
      size_t *count = name ? hone_map_get(c->uses, name) : NULL;
      if (!name) continue;
      if (!count) hone_map_put(c->uses, name, count = HONE_NEW(arena, size_t));
      *count += hone_value_uses(weight);
    }
  }
}

// The weight's recipe if its linear is to be corrected, and the bias it has so far (zero: none).
static bool read_linear(const correct_t *c, MlirOperation op, ir_recipe_t *out_weight,
                        ir_recipe_t *out_bias) {
  ir_session_t *session = c->model->session;
  *out_bias = (ir_recipe_t){0};
  const char *weight = ir_value_recipe(ir_op_operand(op, 1), session);
  const char *bias = ir_value_recipe(ir_op_operand(op, 2), session);
  const size_t *uses = weight ? hone_map_get(c->uses, weight) : NULL;
  if (!uses || *uses != 1 || !ir_recipe_get(c->model, weight, out_weight, &(hone_status_t){0}))
    return false;
  if (bias && (!ir_recipe_get(c->model, bias, out_bias, &(hone_status_t){0}) || out_bias->corrects))
    return false;
  return c->all || hone_format_is_quantized(out_weight->format.storage);
}

static bool correct(correct_t *c, MlirOperation op, hone_status_t *status) {
  ir_recipe_t weight, recipe;
  if (!read_linear(c, op, &weight, &recipe)) return true;
  recipe.name =
      hone_arena_format(ir_session_arena(c->model->session), "%s.correction", weight.name);
  recipe.corrects = weight.name;
  recipe.format = (hone_format_t){.storage = HONE_F32};
  recipe.N = weight.N;
  recipe.K = 1;
  ir_recipe_add(c->model, &recipe);
  hone_rewrite_t rewrite;
  hone_rewrite_begin(&rewrite, c->model, op, status);
  ir_value_t bias = ir_weight(&rewrite.builder, c->model, recipe.name);
  ir_value_t corrected =
      ir_linear(&rewrite.builder, ir_op_operand(op, 0), ir_op_operand(op, 1), bias,
                ir_op_operand(op, 3), ir_op_epilogue(op, c->model->session));
  if (!hone_rewrite_end(&rewrite)) return false;
  hone_op_replace(op, corrected);
  return true;
}

bool hone_pass_correct_bias(ir_model_t *model, const char *options, hone_status_t *status) {
  const char *of = hone_pass_option(model, options, "of");
  if (of && strcmp(of, "all") && strcmp(of, "quantized"))
    return hone_fail(status, HONE_INVALID, "of=%s: use quantized or all", of);
  hone_arena_t *arena = hone_arena_create();
  correct_t c = {.model = model, .all = of && !strcmp(of, "all"), .uses = hone_map_create(arena)};
  count_uses(&c, arena);
  bool ok = true;
  for (size_t i = 0; i < ir_block_count(model) && ok; i++) {
    ir_block_t block;
    if (!ir_block_at(model, i, &block) || !strcmp(block.kind, "head")) continue;
    MlirOperation op = hone_block_first(&block), next;
    for (; !mlirOperationIsNull(op) && ok; op = next) {
      next = mlirOperationGetNextInBlock(op);
      if (ir_op_kind(op) == IR_OP_LINEAR) ok = correct(&c, op, status);
    }
  }
  hone_arena_destroy(arena);
  ir_dce(model);
  ir_recipes_prune(model);
  return ok;
}
