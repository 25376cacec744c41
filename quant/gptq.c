// GPTQ's error feedback, lazily in blocks of columns: within a block each column's error moves the
// block's later columns at once, the columns behind it wait for one matrix product per block.
#include <cblas.h>

#include "quant/curvature_internal.h"

// Quantizes column i (of the factor's order) of one row; returns error / U_ii.
static float quantize_column(const hone_curvature_t *c, const hone_quantizer_t *q,
                             const float *scales, float w, uint64_t i, uint8_t *codes) {
  uint64_t column = c->order[i];
  float value;
  codes[column] =
      hone_quantizer_nearest(q, scales + column / q->format.group * q->planes, w, &value);
  return (w - value) / c->U[i * c->K + i];
}

void hone_gptq_rows(const hone_curvature_t *c, const hone_quantizer_t *q, hone_rows_work_t *work,
                    const float *values, int64_t count, uint8_t *codes) {
  uint64_t K = c->K, per_row = (uint64_t)q->scale_count * q->planes;
  for (int64_t r = 0; r < count; r++)
    for (uint64_t i = 0; i < K; i++)
      work->moved[(uint64_t)r * K + i] = values[(uint64_t)r * q->Kp + c->order[i]];
  for (uint64_t first = 0; first < K; first += HONE_GPTQ_COLUMNS) {
    uint64_t last = first + HONE_GPTQ_COLUMNS < K ? first + HONE_GPTQ_COLUMNS : K;
    for (int64_t r = 0; r < count; r++) {
      float *w = work->moved + (uint64_t)r * K;
      float *errors = work->columns + r * HONE_GPTQ_COLUMNS;
      for (uint64_t i = first; i < last; i++) {
        float error = quantize_column(c, q, work->real + (uint64_t)r * per_row, w[i], i,
                                      codes + (uint64_t)r * q->Kp);
        const float *u = c->U + i * K;
        for (uint64_t j = i + 1; j < last; j++) w[j] -= error * u[j];
        errors[i - first] = error;
      }
    }
    if (last < K)
      cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)count, (int)(K - last),
                  (int)(last - first), -1.0f, work->columns, HONE_GPTQ_COLUMNS,
                  c->U + first * K + last, (int)K, 1.0f, work->moved + last, (int)K);
  }
}
