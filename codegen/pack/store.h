// The work folder (--work): keeps every quantized tensor of a calibrated compile as soon as it is
// finished, so that a compile that was cut off goes on where it stopped, with the same bytes. A
// file per tensor, named after its recipe, appears only when it is complete. A file counts if its
// content is whole and its key the same: a hash of all that can change the tensor, and, as
// calibration follows the quantized model, of all tensors before it. Any other is written anew. One
// compile at a time uses a folder; it stays the user's. Thread rule: one thread, except where said.
#ifndef HONE_CODEGEN_PACK_STORE_H
#define HONE_CODEGEN_PACK_STORE_H

#include "codegen/pack/rows.h"
#include "quant/curvature.h"

// What quantization did to a tensor.
typedef struct hone_quant_error {
  double signal;                  // sum of w^2
  double noise;                   // sum of (w - decoded)^2
  hone_curvature_error_t output;  // the same of the outputs, for calibrated tensors
} hone_quant_error_t;

typedef struct hone_store hone_store_t;  // in the compile's arena

// Makes the folder if it is missing, and sees that files can be written there. Errors name it.
HONE_MUST_CHECK bool hone_store_check_folder(const char *folder, hone_status_t *status);

// *out_store: NULL where the compile keeps nothing. `writer` says who cuts tensors into rows solved
// together. Reads all weights, for their hash.
HONE_MUST_CHECK bool hone_store_open(const hone_compile_t *compile, const char *writer,
                                     hone_store_t **out_store, hone_status_t *status);
// Announces the tensors, in the order they will be made. `row_count` rows are kept (the writer's
// pads included). Of those that are there, the statistics are told. NULL: does nothing.
void hone_store_add(hone_store_t *store, const ir_recipe_t *recipe, hone_format_t format,
                    int64_t row_count);

// ---- one tensor: either there already (kept) or being recorded
typedef struct hone_stored hone_stored_t;
// NULL without a store, or if the tensor was not announced. Sets the quantizer's parameters if it
// is kept.
HONE_MUST_CHECK bool hone_stored_open(hone_store_t *store, const ir_recipe_t *recipe,
                                      hone_quantizer_t *quantizer, hone_stored_t **out_stored,
                                      hone_status_t *status);
bool hone_stored_is_kept(const hone_stored_t *stored);  // NULL: no
// A row of a kept tensor. Any thread.
void hone_stored_read(const hone_stored_t *stored, const hone_quantizer_t *quantizer, int64_t row,
                      uint8_t *codes, uint16_t *scales);
// Rows from `first` on: codes (count, Kp), scales (count, scales of a row). Any thread; a failure
// is reported by finish.
void hone_stored_write(hone_stored_t *stored, const hone_quantizer_t *quantizer, int64_t first,
                       int64_t count, const uint8_t *codes, const uint16_t *scales);
// After the last row: makes a recording durable; of a kept tensor, *error becomes what it was.
HONE_MUST_CHECK bool hone_stored_finish(hone_stored_t *stored, const hone_quantizer_t *quantizer,
                                        hone_quant_error_t *error, hone_status_t *status);
void hone_stored_close(hone_stored_t *stored);  // without finish, the recording is dropped

#endif
