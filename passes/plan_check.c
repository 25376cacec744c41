// Checks a memory plan by running it on paper: keeps what every byte range of the arena holds,
// lets ops write and read in call order, and fails when an op reads a value that something else has
// overwritten. It shares no code with plan_memory.c.
// Needs: plan-memory. Changes: nothing.
#include <inttypes.h>
#include <string.h>

#include "passes/pass_internal.h"
#include "passes/plan_memory.h"

typedef struct content {  // a value and the bytes it lies in
  ir_value_t value;
  int64_t begin, end;
  bool valid;
} content_t;

typedef struct check {
  const ir_model_t *model;
  hone_arena_t *arena;
  HONE_LIST(content_t) contents;
  int64_t arena_bytes, rows;
  const char *block;
  bool is_last;         // block of @forward
  ir_value_t argument;  // of the block being walked
  ir_value_t stream;    // what it stands for: the previous block's result; null for token ids
  hone_status_t *status;
} check_t;

static ir_value_t resolve(const check_t *check, ir_value_t value) {
  return mlirValueEqual(value, check->argument) ? check->stream : value;
}

static content_t *find(const check_t *check, ir_value_t value) {
  for (size_t i = check->contents.count; i-- > 0;)
    if (mlirValueEqual(check->contents.items[i].value, value)) return &check->contents.items[i];
  return NULL;
}

static bool is_activation(const check_t *check, ir_value_t value) {
  if (ir_value_is_null(resolve(check, value))) return false;  // token ids
  return ir_op_kind(hone_value_owner(value)) != IR_OP_WEIGHT;
}

static bool fail(const check_t *check, MlirOperation op, const char *what) {
  MlirStringRef name = mlirIdentifierStr(mlirOperationGetName(op));
  return hone_fail(check->status, HONE_INTERNAL, "memory plan: %.*s in @%s %s", (int)name.length,
                   name.data, check->block, what);
}

// Operands hold what was written, and do not share bytes with the result; a linear's residual may
// be exactly the result's bytes.
static bool read_operands(check_t *check, MlirOperation op, const content_t *result) {
  for (intptr_t i = 0; i < mlirOperationGetNumOperands(op); i++) {
    ir_value_t value = mlirOperationGetOperand(op, i);
    if (!is_activation(check, value)) continue;
    const content_t *content = find(check, resolve(check, value));
    if (!content || !content->valid) return fail(check, op, "reads what is overwritten already");
    if (result->end <= content->begin || content->end <= result->begin) continue;
    bool same = result->begin == content->begin && result->end == content->end;
    bool residual = ir_op_kind(op) == IR_OP_LINEAR && mlirValueEqual(value, ir_op_operand(op, 3)) &&
                    !mlirValueEqual(value, ir_op_operand(op, 0));
    if (!same || !residual) return fail(check, op, "writes over its own operand");
  }
  return true;
}

static bool run_op(check_t *check, MlirOperation op, ir_value_t block_result) {
  ir_value_t value = mlirOperationGetResult(op, 0);
  hone_format_t format;
  int64_t rows, columns, offset = ir_op_int(op, "hone.arena", -1);
  if (!ir_value_shape(value, &format, &rows, &columns)) return fail(check, op, "has no shape");
  uint64_t bytes = hone_row_bytes(format.storage, (uint64_t)columns) * (uint64_t)check->rows;
  bool is_logits = check->is_last && mlirValueEqual(value, block_result);
  content_t result = {value, offset, offset + (int64_t)bytes, true};
  if (is_logits) result.begin = result.end = -1;
  if (!is_logits && (offset < 0 || offset % HONE_PAD || result.end > check->arena_bytes))
    return fail(check, op, "lies outside the arena or is not aligned");
  if (!read_operands(check, op, &result)) return false;
  for (size_t i = 0; i < check->contents.count; i++) {
    content_t *other = &check->contents.items[i];
    if (other->begin < result.end && result.begin < other->end) other->valid = false;
  }
  if (ir_op_kind(op) == IR_OP_ATTEND_PACKED) {  // rotates q where it lies
    content_t *qkv = find(check, resolve(check, ir_op_operand(op, 0)));
    if (qkv) qkv->valid = false;
  }
  content_t *known = find(check, value);  // the head's second step writes its values again
  if (known)
    *known = result;
  else
    hone_list_push(check->arena, &check->contents, result);
  return true;
}

static bool run_block(check_t *check, const ir_block_t *block, ir_value_t *out_result) {
  MlirBlock body = mlirRegionGetFirstBlock(mlirOperationGetRegion(block->function, 0));
  ir_value_t returned = mlirOperationGetOperand(mlirBlockGetTerminator(body), 0);
  check->argument = mlirBlockGetArgument(body, 0);
  check->block = block->name;
  MlirOperation op = hone_block_first(block);
  for (; !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op)) {
    ir_op_kind_t kind = ir_op_kind(op);
    if (kind == IR_OP_OTHER || kind == IR_OP_WEIGHT) continue;
    if (!run_op(check, op, returned)) return false;
  }
  *out_result = resolve(check, returned);
  return true;
}

static bool run_blocks(check_t *check) {
  MlirOperation module = mlirModuleGetOperation(check->model->module);
  size_t count = ir_block_count(check->model);
  check->arena_bytes = ir_op_int(module, "hone.arena_bytes", -1);
  for (size_t i = 0; i < count; i++) {
    ir_block_t block;
    ir_value_t result = {0};
    if (!ir_block_at(check->model, i, &block))
      return hone_fail(check->status, HONE_INTERNAL, "@forward's call %zu has no function", i);
    bool head = !strcmp(block.kind, "head");
    check->rows = ir_op_int(module, head ? "hone.head_batch" : "hone.batch", 0);
    check->is_last = i + 1 == count;
    for (int step = 0; step < (head ? 2 : 1); step++)
      if (!run_block(check, &block, &result)) return false;
    check->stream = result;
  }
  return true;
}

bool hone_memory_check(const ir_model_t *model, hone_status_t *status) {
  check_t check = {.model = model, .arena = hone_arena_create(), .status = status};
  bool ok = run_blocks(&check);
  hone_arena_destroy(check.arena);
  return ok;
}
