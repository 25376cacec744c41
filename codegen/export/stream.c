// Rows of one tensor, chunk by chunk: read, padded, quantized by several threads, handed to the
// exporter on the caller's. Memory is one chunk whatever the tensor; the bytes do not depend on the
// number of threads, as rows are quantized each for itself.
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/parallel.h"
#include "codegen/export/export_internal.h"
#include "quant/real.h"

enum { CHUNK_VALUES = 1 << 20, SOLVER_VALUES = 1 << 22 };  // solvers want many rows at a time

typedef struct stream {
  const hone_export_tensor_t *tensor;
  hone_rows_t rows;
  hone_encoder_t encoder;
  bool is_quantized;
  uint64_t K, Kp;
  size_t scale_count;  // of a row
  int64_t step;        // rows of a chunk
  int threads;
  float *raw, *values;  // (step, K), (step, Kp)
  uint8_t *codes;
  uint16_t *scales;
} stream_t;

bool hone_export_fail_large(const hone_export_tensor_t *tensor, hone_status_t *status) {
  return hone_fail(status, HONE_INVALID,
                   "tensor %s: a weight is too large for format %s; choose f32 or bf16",
                   tensor->source, hone_format_info(tensor->format.storage)->name);
}

bool hone_export_reals(hone_storage_t storage, const float *values, size_t count, void *out) {
  if (storage == HONE_F16) return hone_quantize_f16(values, count, out, 16);
  if (storage == HONE_BF16) return hone_quantize_bf16(values, count, out, 16);
  memcpy(out, values, count * sizeof *values);
  return true;
}

// ---- quantizing a chunk

typedef struct part {  // some rows of a chunk, on a thread of its own
  const hone_encoder_t *encoder;
  float *values;
  int64_t first, count, bad;  // bad: -1, or the row whose scale overflows
  uint8_t *codes;
  uint16_t *scales;
} part_t;

static void encode_part(void *user, int index) {
  part_t *part = (part_t *)user + index;
  hone_quant_error_t error = {0};
  part->bad = hone_encoder_rows(part->encoder, part->first, part->values, part->count, part->codes,
                                part->scales, &error);
}

static bool encode(stream_t *stream, int64_t row, int64_t count, hone_status_t *status) {
  part_t parts[HONE_PARALLEL_LIMIT];
  int64_t each = (count + stream->threads - 1) / stream->threads;
  int used = 0;
  bool ok = true;
  for (int64_t first = 0; first < count; used++, first += each)
    parts[used] = (part_t){.encoder = &stream->encoder,
                           .values = stream->values + (uint64_t)first * stream->Kp,
                           .first = row + first,
                           .count = count - first < each ? count - first : each,
                           .codes = stream->codes + (uint64_t)first * stream->Kp,
                           .scales = stream->scales + (size_t)first * stream->scale_count};
  hone_parallel_run(used, encode_part, parts);
  for (int i = 0; i < used; i++) {
    ok &= parts[i].bad == -1;
    if (parts[i].bad < -1)
      return hone_fail(status, HONE_EXHAUSTED, "tensor %s: no memory", stream->tensor->source);
  }
  return ok || hone_export_fail_large(stream->tensor, status);
}

// ---- chunks

static bool read_chunk(stream_t *stream, int64_t first, int64_t count, hone_status_t *status) {
  bool is_vector = stream->tensor->is_vector;
  int64_t from = is_vector ? 0 : first, rows = is_vector ? stream->rows.N : count;
  if (!hone_rows_read(&stream->rows, from, rows, stream->raw, status)) return false;
  memset(stream->values, 0, (uint64_t)count * stream->Kp * sizeof(float));
  for (int64_t i = 0; i < count; i++)
    memcpy(stream->values + (uint64_t)i * stream->Kp, stream->raw + (uint64_t)i * stream->K,
           stream->K * sizeof(float));
  return true;
}

static bool visit_chunks(const hone_export_t *export, stream_t *stream, hone_export_rows_fn *visit,
                         void *user, hone_status_t *status) {
  int64_t total = stream->tensor->rows;
  for (int64_t first = 0; first < total; first += stream->step) {
    int64_t count = total - first < stream->step ? total - first : stream->step;
    hone_export_rows_t rows = {first, count, stream->Kp, stream->values, NULL, NULL, NULL};
    if (!read_chunk(stream, first, count, status)) return false;
    if (stream->is_quantized) {
      if (!encode(stream, first, count, status)) return false;
      rows.codes = stream->codes;
      rows.scales = stream->scales;
      rows.encoder = &stream->encoder;
    }
    if (!visit(user, &rows, status)) return false;
    hone_progress_add(export->progress, (uint64_t)count * stream->K, stream->tensor->source);
  }
  return true;
}

static void *allocate(uint64_t bytes) { return aligned_alloc(64, hone_round_up(bytes + 1, 64)); }

static bool prepare(const hone_export_t *export, stream_t *stream, hone_status_t *status) {
  const hone_compile_t *compile = export->compile;
  const hone_export_tensor_t *tensor = stream->tensor;
  uint64_t values = (uint64_t)stream->step * stream->Kp;
  if (!hone_rows_open(compile->reader, compile->source, &tensor->recipe, &stream->rows, status))
    return false;
  if (stream->is_quantized) {
    if (!hone_encoder_prepare(&stream->rows, tensor->format, &export->solver, &stream->encoder,
                              status))
      return false;
    const hone_quantizer_t *quantizer = &stream->encoder.quantizer;
    stream->scale_count = (size_t)quantizer->scale_count * quantizer->planes;
  }
  stream->raw = allocate((uint64_t)stream->step * stream->K * sizeof(float));
  stream->values = allocate(values * sizeof(float));
  stream->codes = allocate(stream->is_quantized ? values : 0);
  stream->scales = allocate((uint64_t)stream->step * stream->scale_count * sizeof(uint16_t));
  if (stream->raw && stream->values && stream->codes && stream->scales) return true;
  return hone_fail(status, HONE_EXHAUSTED, "tensor %s: no memory for %" PRId64 " rows of %" PRIu64,
                   tensor->source, stream->step, stream->K);
}

bool hone_export_stream(const hone_export_t *export, const hone_export_tensor_t *tensor,
                        int64_t unit, hone_export_rows_fn *visit, void *user,
                        hone_status_t *status) {
  stream_t stream = {.tensor = tensor,
                     .is_quantized = hone_format_is_quantized(tensor->format.storage),
                     .K = (uint64_t)tensor->columns,
                     .Kp = hone_padded((uint64_t)tensor->columns),
                     .threads = hone_parallel_count(export->compile->options.threads)};
  bool is_solved = export->solver.statistics && stream.is_quantized;
  stream.step = (is_solved ? SOLVER_VALUES : CHUNK_VALUES) / (int64_t)stream.Kp / unit * unit;
  if (stream.step < unit) stream.step = unit;
  if (stream.step > tensor->rows) stream.step = tensor->rows;
  hone_quant_error_t ignored = {0};  // no manifest has a place for it
  bool ok = prepare(export, &stream, status) &&
            visit_chunks(export, &stream, visit, user, status) &&
            hone_encoder_finish(&stream.encoder, &ignored, status);
  free(stream.raw);
  free(stream.values);
  free(stream.codes);
  free(stream.scales);
  hone_encoder_deinit(&stream.encoder);
  hone_rows_close(&stream.rows);
  return ok;
}
