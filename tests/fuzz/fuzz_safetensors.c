// Headers of safetensors files: any bytes either give entries that tile the data, or a message.
#include <stdlib.h>

#include "frontend/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  hone_arena_t *arena = hone_arena_create();
  hone_status_t status = {0};
  hone_safetensors_t out;
  if (hone_safetensors_parse("fuzz.safetensors", data, bytes, arena, &out, &status)) {
    uint64_t at = out.header_bytes;
    for (size_t i = 0; i < out.count; i++) {
      if (out.entries[i].begin != at) abort();
      at = out.entries[i].end;
    }
    if (at != bytes || status.code != HONE_OK) abort();
  } else if (status.code != HONE_INVALID || !status.message[0]) {
    abort();
  }
  hone_arena_destroy(arena);
  return 0;
}
