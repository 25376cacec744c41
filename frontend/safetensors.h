// The header of a safetensors file: which tensors it holds, of which type and shape, and where. It
// reads no weights; frontend/checkpoint.h does. Files are hostile: everything is checked before it
// is believed.
//
// Format (github.com/huggingface/safetensors): u64 little-endian N, N bytes of JSON, then the data.
//   {"NAME": {"dtype": "BF16", "shape": [2, 3], "data_offsets": [0, 12]}, ...,
//    "__metadata__": {"KEY": "TEXT"}}
// Thread rule: no shared state; the parsed header is read-only.
#ifndef HONE_FRONTEND_SAFETENSORS_H
#define HONE_FRONTEND_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/artefact.h"
#include "hone/status.h"

enum {
  HONE_SAFETENSORS_HEADER_LIMIT = 100000000,  // bytes, as in the reference implementation
  HONE_SAFETENSORS_NAME_LIMIT = 1024,         // bytes of a tensor's name
  HONE_SAFETENSORS_RANK_LIMIT = 16,
};

typedef struct hone_dtype {  // a row of frontend/dtypes.def
  const char *name;
  uint32_t bits;
  hone_storage_t storage;  // HONE_STORAGE_COUNT: hone cannot read it
} hone_dtype_t;

typedef struct hone_safetensors_entry {
  const char *name;  // no control characters
  const hone_dtype_t *dtype;
  const uint64_t *shape;  // `rank` dimensions
  uint32_t rank;
  uint64_t begin, end;  // bytes in the file (not in the data part); no two entries overlap
  uint64_t place;       // byte offset of the entry's key in the file, for messages
} hone_safetensors_entry_t;

typedef struct hone_safetensors {
  hone_safetensors_entry_t *entries;  // by position in the file
  size_t count;
  uint64_t header_bytes;  // with the length field: where data begins
} hone_safetensors_t;

// Parses the header of a whole file of `bytes` bytes at `data`; only the header is touched.
// Everything in *out lives in the arena. Errors are HONE_INVALID and name `path`, the byte offset
// and, inside an entry, the tensor: a header that is too long, not UTF-8 or not of the format
// above, a duplicate or missing key, an unknown dtype, a number or product that overflows, a size
// that does not follow from dtype and shape, overlaps, holes, a file that ends too early or too
// late. Tensors without elements may share an offset.
HONE_MUST_CHECK bool hone_safetensors_parse(const char *path, const uint8_t *data, size_t bytes,
                                            hone_arena_t *arena, hone_safetensors_t *out,
                                            hone_status_t *status);

#endif
