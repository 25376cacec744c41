// Chooses the number format of every weight. A weight's role decides: matrices of linears in blocks
// take `weights`; the embedding and the head's matrix (one recipe when tied) take `head`; gains and
// biases are always f32. Needs: a verified model. Changes: recipes' types and the types of their
// uses. Keeps: ops and shapes.
#include <string.h>

#include "passes/pass_internal.h"

typedef enum role { ROLE_NONE, ROLE_VECTOR, ROLE_WEIGHT, ROLE_HEAD } role_t;

// What a use of a weight by `user` at operand `position` makes of it.
static role_t role_of_use(MlirOperation user, ir_value_t weight, const char *block_kind) {
  ir_op_kind_t kind = ir_op_kind(user);
  if (kind == IR_OP_EMBED) return ROLE_HEAD;
  if (kind != IR_OP_LINEAR || !mlirValueEqual(ir_op_operand(user, 1), weight)) return ROLE_VECTOR;
  return strcmp(block_kind, "head") ? ROLE_WEIGHT : ROLE_HEAD;
}

// The strongest role over all uses of the recipe.
static role_t role_of_recipe(const ir_model_t *model, const char *name) {
  role_t role = ROLE_NONE;
  for (size_t i = 0; i < ir_block_count(model); i++) {
    ir_block_t block;
    if (!ir_block_at(model, i, &block)) continue;
    MlirOperation op = hone_block_first(&block);
    for (; !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op)) {
      if (ir_op_kind(op) != IR_OP_WEIGHT) continue;
      ir_value_t weight = mlirOperationGetResult(op, 0);
      if (strcmp(ir_value_recipe(weight, model->session), name)) continue;
      MlirOpOperand use = mlirValueGetFirstUse(weight);
      for (; !mlirOpOperandIsNull(use); use = mlirOpOperandGetNextUse(use)) {
        role_t found = role_of_use(mlirOpOperandGetOwner(use), weight, block.kind);
        if (found > role) role = found;
      }
    }
  }
  return role;
}

bool hone_pass_quantize(ir_model_t *model, const char *options, hone_status_t *status) {
  const char *weights_text = hone_pass_option(model, options, "weights");
  const char *head_text = hone_pass_option(model, options, "head");
  hone_format_t weights = {0}, head = {0}, single = {.storage = HONE_F32};
  if (weights_text && !hone_format_parse(weights_text, &weights, status)) return false;
  if (head_text && !hone_format_parse(head_text, &head, status)) return false;
  if (weights_text && !head_text) {
    bool grouped = hone_format_info(weights.storage)->grouped;
    head = grouped ? (hone_format_t){HONE_Q8, HONE_GROUP} : weights;
  }
  for (size_t i = 0; i < ir_recipe_count(model); i++) {
    ir_recipe_t recipe;
    if (!ir_recipe_at(model, i, &recipe)) continue;
    role_t role = role_of_recipe(model, recipe.name);
    if (role == ROLE_VECTOR) ir_recipe_set_format(model, recipe.name, single);
    if (role == ROLE_WEIGHT && weights_text) ir_recipe_set_format(model, recipe.name, weights);
    if (role == ROLE_HEAD && (weights_text || head_text))
      ir_recipe_set_format(model, recipe.name, head);
  }
  return true;
}
