// Between the files of calibrate/.
#ifndef HONE_CALIBRATE_CALIBRATE_INTERNAL_H
#define HONE_CALIBRATE_CALIBRATE_INTERNAL_H

#include "base/map.h"
#include "base/progress.h"
#include "calibrate/calibrate.h"
#include "runtime/walk.h"

// Sums over the rows that entered one linear.
typedef struct hone_moments {
  uint32_t K;
  uint64_t rows;
  double *squares;  // (K)
  float *mean_squares;  // (K), set when the block is done
  float *second;    // (K, K) upper triangle of sum x x^T, whole and divided by rows when done; NULL:
                    // not collected
  float *pending;   // (HONE_MOMENTS_ROWS, K) rows not yet in `second`
  uint32_t pending_count;
} hone_moments_t;

enum { HONE_MOMENTS_ROWS = 256 };

HONE_MUST_CHECK bool hone_moments_init(hone_moments_t *moments, uint32_t K, bool second,
                                       hone_status_t *status);
void hone_moments_add(hone_moments_t *moments, const float *rows, size_t stride, uint32_t M);
void hone_moments_finish(hone_moments_t *moments);
void hone_moments_drop_second(hone_moments_t *moments);
void hone_moments_deinit(hone_moments_t *moments);

// The un-quantized model, compiled, loaded and ready to walk.
typedef struct hone_reference {
  hone_compile_t compile;  // its recipes say which sources a tensor is made of
  char *scratch;
  void *library;
  hone_model_t *model;
  hone_session_t *session;
} hone_reference_t;

HONE_MUST_CHECK bool hone_reference_open(const hone_compile_t *compile, uint32_t context,
                                         hone_reference_t *out_reference, hone_status_t *status);
void hone_reference_close(hone_reference_t *reference);

#endif
