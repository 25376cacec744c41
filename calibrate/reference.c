// The reference: the model as the checkpoint has it, f32 activations, as a library in a scratch
// folder that this process loads.
#include <dlfcn.h>
#include <string.h>

#include "base/file.h"
#include "calibrate/calibrate_internal.h"
#include "quant/real.h"

static bool compile_reference(const hone_compile_t *outer, hone_reference_t *reference,
                              const char *output, hone_status_t *status) {
  reference->compile = (hone_compile_t){
      .options = {.model = outer->options.model,
                  .output = output,
                  .fold_norms = outer->options.fold_norms,  // so that both have the same inputs
                  .correct_all = outer->options.bias_correction,
                  .acts = "f32",
                  .cache = "f32",
                  .emit = "lib",
                  .runtime_folder = outer->options.runtime_folder,
                  .kernel_cache = outer->options.kernel_cache,
                  .threads = outer->options.threads,
                  .progress = outer->options.progress},
      .import = outer->import,
      .target = outer->target,
      .arena = outer->arena,
      .diagnostics = outer->diagnostics,
  };
  return ir_session_create(outer->diagnostics, &reference->compile.session, status) &&
         hone_compile_run(&reference->compile, status);
}

bool hone_reference_open(const hone_compile_t *compile, uint32_t context,
                         hone_reference_t *out_reference, hone_status_t *status) {
  hone_reference_t reference = {0};
  *out_reference = reference;
  if (!hone_scratch_create(compile->arena, &reference.scratch, status)) return false;
  const char *path = hone_path_join(compile->arena, reference.scratch, "reference.so");
  bool ok = compile_reference(compile, &reference, path, status);
  if (ok) reference.handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  const struct hone_image *image = reference.handle ? dlsym(reference.handle, "hone_image") : NULL;
  if (ok && !image) {
    const char *why = dlerror();
    ok = hone_fail(status, HONE_INTERNAL, "cannot load the compiled model: %s", why ? why : "?");
  }
  hone_session_options_t options = {.context = context,
                                    .threads = (uint32_t)compile->options.threads};
  ok = ok &&
       hone_model_open(
           &(hone_model_options_t){
               .image = image, .path = path, .is_trusted = true, .is_private = true},
           &reference.model, status) &&
       hone_session_create(reference.model, &options, &reference.session, status);
  if (ok) {
    *out_reference = reference;
    return true;
  }
  hone_reference_close(&reference);
  return false;
}

// Row of the packed tensor that a source's row became.
static int64_t packed_row(const hone_reference_t *reference, const ir_recipe_t *recipe,
                          size_t source, int64_t row) {
  if (recipe->combine == IR_INTERLEAVE) return 2 * row + (int64_t)source;
  for (size_t i = 0; i < source; i++) {
    int64_t N = 0, K = 0;
    hone_storage_t storage;
    const hone_compile_t *compile = &reference->compile;
    if (!compile->reader->shape(compile->source, recipe->sources[i], &N, &K, &storage,
                                &(hone_status_t){0}))
      return -1;
    row += N;
  }
  return row;
}

bool hone_reference_write(hone_reference_t *reference, const ir_recipe_t *recipe, size_t source,
                          int64_t row, const float *values) {
  hone_tensor_t tensor;
  uint8_t *bytes;
  if (!hone_walk_tensor(reference->session, recipe->name, &tensor, &bytes)) return false;
  int64_t n = packed_row(reference, recipe, source, row);
  if (n < 0 || n >= (int64_t)tensor.N) return false;
  uint64_t Kp = hone_padded(tensor.K), R = HONE_TILE_ROWS;
  for (uint64_t k = 0; k < tensor.K; k++) {
    uint64_t at = ((uint64_t)n / R * Kp + k) * R + (uint64_t)n % R;
    bool overflow = false;
    if (tensor.storage == HONE_F32) {
      memcpy(bytes + at * 4, &values[k], 4);
    } else if (tensor.storage == HONE_BF16) {
      uint32_t bits;
      memcpy(&bits, &values[k], 4);
      uint16_t half = (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
      memcpy(bytes + at * 2, &half, 2);
    } else if (tensor.storage == HONE_F16) {
      uint16_t half = hone_f16_from_f32(values[k], &overflow);
      memcpy(bytes + at * 2, &half, 2);
    } else {
      return false;
    }
  }
  return true;
}

bool hone_reference_add(hone_reference_t *reference, const ir_recipe_t *recipe, size_t source,
                        int64_t row, const char *name, float value) {
  hone_tensor_t tensor;
  uint8_t *bytes;
  float sum;
  int64_t n = packed_row(reference, recipe, source, row);
  if (!hone_walk_tensor(reference->session, name, &tensor, &bytes) || n < 0 ||
      n >= (int64_t)tensor.N)
    return false;
  memcpy(&sum, bytes + (size_t)n * sizeof sum, sizeof sum);
  sum += value;
  memcpy(bytes + (size_t)n * sizeof sum, &sum, sizeof sum);
  return true;
}

void hone_reference_close(hone_reference_t *reference) {
  hone_session_destroy(reference->session);
  hone_model_close(reference->model);
  if (reference->handle) dlclose(reference->handle);
  hone_compile_deinit(&reference->compile);
  if (reference->scratch) hone_scratch_remove(reference->scratch);
  *reference = (hone_reference_t){0};
}
