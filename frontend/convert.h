// Rows of stored numbers to f32. Thread rule: pure functions.
#ifndef HONE_FRONTEND_CONVERT_H
#define HONE_FRONTEND_CONVERT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/artefact.h"

// `count` little-endian elements of F32, F16 or BF16 at `source` (any alignment) to `out`. The
// values are exact. Returns false if any is NaN or infinite (all of `out` is written all the same).
bool hone_convert_to_f32(hone_storage_t storage, const uint8_t *source, size_t count, float *out);

#endif
