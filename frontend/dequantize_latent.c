// See dequantize_latent.h.
#include "frontend/dequantize_latent.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>

#include "frontend/convert.h"
#include "quant/grid.h"
#include "quant/hadamard.h"

enum { CHUNK = 4096 };

struct latent_mean {
  pthread_mutex_t lock;
  float value;  // 0: not known yet
};

struct latent_mean *latent_mean_create(hone_arena_t *arena) {
  struct latent_mean *mean = HONE_NEW(arena, struct latent_mean);
  pthread_mutex_init(&mean->lock, NULL);
  return mean;
}

static bool fail_at(const checkpoint_tensor_t *tensor, uint64_t element, const char *what,
                    hone_status_t *status) {
  uint64_t K = tensor->quantized->shape[1];
  return hone_fail(status, HONE_INVALID,
                   "%.300s: tensor '%.200s': %s at row %" PRIu64 ", column %" PRIu64,
                   tensor->file->path, tensor->quantized->name, what, element / K, element % K);
}

// Elements [first, first + count) of the file, finite.
static bool read_floats(const checkpoint_tensor_t *tensor, uint64_t first, uint64_t count,
                        float *out, hone_status_t *status) {
  const hone_safetensors_entry_t *entry = tensor->entry;
  uint64_t bytes = entry->dtype->bits / 8, begin = entry->begin + first * bytes;
  bool finite = hone_convert_to_f32(entry->dtype->storage, tensor->file->mapping.data + begin,
                                    (size_t)count, out);
  checkpoint_release(tensor, begin, begin + count * bytes);
  if (finite) return true;
  uint64_t at = 0;
  while (at + 1 < count && isfinite(out[at])) at++;
  return fail_at(tensor, first + at, isnan(out[at]) ? "NaN" : "infinity", status);
}

static bool find_mean(const checkpoint_tensor_t *tensor, float *out_mean, hone_status_t *status) {
  uint64_t count = tensor->quantized->shape[0] * tensor->quantized->shape[1];
  float chunk[CHUNK];
  double total = 0;
  for (uint64_t at = 0; at < count; at += CHUNK) {
    uint64_t part = count - at < CHUNK ? count - at : CHUNK;
    if (!read_floats(tensor, at, part, chunk, status)) return false;
    for (uint64_t i = 0; i < part; i++) total += (double)fabsf(chunk[i]);
  }
  *out_mean = fmaxf((float)(total / (double)count), 1e-5f);
  return true;
}

static bool read_mean(const checkpoint_tensor_t *tensor, float *out_mean, hone_status_t *status) {
  struct latent_mean *mean = tensor->quantized->mean;
  pthread_mutex_lock(&mean->lock);
  bool ok = mean->value > 0 || find_mean(tensor, &mean->value, status);
  *out_mean = mean->value;
  pthread_mutex_unlock(&mean->lock);
  return ok;
}

static bool scale_units(const checkpoint_tensor_t *tensor, uint64_t first, uint64_t count,
                        float *out, hone_status_t *status) {
  for (uint64_t i = 0; i < count; i++) {
    if (out[i] != 0 && fabsf(out[i]) != 1)
      return fail_at(tensor, first + i, "a weight that is not -1, 0 or 1", status);
    out[i] *= tensor->quantized->factor;
  }
  return true;
}

static bool round_to_mean(const checkpoint_tensor_t *tensor, uint64_t count, float *out,
                          hone_status_t *status) {
  float mean = 0;
  if (!read_mean(tensor, &mean, status)) return false;
  float inverse = 1.0f / mean;
  for (uint64_t i = 0; i < count; i++) out[i] = fminf(fmaxf(rintf(out[i] * inverse), -1), 1) * mean;
  return true;
}

static bool take_signs(const checkpoint_tensor_t *tensor, uint64_t first, uint64_t count,
                       float *rows, hone_status_t *status) {
  const prequantized_t *q = tensor->quantized;
  uint64_t K = q->shape[1];
  hone_hadamard_columns(rows, count, K, q->inputs.rotate);
  for (uint64_t n = 0; n < count; n++) {
    float *row = rows + n * K;
    double squares = 0;
    for (uint64_t k = 0; k < K; k++) squares += (double)row[k] * (double)row[k];
    float scale = (float)(HONE_SIGNS_SHARE * sqrt(squares / (double)K));
    for (uint64_t k = 0; k < K; k++) row[k] = row[k] > 0 ? scale : -scale;
  }
  hone_hadamard_columns(rows, count, K, q->inputs.rotate);
  for (uint64_t i = 0; i < count * K; i++) {
    if (!isfinite(rows[i]))
      return fail_at(tensor, first * K + i, "weights whose sums are infinite", status);
  }
  return true;
}

bool dequantize_latent(const checkpoint_tensor_t *tensor, uint64_t row, uint64_t count, float *out,
                       hone_status_t *status) {
  const prequantized_t *q = tensor->quantized;
  uint64_t first = row * q->shape[1], total = count * q->shape[1];
  if (!read_floats(tensor, first, total, out, status)) return false;
  if (q->latent == LATENT_UNITS) return scale_units(tensor, first, total, out, status);
  if (q->latent == LATENT_MEAN) return round_to_mean(tensor, total, out, status);
  return take_signs(tensor, row, count, out, status);
}
