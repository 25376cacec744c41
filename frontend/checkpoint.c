// Reading of an opened checkpoint: lookups, rows as f32, the list of sources. Opening is
// checkpoint_open.c's.
#include "frontend/checkpoint.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/hash.h"
#include "base/json.h"
#include "frontend/checkpoint_internal.h"
#include "frontend/convert.h"
#include "frontend/dequantize.h"

void hone_checkpoint_close(hone_checkpoint_t *checkpoint) {
  if (!checkpoint) return;
  for (size_t i = 0; i < checkpoint->files.count; i++)
    hone_mapping_close(&checkpoint->files.items[i]->mapping);
  hone_arena_destroy(checkpoint->arena);
}

const char *hone_checkpoint_folder(const hone_checkpoint_t *checkpoint) {
  return checkpoint->folder;
}

const char *hone_checkpoint_remark(const hone_checkpoint_t *checkpoint) {
  return checkpoint->remark;
}

size_t hone_checkpoint_count(const hone_checkpoint_t *checkpoint) {
  return hone_map_count(checkpoint->tensors);
}

static void describe(const checkpoint_tensor_t *tensor, hone_checkpoint_tensor_t *out) {
  const hone_safetensors_entry_t *entry = tensor->entry;
  *out = (hone_checkpoint_tensor_t){
      .name = entry->name,
      .dtype = entry->dtype->name,
      .storage = entry->dtype->storage,
      .shape = entry->shape,
      .rank = entry->rank,
      .bytes = entry->end - entry->begin,
      .file = tensor->file->name,
  };
  const prequantized_t *quantized = tensor->quantized;
  if (!quantized) return;
  out->name = quantized->name;
  out->dtype = quantized->text;
  out->storage = quantized->storage;
  out->shape = quantized->shape;
  out->rank = 2;
}

void hone_checkpoint_at(const hone_checkpoint_t *checkpoint, size_t index,
                        hone_checkpoint_tensor_t *out_tensor) {
  describe(hone_map_value(checkpoint->tensors, index), out_tensor);
}

bool hone_checkpoint_find(const hone_checkpoint_t *checkpoint, const char *name,
                          hone_checkpoint_tensor_t *out_tensor) {
  const checkpoint_tensor_t *tensor = hone_map_get(checkpoint->tensors, name);
  if (tensor) describe(tensor, out_tensor);
  return tensor != NULL;
}

const char *hone_checkpoint_shape_text(uint32_t rank, const uint64_t *shape, char out[96]) {
  size_t used = (size_t)snprintf(out, 96, "[");
  for (uint32_t i = 0; i < rank; i++) {
    if (used > 60) {  // room for one more dimension is 22 bytes
      used += (size_t)snprintf(out + used, 96 - used, ", ...");
      break;
    }
    used += (size_t)snprintf(out + used, 96 - used, "%s%" PRIu64, i ? ", " : "", shape[i]);
  }
  snprintf(out + used, 96 - used, "]");
  return out;
}

// ---- reading rows

static const checkpoint_tensor_t *find_readable(const hone_checkpoint_t *checkpoint,
                                                const char *name, hone_status_t *status) {
  const checkpoint_tensor_t *tensor = hone_map_get(checkpoint->tensors, name);
  if (!tensor) {
    hone_fail(status, HONE_NOT_FOUND, "%.300s: no tensor '%.200s'", checkpoint->folder, name);
    return NULL;
  }
  if (tensor->quantized) return tensor;
  const hone_safetensors_entry_t *entry = tensor->entry;
  if (entry->dtype->storage == HONE_STORAGE_COUNT) {
    hone_fail(status, HONE_UNSUPPORTED,
              "%.300s: tensor '%.200s': dtype %s cannot be read; F32, F16 and BF16 can",
              tensor->file->path, name, entry->dtype->name);
    return NULL;
  }
  if (entry->rank > 2) {
    char shape[96];
    hone_fail(status, HONE_UNSUPPORTED,
              "%.300s: tensor '%.200s': shape %s has more than two dimensions", tensor->file->path,
              name, hone_checkpoint_shape_text(entry->rank, entry->shape, shape));
    return NULL;
  }
  return tensor;
}

static uint64_t rows_of(const checkpoint_tensor_t *tensor) {
  if (tensor->quantized) return tensor->quantized->shape[0];
  return tensor->entry->rank ? tensor->entry->shape[0] : 1;
}
static uint64_t columns_of(const checkpoint_tensor_t *tensor) {
  if (tensor->quantized) return tensor->quantized->shape[1];
  return tensor->entry->rank == 2 ? tensor->entry->shape[1] : 1;
}
static hone_storage_t storage_of(const checkpoint_tensor_t *tensor) {
  return tensor->quantized ? tensor->quantized->storage : tensor->entry->dtype->storage;
}

bool hone_checkpoint_shape(void *source, const char *name, int64_t *out_N, int64_t *out_K,
                           hone_storage_t *out_storage, hone_status_t *status) {
  const checkpoint_tensor_t *tensor = find_readable(source, name, status);
  if (!tensor) return false;
  *out_N = (int64_t)rows_of(tensor);
  *out_K = (int64_t)columns_of(tensor);
  *out_storage = storage_of(tensor);
  return true;
}

bool hone_checkpoint_native(void *source, const char *name, hone_native_t *out_native) {
  hone_status_t ignored = {0};
  const checkpoint_tensor_t *tensor = find_readable(source, name, &ignored);
  if (!tensor) return false;
  const prequantized_t *quantized = tensor->quantized;
  *out_native = (hone_native_t){.format.storage = tensor->entry->dtype->storage};
  if (!quantized) return true;
  out_native->format = quantized->native;
  if (quantized->grid == HONE_NVFP4) out_native->factor = quantized->factor;
  if (quantized->native.storage != HONE_NF4DQ) return true;
  const checkpoint_tensor_t *second = quantized->nested_scales;
  out_native->second = second->file->mapping.data + second->entry->begin;
  out_native->second_count = (second->entry->end - second->entry->begin) / sizeof(float);
  out_native->offset = quantized->offset;
  return true;
}

hone_checkpoint_inputs_t hone_checkpoint_inputs(const hone_checkpoint_t *checkpoint,
                                                const char *name) {
  const checkpoint_tensor_t *tensor = hone_map_get(checkpoint->tensors, name);
  if (tensor && tensor->quantized) return tensor->quantized->inputs;
  return (hone_checkpoint_inputs_t){.storage = HONE_F32};
}

static bool fail_not_finite(const checkpoint_tensor_t *tensor, uint64_t row, uint64_t count,
                            const float *values, hone_status_t *status) {
  uint64_t columns = columns_of(tensor), at = 0;
  while (at < count * columns && isfinite(values[at])) at++;
  uint64_t element = row * columns + at;
  return hone_fail(status, HONE_INVALID,
                   "%.300s: tensor '%.200s': %s at row %" PRIu64 ", column %" PRIu64
                   " (byte %" PRIu64 ")",
                   tensor->file->path, tensor->entry->name, isnan(values[at]) ? "NaN" : "infinity",
                   element / columns, element % columns,
                   tensor->entry->begin + element * (tensor->entry->dtype->bits / 8));
}

// The piece's first bytes are rounded down to a boundary (the page before it is read too), its last
// ones as well (the next piece needs that page), except at the tensor's end.
void checkpoint_release(const checkpoint_tensor_t *tensor, uint64_t begin, uint64_t end) {
  const uint64_t boundary = 1 << 16;  // a multiple of every page size in use
  uint64_t from = begin / boundary * boundary;
  uint64_t to =
      end == tensor->entry->end ? hone_round_up(end, boundary) : end / boundary * boundary;
  if (from < to) hone_mapping_release(&tensor->file->mapping, (size_t)from, (size_t)(to - from));
}

bool hone_checkpoint_read_rows(void *source, const char *name, int64_t row, int64_t count,
                               float *out, hone_status_t *status) {
  const checkpoint_tensor_t *tensor = find_readable(source, name, status);
  if (!tensor) return false;
  const hone_safetensors_entry_t *entry = tensor->entry;
  uint64_t rows = rows_of(tensor), columns = columns_of(tensor);
  if (row < 0 || count < 0 || (uint64_t)row > rows || (uint64_t)count > rows - (uint64_t)row)
    return hone_fail(status, HONE_INTERNAL,
                     "tensor '%.200s': rows from %" PRId64 ", %" PRId64 " of them, of %" PRIu64,
                     name, row, count, rows);
  if (count == 0 || columns == 0) return true;
  if (tensor->quantized)
    return dequantize_rows(tensor, (uint64_t)row, (uint64_t)count, out, status);
  uint64_t row_bytes =
      columns * (entry->dtype->bits / 8);  // within the file's size, which was checked
  uint64_t begin = entry->begin + (uint64_t)row * row_bytes, bytes = (uint64_t)count * row_bytes;
  bool finite = hone_convert_to_f32(entry->dtype->storage, tensor->file->mapping.data + begin,
                                    (size_t)((uint64_t)count * columns), out);
  checkpoint_release(tensor, begin, begin + bytes);
  return finite || fail_not_finite(tensor, (uint64_t)row, (uint64_t)count, out, status);
}

bool hone_checkpoint_equal(const hone_checkpoint_t *checkpoint, const char *a, const char *b) {
  const checkpoint_tensor_t *x = hone_map_get(checkpoint->tensors, a),
                            *y = hone_map_get(checkpoint->tensors, b);
  if (!x || !y || x->quantized || y->quantized || x->entry->dtype != y->entry->dtype ||
      x->entry->rank != y->entry->rank)
    return false;
  for (uint32_t i = 0; i < x->entry->rank; i++) {
    if (x->entry->shape[i] != y->entry->shape[i]) return false;
  }
  uint64_t bytes = x->entry->end - x->entry->begin;
  const uint64_t chunk = 1 << 22;
  for (uint64_t at = 0; at < bytes; at += chunk) {
    uint64_t length = bytes - at < chunk ? bytes - at : chunk;
    uint64_t from_x = x->entry->begin + at, from_y = y->entry->begin + at;
    bool same =
        !memcmp(x->file->mapping.data + from_x, y->file->mapping.data + from_y, (size_t)length);
    checkpoint_release(x, from_x, from_x + length);
    checkpoint_release(y, from_y, from_y + length);
    if (!same) return false;
  }
  return true;
}

// ---- sources

static void add_source(hone_json_t *json, const char *name, const void *data, size_t hashed_bytes,
                       uint64_t bytes, const char *of) {
  char hash[33];
  hone_hash128_hex(data, hashed_bytes, hash);
  hone_json_object_begin(json, NULL);
  hone_json_string(json, "file", name);
  hone_json_u64(json, "bytes", bytes);
  hone_json_string(json, "hash", hash);
  hone_json_string(json, "of", of);
  hone_json_object_end(json);
}

void hone_checkpoint_sources_json(const hone_checkpoint_t *checkpoint, hone_buffer_t *out) {
  // Everything an import may look at, tokenizers included.
  static const char *const small_files[] = {
      "config.json",    "generation_config.json", "model.safetensors.index.json",
      "tokenizer.json", "tokenizer.model",        "tokenizer_config.json",
  };
  hone_arena_t *scratch = hone_arena_create();
  hone_json_t json = {.out = out};
  hone_json_array_begin(&json, NULL);
  for (size_t i = 0; i < sizeof small_files / sizeof *small_files; i++) {
    hone_status_t ignored = {0};  // a file that is not there is not a source
    hone_mapping_t mapping;
    if (!hone_mapping_open(hone_path_join(scratch, checkpoint->folder, small_files[i]), &mapping,
                           &ignored))
      continue;
    add_source(&json, small_files[i], mapping.data, mapping.bytes, mapping.bytes, "file");
    hone_mapping_close(&mapping);
  }
  for (size_t i = 0; i < checkpoint->files.count; i++) {
    const checkpoint_file_t *file = checkpoint->files.items[i];
    add_source(&json, file->name, file->mapping.data, (size_t)file->header.header_bytes,
               file->mapping.bytes, "header");
  }
  hone_json_array_end(&json);
  hone_arena_destroy(scratch);
}
