// What exporters share: the list of tensors with the format each is written in, streaming their
// rows as codes or floats, and the exporters themselves. Thread rule: the session's thread;
// streaming starts and joins threads of its own.
#ifndef HONE_CODEGEN_EXPORT_INTERNAL_H
#define HONE_CODEGEN_EXPORT_INTERNAL_H

#include "base/file.h"
#include "base/progress.h"
#include "codegen/export/export.h"
#include "codegen/pack/encode.h"

typedef struct hone_export_tensor {
  ir_recipe_t recipe;      // of a single source
  const char *source;      // its name in the checkpoint
  hone_storage_t storage;  // ... and its format there
  hone_format_t format;    // what is written
  int64_t rows, columns;   // (N, K) of a matrix, (1, N) of a vector
  bool is_vector;
  bool is_head;  // embedding or head
} hone_export_tensor_t;

typedef struct hone_export {  // one export under way
  hone_compile_t *compile;
  hone_arena_t *arena;  // the compile's
  ir_config_t config;
  hone_export_tensor_t *tensors;  // in the order of the recipes
  size_t count;
  hone_solver_t solver;
  hone_progress_t *progress;
} hone_export_t;

// Lists the tensors. Vectors keep the checkpoint's format. Where the weights are quantized and
// neither --head nor a target size is given, embedding and head get `head`, or the checkpoint's
// format if that is NULL.
// Errors: a textual model (its folder's config.json describes another one), recipes of several
// tensors.
HONE_MUST_CHECK bool hone_export_begin(hone_compile_t *compile, const hone_format_t *head,
                                       hone_export_t *out_export, hone_status_t *status);
// Announces the tensors to the work folder, once their formats are settled.
void hone_export_announce(const hone_export_t *export);
void hone_export_end(hone_export_t *export);

// Some rows of a tensor. Quantized formats have codes, scales and encoder, floats have neither.
typedef struct hone_export_rows {
  int64_t first, count;
  uint64_t Kp;             // distance of rows in values and codes; pads are zero
  const float *values;     // (count, Kp)
  const uint8_t *codes;    // (count, Kp)
  const uint16_t *scales;  // (count, scale_count of the quantizer)
  const hone_encoder_t *encoder;
} hone_export_rows_t;
typedef bool hone_export_rows_fn(void *user, const hone_export_rows_t *rows, hone_status_t *status);

// Calls visit for all rows of the tensor, in order and in chunks of a few MB; `first` is a multiple
// of `unit`, which divides the number of rows.
HONE_MUST_CHECK bool hone_export_stream(const hone_export_t *export,
                                        const hone_export_tensor_t *tensor, int64_t unit,
                                        hone_export_rows_fn *visit, void *user,
                                        hone_status_t *status);

// `count` values as f32, f16 or bf16, little-endian. False: one of them is too large. `count` is a
// multiple of 16.
HONE_MUST_CHECK bool hone_export_reals(hone_storage_t storage, const float *values, size_t count,
                                       void *out);
HONE_MUST_CHECK bool hone_export_fail_large(const hone_export_tensor_t *tensor,
                                            hone_status_t *status);

// For hone_container_t.bits; without a margin for headers.
double hone_export_checkpoint_bits(hone_format_t format, int64_t N, int64_t K, bool is_head);
double hone_export_gguf_bits(hone_format_t format, int64_t N, int64_t K, bool is_head);
double hone_export_gguf_tq1_bits(hone_format_t format, int64_t N, int64_t K, bool is_head);

hone_export_fn hone_export_checkpoint, hone_export_gguf, hone_export_gguf_tq1;

#endif
