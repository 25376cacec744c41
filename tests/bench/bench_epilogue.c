// What it saves that the linear of q, k and v turns and caches its heads itself, and what the norm
// before it costs: ns of the plain linear, of rope_kv after it, of both as one launch, of the norm
// to q8 rows, and of a norm to f32 rows without a gain; nf4 weights with q8 rows and an f16 cache,
// on one thread, in thread CPU time, in turns, best of several. A call is at the positions after
// those of the call before, and reads another copy of the weights, so they come from memory.
// Usage: bench_epilogue [HEADS KV_HEADS HEAD_DIM WIDTH]
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/packed.h"
#include "codegen/cpu/cost.h"
#include "tests/bench/machine.h"
#include "tests/conformance/pack.h"

enum { ROWS = 128, CAPACITY = 4096, TURNS = 15, COLD_BYTES = 64 << 20 };
enum { PLAIN, ROPE, FUSED, NORM, SUM, KERNELS };

typedef struct layer {
  const bench_t *bench;
  size_t isa, copies, weight_bytes;
  region_t x, weights, out, angles, keys, values, stream, gain, normed;
} layer_t;

static hone_kernel_args_t args_of(const layer_t *l, int kernel, int64_t M) {
  hone_kernel_args_t args = {.M = M, .capacity = CAPACITY};
  void *const caches[] = {l->angles.data, l->keys.data, l->values.data};
  if (kernel == NORM || kernel == SUM) {
    args.ptr[0] = l->stream.data, args.ptr[1] = l->gain.data, args.ptr[2] = l->normed.data;
  } else if (kernel == ROPE) {
    args.ptr[0] = l->out.data;
    memcpy(&args.ptr[1], caches, sizeof caches);
  } else {
    args.ptr[0] = l->x.data, args.ptr[4] = l->out.data;
    memcpy(&args.ptr[5], caches, sizeof caches);
  }
  return args;
}

static double call_ns(const layer_t *l, int kernel, int64_t M) {
  hone_kernel_fn *fn = l->bench->isa[l->isa].kernels[kernel];
  int64_t units = bench_units(&l->bench->specs.items[kernel], M);
  hone_kernel_args_t args = args_of(l, kernel, M);
  double start = machine_now_ns();
  long calls = 0;
  do {
    args.position = calls * M % CAPACITY;
    if (kernel == PLAIN || kernel == FUSED)
      args.ptr[1] = l->weights.data + (size_t)calls % l->copies * l->weight_bytes;
    fn(&args, 0, units);
    calls++;
  } while (machine_now_ns() - start < machine_shortest_ns);
  return (machine_now_ns() - start) / (double)calls;
}

static void bench_rows(const layer_t *l, int64_t M) {
  double best[KERNELS];
  for (int i = 0; i < KERNELS; i++) best[i] = 1e30;
  for (int turn = 0; turn < TURNS; turn++) {
    for (int i = 0; i < KERNELS; i++) {
      double ns = call_ns(l, i, M);
      best[i] = ns < best[i] ? ns : best[i];
    }
  }
  printf("%-7s %4ld | %9.0f %8.0f %9.0f %8.1f %% | %8.0f %8.0f\n", l->bench->isa[l->isa].isa->name,
         (long)M, best[PLAIN], best[ROPE], best[FUSED],
         100 * (1 - best[FUSED] / (best[PLAIN] + best[ROPE])), best[NORM], best[SUM]);
  fflush(stdout);
}

static void bench_level(const bench_t *bench, size_t isa) {
  uint64_t random = 1;
  const hone_kernel_spec_t *spec = &bench->specs.items[FUSED];
  layer_t l = {.bench = bench, .isa = isa};
  l.weight_bytes = hone_packed_bytes(spec->weight, spec->N, spec->K);
  l.copies = COLD_BYTES / l.weight_bytes + 1;
  packed_t weight = pack_weight(spec->weight, spec->N, spec->K, &random);
  l.weights = region_create(l.weight_bytes * l.copies);
  for (size_t i = 0; i < l.copies; i++)
    memcpy(l.weights.data + i * l.weight_bytes, weight.region.data, l.weight_bytes);
  rows_t x = pack_rows(HONE_Q8, ROWS, spec->K, &random);
  rows_t angles = pack_rows(HONE_F32, 1, ROWS * spec->head_dim, &random);
  rows_t stream = pack_rows(HONE_F32, ROWS, spec->K, &random);
  size_t side = hone_cache_block_bytes(spec->cache, spec->head_dim) * (CAPACITY / HONE_CACHE_BLOCK);
  l.x = x.region, l.angles = angles.region, l.stream = stream.region;
  l.gain = pack_vector(spec->K, &random);
  l.out = region_create(hone_row_bytes(HONE_F32, spec->N) * ROWS);
  l.keys = region_create(side * spec->kv_heads), l.values = region_create(side * spec->kv_heads);
  l.normed = region_create(hone_row_bytes(HONE_F32, spec->K) * ROWS);
  bench_rows(&l, 1);
  bench_rows(&l, ROWS);
  region_t *regions[] = {&l.weights, &l.gain, &l.out, &l.keys, &l.values, &l.normed};
  for (size_t i = 0; i < sizeof regions / sizeof *regions; i++) region_destroy(regions[i]);
  packed_destroy(&weight);
  rows_destroy(&x);
  rows_destroy(&angles);
  rows_destroy(&stream);
}

// The second form of norm writes f32 without a gain: little more than the sum of squares and a
// copy.
static void add_kernels(bench_t *bench, hone_kernel_spec_t fused, uint32_t width) {
  hone_kernel_spec_t rope = fused, plain = fused;
  plain.rope = 0;
  rope.family = HONE_FAMILY_ROPE_KV;
  hone_kernel_spec_t norm = {
      .family = HONE_FAMILY_NORM, .output = HONE_Q8, .K = width, .gain = 1, .epsilon = 1e-5f};
  bench_add(bench, &plain);
  bench_add(bench, &rope);
  bench_add(bench, &fused);
  bench_add(bench, &norm);
  norm.output = HONE_F32, norm.gain = 0;
  bench_add(bench, &norm);
}

int main(int count, char **arguments) {
  hone_kernel_spec_t spec = {.weight = {HONE_NF4, 64},
                             .input = HONE_Q8,
                             .K = number_at(count, arguments, 4, 768),
                             .rope = 1,
                             .heads = number_at(count, arguments, 1, 12),
                             .kv_heads = number_at(count, arguments, 2, 12),
                             .head_dim = number_at(count, arguments, 3, 64),
                             .cache = HONE_F16};
  spec.N = (spec.heads + 2 * spec.kv_heads) * spec.head_dim;
  printf("%u heads, %u kv heads of %u, width %u; ns\n", spec.heads, spec.kv_heads, spec.head_dim,
         spec.K);
  for (int many = 0; many < 2; many++) {
    bench_t *bench = bench_create();
    spec.family = many ? HONE_FAMILY_GEMM : HONE_FAMILY_GEMV;
    // As a compile takes it.
    spec.schedule.prefetch = many ? 0 : (uint32_t)hone_cpu_facts_default()->ahead_lines;
    add_kernels(bench, spec, spec.K);
    bench_build(bench);
    printf("%s\nlevel      M |    linear     rope    as one   saves     |     norm   to f32\n",
           hone_family_name(spec.family));
    for (size_t isa = 0; isa < bench->isa_count; isa++)
      if (bench->isa[isa].present) bench_level(bench, isa);
    bench_destroy(bench);
  }
  return 0;
}
