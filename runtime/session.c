// A session: activations, KV cache and position of one conversation, and the walk over the plan.
// One step runs the body launches on up to `batch` tokens, then the head launches on the rows whose
// logits are wanted. Memory is mapped once at creation; feeding allocates nothing.
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/checked.h"
#include "runtime/cpu.h"
#include "runtime/pages.h"
#include "runtime/plan.h"
#include "runtime/session_internal.h"

enum {
  ALIGNMENT = 64,
  GRAIN_BYTES =
      16 * 1024,  // a thread is worth waking for this much memory traffic, about 2 microseconds
};

static uint64_t cache_block_bytes(const hone_plan_t *plan) {
  return hone_cache_block_bytes((hone_storage_t)plan->cache_storage, plan->head_dim);
}

// Bytes of K (or V) of one layer.
static bool get_cache_side(const hone_plan_t *plan, uint32_t capacity, uint64_t *out_bytes) {
  uint64_t bytes = cache_block_bytes(plan);
  return hone_checked_mul(bytes, capacity / HONE_CACHE_BLOCK, &bytes) &&
         hone_checked_mul(bytes, plan->kv_heads, out_bytes);
}

typedef struct page_layout {
  uint64_t bytes;
  bool has_overflow;
} page_layout_t;

// Reserves count * item_bytes in the layout and returns the offset.
static uint64_t reserve(page_layout_t *layout, uint64_t count, uint64_t item_bytes) {
  uint64_t bytes, offset = layout->bytes;
  if (!hone_checked_mul(count, item_bytes, &bytes) || bytes > (uint64_t)PTRDIFF_MAX / 4 ||
      !hone_checked_add(offset, hone_round_up(bytes, ALIGNMENT), &layout->bytes)) {
    layout->has_overflow = true;
  }
  return offset;
}

// Results of the chunks of one kv head.
static uint64_t split_head_bytes(const hone_plan_t *plan, uint32_t capacity) {
  if (plan->split_rows == 0) return 0;
  uint32_t share = plan->heads / plan->kv_heads;
  return hone_chunk_count(0, capacity) * hone_chunk_bytes(share, plan->head_dim);
}

static bool map_memory(hone_session_t *session, hone_status_t *status) {
  const hone_plan_t *plan = session->model->plan;
  uint64_t vocab_padded = hone_padded(plan->vocab), side;
  page_layout_t layout = {0};
  uint64_t arena = reserve(&layout, plan->arena_bytes, 1);
  uint64_t ids = reserve(&layout, plan->batch, sizeof(int32_t));
  uint64_t rope = reserve(&layout, plan->batch, (uint64_t)plan->head_dim * sizeof(float));
  uint64_t logits = reserve(&layout, plan->head_batch, vocab_padded * sizeof(float));
  uint64_t probabilities = reserve(&layout, vocab_padded, sizeof(float));
  uint64_t picked = reserve(&layout, 1, ALIGNMENT);
  uint64_t candidates = reserve(&layout, plan->vocab, sizeof(hone_candidate_t));
  uint64_t parts = reserve(&layout, plan->parts_bytes, 1);
  uint64_t split_heads = (uint64_t)plan->split_rows * plan->kv_heads;
  uint64_t counters = reserve(&layout, split_heads, HONE_COUNTER_BYTES);
  uint64_t chunks = reserve(&layout, split_heads, split_head_bytes(plan, session->capacity));
  bool fits = !layout.has_overflow && get_cache_side(plan, session->capacity, &side) &&
              hone_checked_mul(side, 2 * (uint64_t)plan->layers, &session->cache_bytes);
  if (fits) {
    session->pages_bytes = layout.bytes;
    session->pages = hone_pages_map(session->pages_bytes, false);
    session->cache = hone_pages_map(session->cache_bytes, false);
    // Every head's cache grows at its own place: huge pages would make short conversations take
    // memory for long ones.
    if (session->cache != NULL)
      (void)madvise(session->cache, session->cache_bytes, MADV_NOHUGEPAGE);
  }
  if (!fits || session->pages == NULL || session->cache == NULL) {
    return hone_fail(status, HONE_EXHAUSTED,
                     "no memory for a session: %llu MB of activations and %llu MB of KV cache for "
                     "%u positions; ask "
                     "for a shorter context",
                     (unsigned long long)(layout.bytes >> 20),
                     (unsigned long long)(session->cache_bytes >> 20), session->context);
  }
  session->arena = session->pages + arena;
  session->ids = (int32_t *)(session->pages + ids);
  session->rope = (float *)(session->pages + rope);
  session->logits = (float *)(session->pages + logits);
  session->probabilities = (float *)(session->pages + probabilities);
  session->picked = (int32_t *)(session->pages + picked);
  session->parts = session->pages + parts;
  session->counters = session->pages + counters;
  session->chunks = session->pages + chunks;
  session->candidates = (hone_candidate_t *)(session->pages + candidates);
  return true;
}

static void *operand_pointer(const hone_session_t *session, const hone_operand_t *operand) {
  uint64_t side = 0;
  (void)get_cache_side(session->model->plan, session->capacity,
                       &side);  // did not overflow when mapped
  switch ((hone_space_t)operand->space) {
    case HONE_SPACE_NONE: return NULL;
    case HONE_SPACE_ARENA: return session->arena + operand->offset;
    case HONE_SPACE_WEIGHTS: return (void *)(uintptr_t)(session->model->weights + operand->offset);
    case HONE_SPACE_IDS: return session->ids;
    case HONE_SPACE_ROPE: return session->rope;
    case HONE_SPACE_KEYS: return session->cache + 2 * operand->offset * side;
    case HONE_SPACE_VALUES: return session->cache + (2 * operand->offset + 1) * side;
    case HONE_SPACE_LOGITS: return session->logits;
    case HONE_SPACE_PARTS: return session->parts + operand->offset;
    case HONE_SPACE_COUNTERS: return session->counters;
    case HONE_SPACE_CHUNKS: return session->chunks;
  }
  return NULL;
}

static uint64_t tensor_bytes_at(const hone_plan_t *plan, uint64_t offset) {
  const hone_tensor_t *tensors = hone_plan_tensors(plan);
  for (uint32_t i = 0; i < plan->tensor_count; ++i) {
    if (offset >= tensors[i].offset && offset - tensors[i].offset < tensors[i].bytes)
      return tensors[i].bytes;
  }
  return 0;
}

// How much memory the launch touches decides how many threads are worth waking for it.
static void estimate_work(const hone_plan_t *plan, const hone_launch_t *launch,
                          session_launch_t *out) {
  bool has_rope = false;
  uint64_t key_bytes = 0;
  for (int i = 0; i < HONE_KERNEL_POINTERS; ++i) {
    const hone_operand_t *operand = &launch->operands[i];
    switch ((hone_space_t)operand->space) {
      case HONE_SPACE_WEIGHTS: out->bytes_per_row += tensor_bytes_at(plan, operand->offset); break;
      case HONE_SPACE_KEYS:
      case HONE_SPACE_VALUES:
        key_bytes += cache_block_bytes(plan) * plan->kv_heads / HONE_CACHE_BLOCK;
        break;
      case HONE_SPACE_ROPE: has_rope = true; break;
      case HONE_SPACE_PARTS: break;
      default: out->bytes_per_row += operand->row_bytes; break;
    }
  }
  // The launch that takes the rope table only writes its own rows of the cache; the others read all
  // of it.
  if (has_rope) {
    out->bytes_per_row += key_bytes;
  } else {
    out->bytes_per_key = key_bytes;
  }
}

static bool prepare_launches(hone_session_t *session, hone_status_t *status) {
  const hone_plan_t *plan = session->model->plan;
  const hone_launch_t *launches = hone_plan_launches(plan);
  session->launches =
      calloc(plan->launch_count > 0 ? plan->launch_count : 1, sizeof *session->launches);
  if (session->launches == NULL)
    return hone_fail(status, HONE_EXHAUSTED, "no memory for a session's launches");
  for (uint32_t i = 0; i < plan->launch_count; ++i) {
    session_launch_t *out = &session->launches[i];
    out->flow = &session->model->flows[launches[i].flow];
    out->args.capacity = session->capacity;
    for (int j = 0; j < HONE_KERNEL_POINTERS; ++j) {
      out->args.ptr[j] = operand_pointer(session, &launches[i].operands[j]);
    }
    estimate_work(plan, &launches[i], out);
  }
  return true;
}

bool hone_session_create(hone_model_t *model, const hone_session_options_t *options,
                         hone_session_t **out_session, hone_status_t *status) {
  *out_session = NULL;
  const hone_plan_t *plan = model->plan;
  hone_session_options_t zero = {0};
  if (options == NULL) options = &zero;
  uint32_t context = options->context != 0 ? options->context : plan->context;
  if (context > plan->context) {
    return hone_fail(status, HONE_INVALID, "a context of %u tokens is more than the model's %u",
                     context, plan->context);
  }
  hone_session_t *session = calloc(1, sizeof *session);
  if (session == NULL) return hone_fail(status, HONE_EXHAUSTED, "no memory for a session");
  session->model = model;
  session->context = context;
  session->capacity = (uint32_t)hone_round_up(context, HONE_CACHE_STEP);
  session->threads = options->threads != 0 ? options->threads : hone_cpu_count();
  if (options->threads == 0 && session->threads > HONE_THREAD_LIMIT)
    session->threads = HONE_THREAD_LIMIT;
  bool ok = map_memory(session, status) && prepare_launches(session, status);
  if (ok && session->threads > 1) ok = hone_pool_create(session->threads, &session->pool, status);
  if (!ok) {
    hone_session_destroy(session);
    return false;
  }
  *out_session = session;
  return true;
}

void hone_session_destroy(hone_session_t *session) {
  if (session == NULL) return;
  hone_pool_destroy(session->pool);
  hone_pages_unmap(session->cache, session->cache_bytes);
  hone_pages_unmap(session->pages, session->pages_bytes);
  free(session->launches);
  free(session);
}

void hone_session_rewind(hone_session_t *session, uint32_t position) {
  if (position >= session->position) return;
  session->position = position;
  session->last_logits = NULL;
  if (position == 0) session->sampled_count = 0;
}

uint32_t hone_session_position(const hone_session_t *session) { return session->position; }

void hone_session_cancel(hone_session_t *session) { atomic_store(&session->is_cancelled, true); }

void hone_session_fill_rope(hone_session_t *session, uint32_t M) {
  const hone_plan_t *plan = session->model->plan;
  const double *frequencies = hone_plan_rope(plan);
  uint32_t half = plan->rope_count;
  for (uint32_t m = 0; m < M && half != 0; ++m) {
    float *row = session->rope + (size_t)m * plan->head_dim;
    for (uint32_t i = 0; i < half; ++i) {
      double angle = (double)(session->position + m) * frequencies[i];
      row[i] = (float)(cos(angle) * plan->rope_scale);
      row[half + i] = (float)(sin(angle) * plan->rope_scale);
    }
  }
}

typedef struct kernel_call {
  hone_kernel_fn *fn;
  const hone_kernel_args_t *args;
} kernel_call_t;

static void call_kernel(void *data, int64_t begin, int64_t end) {
  const kernel_call_t *call = data;
  call->fn(call->args, begin, end);
}

static void run_flow(hone_session_t *session, const hone_flow_t *flow,
                     const hone_kernel_args_t *args, uint64_t work_bytes) {
  uint32_t M = (uint32_t)args->M, entry = hone_flow_entry(flow, M);
  kernel_call_t call = {.fn = session->model->isa->kernels[flow->kernel[entry]], .args = args};
  uint64_t threads = work_bytes / GRAIN_BYTES + 1;
  if (threads > session->threads) threads = session->threads;
  hone_pool_run(session->pool, (uint32_t)threads, hone_flow_units(flow, entry, M), call_kernel,
                &call);
}

bool hone_session_run(hone_session_t *session, uint32_t begin, uint32_t end, uint32_t M,
                      uint64_t skip_bytes, hone_status_t *status) {
  for (uint32_t i = begin; i < end; ++i) {
    if (atomic_load_explicit(&session->is_cancelled, memory_order_relaxed)) {
      atomic_store(&session->is_cancelled, false);
      return hone_fail(status, HONE_CANCELLED, "cancelled");
    }
    const session_launch_t *launch = &session->launches[i];
    hone_kernel_args_t args = launch->args;
    args.M = M;
    args.position = session->position;
    if (i == begin && skip_bytes != 0) args.ptr[0] = (char *)args.ptr[0] + skip_bytes;
    uint64_t keys = (uint64_t)session->position + M;
    run_flow(session, launch->flow, &args,
             M * (launch->bytes_per_row + keys * launch->bytes_per_key));
  }
  return true;
}

// Head launches on rows [first, M) of the step, head_batch at a time; logits (M - first, vocab) if
// not NULL.
static bool run_head(hone_session_t *session, uint32_t first, uint32_t M, float *logits,
                     hone_status_t *status) {
  const hone_plan_t *plan = session->model->plan;
  uint64_t vocab_padded = hone_padded(plan->vocab);
  uint64_t row_bytes = plan->body_count < plan->launch_count
                           ? hone_plan_launches(plan)[plan->body_count].operands[0].row_bytes
                           : 0;
  for (uint32_t row = first; row < M;) {
    uint32_t rows = M - row < plan->head_batch ? M - row : plan->head_batch;
    if (!hone_session_run(session, plan->body_count, plan->launch_count, rows, row * row_bytes,
                          status))
      return false;
    for (uint32_t i = 0; i < rows && logits != NULL; ++i) {
      memcpy(logits + (size_t)(row - first + i) * plan->vocab, session->logits + i * vocab_padded,
             plan->vocab * sizeof(float));
    }
    session->last_logits = session->logits + (rows - 1) * vocab_padded;
    row += rows;
  }
  return true;
}

static bool check_feed(const hone_session_t *session, const int32_t *ids, size_t count,
                       size_t wanted, hone_status_t *status) {
  const hone_plan_t *plan = session->model->plan;
  if (wanted > count) {
    return hone_fail(status, HONE_INVALID, "logits of %zu tokens wanted, but only %zu are fed",
                     wanted, count);
  }
  uint32_t room = session->context - session->position;
  if (count > room) {
    return hone_fail(status, HONE_EXHAUSTED,
                     "the context of %u tokens is full: it holds %u, and %zu more do not fit",
                     session->context, session->position, count);
  }
  for (size_t i = 0; i < count; ++i) {
    if (ids[i] < 0 || (uint32_t)ids[i] >= plan->vocab) {
      return hone_fail(status, HONE_INVALID, "token id %d is outside the vocabulary of %u", ids[i],
                       plan->vocab);
    }
  }
  return true;
}

bool hone_session_feed(hone_session_t *session, const int32_t *ids, size_t count, size_t wanted,
                       float *logits, hone_status_t *status) {
  const hone_plan_t *plan = session->model->plan;
  if (!check_feed(session, ids, count, wanted, status)) return false;
  if (count > 0) session->last_logits = NULL;
  uint32_t start = session->position;
  size_t first_wanted = count - wanted;
  for (size_t done = 0; done < count;) {
    uint32_t M = count - done < plan->batch ? (uint32_t)(count - done) : plan->batch;
    memcpy(session->ids, ids + done, M * sizeof *ids);
    hone_session_fill_rope(session, M);
    uint32_t first_row =
        first_wanted > done ? (uint32_t)(first_wanted - done < M ? first_wanted - done : M) : 0;
    float *out = logits != NULL && first_row < M
                     ? logits + (done + first_row - first_wanted) * plan->vocab
                     : NULL;
    if (!hone_session_run(session, 0, plan->body_count, M, 0, status) ||
        !run_head(session, first_row, M, out, status)) {
      session->position = start;
      session->last_logits = NULL;
      return false;
    }
    session->position += M;
    done += M;
  }
  return true;
}

bool hone_session_sample(hone_session_t *session, const hone_sampling_t *sampling, int32_t *out_id,
                         hone_status_t *status) {
  const hone_plan_t *plan = session->model->plan;
  if (session->last_logits == NULL) {
    return hone_fail(status, HONE_INVALID,
                     "no logits to sample from: feed at least one token with its logits wanted");
  }
  float temperature = sampling->temperature;
  if (!(temperature == 0 || (temperature >= 0.01f && temperature <= 100)) ||
      !(sampling->top_p >= 0 && sampling->top_p <= 1)) {
    return hone_fail(
        status, HONE_INVALID,
        "temperature %g, top-p %g: the temperature is 0 (greedy) or 0.01 to 100, top-p 0 to 1",
        (double)temperature, (double)sampling->top_p);
  }
  hone_kernel_args_t args = {.M = 1, .position = session->position, .capacity = session->capacity};
  args.ptr[0] = (void *)(uintptr_t)session->last_logits;
  if (temperature == 0) {
    args.ptr[1] = session->picked;
    run_flow(session, &session->model->flows[plan->argmax_flow], &args, 0);
    int32_t id = *session->picked;
    if (id < 0 || (uint32_t)id >= plan->vocab || !isfinite(session->last_logits[id])) {
      return hone_fail(
          status, HONE_INVALID,
          "the logits are not finite numbers; the checkpoint or its weight format is bad");
    }
    *out_id = id;
  } else {
    args.ptr[1] = session->probabilities;
    args.scalar = 1.0 / (double)temperature;
    run_flow(session, &session->model->flows[plan->softmax_flow], &args, 0);
    double unit = hone_random_unit(sampling->seed, session->sampled_count);
    if (!hone_sample_pick(session->probabilities, plan->vocab, sampling->top_p, unit,
                          session->candidates, out_id, status)) {
      return false;
    }
  }
  session->sampled_count += 1;
  return true;
}
