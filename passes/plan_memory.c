// Gives every activation its place in one arena: attribute hone.arena (byte offset) on the op that
// writes it, and hone.arena_bytes, hone.batch and hone.head_batch on the module. Needs: fuse.
// Changes: attributes only. Keeps: everything else.
//
// Buffers live from the op that writes them to the last op that reads them, in call order; block
// arguments and results are the caller's buffers. Largest first, each goes into the smallest gap
// that holds it between the placed buffers alive at the same time (greedy by size for offset
// calculation: Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net Inference",
// 2020, section 5). A linear whose residual dies
// with it writes in place, so the residual stream needs one buffer for the whole model. The head
// runs several times per step, on few rows each, so what it reads from the body stays alive to the
// end. Logits and token ids are not in the arena.
#include "passes/plan_memory.h"

#include <string.h>

#include "base/checked.h"
#include "passes/pass_internal.h"

enum { ALIGNMENT = 64 };

typedef struct node {
  MlirOperation op;
  ir_value_t value;
  int64_t input, residual;  // buffers of a linear's x and residual, or -1
  bool head;
} node_t;

typedef struct plan {
  ir_model_t *model;
  hone_arena_t *arena;
  hone_memory_buffers_t *buffers;
  HONE_LIST(node_t) nodes;  // one per buffer
  int64_t batch, head_batch, step;
  ir_value_t argument;      // of the block being walked
  int64_t argument_buffer;  // its buffer, -1 for the token ids
  int64_t result_buffer;    // of the block before
  hone_status_t *status;
} plan_t;

// The buffer that holds a value of the block being walked, or -1.
static int64_t buffer_of(const plan_t *plan, ir_value_t value) {
  if (ir_value_is_null(value)) return -1;
  if (mlirValueEqual(value, plan->argument)) return plan->argument_buffer;
  for (size_t i = plan->nodes.count; i-- > 0;)
    if (mlirValueEqual(plan->nodes.items[i].value, value)) return (int64_t)i;
  return -1;
}

static bool buffer_bytes(plan_t *plan, ir_value_t value, int64_t rows, int64_t *out_bytes) {
  hone_format_t format;
  int64_t count, columns;
  uint64_t bytes;
  if (!ir_value_shape(value, &format, &count, &columns))
    return hone_fail(plan->status, HONE_INTERNAL, "an activation has no shape");
  if (!hone_checked_mul(hone_row_bytes(format.storage, (uint64_t)columns), (uint64_t)rows,
                        &bytes) ||
      bytes > INT64_MAX / 4)
    return hone_fail(plan->status, HONE_INVALID, "an activation of %lld columns is too large",
                     (long long)columns);
  *out_bytes = (int64_t)hone_round_up(bytes, ALIGNMENT);
  return true;
}

static void note_read(plan_t *plan, int64_t buffer) {
  if (buffer >= 0) plan->buffers->items[buffer].last = plan->step;
}

// attend_packed rotates q in the buffer it reads.
static bool check_rotation(plan_t *plan, const ir_block_t *block, MlirOperation op) {
  if (ir_op_kind(op) != IR_OP_ATTEND_PACKED) return true;
  if (hone_value_uses(ir_op_operand(op, 0)) == 1) return true;
  return hone_fail(plan->status, HONE_UNSUPPORTED,
                   "@%s: hone.attend_packed rotates its operand in place, so nothing else may read "
                   "that; compute it twice",
                   block->name);
}

static bool add_op(plan_t *plan, const ir_block_t *block, MlirOperation op, bool head) {
  if (!check_rotation(plan, block, op)) return false;
  for (size_t i = 0; i < plan->nodes.count; i++) {
    if (!mlirOperationEqual(plan->nodes.items[i].op, op)) continue;
    return hone_fail(plan->status, HONE_INVALID,
                     "@%s is called twice, and one call's buffers cannot serve both: run the pass "
                     "canonical first",
                     block->name);
  }
  hone_memory_buffer_t buffer = {
      .block = block->name, .first = plan->step, .last = plan->step, .alias = -1};
  ir_value_t value = mlirOperationGetResult(op, 0);
  if (!buffer_bytes(plan, value, head ? plan->head_batch : plan->batch, &buffer.bytes))
    return hone_note(plan->status, "@%s", block->name);
  MlirStringRef name = mlirIdentifierStr(mlirOperationGetName(op));
  buffer.op = hone_arena_strndup(plan->arena, name.data, name.length);
  for (intptr_t i = 0; i < mlirOperationGetNumOperands(op); i++)
    note_read(plan, buffer_of(plan, mlirOperationGetOperand(op, i)));
  hone_list_push(plan->arena, plan->buffers, buffer);
  bool linear = ir_op_kind(op) == IR_OP_LINEAR;
  int64_t input = linear ? buffer_of(plan, ir_op_operand(op, 0)) : -1;
  int64_t residual = linear ? buffer_of(plan, ir_op_operand(op, 3)) : -1;
  hone_list_push(plan->arena, &plan->nodes, (node_t){op, value, input, residual, head});
  plan->step++;
  return true;
}

static bool walk_block(plan_t *plan, const ir_block_t *block) {
  bool head = !strcmp(block->kind, "head");
  MlirRegion region = mlirOperationGetRegion(block->function, 0);
  plan->argument = mlirBlockGetArgument(mlirRegionGetFirstBlock(region), 0);
  plan->argument_buffer = plan->result_buffer;
  MlirOperation op = hone_block_first(block);
  for (; !mlirOperationIsNull(op); op = mlirOperationGetNextInBlock(op)) {
    ir_op_kind_t kind = ir_op_kind(op);
    if (kind == IR_OP_WEIGHT) continue;
    if (kind != IR_OP_OTHER) {
      if (!add_op(plan, block, op, head)) return false;
      continue;
    }
    plan->result_buffer = buffer_of(plan, mlirOperationGetOperand(op, 0));  // func.return
    if (plan->result_buffer < 0)
      return hone_fail(plan->status, HONE_UNSUPPORTED,
                       "@%s returns what it was given; remove its call from @forward", block->name);
  }
  return true;
}

// What the head reads from the body is read by every head step.
static void extend_head_inputs(plan_t *plan) {
  for (size_t i = 0; i < plan->nodes.count; i++) {
    if (plan->nodes.items[i].head) continue;
    hone_memory_buffer_t *buffer = &plan->buffers->items[i];
    if (buffer->last >= 0 && (size_t)buffer->last < plan->nodes.count &&
        plan->nodes.items[buffer->last].head)
      buffer->last = plan->step;
  }
}

static int64_t root_of(const plan_t *plan, int64_t buffer) {
  while (buffer >= 0 && plan->buffers->items[buffer].alias >= 0)
    buffer = plan->buffers->items[buffer].alias;
  return buffer;
}

// linear(x, W, residual r) where r dies: the result takes r's buffer, and r's root lives as long as
// the result.
static void alias_residuals(plan_t *plan) {
  hone_memory_buffer_t *buffers = plan->buffers->items;
  for (size_t i = 0; i < plan->nodes.count; i++) {
    const node_t *node = &plan->nodes.items[i];
    int64_t root = root_of(plan, node->residual);
    if (root < 0 || root == root_of(plan, node->input)) continue;
    bool dies = buffers[node->residual].last == buffers[i].first;
    if (!dies || buffers[root].bytes != buffers[i].bytes) continue;
    buffers[i].alias = root;
  }
  for (size_t i = 0; i < plan->nodes.count; i++) {
    int64_t root = root_of(plan, (int64_t)i);
    if (buffers[root].last < buffers[i].last) buffers[root].last = buffers[i].last;
  }
}

static bool alive_together(const hone_memory_buffer_t *a, const hone_memory_buffer_t *b) {
  return a->first <= b->last && b->first <= a->last;
}

// The smallest gap between the placed buffers alive together with `buffer` that holds it, or the
// place after the last of them. `placed` is sorted by offset.
static int64_t best_offset(const plan_t *plan, const size_t *placed, size_t count,
                           const hone_memory_buffer_t *buffer) {
  int64_t best = -1, best_gap = INT64_MAX, end = 0;
  for (size_t i = 0; i < count; i++) {
    const hone_memory_buffer_t *other = &plan->buffers->items[placed[i]];
    if (!alive_together(buffer, other)) continue;
    int64_t gap = other->offset - end;
    if (gap >= buffer->bytes && gap < best_gap) {
      best = end;
      best_gap = gap;
    }
    if (end < other->offset + other->bytes) end = other->offset + other->bytes;
  }
  return best < 0 ? end : best;
}

// Buffers that need a place of their own, largest first, then as written.
static size_t *sort_roots(const plan_t *plan, size_t *out_count) {
  const hone_memory_buffer_t *buffers = plan->buffers->items;
  size_t *order = HONE_NEW_ARRAY(plan->arena, size_t, plan->buffers->count), count = 0;
  for (size_t i = 0; i < plan->buffers->count; i++) {
    if (buffers[i].alias >= 0 || buffers[i].offset < 0) continue;
    size_t at = count++;
    for (; at > 0 && buffers[order[at - 1]].bytes < buffers[i].bytes; at--)
      order[at] = order[at - 1];
    order[at] = i;
  }
  *out_count = count;
  return order;
}

static int64_t place(plan_t *plan) {
  hone_memory_buffer_t *buffers = plan->buffers->items;
  size_t count;
  const size_t *order = sort_roots(plan, &count);
  size_t *placed = HONE_NEW_ARRAY(plan->arena, size_t, count);
  int64_t total = 0;
  for (size_t i = 0; i < count; i++) {
    hone_memory_buffer_t *buffer = &buffers[order[i]];
    buffer->offset = best_offset(plan, placed, i, buffer);
    if (total < buffer->offset + buffer->bytes) total = buffer->offset + buffer->bytes;
    size_t at = i;
    for (; at > 0 && buffers[placed[at - 1]].offset > buffer->offset; at--)
      placed[at] = placed[at - 1];
    placed[at] = order[i];
  }
  for (size_t i = 0; i < plan->buffers->count; i++)
    if (buffers[i].alias >= 0) buffers[i].offset = buffers[buffers[i].alias].offset;
  return total;
}

static bool make_plan(plan_t *plan, int64_t *out_bytes) {
  plan->result_buffer = -1;
  for (size_t i = 0; i < ir_block_count(plan->model); i++) {
    ir_block_t block;
    if (!ir_block_at(plan->model, i, &block))
      return hone_fail(plan->status, HONE_INTERNAL, "@forward's call %zu has no function", i);
    if (!walk_block(plan, &block)) return false;
  }
  if (!plan->buffers->count) return hone_fail(plan->status, HONE_INVALID, "the model has no ops");
  extend_head_inputs(plan);
  alias_residuals(plan);
  plan->buffers->items[plan->result_buffer].offset = -1;  // the logits
  *out_bytes = place(plan);
  return true;
}

bool hone_memory_plan(ir_model_t *model, int64_t batch, int64_t head_batch, hone_arena_t *arena,
                      hone_memory_buffers_t *out_buffers, int64_t *out_bytes,
                      hone_status_t *status) {
  plan_t plan = {.model = model,
                 .arena = arena,
                 .buffers = out_buffers,
                 .batch = batch,
                 .head_batch = head_batch,
                 .status = status};
  return make_plan(&plan, out_bytes);
}

static bool read_rows(const ir_model_t *model, const char *options, const char *name,
                      int64_t fallback, int64_t *out_rows, hone_status_t *status) {
  const char *text = hone_pass_option(model, options, name);
  *out_rows = fallback;
  if (!text) return true;
  if (!hone_text_parse_i64(text, out_rows) || *out_rows < 1 || *out_rows > 65536)
    return hone_fail(status, HONE_INVALID, "%s=%s: a number of rows from 1 to 65536", name, text);
  return true;
}

bool hone_pass_plan_memory(ir_model_t *model, const char *options, hone_status_t *status) {
  int64_t batch, head_batch, bytes;
  if (!read_rows(model, options, "batch", HONE_PLAN_BATCH, &batch, status) ||
      !read_rows(model, options, "head_batch", HONE_PLAN_HEAD_BATCH, &head_batch, status))
    return false;
  hone_memory_buffers_t buffers = {0};
  plan_t plan = {.model = model,
                 .arena = ir_session_arena(model->session),
                 .buffers = &buffers,
                 .batch = batch,
                 .head_batch = head_batch,
                 .status = status};
  if (!make_plan(&plan, &bytes)) return false;
  for (size_t i = 0; i < buffers.count; i++)
    if (buffers.items[i].offset >= 0)
      hone_op_set_int(plan.nodes.items[i].op, "hone.arena", buffers.items[i].offset);
  MlirOperation module = mlirModuleGetOperation(model->module);
  hone_op_set_int(module, "hone.arena_bytes", bytes);
  hone_op_set_int(module, "hone.batch", batch);
  hone_op_set_int(module, "hone.head_batch", head_batch);
  return hone_memory_check(model, status);
}
