// One form for what importers, searches and hands may write in several: every block is called once,
// equal ops are merged, dead ops, uncalled blocks and unused recipes are gone, and attention layers
// are numbered in call order (the number selects the KV cache, so it must be 0, 1, 2, ... without
// gaps). Not an optimiser: nothing here changes which kernels run.
// Needs: @forward is a chain of calls. Changes: functions, callees, hone.layer; removes ops and
// recipes. Keeps: the value of @forward.
#include <mlir-c/BuiltinAttributes.h>
#include <string.h>

#include "base/map.h"
#include "ir/simplify.h"
#include "passes/pass_internal.h"

static MlirStringRef ref(const char *text) { return mlirStringRefCreateFromCString(text); }

static bool is_function(MlirOperation op) {
  return mlirStringRefEqual(mlirIdentifierStr(mlirOperationGetName(op)), ref("func.func"));
}

// The names of all functions and recipes (they share one name space).
static hone_map_t *symbols(const ir_model_t *model, hone_arena_t *arena) {
  hone_map_t *names = hone_map_create(arena);
  MlirOperation op = mlirBlockGetFirstOperation(mlirModuleGetBody(model->module));
  for (; !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op)) {
    const char *name = ir_op_string(op, "sym_name", model->session);
    if (name) hone_map_put(names, name, names);
  }
  return names;
}

// Gives the call a copy of its function, named "<block>.2", "<block>.3", ... after it.
static void clone_callee(const ir_block_t *block, hone_map_t *taken, hone_arena_t *arena) {
  MlirContext context = mlirOperationGetContext(block->call);
  const char *name = NULL;
  for (int i = 2; !name || hone_map_get(taken, name); i++)
    name = hone_arena_format(arena, "%s.%d", block->name, i);
  hone_map_put(taken, name, taken);
  MlirOperation copy = mlirOperationClone(block->function);
  mlirOperationSetAttributeByName(copy, ref("sym_name"), mlirStringAttrGet(context, ref(name)));
  mlirBlockInsertOwnedOperationAfter(mlirOperationGetBlock(block->function), block->function, copy);
  mlirOperationSetAttributeByName(block->call, ref("callee"),
                                  mlirFlatSymbolRefAttrGet(context, ref(name)));
}

// call @f, call @f  ->  call @f, call @f.2: each call of an attention block is a layer with a KV
// cache of its own, and later passes place and tune every call for itself.
static void split_calls(ir_model_t *model, hone_arena_t *arena) {
  hone_map_t *taken = symbols(model, arena), *called = hone_map_create(arena);
  for (size_t i = 0; i < ir_block_count(model); i++) {
    ir_block_t block;
    if (!ir_block_at(model, i, &block)) continue;
    if (!hone_map_insert(called, block.name, strlen(block.name), called))
      clone_callee(&block, taken, arena);
  }
}

static void remove_uncalled(ir_model_t *model, hone_arena_t *arena) {
  hone_map_t *called = hone_map_create(arena);
  hone_map_put(called, "forward", called);
  for (size_t i = 0; i < ir_block_count(model); i++) {
    ir_block_t block;
    if (ir_block_at(model, i, &block)) hone_map_put(called, block.name, called);
  }
  MlirOperation op = mlirBlockGetFirstOperation(mlirModuleGetBody(model->module)), next;
  for (; !mlirOperationIsNull(op); op = next) {
    next = mlirOperationGetNextInBlock(op);
    const char *name = is_function(op) ? ir_op_string(op, "sym_name", model->session) : NULL;
    if (name && !hone_map_get(called, name)) mlirOperationDestroy(op);
  }
}

// Attention blocks count 0, 1, 2, ...; another block of the stack belongs to the attention before
// it.
static void number_layers(ir_model_t *model) {
  int64_t attentions = 0;
  for (size_t i = 0; i < ir_block_count(model); i++) {
    ir_block_t block;
    if (!ir_block_at(model, i, &block)) continue;
    bool is_attention = !strcmp(block.kind, "attention");
    if (is_attention) attentions++;
    if (is_attention || block.layer >= 0)
      hone_op_set_int(block.function, "hone.layer", attentions > 0 ? attentions - 1 : 0);
  }
}

bool hone_pass_canonical(ir_model_t *model, const char *options, hone_status_t *status) {
  (void)options, (void)status;
  hone_arena_t *arena = hone_arena_create();
  remove_uncalled(model, arena);
  split_calls(model, arena);
  hone_arena_destroy(arena);
  number_layers(model);
  ir_cse(model);
  ir_dce(model);
  ir_recipes_prune(model);
  return true;
}
