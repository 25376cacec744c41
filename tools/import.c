// Phase 0 of the pipeline: gives passes/ what frontend/ reads, without either knowing the other.
#include "tools/import.h"

#include "base/file.h"
#include "frontend/checkpoint.h"
#include "frontend/import.h"
#include "frontend/tokenizer.h"
#include "tools/version.h"

static const hone_tensor_reader_t reader = {hone_checkpoint_shape, hone_checkpoint_read_rows,
                                            hone_checkpoint_native};

static void close_checkpoint(void *source) { hone_checkpoint_close(source); }

bool hone_tool_import(hone_compile_t *compile, hone_status_t *status) {
  hone_checkpoint_t *checkpoint = NULL;
  if (!hone_import(compile->session, compile->options.model, &compile->model, &checkpoint, status))
    return false;
  compile->source = checkpoint;
  compile->source_close = close_checkpoint;
  compile->reader = &reader;
  const char *remark = hone_checkpoint_remark(checkpoint);
  if (remark)
    hone_diagnose(compile->diagnostics, HONE_REMARK, compile->options.model, "%s", remark);
  hone_checkpoint_sources_json(checkpoint, &compile->manifest_sources);
  ir_config_t config;
  if (!ir_model_config(&compile->model, &config, status)) return false;
  return hone_tokenizer_import(config.checkpoint, config.vocab, &compile->tokenizer, status);
}

const char *hone_tool_runtime_folder(hone_tool_t *tool) {
  static const char *const places[] = {"../runtime", "../" HONE_INSTALL_LIBDIR, "../lib"};
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    const char *folder = hone_path_join(tool->arena, tool->executable_folder, places[i]);
    if (hone_file_exists(hone_path_join(tool->arena, folder, "libhone_rt.a"))) return folder;
  }
  return tool->executable_folder;  // the link phase says what is missing, and where it looked
}
