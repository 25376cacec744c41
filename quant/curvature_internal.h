// Between curvature.c and the two solvers.
#ifndef HONE_QUANT_CURVATURE_INTERNAL_H
#define HONE_QUANT_CURVATURE_INTERNAL_H

#include "quant/curvature.h"

enum { HONE_GPTQ_COLUMNS = 128 };  // columns quantized before their errors reach the rest

typedef struct hone_rows_work {
  float *columns;   // (count, HONE_GPTQ_COLUMNS) errors of a block of columns
  float *moved;     // (count, K) weights in the factor's order, with what earlier errors added
  float *decoded;   // (count, K) weights that codes and scales stand for
  float *gradient;  // (count, K) (decoded - w) H
  float *real;      // (count, scales of a row) scales as f32
} hone_rows_work_t;

// Codes by error feedback; scales in work->real stay as they are.
void hone_gptq_rows(const hone_curvature_t *c, const hone_quantizer_t *q, hone_rows_work_t *work,
                    const float *values, int64_t count, uint8_t *codes);
// Improves codes and scales; leaves decoded and gradient up to date (also with 0 sweeps).
void hone_descent_rows(const hone_curvature_t *c, const hone_quantizer_t *q, int sweeps,
                       hone_rows_work_t *work, int64_t first, const float *values, int64_t count,
                       uint8_t *codes, uint16_t *scales);

#endif
