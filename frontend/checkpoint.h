// An opened checkpoint folder: model.safetensors, or model.safetensors.index.json and its shards.
// Tensors that were quantized before (docs/import.md) look like the float tensors they stand for:
// P.weight of shape (N, K), without the scales and tables beside it.
// Files are mapped and never read whole: opening touches headers only. It does not know what the
// tensors mean (frontend/llama.c does). A file that is cut short by another program while it is
// mapped raises SIGBUS; don't write to what is being compiled. Thread rule: read-only once opened,
// so any thread may read; open and close from one thread.
#ifndef HONE_FRONTEND_CHECKPOINT_H
#define HONE_FRONTEND_CHECKPOINT_H

#include <stddef.h>
#include <stdint.h>

#include "base/format.h"
#include "base/text.h"
#include "hone/status.h"

typedef struct hone_checkpoint hone_checkpoint_t;

typedef struct hone_checkpoint_tensor {  // for listings; strings live as long as the checkpoint
  const char *name;
  const char *dtype;       // as in the file: "BF16"; of quantized tensors "nf4<64>"
  hone_storage_t storage;  // HONE_STORAGE_COUNT: it can be listed, but not read
  const uint64_t *shape;   // `rank` dimensions
  uint32_t rank;
  uint64_t bytes;    // of quantized tensors: of the codes alone
  const char *file;  // plain name: "model-00001-of-00002.safetensors"
} hone_checkpoint_tensor_t;

// Opens the folder. Errors: HONE_NOT_FOUND for a path, a file or a shard that is not there;
// HONE_UNSUPPORTED for pickles (.bin, .pt, .pth, .ckpt) and GGUF, with what to do instead;
// HONE_INVALID for damaged headers (see safetensors.h), an index that names a file outside the
// folder, a tensor that the index promises and its shard lacks, a tensor in two shards, and for
// folders without tensors. Quantized tensors: see prequantized.h.
HONE_MUST_CHECK bool hone_checkpoint_open(const char *folder, hone_checkpoint_t **out_checkpoint,
                                          hone_status_t *status);
void hone_checkpoint_close(hone_checkpoint_t *checkpoint);                // NULL is fine
const char *hone_checkpoint_folder(const hone_checkpoint_t *checkpoint);  // as given to open
// What the user should know although nothing is wrong, or NULL.
const char *hone_checkpoint_remark(const hone_checkpoint_t *checkpoint);

// Tensors in the order of the files' names, then of their position in the file.
size_t hone_checkpoint_count(const hone_checkpoint_t *checkpoint);
void hone_checkpoint_at(const hone_checkpoint_t *checkpoint, size_t index,
                        hone_checkpoint_tensor_t *out_tensor);
// False if there is none of that name.
bool hone_checkpoint_find(const hone_checkpoint_t *checkpoint, const char *name,
                          hone_checkpoint_tensor_t *out_tensor);
// "[2, 3]" for messages; `out` holds at least 96 bytes.
const char *hone_checkpoint_shape_text(uint32_t rank, const uint64_t *shape, char out[96]);

// The functions of a hone_tensor_reader_t (passes/pipeline.h), for one hone_checkpoint_t as
// `source`. (N, K) of a matrix, (N, 1) of a vector, (1, 1) of a scalar. Errors: HONE_NOT_FOUND for
// the name, HONE_UNSUPPORTED for a dtype other than F32, F16, BF16 and for more than two
// dimensions.
HONE_MUST_CHECK bool hone_checkpoint_shape(void *source, const char *name, int64_t *out_N,
                                           int64_t *out_K, hone_storage_t *out_storage,
                                           hone_status_t *status);
// Rows [row, row + count) as f32 into out, (count, K) row-major. HONE_INVALID names tensor, row and
// column of the first NaN or infinity. Tells the kernel that the pages of these rows are not needed
// again, so memory stays bounded whatever the size of the file; reading them again later is fine.
HONE_MUST_CHECK bool hone_checkpoint_read_rows(void *source, const char *name, int64_t row,
                                               int64_t count, float *out, hone_status_t *status);
// The format that the tensor keeps unless another is asked for: that of the file, or the one of
// ours with the same values, with what its scales have in common (borrowed from the checkpoint).
// False if there is no tensor of that name or it cannot be read.
bool hone_checkpoint_native(void *source, const char *name, hone_native_t *out_native);
// What a weight of a model that was trained with quantized activations is to be multiplied with.
typedef struct hone_checkpoint_inputs {
  hone_storage_t storage;  // HONE_F32: any activations; HONE_Q8, HONE_B1: rows of these
  uint32_t rotate;         // columns of the Hadamard blocks that rotate them and the weight's rows
} hone_checkpoint_inputs_t;
hone_checkpoint_inputs_t hone_checkpoint_inputs(const hone_checkpoint_t *checkpoint,
                                                const char *name);
// True if the two tensors have the same dtype, shape and bytes; never for quantized ones.
bool hone_checkpoint_equal(const hone_checkpoint_t *checkpoint, const char *a, const char *b);

// Appends a JSON array, for the manifest: what the model was made from, without folder names.
//   [{"file": "config.json", "bytes": 512, "hash": "...", "of": "file"},
//    {"file": "model.safetensors", "bytes": 1045296, "hash": "...", "of": "header"}, ...]
// `hash` is XXH3-128. Of a weight file it covers the header only (names, types, shapes, offsets):
// hashing hundreds of gigabytes would cost as much as compiling them. The weights themselves are
// covered by the artefact's checksums.
void hone_checkpoint_sources_json(const hone_checkpoint_t *checkpoint, hone_buffer_t *out);

#endif
