// Between the files of the GGUF export: metadata values, the model's configuration as llama.cpp's
// architecture "llama" wants it, the tokenizer. Never included outside codegen/export.
#ifndef HONE_CODEGEN_EXPORT_GGUF_INTERNAL_H
#define HONE_CODEGEN_EXPORT_GGUF_INTERNAL_H

#include "codegen/export/export_internal.h"

// ---- metadata: appended to `out`, counted (gguf.c)
typedef enum hone_gguf_type {  // enum gguf_type
  HONE_GGUF_U32 = 4,
  HONE_GGUF_I32 = 5,
  HONE_GGUF_F32 = 6,
  HONE_GGUF_BOOL = 7,
  HONE_GGUF_STRING = 8,
  HONE_GGUF_ARRAY = 9,
} hone_gguf_type_t;

typedef struct hone_gguf_metadata {
  hone_buffer_t out;
  uint64_t count;
} hone_gguf_metadata_t;

void hone_gguf_u32(hone_gguf_metadata_t *data, const char *key, uint32_t value);
void hone_gguf_f32(hone_gguf_metadata_t *data, const char *key, float value);
void hone_gguf_bool(hone_gguf_metadata_t *data, const char *key, bool value);
void hone_gguf_string(hone_gguf_metadata_t *data, const char *key, const char *value);
// Begins an array; its `count` items follow as put_*.
void hone_gguf_array(hone_gguf_metadata_t *data, const char *key, hone_gguf_type_t type,
                     uint64_t count);
void hone_gguf_put_u32(hone_buffer_t *out, uint32_t value);
void hone_gguf_put_u64(hone_buffer_t *out, uint64_t value);
void hone_gguf_put_f32(hone_buffer_t *out, float value);
void hone_gguf_put_string(hone_buffer_t *out, hone_slice_t text);

// ---- configuration (gguf_model.c)
typedef struct hone_gguf_model {
  int64_t layers, ffn;
  ir_attention_t attention;
  double epsilon;
  float theta;           // of the rotary embedding
  double linear_factor;  // rope scaling "linear"; 1: none
  float *rope_factors;   // (head_dim / 2) for rope_freqs.weight; NULL: none
} hone_gguf_model_t;

// Reads the configuration off the blocks. HONE_UNSUPPORTED for what the architecture cannot say.
HONE_MUST_CHECK bool hone_gguf_model_read(const hone_export_t *export, hone_gguf_model_t *out_model,
                                          hone_status_t *status);
void hone_gguf_model_write(const hone_export_t *export, const hone_gguf_model_t *model,
                           hone_gguf_metadata_t *data);
// llama.cpp's name of a recipe, or NULL. *out_heads: the rows of a query or key are permuted by as
// many heads; else 0.
const char *hone_gguf_tensor_name(const hone_gguf_model_t *model, hone_arena_t *arena,
                                  const char *recipe, int64_t *out_heads);

// ---- tokenizer (gguf_tokenizer.c): tokenizer.ggml.*, from the blob of base/tokenizer.h
HONE_MUST_CHECK bool hone_gguf_tokenizer_write(const hone_export_t *export,
                                               hone_gguf_metadata_t *data, hone_status_t *status);

#endif
