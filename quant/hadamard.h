// Rotation by R, the block-diagonal matrix of H / 8 with H the Hadamard matrix of size 64 in
// Sylvester's order: H[i][j] = (-1)^popcount(i & j). R is symmetric, orthonormal and its own
// inverse. Computed by the fast Walsh-Hadamard transform, whose additions come in the same order on
// any instruction set. Thread rule: pure functions.
#ifndef HONE_QUANT_HADAMARD_H
#define HONE_QUANT_HADAMARD_H

#include <stdint.h>

enum { HONE_HADAMARD = 64 };  // columns of a block; it must divide K below

void hone_hadamard_columns(float *rows, uint64_t N, uint64_t K);  // rows (N, K): X -> X R
void hone_hadamard_both(float *matrix, uint64_t K);               // (K, K): M -> R M R

#endif
