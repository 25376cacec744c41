// What the compiler and the runtime agree on: the plan (a flat list of launches), the kernel ABI,
// activation rows and the sections of the ELF file. Plain data, little-endian,
// position-independent. Both sides include this header and nothing else of each other. Bump
// HONE_PLAN_VERSION when anything here changes meaning.
//
// Padding rule: every dimension of every tensor in memory is a multiple of HONE_PAD (64) elements.
// Pads of weights hold zero; kernels write whole padded rows, so pads of activations are zero too,
// and no kernel has a tail loop.
//
// Packed weights: base/packed.h.
// Activation rows: f32 has Kp floats. q8 has Kp int8 codes, then G f32 scales, then minus the sums
// of the codes as i32: of every group, then of every 16 columns; x = code * scale. b1 has Kp bits
// (little-endian in each byte; 1 for plus, 0 for minus) and the row's f32 scale; K is a multiple
// of 64. hone_row_bytes gives the stride. Vectors (norm gains, biases): f32, padded.
//
// KV cache, per layer: K then V, each (kv_heads, capacity / 16) blocks of 16 positions, in the
// order in which attention reads them: K (head_dim, 16 positions); V (head_dim_padded / 16, 16
// positions, 16 columns), head_dim_padded = head_dim rounded up to 16. Elements are f32, f16, or
// q8: int8 codes with one f32 scale per position, 16 of them at the block's end; x = code * scale.
// What no position has been written to may hold anything. The capacity is a multiple of
// HONE_CACHE_STEP.
//
// Linears add products in two levels: HONE_FOLD groups of columns after each other from zero, then
// these sums after each other. A kernel that splits columns among units keeps them in `parts`: a
// 64-bit counter per tile of weights, HONE_COUNTER_BYTES apart, zero between launches and at first,
// then f32 (rows, hone_fold_count, Np).
// Attention is computed in chunks of HONE_CHUNK positions, whose results fold in order. A kernel
// that splits heads among units keeps a result per row (token), kv head and chunk, counted from the
// first chunk that the token sees: (rows, kv_heads, hone_chunk_count) places of hone_chunk_bytes;
// and per row and kv head a 64-bit counter, HONE_COUNTER_BYTES apart, which is zero between
// launches and at first.
//
// Thread rule: types and pure functions only.
#ifndef HONE_BASE_ARTEFACT_H
#define HONE_BASE_ARTEFACT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  HONE_PLAN_MAGIC = 0x4e4c5048,  // "HPLN"
  HONE_PLAN_VERSION = 5,
  HONE_PAD = 64,
  HONE_TILE_ROWS = 16,
  HONE_GROUP = 64,
  HONE_KERNEL_POINTERS = 9,
  HONE_FLOW_LIMIT = 8,
  HONE_ISA_LIMIT = 4,     // instruction set levels in one artefact
  HONE_FOLD = 16,         // groups of columns that linears fold together
  HONE_CACHE_BLOCK = 16,  // positions of a block of the KV cache
  HONE_CACHE_STEP = 32,   // the KV cache's capacity is a multiple
  HONE_CHUNK = 256,       // positions that attention folds together
  HONE_COUNTER_BYTES = 64,
  HONE_ROTATION = 64,  // columns of a Hadamard block (docs/ir.md) where nothing else is asked for
};
// The sizes that a Hadamard block can have.
static inline bool hone_rotation_known(int64_t columns) {
  return columns == 32 || columns == 64 || columns == 128;
}

#define HONE_SECTION_WEIGHTS \
  ".hone.weights"  // page-aligned in the file, not loaded; mapped by the runtime
#define HONE_SECTION_CHECKS   ".hone.checks"    // hone_checks_t; not loaded
#define HONE_SECTION_MANIFEST ".hone.manifest"  // JSON; not loaded

// Number formats, by their numbers in artefacts (base/formats.def, base/format.h).
typedef enum hone_storage {
#define FORMAT(name, ENUM, ...) HONE_##ENUM,
#include "base/formats.def"
#undef FORMAT
  HONE_STORAGE_COUNT
} hone_storage_t;

static inline uint64_t hone_padded(uint64_t dimension) {
  return (dimension + HONE_PAD - 1) / HONE_PAD * HONE_PAD;
}

// Stride in bytes of one activation row of K elements; storage is HONE_F32, HONE_Q8 or HONE_B1.
static inline uint64_t hone_row_bytes(hone_storage_t storage, uint64_t K) {
  uint64_t Kp = hone_padded(K);
  if (storage == HONE_F32) return Kp * 4;
  uint64_t bytes = storage == HONE_B1 ? Kp / 8 + 4 : Kp + Kp / HONE_GROUP * 24;
  return (bytes + 63) / 64 * 64;
}

static inline uint32_t hone_head_padded(uint32_t head_dim) { return (head_dim + 15) / 16 * 16; }

// Formats that the KV cache can have, and their bytes per element; 0: none.
static inline uint32_t hone_cache_item_bytes(hone_storage_t storage) {
  return storage == HONE_F32 ? 4 : storage == HONE_F16 ? 2 : storage == HONE_Q8 ? 1 : 0;
}

// Bytes of one block of K or of V of one head; a multiple of 64.
static inline uint64_t hone_cache_block_bytes(hone_storage_t storage, uint32_t head_dim) {
  uint64_t elements = (uint64_t)hone_head_padded(head_dim) * HONE_CACHE_BLOCK;
  return elements * hone_cache_item_bytes(storage) +
         (storage == HONE_Q8 ? HONE_CACHE_BLOCK * 4 : 0);
}

static inline uint64_t hone_fold_count(uint64_t K) {
  return (hone_padded(K) / HONE_GROUP + HONE_FOLD - 1) / HONE_FOLD;
}

static inline uint64_t hone_parts_counters_bytes(uint64_t N) {
  return hone_padded(N) / HONE_TILE_ROWS * HONE_COUNTER_BYTES;
}

// Of a linear that is split for `rows` rows at most.
static inline uint64_t hone_parts_bytes(uint64_t N, uint64_t K, uint64_t rows) {
  return hone_parts_counters_bytes(N) + rows * hone_fold_count(K) * hone_padded(N) * 4;
}

// Chunks that a token sees at most.
static inline uint64_t hone_chunk_count(uint32_t window, uint64_t capacity) {
  uint64_t all = (capacity + HONE_CHUNK - 1) / HONE_CHUNK;
  uint64_t seen = ((uint64_t)window + HONE_CHUNK - 2) / HONE_CHUNK + 1;
  return window && seen < all ? seen : all;
}

// Place of the result of a chunk: for each of `share` query heads, in blocks of 8, its sums and two
// vectors of at most 16 f32.
static inline uint64_t hone_chunk_bytes(uint32_t share, uint32_t head_dim) {
  return ((uint64_t)share + 7) / 8 * 8 * (hone_head_padded(head_dim) + 2 * 16) * 4;
}

// ---- kernels

// One call does units [begin, end) of a launch; any split of the units among threads gives the same
// bytes. What the pointers mean is fixed per family (codegen/families.def). A kernel works for
// every M; families differ in speed.
typedef struct hone_kernel_args {
  void *ptr[HONE_KERNEL_POINTERS];
  int64_t M;         // rows (tokens) in this step
  int64_t position;  // tokens already in the KV cache before this step
  int64_t capacity;  // positions the KV cache was allocated for
  double scalar;     // family-specific (softmax: 1 / temperature)
} hone_kernel_args_t;

typedef void hone_kernel_fn(const hone_kernel_args_t *args, int64_t begin, int64_t end);

// ---- plan

typedef enum hone_space {
  HONE_SPACE_NONE = 0,  // NULL pointer
  HONE_SPACE_ARENA,     // offset into the session's arena; row r at + r * row_bytes
  HONE_SPACE_WEIGHTS,   // offset into .hone.weights
  HONE_SPACE_IDS,       // int32 token ids of this step
  HONE_SPACE_ROPE,      // f32 (M, head_dim): cos of each pair, then sin; filled by the runtime
  HONE_SPACE_KEYS,      // key cache of layer `offset`
  HONE_SPACE_VALUES,    // value cache of layer `offset`
  HONE_SPACE_LOGITS,    // f32 (M, vocab padded), the caller's or the session's logits rows
  HONE_SPACE_PARTS,     // of split linears, offset into the plan's parts_bytes; zeros at first
  HONE_SPACE_COUNTERS,  // of split attention, (split_rows, kv_heads); one for all layers
  HONE_SPACE_CHUNKS,    // results of its chunks, (split_rows, kv_heads, chunks); one for all layers
} hone_space_t;

typedef struct hone_operand {
  uint32_t space;      // hone_space_t
  uint32_t row_bytes;  // stride between rows for ARENA, IDS, ROPE, LOGITS; PARTS: all bytes
  uint64_t offset;
} hone_operand_t;

// Which kernel for how many rows: entry i holds for M < below[i]; the last one has below =
// UINT32_MAX.
typedef struct hone_flow {
  uint32_t count;
  uint32_t below[HONE_FLOW_LIMIT];
  uint32_t kernel[HONE_FLOW_LIMIT];  // index into the image's kernel tables
  // units = unit_count[i] * (unit_rows[i] ? ceil(M / unit_rows[i]) : 1)
  uint32_t unit_count[HONE_FLOW_LIMIT];
  uint32_t unit_rows[HONE_FLOW_LIMIT];
} hone_flow_t;

typedef struct hone_launch {
  uint32_t name;  // offset into the plan's strings: "layers.3.attention/qkv"
  uint32_t flow;  // index of a hone_flow_t among those of the machine's level
  hone_operand_t operands[HONE_KERNEL_POINTERS];
} hone_launch_t;

typedef struct hone_tensor {
  uint32_t name;     // offset into strings
  uint32_t storage;  // hone_storage_t
  uint32_t group;    // elements of a row that share a scale, 0: none
  uint32_t reserved;
  uint64_t offset, bytes;  // in .hone.weights; offset is a multiple of 64
  uint32_t N, K;           // logical; K == 1 for vectors
} hone_tensor_t;

typedef struct hone_kernel_info {
  uint32_t name;  // offset into strings: identity, e.g. "gemm.nf4.q8 N=2048 K=2048 rows=4 tokens=4"
  uint32_t family;  // offset into strings: "gemm"
} hone_kernel_info_t;

enum { HONE_PLAN_EOS_LIMIT = 16 };

// The plan as it lies in .rodata: this header, then the arrays at the given byte offsets from its
// start.
typedef struct hone_plan {
  uint32_t magic, version;
  uint64_t bytes;  // whole plan
  uint32_t vocab, width, layers, heads, kv_heads, head_dim,
      context;  // context: largest position count
  uint32_t
      window;      // sliding attention window in tokens, 0 = none (information; baked into kernels)
  uint32_t batch;  // largest M of a body step
  uint32_t head_batch;     // largest M of a head step
  uint32_t split_rows;     // largest M of a launch that splits attention, 0: none does
  uint32_t cache_storage;  // hone_storage_t of the KV cache: HONE_F32, HONE_F16 or HONE_Q8
  int32_t bos;             // -1: none
  uint32_t add_bos;        // prompts start with BOS
  uint32_t eos_count;
  int32_t eos[HONE_PLAN_EOS_LIMIT];
  uint64_t arena_bytes;
  uint64_t parts_bytes;   // of HONE_SPACE_PARTS, which launches of one shape share
  uint64_t weight_bytes;  // size of .hone.weights
  // Launches [0, body_count) run for every step of M <= batch rows; launches [body_count,
  // launch_count) are the head: they run on rows whose logits are wanted, M <= head_batch, with
  // `head_input` as first operand of the first head launch advanced by (first wanted row *
  // row_bytes).
  uint32_t body_count, launch_count;
  uint32_t flow_count, tensor_count, kernel_count;  // flow_count: of one level
  uint32_t argmax_flow, softmax_flow;               // see families.def
  uint32_t rope_count;                              // head_dim / 2 inverse frequencies
  float rope_scale;                                 // factor on cos and sin (1 for llama)
  uint32_t isa_count;  // flow_count flows for each, in the image's order, one level after the other
  uint64_t launches, flows, tensors, kernels, rope,
      strings;           // byte offsets; rope: double[rope_count]
  uint64_t family_name;  // string offset: "llama"
} hone_plan_t;

// The symbol `hone_image` that a compiled model defines.
typedef struct hone_image {
  const hone_plan_t *plan;
  const void *tokenizer;  // blob written by the compiler, read by runtime/tokenizer
  uint64_t tokenizer_bytes;
  uint32_t isa_count;
  struct hone_image_isa {
    const char *name;  // "avx512", "avx2": best first
    // plan->kernel_count entries; NULL where no flow of this level leads
    hone_kernel_fn *const *kernels;
  } isa[HONE_ISA_LIMIT];
} hone_image_t;

// .hone.checks: one XXH3 per tensor in the plan's order, of its bytes in .hone.weights.
typedef struct hone_checks {
  uint32_t magic;  // HONE_PLAN_MAGIC
  uint32_t count;
  uint64_t plan;       // hash of the plan blob
  uint64_t tokenizer;  // hash of the tokenizer blob
  uint64_t tensor[];
} hone_checks_t;

#endif
