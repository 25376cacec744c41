// Chooses the number format of every weight. A weight's role decides: matrices of linears in blocks
// take `weights`; the embedding and the head's matrix (one recipe when tied) take `head`; gains and
// biases are always f32. Without `weights` matrices keep the checkpoint's format; without `head`
// the head is q8 under grouped weights (it is the most sensitive matrix), else as the weights.
// Formats are chosen here, codes are made when the weights are packed. Needs: a verified model.
// Changes: recipes' types and the types of their uses. Keeps: ops, shapes.
#include <string.h>

#include "base/map.h"
#include "passes/pass_internal.h"

// In order of strength: a recipe with several uses takes the strongest role.
typedef enum role { ROLE_NONE, ROLE_VECTOR, ROLE_WEIGHT, ROLE_HEAD } role_t;

// What a use of a weight by `user` makes of it.
static role_t role_of_use(MlirOperation user, ir_value_t weight, const char *block_kind) {
  ir_op_kind_t kind = ir_op_kind(user);
  if (kind == IR_OP_EMBED) return ROLE_HEAD;
  if (kind != IR_OP_LINEAR || !mlirValueEqual(ir_op_operand(user, 1), weight)) return ROLE_VECTOR;
  return strcmp(block_kind, "head") ? ROLE_WEIGHT : ROLE_HEAD;
}

static role_t role_of_weight(ir_value_t weight, const char *block_kind) {
  role_t role = ROLE_NONE;
  MlirOpOperand use = mlirValueGetFirstUse(weight);
  for (; !mlirOpOperandIsNull(use); use = mlirOpOperandGetNextUse(use)) {
    role_t found = role_of_use(mlirOpOperandGetOwner(use), weight, block_kind);
    if (found > role) role = found;
  }
  return role;
}

// Recipe names and the strongest role over all uses (role_t *), in order of first use.
static hone_map_t *find_roles(const ir_model_t *model, hone_arena_t *arena) {
  hone_map_t *roles = hone_map_create(arena);
  for (size_t i = 0; i < ir_block_count(model); i++) {
    ir_block_t block;
    if (!ir_block_at(model, i, &block)) continue;
    MlirOperation op = hone_block_first(&block);
    for (; !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op)) {
      if (ir_op_kind(op) != IR_OP_WEIGHT) continue;
      ir_value_t weight = mlirOperationGetResult(op, 0);
      const char *name = ir_value_recipe(weight, model->session);
      role_t *role = hone_map_get(roles, name);
      if (!role) hone_map_put(roles, name, role = HONE_NEW(arena, role_t));
      role_t found = role_of_weight(weight, block.kind);
      if (found > *role) *role = found;
    }
  }
  return roles;
}

// A format for each role; `set` is false where the checkpoint's stays.
typedef struct choice {
  bool set;
  hone_format_t format;
} choice_t;

static bool read_choices(const ir_model_t *model, const char *options, choice_t *weights,
                         choice_t *head, hone_status_t *status) {
  const char *weights_text = hone_pass_option(model, options, "weights");
  const char *head_text = hone_pass_option(model, options, "head");
  weights->set = weights_text;
  head->set = weights_text || head_text;
  if (weights_text && !hone_format_parse(weights_text, &weights->format, status))
    return hone_note(status, "weights=%s", weights_text);
  if (head_text && !hone_format_parse(head_text, &head->format, status))
    return hone_note(status, "head=%s", head_text);
  if (head_text || !weights_text) return true;
  bool grouped = hone_format_is_quantized(weights->format.storage);
  head->format = grouped ? hone_format_default(HONE_Q8) : weights->format;
  return true;
}

bool hone_pass_quantize(ir_model_t *model, const char *options, hone_status_t *status) {
  choice_t choices[] = {[ROLE_NONE] = {0},
                        [ROLE_VECTOR] = {true, {.storage = HONE_F32}},
                        [ROLE_WEIGHT] = {0},
                        [ROLE_HEAD] = {0}};
  if (!read_choices(model, options, &choices[ROLE_WEIGHT], &choices[ROLE_HEAD], status))
    return false;
  hone_arena_t *arena = hone_arena_create();
  hone_map_t *roles = find_roles(model, arena);
  for (size_t i = 0; i < hone_map_count(roles); i++) {
    const choice_t *choice = &choices[*(role_t *)hone_map_value(roles, i)];
    if (choice->set) ir_recipe_set_format(model, hone_map_key(roles, i), choice->format);
  }
  hone_arena_destroy(arena);
  return true;
}
