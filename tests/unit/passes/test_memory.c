// The memory plan, checked by brute force in two ways: no two buffers that hold values at the same
// time share a byte (but for those written in place), and the plan run on paper (hone_memory_check)
// never reads what is overwritten. And that the check finds plans that are broken on purpose.
#include "tests/unit/passes/fixture.h"

#include <mlir-c/BuiltinAttributes.h>
#include <mlir-c/BuiltinTypes.h>

#include "passes/plan_memory.h"

// In place: `later` continues the buffer `earlier`, which ends where it begins.
static bool in_place(const hone_memory_buffer_t *earlier, const hone_memory_buffer_t *later) {
  return later->alias >= 0 && earlier->offset == later->offset && earlier->bytes == later->bytes &&
         earlier->first < later->first;
}

static bool share_bytes(const hone_memory_buffer_t *a, const hone_memory_buffer_t *b) {
  return a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes;
}

static bool share_time(const hone_memory_buffer_t *a, const hone_memory_buffer_t *b) {
  return a->first <= b->last && b->first <= a->last;
}

// Returns the largest sum of bytes alive at once: no plan can need less.
static int64_t check_pairs(const hone_memory_buffers_t *buffers) {
  int64_t most = 0;
  for (size_t i = 0; i < buffers->count; i++) {
    const hone_memory_buffer_t *a = &buffers->items[i];
    int64_t alive = 0;
    if (a->offset < 0) continue;  // the logits
    assert_int_equal(a->offset % 64, 0);
    for (size_t j = 0; j < buffers->count; j++) {
      const hone_memory_buffer_t *b = &buffers->items[j];
      if (b->offset < 0) continue;
      if (b->alias < 0 && b->first <= a->first && a->first <= b->last) alive += b->bytes;
      if (j > i && share_time(a, b) && share_bytes(a, b) && !in_place(a, b))
        fail_msg("%s of %s and %s of %s overlap", a->op, a->block, b->op, b->block);
    }
    if (most < alive) most = alive;
  }
  return most;
}

static void check_plan(const char *passes, int64_t batch) {
  fixture_t f;
  hone_memory_buffers_t buffers = {0};
  int64_t total, needed = 0;
  fixture_open(&f, passes);
  if (!hone_memory_plan(&f.model, batch, 4, f.arena, &buffers, &total, &f.status))
    fail_msg("%s", f.status.message);
  assert_true(buffers.count > 10);
  int64_t most = check_pairs(&buffers);
  for (size_t i = 0; i < buffers.count; i++) {
    int64_t end = buffers.items[i].offset + buffers.items[i].bytes;
    if (buffers.items[i].offset >= 0 && needed < end) needed = end;
  }
  assert_int_equal(total, needed);
  assert_true(total >= most);
  assert_true(total <= most + most / 2);
  const char *pass =
      hone_arena_format(f.arena, "plan-memory{batch=%lld head_batch=4}", (long long)batch);
  if (!hone_passes_run(&f.model, pass, &f.status)) fail_msg("%s", f.status.message);
  if (!hone_memory_check(&f.model, &f.status)) fail_msg("%s", f.status.message);
  fixture_close(&f);
}

static void unfused_and_fused_plans_hold(void **state) {
  (void)state;
  check_plan("canonical", 7);
  check_plan("canonical,fuse", 256);
  check_plan("canonical,fuse", 1);
  check_plan("canonical,quantize{weights=nf4},quantize-acts,fuse", 256);
}

// The op of this kind, the nth of the model.
static MlirOperation find_op(fixture_t *f, ir_op_kind_t kind, int nth) {
  for (size_t i = 0; i < ir_block_count(&f->model); i++) {
    ir_block_t block;
    assert_true(ir_block_at(&f->model, i, &block));
    MlirRegion region = mlirOperationGetRegion(block.function, 0);
    MlirOperation op = mlirBlockGetFirstOperation(mlirRegionGetFirstBlock(region));
    for (; !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op))
      if (ir_op_kind(op) == kind && nth-- == 0) return op;
  }
  fail_msg("no such op");
  return (MlirOperation){0};
}

static void set_arena(MlirOperation op, int64_t offset) {
  MlirType i64 = mlirIntegerTypeGet(mlirOperationGetContext(op), 64);
  mlirOperationSetAttributeByName(op, mlirStringRefCreateFromCString("hone.arena"),
                                  mlirIntegerAttrGet(i64, offset));
}

static void broken_plans_are_found(void **state) {
  (void)state;
  fixture_t f;
  fixture_open(&f, "canonical,fuse,plan-memory");
  MlirOperation embed = find_op(&f, IR_OP_EMBED, 0), norm = find_op(&f, IR_OP_NORM, 0);
  MlirOperation qkv = find_op(&f, IR_OP_LINEAR, 0), head_norm = find_op(&f, IR_OP_NORM, 4);
  int64_t stream = ir_op_int(embed, "hone.arena", -1);
  const struct {
    MlirOperation op;
    int64_t offset;
    const char *message;
  } rows[] = {
      {norm, stream, "hone.norm in @layers.0.attention writes over its own operand"},
      {qkv, stream, "reads what is overwritten already"},  // the residual is read after it
      {qkv, ir_op_int(norm, "hone.arena", -1), "writes over its own operand"},
      {head_norm, stream, "hone.norm in @head writes over its own operand"},
      {qkv, 32, "is not aligned"},
      {qkv, (int64_t)1 << 40, "outside the arena"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    hone_status_t status = {0};
    int64_t before = ir_op_int(rows[i].op, "hone.arena", -1);
    set_arena(rows[i].op, rows[i].offset);
    assert_false(hone_memory_check(&f.model, &status));
    assert_contains(status.message, rows[i].message);
    set_arena(rows[i].op, before);
    assert_true(hone_memory_check(&f.model, &f.status));
  }
  fixture_close(&f);
}

static void the_plan_is_deterministic(void **state) {
  (void)state;
  hone_buffer_t first = {0}, second = {0};
  for (int i = 0; i < 2; i++) {
    fixture_t f;
    fixture_open(&f, "canonical,fuse,plan-memory");
    ir_model_print(&f.model, i ? &second : &first);
    fixture_close(&f);
  }
  assert_string_equal(hone_buffer_cstr(&first), hone_buffer_cstr(&second));
  hone_buffer_deinit(&first);
  hone_buffer_deinit(&second);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(unfused_and_fused_plans_hold),
      cmocka_unit_test(broken_plans_are_found),
      cmocka_unit_test(the_plan_is_deterministic),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
