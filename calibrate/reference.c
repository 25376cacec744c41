// The reference: the model as the checkpoint has it, f32 activations, as a library in a scratch
// folder that this process loads.
#include <dlfcn.h>

#include "base/file.h"
#include "calibrate/calibrate_internal.h"

static bool compile_reference(const hone_compile_t *outer, hone_reference_t *reference,
                              const char *output, hone_status_t *status) {
  reference->compile = (hone_compile_t){
      .options = {.model = outer->options.model,
                  .output = output,
                  .acts = "f32",
                  .cache = "f32",
                  .emit = "lib",
                  .runtime_folder = outer->options.runtime_folder,
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
  if (ok) reference.library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  const struct hone_image *image =
      reference.library ? dlsym(reference.library, "hone_image") : NULL;
  if (ok && !image) {
    const char *why = dlerror();
    ok = hone_fail(status, HONE_INTERNAL, "cannot load the compiled model: %s", why ? why : "?");
  }
  hone_session_options_t options = {.context = context,
                                    .threads = (uint32_t)compile->options.threads};
  ok = ok &&
       hone_model_open(&(hone_model_options_t){.image = image, .path = path, .is_trusted = true},
                       &reference.model, status) &&
       hone_session_create(reference.model, &options, &reference.session, status);
  if (ok) {
    *out_reference = reference;
    return true;
  }
  hone_reference_close(&reference);
  return false;
}

void hone_reference_close(hone_reference_t *reference) {
  hone_session_destroy(reference->session);
  hone_model_close(reference->model);
  if (reference->library) dlclose(reference->library);
  hone_compile_deinit(&reference->compile);
  if (reference->scratch) hone_scratch_remove(reference->scratch);
  *reference = (hone_reference_t){0};
}
