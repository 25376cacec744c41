// Inside of a checkpoint, shared by checkpoint.c (reading) and checkpoint_open.c (finding and
// checking files).
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
  const hone_safetensors_entry_t *entry;
} checkpoint_tensor_t;

struct hone_checkpoint {
  hone_arena_t *arena;
  const char *folder;
  HONE_LIST(checkpoint_file_t *) files;  // sorted by name
  hone_map_t *tensors;                   // name -> checkpoint_tensor_t *
};

#endif
