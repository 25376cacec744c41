// Block Hadamard rotation of quantized linears. With R the orthonormal, block-diagonal Hadamard
// matrix of blocks of 64 inputs (or 32, or 128),
//   x W^T  ->  (x R)(W R)^T
// is exact, and both sides become easier to quantize: rows of W R are closer to Gaussian, and an
// outlier of x is spread over its block (QuaRot, arXiv 2404.00456; blocks as in MR-GPTQ, arXiv
// 2509.23202). W R is made when the weight is packed, x R by the kernels that write q8 rows.
// Needs: q8 activations (quantize-acts). Changes: the attribute rotate of q8 rows and of the
// recipes they meet. Keeps: ops, types, and the value of every block but for quantization. What
// stays as it is: rows whose width the block does not divide, rows that are rotated already
// (QuEST), weights that anything but a linear of rotated rows uses (tied embeddings), and whatever
// shares rows with those.
#include "base/map.h"
#include "passes/pass_internal.h"

typedef struct rotation {
  ir_model_t *model;
  int64_t block;
  hone_map_t *kept;  // names of recipes that cannot be rotated
  size_t kept_count, rotated_count;
} rotation_t;

static void keep(rotation_t *r, const char *recipe) {
  if (!recipe || hone_map_get(r->kept, recipe)) return;
  hone_map_put(r->kept, recipe, r);
  r->kept_count++;
}

static bool makes_rows(MlirOperation op) {
  hone_format_t format;
  int64_t rows, columns;
  ir_op_kind_t kind = ir_op_kind(op);
  return (kind == IR_OP_QUANTIZE || kind == IR_OP_NORM) && !ir_op_int(op, "rotate", 0) &&
         ir_value_shape(mlirOperationGetResult(op, 0), &format, &rows, &columns) &&
         format.storage == HONE_Q8;
}

static const char *recipe_of(rotation_t *r, MlirOpOperand use) {
  MlirOperation user = mlirOpOperandGetOwner(use);
  if (ir_op_kind(user) != IR_OP_LINEAR) return NULL;
  return ir_value_recipe(ir_op_operand(user, 1), r->model->session);
}

// All users of the rows are linears whose weights can be rotated, and blocks fill the rows.
static bool can_rotate(rotation_t *r, MlirOperation op) {
  hone_format_t format;
  int64_t rows, columns;
  ir_value_t value = mlirOperationGetResult(op, 0);
  if (!ir_value_shape(value, &format, &rows, &columns) || columns % r->block) return false;
  MlirOpOperand use = mlirValueGetFirstUse(value);
  for (; !mlirOpOperandIsNull(use); use = mlirOpOperandGetNextUse(use)) {
    const char *recipe = recipe_of(r, use);
    if (!recipe || hone_map_get(r->kept, recipe)) return false;
  }
  return hone_value_uses(value) > 0;
}

typedef void visit_fn(rotation_t *r, MlirOperation op);

static void for_each_op(rotation_t *r, visit_fn *visit) {
  for (size_t i = 0; i < ir_block_count(r->model); i++) {
    ir_block_t block;
    if (!ir_block_at(r->model, i, &block)) continue;
    MlirOperation op = hone_block_first(&block);
    for (; !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op)) visit(r, op);
  }
}

// Keeps a weight that is used otherwise than by linears of q8 rows.
static void keep_other_uses(rotation_t *r, MlirOperation op) {
  if (ir_op_kind(op) != IR_OP_WEIGHT) return;
  ir_value_t weight = mlirOperationGetResult(op, 0);
  MlirOpOperand use = mlirValueGetFirstUse(weight);
  for (; !mlirOpOperandIsNull(use); use = mlirOpOperandGetNextUse(use)) {
    MlirOperation user = mlirOpOperandGetOwner(use);
    if (ir_op_kind(user) == IR_OP_LINEAR && mlirValueEqual(ir_op_operand(user, 1), weight) &&
        makes_rows(hone_value_owner(ir_op_operand(user, 0))))
      continue;
    keep(r, ir_value_recipe(weight, r->model->session));
  }
}

// Keeps all weights that meet rows which cannot be rotated.
static void keep_sharers(rotation_t *r, MlirOperation op) {
  if (!makes_rows(op) || can_rotate(r, op)) return;
  MlirOpOperand use = mlirValueGetFirstUse(mlirOperationGetResult(op, 0));
  for (; !mlirOpOperandIsNull(use); use = mlirOpOperandGetNextUse(use)) keep(r, recipe_of(r, use));
}

static void rotate(rotation_t *r, MlirOperation op) {
  if (!makes_rows(op) || !can_rotate(r, op)) return;
  hone_op_set_int(op, "rotate", r->block);
  r->rotated_count++;
  MlirOpOperand use = mlirValueGetFirstUse(mlirOperationGetResult(op, 0));
  for (; !mlirOpOperandIsNull(use); use = mlirOpOperandGetNextUse(use))
    ir_recipe_set_rotate(r->model, recipe_of(r, use), r->block);
}

bool hone_pass_rotate(ir_model_t *model, const char *options, hone_status_t *status) {
  const char *text = hone_pass_option(model, options, "block");
  rotation_t r = {.model = model, .block = HONE_ROTATION};
  if (text && (!hone_text_parse_i64(text, &r.block) || !hone_rotation_known(r.block)))
    return hone_fail(status, HONE_INVALID, "block=%.40s: blocks of 32, 64 or 128 inputs", text);
  hone_arena_t *arena = hone_arena_create();
  r.kept = hone_map_create(arena);
  for_each_op(&r, keep_other_uses);
  for (size_t before = (size_t)-1;
       before != r.kept_count;) {  // a kept weight keeps its rows' others
    before = r.kept_count;
    for_each_op(&r, keep_sharers);
  }
  for_each_op(&r, rotate);
  hone_arena_destroy(arena);
  return r.rotated_count > 0 ||
         hone_fail(status, HONE_UNSUPPORTED,
                   "nothing can be rotated: it takes linears of quantized weights and q8 "
                   "activations that are not rotated yet, with a multiple of %d inputs",
                   (int)r.block);
}
