// rope_kv and both forms of attention against softmax in double: head sizes, grouped queries,
// windows, f32 and f16 caches, steps of several tokens at several positions. Cache rows that no
// token has written hold NaN, so reading one is seen; decode and prefill must agree bit for bit.
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
} layers[] = {{4, 2, 8, 0},  {6, 2, 24, 0}, {8, 2, 64, 0},   {4, 1, 128, 0}, {3, 3, 12, 0},
              {4, 2, 64, 7}, {2, 1, 24, 1}, {2, 2, 128, 40}, {2, 1, 256, 0}, {5, 5, 6, 16}};
static const struct {
  uint32_t M, position, spare;  // spare: capacity past the last token
} steps[] = {{1, 0, 0}, {1, 37, 3}, {2, 14, 0},  {3, 31, 40},
             {5, 0, 0}, {17, 0, 1}, {17, 45, 0}, {1, 15, 0}};
static const uint32_t tiles[] = {4, 16};

enum {
  LAYERS = sizeof layers / sizeof *layers,
  STEPS = sizeof steps / sizeof *steps,
  TILES = sizeof tiles / sizeof *tiles,
};

typedef struct attend_case {
  hone_kernel_spec_t spec;
  size_t rope, decode, prefill[TILES];
  size_t tiles;  // prefill forms of this case
} attend_case_t;

typedef struct problem {
  uint32_t M, position, capacity, D, Dp, width;  // width: of a qkv row
  bool half;
  region_t qkv, rope, keys, values;  // qkv before rope
  double *q, *k, *v;  // after rope, unpadded: (M, heads, D), (kv_heads, position + M, D)
} problem_t;

static void put_cache(region_t *cache, bool half, size_t element, float value) {
  uint16_t bits = float_to_half(value);
  if (half)
    memcpy(cache->data + element * 2, &bits, 2);
  else
    memcpy(cache->data + element * 4, &value, 4);
}

static double get_cache(const region_t *cache, bool half, size_t element) {
  uint16_t bits;
  float value;
  memcpy(&bits, cache->data + element * (half ? 2 : 4), 2);
  if (half) return (double)half_to_float(bits);
  memcpy(&value, cache->data + element * 4, 4);
  return (double)value;
}

// Rows of earlier steps hold values, all others NaN (in every bit).
static region_t make_cache(const attend_case_t *c, problem_t *p, double *values, uint64_t *random) {
  size_t rows = (size_t)c->spec.kv_heads * p->capacity;
  region_t cache = region_create(rows * p->Dp * (p->half ? 2 : 4));
  memset(cache.data, 0xff, cache.bytes);
  for (uint32_t h = 0; h < c->spec.kv_heads; h++) {
    for (uint32_t row = 0; row < p->position; row++) {
      size_t base = ((size_t)h * p->capacity + row) * p->Dp;
      for (uint32_t d = 0; d < p->Dp; d++) {
        put_cache(&cache, p->half, base + d, d < p->D ? random_real(random) : 0);
        if (d >= p->D) continue;
        values[((size_t)h * (p->position + p->M) + row) * p->D + d] =
            get_cache(&cache, p->half, base + d);
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
  p.capacity = total + steps[step].spare;
  p.Dp = (p.D + 15) / 16 * 16;
  p.half = c->spec.cache == HONE_F16;
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
  p.keys = make_cache(c, &p, p.k, random);
  p.values = make_cache(c, &p, p.v, random);
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

// Checks what rope_kv wrote and takes the caches' new rows as the keys and values attention sees.
static void check_rope(const attend_case_t *c, problem_t *p, const char *name) {
  uint32_t heads = c->spec.heads, kv = c->spec.kv_heads, total = p->position + p->M;
  double tolerance = p->half ? 1e-3 : 1e-6;
  for (uint32_t m = 0; m < p->M; m++) {
    for (uint32_t h = 0; h < kv; h++) {
      size_t slot = (size_t)h * p->capacity + p->position + m,
             row = (size_t)h * total + p->position + m;
      for (uint32_t d = 0; d < p->Dp; d++) {
        double key = get_cache(&p->keys, p->half, slot * p->Dp + d);
        double value = get_cache(&p->values, p->half, slot * p->Dp + d);
        bool pad = d >= p->D;
        double want_key = pad ? 0 : rotated(p, m, (heads + h) * p->D, d);
        double want_value = pad ? 0 : (double)qkv_at(p, m, (heads + kv + h) * p->D + d);
        check_close(key, want_key, pad ? 0 : tolerance, name, slot, d);
        check_close(value, want_value, pad ? 0 : tolerance, name, slot, d);
        if (!pad) p->k[row * p->D + d] = key, p->v[row * p->D + d] = value;
      }
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

// One head of one token, in double; `out` has D elements.
static void attend_reference(const attend_case_t *c, const problem_t *p, uint32_t m, uint32_t head,
                             double *out) {
  uint32_t total = p->position + p->M, kv = head / (c->spec.heads / c->spec.kv_heads),
           last = p->position + m;
  uint32_t window = c->spec.window, first = window && last + 1 > window ? last + 1 - window : 0;
  const double *q = p->q + ((size_t)m * c->spec.heads + head) * p->D;
  double sum = 0;
  for (uint32_t d = 0; d < p->D; d++) out[d] = 0;
  for (uint32_t j = first; j <= last; j++) {
    const double *k = p->k + ((size_t)kv * total + j) * p->D,
                 *v = p->v + ((size_t)kv * total + j) * p->D;
    double score = 0;
    for (uint32_t d = 0; d < p->D; d++) score += q[d] * k[d];
    double weight = exp(score * (double)c->spec.scale);  // scores are small here
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
        check_close((double)row[h * p->D + d], want[d], 3e-6, name, m, h * p->D + d);
    }
    for (uint64_t i = (uint64_t)c->spec.heads * p->D; i < stride / 4; i++)
      check_close((double)row[i], 0, 0, name, m, i);
  }
}

static void run_case(const bench_t *bench, size_t isa, const attend_case_t *c, size_t step) {
  uint64_t random = step * 1000 + c->spec.head_dim;
  problem_t p = make_problem(c, step, &random);
  region_t qkv, first = {0};
  run_rope(bench, isa, c, &p, &qkv);
  for (size_t i = 0; i < 1 + c->tiles; i++) {
    size_t kernel = i == 0 ? c->decode : c->prefill[i - 1];
    region_t out = region_create(hone_row_bytes(HONE_F32, (uint64_t)c->spec.heads * p.D) * p.M);
    hone_kernel_args_t args = {.M = p.M, .position = p.position, .capacity = p.capacity};
    args.ptr[0] = qkv.data, args.ptr[1] = p.keys.data, args.ptr[2] = p.values.data,
    args.ptr[3] = out.data;
    bench_run(bench, isa, kernel, &args, &(outputs_t){1, {3}, {&out}});
    const char *name = bench_name(bench, isa, kernel);
    if (i == 0) {
      check_attend(c, &p, &out, name);
      first = out;
      continue;
    }
    if (memcmp(first.data, out.data, out.bytes) != 0)
      fail_msg("%s, step %zu: differs from decode", name, step);
    region_destroy(&out);
  }
  region_destroy(&first);
  region_destroy(&qkv);
  destroy_problem(&p);
}

static attend_case_t make_case(bench_t *bench, size_t layer, hone_storage_t cache) {
  attend_case_t c = {.spec = {.heads = layers[layer].heads,
                              .kv_heads = layers[layer].kv_heads,
                              .head_dim = layers[layer].head_dim,
                              .window = layers[layer].window,
                              .cache = cache,
                              .scale = 1.0f / sqrtf((float)layers[layer].head_dim)}};
  hone_kernel_spec_t spec = c.spec;
  spec.family = HONE_FAMILY_ROPE_KV;
  c.rope = bench_add(bench, &spec);
  spec.family = HONE_FAMILY_ATTEND_DECODE;
  c.decode = bench_add(bench, &spec);
  spec.family = HONE_FAMILY_ATTEND_PREFILL;
  c.tiles = spec.head_dim > 64 ? 1 : TILES;  // large heads compile slowly
  for (size_t t = 0; t < c.tiles; t++) {
    spec.schedule.tokens = tiles[t];
    c.prefill[t] = bench_add(bench, &spec);
  }
  return c;
}

static void test_attend(void **state) {
  (void)state;
  bench_t *bench = bench_create();
  attend_case_t cases[2 * LAYERS];
  size_t count = 0;
  for (size_t i = 0; i < 2 * LAYERS; i++) {
    bool large = layers[i / 2].head_dim > 64;  // one cache each: large heads compile slowly
    if (large && i / 2 % 2 != i % 2) continue;
    cases[count++] = make_case(bench, i / 2, i % 2 ? HONE_F16 : HONE_F32);
  }
  bench_build(bench);
  for (size_t isa = 0; isa < bench->isa_count; isa++) {
    if (!bench->isa[isa].present) continue;
    for (size_t i = 0; i < count; i++) {
      for (size_t step = 0; step < STEPS; step++) run_case(bench, isa, &cases[i], step);
    }
  }
  bench_destroy(bench);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_attend)};
  return cmocka_run_group_tests_name("attend", tests, NULL, NULL);
}
