// A checkpoint folder with any bytes as model.safetensors: opening and reading either give numbers,
// or a message. The input is the text of config.json up to a zero byte, then the file. Quantized
// tensors are what this is about; plain headers are fuzz_safetensors'.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "frontend/checkpoint.h"

enum { ROW_LIMIT = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void write_file(hone_arena_t *arena, const char *folder, const char *name,
                       const uint8_t *data, size_t bytes) {
  FILE *file = fopen(hone_path_join(arena, folder, name), "wb");
  if (!file || fwrite(data, 1, bytes, file) != bytes || fclose(file)) abort();
}

static void read_tensor(hone_checkpoint_t *checkpoint, const char *name) {
  hone_status_t status = {0};
  hone_storage_t storage;
  hone_native_t native;
  int64_t N, K;
  if (!hone_checkpoint_shape(checkpoint, name, &N, &K, &storage, &status)) return;
  if (!hone_checkpoint_native(checkpoint, name, &native)) abort();
  if (N < 0 || K < 0 || storage >= HONE_STORAGE_COUNT || !hone_format_info(native.format.storage))
    abort();
  if (N == 0 || K == 0 || K > ROW_LIMIT) return;
  float *row = malloc((size_t)K * sizeof *row);
  if (!row) abort();
  const int64_t rows[] = {0, N / 2, N - 1};
  for (size_t i = 0; i < 3; i++) {
    if (!hone_checkpoint_read_rows(checkpoint, name, rows[i], 1, row, &status)) break;
    for (int64_t k = 0; k < K; k++) {
      if (!isfinite(row[k])) abort();
    }
  }
  free(row);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes) {
  const uint8_t *end = bytes ? memchr(data, 0, bytes) : NULL;
  if (!end) return 0;
  hone_arena_t *arena = hone_arena_create();
  hone_status_t status = {0};
  char *folder;
  if (!hone_scratch_create(arena, &folder, &status)) abort();
  write_file(arena, folder, "config.json", data, (size_t)(end - data));
  write_file(arena, folder, "model.safetensors", end + 1, bytes - (size_t)(end - data) - 1);
  hone_checkpoint_t *checkpoint;
  if (hone_checkpoint_open(folder, &checkpoint, &status)) {
    for (size_t i = 0; i < hone_checkpoint_count(checkpoint); i++) {
      hone_checkpoint_tensor_t tensor;
      hone_checkpoint_at(checkpoint, i, &tensor);
      read_tensor(checkpoint, tensor.name);
    }
    hone_checkpoint_close(checkpoint);
  } else if (!status.message[0]) {
    abort();
  }
  hone_scratch_remove(folder);
  hone_arena_destroy(arena);
  return 0;
}
