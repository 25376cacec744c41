// rope_kv and both forms of attention against softmax in double: head sizes, grouped queries,
// windows, f32, f16 and q8 caches, steps of several tokens at several positions. Cache rows that no
// token has written hold NaN, so reading one is seen. Decode, prefill and split heads, on any
// number of threads, must agree bit for bit, and q8 outputs with what quantize makes of the f32
// ones.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
// cmocka.h needs the headers above first.
#include <cmocka.h>

#include "tests/conformance/pack.h"

static const struct {
  uint32_t heads, kv_heads, head_dim, window;
  float sharp;  // scores are so many times as large, 0: once
} layers[] = {{4, 2, 8, 0, 0},
              {6, 2, 24, 0, 0},
              {8, 2, 64, 0, 0},
              {4, 1, 128, 0, 0},
              {3, 3, 12, 0, 0},
              {4, 2, 64, 7, 0},
              {2, 1, 24, 1, 0},
              {2, 2, 128, 40, 0},
              {2, 1, 256, 0, 0},
              {5, 5, 6, 16, 0},
              {6, 2, 96, 0, 0},
              {7, 1, 80, 0, 0},
              {9, 1, 16, 0, 0},
              {4, 1, 64, 300, 0},
              // Scores of hundreds, beyond what the unified form can do.
              {8, 2, 64, 0, 200},
              {4, 1, 24, 300, 200},
              {2, 2, 64, 0, -600}};
static const struct {
  uint32_t M, position, spare;  // spare: capacity past the last token
} steps[] = {{1, 0, 0},   {1, 37, 3}, {2, 14, 0},  {3, 31, 40},  {5, 0, 0},   {17, 0, 1},
             {17, 45, 0}, {1, 15, 0}, {3, 190, 0}, {17, 505, 0}, {3, 767, 9}, {1, 1100, 0}};
static const uint32_t tiles[] = {4, 16}, parts[] = {2, 8};
enum { THREADS = 3 };
static hone_pool_t *pool;

enum {
  LAYERS = sizeof layers / sizeof *layers,
  STEPS = sizeof steps / sizeof *steps,
  TILES = sizeof tiles / sizeof *tiles,
  PARTS = sizeof parts / sizeof *parts,
};

typedef struct attend_case {
  hone_kernel_spec_t spec;
  size_t rope, quantize;
  bool is_sharp;   // scores are beyond what the unified form can do:
  size_t running;  // decode with the running one, then
  // Forms of attention: decode first, all with the same result, in f32 and then, where heads are
  // whole groups, in q8.
  size_t forms[2 * (1 + TILES + PARTS)], f32_count, count;
} attend_case_t;

typedef struct problem {
  uint32_t M, position, capacity, D, width;  // width: of a qkv row
  hone_storage_t storage;                    // of the cache
  region_t qkv, rope, keys, values;          // qkv before rope
  double *q, *k, *v;  // after rope, unpadded: (M, heads, D), (kv_heads, position + M, D)
} problem_t;

// An element of the cache: base/artefact.h says where it lies.
typedef struct element {
  bool is_key;
  uint32_t head, position, d;
} element_t;

static size_t block_of(const problem_t *p, const element_t *e) {
  size_t blocks = (size_t)e->head * (p->capacity / 16) + e->position / 16;
  return blocks * hone_cache_block_bytes(p->storage, p->D);
}

static uint8_t *find_element(const problem_t *p, const region_t *cache, const element_t *e) {
  size_t slot = e->position % 16;
  size_t at = e->is_key ? e->d * 16 + slot : e->d / 16 * 256 + slot * 16 + e->d % 16;
  return cache->data + block_of(p, e) + at * hone_cache_item_bytes(p->storage);
}

static uint8_t *find_scale(const problem_t *p, const region_t *cache, const element_t *e) {
  size_t codes = (size_t)(p->D + 15) / 16 * 256;
  return cache->data + block_of(p, e) + codes + e->position % 16 * 4;
}

// `value` in (-1, 1) stands for the 127 codes above and below 0.
static void put_cache(const problem_t *p, region_t *cache, const element_t *e, float value) {
  uint8_t *at = find_element(p, cache, e);
  uint16_t bits = float_to_half(value);
  int8_t code = (int8_t)(value * 127);
  if (p->storage == HONE_F32)
    memcpy(at, &value, 4);
  else if (p->storage == HONE_F16)
    memcpy(at, &bits, 2);
  else
    memcpy(at, &code, 1);
}

static double get_cache(const problem_t *p, const region_t *cache, const element_t *e) {
  const uint8_t *at = find_element(p, cache, e);
  uint16_t bits;
  float value, scale;
  int8_t code;
  memcpy(&code, at, 1);
  memcpy(&bits, at, p->storage == HONE_Q8 ? 1 : 2);
  if (p->storage == HONE_F16) return (double)half_to_float(bits);
  if (p->storage == HONE_F32) {
    memcpy(&value, at, 4);
    return (double)value;
  }
  memcpy(&scale, find_scale(p, cache, e), 4);
  return code * (double)scale;
}

// Positions of earlier steps hold values, all others NaN (in every bit).
static region_t make_cache(const attend_case_t *c, const problem_t *p, bool is_key, double *values,
                           uint64_t *random) {
  size_t blocks = (size_t)c->spec.kv_heads * (p->capacity / 16);
  region_t cache = region_create(blocks * hone_cache_block_bytes(p->storage, p->D));
  memset(cache.data, 0xff, cache.bytes);
  for (uint32_t h = 0; h < c->spec.kv_heads; h++) {
    for (uint32_t row = 0; row < p->position; row++) {
      element_t e = {.is_key = is_key, .head = h, .position = row};
      float scale = (random_real(random) + 2) / 381;
      if (p->storage == HONE_Q8) memcpy(find_scale(p, &cache, &e), &scale, 4);
      for (; e.d < p->D; e.d++) {
        put_cache(p, &cache, &e, random_real(random));
        values[((size_t)h * (p->position + p->M) + row) * p->D + e.d] = get_cache(p, &cache, &e);
      }
    }
  }
  return cache;
}

static float qkv_at(const problem_t *p, uint32_t m, uint32_t column) {
  float value;
  memcpy(&value, p->qkv.data + hone_row_bytes(HONE_F32, p->width) * m + (size_t)column * 4, 4);
  return value;
}

// Element d of the head that starts at `column`, after rope.
static double rotated(const problem_t *p, uint32_t m, uint32_t column, uint32_t d) {
  uint32_t half = p->D / 2, i = d % half;
  float angle[2];
  memcpy(&angle[0], p->rope.data + ((size_t)m * p->D + i) * 4, 4);
  memcpy(&angle[1], p->rope.data + ((size_t)m * p->D + half + i) * 4, 4);
  double a = qkv_at(p, m, column + i), c = qkv_at(p, m, column + half + i);
  return d < half ? a * angle[0] - c * angle[1] : c * angle[0] + a * angle[1];
}

static double *allocate(size_t count) {
  double *memory = calloc(count, sizeof(double));
  assert_non_null(memory);
  return memory;
}

static problem_t make_problem(const attend_case_t *c, size_t step, uint64_t *random) {
  problem_t p = {.M = steps[step].M, .position = steps[step].position, .D = c->spec.head_dim};
  uint32_t total = p.position + p.M, kv = c->spec.kv_heads;
  p.capacity =
      (total + steps[step].spare + HONE_CACHE_STEP - 1) / HONE_CACHE_STEP * HONE_CACHE_STEP;
  p.storage = c->spec.cache;
  p.width = (c->spec.heads + 2 * kv) * p.D;
  p.q = allocate((size_t)p.M * c->spec.heads * p.D);
  p.k = allocate((size_t)kv * total * p.D);
  p.v = allocate((size_t)kv * total * p.D);
  rows_t rows = pack_rows(HONE_F32, p.M, p.width, random);
  p.qkv = rows.region;
  free(rows.values);
  p.rope = region_create((size_t)p.M * p.D * 4);
  for (uint32_t i = 0; i < p.M * p.D; i++) {
    float value = random_real(random);
    memcpy(p.rope.data + (size_t)i * 4, &value, 4);
  }
  p.keys = make_cache(c, &p, true, p.k, random);
  p.values = make_cache(c, &p, false, p.v, random);
  for (uint32_t m = 0; m < p.M; m++) {
    for (uint32_t i = 0; i < c->spec.heads * p.D; i++) {
      p.q[(size_t)m * c->spec.heads * p.D + i] = rotated(&p, m, i / p.D * p.D, i % p.D);
    }
  }
  return p;
}

static void destroy_problem(problem_t *p) {
  region_destroy(&p->qkv);
  region_destroy(&p->rope);
  region_destroy(&p->keys);
  region_destroy(&p->values);
  free(p->q);
  free(p->k);
  free(p->v);
}

// One new position of one head in a cache, against what it should hold, which it then takes over.
static void check_head(const problem_t *p, const region_t *cache, element_t e, double *want,
                       const char *name) {
  double tolerance = p->storage == HONE_F16 ? 1e-3 : 1e-6;
  if (p->storage == HONE_Q8) {
    float scale;
    double largest = 0;
    for (uint32_t d = 0; d < p->D; d++) largest = fmax(largest, fabs(want[d]));
    memcpy(&scale, find_scale(p, cache, &e), 4);
    check_close((double)scale, largest / 127, 1e-7, name, e.position, e.head);
    tolerance = largest / 254 + 1e-6;
  }
  for (; e.d < p->D; e.d++) {
    double got = get_cache(p, cache, &e);
    check_close(got, want[e.d], tolerance, name, e.position, e.d);
    want[e.d] = got;
  }
}

// Checks what rope_kv wrote and takes the caches' new rows as the keys and values attention sees.
static void check_rope(const attend_case_t *c, problem_t *p, const char *name) {
  uint32_t heads = c->spec.heads, kv = c->spec.kv_heads, total = p->position + p->M;
  for (uint32_t m = 0; m < p->M; m++) {
    for (uint32_t h = 0; h < kv; h++) {
      size_t row = ((size_t)h * total + p->position + m) * p->D;
      for (uint32_t d = 0; d < p->D; d++) {
        p->k[row + d] = rotated(p, m, (heads + h) * p->D, d);
        p->v[row + d] = (double)qkv_at(p, m, (heads + kv + h) * p->D + d);
      }
      element_t key = {.is_key = true, .head = h, .position = p->position + m}, value = key;
      value.is_key = false;
      check_head(p, &p->keys, key, p->k + row, name);
      check_head(p, &p->values, value, p->v + row, name);
    }
  }
}

static void run_rope(const bench_t *bench, size_t isa, const attend_case_t *c, problem_t *p,
                     region_t *qkv) {
  *qkv = region_copy(&p->qkv);
  hone_kernel_args_t args = {.M = p->M, .position = p->position, .capacity = p->capacity};
  args.ptr[0] = qkv->data, args.ptr[1] = p->rope.data, args.ptr[2] = p->keys.data,
  args.ptr[3] = p->values.data;
  bench_run(bench, isa, c->rope, &args, &(outputs_t){3, {0, 2, 3}, {qkv, &p->keys, &p->values}});
  const char *name = bench_name(bench, isa, c->rope);
  check_rope(c, p, name);
  uint64_t stride = hone_row_bytes(HONE_F32, p->width);
  for (uint32_t m = 0; m < p->M; m++) {
    const float *row = (const float *)(qkv->data + stride * m);
    for (uint32_t i = 0; i < stride / 4; i++) {
      bool is_q = i < c->spec.heads * p->D;  // k, v and the pads stay
      double want = is_q ? p->q[(size_t)m * c->spec.heads * p->D + i] : (double)qkv_at(p, m, i);
      check_close((double)row[i], want, is_q ? 1e-6 : 0, name, m, i);
    }
  }
}

static double score_of(const attend_case_t *c, const problem_t *p, const double *q,
                       const double *k) {
  double score = 0;
  for (uint32_t d = 0; d < p->D; d++) score += q[d] * k[d];
  return score * (double)c->spec.scale;
}

// How far off an element may be: rounding of a large score is a large part of its weight.
static double tolerance_of(const attend_case_t *c) {
  double size = (double)c->spec.scale * sqrt(c->spec.head_dim);
  return 3e-6 * fmax(1, fabs(size));
}

// One head of one token, in double; `out` has D elements.
static void attend_reference(const attend_case_t *c, const problem_t *p, uint32_t m, uint32_t head,
                             double *out) {
  uint32_t total = p->position + p->M, kv = head / (c->spec.heads / c->spec.kv_heads),
           last = p->position + m;
  uint32_t window = c->spec.window, first = window && last + 1 > window ? last + 1 - window : 0;
  const double *q = p->q + ((size_t)m * c->spec.heads + head) * p->D;
  double sum = 0, largest = -INFINITY;
  for (uint32_t d = 0; d < p->D; d++) out[d] = 0;
  for (uint32_t j = first; j <= last; j++)
    largest = fmax(largest, score_of(c, p, q, p->k + ((size_t)kv * total + j) * p->D));
  for (uint32_t j = first; j <= last; j++) {
    const double *v = p->v + ((size_t)kv * total + j) * p->D;
    double score = score_of(c, p, q, p->k + ((size_t)kv * total + j) * p->D);
    double weight = exp(score - largest);
    sum += weight;
    for (uint32_t d = 0; d < p->D; d++) out[d] += weight * v[d];
  }
  for (uint32_t d = 0; d < p->D; d++) out[d] /= sum;
}

static void check_attend(const attend_case_t *c, const problem_t *p, const region_t *out,
                         const char *name) {
  uint64_t stride = hone_row_bytes(HONE_F32, (uint64_t)c->spec.heads * p->D);
  double want[256];
  for (uint32_t m = 0; m < p->M; m++) {
    const float *row = (const float *)(out->data + stride * m);
    for (uint32_t h = 0; h < c->spec.heads; h++) {
      attend_reference(c, p, m, h, want);
      for (uint32_t d = 0; d < p->D; d++)
        check_close((double)row[h * p->D + d], want[d], tolerance_of(c), name, m, h * p->D + d);
    }
    for (uint64_t i = (uint64_t)c->spec.heads * p->D; i < stride / 4; i++)
      check_close((double)row[i], 0, 0, name, m, i);
  }
}

// What a kernel that splits heads needs besides, counters zero.
typedef struct scratch {
  region_t counters, chunks;
} scratch_t;

static scratch_t make_scratch(const attend_case_t *c, const problem_t *p) {
  uint32_t kv = c->spec.kv_heads;
  uint64_t chunks = hone_chunk_count(c->spec.window, p->capacity);
  uint64_t bytes = hone_chunk_bytes(c->spec.heads / kv, p->D);
  scratch_t scratch = {region_create((size_t)p->M * kv * HONE_COUNTER_BYTES),
                       region_create((size_t)(p->M * kv * chunks * bytes))};
  memset(scratch.counters.data, 0, scratch.counters.bytes);
  return scratch;
}

static void destroy_scratch(scratch_t *scratch, const char *name) {
  for (size_t i = 0; i < scratch->counters.bytes; i++)
    if (scratch->counters.data[i]) fail_msg("%s: a counter is not zero at the end", name);
  region_check(&scratch->counters, name);
  region_check(&scratch->chunks, name);
  region_destroy(&scratch->counters);
  region_destroy(&scratch->chunks);
}

// The same on several threads, several times: who folds differs.
static void run_threads(const bench_t *bench, size_t isa, size_t kernel,
                        const hone_kernel_args_t *args, const region_t *want) {
  hone_kernel_args_t again = *args;
  region_t out = region_create(want->bytes);
  again.ptr[3] = out.data;
  for (int i = 0; i < 2; i++) {
    bench_run_threads(bench, isa, kernel, &again, pool);
    if (memcmp(out.data, want->data, want->bytes) != 0)
      fail_msg("%s: threads change the result", bench_name(bench, isa, kernel));
  }
  region_destroy(&out);
}

static region_t run_form(const bench_t *bench, size_t isa, const attend_case_t *c,
                         const problem_t *p, const region_t *qkv, size_t kernel) {
  const hone_kernel_spec_t *spec = &bench->specs.items[kernel];
  const char *name = bench_name(bench, isa, kernel);
  uint64_t stride = hone_row_bytes(spec->output, (uint64_t)spec->heads * p->D);
  region_t out = region_create((size_t)stride * p->M);
  scratch_t scratch = {0};
  hone_kernel_args_t args = {.M = p->M, .position = p->position, .capacity = p->capacity};
  args.ptr[0] = qkv->data, args.ptr[1] = p->keys.data, args.ptr[2] = p->values.data,
  args.ptr[3] = out.data;
  if (spec->schedule.split) {
    scratch = make_scratch(c, p);
    args.ptr[4] = scratch.counters.data, args.ptr[5] = scratch.chunks.data;
  }
  bench_run(bench, isa, kernel, &args, &(outputs_t){1, {3}, {&out}});
  if (spec->schedule.split) {
    run_threads(bench, isa, kernel, &args, &out);
    destroy_scratch(&scratch, name);
  }
  return out;
}

// The f32 result as quantize makes it q8.
static region_t quantize(const bench_t *bench, size_t isa, const attend_case_t *c,
                         const problem_t *p, const region_t *reals) {
  uint64_t stride = hone_row_bytes(HONE_Q8, (uint64_t)c->spec.heads * p->D);
  region_t out = region_create((size_t)stride * p->M);
  hone_kernel_args_t args = {.M = p->M, .ptr = {reals->data, out.data}};
  bench_run(bench, isa, c->quantize, &args, &(outputs_t){1, {1}, {&out}});
  return out;
}

static void run_case(const bench_t *bench, size_t isa, const attend_case_t *c, size_t step) {
  uint64_t random = step * 1000 + c->spec.head_dim;
  problem_t p = make_problem(c, step, &random);
  region_t qkv, want = {0};
  run_rope(bench, isa, c, &p, &qkv);
  if (c->is_sharp) {
    region_t out = run_form(bench, isa, c, &p, &qkv, c->running);
    check_attend(c, &p, &out, bench_name(bench, isa, c->running));
    region_destroy(&out);
  }
  for (size_t i = 0; i < c->count; i++) {
    region_t out = run_form(bench, isa, c, &p, &qkv, c->forms[i]);
    const char *name = bench_name(bench, isa, c->forms[i]);
    if (i == 0) {
      check_attend(c, &p, &out, name);
      want = out;
      continue;
    }
    if (i == c->f32_count) {
      region_t reals = want;
      want = quantize(bench, isa, c, &p, &reals);
      region_destroy(&reals);
    }
    if (memcmp(want.data, out.data, out.bytes) != 0)
      fail_msg("%s, step %zu: differs from decode", name, step);
    region_destroy(&out);
  }
  region_destroy(&want);
  region_destroy(&qkv);
  destroy_problem(&p);
}

static void add_forms(bench_t *bench, attend_case_t *c, hone_storage_t output) {
  hone_kernel_spec_t spec = c->spec;
  spec.output = output;
  spec.family = HONE_FAMILY_ATTEND_DECODE;
  c->forms[c->count++] = bench_add(bench, &spec);
  for (size_t i = 0; i < (output == HONE_F32 ? PARTS : 1); i++) {
    spec.schedule.split = parts[i];
    c->forms[c->count++] = bench_add(bench, &spec);
  }
  spec.schedule.split = 0;
  spec.family = HONE_FAMILY_ATTEND_PREFILL;
  size_t count = spec.head_dim > 64 || output == HONE_Q8 ? 1 : TILES;  // large heads compile slowly
  for (size_t i = 0; i < count; i++) {
    spec.schedule.tokens = tiles[i];
    c->forms[c->count++] = bench_add(bench, &spec);
  }
}

static attend_case_t make_case(bench_t *bench, size_t layer, hone_storage_t cache) {
  attend_case_t c = {.spec = {.heads = layers[layer].heads,
                              .kv_heads = layers[layer].kv_heads,
                              .head_dim = layers[layer].head_dim,
                              .window = layers[layer].window,
                              .cache = cache,
                              .unified = layers[layer].sharp != 0 || (layer * 3 + cache) % 2,
                              .scale = 1.0f / sqrtf((float)layers[layer].head_dim)}};
  c.is_sharp = layers[layer].sharp != 0;
  if (c.is_sharp) c.spec.scale *= layers[layer].sharp;
  hone_kernel_spec_t spec = c.spec;
  spec.family = HONE_FAMILY_ROPE_KV;
  c.rope = bench_add(bench, &spec);
  if (c.is_sharp) {
    spec.family = HONE_FAMILY_ATTEND_DECODE;
    spec.unified = 0;
    c.running = bench_add(bench, &spec);
  }
  add_forms(bench, &c, HONE_F32);
  c.f32_count = c.count;
  if (spec.head_dim % HONE_GROUP) return c;
  spec = (hone_kernel_spec_t){
      .family = HONE_FAMILY_QUANTIZE, .output = HONE_Q8, .K = c.spec.heads * c.spec.head_dim};
  c.quantize = bench_add(bench, &spec);
  add_forms(bench, &c, HONE_Q8);
  return c;
}

static void test_attend(void **state) {
  (void)state;
  static const hone_storage_t caches[] = {HONE_F32, HONE_F16, HONE_Q8};
  hone_status_t status = {0};
  if (!hone_pool_create(THREADS, &pool, &status)) fail_msg("%s", status.message);
  bench_t *bench = bench_create();
  attend_case_t cases[3 * LAYERS];
  size_t count = 0;
  for (size_t i = 0; i < 3 * LAYERS; i++) cases[count++] = make_case(bench, i / 3, caches[i % 3]);
  bench_build(bench);
  for (size_t isa = 0; isa < bench->isa_count; isa++) {
    if (!bench->isa[isa].present) continue;
    for (size_t i = 0; i < count; i++) {
      for (size_t step = 0; step < STEPS; step++) run_case(bench, isa, &cases[i], step);
    }
  }
  bench_destroy(bench);
  hone_pool_destroy(pool);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_attend)};
  return cmocka_run_group_tests_name("attend", tests, NULL, NULL);
}
