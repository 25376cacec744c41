// --emit checkpoint: a Hugging Face folder under the checkpoint's own tensor names. Floats are
// plain tensors; nf4, fp4 and nf4dq (as nested nf4) are as bitsandbytes 0.40 and later saves them:
// blocks run over the flattened (N, K), first code in the high nibble, and our scales (which may be
// negative: readers only multiply) are their absmax. The folder is made beside DIR and renamed when
// it is complete.
#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/json.h"
#include "codegen/export/export_internal.h"
#include "codegen/export/safetensors.h"
#include "quant/nested.h"

typedef struct entry {  // what becomes of one tensor
  const hone_export_tensor_t *tensor;
  const hone_safetensors_item_t *weight, *absmax, *map, *state;  // the last three: quantized
  const hone_safetensors_item_t *second, *second_map;            // nested scales
  hone_buffer_t state_text;
} entry_t;

typedef struct checkpoint {
  hone_export_t export;
  hone_safetensors_writer_t writer;
  entry_t *entries;         // one per tensor
  hone_format_t quantized;  // of the last quantized tensor; zero if there are floats only
  const char *folder;       // being made
  uint8_t *row;             // bytes of a row, or its absmax
} checkpoint_t;

// ---- what can be written

static bool is_nested(hone_storage_t storage) { return storage == HONE_NF4DQ; }

// What bitsandbytes calls the format, NULL where it has none.
static const char *bnb_name(hone_storage_t storage) {
  return storage == HONE_NF4 || is_nested(storage) ? "nf4" : storage == HONE_FP4 ? "fp4" : NULL;
}

double hone_export_checkpoint_bits(hone_format_t format, int64_t N, int64_t K, bool is_head) {
  double weights = (double)N * (double)K, blocks = format.group ? weights / format.group : 0;
  uint32_t bits = hone_format_info(format.storage)->code_bits;
  if (!hone_format_is_quantized(format.storage)) return weights * bits;
  if (is_head || !bnb_name(format.storage) || (K % format.group && N > 1)) return 0;
  double map = 32.0 * HONE_GRID_LEVELS;
  if (!is_nested(format.storage)) return weights * bits + 32 * ceil(blocks) + map;
  return weights * bits + 8 * ceil(blocks) + 32 * ceil(blocks / HONE_SCALE_BLOCK) + map + 32 * 256;
}

static bool check_tensor(const hone_export_tensor_t *tensor, hone_status_t *status) {
  char text[24];
  hone_format_t format = tensor->format;
  if (!hone_format_is_quantized(format.storage)) return true;
  if (tensor->is_head)
    return hone_fail(status, HONE_UNSUPPORTED,
                     "tensor %s: bitsandbytes keeps embedding and head in floats; leave --head "
                     "out, or choose f32, f16 or bf16",
                     tensor->source);
  if (!bnb_name(format.storage))
    return hone_fail(status, HONE_UNSUPPORTED,
                     "tensor %s: a checkpoint folder cannot hold %s, only f32, f16, bf16, and "
                     "nf4, nf4dq and fp4 as bitsandbytes has them",
                     tensor->source, hone_format_text(format, text));
  if (tensor->columns % format.group == 0 || tensor->rows == 1) return true;
  bool narrower = tensor->columns % 32 == 0;  // the narrowest group of both
  return hone_fail(status, HONE_UNSUPPORTED,
                   "tensor %s: rows of %lld are no whole number of groups of %u, and the blocks of "
                   "bitsandbytes run on into the next row; use %s%s%s",
                   tensor->source, (long long)tensor->columns, format.group,
                   narrower ? "--weights " : "--emit gguf with a format of GGUF",
                   narrower ? hone_format_info(format.storage)->name : "", narrower ? ":32" : "");
}

// ---- model.safetensors

static const char *dtype_of(hone_storage_t storage, uint32_t *out_width) {
  *out_width = storage == HONE_F32 ? 4 : 2;
  return storage == HONE_F32 ? "F32" : storage == HONE_F16 ? "F16" : "BF16";
}

static const char *torch_name(hone_storage_t storage) {
  return storage == HONE_F32 ? "float32" : storage == HONE_F16 ? "float16" : "bfloat16";
}

static int64_t blocks_in_row(const hone_export_tensor_t *tensor) {
  return (tensor->columns + tensor->format.group - 1) / tensor->format.group;
}

enum { OFFSET_BYTES = 17 };  // of a number as write_offset has it, and a brace

// The offset of nested scales is known after the tensor has been read: it has a fixed width.
static void write_offset(hone_buffer_t *text, float offset) {
  hone_buffer_format(text, "% 16.9e}", (double)offset);
}

static void announce_second(checkpoint_t *out, entry_t *entry) {
  const hone_export_tensor_t *tensor = entry->tensor;
  hone_arena_t *arena = out->export.arena;
  int64_t blocks = tensor->rows * blocks_in_row(tensor);
  hone_safetensors_item_t second = {hone_arena_format(arena, "%s.nested_absmax", tensor->source),
                                    "F32",
                                    4,
                                    1,
                                    {(blocks + HONE_SCALE_BLOCK - 1) / HONE_SCALE_BLOCK}};
  hone_safetensors_item_t map = {
      hone_arena_format(arena, "%s.nested_quant_map", tensor->source), "F32", 4, 1, {256}};
  entry->second = hone_safetensors_add(&out->writer, second);
  entry->second_map = hone_safetensors_add(&out->writer, map);
}

static void announce_quantized(checkpoint_t *out, entry_t *entry) {
  const hone_export_tensor_t *tensor = entry->tensor;
  hone_arena_t *arena = out->export.arena;
  hone_json_t json = {.out = &entry->state_text, .compact = true};
  const char *kind = bnb_name(tensor->format.storage);
  bool nested = is_nested(tensor->format.storage);
  hone_json_object_begin(&json, NULL);
  hone_json_string(&json, "quant_type", kind);
  hone_json_i64(&json, "blocksize", tensor->format.group);
  hone_json_string(&json, "dtype", torch_name(tensor->storage));
  hone_json_array_begin(&json, "shape");
  hone_json_i64(&json, NULL, tensor->rows);
  hone_json_i64(&json, NULL, tensor->columns);
  hone_json_array_end(&json);
  if (nested) {
    hone_json_i64(&json, "nested_blocksize", HONE_SCALE_BLOCK);
    hone_json_string(&json, "nested_dtype", "float32");
    hone_buffer_text(&entry->state_text, ",\"nested_offset\":");
    write_offset(&entry->state_text, 0);
    announce_second(out, entry);
  } else {
    hone_json_object_end(&json);
  }
  const char *const names[] = {
      tensor->source, hone_arena_format(arena, "%s.absmax", tensor->source),
      hone_arena_format(arena, "%s.quant_map", tensor->source),
      hone_arena_format(arena, "%s.quant_state.bitsandbytes__%s", tensor->source, kind)};
  hone_safetensors_item_t items[] = {
      {names[0], "U8", 1, 2, {(tensor->rows * tensor->columns + 1) / 2, 1}},
      {names[1], nested ? "U8" : "F32", nested ? 1 : 4, 1, {tensor->rows * blocks_in_row(tensor)}},
      {names[2], "F32", 4, 1, {HONE_GRID_LEVELS}},
      {names[3], "U8", 1, 1, {(int64_t)entry->state_text.bytes}}};
  entry->weight = hone_safetensors_add(&out->writer, items[0]);
  entry->absmax = hone_safetensors_add(&out->writer, items[1]);
  entry->map = hone_safetensors_add(&out->writer, items[2]);
  entry->state = hone_safetensors_add(&out->writer, items[3]);
  out->quantized = tensor->format;
}

static bool announce(checkpoint_t *out, size_t index, hone_status_t *status) {
  entry_t *entry = &out->entries[index];
  const hone_export_tensor_t *tensor = entry->tensor = &out->export.tensors[index];
  if (!check_tensor(tensor, status)) return false;
  if (hone_format_is_quantized(tensor->format.storage)) {
    const char *kind = bnb_name(tensor->format.storage);
    if (out->quantized.group && strcmp(kind, bnb_name(out->quantized.storage)))
      return hone_fail(status, HONE_UNSUPPORTED,
                       "tensor %s is %s, others are %s: a bitsandbytes folder has one of them",
                       tensor->source, kind, bnb_name(out->quantized.storage));
    announce_quantized(out, entry);
    return true;
  }
  hone_safetensors_item_t item = {tensor->source};
  item.dtype = dtype_of(tensor->format.storage, &item.width);
  item.rank = tensor->is_vector ? 1 : 2;
  item.shape[0] = tensor->is_vector ? tensor->columns : tensor->rows;
  item.shape[1] = tensor->columns;
  entry->weight = hone_safetensors_add(&out->writer, item);
  return true;
}

typedef struct sink {
  checkpoint_t *out;
  entry_t *entry;
} sink_t;

static bool write_reals(void *user, const hone_export_rows_t *rows, hone_status_t *status) {
  const sink_t *sink = user;
  const hone_export_tensor_t *tensor = sink->entry->tensor;
  uint64_t bytes = (uint64_t)tensor->columns * sink->entry->weight->width;
  for (int64_t i = 0; i < rows->count; i++) {
    if (!hone_export_reals(tensor->format.storage, rows->values + (uint64_t)i * rows->Kp, rows->Kp,
                           sink->out->row))
      return hone_export_fail_large(tensor, status);
    uint64_t at = sink->entry->weight->offset + (uint64_t)(rows->first + i) * bytes;
    if (!hone_output_write_at(sink->out->writer.output, at, sink->out->row, bytes, status))
      return false;
  }
  return true;
}

// Second level and offset of nested scales, with the state that holds the offset.
static bool write_second(const sink_t *sink, const hone_quantizer_t *q, hone_status_t *status) {
  entry_t *entry = sink->entry;
  hone_output_t *output = sink->out->writer.output;
  float map[256];
  for (int code = 0; code < 256; code++) map[code] = hone_nested_level((uint8_t)code);
  entry->state_text.bytes -= OFFSET_BYTES;
  write_offset(&entry->state_text, q->places.offset[0]);
  return hone_output_write_at(output, entry->second->offset, q->second,
                              (size_t)entry->second->shape[0] * sizeof(float), status) &&
         hone_output_write_at(output, entry->second_map->offset, map, sizeof map, status) &&
         hone_output_write_at(output, entry->state->offset, entry->state_text.data,
                              entry->state_text.bytes, status);
}

// Blocks that begin in row `row`: f32, or the codes of nested ones.
static bool write_scales(const sink_t *sink, const hone_quantizer_t *q, uint64_t row,
                         const uint16_t *scales, hone_status_t *status) {
  uint64_t blocks = q->group_count, width = sink->entry->absmax->width;
  float *absmax = (float *)(void *)sink->out->row;
  for (uint64_t b = 0; b < blocks; b++) {
    if (width == 1)
      sink->out->row[b] = (uint8_t)scales[b];
    else
      absmax[b] = hone_quantizer_scale(q, hone_quantizer_group(q, row, b), scales[b]);
  }
  return hone_output_write_at(sink->out->writer.output,
                              sink->entry->absmax->offset + row * blocks * width, sink->out->row,
                              blocks * width, status);
}

static bool write_codes(void *user, const hone_export_rows_t *rows, hone_status_t *status) {
  const sink_t *sink = user;
  const entry_t *entry = sink->entry;
  const hone_quantizer_t *quantizer = &rows->encoder->quantizer;
  hone_output_t *output = sink->out->writer.output;
  uint64_t K = (uint64_t)entry->tensor->columns;
  if (rows->first == 0 && entry->second && !write_second(sink, quantizer, status)) return false;
  for (int64_t i = 0; i < rows->count; i++) {
    const uint8_t *codes = rows->codes + (uint64_t)i * rows->Kp;
    const uint16_t *scales = rows->scales + (uint64_t)i * quantizer->scale_count;
    uint64_t row = (uint64_t)(rows->first + i), bytes = (K + 1) / 2;
    for (uint64_t b = 0; b < bytes; b++)
      sink->out->row[b] = (uint8_t)(codes[2 * b] << 4 | (2 * b + 1 < K ? codes[2 * b + 1] : 0));
    if (!hone_output_write_at(output, entry->weight->offset + row * bytes, sink->out->row, bytes,
                              status) ||
        !write_scales(sink, quantizer, row, scales, status))
      return false;
  }
  return true;
}

static bool write_tensor(checkpoint_t *out, entry_t *entry, hone_status_t *status) {
  const hone_export_tensor_t *tensor = entry->tensor;
  sink_t sink = {out, entry};
  if (!hone_format_is_quantized(tensor->format.storage))
    return hone_export_stream(&out->export, tensor, 1, write_reals, &sink, status);
  hone_output_t *output = out->writer.output;
  const hone_grid_t *grid = hone_grid_get(tensor->format.storage);
  return hone_output_write_at(output, entry->map->offset, grid->level, sizeof grid->level,
                              status) &&
         hone_output_write_at(output, entry->state->offset, entry->state_text.data,
                              entry->state_text.bytes, status) &&
         hone_export_stream(&out->export, tensor, 1, write_codes, &sink, status);
}

static bool write_weights(checkpoint_t *out, hone_status_t *status) {
  const char *path = hone_path_join(out->export.arena, out->folder, "model.safetensors");
  if (!hone_output_create(path, 0644, &out->writer.output, status)) return false;
  bool ok = hone_safetensors_begin(&out->writer, status);
  for (size_t i = 0; i < out->export.count && ok; i++)
    ok = write_tensor(out, &out->entries[i], status);
  ok = ok && hone_output_commit(out->writer.output, status);
  hone_output_destroy(out->writer.output);
  return ok;
}

// ---- the other files

static void write_value(hone_json_t *json, const char *key, const json_t *value) {
  switch (json_typeof(value)) {
    case JSON_OBJECT: {
      const char *name;
      json_t *member;
      hone_json_object_begin(json, key);
      json_object_foreach((json_t *)value, name, member) write_value(json, name, member);
      hone_json_object_end(json);
      break;
    }
    case JSON_ARRAY:
      hone_json_array_begin(json, key);
      for (size_t i = 0; i < json_array_size(value); i++)
        write_value(json, NULL, json_array_get(value, i));
      hone_json_array_end(json);
      break;
    case JSON_STRING:
      hone_json_slice(json, key,
                      (hone_slice_t){json_string_value(value), json_string_length(value)});
      break;
    case JSON_INTEGER: hone_json_i64(json, key, json_integer_value(value)); break;
    case JSON_REAL: hone_json_f64(json, key, json_real_value(value)); break;
    case JSON_NULL: hone_json_string(json, key, NULL); break;
    default: hone_json_bool(json, key, json_is_true(value));
  }
}

// What BitsAndBytesConfig of transformers reads. Linears that stay floats are named, among them the
// head: transformers quantizes what it finds no state for.
static void write_quantization(const checkpoint_t *out, hone_storage_t source, hone_json_t *json) {
  hone_json_object_begin(json, "quantization_config");
  hone_json_string(json, "quant_method", "bitsandbytes");
  hone_json_bool(json, "load_in_4bit", true);
  hone_json_bool(json, "load_in_8bit", false);
  hone_json_string(json, "bnb_4bit_quant_type", bnb_name(out->quantized.storage));
  hone_json_bool(json, "bnb_4bit_use_double_quant", is_nested(out->quantized.storage));
  hone_json_string(json, "bnb_4bit_compute_dtype", torch_name(source));
  hone_json_string(json, "bnb_4bit_quant_storage", "uint8");
  hone_json_array_begin(json, "llm_int8_skip_modules");
  hone_json_string(json, NULL, "lm_head");
  for (size_t i = 0; i < out->export.count; i++) {
    const hone_export_tensor_t *tensor = &out->export.tensors[i];
    hone_slice_t module = hone_slice(tensor->source);
    if (tensor->is_vector || tensor->is_head || hone_format_is_quantized(tensor->format.storage))
      continue;
    if (hone_text_ends(tensor->source, ".weight")) module.bytes -= strlen(".weight");
    hone_json_slice(json, NULL, module);
  }
  hone_json_array_end(json);
  hone_json_object_end(json);
}

// The type of most weights: of the first matrix that is no embedding, or its source's.
static hone_storage_t main_type(const checkpoint_t *out) {
  hone_storage_t type = HONE_F32;
  for (size_t i = 0; i < out->export.count; i++) {
    const hone_export_tensor_t *tensor = &out->export.tensors[i];
    if (tensor->is_vector || tensor->is_head) continue;
    type =
        hone_format_is_quantized(tensor->format.storage) ? tensor->storage : tensor->format.storage;
    break;
  }
  return type;
}

// The source's config.json in its order, with the types of what the folder now holds.
static void write_config_json(const checkpoint_t *out, const json_t *config, hone_buffer_t *text) {
  hone_json_t json = {.out = text};
  hone_storage_t type = main_type(out);
  const char *key;
  json_t *value;
  hone_json_object_begin(&json, NULL);
  json_object_foreach((json_t *)config, key, value) {
    bool is_type = !strcmp(key, "torch_dtype") || !strcmp(key, "dtype");
    if (!strcmp(key, "quantization_config")) continue;  // what the source was stored as
    if (is_type) {
      hone_json_string(&json, key, torch_name(type));
    } else {
      write_value(&json, key, value);
    }
  }
  if (out->quantized.group) write_quantization(out, type, &json);
  hone_json_object_end(&json);
  hone_buffer_text(text, "\n");
}

static bool write_file(const checkpoint_t *out, const char *name, const void *data, size_t bytes,
                       hone_status_t *status) {
  hone_output_t *output;
  if (!hone_output_create(hone_path_join(out->export.arena, out->folder, name), 0644, &output,
                          status))
    return false;
  bool ok = hone_output_write(output, data, bytes, status) && hone_output_commit(output, status);
  hone_output_destroy(output);
  return ok;
}

static bool write_config(const checkpoint_t *out, hone_status_t *status) {
  enum { LIMIT_BYTES = 16 << 20 };
  hone_arena_t *arena = out->export.arena;
  const char *path = hone_path_join(arena, out->export.config.checkpoint, "config.json");
  char *data;
  size_t bytes;
  json_error_t error;
  if (!hone_file_read(path, LIMIT_BYTES, arena, &data, &bytes, status)) return false;
  json_t *config = json_loadb(data, bytes, JSON_REJECT_DUPLICATES, &error);
  if (!json_is_object(config)) {
    json_decref(config);
    return hone_fail(status, HONE_INVALID, "%s: not a JSON object", path);
  }
  hone_buffer_t text = {0};
  write_config_json(out, config, &text);
  bool ok = write_file(out, "config.json", text.data, text.bytes, status);
  hone_buffer_deinit(&text);
  json_decref(config);
  return ok;
}

static bool copy_files(const checkpoint_t *out, hone_status_t *status) {
  static const char *const names[] = {
      "generation_config.json",  "tokenizer.json",    "tokenizer.model", "tokenizer_config.json",
      "special_tokens_map.json", "added_tokens.json", "vocab.json",      "merges.txt",
      "chat_template.jinja",     "chat_template.json"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    hone_mapping_t mapping;
    const char *path = hone_path_join(out->export.arena, out->export.config.checkpoint, names[i]);
    if (!hone_file_exists(path)) continue;
    if (!hone_mapping_open(path, &mapping, status)) return false;
    bool ok = write_file(out, names[i], mapping.data, mapping.bytes, status);
    hone_mapping_close(&mapping);
    if (!ok) return false;
  }
  return true;
}

// ---- the folder

// "a/b/" and "a/b" -> "a/b", and "a"; "b" -> "."
static const char *parent_of(hone_arena_t *arena, const char **inout_path) {
  size_t bytes = strlen(*inout_path);
  while (bytes > 1 && (*inout_path)[bytes - 1] == '/') bytes--;
  *inout_path = hone_arena_strndup(arena, *inout_path, bytes);
  const char *base = hone_path_base(*inout_path);
  if (base == *inout_path) return ".";
  size_t length = (size_t)(base - *inout_path);
  return hone_arena_strndup(arena, *inout_path, length > 1 ? length - 1 : 1);
}

// rename() replaces an empty folder and nothing else.
static bool put_in_place(const char *from, const char *path, hone_status_t *status) {
  if (rename(from, path) == 0) return true;
  return hone_fail(status, HONE_IO, "cannot put folder '%s' in place: %s", path, strerror(errno));
}

// Better now than after an hour of quantizing.
static bool check_place(const char *path, hone_status_t *status) {
  struct stat info;
  if (!*path || stat(path, &info))
    return *path || hone_fail(status, HONE_INVALID, "no output path");
  if (!S_ISDIR(info.st_mode))
    return hone_fail(status, HONE_INVALID, "'%s' is a file; --emit checkpoint writes a folder",
                     path);
  DIR *folder = opendir(path);
  size_t count = 0;
  while (folder && readdir(folder)) count++;
  if (folder) closedir(folder);
  return count == 2 || hone_fail(status, HONE_INVALID,  // itself and its parent
                                 "folder '%s' is not empty; remove it or name another", path);
}

static bool write_folder(checkpoint_t *out, hone_status_t *status) {
  out->writer.arena = out->export.arena;
  out->entries = HONE_NEW_ARRAY(out->export.arena, entry_t, out->export.count);
  int64_t widest = 0;
  for (size_t i = 0; i < out->export.count; i++) {
    if (!announce(out, i, status)) return false;
    if (out->export.tensors[i].columns > widest) widest = out->export.tensors[i].columns;
  }
  out->row = hone_arena_alloc(out->export.arena, hone_padded((uint64_t)widest) * sizeof(float));
  hone_export_announce(&out->export);
  return write_weights(out, status) && copy_files(out, status) && write_config(out, status);
}

bool hone_export_checkpoint(hone_compile_t *compile, hone_status_t *status) {
  checkpoint_t out = {0};
  const char *path = compile->options.output;
  const char *parent = parent_of(compile->arena, &path);
  char *scratch;
  if (!check_place(path, status) || !hone_export_begin(compile, NULL, &out.export, status))
    return false;
  bool ok = hone_scratch_create_in(parent, compile->arena, &scratch, status);
  if (ok) {
    out.folder = hone_path_join(compile->arena, scratch, "folder");
    if (mkdir(out.folder, 0777))  // and not the scratch folder itself, which nobody else may read
      ok = hone_fail(status, HONE_IO, "cannot make folder '%s': %s", out.folder, strerror(errno));
    ok = ok && write_folder(&out, status) && put_in_place(out.folder, path, status);
    hone_scratch_remove(scratch);
  }
  for (size_t i = 0; out.entries && i < out.export.count; i++)
    hone_buffer_deinit(&out.entries[i].state_text);
  hone_export_end(&out.export);
  return ok;
}
