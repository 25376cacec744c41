// CSE, DCE and pruning of recipes over the hone dialect; see simplify.h. Which ops are pure is the
// table's say (ops.def).
#include "ir/simplify.h"

#include <mlir-c/IR.h>
#include <string.h>

#include "base/map.h"
#include "ir/attribute_internal.h"

static bool is_pure(MlirOperation op) {
  static const bool pure[] = {
      [IR_OP_OTHER] = false,
#define OP(name, ENUM, is_pure, ...) [IR_OP_##ENUM] = is_pure,
#include "ir/ops.def"
#undef OP
  };
  if (mlirOperationGetNumRegions(op) > 0 || mlirOperationGetNumSuccessors(op) > 0) return false;
  MlirStringRef name = mlirIdentifierStr(mlirOperationGetName(op));
  bool arith = name.length > 6 && memcmp(name.data, "arith.", 6) == 0;
  return arith || pure[ir_op_kind(op)];
}

static bool is_unused(MlirOperation op) {
  for (intptr_t i = 0; i < mlirOperationGetNumResults(op); i++) {
    if (!mlirOpOperandIsNull(mlirValueGetFirstUse(mlirOperationGetResult(op, i)))) return false;
  }
  return true;
}

static void add_pointer(hone_buffer_t *key, const void *pointer) {
  hone_buffer_add(key, &pointer, sizeof pointer);
}

// Everything that makes two pure ops the same. Names, types and attributes are unique per context,
// so their addresses say it; a null separates the parts.
static void make_key(MlirOperation op, hone_buffer_t *key) {
  key->bytes = 0;
  add_pointer(key, mlirOperationGetName(op).ptr);
  for (intptr_t i = 0; i < mlirOperationGetNumOperands(op); i++) {
    add_pointer(key, mlirOperationGetOperand(op, i).ptr);
  }
  add_pointer(key, NULL);
  for (intptr_t i = 0; i < mlirOperationGetNumResults(op); i++) {
    add_pointer(key, mlirValueGetType(mlirOperationGetResult(op, i)).ptr);
  }
  add_pointer(key, NULL);
  for (intptr_t i = 0; i < mlirOperationGetNumAttributes(op); i++) {
    MlirNamedAttribute attribute = mlirOperationGetAttribute(op, i);
    add_pointer(key, attribute.name.ptr);
    add_pointer(key, attribute.attribute.ptr);
  }
}

typedef HONE_LIST(MlirOperation) operation_list_t;

static void list_operations(MlirBlock block, hone_arena_t *arena, operation_list_t *out) {
  MlirOperation op = mlirBlockGetFirstOperation(block);
  for (; !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op)) {
    hone_list_push(arena, out, op);
  }
}

static size_t cse_block(MlirBlock block, hone_arena_t *arena) {
  hone_map_t *seen = hone_map_create(arena);
  hone_buffer_t key = {0};
  size_t erased = 0;
  operation_list_t list = {0};
  list_operations(block, arena, &list);
  for (size_t i = 0; i < list.count; i++) {
    MlirOperation op = list.items[i];
    if (!is_pure(op)) continue;
    make_key(op, &key);
    MlirOperation *first = hone_map_find(seen, key.data, key.bytes);
    if (!first) {
      hone_map_insert(seen, key.data, key.bytes, &list.items[i]);
      continue;
    }
    for (intptr_t k = 0; k < mlirOperationGetNumResults(op); k++) {
      mlirValueReplaceAllUsesOfWith(mlirOperationGetResult(op, k),
                                    mlirOperationGetResult(*first, k));
    }
    mlirOperationDestroy(op);
    erased++;
  }
  hone_buffer_deinit(&key);
  return erased;
}

static size_t dce_block(MlirBlock block, hone_arena_t *arena) {
  operation_list_t list = {0};
  list_operations(block, arena, &list);
  size_t erased = 0;
  for (size_t i = list.count; i-- > 0;) {  // uses come after definitions, so one sweep is enough
    if (!is_pure(list.items[i]) || !is_unused(list.items[i])) continue;
    mlirOperationDestroy(list.items[i]);
    erased++;
  }
  return erased;
}

// Applies `work` to every block of every function.
static size_t over_blocks(ir_model_t *model, size_t (*work)(MlirBlock, hone_arena_t *)) {
  hone_arena_t *arena = hone_arena_create();
  size_t count = 0;
  MlirOperation op = mlirBlockGetFirstOperation(mlirModuleGetBody(model->module));
  for (; !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op)) {
    if (!ir_op_is(op, "func.func")) continue;
    MlirBlock block = mlirRegionGetFirstBlock(mlirOperationGetRegion(op, 0));
    for (; !mlirBlockIsNull(block); block = mlirBlockGetNextInRegion(block)) {
      count += work(block, arena);
    }
  }
  hone_arena_destroy(arena);
  return count;
}

size_t ir_cse(ir_model_t *model) { return over_blocks(model, cse_block); }

size_t ir_dce(ir_model_t *model) { return over_blocks(model, dce_block); }

typedef struct references {
  hone_map_t *names;
} references_t;

static MlirWalkResult note_reference(MlirOperation op, void *user) {
  references_t *references = user;
  MlirStringRef name;
  if (ir_op_kind(op) == IR_OP_WEIGHT && ir_attribute_symbol(ir_attribute(op, "ref"), &name)) {
    hone_map_insert(references->names, name.data, name.length, references);
  }
  return MlirWalkResultAdvance;
}

size_t ir_recipes_prune(ir_model_t *model) {
  hone_arena_t *arena = hone_arena_create();
  references_t references = {hone_map_create(arena)};
  mlirOperationWalk(mlirModuleGetOperation(model->module), note_reference, &references,
                    MlirWalkPreOrder);
  size_t erased = 0;
  operation_list_t list = {0};
  list_operations(mlirModuleGetBody(model->module), arena, &list);
  for (size_t i = 0; i < list.count; i++) {
    MlirStringRef name;
    if (ir_op_kind(list.items[i]) != IR_OP_RECIPE) continue;
    if (!ir_attribute_text(ir_attribute(list.items[i], "sym_name"), &name)) continue;
    if (hone_map_find(references.names, name.data, name.length)) continue;
    mlirOperationDestroy(list.items[i]);
    erased++;
  }
  hone_arena_destroy(arena);
  return erased;
}
