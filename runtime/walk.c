// See walk.h.
#include "runtime/walk.h"

#include <string.h>
#include <sys/mman.h>

#include "runtime/plan.h"
#include "runtime/session_internal.h"

static const char *launch_name(const hone_plan_t *plan, uint32_t launch) {
  return hone_plan_string(plan, hone_plan_launches(plan)[launch].name);
}

static size_t block_bytes(const char *name) { return strcspn(name, "/"); }

static bool same_block(const hone_plan_t *plan, uint32_t a, uint32_t b) {
  const char *x = launch_name(plan, a), *y = launch_name(plan, b);
  return block_bytes(x) == block_bytes(y) && memcmp(x, y, block_bytes(x)) == 0;
}

bool hone_walk_at(const hone_session_t *session, uint32_t index, hone_walk_block_t *out_block) {
  const hone_plan_t *plan = session->model->plan;
  uint32_t begin = 0;
  for (uint32_t block = 0; begin < plan->launch_count; block++) {
    uint32_t end = begin + 1;
    while (end < plan->launch_count && end != plan->body_count && same_block(plan, begin, end))
      end++;
    if (block == index) {
      const char *name = launch_name(plan, begin);
      *out_block = (hone_walk_block_t){.name = name,
                                       .name_bytes = block_bytes(name),
                                       .begin = begin,
                                       .end = end,
                                       .is_first = begin == 0,
                                       .is_head = begin >= plan->body_count};
      return true;
    }
    begin = end;
  }
  return false;
}

uint32_t hone_walk_count(const hone_session_t *session) {
  hone_walk_block_t block;
  uint32_t count = 0;
  while (hone_walk_at(session, count, &block)) count++;
  return count;
}

uint32_t hone_walk_batch(const hone_session_t *session, const hone_walk_block_t *block) {
  const hone_plan_t *plan = session->model->plan;
  return block->is_head && plan->head_batch < plan->batch ? plan->head_batch : plan->batch;
}

uint32_t hone_walk_width(const hone_session_t *session) { return session->model->plan->width; }

// The tensor that a launch multiplies its input with, if it is a linear of f32 rows.
static const hone_tensor_t *linear_tensor(const hone_plan_t *plan, uint32_t index) {
  const hone_launch_t *launch = &hone_plan_launches(plan)[index];
  const hone_operand_t *weight = &launch->operands[1];
  if (launch->operands[0].space != HONE_SPACE_ARENA || weight->space != HONE_SPACE_WEIGHTS)
    return NULL;
  for (uint32_t i = 0; i < plan->tensor_count; i++) {
    const hone_tensor_t *tensor = &hone_plan_tensors(plan)[i];
    if (tensor->offset == weight->offset) return tensor->K > 1 ? tensor : NULL;
  }
  return NULL;
}

const char *hone_walk_last(const hone_session_t *session, uint32_t index) {
  const hone_plan_t *plan = session->model->plan;
  hone_walk_block_t block;
  if (!hone_walk_at(session, index, &block)) return NULL;
  const hone_tensor_t *tensor = linear_tensor(plan, block.end - 1);
  return tensor ? hone_plan_string(plan, tensor->name) : NULL;
}

static bool call_tap(hone_session_t *session, uint32_t index, uint32_t M, hone_walk_tap_fn *tap,
                     void *user, hone_status_t *status) {
  const hone_plan_t *plan = session->model->plan;
  const hone_tensor_t *tensor = linear_tensor(plan, index);
  if (!tensor || !tap) return true;
  const hone_operand_t *input = &hone_plan_launches(plan)[index].operands[0];
  if (input->row_bytes != hone_row_bytes(HONE_F32, tensor->K))
    return hone_fail(status, HONE_UNSUPPORTED,
                     "%s: its activations are not f32; compile the model to walk with acts=f32",
                     launch_name(plan, index));
  tap(user, hone_plan_string(plan, tensor->name), session->launches[index].args.ptr[0],
      input->row_bytes / sizeof(float), M, tensor->K);
  return true;
}

// Copies rows of the stream between the caller's (M, width) and the arena.
static void copy_stream(const hone_session_t *session, uint32_t launch, uint32_t M, float *stream,
                        bool into_arena) {
  const hone_plan_t *plan = session->model->plan;
  uint32_t row_bytes = hone_plan_launches(plan)[launch].operands[0].row_bytes;
  uint8_t *arena = session->launches[launch].args.ptr[0];
  for (uint32_t m = 0; m < M; m++) {
    uint8_t *place = arena + (size_t)m * row_bytes;
    float *row = stream + (size_t)m * plan->width;
    size_t bytes = plan->width * sizeof(float);
    if (into_arena) {
      memset(place + bytes, 0, row_bytes - bytes);
      memcpy(place, row, bytes);
    } else {
      memcpy(row, place, bytes);
    }
  }
}

bool hone_walk_run(hone_session_t *session, const hone_walk_block_t *block, uint32_t position,
                   uint32_t M, const int32_t *ids, float *stream, hone_walk_tap_fn *tap, void *user,
                   hone_status_t *status) {
  if (M > hone_walk_batch(session, block) || position + M > session->context)
    return hone_fail(status, HONE_INVALID, "%u rows at position %u do not fit the session", M,
                     position);
  session->position = position;
  session->last_logits = NULL;
  if (block->is_first) {
    memcpy(session->ids, ids, M * sizeof *ids);
  } else {
    copy_stream(session, block->begin, M, stream, true);
  }
  hone_session_fill_rope(session, M);
  for (uint32_t i = block->begin; i < block->end; i++) {
    if (!call_tap(session, i, M, tap, user, status)) return false;
    if (block->is_head && i + 1 == block->end) return true;
    if (!hone_session_run(session, i, i + 1, M, 0, status)) return false;
  }
  if (block->end < session->model->plan->launch_count)
    copy_stream(session, block->end, M, stream, false);
  return true;
}

bool hone_walk_logits(hone_session_t *session, const hone_walk_block_t *head, uint32_t M,
                      float *logits, hone_status_t *status) {
  uint64_t vocab = session->model->plan->vocab, padded = hone_padded(vocab);
  if (!hone_session_run(session, head->end - 1, head->end, M, 0, status)) return false;
  for (uint32_t m = 0; m < M; m++)
    memcpy(logits + m * vocab, session->logits + m * padded, vocab * sizeof *logits);
  return true;
}

void hone_walk_release(hone_session_t *session) {
  const hone_model_t *model = session->model;
  (void)madvise(model->mapping, model->mapping_bytes, MADV_DONTNEED);
}

bool hone_walk_tensor(hone_session_t *session, const char *name, hone_tensor_t *out_tensor,
                      uint8_t **out_bytes) {
  const hone_plan_t *plan = session->model->plan;
  for (uint32_t i = 0; i < plan->tensor_count; i++) {
    const hone_tensor_t *tensor = &hone_plan_tensors(plan)[i];
    if (strcmp(hone_plan_string(plan, tensor->name), name)) continue;
    *out_tensor = *tensor;
    *out_bytes = (uint8_t *)(uintptr_t)session->model->weights + tensor->offset;
    return true;
  }
  return false;
}
