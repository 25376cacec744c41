// --emit gguf: GGUF version 3 for llama.cpp. The header is made in memory, then tensors follow one
// by one, each at a multiple of 32. Rows of queries and keys are permuted: llama.cpp rotates
// neighbours (2i, 2i + 1) of a head, the checkpoint's rows are for the halves (i, i + d/2).
#include <string.h>

#include "base/checked.h"
#include "codegen/export/blocks.h"
#include "codegen/export/gguf_internal.h"

enum { VERSION = 3, ALIGNMENT = 32, NAME_LIMIT = 63 };

typedef struct entry {  // a tensor of the file
  const char *name;
  const hone_export_tensor_t *tensor;  // NULL: rope_freqs.weight
  const hone_block_type_t *type;
  int64_t heads;           // permuted by as many; 0: not
  uint64_t offset, bytes;  // offset from the start of the data
} entry_t;

typedef struct gguf {
  hone_export_t export;
  hone_gguf_model_t model;
  hone_gguf_metadata_t metadata;
  HONE_LIST(entry_t) entries;
  hone_output_t *output;
  uint64_t base;  // of the data in the file
  uint64_t data_bytes;
  hone_buffer_t rows;  // of a chunk, as written
  float *permuted;     // a vector
} gguf_t;

// ---- metadata

void hone_gguf_put_u32(hone_buffer_t *out, uint32_t value) {
  uint8_t bytes[4];
  for (int i = 0; i < 4; i++) bytes[i] = (uint8_t)(value >> (8 * i));
  hone_buffer_add(out, bytes, sizeof bytes);
}

void hone_gguf_put_u64(hone_buffer_t *out, uint64_t value) {
  hone_gguf_put_u32(out, (uint32_t)value);
  hone_gguf_put_u32(out, (uint32_t)(value >> 32));
}

void hone_gguf_put_f32(hone_buffer_t *out, float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  hone_gguf_put_u32(out, bits);
}

void hone_gguf_put_string(hone_buffer_t *out, hone_slice_t text) {
  hone_gguf_put_u64(out, text.bytes);
  hone_buffer_add(out, text.data, text.bytes);
}

static void begin_pair(hone_gguf_metadata_t *data, const char *key, hone_gguf_type_t type) {
  hone_gguf_put_string(&data->out, hone_slice(key));
  hone_gguf_put_u32(&data->out, type);
  data->count++;
}

void hone_gguf_u32(hone_gguf_metadata_t *data, const char *key, uint32_t value) {
  begin_pair(data, key, HONE_GGUF_U32);
  hone_gguf_put_u32(&data->out, value);
}

void hone_gguf_f32(hone_gguf_metadata_t *data, const char *key, float value) {
  begin_pair(data, key, HONE_GGUF_F32);
  hone_gguf_put_f32(&data->out, value);
}

void hone_gguf_bool(hone_gguf_metadata_t *data, const char *key, bool value) {
  uint8_t byte = value;
  begin_pair(data, key, HONE_GGUF_BOOL);
  hone_buffer_add(&data->out, &byte, 1);
}

void hone_gguf_string(hone_gguf_metadata_t *data, const char *key, const char *value) {
  begin_pair(data, key, HONE_GGUF_STRING);
  hone_gguf_put_string(&data->out, hone_slice(value));
}

void hone_gguf_array(hone_gguf_metadata_t *data, const char *key, hone_gguf_type_t type,
                     uint64_t count) {
  begin_pair(data, key, HONE_GGUF_ARRAY);
  hone_gguf_put_u32(&data->out, type);
  hone_gguf_put_u64(&data->out, count);
}

// ---- which tensor gets which type

static double type_bits(hone_format_t format, int64_t N, int64_t K, bool dense) {
  const hone_block_type_t *type = hone_block_type_find(format.storage, dense);
  if (!type || !hone_block_type_fits(type, format) || K % type->elements) return 0;
  return (double)N * (double)(K / type->elements) * type->bytes * 8;
}

double hone_export_gguf_bits(hone_format_t format, int64_t N, int64_t K, bool is_head) {
  (void)is_head;
  return type_bits(format, N, K, false);
}

double hone_export_gguf_tq1_bits(hone_format_t format, int64_t N, int64_t K, bool is_head) {
  (void)is_head;
  return type_bits(format, N, K, true);
}

static bool fail_format(const hone_export_tensor_t *tensor, const hone_block_type_t *type,
                        hone_status_t *status) {
  char text[24], known[128];
  hone_format_text(tensor->format, text);
  if (type)
    return hone_fail(status, HONE_UNSUPPORTED,
                     "tensor %s: GGUF's %s has a scale for every %u weights; ask for %s:%u, not %s",
                     tensor->source, type->name, type->format.group,
                     hone_format_info(type->format.storage)->name, type->format.group, text);
  return hone_fail(status, HONE_UNSUPPORTED, "tensor %s: GGUF has no type for %s; it holds %s",
                   tensor->source, text, hone_block_type_list(known));
}

// Like llama-quantize, a matrix whose rows are no whole number of blocks becomes F16, with a
// remark.
static bool choose_type(gguf_t *gguf, entry_t *entry, hone_export_tensor_t *tensor, bool dense,
                        hone_status_t *status) {
  const hone_block_type_t *type = hone_block_type_find(tensor->format.storage, dense);
  if (tensor->is_vector) {  // llama.cpp adds and multiplies f32 vectors only
    tensor->format = (hone_format_t){.storage = HONE_F32};
    type = hone_block_type_find(HONE_F32, false);
  }
  if (!type || !hone_block_type_fits(type, tensor->format))
    return fail_format(tensor, type, status);
  if (tensor->columns % type->elements) {
    hone_diagnose(gguf->export.compile->diagnostics, HONE_REMARK, tensor->source,
                  "rows of %lld are no whole number of blocks of %u (%s): written as F16",
                  (long long)tensor->columns, type->elements, type->name);
    tensor->format = (hone_format_t){.storage = HONE_F16};
    type = hone_block_type_find(HONE_F16, false);
  }
  entry->type = type;
  return true;
}

static void place_entry(gguf_t *gguf, entry_t *entry, uint64_t values) {
  entry->offset = gguf->data_bytes;
  entry->bytes = values / entry->type->elements * entry->type->bytes;
  gguf->data_bytes = hone_round_up(entry->offset + entry->bytes, ALIGNMENT);
  hone_list_push(gguf->export.arena, &gguf->entries, *entry);
}

// The type of most weights, for general.file_type: of the first matrix that is no embedding.
static const hone_block_type_t *main_type(const gguf_t *gguf, bool dense) {
  hone_format_t format = {0};
  for (size_t i = 0; i < gguf->export.count; i++) {
    const hone_export_tensor_t *tensor = &gguf->export.tensors[i];
    if (tensor->is_vector || tensor->is_head) continue;
    format = tensor->format;
    if (hone_format_is_quantized(format.storage)) break;  // not one that became F16
  }
  return hone_block_type_find(format.storage, dense);
}

static bool list_entries(gguf_t *gguf, bool dense, hone_status_t *status) {
  bool wants = false, has = false;  // a quantized matrix beside embedding and head
  for (size_t i = 0; i < gguf->export.count; i++) {
    hone_export_tensor_t *tensor = &gguf->export.tensors[i];
    entry_t entry = {.tensor = tensor};
    entry.name =
        hone_gguf_tensor_name(&gguf->model, gguf->export.arena, tensor->recipe.name, &entry.heads);
    if (!entry.name || strlen(entry.name) > NAME_LIMIT)
      return hone_fail(status, HONE_UNSUPPORTED,
                       "tensor %s: GGUF's architecture 'llama' has no place for recipe %s",
                       tensor->source, tensor->recipe.name);
    bool counts = !tensor->is_head && !tensor->is_vector;
    wants |= counts && hone_format_is_quantized(tensor->format.storage);
    if (!choose_type(gguf, &entry, tensor, dense, status)) return false;
    has |= counts && hone_format_is_quantized(tensor->format.storage);
    place_entry(gguf, &entry, (uint64_t)(tensor->rows * tensor->columns));
  }
  if (wants && !has)
    return hone_fail(status, HONE_UNSUPPORTED,
                     "--weights %s: no matrix has rows of whole blocks; nothing would be quantized",
                     gguf->export.compile->options.weights);
  if (!gguf->model.rope_factors) return true;
  entry_t entry = {.name = "rope_freqs.weight", .type = hone_block_type_find(HONE_F32, false)};
  place_entry(gguf, &entry, (uint64_t)gguf->model.attention.head_dim / 2);
  return true;
}

// ---- writing

static void write_entry(const gguf_t *gguf, const entry_t *entry, hone_buffer_t *out) {
  const hone_export_tensor_t *tensor = entry->tensor;
  bool is_vector = !tensor || tensor->is_vector;
  hone_gguf_put_string(out, hone_slice(entry->name));
  hone_gguf_put_u32(out, is_vector ? 1 : 2);
  hone_gguf_put_u64(
      out, tensor ? (uint64_t)tensor->columns : (uint64_t)gguf->model.attention.head_dim / 2);
  if (!is_vector) hone_gguf_put_u64(out, (uint64_t)tensor->rows);
  hone_gguf_put_u32(out, entry->type->id);
  hone_gguf_put_u64(out, entry->offset);
}

static bool write_header(gguf_t *gguf, bool dense, hone_status_t *status) {
  hone_gguf_metadata_t *data = &gguf->metadata;
  hone_buffer_t header = {0};
  hone_gguf_string(data, "general.architecture", "llama");
  hone_gguf_string(data, "general.name", hone_path_base(gguf->export.config.checkpoint));
  hone_gguf_u32(data, "general.alignment", ALIGNMENT);
  hone_gguf_u32(data, "general.file_type", main_type(gguf, dense)->file_type);
  hone_gguf_u32(data, "general.quantization_version", 2);
  hone_gguf_model_write(&gguf->export, &gguf->model, data);
  if (!hone_gguf_tokenizer_write(&gguf->export, data, status)) return false;
  hone_buffer_text(&header, "GGUF");
  hone_gguf_put_u32(&header, VERSION);
  hone_gguf_put_u64(&header, gguf->entries.count);
  hone_gguf_put_u64(&header, data->count);
  hone_buffer_add(&header, data->out.data, data->out.bytes);
  for (size_t i = 0; i < gguf->entries.count; i++)
    write_entry(gguf, &gguf->entries.items[i], &header);
  hone_buffer_align(&header, ALIGNMENT);
  gguf->base = header.bytes;
  bool ok = hone_output_write(gguf->output, header.data, header.bytes, status);
  hone_buffer_deinit(&header);
  return ok;
}

typedef struct sink {
  gguf_t *gguf;
  const entry_t *entry;
} sink_t;

// Where row `row` of `heads` heads of `dim` rows goes.
static int64_t permute(int64_t row, int64_t dim) {
  int64_t within = row % dim, half = dim / 2;
  return row - within + within % half * 2 + within / half;
}

static bool encode_row(const sink_t *sink, const hone_export_rows_t *rows, int64_t i,
                       uint8_t *out) {
  const hone_export_tensor_t *tensor = sink->entry->tensor;
  const float *values = rows->values + (uint64_t)i * rows->Kp;
  if (rows->encoder)
    return hone_block_row(sink->entry->type, &rows->encoder->quantizer,
                          rows->codes + (uint64_t)i * rows->Kp,
                          rows->scales + (uint64_t)i * rows->encoder->quantizer.scale_count, out);
  if (tensor->is_vector && sink->entry->heads) {
    int64_t dim = sink->gguf->model.attention.head_dim;
    for (int64_t k = 0; k < tensor->columns; k++) sink->gguf->permuted[permute(k, dim)] = values[k];
    values = sink->gguf->permuted;
  }
  return hone_export_reals(tensor->format.storage, values, rows->Kp, out);
}

static bool write_rows(void *user, const hone_export_rows_t *rows, hone_status_t *status) {
  const sink_t *sink = user;
  gguf_t *gguf = sink->gguf;
  const entry_t *entry = sink->entry;
  uint64_t row_bytes =
      (uint64_t)entry->tensor->columns / entry->type->elements * entry->type->bytes;
  bool permutes = entry->heads && !entry->tensor->is_vector;
  uint64_t slack = rows->Kp * sizeof(float);  // reals are written with their pads
  gguf->rows.bytes = 0;
  hone_buffer_reserve(&gguf->rows, (uint64_t)rows->count * row_bytes + 2 * slack);
  uint8_t *packed = (uint8_t *)gguf->rows.data + slack;
  for (int64_t i = 0; i < rows->count; i++) {
    int64_t place = permutes ? permute(i, gguf->model.attention.head_dim) : i;
    uint8_t *row = (uint8_t *)gguf->rows.data;
    if (!encode_row(sink, rows, i, row)) return hone_export_fail_large(entry->tensor, status);
    memcpy(packed + (uint64_t)place * row_bytes, row, row_bytes);
  }
  uint64_t at = gguf->base + entry->offset + (uint64_t)rows->first * row_bytes;
  return hone_output_write_at(gguf->output, at, packed, (uint64_t)rows->count * row_bytes, status);
}

static bool write_tensor(gguf_t *gguf, const entry_t *entry, hone_status_t *status) {
  static const uint8_t zeros[ALIGNMENT];
  uint64_t at = gguf->base + entry->offset,
           pad = hone_round_up(entry->bytes, ALIGNMENT) - entry->bytes;
  bool permutes = entry->heads && !entry->tensor->is_vector;
  sink_t sink = {gguf, entry};
  bool ok = entry->tensor ? hone_export_stream(&gguf->export, entry->tensor,
                                               permutes ? gguf->model.attention.head_dim : 1,
                                               write_rows, &sink, status)
                          : hone_output_write_at(gguf->output, at, gguf->model.rope_factors,
                                                 entry->bytes, status);
  return ok && hone_output_write_at(gguf->output, at + entry->bytes, zeros, pad, status);
}

static bool write_file(gguf_t *gguf, bool dense, hone_status_t *status) {
  int64_t widest = 0;
  if (!hone_gguf_model_read(&gguf->export, &gguf->model, status) ||
      !list_entries(gguf, dense, status) ||
      !hone_output_create(gguf->export.compile->options.output, 0644, &gguf->output, status) ||
      !write_header(gguf, dense, status))
    return false;
  hone_export_announce(&gguf->export);
  for (size_t i = 0; i < gguf->export.count; i++)
    if (gguf->export.tensors[i].columns > widest) widest = gguf->export.tensors[i].columns;
  gguf->permuted = HONE_NEW_ARRAY(gguf->export.arena, float, hone_padded((uint64_t)widest));
  for (size_t i = 0; i < gguf->entries.count; i++)
    if (!write_tensor(gguf, &gguf->entries.items[i], status)) return false;
  return hone_output_commit(gguf->output, status);
}

// Without --head a quantized model's embedding and head are Q8_0.
static bool export_gguf(hone_compile_t *compile, bool dense, hone_status_t *status) {
  static const hone_format_t q8 = {HONE_Q8, 32};
  gguf_t gguf = {0};
  if (!hone_export_begin(compile, &q8, &gguf.export, status)) return false;
  bool ok = write_file(&gguf, dense, status);
  hone_output_destroy(gguf.output);
  hone_buffer_deinit(&gguf.rows);
  hone_buffer_deinit(&gguf.metadata.out);
  hone_export_end(&gguf.export);
  return ok;
}

bool hone_export_gguf(hone_compile_t *compile, hone_status_t *status) {
  return export_gguf(compile, false, status);
}

bool hone_export_gguf_tq1(hone_compile_t *compile, hone_status_t *status) {
  return export_gguf(compile, true, status);
}
