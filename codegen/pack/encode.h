// Encoding one tensor: what has to be known about all of it before its rows can be quantized
// (tensor wide scales, learned levels, importance), then rows to codes. pack.c does the streaming
// around it. Thread rule: prepare on one thread; then any number of threads encode rows.
#ifndef HONE_CODEGEN_PACK_ENCODE_H
#define HONE_CODEGEN_PACK_ENCODE_H

#include "codegen/pack/store.h"

typedef struct hone_encoder {
  hone_quantizer_t quantizer;
  float *importance;           // (Kp)
  float *second;               // of nf4dq's scales
  hone_curvature_t curvature;  // of a calibrated tensor; H NULL: scales only
  int sweeps;
  uint32_t rotate;  // rows, and all of the above, are multiplied by hadamard.h's R of these blocks
  const hone_rows_t *rows;              // borrowed
  const hone_statistics_t *statistics;  // told about the rows, or NULL
  hone_stored_t *stored;                // keeps or has the rows, or NULL
  hone_mean_set_t means;                // of a tensor that is corrected, else NULLs
  float *correction;                    // (N) or NULL; borrowed
} hone_encoder_t;

// How codes are found, given statistics of the inputs.
typedef struct hone_solver {
  const hone_statistics_t *statistics;  // NULL: no calibration
  enum { HONE_SOLVE_SCALES, HONE_SOLVE_DESCENT, HONE_SOLVE_GPTQ } method;
  int sweeps;  // of the descent; -1: as the format needs
  int threads;
  hone_store_t *store;  // NULL: nothing is kept
} hone_solver_t;
// From the compile's options; errors name the option. `writer` as in hone_store_open.
HONE_MUST_CHECK bool hone_solver_read(const hone_compile_t *compile, const char *writer,
                                      hone_solver_t *out_solver, hone_status_t *status);

// Reads the tensor once more where the format asks for it (nvfp4, nf4dq), unless the sources are in
// that format already (of nvfp4: and agree on the factor); asks the solver's statistics (NULL:
// none) for what enters the tensor.
HONE_MUST_CHECK bool hone_encoder_prepare(const hone_rows_t *rows, hone_format_t format,
                                          const hone_solver_t *solver, hone_encoder_t *out_encoder,
                                          hone_status_t *status);
// Before the first row of a calibrated tensor: out_correction (N, zeros) gets, row by row, what has
// to be added to the linear's outputs to correct their mean: of row w, w' as quantized,
//   E[x] . (w - w')                                                       by default,
//   E[y] . w - E[x] . w', or E[s - s'] + E[x] . (w - w')                  if the solver is GPTQ and
// the statistics know what the original model has instead (hone_mean_set_t). Borrowed until the
// encoder ends.
HONE_MUST_CHECK bool hone_encoder_correct(hone_encoder_t *encoder, const hone_rows_t *rows,
                                          const hone_statistics_t *statistics,
                                          float *out_correction, hone_status_t *status);
void hone_encoder_deinit(hone_encoder_t *encoder);
// After the last row, with the sum of their errors: keeps the tensor where that is wanted. Of a
// tensor that was kept, *error becomes what it was then.
HONE_MUST_CHECK bool hone_encoder_finish(const hone_encoder_t *encoder, hone_quant_error_t *error,
                                         hone_status_t *status);

// values (count, Kp) from row `first` on, pads zero (rotated in place, if the recipe says so) ->
// codes (count, Kp), scales (count,
// scale_count * planes); adds to *error. Returns -1, the first row whose scale overflows, or -2
// without memory. The same bytes for the same `count`.
HONE_MUST_CHECK int64_t hone_encoder_rows(const hone_encoder_t *encoder, int64_t first,
                                          float *values, int64_t count, uint8_t *codes,
                                          uint16_t *scales, hone_quant_error_t *error);
// The parameters (base/packed.h): hone_packed_parameter_bytes of a tensor of N rows.
void hone_encoder_parameters(const hone_encoder_t *encoder, uint64_t N, uint8_t *out);

#endif
