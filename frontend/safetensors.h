// safetensors: the header of one file, checked. Data stays where it is (mapped by the caller).
//
// A file is u64 n, n bytes of JSON header, data. The format's own rules are enforced (github.com/huggingface/safetensors,
// README "Format"): n <= 100,000,000, the header is an object in UTF-8 without duplicate keys, data_offsets match dtype
// and shape, tensors tile the data without holes or overlaps up to the end of the file. The parser streams: memory is
// proportional to the number of tensors, not to a document tree. Thread rule: const after parsing.
#ifndef HONE_FRONTEND_SAFETENSORS_H
#define HONE_FRONTEND_SAFETENSORS_H

#include "base/arena.h"
#include "base/artefact.h"
#include "base/map.h"
#include "hone/status.h"

enum { HONE_SAFETENSORS_RANK_LIMIT = 8 };

typedef struct hone_dtype {
  const char *name;
  uint32_t bits;
  hone_storage_t storage;  // HONE_STORAGE_COUNT: known, but not readable as f32
} hone_dtype_t;

typedef struct hone_safetensors_entry {
  const char *name;
  const hone_dtype_t *dtype;
  uint32_t rank;
  uint64_t shape[HONE_SAFETENSORS_RANK_LIMIT];
  uint64_t begin, end;  // in the file
  uint64_t place;       // byte offset of its description in the header
} hone_safetensors_entry_t;

typedef struct hone_safetensors {
  uint64_t header_bytes;  // where the data begins: 8 + n
  hone_safetensors_entry_t *entries;  // in header order
  size_t count;
} hone_safetensors_t;

// `data` is the whole file of `bytes` bytes; only the header is read. `path` is for messages. Errors (HONE_INVALID) name
// the file, the tensor, and the byte offset or key.
HONE_MUST_CHECK bool hone_safetensors_parse(const char *path, const uint8_t *data, uint64_t bytes,
                                            hone_arena_t *arena, hone_safetensors_t *out,
                                            hone_status_t *status);

#endif
