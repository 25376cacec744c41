// Encoding one tensor: what has to be known about all of it before its rows can be quantized
// (tensor wide scales, learned levels, importance), then rows to codes. pack.c does the streaming
// around it. Thread rule: prepare on one thread; then any number of threads encode rows.
#ifndef HONE_CODEGEN_PACK_ENCODE_H
#define HONE_CODEGEN_PACK_ENCODE_H

#include "codegen/pack/rows.h"
#include "quant/quantizer.h"

typedef struct hone_encoder {
  hone_quantizer_t quantizer;
  float *importance;  // (Kp)
} hone_encoder_t;

// What quantization did to a tensor.
typedef struct hone_quant_error {
  double signal;  // sum of w^2
  double noise;   // sum of (w - decoded)^2
} hone_quant_error_t;

// Reads the tensor once more where the format asks for it (nvfp4, nf4x), unless the sources are in
// that format already and agree on what is to be known.
HONE_MUST_CHECK bool hone_encoder_prepare(const hone_rows_t *rows, hone_format_t format,
                                          hone_encoder_t *out_encoder, hone_status_t *status);
void hone_encoder_deinit(hone_encoder_t *encoder);

// values (count, Kp), pads zero -> codes (count, Kp), scales (count, scale_count * planes); adds to
// *error. Returns -1, or the first row whose scale overflows.
HONE_MUST_CHECK int64_t hone_encoder_rows(const hone_encoder_t *encoder, const float *values,
                                          int64_t count, uint8_t *codes, uint16_t *scales,
                                          hone_quant_error_t *error);
// The 64 bytes of parameters (base/packed.h).
void hone_encoder_parameters(const hone_encoder_t *encoder,
                             uint8_t out[HONE_PACKED_PARAMETER_BYTES]);

#endif
