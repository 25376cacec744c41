// Rotation by R, the block-diagonal matrix of H / sqrt(n) with H the Hadamard matrix of size n in
// Sylvester's order: H[i][j] = (-1)^popcount(i & j). R is symmetric, orthonormal and its own
// inverse. Computed by the fast Walsh-Hadamard transform, whose additions come in the same order on
// any instruction set. `block` is n, a power of two that divides K. Thread rule: pure functions.
#ifndef HONE_QUANT_HADAMARD_H
#define HONE_QUANT_HADAMARD_H

#include <stdint.h>

// rows (N, K): X -> X R
void hone_hadamard_columns(float *rows, uint64_t N, uint64_t K, uint32_t block);
// (K, K): M -> R M R
void hone_hadamard_both(float *matrix, uint64_t K, uint32_t block);

#endif
