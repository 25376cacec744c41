// The curvature of a linear's output error: H = E[x x^T] of its inputs, for which the error of
// quantized weights is tr((W - Q) H (W - Q)^T). Prepared once per tensor, then shared by the
// threads that quantize its rows:
//   1. scales from diag(H) (quantizer.h), fixed before anything else: static groups;
//   2. GPTQ (Frantar et al., arXiv 2210.17323) on any grid: columns in order of falling diag(H),
//      the error of each fed back into those not yet quantized through Cholesky's factor of H;
//   3. coordinate descent: every code to its best value given all the others, and every scale
//      refit, in sweeps; without a factor it starts from the plain codes and needs no Cholesky.
// Thread rule: init and correct on one thread; the rest may run on many.
#ifndef HONE_QUANT_CURVATURE_H
#define HONE_QUANT_CURVATURE_H

#include "quant/matrix.h"
#include "quant/quantizer.h"

typedef struct hone_curvature {
  uint64_t K;
  float *H;                 // (K, K), damped, in the inputs' order
  hone_cholesky_t factor;   // of H with its columns in the order of `order`; G NULL: descent only
  uint32_t *order;          // (K) column that comes i-th, by rising diag(H)
  float damping;            // what was added to the diagonal
  float *cross, *residual;  // of hone_curvature_correct, times H^-1; NULL: there is no such part
} hone_curvature_t;

typedef struct hone_curvature_options {
  bool factor;     // GPTQ before the descent
  double damping;  // part of mean(diag H) added to the diagonal; 0: 0.01
  int threads;     // of the linear algebra inside init and correct; 0: all CPUs
} hone_curvature_options_t;

// `moments` (K, K) is adopted (freed by deinit or on failure; made by malloc or aligned_alloc).
// Inputs that never fired get a diagonal of one. Errors: HONE_INVALID when H is not finite or not
// positive definite after damping, HONE_EXHAUSTED.
HONE_MUST_CHECK bool hone_curvature_init(hone_curvature_t *curvature, float *moments, uint64_t K,
                                         const hone_curvature_options_t *options,
                                         hone_status_t *status);
void hone_curvature_deinit(hone_curvature_t *curvature);

// Output error: sums of w H w^T and (w - q) H (w - q)^T over every eighth row.
typedef struct hone_curvature_error {
  double signal, noise;
} hone_curvature_error_t;

// values (count, Kp) -> codes (count, Kp) and scales (count, scale_count * planes) as
// hone_quantizer_row gives them; the first is row number `first` of the tensor. Returns -1, the
// first row whose scale overflows, or -2 without memory. A row's bytes do not depend on the others.
HONE_MUST_CHECK int64_t hone_curvature_rows(const hone_curvature_t *curvature,
                                            const hone_quantizer_t *quantizer, int sweeps,
                                            int64_t first, const float *values, int64_t count,
                                            uint8_t *codes, uint16_t *scales,
                                            hone_curvature_error_t *error);

// Weights that make up for what quantization did before them. Their inputs x are not quite the
// original ones, y: the W* that minimises E |W y - W* x|^2 with H's damping d pulling towards W is
// W (C + d I) H^-1, C = E[y x^T] (asymmetric calibration, GPTAQ, arXiv 2504.02692). Where the
// output is added to a stream, the stream's own miss is made up for as well: with s the original's
// stream behind the linear and s' what it is with W and x, the minimum is W + D H^-1, D = E[(s -
// s') x^T]. So it is one or the other: C (K, K) or D (N, K), the other NULL; adopted. Needs the
// factor.
HONE_MUST_CHECK bool hone_curvature_correct(hone_curvature_t *curvature, float *cross,
                                            float *residual, int64_t N, int threads,
                                            hone_status_t *status);
// Rows [first, first + count) of W* to out (count, Kp), pads zero, from values (count, Kp). False:
// no memory.
HONE_MUST_CHECK bool hone_curvature_apply(const hone_curvature_t *curvature, uint64_t Kp,
                                          int64_t first, const float *values, int64_t count,
                                          float *out);

#endif
