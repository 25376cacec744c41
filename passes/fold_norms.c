// Folds the gains of norms into the linears that read them:
//   (norm(x) * g) W^T  ->  norm(x) (W diag(g))^T
// so that norms load no gain, and a rotation after it (rotate) turns rows of one size in all
// columns. The columns are scaled when the weight is packed; in f32 only the rounding of those
// products is new.
// Needs: the formats of the checkpoint (before quantize). Changes: norms lose their gain, recipes
// of linears get it. Keeps: the value of every block but for rounding. What stays as it is: gains
// of norms that anything but linears reads, weights that anything else uses too (tied embeddings),
// and weights that are quantized already, whose values would be lost.
#include <string.h>

#include "base/map.h"
#include "ir/simplify.h"
#include "passes/pass_internal.h"

typedef struct fold {
  ir_model_t *model;
  hone_map_t
      *gains;  // recipe of a linear -> the gain's source (char *), or "" if it has no one gain
  size_t refused_count;
} fold_t;

static const char none[] = "";

// The source of a norm's gain; NULL if it has none, or one made of several tensors.
static const char *gain_of(const fold_t *f, MlirOperation norm) {
  ir_recipe_t recipe;
  if (ir_op_kind(norm) != IR_OP_NORM) return NULL;
  const char *name = ir_value_recipe(ir_op_operand(norm, 1), f->model->session);
  if (!name || !ir_recipe_get(f->model, name, &recipe, &(hone_status_t){0})) return NULL;
  return recipe.combine == IR_SINGLE && !recipe.gain ? recipe.sources[0] : NULL;
}

static bool can_scale(const fold_t *f, const char *name) {
  ir_recipe_t recipe;
  return ir_recipe_get(f->model, name, &recipe, &(hone_status_t){0}) && !recipe.gain &&
         !recipe.rotate && !hone_format_is_quantized(recipe.format.storage);
}

// The recipe whose linear reads `value` as its x at this use; NULL: something else does.
static const char *recipe_at(const fold_t *f, MlirOpOperand use, ir_value_t value) {
  MlirOperation user = mlirOpOperandGetOwner(use);
  if (ir_op_kind(user) != IR_OP_LINEAR || !mlirValueEqual(ir_op_operand(user, 0), value) ||
      mlirValueEqual(ir_op_operand(user, 3), value))
    return NULL;
  return ir_value_recipe(ir_op_operand(user, 1), f->model->session);
}

// All uses of a weight are linears behind norms of one gain, or it cannot be scaled.
static void note_weight(fold_t *f, MlirOperation op) {
  if (ir_op_kind(op) != IR_OP_WEIGHT) return;
  ir_value_t weight = mlirOperationGetResult(op, 0);
  const char *name = ir_value_recipe(weight, f->model->session);
  if (!name) return;
  MlirOpOperand use = mlirValueGetFirstUse(weight);
  for (; !mlirOpOperandIsNull(use); use = mlirOpOperandGetNextUse(use)) {
    MlirOperation user = mlirOpOperandGetOwner(use);
    const char *known = hone_map_get(f->gains, name), *gain = NULL;
    if (ir_op_kind(user) == IR_OP_LINEAR && mlirValueEqual(ir_op_operand(user, 1), weight))
      gain = gain_of(f, hone_value_owner(ir_op_operand(user, 0)));
    if (!gain || !can_scale(f, name) || (known && strcmp(known, gain))) gain = none;
    hone_map_put(f->gains, name, (void *)(uintptr_t)gain);
  }
}

// Whether every reader of the norm is a linear whose weight takes its gain.
static bool can_fold(const fold_t *f, MlirOperation norm) {
  const char *gain = gain_of(f, norm);
  ir_value_t value = mlirOperationGetResult(norm, 0);
  MlirOpOperand use = mlirValueGetFirstUse(value);
  for (; gain && !mlirOpOperandIsNull(use); use = mlirOpOperandGetNextUse(use)) {
    const char *recipe = recipe_at(f, use, value);
    const char *taken = recipe ? hone_map_get(f->gains, recipe) : NULL;
    if (!taken || strcmp(taken, gain)) return false;
  }
  return gain && hone_value_uses(value) > 0;
}

// A weight behind a norm that keeps its gain keeps its columns.
static void refuse_readers(fold_t *f, MlirOperation norm) {
  if (ir_op_kind(norm) != IR_OP_NORM || can_fold(f, norm)) return;
  ir_value_t value = mlirOperationGetResult(norm, 0);
  MlirOpOperand use = mlirValueGetFirstUse(value);
  for (; !mlirOpOperandIsNull(use); use = mlirOpOperandGetNextUse(use)) {
    const char *recipe = recipe_at(f, use, value);
    const char *taken = recipe ? hone_map_get(f->gains, recipe) : NULL;
    if (!taken || !*taken) continue;
    hone_map_put(f->gains, recipe, (void *)(uintptr_t)none);
    f->refused_count++;
  }
}

typedef void visit_fn(fold_t *f, MlirOperation op);

static void for_each_op(fold_t *f, visit_fn *visit) {
  for (size_t i = 0; i < ir_block_count(f->model); i++) {
    ir_block_t block;
    if (!ir_block_at(f->model, i, &block)) continue;
    MlirOperation op = hone_block_first(&block);
    for (; !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op)) visit(f, op);
  }
}

// norm(x, g)  ->  norm(x)
static bool drop_gain(fold_t *f, MlirOperation norm, hone_status_t *status) {
  hone_rewrite_t rewrite;
  ir_value_t no_gain = {0}, x = ir_op_operand(norm, 0);
  hone_rewrite_begin(&rewrite, f->model, norm, status);
  ir_value_t plain = ir_norm(&rewrite.builder, x, no_gain, ir_op_float(norm, "epsilon", 0));
  if (!hone_rewrite_end(&rewrite)) return false;
  hone_op_replace(norm, plain);
  return true;
}

static bool rewrite_norms(fold_t *f, hone_status_t *status) {
  for (size_t i = 0; i < ir_block_count(f->model); i++) {
    ir_block_t block;
    if (!ir_block_at(f->model, i, &block)) continue;
    MlirOperation op = hone_block_first(&block), next;
    for (; !mlirOperationIsNull(op); op = next) {
      next = mlirOperationGetNextInBlock(op);
      if (ir_op_kind(op) == IR_OP_NORM && can_fold(f, op) && !drop_gain(f, op, status))
        return false;
    }
  }
  for (size_t i = 0; i < hone_map_count(f->gains); i++) {
    const char *gain = hone_map_value(f->gains, i);
    if (*gain) ir_recipe_set_gain(f->model, hone_map_key(f->gains, i), gain);
  }
  return true;
}

bool hone_pass_fold_norms(ir_model_t *model, const char *options, hone_status_t *status) {
  (void)options;
  hone_arena_t *arena = hone_arena_create();
  fold_t f = {.model = model, .gains = hone_map_create(arena)};
  for_each_op(&f, note_weight);
  for (size_t before = (size_t)-1; before != f.refused_count;) {  // one refusal leads to others
    before = f.refused_count;
    for_each_op(&f, refuse_readers);
  }
  bool ok = rewrite_norms(&f, status);
  hone_arena_destroy(arena);
  ir_dce(model);
  ir_recipes_prune(model);
  return ok;
}
