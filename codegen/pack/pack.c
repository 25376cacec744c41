// Packing weights. Chunks (whole tiles of one tensor) are handed out in file order; threads read,
// quantize and write them independently, then take turns in the same order to feed the tensor's
// hash. As the thread with the lowest unfinished chunk never waits, this cannot lock up, and memory
// is one chunk per thread. A tensor's hash covers its codes, then its scales: the scales plane (at
// most 1/16 of the codes) is gathered in memory and written at the end.
#include "codegen/pack/pack.h"

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/hash.h"
#include "base/progress.h"
#include "base/text.h"
#include "codegen/pack/layout.h"
#include "codegen/pack/rows.h"

enum { THREAD_LIMIT = 64, CHUNK_VALUES = 512 * 1024 };

typedef struct chunk {
  uint64_t turn;
  size_t item;
  int64_t tile, tile_count;  // vectors are one chunk of one "tile"
  bool is_last;              // of its item
} chunk_t;

typedef struct packer {
  const hone_pack_job_t *job;
  hone_rows_t *rows;  // one per item
  hone_progress_t *progress;
  pthread_mutex_t lock;
  pthread_cond_t turned;
  // under the lock
  chunk_t next;   // to be handed out
  uint64_t turn;  // whose turn it is to hash
  bool failed;
  // of the thread whose turn it is
  hone_status_t *status;
  hone_hasher_t *hasher;
  hone_buffer_t scales;
  uint64_t *hashes;
} packer_t;

typedef struct worker {  // buffers of one thread, grown to the largest chunk it met
  packer_t *packer;
  float *values;  // (rows, K) as read
  float *padded;  // (HONE_TILE_ROWS, Kp)
  uint8_t *codes;
  uint16_t *scales;
  size_t values_bytes, padded_bytes, codes_bytes, scales_bytes;  // capacities
  size_t code_count, scale_count;                                // bytes of the current chunk
} worker_t;

bool hone_pack_measure(const ir_recipe_t *recipe, hone_storage_t *out_storage, uint64_t *out_bytes,
                       hone_status_t *status) {
  uint64_t count;
  if (recipe->N <= 0 || recipe->K <= 0 || recipe->N > UINT32_MAX - HONE_PAD ||
      recipe->K > UINT32_MAX - HONE_PAD ||
      !hone_checked_mul(hone_padded((uint64_t)recipe->N), hone_padded((uint64_t)recipe->K),
                        &count) ||
      count > (uint64_t)1 << 58)
    return hone_fail(status, HONE_INVALID,
                     "recipe %s: a tensor of %" PRId64 " x %" PRId64 " cannot be packed",
                     recipe->name, recipe->N, recipe->K);
  bool is_vector = recipe->K == 1;
  *out_storage = is_vector ? HONE_F32 : recipe->format.storage;
  *out_bytes = is_vector
                   ? hone_padded((uint64_t)recipe->N) * sizeof(float)
                   : hone_packed_bytes(*out_storage, (uint64_t)recipe->N, (uint64_t)recipe->K);
  return true;
}

static int64_t tiles_of(const ir_recipe_t *recipe) {
  return recipe->K == 1 ? 1 : (int64_t)(hone_padded((uint64_t)recipe->N) / HONE_TILE_ROWS);
}

static int64_t tiles_per_chunk(const hone_pack_job_t *job, const ir_recipe_t *recipe) {
  int64_t values = job->chunk_values > 0 ? job->chunk_values : CHUNK_VALUES;
  int64_t tiles = values / (recipe->K * HONE_TILE_ROWS);
  return tiles < 1 ? 1 : tiles;
}

static bool grow(void **data, size_t *capacity, size_t bytes) {
  if (bytes <= *capacity) return true;
  free(*data);
  *capacity = 0;
  *data = aligned_alloc(64, hone_round_up(bytes, 64));
  if (*data) *capacity = bytes;
  return *data != NULL;
}

// Makes room for a chunk. K is bounded by the reader's checks against the file's size.
static bool reserve(worker_t *worker, uint64_t row_count, uint64_t K, uint64_t Kp,
                    hone_status_t *status) {
  if (grow((void **)&worker->values, &worker->values_bytes,
           (row_count * K + HONE_PAD) * sizeof(float)) &&
      grow((void **)&worker->padded, &worker->padded_bytes, HONE_TILE_ROWS * Kp * sizeof(float)) &&
      grow((void **)&worker->codes, &worker->codes_bytes, worker->code_count) &&
      grow((void **)&worker->scales, &worker->scales_bytes, worker->scale_count + 64))
    return true;
  return hone_fail(status, HONE_EXHAUSTED,
                   "no memory for packing %" PRIu64 " rows of %" PRIu64 " weights", row_count, K);
}

static bool pack_vector(worker_t *worker, const hone_rows_t *rows, hone_status_t *status) {
  uint64_t N = (uint64_t)rows->N, padded = hone_padded(N);
  worker->code_count = padded * sizeof(float);
  worker->scale_count = 0;
  if (!reserve(worker, padded, 1, HONE_PAD, status)) return false;
  if (!hone_rows_read(rows, 0, rows->N, worker->values, status)) return false;
  float *out = (float *)worker->codes;
  for (uint64_t i = 0; i < padded; i++)
    out[i] = i < N ? *hone_rows_at(rows, worker->values, rows->N, (int64_t)i) : 0.0f;
  return true;
}

static bool pack_tiles(worker_t *worker, const hone_rows_t *rows, const chunk_t *chunk,
                       hone_storage_t storage, hone_status_t *status) {
  uint64_t K = (uint64_t)rows->K, Kp = hone_padded(K);
  uint64_t code_bytes = hone_layout_tile_code_bytes(storage, Kp),
           scale_bytes = hone_layout_tile_scale_bytes(storage, Kp);
  int64_t first = chunk->tile * HONE_TILE_ROWS, left = rows->N - first,
          count = chunk->tile_count * HONE_TILE_ROWS;
  int64_t real = left < 0 ? 0 : left < count ? left : count;  // the rest are pads
  worker->code_count = (uint64_t)chunk->tile_count * code_bytes;
  worker->scale_count = (uint64_t)chunk->tile_count * scale_bytes;
  if (!reserve(worker, (uint64_t)count, K, Kp, status)) return false;
  if (real > 0 && !hone_rows_read(rows, first, real, worker->values, status)) return false;
  for (int64_t t = 0; t < chunk->tile_count; t++) {
    const float *lanes[HONE_TILE_ROWS];
    for (int64_t r = 0; r < HONE_TILE_ROWS; r++) {
      int64_t row = t * HONE_TILE_ROWS + r;
      const float *values = row < real ? hone_rows_at(rows, worker->values, real, row) : NULL;
      float *copy = worker->padded + (uint64_t)r * Kp;
      lanes[r] = values && K == Kp ? values : copy;
      if (lanes[r] == copy) {
        uint64_t used = values ? K : 0;
        if (values) memcpy(copy, values, K * sizeof(float));
        memset(copy + used, 0, (Kp - used) * sizeof(float));
      }
    }
    int bad = hone_layout_tile(storage, Kp, lanes, worker->codes + (uint64_t)t * code_bytes,
                               worker->scales + (uint64_t)t * scale_bytes / sizeof(uint16_t));
    if (bad >= 0)
      return hone_fail(status, HONE_INVALID,
                       "recipe %s (from %s), row %" PRId64
                       ": a weight is too large for format %s; choose f32 or bf16",
                       rows->recipe->name, rows->recipe->sources[0],
                       first + t * HONE_TILE_ROWS + bad, hone_format_info(storage)->name);
  }
  return true;
}

static bool pack_chunk(worker_t *worker, const chunk_t *chunk, hone_status_t *status) {
  const hone_pack_job_t *job = worker->packer->job;
  const hone_pack_item_t *item = &job->items[chunk->item];
  const hone_rows_t *rows = &worker->packer->rows[chunk->item];
  uint64_t tile_bytes = hone_layout_tile_code_bytes(item->storage, hone_padded((uint64_t)rows->K));
  uint64_t place = job->base + item->offset + (uint64_t)chunk->tile * tile_bytes;
  if (rows->K == 1 ? !pack_vector(worker, rows, status)
                   : !pack_tiles(worker, rows, chunk, item->storage, status))
    return false;
  return hone_output_write_at(job->output, place, worker->codes, worker->code_count, status);
}

// Runs on the thread whose turn it is: hashes the chunk's codes; after the last one writes and
// hashes the scales.
static bool finish_chunk(worker_t *worker, const chunk_t *chunk, hone_status_t *status) {
  packer_t *packer = worker->packer;
  const hone_pack_job_t *job = packer->job;
  const hone_pack_item_t *item = &job->items[chunk->item];
  hone_hasher_add(packer->hasher, worker->codes, worker->code_count);
  if (worker->scale_count) hone_buffer_add(&packer->scales, worker->scales, worker->scale_count);
  hone_progress_add(packer->progress, worker->code_count + worker->scale_count, item->recipe.name);
  if (!chunk->is_last) return true;
  size_t scale_bytes = packer->scales.bytes;
  uint64_t place = job->base + item->offset + item->bytes - scale_bytes;
  if (scale_bytes) {
    hone_hasher_add(packer->hasher, packer->scales.data, scale_bytes);
    if (!hone_output_write_at(job->output, place, packer->scales.data, scale_bytes, status))
      return false;
  }
  packer->hashes[chunk->item] = hone_hasher_result(packer->hasher);
  hone_hasher_reset(packer->hasher);
  packer->scales.bytes = 0;
  return true;
}

// The next chunk in file order; false when there is none or something failed.
static bool take_chunk(packer_t *packer, chunk_t *out_chunk) {
  const hone_pack_job_t *job = packer->job;
  pthread_mutex_lock(&packer->lock);
  bool found = !packer->failed && packer->next.item < job->count;
  if (found) {
    chunk_t chunk = packer->next;
    const ir_recipe_t *recipe = &job->items[chunk.item].recipe;
    int64_t left = tiles_of(recipe) - chunk.tile, most = tiles_per_chunk(job, recipe);
    chunk.tile_count = left < most ? left : most;
    chunk.is_last = chunk.tile_count == left;
    packer->next.turn++;
    packer->next.item += chunk.is_last ? 1 : 0;
    packer->next.tile = chunk.is_last ? 0 : chunk.tile + chunk.tile_count;
    *out_chunk = chunk;
  }
  pthread_mutex_unlock(&packer->lock);
  return found;
}

static void *work(void *data) {
  worker_t *worker = data;
  packer_t *packer = worker->packer;
  chunk_t chunk;
  while (take_chunk(packer, &chunk)) {
    hone_status_t status = {0};
    bool ok = pack_chunk(worker, &chunk, &status);
    pthread_mutex_lock(&packer->lock);
    while (packer->turn != chunk.turn) pthread_cond_wait(&packer->turned, &packer->lock);
    bool failed = packer->failed;
    pthread_mutex_unlock(&packer->lock);
    ok = ok && !failed && finish_chunk(worker, &chunk, &status);
    pthread_mutex_lock(&packer->lock);
    if (!ok && !packer->failed) {
      packer->failed = true;
      *packer->status = status;
    }
    packer->turn++;
    pthread_cond_broadcast(&packer->turned);
    pthread_mutex_unlock(&packer->lock);
  }
  free(worker->values);
  free(worker->padded);
  free(worker->codes);
  free(worker->scales);
  return NULL;
}

static size_t thread_count(int64_t wanted) {
  cpu_set_t set;
  if (wanted <= 0) wanted = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  return wanted > THREAD_LIMIT ? THREAD_LIMIT : (size_t)wanted;
}

static void run_workers(packer_t *packer) {
  worker_t workers[THREAD_LIMIT] = {0};
  pthread_t threads[THREAD_LIMIT];
  size_t count = thread_count(packer->job->threads), started = 0;
  for (size_t i = 0; i < count; i++) workers[i].packer = packer;
  // Fewer threads than asked for is not an error: the chunks are there for whoever comes.
  while (started + 1 < count &&
         pthread_create(&threads[started], NULL, work, &workers[started + 1]) == 0)
    started++;
  work(&workers[0]);
  for (size_t i = 0; i < started; i++) pthread_join(threads[i], NULL);
}

bool hone_pack_run(const hone_pack_job_t *job, uint64_t *out_hashes, hone_status_t *status) {
  hone_status_t first = {0};
  packer_t packer = {.job = job, .status = &first, .hashes = out_hashes};
  uint64_t total = 0;
  packer.rows = calloc(job->count ? job->count : 1, sizeof *packer.rows);
  if (!packer.rows)
    return hone_fail(status, HONE_EXHAUSTED, "no memory for %zu recipes", job->count);
  for (size_t i = 0; i < job->count; i++) {
    total += job->items[i].bytes;
    if (!hone_rows_open(job->reader, job->source, &job->items[i].recipe, &packer.rows[i], status)) {
      free(packer.rows);
      return false;
    }
  }
  packer.hasher = hone_hasher_create();
  packer.progress = hone_progress_create("packing weights", total, true, job->progress);
  pthread_mutex_init(&packer.lock, NULL);
  pthread_cond_init(&packer.turned, NULL);
  run_workers(&packer);
  pthread_cond_destroy(&packer.turned);
  pthread_mutex_destroy(&packer.lock);
  hone_progress_destroy(packer.progress);
  hone_hasher_destroy(packer.hasher);
  hone_buffer_deinit(&packer.scales);
  free(packer.rows);
  if (packer.failed) *status = first;
  return !packer.failed;
}
