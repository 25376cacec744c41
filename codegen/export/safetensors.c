// See safetensors.h; the format: github.com/huggingface/safetensors.
#include "codegen/export/safetensors.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"

const hone_safetensors_item_t *hone_safetensors_add(hone_safetensors_writer_t *writer,
                                                    hone_safetensors_item_t item) {
  hone_safetensors_item_t *place = HONE_NEW(writer->arena, hone_safetensors_item_t);
  *place = item;
  hone_list_push(writer->arena, &writer->items, place);
  return place;
}

static int compare(const void *a, const void *b) {
  const hone_safetensors_item_t *left = *(hone_safetensors_item_t *const *)a;
  const hone_safetensors_item_t *right = *(hone_safetensors_item_t *const *)b;
  if (left->width != right->width) return left->width > right->width ? -1 : 1;
  return strcmp(left->name, right->name);
}

static uint64_t item_bytes(const hone_safetensors_item_t *item) {
  return (uint64_t)item->shape[0] * (item->rank == 2 ? (uint64_t)item->shape[1] : 1) * item->width;
}

static void write_header(const hone_safetensors_writer_t *writer, hone_buffer_t *out) {
  hone_json_t json = {.out = out, .compact = true};
  uint64_t at = 0;
  hone_json_object_begin(&json, NULL);
  hone_json_object_begin(&json, "__metadata__");
  hone_json_string(&json, "format", "pt");  // transformers asks for it
  hone_json_object_end(&json);
  for (size_t i = 0; i < writer->items.count; i++) {
    hone_safetensors_item_t *item = writer->items.items[i];
    hone_json_object_begin(&json, item->name);
    hone_json_string(&json, "dtype", item->dtype);
    hone_json_array_begin(&json, "shape");
    for (uint32_t d = 0; d < item->rank; d++) hone_json_i64(&json, NULL, item->shape[d]);
    hone_json_array_end(&json);
    hone_json_array_begin(&json, "data_offsets");
    hone_json_u64(&json, NULL, at);
    hone_json_u64(&json, NULL, at + item_bytes(item));
    hone_json_array_end(&json);
    hone_json_object_end(&json);
    item->offset = at;
    at += item_bytes(item);
  }
  hone_json_object_end(&json);
  while (out->bytes % 8) hone_buffer_text(out, " ");
}

bool hone_safetensors_begin(hone_safetensors_writer_t *writer, hone_status_t *status) {
  hone_buffer_t header = {0};
  uint8_t length[8];
  if (writer->items.count)
    qsort(writer->items.items, writer->items.count, sizeof *writer->items.items, compare);
  write_header(writer, &header);
  for (int i = 0; i < 8; i++) length[i] = (uint8_t)((uint64_t)header.bytes >> (8 * i));
  for (size_t i = 0; i < writer->items.count; i++)
    writer->items.items[i]->offset += header.bytes + sizeof length;
  bool ok = hone_output_write(writer->output, length, sizeof length, status) &&
            hone_output_write(writer->output, header.data, header.bytes, status);
  hone_buffer_deinit(&header);
  return ok;
}
