// Writes safetensors: entries are announced with their shapes, then the header is written and every
// entry has its place in the file, so that data can come in any order and in pieces. Entries lie
// ordered by the width of their elements, widest first, then by name: all are aligned.
// Thread rule: one thread.
#ifndef HONE_CODEGEN_EXPORT_SAFETENSORS_H
#define HONE_CODEGEN_EXPORT_SAFETENSORS_H

#include "base/file.h"

typedef struct hone_safetensors_item {
  const char *name;   // borrowed
  const char *dtype;  // "F32", "BF16", "U8"
  uint32_t width;     // bytes of an element
  uint32_t rank;      // 1 or 2
  int64_t shape[2];
  uint64_t offset;  // in the file, once begun
} hone_safetensors_item_t;

typedef struct hone_safetensors_writer {
  hone_arena_t *arena;
  hone_output_t *output;
  HONE_LIST(hone_safetensors_item_t *) items;
} hone_safetensors_writer_t;

// Announces an entry; the result lives in the arena.
const hone_safetensors_item_t *hone_safetensors_add(hone_safetensors_writer_t *writer,
                                                    hone_safetensors_item_t item);
// Writes the header and fills the offsets of all entries.
HONE_MUST_CHECK bool hone_safetensors_begin(hone_safetensors_writer_t *writer,
                                            hone_status_t *status);

#endif
