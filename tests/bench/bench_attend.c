// How near attention comes to the machine: decode in GB/s of keys and values against a loop that
// only reads memory, prefill in GFLOP/s (2 products of head_dim per query head and visible key)
// against a loop that only multiplies and adds; on one thread, in thread CPU time, best of several.
// Then what splitting heads gains: decode on two threads, in wall time, best of several in turns.
// Then what the unified form of softmax takes of the running one's time, one thread, in turns.
// Usage: bench_attend [HEADS KV_HEADS HEAD_DIM [CONTEXT]], or only the last two: bench_attend
// split, bench_attend softmax [HEADS KV_HEADS HEAD_DIM [CONTEXT...]]
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/machine.h"
#include "tests/conformance/pack.h"

enum { ROWS = 256, LAYERS = 8 };
static const uint32_t tiles[] = {4, 8, 16, 32};
enum { TILES = sizeof tiles / sizeof *tiles };
static const uint32_t parts[] = {0, 2, 4, 8};
enum { PARTS = sizeof parts / sizeof *parts, THREADS = 2, ROUNDS = 15, FORM_ROUNDS = 3 };
static const hone_storage_t caches[] = {HONE_F32, HONE_F16, HONE_Q8};
enum { CACHES = sizeof caches / sizeof *caches, CONTEXTS = 8 };

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

// ---- split heads

static double wall_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

// One step through all layers, per layer.
static double step_ns(const bench_t *bench, size_t kernel, layer_t *l, hone_pool_t *pool,
                      hone_kernel_args_t *args) {
  double start = wall_ns();
  for (size_t layer = 0; layer < LAYERS; layer++) {
    args->ptr[1] = l->keys.data + layer * side_bytes(l);
    args->ptr[2] = l->values.data + layer * side_bytes(l);
    bench_run_threads(bench, 0, kernel, args, pool);
  }
  return (wall_ns() - start) / LAYERS;
}

static void bench_split(const bench_t *bench, size_t first, uint32_t context, hone_pool_t *pool) {
  const hone_kernel_spec_t *spec = &bench->specs.items[first];
  layer_t l = make_layer(spec, context);
  fill_caches(bench, 0, first, &l);
  region_t counters = region_create((size_t)spec->kv_heads * HONE_COUNTER_BYTES);
  region_t chunks =
      region_create((size_t)(spec->kv_heads * hone_chunk_count(0, context) *
                             hone_chunk_bytes(spec->heads / spec->kv_heads, spec->head_dim)));
  memset(counters.data, 0, counters.bytes);
  hone_kernel_args_t args = {.M = 1, .position = context - 1, .capacity = context};
  args.ptr[0] = l.qkv.data, args.ptr[3] = l.out.data;
  args.ptr[4] = counters.data, args.ptr[5] = chunks.data;
  double best[PARTS];
  for (size_t i = 0; i < PARTS; i++) best[i] = 1e30;
  for (int round = 0; round < ROUNDS; round++) {
    for (size_t i = 0; i < PARTS; i++) {
      double ns = step_ns(bench, first + 1 + i, &l, pool, &args);
      if (ns < best[i]) best[i] = ns;
    }
  }
  printf("%8u %8u | %9.1f", spec->kv_heads, context, best[0] / 1e3);
  for (size_t i = 1; i < PARTS; i++) printf(" %9.1f %5.2f", best[i] / 1e3, best[0] / best[i]);
  printf("\n");
  fflush(stdout);
  region_destroy(&counters);
  region_destroy(&chunks);
  destroy_layer(&l);
}

static void bench_splits(void) {
  static const uint32_t kv_heads[] = {1, 8}, contexts[] = {256, 1024, 4096, 16384};
  hone_status_t status = {0};
  hone_pool_t *pool;
  bench_t *bench = bench_create();
  size_t first[2];
  if (!hone_pool_create(THREADS, &pool, &status)) return (void)puts(status.message);
  for (size_t i = 0; i < 2; i++) {
    hone_kernel_spec_t spec = {.family = HONE_FAMILY_ROPE_KV,
                               .heads = 8,
                               .kv_heads = kv_heads[i],
                               .head_dim = 64,
                               .cache = HONE_F16,
                               .scale = 0.125f};
    first[i] = bench_add(bench, &spec);
    spec.family = HONE_FAMILY_ATTEND_DECODE;
    for (size_t p = 0; p < PARTS; p++) {
      spec.schedule.split = parts[p];
      bench_add(bench, &spec);
    }
  }
  bench_build(bench);
  printf(
      "8 query heads of 64, f16, %d threads: decode of one layer in us; split, and how many "
      "times as fast\nkv heads  context |     whole",
      (int)THREADS);
  for (size_t p = 1; p < PARTS; p++) printf("         split %u", parts[p]);
  printf("\n");
  for (size_t i = 0; i < 2; i++)
    for (size_t c = 0; c < 4; c++) bench_split(bench, first[i], contexts[c], pool);
  bench_destroy(bench);
  hone_pool_destroy(pool);
}

// ---- forms of softmax

static const char *const forms[] = {"running", "unified"};

// Decode with the whole context behind it, and a tile of 8 over the last rows: best of several.
static void bench_form(bench_t *const bench[2], size_t isa, size_t first, uint32_t context) {
  const hone_kernel_spec_t *spec = &bench[0]->specs.items[first];
  layer_t l = make_layer(spec, context);
  fill_caches(bench[0], isa, first, &l);
  double best[2][2] = {{1e30, 1e30}, {1e30, 1e30}};
  for (int round = 0; round < FORM_ROUNDS; round++) {
    for (int f = 0; f < 2; f++) {
      double decode = call_ns(bench[f], isa, first + 1, &l, 1, context - 1);
      double prefill = call_ns(bench[f], isa, first + 2, &l, ROWS, context - ROWS);
      if (decode < best[f][0]) best[f][0] = decode;
      if (prefill < best[f][1]) best[f][1] = prefill;
    }
  }
  printf("%-7s %-4s %8u | %9.1f %6.3f | %9.1f %6.3f\n", bench[0]->isa[isa].isa->name,
         hone_format_info(spec->cache)->name, context, best[0][0] / 1e3, best[1][0] / best[0][0],
         best[0][1] / 1e3, best[1][1] / best[0][1]);
  fflush(stdout);
  destroy_layer(&l);
}

static void bench_forms(hone_kernel_spec_t spec, const uint32_t *contexts, int count) {
  bench_t *bench[2];
  size_t first[CACHES];
  for (int f = 0; f < 2; f++) {
    bench[f] = bench_create();
    for (size_t i = 0; i < CACHES; i++) {
      spec.cache = caches[i], spec.unified = f == 1, spec.schedule.tokens = 0;
      spec.family = HONE_FAMILY_ROPE_KV;
      first[i] = bench_add(bench[f], &spec);
      spec.family = HONE_FAMILY_ATTEND_DECODE;
      bench_add(bench[f], &spec);
      spec.family = HONE_FAMILY_ATTEND_PREFILL, spec.schedule.tokens = 8;
      bench_add(bench[f], &spec);
    }
    bench_build(bench[f]);
  }
  printf(
      "%u query heads, %u kv heads of %u: us with the %s form, and the share of it that the %s "
      "one takes\n                 context |     decode       | prefill of %d rows\n",
      spec.heads, spec.kv_heads, spec.head_dim, forms[0], forms[1], (int)ROWS);
  for (size_t isa = 0; isa < bench[0]->isa_count; isa++) {
    if (!bench[0]->isa[isa].present) continue;
    for (int c = 0; c < count; c++)
      for (size_t i = 0; i < CACHES; i++) bench_form(bench, isa, first[i], contexts[c]);
  }
  for (int f = 0; f < 2; f++) bench_destroy(bench[f]);
}

static void bench_caches(hone_kernel_spec_t spec, uint32_t context) {
  bench_t *bench = bench_create();
  size_t first[CACHES];
  for (size_t i = 0; i < CACHES; i++) {
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
    for (size_t i = 0; i < CACHES; i++) bench_cache(bench, isa, first[i], context);
  }
  bench_destroy(bench);
}

static int refuse(void) {
  fprintf(stderr,
          "usage: bench_attend [HEADS KV_HEADS HEAD_DIM [CONTEXT]]\n"
          "       bench_attend split\n"
          "       bench_attend softmax [HEADS KV_HEADS HEAD_DIM [CONTEXT...]]\n"
          "CONTEXT: %d or more, rounded down to a multiple of it; at most %d of them\n",
          (int)ROWS, (int)CONTEXTS);
  return 2;
}

int main(int count, char **arguments) {
  if (count == 2 && !strcmp(arguments[1], "split")) return bench_splits(), 0;
  bool is_forms = count > 1 && !strcmp(arguments[1], "softmax");
  if (is_forms) count--, arguments++;
  hone_kernel_spec_t spec = {.heads = number_at(count, arguments, 1, 32),
                             .kv_heads = number_at(count, arguments, 2, 8),
                             .head_dim = number_at(count, arguments, 3, 64),
                             .scale = 0.125f};
  uint32_t contexts[CONTEXTS];
  int context_count = count < 6 ? 1 : count - 4;
  if (context_count > (is_forms ? CONTEXTS : 1) || !spec.heads || !spec.kv_heads ||
      spec.heads % spec.kv_heads || !spec.head_dim)
    return refuse();
  for (int c = 0; c < context_count; c++) {
    contexts[c] = number_at(count, arguments, 4 + c, 2048) / ROWS * ROWS;
    if (!contexts[c]) return refuse();
  }
  if (!is_forms) {
    bench_caches(spec, contexts[0]);
    bench_splits();
  }
  bench_forms(spec, contexts, context_count);
  return 0;
}
