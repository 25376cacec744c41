// Checks a plan field by field before anything uses it. The plan also has a checksum
// (runtime/model.c); this is the second lock, for plans made by a compiler with a bug and for files
// that were made to deceive.
#include "runtime/plan.h"

#include <math.h>
#include <string.h>

#include "base/checked.h"

enum {
  DIMENSION_LIMIT = 1 << 28,  // any single dimension of a model
  BATCH_LIMIT = 1 << 16,
  LAYER_LIMIT = 1 << 16,
};

static bool fail_field(hone_status_t *status, const char *field, uint64_t value) {
  return hone_fail(status, HONE_INVALID, "the plan is damaged: %s is %llu", field,
                   (unsigned long long)value);
}

static bool check_array(const hone_plan_t *plan, const char *name, uint64_t offset, uint64_t count,
                        uint64_t item_bytes, hone_status_t *status) {
  uint64_t bytes, end;
  if (!hone_checked_mul(count, item_bytes, &bytes) || !hone_checked_add(offset, bytes, &end) ||
      end > plan->bytes || offset < sizeof *plan || offset % 8 != 0) {
    return hone_fail(status, HONE_INVALID,
                     "the plan is damaged: %s (%llu items at byte %llu) is outside its %llu bytes",
                     name, (unsigned long long)count, (unsigned long long)offset,
                     (unsigned long long)plan->bytes);
  }
  return true;
}

static bool check_string(const hone_plan_t *plan, const char *field, uint64_t offset,
                         hone_status_t *status) {
  uint64_t start;
  if (!hone_checked_add(plan->strings, offset, &start) || start >= plan->bytes ||
      memchr((const char *)plan + start, 0, plan->bytes - start) == NULL) {
    return fail_field(status, field, offset);
  }
  return true;
}

static bool check_header(const hone_plan_t *plan, uint64_t limit_bytes, hone_status_t *status) {
  if ((uintptr_t)plan % 8 != 0 || limit_bytes < sizeof *plan) {
    return hone_fail(status, HONE_INVALID, "the plan is damaged: it is cut off or not aligned");
  }
  if (plan->magic != HONE_PLAN_MAGIC) return fail_field(status, "its magic number", plan->magic);
  if (plan->version != HONE_PLAN_VERSION) {
    return hone_fail(status, HONE_UNSUPPORTED,
                     "the model was compiled for plan version %u, this runtime reads version %d; "
                     "compile it again",
                     plan->version, (int)HONE_PLAN_VERSION);
  }
  if (plan->bytes < sizeof *plan || plan->bytes > limit_bytes)
    return fail_field(status, "bytes", plan->bytes);
  if (plan->isa_count < 1 || plan->isa_count > HONE_ISA_LIMIT)
    return fail_field(status, "isa_count", plan->isa_count);
  return check_array(plan, "launches", plan->launches, plan->launch_count, sizeof(hone_launch_t),
                     status) &&
         check_array(plan, "flows", plan->flows, (uint64_t)plan->flow_count * plan->isa_count,
                     sizeof(hone_flow_t), status) &&
         check_array(plan, "tensors", plan->tensors, plan->tensor_count, sizeof(hone_tensor_t),
                     status) &&
         check_array(plan, "kernels", plan->kernels, plan->kernel_count, sizeof(hone_kernel_info_t),
                     status) &&
         check_array(plan, "rope", plan->rope, plan->rope_count, sizeof(double), status) &&
         check_string(plan, "family_name", plan->family_name, status);
}

static bool check_model(const hone_plan_t *plan, hone_status_t *status) {
  const struct {
    const char *name;
    uint64_t value, high;
  } fields[] = {
      {"vocab", plan->vocab, DIMENSION_LIMIT},       {"width", plan->width, DIMENSION_LIMIT},
      {"layers", plan->layers, LAYER_LIMIT},         {"heads", plan->heads, LAYER_LIMIT},
      {"kv_heads", plan->kv_heads, plan->heads},     {"head_dim", plan->head_dim, LAYER_LIMIT},
      {"context", plan->context, DIMENSION_LIMIT},   {"batch", plan->batch, BATCH_LIMIT},
      {"head_batch", plan->head_batch, BATCH_LIMIT},
  };
  for (size_t i = 0; i < sizeof fields / sizeof *fields; ++i) {
    if (fields[i].value < 1 || fields[i].value > fields[i].high) {
      return fail_field(status, fields[i].name, fields[i].value);
    }
  }
  if (hone_cache_item_bytes((hone_storage_t)plan->cache_storage) == 0) {
    return fail_field(status, "cache_storage", plan->cache_storage);
  }
  if (plan->heads % plan->kv_heads != 0) return fail_field(status, "kv_heads", plan->kv_heads);
  if (plan->split_rows > plan->batch) return fail_field(status, "split_rows", plan->split_rows);
  if (plan->rope_count != 0 && plan->rope_count != plan->head_dim / 2) {
    return fail_field(status, "rope_count", plan->rope_count);
  }
  const double *rope = hone_plan_rope(plan);
  for (uint32_t i = 0; i < plan->rope_count; ++i) {
    if (!isfinite(rope[i]))
      return fail_field(status, "a rope frequency that is not finite; its index", i);
  }
  if (!isfinite(plan->rope_scale))
    return hone_fail(status, HONE_INVALID, "the plan is damaged: rope_scale");
  if (plan->bos < -1 || plan->bos >= (int64_t)plan->vocab)
    return fail_field(status, "bos", (uint32_t)plan->bos);
  if (plan->eos_count > HONE_PLAN_EOS_LIMIT)
    return fail_field(status, "eos_count", plan->eos_count);
  return true;
}

static bool check_flows(const hone_plan_t *plan, hone_status_t *status) {
  const hone_flow_t *flows = hone_plan_flows(plan, 0);
  for (uint32_t i = 0; i < plan->flow_count * plan->isa_count; ++i) {
    const hone_flow_t *flow = &flows[i];
    bool is_good = flow->count >= 1 && flow->count <= HONE_FLOW_LIMIT &&
                   flow->below[flow->count - 1] == UINT32_MAX;
    for (uint32_t j = 0; is_good && j < flow->count; ++j) {
      is_good =
          flow->kernel[j] < plan->kernel_count && (j == 0 || flow->below[j] > flow->below[j - 1]);
    }
    if (!is_good) return fail_field(status, "a flow that makes no sense; its index", i);
  }
  if (plan->argmax_flow >= plan->flow_count)
    return fail_field(status, "argmax_flow", plan->argmax_flow);
  if (plan->softmax_flow >= plan->flow_count)
    return fail_field(status, "softmax_flow", plan->softmax_flow);
  const hone_kernel_info_t *kernels = hone_plan_kernels(plan);
  for (uint32_t i = 0; i < plan->kernel_count; ++i) {
    if (!check_string(plan, "a kernel's name", kernels[i].name, status)) return false;
    if (!check_string(plan, "a kernel's family", kernels[i].family, status)) return false;
  }
  return true;
}

static bool check_tensors(const hone_plan_t *plan, hone_status_t *status) {
  const hone_tensor_t *tensors = hone_plan_tensors(plan);
  for (uint32_t i = 0; i < plan->tensor_count; ++i) {
    uint64_t end;
    if (!check_string(plan, "a tensor's name", tensors[i].name, status)) return false;
    if (!hone_checked_add(tensors[i].offset, tensors[i].bytes, &end) || end > plan->weight_bytes ||
        tensors[i].offset % 64 != 0 || tensors[i].storage >= HONE_STORAGE_COUNT) {
      return hone_fail(status, HONE_INVALID,
                       "the plan is damaged: tensor %s lies outside the weights",
                       hone_plan_string(plan, tensors[i].name));
    }
  }
  return true;
}

// `rows`: how many rows the launch may touch at the operand.
static bool is_good_operand(const hone_plan_t *plan, const hone_operand_t *operand, uint64_t rows) {
  uint64_t bytes, end;
  switch ((hone_space_t)operand->space) {
    case HONE_SPACE_NONE:
    case HONE_SPACE_IDS:
    case HONE_SPACE_ROPE:
    case HONE_SPACE_LOGITS: return true;
    case HONE_SPACE_COUNTERS:
    case HONE_SPACE_CHUNKS: return plan->split_rows > 0;
    case HONE_SPACE_ARENA:
      return hone_checked_mul(operand->row_bytes, rows, &bytes) &&
             hone_checked_add(operand->offset, bytes, &end) && end <= plan->arena_bytes &&
             operand->offset < plan->arena_bytes && operand->offset % 4 == 0;
    case HONE_SPACE_WEIGHTS:
      return operand->offset < plan->weight_bytes && operand->offset % 64 == 0;
    case HONE_SPACE_KEYS:
    case HONE_SPACE_VALUES: return operand->offset < plan->layers;
    case HONE_SPACE_PARTS:
      return hone_checked_add(operand->offset, operand->row_bytes, &end) &&
             end <= plan->parts_bytes && operand->offset % HONE_COUNTER_BYTES == 0;
  }
  return false;
}

static bool check_launches(const hone_plan_t *plan, hone_status_t *status) {
  if (plan->body_count > plan->launch_count)
    return fail_field(status, "body_count", plan->body_count);
  const hone_launch_t *launches = hone_plan_launches(plan);
  for (uint32_t i = 0; i < plan->launch_count; ++i) {
    const hone_launch_t *launch = &launches[i];
    if (!check_string(plan, "a launch's name", launch->name, status)) return false;
    if (launch->flow >= plan->flow_count)
      return fail_field(status, "a launch's flow", launch->flow);
    for (uint32_t j = 0; j < HONE_KERNEL_POINTERS; ++j) {
      bool is_body = i < plan->body_count || (i == plan->body_count && j == 0);
      if (!is_good_operand(plan, &launch->operands[j], is_body ? plan->batch : plan->head_batch)) {
        return hone_fail(status, HONE_INVALID,
                         "the plan is damaged: operand %u of launch %s is out of range", j,
                         hone_plan_string(plan, launch->name));
      }
    }
  }
  return true;
}

bool hone_plan_check(const hone_plan_t *plan, uint64_t limit_bytes, hone_status_t *status) {
  return check_header(plan, limit_bytes, status) && check_model(plan, status) &&
         check_flows(plan, status) && check_tensors(plan, status) && check_launches(plan, status);
}
