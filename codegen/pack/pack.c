// Packing weights. Chunks (whole tiles of one tensor) are handed out in file order; threads read
// and quantize them independently, then take turns in the same order to feed the tensor's hash and
// to write. As the thread with the lowest unfinished chunk never waits, this cannot lock up, and
// memory is one chunk per thread. A tensor's hash covers its codes, then its scales: the scales
// plane (at most 1/16 of the codes) is gathered in memory and written at the end.
#include "codegen/pack/pack.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/gather.h"
#include "base/hash.h"
#include "base/parallel.h"
#include "base/progress.h"
#include "base/text.h"
#include "codegen/pack/layout.h"

enum { CHUNK_VALUES = 512 * 1024, SOLVER_VALUES = 4096 * 1024, SOLVER_ROWS = 256 };

typedef struct chunk {
  uint64_t turn;
  size_t item;
  int64_t tile, tile_count;  // vectors are one chunk of one "tile"
  bool is_last;              // of its item
} chunk_t;

// A tensor's encoder is made by the thread that takes its first chunk; the others wait for it.
typedef enum readiness { NOT_READY, READY, BROKEN } readiness_t;
typedef struct tensor {
  hone_rows_t rows;
  hone_encoder_t encoder;          // of quantized tensors
  readiness_t readiness;           // under the lock
  float *correction;               // (N) of a matrix that a vector corrects: filled row by row
  const struct tensor *corrected;  // of such a vector
} tensor_t;

typedef struct packer {
  const hone_pack_job_t *job;
  tensor_t *tensors;  // one per item
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
  hone_gather_t *file;
  hone_buffer_t scales;
  uint64_t *hashes;
  hone_quant_error_t *errors;
} packer_t;

typedef struct buffer {
  void *data;
  size_t capacity;
} buffer_t;

typedef struct worker {  // buffers of one thread, grown to the largest chunk it met
  packer_t *packer;
  buffer_t values;                   // (rows, K) as read
  buffer_t padded;                   // (rows, Kp)
  buffer_t codes, scales;            // (rows, Kp) and (rows, scales of a row), as quantized
  buffer_t packed, packed_scales;    // in the packed layout
  size_t packed_count, scale_count;  // bytes of the current chunk
  hone_quant_error_t error;          // of the current chunk
} worker_t;

bool hone_pack_measure(const ir_recipe_t *recipe, hone_format_t *out_format, uint64_t *out_bytes,
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
  *out_format = is_vector ? (hone_format_t){.storage = HONE_F32} : recipe->format;
  *out_bytes = is_vector ? hone_padded((uint64_t)recipe->N) * sizeof(float)
                         : hone_packed_bytes(*out_format, (uint64_t)recipe->N, (uint64_t)recipe->K);
  return true;
}

static int64_t tiles_of(const ir_recipe_t *recipe) {
  return recipe->K == 1 ? 1 : (int64_t)(hone_padded((uint64_t)recipe->N) / HONE_TILE_ROWS);
}

static int64_t tiles_per_chunk(const hone_pack_job_t *job, const ir_recipe_t *recipe) {
  int64_t values = job->chunk_values > 0 ? job->chunk_values : CHUNK_VALUES;
  int64_t tiles = values / (recipe->K * HONE_TILE_ROWS);
  // Solvers go through K x K matrices once for every chunk: many rows, but chunks for many threads.
  if (job->solver.statistics && job->chunk_values <= 0) {
    int64_t rows = recipe->N / 8, most = SOLVER_VALUES / recipe->K;
    if (rows > SOLVER_ROWS) rows = SOLVER_ROWS;
    if (rows > most) rows = most;
    if (rows / HONE_TILE_ROWS > tiles) tiles = rows / HONE_TILE_ROWS;
  }
  return tiles < 1 ? 1 : tiles;
}

static bool grow(buffer_t *buffer, size_t bytes) {
  if (bytes <= buffer->capacity) return true;
  free(buffer->data);
  buffer->capacity = 0;
  buffer->data = aligned_alloc(64, hone_round_up(bytes, 64));
  if (buffer->data) buffer->capacity = bytes;
  return buffer->data != NULL;
}

static bool fail_memory(uint64_t rows, uint64_t K, hone_status_t *status) {
  return hone_fail(status, HONE_EXHAUSTED,
                   "no memory for packing %" PRIu64 " rows of %" PRIu64 " weights", rows, K);
}

// A correction is complete when the chunks of its matrix, which come before, are finished.
static void await_turn(packer_t *packer, const chunk_t *chunk) {
  pthread_mutex_lock(&packer->lock);
  while (packer->turn != chunk->turn) pthread_cond_wait(&packer->turned, &packer->lock);
  pthread_mutex_unlock(&packer->lock);
}

static bool pack_vector(worker_t *worker, const tensor_t *tensor, hone_status_t *status) {
  const hone_rows_t *rows = &tensor->rows;
  uint64_t N = (uint64_t)rows->N, padded = hone_padded(N);
  worker->packed_count = padded * sizeof(float);
  if (!grow(&worker->values, padded * sizeof(float)) ||
      !grow(&worker->packed, worker->packed_count))
    return fail_memory(N, 1, status);
  if (!hone_rows_read(rows, 0, rows->N, worker->values.data, status)) return false;
  float *out = worker->packed.data;
  for (uint64_t i = 0; i < padded; i++)
    out[i] = i < N ? *hone_rows_at(rows, worker->values.data, rows->N, (int64_t)i) : 0.0f;
  for (uint64_t i = 0; i < N && tensor->corrected; i++) out[i] += tensor->corrected->correction[i];
  return true;
}

// Reads rows [first, first + real) and lays them out as (count, Kp) with zeros in all pads.
static bool read_padded(worker_t *worker, const hone_rows_t *rows, int64_t first, int64_t real,
                        int64_t count, hone_status_t *status) {
  uint64_t K = (uint64_t)rows->K, Kp = hone_padded(K);
  if (!grow(&worker->values, (uint64_t)count * K * sizeof(float)) ||
      !grow(&worker->padded, (uint64_t)count * Kp * sizeof(float)))
    return fail_memory((uint64_t)count, K, status);
  if (real > 0 && !hone_rows_read(rows, first, real, worker->values.data, status)) return false;
  for (int64_t i = 0; i < count; i++) {
    float *out = (float *)worker->padded.data + (uint64_t)i * Kp;
    uint64_t used = i < real ? K : 0;
    if (used) memcpy(out, hone_rows_at(rows, worker->values.data, real, i), K * sizeof(float));
    memset(out + used, 0, (Kp - used) * sizeof(float));
  }
  return true;
}

// Plain floats: returns -1 or the first row with a value that does not fit.
static int64_t pack_reals(worker_t *worker, hone_storage_t storage, uint64_t Kp, int64_t tiles,
                          uint64_t tile_bytes) {
  const float *padded = worker->padded.data;
  for (int64_t t = 0; t < tiles; t++) {
    const float *lanes[HONE_TILE_ROWS];
    for (int r = 0; r < HONE_TILE_ROWS; r++)
      lanes[r] = padded + (uint64_t)(t * HONE_TILE_ROWS + r) * Kp;
    int bad = hone_layout_reals(storage, Kp, lanes,
                                (uint8_t *)worker->packed.data + (uint64_t)t * tile_bytes);
    if (bad >= 0) return t * HONE_TILE_ROWS + bad;
  }
  return -1;
}

static bool pack_codes(worker_t *worker, const tensor_t *tensor, hone_format_t format,
                       int64_t first, int64_t tiles, int64_t *out_bad, hone_status_t *status) {
  const hone_encoder_t *encoder = &tensor->encoder;
  uint64_t K = (uint64_t)tensor->rows.K, Kp = hone_padded(K);
  uint64_t count = (uint64_t)tiles * HONE_TILE_ROWS;
  size_t per_row = (size_t)encoder->quantizer.scale_count * encoder->quantizer.planes;
  uint64_t code_bytes = hone_packed_tile_code_bytes(format, K),
           scale_bytes = hone_packed_tile_scale_bytes(format, K);
  if (!grow(&worker->codes, count * Kp) ||
      !grow(&worker->scales, count * per_row * sizeof(uint16_t)))
    return fail_memory(count, K, status);
  *out_bad = hone_encoder_rows(encoder, first, worker->padded.data, (int64_t)count,
                               worker->codes.data, worker->scales.data, &worker->error);
  for (uint64_t i = 0; i < count && *out_bad == -1; i++) {
    uint64_t t = i / HONE_TILE_ROWS;
    hone_layout_row(format, K, (int)(i % HONE_TILE_ROWS), (uint8_t *)worker->codes.data + i * Kp,
                    (uint16_t *)worker->scales.data + i * per_row,
                    (uint8_t *)worker->packed.data + t * code_bytes,
                    (uint8_t *)worker->packed_scales.data + t * scale_bytes);
  }
  return true;
}

static bool pack_tiles(worker_t *worker, const tensor_t *tensor, const chunk_t *chunk,
                       hone_format_t format, hone_status_t *status) {
  const hone_rows_t *rows = &tensor->rows;
  uint64_t K = (uint64_t)rows->K;
  int64_t first = chunk->tile * HONE_TILE_ROWS, left = rows->N - first,
          count = chunk->tile_count * HONE_TILE_ROWS;
  int64_t real = left < 0 ? 0 : left < count ? left : count;  // the rest are pads
  uint64_t code_bytes = hone_packed_tile_code_bytes(format, K);
  worker->packed_count = (uint64_t)chunk->tile_count * code_bytes;
  worker->scale_count = (uint64_t)chunk->tile_count * hone_packed_tile_scale_bytes(format, K);
  if (!grow(&worker->packed, worker->packed_count) ||
      !grow(&worker->packed_scales, worker->scale_count))
    return fail_memory((uint64_t)count, K, status);
  if (!read_padded(worker, rows, first, real, count, status)) return false;
  int64_t bad = -1;
  if (!hone_format_is_quantized(format.storage)) {
    bad = pack_reals(worker, format.storage, hone_padded(K), chunk->tile_count, code_bytes);
  } else if (!pack_codes(worker, tensor, format, first, chunk->tile_count, &bad, status)) {
    return false;
  }
  if (bad == -1) return true;
  if (bad < -1) return fail_memory((uint64_t)count, K, status);
  return hone_fail(status, HONE_INVALID,
                   "recipe %s (from %s), row %" PRId64
                   ": a weight is too large for format %s; choose f32 or bf16",
                   rows->recipe->name, rows->recipe->sources[0], first + bad,
                   hone_format_info(format.storage)->name);
}

// The tensor's encoder, made by whoever has the first chunk.
static bool await_encoder(worker_t *worker, const chunk_t *chunk, hone_status_t *status) {
  packer_t *packer = worker->packer;
  tensor_t *tensor = &packer->tensors[chunk->item];
  hone_format_t format = packer->job->items[chunk->item].format;
  if (!hone_format_is_quantized(format.storage)) return true;
  bool ok = true, is_calibrated = packer->job->solver.statistics != NULL;
  pthread_mutex_lock(&packer->lock);
  // Calibration and its linear algebra use all CPUs themselves: earlier chunks finish first.
  while (chunk->tile == 0 && is_calibrated && packer->turn != chunk->turn)
    pthread_cond_wait(&packer->turned, &packer->lock);
  bool failed = packer->failed;
  pthread_mutex_unlock(&packer->lock);
  if (chunk->tile == 0)
    ok = !failed && hone_encoder_prepare(&tensor->rows, format, &packer->job->solver,
                                         &tensor->encoder, status);
  if (chunk->tile == 0 && ok && tensor->correction)
    ok = hone_encoder_correct(&tensor->encoder, &tensor->rows, packer->job->solver.statistics,
                              tensor->correction, status);
  pthread_mutex_lock(&packer->lock);
  if (chunk->tile == 0) {
    tensor->readiness = ok ? READY : BROKEN;
    pthread_cond_broadcast(&packer->turned);
  }
  while (tensor->readiness == NOT_READY) pthread_cond_wait(&packer->turned, &packer->lock);
  if (ok && tensor->readiness == BROKEN)  // reported by the thread that found out
    ok = hone_fail(status, HONE_CANCELLED, "recipe %s: not prepared", tensor->rows.recipe->name);
  pthread_mutex_unlock(&packer->lock);
  return ok;
}

static bool pack_chunk(worker_t *worker, const chunk_t *chunk, hone_status_t *status) {
  const hone_pack_job_t *job = worker->packer->job;
  const hone_pack_item_t *item = &job->items[chunk->item];
  const tensor_t *tensor = &worker->packer->tensors[chunk->item];
  worker->scale_count = 0;
  worker->error = (hone_quant_error_t){0};
  if (!await_encoder(worker, chunk, status)) return false;
  if (tensor->corrected) await_turn(worker->packer, chunk);
  return tensor->rows.K == 1 ? pack_vector(worker, tensor, status)
                             : pack_tiles(worker, tensor, chunk, item->format, status);
}

// Scales and parameters of a finished tensor, behind its codes.
static bool finish_tensor(packer_t *packer, size_t index, hone_status_t *status) {
  const hone_pack_item_t *item = &packer->job->items[index];
  tensor_t *tensor = &packer->tensors[index];
  bool ok = true;
  if (packer->scales.bytes) {
    hone_buffer_align(&packer->scales, 64);
    uint64_t N = (uint64_t)tensor->rows.N, K = (uint64_t)tensor->rows.K;
    size_t parameter_bytes = hone_packed_parameter_bytes(item->format, N, K);
    if (parameter_bytes) {
      uint8_t *parameters = malloc(parameter_bytes);
      if (!parameters) return fail_memory(N, K, status);
      hone_encoder_parameters(&tensor->encoder, N, parameters);
      hone_buffer_add(&packer->scales, parameters, parameter_bytes);
      free(parameters);
    }
    size_t bytes = packer->scales.bytes;
    hone_hasher_add(packer->hasher, packer->scales.data, bytes);
    ok = hone_gather_put(packer->file, packer->job->base + item->offset + item->bytes - bytes,
                         packer->scales.data, bytes, status);
  }
  packer->hashes[index] = hone_hasher_result(packer->hasher);
  hone_hasher_reset(packer->hasher);
  packer->scales.bytes = 0;
  hone_quant_error_t ignored = {0};
  ok = ok && hone_encoder_finish(&tensor->encoder,
                                 packer->errors ? &packer->errors[index] : &ignored, status);
  hone_encoder_deinit(&tensor->encoder);  // no chunk of it is left: they finish in order
  return ok;
}

// Runs on the thread whose turn it is: hashes and writes the chunk's codes, keeps its scales.
static bool finish_chunk(worker_t *worker, const chunk_t *chunk, hone_status_t *status) {
  packer_t *packer = worker->packer;
  const hone_pack_item_t *item = &packer->job->items[chunk->item];
  uint64_t tile_bytes = hone_packed_tile_code_bytes(item->format, (uint64_t)item->recipe.K);
  uint64_t place = packer->job->base + item->offset + (uint64_t)chunk->tile * tile_bytes;
  if (!hone_gather_put(packer->file, place, worker->packed.data, worker->packed_count, status))
    return false;
  hone_hasher_add(packer->hasher, worker->packed.data, worker->packed_count);
  if (worker->scale_count)
    hone_buffer_add(&packer->scales, worker->packed_scales.data, worker->scale_count);
  if (packer->errors) {
    packer->errors[chunk->item].signal += worker->error.signal;
    packer->errors[chunk->item].noise += worker->error.noise;
    packer->errors[chunk->item].output.signal += worker->error.output.signal;
    packer->errors[chunk->item].output.noise += worker->error.output.noise;
  }
  hone_progress_add(packer->progress, worker->packed_count + worker->scale_count,
                    item->recipe.name);
  return !chunk->is_last || finish_tensor(packer, chunk->item, status);
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

static void work(void *user, int index) {
  (void)index;
  packer_t *packer = user;
  worker_t own = {.packer = packer}, *worker = &own;
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
  buffer_t *buffers[] = {&worker->values, &worker->padded, &worker->codes,
                         &worker->scales, &worker->packed, &worker->packed_scales};
  for (size_t i = 0; i < sizeof buffers / sizeof *buffers; i++) free(buffers[i]->data);
}

static void close_tensors(packer_t *packer) {
  for (size_t i = 0; i < packer->job->count; i++) {
    hone_encoder_deinit(&packer->tensors[i].encoder);
    hone_rows_close(&packer->tensors[i].rows);
    free(packer->tensors[i].correction);
  }
  free(packer->tensors);
}

// Connects a correction with its matrix, which is packed earlier. Without statistics there is
// nothing to correct.
static bool find_corrected(packer_t *packer, size_t index, hone_status_t *status) {
  const hone_pack_job_t *job = packer->job;
  const ir_recipe_t *recipe = &job->items[index].recipe;
  if (!recipe->corrects || !job->solver.statistics) return true;
  for (size_t i = 0; i < index; i++) {
    const hone_pack_item_t *matrix = &job->items[i];
    if (strcmp(matrix->recipe.name, recipe->corrects)) continue;
    if (matrix->recipe.N != recipe->N || !hone_format_is_quantized(matrix->format.storage)) break;
    tensor_t *tensor = &packer->tensors[i];
    if (!tensor->correction) tensor->correction = calloc((size_t)recipe->N, sizeof(float));
    if (!tensor->correction) return fail_memory((uint64_t)recipe->N, 1, status);
    packer->tensors[index].corrected = tensor;
    return true;
  }
  return hone_fail(status, HONE_INVALID,
                   "recipe %s corrects %s, which is no quantized matrix of its size before it",
                   recipe->name, recipe->corrects);
}

bool hone_pack_run(const hone_pack_job_t *job, uint64_t *out_hashes, hone_quant_error_t *out_errors,
                   hone_status_t *status) {
  hone_status_t first = {0};
  packer_t packer = {.job = job, .status = &first, .hashes = out_hashes, .errors = out_errors};
  uint64_t total = 0;
  packer.tensors = calloc(job->count ? job->count : 1, sizeof *packer.tensors);
  if (!packer.tensors)
    return hone_fail(status, HONE_EXHAUSTED, "no memory for %zu recipes", job->count);
  for (size_t i = 0; i < job->count; i++) {
    const hone_pack_item_t *item = &job->items[i];
    total += item->bytes;
    hone_store_add(job->solver.store, &item->recipe, item->format,
                   (int64_t)hone_padded((uint64_t)item->recipe.N));
    if (!hone_rows_open(job->reader, job->source, &item->recipe, &packer.tensors[i].rows, status) ||
        !find_corrected(&packer, i, status)) {
      close_tensors(&packer);
      return false;
    }
  }
  packer.hasher = hone_hasher_create();
  packer.file = hone_gather_create(job->output, job->base);
  const char *label = job->solver.statistics ? "solving weights" : "packing weights";
  packer.progress = hone_progress_create(label, total, true, job->progress);
  pthread_mutex_init(&packer.lock, NULL);
  pthread_cond_init(&packer.turned, NULL);
  hone_parallel_run(hone_parallel_count(job->threads), work, &packer);
  pthread_cond_destroy(&packer.turned);
  pthread_mutex_destroy(&packer.lock);
  if (!packer.failed) packer.failed = !hone_gather_flush(packer.file, &first);
  hone_progress_destroy(packer.progress);
  hone_gather_destroy(packer.file);
  hone_hasher_destroy(packer.hasher);
  hone_buffer_deinit(&packer.scales);
  close_tensors(&packer);
  if (packer.failed) *status = first;
  return !packer.failed;
}
