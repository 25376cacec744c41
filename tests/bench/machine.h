// What timing drivers share: what the machine itself can do on one thread, to compare with: reading
// memory, multiplying and adding, in thread CPU time, best of several; and numbers of the command
// line.
#ifndef HONE_TESTS_BENCH_MACHINE_H
#define HONE_TESTS_BENCH_MACHINE_H

#include <immintrin.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

enum { MACHINE_REPEATS = 9 };
static const double machine_shortest_ns = 2e7;

// A number of the command line, 0 if it is none.
static inline uint32_t number_at(int count, char **arguments, int index, uint32_t fallback) {
  return index < count ? (uint32_t)strtoul(arguments[index], NULL, 10) : fallback;
}

static inline double machine_now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

// Sum of all 8-byte words: what reading costs.
static inline uint64_t machine_read_all(const uint8_t *data, size_t bytes) {
  __m128i sums[8] = {0};
  for (size_t i = 0; i + 128 <= bytes; i += 128) {
    for (size_t j = 0; j < 8; j++) {
      __m128i item = _mm_load_si128((const __m128i *)(data + i + j * 16));
      sums[j] = _mm_add_epi64(sums[j], item);
    }
  }
  for (size_t j = 1; j < 8; j++) sums[0] = _mm_add_epi64(sums[0], sums[j]);
  return (uint64_t)_mm_cvtsi128_si64(sums[0]);
}

__attribute__((target("avx512f"))) static inline float machine_fma_512(long count) {
  __m512 acc[16], x = _mm512_set1_ps(1e-9f);
  for (int i = 0; i < 16; i++) acc[i] = _mm512_set1_ps((float)i);
  for (long n = 0; n < count; n++) {
#pragma GCC unroll 16
    for (int i = 0; i < 16; i++) acc[i] = _mm512_fmadd_ps(acc[i], x, x);
    __asm__ volatile("" : "+v"(x));
  }
  for (int i = 1; i < 16; i++) acc[0] = _mm512_add_ps(acc[0], acc[i]);
  return _mm512_cvtss_f32(acc[0]);
}

__attribute__((target("avx2,fma"))) static inline float machine_fma_256(long count) {
  __m256 acc[12], x = _mm256_set1_ps(1e-9f);
  for (int i = 0; i < 12; i++) acc[i] = _mm256_set1_ps((float)i);
  for (long n = 0; n < count; n++) {
#pragma GCC unroll 12
    for (int i = 0; i < 12; i++) acc[i] = _mm256_fmadd_ps(acc[i], x, x);
    __asm__ volatile("" : "+x"(x));
  }
  for (int i = 1; i < 12; i++) acc[0] = _mm256_add_ps(acc[0], acc[i]);
  return _mm256_cvtss_f32(acc[0]);
}

static inline double machine_peak_gflops(bool wide) {
  double best = 0;
  volatile float sink = 0;
  for (int r = 0; r < MACHINE_REPEATS; r++) {
    const long count = 4000000;
    double start = machine_now_ns();
    sink = wide ? machine_fma_512(count) : machine_fma_256(count);
    double flops = (double)count * (wide ? 16 * 16 : 12 * 8) * 2;
    double rate = flops / (machine_now_ns() - start);
    best = rate > best ? rate : best;
  }
  (void)sink;
  return best;
}

static inline double machine_read_gbs(const uint8_t *data, size_t bytes) {
  double best = 0;
  volatile uint64_t sink = 0;
  for (int r = 0; r < MACHINE_REPEATS; r++) {
    double start = machine_now_ns(), read = 0;
    do {
      sink = machine_read_all(data, bytes);
      read += (double)bytes;
    } while (machine_now_ns() - start < machine_shortest_ns);
    double rate = read / (machine_now_ns() - start);
    best = rate > best ? rate : best;
  }
  (void)sink;
  return best;
}

#endif
