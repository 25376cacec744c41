// Between the files that prepare an encoder.
#ifndef HONE_CODEGEN_PACK_ENCODE_INTERNAL_H
#define HONE_CODEGEN_PACK_ENCODE_INTERNAL_H

#include "codegen/pack/encode.h"

// Calls visit for every row of the tensor, in order, rotated if the recipe says so.
typedef void hone_encode_visit_fn(void *user, const float *row, int64_t K);
HONE_MUST_CHECK bool hone_encode_scan(const hone_rows_t *rows, hone_encode_visit_fn *visit,
                                      void *user, hone_status_t *status);

// How a source is stored, if its values reach the encoder as they are. False: not known, or they do
// not.
bool hone_encode_native(const hone_rows_t *rows, size_t source, hone_native_t *out_native);

// Second level of nf4dq's scales (second.c).
HONE_MUST_CHECK bool hone_encode_second(const hone_rows_t *rows, hone_encoder_t *encoder,
                                        hone_status_t *status);

#endif
