// A small llama made up in a scratch folder, and compiling it with --emit of an export. Not a test.
// Thread rule: one thread.
#ifndef HONE_TESTS_UNIT_CODEGEN_EXPORT_FIXTURE_H
#define HONE_TESTS_UNIT_CODEGEN_EXPORT_FIXTURE_H

#include <sys/stat.h>

#include "base/file.h"
#include "codegen/export/export.h"
#include "frontend/checkpoint.h"
#include "frontend/import.h"
#include "frontend/tokenizer.h"
#include "quant/nested.h"
#include "quant/quantizer.h"
#include "quant/real.h"
#include "tests/unit/codegen/test.h"

enum { VOCAB = 512, WIDTH = 64, FFN = 256, HEADS = 4, KV_HEADS = 2, HEAD_DIM = 16 };

typedef struct source {
  const char *name;
  int64_t N, K;  // K 0: a vector
  float *values;
} source_t;

static source_t sources[] = {
    {"model.embed_tokens.weight", VOCAB, WIDTH, NULL},
    {"model.layers.0.input_layernorm.weight", WIDTH, 0, NULL},
    {"model.layers.0.self_attn.q_proj.weight", WIDTH, WIDTH, NULL},
    {"model.layers.0.self_attn.q_proj.bias", WIDTH, 0, NULL},
    {"model.layers.0.self_attn.k_proj.weight", WIDTH / 2, WIDTH, NULL},
    {"model.layers.0.self_attn.k_proj.bias", WIDTH / 2, 0, NULL},
    {"model.layers.0.self_attn.v_proj.weight", WIDTH / 2, WIDTH, NULL},
    {"model.layers.0.self_attn.v_proj.bias", WIDTH / 2, 0, NULL},
    {"model.layers.0.self_attn.o_proj.weight", WIDTH, WIDTH, NULL},
    {"model.layers.0.self_attn.o_proj.bias", WIDTH, 0, NULL},
    {"model.layers.0.post_attention_layernorm.weight", WIDTH, 0, NULL},
    {"model.layers.0.mlp.gate_proj.weight", FFN, WIDTH, NULL},
    {"model.layers.0.mlp.up_proj.weight", FFN, WIDTH, NULL},
    {"model.layers.0.mlp.down_proj.weight", WIDTH, FFN, NULL},
    {"model.norm.weight", WIDTH, 0, NULL},
    {"lm_head.weight", VOCAB, WIDTH, NULL},
};
enum { SOURCE_COUNT = sizeof sources / sizeof *sources };

static const char config_text[] =
    "{\"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\", \"hidden_size\": 64,\n"
    " \"intermediate_size\": 256, \"num_hidden_layers\": 1, \"num_attention_heads\": 4,\n"
    " \"num_key_value_heads\": 2, \"vocab_size\": 512, \"max_position_embeddings\": 128,\n"
    " \"rms_norm_eps\": 1e-05, \"rope_theta\": 500000.0, \"attention_bias\": true,\n"
    " \"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8.0, \"low_freq_factor\": 1.0,\n"
    "  \"high_freq_factor\": 4.0, \"original_max_position_embeddings\": 8192},\n"
    " \"bos_token_id\": 1, \"eos_token_id\": 2, \"torch_dtype\": \"float32\"}\n";

typedef struct fixture {
  hone_arena_t *arena;
  char *folder;  // scratch; the model is in folder/model
  const char *model;
  hone_status_t status;
} fixture_t;

static inline const source_t *find_source(const char *name) {
  for (size_t i = 0; i < SOURCE_COUNT; i++)
    if (!strcmp(sources[i].name, name)) return &sources[i];
  fail_msg("no source %s", name);
  return NULL;
}

static inline size_t count_of(const source_t *source) {
  return (size_t)(source->N * (source->K ? source->K : 1));
}

static inline void write_file(fixture_t *f, const char *name, const hone_buffer_t *data) {
  hone_output_t *output;
  const char *path = hone_path_join(f->arena, f->model, name);
  assert_ok(&f->status, hone_output_create(path, 0644, &output, &f->status));
  assert_ok(&f->status, hone_output_write(output, data->data, data->bytes, &f->status));
  assert_ok(&f->status, hone_output_commit(output, &f->status));
  hone_output_destroy(output);
}

static inline void write_weights(fixture_t *f) {
  hone_buffer_t header = {0}, file = {0};
  uint64_t state = 7, at = 0;
  for (size_t i = 0; i < SOURCE_COUNT; i++) {
    source_t *source = &sources[i];
    size_t count = count_of(source), bytes = count * sizeof(float);
    source->values = HONE_NEW_ARRAY(f->arena, float, count);
    for (size_t k = 0; k < count; k++)
      source->values[k] = (float)(test_random(&state) + test_random(&state) - 1) * 0.1f;
    hone_buffer_format(&header, "%c\"%s\":{\"dtype\":\"F32\",\"shape\":[%d", i ? ',' : '{',
                       source->name, (int)source->N);
    if (source->K) hone_buffer_format(&header, ",%d", (int)source->K);
    hone_buffer_format(&header, "],\"data_offsets\":[%d,%d]}", (int)at, (int)(at + bytes));
    at += bytes;
  }
  hone_buffer_text(&header, "}");
  uint64_t length = header.bytes;
  hone_buffer_add(&file, &length, sizeof length);
  hone_buffer_add(&file, header.data, header.bytes);
  for (size_t i = 0; i < SOURCE_COUNT; i++)
    hone_buffer_add(&file, sources[i].values, count_of(&sources[i]) * sizeof(float));
  write_file(f, "model.safetensors", &file);
  hone_buffer_deinit(&header);
  hone_buffer_deinit(&file);
}

static inline int setup(void **state) {
  fixture_t *f = calloc(1, sizeof *f);
  f->arena = hone_arena_create();
  *state = f;
  if (!hone_scratch_create(f->arena, &f->folder, &f->status)) return -1;
  f->model = hone_path_join(f->arena, f->folder, "model");
  if (mkdir(f->model, 0755)) return -1;
  write_weights(f);
  hone_buffer_t text = {0};
  hone_buffer_text(&text, config_text);
  write_file(f, "config.json", &text);
  hone_buffer_deinit(&text);
  return 0;
}

static inline int teardown(void **state) {
  fixture_t *f = *state;
  hone_scratch_remove(f->folder);
  hone_arena_destroy(f->arena);
  free(f);
  return 0;
}

static inline void close_source(void *source) { hone_checkpoint_close(source); }

static inline bool import_model(hone_compile_t *compile, hone_status_t *status) {
  static const hone_tensor_reader_t reader = {.shape = hone_checkpoint_shape,
                                              .read_rows = hone_checkpoint_read_rows};
  hone_checkpoint_t *checkpoint;
  if (!hone_import(compile->session, compile->options.model, &compile->model, &checkpoint, status))
    return false;
  compile->source = checkpoint;
  compile->source_close = close_source;
  compile->reader = &reader;
  const char *sample =
      hone_path_join(compile->arena, getenv("HONE_SOURCE_DIR"), "samples/stories260k");
  return hone_tokenizer_import(sample, VOCAB, &compile->tokenizer, status);
}

// Compiles the model into folder/`output`; remarks go to *out_remarks (may be NULL).
static inline bool compile(fixture_t *f, const char *emit, const char *output,
                           hone_compile_options_t options, size_t *out_remarks) {
  hone_diagnostics_t diagnostics = {.arena = f->arena};
  options.model = f->model;
  options.emit = emit;
  options.output = hone_path_join(f->arena, f->folder, output);
  hone_compile_t job = {.options = options,
                        .import = import_model,
                        .write_export = hone_exporter_find(emit)->write,
                        .arena = f->arena,
                        .diagnostics = &diagnostics};
  f->status = (hone_status_t){0};
  bool ok = ir_session_create(&diagnostics, &job.session, &f->status) &&
            hone_compile_run(&job, &f->status);
  hone_compile_deinit(&job);
  if (out_remarks) *out_remarks = diagnostics.list.count;
  return ok;
}

// Second level of nf4dq's scales; rows (N, K).
static inline void set_second(fixture_t *f, hone_quantizer_t *q, const float *rows, uint64_t N) {
  uint64_t count = N * q->group_count;
  float *scales = HONE_NEW_ARRAY(f->arena, float, count), row[512];
  float *weights = HONE_NEW_ARRAY(f->arena, float, count);
  float *second = HONE_NEW_ARRAY(f->arena, float, hone_packed_second_count(q->format, N, q->K));
  hone_packed_second_t places;
  assert_true(hone_packed_second_init(&places, q->format, q->K, &N, 1, false));
  for (uint64_t n = 0; n < N; n++) {
    memset(row, 0, sizeof row);
    memcpy(row, rows + n * q->K, q->K * sizeof *row);
    hone_quantizer_free_scales(q, row, scales + n * q->group_count, weights + n * q->group_count);
  }
  hone_nested_fit(scales, weights, count, second, &places.offset[0]);
  hone_quantizer_set_second(q, second, &places);
}

// What the quantizer makes of a source: (N, K) as a reader of codes and scales must see it.
static inline float *expected(fixture_t *f, const source_t *source, hone_format_t format) {
  uint64_t N = (uint64_t)source->N, K = (uint64_t)(source->K ? source->K : 1);
  float *out = HONE_NEW_ARRAY(f->arena, float, N *K);
  for (uint64_t i = 0; i < N * K; i++) {
    bool overflow = false;
    out[i] = source->values[i];
    if (format.storage == HONE_F16)
      out[i] = hone_f32_from_f16(hone_f16_from_f32(out[i], &overflow));
  }
  if (!hone_format_is_quantized(format.storage)) return out;
  float importance[512], row[512], decoded[512];
  uint8_t codes[512];
  uint16_t scales[32];
  hone_quantizer_t quantizer;
  hone_importance_fill(NULL, K, importance);
  hone_quantizer_init(&quantizer, format, K, importance);
  if (format.storage == HONE_NF4DQ) set_second(f, &quantizer, source->values, N);
  for (uint64_t n = 0; n < N; n++) {
    memset(row, 0, sizeof row);
    memcpy(row, source->values + n * K, K * sizeof *row);
    assert_true(hone_quantizer_row(&quantizer, n, row, codes, scales));
    hone_quantizer_decode(&quantizer, n, codes, scales, decoded);
    memcpy(out + n * K, decoded, K * sizeof *row);
  }
  return out;
}

static inline void assert_floats(const char *name, const float *got, const float *want,
                                 size_t count) {
  for (size_t i = 0; i < count; i++)
    if (!(got[i] == want[i]))
      fail_msg("%s: element %zu is %a, not %a", name, i, (double)got[i], (double)want[i]);
}

static inline const uint8_t *read_file(fixture_t *f, const char *name, size_t *out_bytes) {
  char *data;
  assert_ok(&f->status, hone_file_read(hone_path_join(f->arena, f->folder, name), 1 << 24, f->arena,
                                       &data, out_bytes, &f->status));
  return (const uint8_t *)data;
}

#endif
