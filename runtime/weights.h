// The parts of a compiled file that are not loaded with the program: weights, checksums, manifest.
// Finds the file, maps the weights, reads the manifest and verifies the checksums. Internal to the
// runtime. Thread rule: one thread per model; verification starts threads of its own and joins
// them.
#ifndef HONE_RUNTIME_WEIGHTS_H
#define HONE_RUNTIME_WEIGHTS_H

#include "runtime/model_internal.h"

// How many bytes are mapped at `data` onwards in the program or shared object that holds it,
// UINT64_MAX if it lies in none (then nothing is known). *out_path (limit bytes) is the file it was
// loaded from, "" if none.
uint64_t hone_object_extent(const void *data, char *out_path, size_t limit);

// Fills model->weights, mapping and manifest from the ELF file at `path`; model->image and plan are
// set. Verifies every checksum unless trusted. Errors name the file, and the tensor if one is
// damaged.
HONE_MUST_CHECK bool hone_weights_open(hone_model_t *model, const char *path,
                                       const hone_model_options_t *options, hone_status_t *status);
void hone_weights_close(hone_model_t *model);

#endif
