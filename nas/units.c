// The units of an allocation: recipes that must share a format, because their linears read one
// input and become one kernel (q, k, v; gate, up), or stand alone.
#include <string.h>

#include "nas/allocate_internal.h"

static hone_unit_t *unit_of(hone_units_t *units, MlirOperation block, ir_value_t input) {
  for (size_t i = 0; i < units->count; i++)
    if (mlirOperationEqual(units->items[i].block, block) &&
        mlirValueEqual(units->items[i].input, input))
      return &units->items[i];
  return NULL;
}

static bool is_known(const hone_units_t *units, const char *name) {
  for (size_t i = 0; i < units->count; i++)
    for (size_t r = 0; r < units->items[i].recipe_count; r++)
      if (!strcmp(units->items[i].recipes[r].name, name)) return true;
  return false;
}

static bool add(const hone_compile_t *compile, hone_units_t *units, MlirOperation block,
                ir_value_t input, const char *name, bool is_head, hone_status_t *status) {
  ir_recipe_t recipe;
  if (!name || is_known(units, name)) return true;  // a tied embedding is one unit
  if (!ir_recipe_get(&compile->model, name, &recipe, status)) return false;
  hone_unit_t *unit = unit_of(units, block, input);
  if (!unit) {
    hone_list_push(
        compile->arena, units,
        (hone_unit_t){.block = block, .input = input, .name = recipe.name, .is_head = is_head});
    unit = &units->items[units->count - 1];
  }
  if (unit->recipe_count == HONE_UNIT_RECIPES)
    return hone_fail(status, HONE_UNSUPPORTED, "more than %d linears read one input at %s",
                     HONE_UNIT_RECIPES, recipe.name);
  if (unit->recipe_count > 0) {  // layers.0.attention.q and .k: layers.0.attention.qk
    const char *dot = strrchr(recipe.name, '.');
    unit->name =
        hone_arena_format(compile->arena, "%s+%s", unit->name, dot ? dot + 1 : recipe.name);
  }
  unit->recipes[unit->recipe_count++] = recipe;
  unit->weights += (uint64_t)recipe.N * (uint64_t)recipe.K;
  return true;
}

bool hone_units_find(const hone_compile_t *compile, hone_units_t *out_units,
                     hone_status_t *status) {
  for (size_t i = 0; i < ir_block_count(&compile->model); i++) {
    ir_block_t block;
    if (!ir_block_at(&compile->model, i, &block)) continue;
    bool is_head = !strcmp(block.kind, "embed") || !strcmp(block.kind, "head");
    MlirBlock body = mlirRegionGetFirstBlock(mlirOperationGetRegion(block.function, 0));
    MlirOperation op = mlirBlockGetFirstOperation(body);
    for (; !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op)) {
      ir_op_kind_t kind = ir_op_kind(op);
      if (kind != IR_OP_LINEAR && kind != IR_OP_EMBED) continue;
      if (!add(compile, out_units, block.function, ir_op_operand(op, 0),
               ir_value_recipe(ir_op_operand(op, 1), compile->session), is_head, status))
        return false;
    }
  }
  return true;
}
