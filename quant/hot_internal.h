// HONE_HOT: the function is compiled for plain x86-64 and for AVX2, and the loader picks one. Both
// give the same bytes: every operation is an IEEE operation, sums have a fixed order, contraction
// is off.
#ifndef HONE_QUANT_HOT_INTERNAL_H
#define HONE_QUANT_HOT_INTERNAL_H

// Clang 14 and sanitizers have no part in this: they get the plain version.
#if defined(__x86_64__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define HONE_HOT __attribute__((target_clones("avx2", "default")))
#else
#define HONE_HOT
#endif

#endif
