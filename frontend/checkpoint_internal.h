// Inside of a checkpoint, shared by checkpoint.c (reading), checkpoint_open.c (finding and checking
// files), prequantized*.c (recognising quantized tensors) and dequantize.c (reading those).
#ifndef HONE_FRONTEND_CHECKPOINT_INTERNAL_H
#define HONE_FRONTEND_CHECKPOINT_INTERNAL_H

#include "base/file.h"
#include "base/map.h"
#include "frontend/checkpoint.h"
#include "frontend/safetensors.h"

typedef struct checkpoint_file {
  const char *name;  // plain
  const char *path;
  hone_mapping_t mapping;
  hone_safetensors_t header;
} checkpoint_file_t;

typedef struct checkpoint_tensor {
  const checkpoint_file_t *file;
  const hone_safetensors_entry_t *entry;  // of the codes, if it is quantized
  const struct prequantized *quantized;   // NULL: plain numbers (frontend/prequantized.h)
} checkpoint_tensor_t;

struct hone_checkpoint {
  hone_arena_t *arena;
  const char *folder;
  HONE_LIST(checkpoint_file_t *) files;  // sorted by name
  // name -> checkpoint_tensor_t *: as in the files while they are opened, logical afterwards
  hone_map_t *tensors;
  const char *remark;  // for the user, or NULL
};

// Tells the kernel that bytes [begin, end) of a file are not needed again. Whoever reads an entry
// front to back in small pieces leaves no page behind.
void checkpoint_release(const checkpoint_tensor_t *tensor, uint64_t begin, uint64_t end);

#endif
