// The pipeline: the whole compilation as one flat list of numbered phases (pipeline.c), each
// nameable, dumpable and a place to stop. Thread rule: one compile, one thread.
#ifndef HONE_PASSES_PIPELINE_H
#define HONE_PASSES_PIPELINE_H

#include "ir/model.h"
#include "passes/target.h"

typedef struct hone_compile_options {  // strings are borrowed
  const char *model;                   // a Hugging Face folder or a textual model (.mlir)
  const char *output;                  // path of the artefact
  const char
      *weights;  // format of linear weights: "f32", "bf16", "nf4", ... NULL: as in the checkpoint
  const char
      *head;  // format of embedding and head; NULL: q8 if weights are quantized, else as weights
  const char *acts;          // "f32", "q8", "b1"; NULL: what the weight format prefers
  bool bias_correction;      // biases for the mean error of quantized linears
  bool correct_all;          // ... of all linears: of the reference that calibration walks
  bool fold_norms;           // gains of norms into the weights behind them
  bool rotate;               // q8 activations and their weights by block Hadamard matrices
  const char *rotate_block;  // "32", "64", "128": their size; NULL: 64
  const char *cache;         // KV cache "f32", "f16"; NULL: f32 for f32 weights, else f16
  const void *measured;      // times of kernels for the target to select by, or NULL; of the cpu
                             // target: hone_measured_source_t (codegen/measured.h)
  const char *dataflow;      // "gemv", "flat", "gemm": all linears so; NULL or "auto": selected
  const char *levels;        // of the target, "avx512,avx2"; NULL: all
  const char *softmax;       // of attention, "running" or "unified"; NULL or "auto": selected
  const char *emit;          // "exe", "lib", "ir", "llvm", "asm", or an export
  const char *to;            // phase name to stop after, or NULL
  const char *dump;          // "PHASE:DIR" or "all:DIR", or NULL
  const char *calibrate;     // text to calibrate with, or NULL
  int64_t calibration_tokens, calibration_context,
      calibration_memory;          // 0: defaults; memory in MiB
  const char *calibration_inputs;  // "original", "quantized" (default)
  const char *solver;    // "scales", "descent", "gptq"; NULL: gptq with calibration, else scales
  int64_t sweeps;        // of coordinate descent after gptq; -1: as the format needs
  double target_bpw;     // bits per weight to choose formats for, or 0
  int64_t target_bytes;  // the same as bytes of packed weights, or 0
  const char *formats;   // "nf4,q8": what may be chosen; NULL: a default list
  int64_t probe_tokens;  // for sensitivities; 0: default
  const char *work;  // folder that keeps finished calibrated tensors, or NULL; an option that can
                     // change them belongs into the key of codegen/pack/store.c
  const char *runtime_folder;  // where libhone_rt.a and libhone_program.a lie
  const char *kernel_cache;    // folder of kernels' objects (base/cache.h), or NULL
  int64_t threads;             // for kernels and packing weights; 0: number of CPUs
  bool timing;                 // table of phase times on stderr
  bool progress;               // bars on stderr
} hone_compile_options_t;

// Second moments of a linear's inputs x. All are made by malloc, the caller's, or NULL. One of the
// last two is there when x are the inputs that the model as quantized so far makes: what the
// original model has there instead is y, and s - s' is how far its stream is off.
typedef struct hone_moment_set {
  float *second;    // (K, K) mean of x x^T
  float *cross;     // (K, K) mean of y x^T
  float *residual;  // (N, K) mean of (s - s') x^T, of a linear whose output is added to a stream: s
                    // the original's with that output, s' with the original weights and x
} hone_moment_set_t;

// Means of the same. All are made by malloc, the caller's; NULLs if nothing enters the linear.
typedef struct hone_mean_set {
  float *input;     // (K) of x
  float *original;  // (K) of y; of x again where there is a gap
  float *gap;       // (N) of s - s', or NULL
} hone_mean_set_t;

// What calibration knows about the inputs of the linears, by the checkpoint's tensor names.
// Thread rule: one call at a time.
typedef struct hone_statistics {
  void *self;  // NULL: there was no calibration
  // *out: mean squares (K) of the inputs that meet the tensor's columns, borrowed; NULL: nothing
  // enters it.
  bool (*mean_squares)(void *self, const char *source, const float **out, hone_status_t *status);
  // Of what enters a recipe's sources; all NULL if nothing does. Tensors are best asked for in the
  // model's order.
  bool (*moments)(void *self, const ir_recipe_t *recipe, hone_moment_set_t *out,
                  hone_status_t *status);
  // Where bias_correction was asked for; after `mean_squares` of the tensor.
  bool (*means)(void *self, const char *source, hone_mean_set_t *out, hone_status_t *status);
  // The tensor is known already, from an earlier run: `moments` of it gives NULLs, only moving on
  // to where its rows can be replaced. Before the first call of `moments`.
  void (*skip)(void *self, const char *source);
  // Tells what has become of a row (K) of a tensor. Thread-safe for different rows.
  void (*replace)(void *self, const char *source, int64_t row, const float *values);
  // Tells what corrects the mean of a row's outputs. Thread-safe for different rows.
  void (*correct)(void *self, const char *source, int64_t row, float value);
  void (*close)(void *self);
} hone_statistics_t;

// What was chosen for a target size (nas/allocate.h): a row for every set of weights that share a
// format.
typedef struct hone_allocation_row {
  const char *name;
  hone_format_t format;
  uint64_t weights;
  double sensitivity;  // nats of KL divergence per relative squared error
  double error;        // relative squared error in this format, before the solver improves it
} hone_allocation_row_t;

typedef struct hone_allocation {
  hone_allocation_row_t *rows;
  size_t count;
  double bits_per_weight;  // of the whole model, vectors included
  double kl;               // predicted, before the solver improves it
  double measured_kl;      // the same, measured on held-out text with all weights so quantized
  uint64_t tokens;         // of that text
} hone_allocation_t;

// What another container than the artefact can hold, for the choice of formats.
typedef struct hone_container {
  const char *name;     // for messages: "GGUF"
  const char *formats;  // to choose from, unless --formats says otherwise
  // Of matrices that it can hold in none of the formats to choose from; HONE_STORAGE_COUNT: as in
  // the checkpoint.
  hone_storage_t plain;
  // Bits of an (N, K) matrix in a format, with all that belongs to it; 0: the container cannot hold
  // it so.
  double (*bits)(hone_format_t format, int64_t N, int64_t K, bool is_head);
} hone_container_t;

// Supplied by tools where wanted: chooses formats for a target size (phase 3).
typedef bool hone_allocate_fn(hone_compile_t *compile, hone_status_t *status);

// Supplied by tools where wanted: fills compile->statistics (phase 2).
typedef bool hone_calibrate_fn(hone_compile_t *compile, hone_status_t *status);

// Supplied by tools: fills compile->model from options->model (phase 0), and the tokenizer blob.
typedef bool hone_import_fn(hone_compile_t *compile, hone_status_t *status);
// Supplied by tools for --emit of an export (codegen/export): writes options->output from the model
// as phase `transform` leaves it; the phases after that do not run.
typedef bool hone_export_fn(hone_compile_t *compile, hone_status_t *status);

struct hone_compile {
  hone_compile_options_t options;
  hone_import_fn *import;
  hone_calibrate_fn *calibrate;       // NULL where options.calibrate cannot be set
  hone_allocate_fn *allocate;         // NULL where a target cannot be set
  hone_export_fn *write_export;       // NULL: the target makes an artefact
  const hone_container_t *container;  // what write_export writes; NULL: an artefact
  const hone_target_t *target;
  ir_session_t *session;
  hone_arena_t *arena;
  hone_diagnostics_t *diagnostics;
  ir_model_t model;
  void *source;  // the opened checkpoint (frontend/checkpoint.h: hone_checkpoint_t *), adopted by
                 // the compile
  void (*source_close)(void *source);
  // Weight rows of a source tensor as f32, for the recipes: set by the import.
  const struct hone_tensor_reader *reader;
  hone_buffer_t
      tokenizer;  // blob for the runtime (base/tokenizer.h); empty: the model has none (--ids only)
  hone_buffer_t manifest_sources;  // JSON array text: what the model was made from (file, hash),
                                   // for the manifest
  hone_statistics_t statistics;
  hone_allocation_t allocation;  // count 0: formats were given, not chosen
  void *target_state;            // owned by the target, in the arena
  void (*target_state_close)(void *state);
};

// How the target reads source tensors without knowing the file format. Rows are f32, row-major.
typedef struct hone_tensor_reader {
  bool (*shape)(void *source, const char *name, int64_t *out_N, int64_t *out_K,
                hone_storage_t *out_storage, hone_status_t *status);
  // Rows [row, row + count) into out (count, K). Checks for NaN and Inf (HONE_INVALID names tensor,
  // row and column). Thread-safe. Releases the pages behind it, so that memory stays bounded.
  bool (*read_rows)(void *source, const char *name, int64_t row, int64_t count, float *out,
                    hone_status_t *status);
  // How the source's numbers are stored already. False: not known. May be NULL.
  bool (*native)(void *source, const char *name, hone_native_t *out_native);
} hone_tensor_reader_t;

typedef struct hone_phase {
  const char *name;  // "import"
  const char *summary;
  bool (*run)(hone_compile_t *compile, hone_status_t *status);
} hone_phase_t;

size_t hone_phase_count(void);
const hone_phase_t *hone_phase_at(size_t index);
// Runs the phases up to options.to. The caller has set options, import, target, session, arena and
// diagnostics. Failures name the phase.
HONE_MUST_CHECK bool hone_compile_run(hone_compile_t *compile, hone_status_t *status);
// Ends what the phases and the caller put in: target state, model, source, buffers, session (the
// arena and the diagnostics stay the caller's). Also right after a failed or no run.
void hone_compile_deinit(hone_compile_t *compile);

// ---- passes, by name (passes/passes.def): `hone opt FILE.mlir --passes a,b{x=1}`
typedef struct hone_pass {
  const char *name, *summary, *options;  // options: "weights=FMT head=FMT", or ""
  bool (*run)(ir_model_t *model, const char *options, hone_status_t *status);
} hone_pass_t;
size_t hone_pass_count(void);
const hone_pass_t *hone_pass_at(size_t index);
// "canonical,fuse,quantize{weights=nf4}"; MLIR's own passes by their names (cse, symbol-dce) work
// too.
HONE_MUST_CHECK bool hone_passes_run(ir_model_t *model, const char *pipeline,
                                     hone_status_t *status);

#endif
