// How near attention comes to the machine: decode in GB/s of keys and values against a loop that
// only reads memory, prefill in GFLOP/s (2 products of head_dim per query head and visible key)
// against a loop that only multiplies and adds; on one thread, in thread CPU time, best of several.
// Usage: bench_attend [HEADS KV_HEADS HEAD_DIM [CONTEXT]]
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/machine.h"
#include "tests/conformance/pack.h"

enum { ROWS = 256, LAYERS = 8 };
static const uint32_t tiles[] = {4, 8, 16, 32};
enum { TILES = sizeof tiles / sizeof *tiles, KERNELS = 2 + TILES };

typedef struct layer {
  region_t qkv, rope, keys, values, out;
  hone_kernel_spec_t spec;
  uint32_t capacity;
} layer_t;

static uint64_t side_bytes(const layer_t *l) {
  return hone_cache_block_bytes(l->spec.cache, l->spec.head_dim) * (l->capacity / 16) *
         l->spec.kv_heads;
}

static double call_ns(const bench_t *bench, size_t isa, size_t kernel, layer_t *l, int64_t M,
                      int64_t position) {
  hone_kernel_fn *fn = bench->isa[isa].kernels[kernel];
  int64_t units = bench_units(&bench->specs.items[kernel], M);
  hone_kernel_args_t args = {.M = M, .position = position, .capacity = l->capacity};
  double best = 1e30;
  for (int r = 0; r < MACHINE_REPEATS; r++) {
    double start = machine_now_ns();
    long calls = 0;
    do {
      size_t layer = (size_t)calls++ % LAYERS;
      args.ptr[0] = l->qkv.data, args.ptr[3] = l->out.data;
      args.ptr[1] = l->keys.data + layer * side_bytes(l);
      args.ptr[2] = l->values.data + layer * side_bytes(l);
      fn(&args, 0, units);
    } while (machine_now_ns() - start < machine_shortest_ns || calls < LAYERS);
    double time = (machine_now_ns() - start) / (double)calls;
    best = time < best ? time : best;
  }
  return best;
}

static layer_t make_layer(const hone_kernel_spec_t *spec, uint32_t context) {
  uint64_t random = 1;
  uint32_t width = (spec->heads + 2 * spec->kv_heads) * spec->head_dim;
  layer_t l = {.spec = *spec, .capacity = context};
  rows_t rows = pack_rows(HONE_F32, ROWS, width, &random);
  free(rows.values);
  l.qkv = rows.region;
  l.rope = region_create((size_t)ROWS * spec->head_dim * 4);
  for (uint32_t i = 0; i < ROWS * spec->head_dim; i++) {
    float value = random_real(&random);
    memcpy(l.rope.data + (size_t)i * 4, &value, 4);
  }
  l.keys = region_create(side_bytes(&l) * LAYERS);
  l.values = region_create(side_bytes(&l) * LAYERS);
  l.out = region_create(hone_row_bytes(HONE_F32, (uint64_t)spec->heads * spec->head_dim) * ROWS);
  return l;
}

static void fill_caches(const bench_t *bench, size_t isa, size_t rope, layer_t *l) {
  hone_kernel_args_t args = {.M = ROWS, .capacity = l->capacity};
  for (size_t layer = 0; layer < LAYERS; layer++) {
    for (args.position = 0; args.position < l->capacity; args.position += ROWS) {
      region_t qkv = region_copy(&l->qkv);
      args.ptr[0] = qkv.data, args.ptr[1] = l->rope.data;
      args.ptr[2] = l->keys.data + layer * side_bytes(l);
      args.ptr[3] = l->values.data + layer * side_bytes(l);
      bench->isa[isa].kernels[rope](&args, 0, ROWS);
      region_destroy(&qkv);
    }
  }
}

static void destroy_layer(layer_t *l) {
  region_t *regions[] = {&l->qkv, &l->rope, &l->keys, &l->values, &l->out};
  for (size_t i = 0; i < sizeof regions / sizeof *regions; i++) region_destroy(regions[i]);
}

static void bench_cache(const bench_t *bench, size_t isa, size_t first, uint32_t context) {
  const hone_kernel_spec_t *spec = &bench->specs.items[first];
  layer_t l = make_layer(spec, context);
  fill_caches(bench, isa, first, &l);
  uint64_t bytes =
      2 * hone_cache_block_bytes(spec->cache, spec->head_dim) * (context / 16) * spec->kv_heads;
  double decode = (double)bytes / call_ns(bench, isa, first + 1, &l, 1, context - 1);
  double read = machine_read_gbs(l.keys.data, l.keys.bytes);
  double peak = machine_peak_gflops(bench->isa[isa].isa->lanes == 16);
  printf("%-7s %-4s | %7.2f %7.2f %5.2f |", bench->isa[isa].isa->name,
         hone_format_info(spec->cache)->name, decode, read, decode / read);
  double keys = (double)(context - ROWS) * ROWS + ROWS * (ROWS + 1) / 2.0;
  double flops = keys * spec->heads * spec->head_dim * 4;
  for (size_t t = 0; t < TILES; t++)
    printf(" %7.1f", flops / call_ns(bench, isa, first + 2 + t, &l, ROWS, context - ROWS));
  printf(" %7.1f\n", peak);
  fflush(stdout);
  destroy_layer(&l);
}

static size_t add_kernels(bench_t *bench, hone_kernel_spec_t spec) {
  spec.family = HONE_FAMILY_ROPE_KV;
  size_t first = bench_add(bench, &spec);
  spec.family = HONE_FAMILY_ATTEND_DECODE;
  bench_add(bench, &spec);
  spec.family = HONE_FAMILY_ATTEND_PREFILL;
  for (size_t t = 0; t < TILES; t++) {
    spec.schedule.tokens = tiles[t];
    bench_add(bench, &spec);
  }
  return first;
}

static uint32_t number_at(int count, char **arguments, int index, uint32_t fallback) {
  return index < count ? (uint32_t)strtoul(arguments[index], NULL, 10) : fallback;
}

int main(int count, char **arguments) {
  static const hone_storage_t caches[] = {HONE_F32, HONE_F16, HONE_Q8};
  hone_kernel_spec_t spec = {.heads = number_at(count, arguments, 1, 32),
                             .kv_heads = number_at(count, arguments, 2, 8),
                             .head_dim = number_at(count, arguments, 3, 64),
                             .scale = 0.125f};
  uint32_t context = number_at(count, arguments, 4, 2048) / ROWS * ROWS;
  if (context == 0 || spec.heads == 0 || spec.kv_heads == 0 || spec.head_dim == 0) {
    fprintf(stderr, "usage: bench_attend [HEADS KV_HEADS HEAD_DIM [CONTEXT (from %d)]]\n", ROWS);
    return 2;
  }
  bench_t *bench = bench_create();
  size_t first[3];
  for (size_t i = 0; i < 3; i++) {
    spec.cache = caches[i];
    first[i] = add_kernels(bench, spec);
  }
  bench_build(bench);
  printf("%u query heads, %u kv heads of %u, %u positions\n", spec.heads, spec.kv_heads,
         spec.head_dim, context);
  printf("               decode GB/s, of a read loop | prefill GFLOP/s, tiles of");
  for (size_t t = 0; t < TILES; t++) printf(" %u", tiles[t]);
  printf("; peak\n");
  for (size_t isa = 0; isa < bench->isa_count; isa++) {
    if (!bench->isa[isa].present) continue;
    for (size_t i = 0; i < 3; i++) bench_cache(bench, isa, first[i], context);
  }
  bench_destroy(bench);
  return 0;
}
