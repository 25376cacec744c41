// Dense f32 matrix products, the work behind second moments, their factor and the solvers. Every
// element of a product is summed by fused multiply-adds in ascending k, in runs of a fixed length,
// so that the bytes depend neither on the instruction set nor on threads. (A BLAS promises neither,
// and one that does not know a CPU falls back to its slowest kernels.) The method is that of Goto
// and van de Geijn, "Anatomy of high-performance matrix multiplication" (2008): packed panels that
// stay in the caches, a tile of C in registers. Thread rule: any thread.
#ifndef HONE_QUANT_MATRIX_H
#define HONE_QUANT_MATRIX_H

#include <stdbool.h>
#include <stdint.h>

#include "hone/status.h"

// Element (i, j) is data[i * row + j * column]: a transposed matrix has its strides exchanged.
typedef struct hone_matrix {
  const float *data;
  uint64_t row, column;
} hone_matrix_t;

typedef struct hone_product {
  uint64_t M, N, K;
  hone_matrix_t A, B;  // (M, K), (K, N)
  float *C;            // (M, N), row-major; overlaps neither A nor B
  uint64_t row;        // elements from one row of C to the next
  bool add, subtract;  // C + AB, C - AB (both: C - AB); default: AB
  bool upper;          // the upper triangle is wanted; what is below it becomes undefined
} hone_product_t;

// False: no memory for packed panels; C is undefined then.
HONE_MUST_CHECK bool hone_matrix_multiply(const hone_product_t *product, int threads);

// Cholesky's factor of a symmetric positive definite matrix, H = G G^T, G lower triangular, with
// the inverses of its diagonal blocks beside it.
enum { HONE_CHOLESKY_BLOCK = 128 };
typedef struct hone_cholesky {
  uint64_t K;
  float *G;        // (K, K); what is above the diagonal is undefined
  float *inverse;  // (K, HONE_CHOLESKY_BLOCK): rows of the inverse of each row's diagonal block
} hone_cholesky_t;

// Adopts G (made by malloc), whose lower triangle and diagonal blocks hold H. Errors:
// HONE_EXHAUSTED; HONE_INVALID where H is not positive definite.
HONE_MUST_CHECK bool hone_cholesky_init(hone_cholesky_t *cholesky, float *G, uint64_t K,
                                        int threads, hone_status_t *status);
void hone_cholesky_deinit(hone_cholesky_t *cholesky);
// X (N, K) becomes X H^-1. False: no memory.
HONE_MUST_CHECK bool hone_cholesky_solve(const hone_cholesky_t *cholesky, float *X, uint64_t N,
                                         int threads);

#endif
