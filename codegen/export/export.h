// Exports: what `hone compile --emit checkpoint` and `--emit gguf` write instead of a program, so
// that other tools load what hone quantized. An export takes the model as it is after phase
// `transform`: unfused, so that every recipe is one tensor of the checkpoint. Codes and scales come
// from codegen/pack/encode.h, as in an artefact; only their layout is the container's.
// docs/export.md says what each container holds. Thread rule: const data; the session's thread.
#ifndef HONE_CODEGEN_EXPORT_H
#define HONE_CODEGEN_EXPORT_H

#include "passes/pipeline.h"

typedef struct hone_exporter {
  const char *name;  // as in --emit NAME
  const char *summary;
  hone_export_fn *write;  // for hone_compile_t.write_export
  hone_container_t container;
} hone_exporter_t;

// NULL if --emit `name` is no export.
const hone_exporter_t *hone_exporter_find(const char *name);

#endif
