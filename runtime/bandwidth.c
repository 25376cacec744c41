// Sums a large buffer with 256-bit adds in all threads, each on its own contiguous share, and keeps
// the fastest pass. Eight accumulators keep enough loads in flight that memory is the only limit.
#include "runtime/bandwidth.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "runtime/pages.h"

enum {
  LINE_BYTES = 256,        // one trip of the loop: eight vectors
  UNIT_BYTES = 64 * 1024,  // what the pool divides
  PASS_LOW = 3,
  PASS_HIGH = 12,
};
static const uint64_t WEIGHTS_LOW_BYTES = 256u << 20;
static const uint64_t BUFFER_BYTES = 1u << 30;
static const uint64_t TIME_LIMIT_NS = 1000000000;

typedef uint64_t lanes_t __attribute__((vector_size(32)));

typedef struct read_work {
  uint8_t *data;
  _Atomic uint64_t sum;  // keeps the compiler from dropping the loop
} read_work_t;

uint64_t hone_clock_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

__attribute__((target("avx2"))) static void read_units(void *data, int64_t begin, int64_t end) {
  read_work_t *work = data;
  const lanes_t *at = (const lanes_t *)(const void *)(work->data + begin * UNIT_BYTES);
  const lanes_t *stop = (const lanes_t *)(const void *)(work->data + end * UNIT_BYTES);
  lanes_t sum[8] = {0};
  for (; at < stop; at += LINE_BYTES / sizeof *at) {
    for (int i = 0; i < 8; ++i) sum[i] += at[i];
  }
  for (int i = 1; i < 8; ++i) sum[0] += sum[i];
  atomic_fetch_add(&work->sum, sum[0][0] + sum[0][1] + sum[0][2] + sum[0][3]);
}

// Untouched pages all share one page of zeros, which would be read from cache.
static void fill_units(void *data, int64_t begin, int64_t end) {
  read_work_t *work = data;
  memset(work->data + begin * UNIT_BYTES, 0x5a, (size_t)(end - begin) * UNIT_BYTES);
}

static uint64_t buffer_bytes(void) {
  long pages = sysconf(_SC_AVPHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  uint64_t half = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page / 2 : BUFFER_BYTES;
  return half < BUFFER_BYTES ? half : BUFFER_BYTES;
}

bool hone_bandwidth_measure(hone_session_t *session, uint32_t threads, hone_bandwidth_t *out_result,
                            hone_status_t *status) {
  *out_result = (hone_bandwidth_t){.threads = threads != 0 ? threads : session->threads};
  hone_pool_t *own_pool = NULL, *pool = session->pool;
  if (out_result->threads > session->threads) {
    if (!hone_pool_create(out_result->threads, &own_pool, status)) return false;
    pool = own_pool;
  }
  const hone_model_t *model = session->model;
  out_result->is_from_weights = model->plan->weight_bytes >= WEIGHTS_LOW_BYTES;
  uint64_t bytes = out_result->is_from_weights ? model->plan->weight_bytes : buffer_bytes();
  int64_t units = (int64_t)(bytes / UNIT_BYTES);
  out_result->bytes = (uint64_t)units * UNIT_BYTES;
  read_work_t work = {.data = out_result->is_from_weights
                                  ? (uint8_t *)(uintptr_t)model->weights
                                  : hone_pages_map(out_result->bytes, true)};
  if (work.data == NULL || units == 0) {
    hone_pool_destroy(own_pool);
    return hone_fail(status, HONE_EXHAUSTED, "no memory to measure the read bandwidth");
  }
  if (!out_result->is_from_weights)
    hone_pool_run(pool, out_result->threads, units, fill_units, &work);
  uint64_t start = hone_clock_ns();
  for (int pass = 0; pass < PASS_HIGH; ++pass) {
    uint64_t before = hone_clock_ns();
    hone_pool_run(pool, out_result->threads, units, read_units, &work);
    uint64_t now = hone_clock_ns(), elapsed_ns = now - before;
    if (pass == 0 || elapsed_ns < out_result->elapsed_ns) out_result->elapsed_ns = elapsed_ns;
    if (pass + 1 >= PASS_LOW && now - start > TIME_LIMIT_NS) break;
  }
  if (!out_result->is_from_weights) hone_pages_unmap(work.data, out_result->bytes);
  hone_pool_destroy(own_pool);
  return true;
}
