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
  double *squares;      // (K)
  float *mean_squares;  // (K), set when the block is done
  float *second;  // (K, K) upper triangle of sum x x^T, whole and divided by rows when done; NULL:
                  // not collected
  float *cross;   // (K, K) sum of y x^T, y the original's input; NULL: not collected
  uint32_t N;
  float *residual;  // (N, K) sum of (s - s') x^T, see hone_moment_set_t; NULL: not collected
  double *sums;     // x (K), y (K), s - s' (N); divided by rows when done
  int threads;
} hone_moments_t;

typedef struct hone_moments_options {
  uint32_t K;
  uint32_t N;  // outputs, of a linear that is added to a stream that is off; 0: it is not
  bool second, cross;
  int threads;
} hone_moments_options_t;

HONE_MUST_CHECK bool hone_moments_init(hone_moments_t *moments,
                                       const hone_moments_options_t *options,
                                       hone_status_t *status);
// x (M, K); y (M, K); gap (M, N), s - s'. M should be some hundreds, which is what makes the
// updates run at the speed of a matrix product. False: no memory.
HONE_MUST_CHECK bool hone_moments_add(hone_moments_t *moments, const float *x, const float *y,
                                      const float *gap, uint32_t M);
void hone_moments_finish(hone_moments_t *moments);
void hone_moments_drop_second(hone_moments_t *moments);
void hone_moments_deinit(hone_moments_t *moments);

// The un-quantized model, compiled, loaded and ready to walk.
typedef struct hone_reference {
  hone_compile_t compile;  // its recipes say which sources a tensor is made of
  char *scratch;
  void *handle;
  hone_model_t *model;
  hone_session_t *session;
} hone_reference_t;

// Writes a row (K) of a source tensor into the loaded model, where it lies in the packed tensor
// that `recipe` says. Only plain floats can be written: false otherwise.
bool hone_reference_write(hone_reference_t *reference, const ir_recipe_t *recipe, size_t source,
                          int64_t row, const float *values);
// Adds to the element of the vector `name` that goes with this row of a source of `recipe`.
bool hone_reference_add(hone_reference_t *reference, const ir_recipe_t *recipe, size_t source,
                        int64_t row, const char *name, float value);
HONE_MUST_CHECK bool hone_reference_open(const hone_compile_t *compile, uint32_t context,
                                         hone_reference_t *out_reference, hone_status_t *status);
void hone_reference_close(hone_reference_t *reference);

// The text, cut into windows of tokens.
typedef struct hone_windows {
  uint32_t count, context;
  int32_t *ids;  // (count, context)
  uint32_t held_count;
  int32_t *held;  // (held_count, context): left out of `ids`, to verify a choice of formats with
} hone_windows_t;

// Tokens per window, for a model that can take `most`.
uint32_t hone_windows_context(const hone_compile_options_t *options, uint32_t most);
// Windows spread evenly over the text, none of them overlapping, each begun with BOS where the
// model has one. Some are held out if there is a target size. Errors name the text.
HONE_MUST_CHECK bool hone_windows_cut(const hone_reference_t *reference,
                                      const hone_compile_options_t *options, uint32_t context,
                                      hone_windows_t *out_windows, hone_status_t *status);
void hone_windows_deinit(hone_windows_t *windows);

// The reference behind a compile's statistics, and the windows it reads.
hone_reference_t *hone_calibration_reference(const hone_statistics_t *statistics,
                                             const hone_windows_t **out_windows);

#endif
