// See matrix_internal.h.
#include <math.h>
#include <stddef.h>

#include "quant/matrix_internal.h"

enum { PLAIN_ROWS = 4, PLAIN_COLUMNS = 8 };

static void run_plain(uint64_t depth, const float *a, const float *b, float *c, uint64_t stride,
                      float sign, bool add) {
  float sum[PLAIN_ROWS][PLAIN_COLUMNS] = {{0}};
  for (uint64_t k = 0; k < depth; k++)
    for (int i = 0; i < PLAIN_ROWS; i++)
      for (int j = 0; j < PLAIN_COLUMNS; j++)
        sum[i][j] =
            fmaf(a[k * PLAIN_ROWS + (uint64_t)i], b[k * PLAIN_COLUMNS + (uint64_t)j], sum[i][j]);
  for (uint64_t i = 0; i < PLAIN_ROWS; i++)
    for (uint64_t j = 0; j < PLAIN_COLUMNS; j++)
      c[i * stride + j] = (add ? c[i * stride + j] : 0.0f) + sign * sum[i][j];
}

#if defined(__x86_64__)
#include <immintrin.h>

// A tile of ROWS x 2 vectors. The loops over rows are unrolled, or the sums would not stay in
// registers.
#define DEFINE_TILE(NAME, TARGET, VECTOR, WIDTH, ROWS, ZERO, SPREAD, LOAD, LOADU, STOREU, FMA,     \
                    MUL, ADD)                                                                      \
  __attribute__((target(TARGET))) static void NAME(uint64_t depth, const float *a, const float *b, \
                                                   float *c, uint64_t stride, float sign,          \
                                                   bool add) {                                     \
    VECTOR sum[ROWS][2];                                                                           \
    _Pragma("GCC unroll 12") for (int i = 0; i < ROWS; i++) sum[i][0] = sum[i][1] = ZERO();        \
    for (uint64_t k = 0; k < depth; k++, a += ROWS, b += 2 * WIDTH) {                              \
      VECTOR low = LOAD(b), high = LOAD(b + WIDTH);                                                \
      _Pragma("GCC unroll 12") for (int i = 0; i < ROWS; i++) {                                    \
        VECTOR x = SPREAD(a[i]);                                                                   \
        sum[i][0] = FMA(x, low, sum[i][0]);                                                        \
        sum[i][1] = FMA(x, high, sum[i][1]);                                                       \
      }                                                                                            \
    }                                                                                              \
    VECTOR factor = SPREAD(sign);                                                                  \
    _Pragma("GCC unroll 12") for (int i = 0; i < ROWS; i++, c += stride) {                         \
      VECTOR low = add ? LOADU(c) : ZERO(), high = add ? LOADU(c + WIDTH) : ZERO();                \
      STOREU(c, ADD(low, MUL(factor, sum[i][0])));                                                 \
      STOREU(c + WIDTH, ADD(high, MUL(factor, sum[i][1])));                                        \
    }                                                                                              \
  }

DEFINE_TILE(run_avx512, "avx512f", __m512, 16, 12, _mm512_setzero_ps, _mm512_set1_ps,
            _mm512_load_ps, _mm512_loadu_ps, _mm512_storeu_ps, _mm512_fmadd_ps, _mm512_mul_ps,
            _mm512_add_ps)
DEFINE_TILE(run_avx2, "avx2,fma", __m256, 8, 6, _mm256_setzero_ps, _mm256_set1_ps, _mm256_load_ps,
            _mm256_loadu_ps, _mm256_storeu_ps, _mm256_fmadd_ps, _mm256_mul_ps, _mm256_add_ps)
#endif

const hone_tile_t *hone_tile_at(int index) {
  static const hone_tile_t tiles[] = {
#if defined(__x86_64__)
    {"avx512", 12, 32, run_avx512},
    {"avx2", 6, 16, run_avx2},
#endif
    {"plain", PLAIN_ROWS, PLAIN_COLUMNS, run_plain},
  };
  size_t first = 0, count = sizeof tiles / sizeof *tiles;
#if defined(__x86_64__)
  if (!__builtin_cpu_supports("avx512f")) first = 1;
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) first = 2;
#endif
  size_t at = first + (size_t)index;
  return at < count ? &tiles[at] : NULL;
}
